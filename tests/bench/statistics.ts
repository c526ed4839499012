/**
 * Medians, quantiles and spreads.
 *
 * @module
 */

/** What several rounds say together. */
export interface Summary {
  /** The one in the middle. */
  readonly median: number;
  /** The lowest of all. */
  readonly low: number;
  /** The highest of all. */
  readonly high: number;
  /** How many there were. */
  readonly count: number;
}

/**
 * The smallest value that so great a part of all values does not exceed.
 *
 * @param values At least one, in any order.
 * @param part Between 0 and 1.
 */
export function quantile(values: readonly number[], part: number): number {
  if (values.length === 0) {
    throw new RangeError('Cannot find a quantile: "values" must not be empty');
  }
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.ceil(part * sorted.length);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1]!;
}

/** The value in the middle, or between the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) {
    throw new RangeError('Cannot find a median: "values" must not be empty');
  }
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median, and how far apart all values are. */
export function summarize(values: readonly number[]): Summary {
  return {
    median: median(values),
    low: Math.min(...values),
    high: Math.max(...values),
    count: values.length,
  };
}

/**
 * Divides round by round: what makes a machine slow for a minute is in both
 * numbers of a round.
 */
export function ratios(
  over: readonly number[],
  under: readonly number[],
): number[] {
  if (over.length !== under.length) {
    throw new RangeError(
      `Cannot divide round by round: ${over.length} rounds and ${under.length}`,
    );
  }
  return over.map((value, round) => value / under[round]!);
}
