// The work item, without a reactor: a script in place of its rounds, but a real
// set and a real worker. And what a reactor does when its worker dies.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { EpollSet } from "../ffi/epoll_set.ts";
import { PollSet } from "../ffi/poll_set.ts";
import type { ReadinessSet } from "../ffi/readiness_set.ts";
import { Attachments } from "../src/attachments.ts";
import { BlockingQueue } from "../src/blocking_queue.ts";
import {
  ReactorAlreadyRunning,
  ReactorFailed,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "../src/errors.ts";
import type { Reactor } from "../src/reactor.ts";
import {
  type Budget,
  type Counters,
  type Rounds,
  TurnLoop,
} from "../src/turn.ts";
import { BACKENDS, PATIENCE } from "./descriptors.ts";
import { testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";
import { untilStarted, withWorkers } from "./workers.ts";

const NO_LOOPS = new Attachments({
  wake() {},
  reconsider() {},
  refsChanged() {},
  report() {},
});

/** A loop whose rounds do what the test says. */
class Bench implements Rounds, AsyncDisposable {
  readonly set: ReadinessSet;
  readonly loop: TurnLoop;
  readonly counters: Counters = {
    turns: 0,
    rounds: 0,
    inlineHits: 0,
    events: 0,
    parks: 0,
    wakes: 0,
    spins: 0,
    slowRounds: 0,
    overdue: 0,
  };
  readonly reported: { error: unknown; where: string }[] = [];
  readonly failures: Error[] = [];
  /** How long rounds took that were worth a word. */
  readonly tooLong: number[] = [];
  /** How many callbacks there are to run, one in each round. */
  left = 0;
  /** The time of the nearest timer, as `performance.now()` tells it. */
  timer = Infinity;
  /** What else happens in a round. */
  inRound: () => void = () => {};
  /** What else happens at a report. */
  atReport: () => void = () => {};
  #happened = Promise.withResolvers<void>();

  constructor(
    backend: "epoll" | "poll",
    budget: Budget = { ms: 60_000, events: Infinity },
  ) {
    this.set = backend === "epoll" ? new EpollSet() : new PollSet();
    this.loop = new TurnLoop(
      this,
      this.set,
      NO_LOOPS,
      { budget },
      this.counters,
    );
    this.loop.keepAlive(true);
  }

  begin(): void {}

  end(): void {}

  round(): number {
    this.#happen();
    this.inRound();
    if (this.timer <= performance.now()) this.timer = Infinity;
    if (this.left === 0) return 0;
    this.left--;
    return 1;
  }

  timeout(): number {
    if (this.left > 0) return 0;
    if (this.timer === Infinity) return -1;
    return Math.max(0, this.timer - performance.now());
  }

  deadline(): number {
    return this.timer;
  }

  expects(): boolean {
    return true;
  }

  report(error: unknown, where: string): void {
    this.reported.push({ error, where });
    this.atReport();
    this.#happen();
  }

  failed(error: Error): void {
    this.failures.push(error);
    void this.loop.end(); // As a reactor does.
    this.#happen();
  }

  slow(ms: number): void {
    this.tooLong.push(ms);
  }

  overdue(): void {}

  /** Gives the loop something to do. */
  work(count: number): void {
    this.left = count;
    this.loop.wake();
  }

  /**
   * Waits until a condition holds, which only what happens here can bring
   * about.
   */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await deadline(this.#happened.promise, PATIENCE);
      await new Promise((resolve) => setTimeout(resolve)); // The turn ends.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await deadline(this.loop.end(), PATIENCE);
    this.set.close();
  }

  #happen(): void {
    this.#happened.resolve();
    this.#happened = Promise.withResolvers<void>();
  }
}

function testLoop(
  name: string,
  fn: (bench: Bench) => Promise<void> | void,
  budget?: Budget,
): void {
  for (const backend of BACKENDS) {
    Deno.test(`${name} [${backend}]`, async () => {
      await using bench = new Bench(backend, budget);
      await fn(bench);
      assertEquals(bench.reported, []);
      assertEquals(bench.failures, []);
    });
  }
}

testLoop(
  "TurnLoop runs a turn when it is woken, and parks again",
  async (bench) => {
    const { loop, counters } = bench;
    loop.enter("deno");
    loop.park();
    assertEquals([counters.turns, counters.parks, counters.wakes], [0, 1, 0]);
    for (let i = 1; i <= 3; i++) {
      loop.wake();
      await bench.until(() => counters.parks === i + 1);
      assertEquals([counters.turns, counters.wakes], [i, i]);
    }
  },
);

testLoop(
  "TurnLoop goes on inside a work item while there is something to do",
  async (bench) => {
    const { loop, counters } = bench;
    loop.enter("deno");
    loop.park();
    bench.work(4);
    await bench.until(() => bench.left === 0);
    assertEquals(counters, {
      turns: 1,
      rounds: 4,
      inlineHits: 3,
      events: 4,
      parks: 2,
      wakes: 1,
      spins: 0,
      slowRounds: 0,
      overdue: 0,
    });
  },
);

testLoop(
  "TurnLoop gives way when its budget of callbacks is spent",
  async (bench) => {
    const { loop, counters } = bench;
    loop.enter("deno");
    loop.park();
    bench.work(6);
    await bench.until(() => bench.left === 0);
    // One more may look, and find nothing.
    const { turns, rounds } = counters;
    assert(turns === 3 && rounds === 6 || turns === 4 && rounds === 7);
  },
  { ms: 60_000, events: 2 },
);

testLoop(
  "TurnLoop gives way when its budget of time is spent",
  async (bench) => {
    const { loop, counters } = bench;
    loop.enter("deno");
    loop.park();
    // Deno's own work gets in between.
    let timers = 0;
    const timer = setInterval(() => timers++);
    bench.work(1_000_000);
    await bench.until(() => timers > 3);
    clearInterval(timer);
    bench.left = 0;
    assertEquals(counters.turns, counters.rounds);
  },
  { ms: 0, events: Infinity },
);

testLoop(
  "TurnLoop runs a turn when a timer is due, and when one comes nearer (contract 78)",
  async (bench) => {
    const { loop, counters } = bench;
    bench.timer = performance.now() + 10;
    loop.enter("deno");
    loop.park();
    await bench.until(() => bench.timer === Infinity);

    bench.timer = performance.now() + 300_000;
    loop.timerSooner();
    const { timer } = bench;
    bench.timer = performance.now() + 10;
    loop.timerSooner();
    await bench.until(() => bench.timer === Infinity || bench.timer === timer);
    await bench.until(() => bench.timer === Infinity);
    assertGreaterOrEqual(counters.turns, 2);
  },
);

testLoop(
  "TurnLoop.wake() does nothing in a turn, or before the host has run the last work item (contract 162)",
  async (bench) => {
    const { loop, counters } = bench;
    const given: (() => void)[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    loop.enter((work) => {
      given.push(work);
      resolve();
    });
    loop.park();
    loop.wake();
    await promise;
    for (let i = 0; i < 5; i++) loop.wake();
    loop.timerSooner();
    bench.inRound = () => {
      assert(loop.isRunning);
      loop.wake();
      loop.timerSooner();
    };
    given[0]!();
    assertEquals(counters.wakes, 1);
    assertEquals(counters.turns, 1);
    assertFalse(loop.isRunning);
  },
);

testLoop("TurnLoop.iterate() throws in a turn", (bench) => {
  const { loop } = bench;
  loop.enter("iterate");
  loop.park();
  let thrown: unknown;
  bench.inRound = () => {
    thrown = assertThrows(() => loop.iterate(0), ReactorAlreadyRunning);
  };
  loop.iterate(0);
  assertInstanceOf(thrown, ReactorAlreadyRunning);
});

testLoop(
  "TurnLoop.end() in a turn leaves nothing that runs (contract 12, 166)",
  async (bench) => {
    const { loop, counters } = bench;
    let ended: Promise<void> | undefined;
    let item: (() => void) | undefined;
    loop.enter((work) => {
      item = work;
      queueMicrotask(work);
    });
    loop.park();
    bench.inRound = () => {
      ended = loop.end();
    };
    bench.work(5);
    await bench.until(() => ended !== undefined);
    await ended;
    const after = { ...counters };
    item!();
    loop.wake();
    loop.park();
    loop.timerSooner();
    assertEquals(counters, after);
    assertEquals(counters.rounds, 1);
  },
);

testLoop(
  "TurnLoop reports a round that throws, and parks again (contract 168)",
  async (bench) => {
    const { loop, counters } = bench;
    const reason = new Error("round");
    loop.enter("deno");
    loop.park();
    bench.inRound = () => {
      throw reason;
    };
    loop.wake();
    await bench.until(() => counters.parks === 2);
    assertEquals(bench.reported.splice(0), [{ error: reason, where: "turn" }]);
    bench.inRound = () => {};
    loop.wake();
    await bench.until(() => counters.parks === 3);
  },
);

testLoop(
  "TurnLoop fails after three turns in a row that throw, instead of trying for ever",
  async (bench) => {
    const { loop, counters } = bench;
    const reason = new Error("round");
    loop.enter("deno");
    loop.park();
    const turn = async (inRound: () => void) => {
      const turns = counters.turns + 1;
      bench.inRound = inRound;
      loop.wake();
      await bench.until(() => counters.turns === turns);
    };
    const broken = () => {
      throw reason;
    };
    // A good one in between, and the count begins anew.
    for (const inRound of [broken, broken, () => {}, broken, broken]) {
      await turn(inRound);
    }
    assertEquals(bench.failures, []);
    await turn(broken);
    assertEquals(bench.failures.splice(0), [reason]);
    assertEquals(
      bench.reported.splice(0),
      Array(5).fill({ error: reason, where: "turn" }),
    );
  },
);

testLoop(
  "TurnLoop.enter() makes the old host's work item void (contract 166)",
  async (bench) => {
    const { loop, counters } = bench;
    let item: (() => void) | undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    loop.enter((work) => {
      item = work;
      resolve();
    });
    loop.park();
    bench.work(1);
    await promise;
    loop.enter("deno");
    item!();
    assertEquals(counters.turns, 0);
    await bench.until(() => counters.turns > 0);
    assertEquals(bench.left, 0);
    const { turns } = counters;
    item!();
    assertEquals(counters.turns, turns);
  },
);

testLoop(
  "TurnLoop.enter() changes nothing when the queue is another's (contract 8)",
  async (bench) => {
    const { loop, counters } = bench;
    const queue = new BlockingQueue();
    queue.attach({ wait: () => undefined });
    loop.enter("deno");
    loop.park();
    assertThrows(() => loop.enter(queue), ReactorAlreadyRunning);
    assertStrictEquals(loop.host, "deno");
    bench.work(1);
    await bench.until(() => counters.turns === 1);
  },
);

testLoop(
  "TurnLoop.keepAlive() may be told twice, before and after the worker's start",
  async (bench) => {
    const { loop, counters } = bench;
    for (const on of [true, false, true]) loop.keepAlive(on);
    loop.enter("deno");
    loop.park();
    for (const on of [true, false, false, true]) loop.keepAlive(on);
    bench.work(1);
    await bench.until(() => counters.turns === 1);
  },
);

// A worker that dies

/**
 * Makes the worker's next wait throw, by giving it something that is no table.
 * Returns what cures it.
 */
function poison(set: ReadinessSet): () => void {
  const { table } = set;
  const writable = set as { table: Int32Array };
  writable.table = {} as Int32Array;
  return () => writable.table = table;
}

testLoop(
  "TurnLoop replaces a worker that died, as often as the new one has proved itself",
  async (bench) => {
    const { loop, counters, set } = bench;
    loop.enter("deno");
    loop.park();
    for (let i = 1; i <= 3; i++) {
      bench.work(1);
      await bench.until(() => bench.left === 0);
      bench.atReport = poison(set);
      const { turns } = counters;
      loop.wake(); // Its turn ends with the arming that kills the worker.
      await bench.until(() => bench.reported.length > 0);
      const [{ error, where } = {}, ...more] = bench.reported.splice(0);
      assertInstanceOf(error, TypeError);
      assertEquals(where, "worker");
      assertEquals(more, []);
      assertEquals(counters.turns, turns + 1);
    }
    bench.work(1);
    await bench.until(() => bench.left === 0);
    assertEquals(bench.failures, []);
  },
);

testLoop("TurnLoop fails when the new worker dies, too", async (bench) => {
  const { loop, set } = bench;
  loop.enter("deno");
  loop.park();
  bench.work(1);
  await bench.until(() => bench.left === 0);
  const cure = poison(set);
  loop.wake();
  await bench.until(() => bench.failures.length > 0);
  cure();
  assertEquals(bench.reported.splice(0).length, 1);
  assertEquals(bench.failures.splice(0).length, 1);
});

testLoop(
  "TurnLoop fails in a blocking host when the new worker dies, too",
  (bench) => {
    const { loop, set } = bench;
    const queue = new BlockingQueue();
    loop.enter(queue);
    loop.park();
    bench.work(1);
    while (bench.left > 0) queue.get(PATIENCE)!();
    const cure = poison(set);
    loop.wake();
    queue.get(PATIENCE)!();
    const end = performance.now() + PATIENCE;
    while (bench.failures.length === 0 && performance.now() < end) {
      assertStrictEquals(queue.get(10), undefined);
    }
    cure();
    assertEquals(bench.reported.splice(0).length, 1);
    assertEquals(bench.failures.splice(0).length, 1);
  },
);

/** Ends a worker from outside, as soon as there is one to end. */
async function kill(
  workers: readonly import("node:worker_threads").Worker[],
  index: number,
): Promise<void> {
  await untilStarted(workers, index + 1);
  await workers[index]!.terminate();
}

/** Waits until the reactor has run what was called before. */
function oneRound(reactor: Reactor): Promise<void> {
  return new Promise((resolve) => reactor.callFromThread(resolve));
}

testOnBackends(
  "Reactor goes on with a new worker when its worker dies (contract 18)",
  ({ reactor, errors }) =>
    withWorkers(async (workers) => {
      using pipe = new Pipe();
      let reads = 0;
      let calls = 0;
      reactor.addReader(pipe.reader(() => reads++));
      reactor.callLater(300_000, () => calls++).reset(400_000);
      reactor.interleave((work) => queueMicrotask(work));
      await oneRound(reactor);
      const wait = reactor.readable(pipe.output);
      const later = reactor.callLater(100, () => calls++);
      await kill(workers, 0);
      while (workers.length < 2) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const [{ error, where } = {}, ...more] = errors.splice(0);
      assertInstanceOf(error, Error);
      assertEquals(where, "worker");
      assertEquals(more, []);

      pipe.fill();
      await wait;
      await oneRound(reactor);
      assertEquals(reads, 1);
      while (later.active()) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      assertEquals(calls, 1);
      reactor.stop();
      await reactor.finished;
    }),
);

testOnBackends(
  "Reactor tells everybody when its worker dies, and the next one, too (contract 18)",
  ({ reactor, errors }) =>
    withWorkers(async (workers) => {
      using pipe = new Pipe();
      using another = new Pipe();
      const told: Error[] = [];
      const seen: string[] = [];
      another.input.write(new Uint8Array(65536)); // No room to write.
      const both = {
        fileno: () => another.input.fileno(),
        doRead() {},
        doWrite() {},
        connectionLost: (reason: Error) => told.push(reason),
      };
      reactor.addReader(pipe.reader(() => {}, (reason) => told.push(reason)));
      reactor.addWriter(both);
      reactor.addSystemEventTrigger("before", "shutdown", () => {
        seen.push("shutdown");
      });
      const call = reactor.callLater(300_000, () => seen.push("callLater"));
      const run = reactor.run({ signals: false });
      const { finished } = reactor;
      const waits = [
        run,
        finished,
        reactor.readable(pipe.output),
        reactor.readable(pipe.output, { persistent: false }),
        reactor.watch(pipe.output, "readable").next(),
      ].map((wait) => assertRejects(() => wait, ReactorFailed));
      const idle = reactor.watch(pipe.output, "readable");
      await oneRound(reactor);

      await kill(workers, 0);
      await kill(workers, 1); // It has had nothing to report.
      await Promise.all(waits);
      await assertRejects(() => idle.next(), ReactorFailed);
      assertEquals(told.map(({ name }) => name), [
        "ReactorFailed",
        "ReactorFailed",
      ]);
      assertEquals(errors.map(({ where }) => where), ["worker", "reactor"]);
      const failure = errors.splice(0)[1]!.error;
      assertInstanceOf(failure, ReactorFailed);
      assertInstanceOf(failure.cause, Error);

      assertFalse(reactor.running);
      assertEquals(reactor.inspect().host, "none");
      assertEquals(reactor.inspect().descriptors, []);
      assertThrows(() => reactor.stop(), ReactorNotRunning);
      assertThrows(() => reactor.interleave(), ReactorNotRestartable);
      await assertRejects(() => reactor.run(), ReactorNotRestartable);
      assert(call.active());
      assertEquals(seen, []);
      await reactor.close();
      assertEquals(workers.length, 2);
    }),
);

for (const backend of BACKENDS) {
  Deno.test(`Reactor tells everybody when no worker can start [${backend}]`, async () => {
    const { code, stdout, stderr } = await runProgram(`
      const { BlockingQueue, FileDescriptor, Reactor } = interleave;
      const [output] = FileDescriptor.pipe();
      Deno.permissions.revokeSync({ name: "ffi" });
      const ignore = () => {};
      for (const host of [undefined, queueMicrotask, new BlockingQueue()]) {
        const reactor = new Reactor({
          backend: "${backend}",
          onError: (error, where) => console.log(where, error.name),
        });
        reactor.addReader({
          fileno: () => output.fileno(),
          doRead: ignore,
          connectionLost: (reason) => console.log("reader", reason.name),
        });
        reactor.interleave(host && (host.get ? host : (work) => host(work)));
        const finished = reactor.finished.catch((reason) => reason);
        const wait = reactor.inspect().host === "none"
          ? undefined
          : reactor.readable(output).catch((reason) => reason);
        if (host?.get) while (reactor.inspect().host !== "none") host.get(100);
        console.log("finished", (await finished).name);
        console.log("wait", (await wait).name);
        await reactor.close();
      }
    `);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const once = [
      "worker Error",
      "reactor ReactorFailed",
      "reader ReactorFailed",
      "finished ReactorFailed",
      "wait ReactorFailed",
    ];
    assertEquals(stdout.trim().split("\n"), [...once, ...once, ...once]);
  });
}
