// The reactor without a host: turns on this thread, and what a host that can
// wait for a descriptor itself needs to know.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async";
import { POLL } from "../ffi/constants.ts";
import { libc } from "../ffi/libc.ts";
import { ReactorNotRestartable } from "../src/errors.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import { Reactor } from "../src/reactor.ts";
import { type Backend, PATIENCE } from "./descriptors.ts";
import { hasEnded, testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";

/** Iterates until a condition holds. */
function iterateUntil(reactor: Reactor, done: () => boolean): void {
  const end = performance.now() + PATIENCE;
  while (!done()) {
    assertLess(performance.now(), end);
    reactor.iterate(PATIENCE);
  }
}

// iterate()

testOnBackends(
  "iterate() does not block by itself, though a timer is far away (contract 17)",
  ({ reactor }) => {
    let calls = 0;
    reactor.callLater(300_000, () => calls++);
    assertFalse(reactor.iterate());
    assertFalse(reactor.iterate(0)); // A blocked one would outlast the test.
    assertEquals(calls, 0);
    assert(reactor.running);
  },
);

testOnBackends(
  "iterate() starts the reactor, 'startup' fired (contract 1)",
  ({ reactor }) => {
    const seen: string[] = [];
    reactor.callWhenRunning(() => seen.push("callWhenRunning"));
    reactor.iterate();
    assert(reactor.running);
    assertEquals(seen, ["callWhenRunning"]);
    assertEquals(reactor.inspect().host, "iterate");
  },
);

testOnBackends(
  "iterate() tells whether anything ran",
  ({ reactor }) => {
    using pipe = new Pipe();
    reactor.iterate();
    assertFalse(reactor.iterate());
    reactor.callLater(0, () => {});
    assert(reactor.iterate());
    assertFalse(reactor.iterate());
    reactor.callFromThread(() => {});
    assert(reactor.iterate());
    assertFalse(reactor.iterate());
    reactor.addReader(pipe.reader(() => {}));
    assertFalse(reactor.iterate());
    pipe.fill();
    assert(reactor.iterate());
    assertFalse(reactor.iterate());
    reactor.stop();
    assert(reactor.iterate());
  },
);

testOnBackends(
  "iterate() blocks until the next timer when it may",
  ({ reactor }) => {
    for (const ms of [-1, PATIENCE, 2 ** 128]) {
      let done = false;
      const call = reactor.callLater(10, () => done = true);
      while (!done) reactor.iterate(ms);
      assertGreaterOrEqual(reactor.now(), call.getTime());
    }
  },
);

testOnBackends(
  "iterate() blocks for the time that it is given when nothing comes",
  ({ reactor }) => {
    reactor.iterate(); // What the start left behind is seen to.
    for (const ms of [1, 0.5, 20]) {
      const start = performance.now();
      assertFalse(reactor.iterate(ms));
      assertGreaterOrEqual(performance.now() - start, ms);
    }
  },
);

testOnBackends(
  "iterate() blocks until a descriptor is ready",
  ({ reactor }) => {
    using pipe = new Pipe();
    let reads = 0;
    reactor.addReader(pipe.reader(() => reads++));
    pipe.fill();
    while (reads === 0) reactor.iterate(-1);
    assertEquals(reads, 1);
  },
);

testOnBackends(
  "iterate() ends with the reactor, and then throws (contract 7, 9)",
  ({ reactor }) => {
    const seen: string[] = [];
    for (const phase of ["before", "during", "after"] as const) {
      reactor.addSystemEventTrigger(phase, "shutdown", () => seen.push(phase));
    }
    reactor.iterate();
    reactor.stop();
    assertEquals(seen, []);
    iterateUntil(reactor, () => hasEnded(reactor));
    assertEquals(seen, ["before", "during", "after"]);
    assertThrows(
      () => reactor.iterate(),
      ReactorNotRestartable,
      "Cannot iterate",
    );
  },
);

testOnBackends(
  "iterate() starts a reactor again that has crashed (contract 11)",
  ({ reactor }) => {
    let calls = 0;
    reactor.callLater(0, () => {
      calls++;
      reactor.crash();
    });
    iterateUntil(reactor, () => calls === 1);
    assert(hasEnded(reactor));
    reactor.callLater(0, () => calls++);
    iterateUntil(reactor, () => calls === 2);
    assert(reactor.running);
  },
);

testOnBackends(
  "iterate() returns when a 'startup' trigger ends the reactor (contract 12)",
  ({ reactor }) => {
    reactor.addSystemEventTrigger("before", "startup", () => reactor.crash());
    reactor.iterate(-1);
    assert(hasEnded(reactor));
  },
);

testOnBackends(
  "iterate() takes the turn of a reactor that runs on Deno's loop, which then goes on",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    reactor.interleave();
    await delay(10); // The worker sleeps.
    pipe.fill();
    iterateUntil(reactor, () => seen.length === 1);
    reactor.callLater(1, () => seen.push("callLater"));
    iterateUntil(reactor, () => seen.length === 2);

    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.callLater(1, resolve);
    await promise;
    assertEquals(seen, ["doRead", "callLater"]);
    assertEquals(reactor.inspect().host, "deno");
  },
);

testOnBackends(
  "iterate() makes a work item void that waits for its host (contract 166)",
  async ({ reactor }) => {
    const given: (() => void)[] = [];
    let calls = 0;
    reactor.callLater(0, () => calls++);
    reactor.interleave((work) => given.push(work));
    while (given.length === 0) await delay(1);
    assert(reactor.iterate());
    assertEquals(calls, 1);
    reactor.callLater(0, () => calls++);
    given[0]!();
    assertEquals(calls, 1);
    while (given.length === 1) await delay(1);
    given[1]!();
    assertEquals(calls, 2);
  },
);

testOnBackends(
  "iterate() lets no report that comes late count, whenever it was sent (contract 162)",
  async ({ reactor }) => {
    // Between the wake-up and the turn passes more time with each attempt, so
    // that the worker is met asleep, inside its call, and after its message.
    let items = 0;
    reactor.interleave((work) => {
      items++;
      work();
    });
    await delay(10);
    const before = items;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    let calls = 0;
    for (let i = 0; i < 40; i++) {
      reactor.callFromThread(() => calls++);
      Atomics.wait(pause, 0, 0, i / 20);
      while (calls <= i) reactor.iterate(0);
    }
    const { turns } = reactor.inspect().counters;
    await delay(10);
    assertEquals(calls, 40);
    // The last turn may have left a wake-up behind; forty of them it may not.
    assertLess(items - before, 3);
    assertLess(reactor.inspect().counters.turns - turns, 3);

    reactor.callLater(1, () => calls++);
    const end = performance.now() + PATIENCE;
    while (calls === 40 && performance.now() < end) await delay(1);
    assertEquals(calls, 41);
  },
);

// nextTimeout()

/** A reactor with a clock that stands still. */
function reactorAt(
  backend: Backend,
  time: { now: number },
): Reactor {
  return new Reactor({ backend, clock: () => time.now });
}

testOnBackends(
  "nextTimeout() is the time that is left to the nearest timer, or -1 (contract 85)",
  async ({ backend }) => {
    const time = { now: 1000 };
    await using reactor = reactorAt(backend, time);
    assertStrictEquals(reactor.nextTimeout(), -1);
    const far = reactor.callLater(500, () => {});
    assertStrictEquals(reactor.nextTimeout(), 500);
    const near = reactor.callLater(200, () => {});
    assertStrictEquals(reactor.nextTimeout(), 200);
    time.now += 50;
    assertStrictEquals(reactor.nextTimeout(), 150);
    near.delay(1000);
    assertStrictEquals(reactor.nextTimeout(), 450);
    near.reset(7);
    assertStrictEquals(reactor.nextTimeout(), 7);
    near.cancel();
    assertStrictEquals(reactor.nextTimeout(), 450);
    time.now += 10_000;
    assertStrictEquals(reactor.nextTimeout(), 0);
    far.cancel();
    assertStrictEquals(reactor.nextTimeout(), -1);
  },
);

testOnBackends(
  "nextTimeout() is rounded up, and within an int (contract 86, 87)",
  async ({ backend }) => {
    const time = { now: 0 };
    await using reactor = reactorAt(backend, time);
    for (
      const [ms, expected] of [
        [0, 0],
        [0.001, 1],
        [1, 1],
        [1.001, 2],
        [2147483646.5, 2147483647],
        [2147483647, 2147483647],
        [2147483648, 2147483647],
        [2 ** 128, 2147483647],
      ] as [number, number][]
    ) {
      const call = reactor.callLater(ms, () => {});
      assertStrictEquals(reactor.nextTimeout(), expected);
      call.cancel();
    }
  },
);

testOnBackends(
  "nextTimeout() is 0 while there is something to do at once",
  ({ reactor }) => {
    reactor.iterate();
    assertStrictEquals(reactor.nextTimeout(), -1);
    reactor.callFromThread(() => {});
    assertStrictEquals(reactor.nextTimeout(), 0);
    reactor.iterate();
    assertStrictEquals(reactor.nextTimeout(), -1);
    reactor.stop();
    assertStrictEquals(reactor.nextTimeout(), 0);
    reactor.iterate();
    assertStrictEquals(reactor.nextTimeout(), -1);
  },
);

testOnBackends(
  "nextTimeout() is 0 while a regular file is watched, which is always ready (contract 123)",
  ({ reactor, backend }) => {
    const path = Deno.makeTempFileSync();
    try {
      using file = FileDescriptor.open(path);
      reactor.addReader({
        fileno: () => file.fileno(),
        doRead() {},
        connectionLost() {},
      });
      reactor.iterate();
      // With epoll nothing else says so: the kernel does not take such a file
      // into the set. A table for poll() has to be polled to find out.
      if (backend === "epoll") assertStrictEquals(reactor.nextTimeout(), 0);
      assert(reactor.iterate(PATIENCE));
      reactor.removeAll();
      reactor.iterate();
      assertStrictEquals(reactor.nextTimeout(), -1);
    } finally {
      Deno.removeSync(path);
    }
  },
);

// backendFd

testOnBackends(
  "Reactor.backendFd is there to the end, with epoll",
  async ({ reactor, backend }) => {
    using pipe = new Pipe();
    const fd = reactor.backendFd;
    if (backend === "epoll") assertGreater(fd, 2);
    else assertStrictEquals(fd, undefined);
    reactor.addReader(pipe.reader(() => {}));
    assertStrictEquals(reactor.backendFd, fd);
    reactor.iterate();
    assertStrictEquals(reactor.backendFd, fd);
    reactor.crash();
    assertStrictEquals(reactor.backendFd, fd);
    reactor.iterate();
    assertStrictEquals(reactor.backendFd, fd);
    await reactor.close();
    assertStrictEquals(reactor.backendFd, undefined);
  },
);

/** Waits as any C program would. */
function pollOne(fd: number, ms: number): boolean {
  const table = new Int32Array([fd, POLL.IN]);
  return libc().poll(table, 1, ms) === 1;
}

if (Deno.build.os === "linux") {
  Deno.test("Reactor.backendFd is readable when there is something to do: a plain poll() is host enough", async () => {
    using pipe = new Pipe();
    await using reactor = new Reactor({ backend: "epoll" });
    const seen: string[] = [];
    reactor.iterate();
    const fd = reactor.backendFd!;
    const settle = () => {
      while (pollOne(fd, 0)) reactor.iterate(0);
    };
    const serve = (count: number) => {
      while (seen.length < count) {
        assert(pollOne(fd, PATIENCE));
        reactor.iterate(0);
      }
    };
    settle();
    assertFalse(pollOne(fd, 0));

    reactor.callLater(10, () => seen.push("callLater"));
    serve(1);
    const call = reactor.callLater(300_000, () => seen.push("reset"));
    call.reset(5);
    serve(2);
    reactor.callFromThread(() => seen.push("callFromThread"));
    serve(3);
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    settle();
    pipe.fill();
    serve(4);
    settle();
    assertFalse(pollOne(fd, 0));
    reactor.addSystemEventTrigger(
      "after",
      "shutdown",
      () => seen.push("after shutdown"),
    );
    reactor.stop();
    serve(5);
    assertEquals(seen, [
      "callLater",
      "reset",
      "callFromThread",
      "doRead",
      "after shutdown",
    ]);
  });

  Deno.test("Reactor.backendFd lets a host wait for no longer than nextTimeout() says", async () => {
    using pipe = new Pipe();
    await using reactor = new Reactor({ backend: "epoll" });
    const seen: string[] = [];
    reactor.callLater(5, () => pipe.fill());
    reactor.addReader(pipe.reader(() => {
      seen.push("doRead");
      reactor.callLater(5, () => reactor.stop());
    }));
    reactor.iterate();
    const end = performance.now() + PATIENCE;
    while (!hasEnded(reactor) && performance.now() < end) {
      pollOne(reactor.backendFd!, reactor.nextTimeout());
      reactor.iterate(0);
    }
    assertEquals(seen, ["doRead"]);
  });

  for (const backend of ["epoll", "poll"] as const) {
    Deno.test(`Reactor.backendFd can be watched by another reactor [${backend}]`, async () => {
      using pipe = new Pipe();
      await using outer = new Reactor({ backend });
      await using inner = new Reactor({ backend: "epoll" });
      const seen: string[] = [];
      inner.iterate();
      const link = {
        fileno: () => inner.backendFd ?? -1,
        doRead: () => void inner.iterate(0),
        connectionLost() {},
      };
      outer.addReader(link);
      inner.addSystemEventTrigger("before", "shutdown", () => {
        seen.push("inner shutdown");
        outer.removeReader(link);
        outer.stop();
      });
      inner.addReader(pipe.reader(() => {
        seen.push("doRead");
        inner.callFromThread(() => {
          seen.push("callFromThread");
          inner.stop();
        });
      }));
      inner.callLater(5, () => {
        seen.push("callLater");
        pipe.fill();
      });
      await outer.run({ signals: false });
      assertEquals(seen, [
        "callLater",
        "doRead",
        "callFromThread",
        "inner shutdown",
      ]);
      assert(hasEnded(inner));
    });
  }
} else {
  console.log("Left out: a backendFd and its hosts, which takes epoll");
}
