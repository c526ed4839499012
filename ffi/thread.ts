/**
 * Threads, as the system knows them.
 *
 * @module
 */

import { ERRNO } from "./errno.ts";
import { errno, linux } from "./libc.ts";

/** `tkill` (asm/unistd.h), which the C library does not wrap. */
const SYS_TKILL = Deno.build.arch === "x86_64" ? 200 : 130;

/**
 * Whether a thread has ended, on Linux.
 *
 * @param thread Its number, as `gettid` tells it.
 */
export function isThreadGone(thread: number): boolean {
  for (let before = 0;;) {
    // Signal 0 is none, and only asks (kill(2)).
    if (linux().syscall(SYS_TKILL, thread, 0) >= 0) return false;
    const reason = errno();
    if (reason === before) return reason === ERRNO.ESRCH;
    before = reason;
  }
}
