/**
 * The transports while `g_main_loop_run()` has the main thread, and Deno's own
 * loop stands still: GLib's is the smallest of the loops that block.
 *
 * A test is a function of promises, as elsewhere. Its first part runs in a work
 * item, each later part after one: nothing here gets on by Deno's timers.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { closeDescriptor, makePipe, readInto } from "../../ffi/descriptor.ts";
import { spawn } from "../../ffi/spawn.ts";
import { openssl } from "../../ffi/toolkits/openssl.ts";
import { takeWorkCallback } from "../../ffi/work_callback.ts";
import {
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  deferLater,
  FileDescriptor,
  Reactor,
} from "../../mod.ts";
import { glibWaker } from "../../src/loops/glib.ts";
import type { NetAddress } from "../../src/net/address.ts";
import { alpnCallback } from "../../src/net/alpn.ts";
import { connect } from "../../src/net/connect.ts";
import {
  ConnectionRefusedError,
  ConnectTimeoutError,
  NameLookupError,
  ProcessDone,
  ProcessTerminated,
  UserError,
} from "../../src/net/errors.ts";
import { listen } from "../../src/net/listen.ts";
import { spawnProcess } from "../../src/net/process.ts";
import type {
  ProcessProtocol,
  ProcessTransport,
} from "../../src/net/process_protocol.ts";
import { connectSSL, listenSSL } from "../../src/net/tls.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import { listenUDP } from "../../src/net/udp.ts";
import { connectUNIX, listenUNIX } from "../../src/net/unix.ts";
import type { UnixTransport } from "../../src/net/unix_stream.ts";
import { BACKENDS, PATIENCE, unusedPort } from "../descriptors.ts";
import { missingPackages, testToolkit } from "../loops/toolkit.ts";
import { BlackHole } from "./black_hole.ts";
import { Authority, type Identity, missingOpenssl } from "./certificates.ts";
import {
  Checksum,
  Client,
  connectPair,
  LOOPBACK,
  numberOf,
  pattern,
  Recorder,
  Server,
  takeErrors,
} from "./protocols.ts";

const missing = await missingPackages({
  libraries: { "libglib-2.0.so.0": "libglib2.0-0" },
  windows: false,
});
const missingForTLS = [...missing, ...await missingOpenssl()];

/** Blocks this thread in GLib's loop, until `quit` or until it is too late. */
let blockInside: (start: (quit: () => void) => void) => void;
if (missing.length === 0) {
  const { glib, mainLoop, sourceFunction } = await import(
    "../loops/programs/glib_functions.ts"
  );
  const quit = () => glib.g_main_loop_quit(mainLoop);
  const tooLate = sourceFunction(() => {
    quit();
    return true; // It stays until it is removed, which must find it.
  });
  blockInside = (start) => {
    const guard = glib.g_timeout_add(PATIENCE, tooLate, null);
    start(quit);
    glib.g_main_loop_run(mainLoop);
    glib.g_source_remove(guard);
  };
}

// What stays open from its first use on, the sanitizer would take for a leak of
// the test that comes first.
if (missing.length === 0) {
  takeWorkCallback(glibWaker().callback!, () => {}).giveBack();
}
assertThrows(() => spawn("/nonexistent", { env: null }));
let root = "";
let identity: Identity = { cert: "", key: "" };
if (missingForTLS.length === 0) {
  openssl();
  alpnCallback();
  const authority = await Authority.root("A root");
  root = authority.identity.cert;
  identity = await authority.issue({ names: "DNS:localhost,IP:127.0.0.1" });
}

/** What a test is given. */
interface Setting {
  readonly reactor: Reactor;
  /** What `onError` got. A test that expects something takes it out. */
  readonly errors: { error: unknown; where: string }[];
}

/** Declares a test that runs inside GLib's loop, on each backend. */
function testInside(
  name: string,
  fn: (setting: Setting) => Promise<void>,
  needs: readonly string[] = missing,
): void {
  for (const backend of BACKENDS) {
    testToolkit(`${name} [${backend}, glibWaker()]`, needs, async () => {
      const errors: Setting["errors"] = [];
      await using reactor = new Reactor({
        backend,
        onError: (error, where) => errors.push({ error, where }),
      });
      await runInside(reactor, () => fn({ reactor, errors }));
      assertEquals(errors, []);
    });
  }
}

/** Runs a function inside GLib's loop, and then ends the reactor there. */
async function runInside(
  reactor: Reactor,
  fn: () => Promise<void>,
): Promise<void> {
  let over = false;
  let failure: unknown;
  let stoodStill = true;
  // From a timer: V8 runs no promises in what was called from one.
  await new Promise<void>((resolve) =>
    setTimeout(() => {
      const turn = setTimeout(() => stoodStill = false, 0);
      blockInside((quit) => {
        reactor.interleave(glibWaker());
        reactor.addSystemEventTrigger("after", "shutdown", quit);
        reactor.callLater(0, async () => {
          await fn().catch((error) => failure = error);
          over = true;
          reactor.stop();
        });
      });
      clearTimeout(turn);
      resolve();
    }, 0)
  );
  assert(stoodStill, "Deno's loop ran meanwhile");
  if (failure !== undefined) throw failure;
  assert(over, "The test did not come to its end inside the loop");
}

/** Waits, on the reactor's time, until `condition` holds. */
async function until(
  reactor: Reactor,
  condition: () => boolean,
): Promise<void> {
  while (!condition()) await deferLater(1, () => {}, { clock: reactor });
}

// TCP

testInside(
  "connectTCP() finds a host by name, talks, and ends orderly (contracts 189, 194 and 204)",
  async ({ reactor }) => {
    const server = new Server(reactor, () => served);
    const served = new Recorder({
      data: ({ transport }, data) => transport.write(data),
    });
    const client = new Recorder({
      data: ({ transport }) => transport.loseConnection(),
    });
    const factory = new Client(reactor, server.number, () => client, {
      hostname: "localhost",
    });
    assertEquals(factory.connector.state, "connecting");
    (await client.made.promise).write("hello");
    assertInstanceOf(await factory.lost.promise, ConnectionDone);
    assertInstanceOf(await served.lost.promise, ConnectionDone);
    assertEquals(client.events, ["made", "hello", "lost: ConnectionDone"]);
    assertEquals(factory.events, [
      "start",
      "started",
      "build",
      "lost: ConnectionDone",
      "stop",
    ]);
    await server.port.stopListening();
    assertEquals(server.events, ["start", "build", "stop"]);
  },
);

testInside(
  "connectTCP() says that there is no such name, nobody listening, no answer and no more interest (contracts 190 and 191)",
  async ({ reactor }) => {
    const client = (port: number, options = {}) =>
      new Client(reactor, port, () => null, options);
    const unknown = client(1, { hostname: "no..name" });
    const refused = client(unusedPort());
    using hole = new BlackHole();
    const late = client(hole.port, { timeout: 50 });
    const unwanted = client(hole.port);
    reactor.callLater(20, () => unwanted.connector.stopConnecting());
    assertInstanceOf(await unknown.failed.promise, NameLookupError);
    assertInstanceOf(await refused.failed.promise, ConnectionRefusedError);
    assertInstanceOf(await late.failed.promise, ConnectTimeoutError);
    assertInstanceOf(await unwanted.failed.promise, UserError);
  },
);

testInside(
  "a connection is closed one half at a time (contracts 221, 222 and 226)",
  async ({ reactor }) => {
    const halves: string[] = [];
    class Half extends Recorder {
      readConnectionLost(): void {
        halves.push("read");
        this.transport.write("still here");
        this.transport.loseWriteConnection();
      }
    }
    const client = new Recorder() as Recorder & {
      writeConnectionLost?: () => void;
    };
    client.writeConnectionLost = () => void halves.push("write");
    const { server } = await connectPair(reactor, new Half(), client);
    client.transport.write("last words");
    client.transport.loseWriteConnection();
    client.transport.write("dropped");
    assertInstanceOf(await client.lost.promise, ConnectionDone);
    assertInstanceOf(await server.lost.promise, ConnectionDone);
    assertEquals(halves, ["write", "read"]);
    assertEquals(server.text, "last words");
    assertEquals(client.text, "still here");
  },
);

testInside(
  "abortConnection() resets, and a handler that throws ends its connection alone (contracts 201 and 203)",
  async ({ reactor, errors }) => {
    const bystander = await connectPair(
      reactor,
      new Recorder(),
      new Recorder(),
    );
    const { server, client } = await connectPair(
      reactor,
      new Recorder(),
      new Recorder(),
    );
    client.transport.write(new Uint8Array(20_000_000));
    client.transport.abortConnection();
    assertEquals(client.events, ["made"]);
    assertInstanceOf(await client.lost.promise, ConnectionAborted);
    assertInstanceOf(await server.lost.promise, ConnectionLost);

    const faulty = await connectPair(
      reactor,
      new Recorder({
        data() {
          throw new Error("thrown");
        },
      }),
      new Recorder(),
    );
    faulty.client.transport.write("x");
    assertEquals((await faulty.server.lost.promise).message, "thrown");
    takeErrors(errors, "thrown");

    bystander.client.transport.write("unharmed");
    await until(reactor, () => bystander.server.text === "unharmed");
  },
);

testInside(
  "loseConnection() sends the rest of what producers wrote, however slow the reader (contracts 199, 213, 214 and 218)",
  async ({ reactor }) => {
    const portion = pattern(100_000);
    for (const streaming of [true, false]) {
      const [sum, expected] = [new Checksum(), new Checksum()];
      const { server, client } = await connectPair(
        reactor,
        new Recorder({
          data({ transport }, data) {
            sum.add(data);
            transport.pauseProducing();
            reactor.callLater(0, () => transport.resumeProducing());
          },
        }),
        new Recorder(),
      );
      const calls = { resume: 0, pause: 0, stop: 0 };
      const { transport } = client;
      const produce = () => {
        expected.add(portion);
        transport.write(portion);
        if (expected.length < 5_000_000) return;
        transport.loseConnection();
        transport.unregisterProducer();
      };
      transport.registerProducer({
        resumeProducing() {
          calls.resume++;
          produce();
        },
        pauseProducing: () => void calls.pause++,
        stopProducing: () => void calls.stop++,
      }, streaming);
      if (streaming) produce();
      await Promise.all([client.lost.promise, server.lost.promise]);
      assertEquals(`${sum}`, `${expected}`);
      const rounds = 5_000_000 / portion.length;
      assertEquals(
        calls,
        streaming
          ? { resume: rounds - 1, pause: rounds, stop: 0 }
          : { resume: rounds, pause: 0, stop: 0 },
      );
    }
  },
);

testInside(
  "connect() and listen() work with promises and streams",
  async ({ reactor }) => {
    await using port = listen({ hostname: LOOPBACK, port: 0, reactor });
    const served = (async () => {
      for await (const connection of port) {
        await connection.readable.pipeTo(connection.writable);
        break;
      }
    })();
    const { hostname, port: number } = port.getHost() as NetAddress;
    await using connection = await connect({ hostname, port: number, reactor });
    connection.write("hello");
    connection.loseWriteConnection();
    const decoder = new TextDecoder();
    let text = "";
    for await (const data of connection) {
      text += decoder.decode(data, { stream: true });
    }
    assertEquals(text, "hello");
    await served;
  },
);

// UNIX sockets

testInside(
  "a UNIX socket carries bytes and descriptors (contracts 237 and 240)",
  async ({ reactor }) => {
    const onLinux = Deno.build.os === "linux";
    const path = `${onLinux ? "\0" : "/tmp/"}${crypto.randomUUID()}`;
    const events: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const port = listenUNIX(path, {
      buildProtocol: () => ({
        fileDescriptorReceived(fd) {
          events.push("descriptor");
          using output = FileDescriptor.adopt(fd);
          output.write(new TextEncoder().encode("through"));
        },
        dataReceived(data) {
          events.push(new TextDecoder().decode(data));
          resolve();
        },
      }),
    }, { reactor });
    const [output, input] = makePipe();
    connectUNIX(path, {
      buildProtocol: () => ({
        makeConnection(transport) {
          (transport as UnixTransport).sendFileDescriptor(input);
          transport.write("x");
        },
        dataReceived() {},
      }),
    }, { reactor });
    await promise;
    assertEquals(events, ["descriptor", "x"]);
    closeDescriptor(input);
    const buffer = new Uint8Array(20);
    const count = readInto(output, buffer);
    assertEquals(
      new TextDecoder().decode(buffer.subarray(0, count)),
      "through",
    );
    closeDescriptor(output);
    await port.stopListening();
  },
);

// UDP

testInside(
  "listenUDP() echoes, and says that nobody is there (contracts 228 and 232)",
  async ({ reactor }) => {
    const options = { hostname: LOOPBACK, reactor };
    const events: string[] = [];
    const server = listenUDP(0, {
      datagramReceived: (data, peer) => server.write(data, peer),
      stopProtocol: () => void events.push("server stopped"),
    }, options);
    const { hostname, port } = server.getHost() as NetAddress;
    const client = listenUDP(0, {
      datagramReceived: (data) =>
        void events.push(new TextDecoder().decode(data)),
      connectionRefused: () => void events.push("refused"),
    }, options);
    client.connect(hostname, port);
    client.write("ping");
    await until(reactor, () => events.length === 1);
    await server.stopListening();
    client.write("ping");
    await until(reactor, () => events.includes("refused"));
    await client.stopListening();
    assertEquals(events, ["ping", "server stopped", "refused"]);
  },
);

// Processes

/** Gathers what a process says, and how it ends. */
class Listening implements ProcessProtocol {
  declare transport: ProcessTransport;
  readonly events: string[] = [];
  readonly ended: PromiseWithResolvers<Error> = Promise.withResolvers();

  childDataReceived(fd: number, data: Uint8Array): void {
    this.events.push(`${fd}: ${new TextDecoder().decode(data)}`);
  }

  processExited(): void {
    this.events.push("exited");
  }

  processEnded(reason: Error): void {
    this.ended.resolve(reason);
  }
}

testInside(
  "spawnProcess() pipes both ways, and notices the exit (contracts 242 to 246)",
  async ({ reactor }) => {
    const options = { clearEnv: false, reactor };
    const cat = new Listening();
    spawnProcess(cat, "cat", options);
    cat.transport.write("through the pipe");
    cat.transport.closeStdin();
    assertInstanceOf(await cat.ended.promise, ProcessDone);
    assertEquals(cat.events.toSorted(), ["1: through the pipe", "exited"]);

    const killed = new Listening();
    spawnProcess(killed, "cat", options);
    killed.transport.signalProcess("KILL");
    const reason = await killed.ended.promise;
    assertInstanceOf(reason, ProcessTerminated);
    assertEquals(reason.signal, "SIGKILL");
  },
);

// TLS

testInside(
  "connectSSL() talks to listenSSL(), and refuses a stranger's certificate",
  async ({ reactor }) => {
    const served: Recorder[] = [];
    const port = listenSSL(0, {
      buildProtocol() {
        const recorder = new Recorder({
          data: ({ transport }, data) => transport.write(data),
        });
        served.push(recorder);
        return recorder;
      },
    }, { hostname: LOOPBACK, reactor, tls: identity });
    const attempt = (protocol: Recorder, caCerts: string[]) =>
      new Promise<Error>((resolve) =>
        connectSSL("localhost", numberOf(port), {
          buildProtocol: () => protocol,
          clientConnectionFailed: (_connector, reason) => resolve(reason),
          clientConnectionLost: (_connector, reason) => resolve(reason),
        }, { reactor, tls: { caCerts } })
      );
    const data = pattern(300_000);
    const sum = new Checksum();
    const client = new Recorder({
      made: ({ transport }) => transport.write(data),
      data({ transport, received }, data) {
        sum.add(data);
        if (received === 300_000) transport.loseConnection();
      },
    });
    assertInstanceOf(await attempt(client, [root]), ConnectionDone);
    const expected = new Checksum();
    expected.add(data);
    assertEquals(`${sum}`, `${expected}`);

    const failure = await attempt(new Recorder(), []);
    assertStringIncludes(failure.message, "certificate");
    assertInstanceOf(failure.cause, TLSError);
    await until(reactor, () => served.length === 2);
    await served[1]!.lost.promise;
    await port.stopListening();
  },
  missingForTLS,
);
