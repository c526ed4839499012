/**
 * Closing a socket so that the peer gets all that was sent.
 *
 * @module
 */

import type { DelayedCall } from "../delayed_calls.ts";
import type { ReadDescriptor } from "../descriptors.ts";
import type { Reactor } from "../reactor.ts";
import { endWithReactor, outlive } from "./dependents.ts";
import type { StreamSocket } from "./stream.ts";

/** How long a peer may go on sending, in milliseconds. */
const PATIENCE = 5000;

/** Where goes what nobody wants. */
let waste: Uint8Array<ArrayBuffer> | undefined;

/**
 * Closes a socket into which everything was sent.
 *
 * The kernel answers the closing of a socket with unread data with a reset, and
 * throws away what it has not delivered yet (RFC 2525, 2.17). So if there is any,
 * only this side's half is closed at first, and what comes is read until the
 * peer has closed its half, too.
 */
export function closeGently(reactor: Reactor, socket: StreamSocket): void {
  waste ??= new Uint8Array(65_536);
  socket.forgetIfClosed?.(); // What comes to another's number is not ours to read.
  const count = socket.receive(waste);
  const goesOn = count > 0 ||
    count < 0 && socket.isTransient(-count) && socket.layer?.lingers;
  if (!goesOn) return socket.close(false);
  const discarding = new Discarding(reactor, socket);
  try {
    discarding.start();
  } catch {
    discarding.connectionLost(); // The reactor takes no more.
  }
}

/** Reads to the end, for nobody. */
class Discarding implements ReadDescriptor {
  readonly #reactor: Reactor;
  readonly #socket: StreamSocket;
  #timeout: DelayedCall | undefined;

  constructor(reactor: Reactor, socket: StreamSocket) {
    this.#reactor = reactor;
    this.#socket = socket;
  }

  start(): void {
    endWithReactor(this.#reactor, this);
    this.#socket.endWriting();
    this.#reactor.addReader(this);
    this.#timeout = this.#reactor.callLater(
      PATIENCE,
      () => this.connectionLost(),
    );
  }

  fileno(): number {
    return this.#socket.fd;
  }

  doRead(): void {
    const count = this.#socket.receive(waste!);
    const goesOn = count > 0 || count < 0 && this.#socket.isTransient(-count);
    if (!goesOn) this.connectionLost();
  }

  connectionLost(): void {
    outlive(this.#reactor, this);
    if (this.#timeout?.active()) this.#timeout.cancel();
    this.#reactor.removeReader(this);
    this.#socket.close(false);
  }
}
