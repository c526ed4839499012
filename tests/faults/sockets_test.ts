// What becomes of ports, of attempts to connect, of descriptors that are passed and
// of datagrams when the calls of their sockets fail in each way that there is: they
// go on, or are told the kernel's word, once; nothing stays open, and nobody else
// on the same reactor notices.
//
// What becomes of a connection's bytes stands in stream_test.ts.

import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertThrows,
} from "@std/assert";
import { closeDescriptor, readInto } from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import { NAMELESS } from "../../src/net/address.ts";
import {
  CannotListenError,
  ConnectError,
  ConnectTimeoutError,
  MessageLengthError,
} from "../../src/net/errors.ts";
import { SocketStream } from "../../src/net/socket_stream.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import type { DatagramPort, DatagramProtocol } from "../../src/net/datagram.ts";
import { listenUDP } from "../../src/net/udp.ts";
import {
  connectUNIX,
  listenUNIX,
  listenUNIXDatagram,
} from "../../src/net/unix.ts";
import {
  type UnixProtocol,
  UnixStreamTransport,
} from "../../src/net/unix_stream.ts";
import {
  BACKENDS,
  makePipe,
  makeSocketpair,
  onLinux,
  startConnecting,
  until,
} from "../descriptors.ts";
import { LOOPBACK, numberOf, Recorder } from "../net/protocols.ts";
import { CALM, codeOf, type FaultBench, testFault } from "./bench.ts";
import { assertNamed, assertServed } from "./bystanders.ts";
import { FAILURES } from "./errnos.ts";
import type { Which } from "./schedule.ts";

// It stays open from its first use on, which the sanitizer would take for a leak
// of the test that comes first.
libc();

/** All of the package's calls can be struck. What the set is makes no difference. */
function testSocket(
  name: string,
  fn: (bench: FaultBench) => Promise<void>,
): void {
  testFault(name, async (bench) => {
    await bench.start();
    await fn(bench);
  }, { backends: BACKENDS.slice(0, 1), everywhere: true });
}

// Accepting

const ACCEPT = onLinux ? "accept4" : "accept";

/** "Not now": without an end to it there is nothing to tell anybody of. */
const NOT_NOW = ["EAGAIN", "EINTR"];

for (const errno of FAILURES.accept.errnos) {
  for (
    const [how, which] of [
      ["five times", { times: 5 }],
      ["every time", "always"],
    ] as [string, Which][]
  ) {
    const isEndless = which === "always";
    if (isEndless && NOT_NOW.includes(errno)) continue;
    testSocket(
      `accept fails with ${errno} ${how}: it is told if at all, nothing spins, and who comes later is served`,
      async (bench) => {
        const { reactor, libc } = bench;
        let built = 0;
        const port = listenTCP(0, {
          buildProtocol() {
            built++;
            return null;
          },
        }, { hostname: LOOPBACK, reactor });
        const waiting: number[] = [];
        const connect = () => waiting.push(startConnecting(numberOf(port)));
        {
          using strike = libc.strike({
            call: ACCEPT,
            effect: { errno },
            which,
            when: (fd) => fd === port.fileno(),
          });
          connect();
          await until(() => strike.struck >= 1);
          assertServed(await bench.round());
          if (isEndless) {
            assertEquals(built, 0);
            assertLess(await bench.idleTurns(), CALM);
            assertGreater(bench.errors.length, 0);
          } else await until(() => strike.struck === 5);
        }
        connect(); // The one before may have been turned away.
        await until(() => built > 0);
        for (const code of bench.takeCodes()) assertEquals(code, errno);
        assertServed(await bench.round());
        await port.stopListening();
        for (const fd of waiting) closeDescriptor(fd);
      },
    );
  }
}

// Connecting

type Factory = Parameters<typeof connectTCP>[2];

/** What connections are made over. */
interface Way {
  readonly name: string;
  /** Listens. */
  listen(bench: FaultBench): Listening;
}

/** Somebody who listens. */
interface Listening {
  connect(factory: Factory, timeout: number): void;
  stop(): Promise<void>;
}

let paths = 0;

/** An abstract name that nobody else has. */
function freePath(): string {
  return `\0faults ${Deno.pid} ${paths++}`;
}

const WAYS: readonly Way[] = [
  {
    name: "TCP",
    listen({ reactor }) {
      const port = listenTCP(0, { buildProtocol: () => new Recorder() }, {
        hostname: LOOPBACK,
        reactor,
      });
      return {
        connect: (factory, timeout) =>
          void connectTCP(LOOPBACK, numberOf(port), factory, {
            reactor,
            timeout,
          }),
        stop: () => port.stopListening(),
      };
    },
  },
  ...onLinux
    ? [{
      name: "UNIX",
      listen({ reactor }: FaultBench) {
        const path = freePath();
        const port = listenUNIX(path, { buildProtocol: () => new Recorder() }, {
          reactor,
        });
        return {
          connect: (factory: Factory, timeout: number) =>
            void connectUNIX(path, factory, { reactor, timeout }),
          stop: () => port.stopListening(),
        };
      },
    }]
    : [],
];

/** Connects, and ends the connection if there is one. Returns how it came off. */
async function attempt(
  bench: FaultBench,
  way: Way,
  timeout = 30_000,
): Promise<Error | "made"> {
  const { connect, stop } = way.listen(bench);
  const outcomes: (Error | "made")[] = [];
  let stopped = 0;
  connect({
    buildProtocol() {
      const recorder = new Recorder({
        made: ({ transport }) => {
          outcomes.push("made");
          transport.loseConnection();
        },
      });
      return recorder;
    },
    clientConnectionFailed: (_, reason) => void outcomes.push(reason),
    doStop: () => void stopped++,
  }, timeout);
  await until(() => stopped === 1);
  assertServed(await bench.round());
  await stop();
  assertEquals(outcomes.length, 1);
  return outcomes[0]!;
}

/** The kernel says these once (ffi/socket.ts), so that they count at once. */
const TOLD_ONCE = ["ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT"];

for (const way of WAYS) {
  for (const errno of FAILURES.connect.errnos) {
    const isBusy = errno === "EAGAIN" && way.name === "UNIX";
    // It has begun, and the answer is still to come.
    const after = errno === "EINPROGRESS";
    const failsAtOnce = TOLD_ONCE.includes(errno) ||
      errno === "EAGAIN" && !isBusy;
    testSocket(
      `connect fails once with ${errno}: ${
        failsAtOnce ? "its owner is told so" : "it is made all the same"
      } (${way.name})`,
      async (bench) => {
        using strike = bench.libc.strike({
          call: "connect",
          effect: { errno, after },
          which: "once",
        });
        const outcome = await attempt(bench, way);
        assertEquals(strike.struck, 1);
        if (!failsAtOnce) return assertEquals(outcome, "made");
        assertInstanceOf(outcome, ConnectError);
        assertEquals(outcome.code, errno);
      },
    );

    // An answer that never comes is one that the time-out is for.
    if (errno === "EINTR" || errno === "EINPROGRESS") continue;
    testSocket(
      `connect fails with ${errno} every time: its owner is told, once (${way.name})`,
      async (bench) => {
        using _strike = bench.libc.strike({
          call: "connect",
          effect: { errno },
        });
        const outcome = await attempt(bench, way, isBusy ? 100 : undefined);
        if (isBusy) return assertInstanceOf(outcome, ConnectTimeoutError);
        // These two say that all is well (connect(2)), and are believed.
        if (errno === "EISCONN" || errno === "EALREADY") return;
        assertInstanceOf(outcome, ConnectError);
        assertEquals(outcome.code, errno);
      },
    );
  }

  for (const errno of FAILURES.getsockopt.errnos) {
    for (const which of ["once", "always"] as const) {
      testSocket(
        `getsockopt fails with ${errno} ${
          which === "once"
            ? "once when a connection is made: nobody notices"
            : "every time: the owner of the attempt is told, once"
        } (${way.name})`,
        async (bench) => {
          using strike = bench.libc.strike({
            call: "getsockopt",
            effect: { errno },
            which,
          });
          const outcome = await attempt(bench, way);
          assertGreaterOrEqual(strike.struck, 1);
          if (which === "once") return assertEquals(outcome, "made");
          assertInstanceOf(outcome, ConnectError);
          assertEquals(outcome.code, errno);
        },
      );
    }
  }

  testSocket(
    `connect and getsockopt are late every time: the connection is made (${way.name})`,
    async (bench) => {
      const effect = { late: 20 };
      using _connect = bench.libc.strike({ call: "connect", effect });
      using _option = bench.libc.strike({ call: "getsockopt", effect });
      assertEquals(await attempt(bench, way), "made");
    },
  );
}

// Making

const datagrams: DatagramProtocol = { datagramReceived() {} };

for (const call of ["socket", "bind", "listen"] as const) {
  for (const errno of FAILURES[call].errnos) {
    testSocket(
      `${call} fails with ${errno}: who asked for a port is told, and nothing stays open; once, nobody notices`,
      async (bench) => {
        const { reactor, libc } = bench;
        const options = { hostname: LOOPBACK, reactor };
        const factory = { buildProtocol: () => null };
        const makers = [
          () => listenTCP(0, factory, options),
          ...call === "listen" ? [] : [() => listenUDP(0, datagrams, options)],
        ];
        const open = [...libc.open];
        for (const make of makers) {
          {
            using _strike = libc.strike({ call, effect: { errno } });
            const error = assertThrows(() => make(), CannotListenError);
            assertEquals((error as CannotListenError).code, errno);
            assertEquals([...libc.open], open);
          }
          using strike = libc.strike({
            call,
            effect: { errno },
            which: "once",
          });
          const port = make();
          assertEquals(strike.struck, 1);
          await port.stopListening();
        }
        assertServed(await bench.round());
      },
    );
  }
}

for (const errno of FAILURES.socket.errnos) {
  testSocket(
    `socket fails with ${errno}: who wanted to connect is told, once`,
    async (bench) => {
      const { connect, stop } = WAYS[0]!.listen(bench);
      using _strike = bench.libc.strike({ call: "socket", effect: { errno } });
      const reasons: Error[] = [];
      connect({
        buildProtocol: () => null,
        clientConnectionFailed: (_, reason) => void reasons.push(reason),
      }, 30_000);
      await until(() => reasons.length > 0);
      assertServed(await bench.round());
      assertEquals(reasons.map(codeOf), [errno]);
      await stop();
    },
  );
}

// Descriptors that are passed

/** Two UNIX sockets, of which one sends descriptors to the other. */
class Passing {
  readonly sender: UnixStreamTransport;
  readonly receiver: UnixStreamTransport;
  readonly fds: readonly [sender: number, receiver: number];
  /** What came. */
  readonly descriptors: number[] = [];
  text = "";
  /** With what each end was lost. */
  readonly lost: Record<"sender" | "receiver", Error[]> = {
    sender: [],
    receiver: [],
  };

  constructor({ reactor }: FaultBench, { takes = true } = {}) {
    this.fds = makeSocketpair();
    const [here, there] = this.fds.map((fd) =>
      new UnixStreamTransport({
        reactor,
        host: NAMELESS,
        peer: NAMELESS,
        socket: new SocketStream(fd),
      })
    );
    this.sender = here!;
    this.receiver = there!;
    this.sender.start({
      dataReceived() {},
      connectionLost: (reason) => void this.lost.sender.push(reason),
    });
    const protocol: UnixProtocol = {
      dataReceived: (data) =>
        void (this.text += new TextDecoder().decode(data)),
      connectionLost: (reason) => void this.lost.receiver.push(reason),
    };
    if (takes) {
      protocol.fileDescriptorReceived = (fd) => void this.descriptors.push(fd);
    }
    this.receiver.start(protocol);
  }

  /** Sends the descriptor, once for each byte of the text. */
  send(fd: number, text: string): void {
    for (const _ of text) this.sender.sendFileDescriptor(fd);
    this.sender.write(text);
  }

  /** Ends both, and closes what came. */
  async end(): Promise<void> {
    this.sender.abortConnection();
    this.receiver.abortConnection();
    const { sender, receiver } = this.lost;
    await until(() => sender.length > 0 && receiver.length > 0);
    assertEquals([sender.length, receiver.length], [1, 1]);
    for (const fd of this.descriptors) closeDescriptor(fd);
  }
}

/** A pipe whose end to write is sent about: when no copy is left, it ends. */
class Parcel implements Disposable {
  readonly input: number;
  readonly #output: number;

  constructor() {
    [this.#output, this.input] = makePipe();
  }

  /** Closes the original. Returns whether there is no other. */
  get isGone(): boolean {
    closeDescriptor(this.input);
    return readInto(this.#output, new Uint8Array(1)) === 0;
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.#output);
  }
}

/** "Not now": the next readiness makes up for it. */
const TRANSIENT = ["EAGAIN", "EINTR", "ENOBUFS"];

for (
  const [call, side, { errnos }] of [
    ["sendmsg", 0, FAILURES.sendmsg],
    ["recvmsg", 1, FAILURES.recv],
  ] as const
) {
  for (const errno of errnos) {
    if (TRANSIENT.includes(errno)) {
      testSocket(
        `${call} fails with ${errno} three times and then every other time: descriptors and bytes come all the same`,
        async (bench) => {
          for (const which of [{ times: 3 }, { every: 2 }]) {
            using parcel = new Parcel();
            const passing = new Passing(bench);
            using strike = bench.libc.strike({
              call,
              effect: { errno },
              which,
              when: (fd) => fd === passing.fds[side],
            });
            for (const text of ["one", "two"]) {
              const before = passing.text;
              passing.send(parcel.input, text);
              await until(() => passing.text === before + text);
            }
            assertGreaterOrEqual(strike.struck, 1);
            assertEquals(passing.descriptors.length, 6);
            assertServed(await bench.round());
            await passing.end();
            assert(parcel.isGone);
          }
        },
      );
      continue;
    }
    testSocket(
      `${call} fails with ${errno}: the connection ends with it, once, and no descriptor stays open`,
      async (bench) => {
        using parcel = new Parcel();
        const passing = new Passing(bench);
        const lost = side === 0 ? passing.lost.sender : passing.lost.receiver;
        using _strike = bench.libc.strike({
          call,
          effect: { errno },
          when: (fd) => fd === passing.fds[side],
        });
        passing.send(parcel.input, "some");
        await until(() => lost.length > 0);
        assertEquals(lost.map(codeOf), [errno]);
        assertServed(await bench.round());
        await passing.end();
        assert(parcel.isGone);
      },
    );
  }

  testSocket(
    `${call} moves a byte at a time, and is late: descriptors and bytes come all the same`,
    async (bench) => {
      for (const effect of [{ short: 1 }, { late: 5 }]) {
        using parcel = new Parcel();
        const passing = new Passing(bench);
        using strike = bench.libc.strike({
          call,
          effect,
          when: (fd) => fd === passing.fds[side],
        });
        passing.send(parcel.input, "parcels");
        await until(() => passing.text === "parcels");
        assertEquals(passing.descriptors.length, 7);
        assertGreaterOrEqual(strike.struck, 1);
        await passing.end();
        assert(parcel.isGone);
      }
    },
  );
}

for (const errno of FAILURES.close.errnos) {
  testSocket(
    `close fails with ${errno} for descriptors that are passed: none stays open, and the bytes come`,
    async (bench) => {
      using parcel = new Parcel();
      const passing = new Passing(bench, { takes: false });
      const ours = [...passing.fds, parcel.input];
      using strike = bench.libc.strike({
        call: "close",
        effect: { errno, after: true },
        which: { times: 6 }, // Three to send, and three that nobody takes.
        when: (fd) => !ours.includes(fd),
      });
      passing.send(parcel.input, "any");
      await until(() => passing.text === "any");
      await until(() => strike.struck === 6);
      assertEquals(bench.errors.splice(0).length, 3); // One for each of them.
      assertEquals([passing.lost.sender, passing.lost.receiver], [[], []]);
      await passing.end();
      assert(parcel.isGone);
    },
  );
}

// Datagrams

/** Two ports of datagrams: what one receives, and how it ends. */
class Datagrams {
  readonly sender: DatagramPort;
  readonly receiver: DatagramPort;
  readonly received: string[] = [];
  ended = 0;

  constructor(bench: FaultBench, kind: "UDP" | "UNIX") {
    const { reactor } = bench;
    const protocol = {
      datagramReceived: (data: Uint8Array) =>
        void this.received.push(new TextDecoder().decode(data)),
      stopProtocol: () => void this.ended++,
    };
    const listen = (protocol: DatagramProtocol) =>
      (kind === "UDP"
        ? listenUDP(0, protocol, { hostname: LOOPBACK, reactor })
        : listenUNIXDatagram(freePath(), protocol, {
          reactor,
        })) as DatagramPort;
    this.receiver = listen(protocol);
    this.sender = listen(datagrams);
  }

  send(text: string): void {
    this.sender.write(text, this.receiver.getHost() as never);
  }

  async stop(): Promise<void> {
    await this.sender.stopListening();
    await this.receiver.stopListening();
  }
}

for (const kind of onLinux ? ["UDP", "UNIX"] as const : ["UDP"] as const) {
  for (const errno of FAILURES.recv.errnos) {
    const isTransient = NOT_NOW.includes(errno);
    testSocket(
      `recvfrom fails with ${errno}${
        isTransient
          ? " three times: every datagram comes"
          : ": it is told, and the port ends, once"
      } (${kind})`,
      async (bench) => {
        const one = new Datagrams(bench, kind);
        const other = new Datagrams(bench, kind);
        const fd = one.receiver.fileno();
        using _strike = bench.libc.strike({
          call: "recvfrom",
          effect: { errno },
          which: isTransient ? { times: 3 } : "always",
          when: (number) => number === fd,
        });
        one.send("one");
        other.send("other");
        if (isTransient) await until(() => one.received.length > 0);
        else await until(() => one.ended > 0);
        await until(() => other.received.length > 0);
        assertServed(await bench.round());
        assertEquals(bench.takeCodes(), isTransient ? [] : [errno]);
        await one.stop();
        await other.stop();
        // Closed behind its back, it would be somebody else's by now.
        if (errno === "EBADF") closeDescriptor(fd);
        assertEquals(one.received, isTransient ? ["one"] : []);
        assertEquals([one.ended, other.ended], [1, 1]);
        assertEquals(other.received, ["other"]);
      },
    );
  }

  for (const errno of FAILURES.send.errnos) {
    const outcome = errno === "EINTR"
      ? "sent"
      : errno === "EAGAIN" || errno === "ENOBUFS"
      ? "lost"
      : "told";
    testSocket(
      `sendto fails with ${errno}${
        outcome === "sent" ? " three times" : ""
      }: the datagram is ${outcome}, and the next one goes (${kind})`,
      async (bench) => {
        const one = new Datagrams(bench, kind);
        {
          using _strike = bench.libc.strike({
            call: "sendto",
            effect: { errno },
            which: outcome === "sent" ? { times: 3 } : "always",
            when: (fd) => fd === one.sender.fileno(),
          });
          if (outcome === "told") {
            const error = assertThrows(() => one.send("one"));
            assertNamed(error);
            assertEquals(codeOf(error), errno);
            if (errno === "EMSGSIZE") {
              assertInstanceOf(error, MessageLengthError);
            }
          } else one.send("one");
        }
        one.send("two");
        await until(() => one.received.includes("two"));
        assertEquals(
          one.received,
          outcome === "sent" ? ["one", "two"] : ["two"],
        );
        assertServed(await bench.round());
        await one.stop();
      },
    );
  }
}
