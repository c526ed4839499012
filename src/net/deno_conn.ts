/**
 * A connection in the shape of Deno's own.
 *
 * @module
 */

import { ERRNO, systemError } from "../../ffi/errno.ts";
import { complaint } from "../arguments.ts";
import { ConnectionAborted, ConnectionLost } from "../errors.ts";
import type { Address } from "./address.ts";
import type { Connection, ConnectionProtocol } from "./connection.ts";

/**
 * What {@linkcode Connection.prototype.toDenoConn Connection.toDenoConn} gives: a
 * `Deno.Conn`, and if it is one of TCP, a `Deno.TcpConn`. Code that reads and
 * writes Deno's connections takes it, such as that of `@std/io`.
 *
 * Errors are Deno's: `BadResource` after
 * {@linkcode DenoConn.prototype.close DenoConn.close}, `ConnectionReset` when the
 * peer has reset the connection, `BrokenPipe` when nothing can be sent any more,
 * `ConnectionAborted` when this side has given it up or its reactor has stopped.
 * What the reactor says is their `cause`.
 *
 * It is not one of Deno's resources: functions that take the connection out of
 * Deno's hands, as the upgrade to TLS by `Deno.startTls` and the HTTP server of
 * Deno's own do, refuse it.
 *
 * @example Code that was written for Deno's connections
 * ```ts
 * import { connect, type DenoConn, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * // Reads until there are so many bytes.
 * async function readFully(connection: Deno.Conn, length: number) {
 *   const bytes = new Uint8Array(length);
 *   for (let at = 0; at < length;) {
 *     const count = await connection.read(bytes.subarray(at));
 *     if (count === null) throw new Deno.errors.UnexpectedEof();
 *     at += count;
 *   }
 *   return bytes;
 * }
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await using client = await connect(port.getHost());
 * client.write("hello, world");
 * for await (const connection of port) {
 *   using server: DenoConn = connection.toDenoConn();
 *   const bytes = await readFully(server, 5);
 *   assertEquals(new TextDecoder().decode(bytes), "hello");
 *   break;
 * }
 * ```
 */
export class DenoConn<A extends Address = Address> implements Deno.Conn<A> {
  readonly #connection: Connection<A>;
  readonly #protocol: ConnectionProtocol;
  #closed = false;

  /**
   * For `toDenoConn()`, which makes it.
   *
   * @internal
   */
  constructor(connection: Connection<A>, protocol: ConnectionProtocol) {
    this.#connection = connection;
    this.#protocol = protocol;
  }

  /** The address of this end. */
  get localAddr(): A {
    return this.#connection.getHost();
  }

  /** The address of the other end. */
  get remoteAddr(): A {
    return this.#connection.getPeer();
  }

  /**
   * See {@linkcode Connection.prototype.readable Connection.readable}. Reads and
   * it can take turns.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#connection.readable;
  }

  /**
   * See {@linkcode Connection.prototype.writable Connection.writable}. Closing it
   * closes this side's half only, while that of Deno's own closes the connection.
   */
  get writable(): WritableStream<Uint8Array | string> {
    return this.#connection.writable;
  }

  /**
   * Reads what has come, as much as there is room for: the rest is for the next
   * read. Several reads are served in their order.
   *
   * @param p Where to.
   * @returns How many bytes were read; null at the end. Rejects with
   * `Interrupted` if the connection is closed meanwhile.
   */
  async read(p: Uint8Array): Promise<number | null> {
    const action = "read from a connection";
    this.#requireOpen(action);
    checkBytes(p, action);
    if (p.length === 0) return 0;
    try {
      return await this.#protocol.read(p);
    } catch (error) {
      throw toDenosError(error, action);
    }
  }

  /**
   * Writes everything, without a copy.
   *
   * @param p What. It must stay as it is until this settles.
   * @returns Its length, when the system has taken all that was written so far.
   */
  async write(p: Uint8Array): Promise<number> {
    const action = "write to a connection";
    this.#requireOpen(action);
    checkBytes(p, action);
    if (p.length === 0) return 0;
    const sent = this.#protocol.send(p);
    if (sent === null) throw systemError(`Cannot ${action}`, ERRNO.EPIPE!);
    try {
      await sent;
    } catch (error) {
      throw toDenosError(error, action);
    }
    return p.length;
  }

  /** Closes this side's half when everything that was written is sent. */
  async closeWrite(): Promise<void> {
    const action = "close half of a connection";
    this.#requireOpen(action);
    try {
      await this.#protocol.endWriting();
    } catch (error) {
      throw toDenosError(error, action);
    }
  }

  /**
   * Closes the connection. Reads that wait are rejected; writes that wait are
   * not: what was written is sent first.
   *
   * @throws {Deno.errors.BadResource} When it is closed already.
   */
  close(): void {
    this.#requireOpen("close a connection");
    this.#closed = true;
    this.#connection.loseConnection();
    this.#protocol.failReads(
      new Deno.errors.Interrupted(
        "Cannot read from a connection: it was closed meanwhile",
      ),
    );
  }

  /** Closes the connection, if it is not closed yet. */
  [Symbol.dispose](): void {
    if (!this.#closed) this.close();
  }

  /** Does nothing: the connection keeps the process alive anyway. */
  ref(): void {}

  /**
   * A single connection cannot be let go: it is the reactor that keeps the
   * process alive.
   *
   * @throws {Deno.errors.NotSupported} Always.
   */
  unref(): void {
    throw new Deno.errors.NotSupported(
      'Cannot unref a connection: its reactor keeps the process alive, and has an "unref" function',
    );
  }

  /**
   * Sends small pieces at once, or not.
   *
   * @param noDelay Whether to.
   * @throws {Deno.errors.BadResource} When the connection is closed.
   * @throws {Deno.errors.NotSupported} When it is none of TCP.
   */
  setNoDelay(noDelay = true): void {
    this.#requireOpen("set TCP_NODELAY");
    this.#connection.setTcpNoDelay(noDelay);
  }

  /**
   * Has the system ask from time to time if the peer is still there, or not.
   *
   * @param keepAlive Whether to.
   * @throws {Deno.errors.BadResource} When the connection is closed.
   */
  setKeepAlive(keepAlive = true): void {
    this.#requireOpen("set SO_KEEPALIVE");
    this.#connection.setTcpKeepAlive(keepAlive);
  }

  #requireOpen(action: string): void {
    if (!this.#closed) return;
    throw new Deno.errors.BadResource(
      `Cannot ${action}: the connection is closed`,
    );
  }
}

function checkBytes(value: unknown, action: string): void {
  if (value instanceof Uint8Array) return;
  throw new TypeError(complaint(value, action, "p", "a Uint8Array"));
}

/** What Deno's own connections say in place of a reason of the reactor's. */
function toDenosError(reason: unknown, action: string): unknown {
  if (
    !(reason instanceof ConnectionLost || reason instanceof ConnectionAborted)
  ) return reason;
  const errno = reason.errno ?? ERRNO.ECONNABORTED!;
  return Object.assign(systemError(`Cannot ${action}`, errno), {
    cause: reason,
  });
}
