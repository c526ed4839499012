/**
 * Pseudoterminals: a master, which a program holds, and a slave, which is a
 * terminal for whoever opens its path.
 *
 * @module
 */

import { checkInteger } from "./arguments.ts";
import { POSIX } from "./constants.ts";
import {
  closeDescriptor,
  setCloseOnExec,
  setNonBlocking,
} from "./descriptor.ts";
import { check, systemError } from "./errno.ts";
import { errno, libc } from "./libc.ts";

/**
 * macOS requires exactly this much room for a name; Linux's names are far
 * shorter.
 */
const NAME_LENGTH = 128;

/** A window's sides are unsigned shorts in `struct winsize`. */
const MAX_SIDE = 2 ** 16 - 1;

/**
 * POSIX promises the first two only (posix_openpt(3)); on Linux the call is an
 * open() of /dev/ptmx and takes them all.
 */
const OPEN_FLAGS = POSIX.O_RDWR | POSIX.O_NOCTTY |
  (Deno.build.os === "linux" ? POSIX.O_NONBLOCK | POSIX.O_CLOEXEC : 0);

const decoder = new TextDecoder();

/**
 * What {@linkcode openPty} may be told.
 *
 * @example A wide terminal
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import {
 *   openExit,
 *   openPty,
 *   reap,
 *   spawnOnTerminal,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const { master, path } = openPty({ columns: 132, rows: 43 });
 * using terminal = FileDescriptor.adopt(master);
 * const pid = spawnOnTerminal(path, "stty", { args: ["size"] });
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(reap(pid), { code: 0, signal: null });
 *
 * const buffer = new Uint8Array(100);
 * const length = terminal.read(buffer)!;
 * assertEquals(
 *   new TextDecoder().decode(buffer.subarray(0, length)),
 *   "43 132\r\n",
 * );
 * ```
 */
export interface OpenPtyOptions {
  /**
   * The width of the terminal's window, in characters.
   *
   * @default {80}
   */
  columns?: number;
  /**
   * The height of the terminal's window, in characters.
   *
   * @default {24}
   */
  rows?: number;
}

/**
 * A new pseudoterminal.
 *
 * @example Both ends of a terminal
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { openPty } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const { master, path } = openPty();
 * using user = FileDescriptor.adopt(master);
 * using program = FileDescriptor.open(path, { read: true });
 *
 * user.write(new TextEncoder().encode("yes\r")); // As the Enter key does.
 * await reactor.readable(program);
 * const line = new Uint8Array(10);
 * const length = program.read(line)!;
 * assertEquals(new TextDecoder().decode(line.subarray(0, length)), "yes\n");
 * ```
 */
export interface Pty {
  /** The master's descriptor, non-blocking and closed on exec. */
  master: number;
  /** The path under which the slave is opened, such as "/dev/pts/3". */
  path: string;
}

/**
 * Makes a pseudoterminal.
 *
 * @param options The size of its window.
 * @returns The master, for the caller to close, and the slave's path.
 * @throws {TypeError} When a size is not a number.
 * @throws {RangeError} When a size is not an integer from 0 to 65535.
 * @throws {SystemError} When the system has no more pseudoterminals.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, openPty } from "@interleave/reactor/ffi";
 * import { assert } from "@std/assert";
 *
 * const { master, path } = openPty({ columns: 100, rows: 30 });
 * assert(path.startsWith("/dev/"));
 * closeDescriptor(master);
 * ```
 */
export function openPty(options: OpenPtyOptions = {}): Pty {
  const { columns = 80, rows = 24 } = options;
  checkSize(columns, rows);
  const master = check(
    libc().posix_openpt(OPEN_FLAGS),
    "Cannot open a pseudoterminal",
  );
  try {
    setCloseOnExec(master, true);
    setNonBlocking(master, true);
    check(libc().grantpt(master), "Cannot grant the pseudoterminal's slave");
    check(libc().unlockpt(master), "Cannot unlock the pseudoterminal's slave");
    const path = slavePath(master);
    setWindowSize(master, columns, rows);
    return { master, path };
  } catch (error) {
    closeDescriptor(master);
    throw error;
  }
}

function slavePath(master: number): string {
  const name = new Uint8Array(NAME_LENGTH);
  const result = libc().ptsname_r(master, name, NAME_LENGTH);
  // glibc and musl return the error, macOS leaves it in errno.
  if (result !== 0) {
    throw systemError(
      "Cannot find the pseudoterminal's slave",
      result > 0 ? result : errno(),
    );
  }
  return decoder.decode(name.subarray(0, name.indexOf(0)));
}

/**
 * Sets the size of a terminal's window. The programs in it are told by
 * SIGWINCH.
 *
 * @param fd The descriptor of the master, or of the terminal itself.
 * @param columns The width in characters.
 * @param rows The height in characters.
 * @throws {TypeError} When an argument is not a number.
 * @throws {RangeError} When a size is not an integer from 0 to 65535.
 * @throws {SystemError} When `fd` is not open or is no terminal.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, openFile, openPty, POSIX, setWindowSize } from "@interleave/reactor/ffi";
 * import { assertThrows } from "@std/assert";
 *
 * const { master } = openPty();
 * setWindowSize(master, 132, 43);
 * closeDescriptor(master);
 *
 * const none = openFile("/dev/null", POSIX.O_RDWR); // It has no window.
 * assertThrows(() => setWindowSize(none, 132, 43), Error, "ENOTTY");
 * closeDescriptor(none);
 * ```
 */
export function setWindowSize(fd: number, columns: number, rows: number): void {
  checkInteger(fd, "set the window size", "fd");
  checkSize(columns, rows);
  // struct winsize: rows, columns, and the same in pixels, which nobody fills
  // in.
  const size = new Uint16Array([rows, columns, 0, 0]);
  check(
    libc().ioctl(fd, POSIX.TIOCSWINSZ, size),
    `Cannot set the window size of descriptor ${fd}`,
  );
}

function checkSize(columns: number, rows: number): void {
  checkInteger(columns, "set the window size", "columns", 0, MAX_SIDE);
  checkInteger(rows, "set the window size", "rows", 0, MAX_SIDE);
}

/**
 * Asks whether a descriptor is the master of a pseudoterminal.
 *
 * @param fd The descriptor.
 * @returns Whether it is one.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, isPtyMaster, openPty } from "@interleave/reactor/ffi";
 * import { assert } from "@std/assert";
 *
 * const { master } = openPty();
 * assert(isPtyMaster(master));
 * closeDescriptor(master);
 * ```
 */
export function isPtyMaster(fd: number): boolean {
  // Only a master has a slave to name (TIOCGPTN, ioctl_tty(2)).
  return libc().ptsname_r(fd, new Uint8Array(NAME_LENGTH), NAME_LENGTH) === 0;
}
