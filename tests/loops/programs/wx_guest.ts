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

const wx = new Wx();
wx.frame("wxWidgets under test", {
  text: "wxWidgets is the host",
  button: "Click",
  clicked: () => console.log("clicked"),
  closed: () => console.log("closed"),
});

const waker = glibWaker();
const { parameters, result = "void" } = waker;
const addIdle = new Deno.UnsafeFnPointer(
  waker.post as Deno.PointerObject<Deno.ForeignFunction>,
  { parameters, result } as Deno.ForeignFunction,
);
/** What the worker passes. */
let args: ReturnType<typeof waker.arguments> = [];

/** Posts a work item that nobody asked for. */
function post(): void {
  addIdle.call(...args as never[]);
}

function endedByReactor(): void {
  const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
  reactor.interleave({
    ...waker,
    arguments: (work) => args = waker.arguments(work),
  });
  reactor.addSystemEventTrigger("after", "shutdown", () => wx.exitMainLoop());
  aliveInside(reactor, (guest) => {
    console.log("guest", JSON.stringify(guest));
    post();
    post();
    reactor.callLater(20, () => reactor.stop());
  });
  wx.mainLoop();
  console.log("host", reactor.inspect().host);
  post(); // Late: the next loop will find it.
}

async function endedByWx(): Promise<void> {
  const reactor = new Reactor();
  reactor.interleave(glibWaker());
  reactor.callLater(20, () => wx.exitMainLoop());
  let shutdowns = 0;
  reactor.addSystemEventTrigger("after", "shutdown", () => shutdowns++);
  wx.mainLoop();
  console.log("running", reactor.running);
  await reactor.close();
  console.log("shutdowns", shutdowns);
}

setTimeout(() => {
  endedByReactor();
  endedByWx();
}, 0);
