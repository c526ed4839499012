/**
 * Modal dialogs: the toolkit runs a loop of its own, nested, and the reactor
 * goes on inside it.
 */

import { assertEquals, assertGreater } from "@std/assert";
import { BACKENDS } from "../descriptors.ts";
import { assertBeside, assertCleanEnd, assertInside } from "./assertions.ts";
import { Display, until } from "./display.ts";
import type { Guest } from "./programs/alive.ts";
import {
  missingPackages,
  testProgramOnDisplay,
  testToolkit,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libgtk-3.so.0": "libgtk-3-0" },
});

/** What a click on a dialog's button answers. */
const CLICKED = 7;
/** What the reactor answers. */
const ENDED = 8;

/** Runs a case on both backends, each on a display of its own. */
function testModal(
  name: string,
  kase: string,
  fn: (program: ToolkitProgram, display: Display) => Promise<void>,
): void {
  testToolkit(name, missing, async () => {
    const ran = await Promise.allSettled(BACKENDS.map(async (backend) => {
      await using display = await Display.start();
      await using program = new ToolkitProgram({
        file: "tests/loops/programs/gtk3_modal.ts",
        args: [kase, backend],
        display,
      });
      await fn(program, display);
      assertEquals(await program.json("errors"), []);
      await assertCleanEnd(program);
    }));
    for (const one of ran) if (one.status === "rejected") throw one.reason;
  });
}

/** Everything went on inside a dialog: the second one has a depth of 2. */
async function wentOnInside(
  program: ToolkitProgram,
  depth: number = 1,
): Promise<void> {
  const inside = await program.json<Guest & { steps: number; depth: number }>(
    "inside",
  );
  assertInside(inside, "modal()");
  assertEquals(inside.depth, depth);
  assertGreater(inside.steps, 1);
}

/** Everything goes on after the dialogs, and so does the attached loop. */
async function goesOnAfterwards(
  program: ToolkitProgram,
  display: Display,
): Promise<void> {
  assertBeside(await program.json("beside"));
  const window = await display.window("After");
  await display.click(window, 100, 30);
}

/** Clicks on the button of a dialog. */
async function answer(display: Display, title: string): Promise<void> {
  const dialog = await display.window(title);
  await display.click(dialog, dialog.width / 2, dialog.height - 20);
}

testModal(
  "modal() lets the reactor go on inside a dialog that plain Deno code opens, and everything after it",
  "plain",
  async (program, display) => {
    await wentOnInside(program);
    assertEquals(await program.json("answer"), ENDED);
    await goesOnAfterwards(program, display);
  },
);

testModal(
  "modal() lets the reactor go on inside a dialog that a click opens, in a step of the attached loop, and a click ends",
  "clicked",
  async (program, display) => {
    await display.click(await display.window("Before"), 100, 30);
    await program.line("ticking");
    const dialog = await display.window("Clicked");
    await display.drawn(dialog);
    await answer(display, "Clicked");
    assertEquals(await program.json("answer"), CLICKED);
    await goesOnAfterwards(program, display);
  },
);

for (
  const [kase, opener] of [["reader", "doRead"], ["delayed", "a delayed call"]]
) {
  testModal(
    `modal() lets the reactor go on inside a dialog that ${opener} opens`,
    kase!,
    async (program, display) => {
      await wentOnInside(program);
      assertEquals(await program.json("answer"), ENDED);
      await goesOnAfterwards(program, display);
    },
  );
}

testModal(
  "modal() lets the reactor go on inside a dialog within a dialog",
  "nested",
  async (program, display) => {
    await wentOnInside(program, 2);
    assertEquals(await program.json("inner"), ENDED);
    assertEquals(await program.json("answer"), ENDED);
    await goesOnAfterwards(program, display);
  },
);

testModal(
  "modal() keeps the order of callFromThread()",
  "order",
  async (program, display) => {
    assertEquals(
      await program.json("seen"),
      ["0 in 0", "1 in 0", "2 in 0", "3 in 1", "4 in 1", "5 in 1", "last in 1"],
    );
    assertEquals(await program.json("answer"), ENDED);
    await goesOnAfterwards(program, display);
  },
);

testModal(
  "stop() inside a dialog within a dialog ends both by their triggers, and the program",
  "stop",
  async (program) => {
    assertEquals(await program.json("inner"), ENDED);
    assertEquals(await program.json("outer"), ENDED);
  },
);

testModal(
  "modal() throws what the blocking function throws, and the next dialog is as the first",
  "throws",
  async (program, display) => {
    assertEquals(await program.json("thrown"), `answered ${ENDED}`);
    await wentOnInside(program);
    assertEquals(await program.json("answer"), ENDED);
    await goesOnAfterwards(program, display);
  },
);

testModal(
  "modal() just calls the blocking function when the reactor does not run",
  "notRunning",
  async (program, display) => {
    await answer(display, "Early");
    assertEquals(await program.json("before"), CLICKED);
    assertEquals(await program.json("host"), "none");
    await answer(display, "Late");
    assertEquals(await program.json("after"), CLICKED);
  },
);

testModal(
  "modal() lets the reactor go on inside a dialog when GTK is the host, which without it goes deaf",
  "guest",
  async (program, display) => {
    await answer(display, "Deaf");
    assertEquals(await program.json("deaf"), 0);
    await wentOnInside(program);
    assertEquals(await program.json("answer"), ENDED);
    await display.click(await display.window("After"), 100, 30);
  },
);

for (const form of ["host", "guest"]) {
  const demo = {
    missing,
    file: "examples/loops/modal_dialog.ts",
    args: [form],
    permissions: ["--allow-ffi"],
  };

  testProgramOnDisplay(
    `examples/loops/modal_dialog.ts goes on counting behind its dialog, and ends by its button [${form}]`,
    demo,
    async (_, display) => {
      const window = await display.window("Modal dialog");
      const label = { ...window, height: 40 };
      const counts = async () =>
        display.changed(label, await display.pixels(label));
      await counts();
      await display.click(window, 180, 68);
      const dialog = await display.window("Start again");
      await counts();

      // "No", and when nothing is where the dialog was, "Quit".
      await display.click(dialog, dialog.width / 2, dialog.height - 20);
      const below = { x: 60, y: 140, width: 240, height: 16 };
      await until(async () => await display.colours(below) === 1);
      await display.click(window, 180, 114);
    },
  );

  testProgramOnDisplay(
    `examples/loops/modal_dialog.ts ends when its window is closed [${form}]`,
    demo,
    async (_, display) => {
      const window = await display.window("Modal dialog");
      await display.askToClose(window);
    },
  );
}
