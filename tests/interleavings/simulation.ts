/**
 * Everything there is in one simulated run: the threads, what they share, and
 * what may still happen.
 *
 * @module
 */

import { EventLoop } from "./event_loop.ts";
import { Kernel } from "./kernel.ts";
import { Memory } from "./memory.ts";
import type { Program } from "./program.ts";
import { Reactor, type ReactorOptions } from "./reactor.ts";
import { type Outcome, type Step, type Steps, Thread } from "./thread.ts";
import type { SimulatedWorker } from "./worker_threads.ts";

/** How often what need not happen may happen. */
export interface Budget {
  /** Things that the program does. */
  actions: number;
  /** Events of descriptors. */
  events: number;
  /** Timeouts that only a fault makes pass. */
  patience: number;
  /** Reports that are made again, since nobody has heeded them yet. */
  repeats: number;
  /** Messages that come twice. */
  doubles: number;
  /** Calls that throw. */
  faults: number;
  /** Calls that say no: a toolkit that is asked, a loop that is held. */
  refusals: number;
  /** Returns of `poll()` without a reason. */
  interruptions: number;
}

/** One run. */
export class Simulation {
  readonly program: Program;
  /** What there was in the beginning. */
  readonly options: Readonly<Budget>;
  /** What is left of it. */
  readonly budget: Budget;
  readonly memory: Memory = new Memory();
  readonly loop: EventLoop = new EventLoop();
  readonly kernel: Kernel = new Kernel();
  readonly workers: SimulatedWorker[] = [];
  /** Terminated threads may end wherever they are. */
  readonly kills: boolean;
  /** Accesses that are not atomic are steps of their own. */
  readonly isFine: boolean;
  /** What the program has called the reactor for, and has not been called for. */
  readonly calls: {
    soon: boolean;
    stop: boolean;
    timer: "none" | "set" | "due";
  } = { soon: false, stop: false, timer: "none" };
  /** The main thread's clock. */
  now = 0;
  readonly reactor: Reactor;
  readonly main: Thread;
  readonly #outside = new Thread("outside", this.#happen());

  constructor(
    program: Program,
    budget: Partial<Budget>,
    reactor: ReactorOptions,
    { kills = false, isFine = false }: { kills?: boolean; isFine?: boolean } =
      {},
  ) {
    this.program = program;
    this.kills = kills;
    this.isFine = isFine;
    this.options = {
      actions: 0,
      events: 0,
      patience: 0,
      repeats: 0,
      doubles: 0,
      faults: 0,
      refusals: 0,
      interruptions: 0,
      ...budget,
    };
    this.budget = { ...this.options };
    this.reactor = new Reactor(reactor);
    this.main = new Thread("main", this.reactor.run());
  }

  /** Brings every thread to its first step. */
  begin(): void {
    this.#outside.start();
    this.main.start();
  }

  /** All threads that can do something. */
  get threads(): Thread[] {
    return [
      this.main,
      ...this.workers.map(({ thread }) => thread),
      this.#outside,
    ].filter(({ isOver }) => !isOver);
  }

  /** What can happen next, in an order that is always the same. */
  choices(): [Thread, Outcome][] {
    return this.threads.flatMap((thread) =>
      thread.pending!.outcomes().map((outcome) =>
        [thread, outcome] as [Thread, Outcome]
      )
    );
  }

  $state(): unknown[] {
    return [
      this.main,
      this.workers.map((worker) => [worker.thread, worker.doomed]),
      this.memory,
      this.loop,
      this.kernel,
      this.calls,
      this.budget,
      this.now,
      this.reactor,
    ];
  }

  *#happen(): Steps<never> {
    const wait: Step = {
      name: "the world outside",
      rests: true,
      outcomes: () => [
        ...this.#deaths(),
        ...this.memory.outcomes(),
        ...this.#time(),
        ...this.#events(),
      ],
    };
    for (;;) yield wait;
  }

  #deaths(): Outcome[] {
    if (!this.kills) return [];
    return this.workers
      .filter(({ doomed, thread }) => doomed && !thread.isOver)
      .map((worker) => ({
        what: `${worker.thread.name} is gone`,
        run: () => worker.kill(),
      }));
  }

  #time(): Outcome[] {
    const { calls, kernel } = this;
    if (calls.timer === "set") {
      return [{ what: "time passes", run: () => calls.timer = "due" }];
    }
    if (calls.timer === "none" || !kernel.timerSet) return [];
    return [{ what: "the timerfd expires", run: () => kernel.expire() }];
  }

  #events(): Outcome[] {
    const { budget, kernel, reactor } = this;
    if (budget.events === 0) return [];
    // Before that, nobody can tell whether it has happened.
    if (!this.threads.some(({ pending }) => pending!.looks)) return [];
    return reactor.descriptors
      .filter((fd) => !kernel.readable.has(fd))
      .map((fd) => ({
        what: `${fd} becomes readable`,
        optional: true,
        run: () => {
          budget.events--;
          kernel.fill(fd);
        },
      }));
  }
}

let current: Simulation;

/** The run that is being simulated. */
export function simulation(): Simulation {
  return current;
}

/** From now on, this one is. */
export function simulate(next: Simulation): void {
  current = next;
}
