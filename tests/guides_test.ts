// The guides and the other documents of the examples: every piece of TypeScript
// in them has the right types, and does what it is there to show, run as a reader
// runs it who has pasted it.
//
// A fence that needs more than the C library says so behind the `ts` of its
// first line.

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { FileDescriptor } from "../mod.ts";
import { missingPostgres, PostgresServer } from "./clients/postgres_server.ts";
import { missingSocat, PtyPair } from "./clients/pty_pair.ts";
import { SessionBus } from "./clients/session_bus.ts";
import { onLinux } from "./descriptors.ts";
import {
  commandOf,
  type Running,
  SIGINT,
  startPiped,
} from "./example_program.ts";
import {
  Documents,
  documentsIn,
  type Fence,
  fencesIn,
  linksIn,
  placeOf,
  root,
  type RunOptions,
} from "./fences.ts";
import { leaveOut } from "./left_out.ts";
import { Display } from "./loops/display.ts";
import { missingPackages } from "./loops/toolkit.ts";
import { missingPrograms } from "./net/peers/peer.ts";

// The library stays open from its first use on, and the sanitizer would take
// that for a leak of the test that comes first.
libc();

const all = documentsIn("examples");
const fences = all.flatMap(fencesIn);
const documents = new Documents(...all);
Deno.test.afterAll(() => documents[Symbol.dispose]());

/** How a fence is run, and what it needs. */
interface Way {
  /** What is missing for it here. */
  readonly missing: () => Promise<readonly string[]> | readonly string[];
  /** Starts it, and sees that it does what it should. */
  run(fence: Fence): Promise<unknown>;
}

/** What a toolkit is told by a desktop, and by nobody in a test. */
const DESKTOP = {
  GDK_BACKEND: "x11",
  GSK_RENDERER: "cairo",
  GTK_A11Y: "none",
  NO_AT_BRIDGE: "1",
};

/** By the words behind `ts`. */
const WAYS: Readonly<Record<string, Way>> = {
  "": { missing: () => [], run: (fence) => runToEnd(fence) },

  // A pseudoterminal in the place of the port, with somebody at its other end.
  "serial-port": {
    missing: () => missingSocat,
    async run(fence) {
      await using ports = await PtyPair.start();
      const output = await talk(fence, [ports.there], async (program) => {
        await program.output.until(`Listening to ${ports.there}\n`);
        using device = FileDescriptor.open(ports.here, { write: true });
        device.write(new TextEncoder().encode("21.5 degrees\r\n"));
        await program.output.until("21.5 degrees");
        ports.hangUp();
      });
      assertMatch(output, /21\.5 degrees\s+The plug was pulled\n$/);
    },
  },
  "serial-port interrupted": {
    missing: () => missingSocat,
    async run(fence) {
      await using ports = await PtyPair.start();
      const output = await talk(fence, [ports.there], async (program) => {
        await program.output.until(`Listening to ${ports.there}\n`);
        using device = FileDescriptor.open(ports.here, { write: true });
        device.write(new TextEncoder().encode("OK\r\n"));
        await program.output.until("got OK");
        libc().kill(program.pid, SIGINT);
      });
      assertMatch(output, /got OK\s+Closed\n$/);
      // The port is still there: it was the signal that ended it.
      FileDescriptor.open(ports.there).close();
    },
  },

  "postgres": {
    missing: async () => [
      ...await missingPostgres(),
      ...await missingLibrary("libpq.so.5", "libpq5"),
    ],
    async run(fence) {
      await using server = await PostgresServer.start();
      if (!fence.text.includes("LISTEN")) {
        // Nobody listens at the first address, which the socket's error tells.
        const conninfo = server.conninfo
          .replace("host=", "port=1,5432 host=127.0.0.1,");
        const { stdout } = await runToEnd(fence, { args: [conninfo] });
        assertMatch(stdout, /^Connected, version \d+\n$/);
        return;
      }
      const output = await talk(fence, [server.conninfo], async (program) => {
        await program.output.until("Listening; ");
        await notify(server, "good news");
        await program.output.until("good news\n");
        await notify(server, "the end");
      });
      assert(output.endsWith("good news\nthe end\n"), output);
    },
  },

  "session-bus": {
    missing: async () => [
      ...await missingPrograms({ "dbus-daemon": "dbus-daemon" }),
      ...await missingLibrary("libsystemd.so.0", "libsystemd0"),
    ],
    async run(fence) {
      await using bus = await SessionBus.start();
      const env = bus.environment;
      const { stdout } = await runToEnd(fence, { env });
      assertMatch(stdout, /^The bus is [0-9a-f]{32}\n$/);
    },
  },

  "glib": {
    missing: () => missingLibrary("libglib-2.0.so.0", "libglib2.0-0"),
    async run(fence) {
      const { stdout } = await runToEnd(fence);
      assertEquals(stdout, "answered after 3 ticks\n");
    },
  },

  "libevent": {
    missing: async () => [
      ...await missingLibrary("libevent_core-2.1.so.7", "libevent-core-2.1-7"),
      ...await missingLibrary(
        "libevent_pthreads-2.1.so.7",
        "libevent-pthreads-2.1-7",
      ),
    ],
    async run(fence) {
      const { stdout } = await runToEnd(fence);
      assertEquals(stdout, "inside event_base_loop()\nit has returned\n");
    },
  },

  // A module for others, which shows nothing by itself.
  "gtk4": {
    missing: () => missingLibrary("libgtk-4.so.1", "libgtk-4-1"),
    run: (fence) => runToEnd(fence),
  },
  "gtk4 window": {
    missing: () =>
      missingPackages({ libraries: { "libgtk-4.so.1": "libgtk-4-1" } }),
    async run(fence) {
      await using display = await Display.start();
      const env = { ...DESKTOP, DISPLAY: display.name };
      const output = await talk(fence, [], async () => {
        const window = await display.drawnWindow("A clock");
        const before = await display.pixels(window);
        await display.changed(window, before); // It ticks.
        await display.askToClose(window);
      }, env);
      assertEquals(output, "Closed\n");
    },
  },
};

/** What a document may show: code that is run here, and what is only looked at. */
const KINDS = ["ts", "sh", "text", "python"];

Deno.test("every piece of TypeScript in the documents of the examples has the right types", async () => {
  assertEquals(await documents.complaints(), "");
});

Deno.test("the documents of the examples have no code in other languages than are known here", () => {
  for (const fence of fences) {
    const known = KINDS.includes(fence.language);
    assert(known, `${placeOf(fence)}: "${fence.language}"`);
  }
});

for (const fence of fences) {
  if (fence.language !== "ts") continue;
  const needs = fence.attributes.join(" ");
  const name = `${placeOf(fence)} does what it shows`;
  const way = WAYS[needs];
  assert(way !== undefined, `${placeOf(fence)}: nobody knows "${needs}"`);
  // Elsewhere these libraries have other names, if they are there at all.
  const missing = needs === "" || onLinux ? await way.missing() : ["Linux"];
  if (missing.length > 0) leaveOut(name, `install ${missing.join(", ")}`);
  else Deno.test(name, async () => void await way.run(fence));
}

Deno.test("examples/README.md is the index of all guides and programs, with their commands", () => {
  const index = Deno.readTextFileSync(`${root}/examples/README.md`);
  for (const guide of all.filter((path) => path.includes("/guides/"))) {
    const path = guide.replace("examples/", "");
    assertStringIncludes(index, `(${path})`);
  }
  for (const program of programsIn("examples")) {
    const name = program.replace("examples/", "");
    assertStringIncludes(index, `| [${name}](${name}) `);
    assertStringIncludes(index, `| \`${commandOf(name).line}\` `);
  }
});

Deno.test("the documents of the examples link to files that are there", () => {
  const broken = all.flatMap((document) =>
    linksIn(document)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => !isFile(new URL(link, `file://${root}/${document}`)))
      .map((link) => `${document}: ${link}`)
  );
  assertEquals(broken, []);
});

/** Runs a fence that ends by itself, in peace. */
async function runToEnd(fence: Fence, options?: RunOptions) {
  const outcome = await documents.run(fence, options);
  assertEquals(outcome.code, 0, outcome.stderr);
  assertEquals(outcome.stderr, "");
  return outcome;
}

/** Runs a fence beside somebody who talks with it. Returns what it printed. */
async function talk(
  fence: Fence,
  args: string[],
  fn: (program: Running) => Promise<void>,
  env?: Record<string, string>,
): Promise<string> {
  const program = startPiped(documents.place(fence, { args, env }));
  try {
    await fn(program);
  } catch (error) {
    program.kill();
    const output = await program.output.whole();
    const { complaints } = await program.end();
    throw new Error(`${output}${complaints}`, { cause: error });
  }
  const output = await program.output.whole();
  const { status, complaints } = await program.end();
  assertEquals(complaints, "");
  assertEquals(status, 0);
  return output;
}

async function notify(server: PostgresServer, payload: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", `psql -q -c "NOTIFY news, '${payload}'"`],
    env: server.environment,
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

/** The files with a command in their header; the others are modules. */
function programsIn(folder: string): string[] {
  return [...Deno.readDirSync(`${root}/${folder}`)].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return programsIn(path);
    if (!path.endsWith(".ts")) return [];
    const [header] = Deno.readTextFileSync(`${root}/${path}`).split("*/");
    return /^ \* {5}deno run /m.test(header!) ? [path] : [];
  });
}

/** The package of a library, if it is missing. */
function missingLibrary(library: string, name: string): Promise<string[]> {
  return missingPackages({ libraries: { [library]: name }, windows: false });
}

function isFile(url: URL): boolean {
  url.hash = "";
  try {
    return Deno.statSync(url) !== undefined;
  } catch {
    return false;
  }
}
