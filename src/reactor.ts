/**
 * The reactor: the public face of the parts beside it.
 *
 * | part | file |
 * |---|---|
 * | who watches which descriptor | `descriptors.ts`, `wait.ts`, `watch.ts` |
 * | delayed calls | `delayed_calls.ts` |
 * | startup, shutdown and other events | `system_events.ts` |
 * | what runs when, and where | `turn.ts` |
 * | the worker | `hand_over.ts`, `ffi/poll_loop.ts` |
 * | toolkits that block the main thread | `native_waker.ts` |
 * | loops that lend their descriptors | `attachments.ts` |
 * | calls from other threads, and calls in them | `threads/threads.ts` |
 * | the kernel's side | `ffi/epoll_set.ts`, `ffi/poll_set.ts` |
 *
 * @module
 */

import { EpollSet } from "../ffi/epoll_set.ts";
import { PollSet } from "../ffi/poll_set.ts";
import {
  type ReadinessSet,
  sooner,
  wholeMilliseconds,
} from "../ffi/readiness_set.ts";
import {
  checkBoolean,
  checkDelay,
  checkFunction,
  complaint,
  show,
} from "./arguments.ts";
import { Attachments, checkForeignLoop } from "./attachments.ts";
import { BlockingQueue } from "./blocking_queue.ts";
import {
  type DelayedCall,
  type DelayedCallReport,
  DelayedCalls,
} from "./delayed_calls.ts";
import {
  type DescriptorReport,
  Descriptors,
  inWords,
  type ReadDescriptor,
  type WriteDescriptor,
} from "./descriptors.ts";
import {
  asError,
  ConnectionLost,
  DescriptorSpinning,
  ReactorAlreadyRunning,
  ReactorFailed,
  ReactorNotRestartable,
  ReactorNotRunning,
  WorkItemOverdue,
} from "./errors.ts";
import { type Fd, numberOf } from "./fd.ts";
import type {
  Attachment,
  AttachmentReport,
  ForeignLoop,
} from "./foreign_loop.ts";
import { monotonic } from "./monotonic.ts";
import {
  checkNativeWaker,
  isNativeWaker,
  type NativeWaker,
} from "./native_waker.ts";
import { print } from "./print.ts";
import { type Interest, MASKS, type Readiness } from "./readiness.ts";
import { onTermination } from "./signals.ts";
import { type Culprit, SlowCallbacks, tooLong } from "./slow_callbacks.ts";
import { type Phase, SystemEvents, type TriggerId } from "./system_events.ts";
import { callGuarded } from "./thenable.ts";
import { checkOffers, checkThreadFunction } from "./threads/functions.ts";
import type { AnyFunction, ThreadFunction } from "./threads/functions.ts";
import {
  checkHandleOptions,
  type HandleOptions,
  type ReactorHandle,
} from "./threads/handle.ts";
import { enterIOThread } from "./threads/io_thread.ts";
import { Threads, type ThreadsReport } from "./threads/threads.ts";
import {
  type CallbackKind,
  checkTraceHook,
  nameOf,
  type TraceHook,
  Tracing,
} from "./trace/tracing.ts";
import {
  type Budget,
  type Counters,
  type Host,
  type MakeHandOver,
  TurnLoop,
} from "./turn.ts";
import { checkWaitOptions, waitFor, type WaitOptions } from "./wait.ts";
import type { Waker } from "./wakers.ts";
import { DescriptorWatch, Rest, type Watch } from "./watch.ts";

/**
 * Options of {@linkcode Reactor}.
 *
 * @example A reactor that tells of errors in the program's own way
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * await using reactor = new Reactor({
 *   label: "devices",
 *   budget: { ms: 1, events: 100 },
 *   onError: (error, where) => log.push(`${where}: ${error}`),
 * });
 * reactor.callFromThread(() => {
 *   throw new Error("The device is gone");
 * });
 * reactor.callLater(1, () => reactor.stop());
 * await reactor.run();
 * assertEquals(log, ["callFromThread: Error: The device is gone"]);
 * ```
 */
export interface ReactorOptions {
  /**
   * How to ask the kernel. `"epoll"` exists on Linux only; `"poll"` works
   * everywhere, and wins where nearly all of few descriptors are always busy.
   *
   * @default {"epoll"} on Linux, `"poll"` elsewhere
   */
  backend?: "epoll" | "poll";
  /**
   * How long one work item may hold the host, before it gives way and goes on
   * in the next one.
   */
  budget?: {
    /**
     * Milliseconds.
     *
     * @default {0.25}
     */
    ms?: number;
    /**
     * Callbacks. What one look at the kernel finds is always dispatched whole.
     *
     * @default {Infinity}
     */
    events?: number;
  };
  /**
   * How soon events reach their callbacks. With `"low"` the main thread itself
   * waits for the next event, while they come less than 5 ms apart: in the
   * kernel, and for Deno's own descriptors, too. That saves the way through the
   * worker. What it costs: timers of Deno's may be a millisecond late meanwhile,
   * and so may what other threads send. On Deno's own loop only, on Linux, with
   * the `"epoll"` backend; elsewhere it changes nothing.
   *
   * @default {"normal"}
   */
  latency?: "normal" | "low";
  /**
   * Gets what callbacks, wakers and the worker throw, always an Error, and what
   * is only worth a word, such as {@linkcode DescriptorSpinning}. `where` says in
   * words whom it concerns. The loop goes on either way.
   *
   * @default {console.error}
   */
  onError?: (error: unknown, where: string) => void;
  /**
   * The clock for delayed calls, in milliseconds. It is read anew in each
   * round.
   *
   * @default {performance.now}
   */
  clock?: () => number;
  /** A name for `inspect()`. */
  label?: string;
  /**
   * Whether to remember where each registration and delayed call was made, for
   * `inspect()` and messages. It makes each of them many times dearer.
   *
   * @default {false}
   */
  captureStacks?: boolean;
  /**
   * Gets told of every callback: see {@linkcode Reactor.prototype.trace Reactor.trace}.
   *
   * @default {undefined}
   */
  trace?: TraceHook;
}

/**
 * Options of {@linkcode Reactor.prototype.run Reactor.run} and {@linkcode Reactor.prototype.interleave Reactor.interleave}.
 *
 * @example A host of one's own that SIGTERM ends in order
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { libc } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const SIGTERM = 15;
 *
 * const reactor = new Reactor();
 * reactor.interleave((work) => setTimeout(work, 1), { signals: true });
 * reactor.callLater(60_000, () => console.log("A minute has gone by"));
 *
 * libc().kill(Deno.pid, SIGTERM); // As the system does when it goes down.
 * await reactor.finished;
 * assertEquals(reactor.inspect().signal, "SIGTERM");
 * ```
 */
export interface RunOptions {
  /**
   * Whether the first SIGINT or SIGTERM calls `stop()`. The second one ends the
   * process, as it does without this.
   *
   * @default {true} for `run`, false for `interleave`
   */
  signals?: boolean;
}

/**
 * What {@linkcode Reactor.prototype.inspect Reactor.inspect} returns.
 *
 * @example What a program that does not end is waiting for
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { assertEquals, assertStringIncludes } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [output, input] = FileDescriptor.pipe();
 * using _watch = reactor.watch(output, "readable", { label: "the log" });
 * using _call = reactor.callLater(60_000, function rotateLog() {});
 *
 * const { keepsAlive, descriptors, delayedCalls } = reactor.inspect();
 * assertEquals(keepsAlive, {
 *   run: false,
 *   descriptors: 1,
 *   delayedCalls: 1,
 *   attachments: 0,
 *   threads: 0,
 * });
 * assertEquals(descriptors[0]!.watchers[0]!.label, "the log");
 * assertStringIncludes(delayedCalls[0]!.text, "rotateLog");
 * output.close();
 * input.close();
 * ```
 */
export interface ReactorReport {
  /** The reactor's label. */
  readonly label: string | undefined;
  /** How it asks the kernel. */
  readonly backend: "epoll" | "poll";
  /** See {@linkcode Reactor.prototype.running Reactor.running}. */
  readonly running: boolean;
  /** Where its work items run at present. */
  readonly host: "none" | "deno" | "iterate" | "waker" | "queue" | "native";
  /**
   * What keeps the process alive: the run itself, descriptors, delayed calls;
   * all false after `unref()`.
   */
  readonly keepsAlive: {
    /** `run()` is pending, or the reactor is about to stop. */
    readonly run: boolean;
    /** How many readers, writers, waits and watches do. */
    readonly descriptors: number;
    /** How many delayed calls do. */
    readonly delayedCalls: number;
    /** How many attached loops do. */
    readonly attachments: number;
    /** How many calls in the pool of threads do. */
    readonly threads: number;
  };
  /** The descriptors and who watches them. */
  readonly descriptors: readonly DescriptorReport[];
  /** The loops that are attached. */
  readonly attachments: readonly AttachmentReport[];
  /** The delayed calls that are to come. */
  readonly delayedCalls: readonly DelayedCallReport[];
  /** The pool of threads, and the handles of others. */
  readonly threads: ThreadsReport;
  /** The signal that stopped the reactor, if one did. */
  readonly signal: Deno.Signal | undefined;
  /** What has happened so far. */
  readonly counters: Readonly<Counters>;
}

const DEFAULT_BUDGET: Budget = { ms: 0.25, events: Infinity };

/** What `inspect()` says of the threads of a reactor that has none. */
const NO_THREADS: ThreadsReport = { size: 0, busy: 0, queued: 0, handles: 0 };

/** When to look at a clock again that has failed, in milliseconds. */
const RETRY_CLOCK = 1000;

let makeSelfStarting: (reactor: Reactor) => Reactor;

/** The parts that a reactor rests on: the seam where faults are tried. */
export interface Seam {
  /** Makes its set. @default {the backend's} */
  readonly set?: () => ReadinessSet;
  /** Starts a worker. @default {a {@linkcode HandOver}} */
  readonly handOver?: MakeHandOver;
  /** When a work item is overdue, in milliseconds. @default {10_000} */
  readonly overdue?: number;
  /** When a callback is slow, in milliseconds. @default {1000, or longer} */
  readonly tooLong?: number;
}

/**
 * The threads of a reactor, for something that can only end through a loop: it
 * is started on Deno's if nothing has started it.
 *
 * @throws {ReactorNotRestartable} When it has been stopped.
 * @throws {Deno.errors.BadResource} When it is closed.
 */
export let threadsOf: (reactor: Reactor, action: string) => Threads;

/** Makes a reactor that rests on other parts than its own. */
export let makeReactor: (options: ReactorOptions, seam: Seam) => Reactor;

/**
 * Waits for file descriptors off the main thread, and runs callbacks on it.
 *
 * Most programs need only the shared instance {@linkcode reactor}. One of your
 * own is for another host than Deno's loop, other options, or an end of its
 * own.
 *
 * @example Waiting for a descriptor
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { assert } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [reader, writer] = FileDescriptor.pipe();
 * reactor.callLater(5, () => writer.write(new Uint8Array([1])));
 *
 * const { readable } = await reactor.readable(reader);
 * assert(readable);
 * reader.close();
 * writer.close();
 * ```
 */
export class Reactor implements AsyncDisposable {
  static {
    makeSelfStarting = (reactor) => {
      reactor.#selfStarting = true;
      return reactor;
    };
    threadsOf = (reactor, action) => {
      reactor.#requireWatching(action);
      reactor.#startForPromises(action);
      return reactor.#threads();
    };
    makeReactor = (options, seam) => {
      const reactor = new Reactor(options);
      reactor.#seam = seam;
      if (seam.tooLong !== undefined) reactor.#slow.limit = seam.tooLong;
      return reactor;
    };
  }

  readonly #backend: "epoll" | "poll";
  readonly #budget: Budget;
  readonly #lowLatency: boolean;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #clock: () => number;
  readonly #label: string | undefined;
  readonly #captureStacks: boolean;
  readonly #tracing: Tracing;
  #seam: Seam = {};
  readonly #slow: SlowCallbacks;
  /** What is running of a round, or ran last. */
  #part: "descriptors" | "queue" | "calls" = "queue";
  /** How many callbacks ran in the last round. */
  #ran = 0;
  #toldOverdue = false;
  readonly #counters: Counters = {
    turns: 0,
    rounds: 0,
    inlineHits: 0,
    events: 0,
    parks: 0,
    wakes: 0,
    spins: 0,
    slowRounds: 0,
    overdue: 0,
  };

  /**
   * Made at the first use, closed at the end. A crash keeps it, with what is
   * registered.
   */
  #set: ReadinessSet | undefined;
  readonly #descriptors: Descriptors;
  readonly #calls: DelayedCalls;
  readonly #events: SystemEvents;
  readonly #attachments: Attachments;
  readonly #rest = new Rest();
  /** Made when there is something for another thread to do. */
  #otherThreads: Threads | undefined;
  /** What `callFromThread` queued. */
  #queue: (() => void)[] = [];
  /** What the present round took from the queue, and how many of them began. */
  #batch: (() => void)[] = [];
  #batchDone = 0;
  readonly #callFailed = (error: unknown, call: DelayedCall) =>
    this.#report(error, String(call));

  /** The present run. */
  #loop: TurnLoop | undefined;
  #selfStarting = false;
  /** The run began without `run` or `interleave`, which may take it over. */
  #selfStarted = false;
  #running = false;
  /** `stop()` has been called since the last start, or there was none. */
  #stopped = true;
  /** The shutdown is to begin in this round. */
  #shutdownDue = false;
  /** It was stopped once: never again. */
  #wasStopped = false;
  /** It has ended for good: nothing is opened any more. */
  #over = false;
  #closing = false;
  #closed: Promise<void> | undefined;
  /** The end that a pending `run()` waits for. */
  #awaited: End | undefined;
  #refd = true;
  #finished: End = newEnd();
  /** Settles when nothing of the runs that have ended waits any more. */
  #ending: Promise<unknown> | undefined;
  #removeSignalListeners: (() => void) | undefined;
  #signal: Deno.Signal | undefined;

  /**
   * Makes a reactor. Nothing is opened before its first use.
   *
   * @throws {TypeError} When an option is of the wrong type.
   * @throws {RangeError} When an option is out of range.
   */
  constructor(options: ReactorOptions = {}) {
    const checked = checkOptions(options);
    this.#backend = checked.backend;
    this.#budget = checked.budget;
    this.#lowLatency = checked.latency === "low";
    this.#onError = checked.onError;
    this.#clock = checked.clock;
    this.#label = checked.label;
    this.#captureStacks = checked.captureStacks;
    const report = (error: unknown, where: string) =>
      this.#report(error, where);
    this.#slow = new SlowCallbacks(tooLong(this.#budget.ms), report);
    this.#tracing = new Tracing({ label: this.#label, report });
    this.#tracing.hook = checked.trace;
    const tracing = this.#tracing;
    this.#descriptors = new Descriptors({
      set: () => this.#readinessSet(),
      requireOpen: (action) => this.#requireWatching(action),
      changed: () => this.#loop?.interestChanged(),
      refsChanged: () => this.#keepAlive(),
      letGo: () => this.#loop?.letGo(),
      defer: (f) => this.#enqueue(f),
      report,
      captureStacks: this.#captureStacks,
      spins: (descriptor, isCertain) => this.#reportSpin(descriptor, isCertain),
      // A rest is so long by Deno's clock.
      canRest: checked.clock === monotonic,
      restEnds: () => this.#loop?.timerSooner(),
      tracing,
    });
    this.#attachments = new Attachments({
      wake: () => this.#loop?.wake(),
      reconsider: () => this.#loop?.reconsider(),
      refsChanged: () => this.#keepAlive(),
      report,
      tracing,
    });
    this.#calls = new DelayedCalls({
      now: this.#clock,
      changed: (sooner) => {
        this.#keepAlive();
        if (sooner) this.#loop?.timerSooner();
      },
      captureStacks: this.#captureStacks,
      tracing,
    });
    this.#events = new SystemEvents({
      failed: report,
      // In a work item, if there are any.
      resume: (f) => this.#loop === undefined ? f() : this.#enqueue(f),
      tracing,
    });
  }

  // Lifecycle

  /**
   * Whether the reactor runs: from the 'during' phase of "startup" to that of
   * "shutdown".
   */
  get running(): boolean {
    return this.#running;
  }

  /**
   * Runs on Deno's own loop, until `stop()` or `crash()`.
   *
   * @param options Whether signals call `stop()`; they do unless told otherwise.
   * @returns Resolves after the last 'after' trigger of "shutdown", or after
   * `crash()`. Rejects with {@linkcode ReactorAlreadyRunning} if the reactor
   * was started before, other than by itself, with {@linkcode
   * ReactorNotRestartable} if it has been stopped or closed, and with
   * {@linkcode ReactorFailed} if it can't go on.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assert } from "@std/assert";
   *
   * const reactor = new Reactor();
   * reactor.callLater(5, () => reactor.stop());
   * await reactor.run();
   * assert(!reactor.running);
   * ```
   */
  async run(options?: RunOptions): Promise<void> {
    const signals = checkSignals(options, "run", true);
    this.#start("deno", "run", signals);
    const end = this.#awaited = this.#finished;
    this.#keepAlive();
    try {
      await end.promise;
    } finally {
      // After a crash another run() may have begun already.
      if (this.#awaited === end) this.#awaited = undefined;
      this.#keepAlive();
    }
  }

  /**
   * Runs in a host: its loop, or its queue. Returns at once, "startup" fired.
   *
   * With a {@linkcode NativeWaker} or a {@linkcode BlockingQueue} it waits until
   * the worker is up, so that the next statement may block this thread.
   *
   * @param waker Takes work items to where the host runs things, or a queue to
   * take them from, or how the worker asks a toolkit to run them. Without one,
   * they run on Deno's own loop.
   * @param options Whether signals call `stop()`; they do not unless told so.
   * @throws {TypeError} When `waker` is none of these, or a member of a native
   * waker is of the wrong type.
   * @throws {ReactorAlreadyRunning} When the reactor was started before, other
   * than by itself, or the queue serves another one.
   * @throws {ReactorNotRestartable} When it has been stopped or closed.
   * @throws {Deno.errors.NotCapable} When the program runs without
   * `--allow-ffi`.
   *
   * @example A host that runs work items when it likes
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const hosts: string[] = [];
   * reactor.callLater(5, () => {
   *   hosts.push(reactor.inspect().host);
   *   reactor.stop();
   * });
   * reactor.interleave((work) => setTimeout(work, 1));
   * await reactor.finished;
   * assertEquals(hosts, ["waker"]);
   * ```
   */
  interleave(
    waker?: Waker | NativeWaker | BlockingQueue,
    options?: RunOptions,
  ): void {
    if (isNativeWaker(waker)) {
      checkNativeWaker(waker, "interleave");
    } else if (
      waker !== undefined && typeof waker !== "function" &&
      !(waker instanceof BlockingQueue)
    ) {
      throw new TypeError(
        complaint(
          waker,
          "interleave",
          "waker",
          "a function, a NativeWaker or a BlockingQueue",
        ),
      );
    }
    const signals = checkSignals(options, "interleave", false);
    this.#start(waker ?? "deno", "interleave", signals);
  }

  /**
   * Begins an orderly end: in the next work item, "shutdown" is fired.
   *
   * @throws {ReactorNotRunning} When the reactor was not started, or `stop()`
   * was called before.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * reactor.interleave();
   * const seen: string[] = [];
   * reactor.addSystemEventTrigger("after", "shutdown", () => seen.push("after shutdown"));
   * reactor.stop();
   * await reactor.finished;
   * assertEquals(seen, ["after shutdown"]);
   * ```
   */
  stop(): void {
    if (this.#stopped) {
      throw new ReactorNotRunning(
        "Cannot stop: the reactor is not running, or is stopping already",
      );
    }
    this.#stopped = true;
    this.#shutdownDue = true;
    this.#wasStopped = true;
    this.#keepAlive();
    this.#loop?.wake();
  }

  /**
   * Ends the loop at once, without "shutdown". Descriptors and delayed calls
   * stay, and the reactor can be started again. Pending waits reject with
   * {@linkcode ReactorNotRunning}.
   *
   * @example Stopping for a moment
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * let ends = 0;
   * reactor.addSystemEventTrigger("during", "shutdown", () => ends++);
   * reactor.callLater(1, () => reactor.crash());
   * await reactor.run();
   * assertEquals(ends, 0);
   *
   * reactor.callLater(1, () => reactor.stop());
   * await reactor.run();
   * assertEquals(ends, 1);
   * ```
   */
  crash(): void {
    if (this.#loop === undefined) return;
    this.#running = false;
    this.#shutdownDue = false;
    this.#events.abandon("startup");
    this.#events.abandon("shutdown");
    this.#descriptors.endObservers(() =>
      new ReactorNotRunning("The reactor has crashed")
    );
    this.#endRun();
  }

  /**
   * Settles when the current or last run has ended, however it ended. Rejects
   * with {@linkcode ReactorFailed} only.
   */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /**
   * Ends everything: stops the reactor if it runs, ends the worker, closes what
   * the reactor opened. It needs no host for that but Deno's loop. Closing it
   * twice does nothing.
   *
   * @returns Settles when all of that is done.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assert, assertThrows } from "@std/assert";
   *
   * const reactor = new Reactor();
   * reactor.interleave();
   * await reactor.close();
   * assert(!reactor.running);
   * assertThrows(() => reactor.callLater(1, () => {}), Deno.errors.BadResource);
   * ```
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** Closes it: `await using reactor = new Reactor()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Lets the reactor keep the process alive, as it does from the beginning:
   * while `run()` is pending, or there is a reader, a writer, or a wait, watch
   * or delayed call with a ref.
   */
  ref(): void {
    this.#refd = true;
    this.#keepAlive();
  }

  /**
   * Lets the process end whatever the reactor has to do, a pending `run()`
   * included. A module that awaits that `run()` at its top level keeps the
   * process by itself.
   *
   * @example A library that lets the program end that uses it
   * ```ts
   * import { FileDescriptor, Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * reactor.unref();
   * const [output, input] = FileDescriptor.pipe();
   * using _watch = reactor.watch(output, "readable");
   * assertEquals(reactor.inspect().keepsAlive.descriptors, 0);
   * output.close();
   * input.close();
   * ```
   */
  unref(): void {
    this.#refd = false;
    this.#keepAlive();
  }

  /**
   * Calls `f` at 'after startup', or at once if the reactor is running.
   *
   * @param f What to call.
   * @param args What to call it with.
   * @returns What `removeSystemEventTrigger` takes, or null if `f` has been
   * called.
   * @throws {TypeError} When `f` is not a function.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const log: string[] = [];
   * reactor.callWhenRunning((text: string) => {
   *   log.push(text);
   *   reactor.stop();
   * }, "running");
   * await reactor.run();
   * assertEquals(log, ["running"]);
   * ```
   */
  callWhenRunning<A extends unknown[]>(
    f: (...args: A) => unknown,
    ...args: A
  ): TriggerId | null {
    checkFunction(f, "call when running", "f");
    if (!this.#running) {
      return this.addSystemEventTrigger("after", "startup", f, ...args);
    }
    this.#call(f, args, "trigger", "callWhenRunning");
    return null;
  }

  /**
   * Adds a trigger to an event: "startup", "shutdown", or one of your own.
   *
   * Each trigger runs once. 'before' triggers may return promises, which are
   * waited for before 'during' begins.
   *
   * @param phase When in the event.
   * @param event Its name.
   * @param f What to call.
   * @param args What to call it with.
   * @returns What `removeSystemEventTrigger` takes.
   * @throws {TypeError} When `phase` or `event` is not a string or `f` is not a
   * function.
   * @throws {RangeError} When there is no such phase.
   *
   * @example Something that the end waits for
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const log: string[] = [];
   * reactor.addSystemEventTrigger("before", "shutdown", async () => {
   *   const response = await fetch("data:,goodbye");
   *   log.push(await response.text());
   * });
   * reactor.addSystemEventTrigger("after", "shutdown", () => log.push("gone"));
   * reactor.callLater(1, () => reactor.stop());
   * await reactor.run();
   * assertEquals(log, ["goodbye", "gone"]);
   * ```
   */
  addSystemEventTrigger<A extends unknown[]>(
    phase: Phase,
    event: string,
    f: (...args: A) => unknown,
    ...args: A
  ): TriggerId {
    this.#requireOpen("add a system event trigger");
    return this.#events.add(
      phase,
      event,
      f as (...args: unknown[]) => unknown,
      args,
    );
  }

  /**
   * Removes a trigger. A 'before' trigger that has run in an event that is
   * still waiting is let be. After the end of a closed reactor it does nothing.
   *
   * @param id What `addSystemEventTrigger` or `callWhenRunning` returned.
   * @throws {TypeError} When `id` never was a trigger of this reactor.
   * @throws {RangeError} When the trigger was removed before, or has run.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * let cups = 0;
   * const id = reactor.addSystemEventTrigger("during", "tea", () => cups++);
   * reactor.removeSystemEventTrigger(id);
   * reactor.fireSystemEvent("tea");
   * assertEquals(cups, 0);
   * ```
   */
  removeSystemEventTrigger(id: TriggerId): void {
    if (this.#closed !== undefined && this.#loop === undefined) return;
    this.#events.remove(id);
  }

  /**
   * Fires an event: its triggers run now, all of them if no 'before' trigger
   * returns a promise. What they throw is reported through `onError`.
   *
   * @param event Its name.
   * @throws {TypeError} When `event` is not a string.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * let cups = 0;
   * reactor.addSystemEventTrigger("during", "tea", () => cups++);
   * reactor.fireSystemEvent("tea");
   * assertEquals(cups, 1);
   * ```
   */
  fireSystemEvent(event: string): void {
    if (typeof event !== "string") {
      throw new TypeError(
        complaint(event, "fire a system event", "event", "a string"),
      );
    }
    this.#events.fire(event);
  }

  // Time

  /**
   * The time in milliseconds, on the clock of the options. Deno's, which is the
   * default, never goes back; only differences mean anything.
   *
   * @returns The time.
   */
  now(): number {
    return this.#calls.now();
  }

  /**
   * Calls `f` once, `ms` milliseconds from now, never earlier and never from
   * inside this call.
   *
   * @param ms Milliseconds, fractions and large numbers included.
   * @param f What to call.
   * @param args What to call it with.
   * @returns The call, to cancel, delay or reset.
   * @throws {TypeError} When `ms` is not a number or `f` is not a function.
   * @throws {RangeError} When `ms` is NaN, infinite or negative.
   * @throws {Deno.errors.BadResource} When the reactor is closed.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const log: string[] = [];
   * reactor.callLater(20, () => reactor.stop());
   * reactor.callLater(10, (text: string) => log.push(text), "sooner");
   * await reactor.run();
   * assertEquals(log, ["sooner"]);
   * ```
   */
  callLater<A extends unknown[]>(
    ms: number,
    f: (...args: A) => unknown,
    ...args: A
  ): DelayedCall {
    checkDelay(ms, "call later", "ms");
    checkFunction(f, "call later", "f");
    this.#requireOpen("call later");
    this.#selfStart("call later");
    return this.#calls.add(ms, f as (...args: unknown[]) => unknown, args);
  }

  /**
   * The delayed calls that are to come, in no order, in a fresh array.
   *
   * @returns The calls.
   *
   * @example Calling off all that is left
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * reactor.callLater(1000, () => console.log("a second later"));
   * reactor.callLater(2000, () => console.log("two seconds later"));
   * for (const call of reactor.getDelayedCalls()) call.cancel();
   * assertEquals(reactor.getDelayedCalls(), []);
   * ```
   */
  getDelayedCalls(): DelayedCall[] {
    return this.#calls.active();
  }

  // Descriptors

  /**
   * Calls `reader.doRead()` whenever its descriptor can be read. Adding it
   * again does nothing.
   *
   * @param reader Who reads, and what.
   * @throws {TypeError} When `reader` lacks one of its functions.
   * @throws {RangeError} When the descriptor has another reader.
   * @throws {Deno.errors.BadResource} When its number is not open (`code:
   * "EBADF"`), or the reactor is closed.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor, Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const [reader, writer] = FileDescriptor.pipe();
   * writer.write(new Uint8Array([7]));
   * const bytes = new Uint8Array(1);
   * reactor.addReader({
   *   fileno: () => reader.fileno(),
   *   doRead() {
   *     reader.read(bytes);
   *     reactor.stop();
   *   },
   *   connectionLost: (reason) => console.log(reason.message),
   * });
   * await reactor.run();
   * assertEquals(bytes[0], 7);
   * reader.close();
   * writer.close();
   * ```
   */
  addReader(reader: ReadDescriptor): void {
    this.#requireWatching("add a reader");
    this.#selfStart("add a reader");
    this.#descriptors.addReader(reader);
  }

  /**
   * Stops reading for it: it is told nothing, and can be added again. If it was
   * not added, nothing happens.
   *
   * @param reader Who read.
   *
   * @example Reading no more than one can take
   * ```ts
   * import { FileDescriptor, reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const [output, input] = FileDescriptor.pipe();
   * input.write(new Uint8Array([1, 2, 3]));
   * const room = new Uint8Array(2);
   * const full = Promise.withResolvers<void>();
   * const reader = {
   *   fileno: () => output.fileno(),
   *   doRead() {
   *     output.read(room);
   *     reactor.removeReader(reader); // Until there is room again.
   *     full.resolve();
   *   },
   *   connectionLost() {},
   * };
   * reactor.addReader(reader);
   * await full.promise;
   * assertEquals(room, new Uint8Array([1, 2]));
   * assertEquals(reactor.getReaders(), []);
   * output.close();
   * input.close();
   * ```
   */
  removeReader(reader: ReadDescriptor): void {
    this.#descriptors.removeReader(reader);
  }

  /**
   * The readers, in a fresh array.
   *
   * @returns The readers.
   */
  getReaders(): ReadDescriptor[] {
    return this.#descriptors.readers();
  }

  /**
   * Calls `writer.doWrite()` whenever its descriptor can be written to, or has
   * an error that a write will tell. Adding it again does nothing. There nearly
   * always is room, so remove it when it has nothing to write.
   *
   * @param writer Who writes, and what to.
   * @throws {TypeError} When `writer` lacks one of its functions.
   * @throws {RangeError} When the descriptor has another writer.
   * @throws {Deno.errors.BadResource} When its number is not open (`code:
   * "EBADF"`), or the reactor is closed.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor, Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const [reader, writer] = FileDescriptor.pipe();
   * reactor.addWriter({
   *   fileno: () => writer.fileno(),
   *   doWrite() {
   *     writer.write(new Uint8Array([7]));
   *     reactor.stop();
   *   },
   *   connectionLost: (reason) => console.log(reason.message),
   * });
   * await reactor.run();
   * assertEquals(reader.read(new Uint8Array(10)), 1);
   * reader.close();
   * writer.close();
   * ```
   */
  addWriter(writer: WriteDescriptor): void {
    this.#requireWatching("add a writer");
    this.#selfStart("add a writer");
    this.#descriptors.addWriter(writer);
  }

  /**
   * Stops writing for it: it is told nothing, and can be added again. If it was
   * not added, nothing happens.
   *
   * @param writer Who wrote.
   */
  removeWriter(writer: WriteDescriptor): void {
    this.#descriptors.removeWriter(writer);
  }

  /**
   * The writers, in a fresh array.
   *
   * @returns The writers.
   */
  getWriters(): WriteDescriptor[] {
    return this.#descriptors.writers();
  }

  /**
   * Removes all readers and writers. They are told nothing. Waits and watches
   * stay.
   *
   * @returns Those that were removed, each once.
   *
   * @example Giving everything up
   * ```ts
   * import { FileDescriptor, Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * const [output, input] = FileDescriptor.pipe();
   * const reader = {
   *   fileno: () => output.fileno(),
   *   doRead() {},
   *   connectionLost: () => output.close(),
   * };
   * reactor.addReader(reader);
   * const removed = reactor.removeAll();
   * assertEquals(removed, [reader]);
   * for (const each of removed) each.connectionLost(new Error("No more of it"));
   * assertEquals(output.fileno(), -1);
   * input.close();
   * ```
   */
  removeAll(): (ReadDescriptor | WriteDescriptor)[] {
    return this.#descriptors.removeAll();
  }

  /**
   * Waits until a descriptor can be read, or its end is reached. Starts the
   * reactor on Deno's loop if nothing has started it.
   *
   * @param fd The descriptor.
   * @param options A signal that ends the wait, a label, and whether it keeps
   * the process alive.
   * @returns How the descriptor is. Rejects with `Deno.errors.BadResource` if
   * it is not open or gets closed (`code: "EBADF"`), with the signal's reason,
   * or with {@linkcode ReactorNotRunning} when the reactor ends.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor, reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const [reader, writer] = FileDescriptor.pipe();
   * writer.close();
   * const { readable, hangup } = await reactor.readable(reader);
   * assertEquals({ readable, hangup }, { readable: true, hangup: true });
   * reader.close();
   * ```
   */
  readable(fd: Fd, options?: WaitOptions): Promise<Readiness> {
    return this.#wait(fd, "readable", options);
  }

  /**
   * Waits until a descriptor can be written to, or has an error. Starts the
   * reactor on Deno's loop if nothing has started it.
   *
   * @param fd The descriptor.
   * @param options A signal that ends the wait, a label, and whether it keeps
   * the process alive.
   * @returns How the descriptor is. Rejects as
   * {@linkcode Reactor.prototype.readable Reactor.readable} does.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor, reactor } from "@interleave/reactor";
   * import { assert } from "@std/assert";
   *
   * const [reader, writer] = FileDescriptor.pipe();
   * const { writable } = await reactor.writable(writer);
   * assert(writable);
   * reader.close();
   * writer.close();
   * ```
   */
  writable(fd: Fd, options?: WaitOptions): Promise<Readiness> {
    return this.#wait(fd, "writable", options);
  }

  /**
   * Waits for a descriptor again and again. Starts the reactor on Deno's loop
   * if nothing has started it.
   *
   * @param fd The descriptor.
   * @param interest What to wait for.
   * @param options A signal that ends the watch, a label, and whether it keeps
   * the process alive.
   * @returns An async iterable of answers, one whenever the descriptor is
   * ready. Leaving the loop closes it.
   * @throws {TypeError} When an argument is of the wrong type.
   * @throws {RangeError} When there is no such interest, or no descriptor can
   * have that number.
   * @throws {Deno.errors.BadResource} When the descriptor is not open (`code:
   * "EBADF"`), or the reactor is closed.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor, reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const [reader, writer] = FileDescriptor.pipe();
   * reactor.callLater(5, () => writer.write(new Uint8Array([1])));
   * reactor.callLater(10, () => writer.close());
   *
   * const bytes = new Uint8Array(10);
   * const lengths: (number | null)[] = [];
   * for await (const _ of reactor.watch(reader, ["readable", "priority"])) {
   *   const length = reader.read(bytes);
   *   lengths.push(length);
   *   if (length === null) break; // The end. Leaving the loop ends the watch.
   * }
   * assertEquals(lengths, [1, null]);
   * reader.close();
   * ```
   */
  watch(
    fd: Fd,
    interest: Interest | Interest[],
    options?: WaitOptions,
  ): Watch {
    const action = "watch a descriptor";
    const mask = maskOf(interest, action);
    const checked = checkWaitOptions(options, action);
    const number = numberOf(fd, action, "fd");
    this.#requireWatching(action);
    this.#startForPromises(action);
    return new DescriptorWatch(
      this.#descriptors,
      this.#rest,
      number,
      mask,
      action,
      checked,
      this.#captureStacks,
    );
  }

  // Threads

  /**
   * Calls `f` on the main thread in a later round, never from inside this call,
   * after those that were queued before it.
   *
   * @throws {TypeError} When `f` is not a function.
   * @throws {Deno.errors.BadResource} When the reactor is closed.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const order: string[] = [];
   * reactor.callFromThread((text: string) => order.push(text), "later");
   * reactor.callFromThread(() => reactor.stop());
   * order.push("now");
   * await reactor.run();
   * assertEquals(order, ["now", "later"]);
   * ```
   */
  callFromThread<A extends unknown[]>(
    f: (...args: A) => unknown,
    ...args: A
  ): void {
    checkFunction(f, "call from thread", "f");
    this.#requireOpen("call from thread");
    this.#selfStart("call from thread");
    this.#enqueue(() =>
      this.#call(f, args, "callFromThread", "callFromThread")
    );
  }

  /**
   * Offers functions to a Worker, of whichever kind and permissions it is: the
   * Worker calls them by their names, and can do nothing else with this reactor.
   * They run on this thread, in work items, wherever those run, in the order in
   * which that Worker has called them; a promise that one returns is waited for
   * if the Worker waits. Calls wait for the start of the reactor.
   *
   * A handle keeps no process alive. It is closed at the end of the reactor, or
   * when it is disposed of.
   *
   * @param functions An object whose own functions are offered. A module's
   * namespace will do.
   * @param options Whether the Worker may wake the reactor itself.
   * @returns What to post to the Worker, with its port in the list of what is to
   * be transferred; `connectReactor()` of `@interleave/reactor/threads` takes it
   * there. For one Worker: another one needs another handle.
   * @throws {TypeError} When `functions` is not an object.
   * @throws {ReactorNotRestartable} When the reactor has been stopped.
   * @throws {Deno.errors.BadResource} When it is closed.
   *
   * @example A desk for a Worker, which has `connectReactor<Desk>()`
   * ```ts no-assert
   * import { reactor } from "@interleave/reactor";
   *
   * const desk = {
   *   progress: (percent: number): void => console.log(`${percent} %`),
   *   ask: (question: string): string | null => prompt(question),
   * };
   * export type Desk = typeof desk;
   *
   * function employ(worker: Worker): void {
   *   const handle = reactor.handle(desk);
   *   worker.postMessage(handle, [handle.port]);
   * }
   * ```
   */
  handle(functions: object, options: HandleOptions = {}): ReactorHandle {
    const action = "make a handle";
    checkOffers(functions, action, "functions");
    const checked = checkHandleOptions(options, action);
    this.#requireWatching(action);
    this.#selfStart(action);
    return this.#threads().handle(functions, checked);
  }

  /**
   * Has a thread of the reactor's pool call a function, and looks at nothing but
   * its errors, which go to `onError`. See {@linkcode deferToThread} for its
   * result.
   *
   * The pool starts with the reactor: until then calls wait. The end of the
   * reactor waits for all calls, but `close()` drops those that wait or run.
   * Running and waiting calls of a running reactor keep the process alive; idle
   * threads do not.
   *
   * @param fn The function, named by {@linkcode exportsOf}.
   * @param args What to call it with; they are copied, unless `transfer()` says
   * that they are to be handed over.
   * @throws {TypeError} When `fn` names no function.
   * @throws {DOMException} When an argument cannot be cloned (`DataCloneError`).
   * @throws {ReactorNotRestartable} When the reactor has been stopped.
   * @throws {Deno.errors.BadResource} When it is closed.
   *
   * @example Usage
   * ```ts
   * import { exportsOf, Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const work = exportsOf<{ greet(name: string): void }>(
   *   "data:text/javascript,export const greet = (name) => console.log(name)",
   * );
   * const reactor = new Reactor();
   * reactor.callInThread(work("greet"), "world");
   * reactor.callWhenRunning(() => reactor.stop());
   * await reactor.run(); // Ends after the call.
   * assertEquals(reactor.inspect().threads.queued, 0);
   * ```
   */
  callInThread<F extends AnyFunction = (...args: unknown[]) => unknown>(
    fn: ThreadFunction<F>,
    ...args: Parameters<F>
  ): void {
    const action = "call in a thread";
    const checked = checkThreadFunction(fn, action);
    this.#requireWatching(action);
    if (checked.signal?.aborted) return;
    this.#selfStart(action);
    this.#threads().callUnheard(checked, args);
  }

  /**
   * Sets how many threads the pool may have. They are started when they are
   * needed; those that are too many end when they are idle.
   *
   * @param size How many, at least 1. Until this is called it is the number of
   * the machine's processors.
   * @throws {TypeError} When `size` is not a number.
   * @throws {RangeError} When it is not a whole number of at least 1.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * reactor.suggestThreadPoolSize(20); // For calls that wait for something.
   * assertEquals(reactor.inspect().threads.size, 0); // Nobody has called yet.
   * ```
   */
  suggestThreadPoolSize(size: number): void {
    const action = "suggest a size for the pool of threads";
    if (!Number.isSafeInteger(size) || size < 1) {
      const Class = typeof size === "number" ? RangeError : TypeError;
      const wanted = "a whole number of at least 1";
      throw new Class(complaint(size, action, "size", wanted));
    }
    this.#requireOpen(action);
    this.#threads().resize(size);
  }

  // Other loops

  /**
   * Runs the outstanding work item, on this thread; nothing if there is none.
   *
   * For hosts that get an event instead of calling a function: the
   * `SDL_WaitEvent` of a game has returned the event that the worker pushed.
   * Inside a callback of the reactor's it does nothing.
   *
   * @example A host that is told, and then does the work
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const reactor = new Reactor();
   * const events: string[] = []; // The host's queue.
   * reactor.interleave(() => events.push("wake"));
   *
   * let rang = false;
   * reactor.callLater(5, () => rang = true);
   * while (!rang) { // The host's loop.
   *   if (events.shift() === "wake") reactor.work();
   *   await new Promise((resolve) => setTimeout(resolve, 1));
   * }
   * assertEquals(events, []);
   * await reactor.close();
   * ```
   */
  work(): void {
    this.#loop?.work();
  }

  /**
   * Attaches a loop that lends its descriptors: the reactor waits for them in
   * its worker, beside its own, and steps the loop when one is ready. Any number
   * of loops can be attached; there is one worker for all of them.
   *
   * A reactor that nothing has started is started, on Deno's loop. The loop
   * keeps the process alive until it is detached or unref'd. It is detached when
   * the reactor has ended.
   *
   * @param loop The loop.
   * @returns What detaches it, and what tells the reactor of changes.
   * @throws {TypeError} When a member of `loop` is of the wrong type.
   * @throws {ReactorNotRestartable} When the reactor has been stopped.
   * @throws {Deno.errors.BadResource} When it is closed.
   *
   * @example A loop that only wants to be stepped every 5 ms
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * const third = Promise.withResolvers<number>();
   * let steps = 0;
   * using _attachment = reactor.attach({
   *   prepare: () => ({ descriptors: [], timeout: 5 }),
   *   dispatch() {
   *     if (++steps === 3) third.resolve(steps);
   *   },
   * });
   * assertEquals(await third.promise, 3);
   * ```
   */
  attach(loop: ForeignLoop): Attachment {
    const action = "attach a loop";
    checkForeignLoop(loop, action);
    this.#requireWatching(action);
    this.#startForPromises(action);
    return this.#attachments.add(loop);
  }

  /**
   * Calls `run`, which blocks this thread in a nested loop of a toolkit's, a
   * modal dialog for one, without going deaf: meanwhile the worker posts into
   * that loop, and the reactor's callbacks run inside it. This may be called
   * from one of them.
   *
   * Attached loops stand still meanwhile if they are being stepped, or have a
   * `hold`: the nested call may be running them itself. The others go on.
   *
   * @param waker How the worker reaches the toolkit. The same object serves any
   * number of calls.
   * @param run Blocks.
   * @returns What `run` returns.
   * @throws {TypeError} When a member of `waker` is of the wrong type, or `run`
   * is not a function. What `run` throws passes through.
   *
   * @example A dialog
   * ```ts no-assert
   * import type { NativeWaker, Reactor } from "@interleave/reactor";
   *
   * // The waker is made once, and serves for every dialog.
   * function ask(
   *   reactor: Reactor,
   *   waker: NativeWaker,
   *   gtk_dialog_run: () => number,
   * ): boolean {
   *   return reactor.modal(waker, gtk_dialog_run) === 1;
   * }
   * ```
   */
  modal<T>(waker: NativeWaker, run: () => T): T {
    const action = "run a modal loop";
    if (!isNativeWaker(waker)) {
      throw new TypeError(complaint(waker, action, "waker", "a NativeWaker"));
    }
    checkNativeWaker(waker, action);
    checkFunction(run, action, "run");
    if (this.#loop === undefined) return run();
    this.#putBack();
    return this.#loop.modal(waker, run);
  }

  // Embedding

  /**
   * A descriptor that is readable whenever the reactor has something to do,
   * delayed calls included: for a host that can wait for a descriptor itself,
   * and calls `iterate(0)` then. What is always ready, such as a regular file,
   * it can't show; for that, look at `nextTimeout()` as well. The descriptors of
   * attached loops are not in it. Undefined with the poll backend, and after the
   * end.
   *
   * @throws {Deno.errors.NotCapable} When the program runs without `--allow-ffi`.
   *
   * @example A host that watches a descriptor among its own
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { libc, POLL } from "@interleave/reactor/ffi";
   * import { assert } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * let rang = false;
   * reactor.callLater(5, () => rang = true);
   * reactor.iterate(0); // Starts it.
   *
   * if (reactor.backendFd !== undefined) {
   *   while (!rang) {
   *     const table = new Int32Array([reactor.backendFd, POLL.IN]);
   *     libc().poll(table, 1, reactor.nextTimeout()); // The host's wait.
   *     reactor.iterate(0);
   *   }
   *   assert(rang);
   * }
   * ```
   */
  get backendFd(): number | undefined {
    if (this.#backend !== "epoll" || this.#over) return undefined;
    return this.#readinessSet().pollable;
  }

  /**
   * Milliseconds until there is something to do for sure: 0 now, -1 not before
   * something happens; rounded up, at most 2147483647.
   *
   * @returns The timeout, as `poll()` takes it.
   *
   * @example A host that sleeps by itself
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assert, assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * assertEquals(reactor.nextTimeout(), -1);
   *
   * let rang = false;
   * reactor.callLater(5, () => rang = true);
   * while (!rang) {
   *   assert(reactor.nextTimeout() >= 0);
   *   await new Promise((resolve) => setTimeout(resolve, reactor.nextTimeout()));
   *   reactor.iterate(0);
   * }
   * ```
   */
  nextTimeout(): number {
    if (this.#set?.immediate) return 0;
    const own = wholeMilliseconds(this.#timeout());
    return sooner(own, wholeMilliseconds(this.#attachments.timeout()));
  }

  /**
   * Runs one turn, on this thread.
   *
   * A reactor that nothing has started is started by this, and is then driven
   * by it alone, without a worker, until `run`, `interleave` or a wait puts it
   * on a loop.
   *
   * @param ms How long to block at most if there is nothing to do, in
   * milliseconds; -1 until something happens. The default is 0.
   * @returns Whether anything ran.
   * @throws {TypeError} When `ms` is not a number.
   * @throws {RangeError} When `ms` is neither -1 nor a finite number of at
   * least 0.
   * @throws {ReactorAlreadyRunning} When called from inside a callback of this
   * reactor.
   * @throws {ReactorNotRestartable} When the reactor has been stopped or
   * closed.
   *
   * @example Usage
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { assert } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * const due = reactor.now() + 5;
   * let done = false;
   * reactor.callLater(5, () => done = true);
   * while (!done) reactor.iterate(-1); // Sleeps inside.
   * assert(reactor.now() >= due);
   * ```
   */
  iterate(ms: number = 0): boolean {
    if (ms !== -1) checkDelay(ms, "iterate", "ms");
    if (this.#loop === undefined) {
      this.#start("iterate", "iterate", false);
      this.#selfStarted = true;
    }
    // "startup" may have ended it.
    return this.#loop?.iterate(wholeMilliseconds(ms)) ?? true;
  }

  /**
   * Tells what the reactor does: who watches which descriptor, what is to come,
   * and what has happened so far.
   *
   * @returns How it is at this moment; it does not change later.
   *
   * @example Who keeps the program alive
   * ```ts
   * import { FileDescriptor, Reactor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * const [output, input] = FileDescriptor.pipe();
   * using _watch = reactor.watch(output, "readable", { label: "the log" });
   *
   * const labels = reactor.inspect().descriptors
   *   .flatMap(({ watchers }) => watchers.map(({ label }) => label));
   * assertEquals(labels, ["the log"]);
   * output.close();
   * input.close();
   * ```
   */
  inspect(): ReactorReport {
    const host = this.#loop?.host;
    return {
      label: this.#label,
      backend: this.#backend,
      running: this.#running,
      host: host === undefined
        ? "none"
        : typeof host === "string"
        ? host
        : typeof host === "function"
        ? "waker"
        : host instanceof BlockingQueue
        ? "queue"
        : "native",
      keepsAlive: {
        run: this.#refd && (this.#isAwaited || this.#isStopping),
        descriptors: this.#refd ? this.#descriptors.refs : 0,
        delayedCalls: this.#refd ? this.#calls.refs : 0,
        attachments: this.#refd ? this.#attachments.refs : 0,
        threads: this.#refd ? this.#otherThreads?.refs ?? 0 : 0,
      },
      descriptors: this.#descriptors.report(),
      attachments: this.#attachments.report(),
      delayedCalls: this.#calls.report(),
      threads: this.#otherThreads?.report() ?? NO_THREADS,
      signal: this.#signal,
      counters: { ...this.#counters },
    };
  }

  /**
   * Who is told of every callback that begins and ends; undefined for nobody,
   * which costs a comparison a callback. It can be put on and taken off at any
   * time, for a look at a program that runs.
   *
   * @throws {TypeError} When it is set to something else than undefined and an
   * object with `start` and `stop`.
   *
   * @example Switched on for a moment
   * ```ts
   * import { Reactor } from "@interleave/reactor";
   * import { ChromeTrace } from "@interleave/reactor/trace";
   * import { assertEquals } from "@std/assert";
   *
   * await using reactor = new Reactor();
   * const trace = new ChromeTrace();
   * reactor.trace = trace;
   * reactor.callLater(1, () => reactor.stop());
   * await reactor.run();
   * reactor.trace = undefined;
   * assertEquals(trace.size, 2); // The delayed call, and the turn it ran in.
   * ```
   */
  get trace(): TraceHook | undefined {
    return this.#tracing.hook;
  }

  set trace(hook: TraceHook | undefined) {
    this.#tracing.hook = checkTraceHook(hook, "trace", "trace");
  }

  // Starting and ending

  #start(host: Host, action: string, signals: boolean): void {
    this.#requireRestartable(action);
    if (this.#loop !== undefined) {
      if (!this.#selfStarted) {
        throw new ReactorAlreadyRunning(
          `Cannot ${action}: the reactor is running`,
        );
      }
      this.#loop.enter(host);
      this.#selfStarted = false;
      if (signals) this.#listenForSignals();
      return;
    }
    const goOn = () => {
      if (this.#slow.isTiming) this.#lookAtClock();
      return this.#loop === loop;
    };
    const loop = new TurnLoop(
      {
        begin: () => {
          this.#tracing.beginTurn();
          this.#descriptors.beginTurn();
        },
        end: () => {
          this.#descriptors.endTurn();
          this.#calls.latest = undefined;
          this.#tracing.endTurn();
        },
        round: (ready) => this.#round(ready, goOn),
        timeout: () => this.#timeout(),
        deadline: () => this.#deadline(),
        expects: () =>
          this.#queue.length > 0 || this.#calls.next() < Infinity ||
          this.#descriptors.size > 0,
        report: (error, where) => this.#report(error, where),
        failed: (error) => this.#fail(error),
        slow: (ms) => this.#reportSlow(ms),
        overdue: (ms) => this.#reportOverdue(ms),
      },
      this.#readinessSet(),
      this.#attachments,
      {
        budget: this.#budget,
        lowLatency: this.#lowLatency,
        // Only a worker can see what low latency has to know.
        waitsInPool: !this.#lowLatency,
        handOver: this.#seam.handOver,
        overdue: this.#seam.overdue,
        tooLong: this.#slow.limit,
      },
      this.#counters,
    );
    loop.enter(host); // Throws, if at all, before anything has changed.
    enterIOThread();
    this.#loop = loop;
    this.#stopped = false;
    this.#selfStarted = false;
    if (this.#finished.used) this.#finished = newEnd();
    this.#otherThreads?.begin();
    this.#keepAlive();
    this.#events.fire("startup", {
      during: () => {
        if (this.#loop !== loop) return;
        this.#running = true;
        if (signals) this.#listenForSignals();
      },
    });
    loop.park();
  }

  /** For what can only end through a loop. */
  #startForPromises(action: string): void {
    if (this.#loop === undefined) {
      this.#start("deno", action, false);
      this.#selfStarted = true;
      if (this.#loop === undefined) {
        throw new ReactorNotRunning(
          `Cannot ${action}: a "startup" trigger has ended the reactor`,
        );
      }
    } else if (this.#loop.host === "iterate") {
      this.#loop.enter("deno");
    }
  }

  #threads(): Threads {
    return this.#otherThreads ??= new Threads({
      tracing: this.#tracing,
      observe: (fd, action, observer) =>
        this.#descriptors.observe(fd, action, observer),
      unobserve: (fd, observer) => this.#descriptors.unobserve(fd, observer),
      defer: (f) => this.#enqueue(f),
      report: (error, where) => this.#report(error, where),
      isRunning: () => this.#loop !== undefined,
      excuse: (ms) => this.#slow.excuse(ms),
      refsChanged: () => this.#keepAlive(),
    });
  }

  /** The shared reactor starts itself for everything. */
  #selfStart(action: string): void {
    if (this.#selfStarting) this.#startForPromises(action);
  }

  #requireRestartable(action: string): void {
    if (this.#wasStopped || this.#closed !== undefined) {
      throw new ReactorNotRestartable(
        `Cannot ${action}: the reactor was ${
          this.#closed === undefined ? "stopped" : "closed"
        } and cannot start again`,
      );
    }
  }

  /**
   * While `close()` still runs the shutdown, its triggers can do what they need
   * to.
   */
  #requireOpen(action: string): void {
    if (this.#closed !== undefined && this.#loop === undefined) {
      throw new Deno.errors.BadResource(
        `Cannot ${action}: the reactor is closed`,
      );
    }
  }

  /** `run()` is pending. */
  get #isAwaited(): boolean {
    return this.#awaited !== undefined;
  }

  /** For what needs the set, which is gone after the end. */
  #requireWatching(action: string): void {
    this.#requireOpen(action);
    if (this.#over) this.#requireRestartable(action);
  }

  /** Between `stop()` and the end. */
  get #isStopping(): boolean {
    return this.#stopped && this.#loop !== undefined;
  }

  #shutDown(): void {
    this.#events.fire("shutdown", {
      hold: (release) => this.#otherThreads?.hold(release) ?? false,
      during: () => {
        // A trigger may take down the toolkit that the worker is reporting to.
        this.#loop?.settle();
        this.#running = false;
        this.#descriptors.endObservers(() =>
          new ReactorNotRunning("The reactor has stopped")
        );
        this.#descriptors.endObjects(() =>
          new ConnectionLost("The reactor has stopped")
        );
        this.#endThreads("The reactor has stopped");
      },
      finished: () => this.#endForGood(),
    });
  }

  #endThreads(message: string): void {
    this.#otherThreads?.end(new ReactorNotRunning(message));
  }

  /** Nothing can be started any more, so nothing needs to stay open. */
  #endForGood(): void {
    this.#over = true;
    this.#events.abandon("startup"); // It may still wait for a promise.
    this.#descriptors.endObservers(() =>
      new ReactorNotRunning("The reactor has stopped")
    );
    this.#descriptors.endObjects(() =>
      new ConnectionLost("The reactor has stopped")
    );
    this.#attachments.clear();
    this.#endThreads("The reactor has stopped");
    this.#endRun();
    this.#closeSet();
  }

  /** Ends the present run. */
  #endRun(error?: Error): void {
    const loop = this.#loop;
    if (loop === undefined) return;
    this.#removeSignalListeners?.();
    this.#removeSignalListeners = undefined;
    const { resolve, reject } = this.#finished;
    const parts: Promise<unknown>[] = [loop.end()];
    if (this.#otherThreads !== undefined) {
      parts.push(this.#otherThreads.gone());
    }
    // A run that crashed may have left a wait that has not come back yet.
    if (this.#ending !== undefined) parts.push(this.#ending);
    const ended = parts.length === 1 ? parts[0]! : Promise.all(parts);
    this.#ending = ended;
    this.#finished.used = true;
    this.#loop = undefined;
    ended.then(() => {
      if (this.#ending === ended) this.#ending = undefined;
      if (this.#wasStopped && this.#loop === undefined) {
        // After a crash in the middle of the shutdown: it cannot go on with them.
        this.#descriptors.endObjects(() =>
          new ConnectionLost("The reactor has stopped")
        );
        this.#closeSet();
      }
      if (error === undefined) resolve();
      else reject(error);
    });
  }

  #fail(cause: Error): void {
    const reason = () =>
      new ReactorFailed(`The reactor cannot go on: ${cause.message}`, {
        cause,
      });
    this.#running = false;
    this.#stopped = this.#wasStopped = true;
    this.#report(reason(), "reactor");
    this.#descriptors.endObservers(reason);
    this.#descriptors.endObjects(reason);
    this.#attachments.clear();
    this.#otherThreads?.end(reason());
    this.#endRun(reason());
    this.#closeSet();
  }

  async #close(): Promise<void> {
    this.#closing = true; // Which takes a turn, for which somebody has to wait.
    this.#otherThreads?.abandonCalls(
      new ReactorNotRunning("The reactor was closed"),
    );
    if (this.#loop !== undefined) {
      if (!this.#stopped) this.stop();
      // The host it has may never run a work item again.
      if (this.#loop.host !== "deno") this.#loop.enter("deno");
      this.#loop.wake();
    } else {
      this.#finished.resolve();
    }
    await this.finished.catch(() => {});
    await this.#ending; // That of a run that crashed right before.
    this.#wasStopped = true;
    this.#queue.length = 0;
    // Those of a reactor that never ran, or crashed: nobody has told them yet.
    this.#descriptors.endObservers(() =>
      new ReactorNotRunning("The reactor was closed")
    );
    this.#descriptors.endObjects(() =>
      new ConnectionLost("The reactor was closed")
    );
    this.#attachments.clear();
    this.#endThreads("The reactor was closed");
    await this.#otherThreads?.gone();
    this.#closeSet();
  }

  #readinessSet(): ReadinessSet {
    return this.#set ??= this.#seam.set?.() ??
      (this.#backend === "epoll" ? new EpollSet() : new PollSet());
  }

  #closeSet(): void {
    this.#over = true;
    this.#descriptors.endTurn();
    const set = this.#set;
    this.#set = undefined;
    // Before the worker is gone it may be inside poll() on the set, and only a
    // wake-up through the set gets it out.
    if (this.#ending === undefined) set?.close();
    else void this.#ending.then(() => set?.close());
  }

  #listenForSignals(): void {
    this.#removeSignalListeners = onTermination((signal) => {
      this.#signal = signal;
      this.#enqueue(() => {
        if (!this.#stopped) this.stop();
      });
    });
  }

  // Running

  /** See `Rounds.round`. */
  #round(ready: number, goOn: () => boolean): number {
    this.#slow.begin();
    if (this.#descriptors.restEnd < Infinity) this.#descriptors.endRests();
    this.#part = "descriptors";
    let ran = ready > 0 ? this.#descriptors.dispatch(ready, goOn) : 0;
    if (this.#queue.length > 0) {
      this.#enter("queue");
      ran += this.#runQueue(goOn);
    }
    if (this.#calls.next() < Infinity) {
      const before = this.#part;
      this.#enter("calls");
      const due = this.#runCalls(goOn);
      if (due === 0) this.#part = before;
      ran += due;
    }
    if (this.#shutdownDue && goOn()) {
      this.#shutdownDue = false;
      this.#shutDown();
      ran++;
    }
    if (this.#attachments.size > 0 && goOn()) {
      ran += this.#attachments.step(ran > 0, goOn);
    }
    this.#descriptors.settle();
    return this.#ran = ran;
  }

  /**
   * What was queued before this round. The rest comes after I/O and timers have
   * had their turn.
   */
  #runQueue(goOn: () => boolean): number {
    this.#batch = this.#queue;
    this.#batchDone = 0;
    this.#queue = [];
    let ran = 0;
    while (this.#batchDone < this.#batch.length && goOn()) {
      ran++;
      this.#batch[this.#batchDone++]!();
    }
    this.#putBack();
    this.#keepAlive();
    return ran;
  }

  /**
   * What has not run of the batch comes first in the next round, be that inside
   * a modal loop, while this round is still on the stack.
   */
  #putBack(): void {
    if (this.#batchDone < this.#batch.length) {
      this.#queue = this.#batch.slice(this.#batchDone).concat(this.#queue);
    }
    this.#batch = [];
    this.#batchDone = 0;
  }

  #runCalls(goOn: () => boolean): number {
    const now = this.#readClock();
    return now === undefined
      ? 0
      : this.#calls.runDue(now, this.#callFailed, goOn);
  }

  /** See `Rounds.timeout`. */
  #timeout(): number {
    if (this.#queue.length > 0 || this.#shutdownDue) return 0;
    const deadline = this.#deadline();
    if (deadline === Infinity) return -1;
    const now = this.#readClock();
    return now === undefined ? RETRY_CLOCK : Math.max(0, deadline - now);
  }

  /** When there is something to do, on the reactor's clock. */
  #deadline(): number {
    // Nobody rests where the clock is another one.
    return Math.min(this.#calls.next(), this.#descriptors.restEnd);
  }

  /**
   * The clock may be the user's. One that throws or tells no number must not
   * stop the loop.
   */
  #readClock(): number | undefined {
    try {
      return this.#calls.now();
    } catch (error) {
      this.#report(error, "clock");
      return undefined;
    }
  }

  #enqueue(f: () => void): void {
    this.#queue.push(f);
    this.#keepAlive();
    this.#loop?.wake();
  }

  #keepAlive(): void {
    this.#loop?.keepAlive(
      (this.#refd || this.#closing) &&
        (this.#isAwaited || this.#isStopping || this.#queue.length > 0 ||
          this.#calls.refs > 0 || this.#descriptors.refs > 0 ||
          this.#attachments.refs > 0 ||
          (this.#otherThreads?.refs ?? 0) > 0),
    );
  }

  /** What ran last has held the host. */
  #reportSlow(ms: number): void {
    if (this.#slow.isExcused(ms)) return;
    this.#counters.slowRounds++;
    if (this.#slow.isTiming) this.#lookAtClock();
    else this.#slow.round(ms, this.#ran, () => this.#culprit());
  }

  /** Another part of a round begins. */
  #enter(part: "queue" | "calls"): void {
    if (this.#slow.isTiming) this.#lookAtClock();
    this.#part = part;
  }

  #lookAtClock(): void {
    this.#slow.between(() => this.#culprit());
  }

  /** What ran last. */
  #culprit(): Culprit {
    const descriptor = this.#descriptors.latest;
    if (this.#part === "descriptors" && descriptor !== undefined) {
      return {
        who: `A callback of ${inWords(descriptor)}`,
        where: `descriptor ${descriptor.fd}`,
      };
    }
    if (this.#part === "calls") {
      const text = show(this.#calls.latest);
      return { who: `A delayed call of ${text}`, where: `callLater ${text}` };
    }
    return { who: "A call from a thread, or a trigger", where: "the queue" };
  }

  #reportSpin(descriptor: DescriptorReport, isCertain: boolean): void {
    this.#counters.spins++;
    const finding = isCertain
      ? "nobody uses it"
      : "as much waits after each callback as before";
    this.#report(
      new DescriptorSpinning(
        `Ready all the time, and ${finding}: ${inWords(descriptor)}`,
      ),
      `descriptor ${descriptor.fd}`,
    );
  }

  #reportOverdue(ms: number): void {
    this.#counters.overdue++;
    if (this.#toldOverdue) return;
    this.#toldOverdue = true;
    this.#report(
      new WorkItemOverdue(
        `The waker was given a work item ${
          ms.toFixed(0)
        } ms ago, and its host has not run it: until it does, the reactor waits`,
      ),
      "waker",
    );
  }

  #call<A extends unknown[]>(
    f: (...args: A) => unknown,
    args: A,
    kind: CallbackKind,
    where: string,
  ): void {
    callGuarded(
      () =>
        this.#tracing.hook === undefined
          ? f(...args)
          : this.#tracing.run(kind, undefined, nameOf(f), () => f(...args)),
      (error) => this.#report(error, where),
    );
  }

  /** Tells the user of an error. Nothing escapes. */
  #report(thrown: unknown, where: string): void {
    const error = asError(thrown);
    callGuarded(
      () => this.#onError(error, where),
      (another) => print("The reactor's onError threw", another, "on", error),
    );
  }

  async #wait(
    fd: Fd,
    interest: "readable" | "writable",
    options: WaitOptions | undefined,
  ): Promise<Readiness> {
    const action = `wait until a descriptor is ${interest}`;
    const checked = checkWaitOptions(options, action);
    const number = numberOf(fd, action, "fd");
    this.#requireWatching(action);
    this.#startForPromises(action);
    return await waitFor(
      this.#descriptors,
      number,
      MASKS[interest],
      action,
      checked,
      this.#captureStacks,
    );
  }
}

/** The end of a run, as a promise. */
interface End extends PromiseWithResolvers<void> {
  /** The run it belongs to has ended, or is about to. */
  used: boolean;
}

function newEnd(): End {
  const end = Promise.withResolvers<void>();
  // Whoever does not look at `finished` has the failure from onError.
  end.promise.catch(() => {});
  return { ...end, used: false };
}

function checkSignals(
  options: RunOptions | undefined,
  action: string,
  byDefault: boolean,
): boolean {
  if (options === undefined) return byDefault;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { signals = byDefault } = options;
  checkBoolean(signals, action, "options.signals");
  return signals;
}

function checkOptions(options: ReactorOptions) {
  const action = "make a reactor";
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const {
    backend = Deno.build.os === "linux" ? "epoll" : "poll",
    budget = {},
    latency = "normal",
    onError = reportToConsole,
    clock = monotonic,
    label,
    captureStacks = false,
    trace,
  } = options;
  if (backend !== "epoll" && backend !== "poll") {
    const Class = typeof backend === "string" ? RangeError : TypeError;
    throw new Class(
      complaint(backend, action, "options.backend", '"epoll" or "poll"'),
    );
  }
  if (typeof budget !== "object" || budget === null) {
    throw new TypeError(
      complaint(budget, action, "options.budget", "an object"),
    );
  }
  const { ms = DEFAULT_BUDGET.ms, events = DEFAULT_BUDGET.events } = budget;
  if (ms !== Infinity) checkDelay(ms, action, "options.budget.ms");
  if (events !== Infinity) checkDelay(events, action, "options.budget.events");
  if (latency !== "normal" && latency !== "low") {
    const Class = typeof latency === "string" ? RangeError : TypeError;
    throw new Class(
      complaint(latency, action, "options.latency", '"normal" or "low"'),
    );
  }
  checkFunction(onError, action, "options.onError");
  checkFunction(clock, action, "options.clock");
  if (label !== undefined && typeof label !== "string") {
    throw new TypeError(complaint(label, action, "options.label", "a string"));
  }
  checkBoolean(captureStacks, action, "options.captureStacks");
  return {
    backend,
    budget: { ms, events },
    latency,
    onError: onError as (error: unknown, where: string) => void,
    clock: clock as () => number,
    label,
    captureStacks,
    trace: checkTraceHook(trace, action, "options.trace"),
  };
}

function maskOf(interest: unknown, action: string): number {
  const interests = Array.isArray(interest) ? interest : [interest];
  if (interests.length === 0) {
    throw new RangeError(`Cannot ${action}: "interest" must not be empty`);
  }
  let mask = 0;
  for (const one of interests) {
    if (typeof one !== "string" || !Object.hasOwn(MASKS, one)) {
      const Class = typeof one === "string" ? RangeError : TypeError;
      throw new Class(
        complaint(
          one,
          action,
          "interest",
          '"readable", "writable" or "priority"',
        ),
      );
    }
    mask |= MASKS[one as Interest];
  }
  return mask;
}

function reportToConsole(error: unknown, where: string): void {
  print(`Reactor: ${where} threw`, error);
}

/**
 * The reactor that most programs need. It starts itself, on Deno's own loop, at
 * the first use of anything that needs a loop; a `run()` or `interleave()` that
 * follows takes it over.
 *
 * @example Usage
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { assert } from "@std/assert";
 *
 * const [reader, writer] = FileDescriptor.pipe();
 * reactor.callLater(5, () => writer.close());
 * const { hangup } = await reactor.readable(reader);
 * assert(hangup);
 * reader.close();
 * ```
 */
export const reactor: Reactor = makeSelfStarting(new Reactor());
