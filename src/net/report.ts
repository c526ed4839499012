/**
 * Telling the reactor's `onError` of what a handler threw.
 *
 * @module
 */

import { print } from "../print.ts";
import type { Reactor } from "../reactor.ts";
import { isThenable, reportRejection } from "../thenable.ts";

/**
 * Has the reactor report an error, before this returns.
 *
 * A trigger of an event is the one callback that a reactor calls at once,
 * whatever it is doing. What is queued would be lost when it is about to end.
 *
 * @param where What threw.
 */
export function report(reactor: Reactor, error: unknown, where: string): void {
  try {
    reactor.addSystemEventTrigger("during", where, function fail() {
      throw error;
    });
    reactor.fireSystemEvent(where);
  } catch {
    // The reactor is closed, and `onError` belongs to the past.
    print(`Reactor: ${where} threw`, error);
  }
}

/**
 * Calls a handler of the user's. What it throws, and what its promise rejects
 * with, is reported; nothing escapes.
 *
 * @returns Whether it returned.
 */
export function callHandler(
  reactor: Reactor,
  where: string,
  f: () => unknown,
  thrown?: (error: unknown) => void,
): boolean {
  try {
    const result = f();
    if (isThenable(result)) {
      reportRejection(result, (error) => report(reactor, error, where));
    }
    return true;
  } catch (error) {
    report(reactor, error, where);
    thrown?.(error);
    return false;
  }
}
