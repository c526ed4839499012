/**
 * Protocols that receive into a place of their own.
 *
 * @module
 */

import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import { libc } from "../../ffi/libc.ts";
import { removeFile } from "../../ffi/socket_files.ts";
import { makeRaw } from "../../ffi/terminal_mode.ts";
import { ConnectionDone, FileDescriptor, type Reactor } from "../../mod.ts";
import {
  adoptStream,
  type BufferedProtocol,
  connectUNIX,
  listenTCP,
  listenUNIX,
  openPty,
  type Transport,
} from "../../src/net/mod.ts";
import { PATIENCE } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import {
  Checksum,
  Client,
  LOOPBACK,
  numberOf,
  pattern,
  Recorder,
  takeErrors,
} from "./protocols.ts";

// They stay open from their first use on, which the sanitizer would take for a
// leak of the test that comes first.
libc();
removeFile("/nonexistent/file");
assertThrows(() => makeRaw(-1));

/** Receives into one buffer again and again, and notes what came. */
class Buffered implements BufferedProtocol {
  declare transport: Transport;
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly counts: number[] = [];
  readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
  text = "";
  readonly #data: (protocol: Buffered, bytes: Uint8Array) => unknown;

  constructor(
    length: number,
    data: (protocol: Buffered, bytes: Uint8Array) => unknown = () => {},
  ) {
    this.buffer = new Uint8Array(length);
    this.#data = data;
  }

  getBuffer(): Uint8Array {
    return this.buffer;
  }

  bufferUpdated(count: number): unknown {
    const bytes = this.buffer.subarray(0, count);
    this.counts.push(count);
    if (bytes.length < 100) this.text += new TextDecoder().decode(bytes);
    return this.#data(this, bytes);
  }

  connectionLost(reason: Error): void {
    this.lost.resolve(reason);
  }
}

/** Connects a recorder to a server of one protocol. */
async function connectTo(
  reactor: Reactor,
  protocol: BufferedProtocol,
): Promise<{ client: Recorder; close: () => Promise<void> }> {
  const port = listenTCP(0, { buildProtocol: () => protocol }, {
    hostname: LOOPBACK,
    reactor,
  });
  const client = new Recorder();
  new Client(reactor, numberOf(port), () => client);
  await deadline(client.made.promise, PATIENCE);
  return { client, close: () => port.stopListening() };
}

testOnBackends(
  "a protocol's own buffer gets the bytes, as many as fit",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Buffered(4);
    const { client, close } = await connectTo(reactor, protocol);
    client.transport.write("hello world");
    client.transport.loseConnection();
    assertInstanceOf(
      await deadline(protocol.lost.promise, PATIENCE),
      ConnectionDone,
    );
    assertEquals(protocol.text, "hello world");
    assertEquals(protocol.counts.every((count) => count <= 4), true);
    await close();
  },
);

testOnBackends(
  "megabytes come through a buffer of the protocol's own unharmed, and it can end the connection meanwhile",
  async ({ reactor }) => {
    reactor.interleave();
    const sent = pattern(3_000_000);
    const expected = new Checksum();
    expected.add(sent);
    const got = new Checksum();
    const whole = Promise.withResolvers<void>();
    let received = 0;
    const protocol = new Buffered(10_000, ({ transport }, bytes) => {
      got.add(bytes);
      received += bytes.length;
      if (received === sent.length) {
        transport.loseConnection();
        whole.resolve();
      }
    });
    const { client, close } = await connectTo(reactor, protocol);
    client.transport.write(sent);
    await deadline(whole.promise, PATIENCE);
    assertEquals(`${got}`, `${expected}`);
    assertInstanceOf(
      await deadline(client.lost.promise, PATIENCE),
      ConnectionDone,
    );
    await close();
  },
);

for (
  const [what, buffer, message] of [
    ["is empty", new Uint8Array(0), "getBuffer()"],
    ["is none", "hello", '"hello"'],
    ["is of another kind", new Uint16Array(1), "getBuffer()"],
  ] as const
) {
  testOnBackends(
    `a getBuffer() whose buffer ${what} ends the connection with a TypeError, and no other`,
    async ({ reactor, errors }) => {
      reactor.interleave();
      const lost = Promise.withResolvers<Error>();
      const bad: BufferedProtocol = {
        getBuffer: () => buffer as Uint8Array,
        bufferUpdated: () => lost.reject(new Error("It got something")),
        connectionLost: lost.resolve,
      };
      const good = new Buffered(100);
      const { client, close } = await connectTo(reactor, bad);
      const other = await connectTo(reactor, good);
      client.transport.write("a");
      const reason = await deadline(lost.promise, PATIENCE);
      assertInstanceOf(reason, TypeError);
      assertEquals(reason.message.includes(message), true, reason.message);
      takeErrors(errors, reason.message);
      other.client.transport.write("b");
      other.client.transport.loseConnection();
      await deadline(good.lost.promise, PATIENCE);
      assertEquals(good.text, "b");
      await Promise.all([close(), other.close()]);
    },
  );
}

testOnBackends(
  "what bufferUpdated() throws ends the connection, and what its promise rejects with is reported",
  async ({ reactor, errors }) => {
    reactor.interleave();
    const protocol = new Buffered(1, ({ text }) => {
      if (text.length === 1) return Promise.reject(new Error("rejected"));
      throw new Error("thrown");
    });
    const { client, close } = await connectTo(reactor, protocol);
    client.transport.write("ab");
    const reason = await deadline(protocol.lost.promise, PATIENCE);
    assertEquals(reason.message, "thrown");
    assertEquals(protocol.text, "ab");
    // Both come in one read, or in two.
    assertEquals(
      errors.splice(0).map(({ error }) => (error as Error).message).sort(),
      ["rejected", "thrown"],
    );
    await close();
  },
);

testOnBackends(
  "UNIX sockets, terminals and adopted connections take protocols with a buffer, too",
  async ({ reactor }) => {
    reactor.interleave();
    const [ours, theirs] = FileDescriptor.socketpair();
    const adopted = new Buffered(100, ({ transport }) => {
      transport.loseConnection();
    });
    adoptStream(theirs, adopted, { reactor });
    ours.write(new TextEncoder().encode("adopted"));
    await deadline(adopted.lost.promise, PATIENCE);
    assertEquals(adopted.text, "adopted");
    ours.close();

    const terminal = new Buffered(100, ({ transport }) => {
      transport.loseConnection();
    });
    const { path } = openPty(terminal, { raw: true, reactor });
    const line = FileDescriptor.open(path, { read: true, write: true });
    line.write(new TextEncoder().encode("typed"));
    await deadline(terminal.lost.promise, PATIENCE);
    assertEquals(terminal.text, "typed");
    line.close();

    const local = new Buffered(100, ({ transport }) => {
      transport.loseConnection();
    });
    const name = `\0interleave-buffered-${crypto.randomUUID()}`;
    const port = listenUNIX(name, { buildProtocol: () => local }, { reactor });
    const client = new Recorder({
      made: ({ transport }) => transport.write("local"),
    });
    connectUNIX(name, { buildProtocol: () => client }, { reactor });
    await deadline(local.lost.promise, PATIENCE);
    assertEquals(local.text, "local");
    await deadline(client.lost.promise, PATIENCE);
    await port.stopListening();
  },
);

testOnBackends(
  "a protocol needs dataReceived(), or getBuffer() and bufferUpdated()",
  ({ reactor }) => {
    const half = { getBuffer: () => new Uint8Array(1) };
    assertThrows(
      () => openPty(half as unknown as BufferedProtocol, { reactor }),
      TypeError,
      '"getBuffer" and "bufferUpdated"',
    );
  },
);
