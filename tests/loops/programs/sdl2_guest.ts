/**
 * A loop around SDL_WaitEvent with a reactor in it: each case is one function.
 *
 *     sdl2_guest.ts <case>
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { SDL2 } from "../../../ffi/toolkits/sdl2.ts";
import { openToolkit } from "../../../ffi/toolkits/library.ts";
import { type Sdl2Waker, sdl2Waker } from "../../../src/loops/sdl2.ts";
import {
  newEvent,
  openScreen,
  quitSdl2,
  sdl2,
  waitEvent,
} from "../../../examples/loops/bindings/sdl2.ts";
import { aliveInside, guestErrors } from "./alive.ts";
import { say } from "./say.ts";

const sdl = openToolkit(SDL2, {
  /** `void SDL_FlushEvent(Uint32 type)` */
  SDL_FlushEvent: { parameters: ["u32"], result: "void" },
});

function newReactor(): Reactor {
  return new Reactor({ onError: (error) => guestErrors.push(error) });
}

/** Lets the worker come and post meanwhile; nothing hangs on whether it did. */
function holdUp(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/**
 * The loop of a program, until `over` says so.
 *
 * @param calls How often to call for work at each wake-up.
 */
function run(
  reactor: Reactor,
  waker: Sdl2Waker,
  over: () => boolean,
  calls: number = 1,
): void {
  const event = newEvent();
  while (!over() && waitEvent(event)) {
    if (!waker.isWake(event)) continue;
    for (let i = 0; i < calls; i++) reactor.work();
  }
}

/** Runs until the reactor has stopped. */
function runUntilStopped(
  reactor: Reactor,
  waker: Sdl2Waker,
  calls?: number,
): void {
  let stopped = false;
  reactor.addSystemEventTrigger("after", "shutdown", () => stopped = true);
  run(reactor, waker, () => stopped, calls);
}

const CASES = {
  alive(): void {
    openScreen("Guest", { width: 200, height: 100 });
    const reactor = newReactor();
    const waker = sdl2Waker();
    reactor.interleave(waker);
    aliveInside(reactor, (guest) => {
      say("inside", guest);
      reactor.stop();
    });
    runUntilStopped(reactor, waker, 3);
    quitSdl2();
    reactor.work(); // Too late.
    say("quit");
  },

  async first(): Promise<void> {
    openScreen("Guest", { width: 200, height: 100 });
    const reactor = newReactor();
    const waker = sdl2Waker();
    let calls = 0;
    const call = () => {
      calls++;
      reactor.callLater(1, call);
    };
    call();
    reactor.addSystemEventTrigger("before", "shutdown", () => say("shutdown"));
    reactor.interleave(waker);
    run(reactor, waker, () => calls >= 20);
    await reactor.close();
    quitSdl2();
    say("quit", reactor.inspect().host);
  },

  full(): void {
    sdl2();
    const reactor = newReactor();
    const waker = sdl2Waker();
    const other = sdl2Waker();
    const event = newEvent();
    new DataView(event.buffer).setUint32(0, other.eventType, true);
    let pushed = 0;
    while (sdl2().SDL_PushEvent(event) === 1) pushed++;
    say("pushed", pushed);
    reactor.callLater(0, () => reactor.stop());
    reactor.interleave(waker);
    holdUp(50);
    runUntilStopped(reactor, waker);
    quitSdl2();
    say("quit", [other.isWake(event), waker.isWake(event)]);
  },

  flushed(): void {
    sdl2();
    const reactor = newReactor();
    const waker = sdl2Waker();
    let calls = 0;
    reactor.callLater(0, () => calls++);
    reactor.interleave(waker);
    reactor.work(); // Too early, if the worker has not reported.
    while (calls === 0) {
      sdl.SDL_FlushEvent(waker.eventType);
      reactor.work();
      holdUp(1);
    }
    say("called", calls);
    reactor.stop();
    runUntilStopped(reactor, waker);
    quitSdl2();
    say("quit");
  },

  cycles(): void {
    for (let i = 0; i < 25; i++) {
      sdl2();
      openScreen("Guest", { width: 200, height: 100 });
      const reactor = newReactor();
      const waker = sdl2Waker();
      let calls = 0;
      // It posts all the time, and is told to stop at any moment of that.
      const call = () => {
        reactor.callLater(i % 2, call);
        if (++calls === 5 + i) reactor.stop();
      };
      reactor.callLater(0, call);
      reactor.interleave(waker);
      runUntilStopped(reactor, waker);
      quitSdl2();
    }
    say("quit");
  },
};

setTimeout(CASES[Deno.args[0] as keyof typeof CASES], 0);
