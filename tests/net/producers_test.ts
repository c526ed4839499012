/**
 * Producers and consumers: who writes faster than the peer reads is held back.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Reactor } from "../../mod.ts";
import type { Producer } from "../../src/net/protocol.ts";
import { macrotask, until } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { connectPair, Recorder, takeErrors } from "./protocols.ts";

/** A producer that remembers what it was told. */
class Source implements Producer {
  readonly events: string[] = [];
  onResume: () => unknown = () => {};

  resumeProducing(): unknown {
    this.events.push("resume");
    return this.onResume();
  }

  pauseProducing(): void {
    this.events.push("pause");
  }

  stopProducing(): void {
    this.events.push("stop");
  }
}

/** The writing end of a connection whose other end reads on demand. */
async function open(
  reactor: Reactor,
): Promise<{ writer: Recorder; reader: Recorder }> {
  reactor.interleave();
  const { server, client } = await connectPair(
    reactor,
    new Recorder({ made: ({ transport }) => transport.pauseProducing() }),
    new Recorder(),
  );
  return { writer: client, reader: server };
}

const PORTION = new Uint8Array(50_000);
const MUCH = new Uint8Array(20_000_000);

testOnBackends(
  "registerProducer() throws when there is one, and for what is none (contract 212)",
  async ({ reactor }) => {
    const { writer: { transport } } = await open(reactor);
    const source = new Source();
    transport.registerProducer(source, true);
    assertThrows(
      () => transport.registerProducer(new Source(), true),
      RangeError,
      "already",
    );
    assertThrows(
      () => transport.registerProducer(source, false),
      RangeError,
      "already",
    );
    transport.unregisterProducer();
    transport.registerProducer(source, false);
    transport.unregisterProducer();
    const { stopProducing, resumeProducing } = source;
    for (const bad of [null, 1, {}, { resumeProducing }, { stopProducing }]) {
      assertThrows(
        () => transport.registerProducer(bad as unknown as Source, false),
        TypeError,
        "producer",
      );
    }
    assertThrows(
      () =>
        transport.registerProducer({ resumeProducing, stopProducing }, true),
      TypeError,
      "pauseProducing",
    );
    assertThrows(
      () => transport.registerProducer(source, 1 as unknown as boolean),
      TypeError,
      "streaming",
    );
  },
);

testOnBackends(
  "a pull producer is resumed at once and whenever all is sent, and never paused (contract 213)",
  async ({ reactor }) => {
    const { writer, reader } = await open(reactor);
    reader.transport.resumeProducing();
    const source = new Source();
    const buffered: number[] = [];
    source.onResume = () => {
      buffered.push(writer.transport.bufferedAmount);
      if (source.events.length <= 100) writer.transport.write(PORTION);
      else writer.transport.unregisterProducer();
    };
    writer.transport.registerProducer(source, false);
    assertEquals(source.events, ["resume"]);
    writer.transport.write(MUCH);
    await until(() => reader.received === MUCH.length + 100 * PORTION.length);
    assertEquals(source.events, Array(101).fill("resume"));
    assertEquals(buffered, Array(101).fill(0));
  },
);

testOnBackends(
  "a push producer is paused when more than 65536 bytes wait, and resumed when none does (contract 214)",
  async ({ reactor }) => {
    const { writer, reader } = await open(reactor);
    const source = new Source();
    writer.transport.registerProducer(source, true);
    writer.transport.write(new Uint8Array(65_536));
    assertEquals(source.events, []);
    writer.transport.write(new Uint8Array(1));
    assertEquals(source.events, ["pause"]);
    await until(() => source.events.length === 2);
    assertEquals(source.events, ["pause", "resume"]);
    writer.transport.write(MUCH);
    assertEquals(source.events, ["pause", "resume", "pause"]);
    let early = false;
    source.onResume = () => early ||= writer.transport.bufferedAmount > 0;
    reader.transport.resumeProducing();
    await until(() => source.events.length === 4);
    assertEquals(source.events, ["pause", "resume", "pause", "resume"]);
    assertEquals(early, false);
  },
);

testOnBackends(
  "a push producer that is registered when much waits is paused at once",
  async ({ reactor }) => {
    const { writer } = await open(reactor);
    writer.transport.write(MUCH);
    const source = new Source();
    writer.transport.registerProducer(source, true);
    assertEquals(source.events, ["pause"]);
  },
);

testOnBackends(
  "a push producer that writes when it is resumed is paused and resumed in turns (contract 215)",
  async ({ reactor }) => {
    const { writer, reader } = await open(reactor);
    reader.transport.resumeProducing();
    const source = new Source();
    let rounds = 0;
    source.onResume = () => {
      if (++rounds <= 5) writer.transport.write(new Uint8Array(100_000));
    };
    writer.transport.registerProducer(source, true);
    writer.transport.write(new Uint8Array(100_000));
    await until(() => rounds === 6);
    assertEquals(source.events, Array(6).fill(["pause", "resume"]).flat());
  },
);

testOnBackends(
  "registerProducer() on a lost connection stops the producer at once (contract 216)",
  async ({ reactor }) => {
    const { writer } = await open(reactor);
    writer.transport.abortConnection();
    await writer.lost.promise;
    for (const streaming of [true, false]) {
      const source = new Source();
      writer.transport.registerProducer(source, streaming);
      assertEquals(source.events, ["stop"]);
    }
  },
);

testOnBackends(
  "the loss of a connection stops its producer (contract 217)",
  async ({ reactor }) => {
    const { writer, reader } = await open(reactor);
    const source = new Source();
    writer.transport.registerProducer(source, true);
    reader.transport.abortConnection();
    await writer.lost.promise;
    assertEquals(source.events, ["stop"]);
  },
);

testOnBackends(
  "loseConnection() waits for the producer to unregister itself, then sends and closes (contract 218)",
  async ({ reactor }) => {
    const { writer, reader } = await open(reactor);
    reader.transport.resumeProducing();
    const source = new Source();
    writer.transport.registerProducer(source, true);
    writer.transport.loseConnection();
    await macrotask();
    assertEquals(writer.events, ["made"]);
    writer.transport.write("not ");
    await until(() => reader.text === "not ");
    assertEquals(writer.events, ["made"]);
    writer.transport.write("yet");
    writer.transport.unregisterProducer();
    await writer.lost.promise;
    await reader.lost.promise;
    assertEquals(reader.text, "not yet");
    assertEquals(writer.events, ["made", "lost: ConnectionDone"]);
    assertEquals(source.events, []);
  },
);

testOnBackends(
  "loseConnection() with a pull producer lets it finish (contract 218)",
  async ({ reactor }) => {
    const { writer, reader } = await open(reactor);
    reader.transport.resumeProducing();
    const source = new Source();
    source.onResume = () => {
      writer.transport.write(PORTION);
      if (source.events.length === 20) writer.transport.unregisterProducer();
    };
    writer.transport.registerProducer(source, false);
    writer.transport.loseConnection();
    await reader.lost.promise;
    assertEquals(reader.received, 20 * PORTION.length);
  },
);

testOnBackends(
  "unregisterProducer() after the end does nothing (contract 219)",
  async ({ reactor }) => {
    const { writer } = await open(reactor);
    writer.transport.registerProducer(new Source(), true);
    writer.transport.loseConnection();
    writer.transport.abortConnection();
    await writer.lost.promise;
    writer.transport.unregisterProducer();
    assertEquals(reactor.getWriters(), []);
    assertEquals(writer.events, ["made", "lost: ConnectionAborted"]);
  },
);

testOnBackends(
  "a kernel that takes no more leaves the connection a writer until it does (contract 220)",
  async ({ reactor }) => {
    const { writer, reader } = await open(reactor);
    writer.transport.write(MUCH);
    await until(() => reactor.getWriters().length === 1);
    assert(writer.transport.bufferedAmount > 0);
    assertEquals(reactor.getWriters().length, 1);
    reader.transport.resumeProducing();
    await until(() => reader.received === MUCH.length);
    assertEquals(reactor.getWriters(), []);
  },
);

testOnBackends(
  "a producer that throws is reported once, and ends the connection with that",
  async ({ reactor, errors }) => {
    const { writer } = await open(reactor);
    const fail = (text: string) => () => {
      throw new Error(text);
    };
    writer.transport.registerProducer({
      resumeProducing: fail("resume"),
      pauseProducing: fail("pause"),
      stopProducing: fail("stop"),
    }, true);
    writer.transport.write(MUCH);
    assertEquals((await writer.lost.promise).message, "pause");
    takeErrors(errors, "pause", "stop");
  },
);

testOnBackends(
  "a producer that throws when it is resumed ends the connection with that",
  async ({ reactor, errors }) => {
    const { writer } = await open(reactor);
    const source = new Source();
    source.onResume = () => {
      throw new Error("resume");
    };
    writer.transport.registerProducer(source, false);
    assertEquals((await writer.lost.promise).message, "resume");
    assertEquals(source.events, ["resume", "stop"]);
    takeErrors(errors, "resume");
  },
);
