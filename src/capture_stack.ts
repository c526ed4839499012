/**
 * Where something was made, for `inspect()`.
 *
 * @module
 */

/**
 * The stack of calls at this point, without the reactor's own frames at its
 * top.
 */
export function captureStack(): string | undefined {
  const stack = stackOf(captureStack);
  const here = import.meta.dirname ?? import.meta.url.replace(/[^/]*$/, "");
  return stack?.split("\n").slice(1)
    .filter((line) => !line.includes(here)).join("\n");
}

/**
 * The stack at this point, without `above` and what it called; undefined where
 * `Error.prepareStackTrace` makes something else of it.
 */
function stackOf(above: () => unknown): string | undefined {
  const holder: { stack?: unknown } = {};
  try {
    Error.captureStackTrace(holder, above);
    return typeof holder.stack === "string" ? holder.stack : undefined;
  } catch {
    return undefined;
  }
}
