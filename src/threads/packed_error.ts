/**
 * Errors on their way between threads.
 *
 * A structured clone of an error leaves its class behind, and fails for one that
 * has a function among its fields. So the parts that matter are taken along as
 * plain data, and put together again on the other side.
 *
 * @module
 */

import * as reactorErrors from "../errors.ts";

/** What is left of an error on its way. */
export interface PackedError {
  /** Its name, such as `"TypeError"`. */
  readonly name: string;
  /** Its message. */
  readonly message: string;
  /** Where it was made, if it says so. */
  readonly stack: string | undefined;
  /** The kernel's name, or another library's, for what happened. */
  readonly code: string | number | undefined;
  /** The kernel's number for what happened. */
  readonly errno: number | undefined;
  /** Whether it is a DOMException. */
  readonly dom: boolean;
  /** What led to it. */
  readonly cause: PackedError | undefined;
}

/** Classes with a constructor that takes a message. */
type ErrorClass = new (message: string) => Error;

/** Those of the language. */
const NATIVE: Readonly<Record<string, ErrorClass>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/**
 * Takes an error apart, whatever it is. Never throws.
 *
 * It is closure-free, because it reaches the threads of a pool as its own source
 * text.
 */
export function packError(thrown: unknown): PackedError {
  const MOST_CAUSES = 8;
  /** What a property says, if it can be read, and is of such a type. */
  const read = <T>(object: unknown, key: string, ...types: string[]) => {
    try {
      const value = (object as Record<string, unknown>)[key];
      return types.includes(typeof value) ? value as T : undefined;
    } catch {
      return undefined;
    }
  };
  const isA = (value: unknown, test: (value: unknown) => boolean) => {
    try {
      return test(value);
    } catch {
      return false; // A proxy that refuses.
    }
  };
  const text = (value: unknown) => {
    try {
      return String(value);
    } catch {
      return `[${typeof value}]`;
    }
  };
  const pack = (error: unknown, depth: number): PackedError => {
    const isError = isA(error, (e) => e instanceof Error || Error.isError(e));
    if (!isError) {
      const message = `Something that is not an Error was thrown: ${
        text(error)
      }`;
      return {
        name: "Error",
        message,
        stack: undefined,
        code: undefined,
        errno: undefined,
        dom: false,
        cause: undefined,
      };
    }
    const cause = read<object>(error, "cause", "object") ?? undefined;
    return {
      name: read(error, "name", "string") ?? "Error",
      message: read(error, "message", "string") ?? "",
      stack: read(error, "stack", "string"),
      code: read(error, "code", "string", "number"),
      errno: read(error, "errno", "number"),
      dom: isA(error, (e) => e instanceof DOMException),
      cause: cause !== undefined && cause !== null && depth < MOST_CAUSES &&
          isA(cause, (e) => Error.isError(e))
        ? pack(cause, depth + 1)
        : undefined,
    };
  };
  return pack(thrown, 0);
}

/**
 * Puts an error together again: of its own class, if that is one of the
 * language's, of Deno's or of this package's, and otherwise an Error of its
 * name.
 */
export function unpackError(packed: PackedError): Error {
  const { name, message, stack, code, errno, dom, cause } = packed;
  if (dom) return new DOMException(message, name);
  const Class = classOf(name);
  const error = new (Class ?? Error)(message);
  const fields: Record<string, unknown> = { code, errno };
  if (Class === undefined) fields.name = name;
  if (cause !== undefined) fields.cause = unpackError(cause);
  if (stack !== undefined) fields.stack = `${stack}\n${bySelf(error)}`;
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    Object.defineProperty(error, key, {
      value,
      configurable: true,
      writable: true,
      enumerable: key === "code" || key === "errno",
    });
  }
  return error;
}

function classOf(name: string): ErrorClass | undefined {
  for (const classes of [NATIVE, reactorErrors, Deno.errors]) {
    if (!Object.hasOwn(classes, name)) continue;
    const found: unknown = classes[name as keyof typeof classes];
    if (typeof found === "function" && found.prototype instanceof Error) {
      return found as ErrorClass;
    }
  }
  return undefined;
}

/** Where this thread was when it heard of the error. */
function bySelf(error: Error): string {
  const lines = String(error.stack).split("\n").slice(2);
  return ["    in another thread, for", ...lines].join("\n");
}
