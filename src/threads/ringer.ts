/**
 * The thread that rings for Workers without `--allow-ffi`: the reactor's side of
 * it. The other side is in `ffi/bell.ts`.
 *
 * @module
 */

import {
  type AskedBellData,
  CLOSED,
  LINE,
  openBell,
  ringForOthers,
} from "../../ffi/bell.ts";
import type { Doorbell } from "./doorbell.ts";
import type { MainLine } from "./main_line.ts";

/** A thread that rings for others. It keeps no process alive. */
export class Ringer {
  /** The word that they count up. */
  readonly #asked = new Int32Array(new SharedArrayBuffer(4));
  readonly #doorbell: Doorbell;
  readonly #line: MainLine;
  readonly #worker: import("node:worker_threads").Worker;
  readonly #gone: Promise<void>;
  #over = false;

  /**
   * Starts it.
   *
   * @param doorbell What it rings.
   * @param failed Called when it has ended by itself.
   */
  constructor(doorbell: Doorbell, failed: (error: Error) => void) {
    this.#doorbell = doorbell;
    const line = this.#line = doorbell.add(() => {});
    const { Worker } = process.getBuiltinModule("node:worker_threads");
    const source = `{
      const { workerData } = process.getBuiltinModule("node:worker_threads");
      const { asked, bell } = workerData;
      (${ringForOthers})(bell, asked, (${openBell})(bell));
    }`;
    try {
      const workerData = { asked: this.#asked, bell: doorbell.bellOf(line) };
      // As in `hand_over.ts`: no module, which would be kept, and an `env`,
      // without which it would be given a copy of this process's, which takes a
      // permission.
      this.#worker = new Worker(source, { eval: true, workerData, env: {} });
    } catch (error) {
      doorbell.remove(line, CLOSED.LINE_CLOSED);
      throw error;
    }
    this.#worker.unref();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gone = promise;
    this.#worker.on("error", (error) => {
      if (!this.#over) failed(error as Error);
    });
    this.#worker.on("exit", (code) => {
      resolve();
      if (!this.#over) {
        failed(new Error(`The thread ended by itself, with code ${code}`));
      }
    });
  }

  /** What a Worker has it ring with. */
  bellOf(line: MainLine): AskedBellData {
    return { words: line.words, asked: this.#asked, at: LINE };
  }

  /**
   * Ends it.
   *
   * @returns Settles when it has gone.
   */
  end(): Promise<void> {
    if (!this.#over) {
      this.#over = true;
      this.#doorbell.remove(this.#line, CLOSED.REACTOR_ENDED);
      Atomics.add(this.#asked, 0, 1);
      Atomics.notify(this.#asked, 0);
      this.#worker.ref();
      void this.#worker.terminate();
    }
    return this.#gone;
  }
}
