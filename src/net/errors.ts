/**
 * What goes wrong with connections, ports, datagrams and processes.
 *
 * @module
 */

import { errnoName, systemError } from "../../ffi/errno.ts";
import {
  ConnectionDone,
  ConnectionLost,
  ReactorError,
  type ReactorErrorOptions,
} from "../errors.ts";

/**
 * A connection could not be made. The base of the errors that say why.
 *
 * @example Telling why
 * ```ts
 * import { ConnectError, ConnectionRefusedError } from "@interleave/reactor/net";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const error = new ConnectionRefusedError();
 * assert(error instanceof ConnectError);
 * assertEquals(error.name, "ConnectionRefusedError");
 * ```
 */
export class ConnectError extends ReactorError {
  static {
    this.prototype.name = "ConnectError";
    this.prototype.message = "The connection could not be made";
  }
}

/** Nobody listens there. */
export class ConnectionRefusedError extends ConnectError {
  static {
    this.prototype.name = "ConnectionRefusedError";
    this.prototype.message = "The connection was refused";
  }
}

/** There was no answer in time. */
export class ConnectTimeoutError extends ConnectError {
  static {
    this.prototype.name = "ConnectTimeoutError";
    this.prototype.message = "The connection was not made in time";
  }
}

/**
 * A host name has no address, or could not be looked up. Its `code` is the name
 * from `<netdb.h>`, such as `"EAI_NONAME"`.
 */
export class NameLookupError extends ConnectError {
  static {
    this.prototype.name = "NameLookupError";
    this.prototype.message = "The host name could not be looked up";
  }
}

/** A service name stands for no port. */
export class ServiceNameUnknownError extends ConnectError {
  static {
    this.prototype.name = "ServiceNameUnknownError";
    this.prototype.message = "The service name is unknown";
  }
}

/** No way leads to the network or the host. */
export class NoRouteError extends ConnectError {
  static {
    this.prototype.name = "NoRouteError";
    this.prototype.message = "There is no route to the host";
  }
}

/** The local address for a connection could not be had. */
export class ConnectBindError extends ConnectError {
  static {
    this.prototype.name = "ConnectBindError";
    this.prototype.message = "The local address could not be bound";
  }
}

/** The program itself gave up connecting. */
export class UserError extends ConnectError {
  static {
    this.prototype.name = "UserError";
    this.prototype.message = "Connecting was stopped by the program";
  }
}

/** An address could not be listened on. */
export class CannotListenError extends ReactorError {
  static {
    this.prototype.name = "CannotListenError";
    this.prototype.message = "The address cannot be listened on";
  }
}

/** Connecting was to be stopped when it was not under way. */
export class NotConnectingError extends ReactorError {
  static {
    this.prototype.name = "NotConnectingError";
    this.prototype.message = "No connection is being made";
  }
}

/**
 * An address was of no use: a host name where only an address will do, or one of
 * the wrong family.
 */
export class InvalidAddressError extends ReactorError {
  static {
    this.prototype.name = "InvalidAddressError";
    this.prototype.message = "The address is invalid";
  }
}

/** A datagram was longer than can be sent. */
export class MessageLengthError extends ReactorError {
  static {
    this.prototype.name = "MessageLengthError";
    this.prototype.message = "The datagram is too long";
  }
}

/** A descriptor was given whose address family is not that of the transport. */
export class UnsupportedAddressFamily extends ReactorError {
  static {
    this.prototype.name = "UnsupportedAddressFamily";
    this.prototype.message = "The address family is not supported";
  }
}

/**
 * The connection was closed because more descriptors were to be sent than there
 * were bytes to send them with.
 */
export class FileDescriptorOverrun extends ConnectionLost {
  static {
    this.prototype.name = "FileDescriptorOverrun";
    this.prototype.message = "There were more descriptors than bytes to send";
  }
}

/** How a process ended. */
export interface ProcessEnd {
  /** The exit code; null if a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it; null if it exited. */
  readonly signal: Deno.Signal | null;
  /** What `waitpid` said. */
  readonly status: number;
}

/** The process exited with code 0. */
export class ProcessDone extends ConnectionDone implements ProcessEnd {
  static {
    this.prototype.name = "ProcessDone";
    this.prototype.message = "The process ended successfully";
  }

  /** The exit code. */
  readonly exitCode = 0;
  /** No signal ended it. */
  readonly signal = null;
  /** What `waitpid` said. */
  readonly status = 0;
}

/** What an error of {@linkcode ProcessTerminated} carries. */
export interface ProcessTerminatedOptions
  extends ReactorErrorOptions, Partial<ProcessEnd> {}

/** The process exited with another code than 0, or was ended by a signal. */
export class ProcessTerminated extends ConnectionLost implements ProcessEnd {
  static {
    this.prototype.name = "ProcessTerminated";
    this.prototype.message = "The process did not end successfully";
  }

  /** The exit code; null if a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it; null if it exited. */
  readonly signal: Deno.Signal | null;
  /** What `waitpid` said. */
  readonly status: number;

  /**
   * Makes the error.
   *
   * @param message What happened. The default says how the process ended.
   * @param options How it ended, besides what every error of the reactor can
   * carry.
   */
  constructor(message?: string, options: ProcessTerminatedOptions = {}) {
    const { exitCode = null, signal = null, status = 0 } = options;
    super(message ?? describe(exitCode, signal), options);
    this.exitCode = exitCode;
    this.signal = signal;
    this.status = status;
  }
}

function describe(
  exitCode: number | null,
  signal: Deno.Signal | null,
): string | undefined {
  if (signal !== null) return `The process was ended by ${signal}`;
  if (exitCode !== null) return `The process exited with code ${exitCode}`;
  return undefined;
}

/** The process is no more: it can be sent no signal. */
export class ProcessExitedAlready extends ReactorError {
  static {
    this.prototype.name = "ProcessExitedAlready";
    this.prototype.message = "The process has exited already";
  }
}

/** The classes for the errors of `connect` that have one. */
const CONNECT_ERRORS: Record<string, typeof ConnectError> = {
  ECONNREFUSED: ConnectionRefusedError,
  ETIMEDOUT: ConnectTimeoutError,
  ENETDOWN: NoRouteError,
  ENETUNREACH: NoRouteError,
  EHOSTUNREACH: NoRouteError,
};

/**
 * The error for a connection that could not be made.
 *
 * @param action What failed, as in "Cannot connect to 127.0.0.1:80".
 * @param errno What the kernel said.
 * @returns An instance of the class for it, or of {@linkcode ConnectError} if it
 * has none, with `code` and `errno` set.
 */
export function connectError(action: string, errno: number): ConnectError {
  const Class = CONNECT_ERRORS[errnoName(errno)] ?? ConnectError;
  return ofKernel(Class, action, errno);
}

/**
 * An error for what the kernel said.
 *
 * @param Class Its class.
 * @param action What failed, as in "Cannot listen on 127.0.0.1:80".
 * @param errno What the kernel said.
 * @returns An instance of the class, with `code` and `errno` set.
 */
export function ofKernel<T extends ReactorError>(
  Class: new (message: string, options: ReactorErrorOptions) => T,
  action: string,
  errno: number,
): T {
  const { message, code } = systemError(action, errno);
  return new Class(message, { code, errno });
}
