/**
 * Qt's loop as the host, twice: it is ended by the reactor, and the other way
 * round.
 *
 *     deno run --allow-ffi --allow-env tests/loops/programs/qt_guest.ts 6
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { qtWaker } from "../../../src/loops/qt.ts";
import { slotObject } from "../../../ffi/toolkits/qt.ts";
import { Qt } from "../../../examples/loops/bindings/qt.ts";
import { aliveInside, guestErrors } from "./alive.ts";
import { repeatable } from "./repeatable.ts";
import { say } from "./say.ts";

const version = Deno.args[0] === "5" ? 5 : 6;
const qt = new Qt(version);

const waker = repeatable(qtWaker({ version }));

/** Lets Qt handle all that was posted before. */
function drain(): void {
  const [application, , queued] = waker.passed;
  const exit = slotObject(() => qt.exit());
  waker.callPost([application!, exit, queued!, null]);
  qt.exec();
}

/** How many references the slot object of the work items has left. */
function references(): number {
  const [, slot] = waker.passed;
  return new Deno.UnsafePointerView(slot as Deno.PointerObject).getInt32();
}

function endedByReactor(): void {
  const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
  reactor.interleave(waker);
  const before = references();
  reactor.addSystemEventTrigger("after", "shutdown", () => qt.exit());
  aliveInside(reactor, (guest) => {
    say("guest", guest);
    waker.callPost();
    waker.callPost();
    reactor.callLater(20, () => reactor.stop());
  });
  qt.exec();
  say("host", reactor.inspect().host);
  waker.callPost();
  drain();
  say("references", [before, references()]);
}

async function endedByQt(): Promise<void> {
  const reactor = new Reactor();
  reactor.interleave(qtWaker());
  reactor.callLater(20, () => qt.exit());
  reactor.callLater(3_600_000, () => console.log("too early"));
  let shutdowns = 0;
  reactor.addSystemEventTrigger("after", "shutdown", () => shutdowns++);
  qt.exec();
  say("running", reactor.running);
  await reactor.close();
  say("shutdowns", shutdowns);
  drain();
}

setTimeout(() => {
  endedByReactor();
  endedByQt();
}, 0);
