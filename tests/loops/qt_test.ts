/** Qt 5 and Qt 6, with real windows. */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertNotEquals,
} from "@std/assert";
import { assertBeside, assertIdle, assertInside } from "./assertions.ts";
import { missingPackages, testProgramOnDisplay } from "./toolkit.ts";

const VERSIONS = [5, 6] as const;

const missing = await missingPackages({
  libraries: {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libQt5Widgets.so.5": "libqt5widgets5",
    "libQt6Widgets.so.6": "libqt6widgets6",
  },
});

/** Qt misses the folder that a login session would have made. */
const warnings = /^QStandardPaths: XDG_RUNTIME_DIR not set, .*\n/;

for (
  const { version, dispatcher, env } of [
    { version: 5, dispatcher: "GLib's loop", env: {} },
    { version: 6, dispatcher: "GLib's loop", env: {} },
    { version: 6, dispatcher: "Qt's own loop", env: { QT_NO_GLIB: "1" } },
  ]
) {
  testProgramOnDisplay(
    `qtWaker() lets the reactor go on inside exec() of Qt ${version} on ${dispatcher}`,
    {
      missing,
      warnings,
      file: "tests/loops/programs/qt_guest.ts",
      args: [`${version}`],
      env,
    },
    async (program) => {
      const name = `qtWaker() of Qt ${version} on ${dispatcher}`;
      assertInside(await program.json("guest"), name);

      // Ended by stop(); a late work item did nothing.
      assertEquals(await program.json("host"), "none");
      const [before, after] = await program.json<number[]>("references");
      assertGreaterOrEqual(after!, before! - 1);

      // Ended by Qt; close() did the rest.
      assertEquals(await program.json("running"), true);
      assertEquals(await program.json("shutdowns"), 1);
    },
  );
}

for (const version of VERSIONS) {
  testProgramOnDisplay(
    `qtLoop() shows a window of Qt ${version} while Deno's loop goes on`,
    {
      missing,
      warnings,
      file: "tests/loops/programs/qt_host.ts",
      args: [`${version}`],
    },
    async (program, display) => {
      const window = await display.drawnWindow("Qt under test");
      const before = await display.pixels(window);
      await display.click(window, window.width / 2, window.height - 20);
      await program.line("clicked");

      assertBeside(await program.json("alive"));
      assertNotEquals(await display.pixels(window), before);

      assertIdle(await program.json("idle"));
      await program.line("modal");
      // Without a kick it takes until the next event: half a minute here.
      const late = await program.json<number>("timer");
      assertGreaterOrEqual(late, 29);
      assertLess(late, 10_000);

      await display.askToClose(window);
      await program.line("closed");
    },
  );

  for (const form of ["host", "guest"]) {
    const demo = {
      missing,
      warnings,
      file: "examples/loops/qt.ts",
      args: [form, `${version}`],
      permissions: ["--allow-ffi", "--allow-net=127.0.0.1"],
    };

    testProgramOnDisplay(
      `examples/loops/qt.ts ends when its "Quit" is clicked (${form} ${version})`,
      demo,
      async (_, display) => {
        const window = await display.drawnWindow(`Qt ${version} and Deno`);
        await display.click(window, window.width / 2, window.height - 20);
      },
    );

    testProgramOnDisplay(
      `examples/loops/qt.ts ends when its window is closed (${form} ${version})`,
      demo,
      async (_, display) => {
        const window = await display.drawnWindow(`Qt ${version} and Deno`);
        await display.askToClose(window);
      },
    );
  }
}

testProgramOnDisplay(
  "qtWaker() and qtLoop() say what they lack",
  {
    missing,
    warnings,
    file: "tests/loops/programs/qt_refusals.ts",
    env: { QT_NO_GLIB: "1" },
  },
  async (program) => {
    const noApplication = (thing: string) =>
      `Error: Cannot make ${thing}: there is no application object yet, make a QCoreApplication or a QApplication first`;
    const noVersion = (thing: string, received: string) =>
      `Cannot make ${thing}: "options.version" must be 5 or 6, received ${received}`;
    assertEquals(
      await program.json("early"),
      ["a waker for Qt", "a loop of Qt"].flatMap((thing) => [
        noApplication(thing),
        noApplication(thing),
        `RangeError: ${noVersion(thing, "4")}`,
        `TypeError: ${noVersion(thing, '"6"')}`,
      ]),
    );

    assertEquals(await program.json("waker"), "none");
    assertEquals(await program.json("other"), noApplication("a waker for Qt"));
    const loop = await program.json<string>("loop");
    assert(loop.startsWith("NotSupported: Cannot make a loop of Qt:"), loop);
    assert(loop.includes(`an environment without "QT_NO_GLIB"`), loop);
  },
);
