/**
 * Stands in for `@std/assert` where JSR cannot be reached: the functions that
 * the tests use, with the same names, parameters and verdicts. Messages differ.
 *
 * @module
 */

import { equal, isObject } from "./equal.ts";

export { equal };

/** What a failed assertion throws. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** Any value that counts as false. */
export type Falsy = false | 0 | 0n | "" | null | undefined;

// deno-lint-ignore no-explicit-any
type Constructor<T = any> = new (...args: any[]) => T;

/** Asserts that `expr` counts as true. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Asserts that `expr` counts as false. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/** Fails. */
export function fail(msg?: string): never {
  throw new AssertionError(complaint("Failed assertion", msg));
}

/** Asserts deep equality: see {@linkcode equal}. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(
    complaint("Values are not equal", msg) + comparison(actual, expected),
  );
}

/** Asserts that deep equality does not hold. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    complaint("Values are equal", msg) + comparison(actual, expected),
  );
}

/** Asserts that both are the same value, as `Object.is` has it. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const detail = equal(actual, expected)
    ? "Values look alike but are not the same"
    : "Values are not strictly equal";
  throw new AssertionError(
    complaint(detail, msg) + comparison(actual, expected),
  );
}

/** Asserts that both are different values, as `Object.is` has it. */
export function assertNotStrictEquals<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (!Object.is(actual, expected)) return;
  throw new AssertionError(
    complaint(`Values are the same: ${format(actual)}`, msg),
  );
}

/** Asserts that `actual` is neither null nor undefined. */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual !== null && actual !== undefined) return;
  throw new AssertionError(
    complaint(`Expected a value, but it is ${actual}`, msg),
  );
}

/** Asserts that `actual` is an instance of `expectedType`. */
export function assertInstanceOf<T extends Constructor>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  throw new AssertionError(
    complaint(
      `Expected an instance of "${expectedType.name}", but it is ${
        format(actual)
      }`,
      msg,
    ),
  );
}

/** Asserts that `expected` matches somewhere in `actual`. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (expected.test(actual)) return;
  throw new AssertionError(
    complaint(`Expected ${format(actual)} to match ${expected}`, msg),
  );
}

/** Asserts that `actual` contains `expected`. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(
    complaint(
      `Expected ${format(actual)} to contain ${format(expected)}`,
      msg,
    ),
  );
}

/** Asserts that `actual` has an equal for every element of `expected`. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T>,
  expected: ArrayLike<T>,
  msg?: string,
): void {
  const present = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) =>
    !present.some((one) => equal(one, wanted))
  );
  if (missing.length === 0) return;
  throw new AssertionError(
    complaint(`Expected ${format(present)} to have ${format(missing)}`, msg),
  );
}

/** Asserts that `actual` has what `expected` has, on every level. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  if (contains(actual, expected)) return;
  throw new AssertionError(
    complaint("Values do not match", msg) + comparison(actual, expected),
  );
}

/** Asserts that `actual` is greater than `expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (actual > expected) return;
  throw new AssertionError(relation(actual, ">", expected, msg));
}

/** Asserts that `actual` is not less than `expected`. */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (actual >= expected) return;
  throw new AssertionError(relation(actual, ">=", expected, msg));
}

/** Asserts that `actual` is less than `expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (actual < expected) return;
  throw new AssertionError(relation(actual, "<", expected, msg));
}

/** Asserts that `actual` is not greater than `expected`. */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (actual <= expected) return;
  throw new AssertionError(relation(actual, "<=", expected, msg));
}

/**
 * Asserts that two numbers differ by at most `tolerance`, by default a ten
 * millionth of `expected`.
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ??
    (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const difference = Math.abs(expected - actual);
  if (difference <= allowed) return;
  throw new AssertionError(
    complaint(
      `Expected ${actual} to be within ${allowed} of ${expected}, but it is off by ${difference}`,
      msg,
    ),
  );
}

/** Asserts that `fn` throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Asserts that `fn` throws an `ErrorClass`; returns what it threw. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: Constructor<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  classOrMsg?: Constructor<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const expectation = expectError(classOrMsg, msgIncludes, msg);
  try {
    fn();
  } catch (error) {
    return checkError(error, expectation);
  }
  throw new AssertionError(
    complaint("Expected the function to throw", expectation.msg),
  );
}

/** Asserts that the promise of `fn` rejects; returns the reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
/** Asserts that the promise of `fn` rejects with an `ErrorClass`. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: Constructor<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: Constructor<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const expectation = expectError(classOrMsg, msgIncludes, msg);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(
      complaint(
        "Expected the function to reject, but it threw",
        expectation.msg,
      ),
      { cause: error },
    );
  }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(
      complaint(
        "Expected the function to reject, but it returned no promise",
        expectation.msg,
      ),
    );
  }
  try {
    await promise;
  } catch (error) {
    return checkError(error, expectation);
  }
  throw new AssertionError(
    complaint("Expected the function to reject", expectation.msg),
  );
}

interface ErrorExpectation {
  ErrorClass: Constructor<Error> | undefined;
  msgIncludes: string | undefined;
  msg: string | undefined;
}

function contains(actual: unknown, expected: unknown): boolean {
  if (!isObject(actual) || !isObject(expected)) return equal(actual, expected);
  if (expected instanceof RegExp || expected instanceof Date) {
    return equal(actual, expected);
  }
  if (expected instanceof Map) {
    return actual instanceof Map &&
      expected.entries().every(([key, value]) =>
        actual.has(key) && contains(actual.get(key), value)
      );
  }
  if (expected instanceof Set) {
    return actual instanceof Set && expected.isSubsetOf(actual);
  }
  return Reflect.ownKeys(expected).every((key) =>
    Object.hasOwn(actual, key) &&
    contains(Reflect.get(actual, key), Reflect.get(expected, key))
  );
}

function expectError(
  classOrMsg: Constructor<Error> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): ErrorExpectation {
  if (typeof classOrMsg === "string") {
    return { ErrorClass: undefined, msgIncludes: undefined, msg: classOrMsg };
  }
  return { ErrorClass: classOrMsg, msgIncludes, msg };
}

function checkError(error: unknown, expectation: ErrorExpectation): unknown {
  const { ErrorClass, msgIncludes, msg } = expectation;
  if (!ErrorClass) return error;
  if (!(error instanceof ErrorClass)) {
    throw new AssertionError(
      complaint(
        `Expected a "${ErrorClass.name}", but it is ${format(error)}`,
        msg,
      ),
      { cause: error },
    );
  }
  if (msgIncludes && !error.message.includes(msgIncludes)) {
    throw new AssertionError(
      complaint(
        `Expected the message of the error to contain ${
          format(msgIncludes)
        }, but it is ${format(error.message)}`,
        msg,
      ),
      { cause: error },
    );
  }
  return error;
}

function format(value: unknown): string {
  return Deno.inspect(value, {
    depth: 100,
    iterableLimit: Infinity,
    sorted: true,
    strAbbreviateSize: Infinity,
  });
}

function complaint(what: string, msg: string | undefined): string {
  return msg ? `${what}: ${msg}` : what;
}

function comparison(actual: unknown, expected: unknown): string {
  return `\n\nactual:   ${format(actual)}\nexpected: ${format(expected)}\n`;
}

function relation(
  actual: unknown,
  sign: string,
  expected: unknown,
  msg: string | undefined,
): string {
  return complaint(
    `Expected ${format(actual)} ${sign} ${format(expected)}`,
    msg,
  );
}
