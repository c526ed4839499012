/**
 * The threads that a reactor has for its own use: calls that wait, and threads
 * that run them.
 *
 * A thread is started when a call waits and none is idle, up to the size of the
 * pool, and one at a time, because starting one blocks the reactor's thread for
 * tens of milliseconds. Threads stay until the end. Each runs one call at a
 * time; one that dies is the error of its call, and is replaced when the next
 * call wants it.
 *
 * Nothing can stop a function in the middle. A thread whose call is called off is
 * given up: it is no part of the pool any more, what it still says is not heard,
 * its own calls throw, and it ends when its function returns.
 *
 * Everything that threads say comes through the reactor's queue, so a result
 * comes after the calls that its function has made.
 *
 * @module
 */

import { CLOSED } from "../../ffi/bell.ts";
import { monotonic } from "../monotonic.ts";
import type { Doorbell } from "./doorbell.ts";
import type { CheckedThreadFunction } from "./functions.ts";
import type { Wrapped } from "./line.ts";
import type { MainLine } from "./main_line.ts";
import { type PackedError, unpackError } from "./packed_error.ts";
import { requireRoomForWorker } from "./room.ts";
import {
  type DeathMessage,
  type JobMessage,
  type OutcomeMessage,
  startPoolThread,
  type UpMessage,
} from "./pool_thread.ts";

/** How a call ended. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** A call that waits for a thread, or is run by one. */
export interface Job {
  readonly fn: CheckedThreadFunction;
  /** Copies: what becomes of the originals does not matter any more. */
  readonly args: readonly unknown[];
  readonly transfer: Transferable[];
  /** Called once, in a work item, unless it is called off. */
  readonly done: (outcome: Outcome) => void;
}

/** What a pool needs of its reactor. */
export interface PoolOptions {
  /** How its threads are heard. Made at the first thread. */
  doorbell: () => Doorbell;
  /** Runs `f` in a later round. */
  defer: (f: () => void) => void;
  /** A thread calls one of the functions that are offered to it. */
  called: (line: MainLine, offers: object, message: unknown) => void;
  /** So many milliseconds of the present work item were no callback's fault. */
  excuse: (ms: number) => void;
  /** Gets what nobody else hears of. Does not throw. */
  report: (error: unknown, where: string) => void;
  /** What keeps the process alive has changed. */
  refsChanged: () => void;
}

type Worker = import("node:worker_threads").Worker;

/** One of the threads. */
interface Thread {
  readonly line: MainLine;
  readonly worker: Worker;
  /** Settles when Deno says that it is gone. */
  readonly gone: Promise<void>;
  /** What it runs. */
  job: { readonly id: number; readonly job: Job } | undefined;
}

/** See the module's documentation. */
export class ThreadPool {
  readonly #options: PoolOptions;
  readonly #waiting: Job[] = [];
  readonly #threads = new Set<Thread>();
  /** Those that were told to end, and have not gone yet. */
  readonly #going = new Set<Promise<void>>();
  /** The one that is being started. */
  #starting: Thread | undefined;
  #size: number;
  #lastId = 0;
  #willPump = false;
  #over: Error | undefined;
  #release: (() => void) | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#size = navigator.hardwareConcurrency;
  }

  /** How many calls wait or are run. */
  get refs(): number {
    return this.#waiting.length + this.busy;
  }

  /** How many threads there are. */
  get size(): number {
    return this.#threads.size;
  }

  /** How many of them run a call. */
  get busy(): number {
    let busy = 0;
    for (const { job } of this.#threads) if (job !== undefined) busy++;
    return busy;
  }

  /** How many calls wait for a thread. */
  get queued(): number {
    return this.#waiting.length;
  }

  /** How many threads there may be. Those that are too many end when they are idle. */
  resize(size: number): void {
    this.#size = size;
    for (const thread of [...this.#threads]) {
      if (this.#threads.size > size && thread.job === undefined) {
        this.#end(thread);
      }
    }
    this.#pumpSoon();
  }

  /** Has a thread run it, as soon as the reactor runs and one is idle. */
  add(job: Job): void {
    if (this.#over !== undefined) return job.done({ error: this.#over });
    this.#waiting.push(job);
    this.#options.refsChanged();
    this.#pumpSoon();
  }

  /**
   * Calls a call off. If it is being run, its thread is given up.
   *
   * @returns False if it was done already.
   */
  callOff(job: Job): boolean {
    const at = this.#waiting.indexOf(job);
    if (at >= 0) this.#waiting.splice(at, 1);
    else {
      const thread = [...this.#threads].find((t) => t.job?.job === job);
      if (thread === undefined) return false;
      thread.job = undefined;
      this.#end(thread);
      this.#pumpSoon(); // Another may be started in its place.
    }
    this.#changed();
    return true;
  }

  /**
   * Whether a call waits or is run.
   *
   * @param release Called when none does any more.
   */
  hold(release: () => void): boolean {
    this.#release = this.refs > 0 ? release : undefined;
    return this.#release !== undefined;
  }

  /** Ends every thread, and every call with `reason`. Twice does nothing. */
  end(reason: Error): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    const jobs: Job[] = [];
    for (const thread of [...this.#threads]) {
      if (thread.job !== undefined) jobs.push(thread.job.job);
      thread.job = undefined;
      this.#end(thread);
    }
    jobs.push(...this.#waiting.splice(0));
    for (const job of jobs) job.done({ error: reason });
    this.#changed();
  }

  /** Settles when no thread is left of those that were told to end. */
  async gone(): Promise<void> {
    await Promise.all(this.#going);
  }

  #pumpSoon(): void {
    if (this.#willPump) return;
    this.#willPump = true;
    this.#options.defer(() => {
      this.#willPump = false;
      this.#pump();
    });
  }

  /** Gives the calls that wait to threads, in a work item. */
  #pump(): void {
    for (const thread of this.#threads) {
      if (this.#waiting.length === 0) return;
      if (thread.job === undefined && thread !== this.#starting) {
        this.#give(thread, this.#waiting.shift()!);
      }
    }
    if (
      this.#waiting.length === 0 || this.#starting !== undefined ||
      this.#threads.size >= this.#size || this.#over !== undefined
    ) return;
    const began = monotonic();
    try {
      this.#starting = this.#start();
      this.#options.excuse(monotonic() - began);
    } catch (error) {
      // Another thread will take it, if there is one.
      if (this.#threads.size > 0) return;
      this.#waiting.shift()!.done({ error });
      this.#changed();
      this.#pumpSoon();
    }
  }

  #give(thread: Thread, job: Job): void {
    const id = ++this.#lastId;
    const { fn: { module, name }, args, transfer } = job;
    const message: Wrapped<JobMessage> = new Set([
      { job: id, module, name, args },
    ]);
    try {
      thread.worker.postMessage(message, transfer as never);
      thread.job = { id, job };
    } catch (error) {
      job.done({ error });
      this.#changed();
      this.#pumpSoon();
    }
  }

  /**
   * Starts a thread.
   *
   * @throws {SystemError} When there are too few descriptors left (EMFILE).
   */
  #start(): Thread {
    const doorbell = this.#options.doorbell();
    const line = doorbell.add((message) => this.#received(thread, message));
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    let worker: Worker;
    try {
      const bell = doorbell.bellOf(line);
      requireRoomForWorker(bell.pipe);
      worker = startPoolThread({ ...bell, port: line.theirPort as never });
    } catch (error) {
      doorbell.remove(line, CLOSED.LINE_CLOSED);
      throw error;
    }
    const thread: Thread = { line, worker, gone, job: undefined };
    worker.on("error", (error) => this.#diedLater(thread, error));
    worker.on("exit", (code) => {
      const error = new Error(`The thread ended by itself, with code ${code}`);
      this.#diedLater(thread, error);
      resolve();
    });
    this.#threads.add(thread);
    return thread;
  }

  #received(thread: Thread, message: unknown): void {
    // In its turn: after the calls that it has made before.
    this.#options.defer(() => this.#handle(thread, message));
  }

  #handle(thread: Thread, message: unknown): void {
    if (!this.#threads.has(thread)) return;
    const said = message as
      & Partial<UpMessage>
      & Partial<OutcomeMessage>
      & Partial<DeathMessage>;
    if (said.up) {
      if (this.#starting === thread) this.#starting = undefined;
      this.#pump();
    } else if (said.outcome !== undefined) {
      this.#finished(thread, said as OutcomeMessage);
    } else if (said.died !== undefined) {
      this.#died(thread, unpackError(said.died));
    } else {
      const offers = thread.job?.job.fn.offers ?? {};
      this.#options.called(thread.line, offers, message);
    }
  }

  #finished(thread: Thread, { outcome, value, error }: OutcomeMessage): void {
    if (thread.job?.id !== outcome) return;
    const { job } = thread.job;
    thread.job = undefined;
    if (this.#threads.size > this.#size) this.#end(thread);
    else this.#pump();
    job.done(outcomeOf(value, error));
    this.#changed();
  }

  /** As told by Deno, between two work items. */
  #diedLater(thread: Thread, error: unknown): void {
    if (!this.#threads.has(thread)) return;
    this.#options.defer(() => this.#died(thread, error));
  }

  #died(thread: Thread, error: unknown): void {
    if (!this.#threads.has(thread)) return;
    // One that does not even come up has a call all the same: that which it was
    // started for.
    const job = thread.job?.job ??
      (thread === this.#starting ? this.#waiting.shift() : undefined);
    thread.job = undefined;
    this.#end(thread);
    if (job !== undefined) job.done({ error });
    else this.#options.report(error, "a thread of the pool");
    this.#changed();
    this.#pumpSoon();
  }

  #end(thread: Thread): void {
    this.#threads.delete(thread);
    if (this.#starting === thread) this.#starting = undefined;
    const { gone, line, worker } = thread;
    // It may be waiting for an answer. And what it does from now on, until its
    // function returns, concerns nobody: Deno stops no thread that is busy.
    this.#options.doorbell().remove(line, CLOSED.LINE_CLOSED);
    this.#going.add(gone);
    void gone.then(() => this.#going.delete(gone));
    worker.ref(); // Until it has gone, which is soon.
    void worker.terminate();
  }

  #changed(): void {
    if (this.refs === 0) {
      this.#release?.();
      this.#release = undefined;
    }
    this.#options.refsChanged();
  }
}

function outcomeOf(value: unknown, error: PackedError | undefined): Outcome {
  return error === undefined ? { value } : { error: unpackError(error) };
}
