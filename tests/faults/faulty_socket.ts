/**
 * A connection's socket whose calls fail, or move less than they could.
 *
 * @module
 */

import type { StreamSocket, TCPOption } from "../../src/net/stream.ts";
import { numberOf } from "./errnos.ts";
import { Schedule, type Which } from "./schedule.ts";

/** What goes wrong with a call. */
export interface SocketFault {
  readonly call: "receive" | "send";
  /** It fails with this, or moves so few bytes. */
  readonly effect: { readonly errno: string } | { readonly short: number };
  readonly which: Which;
}

/** A socket with faults above the kernel's. */
export class FaultySocket implements StreamSocket {
  readonly #socket: StreamSocket;
  readonly #fault: SocketFault;
  readonly #schedule: Schedule;

  constructor(socket: StreamSocket, fault: SocketFault) {
    this.#socket = socket;
    this.#fault = fault;
    this.#schedule = new Schedule(fault.which);
  }

  /** How many calls were struck. */
  get struck(): number {
    return this.#schedule.struck;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  receive(into: Uint8Array): number {
    return this.#call("receive", into);
  }

  send(from: Uint8Array): number {
    return this.#call("send", from);
  }

  endWriting(): void {
    this.#socket.endWriting();
  }

  close(reset: boolean): void {
    this.#socket.close(reset);
  }

  forgetIfClosed(): void {
    this.#socket.forgetIfClosed?.();
  }

  isTransient(errno: number): boolean {
    return this.#socket.isTransient(errno);
  }

  explain(errno: number): Error {
    return this.#socket.explain(errno);
  }

  setOption(option: TCPOption, on: boolean): void {
    this.#socket.setOption(option, on);
  }

  getOption(option: TCPOption): boolean {
    return this.#socket.getOption(option);
  }

  #call(name: "receive" | "send", bytes: Uint8Array): number {
    const { call, effect } = this.#fault;
    if (name !== call || !this.#schedule.strikes()) {
      return this.#socket[name](bytes);
    }
    return "errno" in effect
      ? -numberOf(effect.errno)
      : this.#socket[name](bytes.subarray(0, effect.short));
  }
}
