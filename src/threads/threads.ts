/**
 * What other threads are to a reactor: Workers of the user's that have a handle,
 * and the threads of its pool.
 *
 * ```text
 *   reactor.handle()      deferToThread(), callInThread()
 *        |                           |
 *        |                      ThreadPool  pool.ts
 *        |                           |
 *     MainLine  main_line.ts      MainLine          one for each thread
 *        |                           |
 *        +--------- Doorbell --------+              doorbell.ts, one pipe in the set
 *  - - - - - - - - - - - | - - - - - - - - - - - -  ports, words, a byte
 *     Line  line.ts      bell        Line           ffi/bell.ts
 *        |                           |
 *     connectReactor()         reactorOfThread()    connect.ts
 * ```
 *
 * @module
 */

import { CLOSED } from "../../ffi/bell.ts";
import { offAbort, onAbort } from "../abort_listener.ts";
import { complaint } from "../arguments.ts";
import { monotonic } from "../monotonic.ts";
import { callGuarded, isThenable } from "../thenable.ts";
import type { Tracing } from "../trace/tracing.ts";
import { Doorbell, type DoorbellOptions } from "./doorbell.ts";
import { type CheckedThreadFunction, offered } from "./functions.ts";
import { type HandleOptions, ReactorHandle } from "./handle.ts";
import type { CallMessage, FarewellMessage } from "./line.ts";
import type { MainLine } from "./main_line.ts";
import { packError } from "./packed_error.ts";
import { requireRoomForWorker } from "./room.ts";
import { Ringer } from "./ringer.ts";
import { type Job, type Outcome, ThreadPool } from "./pool.ts";
import { threadId } from "./this_thread.ts";
import { transfersOf } from "./transfer.ts";

/** What {@linkcode Threads} needs of its reactor. */
export interface ThreadsOptions extends DoorbellOptions {
  /** So many milliseconds of the present work item were no callback's fault. */
  excuse: (ms: number) => void;
  /** A run is on. */
  isRunning: () => boolean;
  /** What keeps the process alive has changed. */
  refsChanged: () => void;
  /** Who is told of each call. */
  tracing: Tracing;
}

/** The other threads of one reactor. Nothing is opened before there is one. */
export class Threads {
  readonly #options: ThreadsOptions;
  #doorbell: Doorbell | undefined;
  #pool: ThreadPool | undefined;
  /** Rings for Workers that cannot. */
  #ringer: Ringer | undefined;
  readonly #endedRingers: Promise<void>[] = [];
  /** What ends the calls that nobody waits for any more. */
  #abandoned: Error | undefined;
  /** The lines of handles. */
  readonly #handles = new Set<MainLine>();

  constructor(options: ThreadsOptions) {
    this.#options = options;
  }

  /** How many calls in the pool keep the process alive. */
  get refs(): number {
    return this.#pool?.refs ?? 0;
  }

  /** For `inspect()`. */
  report(): ThreadsReport {
    const { size = 0, busy = 0, queued = 0 } = this.#pool ?? {};
    return { size, busy, queued, handles: this.#handles.size };
  }

  /** A run begins: who was there before is heard again. */
  begin(): void {
    this.#doorbell?.listen();
  }

  /** See `Reactor.handle`. */
  handle(functions: object, { ffi = true }: HandleOptions): ReactorHandle {
    const doorbell = this.#openDoorbell();
    if (!ffi) this.#ringer ??= this.#startRinger(doorbell);
    const line: MainLine = doorbell.add((message) =>
      // In its turn: after the calls that were queued before.
      this.#options.defer(() => this.#handle(line, functions, message))
    );
    this.#handles.add(line);
    const bell = ffi ? doorbell.bellOf(line) : this.#ringer!.bellOf(line);
    const data = { ...bell, thread: threadId() };
    return new ReactorHandle(line, data, () => this.#close(line));
  }

  /**
   * Has a thread of the pool call a function.
   *
   * @param done Called once, in a work item, unless the call is called off.
   * @returns Calls it off; false if it was done already.
   * @throws {DOMException} When an argument cannot be cloned.
   */
  call(
    fn: CheckedThreadFunction,
    args: readonly unknown[],
    done: (outcome: Outcome) => void,
  ): () => boolean {
    // The copy is made now, so that what cannot be copied is told to the caller,
    // and what it changes later is its own affair.
    const list = transfersOf(...args);
    const copy = structuredClone({ args, transfer: list }, { transfer: list });
    const pool = this.#pool ??= this.#openPool();
    const job: Job = { fn, ...copy, done };
    pool.add(job);
    return () => pool.callOff(job);
  }

  /** See `Reactor.callInThread`. */
  callUnheard(fn: CheckedThreadFunction, args: readonly unknown[]): void {
    const { signal } = fn;
    const callOff = this.call(fn, args, (outcome) => {
      if (signal !== undefined) offAbort(signal, abort);
      // Whoever closes the reactor knows of it.
      if (!("error" in outcome) || outcome.error === this.#abandoned) return;
      this.#options.report(outcome.error, "callInThread");
    });
    function abort() {
      callOff();
    }
    if (signal !== undefined) onAbort(signal, abort);
  }

  /** See `Reactor.suggestThreadPoolSize`. */
  resize(size: number): void {
    this.#pool ??= this.#openPool();
    this.#pool.resize(size);
  }

  /**
   * Whether the end of the reactor has to wait for calls in the pool.
   *
   * @param release Called when that may have changed.
   */
  hold(release: () => void): boolean {
    return this.#pool?.hold(release) ?? false;
  }

  /** Calls that are being run in the pool are not waited for any more. */
  abandonCalls(reason: Error): void {
    this.#abandoned ??= reason;
    this.#pool?.end(reason);
  }

  /** The reactor is over: everybody is told. Twice does nothing. */
  end(reason: Error): void {
    this.abandonCalls(reason);
    if (this.#ringer !== undefined) {
      this.#endedRingers.push(this.#ringer.end());
      this.#ringer = undefined;
    }
    this.#doorbell?.close();
    this.#doorbell = undefined;
    this.#handles.clear();
  }

  /** Settles when the pool's threads are gone that were told to end. */
  async gone(): Promise<void> {
    await Promise.all([this.#pool?.gone(), ...this.#endedRingers]);
  }

  #openDoorbell(): Doorbell {
    if (this.#doorbell === undefined) {
      this.#doorbell = new Doorbell(this.#options);
      if (this.#options.isRunning()) this.#doorbell.listen();
    }
    return this.#doorbell;
  }

  #startRinger(doorbell: Doorbell): Ringer {
    requireRoomForWorker(doorbell.fileno());
    const began = monotonic();
    const ringer: Ringer = new Ringer(doorbell, (error) => {
      this.#options.report(error, "the thread that rings for Workers");
    });
    this.#options.excuse(monotonic() - began);
    return ringer;
  }

  #openPool(): ThreadPool {
    return new ThreadPool({
      ...this.#options,
      doorbell: () => this.#openDoorbell(),
      called: (line, offers, message) => this.#called(line, offers, message),
    });
  }

  #close(line: MainLine): void {
    this.#handles.delete(line);
    this.#doorbell?.remove(line, CLOSED.LINE_CLOSED);
  }

  #handle(line: MainLine, functions: object, message: unknown): void {
    if ((message as Partial<FarewellMessage> | null)?.farewell === true) {
      this.#close(line);
    } else this.#called(line, functions, message);
  }

  /** A thread calls a function. Nothing escapes. */
  #called(line: MainLine, functions: object, message: unknown): void {
    const failed = (error: unknown) =>
      this.#options.report(error, "callFromThread");
    if (!isCall(message)) {
      const wanted = "a call";
      failed(
        new TypeError(
          complaint(message, "take a message from a thread", "message", wanted),
        ),
      );
      return;
    }
    const { call, args, id } = message;
    const apply = () =>
      Reflect.apply(offered(functions, call), functions, args);
    const { tracing } = this.#options;
    const run = () =>
      tracing.hook === undefined
        ? apply()
        : tracing.run("callFromThread", undefined, call, apply);
    if (id === 0) callGuarded(run, failed);
    else answer(line, id, run);
  }
}

/** Calls, and sends what comes of it, at once unless that is a promise. */
function answer(line: MainLine, id: number, run: () => unknown): void {
  const succeed = (value: unknown) => line.answer({ id, value });
  const fail = (error: unknown) => line.answer({ id, error: packError(error) });
  try {
    const result = run();
    if (isThenable(result)) Promise.resolve(result).then(succeed, fail);
    else succeed(result);
  } catch (error) {
    fail(error);
  }
}

/** What comes from a thread may be anything. */
function isCall(message: unknown): message is CallMessage {
  const { call, args, id } = Object(message) as Partial<CallMessage>;
  return typeof call === "string" && Array.isArray(args) &&
    Number.isInteger(id);
}

/**
 * What `inspect()` says of a reactor's threads.
 *
 * @example Whether a pool keeps up
 * ```ts
 * import { exportsOf, Reactor, type ThreadsReport } from "@interleave/reactor";
 * import { assert } from "@std/assert";
 *
 * const keepsUp = ({ size, queued }: ThreadsReport) => queued <= size;
 *
 * const work = exportsOf<{ rest(): void }>(
 *   "data:text/javascript,export const rest = () => {}",
 * );
 * await using reactor = new Reactor();
 * reactor.suggestThreadPoolSize(1);
 * for (let i = 0; i < 5; i++) reactor.callInThread(work("rest"));
 * assert(!keepsUp(reactor.inspect().threads));
 * ```
 */
export interface ThreadsReport {
  /** How many threads the pool has. */
  readonly size: number;
  /** How many of them run a call. */
  readonly busy: number;
  /** How many calls wait for a thread. */
  readonly queued: number;
  /** How many handles there are that nobody has closed. */
  readonly handles: number;
}
