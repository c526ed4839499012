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

/**
 * Options of {@linkcode connectSSL}.
 *
 * @example No more than a moment for the handshake
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import {
 *   connectSSL,
 *   ConnectTimeoutError,
 *   listen,
 * } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * await using port = listen({ hostname: "127.0.0.1", port: 0, reactor });
 * const { hostname, port: number } = port.getHost();
 *
 * let reason: Error | undefined;
 * connectSSL(hostname, number, {
 *   buildProtocol: () => null,
 *   clientConnectionFailed(_connector, error) {
 *     reason = error;
 *     reactor.stop();
 *   },
 * }, { reactor, timeout: 5000, tls: { handshakeTimeout: 50 } });
 * await reactor.run();
 * assert(reason instanceof ConnectTimeoutError); // The server says nothing.
 * ```
 */
export interface ConnectSSLOptions extends ConnectTCPOptions {
  /**
   * How the connection is encrypted. If its `hostname` is missing, the
   * certificate must be that of the host that is connected to.
   *
   * @default {{}}
   */
  tls?: TLSOptions;
}

/**
 * Options of {@linkcode listenSSL}.
 *
 * @example A certificate, and what is spoken
 * ```ts
 * import {
 *   connect,
 *   listenSSL,
 *   type ListenSSLOptions,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ListenSSLOptions = {
 *   hostname: "127.0.0.1",
 *   tls: {
 *     cert: certificate(),
 *     key: certificate(),
 *     alpnProtocols: ["echo"],
 *     handshakeTimeout: 5000,
 *   },
 * };
 * await using port = listenSSL(0, {
 *   buildProtocol() {
 *     let transport: Transport;
 *     return {
 *       makeConnection: (made) => transport = made,
 *       handshakeCompleted: () => transport.write(`${transport.alpnProtocol}`),
 *       dataReceived: (data) => transport.write(data),
 *     };
 *   },
 * }, options);
 *
 * await using client = await connect({
 *   ...port.getHost() as Deno.NetAddr,
 *   tls: { caCerts: [certificate()], alpnProtocols: ["echo"] },
 * });
 * for await (const data of client) {
 *   assertEquals(new TextDecoder().decode(data), "echo");
 *   break;
 * }
 *
 * // For 127.0.0.1, with its key. One like it is made by `openssl req -x509
 * // -newkey ed25519 -nodes -subj /CN=a -addext subjectAltName=IP:127.0.0.1`.
 * function certificate(): string {
 *   return `-----BEGIN CERTIFICATE-----
 * MIHbMIGOoAMCAQICAQEwBQYDK2VwMAwxCjAIBgNVBAMMAWEwIBcNMjAwMTAxMDAw
 * MDAwWhgPMjEyMDAxMDEwMDAwMDBaMAwxCjAIBgNVBAMMAWEwKjAFBgMrZXADIQCb
 * 7MBa/s/XTmG5uyxfA9e3igCPFrkneXkZbIRgm1YDS6MTMBEwDwYDVR0RBAgwBocE
 * fwAAATAFBgMrZXADQQCYyJyUy3h4l+vMHJTx2UeCsn+z1KEfWENj0YTtku4JINDd
 * YzqwPN7/DqW74Wwyd1z0PMMXzqy9RKIy7h8/ub8F
 * -----END CERTIFICATE-----
 * -----BEGIN PRIVATE KEY-----
 * MC4CAQAwBQYDK2VwBCIEIM8NNoOa2RUS0hsNPRhwRcG8Kck71FUo4Yg2Clv+V65+
 * -----END PRIVATE KEY-----`;
 * }
 * ```
 */
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
 * @param port The port, or the name of its service, such as "https".
 * @param factory Makes the protocol of the connection, and is told of failures.
 * @param options How. The `timeout` is for everything, the handshake included;
 * `tls.handshakeTimeout` for that alone. Both end in a `ConnectTimeoutError`.
 * @returns The connector, which has begun.
 * @throws {InvalidAddressError} When `bindAddress` has no address.
 * @throws {TypeError} When an argument is of the wrong type, or a certificate
 * cannot be read.
 * @throws {ServiceNameUnknownError} When the system knows no such service.
 * @throws {RangeError} When `port` is not an integer from 1 to 65535, or another
 * number or text is out of range.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 * @throws {Deno.errors.NotFound} When OpenSSL 3 is not installed.
 *
 * @example A client that hears a greeting
 * ```ts
 * import { connectSSL, listen, type Transport } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({
 *   hostname: "127.0.0.1",
 *   port: 0,
 *   tls: { cert: certificate(), key: certificate() },
 * });
 *
 * const { promise, resolve, reject } = Promise.withResolvers<string>();
 * class Guest {
 *   declare transport: Transport;
 *
 *   dataReceived(data: Uint8Array) {
 *     resolve(new TextDecoder().decode(data));
 *     this.transport.loseConnection();
 *   }
 * }
 * const { hostname, port: number } = port.getHost();
 * connectSSL(hostname, number, {
 *   buildProtocol: () => new Guest(),
 *   clientConnectionFailed: (_connector, reason) => reject(reason),
 * }, { tls: { caCerts: [certificate()] } });
 *
 * for await (const connection of port) {
 *   connection.write("hello");
 *   connection.loseConnection();
 *   break;
 * }
 * assertEquals(await promise, "hello");
 *
 * // For 127.0.0.1, with its key. One like it is made by `openssl req -x509
 * // -newkey ed25519 -nodes -subj /CN=a -addext subjectAltName=IP:127.0.0.1`.
 * function certificate(): string {
 *   return `-----BEGIN CERTIFICATE-----
 * MIHbMIGOoAMCAQICAQEwBQYDK2VwMAwxCjAIBgNVBAMMAWEwIBcNMjAwMTAxMDAw
 * MDAwWhgPMjEyMDAxMDEwMDAwMDBaMAwxCjAIBgNVBAMMAWEwKjAFBgMrZXADIQCb
 * 7MBa/s/XTmG5uyxfA9e3igCPFrkneXkZbIRgm1YDS6MTMBEwDwYDVR0RBAgwBocE
 * fwAAATAFBgMrZXADQQCYyJyUy3h4l+vMHJTx2UeCsn+z1KEfWENj0YTtku4JINDd
 * YzqwPN7/DqW74Wwyd1z0PMMXzqy9RKIy7h8/ub8F
 * -----END CERTIFICATE-----
 * -----BEGIN PRIVATE KEY-----
 * MC4CAQAwBQYDK2VwBCIEIM8NNoOa2RUS0hsNPRhwRcG8Kck71FUo4Yg2Clv+V65+
 * -----END PRIVATE KEY-----`;
 * }
 * ```
 */
export function connectSSL(
  hostname: string,
  port: number | string,
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
 * the handshake, of which `handshakeCompleted` tells. If that fails or takes
 * longer than `tls.handshakeTimeout`, `connectionLost` gets the `TLSError`.
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
 *
 * @example A server that answers in capitals
 * ```ts
 * import { connect, listenSSL, type Transport } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * class Shout {
 *   declare transport: Transport;
 *
 *   dataReceived(data: Uint8Array) {
 *     this.transport.write(new TextDecoder().decode(data).toUpperCase());
 *     this.transport.loseConnection();
 *   }
 * }
 *
 * await using port = listenSSL(0, { buildProtocol: () => new Shout() }, {
 *   hostname: "127.0.0.1",
 *   tls: { cert: certificate(), key: certificate() },
 * });
 *
 * await using connection = await connect({
 *   ...port.getHost() as Deno.NetAddr,
 *   tls: { caCerts: [certificate()] },
 * });
 * connection.write("hello");
 * assertEquals(await new Response(connection.readable).text(), "HELLO");
 *
 * // For 127.0.0.1, with its key. One like it is made by `openssl req -x509
 * // -newkey ed25519 -nodes -subj /CN=a -addext subjectAltName=IP:127.0.0.1`.
 * function certificate(): string {
 *   return `-----BEGIN CERTIFICATE-----
 * MIHbMIGOoAMCAQICAQEwBQYDK2VwMAwxCjAIBgNVBAMMAWEwIBcNMjAwMTAxMDAw
 * MDAwWhgPMjEyMDAxMDEwMDAwMDBaMAwxCjAIBgNVBAMMAWEwKjAFBgMrZXADIQCb
 * 7MBa/s/XTmG5uyxfA9e3igCPFrkneXkZbIRgm1YDS6MTMBEwDwYDVR0RBAgwBocE
 * fwAAATAFBgMrZXADQQCYyJyUy3h4l+vMHJTx2UeCsn+z1KEfWENj0YTtku4JINDd
 * YzqwPN7/DqW74Wwyd1z0PMMXzqy9RKIy7h8/ub8F
 * -----END CERTIFICATE-----
 * -----BEGIN PRIVATE KEY-----
 * MC4CAQAwBQYDK2VwBCIEIM8NNoOa2RUS0hsNPRhwRcG8Kck71FUo4Yg2Clv+V65+
 * -----END PRIVATE KEY-----`;
 * }
 * ```
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
    this.#context = new TLSContext(role, options);
    // A copy: later connections are to be made like the first.
    this.#options = { ...options };
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
