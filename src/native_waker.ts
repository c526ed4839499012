/**
 * Hosts that block the main thread inside C: the worker itself calls the
 * function by which they are asked to run something there.
 *
 * @module
 */

import { type NativeArgument, packCall } from "../ffi/native_call.ts";
import { takeWorkCallback, type WorkSignature } from "../ffi/work_callback.ts";
import { checkFunction, complaint } from "./arguments.ts";
import type { NativeReport } from "./hand_over.ts";

/**
 * A toolkit whose loop owns the main thread, inside one blocking call.
 *
 * No message reaches a thread that is inside C. So the worker calls the one
 * function that every toolkit has for this, by which any thread may ask its
 * main thread to run something, and always with the same arguments. The toolkit
 * then calls `work`, on the main thread, nested in the blocking call.
 *
 * Meanwhile Deno's own loop stands still: reactor callbacks, delayed calls and
 * descriptors work; Deno's timers, `fetch` and `Deno.serve` wait until the call
 * returns. Promises that need nothing of these are served after every work
 * item, as far as Deno lets that be done, which is while the blocking call was
 * not itself reached from a promise: start it from a timer.
 *
 * An error of the worker's is told through the same function. Only a thread that
 * is ended from outside, without a word, is not noticed before the blocking call
 * returns: until then nothing runs that could look.
 *
 * @example The waker of GLib, written out
 * ```ts no-assert
 * import type { NativeWaker } from "@interleave/reactor";
 *
 * function glib(): NativeWaker {
 *   const { g_idle_add_full } = Deno.dlopen("libglib-2.0.so.0", {
 *     g_idle_add_full: { type: "pointer" }, // The function's address.
 *   }).symbols;
 *   return {
 *     post: g_idle_add_full!,
 *     parameters: ["i32", "function", "pointer", "pointer"],
 *     result: "u32",
 *     arguments: (work) => [0, work, null, null],
 *     // What GLib passes, and G_SOURCE_REMOVE as the answer.
 *     callback: { parameters: ["pointer"], result: "i32", returns: 0 },
 *   };
 * }
 * ```
 */
export interface NativeWaker {
  /** The address of the function that the worker calls, from its own thread. */
  readonly post: Deno.PointerObject;
  /**
   * The types of the function's parameters: numbers, `"bool"`, `"pointer"`,
   * `"function"`.
   */
  readonly parameters: readonly Deno.NativeType[];
  /**
   * The type of its result.
   *
   * @default {"void"}
   */
  readonly result?: Deno.NativeResultType;
  /**
   * What the function returns when it has taken the call. After anything else
   * it is called again, 10 ms later.
   *
   * @default {undefined} Whatever it returns will do.
   */
  readonly accepted?: number;
  /**
   * Whether the function returns only when `work` has.
   *
   * @default {false}
   */
  readonly synchronous?: boolean;
  /**
   * The arguments of the function. Asked for once in a run of a reactor; what
   * they point to must stay where it is.
   *
   * @param work The address of a C function that runs the outstanding work
   * item. To be called on the main thread; a late or second call of it does
   * nothing.
   */
  arguments(work: Deno.PointerObject): readonly NativeArgument[];
  /**
   * How the toolkit calls `work`, and what it wants back.
   *
   * @default {{ parameters: ["pointer"], result: "void" }}
   */
  readonly callback?: WorkSignature;
  /**
   * Called on the main thread when the reactor's run is over and the worker's
   * thread is gone: nothing will be posted any more.
   */
  release?(): void;
}

/** A native waker in use by a run of a reactor. */
export interface NativePost extends NativeReport {
  /** From now on a call of the work item does nothing. */
  release(): void;
}

const DEFAULT_CALLBACK: WorkSignature = {
  parameters: ["pointer"],
  result: "void",
};

/** Whether `value` can be meant as a native waker. */
export function isNativeWaker(value: unknown): value is NativeWaker {
  return typeof value === "object" && value !== null && "post" in value;
}

/**
 * Requires a native waker.
 *
 * @throws {TypeError} When a member of `value` is of the wrong type.
 */
export function checkNativeWaker(
  value: NativeWaker,
  action: string,
): void {
  const { post, parameters, result = "void", accepted, callback } = value;
  const name = "waker";
  if (!isAddress(post)) {
    throw new TypeError(
      complaint(post, action, `${name}.post`, "a pointer to a function"),
    );
  }
  checkTypes(parameters, action, `${name}.parameters`);
  checkType(result, action, `${name}.result`);
  checkFunction(value.arguments, action, `${name}.arguments`);
  if (accepted !== undefined && typeof accepted !== "number") {
    throw new TypeError(
      complaint(accepted, action, `${name}.accepted`, "a number"),
    );
  }
  if (callback === undefined) return;
  if (typeof callback !== "object" || callback === null) {
    throw new TypeError(
      complaint(callback, action, `${name}.callback`, "an object"),
    );
  }
  checkTypes(callback.parameters, action, `${name}.callback.parameters`);
  checkType(callback.result, action, `${name}.callback.result`);
}

/**
 * Takes a waker into use.
 *
 * @param waker A checked one.
 * @param action What for, for messages.
 * @param work Must not throw.
 * @throws {TypeError} When the waker's arguments do not fit its parameters.
 */
export function usePost(
  waker: NativeWaker,
  action: string,
  work: () => void,
): NativePost {
  const { parameters, callback = DEFAULT_CALLBACK } = waker;
  const lent = takeWorkCallback(callback, work);
  try {
    const values = waker.arguments(lent.pointer);
    checkArguments(values, parameters, action, "waker.arguments()");
    return {
      call: {
        ...packCall({
          function: waker.post,
          parameters,
          result: waker.result,
          arguments: values,
        }),
        accepted: waker.accepted,
      },
      synchronous: waker.synchronous === true,
      release() {
        lent.giveBack();
        waker.release?.();
      },
    };
  } catch (error) {
    lent.giveBack();
    throw error;
  }
}

/**
 * Requires arguments that fit their parameters.
 *
 * @throws {TypeError} When they do not.
 */
export function checkArguments(
  values: unknown,
  parameters: readonly Deno.NativeType[],
  action: string,
  name: string,
): void {
  if (!Array.isArray(values) || values.length !== parameters.length) {
    throw new TypeError(
      complaint(
        Array.isArray(values) ? values.length : values,
        action,
        name,
        `an array of ${parameters.length}`,
      ),
    );
  }
  values.forEach((value, i) => {
    const type = parameters[i]!;
    const fits = type === "pointer" || type === "function"
      ? value === null || isAddress(value)
      : type === "bool"
      ? typeof value === "boolean"
      : typeof value === "number" || typeof value === "bigint";
    if (!fits) {
      throw new TypeError(
        complaint(value, action, `${name}[${i}]`, `a value of type ${type}`),
      );
    }
  });
}

/**
 * Requires the types of parameters that can be sent to another thread.
 *
 * @throws {TypeError} When there is another one among them.
 */
export function checkTypes(
  types: unknown,
  action: string,
  name: string,
): asserts types is readonly Deno.NativeType[] {
  if (!Array.isArray(types)) {
    throw new TypeError(complaint(types, action, name, "an array"));
  }
  types.forEach((type, i) => checkType(type, action, `${name}[${i}]`, "void"));
}

/** Whether `value` is a pointer that is not null. */
export function isAddress(value: unknown): value is Deno.PointerObject {
  if (typeof value !== "object" || value === null) return false;
  try {
    return Deno.UnsafePointer.value(value as Deno.PointerObject) !== 0n;
  } catch {
    return false;
  }
}

const TYPES =
  "u8 i8 u16 i16 u32 i32 u64 i64 usize isize f32 f64 bool pointer function void"
    .split(" ");

function checkType(
  type: unknown,
  action: string,
  name: string,
  except?: string,
): void {
  if (TYPES.includes(type as string) && type !== except) return;
  throw new TypeError(
    complaint(
      type,
      action,
      name,
      'a type of numbers, "bool", "pointer" or "function"',
    ),
  );
}
