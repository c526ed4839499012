/**
 * The reactor beside its model, for as long as one likes: `model_test.ts` in the
 * large.
 *
 * @module
 */

import { BACKENDS } from "../descriptors.ts";
import { Checker, MODEL_HOSTS } from "../model/check.ts";
import { type Counters, noCounts } from "../model/context.ts";

/** Options of {@linkcode soakModel}. */
export interface SoakModelOptions {
  /** How long it goes on, in milliseconds. */
  ms: number;
  /** What the programs are made from. */
  seed: number;
  /** Takes a line of text: what failed, and every minute how things are. */
  log: (line: string) => void;
}

/** So many programs at a time, in each host on each backend. */
const PROGRAMS = 100;

/** How often it says how things are, in milliseconds. */
const REPORT_EVERY = 60_000;

/** After so many failures it is clear enough. */
const MOST_FAILURES = 5;

/** Runs programs at random until time is up. */
export async function soakModel(
  { ms, seed, log }: SoakModelOptions,
): Promise<Counters> {
  const checkers = BACKENDS.flatMap((backend) =>
    MODEL_HOSTS.map((host) => ({
      name: `${backend}, ${host.name}`,
      checker: new Checker(host, backend),
    }))
  );
  const total = noCounts();
  const end = performance.now() + ms;
  let failures = 0;
  let nextReport = performance.now() + REPORT_EVERY;
  try {
    for (let i = 0; performance.now() < end && failures < MOST_FAILURES; i++) {
      const { name, checker } = checkers[i % checkers.length]!;
      const { counters, failure } = await checker.check({
        // Back to an integer of 32 bits, which is what a seed is.
        seed: (seed + i) | 0,
        programs: PROGRAMS,
      });
      add(total, counters);
      if (failure !== undefined) {
        failures++;
        log(`[${name}] ${failure}`);
      }
      if (performance.now() >= nextReport) {
        nextReport += REPORT_EVERY;
        log(JSON.stringify(total));
      }
    }
  } finally {
    for (const { checker } of checkers) await checker[Symbol.asyncDispose]();
  }
  return total;
}

function add(total: Counters, counters: Counters): void {
  for (const key of Object.keys(total) as (keyof Counters)[]) {
    total[key] += counters[key];
  }
}
