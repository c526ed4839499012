/**
 * A result from another thread.
 *
 * @module
 */

import { offAbort, onAbort } from "../abort_listener.ts";
import { complaint } from "../arguments.ts";
import { Reactor, threadsOf } from "../reactor.ts";
import {
  type AnyFunction,
  checkThreadFunction,
  type ThreadFunction,
} from "./functions.ts";

/**
 * Has a thread of the reactor's pool call a function, and promises what it
 * returns. The promise settles in a work item of the reactor. Starts the reactor
 * on Deno's loop if nothing has started it.
 *
 * @param reactor The reactor.
 * @param fn The function, named by {@linkcode exportsOf}; with a signal that
 * calls the call off, and with what it may call here meanwhile, if you like.
 * @param args What to call it with; they are copied, unless `transfer()` says
 * that they are to be handed over.
 * @returns What the function returns, or its promise resolves with. Rejects with
 * what it throws; with the signal's reason; with a `DataCloneError` when an
 * argument or the result cannot be cloned; with the thread's error when that
 * dies; and with {@linkcode ReactorNotRunning} when the reactor is closed
 * meanwhile, or {@linkcode ReactorNotRestartable} when it has ended before.
 *
 * @example A module's function, in another thread
 * ```ts
 * import { deferToThread, exportsOf, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * // Or rather: exportsOf<typeof import("./work.ts")>(
 * //   new URL("./work.ts", import.meta.url));
 * const work = exportsOf<{ sum(numbers: number[]): number }>(
 *   "data:text/javascript,export const sum = (a) => a.reduce((a, b) => a + b)",
 * );
 *
 * await using reactor = new Reactor();
 * assertEquals(await deferToThread(reactor, work("sum"), [1, 2, 3]), 6);
 * ```
 */
export async function deferToThread<
  F extends AnyFunction = (...args: unknown[]) => unknown,
>(
  reactor: Reactor,
  fn: ThreadFunction<F>,
  ...args: Parameters<F>
): Promise<Awaited<ReturnType<F>>> {
  const action = "defer to a thread";
  if (!(reactor instanceof Reactor)) {
    throw new TypeError(complaint(reactor, action, "reactor", "a Reactor"));
  }
  const checked = checkThreadFunction(fn, action);
  const { signal } = checked;
  signal?.throwIfAborted();
  const threads = threadsOf(reactor, action);
  const settled = Promise.withResolvers<Awaited<ReturnType<F>>>();
  const callOff = threads.call(checked, args, (outcome) => {
    if (signal !== undefined) offAbort(signal, abort);
    if ("error" in outcome) settled.reject(outcome.error);
    else settled.resolve(outcome.value as Awaited<ReturnType<F>>);
  });
  function abort() {
    if (callOff()) settled.reject(signal!.reason);
  }
  if (signal !== undefined) onAbort(signal, abort);
  return await settled.promise;
}
