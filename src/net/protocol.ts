/**
 * What a connection asks of a program, and what it offers: Twisted's shapes.
 *
 * @module
 */

import { complaint } from "../arguments.ts";
import type { Address } from "./address.ts";
import type { TLSOptions } from "./tls_options.ts";

/**
 * What happens on a connection. Any object with these functions is one; all but
 * `dataReceived` may be missing.
 *
 * What they throw, or what their promise rejects with, is reported through the
 * reactor's `onError`. A throw ends the connection as well, and is the reason
 * that `connectionLost` gets.
 *
 * @example A server's side of a conversation
 * ```ts
 * import {
 *   connect,
 *   listenTCP,
 *   type Protocol,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * class Doorman implements Protocol {
 *   declare transport: Transport;
 *
 *   connectionMade() {
 *     this.transport.write("Who is there? ");
 *   }
 *   dataReceived(data: Uint8Array) {
 *     this.transport.write(`Welcome, ${new TextDecoder().decode(data)}.`);
 *     this.transport.loseConnection();
 *   }
 * }
 *
 * await using port = listenTCP(0, { buildProtocol: () => new Doorman() }, {
 *   hostname: "127.0.0.1",
 * });
 * await using guest = await connect(port.getHost());
 * guest.write("Ada");
 * assertEquals(
 *   await new Response(guest.readable).text(),
 *   "Who is there? Welcome, Ada.",
 * );
 * ```
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
  /**
   * TLS is there: what was agreed on can be asked of the transport. It comes
   * after `connectionMade` and before any data that was encrypted, whoever
   * began; with `connectSSL` right after `connectionMade`. Not called when the
   * handshake fails.
   */
  handshakeCompleted?(): unknown;
  /**
   * Bytes have come: whatever there is, at most 64 KiB. What the peer wrote at
   * once may come in pieces, and what it wrote in pieces at once. The array is
   * the protocol's to keep.
   */
  dataReceived(data: Uint8Array<ArrayBuffer>): unknown;
  /**
   * The connection is gone. Called once, and last.
   *
   * @param reason `ConnectionDone` after an orderly end, by either side;
   * `ConnectionAborted` after this side's `abortConnection`; `ConnectionLost`
   * when the peer cut it off, the network failed (then `code` says how) or the
   * reactor has stopped; a {@linkcode TLSError}; or what the protocol threw.
   *
   * @example Whether it was the end, or a failure
   * ```ts
   * import { ConnectionDone } from "@interleave/reactor";
   * import {
   *   connect,
   *   listenTCP,
   *   type Protocol,
   *   type Transport,
   * } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * const ends: string[] = [];
   * const { promise, resolve } = Promise.withResolvers<void>();
   *
   * class Recorder implements Protocol {
   *   declare transport: Transport;
   *
   *   dataReceived() {}
   *   connectionLost(reason: Error) {
   *     const ended = reason instanceof ConnectionDone;
   *     ends.push(ended ? "said good-bye" : `failed: ${reason.name}`);
   *     if (ends.length === 2) resolve();
   *   }
   * }
   *
   * await using port = listenTCP(0, { buildProtocol: () => new Recorder() }, {
   *   hostname: "127.0.0.1",
   * });
   * const polite = await connect(port.getHost());
   * polite.loseConnection();
   * await polite.closed;
   * const rude = await connect(port.getHost());
   * rude.abortConnection();
   * await promise;
   * assertEquals(ends, ["said good-bye", "failed: ConnectionLost"]);
   * ```
   */
  connectionLost?(reason: Error): unknown;
  /**
   * The peer writes no more; this side still can. A protocol that has this or
   * {@linkcode Protocol.writeConnectionLost} understands connections that are
   * closed one half at a time. For any other such an end is the end.
   *
   * @example The answer comes when the question is over
   * ```ts
   * import {
   *   connect,
   *   listenTCP,
   *   type Protocol,
   *   type Transport,
   * } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * class Adder implements Protocol {
   *   declare transport: Transport;
   *   #sum = 0;
   *
   *   dataReceived(data: Uint8Array) {
   *     for (const byte of data) this.#sum += byte;
   *   }
   *   readConnectionLost() {
   *     this.transport.write(`${this.#sum}`);
   *     this.transport.loseConnection();
   *   }
   * }
   *
   * await using port = listenTCP(0, { buildProtocol: () => new Adder() }, {
   *   hostname: "127.0.0.1",
   * });
   * await using client = await connect(port.getHost());
   * client.write(Uint8Array.of(1, 2, 3));
   * client.loseWriteConnection();
   * assertEquals(await new Response(client.readable).text(), "6");
   * ```
   */
  readConnectionLost?(): unknown;
  /** This side has closed its half, after {@linkcode Transport.loseWriteConnection}. */
  writeConnectionLost?(): unknown;
}

/**
 * What happens on a connection, for a protocol that has a place of its own for
 * the bytes: nothing is allocated for what comes, and nothing copied.
 *
 * @example A server that keeps one buffer for each connection
 * ```ts
 * import {
 *   type BufferedProtocol,
 *   connect,
 *   listenTCP,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * class Echo implements BufferedProtocol {
 *   declare transport: Transport;
 *   #buffer = new Uint8Array(4096);
 *
 *   getBuffer() {
 *     // What was written must stay as it is until it is sent.
 *     if (this.transport.bufferedAmount > 0) this.#buffer = new Uint8Array(4096);
 *     return this.#buffer;
 *   }
 *
 *   bufferUpdated(count: number) {
 *     this.transport.write(this.#buffer.subarray(0, count));
 *   }
 * }
 *
 * await using port = listenTCP(0, { buildProtocol: () => new Echo() }, { hostname: "127.0.0.1" });
 * await using client = await connect(port.getHost() as Deno.NetAddr);
 * client.write("hello");
 * for await (const echo of client) {
 *   assertEquals(new TextDecoder().decode(echo), "hello");
 *   break;
 * }
 * ```
 */
export interface BufferedProtocol extends Omit<Protocol, "dataReceived"> {
  /**
   * Where to put the next bytes: at least one, as many as fit. Called before
   * each attempt to receive, of which some find nothing.
   */
  getBuffer(): Uint8Array;
  /** So many bytes have come, and are at the beginning of the buffer. */
  bufferUpdated(count: number): unknown;
}

/**
 * Makes protocols for connections that come.
 *
 * @example Two guests at most
 * ```ts
 * import {
 *   type Address,
 *   connect,
 *   listenTCP,
 *   type Protocol,
 *   type ServerFactory,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * class Club implements ServerFactory {
 *   guests = 0;
 *
 *   buildProtocol(_peer: Address): Protocol | null {
 *     if (this.guests === 2) return null; // Closes the connection.
 *     this.guests++;
 *     return {
 *       makeConnection: (transport: Transport) => transport.write("Come in."),
 *       dataReceived() {},
 *       connectionLost: () => this.guests--,
 *     };
 *   }
 * }
 *
 * await using port = listenTCP(0, new Club(), { hostname: "127.0.0.1" });
 * const guests = [];
 * for (let i = 0; i < 3; i++) guests.push(await connect(port.getHost()));
 *
 * const heard: string[] = [];
 * for (const guest of guests) {
 *   let text = "";
 *   for await (const bytes of guest) {
 *     text = new TextDecoder().decode(bytes);
 *     break;
 *   }
 *   heard.push(text);
 * }
 * assertEquals(heard, ["Come in.", "Come in.", ""]);
 * for (const guest of guests) guest.loseConnection();
 * ```
 */
export interface ServerFactory {
  /**
   * Makes the protocol of a connection.
   *
   * @param peer Who is at the other end.
   * @returns The protocol; null closes the connection.
   */
  buildProtocol(peer: Address): Protocol | BufferedProtocol | null;
  /**
   * The first port or connector begins to use this factory.
   *
   * @example What connections share, while there is somebody to share it
   * ```ts
   * import { listenTCP, type ServerFactory } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * const log: string[] = [];
   * const factory: ServerFactory = {
   *   buildProtocol: () => null,
   *   doStart: () => log.push("opens the database"),
   *   doStop: () => log.push("closes the database"),
   * };
   * const options = { hostname: "127.0.0.1" };
   * const one = listenTCP(0, factory, options);
   * const other = listenTCP(0, factory, options);
   * await one.stopListening();
   * await other.stopListening();
   * assertEquals(log, ["opens the database", "closes the database"]);
   * ```
   */
  doStart?(): unknown;
  /** The last one has ended. */
  doStop?(): unknown;
}

/**
 * Produces data for a transport, which may be slower.
 *
 * @example As fast as the peer reads
 * ```ts
 * import {
 *   connect,
 *   listen,
 *   type Producer,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * // Writes numbers, each when there is room for it.
 * class Countdown implements Producer {
 *   #next = 3;
 *   readonly #transport: Transport;
 *
 *   constructor(transport: Transport) {
 *     this.#transport = transport;
 *   }
 *   resumeProducing() {
 *     this.#transport.write(`${this.#next--} `);
 *     if (this.#next === 0) this.#transport.unregisterProducer();
 *   }
 *   stopProducing() {} // The connection is gone; there is nothing to give up.
 * }
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await using client = await connect(port.getHost());
 * for await (const server of port) {
 *   server.registerProducer(new Countdown(server), false);
 *   server.loseConnection(); // Waits for the producer.
 *   break;
 * }
 * assertEquals(await new Response(client.readable).text(), "3 2 1 ");
 * ```
 */
export interface Producer {
  /** Write more: as much as there is, or (if not streaming) one portion. */
  resumeProducing(): unknown;
  /** Write no more until resumed. For streaming producers only. */
  pauseProducing?(): unknown;
  /** Nobody wants any more. */
  stopProducing(): unknown;
}

/**
 * One end of a connection, as a protocol sees it.
 *
 * @example A message with its length before it
 * ```ts
 * import { connect, listen, type Transport } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * function send(transport: Transport, message: string): void {
 *   const bytes = new TextEncoder().encode(message);
 *   transport.writeSequence([Uint8Array.of(bytes.length), bytes]);
 * }
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await using client = await connect(port.getHost());
 * send(client, "hello");
 * client.loseWriteConnection();
 * for await (const server of port) {
 *   const bytes = await new Response(server.readable).bytes();
 *   assertEquals(bytes[0], 5);
 *   assertEquals(new TextDecoder().decode(bytes.subarray(1)), "hello");
 *   server.loseConnection();
 *   break;
 * }
 * ```
 */
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
  /**
   * Sends several arrays or texts, in order.
   *
   * @throws {TypeError} When one of them is neither bytes nor a string.
   */
  writeSequence(parts: Iterable<Uint8Array | string>): void;
  /**
   * Ends the connection when everything that was written is sent, and the
   * producer, if there is one, has unregistered itself. Nothing is read any more.
   */
  loseConnection(): void;
  /**
   * Ends the connection at once: what was not sent is lost, and the peer is told
   * (by a reset, with TCP). `connectionLost` gets a `ConnectionAborted`, after
   * this call.
   */
  abortConnection(): void;
  /**
   * Closes this side's half when everything that was written is sent, a
   * producer's part included; the other half goes on.
   *
   * @example A question, and the whole answer
   * ```ts
   * import { connect, listen } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * await using port = listen({ hostname: "127.0.0.1", port: 0 });
   * await using client = await connect(port.getHost());
   * client.write("1 2 3");
   * client.loseWriteConnection(); // The question ends here.
   *
   * for await (const server of port) {
   *   const question = await new Response(server.readable).text();
   *   server.write(`${question.split(" ").length} numbers`);
   *   server.loseConnection();
   *   break;
   * }
   * assertEquals(await new Response(client.readable).text(), "3 numbers");
   * ```
   */
  loseWriteConnection(): void;
  /**
   * Reads no more until resumed. What comes waits in the kernel, and when that
   * is full, the peer has to wait.
   *
   * @example Nothing more until an answer is found
   * ```ts
   * import { connect, listenTCP, type Transport } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * class Oracle {
   *   declare transport: Transport;
   *
   *   async dataReceived(question: Uint8Array) {
   *     this.transport.pauseProducing(); // The peer is held up, not the memory filled.
   *     const answer = await crypto.subtle.digest("SHA-1", question.slice());
   *     this.transport.write(new Uint8Array(answer).toHex());
   *     this.transport.resumeProducing();
   *   }
   * }
   *
   * await using port = listenTCP(0, { buildProtocol: () => new Oracle() }, {
   *   hostname: "127.0.0.1",
   * });
   * await using client = await connect(port.getHost());
   * client.write("hello");
   * for await (const answer of client) {
   *   assertEquals(
   *     new TextDecoder().decode(answer),
   *     "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
   *   );
   *   break;
   * }
   * ```
   */
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
   *
   * @example Two connections, each the producer of the other
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import {
   *   adoptStream,
   *   type Protocol,
   *   type Transport,
   * } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * // What comes here goes on there, and no faster than is taken there.
   * class Relay implements Protocol {
   *   declare transport: Transport;
   *   other!: Relay;
   *
   *   dataReceived(data: Uint8Array) {
   *     this.other.transport.write(data);
   *   }
   *   connectionLost() {
   *     this.other.transport.unregisterProducer();
   *     this.other.transport.loseConnection();
   *   }
   * }
   *
   * const [here, left] = FileDescriptor.socketpair();
   * const [right, there] = FileDescriptor.socketpair();
   * const [one, other] = [new Relay(), new Relay()];
   * [one.other, other.other] = [other, one];
   * adoptStream(left, one);
   * adoptStream(right, other);
   * one.transport.registerProducer(other.transport, true);
   * other.transport.registerProducer(one.transport, true);
   * left.close();
   * right.close();
   *
   * here.write(new TextEncoder().encode("hello"));
   * here.close();
   * assertEquals(await new Response(there.readable()).text(), "hello");
   * there.close();
   * ```
   */
  registerProducer(producer: Producer, streaming: boolean): void;
  /** The producer has no more. */
  unregisterProducer(): void;
  /**
   * Goes on in TLS, after what was written before. What has come before is
   * plain; from now on nothing else is taken. The handshake goes on by itself: if
   * it fails or takes longer than `options.handshakeTimeout`, the connection is
   * lost with a `TLSError`. After the end this does nothing.
   *
   * The side that connected is the client. If `options.hostname` is missing, it
   * expects the certificate of the host that it connected to.
   *
   * @throws {TypeError} When an option is not of the right type or is missing,
   * or a certificate cannot be read.
   * @throws {RangeError} When the connection is encrypted already, or an option
   * is out of range.
   * @throws {Deno.errors.NotFound} When OpenSSL 3 is not installed.
   *
   * @example Both sides go on in TLS
   * ```ts
   * import { connect, listen } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * await using port = listen({ hostname: "127.0.0.1", port: 0 });
   * await using client = await connect(port.getHost());
   * client.write("STARTTLS");
   *
   * for await (const server of port) {
   *   for await (const _command of server) break;
   *   server.write("go");
   *   server.startTLS({ cert: certificate(), key: certificate() });
   *   server.write("secret"); // It waits for the handshake.
   *   break;
   * }
   *
   * for await (const _answer of client) break;
   * client.startTLS({ caCerts: [certificate()] });
   * for await (const data of client) {
   *   assertEquals(new TextDecoder().decode(data), "secret");
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
  startTLS(options?: TLSOptions): void;
  /**
   * Waits for the handshake of TLS, as `Deno.TlsConn` does. There is no need to:
   * what is written before goes out after it.
   *
   * @returns What was agreed on. Rejects with the reason of `connectionLost` if
   * the connection is lost before, and with a RangeError if it is not encrypted.
   *
   * @example What was agreed on
   * ```ts
   * import { connect, listen } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * await using port = listen({
   *   hostname: "127.0.0.1",
   *   port: 0,
   *   tls: { cert: certificate(), key: certificate(), alpnProtocols: ["h2"] },
   * });
   * await using client = await connect({
   *   ...port.getHost(),
   *   tls: { caCerts: [certificate()], alpnProtocols: ["http/1.1", "h2"] },
   * });
   * assertEquals(await client.handshake(), { alpnProtocol: "h2" });
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
  handshake(): Promise<Deno.TlsHandshakeInfo>;
  /**
   * The application protocol that the handshake of TLS agreed on, such as
   * `"h2"`: one of the `alpnProtocols` of both sides. Null if none was, or not
   * yet.
   */
  readonly alpnProtocol: string | null;
  /**
   * The certificate of the other side in DER, which `X509Certificate` of
   * `node:crypto` reads. Null before the handshake, after the end, and where
   * there is none: a server asks for none.
   */
  getPeerCertificate(): Uint8Array<ArrayBuffer> | null;
  /** The address of the other end. */
  getPeer(): Address;
  /** The address of this end. */
  getHost(): Address;
  /** How many bytes were written and are not sent. */
  readonly bufferedAmount: number;
  /**
   * Whether the connection is about to end, or has ended, and nothing more is
   * received: true from {@linkcode Transport.loseConnection} or
   * {@linkcode Transport.abortConnection} on. A protocol that takes what it gets
   * apart looks here before it goes on with the rest.
   */
  readonly disconnecting: boolean;
  /**
   * Whether small pieces are sent at once, instead of waiting for the peer to
   * acknowledge those before (`TCP_NODELAY`). Off unless it is set.
   *
   * @throws {TypeError} When `on` is not a boolean.
   * @throws {Deno.errors.NotSupported} When the connection is none of TCP.
   * @throws {Deno.errors.BadResource} When it is gone.
   */
  setTcpNoDelay(on: boolean): void;
  /**
   * Whether small pieces are sent at once.
   *
   * @throws {Deno.errors.NotSupported} When the connection is none of TCP.
   * @throws {Deno.errors.BadResource} When it is gone.
   */
  getTcpNoDelay(): boolean;
  /**
   * Whether the system asks an idle peer from time to time if it is still there
   * (`SO_KEEPALIVE`). Off unless it is set.
   *
   * @throws {TypeError} When `on` is not a boolean.
   * @throws {Deno.errors.BadResource} When the connection is gone.
   */
  setTcpKeepAlive(on: boolean): void;
  /**
   * Whether the system asks an idle peer if it is still there.
   *
   * @throws {Deno.errors.BadResource} When the connection is gone.
   */
  getTcpKeepAlive(): boolean;
}

/** Whether a protocol has a place of its own for the bytes. */
export function isBuffered(
  protocol: Partial<Protocol> | Partial<BufferedProtocol>,
): protocol is BufferedProtocol {
  const { getBuffer, bufferUpdated } = protocol as Partial<BufferedProtocol>;
  return typeof getBuffer === "function" && typeof bufferUpdated === "function";
}

/**
 * The place that a protocol has for the next bytes.
 *
 * @throws {TypeError} When it is none.
 */
export function bufferOf(protocol: BufferedProtocol): Uint8Array {
  const buffer: unknown = protocol.getBuffer();
  // To receive nothing would look like the end.
  if (buffer instanceof Uint8Array && buffer.length > 0) return buffer;
  throw new TypeError(
    complaint(
      buffer,
      "receive",
      "getBuffer()",
      "a Uint8Array that is not empty",
    ),
  );
}

/**
 * Requires a protocol.
 *
 * @throws {TypeError} When it is no object with a `dataReceived` function, or
 * with `getBuffer` and `bufferUpdated`.
 */
export function checkProtocol(value: unknown, action: string): void {
  const protocol = value as Partial<Protocol> | null | undefined;
  if (typeof protocol?.dataReceived === "function") return;
  if (isBuffered(Object(value))) return;
  throw new TypeError(
    complaint(
      value,
      action,
      "protocol",
      'an object with a "dataReceived" function, or with "getBuffer" and "bufferUpdated"',
    ),
  );
}
