// GLib's main loop, in both directions, without a window.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { glibWaker } from "../../src/loops/glib.ts";
import type { Alive, Guest } from "./programs/alive.ts";
import { missingPackages, testToolkit, ToolkitProgram } from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libglib-2.0.so.0": "libglib2.0-0" },
  windows: false,
});

/** Runs a program to its end, which has to be a clean one. */
async function outcome(form: "guest" | "host", trial: string) {
  await using program = new ToolkitProgram({
    file: `tests/loops/programs/glib_${form}.ts`,
    args: [trial],
  });
  const { code, signal, stdout, stderr } = await program.end();
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  return stdout;
}

/** What it printed behind a word. */
function after(word: string, stdout: string) {
  const line = stdout.split("\n").find((line) => line.startsWith(`${word} `));
  return JSON.parse(line!.slice(word.length));
}

async function result<T>(trial: string): Promise<T> {
  return after("result", await outcome("host", trial));
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

function assertAlive(guest: Guest): void {
  const { median, calls, ...rest } = guest;
  console.log(`glibWaker(): ${median.toFixed(3)} ms from a byte to its reader`);
  assertGreaterOrEqual(calls, 5);
  assertEquals(rest, { bytes: 100, promise: true, thrown: "on purpose" });
}

testToolkit(
  "glibWaker() lets the reactor live inside g_main_loop_run(), and end it",
  missing,
  async () => {
    const stdout = await outcome("guest", "stopped");
    assertAlive(after("alive", stdout));
    assertEquals(stdout.trim().split("\n").at(-1), "returned");
  },
);

testToolkit(
  "glibWaker() is not held up by an idle source that is always ready",
  missing,
  async () => {
    const stdout = await outcome("guest", "busy");
    assertAlive(after("alive", stdout));
    assertGreaterOrEqual(after("rounds", stdout), 100);
  },
);

testToolkit("glibWaker() uses no time while idle", missing, async () => {
  const { cpu, turns } = after("idle", await outcome("guest", "quiet"));
  assertLess(cpu, 20);
  assertLessOrEqual(turns, 2);
});

testToolkit(
  "glibWaker() lets a late or double call of the work item do nothing",
  missing,
  async () => {
    const stdout = await outcome("guest", "called");
    assertEquals(after("answers", stdout), [0, 0, 0, 0, 0, 0]);
    assertEquals(after("errors", stdout), []);
  },
);

testToolkit(
  "glibWaker() lets GLib's loop end first, and the reactor be closed then",
  missing,
  async () => {
    const stdout = await outcome("guest", "quitFirst");
    const { ticks, running } = after("returned", stdout);
    assertGreaterOrEqual(ticks, 5);
    assertEquals(running, true);
    assertEquals(after("closed", stdout), { running: false });
  },
);

testToolkit(
  "glibLoop() sees at once what plain Deno code adds, 100 times of 100",
  missing,
  async () => {
    const { count, median } = await result<Record<string, number>>("seen");
    assertEquals(count, 100);
    console.log(`glibLoop(): ${median!.toFixed(3)} ms from g_idle_add`);
  },
);

testToolkit(
  "glibLoop() sees what another thread adds, at whatever moment",
  missing,
  async () => {
    assertEquals(await result("seenFromThread"), {
      rounds: 2000,
      left: 1,
      missed: 0,
    });
  },
);

testToolkit("glibLoop() keeps the time of GLib's timers", missing, async () => {
  for (const late of await result<number[]>("timers")) {
    // GLib counts in whole milliseconds, from the last time it looked.
    assertGreaterOrEqual(late, -2);
    assertLess(late, 1000);
  }
});

testToolkit(
  "glibLoop() waits for the descriptors of GLib's sources",
  missing,
  async () => {
    const values = await result("descriptor");
    assertEquals(values, Array.from({ length: 50 }, (_, i) => i));
  },
);

testToolkit(
  "glibLoop() and Deno go on when an idle source is always ready",
  missing,
  async () => {
    const { ticks, fetches, bytes, rounds } = await result<
      Alive & { rounds: number }
    >("busy");
    assertGreaterOrEqual(ticks, 50);
    assertGreaterOrEqual(fetches, 20);
    assertGreaterOrEqual(bytes, 50);
    assertGreaterOrEqual(rounds, 100);
  },
);

testToolkit(
  "glibLoop() reports what a callback throws, and goes on",
  missing,
  async () => {
    assertEquals(await result("throws"), {
      goesOn: true,
      errors: ["on purpose"],
    });
  },
);

testToolkit(
  "glibLoop() stands still while it is detached, and can be attached again",
  missing,
  async () => {
    const [before, meanwhile, afterwards] = await result<number[]>("detached");
    assertGreaterOrEqual(before!, 5);
    assertEquals(meanwhile, 0);
    assertGreaterOrEqual(afterwards!, 5);
  },
);

testToolkit(
  "glibLoop() shares the worker with another attached loop",
  missing,
  async () => {
    assertEquals(await result("two"), { workers: 1, ticks: 20, bytes: 20 });
  },
);

testToolkit("glibLoop() uses no time while idle", missing, async () => {
  const { cpu, turns } = await result<{ cpu: number; turns: number }>("quiet");
  assertLess(cpu, 20);
  assertLessOrEqual(turns, 2);
});

testToolkit(
  "glibLoop() says so, and is detached, when another thread owns the context",
  missing,
  async () => {
    const errors = await result<string[]>("owned");
    assertEquals(
      errors.at(-1),
      'An attached loop was detached: its "prepare" has failed 3 times in a row',
    );
    assertEquals([...new Set(errors.slice(0, -1))], [
      "Cannot step GLib's loop: another thread owns the default context",
    ]);
  },
);
