/**
 * Plain Xlib in Deno's loop: each case is one function.
 *
 *     x11_host.ts <case>
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { openToolkit } from "../../../ffi/toolkits/library.ts";
import { X11 } from "../../../ffi/toolkits/x11.ts";
import { x11Loop } from "../../../src/loops/x11.ts";
import { XWindow } from "../../../examples/loops/bindings/x11.ts";
import { aliveBeside, idle } from "./alive.ts";
import { say } from "./say.ts";

const SIZE = { width: 200, height: 100, background: 0x3366cc };

const xlib = openToolkit(X11, {
  /** `int XSync(Display *display, Bool discard)` */
  XSync: { parameters: ["pointer", "i32"], result: "i32" },
});

const errors: unknown[] = [];
const reactor = new Reactor({ onError: (error) => errors.push(error) });

/** Clicks into the window, and returns when the server has the click. */
function click(): void {
  const { success } = new Deno.Command("xdotool", {
    args: "mousemove 300 300 mousemove 50 50 click 1".split(" "),
  }).outputSync();
  say("clicked", success);
}

const CASES = {
  async window(): Promise<void> {
    const window = new XWindow("Host", SIZE);
    const { promise, resolve } = Promise.withResolvers<void>();
    const paint = (colour: number) => {
      window.setColour(colour);
      window.drawDisc(100, 50, 40);
    };
    const attachment = reactor.attach(x11Loop(window.display, (bytes) => {
      const event = window.read(bytes);
      if (event.type === "expose") paint(0xffffff);
      if (event.type === "close") resolve();
      if (event.type !== "click") return;
      paint(0xcc3366);
      say("click", event);
      // The ones after it come all the same.
      throw new Error("on purpose");
    }));
    say("beside", await aliveBeside(reactor));
    say("idle", await idle(reactor));
    // Drawn by plain code, and sent by the next "prepare".
    setTimeout(() => {
      paint(0x33cc66);
      attachment.kick();
      say("painted");
    });
    await promise;
    say("errors", errors.map(String));
    attachment.detach();
    window.close();
    await reactor.close();
    say("quit");
  },

  /** What Xlib has read, the descriptor does not tell of. */
  async readAhead(): Promise<void> {
    const window = new XWindow("Host", SIZE);
    const mapped = Promise.withResolvers<void>();
    const clicked = Promise.withResolvers<void>();
    const attachment = reactor.attach(x11Loop(window.display, (bytes) => {
      const { type } = window.read(bytes);
      if (type === "expose") mapped.resolve();
      if (type === "click") clicked.resolve();
    }));
    await mapped.promise;
    reactor.callLater(1, () => {
      click();
      xlib.XSync(window.display, 0);
    });
    await clicked.promise;
    attachment.detach();
    window.close();
    await reactor.close();
    say("quit");
  },

  /** The callback closes the connection, with more events to come. */
  async closedInside(): Promise<void> {
    const window = new XWindow("Host", SIZE);
    const { promise, resolve } = Promise.withResolvers<void>();
    let seen = 0;
    const attachment = reactor.attach(x11Loop(window.display, (bytes) => {
      const { type } = window.read(bytes);
      if (type === "expose") {
        for (let i = 0; i < 10; i++) click();
        return;
      }
      if (type !== "click") return;
      seen++;
      attachment.detach();
      window.close();
      resolve();
    }));
    await promise;
    await reactor.close();
    say("seen", seen);
  },
};

await CASES[Deno.args[0] as keyof typeof CASES]();
