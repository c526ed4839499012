/**
 * All that a simulation consists of, as a string: two states with the same
 * string have the same future.
 *
 * @module
 */

import { POST, STATE, WORD } from "../../ffi/poll_loop.ts";

/** Where a closure keeps what it has captured. */
const CAPTURED = Symbol("captured");

/** What a closure has captured, and where in the program it stands. */
interface Captured {
  readonly site: number;
  readonly values: () => unknown[];
}

function capturedBy(value: object): Captured | undefined {
  return (value as { [CAPTURED]?: Captured })[CAPTURED];
}

/** Notes what a closure has captured. */
export function closure<F extends object>(
  site: number,
  values: () => unknown[],
  f: F,
): F {
  (f as { [CAPTURED]?: Captured })[CAPTURED] = { site, values };
  return f;
}

/**
 * Writes down a value with everything that can be reached from it. Objects are
 * numbered as they are met, so that it does not matter which they are.
 */
export function snapshot(root: unknown): string {
  const numbers = new Map<object, number>();
  let text = "";
  const writeAll = (values: Iterable<unknown>) => {
    for (const value of values) write(value);
    text += ")";
  };
  const write = (value: unknown): void => {
    if (
      value === null ||
      (typeof value !== "object" && typeof value !== "function")
    ) {
      text += typeof value === "string" ? `"${value}"` : `${String(value)},`;
      return;
    }
    const number = numbers.get(value);
    if (number !== undefined) {
      text += `#${number},`;
      return;
    }
    numbers.set(value, numbers.size);
    if (typeof value === "function") {
      const made = capturedBy(value);
      text += `f${made?.site ?? value.name}(`;
      return writeAll(made?.values() ?? []);
    }
    if (value === STATE || value === WORD || value === POST) return;
    if (value instanceof Int32Array) {
      text += `[${value.join()}]`;
      return;
    }
    if (value instanceof Error) {
      text += `"${value.message}"`;
      return;
    }
    if ("$state" in value) {
      text += `${value.constructor.name}(`;
      return writeAll((value.$state as () => unknown[])());
    }
    if (value instanceof Map || value instanceof Set || Array.isArray(value)) {
      text += `${value.constructor.name}(`;
      return value instanceof Map
        ? writeAll([...value].flat())
        : writeAll(value);
    }
    text += "{";
    for (const [key, member] of Object.entries(value)) {
      if (typeof member === "function" && !capturedBy(member)) continue;
      text += `${key}:`;
      write(member);
    }
    text += "}";
  };
  write(root);
  return text;
}
