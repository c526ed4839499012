// Tk 8.6: the reactor inside Tk's loop, Tk inside Deno's, and the demo.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertStringIncludes,
} from "@std/assert";
import type { Display, Window } from "./display.ts";
import type { Alive, Guest } from "./programs/alive.ts";
import {
  missingPackages,
  type Start,
  testOnDisplay,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: {
    "libtcl8.6.so.0": "libtcl8.6",
    "libtk8.6.so.0": "libtk8.6",
    "libX11.so.6": "libx11-6",
  },
});

const DEMO = "examples/loops/tk.ts";
const GUEST = "tests/loops/programs/tk_guest.ts";
const HOST = "tests/loops/programs/tk_host.ts";

/** Declares a test of one program, which has to end by itself and in peace. */
function testProgram(
  name: string,
  start: Omit<Start, "display">,
  fn: (program: ToolkitProgram, display: Display) => Promise<void>,
): void {
  testOnDisplay(name, missing, async (display) => {
    await using program = new ToolkitProgram({ ...start, display });
    await fn(program, display);
    const { code, signal, stderr } = await program.end();
    const expected = { code: 0, signal: null, stderr: "" };
    assertEquals({ code, signal, stderr }, expected);
  });
}

/** Requires that all of `aliveInside` went on. */
function assertAlive({ calls, median: _, ...rest }: Guest): void {
  assertGreaterOrEqual(calls, 5);
  assertEquals(rest, { bytes: 100, promise: true, thrown: "on purpose" });
}

testProgram(
  "tkWaker() serves the reactor inside Tk's loop, and ends it",
  { file: GUEST, args: ["stops"] },
  async (program) => {
    const guest = await program.json<Guest>("guest");
    console.log(`${guest.median.toFixed(3)} ms from a byte to its reader`);
    assertAlive(guest);
    assertEquals(await program.json("returned"), false);
  },
);

testProgram(
  "tkWaker() lets the reactor be closed when Tk's loop has ended first",
  { file: GUEST, args: ["endsFirst"] },
  async (program) => {
    assertEquals(await program.json("returned"), true);
    assertEquals(await program.json("closed"), true);
  },
);

testProgram(
  "tkWaker() is not disturbed by a late or a double call of the work item",
  { file: GUEST, args: ["calledTwice"] },
  async (program) => {
    assertEquals(await program.json("calls"), 3);
    assertEquals(await program.json("late"), 3);
  },
);

testProgram(
  "tkWaker() begins no work item in the middle of a script",
  { file: GUEST, args: ["inScript"] },
  async (program) => {
    assertEquals(await program.json("script"), "whole");
    assertEquals(await program.json("served"), true);
  },
);

testProgram(
  "tkWaker() serves one reactor after another, and leaves nothing open",
  { file: GUEST, args: ["again"] },
  async (program) => {
    assertEquals(await program.json("runs"), ["one", "two"]);
    assertEquals(await program.json("leaked"), 0);
  },
);

testProgram(
  "tkLoop() shows a window that hears clicks, beside all of Deno",
  { file: HOST, args: ["window"] },
  async (program, display) => {
    assertEquals(await program.json("same"), true);
    const window = await display.window("Tk beside Deno");
    await display.drawn(window);
    const before = await display.pixels(window);
    await display.click(window, 150, 27);
    await program.line("clicked");
    await display.changed(window, before);
    const { ticks, fetches, bytes } = await program.json<Alive>("alive");
    assertGreaterOrEqual(ticks, 50);
    assertGreaterOrEqual(fetches, 20);
    assertGreaterOrEqual(bytes, 50);
    const labelled = await display.pixels(window);
    const { cpu, turns } = await program.json<{ cpu: number; turns: number }>(
      "idle",
    );
    assertLess(cpu, 20);
    assertLessOrEqual(turns, 20);
    // Plain Deno code has coloured the label meanwhile, and nothing else happens.
    await display.changed(window, labelled);
    await display.askToClose(window);
    assertEquals(await program.json("errors"), []);
    await program.line("closed");
  },
);

testProgram(
  "tkLoop() sees what plain Deno code changes",
  { file: HOST, args: ["changes"] },
  async (program) => {
    const after = await program.json<number>("after");
    assertGreaterOrEqual(after, 19);
    assertLess(after, 1000);
    await program.line("idle");
    await program.line("kicked");
  },
);

testProgram(
  "tkLoop() serves Tcl's channels, and sends what their scripts draw",
  { file: HOST, args: ["channel"] },
  async (program, display) => {
    await display.askToClose(await display.window("Tk has read"));
    await program.line("closed");
  },
);

testProgram(
  "tkLoop() lets a nested loop run, and takes up what it has left",
  { file: HOST, args: ["nested"] },
  async (program) => {
    const returned = await program.json("returned");
    assertEquals(returned, { done: "yes", ticks: 0 });
    await program.line("handled");
  },
);

testProgram(
  "tkLoop() leaves the reactor alive inside modal loops, wherever they begin",
  { file: HOST, args: ["modal"] },
  async (program) => {
    for (const place of ["deno", "tcl", "reactor"]) {
      const inside = await program.json<Guest>("inside");
      // Promises are served where the call was not reached from one, which a
      // turn of the reactor's may have been.
      const promise = place === "deno" ? inside.promise : true;
      assertAlive({ ...inside, promise });
      assertEquals(await program.json("after"), place);
    }
    assertEquals(await program.json("errors"), []);
  },
);

testProgram(
  "tkLoop() hears the window after a modal loop",
  { file: HOST, args: ["quiet"] },
  async (program, display) => {
    await program.line("after");
    await display.click(await display.window("Tk in silence"), 50, 50);
    await display.askToClose(await display.window("Tk has heard"));
    await program.line("closed");
  },
);

testProgram(
  "tkLoop() throws when Tcl has been started already",
  { file: HOST, args: ["late"] },
  async (program) => {
    assertStringIncludes(
      await program.json("refused"),
      "Error: Cannot make a loop of Tk's: Tcl has been started already",
    );
    assertEquals(await program.json("done"), "yes");
  },
);

/** Where the demo has its greeting. */
function greeting({ x, y, width }: Window): Omit<Window, "id"> {
  return { x, y: y + 112, width, height: 40 };
}

for (const form of ["host", "guest"]) {
  const permissions = ["--allow-ffi", "--allow-net=127.0.0.1"];
  const start = { file: DEMO, args: [form], permissions };

  testProgram(
    `${DEMO} greets and quits as ${form}`,
    start,
    async (_, display) => {
      const window = await display.window("Tk and Deno");
      await display.drawn(window);
      const before = await display.pixels(greeting(window));
      await display.focus(window);
      await display.type("Ada");
      await display.key("Return");
      await display.changed(greeting(window), before);
      await display.click(window, window.width - 45, window.height - 28);
    },
  );

  testProgram(
    `${DEMO} ends as ${form} when its window is closed`,
    start,
    async (_, display) => {
      const window = await display.window("Tk and Deno");
      await display.drawn(window);
      await display.askToClose(window);
    },
  );
}
