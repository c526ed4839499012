/**
 * Numbers and tables as people read them, the same on the console and in
 * Markdown.
 *
 * @module
 */

import type { Case, Row } from "./row.ts";
import { measured, type Results } from "./run.ts";
import { ratios, summarize, type Summary } from "./statistics.ts";
import type { Verdict } from "./targets.ts";

/** A head and lines of the same length. */
export interface Table {
  /** The titles of the columns. */
  readonly head: readonly string[];
  /** The cells. */
  readonly lines: readonly (readonly string[])[];
}

/** A number with about three digits that mean something. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "-"; // Divided by nothing.
  const size = Math.abs(value);
  if (size >= 100_000) return `${Math.round(value / 1000)}k`;
  if (size >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 0.1 || size === 0 ? value.toFixed(2) : value.toFixed(3);
}

/** A number and how far the rounds are apart. */
export function withSpread({ median, low, high, count }: Summary): string {
  return count === 1
    ? number(median)
    : `${number(median)} (${number(low)}-${number(high)})`;
}

/**
 * One case: who, and for each metric the median and how many times that the
 * first one's is.
 */
export function caseTable(row: Row, one: Case, results: Results): Table {
  const contestants = measured(one, results);
  const metrics = row.metrics.filter(({ name }) =>
    contestants.some(({ who }) => results.series(one.key, who, name))
  );
  const first = contestants[0]?.who ?? "";
  const head = [
    "",
    ...metrics.flatMap(({ title, unit }) => [`${title}, ${unit}`, "ratio"]),
  ];
  const lines = contestants.map(({ who }) => {
    const failure = results.failure(one.key, who);
    if (failure !== undefined) {
      return [who, failure, ...head.slice(2).map(() => "")];
    }
    return [
      who,
      ...metrics.flatMap(({ name }) => {
        const own = results.series(one.key, who, name);
        if (own === undefined) return ["", ""];
        const reference = results.series(one.key, first, name);
        return [
          number(summarize(own).median),
          who === first || reference === undefined
            ? ""
            : withSpread(summarize(ratios(reference, own))),
        ];
      }),
    ];
  });
  return { head, lines };
}

/** All verdicts. */
export function verdictTable(verdicts: readonly Verdict[]): Table {
  return {
    head: ["target", "measured", "to reach", "stretch", "verdict"],
    lines: verdicts.map(({ target, summary, word }) => {
      const unit = target.unit === undefined ? "" : ` ${target.unit}`;
      const sign = target.atLeast === undefined ? "<=" : ">=";
      const bound = target.atLeast ?? target.atMost;
      return [
        target.what,
        summary === undefined ? "" : withSpread(summary) + unit,
        `${sign} ${bound}${unit}`,
        target.stretch === undefined ? "" : `${target.stretch}${unit}`,
        word,
      ];
    }),
  };
}
