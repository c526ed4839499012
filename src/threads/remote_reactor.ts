/**
 * The reactor as another thread sees it: something to call, and nothing else.
 *
 * @module
 */

import { CLOSED } from "../../ffi/bell.ts";
import { checkString, show } from "../arguments.ts";
import { ReactorNotRunning } from "../errors.ts";
import type {
  ArgumentsOf,
  FunctionNames,
  ResultOf,
  Untyped,
} from "./functions.ts";
import type { Line } from "./line.ts";
import { unpackError } from "./packed_error.ts";
import { transfersOf } from "./transfer.ts";

/**
 * A reactor on another thread. All that can be done with it is to call the
 * functions that it offers, by their names; everything else of a reactor belongs
 * to its own thread.
 *
 * @typeParam F The functions that are offered to this thread.
 *
 * @example A part of a Worker
 * ```ts no-assert
 * import type { RemoteReactor } from "@interleave/reactor/threads";
 *
 * interface Desk {
 *   progress(percent: number): void;
 *   isWanted(): boolean;
 * }
 *
 * function compute(reactor: RemoteReactor<Desk>): void {
 *   for (let i = 0; i <= 100; i += 10) {
 *     if (!reactor.blockingCallFromThread("isWanted")) break;
 *     reactor.callFromThread("progress", i);
 *   }
 * }
 * ```
 */
export interface RemoteReactor<F = Untyped> extends Disposable {
  /**
   * Calls a function on the reactor's thread, in a later round, after those that
   * this thread has called before. Nobody waits for it: what it throws goes to
   * the reactor's `onError`, and so it does when no function of that name is
   * offered.
   *
   * @param name The function's name.
   * @param args What to call it with; they are copied, unless `transfer()` says
   * that they are to be handed over.
   * @throws {TypeError} When `name` is not a string.
   * @throws {DOMException} When an argument cannot be cloned (`DataCloneError`).
   * @throws {ReactorNotRunning} When the reactor has ended.
   * @throws {Deno.errors.BadResource} When the connection is closed.
   */
  callFromThread<K extends FunctionNames<F>>(
    name: K,
    ...args: ArgumentsOf<F, K>
  ): void;

  /**
   * Calls a function on the reactor's thread, and blocks this thread until it has
   * returned. If it returns a promise, that is waited for.
   *
   * @param name The function's name.
   * @param args What to call it with; they are copied, unless `transfer()` says
   * that they are to be handed over.
   * @returns What it returns. What it throws is thrown here: of the same class,
   * if that is one of the language's, of Deno's or of this package's, and
   * otherwise an Error of the same name.
   * @throws {TypeError} When `name` is not a string, or no function of that name
   * is offered.
   * @throws {DOMException} When an argument or the result cannot be cloned
   * (`DataCloneError`), or it took too long (`TimeoutError`).
   * @throws {ReactorNotRunning} When the reactor has ended, or ends meanwhile.
   * @throws {Deno.errors.BadResource} When the connection is closed.
   */
  blockingCallFromThread<K extends FunctionNames<F>>(
    name: K,
    ...args: ArgumentsOf<F, K>
  ): ResultOf<F, K>;

  /** Closes the connection. Calls that were made are run all the same. */
  [Symbol.dispose](): void;
}

/** See {@linkcode RemoteReactor}. */
export class LineReactor implements RemoteReactor {
  readonly #line: Line;
  readonly #timeout: number;
  #disposed = false;

  /** @param timeout For a blocking call, in milliseconds. */
  constructor(line: Line, timeout: number) {
    this.#line = line;
    this.#timeout = timeout;
  }

  callFromThread(name: string, ...args: unknown[]): void {
    const action = "call from thread";
    checkString(name, action, "name");
    this.#requireOpen(action);
    this.#line.say({ call: name, args, id: 0 }, transfersOf(...args));
  }

  blockingCallFromThread(name: string, ...args: unknown[]): unknown {
    const action = "make a blocking call from a thread";
    checkString(name, action, "name");
    this.#requireOpen(action);
    const heard = this.#line.ask(
      name,
      args,
      transfersOf(...args),
      this.#timeout,
    );
    if (heard === "timed out") {
      throw new DOMException(
        `The call of ${show(name)} took longer than ${this.#timeout} ms`,
        "TimeoutError",
      );
    }
    if (heard === "closed") throw this.#ended(action);
    if (heard.error !== undefined) throw unpackError(heard.error);
    return heard.value;
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#line.closed === CLOSED.NO) this.#line.say({ farewell: true }, []);
  }

  #requireOpen(action: string): void {
    if (this.#disposed || this.#line.closed !== CLOSED.NO) {
      throw this.#ended(action);
    }
  }

  #ended(action: string): Error {
    return this.#line.closed === CLOSED.REACTOR_ENDED
      ? new ReactorNotRunning(`Cannot ${action}: the reactor has ended`)
      : new Deno.errors.BadResource(
        `Cannot ${action}: the connection is closed`,
      );
  }
}
