/**
 * A stream connection: what TCP, UNIX sockets and terminals have in common.
 *
 * What is written goes out in the next round of the same turn, for all
 * connections together, by a plain `send()`. Only what the kernel does not take
 * then is left to a writer of the reactor's. So an answer costs one system call,
 * and the interest set is not touched.
 *
 * A connection ends in one place, `#disconnect`, and never inside a call of its
 * owner's: what such a call leads to comes in a later round.
 *
 * @module
 */

import { checkBoolean, complaint } from "../arguments.ts";
import type { ReadDescriptor, WriteDescriptor } from "../descriptors.ts";
import {
  asError,
  ConnectionAborted,
  ConnectionDone,
  isError,
} from "../errors.ts";
import type { Reactor } from "../reactor.ts";
import type { Address } from "./address.ts";
import { closeGently } from "./close_gently.ts";
import { endWithReactor, outlive } from "./dependents.ts";
import {
  type BufferedProtocol,
  bufferOf,
  isBuffered,
  type Producer,
  type Protocol,
  type Transport,
} from "./protocol.ts";
import { RegisteredProducer } from "./registered_producer.ts";
import { callHandler, report } from "./report.ts";
import { SendQueue } from "./send_queue.ts";
import { TLSContext } from "./tls_context.ts";
import { TLSHandshake } from "./tls_handshake.ts";
import type { TLSOptions, TLSRole } from "./tls_options.ts";
import { TLSStream } from "./tls_stream.ts";

/** What can be switched on and off on a TCP connection. */
export type TCPOption = "noDelay" | "keepAlive";

/** The system calls of a stream. Only those of its options throw. */
export interface StreamSocket {
  /** The descriptor; -1 when it is closed. */
  readonly fd: number;
  /** Bytes received; 0 at the end; a negative errno. */
  receive(into: Uint8Array): number;
  /** Bytes sent; a negative errno. */
  send(from: Uint8Array): number;
  /** Closes this side's half. */
  endWriting(): void;
  /** Closes it; with `reset`, so that the peer sees that it was cut off. */
  close(reset: boolean): void;
  /**
   * Takes it for closed if something else has closed it: by now its number can
   * be another file's.
   */
  forgetIfClosed?(): void;
  /** Whether an errno only says: not now. */
  isTransient(errno: number): boolean;
  /** The error that an errno means for the connection. */
  explain(errno: number): Error;
  /** Switches an option. */
  setOption(option: TCPOption, on: boolean): void;
  /** Whether an option is on. */
  getOption(option: TCPOption): boolean;
  /** What there is between it and the kernel's socket, if anything. */
  readonly layer?: StreamLayer;
  /** What waits for room, if it sends to another descriptor than `fd`. */
  readonly writer?: WriteDescriptor;
}

/** What keeps bytes of its own between the program and the kernel, as TLS does. */
export interface StreamLayer {
  /** There may be more to receive, whatever the kernel's socket says. */
  readonly pending: boolean;
  /** Nothing is sent before something has come from the peer. */
  readonly handshaking: boolean;
  /** Both sides have agreed. It stays true after the end. */
  readonly handshakeDone: boolean;
  /** How long that may take, in milliseconds. */
  readonly handshakeTimeout: number;
  /** Which protocol they agreed on. */
  readonly alpnProtocol: string | null;
  /** The other side's certificate in DER. */
  readonly peerCertificate: Uint8Array<ArrayBuffer> | null;
  /** How many bytes there are to flush. */
  readonly unsent: number;
  /** After the end the peer has something to say, which must find a socket. */
  readonly lingers: boolean;
  /** Sends what it has to say. Returns 0 if that is all, or a negative errno. */
  flush(): number;
}

/** How {@linkcode StreamTransport} is made. */
export interface StreamTransportOptions {
  /** Who serves it. */
  reactor: Reactor;
  /** The socket, which it owns from now on. */
  socket: StreamSocket;
  /** The address of this end. */
  host: Address;
  /** The address of the other end. */
  peer: Address;
  /** Called after the protocol's `connectionLost`. */
  lost?: (reason: Error) => void;
  /** Which side it is in `startTLS`. @default {"server"} */
  role?: TLSRole;
  /** Whose certificate it expects in `startTLS`, if nobody says. */
  hostname?: string;
}

/** How much is received at once, at most. */
const PORTION = 65_536;

/**
 * So many times something is sent before others get their turn: a peer that
 * takes it all as fast as it comes would hold the reactor up otherwise.
 */
const MOST_SENDS = 4;

/** Where bytes are received for a protocol that has no place of its own. */
let receiveBuffer: Uint8Array<ArrayBuffer> | undefined;

const encoder = new TextEncoder();

/** See {@linkcode Transport}. */
export class StreamTransport
  implements Transport, ReadDescriptor, WriteDescriptor {
  /** Nobody else has the number of its socket. */
  readonly owned = true;
  readonly #reactor: Reactor;
  #socket: StreamSocket;
  readonly #host: Address;
  readonly #peer: Address;
  readonly #role: TLSRole;
  readonly #hostname: string | undefined;
  readonly #queue = new SendQueue();
  #lost: ((reason: Error) => void) | undefined;
  #protocol: Protocol | BufferedProtocol | undefined;
  /** The same, if it has a place of its own for what comes. */
  #buffered: BufferedProtocol | undefined;
  #reading = false;
  /** It receives in a later round what the kernel does not know of. */
  #readingAgain = false;
  #writing = false;
  /** It is among those that the reactor sends from in the next round. */
  #flushing = false;
  #paused = false;
  /** The peer writes no more. */
  #readEnded = false;
  /** To be closed when all is sent. */
  #losing = false;
  /** This side's half: open, to be closed when all is sent, or closed. */
  #writeHalf: "open" | "closing" | "closed" = "open";
  #aborted = false;
  /** With this it is lost in a later round, whatever there is to send. */
  #ending: Error | undefined;
  #disconnected = false;
  #producer: RegisteredProducer | undefined;
  /** The handshake of TLS, be it over or not. */
  #handshake: TLSHandshake | undefined;

  /** Makes a connection of a socket. */
  constructor(options: StreamTransportOptions) {
    this.#reactor = options.reactor;
    this.#socket = options.socket;
    this.#host = options.host;
    this.#peer = options.peer;
    this.#lost = options.lost;
    this.#role = options.role ?? "server";
    this.#hostname = options.hostname;
  }

  /** Gives it to its protocol, and begins to read. */
  start(protocol: Protocol | BufferedProtocol): void {
    this.#protocol = protocol;
    if (isBuffered(protocol)) this.#buffered = protocol;
    try {
      endWithReactor(this.#reactor, this);
    } catch (error) {
      return this.#disconnect(error as Error);
    }
    const { layer } = this.#socket;
    if (layer !== undefined) this.#shakeHands(layer);
    this.#tell("connectionMade", () => {
      if (protocol.makeConnection !== undefined) {
        return protocol.makeConnection(this);
      }
      (protocol as { transport?: Transport }).transport = this;
      return protocol.connectionMade?.();
    });
    if (layer?.handshakeDone) this.#shaken();
    this.#startReading();
    if (layer?.unsent) this.#flushSoon();
  }

  // What the reactor calls

  /** The descriptor; -1 when it is closed. */
  fileno(): number {
    return this.#socket.fd;
  }

  /**
   * Receives once. What the protocol throws goes on to the reactor, which
   * reports it and ends the connection with it.
   */
  doRead(): unknown {
    const buffered = this.#buffered;
    const buffer = buffered === undefined
      ? receiveBuffer ??= new Uint8Array(PORTION)
      : bufferOf(buffered);
    const { layer } = this.#socket;
    const handshaking = layer?.handshaking;
    const count = this.#socket.receive(buffer);
    if (layer !== undefined) this.#received(layer, handshaking!);
    if (count > 0) {
      const result = buffered === undefined
        ? (this.#protocol as Protocol).dataReceived(
          receiveBuffer!.slice(0, count),
        )
        : buffered.bufferUpdated(count);
      // A promise is the reactor's to look after. An Error would end the
      // connection, which is not what returning one means here.
      return result !== undefined && isError(result) ? undefined : result;
    }
    if (count === 0) return this.#readEnd();
    return this.#socket.isTransient(-count)
      ? undefined
      : this.#socket.explain(-count);
  }

  /** Sends what the kernel did not take before. */
  doWrite(): unknown {
    return this.#send();
  }

  /** The end, as the reactor sees it. */
  connectionLost(reason: Error): void {
    this.#disconnect(this.#ending ?? reason);
  }

  // What the protocol calls

  write(data: Uint8Array | string): void {
    const bytes = toBytes(data);
    if (bytes.length === 0 || !this.#takesMore()) return;
    this.#queue.push(bytes);
    this.#flushSoon();
    const producer = this.#producer;
    if (producer === undefined) return; // As nearly always.
    this.#endIf(producer.written(this.bufferedAmount));
  }

  writeSequence(parts: Iterable<Uint8Array | string>): void {
    for (const part of parts) this.write(part);
  }

  loseConnection(): void {
    if (this.#isOver() || this.#losing) return;
    this.#losing = true;
    if (!this.#socket.layer?.handshaking) this.#stopReading();
    this.#flushSoon();
  }

  abortConnection(): void {
    if (this.#disconnected || this.#aborted) return;
    this.#aborted = true;
    this.#endSoon(new ConnectionAborted());
  }

  loseWriteConnection(): void {
    if (this.#isOver() || this.#writeHalf !== "open") return;
    this.#writeHalf = "closing";
    this.#flushSoon();
  }

  pauseProducing(): void {
    this.#paused = true;
    if (!this.#socket.layer?.handshaking) this.#stopReading();
  }

  resumeProducing(): void {
    this.#paused = false;
    this.#startReading();
  }

  stopProducing(): void {
    this.loseConnection();
  }

  registerProducer(producer: Producer, streaming: boolean): void {
    const registered = new RegisteredProducer(
      this.#reactor,
      producer,
      streaming,
    );
    if (this.#producer !== undefined) {
      throw new RangeError(
        "Cannot register a producer: the connection has one already",
      );
    }
    if (this.#disconnected) return registered.stop();
    this.#producer = registered;
    this.#endIf(registered.begin(this.bufferedAmount));
  }

  unregisterProducer(): void {
    this.#producer = undefined;
    // What waits for the last bytes has them now.
    if (this.#losing || this.#writeHalf === "closing") this.#flushSoon();
  }

  get disconnecting(): boolean {
    return this.#losing || this.#isOver();
  }

  startTLS(options: TLSOptions = {}): void {
    if (this.#isOver() || this.#losing || this.#writeHalf !== "open") return;
    if (this.#socket.layer !== undefined) {
      throw new RangeError(
        "Cannot start TLS: the connection is encrypted already",
      );
    }
    using context = new TLSContext(this.#role, {
      hostname: this.#hostname,
      ...options,
    });
    const queue = this.#queue;
    const before = new Uint8Array(queue.length);
    for (let end = 0; queue.length > 0;) {
      const head = queue.head();
      before.set(head, end);
      end += head.length;
      queue.shift(head.length);
    }
    const layer = new TLSStream(this.#socket, context, before);
    this.#socket = layer;
    this.#shakeHands(layer);
    this.#startReading(); // The handshake does not wait for a paused protocol.
    this.#flushSoon();
  }

  async handshake(): Promise<Deno.TlsHandshakeInfo> {
    if (this.#handshake === undefined) {
      throw new RangeError(
        "Cannot wait for the handshake: the connection is not encrypted",
      );
    }
    return await this.#handshake.wait();
  }

  get alpnProtocol(): string | null {
    return this.#socket.layer?.alpnProtocol ?? null;
  }

  getPeerCertificate(): Uint8Array<ArrayBuffer> | null {
    if (this.#disconnected) return null;
    return this.#socket.layer?.peerCertificate ?? null;
  }

  getPeer(): Address {
    return this.#peer;
  }

  getHost(): Address {
    return this.#host;
  }

  get bufferedAmount(): number {
    return this.#queue.length + (this.#socket.layer?.unsent ?? 0);
  }

  setTcpNoDelay(on: boolean): void {
    this.#setOption("noDelay", on, "set TCP_NODELAY");
  }

  getTcpNoDelay(): boolean {
    return this.#socket.getOption("noDelay");
  }

  setTcpKeepAlive(on: boolean): void {
    this.#setOption("keepAlive", on, "set SO_KEEPALIVE");
  }

  getTcpKeepAlive(): boolean {
    return this.#socket.getOption("keepAlive");
  }

  #setOption(option: TCPOption, on: boolean, action: string): void {
    checkBoolean(on, action, "on");
    this.#socket.setOption(option, on);
  }

  // Writing

  /**
   * Whether what is written now will be sent. After `loseConnection`, and after
   * `loseWriteConnection`, a producer can still finish.
   */
  #takesMore(): boolean {
    if (this.#isOver() || this.#writeHalf === "closed") return false;
    return !this.#losing && this.#writeHalf === "open" ||
      this.#producer !== undefined;
  }

  #flushSoon(): void {
    if (this.#flushing || this.#writing || this.#isOver()) return;
    this.#flushing = true;
    flushSoon(this.#reactor, this);
  }

  /** Called in the round after the one in which something was written. */
  flush(): void {
    this.#flushing = false;
    if (this.#isOver()) return;
    let reason;
    try {
      reason = this.#send();
    } catch (error) {
      report(this.#reactor, error, "the sending of a connection");
      reason = asError(error);
    }
    if (reason !== undefined) this.#disconnect(reason);
  }

  /** Sends as much as the kernel takes. Returns what ends the connection. */
  #send(): Error | undefined {
    const queue = this.#queue;
    for (let sends = 0; queue.length > 0; sends++) {
      if (sends === MOST_SENDS) return this.#startWriting();
      const head = queue.head();
      const count = this.#socket.send(head);
      if (count < 0) {
        if (!this.#socket.isTransient(-count)) {
          return this.#socket.explain(-count);
        }
        return this.#wait();
      }
      queue.shift(count);
      if (count < head.length) return this.#startWriting();
    }
    const { layer } = this.#socket;
    if (layer !== undefined) {
      const ends = this.#losing || this.#writeHalf === "closing";
      if (ends && this.#producer === undefined) this.#socket.endWriting();
      const errno = layer.flush();
      if (errno < 0) {
        return this.#socket.isTransient(-errno)
          ? this.#startWriting()
          : this.#socket.explain(-errno);
      }
    }
    this.#stopWriting();
    return this.#sent();
  }

  /** Waits until there is room, or until the peer has shaken hands. */
  #wait(): undefined {
    const { layer } = this.#socket;
    if (layer?.handshaking && !layer.unsent) this.#stopWriting();
    else this.#startWriting();
  }

  /** Everything is sent. Returns what ends the connection. */
  #sent(): Error | undefined {
    const producer = this.#producer;
    // What waits for the last bytes waits for the producer's end.
    if (producer !== undefined) return producer.sent();
    if (this.#losing) return new ConnectionDone();
    if (this.#writeHalf !== "closing") return undefined;
    this.#writeHalf = "closed";
    this.#socket.endWriting();
    const protocol = this.#protocol!;
    const thrown = this.#try(
      "writeConnectionLost",
      () => protocol.writeConnectionLost?.(),
    );
    return thrown ?? this.#halves();
  }

  #startWriting(): undefined {
    if (this.#writing) return;
    this.#writing = true;
    this.#reactor.addWriter(this.#socket.writer ?? this);
  }

  #stopWriting(): void {
    if (!this.#writing) return;
    this.#writing = false;
    this.#reactor.removeWriter(this.#socket.writer ?? this);
  }

  // Reading

  #startReading(): void {
    if (this.#reading || this.#isOver() || this.#readEnded) return;
    const { layer } = this.#socket;
    const wanted = !this.#paused && !this.#losing;
    if (!wanted && !layer?.handshaking) return;
    this.#reading = true;
    if (layer?.pending) this.#readAgain();
    this.#tell(
      "the reading of a connection",
      () => this.#reactor.addReader(this),
    );
  }

  #stopReading(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#reactor.removeReader(this);
  }

  /** The layer below has received something, and may have more to do. */
  #received(layer: StreamLayer, handshaking: boolean): void {
    const shaken = handshaking && layer.handshakeDone;
    if (shaken) this.#shaken();
    if (shaken && (this.#paused || this.#losing)) this.#stopReading();
    if (shaken || layer.unsent) this.#flushSoon();
    if (layer.pending) this.#readAgain();
  }

  /** TLS has begun: it has so much time, and not more. */
  #shakeHands(layer: StreamLayer): void {
    this.#handshake = new TLSHandshake(
      this.#reactor,
      layer,
      (error) => this.#disconnect(error),
    );
  }

  /** TLS is there. */
  #shaken(): void {
    this.#handshake!.done();
    if (this.#isOver()) return;
    const protocol = this.#protocol!;
    this.#tell("handshakeCompleted", () => protocol.handshakeCompleted?.());
  }

  /** Receives in a later round, of which no socket would remind it. */
  #readAgain(): void {
    if (this.#readingAgain) return;
    this.#readingAgain = true;
    this.#reactor.callFromThread(() => {
      this.#readingAgain = false;
      if (!this.#reading || !this.#socket.layer?.pending) return;
      let reason: Error | undefined;
      callHandler(this.#reactor, "dataReceived", () => {
        const result = this.doRead();
        if (!isError(result)) return result;
        reason = result;
        return undefined;
      }, (error) => reason = asError(error));
      if (reason !== undefined) this.#disconnect(reason);
    });
  }

  /**
   * The peer has closed its half, or everything. Returns what ends the
   * connection.
   */
  #readEnd(): Error | undefined {
    this.#readEnded = true;
    this.#stopReading();
    const protocol = this.#protocol!;
    const understands = protocol.readConnectionLost !== undefined ||
      protocol.writeConnectionLost !== undefined;
    if (!understands) return new ConnectionDone();
    const thrown = this.#try(
      "readConnectionLost",
      () => protocol.readConnectionLost?.(),
    );
    return thrown ?? this.#halves();
  }

  /** Both halves closed make a whole. */
  #halves(): Error | undefined {
    return this.#readEnded && this.#writeHalf === "closed"
      ? new ConnectionDone()
      : undefined;
  }

  // The end

  /** It is lost, or will be without anything more being sent. */
  #isOver(): boolean {
    return this.#disconnected || this.#ending !== undefined;
  }

  /** Ends it in a later round. */
  #endSoon(reason: Error): void {
    if (this.#isOver()) return;
    this.#ending = reason;
    this.#queue.clear();
    this.#stopReading();
    this.#stopWriting();
    this.#reactor.callFromThread(() => this.#disconnect(reason));
  }

  #disconnect(reason: Error): void {
    if (this.#disconnected) return;
    this.#disconnected = true;
    outlive(this.#reactor, this);
    this.#stopReading();
    this.#stopWriting();
    this.#queue.clear();
    this.#handshake?.lost(reason);
    this.#try("the closing of a connection", () => this.#close(reason));
    const producer = this.#producer;
    const protocol = this.#protocol;
    const lost = this.#lost;
    // Whoever keeps the transport does not keep what it served.
    this.#producer = this.#protocol = this.#buffered = undefined;
    this.#lost = undefined;
    producer?.stop();
    this.#tell("connectionLost", () => protocol?.connectionLost?.(reason));
    lost?.(reason);
  }

  #close(reason: Error): void {
    const allSent = this.#losing && !this.#readEnded &&
      reason instanceof ConnectionDone;
    if (allSent) closeGently(this.#reactor, this.#socket);
    else this.#socket.close(this.#aborted);
  }

  /**
   * Calls a function of the protocol's.
   *
   * @returns What it threw, which is reported already.
   */
  #try(where: string, f: () => unknown): Error | undefined {
    let thrown: Error | undefined;
    callHandler(this.#reactor, where, f, (error) => thrown = asError(error));
    return thrown;
  }

  /** The same. If it throws, the connection ends in a later round. */
  #tell(where: string, f: () => unknown): void {
    this.#endIf(this.#try(where, f));
  }

  #endIf(thrown: Error | undefined): void {
    if (thrown !== undefined) this.#endSoon(thrown);
  }
}

/** The connections of each reactor that have something to send. */
const waiting = new WeakMap<Reactor, StreamTransport[]>();

/** Sends from a connection in the next round, together with the others. */
function flushSoon(reactor: Reactor, transport: StreamTransport): void {
  const others = waiting.get(reactor);
  if (others !== undefined) {
    others.push(transport);
    return;
  }
  reactor.callFromThread(() => {
    const transports = waiting.get(reactor)!;
    waiting.delete(reactor);
    for (const transport of transports) transport.flush();
  });
  waiting.set(reactor, [transport]);
}

function toBytes(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (typeof data === "string") return encoder.encode(data);
  throw new TypeError(
    complaint(
      data,
      "write to a connection",
      "data",
      "a Uint8Array or a string",
    ),
  );
}
