/**
 * UNIX sockets on both backends.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertThrows,
} from "@std/assert";
import {
  closeDescriptor,
  isOpen,
  makePipe,
  readInto,
  writeFrom,
} from "../../ffi/descriptor.ts";
import { POSIX } from "../../ffi/constants.ts";
import { libc } from "../../ffi/libc.ts";
import { bindSocket, openSocket } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import { isSocketFile, LockFile, removeFile } from "../../ffi/socket_files.ts";
import { ConnectionDone, type Reactor } from "../../mod.ts";
import type { Address, UnixAddress } from "../../src/net/address.ts";
import type { ClientFactory } from "../../src/net/connector.ts";
import type {
  DatagramProtocol,
  DatagramTransport,
} from "../../src/net/datagram.ts";
import {
  CannotListenError,
  ConnectError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  FileDescriptorOverrun,
  MessageLengthError,
  UserError,
} from "../../src/net/errors.ts";
import {
  connectUNIX,
  connectUNIXDatagram,
  listenUNIX,
  listenUNIXDatagram,
} from "../../src/net/unix.ts";
import type { UnixProtocol, UnixTransport } from "../../src/net/unix_stream.ts";
import { onLinux, PATIENCE, until } from "../descriptors.ts";
import { testInHosts, testOnBackends } from "../hosts.ts";
import { denoPeer } from "./deno_peer.ts";

// They stay open from their first use on, which the sanitizer would take for a
// leak of the test that comes first.
libc();
removeFile("/nonexistent/file");

const decoder = new TextDecoder();

/** A directory that is removed at the end of the block. */
class Directory implements Disposable {
  readonly path: string = Deno.makeTempDirSync();

  file(name: string): string {
    return `${this.path}/${name}`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Writes down what happens on a connection. */
class Recorder implements UnixProtocol {
  declare transport: UnixTransport;
  readonly events: string[] = [];
  readonly descriptors: number[] = [];
  reason: Error | undefined;

  connectionMade(): void {
    this.events.push("made");
  }

  dataReceived(data: Uint8Array): void {
    this.events.push(`"${decoder.decode(data)}"`);
  }

  fileDescriptorReceived(fd: number): void {
    this.events.push("descriptor");
    this.descriptors.push(fd);
  }

  connectionLost(reason: Error): void {
    this.reason = reason;
  }
}

/** The same, but for the descriptors. */
class Plain implements UnixProtocol {
  declare transport: UnixTransport;
  text = "";

  dataReceived(data: Uint8Array): void {
    this.text += decoder.decode(data);
  }
}

/** Two connected protocols, and how to end it all. */
async function connectTwo<T extends UnixProtocol>(
  reactor: Reactor,
  server: T,
): Promise<{ client: Recorder; end: () => Promise<void> }> {
  const directory = new Directory();
  const path = directory.file("socket");
  const port = listenUNIX(path, { buildProtocol: () => server }, { reactor });
  const client = new Recorder();
  const connector = connectUNIX(path, { buildProtocol: () => client }, {
    reactor,
  });
  await until(() =>
    client.transport !== undefined &&
    (server as { transport?: unknown }).transport !== undefined
  );
  return {
    client,
    async end() {
      connector.disconnect();
      await until(() => client.reason !== undefined);
      await port.stopListening();
      directory[Symbol.dispose]();
    },
  };
}

function start(reactor: Reactor): void {
  reactor.interleave();
}

testInHosts("listenUNIX() and connectUNIX() talk", async ({ reactor, run }) => {
  using directory = new Directory();
  const path = directory.file("socket");
  const events: string[] = [];
  const port = listenUNIX(path, {
    buildProtocol: () => ({
      dataReceived(this: { transport: UnixTransport }, data) {
        events.push(`server ${decoder.decode(data)}`);
        this.transport.write("pong");
      },
      connectionLost: () => reactor.stop(),
    }),
  }, { reactor });
  const client: UnixProtocol = {
    makeConnection(transport) {
      transport.write("ping");
      this.dataReceived = (data) => {
        events.push(`client ${decoder.decode(data)}`);
        transport.loseConnection();
      };
    },
    dataReceived() {},
  };
  connectUNIX(path, { buildProtocol: () => client }, { reactor });
  const late = reactor.callLater(PATIENCE, () => reactor.stop());
  await run();
  if (late.active()) late.cancel();
  await port.stopListening();
  assertEquals(events, ["server ping", "client pong"]);
  assertFalse(isSocketFile(path));
});

testOnBackends(
  "listenUNIX() talks to Deno's own connections",
  async ({ reactor }) => {
    start(reactor);
    using directory = new Directory();
    const path = directory.file("socket");
    const server = new Recorder();
    const port = listenUNIX(path, { buildProtocol: () => server }, { reactor });
    server.dataReceived = (data) =>
      server.transport.write(`${decoder.decode(data)} to you`);
    const lines = await denoPeer(
      `const peer = await Deno.connect({ transport: "unix", path: args[0] });
      await peer.write(encode("hello"));
      const buffer = new Uint8Array(20);
      print(decode(buffer.subarray(0, await peer.read(buffer))));
      peer.close();`,
      path,
    );
    assertEquals(lines, ["hello to you"]);
    await until(() => server.reason !== undefined);
    assertInstanceOf(server.reason, ConnectionDone);
    await port.stopListening();
  },
);

testOnBackends(
  "connectUNIX() talks to Deno's own listeners",
  async ({ reactor }) => {
    start(reactor);
    using directory = new Directory();
    const path = directory.file("socket");
    const client = new Recorder();
    const lines = denoPeer(
      `const listener = Deno.listen({ transport: "unix", path: args[0] });
      const peer = await listener.accept();
      const buffer = new Uint8Array(20);
      print(decode(buffer.subarray(0, await peer.read(buffer))));
      print(await peer.read(buffer));`,
      path,
    );
    connectUNIX(path, {
      buildProtocol: () => client,
      // Until the other process listens.
      clientConnectionFailed: (connector) => connector.connect(),
    }, { reactor });
    await until(() => client.transport !== undefined);
    client.transport.write("hello");
    client.transport.loseConnection();
    assertEquals(await lines, ["hello", "null"]);
    assertInstanceOf(client.reason, ConnectionDone);
  },
);

testOnBackends(
  "the socket has the mode as given, and goes with its port (contract 236)",
  async ({ reactor }) => {
    using directory = new Directory();
    for (const mode of [0o600, 0o666, 0o777]) {
      const path = directory.file("socket");
      const options = { reactor, mode };
      for (
        const port of [
          () => listenUNIX(path, { buildProtocol: () => null }, options),
          () => listenUNIXDatagram(path, { datagramReceived() {} }, options),
        ]
      ) {
        const open = port();
        assertEquals(Deno.statSync(path).mode! & 0o7777, mode);
        await open.stopListening();
        assertThrows(() => Deno.statSync(path), Deno.errors.NotFound);
      }
    }
    assertThrows(
      () =>
        listenUNIX(directory.file("socket"), { buildProtocol: () => null }, {
          reactor,
          mode: 0o10000,
        }),
      RangeError,
      '"options.mode"',
    );
    assertEquals([...Deno.readDirSync(directory.path)], []);
  },
);

testOnBackends(
  "the socket goes with its reactor (contract 236)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.file("socket");
    listenUNIX(path, { buildProtocol: () => null }, { reactor, wantPID: true });
    reactor.callWhenRunning(() => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals([...Deno.readDirSync(directory.path)], []);
  },
);

testOnBackends(
  "a file that has come in place of the socket stays (contract 236)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.file("socket");
    const factory = { buildProtocol: () => null };
    const protocol = { datagramReceived() {} };
    for (
      const listen of [
        () => listenUNIX(path, factory, { reactor }),
        () => listenUNIXDatagram(path, protocol, { reactor }),
      ]
    ) {
      // Another server's.
      const first = listen();
      Deno.removeSync(path);
      const second = listen();
      await first.stopListening();
      assert(isSocketFile(path));
      await second.stopListening();
      assertEquals([...Deno.readDirSync(directory.path)], []);

      // No socket at all, with the name of one that is somewhere else now.
      const third = listen();
      Deno.renameSync(path, directory.file("moved"));
      Deno.writeTextFileSync(path, "precious");
      await third.stopListening();
      assertEquals(Deno.readTextFileSync(path), "precious");
      Deno.removeSync(path);
      Deno.removeSync(directory.file("moved"));

      // Nothing at all.
      const fourth = listen();
      Deno.removeSync(path);
      await fourth.stopListening();
    }
    // Each time that it listens, the file is another.
    const port = listenUNIX(path, factory, { reactor });
    await port.stopListening();
    leaveStale(path);
    Deno.removeSync(path);
    port.startListening();
    await port.stopListening();
    assertEquals([...Deno.readDirSync(directory.path)], []);
  },
);

if (onLinux) {
  testOnBackends(
    "connectUNIX() waits while the backlog is full, until its time is over",
    async ({ reactor }) => {
      start(reactor);
      using directory = new Directory();
      const path = directory.file("socket");
      const factory = { buildProtocol: () => new Plain() };
      // It has room for one more than it says (unix_recvq_full).
      for (const backlog of [0, 1]) {
        const port = listenUNIX(path, factory, { reactor, backlog });
        port.pauseProducing();
        const clients = Array.from({ length: backlog + 4 }, () => {
          const client = new Recorder();
          return {
            client,
            connector: connectUNIX(path, { buildProtocol: () => client }, {
              reactor,
            }),
          };
        });
        await until(() => reactor.getReaders().length === backlog + 1);
        let reason: Error | undefined;
        connectUNIX(path, {
          buildProtocol: () => null,
          clientConnectionFailed: (_, error) => reason = error,
        }, { reactor, timeout: 100 });
        await until(() => reason !== undefined);
        assertInstanceOf(reason, ConnectTimeoutError);
        const states = clients.map(({ connector }) => connector.state);
        assertEquals(
          states.filter((state) => state === "connected").length,
          backlog + 1,
        );
        port.resumeProducing();
        await until(() =>
          clients.every(({ client }) => client.events[0] === "made")
        );
        for (const { connector } of clients) connector.disconnect();
        await until(() =>
          clients.every(({ client }) => client.reason !== undefined)
        );
        await port.stopListening();
        assertEquals(reactor.getDelayedCalls(), []);
      }
    },
  );

  testOnBackends(
    "connectUNIX() hears why there will be no room in the backlog",
    async ({ reactor }) => {
      start(reactor);
      using directory = new Directory();
      const path = directory.file("socket");
      const port = listenUNIX(path, { buildProtocol: () => new Plain() }, {
        reactor,
        backlog: 0,
      });
      port.pauseProducing();
      const first = new Recorder();
      connectUNIX(path, { buildProtocol: () => first }, { reactor });
      await until(() => first.transport !== undefined);
      const reasons: Error[] = [];
      const factory: ClientFactory = {
        buildProtocol: () => null,
        clientConnectionFailed: (_, reason) => reasons.push(reason),
      };
      const given = connectUNIX(path, factory, { reactor });
      connectUNIX(path, factory, { reactor });
      connectUNIX(path, factory, { reactor });
      // Each has its time, and what it waits for.
      await until(() => reactor.getDelayedCalls().length === 6);
      given.stopConnecting();
      await until(() => reasons.length === 1);
      assertInstanceOf(reasons[0], UserError);
      await port.stopListening();
      await until(() => reasons.length === 3);
      assertEquals((reasons[1] as ConnectError).code, "ENOENT");
      assertEquals((reasons[2] as ConnectError).code, "ENOENT");
      await until(() => first.reason !== undefined);
      assertEquals(reactor.getDelayedCalls(), []);
    },
  );
} else console.log("Left out: full backlogs, which macOS refuses at once");

if (onLinux) {
  testOnBackends(
    "abstract names work, with streams and with datagrams (contract 237)",
    async ({ reactor }) => {
      start(reactor);
      const path = `\0interleave ${crypto.randomUUID()}`;
      const server = new Recorder();
      const options = { reactor, mode: 0o600, wantPID: true };
      const port = listenUNIX(path, { buildProtocol: () => server }, options);
      assertEquals(port.getHost(), { transport: "unix", path });
      const client = new Recorder();
      connectUNIX(path, { buildProtocol: () => client }, { reactor });
      await until(() => client.transport !== undefined);
      assertEquals(client.transport.getPeer(), { transport: "unix", path });
      client.transport.write("abstract");
      await until(() => server.events.length === 2);
      client.transport.loseConnection();
      await until(() => server.reason !== undefined);
      await port.stopListening();

      const events: string[] = [];
      const receiver = listenUNIXDatagram(path, {
        datagramReceived: (data) => events.push(decoder.decode(data)),
      }, options);
      const sender = connectUNIXDatagram(path, { datagramReceived() {} }, {
        reactor,
      });
      sender.write("too");
      await until(() => events.length === 1);
      assertEquals(events, ["too"]);
      await sender.stopListening();
      await receiver.stopListening();
    },
  );
} else console.log("Left out: abstract names, which only Linux has");

testOnBackends(
  "wantPID makes a lock, and cleans up what is stale (contract 238)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.file("socket");
    const factory = { buildProtocol: () => null };
    for (const type of ["stream", "datagram"]) {
      const listen = (wantPID: boolean) => {
        const options = { reactor, wantPID };
        return type === "stream"
          ? listenUNIX(path, factory, options)
          : listenUNIXDatagram(path, { datagramReceived() {} }, options);
      };
      leaveStale(path);
      assertThrows(() => listen(false), CannotListenError, path);
      const port = listen(true);
      assertEquals(
        Deno.readTextFileSync(`${path}.lock`),
        `${Deno.pid}`.padStart(10) + "\n",
      );
      const error = assertThrows(() => listen(true), CannotListenError, path);
      assertEquals(error.code, "EADDRINUSE");
      assert(isSocketFile(path));
      await port.stopListening();
      assertEquals([...Deno.readDirSync(directory.path)], []);
      port.startListening();
      await port.stopListening();
    }
  },
);

/** Leaves a socket that nobody listens on, as a killed program does. */
function leaveStale(path: string): void {
  const fd = openSocket(POSIX.AF_UNIX, POSIX.SOCK_STREAM);
  bindSocket(fd, SocketAddress.unix(path));
  closeDescriptor(fd);
}

testOnBackends(
  "wantPID leaves alone what is alive, and what is no socket (contract 238)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.file("socket");
    const factory = { buildProtocol: () => null };
    const options = { reactor, wantPID: true };
    const port = listenUNIX(path, factory, { reactor });
    assertThrows(() => listenUNIX(path, factory, options), CannotListenError);
    assert(isSocketFile(path));
    await port.stopListening();
    Deno.writeTextFileSync(path, "precious");
    assertThrows(() => listenUNIX(path, factory, options), CannotListenError);
    assertEquals(Deno.readTextFileSync(path), "precious");
    // A lock that was left behind is nobody's.
    Deno.removeSync(path);
    Deno.writeTextFileSync(`${path}.lock`, "1234567890\n");
    await listenUNIX(path, factory, options).stopListening();
    assertEquals([...Deno.readDirSync(directory.path)], []);
  },
);

Deno.test("LockFile.take() gives a lock to one at a time (contract 238)", () => {
  using directory = new Directory();
  const path = directory.file("lock");
  using first = LockFile.take(path);
  assert(first !== undefined);
  assertEquals(LockFile.take(path), undefined);
  first[Symbol.dispose]();
  using second = LockFile.take(path);
  assert(second !== undefined);
  first[Symbol.dispose]();
  assertEquals(LockFile.take(path), undefined);
});

testOnBackends(
  "getHost() and getPeer() are UNIX addresses (contract 239)",
  async ({ reactor }) => {
    start(reactor);
    using directory = new Directory();
    const path = directory.file("socket");
    const server = new Recorder();
    let peer: Address | undefined;
    const port = listenUNIX(path, {
      buildProtocol(address) {
        peer = address;
        return server;
      },
    }, { reactor });
    const client = new Recorder();
    const connector = connectUNIX(path, { buildProtocol: () => client }, {
      reactor,
    });
    const there: UnixAddress = { transport: "unix", path };
    const nameless: UnixAddress = { transport: "unix", path: "" };
    await until(() => peer !== undefined && client.transport !== undefined);
    assertEquals(port.getHost(), there);
    assertEquals(connector.getDestination(), there);
    assertEquals(client.transport.getPeer(), there);
    assertEquals(client.transport.getHost(), nameless);
    assertEquals(server.transport.getHost(), there);
    assertEquals(server.transport.getPeer(), nameless);
    assertEquals(peer, nameless);
    connector.disconnect();
    await until(() => server.reason !== undefined);
    await port.stopListening();
  },
);

testOnBackends("connectUNIX() fails as it should", async ({ reactor }) => {
  start(reactor);
  using directory = new Directory();
  const path = directory.file("socket");
  const reasons: Error[] = [];
  const factory: ClientFactory = {
    buildProtocol: () => null,
    clientConnectionFailed: (_, reason) => reasons.push(reason),
  };
  connectUNIX(path, factory, { reactor });
  await until(() => reasons.length === 1);
  assertInstanceOf(reasons[0], ConnectError);
  assertEquals((reasons[0] as ConnectError).code, "ENOENT");
  leaveStale(path);
  connectUNIX(path, factory, { reactor });
  await until(() => reasons.length === 2);
  assertInstanceOf(reasons[1], ConnectionRefusedError);
  connectUNIX(path, factory, { reactor }).stopConnecting();
  await until(() => reasons.length === 3);
  assertEquals(reasons[2]!.name, "UserError");
  assertThrows(() => connectUNIX("", factory), TypeError, '"path"');
  assertThrows(() => connectUNIX("x".repeat(200), factory), RangeError);
});

/** A pipe, and a duplicate of its writing end after it went over a connection. */
function writeThrough(fd: number, output: number): string {
  writeFrom(fd, new TextEncoder().encode("through"));
  const buffer = new Uint8Array(20);
  return decoder.decode(buffer.subarray(0, readInto(output, buffer)));
}

testOnBackends(
  "descriptors arrive before the bytes written with them (contract 240)",
  async ({ reactor }) => {
    start(reactor);
    const server = new Recorder();
    const { client, end } = await connectTwo(reactor, server);
    const [output, input] = makePipe();
    client.transport.sendFileDescriptor(input);
    closeDescriptor(input); // A duplicate is sent.
    client.transport.write("x");
    await until(() => server.events.length === 3);
    assertEquals(server.events, ["made", "descriptor", '"x"']);
    assertEquals(writeThrough(server.descriptors[0]!, output), "through");
    // Several, with several writes, behind some that wait already.
    const big = new Uint8Array(1_000_000);
    client.transport.write(big);
    for (let i = 0; i < 3; i++) {
      client.transport.sendFileDescriptor(output);
      client.transport.write("y");
    }
    await until(() => server.events.at(-1)!.endsWith('yyy"'));
    assertEquals(server.descriptors.length, 4);
    for (const fd of server.descriptors) closeDescriptor(fd);
    closeDescriptor(output);
    await end();
  },
);

testOnBackends(
  "more descriptors than go with one call arrive (contract 240)",
  async ({ reactor }) => {
    start(reactor);
    const server = new Recorder();
    const { client, end } = await connectTwo(reactor, server);
    const [output, input] = makePipe();
    for (let i = 0; i < 300; i++) client.transport.sendFileDescriptor(input);
    client.transport.write("z".repeat(300));
    await until(() => server.descriptors.length === 300);
    for (const fd of server.descriptors) closeDescriptor(fd);
    await until(() =>
      server.events.filter((event) => event[0] === '"').join("").length >= 300
    );
    closeDescriptor(output);
    closeDescriptor(input);
    await end();
  },
);

testOnBackends(
  "more descriptors than bytes end the connection (contract 240)",
  async ({ reactor }) => {
    start(reactor);
    for (
      const write of [
        (transport: UnixTransport) => transport.sendFileDescriptor(0),
        (transport: UnixTransport) => {
          transport.write("a");
          transport.sendFileDescriptor(0);
          transport.sendFileDescriptor(0);
        },
        (transport: UnixTransport) => {
          transport.sendFileDescriptor(0);
          transport.loseConnection();
        },
      ]
    ) {
      const server = new Recorder();
      const { client, end } = await connectTwo(reactor, server);
      write(client.transport);
      await until(() => client.reason !== undefined);
      assertInstanceOf(client.reason, FileDescriptorOverrun);
      assertEquals(server.descriptors, []);
      client.transport.sendFileDescriptor(0); // Does nothing any more.
      await end();
    }
  },
);

testOnBackends(
  "descriptors that nobody wants are closed, and reported (contract 240)",
  async ({ reactor, errors }) => {
    start(reactor);
    const server = new Plain();
    const { client, end } = await connectTwo(reactor, server);
    const [output, input] = makePipe();
    client.transport.sendFileDescriptor(input);
    client.transport.write("x");
    closeDescriptor(input);
    await until(() => server.text === "x");
    assertEquals(errors.length, 1);
    assertInstanceOf(errors.pop()!.error, TypeError);
    // Nobody holds the other end of the pipe any more.
    assertEquals(readInto(output, new Uint8Array(1)), 0);
    closeDescriptor(output);
    await end();
  },
);

testOnBackends(
  "a throw in fileDescriptorReceived() ends the connection",
  async ({ reactor, errors }) => {
    start(reactor);
    const server = new Recorder();
    server.fileDescriptorReceived = (fd) => {
      closeDescriptor(fd);
      throw new Error("thrown");
    };
    const { client, end } = await connectTwo(reactor, server);
    client.transport.sendFileDescriptor(0);
    client.transport.write("x");
    await until(() => server.reason !== undefined);
    assertEquals(server.reason!.message, "thrown");
    assertEquals(server.events, ["made"]);
    assertEquals(errors.splice(0).length, 1);
    await end();
  },
);

testOnBackends(
  "loseConnection() in fileDescriptorReceived() keeps the bytes out",
  async ({ reactor }) => {
    start(reactor);
    const server = new Recorder();
    server.fileDescriptorReceived = (fd) => {
      closeDescriptor(fd);
      server.transport.loseConnection();
    };
    const { client, end } = await connectTwo(reactor, server);
    client.transport.sendFileDescriptor(0);
    client.transport.write("x");
    await until(() => server.reason !== undefined);
    assertEquals(server.events, ["made"]);
    await end();
  },
);

testOnBackends(
  "sendFileDescriptor() checks its argument",
  async ({ reactor }) => {
    start(reactor);
    const { client, end } = await connectTwo(reactor, new Plain());
    const [output, input] = makePipe();
    closeDescriptor(input);
    assertThrows(
      () => client.transport.sendFileDescriptor(input),
      Deno.errors.BadResource,
    );
    assertThrows(
      () => client.transport.sendFileDescriptor("0" as never),
      TypeError,
      '"fd"',
    );
    assert(isOpen(output));
    closeDescriptor(output);
    await end();
  },
);

/** Writes down datagrams. */
class Datagrams implements DatagramProtocol {
  declare transport: DatagramTransport;
  readonly events: string[] = [];
  readonly peers: Address[] = [];

  datagramReceived(data: Uint8Array, peer: Address): void {
    this.events.push(decoder.decode(data));
    this.peers.push(peer);
  }

  stopProtocol(): void {
    this.events.push("stop");
  }

  connectionRefused(): void {
    this.events.push("refused");
  }
}

testOnBackends(
  "datagrams go to and fro by path (contract 241)",
  async ({ reactor }) => {
    start(reactor);
    using directory = new Directory();
    const [one, other] = [directory.file("one"), directory.file("other")];
    const server = new Datagrams();
    const port = listenUNIXDatagram(one, server, { reactor });
    assertEquals(port.getHost(), { transport: "unixpacket", path: one });
    const client = new Datagrams();
    const connected = connectUNIXDatagram(one, client, {
      reactor,
      bindPath: other,
      mode: 0o600,
    });
    assertEquals(Deno.statSync(other).mode! & 0o7777, 0o600);
    client.transport.write("ping");
    await until(() => server.events.length === 1);
    assertEquals(server.peers, [{ transport: "unixpacket", path: other }]);
    port.write("pong", server.peers[0]);
    await until(() => client.events.length === 1);
    assertEquals(client.events, ["pong"]);
    assertEquals(client.peers, [{ transport: "unixpacket", path: one }]);
    assertThrows(
      () => port.write(new Uint8Array(4_000_000), { path: other }),
      MessageLengthError,
    );
    assertThrows(() => port.write("x", { path: "" }), TypeError, '"path"');
    await connected.stopListening();
    assertThrows(() => port.write("x", { path: other }));
    await port.stopListening();
    assertEquals([...Deno.readDirSync(directory.path)], []);
  },
);

testOnBackends(
  "a datagram to nobody is refused (contract 241)",
  async ({ reactor }) => {
    start(reactor);
    using directory = new Directory();
    const path = directory.file("socket");
    const client = new Datagrams();
    const connect = () => connectUNIXDatagram(path, client, { reactor });
    assertEquals(assertThrows(connect, ConnectError).code, "ENOENT");
    const server = new Datagrams();
    const port = listenUNIXDatagram(path, server, { reactor });
    const transport = connect();
    assertEquals(transport.getHost(), { transport: "unixpacket", path: "" });
    await port.stopListening();
    transport.write("is anybody there?");
    await until(() => client.events.length === 1);
    assertEquals(client.events, ["refused"]);
    transport.write("anybody?");
    await until(() => client.events.length === 2);
    await transport.stopListening();
    assertEquals(client.events, ["refused", "refused", "stop"]);
  },
);

testOnBackends(
  "datagrams that the receiver has no room for are lost (contract 241)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.file("socket");
    const server = new Datagrams();
    const port = listenUNIXDatagram(path, server, { reactor });
    const client = connectUNIXDatagram(path, new Datagrams(), { reactor });
    for (let i = 0; i < 5000; i++) client.write("x");
    start(reactor);
    await until(() => server.events.length > 0);
    assert(server.events.length < 5000);
    await client.stopListening();
    await port.stopListening();
  },
);
