/**
 * Waking who waits for a descriptor.
 *
 * @module
 */

import { systemError } from "./errno.ts";
import { errno, type Libc } from "./libc.ts";

/**
 * Makes a descriptor readable that somebody waits for. It is tried until errno
 * says the same twice, because errno alone is not always to be trusted (see
 * `errno`).
 *
 * @throws {SystemError} When it can't be done: somebody has closed it.
 */
export function wakeUp(
  libc: Pick<Libc, "write">,
  fd: number,
  bytes: BufferSource,
): void {
  for (let before = 0;;) {
    if (libc.write(fd, bytes, 8) >= 0) return;
    const reason = errno();
    if (reason === before) throw systemError("Cannot wake a wait", reason);
    before = reason;
  }
}
