/**
 * The readiness set of Linux: everything lives in one epoll set.
 *
 * The descriptors, an eventfd for wake-ups and a timerfd for the nearest timer
 * are members of one set, and the worker calls `poll()` on the set's own
 * descriptor. Why that is worth it:
 *
 * - a thread may change an epoll set while another one sleeps on it (epoll(7)),
 *   so neither a change of interest nor an earlier timer needs a wake-up;
 * - the sleeping worker holds a reference to the set only, so closing a member
 *   takes effect at once;
 * - the cost of a wake-up grows with what is ready, not with what is
 *   registered;
 * - every event carries 64 bits of ours: the number and a serial, so an event
 *   of an earlier registration is told from one of the present.
 *
 * @module
 */

import { LINUX_ONLY, POLL, POSIX } from "./constants.ts";
import { check, ERRNO, interrupted, systemError } from "./errno.ts";
import { FileIdentities, type FileIdentity } from "./file_identity.ts";
import { errno, type Libc, libc, linux, type LinuxLibc } from "./libc.ts";
import {
  INTERNAL,
  LONGEST_WAIT,
  type ReadinessSet,
  type Registration,
  wholeMilliseconds,
} from "./readiness_set.ts";
import { wakeUp } from "./wake_up.ts";

const { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET } = LINUX_ONLY;

/**
 * How many events one `epoll_wait` fetches. The kernel serves the rest first
 * the next time, so nobody starves.
 */
const BATCH = 1024;

// struct epoll_event is packed on x86-64 (linux/eventpoll.h): a word of events
// and 64 bits of data. Elsewhere, padding stands between them.
const STRIDE = Deno.build.arch === "x86_64" ? 3 : 4;
const OFFSET = STRIDE - 2;

/** What a file can be ready for that is ready at all times. */
const READY_FOR = POLL.IN | POLL.OUT;

const ONE = new BigUint64Array([1n]);

/** A member that the kernel's set does not take. */
interface AlwaysReady {
  readonly serial: number;
  readonly file: FileIdentity;
  /** What is asked for, as far as such a file can be ready for it. */
  mask: number;
}

/** The system calls that a set makes. */
export type EpollCalls =
  & Pick<Libc, "close" | "write">
  & Pick<
    LinuxLibc,
    | "dup3"
    | "epoll_create1"
    | "epoll_ctl"
    | "epoll_wait"
    | "eventfd"
    | "timerfd_create"
    | "timerfd_settime"
  >;

/** What a set rests on: the seam where faults of the system are tried. */
export interface EpollSetOptions {
  /** @default {libc() and linux()} */
  libc?: EpollCalls;
}

/** See the module's documentation. */
export class EpollSet implements ReadinessSet {
  readonly backend = "epoll";
  readonly stride: number = STRIDE;
  readonly offset: number = OFFSET;
  readonly count = 1;
  readonly borrows = false;
  readonly table: Int32Array;
  results: Int32Array = new Int32Array(BATCH * STRIDE);
  stale = false;

  readonly #libc: Omit<EpollCalls, "close" | "write">;
  readonly #posix: Pick<EpollCalls, "close" | "write">;
  /** -1 when it is lost: see {@linkcode rebuild}. */
  #set: number;
  /** Why it is lost. */
  #loss: unknown;
  /**
   * A set around the set, made when somebody asks for one descriptor to wait
   * for: it stays the same file when the inner one is rebuilt.
   */
  #outer = -1;
  readonly #wake: number;
  readonly #timer: number;
  readonly #event = new Int32Array(STRIDE);
  /**
   * struct itimerspec as pairs of words: two intervals, then seconds and
   * nanoseconds of the delay.
   */
  readonly #delay = new Int32Array(8);
  /**
   * The deadline that the timer is set to, on the reactor's clock; Infinity for
   * none.
   */
  #programmed = Infinity;
  #wakePending = false;
  /**
   * What epoll refuses with EPERM, because it cannot wait for it: regular
   * files, directories, /dev/null. `poll()` calls these ready at all times, and
   * so does this set.
   */
  readonly #alwaysReady = new Map<number, AlwaysReady>();
  readonly #identities = new FileIdentities();

  /** Makes an empty set: three descriptors. */
  constructor(options: EpollSetOptions = {}) {
    this.#libc = options.libc ?? linux();
    this.#posix = options.libc ?? libc();
    const { epoll_create1, eventfd, timerfd_create } = this.#libc;
    const { CLOEXEC, NONBLOCK } = LINUX_ONLY;
    const action = "Cannot make an epoll set";
    this.#set = check(epoll_create1(CLOEXEC), action);
    this.#wake = this.#timer = -1;
    try {
      this.#wake = check(eventfd(0, CLOEXEC | NONBLOCK), action);
      this.#timer = check(
        timerfd_create(POSIX.CLOCK_MONOTONIC, CLOEXEC | NONBLOCK),
        action,
      );
      check(this.#addInternals(), action);
    } catch (error) {
      this.close();
      throw error;
    }
    this.table = new Int32Array(new SharedArrayBuffer(8));
    this.table[0] = this.#set;
    this.table[1] = POLL.IN;
  }

  get pollable(): number {
    if (this.#outer >= 0) return this.#outer;
    const action = "Cannot make an epoll set";
    this.#outer = check(this.#libc.epoll_create1(LINUX_ONLY.CLOEXEC), action);
    try {
      check(this.#nest(), action);
    } catch (error) {
      // One with nothing inside would never be readable.
      this.#posix.close(this.#outer);
      this.#outer = -1;
      throw error;
    }
    return this.#outer;
  }

  get immediate(): boolean {
    // As nearly always. A look at a set that is lost tells so.
    if (this.#alwaysReady.size === 0) return this.#set < 0;
    return [...this.#alwaysReady.values()].some(({ mask }) => mask !== 0);
  }

  add(fd: number, serial: number, mask: number): number {
    // As a member twice, its own would lose what it is there for (EEXIST below).
    if (fd === this.#wake || fd === this.#timer) return ERRNO.EINVAL!;
    if (this.#control(EPOLL_CTL_ADD, fd, serial, mask) === 0) return 0;
    const reason = this.#reason(EPOLL_CTL_ADD, fd, serial, mask);
    switch (reason) {
      case ERRNO.EPERM:
        return this.#serveAlways(fd, serial, mask);
      case ERRNO.EEXIST:
        // An orphan: the same file under the same number, registered before
        // that was closed and came back.
        return this.change(fd, serial, mask);
      default:
        return reason;
    }
  }

  change(fd: number, serial: number, mask: number): number {
    const file = this.#alwaysReady.get(fd);
    if (file !== undefined) {
      if (!this.#identities.matches(fd, file.file)) return ERRNO.EBADF!;
      file.mask = mask & READY_FOR;
      this.stale = true;
      return 0;
    }
    if (this.#control(EPOLL_CTL_MOD, fd, serial, mask) === 0) return 0;
    return this.#reason(EPOLL_CTL_MOD, fd, serial, mask);
  }

  remove(fd: number, serial: number): void {
    // A failure means that the number is closed, perhaps in use for another
    // file: the kernel has removed it already.
    if (!this.#alwaysReady.delete(fd)) {
      this.#control(EPOLL_CTL_DEL, fd, serial, 0);
    }
  }

  holds(fd: number, serial: number, mask: number): boolean {
    const file = this.#alwaysReady.get(fd);
    if (file !== undefined) return this.#identities.matches(fd, file.file);
    // The set's members are keyed by open file and number together
    // (fs/eventpoll.c), so this finds exactly the one that was added.
    return this.#control(EPOLL_CTL_MOD, fd, serial, mask) === 0;
  }

  drain(timeout: number): number {
    const wait = this.immediate ? 0 : timeout;
    const { epoll_wait } = this.#libc;
    const found = epoll_wait(this.#set, this.results, BATCH, wait);
    const count = found < 0 ? this.#nothing() : found;
    for (let i = 0; i < count; i++) {
      const at = i * STRIDE + OFFSET;
      if (this.results[at + 1] === INTERNAL) this.#settle(this.results[at]!);
    }
    return this.immediate ? this.#appendAlwaysReady(count) : count;
  }

  prepare(ms: number, deadline: number): number {
    this.stale = false;
    if (ms === 0 || this.immediate) return 0;
    const due = ms < 0 ? Infinity : deadline;
    if (due === this.#programmed || this.#program(ms, due)) return -1;
    // Whoever waits has a timeout as well.
    return wholeMilliseconds(ms);
  }

  sooner(ms: number, deadline: number): boolean {
    // A timer that was cancelled leaves the earlier setting behind: one idle
    // wake-up is cheaper than a system call for every cancellation.
    return deadline >= this.#programmed || this.#program(ms, deadline);
  }

  wake(): boolean {
    if (this.#wakePending) return false;
    // Nobody reads the eventfd. Registered as edge-triggered, each write is an
    // event of its own, and its counter lasts for 2^64 writes.
    wakeUp(this.#posix, this.#wake, ONE);
    this.#wakePending = true;
    return true;
  }

  /**
   * See the interface. When it fails the set is lost, with all that was in it:
   * from then on nobody sleeps, and every look at it throws the same.
   */
  rebuild(live: Iterable<Registration>): Registration[] {
    try {
      this.#replace();
    } catch (error) {
      this.#lose(error);
      throw error;
    }
    const lost: Registration[] = [];
    for (const registration of live) {
      const { fd, serial, mask } = registration;
      if (this.#alwaysReady.has(fd)) continue;
      if (this.add(fd, serial, mask) !== 0) lost.push(registration);
    }
    this.#wakePending = false;
    return lost;
  }

  close(): void {
    for (const fd of [this.#outer, this.#timer, this.#wake, this.#set]) {
      if (fd >= 0) this.#posix.close(fd);
    }
    this.#identities.close();
  }

  /** Puts an empty set in the place of the present one. */
  #replace(): void {
    const action = "Cannot rebuild the epoll set";
    const { epoll_create1 } = this.#libc;
    const { CLOEXEC } = LINUX_ONLY;
    const number = this.#set;
    let fresh = epoll_create1(CLOEXEC);
    if (fresh < 0) {
      // There may be no descriptor left but the old set's own.
      this.#posix.close(number);
      this.#set = -1;
      fresh = this.#set = check(epoll_create1(CLOEXEC), action);
      if (fresh !== number) {
        // To take it back would close what another thread has opened.
        throw new Error(`${action}: its number ${number} is in use`);
      }
    }
    // The new set takes the old one's number, which the worker polls.
    if (fresh !== number) this.#renumber(fresh, number, action);
    check(this.#addInternals(), action);
    if (this.#outer >= 0) check(this.#nest(), action);
  }

  /**
   * Gives a new set the number of the old one. dup3() may be interrupted, or
   * say EBUSY when it meets another thread's open() (dup(2)).
   */
  #renumber(fresh: number, number: number, action: string): void {
    try {
      for (let before = 0;;) {
        if (this.#libc.dup3(fresh, number, LINUX_ONLY.CLOEXEC) >= 0) return;
        const reason = errno();
        if (reason === before) throw systemError(action, reason);
        before = reason;
      }
    } finally {
      this.#posix.close(fresh);
    }
  }

  /** There is no set any more. */
  #lose(reason: unknown): void {
    this.#loss = reason;
    if (this.#set >= 0) this.#posix.close(this.#set);
    this.#set = this.table[0] = -1;
  }

  /**
   * What a look that failed has found.
   *
   * @throws {SystemError} When it was not interrupted.
   */
  #nothing(): 0 {
    if (this.#loss !== undefined) throw this.#loss;
    return interrupted();
  }

  #control(
    operation: number,
    fd: number,
    serial: number,
    mask: number,
  ): number {
    const event = this.#event;
    // A hang-up is reported whatever is asked for. Where nothing is, the edge
    // trigger makes that once instead of without end.
    event[0] = mask === 0 ? EPOLLET : mask;
    event[OFFSET] = fd;
    event[OFFSET + 1] = serial;
    return this.#libc.epoll_ctl(this.#set, operation, fd, event);
  }

  /**
   * Why a call failed. It is repeated until errno says the same twice, because
   * errno alone is not always to be trusted (see `errno`).
   */
  #reason(operation: number, fd: number, serial: number, mask: number): number {
    for (let before = errno();;) {
      if (this.#control(operation, fd, serial, mask) === 0) return 0;
      const now = errno();
      if (now === before) return now;
      before = now;
    }
  }

  /**
   * Adds the wake-up and the timer, edge-triggered: that an event was fetched
   * is enough, neither has to be read.
   */
  #addInternals(): number {
    const event = this.#event;
    let result = 0;
    for (const fd of [this.#wake, this.#timer]) {
      event[0] = POLL.IN | EPOLLET;
      event[OFFSET] = fd;
      event[OFFSET + 1] = INTERNAL;
      result ||= this.#libc.epoll_ctl(this.#set, EPOLL_CTL_ADD, fd, event);
    }
    return result;
  }

  #nest(): number {
    const event = this.#event;
    event[0] = POLL.IN;
    return this.#libc.epoll_ctl(this.#outer, EPOLL_CTL_ADD, this.#set, event);
  }

  #settle(fd: number): void {
    if (fd === this.#wake) this.#wakePending = false;
    else this.#programmed = Infinity;
  }

  #serveAlways(fd: number, serial: number, mask: number): number {
    const file = this.#identities.identify(fd);
    if (typeof file === "number") return file;
    this.#alwaysReady.set(fd, { serial, file, mask: mask & READY_FOR });
    this.stale = true;
    const room = (BATCH + this.#alwaysReady.size) * STRIDE;
    if (room > this.results.length) this.results = new Int32Array(2 * room);
    return 0;
  }

  #appendAlwaysReady(count: number): number {
    let at = count * STRIDE;
    for (const [fd, { serial, mask }] of this.#alwaysReady) {
      if (mask === 0) continue;
      this.results[at] = mask;
      this.results[at + OFFSET] = fd;
      this.results[at + OFFSET + 1] = serial;
      at += STRIDE;
    }
    return at / STRIDE;
  }

  /** Sets the timer. Returns whether that could be done. */
  #program(ms: number, deadline: number): boolean {
    const delay = this.#delay;
    if (ms < 0) {
      delay[4] = delay[6] = 0; // Zero disarms it.
    } else {
      const whole = Math.min(ms, LONGEST_WAIT);
      const seconds = Math.floor(whole / 1000);
      delay[4] = seconds;
      // Rounded up and never zero: a timer is not early, and an overdue one
      // expires at once.
      delay[6] = Math.min(
        999_999_999,
        Math.ceil((whole - seconds * 1000) * 1e6) + 1,
      );
    }
    const result = this.#libc.timerfd_settime(this.#timer, 0, delay, null);
    // What it was set to before, it still is.
    if (result === 0) this.#programmed = deadline;
    return result === 0;
  }
}
