/**
 * What all toolkits need because they are made for C: texts, pointers that stay
 * good, and functions to call.
 *
 * @module
 */

import { cString } from "../../../ffi/mod.ts";

const kept: unknown[] = [];

/** Keeps what C has a pointer to, for as long as the process lives. */
export function keep(...things: unknown[]): void {
  kept.push(...things);
}

/** A text for C. */
export function text(words: string): Uint8Array<ArrayBuffer> {
  return cString(words, "give C a text", "words");
}

/** A text of C's; "" if there is none. */
export function textAt(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** The `argc` and `argv` of a program without arguments. C may keep them. */
export function commandLine(
  name: string,
): { argc: Int32Array<ArrayBuffer>; argv: BigUint64Array<ArrayBuffer> } {
  const program = text(name);
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(program));
  const argc = new Int32Array([1]);
  const argv = new BigUint64Array([address, 0n]);
  keep(program, argc, argv);
  return { argc, argv };
}

/** Makes a C function of `f`, for good. It must not throw. */
export function functionFor<const T extends Deno.UnsafeCallbackDefinition>(
  definition: T,
  f: Deno.UnsafeCallbackFunction<T["parameters"], T["result"]>,
): Deno.PointerObject<T> {
  const callback = new Deno.UnsafeCallback(definition, f);
  keep(callback);
  return callback.pointer;
}

/**
 * Calls `f`, and prints what it throws. C has no use for that, and Deno would
 * keep it until the blocking call returns.
 */
export function guarded(f: () => void): void {
  try {
    f();
  } catch (error) {
    console.error(error);
  }
}
