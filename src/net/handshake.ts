/**
 * The part of connecting that comes after the kernel's: agreeing on keys.
 *
 * @module
 */

import type { DelayedCall } from "../delayed_calls.ts";
import type { ReadDescriptor, WriteDescriptor } from "../descriptors.ts";
import type { Reactor } from "../reactor.ts";
import { ConnectError, ConnectTimeoutError } from "./errors.ts";
import type { StreamSocket } from "./stream.ts";

/** How it ends. One of the two is called, once, and never by the constructor. */
export interface HandshakeOutcome {
  done(): void;
  failed(error: Error): void;
}

/** Nothing is received before the end. */
const nothing = new Uint8Array(1);

/** See the module. */
export class Handshake implements ReadDescriptor, WriteDescriptor {
  readonly #reactor: Reactor;
  readonly #socket: StreamSocket;
  readonly #outcome: HandshakeOutcome;
  #timeout: DelayedCall | undefined;
  #over = false;

  /** Begins. Throws when the reactor takes no more. */
  constructor(
    reactor: Reactor,
    socket: StreamSocket,
    outcome: HandshakeOutcome,
  ) {
    this.#reactor = reactor;
    this.#socket = socket;
    this.#outcome = outcome;
    reactor.addReader(this);
    reactor.addWriter(this);
    const { handshakeTimeout } = socket.layer!;
    this.#timeout = reactor.callLater(handshakeTimeout, () => {
      this.close();
      outcome.failed(
        new ConnectTimeoutError(
          `Cannot connect: the TLS handshake was not done within ${handshakeTimeout} ms`,
        ),
      );
    });
    this.#timeout.unref(); // The descriptor keeps the process alive.
  }

  fileno(): number {
    return this.#socket.fd;
  }

  doRead(): void {
    const count = this.#socket.receive(nothing);
    if (count < 0 && !this.#socket.isTransient(-count)) {
      return this.#fail(this.#socket.explain(-count));
    }
    const { handshaking, unsent } = this.#socket.layer!;
    if (handshaking) {
      if (unsent) this.#reactor.addWriter(this);
      return;
    }
    this.#stop();
    this.#outcome.done();
  }

  doWrite(): void {
    const errno = this.#socket.layer!.flush();
    if (errno === 0) this.#reactor.removeWriter(this);
    else if (!this.#socket.isTransient(-errno)) {
      this.#fail(this.#socket.explain(-errno));
    }
  }

  connectionLost(reason: Error): void {
    if (!this.#over) this.#fail(reason);
  }

  /** Gives it up. */
  close(): void {
    if (this.#over) return;
    this.#stop();
    this.#socket.close(false);
  }

  #stop(): void {
    this.#over = true;
    if (this.#timeout?.active()) this.#timeout.cancel();
    this.#reactor.removeReader(this);
    this.#reactor.removeWriter(this);
  }

  #fail(cause: Error): void {
    this.close();
    this.#outcome.failed(
      new ConnectError(`Cannot connect: ${cause.message}`, { cause }),
    );
  }
}
