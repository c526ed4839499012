/**
 * What `connect()` and `listen()` are given, as far as both check it alike.
 *
 * @module
 */

import { complaint } from "../arguments.ts";

/** What has no meaning for a UNIX socket, and what has none for TCP. */
const FOR_PORTS = ["hostname", "port", "tls"] as const;
const FOR_PATHS = ["mode", "wantPID"] as const;

/**
 * Requires a port, or the path of a UNIX socket.
 *
 * @throws {TypeError} When there are both or neither, or something that does not
 * go with the one that there is.
 */
export function checkPlace(options: unknown, action: string): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const given = options as Record<string, unknown>;
  const isPath = given.path !== undefined;
  if (!isPath && given.port === undefined) {
    throw new TypeError(
      `Cannot ${action}: "options.port" or "options.path" must be given`,
    );
  }
  const here = isPath ? "options.path" : "options.port";
  for (const name of isPath ? FOR_PORTS : FOR_PATHS) {
    if (given[name] === undefined) continue;
    const required = `missing where there is "${here}"`;
    throw new TypeError(
      complaint(given[name], action, `options.${name}`, required),
    );
  }
}

/**
 * Requires a signal, or nothing.
 *
 * @throws {TypeError} When it is something else.
 */
export function checkSignal(
  signal: unknown,
  action: string,
): asserts signal is AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new TypeError(
    complaint(signal, action, "options.signal", "an AbortSignal"),
  );
}
