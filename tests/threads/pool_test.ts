// The pool of threads: callInThread(), deferToThread() and their size. What
// holds in every host stands in hosts_test.ts.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline, delay } from "@std/async";
import { ReactorNotRestartable, ReactorNotRunning } from "../../src/errors.ts";
import { Reactor } from "../../src/reactor.ts";
import { deferToThread } from "../../src/threads/defer_to_thread.ts";
import { exportsOf, isInIOThread, transfer } from "../../src/threads/mod.ts";
import { PATIENCE, until } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { runProgram } from "../program.ts";

const WORK = import.meta.resolve("./work.ts");
const work = exportsOf<typeof import("./work.ts")>(WORK);

/** A word that threads can wait for. */
const makeWord = () => new Int32Array(new SharedArrayBuffer(4));

function setWord(word: Int32Array): void {
  Atomics.store(word, 0, 1);
  Atomics.notify(word, 0);
}

testOnBackends(
  "callInThread() calls in another thread, and what it throws is reported (contract 152)",
  async ({ reactor, errors }) => {
    const noted: unknown[] = [];
    const offers = {
      note: (value: unknown) => noted.push(value),
      ask: (question: string) => `${question}!`,
    };
    reactor.interleave();
    reactor.callInThread({ ...work("noteAndAsk"), offers }, 3, "well");
    reactor.callInThread(work("fail"), "on purpose");
    await until(() =>
      reactor.inspect().threads.busy === 0 && errors.length > 0
    );
    await until(() => noted.length === 3);
    assertEquals(noted, [0, 1, 2]);
    const [{ error, where }] = errors.splice(0) as [typeof errors[number]];
    assertEquals(where, "callInThread");
    assertInstanceOf(error, RangeError);
    assertEquals(error.message, "on purpose");
    assertStringIncludes(error.stack!, "work.ts");
  },
);

testOnBackends(
  "deferToThread() resolves with the result, and with that of a promise (contract 153)",
  async ({ reactor }) => {
    assertEquals(await deferToThread(reactor, work("add"), 1, 2), 3);
    assertEquals(await deferToThread(reactor, work("addLater"), 1, 2), 3);
    const named = { module: new URL(WORK) };
    assertEquals(await deferToThread(reactor, named, "you"), "hello, you");
  },
);

testOnBackends(
  "deferToThread() rejects with what the function throws (contract 153)",
  async ({ reactor }) => {
    const error = await assertRejects(
      () => deferToThread(reactor, work("fail"), "no"),
      RangeError,
      "no",
    );
    assertEquals((error as Error & { code?: string }).code, "E_TEST");
    await assertRejects(
      () => deferToThread(reactor, work("failNotCloneable")),
      TypeError,
      "with a function",
    );
    await assertRejects(
      () => deferToThread(reactor, work("notCloneable")),
      DOMException,
      "could not be cloned",
    );
  },
);

testOnBackends(
  "the result of a call comes in a work item, after the calls that it has made (contract 144, 153)",
  async ({ reactor }) => {
    const order: unknown[] = [];
    const offers = {
      note: (value: unknown) => order.push(value),
      ask: () => "answer",
    };
    let isInside = false;
    /** When the promises have run that were settled inside. */
    const leave = async () => {
      for (let i = 0; i < 20; i++) await null;
      isInside = false;
    };
    reactor.interleave((item) => {
      queueMicrotask(() => {
        isInside = true;
        item();
        void leave();
      });
    });
    for (let i = 0; i < 10; i++) {
      order.length = 0;
      const result = await deferToThread(
        reactor,
        { ...work("noteAndAsk"), offers },
        3,
        "?",
      );
      order.push(result);
      assert(isInside);
      assertEquals(order, [0, 1, 2, "answer"]);
    }
  },
);

testOnBackends(
  "what a function throws is reported after the calls that it has made (contract 144, 152)",
  async ({ reactor, errors }) => {
    const seen: unknown[] = [];
    const offers = { note: (i: number) => seen.push([i, errors.length]) };
    reactor.interleave();
    reactor.callInThread({ ...work("noteAndFail"), offers }, 3);
    await until(() => errors.length > 0);
    assertEquals(seen, [[0, 0], [1, 0], [2, 0]]);
    assertEquals((errors.pop()!.error as Error).message, "after the calls");
  },
);

testOnBackends(
  "a pool runs as many calls at once as it has threads, and no more (contract 155)",
  async ({ reactor }) => {
    reactor.suggestThreadPoolSize(2);
    let running = 0;
    const words = [makeWord(), makeWord(), makeWord()];
    const offers = { note: () => running++ };
    const calls = words.map((word) =>
      deferToThread(reactor, { ...work("noteAndWait"), offers }, word)
    );
    await until(() => running === 2);
    assertEquals(reactor.inspect().threads, {
      size: 2,
      busy: 2,
      queued: 1,
      handles: 0,
    });
    setWord(words[0]!);
    assertEquals(await calls[0], "waited");
    await until(() => running === 3);
    for (const word of words) setWord(word);
    await Promise.all(calls);
    assertEquals(reactor.inspect().threads, {
      size: 2,
      busy: 0,
      queued: 0,
      handles: 0,
    });
    reactor.suggestThreadPoolSize(1);
    assertEquals(reactor.inspect().threads.size, 1);
  },
);

testOnBackends(
  "suggestThreadPoolSize() ends no thread that is busy, before it is idle (contract 155)",
  async ({ reactor }) => {
    reactor.suggestThreadPoolSize(2);
    let running = 0;
    const word = makeWord();
    const offers = { note: () => running++ };
    const calls = [0, 1].map(() =>
      deferToThread(reactor, { ...work("noteAndWait"), offers }, word)
    );
    await until(() => running === 2);
    reactor.suggestThreadPoolSize(1);
    assertEquals(reactor.inspect().threads.size, 2);
    setWord(word);
    assertEquals(await Promise.all(calls), ["waited", "waited"]);
    assertEquals(reactor.inspect().threads.size, 1);
  },
);

testOnBackends(
  "a pool has no more threads than processors by itself, and takes idle ones first",
  async ({ reactor }) => {
    const sums = [];
    for (let i = 0; i < 3; i++) {
      sums.push(await deferToThread(reactor, work("count")));
    }
    assertEquals(sums, [1, 2, 3]);
    assertEquals(reactor.inspect().threads.size, 1);
    await Promise.all(
      Array.from({ length: 50 }, () => deferToThread(reactor, work("count"))),
    );
    const { size } = reactor.inspect().threads;
    assertGreaterOrEqual(size, 1);
    assertLessOrEqual(size, navigator.hardwareConcurrency);
  },
);

testOnBackends(
  "calls in threads wait for the start, and the end waits for them (contract 155)",
  async ({ reactor }) => {
    const noted: unknown[] = [];
    const offers = {
      note: (value: unknown) => noted.push(value),
      ask: () => "",
    };
    for (let i = 0; i < 3; i++) {
      reactor.callInThread({ ...work("noteAndAsk"), offers }, 1, "?");
    }
    await delay(20);
    assertEquals(reactor.inspect().threads, {
      size: 0,
      busy: 0,
      queued: 3,
      handles: 0,
    });
    reactor.addSystemEventTrigger(
      "during",
      "shutdown",
      () => noted.push("end"),
    );
    reactor.callWhenRunning(() => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals(noted, [0, 0, 0, "end"]);
    assertEquals(reactor.inspect().threads.size, 0);
  },
);

testOnBackends(
  "deferToThread() before 'during shutdown' is served, and rejects afterwards (contract 155)",
  async ({ reactor }) => {
    const results: unknown[] = [];
    const call = (phase: "before" | "during" | "after") =>
      reactor.addSystemEventTrigger(phase, "shutdown", () => {
        const call = deferToThread(reactor, work("add"), 1, 2);
        return call.then(
          (sum) => results.push([phase, sum]),
          (error) => results.push([phase, error.name]),
        );
      });
    for (const phase of ["before", "during", "after"] as const) call(phase);
    reactor.callWhenRunning(() => reactor.stop());
    await reactor.run({ signals: false });
    await until(() => results.length === 3);
    assertEquals(results, [
      ["before", 3],
      ["during", "ReactorNotRunning"],
      ["after", "ReactorNotRunning"],
    ]);
    await assertRejects(
      () => deferToThread(reactor, work("add"), 1, 2),
      ReactorNotRestartable,
    );
    assertThrows(
      () => reactor.callInThread(work("add"), 1, 2),
      ReactorNotRestartable,
    );
  },
);

testOnBackends(
  "close() drops calls that run or wait, also one that does not end",
  async ({ reactor }) => {
    reactor.suggestThreadPoolSize(1);
    const word = makeWord();
    const { promise: waiting, resolve } = Promise.withResolvers<void>();
    const offers = { note: resolve };
    const runs = deferToThread(
      reactor,
      { ...work("noteAndWait"), offers },
      word,
    );
    const waits = deferToThread(reactor, work("add"), 1, 2);
    reactor.callInThread(work("add"), 1, 2);
    const rejected = Promise.all(
      [runs, waits].map((call) =>
        assertRejects(() => call, ReactorNotRunning, "closed")
      ),
    );
    await waiting;
    await deadline(reactor.close(), PATIENCE);
    await rejected;
    await assertRejects(
      () => deferToThread(reactor, work("add"), 1, 2),
      Deno.errors.BadResource,
    );
    setWord(word); // The thread may go.
  },
);

testOnBackends(
  "close() gets a stop() over that waits for a call that does not end",
  async ({ reactor }) => {
    const word = makeWord();
    const { promise: waiting, resolve } = Promise.withResolvers<void>();
    const offers = { note: resolve };
    const call = deferToThread(
      reactor,
      { ...work("noteAndWait"), offers },
      word,
    );
    const rejected = assertRejects(() => call, ReactorNotRunning);
    await waiting;
    reactor.stop();
    await delay(20);
    assert(reactor.running);
    await deadline(reactor.close(), PATIENCE);
    await rejected;
    setWord(word);
  },
);

testOnBackends(
  "a call goes on over a crash, and its result comes in the next run",
  async ({ reactor }) => {
    const word = makeWord();
    const { promise: waiting, resolve } = Promise.withResolvers<void>();
    const offers = { note: resolve };
    const call = deferToThread(
      reactor,
      { ...work("noteAndWait"), offers },
      word,
    );
    await waiting;
    reactor.crash();
    await reactor.finished;
    setWord(word);
    reactor.interleave();
    assertEquals(await call, "waited");
  },
);

testOnBackends(
  "a signal drops a call that has not begun, and gives up the thread of one that runs",
  async ({ reactor }) => {
    reactor.suggestThreadPoolSize(1);
    const { promise: waiting, resolve } = Promise.withResolvers<void>();
    const [first, second] = [new AbortController(), new AbortController()];
    const word = makeWord();
    const runs = deferToThread(reactor, {
      ...work("noteAndWait"),
      signal: first.signal,
      offers: { note: resolve },
    }, word);
    const count = { ...work("count"), signal: second.signal };
    const waits = deferToThread(reactor, count);
    const last = deferToThread(reactor, work("count"));
    await waiting;
    const reason = new Error("no need any more");
    second.abort(reason);
    assertStrictEquals(await assertRejects(() => waits), reason);
    assertEquals(reactor.inspect().threads.busy, 1);
    first.abort(reason);
    assertStrictEquals(await assertRejects(() => runs), reason);
    assertEquals(await last, 1); // In a new thread, where it is the first.
    await assertRejects(() => deferToThread(reactor, count), Error, "no need");
    reactor.callInThread(count);
    assertEquals(reactor.inspect().threads.queued, 0);
    setWord(word);
    assertEquals(await deferToThread(reactor, work("count")), 2);
  },
);

testOnBackends(
  "a function that makes calls ends when its call is called off, or the reactor is closed",
  async ({ reactor }) => {
    for (const how of ["called off", "closed"]) {
      const ended = makeWord();
      const controller = new AbortController();
      const { promise: calling, resolve } = Promise.withResolvers<void>();
      const call = deferToThread(reactor, {
        ...work("noteForEver"),
        signal: controller.signal,
        offers: { note: resolve },
      }, ended);
      const rejected = assertRejects(() => call);
      await calling;
      if (how === "closed") await reactor.close();
      else controller.abort();
      await rejected;
      await until(() => Atomics.load(ended, 0) === 1);
    }
  },
);

testOnBackends(
  "a signal that is aborted when the call is done does nothing",
  async ({ reactor }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const count = { ...work("count"), signal };
    assertEquals(await deferToThread(reactor, count), 1);
    controller.abort();
    assertEquals(await deferToThread(reactor, work("count")), 2);
  },
);

for (
  const [how, name, message] of [
    ["throws where nobody listens", "throwLater", "left behind"],
    ["rejects where nobody listens", "rejectLater", "left behind"],
    [
      "ends by process.exit()",
      "exit",
      "The thread ended by itself, with code 7",
    ],
    [
      "ends by Deno.exit()",
      "exitDeno",
      "The thread ended by itself, with code 7",
    ],
  ] as const
) {
  testOnBackends(
    `a thread that ${how} is the error of its call, and is replaced`,
    async ({ reactor }) => {
      reactor.suggestThreadPoolSize(1);
      assertEquals(await deferToThread(reactor, work("count")), 1);
      await assertRejects(
        () => deferToThread(reactor, work(name as "throwLater"), "left behind"),
        Error,
        message,
      );
      assertEquals(await deferToThread(reactor, work("count")), 1);
    },
  );
}

testOnBackends(
  "a function that is missing, and a module that cannot be loaded, are errors of the call",
  async ({ reactor }) => {
    reactor.suggestThreadPoolSize(1);
    for (const name of ["missing", "notAFunction", "toString"]) {
      await assertRejects(
        () => deferToThread(reactor, { module: WORK, name }),
        TypeError,
        `Cannot call "${name}": ${WORK} exports no such function`,
      );
    }
    const broken = import.meta.resolve("./broken.ts");
    await assertRejects(
      () => deferToThread(reactor, { module: broken }),
      Error,
      "broken on purpose",
    );
    const missing = import.meta.resolve("./no_such_file.ts");
    await assertRejects(
      () => deferToThread(reactor, { module: missing }),
      TypeError,
      "Module not found",
    );
    assertEquals(await deferToThread(reactor, work("count")), 1);
    assertEquals(reactor.inspect().threads.size, 1);
  },
);

testOnBackends(
  "what cannot be cloned, or names no function, is refused at the call (contract 150)",
  async ({ reactor }) => {
    const f = () => {};
    assertThrows(
      () => reactor.callInThread({ module: WORK, name: "add" }, f),
      DOMException,
      "could not be cloned",
    );
    await assertRejects(
      () => deferToThread(reactor, { module: WORK, name: "add" }, f),
      DOMException,
      "could not be cloned",
    );
    for (
      const [fn, complaint] of [
        [
          f,
          '"fn" must be an object with a module and a name, since functions cannot cross threads, received ',
        ],
        [null, '"fn" must be an object'],
        [{}, '"fn.module" must be a URL'],
        [{ module: "./work.ts" }, '"fn.module" must be a URL'],
        [{ module: WORK, name: 1 }, '"fn.name" must be a string, received 1'],
        [{ module: WORK, signal: {} }, '"fn.signal" must be an AbortSignal'],
        [{ module: WORK, offers: 1 }, '"fn.offers" must be an object'],
      ] as [never, string][]
    ) {
      assertThrows(() => reactor.callInThread(fn), TypeError, complaint);
      await assertRejects(
        () => deferToThread(reactor, fn),
        TypeError,
        complaint,
      );
    }
    await assertRejects(
      () => deferToThread({} as never, work("add"), 1, 2),
      TypeError,
      '"reactor" must be a Reactor',
    );
    for (const size of [0, -1, 1.5, NaN, Infinity]) {
      assertThrows(() => reactor.suggestThreadPoolSize(size), RangeError);
    }
    assertThrows(() => reactor.suggestThreadPoolSize("2" as never), TypeError);
    assertThrows(() => exportsOf("./work.ts"), TypeError, "must be a URL");
    assertThrows(() => work(1 as never), TypeError, "must be a string");
    assertThrows(() => transfer(1 as never, []), TypeError, '"value"');
    assertThrows(() => transfer({}, {} as never), TypeError, '"transfer"');
  },
);

testOnBackends(
  "arguments are copied at the call, unless transfer() hands them over",
  async ({ reactor }) => {
    const copied = new Uint8Array([1, 2, 3]);
    const call = deferToThread(reactor, work("echo"), copied);
    copied[0] = 9;
    assertEquals(await call, new Uint8Array([1, 2, 3]));
    const given = transfer(copied, [copied.buffer]);
    const back = deferToThread(reactor, work("echo"), given);
    assertEquals(given.length, 0);
    assertEquals(await back, new Uint8Array([9, 2, 3]));
  },
);

testOnBackends(
  "isInIOThread() is true in callbacks, and false in threads of a pool (contract 157)",
  async ({ reactor }) => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    reactor.callLater(0, () => resolve(isInIOThread()));
    reactor.interleave();
    assert(await promise);
    assertFalse(await deferToThread(reactor, work("isHere")));
  },
);

testOnBackends(
  "a thread of a pool can call nothing but what its present call offers",
  async ({ reactor, errors }) => {
    reactor.suggestThreadPoolSize(1);
    await assertRejects(
      () => deferToThread(reactor, work("noteAndAsk"), 0, "?"),
      TypeError,
      'Cannot call "ask": no such function is offered to this thread',
    );
    assertEquals(errors, []);
  },
);

testOnBackends(
  "waiting and running calls of a running reactor keep the process alive, and idle threads do not (contract 156)",
  async ({ reactor }) => {
    const keeps = () => reactor.inspect().keepsAlive.threads;
    const call = deferToThread(reactor, work("addLater"), 1, 2);
    assertEquals(keeps(), 1);
    reactor.unref();
    assertEquals(keeps(), 0);
    reactor.ref();
    await call;
    assertEquals(keeps(), 0);
    assertEquals(reactor.inspect().threads.size, 1);
  },
);

const PROGRAM = `
  const work = interleave.exportsOf(
    "data:text/javascript," + encodeURIComponent(\`
      export const add = (a, b) => a + b;
      export const late = () => new Promise((r) => setTimeout(r, 100, "late"));
    \`),
  );
`;

Deno.test("work that was queued and never started keeps no process alive (contract 156)", async () => {
  const { code, stderr } = await runProgram(`
    ${PROGRAM}
    const reactor = new interleave.Reactor();
    for (let i = 0; i < 5; i++) reactor.callInThread(work("late"));
  `);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
});

Deno.test("a program with nothing but a call in a thread waits for it, and ends then (contract 156)", async () => {
  const { code, stdout, stderr } = await runProgram(`
    ${PROGRAM}
    const { deferToThread, reactor } = interleave;
    deferToThread(reactor, work("late")).then(console.log);
  `);
  assertEquals({ code, stdout, stderr }, {
    code: 0,
    stdout: "late\n",
    stderr: "",
  });
});

Deno.test("pools leave no descriptor and no thread behind", async () => {
  const before = await countAtRest();
  for (let i = 0; i < 3; i++) {
    const reactor = new Reactor();
    reactor.suggestThreadPoolSize(3);
    const calls = Array.from(
      { length: 6 },
      () => deferToThread(reactor, work("addLater"), 1, 2),
    );
    await Promise.all(calls);
    if (i === 0) {
      reactor.stop();
      await reactor.finished;
    } else if (i === 1) reactor.crash();
    await reactor.close();
  }
  await assertNothingLeft(before);
});
