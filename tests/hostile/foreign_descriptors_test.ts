// Descriptors that are not the program's own, or that will never be what their
// watcher hopes for. What each kind is good for stands in real_things_test.ts,
// how descriptors end in readers_writers_test.ts, and what becomes of numbers
// that are closed or used again in never_silent_test.ts. Here nobody does what an
// event asks for: nothing is read, nothing is written, and no error is fetched.

import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { libcPath } from "../../ffi/libc.ts";
import {
  check,
  libc,
  linux,
  LINUX_ONLY,
  openPidfd,
  openPty,
  POSIX,
  reap,
  spawn,
} from "../../ffi/mod.ts";
import { Reactor } from "../../mod.ts";
import {
  isOpen,
  makeEventfd,
  makePipe,
  makeSocketpair,
  makeTimerfd,
  onLinux,
  PATIENCE,
  Probe,
  receive,
  send,
  setTimerfd,
  startConnecting,
  until,
  unusedPort,
} from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import {
  Bystander,
  type BystanderSetting,
  testBesideOthers,
  withoutRemarks,
} from "./bystander.ts";

const { close, getsockopt } = libc();

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
assertThrows(() => spawn("no-such-command", { childFDs: {} }));

/** glibc and musl alike. Its set of signals is 64 bits for the kernel. */
const signals = onLinux
  ? Deno.dlopen(libcPath(), {
    signalfd: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  }).symbols
  : undefined;

const CLOEXEC_NONBLOCK = LINUX_ONLY.CLOEXEC | LINUX_ONLY.NONBLOCK;

/** No number that Deno or a test has is higher. */
const HIGHEST = 512;

function openNumbers(): number[] {
  return Array.from({ length: HIGHEST }, (_, fd) => fd).filter(isOpen);
}

function open(path: string, flags: number): number {
  const name = new TextEncoder().encode(`${path}\0`);
  return check(
    libc().open(name, flags | POSIX.O_CLOEXEC | POSIX.O_NONBLOCK, 0),
    `Cannot open ${path}`,
  );
}

// Deno's own

/**
 * Runs a test on every backend with the numbers that were open before the reactor
 * opened any: Deno's epoll sets, eventfds, sockets, files.
 */
function testOnDenos(
  name: string,
  fn: (setting: BystanderSetting, denos: number[]) => Promise<void>,
): void {
  testOnBackends(name, async (setting) => {
    const denos = openNumbers();
    using _ = withoutRemarks(setting.errors);
    using bystander = new Bystander(setting.reactor);
    setting.reactor.interleave();
    await bystander.served();
    // Threads of Deno's come and go.
    await fn({ ...setting, bystander }, denos.filter(isOpen));
    await bystander.served();
  });
}

/** Everything of Deno's that could suffer: sockets, files, HTTP, timers. */
async function useDeno(): Promise<void> {
  const sent = new Uint8Array(200_000).fill(7);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  let received = 0;
  const serving = (async () => {
    using connection = await listener.accept();
    for await (const bytes of connection.readable) {
      assertEquals(bytes.every((byte) => byte === 7), true);
      received += bytes.length;
    }
  })();
  {
    using client = await Deno.connect({ hostname: "127.0.0.1", port });
    for (let at = 0; at < sent.length;) {
      at += await client.write(sent.subarray(at));
    }
  }
  await serving;
  assertEquals(received, sent.length);

  const path = await Deno.makeTempFile();
  await Deno.writeFile(path, sent);
  assertEquals((await Deno.readFile(path)).length, sent.length);
  await Deno.remove(path);

  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("answer"),
  );
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
  assertEquals(await response.text(), "answer");
}

testOnDenos(
  "every descriptor of Deno's can be watched, and Deno's I/O goes on meanwhile and afterwards",
  async ({ reactor, bystander }, denos) => {
    const before = new Set(openNumbers());
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const connecting = Deno.connect({
      hostname: "127.0.0.1",
      port: listener.addr.port,
    });
    using here = await listener.accept();
    using there = await connecting;
    using file = await Deno.open(import.meta.filename!);
    const opened = openNumbers().filter((fd) => !before.has(fd));
    assertGreater(opened.length, 3); // Three sockets and a file, at least.

    const probes = [...denos, ...opened]
      .map((fd) => new Probe(fd));
    for (const probe of probes) {
      reactor.addReader(probe);
      reactor.addWriter(probe);
    }
    // What is always ready is told of again and again, and nobody acts on it.
    await until(() => probes.some(({ writes }) => writes > 100));
    for (let i = 0; i < 3; i++) {
      await deadline(useDeno(), PATIENCE);
      await bystander.served();
    }
    // What arrives for Deno is still there for Deno.
    await there.write(new TextEncoder().encode("question"));
    const buffer = new Uint8Array(100);
    const length = await deadline(here.read(buffer), PATIENCE);
    assertEquals(
      new TextDecoder().decode(buffer.slice(0, length!)),
      "question",
    );
    assertGreater(await file.read(buffer), 0);

    for (const probe of probes) {
      reactor.removeReader(probe);
      reactor.removeWriter(probe);
      assertEquals(probe.reasons, []);
    }
    await deadline(useDeno(), PATIENCE);
  },
);

testOnDenos(
  "waits and watches for every descriptor of Deno's take nothing away from Deno",
  async ({ reactor }, denos) => {
    const stop = new AbortController();
    const waits: Promise<unknown>[] = [];
    const watches = denos.map((fd) => {
      for (const wait of ["readable", "writable"] as const) {
        waits.push(reactor[wait](fd, { signal: stop.signal }).catch(() => {}));
      }
      return reactor.watch(fd, ["readable", "writable", "priority"]);
    });
    const nexts = watches.map((watch) => watch.next());
    await deadline(useDeno(), PATIENCE);
    stop.abort();
    for (const watch of watches) watch.close();
    await deadline(Promise.all([...waits, ...nexts]), PATIENCE);
    await deadline(useDeno(), PATIENCE);
  },
);

testBesideOthers(
  "standard input, output and error can be written to by their writers meanwhile",
  async ({ reactor, bystander }) => {
    const probes = [0, 1, 2].filter(isOpen).map((fd) => new Probe(fd));
    for (const probe of probes) {
      reactor.addReader(probe);
      reactor.addWriter(probe);
    }
    await bystander.served();
    assertEquals(Deno.stderr.writeSync(new Uint8Array()), 0);
    for (const probe of probes) {
      reactor.removeReader(probe);
      reactor.removeWriter(probe);
    }
  },
);

// Kinds of things that nobody serves

/** A descriptor, what it is ready for all the time, and what else has to be closed. */
interface Thing {
  readonly fd: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly close?: () => void | Promise<void>;
}

/** One of each, as bad as it gets. */
const THINGS: Record<string, () => Thing | Promise<Thing>> = {
  "a directory": () => always(open("/", POSIX.O_RDONLY)),
  "a regular file": () => always(open(import.meta.filename!, POSIX.O_RDONLY)),
  "/dev/null": () => always(open("/dev/null", POSIX.O_RDWR)),
  "/dev/zero": () => always(open("/dev/zero", POSIX.O_RDWR)),
  "a pipe whose reader is gone": () => {
    const [output, input] = makePipe();
    close(output);
    // POLLERR: reading would say EBADF, writing EPIPE (pipe(7)).
    return { fd: input, readable: true, writable: true };
  },
  "a pipe whose writer is gone": () => {
    const [output, input] = makePipe();
    close(input);
    return { fd: output, readable: true, writable: true }; // POLLHUP.
  },
  "a connection that was refused": async () => {
    const fd = startConnecting(unusedPort());
    await using reactor = new Reactor();
    // A reader, because a wait would look at SO_ERROR, and take it away.
    const probe = new Probe(fd);
    reactor.addReader(probe);
    reactor.interleave();
    await until(() => probe.reads > 0);
    return { fd, readable: true, writable: true };
  },
  "a socket whose peer has reset it": () => {
    const [here, there] = makeSocketpair();
    send(here, "never read");
    close(there); // With data unread: ECONNRESET (unix(7)).
    return { fd: here, readable: true, writable: true };
  },
  "a terminal that has hung up": () => {
    const { master, path } = openPty();
    const slave = open(path, POSIX.O_RDWR | POSIX.O_NOCTTY);
    close(master);
    return { fd: slave, readable: true, writable: true };
  },
  "the master of a terminal that nobody has open any more": () => {
    const { master, path } = openPty();
    close(open(path, POSIX.O_RDWR | POSIX.O_NOCTTY));
    return { fd: master, readable: true, writable: true };
  },
};

/** What only Linux has. */
const LINUX_THINGS: typeof THINGS = {
  "an eventfd that nobody resets": () => always(makeEventfd(1)),
  "an eventfd that is full": () => {
    const fd = makeEventfd();
    // The greatest value it takes (eventfd(2)).
    libc().write(fd, new BigUint64Array([2n ** 64n - 2n]), 8);
    return { fd, readable: true, writable: false };
  },
  "a timerfd that has expired": async () => {
    const fd = makeTimerfd();
    setTimerfd(fd, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { fd, readable: true, writable: false };
  },
  "a signalfd": () => {
    const set = new BigUint64Array(16); // No signal at all.
    const fd = check(
      signals!.signalfd(-1, set, CLOEXEC_NONBLOCK),
      "Cannot make a signalfd",
    );
    return { fd, readable: false, writable: false };
  },
  "an inotify whose events nobody reads": async () => {
    const directory = await Deno.makeTempDir();
    const fd = check(
      linux().inotify_init1(CLOEXEC_NONBLOCK),
      "Cannot make an inotify",
    );
    const name = new TextEncoder().encode(`${directory}\0`);
    check(linux().inotify_add_watch(fd, name, LINUX_ONLY.IN_CREATE), "Cannot");
    await Deno.writeTextFile(`${directory}/file`, "");
    const removing = () => Deno.remove(directory, { recursive: true });
    return { fd, readable: true, writable: false, close: removing };
  },
  "a pidfd of a process that nobody has reaped": () => {
    const { pid } = spawn("true", { childFDs: {} });
    return {
      fd: openPidfd(pid),
      readable: true,
      writable: false,
      close: async () => await until(() => reap(pid) !== undefined),
    };
  },
  "an epoll set of somebody else's, with something ready": () => {
    const set = check(
      linux().epoll_create1(LINUX_ONLY.CLOEXEC),
      "Cannot make an epoll set",
    );
    const event = makeEventfd(1);
    const entry = new Int32Array(4).fill(1); // EPOLLIN, and data of its own.
    const { EPOLL_CTL_ADD } = LINUX_ONLY;
    check(linux().epoll_ctl(set, EPOLL_CTL_ADD, event, entry), "Cannot add");
    return {
      fd: set,
      readable: true,
      writable: false,
      close: () => void close(event),
    };
  },
};

function always(fd: number): Thing {
  return { fd, readable: true, writable: true };
}

if (!onLinux) {
  console.log(`Left out: ${Object.keys(LINUX_THINGS)}, which take Linux`);
}

for (
  const [name, make] of Object.entries(
    onLinux ? { ...THINGS, ...LINUX_THINGS } : THINGS,
  )
) {
  testBesideOthers(
    `${name}, watched by somebody who does nothing, holds nobody up`,
    async ({ reactor, bystander, errors }) => {
      const thing = await make();
      const { fd, readable, writable } = thing;
      const probe = new Probe(fd);
      reactor.addReader(probe);
      reactor.addWriter(probe);
      if (readable) await until(() => probe.reads > 5);
      for (let i = 0; i < 5; i++) await bystander.served();
      assertEquals(probe.reads > 5, readable, `${probe.reads} reads`);
      assertEquals(probe.writes > 5, writable, `${probe.writes} writes`);

      // A watch nobody asks, and waits that are answered or given up.
      using _watch = reactor.watch(fd, ["readable", "writable", "priority"]);
      const stop = new AbortController();
      const { signal } = stop;
      const waits = [
        reactor.readable(fd, { signal }),
        reactor.writable(fd, { signal }),
      ];
      if (readable) assert((await deadline(waits[0]!, PATIENCE)).readable);
      if (writable) await deadline(waits[1]!, PATIENCE);
      await bystander.served();
      stop.abort();
      await Promise.allSettled(waits);

      reactor.removeReader(probe);
      reactor.removeWriter(probe);
      const { reads, writes } = probe;
      await bystander.served();
      const { turns } = reactor.inspect().counters;
      await quiet(reactor);
      assertLess(reactor.inspect().counters.turns - turns, 10);
      assertEquals({ reads, writes }, {
        reads: probe.reads,
        writes: probe.writes,
      });
      assertEquals(probe.reasons, []);
      assertEquals(errors.length, 0);
      await thing.close?.();
      close(fd);
    },
  );
}

/** Thirty milliseconds of the reactor's own time. */
async function quiet(reactor: Reactor): Promise<void> {
  let over = false;
  reactor.callLater(30, () => over = true);
  await until(() => over);
}

testBesideOthers(
  "readers and writers leave a pending error where it is, and a wait takes it",
  async ({ reactor, bystander }) => {
    const fd = startConnecting(unusedPort());
    const probe = new Probe(fd);
    reactor.addReader(probe);
    reactor.addWriter(probe);
    await until(() => probe.reads > 10 && probe.writes > 10);
    await bystander.served();
    const { error } = await reactor.writable(fd);
    assertEquals((error as { code?: string }).code, "ECONNREFUSED");
    const value = new Int32Array([-1]);
    const length = new Uint32Array([4]);
    getsockopt(fd, POSIX.SOL_SOCKET, POSIX.SO_ERROR, value, length);
    assertEquals(value[0], 0);
    reactor.removeReader(probe);
    reactor.removeWriter(probe);
    close(fd);
  },
);

testBesideOthers(
  "a terminal that hangs up while it is watched is told to all who watch it",
  async ({ reactor, bystander }) => {
    const { master, path } = openPty();
    const slave = open(path, POSIX.O_RDWR | POSIX.O_NOCTTY);
    const probe = new Probe(slave, {
      onRead: () => receive(slave) === "" ? new Error("the end") : undefined,
    });
    reactor.addReader(probe);
    const waiting = reactor.readable(slave);
    using watch = reactor.watch(slave, "readable");
    const next = watch.next();
    await bystander.served();
    assertEquals([probe.reads, probe.reasons.length], [0, 0]);
    close(master);
    assert((await deadline(waiting, PATIENCE)).hangup);
    assert((await deadline(next, PATIENCE)).value!.hangup);
    await until(() => probe.reasons.length === 1);
    assertEquals(probe.reason!.message, "the end");
    await bystander.served();
    watch.close();
    close(slave);
  },
);

testBesideOthers(
  "a descriptor that is no more than a path is refused, or lost, with EBADF",
  async ({ reactor, bystander }) => {
    if (!onLinux) return console.log("Left out: O_PATH takes Linux");
    const O_PATH = 0o10000000; // open(2): poll() and epoll don't take it.
    const fd = open("/", O_PATH);
    const probe = new Probe(fd);
    let told: unknown;
    try {
      reactor.addReader(probe);
      await until(() => probe.reasons.length > 0);
      told = probe.reason;
    } catch (error) {
      told = error;
    }
    assertInstanceOf(told, Deno.errors.BadResource);
    assertEquals((told as { code?: string }).code, "EBADF");
    assertEquals(
      ((await assertRejects(() => reactor.writable(fd))) as { code?: string })
        .code,
      "EBADF",
    );
    await bystander.served();
    assertEquals(probe.reads, 0);
    close(fd);
  },
);

// Sets within sets

testBesideOthers(
  "a reactor refuses to wait for itself, alone or through others, and goes on",
  async ({ reactor, bystander, backend }) => {
    const { backendFd } = reactor;
    if (backendFd === undefined) {
      console.log(`Left out: ${backend} has no descriptor of its own`);
      assertEquals(backend, "poll");
      return;
    }
    await using other = new Reactor({ backend: "epoll" });
    const set = linux().epoll_create1(LINUX_ONLY.CLOEXEC);
    const entry = new Int32Array(4).fill(1);
    const { EPOLL_CTL_ADD } = LINUX_ONLY;
    check(linux().epoll_ctl(set, EPOLL_CTL_ADD, backendFd, entry), "Cannot");
    const mine = new Probe(backendFd);
    other.addReader(mine);
    for (const fd of [backendFd, set, other.backendFd!]) {
      const probe = new Probe(fd);
      for (
        const attempt of [
          () => reactor.addReader(probe),
          () => reactor.addWriter(probe),
          () => reactor.watch(fd, "readable"),
        ]
      ) assertLoop(assertThrows(attempt), fd);
      assertLoop(await assertRejects(() => reactor.readable(fd)), fd);
      assertLoop(await assertRejects(() => reactor.writable(fd)), fd);
      assertEquals(probe.reasons, []);
    }
    await bystander.served();
    assertEquals(reactor.backendFd, backendFd);
    // The other one is told that there is something to do, and can do it.
    mine.handlers.onRead = () => void reactor.iterate();
    other.interleave();
    await bystander.served();
    close(set);
  },
);

/** epoll_ctl(2): ELOOP, or EINVAL when a set is added to itself. */
function assertLoop(error: unknown, fd: number): void {
  assertInstanceOf(error, Error);
  const { code, message } = error as Error & { code?: string };
  assert(code === "ELOOP" || code === "EINVAL", `${error}`);
  assert(message.includes(`descriptor ${fd}`), message);
}

testBesideOthers(
  "reactors within reactors are served as deep as the kernel nests them, and refused below",
  async ({ bystander }) => {
    if (!onLinux) return console.log("Left out: epoll sets take Linux");
    await using innermost = new Reactor({ backend: "epoll" });
    const chain = [innermost];
    let refused: unknown;
    while (refused === undefined && chain.length < 20) {
      const outer = new Reactor({ backend: "epoll" });
      const inner = chain.at(-1)!;
      try {
        outer.addReader(
          new Probe(inner.backendFd!, { onRead: () => void inner.iterate() }),
        );
        chain.push(outer);
      } catch (error) {
        refused = error;
        await outer.close();
      }
    }
    // EP_MAX_NESTS (fs/eventpoll.c) is 4, and each reactor is two sets: the
    // kernel refuses to put the second around the first, or one into the next.
    assertEquals((refused as { code?: string }).code, "ELOOP");
    assertGreater(chain.length, 1);
    const outermost = chain.at(-1)!;
    let called = false;
    innermost.callLater(1, () => called = true);
    for (const one of chain) one.iterate(); // From here on it is a matter of events.
    outermost.interleave();
    await until(() => called);
    await bystander.served();
    for (const one of chain) await one.close();
  },
);

// Numbers

testBesideOthers(
  "numbers beyond every table are refused one by one, and take no memory",
  async ({ reactor, bystander }) => {
    const { length } = reactor.inspect().descriptors;
    for (const fd of [2 ** 53, 2 ** 53 + 2, 2 ** 32, 2 ** 31, 1e308, 5e-324]) {
      const error = assertThrows(() => reactor.watch(fd, "readable"));
      assertInstanceOf(error, RangeError);
      assertInstanceOf(
        await assertRejects(() => reactor.readable(fd)),
        RangeError,
      );
    }
    for (let i = 0; i < 1000; i++) {
      const fd = 2 ** 31 - 1 - i;
      const error = assertThrows(() => reactor.addReader(new Probe(fd)));
      assertInstanceOf(error, Deno.errors.BadResource);
    }
    await bystander.served();
    assertEquals(reactor.inspect().descriptors.length, length);
  },
);
