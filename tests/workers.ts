/**
 * The reactor's workers, seen from outside.
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
