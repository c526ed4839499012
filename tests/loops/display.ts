/**
 * An X server without a screen, and somebody who looks at it and clicks.
 *
 * Clicks and keys are made by the server's test extension (XTEST), so a toolkit
 * gets them as it gets those of a person. There is no window manager: a window
 * stands where its program puts it.
 *
 * @module
 */

/** Long enough for any window here; no test waits for it to pass. */
const PATIENCE = 30_000;

/** A window, in pixels of the screen. */
export interface Window {
  /** The X server's number for it. */
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Waits until something that can be seen from outside only is so. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`It is not so: ${condition}`);
  }
}

/** An X server of its own for a test. */
export class Display implements AsyncDisposable {
  /** What the environment variable DISPLAY has to say. */
  readonly name: string;
  readonly #server: Deno.ChildProcess;

  private constructor(name: string, server: Deno.ChildProcess) {
    this.name = name;
    this.#server = server;
  }

  /** Starts a server, under a number that nobody has. */
  static async start(): Promise<Display> {
    const server = new Deno.Command("Xvfb", {
      // A server whose last client leaves would start over (-noreset), and
      // refuse whoever comes meanwhile.
      args: "-displayfd 1 -screen 0 1024x768x24 -nolisten tcp -noreset"
        .split(" "),
      stdout: "piped",
      stderr: "null",
    }).spawn();
    // It prints its number as soon as it takes connections.
    let number = "";
    const reader = server.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    while (!number.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("Xvfb did not start");
      number += value;
    }
    await reader.cancel();
    return new Display(`:${number.trim()}`, server);
  }

  /** Waits until a window whose title contains `title` is on the screen. */
  async window(title: string): Promise<Window> {
    const found = await this.#tell(
      "search --sync --onlyvisible --limit 1 --name",
      title,
    );
    const id = found.trim().split("\n")[0]!;
    const text = await this.#tell("getwindowgeometry --shell", id);
    const { X, Y, WIDTH, HEIGHT } = Object.fromEntries(
      text.trim().split("\n").map((line) => line.split("=")),
    );
    return {
      id,
      x: Number(X),
      y: Number(Y),
      width: Number(WIDTH),
      height: Number(HEIGHT),
    };
  }

  /** Waits until a window with such a title is there, and something in it. */
  async drawnWindow(title: string): Promise<Window> {
    const window = await this.window(title);
    await this.drawn(window);
    return window;
  }

  /** Clicks at a place of a window, from its upper left corner. */
  async click(window: Window, x: number, y: number): Promise<void> {
    await this.#tell("mousemove", ...onScreen(window, x, y), "click", "1");
  }

  /** Presses the mouse button at a place of a window, and holds it down. */
  async press(window: Window, x: number, y: number): Promise<void> {
    await this.#tell("mousemove", ...onScreen(window, x, y), "mousedown", "1");
  }

  /** Lets go of the mouse button. */
  async release(): Promise<void> {
    await this.#tell("mouseup 1");
  }

  /** Moves the mouse to and fro, by a pixel. */
  async stir(): Promise<void> {
    await this.#tell("mousemove_relative 1 1 mousemove_relative -- -1 -1");
  }

  /**
   * Asks a window to close, as a window manager does for its close button.
   *
   * `xdotool` can only end the whole program, so this takes Xlib, in a process
   * of its own: Xlib ends the process that has an error.
   */
  async askToClose(window: Window): Promise<void> {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", ASK_TO_CLOSE, window.id],
      env: { DISPLAY: this.name, NO_COLOR: "1" },
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }

  /** Gives a window the keyboard. */
  async focus(window: Window): Promise<void> {
    await this.#tell("windowfocus --sync", window.id);
  }

  /** Presses a key, such as `Escape` or `ctrl+q`, for whoever has the keyboard. */
  async key(name: string): Promise<void> {
    await this.#tell("key", name);
  }

  /** Types a text. */
  async type(text: string): Promise<void> {
    await this.#tell("type", text);
  }

  /** What a part of the screen shows: three bytes a pixel, row by row. */
  async pixels(of: Omit<Window, "id">): Promise<Uint8Array> {
    const { success, stdout, stderr } = await new Deno.Command("import", {
      args: [
        ...["-window", "root", "-depth", "8"],
        ...["-crop", `${of.width}x${of.height}+${of.x}+${of.y}`],
        "rgb:-",
      ],
      env: { DISPLAY: this.name },
      stdout: "piped",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return stdout;
  }

  /** How many colours a part of the screen has. A blank one has one. */
  async colours(of: Omit<Window, "id">): Promise<number> {
    const pixels = await this.pixels(of);
    const seen = new Set<number>();
    for (let i = 0; i + 2 < pixels.length; i += 3) {
      seen.add(pixels[i]! << 16 | pixels[i + 1]! << 8 | pixels[i + 2]!);
    }
    return seen.size;
  }

  /** Waits until a part of the screen shows more than one colour. */
  async drawn(of: Omit<Window, "id">): Promise<void> {
    await until(async () => await this.colours(of) > 1);
  }

  /** Waits until a part of the screen shows something else than `before`. */
  async changed(
    of: Omit<Window, "id">,
    before: Uint8Array,
  ): Promise<void> {
    const isOther = (byte: number, i: number) => byte !== before[i];
    await until(async () => (await this.pixels(of)).some(isOther));
  }

  /** Waits until a pixel of the screen has a colour, as 0xRRGGBB. */
  async shows(
    { x, y, colour }: { x: number; y: number; colour: number },
  ): Promise<void> {
    const pixel = { x, y, width: 1, height: 1 };
    await until(async () => {
      const [red, green, blue] = await this.pixels(pixel);
      return (red! << 16 | green! << 8 | blue!) === colour;
    });
  }

  /** Ends the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.kill("SIGTERM");
    await this.#server.status;
  }

  async #tell(command: string, ...args: string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("xdotool", {
      args: [...command.split(" "), ...args],
      env: { DISPLAY: this.name },
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(PATIENCE),
    }).output();
    if (success) return new TextDecoder().decode(stdout);
    throw new Error(
      `xdotool ${command} ${args.join(" ")}: ${
        new TextDecoder().decode(stderr)
      }`,
    );
  }
}

/** A place of a window as one of the screen, for a command line. */
function onScreen(window: Window, x: number, y: number): string[] {
  return [String(window.x + x), String(window.y + y)];
}

// An XClientMessageEvent: type 33, window at 32, message type at 40, format (32
// bits) at 48, and the data from 56 on; ICCCM 4.2.8 says what it has to be.
const ASK_TO_CLOSE = `
const x = Deno.dlopen("libX11.so.6", {
  XOpenDisplay: { parameters: ["pointer"], result: "pointer" },
  XInternAtom: { parameters: ["pointer", "buffer", "i32"], result: "u64" },
  XSendEvent: {
    parameters: ["pointer", "u64", "i32", "i64", "buffer"],
    result: "i32",
  },
  XCloseDisplay: { parameters: ["pointer"], result: "i32" },
}).symbols;
const display = x.XOpenDisplay(null);
const atom = (name) =>
  x.XInternAtom(display, new TextEncoder().encode(name + "\\0"), 0);
const window = BigInt(Deno.args[0]);
const event = new DataView(new ArrayBuffer(192));
event.setInt32(0, 33, true);
event.setBigUint64(32, window, true);
event.setBigUint64(40, atom("WM_PROTOCOLS"), true);
event.setInt32(48, 32, true);
event.setBigUint64(56, atom("WM_DELETE_WINDOW"), true);
x.XSendEvent(display, window, 0, 0n, event);
x.XCloseDisplay(display);
`;
