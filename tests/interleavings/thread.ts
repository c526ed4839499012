/**
 * A thread in steps, and what it has in mind.
 *
 * @module
 */

/** Something that a thread runs in steps. What it is sent is what came of one. */
export type Steps<T = unknown> = Generator<Step, T, unknown>;

/** One of the things that can come of a step. */
export interface Outcome {
  /** What a trace says of it. */
  readonly what: string;
  /** Does it. What it returns, or throws, the thread goes on with. */
  run(): unknown;
  /**
   * It need not happen: it is up to the world outside. Whatever is left to do
   * when nothing but such can happen is left undone for ever.
   */
  readonly optional?: boolean;
}

/** How a step touches the shared memory. */
export interface Access {
  readonly memory: Int32Array;
  readonly word: number;
  readonly writes: boolean;
  readonly atomic: boolean;
}

/** What a thread is about to do. */
export interface Step {
  /** What it is, with all that its outcomes depend on. */
  readonly name: string;
  /** What can come of it now; nothing, as long as it blocks. */
  outcomes(): readonly Outcome[];
  readonly access?: Access;
  /** It is the host's wait, in which a thread may stay for ever. */
  readonly rests?: boolean;
  /** It looks at descriptors. */
  readonly looks?: boolean;
  /** Nobody else can tell when it is made, so it comes right after the one before. */
  readonly isSilent?: boolean;
}

/** A function that is being run. */
interface Frame {
  readonly site: number | string;
  readonly variables: () => unknown[];
}

/** A step that has one outcome, at any time. */
export function step(name: string, run: () => unknown, access?: Access): Step {
  return { name, access, outcomes: () => [{ what: name, run }] };
}

/** Whether something is in steps. */
export function isSteps(value: unknown): value is Steps {
  return value instanceof AnySteps;
}

/** What every generator inherits from, in a form that `instanceof` takes. */
export const AnySteps: { new (): Steps; prototype: Steps } = (() => {
  function AnySteps() {}
  AnySteps.prototype = Object.getPrototypeOf(
    Object.getPrototypeOf((function* () {})()),
  );
  return AnySteps as never;
})();

/** Runs in one piece what might have been run in steps. */
export function atOnce(value: unknown): unknown {
  if (!isSteps(value)) return value;
  let input: unknown;
  for (;;) {
    const { done, value: next } = value.next(input);
    if (done) return next;
    const [outcome] = (next as Step).outcomes();
    input = outcome!.run();
  }
}

/** A thread. */
export class Thread {
  readonly name: string;
  /** The functions that it is in, the outermost first. */
  frames: Frame[] = [];
  /** What it is about to do; nothing when it has ended. */
  pending: Step | undefined;
  /** What ended it, if something was thrown. */
  error: unknown;
  readonly #steps: Steps;

  constructor(name: string, steps: Steps) {
    this.name = name;
    this.#steps = steps;
  }

  /** Whether it has come to its end. */
  get isOver(): boolean {
    return this.pending === undefined;
  }

  /** Goes on to the first step. */
  start(): void {
    this.#goOn(() => this.#steps.next());
  }

  /** Takes an outcome, and goes on to the next step. */
  take(outcome: Outcome): void {
    let result: unknown;
    running = this;
    try {
      result = outcome.run();
    } catch (error) {
      if (error instanceof Violation) throw error;
      return this.#goOn(() => this.#steps.throw(error));
    }
    this.#goOn(() => this.#steps.next(result));
  }

  /** Ends it where it is, as from outside. */
  kill(): void {
    this.pending = undefined;
  }

  /** What it has in mind. */
  $state(): unknown[] {
    return [this.name, this.pending, new Frames(this.frames)];
  }

  #goOn(next: () => IteratorResult<Step, unknown>): void {
    const before = running;
    running = this;
    try {
      let { done, value } = next();
      while (!done && (value as Step).isSilent) {
        const [outcome] = (value as Step).outcomes();
        ({ done, value } = this.#steps.next(outcome!.run()));
      }
      this.pending = done ? undefined : value as Step;
    } catch (error) {
      if (error instanceof Violation) throw error;
      this.pending = undefined;
      this.error = error;
    } finally {
      running = before;
    }
  }
}

/** The variables of functions that are being run. */
export class Frames {
  readonly #frames: readonly Frame[];

  constructor(frames: readonly Frame[]) {
    this.#frames = frames;
  }

  /** Has the present thread be in them, as it was when they were put aside. */
  resume(): void {
    running.frames.push(...this.#frames);
  }

  $state(): unknown[] {
    return this.#frames.flatMap(({ site, variables }) => [site, variables()]);
  }
}

let running: Thread;

/** The thread that runs at present. */
export function currentThread(): Thread {
  return running;
}

/** Enters a function, and notes what its caller has in mind meanwhile. */
export function* inside(
  steps: Steps,
  site: number | string,
  variables: () => unknown[] = () => [],
): Steps {
  const { frames } = running;
  frames.push({ site, variables });
  try {
    return yield* steps;
  } finally {
    frames.pop();
  }
}

/** Something that must never happen has happened. */
export class Violation extends Error {
  override name = "Violation";
}
