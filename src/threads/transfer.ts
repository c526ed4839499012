/**
 * Giving memory to another thread instead of copying it.
 *
 * @module
 */

import { complaint } from "../arguments.ts";
import { ofThisThread, TRANSFERS } from "./this_thread.ts";

/**
 * What can be handed over instead of being copied.
 *
 * @example A list that grows with what it is for
 * ```ts
 * import { transfer, type Transferables } from "@interleave/reactor/threads";
 * import { assertEquals } from "@std/assert";
 *
 * const parts = [new Uint8Array(10), new Uint8Array(20)];
 * const list: Transferables = parts.map(({ buffer }) => buffer);
 * assertEquals(transfer(parts, list), parts); // Marked, and still here.
 * ```
 */
export type Transferables = readonly Transferable[];

/** Of this thread. */
function marks(): WeakMap<object, Transferables> {
  return ofThisThread(TRANSFERS, () => new WeakMap());
}

/**
 * Marks a value: when it goes to another thread, as an argument or as a result,
 * what is listed is handed over instead of being copied, and is of no use on this
 * thread any more.
 *
 * @param value An argument or a result.
 * @param transfer What in it to hand over: `ArrayBuffer`s, `MessagePort`s,
 * streams.
 * @returns The same value.
 * @throws {TypeError} When `value` is not an object or `transfer` not an array.
 *
 * @example Usage
 * ```ts
 * import { transfer } from "@interleave/reactor/threads";
 * import { assertEquals } from "@std/assert";
 *
 * // For a thread of a pool: its result is not copied.
 * function brighten(pixels: Uint8Array): Uint8Array {
 *   const brighter = pixels.map((byte) => Math.min(255, byte + 20));
 *   return transfer(brighter, [brighter.buffer]);
 * }
 *
 * assertEquals(brighten(new Uint8Array([0, 250])), new Uint8Array([20, 255]));
 * ```
 */
export function transfer<T extends object>(
  value: T,
  transfer: Transferables,
): T {
  const action = "mark a value for transfer";
  if (
    value === null || (typeof value !== "object" && typeof value !== "function")
  ) throw new TypeError(complaint(value, action, "value", "an object"));
  if (!Array.isArray(transfer)) {
    throw new TypeError(complaint(transfer, action, "transfer", "an array"));
  }
  marks().set(value, [...transfer]);
  return value;
}

/** What is to be handed over with these values. */
export function transfersOf(...values: readonly unknown[]): Transferable[] {
  return values.flatMap((value) => marks().get(value as object) ?? []);
}
