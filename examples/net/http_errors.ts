/**
 * What can go wrong with an HTTP request, beyond its connection, for which the
 * transports have errors of their own.
 *
 * @module
 */

/** A request did not come to a good end. The base of the errors that say why. */
export class HttpError extends Error {
  static {
    this.prototype.name = "HttpError";
  }
}

/** The server sent something that is not HTTP/1.1. */
export class MalformedResponseError extends HttpError {
  static {
    this.prototype.name = "MalformedResponseError";
  }
}

/** The server sent a longer header than this side is ready to keep. */
export class HeaderTooLongError extends HttpError {
  static {
    this.prototype.name = "HeaderTooLongError";
  }
}

/** The connection ended before the response did. */
export class TruncatedResponseError extends HttpError {
  static {
    this.prototype.name = "TruncatedResponseError";
  }
}

/** One address led to another too many times. */
export class TooManyRedirectsError extends HttpError {
  static {
    this.prototype.name = "TooManyRedirectsError";
  }
}

/** It took too long. */
export class TimeLimitError extends HttpError {
  static {
    this.prototype.name = "TimeLimitError";
  }
}

/** The server answered, but not with the page. */
export class StatusError extends HttpError {
  static {
    this.prototype.name = "StatusError";
  }
}
