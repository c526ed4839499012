/**
 * The events of a device that gives them as records of one length, of which one
 * read gives any number, and never a part of one: GPIO lines, input devices.
 */

import type { FileDescriptor, Reactor, Watch } from "../../mod.ts";
import { readInto, WOULD_BLOCK } from "../../ffi/mod.ts";

/** So many events are read at a time, at most. */
const MOST = 64;

/** What {@linkcode EventRecords} are made of. */
export interface EventRecordsOptions<T> {
  /** Where they come from. Stays the caller's to close. */
  readonly fd: FileDescriptor;
  /** The length of one, in bytes. */
  readonly length: number;
  /** What a number of them say. */
  readonly decode: (bytes: Uint8Array<ArrayBuffer>) => Iterable<T>;
  /** Who waits. */
  readonly reactor: Reactor;
}

/** See the module's documentation. Several loops share the events. */
export class EventRecords<T> implements AsyncIterable<T>, Disposable {
  readonly #options: EventRecordsOptions<T>;
  readonly #watches = new Set<Watch>();
  /** What was read and nobody has had yet. */
  readonly #events: T[] = [];

  constructor(options: EventRecordsOptions<T>) {
    this.#options = options;
  }

  /**
   * The events, until this is disposed of. When the device goes away that is an
   * error with `code: "ENODEV"`. To leave the loop closes nothing.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    const { fd, length, decode, reactor } = this.#options;
    if (fd.fileno() < 0) return;
    using watch = reactor.watch(fd, "readable");
    this.#watches.add(watch);
    try {
      const buffer = new Uint8Array(length * MOST);
      for (;;) {
        while (this.#events.length > 0) yield this.#events.shift()!;
        if ((await watch.next()).done) return;
        const count = readInto(fd.fileno(), buffer);
        if (count === 0) return; // A device has no end; what stands in for it has.
        if (count === WOULD_BLOCK) continue;
        this.#events.push(...decode(buffer.subarray(0, count)));
      }
    } finally {
      this.#watches.delete(watch);
    }
  }

  /** Ends the loops over the events. */
  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch.close();
  }
}
