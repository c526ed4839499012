/**
 * What a reactor asks of the kernel: a set of descriptors, of which some are
 * ready.
 *
 * Two implementations serve the same verbs: `epoll_set.ts` and `poll_set.ts`.
 * Only the wait itself leaves the main thread: the worker calls `poll()` on
 * {@linkcode ReadinessSet.table} and tells that it returned. What is ready the
 * main thread finds out by itself, with {@linkcode ReadinessSet.drain}: no
 * result crosses from thread to thread, so none can be out of date when it
 * arrives.
 *
 * @module
 */

/**
 * The serial number of a set's own descriptors (wake-up, timer) in its results.
 * Those of others start at 1.
 */
export const INTERNAL = 0;

/** A registration that a set is to carry over when it is rebuilt. */
export interface Registration {
  /** The descriptor. */
  readonly fd: number;
  /** Tells this registration from earlier ones of the same number. */
  readonly serial: number;
  /** The bits of `POLL` that are asked for. */
  readonly mask: number;
}

/** The kernel's side of a reactor. All of it is called on the main thread. */
export interface ReadinessSet {
  /** Which implementation this is. */
  readonly backend: "epoll" | "poll";
  /**
   * One descriptor that is readable whenever anything in the set is ready,
   * where there is one.
   */
  readonly pollable: number | undefined;

  /** Something in the set is ready, and the kernel would not say so. */
  readonly immediate: boolean;

  /**
   * What {@linkcode drain} found: at entry `i` stand, at `i * stride`, the
   * ready bits, and at `i * stride + offset` the descriptor followed by its
   * serial number.
   */
  readonly results: Int32Array;
  /** The length of an entry in `results`, in words. */
  readonly stride: number;
  /** Where the descriptor stands in an entry, in words. */
  readonly offset: number;

  /**
   * The `struct pollfd` array, in shared memory, that the worker polls.
   * Replaced by a longer one when it must grow.
   */
  readonly table: Int32Array;
  /** The number of entries in `table`. */
  readonly count: number;
  /**
   * The parked worker holds references to the descriptors themselves: a closed
   * one lives on until its `poll()` has returned.
   */
  readonly borrows: boolean;
  /**
   * Something changed that the parked worker cannot see: it has to be woken.
   * Cleared by {@linkcode prepare}.
   */
  readonly stale: boolean;

  /**
   * Adds a descriptor.
   *
   * @param serial At least 1; comes back with each event.
   * @param mask Bits of `POLL`, at least one.
   * @returns 0, or the errno that says why the kernel refused.
   */
  add(fd: number, serial: number, mask: number): number;

  /**
   * Changes what is asked of a descriptor that was added. With a `mask` of 0
   * nothing is, but the set still knows which file it was.
   *
   * @returns 0, or the errno that says why the kernel refused: the number is
   * not the file any more that was added.
   */
  change(fd: number, serial: number, mask: number): number;

  /** Removes a descriptor that was added, whatever has become of its number. */
  remove(fd: number, serial: number): void;

  /**
   * Whether the registered number still is the open file that was registered.
   */
  holds(fd: number, serial: number, mask: number): boolean;

  /**
   * Fills `results` with what is ready now.
   *
   * @param timeout How long to wait if nothing is, in whole milliseconds; -1
   * for ever.
   * @returns The number of entries; an interrupted wait finds nothing.
   */
  drain(timeout: number): number;

  /**
   * Gets ready for a wait.
   *
   * @param ms The time until the nearest timer: 0 now, -1 none.
   * @param deadline The same as a point on the reactor's clock, to tell whether
   * it has changed.
   * @returns The timeout for the worker's `poll()`, in whole milliseconds.
   */
  prepare(ms: number, deadline: number): number;

  /**
   * Brings a wait that is under way to an earlier end.
   *
   * @returns Whether that is done. If not, the worker has to be woken.
   */
  sooner(ms: number, deadline: number): boolean;

  /**
   * Makes the wait return, or the next one if nobody waits.
   *
   * @returns False when a wake-up is pending already: there is one at a time.
   */
  wake(): boolean;

  /**
   * Drops registrations that belong to nobody, by starting over with those that
   * do.
   *
   * @returns The registrations that could not be carried over: their numbers
   * are open no longer.
   */
  rebuild(live: Iterable<Registration>): Registration[];

  /** Closes the set's own descriptors. The worker must have let go of them. */
  close(): void;
}

/** The longest timeout that `poll()` takes, a C int of milliseconds. */
export const LONGEST_WAIT = 2147483647;

/**
 * A timeout for `poll()`: rounded up, so that no timer is early, and within the
 * range of a C int.
 */
export function wholeMilliseconds(ms: number): number {
  // Deno takes no -0 for an int.
  return ms < 0 ? -1 : Math.min(Math.ceil(ms), LONGEST_WAIT) + 0;
}

/** The shorter of two timeouts for `poll()`, of which -1 is the longest. */
export function sooner(a: number, b: number): number {
  return a < 0 ? b : b < 0 ? a : Math.min(a, b);
}
