/**
 * Readers and writers.
 *
 * @module
 */

import {
  ConnectionDone,
  ConnectionLost,
  type ReadDescriptor,
  type WriteDescriptor,
} from "../../mod.ts";
import { type Context, isNotOpen, type Player, show } from "./context.ts";
import type { Handle, Handles } from "./handles.ts";
import type { Side } from "./kernel.ts";
import type { Plan } from "./programs.ts";
import { Registration } from "./registrations.ts";

/** An object to add to the reactor. */
export class Watcher implements ReadDescriptor, WriteDescriptor, Player {
  readonly handle: Handle;
  readonly plan: Plan;
  readonly owned: boolean;
  played = false;
  /** What it is registered for. */
  readonly registrations: { [side in Side]?: Registration } = {};
  /** What it has ended with, and has not been told yet. */
  outcome: Error | undefined;
  /** `readConnectionLost` is to be called instead of `connectionLost`. */
  ofHalf = false;
  /** Its FileDescriptor is closing itself, and is to tell it. */
  isClosing = false;
  /** It was told during the callback under way. */
  told = false;
  /** Its number was closed behind the reactor's back, so it may be told. */
  mayBeTold = false;
  /**
   * Its number was closed behind the reactor's back, which may have noticed, and
   * in the same callback it has ended by itself. It may be told of either.
   */
  hasTwoEnds = false;
  /** Only a reader that understands it has this. */
  readConnectionLost?: (reason: Error) => void;
  #calls = 0;
  readonly #objects: Objects;

  constructor(objects: Objects, handle: Handle, plan: Plan) {
    this.#objects = objects;
    this.handle = handle;
    this.plan = plan;
    this.owned = plan.owned;
    if (plan.halfCloses) {
      this.readConnectionLost = (reason) => objects.lost(this, reason, true);
    }
  }

  fileno(): number {
    return this.handle.file.fileno();
  }

  doRead(): unknown {
    return this.#objects.event(this, "reading");
  }

  doWrite(): unknown {
    return this.#objects.event(this, "writing");
  }

  connectionLost(reason: Error): void {
    this.#objects.lost(this, reason, false);
  }

  /** Whether it has been called as often as it wants to be. */
  isTired(): boolean {
    if (++this.#calls < this.plan.calls) return false;
    this.#calls = 0;
    return true;
  }

  toString(): string {
    return `the object on ${this.handle}`;
  }
}

/** The readers and writers of a program. */
export class Objects {
  readonly #context: Context;
  readonly #handles: Handles;
  /** All that can be registered, or have something to hear. */
  readonly all: Watcher[] = [];

  constructor(context: Context, handles: Handles) {
    this.#context = context;
    this.#handles = handles;
  }

  /** Makes an object and adds it. */
  add(handle: Handle, side: Side, plan: Plan): boolean {
    const watcher = new Watcher(this, handle, plan);
    this.all.push(watcher);
    return this.addAgain(watcher, side);
  }

  /** Adds an object that may have been added before. */
  addAgain(watcher: Watcher, side: Side): boolean {
    const { handle } = watcher;
    if (handle.isBehind || !handle.isOpen || handle.isDoubtful) return false;
    const { reactor } = this.#context;
    const other = this.#ofNumber(handle.number, side);
    const isRefused = other !== undefined && other !== watcher;
    let refusal: unknown;
    try {
      if (side === "reading") reactor.addReader(watcher);
      else reactor.addWriter(watcher);
    } catch (error) {
      refusal = error;
    }
    this.#context.require(
      isRefused ? refusal instanceof RangeError : refusal === undefined,
      () =>
        `adding ${watcher} for ${side} ${
          isRefused ? "beside another" : "alone"
        } threw ${show(refusal)}`,
    );
    if (other === undefined) {
      this.#handles.ask(handle.number);
      const registration = new Registration(
        this.#context,
        handle.number,
        side,
      );
      watcher.registrations[side] = registration;
      this.#handles.registrations.add(registration);
    }
    return true;
  }

  /** Removes an object. */
  remove(watcher: Watcher, side: Side): boolean {
    const { reactor } = this.#context;
    if (side === "reading") reactor.removeReader(watcher);
    else reactor.removeWriter(watcher);
    return this.#forget(watcher, side);
  }

  /** Removes all objects. */
  removeAll(): boolean {
    const removed = new Set<unknown>(this.#context.reactor.removeAll());
    this.#compare(removed, ["reading", "writing"], "removeAll()");
    for (const watcher of this.all) {
      this.#forget(watcher, "reading");
      this.#forget(watcher, "writing");
    }
    return removed.size > 0;
  }

  /** Compares who is registered. */
  compare(): void {
    const { reactor } = this.#context;
    this.#compare(new Set(reactor.getReaders()), ["reading"], "getReaders()");
    this.#compare(new Set(reactor.getWriters()), ["writing"], "getWriters()");
  }

  /** How many registrations there are; undefined if that is not certain. */
  count(): number | undefined {
    let count = 0;
    for (const { registrations } of this.all) {
      for (const registration of Object.values(registrations)) {
        if (registration.stale) return undefined;
        count++;
      }
    }
    return count;
  }

  /** The reactor has called `doRead` or `doWrite`. */
  event(watcher: Watcher, side: Side): unknown {
    return this.#context.calledInTurn(() => this.#event(watcher, side));
  }

  /** The reactor has told an object of its end. */
  lost(watcher: Watcher, reason: Error, ofHalf: boolean): void {
    const context = this.#context;
    context.called();
    const { outcome } = watcher;
    if (watcher.hasTwoEnds && isNotOpen(reason)) {
      watcher.outcome = undefined;
      this.#over(watcher);
      return;
    }
    if (outcome !== undefined) {
      context.require(
        reason === outcome && ofHalf === watcher.ofHalf,
        () => `${show(reason)} to ${watcher}, which ended with something else`,
      );
      watcher.outcome = undefined;
      if (ofHalf) return;
    } else {
      const { reading, writing } = watcher.registrations;
      const isOver = watcher.isClosing ||
        context.ending && (reading ?? writing) !== undefined;
      context.require(
        !ofHalf && (
          isOver && reason instanceof ConnectionLost ||
          watcher.mayBeTold &&
            (isNotOpen(reason) || reason instanceof ConnectionLost)
        ),
        () => `${show(reason)} to ${watcher}, which has not ended`,
      );
    }
    watcher.told = true;
    const { hasTwoEnds } = watcher;
    this.#over(watcher);
    watcher.hasTwoEnds = hasTwoEnds;
    context.play(watcher);
  }

  /** A number was closed behind the reactor's back. */
  closedBehind(): void {
    for (const watcher of this.all) {
      const { reading, writing } = watcher.registrations;
      if (reading?.stale || writing?.stale) watcher.mayBeTold = true;
    }
  }

  /** Whether somebody has promised that a number stays what it is. */
  isOwned(number: number): boolean {
    return this.all.some(({ owned, registrations }) =>
      owned && (registrations.reading ?? registrations.writing)?.number ===
        number
    );
  }

  /** A FileDescriptor is about to close itself: all on its number are off. */
  close(handle: Handle): void {
    for (const watcher of this.all) {
      const { reading, writing } = watcher.registrations;
      if ((reading ?? writing)?.number !== handle.number) continue;
      // Of one whose number was closed before, the reactor may know already.
      if (reading?.stale || writing?.stale) watcher.mayBeTold = true;
      else watcher.isClosing = true;
      this.#forget(watcher, "reading");
      this.#forget(watcher, "writing");
    }
  }

  /** A FileDescriptor has closed itself: all have been told. */
  closed(handle: Handle): void {
    for (const watcher of this.all) {
      this.#context.require(
        watcher.handle !== handle || !watcher.isClosing,
        () => `no word of the end to ${watcher}`,
      );
    }
    this.tidy();
  }

  /** What is to come. */
  owed(looked: boolean): string | undefined {
    for (const watcher of this.all) {
      if (watcher.outcome !== undefined) return `the end of ${watcher}`;
      const { reading, writing } = watcher.registrations;
      if (reading?.owesEvent) return `doRead of ${watcher}`;
      if (writing?.owesEvent) return `doWrite of ${watcher}`;
      if (reading?.owesEnd(looked) || writing?.owesEnd(looked)) {
        return `the end of ${watcher}, whose number was closed`;
      }
    }
    return undefined;
  }

  /** All is quiet: what may have been under way has arrived. */
  settled(): void {
    for (const watcher of this.all) {
      const { reading, writing } = watcher.registrations;
      watcher.mayBeTold = reading?.stale === true || writing?.stale === true;
      watcher.hasTwoEnds = false;
    }
  }

  /** Forgets those that can't be registered any more. */
  tidy(): void {
    for (let i = this.all.length - 1; i >= 0; i--) {
      const { handle, registrations, outcome, mayBeTold } = this.all[i]!;
      if (handle.isOpen && !handle.isBehind) continue;
      if (outcome !== undefined || mayBeTold) continue;
      if (registrations.reading ?? registrations.writing) continue;
      this.all.splice(i, 1);
    }
  }

  #event(watcher: Watcher, side: Side): unknown {
    const context = this.#context;
    const registration = watcher.registrations[side];
    context.require(
      registration?.permitsEvent === true,
      () => `an event for ${side} to ${watcher}${why(registration)}`,
    );
    const { handle, plan } = watcher;
    if (handle.end.ready(side) === false) context.counters.spurious++;
    watcher.told = false;
    if (!handle.isBehind && handle.isOpen) {
      if (side === "reading") this.#handles.take(handle, plan.size);
      else this.#handles.send(handle, plan.size);
    }
    context.play(watcher);
    return this.#conclude(watcher, side);
  }

  /** Ends a callback as its plan says. */
  #conclude(watcher: Watcher, side: Side): unknown {
    const { handle, plan } = watcher;
    const { end } = handle;
    const hasEnded = side === "reading"
      ? end.inbox === 0 && end.atEnd
      : end.hungUp || end.direction === "in" || end.writingEnded;
    if (!hasEnded && !watcher.isTired()) return undefined;
    if (plan.end === "leave") {
      this.remove(watcher, side);
      return undefined;
    }
    const outcome = plan.end === "throw"
      ? this.#context.willThrow()
      : new ConnectionDone();
    if (!watcher.told) this.#expect(watcher, outcome, side);
    if (plan.end === "throw") throw outcome;
    return outcome;
  }

  /** An object has ended, and is to be told so. */
  #expect(watcher: Watcher, outcome: Error, side: Side): void {
    watcher.outcome = outcome;
    watcher.hasTwoEnds = watcher.mayBeTold;
    watcher.ofHalf = side === "reading" && watcher.plan.halfCloses &&
      outcome instanceof ConnectionDone;
    this.#forget(watcher, "reading");
    if (!watcher.ofHalf) this.#forget(watcher, "writing");
  }

  /** An object has been told, and is not registered any more. */
  #over(watcher: Watcher): void {
    watcher.isClosing = watcher.mayBeTold = watcher.hasTwoEnds = false;
    this.#forget(watcher, "reading");
    this.#forget(watcher, "writing");
  }

  #forget(watcher: Watcher, side: Side): boolean {
    const registration = watcher.registrations[side];
    if (registration === undefined) return false;
    delete watcher.registrations[side];
    this.#handles.registrations.delete(registration);
    return true;
  }

  /** The object that is registered for a number that still is the same file. */
  #ofNumber(number: number, side: Side): Watcher | undefined {
    return this.all.find(({ registrations }) => {
      const registration = registrations[side];
      return registration?.number === number && !registration.stale;
    });
  }

  /** Those whose numbers were closed may be missing: the reactor may know. */
  #compare(found: Set<unknown>, sides: Side[], where: string): void {
    for (const watcher of this.all) {
      const own = sides.map((side) => watcher.registrations[side])
        .filter((registration) => registration !== undefined);
      const isFound = found.delete(watcher);
      const mustBe = own.some(({ stale }) => !stale);
      this.#context.require(
        mustBe ? isFound : own.length > 0 || !isFound,
        () => `${where} ${isFound ? "has" : "lacks"} ${watcher}`,
      );
    }
    this.#context.require(
      found.size === 0,
      () => `${where} has objects that nobody added`,
    );
  }
}

function why(registration: Registration | undefined): string {
  if (registration === undefined) return ", which is not registered";
  if (!registration.isGenuine) return ", whose number is another file";
  return ", where nothing has happened since it was added";
}
