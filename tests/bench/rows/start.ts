/**
 * What it costs to begin.
 *
 * @module
 */

import { Process } from "../processes.ts";
import type { Figures, Row, Setting } from "../row.ts";
import { beginnings } from "./beginnings.ts";

/** See the module's documentation. */
export function startRow({ tools }: Setting): Row {
  return {
    key: "start",
    title: "Start",
    method:
      "Each in a fresh process. First event: from new Reactor() to a descriptor that was readable from the beginning. Import: from import() to the module, of which nothing was loaded before. Until the program speaks: from the start of the process to its first line of output, which with a reactor comes 300 ms after that event.",
    metrics: [
      { name: "import", title: "import", unit: "ms" },
      { name: "first", title: "first event", unit: "ms" },
      { name: "wall", title: "until it speaks", unit: "ms" },
    ],
    cases: [{
      key: "start",
      title: "a fresh process",
      contestants: beginnings(tools).map(({ who, command }) => ({
        who,
        measure: async (): Promise<Figures> => {
          const start = performance.now();
          await using process = new Process(command);
          const figures = await process.figures();
          return { ...figures, wall: performance.now() - start };
        },
      })),
    }],
  };
}
