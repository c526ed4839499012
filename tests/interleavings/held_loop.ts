/**
 * An attached loop that has to be held by the thread that polls for it.
 *
 * @module
 */

import { STATE, WORD } from "../../ffi/poll_loop.ts";
import { whole } from "./event_loop.ts";
import { fault } from "./kernel.ts";
import type { SetInSteps } from "./program.ts";
import { simulation } from "./simulation.ts";
import {
  currentThread,
  type Step,
  step,
  type Steps,
  Violation,
} from "./thread.ts";
import { ADDRESS } from "./toolkit.ts";

const call = (address: bigint) => ({
  address,
  parameters: [],
  result: "i32",
  values: [],
  pointers: [],
});

/** Stands in for the `Attachments` of a reactor, with one loop or none. */
export class HeldLoop {
  size = 0;
  holds: unknown[] = [];
  /** The thread that holds it. */
  owner: string | undefined;
  /** Somebody was refused in the present wait. */
  #refused = false;

  /** From now on there is a loop. */
  attach(): void {
    this.size = 1;
    this.holds = [{
      acquire: call(ADDRESS.ACQUIRE),
      release: call(ADDRESS.RELEASE),
    }];
  }

  *combine(set: SetInSteps): Steps {
    this.#refused = false;
    // An accessor of one set is in steps, and a member of the other is not.
    return { table: set.table, count: yield* whole(set.count) };
  }

  timeout = (): number => -1;

  prepare(): void {}

  suspend(): void {}

  clear(): void {
    this.size = 0;
    this.holds = [];
  }

  /** The worker is said to hold it, while it polls. */
  held(): void {
    const { kernel, memory } = simulation();
    const control = memory.shared.at(-1)!;
    const isPolling = control[WORD.STATE] === STATE.POLLING &&
      kernel.polling.length > 0;
    if (!isPolling || this.#refused || this.owner !== undefined) return;
    throw new Violation("The worker polls for a loop that it does not hold");
  }

  notHeld(): void {
    if (this.#refused) return;
    throw new Violation("A loop counts as refused that nobody has refused");
  }

  /** The main thread waits for it, and does not wait here. */
  wait(): void {
    if (this.owner === undefined) return;
    throw new Violation("The main side runs, and the worker holds a loop");
  }

  *acquire(): Steps {
    const { budget } = simulation();
    const who = currentThread().name;
    const acquire: Step = {
      name: "acquire the loop",
      outcomes: () => [
        {
          what: "acquire the loop",
          run: () => {
            if (this.owner !== undefined) return this.#refuse();
            this.owner = who;
            return 1;
          },
        },
        ...(budget.refusals === 0 ? [] : [{
          what: "the loop is refused",
          optional: true,
          run: () => {
            budget.refusals--;
            this.#refused = true;
            return 0;
          },
        }]),
        ...fault("acquire throws"),
      ],
    };
    return yield acquire;
  }

  /** Another thread owns it. */
  #refuse(): number {
    const { budget, options } = simulation();
    if (budget.patience === options.patience) {
      throw new Violation(`${this.owner} still holds the loop`);
    }
    this.#refused = true; // By a worker that was given up.
    return 0;
  }

  *release(): Steps {
    const who = currentThread().name;
    return yield step("release the loop", () => {
      if (this.owner !== who) {
        throw new Violation("A loop is released that is not held");
      }
      this.owner = undefined;
    });
  }

  $state(): unknown[] {
    return [this.size, this.holds, this.owner, this.#refused];
  }
}
