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
 * looks at them every 61 turns only.
 *
 * @module
 */

import type { ReadinessSet } from "../ffi/readiness_set.ts";
import type { BlockingQueue } from "./blocking_queue.ts";
import { ReactorAlreadyRunning } from "./errors.ts";
import { HandOver } from "./hand_over.ts";
import { callGuarded } from "./thenable.ts";
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
  | BlockingQueue;

/** What a turn is made of: the reactor's part. */
export interface Rounds {
  /** A turn begins. */
  begin(): void;
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
  /** The worker, or the set, works no longer. */
  failed(error: Error): void;
}

/** How long one work item may hold the host. */
export interface Budget {
  /** Milliseconds. */
  readonly ms: number;
  /** Callbacks. */
  readonly events: number;
}

/** What has happened so far, for `inspect()`. */
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
}

/** After so many turns in a row that failed, a reactor will not recover. */
const MOST_FAILURES = 3;

type Phase = "running" | "parked" | "outstanding" | "ended";

/** One run of a reactor, from its start to its end or crash. */
export class TurnLoop {
  readonly #rounds: Rounds;
  readonly #set: ReadinessSet;
  readonly #budget: Budget;
  readonly #counters: Counters;
  #phase: Phase = "running";
  #host: Host = "iterate";
  #handOver: HandOver | undefined;
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
  readonly #wakeSet = () => this.#set.wake();

  constructor(
    rounds: Rounds,
    set: ReadinessSet,
    budget: Budget,
    counters: Counters,
  ) {
    this.#rounds = rounds;
    this.#set = set;
    this.#budget = budget;
    this.#counters = counters;
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
    if (isQueue(host)) host.attach({ wait: (ms) => this.#waitForReport(ms) });
    if (isQueue(this.#host)) this.#host.detach();
    if (this.#phase === "parked") this.#handOver?.withdraw(this.#wakeSet);
    this.#host = host;
    if (host !== "iterate" && this.#handOver === undefined) this.#startWorker();
    if (this.#handOver !== undefined) this.#handOver.posting = !isQueue(host);
    if (isQueue(host)) this.#handOver!.waitUntilUp();
    if (this.#phase !== "running") this.park();
  }

  /** Ends a run of the main side: from here on the worker may poll. */
  park(): void {
    if (this.#phase === "ended") return;
    this.#phase = "parked";
    this.#counters.parks++;
    const set = this.#set;
    const timeout = set.prepare(
      this.#rounds.timeout(),
      this.#rounds.deadline(),
    );
    this.#handOver?.arm(set.table, set.count, timeout);
  }

  /** There is something to do that no descriptor tells of. */
  wake(): void {
    if (this.#phase === "parked" && this.#set.wake()) this.#counters.wakes++;
  }

  /** The nearest deadline has come nearer. */
  timerSooner(): void {
    if (this.#phase !== "parked") return;
    if (!this.#set.sooner(this.#rounds.timeout(), this.#rounds.deadline())) {
      this.wake();
    }
  }

  /** The set was changed. */
  interestChanged(): void {
    if (this.#set.stale) this.wake();
  }

  /**
   * On return the worker holds no reference to any descriptor that is not
   * registered.
   */
  letGo(): void {
    if (
      !this.#set.borrows || this.#phase !== "parked" ||
      this.#handOver === undefined
    ) return;
    this.#handOver.withdraw(this.#wakeSet);
    this.park();
  }

  /** Lets the run keep the process alive, or not. */
  keepAlive(on: boolean): void {
    if (on === this.#keepsAlive) return;
    this.#keepsAlive = on;
    if (on) this.#handOver?.ref();
    else this.#handOver?.unref();
  }

  /** One turn on this thread; see `Reactor.iterate`. */
  iterate(ms: number): boolean {
    if (this.#phase === "running") {
      throw new ReactorAlreadyRunning(
        "Cannot iterate: a callback of this reactor is running, and its turn has to end first",
      );
    }
    if (this.#phase === "parked") this.#handOver?.withdraw(this.#wakeSet);
    const timeout = this.#set.prepare(
      this.#rounds.timeout(),
      this.#rounds.deadline(),
    );
    return this.#turn(
      timeout < 0 ? ms : ms < 0 ? timeout : Math.min(ms, timeout),
    );
  }

  /**
   * Ends the run: the waker is not called again, and no work item does
   * anything.
   *
   * @returns Settles when the worker's thread is gone.
   */
  async end(): Promise<void> {
    this.#phase = "ended";
    if (isQueue(this.#host)) this.#host.detach();
    await this.#handOver?.end(this.#wakeSet);
  }

  #startWorker(): void {
    this.#handOver = new HandOver(this.#set.table, {
      reported: (sequence) => this.#reported(sequence),
      failed: (error) => this.#workerFailed(error),
    });
    this.#handOver.posting = !isQueue(this.#host);
    if (this.#keepsAlive) this.#handOver.ref();
  }

  #reported(sequence: number): void {
    // A report of a wait that was withdrawn, or of a run that has ended.
    if (this.#phase !== "parked" || sequence !== this.#handOver!.sequence) {
      return;
    }
    this.#proven = true;
    this.#phase = "outstanding";
    const item = ++this.#item;
    const host = this.#host;
    if (typeof host === "string") {
      // After a spent budget the report may arrive before Deno has looked at
      // anything else. An immediate comes after the timers and after a look at
      // Deno's own descriptors.
      if (this.#spent) setImmediate(() => this.#work(item));
      else this.#work(item);
      return;
    }
    const work = () => this.#work(item);
    callGuarded(
      () => isQueue(host) ? host.put(work) : host(work),
      (error) => {
        this.#rounds.report(error, "waker");
        this.#work(item); // This is Deno's loop: nobody else will run it.
      },
    );
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
   */
  #turn(wait: number): boolean {
    this.#phase = "running";
    const counters = this.#counters;
    counters.turns++;
    this.#rounds.begin();
    const before = counters.events;
    try {
      const end = performance.now() + this.#budget.ms;
      for (let ready = this.#set.drain(wait);;) {
        counters.rounds++;
        const ran = this.#rounds.round(ready);
        counters.events += ran;
        if (this.#ended()) break;
        this.#spent = performance.now() >= end ||
          counters.events - before >= this.#budget.events;
        if (this.#spent) break;
        ready = this.#set.drain(0);
        if (ready === 0 && (ran === 0 || this.#rounds.timeout() !== 0)) break;
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
    this.park();
    return counters.events > before;
  }

  #ended(): boolean {
    return this.#phase === "ended";
  }

  #waitForReport(ms: number): boolean | undefined {
    // Nothing can come while a callback is on the stack, or before the item
    // that was taken has run.
    if (this.#phase !== "parked") return undefined;
    const handOver = this.#handOver!;
    if (!handOver.waitForReport(ms)) return false;
    // Another worker has taken the place of one that failed.
    if (handOver === this.#handOver) this.#reported(handOver.sequence);
    return true;
  }

  #workerFailed(error: Error): void {
    if (this.#phase === "ended") return;
    if (!this.#proven) return this.#rounds.failed(error);
    this.#proven = false;
    this.#rounds.report(error, "worker");
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
  return typeof host === "object";
}
