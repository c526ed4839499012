/**
 * The work item: what runs on the main thread, when, and for how long.
 *
 * **The worker polls only between two runs of the main side, and there is at
 * most one work item outstanding.** Here is the main thread's lane of that;
 * both lanes, with the word between them, stand in `ffi/poll_loop.ts`.
 *
 * ```text
 *             +--- park: prepare the set, arm the worker <---+
 *             v                                              |
 *          PARKED -- report --> OUTSTANDING -- host --> RUNNING
 *             |                      |                       ^
 *             +----------------------+-- iterate(), start ---+
 *
 *          ENDED: after a crash, the end of shutdown or a failure, for ever
 * ```
 *
 * - PARKED: nothing of the reactor's runs. API calls change the set, and wake
 *   the worker if it could not see the change.
 * - OUTSTANDING: the waker has been given a work item. Nobody polls until it
 *   has run: a slow host holds the reactor back by itself.
 * - RUNNING: rounds, inside a work item or inside `iterate`. A nested pump of
 *   the host's loop finds nothing to run.
 *
 * A work item runs rounds for as long as there is something to do, since
 * looking again costs a fraction of a microsecond and the way through the
 * worker tens of them. When its budget is spent it parks although there is
 * more: the worker then finds the set ready at once, and the host, which was
 * free meanwhile, gets a new work item. That way round, Deno's loop sleeps for
 * a moment, and with it come its own descriptors and timers. A loop that is
 * kept busy, by immediates alone or by messages that arrive before it sleeps,
 * looks at them every 61 turns only. Where the worker has seen the descriptor
 * in which Deno sleeps, this thread looks there before it gives way: if there is
 * nothing, an immediate is enough, after which Deno has looked at its timers.
 *
 * In the beginning there is no worker; see `pool_wait.ts`. What is said of it here
 * holds for whoever waits in its place.
 *
 * @module
 */

import { DenoLoop, sleepProbe } from "../ffi/deno_loop.ts";
import { hasRoomFor } from "../ffi/descriptor.ts";
import {
  type ReadinessSet,
  sooner,
  wholeMilliseconds,
} from "../ffi/readiness_set.ts";
import type { Attachments } from "./attachments.ts";
import { BlockingQueue } from "./blocking_queue.ts";
import { BriefWait } from "./brief_wait.ts";
import { ReactorAlreadyRunning } from "./errors.ts";
import { HandOver, type HandOverListener, type Report } from "./hand_over.ts";
import { clearTimeout, setImmediate, setTimeout } from "./host_timers.ts";
import { runMicrotasks } from "./microtasks.ts";
import { monotonic } from "./monotonic.ts";
import { PoolWait } from "./pool_wait.ts";
import { Overdue } from "./overdue.ts";
import { type NativePost, type NativeWaker, usePost } from "./native_waker.ts";
import { callGuarded } from "./thenable.ts";
import { LowLatency } from "./low_latency.ts";
import type { Waker } from "./wakers.ts";

/** Where work items run. */
export type Host =
  /** On Deno's own loop, straight from the worker's message. */
  | "deno"
  /** Inside `iterate()` only: there is no worker. */
  | "iterate"
  /** Wherever this function takes them. */
  | Waker
  /** In a program that takes them from a queue, blocking. */
  | BlockingQueue
  /** In a toolkit that blocks the main thread, called by the worker. */
  | NativeWaker;

/** What a turn is made of: the reactor's part. */
export interface Rounds {
  /** A turn begins. */
  begin(): void;
  /** A turn ends: the set is to be what it is waited for. */
  end(): void;
  /**
   * One round: dispatch what the set's drain found, then the queue, then the
   * timers that are due.
   *
   * @param ready The number of entries in the set's results.
   * @returns How many callbacks ran.
   */
  round(ready: number): number;
  /**
   * Milliseconds until there is something to do: 0 now, -1 only when something
   * happens.
   */
  timeout(): number;
  /** The nearest timer on the reactor's clock; Infinity for none. */
  deadline(): number;
  /** Something threw where nothing should. */
  report(error: unknown, where: string): void;
  /** Whether there is anything that a wait could end with. */
  expects(): boolean;
  /** The worker, or the set, works no longer. */
  failed(error: Error): void;
  /** What ran last has held the host for so many milliseconds. */
  slow(ms: number): void;
  /** The host has not run a work item for so many milliseconds. */
  overdue(ms: number): void;
}

/** How long one work item may hold the host. */
export interface Budget {
  /** Milliseconds. */
  readonly ms: number;
  /** Callbacks. */
  readonly events: number;
}

/** How a turn loop goes about its turns. */
export interface TurnOptions {
  /** How long one work item may hold the host. */
  readonly budget: Budget;
  /** Whether to wait on the main thread for what is likely to come soon. */
  readonly lowLatency?: boolean;
  /** Whether to begin without a worker, where that can be done. */
  readonly waitsInPool?: boolean;
  /** Starts a worker. @default {a {@linkcode HandOver}} */
  readonly handOver?: MakeHandOver;
  /**
   * How long a round may take without a word, in milliseconds.
   *
   * @default {Infinity}
   */
  readonly tooLong?: number;
  /**
   * How long a host may take to run a work item, in milliseconds.
   *
   * @default {10_000}
   */
  readonly overdue?: number;
}

/** Starts a worker for a set's table. */
export type MakeHandOver = (
  table: Int32Array,
  listener: HandOverListener,
) => HandOver;

/**
 * What has happened so far, for `inspect()`.
 *
 * @example How much one look at the kernel serves
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { assert, assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const pipes = Array.from({ length: 10 }, () => FileDescriptor.pipe());
 * for (const [, input] of pipes) input.write(new Uint8Array(1));
 *
 * const before = reactor.inspect().counters;
 * await Promise.all(pipes.map(([output]) => reactor.readable(output)));
 * const { turns, events } = reactor.inspect().counters;
 * assertEquals(events - before.events, 10); // Callbacks,
 * assert(turns - before.turns < 10); // and fewer work items.
 * for (const [output, input] of pipes) {
 *   output.close();
 *   input.close();
 * }
 * ```
 */
export interface Counters {
  /** Work items run, `iterate()` included. */
  turns: number;
  /** Rounds in them. */
  rounds: number;
  /**
   * Rounds that found work when looking again, without a way through the
   * worker.
   */
  inlineHits: number;
  /** Callbacks run. */
  events: number;
  /** Times the worker was armed. */
  parks: number;
  /** Times a parked worker was woken by an API call. */
  wakes: number;
  /** Descriptors that were ready all the time, and that nobody used. */
  spins: number;
  /** Rounds that held the host for much longer than the budget. */
  slowRounds: number;
  /** Work items that the host did not run for a long time. */
  overdue: number;
}

/** More descriptors than Deno needs for a worker, by far. */
const WORKER_DESCRIPTORS = 32;

/** After so many turns in a row that failed, a reactor will not recover. */
const MOST_FAILURES = 3;

/** When a program counts as staying that seemed to end, in milliseconds. */
const STAYING = 10;

type Phase = "running" | "parked" | "outstanding" | "ended";

/** When a turn waits in place for what is likely to come at once. */
type Briefly =
  /** When a round has served something. */
  | "after"
  /** In the beginning as well: the turn before was cut short. */
  | "at once"
  /** Its caller has said how long to wait. */
  | "never";

/** One run of a reactor, from its start to its end or crash. */
export class TurnLoop {
  readonly #rounds: Rounds;
  readonly #set: ReadinessSet;
  readonly #attachments: Attachments;
  readonly #budget: Budget;
  /** How long a round may take before it is worth a word. */
  readonly #tooLong: number;
  readonly #briefWait: BriefWait;
  readonly #lowLatency: boolean;
  readonly #makeHandOver: MakeHandOver;
  /** Looks whether wakers have their work items run. */
  readonly #overdue: Overdue;
  /** Deno's descriptor, as soon as it is known; only on Deno's own loop. */
  #denoLoop: DenoLoop | undefined;
  #latency: LowLatency | undefined;
  readonly #counters: Counters;
  #phase: Phase = "running";
  #host: Host = "iterate";
  /** The toolkit in whose nested call the main thread is, instead of the host. */
  #modal: NativeWaker | undefined;
  /** The native wakers that were used in this run. */
  readonly #posts = new Map<NativeWaker, NativePost>();
  #handOver: HandOver | undefined;
  /** Waits until there is a worker, where it can. */
  readonly #poolWait: PoolWait | undefined;
  /** The timer that gets a worker for a reactor that keeps nothing alive. */
  #workerTimer: ReturnType<typeof setTimeout> | undefined;
  /** The ends of earlier workers that had to be replaced. */
  readonly #retired: Promise<void>[] = [];
  #keepsAlive = false;
  /**
   * The number of the outstanding work item; another number names one that must
   * do nothing.
   */
  #item = 0;
  /** The last work item ended because its budget was spent. */
  #spent = false;
  /** How many turns in a row have failed. */
  #failures = 0;
  /**
   * Whether the present worker has ever reported. One that never has is not
   * replaced a second time.
   */
  #proven = true;
  /** The program seems to be about to end: nothing is begun any more. */
  #leaving = false;
  readonly #wakeSet = () => this.#set.wake();
  readonly #beforeUnload = (event: Event) => this.#leave(event);

  constructor(
    rounds: Rounds,
    set: ReadinessSet,
    attachments: Attachments,
    options: TurnOptions,
    counters: Counters,
  ) {
    this.#rounds = rounds;
    this.#set = set;
    this.#attachments = attachments;
    this.#budget = options.budget;
    this.#tooLong = options.tooLong ?? Infinity;
    this.#briefWait = new BriefWait(set);
    if (options.waitsInPool && !set.borrows) {
      this.#poolWait = new PoolWait(set, {
        reported: () => this.#reported(),
        quiet: () => this.#replacePoolWait(),
        busy: () => {
          this.#replacePoolWait();
          if (this.#handOver === undefined) this.#reported();
        },
      });
    }
    this.#lowLatency = options.lowLatency ?? false;
    this.#makeHandOver = options.handOver ??
      ((table, listener) => new HandOver(table, listener));
    this.#counters = counters;
    this.#overdue = new Overdue(
      options.overdue ?? 10_000,
      () => this.#phase === "outstanding" ? this.#item : undefined,
      (ms) => rounds.overdue(ms),
    );
  }

  /** Whether a callback of this run is on the stack. */
  get isRunning(): boolean {
    return this.#phase === "running";
  }

  /** Where work items run at present. */
  get host(): Host {
    return this.#host;
  }

  /**
   * Moves into a host. Work items given to an earlier one do nothing from now
   * on. Call {@linkcode park} afterwards if this is the beginning.
   */
  enter(host: Host): void {
    if (isNative(host)) this.#postOf(host, "interleave");
    if (isQueue(host)) host.attach({ wait: (ms) => this.#waitForReport(ms) });
    if (isQueue(this.#host)) this.#host.detach();
    this.#withdraw();
    this.#host = host;
    const needed = this.#needsWorker() && !this.#mayWaitInPool();
    if (needed && this.#handOver === undefined) this.#startWorker();
    else this.#settleReport();
    if (isQueue(host)) this.#handOver!.waitUntilUp();
    if (this.#phase !== "running") this.park();
  }

  /**
   * Calls `run`, which blocks this thread in a nested loop of a toolkit's. While
   * it does, work items run in there, even if a callback of the reactor's is on
   * the stack.
   */
  modal<T>(waker: NativeWaker, run: () => T): T {
    this.#postOf(waker, "run a modal loop");
    const outer = this.#modal;
    const wasRunning = this.#phase === "running";
    this.#withdraw();
    this.#modal = waker;
    this.#attachments.suspend(true);
    try {
      if (this.#handOver?.isPosting) this.#retireWorker();
      if (this.#handOver === undefined) this.#startWorker();
      else this.#settleReport();
      this.park();
      return run();
    } finally {
      this.#modal = outer;
      this.#attachments.suspend(outer !== undefined);
      if (!this.#ended()) {
        this.#withdraw();
        this.#settleReport();
        if (wasRunning) this.#phase = "running";
        else this.park();
      }
    }
  }

  /** Runs the outstanding work item, if there is one. */
  work(): void {
    if (this.#native === undefined) return this.#work(this.#item);
    // Before as well: Deno calls a thread-safe callback before the promises of
    // the code that ran last, and before a blocking call nobody served them.
    runMicrotasks();
    this.#takeReport();
    runMicrotasks();
  }

  /** Ends a run of the main side: from here on the worker may poll. */
  park(): void {
    this.#rounds.end();
    if (this.#phase === "ended") return;
    this.#phase = "parked";
    this.#counters.parks++;
    this.#arm();
  }

  /** Sees to it that somebody waits. */
  #arm(): void {
    const timeout = this.#prepare();
    // A worker of a modal call that has ended is kept for the next one.
    if (!this.#needsWorker()) return;
    if (this.#handOver === undefined) {
      if (this.#mayWaitInPool()) return this.#armPoolWait(timeout);
      if (!this.#tryToStartWorker()) return;
    }
    const attachments = this.#attachments;
    if (attachments.size === 0) return this.#armFor(timeout);
    const { table, count } = attachments.combine(this.#set);
    const stepIn = wholeMilliseconds(attachments.timeout());
    const { holds } = attachments;
    const handOver = this.#handOver!;
    if (!handOver.arm(table, count, sooner(timeout, stepIn), holds)) {
      attachments.notHeld();
    }
    if (holds.length > 0) attachments.held();
  }

  /** Gets the set ready for a wait, and returns how long that may take. */
  #prepare(): number {
    const rounds = this.#rounds;
    return this.#set.prepare(rounds.timeout(), rounds.deadline());
  }

  /** Lets the worker wait for the set alone. */
  #armFor(timeout: number): void {
    const { table, count } = this.#set;
    this.#handOver!.arm(table, count, timeout);
  }

  /** There is something to do that no descriptor tells of. */
  wake(): void {
    if (this.#phase !== "parked") return;
    try {
      if (this.#set.wake()) this.#counters.wakes++;
    } catch (error) {
      // Nothing gets the worker out of its wait any more. Whoever has asked for
      // it is not done yet.
      queueMicrotask(() => {
        if (!this.#ended()) this.#rounds.failed(error as Error);
      });
    }
    this.#ensureWaiter();
  }

  /** The nearest deadline has come nearer. */
  timerSooner(): void {
    if (this.#phase !== "parked") return;
    if (!this.#set.sooner(this.#rounds.timeout(), this.#rounds.deadline())) {
      this.wake();
    }
    this.#ensureWaiter();
  }

  /** The set was changed. */
  interestChanged(): void {
    if (this.#set.stale) this.wake();
    this.#ensureWaiter();
  }

  /**
   * On return the worker holds no reference to any descriptor that is not
   * registered.
   */
  letGo(): void {
    if (this.#set.borrows) this.reconsider();
  }

  /** Takes back what the worker was asked, and asks anew. */
  reconsider(): void {
    if (this.#phase !== "parked" || !this.#needsWorker()) return;
    this.#withdraw();
    this.park();
  }

  /** Lets the run keep the process alive, or not. */
  keepAlive(on: boolean): void {
    if (on === this.#keepsAlive) return;
    this.#keepsAlive = on;
    if (on) this.#handOver?.ref();
    else this.#handOver?.unref();
    // Only one that keeps the process alive waits in Deno's pool.
    if (on) this.#ensureWaiter();
    else if (this.#phase === "parked" && this.#mayWaitInPool()) this.wake();
  }

  /** One turn on this thread; see `Reactor.iterate`. */
  iterate(ms: number): boolean {
    if (this.#phase === "running") {
      throw new ReactorAlreadyRunning(
        "Cannot iterate: a callback of this reactor is running, and its turn has to end first",
      );
    }
    this.#withdraw();
    if (this.#ended()) return true; // A worker that failed has done it.
    const attachments = this.#attachments;
    if (attachments.size > 0) {
      this.#phase = "running";
      attachments.prepare();
      if (this.#ended()) return true; // A loop's "prepare" has done it.
      this.#phase = "parked";
    }
    const timeout = this.#prepare();
    if (attachments.size === 0) {
      return this.#turn(sooner(ms, timeout), "never");
    }
    attachments.combine(this.#set);
    const stepIn = wholeMilliseconds(attachments.timeout());
    attachments.wait(sooner(sooner(ms, timeout), stepIn));
    return this.#turn(0, "never");
  }

  /**
   * Ends the run: the waker is not called again, and no work item does
   * anything.
   *
   * @returns Settles when the worker's thread is gone.
   */
  async end(): Promise<void> {
    this.#phase = "ended";
    removeEventListener("beforeunload", this.#beforeUnload);
    this.#overdue.end();
    if (isQueue(this.#host)) this.#host.detach();
    this.#cancelWorkerTimer();
    await Promise.all([
      this.#handOver?.end(this.#wakeSet),
      this.#poolWait?.end(),
      ...this.#retired,
    ]);
    for (const post of this.#posts.values()) {
      callGuarded(
        () => post.release(),
        (error) => this.#rounds.report(error, "release of a waker"),
      );
    }
  }

  /**
   * No report of the native kind is under way any more: what follows may take
   * the toolkit down.
   */
  settle(): void {
    this.#handOver?.settle();
  }

  /** The toolkit that blocks the main thread at present. */
  get #native(): NativeWaker | undefined {
    return this.#modal ?? (isNative(this.#host) ? this.#host : undefined);
  }

  #postOf(waker: NativeWaker, action: string): NativePost {
    let post = this.#posts.get(waker);
    if (post === undefined) {
      post = usePost(waker, action, () => this.work());
      this.#posts.set(waker, post);
    }
    return post;
  }

  /** There is something new to wait for, and perhaps nobody who does. */
  #ensureWaiter(): void {
    if (this.#phase !== "parked" || this.#handOver !== undefined) return;
    if (!this.#needsWorker()) return;
    const timeout = this.#prepare();
    if (this.#mayWaitInPool()) return this.#armPoolWait(timeout);
    // A loop that was attached just now takes part when it has been asked, in
    // the turn that it was attached for.
    if (this.#tryToStartWorker()) this.#armFor(timeout);
  }

  /** Whether things can go on without a worker for now. */
  #mayWaitInPool(): boolean {
    return this.#poolWait !== undefined && this.#handOver === undefined &&
      this.#modal === undefined && this.#attachments.size === 0 &&
      (this.#host === "deno" || typeof this.#host === "function");
  }

  #armPoolWait(timeout: number): void {
    if (this.#keepsAlive) {
      this.#cancelWorkerTimer();
      this.#poolWait!.arm(timeout);
    } else if (timeout === 0 || this.#rounds.expects()) this.#startWorkerSoon();
  }

  /** Somebody has to wait, if the program goes on for other reasons. */
  #startWorkerSoon(): void {
    if (this.#workerTimer !== undefined) return;
    this.#workerTimer = setTimeout(() => this.#replacePoolWait(), 1);
    Deno.unrefTimer(this.#workerTimer);
  }

  #cancelWorkerTimer(): void {
    // The first call to Deno's timers loads them, which takes 7 ms.
    if (this.#workerTimer === undefined) return;
    clearTimeout(this.#workerTimer);
    this.#workerTimer = undefined;
  }

  /** Starts a worker, which waits from now on. */
  #replacePoolWait(): void {
    this.#cancelWorkerTimer();
    if (this.#phase !== "parked" || !this.#mayWaitInPool()) return;
    // With no descriptor left, Deno would panic.
    if (!hasRoomFor(this.#set.table[0]!, WORKER_DESCRIPTORS)) {
      return this.#armPoolWait(-1);
    }
    if (this.#tryToStartWorker()) this.#arm();
  }

  #tryToStartWorker(): boolean {
    try {
      this.#startWorker();
      return true;
    } catch (error) {
      this.#rounds.failed(error as Error);
      return false;
    }
  }

  #startWorker(): void {
    this.#poolWait?.disarm();
    this.#handOver = this.#makeHandOver(this.#set.table, {
      reported: (sequence) => {
        // Not that of a wait that was withdrawn.
        if (sequence === this.#handOver!.sequence) this.#reported();
      },
      failed: (error) => this.#workerFailed(error),
    });
    if (this.#keepsAlive) this.#handOver.ref();
    // Beside a whole table, Deno's descriptor would be no use.
    const watched = this.#set.borrows ? undefined : sleepProbe();
    if (watched !== undefined) this.#handOver.probeSleep(watched);
    this.#settleReport();
  }

  /**
   * Gives up a worker that has failed; or one that is inside a call of Deno's,
   * waiting for this thread, which is about to be blocked, and which ends when
   * that is over.
   */
  #retireWorker(): void {
    this.#retired.push(this.#handOver!.end(this.#wakeSet));
    this.#handOver = undefined;
  }

  /**
   * Deno's loop has nothing more to do, and Deno is about to free its callbacks.
   * A worker that is inside one then, or enters one, would take the process
   * down with it.
   */
  #leave(event: Event): void {
    if (this.#phase !== "parked") return;
    this.#withdraw();
    this.#leaving = true;
    // One more round of the loop lets the worker out.
    if (this.#handOver?.isPosting) event.preventDefault();
    // Somebody else may have found something to do for the program.
    Deno.unrefTimer(setTimeout(() => {
      this.#leaving = false;
      this.reconsider();
    }, STAYING));
  }

  /** Tells the worker how to report in the present host. */
  #settleReport(): void {
    const native = this.#native;
    const report: Report = native !== undefined
      ? this.#posts.get(native)!
      : isQueue(this.#host)
      ? "none"
      : "message";
    const handOver = this.#handOver;
    if (handOver === undefined) return;
    handOver.report = report;
    // A call that waits for this thread is one of a callback of Deno's.
    const entersDeno = typeof report === "object" && report.synchronous;
    if (entersDeno) addEventListener("beforeunload", this.#beforeUnload);
    else removeEventListener("beforeunload", this.#beforeUnload);
    // The next statement may block this thread, which then hears of nothing.
    if (native !== undefined) handOver.waitUntilUp();
  }

  #needsWorker(): boolean {
    return this.#host !== "iterate" || this.#modal !== undefined;
  }

  /** The worker is not polling when this returns, and has nothing to report. */
  #withdraw(): void {
    if (this.#phase !== "parked") return;
    this.#poolWait?.disarm();
    let handOver: HandOver | undefined;
    while (handOver !== this.#handOver && !this.#ended()) {
      handOver = this.#handOver;
      handOver?.withdraw(this.#wakeSet);
      // If it failed meanwhile, another has taken its place, and been armed.
    }
  }

  #reported(): void {
    if (this.#phase !== "parked" || this.#native !== undefined) return;
    this.#phase = "outstanding";
    if (this.#handOver !== undefined) {
      this.#proven = true;
      this.#lookForDeno(this.#handOver.sleepsIn);
    }
    const item = ++this.#item;
    const host = this.#host;
    if (typeof host === "string") {
      // After a spent budget the report may arrive before Deno has looked at
      // anything else. An immediate comes after the timers and after a look at
      // Deno's own descriptors. And since it is no microtask, as the message is,
      // promises can be served in a dialog that an attached loop opens.
      if (this.#spent || this.#attachments.size > 0) {
        setImmediate(() => this.#work(item));
      } else this.#work(item);
      return;
    }
    const work = () => this.#work(item);
    if (!isQueue(host)) this.#overdue.expect(item);
    callGuarded(
      () => isQueue(host) ? host.put(work) : (host as Waker)(work),
      (error) => {
        this.#rounds.report(error, "waker");
        this.#work(item); // This is Deno's loop: nobody else will run it.
      },
    );
  }

  /** The worker has seen in which descriptor this thread sleeps, or 0. */
  #lookForDeno(theirs: number): void {
    if (theirs === 0 || this.#denoLoop !== undefined) return;
    const loop = DenoLoop.of(this.#set.table[0]!, theirs);
    this.#denoLoop = loop;
    if (this.#lowLatency && loop !== undefined) {
      this.#latency = new LowLatency(loop);
    }
  }

  /**
   * The work item. A second call, or one that comes too late, finds another
   * number or phase and does nothing.
   */
  #work(item: number): void {
    if (this.#phase === "outstanding" && item === this.#item) this.#turn(0);
  }

  /**
   * Rounds while there is something to do, within the budget. Nothing escapes.
   *
   * @param wait How long to wait for the first, in milliseconds.
   * @param briefly When to wait in place for more.
   */
  #turn(wait: number, briefly: Briefly = "after"): boolean {
    this.#phase = "running";
    const counters = this.#counters;
    counters.turns++;
    this.#rounds.begin();
    const before = counters.events;
    try {
      let since = monotonic();
      const end = since + this.#budget.ms;
      let ready = this.#drain(wait, briefly === "at once");
      if (wait !== 0) since = monotonic();
      for (;;) {
        counters.rounds++;
        const ran = this.#rounds.round(ready);
        counters.events += ran;
        if (this.#ended()) break;
        const now = monotonic();
        if (now - since > this.#tooLong) this.#rounds.slow(now - since);
        since = now;
        this.#spent = now >= end ||
          counters.events - before >= this.#budget.events;
        if (this.#spent) break;
        ready = this.#drain(0, ran > 0 && briefly !== "never");
        if (ready === 0 && (ran === 0 || !this.#isDue())) break;
        counters.inlineHits++;
      }
      this.#failures = 0;
    } catch (error) {
      // Nothing of the user's throws here: the set does, or the reactor itself.
      this.#rounds.report(error, "turn");
      if (++this.#failures === MOST_FAILURES) {
        this.#rounds.failed(error as Error);
      }
    }
    if (!this.#ended() && this.#attachments.size > 0) {
      this.#attachments.prepare();
    }
    const worked = counters.events > before;
    if (worked) this.#latency?.prolong();
    if (this.#isWatchful()) this.#soon(() => this.#watch());
    else if (worked && this.#goesOn()) {
      this.#soon(() => this.#turn(0, "at once"));
    } else this.park();
    return worked;
  }

  /**
   * Whether a turn whose budget is spent is followed by the next one as soon as
   * Deno's timers have had theirs. There must be nothing for Deno in its
   * descriptor, which it does not look at as long as there are immediates.
   */
  #goesOn(): boolean {
    return this.#spent && this.#hasDeno() && !this.#denoLoop!.isReady;
  }

  /**
   * Whether the next turn can follow by an immediate: Deno's loop is the host,
   * and its descriptor known. An immediate keeps the process alive.
   */
  #hasDeno(): boolean {
    return this.#denoLoop !== undefined && this.#host === "deno" &&
      this.#keepsAlive && this.#modal === undefined && !this.#ended() &&
      this.#attachments.size === 0;
  }

  /** Whether this thread waits itself for what comes next. */
  #isWatchful(): boolean {
    return this.#latency !== undefined && !this.#spent && this.#hasDeno() &&
      this.#latency.isOn;
  }

  /** Goes on when Deno's timers have had their turn. */
  #soon(f: () => void): void {
    this.#rounds.end();
    this.#phase = "outstanding";
    const item = ++this.#item;
    setImmediate(() => {
      if (this.#phase === "outstanding" && item === this.#item) f();
    });
  }

  #watch(): void {
    const timeout = this.#set.immediate ? 0 : this.#rounds.timeout();
    const found = timeout === 0 ? "ours" : this.#latency!.wait(timeout);
    const isDue = found === "ours" || this.#rounds.timeout() === 0;
    if (isDue) this.#turn(0);
    else if (found === "nothing" && this.#latency!.isOn) {
      this.#soon(() => this.#watch());
    } else this.park(); // Deno has something to do, which parking lets it see.
  }

  /** What is ready now, or in a moment if that is likely. */
  #drain(wait: number, isLikely: boolean): number {
    return isLikely && this.#attachments.size === 0 &&
        this.#briefWait.isWorthIt(this.#rounds.timeout())
      ? this.#briefWait.drain()
      : this.#set.drain(wait);
  }

  #ended(): boolean {
    return this.#phase === "ended";
  }

  /** There is something to do that the set does not show. */
  #isDue(): boolean {
    return this.#rounds.timeout() === 0 || this.#attachments.size > 0;
  }

  /** Somebody says that the worker has reported, which may be so or not. */
  #takeReport(): void {
    const handOver = this.#handOver!;
    if (
      this.#phase !== "parked" || this.#leaving || !handOver.waitForReport(0)
    ) return;
    // Another worker has taken the place of one that failed.
    if (handOver !== this.#handOver || this.#ended()) return;
    this.#proven = true;
    this.#turn(0);
  }

  #waitForReport(ms: number): boolean | undefined {
    // Nothing can come while a callback is on the stack, or before the item
    // that was taken has run.
    if (this.#phase !== "parked") return undefined;
    const handOver = this.#handOver!;
    if (!handOver.waitForReport(ms)) return false;
    // Another worker has taken the place of one that failed.
    if (handOver === this.#handOver) this.#reported();
    return true;
  }

  #workerFailed(error: Error): void {
    if (this.#phase === "ended") return;
    if (!this.#proven) return this.#rounds.failed(error);
    this.#proven = false;
    this.#rounds.report(error, "worker");
    if (this.#ended()) return; // Whoever was told has seen to that.
    this.#retireWorker();
    try {
      this.#startWorker();
    } catch (error) {
      return this.#rounds.failed(error as Error);
    }
    // Its wait is over, one way or the other. What it may have seen is found by
    // the next one.
    if (this.#phase === "parked") this.park();
  }
}

function isQueue(host: Host): host is BlockingQueue {
  return host instanceof BlockingQueue;
}

function isNative(host: Host): host is NativeWaker {
  return typeof host === "object" && !isQueue(host);
}
