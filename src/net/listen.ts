/**
 * Listening, for people who think in promises.
 *
 * @module
 */

import { complaint } from "../arguments.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import type { Address } from "./address.ts";
import { type Connection, ConnectionProtocol } from "./connection.ts";
import type { Port } from "./port.ts";
import type { ServerFactory } from "./protocol.ts";
import { startForPromises } from "./start.ts";
import { listenTCP } from "./tcp.ts";
import { listenSSL } from "./tls.ts";
import type { TLSOptions } from "./tls_options.ts";

/** Options of {@linkcode listen}. */
export interface ListenOptions {
  /**
   * The address to listen on, IPv4 or IPv6. `"::"` takes both.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string;
  /** The port; 0 for one that is free, which `getHost()` then tells. */
  port: number;
  /**
   * How many connections may wait in the kernel to be taken.
   *
   * @default {511}
   */
  backlog?: number;
  /**
   * How the connections are encrypted: `cert` and `key` must be there.
   *
   * @default {undefined} Not at all.
   */
  tls?: TLSOptions;
  /**
   * The reactor that serves the port and its connections. It is started on
   * Deno's loop if nothing has started it.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/** A port whose connections are iterated. */
export type Listener = AsyncIterable<Connection> & Port;

/**
 * Listens for TCP connections, to be taken with `for await`.
 *
 * The iteration ends when the port stops listening, be it by `stopListening()`,
 * by the end of an `await using`, or with its reactor. Leaving the loop leaves
 * the port listening. Who takes connections too slowly leaves them waiting in
 * the kernel.
 *
 * @param options Where.
 * @returns The port, which listens already.
 * @throws {TypeError} When an option is of the wrong type.
 * @throws {RangeError} When `port` is not an integer from 0 to 65535.
 * @throws {CannotListenError} When the address can't be had.
 * @throws {InvalidAddressError} When `hostname` is no address.
 * @throws {ReactorNotRestartable} When the reactor has stopped.
 *
 * @example Usage
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await using client = await connect(port.getHost() as Deno.NetAddr);
 *
 * for await (const connection of port) {
 *   assertEquals(connection.getPeer(), client.getHost());
 *   connection.loseConnection();
 *   break;
 * }
 * ```
 */
export function listen(options: ListenOptions): Listener {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, "listen", "options", "an object"));
  }
  const { hostname, port, backlog, tls, reactor = sharedReactor } = options;
  startForPromises(reactor);
  return new ConnectionListener((factory) =>
    tls === undefined
      ? listenTCP(port, factory, { hostname, backlog, reactor })
      : listenSSL(port, factory, { hostname, backlog, reactor, tls })
  );
}

/** So many connections are taken before somebody asks for them. */
const WAITING = 16;

/** See {@linkcode Listener}. */
class ConnectionListener implements Port, AsyncIterable<Connection> {
  readonly #port: Port;
  #connections!: ReadableStream<Connection>;
  #controller!: ReadableStreamDefaultController<Connection>;

  constructor(open: (factory: ServerFactory) => Port) {
    this.#port = open({
      doStart: () => this.#begin(),
      buildProtocol: () => new ConnectionProtocol((made) => this.#add(made)),
      doStop: () => this.#controller.close(),
    });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Connection> {
    return this.#connections.values({ preventCancel: true });
  }

  getHost(): Address {
    return this.#port.getHost();
  }

  startListening(): void {
    this.#port.startListening();
  }

  stopListening(): Promise<void> {
    return this.#port.stopListening();
  }

  pauseProducing(): void {
    this.#port.pauseProducing();
  }

  resumeProducing(): void {
    this.#port.resumeProducing();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopListening();
  }

  #begin(): void {
    this.#connections = new ReadableStream({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.resumeProducing(),
    }, { highWaterMark: WAITING });
  }

  #add(connection: Connection): void {
    this.#controller.enqueue(connection);
    if (this.#controller.desiredSize! <= 0) this.pauseProducing();
  }
}
