/**
 * The descriptors that attached loops lend, as a table for `poll()`.
 *
 * They are polled as they are, and not made members of the reactor's own set: a
 * loop may close a descriptor and open another under the same number between
 * any two of its steps, and a kernel's set would not notice. The table holds
 * them first and then a copy of the set's own table, so that one `poll()` waits
 * for all.
 *
 * @module
 */

import { interrupted } from "./errno.ts";
import { libc } from "./libc.ts";

/**
 * A descriptor and what its owner wants to know of it.
 *
 * @example A socket as libcurl tells of it
 * ```ts
 * import type { LentDescriptor } from "@interleave/reactor";
 * import { POLL } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * // Of curl/multi.h.
 * const CURL_POLL_IN = 1;
 * const CURL_POLL_OUT = 2;
 *
 * function lend(socket: number, what: number): LentDescriptor {
 *   const reading = what & CURL_POLL_IN ? POLL.IN : 0;
 *   const writing = what & CURL_POLL_OUT ? POLL.OUT : 0;
 *   return { fd: socket, events: reading | writing };
 * }
 *
 * assertEquals(lend(7, CURL_POLL_IN), { fd: 7, events: POLL.IN });
 * ```
 */
export interface LentDescriptor {
  /** The descriptor. */
  readonly fd: number;
  /** Bits of `POLL`. */
  readonly events: number;
}

/** A `struct pollfd` array that is made anew whenever its lenders say so. */
export class LentDescriptors {
  /** The array, in shared memory; replaced by a longer one when it must grow. */
  table: Int32Array = sharedWords(16);
  /** How many lent descriptors it holds. */
  lent = 0;
  /** The number of its entries, those of the set's copy included. */
  count = 0;

  /** Forgets them all. */
  clear(): void {
    this.lent = this.count = 0;
  }

  /** Adds descriptors. */
  push(descriptors: readonly LentDescriptor[]): void {
    this.#reserve(this.lent + descriptors.length);
    for (const { fd, events } of descriptors) {
      const at = 2 * this.lent++;
      this.table[at] = fd;
      // struct pollfd: the int, then two shorts, the lower one the question.
      this.table[at + 1] = events & 0xffff;
    }
    this.count = this.lent;
  }

  /** Puts a copy of a set's table behind the lent descriptors. */
  append(table: Int32Array, count: number): void {
    this.#reserve(this.lent + count);
    this.table.set(table.subarray(0, 2 * count), 2 * this.lent);
    this.count = this.lent + count;
  }

  /** What is ready at entry `i`, as of the last poll. */
  revents(i: number): number {
    return this.table[2 * i + 1]! >> 16;
  }

  /**
   * Looks at the lent descriptors, without waiting.
   *
   * @throws {SystemError} When the system does not let it: whoever waits for them
   * would be woken without end by what nobody sees.
   */
  look(): void {
    for (let i = 0; i < this.lent; i++) this.table[2 * i + 1]! &= 0xffff;
    if (libc().poll(this.table, this.lent, 0) < 0) interrupted();
  }

  /**
   * Waits for any entry, on this thread.
   *
   * @throws {SystemError} When the system does not let it.
   */
  wait(timeout: number): void {
    if (libc().poll(this.table, this.count, timeout) < 0) interrupted();
  }

  #reserve(entries: number): void {
    if (2 * entries <= this.table.length) return;
    const longer = sharedWords(4 * entries);
    longer.set(this.table);
    this.table = longer;
  }
}

function sharedWords(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}
