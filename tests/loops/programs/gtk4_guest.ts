/**
 * A window of GTK 4's, and GLib's loop has the main thread.
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import {
  column,
  destroyWindow,
  newButton,
  newLabel,
  newMainLoop,
  onClose,
  setLabel,
  showWindow,
} from "../../../examples/loops/bindings/gtk4.ts";
import { glibWaker } from "../../../src/loops/glib.ts";
import { aliveInside, guestErrors } from "./alive.ts";
import { say } from "./say.ts";

const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
const loop = newMainLoop();

const label = newLabel("Nobody has clicked");
const button = newButton("Click", () => {
  setLabel(label, "Somebody has clicked");
  say("clicked");
  aliveInside(reactor, (guest) => say("alive", guest));
});
const window = showWindow("GTK 4 around Deno", {
  width: 300,
  height: 120,
  child: column(button, label),
});
onClose(window, () => reactor.stop());

reactor.interleave(glibWaker());
reactor.addSystemEventTrigger("after", "shutdown", () => {
  destroyWindow(window);
  loop.quit();
});
setTimeout(() => {
  loop.run();
  say("returned");
}, 0);
