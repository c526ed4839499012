/**
 * A window of wxWidgets, and a reactor that says hello every second, and one
 * thing more after two.
 *
 *     deno run --allow-ffi examples/loops/wx.ts
 *
 * You will see the words in the window, and on standard output. Deno is the host
 * in this form. With `guest` behind the command the window has the main thread,
 * inside `wxApp::MainLoop()`. "Exit", or closing the window, stops the reactor
 * first, and then the rest.
 *
 * On Linux wxWidgets is GTK in disguise, and its loop is GLib's. So GLib's waker
 * and GLib's loop are all it takes. `wxPostEvent()` would do the same as the
 * waker, by a longer way: an event type, an event and a handler of one's own,
 * until an idle source of GLib's delivers it.
 *
 * @module
 */

import { Reactor } from "../../mod.ts";
import { glibLoop, glibWaker } from "../../src/loops/glib.ts";
import { Wx } from "./bindings/wx.ts";

const reactor = new Reactor();
const wx = new Wx();

const window = wx.frame("wxWidgets and Deno", {
  text: "Hello is said here",
  button: "Exit",
  clicked: stop,
  closed: stop,
});

let stopping = false;

/** Stops the reactor, and the rest after it; a second click changes nothing. */
function stop(): void {
  if (!stopping) reactor.stop();
  stopping = true;
}

function say(text: string): void {
  console.log(text);
  window.setText(text);
}

let hellos = 0;

function hello(): void {
  say(`hello, number ${++hellos}`);
  reactor.callLater(1000, hello);
}

function host(): void {
  // The integration, Deno as the host:
  reactor.attach(glibLoop());
}

async function guest(): Promise<void> {
  // The integration:
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", () => wx.exitMainLoop());
  wx.mainLoop();

  await reactor.close(); // If something else ended the loop of wxWidgets.
}

reactor.callLater(0, hello);
reactor.callLater(2000, say, "two seconds have passed");
// A promise is served inside that loop only if a timer began it.
setTimeout(Deno.args[0] === "guest" ? guest : host, 0);
