/**
 * A toolkit: a loop that blocks the main thread, and the function by which any
 * thread may ask it to run something there.
 *
 * @module
 */

import { fault } from "./kernel.ts";
import { simulation } from "./simulation.ts";
import {
  inside,
  type Outcome,
  type Step,
  type Steps,
  Violation,
} from "./thread.ts";

/** The addresses of its function, and of those that hold a loop. */
export const ADDRESS = { POST: 1n, ACQUIRE: 2n, RELEASE: 3n } as const;

/** How a toolkit behaves. */
export interface ToolkitOptions {
  /** Its function returns only when what it was asked to run has run. */
  readonly synchronous: boolean;
  /** Its function can say no. */
  readonly refuses: boolean;
}

/** Something that it was asked to run. */
interface Item {
  ran: boolean;
}

/** See the module's documentation. */
export class Toolkit {
  /** The main thread is in its loop. */
  isRunning = false;
  /** It was taken down: nobody may be inside its function. */
  isDown = true;
  readonly #options: ToolkitOptions;
  #queue: Item[] = [];
  #work: (() => unknown) | undefined;

  constructor(options: ToolkitOptions) {
    this.#options = options;
  }

  /** Makes the report that stands for it. */
  use(work: () => unknown): unknown {
    this.#work = work;
    const { synchronous, refuses } = this.#options;
    return {
      call: {
        address: ADDRESS.POST,
        parameters: [],
        result: "i32",
        values: [],
        pointers: [],
        accepted: refuses ? 1 : undefined,
      },
      synchronous,
      release: () => {},
    };
  }

  up(): void {
    this.isDown = false;
  }

  /** One whose function waits for the main thread is part of Deno. */
  takeDown(): void {
    if (!this.#options.synchronous) this.isDown = true;
  }

  /** What it can run now. */
  outcomes(): Outcome[] {
    const [item, ...rest] = this.#queue;
    if (item === undefined) return [];
    if (!this.isRunning && !this.#options.synchronous) return [];
    return [{
      what: "runs what was posted",
      run: () => {
        this.#queue = rest;
        return () => this.#runItem(item);
      },
    }];
  }

  /** Its function. */
  *post(): Steps {
    const { synchronous, refuses } = this.#options;
    const { budget } = simulation();
    const enter: Step = {
      name: "call the toolkit's function",
      outcomes: () => {
        const accept = {
          what: "the toolkit accepts",
          run: () => {
            this.#checkUp();
            const item = { ran: false };
            this.#queue.push(item);
            return item;
          },
        };
        const refuse = {
          what: "the toolkit refuses",
          optional: true,
          run: () => {
            this.#checkUp();
            budget.refusals--;
          },
        };
        return [
          accept,
          ...(refuses && budget.refusals > 0 ? [refuse] : []),
          ...fault("the toolkit's function throws"),
        ];
      },
    };
    const item = (yield enter) as Item | undefined;
    const leave: Step & { item: Item | undefined } = {
      name: "leave the toolkit's function",
      item,
      outcomes: () =>
        synchronous && item?.ran === false ? [] : [{
          what: "leave the toolkit's function",
          run: () => {
            this.#checkUp();
            return item === undefined ? 0 : 1;
          },
        }],
    };
    return yield leave;
  }

  $state(): unknown[] {
    return [this.isRunning, this.isDown, this.#queue];
  }

  *#runItem(item: Item): Steps<void> {
    const steps = this.#work!() as Steps;
    yield* inside(steps, "what was posted", () => [item]);
    item.ran = true;
  }

  #checkUp(): void {
    if (!this.isDown) return;
    throw new Violation(
      "A thread is inside a function of a toolkit that was taken down",
    );
  }
}
