/** Qt 5 and Qt 6, with real windows. */

import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertNotEquals,
} from "@std/assert";
import type { Display } from "./display.ts";
import type { Alive, Guest } from "./programs/alive.ts";
import {
  type End,
  missingPackages,
  testOnDisplay,
  ToolkitProgram,
} from "./toolkit.ts";

const VERSIONS = [5, 6] as const;

const missing = await missingPackages({
  libraries: {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libQt5Widgets.so.5": "libqt5widgets5",
    "libQt6Widgets.so.6": "libqt6widgets6",
  },
});

/** Qt misses the folder that a login session would have made. */
const WARNING = /^QStandardPaths: XDG_RUNTIME_DIR not set, .*\n/;

function assertClean({ code, signal, stderr }: End): void {
  const unexpected = stderr.replace(WARNING, "");
  assertEquals({ code, signal, unexpected }, {
    code: 0,
    signal: null,
    unexpected: "",
  });
}

for (
  const { version, dispatcher, env } of [
    { version: 5, dispatcher: "GLib's loop", env: {} },
    { version: 6, dispatcher: "GLib's loop", env: {} },
    { version: 6, dispatcher: "Qt's own loop", env: { QT_NO_GLIB: "1" } },
  ]
) {
  testOnDisplay(
    `qtWaker() lets the reactor go on inside exec() of Qt ${version} on ${dispatcher}`,
    missing,
    async (display) => {
      await using program = new ToolkitProgram({
        file: "tests/loops/programs/qt_guest.ts",
        args: [`${version}`],
        display,
        env,
      });

      const guest = await program.json<Guest>("guest");
      const { bytes, promise, thrown, calls, median } = guest;
      assertEquals({ bytes, promise, thrown }, {
        bytes: 100,
        promise: true,
        thrown: "on purpose",
      });
      assertGreater(calls, 10);
      console.log(`Qt ${version}, ${dispatcher}: ${median.toFixed(2)} ms`);

      // Ended by stop(); a late work item did nothing.
      assertEquals(await program.line("host"), "none");
      const [before, after] = await program.json<number[]>("references");
      assertGreaterOrEqual(after!, before! - 1);

      // Ended by Qt; close() did the rest.
      assertEquals(await program.line("running"), "true");
      assertEquals(await program.line("shutdowns"), "1");
      assertClean(await program.end());
    },
  );
}

for (const version of VERSIONS) {
  testOnDisplay(
    `qtLoop() shows a window of Qt ${version} while Deno's loop goes on`,
    missing,
    async (display) => {
      await using program = new ToolkitProgram({
        file: "tests/loops/programs/qt_host.ts",
        args: [`${version}`],
        display,
      });

      const window = await display.window("Qt under test");
      await display.drawn(window);
      const before = await display.pixels(window);
      await display.click(window, window.width / 2, window.height - 20);
      await program.line("clicked");

      const { ticks, fetches, bytes } = await program.json<Alive>("alive");
      assertGreaterOrEqual(ticks, 50);
      assertGreaterOrEqual(fetches, 20);
      assertGreaterOrEqual(bytes, 50);
      assertNotEquals(await display.pixels(window), before);

      const { cpu, turns } = await program.json<Record<string, number>>("idle");
      assertLess(cpu!, 20);
      assertLess(turns!, 20);
      await program.line("modal");
      // Without a kick it takes until the next event: half a minute here.
      const late = Number(await program.line("timer"));
      assertGreaterOrEqual(late, 29);
      assertLess(late, 10_000);

      await display.askToClose(window);
      await program.line("closed");
      assertClean(await program.end());
    },
  );

  for (const form of ["host", "guest"]) {
    const start = (display: Display) =>
      new ToolkitProgram({
        file: "examples/loops/qt.ts",
        args: [form, `${version}`],
        display,
        permissions: ["--allow-ffi", "--allow-net=127.0.0.1"],
      });

    testOnDisplay(
      `examples/loops/qt.ts ends when its "Quit" is clicked (${form} ${version})`,
      missing,
      async (display) => {
        await using program = start(display);
        const window = await display.window(`Qt ${version} and Deno`);
        await display.drawn(window);
        await display.click(window, window.width / 2, window.height - 20);
        assertClean(await program.end());
      },
    );

    testOnDisplay(
      `examples/loops/qt.ts ends when its window is closed (${form} ${version})`,
      missing,
      async (display) => {
        await using program = start(display);
        const window = await display.window(`Qt ${version} and Deno`);
        await display.drawn(window);
        await display.askToClose(window);
        assertClean(await program.end());
      },
    );
  }
}

testOnDisplay(
  "qtWaker() and qtLoop() say what they lack",
  missing,
  async (display) => {
    await using program = new ToolkitProgram({
      file: "tests/loops/programs/qt_refusals.ts",
      display,
      env: { QT_NO_GLIB: "1" },
    });

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

    assertEquals(await program.line("waker"), "none");
    assertEquals(await program.line("other"), noApplication("a waker for Qt"));
    const loop = await program.line("loop");
    assert(loop.startsWith("NotSupported: Cannot make a loop of Qt:"), loop);
    assert(loop.includes(`an environment without "QT_NO_GLIB"`), loop);
    assertClean(await program.end());
  },
);
