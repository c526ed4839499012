/**
 * The main side of the worker: start it, arm it, take back what it was asked,
 * end it.
 *
 * The two lanes, the word between them and the invariant are drawn in
 * `ffi/poll_loop.ts`.
 *
 * @module
 */

import { libcPath } from "../ffi/libc.ts";
import {
  type PackedHold,
  pollLoop,
  type PollLoopData,
  type PollLoopFailure,
  type PollLoopMail,
  POST,
  type PostCall,
  type SleepProbe,
  STATE,
  WORD,
} from "../ffi/poll_loop.ts";
import { isThreadGone } from "../ffi/thread.ts";
import { setTimeout } from "./host_timers.ts";
import { monotonic } from "./monotonic.ts";

/**
 * A thread that is blocked here hears of no event, so of no exit either: it looks
 * whether there still is a worker, every so many milliseconds.
 */
const LOOK = 1000;

/** How long a thread that was woken is given to go, in milliseconds. */
const PAUSE = 20;

const NO_HOLDS: readonly PackedHold[] = [];

/** How the worker reports: by a message, not at all, or by calling a toolkit. */
export type Report = "message" | "none" | NativeReport;

/** A report by a call into a toolkit. */
export interface NativeReport {
  /** The call. */
  readonly call: PostCall;
  /**
   * Whether the call returns only when the work item has run, so that the work
   * item can't wait for it.
   */
  readonly synchronous: boolean;
}

/** What the worker has to say. */
export interface HandOverListener {
  /** The wait that was armed under this number has ended. */
  reported(sequence: number): void;
  /** The worker is dead. Said once, and not after {@linkcode HandOver.end}. */
  failed(error: Error): void;
}

type Worker = import("node:worker_threads").Worker;
type MessagePort = import("node:worker_threads").MessagePort;

/** What the worker's thread is given. */
export interface WorkerData extends PollLoopData {
  /** The worker's end of the channel. */
  readonly port: MessagePort;
}

/** What a hand-over rests on: the seam where faults of a worker are tried. */
export interface HandOverOptions {
  /**
   * Starts the thread that runs `pollLoop`.
   *
   * @default {one that runs it and nothing else}
   */
  startWorker?: (data: WorkerData) => Worker;
  /**
   * How long a worker may take to come up, or to return from a `poll()` that
   * was woken, before it counts as dead. In milliseconds.
   *
   * @default {10_000}
   */
  patience?: number;
  /**
   * After how long a report is made again that nobody has heeded, in
   * milliseconds.
   *
   * @default {1000}
   */
  again?: number;
}

/** A worker, from its start to its end. */
export class HandOver {
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * WORD.LENGTH));
  readonly #listener: HandOverListener;
  readonly #patience: number;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #exited: Promise<void>;
  #table: Int32Array;
  #report: Report = "message";
  #holds = NO_HOLDS;
  #over = false;
  /** Whether it was lost while it may have been inside `poll()`. */
  #leftInside = false;

  /**
   * Starts a worker. It does not keep the process alive until {@linkcode ref}
   * is called.
   *
   * @param table The first table that it will poll.
   * @param listener What the worker's reports go to.
   * @param options What it rests on.
   */
  constructor(
    table: Int32Array,
    listener: HandOverListener,
    options: HandOverOptions = {},
  ) {
    const {
      startWorker = startPollLoop,
      patience = 10_000,
      again = 1000,
    } = options;
    this.#table = table;
    this.#listener = listener;
    this.#patience = patience;
    // Not imported: loading this module takes 5 ms, which a program that only
    // imports the reactor should not pay.
    const { MessageChannel } = process.getBuiltinModule("node:worker_threads");
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#control[WORD.POST] = POST.MESSAGE;
    try {
      this.#worker = startWorker({
        control: this.#control,
        table,
        port: port2,
        library: libcPath(),
        again,
        states: STATE,
        words: WORD,
        posts: POST,
      });
    } catch (error) {
      port1.close();
      throw error;
    }
    this.#worker.unref();
    this.#worker.on("error", (error) => this.#failed(error as Error));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    this.#worker.on("exit", (code) => {
      // This may be told before the last message is.
      if (!this.#over) this.#lookForFailure();
      this.#failed(new Error(`The worker ended by itself, with code ${code}`));
      resolve();
    });
    port1.on("message", (message) => this.#received(message));
    port1.unref();
    void this.#lookForStart();
  }

  /** Blocks this thread until the worker is up, or has failed. */
  waitUntilUp(): void {
    const { UP } = WORD;
    this.#hasStarted(Atomics.wait(this.#control, UP, 0, this.#patience));
    this.#lookForFailure();
  }

  /**
   * Lets the worker wait. Only after a report, or a withdrawal, or at the
   * beginning.
   *
   * @param table The table to poll; a longer one than before may take its
   * place.
   * @param count The number of its entries.
   * @param timeout The timeout for `poll()`, in milliseconds; -1 for ever.
   * @param holds What the worker calls around `poll()`. If there are any, it is
   * inside when this returns.
   * @returns Whether every hold was taken.
   */
  arm(
    table: Int32Array,
    count: number,
    timeout: number,
    holds: readonly PackedHold[] = NO_HOLDS,
  ): boolean {
    const control = this.#control;
    if (table !== this.#table) {
      this.#table = table;
      this.#send({ table });
    }
    if (holds !== this.#holds) {
      this.#holds = holds;
      this.#send({ holds });
    }
    control[WORD.COUNT] = count;
    control[WORD.TIMEOUT] = timeout;
    control[WORD.SEQUENCE]!++;
    // PARKED or REPORTED, unless the worker has failed, whose message is under
    // way then, or was lost, and would poll again: that stays.
    const before = Atomics.load(control, WORD.STATE);
    if (before === STATE.FAILED || before === STATE.ENDING) return true;
    control[WORD.HOLDS] = 0;
    Atomics.compareExchange(control, WORD.STATE, before, STATE.ARMED);
    Atomics.notify(control, WORD.STATE);
    if (holds.length === 0) return true;
    // Whatever happens to a loop that nobody holds, nobody is told of.
    if (this.#outlast(WORD.HOLDS, 0)) {
      return Atomics.load(control, WORD.HOLDS) === 1;
    }
    this.#failed(
      new Error(
        `The worker did not hold the loops within ${this.#patience} ms`,
      ),
    );
    return true;
  }

  /**
   * The number of the present arming, as in {@linkcode
   * HandOverListener.reported}.
   */
  get sequence(): number {
    return this.#control[WORD.SEQUENCE]!;
  }

  /**
   * Takes back what the worker was asked. On return it is not inside `poll()`,
   * and no report of that wait will be heeded.
   *
   * @param wake Makes the `poll()` under way return. If it throws, the worker
   * counts as dead.
   */
  withdraw(wake: () => void): void {
    const control = this.#control;
    const before = Atomics.compareExchange(
      control,
      WORD.STATE,
      STATE.ARMED,
      STATE.PARKED,
    );
    if (before === STATE.POLLING && !this.#wakeUp(wake)) return;
    // A worker that is about to try its report again gives that up.
    Atomics.compareExchange(
      control,
      WORD.STATE,
      STATE.REPORTED,
      STATE.PARKED,
    );
    Atomics.notify(control, WORD.STATE);
    control[WORD.SEQUENCE]!++;
  }

  /**
   * Blocks this thread until the armed wait has ended.
   *
   * @param ms How long at most; Infinity for ever.
   * @returns Whether it has.
   */
  waitForReport(ms: number): boolean {
    const control = this.#control;
    for (const deadline = monotonic() + ms;;) {
      const state = Atomics.load(control, WORD.STATE);
      if (state !== STATE.ARMED && state !== STATE.POLLING) break;
      const left = deadline - monotonic();
      if (left <= 0) return false;
      // ARMED turns into POLLING without a word; what follows is told.
      const pause = Math.min(left, LOOK);
      const outcome = Atomics.wait(control, WORD.STATE, state, pause);
      if (outcome === "timed-out" && pause === LOOK) this.#lookForThread();
      if (this.#over) return true;
    }
    this.#lookForFailure();
    return true;
  }

  /**
   * How the worker reports from now on. Only while it is not polling. On return
   * it makes no report of the earlier form, or none that waits for this thread.
   */
  set report(report: Report) {
    if (report === this.#report) return;
    this.settle();
    this.#report = report;
    const native = typeof report === "object";
    if (native) this.#send({ post: report.call });
    Atomics.store(
      this.#control,
      WORD.POST,
      native ? POST.NATIVE : report === "message" ? POST.MESSAGE : POST.NONE,
    );
  }

  /** Whether the worker is inside the toolkit's function. */
  get isPosting(): boolean {
    return Atomics.load(this.#control, WORD.POSTING) === 1;
  }

  /**
   * Waits until the worker is out of the toolkit's function, from which it has
   * made its report: the toolkit may be about to be taken down.
   */
  settle(): void {
    const report = this.#report;
    if (typeof report !== "object" || report.synchronous) return;
    // It is not made again.
    const { REPORTED, PARKED } = STATE;
    Atomics.compareExchange(this.#control, WORD.STATE, REPORTED, PARKED);
    Atomics.notify(this.#control, WORD.STATE);
    if (this.#outlast(WORD.POSTING, 1) || this.#over) return;
    this.#failed(
      new Error(
        `The worker did not return from the waker's function within ${this.#patience} ms; one that waits for the work item has to be "synchronous"`,
      ),
    );
  }

  /** Has the worker look where this thread sleeps, until it has seen it or given up. */
  probeSleep(sleepProbe: SleepProbe): void {
    this.#send({ sleepProbe });
  }

  /** The descriptor in which this thread was seen asleep; 0 if it was not. */
  get sleepsIn(): number {
    return this.#control[WORD.SLEEPS_IN]!;
  }

  /** Lets the worker's messages keep the process alive. */
  ref(): void {
    this.#port.ref();
  }

  /** Lets the process end although messages may come. */
  unref(): void {
    this.#port.unref();
  }

  /**
   * Ends the worker. Nothing is heard of it afterwards.
   *
   * @param wake Makes a `poll()` under way return.
   * @returns Settles when the thread is gone.
   */
  end(wake: () => void): Promise<void> {
    if (this.#leftInside) {
      this.#leftInside = false;
      this.#exited = this.#driveOut(wake, this.#exited);
    } else if (!this.#over) {
      // The next run may take the wake-up away, so it is waited for.
      this.withdraw(wake);
      this.settle();
      this.#leave();
      this.#worker.ref();
      // By itself it would not exit while an inspector, or coverage, looks at it.
      void this.#postReturned().then(() => this.#worker.terminate());
    }
    return this.#exited;
  }

  /**
   * Settles when the worker is out of a function that waits for this thread.
   * Terminated inside, it would seem to be gone, and return later into memory
   * that was freed meanwhile.
   */
  async #postReturned(): Promise<void> {
    const control = this.#control;
    while (this.isPosting) {
      await Atomics.waitAsync(control, WORD.POSTING, 1).value;
    }
  }

  /**
   * Gets the thread of a worker that was lost out of its `poll()`: ended from
   * outside, it counts as gone, but stays in there until something happens.
   */
  async #driveOut(wake: () => void, exited: Promise<void>): Promise<void> {
    const thread = Atomics.load(this.#control, WORD.THREAD);
    const deadline = monotonic() + this.#patience;
    try {
      for (;;) {
        wake();
        if (thread === 0) break; // Where it can't be seen whether it is gone.
        await pause(PAUSE);
        if (isThreadGone(thread) || monotonic() >= deadline) break;
        // Another worker was quicker, perhaps, and took the wake-up away.
      }
    } catch {
      // What it waits for is broken, which may be why it was lost.
    }
    await exited;
  }

  /** Gets the worker out of its `poll()`. Returns whether it is. */
  #wakeUp(wake: () => void): boolean {
    try {
      wake();
    } catch (error) {
      this.#failed(error as Error);
      return false;
    }
    if (this.#outlast(WORD.STATE, STATE.POLLING)) return true;
    this.#failed(
      new Error(
        `The worker did not return from poll() within ${this.#patience} ms`,
      ),
    );
    return false;
  }

  /** On Deno's loop nobody waits for a worker, which may never come up. */
  async #lookForStart(): Promise<void> {
    const { UP } = WORD;
    this.#hasStarted(
      await Atomics.waitAsync(this.#control, UP, 0, this.#patience).value,
    );
  }

  #hasStarted(outcome: "ok" | "not-equal" | "timed-out"): void {
    if (outcome !== "timed-out") return;
    this.#failed(
      new Error(`The worker did not start within ${this.#patience} ms`),
    );
  }

  #send(mail: Omit<PollLoopMail, "number">): void {
    const number = this.#control[WORD.MAIL]!;
    this.#port.postMessage({ ...mail, number });
    this.#control[WORD.MAIL] = number + 1;
  }

  /** Waits until a word has another value. False when that takes too long. */
  #outlast(word: number, value: number): boolean {
    const control = this.#control;
    for (const deadline = monotonic() + this.#patience;;) {
      if (Atomics.load(control, word) !== value) return true;
      const left = deadline - monotonic();
      if (left <= 0) return false;
      Atomics.wait(control, word, value, left);
    }
  }

  #received(message: number | PollLoopFailure): void {
    if (this.#over) return;
    if (typeof message === "number") this.#listener.reported(message);
    else this.#failed(message.error as Error);
  }

  /** A thread that was ended from outside has told nobody. */
  #lookForThread(): void {
    const thread = Atomics.load(this.#control, WORD.THREAD);
    if (thread === 0 || !isThreadGone(thread)) return;
    this.#failed(new Error("The worker's thread ended without a word"));
  }

  /** While this thread is blocked, a failure is no event: it is looked for. */
  #lookForFailure(): void {
    if (Atomics.load(this.#control, WORD.STATE) !== STATE.FAILED) return;
    const { receiveMessageOnPort } = process.getBuiltinModule(
      "node:worker_threads",
    );
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) break;
      this.#received(received.message);
    }
    this.#failed(new Error("The worker failed without saying why"));
  }

  /** Nothing is heard of the worker any more, which is told to leave. */
  #leave(): void {
    this.#over = true;
    Atomics.store(this.#control, WORD.STATE, STATE.ENDING);
    Atomics.notify(this.#control, WORD.STATE);
    Atomics.notify(this.#control, WORD.UP); // Nobody waits for it to come up.
    this.#port.close();
  }

  #failed(error: Error): void {
    if (this.#over) return;
    const state = Atomics.load(this.#control, WORD.STATE);
    this.#leftInside = state === STATE.ARMED || state === STATE.POLLING;
    this.#leave();
    // Nobody else knows of it any more, and the toolkit may be taken down.
    this.settle();
    // Whatever it still does. `end` waits for its exit.
    void this.#worker.terminate();
    this.#listener.failed(error);
  }
}

/** Unlike a wait for a word of memory, this keeps the process alive. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** Starts the thread of a worker. */
function startPollLoop(data: WorkerData): Worker {
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const source = `{
    const threads = process.getBuiltinModule("node:worker_threads");
    (${pollLoop})(threads.workerData, threads);
  }`;
  // Of node:worker_threads, because a web Worker could not be unref'ed: it
  // would hold the process for as long as poll() blocks.
  return new Worker(source, {
    // Not a module, since Deno keeps the address of a worker's module for ever,
    // and that of a `data:` URL is the whole program, 10 KB with each worker.
    eval: true,
    workerData: data,
    transferList: [data.port],
    // Without an `env` it would be given a copy of this process's, for which
    // Deno asks whoever sits at the terminal.
    env: {},
  });
}
