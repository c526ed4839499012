import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertThrows,
} from "@std/assert";
import { POLL, POSIX } from "../../ffi/constants.ts";
import {
  closeDescriptor,
  endWriting,
  isDatagramSocket,
  isOpen,
  makePipe,
  makeSocketpair,
  readInto,
  writeFrom,
} from "../../ffi/descriptor.ts";
import { ERRNO, errnoName } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import {
  acceptFrom,
  beginConnect,
  bindSocket,
  getSocketOption,
  joinGroup,
  leaveGroup,
  listenOn,
  localAddress,
  MAX_DESCRIPTORS,
  openSocket,
  peerAddress,
  pendingError,
  receive,
  receiveFrom,
  receiveWithDescriptors,
  resetOnClose,
  send,
  sendTo,
  sendWithDescriptors,
  setGroupInterface,
  setSocketOption,
} from "../../ffi/socket.ts";
import { isLiteral, SocketAddress } from "../../ffi/socket_address.ts";
import { SOCKET, SOCKET_OPTIONS } from "../../ffi/socket_constants.ts";
import { toAddress } from "../../src/net/address.ts";
import { UnsupportedAddressFamily } from "../../src/net/errors.ts";

// The C library stays open after its first use, which the sanitizer would take
// for a leak of the test that comes first.
libc();

const onLinux = Deno.build.os === "linux";

const { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } = POSIX;

/** Longer than anything here takes, in milliseconds. */
const PATIENCE = 20_000;

/** The name of the loopback interface. */
const LOOPBACK_INTERFACE = onLinux ? "lo" : "lo0";

/** Sockets that are closed at the end of the block. */
class Sockets implements Disposable {
  readonly #open = new Set<number>();

  /** Closes a descriptor at the end. */
  adopt(fd: number): number {
    assertGreater(fd, 2);
    this.#open.add(fd);
    return fd;
  }

  open(family: number, type: number): number {
    return this.adopt(openSocket(family, type));
  }

  /** A socket that listens, and its address. */
  listener(address: SocketAddress): [fd: number, address: SocketAddress] {
    const fd = this.open(address.family, SOCK_STREAM);
    bindSocket(fd, address);
    listenOn(fd, 16);
    return [fd, localAddress(fd)];
  }

  /** Two ends of a connection over a listener. */
  connection(address: SocketAddress): [client: number, server: number] {
    const [listener, at] = this.listener(address);
    const client = this.open(address.family, SOCK_STREAM);
    connect(client, at);
    const server = this.adopt(accept(listener).fd);
    this.close(listener);
    return [client, server];
  }

  /** A datagram socket with an address. */
  datagram(address: SocketAddress): number {
    const fd = this.open(address.family, SOCK_DGRAM);
    bindSocket(fd, address);
    return fd;
  }

  close(fd: number): void {
    this.#open.delete(fd);
    closeDescriptor(fd);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open) libc().close(fd);
  }
}

function canBind(hostname: string): boolean {
  using sockets = new Sockets();
  try {
    sockets.datagram(SocketAddress.internet(hostname, 0));
    return true;
  } catch {
    return false;
  }
}

/** Waits until a descriptor is ready. */
function waitFor(fd: number, event: number): void {
  const table = new Int32Array([fd, event]);
  assertEquals(libc().poll(table, 1, PATIENCE), 1);
}

/** Connects, and says how that ended. */
function tryToConnect(fd: number, address: SocketAddress): string {
  const error = beginConnect(fd, address);
  if (error === 0) return "connected";
  if (errnoName(error) !== "EINPROGRESS") return errnoName(error);
  waitFor(fd, POLL.OUT);
  const outcome = pendingError(fd);
  return outcome === 0 ? "connected" : errnoName(outcome);
}

function connect(fd: number, address: SocketAddress): void {
  assertEquals(tryToConnect(fd, address), "connected");
}

function accept(listener: number): { fd: number; from: SocketAddress } {
  waitFor(listener, POLL.IN);
  const from = new SocketAddress();
  const fd = acceptFrom(listener, from);
  assertGreater(fd, 2);
  return { fd, from };
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** The next bytes, or "" at the end. */
function read(fd: number): string {
  waitFor(fd, POLL.IN);
  const buffer = new Uint8Array(1000);
  const count = receive(fd, buffer);
  assert(count >= 0, errnoName(-count));
  return new TextDecoder().decode(buffer.slice(0, count));
}

function readFrom(fd: number, from: SocketAddress): string {
  waitFor(fd, POLL.IN);
  const buffer = new Uint8Array(1000);
  const count = receiveFrom(fd, buffer, from);
  assert(count >= 0, errnoName(-count));
  return new TextDecoder().decode(buffer.slice(0, count));
}

function isNonBlocking(fd: number): boolean {
  return (libc().fcntl(fd, POSIX.F_GETFL, 0) & POSIX.O_NONBLOCK) !== 0;
}

function isCloseOnExec(fd: number): boolean {
  return (libc().fcntl(fd, POSIX.F_GETFD, 0) & POSIX.FD_CLOEXEC) !== 0;
}

/** A path for a socket, which is gone with its directory at the end. */
class SocketPath implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly path = `${this.#directory}/socket`;

  [Symbol.dispose](): void {
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

let names = 0;

function abstractName(): string {
  return `\0interleave-${Deno.pid}-${names++}`;
}

const hasIpv6 = canBind("::1");
if (!hasIpv6) console.log("Left out: IPv6, which this machine lacks");

const LOOPBACK = [
  { family: AF_INET, hostname: "127.0.0.1" },
  ...hasIpv6 ? [{ family: AF_INET6, hostname: "::1" }] : [],
];

// Addresses

Deno.test("SocketAddress.internet() keeps an IPv4 address and its port", () => {
  for (const hostname of ["0.0.0.0", "127.0.0.1", "255.255.255.255"]) {
    const address = SocketAddress.internet(hostname, 65535);
    assertEquals(address.family, AF_INET);
    assertEquals(address.hostname, hostname);
    assertEquals(address.port, 65535);
    assertEquals(address.path, "");
    assertEquals(String(address), `${hostname}:65535`);
  }
});

Deno.test("SocketAddress.internet() lays an IPv4 address out as the kernel has it", () => {
  const address = SocketAddress.internet("1.2.3.4", 0x1234);
  assertEquals(address.length[0], 16);
  const head = onLinux ? [AF_INET, 0] : [16, AF_INET];
  assertEquals(
    [...address.bytes.subarray(0, 16)],
    [...head, 0x12, 0x34, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0],
  );
});

Deno.test("SocketAddress.hostname is in the form of RFC 5952 when it is IPv6", () => {
  const forms: Record<string, string> = {
    "::": "::",
    "::1": "::1",
    "0:0:0:0:0:0:0:1": "::1",
    "1::": "1::",
    // Section 4.1: no leading zeros.
    "2001:0db8::0001": "2001:db8::1",
    // Section 4.2.1: shortened as much as possible.
    "2001:db8:0:0:0:0:2:1": "2001:db8::2:1",
    // Section 4.2.2: not one zero alone.
    "2001:db8::1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    // Section 4.2.3: the longest run, and of equal ones the first.
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "0:0:1:0:0:0:0:0": "0:0:1::",
    "1:2:3:4:5:6:0:0": "1:2:3:4:5:6::",
    // Section 4.3: lower case.
    "2001:DB8::AAAA": "2001:db8::aaaa",
    // Section 5: IPv4 in IPv6 with dots.
    "::ffff:192.0.2.1": "::ffff:192.0.2.1",
    "::FFFF:c000:0201": "::ffff:192.0.2.1",
    "64:ff9b::192.0.2.33": "64:ff9b::c000:221",
    "1:2:3:4:5:6:7:8": "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:1.2.3.4": "1:2:3:4:5:6:102:304",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
  };
  for (const [text, form] of Object.entries(forms)) {
    const address = SocketAddress.internet(text, 80);
    assertEquals(address.family, AF_INET6);
    assertEquals(address.hostname, form);
    assertEquals(address.port, 80);
    assertEquals(address.length[0], 28);
    assertEquals(String(address), `[${form}]:80`);
  }
});

Deno.test("SocketAddress.internet() agrees with the kernel's own socket about every bit", () => {
  using sockets = new Sockets();
  for (const { family, hostname } of LOOPBACK) {
    const fd = sockets.datagram(SocketAddress.internet(hostname, 0));
    const address = localAddress(fd);
    assertEquals(address.family, family);
    assertEquals(address.hostname, hostname);
    const same = SocketAddress.internet(hostname, address.port);
    assertEquals(same.length, address.length);
    assertEquals(same.bytes, address.bytes);
  }
});

Deno.test("SocketAddress.internet() takes a scope by name and by number and gives the name (contract 210)", () => {
  const index = libc().if_nametoindex(bytes(`${LOOPBACK_INTERFACE}\0`));
  assertGreater(index, 0);
  for (const scope of [LOOPBACK_INTERFACE, index]) {
    const address = SocketAddress.internet(`fe80::1%${scope}`, 1);
    assertEquals(address.hostname, `fe80::1%${LOOPBACK_INTERFACE}`);
    assertEquals(new DataView(address.bytes.buffer).getUint32(24, true), index);
  }
});

Deno.test("SocketAddress.hostname shows a scope as a number when there is no such interface", () => {
  assertEquals(
    SocketAddress.internet("fe80::1%4000000000", 1).hostname,
    "fe80::1%4000000000",
  );
});

Deno.test("SocketAddress.internet() throws ENODEV when the interface has neither name nor number", () => {
  for (const scope of ["nowhere", "0", "4294967296", "-1", "1x"]) {
    const error = assertThrows(
      () => SocketAddress.internet(`fe80::1%${scope}`, 1),
      Error,
      `Cannot find the network interface "${scope}"`,
    );
    assertEquals((error as { code?: string }).code, "ENODEV");
  }
});

const NO_LITERALS = [
  "",
  "localhost",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.256",
  "1.2.3.04",
  "1.2.3.0x4",
  " 1.2.3.4",
  "1.2.3.4\n",
  "1.2.3.-4",
  "2130706433",
  ":",
  ":1",
  "1:",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7:8::",
  "1:2:3:4::5:6:7:8",
  "::12345",
  "::g",
  "[::1]",
  "::1%",
  "::1%a%b",
  "%eth0",
  "127.0.0.1%lo",
  "1.2.3.4::",
  "::1.2.3.4:5",
  "::1.2.3",
  "::1 ",
];

Deno.test("isLiteral() is false when it takes somebody to ask, or is no address at all", () => {
  for (const hostname of NO_LITERALS) {
    assertFalse(isLiteral(hostname), hostname);
    assertThrows(
      () => SocketAddress.internet(hostname, 1),
      TypeError,
      '"hostname" must be an IPv4 or IPv6 address',
    );
  }
  // @ts-expect-error a number is no host name
  assertThrows(() => SocketAddress.internet(5, 1), TypeError, "received 5");
});

Deno.test("isLiteral() is true when it is an address, whether or not its interface exists", () => {
  for (const hostname of ["0.0.0.0", "::", "::1%nowhere", "::ffff:1.2.3.4"]) {
    assert(isLiteral(hostname), hostname);
  }
});

Deno.test("SocketAddress.internet() refuses a port when it is none", () => {
  for (const port of [-1, 65536, 1.5, NaN]) {
    assertThrows(
      () => SocketAddress.internet("::", port),
      RangeError,
      `"port" must be an integer from 0 to 65535, received ${port}`,
    );
  }
  // @ts-expect-error a string is no port
  assertThrows(() => SocketAddress.internet("::", "80"), TypeError, '"port"');
});

Deno.test("SocketAddress.unix() keeps a path, characters beyond ASCII included", () => {
  for (const path of ["/tmp/a", "relative", "/tmp/größe", "x".repeat(103)]) {
    const address = SocketAddress.unix(path);
    assertEquals(address.family, AF_UNIX);
    assertEquals(address.path, path);
    assertEquals(address.hostname, "");
    assertEquals(address.port, 0);
  }
  assertEquals(String(SocketAddress.unix("/tmp/a")), '"/tmp/a"');
});

Deno.test("SocketAddress.unix() refuses a path when it is empty, too long or has a NUL inside", () => {
  for (const path of ["", "a\0b", "a\0"]) {
    assertThrows(() => SocketAddress.unix(path), TypeError, '"path" must be');
  }
  // @ts-expect-error a number is no path
  assertThrows(() => SocketAddress.unix(1), TypeError, "received 1");
  assertThrows(
    () => SocketAddress.unix("ö".repeat(54)),
    RangeError,
    `"path" must be at most ${SOCKET.UNIX_PATH_LENGTH - 1} bytes long`,
  );
});

Deno.test({
  name: "SocketAddress.unix() keeps an abstract name (contract 237)",
  ignore: !onLinux, // Only Linux has them.
  fn() {
    for (const path of ["\0a", "\0" + "x".repeat(107)]) {
      const address = SocketAddress.unix(path);
      assertEquals(address.path, path);
      assertEquals(address.length[0], 2 + path.length);
    }
    assertThrows(() => SocketAddress.unix("\0" + "x".repeat(108)), RangeError);
    assertThrows(() => SocketAddress.unix("\0a\0b"), TypeError);
  },
});

Deno.test("SocketAddress.from() copies what something else has laid out", () => {
  const address = SocketAddress.internet("1.2.3.4", 5);
  const copy = SocketAddress.from(address.bytes.subarray(0, 16));
  assertEquals(copy.hostname, "1.2.3.4");
  assertEquals(copy.length, address.length);
  assertThrows(() => SocketAddress.from(new Uint8Array(129)), RangeError);
});

Deno.test("SocketAddress is of no family when nobody has filled it in", () => {
  const address = new SocketAddress();
  assertEquals(address.family, 0);
  assertEquals([address.hostname, address.port, address.path], ["", 0, ""]);
  assertEquals(String(address), '""');
});

Deno.test("toAddress() gives addresses in Deno's shape", () => {
  const ipv4 = SocketAddress.internet("1.2.3.4", 5);
  assertEquals(toAddress(ipv4, "stream"), {
    transport: "tcp",
    hostname: "1.2.3.4",
    port: 5,
  });
  assertEquals(toAddress(SocketAddress.internet("::1", 6), "datagram"), {
    transport: "udp",
    hostname: "::1",
    port: 6,
  });
  const unix = SocketAddress.unix("/tmp/a");
  assertEquals(toAddress(unix, "stream"), {
    transport: "unix",
    path: "/tmp/a",
  });
  assertEquals(toAddress(unix, "datagram"), {
    transport: "unixpacket",
    path: "/tmp/a",
  });
  assertEquals(toAddress(new SocketAddress(), "datagram"), {
    transport: "unixpacket",
    path: "",
  });
});

Deno.test("toAddress() throws UnsupportedAddressFamily when it is none of the three", () => {
  const strange = new SocketAddress();
  strange.bytes[onLinux ? 0 : 1] = 29;
  assertThrows(
    () => toAddress(strange, "stream"),
    UnsupportedAddressFamily,
    "its family is 29",
  );
});

// Streams

Deno.test("openSocket() makes sockets non-blocking and closed on exec", () => {
  using sockets = new Sockets();
  for (const family of [AF_INET, AF_INET6, AF_UNIX]) {
    for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
      const fd = sockets.open(family, type);
      assert(isNonBlocking(fd));
      assert(isCloseOnExec(fd));
      assertEquals(isDatagramSocket(fd), type === SOCK_DGRAM);
      assertEquals(getSocketOption(fd, SOCKET_OPTIONS.SO_TYPE), type);
    }
  }
});

Deno.test("openSocket() throws what the kernel says when there is no such family", () => {
  const error = assertThrows(
    () => openSocket(250, SOCK_STREAM),
    Error,
    "Cannot make a socket",
  );
  assertEquals((error as { code?: string }).code, "EAFNOSUPPORT");
});

for (const { family, hostname } of LOOPBACK) {
  Deno.test(`acceptFrom() and beginConnect() make a connection over ${hostname}, each end with both addresses`, () => {
    using sockets = new Sockets();
    const [listener, at] = sockets.listener(
      SocketAddress.internet(hostname, 0),
    );
    assertGreater(at.port, 0);
    const client = sockets.open(family, SOCK_STREAM);
    connect(client, at);
    const { fd, from } = accept(listener);
    const server = sockets.adopt(fd);
    assert(isNonBlocking(server));
    assert(isCloseOnExec(server));

    assertEquals(from.hostname, hostname);
    assertEquals(from.port, localAddress(client).port);
    assertEquals(peerAddress(server).bytes, from.bytes);
    assertEquals(peerAddress(client).bytes, at.bytes);
    assertEquals(localAddress(server).bytes, at.bytes);
    assertEquals(pendingError(client), 0);

    assertEquals(send(client, bytes("there")), 5);
    assertEquals(read(server), "there");
    assertEquals(send(server, bytes("and back")), 8);
    assertEquals(read(client), "and back");
  });

  Deno.test(`beginConnect() leads to ECONNREFUSED when nobody listens on ${hostname}`, () => {
    using sockets = new Sockets();
    const [listener, at] = sockets.listener(
      SocketAddress.internet(hostname, 0),
    );
    sockets.close(listener);
    const client = sockets.open(family, SOCK_STREAM);
    assertEquals(tryToConnect(client, at), "ECONNREFUSED");
    assertEquals(pendingError(client), 0);
  });
}

Deno.test("acceptFrom() returns -EAGAIN when nobody is waiting, and -EINVAL when nobody can", () => {
  using sockets = new Sockets();
  const [listener] = sockets.listener(SocketAddress.internet("127.0.0.1", 0));
  const from = new SocketAddress();
  assertEquals(acceptFrom(listener, from), -ERRNO.EAGAIN!);
  const idle = sockets.open(AF_INET, SOCK_STREAM);
  assertEquals(acceptFrom(idle, from), -ERRNO.EINVAL!);
});

Deno.test("what is called often returns a negative errno when the descriptor is bad", () => {
  const address = new SocketAddress();
  const some = new Uint8Array(1);
  assertEquals(acceptFrom(-1, address), -ERRNO.EBADF!);
  assertEquals(receive(-1, some), -ERRNO.EBADF!);
  assertEquals(send(-1, some), -ERRNO.EBADF!);
  assertEquals(receiveFrom(-1, some, address), -ERRNO.EBADF!);
  assertEquals(sendTo(-1, some, address), -ERRNO.EBADF!);
  assertEquals(sendWithDescriptors(-1, some, []), -ERRNO.EBADF!);
  assertEquals(receiveWithDescriptors(-1, some, []), -ERRNO.EBADF!);
  assertEquals(
    beginConnect(-1, SocketAddress.internet("::1", 1)),
    ERRNO.EBADF!,
  );
  assertEquals(pendingError(-1), ERRNO.EBADF!);
});

Deno.test("what sets up throws what the kernel says when the descriptor is no socket", () => {
  const [output, input] = makePipe();
  const address = SocketAddress.internet("127.0.0.1", 0);
  const calls: (() => unknown)[] = [
    () => bindSocket(output, address),
    () => listenOn(output, 1),
    () => localAddress(output),
    () => peerAddress(output),
    () => getSocketOption(output, SOCKET_OPTIONS.SO_TYPE),
    () => setSocketOption(output, SOCKET_OPTIONS.SO_KEEPALIVE, 1),
    () => resetOnClose(output),
  ];
  for (const call of calls) {
    const error = assertThrows(call, Error, "ENOTSOCK");
    assertEquals((error as { errno?: number }).errno, ERRNO.ENOTSOCK);
  }
  assertThrows(
    () => setSocketOption(output, SOCKET_OPTIONS.TCP_NODELAY, 1),
    Error,
    "Cannot set option TCP_NODELAY of descriptor",
  );
  closeDescriptor(output);
  closeDescriptor(input);
});

Deno.test("bindSocket() throws AddrInUse when the port is taken, and AddrNotAvailable when the address is another machine's", () => {
  using sockets = new Sockets();
  const [, at] = sockets.listener(SocketAddress.internet("127.0.0.1", 0));
  const second = sockets.open(AF_INET, SOCK_STREAM);
  assertThrows(
    () => bindSocket(second, at),
    Deno.errors.AddrInUse,
    `Cannot bind to 127.0.0.1:${at.port}: address in use (EADDRINUSE)`,
  );
  assertThrows(
    () => bindSocket(second, SocketAddress.internet("192.0.2.1", 0)),
    Deno.errors.AddrNotAvailable,
  );
});

Deno.test("peerAddress() throws NotConnected when there is no peer", () => {
  using sockets = new Sockets();
  const fd = sockets.open(AF_INET, SOCK_STREAM);
  assertThrows(() => peerAddress(fd), Deno.errors.NotConnected);
});

Deno.test("listenOn() refuses a backlog when it is no integer", () => {
  assertThrows(() => listenOn(0, -1), RangeError, '"backlog"');
});

Deno.test("receive() returns -EAGAIN when nothing is there, and 0 at the end", () => {
  using sockets = new Sockets();
  const [client, server] = sockets.connection(
    SocketAddress.internet("127.0.0.1", 0),
  );
  const buffer = new Uint8Array(10);
  assertEquals(receive(server, buffer), -ERRNO.EAGAIN!);
  assertEquals(send(client, bytes("last")), 4);
  endWriting(client);
  assertEquals(read(server), "last");
  assertEquals(read(server), "");
  assertEquals(send(server, bytes("still")), 5);
  assertEquals(read(client), "still");
});

Deno.test("send() returns -EAGAIN when there is no room, and -EPIPE when nobody reads any more", () => {
  using sockets = new Sockets();
  const [client, server] = sockets.connection(
    SocketAddress.internet("127.0.0.1", 0),
  );
  const much = new Uint8Array(1 << 20);
  let sent = 0;
  for (let count; (count = send(client, much)) !== -ERRNO.EAGAIN!;) {
    assertGreater(count, 0);
    sent += count;
  }
  assertGreater(sent, 0);
  endWriting(client);
  assertEquals(send(client, much), -ERRNO.EPIPE!);
  sockets.close(server);
});

Deno.test("resetOnClose() makes the other side see a reset", () => {
  using sockets = new Sockets();
  const [client, server] = sockets.connection(
    SocketAddress.internet("127.0.0.1", 0),
  );
  resetOnClose(server);
  sockets.close(server);
  waitFor(client, POLL.IN);
  assertEquals(receive(client, new Uint8Array(1)), -ERRNO.ECONNRESET!);
});

Deno.test("setSocketOption() and getSocketOption() turn things on and off", () => {
  using sockets = new Sockets();
  const stream = sockets.open(AF_INET6, SOCK_STREAM);
  const datagram = sockets.open(AF_INET, SOCK_DGRAM);
  const {
    IPV6_V6ONLY,
    SO_BROADCAST,
    SO_KEEPALIVE,
    SO_REUSEADDR,
    SO_REUSEPORT,
    TCP_NODELAY,
  } = SOCKET_OPTIONS;
  for (
    const [fd, option] of [
      [stream, SO_REUSEADDR],
      [stream, SO_REUSEPORT],
      [stream, SO_KEEPALIVE],
      [stream, TCP_NODELAY],
      [stream, IPV6_V6ONLY],
      [datagram, SO_BROADCAST],
    ] as const
  ) {
    setSocketOption(fd, option, 1);
    assert(getSocketOption(fd, option) !== 0);
    setSocketOption(fd, option, 0);
    assertEquals(getSocketOption(fd, option), 0);
  }
});

Deno.test("SO_ACCEPTCONN tells whether a socket listens, and SO_RCVBUF how much it holds", () => {
  using sockets = new Sockets();
  const [listener] = sockets.listener(SocketAddress.internet("127.0.0.1", 0));
  const { SO_ACCEPTCONN, SO_RCVBUF, SO_SNDBUF } = SOCKET_OPTIONS;
  assert(getSocketOption(listener, SO_ACCEPTCONN) !== 0);
  const idle = sockets.open(AF_INET, SOCK_STREAM);
  assertEquals(getSocketOption(idle, SO_ACCEPTCONN), 0);
  for (const option of [SO_RCVBUF, SO_SNDBUF]) {
    setSocketOption(idle, option, 20_000);
    assertGreater(getSocketOption(idle, option), 19_999);
  }
});

Deno.test("SO_REUSEADDR permits to bind where connections of a moment ago linger (contract 182)", () => {
  using sockets = new Sockets();
  const listener = sockets.open(AF_INET, SOCK_STREAM);
  // Both have to permit it, the earlier one and the later.
  setSocketOption(listener, SOCKET_OPTIONS.SO_REUSEADDR, 1);
  bindSocket(listener, SocketAddress.internet("127.0.0.1", 0));
  listenOn(listener, 1);
  const at = localAddress(listener);
  const client = sockets.open(AF_INET, SOCK_STREAM);
  connect(client, at);
  const server = sockets.adopt(accept(listener).fd);
  sockets.close(listener);
  // Who closes first keeps the port in TIME_WAIT.
  sockets.close(server);
  assertEquals(read(client), "");
  sockets.close(client);

  const next = sockets.open(AF_INET, SOCK_STREAM);
  assertThrows(() => bindSocket(next, at), Deno.errors.AddrInUse);
  setSocketOption(next, SOCKET_OPTIONS.SO_REUSEADDR, 1);
  bindSocket(next, at);
  listenOn(next, 1);
});

Deno.test({
  name: "IPV6_V6ONLY decides whether an IPv6 socket gets IPv4 connections",
  ignore: !hasIpv6,
  fn() {
    for (const only of [0, 1]) {
      using sockets = new Sockets();
      const fd = sockets.open(AF_INET6, SOCK_STREAM);
      setSocketOption(fd, SOCKET_OPTIONS.IPV6_V6ONLY, only);
      bindSocket(fd, SocketAddress.internet("::", 0));
      listenOn(fd, 1);
      const client = sockets.open(AF_INET, SOCK_STREAM);
      const { port } = localAddress(fd);
      const to = SocketAddress.internet("127.0.0.1", port);
      if (only === 1) {
        assertEquals(tryToConnect(client, to), "ECONNREFUSED");
      } else {
        connect(client, to);
        const { fd: server, from } = accept(fd);
        sockets.adopt(server);
        assertEquals(from.hostname, "::ffff:127.0.0.1");
      }
    }
  },
});

// UNIX

Deno.test("acceptFrom() and beginConnect() make a connection over a path, the client without a name (contract 239)", () => {
  using sockets = new Sockets();
  using file = new SocketPath();
  const [listener, at] = sockets.listener(SocketAddress.unix(file.path));
  assertEquals(at.path, file.path);
  const client = sockets.open(AF_UNIX, SOCK_STREAM);
  assertEquals(beginConnect(client, at), 0);
  const { fd, from } = accept(listener);
  const server = sockets.adopt(fd);
  assertEquals(from.family, AF_UNIX);
  assertEquals(from.path, "");
  assertEquals(peerAddress(client).path, file.path);
  assertEquals(send(client, bytes("hello")), 5);
  assertEquals(read(server), "hello");
});

Deno.test("beginConnect() returns ENOENT when there is no such path, and ECONNREFUSED when nobody listens there", () => {
  using sockets = new Sockets();
  using file = new SocketPath();
  const address = SocketAddress.unix(file.path);
  const client = sockets.open(AF_UNIX, SOCK_STREAM);
  assertEquals(beginConnect(client, address), ERRNO.ENOENT!);
  const [listener] = sockets.listener(address);
  sockets.close(listener);
  assertEquals(beginConnect(client, address), ERRNO.ECONNREFUSED!);
});

Deno.test({
  name: "sockets with abstract names connect (contract 237)",
  ignore: !onLinux, // Only Linux has them.
  fn() {
    using sockets = new Sockets();
    const name = abstractName();
    const [listener, at] = sockets.listener(SocketAddress.unix(name));
    assertEquals(at.path, name);
    const client = sockets.open(AF_UNIX, SOCK_STREAM);
    connect(client, SocketAddress.unix(name));
    sockets.adopt(accept(listener).fd);
    assertEquals(peerAddress(client).path, name);
  },
});

Deno.test("UNIX datagrams tell the path of their sender, if it has one (contract 241)", () => {
  using sockets = new Sockets();
  using here = new SocketPath();
  using there = new SocketPath();
  const server = sockets.datagram(SocketAddress.unix(here.path));
  const to = localAddress(server);
  const named = sockets.datagram(SocketAddress.unix(there.path));
  const unnamed = sockets.open(AF_UNIX, SOCK_DGRAM);
  const from = new SocketAddress();

  assertEquals(sendTo(named, bytes("one"), to), 3);
  assertEquals(readFrom(server, from), "one");
  assertEquals(from.path, there.path);
  assertEquals(sendTo(server, bytes("answer"), from), 6);
  assertEquals(readFrom(named, from), "answer");
  assertEquals(from.path, here.path);

  assertEquals(sendTo(unnamed, bytes("two"), to), 3);
  assertEquals(readFrom(server, from), "two");
  assertEquals(from.path, "");
  assertEquals(toAddress(from, "datagram"), {
    transport: "unixpacket",
    path: "",
  });
});

Deno.test("sendWithDescriptors() gives another process's end the same open file, closed on exec (contract 240)", () => {
  using sockets = new Sockets();
  const [here, there] = makeSocketpair().map((fd) => sockets.adopt(fd));
  const [output, input] = makePipe();
  sockets.adopt(output);
  sockets.adopt(input);

  assertEquals(sendWithDescriptors(here!, bytes("with"), [input]), 4);
  assertEquals(send(here!, bytes("without")), 7);
  const buffer = new Uint8Array(100);
  const received: number[] = [];
  assertEquals(receiveWithDescriptors(there!, buffer, received), 4);
  assertEquals(new TextDecoder().decode(buffer.subarray(0, 4)), "with");
  assertEquals(received.length, 1);
  const copy = sockets.adopt(received[0]!);
  assert(copy !== input);
  assert(isCloseOnExec(copy));
  assertEquals(writeFrom(copy, bytes("through")), 7);
  assertEquals(readInto(output, buffer), 7);

  assertEquals(receiveWithDescriptors(there!, buffer, received), 7);
  assertEquals(received.length, 1);
  assertEquals(
    receiveWithDescriptors(there!, buffer, received),
    -ERRNO.EAGAIN!,
  );
  sockets.close(here!);
  assertEquals(receiveWithDescriptors(there!, buffer, received), 0);
});

Deno.test("sendWithDescriptors() sends as many as Linux permits in one call, and in several", () => {
  using sockets = new Sockets();
  const [here, there] = makeSocketpair().map((fd) => sockets.adopt(fd));
  const buffer = new Uint8Array(1000);
  for (const count of [MAX_DESCRIPTORS, 3, 0, 1]) {
    const many = new Array<number>(count).fill(0);
    assertEquals(sendWithDescriptors(here!, bytes("!"), many), 1);
  }
  // The kernel keeps apart what came with descriptors.
  for (const count of [MAX_DESCRIPTORS, 3]) {
    const received: number[] = [];
    assertEquals(receiveWithDescriptors(there!, buffer, received), 1);
    assertEquals(received.length, count);
    for (const fd of received) closeDescriptor(fd);
  }
});

Deno.test("sendWithDescriptors() refuses more than Linux permits, and to send them without a byte", () => {
  const many = new Array<number>(MAX_DESCRIPTORS + 1).fill(0);
  assertThrows(
    () => sendWithDescriptors(-1, bytes("x"), many),
    RangeError,
    '"descriptors.length" must be an integer from 0 to 253, received 254',
  );
  assertThrows(
    () => sendWithDescriptors(-1, new Uint8Array(), [0]),
    RangeError,
    '"buffer.length" must be at least 1, received 0',
  );
});

Deno.test("sendWithDescriptors() returns -EBADF when one of them is not open, and sends nothing", () => {
  using sockets = new Sockets();
  const [here, there] = makeSocketpair().map((fd) => sockets.adopt(fd));
  const closed = 2 ** 20 - 7;
  assertFalse(isOpen(closed));
  assertEquals(
    sendWithDescriptors(here!, bytes("x"), [0, closed]),
    -ERRNO.EBADF!,
  );
  assertEquals(receive(there!, new Uint8Array(1)), -ERRNO.EAGAIN!);
});

Deno.test("receiveWithDescriptors() fills the buffer it is given when they take turns and are small", () => {
  using sockets = new Sockets();
  const [here, there] = makeSocketpair().map((fd) => sockets.adopt(fd));
  // Arrays of this length are where the garbage collector moves them.
  const buffers = Array.from({ length: 200 }, () => new Uint8Array(8));
  const none: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (const [i, buffer] of buffers.entries()) {
      const text = `${round}.${i}`.padEnd(8);
      assertEquals(sendWithDescriptors(here!, bytes(text), none), 8);
      assertEquals(receiveWithDescriptors(there!, buffer, none), 8);
      assertEquals(new TextDecoder().decode(buffer), text);
    }
  }
  assertEquals(none, []);
});

// Datagrams

for (const { hostname } of LOOPBACK) {
  Deno.test(`sendTo() and receiveFrom() carry datagrams over ${hostname}, empty ones too (contract 235)`, () => {
    using sockets = new Sockets();
    const server = sockets.datagram(SocketAddress.internet(hostname, 0));
    const client = sockets.datagram(SocketAddress.internet(hostname, 0));
    const from = new SocketAddress();
    const buffer = new Uint8Array(10);
    assertEquals(receiveFrom(server, buffer, from), -ERRNO.EAGAIN!);
    for (const text of ["a datagram", "", "z"]) {
      assertEquals(
        sendTo(client, bytes(text), localAddress(server)),
        text.length,
      );
      assertEquals(readFrom(server, from), text);
      assertEquals(from.bytes, localAddress(client).bytes);
    }
    assertEquals(sendTo(server, bytes("back"), from), 4);
    assertEquals(readFrom(client, from), "back");
    assertEquals(from.port, localAddress(server).port);
  });

  Deno.test(`sendTo() returns -EMSGSIZE when a datagram to ${hostname} is too long (contract 231)`, () => {
    using sockets = new Sockets();
    const fd = sockets.datagram(SocketAddress.internet(hostname, 0));
    assertEquals(
      sendTo(fd, new Uint8Array(70_000), localAddress(fd)),
      -ERRNO.EMSGSIZE!,
    );
  });

  Deno.test(`receive() returns -ECONNREFUSED once when nobody has the port on ${hostname} (contract 232)`, () => {
    using sockets = new Sockets();
    const server = sockets.datagram(SocketAddress.internet(hostname, 0));
    const client = sockets.datagram(SocketAddress.internet(hostname, 0));
    assertEquals(beginConnect(client, localAddress(server)), 0);
    sockets.close(server);
    assertEquals(send(client, bytes("x")), 1);
    waitFor(client, POLL.IN);
    const buffer = new Uint8Array(1);
    assertEquals(receive(client, buffer), -ERRNO.ECONNREFUSED!);
    assertEquals(receive(client, buffer), -ERRNO.EAGAIN!);
  });
}

/**
 * Groups, and interfaces to send to them over. With 0 hops, nothing leaves this
 * machine.
 */
const GROUPS = [
  {
    any: "0.0.0.0",
    own: "127.0.0.1",
    group: "239.255.77.1",
    networkInterface: LOOPBACK_INTERFACE,
    hops: SOCKET_OPTIONS.IP_MULTICAST_TTL,
    loop: SOCKET_OPTIONS.IP_MULTICAST_LOOP,
  },
  {
    any: "0.0.0.0",
    own: "127.0.0.1",
    group: "239.255.77.2",
    networkInterface: "127.0.0.1",
    hops: SOCKET_OPTIONS.IP_MULTICAST_TTL,
    loop: SOCKET_OPTIONS.IP_MULTICAST_LOOP,
  },
  {
    any: "::",
    own: "::1",
    group: "ff02::4d01",
    networkInterface: multicastInterface(),
    hops: SOCKET_OPTIONS.IPV6_MULTICAST_HOPS,
    loop: SOCKET_OPTIONS.IPV6_MULTICAST_LOOP,
  },
];

/**
 * An interface that IPv6 groups can be reached over. On Linux, the loopback is
 * none unless it was given a route.
 */
function multicastInterface(): string | undefined {
  if (!hasIpv6) return undefined;
  using sockets = new Sockets();
  const fd = sockets.datagram(SocketAddress.internet("::", 0));
  setSocketOption(fd, SOCKET_OPTIONS.IPV6_MULTICAST_HOPS, 0);
  for (let index = 1; index < 100; index++) {
    const { hostname } = SocketAddress.internet(`ff02::4d01%${index}`, 1);
    const name = hostname.split("%")[1]!;
    if (name === String(index)) continue;
    const to = SocketAddress.internet(`ff02::4d01%${name}`, 9);
    if (sendTo(fd, new Uint8Array(1), to) === 1) return name;
  }
  return undefined;
}

for (const { any, own, group, networkInterface, hops, loop } of GROUPS) {
  if (networkInterface === undefined) {
    console.log(`Left out: multicast to ${group}, to which there is no route`);
    continue;
  }

  Deno.test(`joinGroup() lets a socket get what is sent to ${group} over ${networkInterface}, leaveGroup() no more`, () => {
    using sockets = new Sockets();
    const receiver = sockets.datagram(SocketAddress.internet(any, 0));
    const sender = sockets.datagram(SocketAddress.internet(any, 0));
    const { port } = localAddress(receiver);
    const toAll = SocketAddress.internet(group, port);
    const toOne = SocketAddress.internet(own, port);
    joinGroup(receiver, group, { networkInterface });
    setGroupInterface(sender, networkInterface);
    for (const [option, value] of [[hops, 0], [loop, 0], [loop, 1]] as const) {
      setSocketOption(sender, option, value);
      assertEquals(getSocketOption(sender, option), value);
    }

    const from = new SocketAddress();
    assertEquals(sendTo(sender, bytes("to all"), toAll), 6);
    assertEquals(readFrom(receiver, from), "to all");
    assertEquals(from.port, localAddress(sender).port);

    leaveGroup(receiver, group, { networkInterface });
    sendTo(sender, bytes("to all but one"), toAll);
    sendTo(sender, bytes("to one"), toOne);
    assertEquals(readFrom(receiver, from), "to one");
  });

  Deno.test(`joinGroup() throws what the kernel says when ${group} was joined over ${networkInterface} before, leaveGroup() when it was not`, () => {
    using sockets = new Sockets();
    const fd = sockets.datagram(SocketAddress.internet(any, 0));
    const options = { networkInterface };
    joinGroup(fd, group, options);
    const again = assertThrows(() => joinGroup(fd, group, options), Error);
    assertEquals((again as { code?: string }).code, "EADDRINUSE");
    leaveGroup(fd, group, options);
    assertThrows(
      () => leaveGroup(fd, group, options),
      Deno.errors.AddrNotAvailable,
    );
    const nowhere = assertThrows(
      () => joinGroup(fd, group, { networkInterface: "nowhere" }),
      Error,
      'Cannot find the network interface "nowhere"',
    );
    assertEquals((nowhere as { code?: string }).code, "ENODEV");
  });
}

Deno.test("joinGroup() takes the interface from the scope of an IPv6 group", () => {
  using sockets = new Sockets();
  const fd = sockets.open(AF_INET6, SOCK_DGRAM);
  const group = `ff02::4d02%${LOOPBACK_INTERFACE}`;
  joinGroup(fd, group);
  leaveGroup(fd, "ff02::4d02", { networkInterface: LOOPBACK_INTERFACE });
});

Deno.test("joinGroup() throws TypeError when the group is no address, and what the kernel says when it is no group", () => {
  using sockets = new Sockets();
  const fd = sockets.datagram(SocketAddress.internet("0.0.0.0", 0));
  assertThrows(() => joinGroup(fd, "all-systems"), TypeError);
  assertThrows(() => joinGroup(fd, "127.0.0.1"), Error, "EINVAL");
});
