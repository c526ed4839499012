/**
 * A connection for people who think in promises and streams.
 *
 * @module
 */

import { ConnectionAborted, ConnectionDone } from "../errors.ts";
import type { Address } from "./address.ts";
import { DenoConn } from "./deno_conn.ts";
import type { Producer, Protocol, Transport } from "./protocol.ts";
import { ReceiveQueue } from "./receive_queue.ts";
import type { TLSOptions } from "./tls_options.ts";

/**
 * A connection as a {@linkcode Transport}, an async iterable of what comes, and
 * a pair of web streams.
 *
 * It understands half-close: when the peer writes no more, the iteration and
 * `readable` end, and this side can still write. Nothing is read that nobody
 * asks for, beyond 64 KiB, so a slow reader slows the peer down. What came before
 * a connection was lost can be read, and then the reading fails.
 *
 * It has no functions for descriptors: those that come over a UNIX socket are
 * closed, which is reported. To pass them, use `connectUNIX` and `listenUNIX`.
 *
 * @example Both ends
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await using client = await connect(port.getHost());
 * for await (const server of port) {
 *   server.write("hello");
 *   server.loseConnection();
 *   break;
 * }
 * let text = "";
 * for await (const part of client.readable.pipeThrough(new TextDecoderStream())) {
 *   text += part;
 * }
 * assertEquals(text, "hello");
 * ```
 */
export class Connection<A extends Address = Address>
  implements Transport, AsyncIterable<Uint8Array>, AsyncDisposable {
  /**
   * What comes: a stream of bytes, which can be read into buffers of the reader's
   * own as well (`getReader({ mode: "byob" })`). Cancelling it ends the
   * connection, as `loseConnection` does.
   *
   * @example By way of other streams
   * ```ts
   * import { connect, listen } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * await using port = listen({ hostname: "127.0.0.1", port: 0 });
   * await using client = await connect(port.getHost());
   * const sent = new Blob(["hello, ".repeat(1000)]).stream()
   *   .pipeThrough(new CompressionStream("gzip"))
   *   .pipeTo(client.writable); // Closes this half when all of it is sent.
   *
   * for await (const server of port) {
   *   const text = server.readable.pipeThrough(new DecompressionStream("gzip"));
   *   assertEquals((await new Response(text).text()).length, 7000);
   *   server.loseConnection();
   *   break;
   * }
   * await sent;
   * ```
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /**
   * What goes. A write settles when there is room for more; closing it closes
   * this side's half, and settles when everything is sent; aborting it aborts the
   * connection.
   */
  readonly writable: WritableStream<Uint8Array | string>;
  /**
   * Settles when the connection is over: resolves after an orderly end, rejects
   * with the reason otherwise.
   *
   * @example How a connection ended
   * ```ts
   * import { ConnectionLost } from "@interleave/reactor";
   * import { connect, listen } from "@interleave/reactor/net";
   * import { assertRejects } from "@std/assert";
   *
   * await using port = listen({ hostname: "127.0.0.1", port: 0 });
   * await using client = await connect(port.getHost());
   * for await (const server of port) {
   *   server.abortConnection();
   *   break;
   * }
   * await assertRejects(() => client.closed, ConnectionLost);
   * ```
   */
  readonly closed: Promise<void>;
  readonly #transport: Transport;
  readonly #protocol: ConnectionProtocol;
  #denoConn: DenoConn<A> | undefined;

  /**
   * For `connect()` and `listen()`, which make it.
   *
   * @internal
   */
  constructor(transport: Transport, protocol: ConnectionProtocol) {
    this.#transport = transport;
    this.#protocol = protocol;
    this.readable = protocol.readable;
    this.writable = protocol.writable;
    this.closed = protocol.closed;
  }

  /**
   * Each array of bytes that comes. Leaving the loop leaves the connection open.
   *
   * @example As far as somebody wants to hear it
   * ```ts
   * import { connect, listen } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * await using port = listen({ hostname: "127.0.0.1", port: 0 });
   * await using client = await connect(port.getHost());
   * client.write("login: ada\n");
   *
   * for await (const server of port) {
   *   let line = "";
   *   for await (const bytes of server) {
   *     line += new TextDecoder().decode(bytes);
   *     if (line.endsWith("\n")) break; // The connection stays open.
   *   }
   *   assertEquals(line, "login: ada\n");
   *   server.write("hello, ada\n");
   *   server.loseConnection();
   *   break;
   * }
   * assertEquals(await new Response(client.readable).text(), "hello, ada\n");
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.readable.values({ preventCancel: true });
  }

  /** Sends what was written, ends the connection, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.loseConnection();
    await this.closed.catch(() => {});
  }

  /**
   * This connection in the shape of `Deno.Conn`, for code that was written for
   * Deno's own.
   *
   * @returns The same object each time.
   *
   * @example Reading into a buffer
   * ```ts
   * import { connect, listen } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * await using port = listen({ hostname: "127.0.0.1", port: 0 });
   * using client = (await connect(port.getHost())).toDenoConn();
   * await client.write(new TextEncoder().encode("hello"));
   *
   * for await (const connection of port) {
   *   using server = connection.toDenoConn();
   *   const buffer = new Uint8Array(4);
   *   assertEquals(await server.read(buffer), 4);
   *   assertEquals(await server.read(buffer), 1);
   *   assertEquals(new TextDecoder().decode(buffer.subarray(0, 1)), "o");
   *   break;
   * }
   * ```
   */
  toDenoConn(): DenoConn<A> {
    return this.#denoConn ??= new DenoConn(this, this.#protocol);
  }

  /** See {@linkcode Transport.write}. */
  write(data: Uint8Array | string): void {
    this.#transport.write(data);
  }

  /** See {@linkcode Transport.writeSequence}. */
  writeSequence(parts: Iterable<Uint8Array | string>): void {
    this.#transport.writeSequence(parts);
  }

  /** See {@linkcode Transport.loseConnection}. */
  loseConnection(): void {
    this.#transport.loseConnection();
  }

  /** See {@linkcode Transport.abortConnection}. */
  abortConnection(): void {
    this.#transport.abortConnection();
  }

  /** See {@linkcode Transport.loseWriteConnection}. */
  loseWriteConnection(): void {
    this.#transport.loseWriteConnection();
  }

  /** See {@linkcode Transport.pauseProducing}. */
  pauseProducing(): void {
    this.#protocol.hold();
  }

  /** See {@linkcode Transport.resumeProducing}. */
  resumeProducing(): void {
    this.#protocol.release();
  }

  /** See {@linkcode Transport.stopProducing}. */
  stopProducing(): void {
    this.#transport.stopProducing();
  }

  /** See {@linkcode Transport.registerProducer}. `writable` is one when used. */
  registerProducer(producer: Producer, streaming: boolean): void {
    this.#transport.registerProducer(producer, streaming);
  }

  /** See {@linkcode Transport.unregisterProducer}. */
  unregisterProducer(): void {
    this.#transport.unregisterProducer();
  }

  /** See {@linkcode Transport.startTLS}. */
  startTLS(options?: TLSOptions): void {
    this.#transport.startTLS(options);
  }

  /** See {@linkcode Transport.handshake}. */
  handshake(): Promise<Deno.TlsHandshakeInfo> {
    return this.#transport.handshake();
  }

  /** See {@linkcode Transport.alpnProtocol}. */
  get alpnProtocol(): string | null {
    return this.#transport.alpnProtocol;
  }

  /** See {@linkcode Transport.getPeerCertificate}. */
  getPeerCertificate(): Uint8Array<ArrayBuffer> | null {
    return this.#transport.getPeerCertificate();
  }

  /** See {@linkcode Transport.getPeer}. */
  getPeer(): A {
    return this.#transport.getPeer() as A;
  }

  /** See {@linkcode Transport.getHost}. */
  getHost(): A {
    return this.#transport.getHost() as A;
  }

  /** See {@linkcode Transport.disconnecting}. */
  get disconnecting(): boolean {
    return this.#transport.disconnecting;
  }

  /** See {@linkcode Transport.bufferedAmount}. */
  get bufferedAmount(): number {
    return this.#transport.bufferedAmount;
  }

  /** See {@linkcode Transport.setTcpNoDelay}. */
  setTcpNoDelay(on: boolean): void {
    this.#transport.setTcpNoDelay(on);
  }

  /** See {@linkcode Transport.getTcpNoDelay}. */
  getTcpNoDelay(): boolean {
    return this.#transport.getTcpNoDelay();
  }

  /** See {@linkcode Transport.setTcpKeepAlive}. */
  setTcpKeepAlive(on: boolean): void {
    this.#transport.setTcpKeepAlive(on);
  }

  /** See {@linkcode Transport.getTcpKeepAlive}. */
  getTcpKeepAlive(): boolean {
    return this.#transport.getTcpKeepAlive();
  }
}

/**
 * So many bytes may wait in either direction: received and not read yet, or
 * written and not sent yet.
 */
const ENOUGH = 65_536;

/** Somebody who waits for bytes. */
interface Taker {
  /** There are some, or there will be none. */
  take(): void;
  /** Nobody will tell it any more. The stream has its own ways to hear. */
  fail?(reason: Error): void;
}

/**
 * The protocol behind a {@linkcode Connection}. It is also the producer of what
 * is written, for as long as somebody waits for that to be sent.
 *
 * What comes waits in one queue, from which the stream and the reads of a
 * {@linkcode DenoConn} take in the order in which they ask.
 */
export class ConnectionProtocol implements Protocol, Producer {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array | string>;
  readonly closed: Promise<void>;
  readonly #made: (connection: Connection) => void;
  readonly #end = Promise.withResolvers<void>();
  #transport: Transport | undefined;
  readonly #received = new ReceiveQueue();
  readonly #takers: Taker[] = [];
  /** Nothing more comes: in order, or for a reason. */
  #readEnd: { readonly reason?: Error } | undefined;
  /** No more is received until somebody takes what there is. */
  #full = false;
  /** No more is received until the program wants it to be. */
  #held = false;
  #incoming!: ReadableByteStreamController;
  readonly #stream: Taker = { take: () => this.#feed() };
  /** The stream is among the takers. */
  #streamWaits = false;
  #streamEnded = false;
  #outgoing!: WritableStreamDefaultController;
  /** This side's half is closed. */
  #writeEnded = false;
  /** Waits for everything that was written to be sent. */
  #sent: PromiseWithResolvers<void> | undefined;
  /** Waits for the end of this half. */
  #halfClosed: PromiseWithResolvers<void> | undefined;

  /** @param made Gets the connection. */
  constructor(made: (connection: Connection) => void) {
    this.#made = made;
    this.closed = this.#end.promise;
    this.closed.catch(() => {}); // Whoever does not look has it from the streams.
    this.readable = new ReadableStream({
      type: "bytes",
      start: (controller) => void (this.#incoming = controller),
      pull: () => this.#pull(),
      cancel: () => this.#cancel(),
    });
    this.writable = new WritableStream({
      start: (controller) => void (this.#outgoing = controller),
      write: (data) => this.#write(data),
      close: () => this.endWriting(),
      abort: () => this.#transport?.abortConnection(),
    });
  }

  // What the transport calls

  makeConnection(transport: Transport): void {
    this.#transport = transport;
    this.#made(new Connection(transport, this));
  }

  dataReceived(data: Uint8Array<ArrayBuffer>): void {
    if (this.#readEnd !== undefined) return;
    this.#received.push(data);
    this.#serve();
    if (this.#received.length < ENOUGH || this.#full) return;
    this.#full = true;
    this.#transport!.pauseProducing();
  }

  readConnectionLost(): void {
    this.#endReading({});
  }

  writeConnectionLost(): void {
    this.#writeEnded = true;
    this.#halfClosed?.resolve();
  }

  connectionLost(reason: Error): void {
    const orderly = reason instanceof ConnectionDone;
    this.#writeEnded = true;
    // Who gave it up wants nothing of it any more.
    if (reason instanceof ConnectionAborted) this.#received.clear();
    this.#endReading(orderly ? {} : { reason });
    this.#outgoing.error(reason);
    for (const waiting of [this.#sent, this.#halfClosed, this.#end]) {
      if (orderly) waiting?.resolve();
      else waiting?.reject(reason);
    }
  }

  pauseProducing(): void {}

  resumeProducing(): void {
    const sent = this.#sent;
    if (sent === undefined) return; // It is being registered.
    this.#sent = undefined;
    this.#transport!.unregisterProducer();
    sent.resolve();
  }

  stopProducing(): void {} // `connectionLost` follows.

  // Reading

  /**
   * Reads into an array, after those who have asked before.
   *
   * @returns How many bytes; null at the end. Rejects with the reason of the
   * connection's end if that was not in order.
   */
  read(into: Uint8Array): Promise<number | null> {
    return new Promise((resolve, reject) =>
      this.#ask({
        take: () => {
          if (this.#received.length > 0) resolve(this.#received.take(into));
          else if (this.#readEnd!.reason === undefined) resolve(null);
          else reject(this.#readEnd!.reason);
        },
        fail: reject,
      })
    );
  }

  /** Rejects the reads that wait. */
  failReads(reason: Error): void {
    for (const taker of this.#takers.splice(0)) {
      if (taker.fail === undefined) this.#takers.push(taker);
      else taker.fail(reason);
    }
  }

  #ask(taker: Taker): void {
    this.#takers.push(taker);
    this.#serve();
  }

  #serve(): void {
    const received = this.#received;
    while (
      this.#takers.length > 0 &&
      (received.length > 0 || this.#readEnd !== undefined)
    ) this.#takers.shift()!.take();
    if (received.length === 0 && this.#readEnd !== undefined) this.#endStream();
    if (!this.#full || received.length >= ENOUGH) return;
    this.#full = false;
    if (!this.#held) this.#transport!.resumeProducing();
  }

  /** The program wants nothing to be received. */
  hold(): void {
    this.#held = true;
    this.#transport!.pauseProducing();
  }

  /** It does, again. */
  release(): void {
    this.#held = false;
    if (!this.#full) this.#transport!.resumeProducing();
  }

  #endReading(end: { reason?: Error }): void {
    // A half that has ended in order has ended.
    this.#readEnd ??= end;
    this.#serve();
  }

  /** The stream has a reader. It asks again before it was given anything. */
  #pull(): void {
    if (this.#streamWaits) return;
    this.#streamWaits = true;
    this.#ask(this.#stream);
  }

  #feed(): void {
    this.#streamWaits = false;
    const received = this.#received;
    if (received.length === 0) return; // #serve() ends it.
    const request = this.#incoming.byobRequest;
    if (request === null) this.#incoming.enqueue(received.shift());
    else request.respond(received.take(request.view as Uint8Array));
  }

  #endStream(): void {
    if (this.#streamEnded) return;
    this.#streamEnded = true;
    const { reason } = this.#readEnd!;
    if (reason !== undefined) return this.#incoming.error(reason);
    try {
      this.#incoming.close();
      // Whoever waits with a buffer of its own gets it back.
      this.#incoming.byobRequest?.respond(0);
    } catch {
      // Half an element was read into an array of larger ones, which its reader
      // has been told by now.
    }
  }

  #cancel(): void {
    this.#streamEnded = true;
    this.#received.clear();
    this.#endReading({});
    this.#transport?.loseConnection();
  }

  // Writing

  /**
   * Writes, and waits until the system has taken everything that was written
   * so far.
   *
   * @returns Rejects if the connection is lost before; null if nothing can be
   * sent any more.
   */
  send(data: Uint8Array): Promise<void> | null {
    const transport = this.#transport!;
    const before = transport.bufferedAmount;
    transport.write(data);
    return transport.bufferedAmount === before ? null : this.#waitUntilSent();
  }

  /**
   * Closes this side's half.
   *
   * @returns Resolves when everything is sent.
   */
  async endWriting(): Promise<void> {
    if (this.#writeEnded) return;
    this.#halfClosed ??= Promise.withResolvers();
    this.#transport!.loseWriteConnection();
    await this.#halfClosed.promise;
  }

  #write(data: Uint8Array | string): Promise<void> | undefined {
    const transport = this.#transport!;
    transport.write(data);
    return transport.bufferedAmount > ENOUGH
      ? this.#waitUntilSent()
      : undefined;
  }

  /**
   * A producer that does not write by itself is called when everything is sent,
   * and once before that: when it is registered.
   */
  #waitUntilSent(): Promise<void> {
    if (this.#sent === undefined) {
      this.#transport!.registerProducer(this, false);
      this.#sent = Promise.withResolvers();
    }
    return this.#sent.promise;
  }
}
