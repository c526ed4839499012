/**
 * What a child process asks of a program, and what it offers: Twisted's shapes.
 *
 * @module
 */

import type { Producer } from "./protocol.ts";

/**
 * What happens to a process. Any object is one; every function may be missing.
 *
 * What they throw, or what their promise rejects with, is reported through the
 * reactor's `onError`. A throw in `childDataReceived` also closes that pipe.
 */
export interface ProcessProtocol {
  /**
   * Gets the process, inside the call that starts it.
   *
   * @default {(transport) => { this.transport = transport; this.connectionMade?.() }}
   */
  makeConnection?(transport: ProcessTransport): unknown;
  /** The process runs. */
  connectionMade?(): unknown;
  /**
   * The process has written to a pipe. The array is the protocol's to keep.
   *
   * @param fd The pipe, by the child's number; 1 for a terminal.
   */
  childDataReceived?(fd: number, data: Uint8Array<ArrayBuffer>): unknown;
  /**
   * A pipe is closed, by either side. Called once for each pipe, and once for a
   * terminal.
   *
   * @param fd The pipe, by the child's number; 1 for a terminal.
   */
  childConnectionLost?(fd: number): unknown;
  /**
   * The process has ended. Pipes may still be open, and what it wrote may still
   * come: others can have them open as well.
   *
   * @param reason `ProcessDone` or `ProcessTerminated`.
   */
  processExited?(reason: Error): unknown;
  /**
   * The process has ended, and all its pipes are closed. Called once, and last.
   *
   * @param reason What `processExited` got; or `ConnectionLost` if the reactor
   * ended before the process.
   */
  processEnded?(reason: Error): unknown;
}

/** The name of a signal, with or without "SIG". */
export type SignalName =
  | Deno.Signal
  | (Deno.Signal extends infer S ? S extends `SIG${infer Name}` ? Name : never
    : never);

/**
 * A process, as its protocol sees it.
 *
 * It is a producer of what the process writes, and takes one for what the process
 * reads. So a connection and a process can be given to each other, and neither
 * floods the other:
 *
 *     connection.registerProducer(process, true);
 *     process.registerProducer(connection, true);
 *
 * When one of them has ended, the other still waits for it: it is to be told by
 * `unregisterProducer()` and `loseConnection()`.
 */
export interface ProcessTransport extends Producer {
  /** Its pid. */
  readonly pid: number;
  /** How many bytes were written and are not yet in a pipe. */
  readonly bufferedAmount: number;
  /**
   * Writes to the process's standard input: `writeToChild(0, data)`.
   *
   * @throws {TypeError} When `data` is neither bytes nor a string.
   * @throws {RangeError} When the input is no pipe of ours.
   */
  write(data: Uint8Array | string): void;
  /** Writes several arrays to the process's standard input, in order. */
  writeSequence(parts: Iterable<Uint8Array | string>): void;
  /**
   * Writes to a pipe, after all that was written before: bytes, or a text as
   * UTF-8. Never inside this call: they go as soon as there is room. The array
   * must stay as it is until then. Once the pipe is closed it does nothing.
   *
   * @param fd The pipe, by the child's number; 0 for a terminal.
   * @throws {TypeError} When `data` is neither bytes nor a string.
   * @throws {RangeError} When the child was given no such pipe to read from.
   */
  writeToChild(fd: number, data: Uint8Array | string): void;
  /**
   * Lets a producer write to the process's standard input as fast as the process
   * reads.
   *
   * @param producer What writes. It is stopped when the input is closed.
   * @param streaming Whether it writes by itself until it is paused; if not, it
   * is asked for each portion.
   * @throws {TypeError} When an argument is not of the right type.
   * @throws {RangeError} When there is a producer already, or the input is no
   * pipe of ours.
   */
  registerProducer(producer: Producer, streaming: boolean): void;
  /** The producer has no more. */
  unregisterProducer(): void;
  /**
   * Closes the process's standard input when everything that was written is
   * there, and the producer, if there is one, has unregistered itself. A terminal has no end of its own for that, so there it does nothing:
   * type a Ctrl-D (`"\x04"`).
   */
  closeStdin(): void;
  /**
   * Closes a pipe; one that we write to, when everything that was written is
   * there, a producer's part included. Once it is closed it does nothing.
   *
   * @param fd The pipe, by the child's number; 1 for a terminal, which hangs up.
   * @throws {RangeError} When the child was given no such pipe.
   */
  closeChildFD(fd: number): void;
  /** Closes all pipes in this way. The process goes on, if it likes. */
  loseConnection(): void;
  /** Reads no more from any pipe until resumed. */
  pauseProducing(): void;
  /** Reads again. */
  resumeProducing(): void;
  /** The same as {@linkcode ProcessTransport.loseConnection}. */
  stopProducing(): void;
  /**
   * Sends a signal to the process.
   *
   * @param name Its name, such as "TERM" or "SIGTERM".
   * @throws {TypeError} When `name` is not a string.
   * @throws {RangeError} When there is no such signal.
   * @throws {ProcessExitedAlready} When the process has ended.
   * @throws {Deno.errors.PermissionDenied} When the process runs as somebody
   * else.
   */
  signalProcess(name: SignalName): void;
  /**
   * Sets the size of the terminal's window.
   *
   * @throws {TypeError} When a size is not a number, or there is no terminal.
   * @throws {RangeError} When a size is not an integer from 0 to 65535.
   */
  setWindowSize(columns: number, rows: number): void;
}
