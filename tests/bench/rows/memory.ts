/**
 * What is resident in memory.
 *
 * @module
 */

import { residentKilobytes } from "../process_status.ts";
import { Process } from "../processes.ts";
import type { Figures, Row, Setting } from "../row.ts";
import { beginnings } from "./beginnings.ts";
import { echoServers } from "./echo_servers.ts";

/** See the module's documentation. */
export function memoryRow({ quick, tools }: Setting): Row {
  const connections = quick ? 200 : 1000;
  return {
    key: "memory",
    title: "Memory",
    method:
      `Resident memory: of a process that has just begun, and of an echo server with ${connections} connections, each of which has echoed one byte, less what it had with one.`,
    metrics: [
      { name: "resident", title: "resident", unit: "MB" },
      { name: "each", title: "a connection", unit: "kB" },
    ],
    cases: [
      {
        key: "memory/process",
        title: "a fresh process",
        contestants: beginnings(tools).map(({ who, command }) => ({
          who,
          measure: async (): Promise<Figures> => {
            await using process = new Process(command);
            await process.figures();
            return { resident: residentKilobytes(process.pid) / 1000 };
          },
        })),
      },
      {
        key: "memory/connections",
        title: `${connections} connections`,
        contestants: echoServers(tools).map(({ who, absent, command }) => ({
          who,
          absent,
          measure: () => measureConnections(command()),
        })),
      },
    ],
  };

  async function measureConnections(command: string[]): Promise<Figures> {
    await using server = new Process(command);
    const port = Number(await server.line());
    using stack = new DisposableStack();
    await addConnections(1);
    const before = residentKilobytes(server.pid);
    await addConnections(connections);
    const after = residentKilobytes(server.pid);
    return { resident: after / 1000, each: (after - before) / connections };

    async function addConnections(count: number): Promise<void> {
      const byte = new Uint8Array(1);
      for (let i = 0; i < count; i++) {
        const connection = stack.use(
          await Deno.connect({ hostname: "127.0.0.1", port }),
        );
        await connection.write(byte);
        await connection.read(byte);
      }
    }
  }
}
