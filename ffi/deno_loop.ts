/**
 * The descriptor in which Deno's loop sleeps, to look at from outside.
 *
 * Deno waits in `epoll_wait()`, on a set that it tells nobody about. What a
 * thread sleeps in stands in `/proc/<pid>/task/<tid>/syscall` (proc(5)), with
 * its arguments, for other threads to read: the worker does so when its `poll()`
 * has returned, and the main thread most likely sleeps. And an epoll set can
 * itself be polled (epoll(7)). So one can wait for a descriptor of one's own, and
 * let Deno have the thread as soon as it has something to do; and one that has
 * much to do itself can see whether Deno has, too.
 *
 * Timers of Deno's are no descriptors: whoever waits here makes them late.
 *
 * @module
 */

import { POLL } from "./constants.ts";
import { libc, linux } from "./libc.ts";
import { isEpollSet, linkOf } from "./open_file.ts";
import type { SleepProbe } from "./poll_loop.ts";

/** epoll_wait, epoll_pwait and epoll_pwait2 (asm/unistd.h). */
const WAITS: readonly number[] = Deno.build.arch === "x86_64"
  ? [232, 281, 441]
  : [22, 441];

/**
 * How often to look. It is nearly always seen the first time; where it is not
 * in a hundred, other threads may not read the file (proc(5), `hidepid` and
 * ptrace(2)'s access modes), or Deno sleeps in something else.
 */
const MOST_LOOKS = 100;

/** What a wait has found. */
export type Found = "ours" | "theirs" | "nothing";

const encoder = new TextEncoder();

/**
 * What the worker needs to see where this thread sleeps.
 *
 * @returns Nothing on another system than Linux.
 */
export function sleepProbe(): SleepProbe | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const thread = linkOf("/proc/thread-self");
  return {
    path: encoder.encode(`/proc/${thread}/syscall\0`),
    calls: WAITS,
    most: MOST_LOOKS,
  };
}

/** One descriptor of ours, beside the one that Deno sleeps in. */
export class DenoLoop {
  /** struct pollfd, twice: ours and Deno's. */
  readonly #table: Int32Array;
  /** Deno's alone. */
  readonly #theirs: Int32Array;
  /** struct timespec, as pairs of words: seconds and nanoseconds. */
  readonly #timespec = new Int32Array(4);

  private constructor(fd: number, theirs: number) {
    this.#table = new Int32Array([fd, POLL.IN, theirs, POLL.IN]);
    this.#theirs = this.#table.subarray(2);
  }

  /**
   * Takes what the worker has seen.
   *
   * @param fd The descriptor of ours.
   * @param theirs The one that it says Deno sleeps in.
   * @returns Nothing if that is no epoll set.
   */
  static of(fd: number, theirs: number): DenoLoop | undefined {
    return isEpollSet(theirs) ? new DenoLoop(fd, theirs) : undefined;
  }

  /**
   * Blocks this thread until the descriptor is ready, or Deno has something to
   * do.
   *
   * @param ms How long at most, in milliseconds; less than 1000.
   */
  wait(ms: number): Found {
    const table = this.#table;
    this.#timespec[2] = ms * 1e6;
    const ready = linux().ppoll(table, 2, this.#timespec, null);
    if (ready <= 0) return "nothing";
    return (table[1]! >>> 16) !== 0 ? "ours" : "theirs";
  }

  /**
   * Whether Deno has something to do, as far as descriptors tell. If they do not
   * tell, it may have.
   */
  get isReady(): boolean {
    return libc().poll(this.#theirs, 1, 0) !== 0;
  }
}
