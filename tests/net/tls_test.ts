// TLS on connections, on both backends: the reactor at one end or at both, and
// Deno's own TLS or the `openssl` command at the other.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import { deadline } from "@std/async";
import { Reactor } from "../../mod.ts";
import { libc } from "../../ffi/libc.ts";
import { openssl as library } from "../../ffi/toolkits/openssl.ts";
import { alpnCallback } from "../../src/net/alpn.ts";
import { connect } from "../../src/net/connect.ts";
import { ConnectError } from "../../src/net/errors.ts";
import { listen } from "../../src/net/listen.ts";
import type { Port } from "../../src/net/port.ts";
import type { Protocol } from "../../src/net/protocol.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import { connectSSL, listenSSL } from "../../src/net/tls.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import type { TLSOptions } from "../../src/net/tls_options.ts";
import { BACKENDS, PATIENCE } from "../descriptors.ts";
import { testToolkit } from "../loops/toolkit.ts";
import {
  Authority,
  Folder,
  type Identity,
  missingOpenssl,
  OpensslPeer,
} from "./certificates.ts";
import {
  Checksum,
  Echo,
  LOOPBACK,
  numberOf,
  pattern,
  Recorder,
} from "./protocols.ts";

const missing = await missingOpenssl();
let root: string;
let identity: Identity;

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) {
  library();
  alpnCallback();
  const authority = await Authority.root("A root");
  root = authority.identity.cert;
  identity = await authority.issue({ names: "DNS:localhost,IP:127.0.0.1" });
}

/** Declares a test for each backend. `onError` must get nothing. */
function test(name: string, fn: (reactor: Reactor) => Promise<void>): void {
  for (const backend of BACKENDS) {
    testToolkit(`${name} [${backend}]`, missing, async () => {
      const errors: unknown[] = [];
      await using reactor = new Reactor({
        backend,
        onError: (error) => errors.push(error),
      });
      reactor.interleave();
      await deadline(fn(reactor), PATIENCE);
      assertEquals(errors, []);
    });
  }
}

/** Listens with TLS. */
function serve(
  reactor: Reactor,
  make: () => Protocol,
  options: TLSOptions = {},
): Port {
  return listenSSL(0, { buildProtocol: make }, {
    hostname: LOOPBACK,
    reactor,
    tls: { ...identity, ...options },
  });
}

/** Connects with TLS. Returns why there is no connection, if there is none. */
function attempt(
  reactor: Reactor,
  port: number,
  protocol: Protocol,
  tls: TLSOptions = { caCerts: [root] },
): Promise<Error> {
  const failed = Promise.withResolvers<Error>();
  connectSSL(LOOPBACK, port, {
    buildProtocol: () => protocol,
    clientConnectionFailed: (_connector, reason) => failed.resolve(reason),
  }, { reactor, tls });
  return failed.promise;
}

/** A protocol that says something, and waits for the echo. */
function caller(text = "hello"): Recorder {
  return new Recorder({
    made: ({ transport }) => transport.write(text),
    data: (recorder) => {
      if (recorder.text === text) recorder.transport.loseConnection();
    },
  });
}

test("connectSSL() and listenSSL() talk to each other", async (reactor) => {
  const served = new Recorder({
    data: ({ transport }, data) => transport.write(data),
  });
  const port = serve(reactor, () => served);
  const client = caller();
  attempt(reactor, numberOf(port), client);
  assertEquals((await client.lost.promise).name, "ConnectionDone");
  assertEquals((await served.lost.promise).name, "ConnectionDone");
  assertEquals(client.text, "hello");
});

test("listenSSL() serves Deno.connectTls() and speaks ALPN", async (reactor) => {
  const port = serve(reactor, () => new Echo(), { alpnProtocols: ["b", "a"] });
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
});

test("connectSSL() talks to Deno.listenTls()", async (reactor) => {
  using listener = Deno.listenTls({ hostname: LOOPBACK, port: 0, ...identity });
  const client = caller();
  attempt(reactor, listener.addr.port, client);
  const conn = await listener.accept();
  await conn.readable.pipeTo(conn.writable);
  assertEquals((await client.lost.promise).name, "ConnectionDone");
  assertEquals(client.text, "hello");
});

test("listenSSL() serves the openssl command", async (reactor) => {
  await using folder = new Folder();
  const ca = await folder.write("root.pem", root);
  const port = serve(reactor, () => new Echo());
  // deno-fmt-ignore
  await using peer = new OpensslPeer(folder.path, "s_client", "-quiet",
    "-connect", `${LOOPBACK}:${numberOf(port)}`, "-CAfile", ca);
  await peer.type("hello\n");
  await peer.printed(/hello\n/);
});

test("TLS carries 10 MB both ways at once", async (reactor) => {
  const data = pattern(10_000_000);
  const expected = new Checksum();
  expected.add(data);
  const sums = [new Checksum(), new Checksum()];
  const ends = sums.map((sum) =>
    new Recorder({
      made: ({ transport }) => transport.write(data),
      data: ({ received, transport }, part) => {
        sum.add(part);
        if (received === data.length) transport.loseWriteConnection();
      },
    })
  );
  for (const end of ends) {
    Object.assign(end, { readConnectionLost: () => {} });
  }
  const port = serve(reactor, () => ends[0]!);
  attempt(reactor, numberOf(port), ends[1]!);
  await Promise.all(ends.map((end) => end.lost.promise));
  assertEquals(sums.map(String), [`${expected}`, `${expected}`]);
});

test("connectSSL() fails when the certificate will not do", async (reactor) => {
  const port = serve(reactor, () => new Echo());
  for (
    const [tls, words] of [
      [{ caCerts: [root], hostname: "wrong.example" }, "hostname mismatch"],
      [{}, "Cannot verify the certificate"],
    ] as const
  ) {
    const reason = await attempt(reactor, numberOf(port), caller(), tls);
    assertInstanceOf(reason, ConnectError);
    assertInstanceOf(reason.cause, TLSError);
    assertStringIncludes(reason.message, words);
  }
  const client = caller();
  attempt(reactor, numberOf(port), client);
  await client.lost.promise;
  assertEquals(client.text, "hello");
});

test("listenSSL() outlives garbage in place of TLS", async (reactor) => {
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

test("startTLS() encrypts the rest of a connection", async (reactor) => {
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

test("connect() and listen() take the options of TLS", async (reactor) => {
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
});

test("a connection that is cut off within TLS says so", async (reactor) => {
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
});
