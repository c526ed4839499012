/**
 * Waiting for less than a millisecond, which is the least that `poll()` knows.
 *
 * @module
 */

import { libc, linux } from "./libc.ts";

/** A wait on the main thread that is too short to be noticed elsewhere. */
export class ShortWait {
  /** struct timespec, as pairs of words: seconds and nanoseconds. */
  readonly #timespec = new Int32Array(4);

  /** A `struct timespec` of so many milliseconds; less than 1000. */
  timespec(ms: number): Int32Array<ArrayBuffer> {
    this.#timespec[2] = ms * 1e6;
    return this.#timespec;
  }

  /**
   * Blocks this thread until one of the descriptors is ready. Where there is no
   * `ppoll()`, as on macOS, it only looks.
   *
   * @param table The `struct pollfd` array.
   * @param count The number of its entries.
   * @param ms How long at most, in milliseconds; less than 1000.
   * @returns What `poll()` does: how many are ready, or -1.
   */
  wait(table: Int32Array, count: number, ms: number): number {
    if (Deno.build.os !== "linux") return libc().poll(table, count, 0);
    return linux().ppoll(table, count, this.timespec(ms), null);
  }
}
