/**
 * Connecting, for people who think in promises.
 *
 * @module
 */

import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import type { NetAddress, UnixAddress } from "./address.ts";
import { type Connection, ConnectionProtocol } from "./connection.ts";
import type { ClientFactory, Connector } from "./connector.ts";
import { checkPlace, checkSignal } from "./promise_options.ts";
import { startForPromises } from "./start.ts";
import { connectTCP } from "./tcp.ts";
import { connectSSL } from "./tls.ts";
import type { TLSOptions } from "./tls_options.ts";
import { connectUNIX } from "./unix.ts";

/**
 * Options of {@linkcode connect}, by TCP.
 *
 * @example Giving up
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertRejects } from "@std/assert";
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * const user = new AbortController();
 * const connected = connect({
 *   ...port.getHost(),
 *   timeout: 5000,
 *   signal: user.signal,
 * });
 * user.abort(new Error("The user has changed her mind"));
 * await assertRejects(() => connected, Error, "changed her mind");
 * ```
 */
export interface ConnectOptions {
  /** A host name, or an IPv4 or IPv6 address. */
  hostname: string;
  /** The port. */
  port: number;
  /** There is none: see {@linkcode ConnectPathOptions}. */
  path?: undefined;
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
 * Options of {@linkcode connect}, to a UNIX socket.
 *
 * @example A service that may not be running
 * ```ts
 * import { connect, ConnectError } from "@interleave/reactor/net";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const path = `/tmp/nobody ${crypto.randomUUID()}`;
 * const error = await assertRejects(
 *   () => connect({ path, timeout: 1000 }),
 *   ConnectError,
 * );
 * assertEquals(error.code, "ENOENT");
 * ```
 */
export interface ConnectPathOptions {
  /** Where the socket is. On Linux, an abstract name begins with a NUL. */
  path: string;
  /** There is none: see {@linkcode ConnectOptions}. */
  hostname?: undefined;
  /** There is none: see {@linkcode ConnectOptions}. */
  port?: undefined;
  /**
   * There is none. Call
   * {@linkcode Connection.prototype.startTLS Connection.startTLS} instead.
   */
  tls?: undefined;
  /** Gives up when it is aborted. Once there is a connection it does nothing. */
  signal?: AbortSignal;
  /**
   * How long it may take, in milliseconds: also until a server that has too many
   * connections waiting takes this one.
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
 * await using connection = await connect(port.getHost());
 * connection.write("hello");
 * connection.loseWriteConnection();
 * assertEquals(await new Response(connection.readable).text(), "hello");
 * await served;
 * ```
 */
export function connect(
  options: ConnectOptions,
): Promise<Connection<NetAddress>>;
/**
 * Connects to a UNIX socket.
 *
 * @param options Where to.
 * @returns The connection. Rejects as it does with TCP.
 *
 * @example A socket that others cannot see
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `/tmp/greeter ${crypto.randomUUID()}`;
 * await using port = listen({ path, mode: 0o600 });
 * await using client = await connect({ path });
 * for await (const server of port) {
 *   server.write("hello");
 *   server.loseConnection();
 *   break;
 * }
 * assertEquals(await new Response(client.readable).text(), "hello");
 * ```
 */
export function connect(
  options: ConnectPathOptions,
): Promise<Connection<UnixAddress>>;
/**
 * Connects to where an address says.
 *
 * @param options Where to.
 * @returns The connection. Rejects as it does with TCP.
 *
 * @example A place from a configuration
 * ```ts
 * import {
 *   connect,
 *   type ConnectOptions,
 *   type ConnectPathOptions,
 *   listen,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({ path: `/tmp/service ${crypto.randomUUID()}` });
 *
 * const configuration = JSON.stringify({ server: port.getHost() });
 * const server: ConnectOptions | ConnectPathOptions =
 *   JSON.parse(configuration).server;
 * await using connection = await connect(server);
 * assertEquals(connection.getPeer(), port.getHost());
 * ```
 */
export function connect(
  options: ConnectOptions | ConnectPathOptions,
): Promise<Connection>;
export async function connect(
  options: ConnectOptions | ConnectPathOptions,
): Promise<Connection> {
  const action = "connect";
  checkPlace(options, action);
  const { signal, reactor = sharedReactor } = options;
  checkSignal(signal, action);
  signal?.throwIfAborted();
  startForPromises(reactor);
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  const connector = begin(options, {
    buildProtocol: () => new ConnectionProtocol(resolve),
    clientConnectionFailed: (_connector, reason) => reject(reason),
  });
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

function begin(
  options: ConnectOptions | ConnectPathOptions,
  factory: ClientFactory,
): Connector {
  const { timeout, reactor } = options;
  if (options.path !== undefined) {
    return connectUNIX(options.path, factory, { timeout, reactor });
  }
  const { hostname, port, tls } = options;
  return tls === undefined
    ? connectTCP(hostname, port, factory, { timeout, reactor })
    : connectSSL(hostname, port, factory, { timeout, reactor, tls });
}
