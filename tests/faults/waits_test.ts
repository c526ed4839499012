// What becomes of everybody when the waits beside the set's own fail: the look at
// what attached loops lend, the wait in Deno's pool, the wait beside Deno's own
// descriptor. They go on, or are told the kernel's word; nothing spins without one.

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
} from "@std/assert";
import { deadline } from "@std/async";
import { POLL, POSIX } from "../../ffi/constants.ts";
import { closeDescriptor, openFile } from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import {
  type Backend,
  macrotask,
  onLinux,
  PATIENCE,
  receive,
  until,
} from "../descriptors.ts";
import { untilStarted } from "../workers.ts";
import { CALM, type FaultBench, testFault } from "./bench.ts";
import { assertServed } from "./bystanders.ts";
import { FAILURES } from "./errnos.ts";
import type { Effect } from "./faulty_libc.ts";
import { FaultyWorkers } from "./faulty_worker.ts";
import type { Which } from "./schedule.ts";

// It stays open from its first use on, which the sanitizer would take for a leak
// of the test that comes first.
libc();

const EPOLL: readonly Backend[] = ["epoll"];

// What attached loops lend

/** A loop that lends one end of a pipe, and takes what comes. */
class Lender {
  readonly fd: number;
  steps = 0;
  readonly #fill: () => void;

  constructor(bench: FaultBench) {
    const pipe = bench.pipe();
    const fd = this.fd = pipe.output.fileno();
    this.#fill = () => pipe.fill();
    bench.reactor.attach({
      prepare: () => ({ descriptors: [{ fd, events: POLL.IN }], timeout: -1 }),
      dispatch: ([revents]) => {
        if (revents && receive(fd)) this.steps++;
      },
    });
  }

  /** Is a look at it. */
  readonly isLook = (table: Int32Array): boolean => table[0] === this.fd;

  /** Sends it something, which must come. */
  async turn(): Promise<void> {
    const { steps } = this;
    this.#fill();
    await until(() => this.steps > steps);
  }
}

for (const errno of FAILURES.poll.errnos) {
  testFault(
    `poll of what a loop lends fails once with ${errno}: ${
      errno === "EINTR" ? "nobody notices" : "it is reported"
    }, and everybody is served`,
    async (bench) => {
      await bench.start();
      const lender = new Lender(bench);
      await lender.turn();
      using strike = bench.libc.strike({
        call: "poll",
        effect: { errno },
        which: "once",
        when: lender.isLook,
      });
      await lender.turn();
      assertServed(await bench.round());
      assertEquals(strike.struck, 1);
      assertEquals(bench.takeCodes(), errno === "EINTR" ? [] : [errno]);
    },
    { everywhere: true },
  );

  if (errno === "EINTR") continue;
  testFault(
    `poll of what a loop lends fails with ${errno} every time: everybody is told that the reactor cannot go on`,
    async (bench) => {
      await bench.start();
      const lender = new Lender(bench);
      await lender.turn();
      using _strike = bench.libc.strike({
        call: "poll",
        effect: { errno },
        when: lender.isLook,
      });
      await bench.assertFails(errno);
    },
    { everywhere: true },
  );

  testFault(
    `poll fails with ${errno} while iterate() waits for what a loop lends: it is reported, and the turn takes place`,
    async (bench) => {
      const { reactor, libc } = bench;
      const lender = new Lender(bench);
      reactor.iterate(0);
      using strike = libc.strike({
        call: "poll",
        effect: { errno },
        which: "once",
        when: lender.isLook,
      });
      let called = 0;
      reactor.callLater(0, () => called++);
      reactor.iterate(10);
      assertEquals([strike.struck, called], [1, 1]);
      assertEquals(bench.takeCodes(), [errno]);
      await reactor.close();
    },
    { everywhere: true },
  );
}

for (
  const [name, effect, which] of [
    ["is interrupted every other time", { errno: "EINTR" }, { every: 2 }],
    ["tells of nothing every other time", { short: 0 }, { every: 2 }],
    ["is late every time", { late: 5 }, "always"],
  ] as [string, Effect, Which][]
) {
  testFault(
    `poll of what a loop lends ${name}: everybody is served`,
    async (bench) => {
      await bench.start();
      const lender = new Lender(bench);
      using strike = bench.libc.strike({
        call: "poll",
        effect,
        which,
        when: lender.isLook,
      });
      for (let i = 0; i < 3; i++) {
        await lender.turn();
        assertServed(await bench.round());
      }
      assertGreaterOrEqual(strike.struck, 1);
      assertLess(await bench.idleTurns(), CALM);
    },
    { everywhere: true },
  );
}

// The wait in Deno's pool

/** No thread of the pool is free, ever. */
const NEVER = Infinity;

for (
  const [name, effect, which] of [
    ...FAILURES.poll.errnos.flatMap((errno): [string, Effect, Which][] => [
      [`fails once with ${errno}`, { errno }, "once"],
      [`fails with ${errno} every time`, { errno }, "always"],
    ]),
    ["is late every time", { late: 30 }, "always"],
    ["never begins", { late: NEVER }, "once"],
  ] as [string, Effect, Which][]
) {
  testFault(
    `a wait in Deno's pool ${name}: everybody is served`,
    async (bench) => {
      using strike = bench.libc.strike({
        call: "pollElsewhere",
        effect,
        which,
      });
      bench.reactor.interleave();
      for (let i = 0; i < 3; i++) assertServed(await bench.round());
      assertGreaterOrEqual(strike.struck, 1);
      // What is in vain each time comes to an end: a worker takes over.
      while (await bench.idleTurns() > CALM) assertServed(await bench.round());
    },
    { backends: EPOLL, everywhere: true },
  );
}

testFault(
  "a wait in Deno's pool never begins: close() ends the reactor all the same",
  async (bench) => {
    using _strike = bench.libc.strike({
      call: "pollElsewhere",
      effect: { late: NEVER },
    });
    bench.reactor.interleave();
    bench.reactor.callLater(1e6, () => {}); // Somebody waits.
    await macrotask();
    await deadline(bench.reactor.close(), PATIENCE);
  },
  { backends: EPOLL, everywhere: true },
);

/** More than Deno's pool has threads. */
const CROWD = 40;

testFault(
  "others keep all threads of Deno's pool: everybody is served",
  async (bench) => {
    const folder = await Deno.makeTempDir();
    const paths = Array.from({ length: CROWD }, (_, i) => `${folder}/${i}`);
    await new Deno.Command("sh", { args: ["-c", `mkfifo ${paths.join(" ")}`] })
      .output();
    // Each waits for somebody who writes, on a thread of its own.
    const opens = paths.map((path) => Deno.open(path));
    bench.reactor.interleave();
    for (let i = 0; i < 3; i++) assertServed(await bench.round());
    const writers = paths.map((path) =>
      openFile(path, POSIX.O_RDWR | POSIX.O_NONBLOCK)
    );
    for (const file of await Promise.all(opens)) file.close();
    for (const fd of writers) closeDescriptor(fd);
    await Deno.remove(folder, { recursive: true });
  },
  { backends: EPOLL },
);

// Deno's own descriptor

/** Workers that are as they should be. */
const workers = () =>
  new FaultyWorkers({ step: "start", way: "late", times: 0 });

/** Deno's loop has its turn: what it waits for itself comes. */
async function serveDeno(): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using client = await Deno.connect({
    hostname: "127.0.0.1",
    port: (listener.addr as Deno.NetAddr).port,
  });
  using server = await listener.accept();
  await client.write(new Uint8Array(1));
  assertEquals(await server.read(new Uint8Array(1)), 1);
}

/** A worker waits, and has seen where this thread sleeps if that can be seen. */
async function settle(bench: FaultBench, { started }: FaultyWorkers) {
  await bench.start();
  await untilStarted(started);
  for (let i = 0; i < 5; i++) {
    assertServed(await bench.round());
    await serveDeno();
  }
}

for (
  const [call, name, effect, which] of [
    ...(["ppoll", "poll"] as const).flatMap((call) =>
      FAILURES.poll.errnos.flatMap((errno) => [
        [call, `fails once with ${errno}`, { errno }, "once"],
        [call, `fails with ${errno} every time`, { errno }, "always"],
      ])
    ),
    ["ppoll", "tells of nothing every other time", { short: 0 }, { every: 2 }],
    ["ppoll", "is late every time", { late: 5 }, "always"],
    ["poll", "is late every time", { late: 5 }, "always"],
  ] as ["ppoll" | "poll", string, Effect, Which][]
) {
  testFault(
    `${call} beside Deno's own descriptor ${name}: everybody is served, and so is Deno`,
    async (bench, workers) => {
      await settle(bench, workers);
      const { reactor, libc } = bench;
      using strike = libc.strike({ call, effect, which });
      for (let i = 0; i < 3; i++) {
        assertServed(await bench.round());
        await serveDeno();
      }
      // One that always has something to do, too.
      let isOver = false;
      const again = () => {
        if (!isOver) reactor.callFromThread(again);
      };
      again();
      await serveDeno();
      assertServed(await bench.round());
      isOver = true;
      await macrotask();
      assertGreaterOrEqual(strike.struck, 1);
    },
    {
      backends: EPOLL,
      everywhere: true,
      workers,
      reactor: { latency: "low" },
    },
  );
}

for (const errno of onLinux ? FAILURES.readlink.errnos : []) {
  testFault(
    `readlink fails with ${errno}: where Deno sleeps stays unknown, and everybody is served`,
    async (bench, workers) => {
      using strike = bench.libc.strike({ call: "readlink", effect: { errno } });
      await settle(bench, workers);
      assert(strike.struck > 0);
      assertLess(await bench.idleTurns(), CALM);
    },
    {
      backends: EPOLL,
      everywhere: true,
      workers,
      reactor: { latency: "low" },
    },
  );
}
