/**
 * The error of everything that goes wrong in TLS.
 *
 * @module
 */

import { ReactorError, type ReactorErrorOptions } from "../errors.ts";

/**
 * The other side is not to be trusted, does not speak TLS, refused this side, or
 * sent something that cannot be true. The message says what OpenSSL says of it.
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

/** What a {@linkcode TLSError} can carry besides its message. */
export interface TLSErrorOptions extends ReactorErrorOptions {
  /** OpenSSL's number for what is wrong with the certificate. */
  verifyError?: number;
}
