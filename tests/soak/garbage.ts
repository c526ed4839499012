/**
 * Collecting garbage at will.
 *
 * @module
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const collect = findCollector();

/**
 * Frees what nobody holds. It does so several times, since what is found to be
 * garbage may have held on to more until somebody was told.
 */
export async function collectGarbage(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** V8's own function, which is there with `--v8-flags=--expose-gc`. */
function findCollector(): () => void {
  const { gc } = globalThis as { gc?: () => void };
  if (gc !== undefined) return gc;
  // A context that is made after the flag was set has it.
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}
