/**
 * `connect()` and `listen()` with a `path`: UNIX sockets for people who think in
 * promises.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  closeDescriptor,
  isOpen,
  makePipe,
  readInto,
} from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import { isSocketFile, removeFile } from "../../ffi/socket_files.ts";
import { ConnectionDone } from "../../mod.ts";
import type { UnixAddress } from "../../src/net/address.ts";
import { connect, type ConnectOptions } from "../../src/net/connect.ts";
import type { Connection } from "../../src/net/connection.ts";
import {
  CannotListenError,
  ConnectError,
  ConnectTimeoutError,
} from "../../src/net/errors.ts";
import { listen, type ListenOptions } from "../../src/net/listen.ts";
import { connectUNIX } from "../../src/net/unix.ts";
import type { UnixTransport } from "../../src/net/unix_stream.ts";
import { macrotask, onLinux, until } from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { denoPeer } from "./deno_peer.ts";
import { Checksum, pattern } from "./protocols.ts";
import { identity, root, testTLS } from "./tls_connections.ts";

// They stay open from their first use on, which the sanitizer would take for a
// leak of the test that comes first.
libc();
removeFile("/nonexistent/file");

/** A directory that is removed at the end of the block. */
class Directory implements Disposable {
  readonly path: string = Deno.makeTempDirSync();

  get socket(): string {
    return `${this.path}/socket`;
  }

  list(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** The next connection of a port. */
async function next<C>(port: AsyncIterable<C>): Promise<C> {
  for await (const connection of port) return connection;
  throw new Error("The port has ended");
}

testOnBackends(
  "connect() and listen() talk over a path, byte for byte (contracts 236, 239)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.socket;
    {
      await using port = listen({ path, mode: 0o600, reactor });
      assertEquals(Deno.statSync(path).mode! & 0o7777, 0o600);
      const there: UnixAddress = { transport: "unix", path };
      assertEquals(port.getHost(), there);
      await using client = await connect({ path, reactor });
      await using server = await next(port);
      assertEquals(client.getPeer(), there);
      assertEquals(server.getHost(), there);
      assertEquals(server.getPeer().path, "");

      const data = pattern(3_000_000);
      const expected = new Checksum();
      expected.add(data);
      void server.readable.pipeTo(server.writable);
      const writer = client.writable.getWriter();
      const written = writer.write(data).then(() => writer.close());
      const received = new Checksum();
      for await (const part of client) received.add(part);
      await written;
      assertEquals(`${received}`, `${expected}`);
      await client.closed;
    }
    assertEquals(directory.list(), []);
  },
);

if (onLinux) {
  testOnBackends(
    "connect() and listen() take abstract names (contract 237)",
    async ({ reactor }) => {
      const path = `\0interleave ${crypto.randomUUID()}`;
      await using port = listen({ path, mode: 0o600, wantPID: true, reactor });
      await using client = await connect({ path, reactor });
      const server = await next(port);
      assertEquals(client.getPeer(), { transport: "unix", path });
      server.write("abstract");
      server.loseConnection();
      assertEquals(await new Response(client.readable).text(), "abstract");
      assertThrows(() => listen({ path, reactor }), CannotListenError);
    },
  );
} else console.log("Left out: abstract names, which only Linux has");

testOnBackends(
  "listen() holds a lock, and tells what is alive (contract 238)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.socket;
    await using port = listen({ path, wantPID: true, reactor });
    assertEquals(directory.list().sort(), ["socket", "socket.lock"]);
    for (const wantPID of [true, false]) {
      const error = assertThrows(
        () => listen({ path, wantPID, reactor }),
        CannotListenError,
        path,
      );
      assertEquals(error.code, "EADDRINUSE");
    }
    assert(isSocketFile(path));
    await port.stopListening();
    assertEquals(directory.list(), []);
    port.startListening();
    await using client = await connect({ path, reactor });
    assertEquals(client.getPeer(), port.getHost());
  },
);

testOnBackends(
  "Deno's own connections talk to listen() with a path",
  async ({ reactor }) => {
    using directory = new Directory();
    await using port = listen({ path: directory.socket, reactor });
    const served = (async () => {
      const { readable, writable } = await next(port);
      await readable.pipeTo(writable);
    })();
    const lines = await denoPeer(
      `const peer = await Deno.connect({ transport: "unix", path: args[0] });
      await peer.write(encode("echo"));
      await peer.closeWrite();
      print(await new Response(peer.readable).text());`,
      directory.socket,
    );
    assertEquals(lines, ["echo"]);
    await served;
  },
);

testOnBackends(
  "connect() and listen() want a path or a port",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.socket;
    const wrong: [Record<string, unknown>, string][] = [
      [{}, '"options.port" or "options.path" must be given'],
      [{ hostname: "localhost" }, '"options.port" or "options.path"'],
      [{ path, port: 80 }, '"options.port" must be missing'],
      [{ path, hostname: "localhost" }, '"options.hostname" must be missing'],
      [{ path, tls: {} }, '"options.tls" must be missing'],
      [{ path: 1 }, '"path"'],
      [{ path: "" }, '"path"'],
      [{ path: null }, '"path"'],
    ];
    for (const [options, message] of wrong) {
      const given = { ...options, reactor };
      await assertRejects(
        () => connect(given as unknown as ConnectOptions),
        TypeError,
        message,
      );
      assertThrows(
        () => listen(given as unknown as ListenOptions),
        TypeError,
        message,
      );
    }
    for (
      const options of [{ port: 0, mode: 0o600 }, { port: 0, wantPID: true }]
    ) {
      assertThrows(
        () => listen({ ...options, reactor } as ListenOptions),
        TypeError,
        'must be missing where there is "options.port"',
      );
    }
    const long = "x".repeat(200);
    await assertRejects(() => connect({ path: long, reactor }), RangeError);
    assertThrows(() => listen({ path: long, reactor }), RangeError);
    assertThrows(() => listen({ path, mode: -1, reactor }), RangeError);
    assertThrows(() => listen({ path, backlog: -1, reactor }), RangeError);
    assertEquals(directory.list(), []);
  },
);

testOnBackends(
  "connect() with a path rejects with what is wrong",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.socket;
    const missing = await assertRejects(
      () => connect({ path, reactor }),
      ConnectError,
      path,
    );
    assertEquals(missing.code, "ENOENT");
    await assertRejects(
      () => connect({ path, timeout: -1, reactor }),
      RangeError,
      '"options.timeout"',
    );
    const reason = new Error("enough");
    const error = await assertRejects(() =>
      connect({ path, signal: AbortSignal.abort(reason), reactor })
    );
    assertEquals(error, reason);
  },
);

if (onLinux) {
  testOnBackends(
    "connect() with a path waits while the backlog is full",
    async ({ reactor }) => {
      using directory = new Directory();
      const path = directory.socket;
      await using port = listen({ path, backlog: 0, reactor });
      port.pauseProducing();
      const first = await connect({ path, reactor });
      let second: Connection | undefined;
      const waiting = connect({ path, reactor })
        .then((connection) => second = connection);
      await assertRejects(
        () => connect({ path, timeout: 50, reactor }),
        ConnectTimeoutError,
      );
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = connect({ path, signal, reactor });
      for (let i = 0; i < 20; i++) await macrotask();
      const reason = new Error("enough");
      controller.abort(reason);
      assertEquals(await aborted.catch((error) => error), reason);
      assertEquals(second, undefined);
      port.resumeProducing();
      await waiting;
      for (const [i, client] of [first, second!].entries()) {
        client.write(`client ${i}`);
        client.loseConnection();
        const server = await next(port);
        assertEquals(await new Response(server.readable).text(), `client ${i}`);
        server.loseConnection();
        await server.closed;
      }
      await until(() => reactor.getDelayedCalls().length === 0);
    },
  );
} else console.log("Left out: full backlogs, which macOS refuses at once");

testOnBackends(
  "a signal ends listen() with a path, and its file (contract 236)",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.socket;
    const controller = new AbortController();
    const { signal } = controller;
    const port = listen({ path, wantPID: true, signal, reactor });
    const client = await connect({ path, reactor });
    const servers: Connection<UnixAddress>[] = [];
    const iteration = (async () => {
      for await (const server of port) servers.push(server);
    })();
    await until(() => servers.length === 1);
    assert(isSocketFile(path)); // Nobody has left the loop, nor the port.
    controller.abort();
    await iteration;
    assertEquals(directory.list(), []);
    servers[0]!.write("still here");
    servers[0]!.loseConnection();
    assertEquals(await new Response(client.readable).text(), "still here");
    client.loseConnection();
  },
);

testOnBackends(
  "a Connection closes descriptors that come, which is reported (contract 240)",
  async ({ reactor, errors }) => {
    using directory = new Directory();
    const path = directory.socket;
    await using port = listen({ path, reactor });
    const [output, input] = makePipe();
    connectUNIX(path, {
      buildProtocol: () => ({
        makeConnection(transport) {
          (transport as UnixTransport).sendFileDescriptor(input);
          transport.write("x");
          transport.loseConnection();
        },
        dataReceived() {},
      }),
    }, { reactor });
    const server = await next(port);
    assertEquals(await new Response(server.readable).text(), "x");
    assertEquals(errors.length, 1);
    assertInstanceOf(errors.pop()!.error, TypeError);
    assert(isOpen(input));
    closeDescriptor(input);
    // Nobody holds the other end of the pipe any more.
    assertEquals(readInto(output, new Uint8Array(1)), 0);
    closeDescriptor(output);
    server.loseConnection();
  },
);

testTLS(
  "startTLS() encrypts a Connection of UNIX sockets",
  async ({ reactor }) => {
    using directory = new Directory();
    const path = directory.socket;
    await using port = listen({ path, reactor });
    const client = await connect({ path, reactor });
    const server = await next(port);
    server.startTLS(identity);
    client.startTLS({ caCerts: [root], hostname: "localhost" });
    const data = pattern(500_000);
    client.write(data);
    client.loseWriteConnection();
    const received = new Checksum();
    for await (const part of server) received.add(part);
    const expected = new Checksum();
    expected.add(data);
    assertEquals(`${received}`, `${expected}`);
    server.loseConnection();
    await client.closed.catch((error) =>
      assertInstanceOf(error, ConnectionDone)
    );
  },
);
