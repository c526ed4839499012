// What becomes of a connection when its socket's calls fail in each way that
// there is, or move a byte at a time: it goes on, or is told the kernel's word,
// once; and another connection notices nothing. Over TCP, UNIX sockets and TLS.

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { openssl } from "../../ffi/toolkits/openssl.ts";
import { alpnCallback } from "../../src/net/alpn.ts";
import { NAMELESS } from "../../src/net/address.ts";
import { SocketStream } from "../../src/net/socket_stream.ts";
import { type StreamSocket, StreamTransport } from "../../src/net/stream.ts";
import { TLSContext } from "../../src/net/tls_context.ts";
import { TLSStream } from "../../src/net/tls_stream.ts";
import { UnixStreamTransport } from "../../src/net/unix_stream.ts";
import {
  accept,
  type Bench,
  makeListener,
  startConnecting,
  testBackends,
} from "../descriptors.ts";
import {
  Authority,
  type Identity,
  missingOpenssl,
} from "../net/certificates.ts";
import { Checksum, Echo, pattern, Recorder } from "../net/protocols.ts";
import { codeOf } from "./bench.ts";
import { FAILURES } from "./errnos.ts";
import { FaultySocket, type SocketFault } from "./faulty_socket.ts";

const missing = await missingOpenssl();

// What stays open from its first use on, the sanitizer would take for a leak of
// the test that comes first.
libc();
let identity: Identity = { cert: "", key: "" };
let root = "";
if (missing.length === 0) {
  openssl();
  alpnCallback();
  const authority = await Authority.root("A root");
  root = authority.identity.cert;
  identity = await authority.issue({ names: "DNS:localhost" });
} else {
  console.log(
    `Left out: TLS, for which this is missing: ${missing.join(", ")}`,
  );
}

/** What a connection runs over. */
interface Layer {
  readonly name: string;
  /** Two sockets that are connected with each other. */
  connect(bench: Bench): [number, number];
  /** What is between a socket and its transport. */
  wrap(socket: StreamSocket, role: "client" | "server"): StreamSocket;
  readonly Transport: typeof StreamTransport;
  /** Whether bytes are received by the call that is struck. */
  readonly receives: boolean;
}

const PLAIN = (socket: StreamSocket) => socket;

const LAYERS: readonly Layer[] = [
  {
    name: "TCP",
    connect: connectTCP,
    wrap: PLAIN,
    Transport: StreamTransport,
    receives: true,
  },
  {
    name: "UNIX",
    connect: connectUNIX,
    wrap: PLAIN,
    Transport: UnixStreamTransport,
    // recvmsg(), for the descriptors that may come: it has no seam.
    receives: false,
  },
  ...missing.length > 0 ? [] : [{
    name: "TLS",
    connect: connectUNIX,
    wrap(socket: StreamSocket, role: "client" | "server") {
      using context = new TLSContext(
        role,
        role === "server"
          ? identity
          : { hostname: "localhost", caCerts: [root] },
      );
      return new TLSStream(socket, context);
    },
    Transport: StreamTransport,
    receives: true,
  }],
];

function connectTCP(bench: Bench): [number, number] {
  const { fd, port } = makeListener();
  bench.adopt(fd);
  const client = startConnecting(port);
  const server = accept(fd);
  return [client, server];
}

function connectUNIX(bench: Bench): [number, number] {
  const ends = bench.socketpair();
  for (const fd of ends) bench.release(fd); // Their transports close them.
  return ends;
}

/** A connection with an echo at its other end. */
class Connection {
  readonly client: Recorder;
  readonly socket: FaultySocket;
  /** With what it was lost. */
  readonly reasons: Error[] = [];
  #received = new Checksum();

  constructor(bench: Bench, layer: Layer, fault: SocketFault) {
    const { reactor } = bench;
    const { Transport } = layer;
    const [here, there] = layer.connect(bench);
    const options = { reactor, host: NAMELESS, peer: NAMELESS };
    this.client = new Recorder({
      data: (_, data) => this.#received.add(data),
      lost: (_, reason) => this.reasons.push(reason),
    });
    new Transport({
      ...options,
      socket: layer.wrap(new SocketStream(there), "server"),
    }).start(new Echo());
    this.socket = new FaultySocket(new SocketStream(here), fault);
    new Transport({
      ...options,
      socket: layer.wrap(this.socket, "client"),
    }).start(this.client);
  }

  /** Has so many bytes come back, and checks them. */
  echo(bench: Bench, length: number): void {
    const sent = pattern(length);
    const expected = new Checksum();
    expected.add(sent);
    this.#received = new Checksum();
    this.client.transport.write(sent);
    bench.pump(() => this.#received.length >= length);
    assertEquals(`${this.#received}`, `${expected}`);
  }

  /** Ends it. */
  end(bench: Bench): void {
    this.client.transport.abortConnection();
    bench.pump(() => this.reasons.length > 0);
  }
}

/** One to which nothing happens. */
function healthy(bench: Bench, layer: Layer): Connection {
  const fault = { call: "send", effect: { short: 1 }, which: { times: 0 } };
  return new Connection(bench, layer, fault as SocketFault);
}

/** "Not now": the next readiness makes up for it. */
const TRANSIENT = ["EAGAIN", "EINTR", "ENOBUFS"];

/** With such a budget a turn is not said to be slow on a busy machine. */
const OPTIONS = { reactor: { budget: { ms: 50 } } };

/** The calls that are struck, and their manual pages' names. */
const CALLS = { receive: "recv", send: "send" } as const;

for (const layer of LAYERS) {
  for (const call of ["receive", "send"] as const) {
    if (call === "receive" && !layer.receives) continue;
    for (const errno of FAILURES[CALLS[call]].errnos) {
      if (TRANSIENT.includes(errno)) {
        testBackends(
          `${
            CALLS[call]
          } fails with ${errno} three times and then every other time: every byte comes all the same (${layer.name})`,
          (bench) => {
            const other = healthy(bench, layer);
            for (const which of [{ times: 3 }, { every: 2 }]) {
              const one = new Connection(bench, layer, {
                call,
                effect: { errno },
                which,
              });
              one.echo(bench, 100_000);
              assertGreaterOrEqual(one.socket.struck, 1);
              other.echo(bench, 10);
              one.end(bench);
            }
            other.end(bench);
          },
          OPTIONS,
        );
        continue;
      }
      testBackends(
        `${
          CALLS[call]
        } fails with ${errno}: the connection ends with it, once, and another one notices nothing (${layer.name})`,
        (bench) => {
          const other = healthy(bench, layer);
          other.echo(bench, 10);
          const { client, reasons } = new Connection(bench, layer, {
            call,
            effect: { errno },
            which: "always",
          });
          client.transport.write("x");
          bench.pump(() => reasons.length > 0);
          other.echo(bench, 10);
          assertEquals(client.events, ["made", "lost: ConnectionLost"]);
          assertEquals(reasons.map(codeOf), [errno]);
          other.end(bench);
        },
        OPTIONS,
      );
    }

    testBackends(
      `${
        CALLS[call]
      } moves a byte at a time: every byte comes all the same (${layer.name})`,
      (bench) => {
        const one = new Connection(bench, layer, {
          call,
          effect: { short: 1 },
          which: "always",
        });
        one.echo(bench, 3_000);
        assertGreaterOrEqual(one.socket.struck, 3_000);
        one.end(bench);
      },
      OPTIONS,
    );
  }
}
