/**
 * Calling a function again and again, in step with the clock.
 *
 * Intervals are counted from the start: a loop that was held up skips what it
 * missed and is back in step with its next call.
 *
 * ```text
 *     interval    0     1     2     3     4     5     6
 *     time        |-----|-----|-----|-----|-----|-----|-->
 *     call        f     f     fffffffff   f     f     f
 *     count       1     1     1           2     1     1
 * ```
 *
 * @module
 */

import {
  checkBoolean,
  checkDelay,
  checkFunction,
  complaint,
} from "./arguments.ts";
import type { DelayedCall, ReactorTime } from "./delayed_calls.ts";
import { reactor } from "./reactor.ts";
import { isThenable } from "./thenable.ts";

/**
 * Options of {@linkcode LoopingCall.prototype.start LoopingCall.start}.
 *
 * @example A sign of life, but not at once
 * ```ts
 * import { LoopingCall } from "@interleave/reactor";
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new Clock();
 * const signs: number[] = [];
 * using loop = new LoopingCall(() => signs.push(clock.now()));
 * loop.clock = clock;
 * loop.start(30_000, { now: false });
 *
 * clock.pump([10_000, 20_000, 30_000]);
 * assertEquals(signs, [30_000, 60_000]);
 * ```
 */
export interface LoopingCallOptions {
  /**
   * Makes the first call at once, inside `start`. Otherwise it comes after one
   * interval.
   *
   * @default {true}
   */
  now?: boolean;
}

/**
 * Calls a function again and again, one interval apart.
 *
 * The function may return a promise: the next call waits for it. Intervals that
 * go by meanwhile, or while the program is busy, are skipped. The calls stay at
 * multiples of the interval, counted from the start.
 *
 * @example Three times, 10 milliseconds apart
 * ```ts
 * import { LoopingCall } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const words: string[] = [];
 * const loop = new LoopingCall(say, "tick");
 * function say(word: string) {
 *   words.push(word);
 *   if (words.length === 3) loop.stop();
 * }
 * await loop.start(10);
 * assertEquals(words, ["tick", "tick", "tick"]);
 * ```
 *
 * @example In virtual time
 * ```ts
 * import { LoopingCall } from "@interleave/reactor";
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new Clock();
 * const times: number[] = [];
 * using loop = new LoopingCall(() => times.push(clock.now()));
 * loop.clock = clock;
 * loop.start(60_000);
 *
 * clock.pump([60_000, 150_000, 30_000]); // The second step is too long.
 * assertEquals(times, [0, 60_000, 210_000, 240_000]);
 * ```
 *
 * @typeParam A The types of the function's arguments.
 */
export class LoopingCall<A extends unknown[] = []> implements Disposable {
  /**
   * Where the time comes from. What is set while the loop runs holds from the
   * next start.
   *
   * @default {reactor}
   */
  clock: ReactorTime = reactor;

  #f: (count: number) => unknown;
  #interval: number | undefined;
  /** The present run, or the last. */
  #run: Run | undefined;

  /**
   * Makes a loop that does not run yet.
   *
   * @param f What to call.
   * @param args What to call it with.
   * @throws {TypeError} When `f` is not a function.
   */
  constructor(f: (...args: A) => unknown, ...args: A) {
    checkFunction(f, "make a looping call", "f");
    this.#f = () => f(...args);
  }

  /**
   * Makes a loop whose function is told how many intervals have begun since
   * its last call, this one included: 1, or more when some were skipped.
   *
   * @param f What to call.
   * @returns The loop, which does not run yet.
   * @throws {TypeError} When `f` is not a function.
   *
   * @example Keeping count of the seconds
   * ```ts
   * import { LoopingCall } from "@interleave/reactor";
   * import { Clock } from "@interleave/reactor/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const clock = new Clock();
   * let seconds = 0;
   * using loop = LoopingCall.withCount((count) => seconds += count);
   * loop.clock = clock;
   * loop.start(1000, { now: false });
   *
   * clock.pump([1000, 3500, 500]);
   * assertEquals(seconds, 5);
   * ```
   */
  static withCount(f: (count: number) => unknown): LoopingCall {
    const loop = new LoopingCall(f, 1);
    loop.#f = f; // With the true count instead of that 1.
    return loop;
  }

  /** Whether the loop has been started, and neither stopped nor failed. */
  get running(): boolean {
    return this.#run?.running ?? false;
  }

  /**
   * The interval of the present or last run, in milliseconds; `undefined`
   * before the first.
   */
  get interval(): number | undefined {
    return this.#interval;
  }

  /**
   * Begins to call.
   *
   * @param ms The interval in milliseconds. 0 is as often as possible: once in
   * each round of the reactor, so that everything else gets its turn.
   * @param options When to make the first call.
   * @returns This loop, once it has been stopped and its last call is over.
   * Rejects with what the function throws, or its promise rejects with: the
   * loop has ended then.
   * @throws {TypeError} When an argument is of the wrong type, `clock` is no
   * clock, or the loop is running.
   * @throws {RangeError} When `ms` is NaN, infinite or negative.
   *
   * @example A call that fails
   * ```ts
   * import { LoopingCall } from "@interleave/reactor";
   * import { assertFalse, assertRejects } from "@std/assert";
   *
   * let left = 2;
   * const loop = new LoopingCall(() => {
   *   if (left-- === 0) throw new Error("Nothing left");
   * });
   * await assertRejects(() => loop.start(1), Error, "Nothing left");
   * assertFalse(loop.running);
   * ```
   */
  async start(ms: number, options: LoopingCallOptions = {}): Promise<this> {
    const action = "start the looping call";
    checkDelay(ms, action, "ms");
    const now = checkNow(options, action);
    const { clock } = this;
    if (typeof clock?.callLater !== "function") {
      throw new TypeError(
        complaint(clock, action, "clock", "a Reactor or a Clock"),
      );
    }
    if (this.running) throw new TypeError(`Cannot ${action}: it is running`);
    const run = new Run(clock, ms, this.#f);
    this.#run = run;
    this.#interval = ms;
    run.begin(now);
    await run.ended;
    return this;
  }

  /**
   * Ends the loop: there are no more calls, and the promise of `start`
   * resolves. If a call is going on, or its promise pending, it waits for that.
   *
   * @throws {TypeError} When the loop is not running.
   *
   * @example A loop that works for half a second
   * ```ts
   * import { LoopingCall } from "@interleave/reactor";
   * import { Clock } from "@interleave/reactor/testing";
   * import { assertEquals, assertStrictEquals } from "@std/assert";
   *
   * const clock = new Clock();
   * let calls = 0;
   * const loop = new LoopingCall(() => calls++);
   * loop.clock = clock;
   * const ended = loop.start(100, { now: false });
   * clock.callLater(500, () => loop.stop());
   *
   * clock.pump(Array(20).fill(50));
   * assertStrictEquals(await ended, loop);
   * assertEquals(calls, 4);
   * ```
   */
  stop(): void {
    this.#present("stop").stop();
  }

  /**
   * Starts the interval over: the next call comes one interval from now, and
   * those after it are in step with that one.
   *
   * @throws {TypeError} When the loop is not running.
   *
   * @example Saving once nobody has typed for a second
   * ```ts
   * import { LoopingCall } from "@interleave/reactor";
   * import { Clock } from "@interleave/reactor/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const clock = new Clock();
   * const saved: number[] = [];
   * using loop = new LoopingCall(() => saved.push(clock.now()));
   * loop.clock = clock;
   * loop.start(1000, { now: false });
   *
   * clock.callLater(700, () => loop.reset()); // A key is pressed.
   * clock.pump(Array(20).fill(100));
   * assertEquals(saved, [1700]);
   * ```
   */
  reset(): void {
    this.#present("reset").reset();
  }

  /** Stops the loop if it runs, and does nothing otherwise. */
  [Symbol.dispose](): void {
    if (this.running) this.stop();
  }

  #present(action: string): Run {
    if (this.#run?.running) return this.#run;
    throw new TypeError(
      `Cannot ${action} the looping call: it is not running`,
    );
  }
}

/**
 * Above this many intervals, numbers would soon be too coarse to count them.
 */
const COUNTABLE = 2 ** 52;

/**
 * What happens between a start and its end.
 *
 * A call is known by the number of its interval, not by its time. Rounding may
 * show the clock a trifle before the interval that a call was scheduled for,
 * and it is that interval's call all the same: the numbers only go up.
 */
class Run {
  running = true;
  readonly #clock: ReactorTime;
  readonly #interval: number;
  readonly #f: (count: number) => unknown;
  readonly #settled = Promise.withResolvers<void>();
  /** When interval 0 began. */
  #origin: number;
  /** The interval of the last call; no whole number after a reset. */
  #last = 0;
  /** The interval of the next call. */
  #next = 0;
  /** The next call, unless one is going on. */
  #timer: DelayedCall | undefined;

  constructor(
    clock: ReactorTime,
    interval: number,
    f: (count: number) => unknown,
  ) {
    this.#clock = clock;
    this.#interval = interval;
    this.#f = f;
    this.#origin = clock.now();
  }

  get ended(): Promise<void> {
    return this.#settled.promise;
  }

  begin(now: boolean): void {
    if (!now) return this.#schedule();
    this.#last = -1;
    this.#call();
  }

  stop(): void {
    this.running = false;
    // Without a timer a call is going on, which will come to #goOn.
    if (this.#timer === undefined) return;
    this.#timer[Symbol.dispose]();
    this.#settled.resolve();
  }

  reset(): void {
    const now = this.#clock.now();
    // Rounding may have put the last call a trifle into the future.
    this.#last = Math.min(0, this.#last - this.#passed(now));
    this.#origin = now;
    if (this.#timer === undefined) return;
    this.#timer[Symbol.dispose]();
    this.#schedule();
  }

  #call(): void {
    this.#timer = undefined;
    try {
      const passed = Math.floor(this.#passed(this.#clock.now()));
      const interval = Math.max(this.#next, passed);
      const count = interval - Math.ceil(this.#last);
      this.#last = interval;
      const result = this.#f(count);
      if (!isThenable(result)) return this.#goOn();
      Promise.resolve(result).then(
        () => this.#goOn(),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #goOn(): void {
    if (this.running) this.#schedule();
    else this.#settled.resolve();
  }

  #schedule(): void {
    try {
      const now = this.#clock.now();
      const passed = Math.floor(this.#passed(now));
      this.#next = Math.max(this.#last, passed) + 1;
      const wait = this.#next * this.#interval - (now - this.#origin);
      this.#timer = this.#clock.callLater(
        Math.max(0, wait),
        () => this.#call(),
      );
    } catch (error) {
      // The clock is the user's, and a closed reactor takes no more calls.
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.running = false;
    this.#settled.reject(error);
  }

  /** How many intervals lie between the origin and `now`. */
  #passed(now: number): number {
    const passed = (now - this.#origin) / this.#interval;
    // None if the interval is 0, or so small that it might be: then a call is
    // in the interval after the last one's, whatever the time.
    return passed > 0 && passed < COUNTABLE ? passed : 0;
  }
}

function checkNow(options: LoopingCallOptions, action: string): boolean {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { now = true } = options;
  checkBoolean(now, action, "options.now");
  return now;
}
