/**
 * The functions of Xlib that are called, with their C declarations.
 *
 * @module
 */

import { openToolkit, type ToolkitLibrary } from "./library.ts";

/** Where Xlib is. */
export const X11: ToolkitLibrary = {
  name: "Xlib",
  names: {
    linux: ["libX11.so.6"],
    freebsd: ["libX11.so.6"],
    darwin: [
      "/opt/X11/lib/libX11.6.dylib", // XQuartz
      "/opt/homebrew/lib/libX11.6.dylib",
      "/usr/local/lib/libX11.6.dylib",
    ],
  },
  packages: { debian: "libx11-6", fedora: "libX11", homebrew: "libx11" },
};

/** The size of an `XEvent`, a union padded to 24 longs, of 8 bytes each. */
export const X_EVENT_SIZE = 192;

/** What is called on the main thread. */
export const X11_SYMBOLS = {
  /** `int XConnectionNumber(Display *display)` */
  XConnectionNumber: { parameters: ["pointer"], result: "i32" },
  /** `int XPending(Display *display)` */
  XPending: { parameters: ["pointer"], result: "i32" },
  /** `int XNextEvent(Display *display, XEvent *event)` */
  XNextEvent: { parameters: ["pointer", "buffer"], result: "i32" },
} as const;

type Xlib = Deno.DynamicLibrary<typeof X11_SYMBOLS>["symbols"];

let opened: Xlib | undefined;

/** Xlib's functions; the library is opened on the first call. */
export function x11(): Xlib {
  return opened ??= openToolkit(X11, X11_SYMBOLS);
}
