/**
 * A line between a thread and its reactor: a pair of ports for what is said, and
 * shared words for being heard, which `ffi/bell.ts` explains.
 *
 * {@linkcode openLine} is the thread's end. It is closure-free, because it
 * reaches the threads of a pool as its own source text.
 *
 * @module
 */

import type { BellData, LINE } from "../../ffi/bell.ts";
import type { PackedError } from "./packed_error.ts";

/** A call from a thread. */
export interface CallMessage {
  /** What is called. */
  readonly call: string;
  /** With what. */
  readonly args: readonly unknown[];
  /** Comes back with the answer; 0 if nobody waits for one. */
  readonly id: number;
}

/** The thread wants nothing more. */
export interface FarewellMessage {
  readonly farewell: true;
}

/** What came of a call. */
export interface Answer {
  /** That of the call. */
  readonly id: number;
  /** What it returned. */
  readonly value?: unknown;
  /** What it threw. */
  readonly error?: PackedError;
}

/** How waiting for an answer has ended. */
export type Heard = Answer | "timed out" | "closed";

/**
 * A message, as it crosses: alone in a Set.
 *
 * Deno looks through every message that it gives out to `node:worker_threads`,
 * for ports in it, element by element: for a typed array of 10 MB that takes it
 * a second. Into a Set it does not look.
 */
export type Wrapped<T> = Set<T>;

/** Takes a message out; undefined if there is none, whoever has sent what. */
export function unwrap(message: unknown): unknown {
  if (!(message instanceof Set)) return undefined;
  const [first] = message;
  return first;
}

/** A port, as far as a line needs it. */
export interface LinePort {
  postMessage(message: unknown, transfer: Transferable[]): void;
}

/** What the thread's end of a line is made of. All of it can be cloned. */
export interface LineData extends BellData {
  /** The thread's port; it has to be transferred. */
  readonly port: LinePort;
}

/** The thread's end of a line. */
export interface Line {
  /** See `LINE` and `CLOSED` in `ffi/bell.ts`. */
  readonly closed: number;
  /** Says something. Throws if it cannot be cloned. */
  say(message: unknown, transfer: Transferable[]): void;
  /** Calls, and blocks this thread until there is an answer. */
  ask(
    call: string,
    args: readonly unknown[],
    transfer: Transferable[],
    ms: number,
  ): Heard;
}

/**
 * Opens the thread's end.
 *
 * @param data What the reactor's side has made.
 * @param ring Rings the bell.
 * @param receive `receiveMessageOnPort` of `node:worker_threads`.
 */
export function openLine(
  data: { port: LinePort; words: Int32Array; at: typeof LINE },
  ring: () => void,
  receive: (port: LinePort) => { message: Wrapped<Answer> } | undefined,
): Line {
  const { port, words, at } = data;
  let last = 0;
  const say = (message: unknown, transfer: Transferable[]) => {
    port.postMessage(new Set([message]), transfer);
    ring();
  };
  return {
    get closed() {
      return Atomics.load(words, at.CLOSED);
    },
    say,
    ask(call, args, transfer, ms) {
      const id = ++last;
      const deadline = performance.now() + ms;
      say({ call, args, id }, transfer);
      for (;;) {
        // In this order: an answer may come before, and the end after it.
        const answers = Atomics.load(words, at.ANSWERS);
        const closed = Atomics.load(words, at.CLOSED) !== 0;
        let received: { message: Wrapped<Answer> } | undefined;
        while ((received = receive(port)) !== undefined) {
          const [answer] = received.message;
          // An earlier one is too late: nobody waits for it any more.
          if (answer!.id === id) return answer!;
        }
        if (closed) return "closed";
        const left = deadline - performance.now();
        if (left <= 0) return "timed out";
        Atomics.wait(words, at.ANSWERS, answers, left);
      }
    },
  };
}
