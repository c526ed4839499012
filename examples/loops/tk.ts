/**
 * A Tk window with a clock, a field and buttons, in Deno's loop or in Tcl's.
 *
 *     deno run --allow-ffi --allow-net=127.0.0.1 examples/loops/tk.ts
 *
 * Deno is the host in this form: a `setInterval` moves the clock, and "Greet"
 * fetches the greeting from a `Deno.serve` in the same program. The address is
 * shown, so that you can send requests of your own, and they are counted.
 *
 * With `guest` behind the command the window has the main thread, inside
 * `Tk_MainLoop()`. Then Deno's timers and its network stand still, and the
 * reactor does it all: delayed calls move the clock, and write the greeting
 * letter by letter.
 *
 * "Quit", or closing the window, stops the reactor first, and then the rest.
 *
 * @module
 */

import { Reactor } from "../../mod.ts";
import { tkLoop, tkWaker } from "../../src/loops/tk.ts";
import { Tk } from "./bindings/tk.ts";

const WINDOW = `
  wm title . "Tk and Deno"
  wm geometry . +60+60
  wm protocol . WM_DELETE_WINDOW quit
  label .clock -textvariable clock -font {Helvetica 28 bold}
  label .question -text "Your name"
  entry .name -textvariable name -width 20
  button .greet -text "Greet" -command greet
  label .greeting -textvariable greeting -width 40 -height 2 -fg navy
  label .status -textvariable status -fg gray40
  button .quit -text "Quit" -command quit
  grid .clock - - -padx 12 -pady 12
  grid .question .name .greet -padx 12 -pady 4
  grid .greeting - - -padx 12
  grid .status - .quit -padx 12 -pady 12
  bind .name <Return> greet
  focus .name
`;

const reactor = new Reactor();

function openWindow(greet: (tk: Tk, name: string) => void): Tk {
  const tk = new Tk();
  tk.command("greet", () => greet(tk, tk.get("name").trim() || "you there"));
  tk.command("quit", () => reactor.stop());
  tk.evaluate(WINDOW);
  showTime(tk);
  return tk;
}

function showTime(tk: Tk): void {
  tk.set("clock", new Date().toLocaleTimeString("en-GB"));
}

async function host(): Promise<void> {
  // The integration, Deno as the host:
  reactor.attach(tkLoop());
  const tk = openWindow(greet);
  reactor.addSystemEventTrigger("after", "shutdown", () => tk.destroy());

  let requests = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    ({ url }) => {
      tk.set("status", `Requests to ${address}: ${++requests}`);
      return new Response(`Hello, ${new URL(url).searchParams.get("name")}!`);
    },
  );
  const address = `http://127.0.0.1:${server.addr.port}`;
  tk.set("status", `Requests to ${address}: 0`);

  async function greet(tk: Tk, name: string): Promise<void> {
    const response = await fetch(`${address}?${new URLSearchParams({ name })}`);
    tk.set("greeting", await response.text());
  }

  const ticking = setInterval(showTime, 1000, tk);
  await reactor.run();
  clearInterval(ticking);
  await server.shutdown();
}

async function guest(): Promise<void> {
  const tk = openWindow(greet);

  function tick(): void {
    showTime(tk);
    reactor.callLater(1000, tick);
  }
  reactor.callLater(1000, tick);
  tk.set("status", "Deno waits for this window");

  function greet(tk: Tk, name: string): void {
    const letters = [...`Hello, ${name}!`];
    letters.forEach((_, i) => {
      reactor.callLater(40 * i, () => {
        tk.set("greeting", letters.slice(0, i + 1).join(""));
      });
    });
  }

  // The integration:
  reactor.interleave(tkWaker());
  reactor.addSystemEventTrigger("after", "shutdown", () => tk.destroy());
  tk.mainLoop();

  await reactor.close(); // If something else took the window away.
}

// A promise is served inside the window's loop only if that was begun by a timer.
setTimeout(Deno.args[0] === "guest" ? guest : host, 0);
