// Very many reactors: one after another, at once, in web workers, and on one
// descriptor.

import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { BlockingQueue, FileDescriptor, Reactor } from "../mod.ts";
import { type Backend, BACKENDS, PATIENCE, until } from "./descriptors.ts";
import { hasEnded, underCoverage } from "./hosts.ts";
import { assertNothingLeft, countAtRest } from "./leftovers.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";
import { Dropped } from "./soak/dropped.ts";
import { collectGarbage } from "./soak/garbage.ts";
import type { Answer, Order } from "./soak/reactor_worker.ts";
import { withWorkers } from "./workers.ts";

const MB = 2 ** 20;

const ROOT = new URL("..", import.meta.url).pathname;

/** How many reactors there are, one after another, without a worker. */
const MANY = underCoverage ? 1000 : 10_000;

/** How many of those that need one. */
const WITH_WORKER = underCoverage ? 10 : 100;

if (underCoverage) {
  console.log("Cut short: fewer reactors, while coverage is measured");
}

/** Gives a reactor one event, and waits until it has served it. */
type Serve = (reactor: Reactor, pipe: Pipe) => Promise<void>;

/** Adds a reader for one byte, which is there. */
function ring(reactor: Reactor, pipe: Pipe, onRing: () => void): void {
  reactor.addReader(pipe.reader(onRing));
  pipe.fill();
}

/** On Deno's own loop. */
const RUN: Serve = async (reactor, pipe) => {
  ring(reactor, pipe, () => reactor.stop());
  await reactor.run({ signals: false });
};

/** By calls of `iterate` alone. */
const ITERATE: Serve = async (reactor, pipe) => {
  ring(reactor, pipe, () => reactor.stop());
  do reactor.iterate(PATIENCE); while (!hasEnded(reactor));
  await reactor.finished;
};

/** In a program that blocks, which takes a worker from the beginning. */
const QUEUE: Serve = async (reactor, pipe) => {
  const queue = new BlockingQueue();
  reactor.interleave(queue);
  ring(reactor, pipe, () => reactor.stop());
  while (!hasEnded(reactor)) queue.get(PATIENCE)?.();
  await reactor.finished;
};

interface Memory {
  readonly heap: number;
  readonly rss: number;
}

async function measureMemory(): Promise<Memory> {
  await collectGarbage();
  const { heapUsed: heap, rss } = Deno.memoryUsage();
  return { heap, rss };
}

/**
 * Lets one reactor after another serve an event. None of them may be held by
 * anybody afterwards, and what there is in all must not grow from the first
 * quarter on by more than so many bytes for each.
 */
async function oneAfterAnother(
  backend: Backend,
  serve: Serve,
  { times, heapOfEach, memoryOfEach }: {
    times: number;
    heapOfEach: number;
    memoryOfEach: number;
  },
): Promise<void> {
  const left = await countAtRest();
  const dropped = new Dropped();
  using pipe = new Pipe();
  let before: Memory | undefined;
  for (let i = 0; i < times; i++) {
    if (i === times / 4 >> 0) before = await measureMemory();
    const reactor = new Reactor({ backend });
    dropped.add("reactor", reactor);
    await serve(reactor, pipe);
    await reactor.close();
  }
  const after = await measureMemory();
  await assertHeldByNobody(dropped);
  const grown = {
    heap: after.heap - before!.heap,
    rss: after.rss - before!.rss,
  };
  console.log(
    `heap ${(grown.heap / MB).toFixed(2)} MB, memory ${
      (grown.rss / MB).toFixed(2)
    } MB`,
  );
  assertLess(grown.heap, MB + times * heapOfEach);
  assertLess(grown.rss, 16 * MB + times * memoryOfEach);
  pipe[Symbol.dispose]();
  await assertNothingLeft(left);
}

/** The last of them may still be on the stack of something. */
async function assertHeldByNobody(dropped: Dropped): Promise<void> {
  for (let i = 0; i < 10 && dropped.size > 0; i++) await collectGarbage();
  assertLess(dropped.size, 3, `${dropped}`);
}

for (const backend of BACKENDS) {
  // With the poll set, Deno's loop takes a worker from the beginning.
  const hosts = backend === "poll" ? { "iterate()": ITERATE } : {
    "run()": RUN,
    "iterate()": ITERATE,
  };
  for (const [host, serve] of Object.entries(hosts)) {
    Deno.test(`${MANY} reactors, one after another, serve an event each and leave nothing behind [${backend}, ${host}]`, () =>
      withWorkers(async (workers) => {
        await oneAfterAnother(backend, serve, {
          times: MANY,
          heapOfEach: 100,
          memoryOfEach: 1000,
        });
        // One may start on a machine that stands still for a moment.
        assertLess(workers.length, MANY / 10);
      }));
  }

  // Nobody looks at the workers here: who holds one holds its reactor, too.
  Deno.test(`${WITH_WORKER} reactors that need a worker, one after another, leave nothing behind [${backend}]`, () =>
    oneAfterAnother(backend, QUEUE, {
      times: WITH_WORKER,
      heapOfEach: 10_000,
      memoryOfEach: 100_000,
    }));
}

Deno.test("100 reactors at once, on both backends, serve one another's events", async () => {
  const left = await countAtRest();
  const count = underCoverage ? 10 : 100;
  const laps = 5;
  const { promise, resolve } = Promise.withResolvers<void>();
  const pipes = Array.from({ length: count }, () => new Pipe());
  const served = new Array<number>(count).fill(0);
  const reactors = pipes.map((pipe, i) => {
    const reactor = new Reactor({ backend: BACKENDS[i % BACKENDS.length]! });
    const next = pipes[(i + 1) % count]!;
    reactor.addReader(pipe.reader(() => {
      served[i]!++;
      if (i === count - 1 && served[i] === laps) resolve();
      else next.fill();
    }));
    reactor.interleave();
    return reactor;
  });
  pipes[0]!.fill();
  await deadline(promise, 3 * PATIENCE);
  assertEquals(served, new Array(count).fill(laps));
  await Promise.all(reactors.map((reactor) => reactor.close()));
  for (const pipe of pipes) pipe[Symbol.dispose]();
  await assertNothingLeft(left);
});

/** A web worker with a reactor. */
class WorkerWithReactor implements Disposable {
  readonly answers: Answer[] = [];
  readonly #worker = new Worker(
    new URL("./soak/reactor_worker.ts", import.meta.url),
    { type: "module" },
  );

  constructor() {
    this.#worker.onmessage = ({ data }) => this.answers.push(data);
  }

  tell(order: Order): void {
    this.#worker.postMessage(order);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

Deno.test("reactors in web workers have their own events, beside one on the main thread", async () => {
  const left = await countAtRest();
  const workers = [...BACKENDS, ...BACKENDS].map((backend, number) => {
    const worker = new WorkerWithReactor();
    worker.tell({ backend, number });
    return worker;
  });
  await using reactor = new Reactor();
  let ticks = 0;
  const tick = () => {
    ticks++;
    reactor.callLater(1, tick);
  };
  tick();
  reactor.interleave();
  await until(() => workers.every(({ answers }) => answers.length >= 20));
  for (const worker of workers) worker.tell("end");
  await until(() => workers.every(({ answers }) => answers.at(-1) === "ended"));
  workers.forEach(({ answers }, number) =>
    assertEquals(new Set(answers.slice(0, -1)), new Set([number]))
  );
  assert(ticks > 1);
  for (const worker of workers) worker[Symbol.dispose]();
  await reactor.close();
  await assertNothingLeft(left);
});

for (const backend of BACKENDS) {
  Deno.test(`web workers can be terminated in the middle of what their reactors do [${backend}]`, async () => {
    const url = new URL("./soak/reactor_worker.ts", import.meta.url);
    const { code, signal, stdout, stderr } = await runProgram(
      `
      const { reactor } = interleave;
      const { promise, resolve } = Promise.withResolvers();
      let ended = 0;
      for (let number = 0; number < 4; number++) {
        const worker = new Worker("${url}", { type: "module" });
        let answers = 0;
        worker.onmessage = ({ data }) => {
          if (data !== number) throw new Error(\`\${data}\`);
          if (++answers < 20 * (number + 1)) return;
          worker.terminate();
          if (++ended === 4) resolve();
        };
        worker.postMessage({ backend: "${backend}", number });
      }
      await promise;
      // And the program's own reactor goes on.
      for (let i = 0; i < 20; i++) {
        const [here, there] = interleave.FileDescriptor.socketpair();
        reactor.callLater(1, () => there.write(new Uint8Array(1)));
        await reactor.readable(here);
        here.close();
        there.close();
      }
      console.log("alive");`,
      { permissions: ["--allow-ffi", `--allow-read=${ROOT}`] },
    );
    assertEquals({ code, signal, stderr }, {
      code: 0,
      signal: null,
      stderr: "",
    });
    assertStringIncludes(stdout, "alive");
  });
}

const PAIRS = BACKENDS.flatMap((one) =>
  BACKENDS.map((other) => [one, other] as const)
);

for (const [one, other] of PAIRS) {
  Deno.test(`two reactors that watch one descriptor are both told, and neither leaves with the other [${one}, ${other}]`, async () => {
    const left = await countAtRest();
    const first = new Reactor({ backend: one });
    const second = new Reactor({ backend: other });
    const pipe = new Pipe();
    const byte = new Uint8Array(1);

    const both = Promise.all([
      first.readable(pipe.output),
      second.readable(pipe.output),
    ]);
    pipe.fill();
    const answers = await deadline(both, PATIENCE);
    assert(answers.every(({ readable }) => readable));
    assertEquals(pipe.output.read(byte), 1);
    assertThrows(() => pipe.output.read(byte), Deno.errors.WouldBlock);

    // What one of them gives up, the other keeps.
    const controller = new AbortController();
    const { signal } = controller;
    const given = first.readable(pipe.output, { signal });
    const kept = second.readable(pipe.output);
    controller.abort(new Error("given up"));
    await assertRejects(() => given, Error, "given up");
    pipe.fill();
    assert((await deadline(kept, PATIENCE)).readable);
    pipe.output.read(byte);

    // The end of one reactor is not the other's.
    const rest = second.readable(pipe.output);
    await first.close();
    pipe.fill();
    assert((await deadline(rest, PATIENCE)).readable);
    await second.close();
    pipe[Symbol.dispose]();
    await assertNothingLeft(left);
  });

  Deno.test(`two reactors that watch one descriptor both hear that it is closed [${one}, ${other}]`, async () => {
    const left = await countAtRest();
    const first = new Reactor({ backend: one });
    const second = new Reactor({ backend: other });
    const [here, there] = FileDescriptor.socketpair();
    const waits = [first, second].map((reactor) =>
      assertRejects(() => reactor.readable(here), Deno.errors.BadResource)
    );
    const lost: string[] = [];
    for (const reactor of [first, second]) {
      reactor.addWriter({
        fileno: () => here.fileno(),
        doWrite() {},
        connectionLost: ({ name }) => lost.push(name),
      });
    }
    here.close();
    await deadline(Promise.all(waits), PATIENCE);
    await until(() => lost.length === 2);
    assertEquals(lost, ["ConnectionLost", "ConnectionLost"]);
    await first.close();
    await second.close();
    there.close();
    await assertNothingLeft(left);
  });
}
