/**
 * Streams over descriptors that need not be sockets: terminals, pipes, files.
 *
 * @module
 */

import { readInto, WOULD_BLOCK, writeFrom } from "../../ffi/descriptor.ts";
import { ERRNO, type SystemError } from "../../ffi/errno.ts";
import { ConnectionLost } from "../errors.ts";
import { FileDescriptor } from "../file_descriptor.ts";
import { ofKernel } from "./errors.ts";
import {
  type StreamSocket,
  StreamTransport,
  type StreamTransportOptions,
  type TCPOption,
} from "./stream.ts";

/** "Not now", as the kernel says it. */
export const LATER: number = -ERRNO.EAGAIN!;

/** What can be read and written, and nothing else. */
export abstract class DescriptorStream implements StreamSocket {
  /**
   * It may be read once, because the reactor has called it readable. At any other
   * time a read could wait, or take away what is somebody else's to read: what is
   * left in a terminal after the end is the shell's.
   */
  readable = false;
  /** What it is, for messages: "standard input and output". */
  abstract readonly name: string;
  protected readonly descriptor: FileDescriptor;

  /** Takes a descriptor, which it owns from now on, with the flags that it has. */
  constructor(fd: number) {
    this.descriptor = FileDescriptor.adopt(fd, { blocking: true });
  }

  get fd(): number {
    return this.descriptor.fileno();
  }

  receive(into: Uint8Array): number {
    if (!this.readable) return LATER;
    this.readable = false;
    return countOrErrno(readInto, this.fd, into);
  }

  send(from: Uint8Array): number {
    return countOrErrno(writeFrom, this.fd, from);
  }

  abstract endWriting(): void;

  close(_reset: boolean): void {
    this.descriptor.close();
  }

  isTransient(errno: number): boolean {
    return -errno === LATER;
  }

  explain(errno: number): Error {
    return ofKernel(ConnectionLost, "The connection was lost", errno);
  }

  setOption(): void {
    throw this.isNoSocket("set an option of TCP");
  }

  getOption(_option: TCPOption): boolean {
    throw this.isNoSocket("get an option of TCP");
  }

  /** What a function throws that takes a socket. */
  isNoSocket(action: string): Error {
    return new Deno.errors.NotSupported(
      `Cannot ${action}: this connection is ${this.name}`,
    );
  }
}

/** A connection over a {@linkcode DescriptorStream}. */
export class DescriptorTransport extends StreamTransport {
  readonly #stream: DescriptorStream;

  /** Makes a connection of a stream. */
  constructor(options: StreamTransportOptions & { socket: DescriptorStream }) {
    super(options);
    this.#stream = options.socket;
  }

  override doRead(): unknown {
    this.#stream.readable = true;
    return super.doRead();
  }

  override startTLS(): void {
    throw this.#stream.isNoSocket("start TLS");
  }
}

/** What the kernel says, as a stream tells it: no error is thrown. */
export function countOrErrno(
  call: (fd: number, buffer: Uint8Array) => number,
  fd: number,
  buffer: Uint8Array,
): number {
  try {
    const count = call(fd, buffer);
    return count === WOULD_BLOCK ? LATER : count;
  } catch (error) {
    return -(error as SystemError).errno;
  }
}
