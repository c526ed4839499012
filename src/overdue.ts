/**
 * Work items that a waker has taken and its host does not run.
 *
 * Until a work item has run the reactor waits for its host: that is how a slow
 * host holds it back. One that never runs it would stop everything without a
 * word.
 *
 * @module
 */

import { clearTimeout, setImmediate, setTimeout } from "./host_timers.ts";
import { monotonic } from "./monotonic.ts";

/** Looks now and then whether work items are run. */
export class Overdue {
  readonly #limit: number;
  readonly #outstanding: () => number | undefined;
  readonly #report: (ms: number) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isChecking = false;

  /**
   * @param limit How long a host may take, in milliseconds.
   * @param outstanding The number of the work item that has not run yet.
   * @param report Is told once a work item, and how long it has taken by then.
   */
  constructor(
    limit: number,
    outstanding: () => number | undefined,
    report: (ms: number) => void,
  ) {
    this.#limit = limit;
    this.#outstanding = outstanding;
    this.#report = report;
  }

  /** A waker has been given a work item. */
  expect(item: number): void {
    if (this.#timer !== undefined || this.#isChecking) return;
    this.#isChecking = true;
    // Most hosts have run it by then, and it needs no timer.
    setImmediate(() => {
      this.#isChecking = false;
      if (this.#outstanding() === item) this.#watch(item);
    });
  }

  /** Nothing is looked at any more. */
  end(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #watch(item: number): void {
    const begun = monotonic();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const outstanding = this.#outstanding();
      if (outstanding === item) this.#report(monotonic() - begun);
      else if (outstanding !== undefined) this.#watch(outstanding);
    }, this.#limit);
    Deno.unrefTimer(this.#timer);
  }
}
