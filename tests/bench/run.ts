/**
 * Measures side by side: each round has everybody once, one after the other, so
 * that what slows the machine down for a while slows all of them down.
 *
 * @module
 */

import type { Case, Contestant, Figures, Row } from "./row.ts";

/** What one contestant did in one case, round by round. */
export type Outcome = Figures | Error;

/** How to run. */
export interface RunOptions {
  /** How many rounds. */
  readonly rounds: number;
  /** Whether somebody is to be measured. */
  wanted(key: string, who: string): boolean;
  /** Hears what is about to be measured. */
  progress(text: string): void;
}

/** All that was measured. Nothing is left out, and nothing measured twice. */
export class Results {
  readonly #outcomes = new Map<string, Outcome[]>();

  /** Notes what came of a round. */
  add(key: string, who: string, outcome: Outcome): void {
    const outcomes = this.#outcomes.get(`${key} ${who}`);
    if (outcomes === undefined) {
      this.#outcomes.set(`${key} ${who}`, [outcome]);
    } else outcomes.push(outcome);
  }

  /** Whether somebody was measured. */
  has(key: string, who: string): boolean {
    return this.#outcomes.has(`${key} ${who}`);
  }

  /** Why somebody failed, and how often; undefined if never. */
  failure(key: string, who: string): string | undefined {
    const outcomes = this.#outcomes.get(`${key} ${who}`) ?? [];
    const failures = outcomes.filter((outcome) => outcome instanceof Error);
    if (failures.length === 0) return undefined;
    const often = failures.length === outcomes.length
      ? ""
      : ` (${failures.length} of ${outcomes.length} rounds)`;
    return `failed${often}: ${failures[0]!.message}`;
  }

  /**
   * The figures of one metric, round by round; undefined if the contestant was
   * not measured, failed even once, or has no such metric.
   */
  series(key: string, who: string, metric: string): number[] | undefined {
    const series: number[] = [];
    for (const outcome of this.#outcomes.get(`${key} ${who}`) ?? []) {
      const figure = outcome instanceof Error ? undefined : outcome[metric];
      if (figure === undefined) return undefined;
      series.push(figure);
    }
    return series.length > 0 ? series : undefined;
  }
}

/** Runs all rounds of all rows. */
export async function run(
  rows: readonly Row[],
  options: RunOptions,
): Promise<Results> {
  const results = new Results();
  for (const row of rows) {
    for (let round = 1; round <= options.rounds; round++) {
      for (const one of row.cases) {
        for (const contestant of one.contestants) {
          if (contestant.absent !== undefined) continue;
          if (!options.wanted(one.key, contestant.who)) continue;
          options.progress(
            `${one.key}, round ${round} of ${options.rounds}: ${contestant.who}`,
          );
          results.add(one.key, contestant.who, await measure(contestant));
        }
      }
    }
  }
  return results;
}

/** Those of a case who were measured. */
export function measured(one: Case, results: Results): Contestant[] {
  return one.contestants.filter(({ who }) => results.has(one.key, who));
}

async function measure(contestant: Contestant): Promise<Outcome> {
  try {
    return await contestant.measure();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
