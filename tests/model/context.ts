/**
 * What the parts of the model share: the reactor beside it, what was counted, and
 * what went wrong.
 *
 * @module
 */

import type { Reactor } from "../../mod.ts";
import type { Handle } from "./handles.ts";
import { Kernel } from "./kernel.ts";
import type { Plan, Step } from "./programs.ts";

/** Reports that depend on how busy the machine is. */
const ABOUT_TIME: ReadonlySet<string> = new Set([
  "CallbackTooSlow",
  "WorkItemOverdue",
]);

/** What a run of programs adds up to. */
export interface Counters {
  /** Steps that had something to act upon, those of callbacks included. */
  steps: number;
  /** Callbacks, and promises that settled. */
  delivered: number;
  /** What the model demands and the reactor did not do. */
  lost: number;
  /** What the reactor did and the model forbids. */
  misdelivered: number;
  /** Callbacks that found nothing to do. */
  spurious: number;
}

/** Nothing counted yet. */
export function noCounts(): Counters {
  return { steps: 0, delivered: 0, lost: 0, misdelivered: 0, spurious: 0 };
}

/** The model and the reactor disagree. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly fault: "lost" | "misdelivered";

  constructor(fault: "lost" | "misdelivered", message: string) {
    super(`${fault}: ${message}`);
    this.fault = fault;
  }
}

/** What a callback of the model throws. */
export class Thrown extends Error {
  override readonly name = "Thrown";
}

/** Something with a callback that plays a plan. */
export interface Player {
  /** What it is called about, if it is a descriptor. */
  readonly handle?: Handle;
  readonly plan: Plan;
  /** The steps of the plan are done once. */
  played: boolean;
}

/** What a context is made of. */
export interface ContextOptions {
  reactor: Reactor;
  /** The clock that the reactor has. */
  now: () => number;
  /** The reactor looks at the numbers themselves, so it sees closed ones. */
  seesClosed: boolean;
  /** A worker is inside poll() on every number, outside turns. */
  borrows: boolean;
  counters: Counters;
}

/** What the parts of the model share, for one program. */
export class Context {
  readonly kernel: Kernel = new Kernel();
  readonly reactor: Reactor;
  readonly now: () => number;
  readonly seesClosed: boolean;
  readonly borrows: boolean;
  readonly counters: Counters;
  /** What the reactor has to report. */
  readonly thrown: Set<unknown> = new Set();
  /** The first fault that was found. */
  violation: Violation | undefined;
  /** The reactor is being closed. */
  ending = false;
  /** The program is over: what is called does its own work, and no more. */
  over = false;
  /** Nothing is under way: whatever happens is a consequence of this step. */
  calm = true;
  /** Whose plan is being played. */
  self: Player | undefined;
  /** A callback of a turn's is on the stack. */
  inTurn = false;
  /** It grows with everything that the reactor does. */
  activity = 0;
  /** Does a step. */
  perform: (step: Step) => void = () => {};
  /** Hears of everything that the reactor does. */
  heard: () => void = () => {};
  /** The last thing that the reactor called was a delayed call. */
  #passing = false;
  #inDelayedCall = false;
  #pass = 0;

  constructor(options: ContextOptions) {
    this.reactor = options.reactor;
    this.now = options.now;
    this.seesClosed = options.seesClosed;
    this.borrows = options.borrows;
    this.counters = options.counters;
  }

  /** The reactor has called somebody in a turn. */
  calledInTurn<T>(f: () => T): T {
    this.called();
    this.inTurn = true;
    try {
      return f();
    } finally {
      this.inTurn = false;
    }
  }

  /** The reactor has called somebody. */
  called(): void {
    this.counters.delivered++;
    this.activity++;
    this.kernel.tick++;
    this.calm = false;
    // What a delayed call itself brings about is no end of its pass.
    if (!this.#inDelayedCall) this.#passing = false;
    this.heard();
  }

  /**
   * The reactor has called a delayed call. Between two of the same pass nobody
   * else is called and nothing is done, so what comes in between begins another
   * one. Two passes with nothing in between are taken for one.
   *
   * @param f What the call does, given the pass.
   */
  calledInPass(f: (pass: number) => void): void {
    const goesOn = this.#passing;
    this.calledInTurn(() => {
      this.#passing = this.#inDelayedCall = true;
      if (!goesOn) this.#pass++;
      try {
        f(this.#pass);
      } finally {
        this.#inDelayedCall = false;
      }
    });
  }

  /** The pass under way, or one that never was. */
  get pass(): number {
    return this.#inDelayedCall ? this.#pass : -1;
  }

  /** Somebody does something. Outside a turn, that ends a pass. */
  acted(): void {
    this.kernel.tick++;
    if (!this.inTurn) this.#passing = false;
  }

  /** Does the steps of a plan, the first time. */
  play(player: Player): void {
    if (player.played || this.over) return;
    player.played = true;
    const outer = this.self;
    this.self = player;
    for (const step of player.plan.steps) this.perform(step);
    this.self = outer;
  }

  /** Somebody is about to throw this. */
  willThrow(): Thrown {
    const error = new Thrown("on purpose");
    this.thrown.add(error);
    return error;
  }

  /** The reactor has reported an error. */
  reported(error: unknown, where: string): void {
    if (this.thrown.delete(error)) return;
    if (error instanceof Error && ABOUT_TIME.has(error.name)) return;
    this.misdelivered(`the report of ${show(error)} in ${where}`);
  }

  /** The reactor has done what it must not do. */
  misdelivered(what: string): void {
    this.counters.misdelivered++;
    this.violation ??= new Violation("misdelivered", what);
  }

  /** Something is not as the model has it. */
  require(holds: boolean, what: () => string): void {
    if (!holds) this.misdelivered(what());
  }

  /** Throws what was found. */
  check(): void {
    if (this.violation !== undefined) throw this.violation;
  }
}

/** Whether an error says that a number is not open. */
export function isNotOpen(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource &&
    (error as { code?: unknown }).code === "EBADF";
}

/** An error in a message. */
export function show(error: unknown): string {
  return error instanceof Error
    ? `${error.constructor.name} "${error.message}"`
    : String(error);
}
