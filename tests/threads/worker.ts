/**
 * Workers of the tests' own, with a handle.
 *
 * @module
 */

import { deadline } from "@std/async";
import type { ReactorHandle } from "../../src/threads/handle.ts";
import type { RemoteReactor } from "../../src/threads/mod.ts";
import { PATIENCE } from "../descriptors.ts";

/** What runs in a Worker: a function that needs nothing around it. */
export type Program<T> = (
  reactor: RemoteReactor,
  data: T,
  /** Sends something to the test. */
  say: (message: unknown) => void,
  /** The module `./threads`. */
  threads: typeof import("../../src/threads/mod.ts"),
  /** What was posted. */
  handle: unknown,
) => unknown;

/** How a Worker is connected. */
export interface TestWorkerOptions {
  /** For its blocking calls. */
  timeout?: number;
  /** Whether it can. */
  mayCallC?: boolean;
}

/** A web Worker that is connected to a reactor. */
export class TestWorker implements Disposable {
  readonly worker: Worker;
  readonly #messages: unknown[] = [];
  readonly #waiting: ((message: unknown) => void)[] = [];

  private constructor(source: string) {
    this.worker = new Worker(
      `data:text/javascript,${encodeURIComponent(source)}`,
      { type: "module" },
    );
    this.worker.onmessage = ({ data }) => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#messages.push(data);
      else next(data);
    };
  }

  /** Starts one, which says "end" at the end. */
  static start<T>(
    handle: ReactorHandle,
    program: Program<T>,
    data: T,
    { mayCallC = true, ...options }: TestWorkerOptions = {},
  ): TestWorker {
    const module = JSON.stringify(
      import.meta.resolve("../../src/threads/mod.ts"),
    );
    const worker = new TestWorker(`
      if (!${mayCallC}) Deno.dlopen = () => { throw new Error("dlopen()") };
      // Whoever listens at the first moment misses nothing.
      const imported = import(${module});
      onmessage = async ({ data: { handle, data, options } }) => {
        const say = (message) => postMessage(message);
        try {
          const threads = await imported;
          const reactor = threads.connectReactor(handle, options);
          await (${program})(reactor, data, say, threads, handle);
          say("end");
        } catch (error) {
          say({ error });
        }
      };
    `);
    worker.worker.postMessage({ handle, data, options }, [handle.port]);
    return worker;
  }

  /** What it says next. Throws what it has thrown. */
  async next(): Promise<unknown> {
    const message = this.#messages.length > 0
      ? this.#messages.shift()
      : await deadline(
        new Promise((resolve) => this.#waiting.push(resolve)),
        PATIENCE,
      );
    throwError(message);
    return message;
  }

  /** Throws what it has thrown, if that is what comes next. */
  check(): void {
    throwError(this.#messages[0]);
  }

  /** Waits for the end. */
  async end(): Promise<void> {
    while (await this.next() !== "end");
  }

  [Symbol.dispose](): void {
    this.worker.terminate();
  }
}

/** Throws the error that a Worker sends when it has failed. */
function throwError(message: unknown): void {
  if (
    typeof message === "object" && message !== null && "error" in message
  ) throw message.error;
}
