/**
 * As much of SDL 2 as a small game and some tests need. Nothing here has to do
 * with waiting, save {@linkcode waitEvent} itself.
 *
 * @module
 */

import { openToolkit } from "../../../ffi/toolkits/library.ts";
import { SDL2 } from "../../../ffi/toolkits/sdl2.ts";
import { text, textAt } from "./c.ts";

const SYMBOLS = {
  /** `int SDL_Init(Uint32 flags)` */
  SDL_Init: { parameters: ["u32"], result: "i32" },
  /** `void SDL_Quit(void)` */
  SDL_Quit: { parameters: [], result: "void" },
  /** `const char *SDL_GetError(void)` */
  SDL_GetError: { parameters: [], result: "pointer" },
  /** `int SDL_WaitEvent(SDL_Event *event)` */
  SDL_WaitEvent: { parameters: ["buffer"], result: "i32" },
  /** `int SDL_PushEvent(SDL_Event *event)` */
  SDL_PushEvent: { parameters: ["buffer"], result: "i32" },
  /** `SDL_Window *SDL_CreateWindow(const char *title, int x, int y, int w, int h, Uint32 flags)` */
  SDL_CreateWindow: {
    parameters: ["buffer", "i32", "i32", "i32", "i32", "u32"],
    result: "pointer",
  },
  /** `void SDL_SetWindowTitle(SDL_Window *window, const char *title)` */
  SDL_SetWindowTitle: { parameters: ["pointer", "buffer"], result: "void" },
  /** `SDL_Renderer *SDL_CreateRenderer(SDL_Window *window, int index, Uint32 flags)` */
  SDL_CreateRenderer: {
    parameters: ["pointer", "i32", "u32"],
    result: "pointer",
  },
  /** `int SDL_RenderGeometry(SDL_Renderer *renderer, SDL_Texture *texture, const SDL_Vertex *vertices, int num_vertices, const int *indices, int num_indices)` */
  SDL_RenderGeometry: {
    parameters: ["pointer", "pointer", "buffer", "i32", "buffer", "i32"],
    result: "i32",
  },
  /** `void SDL_RenderPresent(SDL_Renderer *renderer)` */
  SDL_RenderPresent: { parameters: ["pointer"], result: "void" },
} as const;

const SDL_INIT_VIDEO = 0x20;
const SDL_WINDOWPOS_UNDEFINED = 0x1fff0000;
const SDL_WINDOW_SHOWN = 4;
const SDL_RENDERER_SOFTWARE = 1;

const SDL_QUIT = 0x100;
const SDL_KEYDOWN = 0x300;
const SDL_MOUSEBUTTONDOWN = 0x401;

/** `SDL_Keycode` of the Escape key. */
export const SDLK_ESCAPE = 27;

type Sdl = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Sdl | undefined;

/**
 * SDL's functions. The first call opens the library and takes up the display.
 *
 * @throws {Deno.errors.NotFound} When SDL 2 is not installed.
 * @throws {Error} When there is no display.
 */
export function sdl2(): Sdl {
  if (opened !== undefined) return opened;
  const sdl = openToolkit(SDL2, SYMBOLS);
  if (sdl.SDL_Init(SDL_INIT_VIDEO) !== 0) throw failure("start SDL", sdl);
  return opened = sdl;
}

/** Ends SDL, and closes its windows. */
export function quitSdl2(): void {
  opened?.SDL_Quit();
  opened = undefined;
}

/** A window, and what draws in it. */
export interface Screen {
  readonly window: Deno.PointerObject;
  readonly renderer: Deno.PointerObject;
}

/** Opens a window. */
export function openScreen(
  title: string,
  size: { width: number; height: number },
): Screen {
  const window = sdl2().SDL_CreateWindow(
    text(title),
    SDL_WINDOWPOS_UNDEFINED,
    SDL_WINDOWPOS_UNDEFINED,
    size.width,
    size.height,
    SDL_WINDOW_SHOWN,
  );
  if (window === null) throw failure("open a window");
  const renderer = sdl2().SDL_CreateRenderer(window, -1, SDL_RENDERER_SOFTWARE);
  if (renderer === null) throw failure("draw in a window");
  return { window, renderer };
}

/** Changes a window's title. */
export function setTitle({ window }: Screen, title: string): void {
  sdl2().SDL_SetWindowTitle(window, text(title));
}

/** Red, green and blue, from 0 to 255. */
export type Colour = readonly [red: number, green: number, blue: number];

/** A corner of a shape. Between corners the colours flow into each other. */
export interface Corner {
  x: number;
  y: number;
  colour: Colour;
}

/** Draws triangles: each three corners are one. */
export function drawTriangles({ renderer }: Screen, corners: Corner[]): void {
  // SDL_Vertex: the place as two floats, the colour with its opacity as four
  // bytes, and two floats for a place in a texture.
  const vertices = new DataView(new ArrayBuffer(20 * corners.length));
  corners.forEach(({ x, y, colour }, i) => {
    vertices.setFloat32(20 * i, x, true);
    vertices.setFloat32(20 * i + 4, y, true);
    [...colour, 255].forEach((value, j) => {
      vertices.setUint8(20 * i + 8 + j, value);
    });
  });
  sdl2()
    .SDL_RenderGeometry(renderer, null, vertices, corners.length, null, 0);
}

/** Draws a rectangle, with one colour at its top and one at its bottom. */
export function drawRectangle(
  screen: Screen,
  { x, y, width, height, top, bottom = top }: {
    x: number;
    y: number;
    width: number;
    height: number;
    top: Colour;
    bottom?: Colour;
  },
): void {
  const left = [{ x, y, colour: top }, { x, y: y + height, colour: bottom }];
  const right = left.map((corner) => ({ ...corner, x: x + width }));
  const [a, b, c, d] = [...left, ...right] as [Corner, Corner, Corner, Corner];
  drawTriangles(screen, [a, b, c, c, b, d]);
}

/**
 * Draws an ellipse, with one colour where the light falls on it and one at its
 * edge.
 *
 * @param light Where the light falls, from its middle, as parts of its radii.
 */
export function drawEllipse(
  screen: Screen,
  { x, y, radii: [across, down], bright, dark, light: [lx, ly] = [0, 0] }: {
    x: number;
    y: number;
    radii: readonly [across: number, down: number];
    bright: Colour;
    dark: Colour;
    light?: readonly [x: number, y: number];
  },
): void {
  const SLICES = 48;
  const lit = { x: x + lx * across, y: y + ly * down, colour: bright };
  const rim = (i: number) => {
    const angle = 2 * Math.PI * i / SLICES;
    return {
      x: x + across * Math.cos(angle),
      y: y + down * Math.sin(angle),
      colour: dark,
    };
  };
  const corners = [];
  for (let i = 0; i < SLICES; i++) corners.push(lit, rim(i), rim(i + 1));
  drawTriangles(screen, corners);
}

/** Shows what was drawn. */
export function present({ renderer }: Screen): void {
  sdl2().SDL_RenderPresent(renderer);
}

/** An event, as far as a small game cares. */
export type SdlEvent =
  | { type: "quit" }
  | { type: "key"; key: number }
  | { type: "click"; x: number; y: number }
  | { type: "other" };

/** Room for an `SDL_Event`. */
export function newEvent(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(56);
}

/** Blocks until there is an event. Returns false if SDL can't wait. */
export function waitEvent(event: Uint8Array<ArrayBuffer>): boolean {
  return sdl2().SDL_WaitEvent(event) === 1;
}

/** Reads an `SDL_Event`. */
export function readEvent(event: Uint8Array<ArrayBuffer>): SdlEvent {
  const view = new DataView(event.buffer, event.byteOffset);
  switch (view.getUint32(0, true)) {
    case SDL_QUIT:
      return { type: "quit" };
    case SDL_KEYDOWN:
      return { type: "key", key: view.getInt32(20, true) };
    case SDL_MOUSEBUTTONDOWN:
      return {
        type: "click",
        x: view.getInt32(20, true),
        y: view.getInt32(24, true),
      };
    default:
      return { type: "other" };
  }
}

function failure(action: string, sdl: Sdl = sdl2()): Error {
  return new Error(`Cannot ${action}: ${textAt(sdl.SDL_GetError())}`);
}
