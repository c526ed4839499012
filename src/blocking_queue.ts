/**
 * A host that blocks.
 *
 * @module
 */

import { checkDelay, checkFunction } from "./arguments.ts";
import { ReactorAlreadyRunning } from "./errors.ts";
import { monotonic } from "./monotonic.ts";

/** A run of a reactor that puts its work items into a queue. */
export interface WorkSource {
  /**
   * Blocks this thread until there is a report, and then puts its work item
   * into the queue.
   *
   * @param ms How long at most; Infinity for ever.
   * @returns False when the time is up; undefined when nothing can come: the
   * item taken last has not run yet.
   */
  wait(ms: number): boolean | undefined;
}

/**
 * The host of a synchronous program:
 * {@linkcode BlockingQueue.prototype.get BlockingQueue.get} blocks the thread
 * until there is a work item.
 *
 * Deno's own loop, promises included, stands still while a program blocks in
 * `get`. Callbacks, timers and descriptors of the reactor work. Once a second `get`
 * looks whether the worker's thread is still there (on Linux), of whose end nothing
 * else would tell it.
 *
 * @example A synchronous program that waits for a timer
 * ```ts
 * import { BlockingQueue, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const queue = new BlockingQueue();
 * reactor.interleave(queue);
 *
 * let result: string | undefined;
 * reactor.callLater(10, () => result = "done");
 * while (result === undefined) queue.get()?.();
 * assertEquals(result, "done");
 * ```
 */
export class BlockingQueue {
  readonly #items: (() => void)[] = [];
  #source: WorkSource | undefined;

  /**
   * Adds a work item. The reactor does so; a program can add its own.
   *
   * @param work What `get` will return.
   * @throws {TypeError} When `work` is not a function.
   *
   * @example Usage
   * ```ts
   * import { BlockingQueue } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new BlockingQueue();
   * let called = false;
   * queue.put(() => called = true);
   * queue.get()?.();
   * assertEquals(called, true);
   * ```
   */
  put(work: () => void): void {
    checkFunction(work, "put work into the queue", "work");
    this.#items.push(work);
  }

  /**
   * Takes the next work item, blocking this thread until there is one.
   *
   * @param ms How long to block at most, in milliseconds. Without it, as long as
   * it takes.
   * @returns The work item: call it. `undefined` after `ms`; also, without an
   * `ms`, at once when none can come any more, since the reactor has ended or
   * the work item taken before has not returned, so that `while ((work =
   * queue.get())) work()` ends with the reactor.
   * @throws {TypeError} When `ms` is not a number.
   * @throws {RangeError} When `ms` is NaN or negative.
   *
   * @example Usage
   * ```ts
   * import { BlockingQueue } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(new BlockingQueue().get(5), undefined);
   * ```
   */
  get(ms: number = Infinity): (() => void) | undefined {
    if (ms !== Infinity) checkDelay(ms, "get work from the queue", "ms");
    for (const deadline = monotonic() + ms; this.#items.length === 0;) {
      const left = Math.max(0, deadline - monotonic());
      const came = this.#source?.wait(left);
      if (came === true) continue;
      if (came === undefined && ms !== Infinity) sleep(left);
      return undefined;
    }
    return this.#items.shift();
  }

  /**
   * For the reactor, which calls it when it is given the queue.
   *
   * @internal
   */
  attach(source: WorkSource): void {
    if (this.#source !== undefined) {
      throw new ReactorAlreadyRunning(
        "Cannot interleave: another reactor uses this queue",
      );
    }
    this.#source = source;
  }

  /**
   * For the reactor, which calls it at its end.
   *
   * @internal
   */
  detach(): void {
    this.#source = undefined;
  }
}

/** Blocks this thread. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
