/**
 * Attempts to connect: several addresses, one beside the other, and whatever ends
 * them in the middle.
 *
 * @module
 */

import { assertEquals, assertInstanceOf } from "@std/assert";
import { deadline } from "@std/async";
import { libc } from "../../ffi/libc.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import { openssl } from "../../ffi/toolkits/openssl.ts";
import { ConnectionLost, Reactor, type ReactorError } from "../../mod.ts";
import type { NetAddress } from "../../src/net/address.ts";
import {
  type ClientFactory,
  type Connector,
  type ConnectorOptions,
  StreamConnector,
} from "../../src/net/connector.ts";
import {
  ConnectionRefusedError,
  ConnectTimeoutError,
  UserError,
} from "../../src/net/errors.ts";
import { connectTCP } from "../../src/net/tcp.ts";
import { connectSSL } from "../../src/net/tls.ts";
import {
  type Backend,
  BACKENDS,
  PATIENCE,
  until,
  unusedPort,
} from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { BlackHole } from "./black_hole.ts";
import { missingOpenssl } from "./certificates.ts";
import { LOOPBACK, Recorder, Server } from "./protocols.ts";

const missing = await missingOpenssl();

// What stays open from its first use on, the sanitizer would take for a leak of
// the test that comes first.
libc();
if (missing.length === 0) openssl();

/** Remembers how an attempt ends. */
class Factory implements ClientFactory {
  readonly events: string[] = [];
  readonly reasons: Error[] = [];
  /** The port that it is connected to. */
  peer = 0;

  buildProtocol(peer: NetAddress): Recorder {
    this.peer = peer.port;
    return new Recorder();
  }

  clientConnectionFailed(_connector: Connector, reason: Error): void {
    this.events.push("failed");
    this.reasons.push(reason);
  }

  clientConnectionLost(_connector: Connector, reason: Error): void {
    this.events.push("lost");
    this.reasons.push(reason);
  }

  doStop(): void {
    this.events.push("stop");
  }
}

/** Connects to one of several addresses. */
function connectToOneOf(
  reactor: Reactor,
  factory: ClientFactory,
  addresses: readonly SocketAddress[],
  options: Partial<ConnectorOptions> = {},
): Connector {
  return new StreamConnector({
    reactor,
    factory,
    destination: { transport: "tcp", hostname: "one.of.several", port: 1 },
    timeout: 1000,
    find(done) {
      const call = reactor.callLater(
        0,
        () => done({ addresses: [...addresses] }),
      );
      return () => {
        if (call.active()) call.cancel();
      };
    },
    ...options,
  });
}

/** Declares a test on each backend, with a clock that the test moves. */
function testWithClock(
  name: string,
  fn: (reactor: Reactor, clock: { now: number }) => void,
): void {
  for (const backend of BACKENDS) {
    Deno.test(`${name} [${backend}]`, async () => {
      const clock = { now: 0 };
      const errors: unknown[] = [];
      await using reactor = new Reactor({
        backend,
        clock: () => clock.now,
        onError: (error) => errors.push(error),
      });
      fn(reactor, clock);
      assertEquals(errors, []);
    });
  }
}

/** Lets everything happen that is due. */
function settle(reactor: Reactor): void {
  while (reactor.iterate(0));
}

testWithClock(
  "an address that does not answer has 250 ms before the next is tried beside it",
  (reactor, clock) => {
    using first = new BlackHole();
    using second = new BlackHole();
    using third = new BlackHole();
    const factory = new Factory();
    const holes = [first, second, third];
    const connector = connectToOneOf(
      reactor,
      factory,
      holes.map(({ address }) => address),
    );
    const tries: number[] = [];
    for (const now of [0, 249, 250, 499, 500, 900]) {
      clock.now = now;
      settle(reactor);
      tries.push(reactor.getWriters().length);
    }
    assertEquals(tries, [1, 1, 2, 2, 3, 3]);
    // The first to answer is it, and the others are given up.
    second.fillIn();
    const end = performance.now() + PATIENCE;
    while (connector.state === "connecting" && performance.now() < end) {
      reactor.iterate(PATIENCE);
    }
    assertEquals(connector.state, "connected");
    assertEquals(factory.peer, second.port);
    assertEquals(reactor.getWriters(), []);
    assertEquals(reactor.getDelayedCalls(), []);
  },
);

testWithClock(
  "an address that is refused lets the next be tried at once",
  (reactor) => {
    using hole = new BlackHole();
    const server = new Server(reactor, () => new Recorder());
    const factory = new Factory();
    const connector = connectToOneOf(reactor, factory, [
      SocketAddress.internet(LOOPBACK, unusedPort()),
      SocketAddress.internet("224.0.0.1", 9),
      SocketAddress.internet(LOOPBACK, server.number),
      hole.address,
    ]);
    settle(reactor);
    assertEquals(connector.state, "connected");
    assertEquals(factory.peer, server.number);
    assertEquals(reactor.getDelayedCalls(), []);
  },
);

testWithClock(
  "when no address will do, the last reason is told, once",
  (reactor) => {
    const factory = new Factory();
    const connector = connectToOneOf(reactor, factory, [
      SocketAddress.internet("224.0.0.1", 9),
      SocketAddress.internet(LOOPBACK, unusedPort()),
    ]);
    settle(reactor);
    assertEquals(connector.state, "disconnected");
    assertEquals(factory.events, ["failed", "stop"]);
    assertInstanceOf(factory.reasons[0], ConnectionRefusedError);
  },
);

testWithClock(
  "an attempt has so much time, whatever it is waiting for",
  (reactor, clock) => {
    using first = new BlackHole();
    using second = new BlackHole();
    const factory = new Factory();
    connectToOneOf(reactor, factory, [first.address, second.address]);
    for (const now of [0, 300, 999]) {
      clock.now = now;
      settle(reactor);
    }
    assertEquals(factory.events, []);
    clock.now = 1000;
    settle(reactor);
    assertEquals(factory.events, ["failed", "stop"]);
    assertInstanceOf(factory.reasons[0], ConnectTimeoutError);
    assertEquals(reactor.getWriters(), []);
    assertEquals(reactor.getDelayedCalls(), []);
  },
);

testOnBackends(
  "in buildProtocol() the connector is connected, and disconnect() ends the connection after connectionMade()",
  async ({ reactor }) => {
    reactor.interleave();
    const server = new Server(reactor, () => new Recorder());
    const client = new Recorder();
    const states: string[] = [];
    const lost = new Promise<void>((resolve) => {
      const connector = connectTCP(LOOPBACK, server.number, {
        buildProtocol() {
          states.push(connector.state);
          connector.disconnect();
          return client;
        },
        clientConnectionLost: () => resolve(),
      }, { reactor });
    });
    await lost;
    assertEquals(states, ["connected"]);
    assertEquals(client.events, ["made", "lost: ConnectionDone"]);
  },
);

// Ends in the middle

/** Where an attempt is when something ends it. */
interface Stage {
  readonly name: string;
  /** Brings it there. What it needs is closed by `stack`. */
  reach(
    reactor: Reactor,
    factory: ClientFactory,
    stack: DisposableStack,
  ): Promise<Connector>;
}

const STAGES: readonly Stage[] = [
  {
    name: "that has just begun",
    reach: (reactor, factory) =>
      Promise.resolve(connectTCP("localhost", 1, factory, { reactor })),
  },
  {
    name: "in the look-up of a name",
    async reach(reactor, factory) {
      const connector = connectTCP("localhost", 1, factory, { reactor });
      await until(() =>
        reactor.getReaders().some(({ label }) => label?.startsWith("look-up"))
      );
      return connector;
    },
  },
  {
    name: "on its way to an address",
    async reach(reactor, factory, stack) {
      const { port } = stack.use(new BlackHole());
      const connector = connectTCP(LOOPBACK, port, factory, { reactor });
      await until(() => reactor.getWriters().length === 1);
      return connector;
    },
  },
  {
    name: "on its way to two addresses",
    async reach(reactor, factory, stack) {
      const holes = [new BlackHole(), new BlackHole(), new BlackHole()];
      const connector = connectToOneOf(
        reactor,
        factory,
        holes.map((hole) => stack.use(hole).address),
        { timeout: PATIENCE },
      );
      await until(() => reactor.getWriters().length >= 2);
      return connector;
    },
  },
  ...missing.length > 0 ? [] : [{
    name: "in a handshake of TLS",
    async reach(reactor: Reactor, factory: ClientFactory) {
      const silent = new Recorder();
      const server = new Server(reactor, () => silent);
      const connector = connectSSL(LOOPBACK, server.number, factory, {
        reactor,
      });
      await until(() => silent.received > 0);
      await server.port.stopListening();
      return connector;
    },
  }],
];
if (missing.length > 0) {
  console.log(`Left out: a handshake (install ${missing.join(", ")})`);
}

/** What ends an attempt, and what it is told then. */
const ENDS: Readonly<
  Record<
    string,
    {
      Class: new () => ReactorError;
      end(reactor: Reactor, connector: Connector): unknown;
    }
  >
> = {
  "stopConnecting()": {
    Class: UserError,
    end: (_, connector) => connector.stopConnecting(),
  },
  "stopConnecting() and stop()": {
    Class: UserError,
    end(reactor, connector) {
      connector.disconnect();
      reactor.stop();
    },
  },
  "stop()": { Class: ConnectionLost, end: (reactor) => reactor.stop() },
  "crash() and close()": {
    Class: ConnectionLost,
    async end(reactor) {
      reactor.crash();
      await reactor.finished;
      await reactor.close();
    },
  },
};

for (const backend of BACKENDS) {
  for (const { name, reach } of STAGES) {
    Deno.test(`an attempt ${name} is told of its end once, whatever that is, and leaves nothing [${backend}]`, async () => {
      const before = await countAtRest();
      for (const [how, { Class, end }] of Object.entries(ENDS)) {
        await deadline(endAt(backend, { reach, Class, end, how }), PATIENCE);
      }
      await assertNothingLeft(before);
    });
  }
}

async function endAt(
  backend: Backend,
  { reach, Class, end, how }:
    & Pick<Stage, "reach">
    & typeof ENDS[string]
    & { how: string },
): Promise<void> {
  using stack = new DisposableStack();
  const errors: unknown[] = [];
  await using reactor = new Reactor({
    backend,
    onError: (error) => errors.push(error),
  });
  reactor.interleave();
  const factory = new Factory();
  const connector = await reach(reactor, factory, stack);
  assertEquals(connector.state, "connecting", how);
  await end(reactor, connector);
  await until(() => factory.events.length > 0);
  await reactor.close();
  assertEquals(factory.events, ["failed", "stop"], how);
  assertInstanceOf(factory.reasons[0], Class, how);
  assertEquals(connector.state, "disconnected", how);
  assertEquals(errors, [], how);
}
