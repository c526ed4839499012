/**
 * The seam of traces: who is told of callbacks, and what of.
 *
 * Every place that calls a function of the user's looks whether there is a hook
 * ({@linkcode Tracing.hook}), and if there is none calls it as it would without
 * this file. That look is all that a program pays which is not traced: nothing
 * is measured, and nothing allocated.
 *
 * @module
 */

import { checkFunction, complaint, show } from "../arguments.ts";
import { asError } from "../errors.ts";
import { monotonic } from "../monotonic.ts";
import { callGuarded } from "../thenable.ts";

/**
 * What was called:
 *
 * | kind | what |
 * |---|---|
 * | `"turn"` | a work item, or an `iterate()`: what the others run in |
 * | `"reader"`, `"writer"` | `doRead`, `doWrite` |
 * | `"wait"`, `"watch"` | the answer to a `readable()`, `writable()` or `watch()`; its consumer runs later, as consumers of promises do |
 * | `"connectionLost"`, `"readConnectionLost"` | these functions of a reader or a writer |
 * | `"delayedCall"` | what `callLater()` was given |
 * | `"callFromThread"` | what `callFromThread()` was given, or what another thread has called |
 * | `"trigger"` | a trigger of a system event, or what `callWhenRunning()` called at once |
 * | `"prepare"`, `"held"`, `"step"` | `prepare`, `held`, `dispatch` of an attached loop |
 *
 * @example How often what was called
 * ```ts
 * import { type CallbackKind, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const calls = new Map<CallbackKind, number>();
 * await using reactor = new Reactor({
 *   trace: {
 *     start({ kind }) {
 *       calls.set(kind, (calls.get(kind) ?? 0) + 1);
 *     },
 *     stop() {},
 *   },
 * });
 * for (let i = 0; i < 3; i++) reactor.callLater(0, () => {});
 * reactor.callLater(1, () => reactor.stop());
 * await reactor.run();
 * assertEquals(calls.get("delayedCall"), 4);
 * ```
 */
export type CallbackKind =
  | "turn"
  | "reader"
  | "writer"
  | "wait"
  | "watch"
  | "connectionLost"
  | "readConnectionLost"
  | "delayedCall"
  | "callFromThread"
  | "trigger"
  | "prepare"
  | "held"
  | "step";

/**
 * A callback, as a {@linkcode TraceHook} is told of it: one call of it.
 *
 * @example Who threw, and inside what
 * ```ts
 * import { Reactor, type TracedCallback } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const failed: TracedCallback[] = [];
 * await using reactor = new Reactor({
 *   onError() {},
 *   trace: {
 *     start() {},
 *     stop: (callback) => callback.error && failed.push(callback),
 *   },
 * });
 * reactor.callLater(1, function parse() {
 *   reactor.stop();
 *   JSON.parse("");
 * });
 * await reactor.run();
 * const [{ label, parent, error }] = failed as [TracedCallback];
 * assertEquals([label, parent?.kind, error?.name], ["parse", "turn", "SyntaxError"]);
 * ```
 */
export interface TracedCallback {
  /** What was called. */
  readonly kind: CallbackKind;
  /** The descriptor it was called for, if it was for one. */
  readonly fd: number | undefined;
  /**
   * The label of the reader, the writer or the wait, the reactor's for a turn,
   * and otherwise the name of the function.
   */
  readonly label: string | undefined;
  /** The label of the reactor. */
  readonly reactor: string | undefined;
  /** When it began, in milliseconds, as `performance.now()` has it. */
  readonly startTime: number;
  /** The callback that it runs in, if that is traced. */
  readonly parent: TracedCallback | undefined;
  /** What it threw, known when it stops. */
  readonly error: Error | undefined;
}

/**
 * Gets told of every callback, by `new Reactor({ trace })` or `reactor.trace =`.
 *
 * Both functions are called on the main thread, right before the callback and
 * right after it, whether it returned or threw. Calls are nested as the
 * callbacks are: what begins inside another ends inside it. A callback that is
 * under way when the hook is taken off still has its `stop`; one that was under
 * way when it was put on has neither.
 *
 * If one of the functions throws, that is reported through `onError`, and the
 * hook is taken off. The callbacks notice nothing.
 *
 * @example Slow callbacks
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const seen: string[] = [];
 * await using reactor = new Reactor({
 *   trace: {
 *     start() {},
 *     stop({ kind, label }, ms) {
 *       if (kind !== "turn" && ms >= 0) seen.push(`${kind} ${label}`);
 *     },
 *   },
 * });
 * reactor.callLater(1, function tick() {
 *   reactor.stop();
 * });
 * await reactor.run();
 * assertEquals(seen, ["delayedCall tick"]);
 * ```
 */
export interface TraceHook {
  /** The callback is about to run. */
  start(callback: TracedCallback): void;
  /**
   * The callback has run.
   *
   * @param callback The same object that `start` got.
   * @param durationMs How long it took, in milliseconds, with everything that
   * ran inside it.
   */
  stop(callback: TracedCallback, durationMs: number): void;
}

/** What a {@linkcode Tracing} needs of its reactor. */
export interface TracingOptions {
  /** The reactor's label. */
  readonly label?: string;
  /** Gets what the hook throws. Does not throw. */
  readonly report: (error: unknown, where: string) => void;
}

/** A callback that runs, and who was told of it. */
interface Open {
  readonly callback: TracedCallback & { error: Error | undefined };
  readonly hook: TraceHook | undefined;
}

/** The hook of one reactor, and what runs. */
export class Tracing {
  readonly #options: TracingOptions;
  #hook: TraceHook | undefined;
  /** What runs, the innermost last. */
  readonly #open: Open[] = [];
  /** The hooks that have thrown: they hear nothing more. */
  readonly #broken = new WeakSet<TraceHook>();

  /** Begins without a hook. */
  constructor(options: TracingOptions = { report() {} }) {
    this.#options = options;
  }

  /** Who is told. */
  get hook(): TraceHook | undefined {
    return this.#hook;
  }

  /** Tells another one from now on; one that has thrown has another chance. */
  set hook(hook: TraceHook | undefined) {
    this.#hook = hook;
    if (hook !== undefined) this.#broken.delete(hook);
  }

  /**
   * Calls `f`, with a word to the hook before and after. What it throws passes
   * through.
   */
  run<T>(
    kind: CallbackKind,
    fd: number | undefined,
    label: string | undefined,
    f: () => T,
  ): T {
    const open = this.#start(kind, fd, label);
    try {
      return f();
    } catch (error) {
      open.callback.error = asError(error);
      throw error;
    } finally {
      this.#stop(open);
    }
  }

  /** A turn begins. */
  beginTurn(): void {
    if (this.hook === undefined) return;
    this.#start("turn", undefined, this.#options.label);
  }

  /**
   * A turn ends, if one is under way. It is not when somebody else has the main
   * thread: a callback that starts a modal loop parks in the middle of its turn.
   */
  endTurn(): void {
    if (this.#open.length === 0) return;
    const innermost = this.#open.at(-1)!;
    if (innermost.callback.kind === "turn") this.#stop(innermost);
  }

  #start(
    kind: CallbackKind,
    fd: number | undefined,
    label: string | undefined,
  ): Open {
    const callback = {
      kind,
      fd,
      label,
      reactor: this.#options.label,
      startTime: monotonic(),
      parent: this.#open.at(-1)?.callback,
      error: undefined,
    };
    const open: Open = { callback, hook: this.#hook };
    this.#open.push(open);
    this.#tell(open, (hook) => hook.start(callback));
    return open;
  }

  #stop(open: Open): void {
    const { callback } = open;
    const durationMs = monotonic() - callback.startTime;
    this.#open.pop();
    this.#tell(open, (hook) => hook.stop(callback, durationMs));
  }

  #tell({ hook }: Open, f: (hook: TraceHook) => unknown): void {
    if (hook === undefined || this.#broken.has(hook)) return;
    callGuarded(() => f(hook), (error) => this.#failed(hook, error));
  }

  #failed(hook: TraceHook, error: unknown): void {
    if (this.#broken.has(hook)) return;
    this.#broken.add(hook);
    if (this.#hook === hook) this.#hook = undefined;
    this.#options.report(error, "trace");
  }
}

/** The name of a function, or of what `bind` made of one; undefined for none. */
export function nameOf(f: unknown): string | undefined {
  return /^function (.+)/.exec(show(f))?.[1];
}

/**
 * Requires a hook, or none.
 *
 * @throws {TypeError} When `value` is neither undefined nor has both functions.
 */
export function checkTraceHook(
  value: unknown,
  action: string,
  name: string,
): TraceHook | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "object" || value === null) {
    throw new TypeError(complaint(value, action, name, "an object"));
  }
  const { start, stop } = value as TraceHook;
  checkFunction(start, action, `${name}.start`);
  checkFunction(stop, action, `${name}.stop`);
  return value as TraceHook;
}
