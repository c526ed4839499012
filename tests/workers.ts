/**
 * The reactor's workers, seen from outside, and threads of the tests' own.
 *
 * @module
 */

type Worker = import("node:worker_threads").Worker;

/** Runs a test that is given every worker that is started meanwhile. */
export async function withWorkers(
  fn: (workers: Worker[]) => Promise<void>,
): Promise<void> {
  const threads = process.getBuiltinModule("node:worker_threads");
  const { Worker } = threads;
  const workers: Worker[] = [];
  threads.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      workers.push(this);
    }
  };
  try {
    await fn(workers);
  } finally {
    threads.Worker = Worker;
  }
}

/** Long enough for any worker; nobody waits for it to pass. */
const PATIENCE = 20_000;

/** Waits until there are so many: a reactor gets by without for a moment. */
export async function untilStarted(
  workers: readonly Worker[],
  count = 1,
): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (workers.length < count && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A thread that runs a program of the test's. */
export interface Thread {
  /** Settles when the program has begun. */
  readonly up: Promise<void>;
  /** Settles when the program has ended, and its thread with it. */
  readonly done: Promise<void>;
}

/**
 * Starts a thread.
 *
 * @param program What it runs: a function that needs nothing around it.
 * @param data What the program is given, a copy but for shared memory.
 */
export function startThread<T>(program: (data: T) => void, data: T): Thread {
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const source = `{
    const { parentPort, workerData } = process.getBuiltinModule(
      "node:worker_threads",
    );
    parentPort.postMessage("up");
    (${program})(workerData);
    parentPort.postMessage("done");
  }`;
  // As the package's own workers: of a module, something stays.
  const worker = new Worker(source, { eval: true, workerData: data });
  const up = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  worker.on("error", done.reject);
  worker.on("message", (message) => {
    if (message === "up") return up.resolve();
    // By itself it would stay while coverage is measured.
    worker.terminate().then(() => done.resolve(), done.reject);
  });
  return { up: up.promise, done: done.promise };
}
