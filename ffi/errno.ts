/**
 * Error numbers, by name, and as Deno's named errors.
 *
 * @module
 */

import { errno } from "./libc.ts";

/**
 * An error that the kernel gave: Deno's class for it where there is one, with
 * the kernel's word attached.
 *
 * @example What the kernel said
 * ```ts
 * import { openFile, POSIX, type SystemError } from "@interleave/reactor/ffi";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * try {
 *   openFile("/dev/null/nothing", POSIX.O_RDONLY);
 * } catch (error) {
 *   assertInstanceOf(error, Deno.errors.NotADirectory);
 *   const { code, errno, message } = error as SystemError;
 *   assertEquals(code, "ENOTDIR");
 *   console.log(errno, message);
 * }
 * ```
 */
export interface SystemError extends Error {
  /** The name from `<errno.h>`, such as "EBADF". */
  code: string;
  /** The number behind `code` on this system. */
  errno: number;
}

/** One row of `<errno.h>`: name, number on Linux, number on macOS, meaning. */
type Row = readonly [name: string, linux: number, darwin: number, text: string];

const ROWS: readonly Row[] = [
  ["EPERM", 1, 1, "operation not permitted"],
  ["ENOENT", 2, 2, "no such file or directory"],
  ["ESRCH", 3, 3, "no such process"],
  ["EINTR", 4, 4, "interrupted by a signal"],
  ["EIO", 5, 5, "input/output error"],
  ["ENXIO", 6, 6, "no such device or address"],
  ["E2BIG", 7, 7, "argument list too long"],
  ["ENOEXEC", 8, 8, "not an executable format"],
  ["EBADF", 9, 9, "bad file descriptor"],
  ["ECHILD", 10, 10, "no child process"],
  ["EAGAIN", 11, 35, "would block"],
  ["ENOMEM", 12, 12, "out of memory"],
  ["EACCES", 13, 13, "permission denied"],
  ["EFAULT", 14, 14, "bad address"],
  ["EBUSY", 16, 16, "busy"],
  ["EEXIST", 17, 17, "file exists"],
  ["EXDEV", 18, 18, "on another device"],
  ["ENODEV", 19, 19, "no such device"],
  ["ENOTDIR", 20, 20, "not a directory"],
  ["EISDIR", 21, 21, "is a directory"],
  ["EINVAL", 22, 22, "invalid argument"],
  ["ENFILE", 23, 23, "too many open files in the system"],
  ["EMFILE", 24, 24, "too many open files in the process"],
  ["ENOTTY", 25, 25, "not a terminal or not a request for this device"],
  ["EFBIG", 27, 27, "file too large"],
  ["ENOSPC", 28, 28, "no space left on device"],
  ["ESPIPE", 29, 29, "cannot seek"],
  ["EROFS", 30, 30, "read-only file system"],
  ["EPIPE", 32, 32, "broken pipe"],
  ["ENAMETOOLONG", 36, 63, "file name too long"],
  ["ENOSYS", 38, 78, "not implemented by this system"],
  ["ELOOP", 40, 62, "too many symbolic links, or sets within sets"],
  ["EPROTO", 71, 100, "protocol error"],
  ["EOVERFLOW", 75, 84, "value too large"],
  ["ENOTSOCK", 88, 38, "not a socket"],
  ["EDESTADDRREQ", 89, 39, "destination address required"],
  ["EMSGSIZE", 90, 40, "message too long"],
  ["EPROTOTYPE", 91, 41, "wrong protocol for this socket"],
  ["ENOPROTOOPT", 92, 42, "no such option"],
  ["EPROTONOSUPPORT", 93, 43, "protocol not supported"],
  ["EOPNOTSUPP", 95, 102, "operation not supported"],
  ["EAFNOSUPPORT", 97, 47, "address family not supported"],
  ["EADDRINUSE", 98, 48, "address in use"],
  ["EADDRNOTAVAIL", 99, 49, "address not available"],
  ["ENETDOWN", 100, 50, "network is down"],
  ["ENETUNREACH", 101, 51, "network unreachable"],
  ["ECONNABORTED", 103, 53, "connection aborted"],
  ["ECONNRESET", 104, 54, "connection reset"],
  ["ENOBUFS", 105, 55, "no buffer space"],
  ["EISCONN", 106, 56, "already connected"],
  ["ENOTCONN", 107, 57, "not connected"],
  ["ETOOMANYREFS", 109, 59, "too many descriptors on their way"],
  ["ETIMEDOUT", 110, 60, "timed out"],
  ["ECONNREFUSED", 111, 61, "connection refused"],
  ["EHOSTUNREACH", 113, 65, "host unreachable"],
  ["EALREADY", 114, 37, "already in progress"],
  ["EINPROGRESS", 115, 36, "in progress"],
  ["EDQUOT", 122, 69, "quota exceeded"],
  ["ECANCELED", 125, 89, "cancelled"],
];

/** Deno's classes for the errors that have one. */
const CLASSES: Record<string, new (message: string) => Error> = {
  EPERM: Deno.errors.PermissionDenied,
  ENOENT: Deno.errors.NotFound,
  EINTR: Deno.errors.Interrupted,
  EBADF: Deno.errors.BadResource,
  EAGAIN: Deno.errors.WouldBlock,
  EACCES: Deno.errors.PermissionDenied,
  EBUSY: Deno.errors.Busy,
  EEXIST: Deno.errors.AlreadyExists,
  ENOTDIR: Deno.errors.NotADirectory,
  EISDIR: Deno.errors.IsADirectory,
  EPIPE: Deno.errors.BrokenPipe,
  ENOSYS: Deno.errors.NotSupported,
  ELOOP: Deno.errors.FilesystemLoop,
  EOPNOTSUPP: Deno.errors.NotSupported,
  EADDRINUSE: Deno.errors.AddrInUse,
  EADDRNOTAVAIL: Deno.errors.AddrNotAvailable,
  ENETUNREACH: Deno.errors.NetworkUnreachable,
  ECONNABORTED: Deno.errors.ConnectionAborted,
  ECONNRESET: Deno.errors.ConnectionReset,
  ENOTCONN: Deno.errors.NotConnected,
  ETIMEDOUT: Deno.errors.TimedOut,
  ECONNREFUSED: Deno.errors.ConnectionRefused,
};

const darwin = Deno.build.os === "darwin";

/**
 * The names from `<errno.h>` that are known here, with their numbers on this
 * system.
 *
 * @example A device that is too slow, told as the kernel would
 * ```ts
 * import { ERRNO, systemError } from "@interleave/reactor/ffi";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * const error = systemError("Cannot reach the modem", ERRNO.ETIMEDOUT!);
 * assertInstanceOf(error, Deno.errors.TimedOut);
 * assertEquals(error.message, "Cannot reach the modem: timed out (ETIMEDOUT)");
 * ```
 */
export const ERRNO: Readonly<Record<string, number>> = Object.freeze(
  Object.fromEntries(
    ROWS.map((
      [name, onLinux, onDarwin],
    ) => [name, darwin ? onDarwin : onLinux]),
  ),
);

/**
 * Errors that a socket keeps for one call only (socket(7), SO_ERROR): the next
 * call reports the end of the stream, or nothing.
 */
export const REPORTED_ONCE: ReadonlySet<number | undefined> = new Set([
  ERRNO.ECONNABORTED,
  ERRNO.ECONNREFUSED,
  ERRNO.ECONNRESET,
  ERRNO.EHOSTUNREACH,
  ERRNO.EMSGSIZE,
  ERRNO.ENETDOWN,
  ERRNO.ENETUNREACH,
  ERRNO.EPIPE,
  ERRNO.EPROTO,
  ERRNO.ETIMEDOUT,
]);

const byNumber = new Map(
  ROWS.map((row) => [darwin ? row[2] : row[1], row] as const),
);

/**
 * The name of an error number on this system.
 *
 * @param errno The number, as {@linkcode errno} returns it.
 * @returns Its name, or "E" and the number if it is not a common one.
 *
 * @example Usage
 * ```ts
 * import { errnoName } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(errnoName(9), "EBADF");
 * ```
 */
export function errnoName(errno: number): string {
  return byNumber.get(errno)?.[0] ?? `E${errno}`;
}

/**
 * The error for a failed system call.
 *
 * @param action What failed, as in "Cannot read descriptor 7".
 * @param errno The number that the call left behind.
 * @returns An instance of Deno's class for it (`Deno.errors.BadResource` for
 * EBADF, ...) or a plain `Error`, with `code` and `errno` set.
 *
 * @example Usage
 * ```ts
 * import { systemError } from "@interleave/reactor/ffi";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * const error = systemError("Cannot read descriptor 7", 9);
 * assertInstanceOf(error, Deno.errors.BadResource);
 * assertEquals(error.code, "EBADF");
 * ```
 */
export function systemError(action: string, errno: number): SystemError {
  const name = errnoName(errno);
  const text = byNumber.get(errno)?.[3] ?? `error number ${errno}`;
  const Class = CLASSES[name] ?? Error;
  return Object.assign(new Class(`${action}: ${text} (${name})`), {
    code: name,
    errno,
  });
}

/**
 * Passes the result of a system call on, or throws what errno says.
 *
 * @param result What the call returned.
 * @param action What failed if it is negative, as in "Cannot make a pipe".
 * @returns `result`.
 * @throws {SystemError} When `result` is negative.
 *
 * @example Usage
 * ```ts
 * import { check, libc } from "@interleave/reactor/ffi";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(
 *   () => check(libc().dup(-1), "Cannot duplicate descriptor -1"),
 *   Deno.errors.BadResource,
 * );
 * ```
 */
export function check(result: number, action: string): number {
  if (result < 0) throw systemError(action, errno());
  return result;
}

/**
 * What a wait found that failed: nothing, if a signal interrupted it.
 *
 * @throws {SystemError} When it failed for another reason.
 */
export function interrupted(): 0 {
  const reason = errno();
  if (reason === ERRNO.EINTR) return 0;
  throw systemError("Cannot look for ready descriptors", reason);
}
