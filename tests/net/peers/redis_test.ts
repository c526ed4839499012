/**
 * `redis-server`, driven through connections of ours.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { libc } from "../../../ffi/libc.ts";
import { removeFile } from "../../../ffi/socket_files.ts";
import type { Reactor } from "../../../mod.ts";
import type { ClientFactory, Connector } from "../../../src/net/connector.ts";
import { connectTCP } from "../../../src/net/tcp.ts";
import { connectSSL } from "../../../src/net/tls.ts";
import { connectUNIX } from "../../../src/net/unix.ts";
import { unusedPort } from "../../descriptors.ts";
import { Folder } from "../certificates.ts";
import { LOOPBACK, pattern } from "../protocols.ts";
import { sum } from "./http_server.ts";
import { authority, identity, missingTLS } from "./identity.ts";
import { missingPrograms, Peer, testWithPeers } from "./peer.ts";
import { RespClient, RespError, type Value } from "./resp.ts";

const missing = await missingPrograms({ "redis-server": "redis-server" });
const missingForTLS = [...missing, ...missingTLS];

// What is opened in a test and stays open would be taken for a leak.
libc();
removeFile("/nonexistent/file");

/** Starts a server, and waits until it takes connections. */
async function startRedis(...args: string[]): Promise<Peer> {
  const peer = new Peer("redis-server", [
    ...["--save", "", "--appendonly", "no", "--daemonize", "no"],
    ...args,
  ]);
  await peer.stdout.printed(/ready to accept connections/i);
  return peer;
}

/** A way to reach a server. */
interface Way {
  readonly name: string;
  readonly missing: readonly string[];
  /** What the end of the server looks like. */
  readonly end: "ConnectionDone" | "ConnectionLost";
  /** What tells the server of it. */
  listen(folder: Folder, port: number): Promise<string[]>;
  connect(
    reactor: Reactor,
    factory: ClientFactory,
    where: { folder: Folder; port: number },
  ): Connector;
}

const WAYS: readonly Way[] = [
  ...[LOOPBACK, "::1"].map((host) => ({
    name: host === LOOPBACK ? "TCP over IPv4" : "TCP over IPv6",
    missing,
    end: "ConnectionDone" as const,
    listen: (_folder: Folder, port: number) =>
      Promise.resolve(["--bind", host, "--port", `${port}`]),
    connect: (
      reactor: Reactor,
      factory: ClientFactory,
      { port }: { port: number },
    ) => connectTCP(host, port, factory, { reactor }),
  })),
  {
    name: "a UNIX socket",
    missing,
    end: "ConnectionDone",
    listen: (folder) =>
      Promise.resolve(["--port", "0", "--unixsocket", folder.file("socket")]),
    connect: (reactor, factory, { folder }) =>
      connectUNIX(folder.file("socket"), factory, { reactor }),
  },
  {
    name: "TLS",
    missing: missingForTLS,
    end: "ConnectionLost", // It does not say goodbye in TLS.
    async listen(folder, port) {
      // deno-fmt-ignore
      return [
        "--bind", LOOPBACK, "--port", "0", "--tls-port", `${port}`,
        "--tls-auth-clients", "no",
        "--tls-cert-file", await folder.write("cert.pem", identity.cert),
        "--tls-key-file", await folder.write("key.pem", identity.key),
        "--tls-ca-cert-file", await folder.write("root.pem", authority.identity.cert),
      ];
    },
    connect: (reactor, factory, { port }) =>
      connectSSL(LOOPBACK, port, factory, {
        reactor,
        tls: { caCerts: [authority.identity.cert] },
      }),
  },
];

/** Connects a client. */
async function connectTo<C extends RespClient>(
  connect: (factory: ClientFactory) => Connector,
  client: C,
): Promise<C> {
  connect({
    buildProtocol: () => client,
    clientConnectionFailed: (_connector, reason) => client.made.reject(reason),
  });
  await client.made.promise;
  return client;
}

/** A client that has subscribed to something. */
class Subscriber extends RespClient {
  readonly messages: string[] = [];
  readonly #expected: number;
  readonly complete: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(expected: number) {
    super();
    this.#expected = expected;
  }

  override valueReceived(value: Value): void {
    const [kind, , content] = value as Uint8Array<ArrayBuffer>[];
    if (text(kind!) !== "message") return super.valueReceived(value);
    this.messages.push(text(content!));
    if (this.messages.length === this.#expected) this.complete.resolve();
  }
}

function text(bytes: Value): string {
  return new TextDecoder().decode(bytes as Uint8Array);
}

for (const { name, missing, end, listen, connect } of WAYS) {
  testWithPeers(
    `redis-server answers 10 000 commands at once over ${name}, in order, and takes 5 MB`,
    missing,
    async ({ reactor }) => {
      await using folder = new Folder();
      const port = unusedPort();
      await using peer = await startRedis(...await listen(folder, port));
      const client = await connectTo(
        (factory) => connect(reactor, factory, { folder, port }),
        new RespClient(),
      );
      const answers: Promise<Value>[] = [];
      for (let i = 0; i < 5000; i++) {
        answers.push(client.command("SET", `key ${i}`, `value ${i}`));
        answers.push(client.command("GET", `key ${i}`));
      }
      const values = await Promise.all(answers);
      for (let i = 0; i < 5000; i++) {
        assertEquals(values[2 * i], "OK");
        assertEquals(text(values[2 * i + 1]!), `value ${i}`);
      }
      assertEquals(await client.command("DBSIZE"), 5000);
      assertEquals(await client.command("GET", "no such key"), null);
      await assertRejects(() => client.command("NONSENSE"), RespError);
      const big = pattern(5_000_000);
      assertEquals(await client.command("SET", "big", big), "OK");
      for (
        const value of await Promise.all([
          client.command("GET", "big"),
          client.command("GET", "big"),
        ])
      ) {
        assertEquals(sum(value as Uint8Array), sum(big));
      }
      // It answers to that by going.
      const answer = client.command("SHUTDOWN", "NOSAVE");
      const reason = await assertRejects(() => answer, Error);
      assertEquals(reason.name, end);
      assertStrictEquals(await client.lost.promise, reason);
      assertEquals((await peer.end()).code, 0);
    },
  );
}

testWithPeers(
  "what one connection publishes in redis-server comes to the others, in order",
  missing,
  async ({ reactor }) => {
    await using folder = new Folder();
    const path = folder.file("socket");
    await using _peer = await startRedis("--port", "0", "--unixsocket", path);
    const connect = (factory: ClientFactory) =>
      connectUNIX(path, factory, { reactor });
    const publisher = await connectTo(connect, new RespClient());
    const subscribers = [new Subscriber(2000), new Subscriber(2000)];
    for (const subscriber of subscribers) {
      await connectTo(connect, subscriber);
      const [kind] = await subscriber.command("SUBSCRIBE", "news") as Value[];
      assertEquals(text(kind!), "subscribe");
    }
    const expected = Array.from({ length: 2000 }, (_, i) => `message ${i}`);
    const reached = await Promise.all(
      expected.map((message) => publisher.command("PUBLISH", "news", message)),
    );
    assert(reached.every((count) => count === 2));
    for (const { complete, messages } of subscribers) {
      await complete.promise;
      assertEquals(messages, expected);
    }
    for (const client of [publisher, ...subscribers]) {
      client.transport.loseConnection();
      assertEquals((await client.lost.promise).name, "ConnectionDone");
    }
  },
);

testWithPeers(
  "a client connects again when redis-server is back on the same UNIX socket",
  missing,
  async ({ reactor }) => {
    await using folder = new Folder();
    const path = folder.file("socket");
    const clients: RespClient[] = [];
    const events: string[] = [];
    let arrived = Promise.withResolvers<RespClient>();
    let refused = Promise.withResolvers<void>();
    let stopped = false;
    const factory: ClientFactory = {
      doStart: () => void events.push("start"),
      buildProtocol() {
        const client = new RespClient();
        clients.push(client);
        client.made.promise.then(() => arrived.resolve(client));
        return client;
      },
      // As a client does that wants to be connected.
      clientConnectionFailed(connector) {
        refused.resolve();
        reactor.callLater(10, () => connector.connect());
      },
      clientConnectionLost(connector, reason) {
        events.push(reason.name);
        if (!stopped) connector.connect();
      },
      doStop: () => void events.push("stop"),
    };
    const connector = connectUNIX(path, factory, { reactor });
    for (let round = 1; round <= 3; round++) {
      await refused.promise;
      await using peer = await startRedis("--port", "0", "--unixsocket", path);
      const client = await arrived.promise;
      assertEquals(await client.command("INCR", "number"), 1);
      assertEquals(clients.length, round);
      assertEquals(connector.state, "connected");
      arrived = Promise.withResolvers();
      refused = Promise.withResolvers();
      stopped = round === 3;
      await assertRejects(() => client.command("SHUTDOWN", "NOSAVE"));
      await peer.end();
    }
    await clients[2]!.lost.promise;
    assertEquals(
      events.filter((event) => event === "ConnectionDone").length,
      3,
    );
    assertEquals(connector.state, "disconnected");
  },
);
