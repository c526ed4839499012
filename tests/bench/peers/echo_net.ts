/**
 * An echo server on `./net`, through its public interface.
 *
 *     echo_net.ts [VARIANT]
 */

import {
  listenTCP,
  type Protocol,
  type Transport,
} from "../../../src/net/mod.ts";
import { startVariant } from "./variant.ts";

class Echo implements Protocol {
  declare transport: Transport;

  connectionMade(): void {
    this.transport.setTcpNoDelay(true);
  }

  dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

const reactor = startVariant(Deno.args[0]);
const port = listenTCP(0, { buildProtocol: () => new Echo() }, {
  hostname: "127.0.0.1",
  backlog: 4096,
  reactor,
});
console.log((port.getHost() as Deno.NetAddr).port);
await reactor.finished;
