/**
 * What C functions are given: integers and strings, checked. And how arguments
 * are complained about everywhere: what failed, which argument, what it must be,
 * what it was.
 *
 * @module
 */

const encoder = new TextEncoder();

const SHOWN_LENGTH = 40;

/** The largest C `int`, and so the largest descriptor and the largest pid. */
export const MAX_INT: number = 2 ** 31 - 1;

/**
 * Requires an integer.
 *
 * @param value What the caller was given.
 * @param action What cannot be done without it, as in "set the window size".
 * @param name The argument's name.
 * @param least The smallest good value.
 * @param most The largest good value.
 * @returns `value`.
 * @throws {TypeError} When `value` is not a number.
 * @throws {RangeError} When `value` is not an integer from `least` to `most`.
 */
export function checkInteger(
  value: unknown,
  action: string,
  name: string,
  least: number = 0,
  most: number = MAX_INT,
): number {
  if (Number.isInteger(value)) {
    const integer = value as number;
    // Deno takes no -0 for an int.
    if (integer >= least && integer <= most) return integer + 0;
  }
  const Class = typeof value === "number" ? RangeError : TypeError;
  throw new Class(
    complaint(value, action, name, `an integer from ${least} to ${most}`),
  );
}

/**
 * Makes a C string: UTF-8 with a NUL behind it.
 *
 * @param value What the caller was given.
 * @param action What cannot be done without it, as in "open a file".
 * @param name The argument's name.
 * @returns The bytes.
 * @throws {TypeError} When `value` is not a string, or has a NUL in it, at
 * which C would end it.
 *
 * @example Usage
 * ```ts
 * import { cString } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(cString("ab", "open a file", "path"), new Uint8Array([97, 98, 0]));
 * ```
 */
export function cString(
  value: unknown,
  action: string,
  name: string,
): Uint8Array<ArrayBuffer> {
  if (typeof value !== "string" || value.includes("\0")) {
    throw new TypeError(
      complaint(value, action, name, "a string without NUL"),
    );
  }
  return encoder.encode(value + "\0");
}

/**
 * The message of a refused argument, for checks that are needed in one place
 * only.
 */
export function complaint(
  value: unknown,
  action: string,
  name: string,
  required: string,
): string {
  return `Cannot ${action}: "${name}" must be ${required}, received ${
    show(value)
  }`;
}

/**
 * Renders any value shortly and on one line, for messages. It calls nothing of
 * the value's own, so that no getter and no `toString` runs, and it never
 * throws.
 */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return quoted(value);
    case "bigint":
      return `${cut(value.toString())}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "symbol":
      return printable(value.toString());
    case "function":
      return labelled("function", () => ownString(value, "name"));
    case "object":
      return value === null
        ? "null"
        : labelled("object", () => className(value));
    default:
      return String(value);
  }
}

/** What JSON lets stand, and a terminal or an editor may obey. */
const INVISIBLE = /[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function quoted(text: string): string {
  return JSON.stringify(cut(text)).replace(
    INVISIBLE,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The same for a name, which stands there without quotes. */
function printable(text: string): string {
  return quoted(text).slice(1, -1).replaceAll('\\"', '"');
}

function cut(text: string): string {
  return text.length > SHOWN_LENGTH
    ? `${text.slice(0, SHOWN_LENGTH)}...`
    : text;
}

/**
 * A kind and, if there is one, a name. Even a look that calls no getter meets
 * the traps of a proxy, which may throw.
 */
function labelled(kind: string, name: () => string | undefined): string {
  try {
    const found = name();
    return found ? `${kind} ${printable(found)}` : kind;
  } catch {
    return kind;
  }
}

function className(value: object): string | undefined {
  const prototype = Object.getPrototypeOf(value);
  const constructor = prototype &&
    Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  return typeof constructor === "function"
    ? ownString(constructor, "name")
    : undefined;
}

function ownString(value: object, key: string): string | undefined {
  const found = Object.getOwnPropertyDescriptor(value, key)?.value;
  return typeof found === "string" ? found : undefined;
}
