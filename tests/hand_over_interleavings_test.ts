// The hand-over between main thread and worker, in every interleaving.
//
// What runs is the text of `pollLoop`, `HandOver`, `TurnLoop`, `BlockingQueue`
// and both readiness sets, turned into steps by `interleavings/transform.ts`.
// What they call outside is simulated: `Atomics`, ports and promises, `poll()`
// and epoll, a toolkit, an attached loop. Each line of
// `interleavings/scenarios.ts` says how much may happen; within that bound,
// everything that can happen does, in every order. Looked for are
//
// - turns that run while the worker may poll, two work items at once, changes of
//   STATE that `ffi/poll_loop.ts` does not name, a table that is changed while it
//   is polled or shorter than it is said to be, two wake-ups at once, a thread
//   inside a toolkit that was taken down, a loop that two threads hold;
// - moments in which nothing more happens by itself, and something is left to
//   do: an event, a call, a timer, an end, a thread that is blocked;
// - moments from which no such rest can be reached any more.
//
// The order of all accesses is one for all threads. That is what JavaScript
// promises where there is no race. "Down to plain accesses" looks for races, and
// takes accesses that are not atomic for steps of their own; in the other lines
// they belong to the step before.
//
// A part of the package that calls something new outside says "... is not
// defined" here: it is to be added to `SURROUNDINGS` in
// `interleavings/program.ts`.
//
// Left aside is what Deno does to keep a process alive, and the waits without
// the worker (`pool_wait.ts`, `brief_wait.ts`, `low_latency.ts`).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DAMAGES } from "./interleavings/damages.ts";
import { explore } from "./interleavings/explore.ts";
import { loadProgram } from "./interleavings/program.ts";
import { SCENARIOS, simulationOf } from "./interleavings/scenarios.ts";

for (const scenario of SCENARIOS) {
  Deno.test(`the hand-over loses nothing, doubles nothing and ends, in every interleaving of ${scenario.name}`, async () => {
    const program = await loadProgram();
    const { fault, races, states, steps, interleavings } = explore(() =>
      simulationOf(scenario, program)
    );
    assertEquals(fault && `${fault.message}\n\n${fault.trace}`, undefined);
    assertEquals(races, []);
    console.log(
      `${states} states, ${steps} steps, ${
        interleavings.toPrecision(3)
      } interleavings: ${scenario.name}`,
    );
  });
}

for (const { what, edits, scenario, message } of DAMAGES) {
  Deno.test(`the exploration notices when ${what}`, async () => {
    const program = await loadProgram(edits);
    const { fault } = explore(() => simulationOf(scenario, program));
    assert(fault !== undefined);
    assertStringIncludes(fault.message, message);
  });
}
