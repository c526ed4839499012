/**
 * What a row of the benchmark is made of.
 *
 * @module
 */

import type { Tools } from "./tools.ts";

/** What one measurement found, by the names of the row's metrics. */
export type Figures = Record<string, number>;

/** Something that is measured. */
export interface Metric {
  /** Its name in the figures. */
  readonly name: string;
  /** The head of its column. */
  readonly title: string;
  /** What it counts: "/s", "µs", "ns", "ms", "MB", "kB". */
  readonly unit: string;
}

/** One who takes part. */
export interface Contestant {
  /** Its name, one of `contestants.ts` with, perhaps, a word about how it is used. */
  readonly who: string;
  /** Why it cannot take part here, if it cannot. */
  readonly absent?: string;
  /** Measures once, in processes that are gone afterwards. */
  measure(): Promise<Figures>;
}

/** Those who are measured side by side, one after the other in each round. */
export interface Case {
  /** Its name, which begins with the row's. */
  readonly key: string;
  /** What differs from the row's other cases. */
  readonly title: string;
  /** The first is what the others are compared with. */
  readonly contestants: readonly Contestant[];
}

/** A group of cases of one kind. */
export interface Row {
  /** Its name on the command line. */
  readonly key: string;
  /** Its name for people. */
  readonly title: string;
  /** How it is measured. */
  readonly method: string;
  /** What is measured. */
  readonly metrics: readonly Metric[];
  /** All cases take their turn in each round. */
  readonly cases: readonly Case[];
}

/** How much time there is, and what there is to measure with. */
export interface Setting {
  /** Short, and only what the targets ask for. */
  readonly quick: boolean;
  /** The programs. */
  readonly tools: Tools;
}
