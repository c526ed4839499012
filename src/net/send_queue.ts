/**
 * What was written to a connection and is not sent yet.
 *
 * @module
 */

/**
 * Small pieces are sent together: up to so many bytes in one system call. It is
 * also the most that a socket is asked to take at once.
 */
const PORTION = 65_536;

/** Where small pieces are put together. One for all: it is used within a call. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/** A queue of bytes. */
export class SendQueue {
  readonly #parts: Uint8Array[] = [];
  /** How much of the first part is sent. */
  #sent = 0;
  /** How many bytes there are. */
  length = 0;

  /** Adds bytes. */
  push(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#parts.push(data);
    this.length += data.length;
  }

  /** The bytes to send next; empty if there are none. */
  head(): Uint8Array {
    const parts = this.#parts;
    const first = parts[0];
    if (first === undefined) return EMPTY;
    const rest = first.length - this.#sent;
    if (parts.length === 1 || rest >= PORTION) {
      return this.#sent === 0 && rest <= PORTION
        ? first
        : first.subarray(this.#sent, this.#sent + PORTION);
    }
    scratch ??= new Uint8Array(PORTION);
    let length = 0;
    for (const part of parts) {
      const from = length === 0 ? this.#sent : 0;
      const room = PORTION - length;
      if (room === 0) break;
      const piece = from === 0 && part.length <= room
        ? part
        : part.subarray(from, from + room);
      scratch.set(piece, length);
      length += piece.length;
    }
    return scratch.subarray(0, length);
  }

  /** So many bytes of the head are sent. */
  shift(count: number): void {
    this.length -= count;
    if (this.length === 0) return this.clear(); // As nearly always.
    let done = 0;
    for (const part of this.#parts) {
      const rest = part.length - this.#sent;
      if (count < rest) break;
      count -= rest;
      this.#sent = 0;
      done++;
    }
    this.#sent += count;
    if (done > 0) this.#parts.splice(0, done);
  }

  /** Forgets everything. */
  clear(): void {
    this.#parts.length = 0;
    this.#sent = this.length = 0;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
