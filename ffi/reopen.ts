/**
 * Opening a terminal or a pipe once more.
 *
 * `O_NONBLOCK` belongs to the open file, and whoever was given standard input and
 * output shares that with others: the shell, the rest of the pipeline, `console`
 * itself. A second open file of the same terminal has flags of its own.
 *
 * @module
 */

import { POSIX } from "./constants.ts";
import { isFifo, openFile } from "./descriptor.ts";
import { libc } from "./libc.ts";
import { isPtyMaster } from "./pty.ts";

/** `<fcntl.h>`: the bits of the flags that tell reading from writing. */
const O_ACCMODE = 3;

/**
 * Opens what a descriptor stands for once more, non-blocking, if that is the same
 * thing and safe. Only on Linux: opening `/dev/fd` elsewhere makes duplicates,
 * which share the flags.
 *
 * - A terminal, but no master of one: to open that makes another terminal
 *   (pts(4)).
 * - A pipe to write to. One to read from could have lost its last writer by now,
 *   and a FIFO that is opened after that waits for the next (fifo(7)).
 * - Nothing that has a position, which would begin anew, and no socket, which
 *   cannot be opened (ENXIO).
 *
 * @param fd The descriptor.
 * @param access What for: `O_RDONLY` or `O_WRONLY`. A descriptor that is open for
 * something else is left alone.
 * @returns The new descriptor; undefined if there is none, for whatever reason.
 */
export function reopen(fd: number, access: number): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const flags = libc().fcntl(fd, POSIX.F_GETFL, 0) & O_ACCMODE;
  if (flags !== access && flags !== POSIX.O_RDWR) return undefined;
  const isTerminal = libc().isatty(fd) === 1 && !isPtyMaster(fd);
  const isOutput = access === POSIX.O_WRONLY && isFifo(fd);
  if (!isTerminal && !isOutput) return undefined;
  try {
    return openFile(`/proc/self/fd/${fd}`, access | POSIX.O_NONBLOCK);
  } catch {
    // It may belong to another user (su), to nobody else (TIOCEXCL), or there is
    // no /proc.
    return undefined;
  }
}
