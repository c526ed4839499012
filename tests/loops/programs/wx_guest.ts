/**
 * The loop of wxWidgets as the host, twice: it is ended by the reactor, and the
 * other way round.
 *
 *     deno run --allow-ffi --allow-env tests/loops/programs/wx_guest.ts
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { glibWaker } from "../../../src/loops/glib.ts";
import { Wx } from "../../../examples/loops/bindings/wx.ts";
import { aliveInside, guestErrors } from "./alive.ts";
import { repeatable } from "./repeatable.ts";
import { say } from "./say.ts";

const wx = new Wx();
wx.frame("wxWidgets under test", {
  text: "wxWidgets is the host",
  button: "Click",
  clicked: () => say("clicked"),
  closed: () => say("closed"),
});

const waker = repeatable(glibWaker());

function endedByReactor(): void {
  const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
  reactor.interleave(waker);
  reactor.addSystemEventTrigger("after", "shutdown", () => wx.exitMainLoop());
  aliveInside(reactor, (guest) => {
    say("guest", guest);
    waker.callPost();
    waker.callPost();
    reactor.callLater(20, () => reactor.stop());
  });
  wx.mainLoop();
  say("host", reactor.inspect().host);
  waker.callPost(); // Late: the next loop will find it.
}

async function endedByWx(): Promise<void> {
  const reactor = new Reactor();
  reactor.interleave(glibWaker());
  reactor.callLater(20, () => wx.exitMainLoop());
  let shutdowns = 0;
  reactor.addSystemEventTrigger("after", "shutdown", () => shutdowns++);
  wx.mainLoop();
  say("running", reactor.running);
  await reactor.close();
  say("shutdowns", shutdowns);
}

setTimeout(() => {
  endedByReactor();
  endedByWx();
}, 0);
