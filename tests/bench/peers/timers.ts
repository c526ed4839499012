/** Timers of the reactor's: what one costs, and how late it is. */

import { Reactor } from "../../../mod.ts";
import { measureTimers } from "./timing.mjs";

const reactor = new Reactor();
reactor.interleave();
await measureTimers(
  (ms: number, f: () => void) => reactor.callLater(ms, f),
  (call: ReturnType<Reactor["callLater"]>) => call.cancel(),
);
await reactor.close();
