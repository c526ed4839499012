/**
 * A window of Cocoa's with one button, in whose loop a reactor lives. What comes
 * first at the end is the argument: `reactor` or `loop`.
 *
 * @module
 */

import {
  application,
  button,
  fill,
  type Id,
  object,
  selector,
  send,
  show,
  stop,
  stringOf,
  window,
} from "../../../examples/loops/bindings/cocoa.ts";
import { Reactor } from "../../../mod.ts";
import { cocoaWaker } from "../../../src/loops/cocoa.ts";
import { classNamed } from "../../../ffi/toolkits/objc.ts";
import { aliveInside, guestErrors } from "./alive.ts";

const LEFT_MOUSE_DOWN = 2n;

const reactorFirst = Deno.args[0] === "reactor";
const app = application("CocoaGuest");
const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
const waker = cocoaWaker();
let callWork = () => {};

const main = window("One Button", { width: 200, height: 100 });
const big = button({ x: 20, y: 20, width: 160, height: 60 }, "Hold me");
fill(main, [[big, 0n]]);
// The action comes when the button goes down, and then Cocoa follows the mouse.
send(send(big, "cell"), "sendActionOn:", LEFT_MOUSE_DOWN);
const target = object("Target", { "down:": held });
send(big, "setTarget:", target);
send(big, "setAction:", selector("down:"));

reactor.interleave({
  ...waker,
  arguments(work) {
    const signature = {
      parameters: ["pointer", "pointer", "pointer"],
      result: "void",
    } as const;
    const again = new Deno.UnsafeFnPointer(
      work as Deno.PointerObject<typeof signature>,
      signature,
    );
    callWork = () => again.call(null, null, null);
    return waker.arguments(work);
  },
});
reactor.callLater(0, () => {
  aliveInside(reactor, (guest) => {
    say("guest", { ...guest, mode: mode() });
    modal();
  });
});
if (reactorFirst) {
  reactor.addSystemEventTrigger("after", "shutdown", () => stop(app));
}

/** A modal loop, from a callback of the reactor's, which ends it as well. */
function modal(): void {
  const panel = window("A Panel", { width: 200, height: 100 });
  reactor.modal(waker, () => {
    reactor.callLater(20, () => {
      say("modal", mode());
      stop(app);
    });
    send(app, "runModalForWindow:", panel);
  });
  send(panel, "orderOut:", null);
  say("ready", null);
}

/** Cocoa calls this while the mouse button is down. */
function held(): void {
  guestErrors.length = 0;
  aliveInside(reactor, (guest) => {
    say("held", { ...guest, mode: mode() });
    for (let i = 0; i < 2; i++) callWork(); // Too often.
    if (reactorFirst) reactor.stop();
    else stop(app);
  });
}

function mode(): string {
  const loop = send(classNamed("NSRunLoop"), "currentRunLoop");
  return stringOf(send(loop, "currentMode"));
}

function say(word: string, value: unknown): void {
  console.log(word, JSON.stringify(value));
}

async function run(application: Id): Promise<void> {
  send(application, "run");
  say("returned", reactor.running);
  if (!reactorFirst) await reactor.close();
  await reactor.finished;
  callWork(); // Too late.
  say("ended", null);
}

show(app, main);
setTimeout(() => run(app), 0);
