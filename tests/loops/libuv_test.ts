// libuv: the reactor inside uv_run(), libuv inside Deno's loop, and the demo.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { libuvLoop, libuvWaker } from "../../src/loops/libuv.ts";
import type { Alive, Guest } from "./programs/alive.ts";
import {
  missingPackages,
  type Start,
  testToolkit,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libuv.so.1": "libuv1" },
  windows: false,
});

const DEMO = "examples/loops/libuv.ts";
const GUEST = "tests/loops/programs/libuv_guest.ts";
const HOST = "tests/loops/programs/libuv_host.ts";

/** What is written to a folder by the programs that do. */
const WRITING = ["--allow-ffi", "--allow-write"];

/** Declares a test of one program, which has to end by itself and in peace. */
function testProgram(
  name: string,
  start: Start,
  fn: (program: ToolkitProgram) => Promise<void>,
): void {
  testToolkit(name, missing, async () => {
    await using program = new ToolkitProgram(start);
    await fn(program);
    const { code, signal, stderr } = await program.end();
    const expected = { code: 0, signal: null, stderr: "" };
    assertEquals({ code, signal, stderr }, expected);
  });
}

/** Requires that a program does nothing while there is nothing to do. */
async function assertIdle(program: ToolkitProgram): Promise<void> {
  const { cpu, turns } = await program.json<{ cpu: number; turns: number }>(
    "idle",
  );
  assertLess(cpu, 20);
  assertLessOrEqual(turns, 20);
}

testProgram(
  "libuvWaker() serves the reactor inside uv_run(), and ends it",
  { file: GUEST, args: ["stops"] },
  async (program) => {
    const { median, calls, ...rest } = await program.json<Guest>("guest");
    console.log(`${median.toFixed(3)} ms from a byte to its reader`);
    assertGreaterOrEqual(calls, 5);
    assertEquals(rest, { bytes: 100, promise: true, thrown: "on purpose" });
    assertEquals(await program.json("returned"), false);
    await program.line("empty");
  },
);

testProgram(
  "libuvWaker() lets the reactor be closed when uv_run() has ended first",
  { file: GUEST, args: ["endsFirst"] },
  async (program) => {
    assertEquals(await program.json("returned"), true);
    assertEquals(await program.json("closed"), true);
  },
);

testProgram(
  "libuvWaker() is not disturbed by a late or a double call of the work item",
  { file: GUEST, args: ["calledTwice"] },
  async (program) => {
    assertEquals(await program.json("calls"), 3);
    assertEquals(await program.json("late"), 3);
  },
);

testProgram(
  "libuvWaker() serves one reactor after another, and lets uv_run() end",
  { file: GUEST, args: ["again"] },
  async (program) => {
    assertEquals(await program.json("runs"), ["one", "two"]);
  },
);

testProgram(
  "libuvLoop() serves libuv's handles, beside all of Deno",
  {
    file: HOST,
    args: ["beside"],
    permissions: [...WRITING, "--allow-net=127.0.0.1"],
  },
  async (program) => {
    const { ticks, fetches, bytes, times } = await program.json<
      Alive & { times: number }
    >("alive");
    assertGreaterOrEqual(ticks, 50);
    assertGreaterOrEqual(fetches, 20);
    assertGreaterOrEqual(bytes, 50);
    assertGreaterOrEqual(times, 50);
    assertEquals(await program.json("seen"), "note.txt");
    await assertIdle(program);
    assertEquals(await program.json("errors"), []);
    await program.line("closed");
  },
);

testProgram(
  "libuvLoop() sees what plain Deno code starts, after a kick",
  { file: HOST, args: ["kicked"] },
  async (program) => {
    const after = await program.json<number>("after");
    assertGreaterOrEqual(after, 19);
    assertLess(after, 1000);
    await program.line("again");
    await program.line("closed");
  },
);

testProgram(
  "libuvLoop() does nothing while libuv has nothing to do",
  { file: HOST, args: ["empty"] },
  async (program) => {
    await assertIdle(program);
    await assertIdle(program);
    await program.line("closed");
  },
);

testProgram(
  "libuvLoop() goes on after a uv_stop() that came too early",
  { file: HOST, args: ["stopped"] },
  async (program) => {
    await program.line("fired");
    await program.line("closed");
  },
);

testToolkit(
  "libuvWaker() and libuvLoop() throw when the loop is not a pointer",
  missing,
  () => {
    for (const f of [libuvWaker, libuvLoop]) {
      assertThrows(
        () => f(1 as unknown as Deno.PointerObject),
        TypeError,
        '"loop" must be a pointer to a loop, received 1',
      );
    }
    return Promise.resolve();
  },
);

for (const form of ["host", "guest"]) {
  const start = { file: DEMO, args: [form], permissions: WRITING };

  testProgram(`${DEMO} writes and hears of it as ${form}`, start, async (
    program,
  ) => {
    await program.line("Deno: note 1");
    await program.line("libuv: note.txt");
    await program.line("libuv: timer");
    await program.line("The end");
  });

  testProgram(`${DEMO} ends as ${form} at Ctrl-C`, start, async (program) => {
    await program.line("Deno: note 1");
    program.interrupt();
    const { stdout } = await program.end();
    assertStringIncludes(stdout, "The end");
  });
}
