/**
 * Shared memory and `Atomics`, one step for each access.
 *
 * The steps of all threads stand in one order (sequential consistency). So they
 * do in JavaScript as long as no two accesses of which one is not atomic, and
 * one writes, can come at the same time: {@linkcode findRace} says where they
 * can.
 *
 * @module
 */

import { STATE, WORD } from "../../ffi/poll_loop.ts";
import { SimulatedPromise } from "./event_loop.ts";
import { simulation } from "./simulation.ts";
import {
  type Access,
  currentThread,
  type Outcome,
  type Step,
  step,
  type Steps,
  type Thread,
  Violation,
} from "./thread.ts";

/** A thread that sleeps, or a promise, until a word is spoken of. */
interface Waiter {
  readonly memory: Int32Array;
  readonly word: number;
  woken: boolean;
  readonly async?: AsyncWaiter;
}

/** Whom a promise tells. */
interface AsyncWaiter {
  readonly promise: SimulatedPromise;
  readonly timeout: number;
}

/** The state of the shared memory, beside the words themselves. */
export class Memory {
  /** The control words of each worker. */
  readonly shared: Int32Array[] = [];
  waiters: Waiter[] = [];

  /** Waits of the event loop's that may end by themselves. */
  outcomes(): Outcome[] {
    const { budget } = simulation();
    if (budget.patience === 0) return [];
    return this.waiters
      .filter(({ async }) => async !== undefined && async.timeout < Infinity)
      .map((waiter) => ({
        what: "Atomics.waitAsync loses patience",
        optional: true,
        run: () => {
          budget.patience--;
          this.waiters = this.waiters.filter((other) => other !== waiter);
          settle(waiter.async!.promise, "timed-out");
        },
      }));
  }
}

function waits(waiter: Waiter, memory: Int32Array, word: number): boolean {
  return waiter.memory === memory && waiter.word === word;
}

function settle(promise: SimulatedPromise, outcome: string): void {
  const run = () => promise.resolve(outcome);
  simulation().loop.post("Atomics.waitAsync", run, [promise, outcome]);
}

const WORDS = Object.keys(WORD);
const STATES = Object.keys(STATE);

/** A timeout so long ends a wait in vain, and what was done is done again. */
const AGAIN = 1_000;
/** One so long is one that only a fault makes pass. */
const PATIENCE = 10_000;

/**
 * Who may change STATE from what to what, as `ffi/poll_loop.ts` has it: all
 * others are violations.
 */
const CHANGES: Record<"main" | "worker", readonly string[]> = {
  main: [
    "PARKED>ARMED",
    "REPORTED>ARMED",
    "ARMED>PARKED",
    "REPORTED>PARKED",
  ],
  worker: ["ARMED>POLLING", "POLLING>REPORTED"],
};

function write(memory: Int32Array, word: number, value: number): void {
  if (word === WORD.STATE) checkChange(memory[word]!, value);
  memory[word] = value;
}

function checkChange(from: number, to: number): void {
  const isMain = currentThread() === simulation().main;
  const change = `${STATES[from]}>${STATES[to]}`;
  if (to === (isMain ? STATE.ENDING : STATE.FAILED)) return;
  if (CHANGES[isMain ? "main" : "worker"].includes(change)) return;
  throw new Violation(`${currentThread().name} changed STATE: ${change}`);
}

function nameOf(memory: Int32Array, word: number): string {
  const number = simulation().memory.shared.indexOf(memory);
  return `${WORDS[word]}${number > 0 ? ` of worker ${number + 1}` : ""}`;
}

function valueOf(word: number, value: number): string {
  return word === WORD.STATE ? STATES[value]! : String(value);
}

/** Stands in for `Atomics`. */
export const SimulatedAtomics = {
  *load(memory: Int32Array, word: number): Steps {
    return yield access(memory, word, "load", false, () => memory[word]);
  },

  *store(memory: Int32Array, word: number, value: number): Steps {
    const name = `store ${valueOf(word, value)} in`;
    return yield access(
      memory,
      word,
      name,
      true,
      () => write(memory, word, value),
    );
  },

  *compareExchange(
    memory: Int32Array,
    word: number,
    expected: number,
    replacement: number,
  ): Steps {
    const name = `${valueOf(word, expected)} -> ${
      valueOf(word, replacement)
    } in`;
    return yield access(memory, word, name, true, () => {
      const found = memory[word]!;
      if (found === expected) write(memory, word, replacement);
      return found;
    });
  },

  *notify(memory: Int32Array, word: number): Steps {
    const { isFine, memory: state } = simulation();
    const isHeeded = state.waiters.some((waiter) =>
      waits(waiter, memory, word)
    );
    const speak = step(`notify ${nameOf(memory, word)}`, () => {
      const woken = state.waiters
        .filter((waiter) => waits(waiter, memory, word));
      for (const waiter of woken) {
        waiter.woken = true;
        if (waiter.async !== undefined) settle(waiter.async.promise, "ok");
      }
      state.waiters = state.waiters.filter(({ woken }) => !woken);
      return woken.length;
    });
    // Where nobody waits it changes nothing. That it may come late, and wake who
    // has begun to wait meanwhile, is tried where every access is a step.
    return yield { ...speak, isSilent: !isHeeded && !isFine };
  },

  *wait(
    memory: Int32Array,
    word: number,
    value: number,
    timeout: number = Infinity,
  ): Steps {
    const name = `wait while ${valueOf(word, value)} in`;
    const waiter = yield access(
      memory,
      word,
      name,
      false,
      () => enlist(memory, word, value),
    );
    return waiter === undefined
      ? "not-equal"
      : yield sleep(waiter as Waiter, timeout);
  },

  *waitAsync(
    memory: Int32Array,
    word: number,
    value: number,
    timeout: number = Infinity,
  ): Steps {
    const name = `wait, not blocking, while ${valueOf(word, value)} in`;
    return yield access(memory, word, name, false, () => {
      const promise = new SimulatedPromise();
      const waiter = enlist(memory, word, value, { promise, timeout });
      return { value: waiter === undefined ? "not-equal" : promise };
    });
  },
};

function access(
  memory: Int32Array,
  word: number,
  name: string,
  writes: boolean,
  run: () => unknown,
  atomic = true,
): Step {
  return {
    ...step(`${name} ${nameOf(memory, word)}`, run, {
      memory,
      word,
      writes,
      atomic,
    }),
    // Without a race, what is not atomic is told of by what is.
    isSilent: !atomic && !simulation().isFine,
  };
}

function enlist(
  memory: Int32Array,
  word: number,
  value: number,
  async?: AsyncWaiter,
): Waiter | undefined {
  if (memory[word] !== value) return undefined;
  const waiter: Waiter = { memory, word, woken: false, async };
  simulation().memory.waiters.push(waiter);
  return waiter;
}

function sleep(waiter: Waiter, timeout: number): Step & { waiter: Waiter } {
  const { budget } = simulation();
  const thread = currentThread();
  const expire = () => {
    const { memory } = simulation();
    memory.waiters = memory.waiters.filter((other) => other !== waiter);
    if (thread === simulation().main) simulation().now += timeout;
    return "timed-out";
  };
  const limit = timeout >= PATIENCE ? "patience" : "repeats";
  return {
    name: `sleep on ${nameOf(waiter.memory, waiter.word)} for ${timeout} ms`,
    waiter,
    // The main thread looks after the worker meanwhile.
    rests: timeout === Infinity ||
      timeout === AGAIN && thread === simulation().main,
    outcomes: () => {
      if (waiter.woken) return [{ what: "wakes up", run: () => "ok" }];
      const what = `has slept for ${timeout} ms`;
      if (timeout < AGAIN) return [{ what, run: expire }];
      if (timeout === Infinity || budget[limit] === 0) return [];
      return [{
        what,
        optional: true,
        run: () => {
          budget[limit]--;
          return expire();
        },
      }];
    },
  };
}

/** Stands in for `object[index]`. */
export function element(
  object: Record<number, unknown>,
  index: number,
): unknown {
  return isShared(object) ? readShared(object, index) : object[index];
}

/** Stands in for `object[index] = value`. */
export function setElement(
  object: Record<number, unknown>,
  index: number,
  value: unknown,
): unknown {
  if (isShared(object)) return writeShared(object, index, value as number);
  return object[index] = value;
}

function isShared(object: unknown): object is Int32Array {
  return simulation().memory.shared.includes(object as Int32Array);
}

function* readShared(memory: Int32Array, word: number): Steps {
  return yield access(memory, word, "read", false, () => memory[word], false);
}

function* writeShared(
  memory: Int32Array,
  word: number,
  value: number,
): Steps {
  return yield access(
    memory,
    word,
    `write ${valueOf(word, value)} to`,
    true,
    () => write(memory, word, value),
    false,
  );
}

/** What two threads are about to do at once to the same word, if it is a race. */
export function findRace(threads: readonly Thread[]): string | undefined {
  const steps = threads
    .map(({ pending }) => pending)
    .filter((pending) => pending?.access !== undefined) as (Step & {
      access: Access;
    })[];
  for (const [i, a] of steps.entries()) {
    for (const b of steps.slice(i + 1)) {
      if (isRace(a.access, b.access)) return `${a.name} | ${b.name}`;
    }
  }
  return undefined;
}

function isRace(a: Access, b: Access): boolean {
  return a.memory === b.memory && a.word === b.word &&
    (a.writes || b.writes) && !(a.atomic && b.atomic);
}
