/**
 * The errors that the reactor throws, rejects with and hands to descriptors.
 *
 * Each class sets its name and its usual message on the prototype, in its
 * static block. The name is then there when V8 writes the first line of the
 * stack, it survives a minifier, and a printed error does not list it among the
 * fields.
 */

import { show } from "./arguments.ts";

/** What an error of the reactor can carry besides its message. */
export interface ReactorErrorOptions {
  /** What led to this error. */
  cause?: unknown;
  /**
   * The kernel's name for what happened, such as `"EBADF"`. Set only where the
   * kernel spoke.
   */
  code?: string;
  /** The kernel's number for what happened. Set only where the kernel spoke. */
  errno?: number;
}

/**
 * The base of all errors of this package. Each has its class name as `name`,
 * and `code` and `errno` where the kernel spoke.
 *
 * @example Telling the reactor's errors from others
 * ```ts
 * import { ReactorError, ReactorNotRunning } from "@interleave/reactor";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const error = new ReactorNotRunning();
 * assert(error instanceof ReactorError);
 * assertEquals(error.name, "ReactorNotRunning");
 * ```
 */
export class ReactorError extends Error {
  static {
    this.prototype.name = "ReactorError";
  }

  /**
   * The kernel's name for what happened, such as `"EBADF"`. Absent where the
   * kernel had no part in it.
   */
  declare readonly code?: string;

  /**
   * The kernel's number for what happened. Absent where the kernel had no part
   * in it.
   */
  declare readonly errno?: number;

  /**
   * Makes the error.
   *
   * @param message What happened. The class has a sentence for its usual case.
   * @param options The cause, and the kernel's word.
   */
  constructor(message?: string, options: ReactorErrorOptions = {}) {
    // An own message, since a structured clone leaves the prototype behind.
    super(message ?? new.target.prototype.message, options);
    if (options.code !== undefined) this.code = options.code;
    if (options.errno !== undefined) this.errno = options.errno;
  }
}

/** The reactor has not been started, or has ended. */
export class ReactorNotRunning extends ReactorError {
  static {
    this.prototype.name = "ReactorNotRunning";
    this.prototype.message = "The reactor is not running";
  }
}

/** The reactor was started while it was running. */
export class ReactorAlreadyRunning extends ReactorError {
  static {
    this.prototype.name = "ReactorAlreadyRunning";
    this.prototype.message = "The reactor is already running";
  }
}

/** The reactor was started again after it had been stopped or closed. */
export class ReactorNotRestartable extends ReactorError {
  static {
    this.prototype.name = "ReactorNotRestartable";
    this.prototype.message = "The reactor was stopped and cannot start again";
  }
}

/**
 * The thread that waits for the reactor died and could not be replaced: nothing
 * will be reported any more.
 */
export class ReactorFailed extends ReactorError {
  static {
    this.prototype.name = "ReactorFailed";
    this.prototype.message = "The reactor can no longer wait for descriptors";
  }
}

/**
 * A delayed call was to be changed after it had run, or while it was running.
 */
export class AlreadyCalled extends ReactorError {
  static {
    this.prototype.name = "AlreadyCalled";
    this.prototype.message = "The delayed call was already called";
  }
}

/** A delayed call was to be changed after it had been cancelled. */
export class AlreadyCancelled extends ReactorError {
  static {
    this.prototype.name = "AlreadyCancelled";
    this.prototype.message = "The delayed call was already cancelled";
  }
}

/**
 * The other side closed in an orderly way: everything it sent has been read.
 */
export class ConnectionDone extends ReactorError {
  static {
    this.prototype.name = "ConnectionDone";
    this.prototype.message = "The connection was closed cleanly";
  }
}

/**
 * The connection ended without an orderly close: it was reset, it failed, or
 * this side went away.
 */
export class ConnectionLost extends ReactorError {
  static {
    this.prototype.name = "ConnectionLost";
    this.prototype.message = "The connection was lost";
  }
}

/** This side gave the connection up and threw away what was not yet sent. */
export class ConnectionAborted extends ReactorError {
  static {
    this.prototype.name = "ConnectionAborted";
    this.prototype.message = "The connection was aborted";
  }
}

/**
 * A descriptor is ready again and again, and its callback takes nothing from it
 * and gives nothing to it. Only reported: to `onError`, once.
 *
 * Where data waits, the kernel tells no more than how much. A callback that puts
 * back as much as it takes, such as one that talks to itself through a pipe,
 * looks the same; the message says which of the two was seen.
 */
export class DescriptorSpinning extends ReactorError {
  static {
    this.prototype.name = "DescriptorSpinning";
    this.prototype.message = "A descriptor is ready, and nobody uses it";
  }
}

/**
 * A callback has kept the host from everything else. Only reported: to
 * `onError`, once for each callback.
 */
export class CallbackTooSlow extends ReactorError {
  static {
    this.prototype.name = "CallbackTooSlow";
    this.prototype.message = "A callback took too long";
  }
}

/**
 * A waker has taken a work item, and its host has not run it. Only reported: to
 * `onError`, once for each waker.
 */
export class WorkItemOverdue extends ReactorError {
  static {
    this.prototype.name = "WorkItemOverdue";
    this.prototype.message = "A work item was not run";
  }
}

/**
 * Returns what was thrown if it is an Error, of whichever realm, and otherwise
 * an Error with it as `cause`.
 */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
  return new Error(
    `Something that is not an Error was thrown: ${show(thrown)}`,
    { cause: thrown },
  );
}

/** Whether a value is an Error, of this realm or another. */
export function isError(value: unknown): value is Error {
  try {
    return value instanceof Error || Error.isError(value);
  } catch {
    // instanceof asks a proxy for its prototype, and the proxy may refuse; no
    // proxy is an Error of its own.
    return false;
  }
}
