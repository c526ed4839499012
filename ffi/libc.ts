/**
 * The C library, opened at the first use and never closed.
 *
 * @module
 */

import {
  DARWIN_SYMBOLS,
  LINUX_SYMBOLS,
  POSIX_SYMBOLS,
  VARIADIC_IN_REGISTERS,
  VARIADIC_ON_THE_STACK,
} from "./symbols.ts";

/**
 * Where the C library is found: the ordinary name first, then the absolute
 * paths that a scoped grant can name.
 */
const CANDIDATES: Record<string, readonly string[]> = {
  linux: [
    "libc.so.6", // glibc
    `libc.musl-${Deno.build.arch}.so.1`, // musl
    `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`, // Debian and its family
    "/lib64/libc.so.6", // Fedora and its family
    "/usr/lib/libc.so.6", // Arch
    `/lib/ld-musl-${Deno.build.arch}.so.1`, // Alpine
  ],
  darwin: ["/usr/lib/libSystem.B.dylib"],
};

/**
 * The functions that every supported system has, under their C names. They take
 * and return what C does; {@linkcode POSIX_SYMBOLS} has their declarations.
 *
 * @example A function that a test can give another C library
 * ```ts
 * import { type Libc, libc } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * function colourOf(fd: number, { isatty }: Pick<Libc, "isatty"> = libc()) {
 *   return isatty(fd) === 1 ? "\x1b[32m" : "";
 * }
 *
 * assertEquals(colourOf(-1), "");
 * assertEquals(colourOf(1, { isatty: () => 1 }), "\x1b[32m");
 * ```
 */
export type Libc =
  & Deno.DynamicLibrary<
    typeof POSIX_SYMBOLS & typeof VARIADIC_IN_REGISTERS
  >["symbols"]
  & {
    /** `int fstat(int fd, struct stat *status)` */
    fstat(fd: number, status: BufferSource): number;
  };

/**
 * The functions that only Linux has, under their C names. {@linkcode
 * LINUX_SYMBOLS} has their declarations.
 *
 * @example A timer of the kernel's
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import {
 *   check,
 *   linux,
 *   LINUX_ONLY,
 *   type LinuxLibc,
 *   POSIX,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * function startTimer(
 *   { timerfd_create, timerfd_settime }: LinuxLibc,
 *   ms: number,
 * ): FileDescriptor {
 *   const { NONBLOCK, CLOEXEC } = LINUX_ONLY;
 *   const fd = timerfd_create(POSIX.CLOCK_MONOTONIC, NONBLOCK | CLOEXEC);
 *   const timer = FileDescriptor.adopt(check(fd, "Cannot make a timer"));
 *   // struct itimerspec: twice seconds and nanoseconds, the second for the first
 *   // time.
 *   const time = new BigInt64Array([0n, 0n, 0n, BigInt(ms) * 1_000_000n]);
 *   check(
 *     timerfd_settime(timer.fileno(), 0, time, new BigInt64Array(4)),
 *     "Cannot set the timer",
 *   );
 *   return timer;
 * }
 *
 * if (Deno.build.os === "linux") {
 *   using timer = startTimer(linux(), 5);
 *   await reactor.readable(timer);
 *   const times = new BigUint64Array(1);
 *   timer.read(new Uint8Array(times.buffer));
 *   assertEquals(times[0], 1n);
 * }
 * ```
 */
export type LinuxLibc = Deno.DynamicLibrary<typeof LINUX_SYMBOLS>["symbols"];

/** What opening the C library gave. */
interface Opened {
  /** The name or path that worked; the worker opens the same. */
  readonly path: string;
  readonly posix: Libc;
  readonly linux: LinuxLibc | undefined;
  /** errno's address on this thread. */
  readonly errno: Deno.PointerValue;
}

let opened: Opened | undefined;
let closed = 0;
const errnoValue = new Int32Array(1);

/**
 * The functions that Linux and macOS share. Opens the C library at the first
 * call.
 *
 * @returns The table; each function returns what C returns, -1 and an
 * {@linkcode errno} included.
 * @throws {Deno.errors.NotCapable} When the program runs without `--allow-ffi`.
 * @throws {Deno.errors.NotSupported} When the system is neither Linux nor
 * macOS.
 *
 * @example Asking whether a descriptor is a terminal
 * ```ts
 * import { libc } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(libc().isatty(-1), 0);
 * ```
 */
export function libc(): Libc {
  return (opened ??= open()).posix;
}

/**
 * The functions that only Linux has: epoll, eventfd, timerfd, inotify.
 *
 * @returns The table; each function returns what C returns.
 * @throws {Deno.errors.NotCapable} When the program runs without `--allow-ffi`.
 * @throws {Deno.errors.NotSupported} When the system is not Linux.
 *
 * @example Making an inotify descriptor
 * ```ts no-assert
 * import { libc, linux, LINUX_ONLY } from "@interleave/reactor/ffi";
 *
 * if (Deno.build.os === "linux") {
 *   const fd = linux().inotify_init1(LINUX_ONLY.NONBLOCK | LINUX_ONLY.CLOEXEC);
 *   libc().close(fd);
 * }
 * ```
 */
export function linux(): LinuxLibc {
  const { linux } = opened ??= open();
  if (linux === undefined) {
    throw new Deno.errors.NotSupported(
      `Cannot call a Linux function: this is ${Deno.build.os}`,
    );
  }
  return linux;
}

/**
 * Puts other functions in the place of the C library's, for all of the package:
 * the seam where faults of the system are tried. Who has taken a function from
 * {@linkcode libc} already keeps it.
 *
 * @param calls Those that are to be others.
 * @returns Puts back what was there before when it is disposed of.
 */
export function substitute(calls: Partial<Libc & LinuxLibc>): Disposable {
  const before = opened ??= open();
  const { posix, linux } = before;
  opened = {
    ...before,
    posix: { ...posix, ...calls },
    linux: linux && { ...linux, ...calls },
  };
  return {
    [Symbol.dispose]() {
      opened = before;
    },
  };
}

/**
 * How often a number may have changed hands: calls of `close` and `dup2`
 * through {@linkcode libc}. As long as it stands still, a descriptor that was
 * looked at need not be looked at again.
 */
export function closeCount(): number {
  return closed;
}

/**
 * The name under which the C library was opened, for the worker to open the
 * same.
 */
export function libcPath(): string {
  return (opened ??= open()).path;
}

/**
 * The error number that the last failed call on this thread left behind.
 *
 * Read it in the very next expression. Deno's own work in between can overwrite
 * it, if rarely, so no control flow should hang on it alone.
 *
 * @returns The number, as in {@linkcode errnoName}.
 *
 * @example Why a call failed
 * ```ts
 * import { errno, errnoName, libc } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(libc().close(-1), -1);
 * assertEquals(errnoName(errno()), "EBADF");
 * ```
 */
export function errno(): number {
  const { posix, errno } = opened ??= open();
  posix.memcpy(errnoValue, errno, 4);
  return errnoValue[0]!;
}

function open(): Opened {
  const candidates = CANDIDATES[Deno.build.os];
  if (candidates === undefined) {
    throw new Deno.errors.NotSupported(
      `Cannot wait for file descriptors on ${Deno.build.os}: poll() is called through the C library of Linux or macOS`,
    );
  }
  let failure: unknown;
  for (const path of permitted(candidates)) {
    try {
      return openFrom(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw explain(error);
      failure ??= error;
    }
  }
  throw new Deno.errors.NotFound(
    `Cannot open the C library: tried ${candidates.join(", ")}`,
    { cause: failure },
  );
}

/**
 * The candidates to try. Under a scoped grant only an absolute path that was
 * granted word for word can be opened, and every other attempt would ask the
 * person at the terminal; with no grant at all there is one attempt, so that
 * Deno says or asks once.
 */
function permitted(candidates: readonly string[]): readonly string[] {
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") {
    return candidates;
  }
  const granted = candidates.filter((path) =>
    path.startsWith("/") &&
    Deno.permissions.querySync({ name: "ffi", path }).state === "granted"
  );
  return granted.length > 0 ? granted : candidates.slice(0, 1);
}

/** Deno's own error, with the flag that helps. */
function explain(error: Error): Error {
  error.message +=
    '. Waiting for file descriptors calls the C library: the bare "--allow-ffi" flag permits it';
  return error;
}

/** Counts what gives numbers back. */
function counted(symbols: Libc): Libc {
  const { close, dup2 } = symbols;
  return {
    ...symbols,
    close: (fd) => (closed++, close(fd)),
    dup2: (from, to) => (closed++, dup2(from, to)),
  };
}

function openFrom(path: string): Opened {
  if (Deno.build.os === "darwin") return openOnDarwin(path);
  const { symbols } = Deno.dlopen(path, {
    ...POSIX_SYMBOLS,
    ...VARIADIC_IN_REGISTERS,
    ...LINUX_SYMBOLS,
  });
  const { fstat, __fxstat } = symbols;
  const posix: Libc = {
    ...symbols,
    // Version 1 of the structure is the 64-bit one, the only one these systems
    // have.
    fstat: fstat ?? ((fd, status) => __fxstat!(1, fd, status)),
  };
  return {
    path,
    posix: counted(posix),
    linux: symbols,
    errno: symbols.__errno_location(),
  };
}

function openOnDarwin(path: string): Opened {
  if (Deno.build.arch !== "aarch64") {
    const { symbols } = Deno.dlopen(path, {
      ...POSIX_SYMBOLS,
      ...VARIADIC_IN_REGISTERS,
      ...DARWIN_SYMBOLS,
    });
    const fstat = symbols.fstat$INODE64 ?? symbols.fstat;
    return {
      path,
      posix: counted({ ...symbols, fstat }),
      linux: undefined,
      errno: symbols.__error(),
    };
  }
  const { symbols } = Deno.dlopen(path, {
    ...POSIX_SYMBOLS,
    ...VARIADIC_ON_THE_STACK,
    ...DARWIN_SYMBOLS,
  });
  const { open, fcntl, ioctl } = symbols;
  const posix: Libc = {
    ...symbols,
    open: (path, flags, mode) =>
      open(path, flags, 0, 0, 0, 0, 0, 0, BigInt(mode)),
    fcntl: (fd, command, argument) =>
      fcntl(fd, command, 0, 0, 0, 0, 0, 0, BigInt(argument)),
    ioctl: (fd, request, argument) =>
      ioctl(fd, request, 0, 0, 0, 0, 0, 0, argument),
  };
  return {
    path,
    posix: counted(posix),
    linux: undefined,
    errno: symbols.__error(),
  };
}
