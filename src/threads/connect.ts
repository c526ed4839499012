/**
 * Reaching a reactor from a Worker.
 *
 * @module
 */

import {
  type AskedBellData,
  askForBell,
  type BellData,
  LINE,
  openBell,
} from "../../ffi/bell.ts";
import { checkDelay, complaint } from "../arguments.ts";
import { ReactorNotRunning } from "../errors.ts";
import type { Untyped } from "./functions.ts";
import { type Line, type LinePort, openLine } from "./line.ts";
import { LINE_OF_THREAD, threadId } from "./this_thread.ts";
import { LineReactor, type RemoteReactor } from "./remote_reactor.ts";

/**
 * Options of {@linkcode connectReactor}.
 *
 * @example A Worker that waits for a second at most
 * ```ts no-assert
 * import { connectReactor, type ConnectOptions } from "@interleave/reactor/threads";
 *
 * const options: ConnectOptions = { timeout: 1000 };
 * function onHandle(handle: unknown): void {
 *   using reactor = connectReactor(handle, options);
 *   try {
 *     reactor.blockingCallFromThread("ask", "Go on?");
 *   } catch (error) {
 *     if ((error as Error).name === "TimeoutError") console.log("No answer");
 *   }
 * }
 * ```
 */
export interface ConnectOptions {
  /**
   * How long a blocking call may take, in milliseconds, before it throws a
   * `TimeoutError`. The function on the other side runs all the same.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/** What the reactor's side has put into a handle, beside the port. */
export type HandleData = (BellData | AskedBellData) & {
  /** The thread that has made it. */
  readonly thread: string;
};

/**
 * Connects this Worker to the reactor that has made the handle. Listen for the
 * handle before the first `await` at the top level of the Worker's module: what is
 * posted before somebody listens, Deno drops.
 *
 * The Worker needs `--allow-ffi`, to wake the reactor, unless the handle was made
 * with `ffi: false`.
 *
 * @typeParam F The functions that the reactor offers: `typeof` the object that
 * `handle()` was given there.
 * @param handle What `Reactor.handle()` has made, and was posted here.
 * @param options How long to wait for answers.
 * @throws {TypeError} When `handle` is something else, or is used on the
 * reactor's own thread, which has the reactor itself.
 * @throws {RangeError} When the handle is connected already, or the timeout is
 * out of range.
 * @throws {Deno.errors.NotCapable} When it needs `--allow-ffi` and has it not.
 *
 * @example In a Worker
 * ```ts no-assert
 * import { connectReactor } from "@interleave/reactor/threads";
 *
 * interface Desk { // Or rather: typeof the object that is offered there.
 *   progress(percent: number): void;
 *   ask(question: string): Promise<string>;
 * }
 *
 * function work(handle: unknown): void { // Of the event "message".
 *   using reactor = connectReactor<Desk>(handle);
 *   reactor.callFromThread("progress", 50);
 *   console.log(reactor.blockingCallFromThread("ask", "Go on?"));
 * }
 * ```
 */
export function connectReactor<F = Untyped>(
  handle: unknown,
  options: ConnectOptions = {},
): RemoteReactor<F> {
  const action = "connect to a reactor";
  const { timeout } = checkOptions(options, action);
  const { port, data } = checkHandle(handle, action);
  if (data.thread === threadId()) {
    throw new TypeError(
      `Cannot ${action}: this is its own thread, which would wait for itself`,
    );
  }
  const ring = openBellOf(data);
  if (Atomics.exchange(data.words, LINE.TAKEN, 1) === 1) {
    throw new RangeError(`Cannot ${action}: the handle is in use already`);
  }
  const { receiveMessageOnPort } = process.getBuiltinModule(
    "node:worker_threads",
  );
  const line = openLine(
    { port, words: data.words, at: LINE },
    ring,
    receiveMessageOnPort as never,
  );
  return new LineReactor(line, timeout) as unknown as RemoteReactor<F>;
}

/** With what helps, if this Worker may not call the C library. */
function openBellOf(data: HandleData): () => void {
  if ("asked" in data) return askForBell(data);
  try {
    return openBell(data);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      error.message +=
        '. To wake the reactor calls the C library: with "ffi: false" for its handle, another thread does so';
    }
    throw error;
  }
}

/** The connection of this thread, and the line that it is made of. */
let connected: { line: Line; reactor: LineReactor } | undefined;

/**
 * The reactor to whose pool this thread belongs, for the function that it runs
 * there. That may call what its caller has put into `offers`.
 *
 * @typeParam F Those functions.
 * @throws {ReactorNotRunning} When this is no thread of a pool.
 *
 * @example A function for `deferToThread()`
 * ```ts no-assert
 * import { reactorOfThread } from "@interleave/reactor/threads";
 *
 * interface Offers {
 *   progress(percent: number): void;
 * }
 *
 * export function work(): void {
 *   const reactor = reactorOfThread<Offers>();
 *   for (let i = 0; i < 100; i++) reactor.callFromThread("progress", i);
 * }
 * ```
 */
export function reactorOfThread<F = Untyped>(): RemoteReactor<F> {
  const line = Reflect.get(globalThis, Symbol.for(LINE_OF_THREAD)) as
    | Line
    | undefined;
  if (line === undefined) {
    throw new ReactorNotRunning(
      "Cannot reach the reactor of this thread: it is not one of a pool",
    );
  }
  if (connected?.line !== line) {
    connected = { line, reactor: new LineReactor(line, Infinity) };
  }
  return connected.reactor as unknown as RemoteReactor<F>;
}

function checkOptions(options: ConnectOptions, action: string) {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { timeout = Infinity } = options;
  if (timeout !== Infinity) checkDelay(timeout, action, "options.timeout");
  return { timeout };
}

/** Whatever was posted: a handle looks like this. */
function checkHandle(
  value: unknown,
  action: string,
): { port: LinePort; data: HandleData } {
  const { port, line } = Object(value) as { port?: unknown; line?: unknown };
  const { words, thread, pipe, library, asked } = Object(line) as Partial<
    BellData & AskedBellData & { thread: string }
  >;
  const isHandle = port instanceof MessagePort && isShared(words) &&
    words.length === LINE.LENGTH && typeof thread === "string";
  if (isHandle) {
    const common = { words, thread, at: LINE };
    const found = { port: port as unknown as LinePort };
    if (isShared(asked)) return { ...found, data: { ...common, asked } };
    if (Number.isInteger(pipe) && typeof library === "string") {
      return { ...found, data: { ...common, pipe: pipe!, library } };
    }
  }
  const wanted = "what Reactor.handle() has made";
  throw new TypeError(complaint(value, action, "handle", wanted));
}

function isShared(words: unknown): words is Int32Array {
  return words instanceof Int32Array &&
    words.buffer instanceof SharedArrayBuffer;
}
