// A thousand beginnings and ends, and what is left of them: no descriptor and
// no thread (contract 172). Nor is there anything left of a worker that was lost.

import {
  assertEquals,
  assertFalse,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { deadline, delay } from "@std/async";
import { BlockingQueue } from "../src/blocking_queue.ts";
import { ReactorFailed } from "../src/errors.ts";
import { Reactor } from "../src/reactor.ts";
import { threadSafeWaker } from "../src/thread_safe_waker.ts";
import {
  type Backend,
  BACKENDS,
  onLinux,
  PATIENCE,
  until,
} from "./descriptors.ts";
import { hasEnded, underCoverage } from "./hosts.ts";
import { assertNothingLeft, countAtRest, countThreads } from "./leftovers.ts";
import { leaveOut } from "./left_out.ts";
import { ownThreads, pollingThread, pollingThreads } from "./own_threads.ts";
import { Pipe } from "./pipe.ts";
import { ToolkitInC } from "./toolkit_in_c.ts";
import { untilStarted, withWorkers } from "./workers.ts";

/**
 * How often each of the eleven ways that need a worker is gone, on each backend:
 * 1012 times in all.
 */
const WITH_WORKER = underCoverage ? 3 : 46;

if (underCoverage) {
  console.log(
    "Cut short: what takes a worker is done 3 times only, while coverage is measured",
  );
}

/** How often those are gone that need none. */
const WITHOUT_WORKER = 1000;

/** A reactor with something to do. */
function makeBusy(backend: Backend, pipe: Pipe): Reactor {
  const reactor = new Reactor({ backend });
  reactor.addReader(pipe.reader(() => {}));
  reactor.callLater(100_000, () => {});
  return reactor;
}

/** A way from a beginning to an end. */
type Cycle = (backend: Backend, pipe: Pipe) => Promise<void>;

const CYCLES_WITH_WORKER: Record<string, Cycle> = {
  async "interleave() and stop()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.interleave();
    reactor.stop();
    await reactor.finished;
  },
  async "run() and stop()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.callLater(0, () => reactor.stop());
    await reactor.run({ signals: false });
  },
  async "run() with signals and stop()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.callLater(0, () => reactor.stop());
    await reactor.run();
  },
  async "interleave() and close()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.interleave((work) => queueMicrotask(work));
    await reactor.close();
  },
  async "crash() and close()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.interleave();
    reactor.crash();
    await reactor.close();
  },
  async "crash(), another start and close()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.callLater(0, () => reactor.crash());
    await reactor.run({ signals: false });
    await reactor.close();
  },
  async "a BlockingQueue and stop()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    reactor.callLater(0, () => reactor.stop());
    let work;
    while ((work = queue.get())) work();
    await reactor.finished;
  },
  async "a NativeWaker and stop()"(backend, pipe) {
    using toolkit = new ToolkitInC();
    const reactor = makeBusy(backend, pipe);
    reactor.interleave(toolkit.waker);
    reactor.callLater(0, () => reactor.stop());
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    toolkit.run();
    await reactor.finished;
  },
  async "threadSafeWaker() and stop()"(backend, pipe) {
    using waker = threadSafeWaker();
    const reactor = makeBusy(backend, pipe);
    reactor.interleave(waker);
    reactor.callLater(0, () => reactor.stop());
    await reactor.finished;
  },
  async "attach(), modal() and close()"(backend, pipe) {
    using toolkit = new ToolkitInC();
    const reactor = makeBusy(backend, pipe);
    const attachment = reactor.attach({
      prepare: () => ({ descriptors: [], timeout: 1 }),
      dispatch: () => toolkit.quit(),
    });
    reactor.modal(toolkit.waker, () => toolkit.run());
    attachment.detach();
    await reactor.close();
  },
};

const CYCLES_WITHOUT_WORKER: Record<string, Cycle> = {
  async "close() without a start"(backend, pipe) {
    await makeBusy(backend, pipe).close();
  },
  async "close() without any use"(backend) {
    await new Reactor({ backend }).close();
  },
  async "iterate() and stop()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.iterate();
    reactor.stop();
    while (!hasEnded(reactor)) reactor.iterate(PATIENCE);
    await reactor.finished;
  },
  async "iterate(), crash() and close()"(backend, pipe) {
    const reactor = makeBusy(backend, pipe);
    reactor.iterate();
    reactor.crash();
    await reactor.close();
  },
};

/** Goes a way many times. */
async function repeat(
  backend: Backend,
  cycle: Cycle,
  times: number,
): Promise<void> {
  using pipe = new Pipe();
  for (let i = 0; i < times; i++) {
    await deadline(cycle(backend, pipe), PATIENCE);
  }
}

for (
  const [cycles, times] of [
    [CYCLES_WITH_WORKER, WITH_WORKER],
    [CYCLES_WITHOUT_WORKER, WITHOUT_WORKER],
  ] as const
) {
  for (const backend of BACKENDS) {
    for (const [name, cycle] of Object.entries(cycles)) {
      Deno.test(`${name} leaves nothing behind, ${times} times over (contract 172) [${backend}]`, async () => {
        const before = await countAtRest();
        await repeat(backend, cycle, times);
        await assertNothingLeft(before);
      });
    }
  }
}

for (const backend of BACKENDS) {
  Deno.test(`crash() and another start leave nothing behind, ${WITH_WORKER} times over in one reactor (contract 11, 172) [${backend}]`, async () => {
    const before = await countAtRest();
    let reactor: Reactor | undefined;
    await repeat(backend, async (backend, pipe) => {
      reactor ??= makeBusy(backend, pipe);
      reactor.callLater(0, () => reactor!.crash());
      await reactor.run({ signals: false });
    }, WITH_WORKER);
    await reactor!.close();
    await assertNothingLeft(before);
  });
}

for (const backend of BACKENDS) {
  Deno.test(`crash() leaves no thread in the old wait when the next run takes the wake-up at once (contract 16, 174) [${backend}]`, async () => {
    const before = await countAtRest();
    const reactors: Reactor[] = [];
    for (let i = 0; i < 10; i++) {
      const reactor = new Reactor({ backend });
      reactors.push(reactor);
      reactor.interleave();
      await new Promise<void>((resolve) => reactor.callFromThread(resolve));
      await delay(5); // The worker falls asleep.
      const { finished } = reactor;
      reactor.crash();
      reactor.iterate(0);
      await deadline(finished, PATIENCE);
    }
    const end = performance.now() + PATIENCE;
    let threads = countThreads();
    while (threads > before.threads && performance.now() < end) {
      await delay(10);
      threads = countThreads();
    }
    console.log(`threads: ${before.threads} -> ${threads}`);
    await Promise.all(reactors.map((reactor) => reactor.close()));
    assertLessOrEqual(threads, before.threads);
    await assertNothingLeft(before);
  });
}

/** What a program does when it is told that its reactor's worker is gone. */
const ANSWERS: Record<string, (reactor: Reactor) => void> = {
  "nothing is done": goOn,
  "stop() is called": (reactor) => reactor.stop(),
  "crash() is called": (reactor) => reactor.crash(),
  "close() is called": (reactor) => void reactor.close(),
};

function goOn(): void {}

/**
 * Declares a test on each backend that ends a reactor's workers while they poll:
 * such a thread counts as gone, but is in `poll()` until that returns.
 */
function testEnded(
  name: string,
  answer: (reactor: Reactor) => void,
  fn: (
    reactor: Reactor,
    workers: readonly import("node:worker_threads").Worker[],
    told: string[],
  ) => Promise<void>,
): void {
  for (const backend of BACKENDS) {
    const title = `${name} (contract 18, 172) [${backend}]`;
    if (!onLinux) {
      leaveOut(title, "only Linux tells what a thread is doing");
      continue;
    }
    Deno.test(title, async () => {
      const before = await countAtRest();
      const told: string[] = [];
      const reactor = new Reactor({
        backend,
        onError: (_, where) => {
          told.push(where);
          if (where === "worker") answer(reactor);
        },
      });
      await withWorkers(async (workers) => {
        reactor.interleave();
        reactor.callLater(300_000, () => {}); // It keeps the process alive.
        await fn(reactor, workers, told);
      });
      await assertNothingLeft(before);
    });
  }
}

for (const [what, answer] of Object.entries(ANSWERS)) {
  testEnded(
    `a worker that is ended from outside while it polls leaves no thread when ${what}`,
    answer,
    async (reactor, workers, told) => {
      const first = await endWhilePolling(workers, 0);
      await until(() => told.length > 0);
      if (answer === goOn) {
        await until(() => !pollingThreads().includes(first));
      }
      await reactor.close();
      assertFalse(ownThreads().includes(first));
      assertEquals(told, ["worker"]);
    },
  );
}

testEnded(
  "a reactor that fails leaves none of its workers' threads",
  goOn,
  async (reactor, workers, told) => {
    await endWhilePolling(workers, 0);
    await untilStarted(workers, 2);
    await workers[1]!.terminate(); // Before it has proved itself.
    await assertRejects(() => reactor.finished, ReactorFailed);
    assertEquals(told, ["worker", "reactor"]);
  },
);

/** Ends a worker's thread from outside, and tells which that was. */
async function endWhilePolling(
  workers: readonly import("node:worker_threads").Worker[],
  index: number,
): Promise<number> {
  await untilStarted(workers, index + 1);
  const thread = await pollingThread();
  await workers[index]!.terminate();
  return thread;
}
