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
 * A connection could not be made. The base of the errors that say why; itself
 * where there is no class of its own, with the kernel's word in `code`, such as
 * `"ENOENT"` for a UNIX socket that is not there, or with what went wrong above
 * the kernel as `cause`, such as a `TLSError`.
 *
 * @example Whether a service is there
 * ```ts
 * import { connect, ConnectError } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * async function isThere(path: string): Promise<boolean> {
 *   try {
 *     await using _connection = await connect({ path });
 *     return true;
 *   } catch (error) {
 *     if (error instanceof ConnectError) return false;
 *     throw error;
 *   }
 * }
 *
 * assertEquals(await isThere(`/tmp/nobody ${crypto.randomUUID()}`), false);
 * ```
 */
export class ConnectError extends ReactorError {
  static {
    this.prototype.name = "ConnectError";
    this.prototype.message = "The connection could not be made";
  }
}

/**
 * Nobody listens there: `code` is `"ECONNREFUSED"`.
 *
 * @example A server that is not running
 * ```ts
 * import { connect, ConnectionRefusedError } from "@interleave/reactor/net";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const error = await assertRejects(
 *   () => connect({ hostname: "127.0.0.1", port: 1 }),
 *   ConnectionRefusedError,
 * );
 * assertEquals(error.code, "ECONNREFUSED");
 * ```
 */
export class ConnectionRefusedError extends ConnectError {
  static {
    this.prototype.name = "ConnectionRefusedError";
    this.prototype.message = "The connection was refused";
  }
}

/**
 * There was no answer in time: in that of the option `timeout`, in that for the
 * handshake of TLS, or in the system's own (then `code` is `"ETIMEDOUT"`).
 *
 * @example A server that says nothing
 * ```ts
 * import { connect, ConnectTimeoutError, listen } from "@interleave/reactor/net";
 * import { assertRejects } from "@std/assert";
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await assertRejects(
 *   () => connect({ ...port.getHost(), tls: {}, timeout: 50 }),
 *   ConnectTimeoutError,
 * );
 * ```
 */
export class ConnectTimeoutError extends ConnectError {
  static {
    this.prototype.name = "ConnectTimeoutError";
    this.prototype.message = "The connection was not made in time";
  }
}

/**
 * A host name has no address, or could not be looked up. Its `code` is the name
 * from `<netdb.h>`, such as `"EAI_NONAME"`.
 *
 * @example A misspelt name
 * ```ts
 * import { connect, NameLookupError } from "@interleave/reactor/net";
 * import { assertMatch, assertRejects } from "@std/assert";
 *
 * const error = await assertRejects(
 *   () => connect({ hostname: "www..example", port: 80 }),
 *   NameLookupError,
 * );
 * assertMatch(error.code!, /^EAI_/);
 * ```
 */
export class NameLookupError extends ConnectError {
  static {
    this.prototype.name = "NameLookupError";
    this.prototype.message = "The host name could not be looked up";
  }
}

/**
 * The system knows no port for the name of a service.
 *
 * @example A service that the system does not know
 * ```ts
 * import { connectTCP, ServiceNameUnknownError } from "@interleave/reactor/net";
 * import { assertThrows } from "@std/assert";
 *
 * const factory = { buildProtocol: () => null };
 * assertThrows(
 *   () => connectTCP("127.0.0.1", "htpp", factory),
 *   ServiceNameUnknownError,
 *   '"htpp"',
 * );
 * ```
 */
export class ServiceNameUnknownError extends ConnectError {
  static {
    this.prototype.name = "ServiceNameUnknownError";
    this.prototype.message = "The service name is unknown";
  }
}

/**
 * No way leads to the network or the host. `code` is `"ENETUNREACH"`,
 * `"EHOSTUNREACH"` or `"ENETDOWN"`.
 *
 * @example Where no connection can lead
 * ```ts
 * import { connect, NoRouteError } from "@interleave/reactor/net";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * // Linux says this of a multicast group, even with every network there is. An
 * // offline machine hears it of all addresses.
 * if (Deno.build.os === "linux") {
 *   const error = await assertRejects(
 *     () => connect({ hostname: "224.0.0.1", port: 80 }),
 *     NoRouteError,
 *   );
 *   assertEquals(error.code, "ENETUNREACH");
 * }
 * ```
 */
export class NoRouteError extends ConnectError {
  static {
    this.prototype.name = "NoRouteError";
    this.prototype.message = "There is no route to the host";
  }
}

/**
 * The local address for a connection could not be had: that of the option
 * `bindAddress`.
 *
 * @example An address that this machine does not have
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { ConnectBindError, connectTCP } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * const reactor = new Reactor();
 * let reason: Error | undefined;
 * connectTCP("127.0.0.1", 80, {
 *   buildProtocol: () => null,
 *   clientConnectionFailed(_connector, error) {
 *     reason = error;
 *     reactor.stop();
 *   },
 * }, { reactor, bindAddress: ["192.0.2.1", 0] });
 * await reactor.run();
 * assert(reason instanceof ConnectBindError);
 * ```
 */
export class ConnectBindError extends ConnectError {
  static {
    this.prototype.name = "ConnectBindError";
    this.prototype.message = "The local address could not be bound";
  }
}

/**
 * The program itself gave up connecting, by {@linkcode Connector.stopConnecting},
 * or its factory made no protocol.
 *
 * @example Giving up
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { connectTCP, UserError } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * const reactor = new Reactor();
 * let reason: Error | undefined;
 * const connector = connectTCP("127.0.0.1", 1, {
 *   buildProtocol: () => null,
 *   clientConnectionFailed(_connector, error) {
 *     reason = error;
 *     reactor.stop();
 *   },
 * }, { reactor });
 * connector.stopConnecting();
 * await reactor.run();
 * assert(reason instanceof UserError);
 * ```
 */
export class UserError extends ConnectError {
  static {
    this.prototype.name = "UserError";
    this.prototype.message = "Connecting was stopped by the program";
  }
}

/**
 * An address could not be listened on. `code` says why: `"EADDRINUSE"` when
 * somebody else does, `"EADDRNOTAVAIL"` when this machine does not have it,
 * `"EACCES"` when it may not be had.
 *
 * @example A port that is taken
 * ```ts
 * import { CannotListenError, listen } from "@interleave/reactor/net";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * await using first = listen({ hostname: "127.0.0.1", port: 0 });
 * const error = assertThrows(() => listen(first.getHost()), CannotListenError);
 * assertEquals(error.code, "EADDRINUSE");
 * ```
 */
export class CannotListenError extends ReactorError {
  static {
    this.prototype.name = "CannotListenError";
    this.prototype.message = "The address cannot be listened on";
  }
}

/**
 * {@linkcode Connector.stopConnecting} was called while no connection was being
 * made.
 *
 * @example Stopping what has stopped
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { connectTCP, NotConnectingError } from "@interleave/reactor/net";
 * import { assertThrows } from "@std/assert";
 *
 * const reactor = new Reactor();
 * const connector = connectTCP("127.0.0.1", 1, {
 *   buildProtocol: () => null,
 *   clientConnectionFailed: () => reactor.stop(),
 * }, { reactor });
 * await reactor.run();
 * assertThrows(() => connector.stopConnecting(), NotConnectingError);
 * connector.disconnect(); // Takes whatever there is, and be it nothing.
 * ```
 */
export class NotConnectingError extends ReactorError {
  static {
    this.prototype.name = "NotConnectingError";
    this.prototype.message = "No connection is being made";
  }
}

/**
 * An address was of no use: a host name where only an address will do, or one of
 * the wrong family.
 *
 * @example No name is looked up for a datagram
 * ```ts
 * import { InvalidAddressError, listenUDP } from "@interleave/reactor/net";
 * import { assertThrows } from "@std/assert";
 *
 * await using port = listenUDP(0, { datagramReceived() {} });
 * assertThrows(
 *   () => port.write("hello", { hostname: "localhost", port: 53 }),
 *   InvalidAddressError,
 *   '"localhost"',
 * );
 * ```
 */
export class InvalidAddressError extends ReactorError {
  static {
    this.prototype.name = "InvalidAddressError";
    this.prototype.message = "The address is invalid";
  }
}

/**
 * A datagram was longer than can be sent: over IPv4 65507 bytes, over UNIX sockets
 * what the system has room for.
 *
 * @example More than UDP can carry
 * ```ts
 * import { listenUDP, MessageLengthError } from "@interleave/reactor/net";
 * import { assertThrows } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1" };
 * await using port = listenUDP(0, { datagramReceived() {} }, options);
 * const tooLong = new Uint8Array(65_536);
 * assertThrows(
 *   () => port.write(tooLong, { hostname: "127.0.0.1", port: 9 }),
 *   MessageLengthError,
 * );
 * ```
 */
export class MessageLengthError extends ReactorError {
  static {
    this.prototype.name = "MessageLengthError";
    this.prototype.message = "The datagram is too long";
  }
}

/**
 * A socket was given that is none of IPv4, IPv6 or UNIX.
 *
 * @example A socket that talks with the kernel
 * ```ts
 * import { closeDescriptor, libc } from "@interleave/reactor/ffi";
 * import { adoptStream, UnsupportedAddressFamily } from "@interleave/reactor/net";
 * import { assertThrows } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const AF_NETLINK = 16;
 *   const SOCK_DGRAM = 2;
 *   const fd = libc().socket(AF_NETLINK, SOCK_DGRAM, 0);
 *   assertThrows(
 *     () => adoptStream(fd, { dataReceived() {} }),
 *     UnsupportedAddressFamily,
 *   );
 *   closeDescriptor(fd);
 * }
 * ```
 */
export class UnsupportedAddressFamily extends ReactorError {
  static {
    this.prototype.name = "UnsupportedAddressFamily";
    this.prototype.message = "The address family is not supported";
  }
}

/**
 * The connection was closed because more descriptors were to be sent than there
 * were bytes to send them with.
 *
 * @example A descriptor, and no byte to carry it
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import {
 *   connectUNIX,
 *   FileDescriptorOverrun,
 *   listen,
 *   type UnixTransport,
 * } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * await using port = listen({ path: `/tmp/${crypto.randomUUID()}`, reactor });
 * const [reader, writer] = FileDescriptor.pipe();
 *
 * let reason: Error | undefined;
 * connectUNIX(port.getHost().path, {
 *   buildProtocol: () => ({
 *     makeConnection: (transport: UnixTransport) =>
 *       transport.sendFileDescriptor(reader), // A `transport.write()` is missing.
 *     dataReceived() {},
 *     connectionLost(error) {
 *       reason = error;
 *       reactor.stop();
 *     },
 *   }),
 * }, { reactor });
 * await reactor.run();
 * assert(reason instanceof FileDescriptorOverrun);
 * reader.close();
 * writer.close();
 * ```
 */
export class FileDescriptorOverrun extends ConnectionLost {
  static {
    this.prototype.name = "FileDescriptorOverrun";
    this.prototype.message = "There were more descriptors than bytes to send";
  }
}

/**
 * How a process ended: both {@linkcode ProcessDone} and
 * {@linkcode ProcessTerminated} say it.
 *
 * @example A line for a log
 * ```ts
 * import { type ProcessEnd, spawnProcess } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * function describe({ exitCode, signal }: ProcessEnd): string {
 *   return signal === null ? `ended with code ${exitCode}` : `ended by ${signal}`;
 * }
 *
 * const ends: string[] = [];
 * for (const script of ["exit 3", "kill $$"]) {
 *   const { promise, resolve } = Promise.withResolvers<Error>();
 *   spawnProcess({ processEnded: resolve }, "sh", { args: ["-c", script] });
 *   const reason = await promise;
 *   if ("exitCode" in reason) ends.push(describe(reason as Error & ProcessEnd));
 * }
 * assertEquals(ends, ["ended with code 3", "ended by SIGTERM"]);
 * ```
 */
export interface ProcessEnd {
  /** The exit code, from 0 to 255; null if a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it; null if it exited. */
  readonly signal: Deno.Signal | null;
  /** Both in one number, as `waitpid` told it (wait(2)). */
  readonly status: number;
}

/**
 * The process exited with code 0.
 *
 * @example A command that succeeds
 * ```ts
 * import { ProcessDone, spawnProcess } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<Error>();
 * spawnProcess({ processEnded: resolve }, "true");
 * assert(await promise instanceof ProcessDone);
 * ```
 */
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

/**
 * What a {@linkcode ProcessTerminated} can carry besides its message. What is
 * missing is null, or 0 for `status`.
 *
 * @example Trying a protocol out without a process
 * ```ts
 * import {
 *   type ProcessProtocol,
 *   ProcessTerminated,
 *   type ProcessTerminatedOptions,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * class Guard implements ProcessProtocol {
 *   restarts = 0;
 *
 *   processEnded(reason: Error) {
 *     if (reason instanceof ProcessTerminated) this.restarts++;
 *   }
 * }
 *
 * const guard = new Guard();
 * const crash: ProcessTerminatedOptions = { signal: "SIGSEGV" };
 * guard.processEnded(new ProcessTerminated(undefined, crash));
 * assertEquals(guard.restarts, 1);
 * ```
 */
export interface ProcessTerminatedOptions
  extends ReactorErrorOptions, Partial<ProcessEnd> {}

/**
 * The process exited with another code than 0, or was ended by a signal.
 *
 * @example A command that fails
 * ```ts
 * import { ProcessTerminated, spawnProcess } from "@interleave/reactor/net";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<Error>();
 * spawnProcess({ processEnded: resolve }, "sh", { args: ["-c", "exit 3"] });
 * const reason = await promise;
 * assert(reason instanceof ProcessTerminated);
 * assertEquals(reason.exitCode, 3);
 * assertEquals(reason.message, "The process exited with code 3");
 * ```
 */
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

/**
 * The process has ended: it can be sent no signal any more.
 *
 * @example A signal that comes too late
 * ```ts
 * import { ProcessExitedAlready, spawnProcess } from "@interleave/reactor/net";
 * import { assertThrows } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<Error>();
 * const process = spawnProcess({ processEnded: resolve }, "true");
 * await promise;
 * assertThrows(() => process.signalProcess("TERM"), ProcessExitedAlready);
 * ```
 */
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
