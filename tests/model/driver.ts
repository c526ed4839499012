/**
 * Does the steps of a program, with the reactor and in the model.
 *
 * @module
 */

import { Calls } from "./calls.ts";
import type { Context } from "./context.ts";
import { type Handle, Handles } from "./handles.ts";
import { Objects } from "./objects.ts";
import { Observers } from "./observers.ts";
import { SELF, type Step } from "./programs.ts";

/** One program's descriptors, objects, promises and calls. */
export class Driver {
  readonly context: Context;
  readonly handles: Handles;
  readonly objects: Objects;
  readonly observers: Observers;
  readonly calls: Calls;
  readonly #advance: (ms: number) => void;

  /** @param advance Lets time pass. */
  constructor(context: Context, advance: (ms: number) => void) {
    this.context = context;
    this.handles = new Handles(context);
    this.objects = new Objects(context, this.handles);
    this.observers = new Observers(context, this.handles);
    this.calls = new Calls(context);
    this.#advance = advance;
    context.perform = (step) => this.perform(step);
  }

  /** Does a step, if there is something to do it with. */
  perform(step: Step): void {
    this.context.acted();
    if (this.#do(step) !== false) this.context.counters.steps++;
    this.context.kernel.tick++;
  }

  /**
   * What must have come until a time, and has not.
   *
   * @param looked Whether the reactor has had cause to look at its numbers since
   * the last change; a poll() under way sees nothing of a number that is closed.
   */
  owed(until: number, looked: boolean): string | undefined {
    const { context, objects, observers, calls } = this;
    const [thrown] = context.thrown;
    return objects.owed(looked) ?? observers.owed(looked) ??
      calls.owed(until) ??
      (thrown === undefined ? undefined : `the report of what was thrown`);
  }

  /** Compares what both sides say of themselves, at rest. */
  compare(): void {
    this.objects.compare();
    const objects = this.objects.count();
    const observers = this.observers.count();
    if (objects === undefined || observers === undefined) return;
    const { keepsAlive } = this.context.reactor.inspect();
    const { descriptors, delayedCalls } = keepsAlive;
    this.context.require(
      descriptors === objects + observers &&
        delayedCalls === this.calls.active,
      () =>
        `kept alive by ${descriptors} and ${delayedCalls}, not by ${objects} + ${observers} and ${this.calls.active}`,
    );
  }

  /** Undoes everything. */
  clear(): void {
    this.context.over = true;
    this.context.kernel.tick++;
    this.calls.clear();
    this.observers.clear();
    this.objects.removeAll();
    this.closeAll();
  }

  /** When everything has ended, nobody waits for anything any more. */
  assertEmpty(): void {
    const { descriptors, delayedCalls } = this.context.reactor.inspect();
    const { objects, observers, context } = this;
    const count = objects.count() ?? NaN;
    context.require(
      descriptors.length === 0 && (delayedCalls.length === 0 ||
        context.ending) &&
        count === 0 && !observers.isWaiting,
      () =>
        `at the end, ${descriptors.length} descriptors, ${delayedCalls.length} delayed calls and ${count} objects`,
    );
  }

  /** The reactor is about to be closed, and everybody told. */
  expectEnd(): void {
    this.context.over = this.context.ending = true;
    this.observers.closeAll();
  }

  /** Closes what is open. */
  closeAll(): void {
    for (const handle of [...this.handles.open]) this.#close(handle);
  }

  /** False if there is nothing to do it with. */
  #do(step: Step): boolean | void {
    const { calls, handles, objects, observers } = this;
    switch (step.do) {
      case "open":
        return void handles.make(step.kind);
      case "add":
        return this.#with(
          step.on,
          (handle) => objects.add(handle, step.side, step.plan),
        );
      case "wait":
        return this.#with(
          step.on,
          (handle) => observers.wait(handle, step.side, step.plan),
        );
      case "watch":
        return this.#with(
          step.on,
          (handle) => observers.watch(handle, step.side, step.plan),
        );
      case "add again":
        return pick(
          objects.all,
          step.on,
          (object) => objects.addAgain(object, step.side),
          this.context.self,
        );
      case "remove":
        return pick(
          objects.all,
          step.on,
          (object) => objects.remove(object, step.side),
          this.context.self,
        );
      case "remove all":
        return objects.removeAll();
      case "abort":
        return pick(
          observers.waits,
          step.on,
          (wait) => observers.abort(wait),
        );
      case "next":
        return pick(
          observers.watches,
          step.on,
          (watch) => observers.next(watch),
        );
      case "ref":
      case "unref":
        return pick(
          observers.watches,
          step.on,
          (watch) => observers.keep(watch, step.do === "ref"),
        );
      case "close watch":
        return pick(
          observers.watches,
          step.on,
          (watch) => observers.closeWatch(watch),
        );
      case "call later":
        return calls.callLater(step.ms, step.plan);
      case "reset":
        return pick(
          calls.delayed,
          step.on,
          (call) => calls.reset(call, step.ms),
        );
      case "delay":
        return pick(
          calls.delayed,
          step.on,
          (call) => calls.delay(call, step.ms),
        );
      case "cancel":
        return pick(calls.delayed, step.on, (call) => calls.cancel(call));
      case "call from thread":
        return calls.callFromThread(step.plan);
      case "advance":
        return this.#advance(step.ms);
      default:
        return this.#with(step.on, (handle) => this.#move(handle, step));
    }
  }

  /** Steps that are about a descriptor alone. */
  #move(
    handle: Handle,
    step: Extract<Step, { on: number }>,
  ): boolean | void {
    const { handles } = this;
    switch (step.do) {
      case "send":
        return handles.send(handle, step.size);
      case "take":
        return handles.take(handle, step.size);
      case "fill":
        return handles.fill(handle);
      case "duplicate":
        return handles.duplicate(handle);
      case "close":
        return this.#close(handle);
      case "reopen":
        return this.#reopen(handle, step);
      case "end writing":
        if (!handle.endsWriting) return false;
        return handles.endWriting(handle);
      case "close behind":
        if (!this.#mayLose(handle)) return false;
        handles.closeBehind(handle);
        return this.objects.closedBehind();
      case "reuse behind":
        return this.#with(
          step.other,
          (other) => this.#reuse(handle, other),
        );
    }
  }

  #close(handle: Handle): void {
    this.observers.close(handle);
    this.objects.close(handle);
    this.handles.close(handle);
    this.objects.closed(handle);
  }

  /** Whoever opens next gets the number that was closed last. */
  #reopen(
    handle: Handle,
    { kind, plan }: Extract<Step, { do: "reopen" }>,
  ): void {
    this.#close(handle);
    this.context.kernel.tick++;
    const [first] = this.handles.make(kind);
    this.objects.add(first!, "reading", plan);
  }

  #reuse(handle: Handle, other: Handle): boolean | void {
    if (other.end === handle.end) return false;
    if (!this.#mayLose(handle)) return false;
    this.handles.reuseBehind(handle, other);
    this.objects.closedBehind();
  }

  /**
   * Whether a number may be closed behind the reactor's back. Not one whose owner
   * has promised that it is not; and for the poll set not what the worker is
   * inside poll() on, which keeps the file open for its peer.
   */
  #mayLose(handle: Handle): boolean {
    if (this.objects.isOwned(handle.number)) return false;
    const { seesClosed, borrows, inTurn } = this.context;
    return !seesClosed || !handle.isWatched || !borrows || inTurn;
  }

  #with(on: number, f: (handle: Handle) => boolean | void): boolean | void {
    return pick(this.handles.open, on, f, this.context.self?.handle);
  }
}

function pick<T>(
  all: readonly T[],
  on: number,
  f: (one: T) => boolean | void,
  self?: unknown,
): boolean | void {
  if (all.length === 0) return false;
  const own = on === SELF ? all.indexOf(self as T) : -1;
  return f(all[own >= 0 ? own : Math.abs(on) % all.length]!);
}
