/**
 * What each call of the running reactor may fail with.
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
  | "close"
  | "dup3"
  | "epoll_create1"
  | "epoll_ctl"
  | "epoll_wait"
  | "eventfd"
  | "fstat"
  | "poll"
  | "read"
  | "recv"
  | "send"
  | "timerfd_create"
  | "timerfd_settime"
  | "write";

/** The calls of the sets, and of a stream's socket. */
export const FAILURES: Readonly<Record<FailingCall, Failures>> = {
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
  poll: {
    page: "poll(2)",
    errnos: ["EFAULT", "EINTR", "EINVAL", "ENOMEM"],
  },
  read: {
    page: "read(2)",
    errnos: ["EAGAIN", "EBADF", "EFAULT", "EINTR", "EINVAL", "EIO", "EISDIR"],
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
    // deno-fmt-ignore
    errnos: [
      "EACCES", "EAGAIN", "EALREADY", "EBADF", "ECONNRESET", "EDESTADDRREQ",
      "EFAULT", "EINTR", "EINVAL", "EISCONN", "EMSGSIZE", "ENOBUFS", "ENOMEM",
      "ENOTCONN", "ENOTSOCK", "EOPNOTSUPP", "EPIPE",
    ],
  },
};

/** The number of an errno. */
export function numberOf(name: string): number {
  const number = ERRNO[name];
  if (number === undefined) throw new RangeError(`No errno is called ${name}`);
  return number;
}
