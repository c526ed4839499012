/**
 * What ends with its reactor: connections, ports and attempts to connect.
 *
 * The reactor knows those that read or write at present. One that is paused, or
 * that waits for a timer or a name, is known here only.
 *
 * A `crash()` tells nobody: connections stay as they are, and go on with the next
 * run, as readers and writers do. When there is no next run, `close()` is their
 * end.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import { openSocket } from "../../ffi/socket.ts";
import type { ReadDescriptor } from "../descriptors.ts";
import {
  ConnectionLost,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "../errors.ts";
import { FileDescriptor } from "../file_descriptor.ts";
import type { Reactor } from "../reactor.ts";
import { callHandler } from "./report.ts";

/** Something that a reactor serves. */
export interface Dependent {
  /** The reactor has stopped. Called more than once, perhaps. */
  connectionLost(reason: Error): void;
}

const dependents = new WeakMap<Reactor, Dependents>();

/**
 * Has something told when its reactor ends.
 *
 * @throws {ReactorNotRunning} When the reactor has stopped.
 * @throws {Deno.errors.BadResource} When it is closed.
 */
export function endWithReactor(reactor: Reactor, dependent: Dependent): void {
  let all = dependents.get(reactor);
  if (all === undefined) dependents.set(reactor, all = new Dependents(reactor));
  all.add(dependent);
}

/** It has ended before its reactor. */
export function outlive(reactor: Reactor, dependent: Dependent): void {
  dependents.get(reactor)?.delete(dependent);
}

/** The dependents of a reactor. */
class Dependents {
  readonly #reactor: Reactor;
  readonly #members = new Set<Dependent>();
  /** The reactor has crashed, and has not started again. */
  #crashed = false;
  #witness: Witness | undefined;
  #over = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
    requireStartable(reactor);
    reactor.addSystemEventTrigger(
      "during",
      "shutdown",
      () => this.#end(new ConnectionLost("The reactor has stopped")),
    );
    this.#awaitEnd();
  }

  add(member: Dependent): void {
    if (this.#over) throw hasStopped();
    this.#members.add(member);
    if (this.#crashed) this.#addWitness();
  }

  delete(member: Dependent): void {
    this.#members.delete(member);
    if (this.#members.size === 0) this.#dismissWitness();
  }

  /** Looks what has become of the reactor when this run of it is over. */
  #awaitEnd(): void {
    this.#reactor.finished.then(
      () => this.#runEnded(),
      (error) => this.#end(error),
    );
  }

  /** It has stopped in order, crashed, or was closed before it ever started. */
  #runEnded(): void {
    if (this.#over) return;
    if (this.#reactor.running) return this.#awaitEnd(); // Again, already.
    try {
      requireStartable(this.#reactor);
      this.#reactor.addSystemEventTrigger("during", "startup", () => {
        this.#crashed = false;
        this.#dismissWitness();
        this.#awaitEnd();
      });
      this.#crashed = true;
      if (this.#members.size > 0) this.#addWitness();
    } catch {
      this.#end(new ConnectionLost("The reactor was closed"));
    }
  }

  /**
   * A crashed reactor that is closed has no shutdown, and tells nobody but
   * readers and writers. So there is one.
   */
  #addWitness(): void {
    if (this.#witness !== undefined) return;
    const witness = Witness.open(() =>
      this.#end(new ConnectionLost("The reactor was closed"))
    );
    if (witness === undefined) return; // Too many descriptors, these among them.
    try {
      this.#reactor.addReader(witness);
      this.#witness = witness;
    } catch (error) {
      witness.close();
      throw error;
    }
  }

  #dismissWitness(): void {
    const witness = this.#witness;
    if (witness === undefined) return;
    this.#witness = undefined;
    this.#reactor.removeReader(witness);
    witness.close();
  }

  #end(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#dismissWitness();
    const members = [...this.#members];
    this.#members.clear();
    for (const member of members) {
      callHandler(
        this.#reactor,
        "the end of a connection",
        () => member.connectionLost(reason),
      );
    }
  }
}

/** A reader to which nothing ever comes but the end of its reactor. */
class Witness implements ReadDescriptor {
  /** For `inspect()`. */
  readonly label = "end of connections";
  readonly #socket: FileDescriptor;
  readonly #ended: () => void;

  /** Returns nothing if there is no descriptor left for it. */
  static open(ended: () => void): Witness | undefined {
    try {
      // It has no name, and is connected to nothing: nobody can send to it.
      return new Witness(openSocket(POSIX.AF_UNIX, POSIX.SOCK_DGRAM), ended);
    } catch {
      return undefined;
    }
  }

  private constructor(fd: number, ended: () => void) {
    this.#socket = FileDescriptor.adopt(fd);
    this.#ended = ended;
  }

  fileno(): number {
    return this.#socket.fileno();
  }

  doRead(): void {}

  connectionLost(): void {
    this.#ended();
  }

  close(): void {
    this.#socket.close();
  }
}

/** What no reactor takes. One that has stopped does not even look at it. */
const NO_DESCRIPTOR: ReadDescriptor = {
  fileno: () => -1,
  doRead() {},
  connectionLost() {},
};

/**
 * Requires a reactor that runs, or can be started. One that has stopped would
 * take timers and calls all the same, and never make them.
 *
 * @throws {ReactorNotRunning} When it has stopped.
 */
function requireStartable(reactor: Reactor): void {
  try {
    reactor.addReader(NO_DESCRIPTOR);
  } catch (error) {
    if (error instanceof ReactorNotRestartable) throw hasStopped(error);
  }
}

function hasStopped(cause?: Error): ReactorNotRunning {
  return new ReactorNotRunning("The reactor has stopped", { cause });
}
