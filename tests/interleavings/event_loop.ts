/**
 * The main thread's event loop, with promises.
 *
 * @module
 */

import { simulation } from "./simulation.ts";
import { closure } from "./snapshot.ts";
import {
  currentThread,
  Frames,
  inside,
  isSteps,
  type Outcome,
  type Step,
  type Steps,
  Violation,
} from "./thread.ts";

/** Something that is to run, and what it knows. */
export interface Job {
  readonly what: string;
  readonly run: () => unknown;
  readonly about: unknown;
}

/** The queues. */
export class EventLoop {
  readonly microtasks: Job[] = [];
  /** What has become due, one queue for each source. */
  readonly tasks: Map<string, Job[]> = new Map();

  /** Adds a task, which comes after those of the same source. */
  post(source: string, run: () => unknown, about: unknown): void {
    const queue = this.tasks.get(source) ?? [];
    this.tasks.set(source, [...queue, { what: source, run, about }]);
  }

  /** What can be run now. */
  outcomes(): Outcome[] {
    const next = this.microtasks[0];
    if (next !== undefined) {
      return [{ what: next.what, run: () => this.microtasks.shift()!.run }];
    }
    return [...this.tasks.entries()].map(([source, [job, ...rest]]) => ({
      what: job!.what,
      run: () => {
        if (rest.length === 0) this.tasks.delete(source);
        else this.tasks.set(source, rest);
        return job!.run;
      },
    }));
  }

  /** Runs all promise reactions that are due. */
  *runMicrotasks(): Steps<void> {
    for (let job; (job = this.microtasks.shift()) !== undefined;) {
      yield* whole(job.run());
    }
  }
}

/** Runs something to its end, be it in steps or not. */
export function* whole(value: unknown): Steps {
  return isSteps(value) ? yield* value : value;
}

/** Stands in for `Promise`. None of those here may reject. */
export class SimulatedPromise {
  settled = false;
  value: unknown;
  #reactions: Job[] = [];

  static withResolvers(): unknown {
    const promise = new SimulatedPromise();
    return {
      promise,
      resolve: closure(
        -1,
        () => [promise],
        (value: unknown) => promise.resolve(value),
      ),
    };
  }

  static resolve(value: unknown): SimulatedPromise {
    const promise = new SimulatedPromise();
    promise.resolve(value);
    return promise;
  }

  static all(values: unknown[]): SimulatedPromise {
    const all = new SimulatedPromise();
    const waiting = values.filter((value) =>
      value instanceof SimulatedPromise
    ) as SimulatedPromise[];
    const look = closure(-2, () => [waiting, all], () => {
      if (!all.settled && waiting.every(({ settled }) => settled)) {
        all.resolve(undefined);
      }
    });
    for (const promise of waiting) promise.then(look);
    if (waiting.length === 0) all.resolve(undefined);
    return all;
  }

  resolve(value: unknown): void {
    if (this.settled) return;
    this.settled = true;
    this.value = value;
    for (const reaction of this.#reactions) this.#schedule(reaction);
    this.#reactions = [];
  }

  then(f: (value: unknown) => unknown): SimulatedPromise {
    const next = new SimulatedPromise();
    const react = function* (this: SimulatedPromise): Steps<void> {
      const steps = whole(f(this.value));
      next.resolve(yield* inside(steps, "a reaction", () => [next]));
    };
    const reaction: Job = {
      what: "a promise reaction",
      run: () => react.call(this),
      about: [f, next],
    };
    if (this.settled) this.#schedule(reaction);
    else this.#reactions.push(reaction);
    return next;
  }

  $state(): unknown[] {
    return [this.settled, this.value, this.#reactions];
  }

  #schedule(reaction: Job): void {
    simulation().loop.microtasks.push(reaction);
  }
}

/** A step at which an asynchronous function gives way to the event loop. */
interface Await extends Step {
  readonly promise: SimulatedPromise;
}

/** Stands in for `await`. */
export function* awaiting(value: unknown): Steps {
  const promise = value instanceof SimulatedPromise
    ? value
    : SimulatedPromise.resolve(value);
  const step: Await = { name: "await", promise, outcomes: () => [] };
  return yield step;
}

/** Stands in for the call of an asynchronous function, whose body it is given. */
export function* spawn(body: Steps): Steps<SimulatedPromise> {
  const promise = new SimulatedPromise();
  const steps = goOn(body, promise, new Frames([]), undefined);
  yield* inside(steps, "asynchronous", () => [promise]);
  return promise;
}

/** Runs an asynchronous function until it waits. */
function* goOn(
  body: Steps,
  promise: SimulatedPromise,
  aside: Frames,
  value: unknown,
): Steps<void> {
  const depth = currentThread().frames.length;
  aside.resume();
  for (let input = value;;) {
    const { done, value: next } = body.next(input);
    if (done) return promise.resolve(next);
    if (isAwait(next as Step)) {
      const frames = new Frames(currentThread().frames.splice(depth));
      (next as Await).promise.then(closure(
        -3,
        () => [frames, promise],
        (value: unknown) =>
          inside(
            goOn(body, promise, frames, value),
            "asynchronous",
            () => [promise],
          ),
      ));
      return;
    }
    try {
      input = yield next as Step;
    } catch (cause) {
      throw new Violation("An asynchronous function was thrown at", { cause });
    }
  }
}

function isAwait(step: Step): step is Await {
  return step.name === "await";
}
