/**
 * What connects.
 *
 * @module
 */

import type { SocketAddress } from "../../ffi/socket_address.ts";
import { asError } from "../errors.ts";
import type { Reactor } from "../reactor.ts";
import { type Address, toAddress } from "./address.ts";
import { Attempt } from "./attempt.ts";
import { endWithReactor, outlive } from "./dependents.ts";
import { NotConnectingError, UserError } from "./errors.ts";
import { beginUse, endUse } from "./factories.ts";
import type { ServerFactory } from "./protocol.ts";
import { callHandler } from "./report.ts";
import { hostOf } from "./socket_stream.ts";
import { type StreamSocket, StreamTransport } from "./stream.ts";

/**
 * Makes protocols for connections that a program asked for.
 *
 * Each attempt ends in one of two ways: `clientConnectionFailed` if it came to no
 * connection, or if `buildProtocol` threw or returned null;
 * `clientConnectionLost`, after the protocol's `connectionLost`, otherwise. All
 * but `buildProtocol` may be missing.
 *
 * @example Trying again, each time after a longer pause
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import {
 *   type ClientFactory,
 *   type Connector,
 *   connectTCP,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const reactor = new Reactor();
 *
 * class Patient implements ClientFactory {
 *   attempts = 0;
 *
 *   startedConnecting() {
 *     this.attempts++;
 *   }
 *   buildProtocol() {
 *     return { dataReceived() {} };
 *   }
 *   clientConnectionFailed(connector: Connector, _reason: Error) {
 *     if (this.attempts === 3) return reactor.stop(); // Or go on for ever.
 *     reactor.callLater(2 ** this.attempts, () => connector.connect());
 *   }
 * }
 *
 * const factory = new Patient();
 * connectTCP("127.0.0.1", 1, factory, { reactor }); // Nobody is there.
 * await reactor.run();
 * assertEquals(factory.attempts, 3);
 * ```
 */
export interface ClientFactory extends ServerFactory {
  /** An attempt begins. */
  startedConnecting?(connector: Connector): unknown;
  /**
   * An attempt has failed. To try again, call `connector.connect()`, in here or
   * later.
   *
   * @param connector What has tried.
   * @param reason Why: mostly a {@linkcode ConnectError}.
   */
  clientConnectionFailed?(connector: Connector, reason: Error): unknown;
  /**
   * The connection is over. To make another, call `connector.connect()`, in here
   * or later.
   *
   * @param connector What has made it.
   * @param reason What the protocol's `connectionLost` got.
   */
  clientConnectionLost?(connector: Connector, reason: Error): unknown;
}

/**
 * A connection that is being made, or was.
 *
 * @example Ending a connection, and beginning another
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { type Connector, connectTCP, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * await using port = listen({ hostname: "127.0.0.1", port: 0, reactor });
 * const { hostname, port: number } = port.getHost();
 *
 * let count = 0;
 * const states: string[] = [];
 * const connector: Connector = connectTCP(hostname, number, {
 *   buildProtocol() {
 *     count++;
 *     return {
 *       makeConnection: () => connector.disconnect(),
 *       dataReceived() {},
 *     };
 *   },
 *   clientConnectionLost() {
 *     states.push(connector.state);
 *     if (count < 2) connector.connect();
 *     else reactor.stop();
 *   },
 * }, { reactor });
 * states.push(connector.state);
 * await reactor.run();
 * assertEquals(states, ["connecting", "disconnected", "disconnected"]);
 * ```
 */
export interface Connector {
  /**
   * Tries again, when the last attempt has failed or its connection is over.
   *
   * @throws {RangeError} When it is connected, or about to be.
   * @throws {ReactorNotRunning} When the reactor has stopped.
   */
  connect(): void;
  /**
   * Ends whatever there is: the attempt, as {@linkcode Connector.stopConnecting}
   * does, or the connection, as {@linkcode Transport.loseConnection} does. When
   * there is neither, it does nothing.
   */
  disconnect(): void;
  /**
   * Gives up the attempt: it fails with a {@linkcode UserError}.
   *
   * @throws {NotConnectingError} When there is none.
   */
  stopConnecting(): void;
  /** Where to: the host name or the path that it was given. */
  getDestination(): Address;
  /** What there is at present. */
  readonly state: "connecting" | "connected" | "disconnected";
}

/** How a kind of connector finds out where to connect to. */
export interface ConnectorOptions {
  readonly reactor: Reactor;
  readonly factory: ClientFactory;
  readonly destination: Address;
  /** How long an attempt may take, in milliseconds. */
  readonly timeout: number;
  /** What the connection becomes. @default {StreamTransport} */
  readonly Transport?: typeof StreamTransport;
  /**
   * Finds the addresses to try, the best first. Does not call `done` at once.
   *
   * @returns Gives that up.
   */
  find(
    done: (found: { addresses: SocketAddress[] } | { error: Error }) => void,
  ): () => void;
  /** Binds a socket that was made for an address, if that is wanted. */
  bind?(fd: number, address: SocketAddress): void;
  /** Puts something between a socket and its transport, which shakes hands. */
  wrap?(socket: StreamSocket): StreamSocket;
  /** Called when everything is over, until the next `connect()`. */
  rested?(): void;
}

/** See {@linkcode Connector}. */
export class StreamConnector implements Connector {
  readonly #options: ConnectorOptions;
  #state: Connector["state"] = "disconnected";
  #transport: StreamTransport | undefined;
  #attempt: Attempt | undefined;
  /** `disconnect()` was called, perhaps before there is a transport. */
  #unwanted = false;
  /** The factory counts it among its users. */
  #used = false;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.connect();
  }

  get state(): Connector["state"] {
    return this.#state;
  }

  getDestination(): Address {
    return this.#options.destination;
  }

  connect(): void {
    if (this.#state !== "disconnected") {
      throw new RangeError(
        `Cannot connect: the connector is ${this.#state} already`,
      );
    }
    const { factory, reactor } = this.#options;
    endWithReactor(reactor, this);
    this.#state = "connecting";
    this.#unwanted = false;
    if (!this.#used) {
      this.#used = true;
      callHandler(reactor, "doStart", () => beginUse(factory));
    }
    const attempt = this.#attempt = new Attempt(this.#options, {
      connected: (socket, address) => this.#connected(socket, address),
      failed: (error) => this.#failed(error),
    });
    callHandler(
      reactor,
      "startedConnecting",
      () => factory.startedConnecting?.(this),
    );
    attempt.start();
  }

  disconnect(): void {
    if (this.#state === "connecting") this.stopConnecting();
    else if (this.#state === "connected") {
      this.#unwanted = true;
      this.#transport?.loseConnection();
    }
  }

  stopConnecting(): void {
    if (this.#state !== "connecting") {
      throw new NotConnectingError(
        `Cannot stop connecting: the connector is ${this.#state}`,
      );
    }
    this.#attempt!.giveUp(new UserError());
  }

  /** The reactor has stopped. A connection hears of that by itself. */
  connectionLost(reason: Error): void {
    this.#attempt?.fail(reason);
  }

  #connected(socket: StreamSocket, address: SocketAddress): void {
    const { reactor, factory, destination, Transport = StreamTransport } =
      this.#options;
    let peer: Address;
    let host: Address;
    let protocol: ReturnType<ServerFactory["buildProtocol"]> | undefined;
    let error: Error = new UserError("The factory made no protocol");
    this.#state = "connected";
    callHandler(reactor, "buildProtocol", () => {
      peer = toAddress(address, "stream");
      host = hostOf(socket.fd);
      protocol = factory.buildProtocol(peer);
    }, (thrown) => error = asError(thrown));
    if (protocol === null || protocol === undefined) {
      socket.close(false);
      return this.#failed(error);
    }
    this.#attempt = undefined;
    outlive(reactor, this);
    this.#transport = new Transport({
      reactor,
      socket,
      host: host!,
      peer: peer!,
      lost: (reason) => this.#lost(reason),
      role: "client",
      hostname: "hostname" in destination ? destination.hostname : undefined,
    });
    this.#transport.start(protocol);
    if (this.#unwanted) this.disconnect();
  }

  #failed(reason: Error): void {
    const { factory } = this.#options;
    this.#rest(
      "clientConnectionFailed",
      () => factory.clientConnectionFailed?.(this, reason),
    );
  }

  #lost(reason: Error): void {
    const { factory } = this.#options;
    this.#rest(
      "clientConnectionLost",
      () => factory.clientConnectionLost?.(this, reason),
    );
  }

  /** If nobody calls `connect()` again when told, that was all. */
  #rest(where: string, tell: () => unknown): void {
    const { reactor, factory } = this.#options;
    this.#state = "disconnected";
    this.#attempt = this.#transport = undefined;
    outlive(reactor, this);
    callHandler(reactor, where, tell);
    if (this.#state !== "disconnected") return;
    this.#used = false;
    this.#options.rested?.();
    callHandler(reactor, "doStop", () => endUse(factory));
  }
}
