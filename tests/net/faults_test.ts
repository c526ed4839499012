/**
 * What goes wrong: each fault gives its error once, to the object that it is
 * about, and the server goes on serving the others.
 *
 * @module
 */

import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { spawn } from "../../ffi/spawn.ts";
import { openssl } from "../../ffi/toolkits/openssl.ts";
import { ConnectionLost, type Reactor, type ReactorError } from "../../mod.ts";
import type { NetAddress } from "../../src/net/address.ts";
import { alpnCallback } from "../../src/net/alpn.ts";
import type { ClientFactory } from "../../src/net/connector.ts";
import {
  CannotListenError,
  ConnectBindError,
  ConnectError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  MessageLengthError,
  NameLookupError,
  NoRouteError,
  UserError,
} from "../../src/net/errors.ts";
import { spawnProcess } from "../../src/net/process.ts";
import type { Transport } from "../../src/net/protocol.ts";
import {
  connectTCP,
  type ConnectTCPOptions,
  listenTCP,
} from "../../src/net/tcp.ts";
import { connectSSL, listenSSL } from "../../src/net/tls.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import { listenUDP } from "../../src/net/udp.ts";
import { connectUNIX } from "../../src/net/unix.ts";
import {
  BACKENDS,
  onLinux,
  startConnecting,
  until,
  unusedPort,
} from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { leaveOut } from "../left_out.ts";
import { BlackHole } from "./black_hole.ts";
import { Authority, type Identity, missingOpenssl } from "./certificates.ts";
import {
  Client,
  Echo,
  LOOPBACK,
  numberOf,
  Recorder,
  Server,
} from "./protocols.ts";

const PATIENCE = 60_000;

const missing = await missingOpenssl();

// What stays open from its first use on, the sanitizer would take for a leak of
// the test that comes first.
try {
  spawn("/nonexistent", { env: null });
} catch {
  // That was to be expected.
}
let identity: Identity = { cert: "", key: "" };
if (missing.length === 0) {
  openssl();
  alpnCallback();
  const authority = await Authority.root("A root");
  identity = await authority.issue({ names: "IP:127.0.0.1" });
}

/** A server, somebody who stays connected to it all the time, and newcomers. */
class Bench {
  readonly reactor: Reactor;
  readonly server: Server;
  readonly #bystander = new Recorder();

  constructor(reactor: Reactor) {
    this.reactor = reactor;
    reactor.interleave();
    this.server = new Server(reactor, () => new Echo());
    new Client(reactor, this.server.number, () => this.#bystander);
  }

  /** The bystander is served, and so is somebody who comes now. */
  async serves(): Promise<void> {
    const newcomer = new Recorder();
    new Client(this.reactor, this.server.number, () => newcomer);
    for (const one of [this.#bystander, newcomer]) {
      const { length } = one.text;
      (await one.made.promise).write("?");
      await until(() => one.text.length > length);
      assertEquals(one.events[0], "made");
      assertMatch(one.text, /^\?+$/);
    }
    newcomer.transport.loseConnection();
    await newcomer.lost.promise;
  }

  /** Tries to connect. Returns all that the factory is told of failure and end. */
  async attempt(
    port: number,
    options: ConnectTCPOptions & { hostname?: string } = {},
  ): Promise<Error[]> {
    const { hostname = LOOPBACK, ...rest } = options;
    return await reasons((factory) =>
      connectTCP(hostname, port, factory, { reactor: this.reactor, ...rest })
    );
  }
}

/** What a client's factory is told: the first error is there, others may follow. */
async function reasons(
  start: (factory: ClientFactory) => unknown,
): Promise<Error[]> {
  const errors: Error[] = [];
  start({
    buildProtocol: () => ({ dataReceived() {} }),
    clientConnectionFailed: (_, reason) => void errors.push(reason),
    clientConnectionLost: (_, reason) => void errors.push(reason),
  });
  await until(() => errors.length > 0);
  return errors;
}

/** What is thrown at the call. */
function thrownBy(f: () => unknown): Promise<Error[]> {
  try {
    f();
    return Promise.resolve([]);
  } catch (error) {
    return Promise.resolve([error as Error]);
  }
}

/** Something that goes wrong. */
interface Fault {
  readonly name: string;
  /** The class of the error. */
  readonly Class: new () => ReactorError;
  /** The kernel's word, or that of the name service. */
  readonly code?: RegExp;
  /** Why it can't be brought about here. */
  readonly ignore?: string | false;
  /** Brings it about. Returns all that the object is told which it is about. */
  bring(bench: Bench): Promise<Error[]>;
}

const FAULTS: readonly Fault[] = [
  {
    name: "a port where nobody listens",
    Class: ConnectionRefusedError,
    code: /^ECONNREFUSED$/,
    bring: (bench) => bench.attempt(unusedPort()),
  },
  {
    name: "a port from which no answer comes",
    Class: ConnectTimeoutError,
    async bring(bench) {
      using hole = new BlackHole();
      return await bench.attempt(hole.port, { timeout: 30 });
    },
  },
  {
    name: "a network to which no way leads",
    Class: NoRouteError,
    code: /^ENETUNREACH$/,
    ignore: !onLinux && "macOS has another word for it",
    // Nobody can be connected to a group, so there is no route for that.
    bring: (bench) => bench.attempt(9, { hostname: "224.0.0.1" }),
  },
  {
    name: "a name that nobody has",
    Class: NameLookupError,
    code: /^EAI_/,
    bring: (bench) => bench.attempt(9, { hostname: "no..name" }),
  },
  {
    name: "a path where no socket is",
    Class: ConnectError,
    code: /^ENOENT$/,
    bring: ({ reactor }) =>
      reasons((factory) =>
        connectUNIX("/nonexistent/socket", factory, { reactor })
      ),
  },
  {
    name: "a local port that is in use",
    Class: ConnectBindError,
    code: /^EADDRINUSE$/,
    bring: (bench) =>
      bench.attempt(bench.server.number, {
        bindAddress: [LOOPBACK, bench.server.number],
      }),
  },
  {
    name: "a local address of somebody else",
    Class: ConnectBindError,
    code: /^EADDRNOTAVAIL$/,
    bring: (bench) =>
      bench.attempt(bench.server.number, { bindAddress: ["203.0.113.1", 0] }),
  },
  {
    name: "a program that gives up",
    Class: UserError,
    async bring({ reactor }) {
      using hole = new BlackHole();
      return await reasons((factory) => {
        const connector = connectTCP(LOOPBACK, hole.port, factory, { reactor });
        reactor.callLater(5, () => connector.stopConnecting());
      });
    },
  },
  {
    name: "a TCP port that is in use",
    Class: CannotListenError,
    code: /^EADDRINUSE$/,
    bring: ({ reactor, server }) =>
      thrownBy(() =>
        listenTCP(server.number, server, { hostname: LOOPBACK, reactor })
      ),
  },
  {
    name: "a UDP port that is in use",
    Class: CannotListenError,
    code: /^EADDRINUSE$/,
    async bring({ reactor }) {
      const options = { hostname: LOOPBACK, reactor };
      const protocol = { datagramReceived() {} };
      await using first = listenUDP(0, protocol, options);
      const { port } = first.getHost() as NetAddress;
      return await thrownBy(() => listenUDP(port, protocol, options));
    },
  },
  {
    name: "a datagram that is too long",
    Class: MessageLengthError,
    code: /^EMSGSIZE$/,
    async bring({ reactor }) {
      const protocol = { datagramReceived() {} };
      await using port = listenUDP(0, protocol, {
        hostname: LOOPBACK,
        reactor,
      });
      const { hostname, port: number } = port.getHost() as NetAddress;
      return await thrownBy(() =>
        port.write(new Uint8Array(65_508), { hostname, port: number })
      );
    },
  },
  {
    name: "a peer that resets the connection",
    Class: ConnectionLost,
    code: /^ECONNRESET$/,
    async bring({ reactor }) {
      const lost: Error[] = [];
      const server = new Server(
        reactor,
        () => new Recorder({ lost: (_, reason) => lost.push(reason) }),
      );
      new Client(reactor, server.number, () =>
        new Recorder({
          made: ({ transport }) => transport.abortConnection(),
        }));
      await until(() => lost.length > 0);
      await server.port.stopListening();
      return lost;
    },
  },
  {
    name: "a peer that vanishes in the middle of a write",
    Class: ConnectionLost,
    code: /^(ECONNRESET|EPIPE)$/,
    async bring({ reactor }) {
      const lost: Error[] = [];
      let stopped = 0;
      const writer = new Recorder({
        made({ transport }) {
          transport.write(new Uint8Array(50_000_000));
          transport.registerProducer({
            resumeProducing() {},
            pauseProducing() {},
            stopProducing: () => void stopped++,
          }, true);
        },
        lost: (_, reason) => lost.push(reason),
      });
      const server = new Server(reactor, () => writer);
      const peer = startConnecting(server.number);
      await writer.made.promise;
      await until(() => writer.transport.bufferedAmount < 50_000_000);
      closeDescriptor(peer); // With much unread: the kernel resets it.
      await until(() => lost.length > 0);
      assertEquals(writer.transport.bufferedAmount, 0);
      assertEquals(stopped, 1);
      await server.port.stopListening();
      return lost;
    },
  },
  {
    name: "garbage where a server expects TLS",
    Class: TLSError,
    ignore: missing.length > 0 && `install ${missing.join(", ")}`,
    async bring({ reactor }) {
      const lost: Error[] = [];
      const port = listenSSL(0, {
        buildProtocol: () =>
          new Recorder({ lost: (_, reason) => lost.push(reason) }),
      }, { hostname: LOOPBACK, reactor, tls: identity });
      new Client(reactor, numberOf(port), () =>
        new Recorder({
          made: ({ transport }) => transport.write("GET / HTTP/1.1\r\n\r\n"),
        }));
      await until(() => lost.length > 0);
      await port.stopListening();
      return lost;
    },
  },
  {
    name: "garbage where a client expects TLS",
    Class: ConnectError,
    ignore: missing.length > 0 && `install ${missing.join(", ")}`,
    bring: ({ reactor, server }) =>
      reasons((factory) =>
        connectSSL(LOOPBACK, server.number, factory, { reactor })
      ),
  },
];

for (const { name, Class, code, ignore = false, bring } of FAULTS) {
  if (ignore !== false) {
    leaveOut(name, ignore);
    continue;
  }
  testOnBackends(
    `${name}: a ${Class.name}, once, and the others are served`,
    async ({ reactor }) => {
      const bench = new Bench(reactor);
      await bench.serves();
      const errors = await bring(bench);
      await bench.serves();
      assertEquals(errors.length, 1);
      assertInstanceOf(errors[0], Class);
      assertEquals(errors[0].name, Class.name);
      if (code !== undefined) {
        assertMatch((errors[0] as ReactorError).code!, code);
      }
    },
  );
}

// Handlers

/** A life that calls the handlers of its kind. */
interface Life {
  readonly handlers: readonly string[];
  /**
   * Lives it to its end, whichever handler fails.
   *
   * @param call What each handler does first; it may throw.
   */
  live(bench: Bench, call: (handler: string) => void): Promise<void>;
}

const LIVES: Readonly<Record<string, Life>> = {
  "a server": {
    handlers: [
      "doStart",
      "buildProtocol",
      "makeConnection",
      "dataReceived",
      "readConnectionLost",
      "writeConnectionLost",
      "connectionLost",
    ],
    async live({ reactor }, call) {
      let transport: Transport;
      const port = listenTCP(0, {
        doStart: () => call("doStart"),
        buildProtocol() {
          call("buildProtocol");
          return {
            makeConnection(made) {
              transport = made;
              call("makeConnection");
            },
            dataReceived: () => call("dataReceived"),
            readConnectionLost() {
              transport.loseWriteConnection();
              call("readConnectionLost");
            },
            writeConnectionLost: () => call("writeConnectionLost"),
            connectionLost: () => call("connectionLost"),
          };
        },
      }, { hostname: LOOPBACK, reactor });
      const client = new Recorder({
        made({ transport }) {
          transport.write("x");
          transport.loseWriteConnection();
        },
      });
      Object.assign(client, { readConnectionLost() {} });
      new Client(reactor, numberOf(port), () => client);
      await client.lost.promise;
      await port.stopListening();
    },
  },
  "a client": {
    handlers: [
      "doStart",
      "startedConnecting",
      "buildProtocol",
      "connectionMade",
      "dataReceived",
      "connectionLost",
      "clientConnectionLost",
      "doStop",
    ],
    async live({ reactor, server }, call) {
      const connector = connectTCP(LOOPBACK, server.number, {
        doStart: () => call("doStart"),
        startedConnecting: () => call("startedConnecting"),
        buildProtocol() {
          call("buildProtocol");
          return {
            connectionMade(this: { transport?: Transport }) {
              this.transport!.write("x");
              call("connectionMade");
            },
            dataReceived(this: { transport?: Transport }) {
              this.transport!.loseConnection();
              call("dataReceived");
            },
            connectionLost: () => call("connectionLost"),
          };
        },
        clientConnectionLost: () => call("clientConnectionLost"),
        doStop: () => call("doStop"),
      }, { reactor });
      await until(() => connector.state === "disconnected");
    },
  },
  "a client that is refused": {
    handlers: ["clientConnectionFailed", "doStop"],
    async live({ reactor }, call) {
      const connector = connectTCP(LOOPBACK, unusedPort(), {
        buildProtocol: () => null,
        clientConnectionFailed: () => call("clientConnectionFailed"),
        doStop: () => call("doStop"),
      }, { reactor });
      await until(() => connector.state === "disconnected");
    },
  },
  "a producer": {
    handlers: ["pauseProducing", "resumeProducing", "stopProducing"],
    async live({ reactor, server }, call) {
      const client = new Recorder({
        made({ transport }) {
          transport.registerProducer({
            pauseProducing: () => call("pauseProducing"),
            resumeProducing() {
              transport.abortConnection();
              call("resumeProducing");
            },
            stopProducing: () => call("stopProducing"),
          }, true);
          transport.write(new Uint8Array(100_000));
        },
      });
      new Client(reactor, server.number, () => client);
      await client.lost.promise;
    },
  },
  "a datagram protocol": {
    handlers: [
      "startProtocol",
      "datagramReceived",
      "connectionRefused",
      "stopProtocol",
    ],
    async live({ reactor }, call) {
      const options = { hostname: LOOPBACK, reactor };
      const peer = listenUDP(0, {
        datagramReceived: (data, from) => peer.write(data, from),
      }, options);
      const { hostname, port } = peer.getHost() as NetAddress;
      let [received, refused] = [false, false];
      const client = listenUDP(0, {
        startProtocol: () => call("startProtocol"),
        datagramReceived() {
          received = true;
          call("datagramReceived");
        },
        connectionRefused() {
          refused = true;
          call("connectionRefused");
        },
        stopProtocol: () => call("stopProtocol"),
      }, options);
      client.connect(hostname, port);
      client.write("x");
      await until(() => received);
      await peer.stopListening();
      client.write("x");
      await until(() => refused);
      await client.stopListening();
    },
  },
  "a process": {
    handlers: [
      "connectionMade",
      "childDataReceived",
      "childConnectionLost",
      "processExited",
      "processEnded",
    ],
    async live({ reactor }, call) {
      let ended = false;
      spawnProcess(
        {
          connectionMade: () => call("connectionMade"),
          childDataReceived: () => call("childDataReceived"),
          childConnectionLost: () => call("childConnectionLost"),
          processExited: () => call("processExited"),
          processEnded() {
            ended = true;
            call("processEnded");
          },
        },
        "echo",
        { args: ["x"], clearEnv: false, reactor },
      );
      await until(() => ended);
    },
  },
};

for (const [name, { handlers, live }] of Object.entries(LIVES)) {
  for (const faulty of handlers) {
    testOnBackends(
      `${name} whose ${faulty} throws: reported once, and the others are served`,
      async ({ reactor, errors }) => {
        const bench = new Bench(reactor);
        await bench.serves();
        let calls = 0;
        await live(bench, (handler) => {
          if (handler === faulty && calls++ === 0) throw new Error(faulty);
        });
        await bench.serves();
        assertEquals(
          errors.splice(0).map(({ error }) => (error as Error).message),
          [faulty],
        );
      },
    );
  }
}

// What takes a process of its own

/** The least port that anybody may have; 0 where that is all of them. */
async function leastFreePort(): Promise<number> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start || true"],
    stderr: "null",
  }).output();
  return Number(new TextDecoder().decode(stdout));
}

const leastFree = await leastFreePort();

for (const backend of BACKENDS) {
  Deno.test({
    name:
      `a port that is root's: a CannotListenError or a ConnectBindError, and the others are served [${backend}]` +
      (leastFree > 1 ? "" : " (ignored: here, nobody but root has none)"),
    ignore: leastFree <= 1,
    async fn() {
      const file = new URL("programs/privileged_port.ts", import.meta.url);
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        // deno-fmt-ignore
        args: [
          "run", "--quiet", "--no-prompt", "--allow-ffi", file.pathname,
          backend, `${leastFree - 1}`,
        ],
        env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
        signal: AbortSignal.timeout(PATIENCE),
      }).output();
      const decoder = new TextDecoder();
      assertEquals(decoder.decode(stderr), "");
      assertEquals(decoder.decode(stdout).split("\n"), [
        "CannotListenError EACCES",
        "CannotListenError EACCES",
        "ConnectBindError EACCES",
        "served",
        "",
      ]);
    },
  });
}
