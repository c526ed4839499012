/**
 * UDP.
 *
 * @module
 */

import { checkInteger } from "../../ffi/arguments.ts";
import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import {
  beginConnect,
  bindSocket,
  getSocketOption,
  type GroupOptions,
  joinGroup,
  leaveGroup,
  openSocket,
  setGroupInterface,
  setSocketOption,
} from "../../ffi/socket.ts";
import { isLiteral, SocketAddress } from "../../ffi/socket_address.ts";
import { SOCKET_OPTIONS } from "../../ffi/socket_constants.ts";
import { checkBoolean, checkString, complaint } from "../arguments.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import { cannotListen } from "./cannot_listen.ts";
import {
  checkDatagramProtocol,
  type DatagramPeer,
  DatagramPort,
  type DatagramPortOptions,
  type DatagramProtocol,
  type DatagramTransport,
} from "./datagram.ts";
import { connectError, InvalidAddressError } from "./errors.ts";

export type { GroupOptions } from "../../ffi/socket.ts";

/**
 * What sends and receives datagrams of UDP.
 *
 * @example One peer only
 * ```ts
 * import { listenUDP, type UDPTransport } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1" };
 * await using server: UDPTransport = listenUDP(0, {
 *   datagramReceived: (data, peer) => server.write(data, peer),
 * }, options);
 * const { hostname, port } = server.getHost() as Deno.NetAddr;
 *
 * const { promise, resolve } = Promise.withResolvers<string>();
 * await using client: UDPTransport = listenUDP(0, {
 *   datagramReceived: (data) => resolve(new TextDecoder().decode(data)),
 * }, options);
 * client.connect(hostname, port);
 * client.write("hello"); // To the server, and nobody else is heard.
 * assertEquals(await promise, "hello");
 * ```
 */
export interface UDPTransport extends DatagramTransport {
  /**
   * Sends to one peer only, and receives nothing from any other, from now on
   * until `stopListening`. When nobody is there, `connectionRefused` is called.
   *
   * @param hostname An IPv4 or IPv6 address.
   * @param port The port.
   * @throws {RangeError} When it is connected already, or `port` is not an
   * integer from 1 to 65535.
   * @throws {InvalidAddressError} When `hostname` is no address, but a host
   * name, or is of another family.
   * @throws {ConnectError} When no way leads there.
   */
  connect(hostname: string, port: number): void;
  /**
   * Joins a multicast group: what is sent there is received, too.
   *
   * @param group The group's address.
   * @param options On which interface.
   * @throws {InvalidAddressError} When `group` is no address, or is of another
   * family.
   * @throws {SystemError} When it is no group, or has been joined already.
   *
   * @example Hearing what is said to everybody
   * ```ts
   * import { listenUDP } from "@interleave/reactor/net";
   * import { assertEquals } from "@std/assert";
   *
   * const group = "239.255.0.2";
   * const { promise, resolve } = Promise.withResolvers<string>();
   * await using member = listenUDP(0, {
   *   datagramReceived: (data) => resolve(new TextDecoder().decode(data)),
   * }, { reuseAddress: true }); // So that there can be several on this machine.
   * member.joinGroup(group, { networkInterface: "127.0.0.1" });
   * const { port } = member.getHost() as Deno.NetAddr;
   *
   * await using sender = listenUDP(0, { datagramReceived() {} });
   * sender.setMulticastInterface("127.0.0.1"); // Not beyond this machine.
   * sender.write("hello", { hostname: group, port });
   * assertEquals(await promise, "hello");
   * ```
   */
  joinGroup(group: string, options?: GroupOptions): void;
  /**
   * Leaves a multicast group.
   *
   * @param group The group's address.
   * @param options On which interface, as it was given to `joinGroup`.
   * @throws {InvalidAddressError} When `group` is no address, or is of another
   * family.
   * @throws {SystemError} When it has not been joined.
   */
  leaveGroup(group: string, options?: GroupOptions): void;
  /**
   * Chooses the interface by which datagrams to multicast groups leave.
   *
   * @param networkInterface Its name, its number as text, or, for IPv4, an
   * address that it has; empty leaves the choice to the system.
   * @throws {SystemError} When there is no such interface.
   */
  setMulticastInterface(networkInterface: string): void;
  /**
   * Sets how many routers a datagram to a multicast group may pass, plus one: 0
   * keeps it on this machine, 1, the default, on this network.
   *
   * @param ttl The number.
   * @throws {RangeError} When `ttl` is not an integer from 0 to 255.
   */
  setMulticastTTL(ttl: number): void;
  /** How many routers a datagram to a multicast group may pass, plus one. */
  getMulticastTTL(): number;
  /**
   * Sets whether this machine gets what it sends to groups that it is in. It does
   * unless told otherwise.
   *
   * @param on Whether to.
   * @throws {TypeError} When `on` is not a boolean.
   */
  setMulticastLoopback(on: boolean): void;
  /** Whether this machine gets what it sends to groups that it is in. */
  getMulticastLoopback(): boolean;
  /**
   * Permits datagrams to a broadcast address, or forbids them, which is the
   * default: then `write` throws for one.
   *
   * @param on Whether to permit them.
   * @throws {TypeError} When `on` is not a boolean.
   */
  setBroadcast(on: boolean): void;
  /** Whether datagrams to a broadcast address are permitted. */
  getBroadcast(): boolean;
}

/**
 * Options of {@linkcode listenUDP}.
 *
 * @example Two receivers on one port
 * ```ts
 * import { listenUDP, type ListenUDPOptions } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ListenUDPOptions = {
 *   hostname: "127.0.0.1",
 *   reuseAddress: true, // On each of them.
 * };
 * const protocol = { datagramReceived() {} };
 * await using one = listenUDP(0, protocol, options);
 * const { port } = one.getHost() as Deno.NetAddr;
 * await using other = listenUDP(port, protocol, options);
 * assertEquals(other.getHost(), one.getHost());
 * ```
 */
export interface ListenUDPOptions {
  /**
   * The address to receive at, IPv4 or IPv6. Its family is the transport's.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string;
  /**
   * Whether to share the port with other sockets that do so, as receivers of
   * one multicast group on one machine must.
   *
   * @default {false}
   */
  reuseAddress?: boolean;
  /**
   * The reactor that serves the port.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * Receives datagrams by UDP, and sends others.
 *
 * @param port The port; 0 for one that is free, which `getHost()` then tells.
 * @param protocol What happens.
 * @param options Where.
 * @returns The transport, which is the protocol's, too.
 * @throws {CannotListenError} When the address can't be had.
 * @throws {InvalidAddressError} When `hostname` is no address.
 * @throws {TypeError} When an argument is of the wrong type.
 * @throws {RangeError} When `port` is not an integer from 0 to 65535.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 *
 * @example Echoing
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { listenUDP } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const options = { hostname: "127.0.0.1", reactor };
 * const server = listenUDP(0, {
 *   datagramReceived: (data, peer) => server.write(data, peer),
 * }, options);
 *
 * let answer = "";
 * const client = listenUDP(0, {
 *   datagramReceived(data) {
 *     answer = new TextDecoder().decode(data);
 *     reactor.stop();
 *   },
 * }, options);
 * client.write("hello", server.getHost());
 * await reactor.run();
 * assertEquals(answer, "hello");
 * ```
 */
export function listenUDP(
  port: number,
  protocol: DatagramProtocol,
  options: ListenUDPOptions = {},
): UDPTransport {
  const action = "listen";
  checkInteger(port, action, "port", 0, 65_535);
  checkDatagramProtocol(protocol, action);
  const {
    hostname = "0.0.0.0",
    reuseAddress = false,
    reactor = sharedReactor,
  } = options;
  checkString(hostname, action, "options.hostname");
  checkLiteral(hostname, action, "options.hostname");
  const transport = new UDPPort(hostname, {
    reactor,
    protocol,
    open() {
      let fd = -1;
      try {
        const address = SocketAddress.internet(hostname, port);
        fd = openSocket(address.family, POSIX.SOCK_DGRAM);
        if (reuseAddress) shareAddress(fd);
        bindSocket(fd, address);
        return fd;
      } catch (error) {
        if (fd !== -1) closeDescriptor(fd);
        throw cannotListen(`${hostname}, port ${port}`, error);
      }
    },
  });
  transport.startListening();
  return transport;
}

/** macOS asks for the second option, too; on Linux it means something else. */
function shareAddress(fd: number): void {
  setSocketOption(fd, SOCKET_OPTIONS.SO_REUSEADDR, 1);
  if (Deno.build.os === "darwin") {
    setSocketOption(fd, SOCKET_OPTIONS.SO_REUSEPORT, 1);
  }
}

/** See {@linkcode UDPTransport}. */
class UDPPort extends DatagramPort implements UDPTransport {
  readonly #isIPv6: boolean;

  constructor(hostname: string, options: DatagramPortOptions) {
    super(options);
    this.#isIPv6 = hostname.includes(":");
  }

  connect(hostname: string, port: number): void {
    const action = "connect";
    checkString(hostname, action, "hostname");
    checkInteger(port, action, "port", 1, 65_535);
    this.#checkAddress(hostname, action, "hostname");
    if (this.connectedTo !== undefined) {
      throw new RangeError(
        `Cannot connect: the transport is connected to ${
          JSON.stringify(this.connectedTo)
        } already`,
      );
    }
    const address = SocketAddress.internet(hostname, port);
    const errno = beginConnect(this.fileno(), address);
    if (errno !== 0) throw connectError(`Cannot connect to ${address}`, errno);
    this.connectedTo = { hostname, port };
  }

  joinGroup(group: string, options?: GroupOptions): void {
    this.#checkAddress(group, "join a group", "group");
    joinGroup(this.fileno(), group, options);
  }

  leaveGroup(group: string, options?: GroupOptions): void {
    this.#checkAddress(group, "leave a group", "group");
    leaveGroup(this.fileno(), group, options);
  }

  setMulticastInterface(networkInterface: string): void {
    const action = "set the interface of multicast groups";
    checkString(networkInterface, action, "networkInterface");
    setGroupInterface(this.fileno(), networkInterface);
  }

  setMulticastTTL(ttl: number): void {
    checkInteger(ttl, "set the TTL of multicast groups", "ttl", 0, 255);
    setSocketOption(this.fileno(), this.#ttl, ttl);
  }

  getMulticastTTL(): number {
    return getSocketOption(this.fileno(), this.#ttl);
  }

  setMulticastLoopback(on: boolean): void {
    checkBoolean(on, "set IP_MULTICAST_LOOP", "on");
    setSocketOption(this.fileno(), this.#loopback, on ? 1 : 0);
  }

  getMulticastLoopback(): boolean {
    return getSocketOption(this.fileno(), this.#loopback) !== 0;
  }

  setBroadcast(on: boolean): void {
    checkBoolean(on, "set SO_BROADCAST", "on");
    setSocketOption(this.fileno(), SOCKET_OPTIONS.SO_BROADCAST, on ? 1 : 0);
  }

  getBroadcast(): boolean {
    return getSocketOption(this.fileno(), SOCKET_OPTIONS.SO_BROADCAST) !== 0;
  }

  get #ttl() {
    return this.#isIPv6
      ? SOCKET_OPTIONS.IPV6_MULTICAST_HOPS
      : SOCKET_OPTIONS.IP_MULTICAST_TTL;
  }

  get #loopback() {
    return this.#isIPv6
      ? SOCKET_OPTIONS.IPV6_MULTICAST_LOOP
      : SOCKET_OPTIONS.IP_MULTICAST_LOOP;
  }

  protected override resolve(peer: DatagramPeer): SocketAddress {
    const action = "send a datagram";
    const { hostname, port } = peer as { hostname: string; port: number };
    checkString(hostname, action, "peer.hostname");
    checkInteger(port, action, "peer.port", 1, 65_535);
    this.#checkAddress(hostname, action, "peer.hostname");
    return SocketAddress.internet(hostname, port);
  }

  #checkAddress(hostname: string, action: string, name: string): void {
    checkLiteral(hostname, action, name);
    if (hostname.includes(":") === this.#isIPv6) return;
    throw new InvalidAddressError(
      complaint(
        hostname,
        action,
        name,
        `an ${
          this.#isIPv6 ? "IPv6" : "IPv4"
        } address, as that of the transport`,
      ),
    );
  }
}

function checkLiteral(hostname: string, action: string, name: string): void {
  if (isLiteral(hostname)) return;
  throw new InvalidAddressError(
    complaint(hostname, action, name, "an IPv4 or IPv6 address"),
  );
}
