/**
 * The C function behind a work item: what a toolkit calls on the main thread.
 *
 * A toolkit may still hold the address when the reactor is long gone, in an
 * event that was never handled, and calling a closed callback ends the process.
 * So these are never closed: one that is given back waits for the next reactor
 * that needs the same signature. A late call then meets either nobody, or a
 * reactor to which a call too many means nothing.
 *
 * @module
 */

/**
 * How a toolkit calls the work item.
 *
 * @example How two toolkits call
 * ```ts no-assert
 * import type { WorkSignature } from "@interleave/reactor";
 *
 * // gboolean (*GSourceFunc)(gpointer data); it is called again unless it
 * // returns G_SOURCE_REMOVE, which is 0.
 * const ofGlib: WorkSignature = {
 *   parameters: ["pointer"],
 *   result: "i32",
 *   returns: 0,
 * };
 *
 * // void (*uv_async_cb)(uv_async_t *handle)
 * const ofLibuv: WorkSignature = { parameters: ["pointer"], result: "void" };
 * ```
 */
export interface WorkSignature {
  /** What it passes. */
  readonly parameters: readonly Deno.NativeType[];
  /** What it wants back. */
  readonly result: Deno.NativeResultType;
  /**
   * The value it gets back.
   *
   * @default {0}
   */
  readonly returns?: number;
}

/** A work item's C function, lent to one reactor. */
export interface WorkCallback {
  /** The function's address. */
  readonly pointer: Deno.PointerObject;
  /** From now on a call does nothing. */
  giveBack(): void;
}

class Callback {
  run: (() => void) | undefined;
  readonly pointer: Deno.PointerObject;

  constructor({ parameters, result, returns = 0 }: WorkSignature) {
    const value = result === "void"
      ? undefined
      : result === "pointer" || result === "function" || result === "buffer"
      ? null
      : result === "bool"
      ? returns !== 0
      : returns;
    // Nothing may escape from here: Deno would keep an exception until the
    // toolkit's loop returns, and give the toolkit a 0.
    const callback = new Deno.UnsafeCallback(
      { parameters, result } as Deno.UnsafeCallbackDefinition,
      (() => {
        this.run?.();
        return value;
      }) as never,
    );
    this.pointer = callback.pointer;
  }
}

/** Those that no reactor uses, by signature. */
const idle = new Map<string, Callback[]>();

/**
 * Takes a callback that calls `run`.
 *
 * @param signature How it will be called.
 * @param run Must not throw.
 */
export function takeWorkCallback(
  signature: WorkSignature,
  run: () => void,
): WorkCallback {
  const key = JSON.stringify(signature);
  const waiting = idle.get(key) ?? [];
  idle.set(key, waiting);
  const callback = waiting.pop() ?? new Callback(signature);
  callback.run = run;
  return {
    pointer: callback.pointer,
    giveBack() {
      if (callback.run !== run) return;
      callback.run = undefined;
      waiting.push(callback);
    },
  };
}
