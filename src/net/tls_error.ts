/**
 * The error of everything that goes wrong in TLS.
 *
 * @module
 */

import { ReactorError, type ReactorErrorOptions } from "../errors.ts";

/**
 * The other side is not to be trusted, does not speak TLS, refused this side,
 * sent something that cannot be true, or took too long to shake hands. The
 * message says what OpenSSL says of it.
 *
 * A connection that ends without TLS saying so is a `ConnectionLost`, as one
 * that was reset: somebody in between may have cut it short.
 *
 * @example A server that does not speak TLS
 * ```ts
 * import { connect, ConnectError, listen, TLSError } from "@interleave/reactor/net";
 * import { assert, assertRejects } from "@std/assert";
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * const failed = assertRejects(
 *   () => connect({ ...port.getHost(), tls: {} }),
 *   ConnectError,
 *   "wrong version number",
 * );
 * for await (const connection of port) {
 *   connection.write("220 mail.example ESMTP\r\n");
 *   connection.loseConnection();
 *   break;
 * }
 * assert((await failed).cause instanceof TLSError);
 * ```
 */
export class TLSError extends ReactorError {
  static {
    this.prototype.name = "TLSError";
    this.prototype.message = "The TLS connection failed";
  }

  /**
   * OpenSSL's number for what is wrong with the certificate, one of the
   * `X509_V_ERR_` constants, such as 10 for one that has expired. Absent where
   * something else is wrong.
   */
  declare readonly verifyError?: number;

  /**
   * Makes the error.
   *
   * @param message What happened.
   * @param options The cause, and what is wrong with the certificate.
   */
  constructor(message?: string, options: TLSErrorOptions = {}) {
    super(message, options);
    if (options.verifyError !== undefined) {
      this.verifyError = options.verifyError;
    }
  }
}

/**
 * What a {@linkcode TLSError} can carry besides its message.
 *
 * @example Trying out what a program says of an error
 * ```ts
 * import { TLSError, type TLSErrorOptions } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const X509_V_ERR_CERT_HAS_EXPIRED = 10;
 *
 * function explain(error: Error): string {
 *   return error instanceof TLSError &&
 *       error.verifyError === X509_V_ERR_CERT_HAS_EXPIRED
 *     ? "The certificate has expired. Is the clock right?"
 *     : error.message;
 * }
 *
 * const expired: TLSErrorOptions = { verifyError: X509_V_ERR_CERT_HAS_EXPIRED };
 * assertEquals(
 *   explain(new TLSError("certificate has expired", expired)),
 *   "The certificate has expired. Is the clock right?",
 * );
 * ```
 */
export interface TLSErrorOptions extends ReactorErrorOptions {
  /** OpenSSL's number for what is wrong with the certificate. */
  verifyError?: number;
}
