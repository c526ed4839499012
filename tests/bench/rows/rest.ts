/**
 * What a process uses that has nothing to do.
 *
 * @module
 */

import { OURS_NATIVE_WAKER, OURS_POLL } from "../contestants.ts";
import { cpuMilliseconds } from "../process_status.ts";
import { Process } from "../processes.ts";
import type { Figures, Row, Setting } from "../row.ts";
import { echoServers } from "./echo_servers.ts";

/** What the figures are for, in milliseconds. */
const SPAN = 5000;

/** See the module's documentation. */
export function restRow({ quick, tools }: Setting): Row {
  const [settle, measure] = quick ? [500, 1000] : [1500, SPAN];
  const servers = echoServers(tools).map(({ who, absent, command }) => ({
    who,
    absent,
    measure: () => rest(command()),
  }));
  servers.splice(
    1,
    0,
    variant(OURS_POLL, "poll"),
    variant(OURS_NATIVE_WAKER, "native"),
  );
  return {
    key: "rest",
    title: "At rest",
    method: `The processor time of an echo server with one silent connection, ${
      measure === SPAN
        ? "in 5 s"
        : `looked at for ${measure / 1000} s and counted for 5 s`
    }, ${settle} ms after the connection was made.`,
    metrics: [{ name: "cpu", title: "CPU in 5 s", unit: "ms" }],
    cases: [{ key: "rest", title: "nothing to do", contestants: servers }],
  };

  function variant(who: string, name: string) {
    return {
      who,
      absent: undefined,
      measure: () => rest(tools.command("echo_net.ts", name)),
    };
  }

  async function rest(command: string[]): Promise<Figures> {
    await using server = new Process(command);
    const port = Number(await server.line());
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const byte = new Uint8Array(1);
    await connection.write(byte);
    await connection.read(byte);
    await sleep(settle);
    const before = cpuMilliseconds(server.pid);
    const start = performance.now();
    await sleep(measure);
    const used = cpuMilliseconds(server.pid) - before;
    return { cpu: used * SPAN / (performance.now() - start) };
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
