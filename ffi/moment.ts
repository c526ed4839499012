/**
 * Waiting for less than a millisecond, which is the least that `poll()` knows.
 *
 * @module
 */

import { linux } from "./libc.ts";

/** A wait on the main thread that is too short to be noticed elsewhere. */
export class Moment {
  /** struct timespec, as pairs of words: seconds and nanoseconds. */
  readonly #timeout = new Int32Array(4);

  /**
   * Blocks this thread until one of the descriptors is ready.
   *
   * @param table The `struct pollfd` array.
   * @param count The number of its entries.
   * @param ms How long at most, in milliseconds; less than 1000.
   * @returns Whether one is. Never, where there is no `ppoll()`, as on macOS.
   */
  wait(table: Int32Array, count: number, ms: number): boolean {
    if (Deno.build.os !== "linux") return false;
    this.#timeout[2] = ms * 1e6;
    return linux().ppoll(table, count, this.#timeout, null) > 0;
  }
}
