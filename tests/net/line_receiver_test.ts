/**
 * The examples' `LineReceiver`: lines, raw data, pauses and ends.
 *
 * What comes from the network comes in whatever pieces the network likes. So
 * where the cuts matter, the protocol has a real connection, and the bytes are
 * handed to it as the transport would.
 *
 * @module
 */

import {
  assertEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  LineReceiver,
  type LineReceiverOptions,
} from "../../examples/net/line_receiver.ts";
import type { Reactor } from "../../mod.ts";
import { testOnBackends } from "../hosts.ts";
import { Recorder, Server, takeErrors } from "./protocols.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Remembers what it was told, and does what a test says. */
class Lines extends LineReceiver {
  readonly events: string[] = [];
  readonly made: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly #onLine: (line: string) => void;
  readonly #onRaw: (data: Uint8Array<ArrayBuffer>) => void;

  constructor(
    options: LineReceiverOptions & {
      onLine?(this: Lines, line: string): void;
      onRaw?(this: Lines, data: Uint8Array<ArrayBuffer>): void;
    } = {},
  ) {
    super(options);
    this.#onLine = options.onLine?.bind(this) ?? (() => {});
    this.#onRaw = options.onRaw?.bind(this) ?? (() => {});
  }

  override connectionMade(): void {
    this.made.resolve();
  }

  override lineReceived(line: Uint8Array): void {
    this.events.push(decode(line));
    this.#onLine(decode(line));
  }

  override rawDataReceived(data: Uint8Array<ArrayBuffer>): void {
    this.#onRaw(data);
  }

  override connectionLost(reason: Error): void {
    this.lost.resolve(reason);
  }
}

/** Connects a protocol with a peer. */
async function connect<P extends Lines>(
  reactor: Reactor,
  lines: P,
): Promise<{ lines: P; peer: Deno.TcpConn }> {
  if (!reactor.running) reactor.interleave();
  const server = new Server(reactor, () => lines);
  const peer = await Deno.connect({
    hostname: "127.0.0.1",
    port: server.number,
  });
  await lines.made.promise;
  await server.port.stopListening();
  return { lines, peer };
}

for (const delimiter of ["\r\n", "\n", "\0", "aab", "::::"]) {
  testOnBackends(
    `LineReceiver gives out the same lines wherever ${
      JSON.stringify(delimiter)
    } is cut`,
    async ({ reactor }) => {
      const expected = ["one", "", "tw\ro", "a:a", "a", "Grüße"];
      const bytes = encode(expected.join(delimiter) + delimiter + "rest");
      for (let size = 1; size <= bytes.length; size++) {
        using stack = new DisposableStack();
        const { lines, peer } = await connect(
          reactor,
          new Lines({ delimiter }),
        );
        stack.use(peer);
        for (let at = 0; at < bytes.length; at += size) {
          lines.dataReceived(bytes.slice(at, at + size));
        }
        assertEquals(lines.events, expected, `in pieces of ${size}`);
      }
    },
  );
}

testOnBackends(
  "LineReceiver gets lines from a connection, and sends them",
  async ({ reactor }) => {
    const { lines, peer } = await connect(
      reactor,
      new Lines({
        onLine(line) {
          this.sendLine(line.toUpperCase());
          this.sendLine(encode("bytes"));
          if (line === "bye") this.stopProducing();
        },
      }),
    );
    const said = new Response(peer.readable).text();
    const writer = peer.writable.getWriter();
    await writer.write(encode("hello\r\nbye\r\n"));
    assertEquals(await said, "HELLO\r\nbytes\r\nBYE\r\nbytes\r\n");
    assertEquals((await lines.lost.promise).name, "ConnectionDone");
    assertEquals(lines.events, ["hello", "bye"]);
    await writer.close().catch(() => {}); // Nobody is there any more.
  },
);

testOnBackends(
  "LineReceiver.lineLengthExceeded() ends the connection at the first byte too many",
  async ({ reactor }) => {
    for (
      const [text, expected] of [
        // The line behind it is not given out any more.
        ["12345\r\n123456\r\nnever\r\n", ["12345"]],
        ["12345\r\n1234567", ["12345"]],
        ["12345\r\n12345\r\r\r", ["12345"]],
      ] as [string, string[]][]
    ) {
      const { lines, peer } = await connect(
        reactor,
        new Lines({ maxLength: 5 }),
      );
      using _peer = peer;
      lines.dataReceived(encode(text));
      assertEquals((await lines.lost.promise).name, "ConnectionDone", text);
      assertEquals(lines.events, expected, text);
    }
  },
);

testOnBackends(
  "LineReceiver waits while a delimiter may still come after the longest line",
  async ({ reactor }) => {
    const { lines, peer } = await connect(reactor, new Lines({ maxLength: 5 }));
    using _peer = peer;
    lines.dataReceived(encode("12345"));
    lines.dataReceived(encode("\r"));
    lines.dataReceived(encode("\n12345\r\n"));
    assertEquals(lines.events, ["12345", "12345"]);
  },
);

testOnBackends(
  "LineReceiver.lineLengthExceeded() can be overridden, gets everything, and lets lines go on",
  async ({ reactor }) => {
    class Patient extends Lines {
      override lineLengthExceeded(data: Uint8Array): void {
        this.events.push(`too long: ${decode(data)}`);
      }
    }
    const { lines, peer } = await connect(
      reactor,
      new Patient({ maxLength: 5 }),
    );
    using _peer = peer;
    lines.dataReceived(encode("123456\r\nnext\r\n"));
    lines.dataReceived(encode("short\r\n"));
    assertEquals(lines.events, ["too long: 123456\r\nnext\r\n", "short"]);
  },
);

testOnBackends(
  "LineReceiver takes a body as it is, and goes on with lines behind it",
  async ({ reactor }) => {
    const text = "first\r\n!6\r\nr\naw\r\n!3\r\n!1\r!0\r\nlast\r\n";
    for (let size = 1; size <= text.length; size++) {
      let left = 0;
      let raw = "";
      const { lines, peer } = await connect(
        reactor,
        new Lines({
          onLine(line) {
            if (!line.startsWith("!")) return;
            left = Number(line.slice(1));
            if (left > 0) this.setRawMode();
          },
          onRaw(data) {
            const part = data.subarray(0, left);
            left -= part.length;
            raw += decode(part);
            if (left > 0) return;
            raw += "|";
            this.setLineMode(data.subarray(part.length));
          },
        }),
      );
      using _peer = peer;
      const bytes = encode(text);
      for (let at = 0; at < bytes.length; at += size) {
        lines.dataReceived(bytes.slice(at, at + size));
      }
      assertEquals(raw, "r\naw\r\n|!1\r|", `in pieces of ${size}`);
      assertEquals(
        lines.events,
        ["first", "!6", "!3", "!0", "last"],
        `in pieces of ${size}`,
      );
    }
  },
);

testOnBackends(
  "LineReceiver keeps the lines behind one that pauses",
  async ({ reactor }) => {
    const { lines, peer } = await connect(
      reactor,
      new Lines({
        onLine(line) {
          if (line.startsWith("pause")) this.pauseProducing();
          if (line === "pause for a moment") this.resumeProducing();
        },
      }),
    );
    using _peer = peer;
    const before = ["one", "pause for a moment", "two", "pause"];
    lines.dataReceived(encode([...before, "pause", "three", ""].join("\r\n")));
    assertEquals(lines.events, before);
    lines.dataReceived(encode("four\r\nfi"));
    assertEquals(lines.events, before);
    lines.resumeProducing();
    assertEquals(lines.events, [...before, "pause"]);
    lines.resumeProducing();
    lines.dataReceived(encode("ve\r\n"));
    assertEquals(lines.events.slice(5), ["three", "four", "five"]);
  },
);

testOnBackends(
  "LineReceiver hears nothing from the connection while it is paused",
  async ({ reactor }) => {
    const paused = Promise.withResolvers<void>();
    const { lines, peer } = await connect(
      reactor,
      new Lines({
        onLine(line) {
          if (line !== "pause") return;
          this.pauseProducing();
          paused.resolve();
        },
      }),
    );
    await peer.write(encode("pause\r\n"));
    await paused.promise;
    await peer.write(encode("behind it\r\n"));
    // Something comes on another connection, so the reactor has looked at both.
    const heard = Promise.withResolvers<void>();
    const other = await connect(
      reactor,
      new Lines({ onLine: () => heard.resolve() }),
    );
    using _other = other.peer;
    await other.peer.write(encode("hello\r\n"));
    await heard.promise;
    assertEquals(lines.events, ["pause"]);

    // What it has missed comes before the end.
    peer.close();
    lines.resumeProducing();
    assertEquals((await lines.lost.promise).name, "ConnectionDone");
    assertEquals(lines.events, ["pause", "behind it"]);
  },
);

testOnBackends(
  "LineReceiver.stopProducing() drops the lines that are here already",
  async ({ reactor }) => {
    const { lines, peer } = await connect(
      reactor,
      new Lines({
        onLine(line) {
          if (line === "stop") this.stopProducing();
        },
      }),
    );
    using _peer = peer;
    lines.dataReceived(encode("one\r\nstop\r\ntwo\r\n"));
    lines.dataReceived(encode("three\r\n"));
    lines.setLineMode(encode("four\r\n"));
    lines.resumeProducing();
    assertEquals(lines.events, ["one", "stop"]);
    assertEquals((await lines.lost.promise).name, "ConnectionDone");
  },
);

for (const end of ["loseConnection", "abortConnection"] as const) {
  testOnBackends(
    `LineReceiver gets no line after the transport's ${end}()`,
    async ({ reactor }) => {
      const { lines, peer } = await connect(
        reactor,
        new Lines({
          onLine(line) {
            if (line === "stop") this.transport[end]();
          },
        }),
      );
      using _peer = peer;
      lines.dataReceived(encode("one\r\nstop\r\ntwo\r\n"));
      lines.dataReceived(encode("three\r\n"));
      lines.setLineMode(encode("four\r\n"));
      lines.setRawMode();
      lines.dataReceived(encode("raw"));
      assertEquals(lines.events, ["one", "stop"]);
      await lines.lost.promise;
      lines.resumeProducing();
      assertEquals(lines.events, ["one", "stop"]);
    },
  );
}

testOnBackends(
  "LineReceiver is lost with what lineReceived() throws",
  async ({ reactor, errors }) => {
    const error = new Error("on purpose");
    const { lines, peer } = await connect(
      reactor,
      new Lines({
        onLine() {
          throw error;
        },
      }),
    );
    using _peer = peer;
    await peer.write(encode("one\r\ntwo\r\n"));
    assertStrictEquals(await lines.lost.promise, error);
    assertEquals(lines.events, ["one"]);
    takeErrors(errors, "on purpose");
  },
);

testOnBackends(
  "LineReceiver without rawDataReceived() says so in raw mode",
  async ({ reactor, errors }) => {
    class Simple extends LineReceiver {
      readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
      override lineReceived(): void {
        this.setRawMode();
      }
      override connectionLost(reason: Error): void {
        this.lost.resolve(reason);
      }
    }
    reactor.interleave();
    const simple = new Simple();
    const server = new Server(reactor, () => simple);
    using peer = await Deno.connect({
      hostname: "127.0.0.1",
      port: server.number,
    });
    await peer.write(encode("one\r\ntwo"));
    const { message } = await simple.lost.promise;
    assertStringIncludes(message, "Cannot receive raw data");
    takeErrors(errors, message);
  },
);

testOnBackends(
  "LineReceiver is a producer: whoever is slower has it pause",
  async ({ reactor }) => {
    // Bytes come from one connection and go to another that takes none for now.
    const line = "x".repeat(9_998);
    const count = 2000; // More than the system keeps for a connection.
    const sink = new Recorder();
    const paused = Promise.withResolvers<void>();
    class Relay extends Lines {
      override pauseProducing(): void {
        paused.resolve();
        super.pauseProducing();
      }
    }
    const { lines, peer } = await connect(
      reactor,
      new Relay({
        onLine: (text) => void sink.transport.writeSequence([text, "\r\n"]),
      }),
    );
    using _peer = peer;
    const server = new Server(reactor, () => sink);
    using reader = await Deno.connect({
      hostname: "127.0.0.1",
      port: server.number,
    });
    await sink.made.promise;
    sink.transport.registerProducer(lines, true);

    const sending = (async () => {
      const bytes = encode(`${line}\r\n`.repeat(100));
      const writer = peer.writable.getWriter();
      for (let sent = 0; sent < count; sent += 100) await writer.write(bytes);
      writer.releaseLock();
    })();
    await paused.promise;
    let received = 0;
    for await (const data of reader.readable) {
      received += data.length;
      if (received === count * 10_000) break;
    }
    await sending;
    assertEquals(lines.events.length, count);
  },
);

Deno.test("new LineReceiver() refuses what makes no lines", () => {
  assertThrows(() => new Lines({ delimiter: "" }), RangeError, "delimiter");
  for (const maxLength of [-1, 1.5, NaN, Infinity]) {
    assertThrows(
      () => new Lines({ maxLength }),
      RangeError,
      `"options.maxLength" must be an integer of at least 0, received ${maxLength}`,
    );
  }
});
