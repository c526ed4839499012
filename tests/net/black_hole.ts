/**
 * An address from which no answer comes, on this machine.
 *
 * @module
 */

import { POLL, POSIX } from "../../ffi/constants.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import {
  acceptFrom,
  beginConnect,
  bindSocket,
  listenOn,
  localAddress,
  openSocket,
} from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";

/** More than a queue of length 0 holds. */
const FILLERS = 4;

/**
 * A socket that listens, and whose queue is full. The kernel drops what asks for
 * a place in it, as if it had never come, and the asker asks again after a second.
 */
export class BlackHole implements Disposable {
  /** Where it is. */
  readonly address: SocketAddress;
  readonly #listener: number;
  readonly #fillers: number[] = [];

  /** Digs one. Throws when this system answers all the same. */
  constructor() {
    this.#listener = openSocket(POSIX.AF_INET, POSIX.SOCK_STREAM);
    bindSocket(this.#listener, SocketAddress.internet("127.0.0.1", 0));
    listenOn(this.#listener, 0);
    this.address = localAddress(this.#listener);
    for (let i = 0; i < FILLERS; i++) {
      const fd = openSocket(POSIX.AF_INET, POSIX.SOCK_STREAM);
      beginConnect(fd, this.address);
      this.#fillers.push(fd);
    }
    if (isWritable(this.#fillers.at(-1)!)) {
      this[Symbol.dispose]();
      throw new Error("The queue took more than it has room for");
    }
  }

  /** Its port. */
  get port(): number {
    return this.address.port;
  }

  /**
   * Makes room in the queue, once and for all: who asks again gets an answer.
   */
  fillIn(): void {
    listenOn(this.#listener, 16);
    let fd;
    while ((fd = acceptFrom(this.#listener, new SocketAddress())) >= 0) {
      this.#fillers.push(fd);
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fillers) closeDescriptor(fd);
    closeDescriptor(this.#listener);
  }
}

/** Whether a socket is connected, or has failed to be. */
function isWritable(fd: number): boolean {
  const table = new Int32Array([fd, POLL.OUT]);
  return libc().poll(table, 1, 0) > 0;
}
