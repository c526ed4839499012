// What holds wherever a reactor runs. No test here waits for a promise while
// the reactor runs, because in some of the hosts none settles then.

import {
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  ConnectionDone,
  ConnectionLost,
  ReactorAlreadyRunning,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "../src/errors.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import type { Reactor } from "../src/reactor.ts";
import {
  HOSTS,
  ITERATE,
  ONE_OF_EACH_KIND,
  type Setting,
  testInHosts,
} from "./hosts.ts";
import { Pipe } from "./pipe.ts";

/** The ways in which a program's own code comes to run in a reactor. */
const CALLBACKS: Record<
  string,
  (reactor: Reactor, f: () => void, pipe: Pipe) => void
> = {
  "a 'startup' trigger": (reactor, f) => {
    reactor.addSystemEventTrigger("before", "startup", f);
  },
  "callWhenRunning": (reactor, f) => {
    reactor.callWhenRunning(f);
  },
  "callLater": (reactor, f) => {
    reactor.callLater(1, f);
  },
  "callFromThread": (reactor, f) => {
    reactor.callFromThread(f);
  },
  "doRead": (reactor, f, pipe) => {
    pipe.fill();
    reactor.addReader(pipe.reader(f));
  },
  "doWrite": (reactor, f, pipe) => {
    reactor.addWriter(pipe.writer(f));
  },
};

/** Notes the phases of "shutdown" as they come. */
function notePhases({ reactor }: Setting, seen: string[]): void {
  for (const phase of ["after", "during", "before"] as const) {
    reactor.addSystemEventTrigger(phase, "shutdown", () => seen.push(phase));
  }
}

/** Takes what `onError` got, as the messages. */
function taken({ errors }: Setting): string[] {
  return errors.splice(0).map(({ error }) => (error as Error).message);
}

function thrower(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}

// Lifecycle

testInHosts(
  "Reactor.running is true from 'during startup' to 'during shutdown' (contract 1, 2)",
  async ({ reactor, run }) => {
    const seen: string[] = [];
    for (const event of ["startup", "shutdown"]) {
      for (const phase of ["after", "during", "before"] as const) {
        reactor.addSystemEventTrigger(
          phase,
          event,
          () => seen.push(`${phase} ${event}: ${reactor.running}`),
        );
      }
    }
    reactor.callLater(0, () => {
      seen.push(`callLater: ${reactor.running}`);
      reactor.stop();
    });
    assertFalse(reactor.running);
    await run();
    assertFalse(reactor.running);
    assertEquals(seen, [
      "before startup: false",
      "during startup: true",
      "after startup: true",
      "callLater: true",
      "before shutdown: true",
      "during shutdown: false",
      "after shutdown: false",
    ]);
  },
);

for (const [where, begin] of Object.entries(CALLBACKS)) {
  testInHosts(
    `stop() ends the reactor in order after the callback when called from ${where} (contract 6, 7, 13, 14)`,
    async (setting) => {
      const { reactor, run } = setting;
      using pipe = new Pipe();
      const seen: string[] = [];
      notePhases(setting, seen);
      begin(reactor, () => {
        reactor.stop();
        seen.push("next statement");
      }, pipe);
      await run();
      assertEquals(seen, ["next statement", "before", "during", "after"]);
    },
    { hosts: ONE_OF_EACH_KIND },
  );

  testInHosts(
    `crash() ends the reactor without "shutdown" when called from ${where} (contract 10, 12, 139)`,
    async (setting) => {
      const { reactor, run } = setting;
      using pipe = new Pipe();
      const seen: string[] = [];
      notePhases(setting, seen);
      const bystander = pipe.reader(
        () => {},
        () => seen.push("connectionLost"),
      );
      if (where !== "doRead") reactor.addReader(bystander);
      begin(reactor, () => {
        reactor.crash();
        seen.push(`next statement, running: ${reactor.running}`);
      }, pipe);
      await run();
      assertEquals(seen, ["next statement, running: false"]);
    },
    { hosts: ONE_OF_EACH_KIND },
  );
}

testInHosts(
  "crash() keeps what is registered, and the reactor can start again (contract 11, 139)",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    const seen: string[] = [];
    const note = (text: string) => () => seen.push(text);
    reactor.addSystemEventTrigger("before", "startup", note("startup"));
    reactor.callLater(0, () => {
      seen.push("crash");
      reactor.crash();
    });
    reactor.callLater(0, note("the next call"));
    reactor.addReader(pipe.reader(() => {
      seen.push("doRead");
      reactor.stop();
    }));
    await run();
    assertEquals(seen.splice(0), ["startup", "crash"]);

    reactor.addSystemEventTrigger("before", "startup", note("new startup"));
    reactor.callLater(5, () => pipe.fill());
    await run();
    assertEquals(seen, ["new startup", "the next call", "doRead"]);
  },
);

testInHosts(
  "stop() throws when the reactor does not run, is stopping or was stopped (contract 3, 4, 5)",
  async ({ reactor, run }) => {
    const seen: string[] = [];
    const refused = (when: string) => {
      assertThrows(() => reactor.stop(), ReactorNotRunning);
      seen.push(when);
    };
    refused("before the start");
    reactor.addSystemEventTrigger("before", "shutdown", refused, "before");
    reactor.addSystemEventTrigger("after", "shutdown", refused, "after");
    reactor.callLater(0, () => {
      reactor.stop();
      refused("at once");
    });
    await run();
    refused("at last");
    assertEquals(seen, [
      "before the start",
      "at once",
      "before",
      "after",
      "at last",
    ]);
  },
);

testInHosts(
  "interleave() and run() refuse a second start and disturb nothing (contract 8)",
  async ({ reactor, run }) => {
    const rejected: Promise<unknown>[] = [];
    let calls = 0;
    reactor.callWhenRunning(() => {
      for (const waker of [undefined, (work: () => void) => work()]) {
        assertThrows(() => reactor.interleave(waker), ReactorAlreadyRunning);
      }
      rejected.push(assertRejects(() => reactor.run(), ReactorAlreadyRunning));
      calls++;
    });
    reactor.callLater(1, () => {
      reactor.stop();
      calls++;
    });
    await run();
    assertEquals(rejected.length, 1);
    await Promise.all(rejected);
    assertEquals(calls, 2);
  },
  // What iterate() has started may be taken over.
  { hosts: HOSTS.filter((host) => host !== ITERATE) },
);

testInHosts(
  "iterate() throws inside a callback and disturbs nothing",
  async ({ reactor, run }) => {
    let calls = 0;
    reactor.callLater(0, () => {
      assertThrows(() => reactor.iterate(), ReactorAlreadyRunning);
      calls++;
    });
    reactor.callLater(1, () => {
      reactor.stop();
      calls++;
    });
    await run();
    assertEquals(calls, 2);
  },
);

testInHosts(
  "interleave() and run() throw after a stop, and already in 'after shutdown' (contract 9)",
  async ({ reactor, run }) => {
    const rejected: Promise<unknown>[] = [];
    const refuse = () => {
      assertThrows(() => reactor.interleave(), ReactorNotRestartable);
      rejected.push(assertRejects(() => reactor.run(), ReactorNotRestartable));
    };
    reactor.addSystemEventTrigger("after", "shutdown", refuse);
    reactor.callLater(0, () => reactor.stop());
    await run();
    refuse();
    assertThrows(() => reactor.iterate(), ReactorNotRestartable);
    assertEquals(rejected.length, 2);
    await Promise.all(rejected);
  },
);

testInHosts(
  "stop() does nothing after crash() but forbid another start (contract 19)",
  async (setting) => {
    const { reactor, run } = setting;
    const seen: string[] = [];
    notePhases(setting, seen);
    reactor.callLater(0, () => reactor.crash());
    await run();
    reactor.stop();
    assertThrows(() => reactor.interleave(), ReactorNotRestartable);
    assertThrows(() => reactor.iterate(), ReactorNotRestartable);
    assertEquals(seen, []);
  },
);

testInHosts(
  "crash() ends a shutdown whose triggers have not all run (contract 10)",
  async (setting) => {
    const { reactor, run } = setting;
    const seen: string[] = [];
    notePhases(setting, seen);
    reactor.addSystemEventTrigger("before", "shutdown", () => reactor.crash());
    reactor.callLater(0, () => reactor.stop());
    await run();
    assertEquals(seen, ["before"]);
  },
);

// Callbacks that throw

testInHosts(
  "Reactor reports what a callback throws, and goes on (contract 18, 36, 82, 149, 168)",
  async (setting) => {
    const { reactor, run } = setting;
    using pipe = new Pipe();
    pipe.fill();
    for (const phase of ["before", "during", "after"] as const) {
      for (const event of ["startup", "shutdown"]) {
        const message = `${phase} ${event}`;
        reactor.addSystemEventTrigger(phase, event, thrower(message));
      }
    }
    let calls = 0;
    reactor.callFromThread(thrower("callFromThread"));
    reactor.callFromThread(() => calls++);
    reactor.callLater(0, thrower("callLater"));
    reactor.callLater(0, () => calls++);
    reactor.addReader(pipe.reader(thrower("doRead"), thrower("reader lost")));
    reactor.addWriter(pipe.writer(thrower("doWrite"), thrower("writer lost")));
    reactor.callLater(5, () => {
      reactor.callWhenRunning(thrower("callWhenRunning"));
      calls++;
      reactor.stop();
    });
    await run();
    assertEquals(calls, 3);
    const messages = taken(setting);
    assertEquals(
      messages.toSorted(),
      [
        "before startup",
        "during startup",
        "after startup",
        "doRead",
        "reader lost",
        "doWrite",
        "writer lost",
        "callFromThread",
        "callLater",
        "callWhenRunning",
        "before shutdown",
        "during shutdown",
        "after shutdown",
      ].toSorted(),
    );
  },
);

testInHosts(
  "Reactor reports a fileno() that throws, tells its owner and goes on (contract 118)",
  async (setting) => {
    const { reactor, run } = setting;
    using pipe = new Pipe();
    const reasons: Error[] = [];
    let broken = false;
    reactor.addReader({
      fileno() {
        if (broken) throw new Error("fileno");
        return pipe.output.fileno();
      },
      doRead: () => reasons.push(new Error("doRead was called")),
      connectionLost: (reason) => reasons.push(reason),
    });
    broken = true;
    pipe.fill();
    reactor.callLater(5, () => reactor.stop());
    await run();
    assertEquals(taken(setting), ["fileno"]);
    assertEquals(reasons.map(({ message }) => message), ["fileno"]);
  },
);

testInHosts(
  "Reactor survives an onError that throws (contract 168)",
  async (setting) => {
    const { reactor, errors, run } = setting;
    const complaints: unknown[][] = [];
    const { error } = console;
    console.error = (...words: unknown[]) => complaints.push(words);
    try {
      errors.push = thrower("onError");
      reactor.callLater(0, thrower("callback"));
      reactor.callLater(0, () => reactor.stop());
      await run();
    } finally {
      console.error = error;
      delete (errors as { push?: unknown }).push;
    }
    assertEquals(complaints.length, 1);
    assertEquals(
      complaints[0]!.filter((word) => word instanceof Error)
        .map(({ message }) => message),
      ["onError", "callback"],
    );
  },
);

// Time

testInHosts(
  "callLater() calls once, with its arguments, and never from inside itself (contract 59, 62, 64)",
  async ({ reactor, run }) => {
    const seen: unknown[] = [];
    const note = (...args: unknown[]) => seen.push(args);
    reactor.callLater(0, note, "made before the start", 1);
    seen.push("returned");
    reactor.callLater(2, () => {
      reactor.callLater(0, note, "made in a callback");
      reactor.callLater(2, () => reactor.stop());
      seen.push("returned");
    });
    await run();
    assertEquals(seen, [
      "returned",
      ["made before the start", 1],
      "returned",
      ["made in a callback"],
    ]);
  },
);

testInHosts(
  "callLater() runs a call made in a callback in a later round, after I/O (contract 63)",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    reactor.callLater(0, () => {
      seen.push("first");
      pipe.fill();
      reactor.callLater(0, () => {
        seen.push("second");
        reactor.stop();
      });
    });
    await run();
    assertEquals(seen, ["first", "doRead", "second"]);
  },
);

testInHosts(
  "callLater() runs all that is due in one round, nearest first, in a late host (contract 65, 66, 67)",
  async ({ reactor, run }) => {
    const seen: unknown[] = [];
    const rounds = new Set<number>();
    const note = (what: unknown) => {
      seen.push(what);
      rounds.add(reactor.inspect().counters.rounds);
    };
    reactor.callLater(0, () => {
      for (const ms of [30, 10, 20]) reactor.callLater(ms, note, ms);
      const last = reactor.callLater(30, () => reactor.stop());
      while (reactor.now() < last.getTime());
    });
    await run();
    assertEquals(seen, [10, 20, 30]);
    assertEquals(rounds.size, 1);
  },
);

testInHosts(
  "callLater() never calls before the deadline (contract 87)",
  async ({ reactor, run }) => {
    const early: number[] = [];
    let left = 0;
    for (const ms of [0, 0.01, 0.5, 0.999, 1, 1.001, 1.5, 2.25, 3, 7.7, 12]) {
      left++;
      const call = reactor.callLater(ms, () => {
        const time = reactor.now() - call.getTime();
        if (time < 0) early.push(time);
        if (--left === 0) reactor.stop();
      });
    }
    await run();
    assertEquals(left, 0);
    assertEquals(early, []);
  },
);

testInHosts(
  "callLater() takes a delay that no clock will ever reach (contract 86)",
  async ({ reactor, run }) => {
    let calls = 0;
    const distant = [2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 128].map((
      ms,
    ) => reactor.callLater(ms, () => calls++));
    reactor.callLater(3, () => reactor.stop());
    await run();
    assertEquals(calls, 0);
    assertEquals(distant.map((call) => call.active()), Array(5).fill(true));
  },
);

testInHosts(
  "DelayedCall.reset() and delay() move a call in either direction (contract 74, 75, 77)",
  async ({ reactor, run }) => {
    const seen: { name: string; time: number }[] = [];
    const note = (name: string) => seen.push({ name, time: reactor.now() });
    reactor.callLater(0, () => {
      const sooner = reactor.callLater(100_000, note, "sooner");
      const later = reactor.callLater(1, note, "later");
      const cancelled = reactor.callLater(2, note, "cancelled");
      const end = later.getTime() + 20;
      sooner.reset(3);
      later.delay(20);
      cancelled.cancel();
      assertEquals(later.getTime(), end);
      reactor.callLater(25, () => {
        const calls = [{ name: "sooner", call: sooner }, {
          name: "later",
          call: later,
        }];
        for (const { name, call } of calls) {
          const [only, ...more] = seen.filter((one) => one.name === name);
          assertGreaterOrEqual(only!.time, call.getTime());
          assertEquals(more, []);
        }
        assertEquals(seen.length, 2);
        reactor.stop();
      });
    });
    await run();
  },
);

// Threads

testInHosts(
  "callFromThread() calls in order, in a later round (contract 143, 144, 145)",
  async ({ reactor, run }) => {
    const seen: unknown[] = [];
    const note = (...args: unknown[]) => seen.push(args);
    reactor.callFromThread(note, "before the start", 1);
    reactor.callFromThread(note, "before the start", 2);
    seen.push("returned");
    reactor.callLater(2, () => {
      reactor.callFromThread(note, "in a callback", 1);
      reactor.callFromThread(note, "in a callback", 2);
      reactor.callFromThread(() => reactor.stop());
      seen.push("returned");
    });
    await run();
    assertEquals(seen, [
      "returned",
      ["before the start", 1],
      ["before the start", 2],
      "returned",
      ["in a callback", 1],
      ["in a callback", 2],
    ]);
  },
);

testInHosts(
  "callFromThread() from a queued call lets I/O and timers have their turn (contract 147)",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    reactor.callFromThread(() => {
      seen.push("first");
      pipe.fill();
      reactor.callLater(0, () => seen.push("timer"));
      reactor.callFromThread(() => {
        seen.push("second");
        reactor.stop();
      });
    });
    await run();
    assertEquals(seen, ["first", "timer", "doRead", "second"]);
  },
);

testInHosts(
  "callFromThread() runs promptly although the next timer is far away (contract 146)",
  async ({ reactor, run }) => {
    reactor.callLater(1_000_000, () => {});
    reactor.callLater(1, () => reactor.callFromThread(() => reactor.stop()));
    await run(); // Fails after the host's patience, if nothing woke it.
    assertEquals(reactor.getDelayedCalls().length, 1);
  },
);

testInHosts(
  "callFromThread() loses nothing of a burst of 100000 (contract 148)",
  async ({ reactor, run }) => {
    const burst = 100_000;
    let next = 0;
    reactor.callLater(0, () => {
      for (let i = 0; i < burst; i++) {
        reactor.callFromThread((number) => {
          if (next === number) next++;
          if (number === burst - 1) reactor.stop();
        }, i);
      }
    });
    await run();
    assertEquals(next, burst);
  },
);

testInHosts(
  "callFromThread() keeps the rest of a burst for the next run after crash() (contract 145, 148)",
  async ({ reactor, run }) => {
    const burst = 200_000;
    let calls = 0;
    reactor.callFromThread(() => reactor.crash());
    for (let i = 0; i < burst; i++) reactor.callFromThread(() => calls++);
    await run();
    assertEquals(calls, 0);
    reactor.callFromThread(() => reactor.stop());
    await run();
    assertEquals(calls, burst);
  },
);

// Descriptors

testInHosts(
  "addReader() calls doRead() for as long as there is data (contract 100, 108)",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    let reads = 0;
    reactor.addReader(pipe.reader(() => {
      if (++reads === 5) reactor.stop();
    }));
    reactor.callLater(2, () => pipe.fill(5));
    await run();
    assertEquals(reads, 5);
  },
);

testInHosts(
  "addWriter() calls doWrite() for as long as there is room (contract 101)",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    let writes = 0;
    reactor.addWriter(pipe.writer(() => {
      if (++writes === 5) reactor.stop();
    }));
    await run();
    assertEquals(writes, 5);
  },
);

testInHosts(
  "removeReader() and removeWriter() before the start leave nothing to call (contract 102)",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    pipe.fill();
    const seen: string[] = [];
    const reader = pipe.reader(() => seen.push("doRead"));
    const writer = pipe.writer(() => seen.push("doWrite"));
    reactor.addReader(reader);
    reactor.addWriter(writer);
    reactor.removeReader(reader);
    reactor.removeWriter(writer);
    reactor.callLater(5, () => reactor.stop());
    await run();
    assertEquals(seen, []);
  },
);

testInHosts(
  "Reactor lets two objects talk over a pair of sockets, reading before writing (contract 113)",
  async ({ reactor, run }) => {
    const [here, there] = FileDescriptor.socketpair();
    using _here = here;
    using _there = there;
    const seen: string[] = [];
    const both = {
      fileno: () => here.fileno(),
      doRead() {
        const bytes = new Uint8Array(10);
        const count = here.read(bytes);
        seen.push(`read ${bytes.subarray(0, count!)}`);
        reactor.stop();
      },
      doWrite() {
        seen.push("write");
        here.write(new Uint8Array([1, 2]));
        reactor.removeWriter(both);
      },
      connectionLost() {},
    };
    const echo = {
      fileno: () => there.fileno(),
      doRead() {
        const bytes = new Uint8Array(10);
        there.write(bytes.subarray(0, there.read(bytes)!));
      },
      connectionLost() {},
    };
    reactor.addReader(both);
    reactor.addWriter(both);
    reactor.addReader(echo);
    await run();
    assertEquals(seen, ["write", "read 1,2"]);
  },
);

testInHosts(
  "Reactor drops a descriptor whose callback returns an error, before it tells (contract 130, 132, 134)",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    pipe.input.close();
    const reason = new ConnectionDone();
    const told: Error[] = [];
    const left: number[] = [];
    reactor.addReader(pipe.reader(() => reason, (error) => {
      told.push(error);
      left.push(reactor.getReaders().length);
      reactor.stop();
    }));
    await run();
    assertEquals(told.length, 1);
    assertStrictEquals(told[0], reason);
    assertEquals(left, [0]);
  },
);

testInHosts(
  "FileDescriptor.close() tells its reader and writer, and leaves all others (contract 121, 136)",
  async ({ reactor, run }) => {
    using first = new Pipe();
    using second = new Pipe();
    const told: string[] = [];
    const ignore = () => {};
    reactor.addReader(first.reader(ignore, () => told.push("reader")));
    reactor.addWriter(first.writer(ignore, () => told.push("writer")));
    reactor.addReader(second.reader(() => reactor.stop()));
    reactor.callLater(1, () => {
      first.input.close();
      first.output.close();
      assertEquals(told, ["writer", "reader"]);
      reactor.callLater(5, () => second.fill());
    });
    await run();
    assertEquals(told, ["writer", "reader"]);
  },
);

testInHosts(
  "stop() tells each object once that its connection is lost, though one throws (contract 56, 137, 138)",
  async (setting) => {
    const { reactor, run } = setting;
    using pipe = new Pipe();
    const [here, there] = FileDescriptor.socketpair();
    using _here = here;
    using _there = there;
    const told: string[] = [];
    const lose = (name: string) => (reason: Error) => {
      assertInstanceOf(reason, ConnectionLost);
      told.push(name);
    };
    const ignore = () => {};
    reactor.addReader(pipe.reader(ignore, (reason) => {
      lose("reader")(reason);
      throw new Error("reader lost");
    }));
    reactor.addWriter(pipe.writer(ignore, lose("writer")));
    const both = {
      fileno: () => here.fileno(),
      doRead: ignore,
      doWrite: ignore,
      connectionLost: lose("both"),
    };
    reactor.addReader(both);
    reactor.addWriter(both);
    const during: unknown[] = [];
    reactor.addSystemEventTrigger("during", "shutdown", () => {
      const { length } = [...reactor.getReaders(), ...reactor.getWriters()];
      during.push(reactor.running, length, told.length);
    });
    reactor.callLater(1, () => reactor.stop());
    await run();
    assertEquals(taken(setting), ["reader lost"]);
    assertEquals(told.toSorted(), ["both", "reader", "writer"]);
    assertEquals(during, [false, 0, 3]);
  },
);

// Rounds

testInHosts(
  "Reactor dispatches descriptors, then the queue, then timers, and then stops",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    reactor.addSystemEventTrigger(
      "before",
      "shutdown",
      () => seen.push("shutdown"),
    );
    reactor.callLater(0, () => {
      reactor.callLater(0, () => {
        seen.push("timer");
        reactor.stop();
      });
      reactor.callLater(0, () => seen.push("another timer"));
      reactor.callFromThread(() => seen.push("queue"));
      pipe.fill();
    });
    await run();
    assertEquals(seen, [
      "doRead",
      "queue",
      "timer",
      "another timer",
      "shutdown",
    ]);
  },
);

testInHosts(
  "Reactor serves timers and the queue while a descriptor is always ready",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    let writes = 0;
    // One that writes nothing would be told to spin.
    reactor.addWriter(pipe.writer(() => {
      pipe.fill();
      writes++;
    }));
    const seen: string[] = [];
    reactor.callLater(3, () => {
      seen.push("timer");
      reactor.callFromThread(() => {
        seen.push("queue");
        reactor.stop();
      });
    });
    await run();
    assertEquals(seen, ["timer", "queue"]);
    assertGreaterOrEqual(writes, 2);
  },
);

testInHosts(
  "Reactor serves a timer although each work item may run one callback only",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    pipe.fill(20);
    let reads = 0;
    let turns = 0;
    reactor.addReader(pipe.reader(() => {
      if (++reads === 1) turns = reactor.inspect().counters.turns;
    }));
    function lookAgain(): void {
      if (reads < 20) {
        reactor.callLater(0, lookAgain);
      } else {
        turns = reactor.inspect().counters.turns - turns;
        reactor.stop();
      }
    }
    reactor.callLater(0, lookAgain);
    await run();
    assertEquals(reads, 20);
    assertGreaterOrEqual(turns, 19);
  },
  { budget: { events: 1 } },
);

// System events

testInHosts(
  "callWhenRunning() calls in order at 'after startup', and then at once (contract 52, 53, 54)",
  async ({ reactor, run }) => {
    const seen: unknown[] = [];
    const note = (...args: unknown[]) => seen.push(args);
    reactor.callWhenRunning(note, "first", 1);
    const removed = reactor.callWhenRunning(note, "removed");
    reactor.callWhenRunning(note, "second", 2);
    reactor.removeSystemEventTrigger(removed!);
    reactor.callLater(0, () => {
      assertStrictEquals(reactor.callWhenRunning(note, "at once"), null);
      seen.push("returned");
      reactor.stop();
    });
    await run();
    assertEquals(seen, [["first", 1], ["second", 2], ["at once"], "returned"]);
  },
);

testInHosts(
  "fireSystemEvent() runs an event of the program's own in a callback (contract 27, 38, 51)",
  async ({ reactor, run }) => {
    const seen: unknown[] = [];
    for (const phase of ["after", "during", "before"] as const) {
      reactor.addSystemEventTrigger(
        phase,
        "tea",
        (...args) => seen.push(args),
        phase,
        "tea",
      );
    }
    reactor.callLater(0, () => {
      reactor.fireSystemEvent("tea");
      seen.push("returned");
      reactor.stop();
    });
    await run();
    assertEquals(seen, [
      ["before", "tea"],
      ["during", "tea"],
      ["after", "tea"],
      "returned",
    ]);
  },
);

// Promises

testInHosts(
  "Reactor reports a callback's promise that rejects (contract 18)",
  async (setting) => {
    const { reactor, run } = setting;
    using pipe = new Pipe();
    pipe.fill();
    const fail = (message: string) => () => Promise.reject(new Error(message));
    reactor.callWhenRunning(fail("callWhenRunning"));
    reactor.callLater(0, fail("callLater"));
    reactor.callFromThread(fail("callFromThread"));
    reactor.addReader(pipe.reader(fail("doRead")));
    const writer = pipe.writer(() => {
      reactor.removeWriter(writer);
      return fail("doWrite")();
    });
    reactor.addWriter(writer);
    reactor.addSystemEventTrigger("before", "startup", fail("before"));
    // Not before startup is over, which waits for a promise of its own.
    reactor.callWhenRunning(() => reactor.callLater(5, () => reactor.stop()));
    await run();
    assertEquals(taken(setting).toSorted(), [
      "before",
      "callFromThread",
      "callLater",
      "callWhenRunning",
      "doRead",
      "doWrite",
    ]);
  },
  { hosts: HOSTS.filter((host) => !host.blocks) },
);
