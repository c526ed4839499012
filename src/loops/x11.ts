/**
 * Plain Xlib, as a program without a toolkit uses it.
 *
 * | who has the main thread | use |
 * |---|---|
 * | Xlib, in `XNextEvent()` | not offered: see below |
 * | Deno | {@linkcode x11Loop} |
 *
 * Xlib has no function by which another thread could make `XNextEvent` return,
 * save by sending an event through the connection, which takes a second
 * connection or `XInitThreads`. Neither is needed where Deno is the host: the
 * worker polls the connection's descriptor and never calls Xlib, so the program
 * stays one with a single thread as far as Xlib can tell.
 *
 * @example A window in Deno's loop
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { x11Loop } from "@interleave/reactor/loops/x11";
 *
 * const ButtonPress = 4;
 *
 * // The display is what XOpenDisplay returned.
 * async function show(display: Deno.PointerObject): Promise<void> {
 *   const reactor = new Reactor();
 *   reactor.attach(x11Loop(display, (event) => {
 *     const type = new DataView(event.buffer).getInt32(0, true);
 *     if (type === ButtonPress) reactor.stop();
 *   }));
 *   await reactor.run(); // Beside fetch, timers and Deno.serve.
 * }
 * ```
 *
 * @module
 */

import { POLL } from "../../ffi/constants.ts";
import { x11, X_EVENT_SIZE } from "../../ffi/toolkits/x11.ts";
import { checkFunction, complaint } from "../arguments.ts";
import type { ForeignLoop, Prepared } from "../foreign_loop.ts";
import { isAddress } from "../native_waker.ts";

/**
 * A connection to an X server as a loop for {@linkcode Reactor.attach}. Attach
 * one loop for each connection.
 *
 * Whatever Xlib has read ahead is handed over, and whatever it has not sent yet
 * is sent, before the reactor waits. Callbacks of the reactor's may therefore
 * call anything of Xlib's. Other code, a `setInterval` for one, should call the
 * attachment's `kick()` afterwards: what it has drawn may still lie in Xlib's
 * buffer, and a call that waited for the server may have read events, of which
 * the descriptor then tells nothing.
 *
 * Xlib ends the process when the server goes away, and when it reports an
 * error, unless the program has set handlers for that.
 *
 * @param display What `XOpenDisplay` returned. It stays the caller's: detach
 * the loop before closing it, be that from within a callback.
 * @param onEvent Gets each `XEvent`, as the bytes of the C union; an `int` at
 * its beginning is the type. The array is used again: copy what you keep.
 * @returns The loop.
 * @throws {TypeError} When an argument is of the wrong type.
 * @throws {Deno.errors.NotFound} When Xlib is not installed.
 *
 * @example Usage
 * ```ts no-assert
 * import { type Attachment, reactor } from "@interleave/reactor";
 * import { x11Loop } from "@interleave/reactor/loops/x11";
 *
 * function watch(display: Deno.PointerObject): Attachment {
 *   return reactor.attach(x11Loop(display, (event) => {
 *     const view = new DataView(event.buffer);
 *     console.log("an event of type", view.getInt32(0, true));
 *   }));
 * }
 * ```
 */
export function x11Loop(
  display: Deno.PointerObject,
  onEvent: (event: Uint8Array<ArrayBuffer>) => void,
): ForeignLoop {
  const action = "make a loop for Xlib";
  if (!isAddress(display)) {
    throw new TypeError(
      complaint(display, action, "display", "a pointer to a Display"),
    );
  }
  checkFunction(onEvent, action, "onEvent");
  return new X11Loop(display, onEvent);
}

class X11Loop implements ForeignLoop {
  readonly #x11 = x11();
  readonly #display: Deno.PointerObject;
  readonly #onEvent: (event: Uint8Array<ArrayBuffer>) => void;
  readonly #event = new Uint8Array(X_EVENT_SIZE);
  readonly #descriptors: Prepared["descriptors"];

  constructor(
    display: Deno.PointerObject,
    onEvent: (event: Uint8Array<ArrayBuffer>) => void,
  ) {
    this.#display = display;
    this.#onEvent = onEvent;
    const fd = this.#x11.XConnectionNumber(display);
    this.#descriptors = [{ fd, events: POLL.IN }];
  }

  prepare(): Prepared {
    // XPending sends what is in the output buffer, and reads what has arrived:
    // of an event in Xlib's own queue the descriptor tells nothing.
    const timeout = this.#x11.XPending(this.#display) > 0 ? 0 : -1;
    return { descriptors: this.#descriptors, timeout };
  }

  dispatch(): void {
    if (this.#x11.XPending(this.#display) === 0) return;
    this.#x11.XNextEvent(this.#display, this.#event);
    // Nothing after this line: the callback may detach the loop and close the
    // display. Otherwise the next "prepare" finds what else is there.
    this.#onEvent(this.#event);
  }
}
