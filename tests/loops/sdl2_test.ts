// SDL 2, in both directions.

import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { sdl2Loop } from "../../src/loops/sdl2.ts";
import type { Display } from "./display.ts";
import type { Alive, Guest } from "./programs/alive.ts";
import {
  missingPackages,
  testOnDisplay,
  testToolkit,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: {
    "libSDL2-2.0.so.0": "libsdl2-2.0-0",
    "libX11.so.6": "libx11-6",
  },
});

function program(
  form: "guest" | "host",
  trial: string,
  on: Display | "dummy",
  permissions?: readonly string[],
): ToolkitProgram {
  const file = `tests/loops/programs/sdl2_${form}.ts`;
  return on === "dummy"
    ? new ToolkitProgram({
      file,
      args: [trial],
      env: { SDL_VIDEODRIVER: on },
      permissions,
    })
    : new ToolkitProgram({ file, args: [trial], display: on, permissions });
}

function demo(form: "guest" | "host", display: Display): ToolkitProgram {
  return new ToolkitProgram({
    file: "examples/loops/sdl2.ts",
    args: form === "host" ? [] : [form],
    permissions: form === "host"
      ? ["--allow-ffi", "--allow-net=127.0.0.1"]
      : ["--allow-ffi"],
    display,
  });
}

async function assertCleanEnd(program: ToolkitProgram): Promise<string> {
  const { code, signal, stdout, stderr } = await program.end();
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  return stdout;
}

/** Waits until what a part of the screen shows is not `before`. */
async function changed(
  display: Display,
  window: Parameters<Display["pixels"]>[0],
  before: Uint8Array,
): Promise<void> {
  for (;;) {
    const now = await display.pixels(window);
    if (now.some((byte, i) => byte !== before[i])) return;
  }
}

testOnDisplay(
  "sdl2Waker() lets the reactor live inside a loop around SDL_WaitEvent",
  missing,
  async (display) => {
    await using guest = program("guest", "alive", display);
    const { median, calls, ...rest } = await guest.json<Guest>("inside");
    console.log(`sdl2Waker(): ${median.toFixed(3)} ms from byte to reader`);
    assertEquals(rest, { bytes: 100, promise: true, thrown: "on purpose" });
    assertGreaterOrEqual(calls, 10);
    await guest.line("quit");
    await assertCleanEnd(guest);
  },
);

testToolkit(
  "sdl2Waker() needs no screen",
  missing,
  async () => {
    await using guest = program("guest", "alive", "dummy");
    assertEquals((await guest.json<Guest>("inside")).bytes, 100);
    await assertCleanEnd(guest);
  },
);

testOnDisplay(
  "sdl2Waker() lets the reactor be closed when the program's loop ends first",
  missing,
  async (display) => {
    await using guest = program("guest", "first", display);
    await guest.line("shutdown");
    assertEquals(await guest.json("quit"), "none");
    await assertCleanEnd(guest);
  },
);

testToolkit(
  "sdl2Waker() has its event pushed again when SDL's queue was full",
  missing,
  async () => {
    await using guest = program("guest", "full", "dummy");
    assertGreater(await guest.json<number>("pushed"), 1000);
    assertEquals(await guest.json("quit"), [true, false]);
    await assertCleanEnd(guest);
  },
);

testToolkit(
  "sdl2Waker() does not need its event when the program calls work() anyway",
  missing,
  async () => {
    await using guest = program("guest", "flushed", "dummy");
    assertEquals(await guest.json("called"), 1);
    await guest.line("quit");
    await assertCleanEnd(guest);
  },
);

testOnDisplay(
  "sdl2Waker() pushes nothing after shutdown, when SDL_Quit is called at once",
  missing,
  async (display) => {
    await using first = program("guest", "cycles", display);
    await using second = program("guest", "cycles", "dummy");
    for (const guest of [first, second]) {
      await guest.line("quit");
      await assertCleanEnd(guest);
    }
  },
);

testOnDisplay(
  "sdl2Loop() shows a window while all of Deno goes on",
  missing,
  async (display) => {
    await using host = program("host", "window", display);
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
    await assertCleanEnd(host);
  },
);

testOnDisplay(
  "sdl2Loop() sees every event that other threads push",
  missing,
  async (display) => {
    await using onScreen = program("host", "pushes", display);
    await using screenless = program("host", "pushes", "dummy");
    for (const host of [onScreen, screenless]) {
      const each = await host.json<number>("each");
      console.log(`sdl2Loop(): ${each.toFixed(3)} ms from push to push`);
      assertEquals(await host.json("errors"), []);
      const { cpu, turns } = await host.json<{ cpu: number; turns: number }>(
        "idle",
      );
      assertLess(cpu, 20);
      assertLessOrEqual(turns, 5);
      await assertCleanEnd(host);
    }
  },
);

testToolkit(
  "sdl2Loop() sees events that are queued after it was woken for them",
  missing,
  async () => {
    await using host = program("host", "pushesEarly", "dummy");
    await host.line("quit");
    await assertCleanEnd(host);
  },
);

testOnDisplay(
  "sdl2Loop() sees what SDL has read before the reactor waits",
  missing,
  async (display) => {
    await using host = program("host", "readAhead", display, [
      "--allow-ffi",
      "--allow-run=xdotool",
    ]);
    assertEquals(await host.json("clicked"), true);
    assertEquals(await host.json("pushed"), 10);
    await assertCleanEnd(host);
  },
);

testToolkit(
  "sdl2Loop() looks at SDL as often as its interval says",
  missing,
  async () => {
    await using host = program("host", "interval", "dummy");
    assertGreaterOrEqual(await host.json<number>("turns"), 10);
    assertEquals(await host.json("errors"), []);
    await assertCleanEnd(host);
  },
);

testToolkit(
  "sdl2Loop() leaves nothing behind when it is disposed of",
  missing,
  async () => {
    // Deno guards /proc itself.
    await using host = program("host", "disposed", "dummy", ["--allow-all"]);
    assertEquals(await host.json("opened"), 1);
    assertEquals(await host.json("left"), 0);
    assertEquals(await host.json("written"), false);
    assertEquals(await host.json("seen"), 0);
    await assertCleanEnd(host);
  },
);

testToolkit(
  "sdl2Loop() throws when SDL knows no such window",
  missing,
  async () => {
    await using host = program("host", "wrong", "dummy");
    assertEquals(
      await host.json("message"),
      "Cannot make a loop for SDL 2: Invalid window",
    );
    await assertCleanEnd(host);
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

testOnDisplay(
  "The demo of SDL 2, Deno as the host, ends when Escape is pressed",
  missing,
  async (display) => {
    await using host = demo("host", display);
    const window = await display.window("2 requests served");
    await changed(display, window, await display.pixels(window));
    await display.click(window, 600, 20);
    await display.focus(window);
    await display.key("Escape");
    await assertCleanEnd(host);
  },
);

testOnDisplay(
  "The demo of SDL 2, SDL as the host, ends when Escape is pressed",
  missing,
  async (display) => {
    await using guest = demo("guest", display);
    const window = await display.window("Bouncing ball");
    await display.drawn(window);
    await changed(display, window, await display.pixels(window));
    await display.focus(window);
    await display.key("Escape");
    await assertCleanEnd(guest);
  },
);

testOnDisplay(
  "The demo of SDL 2 ends when its window is closed, and on Ctrl-C",
  missing,
  async (display) => {
    for (const form of ["host", "guest"] as const) {
      await using closed = demo(form, display);
      await display.askToClose(await display.window("Bouncing ball"));
      await assertCleanEnd(closed);

      await using interrupted = demo(form, display);
      await display.drawn(await display.window("Bouncing ball"));
      interrupted.interrupt();
      await assertCleanEnd(interrupted);
    }
  },
);
