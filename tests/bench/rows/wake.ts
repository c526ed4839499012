/**
 * How long it takes from a write in another process to the callback.
 *
 * @module
 */

import {
  DENO,
  OURS,
  OURS_LOW_LATENCY,
  OURS_NATIVE_WAKER,
  OURS_POLL,
  TRIO,
  TRIO_GUEST,
  TWISTED_EPOLL,
  TWISTED_THREADED,
} from "../contestants.ts";
import { Process } from "../processes.ts";
import type { Contestant, Figures, Row, Setting } from "../row.ts";

/** See the module's documentation. */
export function wakeRow({ quick, tools }: Setting): Row {
  const [idleCount, activeCount] = quick ? [70, 600] : [300, 2000];
  return {
    key: "wake",
    title: "Wake-up latency",
    method:
      `Another process, ${tools.helpers}, sends the time over a TCP connection; what is measured ends when the data reaches the program. The first fifth of the messages only warms up.`,
    metrics: [
      { name: "p50", title: "p50", unit: "µs" },
      { name: "p99", title: "p99", unit: "µs" },
    ],
    cases: [
      {
        key: "wake/idle",
        title: `idle, ${idleCount} messages about 10 ms apart`,
        contestants: contestants(idleCount, 10_000),
      },
      {
        key: "wake/active",
        title: `recently active, ${activeCount} messages about 1 ms apart`,
        contestants: contestants(activeCount, 1000),
      },
    ],
  };

  function contestants(count: number, interval: number): Contestant[] {
    const warmUp = count / 5;
    const programs: [string, string, ...string[]][] = [
      [OURS, "wake_net.ts", "default"],
      [OURS_POLL, "wake_net.ts", "poll"],
      [OURS_NATIVE_WAKER, "wake_net.ts", "native"],
      [OURS_LOW_LATENCY, "wake_net.ts", "low"],
      [DENO, "wake_deno.ts"],
      [TWISTED_EPOLL, "wake_twisted.py", "epoll"],
      [TWISTED_THREADED, "wake_twisted.py", "threadedselect"],
      [TRIO, "wake_trio.py", "alone"],
      [TRIO_GUEST, "wake_trio.py", "guest"],
    ];
    return programs.map(([who, program, ...parameters]) => ({
      who,
      absent: tools.absence(who),
      measure: () =>
        wake(tools.command(program, warmUp, ...parameters), count, interval),
    }));
  }

  async function wake(
    command: string[],
    count: number,
    interval: number,
  ): Promise<Figures> {
    await using woken = new Process(command);
    const port = await woken.line();
    await using kick = new Process(tools.helper("kick", port, count, interval));
    await kick.figures();
    const { count: got, p50, p99 } = await woken.figures();
    if (got !== count - count / 5) {
      throw new Error(`${got} of ${count - count / 5} messages arrived`);
    }
    return { p50: p50!, p99: p99! };
  }
}
