/**
 * What a connection has received and nobody has read yet.
 *
 * @module
 */

/** A queue of bytes. */
export class ReceiveQueue {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];
  /** How much of the first part is read. */
  #read = 0;
  /** How many bytes there are. */
  length = 0;

  /** Adds bytes: one at least. The array is the queue's from now on. */
  push(data: Uint8Array<ArrayBuffer>): void {
    this.#parts.push(data);
    this.length += data.length;
  }

  /**
   * Takes what is left of the first part, without a copy. There must be
   * something.
   */
  shift(): Uint8Array<ArrayBuffer> {
    const rest = this.#parts.shift()!.subarray(this.#read);
    this.#read = 0;
    this.length -= rest.length;
    return rest;
  }

  /**
   * Copies as many bytes as there are, or as there is room for.
   *
   * @returns How many.
   */
  take(into: Uint8Array): number {
    let count = 0;
    while (count < into.length && this.length > 0) {
      const part = this.#parts[0]!;
      const end = Math.min(part.length, this.#read + into.length - count);
      into.set(part.subarray(this.#read, end), count);
      const taken = end - this.#read;
      count += taken;
      this.length -= taken;
      this.#read = end;
      if (end < part.length) break;
      this.#parts.shift();
      this.#read = 0;
    }
    return count;
  }

  /** Forgets everything. */
  clear(): void {
    this.#parts.length = 0;
    this.#read = this.length = 0;
  }
}
