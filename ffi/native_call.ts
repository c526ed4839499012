/**
 * A call of a C function with constant arguments, in a form that can be sent to
 * the worker: a pointer object belongs to the thread that made it, its address
 * does not.
 *
 * @module
 */

/** One call of a C function, always with the same arguments. */
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

/** What a {@linkcode NativeCall} can pass. */
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
