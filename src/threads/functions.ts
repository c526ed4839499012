/**
 * What one thread may call of another, and how it is named. Functions cannot
 * cross threads.
 *
 * @module
 */

import { checkString, complaint } from "../arguments.ts";

/**
 * Any function.
 *
 * @example A wrapper for the functions of a module
 * ```ts
 * import { type AnyFunction, exportsOf, type ThreadFunction } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const work = exportsOf<{ sum(a: number, b: number): number }>("file:///work.ts");
 * function inWords(fn: ThreadFunction<AnyFunction>): string {
 *   return `${fn.name} of ${fn.module}`;
 * }
 * assertEquals(inWords(work("sum")), "sum of file:///work.ts");
 * ```
 */
export type AnyFunction = (...args: never[]) => unknown;

/**
 * Names with functions behind them. A module's namespace is one, too.
 *
 * @example What a Worker may ask for
 * ```ts
 * import type { FunctionNames } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const desk = { title: "desk", log: console.log, now: () => Date.now() };
 * const names: FunctionNames<typeof desk>[] = ["log", "now"]; // Not "title".
 * assertEquals(names.every((name) => typeof desk[name] === "function"), true);
 * ```
 */
export type FunctionNames<F> =
  & { [K in keyof F]: F[K] extends AnyFunction ? K : never }[keyof F]
  & string;

/**
 * The arguments of one of them.
 *
 * @example A call that is put off
 * ```ts
 * import type { ArgumentsOf } from "@interleave/reactor/threads";
 * import { assertEquals } from "@std/assert";
 *
 * const desk = { add: (a: number, b: number) => a + b };
 * const args: ArgumentsOf<typeof desk, "add"> = [1, 2];
 * assertEquals(desk.add(...args), 3);
 * ```
 */
export type ArgumentsOf<F, K extends keyof F> = F[K] extends
  (...args: infer A) => unknown ? A : never;

/**
 * What a caller on another thread gets of one of them.
 *
 * @example Of a promise, what it resolves with
 * ```ts
 * import type { ResultOf } from "@interleave/reactor/threads";
 * import { assertEquals } from "@std/assert";
 *
 * const desk = { ask: (question: string) => Promise.resolve(question.length) };
 * const answer: ResultOf<typeof desk, "ask"> = await desk.ask("Why?");
 * assertEquals(answer, 4);
 * ```
 */
export type ResultOf<F, K extends keyof F> = F[K] extends
  (...args: never[]) => infer R ? Awaited<R> : never;

/**
 * Functions of which nothing is known to the type checker.
 *
 * @example What `connectReactor()` assumes if it is told nothing
 * ```ts no-assert
 * import type { RemoteReactor, Untyped } from "@interleave/reactor/threads";
 *
 * function report(reactor: RemoteReactor<Untyped>, text: string): void {
 *   reactor.callFromThread("log", text, { at: Date.now() });
 * }
 * ```
 */
export type Untyped = Record<string, (...args: unknown[]) => unknown>;

/**
 * A function that a thread of the pool can call: the export of a module, and how
 * to call it.
 *
 * {@linkcode exportsOf} makes one of which the arguments and the result are
 * checked.
 *
 * @example With a signal, and with something to call meanwhile
 * ```ts
 * import { deferToThread, Reactor, type ThreadFunction } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const fn: ThreadFunction<(n: number) => number> = {
 *   module: "data:text/javascript,export default (n) => 2 * n",
 *   signal: AbortSignal.timeout(60_000),
 *   offers: { progress: (percent: number) => console.log(`${percent} %`) },
 * };
 * assertEquals(await deferToThread(reactor, fn, 21), 42);
 * ```
 */
export interface ThreadFunction<F extends AnyFunction = AnyFunction> {
  /** The module's URL. */
  readonly module: string | URL;
  /**
   * The name of the export.
   *
   * @default {"default"}
   */
  readonly name?: string;
  /**
   * Calls the call off. One that has not begun never begins. One that runs
   * cannot be stopped: its result is dropped, its thread takes no more calls and
   * ends when the function returns, and another takes its place. Meanwhile
   * `callFromThread()` throws there, which ends a function that makes calls.
   */
  readonly signal?: AbortSignal;
  /**
   * What the function may call on the reactor's thread while it runs, by
   * `reactorOfThread()`.
   *
   * @default {{}}
   */
  readonly offers?: object;
  /** For the type checker only: there is never anything here. */
  readonly signature?: F;
}

/** One that has been looked at. */
export interface CheckedThreadFunction {
  readonly module: string;
  readonly name: string;
  readonly signal: AbortSignal | undefined;
  readonly offers: object;
}

/**
 * Names the functions of a module, for threads to call them. The module is not
 * loaded on this thread.
 *
 * @typeParam M The module: `typeof import("./work.ts")`.
 * @param module Its URL: `new URL("./work.ts", import.meta.url)`.
 * @returns Names one export.
 * @throws {TypeError} When `module` is not a URL.
 *
 * @example Usage
 * ```ts no-assert
 * import { deferToThread, exportsOf, reactor } from "@interleave/reactor";
 *
 * interface Work { // Or rather: typeof import("./work.ts")
 *   resize(image: Uint8Array, width: number): Uint8Array;
 * }
 *
 * const work = exportsOf<Work>(new URL("./work.ts", import.meta.url));
 * function thumbnail(image: Uint8Array): Promise<Uint8Array> {
 *   return deferToThread(reactor, work("resize"), image, 100);
 * }
 * ```
 */
export function exportsOf<M>(
  module: string | URL,
): <K extends FunctionNames<M>>(
  name: K,
) => ThreadFunction<M[K] extends AnyFunction ? M[K] : never> {
  const url = urlOf(module, "name the functions of a module", "module");
  return (name) => {
    checkString(name, "name a function", "name");
    return { module: url, name };
  };
}

/**
 * Looks at each member once, and checks it.
 *
 * @throws {TypeError} When one is of the wrong type.
 */
export function checkThreadFunction(
  value: unknown,
  action: string,
): CheckedThreadFunction {
  if (typeof value !== "object" || value === null) {
    const wanted = "an object with a module and a name, since functions " +
      "cannot cross threads";
    throw new TypeError(complaint(value, action, "fn", wanted));
  }
  const { module, name = "default", signal, offers = NOTHING } =
    value as ThreadFunction;
  const url = urlOf(module, action, "fn.module");
  checkString(name, action, "fn.name");
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(
      complaint(signal, action, "fn.signal", "an AbortSignal"),
    );
  }
  checkOffers(offers, action, "fn.offers");
  return { module: url, name, signal, offers };
}

const NOTHING: object = Object.freeze({});

/**
 * Requires an object with functions to offer.
 *
 * @throws {TypeError} When it is none.
 */
export function checkOffers(
  value: unknown,
  action: string,
  name: string,
): asserts value is object {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(
      complaint(value, action, name, "an object with functions"),
    );
  }
}

/**
 * The function that is offered under a name: one of the object's own. What it
 * has from its prototype nobody has offered.
 *
 * @throws {TypeError} When there is none.
 */
export function offered(offers: object, name: string): () => unknown {
  const f = Object.hasOwn(offers, name)
    ? (offers as Record<string, unknown>)[name]
    : undefined;
  if (typeof f === "function") return f as () => unknown;
  throw new TypeError(
    `Cannot call "${name}": no such function is offered to this thread`,
  );
}

function urlOf(value: unknown, action: string, name: string): string {
  if (value instanceof URL) return value.href;
  if (typeof value === "string" && URL.canParse(value)) return value;
  const wanted = 'a URL, such as new URL("./work.ts", import.meta.url)';
  throw new TypeError(complaint(value, action, name, wanted));
}
