/**
 * What timers cost, and how late they are.
 *
 * @module
 */

import {
  DENO,
  NODE,
  OURS,
  TWISTED_EPOLL,
  TWISTED_THREADED,
} from "../contestants.ts";
import { Process } from "../processes.ts";
import type { Row, Setting } from "../row.ts";

/** See the module's documentation. */
export function timersRow({ quick, tools }: Setting): Row {
  const [batches, timers] = quick ? [30, 200] : [200, 1000];
  const commands: [string, () => string[]][] = [
    [OURS, () => tools.command("timers.ts", batches, timers)],
    [DENO, () => tools.command("timers_set_timeout.mjs", batches, timers)],
    [NODE, () => tools.node("timers_set_timeout.mjs", batches, timers)],
    [
      TWISTED_EPOLL,
      () => tools.command("timers_twisted.py", batches, timers, "epoll"),
    ],
    [
      TWISTED_THREADED,
      () =>
        tools.command("timers_twisted.py", batches, timers, "threadedselect"),
    ],
  ];
  return {
    key: "timers",
    title: "Timers",
    method:
      `Cost: the median of ${batches} batches of 1000 timers that are made and then cancelled, or made with no delay and fired. Lateness: ${timers} timers of 1 ms, one after the other.`,
    metrics: [
      { name: "cancel", title: "schedule and cancel", unit: "ns" },
      { name: "fire", title: "schedule and fire", unit: "ns" },
      { name: "p50", title: "lateness p50", unit: "µs" },
      { name: "p99", title: "lateness p99", unit: "µs" },
    ],
    cases: [{
      key: "timers",
      title: "callLater() and setTimeout()",
      contestants: commands.map(([who, command]) => ({
        who,
        absent: tools.absence(who),
        measure: async () => {
          await using process = new Process(command());
          return await process.figures();
        },
      })),
    }],
  };
}
