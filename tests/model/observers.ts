/**
 * Waits and watches: what is told by promises.
 *
 * A promise is heard of later than it settles. So where an abort or a close comes
 * while something may be under way, both answers are right; where all was calm,
 * only one is.
 *
 * @module
 */

import { ReactorNotRunning, type Readiness, type Watch } from "../../mod.ts";
import { type Context, isNotOpen, type Player, show } from "./context.ts";
import type { Handle, Handles } from "./handles.ts";
import type { Side } from "./kernel.ts";
import type { Plan } from "./programs.ts";
import { Registration } from "./registrations.ts";

/** What a wait or a watch has come to. */
interface Fate {
  /** Whether a reason is the right one. */
  readonly isReason: (reason: unknown) => boolean;
  /** It may have been answered before. */
  readonly orAnswer: boolean;
}

/** What waits and watches have in common. */
abstract class Observer implements Player {
  readonly handle: Handle;
  readonly side: Side;
  readonly plan: Plan;
  played = false;
  readonly registration: Registration;
  /** What it has come to, while its promise has not been heard of. */
  fate: Fate | undefined;
  protected readonly context: Context;

  constructor(context: Context, handle: Handle, side: Side, plan: Plan) {
    this.context = context;
    this.handle = handle;
    this.side = side;
    this.plan = plan;
    this.registration = new Registration(context, handle.number, side);
  }

  /** It is over, unless it was answered before. */
  end(isReason: Fate["isReason"]): void {
    const { stale, mayHaveFired, latches, hadCause } = this.registration;
    this.fate ??= {
      isReason,
      orAnswer: stale
        ? mayHaveFired
        : hadCause && (latches || !this.context.calm),
    };
  }

  /** Judges an answer. */
  protected judge({ fd, readable, writable, hangup, error }: Readiness): void {
    const { registration, fate, context, handle, side } = this;
    const { stale, mayHaveFired, permitsEvent, hadCause } = registration;
    const isDue = fate !== undefined
      ? fate.orAnswer
      : stale
      ? mayHaveFired || permitsEvent
      : hadCause;
    context.require(isDue, () => `an answer to ${this}`);
    if (fate !== undefined) this.fate = { ...fate, orAnswer: false };
    context.require(
      fd === handle.number &&
        (side === "reading"
          ? readable
          : writable || hangup || error !== undefined) &&
        (!hangup || handle.end.atEnd),
      () => `an answer to ${this} that is not so`,
    );
    if (handle.end.ready(side) === false) context.counters.spurious++;
  }

  /** Judges a rejection. */
  protected judgeReason(reason: unknown): void {
    const { fate, registration } = this;
    this.context.require(
      fate?.isReason(reason) === true ||
        registration.stale && isNotOpen(reason),
      () => `a rejection of ${this}: ${show(reason)}`,
    );
  }

  /** Does what a consumer does with an answer. */
  protected consume(handles: Handles): void {
    const { handle, side, plan, context } = this;
    if (side === "reading" && handle.isOpen && !handle.isBehind) {
      handles.take(handle, plan.size);
    }
    context.play(this);
  }
}

/** A wait. */
class Wait extends Observer {
  readonly controller: AbortController = new AbortController();

  override toString(): string {
    return `the wait for ${this.side} of ${this.handle}`;
  }

  resolved(readiness: Readiness, handles: Handles): void {
    this.context.called();
    this.judge(readiness);
    this.consume(handles);
  }

  rejected(reason: unknown): void {
    this.context.called();
    this.judgeReason(reason);
    this.context.play(this);
  }
}

/** A watch, and whether somebody has asked it. */
class Watching extends Observer {
  watch!: Watch;
  asking = false;
  refd = true;
  /** It was closed by its owner. */
  closed = false;
  /** Its descriptor was lost, and somebody has been told. */
  failed = false;

  override toString(): string {
    return `the watch for ${this.side} of ${this.handle}`;
  }

  answered(
    result: IteratorResult<Readiness, undefined>,
    handles: Handles,
  ): void {
    this.context.called();
    this.asking = false;
    if (result.done) {
      this.context.require(
        this.closed || this.failed,
        () => `the end of ${this}, which was not closed`,
      );
      return;
    }
    this.judge(result.value);
    // From here on, and not before, it listens again.
    this.registration.since = ++this.context.kernel.tick;
    this.consume(handles);
  }

  rejected(reason: unknown): void {
    this.context.called();
    this.asking = false;
    this.judgeReason(reason);
    this.failed = true;
  }
}

/** The waits and watches of a program. */
export class Observers {
  readonly waits: Wait[] = [];
  readonly watches: Watching[] = [];
  readonly #context: Context;
  readonly #handles: Handles;

  constructor(context: Context, handles: Handles) {
    this.#context = context;
    this.#handles = handles;
  }

  /** Whether a promise may settle. */
  get isWaiting(): boolean {
    return this.waits.length > 0 || this.watches.some(({ asking }) => asking);
  }

  wait(handle: Handle, side: Side, plan: Plan): boolean {
    if (handle.isDoubtful) return false;
    this.#handles.ask(handle.number);
    const { reactor } = this.#context;
    const wait = new Wait(this.#context, handle, side, plan);
    const { signal } = wait.controller;
    const promise = side === "reading"
      ? reactor.readable(handle.file, { signal })
      : reactor.writable(handle.file, { signal });
    this.waits.push(wait);
    this.#handles.registrations.add(wait.registration);
    promise.then((readiness) => {
      this.#forget(wait);
      wait.resolved(readiness, this.#handles);
    }, (reason) => {
      this.#forget(wait);
      wait.rejected(reason);
    });
    return true;
  }

  abort(wait: Wait): void {
    const reason = new Error("aborted on purpose");
    wait.end((other) => other === reason);
    wait.controller.abort(reason);
  }

  watch(handle: Handle, side: Side, plan: Plan): boolean {
    if (handle.isDoubtful) return false;
    this.#handles.ask(handle.number);
    const watching = new Watching(this.#context, handle, side, plan);
    watching.registration.latches = true;
    const interest = side === "reading" ? "readable" : "writable";
    watching.watch = this.#context.reactor.watch(handle.file, interest);
    this.watches.push(watching);
    this.#handles.registrations.add(watching.registration);
    return true;
  }

  next(watching: Watching): boolean {
    if (watching.asking) return false;
    watching.asking = true;
    watching.watch.next().then(
      (result) => watching.answered(result, this.#handles),
      (reason) => watching.rejected(reason),
    );
    return true;
  }

  keep(watching: Watching, refd: boolean): void {
    watching.refd = refd;
    if (refd) watching.watch.ref();
    else watching.watch.unref();
  }

  closeWatch(watching: Watching): void {
    watching.end(() => false);
    watching.closed = true;
    watching.watch.close();
    this.#handles.registrations.delete(watching.registration);
  }

  /** A FileDescriptor is about to close itself: its observers are told. */
  close(handle: Handle): void {
    for (const observer of [...this.waits, ...this.watches]) {
      if (observer.registration.number === handle.number) {
        observer.end(isNotOpen);
      }
    }
  }

  /** The reactor is about to be closed. */
  closeAll(): void {
    for (const observer of [...this.waits, ...this.watches]) {
      observer.end((reason) => reason instanceof ReactorNotRunning);
    }
  }

  /** Ends all of them. */
  clear(): void {
    for (const wait of this.waits) this.abort(wait);
    for (const watching of this.watches) this.closeWatch(watching);
  }

  /** How many keep the process alive; undefined if that is not certain. */
  count(): number | undefined {
    const open = this.watches.filter(({ closed, failed, fate }) =>
      !closed && !failed && fate === undefined
    );
    const all: Observer[] = [...this.waits, ...open];
    if (all.some(({ registration }) => registration.stale)) return undefined;
    return this.waits.length + open.filter(({ refd }) => refd).length;
  }

  /** What is to come. */
  owed(looked: boolean): string | undefined {
    const waiting: Observer[] = [
      ...this.waits,
      ...this.watches.filter(({ asking }) => asking),
    ];
    const owing = waiting.find(({ fate, registration }) =>
      fate !== undefined || registration.owesEvent ||
      registration.owesEnd(looked)
    );
    return owing && `an answer to ${owing}`;
  }

  #forget(wait: Wait): void {
    this.waits.splice(this.waits.indexOf(wait), 1);
    this.#handles.registrations.delete(wait.registration);
  }
}
