/**
 * The loops that are attached to a reactor.
 *
 * @module
 */

import { checkInteger, MAX_INT } from "../ffi/arguments.ts";
import {
  type LentDescriptor,
  LentDescriptors,
} from "../ffi/lent_descriptors.ts";
import { callNow, type NativeCall, packCall } from "../ffi/native_call.ts";
import type { PackedHold } from "../ffi/poll_loop.ts";
import type { ReadinessSet } from "../ffi/readiness_set.ts";
import { checkFunction, complaint } from "./arguments.ts";
import type {
  Attachment,
  AttachmentReport,
  ForeignLoop,
  Prepared,
} from "./foreign_loop.ts";
import { monotonic } from "./monotonic.ts";
import { checkArguments, checkTypes, isAddress } from "./native_waker.ts";
import { callGuarded } from "./thenable.ts";
import { type CallbackKind, Tracing } from "./trace/tracing.ts";

/** A loop that can't say what to wait for so many times in a row is given up. */
const MOST_FAILURES = 3;

/** When a loop is asked again that could not say, in milliseconds. */
const RETRY = 100;

const NOTHING: Prepared = { descriptors: [], timeout: -1 };

/** What the attached loops need of the reactor. */
export interface AttachmentsOptions {
  /** Somebody asks to be stepped. */
  wake: () => void;
  /** A descriptor is not lent any more: the worker has to let go of it. */
  reconsider: () => void;
  /** A loop came, went, or changed whether it keeps the process alive. */
  refsChanged: () => void;
  /** Something threw. */
  report: (error: unknown, where: string) => void;
  /**
   * Who is told of each call of a loop's functions.
   *
   * @default {nobody}
   */
  tracing?: Tracing;
}

/** See the module's documentation. */
export class Attachments {
  readonly #options: AttachmentsOptions;
  readonly #tracing: Tracing;
  /** Replaced, never changed: callbacks come and go during a walk. */
  #members: readonly Member[] = [];
  readonly #lent = new LentDescriptors();
  /** Changes with every new layout of the table. */
  #layout = 0;
  #holds: readonly PackedHold[] = [];
  /** A foreign loop runs nested: those that it may be are left alone. */
  #suspended = false;
  #unheldReported = false;
  /** Something ran that may have changed what the loops wait for. */
  #dirty = false;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
    this.#tracing = options.tracing ?? new Tracing();
  }

  /** How many there are. */
  get size(): number {
    return this.#members.length;
  }

  /** How many keep the process alive. */
  get refs(): number {
    return this.#members.filter(({ refd }) => refd).length;
  }

  /**
   * What the worker calls around the wait for the table that was made last. The
   * same array for the same calls.
   */
  get holds(): readonly PackedHold[] {
    return this.#holds;
  }

  /** Adds a checked loop. */
  add(loop: ForeignLoop): Attachment {
    const member = new Member(loop);
    this.#members = [...this.#members, member];
    this.#changed();
    this.#options.wake();
    const setRef = (on: boolean) => {
      if (member.refd === on || !this.#members.includes(member)) return;
      member.refd = on;
      this.#options.refsChanged();
    };
    const detach = () => {
      if (!this.#members.includes(member)) return;
      this.#remove(member);
    };
    return {
      kick: () => {
        if (!this.#members.includes(member)) return;
        member.prepared = undefined;
        this.#options.wake();
      },
      detach,
      ref: () => setRef(true),
      unref: () => setRef(false),
      [Symbol.dispose]: detach,
    };
  }

  /** Lets go of all. */
  clear(): void {
    this.#members = [];
    this.#lent.clear();
    this.#changed();
  }

  /**
   * Leaves alone, or takes up again, every loop that a nested blocking call may
   * be running by itself: those that have to be held, whose owner is the main
   * thread then. (One that is being stepped is left alone anyway.)
   */
  suspend(on: boolean): void {
    this.#suspended = on;
    // The nested call may have changed what they wait for, and so may its end.
    for (const member of this.#members) member.prepared = undefined;
    this.#changed();
  }

  /**
   * Steps each loop for which there is something to do.
   *
   * @param ran Whether callbacks of the reactor's have just run. Each of them
   * may have changed what a loop waits for. The loops are asked for that in the
   * first round in which none does, and before the wait.
   * @returns How many were stepped.
   */
  step(ran: boolean, goOn: () => boolean): number {
    if (ran) this.#dirty = true;
    else this.prepare();
    this.#layOut();
    this.#lent.look();
    const layout = this.#layout;
    let stepped = 0;
    for (const member of this.#members) {
      // Another layout: what was found belongs to other places of the table.
      if (layout !== this.#layout || !goOn()) break;
      if (!this.#isActive(member) || member.prepared === undefined) continue;
      const ready = member.collect(this.#lent);
      if (!ready && monotonic() < member.deadline) continue;
      stepped++;
      if (member.failures > 0) { // It is asked again, and not stepped.
        member.prepared = undefined;
        continue;
      }
      this.#dirty = true;
      this.#dispatch(member);
    }
    return stepped;
  }

  /** Milliseconds until one of them has to be stepped; -1 for never. */
  timeout(): number {
    let nearest = Infinity;
    for (const member of this.#members) {
      if (!this.#isActive(member)) continue;
      nearest = Math.min(
        nearest,
        member.prepared === undefined ? 0 : member.deadline,
      );
    }
    return nearest === Infinity ? -1 : Math.max(0, nearest - monotonic());
  }

  /** Asks all loops that have to be asked what they wait for. */
  prepare(): void {
    if (this.#dirty) {
      this.#dirty = false;
      for (const member of this.#members) member.prepared = undefined;
    }
    for (const member of this.#members) {
      if (this.#isActive(member) && member.prepared === undefined) {
        this.#ask(member);
      }
    }
  }

  /**
   * Makes the table for a wait for the loops' descriptors and a set's. No
   * function of a loop's is called.
   */
  combine(set: ReadinessSet): { table: Int32Array; count: number } {
    this.#layOut();
    this.#lent.append(set.table, set.count);
    const holds = this.#members
      .filter((member) => this.#isActive(member))
      .flatMap(({ hold }) => hold ?? []);
    if (
      holds.length !== this.#holds.length ||
      holds.some((hold, i) => hold !== this.#holds[i])
    ) this.#holds = holds;
    return this.#lent;
  }

  /** The worker has taken the holds. */
  held(): void {
    for (const member of this.#members) {
      if (this.#isActive(member) && member.hold !== undefined) {
        this.#tell(member);
      }
    }
  }

  /** Waits for the prepared table on this thread. */
  wait(timeout: number): void {
    const held: NativeCall[] = [];
    for (const { loop } of this.#members.filter((m) => this.#isActive(m))) {
      if (loop.hold && callNow(loop.hold.acquire)) held.push(loop.hold.release);
    }
    this.held();
    try {
      this.#lent.wait(timeout);
    } catch (error) {
      this.#options.report(error, "attached loop");
    }
    for (const release of held.reverse()) callNow(release);
  }

  /** A loop could not be held: another thread owns it. Said once. */
  notHeld(): void {
    if (this.#unheldReported) return;
    this.#unheldReported = true;
    this.#options.report(
      new Error(
        "An attached loop belongs to another thread: changes made outside callbacks are seen at its next event only",
      ),
      "attached loop",
    );
  }

  /** For `inspect()`. */
  report(): AttachmentReport[] {
    return this.#members.map((member) => {
      const { descriptors = [] } = member.prepared ?? {};
      const left = Math.max(0, member.deadline - monotonic());
      return {
        descriptors: descriptors.map(({ fd, events }) => ({ fd, events })),
        timeout: left === Infinity ? -1 : left,
      };
    });
  }

  #isActive(member: Member): boolean {
    return !member.stepping && this.#members.includes(member) &&
      !(this.#suspended && member.loop.hold !== undefined);
  }

  #remove(member: Member): void {
    this.#members = this.#members.filter((other) => other !== member);
    this.#changed();
    this.#options.reconsider();
  }

  #changed(): void {
    this.#layout++;
    this.#options.refsChanged();
  }

  #layOut(): void {
    this.#layout++;
    this.#lent.clear();
    for (const member of this.#members) {
      if (!this.#isActive(member) || member.prepared === undefined) continue;
      member.at = this.#lent.lent;
      this.#lent.push(member.prepared.descriptors);
    }
  }

  #ask(member: Member): void {
    member.stepping = true; // It may open a dialog.
    try {
      member.prepared = checkPrepared(
        this.#call("prepare", () => member.loop.prepare()),
      );
      member.failures = 0;
      const { timeout } = member.prepared;
      member.deadline = timeout < 0 ? Infinity : monotonic() + timeout;
    } catch (error) {
      this.#options.report(error, "prepare of an attached loop");
      member.prepared = NOTHING;
      member.deadline = monotonic() + RETRY;
      if (++member.failures === MOST_FAILURES) {
        this.#options.report(
          new Error(
            `An attached loop was detached: its "prepare" has failed ${MOST_FAILURES} times in a row`,
            { cause: error },
          ),
          "attached loop",
        );
        this.#members = this.#members.filter((other) => other !== member);
        this.#changed();
      }
    } finally {
      member.stepping = false;
    }
  }

  #call<T>(kind: CallbackKind, f: () => T): T {
    const tracing = this.#tracing;
    return tracing.hook === undefined
      ? f()
      : tracing.run(kind, undefined, undefined, f);
  }

  #tell({ loop }: Member): void {
    callGuarded(
      () => loop.held && this.#call("held", () => loop.held!()),
      (error) => this.#options.report(error, "held of an attached loop"),
    );
  }

  #dispatch(member: Member): void {
    member.stepping = true;
    member.prepared = undefined;
    try {
      this.#call("step", () => member.loop.dispatch(member.revents));
    } catch (error) {
      this.#options.report(error, "dispatch of an attached loop");
    } finally {
      member.stepping = false;
    }
  }
}

/** One attached loop. */
class Member {
  readonly loop: ForeignLoop;
  readonly hold: PackedHold | undefined;
  /** What it waits for; undefined when it has to be asked. */
  prepared: Prepared | undefined;
  /** When it is to be stepped for sure, in the time of `performance.now()`. */
  deadline = 0;
  /** Where its descriptors begin in the table. */
  at = 0;
  revents: Int16Array = new Int16Array(0);
  refd = true;
  /** One of its functions is on the stack. */
  stepping = false;
  failures = 0;

  constructor(loop: ForeignLoop) {
    this.loop = loop;
    this.hold = loop.hold && {
      acquire: packCall(loop.hold.acquire),
      release: packCall(loop.hold.release),
    };
  }

  /** Takes its part of what was found. Returns whether anything was. */
  collect(lent: LentDescriptors): boolean {
    const { length } = this.prepared!.descriptors;
    if (this.revents.length !== length) this.revents = new Int16Array(length);
    let any = 0;
    for (let i = 0; i < length; i++) {
      any |= this.revents[i] = lent.revents(this.at + i);
    }
    return any !== 0;
  }
}

/**
 * Requires a foreign loop.
 *
 * @throws {TypeError} When a member of `value` is of the wrong type.
 */
export function checkForeignLoop(
  value: unknown,
  action: string,
): asserts value is ForeignLoop {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(complaint(value, action, "loop", "an object"));
  }
  const { prepare, dispatch, hold, held } = value as ForeignLoop;
  checkFunction(prepare, action, "loop.prepare");
  checkFunction(dispatch, action, "loop.dispatch");
  if (held !== undefined) checkFunction(held, action, "loop.held");
  if (hold === undefined) return;
  if (typeof hold !== "object" || hold === null) {
    throw new TypeError(complaint(hold, action, "loop.hold", "an object"));
  }
  checkCall(hold.acquire, action, "loop.hold.acquire");
  checkCall(hold.release, action, "loop.hold.release");
}

function checkCall(value: unknown, action: string, name: string): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(complaint(value, action, name, "an object"));
  }
  const call = value as NativeCall;
  if (!isAddress(call.function)) {
    throw new TypeError(
      complaint(
        call.function,
        action,
        `${name}.function`,
        "a pointer to a function",
      ),
    );
  }
  checkTypes(call.parameters, action, `${name}.parameters`);
  checkArguments(call.arguments, call.parameters, action, `${name}.arguments`);
}

function checkPrepared(value: Prepared): Prepared {
  const action = "wait for an attached loop";
  const { descriptors, timeout } = Object(value) as Prepared;
  if (!Array.isArray(descriptors)) {
    throw new TypeError(
      complaint(descriptors, action, "descriptors", "an array"),
    );
  }
  if (typeof timeout !== "number" || Number.isNaN(timeout)) {
    throw new TypeError(complaint(timeout, action, "timeout", "a number"));
  }
  // Read once, and kept: what is looked at later can't have changed. Holes count.
  return {
    descriptors: Array.from(descriptors, (one, i) => checkLent(one, i, action)),
    timeout,
  };
}

function checkLent(
  value: LentDescriptor,
  i: number,
  action: string,
): LentDescriptor {
  const { fd, events } = Object(value) as LentDescriptor;
  const name = `descriptors[${i}]`;
  // poll(2) passes over negative numbers.
  checkInteger(fd, action, `${name}.fd`, -MAX_INT);
  if (Number.isInteger(events)) return { fd, events };
  throw new TypeError(
    complaint(events, action, `${name}.events`, "an integer"),
  );
}
