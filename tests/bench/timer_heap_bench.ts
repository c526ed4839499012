/** The timer heap: schedule, cancel, move, fire. */

import { Clock } from "../../src/testing.ts";

/** How many calls there are at a time. */
const CALLS = 1000;

Deno.bench({
  name: `callLater() and cancel(), ${CALLS} at a time`,
  group: "timers",
  baseline: true,
}, () => {
  const clock = new Clock();
  const calls = Array.from(
    { length: CALLS },
    (_, i) => clock.callLater(i % 97, nothing),
  );
  for (const call of calls) call.cancel();
});

Deno.bench(`callLater() and reset(), ${CALLS} at a time`, {
  group: "timers",
}, () => {
  const clock = new Clock();
  const calls = Array.from(
    { length: CALLS },
    (_, i) => clock.callLater(i % 97, nothing),
  );
  for (const call of calls) call.reset(200);
});

Deno.bench(`callLater() and fire, ${CALLS} at a time`, {
  group: "timers",
}, () => {
  const clock = new Clock();
  for (let i = 0; i < CALLS; i++) clock.callLater(i % 97, nothing);
  clock.advance(100);
});

function nothing(): void {}
