/**
 * The beginning: waiting before there is a worker.
 *
 * To start a worker takes tens of milliseconds, for most of which this thread is
 * blocked. A program that has just begun has better things to do, and many end
 * before they would ever need one. So at first a thread of Deno's own pool does
 * the waiting, by an FFI call that is not awaited in place, for as long as waits
 * are short. The first quiet moment is the one to start the worker in; if there
 * is none for a while, it is started all the same.
 *
 * Such a call keeps the process alive, and cannot be told not to: it is made only
 * while the reactor does so itself.
 *
 * The pool has 32 threads (Deno's runtime/tokio_util.rs). When others keep all of
 * them, by opening FIFOs for example, the call does not even begin. No wait is
 * long, so one that does not come back tells of that, and a worker takes over.
 *
 * @module
 */

import { POLL } from "../ffi/constants.ts";
import { linux } from "../ffi/libc.ts";
import type { ReadinessSet } from "../ffi/readiness_set.ts";
import { monotonic } from "./monotonic.ts";

/** A wait that is longer than this is a quiet moment. In milliseconds. */
const QUIET = 20;

/** After so long without a quiet moment there will be none. In milliseconds. */
const LONG = 200;

/** After so long a wait has not begun. In milliseconds. */
const STUCK = 250;

/** What a wait in the pool has to say, while it is armed. */
export interface PoolWaitListener {
  /** There is something in the set. */
  reported(): void;
  /** Nothing has happened for a while, as far as anybody can tell. */
  quiet(): void;
  /** There is something in the set, and always was. */
  busy(): void;
}

/** See the module's documentation. */
export class PoolWait {
  readonly #set: ReadinessSet;
  readonly #listener: PoolWaitListener;
  #armed = false;
  /** When it was armed first. */
  #begun: number | undefined;
  #waiting: Promise<void> | undefined;
  /** Somebody looks whether waits come back. */
  #watched = false;
  readonly #pause = new Pause();

  /** @param set One that is a single descriptor, which nobody replaces. */
  constructor(set: ReadinessSet, listener: PoolWaitListener) {
    this.#set = set;
    this.#listener = listener;
  }

  /**
   * Waits for the set.
   *
   * @param timeout 0 if there is something to do already, -1 if not.
   */
  arm(timeout: number): void {
    this.#armed = true;
    this.#begun ??= monotonic();
    if (this.#waiting === undefined) this.#waiting = this.#wait(timeout);
    else if (timeout === 0) this.#wake();
    void this.#watch();
  }

  /** Whatever comes of the wait under way, nobody is told. */
  disarm(): void {
    this.#armed = false;
  }

  /**
   * Tells nobody of anything any more.
   *
   * @returns Settles when no wait is under way, but for one that has not begun.
   */
  end(): Promise<void> {
    this.#armed = false;
    const waiting = this.#waiting;
    if (waiting === undefined) {
      this.#pause.end();
      return Promise.resolve();
    }
    this.#wake();
    // Whatever pauses holds all of the reactor.
    return Promise.race([waiting, this.#pause.wait(STUCK)])
      .finally(() => this.#pause.end());
  }

  #wake(): void {
    try {
      this.#set.wake();
    } catch {
      // No wait here is long, so it ends by itself.
    }
  }

  async #wait(timeout: number): Promise<void> {
    // Not the set's own table: Deno takes no shared memory here.
    const table = new Int32Array([this.#set.table[0]!, POLL.IN]);
    const wait = timeout === 0 ? 0 : QUIET;
    const ready = await linux().pollElsewhere(table, 1, wait);
    this.#waiting = undefined;
    if (!this.#armed) return;
    this.#armed = false;
    if (ready === 0 && wait > 0) this.#listener.quiet();
    else if (monotonic() - this.#begun! > LONG) this.#listener.busy();
    else this.#listener.reported();
  }

  /** Gives up a wait that does not come back. */
  async #watch(): Promise<void> {
    if (this.#watched) return;
    this.#watched = true;
    const waiting = this.#waiting;
    await this.#pause.wait(STUCK);
    this.#watched = false;
    if (!this.#armed) return;
    if (this.#waiting !== waiting) return this.#watch();
    this.#armed = false;
    this.#listener.quiet();
  }
}

/**
 * A pause that can be ended before its time. Unlike a timer of Deno's it loads
 * nothing and does not keep the process alive.
 */
class Pause {
  readonly #word = new Int32Array(new SharedArrayBuffer(4));

  /** Resolves after so many milliseconds, or when it is ended. */
  async wait(ms: number): Promise<void> {
    await Atomics.waitAsync(this.#word, 0, 0, ms).value;
  }

  /** Ends all waits. */
  end(): void {
    Atomics.notify(this.#word, 0);
  }
}
