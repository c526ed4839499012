/**
 * The numbers of sockets that differ from system to system.
 *
 * The values are those of `<sys/socket.h>`, `<netinet/in.h>`, `<netinet/tcp.h>`,
 * `<net/if.h>` and `<netdb.h>`, of Linux (x86-64 and arm64) and of macOS.
 *
 * @module
 */

import { POSIX } from "./constants.ts";

/** A socket option: its level and its name. Its value is a C `int`. */
export type SocketOption = readonly [level: number, name: number];

/** Socket options, with the running system's numbers. */
export interface SocketOptions {
  /** Bind to an address that was in use a moment ago. */
  readonly SO_REUSEADDR: SocketOption;
  /** Share an address with the other sockets that have this set. */
  readonly SO_REUSEPORT: SocketOption;
  /** Ask an idle peer from time to time whether it is still there. */
  readonly SO_KEEPALIVE: SocketOption;
  /** Permit datagrams to a broadcast address. */
  readonly SO_BROADCAST: SocketOption;
  /** How many bytes may wait to be sent. Linux doubles what is set. */
  readonly SO_SNDBUF: SocketOption;
  /** How many bytes may wait to be received. Linux doubles what is set. */
  readonly SO_RCVBUF: SocketOption;
  /** Read only: the socket's type. */
  readonly SO_TYPE: SocketOption;
  /** Read only: whether the socket listens. */
  readonly SO_ACCEPTCONN: SocketOption;
  /** Send small pieces at once instead of collecting them. */
  readonly TCP_NODELAY: SocketOption;
  /** Leave IPv4 to other sockets. */
  readonly IPV6_V6ONLY: SocketOption;
  /** How many routers an IPv4 datagram to a group may pass. */
  readonly IP_MULTICAST_TTL: SocketOption;
  /** Whether this machine gets its own IPv4 datagrams to a group. */
  readonly IP_MULTICAST_LOOP: SocketOption;
  /** How many routers an IPv6 datagram to a group may pass. */
  readonly IPV6_MULTICAST_HOPS: SocketOption;
  /** Whether this machine gets its own IPv6 datagrams to a group. */
  readonly IPV6_MULTICAST_LOOP: SocketOption;
}

/** The other numbers of sockets, with the running system's values. */
export interface SocketConstants {
  /** Option: what `close` does with what was not sent; a `struct linger`. */
  readonly SO_LINGER: SocketOption;
  /** Option: the interface for IPv4 groups; a `struct ip_mreqn`. */
  readonly IP_MULTICAST_IF: SocketOption;
  /** Option: join an IPv4 group; a `struct ip_mreqn`. */
  readonly IP_ADD_MEMBERSHIP: SocketOption;
  /** Option: leave an IPv4 group; a `struct ip_mreqn`. */
  readonly IP_DROP_MEMBERSHIP: SocketOption;
  /** Option: the interface for IPv6 groups; its index. */
  readonly IPV6_MULTICAST_IF: SocketOption;
  /** Option: join an IPv6 group; a `struct ipv6_mreq`. */
  readonly IPV6_JOIN_GROUP: SocketOption;
  /** Option: leave an IPv6 group; a `struct ipv6_mreq`. */
  readonly IPV6_LEAVE_GROUP: SocketOption;
  /** `send`: an error instead of the signal SIGPIPE. */
  readonly MSG_NOSIGNAL: number;
  /** `recvmsg`: close descriptors that come along on exec. */
  readonly MSG_CMSG_CLOEXEC: number;
  /** Control message: descriptors. */
  readonly SCM_RIGHTS: number;
  /** The length of the path in a `struct sockaddr_un`. */
  readonly UNIX_PATH_LENGTH: number;
  /** Look-up: only the families that an interface of this machine has. */
  readonly AI_ADDRCONFIG: number;
}

const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;

const { SOL_SOCKET } = POSIX;

const OPTIONS_ON_LINUX: SocketOptions = {
  SO_REUSEADDR: [SOL_SOCKET, 2],
  SO_REUSEPORT: [SOL_SOCKET, 15],
  SO_KEEPALIVE: [SOL_SOCKET, 9],
  SO_BROADCAST: [SOL_SOCKET, 6],
  SO_SNDBUF: [SOL_SOCKET, 7],
  SO_RCVBUF: [SOL_SOCKET, 8],
  SO_TYPE: [SOL_SOCKET, 3],
  SO_ACCEPTCONN: [SOL_SOCKET, 30],
  TCP_NODELAY: [IPPROTO_TCP, 1],
  IPV6_V6ONLY: [IPPROTO_IPV6, 26],
  IP_MULTICAST_TTL: [IPPROTO_IP, 33],
  IP_MULTICAST_LOOP: [IPPROTO_IP, 34],
  IPV6_MULTICAST_HOPS: [IPPROTO_IPV6, 18],
  IPV6_MULTICAST_LOOP: [IPPROTO_IPV6, 19],
};

const OPTIONS_ON_DARWIN: SocketOptions = {
  SO_REUSEADDR: [SOL_SOCKET, 0x4],
  SO_REUSEPORT: [SOL_SOCKET, 0x200],
  SO_KEEPALIVE: [SOL_SOCKET, 0x8],
  SO_BROADCAST: [SOL_SOCKET, 0x20],
  SO_SNDBUF: [SOL_SOCKET, 0x1001],
  SO_RCVBUF: [SOL_SOCKET, 0x1002],
  SO_TYPE: [SOL_SOCKET, 0x1008],
  SO_ACCEPTCONN: [SOL_SOCKET, 0x2],
  TCP_NODELAY: [IPPROTO_TCP, 1],
  IPV6_V6ONLY: [IPPROTO_IPV6, 27],
  IP_MULTICAST_TTL: [IPPROTO_IP, 10],
  IP_MULTICAST_LOOP: [IPPROTO_IP, 11],
  IPV6_MULTICAST_HOPS: [IPPROTO_IPV6, 10],
  IPV6_MULTICAST_LOOP: [IPPROTO_IPV6, 11],
};

const LINUX: SocketConstants = {
  SO_LINGER: [SOL_SOCKET, 13],
  IP_MULTICAST_IF: [IPPROTO_IP, 32],
  IP_ADD_MEMBERSHIP: [IPPROTO_IP, 35],
  IP_DROP_MEMBERSHIP: [IPPROTO_IP, 36],
  IPV6_MULTICAST_IF: [IPPROTO_IPV6, 17],
  IPV6_JOIN_GROUP: [IPPROTO_IPV6, 20],
  IPV6_LEAVE_GROUP: [IPPROTO_IPV6, 21],
  MSG_NOSIGNAL: 0x4000,
  MSG_CMSG_CLOEXEC: 0x40000000,
  SCM_RIGHTS: 1,
  UNIX_PATH_LENGTH: 108,
  AI_ADDRCONFIG: 0x20,
};

const DARWIN: SocketConstants = {
  SO_LINGER: [SOL_SOCKET, 0x80],
  IP_MULTICAST_IF: [IPPROTO_IP, 9],
  IP_ADD_MEMBERSHIP: [IPPROTO_IP, 12],
  IP_DROP_MEMBERSHIP: [IPPROTO_IP, 13],
  IPV6_MULTICAST_IF: [IPPROTO_IPV6, 9],
  IPV6_JOIN_GROUP: [IPPROTO_IPV6, 12],
  IPV6_LEAVE_GROUP: [IPPROTO_IPV6, 13],
  // Older systems refuse the flag, and Deno ignores the signal.
  MSG_NOSIGNAL: 0,
  MSG_CMSG_CLOEXEC: 0,
  SCM_RIGHTS: 1,
  UNIX_PATH_LENGTH: 104,
  AI_ADDRCONFIG: 0x400,
};

const onDarwin = Deno.build.os === "darwin";

/** Socket options for {@linkcode setSocketOption}, as the running system has them. */
export const SOCKET_OPTIONS: SocketOptions = onDarwin
  ? OPTIONS_ON_DARWIN
  : OPTIONS_ON_LINUX;

/** The running system's values. */
export const SOCKET: SocketConstants = onDarwin ? DARWIN : LINUX;
