/**
 * What a Worker needs to call back into a reactor of another thread, and
 * nothing else: importing this loads no reactor.
 *
 * On the reactor's thread, functions are offered by name, and a handle is posted
 * to the Worker:
 *
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 *
 * const desk = {
 *   progress: (percent: number): void => console.log(`${percent} %`),
 *   ask: (question: string): string | null => prompt(question),
 * };
 * export type Desk = typeof desk;
 *
 * function employ(worker: Worker): void {
 *   const handle = reactor.handle(desk);
 *   worker.postMessage(handle, [handle.port]);
 * }
 * ```
 *
 * | in | use |
 * |---|---|
 * | a Worker with a handle | {@linkcode connectReactor} |
 * | a thread of the reactor's pool | {@linkcode reactorOfThread} |
 * | either, for memory that is not to be copied | {@linkcode transfer} |
 *
 * @module
 */

export { connectReactor, reactorOfThread } from "./connect.ts";
export type { ConnectOptions } from "./connect.ts";
export { exportsOf } from "./functions.ts";
export type {
  AnyFunction,
  ArgumentsOf,
  FunctionNames,
  ResultOf,
  ThreadFunction,
  Untyped,
} from "./functions.ts";
export { isInIOThread } from "./io_thread.ts";
export type { RemoteReactor } from "./remote_reactor.ts";
export { transfer } from "./transfer.ts";
export type { Transferables } from "./transfer.ts";
