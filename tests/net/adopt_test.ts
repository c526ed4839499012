/**
 * Adopted sockets on both backends.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { POSIX } from "../../ffi/constants.ts";
import {
  closeDescriptor,
  isOpen,
  makePipe,
  makeSocketpair,
} from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import {
  bindSocket,
  listenOn,
  localAddress,
  openSocket,
} from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import type { Reactor } from "../../mod.ts";
import type { NetAddress } from "../../src/net/address.ts";
import { adoptStream, adoptStreamPort } from "../../src/net/adopt.ts";
import {
  CannotListenError,
  UnsupportedAddressFamily,
} from "../../src/net/errors.ts";
import type { Protocol, Transport } from "../../src/net/protocol.ts";
import { activatedSockets } from "../../src/net/socket_activation.ts";
import { connectTCP } from "../../src/net/tcp.ts";
import { CLOSED_FD, onLinux, until } from "../descriptors.ts";
import { ONE_OF_EACH_KIND, testInHosts, testOnBackends } from "../hosts.ts";

// It stays open from its first use on, which the sanitizer would take for a leak
// of the test that comes first.
libc();

const { AF_INET, SOCK_DGRAM, SOCK_STREAM } = POSIX;
const decoder = new TextDecoder();

/** Writes down what happens on a connection. */
class Recorder implements Protocol {
  declare transport: Transport;
  text = "";
  reason: Error | undefined;

  dataReceived(data: Uint8Array): void {
    this.text += decoder.decode(data);
  }

  connectionLost(reason: Error): void {
    this.reason = reason;
  }
}

/** A socket that listens on some port of this machine. */
function makeListener(): [fd: number, port: number] {
  const fd = openSocket(AF_INET, SOCK_STREAM);
  bindSocket(fd, SocketAddress.internet("127.0.0.1", 0));
  listenOn(fd, 5);
  return [fd, localAddress(fd).port];
}

/** Connects to an adopted port, and sees that it answers. */
async function talkTo(port: number, reactor: Reactor): Promise<void> {
  const client = new Recorder();
  connectTCP("127.0.0.1", port, { buildProtocol: () => client }, { reactor });
  await until(() => client.text === "welcome");
  client.transport.loseConnection();
  await until(() => client.reason !== undefined);
}

const WELCOMING = {
  buildProtocol: (): Protocol => ({
    makeConnection: (transport) => transport.write("welcome"),
    dataReceived() {},
  }),
};

const NOBODY = { buildProtocol: () => null };

testOnBackends(
  "adoptStreamPort() duplicates the descriptor (contract 211)",
  async ({ reactor }) => {
    reactor.interleave();
    const [fd, number] = makeListener();
    const port = adoptStreamPort(fd, WELCOMING, { reactor });
    closeDescriptor(fd);
    assertEquals(port.getHost(), {
      transport: "tcp",
      hostname: "127.0.0.1",
      port: number,
    });
    await talkTo(number, reactor);
    await port.stopListening();
    // There is nothing left to listen on.
    assertThrows(() => port.startListening(), CannotListenError);
  },
);

testOnBackends(
  "stopListening() of an adopted port leaves the socket as it is (contract 211)",
  async ({ reactor }) => {
    reactor.interleave();
    const [fd, number] = makeListener();
    const port = adoptStreamPort({ fileno: () => fd }, WELCOMING, { reactor });
    await port.stopListening();
    assert(isOpen(fd));
    // It listens still: another one takes the connections.
    await using other = adoptStreamPort(fd, WELCOMING, { reactor });
    await talkTo(number, reactor);
    await other.stopListening();
    port.startListening();
    await talkTo(number, reactor);
    await port.stopListening();
    closeDescriptor(fd);
  },
);

testOnBackends(
  "adopting refuses what it can't use (contract 211)",
  ({ reactor }) => {
    const port = (fd: number) => adoptStreamPort(fd, NOBODY, { reactor });
    const stream = (fd: number) => adoptStream(fd, new Recorder(), { reactor });
    const both = [port, stream];
    const [output, input] = makePipe();
    const datagrams = openSocket(AF_INET, SOCK_DGRAM);
    const fresh = openSocket(AF_INET, SOCK_STREAM);
    const [listener] = makeListener();
    const [here, there] = makeSocketpair();
    for (const adopt of both) {
      assertThrows(() => adopt(CLOSED_FD), Deno.errors.BadResource);
      assertThrows(() => adopt(output), TypeError, "a socket");
      assertThrows(() => adopt(datagrams), TypeError, "a stream socket");
      assertThrows(() => adopt(-1), RangeError, '"fd"');
      assertThrows(() => adopt("3" as never), TypeError, '"fd"');
    }
    assertThrows(() => port(here), TypeError, "that listens");
    assertThrows(() => stream(listener), TypeError, "that does not listen");
    assertThrows(() => stream(fresh), Deno.errors.NotConnected);
    assertThrows(() => adoptStream(here, {} as never), TypeError, '"protocol"');
    assertThrows(() => adoptStreamPort(listener, {} as never), TypeError);
    for (const fd of [output, input, datagrams, fresh, listener, here, there]) {
      closeDescriptor(fd);
    }
  },
);

if (onLinux) {
  const AF_NETLINK = 16;
  testOnBackends(
    "adopting refuses families that it does not know (contract 211)",
    ({ reactor }) => {
      const fd = openSocket(AF_NETLINK, SOCK_DGRAM);
      for (
        const adopt of [
          () => adoptStreamPort(fd, NOBODY, { reactor }),
          () => adoptStream(fd, new Recorder(), { reactor }),
        ]
      ) {
        assertThrows(adopt, UnsupportedAddressFamily, "16");
      }
      closeDescriptor(fd);
    },
  );
} else console.log("Left out: the family AF_NETLINK, which only Linux has");

testInHosts(
  "adoptStream() takes both ends of a socketpair (contract 211)",
  async ({ reactor, run }) => {
    const [here, there] = makeSocketpair();
    const echo: Protocol & { transport?: Transport } = {
      dataReceived(data) {
        this.transport!.write(data);
      },
    };
    const client = new Recorder();
    client.dataReceived = (data) => {
      client.text += decoder.decode(data);
      client.transport.loseConnection();
    };
    client.connectionLost = () => reactor.stop();
    adoptStream(here, echo, { reactor });
    const transport = adoptStream(there, client, { reactor });
    closeDescriptor(here);
    closeDescriptor(there);
    assertEquals(transport, client.transport);
    assertEquals(transport.getPeer(), { transport: "unix", path: "" });
    transport.write("hello");
    await run();
    assertEquals(client.text, "hello");
  },
  { hosts: ONE_OF_EACH_KIND },
);

testOnBackends("adoptStream() takes a TCP connection", async ({ reactor }) => {
  reactor.interleave();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const fd = openSocket(AF_INET, SOCK_STREAM);
  const { port } = listener.addr as NetAddress;
  const address = SocketAddress.internet("127.0.0.1", port);
  libc().connect(fd, address.bytes, address.length[0]!);
  using peer = await listener.accept();
  const protocol = new Recorder();
  const transport = adoptStream(fd, protocol, { reactor });
  closeDescriptor(fd);
  assertEquals(transport.getPeer(), listener.addr);
  await peer.write(new TextEncoder().encode("hi"));
  await until(() => protocol.text === "hi");
  transport.loseConnection();
  assertEquals(await peer.read(new Uint8Array(1)), null);
});

Deno.test("activatedSockets() finds none when there is no manager", () => {
  assertEquals(activatedSockets(), []);
});

Deno.test("activatedSockets() finds what was handed over", async () => {
  // A shell stands for the manager: it opens descriptors 3 and 4, and becomes
  // the program, so that it knows the process's id.
  const module = new URL("../../src/net/socket_activation.ts", import.meta.url);
  const code = `import { activatedSockets } from ${JSON.stringify(module.href)};
    console.log(JSON.stringify(activatedSockets()));
    Deno.env.set("LISTEN_PID", "1");
    console.log(JSON.stringify(activatedSockets()));`;
  const { stdout, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      'exec 3</dev/null 4</dev/null; LISTEN_PID=$$ exec "$0" eval "$1"',
      Deno.execPath(),
      code,
    ],
    env: { LISTEN_FDS: "2", LISTEN_FDNAMES: "web", NO_COLOR: "1" },
  }).output();
  assertEquals(
    decoder.decode(stdout),
    '[{"fd":3,"name":"web"},{"fd":4,"name":""}]\n[]\n',
    decoder.decode(stderr),
  );
});
