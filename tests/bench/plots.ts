/**
 * The plots of the report.
 *
 * @module
 */

import { type Line, plot, type Point } from "./plot.ts";
import type { Case, Row } from "./row.ts";
import type { Results } from "./run.ts";
import { idleCounts, idleKey } from "./rows/idle.ts";
import { CONNECTIONS } from "./rows/tcp.ts";
import { summarize } from "./statistics.ts";

/** A picture with its name and what it shows. */
export interface Picture {
  /** The name of its file. */
  readonly file: string;
  /** What it shows, for those who cannot see it. */
  readonly title: string;
  /** The picture itself. */
  readonly svg: string;
}

/** Draws those whose rows were measured. */
export function plotAll(rows: readonly Row[], results: Results): Picture[] {
  const counts = idleCounts();
  const pictures = [
    {
      file: "rate_against_connections.svg",
      title: "TCP echo, 64 B: rate against connections",
      xTitle: "connections",
      yTitle: "messages per second",
      keys: CONNECTIONS.map((x) => ({ x, key: `tcp/64/${x}` })),
    },
    {
      file: "rate_against_idle_descriptors.svg",
      title: "One active pair: rate against idle descriptors",
      xTitle: "idle descriptors",
      yTitle: "callbacks per second",
      keys: counts.map((x, i) => ({ x, key: idleKey(i, counts) })),
    },
  ];
  const cases = new Map(
    rows.flatMap((row) => row.cases).map((one) => [one.key, one]),
  );
  return pictures.flatMap(({ file, keys, ...options }) => {
    const lines = linesOf(keys, cases, results);
    if (lines.length === 0) return [];
    return [{ file, title: options.title, svg: plot(lines, options) }];
  });
}

function linesOf(
  keys: readonly { x: number; key: string }[],
  cases: ReadonlyMap<string, Case>,
  results: Results,
): Line[] {
  const names = new Set(
    keys.flatMap(({ key }) =>
      cases.get(key)?.contestants.map(({ who }) => who) ?? []
    ),
  );
  return [...names].flatMap((name) => {
    const points = keys.flatMap(({ x, key }): Point[] => {
      const series = results.series(key, name, "rate");
      return series === undefined ? [] : [{ x, ...summarize(series) }];
    });
    return points.length === 0 ? [] : [{ name, points }];
  });
}
