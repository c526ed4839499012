/**
 * The portable readiness set: a table for `poll()`.
 *
 * The main thread keeps the table that it changes; the worker polls a copy,
 * taken whenever it is about to wait. So a change needs a wake-up while the
 * worker is parked, and two facts of `poll()` need care:
 *
 * - the kernel holds a reference to every open file of a `poll()` under way, so
 *   a descriptor that is closed meanwhile stays open for its peer until the
 *   call has returned (`borrows`);
 * - `poll()` knows numbers only. When one is closed and used again, its slot
 *   would report the new file. So a registration remembers which file it was
 *   for, and that is compared before an event is believed.
 *
 * @module
 */

import { LINUX_ONLY, POLL, POSIX } from "./constants.ts";
import { check, ERRNO, interrupted, systemError } from "./errno.ts";
import { FileIdentities, type FileIdentity } from "./file_identity.ts";
import { errno, type Libc, libc, linux, type LinuxLibc } from "./libc.ts";
import { wakeUp } from "./wake_up.ts";
import {
  INTERNAL,
  type ReadinessSet,
  type Registration,
  wholeMilliseconds,
} from "./readiness_set.ts";

const STRIDE = 3;
const OFFSET = 1;
/** The table's room at first, in descriptors. */
const ROOM = 64;

/** The system calls that a set makes. */
export type PollCalls =
  & Pick<Libc, "close" | "fcntl" | "pipe" | "poll" | "read" | "write">
  & Partial<Pick<LinuxLibc, "eventfd">>;

/** What a set rests on: the seam where faults of the system are tried. */
export interface PollSetOptions {
  /** With `eventfd` on Linux. @default {libc() and linux()} */
  libc?: PollCalls;
}

/** See the module's documentation. */
export class PollSet implements ReadinessSet {
  readonly backend = "poll";
  readonly pollable = undefined;
  readonly immediate = false;
  readonly stride: number = STRIDE;
  readonly offset: number = OFFSET;
  readonly borrows = true;
  results: Int32Array = new Int32Array(ROOM * STRIDE);
  table: Int32Array = new Int32Array(new SharedArrayBuffer(ROOM * 8));
  stale = true;

  readonly #libc: PollCalls;
  /**
   * struct pollfd: the descriptor, then the events asked for in the lower and
   * those found in the upper half of a word.
   */
  #own = new Int32Array(ROOM * 2);
  #serials = new Int32Array(ROOM);
  readonly #files: (FileIdentity | undefined)[] = [];
  #count = 0;
  readonly #slots = new Map<number, number>();
  readonly #identities = new FileIdentities();
  readonly #wakeEnds: readonly [read: number, write: number];
  readonly #wakeBytes = new Uint8Array(8).fill(1);
  #wakePending = false;

  /** Makes an empty set: one or two descriptors, for wake-ups. */
  constructor(options: PollSetOptions = {}) {
    this.#libc = options.libc ?? libc();
    this.#wakeEnds = makeWake(options.libc);
    this.#append(this.#wakeEnds[0], INTERNAL, POLL.IN, undefined);
  }

  get count(): number {
    return this.#count;
  }

  add(fd: number, serial: number, mask: number): number {
    const file = this.#identities.identify(fd);
    if (typeof file === "number") return file;
    this.#append(fd, serial, mask, file);
    this.stale = true;
    return 0;
  }

  change(fd: number, _serial: number, mask: number): number {
    if (!this.holds(fd)) return ERRNO.EBADF!;
    const slot = this.#slots.get(fd)!;
    // poll() passes over negative numbers. With nothing to ask for it would
    // report a hang-up all the same, without end.
    this.#own[2 * slot] = mask === 0 ? ~fd : fd;
    this.#own[2 * slot + 1] = mask;
    this.stale = true;
    return 0;
  }

  remove(fd: number): void {
    const slot = this.#slots.get(fd)!;
    const last = --this.#count;
    this.#slots.delete(fd);
    this.#identities.forget(fd, this.#files[slot]!);
    this.stale = true;
    if (slot !== last) {
      // The last one fills the gap.
      this.#own.copyWithin(2 * slot, 2 * last, 2 * last + 2);
      this.#serials[slot] = this.#serials[last]!;
      this.#files[slot] = this.#files[last];
      const moved = this.#own[2 * slot]!;
      this.#slots.set(moved < 0 ? ~moved : moved, slot);
    }
    this.#files.length = last;
  }

  holds(fd: number): boolean {
    const file = this.#files[this.#slots.get(fd)!]!;
    return this.#identities.matches(fd, file);
  }

  drain(timeout: number): number {
    const own = this.#own;
    let ready = this.#libc.poll(own, this.#count, timeout);
    if (ready < 0) ready = interrupted();
    let found = 0;
    for (let slot = 0; ready > 0 && slot < this.#count; slot++) {
      const mask = own[2 * slot + 1]! >>> 16;
      if (mask === 0) continue;
      ready--;
      const fd = own[2 * slot]!;
      if (slot === 0) this.#takeWake(fd);
      const at = STRIDE * found++;
      this.results[at] = mask;
      this.results[at + 1] = fd;
      this.results[at + 2] = this.#serials[slot]!;
    }
    return found;
  }

  prepare(ms: number): number {
    if (this.stale) {
      this.stale = false;
      if (this.table.length < 2 * this.#count) {
        this.table = new Int32Array(
          new SharedArrayBuffer(this.#own.byteLength),
        );
      }
      this.table.set(this.#own.subarray(0, 2 * this.#count));
    }
    return wholeMilliseconds(ms);
  }

  sooner(): boolean {
    return false;
  }

  wake(): boolean {
    if (this.#wakePending) return false;
    this.#wakeBytes.fill(1);
    wakeUp(this.#libc, this.#wakeEnds[1], this.#wakeBytes);
    this.#wakePending = true;
    return true;
  }

  rebuild(): Registration[] {
    return []; // A table holds nothing but what is registered.
  }

  close(): void {
    for (const fd of new Set(this.#wakeEnds)) this.#libc.close(fd);
    this.#identities.close();
  }

  /**
   * Takes a wake-up back.
   *
   * @throws {SystemError} When that can't be done: it would wake without end.
   */
  #takeWake(fd: number): void {
    this.#wakePending = false;
    for (let before = 0;;) {
      if (this.#libc.read(fd, this.#wakeBytes, 8) >= 0) return;
      const reason = errno();
      // Not now is as good. Interrupted, it is there the next time.
      if (reason === ERRNO.EAGAIN || reason === ERRNO.EINTR) return;
      if (reason === before) {
        throw systemError("Cannot take back a wake-up", reason);
      }
      before = reason;
    }
  }

  #append(
    fd: number,
    serial: number,
    mask: number,
    file: FileIdentity | undefined,
  ): void {
    const slot = this.#count++;
    if (slot === this.#serials.length) this.#grow();
    this.#own[2 * slot] = fd;
    this.#own[2 * slot + 1] = mask;
    this.#serials[slot] = serial;
    this.#files[slot] = file;
    this.#slots.set(fd, slot);
  }

  #grow(): void {
    this.#own = doubled(this.#own);
    this.#serials = doubled(this.#serials);
    this.results = doubled(this.results);
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const result = new Int32Array(2 * array.length);
  result.set(array);
  return result;
}

/**
 * A descriptor to write to and one that is readable then: an eventfd is both,
 * elsewhere it takes a pipe.
 */
function makeWake(
  calls: PollCalls | undefined,
): readonly [read: number, write: number] {
  const action = "Cannot make a wake-up descriptor";
  if (Deno.build.os === "linux") {
    const { CLOEXEC, NONBLOCK } = LINUX_ONLY;
    const { eventfd } = calls ?? linux();
    const fd = check(eventfd!(0, CLOEXEC | NONBLOCK), action);
    return [fd, fd];
  }
  const { fcntl, pipe } = calls ?? libc();
  const ends = new Int32Array(2);
  check(pipe(ends), action);
  for (const fd of ends) {
    fcntl(fd, POSIX.F_SETFD, POSIX.FD_CLOEXEC);
    fcntl(fd, POSIX.F_SETFL, POSIX.O_NONBLOCK);
  }
  return [ends[0]!, ends[1]!];
}
