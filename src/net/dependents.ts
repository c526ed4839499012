/**
 * What ends with its reactor: connections, ports and attempts to connect.
 *
 * The reactor knows those that read or write at present. One that is paused, or
 * that waits for a timer or a name, is known here only.
 *
 * A `crash()` tells nobody: connections stay as they are, and go on with the next
 * run, as readers and writers do.
 *
 * @module
 */

import { ConnectionLost, ReactorNotRunning } from "../errors.ts";
import type { Reactor } from "../reactor.ts";
import { callHandler } from "./report.ts";

/** Something that a reactor serves. */
export interface Dependent {
  /** The reactor has stopped. Called more than once, perhaps. */
  connectionLost(reason: Error): void;
}

/** The dependents of each reactor; null once it has stopped. */
const dependents = new WeakMap<Reactor, Set<Dependent> | null>();

/**
 * Has something told when its reactor stops.
 *
 * @throws {ReactorNotRunning} When the reactor has stopped.
 * @throws {Deno.errors.BadResource} When it is closed.
 */
export function endWithReactor(reactor: Reactor, dependent: Dependent): void {
  let all = dependents.get(reactor);
  if (all === null) throw new ReactorNotRunning("The reactor has stopped");
  if (all === undefined) {
    reactor.addSystemEventTrigger("during", "shutdown", () => endAll(reactor));
    dependents.set(reactor, all = new Set());
  }
  all.add(dependent);
}

/** It has ended before its reactor. */
export function outlive(reactor: Reactor, dependent: Dependent): void {
  dependents.get(reactor)?.delete(dependent);
}

function endAll(reactor: Reactor): void {
  const all = [...dependents.get(reactor)!];
  dependents.set(reactor, null);
  for (const dependent of all) {
    callHandler(
      reactor,
      "the end of a connection",
      () =>
        dependent.connectionLost(new ConnectionLost("The reactor has stopped")),
    );
  }
}
