/**
 * A connected socket, as a stream transport uses it.
 *
 * @module
 */

import { endWriting } from "../../ffi/descriptor.ts";
import { ERRNO } from "../../ffi/errno.ts";
import { FileIdentities, type FileIdentity } from "../../ffi/file_identity.ts";
import {
  getSocketOption,
  localAddress,
  receive,
  resetOnClose,
  send,
  setSocketOption,
} from "../../ffi/socket.ts";
import { SOCKET_OPTIONS } from "../../ffi/socket_constants.ts";
import { ConnectionLost } from "../errors.ts";
import { FileDescriptor } from "../file_descriptor.ts";
import { type Address, toAddress } from "./address.ts";
import { ofKernel } from "./errors.ts";
import type { StreamSocket, TCPOption } from "./stream.ts";

const { EAGAIN, EWOULDBLOCK, EINTR, ENOBUFS } = ERRNO;

const OPTIONS = {
  noDelay: SOCKET_OPTIONS.TCP_NODELAY,
  keepAlive: SOCKET_OPTIONS.SO_KEEPALIVE,
} as const;

/** They serve sockets only, for which they open nothing. */
const identities = new FileIdentities();

/** A socket that is connected, or about to be. */
export class SocketStream implements StreamSocket {
  readonly #descriptor: FileDescriptor;
  readonly #file: FileIdentity | number;
  /** -1 when it is closed. */
  #fd: number;

  /** Takes a non-blocking socket into its ownership. */
  constructor(fd: number) {
    this.#descriptor = FileDescriptor.adopt(fd);
    this.#file = identities.identify(fd);
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  receive(into: Uint8Array): number {
    return receive(this.fd, into);
  }

  send(from: Uint8Array): number {
    return send(this.fd, from);
  }

  endWriting(): void {
    try {
      endWriting(this.fd);
    } catch {
      // The peer is gone: reading, or writing, will tell.
    }
  }

  close(reset: boolean): void {
    this.forgetIfClosed();
    const fd = this.#fd;
    if (fd === -1) return;
    this.#fd = -1;
    if (reset) {
      try {
        resetOnClose(fd);
      } catch {
        // A socket that has no such thing is just closed.
      }
    }
    this.#descriptor.close();
  }

  forgetIfClosed(): void {
    const file = this.#file;
    if (typeof file !== "object") return; // Nobody could ever tell.
    if (!identities.matches(this.#fd, file)) this.#fd = -1;
  }

  isTransient(errno: number): boolean {
    return errno === EAGAIN || errno === EWOULDBLOCK || errno === EINTR ||
      errno === ENOBUFS;
  }

  explain(errno: number): Error {
    return ofKernel(ConnectionLost, "The connection was lost", errno);
  }

  setOption(option: TCPOption, on: boolean): void {
    setSocketOption(this.fd, OPTIONS[option], on ? 1 : 0);
  }

  getOption(option: TCPOption): boolean {
    return getSocketOption(this.fd, OPTIONS[option]) !== 0;
  }
}

/** The address of this end of a socket. */
export function hostOf(fd: number): Address {
  return toAddress(localAddress(fd), "stream");
}
