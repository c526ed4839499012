/**
 * Callbacks that hold the host: which one it was.
 *
 * That a round took too long is seen at its end, at no cost. If one callback ran
 * in it, that was the one. If there were several, the clock is looked at between
 * any two from then on, so that the next time there is a name. A program without
 * slow callbacks never pays for that.
 *
 * @module
 */

import { CallbackTooSlow } from "./errors.ts";
import { monotonic } from "./monotonic.ts";

/** A callback, in words. */
export interface Culprit {
  /** What it is, and whose. */
  readonly who: string;
  /** The same in short, for `onError`. */
  readonly where: string;
}

/** A callback that takes so many budgets is worth a word... */
const MANY_BUDGETS = 1000;

/**
 * ... if it takes so long as well, in milliseconds. The system may give the
 * processor to others in the middle of a callback, for a good part of that.
 */
const NOTICEABLE = 1000;

/** So many are told of. A program that has more knows. */
const MOST_REPORTS = 100;

/**
 * How long a callback may take without a word, in milliseconds.
 *
 * @param budget The budget of a work item, in milliseconds.
 */
export function tooLong(budget: number): number {
  return Math.max(budget * MANY_BUDGETS, NOTICEABLE);
}

/** See the module's documentation. */
export class SlowCallbacks {
  /** How long a callback may take, in milliseconds. */
  limit: number;
  readonly #report: (error: Error, where: string) => void;
  readonly #reported = new Set<string>();
  /** When the callback began that is running; undefined without a clock. */
  #since: number | undefined;
  /** How much of the present round was not its callbacks' doing. */
  #excused = 0;

  /**
   * @param limit How long a callback may take, in milliseconds.
   * @param report Gets what is to be said: once for each callback.
   */
  constructor(limit: number, report: (error: Error, where: string) => void) {
    this.limit = limit;
    this.#report = report;
  }

  /** Whether there is a look at the clock between callbacks. */
  get isTiming(): boolean {
    return this.#since !== undefined;
  }

  /** A round begins. */
  begin(): void {
    this.#excused = 0;
    if (this.#since !== undefined) this.#since = monotonic();
  }

  /**
   * So much of the present round was the reactor's own doing, in milliseconds:
   * it has started a thread.
   */
  excuse(ms: number): void {
    this.#excused += ms;
    if (this.#since !== undefined) this.#since += ms;
  }

  /** Whether a round of so many milliseconds was no callback's fault. */
  isExcused(ms: number): boolean {
    return ms - this.#excused <= this.limit;
  }

  /**
   * A callback is through.
   *
   * @param culprit Says which one it was.
   */
  between(culprit: () => Culprit): void {
    const now = monotonic();
    const ms = now - this.#since!;
    this.#since = now;
    if (ms > this.limit) this.#tell(ms, culprit());
  }

  /**
   * A round took too long.
   *
   * @param ms How long, in milliseconds.
   * @param count How many callbacks ran in it.
   * @param culprit Says which one was the last.
   */
  round(ms: number, count: number, culprit: () => Culprit): void {
    if (count === 1) return this.#tell(ms, culprit());
    this.#since = monotonic();
    this.#tell(ms, {
      who: `${count} callbacks of one round`,
      where: "a round",
    });
  }

  #tell(ms: number, { who, where }: Culprit): void {
    if (this.#reported.has(where)) return;
    if (this.#reported.size === MOST_REPORTS) return;
    this.#reported.add(where);
    this.#report(
      new CallbackTooSlow(`${who} held the host for ${ms.toFixed(0)} ms`),
      where,
    );
  }
}
