// Objects that somebody made to break whoever looks at them: readers and writers,
// options, abort signals, attached loops. A call either works or throws what the
// object threw, and then nothing has been registered. What is said to arguments
// of the wrong type stands in bad_input_test.ts.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import {
  type ForeignLoop,
  Reactor,
  type ReactorOptions,
  type ReadDescriptor,
  type WaitOptions,
  type WriteDescriptor,
} from "../../mod.ts";
import { PATIENCE, Probe, until } from "../descriptors.ts";
import { Pipe } from "../pipe.ts";
import { type BystanderSetting, testBesideOthers } from "./bystander.ts";
import { revoked, trapped } from "./values.ts";

const failure = new Error("a getter was run");

/** An object of which one property can't be read. */
function withTrap(object: object, key: string): never {
  return Object.create(
    Object.prototype,
    {
      ...Object.getOwnPropertyDescriptors(object),
      [key]: {
        get() {
          throw failure;
        },
        enumerable: true,
      },
    },
  ) as never;
}

/** What is registered, whoever did it. */
function registered(reactor: Reactor): unknown[] {
  return reactor.inspect().descriptors.map(({ watchers }) => watchers.length);
}

// Readers and writers

for (
  const [what, make] of [
    ["trapped proxies", (object: Probe) => trapped(object)],
    ["revoked proxies", (object: Probe) => revoked(object)],
  ] as const
) {
  testBesideOthers(
    `addReader() and addWriter() refuse ${what}, and change nothing`,
    async ({ reactor, bystander }) => {
      using pipe = new Pipe();
      const before = registered(reactor);
      const object = make(new Probe(pipe.output.fileno()));
      assertThrows(() => reactor.addReader(object));
      assertThrows(() => reactor.addWriter(object));
      assertThrows(() => reactor.watch(object, "readable"));
      await assertRejects(() => reactor.readable(object));
      reactor.removeReader(object);
      reactor.removeWriter(object);
      assertEquals(registered(reactor), before);
      await bystander.served();
    },
  );
}

for (const key of ["fileno", "doRead", "doWrite", "connectionLost"]) {
  testBesideOthers(
    `addReader() and addWriter() pass on what the getter of ${key} throws, and change nothing`,
    async ({ reactor, bystander }) => {
      using pipe = new Pipe();
      const before = registered(reactor);
      const object = withTrap({
        fileno: () => pipe.output.fileno(),
        doRead() {},
        doWrite() {},
        connectionLost() {},
      }, key) as ReadDescriptor & WriteDescriptor;
      for (const method of ["addReader", "addWriter"] as const) {
        const needed = key !== (method === "addReader" ? "doWrite" : "doRead");
        if (!needed) continue;
        assertStrictEquals(
          assertThrows(() => reactor[method](object)),
          failure,
        );
      }
      assertEquals(registered(reactor), before);
      assertFalse(reactor.getReaders().includes(object));
      await bystander.served();
    },
  );
}

testBesideOthers(
  "a fileno() that says another number each time is believed once, and lost at its first event",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    using other = new Pipe();
    const numbers = [pipe.output.fileno(), other.output.fileno()];
    let looks = 0;
    const reasons: Error[] = [];
    const reader = {
      fileno: () => numbers[looks++ % 2]!,
      doRead: () => new Error("doRead was called"),
      connectionLost: (reason: Error) => reasons.push(reason),
    };
    reactor.addReader(reader);
    assertEquals(looks, 1);
    other.fill();
    await bystander.served();
    assertEquals(reasons, []); // It has nothing to do with that one.
    pipe.fill();
    await until(() => reasons.length === 1);
    assertEquals((reasons[0] as { code?: string }).code, "EBADF");
    assertFalse(reactor.getReaders().includes(reader as never));
    // A wait looks once, and never again.
    looks = 0;
    assertEquals((await reactor.readable(reader)).fd, numbers[0]);
    assertEquals(looks, 1);
  },
);

testBesideOthers(
  "a fileno() that registers, removes and waits for itself is not called without end",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    let depth = 0;
    const reader: ReadDescriptor = {
      fileno() {
        if (depth++ < 10) {
          reactor.addReader(reader);
          reactor.removeReader(reader);
          reactor.readable(reader).catch(() => {});
        }
        return pipe.output.fileno();
      },
      doRead: () => void pipe.output.read(new Uint8Array(1)),
      connectionLost() {},
    };
    reactor.addReader(reader);
    pipe.fill();
    await bystander.served();
    assertEquals(
      reactor.getReaders().filter((one) => one === reader).length,
      1,
    );
    reactor.removeReader(reader);
  },
);

// Options

const OPTIONS: Record<
  string,
  [keys: string[], use: (setting: BystanderSetting, options: never) => unknown]
> = {
  "new Reactor()": [
    ["backend", "budget", "latency", "onError", "clock", "label"],
    (_, options) => new Reactor(options as ReactorOptions),
  ],
  "budget of new Reactor()": [
    ["ms", "events"],
    (_, options) => new Reactor({ budget: options }),
  ],
  "run()": [["signals"], ({ reactor }, options) => reactor.run(options)],
  "interleave()": [
    ["signals"],
    ({ reactor }, options) => reactor.interleave(undefined, options),
  ],
  "readable()": [
    ["signal", "label", "persistent"],
    ({ reactor }, options) => reactor.readable(0, options),
  ],
  "writable()": [
    ["signal", "label", "persistent"],
    ({ reactor }, options) => reactor.writable(0, options),
  ],
  "watch()": [
    ["signal", "label", "persistent"],
    ({ reactor }, options) => reactor.watch(0, "readable", options),
  ],
};

for (const [name, [keys, use]] of Object.entries(OPTIONS)) {
  testBesideOthers(
    `the options of ${name} may throw, and then nothing has happened`,
    async (setting) => {
      const { reactor, bystander } = setting;
      const before = registered(reactor);
      const call = async (options: object) =>
        await use(setting, options as never);
      for (const key of keys) {
        assertStrictEquals(
          await assertRejects(() => call(withTrap({}, key))),
          failure,
        );
      }
      await assertRejects(() => call(trapped({})), Error, "a trap was sprung");
      await assertRejects(() => call(revoked({})), TypeError);
      assertEquals(registered(reactor), before);
      assertEquals(reactor.inspect().host, "deno");
      await bystander.served();
    },
  );
}

testBesideOthers(
  "options are read once each, inherited ones too, and what they do not know is left alone",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const looks: PropertyKey[] = [];
    const options = new Proxy(
      Object.create({ label: "inherited", persistent: false }) as WaitOptions,
      {
        get(target, key) {
          looks.push(key);
          return Reflect.get(target, key) as unknown;
        },
      },
    );
    Object.assign(options, { unknown: withTrap({}, "x") });
    using watch = reactor.watch(pipe.output, "readable", options);
    assertEquals(looks.toSorted(), ["label", "persistent", "signal"]);
    const watchers = reactor.inspect().descriptors.at(-1)!.watchers;
    assertEquals(watchers[0]!.label, "inherited");
    await bystander.served();
    watch.close();
  },
);

testBesideOthers(
  "an interest that changes while it is looked at is refused or taken, and nothing in between",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const before = registered(reactor);
    const shrinking = ["readable", "writable"] as ("readable" | "writable")[];
    Object.defineProperty(shrinking, 0, {
      get() {
        shrinking.length = 1;
        return "readable";
      },
    });
    reactor.watch(pipe.output, shrinking).close();
    const poisoned = [] as "readable"[];
    Object.defineProperty(poisoned, 0, {
      get() {
        throw failure;
      },
    });
    for (
      const interest of [poisoned, trapped(["readable"]), revoked(["readable"])]
    ) assertThrows(() => reactor.watch(pipe.output, interest as "readable"[]));
    // Holes are no interests.
    assertThrows(
      () => reactor.watch(pipe.output, new Array<"readable">(1)),
      TypeError,
      '"interest" must be',
    );
    assertEquals(registered(reactor), before);
    await bystander.served();
  },
);

// Abort signals

testBesideOthers(
  "a signal that is aborted inside the call leaves no wait behind",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const before = registered(reactor);
    const reason = new Error("aborted inside");
    /** What to give as descriptor and as options, to be aborted meanwhile. */
    const ways = [
      (stop: AbortController) => [
        {
          fileno() {
            stop.abort(reason);
            return pipe.output.fileno();
          },
        },
        { signal: stop.signal },
      ],
      (stop: AbortController) => [
        pipe.output,
        {
          signal: stop.signal,
          get label() {
            stop.abort(reason);
            return "label";
          },
        },
      ],
    ];
    for (const way of ways) {
      for (const method of ["readable", "writable"] as const) {
        const [fd, options] = way(new AbortController());
        const error = await assertRejects(() =>
          reactor[method](fd as never, options as WaitOptions)
        );
        assertStrictEquals(error, reason);
      }
      const [fd, options] = way(new AbortController());
      const watch = reactor.watch(
        fd as never,
        "readable",
        options as WaitOptions,
      );
      assertStrictEquals(await assertRejects(() => watch.next()), reason);
      assert((await watch.next()).done);
    }
    assertEquals(registered(reactor), before);
    await bystander.served();
  },
);

testBesideOthers(
  "what only looks like an AbortSignal is refused, and leaves no wait behind",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const before = registered(reactor);
    const fakes = [
      { aborted: false, addEventListener() {}, removeEventListener() {} },
      Object.create(AbortSignal.prototype),
      trapped(new AbortController().signal),
      revoked(new AbortController().signal),
      new EventTarget(),
    ] as AbortSignal[];
    for (const signal of fakes) {
      await assertRejects(() => reactor.readable(pipe.output, { signal }));
      await assertRejects(() => reactor.writable(pipe.output, { signal }));
      assertThrows(() => reactor.watch(pipe.output, "readable", { signal }));
    }
    assertEquals(registered(reactor), before);
    await bystander.served();
  },
);

testBesideOthers(
  "a proxy of an AbortSignal ends waits and watches as the signal does",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const before = registered(reactor);
    const stop = new AbortController();
    const signal = new Proxy(stop.signal, {});
    const reason = new Error("enough");
    const waiting = assertRejects(() =>
      reactor.readable(pipe.output, { signal })
    );
    const watch = reactor.watch(pipe.output, "readable", { signal });
    const next = assertRejects(() => watch.next());
    await bystander.served();
    stop.abort(reason);
    assertStrictEquals(await deadline(waiting, PATIENCE), reason);
    assertStrictEquals(await deadline(next, PATIENCE), reason);
    assertEquals(registered(reactor), before);
  },
);

testBesideOthers(
  "a thousand waits on one signal all end with it, and let go of it",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const before = registered(reactor);
    const stop = new AbortController();
    const { signal } = stop;
    const reason = new Error("enough");
    const waits = Array.from(
      { length: 1000 },
      () => reactor.readable(pipe.output, { signal }),
    );
    // A listener of the user's that begins anew is too late.
    const late: Promise<unknown>[] = [];
    signal.addEventListener("abort", () => {
      late.push(assertRejects(() => reactor.readable(pipe.output, { signal })));
    });
    await bystander.served();
    const settled = Promise.allSettled(waits);
    stop.abort(reason);
    for (const outcome of await deadline(settled, PATIENCE)) {
      assertEquals(outcome.status, "rejected");
      assertStrictEquals((outcome as PromiseRejectedResult).reason, reason);
    }
    await Promise.all(late);
    assertEquals(late.length, 1);
    assertEquals(registered(reactor), before);
  },
);

// Attached loops

for (
  const [what, prepare] of Object.entries<() => unknown>({
    "nothing": () => undefined,
    "a string": () => "descriptors",
    "a revoked proxy": () => revoked({}),
    "a trapped proxy": () => trapped({}),
    "descriptors that throw": () => withTrap({ timeout: -1 }, "descriptors"),
    "a timeout that throws": () => withTrap({ descriptors: [] }, "timeout"),
    "a timeout of NaN": () => ({ descriptors: [], timeout: NaN }),
    "a descriptor that throws": () => ({
      descriptors: [withTrap({ events: 1 }, "fd")],
      timeout: -1,
    }),
    "a descriptor that is null": () => ({ descriptors: [null], timeout: -1 }),
    "a fraction for a descriptor": () => ({
      descriptors: [{ fd: 0.5, events: 1 }],
      timeout: -1,
    }),
  })
) {
  testBesideOthers(
    `an attached loop whose prepare returns ${what} is told of and given up`,
    async ({ reactor, bystander, errors }) => {
      let calls = 0;
      const loop = {
        prepare() {
          calls++;
          return prepare();
        },
        dispatch() {},
      };
      reactor.attach(loop as ForeignLoop);
      await until(() => reactor.inspect().attachments.length === 0);
      await bystander.served();
      assertEquals(calls, 3);
      const told = errors.splice(0);
      assertEquals(told.length, 4); // Three failures, and the end.
      for (const { error } of told) assertInstanceOf(error, Error);
    },
  );
}

testBesideOthers(
  "an attached loop that lends numbers that are not open is stepped, and holds nobody up",
  async ({ reactor, bystander, errors }) => {
    let steps = 0;
    const attachment = reactor.attach({
      prepare: () => ({
        descriptors: [2 ** 20 - 7, 2 ** 31 - 1].map((fd) => ({
          fd,
          events: 1,
        })),
        timeout: -1,
      }),
      dispatch: () => steps++,
    });
    for (let i = 0; i < 5; i++) await bystander.served();
    assert(steps > 0); // POLLNVAL (poll(2)).
    attachment.detach();
    assertEquals(errors.length, 0);
  },
);
