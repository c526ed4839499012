// SDL 2, in both directions.

import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { sdl2Loop } from "../../src/loops/sdl2.ts";
import {
  assertBeside,
  assertCleanEnd,
  assertIdle,
  assertInside,
} from "./assertions.ts";
import {
  missingPackages,
  testOnDisplay,
  testProgram,
  testProgramOnDisplay,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: {
    "libSDL2-2.0.so.0": "libsdl2-2.0-0",
    "libX11.so.6": "libx11-6",
  },
});

/** Instead of a display. */
const SCREENLESS = { env: { SDL_VIDEODRIVER: "dummy" } };

/** A case of the programs. */
function guest(trial: string) {
  return { missing, file: "tests/loops/programs/sdl2_guest.ts", args: [trial] };
}

function host(trial: string) {
  return { missing, file: "tests/loops/programs/sdl2_host.ts", args: [trial] };
}

/** The demo. */
function demo(form: "guest" | "host") {
  return {
    missing,
    file: "examples/loops/sdl2.ts",
    args: form === "host" ? [] : [form],
    permissions: form === "host"
      ? ["--allow-ffi", "--allow-net=127.0.0.1"]
      : ["--allow-ffi"],
  };
}

testProgramOnDisplay(
  "sdl2Waker() lets the reactor live inside a loop around SDL_WaitEvent",
  guest("alive"),
  async (guest) => {
    assertInside(await guest.json("inside"), "sdl2Waker()");
    await guest.line("quit");
  },
);

testProgram(
  "sdl2Waker() needs no screen",
  { ...guest("alive"), ...SCREENLESS },
  async (guest) => {
    assertInside(await guest.json("inside"), "sdl2Waker() without a screen");
  },
);

testProgramOnDisplay(
  "sdl2Waker() lets the reactor be closed when the program's loop ends first",
  guest("first"),
  async (guest) => {
    await guest.line("shutdown");
    assertEquals(await guest.json("quit"), "none");
  },
);

testProgram(
  "sdl2Waker() has its event pushed again when SDL's queue was full",
  { ...guest("full"), ...SCREENLESS },
  async (guest) => {
    assertGreater(await guest.json<number>("pushed"), 1000);
    assertEquals(await guest.json("quit"), [true, false]);
  },
);

testProgram(
  "sdl2Waker() does not need its event when the program calls work() anyway",
  { ...guest("flushed"), ...SCREENLESS },
  async (guest) => {
    assertEquals(await guest.json("called"), 1);
    await guest.line("quit");
  },
);

testOnDisplay(
  "sdl2Waker() pushes nothing after shutdown, when SDL_Quit is called at once",
  missing,
  async (display) => {
    await using first = new ToolkitProgram({ ...guest("cycles"), display });
    await using second = new ToolkitProgram({
      ...guest("cycles"),
      ...SCREENLESS,
    });
    for (const one of [first, second]) {
      await one.line("quit");
      await assertCleanEnd(one);
    }
  },
);

testProgramOnDisplay(
  "sdl2Loop() shows a window while all of Deno goes on",
  host("window"),
  async (host, display) => {
    const window = await display.drawnWindow("Host");
    assertBeside(await host.json("beside"));
    assertIdle(await host.json("idle"), 5);

    const before = await display.pixels(window);
    for (const x of [40, 60]) {
      await display.click(window, x, 30);
      assertEquals(await host.json("click"), { type: "click", x, y: 30 });
    }
    assertNotEquals(await display.pixels(window), before);
    await display.askToClose(window);
    assertEquals(
      await host.json("errors"),
      Array(2).fill("Error: on purpose"),
    );
    await host.line("quit");
  },
);

testOnDisplay(
  "sdl2Loop() sees every event that other threads push",
  missing,
  async (display) => {
    await using first = new ToolkitProgram({ ...host("pushes"), display });
    await using second = new ToolkitProgram({
      ...host("pushes"),
      ...SCREENLESS,
    });
    for (const one of [first, second]) {
      const each = await one.json<number>("each");
      console.log(`sdl2Loop(): ${each.toFixed(3)} ms from push to push`);
      assertEquals(await one.json("errors"), []);
      assertIdle(await one.json("idle"), 5);
      await assertCleanEnd(one);
    }
  },
);

testProgram(
  "sdl2Loop() sees events that are queued after it was woken for them",
  { ...host("pushesEarly"), ...SCREENLESS },
  async (host) => {
    await host.line("quit");
  },
);

testProgramOnDisplay(
  "sdl2Loop() sees what SDL has read before the reactor waits",
  { ...host("readAhead"), permissions: ["--allow-ffi", "--allow-run=xdotool"] },
  async (host) => {
    assertEquals(await host.json("clicked"), true);
    assertEquals(await host.json("pushed"), 10);
  },
);

testProgram(
  "sdl2Loop() looks at SDL as often as its interval says",
  { ...host("interval"), ...SCREENLESS },
  async (host) => {
    assertGreaterOrEqual(await host.json<number>("turns"), 10);
    assertEquals(await host.json("errors"), []);
  },
);

testProgram(
  "sdl2Loop() leaves nothing behind when it is disposed of",
  {
    ...host("disposed"),
    ...SCREENLESS,
    // Deno guards /proc itself.
    permissions: ["--allow-all"],
  },
  async (host) => {
    assertEquals(await host.json("opened"), 1);
    assertEquals(await host.json("left"), 0);
    assertEquals(await host.json("written"), false);
    assertEquals(await host.json("seen"), 0);
  },
);

testProgram(
  "sdl2Loop() throws when SDL knows no such window",
  { ...host("wrong"), ...SCREENLESS },
  async (host) => {
    assertEquals(
      await host.json("message"),
      "Cannot make a loop for SDL 2: Invalid window",
    );
  },
);

Deno.test("sdl2Loop() throws when an argument is wrong", () => {
  const window = Deno.UnsafePointer.of(new Uint8Array(8))!;
  const f = () => {};
  assertThrows(
    () => sdl2Loop(null as unknown as Deno.PointerObject, f),
    TypeError,
    'Cannot make a loop for SDL 2: "window" must be a pointer to an SDL_Window, received null',
  );
  assertThrows(
    () => sdl2Loop(window, undefined as unknown as () => void),
    TypeError,
    'Cannot make a loop for SDL 2: "onEvent" must be a function, received undefined',
  );
  for (const interval of [0, -1, Infinity, NaN]) {
    assertThrows(
      () => sdl2Loop(window, f, { interval }),
      RangeError,
      'Cannot make a loop for SDL 2: "options.interval" must be ',
    );
  }
  assertThrows(
    () => sdl2Loop(window, f, { interval: "1" as unknown as number }),
    TypeError,
    'Cannot make a loop for SDL 2: "options.interval" must be ',
  );
});

testProgramOnDisplay(
  "The demo of SDL 2, Deno as the host, ends when Escape is pressed",
  demo("host"),
  async (_, display) => {
    const window = await display.window("2 requests served");
    await display.changed(window, await display.pixels(window));
    await display.click(window, 600, 20);
    await display.focus(window);
    await display.key("Escape");
  },
);

testProgramOnDisplay(
  "The demo of SDL 2, SDL as the host, ends when Escape is pressed",
  demo("guest"),
  async (_, display) => {
    const window = await display.drawnWindow("Bouncing ball");
    await display.changed(window, await display.pixels(window));
    await display.focus(window);
    await display.key("Escape");
  },
);

testOnDisplay(
  "The demo of SDL 2 ends when its window is closed, and on Ctrl-C",
  missing,
  async (display) => {
    for (const form of ["host", "guest"] as const) {
      await using closed = new ToolkitProgram({ ...demo(form), display });
      await display.askToClose(await display.window("Bouncing ball"));
      await assertCleanEnd(closed);

      await using interrupted = new ToolkitProgram({ ...demo(form), display });
      await display.drawnWindow("Bouncing ball");
      interrupted.interrupt();
      await assertCleanEnd(interrupted);
    }
  },
);
