// What callbacks throw, reject with and return, made to break whoever looks at
// it. Each is told once, as an Error, to `onError` and to whom it concerns, and
// nobody else notices. What ordinary errors do stands in reactor_suite_test.ts,
// what plain values do in never_silent_test.ts and errors_test.ts.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { isError } from "../../src/errors.ts";
import type { Reactor } from "../../mod.ts";
import { macrotask, until } from "../descriptors.ts";
import { Pipe } from "../pipe.ts";
import { type BystanderSetting, testBesideOthers } from "./bystander.ts";
import { BAD_ERRORS, BAD_THENABLES, NO_ERRORS } from "./values.ts";

/** What a place that calls user code is given, and gives back. */
interface Place {
  /** Has `f` called there once, soon. */
  arrange(reactor: Reactor, pipe: Pipe, f: () => unknown): void;
  /** Whether the object that `f` belongs to is lost by it. */
  readonly ends?: boolean;
}

/** Reasons that objects were given. */
let reasons: Error[] = [];

function lost(reason: Error): void {
  reasons.push(reason);
}

/** Every place where code of the user's is called. */
const PLACES: Record<string, Place> = {
  doRead: {
    arrange(reactor, pipe, f) {
      pipe.fill();
      reactor.addReader(pipe.reader(f, lost));
    },
    ends: true,
  },
  doWrite: {
    arrange(reactor, pipe, f) {
      let calls = 0;
      const writer = pipe.writer(() => {
        if (calls++ === 0) return f();
        return reactor.removeWriter(writer);
      }, lost);
      reactor.addWriter(writer);
    },
    ends: true,
  },
  connectionLost: {
    arrange(reactor, pipe, f) {
      pipe.fill();
      const reader = pipe.reader(() => new Error("lost"), () => void f());
      reader.connectionLost = f as () => void;
      reactor.addReader(reader);
    },
  },
  "a delayed call": {
    arrange: (reactor, _pipe, f) => void reactor.callLater(0, f),
  },
  callFromThread: {
    arrange: (reactor, _pipe, f) => reactor.callFromThread(f),
  },
  callWhenRunning: {
    arrange: (reactor, _pipe, f) => void reactor.callWhenRunning(f),
  },
};

for (const phase of ["before", "during", "after"] as const) {
  PLACES[`a trigger '${phase}'`] = {
    arrange(reactor, _pipe, f) {
      reactor.addSystemEventTrigger(phase, "tea", f);
      reactor.fireSystemEvent("tea");
    },
  };
}

/** Requires that a value was told once, as an Error. */
function assertTold(told: unknown, thrown: unknown): void {
  assert(isError(told));
  if (isError(thrown)) return assertStrictEquals(told, thrown);
  assertInstanceOf(told, Error);
  assertStrictEquals(told.cause, thrown);
  assert(told.message.length < 200 && !/\p{Cc}/u.test(told.message));
}

/** Has something done at every place in turn, beside the bystander. */
async function atEveryPlace(
  { reactor, bystander, errors }: BystanderSetting,
  value: () => unknown,
  f: (value: unknown) => unknown,
): Promise<void> {
  for (const [where, { arrange, ends = false }] of Object.entries(PLACES)) {
    using pipe = new Pipe();
    reasons = [];
    const thrown = value();
    let calls = 0;
    arrange(reactor, pipe, () => {
      calls++;
      return f(thrown);
    });
    await until(() => calls > 0 && errors.length > 0);
    await bystander.served();
    const told = errors.splice(0);
    assertEquals([calls, told.length], [1, 1], where);
    assertTold(told[0]!.error, thrown);
    if (ends && reasons.length > 0) assertTold(reasons[0], thrown);
    // If it was not lost by that, it is told now.
    pipe[Symbol.dispose]();
    await macrotask();
    assert(reasons.length <= 1, `${where}: told ${reasons.length} times`);
    assertEquals([calls, errors.length], [1, 0], where);
  }
}

for (
  const [name, value] of Object.entries({ ...NO_ERRORS, ...BAD_ERRORS })
) {
  testBesideOthers(
    `${name} can be thrown anywhere, and is told once, as an Error`,
    (setting) =>
      atEveryPlace(setting, value, (value) => {
        throw value;
      }),
  );

  testBesideOthers(
    `a promise of any callback's can reject with ${name}, which is told once, as an Error`,
    (setting) => atEveryPlace(setting, value, (value) => Promise.reject(value)),
  );
}

for (const [name, make] of Object.entries(BAD_THENABLES)) {
  testBesideOthers(
    `any callback can return a thenable ${name}, and it is told once`,
    (setting) => atEveryPlace(setting, () => new Error("in then"), make),
  );
}

testBesideOthers(
  "an event whose triggers return bad thenables comes to its end, once",
  async ({ reactor, bystander, errors }) => {
    const seen: string[] = [];
    for (const make of Object.values(BAD_THENABLES)) {
      reactor.addSystemEventTrigger("before", "tea", () => make(new Error()));
    }
    reactor.addSystemEventTrigger("during", "tea", () => seen.push("during"));
    reactor.addSystemEventTrigger("after", "tea", () => seen.push("after"));
    reactor.fireSystemEvent("tea");
    await until(() => seen.length === 2);
    await bystander.served();
    assertEquals(seen, ["during", "after"]);
    assertEquals(errors.splice(0).length, Object.keys(BAD_THENABLES).length);
  },
);

testBesideOthers(
  "a waker can throw anything, and its promise reject with it, and its work item is run",
  async ({ reactor, bystander, errors }) => {
    let rounds = 0;
    const values = Object.values({ ...NO_ERRORS, ...BAD_ERRORS });
    for (const make of [...values, ...values]) {
      const thrown = make();
      const throws = rounds++ < values.length;
      reactor.crash();
      let wakes = 0;
      reactor.interleave((work) => {
        if (wakes++ > 0) return void setTimeout(work, 0);
        if (throws) throw thrown;
        return Promise.reject(thrown) as unknown as void;
      });
      await bystander.served();
      const told = errors.splice(0);
      assertEquals(told.length, 1);
      assertTold(told[0]!.error, thrown);
    }
  },
);
