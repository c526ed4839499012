/**
 * The addresses of transports, as plain objects in Deno's shape.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import type { SocketAddress } from "../../ffi/socket_address.ts";
import { UnsupportedAddressFamily } from "./errors.ts";

/**
 * An address of the internet, as `Deno.NetAddr` is one.
 *
 * @example As people write it
 * ```ts
 * import { connect, listen, type NetAddress } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * function show({ hostname, port }: NetAddress): string {
 *   const host = hostname.includes(":") ? `[${hostname}]` : hostname;
 *   return `${host}:${port}`;
 * }
 *
 * await using port = listen({ hostname: "127.0.0.1", port: 0 });
 * await using client = await connect(port.getHost());
 * assertEquals(show(client.getPeer()), `127.0.0.1:${port.getHost().port}`);
 * assertEquals(show({ transport: "udp", hostname: "::1", port: 53 }), "[::1]:53");
 * ```
 */
export interface NetAddress {
  /** `"tcp"` for connections, `"udp"` for datagrams. */
  readonly transport: "tcp" | "udp";
  /**
   * The host: an IPv4 address, or an IPv6 address without brackets, followed by
   * `%` and an interface if it is good on one link only. A host name only where
   * a connection is to be made.
   */
  readonly hostname: string;
  /** The port. */
  readonly port: number;
}

/**
 * An address of a UNIX socket, as `Deno.UnixAddr` is one.
 *
 * @example A server has a path, its clients have none
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `/tmp/service ${crypto.randomUUID()}`;
 * await using _port = listen({ path });
 * await using client = await connect({ path });
 * assertEquals(client.getPeer(), { transport: "unix", path });
 * assertEquals(client.getHost(), { transport: "unix", path: "" });
 * ```
 */
export interface UnixAddress {
  /** `"unix"` for connections, `"unixpacket"` for datagrams. */
  readonly transport: "unix" | "unixpacket";
  /**
   * Where the socket is in the file system. An abstract name begins with a NUL;
   * a socket that was never given a name has an empty one, as clients do.
   */
  readonly path: string;
}

/**
 * Where a transport begins or ends.
 *
 * @example Either kind in a log
 * ```ts
 * import { type Address, connect, listen } from "@interleave/reactor/net";
 * import { assertEquals, assertMatch } from "@std/assert";
 *
 * function show(address: Address): string {
 *   if ("path" in address) return address.path || "somebody on this machine";
 *   return `${address.hostname}, port ${address.port}`;
 * }
 *
 * await using tcp = listen({ hostname: "127.0.0.1", port: 0 });
 * await using unix = listen({ path: `/tmp/service ${crypto.randomUUID()}` });
 * await using one = await connect(tcp.getHost());
 * await using other = await connect(unix.getHost());
 * assertMatch(show(one.getHost()), /^127\.0\.0\.1, port \d+$/);
 * assertEquals(show(other.getHost()), "somebody on this machine");
 * ```
 */
export type Address = NetAddress | UnixAddress;

/** What is shown for an end that has no address at all, as of a terminal. */
export const NAMELESS: UnixAddress = Object.freeze({
  transport: "unix",
  path: "",
});

/**
 * What the kernel says, as a plain object.
 *
 * @param address The kernel's address.
 * @param kind Whether the socket carries a stream or datagrams.
 * @returns The address.
 * @throws {UnsupportedAddressFamily} When it is neither of the internet nor of
 * a UNIX socket.
 */
export function toAddress(
  address: SocketAddress,
  kind: "stream" | "datagram",
): Address {
  switch (address.family) {
    case POSIX.AF_INET:
    case POSIX.AF_INET6:
      return {
        transport: kind === "stream" ? "tcp" : "udp",
        hostname: address.hostname,
        port: address.port,
      };
    // A peer without a name may have no family either: the kernel fills in
    // nothing at all (unix(7)).
    case 0:
    case POSIX.AF_UNIX:
      return {
        transport: kind === "stream" ? "unix" : "unixpacket",
        path: address.path,
      };
    default:
      throw new UnsupportedAddressFamily(
        `Cannot show an address: its family is ${address.family}, which is neither IPv4, IPv6 nor UNIX`,
      );
  }
}
