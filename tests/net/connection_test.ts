/**
 * `connect()` and `listen()`: connections for people who think in promises.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  ConnectionAborted,
  ConnectionLost,
  type Reactor,
  ReactorNotRestartable,
} from "../../mod.ts";
import type { NetAddress } from "../../src/net/address.ts";
import { connect } from "../../src/net/connect.ts";
import type { Connection } from "../../src/net/connection.ts";
import {
  CannotListenError,
  ConnectionRefusedError,
  InvalidAddressError,
} from "../../src/net/errors.ts";
import { listen } from "../../src/net/listen.ts";
import { macrotask, until, unusedPort } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { Checksum, LOOPBACK, pattern } from "./protocols.ts";

/** Both ends of a connection. */
async function pair(reactor: Reactor): Promise<[Connection, Connection]> {
  await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
  const client = await connect({ ...port.getHost() as NetAddress, reactor });
  for await (const server of port) return [server, client];
  throw new Error("The port has ended");
}

testOnBackends(
  "connect() and listen() start a reactor that nothing has started, and run() takes it over",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    assertEquals(server.getPeer(), client.getHost());
    assertEquals(client.getPeer(), server.getHost());
    const run = reactor.run({ signals: false });
    client.write("hello");
    client.loseConnection();
    let text = "";
    for await (const data of server) text += new TextDecoder().decode(data);
    assertEquals(text, "hello");
    reactor.stop();
    await run;
  },
);

testOnBackends(
  "a Connection is iterated, half-closed and disposed",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    {
      await using connection = client;
      connection.write("question");
      connection.loseWriteConnection();
      let text = "";
      for await (const data of server) text += new TextDecoder().decode(data);
      assertEquals(text, "question");
      server.writeSequence(["an", "swer"]);
      server.loseWriteConnection();
      assertEquals(await new Response(connection.readable).text(), "answer");
    }
    await client.closed;
    await server.closed;
  },
);

testOnBackends(
  "leaving the iteration of a Connection leaves it open",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    client.write("a");
    for await (const data of server) {
      assertEquals(data, new Uint8Array([97]));
      break;
    }
    client.write("b");
    for await (const data of server) {
      assertEquals(data, new Uint8Array([98]));
      break;
    }
    server.write("c");
    for await (const data of client) {
      assertEquals(data, new Uint8Array([99]));
      break;
    }
  },
);

testOnBackends(
  "readable and writable of a Connection go through TextDecoderStream",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    const lines = ["grüße", "世界", "🦕".repeat(50_000)];
    const sent = ReadableStream.from(lines)
      .pipeThrough(new TextEncoderStream())
      .pipeTo(client.writable);
    let text = "";
    for await (
      const part of server.readable.pipeThrough(new TextDecoderStream())
    ) {
      text += part;
    }
    assertEquals(text, lines.join(""));
    await sent;
  },
);

testOnBackends(
  "a slow reader of a Connection stops the writer, and everything arrives",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    const portion = pattern(100_000);
    const portions = 400;
    let written = 0;
    let most = 0;
    const writing = (async () => {
      const writer = client.writable.getWriter();
      for (let i = 0; i < portions; i++) {
        await writer.write(portion);
        written += portion.length;
        most = Math.max(most, client.bufferedAmount);
      }
      await writer.close();
    })();
    // Nobody reads: what the kernel takes, and no more, is written.
    let before = -1;
    while (before !== written) {
      before = written;
      for (let i = 0; i < 20; i++) await macrotask();
    }
    assert(written < portions * portion.length);
    const checksum = new Checksum();
    const expected = new Checksum();
    for (let i = 0; i < portions; i++) expected.add(portion);
    for await (const data of server.readable) checksum.add(data);
    await writing;
    assertEquals(`${checksum}`, `${expected}`);
    assert(most <= 65_536 + portion.length);
  },
);

testOnBackends(
  "a Connection reads no more ahead than its queue holds",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    const size = 60_000_000;
    client.write(new Uint8Array(size));
    await until(() =>
      reactor.getReaders().length === 1 && reactor.getWriters().length === 1
    );
    for (let i = 0; i < 50; i++) await macrotask();
    // The kernel's buffers are full, and so is the queue; the rest is here.
    assert(client.bufferedAmount > 0);
    const reader = server.readable.getReader();
    let received = 0;
    while (received < size) {
      const { value } = await reader.read();
      received += value!.length;
    }
    assertEquals(received, size);
  },
);

testOnBackends(
  "a write to a Connection rejects when it is lost meanwhile, and so does closed",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    const writer = client.writable.getWriter();
    const writing = writer.write(new Uint8Array(60_000_000));
    await until(() => client.bufferedAmount > 0);
    server.abortConnection();
    await assertRejects(() => writing, ConnectionLost);
    await assertRejects(() => client.closed, ConnectionLost);
    await assertRejects(() => server.closed, ConnectionAborted);
    await assertRejects(
      () => client.readable.getReader().read(),
      ConnectionLost,
    );
    await assertRejects(() => writer.write("x"));
    client.write("x");
    await using _disposed = client;
  },
);

testOnBackends(
  "readable of a Connection fills buffers of its reader",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    const data = pattern(500_000);
    client.write(data);
    client.loseWriteConnection();
    const reader = server.readable.getReader({ mode: "byob" });
    const received = new Checksum();
    let buffer = new Uint8Array(1000);
    for (;;) {
      const { done, value } = await reader.read(buffer);
      if (done) break;
      received.add(value);
      buffer = new Uint8Array(value.buffer);
    }
    const expected = new Checksum();
    expected.add(data);
    assertEquals(`${received}`, `${expected}`);
    reader.releaseLock();

    // Half a number at the end is the reader's trouble, not the connection's.
    server.write(new Uint8Array(7));
    server.loseWriteConnection();
    const numbers = client.readable.getReader({ mode: "byob" });
    const { value } = await numbers.read(new Uint32Array(1));
    assertEquals(value, new Uint32Array(1));
    await assertRejects(() => numbers.read(new Uint32Array(1)), TypeError);
    await client.closed;
    await server.closed;
  },
);

testOnBackends(
  "what came before a Connection was lost can be read",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    client.write("last words");
    const reader = server.readable.getReader({ mode: "byob" });
    const first = await reader.read(new Uint8Array(4)); // All of it has come.
    assertEquals(first.value, new TextEncoder().encode("last"));
    reader.releaseLock();
    client.abortConnection();
    await assertRejects(() => server.closed, ConnectionLost);
    let text = "";
    await assertRejects(async () => {
      for await (const data of server) text += new TextDecoder().decode(data);
    }, ConnectionLost);
    assertEquals(text, " words");
  },
);

testOnBackends(
  "pauseProducing() of a Connection holds, whoever reads",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    client.write(new Uint8Array(1_000_000));
    // Nobody reads, so that it has stopped by itself as well.
    await until(() => reactor.getReaders().length === 1);
    server.pauseProducing();
    const reader = server.readable.getReader();
    let received = 0;
    const reading = (async () => {
      while (received < 1_000_000) {
        received += (await reader.read()).value!.length;
      }
    })();
    for (let i = 0; i < 20; i++) await macrotask();
    assert(received < 1_000_000);
    assertEquals(reactor.getReaders().length, 1);
    server.resumeProducing();
    await reading;
    server.pauseProducing();
    client.write("x");
    const last = reader.read();
    await until(() => client.bufferedAmount === 0);
    for (let i = 0; i < 20; i++) await macrotask();
    server.resumeProducing();
    assertEquals((await last).value, new TextEncoder().encode("x"));
  },
);

testOnBackends(
  "pauseProducing() of listen() holds, whoever iterates",
  async ({ reactor }) => {
    await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
    port.pauseProducing();
    await connect({ ...port.getHost(), reactor });
    let count = 0;
    const iteration = (async () => {
      for await (const _connection of port) count++;
    })();
    for (let i = 0; i < 20; i++) await macrotask();
    assertEquals(count, 0);
    port.resumeProducing();
    await until(() => count === 1);
    await port.stopListening();
    await iteration;
  },
);

testOnBackends(
  "who aborts a Connection reads no more of it",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    client.write("in vain");
    const reader = server.readable.getReader({ mode: "byob" });
    await reader.read(new Uint8Array(2));
    server.abortConnection();
    await assertRejects(() => server.closed, ConnectionAborted);
    await assertRejects(
      () => reader.read(new Uint8Array(2)),
      ConnectionAborted,
    );
  },
);

testOnBackends(
  "writes to a Connection that waits for room settle together",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    const writer = client.writable.getWriter();
    const writes = [
      writer.write(new Uint8Array(5_000_000)),
      writer.write(new Uint8Array(100_000)),
      writer.close(),
    ];
    let size = 0;
    for await (const data of server) size += data.length;
    await Promise.all(writes);
    assertEquals(size, 5_100_000);
    // A producer of the program's own has the connection for itself.
    const producer = {
      resumeProducing() {},
      stopProducing() {},
    };
    server.registerProducer(producer, false);
    server.write(new Uint8Array(5_000_000));
    const refused = server.writable.getWriter();
    await assertRejects(() => refused.write("x"), RangeError, "producer");
    await assertRejects(() => refused.closed, RangeError);
    server.abortConnection();
  },
);

testOnBackends(
  "cancelling readable ends a Connection, aborting writable aborts it",
  async ({ reactor }) => {
    const [server, client] = await pair(reactor);
    client.write("last words");
    await client.readable.cancel();
    assertEquals(await new Response(server.readable).text(), "last words");
    await client.closed;

    const [other, aborted] = await pair(reactor);
    await aborted.writable.abort();
    await assertRejects(() => aborted.closed, ConnectionAborted);
    await assertRejects(() => other.closed, ConnectionLost);
  },
);

testOnBackends(
  "writable of a Connection refuses what is no bytes",
  async ({ reactor }) => {
    const [, client] = await pair(reactor);
    const writer = client.writable.getWriter();
    await assertRejects(
      () => writer.write(1 as unknown as string),
      TypeError,
      '"data"',
    );
    await assertRejects(() => writer.closed, TypeError);
  },
);

testOnBackends(
  "a Connection passes the options of TCP on",
  async ({ reactor }) => {
    const [, client] = await pair(reactor);
    client.setTcpNoDelay(true);
    client.setTcpKeepAlive(true);
    assert(client.getTcpNoDelay() && client.getTcpKeepAlive());
  },
);

testOnBackends(
  "connect() rejects when it is refused, or gets bad options",
  async ({ reactor }) => {
    const port = unusedPort();
    await assertRejects(
      () => connect({ hostname: LOOPBACK, port, reactor }),
      ConnectionRefusedError,
    );
    await assertRejects(
      () => connect({ hostname: LOOPBACK, port: -1, reactor }),
      RangeError,
    );
    await assertRejects(
      () => connect(undefined as never),
      TypeError,
      '"options"',
    );
    await assertRejects(
      () => connect({ hostname: LOOPBACK, port, signal: 1 as never, reactor }),
      TypeError,
      "signal",
    );
    assertThrows(() => listen(null as never), TypeError, '"options"');
    assertThrows(
      () => listen({ port: 0, signal: 1 as never, reactor }),
      TypeError,
      '"options.signal"',
    );
    assertThrows(() => listen({ port: 70_000, reactor }), RangeError);
    assertThrows(
      () => listen({ hostname: "192.0.2.1", port: 0, reactor }),
      CannotListenError,
    );
  },
);

testOnBackends(
  "connect() rejects with the signal's reason, before and during",
  async ({ reactor }) => {
    await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
    const address = port.getHost() as NetAddress;
    const reason = new Error("enough");
    const before = connect({
      ...address,
      signal: AbortSignal.abort(reason),
      reactor,
    });
    assertEquals(await before.catch((error) => error), reason);

    const controller = new AbortController();
    const { signal } = controller;
    const during = connect({ ...address, signal, reactor });
    controller.abort(reason);
    assertEquals(await during.catch((error) => error), reason);

    const afterwards = new AbortController();
    const connection = await connect({
      ...address,
      signal: afterwards.signal,
      reactor,
    });
    afterwards.abort();
    connection.write("x");
    for await (const server of port) {
      assertInstanceOf(await server.readable.getReader().read(), Object);
      break;
    }
  },
);

testOnBackends(
  "the iteration of listen() ends at stopListening(), and begins again",
  async ({ reactor }) => {
    await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
    const address = port.getHost() as NetAddress;
    const count = async () => {
      let count = 0;
      for await (const connection of port) {
        count++;
        connection.loseConnection();
      }
      return count;
    };
    const first = count();
    const connections = await Promise.all(
      Array.from({ length: 50 }, () => connect({ ...address, reactor })),
    );
    for (const connection of connections) {
      assertEquals(await new Response(connection.readable).text(), "");
      connection.loseConnection();
    }
    await port.stopListening();
    assertEquals(await first, 50);
    assertEquals(await count(), 0);
  },
);

testOnBackends(
  "a signal ends listen(), and leaves the connections",
  async ({ reactor }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const port = listen({ hostname: LOOPBACK, port: 0, signal, reactor });
    const client = await connect({ ...port.getHost(), reactor });
    const servers: Connection[] = [];
    const reason = new Error("enough");
    for await (const server of port) {
      servers.push(server);
      // Leaving the loop leaves the port: only the signal ends it.
      break;
    }
    const second = await connect({ ...port.getHost(), reactor });
    for await (const server of port) {
      servers.push(server);
      controller.abort(reason);
    }
    assertEquals(servers.length, 2);
    await assertRejects(
      () => connect({ ...port.getHost(), reactor }),
      ConnectionRefusedError,
    );
    for (const connection of [client, second]) {
      connection.write("still there");
      connection.loseConnection();
    }
    for (const server of servers) {
      assertEquals(await new Response(server.readable).text(), "still there");
    }
    const again = assertThrows(() => port.startListening());
    assertEquals(again, reason);
    await port.stopListening();
    const late = assertThrows(() =>
      listen({ hostname: LOOPBACK, port: 0, signal, reactor })
    );
    assertEquals(late, reason);
  },
);

testOnBackends(
  "a signal that outlives listen() is let go",
  async ({ reactor }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const port = listen({ hostname: LOOPBACK, port: 0, signal, reactor });
    await port.stopListening();
    port.startListening();
    const address = port.getHost();
    await port.stopListening();
    controller.abort();
    await using other = listen({ ...address, reactor });
    assertEquals(other.getHost(), address);
  },
);

testOnBackends(
  "listen() takes localhost, and no other name",
  async ({ reactor }) => {
    for (const hostname of ["localhost", "LOCALHOST"]) {
      await using port = listen({ hostname, port: 0, reactor });
      const host = port.getHost();
      assertEquals(host.hostname, LOOPBACK);
      const client = await connect({ hostname, port: host.port, reactor });
      client.write("hello");
      client.loseConnection();
      for await (const server of port) {
        assertEquals(await new Response(server.readable).text(), "hello");
        break;
      }
    }
    for (const hostname of ["example.com", "localhost.", "", "[::1]"]) {
      assertThrows(
        () => listen({ hostname, port: 0, reactor }),
        InvalidAddressError,
        `"options.hostname" must be an IPv4 or IPv6 address or "localhost"`,
      );
    }
  },
);

testOnBackends(
  "listen() takes no more connections than are asked for, and loses none",
  async ({ reactor }) => {
    await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
    const address = port.getHost() as NetAddress;
    const clients = await Promise.all(
      Array.from({ length: 60 }, () => connect({ ...address, reactor })),
    );
    for (let i = 0; i < 50; i++) await macrotask();
    // Each connection reads ahead: all clients, and those that were taken.
    assert(reactor.getReaders().length < clients.length + 20);
    let count = 0;
    for await (const _connection of port) if (++count === 60) break;
    assertEquals(count, clients.length);
  },
);

testOnBackends(
  "stop() ends connections and the iteration of listen()",
  async ({ reactor }) => {
    const port = listen({ hostname: LOOPBACK, port: 0, reactor });
    const client = await connect({ ...port.getHost() as NetAddress, reactor });
    let count = 0;
    const iteration = (async () => {
      for await (const _connection of port) count++;
    })();
    await until(() => count === 1);
    reactor.stop();
    await iteration;
    await assertRejects(() => client.closed, ConnectionLost);
    await assertRejects(
      () => client.readable.getReader().read(),
      ConnectionLost,
    );
    await reactor.finished;
    await assertRejects(
      () => connect({ hostname: LOOPBACK, port: 1, reactor }),
      ReactorNotRestartable,
    );
    assertThrows(() => listen({ port: 0, reactor }), ReactorNotRestartable);
  },
);

testOnBackends(
  "Deno's own sockets talk to listen()",
  async ({ reactor }) => {
    await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
    void (async () => {
      for await (const { readable, writable } of port) {
        void readable.pipeTo(writable);
      }
    })();
    using conn = await Deno.connect(
      port.getHost() as Deno.NetAddr & { transport: "tcp" },
    );
    await conn.write(new TextEncoder().encode("echo"));
    await conn.closeWrite();
    assertEquals(await new Response(conn.readable).text(), "echo");
  },
);
