/**
 * A connection for people who think in promises and streams.
 *
 * @module
 */

import { ConnectionDone } from "../errors.ts";
import type { Address } from "./address.ts";
import type { Producer, Protocol, Transport } from "./protocol.ts";
import type { TLSOptions } from "./tls_options.ts";

/**
 * A connection as a {@linkcode Transport}, an async iterable of what comes, and
 * a pair of web streams.
 *
 * It understands half-close: when the peer writes no more, the iteration and
 * `readable` end, and this side can still write. Nothing is read that nobody
 * asks for, beyond the stream's queue, so a slow reader slows the peer down.
 *
 * @example Both ends
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await using client = await connect(port.getHost() as Deno.NetAddr);
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
export class Connection
  implements Transport, AsyncIterable<Uint8Array>, AsyncDisposable {
  /**
   * What comes. Cancelling it ends the connection, as `loseConnection` does.
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
   */
  readonly closed: Promise<void>;
  readonly #transport: Transport;

  /** @internal */
  constructor(transport: Transport, both: Both) {
    this.#transport = transport;
    this.readable = both.readable;
    this.writable = both.writable;
    this.closed = both.closed;
  }

  /** Each array of bytes that comes. Leaving the loop leaves the connection open. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.readable.values({ preventCancel: true });
  }

  /** Sends what was written, ends the connection, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.loseConnection();
    await this.closed.catch(() => {});
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
    this.#transport.pauseProducing();
  }

  /** See {@linkcode Transport.resumeProducing}. */
  resumeProducing(): void {
    this.#transport.resumeProducing();
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

  /** See {@linkcode Transport.getPeer}. */
  getPeer(): Address {
    return this.#transport.getPeer();
  }

  /** See {@linkcode Transport.getHost}. */
  getHost(): Address {
    return this.#transport.getHost();
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

/** Both directions of a connection, and its end. */
interface Both {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array | string>;
  readonly closed: Promise<void>;
}

/**
 * The protocol behind a {@linkcode Connection}. It is also the producer of what
 * `writable` gets, for as long as there is no room for more.
 */
export class ConnectionProtocol implements Protocol, Producer, Both {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array | string>;
  readonly closed: Promise<void>;
  readonly #made: (connection: Connection) => void;
  readonly #end = Promise.withResolvers<void>();
  #transport: Transport | undefined;
  #incoming!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #outgoing!: WritableStreamDefaultController;
  /** The readable side has ended, one way or the other. */
  #readEnded = false;
  /** This side's half is closed. */
  #writeEnded = false;
  /** What `writable` waits for: room for more, or the end of this half. */
  #pending: PromiseWithResolvers<void> | undefined;

  /** @param made Gets the connection. */
  constructor(made: (connection: Connection) => void) {
    this.#made = made;
    this.closed = this.#end.promise;
    this.closed.catch(() => {}); // Whoever does not look has it from the streams.
    this.readable = new ReadableStream({
      start: (controller) => void (this.#incoming = controller),
      pull: () => this.#transport?.resumeProducing(),
      cancel: () => {
        this.#readEnded = true;
        this.#transport?.loseConnection();
      },
    }, { highWaterMark: ENOUGH, size: (data) => data!.length });
    this.writable = new WritableStream({
      start: (controller) => void (this.#outgoing = controller),
      write: (data) => this.#write(data),
      close: () => this.#closeHalf(),
      abort: () => this.#transport?.abortConnection(),
    });
  }

  makeConnection(transport: Transport): void {
    this.#transport = transport;
    this.#made(new Connection(transport, this));
  }

  dataReceived(data: Uint8Array<ArrayBuffer>): void {
    if (this.#readEnded) return;
    this.#incoming.enqueue(data);
    if (this.#incoming.desiredSize! <= 0) this.#transport!.pauseProducing();
  }

  readConnectionLost(): void {
    if (this.#readEnded) return;
    this.#readEnded = true;
    this.#incoming.close();
  }

  writeConnectionLost(): void {
    this.#writeEnded = true;
    this.#pending?.resolve();
  }

  connectionLost(reason: Error): void {
    const orderly = reason instanceof ConnectionDone;
    this.#writeEnded = true;
    if (!this.#readEnded) {
      this.#readEnded = true;
      if (orderly) this.#incoming.close();
      else this.#incoming.error(reason);
    }
    this.#outgoing.error(reason);
    if (orderly) {
      this.#pending?.resolve();
      this.#end.resolve();
    } else {
      this.#pending?.reject(reason);
      this.#end.reject(reason);
    }
  }

  pauseProducing(): void {}

  resumeProducing(): void {
    this.#transport!.unregisterProducer();
    this.#pending?.resolve();
  }

  stopProducing(): void {} // `connectionLost` follows.

  #write(data: Uint8Array | string): Promise<void> | undefined {
    const transport = this.#transport!;
    transport.write(data);
    if (transport.bufferedAmount <= ENOUGH) return undefined;
    transport.registerProducer(this, true);
    return this.#wait();
  }

  #closeHalf(): Promise<void> | undefined {
    if (this.#writeEnded) return undefined;
    this.#transport!.loseWriteConnection();
    return this.#wait();
  }

  #wait(): Promise<void> {
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  }
}
