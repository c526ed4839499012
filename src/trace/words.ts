/**
 * Callbacks in words, the same in every trace.
 *
 * @module
 */

import type { TracedCallback } from "./tracing.ts";

/** Labels are the program's, and may be of any length. */
const LONGEST_LABEL = 200;

/** What a span is called: of callbacks that are alike, the same. */
export function titleOf({ kind, label, fd }: TracedCallback): string {
  const which = label ?? fd;
  return which === undefined ? kind : `${kind} ${shortened(String(which))}`;
}

/** An error, in a line. */
export function errorInWords(error: Error): string {
  try {
    return shortened(`${error.name}: ${error.message}`);
  } catch {
    return "an error that says nothing"; // Its getters throw, too.
  }
}

/** A text that is no longer than it is of use. */
export function shortened(text: string): string {
  return text.length > LONGEST_LABEL
    ? `${text.slice(0, LONGEST_LABEL).toWellFormed()}...`
    : text;
}
