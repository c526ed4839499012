// The reactor in a host of somebody else's: what the waker is told, and when,
// and what the host may do with a work item.

import {
  assert,
  assertEquals,
  assertFalse,
  assertLessOrEqual,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async";
import { FileDescriptor } from "../src/file_descriptor.ts";
import { Reactor } from "../src/reactor.ts";
import type { Waker } from "../src/wakers.ts";
import { hasEnded, testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";

/**
 * Time enough for a wake-up that must not come. Nothing depends on its length
 * but what a fault would be seen by.
 */
const A_WHILE = 30;

/**
 * A host that runs a work item when the test says so, and notes what it was
 * given.
 */
class Hand {
  readonly given: (() => void)[] = [];
  /** A waker that does nothing but note the work item. */
  readonly waker: Waker = (...args) => {
    assertEquals(args.length, 1);
    assertEquals(args[0].length, 0);
    this.given.push(args[0]);
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers<void>();
  };
  #arrived = Promise.withResolvers<void>();
  #taken = 0;

  /** How many work items there are that have not been taken. */
  get waiting(): number {
    return this.given.length - this.#taken;
  }

  /** Waits for the next work item. */
  async next(): Promise<() => void> {
    while (this.waiting === 0) await this.#arrived.promise;
    return this.given[this.#taken++]!;
  }

  /** Runs work items until a condition holds. */
  async pumpUntil(done: () => boolean): Promise<void> {
    while (!done()) (await this.next())();
  }
}

testOnBackends(
  "interleave() returns at once, 'startup' fired (contract 159)",
  ({ reactor }) => {
    const seen: string[] = [];
    for (const phase of ["after", "during", "before"] as const) {
      reactor.addSystemEventTrigger(phase, "startup", () => seen.push(phase));
    }
    reactor.callWhenRunning(() => seen.push("callWhenRunning"));
    assertStrictEquals(reactor.interleave(new Hand().waker), undefined);
    assert(reactor.running);
    assertEquals(seen, ["before", "during", "after", "callWhenRunning"]);
  },
);

testOnBackends(
  "interleave() gives the waker one work item for each report (contract 160, 162, 175)",
  async ({ reactor }) => {
    const hand = new Hand();
    const seen: number[] = [];
    reactor.callLater(0, () => seen.push(0));
    reactor.interleave(hand.waker);
    for (let i = 1; i <= 5; i++) {
      const work = await hand.next();
      assertEquals(hand.given.length, i);
      const { parks } = reactor.inspect().counters;
      assertEquals(parks, i);
      assertStrictEquals(work(), undefined);
      reactor.callLater(0, () => seen.push(i));
    }
    await hand.pumpUntil(() => seen.length === 6);
    assertEquals(seen, [0, 1, 2, 3, 4, 5]);
  },
);

testOnBackends(
  "interleave() never calls the waker from inside an API call",
  async ({ reactor }) => {
    using pipe = new Pipe();
    pipe.fill();
    let inside = false;
    const hand = new Hand();
    reactor.interleave((work) => {
      assertFalse(inside);
      hand.waker(work);
    });
    let reads = 0;
    const reader = pipe.reader(() => reads++);
    for (
      const use of [
        () => reactor.callLater(0, () => {}),
        () => reactor.callFromThread(() => {}),
        () => reactor.addReader(reader),
        () => reactor.callWhenRunning(() => {}),
        () => reactor.inspect(),
        () => reactor.stop(),
      ]
    ) {
      inside = true;
      use();
      inside = false;
      assertEquals(reads, 0);
    }
    await hand.pumpUntil(() => hasEnded(reactor));
  },
);

testOnBackends(
  "Reactor runs nothing outside of work items, and has one outstanding at most (contract 161, 162)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const hand = new Hand();
    const seen: string[] = [];
    reactor.interleave(hand.waker);
    reactor.callLater(0, () => seen.push("callLater"));
    const work = await hand.next();
    const { counters } = reactor.inspect();

    // The host is busy. Whatever happens meanwhile has to wait.
    reactor.callFromThread(() => seen.push("callFromThread"));
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    reactor.callLater(1, () => seen.push("another callLater"));
    pipe.fill();
    await delay(A_WHILE);
    assertEquals(hand.given.length, 1);
    assertEquals(seen, []);
    assertEquals(reactor.inspect().counters, counters);

    work(); // Late as it is, it handles all of that (contract 165).
    assertEquals(seen.toSorted(), [
      "another callLater",
      "callFromThread",
      "callLater",
      "doRead",
    ]);
  },
);

testOnBackends(
  "Reactor makes no waker call when there is nothing to do (contract 163)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const hand = new Hand();
    reactor.addReader(pipe.reader(() => {}));
    reactor.callLater(1_000_000, () => {});
    reactor.callLater(2 ** 128, () => {});
    reactor.interleave(hand.waker);
    await delay(A_WHILE);
    assertEquals(hand.given.length, 0);
    assertEquals(reactor.inspect().counters.turns, 0);
    assertEquals(reactor.inspect().counters.parks, 1);

    // And after something was done, none again.
    let done = false;
    reactor.callFromThread(() => done = true);
    await hand.pumpUntil(() => done);
    const { parks } = reactor.inspect().counters;
    await delay(A_WHILE);
    assertEquals(hand.waiting, 0);
    assertEquals(reactor.inspect().counters.parks, parks);
  },
);

testOnBackends(
  "Reactor makes one waker call at most for any number of changes in one tick (contract 164)",
  async ({ reactor }) => {
    const hand = new Hand();
    reactor.interleave(hand.waker);
    const pipes = Array.from({ length: 50 }, () => new Pipe());
    try {
      for (const pipe of pipes) {
        reactor.addReader(pipe.reader(() => {}));
        reactor.callLater(1_000_000, () => {});
        reactor.callLater(500_000, () => {}).reset(400_000);
      }
      await delay(A_WHILE);
      assertLessOrEqual(hand.given.length, 1);

      let calls = 0;
      for (let i = 0; i < 50; i++) reactor.callFromThread(() => calls++);
      await hand.pumpUntil(() => calls === 50);
      assertLessOrEqual(hand.given.length, 2);
      assertLessOrEqual(reactor.inspect().counters.wakes, 150);
    } finally {
      for (const pipe of pipes) pipe[Symbol.dispose]();
    }
  },
);

// Work items that come late, twice, or from inside

testOnBackends(
  "Reactor ignores a work item that is run after crash() (contract 166)",
  async ({ reactor }) => {
    const hand = new Hand();
    const seen: string[] = [];
    reactor.callLater(0, () => seen.push("callLater"));
    reactor.interleave(hand.waker);
    const work = await hand.next();
    reactor.crash();
    work();
    await reactor.finished;
    work();
    assertEquals(seen, []);
    assertEquals(reactor.inspect().counters.turns, 0);
  },
);

testOnBackends(
  "Reactor ignores a work item that is run after close() (contract 166)",
  async ({ reactor }) => {
    const hand = new Hand();
    const seen: string[] = [];
    reactor.addSystemEventTrigger(
      "after",
      "shutdown",
      () => seen.push("after shutdown"),
    );
    reactor.callLater(0, () => seen.push("callLater"));
    reactor.interleave(hand.waker);
    const work = await hand.next();
    await reactor.close(); // It does not need the host.
    work();
    assertEquals(seen, ["callLater", "after shutdown"]);
    assertEquals(hand.given.length, 1);
  },
);

testOnBackends(
  "Reactor ignores a work item that is run twice (contract 167)",
  async ({ reactor }) => {
    const hand = new Hand();
    let calls = 0;
    reactor.callLater(0, () => calls++);
    reactor.interleave(hand.waker);
    const work = await hand.next();
    work();
    assertEquals(calls, 1);
    const { counters } = reactor.inspect();
    reactor.callLater(0, () => calls++);
    work();
    assertEquals(calls, 1);
    assertEquals(reactor.inspect().counters.turns, counters.turns);

    // Nor when another one is outstanding.
    const another = await hand.next();
    work();
    assertEquals(calls, 1);
    another();
    assertEquals(calls, 2);
  },
);

testOnBackends(
  "Reactor does not re-enter when a callback pumps the host's loop (contract 173)",
  async ({ reactor }) => {
    const hand = new Hand();
    const seen: string[] = [];
    reactor.interleave(hand.waker);
    reactor.callLater(0, () => {
      seen.push("outer begins");
      const { counters } = reactor.inspect();
      reactor.callLater(0, () => seen.push("inner"));
      reactor.callFromThread(() => seen.push("queued"));
      // A modal dialog, say: the host runs its loop in here.
      for (let i = 0; i < 3; i++) {
        work();
        assertEquals(hand.waiting, 0);
      }
      assertEquals(reactor.inspect().counters, counters);
      seen.push("outer ends");
    });
    const work = await hand.next();
    work();
    await hand.pumpUntil(() => seen.length === 4);
    assertEquals(seen, ["outer begins", "outer ends", "queued", "inner"]);
  },
);

testOnBackends(
  "Reactor lets nothing out of a work item (contract 168)",
  async ({ reactor, errors }) => {
    using pipe = new Pipe();
    const hand = new Hand();
    const reasons = ["timer", "reader", "queue", undefined, null, "trigger"];
    const thrower = (reason: unknown) => () => {
      throw reason;
    };
    pipe.fill();
    reactor.interleave(hand.waker);
    reactor.callLater(0, thrower("timer"));
    reactor.callLater(0, thrower(undefined));
    reactor.callLater(0, thrower(null));
    reactor.callFromThread(thrower("queue"));
    reactor.addReader(pipe.reader(thrower("reader")));
    reactor.addSystemEventTrigger("during", "shutdown", thrower("trigger"));
    reactor.callLater(1, () => reactor.stop());
    await hand.pumpUntil(() => hasEnded(reactor)); // Would reject.
    const got = errors.splice(0)
      .map(({ error }) => String((error as Error).cause)).toSorted();
    assertEquals(got, reasons.map(String).toSorted());
  },
);

// Wakers that throw

testOnBackends(
  "Reactor reports a waker that throws, and runs the work item itself (contract 169)",
  async ({ reactor, errors }) => {
    const reason = new Error("waker");
    let calls = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.interleave(() => {
      throw reason;
    });
    reactor.callLater(0, () => {
      calls++;
      reactor.callLater(2, () => {
        calls++;
        resolve();
      });
    });
    await promise;
    assertEquals(calls, 2);
    const got = errors.splice(0);
    assert(got.length >= 2);
    assert(
      got.every(({ error, where }) => error === reason && where === "waker"),
    );
  },
);

testOnBackends(
  "Reactor does nothing twice when a waker keeps the work item and then throws (contract 167, 169)",
  async ({ reactor, errors }) => {
    const hand = new Hand();
    let broken = true;
    let calls = 0;
    reactor.interleave((work) => {
      hand.waker(work);
      if (broken) throw new Error("waker");
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.callLater(0, () => {
      calls++;
      resolve();
    });
    await promise;
    const { counters } = reactor.inspect();
    (await hand.next())();
    assertEquals(calls, 1);
    assertEquals(reactor.inspect().counters.turns, counters.turns);
    assertEquals(errors.splice(0).map(({ where }) => where), ["waker"]);

    // As soon as the waker works again, the host is the host again.
    broken = false;
    reactor.callLater(0, () => calls++);
    const work = await hand.next();
    assertEquals(calls, 1);
    work();
    assertEquals(calls, 2);
  },
);

testOnBackends(
  "Reactor takes a waker that runs the work item at once",
  async ({ reactor }) => {
    let depth = 0;
    const depths: number[] = [];
    reactor.interleave((work) => {
      depth++;
      work();
      depth--;
    });
    for (let i = 0; i < 5; i++) {
      const { promise, resolve } = Promise.withResolvers<void>();
      reactor.callLater(0, () => {
        depths.push(depth);
        resolve();
      });
      await promise;
    }
    assertEquals(depths, [1, 1, 1, 1, 1]);
  },
);

// The host's own code

for (
  const [name, numbers, use] of [
    [
      "callLater()",
      "170",
      (reactor, done) => void reactor.callLater(1, done),
    ],
    [
      "callFromThread()",
      "146, 170",
      (reactor, done) => reactor.callFromThread(done),
    ],
    [
      "addReader()",
      "109, 170",
      (reactor, done, pipe) => {
        pipe.fill();
        reactor.addReader(pipe.reader(done));
      },
    ],
    [
      "addWriter()",
      "109, 170",
      (reactor, done, pipe) => {
        const writer = pipe.writer(() => {
          reactor.removeWriter(writer);
          done();
        });
        reactor.addWriter(writer);
      },
    ],
    [
      "DelayedCall.reset()",
      "78, 170",
      (reactor, done) => reactor.callLater(300_000, done).reset(1),
    ],
    [
      "DelayedCall.delay()",
      "78, 170",
      (reactor, done) => reactor.callLater(300_000, done).delay(-299_999),
    ],
    [
      "readable()",
      "170",
      (reactor, done, pipe) => {
        pipe.fill();
        reactor.readable(pipe.output).then(done);
      },
    ],
    [
      "watch()",
      "170",
      (reactor, done, pipe) => {
        pipe.fill();
        const watch = reactor.watch(pipe.output, "readable");
        watch.next().then(() => watch.close()).then(done);
      },
    ],
    [
      "stop()",
      "15, 170",
      (reactor, done) => {
        reactor.addSystemEventTrigger("after", "shutdown", done);
        reactor.stop();
      },
    ],
  ] as [
    string,
    string,
    (reactor: Reactor, done: () => void, pipe: Pipe) => void,
  ][]
) {
  testOnBackends(
    `Reactor takes a call from between two work items at once: ${name} (contract ${numbers})`,
    async ({ reactor }) => {
      using pipe = new Pipe();
      const { promise, resolve } = Promise.withResolvers<void>();
      reactor.callLater(400_000, () => {});
      reactor.interleave((work) => setTimeout(work));
      // The worker sleeps, by now for far longer than the test may take.
      await delay(A_WHILE);
      use(reactor, resolve, pipe);
      await promise;
    },
  );
}

testOnBackends(
  "stop() from the host's code ends in a work item, if the host goes on (contract 171)",
  async ({ reactor }) => {
    const hand = new Hand();
    const seen: string[] = [];
    let inside = false;
    for (const phase of ["before", "during", "after"] as const) {
      reactor.addSystemEventTrigger(phase, "shutdown", () => {
        seen.push(`${phase}: ${inside}`);
      });
    }
    reactor.interleave(hand.waker);
    reactor.stop();
    await delay(A_WHILE);
    assertEquals(seen, []);
    while (!hasEnded(reactor)) {
      const work = await hand.next();
      inside = true;
      work();
      inside = false;
    }
    assertEquals(seen, ["before: true", "during: true", "after: true"]);
  },
);

testOnBackends(
  "Reactor makes no waker call after 'after shutdown' (contract 172)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const hand = new Hand();
    let calls = 0;
    reactor.addReader(pipe.reader(() => {}));
    reactor.interleave(hand.waker);
    reactor.addSystemEventTrigger("after", "shutdown", () => {
      reactor.callLater(0, () => calls++);
      reactor.callFromThread(() => calls++);
      pipe.fill();
    });
    reactor.stop();
    await hand.pumpUntil(() => hasEnded(reactor));
    await reactor.finished;
    await delay(A_WHILE);
    assertEquals(hand.waiting, 0);
    assertEquals(calls, 0);
    assertFalse(reactor.inspect().keepsAlive.run);
  },
);

// crash() and another loop

for (
  const [state, prepare] of [
    ["parked", () => Promise.resolve()],
    ["about to report", async (reactor) => {
      reactor.callLater(0, () => {});
      // Nobody gives the message a chance to arrive: this thread sleeps while
      // the worker reports.
      await delay(A_WHILE);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, A_WHILE);
    }],
    ["waiting for the host", async (reactor, hand) => {
      reactor.callLater(0, () => {});
      while (hand.given.length === 0) await delay(1);
    }],
  ] as [string, (reactor: Reactor, hand: Hand) => Promise<void>][]
) {
  testOnBackends(
    `interleave() at once after crash() leaves one loop, when the old one was ${state} (contract 174)`,
    async ({ reactor }) => {
      using pipe = new Pipe();
      const [old, fresh] = [new Hand(), new Hand()];
      reactor.interleave(old.waker);
      await prepare(reactor, old);
      const before = old.given.length;
      let calls = 0;
      let reads = 0;
      reactor.callLater(0, () => calls++);
      reactor.addReader(pipe.reader(() => reads++));
      pipe.fill();
      reactor.crash();
      reactor.interleave(fresh.waker);
      for (const work of old.given) work();
      assertEquals([calls, reads], [0, 0]);
      await fresh.pumpUntil(() => calls === 1 && reads === 1);
      for (const work of old.given) work();
      await delay(A_WHILE);
      assertEquals(old.given.length, before);
      assertEquals([calls, reads], [1, 1]);
    },
  );
}

testOnBackends(
  "interleave() at once after crash() in a delayed call serves one that is made next",
  async ({ reactor }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.callLater(1, () => {
      reactor.crash();
      reactor.interleave();
      reactor.callLater(1, resolve);
    });
    reactor.interleave();
    await promise;
  },
);

testOnBackends(
  "interleave() at once after crash() in a callback leaves one loop (contract 12, 174)",
  async ({ reactor }) => {
    const [old, fresh] = [new Hand(), new Hand()];
    const seen: string[] = [];
    reactor.interleave(old.waker);
    reactor.callLater(0, () => {
      reactor.crash();
      reactor.interleave(fresh.waker);
      seen.push("crashed");
    });
    reactor.callLater(0, () => seen.push("the next call"));
    const work = await old.next();
    work();
    assertEquals(seen, ["crashed"]);
    assert(reactor.running);
    await fresh.pumpUntil(() => seen.length === 2);
    work();
    assertEquals(old.waiting, 0);
    assertEquals(seen, ["crashed", "the next call"]);
  },
);

testOnBackends(
  "crash() twenty times over leaves one loop (contract 11, 174)",
  async ({ reactor }) => {
    let loops = 0;
    let calls = 0;
    const items: number[] = [];
    for (let i = 0; i < 20; i++) {
      const number = ++loops;
      reactor.interleave((work) => {
        items.push(number);
        queueMicrotask(work);
      });
      if (i < 19) reactor.crash();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.callLater(1, () => {
      calls++;
      resolve();
    });
    await promise;
    assertEquals(calls, 1);
    assertEquals(new Set(items), new Set([20]));
  },
);

// Pumping

testOnBackends(
  "Reactor can be pumped for a bounded time (contract 177)",
  async ({ reactor }) => {
    const hand = new Hand();
    reactor.interleave(hand.waker);
    let calls = 0;
    const again = () => {
      calls++;
      reactor.callLater(0, again);
    };
    reactor.callLater(0, again);
    const end = performance.now() + 20;
    while (performance.now() < end) {
      (await hand.next())(); // Each gives way by itself, or this would not end.
    }
    assert(calls > 0);
    const { turns } = reactor.inspect().counters;
    await delay(A_WHILE);
    assertEquals(reactor.inspect().counters.turns, turns);
  },
);

testOnBackends(
  "Reactor can be pumped by hand to an orderly end when the host's loop has ended (contract 178)",
  async ({ reactor }) => {
    const hand = new Hand();
    const seen: string[] = [];
    reactor.interleave(hand.waker);
    reactor.callLater(0, () => seen.push("callLater"));
    await hand.next(); // The host's loop ends without running it.
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      reactor.callLater(1, resolve);
      return promise;
    });
    reactor.addSystemEventTrigger("after", "shutdown", () => {
      seen.push("after shutdown");
    });
    reactor.stop();
    for (const work of hand.given) work();
    await hand.pumpUntil(() => hasEnded(reactor));
    assertEquals(seen, ["callLater", "after shutdown"]);
  },
);

// Others

testOnBackends(
  "Reactor gives way to Deno's loop when it is kept busy (contract 161)",
  async ({ reactor }) => {
    const ends = FileDescriptor.socketpair();
    const byte = new Uint8Array(1);
    let bounces = 0;
    for (const end of ends) {
      reactor.addReader({
        fileno: () => end.fileno(),
        doRead() {
          end.read(byte);
          end.write(byte);
          bounces++;
        },
        connectionLost() {},
      });
    }
    ends[0].write(byte);
    reactor.interleave();
    let timers = 0;
    while (timers < 20) {
      await delay(1);
      if (bounces > 0) timers++; // The worker is up, and the reactor is busy.
    }
    const before = bounces;
    const response = await fetch("data:,hello");
    assertEquals(await response.text(), "hello");
    while (bounces === before) await delay(1);
    for (const end of ends) end.close();
  },
);

testOnBackends(
  "Reactor reads an injected clock anew in each round, and hands it to its calls (contract 60)",
  async ({ backend }) => {
    let time = 1000;
    await using reactor = new Reactor({ backend, clock: () => time });
    const seen: number[] = [];
    const call = reactor.callLater(50, () => seen.push(time));
    assertEquals(reactor.now(), 1000);
    assertEquals(call.getTime(), 1050);
    reactor.iterate(0);
    assertEquals(seen, []);
    time = 1049.999;
    reactor.iterate(0);
    assertEquals(seen, []);
    time = 1050;
    reactor.iterate(0);
    assertEquals(seen, [1050]);
    const reset = reactor.callLater(5, () => {});
    time = 2000;
    reset.reset(7);
    assertEquals(reset.getTime(), 2007);
  },
);

testOnBackends(
  "Reactor.now() never goes back (contract 58)",
  ({ reactor }) => {
    let last = reactor.now();
    for (let i = 0; i < 10_000; i++) {
      const now = reactor.now();
      assert(now >= last);
      last = now;
    }
  },
);

for (
  const [name, clock] of [
    ["throws", () => {
      throw new Error("clock");
    }],
    ["tells no number", () => NaN],
  ] as [string, () => number][]
) {
  testOnBackends(
    `Reactor reports a clock that ${name}, and serves descriptors all the same (contract 18)`,
    async ({ backend }) => {
      using pipe = new Pipe();
      const errors: string[] = [];
      let broken = false;
      await using reactor = new Reactor({
        backend,
        clock: () => broken ? clock() : performance.now(),
        onError: (_, where) => errors.push(where),
      });
      const { promise, resolve } = Promise.withResolvers<void>();
      reactor.callLater(1, () => {});
      reactor.addReader(pipe.reader(resolve));
      broken = true;
      reactor.interleave();
      pipe.fill();
      await promise;
      assert(errors.length > 0);
      assertEquals(new Set(errors), new Set(["clock"]));
      broken = false;
    },
  );
}

testOnBackends(
  "Reactor.inspect() tells where work items run",
  async ({ backend }) => {
    const start: Record<string, (reactor: Reactor) => void> = {
      none: () => {},
      deno: (reactor) => reactor.interleave(),
      iterate: (reactor) => void reactor.iterate(0),
      waker: (reactor) => reactor.interleave(() => {}),
    };
    for (const [host, begin] of Object.entries(start)) {
      await using reactor = new Reactor({ backend, label: "mine" });
      begin(reactor);
      const report = reactor.inspect();
      assertEquals(report.host, host);
      assertEquals(report.label, "mine");
      assertEquals(report.backend, backend);
      assertEquals(report.running, host !== "none");
    }
  },
);
