// What a reactor must survive, and tell of: descriptors closed behind its back,
// numbers used again, signals, and user code that fails in every place where it
// is called. Nothing here may end in silence, or in a loop that spins.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { libcPath } from "../ffi/libc.ts";
import { libc, linux, POLL } from "../ffi/mod.ts";
import { ConnectionLost, FileDescriptor, Reactor } from "../mod.ts";
import { HandOver } from "../src/hand_over.ts";
import { makeReactor } from "../src/reactor.ts";
import {
  BACKENDS,
  type Bench,
  fill,
  isOpen,
  macrotask,
  onLinux,
  PATIENCE,
  Probe,
  receive,
  send,
  testBackends,
  until,
} from "./descriptors.ts";
import { FaultyLibc } from "./faults/faulty_libc.ts";
import { pollingThread, pollingThreads } from "./own_threads.ts";
import { untilStarted, withWorkers } from "./workers.ts";

const { BadResource } = Deno.errors;

// The C library through a table of our own: this is how somebody else's code
// closes descriptors, and the package can't count it.
const { symbols: foreign } = Deno.dlopen(libcPath(), {
  close: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
});

/** Closes a descriptor without a word to anybody. */
function closeSilently(bench: Bench, fd: number): void {
  assertEquals(foreign.close(fd), 0);
  bench.release(fd);
}

/** Gives the number of `fd` to the file of `other`, without a word to anybody. */
function seize(bench: Bench, fd: number, other: number): void {
  assertEquals(foreign.dup2(other, fd), fd);
  closeSilently(bench, other);
}

function codeOf(reason: Error | undefined): string | undefined {
  assertInstanceOf(reason, Error);
  return (reason as Error & { code?: string }).code;
}

/** A regular file. */
function openThisFile(): number {
  return libc().open(cString(new URL(import.meta.url).pathname), 0, 0);
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text + "\0");
}

/** A reader that takes what there is. */
function reader(fd: number): Probe {
  return new Probe(fd, { onRead: () => void receive(fd) });
}

/** Starts the reactor on Deno's loop, and waits until its worker waits. */
async function park(bench: Bench): Promise<void> {
  if (!bench.reactor.running) bench.reactor.interleave();
  await wakeUp(bench);
}

/** Sends the reactor through a turn. */
async function wakeUp(bench: Bench): Promise<void> {
  let called = false;
  bench.reactor.callFromThread(() => called = true);
  await until(() => called);
  await macrotask();
}

/** How many turns it takes to do nothing for 30 ms. */
async function idleTurns(bench: Bench): Promise<number> {
  const { turns } = bench.reactor.inspect().counters;
  let over = false;
  bench.reactor.callLater(30, () => over = true);
  await until(() => over);
  return bench.reactor.inspect().counters.turns - turns;
}

/** Asserts that a new reader, a delayed call and a wake-up are served. */
async function assertServes(bench: Bench): Promise<void> {
  const { reactor } = bench;
  const [output, input] = bench.pipe();
  const probe = reader(output);
  reactor.addReader(probe);
  let called = false;
  reactor.callLater(1, () => called = true);
  await until(() => called);
  await wakeUp(bench);
  send(input, "word");
  await until(() => probe.reads === 1);
  reactor.removeReader(probe);
}

// A descriptor closed behind the reactor's back

testBackends(
  "a closed descriptor is told of at the next wake-up, once (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const probe = new Probe(output);
    reactor.addReader(probe);
    await park(bench);
    bench.closeFd(output);
    await wakeUp(bench);
    await until(() => probe.reasons.length > 0);
    await wakeUp(bench);
    assertEquals(codeOf(probe.reason), "EBADF");
    assertEquals(probe.reads, 0);
    assertEquals(reactor.getReaders(), []);
    assertLess(await idleTurns(bench), 10);
    await assertServes(bench);
  },
  { backends: ["poll"] },
);

testBackends(
  "a closed descriptor is told of at the next change of interest, once (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    const [output] = bench.pipe();
    const probe = new Probe(here);
    reactor.addReader(probe);
    await park(bench);
    bench.closeFd(here);
    await wakeUp(bench);
    reactor.addReader(new Probe(output)); // Not a change of its own.
    await wakeUp(bench);
    assertEquals(probe.reasons, []);
    const write = new Probe(here);
    assertThrows(() => reactor.addWriter(write), BadResource, "(EBADF)");
    await until(() => probe.reasons.length > 0);
    await wakeUp(bench);
    assertEquals(codeOf(probe.reason), "EBADF");
    assertEquals([probe.reads, write.reasons.length], [0, 0]);
    assertFalse(reactor.getReaders().includes(probe));
    await assertServes(bench);
  },
  { backends: ["epoll"] },
);

testBackends(
  "a closed descriptor is told of by the call that asks for more, if that is its owner's (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    const probe = new Probe(here);
    reactor.addReader(probe);
    await park(bench);
    bench.closeFd(here);
    assertThrows(() => reactor.addWriter(probe), BadResource, "(EBADF)");
    await wakeUp(bench);
    assertEquals([probe.reads, probe.reasons.length], [0, 0]);
    assertEquals(reactor.removeAll(), []);
    await assertServes(bench);
  },
);

testBackends(
  "a closed descriptor ends once when its owner ends it (contract 136)",
  async (bench) => {
    const { reactor } = bench;
    const [here, there] = bench.socketpair();
    send(there, "word");
    const lost = new ConnectionLost();
    const probe = new Probe(here, {
      onRead: () => {
        bench.closeFd(here);
        return lost;
      },
    });
    reactor.addReader(probe);
    reactor.addWriter(probe);
    await park(bench);
    await wakeUp(bench);
    assertStrictEquals(probe.reason, lost);
    assertEquals(probe.writes, 0);
  },
);

testBackends(
  "a closed descriptor ends once when the reactor stops (contract 137)",
  async (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    fill(here);
    const probe = new Probe(here);
    reactor.addReader(probe);
    reactor.addWriter(probe);
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      bench.closeFd(here);
    });
    reactor.callLater(0, () => reactor.stop());
    await reactor.run({ signals: false });
    assertInstanceOf(probe.reason, Error);
  },
);

testBackends("removeAll() tells a closed descriptor nothing", async (bench) => {
  const { reactor } = bench;
  const [here] = bench.socketpair();
  fill(here);
  const probe = new Probe(here);
  reactor.addReader(probe);
  reactor.addWriter(probe);
  bench.closeFd(here);
  assertEquals(reactor.removeAll(), [probe]);
  await park(bench);
  assertEquals(probe.reasons, []);
});

testBackends(
  "a closed descriptor with reader, writer, wait and watch is told to all of them (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    const read = new Probe(here);
    const write = new Probe(here);
    reactor.addReader(read);
    const waiting = reactor.readable(here);
    const watching = reactor.watch(here, "readable").next();
    const outcomes = Promise.allSettled([waiting, watching]);
    await wakeUp(bench);
    bench.closeFd(here);
    assertThrows(() => reactor.addWriter(write), BadResource, "(EBADF)");
    for (const outcome of await outcomes) {
      assertEquals(outcome.status, "rejected");
      assertEquals(codeOf((outcome as PromiseRejectedResult).reason), "EBADF");
    }
    await until(() => read.reasons.length > 0);
    assertEquals(codeOf(read.reason), "EBADF");
    assertEquals(write.reasons, []); // It knows from the call.
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testBackends(
  "a closed descriptor is told of by close(), if no round comes before (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    const probe = new Probe(here);
    reactor.addReader(probe); // It never runs.
    bench.closeFd(here);
    assertThrows(() => reactor.addWriter(new Probe(here)), BadResource);
    await reactor.close();
    assertEquals(probe.reasons.length, 1);
    assertEquals(codeOf(probe.reason), "EBADF");
  },
);

testBackends(
  "a closed descriptor in the middle of a dispatch costs nobody else an event (contract 119)",
  (bench) => {
    const { reactor } = bench;
    const pipes = Array.from({ length: 10 }, () => bench.pipe());
    const probes = pipes.map(([fd]) => new Probe(fd));
    let closed: Probe | undefined;
    for (const [i, probe] of probes.entries()) {
      probe.handlers.onRead = () => {
        receive(probe.fd);
        if (closed !== undefined) return;
        closed = probes[(i + 1) % probes.length];
        bench.closeFd(closed!.fd);
      };
      reactor.addReader(probe);
      send(pipes[i]![1], "word");
    }
    reactor.iterate();
    reactor.iterate();
    for (const probe of probes) {
      assertEquals(probe.reads, probe === closed ? 0 : 1);
    }
    assertEquals(codeOf(closed!.reason), "EBADF");
  },
);

// A number used again

/**
 * What a number may have been, and may become: something that is not ready, and
 * what makes it ready, under whichever number it has by then.
 */
const KINDS: Record<
  string,
  (bench: Bench) => [fd: number, makeReady: (fd: number) => void]
> = {
  pipe(bench) {
    const [output, input] = bench.pipe();
    return [output, () => send(input, "word")];
  },
  socket(bench) {
    const [here, there] = bench.socketpair();
    return [here, () => send(there, "word")];
  },
};

if (onLinux) {
  KINDS.eventfd = (bench) => [
    bench.eventfd(),
    (fd) => void libc().write(fd, new BigUint64Array([1n]), 8),
  ];
}

for (const [before, makeBefore] of Object.entries(KINDS)) {
  for (const [after, makeAfter] of Object.entries(KINDS)) {
    testBackends(
      `no event of a new ${after} reaches the owner of a closed ${before} (contract 120)`,
      async (bench) => {
        const { reactor } = bench;
        const [fd] = makeBefore(bench);
        const probe = reader(fd);
        reactor.addReader(probe);
        const other = reader(bench.pipe()[0]);
        reactor.addReader(other);
        await park(bench);
        const [next, makeReady] = makeAfter(bench);
        seize(bench, fd, next);
        makeReady(fd);
        await wakeUp(bench);
        await wakeUp(bench);
        assertEquals(probe.reads, 0);
        // Its new owner gets them.
        const heir = reader(fd);
        reactor.addReader(heir);
        await until(() => heir.reads > 0);
        assertEquals(probe.reads, 0);
        await until(() => probe.reasons.length > 0);
        assertEquals(codeOf(probe.reason), "EBADF");
        assertEquals([other.reads, other.reasons.length], [0, 0]);
        await assertServes(bench);
      },
    );
  }
}

testBackends(
  "no event of another file reaches the owner of a closed regular file (contract 120)",
  (bench) => {
    const { reactor } = bench;
    const file = bench.adopt(openThisFile());
    const probe = new Probe(file);
    reactor.addReader(probe);
    reactor.iterate();
    const { reads } = probe;
    assertGreater(reads, 0);
    const [output, input] = bench.pipe();
    seize(bench, file, output);
    send(input, "word");
    reactor.iterate();
    reactor.iterate();
    assertEquals(probe.reads, reads);
    const heir = reader(file);
    reactor.addReader(heir);
    bench.pump(() => heir.reads === 1);
    bench.pump(() => probe.reasons.length === 1);
    assertEquals(codeOf(probe.reason), "EBADF");
  },
);

testBackends(
  "no event of a regular file reaches the owner of a closed pipe (contract 120)",
  (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const probe = new Probe(output);
    reactor.addReader(probe);
    reactor.iterate();
    seize(bench, output, bench.adopt(openThisFile()));
    reactor.iterate();
    const heir = new Probe(output);
    reactor.addReader(heir);
    bench.pump(() => heir.reads > 0);
    bench.pump(() => probe.reasons.length === 1);
    assertEquals(probe.reads, 0);
  },
);

testBackends(
  "no event found before a number was used again reaches its old owner (contract 120)",
  (bench) => {
    const { reactor } = bench;
    const pipes = [bench.pipe(), bench.pipe()];
    const probes = pipes.map(([fd]) => new Probe(fd));
    for (const [i, probe] of probes.entries()) {
      const victim = probes[1 - i]!;
      probe.handlers.onRead = () => {
        const [output, input] = bench.pipe();
        bench.reuse(victim.fd, output);
        send(input, "word");
        reactor.removeReader(probe);
      };
      reactor.addReader(probe);
      send(pipes[i]![1], "word");
    }
    reactor.iterate();
    reactor.iterate();
    assertEquals(probes.map(({ reads }) => reads).sort(), [0, 1]);
    const victim = probes.find(({ reads }) => reads === 0)!;
    assertEquals(codeOf(victim.reason), "EBADF");
  },
);

// Duplicates that keep a registration alive

for (const budget of [undefined, { ms: 0 }, { events: 1 }]) {
  const name = budget === undefined
    ? ""
    : ` with a budget of ${Deno.inspect(budget)}`;
  const options = { reactor: budget === undefined ? {} : { budget } };

  testBackends(
    `an orphan inside the set reaches nobody and does not spin${name}`,
    async (bench) => {
      const { reactor } = bench;
      const [output, input] = bench.pipe();
      const duplicate = bench.dup(output);
      const probe = new Probe(output);
      reactor.addReader(probe);
      const paused = reactor.watch(bench.pipe()[0], "readable");
      await park(bench);
      const { backendFd } = reactor;
      bench.closeFd(output);
      reactor.removeReader(probe); // The kernel knows no such number, and keeps it.
      send(input, "word"); // Nobody reads it: it stays ready.
      await wakeUp(bench);
      await wakeUp(bench);
      assertLess(await idleTurns(bench), 10);
      assertEquals([probe.reads, probe.reasons.length], [0, 0]);
      assertEquals(reactor.backendFd, backendFd);
      await assertServes(bench);
      assert(isOpen(duplicate));
      paused.close();
    },
    options,
  );
}

testBackends(
  "a registered descriptor with a duplicate is lost at its next event when its number is closed",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    bench.dup(output);
    const probe = new Probe(output);
    reactor.addReader(probe);
    await park(bench);
    closeSilently(bench, output);
    send(input, "word");
    await wakeUp(bench);
    await until(() => probe.reasons.length > 0);
    assertEquals(codeOf(probe.reason), "EBADF");
    assertEquals(probe.reads, 0);
    assertLess(await idleTurns(bench), 10);
    await assertServes(bench);
  },
);

testBackends(
  "a number used again while a duplicate keeps the old registration alive is the new owner's",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    bench.dup(output);
    const probe = new Probe(output);
    reactor.addReader(probe);
    await park(bench);
    const [another, end] = bench.pipe();
    seize(bench, output, another);
    const heir = reader(output);
    reactor.addReader(heir);
    send(input, "word"); // An event of the orphan.
    await wakeUp(bench);
    await wakeUp(bench);
    assertEquals([probe.reads, heir.reads], [0, 0]);
    assertLess(await idleTurns(bench), 10);
    send(end, "word");
    await until(() => heir.reads === 1);
    await until(() => probe.reasons.length === 1);
  },
);

testBackends(
  "a file that comes back under its number is served again",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const duplicate = bench.dup(output);
    const probe = new Probe(output);
    reactor.addReader(probe);
    await park(bench);
    const [another] = bench.pipe();
    bench.reuse(output, another);
    reactor.removeReader(probe);
    bench.reuse(output, duplicate); // The file that was there at first.
    const heir = reader(output);
    reactor.addReader(heir);
    send(input, "word");
    await until(() => heir.reads === 1);
    assertEquals(probe.reads, 0);
  },
);

testBackends(
  "a set that is rebuilt keeps what is registered, regular files and timers included",
  async (bench) => {
    const { reactor } = bench;
    const file = new Probe(bench.adopt(openThisFile()));
    const kept = Array.from({ length: 20 }, () => bench.pipe());
    const probes = kept.map(([fd]) => reader(fd));
    for (const probe of probes) reactor.addReader(probe);
    const waiting = reactor.readable(kept[0]![0]);
    let called = false;
    reactor.callLater(50, () => called = true);
    for (let i = 0; i < 3; i++) {
      const [output, input] = bench.pipe();
      bench.dup(output);
      const probe = new Probe(output);
      reactor.addReader(probe);
      bench.closeFd(output);
      reactor.removeReader(probe);
      send(input, "word");
      await wakeUp(bench);
    }
    reactor.addReader(file);
    await until(() => file.reads > 0);
    reactor.removeReader(file);
    for (const [, input] of kept) send(input, "word");
    await until(() => probes.every(({ reads }) => reads === 1));
    await waiting;
    await until(() => called);
  },
  { backends: ["epoll"] },
);

for (const hostBackend of BACKENDS) {
  testBackends(
    `a host that watches backendFd (${hostBackend}) goes on after a set is rebuilt`,
    async (bench) => {
      const inner = bench.reactor;
      await using host = new Reactor({ backend: hostBackend });
      const [output, input] = bench.pipe();
      const probe = reader(output);
      inner.addReader(probe);
      inner.iterate();
      let calls = 0;
      const watcher = new Probe(inner.backendFd!, {
        onRead: () => {
          calls++;
          inner.iterate();
        },
      });
      host.addReader(watcher);
      host.interleave();
      const [silent, loud] = bench.pipe();
      bench.dup(silent);
      const orphan = new Probe(silent);
      inner.addReader(orphan);
      bench.closeFd(silent);
      inner.removeReader(orphan);
      send(loud, "word");
      await until(() => calls > 0);
      for (let i = 1; i <= 3; i++) {
        send(input, "word");
        await until(() => probe.reads === i);
      }
      assertEquals(watcher.reasons, []);
      assertLess(calls, 20);
    },
    { backends: ["epoll"] },
  );
}

// Closing, and what the other side sees

testBackends(
  "close() of a FileDescriptor reaches the other side although the worker waits (contract 125)",
  async (bench) => {
    const { reactor } = bench;
    // Many others, for the worker to be slow in letting go.
    const [silent] = bench.pipe();
    for (let i = 0; i < 500; i++) {
      reactor.addReader(new Probe(bench.dup(silent)));
    }
    await park(bench);
    for (let i = 0; i < 40; i++) {
      const [here, there] = FileDescriptor.socketpair();
      const probe = new Probe(here.fileno());
      reactor.addReader(probe);
      await wakeUp(bench);
      here.close();
      // No turn and no macrotask in between: the worker has let go already.
      assertEquals(poll(there.fileno(), 0) & POLL.HUP, POLL.HUP);
      assertInstanceOf(probe.reason, ConnectionLost);
      there.close();
    }
    await assertServes(bench);
  },
);

testBackends(
  "close() after removeReader() reaches the other side although the worker waits (contract 125)",
  async (bench) => {
    const { reactor } = bench;
    const [here, there] = bench.socketpair();
    const probe = new Probe(here);
    reactor.addReader(probe);
    await park(bench);
    // A worker that is on its way there would poll without the number.
    if (onLinux) await pollingThread();
    reactor.removeReader(probe);
    bench.closeFd(here);
    // This thread blocks, so the worker lets go by itself.
    assertEquals(poll(there, PATIENCE) & POLL.HUP, POLL.HUP);
  },
);

testBackends(
  "close() after the end of a wait or a watch reaches the other side although the worker waits (contract 125)",
  async (bench) => {
    const { reactor } = bench;
    const controller = new AbortController();
    const [first, firstPeer] = bench.socketpair();
    const [second, secondPeer] = bench.socketpair();
    const waiting = reactor.readable(first, { signal: controller.signal });
    waiting.catch(() => {});
    const watch = reactor.watch(second, "readable");
    await wakeUp(bench);
    controller.abort();
    bench.closeFd(first);
    watch.close();
    bench.closeFd(second);
    assertEquals(poll(firstPeer, PATIENCE) & POLL.HUP, POLL.HUP);
    assertEquals(poll(secondPeer, PATIENCE) & POLL.HUP, POLL.HUP);
  },
);

testBackends(
  "close() of a FileDescriptor leaves every reactor (contract 125)",
  async (bench) => {
    await using other = new Reactor({ backend: bench.backend });
    const [here, there] = FileDescriptor.socketpair();
    const probes = [new Probe(here.fileno()), new Probe(here.fileno())];
    bench.reactor.addReader(probes[0]!);
    other.addReader(probes[1]!);
    await park(bench);
    let called = false;
    other.interleave();
    other.callFromThread(() => called = true);
    await until(() => called);
    here.close();
    assertEquals(poll(there.fileno(), 0) & POLL.HUP, POLL.HUP);
    for (const { reason } of probes) assertInstanceOf(reason, ConnectionLost);
    there.close();
  },
);

testBackends(
  "a reactor that has ended has closed what it opened (contract 172)",
  async (bench) => {
    const [output, input] = bench.pipe();
    const event = bench.eventfd();
    // Told by the calls: Deno's own threads come and go, with other numbers.
    const seen = new FaultyLibc();
    using _seen = seen.everywhere();
    const reactor = new Reactor({ backend: bench.backend });
    const probe = reader(output);
    reactor.addReader(probe);
    reactor.addReader(new Probe(event));
    send(input, "word");
    while (probe.reads === 0) reactor.iterate();
    const opened = [...seen.open];
    assertGreater(opened.length, 0);
    assert(opened.every(isOpen));
    reactor.stop();
    reactor.iterate();
    await reactor.finished;
    assertEquals([...seen.open], []);
    await reactor.close();
  },
  { linuxOnly: true },
);

for (const end of ["close", "crash"] as const) {
  testBackends(
    `${end}() leaves no thread that waits (contract 172)`,
    (bench) =>
      withWorkers(async (workers) => {
        const [output] = bench.pipe();
        const reactor = new Reactor({ backend: bench.backend });
        const waiting = reactor.readable(output).catch(() => {});
        await untilStarted(workers);
        await pollingThread(); // With nothing to come.
        reactor[end]();
        await waiting;
        await reactor.finished;
        // What is left of a thread goes a moment after its end was told.
        await until(() => pollingThreads().length === 0);
        await reactor.close();
      }),
    { linuxOnly: true },
  );
}

// Signals

testBackends(
  "a signal that interrupts the worker's poll() is survived",
  async (bench) => {
    const { reactor } = bench;
    let signals = 0;
    const count = () => signals++;
    Deno.addSignalListener("SIGUSR1", count);
    try {
      const [output, input] = bench.pipe();
      const probe = reader(output);
      reactor.addReader(probe);
      await park(bench);
      for (let i = 1; i <= 3; i++) {
        const { turns } = reactor.inspect().counters;
        const worker = await pollingThread();
        assertEquals(linux().syscall(TKILL, worker, SIGUSR1), 0);
        // poll() is never restarted (signal(7)): the interrupted one reports.
        await until(() => reactor.inspect().counters.turns > turns);
        await until(() => signals >= i);
        send(input, "word");
        await until(() => probe.reads === i);
      }
      assertLess(await idleTurns(bench), 10);
      await assertServes(bench);
    } finally {
      Deno.removeSignalListener("SIGUSR1", count);
    }
  },
  { linuxOnly: true },
);

// Time

testBackends(
  "a delayed call that comes nearer while the worker waits is not late (contract 78)",
  async (bench) => {
    const { reactor } = bench;
    const HOUR = 3_600_000;
    let calls = 0;
    const call = reactor.callLater(HOUR, () => calls++);
    const another = reactor.callLater(2 * HOUR, () => calls++);
    await park(bench);
    call.reset(1);
    await until(() => calls === 1);
    await park(bench);
    another.delay(-2 * HOUR);
    await until(() => calls === 2);
  },
);

testBackends(
  "a delayed call between two milliseconds is waited for, not spun for (contract 87)",
  async ({ backend }) => {
    const timeouts: number[] = [];
    class Watched extends HandOver {
      override arm(...args: Parameters<HandOver["arm"]>): boolean {
        timeouts.push(args[2]);
        return super.arm(...args);
      }
    }
    await using reactor = makeReactor({ backend }, {
      handOver: (table, listener) => new Watched(table, listener),
    });
    reactor.interleave();
    const { counters } = reactor.inspect();
    for (let i = 0; i < 20; i++) {
      await new Promise<void>((resolve) => reactor.callLater(3.9, resolve));
    }
    const { turns } = reactor.inspect().counters;
    assertLess(turns - counters.turns, 120);
    // It may be due by the time that the worker is armed, by chance.
    assertLess(timeouts.filter((timeout) => timeout === 0).length, 10);
  },
);

// User code that fails

for (
  const [what, clock] of [
    ["throws", () => {
      throw new Error("no time");
    }],
    ["returns NaN", () => NaN],
    ["returns no number", () => "noon" as unknown as number],
  ] as const
) {
  testBackends(
    `a clock that ${what} stops neither descriptors nor what comes after`,
    async (bench) => {
      let broken = false;
      const errors: unknown[] = [];
      await using reactor = new Reactor({
        backend: bench.backend,
        clock: () => broken ? clock() : performance.now(),
        onError: (error) => errors.push(error),
      });
      const [output, input] = bench.pipe();
      const probe = reader(output);
      reactor.addReader(probe);
      let called = false;
      reactor.callLater(20, () => called = true);
      reactor.interleave();
      broken = true;
      for (let i = 1; i <= 5; i++) {
        send(input, "word");
        await until(() => probe.reads === i);
      }
      await until(() => errors.length > 0);
      for (const error of errors) assertInstanceOf(error, Error);
      assertFalse(called);
      const { turns } = reactor.inspect().counters;
      await macrotask();
      assertLess(reactor.inspect().counters.turns - turns, 10);
      broken = false;
      await until(() => called);
    },
  );
}

testBackends(
  "an onError that throws is printed with what it was given, and the loop goes on",
  async (bench) => {
    const printed: unknown[][] = [];
    const original = console.error;
    console.error = (...args) => printed.push(args);
    try {
      const failure = new Error("in doRead");
      const another = new Error("in onError");
      await using reactor = new Reactor({
        backend: bench.backend,
        onError: () => {
          throw another;
        },
      });
      const [output, input] = bench.pipe();
      const probe = new Probe(output, {
        onRead: () => {
          throw failure;
        },
      });
      reactor.addReader(probe);
      reactor.interleave();
      send(input, "word");
      await until(() => probe.reasons.length === 1);
      assertStrictEquals(probe.reason, failure);
      assertEquals(printed.length, 1);
      assert(printed[0]!.includes(failure) && printed[0]!.includes(another));
      let called = false;
      reactor.callLater(0, () => called = true);
      await until(() => called);
    } finally {
      console.error = original;
    }
  },
);

testBackends(
  "an onError whose promise rejects is printed, and the loop goes on",
  async (bench) => {
    const printed: unknown[][] = [];
    const original = console.error;
    console.error = (...args) => printed.push(args);
    try {
      const another = new Error("in onError");
      await using reactor = new Reactor({
        backend: bench.backend,
        onError: () => Promise.reject(another) as unknown as void,
      });
      reactor.callLater(0, () => {
        throw new Error("in a delayed call");
      });
      reactor.interleave();
      await until(() => printed.length > 0);
      assert(printed[0]!.includes(another));
    } finally {
      console.error = original;
    }
  },
);

for (const thrown of ["text", undefined, null, 0, { code: "EBADF" }]) {
  testBackends(
    `a throw of ${Deno.inspect(thrown)} is told as an Error, with it as cause`,
    (bench) => {
      const { reactor } = bench;
      const [output, input] = bench.pipe();
      const probe = new Probe(output, {
        onRead: () => {
          throw thrown;
        },
      });
      reactor.addReader(probe);
      send(input, "word");
      reactor.callLater(0, () => {
        throw thrown;
      });
      bench.pump(() =>
        probe.reasons.length === 1 && reactor.getDelayedCalls().length === 0
      );
      assertInstanceOf(probe.reason, Error);
      assertStrictEquals(probe.reason!.cause, thrown);
      assert("cause" in probe.reason!);
      const errors = bench.takeErrors();
      assertEquals(errors.length, 2);
      for (const error of errors) {
        assertInstanceOf(error, Error);
        assertStrictEquals(error.cause, thrown);
      }
    },
  );
}

testBackends(
  "a result whose then throws counts as a throw, and others go on",
  (bench) => {
    const { reactor } = bench;
    const failure = new Error("in then");
    const pipes = [bench.pipe(), bench.pipe(), bench.pipe()];
    const [first, poisoned, last] = pipes.map(([fd]) => new Probe(fd));
    poisoned!.handlers.onRead = () => ({
      get then() {
        throw failure;
      },
    });
    for (const [i, probe] of [first!, poisoned!, last!].entries()) {
      reactor.addReader(probe);
      send(pipes[i]![1], "word");
    }
    reactor.iterate();
    reactor.iterate();
    reactor.removeAll();
    assertGreater(first!.reads, 0);
    assertGreater(last!.reads, 0);
    assertEquals(poisoned!.reads, 1);
    assertStrictEquals(poisoned!.reason, failure);
    assertEquals(bench.takeErrors(), [failure]);
  },
);

testBackends(
  "a waker whose promise rejects is reported, and its work item is run (contract 169)",
  async (bench) => {
    const { reactor } = bench;
    const failure = new Error("in the waker");
    let wakes = 0;
    let calls = 0;
    reactor.callLater(1, () => calls++);
    reactor.interleave((work) => {
      if (wakes++ > 0) return queueMicrotask(work);
      return Promise.reject(failure) as unknown as void;
    });
    await until(() => calls === 1);
    assertEquals(bench.takeErrors(), [failure]);
    reactor.callLater(1, () => calls++);
    await until(() => calls === 2);
  },
);

testBackends(
  "a fileno() that throws at the call of close() or inspect() is not called there",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const probe = new Probe(output);
    reactor.addReader(probe);
    probe.fileno = () => {
      throw new Error("no number");
    };
    await park(bench);
    assertEquals(reactor.inspect().descriptors.length, 1);
    await reactor.close();
    assertInstanceOf(probe.reason, ConnectionLost);
  },
);

/** What a reader may do to everything, itself included. */
const RAMPAGES: Record<string, (bench: Bench, probes: Probe[]) => void> = {
  "removes everything": ({ reactor }) => void reactor.removeAll(),
  "crashes the reactor": ({ reactor }) => reactor.crash(),
  "closes every descriptor": (bench, probes) => {
    for (const { fd } of probes) bench.closeFd(fd);
  },
  "closes every descriptor and throws": (bench, probes) => {
    for (const { fd } of probes) bench.closeFd(fd);
    throw new Error("after that");
  },
};

for (const [what, rampage] of Object.entries(RAMPAGES)) {
  testBackends(
    `a reader that ${what} is the last to be called`,
    async (bench) => {
      const { reactor } = bench;
      const pairs = Array.from({ length: 5 }, () => bench.socketpair());
      const probes: Probe[] = pairs.map(([fd]) =>
        new Probe(fd, { onRead: () => rampage(bench, probes) })
      );
      for (const [i, probe] of probes.entries()) {
        reactor.addReader(probe);
        reactor.addWriter(probe);
        send(pairs[i]![1], "word");
      }
      reactor.interleave();
      await until(() => probes.some(({ reads }) => reads > 0));
      await macrotask();
      await macrotask();
      function called(): number {
        return probes.reduce(
          (sum, { reads, writes }) => sum + reads + writes,
          0,
        );
      }
      assertEquals(called(), 1);
      bench.takeErrors();
      await reactor.close();
      assertEquals(called(), 1);
      for (const { reasons } of probes) assertLess(reasons.length, 2);
    },
  );
}

for (const method of ["stop", "close"] as const) {
  testBackends(
    `a reader that calls ${method}() ends everything once`,
    async (bench) => {
      const { reactor } = bench;
      const pipes = Array.from({ length: 5 }, () => bench.pipe());
      let calls = 0;
      const probes: Probe[] = pipes.map(([fd]) =>
        new Probe(fd, {
          onRead: () => void (calls++ === 0 && reactor[method]()),
        })
      );
      for (const [i, probe] of probes.entries()) {
        reactor.addReader(probe);
        send(pipes[i]![1], "word");
      }
      reactor.interleave();
      await reactor.finished;
      for (const probe of probes) {
        assertInstanceOf(probe.reason, ConnectionLost);
        assertLess(probe.reads, 2);
      }
    },
  );
}

testBackends(
  "a reader that closes its own FileDescriptor and throws is told once",
  (bench) => {
    const { reactor } = bench;
    const [output, input] = FileDescriptor.pipe();
    const failure = new Error("after the close");
    const probe = new Probe(output.fileno(), {
      onRead: () => {
        output.close();
        throw failure;
      },
    });
    reactor.addReader(probe);
    input.write(new Uint8Array(1));
    reactor.iterate();
    assertInstanceOf(probe.reason, ConnectionLost);
    assertNotStrictEquals(probe.reason, failure);
    assertEquals(bench.takeErrors(), [failure]);
    input.close();
  },
);

// The limit of descriptors

const LIMITS = {
  "a reactor that finds no descriptor left says EMFILE, and works later on":
    "no_descriptor_left.ts",
  "a limit below what is registered is told of, or does no harm":
    "limit_lowered.ts",
};

for (const [name, program] of Object.entries(LIMITS)) {
  for (const backend of BACKENDS) {
    Deno.test(`${name} [${backend}]`, async () => {
      // Coverage would be written to a file, for which there is no descriptor.
      const { DENO_COVERAGE_DIR: _, ...env } = Deno.env.toObject();
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--quiet",
          "--no-prompt",
          "--allow-ffi",
          new URL(`programs/${program}`, import.meta.url).href,
          backend,
        ],
        // To look for updates Deno needs a descriptor.
        env: { ...env, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
        clearEnv: true,
        signal: AbortSignal.timeout(3 * PATIENCE),
      }).output();
      const complaint = new TextDecoder().decode(stderr);
      assertEquals(code, 0, complaint);
      assertEquals(complaint, "");
      assertEquals(new TextDecoder().decode(stdout), "as it should be\n");
    });
  }
}

/** The events of `poll()` on one descriptor, on this thread. */
function poll(fd: number, ms: number): number {
  const table = new Int32Array([fd, POLL.IN]);
  libc().poll(table, 1, ms);
  return table[1]! >>> 16;
}

const SIGUSR1 = 10;

/** By number: <asm/unistd_64.h>, <asm-generic/unistd.h>. */
const TKILL = Deno.build.arch === "x86_64" ? 200 : 130;
