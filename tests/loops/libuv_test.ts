// libuv: the reactor inside uv_run(), libuv inside Deno's loop, and the demo.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { libuvLoop, libuvWaker } from "../../src/loops/libuv.ts";
import { assertBeside, assertIdle, assertInside } from "./assertions.ts";
import type { Alive } from "./programs/alive.ts";
import { missingPackages, testProgram, testToolkit } from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libuv.so.1": "libuv1" },
  windows: false,
});

const DEMO = "examples/loops/libuv.ts";
const GUEST = "tests/loops/programs/libuv_guest.ts";
const HOST = "tests/loops/programs/libuv_host.ts";

/** What is written to a folder by the programs that do. */
const WRITING = ["--allow-ffi", "--allow-write"];

/** A case of the programs. */
function guest(trial: string) {
  return { missing, file: GUEST, args: [trial] };
}

function host(trial: string) {
  return { missing, file: HOST, args: [trial] };
}

testProgram(
  "libuvWaker() serves the reactor inside uv_run(), and ends it",
  guest("stops"),
  async (program) => {
    assertInside(await program.json("guest"), "libuvWaker()");
    assertEquals(await program.json("returned"), false);
    await program.line("empty");
  },
);

testProgram(
  "libuvWaker() lets the reactor be closed when uv_run() has ended first",
  guest("endsFirst"),
  async (program) => {
    assertEquals(await program.json("returned"), true);
    assertEquals(await program.json("closed"), true);
  },
);

testProgram(
  "libuvWaker() is not disturbed by a late or a double call of the work item",
  guest("calledTwice"),
  async (program) => {
    assertEquals(await program.json("calls"), 3);
    assertEquals(await program.json("late"), 3);
  },
);

testProgram(
  "libuvWaker() serves one reactor after another, and lets uv_run() end",
  guest("again"),
  async (program) => {
    assertEquals(await program.json("runs"), ["one", "two"]);
  },
);

testProgram(
  "libuvLoop() serves libuv's handles, beside all of Deno",
  {
    ...host("beside"),
    permissions: [...WRITING, "--allow-net=127.0.0.1"],
  },
  async (program) => {
    const alive = await program.json<Alive & { times: number }>("alive");
    assertBeside(alive);
    assertGreaterOrEqual(alive.times, 50);
    assertEquals(await program.json("seen"), "note.txt");
    assertIdle(await program.json("idle"));
    assertEquals(await program.json("errors"), []);
    await program.line("closed");
  },
);

testProgram(
  "libuvLoop() sees what plain Deno code starts, after a kick",
  host("kicked"),
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
  host("empty"),
  async (program) => {
    assertIdle(await program.json("idle"));
    assertIdle(await program.json("idle"));
    await program.line("closed");
  },
);

testProgram(
  "libuvLoop() goes on after a uv_stop() that came too early",
  host("stopped"),
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
  const start = { missing, file: DEMO, args: [form], permissions: WRITING };

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
