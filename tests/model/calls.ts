/**
 * Delayed calls, and what `callFromThread` queues.
 *
 * @module
 */

import {
  AlreadyCalled,
  AlreadyCancelled,
  type DelayedCall,
} from "../../mod.ts";
import { type Context, type Player, show } from "./context.ts";
import type { Plan } from "./programs.ts";

/** A delayed call, and when the model expects it. */
class Delayed implements Player {
  readonly plan: Plan;
  played = false;
  call!: DelayedCall;
  deadline = 0;
  /** Among equal deadlines, who got it first comes first. */
  sequence = 0;
  /** The pass in which it got its deadline: it may have missed that one. */
  movedIn = -1;
  state: "active" | "called" | "cancelled" = "active";

  constructor(plan: Plan) {
    this.plan = plan;
  }

  isBefore(other: Delayed): boolean {
    return this.deadline < other.deadline ||
      this.deadline === other.deadline && this.sequence < other.sequence;
  }
}

/** So many calls that are over are remembered, to be misused. */
const REMEMBERED = 4;

/** The calls of a program. */
export class Calls {
  /** The delayed calls to come, and some that are over. */
  readonly delayed: Delayed[] = [];
  readonly #queued: Player[] = [];
  readonly #context: Context;
  #sequence = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  /** How many delayed calls are to come. */
  get active(): number {
    return this.delayed.filter(({ state }) => state === "active").length;
  }

  callLater(ms: number, plan: Plan): void {
    const delayed = new Delayed(plan);
    this.#move(delayed, () => this.#context.now() + ms, () => {
      delayed.call = this.#context.reactor.callLater(
        ms,
        () => this.#callDelayed(delayed),
      );
    });
    this.#tidy();
    this.delayed.push(delayed);
  }

  reset(delayed: Delayed, ms: number): void {
    this.#use(delayed, () => {
      const deadline = () => this.#context.now() + ms;
      this.#move(delayed, deadline, () => delayed.call.reset(ms));
    });
  }

  delay(delayed: Delayed, ms: number): void {
    this.#use(delayed, () => {
      const deadline = delayed.deadline + ms;
      this.#move(delayed, () => deadline, () => delayed.call.delay(ms));
    });
  }

  cancel(delayed: Delayed): void {
    this.#use(delayed, () => {
      delayed.call.cancel();
      delayed.state = "cancelled";
    });
  }

  callFromThread(plan: Plan): void {
    const player = { plan, played: false };
    this.#queued.push(player);
    const { length } = this.#queued;
    this.#context.reactor.callFromThread(() => this.#callQueued(player));
    this.#context.require(
      this.#queued.length === length,
      () => "a queued call inside callFromThread()",
    );
  }

  /** Cancels all that are to come. */
  clear(): void {
    for (const delayed of this.delayed) {
      if (delayed.state === "active") this.cancel(delayed);
    }
  }

  /** What is to come until a time. */
  owed(until: number): string | undefined {
    if (this.#queued.length > 0) return "a queued call";
    const delayed = this.delayed.find(({ state, deadline }) =>
      state === "active" && deadline <= until
    );
    return delayed && `a delayed call of ${delayed.deadline}`;
  }

  /** Uses a call that may be over. */
  #use(delayed: Delayed, f: () => void): void {
    if (delayed.state === "active") return f();
    const Refusal = delayed.state === "called"
      ? AlreadyCalled
      : AlreadyCancelled;
    let refusal: unknown;
    try {
      delayed.call.reset(0);
    } catch (error) {
      refusal = error;
    }
    this.#context.require(
      refusal instanceof Refusal,
      () => `use of a delayed call that is ${delayed.state}: ${show(refusal)}`,
    );
  }

  /** Gives a call a deadline, between two looks at the clock. */
  #move(delayed: Delayed, deadline: () => number, f: () => void): void {
    const earliest = deadline();
    f();
    const latest = deadline();
    delayed.deadline = delayed.call.getTime();
    delayed.sequence = this.#sequence++;
    delayed.movedIn = this.#context.pass;
    this.#context.require(
      earliest <= delayed.deadline && delayed.deadline <= latest,
      () => `a deadline of ${delayed.deadline}, not ${earliest} to ${latest}`,
    );
  }

  #callDelayed(delayed: Delayed): void {
    const context = this.#context;
    context.calledInPass((pass) => {
      this.#judge(delayed, pass);
      delayed.state = "called";
      this.#play(delayed);
    });
  }

  #judge(delayed: Delayed, pass: number): void {
    const { deadline, state } = delayed;
    const context = this.#context;
    const now = context.now();
    context.require(
      state === "active" && deadline <= now,
      () => `a delayed call of ${deadline} at ${now} that is ${state}`,
    );
    const earlier = this.delayed.find((other) =>
      other.state === "active" && other.isBefore(delayed) &&
      other.movedIn !== pass
    );
    context.require(
      earlier === undefined,
      () => `a delayed call of ${deadline} before ${earlier!.deadline}`,
    );
  }

  #callQueued(player: Player): void {
    const context = this.#context;
    context.calledInTurn(() => {
      context.require(
        this.#queued[0] === player,
        () => "a queued call out of order, or twice",
      );
      this.#queued.shift();
      this.#play(player);
    });
  }

  #play(player: Player): void {
    this.#context.play(player);
    if (player.plan.end === "throw") {
      throw this.#context.willThrow();
    }
  }

  #tidy(): void {
    const over = this.delayed.filter(({ state }) => state !== "active");
    for (const delayed of over.slice(0, -REMEMBERED)) {
      this.delayed.splice(this.delayed.indexOf(delayed), 1);
    }
  }
}
