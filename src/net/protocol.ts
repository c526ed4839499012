/**
 * What a connection asks of a program, and what it offers: Twisted's shapes.
 *
 * @module
 */

import type { Address } from "./address.ts";
import type { TLSOptions } from "./tls_options.ts";

/**
 * What happens on a connection. Any object with these functions is one; all but
 * `dataReceived` may be missing.
 *
 * What they throw, or what their promise rejects with, is reported through the
 * reactor's `onError`. A throw ends the connection as well, and is the reason
 * that `connectionLost` gets.
 */
export interface Protocol {
  /**
   * Gets the connection, before anything else.
   *
   * @default {(transport) => { this.transport = transport; this.connectionMade?.() }}
   */
  makeConnection?(transport: Transport): unknown;
  /** The connection is there. */
  connectionMade?(): unknown;
  /** Bytes have come. The array is the protocol's to keep. */
  dataReceived(data: Uint8Array<ArrayBuffer>): unknown;
  /** The connection is gone. Called once, and last. */
  connectionLost?(reason: Error): unknown;
  /**
   * The peer writes no more; this side still can. A protocol that has this or
   * {@linkcode Protocol.writeConnectionLost} understands connections that are
   * closed one half at a time. For any other such an end is the end.
   */
  readConnectionLost?(): unknown;
  /** This side has closed its half, after {@linkcode Transport.loseWriteConnection}. */
  writeConnectionLost?(): unknown;
}

/** Makes protocols for connections that come. */
export interface ServerFactory {
  /**
   * Makes the protocol of a connection.
   *
   * @param peer Who is at the other end.
   * @returns The protocol; null closes the connection.
   */
  buildProtocol(peer: Address): Protocol | null;
  /** The first port or connector begins to use this factory. */
  doStart?(): unknown;
  /** The last one has ended. */
  doStop?(): unknown;
}

/** Produces data for a transport, which may be slower. */
export interface Producer {
  /** Write more: as much as there is, or (if not streaming) one portion. */
  resumeProducing(): unknown;
  /** Write no more until resumed. For streaming producers only. */
  pauseProducing?(): unknown;
  /** Nobody wants any more. */
  stopProducing(): unknown;
}

/** One end of a connection, as a protocol sees it. */
export interface Transport {
  /**
   * Sends bytes, or a text as UTF-8, after all that was written before. Never
   * inside this call: they go out in the same turn, or as soon as the peer takes
   * more. The array must stay as it is until then. After the end it does
   * nothing.
   *
   * @throws {TypeError} When `data` is neither bytes nor a string.
   */
  write(data: Uint8Array | string): void;
  /** Sends several arrays, in order. */
  writeSequence(parts: Iterable<Uint8Array | string>): void;
  /**
   * Ends the connection when everything that was written is sent, and the
   * producer, if there is one, has unregistered itself. Nothing is read any more.
   */
  loseConnection(): void;
  /** Ends the connection at once: what was not sent is lost, and the peer is told. */
  abortConnection(): void;
  /**
   * Closes this side's half when everything that was written is sent, a
   * producer's part included; the other half goes on.
   */
  loseWriteConnection(): void;
  /** Reads no more until resumed. */
  pauseProducing(): void;
  /** Reads again. */
  resumeProducing(): void;
  /** The same as {@linkcode Transport.loseConnection}. */
  stopProducing(): void;
  /**
   * Lets a producer write as fast as the peer takes it.
   *
   * @param producer What writes. It is stopped when the connection is lost.
   * @param streaming Whether it writes by itself until it is paused; if not, it
   * is asked for each portion.
   * @throws {TypeError} When `producer` lacks one of its functions.
   * @throws {RangeError} When there is a producer already.
   */
  registerProducer(producer: Producer, streaming: boolean): void;
  /** The producer has no more. */
  unregisterProducer(): void;
  /**
   * Goes on in TLS, after what was written before. What has come before is
   * plain; from now on nothing else is taken. The handshake goes on by itself: if
   * it fails, the connection is lost with a `TLSError`. After the end
   * it does nothing.
   *
   * The side that connected is the client. If `options.hostname` is missing, it
   * expects the certificate of the host that it connected to.
   *
   * @throws {TypeError} When an option is not of the right type or is missing,
   * or a certificate cannot be read.
   * @throws {RangeError} When the connection is encrypted already, or an option
   * is out of range.
   * @throws {Deno.errors.NotFound} When OpenSSL 3 is not installed.
   */
  startTLS(options?: TLSOptions): void;
  /** The address of the other end. */
  getPeer(): Address;
  /** The address of this end. */
  getHost(): Address;
  /** How many bytes were written and are not sent. */
  readonly bufferedAmount: number;
  /**
   * Whether small pieces are sent at once, instead of waiting for the peer to
   * acknowledge those before (`TCP_NODELAY`). Off unless it is set.
   *
   * @throws {TypeError} When `on` is not a boolean.
   * @throws {Error} When the connection is none of TCP, or is gone.
   */
  setTcpNoDelay(on: boolean): void;
  /**
   * Whether small pieces are sent at once.
   *
   * @throws {Error} When the connection is none of TCP, or is gone.
   */
  getTcpNoDelay(): boolean;
  /**
   * Whether the system asks an idle peer from time to time if it is still there
   * (`SO_KEEPALIVE`). Off unless it is set.
   *
   * @throws {TypeError} When `on` is not a boolean.
   * @throws {Error} When the connection is gone.
   */
  setTcpKeepAlive(on: boolean): void;
  /**
   * Whether the system asks an idle peer if it is still there.
   *
   * @throws {Error} When the connection is gone.
   */
  getTcpKeepAlive(): boolean;
}
