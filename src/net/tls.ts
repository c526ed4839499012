/**
 * TCP with TLS on it.
 *
 * @module
 */

import { checkString } from "../arguments.ts";
import type { ClientFactory, Connector } from "./connector.ts";
import type { Port } from "./port.ts";
import type { ServerFactory } from "./protocol.ts";
import type { StreamSocket } from "./stream.ts";
import {
  type ConnectTCPOptions,
  connectTCPWith,
  type ListenTCPOptions,
  listenTCPWith,
} from "./tcp.ts";
import { TLSContext } from "./tls_context.ts";
import type { TLSOptions, TLSRole } from "./tls_options.ts";
import { TLSStream } from "./tls_stream.ts";

/** Options of {@linkcode connectSSL}. */
export interface ConnectSSLOptions extends ConnectTCPOptions {
  /**
   * How the connection is encrypted. If its `hostname` is missing, the
   * certificate must be that of the host that is connected to.
   *
   * @default {{}}
   */
  tls?: TLSOptions;
}

/** Options of {@linkcode listenSSL}. */
export interface ListenSSLOptions extends ListenTCPOptions {
  /** How the connections are encrypted: `cert` and `key` must be there. */
  tls: TLSOptions;
}

/**
 * Connects by TCP, and shakes hands for TLS. There is a protocol only after that,
 * so that a certificate which will not do is told to the factory's
 * `clientConnectionFailed`, as a `ConnectError` whose `cause` is the `TLSError`.
 *
 * @param hostname A host name, or an IPv4 or IPv6 address.
 * @param port The port.
 * @param factory Makes the protocol of the connection, and is told of failures.
 * @param options How. The `timeout` is for everything, the handshake included.
 * @returns The connector, which has begun.
 * @throws {InvalidAddressError} When `bindAddress` has no address.
 * @throws {TypeError} When an argument is of the wrong type, or a certificate
 * cannot be read.
 * @throws {RangeError} When `port` is not an integer from 1 to 65535, or another
 * number or text is out of range.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 * @throws {Deno.errors.NotFound} When OpenSSL 3 is not installed.
 */
export function connectSSL(
  hostname: string,
  port: number,
  factory: ClientFactory,
  options: ConnectSSLOptions = {},
): Connector {
  checkString(hostname, "connect", "hostname");
  const { tls = {}, ...rest } = options;
  const layer = new TLSLayer("client", { hostname, ...tls });
  try {
    return connectTCPWith(hostname, port, factory, rest, {
      wrap: (socket) => layer.wrap(socket),
      rested: () => layer.release(),
    });
  } catch (error) {
    layer.release();
    throw error;
  }
}

/**
 * Listens for TCP connections that are encrypted. As with `listenTCP`, there is a
 * protocol as soon as there is a connection, and what it writes goes out after
 * the handshake. If that fails, `connectionLost` gets the `TLSError`.
 *
 * @param port The port; 0 for one that is free, which `getHost()` then tells.
 * @param factory Makes the protocols of the connections.
 * @param options Where, and with which certificate.
 * @returns The port, which listens already.
 * @throws {CannotListenError} When the address can't be had.
 * @throws {InvalidAddressError} When `hostname` is no address.
 * @throws {TypeError} When an argument is of the wrong type, or the certificate
 * or its key cannot be read.
 * @throws {RangeError} When `port` is not an integer from 0 to 65535, or another
 * number or text is out of range.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 * @throws {Deno.errors.NotFound} When OpenSSL 3 is not installed.
 */
export function listenSSL(
  port: number,
  factory: ServerFactory,
  options: ListenSSLOptions,
): Port {
  const { tls, ...rest } = options;
  const layer = new TLSLayer("server", tls);
  try {
    return listenTCPWith(port, factory, rest, {
      wrap: (socket) => layer.wrap(socket),
      closed: () => layer.release(),
    });
  } catch (error) {
    layer.release();
    throw error;
  }
}

/** One context for all connections of a port or connector, while it is in use. */
class TLSLayer {
  readonly #role: TLSRole;
  readonly #options: TLSOptions;
  #context: TLSContext | undefined;

  constructor(role: TLSRole, options: TLSOptions) {
    this.#role = role;
    this.#options = options;
    this.#context = new TLSContext(role, options);
  }

  wrap(socket: StreamSocket): StreamSocket {
    this.#context ??= new TLSContext(this.#role, this.#options);
    return new TLSStream(socket, this.#context);
  }

  /** Gives the memory back, until the next connection. */
  release(): void {
    this.#context?.[Symbol.dispose]();
    this.#context = undefined;
  }
}
