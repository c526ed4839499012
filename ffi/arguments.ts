/**
 * What C functions are given: integers and strings, checked.
 *
 * @module
 */

const encoder = new TextEncoder();

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
    if (integer >= least && integer <= most) return integer;
  }
  const Class = typeof value === "number" ? RangeError : TypeError;
  throw new Class(
    `Cannot ${action}: "${name}" must be an integer from ${least} to ${most}, received ${
      shown(value)
    }`,
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
 */
export function cString(
  value: unknown,
  action: string,
  name: string,
): Uint8Array<ArrayBuffer> {
  if (typeof value !== "string" || value.includes("\0")) {
    throw new TypeError(
      `Cannot ${action}: "${name}" must be a string without NUL, received ${
        shown(value)
      }`,
    );
  }
  return encoder.encode(value + "\0");
}

/** Renders any value shortly, for a message. */
export function shown(value: unknown): string {
  return typeof value === "function"
    ? "a function"
    : Deno.inspect(value, { depth: 0, strAbbreviateSize: 40 });
}
