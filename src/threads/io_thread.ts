/**
 * Which thread the reactor's is.
 *
 * @module
 */

let isOurs = false;

/** A reactor starts on this thread. */
export function enterIOThread(): void {
  isOurs = true;
}

/**
 * Whether this thread is one on which a reactor runs its callbacks: true in all
 * of those, false in a thread of its pool.
 *
 * @example Usage
 * ```ts
 * import { isInIOThread, Reactor } from "@interleave/reactor";
 * import { assert } from "@std/assert";
 *
 * const reactor = new Reactor();
 * reactor.callLater(0, () => {
 *   assert(isInIOThread());
 *   reactor.stop();
 * });
 * await reactor.run();
 * ```
 */
export function isInIOThread(): boolean {
  return isOurs;
}
