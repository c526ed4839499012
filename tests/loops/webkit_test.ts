/** A page from Deno.serve in a window of WebKit's, in one program. */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { type Display, until } from "./display.ts";
import type { Alive } from "./programs/alive.ts";
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
const PAPER = [0xfd, 0xf6, 0xe3];

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
  const corner = { x: 4, y: 4, width: 1, height: 1 };
  await until(async () =>
    [...await display.pixels(corner)].join() === PAPER.join()
  );
}

/** Whether a process is gone, or a name that its parent has not taken away. */
async function hasEnded(pid: string): Promise<boolean> {
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return true;
  }
}

/**
 * After what `quit` does the program ends as it should, and the processes that
 * WebKit has started end with it.
 */
async function assertEndsCleanly(
  program: ToolkitProgram,
  quit: () => Promise<void>,
): Promise<void> {
  const helpers = program.children();
  assertGreater(helpers.length, 0);
  await quit();
  const { code, stderr } = await program.end();
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  for (const pid of helpers) await until(() => hasEnded(pid));
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

    const { ticks, fetches, bytes } = await program.json<Alive>("beside");
    assertGreater(ticks, 50);
    assertGreater(fetches, 20);
    assertGreater(bytes, 50);

    await assertEndsCleanly(program, async () => {
      const { cpu, turns } = await program.json<
        { cpu: number; turns: number }
      >("idle");
      assertLess(cpu, 20);
      assertLess(turns, 100);
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
