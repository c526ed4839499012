/**
 * An echo server on `./net` that receives into a buffer of its own for each
 * connection, as the one on Deno's sockets does.
 */

import {
  type BufferedProtocol,
  listenTCP,
  type Transport,
} from "../../../src/net/mod.ts";
import { startVariant } from "./variant.ts";

class Echo implements BufferedProtocol {
  declare transport: Transport;
  #buffer = new Uint8Array(65_536);

  connectionMade(): void {
    this.transport.setTcpNoDelay(true);
  }

  getBuffer(): Uint8Array {
    // What is not sent yet must stay as it is.
    if (this.transport.bufferedAmount > 0) {
      this.#buffer = new Uint8Array(65_536);
    }
    return this.#buffer;
  }

  bufferUpdated(count: number): void {
    this.transport.write(this.#buffer.subarray(0, count));
  }
}

const reactor = startVariant();
const port = listenTCP(0, { buildProtocol: () => new Echo() }, {
  hostname: "127.0.0.1",
  backlog: 4096,
  reactor,
});
console.log((port.getHost() as Deno.NetAddr).port);
await reactor.finished;
