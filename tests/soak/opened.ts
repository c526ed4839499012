/**
 * Counts what no system call tells of: functions for C and timers of Deno's that
 * are open, and workers that were started. It takes the place of what makes them, in this process only, and so
 * has to be imported before everything that makes any.
 *
 * @module
 */

/** How many there are. */
export interface Opened {
  readonly callbacks: number;
  readonly timers: number;
  /** Those that have ended among them. */
  readonly workers: number;
}

let callbacks = 0;
let workers = 0;
const timers = new Set<Timer>();

/** Counts them. */
export function countOpened(): Opened {
  return { callbacks, timers: timers.size, workers };
}

const { UnsafeCallback } = Deno;
const { setTimeout, setInterval, clearTimeout } = globalThis;
const threads = process.getBuiltinModule("node:worker_threads");

class CountedWorker extends threads.Worker {
  constructor(...args: ConstructorParameters<typeof threads.Worker>) {
    super(...args);
    workers++;
  }
}

class CountedCallback<
  Definition extends Deno.UnsafeCallbackDefinition,
> extends UnsafeCallback<Definition> {
  #open = true;

  constructor(
    ...args: ConstructorParameters<typeof UnsafeCallback<Definition>>
  ) {
    super(...args);
    callbacks++;
  }

  override close(): void {
    super.close();
    if (!this.#open) return;
    this.#open = false;
    callbacks--;
  }
}

type Timer = ReturnType<typeof setTimeout>;

/** How a timer begins. */
type Begin = (
  callback: (...args: unknown[]) => void,
  ...rest: [delay?: number, ...args: unknown[]]
) => Timer;

const once: Begin = (callback, ...rest) => {
  const timer = (setTimeout as Begin)((...args) => {
    timers.delete(timer);
    callback(...args);
  }, ...rest);
  timers.add(timer);
  return timer;
};

const again: Begin = (...args) => {
  const timer = (setInterval as Begin)(...args);
  timers.add(timer);
  return timer;
};

/** Either ends timers of both kinds. */
function clear(timer?: Timer): void {
  if (timer !== undefined) timers.delete(timer);
  clearTimeout(timer);
}

threads.Worker = CountedWorker;
Object.assign(Deno, { UnsafeCallback: CountedCallback });
Object.assign(globalThis, {
  setTimeout: once,
  setInterval: again,
  clearTimeout: clear,
  clearInterval: clear,
});
