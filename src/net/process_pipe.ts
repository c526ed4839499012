/**
 * One pipe to or from a child process, or its terminal.
 *
 * @module
 */

import {
  closeDescriptor,
  readInto,
  WOULD_BLOCK,
  writeFrom,
} from "../../ffi/descriptor.ts";
import type { ReadDescriptor, WriteDescriptor } from "../descriptors.ts";
import { ConnectionDone } from "../errors.ts";
import type { Reactor } from "../reactor.ts";
import { endWithReactor, outlive } from "./dependents.ts";
import type { Producer } from "./protocol.ts";
import { RegisteredProducer } from "./registered_producer.ts";
import { SendQueue } from "./send_queue.ts";

/** Where bytes are read before the protocol gets its own. */
let readBuffer: Uint8Array<ArrayBuffer> | undefined;

/** As much as a pipe holds on Linux (pipe(7)). */
const READ_LENGTH = 65_536;

/** Which way bytes go: to us, to the child, or both as in a terminal. */
export type Direction = "r" | "w" | "rw";

/** What a pipe tells. All of it inside of callbacks of the reactor. */
export interface PipeEvents {
  /** Bytes have come. */
  received(pipe: ProcessPipe, data: Uint8Array<ArrayBuffer>): unknown;
  /** It is closed. Called once. */
  lost(pipe: ProcessPipe): void;
}

/** Our end of a pipe. */
export class ProcessPipe implements ReadDescriptor, WriteDescriptor {
  /** For messages and `inspect()`. */
  readonly label: string;
  /** The child's number for it. */
  readonly childFD: number;
  readonly #direction: Direction;
  readonly #reactor: Reactor;
  readonly #events: PipeEvents;
  readonly #queue = new SendQueue();
  #fd: number;
  #writing = false;
  /** To be closed when all is written. */
  #losing = false;
  /** To be closed in a later round, whatever there is to write. */
  #failed = false;
  #producer: RegisteredProducer | undefined;

  /** Takes a descriptor, which it owns from now on. */
  constructor(
    fd: number,
    options: {
      reactor: Reactor;
      childFD: number;
      direction: Direction;
      events: PipeEvents;
    },
  ) {
    this.#fd = fd;
    this.#reactor = options.reactor;
    this.childFD = options.childFD;
    this.#direction = options.direction;
    this.#events = options.events;
    this.label = `descriptor ${options.childFD} of a process`;
  }

  /** The descriptor; -1 once it is closed. */
  fileno(): number {
    return this.#fd;
  }

  /** How many bytes wait to be written. */
  get bufferedAmount(): number {
    return this.#queue.length;
  }

  /** Whether the child reads from it. */
  get isWritable(): boolean {
    return this.#direction !== "r";
  }

  /** Begins. A pipe that is paused, and so is unknown to the reactor, ends with it. */
  start(): void {
    endWithReactor(this.#reactor, this);
    this.#watch();
  }

  /**
   * Watches it for reading. That includes one that is only written to: there, an
   * event for readers means that nobody reads any more (poll(2), POLLERR),
   * which is worth knowing before the next write.
   */
  #watch(): void {
    this.#reactor.addReader(this);
  }

  /** Reads no more for now. */
  pause(): void {
    if (this.#direction !== "w") this.#reactor.removeReader(this);
  }

  /** Reads again. */
  resume(): void {
    if (this.#fd !== -1 && !this.#losing) this.#watch();
  }

  /** Writes when there is room. */
  write(data: Uint8Array): void {
    if (data.length === 0 || !this.#takesMore()) return;
    this.#queue.push(data);
    if (!this.#writing) {
      this.#writing = true;
      this.#reactor.addWriter(this);
    }
    this.#failIf(this.#producer?.written(this.#queue.length));
  }

  /** See {@linkcode ProcessTransport.registerProducer}. */
  registerProducer(producer: Producer, streaming: boolean): void {
    const registered = new RegisteredProducer(
      this.#reactor,
      producer,
      streaming,
    );
    if (this.#producer !== undefined) {
      throw new RangeError(
        "Cannot register a producer: the process has one already",
      );
    }
    if (this.#fd === -1) return registered.stop();
    this.#producer = registered;
    this.#failIf(registered.begin(this.#queue.length));
  }

  /** See {@linkcode ProcessTransport.unregisterProducer}. */
  unregisterProducer(): void {
    this.#producer = undefined;
    if (this.#losing) this.#closeSoon();
  }

  /**
   * Closes it when all is written, a producer's part included, and not inside
   * this call.
   */
  lose(): void {
    if (this.#fd === -1 || this.#losing) return;
    this.#losing = true;
    // What comes from now on has nobody to go to.
    this.pause();
    this.#closeSoon();
  }

  /** Closes it, and tells nobody. */
  discard(): void {
    const fd = this.#fd;
    if (fd === -1) return;
    outlive(this.#reactor, this);
    this.#reactor.removeReader(this);
    this.#stopWriting();
    this.#fd = -1;
    this.#queue.clear();
    closeDescriptor(fd);
  }

  /** Reads once. What the protocol throws goes on to the reactor. */
  doRead(): unknown {
    if (this.#direction === "w") return new ConnectionDone();
    const buffer = readBuffer ??= new Uint8Array(READ_LENGTH);
    let count;
    try {
      count = readInto(this.#fd, buffer);
    } catch (error) {
      return error; // EIO of a terminal, for one: all have closed it.
    }
    if (count === WOULD_BLOCK) return;
    if (count === 0) return new ConnectionDone();
    return this.#events.received(this, buffer.slice(0, count));
  }

  /** Writes what there is room for. */
  doWrite(): unknown {
    for (let head; (head = this.#queue.head()).length > 0;) {
      let count;
      try {
        count = writeFrom(this.#fd, head);
      } catch (error) {
        return error; // EPIPE: nobody reads any more.
      }
      if (count === WOULD_BLOCK) return;
      this.#queue.shift(count);
      if (count < head.length) return;
    }
    this.#stopWriting();
    // What waits for the last bytes waits for the producer's end.
    if (this.#producer !== undefined) return this.#producer.sent();
    return this.#losing ? new ConnectionDone() : undefined;
  }

  /** The end. */
  connectionLost(): void {
    if (this.#fd === -1) return;
    const producer = this.#producer;
    this.#producer = undefined;
    try {
      this.discard();
    } finally {
      producer?.stop();
      this.#events.lost(this);
    }
  }

  /** Whether what is written now will be sent: a producer can still finish. */
  #takesMore(): boolean {
    if (this.#fd === -1 || this.#failed) return false;
    return !this.#losing || this.#producer !== undefined;
  }

  #stopWriting(): void {
    if (!this.#writing) return;
    this.#writing = false;
    this.#reactor.removeWriter(this);
  }

  /** Closes it in a later round, if there is nothing to write and nobody who will. */
  #closeSoon(): void {
    this.#reactor.callFromThread(() => {
      if (this.#producer !== undefined || this.#queue.length > 0) return;
      this.connectionLost();
    });
  }

  /** Closes it in a later round if the producer has thrown. */
  #failIf(thrown: Error | undefined): void {
    if (thrown === undefined || this.#failed) return;
    this.#failed = true;
    this.#queue.clear();
    this.#stopWriting();
    this.#reactor.callFromThread(() => this.connectionLost());
  }
}
