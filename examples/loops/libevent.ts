/**
 * The porting guide's worked example: libevent, for which there is no entry point.
 *
 *     deno run --allow-ffi examples/loops/libevent.ts
 *
 * You will see a line that is printed inside `event_base_loop()`, which blocks
 * the main thread, and one when it has returned. It needs Debian's packages
 * libevent-core-2.1-7 and libevent-pthreads-2.1-7.
 *
 * @module
 */

import { type NativeWaker, Reactor } from "../../mod.ts";

const P = "pointer";
const libevent = Deno.dlopen("libevent_core-2.1.so.7", {
  event_base_new: { parameters: [], result: P },
  event_base_loop: { parameters: [P, "i32"], result: "i32" },
  event_base_loopbreak: { parameters: [P], result: "i32" },
  event_new: { parameters: [P, "i32", "i16", "function", P], result: P },
  event_active: { type: P }, // Its address: the worker calls it.
}).symbols;
const { evthread_use_pthreads } = Deno.dlopen("libevent_pthreads-2.1.so.7", {
  evthread_use_pthreads: { parameters: [], result: "i32" },
}).symbols;

/** `void event_active(struct event *ev, int res, short ncalls)` */
function libeventWaker(base: Deno.PointerValue): NativeWaker {
  return {
    post: libevent.event_active!,
    parameters: [P, "i32", "i16"],
    // One event, made once, whose callback is the work item.
    arguments: (work) => [libevent.event_new(base, -1, 0, work, null), 1, 0],
    callback: { parameters: ["i32", "i16", P], result: "void" },
  };
}

evthread_use_pthreads(); // Without it event_active() is not thread-safe.
const base = libevent.event_base_new();
const reactor = new Reactor();
reactor.callLater(100, () => console.log("inside event_base_loop()"));
reactor.callLater(200, () => reactor.stop());

// The integration:
const quit = () => libevent.event_base_loopbreak(base);
reactor.interleave(libeventWaker(base));
reactor.addSystemEventTrigger("after", "shutdown", quit);
libevent.event_base_loop(base, 4); // EVLOOP_NO_EXIT_ON_EMPTY

console.log("it has returned");
