/**
 * The numbers of POSIX that differ from system to system.
 *
 * The values are those of the C headers: `<fcntl.h>`, `<poll.h>`,
 * `<sys/socket.h>`, `<time.h>`, `<termios.h>` of Linux (glibc and musl agree,
 * and so do x86-64 and arm64 for what stands here) and of macOS.
 *
 * @module
 */

/**
 * Constants that Linux and macOS both have, with the running system's values.
 *
 * @example Flags by name, as a configuration has them
 * ```ts
 * import {
 *   closeDescriptor,
 *   openFile,
 *   POSIX,
 *   type PosixConstants,
 * } from "@interleave/reactor/ffi";
 * import { assert } from "@std/assert";
 *
 * function flagsOf(...names: (keyof PosixConstants)[]): number {
 *   return names.reduce((flags, name) => flags | POSIX[name], 0);
 * }
 *
 * const fd = openFile("/dev/null", flagsOf("O_WRONLY", "O_APPEND"));
 * assert(fd > 2);
 * closeDescriptor(fd);
 * ```
 */
export interface PosixConstants {
  /** `open`: read only. */
  readonly O_RDONLY: number;
  /** `open`: write only. */
  readonly O_WRONLY: number;
  /** `open`: read and write. */
  readonly O_RDWR: number;
  /** `open`: create the file if it is missing. */
  readonly O_CREAT: number;
  /** `open`: fail if the file exists. */
  readonly O_EXCL: number;
  /** `open`: do not become the controlling terminal. */
  readonly O_NOCTTY: number;
  /** `open`: empty the file. */
  readonly O_TRUNC: number;
  /** `open`: write at the end. */
  readonly O_APPEND: number;
  /** Never block: fail with EAGAIN instead. */
  readonly O_NONBLOCK: number;
  /** Close on exec: no child process inherits the descriptor. */
  readonly O_CLOEXEC: number;
  /** Fail with ELOOP where the path ends in a symbolic link. */
  readonly O_NOFOLLOW: number;
  /** `fcntl`: duplicate at or above a number, close-on-exec set. */
  readonly F_DUPFD_CLOEXEC: number;
  /** `fcntl`: read the descriptor's flags. */
  readonly F_GETFD: number;
  /** `fcntl`: set the descriptor's flags. */
  readonly F_SETFD: number;
  /** `fcntl`: read the open file's flags. */
  readonly F_GETFL: number;
  /** `fcntl`: set the open file's flags. */
  readonly F_SETFL: number;
  /** The descriptor flag behind `O_CLOEXEC`. */
  readonly FD_CLOEXEC: number;
  /** Address family: UNIX sockets. */
  readonly AF_UNIX: number;
  /** Address family: IPv4. */
  readonly AF_INET: number;
  /** Address family: IPv6. */
  readonly AF_INET6: number;
  /** Socket type: a stream of bytes. */
  readonly SOCK_STREAM: number;
  /** Socket type: datagrams. */
  readonly SOCK_DGRAM: number;
  /** Socket option level: the socket itself. */
  readonly SOL_SOCKET: number;
  /** Socket option: bind to an address that was in use a moment ago. */
  readonly SO_REUSEADDR: number;
  /** Socket option: the pending error, cleared by reading it. */
  readonly SO_ERROR: number;
  /** `ioctl`: set the size of a terminal's window. */
  readonly TIOCSWINSZ: number;
  /** `ioctl`: how many bytes can be read now. */
  readonly FIONREAD: number;
  /** `ioctl`: how many bytes of what was written have not left yet. */
  readonly TIOCOUTQ: number;
  /** `clock_gettime`, `timerfd_create`: the clock that never jumps. */
  readonly CLOCK_MONOTONIC: number;
}

/** What both systems number alike. */
const SHARED = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  F_GETFD: 1,
  F_SETFD: 2,
  F_GETFL: 3,
  F_SETFL: 4,
  FD_CLOEXEC: 1,
  AF_UNIX: 1,
  AF_INET: 2,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
};

const LINUX: PosixConstants = {
  ...SHARED,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_CLOEXEC: 0o2000000,
  // asm-generic/fcntl.h; arm has a number of its own (asm/fcntl.h).
  O_NOFOLLOW: Deno.build.arch === "aarch64" ? 0o100000 : 0o400000,
  F_DUPFD_CLOEXEC: 1030,
  AF_INET6: 10,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_ERROR: 4,
  TIOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  TIOCOUTQ: 0x5411,
  CLOCK_MONOTONIC: 1,
};

const DARWIN: PosixConstants = {
  ...SHARED,
  O_CREAT: 0x200,
  O_EXCL: 0x800,
  O_NOCTTY: 0x20000,
  O_TRUNC: 0x400,
  O_APPEND: 0x8,
  O_NONBLOCK: 0x4,
  O_CLOEXEC: 0x1000000,
  O_NOFOLLOW: 0x100,
  F_DUPFD_CLOEXEC: 67,
  AF_INET6: 30,
  SOL_SOCKET: 0xffff,
  SO_REUSEADDR: 4,
  SO_ERROR: 0x1007,
  TIOCSWINSZ: 0x80087467,
  FIONREAD: 0x4004667f,
  TIOCOUTQ: 0x40047473,
  CLOCK_MONOTONIC: 6,
};

/**
 * The constants of the C headers, with the running system's values. On a system
 * without a table of its own they are Linux's: nothing there gets as far as using
 * them.
 *
 * @example How much there is to read
 * ```ts
 * import {
 *   closeDescriptor,
 *   libc,
 *   makePipe,
 *   POSIX,
 *   writeFrom,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * writeFrom(input, new Uint8Array(1000));
 * const count = new Int32Array(1);
 * libc().ioctl(output, POSIX.FIONREAD, count);
 * assertEquals(count[0], 1000);
 * closeDescriptor(input);
 * closeDescriptor(output);
 * ```
 */
export const POSIX: PosixConstants = Deno.build.os === "darwin"
  ? DARWIN
  : LINUX;

/**
 * The bits of `poll()`; `epoll` uses the same ones, and so does macOS.
 *
 * @example A look without waiting, and without a reactor
 * ```ts
 * import {
 *   closeDescriptor,
 *   libc,
 *   makePipe,
 *   POLL,
 *   writeFrom,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = makePipe();
 * writeFrom(input, new Uint8Array(1));
 * // Two of struct pollfd: an int, and two shorts, of which poll() sets the upper.
 * const table = new Int32Array([output, POLL.IN, input, POLL.OUT]);
 * assertEquals(libc().poll(table, 2, 0), 2);
 * assertEquals(table[1]! >> 16, POLL.IN);
 * assertEquals(table[3]! >> 16, POLL.OUT);
 * closeDescriptor(input);
 * closeDescriptor(output);
 * ```
 */
export const POLL = {
  /** Data to read, or the end of it. */
  IN: 0x01,
  /**
   * An exceptional condition: out-of-band data, a changed sysfs attribute, a
   * packet-mode pty.
   */
  PRI: 0x02,
  /** Room to write. */
  OUT: 0x04,
  /** An error is pending. Reported whether asked for or not. */
  ERR: 0x08,
  /** The other side hung up. Reported whether asked for or not. */
  HUP: 0x10,
  /**
   * The number is no open descriptor. Reported by `poll()` only, whether asked
   * for or not.
   */
  NVAL: 0x20,
} as const;

/**
 * Linux only: the numbers of epoll, eventfd, timerfd, inotify and process
 * descriptors.
 *
 * @example Being told when a file has been written
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import {
 *   check,
 *   closeDescriptor,
 *   cString,
 *   linux,
 *   LINUX_ONLY,
 *   openFile,
 *   POSIX,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const { inotify_init1, inotify_add_watch } = linux();
 *   const { NONBLOCK, CLOEXEC, IN_CLOSE_WRITE } = LINUX_ONLY;
 *   using inotify = FileDescriptor.adopt(
 *     check(inotify_init1(NONBLOCK | CLOEXEC), "Cannot make an inotify"),
 *   );
 *   const path = cString("/dev/null", "watch a file", "path");
 *   check(
 *     inotify_add_watch(inotify.fileno(), path, IN_CLOSE_WRITE),
 *     "Cannot watch the file",
 *   );
 *
 *   closeDescriptor(openFile("/dev/null", POSIX.O_WRONLY));
 *   await reactor.readable(inotify);
 *   // struct inotify_event: the watch, the mask, a cookie, the name's length.
 *   const event = new Uint32Array(4);
 *   inotify.read(new Uint8Array(event.buffer));
 *   assertEquals(event[1], IN_CLOSE_WRITE);
 * }
 * ```
 */
export const LINUX_ONLY = {
  /** `epoll_ctl`: add a descriptor to the set. */
  EPOLL_CTL_ADD: 1,
  /** `epoll_ctl`: remove a descriptor from the set. */
  EPOLL_CTL_DEL: 2,
  /** `epoll_ctl`: change what is asked of a descriptor in the set. */
  EPOLL_CTL_MOD: 3,
  /**
   * `epoll`: report a change once rather than a state for as long as it lasts
   * (bit 31, here of a signed word).
   */
  EPOLLET: -2147483648,
  /** `eventfd`, `timerfd`, `inotify`, `pidfd`: never block. */
  NONBLOCK: 0o4000,
  /** `eventfd`, `timerfd`, `inotify`, `epoll`: close on exec. */
  CLOEXEC: 0o2000000,
  /** `socket`, `socketpair`: never block. */
  SOCK_NONBLOCK: 0o4000,
  /** `socket`, `socketpair`: close on exec. */
  SOCK_CLOEXEC: 0o2000000,
  /** inotify: a file was written to. */
  IN_MODIFY: 0x2,
  /** inotify: metadata changed. */
  IN_ATTRIB: 0x4,
  /** inotify: a file that was open for writing was closed. */
  IN_CLOSE_WRITE: 0x8,
  /** inotify: a name was moved out of the directory. */
  IN_MOVED_FROM: 0x40,
  /** inotify: a name was moved into the directory. */
  IN_MOVED_TO: 0x80,
  /** inotify: a name was made in the directory. */
  IN_CREATE: 0x100,
  /** inotify: a name was removed from the directory. */
  IN_DELETE: 0x200,
  /** inotify: the watched thing itself was removed. */
  IN_DELETE_SELF: 0x400,
  /** inotify: the watched thing itself was moved. */
  IN_MOVE_SELF: 0x800,
  /** inotify: events were dropped because nobody read them. */
  IN_Q_OVERFLOW: 0x4000,
  /** inotify: the watch is gone, with what it watched or because it was removed. */
  IN_IGNORED: 0x8000,
  /** `inotify_add_watch`: fail unless it is a directory. */
  IN_ONLYDIR: 0x1000000,
  /** inotify: the event is about a directory. */
  IN_ISDIR: 0x40000000,
} as const;
