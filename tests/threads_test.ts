// callFromThread(), and wake-ups. What holds in every host stands in
// reactor_suite_test.ts.

import {
  assertEquals,
  assertFalse,
  assertGreater,
  assertLessOrEqual,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async";
import { libcPath } from "../ffi/libc.ts";
import { BlockingQueue } from "../src/blocking_queue.ts";
import { PATIENCE } from "./descriptors.ts";
import { testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { startThread } from "./workers.ts";

/** Lets another thread write one byte, as soon as it is up. */
function writeFromAnotherThread(fd: number): Promise<void> {
  return startThread(({ fd, library }) => {
    const { symbols } = Deno.dlopen(library, {
      write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    });
    symbols.write(fd, new Uint8Array(1), 1n);
  }, { fd, library: libcPath() }).done;
}

testOnBackends(
  "callFromThread() returns before it calls (contract 143)",
  async ({ reactor }) => {
    const seen: unknown[] = [];
    reactor.interleave();
    const { promise, resolve } = Promise.withResolvers<void>();
    assertStrictEquals(
      reactor.callFromThread(
        (...args) => {
          seen.push(args);
          resolve();
        },
        1,
        "two",
      ),
      undefined,
    );
    assertEquals(seen, []);
    await promise;
    assertEquals(seen, [[1, "two"]]);
  },
);

testOnBackends(
  "callFromThread() waits for the start, and keeps its order then (contract 144, 145)",
  async ({ reactor }) => {
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) reactor.callFromThread((i) => seen.push(i), i);
    await delay(10);
    assertEquals(seen, []);
    reactor.callFromThread(() => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals(seen, [0, 1, 2, 3, 4]);
  },
);

testOnBackends(
  "callFromThread() wakes a worker that sleeps for long (contract 146)",
  async ({ reactor }) => {
    reactor.callLater(300_000, () => {});
    reactor.interleave();
    for (let i = 0; i < 10; i++) {
      await delay(i); // The worker falls asleep.
      await new Promise<void>((resolve) => reactor.callFromThread(resolve));
    }
  },
);

testOnBackends(
  "callFromThread() takes one wake-up for a burst of 100000 (contract 148)",
  async ({ reactor }) => {
    const burst = 100_000;
    reactor.interleave();
    await new Promise<void>((resolve) => reactor.callFromThread(resolve));
    await delay(10);
    const { turns } = reactor.inspect().counters;
    const { promise, resolve } = Promise.withResolvers<void>();
    let next = 0;
    for (let i = 0; i < burst; i++) {
      reactor.callFromThread((i) => {
        if (i === next) next++;
        if (i === burst - 1) resolve();
      }, i);
    }
    await promise;
    assertEquals(next, burst);
    assertLessOrEqual(reactor.inspect().counters.turns - turns, 2);
  },
);

testOnBackends(
  "callFromThread() lets everything else have its turn, however often it calls itself (contract 147)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const seen = new Set<string>();
    let chained = 0;
    const chain = () => {
      if (chained++ === 0) {
        reactor.callLater(1, () => {
          seen.add("timer");
          pipe.fill();
        });
        setTimeout(() => seen.add("Deno's timer"), 1);
      }
      if (seen.size < 3) reactor.callFromThread(chain);
      else reactor.stop();
    };
    reactor.callFromThread(chain);
    reactor.addReader(pipe.reader(() => seen.add("doRead")));
    await reactor.run({ signals: false });
    assertGreater(chained, 1);
  },
);

testOnBackends(
  "callFromThread() reports what a call throws, and goes on with the next (contract 149)",
  async ({ reactor, errors }) => {
    const reason = new Error("no");
    let calls = 0;
    reactor.callFromThread(() => {
      throw reason;
    });
    reactor.callFromThread(() => Promise.reject(reason));
    reactor.callFromThread(() => calls++);
    reactor.callLater(2, () => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals(calls, 1);
    assertEquals(errors.splice(0), [
      { error: reason, where: "callFromThread" },
      { error: reason, where: "callFromThread" },
    ]);
  },
);

testOnBackends(
  "callFromThread() throws at the call when it is given no function (contract 150)",
  ({ reactor }) => {
    for (const f of [undefined, null, 1, "f", {}, Promise.resolve()]) {
      assertThrows(
        () => reactor.callFromThread(f as never),
        TypeError,
        'Cannot call from thread: "f" must be a function, received ',
      );
    }
    assertFalse(reactor.iterate());
  },
);

testOnBackends(
  "Reactor is woken by what another thread writes (contract 151)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.addReader(pipe.reader(resolve));
    reactor.callLater(300_000, () => {});
    reactor.interleave();
    await writeFromAnotherThread(pipe.input.fileno());
    await promise;
  },
);

testOnBackends(
  "BlockingQueue.get() is woken by what another thread writes (contract 151)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const queue = new BlockingQueue();
    let reads = 0;
    reactor.addReader(pipe.reader(() => reads++));
    reactor.callLater(300_000, () => {});
    reactor.interleave(queue);
    const written = writeFromAnotherThread(pipe.input.fileno());
    const end = performance.now() + PATIENCE;
    while (reads === 0 && performance.now() < end) queue.get(PATIENCE)?.();
    assertEquals(reads, 1);
    await written;
  },
);
