// Cocoa, as GNUstep has it.

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertMatch,
  assertNotEquals,
} from "@std/assert";
import type { Display, Window } from "./display.ts";
import type { Guest } from "./programs/alive.ts";
import { missingPackages, testOnDisplay, ToolkitProgram } from "./toolkit.ts";

/** Longer than anything here takes; no test waits for it to pass. */
const PATIENCE = 30_000;

const missing = await missingPackages({
  libraries: {
    "libgnustep-gui.so.0.29": "gnustep-gui-runtime",
    "/usr/lib/GNUstep/Bundles/libgnustep-cairo-029.bundle/libgnustep-cairo-029":
      "gnustep-back0.29-cairo",
  },
});

/** A place of a window. */
type Place = Omit<Window, "id">;

// Where things are in the demo's window, from its upper left corner.
const GO: Place = { x: 544, y: 35, width: 84, height: 24 };
const CLOSE: Place = { x: 624, y: 5, width: 12, height: 12 };
const TEXT: Place = { x: 40, y: 75, width: 580, height: 370 };
/** In its menu, which is a window of its own. */
const QUIT: Place = { x: 4, y: 24, width: 160, height: 16 };

/**
 * Where GNUstep puts what it writes, and the processes that it starts. It finds
 * the user's folder by itself, whatever HOME says, so it is told by its
 * configuration.
 */
class Gnustep implements AsyncDisposable {
  readonly #folder: string;
  /** For a program's environment. */
  readonly env: Record<string, string>;

  private constructor(folder: string) {
    this.#folder = folder;
    this.env = { GNUSTEP_CONFIG_FILE: `${folder}/GNUstep.conf`, TMP: folder };
  }

  static async setUp(): Promise<Gnustep> {
    const folder = await Deno.makeTempDir({ prefix: "gnustep_" });
    const system = await Deno.readTextFile("/etc/GNUstep/GNUstep.conf");
    await Deno.writeTextFile(
      `${folder}/GNUstep.conf`,
      `${system}
GNUSTEP_USER_CONFIG_FILE=
GNUSTEP_USER_DEFAULTS_DIR=${folder}/Defaults
GNUSTEP_USER_DIR_LIBRARY=${folder}/Library
`,
    );
    // There is no window manager, and GNUstep has title bars of its own.
    await Deno.writeTextFile(
      `${folder}/GlobalDefaults.plist`,
      "{ GSX11HandlesWindowDecorations = NO; GSSuppressAppIcon = YES; }",
    );
    return new Gnustep(folder);
  }

  /**
   * Ends what GNUstep has started for all its programs: `gdnc`, which passes on
   * notifications, and `gpbs`, which keeps the clipboard. They end by themselves,
   * up to 15 seconds after the last program, unless the folder is gone by then.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    let left: string[];
    do left = await this.#endHelpers(); while (left.length > 0);
    await Deno.remove(this.#folder, { recursive: true });
  }

  /** Which processes with this environment were there. */
  async #endHelpers(): Promise<string[]> {
    const { stdout } = await new Deno.Command("sh", {
      args: ["-c", END_HELPERS, "sh", this.#folder],
      stdout: "piped",
    }).output();
    const names = new TextDecoder().decode(stdout).split("\n").filter(Boolean);
    for (const name of names) assertMatch(name, /^(gdnc|gpbs)$/);
    return names;
  }
}

/** In a shell, since Deno reads there only with every permission that there is. */
const END_HELPERS = `
for file in $(grep -alF "$1" /proc/[0-9]*/environ 2>/dev/null); do
  folder=\${file%/environ}
  name=$(cat $folder/comm 2>/dev/null) || continue
  echo $name
  case $name in gdnc|gpbs) kill -9 \${folder#/proc/} 2>/dev/null ;; esac
done`;

function testCocoa(
  name: string,
  fn: (display: Display, env: Record<string, string>) => Promise<void>,
): void {
  testOnDisplay(name, missing, async (display) => {
    await using gnustep = await Gnustep.setUp();
    await fn(display, gnustep.env);
  });
}

/** A place of a window as a place of the screen. */
function on(window: Window, place: Place): Place {
  return { ...place, x: window.x + place.x, y: window.y + place.y };
}

/** Presses the mouse button on a control, until that looks pressed. */
async function press(
  display: Display,
  window: Window,
  place: Place,
): Promise<void> {
  const before = await display.pixels(on(window, place));
  const { x, y, width, height } = place;
  await display.press(window, x + width / 2, y + height / 2);
  await display.changed(on(window, place), before);
}

/** Does something again and again until there is an outcome. */
async function until<T>(
  outcome: Promise<T>,
  step: () => Promise<void>,
): Promise<T> {
  let waiting = true;
  const settled = () => waiting = false;
  outcome.then(settled, settled);
  for (const end = performance.now() + PATIENCE; waiting;) {
    if (performance.now() > end) throw new Error("Nothing came of it");
    await step();
  }
  return await outcome;
}

/**
 * Lets go of the mouse button, and waits for what must come of it. Meanwhile the
 * mouse moves, as it does in a hand: GNUstep, while it waits for the button of a
 * control to come up, may pass that event over until there is another one.
 */
async function release<T>(display: Display, outcome: Promise<T>): Promise<T> {
  await display.release();
  return await until(outcome, () => display.stir());
}

async function click<T>(
  display: Display,
  window: Window,
  options: { on: Place; for: Promise<T> },
): Promise<T> {
  await press(display, window, options.on);
  return await release(display, options.for);
}

function assertAlive(guest: Guest & { mode: string }, mode: string): void {
  const { median, calls, ...rest } = guest;
  console.log(
    `cocoaWaker(): ${
      median.toFixed(3)
    } ms from a byte to its reader in ${mode}`,
  );
  assertGreaterOrEqual(calls, 5);
  assertEquals(rest, { bytes: 100, promise: true, thrown: "on purpose", mode });
}

for (const first of ["reactor", "loop"]) {
  testCocoa(
    `cocoaWaker() lets the reactor live inside [NSApp run] in every mode when the ${first} ends first`,
    async (display, env) => {
      await using program = new ToolkitProgram({
        file: "tests/loops/programs/cocoa_guest.ts",
        args: [first],
        display,
        env,
      });
      assertAlive(await program.json("guest"), "NSDefaultRunLoopMode");
      assertEquals(await program.json("modal"), "NSModalPanelRunLoopMode");
      await program.line("ready");
      const window = await display.window("One Button");
      await display.drawn(window);
      await display.press(window, window.width / 2, window.height / 2);
      assertAlive(await program.json("held"), "NSEventTrackingRunLoopMode");
      const running = await release(display, program.json("returned"));
      assertEquals(running, first === "loop");
      const { code, signal, stdout, stderr } = await program.end();
      assertEquals({ code, signal, stderr }, {
        code: 0,
        signal: null,
        stderr: "",
      });
      assertMatch(stdout, /^ended null$/m);
    },
  );
}

/** The demo, with its window drawn and the keyboard in its hands. */
async function startClient(display: Display, env: Record<string, string>) {
  const program = new ToolkitProgram({
    file: "examples/loops/simple_web_client_cocoa.ts",
    args: [""],
    permissions: ["--allow-ffi"],
    display,
    env,
  });
  const window = await display.window("Simple Web Client");
  await display.drawn(window);
  await display.focus(window);
  // GNUstep moves the focus about at its start, and loses keys. One that has
  // arrived leads to the error that there is no address.
  await until(program.line("error"), () => display.key("Return"));
  return { program, window };
}

async function cleanEnd(program: ToolkitProgram): Promise<void> {
  const { code, signal, stdout, stderr } = await program.end();
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  assertMatch(stdout, /^stopped\n$/m);
}

testCocoa(
  "simple_web_client_cocoa.ts shows a page and an error, and quits by its menu",
  async (display, env) => {
    const page = "<p>A page with <b>some</b> lines.</p>\n".repeat(100);
    const asked: string[] = [];
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => {
        asked.push(new URL(request.url).pathname);
        return new Response(page);
      },
    );
    const { program, window } = await startClient(display, env);
    await using _program = program;
    const blank = await display.pixels(on(window, TEXT));

    await display.type(`http://127.0.0.1:${server.addr.port}/source`);
    await display.key("Return");
    assertEquals(await program.json("page"), page.length);
    assertEquals(asked, ["/source"]);
    await display.changed(on(window, TEXT), blank);

    // What was typed is selected again, so this takes its place.
    const shown = await display.pixels(on(window, TEXT));
    const { port } = unusedAddress();
    await display.type(`http://127.0.0.1:${port}/`);
    const error = program.json<number>("error");
    assertGreaterOrEqual(
      await click(display, window, { on: GO, for: error }),
      20,
    );
    await display.changed(on(window, TEXT), shown);
    assertNotEquals(await display.pixels(on(window, TEXT)), blank);

    const menu = await display.window("SimpleWebClient");
    await click(display, menu, { on: QUIT, for: cleanEnd(program) });
  },
);

testCocoa(
  "simple_web_client_cocoa.ts ends when its window is closed, in the middle of a fetch",
  async (display, env) => {
    // Takes a connection, and never answers.
    using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { program, window } = await startClient(display, env);
    await using _program = program;
    await display.type(`http://127.0.0.1:${server.addr.port}/`);
    const asked = server.accept();
    using _connection = await click(display, window, { on: GO, for: asked });
    await click(display, window, { on: CLOSE, for: cleanEnd(program) });
  },
);

testCocoa(
  "simple_web_client_cocoa.ts is not terminated inside a signal's handler",
  async (display, env) => {
    const { program } = await startClient(display, env);
    await using _program = program;
    program.interrupt();
    assertEquals((await program.end()).signal, "SIGINT");
  },
);

/** An address at which nobody listens. */
function unusedAddress(): Deno.NetAddr {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assert(listener.addr.transport === "tcp");
  return listener.addr;
}
