/**
 * The files that UNIX sockets have, and the locks beside them.
 *
 * All of this is the C library's: Deno's permissions for files do not apply.
 *
 * @module
 */

import { cString } from "./arguments.ts";
import { POSIX } from "./constants.ts";
import { closeDescriptor, openFile, writeFrom } from "./descriptor.ts";
import { ERRNO, type SystemError, systemError } from "./errno.ts";
import { FileIdentities } from "./file_identity.ts";
import { errno, libcPath } from "./libc.ts";

const SYMBOLS = {
  /** `int chmod(const char *path, mode_t mode)` */
  chmod: { parameters: ["buffer", "u32"], result: "i32" },
  /**
   * `int lstat(const char *path, struct stat *status)`; glibc exports it since
   * 2.33
   */
  lstat: {
    parameters: ["buffer", "buffer"],
    result: "i32",
    optional: true,
  },
  /**
   * `int __lxstat(int version, const char *path, struct stat *status)`; what
   * older glibc has instead
   */
  __lxstat: {
    parameters: ["i32", "buffer", "buffer"],
    result: "i32",
    optional: true,
  },
  /** The same as `lstat`, with inodes of 64 bits, on Intel Macs */
  lstat$INODE64: {
    parameters: ["buffer", "buffer"],
    result: "i32",
    optional: true,
  },
  /** `int unlink(const char *path)` */
  unlink: { parameters: ["buffer"], result: "i32" },
  /** `int flock(int fd, int operation)` */
  flock: { parameters: ["i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `<sys/file.h>`: alone, and without waiting; the same on all systems. */
const LOCK_EX = 2;
const LOCK_NB = 4;

type FileSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Opened at the first use, and never closed. */
let opened: FileSymbols | undefined;

function files(): FileSymbols {
  return opened ??= Deno.dlopen(libcPath(), SYMBOLS).symbols;
}

/**
 * Sets the permissions of a file.
 *
 * @param path Where it is.
 * @param mode The permissions. The umask does not count.
 * @throws {SystemError} When that is not allowed.
 */
export function setFileMode(path: string, mode: number): void {
  const file = cString(path, "set the mode of a file", "path");
  for (let before = 0;;) {
    if (files().chmod(file, mode) === 0) return;
    const error = errno();
    // One look at errno is not always to be trusted.
    if (error === before) {
      throw systemError(`Cannot set the mode of "${path}"`, error);
    }
    before = error;
  }
}

/**
 * Removes a file, if it is there and that is allowed.
 *
 * @param path Where it is.
 * @returns Whether it was removed.
 */
export function removeFile(path: string): boolean {
  return files().unlink(cString(path, "remove a file", "path")) === 0;
}

/** `struct stat` fits, on all systems. */
const status = new Int32Array(64);

/** The version of `struct stat` that the kernel has, for older glibc. */
const STAT_VERSION = Deno.build.arch === "x86_64" ? 1 : 0;

/**
 * Tells files apart.
 *
 * @param path Where it is. A symbolic link is a file of its own.
 * @returns Its device and inode, as text; undefined if it can't be told.
 */
export function identifyFile(path: string): string | undefined {
  const file = cString(path, "identify a file", "path");
  const { lstat, lstat$INODE64, __lxstat } = files();
  const look = lstat$INODE64 ?? lstat;
  const result = look !== null
    ? look(file, status)
    : __lxstat!(STAT_VERSION, file, status);
  // See FileIdentities for where they are.
  return result === 0 ? `${status[0]}:${status[2]}:${status[3]}` : undefined;
}

/**
 * Asks whether a path is that of a UNIX socket.
 *
 * @param path The path.
 * @returns Whether it is one; false, too, if it can't be told.
 */
export function isSocketFile(path: string): boolean {
  try {
    closeDescriptor(openFile(path, POSIX.O_RDONLY | POSIX.O_NONBLOCK));
    return false;
  } catch (error) {
    // What open(2) has for sockets, on Linux and on macOS.
    const { errno } = error as SystemError;
    return errno === ERRNO.ENXIO || errno === ERRNO.EOPNOTSUPP;
  }
}

/**
 * A file that only one may hold at a time. It contains the pid of who holds it,
 * and the kernel frees it when its holder ends, however that happens.
 */
export class LockFile implements Disposable {
  readonly #path: string;
  #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /**
   * Takes the lock, without waiting for it.
   *
   * @param path Where the file is, or is to be made.
   * @returns The lock; undefined if somebody else holds it.
   * @throws {SystemError} When the file can't be opened, or is a symbolic link.
   */
  static take(path: string): LockFile | undefined {
    for (;;) {
      // Where others can write, a link could lead to a file of this user's.
      const flags = POSIX.O_RDWR | POSIX.O_CREAT | POSIX.O_NOFOLLOW;
      const fd = openFile(path, flags, 0o600);
      if (files().flock(fd, LOCK_EX | LOCK_NB) !== 0) {
        closeDescriptor(fd);
        return undefined;
      }
      if (isStillAt(path, fd)) {
        // Ten characters and a line end, as of old: a longer pid than the one
        // before leaves nothing of it.
        const pid = `${Deno.pid}`.padStart(10) + "\n";
        writeFrom(fd, new TextEncoder().encode(pid));
        return new LockFile(path, fd);
      }
      // Its last holder has removed it in between: this lock is nobody's.
      closeDescriptor(fd);
    }
  }

  /** Removes the file, and lets others make and hold it. */
  [Symbol.dispose](): void {
    if (this.#fd === -1) return;
    // In this order: whoever opens it before it goes finds that it is gone.
    removeFile(this.#path);
    closeDescriptor(this.#fd);
    this.#fd = -1;
  }
}

/** Whether a path is that of an open file. */
function isStillAt(path: string, fd: number): boolean {
  let other;
  try {
    other = openFile(path, POSIX.O_RDONLY);
  } catch {
    return false;
  }
  const identities = new FileIdentities();
  const identity = identities.identify(fd);
  const same = typeof identity !== "number" &&
    identities.matches(other, identity);
  closeDescriptor(other);
  return same;
}
