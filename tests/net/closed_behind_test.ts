/**
 * Connections whose descriptor somebody else has closed, and perhaps given to
 * another file by then: each still ends, once, and hurts nobody.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import { FileDescriptor, type Reactor } from "../../mod.ts";
import type { Transport } from "../../src/net/protocol.ts";
import type { StreamTransport } from "../../src/net/stream.ts";
import { isOpen, macrotask } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { connectPair, type Pair, Recorder } from "./protocols.ts";

/** The number of a connection that was made here. */
function numberOf(transport: Transport): number {
  return (transport as StreamTransport).fileno();
}

/** Starts a reactor, and connects two recorders with each other. */
function start(reactor: Reactor): Promise<Pair<Recorder, Recorder>> {
  reactor.interleave();
  return connectPair(reactor, new Recorder(), new Recorder());
}

/** How a connection can end, and the reason for it. */
const ENDINGS: Record<
  string,
  { end: (transport: Transport) => void; reason: string }
> = {
  "loseConnection()": {
    end: (transport) => transport.loseConnection(),
    reason: "ConnectionDone",
  },
  "loseConnection() with something to send": {
    end(transport) {
      transport.write("for nobody");
      transport.loseConnection();
    },
    reason: "ConnectionLost",
  },
  "abortConnection()": {
    end: (transport) => transport.abortConnection(),
    reason: "ConnectionAborted",
  },
  "write()": {
    end: (transport) => transport.write("for nobody"),
    reason: "ConnectionLost",
  },
  "loseWriteConnection() and loseConnection()": {
    end(transport) {
      transport.loseWriteConnection();
      transport.loseConnection();
    },
    reason: "ConnectionDone",
  },
};

for (const [name, { end, reason: expected }] of Object.entries(ENDINGS)) {
  testOnBackends(
    `${name} ends a connection that was closed behind its back`,
    async ({ reactor }) => {
      const { server, client } = await start(reactor);
      closeDescriptor(numberOf(client.transport));
      end(client.transport);
      const reason = await client.lost.promise;
      // With poll(), the kernel may tell before anything is sent.
      assert([expected, "BadResource"].includes(reason.name), reason.name);
      assertEquals(client.events.length, 2);
      assertEquals(numberOf(client.transport), -1);
      await server.lost.promise;
      // What comes now is too late, and no second end.
      end(client.transport);
      await macrotask();
      assertEquals(client.events.length, 2);
    },
  );
}

testOnBackends(
  "resumeProducing() ends a connection that was closed behind its back while it was paused",
  async ({ reactor, errors }) => {
    const { client } = await start(reactor);
    client.transport.pauseProducing();
    closeDescriptor(numberOf(client.transport));
    client.transport.resumeProducing();
    assertEquals((await client.lost.promise).name, "BadResource");
    assertEquals(client.events, ["made", "lost: BadResource"]);
    assertEquals(errors.splice(0).length, 1);
  },
);

for (const paused of [false, true]) {
  testOnBackends(
    `the end of a reactor ends a ${
      paused ? "paused " : ""
    }connection that was closed behind its back`,
    async ({ reactor }) => {
      const { client } = await start(reactor);
      if (paused) client.transport.pauseProducing();
      closeDescriptor(numberOf(client.transport));
      await reactor.close();
      await client.lost.promise;
      assertEquals(client.events.length, 2);
    },
  );
}

/**
 * Takes a connection's number away, and gives it to one end of a pair of sockets
 * with something to read.
 */
function replace(transport: Transport): { fd: number; other: FileDescriptor } {
  const fd = numberOf(transport);
  const [mine, other] = FileDescriptor.socketpair();
  libc().dup2(mine.fileno(), fd); // In one step: nobody else can be given it.
  mine.close();
  other.write(new TextEncoder().encode("secret"));
  return { fd, other };
}

for (
  const [name, end] of Object.entries<(transport: Transport) => void>({
    "loseConnection()": (transport) => transport.loseConnection(),
    "abortConnection()": (transport) => transport.abortConnection(),
  })
) {
  testOnBackends(
    `${name} closes and reads nothing of another file's that has the number now`,
    async ({ reactor }) => {
      const { client } = await start(reactor);
      client.transport.pauseProducing();
      const { fd, other } = replace(client.transport);
      end(client.transport);
      await client.lost.promise;
      assertEquals(client.events.length, 2);
      assert(isOpen(fd));
      using heir = FileDescriptor.adopt(fd);
      const buffer = new Uint8Array(20);
      assertEquals(heir.read(buffer), 6);
      assertEquals(heir.write(buffer.subarray(0, 6)), 6);
      assertEquals(other.read(buffer), 6);
      other.close();
    },
  );
}

testOnBackends(
  "a connection whose number is another file's ends with its reactor, and leaves that file alone",
  async ({ reactor }) => {
    const { client } = await start(reactor);
    client.transport.pauseProducing();
    const { fd, other } = replace(client.transport);
    using heir = FileDescriptor.adopt(fd);
    await reactor.close();
    await client.lost.promise;
    assertEquals(heir.read(new Uint8Array(20)), 6);
    other.close();
  },
);
