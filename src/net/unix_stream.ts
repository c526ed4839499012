/**
 * Connections of UNIX sockets: streams that carry descriptors besides.
 *
 * @module
 */

import { discardDescriptor, duplicate } from "../../ffi/descriptor.ts";
import {
  MAX_DESCRIPTORS,
  receiveWithDescriptors,
  sendWithDescriptors,
} from "../../ffi/socket.ts";
import { type Fd, numberOf } from "../fd.ts";
import type { Reactor } from "../reactor.ts";
import { isThenable, reportRejection } from "../thenable.ts";
import { ERRNO } from "../../ffi/errno.ts";
import { FileDescriptorOverrun } from "./errors.ts";
import type { BufferedProtocol, Protocol, Transport } from "./protocol.ts";
import { report } from "./report.ts";
import {
  type StreamSocket,
  StreamTransport,
  type StreamTransportOptions,
  type TCPOption,
} from "./stream.ts";

/**
 * One end of a connection of UNIX sockets, as a protocol sees it.
 *
 * @example Handing a port over to a new version of a program
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import {
 *   adoptStreamPort,
 *   connectUNIX,
 *   listen,
 *   listenUNIX,
 *   type UnixTransport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `/tmp/handover ${crypto.randomUUID()}`;
 * await using web = listen({ hostname: "127.0.0.1", port: 0 });
 * await using _old = listenUNIX(path, {
 *   buildProtocol: () => ({
 *     makeConnection(transport: UnixTransport) {
 *       transport.sendFileDescriptor(web);
 *       transport.write("web"); // Some byte must carry it.
 *       transport.loseConnection();
 *     },
 *     dataReceived() {},
 *   }),
 * }, { mode: 0o600 });
 *
 * // In the new version of the program:
 * const { promise, resolve } = Promise.withResolvers<number>();
 * connectUNIX(path, {
 *   buildProtocol: () => ({
 *     fileDescriptorReceived: resolve,
 *     dataReceived() {},
 *   }),
 * });
 * using socket = FileDescriptor.adopt(await promise);
 * await using port = adoptStreamPort(socket, { buildProtocol: () => null });
 * assertEquals(port.getHost(), web.getHost());
 * ```
 */
export interface UnixTransport extends Transport {
  /**
   * Sends a descriptor, with the next bytes that go out: it arrives before
   * those that are written after this call. There must be a byte for each, by
   * the end of this turn at the latest. If there are more descriptors than
   * bytes, the connection is lost with a {@linkcode FileDescriptorOverrun}.
   *
   * @param fd The descriptor. A duplicate is sent, so that it may be closed at
   * once.
   * @throws {Deno.errors.BadResource} When it is not open.
   */
  sendFileDescriptor(fd: Fd): void;
}

/**
 * What happens on a connection of UNIX sockets.
 *
 * @example Taking descriptors
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import {
 *   connectUNIX,
 *   listenUNIX,
 *   type UnixProtocol,
 *   type UnixTransport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * // Says something to whatever it is given.
 * class Greeter implements UnixProtocol {
 *   declare transport: UnixTransport;
 *
 *   fileDescriptorReceived(fd: number) {
 *     using file = FileDescriptor.adopt(fd);
 *     file.write(new TextEncoder().encode("hello"));
 *   }
 *   dataReceived() {} // The bytes that carried them.
 * }
 *
 * const path = `/tmp/greeter ${crypto.randomUUID()}`;
 * await using _port = listenUNIX(path, { buildProtocol: () => new Greeter() });
 *
 * const [reader, writer] = FileDescriptor.pipe();
 * connectUNIX(path, {
 *   buildProtocol: () => ({
 *     makeConnection(transport: UnixTransport) {
 *       transport.sendFileDescriptor(writer);
 *       transport.write("this one");
 *       transport.loseConnection();
 *       writer.close(); // A duplicate is sent.
 *     },
 *     dataReceived() {},
 *   }),
 * });
 * assertEquals(await new Response(reader.readable()).text(), "hello");
 * reader.close();
 * ```
 */
export interface UnixProtocol extends Protocol {
  /**
   * A descriptor has come: closed on exec, and the protocol's to close. The
   * bytes that it was sent with are still to come. Without this function,
   * descriptors are closed, which is reported.
   */
  fileDescriptorReceived?(fd: number): unknown;
}

/**
 * The same, with a place of its own for the bytes.
 *
 * @example A byte that announces each descriptor
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import {
 *   connectUNIX,
 *   listenUNIX,
 *   type UnixBufferedProtocol,
 *   type UnixTransport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<string>();
 * class Taker implements UnixBufferedProtocol {
 *   declare transport: UnixTransport;
 *   readonly #byte = new Uint8Array(1);
 *
 *   getBuffer() {
 *     return this.#byte;
 *   }
 *
 *   bufferUpdated() {
 *     this.transport.loseConnection();
 *   }
 *
 *   fileDescriptorReceived(fd: number) {
 *     using taken = FileDescriptor.adopt(fd);
 *     const bytes = new Uint8Array(5);
 *     taken.read(bytes);
 *     resolve(new TextDecoder().decode(bytes));
 *   }
 * }
 *
 * const path = `/tmp/taker ${crypto.randomUUID()}`;
 * await using _port = listenUNIX(path, { buildProtocol: () => new Taker() });
 * const [reader, writer] = FileDescriptor.pipe();
 * writer.write(new TextEncoder().encode("hello"));
 * connectUNIX(path, {
 *   buildProtocol: () => ({
 *     makeConnection(transport: UnixTransport) {
 *       transport.sendFileDescriptor(reader);
 *       transport.write("!");
 *     },
 *     dataReceived() {},
 *   }),
 * });
 * assertEquals(await promise, "hello");
 * reader.close();
 * writer.close();
 * ```
 */
export interface UnixBufferedProtocol
  extends BufferedProtocol, Pick<UnixProtocol, "fileDescriptorReceived"> {}

/** See {@linkcode UnixTransport}. */
export class UnixStreamTransport extends StreamTransport
  implements UnixTransport {
  readonly #socket: UnixStream;
  readonly #reactor: Reactor;

  /** Makes a connection of a socket. */
  constructor(options: StreamTransportOptions) {
    const { reactor } = options;
    const socket = new UnixStream(options.socket, reactor);
    super({ ...options, socket });
    this.#socket = socket;
    this.#reactor = reactor;
  }

  override start(protocol: UnixProtocol | UnixBufferedProtocol): void {
    this.#socket.protocol = protocol;
    super.start(protocol);
  }

  sendFileDescriptor(fd: Fd): void {
    const number = numberOf(fd, "send a descriptor", "fd");
    if (this.#socket.fd === -1) return;
    this.#socket.toSend.push(duplicate(number));
    this.#reactor.callFromThread(() => {
      const overrun = this.#overrun();
      if (overrun !== undefined) this.connectionLost(overrun);
    });
  }

  override doRead(): unknown {
    const result = super.doRead();
    this.#socket.throwWhatWasThrown();
    return result;
  }

  override doWrite(): unknown {
    return this.#overrun() ?? super.doWrite();
  }

  override flush(): void {
    const overrun = this.#overrun();
    if (overrun === undefined) super.flush();
    else this.connectionLost(overrun);
  }

  override loseConnection(): void {
    this.#socket.listening = false;
    super.loseConnection();
  }

  override abortConnection(): void {
    this.#socket.listening = false;
    super.abortConnection();
  }

  #overrun(): FileDescriptorOverrun | undefined {
    return this.#socket.toSend.length > this.bufferedAmount
      ? new FileDescriptorOverrun()
      : undefined;
  }
}

/** A socket with descriptors to send, and others that have come. */
class UnixStream implements StreamSocket {
  readonly #socket: StreamSocket;
  readonly #reactor: Reactor;
  /** Duplicates of what is to be sent. */
  readonly toSend: number[] = [];
  /** Who gets what comes. */
  protocol: UnixProtocol | UnixBufferedProtocol | undefined;
  /** The protocol wants to hear no more. */
  listening = true;
  readonly #received: number[] = [];
  #thrown: { error: unknown } | undefined;

  constructor(socket: StreamSocket, reactor: Reactor) {
    this.#socket = socket;
    this.#reactor = reactor;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  receive(into: Uint8Array): number {
    const received = this.#received;
    const count = receiveWithDescriptors(this.fd, into, received);
    if (received.length === 0) return count;
    for (const descriptor of received.splice(0)) this.#take(descriptor);
    // A handler that threw or ended the connection gets no bytes any more.
    return this.#thrown === undefined && this.listening
      ? count
      : -ERRNO.EAGAIN!;
  }

  /** Throws what `fileDescriptorReceived` threw, which nothing else heard of. */
  throwWhatWasThrown(): void {
    const thrown = this.#thrown;
    if (thrown === undefined) return;
    this.#thrown = undefined;
    throw thrown.error;
  }

  #take(descriptor: number): void {
    const { protocol } = this;
    if (protocol?.fileDescriptorReceived === undefined) {
      discardDescriptor(descriptor);
      report(
        this.#reactor,
        new TypeError(
          `A descriptor was closed: the protocol has no "fileDescriptorReceived" to take it`,
        ),
        "fileDescriptorReceived",
      );
      return;
    }
    if (this.#thrown !== undefined || !this.listening) {
      return discardDescriptor(descriptor);
    }
    try {
      const result = protocol.fileDescriptorReceived(descriptor);
      if (!isThenable(result)) return;
      reportRejection(
        result,
        (error) => report(this.#reactor, error, "fileDescriptorReceived"),
      );
    } catch (error) {
      this.#thrown = { error };
    }
  }

  send(from: Uint8Array): number {
    const { toSend } = this;
    if (toSend.length === 0) return this.#socket.send(from);
    const some = toSend.slice(0, MAX_DESCRIPTORS);
    // One byte is enough to carry them. The others are for those that are left.
    const bytes = toSend.length > some.length ? from.subarray(0, 1) : from;
    const count = sendWithDescriptors(this.fd, bytes, some);
    if (count > 0) this.#drop(some.length);
    return count;
  }

  close(reset: boolean): void {
    this.#socket.close(reset);
    this.#drop(this.toSend.length);
    this.protocol = undefined;
  }

  #drop(count: number): void {
    for (const descriptor of this.toSend.splice(0, count)) {
      discardDescriptor(descriptor);
    }
  }

  endWriting(): void {
    this.#socket.endWriting();
  }

  forgetIfClosed(): void {
    this.#socket.forgetIfClosed?.();
  }

  isTransient(errno: number): boolean {
    return this.#socket.isTransient(errno);
  }

  explain(errno: number): Error {
    return this.#socket.explain(errno);
  }

  setOption(option: TCPOption, on: boolean): void {
    this.#socket.setOption(option, on);
  }

  getOption(option: TCPOption): boolean {
    return this.#socket.getOption(option);
  }
}
