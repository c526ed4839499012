// TLS on connections, on both backends: the reactor at one end or at both, and
// Deno's own TLS or the `openssl` command at the other.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { connect } from "../../src/net/connect.ts";
import { listen } from "../../src/net/listen.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import { Folder, OpensslPeer } from "./certificates.ts";
import { Echo, LOOPBACK, numberOf, Recorder } from "./protocols.ts";
import { attempt, identity, root, serve, testTLS } from "./tls_connections.ts";

/** A protocol that says something, and waits for the echo. */
function caller(text = "hello"): Recorder {
  return new Recorder({
    made: ({ transport }) => transport.write(text),
    data: (recorder) => {
      if (recorder.text === text) recorder.transport.loseConnection();
    },
  });
}

testTLS(
  "connectSSL() and listenSSL() talk to each other",
  async ({ reactor }) => {
    const served = new Recorder({
      data: ({ transport }, data) => transport.write(data),
    });
    const port = serve(reactor, () => served);
    const client = caller();
    attempt(reactor, numberOf(port), client);
    assertEquals((await client.lost.promise).name, "ConnectionDone");
    assertEquals((await served.lost.promise).name, "ConnectionDone");
    assertEquals(client.text, "hello");
  },
);

testTLS(
  "listenSSL() serves Deno.connectTls() and speaks ALPN",
  async ({ reactor }) => {
    const port = serve(reactor, () => new Echo(), {
      alpnProtocols: ["b", "a"],
    });
    using conn = await Deno.connectTls({
      hostname: LOOPBACK,
      port: numberOf(port),
      caCerts: [root],
      alpnProtocols: ["a", "b"],
    });
    assertEquals((await conn.handshake()).alpnProtocol, "b");
    await conn.write(new TextEncoder().encode("hello"));
    const buffer = new Uint8Array(100);
    const count = await conn.read(buffer);
    assertEquals(new TextDecoder().decode(buffer.subarray(0, count!)), "hello");
  },
);

testTLS("connectSSL() talks to Deno.listenTls()", async ({ reactor }) => {
  using listener = Deno.listenTls({ hostname: LOOPBACK, port: 0, ...identity });
  const client = caller();
  attempt(reactor, listener.addr.port, client);
  const conn = await listener.accept();
  await conn.readable.pipeTo(conn.writable);
  assertEquals((await client.lost.promise).name, "ConnectionDone");
  assertEquals(client.text, "hello");
});

testTLS("listenSSL() serves the openssl command", async ({ reactor }) => {
  await using folder = new Folder();
  const ca = await folder.write("root.pem", root);
  const port = serve(reactor, () => new Echo());
  // deno-fmt-ignore
  await using peer = new OpensslPeer(folder.path, "s_client", "-quiet",
    "-connect", `${LOOPBACK}:${numberOf(port)}`, "-CAfile", ca);
  await peer.type("hello\n");
  await peer.printed(/hello\n/);
});

testTLS("listenSSL() outlives garbage in place of TLS", async ({ reactor }) => {
  const protocols: Recorder[] = [];
  const port = serve(reactor, () => {
    const made = new Recorder({
      data: ({ transport }, data) => transport.write(data),
    });
    protocols.push(made);
    return made;
  });
  using conn = await Deno.connect({
    hostname: LOOPBACK,
    port: numberOf(port),
  });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  const client = caller();
  attempt(reactor, numberOf(port), client);
  await client.lost.promise;
  assertEquals(client.text, "hello");
  assertInstanceOf(await protocols[0]!.lost.promise, TLSError);
});

testTLS("startTLS() encrypts the rest of a connection", async ({ reactor }) => {
  const served = new Recorder({
    data: ({ transport, events }, data) => {
      if (events.at(-1) !== "STARTTLS") return transport.write(data);
      transport.write("go");
      transport.startTLS(identity);
    },
  });
  const client = new Recorder({
    made: ({ transport }) => transport.write("STARTTLS"),
    data: ({ transport, events }) => {
      if (events.at(-1) !== "go") return transport.loseConnection();
      transport.startTLS({ caCerts: [root] });
      transport.write("secret");
    },
  });
  const port = listenTCP(0, { buildProtocol: () => served }, {
    hostname: LOOPBACK,
    reactor,
  });
  connectTCP(LOOPBACK, numberOf(port), { buildProtocol: () => client }, {
    reactor,
  });
  await Promise.all([client.lost.promise, served.lost.promise]);
  const done = "lost: ConnectionDone";
  assertEquals(served.events, ["made", "STARTTLS", "secret", done]);
  assertEquals(client.events, ["made", "go", "secret", done]);
});

testTLS(
  "connect() and listen() take the options of TLS",
  async ({ reactor }) => {
    await using port = listen({
      hostname: LOOPBACK,
      port: 0,
      tls: identity,
      reactor,
    });
    const served = (async () => {
      for await (const connection of port) {
        await connection.readable.pipeTo(connection.writable);
        break;
      }
    })();
    await using connection = await connect({
      hostname: LOOPBACK,
      port: numberOf(port),
      tls: { caCerts: [root] },
      reactor,
    });
    connection.write("hello");
    connection.loseWriteConnection();
    assertEquals(await new Response(connection.readable).text(), "hello");
    await served;
  },
);

testTLS(
  "a connection that is cut off within TLS says so",
  async ({ reactor }) => {
    const served = new Recorder();
    const port = serve(reactor, () => served);
    const client = new Recorder({
      made: ({ transport }) => transport.write("hello"),
    });
    attempt(reactor, numberOf(port), client);
    await client.made.promise;
    await served.made.promise;
    client.transport.abortConnection();
    const reason = await served.lost.promise;
    assert(reason.name !== "ConnectionDone", reason.message);
  },
);
