/**
 * GLib's loop has the main thread. The argument says what is tried.
 *
 * @module
 */

import { deferLater, type NativeWaker, Reactor } from "../../../mod.ts";
import { glibWaker } from "../../../src/loops/glib.ts";
import { aliveInside, guestErrors, idle } from "./alive.ts";
import { glib, mainLoop, sourceFunction } from "./glib_functions.ts";

const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });

/** What GLib is given to call. */
let work: Deno.PointerObject;

/** GLib's waker, which tells what it passes. */
function listeningWaker(): NativeWaker {
  const waker = glibWaker();
  return {
    ...waker,
    arguments(pointer) {
      work = pointer;
      return waker.arguments(pointer);
    },
  };
}

/** As GLib would call it, though nothing was posted. */
function callWork(): number {
  return new Deno.UnsafeFnPointer(
    work as Deno.PointerObject<
      { parameters: ["pointer"]; result: "i32" }
    >,
    { parameters: ["pointer"], result: "i32" },
  ).call(null);
}

function quit(): void {
  glib.g_main_loop_quit(mainLoop);
}

/** The reactor stops, and takes the loop with it. */
function stopped(): void {
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", quit);
  aliveInside(reactor, (guest) => {
    console.log("alive", JSON.stringify(guest));
    reactor.stop();
  });
  setTimeout(() => {
    glib.g_main_loop_run(mainLoop);
    console.log("returned");
  }, 0);
}

/** The same beside a source that is always ready, at GLib's usual priority. */
function busy(): void {
  let rounds = 0;
  glib.g_idle_add(sourceFunction(() => ++rounds > 0), null);
  reactor.addSystemEventTrigger(
    "during",
    "shutdown",
    () => console.log("rounds", rounds),
  );
  stopped();
}

/** Somebody calls the work item too often, and when all is over. */
function called(): void {
  reactor.interleave(listeningWaker());
  reactor.addSystemEventTrigger("after", "shutdown", quit);
  const answers: number[] = [];
  reactor.callLater(1, () => answers.push(callWork(), callWork()));
  reactor.callLater(20, () => reactor.stop());
  glib.g_timeout_add(
    10,
    sourceFunction(() => {
      answers.push(callWork(), callWork());
      return false;
    }),
    null,
  );
  setTimeout(async () => {
    glib.g_main_loop_run(mainLoop);
    answers.push(callWork());
    await reactor.finished;
    answers.push(callWork());
    console.log("answers", JSON.stringify(answers));
    console.log("errors", JSON.stringify(guestErrors));
  }, 0);
}

/** GLib's loop ends first, in the middle of everything. */
function quitFirst(): void {
  reactor.interleave(glibWaker());
  let ticks = 0;
  function tick(): void {
    ticks++;
    reactor.callLater(1, tick);
  }
  tick();
  const quitting = sourceFunction(() => {
    quit();
    return false;
  });
  glib.g_timeout_add(100, quitting, null);
  setTimeout(async () => {
    glib.g_main_loop_run(mainLoop);
    console.log(
      "returned",
      JSON.stringify({ ticks, running: reactor.running }),
    );
    await reactor.close();
    console.log("closed", JSON.stringify({ running: reactor.running }));
  }, 0);
}

/** Nothing happens. */
function quiet(): void {
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", quit);
  reactor.callLater(0, async () => {
    const wait = (ms: number) => deferLater(ms, () => {}, { clock: reactor });
    console.log("idle", JSON.stringify(await idle(reactor, wait)));
    reactor.stop();
  });
  setTimeout(() => glib.g_main_loop_run(mainLoop), 0);
}

({ stopped, busy, quiet, called, quitFirst })[Deno.args[0]!]!();
