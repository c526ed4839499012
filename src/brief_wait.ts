/**
 * Waiting in place: a moment on the main thread for what is about to come.
 *
 * A peer that answers at once does so sooner than a wait through the worker
 * could even begin. So a turn that has served something waits for more, so
 * briefly that nobody else notices, before it parks. Where that was in vain
 * several times in a row, it is left alone for a while.
 *
 * @module
 */

import type { ReadinessSet } from "../ffi/readiness_set.ts";

/** How long, in milliseconds. */
const BRIEF = 0.1;

/** After so many waits in vain there are none for a while. */
const MOST_IN_VAIN = 4;

/** That while, in waits that are passed over. */
const PASSED_OVER = 64;

/** See the module's documentation. */
export class BriefWait {
  readonly #set: ReadinessSet;
  #inVain = 0;
  #passOver = 0;

  constructor(set: ReadinessSet) {
    this.#set = set;
  }

  /**
   * Whether one is worth it now.
   *
   * @param timeout The time until something is due, in milliseconds; -1 for
   * nothing.
   */
  isWorthIt(timeout: number): boolean {
    if (this.#passOver > 0) {
      this.#passOver--;
      return false;
    }
    return timeout < 0 || timeout > BRIEF;
  }

  /** Waits. Returns the number of entries in the set's results. */
  drain(): number {
    const ready = this.#set.drainWithin(BRIEF);
    if (ready > 0) this.#inVain = 0;
    else if (++this.#inVain === MOST_IN_VAIN) {
      this.#inVain = 0;
      this.#passOver = PASSED_OVER;
    }
    return ready;
  }
}
