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
 *
 * @example Everything that happens to a process
 * ```ts
 * import {
 *   type ProcessProtocol,
 *   type ProcessTransport,
 *   spawnProcess,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * class Recorder implements ProcessProtocol {
 *   declare transport: ProcessTransport;
 *   readonly ended = Promise.withResolvers<void>();
 *   readonly output: string[] = [];
 *   readonly events = new Set<string>();
 *
 *   connectionMade() {
 *     this.transport.closeStdin();
 *   }
 *   childDataReceived(fd: number, data: Uint8Array) {
 *     this.output[fd] = (this.output[fd] ?? "") + new TextDecoder().decode(data);
 *   }
 *   childConnectionLost(fd: number) {
 *     this.events.add(`descriptor ${fd} is closed`);
 *   }
 *   processExited(reason: Error) {
 *     this.events.add(reason.message);
 *   }
 *   processEnded() {
 *     this.ended.resolve();
 *   }
 * }
 *
 * const recorder = new Recorder();
 * spawnProcess(recorder, "sh", {
 *   args: ["-c", "echo out; echo err >&2; exit 3"],
 * });
 * await recorder.ended.promise;
 * assertEquals(recorder.output[1], "out\n");
 * assertEquals(recorder.output[2], "err\n");
 * assertEquals(recorder.events.size, 4);
 * ```
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

/**
 * The name of a signal, with or without "SIG".
 *
 * @example As for kill, with or without its beginning
 * ```ts
 * import { type SignalName, spawnProcess } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const names: SignalName[] = ["TERM", "SIGKILL"];
 * for (const name of names) {
 *   const { promise, resolve } = Promise.withResolvers<Error>();
 *   const process = spawnProcess({ processEnded: resolve }, "cat");
 *   process.signalProcess(name);
 *   const expected = `The process was ended by SIG${name.replace("SIG", "")}`;
 *   assertEquals((await promise).message, expected);
 * }
 * ```
 */
export type SignalName =
  | Deno.Signal
  | (Deno.Signal extends infer S ? S extends `SIG${infer Name}` ? Name : never
    : never);

/**
 * A process, as its protocol sees it.
 *
 * It is a producer of what the process writes, and takes one for what the process
 * reads. So a connection and a process can be given to each other, and neither
 * floods the other. When one of them has ended, the other still waits for it: it
 * is to be told by `unregisterProducer()` and `loseConnection()`.
 *
 * @example A process for each connection
 * ```ts
 * import {
 *   connect,
 *   listenTCP,
 *   type ProcessTransport,
 *   spawnProcess,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * class Capitals {
 *   declare transport: Transport;
 *   declare process: ProcessTransport;
 *
 *   connectionMade() {
 *     const { transport } = this;
 *     this.process = spawnProcess(
 *       {
 *         childDataReceived: (_fd, data) => transport.write(data),
 *         processEnded() {
 *           transport.unregisterProducer();
 *           transport.loseConnection();
 *         },
 *       },
 *       "tr",
 *       { args: ["a-z", "A-Z"] },
 *     );
 *     // Neither is read from faster than the other one reads.
 *     transport.registerProducer(this.process, true);
 *     this.process.registerProducer(transport, true);
 *   }
 *   dataReceived(data: Uint8Array) {
 *     this.process.write(data);
 *   }
 *   readConnectionLost() {
 *     this.process.unregisterProducer();
 *     this.process.closeStdin();
 *   }
 * }
 *
 * const factory = { buildProtocol: () => new Capitals() };
 * await using port = listenTCP(0, factory, { hostname: "127.0.0.1" });
 * await using client = await connect(port.getHost());
 * client.write("hello");
 * client.loseWriteConnection();
 * assertEquals(await new Response(client.readable).text(), "HELLO");
 * ```
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
  /**
   * Writes several arrays or texts to the process's standard input, in order.
   *
   * @throws {TypeError} When one of them is neither bytes nor a string.
   * @throws {RangeError} When the input is no pipe of ours.
   */
  writeSequence(parts: Iterable<Uint8Array | string>): void;
  /**
   * Writes to a pipe, after all that was written before: bytes, or a text as
   * UTF-8. Never inside this call: they go as soon as there is room. The array
   * must stay as it is until then. Once the pipe is closed it does nothing.
   *
   * @param fd The pipe, by the child's number; 0 for a terminal.
   * @throws {TypeError} When `data` is neither bytes nor a string.
   * @throws {RangeError} When the child was given no such pipe to read from.
   *
   * @example A secret that is in no file and no argument
   * ```ts
   * import { spawnProcess } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * const { promise, resolve } = Promise.withResolvers<string>();
   * const process = spawnProcess(
   *   {
   *     childDataReceived: (_fd, data) => resolve(new TextDecoder().decode(data)),
   *   },
   *   "sh",
   *   {
   *     args: ["-c", 'read secret <&3; echo "${#secret} characters"'],
   *     childFDs: { 1: "r", 3: "w" },
   *   },
   * );
   * process.writeToChild(3, "open sesame\n");
   * assertEquals(await promise, "11 characters\n");
   * ```
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
   * there, and the producer, if there is one, has unregistered itself. A terminal
   * has no end of its own for that, so there it does nothing: type a Ctrl-D
   * (`"\x04"`).
   *
   * @throws {RangeError} When the input is no pipe of ours.
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
   *
   * @example Asking first
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { spawnProcess } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * let end = "";
   * const process = spawnProcess(
   *   {
   *     childDataReceived() { // It says that it does not heed SIGTERM.
   *       process.signalProcess("TERM");
   *       reactor.callLater(50, () => process.signalProcess("KILL"));
   *     },
   *     processEnded(reason) {
   *       end = reason.message;
   *       reactor.stop();
   *     },
   *   },
   *   "sh",
   *   {
   *     args: ["-c", "trap '' TERM; echo ready; read _"],
   *     reactor,
   *   },
   * );
   * await reactor.run();
   * assertEquals(end, "The process was ended by SIGKILL");
   * ```
   */
  signalProcess(name: SignalName): void;
  /**
   * Sets the size of the terminal's window.
   *
   * @param columns The width in characters.
   * @param rows The height in characters.
   * @throws {TypeError} When a size is not a number, or there is no terminal.
   * @throws {RangeError} When a size is not an integer from 0 to 65535.
   *
   * @example A program in a terminal
   * ```ts
   * import { type ProcessTransport, spawnProcess } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * const { promise, resolve } = Promise.withResolvers<string>();
   * let output = "";
   * const process: ProcessTransport = spawnProcess(
   *   {
   *     childDataReceived: (_fd, data) => output += new TextDecoder().decode(data),
   *     processEnded: () => resolve(output),
   *   },
   *   "sh",
   *   {
   *     args: ["-c", "read _; stty size"],
   *     pty: { columns: 80, rows: 24 },
   *   },
   * );
   * process.setWindowSize(132, 43);
   * process.write("go on\n");
   * assertEquals((await promise).split("\r\n").at(-2), "43 132");
   * ```
   */
  setWindowSize(columns: number, rows: number): void;
}
