/**
 * What each call of the package may fail with.
 *
 * The lists are those of the section ERRORS of the manual page that is named
 * (man-pages 6), complete, whether the reactor can bring them about or not. What
 * the page leaves open, as "other errors may occur", is left out.
 *
 * @module
 */

import { ERRNO } from "../../ffi/errno.ts";

/** A call's ways to fail. */
export interface Failures {
  /** The manual page. */
  readonly page: string;
  /** Names of errnos. */
  readonly errnos: readonly string[];
}

/** A call whose faults are tried. */
export type FailingCall =
  | "accept"
  | "bind"
  | "close"
  | "connect"
  | "dup3"
  | "epoll_create1"
  | "epoll_ctl"
  | "epoll_wait"
  | "eventfd"
  | "fstat"
  | "getsockopt"
  | "listen"
  | "pidfd_open"
  | "pipe2"
  | "poll"
  | "read"
  | "readlink"
  | "recv"
  | "send"
  | "sendmsg"
  | "socket"
  | "socketpair"
  | "timerfd_create"
  | "timerfd_settime"
  | "waitpid"
  | "write";

// deno-fmt-ignore
const SEND = [
  "EACCES", "EAGAIN", "EALREADY", "EBADF", "ECONNRESET", "EDESTADDRREQ",
  "EFAULT", "EINTR", "EINVAL", "EISCONN", "EMSGSIZE", "ENOBUFS", "ENOMEM",
  "ENOTCONN", "ENOTSOCK", "EOPNOTSUPP", "EPIPE",
];

/** The calls of the sets, of sockets, and of whatever else the package makes. */
export const FAILURES: Readonly<Record<FailingCall, Failures>> = {
  accept: {
    page: "accept(2)",
    // deno-fmt-ignore
    errnos: [
      "EAGAIN", "EBADF", "ECONNABORTED", "EFAULT", "EINTR", "EINVAL", "EMFILE",
      "ENFILE", "ENOBUFS", "ENOMEM", "ENOTSOCK", "EOPNOTSUPP", "EPERM", "EPROTO",
    ],
  },
  bind: {
    page: "bind(2)",
    // deno-fmt-ignore
    errnos: [
      "EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EBADF", "EFAULT", "EINVAL",
      "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOMEM", "ENOTDIR", "ENOTSOCK",
      "EROFS",
    ],
  },
  connect: {
    page: "connect(2)",
    // deno-fmt-ignore
    errnos: [
      "EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EAGAIN",
      "EALREADY", "EBADF", "ECONNREFUSED", "EFAULT", "EINPROGRESS", "EINTR",
      "EISCONN", "ENETUNREACH", "ENOTSOCK", "EPERM", "EPROTOTYPE", "ETIMEDOUT",
    ],
  },
  epoll_create1: {
    page: "epoll_create(2)",
    errnos: ["EINVAL", "EMFILE", "ENFILE", "ENOMEM"],
  },
  epoll_ctl: {
    page: "epoll_ctl(2)",
    // deno-fmt-ignore
    errnos: [
      "EBADF", "EEXIST", "EINVAL", "ELOOP", "ENOENT", "ENOMEM", "ENOSPC",
      "EPERM",
    ],
  },
  epoll_wait: {
    page: "epoll_wait(2)",
    errnos: ["EBADF", "EFAULT", "EINTR", "EINVAL"],
  },
  eventfd: {
    page: "eventfd(2)",
    errnos: ["EINVAL", "EMFILE", "ENFILE", "ENODEV", "ENOMEM"],
  },
  timerfd_create: {
    page: "timerfd_create(2)",
    errnos: ["EINVAL", "EMFILE", "ENFILE", "ENODEV", "ENOMEM", "EPERM"],
  },
  timerfd_settime: {
    page: "timerfd_create(2)",
    errnos: ["EBADF", "ECANCELED", "EFAULT", "EINVAL"],
  },
  dup3: {
    page: "dup(2)",
    errnos: ["EBADF", "EBUSY", "EINTR", "EINVAL", "EMFILE"],
  },
  getsockopt: {
    page: "getsockopt(2)",
    errnos: ["EBADF", "EFAULT", "EINVAL", "ENOPROTOOPT", "ENOTSOCK"],
  },
  listen: {
    page: "listen(2)",
    errnos: ["EADDRINUSE", "EBADF", "ENOTSOCK", "EOPNOTSUPP"],
  },
  pidfd_open: {
    page: "pidfd_open(2)",
    errnos: ["EINVAL", "EMFILE", "ENFILE", "ENODEV", "ENOMEM", "ESRCH"],
  },
  /** Without ENOPKG, which is about a flag that is not used here. */
  pipe2: {
    page: "pipe(2)",
    errnos: ["EFAULT", "EINVAL", "EMFILE", "ENFILE"],
  },
  poll: {
    page: "poll(2)",
    errnos: ["EFAULT", "EINTR", "EINVAL", "ENOMEM"],
  },
  read: {
    page: "read(2)",
    errnos: ["EAGAIN", "EBADF", "EFAULT", "EINTR", "EINVAL", "EIO", "EISDIR"],
  },
  readlink: {
    page: "readlink(2)",
    // deno-fmt-ignore
    errnos: [
      "EACCES", "EFAULT", "EINVAL", "EIO", "ELOOP", "ENAMETOOLONG", "ENOENT",
      "ENOMEM", "ENOTDIR",
    ],
  },
  write: {
    page: "write(2)",
    // deno-fmt-ignore
    errnos: [
      "EAGAIN", "EBADF", "EDESTADDRREQ", "EDQUOT", "EFAULT", "EFBIG", "EINTR",
      "EINVAL", "EIO", "ENOSPC", "EPERM", "EPIPE",
    ],
  },
  close: {
    page: "close(2)",
    errnos: ["EBADF", "EDQUOT", "EINTR", "EIO", "ENOSPC"],
  },
  /** Those of a descriptor, not of a path. */
  fstat: {
    page: "stat(2)",
    errnos: ["EBADF", "EFAULT", "ENOMEM", "EOVERFLOW"],
  },
  recv: {
    page: "recv(2)",
    // deno-fmt-ignore
    errnos: [
      "EAGAIN", "EBADF", "ECONNREFUSED", "EFAULT", "EINTR", "EINVAL", "ENOMEM",
      "ENOTCONN", "ENOTSOCK",
    ],
  },
  send: {
    page: "send(2)",
    errnos: SEND,
  },
  /** With descriptors. */
  sendmsg: {
    page: "send(2) and unix(7)",
    errnos: [...SEND, "ETOOMANYREFS"],
  },
  socket: {
    page: "socket(2)",
    // deno-fmt-ignore
    errnos: [
      "EACCES", "EAFNOSUPPORT", "EINVAL", "EMFILE", "ENFILE", "ENOBUFS",
      "ENOMEM", "EPROTONOSUPPORT",
    ],
  },
  socketpair: {
    page: "socketpair(2)",
    // deno-fmt-ignore
    errnos: [
      "EAFNOSUPPORT", "EFAULT", "EMFILE", "ENFILE", "EOPNOTSUPP",
      "EPROTONOSUPPORT",
    ],
  },
  /** With WNOHANG. */
  waitpid: {
    page: "wait(2)",
    errnos: ["EAGAIN", "ECHILD", "EINTR", "EINVAL", "ESRCH"],
  },
};

/** The number of an errno. */
export function numberOf(name: string): number {
  const number = ERRNO[name];
  if (number === undefined) throw new RangeError(`No errno is called ${name}`);
  return number;
}
