// Plain Xlib, with Deno as the host.

import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { x11Loop } from "../../src/loops/x11.ts";
import { assertBeside, assertCleanEnd, assertIdle } from "./assertions.ts";
import type { Display, Window } from "./display.ts";
import {
  missingPackages,
  testOnDisplay,
  testProgramOnDisplay,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libX11.so.6": "libx11-6" },
});

/** A case of the program. */
function host(trial: string) {
  return {
    missing,
    file: "tests/loops/programs/x11_host.ts",
    args: [trial],
    permissions: [
      "--allow-ffi",
      "--allow-net=127.0.0.1",
      "--allow-run=xdotool",
    ],
  };
}

function demo(display: Display): ToolkitProgram {
  return new ToolkitProgram({
    file: "examples/loops/x11.ts",
    permissions: ["--allow-ffi"],
    display,
  });
}

/** Waits until a pixel of a window has a colour. */
async function shows(
  display: Display,
  { x, y }: Window,
  at: { x: number; y: number; colour: number },
): Promise<void> {
  await display.shows({ x: x + at.x, y: y + at.y, colour: at.colour });
}

testProgramOnDisplay(
  "x11Loop() shows a window while all of Deno goes on",
  host("window"),
  async (host, display) => {
    const window = await display.drawnWindow("Host");
    assertBeside(await host.json("beside"));
    assertIdle(await host.json("idle"), 5);
    await host.line("painted");
    await shows(display, window, { x: 100, y: 50, colour: 0x33cc66 });

    for (const x of [100, 110]) {
      await display.click(window, x, 50);
      assertEquals(await host.json("click"), { type: "click", x, y: 50 });
    }
    await shows(display, window, { x: 100, y: 50, colour: 0xcc3366 });
    await display.askToClose(window);
    assertEquals(await host.json("errors"), Array(2).fill("Error: on purpose"));
    await host.line("quit");
  },
);

testProgramOnDisplay(
  "x11Loop() sees what Xlib has read before the reactor waits",
  host("readAhead"),
  async (host) => {
    assertEquals(await host.json("clicked"), true);
    await host.line("quit");
  },
);

testProgramOnDisplay(
  "x11Loop() leaves a connection alone that its callback has closed",
  host("closedInside"),
  async (host) => {
    assertEquals(await host.json("seen"), 1);
  },
);

Deno.test("x11Loop() throws when an argument is wrong", () => {
  assertThrows(
    () => x11Loop(null as unknown as Deno.PointerObject, () => {}),
    TypeError,
    'Cannot make a loop for Xlib: "display" must be a pointer to a Display, received null',
  );
  assertThrows(
    () =>
      x11Loop(
        Deno.UnsafePointer.of(new Uint8Array(8))!,
        1 as unknown as () => void,
      ),
    TypeError,
    'Cannot make a loop for Xlib: "onEvent" must be a function, received 1',
  );
});

testOnDisplay(
  "The demo of Xlib shows where the click was, and ends when a key is pressed",
  missing,
  async (display) => {
    for (const key of ["Escape", "q"]) {
      await using host = demo(display);
      const window = await display.drawnWindow("Where did you click?");
      const before = await display.pixels(window);
      await display.click(window, 220, 130);
      assertEquals(await host.line("You clicked at"), "220, 130");
      await shows(display, window, { x: 220, y: 130, colour: 0xd1495b });
      assertNotEquals(await display.pixels(window), before);
      await display.focus(window);
      await display.key(key);
      await assertCleanEnd(host);
    }
  },
);

testOnDisplay(
  "The demo of Xlib ends when its window is closed, and on Ctrl-C",
  missing,
  async (display) => {
    await using closed = demo(display);
    await display.askToClose(await display.window("Where did you click?"));
    await assertCleanEnd(closed);

    await using interrupted = demo(display);
    await display.drawnWindow("Where did you click?");
    interrupted.interrupt();
    await assertCleanEnd(interrupted);
  },
);
