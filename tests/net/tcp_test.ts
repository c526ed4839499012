/**
 * TCP through `listenTCP` and `connectTCP`, on both backends, with Deno's own
 * sockets or the reactor's at the other end.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  Reactor,
} from "../../mod.ts";
import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { beginConnect, localAddress, openSocket } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import type { NetAddress } from "../../src/net/address.ts";
import type { Connector } from "../../src/net/connector.ts";
import {
  CannotListenError,
  ConnectBindError,
  type ConnectError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  InvalidAddressError,
  NameLookupError,
  NotConnectingError,
  ServiceNameUnknownError,
  UserError,
} from "../../src/net/errors.ts";
import type { StreamTransport } from "../../src/net/stream.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import { macrotask, until, unusedPort } from "../descriptors.ts";
import { HOSTS, ITERATE, testInHosts, testOnBackends } from "../hosts.ts";
import {
  Checksum,
  Client,
  connectDeno,
  connectPair,
  Echo,
  LOOPBACK,
  numberOf,
  type Pair,
  pattern,
  Recorder,
  Server,
  takeErrors,
} from "./protocols.ts";

const nobody = { buildProtocol: () => null };
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Starts a reactor, and connects two recorders with each other. */
function start(reactor: Reactor): Promise<Pair<Recorder, Recorder>> {
  reactor.interleave();
  return connectPair(reactor, new Recorder(), new Recorder());
}

// Everywhere

testInHosts("connectTCP() talks to listenTCP() and both end orderly", async ({
  reactor,
  run,
}) => {
  const lost: string[] = [];
  const served = new Recorder({
    data: ({ transport }, data) => transport.write(data),
    lost: (_, reason) => void lost.push(`server ${reason.name}`),
  });
  const server = new Server(reactor, () => served);
  const client = new Recorder({
    made: ({ transport }) => transport.write("hello"),
    data: ({ transport }) => transport.loseConnection(),
    lost: (_, reason) => void lost.push(`client ${reason.name}`),
  });
  const factory = new Client(reactor, server.number, () => client, {
    hostname: "localhost",
  });
  const poll = () => {
    if (lost.length === 2) reactor.stop();
    else reactor.callLater(1, poll);
  };
  reactor.callLater(1, poll);
  await run();
  assertEquals(served.text, "hello");
  assertEquals(client.text, "hello");
  assertEquals(lost.toSorted(), [
    "client ConnectionDone",
    "server ConnectionDone",
  ]);
  assertEquals(factory.events, [
    "start",
    "started",
    "build",
    "lost: ConnectionDone",
    "stop",
  ]);
  assertEquals(server.events, ["start", "build", "stop"]);
});

testInHosts(
  "connectTCP() is refused, and abortConnection() resets, in hosts that block",
  async ({ reactor, run }) => {
    const served = new Recorder({
      lost: () => reactor.stop(),
    });
    const server = new Server(reactor, () => served);
    const client = new Recorder({
      made: ({ transport }) => transport.abortConnection(),
    });
    const refused = new Client(reactor, unusedPort(), () => null);
    refused.clientConnectionFailed = (_connector, reason) => {
      refused.events.push(reason.name);
      new Client(reactor, server.number, () => client);
    };
    await run();
    assert(refused.events.includes("ConnectionRefusedError"));
    assertEquals(client.events, ["made", "lost: ConnectionAborted"]);
    assertEquals(served.events, ["made", "lost: ConnectionLost"]);
  },
  { hosts: HOSTS.filter((host) => host.blocks || host === ITERATE) },
);

// Ports

testOnBackends(
  "listenTCP() tells the real port, and refuses one that is in use (contract 181)",
  ({ reactor }) => {
    const port = listenTCP(0, nobody, { hostname: LOOPBACK, reactor });
    const { transport, hostname } = port.getHost() as NetAddress;
    assertEquals({ transport, hostname }, {
      transport: "tcp",
      hostname: LOOPBACK,
    });
    assert(numberOf(port) > 0);
    const error = assertThrows(
      () => listenTCP(numberOf(port), nobody, { hostname: LOOPBACK, reactor }),
      CannotListenError,
    );
    assertEquals(error.code, "EADDRINUSE");
  },
);

testOnBackends(
  "stopListening() resolves when the port can be bound again, startListening() listens again (contract 182)",
  async ({ reactor }) => {
    reactor.interleave();
    const served: Recorder[] = [];
    const server = new Server(
      reactor,
      () => served[served.push(new Recorder()) - 1]!,
    );
    const { number } = server;
    await server.port.stopListening();
    await server.port.stopListening();
    const again = Deno.listen({ hostname: LOOPBACK, port: number });
    assertThrows(
      () => listenTCP(number, nobody, { hostname: LOOPBACK, reactor }),
      CannotListenError,
    );
    again.close();
    server.port.getHost(); // It still says where it was.
    const restarted = listenTCP(number, server, {
      hostname: LOOPBACK,
      reactor,
    });
    using _conn = await Deno.connect({ hostname: LOOPBACK, port: number });
    await until(() => served.length === 1);
    await restarted.stopListening();
    restarted.startListening();
    restarted.startListening();
    using _other = await Deno.connect({ hostname: LOOPBACK, port: number });
    await until(() => served.length === 2);
  },
);

testOnBackends(
  "stopListening() fails with what doStop throws, and the port can be started again (contract 183)",
  async ({ reactor }) => {
    reactor.interleave();
    let stops = 0;
    const port = listenTCP(0, {
      buildProtocol: () => new Echo(),
      doStop() {
        if (stops++ === 0) throw new Error("no");
      },
    }, { hostname: LOOPBACK, reactor });
    const reason = await port.stopListening().catch((error) => error);
    assertEquals(reason.message, "no");
    port.startListening();
    using conn = await Deno.connect({
      hostname: LOOPBACK,
      port: numberOf(port),
    });
    await conn.write(encoder.encode("x"));
    assertEquals(await conn.read(new Uint8Array(9)), 1);
    await port.stopListening();
    assertEquals(stops, 2);
  },
);

testOnBackends(
  "doStart and doStop are called for the first and the last port of a factory (contract 184)",
  async ({ reactor }) => {
    reactor.interleave();
    const calls: string[] = [];
    const factory = {
      buildProtocol: () => null,
      doStart: () => void calls.push("start"),
      doStop: () => void calls.push("stop"),
    };
    const first = listenTCP(0, factory, { hostname: LOOPBACK, reactor });
    const second = listenTCP(0, factory, { hostname: LOOPBACK, reactor });
    await first.stopListening();
    assertEquals(calls, ["start"]);
    await second.stopListening();
    assertEquals(calls, ["start", "stop"]);
    first.startListening();
    assertEquals(calls, ["start", "stop", "start"]);
  },
);

testOnBackends(
  "buildProtocol() gets the peer's address, and null closes the connection (contract 185)",
  async ({ reactor }) => {
    reactor.interleave();
    const peers: unknown[] = [];
    const server = new Server(reactor, (peer) => {
      peers.push(peer);
      return null;
    });
    using conn = await Deno.connect({
      hostname: LOOPBACK,
      port: server.number,
    });
    assertEquals(await conn.read(new Uint8Array(1)), null);
    assertEquals(peers, [conn.localAddr]);
  },
);

testOnBackends(
  "listenTCP() accepts in batches and loses nobody (contract 186)",
  async ({ reactor }) => {
    reactor.interleave();
    const server = new Server(reactor, () => new Echo());
    const conns = await Promise.all(
      Array.from(
        { length: 250 },
        () => Deno.connect({ hostname: LOOPBACK, port: server.number }),
      ),
    );
    await Promise.all(conns.map(async (conn, i) => {
      const text = `number ${i}`;
      await conn.write(encoder.encode(text));
      const answer = new Uint8Array(50);
      const count = await conn.read(answer);
      assertEquals(decoder.decode(answer.subarray(0, count!)), text);
    }));
    for (const conn of conns) conn.close();
    assertEquals(server.events.length, 251);
  },
);

testOnBackends(
  "a handler of a factory that throws is reported once, and the port goes on",
  async ({ reactor, errors }) => {
    reactor.interleave();
    let builds = 0;
    const factory = {
      doStart() {
        throw new Error("doStart");
      },
      buildProtocol() {
        if (builds++ === 0) throw new Error("buildProtocol");
        return new Echo();
      },
    };
    const port = listenTCP(0, factory, { hostname: LOOPBACK, reactor });
    takeErrors(errors, "doStart");
    using first = await Deno.connect({
      hostname: LOOPBACK,
      port: numberOf(port),
    });
    assertEquals(await first.read(new Uint8Array(1)), null);
    takeErrors(errors, "buildProtocol");
    using second = await Deno.connect({
      hostname: LOOPBACK,
      port: numberOf(port),
    });
    await second.write(encoder.encode("x"));
    assertEquals(await second.read(new Uint8Array(1)), 1);
  },
);

Deno.test("listenTCP() and connectTCP() refuse bad arguments at the call", async () => {
  await using reactor = new Reactor();
  const listen =
    (port: unknown, factory: unknown, options: object = {}) => () =>
      listenTCP(port as number, factory as Echo & typeof nobody, {
        reactor,
        ...options,
      });
  assertThrows(listen("1", nobody), TypeError, '"port"');
  assertThrows(listen(65_536, nobody), RangeError, "65536");
  assertThrows(listen(-1, nobody), RangeError);
  assertThrows(listen(0, {}), TypeError, "buildProtocol");
  assertThrows(listen(0, null), TypeError, '"factory"');
  assertThrows(listen(0, nobody, { hostname: 7 }), TypeError, "hostname");
  assertThrows(
    listen(0, nobody, { hostname: "example.org" }),
    InvalidAddressError,
  );
  assertThrows(listen(0, nobody, { backlog: 0.5 }), RangeError, "backlog");
  assertThrows(listen(0, nobody, { hostname: "192.0.2.1" }), CannotListenError);

  const connect =
    (host: unknown, port: unknown, factory: unknown, options: object = {}) =>
    () =>
      connectTCP(host as string, port as number, factory as typeof nobody, {
        reactor,
        ...options,
      });
  assertThrows(connect(1, 1, nobody), TypeError, "hostname");
  assertThrows(connect(LOOPBACK, 0, nobody), RangeError, '"port"');
  assertThrows(connect(LOOPBACK, 1, () => {}), TypeError, '"factory"');
  assertThrows(
    connect(LOOPBACK, 1, nobody, { timeout: -1 }),
    RangeError,
    "timeout",
  );
  assertThrows(
    connect(LOOPBACK, 1, nobody, { bindAddress: "x" }),
    TypeError,
    "bindAddress",
  );
  assertThrows(
    connect(LOOPBACK, 1, nobody, { bindAddress: ["x", 0] }),
    InvalidAddressError,
  );
});

// Connecting

testOnBackends(
  "connectTCP() returns a connector before anything but startedConnecting is called (contract 189)",
  async ({ reactor }) => {
    reactor.interleave();
    const server = new Server(reactor, () => new Echo());
    let given: Connector | undefined;
    const client = new Client(reactor, server.number, () => new Recorder(), {
      started: (connector) => void (given = connector),
    });
    assertStrictEquals(given, client.connector);
    assertEquals(client.events, ["start", "started"]);
    assertEquals(client.connector.state, "connecting");
    assertEquals(client.connector.getDestination(), {
      transport: "tcp",
      hostname: LOOPBACK,
      port: server.number,
    });
    await until(() => client.connector.state === "connected");
    assertThrows(() => client.connector.connect(), RangeError, "connected");
    client.connector.disconnect();
    assertInstanceOf(await client.lost.promise, ConnectionDone);
    assertEquals(client.connector.state, "disconnected");
  },
);

const services = await Deno.readTextFile("/etc/services").catch(() => "");

Deno.test({
  name: "connectTCP() takes the name of a service (contract 209)" +
    (services === "" ? " (no /etc/services: install netbase)" : ""),
  ignore: services === "",
  fn: async () => {
    await using reactor = new Reactor();
    const factory = {
      buildProtocol: () => null,
      startedConnecting: (connector: Connector) => connector.stopConnecting(),
    };
    const connector = connectTCP("127.0.0.1", "https", factory, { reactor });
    assertEquals((connector.getDestination() as NetAddress).port, 443);
    reactor.callLater(0, () => reactor.stop());
    await reactor.run();
  },
});

Deno.test("connectTCP() throws ServiceNameUnknownError for a name that there is not (contract 209)", async () => {
  await using reactor = new Reactor();
  assertThrows(
    () =>
      connectTCP(
        "127.0.0.1",
        "no-such-service",
        { buildProtocol: () => null },
        {
          reactor,
        },
      ),
    ServiceNameUnknownError,
    'Cannot connect: the system knows no service "no-such-service"',
  );
});

testOnBackends(
  "connectTCP() to where nobody listens fails with ConnectionRefusedError (contract 190)",
  async ({ reactor }) => {
    reactor.interleave();
    const client = new Client(reactor, unusedPort(), () => null);
    const reason = await client.failed.promise as ConnectError;
    assertInstanceOf(reason, ConnectionRefusedError);
    assertEquals(reason.code, "ECONNREFUSED");
    assert(reason.errno! > 0);
    assertEquals(client.events, [
      "start",
      "started",
      "failed: ConnectionRefusedError",
      "stop",
    ]);
  },
);

testOnBackends(
  "connectTCP() fails with ConnectTimeoutError when there is no time (contract 191)",
  async ({ reactor }) => {
    reactor.interleave();
    const client = new Client(reactor, unusedPort(), () => null, {
      timeout: 0,
    });
    assertInstanceOf(await client.failed.promise, ConnectTimeoutError);
    assertEquals(reactor.getDelayedCalls(), []);
  },
);

testOnBackends(
  "stopConnecting() fails the attempt with UserError, and throws when there is none (contract 191)",
  async ({ reactor }) => {
    reactor.interleave();
    const client = new Client(reactor, unusedPort(), () => null, {
      started: (connector) => {
        connector.stopConnecting();
        connector.stopConnecting();
      },
    });
    assertEquals(client.events, ["start", "started"]);
    assertInstanceOf(await client.failed.promise, UserError);
    assertEquals(client.events.slice(2), ["failed: UserError", "stop"]);
    assertThrows(() => client.connector.stopConnecting(), NotConnectingError);
    client.connector.disconnect();
    assertEquals(reactor.getDelayedCalls(), []);
  },
);

testOnBackends(
  "connectTCP() with a bindAddress comes from there, or fails with ConnectBindError (contract 192)",
  async ({ reactor }) => {
    reactor.interleave();
    const peers: unknown[] = [];
    const server = new Server(reactor, (peer) => {
      peers.push(peer);
      return new Echo();
    });
    const port = unusedPort();
    const client = new Recorder();
    new Client(reactor, server.number, () => client, {
      bindAddress: ["127.0.0.1", port],
    });
    const transport = await client.made.promise;
    assertEquals(transport.getHost(), {
      transport: "tcp",
      hostname: LOOPBACK,
      port,
    });
    await until(() => peers.length === 1);
    assertEquals(peers, [transport.getHost()]);

    const taken = new Client(reactor, server.number, () => null, {
      bindAddress: [LOOPBACK, server.number],
    });
    const reason = await taken.failed.promise as ConnectError;
    assertInstanceOf(reason, ConnectBindError);
    assertEquals(reason.code, "EADDRINUSE");
    const other = new Client(reactor, server.number, () => null, {
      bindAddress: ["::1", 0],
    });
    assertInstanceOf(await other.failed.promise, ConnectBindError);
  },
);

testOnBackends(
  "connect() inside clientConnectionLost connects again, without doStop between (contract 193)",
  async ({ reactor }) => {
    reactor.interleave();
    const server = new Server(reactor, () =>
      new Recorder({
        made: ({ transport }) => transport.loseConnection(),
      }));
    let losses = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const client = new Client(reactor, server.number, () => new Recorder());
    client.clientConnectionLost = (connector) => {
      client.events.push("lost");
      if (++losses < 3) connector.connect();
      else resolve();
    };
    await promise;
    await macrotask();
    const once = ["started", "build", "lost"];
    assertEquals(client.events, ["start", ...once, ...once, ...once, "stop"]);
  },
);

testOnBackends(
  "the protocol's connectionLost comes before clientConnectionLost (contract 194)",
  async ({ reactor }) => {
    reactor.interleave();
    const order: string[] = [];
    const server = new Server(
      reactor,
      () =>
        new Recorder({ made: ({ transport }) => transport.loseConnection() }),
    );
    const client = new Client(
      reactor,
      server.number,
      () => new Recorder({ lost: () => void order.push("protocol") }),
    );
    client.clientConnectionLost = (_connector, reason) => {
      order.push("factory");
      client.lost.resolve(reason);
    };
    await client.lost.promise;
    assertEquals(order, ["protocol", "factory"]);
  },
);

testOnBackends(
  "a client factory that makes no protocol has its connection fail",
  async ({ reactor, errors }) => {
    reactor.interleave();
    const server = new Server(reactor, () => new Echo());
    const none = new Client(reactor, server.number, () => null);
    assertInstanceOf(await none.failed.promise, UserError);
    const throwing = new Client(reactor, server.number, () => {
      throw new Error("build");
    });
    assertEquals((await throwing.failed.promise).message, "build");
    takeErrors(errors, "build");
  },
);

testOnBackends(
  "handlers of a client factory that throw are reported once each",
  async ({ reactor, errors }) => {
    reactor.interleave();
    connectTCP(LOOPBACK, unusedPort(), {
      doStart() {
        throw new Error("1");
      },
      startedConnecting() {
        throw new Error("2");
      },
      buildProtocol: () => null,
      clientConnectionFailed() {
        throw new Error("3");
      },
      doStop() {
        throw new Error("4");
      },
    }, { reactor });
    await until(() => errors.length === 4);
    takeErrors(errors, "1", "2", "3", "4");
  },
);

testOnBackends(
  "connectTCP() to a name that there is not fails with NameLookupError",
  async ({ reactor }) => {
    reactor.interleave();
    const client = new Client(reactor, 1, () => null, {
      hostname: "no such name",
    });
    assertInstanceOf(await client.failed.promise, NameLookupError);
    const empty = new Client(reactor, 1, () => null, { hostname: "" });
    assertInstanceOf(await empty.failed.promise, TypeError);
  },
);

// Writing and closing

testOnBackends(
  "pauseProducing() in connectionMade is honoured (contract 195)",
  async ({ reactor }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Recorder({ made: ({ transport }) => transport.pauseProducing() }),
      new Recorder(),
    );
    client.transport.write("hello");
    await until(() => client.transport.bufferedAmount === 0);
    await macrotask();
    assertEquals(server.text, "");
    assertEquals(
      reactor.getReaders().includes(server.transport as StreamTransport),
      false,
    );
    server.transport.resumeProducing();
    await until(() => server.text === "hello");
  },
);

testOnBackends(
  "write() sends nothing by itself, but in the same turn, and refuses what is no bytes (contract 196)",
  async ({ reactor }) => {
    reactor.interleave();
    let buffered = -1;
    let turn = -1;
    const { server, client } = await connectPair(
      reactor,
      new Recorder({
        data({ transport }) {
          transport.write("pong");
          buffered = transport.bufferedAmount;
          turn = reactor.inspect().counters.turns;
          reactor.callFromThread(() => {
            buffered -= transport.bufferedAmount;
            turn -= reactor.inspect().counters.turns;
          });
        },
      }),
      new Recorder(),
    );
    for (
      const bad of [
        1,
        null,
        undefined,
        {},
        [1],
        new ArrayBuffer(1),
        new Uint16Array(1),
      ]
    ) {
      const error = assertThrows(
        () => client.transport.write(bad as string),
        TypeError,
        '"data"',
      );
      assert(!error.message.endsWith("."));
    }
    client.transport.write("ping");
    await until(() => client.text === "pong");
    assertEquals(server.text, "ping");
    assertEquals({ buffered, turn }, { buffered: 4, turn: 0 });
  },
);

testOnBackends(
  "write() of nothing does nothing, and so does any write after the end (contract 197)",
  async ({ reactor }) => {
    const { server, client } = await start(reactor);
    client.transport.write("");
    client.transport.writeSequence([]);
    client.transport.writeSequence([new Uint8Array()]);
    assertEquals(client.transport.bufferedAmount, 0);
    client.transport.loseConnection();
    client.transport.write("after loseConnection");
    await Promise.all([client.lost.promise, server.lost.promise]);
    client.transport.write("x");
    client.transport.writeSequence([new Uint8Array(10)]);
    assertEquals(client.transport.bufferedAmount, 0);
    assertEquals(server.events, ["made", "lost: ConnectionDone"]);
  },
);

testOnBackends(
  "writeSequence() sends all parts in order (contract 198)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    using conn = await connectDeno(reactor, protocol);
    const parts = Array.from(
      { length: 20_000 },
      (_, i) => encoder.encode(`${i},`),
    );
    protocol.transport.writeSequence(parts);
    protocol.transport.write("end");
    protocol.transport.loseConnection();
    const text = await new Response(conn.readable).text();
    assertEquals(
      text,
      parts.map((part) => decoder.decode(part)).join("") + "end",
    );
  },
);

testOnBackends(
  "loseConnection() sends everything first, and reads nothing more (contract 199)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    using conn = await connectDeno(reactor, protocol);
    const data = pattern(20_000_000);
    protocol.transport.write(data);
    protocol.transport.loseConnection();
    await conn.write(encoder.encode("too late"));
    const checksum = new Checksum();
    const expected = new Checksum();
    expected.add(data);
    const buffer = new Uint8Array(65_536);
    let count;
    while ((count = await conn.read(buffer)) !== null) {
      checksum.add(buffer.subarray(0, count));
    }
    assertEquals(`${checksum}`, `${expected}`);
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertEquals(protocol.text, "");
  },
);

testOnBackends(
  "loseConnection() a second time, or after the end, does nothing (contract 200)",
  async ({ reactor }) => {
    const { server, client } = await start(reactor);
    client.transport.loseConnection();
    client.transport.loseConnection();
    client.transport.stopProducing();
    await Promise.all([client.lost.promise, server.lost.promise]);
    client.transport.loseConnection();
    client.transport.loseWriteConnection();
    client.transport.abortConnection();
    await macrotask();
    assertEquals(client.events, ["made", "lost: ConnectionDone"]);
  },
);

testOnBackends(
  "abortConnection() drops what is unsent, resets, and is told once, later (contracts 201 and 202)",
  async ({ reactor }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Recorder({ made: ({ transport }) => transport.pauseProducing() }),
      new Recorder(),
    );
    client.transport.write(new Uint8Array(50_000_000));
    client.transport.abortConnection();
    client.transport.abortConnection();
    client.transport.loseConnection();
    client.transport.write("x");
    assertEquals(client.transport.bufferedAmount, 0);
    assertEquals(client.events, ["made"]);
    assertInstanceOf(await client.lost.promise, ConnectionAborted);
    server.transport.resumeProducing();
    const reason = await server.lost.promise as ConnectionLost;
    assertInstanceOf(reason, ConnectionLost);
    assertEquals(reason.code, "ECONNRESET");
    client.transport.abortConnection();
    await macrotask();
    assertEquals(client.events, ["made", "lost: ConnectionAborted"]);
    assertEquals(server.events, ["made", "lost: ConnectionLost"]);
  },
);

for (const where of ["made", "data"] as const) {
  testOnBackends(
    `abortConnection() inside of ${where} is not re-entrant (contract 201)`,
    async ({ reactor }) => {
      reactor.interleave();
      const order: string[] = [];
      const abort = ({ transport }: Recorder) => {
        transport.loseConnection();
        transport.abortConnection();
        order.push("returned");
      };
      const { server } = await connectPair(
        reactor,
        new Recorder({ [where]: abort, lost: () => void order.push("lost") }),
        new Recorder({ made: ({ transport }) => transport.write("x") }),
      );
      assertInstanceOf(await server.lost.promise, ConnectionAborted);
      assertEquals(order, ["returned", "lost"]);
    },
  );
}

testOnBackends(
  "a handler that throws is reported once and is the connection's end (contract 203)",
  async ({ reactor, errors }) => {
    reactor.interleave();
    const fail = (text: string) => () => {
      throw new Error(text);
    };
    const server = new Server(reactor, () => new Echo());
    const bystander = new Recorder();
    new Client(reactor, server.number, () => bystander);
    await bystander.made.promise;
    for (const where of ["made", "data"] as const) {
      const client = new Recorder({
        [where]: fail(where),
        lost: fail("lost"),
      });
      new Client(reactor, server.number, () => client);
      const transport = await client.made.promise;
      transport.write("x");
      assertEquals((await client.lost.promise).message, where);
      takeErrors(errors, where, "lost");
      assertEquals(
        client.events.filter((event) => event.startsWith("lost")).length,
        1,
      );
    }
    bystander.transport.write("still here");
    await until(() => bystander.text === "still here");
  },
);

testOnBackends(
  "a handler whose promise rejects is reported once, and the connection goes on",
  async ({ reactor, errors }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Recorder({
        made: () => Promise.reject(new Error("made")),
        data: () => Promise.reject(new Error("data")),
        lost: () => Promise.reject(new Error("lost")),
      }),
      new Recorder(),
    );
    await until(() => errors.length === 1);
    takeErrors(errors, "made");
    client.transport.write("a");
    await until(() => errors.length === 1);
    takeErrors(errors, "data");
    client.transport.loseConnection();
    await server.lost.promise;
    await until(() => errors.length === 1);
    takeErrors(errors, "lost");
  },
);

testOnBackends(
  "an Error that dataReceived returns is not the connection's end",
  async ({ reactor }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Recorder({ data: () => new Error("just a value") }),
      new Recorder(),
    );
    client.transport.write("a");
    await until(() => server.text === "a");
    client.transport.write("b");
    await until(() => server.text === "ab");
  },
);

testOnBackends(
  "an orderly close is ConnectionDone, a reset ConnectionLost (contract 204)",
  async ({ reactor }) => {
    reactor.interleave();
    const orderly = new Recorder();
    (await connectDeno(reactor, orderly)).close();
    assertInstanceOf(await orderly.lost.promise, ConnectionDone);

    const { server, client } = await connectPair(
      reactor,
      new Recorder(),
      new Recorder(),
    );
    client.transport.abortConnection();
    const reason = await server.lost.promise as ConnectionLost;
    assertInstanceOf(reason, ConnectionLost);
    assertEquals(reason.code, "ECONNRESET");
  },
);

testOnBackends(
  "writing to a peer that is gone ends a paused connection (contract 205)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder({
      made: ({ transport }) => transport.pauseProducing(),
    });
    (await connectDeno(reactor, protocol)).close();
    const write = () => {
      protocol.transport.write("x");
      if (protocol.events.length === 1) reactor.callLater(1, write);
    };
    write();
    assertInstanceOf(await protocol.lost.promise, ConnectionLost);
    assertEquals(protocol.events.length, 2);
  },
);

testOnBackends(
  "what came before the end is delivered when a paused connection is resumed (contract 206)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder({
      made: ({ transport }) => transport.pauseProducing(),
    });
    const conn = await connectDeno(reactor, protocol);
    await conn.write(encoder.encode("last words"));
    conn.close();
    await macrotask();
    assertEquals(protocol.events, ["made"]);
    protocol.transport.resumeProducing();
    await protocol.lost.promise;
    assertEquals(protocol.events, [
      "made",
      "last words",
      "lost: ConnectionDone",
    ]);
  },
);

testOnBackends(
  "resumeProducing() after loseConnection() or the end reads nothing (contract 207)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    using conn = await connectDeno(reactor, protocol);
    const transport = protocol.transport as StreamTransport;
    transport.write(new Uint8Array(30_000_000));
    transport.loseConnection();
    transport.resumeProducing();
    assertEquals(reactor.getReaders().includes(transport), false);
    transport.abortConnection();
    await protocol.lost.promise;
    transport.resumeProducing();
    assertEquals(reactor.getReaders().includes(transport), false);
    await conn.read(new Uint8Array(1)).catch(() => {});
  },
);

testOnBackends(
  "setTcpNoDelay() and setTcpKeepAlive() are what the getters say (contract 209)",
  async ({ reactor }) => {
    const { client } = await start(reactor);
    const { transport } = client;
    for (const on of [true, false]) {
      transport.setTcpNoDelay(on);
      transport.setTcpKeepAlive(!on);
      assertEquals(transport.getTcpNoDelay(), on);
      assertEquals(transport.getTcpKeepAlive(), !on);
    }
    assertThrows(
      () => transport.setTcpNoDelay(1 as unknown as boolean),
      TypeError,
      '"on"',
    );
    transport.abortConnection();
    await client.lost.promise;
    assertThrows(() => transport.getTcpNoDelay(), Deno.errors.BadResource);
  },
);

const hasIPv6 = ownAddress("::1") !== undefined;

for (const hostname of ["::1", "::"]) {
  Deno.test({
    name: `listenTCP() listens on ${hostname} (contract 210)` +
      (hasIPv6 ? "" : " (there is no IPv6 here)"),
    ignore: !hasIPv6,
    async fn() {
      await using reactor = new Reactor();
      reactor.interleave();
      const server = new Server(reactor, () => new Echo(), { hostname });
      assertEquals((server.port.getHost() as NetAddress).hostname, hostname);
      const client = new Recorder();
      new Client(reactor, server.number, () => client, { hostname: "::1" });
      const transport = await client.made.promise;
      assertEquals(transport.getPeer(), {
        transport: "tcp",
        hostname: "::1",
        port: server.number,
      });
      if (hostname === "::") {
        const mapped = new Recorder();
        new Client(reactor, server.number, () => mapped);
        await mapped.made.promise;
      }
    },
  });
}

const linkLocal = Array.from(
  { length: 20 },
  (_, i) => ownAddress(`fe80::1%${i + 1}`),
)
  .find((address) => address?.startsWith("fe80:"));

Deno.test({
  name:
    "getHost() and getPeer() tell the scope of an IPv6 address (contract 210)" +
    (linkLocal === undefined ? " (no interface here has one)" : ""),
  ignore: linkLocal === undefined,
  async fn() {
    await using reactor = new Reactor();
    reactor.interleave();
    const hostname = linkLocal!;
    const server = new Server(reactor, () => new Echo(), { hostname });
    assertEquals((server.port.getHost() as NetAddress).hostname, hostname);
    const client = new Recorder();
    new Client(reactor, server.number, () => client, { hostname });
    const transport = await client.made.promise;
    assertEquals((transport.getPeer() as NetAddress).hostname, hostname);
    assertEquals((transport.getHost() as NetAddress).hostname, hostname);
  },
});

/** The address from which this machine would send to another, if it can. */
function ownAddress(other: string): string | undefined {
  const fd = openSocket(POSIX.AF_INET6, POSIX.SOCK_DGRAM);
  try {
    const address = SocketAddress.internet(other, 9);
    if (beginConnect(fd, address) !== 0) return undefined;
    return localAddress(fd).hostname;
  } finally {
    closeDescriptor(fd);
  }
}

testOnBackends(
  "write() of 100 MB arrives as it was, however slow the reader",
  async ({ reactor }) => {
    reactor.interleave();
    const checksum = new Checksum();
    const data = pattern(100_000_000);
    const expected = new Checksum();
    expected.add(data);
    let pauses = 0;
    const { server, client } = await connectPair(
      reactor,
      new Recorder({
        data(recorder, data) {
          checksum.add(data);
          if (recorder.received < (pauses + 1) * 5_000_000) return;
          pauses++;
          recorder.transport.pauseProducing();
          reactor.callLater(2, () => recorder.transport.resumeProducing());
        },
      }),
      new Recorder(),
    );
    client.transport.write(data);
    assertEquals(client.transport.bufferedAmount, data.length);
    const amounts: number[] = [];
    const look = () => {
      amounts.push(client.transport.bufferedAmount);
      if (client.transport.bufferedAmount > 0) reactor.callLater(5, look);
    };
    look();
    client.transport.loseConnection();
    await Promise.all([client.lost.promise, server.lost.promise]);
    assertEquals(`${checksum}`, `${expected}`);
    assert(pauses >= 19);
    assert(amounts.some((amount) => amount > 0 && amount < data.length));
    assertEquals(amounts, amounts.toSorted((a, b) => b - a));
  },
);

// The end of the reactor

testOnBackends(
  "stop() loses every connection once, paused ones included, and ends ports and attempts",
  async ({ reactor, errors }) => {
    reactor.interleave();
    const server = new Server(reactor, () => served);
    const served = new Recorder({
      made: ({ transport }) => transport.pauseProducing(),
      lost: () => {
        throw new Error("lost");
      },
    });
    const client = new Recorder();
    const factory = new Client(reactor, server.number, () => client);
    await served.made.promise;
    await client.made.promise;
    const attempt = new Client(reactor, server.number, () => null);
    const stopped = new Client(reactor, server.number, () => null);
    reactor.callLater(0, () => {
      stopped.connector.stopConnecting();
      reactor.stop();
    });
    await reactor.finished;
    assertEquals(served.events, ["made", "lost: ConnectionLost"]);
    assertEquals(client.events, ["made", "lost: ConnectionLost"]);
    assertEquals(factory.events.slice(-2), ["lost: ConnectionLost", "stop"]);
    assertEquals(attempt.events.at(-1), "stop");
    assertEquals(stopped.events.at(-1), "stop");
    assertEquals(server.events.at(-1), "stop");
    takeErrors(errors, "lost");
    assertThrows(() => factory.connector.connect());
    assertThrows(() => server.port.startListening());
    client.transport.write("x");
    client.transport.abortConnection();
  },
);

testOnBackends(
  "close() loses every connection once",
  async ({ reactor }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Recorder({ made: ({ transport }) => transport.pauseProducing() }),
      new Recorder(),
    );
    await reactor.close();
    assertEquals(server.events, ["made", "lost: ConnectionLost"]);
    assertEquals(client.events, ["made", "lost: ConnectionLost"]);
  },
);

testOnBackends(
  "crash() leaves connections as they are, for the next run (contract 139)",
  async ({ reactor }) => {
    const { server, client } = await start(reactor);
    client.transport.write("before");
    reactor.crash();
    await reactor.finished;
    assertEquals(client.events, ["made"]);
    reactor.interleave();
    client.transport.write(" and after");
    await until(() => server.text === "before and after");
  },
);

testOnBackends(
  "a connection that nobody can read to its end is closed at once, and the end of the reactor finds nothing",
  async ({ reactor }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Recorder(),
      new Recorder({ made: ({ transport }) => transport.pauseProducing() }),
    );
    server.transport.write("never read");
    await reactor.readable((client.transport as StreamTransport).fileno());
    client.transport.loseConnection();
    // Somebody else reads at that number, so what comes after the end can't be.
    const reasons: Error[] = [];
    const fd = (client.transport as StreamTransport).fileno();
    reactor.addReader({
      fileno: () => fd,
      doRead: () => {},
      connectionLost: (reason) => void reasons.push(reason),
    });
    await client.lost.promise;
    assertEquals(client.events, ["made", "lost: ConnectionDone"]);
    assertEquals((client.transport as StreamTransport).fileno(), -1);
    assertEquals(reasons.map(({ name }) => name), ["ConnectionLost"]);
    await server.lost.promise;
    await reactor.close(); // Nothing is reported.
  },
);

testOnBackends(
  "disconnecting is true from loseConnection() and abortConnection() on, and stays so",
  async ({ reactor }) => {
    reactor.interleave();
    for (const end of ["loseConnection", "abortConnection"] as const) {
      const { server, client } = await connectPair(
        reactor,
        new Recorder({
          lost: ({ transport }) => assertEquals(transport.disconnecting, true),
        }),
        new Recorder(),
      );
      const { transport } = client;
      transport.loseWriteConnection();
      assertEquals(transport.disconnecting, false);
      transport[end]();
      assertEquals(transport.disconnecting, true);
      transport.resumeProducing();
      assertEquals(transport.disconnecting, true);
      await Promise.all([client.lost.promise, server.lost.promise]);
      assertEquals(transport.disconnecting, true);
    }
  },
);
