/**
 * Descriptors that are ready again and again although nobody uses them.
 *
 * The kernel tells of what is ready for as long as it is (poll(2)). A reader that
 * does not read, a writer that has nothing to write, a watch whose consumer does
 * not look: each of them keeps a processor busy without end, and nothing seems to
 * be wrong. So a descriptor that was ready in a thousand rounds running is looked
 * at now and then, before and after its callback. When the callback has left it
 * as it was sixteen times in a row, that is reported. If there is no doubt, as
 * after the end of the data, the kernel is asked for it a hundred times a second
 * only from then on, until it is used again.
 *
 * What it costs the others: two numbers an event.
 *
 * @module
 */

import { backlogOf, type Side, useOf } from "../ffi/backlog.ts";
import { monotonic } from "./monotonic.ts";

/** After so many rounds in a row it is looked at. */
const SUSPICIOUS = 1000;

/** Every so many rounds, then. */
const STEP = 64;

/** So often in a row a callback must have left it as it was. */
const ENOUGH = 16;

/** How long it is left alone each time when it spins, in milliseconds. */
const REST = 10;

/** What is known of one descriptor. */
export class Suspicion {
  /** The last round in which it was ready. */
  #round = -1;
  /** In how many rounds it was, running. */
  #streak = 0;
  /** How many looks in a row have found it untouched. */
  #untouched = 0;
  #spins = false;
  /** Whether there is no doubt. */
  #isCertain = false;
  /** What there was before a callback that is being looked at. */
  #before: number | undefined;
  #side: Side = "read";

  /** It is ready. Whether this is a time to look at it. */
  isDue(round: number): boolean {
    this.#streak = this.#round === round - 1 ? this.#streak + 1 : 0;
    this.#round = round;
    return this.canRest ||
      this.#streak >= SUSPICIOUS && this.#streak % STEP === 0;
  }

  /** Whether it may be asked for less often. */
  get canRest(): boolean {
    return this.#spins && this.#isCertain;
  }

  /**
   * Whether the last look left no doubt. Where as much waits as before, the
   * callback may have put back what it took.
   */
  get isCertain(): boolean {
    return this.#isCertain;
  }

  /** A callback is about to be told of it. */
  before(fd: number, side: Side): void {
    this.#side = side;
    this.#before = backlogOf(fd, side);
  }

  /**
   * The callback is through.
   *
   * @returns "spins" when it has just turned out that nobody uses it, "still"
   * when that was known, nothing when all is well.
   */
  after(fd: number): "spins" | "still" | undefined {
    const before = this.#before;
    if (before === undefined) return undefined;
    this.#before = undefined;
    const use = useOf(fd, this.#side, before);
    this.#isCertain = use === "no";
    if (use === "yes") {
      this.#streak = this.#untouched = 0;
      this.#spins = false;
      return undefined;
    }
    if (++this.#untouched < ENOUGH) return undefined;
    const first = !this.#spins;
    this.#spins = true;
    return first ? "spins" : "still";
  }
}

/** Descriptors that the kernel is not asked for at present. */
export class Rests<T> {
  #resting: T[] = [];
  #end = Infinity;

  /** When they are to be asked for again, as `performance.now()` has it. */
  get end(): number {
    return this.#end;
  }

  /** Lets one rest. */
  add(one: T): void {
    this.#end = Math.min(this.#end, monotonic() + REST);
    this.#resting.push(one);
  }

  /** Those whose rest is over. */
  takeRested(): readonly T[] {
    if (monotonic() < this.#end) return [];
    const rested = this.#resting;
    this.#resting = [];
    this.#end = Infinity;
    return rested;
  }
}
