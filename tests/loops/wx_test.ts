/** wxWidgets, which on Linux has GLib's loop, with real windows. */

import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertNotEquals,
} from "@std/assert";
import type { Display, Window } from "./display.ts";
import type { Alive, Guest } from "./programs/alive.ts";
import {
  type End,
  missingPackages,
  testOnDisplay,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libwx_gtk3u_core-3.2.so.0": "libwxgtk3.2-1",
  },
});

function assertClean({ code, signal, stderr }: End): void {
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
}

/** Clicks on the one button of a window from the demo's bindings. */
async function clickButton(display: Display, window: Window): Promise<void> {
  await display.drawn(window);
  await display.click(window, 60, 70);
}

testOnDisplay(
  "glibWaker() lets the reactor go on inside MainLoop() of wxWidgets",
  missing,
  async (display) => {
    await using program = new ToolkitProgram({
      file: "tests/loops/programs/wx_guest.ts",
      display,
    });

    const guest = await program.json<Guest>("guest");
    const { bytes, promise, thrown, calls, median } = guest;
    assertEquals({ bytes, promise, thrown }, {
      bytes: 100,
      promise: true,
      thrown: "on purpose",
    });
    assertGreater(calls, 10);
    console.log(`wxWidgets: ${median.toFixed(2)} ms`);

    // Ended by stop(); then by wxWidgets, and close() did the rest.
    assertEquals(await program.line("host"), "none");
    assertEquals(await program.line("running"), "true");
    assertEquals(await program.line("shutdowns"), "1");
    assertClean(await program.end());
  },
);

testOnDisplay(
  "glibLoop() shows a window of wxWidgets while Deno's loop goes on",
  missing,
  async (display) => {
    await using program = new ToolkitProgram({
      file: "tests/loops/programs/wx_host.ts",
      display,
    });

    const window = await display.window("wxWidgets under test");
    await display.drawn(window);
    const before = await display.pixels(window);
    await clickButton(display, window);
    await program.line("clicked");

    const { ticks, fetches, bytes } = await program.json<Alive>("alive");
    assertGreaterOrEqual(ticks, 50);
    assertGreaterOrEqual(fetches, 20);
    assertGreaterOrEqual(bytes, 50);
    assertNotEquals(await display.pixels(window), before);

    const { cpu, turns } = await program.json<Record<string, number>>("idle");
    assertLess(cpu!, 20);
    assertLess(turns!, 20);

    await display.askToClose(window);
    await program.line("closed");
    assertClean(await program.end());
  },
);

for (const form of ["host", "guest"]) {
  const start = (display: Display) =>
    new ToolkitProgram({
      file: "examples/loops/wx.ts",
      args: [form],
      display,
      permissions: ["--allow-ffi"],
    });

  testOnDisplay(
    `examples/loops/wx.ts says hello until its "Exit" is clicked (${form})`,
    missing,
    async (display) => {
      await using program = start(display);
      const window = await display.window("wxWidgets and Deno");
      await program.line("hello, number 2");
      await program.line("two seconds have passed");
      await clickButton(display, window);
      assertClean(await program.end());
    },
  );

  testOnDisplay(
    `examples/loops/wx.ts ends when its window is closed (${form})`,
    missing,
    async (display) => {
      await using program = start(display);
      const window = await display.window("wxWidgets and Deno");
      await display.drawn(window);
      await display.askToClose(window);
      assertClean(await program.end());
    },
  );
}
