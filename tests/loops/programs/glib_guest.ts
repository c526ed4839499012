/**
 * GLib's loop has the main thread. The argument says what is tried.
 *
 * @module
 */

import { deferLater, Reactor } from "../../../mod.ts";
import { glibWaker } from "../../../src/loops/glib.ts";
import { aliveInside, guestErrors, idle } from "./alive.ts";
import { glib, mainLoop, sourceFunction } from "./glib_functions.ts";
import { repeatable } from "./repeatable.ts";
import { say } from "./say.ts";

const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });

function quit(): void {
  glib.g_main_loop_quit(mainLoop);
}

/** The reactor stops, and takes the loop with it. */
function stopped(): void {
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", quit);
  aliveInside(reactor, (guest) => {
    say("alive", guest);
    reactor.stop();
  });
  setTimeout(() => {
    glib.g_main_loop_run(mainLoop);
    say("returned");
  }, 0);
}

/** The same beside a source that is always ready, at GLib's usual priority. */
function busy(): void {
  let rounds = 0;
  glib.g_idle_add(sourceFunction(() => ++rounds > 0), null);
  reactor.addSystemEventTrigger(
    "during",
    "shutdown",
    () => say("rounds", rounds),
  );
  stopped();
}

/** Somebody calls the work item too often, and when all is over. */
function called(): void {
  const waker = repeatable(glibWaker());
  reactor.interleave(waker);
  reactor.addSystemEventTrigger("after", "shutdown", quit);
  const answers: unknown[] = [];
  const call = () => answers.push(waker.callWork());
  const callTwice = () => {
    call();
    call();
  };
  reactor.callLater(1, callTwice);
  reactor.callLater(20, () => reactor.stop());
  glib.g_timeout_add(
    10,
    sourceFunction(() => {
      callTwice();
      return false;
    }),
    null,
  );
  setTimeout(async () => {
    glib.g_main_loop_run(mainLoop);
    call();
    await reactor.finished;
    call();
    say("answers", answers);
    say("errors", guestErrors);
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
    say("returned", { ticks, running: reactor.running });
    await reactor.close();
    say("closed", { running: reactor.running });
  }, 0);
}

/** Nothing happens. */
function quiet(): void {
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", quit);
  reactor.callLater(0, async () => {
    const wait = (ms: number) => deferLater(ms, () => {}, { clock: reactor });
    say("idle", await idle(reactor, wait));
    reactor.stop();
  });
  setTimeout(() => glib.g_main_loop_run(mainLoop), 0);
}

({ stopped, busy, quiet, called, quitFirst })[Deno.args[0]!]!();
