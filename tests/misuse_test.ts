/**
 * What the reactor says of programs that misuse it, and how it keeps the others
 * from harm: descriptors that nobody uses, callbacks that hold the host, wakers
 * whose host does not run what they take.
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import { deadline } from "@std/async";
import { LINUX_ONLY, POSIX } from "../ffi/constants.ts";
import { closeDescriptor } from "../ffi/descriptor.ts";
import { libc, linux } from "../ffi/libc.ts";
import {
  CallbackTooSlow,
  DescriptorSpinning,
  FileDescriptor,
  WorkItemOverdue,
} from "../mod.ts";
import { makeReactor, Reactor } from "../src/reactor.ts";
import {
  accept,
  BACKENDS,
  makeListener,
  PATIENCE,
  send,
  startConnecting,
} from "./descriptors.ts";
import { Pipe } from "./pipe.ts";

libc(); // Opened once and for all: no test's leak.

const ignore = Deno.build.os !== "linux";

/** What onError has got, and a promise of the first. */
function collector() {
  const told: { error: Error; where: string }[] = [];
  const { promise: first, resolve } = Promise.withResolvers<void>();
  const onError = (error: unknown, where: string) => {
    told.push({ error: error as Error, where });
    resolve();
  };
  return { told, first, onError };
}

/** Serves a timer and a pipe for a while, and counts. */
async function servesOthers(reactor: Reactor): Promise<void> {
  using pipe = new Pipe();
  let left = 20;
  await deadline(
    new Promise<void>((resolve) => {
      const reader = pipe.reader(() => {
        if (--left > 0) reactor.callLater(1, () => pipe.fill());
        else resolve();
      });
      reactor.addReader(reader);
      pipe.fill();
    }),
    PATIENCE,
  );
}

/** How many callbacks the reactor runs in so many milliseconds. */
async function eventsWithin(reactor: Reactor, ms: number): Promise<number> {
  const before = reactor.inspect().counters.events;
  await new Promise((resolve) => setTimeout(resolve, ms));
  return reactor.inspect().counters.events - before;
}

/** Something that is ready, and that its watcher leaves as it is. */
interface Spin {
  /** Makes it, and watches it. */
  watch(reactor: Reactor): { fd: number; close(): void };
  /** What the message has of the owner. */
  readonly owner: string;
  /** Whether there is no doubt that nobody uses it. */
  readonly isCertain: boolean;
}

function callbacks(fd: FileDescriptor | number, label?: string) {
  const fileno = () => typeof fd === "number" ? fd : fd.fileno();
  return {
    fileno,
    label,
    owned: true,
    doRead() {},
    doWrite() {},
    connectionLost() {},
  };
}

const SPINS: Record<string, Spin> = {
  "a reader that does not read": {
    owner: 'reader "gps"',
    isCertain: false,
    watch(reactor) {
      const [output, input] = FileDescriptor.pipe();
      input.write(new Uint8Array(10));
      reactor.addReader(callbacks(output, "gps"));
      return {
        fd: output.fileno(),
        close: () => [output, input].forEach((end) => end.close()),
      };
    },
  },
  "a reader that stays after the end": {
    owner: "reader without a label",
    isCertain: true,
    watch(reactor) {
      const [output, input] = FileDescriptor.pipe();
      input.close();
      reactor.addReader(callbacks(output));
      return { fd: output.fileno(), close: () => output.close() };
    },
  },
  "a writer that has nothing to write": {
    owner: 'writer "idle"',
    isCertain: false,
    watch(reactor) {
      const [here, there] = FileDescriptor.socketpair();
      reactor.addWriter(callbacks(here, "idle"));
      return {
        fd: here.fileno(),
        close: () => [here, there].forEach((end) => end.close()),
      };
    },
  },
  "a writer whose other side is gone": {
    owner: "writer without a label",
    isCertain: true,
    watch(reactor) {
      const [output, input] = FileDescriptor.pipe();
      output.close();
      reactor.addWriter(callbacks(input));
      return { fd: input.fileno(), close: () => input.close() };
    },
  },
  "a watch whose consumer does not look": {
    owner: 'watch "keys"',
    isCertain: false,
    watch(reactor) {
      const [output, input] = FileDescriptor.pipe();
      input.write(new Uint8Array(10));
      const watch = reactor.watch(output, "readable", { label: "keys" });
      void (async () => {
        for await (const _ of watch);
      })();
      return {
        fd: output.fileno(),
        close() {
          watch.close();
          [output, input].forEach((end) => end.close());
        },
      };
    },
  },
  "an eventfd that nobody reads": {
    owner: "reader without a label",
    isCertain: false,
    watch(reactor) {
      const fd = linux().eventfd(1, LINUX_ONLY.NONBLOCK | LINUX_ONLY.CLOEXEC);
      const reader = callbacks(fd);
      reactor.addReader(reader);
      return {
        fd,
        close() {
          reactor.removeReader(reader);
          closeDescriptor(fd);
        },
      };
    },
  },
};

for (const [name, { watch, owner, isCertain }] of Object.entries(SPINS)) {
  for (const backend of BACKENDS) {
    Deno.test({
      name:
        `${name} is reported once, with its owner, and others are served [${backend}]`,
      ignore,
      fn: async () => {
        const { told, first, onError } = collector();
        await using reactor = new Reactor({ backend, onError });
        reactor.interleave();
        const { fd, close } = watch(reactor);
        await deadline(first, PATIENCE);
        await servesOthers(reactor);
        if (isCertain) {
          // A hundred times a second, instead of a hundred thousand.
          assertLess(await eventsWithin(reactor, 100), 100);
        }
        assertEquals(told.length, 1);
        const [{ error, where }] = told as [{ error: Error; where: string }];
        assertInstanceOf(error, DescriptorSpinning);
        assertEquals(
          error.message,
          `Ready all the time, and ${
            isCertain
              ? "nobody uses it"
              : "as much waits after each callback as before"
          }: descriptor ${fd} (${owner})`,
        );
        assertEquals(where, `descriptor ${fd}`);
        assertEquals(reactor.inspect().counters.spins, 1);
        close();
      },
    });
  }
}

for (const backend of BACKENDS) {
  Deno.test({
    name:
      `a spin is told with the stack of its owner, where stacks are captured [${backend}]`,
    ignore,
    fn: async () => {
      const { told, first, onError } = collector();
      await using reactor = new Reactor({
        backend,
        onError,
        captureStacks: true,
      });
      reactor.interleave();
      const { close } = SPINS["a reader that does not read"]!.watch(reactor);
      await deadline(first, PATIENCE);
      assertStringIncludes(told[0]!.error.message, "misuse_test.ts");
      close();
    },
  });

  Deno.test({
    name:
      `a descriptor that spins is served as before when it is used again [${backend}]`,
    ignore,
    fn: async () => {
      const { told, first, onError } = collector();
      await using reactor = new Reactor({ backend, onError });
      reactor.interleave();
      const listener = makeListener();
      const here = startConnecting(listener.port);
      await reactor.readable(listener.fd);
      const there = accept(listener.fd);
      const enough = Promise.withResolvers<void>();
      let writes = false;
      let events = 0;
      const writer = {
        ...callbacks(here),
        doWrite() {
          if (!writes) return;
          send(here, "x");
          if (++events === 5000) enough.resolve();
        },
      };
      reactor.addWriter(writer);
      await deadline(first, PATIENCE);
      assertLess(await eventsWithin(reactor, 100), 100);
      writes = true;
      await deadline(enough.promise, PATIENCE);
      reactor.removeWriter(writer);
      for (const fd of [here, there, listener.fd]) closeDescriptor(fd);
      assertEquals(told.length, 1);
    },
  });
}

/** Loads that look like a spin at first sight. */
const LOADS: Record<string, (reactor: Reactor) => () => void> = {
  "a byte to and fro"(reactor) {
    const ends = FileDescriptor.socketpair();
    const byte = new Uint8Array(1);
    for (const end of ends) {
      reactor.addReader({
        ...callbacks(end),
        doRead() {
          end.read(byte);
          end.write(byte);
        },
      });
    }
    ends[0].write(byte);
    return () => ends.forEach((end) => end.close());
  },
  "a pipe that is filled as fast as it is read"(reactor) {
    const [output, input] = FileDescriptor.pipe();
    const bytes = new Uint8Array(100);
    reactor.addReader({
      ...callbacks(output),
      doRead: () => void output.read(bytes),
    });
    reactor.addWriter({
      ...callbacks(input),
      doWrite: () => void input.write(bytes),
    });
    return () => [output, input].forEach((end) => end.close());
  },
  "datagrams that are all of one length"(reactor) {
    const fds = new Int32Array(2);
    const { AF_UNIX, SOCK_DGRAM, O_NONBLOCK, O_CLOEXEC } = POSIX;
    const type = SOCK_DGRAM | O_NONBLOCK | O_CLOEXEC;
    assertEquals(libc().socketpair(AF_UNIX, type, 0, fds), 0);
    const [here, there] = [...fds].map((fd) => FileDescriptor.adopt(fd)) as [
      FileDescriptor,
      FileDescriptor,
    ];
    const bytes = new Uint8Array(100);
    for (let i = 0; i < 10; i++) there.write(bytes);
    reactor.addReader({
      ...callbacks(here),
      doRead() {
        here.read(bytes);
        there.write(bytes);
      },
    });
    return () => [here, there].forEach((end) => end.close());
  },
};

for (const [name, load] of Object.entries(LOADS)) {
  for (const backend of BACKENDS) {
    Deno.test({
      name: `${name} is no spin [${backend}]`,
      ignore,
      fn: async () => {
        const { told, onError } = collector();
        await using reactor = new Reactor({ backend, onError });
        reactor.interleave();
        const end = load(reactor);
        const { promise, resolve } = Promise.withResolvers<void>();
        reactor.callLater(0, function look() {
          // Many times what it takes to call something a spin.
          if (reactor.inspect().counters.events > 50_000) resolve();
          else reactor.callLater(5, look);
        });
        await deadline(promise, PATIENCE);
        end();
        assertEquals(told, []);
      },
    });
  }
}

// Callbacks that hold the host

const HELD = 120;

function hold(): void {
  for (const end = performance.now() + HELD; performance.now() < end;);
}

function running(tooLong?: number) {
  const { told, first, onError } = collector();
  const reactor = makeReactor({ onError }, { tooLong });
  reactor.interleave();
  return { told, first, reactor };
}

Deno.test("a callback that holds the host is reported once, with its owner", async () => {
  const { told, first, reactor } = running(HELD - 20);
  await using _ = reactor;
  using pipe = new Pipe();
  let times = 0;
  const reader = {
    ...pipe.reader(() => {
      hold();
      if (++times < 3) pipe.fill();
      else reactor.callLater(1, () => reactor.stop());
    }),
    label: "decoder",
  };
  reactor.addReader(reader);
  pipe.fill();
  await deadline(first, PATIENCE);
  await deadline(reactor.finished, PATIENCE);
  assertEquals(told.length, 1);
  const { error, where } = told[0]!;
  assertInstanceOf(error, CallbackTooSlow);
  const fd = pipe.output.fileno();
  assertStringIncludes(error.message, `descriptor ${fd} (reader "decoder")`);
  assertEquals(where, `descriptor ${fd}`);
  assertEquals(reactor.inspect().counters.slowRounds, times);
});

Deno.test("a callback that holds the host among others is named the next time", async () => {
  const { told, reactor } = running(HELD - 20);
  await using _ = reactor;
  let times = 0;
  function slow() {
    hold();
    if (++times < 3) burst();
    else reactor.callLater(1, () => reactor.stop());
  }
  function burst() {
    for (let i = 0; i < 5; i++) reactor.callLater(1, () => {});
    reactor.callLater(1, slow);
    for (let i = 0; i < 5; i++) reactor.callLater(1, () => {});
  }
  burst();
  await deadline(reactor.finished, PATIENCE);
  const messages = told.map(({ error }) => error.message);
  assertEquals(messages.length, 2, messages.join("\n"));
  assertStringIncludes(messages[0]!, "callbacks of one round held the host");
  assertStringIncludes(messages[1]!, "slow");
});

Deno.test("a callback may take a tenth of a second", async () => {
  const { told, reactor } = running();
  await using _ = reactor;
  reactor.callLater(0, hold);
  reactor.callLater(1, () => reactor.stop());
  await deadline(reactor.finished, PATIENCE);
  assertEquals(told, []);
  assertEquals(reactor.inspect().counters.slowRounds, 0);
});

// Hosts that do not run their work items

Deno.test("a waker that never runs its work item is reported once", async () => {
  const { told, first, onError } = collector();
  await using reactor = makeReactor({ onError }, { overdue: 20 });
  let taken = 0;
  const { promise: again, resolve } = Promise.withResolvers<void>();
  let work = () => {};
  reactor.interleave((item) => {
    work = item;
    if (++taken === 2) resolve();
  });
  reactor.callFromThread(() => {});
  await deadline(first, PATIENCE);
  const { error, where } = told[0]!;
  assertInstanceOf(error, WorkItemOverdue);
  assertEquals(where, "waker");
  assertEquals(reactor.inspect().counters.overdue, 1);
  work(); // Late, but it works.
  reactor.callFromThread(() => {});
  await deadline(again, PATIENCE);
  await new Promise((resolve) => setTimeout(resolve, 40));
  assertEquals(told.length, 1);
  assertEquals(reactor.inspect().counters.overdue, 2);
  assert(taken === 2);
});

Deno.test("a waker that runs its work items is not reported", async () => {
  const { told, onError } = collector();
  await using reactor = makeReactor({ onError }, { overdue: 20 });
  reactor.interleave((work) => setTimeout(work, 1));
  for (let i = 0; i < 30; i++) {
    await deadline(
      new Promise<void>((resolve) => reactor.callLater(1, resolve)),
      PATIENCE,
    );
  }
  assertEquals(told, []);
});
