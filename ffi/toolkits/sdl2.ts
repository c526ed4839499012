/**
 * The functions of SDL 2 that are called, with their C declarations.
 *
 * @module
 */

import { libcPath } from "../libc.ts";
import { openToolkit, type ToolkitLibrary } from "./library.ts";
import { x11 } from "./x11.ts";

/** Where SDL 2 is. */
export const SDL2: ToolkitLibrary = {
  name: "SDL 2",
  names: {
    linux: ["libSDL2-2.0.so.0"],
    freebsd: ["libSDL2-2.0.so.0"],
    darwin: [
      "libSDL2-2.0.0.dylib",
      "/opt/homebrew/lib/libSDL2-2.0.0.dylib",
      "/usr/local/lib/libSDL2-2.0.0.dylib",
    ],
  },
  packages: { debian: "libsdl2-2.0-0", fedora: "SDL2", homebrew: "sdl2" },
};

/** The size of an `SDL_Event`, a union that SDL pads to this. */
export const SDL_EVENT_SIZE = 56;

/** `SDL_eventaction`: looks at events, and leaves them in the queue. */
export const SDL_PEEKEVENT = 1;

/** `SDL_eventaction`: takes events out of the queue. */
export const SDL_GETEVENT = 2;

/** `SDL_EventType`: below all of them. */
export const SDL_FIRSTEVENT = 0;

/** `SDL_EventType`: above all of them. */
export const SDL_LASTEVENT = 0xffff;

/** What is called on the main thread. */
export const SDL2_SYMBOLS = {
  /** `const char *SDL_GetError(void)` */
  SDL_GetError: { parameters: [], result: "pointer" },
  /** `Uint32 SDL_RegisterEvents(int numevents)` */
  SDL_RegisterEvents: { parameters: ["i32"], result: "u32" },
  /** `void SDL_PumpEvents(void)` */
  SDL_PumpEvents: { parameters: [], result: "void" },
  /** `int SDL_PeepEvents(SDL_Event *events, int numevents, SDL_eventaction action, Uint32 minType, Uint32 maxType)` */
  SDL_PeepEvents: {
    parameters: ["buffer", "i32", "i32", "u32", "u32"],
    result: "i32",
  },
  /** `void SDL_AddEventWatch(SDL_EventFilter filter, void *userdata)` */
  SDL_AddEventWatch: { parameters: ["pointer", "pointer"], result: "void" },
  /** `void SDL_DelEventWatch(SDL_EventFilter filter, void *userdata)` */
  SDL_DelEventWatch: { parameters: ["pointer", "pointer"], result: "void" },
  /** `const char *SDL_GetCurrentVideoDriver(void)` */
  SDL_GetCurrentVideoDriver: { parameters: [], result: "pointer" },
  /** `void SDL_GetVersion(SDL_version *version)` */
  SDL_GetVersion: { parameters: ["buffer"], result: "void" },
  /** `Uint32 SDL_GetWindowID(SDL_Window *window)` */
  SDL_GetWindowID: { parameters: ["pointer"], result: "u32" },
  /** `SDL_bool SDL_GetWindowWMInfo(SDL_Window *window, SDL_SysWMinfo *info)` */
  SDL_GetWindowWMInfo: { parameters: ["pointer", "buffer"], result: "i32" },
} as const;

/** What is called from the worker: addresses. */
export const SDL2_ADDRESSES = {
  /** `int SDL_PushEvent(SDL_Event *event)` */
  SDL_PushEvent: { type: "pointer" },
} as const;

type Sdl2 = Deno.DynamicLibrary<typeof SDL2_SYMBOLS>["symbols"];
type Sdl2Addresses = Deno.DynamicLibrary<typeof SDL2_ADDRESSES>["symbols"];

let opened: Sdl2 | undefined;
let addresses: Sdl2Addresses | undefined;
let eventfdWrite: Deno.PointerObject | undefined;

/** SDL's functions; the library is opened on the first call. */
export function sdl2(): Sdl2 {
  return opened ??= openToolkit(SDL2, SDL2_SYMBOLS);
}

/** The addresses of SDL's functions. */
export function sdl2Addresses(): Sdl2Addresses {
  return addresses ??= openToolkit(SDL2, SDL2_ADDRESSES);
}

/** What SDL says of its last failure. */
export function sdl2Error(): string {
  return textAt(sdl2().SDL_GetError());
}

/** The name of the video driver in use; empty when there is none. */
export function sdl2VideoDriver(): string {
  return textAt(sdl2().SDL_GetCurrentVideoDriver());
}

/** `SDL_SYSWM_TYPE` of X11. */
const SDL_SYSWM_X11 = 2;

/**
 * The descriptor of the connection to the window system, by way of any window
 * of the program's; undefined where the video driver has none.
 */
export function sdl2Connection(window: Deno.PointerObject): number | undefined {
  // SDL_SysWMinfo: the version that the caller knows, in three bytes; the kind
  // of window system at 4; what belongs to that, the Display first, at 8.
  const info = new DataView(new ArrayBuffer(8 + 64));
  sdl2().SDL_GetVersion(info);
  if (sdl2().SDL_GetWindowWMInfo(window, info) === 0) return undefined;
  if (info.getUint32(4, true) !== SDL_SYSWM_X11) return undefined;
  const display = Deno.UnsafePointer.create(info.getBigUint64(8, true));
  return x11().XConnectionNumber(display);
}

/**
 * Lets SDL write an eventfd whenever anybody, on any thread, pushes an event.
 *
 * SDL calls its watches with what they were registered with and the event's
 * address. `int eventfd_write(int fd, eventfd_t value)` takes these for the
 * number of the descriptor and for a number to add, which is never 0: so it can
 * be the watch itself, and no JavaScript runs on SDL's threads.
 */
export function watchPushes(fd: number): void {
  sdl2().SDL_AddEventWatch(eventfdWriteAddress(), asUserData(fd));
}

/** Ends that. When this returns, nobody is writing any more. */
export function unwatchPushes(fd: number): void {
  sdl2().SDL_DelEventWatch(eventfdWriteAddress(), asUserData(fd));
}

function eventfdWriteAddress(): Deno.PointerObject {
  return eventfdWrite ??= Deno.dlopen(libcPath(), {
    eventfd_write: { type: "pointer" },
  }).symbols.eventfd_write!;
}

function asUserData(fd: number): Deno.PointerValue {
  return Deno.UnsafePointer.create(BigInt(fd));
}

function textAt(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}
