import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Clock, type DelayedCall, type ReactorTime } from "../src/testing.ts";
import { AlreadyCalled, AlreadyCancelled } from "../src/errors.ts";

/** A clock, and calls that log a word and the time. */
class Fixture {
  readonly clock: Clock = new Clock();
  readonly log: [word: unknown, time: number][] = [];

  /** Adds a call that logs. */
  logs(ms: number, word: unknown): DelayedCall {
    return this.clock.callLater(ms, (word) => this.notes(word), word);
  }

  /** Logs. */
  notes(word: unknown): void {
    this.log.push([word, this.clock.now()]);
  }
}

Deno.test("now() begins at 0 and moves only by advance() and pump() (contract 58, 90)", () => {
  const clock = new Clock();
  assertEquals(clock.now(), 0);
  clock.callLater(5, () => {});
  assertEquals(clock.now(), 0);
  clock.advance(7.5);
  assertEquals(clock.now(), 7.5);
  clock.advance(0);
  assertEquals(clock.now(), 7.5);
});

Deno.test("advance() runs a call once when its time has come (contract 59, 90)", () => {
  const t = new Fixture();
  const call = t.logs(2, "x");
  assertEquals(call.getTime(), 2);
  t.clock.advance(1);
  assertEquals(t.log, []);
  t.clock.advance(1);
  t.clock.advance(5);
  assertEquals(t.log, [["x", 2]]);
});

Deno.test("callLater() passes its arguments on (contract 59)", () => {
  const clock = new Clock();
  const seen: unknown[] = [];
  clock.callLater(0, (a: number, b: string) => seen.push(a, b), 1, "two");
  assertEquals(seen, []);
  clock.advance(0);
  assertEquals(seen, [1, "two"]);
});

Deno.test("advance() shows every call the time of arrival (contract 90)", () => {
  const t = new Fixture();
  t.logs(1, "a");
  t.logs(2, "b");
  t.clock.advance(5);
  assertEquals(t.log, [["a", 5], ["b", 5]]);
});

Deno.test("advance() runs in the order of deadlines, first come first served (contract 65, 66)", () => {
  const t = new Fixture();
  for (const [ms, word] of [[3, "c"], [1, "a"], [2, "b"], [1, "a2"]] as const) {
    t.logs(ms, word);
  }
  t.clock.advance(3);
  assertEquals(t.log.map(([word]) => word), ["a", "a2", "b", "c"]);
});

Deno.test("advance() runs what calls schedule if that is due (contract 90)", () => {
  const t = new Fixture();
  t.clock.callLater(1, () => {
    t.logs(0, "at once");
    t.logs(1, "later");
  });
  t.logs(5, "old");
  t.clock.advance(5);
  assertEquals(t.log, [["old", 5], ["at once", 5]]);
  t.clock.advance(1);
  assertEquals(t.log.at(-1), ["later", 6]);
});

Deno.test("pump() advances step by step (contract 90)", () => {
  const t = new Fixture();
  function tick() {
    t.notes("tick");
    t.clock.callLater(1, tick);
  }
  t.clock.callLater(1, tick);
  t.clock.pump([1, 0.5, 0.5, 3]);
  assertEquals(t.log.map(([, time]) => time), [1, 2, 5]);
  t.clock.pump(new Set([0.25]));
  assertEquals(t.clock.now(), 5.25);
});

Deno.test("advance() honours a reset made by a call (contract 91)", () => {
  const t = new Fixture();
  t.clock.callLater(1, () => b.reset(2));
  const b = t.logs(2, "b");
  t.logs(3, "c");
  t.clock.pump([1, 1, 1]);
  assertEquals(t.log, [["c", 3], ["b", 3]]);
});

Deno.test("advance() takes a call that was made sooner before those behind it (contract 91)", () => {
  const t = new Fixture();
  t.clock.callLater(1, () => d.delay(-8));
  t.logs(3, "c");
  const d = t.logs(10, "d");
  t.clock.advance(5);
  assertEquals(t.log, [["d", 5], ["c", 5]]);
});

Deno.test("advance() skips what an earlier call cancelled (contract 79)", () => {
  const t = new Fixture();
  t.clock.callLater(1, () => second.cancel());
  const second = t.logs(2, "second");
  t.clock.advance(2);
  assertEquals(t.log, []);
  assertThrows(() => second.cancel(), AlreadyCancelled);
});

Deno.test("callLater() returns the call it made (contract 92)", () => {
  const t = new Fixture();
  const late = t.logs(3, "late");
  const early = t.logs(1, "early");
  assertEquals([late.getTime(), early.getTime()], [3, 1]);
  early.cancel();
  t.clock.advance(3);
  assertEquals(t.log, [["late", 3]]);
  assertThrows(() => late.cancel(), AlreadyCalled);
});

Deno.test("getDelayedCalls() returns what is still to come (contract 81)", () => {
  const t = new Fixture();
  assertEquals(t.clock.getDelayedCalls(), []);
  const call = t.logs(1, "a");
  t.logs(1, "b").cancel();
  assertEquals(t.clock.getDelayedCalls().length, 1);
  assertStrictEquals(t.clock.getDelayedCalls()[0], call);
  t.clock.advance(1);
  assertEquals(t.clock.getDelayedCalls(), []);
});

Deno.test("advance() throws what a call throws and keeps the rest", () => {
  const t = new Fixture();
  const error = new Error("Stumbled");
  const failing = t.clock.callLater(1, () => {
    throw error;
  });
  t.logs(2, "second");
  t.logs(9, "third");
  assertStrictEquals(assertThrows(() => t.clock.advance(5)), error);
  assertEquals([t.clock.now(), failing.active(), t.log], [5, false, []]);
  t.clock.advance(0);
  assertEquals(t.log, [["second", 5]]);
  t.clock.advance(4);
  assertEquals(t.log.at(-1), ["third", 9]);
});

Deno.test("advance() wraps what a call throws when it is no Error", () => {
  const clock = new Clock();
  clock.callLater(1, () => {
    throw "a string";
  });
  const error = assertThrows(() => clock.advance(1), Error, '"a string"');
  assertEquals(error.cause, "a string");
});

Deno.test("pump() stops at the step in which a call throws", () => {
  const t = new Fixture();
  t.clock.callLater(1, () => {
    throw new Error("Stumbled");
  });
  assertThrows(() => t.clock.pump([1, 1, 1]), Error, "Stumbled");
  assertEquals(t.clock.now(), 1);
});

Deno.test("advance() leaves a promise that rejects to be noticed as unhandled", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  function notice(event: PromiseRejectionEvent) {
    event.preventDefault();
    resolve(event.reason);
  }
  addEventListener("unhandledrejection", notice);
  try {
    const error = new Error("Late");
    const clock = new Clock();
    clock.callLater(1, () => Promise.reject(error));
    clock.advance(1);
    assertStrictEquals(await promise, error);
  } finally {
    removeEventListener("unhandledrejection", notice);
  }
});

Deno.test("advance() throws when calls without end are due at once", () => {
  const clock = new Clock();
  let runs = 0;
  function again() {
    runs++;
    clock.callLater(0, again);
  }
  clock.callLater(0, again);
  assertThrows(() => clock.advance(1), RangeError, "due at once");
  assert(runs > 1000);
  assertEquals(clock.getDelayedCalls().length, 1);
});

Deno.test("advance() may be called by a call", () => {
  const t = new Fixture();
  t.clock.callLater(1, () => {
    t.clock.advance(10);
    t.notes("after inner");
  });
  t.logs(5, "second");
  t.clock.advance(1);
  assertEquals(t.log, [["second", 11], ["after inner", 11]]);
});

Deno.test("callLater() refuses bad arguments (contract 61)", () => {
  const clock = new Clock();
  // deno-lint-ignore no-explicit-any
  for (const ms of [undefined, null, "1", 1n, {}] as any[]) {
    assertThrows(() => clock.callLater(ms, () => {}), TypeError, '"ms"');
  }
  for (const ms of [NaN, -1, Infinity]) {
    assertThrows(() => clock.callLater(ms, () => {}), RangeError, '"ms"');
  }
  // deno-lint-ignore no-explicit-any
  for (const f of [undefined, null, "f", {}] as any[]) {
    assertThrows(() => clock.callLater(1, f), TypeError, '"f"');
  }
  assertEquals(clock.getDelayedCalls(), []);
});

Deno.test("advance() refuses bad arguments and does not move", () => {
  const clock = new Clock();
  // deno-lint-ignore no-explicit-any
  for (const ms of [undefined, null, "1", 1n] as any[]) {
    assertThrows(() => clock.advance(ms), TypeError, '"ms"');
  }
  for (const ms of [NaN, -1, Infinity]) {
    assertThrows(() => clock.advance(ms), RangeError, '"ms"');
  }
  assertEquals(clock.now(), 0);
});

Deno.test("pump() refuses bad steps before it takes the first", () => {
  const clock = new Clock();
  // deno-lint-ignore no-explicit-any
  for (const steps of [undefined, null, 5, {}, [1, "2"], "12"] as any[]) {
    assertThrows(() => clock.pump(steps), TypeError, "steps");
  }
  assertThrows(() => clock.pump([1, -1]), RangeError, '"steps[1]"');
  assertEquals(clock.now(), 0);
});

Deno.test("Clock serves code that takes its time from an object", () => {
  function remind(time: ReactorTime, say: (text: string) => void) {
    return time.callLater(60_000, say, "a minute");
  }
  const t = new Fixture();
  using _reminder = remind(t.clock, (text) => t.notes(text));
  t.clock.advance(60_000);
  assertEquals(t.log, [["a minute", 60_000]]);
});
