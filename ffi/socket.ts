/**
 * Sockets as plain functions: stream and datagram, of the internet and of UNIX.
 *
 * Every socket that is made here is non-blocking and closed on exec. Functions
 * that set something up throw. Those that are called again and again (accept,
 * receive, send) return a negative errno instead, and make no object. What ends
 * a socket's writing is `endWriting`, what closes it `closeDescriptor`.
 *
 * No function rests on one look at errno, which Deno's own work can overwrite:
 * see {@linkcode isCertain}.
 *
 * @module
 */

import { checkInteger, complaint, MAX_INT } from "./arguments.ts";
import { LINUX_ONLY, POSIX } from "./constants.ts";
import { setCloseOnExec, setNonBlocking } from "./descriptor.ts";
import { ERRNO, REPORTED_ONCE, systemError } from "./errno.ts";
import { errno, libc, linux } from "./libc.ts";
import { interfaceIndex, isLiteral, SocketAddress } from "./socket_address.ts";
import {
  SOCKET,
  SOCKET_OPTIONS,
  type SocketOption,
} from "./socket_constants.ts";

const { EAGAIN, EALREADY, EINPROGRESS, EINTR, EISCONN } = ERRNO;

const onLinux = Deno.build.os === "linux";

/** What makes a socket non-blocking and closed on exec in the same call. */
const FLAGS = onLinux ? LINUX_ONLY.SOCK_NONBLOCK | LINUX_ONLY.SOCK_CLOEXEC : 0;

const { MSG_NOSIGNAL, MSG_CMSG_CLOEXEC, SCM_RIGHTS } = SOCKET;

/** The value of an option, and its length. */
const value = new Int32Array(1);
const valueLength = new Uint32Array(1);

/**
 * Errors that count at once: what the kernel tells once only, and "not now", for
 * which the next readiness makes up.
 */
const CERTAIN_AT_ONCE: ReadonlySet<number | undefined> = new Set([
  EAGAIN,
  EINPROGRESS,
  ...REPORTED_ONCE,
]);

/**
 * Whether an error counts: when it has come twice in a row, or is one that has
 * to be believed at once. Otherwise the call is made again, as it is after a
 * signal has interrupted it.
 */
function isCertain(error: number, before: number): boolean {
  if (error === before) return error !== EINTR && error !== 0;
  return CERTAIN_AT_ONCE.has(error);
}

/** Makes a call of the setting-up kind until it succeeds or certainly fails. */
function insist(call: () => number, action: () => string): number {
  for (let before = 0;;) {
    const result = call();
    if (result >= 0) return result;
    const error = errno();
    if (isCertain(error, before)) throw systemError(action(), error);
    before = error;
  }
}

function lengthOf(buffer: Uint8Array): number {
  return Math.min(buffer.length, MAX_INT);
}

/**
 * Makes a socket.
 *
 * @param family `POSIX.AF_INET`, `AF_INET6` or `AF_UNIX`.
 * @param type `POSIX.SOCK_STREAM` or `SOCK_DGRAM`.
 * @returns The descriptor.
 * @throws {SystemError} When there are too many descriptors, or the system does
 * not know the family (EAFNOSUPPORT).
 */
export function openSocket(family: number, type: number): number {
  const { socket } = libc();
  const fd = insist(
    () => socket(family, type | FLAGS, 0),
    () => "Cannot make a socket",
  );
  if (!onLinux) setFlags(fd);
  return fd;
}

/** What macOS cannot set in the same call. */
function setFlags(fd: number): void {
  setCloseOnExec(fd, true);
  setNonBlocking(fd, true);
}

/**
 * Gives a socket its own address.
 *
 * @param fd The socket.
 * @param address The address.
 * @throws {Deno.errors.AddrInUse} When another socket has it.
 * @throws {Deno.errors.AddrNotAvailable} When it is none of this machine's.
 * @throws {Deno.errors.PermissionDenied} When this program may not have it.
 */
export function bindSocket(fd: number, address: SocketAddress): void {
  const { bind } = libc();
  insist(
    () => bind(fd, address.bytes, address.length[0]!),
    () => `Cannot bind to ${address}`,
  );
}

/**
 * Lets a stream socket accept connections.
 *
 * @param fd The socket, with its address.
 * @param backlog How many may wait to be accepted; the system has a limit of
 * its own.
 * @throws {Deno.errors.AddrInUse} When another socket listens there.
 */
export function listenOn(fd: number, backlog: number): void {
  checkInteger(backlog, "listen", "backlog");
  const { listen } = libc();
  insist(
    () => listen(fd, backlog),
    () => `Cannot listen on descriptor ${fd}`,
  );
}

/**
 * Begins to connect a socket. With datagrams, it is connected at once.
 *
 * @param fd The socket.
 * @param address Where to.
 * @returns 0 if it is connected, EINPROGRESS if it will be writable when it is
 * or has failed, as {@linkcode pendingError} then tells, or the errno that says
 * why it cannot be. EAGAIN from a UNIX socket says that the other side has too
 * many connections waiting.
 */
export function beginConnect(fd: number, address: SocketAddress): number {
  const { connect } = libc();
  for (let before = 0;;) {
    if (connect(fd, address.bytes, address.length[0]!) >= 0) return 0;
    const error = errno();
    // The answers to a second attempt, when the first has gone well.
    if (before !== 0 && error === EALREADY) return EINPROGRESS!;
    if (before !== 0 && error === EISCONN) return 0;
    if (isCertain(error, before)) return error;
    before = error;
  }
}

/**
 * Accepts a connection.
 *
 * @param fd The socket that listens.
 * @param from Is filled with the address of the other side.
 * @returns The connection's socket, or a negative errno: `-ERRNO.EAGAIN` if no
 * connection is waiting.
 */
export function acceptFrom(fd: number, from: SocketAddress): number {
  const { bytes, length } = from;
  for (let before = 0;;) {
    from.clear();
    const connection = onLinux
      ? linux().accept4(fd, bytes, length, FLAGS)
      : libc().accept(fd, bytes, length);
    if (connection >= 0) {
      if (!onLinux) setFlags(connection);
      return connection;
    }
    const error = errno();
    if (isCertain(error, before)) return -error;
    before = error;
  }
}

/**
 * A socket's own address.
 *
 * @param fd The socket.
 * @returns The address, the port that the kernel chose included.
 * @throws {SystemError} When `fd` is no socket.
 */
export function localAddress(fd: number): SocketAddress {
  const { getsockname } = libc();
  const address = new SocketAddress();
  insist(() => {
    address.clear();
    return getsockname(fd, address.bytes, address.length);
  }, () => `Cannot find the address of descriptor ${fd}`);
  return address;
}

/**
 * The address that a socket is connected to.
 *
 * @param fd The socket.
 * @returns The address.
 * @throws {Deno.errors.NotConnected} When it is not connected, or no more.
 */
export function peerAddress(fd: number): SocketAddress {
  const { getpeername } = libc();
  const address = new SocketAddress();
  insist(() => {
    address.clear();
    return getpeername(fd, address.bytes, address.length);
  }, () => `Cannot find the peer of descriptor ${fd}`);
  return address;
}

/**
 * Takes the error that waits on a socket: why it could not be connected, or
 * what has become of the connection.
 *
 * @param fd The socket.
 * @returns The errno; 0 if there is none.
 */
export function pendingError(fd: number): number {
  const { getsockopt } = libc();
  for (let before = 0;;) {
    valueLength[0] = value.byteLength;
    if (
      getsockopt(fd, POSIX.SOL_SOCKET, POSIX.SO_ERROR, value, valueLength) >= 0
    ) return value[0]!;
    const error = errno();
    if (isCertain(error, before)) return error;
    before = error;
  }
}

/**
 * Sets an option of a socket.
 *
 * @param fd The socket.
 * @param option One of `SOCKET_OPTIONS`.
 * @param to Its value; 1 or 0 for what is on or off.
 * @throws {SystemError} When the socket has no such option.
 */
export function setSocketOption(
  fd: number,
  option: SocketOption,
  to: number,
): void {
  value[0] = to;
  setOption(fd, option, value);
}

/**
 * The value of an option of a socket.
 *
 * @param fd The socket.
 * @param option One of `SOCKET_OPTIONS`.
 * @returns Its value. What is on may be any number but 0.
 * @throws {SystemError} When the socket has no such option.
 */
export function getSocketOption(fd: number, option: SocketOption): number {
  const { getsockopt } = libc();
  const [level, name] = option;
  insist(() => {
    valueLength[0] = value.byteLength;
    return getsockopt(fd, level, name, value, valueLength);
  }, () => `Cannot read option ${nameOf(option)} of descriptor ${fd}`);
  return value[0]!;
}

function setOption(
  fd: number,
  option: SocketOption,
  to: Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>,
): void {
  const { setsockopt } = libc();
  const [level, name] = option;
  insist(
    () => setsockopt(fd, level, name, to, to.byteLength),
    () => `Cannot set option ${nameOf(option)} of descriptor ${fd}`,
  );
}

function nameOf(option: SocketOption): string {
  for (const [name, one] of Object.entries({ ...SOCKET_OPTIONS, ...SOCKET })) {
    if (one === option) return name;
  }
  return `${option}`;
}

/**
 * Makes `close` throw away what was not sent, and reset the connection, so that
 * the other side sees that it was cut off.
 *
 * @param fd The socket.
 * @throws {SystemError} When `fd` is no socket.
 */
export function resetOnClose(fd: number): void {
  // struct linger: on, and for 0 seconds (socket(7)).
  setOption(fd, SOCKET.SO_LINGER, new Int32Array([1, 0]));
}

/**
 * What {@linkcode UDPTransport.joinGroup joinGroup} and
 * {@linkcode UDPTransport.leaveGroup leaveGroup} may be told.
 *
 * @example A group on the loopback interface
 * ```ts
 * import { type GroupOptions, listenUDP } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const group = "239.255.0.1";
 * const loopback: GroupOptions = { networkInterface: "127.0.0.1" };
 * const { promise, resolve } = Promise.withResolvers<string>();
 * await using member = listenUDP(0, {
 *   datagramReceived: (data) => resolve(new TextDecoder().decode(data)),
 * }, { reuseAddress: true });
 * member.joinGroup(group, loopback);
 *
 * await using sender = listenUDP(0, { datagramReceived() {} });
 * sender.setMulticastInterface("127.0.0.1");
 * const { port } = member.getHost() as Deno.NetAddr;
 * sender.write("hello", { hostname: group, port });
 * assertEquals(await promise, "hello");
 * member.leaveGroup(group, loopback);
 * ```
 */
export interface GroupOptions {
  /**
   * The network interface: its name, its number as text, or, for IPv4, an
   * address that it has. The default is the one that the system chooses.
   *
   * @default {""}
   */
  networkInterface?: string;
}

/**
 * Joins a multicast group: the socket gets what is sent there.
 *
 * @param fd A datagram socket of the group's family.
 * @param group The group's address.
 * @param options On which interface.
 * @throws {TypeError} When `group` is no address.
 * @throws {SystemError} When it is no group, there is no such interface, or the
 * socket is in the group already.
 */
export function joinGroup(
  fd: number,
  group: string,
  options: GroupOptions = {},
): void {
  changeGroup(fd, group, options, {
    ipv4: SOCKET.IP_ADD_MEMBERSHIP,
    ipv6: SOCKET.IPV6_JOIN_GROUP,
  });
}

/**
 * Leaves a multicast group.
 *
 * @param fd The socket.
 * @param group The group's address.
 * @param options On which interface, as it was given to `joinGroup`.
 * @throws {TypeError} When `group` is no address.
 * @throws {SystemError} When the socket is not in the group (EADDRNOTAVAIL).
 */
export function leaveGroup(
  fd: number,
  group: string,
  options: GroupOptions = {},
): void {
  changeGroup(fd, group, options, {
    ipv4: SOCKET.IP_DROP_MEMBERSHIP,
    ipv6: SOCKET.IPV6_LEAVE_GROUP,
  });
}

function changeGroup(
  fd: number,
  group: string,
  options: GroupOptions,
  change: { ipv4: SocketOption; ipv6: SocketOption },
): void {
  const { networkInterface = "" } = options;
  const address = SocketAddress.internet(group, 0).bytes;
  if (group.includes(":")) {
    // struct ipv6_mreq: the group's address, the interface.
    const request = new Uint8Array(20);
    request.set(address.subarray(8, 24));
    // The group's own scope, unless another is named.
    if (networkInterface === "") request.set(address.subarray(24, 28), 16);
    else request.set(indexBytes(networkInterface), 16);
    setOption(fd, change.ipv6, request);
  } else {
    const request = interfaceRequest(networkInterface);
    request.set(address.subarray(4, 8));
    setOption(fd, change.ipv4, request);
  }
}

/**
 * Chooses the interface by which datagrams to multicast groups leave.
 *
 * @param fd The socket.
 * @param networkInterface The interface, as in {@linkcode GroupOptions}; empty
 * leaves the choice to the system.
 * @throws {SystemError} When there is no such interface.
 */
export function setGroupInterface(fd: number, networkInterface: string): void {
  if (localAddress(fd).family === POSIX.AF_INET6) {
    setOption(fd, SOCKET.IPV6_MULTICAST_IF, indexBytes(networkInterface));
  } else {
    setOption(fd, SOCKET.IP_MULTICAST_IF, interfaceRequest(networkInterface));
  }
}

/**
 * `struct ip_mreqn`: the group's address, which is left open, one of the
 * interface's, and its number.
 */
function interfaceRequest(networkInterface: string): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(12);
  if (isLiteral(networkInterface) && !networkInterface.includes(":")) {
    const { bytes } = SocketAddress.internet(networkInterface, 0);
    request.set(bytes.subarray(4, 8), 4);
  } else {
    request.set(indexBytes(networkInterface), 8);
  }
  return request;
}

function indexBytes(networkInterface: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    new Uint32Array([interfaceIndex(networkInterface)]).buffer,
  );
}

/**
 * Receives from a connected socket.
 *
 * @param fd The socket.
 * @param buffer Where to put the bytes, 2^31 - 1 of them at most.
 * @returns How many came, 0 at the end of the stream, or a negative errno:
 * `-ERRNO.EAGAIN` if nothing is there.
 */
export function receive(fd: number, buffer: Uint8Array): number {
  const { recv } = libc();
  for (let before = 0;;) {
    const count = recv(fd, buffer, lengthOf(buffer), 0);
    if (count >= 0) return count;
    const error = errno();
    if (isCertain(error, before)) return -error;
    before = error;
  }
}

/**
 * Sends to the other side of a connected socket. No signal is raised if there
 * is nobody there.
 *
 * @param fd The socket.
 * @param buffer The bytes; the first 2^31 - 1 of them count.
 * @returns How many were taken, or a negative errno: `-ERRNO.EAGAIN` if there is
 * no room.
 */
export function send(fd: number, buffer: Uint8Array): number {
  const { send } = libc();
  for (let before = 0;;) {
    const count = send(fd, buffer, lengthOf(buffer), MSG_NOSIGNAL);
    if (count >= 0) return count;
    const error = errno();
    if (isCertain(error, before)) return -error;
    before = error;
  }
}

/**
 * Receives a datagram.
 *
 * @param fd The socket.
 * @param buffer Where to put it. What does not fit is lost; 65535 bytes are
 * enough for any of UDP.
 * @param from Is filled with the sender's address.
 * @returns How many bytes came, which may be 0, or a negative errno:
 * `-ERRNO.EAGAIN` if no datagram is there.
 */
export function receiveFrom(
  fd: number,
  buffer: Uint8Array,
  from: SocketAddress,
): number {
  const { recvfrom } = libc();
  const { bytes, length } = from;
  for (let before = 0;;) {
    from.clear();
    const count = recvfrom(fd, buffer, lengthOf(buffer), 0, bytes, length);
    if (count >= 0) return count;
    const error = errno();
    if (isCertain(error, before)) return -error;
    before = error;
  }
}

/**
 * Sends a datagram.
 *
 * @param fd The socket.
 * @param buffer The datagram.
 * @param to Where to.
 * @returns How many bytes were taken, which is all of them, or a negative errno:
 * `-ERRNO.EAGAIN` if there is no room, `-ERRNO.EMSGSIZE` if it is too long.
 */
export function sendTo(
  fd: number,
  buffer: Uint8Array,
  to: SocketAddress,
): number {
  const { sendto } = libc();
  const { bytes, length } = to;
  for (let before = 0;;) {
    const count = sendto(
      fd,
      buffer,
      lengthOf(buffer),
      MSG_NOSIGNAL,
      bytes,
      length[0]!,
    );
    if (count >= 0) return count;
    const error = errno();
    if (isCertain(error, before)) return -error;
    before = error;
  }
}

/** What Linux passes on with one call at most (SCM_MAX_FD, unix(7)). */
export const MAX_DESCRIPTORS: number = 253;

/**
 * `struct cmsghdr`: the length of header and data, the level, the type; then the
 * data. The length is a `size_t` on Linux, a `socklen_t` on macOS.
 */
const CONTROL_HEADER = onLinux ? 16 : 12;
const CONTROL_LEVEL = CONTROL_HEADER - 8;

/**
 * `struct msghdr`, of which these words are used: the addresses of a `struct
 * iovec` and of the control message, and how many bytes that has. It is a
 * `size_t` on Linux, a `socklen_t` on macOS.
 */
const MESSAGE = { LENGTH: 64, IOV: 16, IOV_COUNT: 24, CONTROL: 32, SIZE: 40 };

/**
 * The parts of a call of `sendmsg` or `recvmsg`, in one piece of memory, whose
 * length is a multiple of 8.
 */
const IOVEC = MESSAGE.LENGTH;
const CONTROL = IOVEC + 16;
const CONTROL_ROOM = 16 + 4 * (MAX_DESCRIPTORS + 1);

/** The memory for {@linkcode sendWithDescriptors} and its opposite. */
class Message {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
  readonly #addresses: BigUint64Array<ArrayBuffer>;
  #buffer: Uint8Array | undefined;

  constructor() {
    const memory = new ArrayBuffer(CONTROL + CONTROL_ROOM);
    this.bytes = new Uint8Array(memory);
    this.words = new Int32Array(memory);
    this.#addresses = new BigUint64Array(memory);
    const base = libc().addressOf(this.bytes, this.bytes, 0);
    this.#addresses[MESSAGE.IOV / 8] = base + BigInt(IOVEC);
    this.words[MESSAGE.IOV_COUNT / 4] = 1;
    this.#addresses[MESSAGE.CONTROL / 8] = base + BigInt(CONTROL);
  }

  /** Names the bytes to send, or where to receive them. */
  set buffer(buffer: Uint8Array) {
    if (buffer !== this.#buffer) {
      // Small arrays live where the garbage collector moves them about, until
      // somebody asks for their buffer.
      void buffer.buffer;
      this.#addresses[IOVEC / 8] = libc().addressOf(buffer, buffer, 0);
      this.#buffer = buffer;
    }
    this.words[IOVEC / 4 + 2] = lengthOf(buffer);
  }

  /** How many bytes the control message has. */
  get controlLength(): number {
    return this.words[MESSAGE.SIZE / 4]!;
  }

  set controlLength(length: number) {
    this.words[MESSAGE.SIZE / 4] = length;
  }
}

let message: Message | undefined;

/**
 * Sends bytes over a UNIX stream socket, and descriptors with them, which the
 * other process gets as descriptors of its own.
 *
 * @param fd The socket.
 * @param buffer The bytes, one at least.
 * @param descriptors The descriptors, 253 of them at most. They stay open here.
 * @returns How many bytes were taken, and with the first of them all
 * descriptors; or a negative errno, and then none.
 * @throws {RangeError} When there are too many descriptors, or no bytes, with
 * which Linux would send no descriptors.
 */
export function sendWithDescriptors(
  fd: number,
  buffer: Uint8Array,
  descriptors: readonly number[],
): number {
  const action = "send descriptors";
  const { length } = descriptors;
  checkInteger(length, action, "descriptors.length", 0, MAX_DESCRIPTORS);
  if (buffer.length === 0) {
    throw new RangeError(
      complaint(buffer.length, action, "buffer.length", "at least 1"),
    );
  }
  const { sendmsg } = libc();
  const { bytes, words } = message ??= new Message();
  const controlLength = CONTROL_HEADER + 4 * length;
  message.buffer = buffer;
  message.controlLength = length === 0 ? 0 : controlLength;
  words.fill(0, CONTROL / 4, (CONTROL + CONTROL_HEADER) / 4);
  words[CONTROL / 4] = controlLength;
  words[(CONTROL + CONTROL_LEVEL) / 4] = POSIX.SOL_SOCKET;
  words[(CONTROL + CONTROL_LEVEL) / 4 + 1] = SCM_RIGHTS;
  words.set(descriptors, (CONTROL + CONTROL_HEADER) / 4);
  for (let before = 0;;) {
    const count = sendmsg(fd, bytes, MSG_NOSIGNAL);
    if (count >= 0) return count;
    const error = errno();
    if (isCertain(error, before)) return -error;
    before = error;
  }
}

/**
 * Receives bytes from a UNIX stream socket, and descriptors if some come with
 * them.
 *
 * @param fd The socket.
 * @param buffer Where to put the bytes.
 * @param descriptors Gets the descriptors added at its end, closed on exec. They
 * are the caller's to close. Those for which this process has no number left
 * are lost.
 * @returns How many bytes came, 0 at the end of the stream, or a negative errno:
 * `-ERRNO.EAGAIN` if nothing is there.
 */
export function receiveWithDescriptors(
  fd: number,
  buffer: Uint8Array,
  descriptors: number[],
): number {
  const { recvmsg } = libc();
  const { bytes, words } = message ??= new Message();
  message.buffer = buffer;
  for (let before = 0;;) {
    message.controlLength = CONTROL_ROOM;
    const count = recvmsg(fd, bytes, MSG_CMSG_CLOEXEC);
    if (count >= 0) {
      if (message.controlLength >= CONTROL_HEADER) take(words, descriptors);
      return count;
    }
    const error = errno();
    if (isCertain(error, before)) return -error;
    before = error;
  }
}

/** Takes the descriptors out of a control message, of which there is one. */
function take(words: Int32Array, descriptors: number[]): void {
  const level = words[(CONTROL + CONTROL_LEVEL) / 4];
  const type = words[(CONTROL + CONTROL_LEVEL) / 4 + 1];
  if (level !== POSIX.SOL_SOCKET || type !== SCM_RIGHTS) return;
  const end = (CONTROL + words[CONTROL / 4]!) / 4;
  for (let i = (CONTROL + CONTROL_HEADER) / 4; i < end; i++) {
    const descriptor = words[i]!;
    if (!onLinux) setCloseOnExec(descriptor, true);
    descriptors.push(descriptor);
  }
}
