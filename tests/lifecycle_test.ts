// The beginning and the end of a reactor, on Deno's own loop. What holds in
// every host stands in reactor_suite_test.ts.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline, delay } from "@std/async";
import {
  ConnectionLost,
  ReactorAlreadyRunning,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "../src/errors.ts";
import { Reactor, type RunOptions } from "../src/reactor.ts";
import { BACKENDS, PATIENCE } from "./descriptors.ts";
import { testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";
import { untilStarted, withWorkers } from "./workers.ts";

/** Signals are the matter of signals_test.ts. */
const QUIET: RunOptions = { signals: false };

/** Ends when the reactor has run what was called before. */
function oneRound(reactor: Reactor): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  reactor.callFromThread(resolve);
  return promise;
}

/**
 * Whether a promise has settled, when all that is under way has been seen to.
 */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  await delay(20);
  return settled;
}

// Starting

testOnBackends(
  "new Reactor() opens nothing before its first use",
  ({ reactor, backend }) => {
    assertFalse(reactor.running);
    assertEquals(reactor.inspect(), {
      label: undefined,
      backend,
      running: false,
      host: "none",
      keepsAlive: {
        run: false,
        descriptors: 0,
        delayedCalls: 0,
        attachments: 0,
        threads: 0,
      },
      descriptors: [],
      attachments: [],
      delayedCalls: [],
      threads: { size: 0, busy: 0, queued: 0, handles: 0 },
      signal: undefined,
      counters: {
        turns: 0,
        rounds: 0,
        inlineHits: 0,
        events: 0,
        parks: 0,
        wakes: 0,
        spins: 0,
        slowRounds: 0,
        overdue: 0,
      },
    });
  },
);

testOnBackends(
  "callLater(), addReader() and callFromThread() do not start a reactor (contract 64, 145)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.callLater(0, () => seen.push("callLater"));
    reactor.callFromThread(() => seen.push("callFromThread"));
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    reactor.addWriter(pipe.writer(() => seen.push("doWrite")));
    pipe.fill();
    await delay(20);
    assertFalse(reactor.running);
    assertEquals(reactor.inspect().host, "none");
    assertEquals(seen, []);
  },
);

for (
  const [name, wait] of [
    [
      "readable()",
      (reactor, pipe) => reactor.readable(pipe.output),
    ],
    [
      "writable()",
      (reactor, pipe) => reactor.writable(pipe.input),
    ],
    [
      "watch()",
      async (reactor, pipe) => {
        using watch = reactor.watch(pipe.output, "readable");
        return await watch.next();
      },
    ],
    [
      "a stream",
      (reactor, pipe) =>
        pipe.output.readable({ reactor, preventClose: true }).getReader()
          .read(),
    ],
  ] as [string, (reactor: Reactor, pipe: Pipe) => Promise<unknown>][]
) {
  testOnBackends(
    `Reactor starts itself for ${name}, and run() takes it over`,
    async ({ reactor }) => {
      using pipe = new Pipe();
      let startups = 0;
      reactor.addSystemEventTrigger("after", "startup", () => startups++);
      setTimeout(() => pipe.fill()); // So that there is something to wait for.
      await wait(reactor, pipe);
      assert(reactor.running);
      assertEquals(reactor.inspect().host, "deno");
      const run = reactor.run(QUIET);
      await assertRejects(() => reactor.run(QUIET), ReactorAlreadyRunning);
      assertThrows(() => reactor.interleave(), ReactorAlreadyRunning);
      reactor.callLater(1, () => reactor.stop());
      await run;
      assertEquals(startups, 1);
    },
  );
}

testOnBackends(
  "interleave() takes over a reactor that has started itself, with what it waits for",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const wait = reactor.readable(pipe.output);
    assert(reactor.running);
    let items = 0;
    reactor.interleave((work) => {
      items++;
      setTimeout(work);
    });
    assertEquals(reactor.inspect().host, "waker");
    pipe.fill();
    await wait;
    assert(items >= 1);
    await assertRejects(() => reactor.run(QUIET), ReactorAlreadyRunning);
  },
);

testOnBackends(
  "interleave() takes over from inside a callback of a reactor that has started itself",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const wait = reactor.readable(pipe.output);
    const hosts: string[] = [];
    reactor.callLater(0, () => {
      hosts.push(reactor.inspect().host);
      reactor.interleave((work) => queueMicrotask(work));
      reactor.callLater(0, () => {
        hosts.push(reactor.inspect().host);
        pipe.fill();
      });
    });
    await wait;
    assertEquals(hosts, ["deno", "waker"]);
  },
);

testOnBackends(
  "run() takes over a reactor that iterate() has started",
  async ({ reactor }) => {
    let calls = 0;
    reactor.callLater(0, () => calls++);
    assert(reactor.iterate(0));
    assertEquals(reactor.inspect().host, "iterate");
    reactor.callLater(1, () => {
      calls++;
      reactor.stop();
    });
    await reactor.run(QUIET);
    assertEquals(calls, 2);
  },
);

testOnBackends(
  "readable() moves a reactor that iterate() has started to Deno's loop",
  async ({ reactor }) => {
    using pipe = new Pipe();
    reactor.iterate(0);
    pipe.fill();
    const { readable } = await reactor.readable(pipe.output);
    assert(readable);
    assertEquals(reactor.inspect().host, "deno");
  },
);

testOnBackends(
  "run() rejects, and does not throw, when the reactor runs or was stopped (contract 8, 9)",
  async ({ reactor }) => {
    const run = reactor.run(QUIET);
    const another = reactor.run(QUIET);
    await assertRejects(() => another, ReactorAlreadyRunning, "Cannot run");
    assert(reactor.running);
    assertFalse(await isSettled(run));
    reactor.stop();
    await run;
    const late = reactor.run(QUIET);
    await assertRejects(() => late, ReactorNotRestartable, "Cannot run");
  },
);

testOnBackends(
  "run() does not return while a 'before startup' promise is pending, and timers run (contract 55)",
  async ({ reactor }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    const note = (text: string) => seen.push(`${text}: ${reactor.running}`);
    reactor.addSystemEventTrigger("before", "startup", () => promise);
    reactor.callWhenRunning(() => {
      note("callWhenRunning");
      reactor.stop();
    });
    reactor.callLater(1, () => {
      note("callLater");
      reactor.callFromThread(() => {
        note("callFromThread");
        resolve();
      });
    });
    await reactor.run(QUIET);
    assertEquals(seen, [
      "callLater: false",
      "callFromThread: false",
      "callWhenRunning: true",
    ]);
  },
);

testOnBackends(
  "stop() while a 'before startup' promise is pending leaves no startup for later (contract 7, 55)",
  async ({ reactor }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    reactor.addSystemEventTrigger("before", "startup", () => promise);
    reactor.callWhenRunning(() => seen.push("callWhenRunning"));
    reactor.addSystemEventTrigger(
      "after",
      "shutdown",
      () => seen.push("after shutdown"),
    );
    reactor.callLater(1, () => reactor.stop());
    await reactor.run(QUIET);
    resolve();
    await isSettled(promise);
    assertFalse(reactor.running);
    assertEquals(seen, ["after shutdown"]);
  },
);

testOnBackends(
  "crash() while a 'before startup' promise is pending keeps the rest for the next start (contract 11, 12)",
  async ({ reactor }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    reactor.addSystemEventTrigger("before", "startup", () => promise);
    reactor.callWhenRunning(() => seen.push("callWhenRunning"));
    reactor.callLater(1, () => reactor.crash());
    await reactor.run(QUIET);
    resolve();
    await isSettled(promise);
    assertFalse(reactor.running);
    assertEquals(seen, []);
    reactor.callLater(1, () => reactor.stop());
    await reactor.run(QUIET);
    assertEquals(seen, ["callWhenRunning"]);
  },
);

testOnBackends(
  "readable() rejects when a 'startup' trigger crashes the reactor that it starts",
  async ({ reactor }) => {
    using pipe = new Pipe();
    reactor.addSystemEventTrigger("before", "startup", () => reactor.crash());
    await assertRejects(
      () => reactor.readable(pipe.output),
      ReactorNotRunning,
    );
    assertEquals(reactor.inspect().descriptors, []);
  },
);

// Ending

for (const end of ["stop", "crash"] as const) {
  testOnBackends(
    `${end}() wakes a worker that waits for nothing (contract 15, 16)`,
    async ({ reactor }) => {
      const run = reactor.run(QUIET);
      await oneRound(reactor);
      const { parks } = reactor.inspect().counters;
      assert(parks >= 1);
      setTimeout(() => reactor[end]());
      await run; // For ever, if nothing woke it.
      assertFalse(reactor.running);
    },
  );

  testOnBackends(
    `${end}() at once after the start ends the reactor (contract 15, 16)`,
    async ({ reactor }) => {
      const run = reactor.run(QUIET);
      reactor[end]();
      await run;
      assertEquals(reactor.inspect().host, "none");
    },
  );

  testOnBackends(
    `${end}() rejects waits and ends watches with ReactorNotRunning (contract 10)`,
    async ({ reactor }) => {
      using pipe = new Pipe();
      const ends: unknown[] = [
        reactor.readable(pipe.output),
        reactor.readable(pipe.output, { persistent: false }),
        reactor.watch(pipe.output, ["readable", "priority"]).next(),
      ];
      const idle = reactor.watch(pipe.output, "readable");
      reactor.callLater(1, () => reactor[end]());
      ends.push(reactor.run(QUIET).then(() => idle.next()));
      for (const one of ends) {
        await assertRejects(
          () => one as Promise<unknown>,
          ReactorNotRunning,
          end === "stop" ? "stopped" : "crashed",
        );
      }
      assertEquals(await idle.next(), { value: undefined, done: true });
      assertEquals(reactor.inspect().descriptors, []);
      assertEquals(reactor.inspect().keepsAlive.descriptors, 0);
    },
  );
}

testOnBackends(
  "Reactor goes on with I/O and timers while a 'before shutdown' promise is pending (contract 5, 57)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    const note = (text: string) => seen.push(`${text}: ${reactor.running}`);
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      note("before");
      reactor.callLater(1, () => {
        note("callLater");
        pipe.fill();
      });
      return promise;
    });
    reactor.addReader(pipe.reader(() => {
      note("doRead");
      assertThrows(() => reactor.stop(), ReactorNotRunning);
      resolve();
    }));
    reactor.addSystemEventTrigger("during", "shutdown", () => note("during"));
    reactor.callLater(1, () => reactor.stop());
    await reactor.run(QUIET);
    assertEquals(seen, [
      "before: true",
      "callLater: true",
      "doRead: true",
      "during: false",
    ]);
  },
);

testOnBackends(
  "stop() goes on when a 'before shutdown' promise rejects (contract 34)",
  async ({ reactor, errors }) => {
    const reason = new Error("no");
    reactor.addSystemEventTrigger(
      "before",
      "shutdown",
      () => Promise.reject(reason),
    );
    reactor.callLater(1, () => reactor.stop());
    await reactor.run(QUIET);
    const [{ error } = {}, ...more] = errors.splice(0);
    assertStrictEquals(error, reason);
    assertEquals(more, []);
  },
);

testOnBackends(
  "crash() ends a reactor whose 'before shutdown' promise never settles (contract 10)",
  async ({ reactor }) => {
    const seen: string[] = [];
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      reactor.callLater(1, () => reactor.crash());
      return new Promise(() => {});
    });
    reactor.addSystemEventTrigger("during", "shutdown", () => {
      seen.push("during");
    });
    reactor.callLater(1, () => reactor.stop());
    await reactor.run(QUIET);
    assertEquals(seen, []);
    await assertRejects(() => reactor.run(QUIET), ReactorNotRestartable);
  },
);

testOnBackends(
  "crash() does nothing when the reactor does not run",
  async ({ reactor }) => {
    reactor.crash();
    reactor.callLater(1, () => reactor.stop());
    await reactor.run(QUIET);
    reactor.crash();
  },
);

testOnBackends(
  "Reactor.finished belongs to the current or last run",
  async ({ reactor }) => {
    const { finished } = reactor;
    reactor.interleave();
    assertStrictEquals(reactor.finished, finished);
    assertFalse(await isSettled(finished));
    reactor.crash();
    assertStrictEquals(reactor.finished, finished);
    await finished;
    assertStrictEquals(reactor.finished, finished);

    reactor.interleave();
    const second = reactor.finished;
    assertNotStrictEquals(second, finished);
    assertFalse(await isSettled(second));
    reactor.stop();
    assertFalse(await isSettled(second) && reactor.running);
    await second;
    assertStrictEquals(reactor.finished, second);
  },
);

testOnBackends(
  "Reactor.finished settles after the last 'after shutdown' trigger",
  async ({ reactor }) => {
    const seen: string[] = [];
    reactor.interleave();
    const finished = reactor.finished.then(() => seen.push("finished"));
    reactor.addSystemEventTrigger("after", "shutdown", () => {
      seen.push("after shutdown");
      reactor.addSystemEventTrigger("after", "shutdown", () => {
        seen.push("added in 'after shutdown'");
      });
    });
    reactor.stop();
    await finished;
    assertEquals(seen, [
      "after shutdown",
      "added in 'after shutdown'",
      "finished",
    ]);
  },
);

testOnBackends(
  "run() is pending again at once after crash() (contract 11, 174)",
  async ({ reactor }) => {
    const first = reactor.run(QUIET);
    reactor.crash();
    const second = reactor.run(QUIET);
    await first;
    assert(reactor.running);
    assert(reactor.inspect().keepsAlive.run);
    reactor.stop();
    await second;
  },
);

// Closing

/** The ways into a run that `close()` has to end. */
const STARTS: Record<string, (reactor: Reactor) => void> = {
  "was never started": () => {},
  "runs": (reactor) => void reactor.run(QUIET),
  "is interleaved": (reactor) => reactor.interleave(),
  "has a host that runs nothing": (reactor) => reactor.interleave(() => {}),
  "has a waker that throws": (reactor) =>
    reactor.interleave(() => {
      throw new Error("waker");
    }),
  "has started itself": (reactor) => {
    using pipe = new Pipe();
    reactor.watch(pipe.output, "readable").close();
  },
  "is driven by iterate()": (reactor) => void reactor.iterate(0),
  "is stopping": (reactor) => {
    reactor.interleave();
    reactor.stop();
  },
  "has crashed": (reactor) => {
    reactor.interleave();
    reactor.crash();
  },
};

for (const [state, start] of Object.entries(STARTS)) {
  testOnBackends(
    `close() ends a reactor that ${state}`,
    async ({ reactor, errors }) => {
      using pipe = new Pipe();
      const seen: string[] = [];
      for (const phase of ["after", "during", "before"] as const) {
        reactor.addSystemEventTrigger(
          phase,
          "shutdown",
          () => seen.push(phase),
        );
      }
      start(reactor);
      const wasStarted = reactor.inspect().host !== "none";
      const call = reactor.callLater(100_000, () => seen.push("callLater"));
      reactor.addReader(
        pipe.reader(() => {}, (reason) => {
          assertInstanceOf(reason, ConnectionLost);
          seen.push("connectionLost");
        }),
      );
      const closed = reactor.close();
      assertStrictEquals(reactor.close(), closed);
      assertStrictEquals(reactor[Symbol.asyncDispose](), closed);
      await closed;
      await reactor.finished;
      assertEquals(
        seen,
        wasStarted
          ? ["before", "connectionLost", "during", "after"]
          : ["connectionLost"],
      );
      assertFalse(reactor.running);
      assertEquals(reactor.inspect().host, "none");
      assertEquals(reactor.backendFd, undefined);
      assertEquals(reactor.getReaders(), []);
      call.cancel();
      assert(errors.splice(0).every(({ where }) => where === "waker"));
    },
  );
}

testOnBackends(
  "close() waits for 'before shutdown' promises, and lets their work be done",
  async ({ reactor }) => {
    const seen: string[] = [];
    reactor.interleave();
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      // Adding is still allowed: the shutdown may need it.
      reactor.callLater(2, () => {
        seen.push("callLater");
        resolve();
      });
      return promise;
    });
    reactor.addSystemEventTrigger(
      "during",
      "shutdown",
      () => seen.push("during"),
    );
    await reactor.close();
    assertEquals(seen, ["callLater", "during"]);
  },
);

testOnBackends(
  "close() from a callback lets it unwind, and ends the reactor",
  async ({ reactor }) => {
    const seen: string[] = [];
    reactor.addSystemEventTrigger(
      "after",
      "shutdown",
      () => seen.push("after shutdown"),
    );
    let closed: Promise<void> | undefined;
    reactor.callLater(1, () => {
      closed = reactor.close();
      seen.push("next statement");
    });
    await reactor.run(QUIET);
    await closed;
    assertEquals(seen, ["next statement", "after shutdown"]);
  },
);

testOnBackends(
  "close() leaves a reactor that refuses to start and to take anything",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const reader = pipe.reader(() => {});
    const writer = pipe.writer(() => {});
    const trigger = reactor.addSystemEventTrigger(
      "during",
      "tea",
      () => {},
    );
    const call = reactor.callLater(1, () => {});
    reactor.addReader(reader);
    await reactor.close();

    const { BadResource } = Deno.errors;
    assertThrows(() => reactor.interleave(), ReactorNotRestartable, "closed");
    assertThrows(() => reactor.iterate(), ReactorNotRestartable, "closed");
    await assertRejects(() => reactor.run(), ReactorNotRestartable, "closed");
    for (
      const add of [
        () => reactor.callLater(1, () => {}),
        () => reactor.callFromThread(() => {}),
        () => reactor.callWhenRunning(() => {}),
        () => reactor.addSystemEventTrigger("during", "tea", () => {}),
        () => reactor.addReader(reader),
        () => reactor.addWriter(writer),
        () => reactor.watch(pipe.output, "readable"),
      ]
    ) {
      assertThrows(add, BadResource, "the reactor is closed");
    }
    for (
      const wait of [
        () => reactor.readable(pipe.output),
        () => reactor.writable(pipe.input),
      ]
    ) {
      await assertRejects(wait, BadResource, "the reactor is closed");
    }

    reactor.removeReader(reader);
    reactor.removeWriter(writer);
    reactor.removeSystemEventTrigger(trigger);
    assertEquals(reactor.removeAll(), []);
    call.cancel();
    call[Symbol.dispose]();
    reactor.crash();
    reactor.ref();
    reactor.unref();
    assertThrows(() => reactor.stop(), ReactorNotRunning);
    await reactor.close();
    await reactor.finished;
    assertEquals(reactor.getDelayedCalls(), []);
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testOnBackends(
  "stop() leaves a reactor that refuses to watch anything (contract 9)",
  async ({ reactor }) => {
    using pipe = new Pipe();
    reactor.callLater(1, () => reactor.stop());
    await reactor.run(QUIET);
    assertThrows(
      () => reactor.addReader(pipe.reader(() => {})),
      ReactorNotRestartable,
    );
    assertThrows(
      () => reactor.watch(pipe.output, "readable"),
      ReactorNotRestartable,
    );
    await assertRejects(
      () => reactor.readable(pipe.output),
      ReactorNotRestartable,
    );
    assertEquals(reactor.backendFd, undefined);
  },
);

for (const end of ["close", "crash then close"]) {
  for (const backend of BACKENDS) {
    Deno.test(`close() settles after the worker's end (${end}) (contract 172) [${backend}]`, async () => {
      const seen: string[] = [];
      await withWorkers(async (workers) => {
        using pipe = new Pipe();
        const reactor = new Reactor({ backend });
        reactor.interleave();
        reactor.addReader(pipe.reader(() => {})); // Something to wait for.
        await untilStarted(workers);
        workers[0]!.once("exit", () => seen.push("exit"));
        if (end !== "close") reactor.crash();
        await deadline(reactor.close(), PATIENCE);
        seen.push("closed");
      });
      assertEquals(seen, ["exit", "closed"]);
    });
  }
}

// The shared reactor

Deno.test("reactor starts itself, and run() takes it over", async () => {
  const { code, stdout, stderr } = await runProgram(`
    const { reactor } = interleave;
    console.log(reactor.running, reactor.inspect().host);
    reactor.callLater(10, () => reactor.stop());
    console.log(reactor.running, reactor.inspect().host);
    await reactor.run();
    console.log(reactor.running, reactor.inspect().host);
  `);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(stdout, "false none\ntrue deno\nfalse none\n");
});

Deno.test("reactor starts itself for whatever needs a loop, and for nothing else", async () => {
  const { code, stdout, stderr } = await runProgram(`
    const { reactor, FileDescriptor } = interleave;
    const [output, input] = FileDescriptor.pipe();
    const ignore = () => {};
    const reader = {
      fileno: () => output.fileno(), doRead: ignore, connectionLost: ignore,
    };
    const writer = {
      fileno: () => input.fileno(), doWrite: ignore, connectionLost: ignore,
    };
    const uses = {
      now: () => reactor.now(),
      getDelayedCalls: () => reactor.getDelayedCalls(),
      removeReader: () => reactor.removeReader(reader),
      nextTimeout: () => reactor.nextTimeout(),
      callWhenRunning: () => reactor.callWhenRunning(ignore),
      fireSystemEvent: () => reactor.fireSystemEvent("tea"),
      callLater: () => reactor.callLater(0, ignore),
      callFromThread: () => reactor.callFromThread(ignore),
      addReader: () => reactor.addReader(reader),
      addWriter: () => reactor.addWriter(writer),
      readable: () => reactor.readable(output).catch(ignore),
      writable: () => reactor.writable(input).catch(ignore),
      watch: () => reactor.watch(output, "readable"),
    };
    for (const [name, use] of Object.entries(uses)) {
      use();
      console.log(name, reactor.running);
      reactor.crash();
      reactor.removeAll();
    }
  `);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(stdout.trim().split("\n"), [
    "now false",
    "getDelayedCalls false",
    "removeReader false",
    "nextTimeout false",
    "callWhenRunning false",
    "fireSystemEvent false",
    "callLater true",
    "callFromThread true",
    "addReader true",
    "addWriter true",
    "readable true",
    "writable true",
    "watch true",
  ]);
});

Deno.test("Reactor prints what callbacks throw when there is no onError, and goes on (contract 18)", async () => {
  const { code, stdout, stderr } = await runProgram(`
    const reactor = new interleave.Reactor();
    reactor.callLater(0, () => {
      throw new TypeError("a mistake");
    });
    reactor.callLater(1, () => reactor.stop());
    await reactor.run();
    console.log("ended");
  `);
  assertEquals({ code, stdout }, { code: 0, stdout: "ended\n" });
  assertStringIncludes(stderr, "TypeError: a mistake");
});
