/**
 * Events in three phases. An event such as "shutdown" calls its triggers
 * 'before', then 'during', then 'after', and waits between 'before' and
 * 'during' for what the 'before' triggers promised.
 *
 *     fire
 *       before, before, ...      all at once, not one after the other's promise
 *          | promises settled    through `resume`; without promises, straight on
 *          | nothing holds it    the same
 *       during, during, ...
 *       after, after, ...
 *     finished
 *
 * Each trigger runs once. The lists are consumed from the front, so a trigger
 * that is added to the phase that is running, or to a later one, still runs in
 * the same event.
 */

import { checkFunction, checkString, complaint, show } from "./arguments.ts";
import { isThenable, reportRejection } from "./thenable.ts";
import { nameOf, Tracing } from "./trace/tracing.ts";

/**
 * When a trigger runs in its event. What 'before' triggers promise is waited for
 * before the others run.
 *
 * @example The order of the phases
 * ```ts
 * import { type Phase, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const reactor = new Reactor();
 * const seen: Phase[] = [];
 * for (const phase of ["after", "during", "before"] as const) {
 *   reactor.addSystemEventTrigger(phase, "shutdown", () => seen.push(phase));
 * }
 * reactor.callLater(1, () => reactor.stop());
 * await reactor.run();
 * assertEquals(seen, ["before", "during", "after"]);
 * ```
 */
export type Phase = "before" | "during" | "after";

/**
 * What `addSystemEventTrigger` returns and `removeSystemEventTrigger` takes.
 * There is nothing to do with it but that, and to print it.
 *
 * @example Something to save at the end, for a while
 * ```ts
 * import { Reactor, type TriggerId } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * class Document implements Disposable {
 *   saved = 0;
 *   readonly #reactor: Reactor;
 *   readonly #id: TriggerId;
 *
 *   constructor(reactor: Reactor) {
 *     this.#reactor = reactor;
 *     this.#id = reactor.addSystemEventTrigger("before", "shutdown", () => {
 *       this.saved++;
 *     });
 *   }
 *
 *   [Symbol.dispose]() {
 *     this.#reactor.removeSystemEventTrigger(this.#id);
 *   }
 * }
 *
 * const reactor = new Reactor();
 * const kept = new Document(reactor);
 * const closed = new Document(reactor);
 * closed[Symbol.dispose]();
 * reactor.callLater(1, () => reactor.stop());
 * await reactor.run();
 * assertEquals([kept.saved, closed.saved], [1, 0]);
 * ```
 */
export class TriggerId {
  readonly #phase: Phase;
  readonly #event: string;

  /**
   * Only the reactor's own are of use: any other is refused as never having
   * been a trigger.
   */
  constructor(phase: Phase, event: string) {
    this.#phase = phase;
    this.#event = event;
  }

  /** Returns the phase and the event as text. */
  toString(): string {
    return `TriggerId(${this.#phase} ${show(this.#event)})`;
  }
}

/** Options of {@linkcode SystemEvents}. */
export interface SystemEventsOptions {
  /**
   * Gets what a trigger throws, or what its promise rejects with, and which
   * trigger it was. Must not throw.
   */
  failed: (error: unknown, where: string) => void;
  /**
   * Runs the rest of an event soon, after the promises of its 'before' triggers
   * have settled.
   */
  resume: (f: () => void) => void;
  /**
   * Who is told of each trigger.
   *
   * @default {nobody}
   */
  tracing?: Tracing;
}

/** The reactor's own parts of an event. */
export interface EventHooks {
  /**
   * Holds the event after its 'before' triggers and their promises, without a
   * promise of its own: in some hosts none settles.
   *
   * @param release Has it asked again, soon.
   * @returns Whether it is held.
   */
  hold?: (release: () => void) => boolean;
  /** Runs first in the 'during' phase. */
  during?: () => void;
  /** Runs after the last 'after' trigger. */
  finished?: () => void;
}

interface Trigger {
  readonly phase: Phase;
  readonly event: string;
  readonly f: (...args: unknown[]) => unknown;
  readonly args: unknown[];
}

/** One run of an event. */
interface Firing {
  readonly hooks: EventHooks;
  /**
   * Its 'before' triggers that ran. Given up when 'during' begins: from then on
   * they are triggers of the past.
   */
  ranBefore: WeakSet<TriggerId> | undefined;
}

/** An event that has triggers, or is being fired. */
interface SystemEvent {
  readonly name: string;
  readonly triggers: Record<Phase, TriggerId[]>;
  firing: Firing | undefined;
  /** What was fired while the event was in flight. */
  readonly next: EventHooks[];
}

/** The triggers of all events, and the events in flight. */
export class SystemEvents {
  readonly #options: SystemEventsOptions;
  readonly #tracing: Tracing;
  readonly #events = new Map<string, SystemEvent>();
  /**
   * Every trigger there ever was and whose id is still held; undefined once it
   * ran or was removed.
   */
  readonly #triggers = new WeakMap<TriggerId, Trigger | undefined>();

  /** Makes an empty set of events. */
  constructor(options: SystemEventsOptions) {
    this.#options = options;
    this.#tracing = options.tracing ?? new Tracing();
  }

  /**
   * Adds a trigger.
   *
   * @throws {TypeError} When `phase` or `event` is not a string or `f` is not a
   * function.
   * @throws {RangeError} When there is no such phase.
   */
  add(
    phase: string,
    event: string,
    f: (...args: unknown[]) => unknown,
    args: unknown[],
  ): TriggerId {
    const action = "add a system event trigger";
    checkPhase(phase, action, "phase");
    checkString(event, action, "event");
    checkFunction(f, action, "f");
    const id = new TriggerId(phase, event);
    this.#triggers.set(id, { phase, event, f, args });
    this.#event(event).triggers[phase].push(id);
    return id;
  }

  /**
   * Removes a trigger, so that it will not run. One that ran in the 'before'
   * phase of an event that has not yet come to 'during' is let be: whoever
   * removes it cannot know that it was too late.
   *
   * @throws {TypeError} When `id` is not the id of a trigger that was added
   * here.
   * @throws {RangeError} When the trigger was removed before, or ran.
   */
  remove(id: unknown): void {
    const action = "remove a system event trigger";
    if (!(id instanceof TriggerId) || !this.#triggers.has(id)) {
      throw new TypeError(
        complaint(id, action, "id", "the id of a trigger of this reactor"),
      );
    }
    const trigger = this.#triggers.get(id);
    if (trigger === undefined) {
      if (this.#ranJustNow(id)) return;
      throw new RangeError(
        `Cannot ${action}: "${id}" was already removed or has run`,
      );
    }
    const event = this.#event(trigger.event);
    const list = event.triggers[trigger.phase];
    list.splice(list.indexOf(id), 1);
    this.#triggers.set(id, undefined);
    this.#forgetIfIdle(event);
  }

  /**
   * Fires an event. If nothing promises anything, all of it happens before this
   * returns.
   *
   * An event that is fired while it is in flight, by one of its own triggers or
   * while promises are awaited, is fired again when it has finished: phases of
   * one event never overlap, and no firing is lost. What was added meanwhile
   * and came too late for the first firing runs in the second.
   */
  fire(event: string, hooks: EventHooks = {}): void {
    const fired = this.#event(event);
    fired.next.push(hooks);
    if (fired.firing === undefined) this.#fireNext(fired);
  }

  /**
   * Gives up a firing that has not come to 'during', and those that queue
   * behind it: the rest of them never comes. Triggers that did not run stay for
   * the next firing, which need not wait for the promises of this one. A firing
   * that is past its 'before' phase goes on.
   */
  abandon(event: string): void {
    const fired = this.#events.get(event);
    if (fired === undefined) return;
    fired.next.length = 0;
    if (fired.firing?.ranBefore === undefined) return;
    fired.firing = undefined;
    this.#forgetIfIdle(fired);
  }

  #fireNext(event: SystemEvent): void {
    let hooks;
    while ((hooks = event.next.shift()) !== undefined) {
      const firing: Firing = { hooks, ranBefore: new WeakSet() };
      event.firing = firing;
      const promised = this.#runBefore(event, firing);
      if (event.firing !== firing) return; // It was given up meanwhile.
      if (promised.length > 0) {
        Promise.all(promised).then(() =>
          this.#options.resume(() => this.#goOn(event, firing))
        );
        return;
      }
      if (this.#isHeld(event, firing)) return;
      this.#finish(event, firing);
    }
    this.#forgetIfIdle(event);
  }

  /**
   * Takes an event up again whose promises have settled, or that was held,
   * unless it was given up or has been taken up.
   */
  #goOn(event: SystemEvent, firing: Firing): void {
    if (event.firing !== firing || firing.ranBefore === undefined) return;
    if (this.#isHeld(event, firing)) return;
    this.#finish(event, firing);
    this.#fireNext(event);
  }

  #isHeld(event: SystemEvent, firing: Firing): boolean {
    const goOn = () => this.#goOn(event, firing);
    return firing.hooks.hold?.(() => this.#options.resume(goOn)) ?? false;
  }

  #runBefore(event: SystemEvent, firing: Firing): Promise<unknown>[] {
    const promised: Promise<unknown>[] = [];
    let id;
    while ((id = event.triggers.before.shift()) !== undefined) {
      firing.ranBefore!.add(id);
      const promise = this.#run(id);
      if (promise !== undefined) promised.push(promise);
    }
    return promised;
  }

  #finish(event: SystemEvent, firing: Firing): void {
    firing.ranBefore = undefined;
    this.#runHook(
      firing.hooks.during,
      `the reactor's part in ${show(event.name)}`,
    );
    for (const phase of ["during", "after"] as const) {
      let id;
      while ((id = event.triggers[phase].shift()) !== undefined) this.#run(id);
    }
    this.#runHook(
      firing.hooks.finished,
      `the reactor's end of ${show(event.name)}`,
    );
    event.firing = undefined;
  }

  /**
   * Runs a trigger. Returns a promise that never rejects if the trigger
   * returned a promise.
   */
  #run(id: TriggerId): Promise<unknown> | undefined {
    const { phase, event, f, args } = this.#triggers.get(id)!;
    this.#triggers.set(id, undefined);
    try {
      const result = this.#tracing.hook === undefined
        ? f(...args)
        : this.#tracing.run(
          "trigger",
          undefined,
          [phase, show(event), nameOf(f)].join(" ").trimEnd(),
          () => f(...args),
        );
      if (!isThenable(result)) return undefined;
      return reportRejection(
        result,
        (error) => this.#options.failed(error, describe(phase, event, f)),
      );
    } catch (error) {
      this.#options.failed(error, describe(phase, event, f));
      return undefined;
    }
  }

  #runHook(hook: (() => void) | undefined, where: string): void {
    try {
      hook?.();
    } catch (error) {
      this.#options.failed(error, where);
    }
  }

  #ranJustNow(id: TriggerId): boolean {
    for (const event of this.#events.values()) {
      if (event.firing?.ranBefore?.has(id)) return true;
    }
    return false;
  }

  #event(name: string): SystemEvent {
    let event = this.#events.get(name);
    if (event === undefined) {
      event = {
        name,
        triggers: { before: [], during: [], after: [] },
        firing: undefined,
        next: [],
      };
      this.#events.set(name, event);
    }
    return event;
  }

  /**
   * Names of events are the user's and may be many: one that nobody waits for
   * takes no room.
   */
  #forgetIfIdle(event: SystemEvent): void {
    const { before, during, after } = event.triggers;
    const idle = event.firing === undefined && event.next.length === 0;
    if (idle && before.length + during.length + after.length === 0) {
      this.#events.delete(event.name);
    }
  }
}

function checkPhase(
  value: unknown,
  action: string,
  name: string,
): asserts value is Phase {
  checkString(value, action, name);
  if (value === "before" || value === "during" || value === "after") return;
  throw new RangeError(
    complaint(value, action, name, '"before", "during" or "after"'),
  );
}

function describe(phase: Phase, event: string, f: unknown): string {
  return `the trigger ${phase} ${show(event)} (${show(f)})`;
}
