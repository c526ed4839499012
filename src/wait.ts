/**
 * Waiting once for a descriptor, as a promise.
 *
 * @module
 */

import { offAbort, onAbort } from "./abort_listener.ts";
import { checkBoolean, complaint } from "./arguments.ts";
import { captureStack } from "./capture_stack.ts";
import type { Descriptors, Observer } from "./descriptors.ts";
import { type PendingError, type Readiness, readinessOf } from "./readiness.ts";

/**
 * Options of {@linkcode Reactor.prototype.readable Reactor.readable}, {@linkcode Reactor.prototype.writable Reactor.writable} and
 * {@linkcode Reactor.prototype.watch Reactor.watch}.
 *
 * @example A wait with an end
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const [output, input] = FileDescriptor.pipe();
 * const wait = reactor.readable(output, {
 *   signal: AbortSignal.timeout(10),
 *   label: "the answer",
 * });
 * const { watchers } = reactor.inspect().descriptors[0]!;
 * assertEquals(watchers[0]!.label, "the answer");
 *
 * const error = await assertRejects(() => wait, DOMException);
 * assertEquals(error.name, "TimeoutError");
 * output.close();
 * input.close();
 * ```
 */
export interface WaitOptions {
  /** Ends the wait: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** A name for `inspect()`. */
  label?: string;
  /**
   * Keeps the process alive while it waits.
   *
   * @default {true}
   */
  persistent?: boolean;
}

/** Options that have been looked at: each property once, and checked. */
export interface CheckedWaitOptions {
  readonly signal: AbortSignal | undefined;
  readonly label: string | undefined;
  readonly persistent: boolean;
}

/**
 * Checks the options of a wait.
 *
 * @throws {TypeError} When one is of the wrong type.
 */
export function checkWaitOptions(
  options: WaitOptions | undefined,
  action: string,
): CheckedWaitOptions {
  if (options === undefined) {
    return { signal: undefined, label: undefined, persistent: true };
  }
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { signal, label, persistent = true } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(
      complaint(signal, action, "options.signal", "an AbortSignal"),
    );
  }
  if (label !== undefined && typeof label !== "string") {
    throw new TypeError(complaint(label, action, "options.label", "a string"));
  }
  checkBoolean(persistent, action, "options.persistent");
  return { signal, label, persistent };
}

/** One wait. */
class Wait implements Observer {
  readonly kind = "wait";
  readonly refd: boolean;
  readonly label: string | undefined;
  readonly stack: string | undefined;
  mask: number;
  round = 0;
  readonly #fd: number;
  readonly #asked: number;
  readonly #signal: AbortSignal | undefined;
  readonly #settled: PromiseWithResolvers<Readiness>;
  readonly #leave: (wait: Wait) => void;
  readonly #aborted = () => {
    this.#leave(this);
    this.#settled.reject(this.#signal!.reason);
  };

  constructor(
    fd: number,
    mask: number,
    options: CheckedWaitOptions,
    settled: PromiseWithResolvers<Readiness>,
    stack: string | undefined,
    leave: (wait: Wait) => void,
  ) {
    this.#fd = fd;
    this.mask = this.#asked = mask;
    this.refd = options.persistent;
    this.label = options.label;
    this.stack = stack;
    this.#signal = options.signal;
    this.#settled = settled;
    this.#leave = leave;
  }

  begin(): void {
    if (this.#signal !== undefined) onAbort(this.#signal, this.#aborted);
  }

  ready(events: number, pending: PendingError): void {
    this.#end();
    this.#leave(this);
    this.#settled.resolve(
      readinessOf(this.#fd, events, this.#asked, pending),
    );
  }

  lost(reason: Error): void {
    this.#end();
    this.#settled.reject(reason);
  }

  #end(): void {
    if (this.#signal !== undefined) offAbort(this.#signal, this.#aborted);
  }
}

/**
 * Waits once.
 *
 * @param mask The bits of `POLL` to wait for.
 * @param stacks Whether to remember who waits.
 */
export function waitFor(
  descriptors: Descriptors,
  fd: number,
  mask: number,
  action: string,
  options: CheckedWaitOptions,
  stacks: boolean,
): Promise<Readiness> {
  options.signal?.throwIfAborted();
  const settled = Promise.withResolvers<Readiness>();
  const wait = new Wait(
    fd,
    mask,
    options,
    settled,
    stacks ? captureStack() : undefined,
    (wait) => descriptors.unobserve(fd, wait),
  );
  descriptors.observe(fd, action, wait);
  wait.begin();
  return settled.promise;
}
