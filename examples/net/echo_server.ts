/**
 * An echo server: whatever comes over TCP goes back.
 *
 *     deno run --allow-ffi examples/net/echo_server.ts
 *
 * It prints where it listens, and serves any number of clients until Ctrl-C:
 * `echo_client.ts`, `socat - TCP:127.0.0.1:7`, a browser. Another port than one
 * that is free, and another address than 127.0.0.1, go behind the command:
 * `7 ::1`.
 *
 * @module
 */

import { reactor } from "../../mod.ts";
import {
  listenTCP,
  type NetAddress,
  type Protocol,
  type Transport,
} from "../../src/net/mod.ts";

/** Sends back what comes. */
export class Echo implements Protocol {
  declare transport: Transport;

  /** The connection is its own producer: who does not read is not read from. */
  connectionMade(): void {
    this.transport.registerProducer(this.transport, true);
  }

  dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }

  /** The client has sent everything, and still wants to have it back. */
  readConnectionLost(): void {
    this.transport.unregisterProducer();
    this.transport.loseConnection();
  }
}

if (import.meta.main) {
  const [number = "0", hostname = "127.0.0.1"] = Deno.args;
  const factory = { buildProtocol: () => new Echo() };
  const port = listenTCP(Number(number), factory, { hostname });
  const run = reactor.run(); // Until Ctrl-C, which closes everything.
  const address = port.getHost() as NetAddress;
  console.log(`Listening on ${address.hostname}, port ${address.port}.`);
  await run;
}
