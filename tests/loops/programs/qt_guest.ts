/**
 * Qt's loop as the host, twice: it is ended by the reactor, and the other way
 * round.
 *
 *     deno run --allow-ffi --allow-env tests/loops/programs/qt_guest.ts 6
 *
 * @module
 */

import { type NativeWaker, Reactor } from "../../../mod.ts";
import { qtWaker } from "../../../src/loops/qt.ts";
import { slotObject } from "../../../ffi/toolkits/qt.ts";
import { Qt } from "../../../examples/loops/bindings/qt.ts";
import { aliveInside, guestErrors } from "./alive.ts";

const version = Deno.args[0] === "5" ? 5 : 6;
const qt = new Qt(version);

const waker = qtWaker({ version });
const { parameters, result = "void" } = waker;
const invokeMethod = new Deno.UnsafeFnPointer(
  waker.post as Deno.PointerObject<Deno.ForeignFunction>,
  { parameters, result } as Deno.ForeignFunction,
);
/** What the worker passes. */
let args: ReturnType<NativeWaker["arguments"]> = [];

/** Posts a work item that nobody asked for. */
function post(): void {
  invokeMethod.call(...args as never[]);
}

/** Lets Qt handle all that was posted before. */
function drain(): void {
  const [application, , queued] = args;
  const exit = slotObject(() => qt.exit());
  invokeMethod.call(...[application, exit, queued, null] as never[]);
  qt.exec();
}

/** How many references the slot object of the work items has left. */
function references(): number {
  return new Deno.UnsafePointerView(args[1] as Deno.PointerObject).getInt32();
}

function endedByReactor(): void {
  const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
  reactor.interleave({
    ...waker,
    arguments: (work) => args = waker.arguments(work),
  });
  const before = references();
  reactor.addSystemEventTrigger("after", "shutdown", () => qt.exit());
  aliveInside(reactor, (guest) => {
    console.log("guest", JSON.stringify(guest));
    post();
    post();
    reactor.callLater(20, () => reactor.stop());
  });
  qt.exec();
  console.log("host", reactor.inspect().host);
  post();
  drain();
  console.log("references", JSON.stringify([before, references()]));
}

async function endedByQt(): Promise<void> {
  const reactor = new Reactor();
  reactor.interleave(qtWaker());
  reactor.callLater(20, () => qt.exit());
  reactor.callLater(3_600_000, () => console.log("too early"));
  let shutdowns = 0;
  reactor.addSystemEventTrigger("after", "shutdown", () => shutdowns++);
  qt.exec();
  console.log("running", reactor.running);
  await reactor.close();
  console.log("shutdowns", shutdowns);
  drain();
}

setTimeout(() => {
  endedByReactor();
  endedByQt();
}, 0);
