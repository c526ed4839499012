/**
 * Where a thread keeps what belongs to it: under these symbols of its global
 * object, so that every copy of this package that it loads finds the same, and
 * so does the program of a pool's thread, which loads none.
 *
 * @module
 */

/** The line of a pool's thread. */
export const LINE_OF_THREAD = "@interleave/reactor/threads line";

/** What values are to be handed over with: see `transfer()`. */
export const TRANSFERS = "@interleave/reactor/threads transfers";

/** The name of the thread. */
const THREAD_ID = "@interleave/reactor/threads id";

/** What a thread keeps under a key, which is made at the first look. */
export function ofThisThread<T>(key: string, make: () => T): T {
  const symbol = Symbol.for(key);
  const globals = globalThis as unknown as Record<symbol, T>;
  if (globals[symbol] === undefined) {
    Object.defineProperty(globals, symbol, { value: make() });
  }
  return globals[symbol]!;
}

/** A name that no other thread has, in this process or another. */
export function threadId(): string {
  return ofThisThread(THREAD_ID, () => crypto.randomUUID());
}
