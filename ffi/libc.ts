/**
 * The C library: one symbol table a system, opened at the first use and never closed.
 *
 * How the table is declared:
 *
 * - Memory is always passed as `"buffer"`. That needs no `UnsafePointer`, so everything here also works under a grant that is scoped to the
 *   library's absolute path, where Deno takes the pointer functions away.
 * - `size_t`, `ssize_t` and `nfds_t` are declared as 32 bits. A JavaScript number given to a 64-bit parameter leaves Deno's fast call path,
 *   which costs more than most of these system calls; both calling conventions (System V x86-64, AAPCS64) pass the value zero-extended in
 *   a whole register, and no length here comes near 2^31.
 * - Variadic functions (`open`, `fcntl`, `ioctl`) can be declared with fixed parameters where variadic arguments travel in registers. Apple's
 *   arm64 convention puts them on the stack instead: there, six fillers use up the registers first, so that the next argument lands on the stack.
 *
 * @module
 */

// The tables are checked against Deno.ForeignLibraryInterface where they are opened; `satisfies` here would keep their types from being
// read off the source alone, which the registry asks for.

/** Functions that take the same fixed parameters on every POSIX system. */
const POSIX_SYMBOLS = {
  /** `int poll(struct pollfd *fds, nfds_t nfds, int timeout)` */
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  /** `ssize_t read(int fd, void *buf, size_t count)` */
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `ssize_t write(int fd, const void *buf, size_t count)` */
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int close(int fd)` */
  close: { parameters: ["i32"], result: "i32" },
  /** `int pipe(int fds[2])` */
  pipe: { parameters: ["buffer"], result: "i32" },
  /** `int dup(int fd)` */
  dup: { parameters: ["i32"], result: "i32" },
  /** `int dup2(int old, int new)` */
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  /** `int isatty(int fd)` */
  isatty: { parameters: ["i32"], result: "i32" },
  /** `int mkfifo(const char *path, mode_t mode)` */
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
  /** `int socketpair(int domain, int type, int protocol, int fds[2])` */
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  /** `int socket(int domain, int type, int protocol)` */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int bind(int fd, const struct sockaddr *address, socklen_t length)` */
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int listen(int fd, int backlog)` */
  listen: { parameters: ["i32", "i32"], result: "i32" },
  /** `int accept(int fd, struct sockaddr *address, socklen_t *length)` */
  accept: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** `int connect(int fd, const struct sockaddr *address, socklen_t length)` */
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int shutdown(int fd, int how)` */
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  /** `int getsockname(int fd, struct sockaddr *address, socklen_t *length)` */
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** `int getsockopt(int fd, int level, int option, void *value, socklen_t *length)` */
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** `int setsockopt(int fd, int level, int option, const void *value, socklen_t length)` */
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** `ssize_t recv(int fd, void *buf, size_t length, int flags)` */
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** `ssize_t send(int fd, const void *buf, size_t length, int flags)` */
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** `int posix_openpt(int flags)` */
  posix_openpt: { parameters: ["i32"], result: "i32" },
  /** `int grantpt(int fd)` */
  grantpt: { parameters: ["i32"], result: "i32" },
  /** `int unlockpt(int fd)` */
  unlockpt: { parameters: ["i32"], result: "i32" },
  /** `int ptsname_r(int fd, char *name, size_t length)`; returns an errno on Linux and -1 on macOS */
  ptsname_r: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `pid_t waitpid(pid_t pid, int *status, int options)` */
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `int kill(pid_t pid, int signal)` */
  kill: { parameters: ["i32", "i32"], result: "i32" },
  /** `void *memcpy(void *to, const void *from, size_t length)`; reads what a pointer points to without `UnsafePointerView` */
  memcpy: { parameters: ["buffer", "pointer", "u32"], result: "void" },
} as const;

/** Variadic functions, where variadic arguments travel like the others. */
const VARIADIC_IN_REGISTERS = {
  /** `int open(const char *path, int flags, mode_t mode)` */
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  /** `int fcntl(int fd, int command, int argument)` */
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int ioctl(int fd, unsigned long request, void *argument)` */
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
} as const;

/** The same functions for Apple's arm64: fillers use up registers x2 to x7, and the argument goes to the stack. */
const VARIADIC_ON_THE_STACK = {
  open: {
    parameters: [
      "buffer",
      "i32",
      "i32",
      "i32",
      "i32",
      "i32",
      "i32",
      "i32",
      "i64",
    ],
    result: "i32",
  },
  fcntl: {
    parameters: ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i64"],
    result: "i32",
  },
  ioctl: {
    parameters: [
      "i32",
      "u32",
      "i32",
      "i32",
      "i32",
      "i32",
      "i32",
      "i32",
      "buffer",
    ],
    result: "i32",
  },
} as const;

/** What only Linux has, glibc and musl alike. */
const LINUX_SYMBOLS = {
  /** `int *__errno_location(void)`; the address belongs to the calling thread */
  __errno_location: { parameters: [], result: "pointer" },
  /** `int fstat(int fd, struct stat *status)`; glibc exports it since 2.33 */
  fstat: { parameters: ["i32", "buffer"], result: "i32", optional: true },
  /** `int __fxstat(int version, int fd, struct stat *status)`; what older glibc has instead */
  __fxstat: {
    parameters: ["i32", "i32", "buffer"],
    result: "i32",
    optional: true,
  },
  /** `int pipe2(int fds[2], int flags)` */
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  /** `int dup3(int old, int new, int flags)` */
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)` */
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  /** `int epoll_create1(int flags)` */
  epoll_create1: { parameters: ["i32"], result: "i32" },
  /** `int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)` */
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  /** `int epoll_wait(int set, struct epoll_event *events, int length, int timeout)` */
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  /** `int eventfd(unsigned int value, int flags)` */
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  /** `int timerfd_create(int clock, int flags)` */
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  /** `int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)` */
  timerfd_settime: {
    parameters: ["i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** `int inotify_init1(int flags)` */
  inotify_init1: { parameters: ["i32"], result: "i32" },
  /** `int inotify_add_watch(int fd, const char *path, uint32_t mask)` */
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `long syscall(long number, long first, long second)`; for calls that an older C library does not wrap, such as pidfd_open (434) */
  syscall: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int inotify_rm_watch(int fd, int watch)` */
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
} as const;

/** What only macOS has. */
const DARWIN_SYMBOLS = {
  /** `int *__error(void)`: errno's address */
  __error: { parameters: [], result: "pointer" },
  /** `int fstat(int fd, struct stat *status)`; on Intel the plain name is the layout with 32-bit inodes */
  fstat: {
    name: Deno.build.arch === "x86_64" ? "fstat$INODE64" : "fstat",
    parameters: ["i32", "buffer"],
    result: "i32",
  },
} as const;

/** Where the C library is found: the ordinary name first, then the absolute paths that a scoped grant can name. */
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

/** The functions that every supported system has. */
export type Libc =
  & Deno.DynamicLibrary<
    typeof POSIX_SYMBOLS & typeof VARIADIC_IN_REGISTERS
  >["symbols"]
  & {
    /** `int fstat(int fd, struct stat *status)` */
    fstat(fd: number, status: BufferSource): number;
  };

/** The functions that only Linux has. */
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
 * The functions that Linux and macOS share. Opens the C library at the first call.
 *
 * @returns The table; each function returns what C returns, -1 and an {@linkcode errno} included.
 * @throws {Deno.errors.NotCapable} When the program runs without `--allow-ffi`.
 * @throws {Deno.errors.NotSupported} When the system is neither Linux nor macOS.
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
 * How often a number may have changed hands: calls of `close` and `dup2` through {@linkcode libc}. As long as it stands
 * still, a descriptor that was looked at need not be looked at again.
 */
export function closeCount(): number {
  return closed;
}

/** The name under which the C library was opened, for the worker to open the same. */
export function libcPath(): string {
  return (opened ??= open()).path;
}

/**
 * The error number that the last failed call on this thread left behind.
 *
 * Read it in the very next expression. Deno's own work in between can overwrite it, if rarely, so no control flow should hang on it alone.
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
 * The candidates to try. Under a scoped grant only an absolute path that was granted word for word can be opened, and every other attempt
 * would ask the person at the terminal; with no grant at all there is one attempt, so that Deno says or asks once.
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
  if (Deno.build.os === "darwin") {
    const errnoAddress = (symbols: { __error(): Deno.PointerValue }) =>
      symbols.__error();
    if (Deno.build.arch !== "aarch64") {
      const { symbols } = Deno.dlopen(path, {
        ...POSIX_SYMBOLS,
        ...VARIADIC_IN_REGISTERS,
        ...DARWIN_SYMBOLS,
      });
      return {
        path,
        posix: counted(symbols),
        linux: undefined,
        errno: errnoAddress(symbols),
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
      errno: errnoAddress(symbols),
    };
  }
  const { symbols } = Deno.dlopen(path, {
    ...POSIX_SYMBOLS,
    ...VARIADIC_IN_REGISTERS,
    ...LINUX_SYMBOLS,
  });
  const { fstat, __fxstat } = symbols;
  const posix: Libc = {
    ...symbols,
    // Version 1 of the structure is the 64-bit one, the only one these systems have.
    fstat: fstat ?? ((fd, status) => __fxstat!(1, fd, status)),
  };
  return {
    path,
    posix: counted(posix),
    linux: symbols,
    errno: symbols.__errno_location(),
  };
}
