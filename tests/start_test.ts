/**
 * The beginning of a reactor: it serves before it has a worker, and gets one in
 * the first quiet moment.
 */

import { assertEquals } from "@std/assert";
import { deadline, delay } from "@std/async";
import { libc, linux, substitute } from "../ffi/libc.ts";
import { Reactor } from "../src/reactor.ts";
import { PATIENCE } from "./descriptors.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";
import { untilStarted, withWorkers } from "./workers.ts";

libc(); // Opened once and for all: no test's leak.

const ignore = Deno.build.os !== "linux"; // Where epoll is.

for (
  const [host, waker] of [
    ["run()", undefined],
    ["a waker", (work: () => void) => queueMicrotask(work)],
  ] as const
) {
  Deno.test({
    name: `the first events are served before there is a worker [${host}]`,
    ignore,
    fn: () =>
      withWorkers(async (workers) => {
        await using reactor = new Reactor();
        using pipe = new Pipe();
        const seen: number[] = [];
        reactor.addReader(pipe.reader(() => {
          seen.push(workers.length);
          if (seen.length === 3) reactor.stop();
        }));
        pipe.fill(3);
        reactor.interleave(waker);
        await deadline(reactor.finished, PATIENCE);
        assertEquals(seen, [0, 0, 0]);
      }),
  });

  Deno.test({
    name: `a worker is started when nothing happens for a while [${host}]`,
    ignore,
    fn: () =>
      withWorkers(async (workers) => {
        await using reactor = new Reactor();
        using pipe = new Pipe();
        const { promise, resolve } = Promise.withResolvers<void>();
        reactor.addReader(pipe.reader(resolve));
        reactor.interleave(waker);
        await untilStarted(workers);
        assertEquals(workers.length, 1);
        pipe.fill();
        await deadline(promise, PATIENCE);
        assertEquals(workers.length, 1);
        reactor.stop();
        await reactor.finished;
      }),
  });
}

Deno.test({
  name: "a worker is started although something happens all the time",
  ignore,
  fn: () =>
    withWorkers(async (workers) => {
      await using reactor = new Reactor();
      using pipe = new Pipe();
      reactor.addReader(pipe.reader(() => {
        pipe.fill();
        if (workers.length > 0) reactor.stop();
      }));
      pipe.fill();
      await deadline(reactor.run(), PATIENCE);
      assertEquals(workers.length, 1);
    }),
});

Deno.test({
  name: "a reactor that keeps nothing alive gets a worker as well",
  ignore,
  fn: () =>
    withWorkers(async (workers) => {
      await using reactor = new Reactor();
      using pipe = new Pipe();
      reactor.interleave();
      const wait = reactor.readable(pipe.output, { persistent: false });
      await untilStarted(workers);
      pipe.fill();
      await deadline(wait, PATIENCE);
      assertEquals(workers.length, 1);
    }),
});

Deno.test({
  name: "a reactor that keeps nothing alive runs what it is given",
  ignore,
  fn: async () => {
    await using reactor = new Reactor();
    reactor.interleave();
    reactor.unref();
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.callFromThread(resolve);
    await deadline(promise, PATIENCE);
    const stopped = reactor.finished;
    reactor.stop(); // No call and no descriptor: a request alone.
    await deadline(stopped, PATIENCE);
  },
});

Deno.test({
  name: "close() of a reactor that keeps nothing alive is waited for",
  ignore,
  fn: async () => {
    const { code, stdout, stderr } = await runProgram(`
      const { reactor } = interleave;
      await new Promise((resolve) => reactor.callLater(1, resolve));
      reactor.unref();
      await reactor.close();
      console.log("closed");
    `);
    assertEquals({ code, stdout, stderr }, {
      code: 0,
      stdout: "closed\n",
      stderr: "",
    });
  },
});

Deno.test({
  name: "a program that has nothing to wait for ends at once, without a worker",
  ignore,
  fn: async () => {
    const { code, stdout, stderr } = await runProgram(`
      const { FileDescriptor, reactor } = interleave;
      const threads = process.getBuiltinModule("node:worker_threads");
      threads.Worker = class { constructor() { console.log("a worker"); } };
      const [output, input] = FileDescriptor.pipe();
      input.write(new Uint8Array(1));
      await reactor.readable(output);
      console.log("readable");
    `);
    assertEquals({ code, stdout, stderr }, {
      code: 0,
      stdout: "readable\n",
      stderr: "",
    });
  },
});

Deno.test("a wait of the shared reactor passes Deno's sanitizers, as a test of a user's", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/wait_test.ts`;
    const root = new URL("../", import.meta.url);
    await Deno.writeTextFile(
      file,
      `
      import { FileDescriptor, reactor } from "${root}mod.ts";
      import { libc } from "${root}ffi/mod.ts";
      libc();
      for (const number of [1, 2, 3]) {
        Deno.test("wait " + number, async () => {
          const [output, input] = FileDescriptor.pipe();
          setTimeout(() => input.write(new Uint8Array(1)), 5);
          await reactor.readable(output);
          const signal = AbortSignal.timeout(10);
          output.read(new Uint8Array(1));
          await reactor.readable(output, { signal }).catch(() => {});
          input.close();
          output.close();
        });
      }
    `,
    );
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--quiet", "--no-prompt", "--allow-ffi", file],
      env: { NO_COLOR: "1" },
      cwd: directory,
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test({
  name:
    "close() waits for what a run that crashed has left in Deno's pool, also after another run",
  ignore,
  fn: async () => {
    let underWay = 0;
    let isFirst = true;
    const { pollElsewhere } = linux();
    using _late = substitute({
      async pollElsewhere(...call) {
        const ms = isFirst ? 100 : 0;
        isFirst = false;
        underWay++;
        const found = await pollElsewhere(...call);
        await delay(ms);
        underWay--;
        return found;
      },
    });
    const reactor = new Reactor();
    using pipe = new Pipe();
    reactor.addReader(pipe.reader(() => {}));
    reactor.interleave();
    assertEquals(underWay, 1);
    reactor.crash();
    reactor.interleave();
    await reactor.close();
    assertEquals(underWay, 0);
  },
});
