/**
 * Telling this thread from others.
 *
 * @module
 */

import { ofThisThread, THREAD_ID } from "./keys.ts";

/** A name that no other thread has, in this process or another. */
export function threadId(): string {
  return ofThisThread(THREAD_ID, () => crypto.randomUUID());
}
