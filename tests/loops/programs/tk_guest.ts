/**
 * The reactor inside Tk's main loop. Each case is one function.
 *
 *     tk_guest.ts <case>
 *
 * @module
 */

import { Tk } from "../../../examples/loops/bindings/tk.ts";
import { FileDescriptor, type NativeWaker, Reactor } from "../../../mod.ts";
import { tkWaker } from "../../../src/loops/tk.ts";
import { aliveInside, guestErrors } from "./alive.ts";
import { repeatable } from "./repeatable.ts";
import { say } from "./say.ts";

const CASES = { stops, endsFirst, calledTwice, inScript, again };

const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
const tk = new Tk();

function interleave(waker: NativeWaker): void {
  reactor.interleave(waker);
  reactor.addSystemEventTrigger("after", "shutdown", () => tk.destroy());
}

/** The reactor is stopped, and ends Tk's loop. */
function stops(): void {
  interleave(tkWaker());
  aliveInside(reactor, (guest) => {
    say("guest", guest);
    reactor.stop();
  });
  tk.mainLoop();
  say("returned", reactor.running);
}

/** Tk's loop ends, and the reactor afterwards. */
async function endsFirst(): Promise<void> {
  interleave(tkWaker());
  let triggered = false;
  reactor.addSystemEventTrigger("after", "shutdown", () => triggered = true);
  tk.evaluate("after 50 {destroy .}");
  tk.mainLoop();
  say("returned", reactor.running);
  await reactor.close();
  say("closed", triggered);
}

/** Tk calls the work item as often as it likes. */
async function calledTwice(): Promise<void> {
  const waker = repeatable(tkWaker());
  interleave(waker);
  let calls = 0;
  function tick(): void {
    waker.callWork(); // Inside of itself.
    if (++calls === 3) reactor.stop();
    else reactor.callLater(10, tick);
  }
  reactor.callLater(10, tick);
  tk.command("work", waker.callWork);
  tk.evaluate("proc again {} {work; work; after 1 again}; again");
  tk.mainLoop();
  say("calls", calls);
  await reactor.finished;
  waker.callWork();
  say("late", calls);
}

/** The reactor has something to do while a script runs. */
function inScript(): void {
  interleave(tkWaker());
  const [output, input] = FileDescriptor.pipe();
  tk.set("script", "whole");
  reactor.addReader({
    fileno: () => output.fileno(),
    doRead() {
      say("script", tk.get("script"));
      say("served", tk.get("over") === "yes");
      reactor.removeAll();
      output.close();
      input.close();
      reactor.stop();
    },
    connectionLost() {},
  });
  tk.command("write", () => void input.write(new Uint8Array(1)));
  // Long enough for the worker to see the byte and to tell Tcl of it.
  tk.evaluate(`
    after 20 {
      set script broken
      write
      set end [expr {[clock milliseconds] + 100}]
      while {[clock milliseconds] < $end} {}
      set script whole
      set over yes
    }
  `);
  tk.mainLoop();
}

/** The same waker for two reactors, the second begun before the first is gone. */
async function again(): Promise<void> {
  const waker = tkWaker();
  const before = lowestFree();
  const first = new Reactor();
  const second = new Reactor();
  const runs: string[] = [];
  for (const one of [first, second]) {
    one.interleave(waker);
    if (one === second) await first.close();
    one.callLater(10, () => tk.set("done", one === first ? "one" : "two"));
    tk.evaluate("vwait done");
    runs.push(tk.get("done"));
    one.stop();
  }
  say("runs", runs);
  await second.close();
  say("leaked", lowestFree() - before);
  tk.destroy();
}

/** The number of the next descriptor that is opened. */
function lowestFree(): number {
  const [output, input] = FileDescriptor.pipe();
  const number = output.fileno();
  output.close();
  input.close();
  return number;
}

setTimeout(CASES[Deno.args[0] as keyof typeof CASES], 0);
