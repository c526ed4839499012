/**
 * Runs every interleaving.
 *
 * A state that was met before is not gone on from again. Generators cannot be
 * copied, so to come back to a state all choices that led there are made again.
 *
 * @module
 */

import { STATE, WORD } from "../../ffi/poll_loop.ts";
import { findRace } from "./memory.ts";
import { simulate, type Simulation, simulation } from "./simulation.ts";
import { snapshot } from "./snapshot.ts";
import { type Thread, Violation } from "./thread.ts";

/** What was found. */
export interface Exploration {
  /** How many different states there are that have more than one way on. */
  readonly states: number;
  /** How many steps lead from one to another. */
  readonly steps: number;
  /** How many ways lead from the beginning to an end. */
  readonly interleavings: number;
  /** Accesses that can come at the same time, and are not all atomic. */
  readonly races: readonly string[];
  /** What went wrong first. */
  readonly fault: Fault | undefined;
}

/** Something that must not be. */
export interface Fault {
  readonly message: string;
  /** How it comes about, a line a step. */
  readonly trace: string;
}

/** One choice: which thread, and which of its outcomes. */
interface Choice {
  readonly before: Choice | undefined;
  readonly thread: number;
  readonly outcome: number;
}

/** A state. */
interface State {
  /** How it was met first. */
  readonly last: Choice | undefined;
  readonly next: number[];
  /** Nothing more happens by itself. */
  readonly isQuiet: boolean;
}

/**
 * Explores a simulation.
 *
 * @param begin Makes it, always in the same way.
 * @param order Whether to look for all there is, or for a shortest way to a
 * fault, which takes longer.
 */
export function explore(
  begin: () => Simulation,
  order: "depth first" | "breadth first" = "depth first",
): Exploration {
  return new Explorer(begin, order).run();
}

class Explorer {
  readonly #begin: () => Simulation;
  readonly #isDeep: boolean;
  readonly #numbers = new Map<string, number>();
  readonly #states: State[] = [];
  readonly #races = new Set<string>();
  /** Choices that are still to be made, with the state that they are made in. */
  readonly #work: { choice: Choice | undefined; from: number }[] = [];
  #steps = 0;

  constructor(begin: () => Simulation, order: string) {
    this.#begin = begin;
    this.#isDeep = order === "depth first";
  }

  run(): Exploration {
    this.#work.push({ choice: undefined, from: -1 });
    /** Where the simulation is at present. */
    let present: Choice | undefined | null = null;
    for (let at = 0; at < this.#work.length;) {
      const { choice, from } = this.#isDeep
        ? this.#work.pop()!
        : this.#work[at++]!;
      try {
        if (choice === undefined || present !== choice.before) {
          replay(this.#begin, choice?.before);
        }
        present = choice;
        if (choice !== undefined) make(choice);
        this.#steps++;
        for (let next; (next = this.#onlyChoice(present)) !== undefined;) {
          present = next;
          make(next);
          this.#steps++;
        }
        this.#visit(present, from);
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
        const last = present ?? undefined;
        return this.#result(this.#faultAt(last, messageOf(error)));
      }
    }
    const endless = this.#findEndless();
    return this.#result(
      endless && this.#faultAt(endless.last, "From here on it never ends"),
    );
  }

  /** Where there is no choice, there is no need to come back. */
  #onlyChoice(before: Choice | undefined): Choice | undefined {
    const { threads } = simulation();
    this.#lookForRace(threads);
    let only: Choice | undefined;
    for (const [thread, { pending }] of threads.entries()) {
      const outcomes = pending!.outcomes();
      if (outcomes.length === 0) continue;
      const isOnly = only === undefined && outcomes.length === 1;
      if (!isOnly || outcomes[0]!.optional) return undefined;
      only = { before, thread, outcome: 0 };
    }
    return only;
  }

  #lookForRace(threads: readonly Thread[]): void {
    const race = findRace(threads);
    if (race !== undefined) this.#races.add(race);
  }

  #visit(choice: Choice | undefined, from: number): void {
    const text = snapshot(simulation());
    const known = this.#numbers.get(text);
    const number = known ?? this.#states.length;
    this.#states[from]?.next.push(number);
    if (known !== undefined) return;
    this.#numbers.set(text, number);
    const { threads, reactor } = simulation();
    const outcomes = threads.map(({ pending }) => pending!.outcomes());
    const isQuiet = outcomes.flat().every(({ optional }) => optional);
    const neglect = isQuiet ? reactor.findNeglect() : undefined;
    if (neglect !== undefined) throw new Violation(neglect);
    this.#states.push({ last: choice, next: [], isQuiet });
    const choices = outcomes.flatMap((some, thread) =>
      some.map((_, outcome) => ({
        choice: { before: choice, thread, outcome },
        from: number,
      }))
    );
    this.#work.push(...(this.#isDeep ? choices.toReversed() : choices));
  }

  /** A state from which none can be reached in which there is nothing to do. */
  #findEndless(): State | undefined {
    const before: number[][] = this.#states.map(() => []);
    for (const [number, { next }] of this.#states.entries()) {
      for (const other of next) before[other]!.push(number);
    }
    const reached = new Set<number>();
    const work = [...this.#states.keys()]
      .filter((number) => this.#states[number]!.isQuiet);
    for (let number; (number = work.pop()) !== undefined;) {
      if (reached.has(number)) continue;
      reached.add(number);
      work.push(...before[number]!);
    }
    return this.#states.find((_, number) => !reached.has(number));
  }

  /** How many ways lead to an end, none of which comes by a state twice. */
  #countWays(): number {
    const waiting = this.#states.map(() => 0);
    for (const { next } of this.#states) {
      for (const number of next) waiting[number]!++;
    }
    const order = [...waiting.keys()].filter((number) => waiting[number] === 0);
    for (const number of order) {
      for (const next of this.#states[number]!.next) {
        if (--waiting[next]! === 0) order.push(next);
      }
    }
    if (order.length < this.#states.length) return Infinity;
    const ways: number[] = [];
    for (const number of order.toReversed()) {
      const { next } = this.#states[number]!;
      ways[number] = next.length === 0
        ? 1
        : next.reduce((sum, other) => sum + ways[other]!, 0);
    }
    return ways[0] ?? 0;
  }

  #faultAt(choice: Choice | undefined, message: string): Fault {
    return { message, trace: traceOf(this.#begin, choice) };
  }

  #result(fault: Fault | undefined): Exploration {
    return {
      states: this.#states.length,
      steps: this.#steps,
      interleavings: fault === undefined ? this.#countWays() : 0,
      races: [...this.#races].toSorted(),
      fault,
    };
  }
}

function replay(begin: () => Simulation, choice: Choice | undefined): void {
  simulate(begin());
  simulation().begin();
  checkMain();
  for (const each of wayTo(choice)) make(each);
}

function wayTo(choice: Choice | undefined): Choice[] {
  const way: Choice[] = [];
  for (let each = choice; each !== undefined; each = each.before) {
    way.push(each);
  }
  return way.reverse();
}

function make({ thread, outcome }: Choice): void {
  const chosen = simulation().threads[thread]!;
  chosen.take(chosen.pending!.outcomes()[outcome]!);
  checkMain();
}

function checkMain(): void {
  const { main } = simulation();
  if (main.error !== undefined) {
    throw new Violation("The main thread has thrown", { cause: main.error });
  }
}

function messageOf(error: Violation): string {
  const { cause } = error;
  if (cause === undefined) return error.message;
  return `${error.message}: ${cause instanceof Error ? cause.stack : cause}`;
}

const WIDTH = 44;
const STATES = Object.keys(STATE);

/** The way to a choice, with a column for each thread. */
function traceOf(begin: () => Simulation, choice: Choice | undefined): string {
  const way = wayTo(choice);
  simulate(begin());
  simulation().begin();
  const lines = [lineOf("main", "STATE", "worker")];
  for (const each of way) {
    const thread = simulation().threads[each.thread]!;
    const { what } = thread.pending!.outcomes()[each.outcome]!;
    try {
      make(each);
    } catch {
      // It is what the trace leads to.
    }
    const { main, memory, workers } = simulation();
    const state = memory.shared.at(-1)?.[WORD.STATE];
    const shown = state === undefined ? "" : STATES[state]!;
    const isWorker = workers.some((worker) => worker.thread === thread);
    if (thread === main) lines.push(lineOf(what, shown, ""));
    else lines.push(lineOf("", shown, isWorker ? what : `(${what})`));
  }
  return lines.join("\n");
}

function lineOf(main: string, state: string, worker: string): string {
  return `${main.padEnd(WIDTH)}  ${state.padEnd(8)}  ${worker}`.trimEnd();
}
