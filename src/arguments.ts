/**
 * The checks that public functions make of their arguments, all with the same
 * form of message: what failed, which argument, what it must be, what it was. A
 * value of the wrong type is a TypeError, one out of range a RangeError.
 */

import { complaint, MAX_INT } from "../ffi/arguments.ts";

export { complaint, show } from "../ffi/arguments.ts";

/**
 * Requires a function.
 *
 * @throws {TypeError} When `value` is not a function.
 */
export function checkFunction(
  value: unknown,
  action: string,
  name: string,
): asserts value is (...args: unknown[]) => unknown {
  if (typeof value !== "function") {
    throw new TypeError(complaint(value, action, name, "a function"));
  }
}

/**
 * Requires a string.
 *
 * @throws {TypeError} When `value` is not a string.
 */
export function checkString(
  value: unknown,
  action: string,
  name: string,
): asserts value is string {
  if (typeof value !== "string") {
    throw new TypeError(complaint(value, action, name, "a string"));
  }
}

/**
 * Requires a boolean.
 *
 * @throws {TypeError} When `value` is not a boolean.
 */
export function checkBoolean(
  value: unknown,
  action: string,
  name: string,
): asserts value is boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(complaint(value, action, name, "a boolean"));
  }
}

/**
 * Requires a finite number, of either sign.
 *
 * @throws {TypeError} When `value` is not a number.
 * @throws {RangeError} When `value` is NaN or infinite.
 */
export function checkFinite(
  value: unknown,
  action: string,
  name: string,
): asserts value is number {
  if (Number.isFinite(value)) return;
  throw new (typeof value === "number" ? RangeError : TypeError)(
    complaint(value, action, name, "a finite number"),
  );
}

/**
 * Requires a time to wait: a finite number of milliseconds, not negative,
 * however large.
 *
 * @throws {TypeError} When `value` is not a number.
 * @throws {RangeError} When `value` is NaN, infinite or negative.
 */
export function checkDelay(
  value: unknown,
  action: string,
  name: string,
): asserts value is number {
  // Written so that the good case of a hot path is two comparisons, which NaN
  // fails as well.
  if (typeof value === "number" && value >= 0 && value < Infinity) return;
  const Class = typeof value === "number" ? RangeError : TypeError;
  throw new Class(
    complaint(value, action, name, "a finite number of at least 0"),
  );
}

/**
 * Requires a descriptor, or an object that has one, and returns its number.
 * Whether the number is open is for the kernel to say. What `fileno()` throws
 * passes through.
 *
 * @throws {TypeError} When `value` is neither a number nor an object with a
 * `fileno` function, or when that returns anything but a number.
 * @throws {RangeError} When the number is not an integer from 0 to 2147483647.
 */
export function checkFd(value: unknown, action: string, name: string): number {
  let fd = value;
  if (typeof value !== "number") {
    if (!hasFileno(value)) {
      throw new TypeError(
        complaint(
          value,
          action,
          name,
          'a number or an object with a "fileno" function',
        ),
      );
    }
    fd = value.fileno();
    name = `${name}.fileno()`;
  }
  if (Number.isInteger(fd) && fd as number >= 0 && fd as number <= MAX_INT) {
    return (fd as number) + 0; // There is no descriptor -0.
  }
  const Class = typeof fd === "number" ? RangeError : TypeError;
  throw new Class(
    complaint(fd, action, name, `an integer from 0 to ${MAX_INT}`),
  );
}

function hasFileno(value: unknown): value is { fileno(): unknown } {
  if (
    value === null || (typeof value !== "object" && typeof value !== "function")
  ) return false;
  return typeof (value as { fileno?: unknown }).fileno === "function";
}
