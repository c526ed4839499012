/**
 * The porting guide's worked example: libevent, for which there is no entry point.
 *
 *     deno run --allow-ffi examples/loops/libevent.ts
 *
 * You will see three lines, printed inside `event_base_loop()`, which blocks the
 * main thread, and a last one when it has returned. It needs Debian's packages
 * libevent-core-2.1-7 and libevent-pthreads-2.1-7.
 *
 * @module
 */

import { type NativeWaker, Reactor } from "../../mod.ts";

const libevent = Deno.dlopen("libevent_core-2.1.so.7", {
  event_base_new: { parameters: [], result: "pointer" },
  event_base_loop: { parameters: ["pointer", "i32"], result: "i32" },
  event_base_loopbreak: { parameters: ["pointer"], result: "i32" },
  event_new: {
    parameters: ["pointer", "i32", "i16", "function", "pointer"],
    result: "pointer",
  },
  event_active: { type: "pointer" }, // The address, for the worker.
}).symbols;
const { evthread_use_pthreads } = Deno.dlopen("libevent_pthreads-2.1.so.7", {
  evthread_use_pthreads: { parameters: [], result: "i32" },
}).symbols;

/** `void event_active(struct event *ev, int res, short ncalls)` */
function libeventWaker(base: Deno.PointerValue): NativeWaker {
  return {
    post: libevent.event_active!,
    parameters: ["pointer", "i32", "i16"],
    // One event, made once, whose callback is the work item.
    arguments: (work) => [libevent.event_new(base, -1, 0, work, null), 1, 0],
    callback: { parameters: ["i32", "i16", "pointer"], result: "void" },
  };
}

evthread_use_pthreads(); // Without it event_active() is not thread-safe.
const base = libevent.event_base_new();
const reactor = new Reactor();
function tick(count: number): void {
  console.log(`inside event_base_loop(): ${count}`);
  if (count === 3) reactor.stop();
  else reactor.callLater(100, tick, count + 1);
}
reactor.callLater(100, tick, 1);

// The integration:
reactor.interleave(libeventWaker(base));
reactor.addSystemEventTrigger("after", "shutdown", () => {
  libevent.event_base_loopbreak(base);
});
libevent.event_base_loop(base, 4); // EVLOOP_NO_EXIT_ON_EMPTY

await reactor.finished;
console.log("it has returned");
