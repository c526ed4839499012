/**
 * Datagram sockets of UNIX that are connected.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { beginConnect, openSocket } from "../../ffi/socket.ts";
import type { SocketAddress } from "../../ffi/socket_address.ts";
import { connectError } from "./errors.ts";
import type { UnixPath } from "./unix_path.ts";

/**
 * Makes a socket that is connected.
 *
 * @param to Where to.
 * @param place Where it is itself, if anywhere.
 * @throws {ConnectError} When there is no such socket.
 * @throws {CannotListenError} When its own place can't be had.
 */
export function openUnixDatagram(to: SocketAddress, place?: UnixPath): number {
  const fd = place?.open() ?? openSocket(POSIX.AF_UNIX, POSIX.SOCK_DGRAM);
  const errno = beginConnect(fd, to);
  if (errno === 0) return fd;
  closeDescriptor(fd);
  place?.release();
  throw connectError(`Cannot connect to ${to}`, errno);
}
