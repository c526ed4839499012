/**
 * GLib's main loop: GTK 3, GTK 4, WebKitGTK, GStreamer, wxWidgets, and Qt as
 * Linux distributions build it.
 *
 * | who has the main thread | use |
 * |---|---|
 * | GLib, in `g_main_loop_run()`, `gtk_main()`, `g_application_run()` | {@linkcode glibWaker} |
 * | Deno | {@linkcode glibLoop} |
 *
 * @example GTK in Deno's loop
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import { glibLoop } from "@interleave/reactor/loops/glib";
 *
 * async function withWindows(program: () => Promise<void>): Promise<void> {
 *   using _attachment = reactor.attach(glibLoop());
 *   await program(); // Its windows live beside fetch, timers and Deno.serve.
 * }
 * ```
 *
 * @module
 */

import { checkInteger } from "../../ffi/arguments.ts";
import type { LentDescriptor } from "../../ffi/lent_descriptors.ts";
import { type Glib, glib, glibAddresses } from "../../ffi/toolkits/glib.ts";
import type { ForeignLoop, Prepared } from "../foreign_loop.ts";
import { monotonic } from "../monotonic.ts";
import type { NativeWaker } from "../native_waker.ts";

/** GLib's priority for events of the window system: before redrawing. */
const G_PRIORITY_DEFAULT = 0;

/** A priority is a C `int`. */
const LEAST_INT = -(2 ** 31);

/**
 * Options of {@linkcode glibWaker}.
 *
 * @example After all redrawing
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { glibWaker } from "@interleave/reactor/loops/glib";
 *
 * const G_PRIORITY_DEFAULT_IDLE = 200;
 *
 * // For a program whose windows matter more than its descriptors.
 * function start(): Reactor {
 *   const reactor = new Reactor();
 *   reactor.interleave(glibWaker({ priority: G_PRIORITY_DEFAULT_IDLE }));
 *   return reactor;
 * }
 * ```
 */
export interface GlibWakerOptions {
  /**
   * The priority of the idle source that carries a work item; a larger number
   * comes later. The default is that of events. The usual one of idle sources,
   * 200, would let every redrawing go first.
   *
   * @default {0}
   */
  priority?: number;
}

/**
 * The waker for a thread that is inside a loop of GLib's default context.
 *
 * Whatever else GLib calls there must not throw: Deno would keep the exception
 * until the loop returns.
 *
 * @param options The priority of work items.
 * @returns The waker.
 * @throws {TypeError} When the priority is not a number.
 * @throws {RangeError} When it is not an integer, or more than C's `int` holds.
 * @throws {Deno.errors.NotFound} When GLib is not installed.
 *
 * @example A loop of GLib's as the host
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { glibWaker } from "@interleave/reactor/loops/glib";
 *
 * function start(gtk: { main(): void; quit(): void }): Reactor {
 *   const reactor = new Reactor();
 *   reactor.interleave(glibWaker());
 *   reactor.addSystemEventTrigger("after", "shutdown", () => gtk.quit());
 *   setTimeout(() => gtk.main(), 0);
 *   return reactor;
 * }
 * ```
 */
export function glibWaker(options: GlibWakerOptions = {}): NativeWaker {
  const { priority = G_PRIORITY_DEFAULT } = options;
  checkInteger(priority, "make GLib's waker", "priority", LEAST_INT);
  return {
    post: glibAddresses().g_idle_add_full!,
    parameters: ["i32", "function", "pointer", "pointer"],
    result: "u32",
    arguments: (work) => [priority, work, null, null],
    // G_SOURCE_REMOVE: an idle source serves once.
    callback: { parameters: ["pointer"], result: "i32", returns: 0 },
  };
}

/**
 * GLib's default context as a loop for {@linkcode Reactor.attach}.
 *
 * GLib wakes whoever polls for it when another thread adds something, and takes
 * the context's owner for the thread that polls. So the main thread owns the
 * context only while it prepares and dispatches, and the worker while it polls:
 * what plain Deno code changes, a label's text for one, is then seen at once.
 * What a callback of GLib's throws is reported through the reactor's `onError`,
 * and for GLib it has returned 0.
 *
 * @returns The loop.
 * @throws {Deno.errors.NotFound} When GLib is not installed.
 *
 * @example A window for as long as it is open
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { glibLoop } from "@interleave/reactor/loops/glib";
 *
 * async function show(window: { closed: Promise<void> }): Promise<void> {
 *   await using reactor = new Reactor();
 *   reactor.attach(glibLoop());
 *   await window.closed;
 * }
 * ```
 */
export function glibLoop(): ForeignLoop {
  return new GlibLoop();
}

class GlibLoop implements ForeignLoop {
  readonly #glib = glib();
  readonly #context = this.#glib.g_main_context_default();
  /** What is waited for. */
  readonly #asked = new Question();
  /** What would be waited for by now. */
  readonly #since = new Question();
  readonly hold: ForeignLoop["hold"];

  constructor() {
    const addresses = glibAddresses();
    const owner = {
      parameters: ["pointer"],
      arguments: [this.#context],
    } as const;
    this.hold = {
      acquire: {
        function: addresses.g_main_context_acquire!,
        result: "i32",
        ...owner,
      },
      release: { function: addresses.g_main_context_release!, ...owner },
    };
  }

  prepare(): Prepared {
    this.#owning(() => this.#asked.ask(this.#glib, this.#context));
    return this.#asked;
  }

  dispatch(revents: Int16Array): void {
    const { priority, records, descriptors } = this.#asked;
    this.#asked.answer(revents);
    this.#owning(() => {
      this.#glib.g_main_context_check(
        this.#context,
        priority[0]!,
        records,
        descriptors.length,
      );
      this.#glib.g_main_context_dispatch(this.#context);
    });
  }

  /**
   * Between the end of `prepare` and the worker's acquire nobody owns the
   * context, and GLib wakes nobody. What a third thread adds then, the reply of
   * a D-Bus call for one, would lie there until the next event. So GLib is asked
   * a second time when the turn is over: the worker has the context by then, and
   * is told of whatever comes later.
   */
  held(): void {
    this.#since.ask(this.#glib, this.#context);
    if (this.#since.isCoveredBy(this.#asked)) return;
    this.#glib.g_main_context_wakeup(this.#context);
  }

  #owning(f: () => void): void {
    if (this.#glib.g_main_context_acquire(this.#context) === 0) {
      throw new Error(
        "Cannot step GLib's loop: another thread owns the default context",
      );
    }
    try {
      f();
    } finally {
      this.#glib.g_main_context_release(this.#context);
    }
  }
}

/** What GLib wants to be waited for, at some moment. */
class Question implements Prepared {
  /** Sources of a larger number than this are not served in this step. */
  readonly priority: Int32Array<ArrayBuffer> = new Int32Array(1);
  /** An array of GPollFD, which is laid out like struct pollfd. */
  records: Int32Array<ArrayBuffer> = new Int32Array(2 * 16);
  /** The same, for the reactor. Replaced only when it is another. */
  descriptors: readonly LentDescriptor[] = [];
  readonly #timeout = new Int32Array(1);
  #deadline = Infinity;

  get timeout(): number {
    return this.#timeout[0]!;
  }

  /** Asks GLib. */
  ask(glib: Glib, context: Deno.PointerValue): void {
    glib.g_main_context_prepare(context, this.priority);
    let count: number;
    for (;;) {
      count = glib.g_main_context_query(
        context,
        this.priority[0]!,
        this.#timeout,
        this.records,
        this.records.length / 2,
      );
      if (2 * count <= this.records.length) break;
      this.records = new Int32Array(2 * count);
    }
    this.#deadline = this.timeout < 0 ? Infinity : monotonic() + this.timeout;
    if (this.#asksFor(this.descriptors, count)) return;
    this.descriptors = Array.from(
      { length: count },
      (_, i) => ({ fd: this.#fd(i), events: this.#events(i) }),
    );
  }

  /** Writes down what was found, for GLib. */
  answer(revents: Int16Array): void {
    for (let i = 0; i < this.descriptors.length; i++) {
      this.records[2 * i + 1] = this.#events(i) | (revents[i]! << 16);
    }
  }

  /** Whether who waits for `other` misses nothing of this. */
  isCoveredBy(other: Question): boolean {
    // GLib counts in whole milliseconds.
    return this.#deadline >= other.#deadline - 2 &&
      this.#asksFor(other.descriptors, this.descriptors.length);
  }

  #asksFor(descriptors: readonly LentDescriptor[], count: number): boolean {
    return descriptors.length === count &&
      descriptors.every(({ fd, events }, i) =>
        fd === this.#fd(i) && events === this.#events(i)
      );
  }

  #fd(i: number): number {
    return this.records[2 * i]!;
  }

  #events(i: number): number {
    return this.records[2 * i + 1]! & 0xffff;
  }
}
