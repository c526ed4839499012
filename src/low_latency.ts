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

import type { DenoLoop, Found } from "../ffi/deno_loop.ts";
import { monotonic } from "./monotonic.ts";

/** How long one wait may hold Deno's timers back, in milliseconds. */
const LONGEST = 1;

/** How long after the last event events are expected, in milliseconds. */
const RECENT = 5;

/** See the module's documentation. */
export class LowLatency {
  readonly #loop: DenoLoop;
  #end = 0;

  /** @param loop The reactor's set, beside Deno's descriptor. */
  constructor(loop: DenoLoop) {
    this.#loop = loop;
  }

  /** Something has happened: more is expected. */
  prolong(): void {
    this.#end = monotonic() + RECENT;
  }

  /** Whether this thread is to wait itself. */
  get isOn(): boolean {
    return monotonic() < this.#end;
  }

  /**
   * Waits for a moment.
   *
   * @param ms The time until something is due, in milliseconds; -1 for nothing.
   */
  wait(ms: number): Found {
    return this.#loop.wait(ms < 0 ? LONGEST : Math.min(ms, LONGEST));
  }
}
