/**
 * TLS without a socket: bytes in, bytes out.
 *
 * ```text
 *               +-----------+
 *   write() --->|           |---> transmit()
 *    program    | TLSEngine |     network
 *    read() <---|           |<--- receive(), receiveEnd()
 *               +-----------+
 * ```
 *
 * Nothing is called back, nothing waits, and no descriptor is known. Whoever
 * drives it keeps three rules:
 *
 * - After every call, `transmit()` until nothing is left: handshakes, tickets,
 *   new keys, alerts and answers to them come up in calls of every kind, also in
 *   those that throw.
 * - After `receive()` and `receiveEnd()`, `read()` until it returns 0 or null.
 *   What is not read stays in memory.
 * - What `write()` did not take is offered again once `transmit()` has made
 *   room, or `handshakeDone` has become true.
 *
 * @module
 */

import { cString, MAX_INT } from "../../ffi/arguments.ts";
import { openssl, SSL, takeErrors } from "../../ffi/toolkits/openssl.ts";
import { ConnectionLost, type ReactorError } from "../errors.ts";
import { chooseFrom } from "./alpn.ts";
import type { TLSContext } from "./tls_context.ts";
import { TLSError } from "./tls_error.ts";

/**
 * How much ciphertext may wait before `write()` takes no more, and how much
 * plaintext it takes at once: two full records (RFC 8446, 5.1). OpenSSL keeps
 * what such memory has grown to for as long as the connection lives.
 */
const MOST_WAITING = 32 * 1024;

/**
 * One TLS connection between two streams of bytes that somebody else moves.
 *
 * It belongs to OpenSSL, so it must be disposed of. The first failure ends it:
 * every later `receive()`, `read()` and `write()` throws the same error, but
 * `transmit()` still gives out the alert that tells the other side.
 */
export class TLSEngine implements Disposable {
  readonly #context: TLSContext;
  readonly #incoming: Deno.PointerObject;
  readonly #outgoing: Deno.PointerObject;
  #pointer: Deno.PointerValue;
  #handshakeDone = false;
  #closed = false;
  #ended = false;
  #failure: ReactorError | undefined;
  #alpnProtocol: string | undefined;

  /**
   * Begins a connection. A client has something to transmit at once.
   *
   * @param context The settings.
   * @throws {Deno.errors.BadResource} When the context was disposed of.
   */
  constructor(context: TLSContext) {
    const ssl = openssl();
    const { role, serverName, pointer } = context;
    this.#context = context;
    ssl.ERR_clear_error();
    const connection = ssl.SSL_new(pointer);
    const incoming = ssl.BIO_new(ssl.BIO_s_mem());
    const outgoing = ssl.BIO_new(ssl.BIO_s_mem());
    if (connection === null || incoming === null || outgoing === null) {
      // Each of the three is freed by a function that takes null as well.
      ssl.SSL_free(connection);
      ssl.BIO_free(incoming);
      ssl.BIO_free(outgoing);
      throw new TLSError(`Cannot make a TLS connection: ${takeErrors()}`);
    }
    // From here on both belong to the connection, and go with it.
    ssl.SSL_set_bio(connection, incoming, outgoing);
    this.#pointer = connection;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    if (role === "server") {
      ssl.SSL_set_accept_state(connection);
      return;
    }
    ssl.SSL_set_connect_state(connection);
    if (serverName !== undefined) {
      const name = cString(serverName, "start TLS", "hostname");
      ssl.SSL_ctrl(connection, SSL.CTRL_SET_TLSEXT_HOSTNAME, 0, name);
    }
    try {
      this.#shakeHands(connection);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Whether both sides have agreed on keys, and a client that verifies has
   * verified. Nothing is read or written before.
   */
  get handshakeDone(): boolean {
    return this.#handshakeDone;
  }

  /** The protocol that was chosen; undefined if none was, or not yet. */
  get alpnProtocol(): string | undefined {
    return this.#alpnProtocol;
  }

  /**
   * The other side's certificate in DER, once the handshake is done; null if it
   * has shown none.
   *
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  get peerCertificate(): Uint8Array<ArrayBuffer> | null {
    const connection = this.#use("ask for the certificate of");
    const ssl = openssl();
    const certificate = this.#handshakeDone
      ? ssl.SSL_get0_peer_certificate(connection)
      : null;
    return certificate === null ? null : encode(certificate);
  }

  /**
   * The version that is spoken once the handshake is done, such as `"TLSv1.3"`.
   *
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  get version(): string {
    const connection = this.#use("ask for the version of");
    const version = openssl().SSL_get_version(connection)!;
    return Deno.UnsafePointerView.getCString(version);
  }

  /**
   * How many bytes `transmit()` has to give out.
   *
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  get waiting(): number {
    this.#use("look at");
    return openssl().BIO_ctrl_pending(this.#outgoing);
  }

  /**
   * Takes what came from the network, all of it.
   *
   * @param ciphertext The bytes, which are copied.
   * @param length How many of them it is.
   * @throws {TLSError} When the handshake fails. What is wrong with what comes
   * later is found out by `read()`.
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  receive(ciphertext: Uint8Array, length: number = ciphertext.length): void {
    const connection = this.#use("receive from");
    if (this.#failure !== undefined) throw this.#failure;
    // What follows the end of the other side's data means nothing (RFC 8446,
    // 6.1).
    if (this.#ended || length === 0) return;
    const ssl = openssl();
    const count = ssl.BIO_write(this.#incoming, ciphertext, length);
    if (count !== length) throw this.#fail("receive from");
    if (!this.#handshakeDone) this.#shakeHands(connection);
  }

  /**
   * Takes note that nothing more will come from the network. If the other side
   * has not said so in TLS before, somebody in between may have cut its data
   * short: `read()` throws once it has given out what there was.
   *
   * @throws {ConnectionLost} When the handshake is not done.
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  receiveEnd(): void {
    const connection = this.#use("receive from");
    if (this.#failure !== undefined) throw this.#failure;
    // Empty memory is from now on the end, and not "try again later".
    openssl().BIO_ctrl(
      this.#incoming,
      SSL.BIO_C_SET_BUF_MEM_EOF_RETURN,
      0,
      null,
    );
    if (!this.#handshakeDone) this.#shakeHands(connection);
  }

  /**
   * Moves ciphertext that has to go to the network.
   *
   * @param into Where to put it.
   * @returns How many bytes were put there; fewer than there is room for only if
   * that is all.
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  transmit(into: Uint8Array): number {
    this.#use("transmit to");
    const length = Math.min(into.length, MAX_INT);
    const count = openssl().BIO_read(this.#outgoing, into, length);
    // Of empty memory it says -1.
    return Math.max(count, 0);
  }

  /**
   * Moves plaintext that has come.
   *
   * @param into Where to put it. A record has up to 16384 bytes, and at most one
   * is moved in a call.
   * @returns How many bytes were put there. 0 if there is nothing now, null when
   * the other side has closed its direction and everything has been read.
   * @throws {TLSError} When the data cannot be trusted.
   * @throws {ConnectionLost} When it ended without the other side saying so.
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  read(into: Uint8Array): number | null {
    const connection = this.#use("read from");
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#handshakeDone || into.length === 0) return 0;
    const ssl = openssl();
    ssl.ERR_clear_error();
    const length = Math.min(into.length, MAX_INT);
    const count = ssl.SSL_read(connection, into, length);
    if (count > 0) return count;
    switch (ssl.SSL_get_error(connection, count)) {
      case SSL.ERROR_WANT_READ:
        return 0;
      case SSL.ERROR_ZERO_RETURN:
        this.#ended = true;
        return null;
      default:
        throw this.#fail("read from");
    }
  }

  /**
   * Encrypts what the program has to say.
   *
   * @param plaintext The bytes.
   * @returns How many were taken, from the beginning: none before the handshake
   * is done, or while too much waits to be transmitted.
   * @throws {TLSError} When the connection has failed.
   * @throws {Deno.errors.BrokenPipe} When this side has closed its direction.
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  write(plaintext: Uint8Array): number {
    const connection = this.#use("write to");
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) {
      throw new Deno.errors.BrokenPipe(
        "Cannot write to a TLS connection: this side has closed it",
      );
    }
    if (!this.#handshakeDone || plaintext.length === 0) return 0;
    const ssl = openssl();
    if (ssl.BIO_ctrl_pending(this.#outgoing) >= MOST_WAITING) return 0;
    ssl.ERR_clear_error();
    const length = Math.min(plaintext.length, MOST_WAITING);
    // Memory takes whatever it is given, so that it is all or an error.
    const count = ssl.SSL_write(connection, plaintext, length);
    if (count <= 0) throw this.#fail("write to");
    return count;
  }

  /**
   * Tells the other side that nothing more will be written (close_notify). It
   * closes this direction only: what comes can be read until `read()` returns
   * null, or throws because the network ended first. The other way round this
   * side can go on writing after it has read null.
   *
   * Not everybody does half-closing: with TLS 1.2 the other side may answer by
   * closing its own direction at once, whatever it had to say (RFC 5246, 7.2.1).
   *
   * Before the handshake is done this is only taken note of, and done then.
   * After a failure, and the second time, it does nothing.
   *
   * @throws {Deno.errors.BadResource} When the engine was disposed of.
   */
  close(): void {
    const connection = this.#use("close");
    if (this.#closed) return;
    this.#closed = true;
    if (this.#handshakeDone) this.#notifyClose(connection);
  }

  /** Gives the memory back. The second time it does nothing. */
  [Symbol.dispose](): void {
    const connection = this.#pointer;
    if (connection === null) return;
    this.#pointer = null;
    openssl().SSL_free(connection);
  }

  #use(action: string): Deno.PointerObject {
    if (this.#pointer === null) {
      throw new Deno.errors.BadResource(
        `Cannot ${action} a TLS connection: it was disposed of`,
      );
    }
    return this.#pointer;
  }

  #shakeHands(connection: Deno.PointerObject): void {
    const ssl = openssl();
    const { role, alpnProtocols } = this.#context;
    if (role === "server") chooseFrom(alpnProtocols);
    ssl.ERR_clear_error();
    const result = ssl.SSL_do_handshake(connection);
    if (result !== 1) {
      const error = ssl.SSL_get_error(connection, result);
      if (error === SSL.ERROR_WANT_READ) return;
      throw this.#fail("make");
    }
    this.#handshakeDone = true;
    if (alpnProtocols.length > 0) this.#alpnProtocol = chosenBy(connection);
    if (this.#closed) this.#notifyClose(connection);
  }

  #notifyClose(connection: Deno.PointerObject): void {
    if (this.#failure !== undefined) return;
    const ssl = openssl();
    ssl.ERR_clear_error();
    if (ssl.SSL_shutdown(connection) < 0) this.#fail("close");
  }

  /** Remembers what went wrong, and returns it. */
  #fail(action: string): ReactorError {
    const reasons = takeErrors() || "OpenSSL does not say why";
    // Of a network that has ended it says this where no close_notify came.
    if (reasons === "unexpected eof while reading") {
      return this.#failure = new ConnectionLost(
        this.#handshakeDone
          ? "The connection was lost: the peer closed it without saying so in TLS, so that data may be missing"
          : "The connection was lost: the peer closed it during the TLS handshake",
      );
    }
    const { verifies, hostname } = this.#context;
    // Where certificates are verified, a bad one ends the handshake, and the
    // result is good until one was looked at.
    const verifyError = verifies
      ? openssl().SSL_get_verify_result(this.#pointer)
      : SSL.VERIFY_OK;
    if (verifyError === SSL.VERIFY_OK) {
      this.#failure = new TLSError(
        `Cannot ${action} a TLS connection: ${reasons}`,
      );
    } else {
      const words = openssl().X509_verify_cert_error_string(verifyError)!;
      this.#failure = new TLSError(
        `Cannot verify the certificate of "${hostname}": ${
          Deno.UnsafePointerView.getCString(words)
        }`,
        { verifyError },
      );
    }
    return this.#failure;
  }
}

/** A certificate in DER. */
function encode(certificate: Deno.PointerObject): Uint8Array<ArrayBuffer> {
  const ssl = openssl();
  const memory = ssl.BIO_new(ssl.BIO_s_mem());
  try {
    if (memory === null || ssl.i2d_X509_bio(memory, certificate) !== 1) {
      throw new TLSError(`Cannot encode a certificate: ${takeErrors()}`);
    }
    const bytes = new Uint8Array(ssl.BIO_ctrl_pending(memory));
    ssl.BIO_read(memory, bytes, bytes.length);
    return bytes;
  } finally {
    ssl.BIO_free(memory);
  }
}

/** The protocol that the two sides have chosen, if they have. */
function chosenBy(connection: Deno.PointerObject): string | undefined {
  const address = new BigUint64Array(1);
  const length = new Uint32Array(1);
  openssl().SSL_get0_alpn_selected(connection, address, length);
  const pointer = Deno.UnsafePointer.create(address[0]!);
  if (pointer === null) return undefined;
  return new TextDecoder().decode(
    Deno.UnsafePointerView.getArrayBuffer(pointer, length[0]!),
  );
}
