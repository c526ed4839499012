/**
 * Connecting, for people who think in promises.
 *
 * @module
 */

import { complaint } from "../arguments.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import { type Connection, ConnectionProtocol } from "./connection.ts";
import type { ClientFactory } from "./connector.ts";
import { startForPromises } from "./start.ts";
import { connectTCP } from "./tcp.ts";
import { connectSSL } from "./tls.ts";
import type { TLSOptions } from "./tls_options.ts";

/** Options of {@linkcode connect}. */
export interface ConnectOptions {
  /** A host name, or an IPv4 or IPv6 address. */
  hostname: string;
  /** The port. */
  port: number;
  /** Gives up when it is aborted. Once there is a connection it does nothing. */
  signal?: AbortSignal;
  /**
   * How the connection is encrypted. If its `hostname` is missing, the
   * certificate must be that of the host that is connected to.
   *
   * @default {undefined} Not at all.
   */
  tls?: TLSOptions;
  /**
   * How long it may take, the look-up of the name included, in milliseconds.
   *
   * @default {30_000}
   */
  timeout?: number;
  /**
   * The reactor that serves the connection. It is started on Deno's loop if
   * nothing has started it.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Connects by TCP.
 *
 * @param options Where to.
 * @returns The connection. Rejects with the {@linkcode ConnectError} that says
 * why there is none, with the signal's reason, with a TypeError or a RangeError
 * for bad options, or with `ReactorNotRestartable` when the reactor has stopped.
 *
 * @example Usage
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * const served = (async () => {
 *   for await (const connection of port) {
 *     await connection.readable.pipeTo(connection.writable);
 *     break;
 *   }
 * })();
 *
 * const address = port.getHost() as Deno.NetAddr;
 * await using connection = await connect(address);
 * connection.write("hello");
 * connection.loseWriteConnection();
 * assertEquals(await new Response(connection.readable).text(), "hello");
 * await served;
 * ```
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const action = "connect";
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { hostname, port, signal, tls, timeout, reactor = sharedReactor } =
    options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(
      complaint(signal, action, "options.signal", "an AbortSignal"),
    );
  }
  signal?.throwIfAborted();
  startForPromises(reactor);
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  const factory: ClientFactory = {
    buildProtocol: () => new ConnectionProtocol(resolve),
    clientConnectionFailed: (_connector, reason) => reject(reason),
  };
  const connector = tls === undefined
    ? connectTCP(hostname, port, factory, { timeout, reactor })
    : connectSSL(hostname, port, factory, { timeout, reactor, tls });
  const abort = () => {
    reject(signal!.reason);
    if (connector.state === "connecting") connector.stopConnecting();
  };
  signal?.addEventListener("abort", abort);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
