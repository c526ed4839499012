/**
 * TCP echo, with messages of two lengths and more and more connections.
 *
 * @module
 */

import { Process } from "../processes.ts";
import type { Figures, Row, Setting } from "../row.ts";
import { echoServers } from "./echo_servers.ts";

const SIZES = [[64, "64 B"], [16_384, "16 KiB"]] as const;

/** How many connections there are, also for the plot. */
export const CONNECTIONS: readonly number[] = [1, 10, 100, 1000];

/** See the module's documentation. */
export function tcpRow({ quick, tools }: Setting): Row {
  // Warm includes the worker, which begins 200 ms after the first load.
  const [warmUp, measure] = quick ? [400, 350] : [500, 1000];
  return {
    key: "tcp",
    title: "TCP echo",
    method:
      `Each connection sends a message, waits for all of it to come back, and sends the next; ${measure} ms after ${warmUp} ms of warming up. The load generator is a process of its own, ${tools.helpers}. CPU is that of the server's whole process. The longest wait is one that 99 of 100 connections never exceeded: a server that serves a few over and over has a good p99 and a long wait.`,
    metrics: [
      { name: "rate", title: "messages", unit: "/s" },
      { name: "cpu", title: "CPU a message", unit: "µs" },
      { name: "p50", title: "p50", unit: "µs" },
      { name: "p99", title: "p99", unit: "µs" },
      { name: "wait99", title: "longest wait", unit: "µs" },
    ],
    cases: SIZES.flatMap(([size, title]) =>
      CONNECTIONS.map((connections) => ({
        key: `tcp/${size}/${connections}`,
        title: `${title}, ${connections} connection${
          connections > 1 ? "s" : ""
        }`,
        contestants: echoServers(tools).map((server) => ({
          ...server,
          measure: () => measureEcho(server.command(), connections, size),
        })),
      }))
    ),
  };

  async function measureEcho(
    command: string[],
    connections: number,
    size: number,
  ): Promise<Figures> {
    await using server = new Process(command);
    const port = await server.line();
    await using load = new Process(
      tools.helper(
        "load",
        port,
        server.pid,
        connections,
        size,
        warmUp,
        measure,
      ),
    );
    const { messages, seconds, cpu, p50, p99, wait99 } = await load.figures();
    return {
      rate: messages! / seconds!,
      // A system that does not tell says 0.
      ...(cpu! > 0 && { cpu: cpu! / messages! }),
      p50: p50!,
      p99: p99!,
      wait99: wait99!,
    };
  }
}
