// Two engines back to back: what they agree on, what they refuse, and what they
// leave behind. Peers that others wrote are in tls_peers_test.ts.

import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertMatch,
  assertThrows,
} from "@std/assert";
import { createHash } from "node:crypto";
import { libc } from "../../ffi/libc.ts";
import { openssl } from "../../ffi/toolkits/openssl.ts";
import { ConnectionLost } from "../../mod.ts";
import { alpnCallback } from "../../src/net/alpn.ts";
import { TLSContext } from "../../src/net/tls_context.ts";
import { TLSEngine } from "../../src/net/tls_engine.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import type { TLSOptions } from "../../src/net/tls_options.ts";
import { testToolkit } from "../loops/toolkit.ts";
import { Authority, missingOpenssl, selfSigned } from "./certificates.ts";

const missing = await missingOpenssl();

/** Declares a test, ignored if OpenSSL is missing. */
function test(name: string, fn: () => void | Promise<void>): void {
  testToolkit(name, missing, async () => await fn());
}

/** The certificates of this file. */
async function makeCertificates() {
  const root = await Authority.root("A root");
  const between = await root.delegate("Between");
  return {
    root: root.identity.cert,
    between: between.identity.cert,
    server: await root.issue({ names: "DNS:localhost,IP:127.0.0.1,IP:::1" }),
    wildcard: await root.issue({ names: "DNS:*.example.com" }),
    commonName: await root.issue({ subject: "localhost" }),
    behind: await between.issue({ names: "DNS:localhost" }),
    expired: await root.issue({ names: "DNS:localhost", days: -1 }),
    selfSigned: await selfSigned({ names: "DNS:localhost" }),
    stranger: (await selfSigned({ authority: true })).cert,
  };
}

let certificates: Awaited<ReturnType<typeof makeCertificates>>;

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) {
  openssl();
  alpnCallback();
  certificates = await makeCertificates();
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const wire = new Uint8Array(65536);
const plain = new Uint8Array(16384);

/** A client and a server with nothing in between. */
class Pair implements Disposable {
  readonly client: TLSEngine;
  readonly server: TLSEngine;

  constructor(
    { client, server }: { client?: TLSOptions; server?: TLSOptions } = {},
  ) {
    using clientContext = new TLSContext("client", {
      hostname: "localhost",
      caCerts: [certificates.root],
      ...client,
    });
    using serverContext = new TLSContext("server", {
      ...certificates.server,
      ...server,
    });
    this.client = new TLSEngine(clientContext);
    this.server = new TLSEngine(serverContext);
  }

  /** A pair whose handshake is done. */
  static connected(
    options?: { client?: TLSOptions; server?: TLSOptions },
  ): Pair {
    const pair = new Pair(options);
    pair.pump();
    assert(pair.client.handshakeDone);
    assert(pair.server.handshakeDone);
    return pair;
  }

  /** Moves ciphertext both ways until there is none. */
  pump(): void {
    while (
      move(this.client, this.server) + move(this.server, this.client) > 0
    );
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
    this.server[Symbol.dispose]();
  }
}

/** Moves ciphertext one way, `size` bytes at a time, and says how much. */
function move(
  from: TLSEngine,
  to: TLSEngine,
  size: number = wire.length,
): number {
  const into = wire.subarray(0, size);
  let sum = 0;
  for (;;) {
    const count = from.transmit(into);
    if (count === 0) return sum;
    to.receive(into.subarray(0, count));
    sum += count;
  }
}

/** Reads what there is, as text. */
function readText(engine: TLSEngine): string {
  let text = "";
  for (;;) {
    const count = engine.read(plain);
    if (!count) return text;
    text += decoder.decode(plain.subarray(0, count));
  }
}

/** Writes text that fits into one record. */
function writeText(engine: TLSEngine, text: string): void {
  assertEquals(engine.write(encoder.encode(text)), text.length);
}

/** The message of what a handshake fails with. */
function failure(
  options: { client?: TLSOptions; server?: TLSOptions },
): string {
  using pair = new Pair(options);
  const error = assertThrows(() => pair.pump(), TLSError);
  assertFalse(pair.client.handshakeDone && pair.server.handshakeDone);
  return error.message;
}

test("TLSEngine moves data both ways when the handshake is done", () => {
  using pair = Pair.connected();
  assertEquals(pair.client.version, "TLSv1.3");
  assertEquals(pair.server.version, "TLSv1.3");
  writeText(pair.client, "a question");
  writeText(pair.server, "an answer");
  pair.pump();
  assertEquals(readText(pair.server), "a question");
  assertEquals(readText(pair.client), "an answer");
  assertEquals(pair.client.read(plain), 0);
  assertEquals(pair.client.waiting, 0);
});

test("TLSEngine shakes hands when it is fed one byte at a time", () => {
  using pair = new Pair();
  const { client, server } = pair;
  while (move(client, server, 1) + move(server, client, 1) > 0);
  assert(client.handshakeDone);
  assert(server.handshakeDone);
  writeText(client, "slowly");
  move(client, server, 1);
  assertEquals(readText(server), "slowly");
});

test("TLSEngine.read() gives a record out in parts when there is little room", () => {
  using pair = Pair.connected();
  writeText(pair.client, "abcde");
  pair.pump();
  const little = new Uint8Array(2);
  assertEquals(pair.server.read(new Uint8Array(0)), 0);
  assertEquals(pair.server.read(little), 2);
  assertEquals(decoder.decode(little), "ab");
  assertEquals(readText(pair.server), "cde");
});

test("TLSEngine.transmit() gives ciphertext out in parts when there is little room", () => {
  using pair = new Pair();
  const hello = pair.client.waiting;
  assert(hello > 5);
  assertEquals(pair.client.transmit(new Uint8Array(0)), 0);
  assertEquals(pair.client.transmit(new Uint8Array(5)), 5);
  assertEquals(pair.client.waiting, hello - 5);
  assertEquals(pair.client.transmit(wire), hello - 5);
  assertEquals(pair.client.transmit(wire), 0);
});

test("TLSEngine.write() takes nothing before the handshake is done", () => {
  using pair = new Pair();
  assertEquals(pair.client.write(encoder.encode("early")), 0);
  assertEquals(pair.server.write(encoder.encode("early")), 0);
  assertEquals(pair.client.read(plain), 0);
  pair.pump();
  assertEquals(readText(pair.client) + readText(pair.server), "");
  assertEquals(pair.client.write(encoder.encode("in time")), 7);
  assertEquals(pair.client.write(new Uint8Array(0)), 0);
});

test("TLSEngine.write() takes nothing while much waits to be transmitted", () => {
  using pair = Pair.connected();
  const much = new Uint8Array(1_000_000);
  const taken = pair.client.write(much);
  assert(taken > 0 && taken < 100_000);
  assertEquals(pair.client.write(much), 0);
  move(pair.client, pair.server);
  assertEquals(pair.client.write(much), taken);
});

test("TLSEngine chooses the server's favourite of the client's protocols", () => {
  using pair = Pair.connected({
    client: { alpnProtocols: ["h", "http/1.1", "h2"] },
    server: { alpnProtocols: ["h3", "h2", "http/1.1"] },
  });
  assertEquals(pair.client.alpnProtocol, "h2");
  assertEquals(pair.server.alpnProtocol, "h2");
});

test("TLSEngine chooses no protocol when one side says nothing of any", () => {
  for (const side of ["client", "server"]) {
    using pair = Pair.connected({ [side]: { alpnProtocols: ["h2"] } });
    assertEquals(pair.client.alpnProtocol, undefined);
    assertEquals(pair.server.alpnProtocol, undefined);
  }
});

test("TLSEngine refuses a client that offers other protocols only", () => {
  using pair = new Pair({
    client: { alpnProtocols: ["h2"] },
    server: { alpnProtocols: ["h", "http/1.1", "h22"] },
  });
  const { client, server } = pair;
  assertEquals(
    assertThrows(() => move(client, server), TLSError).message,
    "Cannot make a TLS connection: no application protocol",
  );
  assertMatch(
    assertThrows(() => move(server, client), TLSError).message,
    /alert no application protocol/,
  );
});

test("TLSEngine verifies a chain, an address, a wildcard and a complete name", () => {
  const { server, behind, between, wildcard } = certificates;
  const chain = { cert: behind.cert + between, key: behind.key };
  const good: { client?: TLSOptions; server?: TLSOptions }[] = [
    { server: chain },
    { server: behind, client: { caCerts: [between] } },
    { server: behind, client: { caCerts: [certificates.root + between] } },
    { client: { caCerts: [certificates.stranger, certificates.root] } },
    { client: { caCerts: [server.cert] } },
    {
      server: certificates.selfSigned,
      client: { caCerts: [certificates.selfSigned.cert] },
    },
    { client: { hostname: "127.0.0.1" } },
    { client: { hostname: "::1" } },
    { client: { hostname: "::1%lo" } },
    { client: { hostname: "localhost." } },
    { client: { hostname: "LOCALHOST" } },
    { server: wildcard, client: { hostname: "www.example.com" } },
  ];
  for (const options of good) Pair.connected(options)[Symbol.dispose]();
});

test("TLSEngine says what is wrong with a certificate", () => {
  const { behind, commonName, expired, selfSigned, wildcard } = certificates;
  const bad: [{ client?: TLSOptions; server?: TLSOptions }, string][] = [
    [{ client: { hostname: "other.example" } }, "hostname mismatch"],
    [{ client: { hostname: "127.0.0.2" } }, "IP address mismatch"],
    [
      { server: wildcard, client: { hostname: "a.b.example.com" } },
      "hostname mismatch",
    ],
    // What stands in the subject is no name of a host (RFC 9525, 2).
    [{ server: commonName }, "hostname mismatch"],
    [{ server: expired }, "certificate has expired"],
    [{ server: selfSigned }, "self-signed certificate"],
    [{ server: behind }, "unable to get local issuer certificate"],
    [
      { client: { caCerts: [certificates.stranger] } },
      "unable to get local issuer certificate",
    ],
    // The system knows nothing of it either.
    [{ client: { caCerts: [] } }, "unable to get local issuer certificate"],
  ];
  for (const [options, words] of bad) {
    const hostname = options.client?.hostname ?? "localhost";
    assertEquals(
      failure(options),
      `Cannot verify the certificate of "${hostname}": ${words}`,
    );
  }
});

test("TLSEngine tells both sides when a certificate does not verify", () => {
  using pair = new Pair({ server: certificates.expired });
  const { client, server } = pair;
  move(client, server);
  const error = assertThrows(() => move(server, client), TLSError);
  assertEquals(error.verifyError, 10);
  assertEquals(error.name, "TLSError");
  assertFalse(client.handshakeDone);
  // The same once more, whatever is asked.
  assertEquals(assertThrows(() => client.read(plain)), error);
  assertEquals(assertThrows(() => client.write(plain)), error);
  assertEquals(assertThrows(() => client.receive(plain)), error);
  assertEquals(assertThrows(() => client.receiveEnd()), error);
  client.close();
  const heard = assertThrows(() => move(client, server), TLSError);
  assertMatch(heard.message, /alert certificate expired/);
  assertEquals(heard.verifyError, undefined);
});

test("TLSEngine takes any certificate when it is told to", () => {
  const { expired, selfSigned } = certificates;
  for (const server of [expired, selfSigned]) {
    for (const hostname of [undefined, "other.example", "127.0.0.2"]) {
      using pair = Pair.connected({
        client: {
          hostname,
          caCerts: [],
          unsafelyIgnoreCertificateErrors: true,
        },
        server,
      });
      writeText(pair.client, "hello");
      pair.pump();
      assertEquals(readText(pair.server), "hello");
    }
  }
});

test("TLSEngine refuses garbage in place of TLS", () => {
  const garbage: [string, RegExp][] = [
    ["GET / HTTP/1.1\r\n\r\n", /^Cannot make a TLS connection: http request$/],
    ["SSH-2.0-OpenSSH_9.2\r\n", /^Cannot make a TLS connection: .+/],
    ["\0".repeat(100), /^Cannot make a TLS connection: .+/],
    ["\x16\x03\x01\x00\x05hello", /^Cannot make a TLS connection: .+/],
  ];
  for (const [text, message] of garbage) {
    using pair = new Pair();
    const error = assertThrows(
      () => pair.server.receive(encoder.encode(text)),
      TLSError,
    );
    assertMatch(error.message, message);
  }
  using pair = new Pair();
  assertEquals(
    assertThrows(
      () => pair.client.receive(encoder.encode("HTTP/1.1 400 Bad Request\r\n")),
      TLSError,
    ).message,
    "Cannot make a TLS connection: wrong version number",
  );
});

test("TLSEngine.read() throws when a record was changed on its way", () => {
  using pair = Pair.connected();
  const { client, server } = pair;
  writeText(client, "first");
  move(client, server);
  writeText(client, "second");
  const count = client.transmit(wire);
  wire[count - 1]! ^= 1;
  server.receive(wire.subarray(0, count));
  assertEquals(server.read(plain), 5);
  const error = assertThrows(() => server.read(plain), TLSError);
  assertEquals(
    error.message,
    "Cannot read from a TLS connection: decryption failed or bad record mac",
  );
  assertEquals(assertThrows(() => server.write(plain)), error);
  move(server, client);
  assertMatch(
    assertThrows(() => client.read(plain), TLSError).message,
    /alert bad record mac/,
  );
});

test("TLSEngine.read() throws after the data when the network ended first", () => {
  using pair = Pair.connected();
  const { client, server } = pair;
  writeText(client, "not all");
  move(client, server);
  server.receiveEnd();
  assertEquals(server.read(plain), 7);
  assertEquals(
    assertThrows(() => server.read(plain), ConnectionLost).message,
    "The connection was lost: the peer closed it without saying so in TLS, so that data may be missing",
  );
});

test("TLSEngine.read() throws when the network ended inside a record", () => {
  using pair = Pair.connected();
  const { client, server } = pair;
  writeText(client, "cut");
  const count = client.transmit(wire);
  server.receive(wire.subarray(0, count - 1));
  assertEquals(server.read(plain), 0);
  server.receiveEnd();
  assertThrows(() => server.read(plain), ConnectionLost, "without saying so");
});

test("TLSEngine.receiveEnd() throws before the handshake is done", () => {
  using pair = new Pair();
  for (const engine of [pair.client, pair.server]) {
    assertEquals(
      assertThrows(() => engine.receiveEnd(), ConnectionLost).message,
      "The connection was lost: the peer closed it during the TLS handshake",
    );
  }
});

test("TLSEngine.receiveEnd() is no fault after the other side has closed", () => {
  using pair = Pair.connected();
  const { client, server } = pair;
  writeText(client, "all of it");
  client.close();
  move(client, server);
  server.receiveEnd();
  assertEquals(server.read(plain), 9);
  assertEquals(server.read(plain), null);
  assertEquals(server.read(plain), null);
});

test("TLSEngine.close() closes one direction, and the other goes on", () => {
  for (
    const [one, other] of [["client", "server"], ["server", "client"]] as const
  ) {
    using pair = Pair.connected();
    const { [one]: closing, [other]: open } = pair;
    writeText(closing, "last words");
    closing.close();
    closing.close();
    assertThrows(
      () => closing.write(plain),
      Deno.errors.BrokenPipe,
      "Cannot write to a TLS connection: this side has closed it",
    );
    pair.pump();
    assertEquals(readText(open), "last words");
    assertEquals(open.read(plain), null);
    for (const text of ["an answer", "and another"]) {
      writeText(open, text);
      pair.pump();
      assertEquals(readText(closing), text);
    }
    open.close();
    pair.pump();
    assertEquals(closing.read(plain), null);
  }
});

test("TLSEngine.receive() forgets what follows the end of the other side's data", () => {
  using pair = Pair.connected();
  const { client, server } = pair;
  client.close();
  move(client, server);
  assertEquals(server.read(plain), null);
  assertStays(10, 1000, () => server.receive(wire));
  assertEquals(server.read(plain), null);
});

test("TLSEngine.close() waits for the handshake", () => {
  using pair = new Pair();
  pair.client.close();
  pair.pump();
  assert(pair.client.handshakeDone);
  assertEquals(pair.server.read(plain), null);
  writeText(pair.server, "even so");
  pair.pump();
  assertEquals(readText(pair.client), "even so");
});

test("TLSEngine is not disturbed by what others leave in OpenSSL's queue of errors", () => {
  const { BIO_new, BIO_s_mem, BIO_free, PEM_read_bio_X509 } = openssl();
  const empty = BIO_new(BIO_s_mem());
  function fail(): void {
    assertEquals(PEM_read_bio_X509(empty, null, null, null), null);
  }
  fail();
  using pair = new Pair();
  const { client, server } = pair;
  fail();
  server.receive(wire.subarray(0, client.transmit(wire)));
  fail();
  client.receive(wire.subarray(0, server.transmit(wire)));
  fail();
  assertEquals(client.read(plain), 0);
  fail();
  writeText(client, "hello");
  pair.pump();
  fail();
  assertEquals(readText(server), "hello");
  fail();
  assertEquals(client.read(plain), 0);
  fail();
  client.close();
  pair.pump();
  fail();
  assertEquals(server.read(plain), null);
  BIO_free(empty);
});

test("TLSEngine throws BadResource when it was disposed of", () => {
  const pair = Pair.connected();
  const { client } = pair;
  pair[Symbol.dispose]();
  pair[Symbol.dispose]();
  for (
    const use of [
      () => client.receive(plain),
      () => client.receiveEnd(),
      () => client.transmit(plain),
      () => client.read(plain),
      () => client.write(plain),
      () => client.close(),
      () => client.version,
      () => client.waiting,
    ]
  ) {
    const error = assertThrows(use, Deno.errors.BadResource);
    assertMatch(
      error.message,
      /^Cannot .+ a TLS connection: it was disposed of$/,
    );
  }
});

test("TLSEngine moves 100 MB without growing memory", () => {
  using pair = Pair.connected();
  const { client, server } = pair;
  const total = 100_000_000;
  const block = new Uint8Array(100_000);
  crypto.getRandomValues(block.subarray(0, 50_000));
  const sent = createHash("sha256");
  const received = createHash("sha256");
  let read = 0;
  let before = 0;
  for (let number = 0; number < total / block.length; number++) {
    new DataView(block.buffer).setUint32(0, number); // No two are the same.
    sent.update(block);
    for (let written = 0; written < block.length;) {
      written += client.write(block.subarray(written));
      move(client, server);
      for (;;) {
        const count = server.read(plain);
        if (!count) break;
        received.update(plain.subarray(0, count));
        read += count;
      }
    }
    if (number === 200) before = residentMegabytes();
  }
  assertLess(residentMegabytes() - before, 20);
  assertEquals(read, total);
  assertEquals(received.digest("hex"), sent.digest("hex"));
});

test("TLSEngine leaves nothing behind after a thousand connections", () => {
  using context = new TLSContext("client", {
    hostname: "localhost",
    caCerts: [certificates.root],
    alpnProtocols: ["h2"],
  });
  using serving = new TLSContext("server", {
    ...certificates.server,
    alpnProtocols: ["h2"],
  });
  assertStays(10, 1000, (round) => {
    using client = new TLSEngine(context);
    using server = new TLSEngine(serving);
    while (move(client, server) + move(server, client) > 0);
    assertEquals(client.alpnProtocol, "h2");
    if (round % 2 === 0) return; // Gone without a word.
    writeText(client, "hello");
    client.close();
    move(client, server);
    assertEquals(readText(server), "hello");
    assertEquals(server.read(plain), null);
  });
});

test("TLSEngine leaves nothing behind after a thousand failures", () => {
  using context = new TLSContext("client", { hostname: "localhost" });
  using serving = new TLSContext("server", certificates.expired);
  assertStays(10, 1000, () => {
    using client = new TLSEngine(context);
    using server = new TLSEngine(serving);
    move(client, server);
    assertThrows(() => move(server, client), TLSError);
    assertThrows(() => move(client, server), TLSError);
  });
});

test("TLSContext leaves nothing behind", () => {
  const { server, root, between } = certificates;
  const cert = server.cert + between + root;
  assertStays(10, 2000, () => {
    using context = new TLSContext("server", { cert, key: server.key });
    assert(context.pointer);
    assertThrows(() => new TLSContext("server", { cert, key: "no key" }));
  });
  assertStays(10, 20, () => {
    new TLSContext("client", { hostname: "a", caCerts: [root] })[
      Symbol.dispose
    ]();
  });
});

/** Requires that doing something does not take more and more memory. */
function assertStays(
  megabytes: number,
  times: number,
  act: (round: number) => void,
): void {
  for (let round = 0; round < times / 4; round++) act(round);
  const before = residentMegabytes();
  for (let round = 0; round < times; round++) act(round);
  assertLess(residentMegabytes() - before, megabytes);
}

function residentMegabytes(): number {
  return Deno.memoryUsage().rss / 1e6;
}
