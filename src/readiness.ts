/**
 * What a wait answers.
 *
 * @module
 */

import { POLL, POSIX } from "../ffi/constants.ts";
import { isFifo } from "../ffi/descriptor.ts";
import { ERRNO, systemError } from "../ffi/errno.ts";
import { libc } from "../ffi/libc.ts";

/**
 * The state of a descriptor that was waited for.
 *
 * @example Reading what was sent before a hang-up
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const [output, input] = FileDescriptor.pipe();
 * input.write(new Uint8Array(3));
 * input.close();
 *
 * const { readable, hangup } = await reactor.readable(output);
 * assert(readable && hangup);
 * assertEquals(output.read(new Uint8Array(100)), 3);
 * assertEquals(output.read(new Uint8Array(100)), null);
 * output.close();
 * ```
 */
export interface Readiness {
  /** The descriptor. */
  readonly fd: number;
  /** There is data to read, or the end of it: a read does not block. */
  readonly readable: boolean;
  /** There is room: a write does not block. */
  readonly writable: boolean;
  /**
   * There is out-of-band data, or a device has something exceptional to say.
   */
  readonly priority: boolean;
  /** The other side has hung up. What it sent before can still be read. */
  readonly hangup: boolean;
  /**
   * The error that is pending on the descriptor. Of a socket it is SO_ERROR,
   * which has been cleared by looking at it: after a `connect`, this is where
   * the outcome is.
   */
  readonly error?: Error;
}

/**
 * What can be waited for: something to read or the end of it, room to write,
 * something out of the ordinary. See {@linkcode Readiness}.
 *
 * @example Asking for room only when there is something to write
 * ```ts
 * import { FileDescriptor, type Interest, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [here, there] = FileDescriptor.socketpair();
 * const queue = [new Uint8Array([1, 2, 3])];
 *
 * const interests: Interest[] = ["readable"];
 * if (queue.length > 0) interests.push("writable");
 * for await (const { writable } of reactor.watch(here, interests)) {
 *   if (writable) here.write(queue.shift()!);
 *   if (queue.length === 0) break;
 * }
 * assertEquals(there.read(new Uint8Array(10)), 3);
 * here.close();
 * there.close();
 * ```
 */
export type Interest = "readable" | "writable" | "priority";

/** The bits of `POLL` that each interest asks for. */
export const MASKS: Readonly<Record<Interest, number>> = {
  readable: POLL.IN,
  writable: POLL.OUT,
  priority: POLL.PRI,
};

/**
 * Puts what the kernel found into words.
 *
 * @param asked The bits that were asked for: with `POLL.IN` among them, a
 * hang-up or an error is something to read, because a read will tell.
 */
export function readinessOf(
  fd: number,
  events: number,
  asked: number,
  pending: PendingError,
): Readiness {
  const ended = (events & (POLL.HUP | POLL.ERR)) !== 0;
  const readiness = {
    fd,
    readable: (events & POLL.IN) !== 0 || ended && (asked & POLL.IN) !== 0,
    writable: (events & POLL.OUT) !== 0,
    priority: (events & POLL.PRI) !== 0,
    hangup: (events & POLL.HUP) !== 0,
  };
  const { error } = pending;
  return error === undefined ? readiness : { ...readiness, error };
}

/** What was found at two times, as one. */
export function merged(earlier: Readiness, later: Readiness): Readiness {
  const { fd } = later;
  const error = later.error ?? earlier.error;
  const readiness = {
    fd,
    readable: earlier.readable || later.readable,
    writable: earlier.writable || later.writable,
    priority: earlier.priority || later.priority,
    hangup: earlier.hangup || later.hangup,
  };
  return error === undefined ? readiness : { ...readiness, error };
}

/**
 * The error behind POLLERR: a socket's SO_ERROR, if nobody has taken it yet.
 * What is no socket has no such word; on a pipe it means that nobody reads any
 * more (pipe(7)), and other devices say nothing more than that they failed.
 *
 * Looking at SO_ERROR clears it, so those who share an event share the look.
 */
export class PendingError {
  readonly #fd: number;
  #looked: boolean;
  #error: Error | undefined;

  /** The error that may be behind these events. */
  constructor(fd: number, events: number) {
    this.#fd = fd;
    this.#looked = (events & POLL.ERR) === 0;
  }

  /** The error, if there is one. */
  get error(): Error | undefined {
    if (!this.#looked) {
      this.#looked = true;
      this.#error = look(this.#fd);
    }
    return this.#error;
  }
}

function look(fd: number): Error | undefined {
  const action = `An error is pending on descriptor ${fd}`;
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  const { getsockopt } = libc();
  if (getsockopt(fd, POSIX.SOL_SOCKET, POSIX.SO_ERROR, value, length) === 0) {
    return value[0] === 0 ? undefined : systemError(action, value[0]!);
  }
  return systemError(action, isFifo(fd) ? ERRNO.EPIPE! : ERRNO.EIO!);
}
