/**
 * Listening, for people who think in promises.
 *
 * @module
 */

import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import type { Address, NetAddress, UnixAddress } from "./address.ts";
import { type Connection, ConnectionProtocol } from "./connection.ts";
import type { Port } from "./port.ts";
import { checkPlace, checkSignal } from "./promise_options.ts";
import type { ServerFactory } from "./protocol.ts";
import { startForPromises } from "./start.ts";
import { listenTCP } from "./tcp.ts";
import { listenSSL } from "./tls.ts";
import type { TLSOptions } from "./tls_options.ts";
import { listenUNIX } from "./unix.ts";
import type { UnixPathOptions } from "./unix_path.ts";

/**
 * Options of {@linkcode listen}, for TCP.
 *
 * @example A port that is open until the program is told to end
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const end = new AbortController(); // `AbortSignal.timeout(60_000)` would do, too.
 * const port = listen({
 *   hostname: "127.0.0.1",
 *   port: 0,
 *   backlog: 16,
 *   signal: end.signal,
 * });
 * await using client = await connect(port.getHost());
 * end.abort();
 * assertEquals(port.fileno(), -1); // Closed, and the client is still connected.
 * ```
 */
export interface ListenOptions {
  /**
   * The address to listen on, IPv4 or IPv6. `"::"` takes both; `"localhost"` is
   * `"127.0.0.1"`.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string;
  /** The port; 0 for one that is free, which `getHost()` then tells. */
  port: number;
  /** There is none: see {@linkcode ListenPathOptions}. */
  path?: undefined;
  /** Stops listening when it is aborted. Connections that there are go on. */
  signal?: AbortSignal;
  /**
   * How many connections may wait in the kernel to be taken.
   *
   * @default {511}
   */
  backlog?: number;
  /**
   * How the connections are encrypted: `cert` and `key` must be there.
   *
   * @default {undefined} Not at all.
   */
  tls?: TLSOptions;
  /**
   * The reactor that serves the port and its connections. It is started on
   * Deno's loop if nothing has started it.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Options of {@linkcode listen}, for a UNIX socket.
 *
 * @example A socket for its owner alone
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({
 *   path: `/tmp/service ${crypto.randomUUID()}`,
 *   mode: 0o600,
 *   wantPID: true, // What an earlier run left behind when it was killed goes away.
 * });
 * await using client = await connect(port.getHost());
 * assertEquals(client.getPeer(), port.getHost());
 * ```
 */
export interface ListenPathOptions extends UnixPathOptions {
  /**
   * Where the socket is in the file system, from which it is removed when the
   * port stops listening. On Linux, an abstract name begins with a NUL.
   */
  path: string;
  /** There is none: see {@linkcode ListenOptions}. */
  hostname?: undefined;
  /** There is none: see {@linkcode ListenOptions}. */
  port?: undefined;
  /**
   * There is none. Call
   * {@linkcode Connection.prototype.startTLS Connection.startTLS} instead.
   */
  tls?: undefined;
  /** Stops listening when it is aborted. Connections that there are go on. */
  signal?: AbortSignal;
  /**
   * How many connections may wait in the kernel to be taken.
   *
   * @default {511}
   */
  backlog?: number;
  /**
   * The reactor that serves the port and its connections. It is started on
   * Deno's loop if nothing has started it.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * A port whose connections are iterated.
 *
 * @example One connection at a time
 * ```ts
 * import { connect, listen, type Listener } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * async function greetEach(port: Listener): Promise<void> {
 *   for await (const connection of port) {
 *     await connection.writable.getWriter().write("hello");
 *     connection.loseConnection();
 *     await connection.closed.catch(() => {}); // Then it is the next one's turn.
 *   }
 * }
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * const served = greetEach(port);
 * for (let i = 0; i < 2; i++) {
 *   await using client = await connect(port.getHost());
 *   assertEquals(await new Response(client.readable).text(), "hello");
 * }
 * await port.stopListening();
 * await served; // The iteration has ended with the port.
 * ```
 */
export interface Listener<A extends Address = Address>
  extends AsyncIterable<Connection<A>>, Port {
  /** See {@linkcode Port.getHost}. */
  getHost(): A;
}

/**
 * Listens for TCP connections, to be taken with `for await`.
 *
 * The iteration ends when the port stops listening, be it by `stopListening()`,
 * by the end of an `await using`, by the signal, or with its reactor. Leaving the
 * loop leaves the port listening. Who takes connections too slowly leaves them
 * waiting in the kernel.
 *
 * @param options Where.
 * @returns The port, which listens already.
 * @throws {TypeError} When an option is of the wrong type, or does not go with
 * the others.
 * @throws {RangeError} When `port` is not an integer from 0 to 65535.
 * @throws {CannotListenError} When the address can't be had.
 * @throws {InvalidAddressError} When `hostname` is no address.
 * @throws {ReactorNotRestartable} When the reactor has stopped.
 * @throws The signal's reason, when it is aborted already.
 *
 * @example Usage
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({ hostname: "localhost", port: 0 });
 * await using client = await connect(port.getHost());
 *
 * for await (const connection of port) {
 *   assertEquals(connection.getPeer(), client.getHost());
 *   connection.loseConnection();
 *   break;
 * }
 * ```
 *
 * @example Until a signal
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const end = new AbortController();
 * const port = listen({ hostname: "localhost", port: 0, signal: end.signal });
 * await using client = await connect(port.getHost());
 *
 * let count = 0;
 * for await (const connection of port) {
 *   count++;
 *   connection.loseConnection();
 *   end.abort();
 * }
 * assertEquals(count, 1);
 * ```
 */
export function listen(options: ListenOptions): Listener<NetAddress>;
/**
 * Listens for connections on a UNIX socket, to be taken with `for await`.
 *
 * @param options Where.
 * @returns The port, which listens already.
 * @throws {TypeError} When an option is of the wrong type, or does not go with
 * the others.
 * @throws {RangeError} When `path` is too long: 107 bytes on Linux, 103 on
 * macOS.
 * @throws {CannotListenError} When the path can't be had: also when there is a
 * socket that nobody listens on any more, unless `wantPID` is set.
 * @throws {ReactorNotRestartable} When the reactor has stopped.
 * @throws The signal's reason, when it is aborted already.
 *
 * @example A name that is in no file system
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const path = `\0greeter ${crypto.randomUUID()}`;
 *   await using port = listen({ path });
 *   await using client = await connect({ path });
 *   assertEquals(client.getPeer(), { transport: "unix", path });
 * }
 * ```
 */
export function listen(options: ListenPathOptions): Listener<UnixAddress>;
/**
 * Listens where the options say.
 *
 * @param options Where.
 * @returns The port, which listens already. It throws what it does for either
 * kind.
 *
 * @example A place from a configuration
 * ```ts
 * import {
 *   connect,
 *   listen,
 *   type ListenOptions,
 *   type ListenPathOptions,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const configuration = '{ "hostname": "127.0.0.1", "port": 0 }';
 * const place: ListenOptions | ListenPathOptions = JSON.parse(configuration);
 * await using port = listen(place);
 * await using client = await connect(port.getHost());
 * assertEquals(client.getPeer(), port.getHost());
 * ```
 */
export function listen(options: ListenOptions | ListenPathOptions): Listener;
export function listen(
  options: ListenOptions | ListenPathOptions,
): Listener {
  const action = "listen";
  checkPlace(options, action);
  const { signal, reactor = sharedReactor } = options;
  checkSignal(signal, action);
  signal?.throwIfAborted();
  startForPromises(reactor);
  return new ConnectionListener((factory) => open(options, factory), signal);
}

function open(
  options: ListenOptions | ListenPathOptions,
  factory: ServerFactory,
): Port {
  if (options.path !== undefined) {
    return listenUNIX(options.path, factory, options);
  }
  const { hostname, port, backlog, tls, reactor } = options;
  return tls === undefined
    ? listenTCP(port, factory, { hostname, backlog, reactor })
    : listenSSL(port, factory, { hostname, backlog, reactor, tls });
}

/** So many connections are taken before somebody asks for them. */
const WAITING = 16;

/** See {@linkcode Listener}. */
class ConnectionListener implements Listener {
  readonly #port: Port;
  readonly #signal: AbortSignal | undefined;
  readonly #abort = () => void this.stopListening();
  /** No more are taken until somebody asks for those that there are. */
  #full = false;
  /** No more are taken until the program wants them. */
  #held = false;
  #connections!: ReadableStream<Connection>;
  #controller!: ReadableStreamDefaultController<Connection>;

  constructor(
    open: (factory: ServerFactory) => Port,
    signal: AbortSignal | undefined,
  ) {
    this.#signal = signal;
    this.#port = open({
      doStart: () => this.#begin(),
      buildProtocol: () => new ConnectionProtocol((made) => this.#add(made)),
      doStop: () => this.#end(),
    });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Connection> {
    return this.#connections.values({ preventCancel: true });
  }

  getHost(): Address {
    return this.#port.getHost();
  }

  startListening(): void {
    this.#signal?.throwIfAborted();
    this.#port.startListening();
  }

  stopListening(): Promise<void> {
    return this.#port.stopListening();
  }

  pauseProducing(): void {
    this.#held = true;
    this.#port.pauseProducing();
  }

  fileno(): number {
    return this.#port.fileno();
  }

  resumeProducing(): void {
    this.#held = false;
    if (!this.#full) this.#port.resumeProducing();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopListening();
  }

  #begin(): void {
    this.#connections = new ReadableStream({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#makeRoom(),
    }, { highWaterMark: WAITING });
    this.#signal?.addEventListener("abort", this.#abort);
  }

  #end(): void {
    this.#controller.close();
    this.#signal?.removeEventListener("abort", this.#abort);
  }

  #add(connection: Connection): void {
    this.#controller.enqueue(connection);
    if (this.#controller.desiredSize! > 0) return;
    this.#full = true;
    this.#port.pauseProducing();
  }

  #makeRoom(): void {
    if (!this.#full) return;
    this.#full = false;
    if (!this.#held) this.#port.resumeProducing();
  }
}
