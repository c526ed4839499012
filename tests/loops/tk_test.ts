// Tk 8.6: the reactor inside Tk's loop, Tk inside Deno's, and the demo.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import { assertBeside, assertIdle, assertInside } from "./assertions.ts";
import type { Window } from "./display.ts";
import { missingPackages, testProgramOnDisplay } from "./toolkit.ts";

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

/** A case of the programs. */
function guest(trial: string) {
  return { missing, file: GUEST, args: [trial] };
}

function host(trial: string) {
  return { missing, file: HOST, args: [trial] };
}

testProgramOnDisplay(
  "tkWaker() serves the reactor inside Tk's loop, and ends it",
  guest("stops"),
  async (program) => {
    assertInside(await program.json("guest"), "tkWaker()");
    assertEquals(await program.json("returned"), false);
  },
);

testProgramOnDisplay(
  "tkWaker() lets the reactor be closed when Tk's loop has ended first",
  guest("endsFirst"),
  async (program) => {
    assertEquals(await program.json("returned"), true);
    assertEquals(await program.json("closed"), true);
  },
);

testProgramOnDisplay(
  "tkWaker() is not disturbed by a late or a double call of the work item",
  guest("calledTwice"),
  async (program) => {
    assertEquals(await program.json("calls"), 3);
    assertEquals(await program.json("late"), 3);
  },
);

testProgramOnDisplay(
  "tkWaker() begins no work item in the middle of a script",
  guest("inScript"),
  async (program) => {
    assertEquals(await program.json("script"), "whole");
    assertEquals(await program.json("served"), true);
  },
);

testProgramOnDisplay(
  "tkWaker() serves one reactor after another, and leaves nothing open",
  guest("again"),
  async (program) => {
    assertEquals(await program.json("runs"), ["one", "two"]);
    assertEquals(await program.json("leaked"), 0);
  },
);

testProgramOnDisplay(
  "tkLoop() shows a window that hears clicks, beside all of Deno",
  host("window"),
  async (program, display) => {
    assertEquals(await program.json("same"), true);
    const window = await display.drawnWindow("Tk beside Deno");
    const before = await display.pixels(window);
    await display.click(window, 150, 27);
    await program.line("clicked");
    await display.changed(window, before);
    assertBeside(await program.json("alive"));
    const labelled = await display.pixels(window);
    assertIdle(await program.json("idle"));
    // Plain Deno code has coloured the label meanwhile, and nothing else happens.
    await display.changed(window, labelled);
    await display.askToClose(window);
    assertEquals(await program.json("errors"), []);
    await program.line("closed");
  },
);

testProgramOnDisplay(
  "tkLoop() sees what plain Deno code changes",
  host("changes"),
  async (program) => {
    const after = await program.json<number>("after");
    assertGreaterOrEqual(after, 19);
    assertLess(after, 1000);
    await program.line("idle");
    await program.line("kicked");
  },
);

testProgramOnDisplay(
  "tkLoop() serves Tcl's channels, and sends what their scripts draw",
  host("channel"),
  async (program, display) => {
    await display.askToClose(await display.window("Tk has read"));
    await program.line("closed");
  },
);

testProgramOnDisplay(
  "tkLoop() lets a nested loop run, and takes up what it has left",
  host("nested"),
  async (program) => {
    const returned = await program.json("returned");
    assertEquals(returned, { done: "yes", ticks: 0 });
    await program.line("handled");
  },
);

testProgramOnDisplay(
  "tkLoop() leaves the reactor alive inside modal loops, wherever they begin",
  host("modal"),
  async (program) => {
    for (const place of ["deno", "tcl", "reactor"]) {
      assertInside(await program.json("inside"), `modal() from ${place}`);
      assertEquals(await program.json("after"), place);
    }
    assertEquals(await program.json("errors"), []);
  },
);

testProgramOnDisplay(
  "tkLoop() hears the window after a modal loop",
  host("quiet"),
  async (program, display) => {
    await program.line("after");
    await display.click(await display.window("Tk in silence"), 50, 50);
    await display.askToClose(await display.window("Tk has heard"));
    await program.line("closed");
  },
);

testProgramOnDisplay(
  "tkLoop() throws when Tcl has been started already",
  host("late"),
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
  const start = { missing, file: DEMO, args: [form], permissions };

  testProgramOnDisplay(
    `${DEMO} greets and quits as ${form}`,
    start,
    async (_, display) => {
      const window = await display.drawnWindow("Tk and Deno");
      const before = await display.pixels(greeting(window));
      await display.focus(window);
      await display.type("Ada");
      await display.key("Return");
      await display.changed(greeting(window), before);
      await display.click(window, window.width - 45, window.height - 28);
    },
  );

  testProgramOnDisplay(
    `${DEMO} ends as ${form} when its window is closed`,
    start,
    async (_, display) => {
      const window = await display.drawnWindow("Tk and Deno");
      await display.askToClose(window);
    },
  );
}
