/**
 * Child processes, as transports.
 *
 * The end of a process is a descriptor like any other (a pidfd): no SIGCHLD, no
 * handler, no polling, and nothing that `Deno.Command` could notice. It is
 * collected there and then, so that no zombie stays.
 *
 * @module
 */

import { complaint, show } from "../../ffi/arguments.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { check } from "../../ffi/errno.ts";
import { collect, decodeStatus, openExit } from "../../ffi/exit.ts";
import { libc } from "../../ffi/libc.ts";
import { setWindowSize } from "../../ffi/pty.ts";
import { signalName, signalNumber } from "../../ffi/signal_numbers.ts";
import { type Child, type ChildOptions, spawn } from "../../ffi/spawn.ts";
import { checkString } from "../arguments.ts";
import type { ReadDescriptor } from "../descriptors.ts";
import { type Fd, numberOf } from "../fd.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import { callGuarded } from "../thenable.ts";
import {
  ProcessDone,
  ProcessExitedAlready,
  ProcessTerminated,
} from "./errors.ts";
import {
  type Direction,
  type PipeEvents,
  ProcessPipe,
} from "./process_pipe.ts";
import type {
  ProcessProtocol,
  ProcessTransport,
  SignalName,
} from "./process_protocol.ts";
import type { Producer } from "./protocol.ts";

/**
 * Options of {@linkcode spawnProcess}.
 *
 * @example A variable, and a third pipe to read from
 * ```ts
 * import { spawnProcess } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<void>();
 * const heard: [number, string][] = [];
 * spawnProcess(
 *   {
 *     childDataReceived: (fd, data) =>
 *       heard.push([fd, new TextDecoder().decode(data)]),
 *     processEnded: () => resolve(),
 *   },
 *   "sh",
 *   {
 *     args: ["-c", 'echo "$GREETING" >&3'],
 *     env: { GREETING: "hello" },
 *     cwd: "/",
 *     childFDs: { 3: "r" },
 *   },
 * );
 * await promise;
 * assertEquals(heard, [[3, "hello\n"]]);
 * ```
 */
export interface SpawnProcessOptions extends Omit<ChildOptions, "childFDs"> {
  /**
   * What the child has open, by its own numbers: a descriptor of ours; "r" for
   * a pipe that we read from and the child writes to; "w" for one that we write
   * to and the child reads from. It has nothing else open.
   *
   * @default {{ 0: "w", 1: "r", 2: "r" }}, and with a terminal {{}}
   */
  childFDs?: Readonly<Record<number, Fd | "r" | "w">>;
  /**
   * The reactor that serves the pipes and waits for the end.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

const ACTION = "start a process";

const encoder = new TextEncoder();

/** How a process is told when it is at a terminal: as its output. */
const TERMINAL_FD = 1;

/**
 * Children that outlived their reactor. They are collected when the next one is
 * started, if they have ended by then.
 */
const abandoned = new Set<Process>();

/** Whether this system is known to have process descriptors. */
let canWait = false;

/**
 * Starts a command as a child process.
 *
 * The child gets only what it is given: the variables in `env`, the descriptors
 * in `childFDs`. Unlike `Deno.Command`, this needs no permission but
 * `--allow-ffi`, and works in every host of a reactor. The protocol gets the
 * process inside this call; all else comes later. Exits are noticed by the
 * kernel's process descriptors: Linux 5.3, or a kqueue on macOS.
 *
 * A process outlives its pipes, the reactor and the program, unless something
 * tells it to end. When the reactor ends before the process, its pipes are
 * closed and `processEnded` gets a `ConnectionLost`.
 *
 * @param protocol What happens to the process.
 * @param command The program; without a slash it is looked up on this process's
 * PATH, with one it is relative to `cwd`.
 * @param options What the child has, where it runs, and who waits.
 * @returns The process.
 * @throws {TypeError} When an argument is not of the right type, a string has a
 * NUL in it, or options contradict each other.
 * @throws {RangeError} When a number is out of range.
 * @throws {Deno.errors.NotFound} When the command or the directory does not
 * exist.
 * @throws {Deno.errors.PermissionDenied} When the command may not be run, or
 * not as another user or group.
 * @throws {Deno.errors.BadResource} When a descriptor in `childFDs` is not
 * open, or the reactor is closed. In the second case the child is killed at once.
 * @throws {ReactorNotRestartable} When the reactor has stopped. The child is
 * killed at once.
 * @throws {Deno.errors.NotSupported} When the system has no process
 * descriptors, or nothing that can change the user or the group.
 *
 * @example Usage
 * ```ts
 * import { spawnProcess } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<string>();
 * let output = "";
 * const process = spawnProcess({
 *   childDataReceived: (_fd, data) => output += new TextDecoder().decode(data),
 *   processEnded: () => resolve(output),
 * }, "sort");
 * process.write("b\na\n");
 * process.closeStdin();
 *
 * assertEquals(await promise, "a\nb\n");
 * ```
 */
export function spawnProcess(
  protocol: ProcessProtocol,
  command: string | URL,
  options: SpawnProcessOptions = {},
): ProcessTransport {
  if (typeof protocol !== "object" || protocol === null) {
    throw new TypeError(complaint(protocol, ACTION, "protocol", "an object"));
  }
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, ACTION, "options", "an object"));
  }
  const { reactor = sharedReactor, childFDs, ...rest } = options;
  if (typeof reactor?.addReader !== "function") {
    throw new TypeError(
      complaint(reactor, ACTION, "options.reactor", "a Reactor"),
    );
  }
  if (!canWait) {
    // Better to know before there is a child.
    closeDescriptor(openExit(Deno.pid));
    canWait = true;
  }
  collectAbandoned();
  const child = spawn(command, { ...rest, childFDs: numbersOf(childFDs) });
  const process = new Process(protocol, child, reactor);
  process.start();
  return process;
}

/** A process that was started. */
class Process implements ProcessTransport, PipeEvents, ExitEvents {
  readonly pid: number;
  readonly #protocol: ProcessProtocol;
  readonly #reactor: Reactor;
  readonly #exit: ExitWatch;
  /** By the child's numbers, closed ones included. */
  readonly #pipes = new Map<number, ProcessPipe>();
  readonly #terminal: ProcessPipe | undefined;
  #openPipes = 0;
  /** How it ended; set once it is collected, or given up. */
  #reason: Error | undefined;

  constructor(protocol: ProcessProtocol, child: Child, reactor: Reactor) {
    this.pid = child.pid;
    this.#protocol = protocol;
    this.#reactor = reactor;
    this.#exit = new ExitWatch(child.pid, reactor, this);
    for (const [childFD, { fd, direction }] of child.pipes) {
      this.#add(fd, childFD, direction);
    }
    if (child.terminal !== undefined) {
      this.#terminal = this.#add(child.terminal, TERMINAL_FD, "rw");
    }
  }

  /** Begins to watch it, and gives it to its protocol. */
  start(): void {
    try {
      this.#exit.watch();
      for (const pipe of this.#pipes.values()) pipe.start();
    } catch (error) {
      for (const pipe of this.#pipes.values()) pipe.discard();
      this.#exit.discard();
      // Nobody would ever hear of it.
      libc().kill(this.pid, signalNumber("SIGKILL")!);
      abandoned.add(this);
      throw error;
    }
    const protocol: ProcessProtocol & { transport?: ProcessTransport } =
      this.#protocol;
    callGuarded(() => {
      if (protocol.makeConnection !== undefined) {
        return protocol.makeConnection(this);
      }
      protocol.transport = this;
      return protocol.connectionMade?.();
    }, (error) => rethrow(this.#reactor, error));
  }

  // What the protocol calls

  get bufferedAmount(): number {
    let amount = 0;
    for (const pipe of this.#pipes.values()) amount += pipe.bufferedAmount;
    return amount;
  }

  write(data: Uint8Array | string): void {
    this.writeToChild(0, data);
  }

  writeSequence(parts: Iterable<Uint8Array | string>): void {
    for (const part of parts) this.write(part);
  }

  writeToChild(fd: number, data: Uint8Array | string): void {
    const action = "write to a process";
    const bytes = toBytes(data, action);
    this.#writable(fd, action).write(bytes);
  }

  registerProducer(producer: Producer, streaming: boolean): void {
    const input = this.#writable(0, "register a producer of a process");
    input.registerProducer(producer, streaming);
  }

  unregisterProducer(): void {
    (this.#terminal ?? this.#pipes.get(0))?.unregisterProducer();
  }

  closeStdin(): void {
    if (this.#terminal === undefined) this.closeChildFD(0);
  }

  closeChildFD(fd: number): void {
    this.#pipe(fd, "close a descriptor of a process").lose();
  }

  loseConnection(): void {
    for (const pipe of this.#pipes.values()) pipe.lose();
  }

  stopProducing(): void {
    this.loseConnection();
  }

  pauseProducing(): void {
    for (const pipe of this.#pipes.values()) pipe.pause();
  }

  resumeProducing(): void {
    for (const pipe of this.#pipes.values()) pipe.resume();
  }

  signalProcess(name: SignalName): void {
    const action = "signal a process";
    checkString(name, action, "name");
    const number = signalNumber(name) ?? signalNumber(`SIG${name}`);
    if (number === undefined) {
      throw new RangeError(
        complaint(name, action, "name", "the name of a signal"),
      );
    }
    // As long as it is not collected, the pid is its own.
    if (this.#reason !== undefined && !abandoned.has(this)) {
      throw new ProcessExitedAlready(
        `Cannot ${action}: process ${this.pid} has ended`,
      );
    }
    check(
      libc().kill(this.pid, number),
      `Cannot send ${show(name)} to process ${this.pid}`,
    );
  }

  setWindowSize(columns: number, rows: number): void {
    const terminal = this.#terminal;
    if (terminal === undefined) {
      throw new TypeError(
        `Cannot set the window size of process ${this.pid}: it was started without "pty"`,
      );
    }
    if (terminal.fileno() !== -1) {
      setWindowSize(terminal.fileno(), columns, rows);
    }
  }

  // What its pipes and its end tell

  received(pipe: ProcessPipe, data: Uint8Array<ArrayBuffer>): unknown {
    const result = this.#protocol.childDataReceived?.(pipe.childFD, data);
    // A promise that rejects is the reactor's to report; an Error is only a
    // value here.
    return result instanceof Error ? undefined : result;
  }

  lost(pipe: ProcessPipe): void {
    this.#openPipes--;
    this.#tell(() => this.#protocol.childConnectionLost?.(pipe.childFD));
  }

  exited(reason: Error): void {
    this.#reason = reason;
    this.#tell(() => this.#protocol.processExited?.(reason));
  }

  gaveUp(reason: Error): void {
    this.#reason = reason;
    abandoned.add(this);
    this.#tell(() => {});
  }

  #add(fd: number, childFD: number, direction: Direction): ProcessPipe {
    const pipe = new ProcessPipe(fd, {
      reactor: this.#reactor,
      childFD,
      direction,
      events: this,
    });
    this.#pipes.set(childFD, pipe);
    this.#openPipes++;
    return pipe;
  }

  #writable(fd: number, action: string): ProcessPipe {
    const terminal = this.#terminal;
    const pipe = fd === 0 && terminal !== undefined
      ? terminal
      : this.#pipe(fd, action);
    if (pipe.isWritable && (pipe !== terminal || fd === 0)) return pipe;
    throw new RangeError(
      `Cannot ${action}: its descriptor ${fd} is one that it writes to`,
    );
  }

  #pipe(fd: number, action: string): ProcessPipe {
    const pipe = this.#pipes.get(fd);
    if (pipe !== undefined) return pipe;
    throw new RangeError(
      `Cannot ${action}: "fd" must be one of its pipes (${
        [...this.#pipes.keys()].join(", ") || "it has none"
      }), received ${show(fd)}`,
    );
  }

  /**
   * Tells the protocol something, and that this was the last if it was. The
   * reactor, which has called this, reports what comes out of here.
   */
  #tell(event: () => unknown): void {
    const reason = this.#reason;
    const isOver = reason !== undefined && this.#openPipes === 0;
    const errors: unknown[] = [];
    let late = false;
    const report = (error: unknown) => {
      if (late) rethrow(this.#reactor, error); // A promise has rejected.
      else errors.push(error);
    };
    callGuarded(event, report);
    if (isOver) {
      callGuarded(() => this.#protocol.processEnded?.(reason), report);
    }
    late = true;
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) {
      throw new AggregateError(errors, "A process protocol threw twice");
    }
  }
}

/** What the end of a process tells. */
interface ExitEvents {
  /** It is collected. */
  exited(reason: Error): void;
  /** The reactor has ended before it. */
  gaveUp(reason: Error): void;
}

/** The end of a process, as a descriptor. */
class ExitWatch implements ReadDescriptor {
  /** For messages and `inspect()`. */
  readonly label: string;
  readonly #pid: number;
  readonly #reactor: Reactor;
  readonly #events: ExitEvents;
  #fd = -1;

  constructor(pid: number, reactor: Reactor, events: ExitEvents) {
    this.label = `end of process ${pid}`;
    this.#pid = pid;
    this.#reactor = reactor;
    this.#events = events;
  }

  watch(): void {
    this.#fd = openExit(this.#pid);
    this.#reactor.addReader(this);
  }

  fileno(): number {
    return this.#fd;
  }

  doRead(): void {
    const reason = collected(this.#pid);
    if (reason === undefined) return;
    this.discard();
    this.#events.exited(reason);
  }

  connectionLost(reason: Error): void {
    if (this.#fd === -1) return;
    this.discard();
    const end = collected(this.#pid);
    if (end === undefined) this.#events.gaveUp(reason);
    else this.#events.exited(end);
  }

  /** Watches no more. */
  discard(): void {
    if (this.#fd === -1) return;
    this.#reactor.removeReader(this);
    closeDescriptor(this.#fd);
    this.#fd = -1;
  }
}

/** Collects a process if it has ended, and says how. */
function collected(pid: number): Error | undefined {
  let status;
  try {
    status = collect(pid);
  } catch (cause) {
    return new ProcessTerminated(
      `Process ${pid} has ended, and how is not known: something else has collected it`,
      { cause },
    );
  }
  if (status === undefined) return undefined;
  if (status === 0) return new ProcessDone();
  const { code, signal } = decodeStatus(status);
  return new ProcessTerminated(undefined, {
    exitCode: code,
    signal: signal === null ? null : signalName(signal) as Deno.Signal,
    status,
  });
}

function collectAbandoned(): void {
  for (const process of abandoned) {
    if (collected(process.pid) !== undefined) abandoned.delete(process);
  }
}

function numbersOf(
  childFDs: SpawnProcessOptions["childFDs"],
): ChildOptions["childFDs"] {
  // What is no object is for `spawn` to complain of.
  if (typeof childFDs !== "object" || childFDs === null) return childFDs;
  return Object.fromEntries(
    Object.entries(childFDs).map(([key, how]) => [
      key,
      typeof how === "object" ? numberOf(how, ACTION, `childFDs[${key}]`) : how,
    ]),
  );
}

function toBytes(data: unknown, action: string): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (typeof data === "string") return encoder.encode(data);
  throw new TypeError(
    complaint(data, action, "data", "a Uint8Array or a string"),
  );
}

/** Has the reactor report an error, as it reports those of any callback. */
function rethrow(reactor: Reactor, error: unknown): void {
  reactor.callFromThread(() => {
    throw error;
  });
}
