/**
 * The examples, each in a process of its own, run by the command that its
 * header gives, with the permissions named there and no others.
 */

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { POSIX } from "../ffi/constants.ts";
import { libc } from "../ffi/libc.ts";
import { signalNumber } from "../ffi/signal_numbers.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import {
  assertGivenBack,
  assertInOrder,
  commandOf,
  CTRL_C,
  CTRL_D,
  root,
  run,
  SIGINT,
  SIGKILL,
  startOnTerminal,
  startPiped,
  testOnLinux,
  tryShell,
} from "./example_program.ts";

const SIGCONT = 18;
const SIGSTOP = 19;

const names = [...Deno.readDirSync(`${root}/examples`)]
  .map(({ name }) => name).filter((name) => name.endsWith(".ts")).sort();

Deno.test("examples name the permissions that they need, and README.md repeats their commands", () => {
  const readme = Deno.readTextFileSync(`${root}/examples/README.md`);
  for (const name of names) {
    const { line, flags } = commandOf(name);
    assertStringIncludes(readme, `| \`${line}\` `);
    for (const flag of flags) {
      assertMatch(flag, /^--allow-(ffi|net=127\.0\.0\.1|write)$/);
    }
  }
  const rows = readme.match(/^\| \[\w+\.ts\]\(\w+\.ts\)/gm);
  assertEquals(rows?.length, names.length);
});

Deno.test("examples/tour.ts is what `deno task tour` runs", () => {
  const { tasks } = JSON.parse(
    Deno.readTextFileSync(`${root}/deno.json`),
  );
  assertEquals(tasks.tour.command, commandOf("tour.ts").line);
});

testOnLinux(
  "examples/tour.ts shows four sources at once, in less than ten seconds",
  async () => {
    const began = performance.now();
    const output = await run(startPiped, "tour.ts");
    assertLess(performance.now() - began, 10_000);

    const line = /^(\d+\.\d{3}) {2}(terminal|directory|timer|fetch) +(.+)$/gm;
    const lines = [...output.matchAll(line)].map(([, time, source, text]) => ({
      time: Number(time),
      source,
      text,
    }));
    const times = lines.map(({ time }) => time);
    assertEquals(times, times.toSorted((a, b) => a - b));
    const turns = lines.filter(({ source }, i) =>
      source !== lines[i - 1]?.source
    );
    assertGreaterOrEqual(turns.length, 8, output);

    const told = (wanted: string) =>
      lines.filter(({ source }) => source === wanted).map(({ text }) => text);
    assertMatch(told("terminal")[0]!, /^this shell sits on \/dev\/pts\/\d+$/);
    assertEquals(told("terminal").slice(1), [
      ...[1, 2, 3, 4, 5, 6].map((step) => `step ${step} of 6`),
      "the shell has exited with status 0",
    ]);
    assertEquals(told("timer").length, 10);
    assertEquals(told("fetch").at(-1), "200 a basket of cherries");
    assertEquals(told("directory").at(-1), "cherries written");
    assertMatch(output, /slept \d+ times, .+\n.+ never polled\n/);
    assertMatch(output, /left +0 descriptors, 0 delayed calls\n$/);
  },
);

testOnLinux(
  "examples/tour.ts is coloured on a terminal, and cleans up after Ctrl-C",
  async () => {
    const output = await run(startOnTerminal, "tour.ts", {
      env: { TERM: "xterm", NO_COLOR: "" },
      orphans: true, // The shell is told to hang up, and not waited for.
      async talk({ output, type }) {
        await output.until("\x1b[35mtimer");
        type(CTRL_C);
      },
    });
    assertStringIncludes(output, "Stopped, and cleaned up.\n");
  },
);

Deno.test("examples/stdin_lines.ts reads a pipe while its timer ticks", async () => {
  const output = await run(startPiped, "stdin_lines.ts", {
    async talk({ output, type, endInput }) {
      type("one\r\ntw");
      await output.until("   1  one\n");
      await output.until("   ... 1 s\n");
      type("o\n\nfour");
      endInput();
    },
  });
  assertInOrder(output, ["   2  two\n   3  \n   4  four\n", "in all: 4.\n"]);
});

Deno.test("examples/stdin_lines.ts reads a file, and /dev/null", async () => {
  const file = `${root}/LICENSE`;
  const lines = Deno.readTextFileSync(file).split("\n").length - 1;
  for (const [path, count] of [[file, lines], ["/dev/null", 0]]) {
    const output = await run(startPiped, "stdin_lines.ts", {
      through: `exec "$@" < '${path}'`,
    });
    assertStringIncludes(output, `End of input. Lines in all: ${count}.\n`);
  }
});

testOnLinux(
  "examples/stdin_lines.ts reads a terminal, and leaves it blocking",
  async () => {
    const output = await run(startOnTerminal, "stdin_lines.ts", {
      async talk({ pid, output, type }) {
        type("hello\n");
        await output.until("   1  hello\r\n");
        using info = FileDescriptor.open(`/proc/${pid}/fdinfo/0`);
        const bytes = new Uint8Array(1000);
        const text = new TextDecoder().decode(
          bytes.subarray(0, info.read(bytes)!),
        );
        const flags = /^flags:\s*([0-7]+)$/m.exec(text)![1]!;
        assertEquals(parseInt(flags, 8) & POSIX.O_NONBLOCK, 0);
        type(CTRL_D);
      },
    });
    assertStringIncludes(output, "End of input. Lines in all: 1.\n");
  },
);

testOnLinux(
  "examples/watch_directory.ts tells what happens, until the directory is gone",
  async () => {
    const output = await run(startPiped, "watch_directory.ts", {
      args: ["watched"],
      through: 'mkdir watched; exec "$@"',
      async talk({ output }, folder) {
        const directory = `${folder}/watched`;
        await output.until('Watching "watched".');
        Deno.writeTextFileSync(`${directory}/first`, "text");
        Deno.renameSync(`${directory}/first`, `${directory}/sécond`);
        Deno.mkdirSync(`${directory}/third`);
        Deno.removeSync(directory, { recursive: true });
      },
    });
    assertInOrder(output, [
      "  created      first\n",
      "  modified     first\n",
      "  written      first\n",
      "  moved from   first\n",
      "  moved to     sécond\n",
      "  created      third/\n",
      "  gone         \n",
      "The end. Changes in all: 9.\n",
    ]);
  },
);

testOnLinux(
  "examples/watch_directory.ts says so when the kernel has dropped events",
  async () => {
    const output = await run(startPiped, "watch_directory.ts", {
      args: ["watched"],
      through: 'mkdir watched; exec "$@"',
      async talk({ pid, output }, folder) {
        const directory = `${folder}/watched`;
        await output.until('Watching "watched".');
        libc().kill(pid, SIGSTOP);
        // Two events each, and there is room for 16384 (inotify(7),
        // max_queued_events).
        Deno.writeTextFileSync(`${directory}/0`, "");
        for (let i = 0; i < 9000; i++) {
          Deno.renameSync(`${directory}/${i}`, `${directory}/${i + 1}`);
        }
        libc().kill(pid, SIGCONT);
        await output.until("  events lost");
        Deno.removeSync(directory, { recursive: true });
      },
    });
    assertStringIncludes(output, "  gone  ");
  },
);

testOnLinux(
  "examples/watch_directory.ts ends when its time is up, and at Ctrl-C",
  async () => {
    const args = [...commandOf("watch_directory.ts").args, "--for", "0.1"];
    assertEquals(
      await run(startPiped, "watch_directory.ts", { args }),
      'Watching ".".\nThe end. Changes in all: 0.\n',
    );
    const output = await run(startOnTerminal, "watch_directory.ts", {
      async talk({ output, type }) {
        await output.until("Ctrl-C ends it.");
        type(CTRL_C);
      },
    });
    assertStringIncludes(output, "The end. Changes in all: 0.\n");
  },
);

Deno.test("examples/watch_directory.ts explains its arguments", async () => {
  for (const args of [[], [".", "--for"], [".", "--for", "-1"], [".", "x"]]) {
    await run(startPiped, "watch_directory.ts", {
      args,
      status: 2,
      complaints: "Usage: watch_directory.ts DIRECTORY [--for SECONDS]\n",
    });
  }
});

testOnLinux(
  "examples/shell_in_a_pty.ts types commands where there is no terminal",
  async () => {
    const output = await run(startPiped, "shell_in_a_pty.ts");
    assertInOrder(output, [
      "demo$ tty\n/dev/pts/",
      "demo$ stty size\n24 80\n",
      "demo$ echo $((6 * 7))\n42\n",
      "demo$ exit\n",
    ]);
  },
);

testOnLinux(
  "examples/shell_in_a_pty.ts passes keys, the window's size and the exit status on",
  async () => {
    const output = await run(startOnTerminal, "shell_in_a_pty.ts", {
      through: '"$@"; echo "status $?"; stty -a',
      env: { PS1: "ready> " },
      async talk(shell) {
        await tryShell(shell);
        shell.type("exit 3\n");
      },
    });
    assertInOrder(output, ["exit 3\n", "status 3\n"]);
    assertGivenBack(output);
  },
);

testOnLinux(
  "examples/shell_in_a_pty.ts does not wait for what the program leaves behind",
  async () => {
    const job = "trap '' HUP; sleep 600 & echo job $!.";
    const output = await run(startPiped, "shell_in_a_pty.ts", {
      args: ["sh", "-c", job],
      orphans: true,
    });
    libc().kill(Number(/job (\d+)\./.exec(output)![1]), SIGKILL);
  },
);

Deno.test("examples/blocking_demo.ts gets its answer by pumping alone", async () => {
  const output = await run(startPiped, "blocking_demo.ts");
  assertInOrder(output, [
    "asking for the answer\n",
    "tick, from the reactor\n",
    "tick, from the reactor\n",
    "the answer is 42\n",
    "the reactor has stopped\n",
    "Deno's own loop goes on\n",
  ]);
});

Deno.test("examples/game_loop.ts finds timers and a pipe in its event queue", async () => {
  const output = await run(startPiped, "game_loop.ts");
  assertInOrder(output, [
    "a timer has dropped some food\n",
    "a byte in the pipe has turned the fish\n",
    "a timer has dropped some food\n",
    "The reactor has stopped, and so does the game: ",
  ]);
});

testOnLinux(
  "examples/game_loop.ts draws on a terminal, and ends in good order at Ctrl-C",
  async () => {
    const output = await run(startOnTerminal, "game_loop.ts", {
      async talk({ output, type }) {
        await output.until("><(((o");
        await output.until("frame 10,");
        type(CTRL_C);
      },
    });
    assertStringIncludes(
      output,
      "The reactor has stopped, and so does the game",
    );
  },
);

Deno.test("examples/inspect.ts prints its table, and again when it is asked", async () => {
  const output = await run(startPiped, "inspect.ts", {
    async talk({ pid, output }) {
      await output.until("Once more? kill -USR2");
      libc().kill(pid, signalNumber("SIGUSR2")!);
      await output.until("\nCounters\n");
      libc().kill(pid, SIGINT);
    },
  });
  const tables = output.match(/^Reactor "the example": .+$/gm);
  assertEquals(tables?.length, 2);
  for (
    const row of [
      /^ +\d+ {2}readable +reader +"a byte every half second" +yes$/m,
      /^ +\d+ {2}readable, priority +wait +"an answer" +yes$/m,
      /^ +watch +"urgent data" +no$/m,
      /^ +60\.0 min +giveUp +yes$/m,
      /^ +1\.\d min +remind +no$/m,
      /^ +\d+\.\d ms +\d+ readable$/m,
    ]
  ) assertMatch(output, row);
});

Deno.test("examples/trace.ts writes a file of what ran when", async () => {
  const output = await run(startPiped, "trace.ts", {
    through: '"$@"; cat trace.json; rm trace.json',
  });
  const [said, ...text] = output.split("\n");
  const { traceEvents } = JSON.parse(text.join("\n"));
  const slices = traceEvents.filter(({ ph }: { ph: string }) => ph === "X");
  assertEquals(said, `trace.json has ${slices.length} callbacks.`);
  const slow = slices.find(({ name }: { name: string }) =>
    name === "delayedCall slow"
  );
  assertGreaterOrEqual(slow.dur, 60_000);
});

Deno.test("examples/virtual_clock.ts lives through an hour", async () => {
  const output = await run(startPiped, "virtual_clock.ts");
  assertEquals(
    output.replace(/\d+\.\d ms/, "N ms"),
    `\
00:00  Welcome!
00:07  Go on, please.
00:17  Are you still there?
00:18  Go on, please.
00:28  Are you still there?
00:33  Logged out.
00:50  Please log in again.
An hour has gone by, in N ms.
`,
  );
});
