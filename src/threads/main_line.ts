/**
 * The reactor's end of a line.
 *
 * What comes from a thread is not trusted: it may be anything, and its words may
 * say anything. It gets what it is offered and nothing else, and the worst that
 * it can do with its words is not to be heard.
 *
 * @module
 */

import { type BellData, CLOSED, LINE } from "../../ffi/bell.ts";
import { type Answer, unwrap, type Wrapped } from "./line.ts";
import { packError } from "./packed_error.ts";
import { transfersOf } from "./transfer.ts";

type MessagePort = import("node:worker_threads").MessagePort;

/**
 * How many messages of one line are taken at a look. The rest come after others
 * have had their turn.
 */
const AT_A_LOOK = 1000;

/** The reactor's end of a line. */
export class MainLine {
  /** See `ffi/bell.ts`. */
  readonly words: Int32Array;
  /** The thread's port. */
  readonly theirPort: MessagePort;
  readonly #port: MessagePort;
  readonly #received: (message: unknown) => void;
  readonly #threads: typeof import("node:worker_threads");
  #isOpen = true;

  /** @param received Is given what the thread says. */
  constructor(received: (message: unknown) => void) {
    this.#threads = process.getBuiltinModule("node:worker_threads");
    const { port1, port2 } = new this.#threads.MessageChannel();
    this.#port = port1;
    this.theirPort = port2;
    this.#received = received;
    this.words = new Int32Array(new SharedArrayBuffer(4 * LINE.LENGTH));
  }

  /** What the thread rings with. */
  bell(pipe: number, library: string): BellData {
    return { words: this.words, pipe, library, at: LINE };
  }

  /** Whether anything may have come since the last look. */
  takeRing(): boolean {
    return Atomics.exchange(this.words, LINE.RUNG, 0) !== 0;
  }

  /**
   * Takes what has come.
   *
   * @returns Whether there may be more.
   */
  receive(): boolean {
    const { receiveMessageOnPort } = this.#threads;
    for (let i = 0; i < AT_A_LOOK; i++) {
      if (!this.#isOpen) return false;
      let message: unknown;
      try {
        const received = receiveMessageOnPort(this.#port);
        if (received === undefined) return false;
        message = unwrap(received.message);
      } catch {
        // It can be sent, and not be received: it is no call, then.
      }
      this.#received(message);
    }
    return true;
  }

  /** Sends an answer, if anybody can hear it. */
  answer(answer: Answer): void {
    if (!this.#isOpen) return;
    try {
      const transfer = transfersOf(answer.value);
      this.#post(answer, transfer);
    } catch (error) {
      // What it returned cannot be cloned.
      this.#post({ id: answer.id, error: packError(error) });
    }
    this.#notify();
  }

  /** Nobody listens any more: the thread is told, be it waiting or not. */
  close(why: number): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    Atomics.compareExchange(this.words, LINE.CLOSED, CLOSED.NO, why);
    this.#notify();
    this.#port.close();
    // Unless it has been transferred, it is the only one that knows of it.
    this.theirPort.close();
  }

  #post(answer: Answer, transfer: Transferable[] = []): void {
    const message: Wrapped<Answer> = new Set([answer]);
    this.#port.postMessage(message, transfer as never);
  }

  #notify(): void {
    Atomics.add(this.words, LINE.ANSWERS, 1);
    Atomics.notify(this.words, LINE.ANSWERS);
  }
}
