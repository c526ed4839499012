/**
 * Transports over the reactor: connections and child processes.
 *
 * They work in every host, also while Deno's own loop stands still inside a
 * toolkit's; names are looked up off the main thread. They are the C library's,
 * so they need `--allow-ffi` and no `--allow-net` or `--allow-run`; for TLS, also
 * OpenSSL 3.
 *
 * | to | use |
 * |---|---|
 * | connect, with promises and streams | {@linkcode connect}, {@linkcode listen} |
 * | the same, as `Deno.Conn` | {@linkcode Connection.prototype.toDenoConn Connection.toDenoConn} |
 * | connect, with callbacks, as for Twisted | {@linkcode connectTCP}, {@linkcode listenTCP}, {@linkcode connectUNIX}, {@linkcode listenUNIX} |
 * | the same, encrypted | {@linkcode connectSSL}, {@linkcode listenSSL}, {@linkcode Transport.startTLS}, the option `tls` |
 * | send and receive datagrams | {@linkcode listenUDP}, {@linkcode listenUNIXDatagram}, {@linkcode connectUNIXDatagram} |
 * | serve sockets that somebody else made | {@linkcode adoptStreamPort}, {@linkcode adoptStream}, {@linkcode activatedSockets} |
 * | start a process | {@linkcode spawnProcess} |
 * | talk through standard input and output, or as a terminal | {@linkcode openStdio}, {@linkcode openPty} |
 *
 * All of them are served by the shared `reactor` of the package unless the option
 * `reactor` names another one. Times are in milliseconds.
 *
 * @example A server that answers in capitals, and a client
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = listen({ hostname: "127.0.0.1", port: 0 });
 * (async () => {
 *   for await (const connection of server) {
 *     for await (const bytes of connection) {
 *       connection.write(new TextDecoder().decode(bytes).toUpperCase());
 *     }
 *     connection.loseConnection();
 *   }
 * })();
 *
 * await using client = await connect(server.getHost());
 * client.write("hello");
 * client.loseWriteConnection();
 * assertEquals(await new Response(client.readable).text(), "HELLO");
 * ```
 *
 * @module
 */

export type { ReactorErrorOptions } from "../errors.ts";
export type { ChildOptions } from "../../ffi/spawn.ts";
export type { OpenPtyOptions } from "../../ffi/pty.ts";
export type { Address, NetAddress, UnixAddress } from "./address.ts";
export { adoptStream, adoptStreamPort } from "./adopt.ts";
export type { AdoptStreamOptions } from "./adopt.ts";
export { connect } from "./connect.ts";
export type { ConnectOptions, ConnectPathOptions } from "./connect.ts";
export { Connection } from "./connection.ts";
export type { ClientFactory, Connector } from "./connector.ts";
export type {
  DatagramPeer,
  DatagramProtocol,
  DatagramTransport,
} from "./datagram.ts";
export type { DenoConn } from "./deno_conn.ts";
export {
  CannotListenError,
  ConnectBindError,
  ConnectError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  FileDescriptorOverrun,
  InvalidAddressError,
  MessageLengthError,
  NameLookupError,
  NoRouteError,
  NotConnectingError,
  ProcessDone,
  ProcessExitedAlready,
  ProcessTerminated,
  ServiceNameUnknownError,
  UnsupportedAddressFamily,
  UserError,
} from "./errors.ts";
export type { ProcessEnd, ProcessTerminatedOptions } from "./errors.ts";
export { listen } from "./listen.ts";
export type { Listener, ListenOptions, ListenPathOptions } from "./listen.ts";
export type { Port } from "./port.ts";
export type {
  BufferedProtocol,
  Producer,
  Protocol,
  ServerFactory,
  Transport,
} from "./protocol.ts";
export { activatedSockets } from "./socket_activation.ts";
export type { ActivatedSocket } from "./socket_activation.ts";
export { connectSSL, listenSSL } from "./tls.ts";
export type { ConnectSSLOptions, ListenSSLOptions } from "./tls.ts";
export { TLSError } from "./tls_error.ts";
export type { TLSErrorOptions } from "./tls_error.ts";
export type { TLSOptions } from "./tls_options.ts";
export { connectTCP, listenTCP } from "./tcp.ts";
export type { ConnectTCPOptions, ListenTCPOptions } from "./tcp.ts";
export { openPty } from "./pty.ts";
export type { PtyOptions, PtyTransport } from "./pty.ts";
export { openStdio } from "./stdio.ts";
export type { OpenStdioOptions } from "./stdio.ts";
export { spawnProcess } from "./process.ts";
export type { SpawnProcessOptions } from "./process.ts";
export type {
  ProcessProtocol,
  ProcessTransport,
  SignalName,
} from "./process_protocol.ts";
export { listenUDP } from "./udp.ts";
export type { GroupOptions, ListenUDPOptions, UDPTransport } from "./udp.ts";
export {
  connectUNIX,
  connectUNIXDatagram,
  listenUNIX,
  listenUNIXDatagram,
} from "./unix.ts";
export type {
  ConnectUNIXDatagramOptions,
  ConnectUNIXOptions,
  ListenUNIXDatagramOptions,
  ListenUNIXOptions,
  UnixClientFactory,
  UnixServerFactory,
} from "./unix.ts";
export type { UnixPathOptions } from "./unix_path.ts";
export type {
  UnixBufferedProtocol,
  UnixProtocol,
  UnixTransport,
} from "./unix_stream.ts";
