/**
 * A window of GTK 4's while Deno's loop has the main thread.
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import {
  column,
  destroyWindow,
  newButton,
  newLabel,
  onClose,
  setLabel,
  showWindow,
} from "../../../examples/loops/bindings/gtk4.ts";
import { glibLoop } from "../../../src/loops/glib.ts";
import { aliveBeside, idle } from "./alive.ts";
import { say } from "./say.ts";

const reactor = new Reactor();
const attachment = reactor.attach(glibLoop());

const clicked = Promise.withResolvers<void>();
const closed = Promise.withResolvers<void>();
const label = newLabel("Nobody has clicked");
const button = newButton("Click", () => {
  setLabel(label, "Somebody has clicked");
  clicked.resolve();
});
const window = showWindow("GTK 4 beside Deno", {
  width: 300,
  height: 120,
  child: column(button, label),
});
onClose(window, closed.resolve);

await clicked.promise;
say("clicked");
say("alive", await aliveBeside(reactor));
say("idle", await idle(reactor));
await closed.promise;
destroyWindow(window);
attachment.detach();
say("detached");
