/** A page from Deno.serve in a window of WebKit's, in one program. */

import { assertEquals, assertGreater } from "@std/assert";
import { hasProcessEnded } from "../leftovers.ts";
import { assertBeside, assertCleanEnd, assertIdle } from "./assertions.ts";
import { type Display, until } from "./display.ts";
import {
  missingPackages,
  type Start,
  testOnDisplay,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: {
    "libgtk-3.so.0": "libgtk-3-0",
    "libwebkit2gtk-4.1.so.0": "libwebkit2gtk-4.1-0",
  },
});

/** The colour behind the pages. */
const PAPER = 0xfdf6e3;

/** A test of a program that has a home of its own. */
function testPage(
  name: string,
  start: Start,
  fn: (program: ToolkitProgram, display: Display) => Promise<void>,
): void {
  testOnDisplay(name, missing, async (display) => {
    const home = await Deno.makeTempDir({ prefix: "webkit-" });
    try {
      await using program = new ToolkitProgram({
        ...start,
        display,
        permissions: ["--allow-ffi", "--allow-net=127.0.0.1"],
        env: {
          HOME: home,
          XDG_CACHE_HOME: `${home}/cache`,
          XDG_CONFIG_HOME: `${home}/config`,
          XDG_DATA_HOME: `${home}/data`,
          XDG_RUNTIME_DIR: home,
        },
      });
      await fn(program, display);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  });
}

/** Waits until the upper left corner of the screen is that of a page. */
async function pageShown(display: Display): Promise<void> {
  await display.shows({ x: 4, y: 4, colour: PAPER });
}

/**
 * After what `quit` does the program ends as it should, and the processes that
 * WebKit has started end with it.
 */
async function assertEndsCleanly(
  program: ToolkitProgram,
  quit: () => Promise<void>,
): Promise<void> {
  const helpers = await program.children();
  assertGreater(helpers.length, 0);
  await quit();
  await assertCleanEnd(program);
  for (const pid of helpers) await until(() => hasProcessEnded(pid));
}

testPage(
  "glibLoop() lets a page of WebKit's and the server that it comes from live in one program",
  { file: "tests/loops/programs/webkit_host.ts" },
  async (program, display) => {
    const { title, paths } = await program.json<
      { title: string; paths: string[] }
    >("loaded");
    assertEquals(title, "Number 17");
    assertEquals(paths, ["/", "/number"]);
    await pageShown(display);

    assertBeside(await program.json("beside"));
    await assertEndsCleanly(program, async () => {
      assertIdle(await program.json("idle"), 99);
    });
  },
);

testPage(
  "examples/loops/webkit.ts counts what is clicked in its page, and ends by the page's button",
  { file: "examples/loops/webkit.ts" },
  async (program, display) => {
    await program.line("Counted to 0");
    const window = await display.window("Counted to 0");
    await pageShown(display);
    await display.click(window, 190, 203);
    await program.line("Counted to 1");
    await display.window("Counted to 1");
    await assertEndsCleanly(program, () => display.click(window, 295, 203));
  },
);

testPage(
  "examples/loops/webkit.ts ends when its window is closed",
  { file: "examples/loops/webkit.ts" },
  async (program, display) => {
    await program.line("Counted to 0");
    const window = await display.window("Counted to 0");
    await assertEndsCleanly(program, () => display.askToClose(window));
  },
);
