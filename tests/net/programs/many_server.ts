/**
 * An echo server for very many connections. For each line on its standard input
 * it prints how many there are, and how much memory it has.
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { listenTCP, type Transport } from "../../../src/net/mod.ts";
import { lines, residentMemory, say } from "./many.ts";

let connections = 0;

class Echo {
  declare transport: Transport;

  connectionMade(): void {
    connections++;
  }

  dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }

  connectionLost(): void {
    connections--;
  }
}

const reactor = new Reactor({ backend: Deno.args[0] as "epoll" | "poll" });
// Deno panics if a worker starts when there are no descriptors left for it.
reactor.interleave();
const port = listenTCP(0, { buildProtocol: () => new Echo() }, {
  hostname: "127.0.0.1",
  backlog: 4096,
  reactor,
});
say(port.getHost());
for await (const _ of lines()) say({ connections, memory: residentMemory() });
reactor.stop();
await reactor.finished;
