/**
 * What a soak comes to.
 *
 * Everything that can be counted has to be the same at the end as it was after
 * the warm-up, to the last one. Memory can't: V8 and the C library keep some in
 * store, and compiled code comes and goes. So the run is divided into windows of
 * equal length with one measurement after each, at rest and without garbage, and
 * the median of the last third of them is held against that of the first third.
 * One measurement that is off moves neither; a leak moves one after the other.
 * What Deno keeps of each worker that has ended is measured beside it, without a
 * reactor, and is allowed for (`control.ts`).
 *
 * It can't pass by accident: each scene has to have been played, and at the end
 * something of every kind is planted that has to be noticed (`plants.ts`).
 *
 * @module
 */

import { median } from "../bench/statistics.ts";
import type { Counters } from "./counters.ts";
import { COUNTED, type Sample } from "./sample.ts";

const KB = 2 ** 10;
const MB = 2 ** 20;

/**
 * How much more of each there may be at the end, in bytes, besides what Deno
 * keeps of workers.
 *
 * - The engine goes on compiling, and remembering what it has seen, in a short
 *   run of a minute: that made up to one megabyte of heap. Fifty bytes a step
 *   would be four.
 * - What malloc() has given out goes up and down by half a megabyte. Of the
 *   thousand reactors of two minutes, three kilobytes each would be more.
 * - Pages of workers that have ended stay with V8 for a while, up to twenty
 *   megabytes of them. So this is for what neither of the others sees.
 */
export const BOUNDS: Readonly<Record<Bounded, number>> = {
  memory: 32 * MB,
  malloc: 2 * MB,
  heap: 3 * MB,
};

/** What can't be the same to the byte. */
const BOUNDED = ["memory", "malloc", "heap"] as const;
type Bounded = typeof BOUNDED[number];

/** What has been seen. */
export interface Findings {
  readonly minutes: number;
  readonly counters: Counters;
  /** Errors that nobody expected. */
  readonly errors: number;
  /** One after each window, without the warm-up. */
  readonly samples: readonly Sample[];
  /** Before there was any load. */
  readonly before?: Sample;
  /** After the last reactor was closed. */
  readonly after?: Sample;
  /** What Deno keeps of each worker, in bytes; see `control.ts`. */
  readonly kept: number;
  /** Scenes that were not played. */
  readonly unplayed: readonly string[];
  /** What was planted, and not noticed. */
  readonly unnoticed: readonly string[];
}

/** What it comes to. */
export interface Verdict {
  readonly passed: boolean;
  /** In one line. */
  readonly line: string;
}

/** How much more there is of each at the end. */
export type Growth = Record<keyof Sample, number>;

/** What has to be gone, too, when the last reactor is closed. */
const GONE = ["descriptors", "threads", "timers", "objects"] as const;

/** How much more there is of each at the end than at the beginning. */
export function growthOf(
  { samples, before, after }: Pick<Findings, "samples" | "before" | "after">,
): Growth {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const rise = (key: keyof Sample) =>
    median(samples.slice(-third).map((sample) => sample[key])) -
    median(samples.slice(0, third).map((sample) => sample[key]));
  const growth = Object.fromEntries(
    COUNTED.map((key) => [key, samples.at(-1)![key] - samples[0]![key]]),
  ) as Growth;
  if (before !== undefined && after !== undefined) {
    for (const key of GONE) {
      growth[key] = Math.max(growth[key], after[key] - before[key]);
    }
  }
  for (const key of [...BOUNDED, "workers"] as const) growth[key] = rise(key);
  return growth;
}

/** Judges. */
export function judge(findings: Findings): Verdict {
  const { minutes, counters, errors, samples, unplayed, unnoticed } = findings;
  const { steps, delivered, lost, misdelivered, spurious } = counters;
  const faults: string[] = [];
  if (steps === 0) faults.push("nothing was done");
  if (lost > 0) faults.push("lost");
  if (misdelivered > 0) faults.push("misdelivered");
  if (errors > 0) faults.push(plural(errors, "error"));
  if (unplayed.length > 0) faults.push(`not played: ${unplayed.join(", ")}`);
  if (unnoticed.length > 0) {
    faults.push(`not noticed when planted: ${unnoticed.join(", ")}`);
  }
  let growth = "nothing measured";
  if (samples.length < 3) faults.push("too few measurements");
  else {
    const grown = growthOf(findings);
    const { workers } = grown;
    const keptInAll = workers * findings.kept;
    const isKept = { memory: keptInAll, malloc: keptInAll, heap: 0 };
    for (const key of BOUNDED) {
      if (grown[key] > BOUNDS[key] + isKept[key]) faults.push(key);
    }
    for (const key of COUNTED) if (grown[key] > 0) faults.push(key);
    growth = [
      `memory ${megabytes(grown.memory)}`,
      `malloc ${megabytes(grown.malloc)} (Deno keeps up to ${
        (findings.kept / KB).toFixed(2)
      } KB of a worker, here ${megabytes(keptInAll)} of ${workers})`,
      `heap ${megabytes(grown.heap)}`,
      ...COUNTED.map((key) => `${key} ${signed(grown[key])}`),
    ].join(", ");
  }
  const passed = faults.length === 0;
  const share = delivered === 0 ? 0 : spurious / delivered * 100;
  return {
    passed,
    line: `soak: ${passed ? "passed" : `failed (${faults.join("; ")})`} after ${
      minutes.toFixed(1)
    } min: ${steps} steps, ${lost} lost, ${misdelivered} misdelivered, ${
      share.toFixed(1)
    } % spurious; ${growth}`,
  };
}

function megabytes(bytes: number): string {
  const text = (bytes / MB).toFixed(2);
  return `${bytes < 0 ? "" : "+"}${text} MB`;
}

function signed(number: number): string {
  return number < 0 ? `${number}` : `+${number}`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
