/**
 * Which file a number stands for.
 *
 * A number that is closed is soon used again, and nothing about the number tells.
 * The device and the inode of its file do, from `fstat`, but for two kinds. The
 * two ends of a pipe share an inode: there the access mode tells. And what Linux
 * calls anonymous (eventfds, timerfds, inotify, ...) all share one. For these an
 * epoll set serves as the witness: it knows its members by open file and number
 * together (fs/eventpoll.c).
 *
 * @module
 */

import { LINUX_ONLY, POSIX } from "./constants.ts";
import { errno, libc, linux } from "./libc.ts";

const onLinux = Deno.build.os === "linux";

/** struct stat fits, on all systems. */
const status = new Int32Array(64);

/** Where `st_mode` stands in Linux's struct stat, in words. */
const MODE = Deno.build.arch === "x86_64" ? 6 : 4;
/** The bits of the mode that tell the kind of file. */
const S_IFMT = 0o170000;
/** None of them: what Linux calls anonymous. */
const ANONYMOUS = 0;
/** A pipe. */
const S_IFIFO = 0o010000;
/** The bits of a file's flags that say how it was opened. */
const O_ACCMODE = 3;

/** A file, as far as it can be told from others. */
export interface FileIdentity {
  readonly device: number;
  readonly inodeLow: number;
  readonly inodeHigh: number;
  readonly anonymous: boolean;
  /** Of a pipe: whether this is its end to read or to write. */
  readonly access: number | undefined;
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
    const reason = look(fd);
    if (reason !== 0) return reason;
    const kind = onLinux ? status[MODE]! & S_IFMT : undefined;
    const access = kind === S_IFIFO ? accessOf(fd) : undefined;
    const anonymous = kind === ANONYMOUS && this.#testify(fd);
    // It begins alike where it matters, on Linux (x86-64, arm64) and macOS: the
    // device in word 0, the inode in words 2 and 3.
    return {
      device: status[0]!,
      inodeLow: status[2]!,
      inodeHigh: status[3]!,
      anonymous,
      access,
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
    return look(fd) === 0 && status[0] === identity.device &&
      status[2] === identity.inodeLow && status[3] === identity.inodeHigh &&
      (identity.access === undefined || identity.access === accessOf(fd));
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

/** How a file was opened: O_RDONLY, O_WRONLY or O_RDWR. */
function accessOf(fd: number): number {
  return libc().fcntl(fd, POSIX.F_GETFL, 0) & O_ACCMODE;
}

/**
 * Looks at the file of a number. One look is not always to be trusted: what fails
 * is made again until errno says the same twice.
 *
 * @returns 0, or the errno.
 */
function look(fd: number): number {
  const { fstat } = libc();
  for (let before = 0;;) {
    if (fstat(fd, status) === 0) return 0;
    const now = errno();
    if (now === before) return now;
    before = now;
  }
}
