/**
 * Tests with real toolkits. Each runs in a process of its own, since a toolkit
 * can be started once in a process and never leaves it.
 *
 * Where a library or a command is missing, its tests are ignored, under a name
 * that says which package to install. With TOOLKITS=required in the environment
 * that is an error instead: the continuous integration installs them all.
 *
 * @module
 */

import { childrenOf } from "../leftovers.ts";
import { assertCleanEnd } from "./assertions.ts";
import { Display } from "./display.ts";

/** Long enough for any program here; no test waits for it to pass. */
const PATIENCE = 90_000;

const root = new URL("../../", import.meta.url).pathname;

/** Debian's packages of the commands that every test with a window needs. */
const COMMANDS = { Xvfb: "xvfb", xdotool: "xdotool", import: "imagemagick" };

/** What a toolkit's tests need. */
export interface Needs {
  /** Debian's package by the file name of the library that it brings. */
  readonly libraries: Readonly<Record<string, string>>;
  /**
   * Whether they have windows.
   *
   * @default {true}
   */
  readonly windows?: boolean;
}

/** A program that has started, and how to end it. */
export interface Start {
  /** The program's file, from the project's folder. */
  readonly file: string;
  /** What comes after it. */
  readonly args?: readonly string[];
  /** The display to show its windows on. */
  readonly display?: Display;
  /**
   * The flags of its permissions.
   *
   * @default {["--allow-ffi", "--allow-env", "--allow-net=127.0.0.1"]}
   */
  readonly permissions?: readonly string[];
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How a program ended. */
export interface End {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Which packages are missing for the tests of a file. Call it at the top of the
 * file, and give the result to {@linkcode testToolkit}.
 */
export async function missingPackages(needs: Needs): Promise<string[]> {
  const missing = new Set<string>();
  if (needs.windows ?? true) {
    for (const [command, name] of Object.entries(COMMANDS)) {
      if (!await succeeds("sh", "-c", `command -v ${command}`)) {
        missing.add(name);
      }
    }
  }
  // In another process: a library that was opened here would stay.
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", PROBE, ...Object.keys(needs.libraries)],
    stdout: "piped",
  }).output();
  for (const library of JSON.parse(new TextDecoder().decode(stdout))) {
    missing.add(needs.libraries[library]!);
  }
  if (missing.size > 0 && Deno.env.get("TOOLKITS") === "required") {
    throw new Error(`Packages are missing: ${[...missing].join(", ")}`);
  }
  return [...missing];
}

const PROBE = `console.log(JSON.stringify(Deno.args.filter((name) => {
  try { Deno.dlopen(name, {}); return false; } catch { return true; }
})));`;

/** Declares a test, ignored if packages are missing. */
export function testToolkit(
  name: string,
  missing: readonly string[],
  fn: () => Promise<void>,
): void {
  const ignore = missing.length > 0;
  Deno.test({
    name: ignore ? `${name} (ignored: install ${missing.join(", ")})` : name,
    ignore,
    fn,
  });
}

/** Declares a test that has a display. */
export function testOnDisplay(
  name: string,
  missing: readonly string[],
  fn: (display: Display) => Promise<void>,
): void {
  testToolkit(name, missing, async () => {
    await using display = await Display.start();
    await fn(display);
  });
}

/** A program that is the whole of a test. */
export interface ProgramTest extends Start {
  /** The packages that are missing for it. */
  readonly missing: readonly string[];
  /** What it may complain of once. */
  readonly warnings?: RegExp;
}

/** Declares a test of one program, which has to end by itself and in peace. */
export function testProgram(
  name: string,
  test: ProgramTest,
  fn: (program: ToolkitProgram) => Promise<void>,
): void {
  testToolkit(name, test.missing, () => runToEnd(test, fn));
}

/** Declares a test of one program that has a display. */
export function testProgramOnDisplay(
  name: string,
  test: Omit<ProgramTest, "display">,
  fn: (program: ToolkitProgram, display: Display) => Promise<void>,
): void {
  testOnDisplay(
    name,
    test.missing,
    (display) => runToEnd({ ...test, display }, (p) => fn(p, display)),
  );
}

async function runToEnd(
  { missing: _, warnings, ...start }: ProgramTest,
  fn: (program: ToolkitProgram) => Promise<void>,
): Promise<void> {
  await using program = new ToolkitProgram(start);
  await fn(program);
  await assertCleanEnd(program, { warnings });
}

/** A program with a toolkit in it. */
export class ToolkitProgram implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stderr: Promise<string>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #stdout = "";
  #seen = 0;
  #ended = false;

  /** Starts it. */
  constructor(start: Start) {
    const {
      permissions = ["--allow-ffi", "--allow-env", "--allow-net=127.0.0.1"],
      args = [],
      env = {},
    } = start;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...permissions, start.file]
        .concat(args),
      cwd: root,
      env: {
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
        DISPLAY: start.display?.name ?? "",
        // What a desktop would give: neither is there in a test, and looking
        // for it takes seconds.
        GDK_BACKEND: "x11",
        GSK_RENDERER: "cairo",
        GTK_A11Y: "none",
        NO_AT_BRIDGE: "1",
        QT_QPA_PLATFORM: "xcb",
        LIBGL_ALWAYS_SOFTWARE: "1",
        ...env,
      },
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(PATIENCE),
    }).spawn();
    this.#stderr = new Response(this.#child.stderr).text();
    this.#reader = this.#child.stdout
      .pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** Waits for a line that begins with `word`, and returns the rest of it. */
  async line(word: string): Promise<string> {
    for (;;) {
      const end = this.#stdout.indexOf("\n", this.#seen);
      if (end >= 0) {
        const line = this.#stdout.slice(this.#seen, end);
        this.#seen = end + 1;
        if (line.startsWith(word)) return line.slice(word.length).trim();
        continue;
      }
      if (await this.#readMore()) continue;
      throw new Error(
        `The program ended without a line "${word}": ${this.#stdout}${await this
          .#stderr}`,
      );
    }
  }

  /** Waits for a line that begins with `word`, and reads the rest as JSON. */
  async json<T>(word: string): Promise<T> {
    return JSON.parse(await this.line(word));
  }

  /** Waits until it has ended by itself. */
  async end(): Promise<End> {
    while (await this.#readMore());
    const { code, signal } = await this.#child.status;
    this.#ended = true;
    return {
      code,
      signal,
      stdout: this.#stdout,
      stderr: await this.#stderr,
    };
  }

  /** Does what Ctrl-C does. */
  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  /** The processes that it has started and that are still there. */
  children(): Promise<number[]> {
    return childrenOf(this.#child.pid);
  }

  /** Ends it, if it has not ended by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It ended before anybody asked. What failed is told by the test.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.end();
  }

  async #readMore(): Promise<boolean> {
    const { value, done } = await this.#reader.read();
    if (done) return false;
    this.#stdout += value;
    return true;
  }
}

async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command(command, {
    args,
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}
