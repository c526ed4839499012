/**
 * The timer heap: calls to make later, nearest deadline first, first come first
 * served at equal deadlines.
 *
 * Most timers are timeouts: put off or cancelled long before they are due. So
 * both are lazy. A cancelled call, or one whose deadline moved to later, stays
 * where it is in the heap and is dealt with when it reaches the top. Only a
 * deadline that moves to sooner is put right at once, because otherwise nobody
 * would look at it in time.
 */

import { checkDelay, checkFinite, show } from "./arguments.ts";
import { AlreadyCalled, AlreadyCancelled } from "./errors.ts";
import { isThenable, reportRejection } from "./thenable.ts";
import { nameOf, Tracing } from "./trace/tracing.ts";

/**
 * A call that was asked for with `callLater`, and the means to move or to
 * cancel it.
 *
 * It runs once, never before its deadline, and never inside the `callLater`
 * that made it. As a string it names its function, the time that is left and
 * its state.
 *
 * @example A timeout that whatever arrives puts off
 * ```ts
 * import type { DelayedCall } from "@interleave/reactor";
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertEquals, assertFalse } from "@std/assert";
 *
 * const clock = new Clock(); // A program uses its reactor.
 * const log: string[] = [];
 * const timeout: DelayedCall = clock.callLater(5000, () => log.push("gone"));
 *
 * clock.advance(4000);
 * timeout.reset(5000); // Something has arrived.
 * clock.advance(4000);
 * assertEquals(log, []);
 *
 * clock.advance(1000);
 * assertEquals(log, ["gone"]);
 * assertFalse(timeout.active());
 * ```
 */
export interface DelayedCall extends Disposable {
  /**
   * Returns the deadline, in milliseconds on the scale of the reactor's
   * `now()`. It stays readable after the call has run or was cancelled.
   */
  getTime(): number;

  /**
   * Calls the call off. Its function and arguments are let go at once.
   *
   * @throws {AlreadyCalled} When it ran, or is running.
   * @throws {AlreadyCancelled} When it was cancelled.
   */
  cancel(): void;

  /**
   * Moves the deadline by `ms`, counted from the deadline as it is. A negative
   * number makes it sooner.
   *
   * @param ms By how many milliseconds.
   * @throws {TypeError} When `ms` is not a number.
   * @throws {RangeError} When `ms` is NaN or infinite.
   * @throws {AlreadyCalled} When it ran, or is running.
   * @throws {AlreadyCancelled} When it was cancelled.
   */
  delay(ms: number): void;

  /**
   * Sets the deadline to `ms` from now, whether that is sooner or later than it
   * was.
   *
   * @param ms In how many milliseconds.
   * @throws {TypeError} When `ms` is not a number.
   * @throws {RangeError} When `ms` is NaN, infinite or negative.
   * @throws {AlreadyCalled} When it ran, or is running.
   * @throws {AlreadyCancelled} When it was cancelled.
   */
  reset(ms: number): void;

  /**
   * Tells whether the call is still to come: false inside its own function,
   * after it, and when it was cancelled.
   */
  active(): boolean;

  /**
   * Keeps the process alive until the call has run or is cancelled, as every
   * call does to begin with.
   */
  ref(): void;

  /** Lets the process end although the call is still to come. */
  unref(): void;

  /** Cancels the call if it is still to come, and does nothing otherwise. */
  [Symbol.dispose](): void;
}

/**
 * Time as a program sees it: the reactor's, or the virtual time of `Clock`.
 * Code that takes its time from an object of this shape can be tested without
 * waiting.
 *
 * @example Trying again, with growing pauses
 * ```ts
 * import type { ReactorTime } from "@interleave/reactor";
 * import { Clock } from "@interleave/reactor/testing";
 * import { assertEquals } from "@std/assert";
 *
 * function retry(time: ReactorTime, attempt: () => boolean, pause: number) {
 *   if (!attempt()) time.callLater(pause, retry, time, attempt, 2 * pause);
 * }
 *
 * const clock = new Clock(); // A program passes its reactor.
 * const attempts: number[] = [];
 * retry(clock, () => attempts.push(clock.now()) === 4, 1000);
 * clock.pump([1000, 2000, 4000, 8000]);
 * assertEquals(attempts, [0, 1000, 3000, 7000]);
 * ```
 */
export interface ReactorTime {
  /** Returns the time in milliseconds. Only differences mean anything. */
  now(): number;

  /**
   * Calls `f` once, `ms` milliseconds from now at the earliest. Calls with the
   * same deadline run in the order in which they got it.
   *
   * @param ms How long to wait, in milliseconds; 0 is as soon as possible, but
   * never at once.
   * @param f The function to call.
   * @param args What to call it with.
   * @throws {TypeError} When `ms` is not a number or `f` is not a function.
   * @throws {RangeError} When `ms` is NaN, infinite or negative.
   */
  callLater<A extends unknown[]>(
    ms: number,
    f: (...args: A) => unknown,
    ...args: A
  ): DelayedCall;

  /**
   * Returns the calls still to come, in no particular order, in an array of the
   * caller's own.
   */
  getDelayedCalls(): DelayedCall[];
}

/** Options of {@linkcode DelayedCalls}. */
export interface DelayedCallsOptions {
  /** The clock, in milliseconds. */
  now: () => number;
  /**
   * Called when the owner must act: with true when the nearest deadline came
   * nearer than `next()` last said, with false when only `refs` became zero or
   * stopped being zero. In both cases `refs` may have crossed. Not called from
   * inside a pass of `runDue`, whose caller asks `next()` afterwards anyway,
   * unless `next()` was asked in that very pass: a call may run a loop of its
   * own, which waits by the answer. If `refs` crossed meanwhile, called once at
   * its end.
   */
  changed: (sooner: boolean) => void;
  /** Whose calls these are, for the string form of a call. */
  label?: string;
  /**
   * Notes for every call where it was made, for its string form and for
   * `stackOf()`. It makes a call many times dearer.
   *
   * @default {false}
   */
  captureStacks?: boolean;
  /**
   * Who is told of each call.
   *
   * @default {nobody}
   */
  tracing?: Tracing;
}

/**
 * A line of `inspect()`.
 *
 * @example What is due within a minute
 * ```ts
 * import { type DelayedCallReport, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * reactor.callLater(1000, function soon() {});
 * reactor.callLater(3_600_000, function later() {});
 *
 * const isSoon = ({ left }: DelayedCallReport) => left! < 60_000;
 * const { delayedCalls } = reactor.inspect();
 * assertEquals(delayedCalls.filter(isSoon).map(({ name }) => name), ["soon"]);
 * ```
 */
export interface DelayedCallReport {
  /** When, on the reactor's clock. */
  readonly time: number;
  /** What, as text. */
  readonly text: string;
  /** The name of the function, if it has one. */
  readonly name: string | undefined;
  /**
   * Milliseconds until then, negative if it is overdue; undefined when the clock
   * fails.
   */
  readonly left: number | undefined;
  /** Whether it keeps the process alive, unless the reactor does not. */
  readonly persistent: boolean;
}

/**
 * Below this many cancelled calls a clean-up is not worth its walk through the
 * heap.
 */
const WORTH_COMPACTING = 50;

type State = "active" | "called" | "cancelled";

/**
 * A delayed call and its place in the heap, in one object: a timer costs one
 * allocation.
 *
 * The fields belong to `DelayedCalls`, which sorts by them; what leaves this
 * file has the type `DelayedCall`. There are two orders. `deadline` and
 * `sequence` say when the call is to run. `key` and `keySequence` say where the
 * heap has it: at the same place or, for a call that was put off, too early.
 */
class Call implements DelayedCall {
  static {
    // The console shows the string form, not the heap.
    const value = this.prototype.toString;
    Object.defineProperty(this.prototype, Symbol.for("Deno.customInspect"), {
      value,
    });
  }

  readonly owner: DelayedCalls;
  deadline: number;
  sequence: number;
  key: number;
  keySequence: number;
  /** Position in the heap, -1 outside. */
  index = -1;
  state: State = "active";
  refd = true;
  f: ((...args: unknown[]) => unknown) | undefined;
  args: unknown[] | undefined;
  /**
   * The function as text, kept for the report of a call that failed, since `f`
   * is gone by then.
   */
  name: string | undefined = undefined;
  created: { stack?: string } | undefined = undefined;

  constructor(
    owner: DelayedCalls,
    deadline: number,
    sequence: number,
    f: (...args: unknown[]) => unknown,
    args: unknown[],
  ) {
    this.owner = owner;
    this.deadline = this.key = deadline;
    this.sequence = this.keySequence = sequence;
    this.f = f;
    this.args = args;
  }

  getTime(): number {
    return this.deadline;
  }

  cancel(): void {
    this.#requireActive("cancel");
    this.owner.cancel(this);
  }

  delay(ms: number): void {
    checkFinite(ms, "delay", "ms");
    this.#requireActive("delay");
    this.owner.move(this, this.deadline + ms);
  }

  reset(ms: number): void {
    checkDelay(ms, "reset", "ms");
    this.#requireActive("reset");
    this.owner.move(this, this.owner.now() + ms);
  }

  active(): boolean {
    return this.state === "active";
  }

  ref(): void {
    this.owner.keep(this, true);
  }

  unref(): void {
    this.owner.keep(this, false);
  }

  [Symbol.dispose](): void {
    if (this.state === "active") this.owner.cancel(this);
  }

  toString(): string {
    const parts = [
      this.owner.label,
      this.f ? show(this.f) : this.name,
      this.#stateText(),
    ];
    const text = `DelayedCall(${
      parts.filter((part) => part !== undefined).join(", ")
    })`;
    const stack = this.owner.stackOf(this);
    return stack === undefined ? text : `${text} made\n${stack}`;
  }

  #requireActive(action: string): void {
    if (this.state === "active") return;
    const Class = this.state === "called" ? AlreadyCalled : AlreadyCancelled;
    throw new Class(
      `Cannot ${action}: the delayed call was already ${this.state}`,
    );
  }

  #stateText(): string {
    if (this.state !== "active") return this.state;
    let left;
    try {
      left = this.deadline - this.owner.now();
    } catch {
      // The clock may be the user's. A string form is for logs, and a log line
      // is no place to learn that it is broken.
      return "active";
    }
    return left >= 0
      ? `due in ${left.toFixed(1)} ms`
      : `overdue by ${(-left).toFixed(1)} ms`;
  }
}

/** Calls to make later, in a binary heap. */
export class DelayedCalls {
  /** Whose calls these are. */
  readonly label: string | undefined;
  /** The function that was called last, until somebody forgets it. */
  latest: unknown;
  readonly #clock: () => number;
  readonly #changed: (sooner: boolean) => void;
  readonly #captureStacks: boolean;
  readonly #tracing: Tracing;
  #heap: Call[] = [];
  /** Calls that are due but younger than the pass that met them at the top. */
  #tooYoung: Call[] = [];
  /** How many calls in the heap are cancelled. */
  #cancelled = 0;
  #sequence = 0;
  #refs = 0;
  /**
   * How many passes are going on: a call may start one itself, with a virtual
   * clock.
   */
  #passes = 0;
  /** Whether the owner has asked `next()` in the innermost pass. */
  #asked = false;
  /** The nearest deadline that the owner knows of. */
  #toldNearest = Infinity;
  /** Whether, as far as the owner knows, anything keeps the process alive. */
  #toldKept = false;

  /** Makes an empty heap. */
  constructor(options: DelayedCallsOptions) {
    this.#clock = options.now;
    this.#changed = options.changed;
    this.label = options.label;
    this.#captureStacks = options.captureStacks ?? false;
    this.#tracing = options.tracing ?? new Tracing();
  }

  /** The number of calls still to come that keep the process alive. */
  get refs(): number {
    return this.#refs;
  }

  /**
   * The number of entries, cancelled ones that are not yet cleared away
   * included.
   */
  get size(): number {
    return this.#heap.length + this.#tooYoung.length;
  }

  /** Adds a call `ms` from now. The arguments have been checked. */
  add(
    ms: number,
    f: (...args: unknown[]) => unknown,
    args: unknown[],
  ): DelayedCall {
    const call = new Call(this, this.now() + ms, this.#sequence++, f, args);
    if (this.#captureStacks) {
      call.created = {};
      Error.captureStackTrace(call.created, this.add);
    }
    this.#refs++;
    this.#push(call);
    this.#tell(call.deadline);
    return call;
  }

  /**
   * Returns the deadline of the nearest call still to come, or Infinity. The
   * owner is taken to know it from then on, and hears of nearer ones only.
   */
  next(): number {
    this.#takeBack();
    this.#toldNearest = this.#nearest()?.deadline ?? Infinity;
    this.#asked = true;
    return this.#toldNearest;
  }

  /**
   * Makes one pass: runs what is due at `now` and was there, with that
   * deadline, when the pass began. A call that is made or moved meanwhile waits
   * for the next pass even if it is due, so that a chain of such calls starves
   * nobody. Ask `next()` afterwards: what the calls themselves added was not
   * announced.
   *
   * @param now The time, on the clock's scale.
   * @param failed Gets what a call throws, or what the promise it returned
   * rejects with, which may be much later. What `failed` throws ends the pass
   * and passes through; nothing is lost by that.
   * @param goOn Asked before each call; false ends the pass.
   * @returns How many calls ran.
   */
  runDue(
    now: number,
    failed: (error: unknown, call: DelayedCall) => void,
    goOn: () => boolean,
  ): number {
    const born = this.#sequence;
    let ran = 0;
    const askedBefore = this.#asked;
    this.#asked = false;
    this.#passes++;
    try {
      while (true) {
        const call = this.#nearest();
        if (call === undefined || !(call.deadline <= now)) return ran;
        if (call.sequence >= born) {
          this.#shift();
          this.#tooYoung.push(call);
          continue;
        }
        if (!goOn()) return ran;
        this.#shift();
        ran++;
        this.latest = call.f;
        this.#run(call, failed);
      }
    } finally {
      this.#passes--;
      this.#asked = askedBefore;
      this.#takeBack();
      this.#tell(Infinity);
    }
  }

  /**
   * Returns the calls still to come, in no particular order, in a fresh array.
   */
  active(): DelayedCall[] {
    return this.#active();
  }

  /** For `inspect()`. */
  report(): DelayedCallReport[] {
    let now: number | undefined;
    try {
      now = this.now();
    } catch {
      // The clock may be the user's. Whoever waits by it is told.
    }
    return this.#active().map((call) => ({
      time: call.deadline,
      text: String(call),
      name: nameOf(call.f),
      left: now === undefined ? undefined : call.deadline - now,
      persistent: call.refd,
    }));
  }

  /** Returns the stack on which `call` was made, if stacks are captured. */
  stackOf(call: DelayedCall): string | undefined {
    // V8 makes the text at the first look. Its first line names the error that
    // this is not.
    if (!(call instanceof Call)) return undefined;
    try {
      const stack: unknown = call.created?.stack;
      return typeof stack === "string"
        ? stack.replace(/^Error\n/, "")
        : undefined;
    } catch {
      return undefined; // Somebody else's Error.prepareStackTrace.
    }
  }

  // For the calls themselves.

  /**
   * Returns the time.
   *
   * @throws {TypeError} When the clock, which may be the user's, returns
   * anything but a finite number. In a heap, one NaN is enough to make every
   * order wrong.
   */
  now(): number {
    const now = this.#clock();
    if (!Number.isFinite(now)) {
      throw new TypeError(
        `Cannot read the clock: it must return a finite number, received ${
          show(now)
        }`,
      );
    }
    return now;
  }

  /**
   * Gives an active call another deadline. It queues behind the calls that have
   * that deadline already.
   */
  move(call: Call, deadline: number): void {
    call.deadline = deadline;
    call.sequence = this.#sequence++;
    // In the heap it is put right at once only if it moves up. A call that is
    // too young is put in later.
    if (call.index >= 0 && deadline < call.key) {
      this.#place(call);
      this.#up(call);
    }
    this.#tell(deadline);
  }

  /** Calls an active call off. */
  cancel(call: Call): void {
    this.#end(call, "cancelled");
    call.f = call.args = undefined;
    if (call.index >= 0) {
      this.#cancelled++;
      if (
        this.#cancelled > WORTH_COMPACTING &&
        this.#cancelled * 2 > this.#heap.length
      ) this.#compact();
    }
    this.#tell(Infinity);
  }

  /** Says whether a call keeps the process alive. */
  keep(call: Call, refd: boolean): void {
    if (call.refd === refd || call.state !== "active") return;
    call.refd = refd;
    this.#refs += refd ? 1 : -1;
    this.#tell(Infinity);
  }

  #active(): Call[] {
    this.#takeBack();
    return this.#heap.filter((call) => call.state === "active");
  }

  #run(call: Call, failed: (error: unknown, call: DelayedCall) => void): void {
    const f = call.f!;
    this.#end(call, "called");
    try {
      const result = this.#tracing.hook === undefined
        ? f(...call.args!)
        : this.#trace(f, call.args!);
      if (isThenable(result)) {
        call.name = show(f);
        reportRejection(result, (error) => failed(error, call));
      }
    } catch (error) {
      call.name = show(f);
      failed(error, call);
    } finally {
      call.f = call.args = undefined;
    }
  }

  /** A function of its own, so that `#run` has no closure to make. */
  #trace(f: (...args: unknown[]) => unknown, args: unknown[]): unknown {
    return this.#tracing.run(
      "delayedCall",
      undefined,
      nameOf(f),
      () => f(...args),
    );
  }

  #end(call: Call, state: State): void {
    call.state = state;
    if (call.refd) this.#refs--;
  }

  /** Tells the owner what it must know, after a call got this deadline. */
  #tell(deadline: number): void {
    if (this.#passes > 0 && !this.#asked) return;
    const sooner = deadline < this.#toldNearest;
    const kept = this.#refs > 0;
    if (!sooner && kept === this.#toldKept) return;
    if (sooner) this.#toldNearest = deadline;
    this.#toldKept = kept;
    this.#changed(sooner);
  }

  /**
   * Returns the active call with the nearest deadline, after clearing the top
   * of the heap of what is none.
   */
  #nearest(): Call | undefined {
    let top;
    while ((top = this.#heap[0]) !== undefined) {
      if (top.state === "cancelled") {
        this.#shift();
        this.#cancelled--;
      } else if (top.keySequence !== top.sequence) {
        this.#place(top);
        this.#down(top);
      } else {
        return top;
      }
    }
    return undefined;
  }

  /** Puts the calls that were too young for a pass back into the heap. */
  #takeBack(): void {
    if (this.#tooYoung.length === 0) return;
    const calls = this.#tooYoung;
    this.#tooYoung = [];
    for (const call of calls) {
      if (call.state === "active") this.#push(call);
    }
  }

  #compact(): void {
    this.#heap = this.#heap.filter((call) => call.state === "active");
    this.#heap.forEach((call, index) => call.index = index);
    this.#cancelled = 0;
    // From the last parent to the root, each made the top of a small heap:
    // linear in all, where sorting would not be.
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index--) {
      this.#down(this.#heap[index]!);
    }
  }

  /** Makes the order of the heap the order in which the call is to run. */
  #place(call: Call): void {
    call.key = call.deadline;
    call.keySequence = call.sequence;
  }

  #push(call: Call): void {
    this.#place(call);
    call.index = this.#heap.length;
    this.#heap.push(call);
    this.#up(call);
  }

  /** Takes the top away. */
  #shift(): void {
    const top = this.#heap[0]!;
    const last = this.#heap.pop()!;
    top.index = -1;
    if (last === top) return;
    last.index = 0;
    this.#heap[0] = last;
    this.#down(last);
  }

  #up(call: Call): void {
    const heap = this.#heap;
    let index = call.index;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex]!;
      if (!isBefore(call, parent)) break;
      heap[index] = parent;
      parent.index = index;
      index = parentIndex;
    }
    heap[index] = call;
    call.index = index;
  }

  #down(call: Call): void {
    const heap = this.#heap;
    const length = heap.length;
    let index = call.index;
    while (true) {
      let childIndex = 2 * index + 1;
      if (childIndex >= length) break;
      let child = heap[childIndex]!;
      const right = heap[childIndex + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        childIndex++;
      }
      if (!isBefore(child, call)) break;
      heap[index] = child;
      child.index = index;
      index = childIndex;
    }
    heap[index] = call;
    call.index = index;
  }
}

function isBefore(a: Call, b: Call): boolean {
  return a.key < b.key || (a.key === b.key && a.keySequence < b.keySequence);
}
