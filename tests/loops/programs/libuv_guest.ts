/**
 * The reactor inside `uv_run()`. Each case is one function.
 *
 *     libuv_guest.ts <case>
 *
 * @module
 */

import {
  run,
  startTimer,
  stop,
} from "../../../examples/loops/bindings/libuv.ts";
import { type NativeWaker, Reactor } from "../../../mod.ts";
import { libuvWaker } from "../../../src/loops/libuv.ts";
import { aliveInside, guestErrors } from "./alive.ts";
import { repeatable } from "./repeatable.ts";
import { say } from "./say.ts";

const CASES = { stops, endsFirst, calledTwice, again };

const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });

function interleave(waker: NativeWaker): void {
  reactor.interleave(waker);
  reactor.addSystemEventTrigger("after", "shutdown", stop);
}

/** The reactor is stopped, and stops libuv's loop. */
async function stops(): Promise<void> {
  interleave(libuvWaker());
  aliveInside(reactor, (guest) => {
    say("guest", guest);
    reactor.stop();
  });
  run();
  say("returned", reactor.running);
  // The waker's handle is closed by then: there is nothing to wait for.
  await reactor.finished;
  run();
  say("empty");
}

/** libuv's loop is stopped, and the reactor afterwards. */
async function endsFirst(): Promise<void> {
  interleave(libuvWaker());
  let triggered = false;
  reactor.addSystemEventTrigger("after", "shutdown", () => triggered = true);
  const timer = startTimer(50, () => {
    timer.close();
    stop();
  });
  run();
  say("returned", reactor.running);
  await reactor.close();
  say("closed", triggered);
}

/** libuv calls the work item as often as it likes. */
async function calledTwice(): Promise<void> {
  const waker = repeatable(libuvWaker());
  interleave(waker);
  let calls = 0;
  function tick(): void {
    waker.callWork(); // Inside of itself.
    if (++calls === 3) reactor.stop();
    else reactor.callLater(10, tick);
  }
  reactor.callLater(10, tick);
  const timer = startTimer(1, () => {
    waker.callWork();
    waker.callWork();
  });
  run();
  say("calls", calls);
  timer.close();
  await reactor.finished;
  waker.callWork();
  say("late", calls);
}

/** The same waker for two reactors, the second begun before the first is gone. */
async function again(): Promise<void> {
  const waker = libuvWaker();
  const first = new Reactor();
  const second = new Reactor();
  const runs: string[] = [];
  for (const one of [first, second]) {
    one.interleave(waker);
    if (one === second) await first.close();
    one.callLater(10, () => {
      runs.push(one === first ? "one" : "two");
      stop();
    });
    run();
    one.stop();
  }
  await second.close();
  run();
  say("runs", runs);
}

setTimeout(CASES[Deno.args[0] as keyof typeof CASES], 0);
