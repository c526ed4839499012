/**
 * Protocols and factories that record what happens to them: what the tests of
 * connections share.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Reactor } from "../../mod.ts";
import type { Address, NetAddress } from "../../src/net/address.ts";
import type { ClientFactory, Connector } from "../../src/net/connector.ts";
import type { Port } from "../../src/net/port.ts";
import type {
  Protocol,
  ServerFactory,
  Transport,
} from "../../src/net/protocol.ts";
import {
  connectTCP,
  type ConnectTCPOptions,
  listenTCP,
} from "../../src/net/tcp.ts";
import { libc } from "../../ffi/mod.ts";

// It stays open from its first use on, which the sanitizer would take for a leak
// of the test that comes first.
libc();

export const LOOPBACK = "127.0.0.1";

/** What a {@linkcode Recorder} does when it is called. */
export interface Handlers {
  made?(recorder: Recorder): unknown;
  data?(recorder: Recorder, data: Uint8Array): unknown;
  lost?(recorder: Recorder, reason: Error): unknown;
}

/** A protocol that remembers what it was told. */
export class Recorder implements Protocol {
  transport!: Transport;
  /** The names of the calls, and texts that came, in order. */
  readonly events: string[] = [];
  /** How many bytes came. */
  received = 0;
  readonly made: PromiseWithResolvers<Transport> = Promise.withResolvers();
  readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly #handlers: Handlers;

  constructor(handlers: Handlers = {}) {
    this.#handlers = handlers;
  }

  connectionMade(): unknown {
    this.events.push("made");
    this.made.resolve(this.transport);
    return this.#handlers.made?.(this);
  }

  dataReceived(data: Uint8Array<ArrayBuffer>): unknown {
    this.received += data.length;
    if (data.length < 100) this.events.push(new TextDecoder().decode(data));
    return this.#handlers.data?.(this, data);
  }

  connectionLost(reason: Error): unknown {
    this.events.push(`lost: ${reason.name}`);
    this.lost.resolve(reason);
    return this.#handlers.lost?.(this, reason);
  }

  /** What came, as one text, when it came as text. */
  get text(): string {
    return this.events.filter((event) => !/^(made|lost: \w+)$/.test(event))
      .join("");
  }
}

/**
 * A recorder that understands half-closed connections: the end of one half is
 * not the end of all. {@linkcode Recorder.text} has what it notes of them.
 */
export class HalfCloseRecorder extends Recorder {
  /** What it does when its peer writes no more. A test may replace it. */
  onReadLost: () => unknown = () => {};
  /** What it does when its own half is closed. A test may replace it. */
  onWriteLost: () => unknown = () => {};

  readConnectionLost(): unknown {
    this.events.push("read lost");
    return this.onReadLost();
  }

  writeConnectionLost(): unknown {
    this.events.push("write lost");
    return this.onWriteLost();
  }
}

/** Sends back what comes. */
export class Echo implements Protocol {
  transport!: Transport;

  dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

/** A port of the loopback that records its factory's calls. */
export class Server implements ServerFactory {
  readonly events: string[] = [];
  readonly port: Port;
  readonly #make: (peer: Address) => Protocol | null;

  constructor(
    reactor: Reactor,
    make: (peer: Address) => Protocol | null,
    { hostname = LOOPBACK }: { hostname?: string } = {},
  ) {
    this.#make = make;
    this.port = listenTCP(0, this, { hostname, reactor });
  }

  /** Its number. */
  get number(): number {
    return numberOf(this.port);
  }

  doStart(): void {
    this.events.push("start");
  }

  buildProtocol(peer: Address): Protocol | null {
    this.events.push("build");
    return this.#make(peer);
  }

  doStop(): void {
    this.events.push("stop");
  }
}

/** A connector that records its factory's calls. */
export class Client implements ClientFactory {
  readonly events: string[] = [];
  readonly connector: Connector;
  readonly failed: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly #make: (peer: Address) => Protocol | null;

  constructor(
    reactor: Reactor,
    port: number,
    make: (peer: Address) => Protocol | null,
    options: ConnectTCPOptions & {
      hostname?: string;
      started?: (connector: Connector) => unknown;
    } = {},
  ) {
    this.#make = make;
    const { hostname = LOOPBACK, started, ...rest } = options;
    this.startedConnecting = (connector) => {
      this.events.push("started");
      return started?.(connector);
    };
    this.connector = connectTCP(hostname, port, this, { reactor, ...rest });
  }

  startedConnecting: (connector: Connector) => unknown;

  doStart(): void {
    this.events.push("start");
  }

  buildProtocol(peer: Address): Protocol | null {
    this.events.push("build");
    return this.#make(peer);
  }

  clientConnectionFailed(_connector: Connector, reason: Error): void {
    this.events.push(`failed: ${reason.name}`);
    this.failed.resolve(reason);
  }

  clientConnectionLost(_connector: Connector, reason: Error): void {
    this.events.push(`lost: ${reason.name}`);
    this.lost.resolve(reason);
  }

  doStop(): void {
    this.events.push("stop");
  }
}

/** The number of a port. */
export function numberOf(port: Port): number {
  return (port.getHost() as NetAddress).port;
}

/** Two ends of a connection, both of the reactor's. */
export interface Pair<S extends Recorder, C extends Recorder> {
  readonly server: S;
  readonly client: C;
}

/** Connects two protocols with each other, and stops listening. */
export async function connectPair<S extends Recorder, C extends Recorder>(
  reactor: Reactor,
  server: S,
  client: C,
): Promise<Pair<S, C>> {
  const listener = new Server(reactor, () => server);
  new Client(reactor, listener.number, () => client);
  await Promise.all([server.made.promise, client.made.promise]);
  await listener.port.stopListening();
  return { server, client };
}

/** Connects a protocol with a connection of Deno's own. */
export async function connectDeno<P extends Recorder>(
  reactor: Reactor,
  protocol: P,
): Promise<Deno.TcpConn> {
  const listener = new Server(reactor, () => protocol);
  const conn = await Deno.connect({
    hostname: LOOPBACK,
    port: listener.number,
  });
  await protocol.made.promise;
  await listener.port.stopListening();
  return conn;
}

/** Takes out the errors that were reported, which must have these messages. */
export function takeErrors(
  errors: { error: unknown; where: string }[],
  ...messages: string[]
): void {
  assertEquals(
    errors.splice(0).map(({ error }) => (error as Error).message),
    messages,
  );
}

/** Bytes that differ from place to place. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let x = 1;
  for (let i = 0; i < words.length; i++) {
    words[i] = x = Math.imul(x, 1_664_525) + 1_013_904_223;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** A checksum of bytes that come in pieces. */
export class Checksum {
  #sum = 1;
  length = 0;

  add(data: Uint8Array): void {
    let sum = this.#sum;
    for (let i = 0; i < data.length; i++) {
      sum = Math.imul(sum, 16_777_619) ^ data[i]!;
    }
    this.#sum = sum;
    this.length += data.length;
  }

  toString(): string {
    return `${this.length}:${this.#sum >>> 0}`;
  }
}
