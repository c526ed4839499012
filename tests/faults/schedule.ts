/**
 * Which of many calls a fault strikes.
 *
 * @module
 */

/** Which calls: the first ones, all, every so many, or some at random. */
export type Which =
  | "always"
  | "once"
  | { readonly times: number }
  | { readonly every: number }
  | { readonly chance: number; readonly random: () => number };

/** Decides for one call after the other. */
export class Schedule {
  readonly #which: Which;
  /** How many calls there were. */
  #calls = 0;
  /** How many were struck. */
  struck = 0;

  constructor(which: Which) {
    this.#which = which;
  }

  /** Whether the next call is struck. */
  strikes(): boolean {
    this.#calls++;
    if (!this.#isDue()) return false;
    this.struck++;
    return true;
  }

  #isDue(): boolean {
    const which = this.#which;
    if (which === "always") return true;
    if (which === "once") return this.#calls === 1;
    if ("times" in which) return this.#calls <= which.times;
    if ("every" in which) return this.#calls % which.every === 0;
    return which.random() < which.chance;
  }
}

/** Random numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let x = Math.imul(state ^ state >>> 15, 1 | state);
    x = x + Math.imul(x ^ x >>> 7, 61 | x) ^ x;
    return ((x ^ x >>> 14) >>> 0) / 2 ** 32;
  };
}
