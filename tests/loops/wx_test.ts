/** wxWidgets, which on Linux has GLib's loop, with real windows. */

import { assertEquals, assertNotEquals } from "@std/assert";
import { assertBeside, assertIdle, assertInside } from "./assertions.ts";
import { missingPackages, testProgramOnDisplay } from "./toolkit.ts";

const missing = await missingPackages({
  libraries: {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libwx_gtk3u_core-3.2.so.0": "libwxgtk3.2-1",
  },
});

/** Where the button is in a window of the demo's bindings. */
const BUTTON = [60, 70] as const;

testProgramOnDisplay(
  "glibWaker() lets the reactor go on inside MainLoop() of wxWidgets",
  { missing, file: "tests/loops/programs/wx_guest.ts" },
  async (program) => {
    assertInside(await program.json("guest"), "glibWaker() in wxWidgets");

    // Ended by stop(); then by wxWidgets, and close() did the rest.
    assertEquals(await program.json("host"), "none");
    assertEquals(await program.json("running"), true);
    assertEquals(await program.json("shutdowns"), 1);
  },
);

testProgramOnDisplay(
  "glibLoop() shows a window of wxWidgets while Deno's loop goes on",
  { missing, file: "tests/loops/programs/wx_host.ts" },
  async (program, display) => {
    const window = await display.drawnWindow("wxWidgets under test");
    const before = await display.pixels(window);
    await display.click(window, ...BUTTON);
    await program.line("clicked");

    assertBeside(await program.json("alive"));
    assertNotEquals(await display.pixels(window), before);
    assertIdle(await program.json("idle"));

    await display.askToClose(window);
    await program.line("closed");
  },
);

for (const form of ["host", "guest"]) {
  const demo = {
    missing,
    file: "examples/loops/wx.ts",
    args: [form],
    permissions: ["--allow-ffi"],
  };

  testProgramOnDisplay(
    `examples/loops/wx.ts says hello until its "Exit" is clicked (${form})`,
    demo,
    async (program, display) => {
      const window = await display.drawnWindow("wxWidgets and Deno");
      await program.line("hello, number 2");
      await program.line("two seconds have passed");
      await display.click(window, ...BUTTON);
    },
  );

  testProgramOnDisplay(
    `examples/loops/wx.ts ends when its window is closed (${form})`,
    demo,
    async (_, display) => {
      const window = await display.drawnWindow("wxWidgets and Deno");
      await display.askToClose(window);
    },
  );
}
