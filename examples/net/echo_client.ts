/**
 * Sends its standard input to an echo server, and prints what comes back.
 *
 *     deno run --allow-ffi examples/net/echo_client.ts
 *
 * Type something: each line comes back. Ctrl-D closes your half of the
 * connection, and the server closes its own when it has sent everything. Without
 * arguments the program has a server of its own; a port, and an address if it is
 * not 127.0.0.1, lead it to another: `7 ::1`. A pipe or a file will do for input,
 * too:
 *
 *     deno run --allow-ffi examples/net/echo_client.ts < README.md | diff - README.md
 *
 * @module
 */

import { FileDescriptor } from "../../mod.ts";
import { duplicate } from "../../ffi/mod.ts";
import { connect, listenTCP, type NetAddress } from "../../src/net/mod.ts";
import { Echo } from "./echo_server.ts";

/** Sends the input, and prints the answer, until both have ended. */
async function talk(hostname: string, port: number): Promise<void> {
  await using connection = await connect({ hostname, port });
  // A duplicate, because the stream closes what it has read to its end.
  const input = FileDescriptor.adopt(duplicate(0), { blocking: true });
  const output = Deno.stdout.writable;
  const end = new AbortController();
  await Promise.all([
    // The end of the input closes this half of the connection. From then on the
    // signal counts for nothing.
    input.readable().pipeTo(connection.writable, { signal: end.signal }),
    connection.readable.pipeTo(output, { preventClose: true })
      .then(() => end.abort(new Error("The server has hung up"))),
  ]);
}

/** Talks with a server that lives as long as this call. */
async function talkToMyself(): Promise<void> {
  const factory = { buildProtocol: () => new Echo() };
  await using server = listenTCP(0, factory, { hostname: "127.0.0.1" });
  const { hostname, port } = server.getHost() as NetAddress;
  await talk(hostname, port);
}

if (import.meta.main) {
  const [port, hostname = "127.0.0.1"] = Deno.args;
  try {
    await (port === undefined ? talkToMyself() : talk(hostname, Number(port)));
  } catch (error) {
    console.error((error as Error).message);
    Deno.exitCode = 1;
  }
}
