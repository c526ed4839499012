/**
 * The processes that are measured, and those that measure them. None outlives
 * the benchmark.
 *
 * @module
 */

/** How long a process may leave us waiting, in milliseconds. */
const PATIENCE = 60_000;

/** As many descriptors as the system grants; the process keeps its number. */
const UNLIMITED = 'ulimit -n "$(ulimit -H -n)" 2>/dev/null; exec "$@"';

/** Which word of a command is a program of ours: a file, or what was built. */
const PROGRAM = /\/peers\/|\/interleave_bench_/;

const running = new Set<Process>();

/** A process, killed at the end of the block. */
export class Process implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #complaints: Promise<string>;
  #rest = "";

  /**
   * Starts it, with as many descriptors as the system grants.
   *
   * @param command The program and its arguments.
   */
  constructor(command: readonly string[]) {
    const program = command.find((word) => PROGRAM.test(word)) ?? command[0]!;
    this.#name = program.slice(program.lastIndexOf("/") + 1);
    this.#child = new Deno.Command("sh", {
      args: ["-c", UNLIMITED, "sh", ...command],
      env: {
        NO_COLOR: "1",
        DENO_NO_UPDATE_CHECK: "1",
        PYTHONWARNINGS: "ignore",
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    running.add(this);
    this.#lines = this.#child.stdout
      .pipeThrough(new TextDecoderStream())
      .getReader();
    this.#complaints = new Response(this.#child.stderr).text();
  }

  /** Its number. */
  get pid(): number {
    return this.#child.pid;
  }

  /** The next line of what it prints. */
  async line(): Promise<string> {
    let end: number;
    while ((end = this.#rest.indexOf("\n")) < 0) {
      const { value, done } = await this.#inTime(this.#lines.read());
      if (done) throw new Error(await this.#epitaph());
      this.#rest += value;
    }
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  /** The next line, as numbers with names. */
  async figures(): Promise<Record<string, number>> {
    const line = await this.line();
    try {
      return JSON.parse(line);
    } catch (cause) {
      throw new Error(`"${this.#name}" printed "${line}"`, { cause });
    }
  }

  /** Ends it, whatever it is doing. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#child.status;
    await this.#lines.cancel();
    await this.#complaints;
    running.delete(this);
  }

  async #inTime<T>(promise: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(new Error(`"${this.#name}" said nothing in ${PATIENCE} ms`)),
        PATIENCE,
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #epitaph(): Promise<string> {
    const { code, signal } = await this.#child.status;
    const complaint = (await this.#complaints).trim().split("\n").at(-1);
    const end = `"${this.#name}" ended with ${signal ?? `status ${code}`}`;
    return complaint ? `${end}: ${complaint}` : end;
  }
}

/** Kills what still runs. For the end of a benchmark that is interrupted. */
export function killAll(): void {
  for (const process of running) process.kill();
}
