// The worker that fetches for a program whose main thread belongs to a toolkit.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { deadline, delay } from "@std/async";
import {
  type FetchResult,
  FetchWorker,
} from "../../examples/loops/fetch_in_worker.ts";
import { isOpen } from "../../ffi/descriptor.ts";
import { BlockingQueue, Reactor } from "../../mod.ts";

/** Longer than anything here takes; no test waits for it to pass. */
const PATIENCE = 30_000;

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
assertEquals(isOpen(-1), false);

/** A worker on Deno's loop, and a server to fetch from. */
class Bench implements AsyncDisposable {
  readonly errors: unknown[] = [];
  readonly reactor = new Reactor({ onError: (e) => this.errors.push(e) });
  readonly worker: FetchWorker;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(handler: (request: Request) => Response | Promise<Response>) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      handler,
    );
    this.reactor.interleave();
    this.worker = new FetchWorker(this.reactor);
  }

  /** Where the server is. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  fetch(url: string): Promise<FetchResult> {
    return deadline(
      new Promise((resolve) => this.worker.fetch(url, resolve)),
      PATIENCE,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.worker[Symbol.dispose]();
    await this.worker.ended;
    await this.reactor.close();
    await this.#server.shutdown();
  }
}

Deno.test("FetchWorker fetches a text, however long", async () => {
  const page = "<p>Ein Käfer, 🐞</p>\n".repeat(500_000);
  await using bench = new Bench(() => new Response(page));
  const [one, two] = await Promise.all([
    bench.fetch(bench.url),
    bench.fetch(bench.url),
  ]);
  assert("text" in one && one.text === page);
  assert("text" in two && two.text === page);
});

Deno.test("FetchWorker tells what went wrong", async () => {
  await using bench = new Bench(() => new Response("none", { status: 404 }));
  assertEquals(await bench.fetch(bench.url), { error: "404 Not Found" });
  assertEquals(await bench.fetch("here"), { error: "Invalid URL: 'here'" });
  const { port } = unusedAddress();
  const result = await bench.fetch(`http://127.0.0.1:${port}/`);
  assert("error" in result);
  assertMatch(result.error, /Connection refused/);
});

Deno.test("FetchWorker gives up when it is told to", async () => {
  await using bench = new Bench(() => new Response("quick"));
  // Never answers, and sees when nobody waits for an answer any more.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let called = 0;
  const giveUp = bench.worker.fetch(
    `http://127.0.0.1:${listener.addr.port}/`,
    () => called++,
  );
  using connection = await deadline(listener.accept(), PATIENCE);
  giveUp();
  giveUp();
  const buffer = new Uint8Array(4096);
  while (await deadline(connection.read(buffer), PATIENCE) !== null);
  assertEquals(await bench.fetch(bench.url), { text: "quick" });
  assertEquals(called, 0);
});

Deno.test("FetchWorker lets a callback throw, and goes on", async () => {
  await using bench = new Bench(() => new Response("page"));
  bench.worker.fetch(bench.url, () => {
    throw new Error("on purpose");
  });
  assertEquals(await bench.fetch(bench.url), { text: "page" });
  assertEquals(await bench.fetch(bench.url), { text: "page" });
  assertEquals(bench.errors.map(String), ["Error: on purpose"]);
});

Deno.test("FetchWorker works while Deno's loop stands still", async () => {
  const reactor = new Reactor();
  const queue = new BlockingQueue();
  reactor.interleave(queue);
  using worker = new FetchWorker(reactor);
  let ticked = false;
  const timer = setTimeout(() => ticked = true, 0);
  let result: FetchResult | undefined;
  worker.fetch("data:text/plain,page", (got) => result = got);
  while (result === undefined) {
    const work = queue.get(PATIENCE);
    assert(work !== undefined);
    work();
  }
  assertEquals(result, { text: "page" });
  assertEquals(ticked, false);
  clearTimeout(timer);
  await reactor.close();
  await deadline(worker.ended, PATIENCE);
});

Deno.test("FetchWorker ends with its reactor", async () => {
  await using bench = new Bench(() => new Response("page"));
  let called = 0;
  bench.worker.fetch(bench.url, () => called++);
  bench.reactor.stop();
  await deadline(bench.worker.ended, PATIENCE);
  assertEquals(called, 0);
  assertThrows(
    () => bench.worker.fetch(bench.url, () => {}),
    Deno.errors.BadResource,
    "Cannot fetch: the worker has ended",
  );
});

Deno.test("FetchWorker leaves no descriptor and no thread behind", async () => {
  await useOnce();
  const before = await count();
  for (let i = 0; i < 10; i++) await useOnce();
  // What a thread held goes away a moment after its end was told.
  await deadline(
    (async () => {
      while (isMore(await count(), before)) await delay(10);
    })(),
    PATIENCE,
  );

  async function useOnce() {
    await using reactor = new Reactor();
    reactor.interleave();
    const worker = new FetchWorker(reactor);
    await new Promise<FetchResult>((resolve) =>
      worker.fetch("data:text/plain,page", resolve)
    );
    worker[Symbol.dispose]();
    worker[Symbol.dispose]();
    await worker.ended;
  }
});

/** An address at which nobody listens. */
function unusedAddress(): Deno.NetAddr {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr as Deno.NetAddr;
}

/** How many descriptors and threads a process has. */
interface Count {
  descriptors: number;
  threads: number;
}

function isMore(now: Count, before: Count): boolean {
  return now.descriptors > before.descriptors || now.threads > before.threads;
}

async function count(): Promise<Count> {
  let descriptors = 0;
  for (let fd = 0; fd < 1024; fd++) if (isOpen(fd)) descriptors++;
  // Deno reads that folder itself only with every permission there is.
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", "ls /proc/$PPID/task"],
    stdout: "piped",
  }).output();
  const threads = new TextDecoder().decode(stdout).trim().split("\n").length;
  return { descriptors, threads };
}
