/**
 * Which file a number stands for.
 *
 * A number that is closed is soon used again, and nothing about the number tells.
 * The device and the inode of its file do, from `fstat`, but for one kind: what
 * Linux calls anonymous (eventfds, timerfds, inotify, ...) all share one inode.
 * For these an epoll set serves as the witness: it knows its members by open file
 * and number together (fs/eventpoll.c).
 *
 * @module
 */

import { LINUX_ONLY } from "./constants.ts";
import { errno, libc, linux } from "./libc.ts";

const onLinux = Deno.build.os === "linux";

/** struct stat fits, on all systems. */
const status = new Int32Array(64);

/** Where `st_mode` stands in Linux's struct stat, in words. */
const MODE = Deno.build.arch === "x86_64" ? 6 : 4;
/** The bits of the mode that tell the kind of file: none, of an anonymous one. */
const S_IFMT = 0o170000;

/** A file, as far as it can be told from others. */
export interface FileIdentity {
  readonly device: number;
  readonly inodeLow: number;
  readonly inodeHigh: number;
  readonly anonymous: boolean;
}

/** Tells whether numbers still stand for the files that they stood for. */
export class FileIdentities {
  #witness = -1;
  readonly #event = new Int32Array(4);

  /**
   * Looks at a number for the first time.
   *
   * @returns Which file it is, or the errno that says why there is none.
   */
  identify(fd: number): FileIdentity | number {
    if (libc().fstat(fd, status) !== 0) return whyNoStatus(fd);
    const anonymous = onLinux && (status[MODE]! & S_IFMT) === 0 &&
      this.#testify(fd);
    // It begins alike where it matters, on Linux (x86-64, arm64) and macOS: the
    // device in word 0, the inode in words 2 and 3.
    return {
      device: status[0]!,
      inodeLow: status[2]!,
      inodeHigh: status[3]!,
      anonymous,
    };
  }

  /**
   * Adds a number to the witness. Without descriptors left there is none. It may
   * be there already: a duplicate kept the file, which has come back under its
   * old number.
   */
  #testify(fd: number): boolean {
    const { epoll_create1, epoll_ctl } = linux();
    const { EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLLET } = LINUX_ONLY;
    if (this.#witness < 0) this.#witness = epoll_create1(LINUX_ONLY.CLOEXEC);
    this.#event[0] = EPOLLET; // It asks for nothing.
    return epoll_ctl(this.#witness, EPOLL_CTL_ADD, fd, this.#event) === 0 ||
      epoll_ctl(this.#witness, EPOLL_CTL_MOD, fd, this.#event) === 0;
  }

  /** Whether a number stands for that file now. */
  matches(fd: number, identity: FileIdentity): boolean {
    if (identity.anonymous) {
      const { epoll_ctl } = linux();
      const MOD = LINUX_ONLY.EPOLL_CTL_MOD;
      return epoll_ctl(this.#witness, MOD, fd, this.#event) === 0;
    }
    return libc().fstat(fd, status) === 0 && status[0] === identity.device &&
      status[2] === identity.inodeLow && status[3] === identity.inodeHigh;
  }

  /** The number is of no interest any more. */
  forget(fd: number, identity: FileIdentity): void {
    if (!identity.anonymous) return;
    const DEL = LINUX_ONLY.EPOLL_CTL_DEL;
    linux().epoll_ctl(this.#witness, DEL, fd, this.#event);
  }

  /** Closes what was opened for it. */
  close(): void {
    if (this.#witness >= 0) libc().close(this.#witness);
  }
}

/** Looks until errno says the same twice: one look is not always to be trusted. */
function whyNoStatus(fd: number): number {
  for (let before = errno();;) {
    libc().fstat(fd, status);
    const now = errno();
    if (now === before) return now;
    before = now;
  }
}
