// Plain Xlib, with Deno as the host.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { x11Loop } from "../../src/loops/x11.ts";
import type { Display, Window } from "./display.ts";
import type { Alive } from "./programs/alive.ts";
import { missingPackages, testOnDisplay, ToolkitProgram } from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libX11.so.6": "libx11-6" },
});

function program(display: Display, trial: string): ToolkitProgram {
  return new ToolkitProgram({
    file: "tests/loops/programs/x11_host.ts",
    args: [trial],
    permissions: [
      "--allow-ffi",
      "--allow-net=127.0.0.1",
      "--allow-run=xdotool",
    ],
    display,
  });
}

function demo(display: Display): ToolkitProgram {
  return new ToolkitProgram({
    file: "examples/loops/x11.ts",
    permissions: ["--allow-ffi"],
    display,
  });
}

async function assertCleanEnd(program: ToolkitProgram): Promise<void> {
  const { code, signal, stderr } = await program.end();
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
}

/** Waits until the pixel at a place has a colour, as 0xRRGGBB. */
async function shows(
  display: Display,
  { x, y }: Window,
  at: { x: number; y: number; colour: number },
): Promise<void> {
  const pixel = { x: x + at.x, y: y + at.y, width: 1, height: 1 };
  for (;;) {
    const [red, green, blue] = await display.pixels(pixel);
    if ((red! << 16 | green! << 8 | blue!) === at.colour) return;
  }
}

testOnDisplay(
  "x11Loop() shows a window while all of Deno goes on",
  missing,
  async (display) => {
    await using host = program(display, "window");
    const window = await display.window("Host");
    await display.drawn(window);
    const { ticks, fetches, bytes } = await host.json<Alive>("beside");
    assertGreaterOrEqual(ticks, 50);
    assertGreaterOrEqual(fetches, 20);
    assertGreaterOrEqual(bytes, 50);
    const { cpu, turns } = await host.json<{ cpu: number; turns: number }>(
      "idle",
    );
    assertLess(cpu, 20);
    assertLessOrEqual(turns, 5);
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
    await assertCleanEnd(host);
  },
);

testOnDisplay(
  "x11Loop() sees what Xlib has read before the reactor waits",
  missing,
  async (display) => {
    await using host = program(display, "readAhead");
    assertEquals(await host.json("clicked"), true);
    await host.line("quit");
    await assertCleanEnd(host);
  },
);

testOnDisplay(
  "x11Loop() leaves a connection alone that its callback has closed",
  missing,
  async (display) => {
    await using host = program(display, "closedInside");
    assertEquals(await host.json("seen"), 1);
    await assertCleanEnd(host);
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
      const window = await display.window("Where did you click?");
      await display.drawn(window);
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
    await display.drawn(await display.window("Where did you click?"));
    interrupted.interrupt();
    await assertCleanEnd(interrupted);
  },
);
