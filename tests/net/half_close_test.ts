/**
 * Connections that are closed one half at a time.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { ConnectionDone, type Reactor } from "../../mod.ts";
import { macrotask, until } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import {
  connectDeno,
  connectPair,
  HalfCloseRecorder,
  type Pair,
  pattern,
  Recorder,
  takeErrors,
} from "./protocols.ts";

/** Starts a reactor, and connects two recorders with each other. */
function start(
  reactor: Reactor,
): Promise<Pair<HalfCloseRecorder, HalfCloseRecorder>> {
  reactor.interleave();
  return connectPair(
    reactor,
    new HalfCloseRecorder(),
    new HalfCloseRecorder(),
  );
}

testOnBackends(
  "loseWriteConnection() sends everything, closes that half, says so, and goes on reading (contract 221)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new HalfCloseRecorder();
    using conn = await connectDeno(reactor, protocol);
    const data = pattern(5_000_000);
    protocol.transport.write(data);
    protocol.transport.loseWriteConnection();
    protocol.transport.loseWriteConnection();
    assertEquals(protocol.events, ["made"]);
    const writer = conn.writable.getWriter();
    const got = new Uint8Array(await new Response(conn.readable).arrayBuffer());
    assert(
      got.every((byte, i) => byte === data[i]) && got.length === data.length,
    );
    assertEquals(protocol.events, ["made", "write lost"]);
    // `readable` has closed it: Deno's streams end together.
    await writer.abort().catch(() => {});
  },
);

testOnBackends(
  "a peer that writes no more is readConnectionLost, and writing goes on (contract 222)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new HalfCloseRecorder();
    using conn = await connectDeno(reactor, protocol);
    await conn.closeWrite();
    await until(() => protocol.events.length === 2);
    assertEquals(protocol.events, ["made", "read lost"]);
    protocol.transport.resumeProducing();
    protocol.transport.write("still here");
    const buffer = new Uint8Array(50);
    const count = await conn.read(buffer);
    assertEquals(
      new TextDecoder().decode(buffer.subarray(0, count!)),
      "still here",
    );
    protocol.transport.loseConnection();
    assertEquals(await conn.read(buffer), null);
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertEquals(protocol.events, [
      "made",
      "read lost",
      "lost: ConnectionDone",
    ]);
  },
);

testOnBackends(
  "a peer that writes no more is the end for a protocol without that (contract 223)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    using conn = await connectDeno(reactor, protocol);
    await conn.closeWrite();
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertEquals(await conn.read(new Uint8Array(1)), null);
  },
);

testOnBackends(
  "loseWriteConnection() when the peer is gone is silent (contract 224)",
  async ({ reactor }) => {
    const { server, client } = await start(reactor);
    server.transport.pauseProducing();
    client.transport.abortConnection();
    await client.lost.promise;
    server.transport.loseWriteConnection();
    await until(() => server.events.includes("write lost"));
    client.transport.loseWriteConnection();
    assertEquals(client.events, ["made", "lost: ConnectionAborted"]);
  },
);

for (const half of ["read", "write"] as const) {
  testOnBackends(
    `${half}ConnectionLost that throws is reported, and the end with that (contract 225)`,
    async ({ reactor, errors }) => {
      const { server, client } = await start(reactor);
      const [thrower, other] = half === "read"
        ? [server, client]
        : [client, server];
      thrower.onReadLost = thrower.onWriteLost = () => {
        throw new Error("on purpose");
      };
      client.transport.loseWriteConnection();
      assertEquals((await thrower.lost.promise).message, "on purpose");
      takeErrors(errors, "on purpose");
      assertEquals(thrower.events, ["made", `${half} lost`, "lost: Error"]);
      await until(() => other.events.includes("read lost"));
    },
  );
}

testOnBackends(
  "both halves closed are the end of the connection (contract 226)",
  async ({ reactor }) => {
    const { server, client } = await start(reactor);
    client.transport.loseWriteConnection();
    await until(() => server.events.includes("read lost"));
    server.transport.write("bye");
    server.transport.loseWriteConnection();
    await Promise.all([server.lost.promise, client.lost.promise]);
    assertEquals(client.events, [
      "made",
      "write lost",
      "bye",
      "read lost",
      "lost: ConnectionDone",
    ]);
    assertEquals(server.events, [
      "made",
      "read lost",
      "write lost",
      "lost: ConnectionDone",
    ]);
  },
);

testOnBackends(
  "loseConnection() in writeConnectionLost closes the connection (contract 226)",
  async ({ reactor }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Recorder(),
      new HalfCloseRecorder(),
    );
    client.transport.pauseProducing();
    client.onWriteLost = () => client.transport.loseConnection();
    client.transport.loseWriteConnection();
    await Promise.all([server.lost.promise, client.lost.promise]);
    assertEquals(client.events, ["made", "write lost", "lost: ConnectionDone"]);
  },
);

testOnBackends(
  "write() after loseWriteConnection() is dropped (contract 227)",
  async ({ reactor }) => {
    const { server, client } = await start(reactor);
    client.transport.write("before");
    client.transport.loseWriteConnection();
    client.transport.write("dropped");
    await until(() => client.events.includes("write lost"));
    client.transport.write("dropped, too");
    assertEquals(client.transport.bufferedAmount, 0);
    await until(() => server.events.includes("read lost"));
    await macrotask();
    assertEquals(server.events, ["made", "before", "read lost"]);
  },
);
