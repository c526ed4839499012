/**
 * Waiting for a descriptor again and again, as an async iterable.
 *
 * A watch is always in one of these states:
 *
 * ```text
 *              next() --------------------> asking -- ready: answer --> resting
 *                ^                                                        |
 *                | next(): answer at once                     a macrotask | without a next()
 *                |                                                        v
 *             latched <-- ready: remember it, ask the kernel no more -- listening
 * ```
 *
 * Resting is what keeps a consumer from being told of what it is about to read:
 * the kernel says "readable" until the data has been read, and the reactor
 * looks again at once, long before the consumer's continuation runs. Listening
 * is what keeps a change from getting lost on a consumer that takes its time.
 *
 * @module
 */

import { offAbort, onAbort } from "./abort_listener.ts";
import { captureStack } from "./capture_stack.ts";
import type { Descriptors, Observer } from "./descriptors.ts";
import { clearTimeout, setTimeout } from "./host_timers.ts";
import {
  merged,
  type PendingError,
  type Readiness,
  readinessOf,
} from "./readiness.ts";
import type { CheckedWaitOptions } from "./wait.ts";

/**
 * What {@linkcode Reactor.prototype.watch Reactor.watch} returns: an endless series
 * of answers, one whenever the descriptor is ready.
 *
 * @example Reading lines from a pipe
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [reader, writer] = FileDescriptor.pipe();
 * writer.write(new TextEncoder().encode("hello"));
 * writer.close();
 *
 * let text = "";
 * for await (const _ of reactor.watch(reader, "readable")) {
 *   const bytes = new Uint8Array(100);
 *   const length = reader.read(bytes);
 *   if (length === null) break; // Leaving the loop closes the watch.
 *   text += new TextDecoder().decode(bytes.subarray(0, length));
 * }
 * assertEquals(text, "hello");
 * reader.close();
 * ```
 */
export interface Watch extends AsyncIterableIterator<Readiness>, Disposable {
  /**
   * Waits until the descriptor is ready, or answers at once if it was since the
   * last answer. What happened in between is merged into one answer.
   */
  next(): Promise<IteratorResult<Readiness, undefined>>;
  /** Ends the watch, as {@linkcode Watch.close} does. */
  return(): Promise<IteratorResult<Readiness, undefined>>;
  /** Itself. */
  [Symbol.asyncIterator](): Watch;
  /**
   * Keeps the process alive until the watch is closed. That is how it begins,
   * unless it was made with `persistent: false`.
   */
  ref(): void;
  /** Lets the process end although the watch is open. */
  unref(): void;
  /**
   * Ends the watch: a pending `next()` is done. Closing it twice does nothing.
   */
  close(): void;
  /** Ends the watch, as {@linkcode Watch.close} does. */
  [Symbol.dispose](): void;
}

/** The watches that rest, and the macrotask after which they listen again. */
export class Rest {
  readonly #resting = new Set<DescriptorWatch>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Lets a watch listen again after the continuations that are about to run.
   */
  add(watch: DescriptorWatch): void {
    this.#resting.add(watch);
    if (this.#timer !== undefined) return;
    const timer = setTimeout(() => {
      this.#timer = undefined;
      const resting = [...this.#resting];
      this.#resting.clear();
      for (const watch of resting) watch.listen();
    });
    // What there is to wait for is the watch, and that has its own ref.
    Deno.unrefTimer(timer);
    this.#timer = timer;
  }

  /** The watch asks again by itself, or is closed. */
  delete(watch: DescriptorWatch): void {
    if (!this.#resting.delete(watch) || this.#resting.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** See {@linkcode Watch}. */
export class DescriptorWatch implements Watch, Observer {
  readonly kind = "watch";
  readonly label: string | undefined;
  readonly stack: string | undefined;
  mask: number;
  round = 0;
  readonly #fd: number;
  readonly #asked: number;
  readonly #descriptors: Descriptors;
  readonly #rest: Rest;
  readonly #signal: AbortSignal | undefined;
  readonly #asking: PromiseWithResolvers<
    IteratorResult<Readiness, undefined>
  >[] = [];
  #latched: Readiness | undefined;
  #refd: boolean;
  #closed = false;
  /** What the next `next()` rejects with, once. */
  #failure: { reason: unknown } | undefined;
  readonly #aborted = () => this.#fail(this.#signal!.reason);

  /** Begins to watch. */
  constructor(
    descriptors: Descriptors,
    rest: Rest,
    fd: number,
    mask: number,
    action: string,
    options: CheckedWaitOptions,
    stacks: boolean,
  ) {
    this.#descriptors = descriptors;
    this.#rest = rest;
    this.#fd = fd;
    this.mask = this.#asked = mask;
    this.#refd = options.persistent;
    this.label = options.label;
    this.stack = stacks ? captureStack() : undefined;
    this.#signal = options.signal;
    if (this.#signal?.aborted) {
      this.#closed = true;
      this.#failure = { reason: this.#signal.reason };
      return;
    }
    descriptors.observe(fd, action, this);
    if (this.#signal !== undefined) onAbort(this.#signal, this.#aborted);
  }

  get refd(): boolean {
    return this.#refd;
  }

  next(): Promise<IteratorResult<Readiness, undefined>> {
    if (this.#failure !== undefined) {
      const { reason } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(reason);
    }
    if (this.#closed) return Promise.resolve({ value: undefined, done: true });
    if (this.#latched !== undefined) {
      const value = this.#latched;
      this.#latched = undefined;
      this.#rest.add(this);
      return Promise.resolve({ value, done: false });
    }
    const asking = Promise.withResolvers<
      IteratorResult<Readiness, undefined>
    >();
    this.#asking.push(asking);
    this.#rest.delete(this);
    this.listen();
    return asking.promise;
  }

  return(): Promise<IteratorResult<Readiness, undefined>> {
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  ref(): void {
    this.#setRefd(true);
  }

  unref(): void {
    this.#setRefd(false);
  }

  close(): void {
    if (this.#closed) return;
    this.#descriptors.unobserve(this.#fd, this);
    this.#end();
    for (const { resolve } of this.#asking.splice(0)) {
      resolve({ value: undefined, done: true });
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Asks the kernel again. */
  listen(): void {
    if (this.#closed || this.mask === this.#asked) return;
    this.#descriptors.remask(this.#fd, this, this.#asked);
  }

  ready(events: number, pending: PendingError): void {
    const readiness = readinessOf(this.#fd, events, this.#asked, pending);
    const asking = this.#asking.shift();
    if (asking === undefined) {
      this.#latched = this.#latched === undefined
        ? readiness
        : merged(this.#latched, readiness);
    } else {
      asking.resolve({ value: readiness, done: false });
    }
    if (this.#asking.length > 0) return;
    this.#descriptors.remask(this.#fd, this, 0);
    if (asking !== undefined) this.#rest.add(this);
  }

  lost(reason: Error): void {
    this.#fail(reason);
  }

  #fail(reason: unknown): void {
    if (this.#closed) return;
    this.#descriptors.unobserve(this.#fd, this);
    this.#end();
    const asking = this.#asking.splice(0);
    if (asking.length === 0) this.#failure = { reason };
    for (const { reject } of asking) reject(reason);
  }

  #end(): void {
    this.#closed = true;
    this.#latched = undefined;
    this.#rest.delete(this);
    if (this.#signal !== undefined) offAbort(this.#signal, this.#aborted);
  }

  #setRefd(on: boolean): void {
    if (this.#refd === on) return;
    this.#refd = on;
    if (!this.#closed) this.#descriptors.observerRefChanged(this);
  }
}
