/**
 * UNIX sockets, of streams and of datagrams.
 *
 * @module
 */

import { checkInteger } from "../../ffi/arguments.ts";
import { POSIX } from "../../ffi/constants.ts";
import { listenOn } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import { checkDelay } from "../arguments.ts";
import type { Address } from "./address.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import {
  type ClientFactory,
  type Connector,
  StreamConnector,
} from "./connector.ts";
import {
  checkDatagramProtocol,
  DatagramPort,
  type DatagramProtocol,
  type DatagramTransport,
} from "./datagram.ts";
import { checkFactory } from "./factories.ts";
import { type Port, StreamPort } from "./port.ts";
import type { ServerFactory } from "./protocol.ts";
import { openUnixDatagram } from "./unix_datagram.ts";
import {
  checkUnixPathOptions,
  UnixPath,
  type UnixPathOptions,
} from "./unix_path.ts";
import {
  type UnixBufferedProtocol,
  type UnixProtocol,
  UnixStreamTransport,
} from "./unix_stream.ts";

/**
 * Makes protocols for connections that come over a UNIX socket.
 *
 * @example Clients that bring a file
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import {
 *   connectUNIX,
 *   listenUNIX,
 *   type UnixServerFactory,
 *   type UnixTransport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const path = `/tmp/logger ${crypto.randomUUID()}`;
 *
 * // Each client hands over the file that its messages are to go to.
 * const factory: UnixServerFactory = {
 *   buildProtocol() {
 *     let log: FileDescriptor | undefined;
 *     return {
 *       fileDescriptorReceived: (fd) => log = FileDescriptor.adopt(fd),
 *       dataReceived: (message) => log?.write(message),
 *       connectionLost() {
 *         log?.close();
 *         reactor.stop();
 *       },
 *     };
 *   },
 * };
 * await using _port = listenUNIX(path, factory, { reactor });
 *
 * const [reader, writer] = FileDescriptor.pipe();
 * connectUNIX(path, {
 *   buildProtocol: () => ({
 *     makeConnection(transport: UnixTransport) {
 *       transport.sendFileDescriptor(writer);
 *       transport.write("hello");
 *       transport.loseConnection();
 *     },
 *     dataReceived() {},
 *   }),
 * }, { reactor });
 * await reactor.run();
 *
 * const bytes = new Uint8Array(100);
 * assertEquals(reader.read(bytes), 5);
 * reader.close();
 * writer.close();
 * ```
 */
export interface UnixServerFactory extends ServerFactory {
  /** See {@linkcode ServerFactory.buildProtocol}. */
  buildProtocol(
    peer: Address,
  ): UnixProtocol | UnixBufferedProtocol | null;
}

/**
 * Makes protocols for connections over UNIX sockets that a program asked for.
 *
 * @example Asking a service for a descriptor
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import {
 *   connectUNIX,
 *   listenUNIX,
 *   type UnixClientFactory,
 *   type UnixTransport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `/tmp/opener ${crypto.randomUUID()}`;
 * await using _port = listenUNIX(path, {
 *   buildProtocol: () => ({
 *     makeConnection(transport: UnixTransport) {
 *       const [reader, writer] = FileDescriptor.pipe();
 *       writer.write(new TextEncoder().encode("hello"));
 *       transport.sendFileDescriptor(reader);
 *       transport.write("here it is");
 *       transport.loseConnection();
 *       reader.close(); // A duplicate is on its way.
 *       writer.close();
 *     },
 *     dataReceived() {},
 *   }),
 * });
 *
 * const { promise, resolve, reject } = Promise.withResolvers<number>();
 * const factory: UnixClientFactory = {
 *   buildProtocol: () => ({
 *     fileDescriptorReceived: resolve,
 *     dataReceived() {},
 *   }),
 *   clientConnectionFailed: (_connector, reason) => reject(reason),
 * };
 * connectUNIX(path, factory);
 * using reader = FileDescriptor.adopt(await promise);
 * assertEquals(await new Response(reader.readable()).text(), "hello");
 * ```
 */
export interface UnixClientFactory extends ClientFactory {
  /** See {@linkcode ServerFactory.buildProtocol}. */
  buildProtocol(
    peer: Address,
  ): UnixProtocol | UnixBufferedProtocol | null;
}

/**
 * Options of {@linkcode listenUNIX}.
 *
 * @example A socket for its owner alone
 * ```ts
 * import {
 *   type Address,
 *   listenUNIX,
 *   type ListenUNIXOptions,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ListenUNIXOptions = { mode: 0o600, wantPID: true, backlog: 16 };
 * const path = `/tmp/service ${crypto.randomUUID()}`;
 * await using port = listenUNIX(path, {
 *   buildProtocol: (_peer: Address) => ({ dataReceived() {} }),
 * }, options);
 * assertEquals(port.getHost(), { transport: "unix", path });
 * ```
 */
export interface ListenUNIXOptions extends UnixPathOptions {
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
 * Listens for connections on a UNIX socket. Transports are
 * {@linkcode UnixTransport}s: they carry descriptors besides.
 *
 * @param path Where the socket is in the file system, from which it is removed
 * when the port stops listening, unless something else is there by then. On
 * Linux, a path that begins with a NUL is an abstract name.
 * @param factory Makes the protocols of the connections.
 * @param options How.
 * @returns The port, which listens already.
 * @throws {TypeError} When an argument is of the wrong type, or `path` is empty.
 * @throws {RangeError} When `path` is too long: 107 bytes on Linux, 103 on
 * macOS. Or when `backlog` or `mode` is out of range.
 * @throws {CannotListenError} When the path can't be had: also when there is a
 * socket that nobody listens on any more, unless `wantPID` is set.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example Echoing
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { connectUNIX, listenUNIX, type Transport } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const path = `/tmp/echo ${crypto.randomUUID()}`;
 * const port = listenUNIX(path, {
 *   buildProtocol() {
 *     let transport: Transport;
 *     return {
 *       makeConnection: (made) => transport = made,
 *       dataReceived: (data) => transport.write(data),
 *     };
 *   },
 * }, { reactor, mode: 0o600 });
 *
 * let answer = "";
 * connectUNIX(path, {
 *   buildProtocol: () => ({
 *     makeConnection: (transport) => transport.write("hello"),
 *     dataReceived(data) {
 *       answer = new TextDecoder().decode(data);
 *       reactor.stop();
 *     },
 *   }),
 * }, { reactor });
 * await reactor.run();
 * await port.stopListening();
 * assertEquals(answer, "hello");
 * ```
 */
export function listenUNIX(
  path: string,
  factory: UnixServerFactory,
  options: ListenUNIXOptions = {},
): Port {
  const action = "listen";
  const { backlog = 511, reactor = sharedReactor } = options;
  const place = new UnixPath(path, POSIX.SOCK_STREAM, options);
  checkFactory(factory, action);
  checkInteger(backlog, action, "options.backlog", 0);
  checkUnixPathOptions(options, action);
  return new StreamPort({
    reactor,
    factory,
    Transport: UnixStreamTransport,
    open: () => place.open((fd) => listenOn(fd, backlog)),
    closed: () => place.release(),
  });
}

/**
 * Options of {@linkcode connectUNIX}.
 *
 * @example A service that takes nobody
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import {
 *   connect,
 *   ConnectError,
 *   connectUNIX,
 *   listen,
 * } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const path = `/tmp/service ${crypto.randomUUID()}`;
 * await using port = listen({ path, backlog: 0, reactor });
 * port.pauseProducing(); // It takes nobody.
 * await using _first = await connect({ path, reactor }); // This one waits there.
 *
 * let reason: Error | undefined;
 * connectUNIX(path, {
 *   buildProtocol: () => null,
 *   clientConnectionFailed(_connector, error) {
 *     reason = error;
 *     reactor.stop();
 *   },
 * }, { timeout: 50, reactor });
 * await reactor.run();
 * assert(reason instanceof ConnectError); // On Linux, a ConnectTimeoutError.
 * ```
 */
export interface ConnectUNIXOptions {
  /**
   * How long an attempt may take, in milliseconds: also until a server that has
   * too many connections waiting takes this one. On macOS it refuses it.
   *
   * @default {30_000}
   */
  timeout?: number;
  /**
   * The reactor that serves the connection.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Connects to a UNIX socket. The transport is a {@linkcode UnixTransport}: it
 * carries descriptors besides.
 *
 * @param path Where the socket is, or its abstract name.
 * @param factory Makes the protocol of the connection, and is told of failures.
 * @param options How.
 * @returns The connector: it has begun, and nothing has been called but
 * `startedConnecting`.
 * @throws {TypeError} When an argument is of the wrong type, or `path` is empty.
 * @throws {RangeError} When `path` is too long: 107 bytes on Linux, 103 on
 * macOS. Or when `timeout` is negative or not finite.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example Asking the time
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { connectUNIX, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const path = `/tmp/clock ${crypto.randomUUID()}`;
 * await using clock = listen({ path, reactor });
 * (async () => {
 *   for await (const client of clock) {
 *     client.write("twelve");
 *     client.loseConnection();
 *   }
 * })();
 *
 * let time = "";
 * connectUNIX(path, {
 *   buildProtocol: () => ({
 *     dataReceived: (data) => time += new TextDecoder().decode(data),
 *     connectionLost: () => reactor.stop(),
 *   }),
 *   clientConnectionFailed: () => reactor.stop(),
 * }, { reactor });
 * await reactor.run();
 * assertEquals(time, "twelve");
 * ```
 */
export function connectUNIX(
  path: string,
  factory: UnixClientFactory,
  options: ConnectUNIXOptions = {},
): Connector {
  const action = "connect";
  const { timeout = 30_000, reactor = sharedReactor } = options;
  const address = SocketAddress.unix(path);
  checkFactory(factory, action);
  checkDelay(timeout, action, "options.timeout");
  return new StreamConnector({
    reactor,
    factory,
    destination: { transport: "unix", path },
    timeout,
    Transport: UnixStreamTransport,
    find(done) {
      const call = reactor.callLater(0, () => done({ addresses: [address] }));
      return () => {
        if (call.active()) call.cancel();
      };
    },
  });
}

/**
 * Options of {@linkcode listenUNIXDatagram}.
 *
 * @example A log for everybody
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import {
 *   connectUNIXDatagram,
 *   listenUNIXDatagram,
 *   type ListenUNIXDatagramOptions,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * // Everybody may write to it, and one that was left behind is replaced.
 * const options: ListenUNIXDatagramOptions = {
 *   mode: 0o622,
 *   wantPID: true,
 *   reactor,
 * };
 * const path = `/tmp/log ${crypto.randomUUID()}`;
 * let line = "";
 * listenUNIXDatagram(path, {
 *   datagramReceived(data) {
 *     line = new TextDecoder().decode(data);
 *     reactor.stop();
 *   },
 * }, options);
 *
 * const program = connectUNIXDatagram(path, { datagramReceived() {} }, {
 *   reactor,
 * });
 * program.write("backup: done");
 * await reactor.run();
 * assertEquals(line, "backup: done");
 * ```
 */
export interface ListenUNIXDatagramOptions extends UnixPathOptions {
  /**
   * The reactor that serves the port.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Receives datagrams on a UNIX socket, and sends others.
 *
 * @param path Where the socket is in the file system, from which it is removed
 * when the port stops listening, unless something else is there by then. On
 * Linux, a path that begins with a NUL is an abstract name.
 * @param protocol What happens.
 * @param options How.
 * @returns The transport, which is the protocol's, too.
 * @throws {TypeError} When an argument is of the wrong type, or `path` is empty.
 * @throws {RangeError} When `path` is too long: 107 bytes on Linux, 103 on
 * macOS. Or when `mode` is out of range.
 * @throws {CannotListenError} When the path can't be had: also when there is a
 * socket that nobody listens on any more, unless `wantPID` is set.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example A log that programs write to
 * ```ts
 * import {
 *   connectUNIXDatagram,
 *   listenUNIXDatagram,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<string>();
 * const path = `/tmp/log ${crypto.randomUUID()}`;
 * await using _log = listenUNIXDatagram(path, {
 *   datagramReceived: (line) => resolve(new TextDecoder().decode(line)),
 * }, { mode: 0o622 });
 *
 * await using program = connectUNIXDatagram(path, { datagramReceived() {} });
 * program.write("<14>backup: done");
 * assertEquals(await promise, "<14>backup: done");
 * ```
 */
export function listenUNIXDatagram(
  path: string,
  protocol: DatagramProtocol,
  options: ListenUNIXDatagramOptions = {},
): DatagramTransport {
  const action = "listen";
  const { reactor = sharedReactor } = options;
  const place = new UnixPath(path, POSIX.SOCK_DGRAM, options);
  checkDatagramProtocol(protocol, action);
  checkUnixPathOptions(options, action);
  const port = new DatagramPort({
    reactor,
    protocol,
    open: () => place.open(),
    closed: () => place.release(),
  });
  port.startListening();
  return port;
}

/**
 * Options of {@linkcode connectUNIXDatagram}.
 *
 * @example With a place to answer to
 * ```ts
 * import {
 *   type Address,
 *   connectUNIXDatagram,
 *   listenUNIXDatagram,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `/tmp/service ${crypto.randomUUID()}`;
 * const { promise, resolve } = Promise.withResolvers<Address>();
 * await using _service = listenUNIXDatagram(path, {
 *   datagramReceived: (_data, peer) => resolve(peer),
 * });
 *
 * const bindPath = `${path}.client`;
 * await using client = connectUNIXDatagram(path, { datagramReceived() {} }, {
 *   bindPath,
 *   mode: 0o600,
 * });
 * client.write("hello");
 * assertEquals(await promise, { transport: "unixpacket", path: bindPath });
 * ```
 */
export interface ConnectUNIXDatagramOptions extends UnixPathOptions {
  /**
   * Where this end is, for the other one to answer to.
   *
   * @default {undefined} Nowhere: nobody can answer.
   */
  bindPath?: string;
  /**
   * The reactor that serves the socket.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Sends datagrams to one UNIX socket, and receives what comes from there.
 *
 * @param path Where the other socket is, or its abstract name.
 * @param protocol What happens.
 * @param options How. `mode` and `wantPID` are about `bindPath`.
 * @returns The transport, which is the protocol's, too.
 * @throws {TypeError} When an argument is of the wrong type, or a path is empty.
 * @throws {RangeError} When a path is too long: 107 bytes on Linux, 103 on
 * macOS. Or when `mode` is out of range.
 * @throws {ConnectError} When there is no such socket.
 * @throws {CannotListenError} When `bindPath` can't be had.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example A log that may not be there
 * ```ts
 * import { ConnectError, connectUNIXDatagram } from "@interleave/reactor/net";
 * import { assertStrictEquals } from "@std/assert";
 *
 * function logger(path: string): (line: string) => void {
 *   try {
 *     const log = connectUNIXDatagram(path, { datagramReceived() {} });
 *     return (line) => log.write(`<14>${line}`);
 *   } catch (error) {
 *     if (error instanceof ConnectError) return console.error;
 *     throw error;
 *   }
 * }
 *
 * const log = logger(`/tmp/nobody ${crypto.randomUUID()}`); // Such as /dev/log.
 * assertStrictEquals(log, console.error);
 * ```
 */
export function connectUNIXDatagram(
  path: string,
  protocol: DatagramProtocol,
  options: ConnectUNIXDatagramOptions = {},
): DatagramTransport {
  const action = "connect";
  const { bindPath, reactor = sharedReactor } = options;
  const to = SocketAddress.unix(path);
  const place = bindPath === undefined
    ? undefined
    : new UnixPath(bindPath, POSIX.SOCK_DGRAM, options);
  checkDatagramProtocol(protocol, action);
  checkUnixPathOptions(options, action);
  const port = new DatagramPort({
    reactor,
    protocol,
    peer: { path },
    open: () => openUnixDatagram(to, place),
    closed: () => place?.release(),
  });
  port.startListening();
  return port;
}
