/**
 * A clock for tests, so that code which waits can be tested without waiting.
 *
 * Code that takes its time from an object, as in the example, runs unchanged on
 * a {@linkcode Reactor} and on a {@linkcode Clock}. The clock stands still
 * until the test moves it.
 *
 * @example Testing a timeout
 * ```ts
 * import { Clock, type ReactorTime } from "@interleave/reactor/testing";
 * import { assertEquals } from "@std/assert";
 *
 * function remind(time: ReactorTime, say: (text: string) => void) {
 *   say("started");
 *   return time.callLater(60_000, say, "a minute has gone by");
 * }
 *
 * const clock = new Clock();
 * const said: string[] = [];
 * remind(clock, (text) => said.push(text));
 *
 * clock.advance(59_999);
 * assertEquals(said, ["started"]);
 * clock.advance(1);
 * assertEquals(said, ["started", "a minute has gone by"]);
 * assertEquals(clock.getDelayedCalls(), []);
 * ```
 *
 * @module
 */

import { checkDelay, checkFunction, complaint } from "./arguments.ts";
import {
  type DelayedCall,
  DelayedCalls,
  type ReactorTime,
} from "./delayed_calls.ts";
import { asError } from "./errors.ts";

export type { DelayedCall, ReactorTime };

/**
 * How many calls one `advance` runs beyond those it found before it takes them
 * for endless.
 */
const ENDLESS = 1_000_000;

/**
 * Virtual time: the timers of a reactor, run by `advance` instead of by the
 * kernel.
 *
 * @example Moving through time
 * ```ts
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new Clock();
 * const ticks: number[] = [];
 * function tick() {
 *   ticks.push(clock.now());
 *   clock.callLater(10, tick);
 * }
 * clock.callLater(10, tick);
 *
 * clock.pump([10, 10, 5]);
 * assertEquals(ticks, [10, 20]);
 * assertEquals(clock.now(), 25);
 * ```
 */
export class Clock implements ReactorTime {
  #now = 0;
  readonly #calls: DelayedCalls = new DelayedCalls({
    now: () => this.#now,
    changed() {},
  });

  /**
   * Returns the virtual time in milliseconds. It begins at 0 and only `advance`
   * and `pump` move it.
   */
  now(): number {
    return this.#now;
  }

  /**
   * Calls `f` once, when the clock has been advanced by `ms` milliseconds.
   * Calls with the same deadline run in the order in which they got it.
   *
   * @param ms How long to wait, in milliseconds. Even a call after 0 ms waits
   * for the next `advance`.
   * @param f The function to call.
   * @param args What to call it with.
   * @returns The means to move or to cancel the call.
   * @throws {TypeError} When `ms` is not a number or `f` is not a function.
   * @throws {RangeError} When `ms` is NaN, infinite or negative.
   *
   * @example A call that is put off
   * ```ts
   * import { Clock } from "@interleave/reactor/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const clock = new Clock();
   * const said: string[] = [];
   * const call = clock.callLater(10, (word: string) => said.push(word), "late");
   * call.delay(5);
   *
   * clock.advance(10);
   * assertEquals(said, []);
   * clock.advance(5);
   * assertEquals(said, ["late"]);
   * ```
   */
  callLater<A extends unknown[]>(
    ms: number,
    f: (...args: A) => unknown,
    ...args: A
  ): DelayedCall {
    checkDelay(ms, "call later", "ms");
    checkFunction(f, "call later", "f");
    return this.#calls.add(ms, f, args);
  }

  /**
   * Returns the calls still to come, in no particular order, in an array of the
   * caller's own.
   *
   * @returns The calls still to come.
   *
   * @example Finding that nothing was left behind
   * ```ts
   * import { Clock } from "@interleave/reactor/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const clock = new Clock();
   * const timeout = clock.callLater(30_000, () => {});
   * assertEquals(clock.getDelayedCalls().length, 1);
   * timeout.cancel();
   * assertEquals(clock.getDelayedCalls().length, 0);
   * ```
   */
  getDelayedCalls(): DelayedCall[] {
    return this.#calls.active();
  }

  /**
   * Moves the time on by `ms`, then runs every call that is due, earliest
   * deadline first, and also what these calls schedule if that is due by then.
   *
   * All of them see the time at which the clock has arrived, as they would in a
   * program that was held up for `ms`. To let a chain of calls see each step,
   * take small steps, with `pump`.
   *
   * What a call throws comes out of `advance` at once. The time has moved and
   * that call is over; the others that were due stay scheduled, and the next
   * `advance`, which may be by 0 ms, runs them. A call whose promise rejects is
   * an unhandled rejection, by which `deno test` fails.
   *
   * @param ms By how many milliseconds.
   * @throws {TypeError} When `ms` is not a number.
   * @throws {RangeError} When `ms` is NaN, infinite or negative, or when calls
   * go on scheduling calls that are due at once: after a million of them.
   *
   * @example A call that fails
   * ```ts
   * import { Clock } from "@interleave/reactor/testing";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * const clock = new Clock();
   * const done: string[] = [];
   * clock.callLater(1, () => {
   *   throw new Error("No luck");
   * });
   * clock.callLater(2, () => done.push("second"));
   *
   * assertThrows(() => clock.advance(5), Error, "No luck");
   * clock.advance(0);
   * assertEquals(done, ["second"]);
   * ```
   */
  advance(ms: number): void {
    checkDelay(ms, "advance", "ms");
    this.#now += ms;
    let left = this.#calls.size + ENDLESS;
    // A pass for each call: calls that are made or moved meanwhile take their
    // place in the order at once.
    while (this.#runOne()) {
      if (--left < 0) {
        throw new RangeError(
          `Cannot advance: calls go on scheduling calls that are due at once, ${ENDLESS} so far`,
        );
      }
    }
  }

  /**
   * Advances in steps.
   *
   * @param steps The milliseconds of each step. All are looked at before the
   * first is taken.
   * @throws {TypeError} When `steps` is not iterable or a step is not a number.
   * @throws {RangeError} When a step is NaN, infinite or negative, or as
   * `advance` does.
   *
   * @example Three steps
   * ```ts
   * import { Clock } from "@interleave/reactor/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const clock = new Clock();
   * clock.pump([1, 1, 0.5]);
   * assertEquals(clock.now(), 2.5);
   * ```
   */
  pump(steps: Iterable<number>): void {
    if (!isIterable(steps)) {
      throw new TypeError(
        complaint(steps, "pump", "steps", "an iterable of numbers"),
      );
    }
    const all = [...steps];
    all.forEach((ms, index) => checkDelay(ms, "pump", `steps[${index}]`));
    for (const ms of all) this.advance(ms);
  }

  #runOne(): boolean {
    let asked = false;
    const ran = this.#calls.runDue(this.#now, rethrow, () => {
      if (asked) return false;
      asked = true;
      return true;
    });
    return ran > 0;
  }
}

/**
 * What is thrown while a call runs goes through `runDue` to the caller of
 * `advance`. Later, it is an unhandled rejection.
 */
function rethrow(error: unknown): never {
  throw asError(error);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return value !== null && value !== undefined &&
    typeof (value as { [Symbol.iterator]?: unknown })[Symbol.iterator] ===
      "function";
}
