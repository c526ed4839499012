/**
 * `toDenoConn()`: connections in the shape of Deno's own, beside Deno's own, and
 * in the hands of code that was written for those.
 *
 * The helpers of `@std/io` are not at hand where JSR cannot be reached. The
 * functions at the beginning use a connection in the ways that those do.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ConnectionAborted, ConnectionLost, type Reactor } from "../../mod.ts";
import type { NetAddress } from "../../src/net/address.ts";
import { connect } from "../../src/net/connect.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { DenoConn } from "../../src/net/deno_conn.ts";
import { listen } from "../../src/net/listen.ts";
import { macrotask, onLinux, until } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { Checksum, LOOPBACK, pattern } from "./protocols.ts";
import { identity, root, testTLS } from "./tls_connections.ts";

// What reads and writes in the way of Go's io package, as @std/io does

/** Structural, as the types of @std/io are. */
interface Reader {
  read(p: Uint8Array): Promise<number | null>;
}
interface Writer {
  write(p: Uint8Array): Promise<number>;
}
interface Closer {
  close(): void;
}

async function writeAll(writer: Writer, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length;) {
    done += await writer.write(data.subarray(done));
  }
}

/** One buffer for everything that is copied. */
async function copy(from: Reader, to: Writer): Promise<number> {
  const buffer = new Uint8Array(32 * 1024);
  let total = 0;
  for (let count; (count = await from.read(buffer)) !== null; total += count) {
    await writeAll(to, buffer.subarray(0, count));
  }
  return total;
}

async function* iterateReader(reader: Reader): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(1000);
  for (let count; (count = await reader.read(buffer)) !== null;) {
    yield buffer.slice(0, count);
  }
}

async function readAll(reader: Reader): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const part of iterateReader(reader)) parts.push(part.slice());
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function toReadableStream(
  reader: Reader & Closer,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async pull(controller) {
      const chunk = new Uint8Array(16_640);
      const count = await reader.read(chunk);
      if (count !== null) return controller.enqueue(chunk.subarray(0, count));
      reader.close();
      controller.close();
    },
    cancel: () => reader.close(),
  });
}

function toWritableStream(
  writer: Writer & Closer,
): WritableStream<Uint8Array> {
  return new WritableStream({
    write: (chunk) => writeAll(writer, chunk),
    close: () => writer.close(),
    abort: () => writer.close(),
  });
}

/** Lines of text, as @std/streams has them. */
class LineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(text, controller) {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}

// What the tests share

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A connection in Deno's shape, and the other end. */
async function pair(
  reactor: Reactor,
): Promise<{ conn: DenoConn<NetAddress>; peer: Connection; own: Connection }> {
  await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
  const own = await connect({ ...port.getHost(), reactor });
  for await (const peer of port) return { conn: own.toDenoConn(), peer, own };
  throw new Error("The port has ended");
}

/** The same, but the one is a connection of Deno's. */
async function denosPair(
  reactor: Reactor,
): Promise<{ conn: Deno.TcpConn; peer: Connection }> {
  await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
  const { hostname, port: number } = port.getHost();
  const conn = await Deno.connect({ hostname, port: number });
  for await (const peer of port) return { conn, peer };
  throw new Error("The port has ended");
}

/** What comes of something: its value, if any, or the name of its error. */
async function outcome(what: () => unknown): Promise<unknown> {
  try {
    return await what() ?? null; // Functions of Deno's return null for nothing.
  } catch (error) {
    return (error as Error).name;
  }
}

/** Reads so much at most, as text. */
async function readText(reader: Reader, most = 100): Promise<string | null> {
  const buffer = new Uint8Array(most);
  const count = await reader.read(buffer);
  return count === null ? null : decoder.decode(buffer.subarray(0, count));
}

// The same as Deno's own

/** What is done to a connection: what comes of it is compared. */
type Deeds = (conn: Deno.TcpConn, peer: Connection) => unknown[];

const DEEDS: Record<string, Deeds> = {
  "reads that wait are served in their order": (conn, peer) => {
    const reads = [readText(conn, 5), readText(conn, 5)];
    peer.write("helloworld");
    return reads.map((read) => () => read);
  },
  "a read gives no more than there is room for": (conn, peer) => {
    peer.write("helloworld");
    return [() => readText(conn, 7), () => readText(conn, 7)];
  },
  "nothing is read, and nothing is written": (conn) => [
    () => conn.read(new Uint8Array()),
    () => conn.write(new Uint8Array()),
  ],
  "the end is the end": (conn, peer) => {
    peer.write("last");
    peer.loseConnection();
    return [1, 2, 3].map(() => () => readText(conn));
  },
  "close() interrupts a read": (conn) => {
    const read = conn.read(new Uint8Array(1));
    conn.close();
    return [() => read];
  },
  "nothing works after close()": (conn) => {
    conn.close();
    return [
      () => conn.read(new Uint8Array(1)),
      () => conn.write(new Uint8Array(1)),
      () => conn.closeWrite(),
      () => conn.setNoDelay(),
      () => conn.setKeepAlive(),
      () => conn.close(),
      () => conn[Symbol.dispose](),
    ];
  },
  "closeWrite() leaves the other half open": (conn, peer) => [
    () => conn.closeWrite(),
    () => peer.readable.getReader().read().then(({ done }) => done),
    () => conn.closeWrite(),
    () => conn.write(new Uint8Array(1)),
    () => peer.write("answer"),
    () => peer.loseConnection(),
    () => readText(conn),
    () => readText(conn),
    () => conn.closeWrite(),
  ],
  "a reset rejects a read": (conn, peer) => {
    const read = conn.read(new Uint8Array(1));
    peer.abortConnection();
    return [() => read];
  },
  "a reset rejects writes": (conn, peer) => {
    const writes = async () => {
      for (;;) await conn.write(new Uint8Array(1_000_000));
    };
    const writing = outcome(writes);
    return [
      () => until(() => peer.bufferedAmount === 0),
      () => peer.abortConnection(),
      () => writing,
      writes,
    ];
  },
  "arguments are checked": (conn) => [
    () => conn.read(undefined as unknown as Uint8Array),
    () => conn.write("text" as unknown as Uint8Array),
  ],
  "there are options of TCP": (conn) => [
    () => conn.setNoDelay(),
    () => conn.setNoDelay(false),
    () => conn.setKeepAlive(),
    () => conn.setKeepAlive(false),
    () => conn.ref(),
  ],
  "reads and readable take turns": (conn, peer) => {
    const stream = async () => {
      const reader = conn.readable.getReader();
      const { value } = await reader.read();
      reader.releaseLock();
      return decoder.decode(value);
    };
    return [
      () => peer.write("a"),
      stream,
      () => peer.write("b"),
      () => readText(conn),
      () => peer.write("c"),
      stream,
    ];
  },
  "readable fills buffers": (conn, peer) => {
    peer.write("hello");
    peer.loseConnection();
    const reader = conn.readable.getReader({ mode: "byob" });
    return [1, 2, 3].map(() => async () => {
      const { done, value } = await reader.read(new Uint8Array(3));
      return [done, decoder.decode(value)];
    });
  },
};

for (const [name, deeds] of Object.entries(DEEDS)) {
  testOnBackends(
    `toDenoConn() does as Deno's own connections do: ${name}`,
    async ({ reactor }) => {
      const outcomes = [];
      for (const make of [denosPair, pair]) {
        const { conn, peer } = await make(reactor);
        const some = [];
        for (const deed of deeds(conn, peer)) {
          some.push(await outcome(deed as () => unknown));
        }
        outcomes.push(some);
        conn[Symbol.dispose]();
      }
      assertEquals(outcomes[1], outcomes[0]);
      assert(outcomes[0]!.length > 0);
    },
  );
}

testOnBackends(
  "toDenoConn() has the addresses as Deno's own connections have them",
  async ({ reactor }) => {
    const { conn, peer, own } = await pair(reactor);
    assertEquals(conn.localAddr, peer.getPeer() as NetAddress);
    assertEquals(conn.remoteAddr, peer.getHost() as NetAddress);
    using denos = (await denosPair(reactor)).conn;
    assertEquals(
      Object.keys(conn.localAddr).sort(),
      Object.keys(denos.localAddr).sort(),
    );
    assertStrictEquals(own.toDenoConn(), conn);
    conn.close();
  },
);

// What differs

testOnBackends(
  "a write to toDenoConn() settles when everything is sent, and close() waits for it",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    const data = pattern(20_000_000);
    let settled = 0;
    const first = conn.write(data).then((count) => settled = count);
    const second = conn.write(encoder.encode("end"));
    await until(() => peer.bufferedAmount === 0);
    for (let i = 0; i < 20; i++) await macrotask();
    assertEquals(settled, 0);
    conn.close();
    const received = new Checksum();
    for await (const part of peer) received.add(part);
    const expected = new Checksum();
    expected.add(data);
    expected.add(encoder.encode("end"));
    assertEquals(`${received}`, `${expected}`);
    assertEquals(await first, data.length);
    assertEquals(await second, 3);
  },
);

testOnBackends(
  "closing the writable of toDenoConn() closes one half",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    const writer = conn.writable.getWriter();
    await writer.write(encoder.encode("question"));
    await writer.close();
    assertEquals(await new Response(peer.readable).text(), "question");
    peer.write("answer");
    peer.loseConnection();
    assertEquals(decoder.decode(await readAll(conn)), "answer");
    conn.close();
  },
);

testOnBackends(
  "errors of toDenoConn() say what the reactor says, too",
  async ({ reactor }) => {
    const lost = await pair(reactor);
    const read = lost.conn.read(new Uint8Array(1));
    lost.peer.abortConnection();
    const reset = await assertRejects(
      () => read,
      Deno.errors.ConnectionReset,
      "Cannot read from a connection: ",
    );
    assertInstanceOf(reset.cause, ConnectionLost);
    assertEquals((reset as { code?: string }).code, "ECONNRESET");
    // It stays an error: what was received is not all that there was.
    await assertRejects(
      () => lost.conn.read(new Uint8Array(1)),
      Deno.errors.ConnectionReset,
    );
    await assertRejects(
      () => lost.conn.write(new Uint8Array(1)),
      Deno.errors.BrokenPipe,
    );
    await lost.conn.closeWrite();
    lost.conn.close();

    const aborted = await pair(reactor);
    const write = aborted.conn.write(new Uint8Array(20_000_000));
    const half = aborted.conn.closeWrite();
    aborted.own.abortConnection();
    for (const promise of [write, half, aborted.conn.read(new Uint8Array(1))]) {
      const error = await assertRejects(
        () => promise as Promise<unknown>,
        Deno.errors.ConnectionAborted,
      );
      assertInstanceOf(error.cause, ConnectionAborted);
    }

    const stopped = await pair(reactor);
    const last = stopped.conn.read(new Uint8Array(1));
    reactor.stop();
    await assertRejects(
      () => last,
      Deno.errors.ConnectionAborted,
    );
    await assertRejects(
      () => stopped.conn.write(new Uint8Array(1)),
      Deno.errors.BrokenPipe,
    );
  },
);

testOnBackends(
  "toDenoConn() reads what came before the connection was lost",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    peer.write("hello");
    assertEquals(await readText(conn, 1), "h"); // All of it has come.
    peer.abortConnection();
    await until(() => reactor.getReaders().length === 0);
    assertEquals(await readText(conn, 1), "e");
    assertEquals(await readText(conn), "llo");
    await assertRejects(() => readText(conn), Deno.errors.ConnectionReset);
    conn.close();
  },
);

testOnBackends(
  "toDenoConn() cannot let go of a connection, and says so",
  async ({ reactor }) => {
    const { conn } = await pair(reactor);
    conn.ref();
    assertThrows(() => conn.unref(), Deno.errors.NotSupported, "reactor");
    conn.close();
  },
);

testOnBackends(
  "a write to toDenoConn() after loseConnection() is refused, not forgotten",
  async ({ reactor }) => {
    const { conn, own } = await pair(reactor);
    own.loseConnection();
    await assertRejects(
      () => conn.write(new Uint8Array(1)),
      Deno.errors.BrokenPipe,
    );
    assertEquals(await readText(conn), null);
  },
);

testOnBackends(
  "reads of toDenoConn() that wait end with readable when that is cancelled",
  async ({ reactor }) => {
    const { conn, peer, own } = await pair(reactor);
    const read = readText(conn);
    await conn.readable.cancel();
    assertEquals(await read, null);
    await own.closed;
    assertEquals(await new Response(peer.readable).text(), "");
  },
);

testOnBackends(
  "a read of toDenoConn() waits its turn behind readable",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    const reader = conn.readable.getReader();
    const reads = [reader.read(), reader.read()];
    const third = readText(conn);
    for (const text of ["a", "b", "c"]) {
      peer.write(text);
      await until(() => peer.bufferedAmount === 0);
      for (let i = 0; i < 5; i++) await macrotask();
    }
    const all = await Promise.all([reads[0], third, reads[1]]);
    assertEquals(decoder.decode((all[0] as { value: Uint8Array }).value), "a");
    assertEquals(all[1], "b");
    assertEquals(decoder.decode((all[2] as { value: Uint8Array }).value), "c");
    conn.close();
  },
);

// In the hands of others

testOnBackends(
  "toDenoConn() is what functions for Deno's connections take",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    // The compiler's word is the test.
    const tcp: Deno.TcpConn = conn;
    const any: Deno.Conn = conn;
    const io: Reader & Writer & Closer = conn;
    const general: Deno.Conn = peer.toDenoConn();
    assert(tcp === any && any === io);
    assertEquals(general.remoteAddr, tcp.localAddr);
    general.close();
    tcp.close();
  },
);

testOnBackends(
  "copy() with one buffer echoes byte for byte over toDenoConn()",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    const data = pattern(5_000_001);
    const server = peer.toDenoConn();
    const copied = (async () => {
      const count = await copy(server, server);
      server.close();
      return count;
    })();
    const received = new Checksum();
    const reading = (async () => {
      for await (const part of iterateReader(conn)) received.add(part);
    })();
    // The caller's buffer is its own again after each write.
    const buffer = new Uint8Array(70_001);
    for (let at = 0; at < data.length; at += buffer.length) {
      const part = data.subarray(at, at + buffer.length);
      buffer.set(part);
      await writeAll(conn, buffer.subarray(0, part.length));
    }
    await conn.closeWrite();
    await reading;
    const expected = new Checksum();
    expected.add(data);
    assertEquals(`${received}`, `${expected}`);
    assertEquals(await copied, data.length);
    conn.close();
  },
);

testOnBackends(
  "readAll() and writeAll() take toDenoConn(), with Deno's own at the other end",
  async ({ reactor }) => {
    await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
    const { hostname, port: number } = port.getHost();
    using denos = await Deno.connect({ hostname, port: number });
    for await (const connection of port) {
      using conn = connection.toDenoConn();
      const data = pattern(300_000);
      await Promise.all([writeAll(denos, data), readExactly(conn, data)]);
      await denos.closeWrite();
      assertEquals(await readAll(conn), new Uint8Array());
      const both = Promise.all([readAll(denos), writeAll(conn, data)]);
      await until(() => connection.bufferedAmount === 0);
      await conn.closeWrite();
      assertEquals((await both)[0], data);
      break;
    }
  },
);

async function readExactly(reader: Reader, data: Uint8Array): Promise<void> {
  const all = new Uint8Array(data.length);
  for (let at = 0; at < all.length;) {
    at += (await reader.read(all.subarray(at)))!;
  }
  assertEquals(all, data);
}

testOnBackends(
  "toReadableStream() and toWritableStream() take toDenoConn()",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    const data = pattern(1_000_000);
    const sent = new Blob([data]).stream().pipeTo(toWritableStream(conn));
    const received = await new Response(toReadableStream(peer.toDenoConn()))
      .bytes();
    await sent;
    assertEquals(received, data);
    assertThrows(() => conn.close(), Deno.errors.BadResource);
    assertThrows(() => peer.toDenoConn().close(), Deno.errors.BadResource);
  },
);

testOnBackends(
  "readable of toDenoConn() goes through TextDecoderStream and a stream of lines",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    const lines = ["grüße", "世界", "", "🦕".repeat(50_000), "end"];
    peer.write(lines.join("\n"));
    peer.loseConnection();
    const texts = conn.readable
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new LineStream());
    assertEquals(await Array.fromAsync(texts), lines);
    conn.close();
  },
);

testOnBackends(
  "streams of toDenoConn() go through compression, and can be teed",
  async ({ reactor }) => {
    const { conn, peer } = await pair(reactor);
    const data = pattern(1_000_000);
    const sent = new Blob([data]).stream()
      .pipeThrough(new CompressionStream("gzip"))
      .pipeTo(conn.writable);
    const halves = peer.toDenoConn().readable
      .pipeThrough(new DecompressionStream("gzip"))
      .tee();
    for (const half of halves) {
      assertEquals(await new Response(half).bytes(), data);
    }
    await sent;

    const other = await pair(reactor);
    other.peer.write(data);
    other.peer.loseConnection();
    const [one, two] = other.conn.readable.tee();
    const texts = await Promise.all([
      new Response(one).bytes(),
      new Response(two).bytes(),
    ]);
    assertEquals(texts, [data, data]);
    conn.close();
    other.conn.close();
  },
);

testOnBackends(
  "toDenoConn() works on UNIX sockets",
  async ({ reactor }) => {
    const path = onLinux
      ? `\0interleave ${crypto.randomUUID()}`
      : `${Deno.makeTempDirSync()}/socket`;
    await using port = listen({ path, reactor });
    const client = await connect({ path, reactor });
    for await (const connection of port) {
      const conn: Deno.UnixConn = client.toDenoConn();
      assertEquals(conn.remoteAddr, { transport: "unix", path });
      const server = connection.toDenoConn();
      await writeAll(conn, encoder.encode("hello"));
      assertEquals(await readText(server), "hello");
      assertThrows(() => server.setNoDelay(), Deno.errors.NotSupported);
      server.setKeepAlive();
      server.close();
      assertEquals(await readText(conn), null);
      await assertRejects(
        () => conn.write(new Uint8Array(1)),
        Deno.errors.BrokenPipe,
      );
      conn.close();
      break;
    }
  },
);

testTLS("toDenoConn() works with TLS", async ({ reactor }) => {
  await using port = listen({
    hostname: LOOPBACK,
    port: 0,
    tls: identity,
    reactor,
  });
  const client = await connect({
    ...port.getHost(),
    tls: { caCerts: [root] },
    reactor,
  });
  for await (const connection of port) {
    const conn = client.toDenoConn();
    const server = connection.toDenoConn();
    const data = pattern(3_000_000);
    const copied = (async () => {
      const count = await copy(server, server);
      await server.closeWrite();
      return count;
    })();
    const reading = readExactly(conn, data);
    await writeAll(conn, data);
    await reading;
    await conn.closeWrite();
    assertEquals(await copied, data.length);
    assertEquals(await readText(conn), null);
    server.close();
    conn.close();
    break;
  }
});
