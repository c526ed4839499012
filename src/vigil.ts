/**
 * Low latency: waiting on the main thread itself, for a while after something
 * has happened.
 *
 * The way through the worker takes two changes of thread. Who has asked for
 * `latency: "low"` is spared them while events come close together: the main
 * thread then waits for the reactor's set and for Deno's own descriptor at once,
 * a millisecond at a time, and Deno has its turn between any two of those. When
 * Deno's is ready, or nothing has happened for a while, things go the ordinary
 * way; and they always do where Deno's descriptor is not found.
 *
 * @module
 */

import { DenoLoop, type Found } from "../ffi/deno_loop.ts";
import type { ReadinessSet } from "../ffi/readiness_set.ts";

/** How long one wait may hold Deno's timers back, in milliseconds. */
const LONGEST = 1;

/** How long after the last event events are expected, in milliseconds. */
const RECENT = 5;

/** See the module's documentation. */
export class Vigil {
  readonly #set: ReadinessSet;
  #loop: DenoLoop | undefined;
  #end = 0;

  /** @param set The reactor's set, which is to be one descriptor. */
  constructor(set: ReadinessSet) {
    this.#set = set;
  }

  /** Whether Deno's descriptor is known. */
  get isReady(): boolean {
    return this.#loop !== undefined;
  }

  /** The worker has seen in which descriptor this thread sleeps. */
  seen(theirs: number): void {
    this.#loop = DenoLoop.of(this.#set.table[0]!, theirs);
  }

  /** Something has happened: more is expected. */
  prolong(): void {
    this.#end = performance.now() + RECENT;
  }

  /** Whether this thread is to wait itself. */
  get isOn(): boolean {
    return this.isReady && performance.now() < this.#end;
  }

  /**
   * Waits for a moment.
   *
   * @param ms The time until something is due, in milliseconds; -1 for nothing.
   */
  wait(ms: number): Found {
    return this.#loop!.wait(ms < 0 ? LONGEST : Math.min(ms, LONGEST));
  }
}
