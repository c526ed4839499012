/**
 * Where the reactor runs beside the model, and how all comes to rest there.
 *
 * _Quiescent_ means that the reactor has looked at the kernel after the last
 * change that anybody made, and had nothing to tell; and that everybody who waits
 * for a promise has been heard. From there on nothing happens by itself, but for
 * delayed calls that are not due. Only then is the reactor held to what it owes.
 *
 * Nobody sleeps to find that out:
 *
 * - Driven by `iterate(0)`, a turn that ran nothing has looked at everything, on
 *   this very thread, after all callbacks. Promises are heard of when the
 *   microtasks have run; the longest way from a wait to whoever awaits it is a
 *   few of them long, and many times as many are let run. Were they too few, an
 *   answer would seem lost: that errs to the loud side.
 * - On Deno's own loop, what the model is owed is waited for first, without any
 *   help: a reactor that has missed a wake-up is not woken by the one who asks.
 *   Then comes a round trip. What is queued by `callFromThread` from outside a
 *   turn runs in a round that looked at the kernel later than that, and in that
 *   round after all that the look has found. An immediate that follows comes after
 *   every microtask. If the model has heard nothing on this whole way, the look
 *   has found nothing, and nobody has changed anything since.
 *
 * @module
 */

import { deadline } from "@std/async";
import { Reactor, type ReactorOptions } from "../../mod.ts";
import { type Backend, PATIENCE } from "../descriptors.ts";
import { Context, type Counters, Violation } from "./context.ts";
import { Driver } from "./driver.ts";

/** A reactor for any number of programs, one after the other. */
export abstract class Engine {
  readonly reactor: Reactor;
  protected driver: Driver | undefined;
  readonly #backend: Backend;
  readonly #hasWorker: boolean;

  constructor(backend: Backend, hasWorker: boolean, options: ReactorOptions) {
    this.#backend = backend;
    this.#hasWorker = hasWorker;
    this.reactor = new Reactor({
      ...options,
      backend,
      onError: (error, where) => this.driver?.context.reported(error, where),
    });
  }

  /** Starts the reactor. */
  abstract start(): Promise<void>;
  /** The reactor's clock. */
  abstract now(): number;
  /** Lets time pass. */
  abstract advance(ms: number): void;
  /** Waits until all is quiet, and throws if something is owed then. */
  abstract settle(driver: Driver): Promise<void>;
  /** Lets the reactor begin with what there is to do. */
  abstract breathe(driver: Driver): Promise<void>;

  /** Begins a program. */
  begin(counters: Counters): Driver {
    const context = new Context({
      reactor: this.reactor,
      now: () => this.now(),
      seesClosed: this.#backend === "poll",
      borrows: this.#backend === "poll" && this.#hasWorker,
      counters,
    });
    return this.driver = new Driver(context, (ms) => this.advance(ms));
  }

  /** Ends the reactor. */
  async close(): Promise<void> {
    await deadline(this.reactor.close(), PATIENCE);
  }
}

/** Throws if something is owed at rest; otherwise all is calm. */
function atRest(driver: Driver, until: number): void {
  const { context } = driver;
  context.check();
  const owed = driver.owed(until, true);
  if (owed !== undefined) throw new Violation("lost", owed);
  driver.objects.settled();
  driver.objects.compare();
  context.check();
  context.calm = true;
}

/** More microtasks than lie between a wait and who awaits it. */
const MICROTASKS = 24;

/** More turns than any event takes in which nobody is called. */
const IDLE_TURNS = 100;

/**
 * Driven by `iterate(0)`, on a clock that stands still by itself. Every run of a
 * program is like the last one.
 */
export class Iterated extends Engine {
  #now = 1000;

  /** @param promises Whether there are any: they start a worker. */
  constructor(backend: Backend, promises: boolean) {
    super(backend, promises, { clock: () => this.#now });
  }

  override start(): Promise<void> {
    return Promise.resolve();
  }

  override now(): number {
    return this.#now;
  }

  override advance(ms: number): void {
    this.#now += ms;
  }

  override breathe(driver: Driver): Promise<void> {
    return this.settle(driver);
  }

  override async settle(driver: Driver): Promise<void> {
    const { context, observers } = driver;
    for (let before = -1; before !== context.activity;) {
      this.#iterate(context);
      before = context.activity;
      if (!observers.isWaiting) break;
      for (let i = 0; i < MICROTASKS; i++) await null;
    }
    atRest(driver, this.#now);
  }

  #iterate(context: Context): void {
    let idle = 0;
    let before = context.activity;
    while (this.reactor.iterate()) {
      idle = context.activity === before ? idle + 1 : 0;
      before = context.activity;
      if (idle > IDLE_TURNS) {
        throw new Violation("misdelivered", "turns without end, for nobody");
      }
      context.check();
    }
  }
}

/** On Deno's own loop, or wherever a waker takes the work items. */
export class Running extends Engine {
  readonly #start: (reactor: Reactor) => void;
  /** What is due until then is waited for. */
  #until = 0;

  constructor(backend: Backend, start: (reactor: Reactor) => void) {
    super(backend, true, {});
    this.#start = start;
  }

  override async start(): Promise<void> {
    this.#start(this.reactor);
    // A worker that is about to come up opens descriptors, of any number.
    await deadline(this.#roundTrip(), PATIENCE);
  }

  override now(): number {
    return this.reactor.now();
  }

  override advance(ms: number): void {
    this.#until = this.now() + ms;
  }

  override async breathe({ context }: Driver): Promise<void> {
    context.calm = false;
    await immediate();
  }

  override async settle(driver: Driver): Promise<void> {
    const { context } = driver;
    const until = Math.max(this.#until, this.now());
    for (let before = -1; before !== context.activity;) {
      before = context.activity;
      await this.#paid(driver, until);
      await this.#roundTrip();
    }
    atRest(driver, until);
  }

  /** Waits until nothing is owed. */
  async #paid(driver: Driver, until: number): Promise<void> {
    const { context } = driver;
    for (; driver.owed(until, false) !== undefined; context.check()) {
      await new Promise<void>((resolve) => context.heard = resolve);
    }
  }

  async #roundTrip(): Promise<void> {
    await new Promise<void>((resolve) => this.reactor.callFromThread(resolve));
    await immediate();
  }
}

/** Resolves when all microtasks have run. */
export function immediate(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
