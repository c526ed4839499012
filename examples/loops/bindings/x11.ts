/**
 * As much of Xlib as a window to click at needs. Nothing here has to do with
 * waiting.
 *
 * @module
 */

import { cString } from "../../../ffi/mod.ts";
import { openToolkit } from "../../../ffi/toolkits/library.ts";
import { X11 } from "../../../ffi/toolkits/x11.ts";

const SYMBOLS = {
  /** `Display *XOpenDisplay(const char *name)` */
  XOpenDisplay: { parameters: ["pointer"], result: "pointer" },
  /** `int XCloseDisplay(Display *display)` */
  XCloseDisplay: { parameters: ["pointer"], result: "i32" },
  /** `Window XDefaultRootWindow(Display *display)` */
  XDefaultRootWindow: { parameters: ["pointer"], result: "u64" },
  /** `int XDefaultScreen(Display *display)` */
  XDefaultScreen: { parameters: ["pointer"], result: "i32" },
  /** `GC XDefaultGC(Display *display, int screen)` */
  XDefaultGC: { parameters: ["pointer", "i32"], result: "pointer" },
  /** `Window XCreateSimpleWindow(Display *display, Window parent, int x, int y, unsigned width, unsigned height, unsigned border_width, unsigned long border, unsigned long background)` */
  XCreateSimpleWindow: {
    // deno-fmt-ignore
    parameters: ["pointer", "u64", "i32", "i32", "u32", "u32", "u32", "u64", "u64"],
    result: "u64",
  },
  /** `int XStoreName(Display *display, Window window, const char *name)` */
  XStoreName: { parameters: ["pointer", "u64", "buffer"], result: "i32" },
  /** `int XSelectInput(Display *display, Window window, long mask)` */
  XSelectInput: { parameters: ["pointer", "u64", "i64"], result: "i32" },
  /** `int XMapWindow(Display *display, Window window)` */
  XMapWindow: { parameters: ["pointer", "u64"], result: "i32" },
  /** `Atom XInternAtom(Display *display, const char *name, Bool only_if_exists)` */
  XInternAtom: { parameters: ["pointer", "buffer", "i32"], result: "u64" },
  /** `Status XSetWMProtocols(Display *display, Window window, Atom *protocols, int count)` */
  XSetWMProtocols: {
    parameters: ["pointer", "u64", "buffer", "i32"],
    result: "i32",
  },
  /** `KeySym XLookupKeysym(XKeyEvent *event, int index)` */
  XLookupKeysym: { parameters: ["buffer", "i32"], result: "u64" },
  /** `int XClearWindow(Display *display, Window window)` */
  XClearWindow: { parameters: ["pointer", "u64"], result: "i32" },
  /** `int XSetForeground(Display *display, GC gc, unsigned long colour)` */
  XSetForeground: { parameters: ["pointer", "pointer", "u64"], result: "i32" },
  /** `int XDrawLine(Display *display, Drawable window, GC gc, int x1, int y1, int x2, int y2)` */
  XDrawLine: {
    parameters: ["pointer", "u64", "pointer", "i32", "i32", "i32", "i32"],
    result: "i32",
  },
  /** `int XFillArc(Display *display, Drawable window, GC gc, int x, int y, unsigned width, unsigned height, int begin, int extent)` */
  XFillArc: {
    // deno-fmt-ignore
    parameters: ["pointer", "u64", "pointer", "i32", "i32", "u32", "u32", "i32", "i32"],
    result: "i32",
  },
  /** `int XDrawString(Display *display, Drawable window, GC gc, int x, int y, const char *text, int length)` */
  XDrawString: {
    parameters: ["pointer", "u64", "pointer", "i32", "i32", "buffer", "i32"],
    result: "i32",
  },
} as const;

// Bits of the mask for XSelectInput.
const KeyPressMask = 1n << 0n;
const ButtonPressMask = 1n << 2n;
const ExposureMask = 1n << 15n;

const KeyPress = 2;
const ButtonPress = 4;
const Expose = 12;
const ClientMessage = 33;

/** `KeySym` of the Escape key. */
export const XK_Escape = 0xff1b;

/** `KeySym` of the letter. */
export const XK_q = 0x71;

type Xlib = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Xlib | undefined;

function x11(): Xlib {
  return opened ??= openToolkit(X11, SYMBOLS);
}

/** An event, as far as a window to click at cares. */
export type XEvent =
  | { type: "expose" }
  | { type: "key"; key: number }
  | { type: "click"; x: number; y: number }
  | { type: "close" }
  | { type: "other" };

/** Red, green and blue, as 0xRRGGBB: what screens of 24 bits a pixel take. */
export type Colour = number;

/** A window with a connection of its own. */
export class XWindow {
  /** What `XOpenDisplay` returned. */
  readonly display: Deno.PointerObject;
  readonly #window: bigint;
  readonly #pen: Deno.PointerValue;
  readonly #deleteWindow: bigint;

  /**
   * Opens it.
   *
   * @throws {Deno.errors.NotFound} When Xlib is not installed.
   * @throws {Error} When there is no display.
   */
  constructor(
    title: string,
    size: { width: number; height: number; background: Colour },
  ) {
    const xlib = x11();
    const display = xlib.XOpenDisplay(null);
    if (display === null) {
      throw new Error("Cannot open a window: there is no display");
    }
    this.display = display;
    this.#pen = xlib.XDefaultGC(display, xlib.XDefaultScreen(display));
    const window = this.#window = xlib.XCreateSimpleWindow(
      display,
      xlib.XDefaultRootWindow(display),
      0,
      0,
      size.width,
      size.height,
      0,
      0n,
      BigInt(size.background),
    );
    xlib.XStoreName(display, window, cString(title, "open a window", "title"));
    xlib.XSelectInput(
      display,
      window,
      KeyPressMask | ButtonPressMask | ExposureMask,
    );
    // Without this the close button would end the whole program.
    this.#deleteWindow = this.#atom("WM_DELETE_WINDOW");
    const protocols = new BigUint64Array([this.#deleteWindow]);
    xlib.XSetWMProtocols(display, window, protocols, 1);
    xlib.XMapWindow(display, window);
  }

  /** Empties it. */
  clear(): void {
    x11().XClearWindow(this.display, this.#window);
  }

  /** Chooses the colour of what is drawn next. */
  setColour(colour: Colour): void {
    x11().XSetForeground(this.display, this.#pen, BigInt(colour));
  }

  /** Draws a line. */
  drawLine(x1: number, y1: number, x2: number, y2: number): void {
    x11().XDrawLine(this.display, this.#window, this.#pen, x1, y1, x2, y2);
  }

  /** Draws a disc around a place. */
  drawDisc(x: number, y: number, radius: number): void {
    x11().XFillArc(
      this.display,
      this.#window,
      this.#pen,
      x - radius,
      y - radius,
      2 * radius,
      2 * radius,
      0,
      360 * 64, // In 64ths of a degree.
    );
  }

  /** Draws a text in the server's own font; its line begins at a place. */
  drawText(x: number, y: number, text: string): void {
    const bytes = new TextEncoder().encode(text);
    x11().XDrawString(
      this.display,
      this.#window,
      this.#pen,
      x,
      y,
      bytes,
      bytes.length,
    );
  }

  /** Reads an `XEvent`, where a long has 8 bytes. */
  read(bytes: Uint8Array<ArrayBuffer>): XEvent {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    switch (view.getInt32(0, true)) {
      case Expose:
        return { type: "expose" };
      case KeyPress:
        return { type: "key", key: Number(x11().XLookupKeysym(bytes, 0)) };
      case ButtonPress:
        return {
          type: "click",
          x: view.getInt32(64, true),
          y: view.getInt32(68, true),
        };
      case ClientMessage:
        return view.getBigUint64(56, true) === this.#deleteWindow
          ? { type: "close" }
          : { type: "other" };
      default:
        return { type: "other" };
    }
  }

  /** Closes it, and the connection. */
  close(): void {
    x11().XCloseDisplay(this.display);
  }

  #atom(name: string): bigint {
    const bytes = cString(name, "look up an atom", "name");
    return x11().XInternAtom(this.display, bytes, 0);
  }
}
