/**
 * A call of a C function with constant arguments, in a form that can be sent to
 * the worker: a pointer object belongs to the thread that made it, its address
 * does not.
 *
 * @module
 */

/**
 * One call of a C function, always with the same arguments.
 *
 * @example A lock that a loop's owner holds while it waits
 * ```ts no-assert
 * import type { ForeignLoop, NativeCall } from "@interleave/reactor";
 *
 * // How GLib's context is taken and given back around the wait.
 * function holdOf(context: Deno.PointerObject): ForeignLoop["hold"] {
 *   const { symbols } = Deno.dlopen("libglib-2.0.so.0", {
 *     g_main_context_acquire: { type: "pointer" }, // The functions' addresses.
 *     g_main_context_release: { type: "pointer" },
 *   });
 *   const acquire: NativeCall = {
 *     function: symbols.g_main_context_acquire!,
 *     parameters: ["pointer"],
 *     result: "i32",
 *     arguments: [context],
 *   };
 *   const release: NativeCall = {
 *     function: symbols.g_main_context_release!,
 *     parameters: ["pointer"],
 *     arguments: [context],
 *   };
 *   return { acquire, release };
 * }
 * ```
 */
export interface NativeCall {
  /** The function's address. */
  readonly function: Deno.PointerObject;
  /** The types of its parameters: numbers, `"bool"`, `"pointer"`, `"function"`. */
  readonly parameters: readonly Deno.NativeType[];
  /**
   * The type of its result.
   *
   * @default {"void"}
   */
  readonly result?: Deno.NativeResultType;
  /** Its arguments. What they point to must live for as long as the call does. */
  readonly arguments: readonly NativeArgument[];
}

/**
 * What a {@linkcode NativeCall} can pass; null is C's NULL.
 *
 * @example A wake-up that is a byte in a pipe
 * ```ts no-assert
 * import type { NativeArgument, NativeWaker } from "@interleave/reactor";
 *
 * // For a toolkit that watches the pipe's other end, and calls `work` then.
 * function pipeWaker(
 *   write: Deno.PointerObject, // The address of write(2).
 *   input: number,
 *   watch: (work: Deno.PointerObject) => void,
 * ): NativeWaker {
 *   const byte = new Uint8Array(1);
 *   return {
 *     post: write,
 *     parameters: ["i32", "pointer", "usize"],
 *     result: "isize",
 *     arguments(work): NativeArgument[] {
 *       watch(work);
 *       return [input, Deno.UnsafePointer.of(byte), 1n];
 *     },
 *   };
 * }
 * ```
 */
export type NativeArgument = number | bigint | boolean | Deno.PointerValue;

/** A {@linkcode NativeCall} as it travels. */
export interface PackedCall {
  /** The function's address. */
  readonly address: bigint;
  /** The types of its parameters. */
  readonly parameters: readonly Deno.NativeType[];
  /** The type of its result. */
  readonly result: Deno.NativeResultType;
  /** Its arguments, pointers as addresses. */
  readonly values: readonly (number | bigint | boolean)[];
  /** Which of them are pointers. */
  readonly pointers: readonly boolean[];
}

/** Makes a call ready to be sent. */
export function packCall(call: NativeCall): PackedCall {
  return {
    address: Deno.UnsafePointer.value(call.function),
    parameters: [...call.parameters],
    result: call.result ?? "void",
    values: call.arguments.map((value) =>
      isPointer(value) ? Deno.UnsafePointer.value(value) : value
    ),
    pointers: call.arguments.map(isPointer),
  };
}

/**
 * Makes the call on this thread.
 *
 * @returns What it returned.
 */
export function callNow(call: NativeCall): unknown {
  const { parameters, result = "void" } = call;
  return new Deno.UnsafeFnPointer(
    call.function as Deno.PointerObject<Deno.ForeignFunction>,
    { parameters, result } as Deno.ForeignFunction,
  ).call(...call.arguments as never[]);
}

function isPointer(value: NativeArgument): value is Deno.PointerValue {
  return value === null || typeof value === "object";
}
