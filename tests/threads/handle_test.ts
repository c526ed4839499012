// Reactor.handle() and connectReactor(): Workers of the user's that call into a
// reactor. What holds in every host stands in hosts_test.ts.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline, delay } from "@std/async";
import { ReactorNotRunning } from "../../src/errors.ts";
import { Reactor } from "../../src/reactor.ts";
import { connectReactor, reactorOfThread } from "../../src/threads/mod.ts";
import { PATIENCE, until } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { runProgram } from "../program.ts";
import { TestWorker } from "./worker.ts";

testOnBackends(
  "callFromThread() of a Worker calls in a later round, in order (contract 143, 144)",
  async ({ reactor }) => {
    const seen: unknown[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    using handle = reactor.handle({
      note: (...args: unknown[]) => seen.push(args),
      done: resolve,
    });
    reactor.interleave();
    using _worker = TestWorker.start(handle, (reactor, data) => {
      for (let i = 0; i < 5; i++) reactor.callFromThread("note", i, data);
      reactor.callFromThread("done");
    }, { text: "cloned", map: new Map([[1, 2]]) });
    await promise;
    assertEquals(
      seen,
      [0, 1, 2, 3, 4].map((
        i,
      ) => [i, { text: "cloned", map: new Map([[1, 2]]) }]),
    );
  },
);

testOnBackends(
  "a trace has the calls of a Worker, by their names, with what they threw",
  async ({ reactor, errors }) => {
    const seen: (string | undefined)[] = [];
    reactor.trace = {
      start() {},
      stop({ kind, label, error }) {
        if (kind === "callFromThread") seen.push(label, error?.message);
      },
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    using handle = reactor.handle({
      fail() {
        throw new Error("on purpose");
      },
      done: resolve,
    });
    reactor.interleave();
    using _worker = TestWorker.start(handle, (reactor) => {
      reactor.callFromThread("fail");
      reactor.blockingCallFromThread("done");
    }, null);
    await deadline(promise, PATIENCE);
    await until(() => seen.length === 4);
    assertEquals(seen, ["fail", "on purpose", "done", undefined]);
    assertEquals(errors.splice(0).length, 1);
  },
);

testOnBackends(
  "calls of a Worker wait for the start of the reactor (contract 145)",
  async ({ reactor }) => {
    const seen: number[] = [];
    using handle = reactor.handle({
      note: (i: number) => seen.push(i),
      stop: () => reactor.stop(),
    });
    using worker = TestWorker.start(handle, (reactor) => {
      for (let i = 0; i < 3; i++) reactor.callFromThread("note", i);
      reactor.callFromThread("stop");
    }, null);
    await worker.end();
    await delay(20);
    assertEquals(seen, []);
    await reactor.run({ signals: false });
    assertEquals(seen, [0, 1, 2]);
  },
);

testOnBackends(
  "a Worker wakes a reactor that sleeps for long (contract 146, 151)",
  async ({ reactor }) => {
    let ticks = 0;
    using handle = reactor.handle({ tick: () => ++ticks });
    reactor.callLater(300_000, () => {});
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor) => {
      for (let i = 0; i < 10; i++) {
        // The reactor falls asleep.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, i);
        reactor.blockingCallFromThread("tick");
      }
    }, null);
    await worker.end();
    assertEquals(ticks, 10);
  },
);

testOnBackends(
  "a burst of 100000 calls of a Worker arrives, in order, with other things in between (contract 147, 148)",
  async ({ reactor }) => {
    const burst = 100_000;
    let next = 0;
    let timers = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    using handle = reactor.handle({
      note(i: number) {
        assertStrictEquals(i, next++);
        if (next === 1) reactor.callLater(0, () => timers = next);
        if (next === burst) resolve();
      },
    });
    reactor.interleave();
    using _worker = TestWorker.start(handle, (reactor, burst) => {
      for (let i = 0; i < burst; i++) reactor.callFromThread("note", i);
    }, burst);
    await promise;
    assertLess(timers, burst);
    assertLess(0, timers);
  },
);

Deno.test("100 Workers call at once, and nothing of it is lost (contract 148)", async () => {
  await using reactor = new Reactor();
  const threads = 100;
  const calls = 50;
  const seen = Array.from({ length: threads }, () => 0);
  const go = new Int32Array(new SharedArrayBuffer(4));
  reactor.interleave();
  // Of node:worker_threads: as cheap as they come.
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const source = `
      const { workerData } = process.getBuiltinModule("node:worker_threads");
      const { connectReactor } = await import(workerData.module);
      const reactor = connectReactor(workerData.handle);
      Atomics.wait(workerData.go, 0, 0);
      for (let i = 0; i < ${calls}; i++) reactor.callFromThread("note", i);
      reactor.blockingCallFromThread("note", ${calls});
      reactor[Symbol.dispose]();
    `;
  const workers = [];
  for (let thread = 0; thread < threads; thread++) {
    const handle = reactor.handle({
      note: (i: number) => assertStrictEquals(seen[thread]!++, i),
    });
    const module = import.meta.resolve("../../src/threads/mod.ts");
    workers.push(
      new Worker(
        new URL(`data:text/javascript,${encodeURIComponent(source)}`),
        {
          env: {},
          workerData: { handle, go, module },
          transferList: [handle.port as never],
        },
      ),
    );
  }
  assertEquals(reactor.inspect().threads.handles, threads);
  Atomics.store(go, 0, 1);
  Atomics.notify(go, 0);
  await until(() => reactor.inspect().threads.handles === 0);
  assertEquals(seen, seen.map(() => calls + 1));
  await Promise.all(workers.map((worker) => worker.terminate()));
});

testOnBackends(
  "a call of a Worker that throws is reported, and the next one runs (contract 149)",
  async ({ reactor, errors }) => {
    const reason = new Error("no");
    const { promise, resolve } = Promise.withResolvers<void>();
    using handle = reactor.handle({
      fail() {
        throw reason;
      },
      reject: () => Promise.reject(reason),
      done: resolve,
    });
    reactor.interleave();
    using _worker = TestWorker.start(handle, (reactor) => {
      for (const name of ["fail", "reject", "done"]) {
        reactor.callFromThread(name);
      }
    }, null);
    await promise;
    await until(() => errors.length === 2);
    assertEquals(errors.splice(0), [
      { error: reason, where: "callFromThread" },
      { error: reason, where: "callFromThread" },
    ]);
  },
);

testOnBackends(
  "a Worker can call what is offered, and nothing else",
  async ({ reactor, errors }) => {
    class Desk {
      own = () => "own";
      value = 1;
      inherited() {
        return "inherited";
      }
    }
    const names = ["inherited", "value", "constructor", "toString", "other"];
    using handle = reactor.handle(new Desk());
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor, names, say) => {
      say(reactor.blockingCallFromThread("own"));
      for (const name of names) {
        reactor.callFromThread(name);
        try {
          say(reactor.blockingCallFromThread(name));
        } catch (error) {
          say(String(error));
        }
      }
    }, [...names, "__proto__"]);
    assertEquals(await worker.next(), "own");
    for (const name of [...names, "__proto__"]) {
      const message =
        `Cannot call "${name}": no such function is offered to this thread`;
      assertEquals(await worker.next(), `TypeError: ${message}`);
      const { error, where } = errors.shift()!;
      assertEquals(where, "callFromThread");
      assertEquals((error as Error).message, message);
    }
    await worker.end();
  },
);

testOnBackends(
  "what cannot be cloned, or is no name, throws in the Worker, at the call (contract 150)",
  async ({ reactor }) => {
    using handle = reactor.handle({ f: () => {}, g: () => () => {} });
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor, _data, say) => {
      const calls = [
        () => reactor.callFromThread("f", () => {}),
        () => reactor.blockingCallFromThread("f", Symbol("no")),
        () => reactor.blockingCallFromThread("g"),
        () => reactor.callFromThread(1 as never),
        () => reactor.blockingCallFromThread(undefined as never),
      ];
      for (const call of calls) {
        try {
          call();
          say("nothing");
        } catch (error) {
          say(`${(error as Error).name}: ${(error as Error).message}`);
        }
      }
    }, null);
    for (let i = 0; i < 3; i++) {
      assertMatch(String(await worker.next()), /^DataCloneError: .*cloned/);
    }
    assertEquals(
      await worker.next(),
      'TypeError: Cannot call from thread: "name" must be a string, received 1',
    );
    assertEquals(
      await worker.next(),
      'TypeError: Cannot make a blocking call from a thread: "name" must be a string, received undefined',
    );
    await worker.end();
  },
);

testOnBackends(
  "blockingCallFromThread() returns what the function returns, and what its promise resolves with (contract 154)",
  async ({ reactor }) => {
    using handle = reactor.handle({
      plain: (a: number, b: number) => a + b,
      promise: async (text: string) => {
        await delay(5);
        return text.toUpperCase();
      },
      thenable: () => ({
        then: (resolve: (value: string) => void) => resolve("thenable"),
      }),
      nothing() {},
      array: () => [1, { two: 2 }],
    });
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor, _data, say) => {
      say(reactor.blockingCallFromThread("plain", 1, 2));
      say(reactor.blockingCallFromThread("promise", "later"));
      say(reactor.blockingCallFromThread("thenable"));
      say([reactor.blockingCallFromThread("nothing")]);
      say(reactor.blockingCallFromThread("array"));
    }, null);
    for (
      const value of [3, "LATER", "thenable", [undefined], [1, { two: 2 }]]
    ) {
      assertEquals(await worker.next(), value);
    }
    await worker.end();
  },
);

testOnBackends(
  "blockingCallFromThread() throws what the function throws, and what its promise rejects with (contract 154)",
  async ({ reactor }) => {
    class OfTheUsers extends Error {
      override name = "OfTheUsers";
      f = () => {};
    }
    const errors: Record<string, () => unknown> = {
      native: () => {
        throw new RangeError("too far", { cause: new TypeError("why") });
      },
      deno: () => Promise.reject(new Deno.errors.NotFound("gone")),
      dom: () => {
        throw new DOMException("stopped", "AbortError");
      },
      reactors: () => {
        throw new ReactorNotRunning("not now");
      },
      users: () => {
        throw Object.assign(new OfTheUsers("mine"), { code: "E_MINE" });
      },
      number: () => {
        throw 7;
      },
      hostile: () => {
        throw new Proxy({}, {
          getPrototypeOf() {
            throw new Error("refused");
          },
          get() {
            throw new Error("refused");
          },
        });
      },
    };
    using handle = reactor.handle(errors);
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor, names, say, _threads) => {
      for (const name of names) {
        try {
          say(reactor.blockingCallFromThread(name));
        } catch (thrown) {
          const error = thrown as Error & { code?: unknown };
          const Class = Object.getPrototypeOf(error).constructor.name;
          const cause = error.cause instanceof TypeError;
          const { name, message, code, stack } = error;
          const isHere = /in another thread, for\n +at .*blockingCall/;
          const says = isHere.test(stack!);
          say({ Class, name, message, code, cause, says });
        }
      }
    }, Object.keys(errors));
    const plain = { code: undefined, cause: false, says: true };
    assertEquals(await worker.next(), {
      ...plain,
      Class: "RangeError",
      name: "RangeError",
      message: "too far",
      cause: true,
    });
    assertEquals(await worker.next(), {
      ...plain,
      Class: "NotFound",
      name: "NotFound",
      message: "gone",
    });
    assertEquals(await worker.next(), {
      ...plain,
      Class: "DOMException",
      name: "AbortError",
      message: "stopped",
      code: 20,
      says: false,
    });
    assertEquals(await worker.next(), {
      ...plain,
      Class: "ReactorNotRunning",
      name: "ReactorNotRunning",
      message: "not now",
    });
    assertEquals(await worker.next(), {
      ...plain,
      Class: "Error",
      name: "OfTheUsers",
      message: "mine",
      code: "E_MINE",
    });
    for (const what of ["7", "[object]"]) {
      assertEquals(await worker.next(), {
        ...plain,
        Class: "Error",
        name: "Error",
        message: `Something that is not an Error was thrown: ${what}`,
        says: false,
      });
    }
    await worker.end();
  },
);

testOnBackends(
  "blockingCallFromThread() gives up after its timeout, and takes no late answer for its own",
  async ({ reactor }) => {
    const late = Promise.withResolvers<string>();
    using handle = reactor.handle({
      never: () => late.promise,
      goOn: () => late.resolve("too late"),
      // After the late one.
      answer: () => late.promise.then(() => delay(1)).then(() => "in time"),
    });
    reactor.interleave();
    using worker = TestWorker.start(
      handle,
      (reactor, _data, say) => {
        try {
          reactor.blockingCallFromThread("never");
        } catch (error) {
          say(`${error}`);
        }
        reactor.callFromThread("goOn");
        for (;;) {
          try {
            say(reactor.blockingCallFromThread("answer"));
            return;
          } catch {
            // On a busy machine this may take too long as well.
          }
        }
      },
      null,
      { timeout: 50 },
    );
    assertEquals(
      await worker.next(),
      'TimeoutError: The call of "never" took longer than 50 ms',
    );
    assertEquals(await worker.next(), "in time");
    await worker.end();
  },
);

for (
  const [how, end] of [
    ["stopped", (reactor) => reactor.stop()],
    ["closed", (reactor) => void reactor.close()],
  ] as [string, (reactor: Reactor) => void][]
) {
  testOnBackends(
    `a Worker that waits for a reactor that is ${how} gets ReactorNotRunning, and so does every later call (contract 154)`,
    async ({ reactor }) => {
      const asked = Promise.withResolvers<void>();
      using handle = reactor.handle({
        never() {
          asked.resolve();
          return new Promise(() => {});
        },
      });
      reactor.interleave();
      using worker = TestWorker.start(handle, (reactor, _data, say) => {
        for (const wait of [true, true, false]) {
          try {
            if (wait) reactor.blockingCallFromThread("never");
            else reactor.callFromThread("never");
            say("nothing");
          } catch (error) {
            say(`${error}`);
          }
        }
      }, null);
      await asked.promise;
      end(reactor);
      for (let i = 0; i < 3; i++) {
        assertMatch(
          String(await worker.next()),
          /^ReactorNotRunning: Cannot .*: the reactor has ended$/,
        );
      }
      await worker.end();
    },
  );
}

testOnBackends(
  "a Worker is heard again after a crash, when the reactor runs again",
  async ({ reactor }) => {
    const seen: number[] = [];
    let next = Promise.withResolvers<void>();
    using handle = reactor.handle({
      note(i: number) {
        seen.push(i);
        next.resolve();
      },
    });
    reactor.interleave();
    const go = new Int32Array(new SharedArrayBuffer(4));
    using worker = TestWorker.start(handle, (reactor, go, say) => {
      reactor.callFromThread("note", 1);
      Atomics.wait(go, 0, 0);
      reactor.callFromThread("note", 2);
      say("called");
      reactor.blockingCallFromThread("note", 3);
    }, go);
    await next.promise;
    next = Promise.withResolvers();
    reactor.crash();
    await reactor.finished;
    Atomics.store(go, 0, 1);
    Atomics.notify(go, 0);
    assertEquals(await worker.next(), "called");
    await delay(20);
    assertEquals(seen, [1]);
    reactor.interleave();
    await next.promise;
    await worker.end();
    assertEquals(seen, [1, 2, 3]);
  },
);

testOnBackends(
  "a handle that is disposed of on either side is closed, and what was called before has run",
  async ({ reactor }) => {
    const seen: string[] = [];
    const mine = reactor.handle({ note: (text: string) => seen.push(text) });
    const theirs = reactor.handle({ note: (text: string) => seen.push(text) });
    reactor.interleave();
    using worker = TestWorker.start(theirs, (reactor, _data, say) => {
      reactor.callFromThread("note", "before");
      reactor[Symbol.dispose]();
      reactor[Symbol.dispose]();
      try {
        reactor.callFromThread("note", "after");
      } catch (error) {
        say(`${error}`);
      }
    }, null);
    const closed =
      "BadResource: Cannot call from thread: the connection is closed";
    assertEquals(await worker.next(), closed);
    await until(() => reactor.inspect().threads.handles === 1);
    assertEquals(seen, ["before"]);

    mine[Symbol.dispose]();
    mine[Symbol.dispose]();
    assertEquals(reactor.inspect().threads.handles, 0);
  },
);

testOnBackends(
  "a Worker that waits is told when its handle is disposed of",
  async ({ reactor }) => {
    const asked = Promise.withResolvers<void>();
    const handle = reactor.handle({
      never() {
        asked.resolve();
        return new Promise(() => {});
      },
    });
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor, _data, say) => {
      try {
        reactor.blockingCallFromThread("never");
      } catch (error) {
        say(`${error}`);
      }
    }, null);
    await asked.promise;
    handle[Symbol.dispose]();
    assertEquals(
      await worker.next(),
      "BadResource: Cannot make a blocking call from a thread: the connection is closed",
    );
  },
);

testOnBackends(
  "memory can be handed over, both ways, with transfer()",
  async ({ reactor }) => {
    using handle = reactor.handle({
      reverse: (bytes: Uint8Array<ArrayBuffer>) => bytes.toReversed(),
    });
    reactor.interleave();
    using worker = TestWorker.start(
      handle,
      (reactor, _data, say, { transfer }) => {
        const bytes = new Uint8Array([1, 2, 3]);
        const reversed = reactor.blockingCallFromThread(
          "reverse",
          transfer(bytes, [bytes.buffer]),
        );
        say([bytes.length, reversed]);
      },
      null,
    );
    assertEquals(await worker.next(), [0, new Uint8Array([3, 2, 1])]);
  },
);

testOnBackends(
  "a large array takes no longer than its copy",
  async ({ reactor }) => {
    using handle = reactor.handle({
      echo: (bytes: Uint8Array) => bytes,
    });
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor, size, say) => {
      const bytes = new Uint8Array(size);
      const began = performance.now();
      const echo = reactor.blockingCallFromThread("echo", bytes) as Uint8Array;
      say([echo.length, performance.now() - began]);
    }, 50_000_000);
    const [length, ms] = await worker.next() as [number, number];
    assertEquals(length, 50_000_000);
    assertLess(ms, 5000); // Deno's look into it would take ten seconds.
  },
);

testOnBackends(
  "a Worker without --allow-ffi wakes the reactor through another thread",
  async ({ reactor }) => {
    let calls = 0;
    const functions = {
      note: (i: number) => assertStrictEquals(i, calls++),
      double: (n: number) => 2 * n,
    };
    const handles = [0, 1].map(() => reactor.handle(functions, { ffi: false }));
    reactor.callLater(300_000, () => {});
    reactor.interleave();
    for (const handle of handles) {
      calls = 0;
      using worker = TestWorker.start(
        handle,
        (reactor, _data, say) => {
          for (let i = 0; i < 1000; i++) reactor.callFromThread("note", i);
          say(reactor.blockingCallFromThread("double", 21));
        },
        null,
        { mayCallC: false },
      );
      assertEquals(await worker.next(), 42);
      assertEquals(calls, 1000);
      await worker.end();
    }
    assertThrows(
      () => reactor.handle({}, { ffi: 1 as never }),
      TypeError,
      'Cannot make a handle: "options.ffi" must be a boolean, received 1',
    );
  },
);

Deno.test("a Worker without any permission can call what it is offered, with a handle that says so", async () => {
  const { code, stdout, stderr } = await runProgram(
    `
    const reactor = new interleave.Reactor();
    const functions = {
      note: console.log,
      double: (n) => 2 * n,
      stop: () => reactor.stop(),
    };
    const worker = new Worker(
      "${import.meta.resolve("./restricted_worker.ts")}",
      { type: "module", deno: { permissions: "none" } },
    );
    worker.onmessage = ({ data }) => console.log(data);
    const plain = reactor.handle(functions);
    const handle = reactor.handle(functions, { ffi: false });
    worker.postMessage({ plain, handle }, [plain.port, handle.port]);
    await reactor.run();
    worker.terminate();
  `,
    {
      permissions: [
        "--unstable-worker-options",
        "--allow-ffi",
        `--allow-read=${new URL("../../", import.meta.url).pathname}`,
      ],
    },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const [refused, eight] = stdout.trim().split("\n").sort().reverse();
  assertMatch(refused!, /^Requires ffi access .*"ffi: false" for its handle/);
  assertEquals(eight, "8");
});

testOnBackends(
  "a handle serves one Worker",
  async ({ reactor }) => {
    using handle = reactor.handle({});
    using worker = TestWorker.start(
      handle,
      (_reactor, _data, say, { connectReactor }, handle) => {
        try {
          connectReactor(handle);
        } catch (error) {
          say(`${error}`);
        }
      },
      null,
    );
    assertEquals(
      await worker.next(),
      "RangeError: Cannot connect to a reactor: the handle is in use already",
    );
    assertThrows(
      () => worker.worker.postMessage(handle, [handle.port]),
      DOMException,
    );
  },
);

testOnBackends(
  "connectReactor() refuses what is no handle, and the reactor's own thread",
  ({ reactor }) => {
    using handle = reactor.handle({});
    assertThrows(
      () => connectReactor(handle),
      TypeError,
      "Cannot connect to a reactor: this is its own thread, which would wait for itself",
    );
    const { port1, port2 } = new MessageChannel();
    const garbage = [
      undefined,
      null,
      1,
      "handle",
      {},
      { port: port1 },
      { port: port1, line: {} },
      { ...handle, port: {} },
      { ...handle, line: { ...(handle.line as object), words: [] } },
      {
        ...handle,
        line: { ...(handle.line as object), words: new Int32Array(5) },
      },
      { ...handle, line: { ...(handle.line as object), pipe: "3" } },
    ];
    for (const value of garbage) {
      assertThrows(
        () => connectReactor(value),
        TypeError,
        'Cannot connect to a reactor: "handle" must be what Reactor.handle() has made, received ',
      );
    }
    port1.close();
    port2.close();
    assertThrows(
      () => connectReactor(handle, { timeout: -1 }),
      RangeError,
      '"options.timeout"',
    );
    assertThrows(
      () => reactorOfThread(),
      ReactorNotRunning,
      "not one of a pool",
    );
  },
);

testOnBackends(
  "handle() refuses what is no object, and a reactor that has ended",
  async ({ reactor }) => {
    for (const value of [undefined, null, 1, "f", () => {}]) {
      assertThrows(
        () => reactor.handle(value as never),
        TypeError,
        'Cannot make a handle: "functions" must be an object with functions, received ',
      );
    }
    await reactor.close();
    assertThrows(() => reactor.handle({}), Deno.errors.BadResource);
  },
);

testOnBackends(
  "a Worker that says anything else than calls is reported, and harms nobody",
  async ({ reactor, errors }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    using handle = reactor.handle({ done: resolve });
    reactor.interleave();
    using _worker = TestWorker.start(
      handle,
      (reactor, _data, _say, _threads, handle) => {
        const { port } = handle as { port: MessagePort };
        for (
          const message of [
            1,
            null,
            {},
            new Set(),
            new Set([{ call: 1, args: [], id: 0 }]),
            new Set([{ call: "done", args: "x", id: 0 }]),
            new Set([{ call: "done", args: [], id: "x" }]),
            new Set([{ outcome: 1 }]),
            new Set([{ up: true }]),
          ]
        ) port.postMessage(message);
        reactor.callFromThread("done");
      },
      null,
    );
    await promise;
    assertEquals(errors.length, 9);
    for (const { error, where } of errors.splice(0)) {
      assertEquals(where, "callFromThread");
      assertMatch(
        String(error),
        /^TypeError: Cannot take a message from a thread: "message" must be a call, received /,
      );
    }
  },
);

testOnBackends(
  "a Worker that is terminated while it waits, or in the middle of a burst, holds nobody up",
  async ({ reactor }) => {
    let calls = 0;
    const asked = Promise.withResolvers<void>();
    const functions = {
      note: () => calls++,
      never() {
        asked.resolve();
        return new Promise(() => {});
      },
    };
    reactor.interleave();
    {
      using _waits = TestWorker.start(reactor.handle(functions), (reactor) => {
        reactor.blockingCallFromThread("never");
      }, null);
      using _calls = TestWorker.start(reactor.handle(functions), (reactor) => {
        for (;;) reactor.callFromThread("note");
      }, null);
      await asked.promise;
      await until(() => calls > 100);
    }
    using worker = TestWorker.start(reactor.handle(functions), (reactor) => {
      reactor.blockingCallFromThread("note");
    }, null);
    await worker.end();
    await deadline(reactor.close(), PATIENCE);
  },
);

testOnBackends(
  "a handle keeps no process alive",
  ({ reactor }) => {
    using _handle = reactor.handle({});
    reactor.interleave();
    const { keepsAlive, descriptors } = reactor.inspect();
    assertEquals(keepsAlive, {
      run: false,
      descriptors: 0,
      delayedCalls: 0,
      attachments: 0,
      threads: 0,
    });
    assertEquals(descriptors.map(({ watchers }) => watchers[0]!.label), [
      "calls from threads",
    ]);
  },
);

testOnBackends(
  "a Worker sees nothing of a reactor but what it can call (contract 158)",
  async ({ reactor }) => {
    using handle = reactor.handle({});
    using worker = TestWorker.start(handle, (reactor, _data, say, threads) => {
      const members = new Set<string | symbol>();
      for (
        let object = reactor;
        object;
        object = Object.getPrototypeOf(object)
      ) {
        if (object === Object.prototype) break;
        for (const key of Reflect.ownKeys(object)) members.add(key);
      }
      say([...members].map(String).sort());
      say("callLater" in reactor || "stop" in reactor || "Reactor" in threads);
    }, null);
    assertEquals(await worker.next(), [
      "Symbol(Symbol.dispose)",
      "blockingCallFromThread",
      "callFromThread",
      "constructor",
    ]);
    assertFalse(await worker.next());
  },
);

Deno.test("handle() does not start a reactor of one's own", () => {
  const reactor = new Reactor();
  using handle = reactor.handle({});
  assertInstanceOf(handle.port, MessagePort);
  assertEquals(reactor.inspect().host, "none");
  return reactor.close();
});

Deno.test("Workers and handles leave no descriptor and no thread behind", async () => {
  const before = await countAtRest();
  for (let i = 0; i < 3; i++) {
    const reactor = new Reactor();
    reactor.interleave();
    const handle = reactor.handle({ f: () => i }, { ffi: i > 0 });
    const never = reactor.handle({});
    {
      using worker = TestWorker.start(handle, (reactor, _data, say) => {
        say(reactor.blockingCallFromThread("f"));
      }, null);
      assertEquals(await worker.next(), i);
    }
    assert(reactor.inspect().threads.handles === 2);
    if (i === 2) never[Symbol.dispose]();
    await reactor.close();
  }
  await assertNothingLeft(before);
});
