/**
 * What a thread is given to reach a reactor by.
 *
 * @module
 */

import { checkBoolean, complaint } from "../arguments.ts";
import type { MainLine } from "./main_line.ts";

/**
 * Options of {@linkcode Reactor.prototype.handle Reactor.handle}.
 *
 * @example For a Worker without any permission
 * ```ts
 * import { type HandleOptions, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const options: HandleOptions = { ffi: false };
 * using _handle = reactor.handle({ log: (text: string) => console.log(text) }, options);
 * assertEquals(reactor.inspect().threads.handles, 1);
 * ```
 */
export interface HandleOptions {
  /**
   * Whether the Worker has `--allow-ffi`, with which it wakes the reactor. For
   * one that has not, the reactor starts a thread that does it in its place.
   *
   * @default {true}
   */
  ffi?: boolean;
}

/**
 * Looks at the options of a handle.
 *
 * @throws {TypeError} When one is of the wrong type.
 */
export function checkHandleOptions(
  options: HandleOptions,
  action: string,
): HandleOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { ffi = true } = options;
  checkBoolean(ffi, action, "options.ffi");
  return { ffi };
}

/**
 * What a Worker is given to reach a reactor by: `connectReactor()` takes it
 * there. It can be posted to one Worker, with its port to be transferred.
 *
 * @example Usage
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const handle = reactor.handle({ log: (text: string) => console.log(text) });
 * const { port1, port2 } = new MessageChannel(); // Or a Worker.
 * port1.postMessage(handle, [handle.port]);
 * assertEquals(reactor.inspect().threads.handles, 1);
 *
 * handle[Symbol.dispose](); // Or with `using`.
 * assertEquals(reactor.inspect().threads.handles, 0);
 * port1.close();
 * port2.close();
 * ```
 */
export class ReactorHandle implements Disposable {
  /** The Worker's port. It has to be transferred with the handle. */
  readonly port: Transferable;
  /** @internal */
  readonly line: unknown;
  readonly #close: () => void;

  /** @internal */
  constructor(line: MainLine, data: unknown, close: () => void) {
    this.port = line.theirPort as unknown as Transferable;
    this.line = data;
    this.#close = close;
  }

  /**
   * Closes the connection from this side: what the Worker calls from now on
   * throws there. The end of the reactor does so by itself; a program that makes
   * many Workers does it when one has gone.
   */
  [Symbol.dispose](): void {
    this.#close();
  }
}
