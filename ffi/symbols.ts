/**
 * The functions of the C library that are called, with their C declarations.
 *
 * - Memory is always passed as `"buffer"`. That needs no `UnsafePointer`, so
 *   everything here also works under a grant that is scoped to the library's
 *   absolute path, where Deno takes the pointer functions away.
 * - `size_t`, `ssize_t` and `nfds_t` are declared as 32 bits. A JavaScript
 *   number given to a 64-bit parameter leaves Deno's fast call path, which
 *   costs more than most of these system calls; both calling conventions
 *   (System V x86-64, AAPCS64) pass the value zero-extended in a whole
 *   register, and no length here comes near 2^31.
 * - Variadic functions (`open`, `fcntl`, `ioctl`) can be declared with fixed
 *   parameters where variadic arguments travel in registers. Apple's arm64
 *   convention puts them on the stack instead: there, six fillers use up the
 *   registers first, so that the next argument lands on the stack.
 *
 * The tables are checked against `Deno.ForeignLibraryInterface` where they are
 * opened; a `satisfies` here would keep their types from being read off the
 * source alone, which the registry asks for.
 *
 * @module
 */

/**
 * Functions that take the same fixed parameters on every POSIX system.
 *
 * They are open already: {@linkcode libc} returns them. The declarations are for
 * whoever opens the library once more, in a worker or with other options.
 *
 * @example Reading from a slow disk, on a thread of Deno's pool
 * ```ts
 * import {
 *   closeDescriptor,
 *   openFile,
 *   POSIX,
 *   POSIX_SYMBOLS,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const darwin = Deno.build.os === "darwin";
 * const library = Deno.dlopen(
 *   darwin ? "/usr/lib/libSystem.B.dylib" : "libc.so.6",
 *   { read: { ...POSIX_SYMBOLS.read, nonblocking: true } },
 * );
 * const file = openFile("/dev/zero", POSIX.O_RDONLY);
 * assertEquals(
 *   await library.symbols.read(file, new Uint8Array(512), 512),
 *   512,
 * );
 * closeDescriptor(file);
 * library.close();
 * ```
 */
export const POSIX_SYMBOLS = {
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
  /** `ssize_t readlink(const char *path, char *link, size_t length)` */
  readlink: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
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
  /** `int getpeername(int fd, struct sockaddr *address, socklen_t *length)` */
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /**
   * `int getsockopt(int fd, int level, int option, void *value, socklen_t
   * *length)`
   */
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /**
   * `int setsockopt(int fd, int level, int option, const void *value, socklen_t
   * length)`
   */
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** `ssize_t recv(int fd, void *buf, size_t length, int flags)` */
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** `ssize_t send(int fd, const void *buf, size_t length, int flags)` */
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /**
   * `ssize_t recvfrom(int fd, void *buf, size_t length, int flags, struct
   * sockaddr *address, socklen_t *addressLength)`
   */
  recvfrom: {
    parameters: ["i32", "buffer", "u32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /**
   * `ssize_t sendto(int fd, const void *buf, size_t length, int flags, const
   * struct sockaddr *address, socklen_t addressLength)`
   */
  sendto: {
    parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** `ssize_t recvmsg(int fd, struct msghdr *message, int flags)` */
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `ssize_t sendmsg(int fd, const struct msghdr *message, int flags)` */
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /**
   * `struct servent *getservbyname(const char *name, const char *protocol)`;
   * null, here 0, if there is none
   */
  getservbyname: { parameters: ["buffer", "buffer"], result: "u64" },
  /** `void *memcpy(void *to, const void *from, size_t length)` */
  copyFrom: {
    name: "memcpy",
    parameters: ["buffer", "u64", "u32"],
    result: "void",
  },
  /** `unsigned int if_nametoindex(const char *name)`; 0 if there is none */
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  /**
   * `char *if_indextoname(unsigned int index, char *name)`; null, here 0, if
   * there is none
   */
  if_indextoname: { parameters: ["u32", "buffer"], result: "u64" },
  /** `int posix_openpt(int flags)` */
  posix_openpt: { parameters: ["i32"], result: "i32" },
  /** `int grantpt(int fd)` */
  grantpt: { parameters: ["i32"], result: "i32" },
  /** `int unlockpt(int fd)` */
  unlockpt: { parameters: ["i32"], result: "i32" },
  /**
   * `int ptsname_r(int fd, char *name, size_t length)`; returns an errno on
   * Linux and -1 on macOS
   */
  ptsname_r: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `pid_t waitpid(pid_t pid, int *status, int options)` */
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `int kill(pid_t pid, int signal)` */
  kill: { parameters: ["i32", "i32"], result: "i32" },
  /**
   * `void *memcpy(void *to, const void *from, size_t length)`; reads what a
   * pointer points to without `UnsafePointerView`
   */
  memcpy: { parameters: ["buffer", "pointer", "u32"], result: "void" },
  /**
   * `void *memcpy(void *to, const void *from, size_t length)`; returns `to`, so
   * with a length of 0 it tells where a buffer is, as a number
   */
  addressOf: {
    name: "memcpy",
    parameters: ["buffer", "buffer", "u32"],
    result: "u64",
  },
} as const;

/**
 * Variadic functions, where variadic arguments travel like the others: on Linux,
 * and on macOS with a processor of Intel's. {@linkcode libc} has them everywhere.
 *
 * @example A small table, for a worker of one's own
 * ```ts
 * import { POSIX, VARIADIC_IN_REGISTERS } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const { fcntl } = VARIADIC_IN_REGISTERS;
 *   const library = Deno.dlopen("libc.so.6", { fcntl });
 *   assertEquals(library.symbols.fcntl(-1, POSIX.F_GETFL, 0), -1);
 *   library.close();
 * }
 * ```
 */
export const VARIADIC_IN_REGISTERS = {
  /** `int open(const char *path, int flags, mode_t mode)` */
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  /** `int fcntl(int fd, int command, int argument)` */
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int ioctl(int fd, unsigned long request, void *argument)` */
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
} as const;

/**
 * The same functions for Apple's arm64: fillers use up registers x2 to x7, and
 * the argument goes to the stack.
 */
export const VARIADIC_ON_THE_STACK = {
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

/**
 * What only Linux has, glibc and musl alike. {@linkcode linux} returns it, opened.
 *
 * @example The few functions that a worker of one's own calls
 * ```ts
 * import {
 *   LINUX_ONLY,
 *   LINUX_SYMBOLS,
 *   POSIX_SYMBOLS,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const { eventfd } = LINUX_SYMBOLS;
 *   const { read, close } = POSIX_SYMBOLS;
 *   const library = Deno.dlopen("libc.so.6", { eventfd, read, close });
 *   const { symbols } = library;
 *
 *   const wake = symbols.eventfd(3, LINUX_ONLY.NONBLOCK | LINUX_ONLY.CLOEXEC);
 *   const counter = new BigUint64Array(1);
 *   assertEquals(symbols.read(wake, counter, counter.byteLength), 8);
 *   assertEquals(counter[0], 3n);
 *   symbols.close(wake);
 *   library.close();
 * }
 * ```
 */
export const LINUX_SYMBOLS = {
  /**
   * `int *__errno_location(void)`; the address belongs to the calling thread
   */
  __errno_location: { parameters: [], result: "pointer" },
  /** `int fstat(int fd, struct stat *status)`; glibc exports it since 2.33 */
  fstat: { parameters: ["i32", "buffer"], result: "i32", optional: true },
  /**
   * `int __fxstat(int version, int fd, struct stat *status)`; what older glibc
   * has instead
   */
  __fxstat: {
    parameters: ["i32", "i32", "buffer"],
    result: "i32",
    optional: true,
  },
  /** `int pipe2(int fds[2], int flags)` */
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  /** `int dup3(int old, int new, int flags)` */
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /**
   * `int accept4(int fd, struct sockaddr *address, socklen_t *length, int
   * flags)`
   */
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  /** `int epoll_create1(int flags)` */
  epoll_create1: { parameters: ["i32"], result: "i32" },
  /**
   * `int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)`
   */
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  /**
   * `int epoll_wait(int set, struct epoll_event *events, int length, int
   * timeout)`
   */
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  /** `int poll(struct pollfd *fds, nfds_t nfds, int timeout)`, elsewhere */
  pollElsewhere: {
    name: "poll",
    parameters: ["buffer", "u32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  /**
   * `int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
   * const sigset_t *mask)`
   */
  ppoll: { parameters: ["buffer", "u32", "buffer", "buffer"], result: "i32" },
  /** `int eventfd(unsigned int value, int flags)` */
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  /** `int timerfd_create(int clock, int flags)` */
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  /**
   * `int timerfd_settime(int fd, int flags, const struct itimerspec *new,
   * struct itimerspec *old)`
   */
  timerfd_settime: {
    parameters: ["i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** `int inotify_init1(int flags)` */
  inotify_init1: { parameters: ["i32"], result: "i32" },
  /** `int inotify_add_watch(int fd, const char *path, uint32_t mask)` */
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /**
   * `long syscall(long number, long first, long second)`; for calls that an
   * older C library does not wrap, such as pidfd_open (434)
   */
  syscall: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int inotify_rm_watch(int fd, int watch)` */
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
} as const;

/** What only macOS has. */
export const DARWIN_SYMBOLS = {
  /** `int *__error(void)`: errno's address */
  __error: { parameters: [], result: "pointer" },
  /** `int fstat(int fd, struct stat *status)` */
  fstat: { parameters: ["i32", "buffer"], result: "i32" },
  /** The same on Intel, where the plain name is the layout with 32-bit inodes */
  fstat$INODE64: {
    parameters: ["i32", "buffer"],
    result: "i32",
    optional: true,
  },
} as const;
