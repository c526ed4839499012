/**
 * Callbacks may return promises. Nobody waits for most of those, but a
 * rejection must not get lost.
 */

/**
 * Tells whether `value` has a `then` function. A `then` that is a getter is
 * run, and what it throws passes through.
 */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (
    value === null || (typeof value !== "object" && typeof value !== "function")
  ) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

/**
 * Hands a rejection of `result` to `report`. The promise it returns always
 * resolves, once `result` has settled.
 *
 * Awaiting holds a foreign thenable to the rules: it is asked later, and heard
 * once. And it does not look at a `then` that a promise has of its own.
 */
export async function reportRejection(
  result: PromiseLike<unknown>,
  report: (error: unknown) => void,
): Promise<void> {
  try {
    await result;
  } catch (error) {
    report(error);
  }
}

/**
 * Calls a function of the user's. What it throws, and what its promise rejects
 * with, goes to `report`; nothing escapes.
 *
 * @returns Whether it returned.
 */
export function callGuarded(
  f: () => unknown,
  report: (error: unknown) => void,
): boolean {
  try {
    const result = f();
    if (isThenable(result)) reportRejection(result, report);
    return true;
  } catch (error) {
    report(error);
    return false;
  }
}
