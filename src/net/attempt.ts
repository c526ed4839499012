/**
 * An attempt to connect: to one address after the other, the later ones beside
 * the earlier ones that have not answered yet, as RFC 8305 has it.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import { ERRNO, type SystemError } from "../../ffi/errno.ts";
import { beginConnect, openSocket, pendingError } from "../../ffi/socket.ts";
import type { SocketAddress } from "../../ffi/socket_address.ts";
import type { DelayedCall } from "../delayed_calls.ts";
import type { WriteDescriptor } from "../descriptors.ts";
import { asError, ConnectionLost } from "../errors.ts";
import type { Reactor } from "../reactor.ts";
import type { ConnectorOptions } from "./connector.ts";
import { ConnectError, connectError, ConnectTimeoutError } from "./errors.ts";
import { Handshake } from "./handshake.ts";
import { SocketStream } from "./socket_stream.ts";
import type { StreamSocket } from "./stream.ts";

/** How long to wait for one address before the next is tried beside it, in ms. */
const STAGGER = 250; // What RFC 8305 recommends.

/** When to ask a UNIX socket with a full backlog again, and how late at most. */
const FIRST_LOOK = 1;
const LAST_LOOK = 64;

const { EAGAIN, EINPROGRESS } = ERRNO;

/** How an attempt ends. One of the two is called, once. */
export interface AttemptOutcome {
  /** The socket, and the address that it is connected to. */
  connected(socket: StreamSocket, address: SocketAddress): void;
  /** None of the addresses would do, or there was no time left. */
  failed(error: Error): void;
}

/** See the module. */
export class Attempt {
  readonly #options: ConnectorOptions;
  readonly #outcome: AttemptOutcome;
  readonly #tries = new Set<Try>();
  #addresses: SocketAddress[] = [];
  #stopFinding: (() => void) | undefined;
  #timeout: DelayedCall | undefined;
  #next: DelayedCall | undefined;
  #handshake: Handshake | undefined;
  #lastError: Error = new ConnectError("There is no address to connect to");
  /** With this it fails in a later round, whatever comes first. */
  #givenUp: Error | undefined;
  /** Nothing is under way any more. */
  #stopped = false;
  /** Its outcome was told. */
  #over = false;

  /** Makes an attempt, which does nothing yet. */
  constructor(options: ConnectorOptions, outcome: AttemptOutcome) {
    this.#options = options;
    this.#outcome = outcome;
  }

  /** Begins, in a later round. */
  start(): void {
    if (this.#stopped) return;
    const { reactor, timeout } = this.#options;
    this.#timeout = reactor.callLater(timeout, () =>
      this.fail(
        new ConnectTimeoutError(
          `The connection was not made within ${timeout} ms`,
        ),
      ));
    this.#next = reactor.callLater(0, () => this.#find());
  }

  /** Its owner has changed its mind: it fails in a later round. */
  giveUp(error: Error): void {
    if (this.#stopped) return;
    this.#stop();
    this.#givenUp = error;
    this.#options.reactor.callFromThread(() => this.fail(error));
  }

  /** Fails. */
  fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#stop();
    this.#outcome.failed(this.#givenUp ?? this.#reasonOf(error));
  }

  /** That the reactor ends is the fault neither of a name nor of a peer. */
  #reasonOf(error: Error): Error {
    const { cause } = error;
    const ended = !this.#options.reactor.running;
    return ended && cause instanceof ConnectionLost ? cause : error;
  }

  #stop(): void {
    this.#stopped = true;
    this.#stopFinding?.();
    if (this.#timeout?.active()) this.#timeout.cancel();
    this.#stopTrying();
    this.#handshake?.close();
  }

  #stopTrying(): void {
    if (this.#next?.active()) this.#next.cancel();
    for (const one of this.#tries) one.close();
    this.#tries.clear();
  }

  #find(): void {
    try {
      this.#stopFinding = this.#options.find((found) => {
        this.#stopFinding = undefined;
        if ("error" in found) return this.fail(found.error);
        this.#addresses = found.addresses;
        this.#tryNext();
      });
    } catch (error) {
      this.fail(asError(error));
    }
  }

  /** Tries the first address that is not refused at once. */
  #tryNext(): void {
    if (this.#next?.active()) this.#next.cancel();
    let address;
    while ((address = this.#addresses.shift()) !== undefined) {
      try {
        this.#tries.add(this.#try(address));
        break;
      } catch (error) {
        this.#lastError = asError(error);
      }
    }
    if (this.#tries.size === 0) this.fail(this.#lastError);
    else if (this.#addresses.length > 0) {
      this.#next = this.#options.reactor.callLater(
        STAGGER,
        () => this.#tryNext(),
      );
    }
  }

  #try(address: SocketAddress): Try {
    const one = new Try(this.#options, address, {
      connected: (socket) => {
        this.#tries.delete(one);
        this.#stopTrying();
        this.#reached(socket, address);
      },
      failed: (error) => {
        this.#tries.delete(one);
        this.#lastError = error;
        this.#tryNext();
      },
      lost: (error) => this.fail(error),
    });
    return one;
  }

  /** There is a socket, which may have hands to shake first. */
  #reached(socket: StreamSocket, address: SocketAddress): void {
    const { reactor } = this.#options;
    let wrapped = socket;
    const done = () => {
      this.#handshake = undefined;
      this.#over = true;
      this.#stop();
      this.#outcome.connected(wrapped, address);
    };
    try {
      wrapped = this.#options.wrap?.(socket) ?? socket;
      if (wrapped === socket) return done();
      this.#handshake = new Handshake(reactor, wrapped, {
        done,
        failed: (error) => this.fail(error),
      });
    } catch (error) {
      wrapped.close(false);
      this.fail(asError(error));
    }
  }
}

/** What becomes of a try. */
interface TryOutcome {
  connected(socket: SocketStream): void;
  failed(error: Error): void;
  /** The reactor has dropped it. */
  lost(error: Error): void;
}

/** A socket on its way to one address. */
class Try implements WriteDescriptor {
  readonly #reactor: Reactor;
  readonly #address: SocketAddress;
  readonly #outcome: TryOutcome;
  readonly #socket: SocketStream;
  #nextLook: DelayedCall | undefined;
  #over = false;

  /** Sets out. Throws what says that there is no way. */
  constructor(
    { reactor, bind }: ConnectorOptions,
    address: SocketAddress,
    outcome: TryOutcome,
  ) {
    this.#reactor = reactor;
    this.#address = address;
    this.#outcome = outcome;
    this.#socket = new SocketStream(this.#open());
    try {
      bind?.(this.#socket.fd, address);
      this.#begin(FIRST_LOOK);
    } catch (error) {
      this.#socket.close(false);
      throw error;
    }
  }

  fileno(): number {
    return this.#socket.fd;
  }

  doWrite(): void {
    const errno = pendingError(this.#socket.fd);
    if (errno !== 0) {
      this.close();
      return this.#outcome.failed(this.#error(errno));
    }
    this.#over = true;
    this.#reactor.removeWriter(this);
    this.#outcome.connected(this.#socket);
  }

  connectionLost(reason: Error): void {
    if (this.#over) return;
    this.close();
    this.#outcome.lost(reason);
  }

  /** Gives it up. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#nextLook?.active()) this.#nextLook.cancel();
    this.#reactor.removeWriter(this);
    this.#socket.close(false);
  }

  /**
   * Begins to connect. A blocking connect() would wait while a UNIX socket's
   * backlog is full; for one that does not block there is no event to wait for
   * (connect(2), EAGAIN), so that it looks from time to time.
   */
  #begin(nextLook: number): void {
    const errno = beginConnect(this.#socket.fd, this.#address);
    if (errno === EAGAIN && this.#address.family === POSIX.AF_UNIX) {
      this.#nextLook = this.#reactor.callLater(
        nextLook,
        () => this.#beginAgain(Math.min(2 * nextLook, LAST_LOOK)),
      );
      return;
    }
    if (errno !== 0 && errno !== EINPROGRESS) throw this.#error(errno);
    this.#reactor.addWriter(this);
  }

  #beginAgain(nextLook: number): void {
    try {
      this.#begin(nextLook);
    } catch (error) {
      this.close();
      this.#outcome.failed(asError(error));
    }
  }

  #open(): number {
    try {
      return openSocket(this.#address.family, POSIX.SOCK_STREAM);
    } catch (error) {
      throw this.#error((error as SystemError).errno);
    }
  }

  #error(errno: number): ConnectError {
    return connectError(`Cannot connect to ${this.#address}`, errno);
  }
}
