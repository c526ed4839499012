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
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder);
  const here = import.meta.dirname ?? import.meta.url.replace(/[^/]*$/, "");
  return holder.stack?.split("\n").slice(1)
    .filter((line) => !line.includes(here)).join("\n");
}
