/**
 * Programs in a process of their own, for what can only be seen from outside:
 * whether a program ends, how, and what it prints.
 *
 * A program is a piece of source text. It is given to `deno run` on standard
 * input, so that it needs no file, and no permission but those it is
 * run with.
 *
 * @module
 */

/**
 * Long enough for any program here, on any machine; no test waits for it to
 * pass.
 */
const PATIENCE = 60_000;

/** How to run a program. */
export interface ProgramOptions {
  /**
   * The flags of its permissions.
   *
   * @default {["--allow-ffi"]}
   */
  permissions?: string[];
}

/** How a program ended. */
export interface Outcome {
  /** Its exit status; 128 and the signal's number if a signal ended it. */
  readonly code: number;
  /** The signal that ended it, if one did. */
  readonly signal: Deno.Signal | null;
  /** What it printed. */
  readonly stdout: string;
  /** What it complained of. */
  readonly stderr: string;
  /**
   * How long it ran after its first line of output, or in all if there was
   * none, in milliseconds.
   */
  readonly duration: number;
}

/** A program that runs. */
export class Program {
  readonly #child: Deno.ChildProcess;
  readonly #stderr: Promise<string>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #stdout = "";
  #started = performance.now();

  /**
   * Starts a program.
   *
   * @param body Its source text. `Reactor`, `FileDescriptor` and all else that
   * the package exports can be had as `interleave.Reactor`.
   */
  constructor(body: string, options: ProgramOptions = {}) {
    const { permissions = ["--allow-ffi"] } = options;
    const module = new URL("../mod.ts", import.meta.url);
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...permissions, "-"],
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(PATIENCE),
    }).spawn();
    this.#stderr = new Response(this.#child.stderr).text();
    this.#output = this.#child.stdout
      .pipeThrough(new TextDecoderStream())
      .getReader();
    void this.#feed(`import * as interleave from "${module}";\n${body}`);
  }

  /** Sends the program a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits until the program has printed something. */
  async printed(text: string): Promise<void> {
    while (!this.#stdout.includes(text)) {
      if (await this.#readMore()) continue;
      throw new Error(
        `The program ended without printing "${text}": ${await this.#stderr}`,
      );
    }
  }

  /** Waits until the program has ended. */
  async outcome(): Promise<Outcome> {
    while (await this.#readMore());
    const { code, signal } = await this.#child.status;
    const duration = performance.now() - this.#started;
    const stderr = await this.#stderr;
    return { code, signal, stdout: this.#stdout, stderr, duration };
  }

  async #feed(source: string): Promise<void> {
    const input = this.#child.stdin.getWriter();
    await input.write(new TextEncoder().encode(source));
    await input.close();
  }

  async #readMore(): Promise<boolean> {
    const { value, done } = await this.#output.read();
    if (done) return false;
    if (this.#stdout === "") this.#started = performance.now();
    this.#stdout += value;
    return true;
  }
}

/** Runs a program to its end. */
export function runProgram(
  body: string,
  options?: ProgramOptions,
): Promise<Outcome> {
  return new Program(body, options).outcome();
}
