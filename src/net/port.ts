/**
 * What listens.
 *
 * @module
 */

import { openFile } from "../../ffi/descriptor.ts";
import { ERRNO, type SystemError, systemError } from "../../ffi/errno.ts";
import { acceptFrom } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import type { DelayedCall } from "../delayed_calls.ts";
import type { ReadDescriptor } from "../descriptors.ts";
import { FileDescriptor } from "../file_descriptor.ts";
import type { Reactor } from "../reactor.ts";
import { type Address, toAddress } from "./address.ts";
import { endWithReactor, outlive } from "./dependents.ts";
import { beginUse, endUse } from "./factories.ts";
import type { ServerFactory } from "./protocol.ts";
import { callHandler, report } from "./report.ts";
import { hostOf, SocketStream } from "./socket_stream.ts";
import { type StreamSocket, StreamTransport } from "./stream.ts";

/**
 * A socket that takes connections.
 *
 * @example Stopping, and beginning again
 * ```ts
 * import {
 *   connect,
 *   listenTCP,
 *   type Port,
 *   type Transport,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port: Port = listenTCP(0, {
 *   buildProtocol: () => ({
 *     makeConnection: (transport: Transport) => transport.loseConnection(),
 *     dataReceived() {},
 *   }),
 * }, { hostname: "127.0.0.1" });
 *
 * await port.stopListening();
 * assertEquals(port.fileno(), -1); // Clients are refused.
 * port.startListening();
 * await using client = await connect(port.getHost());
 * assertEquals(await Array.fromAsync(client), []);
 * ```
 */
export interface Port extends AsyncDisposable {
  /**
   * Where it listens: with port 0, the number that the system has chosen. After
   * {@linkcode Port.stopListening}, where it did.
   */
  getHost(): Address;
  /** The descriptor of its socket; -1 while it does not listen. */
  fileno(): number;
  /**
   * Listens again, after {@linkcode Port.stopListening}: where it was told to in
   * the beginning. Does nothing while it listens.
   *
   * @throws {CannotListenError} When the address can't be had.
   * @throws {ReactorNotRunning} When the reactor has stopped.
   */
  startListening(): void;
  /**
   * Takes no more connections; those that there are go on.
   *
   * @returns Resolves when the address can be bound again. Rejects with what the
   * factory's `doStop` threw: the address is free all the same.
   */
  stopListening(): Promise<void>;
  /**
   * Leaves connections waiting in the kernel, until resumed.
   *
   * @example A table for two
   * ```ts
   * import {
   *   connect,
   *   listenTCP,
   *   type Port,
   *   type Transport,
   * } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * let guests = 0;
   * let most = 0;
   * await using port: Port = listenTCP(0, {
   *   buildProtocol() {
   *     most = Math.max(most, ++guests);
   *     if (guests === 2) port.pauseProducing();
   *     return {
   *       makeConnection: (transport: Transport) => transport.write("Sit down."),
   *       dataReceived() {},
   *       connectionLost() {
   *         guests--;
   *         port.resumeProducing();
   *       },
   *     };
   *   },
   * }, { hostname: "127.0.0.1" });
   *
   * const first = await connect(port.getHost());
   * await using _second = await connect(port.getHost());
   * await using third = await connect(port.getHost()); // It waits in the kernel.
   * first.loseConnection();
   * for await (const words of third) {
   *   assertEquals(new TextDecoder().decode(words), "Sit down.");
   *   break;
   * }
   * assertEquals(most, 2);
   * ```
   */
  pauseProducing(): void;
  /** Takes connections again. */
  resumeProducing(): void;
}

/** How a kind of port opens its socket. */
export interface PortOptions {
  readonly reactor: Reactor;
  readonly factory: ServerFactory;
  /** What the connections become. @default {StreamTransport} */
  readonly Transport?: typeof StreamTransport;
  /** Makes a socket that listens. Throws a `CannotListenError`. */
  open(): number;
  /** Called after it was closed. */
  closed?(): void;
  /** Puts something between a socket and its transport. */
  wrap?(socket: StreamSocket): StreamSocket;
}

const { EAGAIN, EWOULDBLOCK, EBADF, EMFILE, EPERM, ECONNABORTED } = ERRNO;

/** At first, and at most after a calm time: so many connections at an event. */
const BATCH = 100;
/** How many more after an event that brought that many. */
const MORE = 20;

/** How long to leave it after accept() failed for a reason that stays, in ms. */
const RESTING = 100;

/** Connections that are each refused for a reason of its own, up to so many. */
const MOST_SKIPPED = 100;

/** See {@linkcode Port}. */
export class StreamPort implements Port, ReadDescriptor {
  readonly #options: PortOptions;
  readonly #from = new SocketAddress();
  #socket: FileDescriptor | undefined;
  #host: Address | undefined;
  /** A descriptor to give up when there are no more. */
  #reserve: FileDescriptor | undefined;
  #batch = BATCH;
  /** How many accept() has refused since it last took one, or had none. */
  #skipped = 0;
  #paused = false;
  /** It is left alone until then. */
  #resting: DelayedCall | undefined;

  constructor(options: PortOptions) {
    this.#options = options;
    this.startListening();
  }

  getHost(): Address {
    return this.#host!;
  }

  startListening(): void {
    if (this.#socket !== undefined) return;
    const { open, factory, reactor } = this.#options;
    const socket = FileDescriptor.adopt(open.call(this.#options));
    try {
      this.#host = hostOf(socket.fileno());
      endWithReactor(reactor, this);
      this.#socket = socket;
      this.#batch = BATCH;
      this.#listen();
    } catch (error) {
      this.#socket = undefined;
      outlive(reactor, this);
      socket.close();
      this.#options.closed?.();
      throw error;
    }
    this.#takeReserve();
    callHandler(reactor, "doStart", () => beginUse(factory));
  }

  stopListening(): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        resolve(this.#close() as undefined);
      } catch (error) {
        reject(error);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopListening();
  }

  pauseProducing(): void {
    this.#paused = true;
    this.#options.reactor.removeReader(this);
  }

  resumeProducing(): void {
    this.#paused = false;
    this.#listen();
  }

  fileno(): number {
    return this.#socket?.fileno() ?? -1;
  }

  doRead(): void {
    let taken = 0;
    // Its owner may stop or pause it in the middle.
    while (taken < this.#batch && this.#listens()) {
      const fd = acceptFrom(this.#socket!.fileno(), this.#from);
      if (fd >= 0) this.#accepted(fd);
      else if (!this.#refused(-fd)) break;
      taken++;
    }
    // As many as came, and some more where there were more.
    this.#batch = taken === this.#batch
      ? this.#batch + MORE
      : Math.max(1, Math.min(taken, BATCH));
  }

  connectionLost(reason: Error): void {
    const { reactor } = this.#options;
    const { errno } = reason as SystemError;
    // Nobody but the port was told what the kernel said of its descriptor.
    if (errno !== undefined) report(reactor, reason, "a port");
    // Somebody has closed it, and the number may be another file's by now.
    const isOpen = errno !== EBADF;
    callHandler(reactor, "doStop", () => this.#close(isOpen));
  }

  #listens(): boolean {
    return this.#socket !== undefined && !this.#paused &&
      this.#resting === undefined;
  }

  #listen(): void {
    if (this.#listens()) this.#options.reactor.addReader(this);
  }

  #accepted(fd: number): void {
    this.#skipped = 0;
    const { factory, reactor, Transport = StreamTransport } = this.#options;
    let socket: StreamSocket = new SocketStream(fd);
    callHandler(reactor, "buildProtocol", () => {
      const peer = toAddress(this.#from, "stream");
      const host = hostOf(fd);
      const protocol: ReturnType<ServerFactory["buildProtocol"]> | undefined =
        factory.buildProtocol(peer);
      if (protocol === null || protocol === undefined) {
        return socket.close(false);
      }
      socket = this.#options.wrap?.(socket) ?? socket;
      new Transport({ reactor, socket, host, peer }).start(protocol);
    }, () => socket.close(false));
  }

  /** accept() has failed. Returns whether to go on. */
  #refused(errno: number): boolean {
    switch (errno) {
      case EAGAIN:
      case EWOULDBLOCK:
        this.#skipped = 0;
        return false;
      case EMFILE:
        return this.#turnOneAway();
      case EPERM: // A firewall's no to one of them (accept(2)).
        return this.#skip(errno);
      case ECONNABORTED: // Gone before it was taken.
        this.#report("A connection was gone before it was accepted", errno);
        return this.#skip(errno);
      default:
        return this.#wait(errno);
    }
  }

  /**
   * Goes on to the next connection. When there is no end to it, this one was
   * not taken out of the queue, and is what comes next.
   */
  #skip(errno: number): boolean {
    if (++this.#skipped < MOST_SKIPPED) return true;
    this.#skipped = 0;
    return this.#wait(errno);
  }

  /** Says what is wrong, and waits until it may be better. */
  #wait(errno: number): boolean {
    this.#report("Cannot accept a connection", errno);
    this.#rest();
    return false;
  }

  /**
   * There are no descriptors left. The one in reserve makes room to take one
   * client and turn it away: otherwise it would wait, and its waiting would wake
   * the reactor again and again.
   */
  #turnOneAway(): boolean {
    // Without it, somebody else has taken the room. Later there may be some.
    if (this.#reserve === undefined) return this.#wait(EMFILE!);
    this.#reserve.close();
    this.#reserve = undefined;
    const fd = acceptFrom(this.#socket!.fileno(), this.#from);
    if (fd >= 0) FileDescriptor.adopt(fd).close();
    this.#takeReserve();
    // Somebody else has taken the room, or it is not descriptors that lack.
    if (-fd === EMFILE) return this.#wait(EMFILE);
    if (fd < 0) return this.#refused(-fd);
    this.#report("A connection was turned away", EMFILE!);
    return true;
  }

  #takeReserve(): void {
    if (this.#reserve !== undefined) return;
    try {
      this.#reserve = FileDescriptor.adopt(openFile("/dev/null", 0));
    } catch {
      // There is none to be had: #turnOneAway waits, then.
    }
  }

  /** What is wrong now may be better later; until then it would be told often. */
  #rest(): void {
    const { reactor } = this.#options;
    reactor.removeReader(this);
    this.#resting = reactor.callLater(RESTING, () => {
      this.#resting = undefined;
      this.#takeReserve();
      this.#listen();
    });
  }

  #report(action: string, errno: number): void {
    report(this.#options.reactor, systemError(action, errno), "accept");
  }

  #close(isOpen = true): unknown {
    const socket = this.#socket;
    if (socket === undefined) return;
    const { reactor, factory, closed } = this.#options;
    this.#socket = undefined;
    outlive(reactor, this);
    if (this.#resting?.active()) this.#resting.cancel();
    this.#resting = undefined;
    // Closing it takes it from the reactor as well, so that nobody holds the
    // address any more when this returns.
    if (isOpen) callHandler(reactor, "close", () => socket.close());
    this.#reserve?.close();
    this.#reserve = undefined;
    closed?.call(this.#options);
    return endUse(factory);
  }
}
