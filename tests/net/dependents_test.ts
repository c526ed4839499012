/**
 * What ends with its reactor, whatever it is doing, and however the reactor ends.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertThrows,
} from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { removeFile } from "../../ffi/socket_files.ts";
import {
  ConnectionLost,
  Reactor,
  ReactorFailed,
  ReactorNotRunning,
} from "../../mod.ts";
import { adoptStream } from "../../src/net/adopt.ts";
import type { DatagramProtocol } from "../../src/net/datagram.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import { listenUDP } from "../../src/net/udp.ts";
import { connectUNIX, listenUNIX } from "../../src/net/unix.ts";
import {
  type Backend,
  BACKENDS,
  macrotask,
  makeSocketpair,
  until,
} from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { withWorkers } from "../workers.ts";
import { BlackHole } from "./black_hole.ts";
import {
  Client,
  connectPair,
  LOOPBACK,
  Recorder,
  Server,
} from "./protocols.ts";

// What stays open from its first use on, the sanitizer would take for a leak of
// the test that comes first.
libc();
removeFile("/nonexistent/file");

const nobody = { buildProtocol: () => null };

/** One of each kind, most of them unknown to the reactor itself. */
class Menagerie {
  /** What was told, by whom. */
  readonly told: string[] = [];
  /** Each of them. */
  static readonly ALL: readonly string[] = [
    "attempt",
    "datagrams",
    "look-up",
    "paused connection",
    "paused port",
    "reading connection",
  ];
  readonly #reactor: Reactor;
  readonly #hole = new BlackHole();
  readonly #paused: Recorder;
  readonly #reading: Recorder;

  private constructor(
    reactor: Reactor,
    paused: Recorder,
    reading: Recorder,
  ) {
    this.#reactor = reactor;
    this.#paused = paused;
    this.#reading = reading;
    for (
      const [name, { lost }] of [
        ["paused connection", paused],
        ["reading connection", reading],
      ] as const
    ) void lost.promise.then((reason) => this.#told(name, reason));
    const port = new Server(reactor, () => null);
    port.doStop = () => void this.told.push("paused port");
    port.port.pauseProducing();
    const protocol: DatagramProtocol = {
      datagramReceived() {},
      stopProtocol: () => void this.told.push("datagrams"),
    };
    listenUDP(0, protocol, { hostname: LOOPBACK, reactor }).pauseProducing();
    this.#connect("look-up", "localhost");
    this.#connect("attempt", LOOPBACK);
  }

  /** Puts them all on a reactor that runs. */
  static async on(reactor: Reactor): Promise<Menagerie> {
    const { server, client } = await connectPair(
      reactor,
      new Recorder({ made: ({ transport }) => transport.pauseProducing() }),
      new Recorder(),
    );
    return new Menagerie(reactor, server, client);
  }

  /** Requires that all of them were told, each once. */
  async assertAllTold(): Promise<void> {
    await macrotask();
    assertEquals(this.told.toSorted(), Menagerie.ALL);
    assertEquals(this.#reactor.getReaders(), []);
    assertEquals(this.#reactor.getWriters(), []);
    this.#hole[Symbol.dispose]();
  }

  /** Requires that the connections still are what they were. */
  async assertAlive(): Promise<void> {
    const { length } = this.#paused.events;
    this.#reading.transport.write("?");
    this.#paused.transport.resumeProducing();
    await until(() => this.#paused.events.length > length);
    this.#paused.transport.pauseProducing();
    assertEquals(this.#paused.events.at(-1), "?");
    assertEquals(this.told, []);
  }

  #connect(name: string, hostname: string): void {
    connectTCP(hostname, this.#hole.port, {
      ...nobody,
      clientConnectionFailed: (_, reason) => this.#told(name, reason),
    }, { reactor: this.#reactor });
  }

  #told(name: string, reason: Error): void {
    assertInstanceOf(reason, ConnectionLost);
    this.told.push(name);
  }
}

/** Declares a test on each backend that must leave nothing. */
function test(
  name: string,
  fn: (make: () => Reactor) => Promise<void>,
): void {
  for (const backend of BACKENDS as readonly Backend[]) {
    Deno.test(`${name} [${backend}]`, async () => {
      const before = await countAtRest();
      const errors: unknown[] = [];
      await using stack = new AsyncDisposableStack();
      await fn(() =>
        stack.use(
          new Reactor({ backend, onError: (error) => errors.push(error) }),
        )
      );
      await assertNothingLeft(before);
      assertEquals(errors, []);
    });
  }
}

test("stop() and close() tell all of them", async (make) => {
  for (const how of ["stop", "close"] as const) {
    const reactor = make();
    reactor.interleave();
    const all = await Menagerie.on(reactor);
    reactor[how]();
    await reactor.finished;
    await all.assertAllTold();
    await reactor.close();
  }
});

test("crash() tells nobody, and close() after it all of them", async (make) => {
  const reactor = make();
  reactor.interleave();
  const all = await Menagerie.on(reactor);
  reactor.crash();
  await reactor.finished;
  await macrotask();
  assertEquals(all.told, []);
  await reactor.close();
  await all.assertAllTold();
});

test("close() right after crash() tells all of them", async (make) => {
  const reactor = make();
  reactor.interleave();
  const all = await Menagerie.on(reactor);
  reactor.crash();
  await reactor.close();
  await all.assertAllTold();
});

test("all of them go on after each crash(), and are told when there is no other run", async (make) => {
  const reactor = make();
  reactor.interleave();
  const all = await Menagerie.on(reactor);
  for (let i = 0; i < 3; i++) {
    reactor.crash();
    // At once, or when all of the run is over.
    if (i > 0) await reactor.finished;
    if (i > 1) await macrotask();
    reactor.interleave();
    await all.assertAlive();
  }
  // What looks out for the end of a crashed reactor is gone again.
  const labels = reactor.getReaders().map(({ label }) => label);
  assert(!labels.includes("end of connections"), `${labels}`);
  reactor.crash();
  await reactor.finished;
  await reactor.close();
  await all.assertAllTold();
});

test("a crashed reactor takes more of them, and close() tells those, too", async (make) => {
  const reactor = make();
  reactor.interleave();
  const first = new Client(reactor, 1, () => null, { timeout: 60_000 });
  first.connector.stopConnecting();
  await first.failed.promise;
  reactor.crash();
  await reactor.finished;
  await macrotask();
  assertEquals(reactor.getReaders(), []);
  const second = new Client(reactor, 1, () => null);
  await reactor.close();
  assertInstanceOf(await second.failed.promise, ConnectionLost);
  assertEquals(first.events.length, 4);
});

test("close() tells those of a reactor that never ran", async (make) => {
  const reactor = make();
  const client = new Client(reactor, 1, () => null);
  const [here, there] = makeSocketpair();
  const paused = new Recorder({
    made: ({ transport }) => transport.pauseProducing(),
  });
  adoptStream(here, paused, { reactor });
  const stopped: string[] = [];
  const server = new Server(reactor, () => null);
  server.doStop = () => void stopped.push("port");
  listenUDP(0, {
    datagramReceived() {},
    stopProtocol: () => void stopped.push("datagrams"),
  }, { hostname: LOOPBACK, reactor });
  await reactor.close();
  assertInstanceOf(await client.failed.promise, ConnectionLost);
  assertInstanceOf(await paused.lost.promise, ConnectionLost);
  assertEquals(client.events, [
    "start",
    "started",
    "failed: ConnectionLost",
    "stop",
  ]);
  assertEquals(stopped.toSorted(), ["datagrams", "port"]);
  libc().close(here);
  libc().close(there);
});

testOnBackends(
  "a reactor that fails tells those that it does not know",
  ({ reactor, errors }) =>
    withWorkers(async (workers) => {
      using hole = new BlackHole();
      reactor.interleave();
      const { server } = await connectPair(
        reactor,
        new Recorder({ made: ({ transport }) => transport.pauseProducing() }),
        new Recorder(),
      );
      const attempt = new Client(reactor, hole.port, () => null);
      // The second one takes the place of the first, and has no success either.
      for (let i = 0; i < 2; i++) {
        await until(() => workers.length > i);
        await workers[i]!.terminate();
      }
      assertInstanceOf(await server.lost.promise, ReactorFailed);
      assertInstanceOf(await attempt.failed.promise, ReactorFailed);
      assertEquals(server.events, ["made", "lost: ReactorFailed"]);
      assertInstanceOf(errors.splice(0).at(-1)!.error, ReactorFailed);
    }),
);

/** All that begins something, and how it is said that there is no reactor. */
const BEGINNINGS: Readonly<Record<string, (reactor: Reactor) => unknown>> = {
  "listenTCP()": (reactor) =>
    listenTCP(0, nobody, { hostname: LOOPBACK, reactor }),
  "connectTCP()": (reactor) => connectTCP(LOOPBACK, 9, nobody, { reactor }),
  "listenUNIX()": (reactor) =>
    listenUNIX(`/tmp/${crypto.randomUUID()}`, nobody, { reactor }),
  "connectUNIX()": (reactor) => connectUNIX("/tmp/socket", nobody, { reactor }),
  "listenUDP()": (reactor) =>
    listenUDP(0, { datagramReceived() {} }, { hostname: LOOPBACK, reactor }),
};

for (const [name, begin] of Object.entries(BEGINNINGS)) {
  test(`${name} throws when the reactor has stopped, whether or not it has served anything`, async (make) => {
    for (const used of [false, true]) {
      await using reactor = make();
      if (used) new Server(reactor, () => null);
      reactor.callLater(0, () => reactor.stop());
      await reactor.run({ signals: false });
      assertThrows(() => begin(reactor), ReactorNotRunning, "stopped");
      assertEquals(reactor.getDelayedCalls(), []);
    }
  });

  test(`${name} throws when the reactor is closed`, async (make) => {
    for (const used of [false, true]) {
      const reactor = make();
      if (used) new Server(reactor, () => null);
      await reactor.close();
      const error = assertThrows(() => begin(reactor));
      assert(
        error instanceof ReactorNotRunning ||
          error instanceof Deno.errors.BadResource,
        String(error),
      );
    }
  });
}
