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
 *   would report the new file. So a registration remembers the file's identity
 *   (device and inode, from `fstat`), which is compared before an event is
 *   believed. Anonymous files of one kind (two eventfds, say) share an inode
 *   and can't be told apart; an epoll set can.
 *
 * @module
 */

import { LINUX_ONLY, POLL, POSIX } from "./constants.ts";
import { check, ERRNO } from "./errno.ts";
import { errno, type Libc, libc, linux } from "./libc.ts";
import {
  INTERNAL,
  type ReadinessSet,
  type Registration,
  wholeMilliseconds,
} from "./readiness_set.ts";

const STRIDE = 3;
const OFFSET = 1;
/** Words of a slot's identity: device, and the inode's two halves. */
const IDENTITY = 3;
/** The table's room at first, in descriptors. */
const ROOM = 64;

/** See the module's documentation. */
export class PollSet implements ReadinessSet {
  readonly backend = "poll";
  readonly pollable = undefined;
  readonly stride: number = STRIDE;
  readonly offset: number = OFFSET;
  readonly borrows = true;
  results: Int32Array = new Int32Array(ROOM * STRIDE);
  table: Int32Array = new Int32Array(new SharedArrayBuffer(ROOM * 8));
  stale = true;

  readonly #libc: Libc = libc();
  /**
   * struct pollfd: the descriptor, then the events asked for in the lower and
   * those found in the upper half of a word.
   */
  #own = new Int32Array(ROOM * 2);
  #serials = new Int32Array(ROOM);
  #identities = new Int32Array(ROOM * IDENTITY);
  #count = 0;
  readonly #slots = new Map<number, number>();
  readonly #status = new Int32Array(64);
  readonly #wakeEnds: readonly [read: number, write: number];
  readonly #wakeBytes = new Uint8Array(8).fill(1);
  #wakePending = false;

  /** Makes an empty set: one or two descriptors, for wake-ups. */
  constructor() {
    this.#wakeEnds = makeWake();
    this.#append(this.#wakeEnds[0], INTERNAL, POLL.IN);
  }

  get count(): number {
    return this.#count;
  }

  add(fd: number, serial: number, mask: number): number {
    if (this.#libc.fstat(fd, this.#status) !== 0) return this.#reason(fd);
    this.#append(fd, serial, mask);
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
    this.stale = true;
    if (slot === last) return;
    // The last one fills the gap.
    this.#own.copyWithin(2 * slot, 2 * last, 2 * last + 2);
    this.#serials[slot] = this.#serials[last]!;
    this.#identities.copyWithin(
      IDENTITY * slot,
      IDENTITY * last,
      IDENTITY * (last + 1),
    );
    const moved = this.#own[2 * slot]!;
    this.#slots.set(moved < 0 ? ~moved : moved, slot);
  }

  holds(fd: number): boolean {
    const status = this.#status;
    if (this.#libc.fstat(fd, status) !== 0) return false;
    const at = this.#slots.get(fd)! * IDENTITY;
    return this.#identities[at] === status[0] &&
      this.#identities[at + 1] === status[2] &&
      this.#identities[at + 2] === status[3];
  }

  drain(timeout: number): number {
    const own = this.#own;
    let ready = this.#libc.poll(own, this.#count, timeout);
    let found = 0;
    for (let slot = 0; ready > 0 && slot < this.#count; slot++) {
      const mask = own[2 * slot + 1]! >>> 16;
      if (mask === 0) continue;
      ready--;
      const fd = own[2 * slot]!;
      if (slot === 0) {
        this.#libc.read(fd, this.#wakeBytes, 8);
        this.#wakePending = false;
      }
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
    this.#wakePending = true;
    this.#wakeBytes.fill(1);
    this.#libc.write(this.#wakeEnds[1], this.#wakeBytes, 8);
    return true;
  }

  rebuild(): Registration[] {
    return []; // A table holds nothing but what is registered.
  }

  close(): void {
    for (const fd of new Set(this.#wakeEnds)) this.#libc.close(fd);
  }

  /**
   * Why a number has no status; looked at until errno says the same twice (see
   * `errno`).
   */
  #reason(fd: number): number {
    for (let before = errno();;) {
      if (this.#libc.fstat(fd, this.#status) === 0) return ERRNO.EBADF!;
      const now = errno();
      if (now === before) return now;
      before = now;
    }
  }

  #append(fd: number, serial: number, mask: number): void {
    const slot = this.#count++;
    if (slot === this.#serials.length) this.#grow();
    this.#own[2 * slot] = fd;
    this.#own[2 * slot + 1] = mask;
    this.#serials[slot] = serial;
    // struct stat begins alike where it matters, on Linux (x86-64, arm64) and
    // macOS: the device in word 0, the inode in words 2 and 3.
    this.#identities[IDENTITY * slot] = this.#status[0]!;
    this.#identities[IDENTITY * slot + 1] = this.#status[2]!;
    this.#identities[IDENTITY * slot + 2] = this.#status[3]!;
    this.#slots.set(fd, slot);
  }

  #grow(): void {
    this.#own = doubled(this.#own);
    this.#serials = doubled(this.#serials);
    this.#identities = doubled(this.#identities);
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
function makeWake(): readonly [read: number, write: number] {
  const action = "Cannot make a wake-up descriptor";
  if (Deno.build.os === "linux") {
    const fd = check(
      linux().eventfd(0, LINUX_ONLY.CLOEXEC | LINUX_ONLY.NONBLOCK),
      action,
    );
    return [fd, fd];
  }
  const ends = new Int32Array(2);
  check(libc().pipe(ends), action);
  for (const fd of ends) {
    libc().fcntl(fd, POSIX.F_SETFD, POSIX.FD_CLOEXEC);
    libc().fcntl(fd, POSIX.F_SETFL, POSIX.O_NONBLOCK);
  }
  return [ends[0]!, ends[1]!];
}
