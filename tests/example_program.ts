/**
 * Examples in a process of their own, run by the command that their header
 * gives, with the permissions named there and no others.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertMatch,
  assertThrows,
} from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { openPty, setWindowSize } from "../ffi/pty.ts";
import { openPidfd, reap, spawnOnTerminal } from "../ffi/spawn.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import { Reactor } from "../src/reactor.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
assertThrows(() => spawnOnTerminal("/nonexistent", "sh"));

/** Long enough for any example; no test waits for it to pass. */
const PATIENCE = 30_000;

export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGTERM = 15;
export const CTRL_C = "\x03";
export const CTRL_D = "\x04";

/** The folder above `examples/`. */
export const root: string = Deno.realPathSync(`${import.meta.dirname}/..`);

/** The command at the top of an example. */
export interface Command {
  /** The whole of it. */
  line: string;
  /** The permissions. */
  flags: string[];
  /** What comes after the program. */
  args: string[];
}

/**
 * The command of an example.
 *
 * @param name Its path below `examples/`.
 */
export function commandOf(name: string): Command {
  const source = Deno.readTextFileSync(`${root}/examples/${name}`);
  // A sentence, an empty line, the command, an empty line.
  const header = /^\/\*\*\n(?: \* .+\n)+ \*\n \* {5}(deno run .+)\n \*\n/;
  const line = header.exec(source)?.[1];
  assert(line !== undefined, `${name} does not begin with its command`);
  const words = line.split(" ").slice(2);
  const at = words.indexOf(`examples/${name}`);
  assertGreaterOrEqual(at, 0, `${name} gives the command of another program`);
  return { line, flags: words.slice(0, at), args: words.slice(at + 1) };
}

/** What a program prints, for a test that talks with it. */
export class Transcript {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";
  #seen = 0;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Waits for a text, behind the one that was waited for before. */
  async until(mark: string): Promise<void> {
    let from = this.#seen;
    for (;;) {
      const at = this.#text.indexOf(mark, from);
      if (at >= 0) {
        this.#seen = at + mark.length;
        return;
      }
      from = Math.max(from, this.#text.length - mark.length);
      if (!await this.#more()) break;
    }
    throw new Error(`No "${mark}" in ${JSON.stringify(this.#text)}`);
  }

  /**
   * Waits for what a pattern describes, in the same way. The pattern must not
   * match a part of what it is meant for.
   *
   * @returns What its first group stands for.
   */
  async find(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#text.slice(this.#seen));
      if (found !== null) {
        this.#seen += found.index + found[0].length;
        return found[1]!;
      }
      if (!await this.#more()) break;
    }
    throw new Error(`No ${pattern} in ${JSON.stringify(this.#text)}`);
  }

  /** All of it, when there is no more to come. */
  async whole(): Promise<string> {
    while (await this.#more());
    // Each terminal on the way adds a carriage return.
    return this.#text.replaceAll(/\r+\n/g, "\n");
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#reader.read();
    if (!done) this.#text += value;
    return !done;
  }
}

/** A program and where it is to run. */
export interface Place {
  command: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
}

/** How a program ended. */
export interface End {
  /** The exit status; 128 and the signal's number if a signal ended it. */
  status: number;
  /** What it wrote to standard error. */
  complaints: string;
}

/** A program that runs. */
export interface Running {
  readonly pid: number;
  readonly output: Transcript;
  type(text: string): void;
  kill(): void;
  /** Waits for its end. Its output must have been read. */
  end(): Promise<End>;
}

/** A program that runs on a terminal. */
export interface RunningOnTerminal extends Running {
  /** Gives the terminal another size. */
  resize(columns: number, rows: number): void;
}

const encoder = new TextEncoder();

/** Starts a program behind pipes. */
export function startPiped(place: Place): Running & { endInput(): void } {
  const child = new Deno.Command(place.command, {
    ...place,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  // What it does not want to read shows in its output.
  const ignore = () => {};
  const complaints = new Response(child.stderr).text();
  return {
    pid: child.pid,
    output: new Transcript(child.stdout),
    type: (text) => void input.write(encoder.encode(text)).catch(ignore),
    endInput: () => void input.close().catch(ignore),
    kill() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
    },
    async end() {
      const { code } = await child.status;
      await input.close().catch(ignore);
      return { status: code, complaints: await complaints };
    },
  };
}

/** Starts a program on a terminal, where its complaints are part of the output. */
export function startOnTerminal(
  { command, args, cwd, env }: Place,
): RunningOnTerminal {
  const reactor = new Reactor();
  const { master, path } = openPty();
  // To be asked for a permission would be a fault: let it be seen.
  const { DENO_NO_PROMPT: _, ...inherited } = Deno.env.toObject();
  const pty = FileDescriptor.adopt(master);
  const pid = spawnOnTerminal(path, command, {
    args,
    cwd,
    env: { ...inherited, ...env },
  });
  const child = FileDescriptor.adopt(openPidfd(pid));
  return {
    pid,
    output: new Transcript(pty.readable({ reactor, preventClose: true })),
    type: (text) => void pty.write(encoder.encode(text)),
    resize: (columns, rows) => setWindowSize(master, columns, rows),
    // The leader of a session, and all who are with it.
    kill: () => void libc().kill(-pid, SIGKILL),
    async end() {
      await reactor.readable(child);
      const { code, signal } = reap(pid)!;
      child.close();
      pty.close();
      await reactor.close();
      return { status: code ?? 128 + signal!, complaints: "" };
    },
  };
}

/** How to run an example. */
export interface RunOptions<R extends Running> {
  /** Its arguments. The default is those in its header. */
  args?: string[];
  /** A shell's command line that runs it, as `"$@"`. */
  through?: string;
  /** More for its environment. */
  env?: Record<string, string>;
  /** The status that it is to end with. The default is 0. */
  status?: number;
  /** What it may complain of. The default is nothing. */
  complaints?: string;
  /** Whether processes that it started may outlive it for a moment. */
  orphans?: boolean;
  /** What to do with it, and in its folder, while it runs. */
  talk?: (example: R, folder: string) => Promise<void>;
}

/**
 * Runs an example to its end, in an empty folder that is its place for temporary
 * files as well, and sees that nothing is left behind.
 *
 * @returns What it printed.
 */
export async function run<R extends Running>(
  start: (place: Place) => R,
  name: string,
  options: RunOptions<R> = {},
): Promise<string> {
  const { flags, args } = commandOf(name);
  const program = `${root}/examples/${name}`;
  const command = [Deno.execPath(), "run", ...flags, program].concat(
    options.args ?? args,
  );
  if (options.through !== undefined) {
    command.unshift("sh", "-c", options.through, "sh");
  }
  const folder = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    const example = start({
      command: command[0]!,
      args: command.slice(1),
      cwd: folder,
      env: { DENO_NO_UPDATE_CHECK: "1", TMPDIR: folder, ...options.env },
    });
    const limit = setTimeout(() => example.kill(), PATIENCE);
    let failure: unknown;
    try {
      await options.talk?.(example, folder);
    } catch (error) {
      failure = error;
      example.kill();
    }
    const output = await example.output.whole();
    const end = await example.end();
    clearTimeout(limit);
    if (failure !== undefined) throw failure;
    const left = {
      files: [...Deno.readDirSync(folder)],
      processes: options.orphans ? "" : await processesIn(folder),
    };
    const { status = 0, complaints = "" } = options;
    assertEquals(
      { ...end, ...left },
      { status, complaints, files: [], processes: "" },
      `${name} printed:\n${output}`,
    );
    return output;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** The processes that work in a folder, as links of /proc. Empty on systems without that. */
async function processesIn(folder: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", 'ls -l /proc/[0-9]*/cwd | grep -F -- "-> $0"', folder],
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

/** Tests an example that needs what only Linux has. */
export function testOnLinux(name: string, fn: () => Promise<void>): void {
  const ignore = Deno.build.os !== "linux";
  if (ignore) console.log(`${name}: not run, because it needs Linux`);
  Deno.test({ name, ignore, fn });
}

/**
 * Tries whether keys, signals and the size of the terminal get through to a
 * shell. Begins before its first prompt, which must be `ready> `, and ends at
 * one.
 */
export async function tryShell(
  { output, type, resize }: RunningOnTerminal,
): Promise<void> {
  await output.until("ready> ");
  type("stty size; tty\n");
  await output.until("24 80");
  await output.until("/dev/pts/");
  // A child of the shell, because the signal goes to the foreground job.
  // What is waited for is not in the echo of what is typed.
  const loop = "echo go$((1)); while :; do sleep 0.1; done";
  type(`sh -c "trap 'stty size' WINCH; ${loop}"\n`);
  await output.until("go1");
  resize(120, 40);
  await output.until("40 120");
  type(CTRL_C);
  await output.until("ready> ");
}

/**
 * Asserts that a terminal was given back in the mode that it had, by what
 * `stty -a` prints of it after `echo "status $?"`. What was typed before is no
 * proof: it may well have the word "echo" in it.
 */
export function assertGivenBack(output: string): void {
  const settings = output.slice(output.lastIndexOf("status "));
  for (const setting of ["icanon", "echo", "isig"]) {
    assertMatch(settings, new RegExp(`(?<!-)\\b${setting}\\b`));
  }
}

/** Asserts that texts occur, one behind the other. */
export function assertInOrder(output: string, texts: string[]): void {
  let rest = output;
  for (const text of texts) {
    const at = rest.indexOf(text);
    assert(at >= 0, `No "${text}" in its place in:\n${output}`);
    rest = rest.slice(at + text.length);
  }
}
