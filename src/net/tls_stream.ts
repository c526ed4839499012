/**
 * A socket whose bytes are encrypted: a TLS engine with a socket below it.
 *
 * No call of its own makes progress by itself. Whoever has it receives when the
 * socket is readable, and flushes when it is writable and something is unsent.
 *
 * @module
 */

import { ERRNO } from "../../ffi/errno.ts";
import { ReactorError } from "../errors.ts";
import type { StreamLayer, StreamSocket, TCPOption } from "./stream.ts";
import type { TLSContext } from "./tls_context.ts";
import { TLSEngine } from "./tls_engine.ts";
import { TLSError } from "./tls_error.ts";

/** How much ciphertext is moved by a system call, at most. */
const PORTION = 65_536;

/** Where ciphertext comes in. The engine copies it, so that one is enough. */
let incoming: Uint8Array<ArrayBuffer> | undefined;

/** Where ciphertext goes out. What the kernel does not take is copied. */
let outgoing: Uint8Array<ArrayBuffer> | undefined;

/** "Not now", as the kernel says it. */
const LATER = -ERRNO.EAGAIN!;

/** What stands for an error that is no errno: `explain` has the error itself. */
const FAILED = -ERRNO.EPROTO!;

/** See the module. */
export class TLSStream implements StreamSocket, StreamLayer {
  readonly #socket: StreamSocket;
  readonly #engine: TLSEngine;
  readonly #isClient: boolean;
  readonly handshakeTimeout: number;
  /** Ciphertext that the kernel did not take: it goes before the engine's. */
  #outgoing: Uint8Array;
  #failure: Error | undefined;
  /** The engine may have plaintext. */
  #pending = false;
  /** The peer has said that it writes no more. */
  #readEnded = false;
  #closed = false;

  /**
   * Begins TLS. If it throws, the socket is still its owner's.
   *
   * @param socket The socket, which it owns from then on.
   * @param context The settings.
   * @param before What goes to the peer before, as it is.
   */
  constructor(
    socket: StreamSocket,
    context: TLSContext,
    before: Uint8Array = NOTHING,
  ) {
    this.#engine = new TLSEngine(context);
    this.#socket = socket;
    this.#isClient = context.role === "client";
    this.handshakeTimeout = context.handshakeTimeout;
    this.#outgoing = before;
  }

  get layer(): StreamLayer {
    return this;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  get alpnProtocol(): string | null {
    return this.#engine.alpnProtocol ?? null;
  }

  get peerCertificate(): Uint8Array<ArrayBuffer> | null {
    return this.#closed ? null : this.#engine.peerCertificate;
  }

  get pending(): boolean {
    return this.#pending && !this.#closed;
  }

  get handshaking(): boolean {
    return !this.#closed && this.#failure === undefined &&
      !this.#engine.handshakeDone;
  }

  get handshakeDone(): boolean {
    return this.#engine.handshakeDone;
  }

  get unsent(): number {
    return this.#closed ? 0 : this.#outgoing.length + this.#engine.waiting;
  }

  /**
   * A server sends tickets once the handshake is done. If they find the client
   * gone, the kernel's reset may take away what the server has not read yet.
   */
  get lingers(): boolean {
    return this.#isClient && this.#failure === undefined;
  }

  receive(into: Uint8Array): number {
    if (this.#failure !== undefined) return FAILED;
    const { handshaking } = this;
    try {
      // What there is already may fill it.
      let count = this.#read(into, 0);
      if (count === 0 && !this.#readEnded) {
        const errno = this.#feed();
        if (errno < 0) return errno;
        // During the handshake nobody may want to hear of data yet.
        if (handshaking) this.#pending = this.#engine.handshakeDone;
        else count = this.#read(into, 0);
      }
      this.#push();
      if (count > 0) return count;
      return this.#readEnded ? 0 : LATER;
    } catch (error) {
      return this.#fail(error);
    }
  }

  send(from: Uint8Array): number {
    if (this.#failure !== undefined) return FAILED;
    try {
      let sent = 0;
      while (sent < from.length) {
        const errno = this.#push();
        if (errno < 0 && errno !== LATER) return sent > 0 ? sent : errno;
        const rest = sent === 0 ? from : from.subarray(sent);
        const count = this.#engine.write(rest);
        if (count === 0) break;
        sent += count;
      }
      const errno = this.#push();
      if (sent > 0) return sent;
      return errno < 0 ? errno : LATER;
    } catch (error) {
      return this.#fail(error);
    }
  }

  flush(): number {
    return this.#push();
  }

  endWriting(): void {
    if (this.#closed) return;
    this.#engine.close();
    this.#push();
  }

  close(reset: boolean): void {
    if (this.#closed) return;
    // Who has heard the other side's end answers it. Otherwise something went
    // wrong, and the peer must not take that for an end.
    if (!reset && this.#readEnded) this.endWriting();
    this.#closed = true;
    this.#engine[Symbol.dispose]();
    this.#outgoing = NOTHING;
    this.#socket.close(reset);
  }

  forgetIfClosed(): void {
    this.#socket.forgetIfClosed?.();
  }

  isTransient(errno: number): boolean {
    return this.#failure === undefined && this.#socket.isTransient(errno);
  }

  explain(errno: number): Error {
    return this.#failure ?? this.#socket.explain(errno);
  }

  setOption(option: TCPOption, on: boolean): void {
    this.#socket.setOption(option, on);
  }

  getOption(option: TCPOption): boolean {
    return this.#socket.getOption(option);
  }

  /** Gives ciphertext to the engine. Returns 0, or a negative errno. */
  #feed(): number {
    incoming ??= new Uint8Array(PORTION);
    const count = this.#socket.receive(incoming);
    if (count < 0) return count;
    this.#pending = true;
    if (count === 0) this.#engine.receiveEnd();
    else this.#engine.receive(incoming, count);
    return 0;
  }

  /** Decrypts as much as there is room for. Returns how much that was. */
  #read(into: Uint8Array, from: number): number {
    let length = from;
    while (this.#pending && length < into.length) {
      let count;
      try {
        const room = length === 0 ? into : into.subarray(length);
        count = this.#engine.read(room);
      } catch (error) {
        // What came before is good. The engine says the same again.
        if (length > 0) return length;
        throw error;
      }
      if (count === null) this.#readEnded = true;
      if (count === null && length > 0) return length;
      if (!count) this.#pending = false;
      else length += count;
    }
    return length;
  }

  /** Moves ciphertext to the kernel. Returns 0 if that was all, or an errno. */
  #push(): number {
    if (this.#closed) return 0;
    while (this.#outgoing.length > 0) {
      const count = this.#socket.send(this.#outgoing);
      if (count < 0) return count;
      this.#outgoing = this.#outgoing.subarray(count);
    }
    outgoing ??= new Uint8Array(PORTION);
    for (;;) {
      const length = this.#engine.transmit(outgoing);
      if (length === 0) return 0;
      const count = this.#socket.send(outgoing.subarray(0, length));
      if (count < length) {
        this.#outgoing = outgoing.slice(Math.max(count, 0), length);
        return count < 0 ? count : LATER;
      }
      if (length < PORTION) return 0; // That was all.
    }
  }

  #fail(error: unknown): number {
    this.#failure = error instanceof ReactorError
      ? error
      : new TLSError("Cannot go on with a TLS connection", { cause: error });
    this.#pending = false;
    // The alert. A kernel that does not take it has a peer that does not read:
    // to wait for that one would be a gift to it.
    this.#push();
    return FAILED;
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
