/**
 * What a process has used, as the system counts it.
 *
 * @module
 */

import { cpuMicroseconds } from "./peers/clock.ts";

/**
 * The processor time of a process, all of its threads together, in
 * milliseconds.
 */
export function cpuMilliseconds(pid: number): number {
  return cpuMicroseconds(pid) / 1000;
}

/** The resident memory of a process, in kilobytes. */
export function residentKilobytes(pid: number): number {
  const { success, stdout } = new Deno.Command("ps", {
    args: ["-o", "rss=", "-p", String(pid)],
  }).outputSync();
  if (!success) throw new Error(`Cannot measure the memory of process ${pid}`);
  return Number(new TextDecoder().decode(stdout));
}

/** How many descriptors a process may have here. */
export function descriptorLimit(): number {
  const { stdout } = new Deno.Command("sh", { args: ["-c", "ulimit -H -n"] })
    .outputSync();
  return Number(new TextDecoder().decode(stdout)) || Infinity; // "unlimited"
}
