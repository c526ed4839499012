// GLib's main loop, in both directions, without a window.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertThrows,
} from "@std/assert";
import { glibWaker } from "../../src/loops/glib.ts";
import { assertBeside, assertIdle, assertInside } from "./assertions.ts";
import type { Alive } from "./programs/alive.ts";
import { missingPackages, testProgram } from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libglib-2.0.so.0": "libglib2.0-0" },
  windows: false,
});

/** A case of the programs. */
function guest(trial: string) {
  return { missing, file: "tests/loops/programs/glib_guest.ts", args: [trial] };
}

function host(trial: string) {
  return { missing, file: "tests/loops/programs/glib_host.ts", args: [trial] };
}

Deno.test("glibWaker() throws when the priority is none of C's", () => {
  assertThrows(
    () => glibWaker({ priority: 2 ** 31 }),
    RangeError,
    `Cannot make GLib's waker: "priority" must be an integer from -2147483648 to 2147483647, received 2147483648`,
  );
  assertThrows(
    () => glibWaker({ priority: "high" as unknown as number }),
    TypeError,
    `received "high"`,
  );
});

testProgram(
  "glibWaker() lets the reactor live inside g_main_loop_run(), and end it",
  guest("stopped"),
  async (program) => {
    assertInside(await program.json("alive"), "glibWaker()");
    const { stdout } = await program.end();
    assertMatch(stdout, /\nreturned null\n$/);
  },
);

testProgram(
  "glibWaker() is not held up by an idle source that is always ready",
  guest("busy"),
  async (program) => {
    assertInside(await program.json("alive"), "glibWaker() beside a source");
    assertGreaterOrEqual(await program.json<number>("rounds"), 100);
  },
);

testProgram(
  "glibWaker() uses no time while idle",
  guest("quiet"),
  async (program) => {
    assertIdle(await program.json("idle"), 2);
  },
);

testProgram(
  "glibWaker() lets a late or double call of the work item do nothing",
  guest("called"),
  async (program) => {
    assertEquals(await program.json("answers"), [0, 0, 0, 0, 0, 0]);
    assertEquals(await program.json("errors"), []);
  },
);

testProgram(
  "glibWaker() lets GLib's loop end first, and the reactor be closed then",
  guest("quitFirst"),
  async (program) => {
    const { ticks, running } = await program.json<
      { ticks: number; running: boolean }
    >("returned");
    assertGreaterOrEqual(ticks, 5);
    assertEquals(running, true);
    assertEquals(await program.json("closed"), { running: false });
  },
);

testProgram(
  "glibLoop() sees at once what plain Deno code adds, 100 times of 100",
  host("seen"),
  async (program) => {
    const { count, median } = await program.json<Record<string, number>>(
      "result",
    );
    assertEquals(count, 100);
    console.log(`glibLoop(): ${median!.toFixed(3)} ms from g_idle_add`);
  },
);

testProgram(
  "glibLoop() sees what another thread adds, at whatever moment",
  host("seenFromThread"),
  async (program) => {
    assertEquals(await program.json("result"), {
      rounds: 2000,
      left: 1,
      missed: 0,
    });
  },
);

testProgram(
  "glibLoop() keeps the time of GLib's timers",
  host("timers"),
  async (program) => {
    for (const late of await program.json<number[]>("result")) {
      // GLib counts in whole milliseconds, from the last time it looked.
      assertGreaterOrEqual(late, -2);
      assertLess(late, 1000);
    }
  },
);

testProgram(
  "glibLoop() waits for the descriptors of GLib's sources",
  host("descriptor"),
  async (program) => {
    const values = await program.json("result");
    assertEquals(values, Array.from({ length: 50 }, (_, i) => i));
  },
);

testProgram(
  "glibLoop() and Deno go on when an idle source is always ready",
  host("busy"),
  async (program) => {
    const alive = await program.json<Alive & { rounds: number }>("result");
    assertBeside(alive);
    assertGreaterOrEqual(alive.rounds, 100);
  },
);

testProgram(
  "glibLoop() reports what a callback throws, and goes on",
  host("throws"),
  async (program) => {
    assertEquals(await program.json("result"), {
      goesOn: true,
      errors: ["on purpose"],
    });
  },
);

testProgram(
  "glibLoop() stands still while it is detached, and can be attached again",
  host("detached"),
  async (program) => {
    const [before, meanwhile, afterwards] = await program.json<number[]>(
      "result",
    );
    assertGreaterOrEqual(before!, 5);
    assertEquals(meanwhile, 0);
    assertGreaterOrEqual(afterwards!, 5);
  },
);

testProgram(
  "glibLoop() shares the worker with another attached loop",
  host("two"),
  async (program) => {
    assertEquals(await program.json("result"), {
      workers: 1,
      ticks: 20,
      bytes: 20,
    });
  },
);

testProgram(
  "glibLoop() uses no time while idle",
  host("quiet"),
  async (program) => {
    assertIdle(await program.json("result"), 2);
  },
);

testProgram(
  "glibLoop() says so, and is detached, when another thread owns the context",
  host("owned"),
  async (program) => {
    const errors = await program.json<string[]>("result");
    assertEquals(
      errors.at(-1),
      'An attached loop was detached: its "prepare" has failed 3 times in a row',
    );
    assertEquals([...new Set(errors.slice(0, -1))], [
      "Cannot step GLib's loop: another thread owns the default context",
    ]);
  },
);
