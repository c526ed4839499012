/**
 * What Deno itself keeps of a worker that has ended: a control for what the
 * reactors' workers leave.
 *
 * Known as https://github.com/denoland/deno/issues/26058 and
 * https://github.com/denoland/deno/issues/18414. How much it is depends on the
 * version, so it is measured in the process that is judged.
 *
 * @module
 */

import { libcPath } from "../../ffi/libc.ts";
import { median } from "../bench/statistics.ts";
import { startThread } from "../workers.ts";
import { collectGarbage } from "./garbage.ts";
import { countMalloc } from "./malloc.ts";

/** After so many workers there is a measurement. */
const STEP = 10;

/**
 * So much is allowed for whatever is measured, in bytes. Two thousand workers one
 * after another left 0.8 to 1 KB each (Deno 2.9), on a straight line; the few
 * hundred that there is time for here said 0.4 to 1.2.
 */
const AT_LEAST = 1024;

/**
 * Measures what a worker leaves that does what a reactor's does, without a
 * reactor: it opens the C library and calls it.
 *
 * @param steps How many measurements there are; each takes half a second.
 * @returns So many bytes for each worker, at least a thousand.
 */
export async function bytesPerWorker(steps: number): Promise<number> {
  const sizes: number[] = [];
  // One step more, since Deno keeps some of what it does for the first time.
  for (let step = 0; step <= steps; step++) {
    for (let i = 0; i < STEP; i++) {
      await startThread(callLibrary, libcPath()).done;
    }
    await collectGarbage();
    sizes.push(countMalloc());
  }
  return Math.max(AT_LEAST, medianSlope(sizes) / STEP);
}

/** The median of all slopes between two points, which an odd one doesn't move. */
export function medianSlope(values: readonly number[]): number {
  return median(
    values.flatMap((to, i) =>
      values.slice(0, i).map((from, j) => (to - from) / (i - j))
    ),
  );
}

/** The program: a function that needs nothing around it. */
function callLibrary(path: string): void {
  const { poll } = Deno.dlopen(path, {
    poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  }).symbols;
  poll(new Int32Array(2), 0, 0);
}
