// TLS connections on a reactor after the handshake: what they carry, how they
// end, and how they begin again.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  ConnectionDone,
  ConnectionLost,
  type Reactor,
  ReactorError,
} from "../../mod.ts";
import type { ClientFactory } from "../../src/net/connector.ts";
import type { Producer } from "../../src/net/protocol.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import { connectSSL } from "../../src/net/tls.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import { Folder, OpensslPeer } from "./certificates.ts";
import {
  Checksum,
  Echo,
  LOOPBACK,
  numberOf,
  pattern,
  Recorder,
} from "./protocols.ts";
import {
  attempt,
  HalfCloser,
  identity,
  root,
  SecureRecorder,
  serve,
  testTLS,
} from "./tls_connections.ts";
import { Wire } from "./tls_wire.ts";

const CUT =
  "The connection was lost: the peer closed it without saying so in TLS, so that data may be missing";

/** Connects, says something, waits for the echo, and ends. */
async function assertServes(reactor: Reactor, port: number): Promise<void> {
  const client = new Recorder({
    made: ({ transport }) => transport.write("hello"),
    data: ({ transport, text }) => {
      if (text === "hello") transport.loseConnection();
    },
  });
  attempt(reactor, port, client);
  assertInstanceOf(await client.lost.promise, ConnectionDone);
  assertEquals(client.text, "hello");
}

testTLS(
  "a server is told when its client's data is cut short",
  async ({ reactor }) => {
    const data = ({ transport }: Recorder) => transport.write("go on\n");
    for (
      const served of [new SecureRecorder({ data }), new HalfCloser({ data })]
    ) {
      const port = serve(reactor, () => served);
      {
        using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
        await wire.begin("half of it");
        // Also so that nothing is unread: that would make it a reset.
        assertEquals(await wire.readLine(), "go on\n");
      }
      const reason = await served.lost.promise;
      assertInstanceOf(reason, ConnectionLost);
      assertEquals(reason.message, CUT);
      assertEquals(served.events, [
        "made",
        "shaken: null",
        "half of it",
        "lost: ConnectionLost",
      ]);
    }
  },
);

testTLS(
  "a client is told when its server's data is cut short",
  async ({ reactor }) => {
    using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
    for (const client of [new SecureRecorder(), new HalfCloser()]) {
      attempt(reactor, listener.addr.port, client);
      {
        using wire = await Wire.accept(listener, identity);
        await wire.begin("half of it");
      }
      const reason = await client.lost.promise;
      assertInstanceOf(reason, ConnectionLost);
      assertEquals(reason.message, CUT);
      assertEquals(client.text, "shaken: nullhalf of it");
    }
  },
);

testTLS(
  "an orderly end is ConnectionDone, on both sides",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served);
    using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
    await wire.begin("all of it");
    await wire.close();
    assertInstanceOf(await served.lost.promise, ConnectionDone);
    assertEquals(served.text, "shaken: nullall of it");
    assertEquals(await wire.read(), null); // It has answered in kind.
  },
);

testTLS("loseWriteConnection() closes one half of TLS", async ({ reactor }) => {
  const answer = pattern(1_000_000);
  const sum = new Checksum();
  const served = new HalfCloser({ data: () => {} });
  served.readLost.promise.then(() => {
    served.transport.write(answer);
    served.transport.loseWriteConnection();
  });
  const client = new HalfCloser({
    made: ({ transport }) => {
      transport.write("question");
      transport.loseWriteConnection();
      transport.write("too late");
    },
    data: (_recorder, data) => sum.add(data),
  });
  const port = serve(reactor, () => served);
  attempt(reactor, numberOf(port), client);
  await Promise.all([client.lost.promise, served.lost.promise]);
  const expected = new Checksum();
  expected.add(answer);
  assertEquals(`${sum}`, `${expected}`);
  assertEquals(served.text, "shaken: nullquestionread lostwrite lost");
  assertEquals(served.events.at(-1), "lost: ConnectionDone");
  assertEquals(client.events.at(-1), "lost: ConnectionDone");
});

testTLS("Deno's TLS closes one half, too", async ({ reactor }) => {
  const served = new HalfCloser();
  served.readLost.promise.then(() => {
    served.transport.write("answer");
    served.transport.loseConnection();
  });
  const port = serve(reactor, () => served);
  const conn = await Deno.connectTls({
    hostname: LOOPBACK,
    port: numberOf(port),
    caCerts: [root],
  });
  await conn.write(new TextEncoder().encode("question"));
  await conn.closeWrite();
  assertEquals(await new Response(conn.readable).text(), "answer");
  await served.lost.promise;
  assertEquals(served.text, "shaken: nullquestionread lost");
});

testTLS("TLS carries 20 MB both ways at once", async ({ reactor }) => {
  const data = pattern(20_000_000);
  const expected = new Checksum();
  expected.add(data);
  const sums = [new Checksum(), new Checksum()];
  const ends = sums.map((sum) =>
    new HalfCloser({
      made: ({ transport }) => {
        transport.write(data);
        transport.loseWriteConnection();
      },
      data: (_recorder, part) => sum.add(part),
    })
  );
  const port = serve(reactor, () => ends[0]!);
  attempt(reactor, numberOf(port), ends[1]!);
  await Promise.all(ends.map((end) => end.lost.promise));
  assertEquals(sums.map(String), [`${expected}`, `${expected}`]);
});

testTLS(
  "TLS carries many small records, however they are cut",
  async ({ reactor }) => {
    const served = new Recorder({
      data: ({ transport }, data) => transport.write(data),
    });
    const port = serve(reactor, () => served);
    using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
    await wire.begin();
    let text = "";
    for (let number = 0; number < 3000; number++) {
      const line = `${number}\n`;
      text += line;
      wire.engine.write(new TextEncoder().encode(line));
      if (number % 1000 !== 0) continue;
      // One record a byte at a time, the others as many as there are.
      const bytes = new Uint8Array(65_536);
      const count = wire.engine.transmit(bytes);
      for (let at = 0; at < count; at++) {
        await wire.socket.write(bytes.subarray(at, at + 1));
      }
    }
    await wire.write("end\n");
    text += "end\n";
    let echo = "";
    while (!echo.endsWith("end\n")) {
      echo += new TextDecoder().decode((await wire.read())!);
    }
    assertEquals(echo, text);
  },
);

testTLS(
  "a peer that vanishes in the middle of a write is ConnectionLost",
  async ({ reactor }) => {
    const data = pattern(30_000_000);
    const first = new SecureRecorder({
      made: ({ transport }) => transport.write(data),
    });
    const protocols = [first, new Echo()];
    const port = serve(reactor, () => protocols.shift()!);
    {
      using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
      await wire.begin();
      for (let sum = 0; sum < 1_000_000;) sum += (await wire.read())!.length;
    }
    const reason = await first.lost.promise;
    assertInstanceOf(reason, ConnectionLost);
    assertInstanceOf(reason, ReactorError);
    assertEquals(first.transport.bufferedAmount, 0);
    await assertServes(reactor, numberOf(port));
  },
);

testTLS(
  "a record that was changed on its way ends the connection",
  async ({ reactor }) => {
    const served = new SecureRecorder();
    const port = serve(reactor, () => served);
    using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
    await wire.begin("good\n");
    wire.engine.write(new TextEncoder().encode("bad\n"));
    const bytes = new Uint8Array(1000);
    const count = wire.engine.transmit(bytes);
    bytes[count - 1]! ^= 1;
    await wire.socket.write(bytes.subarray(0, count));
    const reason = await served.lost.promise;
    assertInstanceOf(reason, TLSError);
    assertEquals(served.text, "shaken: nullgood\n");
  },
);

testTLS(
  "bufferedAmount counts what is encrypted and not sent",
  async ({ reactor }) => {
    const sizes: number[] = [];
    const client = new SecureRecorder({
      made: ({ transport }) => {
        transport.write("plain");
        sizes.push(transport.bufferedAmount);
        transport.startTLS({ caCerts: [root] });
        sizes.push(transport.bufferedAmount); // It has something to say.
        transport.write("secret");
        sizes.push(transport.bufferedAmount);
      },
    });
    using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
    connectTCP(LOOPBACK, listener.addr.port, { buildProtocol: () => client }, {
      reactor,
    });
    using conn = await listener.accept();
    const bytes = new Uint8Array(65_536);
    const [plain, hello, secret] = await client.made.promise.then(() => sizes);
    let count = 0;
    while (count < hello!) {
      count += (await conn.read(bytes.subarray(count)))!;
    }
    assertEquals(new TextDecoder().decode(bytes.subarray(0, 5)), "plain");
    assertEquals(plain, 5);
    assertEquals(count, hello);
    assertEquals(secret, hello! + 6);
    client.transport.abortConnection();
    await client.lost.promise;
  },
);

testTLS(
  "a producer is paused while a peer does not read, and resumed",
  async ({ reactor }) => {
    const total = 30_000_000;
    const paused = Promise.withResolvers<number>();
    const data = pattern(100_000);
    const served = new SecureRecorder();
    let sent = 0;
    let goes = true;
    let call: ReturnType<typeof setTimeout> | undefined;
    const producer: Producer = {
      resumeProducing() {
        goes = true;
        produce();
      },
      pauseProducing() {
        goes = false;
        paused.resolve(sent);
      },
      stopProducing() {
        clearTimeout(call);
      },
    };
    // It writes more in each round until it is told to pause.
    function produce(): void {
      if (!goes) return;
      const { transport } = served;
      transport.write(data);
      sent += data.length;
      if (sent < total) return void (call = setTimeout(produce));
      transport.unregisterProducer();
      transport.loseConnection();
    }
    Object.assign(served, {
      handshakeCompleted() {
        served.transport.registerProducer(producer, true);
        produce();
      },
    });
    const port = serve(reactor, () => served);
    using wire = await Wire.connect(numberOf(port), { caCerts: [root] });
    await wire.begin();
    assert(await paused.promise < total);
    const expected = new Checksum();
    for (let sum = 0; sum < total; sum += data.length) expected.add(data);
    const sum = new Checksum();
    for (;;) {
      const part = await wire.read();
      if (part === null) break;
      sum.add(part);
    }
    assertEquals(`${sum}`, `${expected}`);
    assertInstanceOf(await served.lost.promise, ConnectionDone);
  },
);

testTLS(
  "connect() makes another TLS connection when the last is lost (contract 193)",
  async ({ reactor }) => {
    const port = serve(reactor, () =>
      new SecureRecorder({
        data: ({ transport }) => transport.loseConnection(),
      }));
    const done = Promise.withResolvers<void>();
    const events: string[] = [];
    const factory: ClientFactory = {
      doStart: () => events.push("start"),
      doStop: () => {
        events.push("stop");
        done.resolve();
      },
      buildProtocol: () =>
        new SecureRecorder({
          made: ({ transport }) => transport.write("hello"),
        }),
      clientConnectionFailed: (_connector, reason) => done.reject(reason),
      clientConnectionLost: (connector, reason) => {
        events.push(reason.name);
        if (events.length < 4) connector.connect();
      },
    };
    connectSSL(LOOPBACK, numberOf(port), factory, {
      reactor,
      tls: { caCerts: [root] },
    });
    await done.promise;
    const lost = "ConnectionDone";
    assertEquals(events, ["start", lost, lost, lost, "stop"]);
  },
);

testTLS(
  "connect() works with TLS after everything was over",
  async ({ reactor }) => {
    const port = serve(reactor, () => new Echo());
    let stopped = Promise.withResolvers<void>();
    const protocols: Recorder[] = [];
    const connector = connectSSL(LOOPBACK, numberOf(port), {
      buildProtocol: () => {
        const made = new Recorder({
          made: ({ transport }) => transport.write("hello"),
          data: ({ transport }) => transport.loseConnection(),
        });
        protocols.push(made);
        return made;
      },
      doStop: () => stopped.resolve(),
    }, { reactor, tls: { caCerts: [root] } });
    await stopped.promise;
    stopped = Promise.withResolvers();
    connector.connect();
    await stopped.promise;
    assertEquals(protocols.map(({ text }) => text), ["hello", "hello"]);
  },
);

testTLS(
  "startListening() serves TLS again, and connections outlive stopListening() (contract 182)",
  async ({ reactor }) => {
    const port = serve(reactor, () => new Echo());
    const client = new SecureRecorder({
      data: ({ transport }) => transport.loseConnection(),
    });
    attempt(reactor, numberOf(port), client);
    await client.made.promise;
    await port.stopListening();
    client.transport.write("still there");
    await client.lost.promise;
    assertEquals(client.text, "shaken: nullstill there");
    port.startListening();
    await assertServes(reactor, numberOf(port));
    await port.stopListening();
  },
);

testTLS("connectSSL() talks to the openssl command", async ({ reactor }) => {
  await using folder = new Folder();
  // deno-fmt-ignore
  await using peer = new OpensslPeer(
    folder.path, "s_server", "-accept", `${LOOPBACK}:0`, "-naccept", "1",
    "-alpn", "x,y",
    "-cert", await folder.write("cert.pem", identity.cert),
    "-key", await folder.write("key.pem", identity.key),
  );
  const [, port] = await peer.printed(/ACCEPT .*:(\d+)\n/);
  const client = new SecureRecorder({
    made: ({ transport }) => transport.write("hello\n"),
    data: ({ transport }) => transport.loseConnection(),
  });
  attempt(reactor, Number(port), client, {
    tls: { alpnProtocols: ["y"], hostname: "localhost" },
  });
  await peer.printed(/hello\n/);
  await peer.type("welcome\n");
  assertInstanceOf(await client.lost.promise, ConnectionDone);
  assertEquals(client.text, "shaken: ywelcome\n");
});

testTLS(
  "startTLS() serves the openssl command that asks for it in SMTP",
  async ({ reactor }) => {
    await using folder = new Folder();
    const served = new SecureRecorder({
      made: ({ transport }) => transport.write("220 mail.example ESMTP\r\n"),
      data: ({ transport }, data) => {
        const line = new TextDecoder().decode(data);
        if (/^EHLO/.test(line)) {
          transport.write("250-mail.example\r\n250 STARTTLS\r\n");
        } else if (/^STARTTLS/.test(line)) {
          transport.write("220 Go ahead\r\n");
          transport.startTLS(identity);
        } else {
          transport.write(line.toUpperCase());
        }
      },
    });
    const port = listenTCP(0, { buildProtocol: () => served }, {
      hostname: LOOPBACK,
      reactor,
    });
    // deno-fmt-ignore
    await using peer = new OpensslPeer(
    folder.path, "s_client", "-starttls", "smtp", "-quiet",
    "-connect", `${LOOPBACK}:${numberOf(port)}`,
    "-CAfile", await folder.write("root.pem", root), "-verify_return_error",
  );
    await peer.type("secret\n");
    await peer.printed(/SECRET\n/);
  },
);
