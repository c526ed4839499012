/**
 * A window drawn with plain Xlib, without any toolkit, in Deno's loop.
 *
 *     deno run --allow-ffi examples/loops/x11.ts
 *
 * Click into it: a mark shows where, and a `setInterval` of Deno's counts the
 * seconds since. Escape, q, or closing the window, ends it.
 *
 * Deno is the host. The other form, in which Xlib has the main thread, does not
 * exist: no other thread can make `XNextEvent` return. Nor is it needed, since
 * the reactor's worker waits for the connection's descriptor, and never calls
 * Xlib: there is one thread as far as that can tell, and no `XInitThreads`.
 *
 * @module
 */

import { Reactor } from "../../mod.ts";
import { x11Loop } from "../../src/loops/x11.ts";
import { XK_Escape, XK_q, XWindow } from "./bindings/x11.ts";

const PAPER = 0xf4efe6;
const INK = 0x2b3440;
const GRID = 0xdcd5c8;
const MARK = 0xd1495b;

const WIDTH = 400;
const HEIGHT = 300;

const reactor = new Reactor();
const window = new XWindow("Where did you click?", {
  ...{ width: WIDTH, height: HEIGHT, background: PAPER },
});

let click: { x: number; y: number; at: number } | undefined;

// The integration, Deno as the host:
const attachment = reactor.attach(x11Loop(window.display, handle));
reactor.addSystemEventTrigger("after", "shutdown", () => {
  attachment.detach();
  window.close();
});

// What is drawn outside the reactor's callbacks has to be sent.
const ticking = setInterval(() => {
  draw();
  attachment.kick();
}, 1000);
reactor.addSystemEventTrigger("before", "shutdown", clearInterval, ticking);

function handle(bytes: Uint8Array<ArrayBuffer>): void {
  const event = window.read(bytes);
  switch (event.type) {
    case "expose":
      draw();
      break;
    case "click":
      click = { x: event.x, y: event.y, at: Date.now() };
      console.log(`You clicked at ${click.x}, ${click.y}`);
      draw();
      break;
    case "key":
      if (event.key === XK_Escape || event.key === XK_q) quit();
      break;
    case "close":
      quit();
  }
}

function draw(): void {
  window.clear();
  window.setColour(GRID);
  for (let x = 20; x < WIDTH; x += 20) window.drawLine(x, 0, x, HEIGHT);
  for (let y = 20; y < HEIGHT; y += 20) window.drawLine(0, y, WIDTH, y);
  let words = "Click anywhere. Escape or q ends this.";
  if (click !== undefined) {
    const { x, y, at } = click;
    const seconds = Math.floor((Date.now() - at) / 1000);
    words = `You clicked at ${x}, ${y}, ${seconds} s ago.`;
    window.setColour(MARK);
    window.drawLine(x, 0, x, HEIGHT);
    window.drawLine(0, y, WIDTH, y);
    window.drawDisc(x, y, 6);
  }
  window.setColour(INK);
  window.drawText(30, 45, words);
}

let stopping = false;

/** Stops the reactor, and the rest after it; a second click changes nothing. */
function quit(): void {
  if (!stopping) reactor.stop();
  stopping = true;
}

await reactor.run();
