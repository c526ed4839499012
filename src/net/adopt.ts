/**
 * Sockets that somebody else has made.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import {
  closeDescriptor,
  duplicate,
  setNonBlocking,
} from "../../ffi/descriptor.ts";
import { ERRNO, type SystemError, systemError } from "../../ffi/errno.ts";
import {
  getSocketOption,
  localAddress,
  peerAddress,
} from "../../ffi/socket.ts";
import { SOCKET_OPTIONS } from "../../ffi/socket_constants.ts";
import { type Fd, numberOf } from "../fd.ts";
import { complaint } from "../arguments.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import { toAddress } from "./address.ts";
import { cannotListen } from "./cannot_listen.ts";
import { UnsupportedAddressFamily } from "./errors.ts";
import { checkFactory } from "./factories.ts";
import { type Port, StreamPort } from "./port.ts";
import {
  type BufferedProtocol,
  checkProtocol,
  type Protocol,
  type ServerFactory,
  type Transport,
} from "./protocol.ts";
import { SocketStream } from "./socket_stream.ts";
import { StreamTransport } from "./stream.ts";
import { UnixStreamTransport } from "./unix_stream.ts";

/**
 * Options of {@linkcode adoptStreamPort} and {@linkcode adoptStream}.
 *
 * @example Served by a reactor of one's own
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { adoptStream } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [ours, theirs] = FileDescriptor.socketpair();
 * let heard = "";
 * adoptStream(ours, {
 *   dataReceived: (data) => heard += new TextDecoder().decode(data),
 *   connectionLost: () => reactor.stop(),
 * }, { reactor });
 * ours.close(); // The transport has a duplicate.
 *
 * theirs.write(new TextEncoder().encode("hello"));
 * theirs.close();
 * await reactor.run();
 * assertEquals(heard, "hello");
 * ```
 */
export interface AdoptStreamOptions {
  /**
   * The reactor that serves it.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Takes connections from a socket that listens already, of TCP or UNIX.
 *
 * The descriptor is duplicated: close it or keep it, the port's own is closed by
 * `stopListening`. The socket becomes non-blocking, which its duplicates share.
 *
 * @param fd The socket.
 * @param factory Makes the protocols of the connections.
 * @param options How.
 * @returns The port. When it has stopped, it can listen again for as long as
 * `fd` itself is open.
 * @throws {TypeError} When `fd` is no stream socket that listens.
 * @throws {Deno.errors.BadResource} When `fd` is not open.
 * @throws {UnsupportedAddressFamily} When it is a socket of another kind than
 * IPv4, IPv6 and UNIX.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example A socket that is open already
 * ```ts
 * import {
 *   adoptStreamPort,
 *   connect,
 *   listen,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * // It stands for one that a parent process has left under number 3, say.
 * await using given = listen({ hostname: "127.0.0.1", port: 0 });
 * given.pauseProducing();
 *
 * await using port = adoptStreamPort(given.fileno(), {
 *   buildProtocol: () => ({
 *     makeConnection(transport: Transport) {
 *       transport.write("hello");
 *       transport.loseConnection();
 *     },
 *     dataReceived() {},
 *   }),
 * });
 * assertEquals(port.getHost(), given.getHost());
 *
 * await using client = await connect(port.getHost());
 * assertEquals(await new Response(client.readable).text(), "hello");
 * ```
 */
export function adoptStreamPort(
  fd: Fd,
  factory: ServerFactory,
  options: AdoptStreamOptions = {},
): Port {
  const action = "adopt a port";
  const number = numberOf(fd, action, "fd");
  checkFactory(factory, action);
  const { reactor = sharedReactor } = options;
  // What is wrong with it is told as it is; what is wrong later, on listening
  // again, is told as a port tells it.
  let first: number | undefined = adopt(number, action, true);
  return new StreamPort({
    reactor,
    factory,
    Transport: transportOf(first),
    open() {
      const socket = first;
      first = undefined;
      if (socket !== undefined) return socket;
      try {
        return adopt(number, action, true);
      } catch (error) {
        throw cannotListen(`descriptor ${number}`, error);
      }
    },
  });
}

/**
 * Takes a connection that somebody else has made: TCP, UNIX, or one end of a
 * socketpair.
 *
 * The descriptor is duplicated: close it or keep it. The socket becomes
 * non-blocking, which its duplicates share.
 *
 * @param fd The socket.
 * @param protocol What happens on the connection. It is connected when this
 * returns.
 * @param options How.
 * @returns The transport, which is the protocol's, too; a
 * {@linkcode UnixTransport} if it is a UNIX socket. When the reactor has stopped,
 * the connection is lost by then.
 * @throws {TypeError} When `fd` is no stream socket, or one that listens.
 * @throws {Deno.errors.BadResource} When `fd` is not open.
 * @throws {Deno.errors.NotConnected} When the socket is not connected.
 * @throws {UnsupportedAddressFamily} When it is a socket of another kind than
 * IPv4, IPv6 and UNIX.
 *
 * @example One end of a socketpair
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import { adoptStream } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const [ours, theirs] = FileDescriptor.socketpair();
 * const transport = adoptStream(theirs, {
 *   dataReceived(data) {
 *     transport.write(new TextDecoder().decode(data).toUpperCase());
 *     transport.loseConnection();
 *   },
 * });
 * theirs.close(); // The transport has a duplicate.
 *
 * ours.write(new TextEncoder().encode("hello"));
 * assertEquals(await new Response(ours.readable()).text(), "HELLO");
 * ours.close();
 * ```
 */
export function adoptStream(
  fd: Fd,
  protocol: Protocol | BufferedProtocol,
  options: AdoptStreamOptions = {},
): Transport {
  const action = "adopt a connection";
  const number = numberOf(fd, action, "fd");
  checkProtocol(protocol, action);
  const { reactor = sharedReactor } = options;
  const socket = new SocketStream(adopt(number, action, false));
  let transport;
  try {
    const host = toAddress(localAddress(socket.fd), "stream");
    const peer = toAddress(peerAddress(socket.fd), "stream");
    const Transport = transportOf(socket.fd);
    transport = new Transport({ reactor, socket, host, peer });
  } catch (error) {
    socket.close(false);
    throw error;
  }
  transport.start(protocol);
  return transport;
}

/** Duplicates a stream socket, and looks at whether it is one. */
function adopt(fd: number, action: string, listens: boolean): number {
  const socket = duplicate(fd);
  try {
    const { family } = localAddressOf(socket, fd, action);
    if (
      family !== POSIX.AF_INET && family !== POSIX.AF_INET6 &&
      family !== POSIX.AF_UNIX
    ) {
      throw new UnsupportedAddressFamily(
        `Cannot ${action}: the family of descriptor ${fd} is ${family}, which is neither IPv4, IPv6 nor UNIX`,
      );
    }
    const isStream =
      getSocketOption(socket, SOCKET_OPTIONS.SO_TYPE) === POSIX.SOCK_STREAM;
    const doesListen =
      getSocketOption(socket, SOCKET_OPTIONS.SO_ACCEPTCONN) !== 0;
    if (!isStream || doesListen !== listens) {
      throw new TypeError(
        complaint(
          fd,
          action,
          "fd",
          `a stream socket that ${listens ? "listens" : "does not listen"}`,
        ),
      );
    }
    setNonBlocking(socket, true);
    return socket;
  } catch (error) {
    closeDescriptor(socket);
    throw error;
  }
}

function localAddressOf(socket: number, fd: number, action: string) {
  try {
    return localAddress(socket);
  } catch (error) {
    const { errno } = error as SystemError;
    if (errno !== ERRNO.ENOTSOCK) {
      throw systemError(`Cannot ${action} of descriptor ${fd}`, errno);
    }
    throw new TypeError(complaint(fd, action, "fd", "a socket"));
  }
}

function transportOf(fd: number): typeof StreamTransport {
  return localAddress(fd).family === POSIX.AF_UNIX
    ? UnixStreamTransport
    : StreamTransport;
}
