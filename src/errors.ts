/**
 * The errors that the reactor throws, rejects with and hands to descriptors.
 *
 * Each class sets its name and its usual message on the prototype, in its
 * static block. The name is then there when V8 writes the first line of the
 * stack, it survives a minifier, and a printed error does not list it among the
 * fields.
 */

import { show } from "./arguments.ts";

/**
 * What an error of the reactor can carry besides its message.
 *
 * @example A reader that ends its descriptor, and says why
 * ```ts
 * import {
 *   ConnectionLost,
 *   FileDescriptor,
 *   reactor,
 * } from "@interleave/reactor";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * const [output, input] = FileDescriptor.pipe();
 * const lost = Promise.withResolvers<Error>();
 * const bytes = new Uint8Array(100);
 * reactor.addReader({
 *   fileno: () => output.fileno(),
 *   doRead() {
 *     const length = output.read(bytes) ?? 0;
 *     try {
 *       JSON.parse(new TextDecoder().decode(bytes.subarray(0, length)));
 *     } catch (cause) {
 *       return new ConnectionLost("Not a word of it is JSON", { cause });
 *     }
 *     return undefined;
 *   },
 *   connectionLost: lost.resolve,
 * });
 * input.write(new TextEncoder().encode("hello"));
 *
 * const { message, cause } = await lost.promise;
 * assertEquals(message, "Not a word of it is JSON");
 * assertInstanceOf(cause, SyntaxError);
 * output.close();
 * input.close();
 * ```
 */
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
 * import { Reactor, ReactorError } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const reactor = new Reactor();
 * try {
 *   reactor.stop();
 * } catch (error) {
 *   if (!(error instanceof ReactorError)) throw error;
 *   assertEquals(error.name, "ReactorNotRunning");
 *   assertEquals(error.code, undefined); // The kernel has no part in it.
 * }
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

/**
 * The reactor has not been started, or has ended. Waits and watches reject with
 * it when the reactor is stopped, crashes or is closed.
 *
 * @example What a wait gets when the reactor ends
 * ```ts
 * import {
 *   FileDescriptor,
 *   Reactor,
 *   ReactorNotRunning,
 * } from "@interleave/reactor";
 * import { assertRejects, assertThrows } from "@std/assert";
 *
 * const reactor = new Reactor();
 * const [output, input] = FileDescriptor.pipe();
 * const wait = reactor.readable(output);
 * reactor.stop();
 * await assertRejects(() => wait, ReactorNotRunning);
 * assertThrows(() => reactor.stop(), ReactorNotRunning);
 * output.close();
 * input.close();
 * ```
 */
export class ReactorNotRunning extends ReactorError {
  static {
    this.prototype.name = "ReactorNotRunning";
    this.prototype.message = "The reactor is not running";
  }
}

/**
 * The reactor was started while it was running, or driven from inside one of its
 * own callbacks.
 *
 * @example Two that want to run the same reactor
 * ```ts
 * import { Reactor, ReactorAlreadyRunning } from "@interleave/reactor";
 * import { assertRejects } from "@std/assert";
 *
 * const reactor = new Reactor();
 * const first = reactor.run();
 * await assertRejects(() => reactor.run(), ReactorAlreadyRunning);
 * reactor.stop();
 * await first;
 * ```
 */
export class ReactorAlreadyRunning extends ReactorError {
  static {
    this.prototype.name = "ReactorAlreadyRunning";
    this.prototype.message = "The reactor is already running";
  }
}

/**
 * The reactor was started again after it had been stopped or closed.
 *
 * @example A new reactor for each run
 * ```ts
 * import { Reactor, ReactorNotRestartable } from "@interleave/reactor";
 * import { assertRejects } from "@std/assert";
 *
 * const reactor = new Reactor();
 * reactor.callLater(1, () => reactor.stop());
 * await reactor.run();
 * await assertRejects(() => reactor.run(), ReactorNotRestartable);
 *
 * const another = new Reactor();
 * another.callLater(1, () => another.stop());
 * await another.run();
 * ```
 */
export class ReactorNotRestartable extends ReactorError {
  static {
    this.prototype.name = "ReactorNotRestartable";
    this.prototype.message = "The reactor was stopped and cannot start again";
  }
}

/**
 * The reactor can't wait any more: the thread that does it died and could not be
 * replaced, or the kernel refuses again and again. Everybody who waits gets it,
 * `run()` rejects with it, and its `cause` says why. The reactor has ended then;
 * a new one may fare better.
 *
 * @example Beginning again when the reactor can't go on
 * ```ts
 * import { Reactor, ReactorFailed } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * async function runAgain(program: (reactor: Reactor) => void): Promise<void> {
 *   for (;;) {
 *     const reactor = new Reactor();
 *     program(reactor);
 *     try {
 *       return await reactor.run();
 *     } catch (error) {
 *       if (!(error instanceof ReactorFailed)) throw error;
 *       console.error(error.message, error.cause);
 *     }
 *   }
 * }
 *
 * let runs = 0;
 * await runAgain((reactor) => {
 *   runs++;
 *   reactor.callLater(1, () => reactor.stop());
 * });
 * assertEquals(runs, 1); // It ended in order.
 * ```
 */
export class ReactorFailed extends ReactorError {
  static {
    this.prototype.name = "ReactorFailed";
    this.prototype.message = "The reactor can no longer wait for descriptors";
  }
}

/**
 * A delayed call was to be changed after it had run, or while it was running.
 *
 * @example Too late to cancel
 * ```ts
 * import { AlreadyCalled } from "@interleave/reactor";
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertThrows } from "@std/assert";
 *
 * const clock = new Clock();
 * const call = clock.callLater(10, () => {});
 * clock.advance(10);
 * assertThrows(() => call.cancel(), AlreadyCalled);
 * call[Symbol.dispose](); // Cancels it if there still is something to cancel.
 * ```
 */
export class AlreadyCalled extends ReactorError {
  static {
    this.prototype.name = "AlreadyCalled";
    this.prototype.message = "The delayed call was already called";
  }
}

/**
 * A delayed call was to be changed after it had been cancelled.
 *
 * @example Two that call the same call off
 * ```ts
 * import { AlreadyCancelled } from "@interleave/reactor";
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertThrows } from "@std/assert";
 *
 * const clock = new Clock();
 * const call = clock.callLater(10, () => {});
 * call.cancel();
 * assertThrows(() => call.cancel(), AlreadyCancelled);
 * if (call.active()) call.cancel(); // For whoever can't know.
 * ```
 */
export class AlreadyCancelled extends ReactorError {
  static {
    this.prototype.name = "AlreadyCancelled";
    this.prototype.message = "The delayed call was already cancelled";
  }
}

/**
 * The other side closed in an orderly way: everything it sent has been read.
 *
 * @example A reader that has found the end
 * ```ts
 * import {
 *   ConnectionDone,
 *   FileDescriptor,
 *   reactor,
 * } from "@interleave/reactor";
 * import { assertInstanceOf } from "@std/assert";
 *
 * const [output, input] = FileDescriptor.pipe();
 * const ended = Promise.withResolvers<Error>();
 * const bytes = new Uint8Array(100);
 * reactor.addReader({
 *   fileno: () => output.fileno(),
 *   doRead() {
 *     const length = output.read(bytes);
 *     return length === null ? new ConnectionDone() : undefined;
 *   },
 *   connectionLost: ended.resolve,
 * });
 * input.close();
 * assertInstanceOf(await ended.promise, ConnectionDone);
 * output.close();
 * ```
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
 *
 * @example A descriptor that is closed under its reader
 * ```ts
 * import {
 *   ConnectionLost,
 *   FileDescriptor,
 *   reactor,
 * } from "@interleave/reactor";
 * import { assertInstanceOf } from "@std/assert";
 *
 * const [output, input] = FileDescriptor.pipe();
 * const ended = Promise.withResolvers<Error>();
 * reactor.addReader({
 *   fileno: () => output.fileno(),
 *   doRead: () => output.read(new Uint8Array(100)),
 *   connectionLost: ended.resolve,
 * });
 * output.close();
 * assertInstanceOf(await ended.promise, ConnectionLost);
 * input.close();
 * ```
 */
export class ConnectionLost extends ReactorError {
  static {
    this.prototype.name = "ConnectionLost";
    this.prototype.message = "The connection was lost";
  }
}

/**
 * This side gave the connection up and threw away what was not yet sent.
 *
 * @example Hanging up on somebody who sends too much
 * ```ts
 * import { ConnectionAborted, FileDescriptor } from "@interleave/reactor";
 * import { adoptStream } from "@interleave/reactor/net";
 * import { assertInstanceOf } from "@std/assert";
 *
 * const [here, there] = FileDescriptor.socketpair();
 * const ended = Promise.withResolvers<Error>();
 * const transport = adoptStream(here, {
 *   dataReceived(data) {
 *     if (data.length > 100) transport.abortConnection();
 *   },
 *   connectionLost: ended.resolve,
 * });
 * there.write(new Uint8Array(1000));
 * assertInstanceOf(await ended.promise, ConnectionAborted);
 * here.close();
 * there.close();
 * ```
 */
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
 *
 * @example A reader that forgets to read
 * ```ts
 * import {
 *   DescriptorSpinning,
 *   FileDescriptor,
 *   Reactor,
 * } from "@interleave/reactor";
 * import { assertInstanceOf, assertStringIncludes } from "@std/assert";
 *
 * const told = Promise.withResolvers<unknown>();
 * await using reactor = new Reactor({ onError: told.resolve });
 * const [output, input] = FileDescriptor.pipe();
 * reactor.addReader({
 *   label: "the log",
 *   fileno: () => output.fileno(),
 *   doRead() {},
 *   connectionLost() {},
 * });
 * reactor.interleave();
 * input.write(new Uint8Array(1));
 *
 * const error = await told.promise;
 * assertInstanceOf(error, DescriptorSpinning);
 * assertStringIncludes(error.message, "the log");
 * output.close();
 * input.close();
 * ```
 */
export class DescriptorSpinning extends ReactorError {
  static {
    this.prototype.name = "DescriptorSpinning";
    this.prototype.message = "A descriptor is ready, and nobody uses it";
  }
}

/**
 * A callback has kept the host from everything else, for a second or a thousand
 * budgets, whichever is longer. Only reported: to `onError`, once for each
 * callback.
 *
 * @example A callback that does too much at once
 * ```ts
 * import { CallbackTooSlow, Reactor } from "@interleave/reactor";
 * import { assertInstanceOf, assertStringIncludes } from "@std/assert";
 *
 * const told = Promise.withResolvers<unknown>();
 * await using reactor = new Reactor({ onError: told.resolve });
 * reactor.interleave();
 * reactor.callLater(0, function countEverything() {
 *   for (const end = performance.now() + 1100; performance.now() < end;);
 * });
 *
 * const error = await told.promise;
 * assertInstanceOf(error, CallbackTooSlow);
 * assertStringIncludes(error.message, "countEverything");
 * ```
 */
export class CallbackTooSlow extends ReactorError {
  static {
    this.prototype.name = "CallbackTooSlow";
    this.prototype.message = "A callback took too long";
  }
}

/**
 * A waker has taken a work item, and its host has not run it for ten seconds.
 * Only reported: to `onError`, once for each reactor.
 *
 * @example Going on without a host that hangs
 * ```ts no-assert
 * import { Reactor, type Waker, WorkItemOverdue } from "@interleave/reactor";
 *
 * // Runs in a host for as long as that runs anything.
 * function start(host: Waker): Reactor {
 *   const reactor = new Reactor({
 *     onError(error, where) {
 *       console.error(where, error);
 *       // Runs the shutdown, and its triggers, on Deno's own loop.
 *       if (error instanceof WorkItemOverdue) void reactor.close();
 *     },
 *   });
 *   reactor.interleave(host);
 *   return reactor;
 * }
 * ```
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
