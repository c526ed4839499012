/**
 * The main side of the worker that looks host names up: start it, ask it, hear
 * it, end it. The other side is `ffi/name_lookup.ts`.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import {
  closeDescriptor,
  duplicate,
  makePipe,
  readInto,
} from "../../ffi/descriptor.ts";
import { type SystemError, systemError } from "../../ffi/errno.ts";
import { libcPath } from "../../ffi/libc.ts";
import {
  lookUpNames,
  type NameAnswer,
  type NameLookupData,
  type NameLookupFailure,
  type NameQuestion,
} from "../../ffi/name_lookup.ts";
import type { ReadDescriptor } from "../descriptors.ts";

/**
 * How many descriptors a worker takes to start (6, with Deno 2.9), and a few
 * more. Deno ends the process when one starts and there are too few.
 */
const DESCRIPTORS_OF_A_WORKER = 16;

/** What the worker has to say. */
export interface LookupListener {
  /** In a work item: an answer has come. */
  answered(answer: NameAnswer): void;
  /** In a work item: the reactor has ended. */
  ended(reason: Error): void;
  /** Not in a work item: the worker is dead. */
  failed(error: Error): void;
}

/**
 * A worker that looks host names up. For as long as it is a reader of a reactor,
 * that hears its answers.
 */
export class LookupThread implements ReadDescriptor {
  /** For `inspect()`. */
  readonly label = "look-up of host names";
  readonly #listener: LookupListener;
  readonly #worker: import("node:worker_threads").Worker;
  readonly #port: import("node:worker_threads").MessagePort;
  /** Where the bytes come out; the worker closes the other end. */
  readonly #pipe: number;
  /** One word: 1 when the other end is closed. */
  readonly #closed = new Int32Array(new SharedArrayBuffer(4));
  readonly #bytes = new Uint8Array(64);
  #over = false;

  /**
   * Starts a worker. It does not keep the process alive.
   *
   * @param listener What hears of it.
   * @throws {SystemError} When there are too few descriptors left (EMFILE).
   */
  constructor(listener: LookupListener) {
    this.#listener = listener;
    const [output, input] = makePipe();
    this.#pipe = output;
    try {
      requireDescriptors(output);
      const { MessageChannel, Worker } = process.getBuiltinModule(
        "node:worker_threads",
      );
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      const data: NameLookupData = {
        port: port2,
        pipe: input,
        closed: this.#closed,
        library: libcPath(),
        darwin: Deno.build.os === "darwin",
        type: POSIX.SOCK_STREAM,
      };
      const source = `{
        const threads = process.getBuiltinModule("node:worker_threads");
        (${lookUpNames})(threads.workerData);
      }`;
      // As in `hand_over.ts`: no module, which would be kept, and an `env`,
      // without which it would be given a copy of this process's, which takes a
      // permission.
      this.#worker = new Worker(source, {
        eval: true,
        workerData: data,
        transferList: [port2],
        env: {},
      });
    } catch (error) {
      closeDescriptor(output);
      closeDescriptor(input);
      throw error;
    }
    this.#worker.unref();
    this.#worker.on("error", (error) => this.#failed(error as Error));
    this.#worker.on("exit", (code) => {
      // Nothing of it runs any more: what it did not close, nobody else will.
      if (Atomics.exchange(this.#closed, 0, 1) === 0) closeDescriptor(input);
      this.#failed(new Error(`The worker ended by itself, with code ${code}`));
    });
  }

  /** Asks for a name. */
  ask(question: NameQuestion): void {
    this.#port.postMessage(question);
  }

  /** The pipe; -1 at the end. */
  fileno(): number {
    return this.#over ? -1 : this.#pipe;
  }

  /** Takes the answers that have come. */
  doRead(): void {
    // First the bytes, then the messages: of a message that comes in between,
    // the byte is still to come.
    readInto(this.#pipe, this.#bytes);
    this.#receive();
  }

  /** The reactor has ended. */
  connectionLost(reason: Error): void {
    this.#listener.ended(reason);
  }

  /** Ends the worker. Nothing is heard of it afterwards. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    closeDescriptor(this.#pipe);
    this.#port.close();
    // It may be about to write to the other end, whose number must not be
    // another file's by then: so it closes it itself, and is let go when it has.
    void this.#otherEndClosed().then(() => this.#worker.terminate());
  }

  async #otherEndClosed(): Promise<void> {
    await Atomics.waitAsync(this.#closed, 0, 0).value;
  }

  #receive(): void {
    const { receiveMessageOnPort } = process.getBuiltinModule(
      "node:worker_threads",
    );
    while (!this.#over) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      const message: NameAnswer | NameLookupFailure = received.message;
      if ("error" in message && "id" in message) {
        this.#listener.answered(message);
      } else {
        this.#failed(message.error as Error);
      }
    }
  }

  #failed(error: Error): void {
    if (this.#over) return;
    // It may have said why.
    this.#receive();
    if (this.#over) return;
    this.end();
    this.#listener.failed(error);
  }
}

/**
 * Makes sure that there are enough descriptors, by taking them for a moment.
 *
 * @param any One to take duplicates of.
 */
function requireDescriptors(any: number): void {
  const taken: number[] = [];
  try {
    while (taken.length < DESCRIPTORS_OF_A_WORKER) taken.push(duplicate(any));
  } catch (error) {
    const { errno } = error as SystemError;
    throw systemError("Cannot start a worker", errno);
  } finally {
    for (const fd of taken) closeDescriptor(fd);
  }
}
