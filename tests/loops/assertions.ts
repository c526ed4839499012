/**
 * What is required of every program with a toolkit in it.
 *
 * @module
 */

import {
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
} from "@std/assert";
import type { Alive, Guest, Idle } from "./programs/alive.ts";
import type { ToolkitProgram } from "./toolkit.ts";

/**
 * Requires that all of `aliveInside` went on.
 *
 * @param name Whose loop it was in, for the latency that is printed.
 */
export function assertInside(guest: Guest, name: string): void {
  const { bytes, promise, thrown, calls, median } = guest;
  console.log(`${name}: ${median.toFixed(3)} ms from a byte to its reader`);
  const all = { bytes: 100, promise: true, thrown: "on purpose" };
  assertEquals({ bytes, promise, thrown }, all);
  // Between 100 bytes are at least 2 ms each, so slow machines make no less.
  assertGreater(calls, 10);
}

/** Requires that all of `aliveBeside` went on. */
export function assertBeside({ ticks, fetches, bytes }: Alive): void {
  assertGreater(ticks, 50);
  assertGreater(fetches, 20);
  assertGreater(bytes, 50);
}

/** Requires that a program does nothing while there is nothing to do. */
export function assertIdle({ cpu, turns }: Idle, mostTurns: number = 10): void {
  assertLess(cpu, 20);
  assertLessOrEqual(turns, mostTurns);
}

/**
 * Requires that a program ends by itself, and complains of nothing.
 *
 * @returns All that it has printed.
 */
export async function assertCleanEnd(
  program: ToolkitProgram,
  options: {
    /** What it may complain of once. */
    warnings?: RegExp;
  } = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await program.end();
  const complaints = options.warnings === undefined
    ? stderr
    : stderr.replace(options.warnings, "");
  assertEquals({ code, signal, complaints }, {
    code: 0,
    signal: null,
    complaints: "",
  });
  return stdout;
}
