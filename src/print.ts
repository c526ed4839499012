/**
 * Printing what nobody else takes.
 *
 * @module
 */

import { show } from "./arguments.ts";

/**
 * Prints to the console. Never throws: what cannot be printed, because it has a
 * getter that throws for one, is printed by its kind.
 */
export function print(text: string, ...values: unknown[]): void {
  try {
    console.error(text, ...values);
  } catch {
    try {
      console.error(text, ...values.map(show));
    } catch {
      // There is no console, then.
    }
  }
}
