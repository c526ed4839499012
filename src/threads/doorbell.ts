/**
 * The reactor's side of the bell: a pipe in its set, and the lines of those who
 * may ring. The other side, and why no byte goes astray, is in `ffi/bell.ts`.
 *
 * @module
 */

import { type BellData, CLOSED, LINE } from "../../ffi/bell.ts";
import { POLL } from "../../ffi/constants.ts";
import { closeDescriptor, makePipe, readInto } from "../../ffi/descriptor.ts";
import { libcPath } from "../../ffi/libc.ts";
import type { Observer } from "../descriptors.ts";
import { MainLine } from "./main_line.ts";

/** What a doorbell needs of its reactor. */
export interface DoorbellOptions {
  /** Has the reactor wait for a descriptor. */
  observe: (fd: number, action: string, observer: Observer) => void;
  /** Has it wait no longer. */
  unobserve: (fd: number, observer: Observer) => void;
  /** Runs `f` in a later round. */
  defer: (f: () => void) => void;
  /** Gets what goes wrong. Does not throw. */
  report: (error: unknown, where: string) => void;
}

/** The pipe of a reactor, and the lines. It keeps no process alive. */
export class Doorbell implements Observer {
  readonly kind = "watch";
  /** For `inspect()`. */
  readonly label = "calls from threads";
  readonly stack = undefined;
  readonly refd = false;
  mask: number = POLL.IN;
  round = 0;
  readonly #options: DoorbellOptions;
  readonly #output: number;
  readonly #input: number;
  readonly #bytes = new Uint8Array(64);
  readonly #lines = new Set<MainLine>();
  /** The words of lines that were closed while their thread was writing. */
  readonly #writing = new Set<Int32Array>();
  #isObserved = false;

  /**
   * Opens a pipe.
   *
   * @throws {SystemError} When there are too few descriptors left (EMFILE).
   */
  constructor(options: DoorbellOptions) {
    this.#options = options;
    [this.#output, this.#input] = makePipe();
  }

  /** The descriptor that the reactor waits for. */
  fileno(): number {
    return this.#output;
  }

  /** Listens, in this run of the reactor. */
  listen(): void {
    if (this.#isObserved) return;
    this.mask = POLL.IN;
    this.#options.observe(this.#output, "listen to threads", this);
    this.#isObserved = true;
  }

  /** Adds a line. Its thread is given what {@linkcode bellOf} returns. */
  add(received: (message: unknown) => void): MainLine {
    const line = new MainLine(received);
    this.#lines.add(line);
    return line;
  }

  /** What the thread of a line rings with. */
  bellOf(line: MainLine): BellData {
    return line.bell(this.#input, libcPath());
  }

  /** Closes a line, and says why. */
  remove(line: MainLine, why: number): void {
    if (!this.#lines.delete(line)) return;
    line.close(why);
    const { words } = line;
    // First closed, then looked at: see `ffi/bell.ts`.
    if (Atomics.load(words, LINE.INSIDE) !== 0) this.#writing.add(words);
  }

  /** Somebody has rung. */
  ready(): void {
    // The pipe first: whoever rings after that is heard in the next round.
    readInto(this.#output, this.#bytes);
    for (const line of [...this.#lines]) {
      if (line.takeRing()) this.#take(line);
    }
  }

  /** The reactor listens no more: its run has ended, or somebody closed the pipe. */
  lost(reason: Error): void {
    this.#isObserved = false;
    if (!(reason instanceof Deno.errors.BadResource)) return;
    this.#options.report(reason, "the bell of threads");
  }

  /** Closes all lines, and the pipe as soon as nobody can be writing to it. */
  close(): void {
    for (const line of [...this.#lines]) {
      this.remove(line, CLOSED.REACTOR_ENDED);
    }
    if (this.#isObserved) this.#options.unobserve(this.#output, this);
    void this.#closePipe();
  }

  #take(line: MainLine): void {
    if (line.receive()) this.#options.defer(() => this.#take(line));
  }

  /** At once, as nearly always: this function is asynchronous only if it waits. */
  async #closePipe(): Promise<void> {
    for (const words of this.#writing) {
      while (Atomics.load(words, LINE.INSIDE) !== 0) {
        const { value } = Atomics.waitAsync(words, LINE.INSIDE, 1);
        await value;
      }
    }
    closeDescriptor(this.#input);
    closeDescriptor(this.#output);
  }
}
