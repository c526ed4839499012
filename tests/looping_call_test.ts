// LoopingCall, in virtual time; and where a clock that moves by itself matters,
// on a reactor.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { LoopingCall } from "../src/looping_call.ts";
import { Reactor, reactor as sharedReactor } from "../src/reactor.ts";
import { Clock } from "../src/testing.ts";

// The C library stays open from its first use on, which a test's sanitizer would
// take for a leak.
libc();

/** A clock, and loops on it that note when they are called. */
class Fixture {
  readonly clock = new Clock();
  readonly times: number[] = [];
  readonly counts: number[] = [];

  /** Makes a loop that notes the time, and then calls `f`. */
  loop(f: () => unknown = () => {}): LoopingCall {
    return this.#on(
      new LoopingCall(() => {
        this.times.push(this.clock.now());
        return f();
      }),
    );
  }

  /** Makes a loop that notes the time and the count, and then calls `f`. */
  counting(f: () => unknown = () => {}): LoopingCall {
    return this.#on(LoopingCall.withCount((count) => {
      this.times.push(this.clock.now());
      this.counts.push(count);
      return f();
    }));
  }

  #on(loop: LoopingCall): LoopingCall {
    loop.clock = this.clock;
    return loop;
  }
}

/** Intervals and origins whose multiples and sums have to be rounded. */
function awkwardNumbers(): [interval: number, origin: number][] {
  return [0.1, 0.3, 1 / 3, 1.1, 16.7, 1000 / 60].flatMap((interval) =>
    [0, 0.7, 12_345.678, 1e9 + 0.1].map((origin): [number, number] => [
      interval,
      origin,
    ])
  );
}

/** Advances to the next deadline, as near as numbers go, so many times. */
function advanceByDeadlines(clock: Clock, times: number): void {
  for (let i = 0; i < times; i++) {
    const [call] = clock.getDelayedCalls();
    clock.advance(call!.getTime() - clock.now());
  }
}

/** Lets the continuations of promises run. */
function continuations(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Follows a promise without waiting for it. */
function follow(promise: Promise<unknown>): { settled: boolean } {
  const state = { settled: false };
  const settle = () => state.settled = true;
  promise.then(settle, settle);
  return state;
}

// Starting

Deno.test("start() calls at once, and then once an interval (contract 93)", () => {
  const clock = new Clock();
  const seen: unknown[] = [];
  const loop = new LoopingCall(
    (word: string, n: number) => seen.push([word, n, clock.now()]),
    "tick",
    7,
  );
  loop.clock = clock;
  assertEquals([loop.running, loop.interval], [false, undefined]);
  loop.start(10);
  assertEquals([loop.running, loop.interval], [true, 10]);
  assertEquals(seen, [["tick", 7, 0]]);
  clock.pump([9, 1, 10]);
  assertEquals(seen, [["tick", 7, 0], ["tick", 7, 10], ["tick", 7, 20]]);
});

Deno.test("start() waits for one interval when now is false (contract 93)", () => {
  const t = new Fixture();
  t.loop().start(10, { now: false });
  t.clock.advance(9);
  assertEquals(t.times, []);
  t.clock.pump([1, 10]);
  assertEquals(t.times, [10, 20]);
});

Deno.test("start() counts from when it is called (contract 94)", () => {
  const t = new Fixture();
  t.clock.advance(3);
  t.loop().start(10);
  t.clock.pump([7, 3, 10]);
  assertEquals(t.times, [3, 13, 23]);
});

Deno.test("start() rejects when an argument is bad, and starts nothing (contract 93)", async () => {
  const t = new Fixture();
  const loop = t.loop();
  for (const ms of [-1, -Number.MIN_VALUE, NaN, Infinity]) {
    await assertRejects(() => loop.start(ms), RangeError, '"ms"');
  }
  // deno-lint-ignore no-explicit-any
  for (const ms of [undefined, null, "1", 1n, {}] as any[]) {
    await assertRejects(() => loop.start(ms), TypeError, '"ms"');
  }
  // deno-lint-ignore no-explicit-any
  for (const options of [null, true, "now"] as any[]) {
    await assertRejects(() => loop.start(1, options), TypeError, '"options"');
  }
  // deno-lint-ignore no-explicit-any
  for (const now of [null, 0, "no"] as any[]) {
    await assertRejects(() => loop.start(1, { now }), TypeError, "options.now");
  }
  // deno-lint-ignore no-explicit-any
  for (const clock of [undefined, null, 5, {}] as any[]) {
    loop.clock = clock;
    await assertRejects(() => loop.start(1), TypeError, '"clock"');
  }
  assertEquals([loop.running, loop.interval], [false, undefined]);
  assertEquals([t.times, t.clock.getDelayedCalls()], [[], []]);
});

Deno.test("start() rejects when the loop is running, which goes on (contract 93)", async () => {
  const t = new Fixture();
  const loop = t.loop();
  loop.start(10);
  await assertRejects(
    () => loop.start(1),
    TypeError,
    "Cannot start the looping call: it is running",
  );
  assertEquals(loop.interval, 10);
  t.clock.pump([5, 5]);
  assertEquals(t.times, [0, 10]);
});

Deno.test("LoopingCall refuses what is no function", () => {
  // deno-lint-ignore no-explicit-any
  for (const f of [undefined, null, "f", {}] as any[]) {
    assertThrows(() => new LoopingCall(f), TypeError, '"f"');
    assertThrows(() => LoopingCall.withCount(f), TypeError, '"f"');
  }
});

Deno.test("LoopingCall is on the shared reactor unless told otherwise", () => {
  assertStrictEquals(new LoopingCall(() => {}).clock, sharedReactor);
});

// In step

Deno.test("LoopingCall skips intervals that were missed, and is back in step (contract 94)", () => {
  const t = new Fixture();
  t.loop().start(10);
  t.clock.pump([35, 4, 1, 20, 9, 1]);
  assertEquals(t.times, [0, 35, 40, 60, 70]);
});

Deno.test("LoopingCall skips intervals that pass during a call (contract 94)", () => {
  const t = new Fixture();
  const loop = t.loop(() => {
    if (t.times.length === 2) t.clock.advance(25);
  });
  loop.start(10);
  t.clock.advance(10);
  t.clock.pump([4, 1, 10]);
  assertEquals(t.times, [0, 10, 40, 50]);
});

Deno.test("LoopingCall waits for a promise before it calls again (contract 95)", async () => {
  const t = new Fixture();
  const calls: PromiseWithResolvers<void>[] = [];
  const loop = t.loop(() => {
    const call = Promise.withResolvers<void>();
    calls.push(call);
    return call.promise;
  });
  loop.start(10);
  t.clock.advance(42);
  await continuations();
  assertEquals([t.times, t.clock.getDelayedCalls()], [[0], []]);
  calls[0]!.resolve();
  await continuations();
  assertEquals(t.times, [0]);
  t.clock.pump([7, 1]);
  assertEquals(t.times, [0, 50]);
  calls[1]!.resolve();
  await continuations();
  t.clock.advance(10);
  assertEquals(t.times, [0, 50, 60]);
});

Deno.test("LoopingCall hears a foreign thenable once (contract 95)", async () => {
  const t = new Fixture();
  const loop = t.loop(() => ({
    then(resolve: () => void, reject: (error: unknown) => void) {
      resolve();
      resolve();
      reject(new Error("Too late"));
    },
  }));
  loop.start(10);
  await continuations();
  assertEquals(t.clock.getDelayedCalls().length, 1);
  assert(loop.running);
});

// Ending

Deno.test("start() rejects with what the first call throws (contract 96)", async () => {
  const t = new Fixture();
  const error = new Error("Stumbled");
  const loop = t.loop(() => {
    throw error;
  });
  const started = loop.start(10);
  assertFalse(loop.running);
  assertStrictEquals(await assertRejects(() => started), error);
  assertEquals(t.clock.getDelayedCalls(), []);
});

Deno.test("start() rejects with what a later call throws, even when that is no Error (contract 96)", async () => {
  const t = new Fixture();
  const loop = t.loop(() => {
    if (t.times.length === 3) throw "a string";
  });
  const ended = loop.start(10).catch((reason) => ({ reason }));
  t.clock.pump([10, 10, 10, 10]);
  assertEquals(await ended, { reason: "a string" });
  assertEquals([t.times, loop.running], [[0, 10, 20], false]);
});

Deno.test("start() rejects with what a promise rejects with (contract 96)", async () => {
  const t = new Fixture();
  const loop = t.loop(() => Promise.reject(new Error("Stumbled")));
  await assertRejects(() => loop.start(10), Error, "Stumbled");
  assertFalse(loop.running);
  assertEquals(t.clock.getDelayedCalls(), []);
});

Deno.test("start() rejects when a call fails after it has stopped the loop (contract 96)", async () => {
  const t = new Fixture();
  const loop = t.loop(() => {
    loop.stop();
    throw new Error("Stumbled");
  });
  await assertRejects(() => loop.start(10), Error, "Stumbled");
});

Deno.test("stop() resolves the promise of start() with the loop (contract 96)", async () => {
  const t = new Fixture();
  const loop = t.loop();
  const ended = loop.start(10);
  t.clock.advance(10);
  loop.stop();
  assertEquals([loop.running, loop.interval], [false, 10]);
  assertStrictEquals(await ended, loop);
  assertEquals(t.clock.getDelayedCalls(), []);
  t.clock.advance(10);
  assertEquals(t.times, [0, 10]);
});

Deno.test("stop() works in the first call (contract 96)", async () => {
  const t = new Fixture();
  const loop = t.loop(() => loop.stop());
  assertStrictEquals(await loop.start(10), loop);
  assertEquals([t.times, t.clock.getDelayedCalls()], [[0], []]);
});

Deno.test("stop() works in a later call (contract 96)", async () => {
  const t = new Fixture();
  const loop = t.loop(() => {
    if (t.times.length === 2) loop.stop();
  });
  const ended = loop.start(10);
  t.clock.pump([10, 10]);
  assertStrictEquals(await ended, loop);
  assertEquals([t.times, t.clock.getDelayedCalls()], [[0, 10], []]);
});

Deno.test("stop() lets a pending call end before start() does (contract 95, 96)", async () => {
  const t = new Fixture();
  const call = Promise.withResolvers<void>();
  const loop = t.loop(() => call.promise);
  const ended = loop.start(10);
  const state = follow(ended);
  loop.stop();
  assertFalse(loop.running);
  await continuations();
  assertFalse(state.settled);
  call.resolve();
  assertStrictEquals(await ended, loop);
  assertEquals(t.clock.getDelayedCalls(), []);
});

Deno.test("stop() and reset() throw when the loop is not running (contract 93)", async () => {
  const t = new Fixture();
  const loop = t.loop();
  function refuses() {
    assertThrows(
      () => loop.stop(),
      TypeError,
      "Cannot stop the looping call: it is not running",
    );
    assertThrows(
      () => loop.reset(),
      TypeError,
      "Cannot reset the looping call: it is not running",
    );
  }
  refuses();
  const ended = loop.start(10);
  loop.stop();
  refuses();
  await ended;
});

Deno.test("start() starts a loop again that was stopped", async () => {
  const t = new Fixture();
  const loop = t.loop();
  const first = loop.start(10);
  t.clock.advance(15);
  loop.stop();
  await first;
  loop.start(20);
  assertEquals(loop.interval, 20);
  t.clock.pump([20, 20]);
  assertEquals(t.times, [0, 15, 15, 35, 55]);
});

Deno.test("start() leaves the end of an earlier run to that run (contract 96)", async () => {
  const t = new Fixture();
  const call = Promise.withResolvers<void>();
  const loop = t.loop(() => t.times.length === 1 ? call.promise : undefined);
  const first = loop.start(10);
  loop.stop();
  const second = follow(loop.start(10));
  call.reject(new Error("Stumbled"));
  await assertRejects(() => first, Error, "Stumbled");
  assert(loop.running);
  assertFalse(second.settled);
  t.clock.advance(10);
  assertEquals(t.times, [0, 0, 10]);
});

Deno.test("LoopingCall stops at the end of its block", async () => {
  const t = new Fixture();
  let ended;
  {
    using loop = t.loop();
    ended = loop.start(10);
  }
  assertFalse((await ended).running);
  assertEquals(t.clock.getDelayedCalls(), []);
  {
    using _neverStarted = t.loop();
  }
});

// An interval of 0

Deno.test("start(0) calls as often as the clock lets it (contract 97)", async () => {
  const t = new Fixture();
  const loop = t.counting(() => {
    if (t.times.length === 6) loop.stop();
  });
  const ended = loop.start(0);
  assertEquals(t.times, [0]);
  t.clock.advance(3);
  await ended;
  assertEquals(t.times, [0, 3, 3, 3, 3, 3]);
  assertEquals(t.counts, [1, 1, 1, 1, 1, 1]);
});

Deno.test("start(0) calls in each round and starves nobody (contract 97)", async () => {
  await using reactor = new Reactor();
  reactor.interleave();
  let turns = 0;
  reactor.callLater(1, () => turns++);
  setTimeout(() => turns++, 1);
  let calls = 0;
  const loop = new LoopingCall(() => {
    calls++;
    if (calls >= 100 && turns === 2) loop.stop();
    if (calls > 1_000_000) throw new Error("The others got no turn");
  });
  loop.clock = reactor;
  await loop.start(0);
  assertGreaterOrEqual(calls, 100);
});

// Starting the interval over

Deno.test("reset() starts the interval over (contract 98)", () => {
  const t = new Fixture();
  const loop = t.loop();
  loop.start(10);
  t.clock.advance(7);
  loop.reset();
  t.clock.pump([3, 7, 5, 5]);
  assertEquals(t.times, [0, 17, 27]);
});

Deno.test("reset() in a call starts the interval over (contract 98)", () => {
  const t = new Fixture();
  const loop = t.loop(() => {
    if (t.times.length === 2) loop.reset();
  });
  loop.start(10);
  t.clock.pump([14, 6, 4, 10]);
  assertEquals(t.times, [0, 14, 24, 34]);
});

Deno.test("reset() starts the interval over while a promise is pending (contract 95, 98)", async () => {
  const t = new Fixture();
  const call = Promise.withResolvers<void>();
  const loop = t.loop(() => t.times.length === 1 ? call.promise : undefined);
  loop.start(10);
  t.clock.advance(4);
  loop.reset();
  t.clock.advance(5);
  call.resolve();
  await continuations();
  t.clock.pump([4, 1, 10]);
  assertEquals(t.times, [0, 14, 24]);
});

// Counting

Deno.test("withCount() passes the number of intervals since the last call (contract 98)", () => {
  const t = new Fixture();
  t.counting().start(10);
  t.clock.pump([10, 35, 5, 10, 100]);
  assertEquals(t.times, [0, 10, 45, 50, 60, 160]);
  assertEquals(t.counts, [1, 1, 3, 1, 1, 10]);
});

Deno.test("withCount() counts from the start when now is false (contract 98)", () => {
  const t = new Fixture();
  t.counting().start(10, { now: false });
  t.clock.pump([32, 8]);
  assertEquals([t.times, t.counts], [[32, 40], [3, 1]]);
});

Deno.test("withCount() counts the intervals that a promise took (contract 95, 98)", async () => {
  const t = new Fixture();
  const call = Promise.withResolvers<void>();
  const loop = t.counting(() => t.times.length === 1 ? call.promise : null);
  loop.start(10);
  t.clock.advance(25);
  call.resolve();
  await continuations();
  t.clock.pump([5, 10]);
  assertEquals([t.times, t.counts], [[0, 30, 40], [1, 3, 1]]);
});

Deno.test("withCount() loses no interval to a reset (contract 98)", () => {
  const t = new Fixture();
  const loop = t.counting();
  loop.start(10);
  for (let i = 0; i < 3; i++) {
    t.clock.advance(5);
    loop.reset();
  }
  t.clock.pump([10, 10]);
  assertEquals([t.times, t.counts], [[0, 25, 35], [1, 2, 1]]);
});

Deno.test("withCount() passes 1 for each interval however numbers are rounded (contract 98)", () => {
  for (const [interval, origin] of awkwardNumbers()) {
    const t = new Fixture();
    t.clock.advance(origin);
    t.counting().start(interval);
    advanceByDeadlines(t.clock, 1000);
    assertEquals(new Set(t.counts), new Set([1]));
    const intervals = (t.clock.now() - origin) / interval;
    assertEquals(t.counts.length - 1, Math.round(intervals));
    assertGreater(intervals, 900);
  }
});

Deno.test("withCount() passes 1 after a reset however numbers are rounded (contract 98)", () => {
  for (const [interval, origin] of awkwardNumbers()) {
    const t = new Fixture();
    t.clock.advance(origin);
    const loop = t.counting(() => loop.reset());
    loop.start(interval);
    advanceByDeadlines(t.clock, 1000);
    assertEquals(new Set(t.counts), new Set([1]));
    assertGreater(t.counts.length, 900);
  }
});

Deno.test("withCount() passes 1 when the interval is too small to be counted (contract 98)", async () => {
  for (const interval of [Number.MIN_VALUE, 1e-20]) {
    const t = new Fixture();
    const loop = t.counting(() => {
      if (t.counts.length === 4) loop.stop();
    });
    const ended = loop.start(interval);
    t.clock.pump([1, 1, 1]);
    await ended;
    assertEquals(t.counts, [1, 1, 1, 1]);
  }
});

// On a reactor

Deno.test("withCount() passes whole numbers when the clock goes back (contract 98)", async () => {
  let time = 0;
  await using reactor = new Reactor({ clock: () => time });
  const counts: number[] = [];
  using loop = LoopingCall.withCount((count) => {
    counts.push(count);
    if (counts.length !== 2) return;
    loop.reset();
    time -= 20;
  });
  loop.clock = reactor;
  loop.start(10);
  for (time of [15, 20, 25]) reactor.iterate(0);
  assertEquals(counts, [1, 1, 1]);
});

Deno.test("LoopingCall never calls before an interval has begun (contract 94)", async () => {
  await using reactor = new Reactor();
  reactor.interleave();
  const origin = reactor.now();
  let interval = -1;
  const loop = LoopingCall.withCount((count) => {
    interval += count;
    // Less what is lost where two large numbers are subtracted.
    assertGreaterOrEqual(reactor.now() - origin, interval * 3 - 1e-6);
    if (interval >= 5) loop.stop();
  });
  loop.clock = reactor;
  assertStrictEquals(await loop.start(3), loop);
});

Deno.test("start() rejects when the reactor is closed, before or meanwhile", async () => {
  await using reactor = new Reactor();
  reactor.interleave();
  const loop = new LoopingCall(() => reactor.close());
  loop.clock = reactor;
  for (const now of [true, false]) {
    await assertRejects(
      () => loop.start(1, { now }),
      Deno.errors.BadResource,
      "closed",
    );
    assertFalse(loop.running);
  }
});
