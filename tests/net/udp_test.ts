/**
 * UDP on both backends.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import type { Reactor } from "../../mod.ts";
import type { Address, NetAddress } from "../../src/net/address.ts";
import type {
  DatagramPort,
  DatagramProtocol,
  DatagramTransport,
} from "../../src/net/datagram.ts";
import {
  CannotListenError,
  InvalidAddressError,
  MessageLengthError,
} from "../../src/net/errors.ts";
import { listenUDP, type UDPTransport } from "../../src/net/udp.ts";
import { onLinux, PATIENCE, until } from "../descriptors.ts";
import { testInHosts, testOnBackends } from "../hosts.ts";
import { denoPeer } from "./deno_peer.ts";

// It stays open from its first use on, which the sanitizer would take for a leak
// of the test that comes first.
libc();

const HERE = { hostname: "127.0.0.1" };
const decoder = new TextDecoder();

/** Writes down what comes. */
class Recorder implements DatagramProtocol {
  declare transport: DatagramTransport;
  readonly events: string[] = [];
  readonly peers: Address[] = [];

  startProtocol(): void {
    this.events.push("start");
  }

  stopProtocol(): void {
    this.events.push("stop");
  }

  datagramReceived(data: Uint8Array, peer: Address): void {
    this.events.push(`"${decoder.decode(data)}"`);
    this.peers.push(peer);
  }

  connectionRefused(): void {
    this.events.push("refused");
  }
}

/** Runs a reactor on Deno's loop until the block ends. */
function start(reactor: Reactor): void {
  reactor.interleave();
}

function hostOf(transport: DatagramTransport): NetAddress {
  return transport.getHost() as NetAddress;
}

testInHosts("listenUDP() echoes a datagram", async ({ reactor, run }) => {
  const server: DatagramProtocol & { transport?: DatagramTransport } = {
    datagramReceived(data, peer) {
      this.transport!.write(data, peer);
    },
  };
  const there = hostOf(listenUDP(0, server, { ...HERE, reactor }));
  const client = new Recorder();
  client.datagramReceived = (data, peer) => {
    client.events.push(decoder.decode(data));
    assertEquals(peer, there);
    reactor.stop();
  };
  listenUDP(0, client, { ...HERE, reactor }).write("ping", there);
  const late = reactor.callLater(PATIENCE, () => reactor.stop());
  await run();
  if (late.active()) late.cancel();
  assertEquals(client.events, ["start", "ping", "stop"]);
});

testOnBackends(
  "listenUDP() talks to Deno's own datagrams",
  async ({ reactor }) => {
    start(reactor);
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    const host = hostOf(port);
    assertEquals(host.transport, "udp");
    assertEquals(host.hostname, "127.0.0.1");
    assertNotEquals(host.port, 0);
    protocol.datagramReceived = (data, peer) =>
      port.write(`${decoder.decode(data)} to you`, peer);
    const lines = await denoPeer(
      `const peer = Deno.listenDatagram({
        transport: "udp", hostname: "127.0.0.1", port: 0,
      });
      await peer.send(encode("hello"), args[0]);
      const [data, from] = await peer.receive();
      print(decode(data));
      print(JSON.stringify(from));
      peer.close();`,
      host,
    );
    assertEquals(lines[0], "hello to you");
    assertEquals(JSON.parse(lines[1]!), host);
    await port.stopListening();
  },
);

testOnBackends(
  "listenUDP() starts the protocol, and stops it later than stopListening() (contract 228)",
  async ({ reactor }) => {
    start(reactor);
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    assertEquals(protocol.transport, port);
    assertEquals(protocol.events, ["start"]);
    const stopped = port.stopListening();
    assertEquals(protocol.events, ["start"]);
    await stopped;
    assertEquals(protocol.events, ["start", "stop"]);
    await port.stopListening();
    assertEquals(protocol.events, ["start", "stop"]);
  },
);

testOnBackends(
  "stopListening() resolves when the reactor does not run (contract 228)",
  async ({ reactor }) => {
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    await port.stopListening();
    assertEquals(protocol.events, ["start", "stop"]);
  },
);

testOnBackends(
  "a port ends with its reactor, and the protocol hears of it once (contract 228)",
  async ({ reactor }) => {
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    reactor.callWhenRunning(() => {
      port.stopListening();
      reactor.stop();
    });
    const other = new Recorder();
    listenUDP(0, other, { ...HERE, reactor });
    await reactor.run({ signals: false });
    assertEquals(protocol.events, ["start", "stop"]);
    assertEquals(other.events, ["start", "stop"]);
  },
);

testOnBackends(
  "stopListening() resolves after stopProtocol(), also when the reactor ends first (contract 228)",
  async ({ reactor }) => {
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    const seen: string[][] = [];
    const stopped = Promise.withResolvers<void>();
    reactor.callWhenRunning(() => {
      // Both wait for the same end.
      for (let i = 0; i < 2; i++) {
        port.stopListening().then(() => {
          seen.push([...protocol.events]);
          if (seen.length === 2) stopped.resolve();
        });
      }
      reactor.crash();
    });
    await reactor.run({ signals: false });
    assertEquals(protocol.events, ["start"]);
    await reactor.close();
    await stopped.promise;
    assertEquals(seen, [["start", "stop"], ["start", "stop"]]);
  },
);

testOnBackends(
  "datagrams are received several at an event, 256 KiB at most (contract 229)",
  async ({ reactor }) => {
    // A group of 8 KiB datagrams of which each brings another one, so that there
    // is always more to receive.
    const data = new Uint8Array(8 * 1024);
    let received = 0;
    let atTimer = 0;
    const port = listenUDP(0, {
      datagramReceived() {
        received++;
        if (atTimer === 0) port.write(data, hostOf(port));
      },
    }, { ...HERE, reactor });
    port.write(data, hostOf(port));
    const events: number[] = [];
    const count = () => {
      if (received > 0) events.push(received);
      if (events.length < 3) reactor.callLater(0, count);
      else atTimer = received;
    };
    start(reactor);
    reactor.callLater(0, count);
    await until(() => atTimer > 0);
    // 32 of them are 256 KiB; with their headers, that many are not exceeded.
    assertEquals(events[0], 32);
    await port.stopListening();
  },
);

testOnBackends(
  "pauseProducing() leaves datagrams in the kernel until resumeProducing()",
  async ({ reactor }) => {
    start(reactor);
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    const other = listenUDP(0, new Recorder(), { ...HERE, reactor });
    protocol.datagramReceived = (data) => {
      protocol.events.push(decoder.decode(data));
      // In the middle of what one event brings.
      if (protocol.events.length === 2) port.pauseProducing();
    };
    for (const text of ["a", "b", "c"]) other.write(text, hostOf(port));
    await until(() => protocol.events.length === 2);
    // What this one brings comes later than anything for the port would.
    const later = new Recorder();
    const last = listenUDP(0, later, { ...HERE, reactor });
    other.write("x", hostOf(last));
    await until(() => later.peers.length === 1);
    assertEquals(protocol.events, ["start", "a"]);
    port.resumeProducing();
    await until(() => protocol.events.length === 4);
    assertEquals(protocol.events, ["start", "a", "b", "c"]);
    // It can be paused before it listens, and resumed after it has stopped.
    await port.stopListening();
    port.pauseProducing();
    port.startListening();
    assertEquals(reactor.getReaders().length, 2);
    port.resumeProducing();
    assertEquals(reactor.getReaders().length, 3);
    await port.stopListening();
    port.resumeProducing();
    for (const one of [other, last]) await one.stopListening();
    assertEquals(reactor.getReaders(), []);
  },
);

testOnBackends(
  "write() does nothing after the end, with or without a peer",
  async ({ reactor }) => {
    const port = listenUDP(0, new Recorder(), { ...HERE, reactor });
    const { hostname, port: number } = hostOf(port);
    port.connect(hostname, number);
    await port.stopListening();
    port.write("x");
    port.write("x", { hostname, port: number });
    assertThrows(() => port.write(1 as unknown as string), TypeError);
  },
);

testOnBackends(
  "a port whose descriptor is closed behind its back says so once, and ends",
  async ({ reactor, errors }) => {
    start(reactor);
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    closeDescriptor((port as unknown as DatagramPort).fileno());
    // With poll() it is noticed at once, with epoll now.
    await port.stopListening();
    assertEquals(protocol.events, ["start", "stop"]);
    assertEquals(
      errors.splice(0).map(({ error }) => (error as { code?: string }).code),
      ["EBADF"],
    );
  },
);

testOnBackends(
  "datagramReceived() may throw and reject: the port goes on (contract 230)",
  async ({ reactor, errors }) => {
    start(reactor);
    const events: string[] = [];
    const port = listenUDP(0, {
      datagramReceived(data) {
        const text = decoder.decode(data);
        events.push(text);
        if (text === "throw") throw new Error("thrown");
        return text === "reject"
          ? Promise.reject(new Error("rejected"))
          : undefined;
      },
    }, { ...HERE, reactor });
    for (const text of ["throw", "reject", "last"]) {
      port.write(text, hostOf(port));
    }
    await until(() => events.length === 3 && errors.length === 2);
    assertEquals(
      errors.splice(0).map(({ error }) => (error as Error).message),
      ["thrown", "rejected"],
    );
    await port.stopListening();
  },
);

testOnBackends(
  "write() refuses host names and other families (contract 231)",
  async ({ reactor }) => {
    const port = listenUDP(0, new Recorder(), { ...HERE, reactor });
    const write = (hostname: string) =>
      assertThrows(
        () => port.write("x", { hostname, port: 9 }),
        InvalidAddressError,
        `received "${hostname}"`,
      );
    write("localhost");
    write("::1");
    assertThrows(() => port.connect("localhost", 9), InvalidAddressError);
    assertThrows(() => port.joinGroup("ff02::1"), InvalidAddressError);
    assertThrows(
      () => listenUDP(0, new Recorder(), { hostname: "localhost", reactor }),
      InvalidAddressError,
    );
    const other = listenUDP(0, new Recorder(), { hostname: "::1", reactor });
    assertThrows(
      () => other.write("x", { hostname: "127.0.0.1", port: 9 }),
      InvalidAddressError,
    );
    await other.stopListening();
    await port.stopListening();
  },
);

testOnBackends(
  "write() refuses what is too long (contract 231)",
  async ({ reactor }) => {
    const port = listenUDP(0, new Recorder(), { ...HERE, reactor });
    const error = assertThrows(
      () => port.write(new Uint8Array(65_508), hostOf(port)),
      MessageLengthError,
    );
    assertEquals(error.code, "EMSGSIZE");
    await port.stopListening();
  },
);

testOnBackends("write() checks its arguments", async ({ reactor }) => {
  const port = listenUDP(0, new Recorder(), { ...HERE, reactor });
  const to = hostOf(port);
  assertThrows(() => port.write(1 as never, to), TypeError, '"data"');
  assertThrows(() => port.write("x"), TypeError, '"peer"');
  assertThrows(
    () => port.write("x", { ...HERE, port: 65_536 }),
    RangeError,
    '"peer.port"',
  );
  assertThrows(() => listenUDP(-1, new Recorder()), RangeError, '"port"');
  assertThrows(() => listenUDP(0, {} as never), TypeError, '"protocol"');
  await port.stopListening();
  port.write("nobody sends this", to);
});

testOnBackends(
  "connectionRefused() is called when nobody is there (contract 232)",
  async ({ reactor }) => {
    start(reactor);
    const other = listenUDP(0, new Recorder(), { ...HERE, reactor });
    const { hostname, port } = hostOf(other);
    await other.stopListening();
    const protocol = new Recorder();
    const client = listenUDP(0, protocol, { ...HERE, reactor });
    client.connect(hostname, port);
    client.write("is anybody there?");
    await until(() => protocol.events.includes("refused"));
    // It may find somebody later.
    const late = new Recorder();
    const server = listenUDP(port, late, { hostname, reactor });
    client.write("now?");
    await until(() => late.peers.length === 1);
    assertEquals(late.events, ["start", '"now?"']);
    // At a write, too, and then the datagram goes all the same.
    await server.stopListening();
    const before = protocol.events.length;
    client.write("lost");
    client.write("noticed");
    await until(() => protocol.events.length > before);
    assertEquals(protocol.events.at(-1), "refused");
    await client.stopListening();
  },
);

testOnBackends(
  "connect() leaves one peer and no other",
  async ({ reactor }) => {
    start(reactor);
    const server = listenUDP(0, {
      datagramReceived: (data, peer) => server.write(data, peer),
    }, { ...HERE, reactor });
    const there = hostOf(server);
    const protocol = new Recorder();
    const client = listenUDP(0, protocol, { ...HERE, reactor });
    client.connect(there.hostname, there.port);
    assertThrows(
      () => client.connect(there.hostname, there.port),
      RangeError,
      "already",
    );
    assertThrows(
      () => client.write("x", { ...HERE, port: 9 }),
      RangeError,
      "another peer",
    );
    const stranger = listenUDP(0, new Recorder(), { ...HERE, reactor });
    stranger.write("stranger", hostOf(client));
    client.write("one");
    client.write("two", there);
    await until(() => protocol.peers.length === 2);
    assertEquals(protocol.events, ["start", '"one"', '"two"']);
    for (const port of [server, client, stranger]) await port.stopListening();
  },
);

testInHosts(
  "the reactor can be stopped in datagramReceived() (contract 233)",
  async ({ reactor, run }) => {
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    protocol.datagramReceived = () => {
      protocol.events.push("data");
      if (protocol.events.length === 2) reactor.stop();
    };
    for (let i = 0; i < 3; i++) port.write("x", hostOf(port));
    await run();
    assertEquals(protocol.events[1], "data");
    assertEquals(protocol.events.at(-1), "stop");
  },
);

testOnBackends(
  "a port can be stopped in datagramReceived()",
  async ({ reactor }) => {
    start(reactor);
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    protocol.datagramReceived = () => {
      protocol.events.push("data");
      port.stopListening();
      protocol.events.push("still here");
    };
    for (let i = 0; i < 3; i++) port.write("x", hostOf(port));
    await until(() => protocol.events.includes("stop"));
    assertEquals(protocol.events, ["start", "data", "still here", "stop"]);
  },
);

testOnBackends(
  "an address can be bound again, and not twice (contract 234)",
  async ({ reactor }) => {
    start(reactor);
    const first = listenUDP(0, new Recorder(), { ...HERE, reactor });
    const { hostname, port } = hostOf(first);
    const listen = () => listenUDP(port, new Recorder(), { hostname, reactor });
    const error = assertThrows(listen, CannotListenError, `port ${port}`);
    assertEquals(error.code, "EADDRINUSE");
    first.stopListening();
    const again = new Recorder();
    const second = listenUDP(port, again, { hostname, reactor });
    await second.stopListening();
    const third = listen();
    assertThrows(() => second.startListening(), CannotListenError);
    await third.stopListening();
    second.startListening();
    second.startListening();
    second.write("again", hostOf(second));
    await until(() => again.peers.length === 1);
    assertEquals(again.events, ["start", "stop", "start", '"again"']);
    await second.stopListening();
  },
);

testOnBackends(
  "an empty datagram is delivered (contract 235)",
  async ({ reactor }) => {
    start(reactor);
    const protocol = new Recorder();
    const port = listenUDP(0, protocol, { ...HERE, reactor });
    port.write("", hostOf(port));
    port.write(new Uint8Array(0), hostOf(port));
    port.write("end", hostOf(port));
    await until(() => protocol.peers.length === 3);
    assertEquals(protocol.events, ["start", '""', '""', '"end"']);
    await port.stopListening();
  },
);

testOnBackends("senders are told apart", async ({ reactor }) => {
  start(reactor);
  const protocol = new Recorder();
  const port = listenUDP(0, protocol, { ...HERE, reactor });
  const senders = [0, 1].map(() =>
    listenUDP(0, new Recorder(), { ...HERE, reactor })
  );
  for (const i of [0, 0, 1, 0]) senders[i]!.write("x", hostOf(port));
  await until(() => protocol.peers.length === 4);
  assertEquals(
    protocol.peers,
    [0, 0, 1, 0].map((i) => senders[i]!.getHost()),
  );
  for (const one of [port, ...senders]) await one.stopListening();
});

testOnBackends("IPv6 works", async ({ reactor }) => {
  start(reactor);
  const protocol = new Recorder();
  const port = listenUDP(0, protocol, { hostname: "::1", reactor });
  assertEquals(hostOf(port).hostname, "::1");
  port.setMulticastTTL(3);
  assertEquals(port.getMulticastTTL(), 3);
  port.setMulticastLoopback(false);
  assertEquals(port.getMulticastLoopback(), false);
  port.write("six", hostOf(port));
  await until(() => protocol.peers.length === 1);
  assertEquals(protocol.peers, [port.getHost()]);
  await port.stopListening();
});

testOnBackends("joinGroup() brings what is sent there", async ({ reactor }) => {
  start(reactor);
  const GROUP = "224.0.0.251";
  const lo = onLinux ? "lo" : "lo0";
  const members: UDPTransport[] = [];
  const protocols = [new Recorder(), new Recorder()];
  for (const protocol of protocols) {
    const port = members.length === 0 ? 0 : hostOf(members[0]!).port;
    const member = listenUDP(port, protocol, { reactor, reuseAddress: true });
    member.joinGroup(GROUP, { networkInterface: lo });
    members.push(member);
  }
  assertThrows(() => members[0]!.joinGroup("10.0.0.1"));
  const sender = listenUDP(0, new Recorder(), { ...HERE, reactor });
  sender.setMulticastInterface("127.0.0.1");
  sender.setMulticastTTL(1);
  assertEquals(sender.getMulticastTTL(), 1);
  assert(sender.getMulticastLoopback());
  assertThrows(() => sender.setMulticastTTL(256), RangeError, '"ttl"');
  const yes = "yes" as unknown as boolean;
  assertThrows(() => sender.setMulticastLoopback(yes), TypeError, '"on"');
  assertThrows(() => sender.setBroadcast(yes), TypeError, '"on"');
  const group = { hostname: GROUP, port: hostOf(members[0]!).port };
  sender.write("all", group);
  await until(() => protocols.every(({ peers }) => peers.length === 1));
  members[1]!.leaveGroup(GROUP, { networkInterface: lo });
  assertThrows(() => members[1]!.leaveGroup(GROUP, { networkInterface: lo }));
  for (const one of [...members, sender]) await one.stopListening();
});

testOnBackends("setBroadcast() permits broadcasts", async ({ reactor }) => {
  const port = listenUDP(0, new Recorder(), { ...HERE, reactor });
  assertEquals(port.getBroadcast(), false);
  const error = assertThrows(() =>
    port.write("x", { hostname: "255.255.255.255", port: 9 })
  );
  assertInstanceOf(error, Error);
  port.setBroadcast(true);
  assert(port.getBroadcast());
  await port.stopListening();
});
