// What becomes of everybody when the worker dies, at each step of its program;
// when it hangs or is late; when its messages get lost or come twice; and when a
// toolkit does not do what it is asked.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { POLL } from "../../ffi/constants.ts";
import { libc } from "../../ffi/libc.ts";
import { BlockingQueue } from "../../src/blocking_queue.ts";
import { ReactorFailed } from "../../src/errors.ts";
import { HandOver } from "../../src/hand_over.ts";
import type { Reactor } from "../../src/reactor.ts";
import {
  type Backend,
  onLinux,
  PATIENCE,
  Probe,
  receive,
  until,
} from "../descriptors.ts";
import { Pipe } from "../pipe.ts";
import { ToolkitInC } from "../toolkit_in_c.ts";
import { type FaultBench, testFault } from "./bench.ts";
import { assertServed, assertServedOrTold, assertTold } from "./bystanders.ts";
import { pause } from "./faulty_libc.ts";
import {
  FaultyWorkers,
  type FaultyWorkersOptions,
  type Plan,
  type Step,
  type Way,
} from "./faulty_worker.ts";

// It stays open from its first use on, which the sanitizer would take for a leak
// of the test that comes first.
libc();

const FOR_EVER = 2 ** 30;

/** Declares a test with workers that go wrong. */
function testWorkers(
  name: string,
  plan: Plan,
  fn: (bench: FaultBench, workers: FaultyWorkers) => Promise<void> | void,
  options: FaultyWorkersOptions & { backends?: readonly Backend[] } = {},
): void {
  testFault(name, fn, {
    backends: options.backends,
    workers: () => new FaultyWorkers(plan, options),
  });
}

/** What was reported of workers, which is taken out. */
function takeDeaths({ errors }: FaultBench): string[] {
  return errors.splice(0).map(({ error, where }) => {
    assertEquals(where, "worker");
    assertInstanceOf(error, Error);
    return error.message;
  });
}

/** Everybody is served, be it by a second worker. */
async function assertReplaced(
  bench: FaultBench,
  workers: FaultyWorkers,
): Promise<void> {
  await until(() => workers.started.length === 2);
  assertServed(await bench.round());
  assertServed(await bench.round());
  assertEquals([workers.struck, workers.started.length], [1, 2]);
}

/**
 * Rounds until the reactor cannot go on. Whoever waits then is told so, and so is
 * whoever comes later.
 */
async function assertFails(bench: FaultBench): Promise<void> {
  bench.reactor.interleave();
  while (bench.reactor.inspect().host !== "none") {
    assertServedOrTold(await bench.round());
  }
  assertTold(await bench.round());
  await assertRejects(() => bench.reactor.finished, ReactorFailed);
  assertInstanceOf(bench.errors.at(-1)!.error, ReactorFailed);
}

// Deaths

const STEPS: readonly Step[] = [
  "start",
  "before poll",
  "after poll",
  "report",
  "after report",
];

const DEATHS: readonly [Way, RegExp][] = [
  ["throw", /^A fault$/],
  ["exit", /^The worker ended by itself, with code \d+$/],
];

for (const step of STEPS) {
  for (const [way, message] of DEATHS) {
    testWorkers(
      `a worker ends (${step}, ${way}): another takes its place, and nobody loses an event`,
      { step, way },
      async (bench, workers) => {
        await bench.start();
        assertServed(await bench.round());
        await assertReplaced(bench, workers);
        const [death, ...others] = takeDeaths(bench);
        assertMatch(death!, message);
        assertEquals(others, []);
      },
      // A thread is gone in the same way whatever it polls.
      way === "exit" ? { backends: ["poll"] } : {},
    );
  }

  testWorkers(
    `a worker is ended from outside (${step}): another takes its place, and nobody loses an event`,
    { step, way: "hang" },
    async (bench, workers) => {
      bench.reactor.interleave();
      for (;;) {
        let served = false;
        const round = bench.round().finally(() => served = true);
        await until(() => served || workers.struck > 0);
        if (workers.struck > 0) await workers.started[0]!.terminate();
        assertServed(await round);
        if (workers.struck > 0) break;
      }
      await assertReplaced(bench, workers);
      assertEquals(takeDeaths(bench).length, 1);
    },
    { backends: ["epoll"] },
  );

  // One that has reported has proved itself: it is replaced as often as it dies.
  if (step === "after report") continue;
  testWorkers(
    `every worker ends (${step}): everybody is told that the reactor cannot go on`,
    { step, way: "throw", times: FOR_EVER },
    async (bench, workers) => {
      await assertFails(bench);
      const told = bench.errors.splice(0).map(({ where }) => where);
      assertEquals(told, ["worker", "reactor"]);
      assertEquals(workers.started.length, 2);
    },
  );
}

testWorkers(
  "every worker ends after it has reported: each time another takes its place",
  { step: "after report", way: "throw", times: 4 },
  async (bench, workers) => {
    await bench.start();
    while (workers.struck < 4) assertServed(await bench.round());
    await until(() => workers.started.length === 5);
    assertServed(await bench.round());
    assertEquals(takeDeaths(bench), Array(4).fill("A fault"));
  },
);

testWorkers(
  "no thread can be started: everybody is told that the reactor cannot go on, or the caller is",
  { step: "start", way: "drop", times: FOR_EVER },
  async (bench) => {
    const { reactor, backend } = bench;
    if (backend === "poll") {
      const error = assertThrows(() => reactor.interleave(), Error);
      assertEquals(error.message, "No thread can be started");
      return;
    }
    // It begins without.
    await assertFails(bench);
    assertEquals(bench.errors.splice(0).length, 1);
  },
);

// Without an end

/** So long the first one may take to come up, in milliseconds. */
const SHORT = 200;

testWorkers(
  "a worker never comes up: another takes its place, and nobody loses an event",
  { step: "start", way: "hang" },
  async (bench, workers) => {
    bench.reactor.interleave();
    assertServed(await bench.round());
    await assertReplaced(bench, workers);
    assertEquals(takeDeaths(bench), [
      `The worker did not start within ${SHORT} ms`,
    ]);
  },
  { patience: [SHORT] },
);

testWorkers(
  "no worker ever comes up: everybody is told that the reactor cannot go on",
  { step: "start", way: "hang", times: FOR_EVER },
  async (bench) => {
    await assertFails(bench);
    assertEquals(bench.errors.splice(0).length, 2);
  },
  { patience: [SHORT, SHORT] },
);

testWorkers(
  "a worker never comes up while this thread blocks: another takes its place",
  { step: "start", way: "hang" },
  (bench, workers) => {
    serveBlocked(bench);
    assertEquals(workers.started.length, 2);
    assertEquals(takeDeaths(bench).length, 1);
  },
  { patience: [SHORT] },
);

for (const step of ["before poll", "after poll"] as const) {
  testWorkers(
    `a worker ends (${step}, throw) while this thread blocks: another takes its place`,
    { step, way: "throw" },
    (bench, workers) => {
      serveBlocked(bench);
      assertEquals(workers.started.length, 2);
      assertEquals(takeDeaths(bench), ["A fault"]);
    },
  );
}

for (const step of onLinux ? ["before poll", "after poll"] as const : []) {
  testWorkers(
    `a worker's thread vanishes (${step}) while this thread blocks: it is looked for, and another takes its place`,
    { step, way: "exit" },
    (bench, workers) => {
      serveBlocked(bench);
      assertEquals(workers.started.length, 2);
      assertEquals(takeDeaths(bench), [
        "The worker's thread ended without a word",
      ]);
    },
  );
}

/** A program without promises, in which three bytes come one after the other. */
function serveBlocked(bench: FaultBench): void {
  const { reactor } = bench;
  const queue = new BlockingQueue();
  const pipe = bench.pipe();
  const fd = pipe.output.fileno();
  const probe = new Probe(fd, { onRead: () => void receive(fd) });
  reactor.addReader(probe);
  reactor.interleave(queue);
  const end = performance.now() + PATIENCE;
  for (let i = 1; i <= 3; i++) {
    pipe.fill();
    while (probe.reads < i && performance.now() < end) queue.get(PATIENCE)?.();
    assertEquals(probe.reads, i);
  }
}

// Late, twice, not at all

for (
  const [step, way, times] of [
    ["before poll", "late", FOR_EVER],
    ["after poll", "late", FOR_EVER],
    ["report", "late", FOR_EVER],
    ["report", "double", FOR_EVER],
    ["poll", "fail", 20],
    ["poll", "fail", FOR_EVER],
  ] as [Step, Way, number][]
) {
  testWorkers(
    `${step}: ${way}, ${
      times === FOR_EVER ? "every time" : `${times} times`
    }: everybody is served`,
    { step, way, times, ms: 20 },
    async (bench, workers) => {
      await bench.start();
      while (workers.struck < 3) assertServed(await bench.round());
      assertServed(await bench.round());
      assertEquals(workers.started.length, 1);
    },
  );
}

for (
  const [way, skip] of onLinux
    ? [["fail", 0], ["fail", 1], ["late", 0]] as [Way, number][]
    : []
) {
  testWorkers(
    `where this thread sleeps cannot be seen (${
      way === "late" ? way : skip === 0 ? "open fails" : "read fails"
    }): nobody notices`,
    { step: "look", way, skip, times: skip === 0 ? FOR_EVER : 1, ms: 20 },
    async (bench, workers) => {
      await bench.start();
      while (workers.struck === 0) assertServed(await bench.round());
      for (let i = 0; i < 3; i++) assertServed(await bench.round());
      assertEquals(workers.started.length, 1);
    },
    { backends: ["epoll"] },
  );
}

testWorkers(
  "a report gets lost: it is made again, and nobody loses an event",
  { step: "report", way: "drop", times: 3 },
  async (bench, workers) => {
    await bench.start();
    while (workers.struck < 3) assertServed(await bench.round());
    assertServed(await bench.round());
    assertEquals(workers.started.length, 1);
  },
);

testWorkers(
  "a report that comes twice is heeded once",
  { step: "report", way: "double", times: FOR_EVER },
  async (bench, workers) => {
    await bench.start();
    const { reactor } = bench;
    const { turns } = reactor.inspect().counters;
    const before = workers.struck;
    for (let i = 0; i < 20; i++) {
      await new Promise<void>((resolve) => reactor.callFromThread(resolve));
      await new Promise((resolve) => setTimeout(resolve));
    }
    assertGreaterOrEqual(workers.struck - before, 15);
    assertLess(reactor.inspect().counters.turns - turns, 30);
  },
);

/** So many readers more: a table that is too short is replaced by mail. */
class Crowd implements Disposable {
  readonly #reactor: Reactor;
  readonly #probes: Probe[];

  constructor({ reactor }: FaultBench, pipe: Pipe, length: number) {
    this.#reactor = reactor;
    this.#probes = Array.from(
      { length },
      () => new Probe(libc().dup(pipe.output.fileno())),
    );
    for (const probe of this.#probes) reactor.addReader(probe);
  }

  [Symbol.dispose](): void {
    for (const probe of this.#probes) {
      this.#reactor.removeReader(probe);
      libc().close(probe.fd);
    }
  }
}

for (const way of ["drop", "fail"] as const) {
  testWorkers(
    `a worker's mail ${
      way === "drop" ? "gets lost" : "is late"
    }: another worker takes its place, and nobody loses an event`,
    { step: "mail", way },
    async (bench, workers) => {
      await bench.start();
      using _crowd = new Crowd(bench, bench.pipe(), 80);
      await assertReplaced(bench, workers);
      assertEquals(takeDeaths(bench).length, 1);
    },
  );
}

testWorkers(
  "a worker's mail comes twice: it counts once, and nobody loses an event",
  { step: "mail", way: "double", times: FOR_EVER },
  async (bench, workers) => {
    await bench.start();
    using _few = new Crowd(bench, bench.pipe(), 80);
    assertServed(await bench.round());
    using _many = new Crowd(bench, bench.pipe(), 200);
    for (let i = 0; i < 3; i++) assertServed(await bench.round());
    assertGreaterOrEqual(workers.struck, 2);
    assertEquals(workers.started.length, 1);
  },
  { backends: ["poll"] },
);

// Toolkits

/** A byte or two, in a host that blocks this thread in C. */
function serveInToolkit(
  bench: FaultBench,
  handle: (toolkit: ToolkitInC) => void = (toolkit) => toolkit.callWork(),
): void {
  const { reactor } = bench;
  const toolkit = new ToolkitInC();
  const pipe = bench.pipe();
  const fd = pipe.output.fileno();
  const probe = new Probe(fd, { onRead: () => void receive(fd) });
  reactor.addReader(probe);
  reactor.addSystemEventTrigger(
    "after",
    "shutdown",
    () => reactor.finished.then(() => toolkit[Symbol.dispose]()),
  );
  reactor.interleave(toolkit.waker);
  let calls = 0;
  const end = performance.now() + PATIENCE;
  for (let i = 1; i <= 3; i++) {
    pipe.fill();
    reactor.callLater(2, () => calls++);
    while ((probe.reads < i || calls < i) && performance.now() < end) {
      // Not blocked in it for ever, should nothing come.
      if (toolkit.pending === 0) pause(1);
      else {
        toolkit.run(() => {
          handle(toolkit);
          toolkit.quit();
        });
      }
    }
    assertEquals([probe.reads, calls], [i, i]);
  }
}

for (
  const [what, way, times] of [
    ["is refused", "fail", 5],
    ["is made twice", "double", FOR_EVER],
    ["gets lost", "drop", 3],
    ["is late", "late", FOR_EVER],
  ] as [string, Way, number][]
) {
  testWorkers(
    `a post to a toolkit ${what}: nobody loses an event`,
    { step: "post", way, times, ms: 20 },
    (bench, workers) => {
      serveInToolkit(bench);
      assertGreaterOrEqual(workers.struck, 3);
      assertEquals(workers.started.length, 1);
    },
  );
}

for (
  const [what, handle] of [
    ["calls the work item twice", (toolkit) => {
      toolkit.callWork();
      toolkit.callWork();
    }],
    [
      "forgets every other post",
      (() => {
        let posts = 0;
        return (toolkit) => {
          if (++posts % 2 === 0) toolkit.callWork();
        };
      })(),
    ],
    ["calls the work item late", (toolkit) => {
      pause(20);
      toolkit.callWork();
    }],
  ] as [string, (toolkit: ToolkitInC) => void][]
) {
  testWorkers(
    `a toolkit ${what}: nobody loses an event`,
    { step: "start", way: "late", times: 0 },
    (bench) => serveInToolkit(bench, handle),
  );
}

for (
  const step of [
    "before poll",
    "after poll",
    "post",
    "after post",
  ] as const
) {
  testWorkers(
    `a worker ends (${step}, throw) while a toolkit blocks this thread: another takes its place`,
    { step, way: "throw" },
    (bench, workers) => {
      serveInToolkit(bench);
      assertEquals(workers.started.length, 2);
      assertEquals(takeDeaths(bench), ["A fault"]);
    },
  );
}

testWorkers(
  "no report is made again while a toolkit is taken down",
  { step: "start", way: "late", times: 0 },
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    const pending: number[] = [];
    reactor.addSystemEventTrigger("during", "shutdown", () => {
      pending.push(toolkit.pending);
      pause(200); // Longer than it takes to make it again.
      pending.push(toolkit.pending);
      toolkit.quit();
    });
    reactor.interleave(toolkit.waker);
    reactor.callLater(1, () => reactor.stop());
    toolkit.run();
    await deadline(reactor.finished, PATIENCE);
    assertEquals(pending, [0, 0]);
  },
);

// The hand-over alone

Deno.test("HandOver tells at once of a worker that cannot be woken", async () => {
  using pipe = new Pipe();
  const table = new Int32Array(new SharedArrayBuffer(8));
  table.set([pipe.output.fileno(), POLL.IN]);
  const failures: Error[] = [];
  const handOver = new HandOver(table, {
    reported() {},
    failed: (error) => failures.push(error),
  });
  handOver.waitUntilUp();
  handOver.arm(table, 1, -1);
  assertFalse(handOver.waitForReport(100));
  const reason = new Error("No way to wake it");
  const start = performance.now();
  handOver.withdraw(() => {
    throw reason;
  });
  assertEquals(failures.length, 1);
  assertStrictEquals(failures[0], reason);
  // Less than what a worker may take that was woken.
  assertLess(performance.now() - start, 5_000);
  pipe.fill(); // So that its thread can end.
  await deadline(handOver.end(() => {}), PATIENCE);
});

Deno.test("HandOver that has ended before its worker is up tells nothing of that later", async () => {
  const failures: Error[] = [];
  const table = new Int32Array(new SharedArrayBuffer(8));
  const handOver = new HandOver(table, {
    reported() {},
    failed: (error) => failures.push(error),
  }, { patience: 1 });
  await deadline(handOver.end(() => {}), PATIENCE);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(failures, []);
  assert(handOver.sequence > 0);
});
