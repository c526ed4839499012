/**
 * Datagrams: what UDP and UNIX sockets have in common.
 *
 * @module
 */

import { ERRNO, type SystemError, systemError } from "../../ffi/errno.ts";
import { localAddress, receiveFrom, send, sendTo } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import { complaint } from "../arguments.ts";
import type { ReadDescriptor } from "../descriptors.ts";
import { FileDescriptor } from "../file_descriptor.ts";
import type { Reactor } from "../reactor.ts";
import { isThenable, reportRejection } from "../thenable.ts";
import { type Address, toAddress } from "./address.ts";
import { endWithReactor, outlive } from "./dependents.ts";
import { MessageLengthError, ofKernel } from "./errors.ts";
import { callHandler, report } from "./report.ts";

/**
 * What happens with datagrams. Any object with these functions is one; all but
 * `datagramReceived` may be missing. Its `transport` is set before anything is
 * called.
 *
 * What they throw, or what their promise rejects with, is reported through the
 * reactor's `onError`, and the port goes on.
 *
 * @example Counting what comes
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import {
 *   type Address,
 *   type DatagramProtocol,
 *   listenUDP,
 *   type UDPTransport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 *
 * class Counter implements DatagramProtocol {
 *   declare transport: UDPTransport;
 *   count = 0;
 *
 *   startProtocol() {
 *     // To itself, for want of anybody else.
 *     for (const word of ["one", "two", "three"]) {
 *       this.transport.write(word, this.transport.getHost() as Deno.NetAddr);
 *     }
 *   }
 *   datagramReceived(_data: Uint8Array, _peer: Address) {
 *     if (++this.count === 3) reactor.stop();
 *   }
 * }
 *
 * const counter = new Counter();
 * listenUDP(0, counter, { hostname: "127.0.0.1", reactor });
 * await reactor.run();
 * assertEquals(counter.count, 3);
 * ```
 */
export interface DatagramProtocol {
  /** The port begins to listen, or does so again. */
  startProtocol?(): unknown;
  /** It has ended. Never called inside of the call that ends it. */
  stopProtocol?(): unknown;
  /** A datagram has come, perhaps an empty one. The array is the protocol's. */
  datagramReceived(data: Uint8Array<ArrayBuffer>, peer: Address): unknown;
  /**
   * Nobody is at the address that the transport is connected to. An earlier
   * datagram was lost, and a later one may find somebody.
   */
  connectionRefused?(): unknown;
}

/**
 * Where a datagram goes: any {@linkcode Address} of the right kind is one.
 *
 * @example A collector of statistics
 * ```ts
 * import { type DatagramPeer, listenUDP } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<string>();
 * await using collector = listenUDP(0, {
 *   datagramReceived: (data) => resolve(new TextDecoder().decode(data)),
 * }, { hostname: "127.0.0.1" });
 * const { port } = collector.getHost() as Deno.NetAddr;
 *
 * await using statistics = listenUDP(0, { datagramReceived() {} });
 * const peer: DatagramPeer = { hostname: "127.0.0.1", port };
 * statistics.write("requests:1|c", peer);
 * assertEquals(await promise, "requests:1|c");
 * ```
 */
export type DatagramPeer =
  | { readonly hostname: string; readonly port: number }
  | { readonly path: string };

/**
 * What sends datagrams, and receives them for a {@linkcode DatagramProtocol}.
 *
 * @example Whoever asks gets an answer
 * ```ts
 * import {
 *   connectUNIXDatagram,
 *   type DatagramTransport,
 *   listenUNIXDatagram,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `/tmp/clock ${crypto.randomUUID()}`;
 * await using clock: DatagramTransport = listenUNIXDatagram(path, {
 *   datagramReceived: (_question, peer) => clock.write("twelve", peer),
 * });
 *
 * const { promise, resolve } = Promise.withResolvers<string>();
 * await using client = connectUNIXDatagram(path, {
 *   datagramReceived: (data) => resolve(new TextDecoder().decode(data)),
 * }, { bindPath: `${path}.client` });
 * client.write("What time is it?"); // It is connected: no peer is named.
 * assertEquals(await promise, "twelve");
 * ```
 */
export interface DatagramTransport extends AsyncDisposable {
  /**
   * Sends one datagram, at once. As the network may lose it without a word, so
   * does this when the system has no room for it. After the end it does nothing.
   *
   * @param data The datagram. A string goes as UTF-8.
   * @param peer Where to. May be left out when the transport is connected.
   * @throws {TypeError} When `data` is neither bytes nor a string, or a peer is
   * missing.
   * @throws {RangeError} When the transport is connected to another peer.
   * @throws {InvalidAddressError} When the peer is no address, but a host name,
   * or is of another family.
   * @throws {MessageLengthError} When the datagram is too long.
   * @throws {SystemError} When the system can't send it, for lack of a route or
   * of a permission.
   */
  write(data: Uint8Array | string, peer?: DatagramPeer): void;
  /** Where it receives: with port 0, the number that the system has chosen. */
  getHost(): Address;
  /**
   * Listens again, after {@linkcode DatagramTransport.stopListening}. Does
   * nothing while it listens.
   *
   * @throws {CannotListenError} When the address can't be had.
   * @throws {ReactorNotRunning} When the reactor has stopped.
   */
  startListening(): void;
  /**
   * Ends it. Nothing is received any more when this returns, and the address can
   * be bound again.
   *
   * @returns Resolves after the protocol's `stopProtocol`.
   */
  stopListening(): Promise<void>;
  /**
   * Receives no more until resumed. What comes waits in the kernel, which throws
   * away what it has no room for.
   */
  pauseProducing(): void;
  /** Receives again. */
  resumeProducing(): void;
}

/** How a kind of transport opens its socket. */
export interface DatagramPortOptions {
  readonly reactor: Reactor;
  readonly protocol: DatagramProtocol;
  /** What the socket is connected to from the start. */
  readonly peer?: DatagramPeer;
  /** Makes a socket. Throws a `CannotListenError`. */
  open(): number;
  /** Called after it was closed. */
  closed?(): void;
}

const {
  EAGAIN,
  EWOULDBLOCK,
  EBADF,
  ENOBUFS,
  ECONNREFUSED,
  ENOTCONN,
  EMSGSIZE,
} = ERRNO;

/**
 * So much is received at one event, headers included, before others get their
 * turn.
 */
const PORTION = 262_144;
/** What an empty datagram counts: a header of IPv4 and one of UDP. */
const HEADERS = 28;

/**
 * Where datagrams are received before the protocol gets its own: room for any
 * of UDP, and for any of UNIX sockets that have their usual buffers.
 */
let receiveBuffer: Uint8Array<ArrayBuffer> | undefined;

const encoder = new TextEncoder();

/** See {@linkcode DatagramTransport}. */
export class DatagramPort implements DatagramTransport, ReadDescriptor {
  /** Nobody else has the number of its socket. */
  readonly owned = true;
  readonly #options: DatagramPortOptions;
  #socket: FileDescriptor | undefined;
  #host: Address | undefined;
  /** What it is connected to. */
  #connected: DatagramPeer | undefined;
  #paused = false;
  /** The protocol does not know of the end yet. Resolves when it does. */
  #end: PromiseWithResolvers<void> | undefined;
  readonly #from = new SocketAddress();
  /** Whom the last datagram came from: mostly the next one does, too. */
  #peer: { address: Address; bytes: Uint8Array } | undefined;
  /** Where the last one went. */
  #destination: { peer: PeerParts; address: SocketAddress } | undefined;

  /** Makes one that does not listen yet. */
  constructor(options: DatagramPortOptions) {
    this.#options = options;
  }

  getHost(): Address {
    return this.#host!;
  }

  startListening(): void {
    if (this.#socket !== undefined) return;
    const { reactor, protocol, open, closed, peer } = this.#options;
    const socket = FileDescriptor.adopt(open.call(this.#options));
    try {
      this.#host = toAddress(localAddress(socket.fileno()), "datagram");
      endWithReactor(reactor, this);
      this.#socket = socket;
      this.#receive();
    } catch (error) {
      this.#socket = undefined;
      outlive(reactor, this);
      socket.close();
      closed?.();
      throw error;
    }
    this.#finish();
    this.#connected = peer;
    (protocol as { transport?: DatagramTransport }).transport = this;
    callHandler(reactor, "startProtocol", () => protocol.startProtocol?.());
  }

  stopListening(): Promise<void> {
    if (this.#close()) {
      const { reactor } = this.#options;
      const end = this.#end;
      const finish = () => {
        // It may have begun again since, and this be over.
        if (this.#end === end) this.#finish();
      };
      // Not in this call. A reactor that does not run leaves Deno's loop free.
      if (reactor.running) reactor.callFromThread(finish);
      else queueMicrotask(finish);
    }
    return this.#end?.promise ?? Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopListening();
  }

  pauseProducing(): void {
    this.#paused = true;
    this.#options.reactor.removeReader(this);
  }

  resumeProducing(): void {
    this.#paused = false;
    this.#receive();
  }

  write(data: Uint8Array | string, peer?: DatagramPeer): void {
    const bytes = toBytes(data);
    const fd = this.fileno();
    if (fd === -1) return;
    const to = this.#toAddress(peer);
    const attempt = () =>
      to === undefined ? send(fd, bytes) : sendTo(fd, bytes, to);
    let count = attempt();
    if (this.#isRefusal(-count)) {
      const { reactor } = this.#options;
      reactor.callFromThread(() => this.#refused());
      // With UDP it was about the datagram before, and this one was not sent.
      count = attempt();
      if (this.#isRefusal(-count)) return;
    }
    if (count < 0) this.#notSent(-count);
  }

  // What the reactor calls

  fileno(): number {
    return this.#socket?.fileno() ?? -1;
  }

  /** Returns what ends it. */
  doRead(): Error | undefined {
    const buffer = receiveBuffer ??= new Uint8Array(PORTION);
    const { reactor, protocol } = this.#options;
    let received = 0;
    while (received < PORTION && this.#receives()) {
      const count = receiveFrom(this.#socket!.fileno(), buffer, this.#from);
      if (count < 0) {
        if (!this.#isRefusal(-count)) return this.#notReceived(-count);
        this.#refused();
        received += HEADERS;
        continue;
      }
      received += count + HEADERS;
      try {
        const result = protocol.datagramReceived(
          buffer.slice(0, count),
          this.#sender(),
        );
        if (isThenable(result)) {
          reportRejection(
            result,
            (error) => report(reactor, error, "datagramReceived"),
          );
        }
      } catch (error) {
        report(reactor, error, "datagramReceived");
      }
    }
    return undefined;
  }

  /** The reactor has stopped, or has lost the descriptor. */
  connectionLost(reason: Error): void {
    const { errno } = reason as SystemError;
    // Nobody but the port was told what the kernel said of its descriptor.
    if (errno !== undefined) report(this.#options.reactor, reason, "a port");
    // Somebody has closed it, and the number may be another file's by now.
    this.#close(errno !== EBADF);
    this.#finish();
  }

  // For those that know more about their addresses

  /** What it is connected to; undefined if it is not. */
  protected get connectedTo(): DatagramPeer | undefined {
    return this.#connected;
  }

  protected set connectedTo(peer: DatagramPeer) {
    this.#connected = peer;
  }

  /** The kernel's form of a peer. Throws what is wrong with it. */
  protected resolve(peer: DatagramPeer): SocketAddress {
    return SocketAddress.unix((peer as { path: string }).path);
  }

  // Sending

  /** Where a datagram is to go; undefined if the kernel knows. */
  #toAddress(peer: DatagramPeer | undefined): SocketAddress | undefined {
    const connected = this.#connected;
    if (peer === undefined || peer === null) {
      if (connected !== undefined) return undefined;
      throw new TypeError(
        complaint(peer, "send a datagram", "peer", "an address"),
      );
    }
    const { hostname, port, path } = peer as PeerParts;
    if (connected !== undefined) {
      if (isSame(connected, peer)) return undefined;
      throw new RangeError(
        `Cannot send a datagram to another peer: the transport is connected to ${
          JSON.stringify(connected)
        }`,
      );
    }
    const last = this.#destination;
    if (last !== undefined && isSame(last.peer, peer)) return last.address;
    const address = this.resolve(peer);
    this.#destination = { peer: { hostname, port, path }, address };
    return address;
  }

  #notSent(errno: number): void {
    switch (errno) {
      case EAGAIN:
      case EWOULDBLOCK:
      case ENOBUFS:
        return; // No room: it is lost.
      case EMSGSIZE:
        throw ofKernel(MessageLengthError, "Cannot send a datagram", errno);
      default:
        throw systemError("Cannot send a datagram", errno);
    }
  }

  // Receiving

  #receives(): boolean {
    return this.#socket !== undefined && !this.#paused;
  }

  #receive(): void {
    if (this.#receives()) this.#options.reactor.addReader(this);
  }

  #sender(): Address {
    const { bytes, length } = this.#from;
    const last = this.#peer;
    if (last !== undefined && startsWith(bytes, length[0]!, last.bytes)) {
      return last.address;
    }
    const address = toAddress(this.#from, "datagram");
    this.#peer = { address, bytes: bytes.slice(0, length[0]) };
    return address;
  }

  /** Returns what ends the port. */
  #notReceived(errno: number): Error | undefined {
    return errno === EAGAIN || errno === EWOULDBLOCK
      ? undefined
      : systemError("Cannot receive a datagram", errno);
  }

  /** Whether an errno says that there is nobody at the other end. */
  #isRefusal(errno: number): boolean {
    return this.#connected !== undefined &&
      (errno === ECONNREFUSED || errno === ENOTCONN);
  }

  #refused(): void {
    const { reactor, protocol } = this.#options;
    callHandler(
      reactor,
      "connectionRefused",
      () => protocol.connectionRefused?.(),
    );
  }

  /** Returns whether there was something to close. */
  #close(isOpen = true): boolean {
    const socket = this.#socket;
    if (socket === undefined) return false;
    const { reactor, closed } = this.#options;
    this.#socket = this.#connected = undefined;
    if (isOpen) callHandler(reactor, "close", () => socket.close());
    closed?.();
    this.#end = Promise.withResolvers();
    return true;
  }

  /** Tells the protocol of the end, if there is one that it does not know of. */
  #finish(): void {
    const end = this.#end;
    if (end === undefined) return;
    const { reactor, protocol } = this.#options;
    this.#end = undefined;
    if (this.#socket === undefined) outlive(reactor, this);
    callHandler(reactor, "stopProtocol", () => protocol.stopProtocol?.());
    end.resolve();
  }
}

/** Throws if there is no `datagramReceived` to call. */
export function checkDatagramProtocol(value: unknown, action: string): void {
  const protocol = value as Partial<DatagramProtocol> | null | undefined;
  if (typeof protocol?.datagramReceived === "function") return;
  throw new TypeError(
    complaint(
      value,
      action,
      "protocol",
      'an object with a "datagramReceived" function',
    ),
  );
}

/** A peer of any kind. */
interface PeerParts {
  readonly hostname?: string;
  readonly port?: number;
  readonly path?: string;
}

function isSame(one: PeerParts, other: PeerParts): boolean {
  return one.hostname === other.hostname && one.port === other.port &&
    one.path === other.path;
}

function startsWith(
  bytes: Uint8Array,
  length: number,
  expected: Uint8Array,
): boolean {
  if (length !== expected.length) return false;
  for (let i = 0; i < length; i++) {
    if (bytes[i] !== expected[i]) return false;
  }
  return true;
}

function toBytes(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (typeof data === "string") return encoder.encode(data);
  throw new TypeError(
    complaint(data, "send a datagram", "data", "a Uint8Array or a string"),
  );
}
