/**
 * What is measured.
 *
 * @module
 */

/** What there is. */
export interface Sample {
  /** Physical memory outside V8's heap, without that of files, in bytes. */
  readonly memory: number;
  /** What the C library has given out, in bytes. */
  readonly malloc: number;
  /** What lives in V8's heap, in bytes. */
  readonly heap: number;
  /** Workers that were started, and may have ended. */
  readonly workers: number;
  readonly descriptors: number;
  readonly threads: number;
  /** Functions for C that are not closed. */
  readonly callbacks: number;
  /** Deno's timers that are not cleared. */
  readonly timers: number;
  /** What the reactors that live on have registered. */
  readonly registrations: number;
  /** Objects that nobody should hold any more, and somebody does. */
  readonly objects: number;
}

/** What can be counted, and has to be the same again. */
export const COUNTED: readonly (keyof Sample)[] = [
  "descriptors",
  "threads",
  "callbacks",
  "timers",
  "registrations",
  "objects",
];
