/**
 * What the kernel does with pipes and pairs of sockets, as far as readiness goes.
 *
 * Nobody asks the kernel here: what is ready follows from what was opened, sent,
 * taken and closed. Where the kernel's own bookkeeping decides, which is only
 * whether there is room, the answer may be "unknown".
 *
 * @module
 */

/** What a registration is for. */
export type Side = "reading" | "writing";

/** Which ways bytes go at an end: both at a socket, one at an end of a pipe. */
export type Direction = "both" | "in" | "out";

/**
 * So much can be sent before anybody takes it, in so many parts. A socket has
 * room as long as a quarter of its buffer is free (unix_writable in
 * net/unix/af_unix.c), and a part costs it a kilobyte of that at most; a pipe has
 * 16 pages (pipe(7)).
 */
const CERTAIN_BYTES = 4096;
const CERTAIN_PARTS = 8;

/** The numbers of the process, and the time as the model counts it. */
export class Kernel {
  /** It goes on with everything that is done, so that "since" means something. */
  tick = 0;
  readonly #ends = new Map<number, End>();

  /** Makes two ends, without numbers. */
  pair(kind: "socket" | "pipe"): [End, End] {
    const here = new End(this, kind === "socket" ? "both" : "in");
    const there = new End(this, kind === "socket" ? "both" : "out");
    here.peer = there;
    there.peer = here;
    return [here, there];
  }

  /** Gives a number to an end. What had it before is closed, as by `dup2`. */
  open(number: number, end: End): void {
    this.close(number);
    this.#ends.set(number, end);
    end.numbers++;
  }

  /** Closes a number. An end without numbers is gone. */
  close(number: number): void {
    const end = this.#ends.get(number);
    if (end === undefined) return;
    this.#ends.delete(number);
    end.numbers--;
  }

  /** What a number stands for. */
  at(number: number): End | undefined {
    return this.#ends.get(number);
  }
}

/** One end of a pipe or of a pair of sockets: an open file description. */
export class End {
  readonly direction: Direction;
  peer!: End;
  /** How many numbers it has. */
  numbers = 0;
  /** Bytes that can be taken here. */
  inbox = 0;
  /** Bytes that were sent and taken here, ever. */
  sent = 0;
  taken = 0;
  /** `shutdown(SHUT_WR)` was called here. */
  writingEnded = false;
  /** The parts that the bytes in the inbox came in, at most. */
  #parts = 0;
  /** A write found no room, and nobody has taken anything since. */
  #full = false;
  #lastReadable = -1;
  #lastWritable = -1;
  readonly #kernel: Kernel;

  constructor(kernel: Kernel, direction: Direction) {
    this.#kernel = kernel;
    this.direction = direction;
  }

  /** The other end is gone, or both have ended writing. */
  get hungUp(): boolean {
    return this.peer.numbers === 0 ||
      this.writingEnded && this.peer.writingEnded;
  }

  /** Nothing more will come. */
  get atEnd(): boolean {
    return this.hungUp || this.peer.writingEnded;
  }

  /** A read would tell something. */
  get readable(): boolean {
    return this.inbox > 0 || this.atEnd;
  }

  /** Whether a write would tell something. */
  get writable(): boolean | "unknown" {
    if (this.hungUp) return true;
    if (this.direction === "in" || this.#full) return false;
    const { inbox } = this.peer;
    return inbox <= CERTAIN_BYTES && this.peer.#parts <= CERTAIN_PARTS ||
      "unknown";
  }

  /** Whether an event is due now. */
  ready(side: Side): boolean | "unknown" {
    return side === "reading" ? this.readable : this.writable;
  }

  /** When an event was possible for the last time: now, if one is. */
  lastReady(side: Side): number {
    if (this.ready(side) !== false) return this.#kernel.tick;
    return side === "reading" ? this.#lastReadable : this.#lastWritable;
  }

  /** Bytes were sent from here. */
  send(bytes: number): void {
    this.#lastWritable = this.#kernel.tick;
    this.sent += bytes;
    this.peer.inbox += bytes;
    this.peer.#parts++;
  }

  /** There was no room. */
  fill(): void {
    this.#lastWritable = this.#kernel.tick;
    this.#full = true;
  }

  /** Bytes were taken here. */
  take(bytes: number): void {
    this.#lastReadable = this.#kernel.tick;
    this.taken += bytes;
    this.inbox -= bytes;
    this.peer.#full = false;
    if (this.inbox === 0) this.#parts = 0;
  }
}
