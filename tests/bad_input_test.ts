// What the reactor says to arguments that it cannot use: the named error, at
// the call, with the argument's name and its value. And that nothing else which
// is being waited for suffers.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { BlockingQueue } from "../src/blocking_queue.ts";
import {
  ReactorAlreadyRunning,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "../src/errors.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import { Reactor, type ReactorOptions } from "../src/reactor.ts";
import { BACKENDS } from "./descriptors.ts";
import { testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";

/**
 * A call, the class of its error, and the argument and the value that the
 * message names.
 */
type Refusal = [
  call: (...args: never[]) => unknown,
  Class: new () => Error,
  argument: string,
  received: string,
];

/** What no function takes for a number, and how a message shows it. */
const NOT_NUMBERS: [unknown, string][] = [
  [undefined, "undefined"],
  [null, "null"],
  ["1", '"1"'],
  [1n, "1n"],
  [{}, "object Object"],
  [[1], "object Array"],
  [true, "true"],
];

/** What no function takes for a time to wait, and how a message shows it. */
const NOT_DELAYS: [number, string][] = [
  [NaN, "NaN"],
  [-1.5, "-1.5"],
  [-Infinity, "-Infinity"],
  [-(2 ** 128), "-3.402823669209385e+38"],
];

/** What no function takes for a function. */
const NOT_FUNCTIONS: [unknown, string][] = [
  [undefined, "undefined"],
  [null, "null"],
  [1, "1"],
  ["f", '"f"'],
  [{}, "object Object"],
  [Symbol("f"), "Symbol(f)"],
];

/** What cannot be the number of a descriptor, and how a message shows it. */
const NOT_DESCRIPTORS: [number, string][] = [
  [NaN, "NaN"],
  [1.5, "1.5"],
  [-2, "-2"],
  [2 ** 31, "2147483648"],
  [2 ** 128, "3.402823669209385e+38"],
  [Infinity, "Infinity"],
];

/**
 * A number that nobody has opened: higher than any limit that a test is run
 * with.
 */
const NEVER_OPENED = 2 ** 30;

function ignore(): void {}

/** Requires the error that a refused argument gets. */
function assertRefusal(
  error: unknown,
  [call, Class, argument, received]: Refusal,
): void {
  assertInstanceOf(error, Error);
  assertStrictEquals(error.constructor, Class, `${call}: ${error}`);
  assertStringIncludes(error.message, "Cannot ");
  assertStringIncludes(error.message, `"${argument}" must be `);
  assert(
    error.message.endsWith(`, received ${received}`),
    `${call}: ${error.message} does not end with ${received}`,
  );
}

/** Makes each call, which must throw. */
function assertRefused(refusals: Refusal[]): void {
  for (const refusal of refusals) {
    const [call] = refusal;
    assertRefusal(assertThrows(call as () => unknown), refusal);
  }
}

/** Makes each call, which must return a promise that rejects. */
async function assertRefusedLater(refusals: Refusal[]): Promise<void> {
  for (const refusal of refusals) {
    const promise = (refusal[0] as () => unknown)();
    assertInstanceOf(promise, Promise);
    assertRefusal(await assertRejects(() => promise), refusal);
  }
}

/** Requires the error of a number that is not open. */
function assertNotOpen(error: unknown, number: number): void {
  assertInstanceOf(error, Deno.errors.BadResource);
  assertStringIncludes(error.message, `${number}`);
  const { code, errno } = error as Error & { code?: string; errno?: number };
  assertEquals({ code, errno }, { code: "EBADF", errno: 9 });
}

/**
 * Runs a test while a reader and a delayed call wait, which must not suffer.
 */
function testWithBystanders(
  name: string,
  fn: (reactor: Reactor) => Promise<void> | void,
): void {
  testOnBackends(name, async ({ reactor }) => {
    using pipe = new Pipe();
    const { promise: read, resolve: doRead } = Promise.withResolvers<void>();
    const { promise: called, resolve: call } = Promise.withResolvers<void>();
    const reader = pipe.reader(doRead);
    reactor.addReader(reader);
    const delayed = reactor.callLater(300_000, call);
    reactor.interleave();

    await fn(reactor);

    assertEquals(reactor.getReaders(), [reader]);
    assertEquals(reactor.getWriters(), []);
    assertEquals(reactor.getDelayedCalls(), [delayed]);
    assertEquals(reactor.inspect().descriptors.length, 1);
    assert(reactor.running);
    pipe.fill();
    await read;
    delayed.reset(1);
    await called;
  });
}

// Making one

Deno.test("new Reactor() refuses options that it cannot use", () => {
  const make = (options: unknown) => () =>
    new Reactor(options as ReactorOptions);
  const refusals: Refusal[] = [
    [make(null), TypeError, "options", "null"],
    [make(1), TypeError, "options", "1"],
    [make("epoll"), TypeError, "options", '"epoll"'],
    [make({ backend: 1 }), TypeError, "options.backend", "1"],
    [make({ backend: null }), TypeError, "options.backend", "null"],
    [make({ backend: "kqueue" }), RangeError, "options.backend", '"kqueue"'],
    [make({ backend: "" }), RangeError, "options.backend", '""'],
    [make({ budget: 1 }), TypeError, "options.budget", "1"],
    [make({ budget: null }), TypeError, "options.budget", "null"],
    [make({ label: 1 }), TypeError, "options.label", "1"],
    [make({ captureStacks: 1 }), TypeError, "options.captureStacks", "1"],
  ];
  for (const key of ["ms", "events"]) {
    const argument = `options.budget.${key}`;
    for (const [value, shown] of NOT_NUMBERS) {
      if (value === undefined) continue;
      refusals.push(
        [make({ budget: { [key]: value } }), TypeError, argument, shown],
      );
    }
    for (const [value, shown] of NOT_DELAYS) {
      refusals.push(
        [make({ budget: { [key]: value } }), RangeError, argument, shown],
      );
    }
  }
  for (const key of ["onError", "clock"]) {
    for (const [value, shown] of NOT_FUNCTIONS) {
      if (value === undefined) continue;
      refusals.push(
        [make({ [key]: value }), TypeError, `options.${key}`, shown],
      );
    }
  }
  assertRefused(refusals);
});

Deno.test("new Reactor() takes undefined for every option", async () => {
  await using reactor = new Reactor({
    backend: undefined,
    budget: { ms: undefined, events: undefined },
    onError: undefined,
    clock: undefined,
    label: undefined,
    captureStacks: undefined,
  });
  assertEquals(reactor.inspect(), new Reactor().inspect());
  await using another = new Reactor({ budget: { ms: Infinity, events: 0 } });
  assertFalse(another.running);
});

// Starting and ending

testOnBackends(
  "run() and interleave() refuse what they cannot use, and start nothing",
  async ({ reactor }) => {
    const interleave = (...args: unknown[]) => () =>
      reactor.interleave(...args as []);
    const run = (options: unknown) => () => reactor.run(options as undefined);
    assertRefused([
      [interleave(null), TypeError, "waker", "null"],
      [interleave(1), TypeError, "waker", "1"],
      [interleave("deno"), TypeError, "waker", '"deno"'],
      [interleave({}), TypeError, "waker", "object Object"],
      [interleave(reactor), TypeError, "waker", "object Reactor"],
      [interleave(undefined, null), TypeError, "options", "null"],
      [interleave(undefined, true), TypeError, "options", "true"],
      [
        interleave(ignore, { signals: 1 }),
        TypeError,
        "options.signals",
        "1",
      ],
    ]);
    await assertRefusedLater([
      [run(null), TypeError, "options", "null"],
      [run(1), TypeError, "options", "1"],
      [run({ signals: "yes" }), TypeError, "options.signals", '"yes"'],
      [run({ signals: null }), TypeError, "options.signals", "null"],
    ]);
    assertFalse(reactor.running);
    assertEquals(reactor.inspect().host, "none");
    reactor.callLater(1, () => reactor.stop());
    await reactor.run({ signals: undefined });
  },
);

testWithBystanders(
  "run() and interleave() refuse a second start with an error's name (contract 8)",
  async (reactor) => {
    await assertRejects(() => reactor.run(), ReactorAlreadyRunning);
    assertThrows(() => reactor.interleave(), ReactorAlreadyRunning);
    assertThrows(
      () => reactor.interleave(new BlockingQueue()),
      ReactorAlreadyRunning,
    );
    await assertRefusedLater([
      [() => reactor.run(1 as never), TypeError, "options", "1"],
    ]);
  },
);

testOnBackends(
  "stop() and a start after the end are refused with an error's name (contract 3, 4, 9)",
  async ({ reactor }) => {
    assertEquals(
      assertThrows(() => reactor.stop(), ReactorNotRunning).name,
      "ReactorNotRunning",
    );
    await reactor.close();
    assertEquals(
      assertThrows(() => reactor.interleave(), ReactorNotRestartable).name,
      "ReactorNotRestartable",
    );
    // What is wrong with the arguments comes first.
    assertRefused([
      [() => reactor.interleave(1 as never), TypeError, "waker", "1"],
      [() => reactor.callLater(NaN, ignore), RangeError, "ms", "NaN"],
      [() => reactor.iterate(NaN), RangeError, "ms", "NaN"],
      [
        () => reactor.callFromThread(1 as never),
        TypeError,
        "f",
        "1",
      ],
    ]);
  },
);

testWithBystanders("iterate() refuses what is no time to wait", (reactor) => {
  const iterate = (ms: unknown) => () => reactor.iterate(ms as number);
  assertRefused([
    ...NOT_NUMBERS.slice(1).map(([value, shown]): Refusal => [
      iterate(value),
      TypeError,
      "ms",
      shown,
    ]),
    ...NOT_DELAYS.map(([value, shown]): Refusal => [
      iterate(value),
      RangeError,
      "ms",
      shown,
    ]),
    [iterate(Infinity), RangeError, "ms", "Infinity"],
    [iterate(-2), RangeError, "ms", "-2"],
  ]);
});

// Events

testWithBystanders(
  "callWhenRunning() and callFromThread() refuse what is no function (contract 25, 150)",
  (reactor) => {
    for (const [value, shown] of NOT_FUNCTIONS) {
      assertRefused([
        [
          () => reactor.callWhenRunning(value as never),
          TypeError,
          "f",
          shown,
        ],
        [() => reactor.callFromThread(value as never), TypeError, "f", shown],
      ]);
    }
  },
);

testWithBystanders(
  "addSystemEventTrigger(), removeSystemEventTrigger() and fireSystemEvent() refuse what they cannot use (contract 24, 25, 40)",
  async (reactor) => {
    await using another = new Reactor();
    const add = (...args: unknown[]) => () =>
      reactor.addSystemEventTrigger(...args as ["before", "", () => void]);
    const remove = (id: unknown) => () =>
      reactor.removeSystemEventTrigger(id as never);
    const foreign = another.addSystemEventTrigger("before", "tea", ignore);
    assertRefused([
      [add("now", "tea", ignore), RangeError, "phase", '"now"'],
      [add("", "tea", ignore), RangeError, "phase", '""'],
      [add(1, "tea", ignore), TypeError, "phase", "1"],
      [add("before", 1, ignore), TypeError, "event", "1"],
      [add("before", undefined, ignore), TypeError, "event", "undefined"],
      [add("before", "tea"), TypeError, "f", "undefined"],
      [add("before", "tea", {}), TypeError, "f", "object Object"],
      [remove(undefined), TypeError, "id", "undefined"],
      [remove(1), TypeError, "id", "1"],
      [remove({}), TypeError, "id", "object Object"],
      [remove(foreign), TypeError, "id", "object TriggerId"],
      [
        () => reactor.fireSystemEvent(1 as never),
        TypeError,
        "event",
        "1",
      ],
    ]);
    const id = reactor.addSystemEventTrigger("before", "tea", ignore);
    reactor.removeSystemEventTrigger(id);
    assertThrows(
      () => reactor.removeSystemEventTrigger(id),
      RangeError,
      "was already removed or has run",
    );
  },
);

// Time

testWithBystanders(
  "callLater() refuses what is no time to wait and what is no function (contract 61)",
  (reactor) => {
    const callLater = (ms: unknown, f: unknown) => () =>
      reactor.callLater(ms as number, f as () => void);
    assertRefused([
      ...NOT_NUMBERS.map(([value, shown]): Refusal => [
        callLater(value, ignore),
        TypeError,
        "ms",
        shown,
      ]),
      ...NOT_DELAYS.map(([value, shown]): Refusal => [
        callLater(value, ignore),
        RangeError,
        "ms",
        shown,
      ]),
      [callLater(-1, ignore), RangeError, "ms", "-1"],
      [callLater(Infinity, ignore), RangeError, "ms", "Infinity"],
      ...NOT_FUNCTIONS.map(([value, shown]): Refusal => [
        callLater(1, value),
        TypeError,
        "f",
        shown,
      ]),
    ]);
    const huge = reactor.callLater(2 ** 128, ignore);
    assertRefused([
      [() => huge.delay(NaN), RangeError, "ms", "NaN"],
      [() => huge.delay(Infinity), RangeError, "ms", "Infinity"],
      [() => huge.delay("1" as never), TypeError, "ms", '"1"'],
      [() => huge.reset(-1), RangeError, "ms", "-1"],
      [() => huge.reset(NaN), RangeError, "ms", "NaN"],
      [() => huge.reset(null as never), TypeError, "ms", "null"],
    ]);
    huge.cancel();
  },
);

// Descriptors

for (
  const [verb, method] of [
    ["Reader", "doRead"],
    ["Writer", "doWrite"],
  ] as const
) {
  const argument = verb.toLowerCase();
  const add = (reactor: Reactor, object: unknown) =>
    reactor[`add${verb}`](object as never);
  /** An object that is complete but for its number. */
  const withFileno = (fileno: unknown) => ({
    fileno: () => fileno,
    [method]: ignore,
    connectionLost: () => {
      throw new Error("connectionLost was called");
    },
  });

  testWithBystanders(
    `add${verb}() refuses what is no ${argument}`,
    (reactor) => {
      const complete = withFileno(0);
      for (
        const [value, shown] of [
          [undefined, "undefined"],
          [null, "null"],
          [1, "1"],
          ["0", '"0"'],
          [ignore, "function ignore"],
        ] as const
      ) {
        assertRefused([
          [() => add(reactor, value), TypeError, argument, shown],
        ]);
      }
      for (const key of ["fileno", method, "connectionLost"]) {
        for (const [value, shown] of NOT_FUNCTIONS) {
          assertRefused([[
            () => add(reactor, { ...complete, [key]: value }),
            TypeError,
            `${argument}.${key}`,
            shown,
          ]]);
        }
      }
    },
  );

  testWithBystanders(
    `add${verb}() refuses what is no number of a descriptor`,
    (reactor) => {
      const name = `${argument}.fileno()`;
      for (const [value, shown] of NOT_DESCRIPTORS) {
        assertRefused([
          [() => add(reactor, withFileno(value)), RangeError, name, shown],
        ]);
      }
      for (const [value, shown] of NOT_NUMBERS) {
        assertRefused([
          [() => add(reactor, withFileno(value)), TypeError, name, shown],
        ]);
      }
    },
  );

  testWithBystanders(
    `add${verb}() refuses a descriptor that is not open`,
    (reactor) => {
      using pipe = new Pipe();
      const number = pipe.output.fileno();
      pipe.output.close();
      for (const fd of [number, NEVER_OPENED, 2 ** 31 - 1, -1]) {
        const error = assertThrows(() => add(reactor, withFileno(fd)));
        assertNotOpen(error, fd);
        assertStringIncludes(
          (error as Error).message,
          `Cannot add a ${argument}`,
        );
      }
    },
  );

  testWithBystanders(
    `add${verb}() lets through what fileno() throws`,
    (reactor) => {
      const reason = new Error("fileno");
      const object = {
        ...withFileno(0),
        fileno() {
          throw reason;
        },
      };
      assertStrictEquals(assertThrows(() => add(reactor, object)), reason);
    },
  );

  testWithBystanders(
    `add${verb}() refuses a second ${argument} of a descriptor (contract 127)`,
    (reactor) => {
      const [here, there] = FileDescriptor.socketpair();
      using _here = here;
      using _there = there;
      const first = withFileno(here.fileno());
      const second = withFileno(here.fileno());
      add(reactor, first);
      add(reactor, first); // Itself it may be.
      assertThrows(
        () => add(reactor, second),
        RangeError,
        `descriptor ${here.fileno()} already has another ${argument}`,
      );
      reactor[`remove${verb}`](second as never);
      reactor[`remove${verb}`](first as never);
      add(reactor, second);
      reactor[`remove${verb}`](second as never);
    },
  );

  testWithBystanders(
    `remove${verb}() takes anything that was not added (contract 104)`,
    (reactor) => {
      const remove = (object: unknown) =>
        reactor[`remove${verb}`](object as never);
      for (const object of [undefined, null, 1, "f", {}, withFileno(-1)]) {
        remove(object);
      }
    },
  );
}

for (const verb of ["readable", "writable"] as const) {
  testWithBystanders(
    `${verb}() rejects, and never throws, when it cannot use its arguments`,
    async (reactor) => {
      using pipe = new Pipe();
      const wait = (...args: unknown[]) => () => reactor[verb](...args as [0]);
      await assertRefusedLater([
        ...NOT_NUMBERS.map(([value, shown]): Refusal => [
          wait(value),
          TypeError,
          "fd",
          shown,
        ]),
        ...NOT_DESCRIPTORS.map(([value, shown]): Refusal => [
          wait(value),
          RangeError,
          "fd",
          shown,
        ]),
        ...NOT_DESCRIPTORS.map(([value, shown]): Refusal => [
          wait({ fileno: () => value }),
          RangeError,
          "fd.fileno()",
          shown,
        ]),
        [wait({ fileno: () => "1" }), TypeError, "fd.fileno()", '"1"'],
        [wait({ fileno: 1 }), TypeError, "fd", "object Object"],
        [wait(-1), RangeError, "fd", "-1"],
        [wait(pipe.output, null), TypeError, "options", "null"],
        [wait(pipe.output, 1), TypeError, "options", "1"],
        [
          wait(pipe.output, { signal: {} }),
          TypeError,
          "options.signal",
          "object Object",
        ],
        [wait(pipe.output, { label: 1 }), TypeError, "options.label", "1"],
        [
          wait(pipe.output, { persistent: 1 }),
          TypeError,
          "options.persistent",
          "1",
        ],
      ]);
      const number = pipe.output.fileno();
      pipe.output.close();
      for (const fd of [number, NEVER_OPENED, 2 ** 31 - 1]) {
        assertNotOpen(await assertRejects(wait(fd)), fd);
      }
      assertNotOpen(await assertRejects(wait(pipe.output)), -1);
      const reason = new Error("fileno");
      const broken = {
        fileno() {
          throw reason;
        },
      };
      assertStrictEquals(await assertRejects(wait(broken)), reason);
      const signal = AbortSignal.abort(reason);
      assertStrictEquals(
        await assertRejects(wait(pipe.input, { signal })),
        reason,
      );
    },
  );
}

testWithBystanders(
  "watch() refuses what it cannot use",
  async (reactor) => {
    using pipe = new Pipe();
    const fd = pipe.output;
    const watch = (...args: unknown[]) => () =>
      reactor.watch(...args as [0, "readable"]);
    assertRefused([
      ...NOT_NUMBERS.map(([value, shown]): Refusal => [
        watch(value, "readable"),
        TypeError,
        "fd",
        shown,
      ]),
      ...NOT_DESCRIPTORS.map(([value, shown]): Refusal => [
        watch(value, "readable"),
        RangeError,
        "fd",
        shown,
      ]),
      [watch(fd), TypeError, "interest", "undefined"],
      [watch(fd, 1), TypeError, "interest", "1"],
      [watch(fd, [1]), TypeError, "interest", "1"],
      [watch(fd, {}), TypeError, "interest", "object Object"],
      [watch(fd, "read"), RangeError, "interest", '"read"'],
      [watch(fd, ["readable", "x"]), RangeError, "interest", '"x"'],
      [watch(fd, "toString"), RangeError, "interest", '"toString"'],
      [watch(fd, "readable", null), TypeError, "options", "null"],
      [
        watch(fd, "readable", { signal: 1 }),
        TypeError,
        "options.signal",
        "1",
      ],
      [
        watch(fd, "readable", { persistent: null }),
        TypeError,
        "options.persistent",
        "null",
      ],
    ]);
    assertThrows(
      watch(fd, []),
      RangeError,
      'Cannot watch a descriptor: "interest" must not be empty',
    );
    const number = fd.fileno();
    fd.close();
    for (const closed of [number, NEVER_OPENED, 2 ** 31 - 1]) {
      assertNotOpen(assertThrows(watch(closed, "readable")), closed);
    }
    assertNotOpen(assertThrows(watch(fd, "readable")), -1);
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    const aborted = reactor.watch(pipe.input, "writable", { signal });
    assertStrictEquals(await assertRejects(() => aborted.next()), reason);
  },
);

// BlockingQueue

Deno.test("BlockingQueue.put() and get() refuse what they cannot use", () => {
  const queue = new BlockingQueue();
  const get = (ms: unknown) => () => queue.get(ms as number);
  assertRefused([
    ...NOT_FUNCTIONS.map(([value, shown]): Refusal => [
      () => queue.put(value as never),
      TypeError,
      "work",
      shown,
    ]),
    ...NOT_NUMBERS.slice(1).map(([value, shown]): Refusal => [
      get(value),
      TypeError,
      "ms",
      shown,
    ]),
    ...NOT_DELAYS.map(([value, shown]): Refusal => [
      get(value),
      RangeError,
      "ms",
      shown,
    ]),
    [get(-1), RangeError, "ms", "-1"],
  ]);
  assertStrictEquals(queue.get(), undefined);
});

// Permissions

for (const backend of BACKENDS) {
  Deno.test(`Reactor says which flag it needs, when it does not have it [${backend}]`, async () => {
    const { code, stdout, stderr } = await runProgram(
      `
        const { FileDescriptor, Reactor } = interleave;
        const reactor = new Reactor({ backend: "${backend}" });
        const ignore = () => {};
        const object = {
          fileno: () => 0, doRead: ignore, doWrite: ignore,
          connectionLost: ignore,
        };
        const uses = {
          interleave: () => reactor.interleave(),
          waker: () => reactor.interleave(ignore),
          queue: () => reactor.interleave(new interleave.BlockingQueue()),
          iterate: () => reactor.iterate(),
          addReader: () => reactor.addReader(object),
          addWriter: () => reactor.addWriter(object),
          run: () => reactor.run(),
          readable: () => reactor.readable(0),
          writable: () => reactor.writable(0),
          watch: () => reactor.watch(0, "readable"),
          pipe: () => FileDescriptor.pipe(),
          shared: () => interleave.reactor.callLater(0, ignore),
        };
        for (const [name, use] of Object.entries(uses)) {
          try {
            await use();
            console.log(name, "was allowed");
          } catch (error) {
            const told = error.message.includes('"--allow-ffi"');
            console.log(name, error.name, told, reactor.running);
          }
        }
        reactor.callLater(0, ignore).cancel();
        reactor.callFromThread(ignore);
        reactor.crash();
        await reactor.close();
      `,
      { permissions: [] },
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertEquals(
      stdout.trim().split("\n"),
      [
        "interleave",
        "waker",
        "queue",
        "iterate",
        "addReader",
        "addWriter",
        "run",
        "readable",
        "writable",
        "watch",
        "pipe",
        "shared",
      ].map((name) => `${name} NotCapable true false`),
    );
  });

  Deno.test(`Reactor needs no other permission than --allow-ffi [${backend}]`, async () => {
    const { code, stdout, stderr } = await runProgram(`
      const { BlockingQueue, FileDescriptor, Reactor } = interleave;
      const [output, input] = FileDescriptor.pipe();
      await using reactor = new Reactor({ backend: "${backend}" });
      reactor.callLater(1, () => input.write(new Uint8Array(1)));
      const { readable } = await reactor.readable(output);
      reactor.callLater(1, () => reactor.stop());
      await reactor.run();
      await using another = new Reactor({ backend: "${backend}" });
      const queue = new BlockingQueue();
      another.interleave(queue);
      another.callLater(1, () => another.stop());
      for (let work; (work = queue.get());) work();
      console.log(readable);
    `);
    assertEquals(
      { code, stdout, stderr },
      { code: 0, stdout: "true\n", stderr: "" },
    );
  });
}
