/**
 * The life of a descriptor: made, read, written, closed.
 *
 * Whatever is made here is closed on exec, so no child process inherits it. On
 * Linux the flag is set by the call that makes the descriptor. macOS has no
 * such calls, and a process that another thread starts between the two steps
 * there does inherit it.
 *
 * @module
 */

import { checkInteger, cString, MAX_INT } from "./arguments.ts";
import { LINUX_ONLY, POSIX } from "./constants.ts";
import { check, ERRNO, REPORTED_ONCE, systemError } from "./errno.ts";
import { errno, libc, linux } from "./libc.ts";

/**
 * What {@linkcode readInto} and {@linkcode writeFrom} return when nothing can
 * be read or written now.
 *
 * @example Reading all that is there
 * ```ts
 * import {
 *   closeDescriptor,
 *   makePipe,
 *   readInto,
 *   WOULD_BLOCK,
 *   writeFrom,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * writeFrom(input, new Uint8Array(1000));
 * const buffer = new Uint8Array(512);
 * const lengths: number[] = [];
 * for (;;) {
 *   const length = readInto(output, buffer);
 *   if (length === 0 || length === WOULD_BLOCK) break; // The end, or for now.
 *   lengths.push(length);
 * }
 * assertEquals(lengths, [512, 488]);
 * closeDescriptor(input);
 * closeDescriptor(output);
 * ```
 */
export const WOULD_BLOCK: -1 = -1;

const { EAGAIN, EINTR } = ERRNO;

const onLinux = Deno.build.os === "linux";

/** `<sys/socket.h>`: ask for a socket's type. */
const SO_TYPE = onLinux ? 3 : 0x1008;

/** `shutdown`: nothing will be written any more. */
const SHUT_WR = 1;

/** Where `st_mode` stands in `struct stat`: 32 bits on Linux, 16 on macOS. */
const MODE_OFFSET = onLinux ? (Deno.build.arch === "x86_64" ? 24 : 16) : 4;

/** `<sys/stat.h>`: the bits of the mode that tell the kind of file. */
const S_IFMT = 0o170000;

/** What those bits are for a pipe. */
const S_IFIFO = 0o010000;

/** Room for a `struct stat`, which is 144 bytes at most. */
const status = new Uint8Array(256);

/**
 * Children get the numbers 0 to 2 for input, output and errors: a duplicate
 * never lands there.
 */
const FIRST_ORDINARY = 3;

/**
 * Opens a file. It never becomes the controlling terminal.
 *
 * This is the C library's `open`: Deno's permissions for files do not apply.
 *
 * @param path Where the file is.
 * @param flags The `O_` flags; `O_CLOEXEC` and `O_NOCTTY` are added.
 * @param mode The permissions of a file that this creates, less the umask. The
 * default is 0o666.
 * @returns The descriptor.
 * @throws {TypeError} When `path` is not a string or has a NUL in it, or another
 * argument is not a number.
 * @throws {RangeError} When `flags` or `mode` is not an integer in its range.
 * @throws {Deno.errors.NotFound} When there is no such file.
 * @throws {Deno.errors.PermissionDenied} When the file may not be opened so.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, openFile, POSIX } from "@interleave/reactor/ffi";
 * import { assert } from "@std/assert";
 *
 * const fd = openFile("/dev/null", POSIX.O_RDONLY);
 * assert(fd > 2);
 * closeDescriptor(fd);
 * ```
 */
export function openFile(
  path: string,
  flags: number,
  mode: number = 0o666,
): number {
  const file = cString(path, "open a file", "path");
  checkInteger(flags, "open a file", "flags");
  checkInteger(mode, "open a file", "mode", 0, 0o7777);
  const all = flags | POSIX.O_CLOEXEC | POSIX.O_NOCTTY;
  for (;;) {
    const fd = libc().open(file, all, mode);
    if (fd >= 0) return fd;
    const error = errno();
    if (error !== EINTR) {
      throw systemError(`Cannot open "${path}"`, error);
    }
  }
}

/**
 * Makes a pipe, both ends non-blocking.
 *
 * @returns The end to read from and the end to write to.
 * @throws {SystemError} When the process or the system has too many
 * descriptors.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, makePipe, readInto, writeFrom } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * writeFrom(input, new Uint8Array([1, 2, 3]));
 * assertEquals(readInto(output, new Uint8Array(10)), 3);
 * closeDescriptor(input);
 * closeDescriptor(output);
 * ```
 */
export function makePipe(): [read: number, write: number] {
  const ends = new Int32Array(2);
  check(
    onLinux
      ? linux().pipe2(ends, POSIX.O_NONBLOCK | POSIX.O_CLOEXEC)
      : libc().pipe(ends),
    "Cannot make a pipe",
  );
  return pair(ends);
}

/**
 * Makes a pair of connected UNIX stream sockets, both non-blocking.
 *
 * @returns The two ends; each can be read and written.
 * @throws {SystemError} When the process or the system has too many
 * descriptors.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, makeSocketpair, readInto, writeFrom } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = makeSocketpair();
 * writeFrom(here, new Uint8Array([1, 2, 3]));
 * assertEquals(readInto(there, new Uint8Array(10)), 3);
 * closeDescriptor(here);
 * closeDescriptor(there);
 * ```
 */
export function makeSocketpair(): [here: number, there: number] {
  const ends = new Int32Array(2);
  const { SOCK_NONBLOCK, SOCK_CLOEXEC } = LINUX_ONLY;
  const flags = onLinux ? SOCK_NONBLOCK | SOCK_CLOEXEC : 0;
  check(
    libc().socketpair(POSIX.AF_UNIX, POSIX.SOCK_STREAM | flags, 0, ends),
    "Cannot make a pair of sockets",
  );
  return pair(ends);
}

/**
 * The two numbers, with the flags that macOS could not set when it made them.
 */
function pair(ends: Int32Array): [number, number] {
  const numbers: [number, number] = [ends[0]!, ends[1]!];
  if (!onLinux) {
    for (const fd of numbers) {
      setCloseOnExec(fd, true);
      setNonBlocking(fd, true);
    }
  }
  return numbers;
}

/**
 * Makes an eventfd (Linux): a counter that is readable while it is not 0.
 * Reading gives it as 8 bytes and sets it to 0, writing 8 bytes adds to it.
 *
 * @param value What it starts with, 32 bits at most.
 * @returns The descriptor, non-blocking and closed on exec.
 * @throws {TypeError} When `value` is not a number.
 * @throws {RangeError} When `value` is not an integer from 0 to 4294967295.
 * @throws {Deno.errors.NotSupported} When the system is not Linux.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, makeEventfd, readInto } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const fd = makeEventfd(3);
 *   const counter = new BigUint64Array(1);
 *   readInto(fd, new Uint8Array(counter.buffer));
 *   assertEquals(counter[0], 3n);
 *   closeDescriptor(fd);
 * }
 * ```
 */
export function makeEventfd(value: number): number {
  checkInteger(value, "make an eventfd", "value", 0, 2 ** 32 - 1);
  return check(
    linux().eventfd(value, LINUX_ONLY.NONBLOCK | LINUX_ONLY.CLOEXEC),
    "Cannot make an eventfd",
  );
}

/**
 * Chooses whether reading and writing wait or give up at once.
 *
 * The flag belongs to the open file, not to the number: every duplicate sees
 * the change, and so does every other process that holds the same terminal or
 * pipe.
 *
 * @param fd The descriptor.
 * @param on Whether to give up at once.
 * @throws {Deno.errors.BadResource} When `fd` is not open.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, libc, makePipe, POSIX, setNonBlocking } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * setNonBlocking(input, false);
 * assertEquals(libc().fcntl(input, POSIX.F_GETFL, 0) & POSIX.O_NONBLOCK, 0);
 * closeDescriptor(input);
 * closeDescriptor(output);
 * ```
 */
export function setNonBlocking(fd: number, on: boolean): void {
  const action = `Cannot make descriptor ${fd} ${on ? "non-" : ""}blocking`;
  const flags = check(libc().fcntl(fd, POSIX.F_GETFL, 0), action);
  const wanted = on ? flags | POSIX.O_NONBLOCK : flags & ~POSIX.O_NONBLOCK;
  if (wanted !== flags) {
    check(libc().fcntl(fd, POSIX.F_SETFL, wanted), action);
  }
}

/**
 * Chooses whether child processes inherit a descriptor.
 *
 * @param fd The descriptor.
 * @param on Whether it is closed when a child runs its program.
 * @throws {Deno.errors.BadResource} When `fd` is not open.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, libc, makePipe, POSIX, setCloseOnExec } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * setCloseOnExec(output, false);
 * assertEquals(libc().fcntl(output, POSIX.F_GETFD, 0) & POSIX.FD_CLOEXEC, 0);
 * closeDescriptor(input);
 * closeDescriptor(output);
 * ```
 */
export function setCloseOnExec(fd: number, on: boolean): void {
  check(
    libc().fcntl(fd, POSIX.F_SETFD, on ? POSIX.FD_CLOEXEC : 0),
    `Cannot change whether children inherit descriptor ${fd}`,
  );
}

/**
 * Closes a descriptor.
 *
 * @param fd The descriptor.
 * @throws {Deno.errors.BadResource} When `fd` is not open.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, isOpen, makePipe } from "@interleave/reactor/ffi";
 * import { assertFalse } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * closeDescriptor(input);
 * closeDescriptor(output);
 * assertFalse(isOpen(input));
 * ```
 */
export function closeDescriptor(fd: number): void {
  if (libc().close(fd) >= 0) return;
  const error = errno();
  // Linux gives the number back before anything can interrupt it (close(2),
  // "Dealing with error returns from close()"): closing once more would hit
  // whoever was given the number meanwhile.
  if (error === EINTR) return;
  throw systemError(`Cannot close descriptor ${fd}`, error);
}

/**
 * Closes a descriptor behind which nothing is left that could get lost, such as a
 * duplicate: what `close` may have to say of it concerns nobody.
 *
 * @param fd The descriptor.
 */
export function discardDescriptor(fd: number): void {
  libc().close(fd);
}

/**
 * Reads what is there.
 *
 * @param fd The descriptor.
 * @param buffer Where to put the bytes, 2^31 - 1 of them at most.
 * @returns How many bytes were read, 0 at the end of the file, or
 * {@linkcode WOULD_BLOCK}.
 * @throws {SystemError} When the kernel refuses.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, makePipe, readInto, WOULD_BLOCK } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * assertEquals(readInto(output, new Uint8Array(10)), WOULD_BLOCK);
 * closeDescriptor(input);
 * assertEquals(readInto(output, new Uint8Array(10)), 0);
 * closeDescriptor(output);
 * ```
 */
export function readInto(fd: number, buffer: Uint8Array): number {
  const { read } = libc();
  const count = read(fd, buffer, Math.min(buffer.length, MAX_INT));
  return count >= 0 ? count : lookAgain(read, fd, buffer, "read");
}

/**
 * Writes what there is room for.
 *
 * @param fd The descriptor.
 * @param buffer The bytes; the first 2^31 - 1 of them count.
 * @returns How many bytes were written, or {@linkcode WOULD_BLOCK}.
 * @throws {Deno.errors.BrokenPipe} When nobody can read any more.
 * @throws {SystemError} When the kernel refuses.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, makePipe, writeFrom } from "@interleave/reactor/ffi";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * assertEquals(writeFrom(input, new Uint8Array(10)), 10);
 * closeDescriptor(output);
 * assertThrows(() => writeFrom(input, new Uint8Array(10)), Deno.errors.BrokenPipe);
 * closeDescriptor(input);
 * ```
 */
export function writeFrom(fd: number, buffer: Uint8Array): number {
  const { write } = libc();
  const count = write(fd, buffer, Math.min(buffer.length, MAX_INT));
  return count >= 0 ? count : lookAgain(write, fd, buffer, "write");
}

/**
 * Finds out why a call gave -1.
 *
 * Deno's own work can overwrite errno before it is read, in rare cases. Two
 * mistakes would matter: an error that is none ends a good stream, and one that
 * is taken for "would block" is asked for again at the next readiness, which an
 * error causes. So only the first needs care: an error counts when it comes
 * twice in a row, or when it is one that the kernel tells only once.
 */
function lookAgain(
  call: (fd: number, buffer: Uint8Array, length: number) => number,
  fd: number,
  buffer: Uint8Array,
  verb: string,
): number {
  let error = errno();
  for (;;) {
    if (error === EAGAIN) return WOULD_BLOCK;
    if (REPORTED_ONCE.has(error)) break;
    const count = call(fd, buffer, Math.min(buffer.length, MAX_INT));
    if (count >= 0) return count;
    const second = errno();
    // An interrupted call is simply made again, as often as it takes.
    if (second === error && error !== EINTR) break;
    error = second;
  }
  throw systemError(`Cannot ${verb} descriptor ${fd}`, error);
}

/**
 * Asks whether a number is an open descriptor.
 *
 * @param fd The number.
 * @returns Whether it is one.
 *
 * @example Usage
 * ```ts
 * import { isOpen } from "@interleave/reactor/ffi";
 * import { assert, assertFalse } from "@std/assert";
 *
 * assert(isOpen(2));
 * assertFalse(isOpen(-1));
 * ```
 */
export function isOpen(fd: number): boolean {
  return libc().fcntl(fd, POSIX.F_GETFD, 0) >= 0;
}

/**
 * Asks whether this process may open so many descriptors more, at this moment.
 *
 * @param fd A descriptor that is open.
 * @param count How many.
 * @returns Whether it may.
 */
export function hasRoomFor(fd: number, count: number): boolean {
  const fds: number[] = [];
  while (fds.length < count) {
    const duplicate = libc().dup(fd);
    if (duplicate < 0) break;
    fds.push(duplicate);
  }
  for (const duplicate of fds) libc().close(duplicate);
  return fds.length === count;
}

/**
 * Makes another number for the same open file.
 *
 * @param fd The descriptor.
 * @returns The new number, 3 or higher, closed on exec.
 * @throws {Deno.errors.BadResource} When `fd` is not open.
 *
 * @example Reading standard input without owning it
 * ```ts
 * import { closeDescriptor, duplicate, isOpen } from "@interleave/reactor/ffi";
 * import { assert } from "@std/assert";
 *
 * const fd = duplicate(0);
 * closeDescriptor(fd);
 * assert(isOpen(0));
 * ```
 */
export function duplicate(fd: number): number {
  return check(
    libc().fcntl(fd, POSIX.F_DUPFD_CLOEXEC, FIRST_ORDINARY),
    `Cannot duplicate descriptor ${fd}`,
  );
}

/**
 * Asks whether a descriptor is a datagram socket, where reading 0 bytes means
 * that an empty datagram came, not that the end is reached.
 *
 * @param fd The descriptor.
 * @returns Whether it is one.
 *
 * @example Usage
 * ```ts
 * import { isDatagramSocket } from "@interleave/reactor/ffi";
 * import { assertFalse } from "@std/assert";
 *
 * assertFalse(isDatagramSocket(0));
 * ```
 */
export function isDatagramSocket(fd: number): boolean {
  const type = new Int32Array(1);
  const length = new Uint32Array([type.byteLength]);
  const answer = libc().getsockopt(fd, POSIX.SOL_SOCKET, SO_TYPE, type, length);
  return answer === 0 && type[0] === POSIX.SOCK_DGRAM;
}

/**
 * Tells the other side of a socket that nothing more will be written. What can
 * not be shut down, because it is no socket or not connected, stays as it is.
 *
 * @param fd The descriptor.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, endWriting, makeSocketpair, readInto } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = makeSocketpair();
 * endWriting(here);
 * assertEquals(readInto(there, new Uint8Array(10)), 0);
 * closeDescriptor(here);
 * closeDescriptor(there);
 * ```
 */
export function endWriting(fd: number): void {
  libc().shutdown(fd, SHUT_WR);
}

/**
 * Asks whether a descriptor is a FIFO or a pipe.
 *
 * @param fd The descriptor.
 * @returns Whether it is one.
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, isFifo, makePipe } from "@interleave/reactor/ffi";
 * import { assert } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * assert(isFifo(output));
 * closeDescriptor(input);
 * closeDescriptor(output);
 * ```
 */
export function isFifo(fd: number): boolean {
  if (libc().fstat(fd, status) < 0) return false;
  const [mode] = onLinux
    ? new Uint32Array(status.buffer, MODE_OFFSET, 1)
    : new Uint16Array(status.buffer, MODE_OFFSET, 1);
  return (mode! & S_IFMT) === S_IFIFO;
}
