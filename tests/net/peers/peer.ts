/**
 * Programs that others wrote, as peers.
 *
 * They are started by a shell, since tests may run that and nothing else. It
 * looks for them where those for administrators are, too.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { deadline } from "@std/async";
import { Reactor } from "../../../mod.ts";
import { BACKENDS, PATIENCE } from "../../descriptors.ts";
import type { Setting } from "../../hosts.ts";
import { testToolkit } from "../../loops/toolkit.ts";

const SEARCH = 'PATH="$PATH:/usr/sbin:/sbin"';

/**
 * Which packages are missing for the tests of a file.
 *
 * @param commands Debian's package by the command that it brings.
 */
export async function missingPrograms(
  commands: Readonly<Record<string, string>>,
): Promise<string[]> {
  const missing = new Set<string>();
  for (const [command, name] of Object.entries(commands)) {
    const { code } = await new Deno.Command("sh", {
      args: ["-c", `${SEARCH}; command -v "$1"`, "sh", command],
      stdout: "null",
    }).output();
    if (code !== 0) missing.add(name);
  }
  if (missing.size > 0 && Deno.env.get("TOOLKITS") === "required") {
    throw new Error(`Packages are missing: ${[...missing].join(", ")}`);
  }
  return [...missing];
}

/** How {@linkcode testWithPeers} begins. */
export interface TestWithPeersOptions {
  /**
   * Whether the reactor runs on Deno's loop already.
   *
   * @default {true}
   */
  readonly started?: boolean;
}

/**
 * Declares a test for each backend, ignored if packages are missing. `onError`
 * must get nothing that the test has not taken out.
 */
export function testWithPeers(
  name: string,
  missing: readonly string[],
  fn: (setting: Omit<Setting, "host" | "run">) => Promise<void>,
  { started = true }: TestWithPeersOptions = {},
): void {
  for (const backend of BACKENDS) {
    testToolkit(`${name} [${backend}]`, missing, async () => {
      const errors: Setting["errors"] = [];
      await using reactor = new Reactor({
        backend,
        onError: (error, where) => errors.push({ error, where }),
      });
      if (started) reactor.interleave();
      await deadline(fn({ reactor, backend, errors }), PATIENCE);
      assertEquals(errors, []);
    });
  }
}

/** How a program is started. */
export interface PeerOptions {
  /** What it gets at once as its input, which then ends. */
  readonly input?: string | Uint8Array<ArrayBuffer>;
}

/** How a program ended, and what it has printed. */
export interface End {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: Uint8Array<ArrayBuffer>;
  readonly stderr: string;
}

/** A program that runs. */
export class Peer implements AsyncDisposable {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #ended = false;

  /** Starts it. */
  constructor(
    command: string,
    args: readonly string[],
    { input }: PeerOptions = {},
  ) {
    this.#child = new Deno.Command("sh", {
      args: ["-c", `${SEARCH}; exec "$@"`, "sh", command, ...args],
      env: { LC_ALL: "C" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(PATIENCE),
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    // What fails when nobody listens any more is told by those who wait for it.
    this.#input.closed.catch(() => {});
    this.stdout = new Output(this.#child.stdout);
    this.stderr = new Output(this.#child.stderr);
    if (input !== undefined) {
      this.write(input).then(() => this.closeInput()).catch(() => {});
    }
  }

  /** Gives it some input. */
  async write(data: string | Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#input.write(
      typeof data === "string" ? new TextEncoder().encode(data) : data,
    );
  }

  /** Ends its input. */
  async closeInput(): Promise<void> {
    await this.#input.close();
  }

  /** Sends it a signal, which it must still be there for. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits until it has ended. */
  async end(): Promise<End> {
    const { code, signal } = await this.#child.status;
    this.#ended = true;
    return {
      code,
      signal,
      stdout: await this.stdout.bytes(),
      stderr: new TextDecoder().decode(await this.stderr.bytes()),
    };
  }

  /** Ends it, if it has not ended by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) {
      try {
        this.#child.kill("SIGKILL");
      } catch (error) {
        // It ended before anybody asked. What failed is told by the test.
        if (!(error instanceof TypeError)) throw error;
      }
      await this.end();
    }
    await this.#input.abort().catch(() => {});
  }
}

/** Runs a program to its end, whatever that is. */
export async function run(
  command: string,
  args: readonly string[],
  options: PeerOptions = {},
): Promise<End & { text: string }> {
  await using peer = new Peer(command, args, { input: "", ...options });
  const end = await peer.end();
  return { ...end, text: new TextDecoder().decode(end.stdout) };
}

/** What a program prints, read as it comes. */
export class Output {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];
  readonly #reading: Promise<void>;
  #text = "";
  #ended = false;
  #news = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reading = this.#read(stream);
  }

  /** Waits until something is printed, after what was waited for before. */
  async printed(words: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = words.exec(this.#text);
      if (found !== null) {
        this.#text = this.#text.slice(found.index + found[0].length);
        return found;
      }
      if (this.#ended) {
        throw new Error(`It ended without printing ${words}: ${this.#text}`);
      }
      await this.#news.promise;
    }
  }

  /** Everything, when there is no more. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    await this.#reading;
    return new Uint8Array(await new Blob(this.#parts).arrayBuffer());
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const part of stream) {
      this.#parts.push(part);
      this.#text += decoder.decode(part, { stream: true });
      this.#tell();
    }
    this.#ended = true;
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
