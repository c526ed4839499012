/**
 * The paths of UNIX sockets: taking one, and giving it back.
 *
 * @module
 */

import { checkInteger } from "../../ffi/arguments.ts";
import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { ERRNO, type SystemError, systemError } from "../../ffi/errno.ts";
import { beginConnect, bindSocket, openSocket } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import {
  identifyFile,
  isSocketFile,
  LockFile,
  removeFile,
  setFileMode,
} from "../../ffi/socket_files.ts";
import { cannotListen } from "./cannot_listen.ts";

/**
 * How a UNIX socket comes to its path.
 *
 * @example One program at a time
 * ```ts
 * import {
 *   CannotListenError,
 *   listen,
 *   type UnixPathOptions,
 * } from "@interleave/reactor/net";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const options: UnixPathOptions = { mode: 0o600, wantPID: true };
 * const path = `/tmp/service ${crypto.randomUUID()}`;
 * await using _port = listen({ path, ...options });
 *
 * const error = assertThrows(
 *   () => listen({ path, ...options }), // The same program, started once more.
 *   CannotListenError,
 * );
 * assertEquals(error.code, "EADDRINUSE");
 * ```
 */
export interface UnixPathOptions {
  /**
   * The permissions of the socket's file, such as `0o600`. On Linux, whoever may
   * write to it may connect (unix(7)). Abstract names have none.
   *
   * @default {undefined} What the umask leaves of `0o777`.
   */
  mode?: number;
  /**
   * Whether to hold a lock beside the socket, a file with `.lock` added to its
   * name and the process's id in it. Then a socket that a program left behind
   * when it was killed is removed. Abstract names need none.
   *
   * @default {false}
   */
  wantPID?: boolean;
}

/** Throws what is wrong with the options. */
export function checkUnixPathOptions(
  { mode }: UnixPathOptions,
  action: string,
): void {
  if (mode !== undefined) checkInteger(mode, action, "options.mode", 0, 0o7777);
}

/** Where a socket is, from its opening to its end. */
export class UnixPath {
  readonly address: SocketAddress;
  readonly #path: string;
  readonly #type: number;
  readonly #options: UnixPathOptions;
  #lock: LockFile | undefined;
  /** The file that is the socket's, and no other that has come in its place. */
  #file: string | undefined;

  /**
   * @param path The path, or an abstract name.
   * @param type `POSIX.SOCK_STREAM` or `SOCK_DGRAM`.
   */
  constructor(path: string, type: number, options: UnixPathOptions) {
    this.address = SocketAddress.unix(path);
    this.#path = path;
    this.#type = type;
    this.#options = options;
  }

  /**
   * Makes a socket that has the path.
   *
   * @param prepare What else there is to do with it.
   * @throws {CannotListenError} When that is not possible.
   */
  open(prepare?: (fd: number) => void): number {
    const isFile = this.#path[0] !== "\0";
    const { mode, wantPID = false } = this.#options;
    let fd = -1;
    let bound = false;
    try {
      if (isFile && wantPID) this.#takeLock();
      fd = openSocket(POSIX.AF_UNIX, this.#type);
      this.#bind(fd);
      bound = true;
      if (isFile) this.#file = identifyFile(this.#path);
      // Before anybody can connect.
      if (isFile && mode !== undefined) setFileMode(this.#path, mode);
      prepare?.(fd);
      return fd;
    } catch (error) {
      if (fd !== -1) closeDescriptor(fd);
      if (bound) this.release();
      else this.#unlock();
      throw cannotListen(`${this.address}`, error);
    }
  }

  /**
   * Removes the socket's file, after the socket was closed. Another that has
   * come in its place is left alone: it cannot have got the same inode, of which
   * the socket held on to the last.
   */
  release(): void {
    if (this.#file !== undefined && this.#file === identifyFile(this.#path)) {
      removeFile(this.#path);
    }
    this.#file = undefined;
    this.#unlock();
  }

  #takeLock(): void {
    this.#lock = LockFile.take(`${this.#path}.lock`);
    if (this.#lock !== undefined) return;
    throw systemError(
      `Another program holds "${this.#path}.lock"`,
      ERRNO.EADDRINUSE!,
    );
  }

  #unlock(): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
  }

  #bind(fd: number): void {
    try {
      bindSocket(fd, this.address);
    } catch (error) {
      const { errno } = error as SystemError;
      // Only who holds the lock may do that: another could bind in between.
      if (errno !== ERRNO.EADDRINUSE || this.#lock === undefined) throw error;
      if (!this.#isStale()) throw error;
      removeFile(this.#path);
      bindSocket(fd, this.address);
    }
  }

  /** Whether the path is that of a socket with nobody behind it. */
  #isStale(): boolean {
    if (!isSocketFile(this.#path)) return false;
    const fd = openSocket(POSIX.AF_UNIX, this.#type);
    try {
      return beginConnect(fd, this.address) === ERRNO.ECONNREFUSED;
    } finally {
      closeDescriptor(fd);
    }
  }
}
