/**
 * Producers and consumers: who writes faster than the peer reads is held back.
 * The same rules hold for connections and for the input of a process.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { spawn } from "../../ffi/spawn.ts";
import { FileDescriptor, type Reactor } from "../../mod.ts";
import { spawnProcess } from "../../src/net/process.ts";
import type { ProcessTransport } from "../../src/net/process_protocol.ts";
import type { Producer, Transport } from "../../src/net/protocol.ts";
import { macrotask, until } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import {
  Checksum,
  connectPair,
  pattern,
  Recorder,
  takeErrors,
} from "./protocols.ts";

// What is opened at the first use stays open, and the sanitizer would take it for
// a leak of the test that comes first.
assertThrows(() => spawn("/nonexistent", { env: null }));

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

/** A process that reads its input on demand. */
interface Counter {
  readonly transport: ProcessTransport;
  /** Has it read. */
  read(): void;
  /** How many bytes came up to the end of its input. */
  readonly count: Promise<number>;
}

function openProcess(reactor: Reactor): Counter {
  if (!reactor.running) reactor.interleave();
  const { promise, resolve } = Promise.withResolvers<number>();
  let output = "";
  const transport = spawnProcess(
    {
      childDataReceived: (_fd, data) =>
        output += new TextDecoder().decode(data),
      processEnded: () => resolve(Number(output)),
    },
    "sh",
    {
      args: ["-c", "read line <&3; exec wc -c"],
      clearEnv: false,
      childFDs: { 0: "w", 1: "r", 3: "w" },
      reactor,
    },
  );
  return {
    transport,
    read: () => transport.writeToChild(3, "now\n"),
    count: promise,
  };
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

testOnBackends(
  "registerProducer() of a process throws when there is one, for what is none, and without an input (contract 212)",
  async ({ reactor }) => {
    const { transport, count } = openProcess(reactor);
    const source = new Source();
    transport.registerProducer(source, true);
    assertThrows(
      () => transport.registerProducer(new Source(), false),
      RangeError,
      "already",
    );
    assertThrows(
      () => transport.registerProducer({} as Source, true),
      TypeError,
      "producer",
    );
    transport.loseConnection();
    transport.unregisterProducer();
    assertEquals(await count, 0);

    for (const fd0 of [{}, { 0: "r" }] as Record<number, "r">[]) {
      const { promise, resolve } = Promise.withResolvers<Error>();
      const other = spawnProcess({ processEnded: resolve }, "true", {
        childFDs: { ...fd0, 1: "r" },
        reactor,
      });
      assertThrows(() => other.registerProducer(source, true), RangeError);
      other.unregisterProducer();
      await promise;
    }
    assertEquals(source.events, []);
  },
);

testOnBackends(
  "a pull producer of a process is resumed at once and whenever all is written (contract 213)",
  async ({ reactor }) => {
    const { transport, read, count } = openProcess(reactor);
    read();
    const source = new Source();
    const buffered: number[] = [];
    source.onResume = () => {
      buffered.push(transport.bufferedAmount);
      if (source.events.length <= 100) return transport.write(PORTION);
      transport.unregisterProducer();
      transport.closeStdin();
    };
    // What it is told by itself is of no interest here.
    await until(() => transport.bufferedAmount === 0);
    transport.registerProducer(source, false);
    assertEquals(source.events, ["resume"]);
    transport.writeSequence([MUCH, "and", "more"]);
    assertEquals(await count, MUCH.length + 7 + 100 * PORTION.length);
    assertEquals(source.events, Array(101).fill("resume"));
    assertEquals(buffered, Array(101).fill(0));
  },
);

testOnBackends(
  "a push producer of a process is paused when more than 65536 bytes wait, and resumed when none does (contract 214)",
  async ({ reactor }) => {
    const { transport, read, count } = openProcess(reactor);
    const source = new Source();
    transport.registerProducer(source, true);
    transport.write(new Uint8Array(65_536));
    assertEquals(source.events, []);
    transport.write(MUCH);
    assertEquals(source.events, ["pause"]);
    let early = false;
    source.onResume = () => early ||= transport.bufferedAmount > 0;
    read();
    await until(() => source.events.length === 2);
    assertEquals(source.events, ["pause", "resume"]);
    assertEquals(early, false);
    transport.unregisterProducer();
    transport.closeStdin();
    assertEquals(await count, 65_536 + MUCH.length);
  },
);

testOnBackends(
  "a push producer of a process that writes when it is resumed is paused and resumed in turns (contract 215)",
  async ({ reactor }) => {
    const { transport, read, count } = openProcess(reactor);
    read();
    const source = new Source();
    let rounds = 0;
    source.onResume = () => {
      if (++rounds <= 5) transport.write(new Uint8Array(100_000));
    };
    transport.registerProducer(source, true);
    transport.write(new Uint8Array(100_000));
    await until(() => rounds === 6);
    assertEquals(source.events, Array(6).fill(["pause", "resume"]).flat());
    transport.unregisterProducer();
    transport.closeStdin();
    assertEquals(await count, 600_000);
  },
);

testOnBackends(
  "a producer of a process is stopped with its input, and at once when that is closed already (contracts 216, 217)",
  async ({ reactor }) => {
    const { transport, count } = openProcess(reactor);
    const source = new Source();
    transport.registerProducer(source, true);
    transport.signalProcess("KILL");
    await count;
    assertEquals(source.events, ["stop"]);
    for (const streaming of [true, false]) {
      const late = new Source();
      transport.registerProducer(late, streaming);
      assertEquals(late.events, ["stop"]);
    }
  },
);

testOnBackends(
  "closeStdin() and loseConnection() wait for the producer to unregister itself, then write and close (contract 218)",
  async ({ reactor }) => {
    reactor.interleave();
    for (const close of ["closeStdin", "loseConnection"] as const) {
      // Its output goes where nothing is closed.
      const [output, input] = FileDescriptor.pipe();
      const events: string[] = [];
      const { promise, resolve } = Promise.withResolvers<Error>();
      const process = spawnProcess(
        {
          childConnectionLost: (fd) => events.push(`lost ${fd}`),
          processEnded: resolve,
        },
        "cat",
        { childFDs: { 0: "w", 1: input }, reactor },
      );
      input.close();
      let text = "";
      const end = output.readable({ reactor }).pipeThrough(
        new TextDecoderStream(),
      ).pipeTo(
        new WritableStream({ write: (part) => void (text += part) }),
      );
      const source = new Source();
      process.registerProducer(source, true);
      process[close]();
      await macrotask();
      process.write("not ");
      await until(() => text === "not ");
      assertEquals(events, []);
      process.write("yet");
      process.unregisterProducer();
      process.write("too late");
      await Promise.all([promise, end]);
      assertEquals(text, "not yet");
      assertEquals(events, ["lost 0"]);
      assertEquals(source.events, []);
    }
  },
);

testOnBackends(
  "closeStdin() with a pull producer lets it finish (contract 218)",
  async ({ reactor }) => {
    const { transport, read, count } = openProcess(reactor);
    read();
    const source = new Source();
    source.onResume = () => {
      transport.write(PORTION);
      if (source.events.length === 20) transport.unregisterProducer();
    };
    transport.registerProducer(source, false);
    transport.closeStdin();
    assertEquals(await count, 20 * PORTION.length);
  },
);

testOnBackends(
  "unregisterProducer() of a process after the end does nothing (contract 219)",
  async ({ reactor }) => {
    const { transport, count } = openProcess(reactor);
    transport.registerProducer(new Source(), true);
    transport.closeStdin();
    transport.signalProcess("KILL");
    await count;
    transport.unregisterProducer();
    transport.write("nothing");
    assertEquals(reactor.getWriters(), []);
    assertEquals(transport.bufferedAmount, 0);
  },
);

testOnBackends(
  "a producer of a process that throws is reported once, and closes the input",
  async ({ reactor, errors }) => {
    for (const [method, streaming] of [["pause", true], ["resume", false]]) {
      const { transport, read, count } = openProcess(reactor);
      const fail = (text: string) => () => {
        throw new Error(text);
      };
      transport.registerProducer({
        resumeProducing: fail("resume"),
        pauseProducing: fail("pause"),
        stopProducing: fail("stop"),
      }, streaming as boolean);
      transport.write(MUCH);
      transport.write("more");
      assertEquals(transport.bufferedAmount, 0);
      read();
      assertEquals(await count, 0);
      takeErrors(errors, method as string, "stop");
    }
  },
);

/** Joins a connection with a process: what comes on one goes to the other. */
class Joined extends Recorder {
  /** The most that waited in one place. */
  most = 0;
  readonly ended: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly #reactor: Reactor;
  #process!: ProcessTransport;

  constructor(reactor: Reactor) {
    super();
    this.#reactor = reactor;
  }

  override connectionMade(): void {
    const process = this.#process = spawnProcess(
      {
        childDataReceived: (_fd, data) => this.#pass(data, this.transport),
        processEnded: (reason) => {
          this.transport.unregisterProducer();
          this.transport.loseConnection();
          this.ended.resolve(reason);
        },
      },
      "cat",
      { childFDs: { 0: "w", 1: "r" }, reactor: this.#reactor },
    );
    this.transport.registerProducer(process, true);
    process.registerProducer(this.transport, true);
    super.connectionMade();
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    this.#pass(data, this.#process);
  }

  readConnectionLost(): void {
    this.#process.unregisterProducer();
    this.#process.closeStdin();
  }

  override connectionLost(reason: Error): void {
    this.#process.unregisterProducer();
    super.connectionLost(reason);
  }

  #pass(data: Uint8Array, to: Transport | ProcessTransport): void {
    to.write(data);
    this.most = Math.max(this.most, to.bufferedAmount);
  }
}

testOnBackends(
  "a connection and a process are producers for each other, and nothing piles up in between",
  async ({ reactor }) => {
    reactor.interleave();
    const expected = new Checksum();
    const got = new Checksum();
    const { server, client } = await connectPair(
      reactor,
      new Joined(reactor),
      new Recorder({
        made: ({ transport }) => transport.pauseProducing(),
        data: (_recorder, data) => got.add(data),
      }),
    );
    const data = pattern(MUCH.length);
    expected.add(data);
    client.transport.write(data);
    client.transport.loseWriteConnection();
    // Everything stands still, from the client's input to its output.
    await until(() => server.transport.bufferedAmount > 65_536);
    client.transport.resumeProducing();
    const [reason] = await Promise.all([
      server.ended.promise,
      server.lost.promise,
      client.lost.promise,
    ]);
    assertEquals(reason.name, "ProcessDone");
    assertEquals(`${got}`, `${expected}`);
    // One portion more than enough, at each place.
    assert(server.most > 65_536 && server.most <= 2 * 65_536);
  },
);

testOnBackends(
  "the loss of a connection stops the process that is its producer",
  async ({ reactor }) => {
    reactor.interleave();
    const { server, client } = await connectPair(
      reactor,
      new Joined(reactor),
      new Recorder(),
    );
    client.transport.abortConnection();
    assertEquals((await server.ended.promise).name, "ProcessDone");
    assertEquals((await server.lost.promise).name, "ConnectionLost");
  },
);
