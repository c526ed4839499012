/**
 * Programs that only begin, each a step further than the one before.
 *
 * @module
 */

import type { Tools } from "../tools.ts";

/** All of them. */
export function beginnings(tools: Tools): { who: string; command: string[] }[] {
  const steps = [
    ["nothing", "nothing"],
    ["the import", "import"],
    ["the import of ./net", "net"],
    ["a reactor", "reactor"],
  ] as const;
  return steps.map(([who, step]) => ({
    who,
    command: tools.command("start.ts", step),
  }));
}
