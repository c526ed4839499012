/**
 * `socat` in many forms, as the server of our connections and as the client of
 * our ports.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { createHash } from "node:crypto";
import { libc } from "../../../ffi/libc.ts";
import { removeFile } from "../../../ffi/socket_files.ts";
import { FileDescriptor, type Reactor } from "../../../mod.ts";
import type { Address } from "../../../src/net/address.ts";
import type { ClientFactory, Connector } from "../../../src/net/connector.ts";
import type {
  DatagramProtocol,
  DatagramTransport,
} from "../../../src/net/datagram.ts";
import type { Port } from "../../../src/net/port.ts";
import type {
  Protocol,
  ServerFactory,
  Transport,
} from "../../../src/net/protocol.ts";
import { connectTCP, listenTCP } from "../../../src/net/tcp.ts";
import { connectSSL, listenSSL } from "../../../src/net/tls.ts";
import { TLSError } from "../../../src/net/tls_error.ts";
import { listenUDP } from "../../../src/net/udp.ts";
import {
  connectUNIX,
  connectUNIXDatagram,
  listenUNIX,
  listenUNIXDatagram,
} from "../../../src/net/unix.ts";
import { onLinux, unusedPort } from "../../descriptors.ts";
import { Folder } from "../certificates.ts";
import { LOOPBACK, numberOf, pattern } from "../protocols.ts";
import { sum } from "./http_server.ts";
import { authority, identity, missingTLS } from "./identity.ts";
import { missingPrograms, Peer, testWithPeers } from "./peer.ts";

const missing = await missingPrograms({ socat: "socat" });
const missingForTLS = [...missing, ...missingTLS];
const missingForAbstract = onLinux
  ? missing
  : [...missing, "Linux, for abstract names"];

// What is opened in a test and stays open would be taken for a leak.
libc();
removeFile("/nonexistent/file");

const DATA = pattern(5_000_000);
const SUM = sum(DATA);

/**
 * Starts the command. It says what it does; and when one direction has ended, it
 * waits for the other as long as it takes.
 */
function socat(...args: string[]): Peer {
  return new Peer("socat", ["-d", "-d", "-t", "60", ...args]);
}

/** Starts one that listens, and waits until it does. Returns its port. */
async function listener(
  ...args: string[]
): Promise<{ peer: Peer; port: number }> {
  const peer = socat(...args);
  const [, port] = await peer.stderr.printed(
    /(?:listening|receiving) on (?:UDP )?AF=\d+ .*?(\d*)\n/,
  );
  return { peer, port: Number(port) };
}

/** Sends something, closes its half, and looks at what comes. */
class Caller implements Protocol {
  transport!: Transport;
  readonly events: string[] = [];
  readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly #data: Uint8Array;
  /** How much came. */
  length = 0;
  readonly #hash = createHash("sha256");

  constructor(data: Uint8Array = DATA) {
    this.#data = data;
  }

  /** The checksum of what came. */
  get sum(): string {
    return `${this.length} ${this.#hash.copy().digest("hex")}`;
  }

  connectionMade(): void {
    this.transport.write(this.#data);
    this.transport.loseWriteConnection();
  }

  dataReceived(data: Uint8Array): void {
    this.#hash.update(data);
    this.length += data.length;
  }

  readConnectionLost(): void {
    this.events.push("read lost");
  }

  writeConnectionLost(): void {
    this.events.push("write lost");
  }

  connectionLost(reason: Error): void {
    this.lost.resolve(reason);
  }
}

/** Says nothing before the other side has said all, and then as much. */
class Answerer extends Caller {
  override connectionMade(): void {}

  override readConnectionLost(): void {
    super.readConnectionLost();
    super.connectionMade();
  }
}

/** A factory of one protocol; `failed` has the error if there is no connection. */
function one<P extends Protocol>(protocol: P) {
  const { promise: failed, resolve } = Promise.withResolvers<Error>();
  const factory: ClientFactory & ServerFactory = {
    buildProtocol: () => protocol,
    clientConnectionFailed: (_connector: Connector, reason: Error) =>
      resolve(reason),
  };
  return { factory, failed };
}

/** Waits for a connection to come to its end. */
async function endOf(
  caller: Caller,
  failed: Promise<Error> = new Promise(() => {}),
): Promise<Error> {
  return await Promise.race([
    caller.lost.promise,
    failed.then((error) => Promise.reject(error)),
  ]);
}

// Streams, with socat as the server

/** A form in which socat listens, and how to connect to it. */
interface Form {
  readonly name: string;
  readonly missing: readonly string[];
  /** socat's address. */
  listen(folder: Folder): string | Promise<string>;
  connect(
    reactor: Reactor,
    factory: ClientFactory,
    where: { folder: Folder; port: number },
  ): Connector;
}

const ABSTRACT = `socat ${crypto.randomUUID()}`;

const FORMS: readonly Form[] = [
  {
    name: "TCP4-LISTEN",
    missing,
    listen: () => "TCP4-LISTEN:0,bind=127.0.0.1",
    connect: (reactor, factory, { port }) =>
      connectTCP(LOOPBACK, port, factory, { reactor }),
  },
  {
    name: "TCP4-LISTEN,nodelay",
    missing,
    listen: () => "TCP4-LISTEN:0,bind=127.0.0.1,nodelay",
    connect: (reactor, factory, { port }) =>
      connectTCP("localhost", port, factory, { reactor }),
  },
  {
    name: "TCP6-LISTEN",
    missing,
    listen: () => "TCP6-LISTEN:0,bind=[::1]",
    connect: (reactor, factory, { port }) =>
      connectTCP("::1", port, factory, { reactor }),
  },
  {
    name: "UNIX-LISTEN",
    missing,
    listen: (folder) => `UNIX-LISTEN:${folder.file("socket")}`,
    connect: (reactor, factory, { folder }) =>
      connectUNIX(folder.file("socket"), factory, { reactor }),
  },
  {
    name: "ABSTRACT-LISTEN",
    missing: missingForAbstract,
    listen: () => `ABSTRACT-LISTEN:${ABSTRACT}`,
    connect: (reactor, factory) =>
      connectUNIX(`\0${ABSTRACT}`, factory, { reactor }),
  },
  {
    name: "OPENSSL-LISTEN",
    missing: missingForTLS,
    listen: async (folder) =>
      `OPENSSL-LISTEN:0,bind=127.0.0.1,verify=0,cert=${await folder.write(
        "both.pem",
        identity.cert + identity.key,
      )}`,
    connect: (reactor, factory, { port }) =>
      connectSSL(LOOPBACK, port, factory, {
        reactor,
        tls: { caCerts: [authority.identity.cert] },
      }),
  },
];

for (const { name, missing, listen, connect } of FORMS) {
  testWithPeers(
    `${name} of socat sends back what a connection of ours says, after its half is closed`,
    missing,
    async ({ reactor }) => {
      await using folder = new Folder();
      const { peer, port } = await listener(await listen(folder), "EXEC:cat");
      await using ended = peer;
      const caller = new Caller();
      const { factory, failed } = one(caller);
      connect(reactor, factory, { folder, port });
      assertEquals((await endOf(caller, failed)).name, "ConnectionDone");
      assertEquals(caller.sum, SUM);
      assertEquals(caller.events, ["write lost", "read lost"]);
      assertEquals((await ended.end()).code, 0);
    },
  );
}

// Streams, with socat as the client

/** A way in which socat connects, and the port of ours that it connects to. */
interface Way {
  readonly name: string;
  readonly missing: readonly string[];
  /** Listens, and tells socat's address. */
  listen(
    reactor: Reactor,
    factory: ServerFactory,
    folder: Folder,
  ): { port: Port; address: string | Promise<string> };
}

const WAYS: readonly Way[] = [
  ...["", ",nodelay"].map((option) => ({
    name: `TCP4${option}`,
    missing,
    listen(reactor: Reactor, factory: ServerFactory) {
      const port = listenTCP(0, factory, { hostname: LOOPBACK, reactor });
      return { port, address: `TCP4:${LOOPBACK}:${numberOf(port)}${option}` };
    },
  })),
  {
    name: "TCP6",
    missing,
    listen(reactor, factory) {
      const port = listenTCP(0, factory, { hostname: "::1", reactor });
      return { port, address: `TCP6:[::1]:${numberOf(port)}` };
    },
  },
  {
    name: "UNIX-CONNECT",
    missing,
    listen(reactor, factory, folder) {
      const path = folder.file("socket");
      const port = listenUNIX(path, factory, { reactor });
      return { port, address: `UNIX-CONNECT:${path}` };
    },
  },
  {
    name: "ABSTRACT-CONNECT",
    missing: missingForAbstract,
    listen(reactor, factory) {
      const port = listenUNIX(`\0${ABSTRACT}`, factory, { reactor });
      return { port, address: `ABSTRACT-CONNECT:${ABSTRACT}` };
    },
  },
  {
    name: "OPENSSL",
    missing: missingForTLS,
    listen(reactor, factory, folder) {
      const port = listenSSL(0, factory, {
        hostname: LOOPBACK,
        reactor,
        tls: identity,
      });
      const address = folder.write("root.pem", authority.identity.cert).then((
        file,
      ) => `OPENSSL:${LOOPBACK}:${numberOf(port)},cafile=${file}`);
      return { port, address };
    },
  },
];

for (const { name, missing, listen } of WAYS) {
  testWithPeers(
    `a port of ours answers ${name} of socat, after its half is closed`,
    missing,
    async ({ reactor }) => {
      await using folder = new Folder();
      const answerer = new Answerer();
      const { port, address } = listen(reactor, one(answerer).factory, folder);
      await using _listening = port;
      await using peer = socat("-", await address);
      await peer.write(DATA);
      await peer.closeInput();
      assertEquals((await endOf(answerer)).name, "ConnectionDone");
      assertEquals(answerer.sum, SUM);
      assertEquals(answerer.events, ["read lost", "write lost"]);
      const { code, stdout, stderr } = await peer.end();
      assertEquals(code, 0, stderr);
      assertEquals(sum(stdout), SUM);
    },
  );
}

// Halves

testWithPeers(
  "a connection goes on writing to a socat that says no more (contract 222)",
  missing,
  async ({ reactor }) => {
    await using folder = new Folder();
    const file = folder.file("data");
    const { peer, port } = await listener(
      "TCP4-LISTEN:0,bind=127.0.0.1",
      `EXEC:echo goodbye!!CREATE:${file}`,
    );
    await using ended = peer;
    const answerer = new Answerer();
    const { factory, failed } = one(answerer);
    connectTCP(LOOPBACK, port, factory, { reactor });
    assertEquals((await endOf(answerer, failed)).name, "ConnectionDone");
    assertEquals(answerer.sum, sum(new TextEncoder().encode("goodbye\n")));
    assertEquals(answerer.events, ["read lost", "write lost"]);
    await ended.end();
    assertEquals(sum(await Deno.readFile(file)), SUM);
  },
);

testWithPeers(
  "a socat with shut-none does not close its half, and gets everything",
  missing,
  async ({ reactor }) => {
    const answerer = new Answerer();
    const asked = Promise.withResolvers<void>();
    answerer.dataReceived = () => asked.resolve();
    const port = listenTCP(0, one(answerer).factory, {
      hostname: LOOPBACK,
      reactor,
    });
    await using peer = socat(
      "-",
      `TCP4:${LOOPBACK}:${numberOf(port)},shut-none`,
    );
    await peer.write("go");
    await peer.closeInput();
    await asked.promise;
    await peer.stderr.printed(/socket 1 .* is at EOF/);
    answerer.transport.write(DATA);
    answerer.transport.loseConnection();
    assertEquals((await endOf(answerer)).name, "ConnectionDone");
    assertEquals(answerer.events, []);
    assertEquals(sum((await peer.end()).stdout), SUM);
  },
);

testWithPeers(
  "a connection is lost when socat goes without reading, and when it resets",
  missing,
  async ({ reactor }) => {
    for (const option of ["", ",shut-none,linger=0"]) {
      // Writes more than anybody's buffers take, and understands halves.
      const caller = new Caller(pattern(30_000_000));
      const port = listenTCP(0, one(caller).factory, {
        hostname: LOOPBACK,
        reactor,
      });
      await using peer = socat(
        "-u",
        "-",
        `TCP4:${LOOPBACK}:${numberOf(port)}${option}`,
      );
      await peer.closeInput();
      await peer.end();
      const reason = await endOf(caller);
      assertEquals(reason.name, "ConnectionLost");
      assertEquals(caller.events.includes("write lost"), false);
      await port.stopListening();
    }
  },
);

testWithPeers(
  "50 connections at once are served by a socat that forks",
  missing,
  async ({ reactor }) => {
    const { peer, port } = await listener(
      "TCP4-LISTEN:0,bind=127.0.0.1,fork,backlog=100",
      "EXEC:cat",
    );
    await using _ended = peer;
    const callers = Array.from(
      { length: 50 },
      (_, i) => new Caller(DATA.subarray(i * 1000, i * 1000 + 200_000)),
    );
    const ends = await Promise.all(callers.map((caller) => {
      const { factory, failed } = one(caller);
      connectTCP(LOOPBACK, port, factory, { reactor });
      return endOf(caller, failed);
    }));
    for (const [i, caller] of callers.entries()) {
      assertEquals(ends[i]!.name, "ConnectionDone");
      assertEquals(
        caller.sum,
        sum(DATA.subarray(i * 1000, i * 1000 + 200_000)),
      );
    }
  },
);

// TLS

testWithPeers(
  "connectSSL() shows its certificate to a socat that wants one",
  missingForTLS,
  async ({ reactor }) => {
    await using folder = new Folder();
    const root = authority.identity.cert;
    const both = await folder.write("both.pem", identity.cert + identity.key);
    const address =
      `OPENSSL-LISTEN:0,bind=127.0.0.1,cert=${both},verify=1,cafile=${await folder
        .write("root.pem", root)}`;
    const client = await authority.issue({ subject: "A client" });
    {
      const { peer, port } = await listener(address, "EXEC:cat");
      await using _ended = peer;
      const caller = new Caller();
      const { factory, failed } = one(caller);
      connectSSL(LOOPBACK, port, factory, {
        reactor,
        tls: { caCerts: [root], ...client },
      });
      assertEquals((await endOf(caller, failed)).name, "ConnectionDone");
      assertEquals(caller.sum, SUM);
    }
    {
      const { peer, port } = await listener(address, "EXEC:cat");
      await using _ended = peer;
      const caller = new Caller();
      const { factory, failed } = one(caller);
      connectSSL(LOOPBACK, port, factory, {
        reactor,
        tls: { caCerts: [root] },
      });
      // With TLS 1.3 the refusal comes after the handshake.
      const reason = await endOf(caller, failed);
      assertInstanceOf(reason, TLSError);
    }
  },
);

// Terminals

/** Of what goes through a terminal: more could fill both of its directions. */
const PORTION = 1000;

/** Sends portions, each when the one before has come back. */
class Stepper extends Caller {
  #at = 0;

  override connectionMade(): void {
    this.transport.write(DATA.subarray(this.#at, this.#at += PORTION));
  }

  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    if (this.length < this.#at) return;
    if (this.#at < 200 * PORTION) this.connectionMade();
    else this.transport.loseConnection();
  }
}

testWithPeers(
  "a connection talks to a terminal of socat's",
  missing,
  async ({ reactor }) => {
    const { peer, port } = await listener(
      "TCP4-LISTEN:0,bind=127.0.0.1",
      "EXEC:cat,pty,rawer",
    );
    await using _ended = peer;
    const stepper = new Stepper();
    const { factory, failed } = one(stepper);
    connectTCP(LOOPBACK, port, factory, { reactor });
    assertEquals((await endOf(stepper, failed)).name, "ConnectionDone");
    assertEquals(stepper.sum, sum(DATA.subarray(0, 200 * PORTION)));
  },
);

testWithPeers(
  "a FileDescriptor talks to PTY of socat, which sees its end",
  missing,
  async ({ reactor }) => {
    await using peer = socat(
      "PTY,rawer,wait-slave,pty-interval=0.01",
      "EXEC:cat",
    );
    const [, path] = await peer.stderr.printed(/PTY is (\S+)\n/);
    const terminal = FileDescriptor.open(path!, { read: true, write: true });
    // Now it is raw, too.
    await peer.stderr.printed(/starting data transfer loop/);
    const writer = terminal.writable({ reactor }).getWriter();
    const reader = terminal.readable({ reactor }).getReader();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for (let at = 0; at < 200 * PORTION;) {
      await writer.write(DATA.subarray(at, at += PORTION));
      while (length < at) {
        const { value } = await reader.read();
        assert(value);
        parts.push(value);
        length += value.length;
      }
    }
    const got = new Uint8Array(await new Blob(parts).arrayBuffer());
    assertEquals(sum(got), sum(DATA.subarray(0, 200 * PORTION)));
    await reader.cancel();
    await writer.close();
    assertEquals((await peer.end()).code, 0);
  },
);

// Datagrams

/** Sends datagrams one by one, each when the one before has come back. */
class PingPong implements DatagramProtocol {
  transport!: DatagramTransport;
  readonly #waiting: ((data: Uint8Array) => void)[] = [];
  readonly refused: PromiseWithResolvers<void> = Promise.withResolvers();
  from: Address | undefined;

  datagramReceived(data: Uint8Array, peer: Address): void {
    this.from = peer;
    this.#waiting.shift()?.(data);
  }

  connectionRefused(): void {
    this.refused.resolve();
  }

  /** The next that comes. */
  next(): Promise<Uint8Array> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends datagrams of many sizes, and requires that they come back. */
  async play(send: (data: Uint8Array) => void): Promise<void> {
    for (let length = 1; length <= 8192; length *= 2) {
      const data = DATA.subarray(length, 2 * length);
      const came = this.next();
      send(data);
      assertEquals(sum(await came), sum(data));
    }
  }
}

for (const hostname of [LOOPBACK, "::1"]) {
  const kind = hostname === "::1" ? "UDP6" : "UDP4";
  const host = hostname === "::1" ? "[::1]" : LOOPBACK;

  testWithPeers(
    `listenUDP() talks to ${kind}-LISTEN of socat, and is refused when it is gone (contract 232)`,
    missing,
    async ({ reactor }) => {
      const { peer, port } = await listener(
        `${kind}-LISTEN:0,bind=${host}`,
        "EXEC:cat",
      );
      await using ended = peer;
      const protocol = new PingPong();
      await using transport = listenUDP(0, protocol, { hostname, reactor });
      transport.connect(hostname, port);
      await protocol.play((data) => transport.write(data));
      assertEquals(protocol.from, { transport: "udp", hostname, port });
      ended.kill("SIGKILL");
      await ended.end();
      transport.write("Is anybody there?");
      await protocol.refused.promise;
    },
  );

  testWithPeers(
    `listenUDP() answers ${kind} of socat, empty datagrams included (contract 235)`,
    missing,
    async ({ reactor }) => {
      const protocol = new PingPong();
      await using transport = listenUDP(0, protocol, { hostname, reactor });
      const { port } = transport.getHost() as { port: number };
      // It says that its input has ended with an empty datagram, and takes one
      // for the end of the other side.
      await using peer = socat(
        "-",
        `${kind}:${host}:${port},shut-null,null-eof`,
      );
      const hello = protocol.next();
      await peer.write("hello");
      assertEquals(new TextDecoder().decode(await hello), "hello");
      transport.write(
        "answer",
        protocol.from as { hostname: string; port: number },
      );
      await peer.stdout.printed(/answer/);
      const empty = protocol.next();
      await peer.closeInput();
      assertEquals((await empty).length, 0);
      transport.write("", protocol.from as { hostname: string; port: number });
      assertEquals((await peer.end()).code, 0);
    },
  );
}

testWithPeers(
  "listenUDP() sends the longest datagram to socat",
  missing,
  async ({ reactor }) => {
    const { peer, port } = await listener(
      "-u",
      "-b",
      "65536",
      "UDP4-LISTEN:0,bind=127.0.0.1,null-eof",
      "-",
    );
    await using ended = peer;
    await using transport = listenUDP(0, new PingPong(), {
      hostname: LOOPBACK,
      reactor,
    });
    const data = DATA.subarray(0, 65_507);
    transport.write(data, { hostname: LOOPBACK, port });
    transport.write("", { hostname: LOOPBACK, port });
    assertEquals(sum((await ended.end()).stdout), sum(data));
  },
);

const GROUP = "239.255.77.1";

testWithPeers(
  "joinGroup() brings what socat sends to a group",
  missing,
  async ({ reactor }) => {
    const protocol = new PingPong();
    await using transport = listenUDP(0, protocol, { reactor });
    transport.joinGroup(GROUP, { networkInterface: LOOPBACK });
    const { port } = transport.getHost() as { port: number };
    const came = protocol.next();
    await using peer = socat(
      "-u",
      "-",
      `UDP4-DATAGRAM:${GROUP}:${port},ip-multicast-if=${LOOPBACK}`,
    );
    await peer.write("to all");
    assertEquals(new TextDecoder().decode(await came), "to all");
  },
);

testWithPeers(
  "socat gets what listenUDP() sends to a group",
  missing,
  async ({ reactor }) => {
    const port = unusedPort();
    await using peer = socat(
      "-u",
      `UDP4-RECV:${port},ip-add-membership=${GROUP}:${LOOPBACK}`,
      "-",
    );
    await peer.stderr.printed(/starting data transfer loop/);
    await using transport = listenUDP(0, new PingPong(), { reactor });
    transport.setMulticastInterface(LOOPBACK);
    transport.write("to all", { hostname: GROUP, port });
    await peer.stdout.printed(/to all/);
  },
);

testWithPeers(
  "listenUNIXDatagram() talks to UNIX-SENDTO of socat",
  missing,
  async ({ reactor }) => {
    await using folder = new Folder();
    const [ours, theirs] = [folder.file("ours"), folder.file("theirs")];
    const protocol = new PingPong();
    await using transport = listenUNIXDatagram(ours, protocol, { reactor });
    await using peer = socat(
      `UNIX-SENDTO:${ours},bind=${theirs}`,
      "EXEC:cat",
    );
    await peer.stderr.printed(/starting data transfer loop/);
    await protocol.play((data) => transport.write(data, { path: theirs }));
    assertEquals(protocol.from, { transport: "unixpacket", path: theirs });
  },
);

testWithPeers(
  "connectUNIXDatagram() talks to UNIX-RECVFROM of socat",
  missing,
  async ({ reactor }) => {
    await using folder = new Folder();
    const [ours, theirs] = [folder.file("ours"), folder.file("theirs")];
    const { peer } = await listener(`UNIX-RECVFROM:${theirs}`, "EXEC:cat");
    await using _ended = peer;
    const protocol = new PingPong();
    await using transport = connectUNIXDatagram(theirs, protocol, {
      bindPath: ours,
      reactor,
    });
    const came = protocol.next();
    transport.write("hello");
    assertEquals(new TextDecoder().decode(await came), "hello");
  },
);

testWithPeers(
  "listenUNIXDatagram() gets what socat sends to an abstract name",
  missingForAbstract,
  async ({ reactor }) => {
    const protocol = new PingPong();
    await using _transport = listenUNIXDatagram(`\0${ABSTRACT}`, protocol, {
      reactor,
    });
    const came = protocol.next();
    await using peer = socat("-u", "-", `ABSTRACT-SENDTO:${ABSTRACT}`);
    await peer.write("hello");
    assertEquals(new TextDecoder().decode(await came), "hello");
  },
);
