/**
 * What `fetch`, `Deno.serve` and `setInterval` suffer from a busy reactor.
 *
 * @module
 */

import { Process } from "../processes.ts";
import type { Row, Setting } from "../row.ts";

/** What a program may choose instead, in milliseconds. */
const OTHER_BUDGETS = [0.05, 1, 5];

/** See the module's documentation. */
export function fairnessRow({ quick, tools }: Setting): Row {
  const [warmUp, measure] = quick ? [300, 1200] : [500, 4000];
  const situations: [string, string, string][] = [
    ["full load, default budget", "default", "accompanied"],
    ["full load, default budget, alone", "default", "alone"],
    ["full load, no budget, alone", "Infinity", "alone"],
    ["no load", "none", "accompanied"],
    ...OTHER_BUDGETS.map((ms): [string, string, string] => [
      `full load, a budget of ${ms} ms`,
      `${ms}`,
      "accompanied",
    ]),
  ];
  return {
    key: "fairness",
    title: "Fairness",
    method:
      `Ten pairs play ping-pong without end, so that the reactor always has something to do. Beside it, unless it is alone, a fetch() to Deno.serve() of the same process every 5 ms, and setInterval(10), whose lateness is how much longer than 10 ms an interval was; ${measure} ms.`,
    metrics: [
      { name: "rate", title: "callbacks", unit: "/s" },
      { name: "fetch50", title: "fetch p50", unit: "ms" },
      { name: "fetch99", title: "fetch p99", unit: "ms" },
      { name: "interval50", title: "interval late p50", unit: "ms" },
      { name: "interval99", title: "interval late p99", unit: "ms" },
    ],
    cases: [{
      key: "fairness",
      title: "one process",
      contestants: situations.map(([who, load, company]) => ({
        who,
        measure: async () => {
          await using process = new Process(
            tools.command("fairness.ts", load, company, warmUp, measure),
          );
          return await process.figures();
        },
      })),
    }],
  };
}
