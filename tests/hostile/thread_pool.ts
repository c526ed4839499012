/**
 * Threads that run the programs of many workers, one after the other: to start a
 * thread takes longer than most tests with one.
 *
 * @module
 */

import { pollLoop } from "../../ffi/poll_loop.ts";
import {
  HandOver,
  type HandOverListener,
  type WorkerData,
} from "../../src/hand_over.ts";

type Worker = import("node:worker_threads").Worker;
type Listener = (value: unknown) => void;

/** Waits for a worker's data, runs its program, says so, and waits again. */
const SOURCE = `{
  const threads = process.getBuiltinModule("node:worker_threads");
  threads.parentPort.on("message", (data) => {
    (${pollLoop})(data, threads);
    threads.parentPort.postMessage("done");
  });
}`;

/** The threads that nobody uses. */
const free: Worker[] = [];

/** A worker, on whichever thread is free. Its end gives that back. */
class PooledWorker {
  readonly #thread: Worker;

  constructor(data: WorkerData) {
    const thread = this.#thread = free.pop() ?? startThread();
    thread.postMessage(data, [data.port]);
  }

  on(type: "error" | "exit", listener: Listener): void {
    // The program of a worker that fails says so by a message.
    if (type === "error") return;
    this.#thread.once("message", () => {
      free.push(this.#thread);
      listener(0);
    });
  }

  ref(): void {
    this.#thread.ref();
  }

  unref(): void {
    this.#thread.unref();
  }

  /** Nothing: whoever calls this has told its program to leave. */
  terminate(): void {}
}

function startThread(): Worker {
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  return new Worker(
    new URL(`data:text/javascript,${encodeURIComponent(SOURCE)}`),
    { env: {} },
  );
}

/** The seam of a reactor (`makeReactor`): a worker on one of these threads. */
export function pooledHandOver(
  table: Int32Array,
  listener: HandOverListener,
): HandOver {
  return new HandOver(table, listener, {
    startWorker: (data) => new PooledWorker(data) as unknown as Worker,
  });
}
