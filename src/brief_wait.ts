/**
 * Waiting in place: looking again and again, for a moment, for what is about to
 * come.
 *
 * A peer that answers at once does so sooner than a wait through the worker
 * could even begin. So a turn that has served something goes on looking, so
 * briefly that nobody else notices, before it parks. It does not sleep meanwhile:
 * to be woken takes longer than that, in a virtual machine several times as long,
 * and setting the timer of so short a sleep more than a look. Where it was in vain
 * several times in a row, it is left alone for a while, so that it costs next to
 * nothing where nobody answers at once.
 *
 * @module
 */

import type { ReadinessSet } from "../ffi/readiness_set.ts";
import { monotonic } from "./monotonic.ts";

/** How long, in milliseconds: what going through the worker costs. */
const BRIEF = 0.05;

/** After so many times in vain there is none for a while. */
const MOST_IN_VAIN = 4;

/** That while, in waits that are passed over. */
const PASSED_OVER = 64;

/** See the module's documentation. */
export class BriefWait {
  readonly #set: ReadinessSet;
  /** With one processor, the peer could not answer meanwhile. */
  readonly #helps = navigator.hardwareConcurrency > 1;
  #inVain = 0;
  #passOver = 0;

  /** @param set What is looked at. */
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
    return this.#helps && (timeout < 0 || timeout > BRIEF);
  }

  /** Waits. Returns the number of entries in the set's results. */
  drain(): number {
    const end = monotonic() + BRIEF;
    let ready: number;
    do ready = this.#set.drain(0); while (
      ready === 0 && monotonic() < end
    );
    if (ready > 0) this.#inVain = 0;
    else if (++this.#inVain === MOST_IN_VAIN) {
      this.#inVain = 0;
      this.#passOver = PASSED_OVER;
    }
    return ready;
  }
}
