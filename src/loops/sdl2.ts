/**
 * SDL 2, and with it what is built on it.
 *
 * | who has the main thread | use |
 * |---|---|
 * | the program's own loop around `SDL_WaitEvent()` or `SDL_PollEvent()` | {@linkcode sdl2Waker} |
 * | Deno | {@linkcode sdl2Loop} |
 *
 * @example A window in Deno's loop
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { sdl2Loop } from "@interleave/reactor/loops/sdl2";
 *
 * const SDL_QUIT = 0x100;
 *
 * // The window is what SDL_CreateWindow returned.
 * async function show(window: Deno.PointerObject): Promise<void> {
 *   const reactor = new Reactor();
 *   using loop = sdl2Loop(window, (event) => {
 *     const type = new DataView(event.buffer).getUint32(0, true);
 *     if (type === SDL_QUIT) reactor.stop();
 *   });
 *   reactor.attach(loop);
 *   await reactor.run(); // Beside fetch, timers and Deno.serve.
 * }
 * ```
 *
 * @module
 */

import { POLL } from "../../ffi/constants.ts";
import {
  closeDescriptor,
  makeEventfd,
  readInto,
} from "../../ffi/descriptor.ts";
import {
  sdl2,
  sdl2Addresses,
  sdl2Connection,
  sdl2Error,
  sdl2VideoDriver,
  SDL_EVENT_SIZE,
  SDL_FIRSTEVENT,
  SDL_GETEVENT,
  SDL_LASTEVENT,
  SDL_PEEKEVENT,
  unwatchPushes,
  watchPushes,
} from "../../ffi/toolkits/sdl2.ts";
import { checkDelay, checkFunction, complaint } from "../arguments.ts";
import type { ForeignLoop, Prepared } from "../foreign_loop.ts";
import { monotonic } from "../monotonic.ts";
import { isAddress, type NativeWaker } from "../native_waker.ts";

/**
 * What {@linkcode sdl2Waker} returns.
 *
 * @example A loop that takes all events at once, frame by frame
 * ```ts no-assert
 * import type { Reactor } from "@interleave/reactor";
 * import type { Sdl2Waker } from "@interleave/reactor/loops/sdl2";
 *
 * interface Game {
 *   SDL_PollEvent(event: Uint8Array): number;
 *   handle(event: Uint8Array): void;
 * }
 *
 * function frame(reactor: Reactor, waker: Sdl2Waker, game: Game): void {
 *   const event = new Uint8Array(56);
 *   while (game.SDL_PollEvent(event)) {
 *     if (waker.isWake(event)) reactor.work();
 *     else game.handle(event);
 *   }
 * }
 * ```
 */
export interface Sdl2Waker extends NativeWaker {
  /** The type of the event that carries the wake-up: a user event of SDL's. */
  readonly eventType: number;
  /**
   * Tells whether an event carries the wake-up.
   *
   * @param event An `SDL_Event`, as SDL has filled it in.
   */
  isWake(event: ArrayBufferView): boolean;
}

/**
 * The waker for a program that waits for SDL's events itself.
 *
 * It registers a user event, which the worker pushes into SDL's queue when
 * there is something to do. The program's loop calls {@linkcode Reactor.work}
 * at that event. If it throws events away unseen, it should call that
 * afterwards too: without need it does nothing.
 *
 * Call `SDL_Quit` in or after an 'after' trigger of "shutdown", or after `await
 * reactor.close()`: by then the worker pushes no more.
 *
 * With some video drivers `SDL_WaitEvent` itself looks for events every
 * millisecond, `dummy` for one, and with joysticks in use. That is where the
 * processor's time goes then.
 *
 * @returns The waker.
 * @throws {Deno.errors.NotFound} When SDL 2 is not installed.
 * @throws {Error} When all of SDL's 32767 user events are taken.
 *
 * @example SDL as the host
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { sdl2Waker } from "@interleave/reactor/loops/sdl2";
 *
 * function play(game: {
 *   SDL_WaitEvent(event: Uint8Array): number;
 *   handle(event: Uint8Array): void;
 * }): void {
 *   const reactor = new Reactor();
 *   const waker = sdl2Waker();
 *   let playing = true;
 *   reactor.interleave(waker);
 *   reactor.addSystemEventTrigger("after", "shutdown", () => playing = false);
 *   const event = new Uint8Array(56);
 *   while (playing && game.SDL_WaitEvent(event)) {
 *     if (waker.isWake(event)) reactor.work();
 *     else game.handle(event);
 *   }
 * }
 * ```
 */
export function sdl2Waker(): Sdl2Waker {
  const eventType = sdl2().SDL_RegisterEvents(1);
  if (eventType === NO_EVENT_TYPE) {
    throw new Error(
      "Cannot make a waker for SDL 2: all of its user events are taken",
    );
  }
  const event = new Uint8Array(SDL_EVENT_SIZE);
  new DataView(event.buffer).setUint32(0, eventType, true);
  return {
    eventType,
    isWake: ({ buffer, byteOffset }) =>
      new DataView(buffer, byteOffset).getUint32(0, true) === eventType,
    post: sdl2Addresses().SDL_PushEvent!,
    parameters: ["pointer"],
    result: "i32",
    // Not 1 is a full queue, or a filter of the program's.
    accepted: 1,
    // SDL copies the event. The waker holds this one, and the run the waker.
    arguments: () => [Deno.UnsafePointer.of(event)],
  };
}

/** What `SDL_RegisterEvents` returns when there are none left. */
const NO_EVENT_TYPE = 0xffffffff;

/**
 * Options of {@linkcode sdl2Loop}.
 *
 * @example A game with a joystick
 * ```ts no-assert
 * import { type Sdl2Loop, sdl2Loop } from "@interleave/reactor/loops/sdl2";
 *
 * function loopOf(
 *   window: Deno.PointerObject,
 *   onEvent: (event: Uint8Array) => void,
 * ): Sdl2Loop {
 *   return sdl2Loop(window, onEvent, { interval: 10 }); // In milliseconds.
 * }
 * ```
 */
export interface Sdl2LoopOptions {
  /**
   * The longest time between two looks at SDL's devices, in milliseconds. SDL
   * asks joysticks, sensors and some input methods whenever it is asked for
   * events, and at no other time: a program with a joystick wants 10 here, for
   * example.
   *
   * @default {undefined} As long as it takes, with X11 and without a screen
   * (`dummy`, `offscreen`); 10 with video drivers whose descriptor is not known
   * here, as that of Wayland, and on systems other than Linux.
   */
  interval?: number;
}

/**
 * What {@linkcode sdl2Loop} returns.
 *
 * @example As long as a window is open, and in the right order at its end
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import type { Sdl2Loop } from "@interleave/reactor/loops/sdl2";
 *
 * async function serve(loop: Sdl2Loop, closed: Promise<void>): Promise<void> {
 *   using _loop = loop; // Disposed of last,
 *   using _attachment = reactor.attach(loop); // when this is detached.
 *   await closed;
 * }
 * ```
 */
export interface Sdl2Loop extends ForeignLoop, Disposable {
  /** Closes what the loop has opened. Detach it first. */
  [Symbol.dispose](): void;
}

/**
 * SDL's events as a loop for {@linkcode Reactor.attach}: what comes from the X
 * server, and what anybody pushes with `SDL_PushEvent`, on whatever thread.
 *
 * Callbacks of the reactor's may call anything of SDL's. Other code, a
 * `setInterval` for one, should call the attachment's `kick()` after it has
 * drawn, or called what else waits for the X server: that may have read events,
 * of which the descriptor then tells nothing.
 *
 * SDL takes SIGINT and SIGTERM for itself, and looks at them with the next
 * event, which may be late. `await reactor.run()` stops at them at once;
 * without it, set `SDL_NO_SIGNAL_HANDLERS=1` in the environment.
 *
 * @param window Any window of the program's; it leads to the connection.
 * @param onEvent Gets each `SDL_Event`, as the 56 bytes of the C union. The
 * array is used again: copy what you keep.
 * @param options How often to look at the least.
 * @returns The loop. Dispose of it when it is detached.
 * @throws {TypeError} When an argument is of the wrong type.
 * @throws {RangeError} When `interval` is less than 1, or not finite.
 * @throws {Deno.errors.NotFound} When SDL 2 is not installed.
 * @throws {Error} When SDL knows no such window.
 *
 * @example Usage
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import { sdl2Loop } from "@interleave/reactor/loops/sdl2";
 *
 * function watch(window: Deno.PointerObject): Disposable {
 *   const loop = sdl2Loop(window, (event) => {
 *     const view = new DataView(event.buffer);
 *     console.log("an event of type", view.getUint32(0, true));
 *   });
 *   const end = new DisposableStack();
 *   end.use(loop);
 *   end.use(reactor.attach(loop));
 *   return end; // Detaches the loop, and then disposes of it.
 * }
 * ```
 */
export function sdl2Loop(
  window: Deno.PointerObject,
  onEvent: (event: Uint8Array<ArrayBuffer>) => void,
  options: Sdl2LoopOptions = {},
): Sdl2Loop {
  const action = "make a loop for SDL 2";
  if (!isAddress(window)) {
    throw new TypeError(
      complaint(window, action, "window", "a pointer to an SDL_Window"),
    );
  }
  checkFunction(onEvent, action, "onEvent");
  const { interval } = options;
  if (interval !== undefined) {
    checkDelay(interval, action, "options.interval");
    if (interval < 1) {
      throw new RangeError(
        complaint(interval, action, "options.interval", "at least 1"),
      );
    }
  }
  if (sdl2().SDL_GetWindowID(window) === 0) {
    throw new Error(`Cannot ${action}: ${sdl2Error()}`);
  }
  return new SdlLoop(window, onEvent, interval);
}

/** Drivers without a screen: all of their events are pushed. */
const SCREENLESS = ["dummy", "offscreen"];

/** See {@linkcode Sdl2LoopOptions.interval}. */
const DEFAULT_INTERVAL = 10;

/**
 * When to look again after a push, in milliseconds.
 *
 * SDL calls its watches just before it puts the event into its queue, and holds
 * no lock in between. So one who was woken may find the queue empty still, and
 * a wake-up may be used up by an event that came just before.
 */
const LOOKS_AFTER_A_PUSH = [1, 10, 100];

class SdlLoop implements Sdl2Loop {
  readonly #sdl = sdl2();
  readonly #onEvent: (event: Uint8Array<ArrayBuffer>) => void;
  readonly #event = new Uint8Array(SDL_EVENT_SIZE);
  readonly #interval: number;
  readonly #descriptors: Prepared["descriptors"];
  /**
   * An eventfd that SDL writes when an event is pushed; undefined on systems
   * that have no such thing.
   */
  readonly #pushes: number | undefined;
  readonly #counter = new Uint8Array(8);
  /** When a push was seen last, in the time of `performance.now()`. */
  #pushed = -Infinity;
  #disposed = false;

  constructor(
    window: Deno.PointerObject,
    onEvent: (event: Uint8Array<ArrayBuffer>) => void,
    interval: number | undefined,
  ) {
    this.#onEvent = onEvent;
    const connection = sdl2Connection(window);
    if (Deno.build.os === "linux") {
      this.#pushes = makeEventfd(0);
      watchPushes(this.#pushes);
    }
    this.#descriptors = [connection, this.#pushes]
      .filter((fd) => fd !== undefined)
      .map((fd) => ({ fd, events: POLL.IN }));
    const isTold = this.#pushes !== undefined &&
      (connection !== undefined || SCREENLESS.includes(sdl2VideoDriver()));
    this.#interval = interval ?? (isTold ? Infinity : DEFAULT_INTERVAL);
  }

  prepare(): Prepared {
    if (this.#disposed) return { descriptors: [], timeout: -1 };
    // What SDL, or Xlib below it, has read ahead goes into SDL's queue now.
    // Only then is the eventfd emptied, which that has written as well; and
    // only then is the queue looked at: whoever pushes later writes it again.
    this.#sdl.SDL_PumpEvents();
    const now = monotonic();
    if (this.#takePushes()) this.#pushed = now;
    const timeout = this.#peep(SDL_PEEKEVENT) ? 0 : this.#timeToLook(now);
    return { descriptors: this.#descriptors, timeout };
  }

  dispatch(): void {
    if (this.#disposed) return;
    this.#sdl.SDL_PumpEvents();
    // One at a time, so that everything else has its turn in between.
    if (this.#peep(SDL_GETEVENT)) this.#onEvent(this.#event);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#pushes === undefined) return;
    unwatchPushes(this.#pushes);
    closeDescriptor(this.#pushes);
  }

  /**
   * Looks at the first event in the queue, or takes it. `SDL_PollEvent` would
   * push an event of its own each time, to mark the end of the queue, and so
   * write the eventfd.
   */
  #peep(action: number): boolean {
    const { SDL_PeepEvents } = this.#sdl;
    return SDL_PeepEvents(
      this.#event,
      1,
      action,
      SDL_FIRSTEVENT,
      SDL_LASTEVENT,
    ) > 0;
  }

  /** Empties the eventfd. Returns whether anything was in it. */
  #takePushes(): boolean {
    return this.#pushes !== undefined &&
      readInto(this.#pushes, this.#counter) > 0;
  }

  /** Milliseconds until SDL is looked at whatever happens; -1 for never. */
  #timeToLook(now: number): number {
    const age = now - this.#pushed;
    const look = LOOKS_AFTER_A_PUSH.find((ms) => ms > age);
    const timeout = look === undefined
      ? this.#interval
      : Math.min(look - age, this.#interval);
    return timeout === Infinity ? -1 : timeout;
  }
}
