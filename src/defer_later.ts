/**
 * A function's result, later.
 *
 * @module
 */

import { checkDelay, checkFunction, complaint } from "./arguments.ts";
import type { ReactorTime } from "./delayed_calls.ts";
import { reactor } from "./reactor.ts";

/**
 * Options of {@linkcode deferLater}.
 *
 * @example An hour in virtual time
 * ```ts
 * import { deferLater } from "@interleave/reactor";
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new Clock();
 * const tea = deferLater(3_600_000, () => "It is time for tea", { clock });
 * clock.advance(3_600_000);
 * assertEquals(await tea, "It is time for tea");
 * ```
 */
export interface DeferLaterOptions {
  /**
   * Where the time comes from.
   *
   * @default {reactor}
   */
  clock?: ReactorTime;
  /**
   * Calls the call off: the promise rejects with the signal's reason. It has no
   * effect once the function has been called.
   */
  signal?: AbortSignal;
}

/**
 * Calls a function once, later, and promises what it returns.
 *
 * @typeParam T What the function returns.
 * @param ms How long to wait, in milliseconds.
 * @param f The function to call. It may return a promise.
 * @param options Another clock than the shared reactor, and a signal that calls
 * the call off.
 * @returns What `f` returns. Rejects with what `f` throws, or its promise
 * rejects with; or with the signal's reason, and then `f` is not called.
 * @throws {TypeError} When an argument is of the wrong type.
 * @throws {RangeError} When `ms` is NaN, infinite or negative.
 *
 * @example Usage
 * ```ts
 * import { deferLater } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await deferLater(10, () => "later"), "later");
 * ```
 *
 * @example Calling it off
 * ```ts
 * import { deferLater } from "@interleave/reactor";
 * import { assertRejects } from "@std/assert";
 *
 * const controller = new AbortController();
 * const promise = deferLater(60_000, () => "too late", {
 *   signal: controller.signal,
 * });
 * controller.abort(new Error("No need any more"));
 * await assertRejects(() => promise, Error, "No need any more");
 * ```
 */
export async function deferLater<T>(
  ms: number,
  f: () => T | PromiseLike<T>,
  options: DeferLaterOptions = {},
): Promise<T> {
  const action = "defer a call";
  checkDelay(ms, action, "ms");
  checkFunction(f, action, "f");
  const { clock, signal } = checkOptions(options, action);
  signal?.throwIfAborted();

  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const call = clock.callLater(ms, () => {
    signal?.removeEventListener("abort", abort);
    resolve(Promise.try(f));
  });
  function abort() {
    call[Symbol.dispose]();
    reject(signal!.reason);
  }
  signal?.addEventListener("abort", abort, { once: true });
  return await promise;
}

function checkOptions(options: DeferLaterOptions, action: string) {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { clock = reactor, signal } = options;
  if (typeof clock?.callLater !== "function") {
    throw new TypeError(
      complaint(clock, action, "options.clock", "a Reactor or a Clock"),
    );
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(
      complaint(signal, action, "options.signal", "an AbortSignal"),
    );
  }
  return { clock, signal };
}
