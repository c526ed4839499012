/**
 * How many ports and connectors use a factory.
 *
 * @module
 */

import { checkFunction, complaint } from "../arguments.ts";
import type { ServerFactory } from "./protocol.ts";

const users = new WeakMap<ServerFactory, number>();

/** A port or a connector begins to use a factory: the first one starts it. */
export function beginUse(factory: ServerFactory): unknown {
  const count = users.get(factory) ?? 0;
  users.set(factory, count + 1);
  return count === 0 ? factory.doStart?.() : undefined;
}

/** One ends: the last one stops it. */
export function endUse(factory: ServerFactory): unknown {
  const count = users.get(factory)! - 1;
  users.set(factory, count);
  return count === 0 ? factory.doStop?.() : undefined;
}

/**
 * Requires a factory.
 *
 * @throws {TypeError} When it is no object with a `buildProtocol` function.
 */
export function checkFactory(value: unknown, action: string): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(complaint(value, action, "factory", "an object"));
  }
  const { buildProtocol } = value as Partial<ServerFactory>;
  checkFunction(buildProtocol, action, "factory.buildProtocol");
}
