// The handshake of TLS on a reactor's connections: what is agreed on, who hears
// of it, how long it may take, and everything that can happen in the middle.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { X509Certificate } from "node:crypto";
import {
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  type Reactor,
} from "../../mod.ts";
import { connect } from "../../src/net/connect.ts";
import {
  ConnectError,
  ConnectTimeoutError,
  UserError,
} from "../../src/net/errors.ts";
import { listen } from "../../src/net/listen.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import { type Identity, selfSigned } from "./certificates.ts";
import { Echo, LOOPBACK, numberOf, Recorder } from "./protocols.ts";
import {
  attempt,
  authority,
  identity,
  root,
  SecureRecorder,
  serve,
  testTLS,
} from "./tls_connections.ts";
import { Wire } from "./tls_wire.ts";

/** What takes a connection says nothing, unless the test does. */
function listenPlain(): Deno.TcpListener {
  return Deno.listen({ hostname: LOOPBACK, port: 0 });
}

function connectPlain(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: LOOPBACK, port });
}

/** Connects without TLS. */
function connectRecorder(
  reactor: Reactor,
  port: number,
  client: Recorder,
): void {
  connectTCP(LOOPBACK, port, { buildProtocol: () => client }, { reactor });
}

/** Waits until the peer of a socket has gone, whatever it said before. */
async function readToEnd(conn: Deno.Conn): Promise<number> {
  const buffer = new Uint8Array(65_536);
  let sum = 0;
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) return sum;
    sum += count;
  }
}

testTLS(
  "listenSSL() cuts off a client that says nothing",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served, { handshakeTimeout: 50 });
    using conn = await connectPlain(numberOf(port));
    assertEquals(await readToEnd(conn), 0);
    const reason = await served.lost.promise;
    assertInstanceOf(reason, TLSError);
    assertEquals(reason.message, "The TLS handshake was not done within 50 ms");
    assertEquals(served.events, ["made", "lost: TLSError"]);
  },
);

testTLS(
  "listenSSL() cuts off a client that stops in the middle of the handshake",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served, { handshakeTimeout: 50 });
    using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
    const hello = new Uint8Array(65_536);
    await wire.socket.write(hello.subarray(0, wire.engine.transmit(hello)));
    assert(await readToEnd(wire.socket) > 0);
    assertInstanceOf(await served.lost.promise, TLSError);
  },
);

testTLS(
  "startTLS() gives up on a client, and on a server, that says nothing",
  async ({ reactor }) => {
    const served = new SecureRecorder({
      made: ({ transport }) =>
        transport.startTLS({ ...identity, handshakeTimeout: 50 }),
    });
    const port = listenTCP(0, { buildProtocol: () => served }, {
      hostname: LOOPBACK,
      reactor,
    });
    using conn = await connectPlain(numberOf(port));
    assertEquals(await readToEnd(conn), 0);
    assertInstanceOf(await served.lost.promise, TLSError);

    using listener = listenPlain();
    const client = new SecureRecorder({
      made: ({ transport }) =>
        transport.startTLS({ caCerts: [root], handshakeTimeout: 50 }),
    });
    connectRecorder(reactor, listener.addr.port, client);
    using peer = await listener.accept();
    assert(await readToEnd(peer) > 0); // The client begins.
    assertInstanceOf(await client.lost.promise, TLSError);
  },
);

testTLS(
  "connectSSL() gives up on a server that says nothing",
  async ({ reactor }) => {
    using listener = listenPlain();
    for (
      const [options, message] of [
        [
          { tls: { handshakeTimeout: 50 } },
          "Cannot connect: the TLS handshake was not done within 50 ms",
        ],
        // This one is for everything.
        [{ timeout: 50 }, "The connection was not made within 50 ms"],
      ] as const
    ) {
      const { failed } = attempt(
        reactor,
        listener.addr.port,
        new Recorder(),
        options,
      );
      using peer = await listener.accept();
      await readToEnd(peer);
      const reason = await failed;
      assertInstanceOf(reason, ConnectTimeoutError);
      assertEquals(reason.message, message);
    }
  },
);

testTLS(
  "a handshake that is over leaves no timer behind",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served);
    const client = new SecureRecorder();
    attempt(reactor, numberOf(port), client);
    await client.made.promise;
    await served.transport.handshake();
    assertEquals(reactor.getDelayedCalls(), []);
    client.transport.abortConnection();
    await Promise.all([client.lost.promise, served.lost.promise]);

    // One that has failed neither.
    const failing = new SecureRecorder();
    const other = serve(reactor, () => failing);
    {
      using _conn = await connectPlain(numberOf(other));
      await failing.made.promise;
      assertEquals(reactor.getDelayedCalls().length, 1);
    }
    assertInstanceOf(await failing.lost.promise, ConnectionLost);
    assertEquals(reactor.getDelayedCalls(), []);
  },
);

testTLS(
  "handshakeCompleted() comes after connectionMade() and before data, on both sides",
  async ({ reactor }) => {
    const served = new SecureRecorder({
      data: ({ transport }, data) => transport.write(data),
    });
    const client = new SecureRecorder({
      made: ({ transport }) => transport.write("hello"),
      data: ({ transport }) => transport.loseConnection(),
    });
    const port = serve(reactor, () => served, { alpnProtocols: ["b", "a"] });
    attempt(reactor, numberOf(port), client, {
      tls: { alpnProtocols: ["a", "b"] },
    });
    await Promise.all([client.lost.promise, served.lost.promise]);
    const expected = ["made", "shaken: b", "hello", "lost: ConnectionDone"];
    assertEquals(client.events, expected);
    assertEquals(served.events, expected);
  },
);

testTLS(
  "handshakeCompleted() comes after startTLS(), on both sides",
  async ({ reactor }) => {
    const alpnProtocols = ["x"];
    const served = new SecureRecorder({
      data: ({ transport, text }) => {
        if (text !== "STARTTLS") return transport.loseConnection();
        transport.write("go");
        transport.startTLS({ ...identity, alpnProtocols });
      },
    });
    const client = new SecureRecorder({
      made: ({ transport }) => transport.write("STARTTLS"),
      data: ({ transport }) => {
        transport.startTLS({ caCerts: [root], alpnProtocols });
        transport.write("secret");
      },
    });
    const port = listenTCP(0, { buildProtocol: () => served }, {
      hostname: LOOPBACK,
      reactor,
    });
    connectRecorder(reactor, numberOf(port), client);
    await Promise.all([client.lost.promise, served.lost.promise]);
    const done = "lost: ConnectionDone";
    assertEquals(client.events, ["made", "go", "shaken: x", done]);
    assertEquals(served.events, [
      "made",
      "STARTTLS",
      "shaken: x",
      "secret",
      done,
    ]);
  },
);

testTLS(
  "what handshakeCompleted() throws is reported, and ends the connection",
  async ({ reactor, errors }) => {
    for (const side of ["server", "client"]) {
      const thrown = new Error(`The ${side} does not like it`);
      const bad = new Recorder();
      Object.assign(bad, {
        handshakeCompleted() {
          throw thrown;
        },
      });
      const good = new SecureRecorder();
      const port = serve(reactor, () => side === "server" ? bad : good);
      attempt(reactor, numberOf(port), side === "client" ? bad : good);
      assertEquals(await bad.lost.promise, thrown);
      await good.lost.promise;
      assertEquals(errors.splice(0), [thrown.message]);
    }
  },
);

testTLS(
  "handshake() says what was agreed on, whenever it is asked",
  async ({ reactor }) => {
    await using port = listen({
      hostname: LOOPBACK,
      port: 0,
      reactor,
      tls: { ...identity, alpnProtocols: ["h2"] },
    });
    await using client = await connect({
      hostname: LOOPBACK,
      port: numberOf(port),
      reactor,
      tls: { caCerts: [root], alpnProtocols: ["h2"] },
    });
    for await (const server of port) {
      assertEquals(await server.handshake(), { alpnProtocol: "h2" });
      assertEquals(await server.handshake(), { alpnProtocol: "h2" });
      assertEquals(server.alpnProtocol, "h2");
      assertEquals(await client.handshake(), { alpnProtocol: "h2" });
      assertEquals(client.alpnProtocol, "h2");
      client.loseConnection();
      await client.closed;
      // What was, stays known.
      assertEquals(await client.handshake(), { alpnProtocol: "h2" });
      assertEquals(client.alpnProtocol, "h2");
      break;
    }
  },
);

testTLS(
  "handshake() rejects when the connection is lost before, or is plain",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served);
    using conn = await connectPlain(numberOf(port));
    await served.made.promise;
    const waiting = assertRejects(
      () => served.transport.handshake(),
      TLSError,
      "wrong version number",
    );
    assertEquals(served.transport.alpnProtocol, null);
    await conn.write(new TextEncoder().encode("SSH-2.0-OpenSSH_9.9\r\n"));
    await waiting;
    await assertRejects(() => served.transport.handshake(), TLSError);

    const plain = new Recorder();
    const other = listenTCP(0, { buildProtocol: () => plain }, {
      hostname: LOOPBACK,
      reactor,
    });
    using _conn = await connectPlain(numberOf(other));
    await plain.made.promise;
    await assertRejects(
      () => plain.transport.handshake(),
      RangeError,
      "Cannot wait for the handshake: the connection is not encrypted",
    );
    assertEquals(plain.transport.alpnProtocol, null);
    assertEquals(plain.transport.getPeerCertificate(), null);
  },
);

testTLS(
  "ALPN agrees on nothing when one side is silent",
  async ({ reactor }) => {
    const port = serve(reactor, () => new Echo(), { alpnProtocols: ["h2"] });
    const client = new SecureRecorder();
    attempt(reactor, numberOf(port), client);
    await client.made.promise;
    assertEquals(client.transport.alpnProtocol, null);
    assertEquals(await client.transport.handshake(), { alpnProtocol: null });
    assertEquals(client.events, ["made", "shaken: null"]);
  },
);

testTLS(
  "ALPN that cannot agree fails on both sides, and says so",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served, { alpnProtocols: ["h2"] });
    const { failed } = attempt(reactor, numberOf(port), new Recorder(), {
      tls: { alpnProtocols: ["http/1.1"] },
    });
    const reason = await failed;
    assertInstanceOf(reason.cause, TLSError);
    assertStringIncludes(reason.message, "no application protocol");
    assertInstanceOf(await served.lost.promise, TLSError);
  },
);

testTLS(
  "getPeerCertificate() is what the other side has shown",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served);
    const client = new SecureRecorder();
    attempt(reactor, numberOf(port), client);
    await client.made.promise;
    assertEquals(served.transport.getPeerCertificate(), null);
    const shown = client.transport.getPeerCertificate()!;
    assertEquals(shown, new Uint8Array(new X509Certificate(identity.cert).raw));
    await served.transport.handshake();
    assertEquals(served.transport.getPeerCertificate(), null); // It asked for none.
    client.transport.loseConnection();
    await client.lost.promise;
    assertEquals(client.transport.getPeerCertificate(), null);
  },
);

testTLS(
  "loseConnection() during the handshake sends what was written first",
  async ({ reactor }) => {
    const served = new SecureRecorder({
      made: ({ transport }) => {
        transport.write("bye");
        transport.loseConnection();
      },
    });
    const port = serve(reactor, () => served);
    const client = new SecureRecorder();
    attempt(reactor, numberOf(port), client);
    assertInstanceOf(await client.lost.promise, ConnectionDone);
    assertEquals(client.text, "shaken: nullbye");
    assertInstanceOf(await served.lost.promise, ConnectionDone);
  },
);

for (
  const [name, method, Reason] of [
    [
      "loseConnection() during the handshake with nothing written ends it",
      "loseConnection",
      ConnectionDone,
    ],
    [
      "abortConnection() during the handshake ends it on both sides",
      "abortConnection",
      ConnectionAborted,
    ],
  ] as const
) {
  testTLS(name, async ({ reactor }) => {
    const served = new SecureRecorder({
      made: ({ transport }) => transport[method](),
    });
    const port = serve(reactor, () => served);
    const { failed } = attempt(reactor, numberOf(port), new Recorder());
    const reason = await failed;
    assertInstanceOf(reason, ConnectError);
    assertInstanceOf(reason.cause, ConnectionLost);
    assertInstanceOf(await served.lost.promise, Reason);
  });
}

testTLS(
  "stopConnecting() during the handshake is a UserError",
  async ({ reactor }) => {
    using listener = listenPlain();
    const { connector, failed } = attempt(
      reactor,
      listener.addr.port,
      new Recorder(),
    );
    using peer = await listener.accept();
    // The client has begun.
    assert(await peer.read(new Uint8Array(1)) === 1);
    connector.stopConnecting();
    assertInstanceOf(await failed, UserError);
    // Unread data would make it a reset.
    await readToEnd(peer).catch(() => {});
  },
);

testTLS(
  "pauseProducing() during the handshake holds back data only",
  async ({ reactor }) => {
    const served = new SecureRecorder({
      made: ({ transport }) => transport.pauseProducing(),
      data: ({ transport }) => transport.loseConnection(),
    });
    const port = serve(reactor, () => served);
    const client = new SecureRecorder({
      made: ({ transport }) => transport.write("hello"),
    });
    attempt(reactor, numberOf(port), client);
    await served.made.promise;
    await served.transport.handshake();
    // A whole connection later the data is there as well.
    const other = serve(reactor, () => new Echo());
    const caller = new SecureRecorder({
      made: ({ transport }) => transport.write("later"),
      data: ({ transport }) => transport.loseConnection(),
    });
    attempt(reactor, numberOf(other), caller);
    await caller.lost.promise;
    assertEquals(served.events, ["made", "shaken: null"]);
    served.transport.resumeProducing();
    await served.lost.promise;
    assertEquals(served.events.slice(2), ["hello", "lost: ConnectionDone"]);
  },
);

testTLS(
  "data in one piece with the end of the handshake is not lost",
  async ({ reactor }) => {
    const served = new SecureRecorder({
      data: ({ transport }, data) => transport.write(data),
    });
    const port = serve(reactor, () => served);
    using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
    await wire.begin("early\n");
    assertEquals(await wire.readLine(), "early\n");
    assertEquals(served.events.slice(0, 3), [
      "made",
      "shaken: null",
      "early\n",
    ]);
  },
);

testTLS(
  "data in one piece with the end of the handshake is not lost by a client",
  async ({ reactor }) => {
    using listener = listenPlain();
    const client = new SecureRecorder({
      data: ({ transport }) => transport.loseConnection(),
    });
    attempt(reactor, listener.addr.port, client);
    using wire = await Wire.accept(listener, identity);
    // With the tickets that a server sends when it is done.
    await wire.begin("early\n");
    await client.lost.promise;
    assertEquals(client.text, "shaken: nullearly\n");
  },
);

testTLS(
  "connectSSL() fails on a server that does not speak TLS",
  async ({ reactor }) => {
    using listener = listenPlain();
    for (
      const words of ["SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 400 Bad\r\n\r\n"]
    ) {
      const { failed } = attempt(
        reactor,
        listener.addr.port,
        new Recorder(),
      );
      using peer = await listener.accept();
      await peer.write(new TextEncoder().encode(words));
      const reason = await failed;
      assertInstanceOf(reason, ConnectError);
      assertInstanceOf(reason.cause, TLSError);
      assertStringIncludes(reason.message, "wrong version number");
    }
  },
);

testTLS("connectSSL() fails on a server that hangs up", async ({ reactor }) => {
  using listener = listenPlain();
  const { failed } = attempt(reactor, listener.addr.port, new Recorder());
  {
    using peer = await listener.accept();
    await peer.read(new Uint8Array(65_536));
  }
  const reason = await failed;
  assertInstanceOf(reason, ConnectError);
  assertInstanceOf(reason.cause, ConnectionLost);
});

testTLS(
  "listenSSL() tells a client that hangs up from one that is wrong",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served);
    (await connectPlain(numberOf(port))).close();
    const reason = await served.lost.promise;
    assertInstanceOf(reason, ConnectionLost);
    assertEquals(
      reason.message,
      "The connection was lost: the peer closed it during the TLS handshake",
    );
  },
);

testTLS(
  "connectSSL() says what is wrong with a certificate",
  async ({ reactor }) => {
    const names = "DNS:localhost,IP:127.0.0.1";
    const own = await selfSigned({ names });
    const cases: [
      identity: Identity,
      tls: { hostname?: string; caCerts?: string[] },
      verifyError: number | undefined,
      words?: string,
    ][] = [
      [own, {}, 18, "self-signed certificate"],
      [own, { caCerts: [own.cert] }, undefined],
      [identity, {}, undefined], // The address is in the certificate.
      [identity, { hostname: "localhost" }, undefined],
      [identity, { hostname: "wrong.example" }, 62, "hostname mismatch"],
      [identity, { hostname: "127.0.0.2" }, 64, "IP address mismatch"],
      [
        await authority.issue({ names, days: -1 }),
        {},
        10,
        "certificate has expired",
      ],
      [await authority.issue({ names: "DNS:localhost" }), {}, 64, "IP address"],
    ];
    for (const [shown, tls, verifyError, words] of cases) {
      const served = new SecureRecorder();
      const port = serve(reactor, () => served, shown);
      const client = new Recorder();
      const { failed } = attempt(reactor, numberOf(port), client, { tls });
      if (verifyError === undefined) {
        await client.made.promise;
        client.transport.loseConnection();
        assertInstanceOf(await client.lost.promise, ConnectionDone);
        continue;
      }
      const { cause, message } = await failed;
      assertInstanceOf(cause, TLSError);
      assertEquals(cause.verifyError, verifyError);
      assertStringIncludes(message, words!);
      // The alert has told the server.
      const reason = await served.lost.promise;
      assertInstanceOf(reason, TLSError);
      assertStringIncludes(reason.message, "alert");
    }
  },
);
