// What becomes of everybody when the system does not do what it should: within a
// bounded time each has what came for it, or an error that has a name; and nobody
// whom a fault is not about loses an event.
//
// Every call of a set is made to fail with every errno of its manual page, once
// and every time; to tell of less than there is; and to be late. What becomes of
// faults of the worker stands in faults/worker_test.ts, of a connection's socket
// in faults/stream_test.ts.

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { LINUX_ONLY, POLL } from "../ffi/constants.ts";
import { closeDescriptor } from "../ffi/descriptor.ts";
import { ERRNO, errnoName } from "../ffi/errno.ts";
import { libc, libcPath } from "../ffi/libc.ts";
import {
  type Backend,
  makeEventfd,
  PATIENCE,
  Probe,
  receive,
  until,
} from "./descriptors.ts";
import { CALM, codeOf, type FaultBench, testFault } from "./faults/bench.ts";
import {
  assertNamed,
  assertServed,
  assertServedOrTold,
} from "./faults/bystanders.ts";
import { FAILURES } from "./faults/errnos.ts";
import type { CallName } from "./faults/faulty_libc.ts";
import { randomNumbers } from "./faults/schedule.ts";

const { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } = LINUX_ONLY;

const EPOLL: readonly Backend[] = ["epoll"];
const POLL_ONLY: readonly Backend[] = ["poll"];

/** A reader that takes what comes. */
function readerOf(fd: number): Probe {
  return new Probe(fd, { onRead: () => void receive(fd) });
}

// What errors are called

Deno.test("every errno of the manual pages has its name, under the number that this system gives it", () => {
  const library = Deno.dlopen(libcPath(), {
    strerrorname_np: {
      parameters: ["i32"],
      result: "pointer",
      optional: true, // glibc 2.32.
    },
  });
  const { strerrorname_np: nameOf } = library.symbols;
  for (const { page, errnos } of Object.values(FAILURES)) {
    for (const errno of errnos) {
      assert(errno in ERRNO, `${page} has ${errno}`);
    }
  }
  for (const [name, number] of Object.entries(ERRNO)) {
    assertEquals(errnoName(number), name);
    if (nameOf === null) continue;
    const known = Deno.UnsafePointerView.getCString(nameOf(number)!);
    assertEquals(known, name);
  }
  library.close();
});

// A set is made

const MAKING: readonly [Backend, CallName, readonly string[]][] = [
  ["epoll", "epoll_create1", FAILURES.epoll_create1.errnos],
  ["epoll", "eventfd", FAILURES.eventfd.errnos],
  ["epoll", "timerfd_create", FAILURES.timerfd_create.errnos],
  ["epoll", "epoll_ctl", FAILURES.epoll_ctl.errnos],
  ["poll", "eventfd", FAILURES.eventfd.errnos],
];

for (const [backend, call, errnos] of MAKING) {
  for (const errno of errnos) {
    testFault(
      `${call} fails with ${errno} while a set is made: the caller has the error, nothing stays open, and the next try succeeds`,
      async (bench) => {
        const { reactor, libc } = bench;
        const fd = bench.pipe().output.fileno();
        // Every one of them, or the second: the set's timer.
        for (const which of ["always", { every: 2 }] as const) {
          if (which !== "always" && call !== "epoll_ctl") continue;
          using strike = libc.strike({ call, effect: { errno }, which });
          const thrown = [
            assertThrows(() => reactor.addReader(readerOf(fd))),
            assertThrows(() => reactor.interleave()),
            await assertRejects(() => reactor.run()),
            await assertRejects(() => reactor.readable(fd)),
          ];
          assertEquals(thrown.map(codeOf), Array(4).fill(errno));
          assertEquals(strike.struck, 4);
          assertEquals([...libc.open], []);
        }
        await bench.start();
      },
      { backends: [backend] },
    );
  }
}

for (const call of ["epoll_create1", "epoll_ctl"] as const) {
  for (const errno of FAILURES[call].errnos) {
    testFault(
      `${call} fails with ${errno} while backendFd is made: the caller has the error, and the next one gets a descriptor that works`,
      async (bench) => {
        await bench.start();
        const { reactor, libc } = bench;
        const open = [...libc.open];
        {
          using _strike = libc.strike({ call, effect: { errno } });
          const error = assertThrows(() => reactor.backendFd);
          assertEquals(codeOf(error), errno);
          assertEquals([...libc.open], open);
        }
        const fd = reactor.backendFd!;
        reactor.callFromThread(() => {});
        const table = new Int32Array([fd, POLL.IN]);
        assertEquals(poll(table), 1);
        assertServed(await bench.round());
      },
      { backends: EPOLL },
    );
  }
}

function poll(table: Int32Array<ArrayBuffer>): number {
  return libc().poll(table, table.length / 2, PATIENCE);
}

// What is asked of a descriptor

for (const errno of FAILURES.epoll_ctl.errnos) {
  // What these two mean is no failure: see `EpollSet.add`.
  const code = errno === "EEXIST" ? "ENOENT" : errno;
  const outcome = errno === "EPERM"
    ? "it is served as what is always ready"
    : "the caller has the error";
  testFault(
    `epoll_ctl ADD fails with ${errno}: ${outcome}, nobody else loses an event`,
    async (bench) => {
      await bench.start();
      const { reactor, libc } = bench;
      const pipe = bench.pipe();
      const fd = pipe.output.fileno();
      const probe = readerOf(fd);
      {
        using strike = libc.strike({
          call: "epoll_ctl",
          effect: { errno },
          when: (_set, operation, number) =>
            operation === EPOLL_CTL_ADD && number === fd,
        });
        if (errno === "EPERM") {
          reactor.addReader(probe);
          await until(() => probe.reads > 1);
          reactor.removeReader(probe);
        } else {
          const thrown = [
            assertThrows(() => reactor.addReader(probe)),
            assertThrows(() => reactor.watch(fd, "readable")),
            await assertRejects(() => reactor.readable(fd)),
          ];
          assertEquals(thrown.map(codeOf), [code, code, code]);
        }
        assertGreaterOrEqual(strike.struck, 2);
        assertServed(await bench.round());
      }
      const { reads } = probe;
      reactor.addReader(probe);
      pipe.fill();
      await until(() => probe.reads > reads);
      assertEquals(probe.reasons, []);
    },
    { backends: EPOLL },
  );

  testFault(
    `epoll_ctl ADD fails once with ${errno}: it is tried again, and nobody notices`,
    async (bench) => {
      await bench.start();
      const pipe = bench.pipe();
      const probe = readerOf(pipe.output.fileno());
      using strike = bench.libc.strike({
        call: "epoll_ctl",
        effect: { errno },
        which: "once",
      });
      bench.reactor.addReader(probe);
      pipe.fill();
      await until(() => probe.reads === 1);
      assertEquals(strike.struck, 1);
      assertServed(await bench.round());
    },
    { backends: EPOLL },
  );

  testFault(
    `epoll_ctl MOD fails with ${errno}: whoever it is about is told, nobody else loses an event`,
    async (bench) => {
      await bench.start();
      const { reactor, libc } = bench;
      const pipe = bench.pipe();
      const fd = pipe.output.fileno();
      const [reader, writer] = [readerOf(fd), new Probe(fd)];
      reactor.addReader(reader);
      {
        using strike = libc.strike({
          call: "epoll_ctl",
          effect: { errno },
          when: (_set, operation, number) =>
            operation === EPOLL_CTL_MOD && number === fd,
        });
        let refused: unknown;
        try {
          reactor.addWriter(writer);
        } catch (error) {
          refused = error;
        }
        pipe.fill();
        await until(() => reader.reasons.length > 0);
        assertGreaterOrEqual(strike.struck, 1);
        // It was refused, or is told, or is registered by itself.
        if (refused !== undefined) assertNamed(refused, "the writer");
        assertNamed(reader.reason, "the reader");
        assertEquals(reader.reads, 0);
        assertServed(await bench.round());
        reactor.removeWriter(writer);
      }
      const heir = readerOf(fd);
      reactor.addReader(heir);
      await until(() => heir.reads === 1);
      assertServed(await bench.round());
    },
    { backends: EPOLL },
  );

  testFault(
    `epoll_ctl DEL fails with ${errno}: what stays in the set reaches nobody, and does not spin`,
    async (bench) => {
      await bench.start();
      const { reactor, libc } = bench;
      const pipe = bench.pipe();
      const fd = pipe.output.fileno();
      const probe = readerOf(fd);
      reactor.addReader(probe);
      using strike = libc.strike({
        call: "epoll_ctl",
        effect: { errno },
        when: (_set, operation, number) =>
          operation === EPOLL_CTL_DEL && number === fd,
      });
      reactor.removeReader(probe);
      assertEquals(strike.struck, 1);
      pipe.fill();
      assertServed(await bench.round());
      assertServed(await bench.round());
      assertEquals(probe.reads, 0);
      assertLess(await bench.idleTurns(), CALM);
      reactor.addReader(probe);
      await until(() => probe.reads === 1);
    },
    { backends: EPOLL },
  );
}

for (const errno of FAILURES.fstat.errnos) {
  testFault(
    `fstat fails with ${errno} when a descriptor is added: the caller has the error, nobody else loses an event`,
    async (bench) => {
      await bench.start();
      const { reactor, libc } = bench;
      const pipe = bench.pipe();
      const fd = pipe.output.fileno();
      const probe = readerOf(fd);
      using _everywhere = libc.everywhere("fstat");
      {
        using _strike = libc.strike({
          call: "fstat",
          effect: { errno },
          when: (number) => number === fd,
        });
        const thrown = [
          assertThrows(() => reactor.addReader(probe)),
          assertThrows(() => reactor.watch(fd, "readable")),
          await assertRejects(() => reactor.readable(fd)),
        ];
        assertEquals(thrown.map(codeOf), [errno, errno, errno]);
        assertServed(await bench.round());
      }
      reactor.addReader(probe);
      pipe.fill();
      await until(() => probe.reads === 1);
    },
    { backends: POLL_ONLY },
  );

  testFault(
    `fstat fails with ${errno} at an event: whoever it is about is told, nobody else loses an event`,
    async (bench) => {
      await bench.start();
      const { reactor, libc } = bench;
      const pipe = bench.pipe();
      const fd = pipe.output.fileno();
      const probe = readerOf(fd);
      reactor.addReader(probe);
      using _everywhere = libc.everywhere("fstat");
      using _strike = libc.strike({
        call: "fstat",
        effect: { errno },
        when: (number) => number === fd,
      });
      pipe.fill();
      await until(() => probe.reasons.length > 0);
      assertEquals([codeOf(probe.reason), probe.reads], ["EBADF", 0]);
      assertServed(await bench.round());
    },
    { backends: POLL_ONLY },
  );
}

for (const errno of FAILURES.fstat.errnos) {
  testFault(
    `fstat fails once with ${errno}, when a descriptor is added and at an event: it is made again, and nobody notices`,
    async (bench) => {
      await bench.start();
      const pipe = bench.pipe();
      const fd = pipe.output.fileno();
      const probe = readerOf(fd);
      using _everywhere = bench.libc.everywhere("fstat");
      const once = () =>
        bench.libc.strike({
          call: "fstat",
          effect: { errno },
          which: "once",
          when: (number) => number === fd,
        });
      using added = once();
      bench.reactor.addReader(probe);
      assertEquals(added.struck, 1);
      using atEvent = once();
      pipe.fill();
      await until(() => probe.reads === 1);
      assertEquals([atEvent.struck, probe.reasons], [1, []]);
      assertServed(await bench.round());
    },
    { backends: POLL_ONLY },
  );
}

// A look at the set

for (const call of ["epoll_wait", "poll"] as const) {
  const backends = call === "poll" ? POLL_ONLY : EPOLL;
  for (const errno of FAILURES[call].errnos) {
    testFault(
      `${call} fails once with ${errno}: ${
        errno === "EINTR" ? "nobody notices" : "it is reported"
      }, and everybody is served`,
      async (bench) => {
        await bench.start();
        using strike = bench.libc.strike({
          call,
          effect: { errno },
          which: "once",
        });
        assertServed(await bench.round());
        assertEquals(strike.struck, 1);
        assertEquals(bench.takeCodes(), errno === "EINTR" ? [] : [errno]);
      },
      { backends },
    );

    // The kernel interrupts a wait, and no look (fs/eventpoll.c, fs/select.c).
    if (errno === "EINTR") continue;
    testFault(
      `${call} fails with ${errno} every time: everybody is told that the reactor cannot go on`,
      async (bench) => {
        await bench.start();
        using _strike = bench.libc.strike({ call, effect: { errno } });
        await bench.assertFails(errno);
      },
      { backends },
    );
  }

  for (
    const [name, effect, which] of [
      ["is interrupted every other time", { errno: "EINTR" }, { every: 2 }],
      ["tells of one event at a time", { short: 1 }, "always"],
      ["is late every time", { late: 5 }, "always"],
    ] as const
  ) {
    testFault(
      `${call} ${name}: everybody is served`,
      async (bench) => {
        await bench.start();
        using strike = bench.libc.strike({ call, effect, which });
        for (let i = 0; i < 3; i++) assertServed(await bench.round());
        assertGreaterOrEqual(strike.struck, 1);
      },
      { backends },
    );
  }
}

// Timers

for (const errno of FAILURES.timerfd_settime.errnos) {
  testFault(
    `timerfd_settime fails with ${errno}: delayed calls run all the same, in their order and not early, and nothing spins`,
    async (bench) => {
      await bench.start();
      const { reactor, libc } = bench;
      using strike = libc.strike({
        call: "timerfd_settime",
        effect: { errno },
      });
      const start = performance.now();
      const ran: [name: string, early: boolean][] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      const later = (name: string, ms: number) =>
        reactor.callLater(ms, () => {
          ran.push([name, performance.now() - start < ms]);
          if (ran.length === 2) resolve();
        });
      const { turns } = reactor.inspect().counters;
      later("second", 80);
      // Somebody waits for that one by now.
      await new Promise((resolve) => setTimeout(resolve, 5));
      later("first", 20);
      await deadline(promise, PATIENCE);
      assertEquals(ran, [["first", false], ["second", false]]);
      assertGreaterOrEqual(strike.struck, 1);
      assertLess(reactor.inspect().counters.turns - turns, CALM);
      assertServed(await bench.round());
    },
    { backends: EPOLL },
  );
}

// Wake-ups

for (const errno of FAILURES.write.errnos) {
  testFault(
    `write fails once with ${errno} at a wake-up: it is tried again, and nobody notices`,
    async (bench) => {
      await bench.start();
      using strike = bench.libc.strike({
        call: "write",
        effect: { errno },
        which: "once",
      });
      const { promise, resolve } = Promise.withResolvers<void>();
      bench.reactor.callFromThread(resolve);
      await deadline(promise, PATIENCE);
      assertEquals(strike.struck, 1);
      assertServed(await bench.round());
    },
  );

  testFault(
    `write fails with ${errno} at every wake-up: everybody is told that the reactor cannot go on`,
    async (bench) => {
      await bench.start();
      using _strike = bench.libc.strike({ call: "write", effect: { errno } });
      await bench.assertFails(errno);
    },
  );

  testFault(
    `write fails with ${errno} at every wake-up: close() ends the reactor all the same`,
    async (bench) => {
      await bench.start();
      using _strike = bench.libc.strike({ call: "write", effect: { errno } });
      await deadline(bench.reactor.close(), PATIENCE);
      bench.errors.length = 0;
    },
  );
}

for (const errno of FAILURES.read.errnos) {
  const harmless = errno === "EAGAIN" || errno === "EINTR";
  testFault(
    `read fails once with ${errno} when a wake-up is taken back: nobody notices`,
    async (bench) => {
      await bench.start();
      using strike = bench.libc.strike({
        call: "read",
        effect: { errno },
        which: "once",
      });
      assertServed(await bench.round());
      assertEquals(strike.struck, 1);
      assertLess(await bench.idleTurns(), CALM);
    },
    { backends: POLL_ONLY },
  );

  testFault(
    `read fails with ${errno} whenever a wake-up is taken back: everybody is ${
      harmless ? "served" : "told that the reactor cannot go on"
    }`,
    async (bench) => {
      await bench.start();
      using _strike = bench.libc.strike({ call: "read", effect: { errno } });
      bench.reactor.callFromThread(() => {});
      if (harmless) assertServed(await bench.round());
      else await bench.assertFails(errno);
    },
    { backends: POLL_ONLY },
  );
}

// A set that has to be made anew

/**
 * Leaves something in the set that no number leads to: a duplicate keeps it
 * there. It is ready from now on, and the set is made anew when it is seen again.
 */
function leaveOrphan(bench: FaultBench): void {
  const pipe = bench.pipe();
  const duplicate = libc().dup(pipe.output.fileno());
  const probe = new Probe(duplicate);
  bench.reactor.addReader(probe);
  closeDescriptor(duplicate);
  bench.reactor.removeReader(probe);
  pipe.fill();
}

/** Has the set made anew, while everybody is served. */
async function rebuild(bench: FaultBench): Promise<void> {
  leaveOrphan(bench);
  for (let i = 0; i < 3; i++) assertServed(await bench.round());
}

for (
  const [call, remedy] of [
    ["epoll_create1", "the old one makes room"],
    ["dup3", "it is tried again"],
  ] as const
) {
  for (const errno of FAILURES[call].errnos) {
    testFault(
      `${call} fails once with ${errno} when a set is made anew: ${remedy}, and everybody is served`,
      async (bench) => {
        await bench.start();
        using strike = bench.libc.strike({
          call,
          effect: { errno },
          which: "once",
        });
        await rebuild(bench);
        assertEquals(strike.struck, 1);
        assertLess(await bench.idleTurns(), CALM);
      },
      { backends: EPOLL },
    );

    testFault(
      `${call} fails with ${errno} when a set is made anew: everybody is told that the reactor cannot go on`,
      async (bench) => {
        await bench.start();
        using _strike = bench.libc.strike({ call, effect: { errno } });
        leaveOrphan(bench);
        await bench.assertFails(errno);
      },
      { backends: EPOLL },
    );
  }
}

for (const errno of FAILURES.epoll_ctl.errnos) {
  testFault(
    `epoll_ctl ADD fails with ${errno} for the set's own descriptors when it is made anew: everybody is told that the reactor cannot go on`,
    async (bench) => {
      await bench.start();
      const { libc, reactor } = bench;
      assert(reactor.backendFd !== undefined); // One that has it inside.
      using _strike = libc.strike({
        call: "epoll_ctl",
        effect: { errno },
        when: (_set, operation, fd) =>
          operation === EPOLL_CTL_ADD && libc.open.has(fd),
      });
      leaveOrphan(bench);
      await bench.assertFails(errno);
    },
    { backends: EPOLL },
  );

  // What EPERM says is no failure, and EEXIST leads to ENOENT.
  if (errno === "EPERM") continue;
  testFault(
    `epoll_ctl ADD fails with ${errno} for one descriptor when a set is made anew: it is told, nobody else loses an event`,
    async (bench) => {
      await bench.start();
      const pipe = bench.pipe();
      const fd = pipe.output.fileno();
      const probe = readerOf(fd);
      bench.reactor.addReader(probe);
      using strike = bench.libc.strike({
        call: "epoll_ctl",
        effect: { errno },
        when: (_set, operation, number) =>
          operation === EPOLL_CTL_ADD && number === fd,
      });
      await rebuild(bench);
      assertEquals(strike.struck, 2);
      await until(() => probe.reasons.length === 1);
      assertNamed(probe.reason);
    },
    { backends: EPOLL },
  );
}

testFault(
  "a reader that goes away right before a set cannot be made anew is told, too (contract 252)",
  async (bench) => {
    await bench.start();
    const pipe = bench.pipe();
    const fd = pipe.output.fileno();
    const probe = readerOf(fd);
    bench.reactor.addReader(probe);
    using _gone = bench.libc.strike({
      call: "epoll_ctl",
      effect: { errno: "ENOENT" },
      when: (_set, operation, number) =>
        operation === EPOLL_CTL_MOD && number === fd,
    });
    using _full = bench.libc.strike({
      call: "epoll_create1",
      effect: { errno: "ENFILE" },
    });
    leaveOrphan(bench);
    await bench.assertFails("ENFILE");
    assertEquals(probe.reasons.length, 1);
    assertNamed(probe.reason);
  },
  { backends: EPOLL },
);

testFault(
  "a number that another thread takes while a set is made anew is left alone, and everybody is told that the reactor cannot go on",
  async (bench) => {
    await bench.start();
    let taken: number | undefined;
    using first = bench.libc.strike({
      call: "epoll_create1",
      effect: { errno: "EMFILE" },
      which: "once",
    });
    using _thread = bench.libc.strike({
      call: "epoll_create1",
      effect: { late: 0 },
      when() {
        if (first.struck > 0) taken ??= makeEventfd();
        return false;
      },
    });
    try {
      leaveOrphan(bench);
      await bench.roundsToTheEnd();
      bench.takeCodes();
      await bench.reactor.close();
      // It is what it was: no other kind of file takes this.
      assertEquals(libc().write(taken!, new BigUint64Array([1n]), 8), 8);
    } finally {
      closeDescriptor(taken!);
    }
  },
  { backends: EPOLL },
);

// The end

for (const errno of FAILURES.close.errnos) {
  testFault(
    `close fails with ${errno}: the reactor ends all the same, and closes nothing twice`,
    async (bench) => {
      await bench.start();
      using strike = bench.libc.strike({
        call: "close",
        effect: { errno, after: true },
      });
      await deadline(bench.reactor.close(), PATIENCE);
      assertGreaterOrEqual(strike.struck, 1);
    },
  );
}

// Anything, at any time

/** Another one each time; set it to see the same again. */
const SEED = Number(
  Deno.env.get("FAULT_SEED") ?? Math.floor(Math.random() * 1e9),
);

for (let storm = 0; storm < 4; storm++) {
  testFault(
    `any call fails now and then, whatever it says: each is served or told (storm ${storm})`,
    async (bench) => {
      const seed = SEED + storm;
      console.log(`FAULT_SEED=${seed}`);
      await bench.start();
      using _everywhere = bench.libc.everywhere("fstat");
      const random = randomNumbers(seed);
      for (const [call, { errnos }] of Object.entries(FAILURES)) {
        if (!(call in bench.libc.calls) && call !== "fstat") continue;
        for (const errno of errnos) {
          // A set does not ask for its own reason to live (close(2)).
          const after = call === "close";
          bench.libc.strike({
            call: call as CallName,
            effect: { errno, after },
            which: { chance: 0.01, random },
          });
        }
      }
      for (let i = 0; i < 5; i++) assertServedOrTold(await bench.round());
      for (const { error } of bench.errors.splice(0)) assertNamed(error);
    },
  );
}
