/**
 * TCP.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import {
  bindSocket,
  listenOn,
  openSocket,
  setSocketOption,
} from "../../ffi/socket.ts";
import { servicePort } from "../../ffi/service_name.ts";
import { isLiteral, SocketAddress } from "../../ffi/socket_address.ts";
import { SOCKET_OPTIONS } from "../../ffi/socket_constants.ts";
import { checkInteger } from "../../ffi/arguments.ts";
import { checkDelay, checkString, complaint, show } from "../arguments.ts";
import type { SystemError } from "../../ffi/errno.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import { cannotListen } from "./cannot_listen.ts";
import {
  type ClientFactory,
  type Connector,
  type ConnectorOptions,
  StreamConnector,
} from "./connector.ts";
import {
  ConnectBindError,
  InvalidAddressError,
  ServiceNameUnknownError,
} from "./errors.ts";
import { checkFactory } from "./factories.ts";
import { type Port, type PortOptions, StreamPort } from "./port.ts";
import type { ServerFactory } from "./protocol.ts";
import { lookUp } from "./resolver.ts";

/**
 * Options of {@linkcode listenTCP}.
 *
 * @example For this machine alone
 * ```ts
 * import { listenTCP, type ListenTCPOptions } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ListenTCPOptions = { hostname: "localhost", backlog: 16 };
 * await using port = listenTCP(0, {
 *   buildProtocol: () => ({ dataReceived() {} }),
 * }, options);
 * const { hostname } = port.getHost() as Deno.NetAddr;
 * assertEquals(hostname, "127.0.0.1");
 * ```
 */
export interface ListenTCPOptions {
  /**
   * The address to listen on, IPv4 or IPv6. `"::"` takes both; `"localhost"` is
   * `"127.0.0.1"`.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string;
  /**
   * How many connections may wait in the kernel to be taken.
   *
   * @default {511}
   */
  backlog?: number;
  /**
   * The reactor that serves the port.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Listens for TCP connections.
 *
 * @param port The port; 0 for one that is free, which `getHost()` then tells.
 * @param factory Makes the protocols of the connections.
 * @param options Where.
 * @returns The port, which listens already.
 * @throws {CannotListenError} When the address can't be had.
 * @throws {InvalidAddressError} When `hostname` is no address.
 * @throws {TypeError} When an argument is of the wrong type.
 * @throws {RangeError} When `port` is not an integer from 0 to 65535.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example A server that answers in capitals
 * ```ts
 * import { reactor } from "@interleave/reactor";
 * import { connect, listenTCP, type Transport } from "@interleave/reactor/net";
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
 * const factory = { buildProtocol: () => new Shout() };
 * const port = listenTCP(0, factory, { hostname: "127.0.0.1", reactor });
 *
 * await using connection = await connect(port.getHost());
 * connection.write("hello");
 * assertEquals(await new Response(connection.readable).text(), "HELLO");
 * await port.stopListening();
 * ```
 */
export function listenTCP(
  port: number,
  factory: ServerFactory,
  options: ListenTCPOptions = {},
): Port {
  return listenTCPWith(port, factory, options);
}

/** The same, with something between the sockets and the transports. */
export function listenTCPWith(
  port: number,
  factory: ServerFactory,
  options: ListenTCPOptions,
  layer: Pick<PortOptions, "wrap" | "closed"> = {},
): Port {
  const action = "listen";
  checkPort(port, action, "port", 0);
  checkFactory(factory, action);
  const {
    hostname: name = "0.0.0.0",
    backlog = 511,
    reactor = sharedReactor,
  } = options;
  checkString(name, action, "options.hostname");
  checkInteger(backlog, action, "options.backlog", 0);
  const hostname = toListeningAddress(name, action);
  return new StreamPort({
    ...layer,
    reactor,
    factory,
    open() {
      let address;
      let fd;
      try {
        address = SocketAddress.internet(hostname, port);
        fd = openSocket(address.family, POSIX.SOCK_STREAM);
      } catch (error) {
        throw cannotListen(`${hostname}, port ${port}`, error);
      }
      try {
        setSocketOption(fd, SOCKET_OPTIONS.SO_REUSEADDR, 1);
        if (address.family === POSIX.AF_INET6) {
          setSocketOption(fd, SOCKET_OPTIONS.IPV6_V6ONLY, 0);
        }
        bindSocket(fd, address);
        listenOn(fd, backlog);
      } catch (error) {
        closeDescriptor(fd);
        throw cannotListen(`${hostname}, port ${port}`, error);
      }
      return fd;
    },
  });
}

/**
 * The address for a name. The one that each machine has for itself needs no
 * look-up: who connects to it tries 127.0.0.1, after ::1 perhaps, and it is what
 * `Deno.listen` takes.
 */
function toListeningAddress(hostname: string, action: string): string {
  if (isLiteral(hostname)) return hostname;
  if (hostname.toLowerCase() === "localhost") return "127.0.0.1";
  throw new InvalidAddressError(
    complaint(
      hostname,
      action,
      "options.hostname",
      'an IPv4 or IPv6 address or "localhost" (no other name is looked up to listen on)',
    ),
  );
}

/**
 * Options of {@linkcode connectTCP}.
 *
 * @example From an address of one's choice
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { connectTCP, listen, type Transport } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * await using port = listen({ hostname: "127.0.0.1", port: 0, reactor });
 * const { hostname, port: number } = port.getHost();
 *
 * let from: string | undefined;
 * connectTCP(hostname, number, {
 *   buildProtocol: () => ({
 *     makeConnection(transport: Transport) {
 *       from = (transport.getHost() as Deno.NetAddr).hostname;
 *       reactor.stop();
 *     },
 *     dataReceived() {},
 *   }),
 * }, { reactor, timeout: 5000, bindAddress: ["127.0.0.1", 0] });
 * await reactor.run();
 * assertEquals(from, "127.0.0.1");
 * ```
 */
export interface ConnectTCPOptions {
  /**
   * How long an attempt may take, the look-up of the name included, in
   * milliseconds.
   *
   * @default {30_000}
   */
  timeout?: number;
  /**
   * The local address and port to connect from; port 0 for any.
   *
   * @default {undefined} What the system chooses.
   */
  bindAddress?: readonly [hostname: string, port: number];
  /**
   * The reactor that serves the connection.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Connects by TCP. A name is looked up off the main thread; when it has several
 * addresses, they are tried as browsers do, the families in turn.
 *
 * @param hostname A host name, or an IPv4 or IPv6 address.
 * @param port The port, or the name of its service, such as "https".
 * @param factory Makes the protocol of the connection, and is told of failures.
 * @param options How.
 * @returns The connector: it has begun, and nothing has been called but `doStart`
 * and `startedConnecting`.
 * @throws {InvalidAddressError} When `bindAddress` has no address.
 * @throws {TypeError} When an argument is of the wrong type.
 * @throws {ServiceNameUnknownError} When the system knows no such service.
 * @throws {RangeError} When `port` is not an integer from 1 to 65535, or
 * `timeout` is negative or not finite.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example A client that is refused
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { ConnectionRefusedError, connectTCP } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * const reactor = new Reactor();
 * let reason: Error | undefined;
 * connectTCP("127.0.0.1", 1, {
 *   buildProtocol: () => null,
 *   clientConnectionFailed(_connector, error) {
 *     reason = error;
 *     reactor.stop();
 *   },
 * }, { reactor });
 * await reactor.run();
 * assert(reason instanceof ConnectionRefusedError);
 * ```
 */
export function connectTCP(
  hostname: string,
  port: number | string,
  factory: ClientFactory,
  options: ConnectTCPOptions = {},
): Connector {
  return connectTCPWith(hostname, port, factory, options);
}

/** The same, with something between the socket and the transport. */
export function connectTCPWith(
  hostname: string,
  port: number | string,
  factory: ClientFactory,
  options: ConnectTCPOptions,
  layer: Pick<ConnectorOptions, "wrap" | "rested"> = {},
): Connector {
  const action = "connect";
  checkString(hostname, action, "hostname");
  const number = portOf(port, action);
  checkFactory(factory, action);
  const { timeout = 30_000, bindAddress, reactor = sharedReactor } = options;
  checkDelay(timeout, action, "options.timeout");
  if (bindAddress !== undefined) checkBindAddress(bindAddress, action);
  return new StreamConnector({
    ...layer,
    reactor,
    factory,
    destination: { transport: "tcp", hostname, port: number },
    timeout,
    find: (done) =>
      lookUp(reactor, hostname, (result) => {
        if (result.error !== undefined) return done({ error: result.error });
        done({
          addresses: alternate(result.addresses).map((address) =>
            SocketAddress.internet(address, number)
          ),
        });
      }),
    bind: bindAddress && ((fd, { family }) => {
      const [hostname, port] = bindAddress;
      try {
        const from = SocketAddress.internet(hostname, port);
        if (from.family !== family) {
          throw new InvalidAddressError("The address is of another family");
        }
        bindSocket(fd, from);
      } catch (error) {
        throw new ConnectBindError(
          `Cannot connect from ${hostname}, port ${port}: ${
            (error as Error).message
          }`,
          ofSystem(error),
        );
      }
    }),
  });
}

/** One family after the other, beginning with that of the first address. */
function alternate(addresses: readonly string[]): string[] {
  const isIPv6 = (address: string) => address.includes(":");
  const first = isIPv6(addresses[0] ?? "");
  const same = addresses.filter((address) => isIPv6(address) === first);
  const other = addresses.filter((address) => isIPv6(address) !== first);
  return same.flatMap((address, i) =>
    i < other.length ? [address, other[i]!] : [address]
  ).concat(other.slice(same.length));
}

/** What the kernel said, for an error of ours. */
function ofSystem(error: unknown) {
  const { code, errno } = error as SystemError;
  return { cause: error, code, errno };
}

/** A port as a number: a name is that of a service. */
function portOf(port: number | string, action: string): number {
  if (typeof port !== "string") {
    checkPort(port, action, "port", 1);
    return port;
  }
  const number = servicePort(port);
  if (number !== undefined) return number;
  throw new ServiceNameUnknownError(
    `Cannot ${action}: the system knows no service ${show(port)}`,
  );
}

function checkPort(
  value: unknown,
  action: string,
  name: string,
  least: number,
): void {
  checkInteger(value, action, name, least, 65_535);
}

function checkBindAddress(value: unknown, action: string): void {
  const name = "options.bindAddress";
  if (!Array.isArray(value) || value.length !== 2) {
    throw new TypeError(
      complaint(value, action, name, "an array of an address and a port"),
    );
  }
  checkString(value[0], action, `${name}[0]`);
  if (!isLiteral(value[0])) {
    throw new InvalidAddressError(
      complaint(value[0], action, `${name}[0]`, "an IPv4 or IPv6 address"),
    );
  }
  checkPort(value[1], action, `${name}[1]`, 0);
}
