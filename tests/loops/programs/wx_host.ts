/**
 * Deno as the host of wxWidgets: a window that is clicked on and closed, and all
 * that goes on beside it.
 *
 *     deno run --allow-ffi --allow-env --allow-net=127.0.0.1 tests/loops/programs/wx_host.ts
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { glibLoop } from "../../../src/loops/glib.ts";
import { Wx } from "../../../examples/loops/bindings/wx.ts";
import { aliveBeside, idle } from "./alive.ts";
import { say } from "./say.ts";

const clicked = Promise.withResolvers<void>();
const closed = Promise.withResolvers<void>();

const reactor = new Reactor();
const wx = new Wx();
const window = wx.frame("wxWidgets under test", {
  text: "Deno is the host",
  button: "Click",
  clicked() {
    window.setText("Clicked");
    clicked.resolve();
  },
  closed: closed.resolve,
});
const attachment = reactor.attach(glibLoop());

await clicked.promise;
say("clicked");
say("alive", await aliveBeside(reactor));
say("idle", await idle(reactor));

await closed.promise;
say("closed");
attachment.detach();
await reactor.close();
