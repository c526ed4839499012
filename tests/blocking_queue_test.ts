// A reactor in a synchronous program.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertLess,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { linux } from "../ffi/libc.ts";
import { BlockingQueue } from "../src/blocking_queue.ts";
import { ReactorAlreadyRunning } from "../src/errors.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import { Reactor } from "../src/reactor.ts";
import { PATIENCE } from "./descriptors.ts";
import { hasEnded, testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";

/** Runs work items until a condition holds. */
function pumpUntil(queue: BlockingQueue, done: () => boolean): void {
  const end = performance.now() + PATIENCE;
  while (!done()) {
    assertLess(performance.now(), end);
    queue.get(PATIENCE)?.();
  }
}

// The queue alone

Deno.test("BlockingQueue.get() takes what was put, first come first served", () => {
  const queue = new BlockingQueue();
  const works = [() => {}, () => {}, () => {}];
  for (const work of works) queue.put(work);
  for (const work of works) assertStrictEquals(queue.get(), work);
  assertStrictEquals(queue.get(), undefined);
});

Deno.test("BlockingQueue.get() returns what is there whatever the time", () => {
  const queue = new BlockingQueue();
  const work = () => {};
  for (const ms of [0, 0.5, 1000, 2 ** 128, Infinity]) {
    queue.put(work);
    assertStrictEquals(queue.get(ms), work);
  }
});

Deno.test("BlockingQueue.get() blocks for as long as it may when nothing comes", () => {
  const start = performance.now();
  assertStrictEquals(new BlockingQueue().get(20), undefined);
  assertGreaterOrEqual(performance.now() - start, 20);
});

Deno.test("BlockingQueue.get() returns at once without a time when nothing can come", () => {
  assertStrictEquals(new BlockingQueue().get(), undefined);
});

// With a reactor

testOnBackends(
  "BlockingQueue lets a program pump until it has a result (contract 176)",
  ({ reactor }) => {
    using pipe = new Pipe();
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    assertEquals(reactor.inspect().host, "queue");
    let result: string | undefined;
    reactor.addReader(pipe.reader(() => result = "read"));
    reactor.callLater(5, () => pipe.fill());
    while (result === undefined) queue.get()?.();
    assertEquals(result, "read");
  },
);

testOnBackends(
  "BlockingQueue.get() ends a program's loop with its reactor (contract 171)",
  async ({ reactor }) => {
    const queue = new BlockingQueue();
    const seen: string[] = [];
    reactor.interleave(queue);
    reactor.addSystemEventTrigger("after", "shutdown", () => {
      seen.push("after shutdown");
    });
    reactor.callLater(2, () => reactor.stop());
    let work;
    while ((work = queue.get())) work();
    assertEquals(seen, ["after shutdown"]);
    assert(hasEnded(reactor));
    await reactor.finished;
  },
);

testOnBackends(
  "BlockingQueue.get() ends a program's loop when the reactor crashes (contract 10)",
  async ({ reactor }) => {
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    reactor.callLater(2, () => reactor.crash());
    let work;
    while ((work = queue.get())) work();
    assert(hasEnded(reactor));
    await reactor.finished;
  },
);

testOnBackends(
  "BlockingQueue.get() with 0 finds a report that is there (contract 177)",
  ({ reactor }) => {
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    let done = false;
    reactor.callLater(1, () => done = true);
    // A game that draws a frame after each look.
    const end = performance.now() + PATIENCE;
    while (!done && performance.now() < end) queue.get(0)?.();
    assert(done);
  },
);

testOnBackends(
  "BlockingQueue.get() keeps to its time when the reactor has nothing to do (contract 163, 177)",
  ({ reactor }) => {
    const queue = new BlockingQueue();
    reactor.callLater(1_000_000, () => {});
    reactor.interleave(queue);
    const start = performance.now();
    assertStrictEquals(queue.get(20), undefined);
    assertGreaterOrEqual(performance.now() - start, 20);
    assertEquals(reactor.inspect().counters.turns, 0);
  },
);

if (Deno.build.os === "linux") {
  testOnBackends(
    "BlockingQueue.get() is woken by a descriptor alone",
    ({ reactor }) => {
      // The kernel writes to this one: nothing of the program's runs meanwhile.
      const { timerfd_create, timerfd_settime } = linux();
      using timer = FileDescriptor.adopt(timerfd_create(1, 0));
      const twentyMilliseconds = new Int32Array(8);
      twentyMilliseconds[6] = 20_000_000;
      const queue = new BlockingQueue();
      reactor.interleave(queue);
      let done = false;
      reactor.addReader({
        fileno: () => timer.fileno(),
        doRead() {
          timer.read(new Uint8Array(8));
          done = true;
        },
        connectionLost() {},
      });
      timerfd_settime(timer.fileno(), 0, twentyMilliseconds, null);
      pumpUntil(queue, () => done);
    },
  );
} else {
  console.log("Left out: a blocked get() and a timerfd, which Linux alone has");
}

testOnBackends(
  "BlockingQueue.get() returns at once, or after its time, before the last work item has run (contract 162)",
  ({ reactor }) => {
    const queue = new BlockingQueue();
    const seen: string[] = [];
    reactor.interleave(queue);
    reactor.callLater(0, () => seen.push("callLater"));
    const work = queue.get(PATIENCE);
    assertStrictEquals(queue.get(), undefined);
    const start = performance.now();
    assertStrictEquals(queue.get(10), undefined);
    assertGreaterOrEqual(performance.now() - start, 10);
    assertEquals(seen, []);
    work!();
    assertEquals(seen, ["callLater"]);
  },
);

testOnBackends(
  "BlockingQueue.get() finds nothing of the reactor's inside a callback (contract 173)",
  ({ reactor }) => {
    const queue = new BlockingQueue();
    const seen: unknown[] = [];
    const own = () => {};
    reactor.interleave(queue);
    reactor.callLater(0, () => {
      reactor.callLater(0, () => seen.push("inner"));
      seen.push(queue.get(), queue.get(5));
      // What the program itself puts there it may run here.
      queue.put(own);
      seen.push(queue.get(), queue.get(5));
    });
    pumpUntil(queue, () => seen.length === 5);
    assertEquals(seen, [undefined, undefined, own, undefined, "inner"]);
  },
);

testOnBackends(
  "BlockingQueue serves work of the program's own before it looks for the reactor's",
  ({ reactor }) => {
    const queue = new BlockingQueue();
    const seen: string[] = [];
    reactor.interleave(queue);
    reactor.callLater(0, () => {
      seen.push("callLater");
      queue.put(() => seen.push("put in a callback"));
    });
    queue.put(() => seen.push("first"));
    queue.put(() => seen.push("second"));
    pumpUntil(queue, () => seen.length === 4);
    assertEquals(seen, ["first", "second", "callLater", "put in a callback"]);
  },
);

testOnBackends(
  "BlockingQueue ignores a work item that is run twice, or after the end (contract 166, 167)",
  async ({ reactor }) => {
    const queue = new BlockingQueue();
    let calls = 0;
    reactor.interleave(queue);
    reactor.callLater(0, () => calls++);
    const first = queue.get(PATIENCE)!;
    first();
    first();
    assertEquals(calls, 1);
    reactor.callLater(0, () => calls++);
    const second = queue.get(PATIENCE)!;
    reactor.crash();
    first();
    second();
    await reactor.finished;
    second();
    assertEquals(calls, 1);
  },
);

testOnBackends(
  "interleave() refuses a queue that another reactor uses, and neither is hurt (contract 8)",
  async ({ reactor, backend }) => {
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    await using another = new Reactor({ backend });
    assertThrows(
      () => another.interleave(queue),
      ReactorAlreadyRunning,
      "another reactor uses this queue",
    );
    assertFalse(another.running);
    let calls = 0;
    reactor.callLater(1, () => calls++);
    pumpUntil(queue, () => calls === 1);

    const other = new BlockingQueue();
    another.interleave(other);
    another.callLater(1, () => calls++);
    pumpUntil(other, () => calls === 2);
  },
);

testOnBackends(
  "interleave() takes a queue that an ended reactor used",
  async ({ reactor, backend }) => {
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    await reactor.close();
    await using another = new Reactor({ backend });
    another.interleave(queue);
    let done = false;
    another.callLater(1, () => done = true);
    pumpUntil(queue, () => done);
  },
);

testOnBackends(
  "interleave() takes the same queue again after crash() (contract 11, 174)",
  async ({ reactor }) => {
    const queue = new BlockingQueue();
    let calls = 0;
    for (let i = 1; i <= 5; i++) {
      reactor.interleave(queue);
      reactor.callLater(0, () => calls++);
      pumpUntil(queue, () => calls === i);
      reactor.callLater(0, () => calls += 100);
      reactor.crash();
      assertStrictEquals(queue.get(), undefined);
      for (const call of reactor.getDelayedCalls()) call.cancel();
    }
    assertEquals(calls, 5);
    await reactor.finished;
  },
);

testOnBackends(
  "interleave() hands a reactor that has started itself to a queue",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const wait = reactor.readable(pipe.output);
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    assertEquals(reactor.inspect().host, "queue");
    let done = false;
    reactor.callLater(1, () => {
      done = true;
      pipe.fill();
    });
    pumpUntil(queue, () => done);
    pumpUntil(queue, () => reactor.inspect().descriptors.length === 0);
    // The promise belongs to Deno's loop: it could not settle before.
    const { readable } = await wait;
    assert(readable);
  },
);

testOnBackends(
  "iterate() works between two work items of a queue",
  ({ reactor }) => {
    const queue = new BlockingQueue();
    const seen: string[] = [];
    reactor.interleave(queue);
    reactor.callLater(0, () => seen.push("first"));
    const work = queue.get(PATIENCE)!;
    assert(reactor.iterate(0));
    assertEquals(seen, ["first"]);
    work(); // Not outstanding any more.
    reactor.callLater(0, () => seen.push("second"));
    pumpUntil(queue, () => seen.length === 2);
  },
);

testOnBackends(
  "close() ends a reactor whose queue nobody looks at (contract 178)",
  async ({ reactor }) => {
    const queue = new BlockingQueue();
    const seen: string[] = [];
    reactor.interleave(queue);
    reactor.callLater(0, () => seen.push("callLater"));
    queue.get(PATIENCE); // Taken, and never run.
    reactor.addSystemEventTrigger("after", "shutdown", () => {
      seen.push("after shutdown");
    });
    await reactor.close();
    assertEquals(seen, ["callLater", "after shutdown"]);
    assertStrictEquals(queue.get(), undefined);
  },
);

testOnBackends(
  "Reactor reports nothing to Deno's loop while a queue is its host",
  async ({ reactor }) => {
    const queue = new BlockingQueue();
    const seen: string[] = [];
    reactor.interleave(queue);
    reactor.callLater(0, () => seen.push("callLater"));
    // Deno's loop has its turn. The report waits for the queue.
    await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals(seen, []);
    pumpUntil(queue, () => seen.length === 1);
  },
);
