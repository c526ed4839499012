/**
 * Loops that lend their descriptors, the other way round: Deno is the host, and
 * steps them.
 *
 * @module
 */

import type { LentDescriptor } from "../ffi/lent_descriptors.ts";
import type { NativeCall } from "../ffi/native_call.ts";

/**
 * An event loop that somebody else can wait for: `poll()` happens in the
 * reactor's worker, everything else on the main thread. Give one to
 * {@linkcode Reactor.prototype.attach Reactor.attach}.
 *
 * The reactor calls `prepare`, waits until one of the descriptors is ready or
 * the time is over, calls `dispatch`, and begins again. Whenever callbacks of
 * its own ran, it calls `prepare` once more before it waits. What they throw is
 * reported through `onError`, and the loop goes on.
 *
 * @example A loop of one descriptor
 * ```ts
 * import { FileDescriptor, type ForeignLoop, Reactor } from "@interleave/reactor";
 * import { POLL } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [reader, writer] = FileDescriptor.pipe();
 * const { promise, resolve } = Promise.withResolvers<number>();
 * const descriptors = [{ fd: reader.fileno(), events: POLL.IN }];
 * const loop: ForeignLoop = {
 *   prepare: () => ({ descriptors, timeout: -1 }),
 *   dispatch(revents) {
 *     if (revents[0]! & POLL.IN) resolve(reader.read(new Uint8Array(8))!);
 *   },
 * };
 *
 * await using reactor = new Reactor();
 * using _attachment = reactor.attach(loop);
 * writer.write(new Uint8Array(3));
 * assertEquals(await promise, 3);
 * reader.close();
 * writer.close();
 * ```
 */
export interface ForeignLoop {
  /** Drains the loop's own queues, and then says what to wait for. */
  prepare(): Prepared;
  /**
   * Makes one step, without blocking.
   *
   * @param revents What is ready, as bits of `POLL`, in the order of the
   * descriptors; all 0 when only the time is over. The array is used again.
   */
  dispatch(revents: Int16Array): void;
  /**
   * Calls around the wait, made on the thread that waits. GLib needs them: it
   * wakes whoever polls for it only if that is the context's owner.
   *
   * Their arguments are constant. `acquire` returns false or 0 if it could not
   * be done; `release` then is not called.
   */
  readonly hold?: {
    /** Before the wait. */
    readonly acquire: NativeCall;
    /** After it. */
    readonly release: NativeCall;
  };
  /**
   * Called on the main thread at the beginning of every wait for which the loop
   * is held. From the end of `prepare` up to here nobody held it, and what
   * happened meanwhile may be known to nobody: look, and wake the wait if so.
   */
  held?(): void;
}

/**
 * What a {@linkcode ForeignLoop} wants to wait for.
 *
 * @example What a library's socket and its timer ask for
 * ```ts
 * import type { Prepared } from "@interleave/reactor";
 * import { POLL } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * // What a library such as libpq or libcurl tells of itself.
 * interface Library {
 *   readonly socket: number;
 *   readonly wantsToWrite: boolean;
 *   // When it is to be called at the latest.
 *   readonly deadline: number;
 * }
 *
 * function prepare(library: Library, now: number): Prepared {
 *   const { socket, wantsToWrite, deadline } = library;
 *   const events = wantsToWrite ? POLL.IN | POLL.OUT : POLL.IN;
 *   return {
 *     descriptors: [{ fd: socket, events }],
 *     timeout: deadline === Infinity ? -1 : Math.max(0, deadline - now),
 *   };
 * }
 *
 * assertEquals(
 *   prepare({ socket: 7, wantsToWrite: false, deadline: 500 }, 100),
 *   {
 *     descriptors: [{ fd: 7, events: POLL.IN }],
 *     timeout: 400,
 *   },
 * );
 * ```
 */
export interface Prepared {
  /** The descriptors, with bits of `POLL`. */
  readonly descriptors: readonly LentDescriptor[];
  /**
   * The longest time to wait, in milliseconds; 0 to be stepped again at once,
   * -1 for ever.
   */
  readonly timeout: number;
}

/**
 * A loop on a reactor, as returned by {@linkcode Reactor.prototype.attach Reactor.attach}.
 *
 * @example Work that no descriptor tells of
 * ```ts
 * import { type Attachment, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const jobs: (() => void)[] = [];
 * const asleep = Promise.withResolvers<void>();
 * const attachment: Attachment = reactor.attach({
 *   prepare() {
 *     if (jobs.length === 0) asleep.resolve();
 *     return { descriptors: [], timeout: jobs.length > 0 ? 0 : -1 };
 *   },
 *   dispatch: () => jobs.shift()?.(),
 * });
 * await asleep.promise; // It has said that it waits for nothing.
 *
 * const done = new Promise((resolve) => jobs.push(() => resolve("done")));
 * attachment.kick();
 * assertEquals(await done, "done");
 * attachment.detach();
 * ```
 */
export interface Attachment extends Disposable {
  /**
   * Lets the loop be prepared again soon: for a change, made outside its own
   * callbacks and the reactor's, that no descriptor tells of.
   */
  kick(): void;
  /** Lets go of the loop: its descriptors are not waited for any more. */
  detach(): void;
  /** Lets the loop keep the process alive. It does at first. */
  ref(): void;
  /** Lets the process end although the loop is attached. */
  unref(): void;
}

/**
 * What {@linkcode Reactor.prototype.inspect Reactor.inspect} tells of an attached loop.
 *
 * @example What an attached loop waits for
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { closeDescriptor, makePipe, POLL } from "@interleave/reactor/ffi";
 * import { assert, assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [output, input] = makePipe();
 * const asked = Promise.withResolvers<void>();
 * const wanted = [{ fd: output, events: POLL.IN }];
 * const attachment = reactor.attach({
 *   prepare() {
 *     asked.resolve();
 *     return { descriptors: wanted, timeout: 60_000 };
 *   },
 *   dispatch() {},
 * });
 * await asked.promise;
 *
 * const { descriptors, timeout } = reactor.inspect().attachments[0]!;
 * assertEquals(descriptors, wanted);
 * assert(0 <= timeout && timeout <= 60_000);
 * attachment.detach();
 * closeDescriptor(output);
 * closeDescriptor(input);
 * ```
 */
export interface AttachmentReport {
  /** What it waits for. */
  readonly descriptors: readonly LentDescriptor[];
  /** Milliseconds until it is stepped for sure; -1 for none. */
  readonly timeout: number;
}
