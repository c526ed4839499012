/**
 * What descriptors cost that have nothing to say.
 *
 * @module
 */

import { descriptorLimit } from "../process_status.ts";
import type { Row, Setting } from "../row.ts";
import { pairsContestants } from "./ping_pong.ts";

/** What a process has open besides. */
const RESERVE = 2000;
/** More says nothing new, and takes much memory. */
const MOST = 100_000;

/** How many idle descriptors there are, also for the plot. */
export function idleCounts(): number[] {
  const most = Math.min(descriptorLimit() - RESERVE, MOST);
  const counts = [10, 100, 1000, 10_000].filter((count) => count < most);
  return [...counts, most - most % 2];
}

/** See the module's documentation. */
export function idleRow(setting: Setting): Row {
  const counts = idleCounts();
  return {
    key: "idle",
    title: "Idle descriptors",
    method:
      `One pair plays ping-pong, and others are watched but silent. The most is what the system grants a process (${
        counts.at(-1)
      }).`,
    metrics: [{ name: "rate", title: "callbacks", unit: "/s" }],
    cases: counts.map((count, i) => ({
      key: idleKey(i, counts),
      title: `${count} idle descriptors`,
      contestants: pairsContestants(setting, 1, count),
    })),
  };
}

/** The key of a case: the last is "most", whatever number that is here. */
export function idleKey(i: number, counts: readonly number[]): string {
  return i === counts.length - 1 ? "idle/most" : `idle/${counts[i]}`;
}
