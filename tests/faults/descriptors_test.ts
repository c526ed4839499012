// What becomes of streams of descriptors, and of child processes, when the calls
// behind them fail in each way that there is: they go on, or are told the kernel's
// word; nothing stays open, and nobody else on the same reactor notices.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  isOpen,
  makeEventfd,
  makePipe,
  makeSocketpair,
} from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import { spawn } from "../../ffi/spawn.ts";
import { FileDescriptor } from "../../src/file_descriptor.ts";
import { ProcessTerminated } from "../../src/net/errors.ts";
import { spawnProcess } from "../../src/net/process.ts";
import { BACKENDS, onLinux, until } from "../descriptors.ts";
import { childrenOf } from "../leftovers.ts";
import { Pipe } from "../pipe.ts";
import { codeOf, type FaultBench, testFault } from "./bench.ts";
import { assertServed } from "./bystanders.ts";
import { FAILURES } from "./errnos.ts";
import { PIDFD_OPEN } from "./faulty_libc.ts";
import type { Which } from "./schedule.ts";

// What is opened at the first use stays open, and the sanitizer would take it for a
// leak of the test that comes first.
libc();
assertThrows(() => spawn("/nonexistent", { env: null }));

/** All of the package's calls can be struck. What the set is makes no difference. */
function testCalls(
  name: string,
  fn: (bench: FaultBench) => Promise<void>,
): void {
  testFault(name, async (bench) => {
    await bench.start();
    await fn(bench);
  }, { backends: BACKENDS.slice(0, 1), everywhere: true });
}

// Streams

/** "Not now": the next readiness makes up for it. */
const TRANSIENT = ["EAGAIN", "EINTR"];

/** Whose end a stream notices at once (ffi/descriptor.ts). */
const TOLD_ONCE = ["EPIPE"];

/** More than goes through a pipe at once. */
const LENGTH = 200_000;

/** Sends bytes through a pipe, by streams at both ends. Returns how many came. */
async function transfer(
  { reactor }: FaultBench,
  { input, output }: Pipe,
  length = LENGTH,
): Promise<number> {
  let received = 0;
  const writer = input.writable({ reactor }).getWriter();
  const written = writer.write(new Uint8Array(length))
    .then(() => writer.close());
  const [read, write] = await Promise.allSettled([
    (async () => {
      for await (const bytes of output.readable({ reactor })) {
        received += bytes.length;
      }
    })(),
    written.catch((error) => {
      input.close(); // So that the other end has an end as well.
      throw error;
    }),
  ]);
  for (const outcome of [write, read]) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
  return received;
}

for (const call of ["read", "write"] as const) {
  const fdOf = ({ input, output }: Pipe) =>
    (call === "read" ? output : input).fileno();

  for (const errno of FAILURES[call].errnos) {
    const struck: [string, Which][] = TRANSIENT.includes(errno)
      ? [["three times", { times: 3 }], ["every other time", { every: 2 }]]
      : TOLD_ONCE.includes(errno)
      ? []
      : [["once", "once"], ["every other time", { every: 2 }]];
    for (const [how, which] of struck) {
      testCalls(
        `${call} fails with ${errno} ${how}: a stream goes on, and every byte comes`,
        async (bench) => {
          using pipe = new Pipe();
          const fd = fdOf(pipe);
          using strike = bench.libc.strike({
            call,
            effect: { errno },
            which,
            when: (number) => number === fd,
          });
          assertEquals(await transfer(bench, pipe), LENGTH);
          assertGreaterOrEqual(strike.struck, 1);
          assertServed(await bench.round());
        },
      );
    }
    if (TRANSIENT.includes(errno)) continue;
    testCalls(
      `${call} fails with ${errno} every time: the stream ends with it, and its descriptor is closed`,
      async (bench) => {
        using pipe = new Pipe();
        const fd = fdOf(pipe);
        using _strike = bench.libc.strike({
          call,
          effect: { errno },
          when: (number) => number === fd,
        });
        // Few enough to be written though nobody reads them.
        const error = await assertRejects(() => transfer(bench, pipe, 10));
        assertEquals(codeOf(error), errno);
        assertEquals(fdOf(pipe), -1);
        assertServed(await bench.round());
      },
    );
  }

  for (const effect of [{ short: 1 }, { late: 5 }]) {
    testCalls(
      `${call} ${
        "short" in effect ? "moves a byte at a time" : "is late every time"
      }: every byte comes`,
      async (bench) => {
        using pipe = new Pipe();
        const fd = fdOf(pipe);
        using strike = bench.libc.strike({
          call,
          effect,
          when: (number) => number === fd,
        });
        assertEquals(await transfer(bench, pipe, 100), 100);
        assertGreaterOrEqual(strike.struck, 1);
        assertServed(await bench.round());
      },
    );
  }
}

for (const errno of FAILURES.close.errnos) {
  testCalls(
    `close fails with ${errno}: ${
      errno === "EINTR" ? "nobody notices" : "who closes is told"
    }, and the number is free`,
    async (bench) => {
      const [output, input] = FileDescriptor.pipe();
      const fd = output.fileno();
      {
        using _strike = bench.libc.strike({
          call: "close",
          effect: { errno, after: true },
          when: (number) => number === fd,
        });
        if (errno === "EINTR") output.close();
        else assertEquals(codeOf(assertThrows(() => output.close())), errno);
      }
      assertEquals(output.fileno(), -1);
      output.close(); // Which closes nothing twice.
      input.close();
      assertServed(await bench.round());
    },
  );
}

// Making

for (
  const [call, make, { errnos }] of [
    ["pipe2", () => void makePipe(), FAILURES.pipe2],
    ["socketpair", () => void makeSocketpair(), FAILURES.socketpair],
    ["eventfd", () => void makeEventfd(0), FAILURES.eventfd],
  ] as const
) {
  if (!onLinux && call !== "socketpair") continue;
  for (const errno of errnos) {
    testCalls(
      `${call} fails with ${errno}: the caller has the error, and nothing stays open`,
      async (bench) => {
        const open = [...bench.libc.open];
        using strike = bench.libc.strike({ call, effect: { errno } });
        const error = assertThrows(make);
        assertEquals([codeOf(error), strike.struck], [errno, 1]);
        assertEquals([...bench.libc.open], open);
        bench.libc.heal(); // Those beside need pipes of their own.
        assertServed(await bench.round());
      },
    );
  }
}

// Children

/** Runs a program to its end. Returns how it ended, and what it said. */
async function run({ reactor }: FaultBench): Promise<[Error, string]> {
  let said = "";
  const ends: Error[] = [];
  spawnProcess(
    {
      childDataReceived: (_fd, data) =>
        void (said += new TextDecoder().decode(data)),
      processEnded: (reason) => void ends.push(reason),
    },
    "sh",
    { args: ["-c", "echo hello; exit 3"], clearEnv: false, reactor },
  );
  await until(() => ends.length > 0);
  return [ends[0]!, said];
}

function assertRan([reason, said]: [Error, string]): void {
  assertInstanceOf(reason, ProcessTerminated);
  assertEquals([reason.exitCode, said], [3, "hello\n"]);
}

for (const errno of onLinux ? FAILURES.pidfd_open.errnos : []) {
  testCalls(
    `pidfd_open fails with ${errno}: who wanted a child is told, there is none, and nothing stays open`,
    async (bench) => {
      assertRan(await run(bench)); // From now on it counts as possible.
      const open = [...bench.libc.open];
      {
        using strike = bench.libc.strike({
          call: "syscall",
          effect: { errno },
          when: (number) => number === PIDFD_OPEN,
        });
        const error = await assertRejects(() => run(bench));
        assertEquals([codeOf(error), strike.struck], [errno, 1]);
        assertEquals([...bench.libc.open], open);
      }
      // It was killed, and is collected when another one is started. The one that
      // is left looks.
      do assertRan(await run(bench)); while (
        (await childrenOf(Deno.pid)).length > 1
      );
      assertServed(await bench.round());
    },
  );
}

for (const errno of onLinux ? FAILURES.pipe2.errnos : []) {
  for (const nth of [1, 2, 3]) {
    testCalls(
      `pipe2 fails with ${errno} at a child's pipe ${nth}: who wanted the child is told, and nothing stays open`,
      async (bench) => {
        const open = [...bench.libc.open];
        {
          using strike = bench.libc.strike({
            call: "pipe2",
            effect: { errno },
            which: { every: nth },
          });
          const error = await assertRejects(() => run(bench));
          assertEquals([codeOf(error), strike.struck], [errno, 1]);
        }
        assertEquals([...bench.libc.open], open);
        assertRan(await run(bench));
        assertServed(await bench.round());
      },
    );
  }
}

for (const errno of FAILURES.waitpid.errnos) {
  testCalls(
    `waitpid fails with ${errno}, once: how a child ended is told all the same`,
    async (bench) => {
      using strike = bench.libc.strike({
        call: "waitpid",
        effect: { errno },
        which: "once",
      });
      assertRan(await run(bench));
      assertEquals(strike.struck, 1);
    },
  );

  if (errno === "EINTR") continue;
  testCalls(
    `waitpid fails with ${errno} every time: a child's end is told, with that as the reason why no more is known`,
    async (bench) => {
      const pids = new Set<number>();
      {
        using _strike = bench.libc.strike({
          call: "waitpid",
          effect: { errno },
          when: (pid) => pids.add(pid) !== undefined,
        });
        const [reason, said] = await run(bench);
        assertInstanceOf(reason, ProcessTerminated);
        assertEquals([codeOf(reason.cause), said], [errno, "hello\n"]);
        assertServed(await bench.round());
      }
      for (const pid of pids) libc().waitpid(pid, new Int32Array(1), 0);
    },
  );
}

testCalls("close fails for a child's ends: the child runs", async (bench) => {
  using _strike = bench.libc.strike({
    call: "close",
    effect: { errno: "EIO", after: true },
    which: { times: 3 }, // Its own ends, which are closed here at once.
    when: (fd) => isOpen(fd),
  });
  assertRan(await run(bench));
});
