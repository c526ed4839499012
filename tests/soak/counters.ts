/**
 * What a soak counts.
 *
 * @module
 */

/** What has happened. */
export interface Counters {
  /** Operations done. */
  steps: number;
  /** Answers that came. */
  delivered: number;
  /** Answers that had to come, and did not. */
  lost: number;
  /** Answers that came to the wrong one, twice, too early, or with wrong data. */
  misdelivered: number;
  /** Answers behind which there was nothing, as poll(2) allows. */
  spurious: number;
}

/** Nothing yet. */
export function noCounters(): Counters {
  return { steps: 0, delivered: 0, lost: 0, misdelivered: 0, spurious: 0 };
}

/** Adds what one part has counted to the whole. */
export function addCounters(to: Counters, from: Counters): void {
  for (const key of Object.keys(to) as (keyof Counters)[]) {
    to[key] += from[key];
  }
}
