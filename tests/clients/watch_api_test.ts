/**
 * `examples/clients/watch_api.ts`, with a sound server of its own that has no
 * sound card.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { onLinux } from "../descriptors.ts";
import {
  assertInOrder,
  CTRL_C,
  run as runExample,
  startOnTerminal,
  startPiped,
} from "../example_program.ts";
import { missingPackages, testToolkit } from "../loops/toolkit.ts";
import { Folder } from "../net/certificates.ts";
import { missingPrograms, Peer, run } from "../net/peers/peer.ts";

const missing = onLinux
  ? [
    ...await missingPackages({
      libraries: { "libpulse.so.0": "libpulse0" },
      windows: false,
    }),
    ...await missingPrograms({
      pulseaudio: "pulseaudio",
      pactl: "pulseaudio-utils",
    }),
  ]
  : ["Linux"];

const PROGRAM = "clients/watch_api.ts";

// What is opened in a test and stays open would be taken for a leak.
libc();

/** A sound server, and a home for all who write into one. */
class SoundServer implements AsyncDisposable {
  /** Where it is. */
  readonly address: string;
  /** What its clients need in their environment. */
  readonly env: Record<string, string>;
  readonly #folder: Folder;
  readonly #server: Peer;

  private constructor(folder: Folder) {
    this.#folder = folder;
    this.address = folder.file("native");
    this.env = { HOME: folder.path, XDG_RUNTIME_DIR: folder.path };
    // deno-fmt-ignore
    this.#server = new Peer("env", [
      ...this.#settings, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent",
      "pulseaudio", "-n", "-v", "--log-target=stderr", "--daemonize=no",
      "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
      "-L", `module-native-protocol-unix socket=${this.address} auth-anonymous=1`,
      "-L", "module-null-sink sink_name=quiet",
    ]);
  }

  /** Starts it, and waits until it takes connections. */
  static async start(): Promise<SoundServer> {
    const server = new SoundServer(new Folder());
    await server.#server.stderr.printed(/Daemon startup complete/);
    return server;
  }

  /** Has another client of it do something. Returns what that printed. */
  async tell(...args: string[]): Promise<string> {
    const command = [...this.#settings, "pactl", "-s", this.address, ...args];
    const { code, text, stderr } = await run("env", command);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    return text.trim();
  }

  /** Ends it, and whoever is connected sees that. */
  kill(): void {
    this.#server.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  get #settings(): string[] {
    return Object.entries(this.env).map(([name, value]) => `${name}=${value}`);
  }
}

testToolkit(
  "watch_api.ts tells of outputs that come, change and go, until Ctrl-C",
  missing,
  async () => {
    await using server = await SoundServer.start();
    const output = await runExample(startOnTerminal, PROGRAM, {
      args: [server.address],
      env: server.env,
      async talk({ output, type }) {
        await output.until("output 0: quiet");
        await server.tell("set-sink-volume", "quiet", "50%");
        await output.until("output 0 has changed");
        const module = await server.tell(
          "load-module",
          "module-null-sink",
          "sink_name=second",
        );
        await output.until("output 1 is new");
        await server.tell("unload-module", module);
        await output.until("output 1 is gone");
        type(CTRL_C);
      },
    });
    assertInOrder(output, [
      `Connected to ${server.address}. Ctrl-C ends it.\n`,
    ]);
  },
);

testToolkit(
  "watch_api.ts ends at a time of the library's",
  missing,
  async () => {
    await using server = await SoundServer.start();
    const began = performance.now();
    const output = await runExample(startPiped, PROGRAM, {
      args: [server.address, "--for", "1.5"],
      env: server.env,
    });
    assertInOrder(output, ["output 0: quiet\n"]);
    assertEquals(performance.now() - began >= 1500, true);
  },
);

testToolkit(
  "watch_api.ts says so when the server goes away, and when there is none",
  missing,
  async () => {
    await using server = await SoundServer.start();
    const options = { args: [server.address], env: server.env, status: 1 };
    await runExample(startPiped, PROGRAM, {
      ...options,
      complaints: "The sound server: Connection terminated\n",
      async talk({ output }) {
        await output.until("output 0: quiet");
        server.kill();
      },
    });
    await runExample(startPiped, PROGRAM, {
      ...options,
      complaints: "The sound server: Connection refused\n",
    });
  },
);

testToolkit("watch_api.ts explains its arguments", missing, async () => {
  for (const args of [["--for"], ["--for", "x"], ["x", "y"], ["x", "--for"]]) {
    await runExample(startPiped, PROGRAM, {
      args,
      status: 2,
      complaints: "Usage: watch_api.ts [SERVER] [--for SECONDS]\n",
    });
  }
});
