/**
 * Ten thousand connections: a server and a client, each a process of its own
 * with one reactor. The programs are in `programs/`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { BACKENDS } from "../descriptors.ts";

/** How many there are to be. */
const WANTED = 10_000;
/** What a process needs besides: Deno's own, the reactor's, a few more. */
const OTHERS = 100;

/** Far longer than it takes; no test waits for it to pass. */
const PATIENCE = 120_000;

/** Raises the limit of descriptors as far as is needed, or else as it goes. */
const RAISE = `ulimit -n ${WANTED + OTHERS} 2>/dev/null ||
  ulimit -n "$(ulimit -H -n)"`;

/** A program that is talked to by lines. */
class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(name: string, ...args: string[]) {
    const file = new URL(`programs/${name}.ts`, import.meta.url).pathname;
    this.#child = new Deno.Command("sh", {
      // deno-fmt-ignore
      args: [
        "-c", `${RAISE}; exec "$@"`, "sh", Deno.execPath(), "run", "--quiet",
        "--no-prompt", "--allow-ffi", "--v8-flags=--expose-gc", file, ...args,
      ],
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdin: "piped",
      stdout: "piped",
      signal: AbortSignal.timeout(PATIENCE),
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** What it says next. */
  async told<T>(): Promise<T> {
    while (!this.#text.includes("\n")) {
      const { value } = await this.#output.read();
      if (value === undefined) throw new Error("The program has ended");
      this.#text += value;
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return JSON.parse(line);
  }

  /** Tells it to go on, and waits for what it says. */
  async ask<T>(): Promise<T> {
    await this.#input.write(new TextEncoder().encode("go on\n"));
    return this.told();
  }

  /** Lets it end, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // It is gone already.
    await this.#output.cancel();
    await this.#child.status;
  }
}

/** How many connections a process may have. */
async function possible(): Promise<number> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", `${RAISE}; ulimit -n`],
  }).output();
  const limit = Number(new TextDecoder().decode(stdout));
  if (limit >= WANTED + OTHERS) return WANTED;
  console.log(`The system allows ${limit} descriptors: fewer connections`);
  return limit - OTHERS;
}

for (const backend of BACKENDS) {
  Deno.test(`${WANTED} connections are held open, and each is served in its turn beside greedy ones [${backend}]`, async () => {
    const number = await possible();
    await using server = new Program("many_server", backend);
    const { port } = await server.told<{ port: number }>();
    const empty = await server.ask<{ connections: number; memory: number }>();
    assertEquals(empty.connections, 0);

    await using client = new Program(
      "many_client",
      backend,
      `${port}`,
      `${number}`,
    );
    const { connected, time } = await client.told<
      { connected: number; time: number }
    >();
    assertEquals(connected, number);
    const { waits, portions, before, memory } = await client.ask<
      { waits: number[]; portions: number[]; before: number; memory: number }
    >();
    const full = await server.ask<{ connections: number; memory: number }>();
    assertEquals(full.connections, number);
    assert(portions.every((count) => count > 0), `${portions}`);

    const each = (bytes: number) => `${(bytes / number / 1024).toFixed(1)} KiB`;
    console.log(
      `${number} connections [${backend}], made in ${time.toFixed(0)} ms; ` +
        `an idle one takes ${each(full.memory - empty.memory)} of memory in ` +
        `the server, ${each(memory - before)} in the client; all were served ` +
        `within ${
          waits.map((wait) => wait.toFixed(0)).join(", ")
        } ms, beside ` +
        `${portions.join(", ")} portions of 64 KiB`,
    );
  });
}
