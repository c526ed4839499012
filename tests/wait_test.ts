// readable() and writable(): what they answer, and every way in which they end.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { libc, POSIX } from "../ffi/mod.ts";
import {
  FileDescriptor,
  Reactor,
  ReactorNotRestartable,
  ReactorNotRunning,
  type Readiness,
} from "../mod.ts";
import {
  accept,
  type Bench,
  CLOSED_FD,
  empty,
  fill,
  macrotask,
  makeListener,
  onLinux,
  Probe,
  receive,
  send,
  startConnecting,
  testBackends,
  until,
  unusedPort,
} from "./descriptors.ts";

const { BadResource, BrokenPipe, ConnectionRefused, ConnectionReset } =
  Deno.errors;

/** What a wait answers, less what is false and the descriptor. */
function words({ fd: _, error: __, ...flags }: Readiness): string[] {
  return Object.entries(flags).filter(([, on]) => on).map(([word]) => word);
}

function codeOf(error: unknown): string | undefined {
  assertInstanceOf(error, Error);
  return (error as Error & { code?: string }).code;
}

/** Follows a promise without waiting for it. */
function follow(promise: Promise<unknown>): { settled: boolean } {
  const state = { settled: false };
  const settle = () => state.settled = true;
  promise.then(settle, settle);
  return state;
}

// What it answers

testBackends("readable() answers when there is data", async (bench) => {
  const [output, input] = bench.pipe();
  const waiting = bench.reactor.readable(output);
  const state = follow(waiting);
  await macrotask();
  assertFalse(state.settled);
  send(input, "word");
  assertEquals(await waiting, {
    fd: output,
    readable: true,
    writable: false,
    priority: false,
    hangup: false,
  });
});

testBackends(
  "readable() answers at once when there is data already",
  async (bench) => {
    const [output, input] = bench.pipe();
    send(input, "word");
    for (let i = 0; i < 3; i++) {
      assertEquals(words(await bench.reactor.readable(output)), ["readable"]);
    }
  },
);

testBackends("writable() answers when there is room", async (bench) => {
  const [output, input] = bench.pipe();
  assertEquals(await bench.reactor.writable(input), {
    fd: input,
    readable: false,
    writable: true,
    priority: false,
    hangup: false,
  });
  fill(input);
  const waiting = bench.reactor.writable(input);
  const state = follow(waiting);
  await macrotask();
  assertFalse(state.settled);
  empty(output);
  assertEquals(words(await waiting), ["writable"]);
});

testBackends(
  "readable() tells nothing of room, writable() nothing of data",
  async (bench) => {
    const [here, there] = bench.socketpair();
    send(there, "word");
    const [read, write] = await Promise.all([
      bench.reactor.readable(here),
      bench.reactor.writable(here),
    ]);
    assertEquals(words(read), ["readable"]);
    assertEquals(words(write), ["writable"]);
  },
);

testBackends("readable() takes anything with a fileno()", async (bench) => {
  const [output, input] = bench.pipe();
  send(input, "word");
  const { fd } = await bench.reactor.readable({ fileno: () => output });
  assertEquals(fd, output);
});

testBackends(
  "readable() answers a hang-up, which is readable as well",
  async (bench) => {
    const [output, input] = bench.pipe();
    const waiting = bench.reactor.readable(output);
    bench.closeFd(input);
    const readiness = await waiting;
    assertEquals(words(readiness), ["readable", "hangup"]);
    assertFalse("error" in readiness);
    assertEquals(receive(output), "");
  },
);

testBackends(
  "readable() answers data and a hang-up together",
  async (bench) => {
    const [output, input] = bench.pipe();
    send(input, "word");
    bench.closeFd(input);
    const readiness = await bench.reactor.readable(output);
    assertEquals(words(readiness), ["readable", "hangup"]);
    assertEquals(receive(output), "word");
  },
);

testBackends(
  "readable() answers without a hang-up when the other side has only ended its half",
  async (bench) => {
    const [here, there] = bench.socketpair();
    const waiting = bench.reactor.readable(here);
    libc().shutdown(there, 1);
    assertEquals(words(await waiting), ["readable"]);
    assertEquals(receive(here), "");
  },
);

testBackends(
  "writable() answers a hang-up of the other side",
  async (bench) => {
    const [here, there] = bench.socketpair();
    bench.closeFd(there);
    const readiness = await bench.reactor.writable(here);
    assert(readiness.hangup);
    assertFalse(readiness.readable);
  },
);

testBackends(
  "writable() has EPIPE as error on a pipe that nobody reads any more",
  async (bench) => {
    const [output, input] = bench.pipe();
    fill(input);
    const waiting = bench.reactor.writable(input);
    bench.closeFd(output);
    const { error } = await waiting;
    assertInstanceOf(error, BrokenPipe);
    assertEquals(codeOf(error), "EPIPE");
    assertStringIncludes(error.message, `descriptor ${input}`);
  },
  { linuxOnly: true },
);

testBackends("writable() answers a connection that is made", async (bench) => {
  const { fd: listener, port } = makeListener();
  bench.adopt(listener);
  const client = bench.adopt(startConnecting(port));
  const readiness = await bench.reactor.writable(client);
  assertEquals(words(readiness), ["writable"]);
  assertFalse("error" in readiness);
});

testBackends(
  "writable() has SO_ERROR as error of a connection that was refused",
  async (bench) => {
    const client = bench.adopt(startConnecting(unusedPort()));
    const { error, hangup } = await bench.reactor.writable(client);
    assertInstanceOf(error, ConnectionRefused);
    assertEquals(codeOf(error), "ECONNREFUSED");
    assertEquals(
      (error as Error & { errno?: number }).errno,
      onLinux ? 111 : 61,
    );
    assert(hangup);
  },
);

testBackends(
  "readable() has SO_ERROR as error of a connection that was refused",
  async (bench) => {
    const client = bench.adopt(startConnecting(unusedPort()));
    const { error, readable, hangup } = await bench.reactor.readable(client);
    assertInstanceOf(error, ConnectionRefused);
    assertEquals([readable, hangup], [true, true]);
  },
);

testBackends(
  "readable() has SO_ERROR as error of a connection that was reset",
  async (bench) => {
    const [client, server] = await connect(bench);
    const waiting = bench.reactor.readable(client);
    reset(bench, server);
    const { error, readable } = await waiting;
    assertInstanceOf(error, ConnectionReset);
    assertEquals(codeOf(error), "ECONNRESET");
    assert(readable);
  },
);

testBackends(
  "readable() and writable() at once both have the error",
  async (bench) => {
    const client = bench.adopt(startConnecting(unusedPort()));
    const answers = await Promise.all([
      bench.reactor.readable(client),
      bench.reactor.writable(client),
    ]);
    for (const { error } of answers) assertInstanceOf(error, ConnectionRefused);
  },
);

// Who else is there

testBackends(
  "several waits for one descriptor are all answered",
  async (bench) => {
    const [output, input] = bench.pipe();
    const waits = Array.from(
      { length: 100 },
      () => bench.reactor.readable(output),
    );
    send(input, "word");
    for (const { readable } of await Promise.all(waits)) assert(readable);
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);

testBackends("a wait and a reader share a descriptor", async (bench) => {
  const { reactor } = bench;
  const [output, input] = bench.pipe();
  const reader = new Probe(output, { onRead: () => void receive(output) });
  reactor.addReader(reader);
  const waiting = reactor.readable(output);
  send(input, "word");
  assert((await waiting).readable);
  assertEquals(reader.reads, 1);
  send(input, "word");
  await until(() => reader.reads === 2);
});

testBackends(
  "a wait for data and one for room end each by its own",
  async (bench) => {
    const { reactor } = bench;
    const [here, there] = bench.socketpair();
    const reading = reactor.readable(here);
    const state = follow(reading);
    await reactor.writable(here);
    assertFalse(state.settled);
    assertEquals(reactor.inspect().descriptors[0]!.interest, ["readable"]);
    send(there, "word");
    assertEquals(words(await reading), ["readable"]);
  },
);

testBackends(
  "a wait that begins in a dispatch is not answered with what was found before (contract 112)",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    let waiting: Promise<Readiness> | undefined;
    const reader = new Probe(output, {
      onRead: () => {
        receive(output);
        // In this order the descriptor stays registered throughout.
        waiting = reactor.readable(output);
        reactor.removeReader(reader);
      },
    });
    reactor.addReader(reader);
    reactor.interleave();
    send(input, "word");
    await until(() => waiting !== undefined);
    const state = follow(waiting!);
    let round = false;
    reactor.callLater(1, () => round = true);
    await until(() => round);
    assertFalse(state.settled);
    send(input, "word");
    await waiting;
  },
);

testBackends("two reactors wait for one descriptor", async (bench) => {
  await using other = new Reactor({ backend: bench.backend });
  const [output, input] = bench.pipe();
  const waits = [bench.reactor.readable(output), other.readable(output)];
  send(input, "word");
  for (const { readable } of await Promise.all(waits)) assert(readable);
});

testBackends(
  "readable() starts the reactor on Deno's loop, and run() takes over",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    assertFalse(reactor.running);
    const waiting = reactor.readable(output);
    assert(reactor.running);
    assertEquals(reactor.inspect().host, "deno");
    const running = reactor.run({ signals: false });
    send(input, "word");
    await waiting;
    reactor.stop();
    await running;
  },
);

testBackends(
  "readable() puts a reactor that was driven by iterate() on Deno's loop",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    reactor.iterate();
    const waiting = reactor.readable(output);
    send(input, "word");
    assert((await waiting).readable);
  },
);

// Options

testBackends(
  "readable() with a signal that was aborted before rejects with its reason and registers nothing",
  async (bench) => {
    const [output, input] = bench.pipe();
    send(input, "word");
    const reason = new Error("enough");
    assertStrictEquals(
      await assertRejects(() =>
        bench.reactor.readable(output, { signal: AbortSignal.abort(reason) })
      ),
      reason,
    );
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);

testBackends(
  "readable() rejects with the reason when it is aborted, whatever that is",
  async (bench) => {
    const [output, input] = bench.pipe();
    for (const reason of [new Error("enough"), "enough", null]) {
      const controller = new AbortController();
      const waiting = bench.reactor.readable(output, {
        signal: controller.signal,
      });
      controller.abort(reason);
      const seen = await waiting.then(() => "answered", (error) => [error]);
      assertEquals(seen, [reason]);
    }
    assertEquals(bench.reactor.inspect().descriptors, []);
    // Others may wait there.
    const next = bench.reactor.readable(output);
    send(input, "word");
    await next;
  },
);

testBackends(
  "readable() that is aborted leaves other waits alone",
  async (bench) => {
    const [output, input] = bench.pipe();
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = bench.reactor.readable(output, { signal });
    const other = bench.reactor.readable(output);
    controller.abort();
    await assertRejects(() => aborted, DOMException);
    send(input, "word");
    assert((await other).readable);
  },
);

testBackends(
  "readable() that is aborted when it is ready already rejects",
  async (bench) => {
    const [output, input] = bench.pipe();
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = bench.reactor.readable(output, { signal });
    send(input, "word");
    controller.abort();
    await assertRejects(() => waiting, DOMException);
  },
);

testBackends(
  "readable() that is aborted in the dispatch that would have answered rejects",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const controller = new AbortController();
    const reader = new Probe(output, {
      onRead: () => {
        receive(output);
        controller.abort();
      },
    });
    reactor.addReader(reader);
    const waiting = reactor.readable(output, { signal: controller.signal });
    send(input, "word");
    await assertRejects(() => waiting, DOMException);
    assertEquals(reader.reads, 1);
  },
);

testBackends("an abort after the answer changes nothing", async (bench) => {
  const [output, input] = bench.pipe();
  const controller = new AbortController();
  const { signal } = controller;
  const waiting = bench.reactor.readable(output, { signal });
  send(input, "word");
  assert((await waiting).readable);
  const another = bench.reactor.readable(output);
  controller.abort();
  assert((await waiting).readable);
  assert((await another).readable);
});

testBackends("inspect() shows who waits, with a label and a stack", (bench) => {
  const { reactor } = bench;
  const [here] = bench.socketpair();
  fill(here);
  const { signal } = new AbortController();
  const waits = [
    reactor.readable(here, { label: "mine", signal }),
    reactor.writable(here),
  ];
  for (const wait of waits) wait.catch(() => {});
  const [report] = reactor.inspect().descriptors;
  assertEquals(report!.fd, here);
  assertEquals(report!.interest, ["readable", "writable"]);
  assertEquals(
    report!.watchers.map(({ kind, label }) => [kind, label]),
    [["wait", "mine"], ["wait", undefined]],
  );
  for (const { stack } of report!.watchers) {
    assertStringIncludes(stack!, "wait_test.ts");
  }
}, { reactor: { captureStacks: true } });

testBackends(
  "a wait keeps the process alive unless it is not persistent",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    function refs(): number {
      return reactor.inspect().keepsAlive.descriptors;
    }
    const weak = reactor.readable(output, { persistent: false });
    assertEquals(refs(), 0);
    const strong = reactor.readable(output, { persistent: true });
    const byDefault = reactor.readable(output);
    assertEquals(refs(), 2);
    send(input, "word");
    await Promise.all([weak, strong, byDefault]);
    assertEquals(refs(), 0);
  },
);

// How it fails

testBackends(
  "readable() and writable() reject when the number is not open",
  async (bench) => {
    for (const method of ["readable", "writable"] as const) {
      const error = await assertRejects(
        () => bench.reactor[method](CLOSED_FD),
        BadResource,
        `${CLOSED_FD}`,
      );
      assertEquals(codeOf(error), "EBADF");
    }
    const error = await assertRejects(
      () => bench.reactor.readable({ fileno: () => -1 }),
      BadResource,
      "-1",
    );
    assertEquals(codeOf(error), "EBADF");
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);

testBackends("readable() rejects with what fileno() throws", async (bench) => {
  const failure = new Error("no number");
  const seen = await assertRejects(() =>
    bench.reactor.readable({
      fileno() {
        throw failure;
      },
    })
  );
  assertStrictEquals(seen, failure);
});

testBackends(
  "readable() rejects when an argument is wrong, and throws nothing",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    // deno-lint-ignore no-explicit-any
    const method: any = reactor.readable.bind(reactor);
    for (const fd of [undefined, null, "3", {}, true, 3n]) {
      await assertRejects(() => method(fd), TypeError, '"fd"');
    }
    for (const fd of [NaN, -1, 1.5, Infinity, 2 ** 31]) {
      await assertRejects(() => method(fd), RangeError, `${fd}`);
    }
    for (
      const options of [
        null,
        3,
        { signal: {} },
        { label: 3 },
        { persistent: "yes" },
      ]
    ) {
      await assertRejects(() => method(output, options), TypeError, "options");
    }
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testBackends(
  "a wait rejects when its descriptor is closed behind the reactor's back (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const waiting = reactor.readable(output);
    const state = follow(waiting);
    bench.closeFd(output);
    if (bench.backend === "poll") {
      reactor.callFromThread(() => {}); // The next wake-up tells.
    } else {
      // The kernel has dropped it: the next change of interest tells.
      await assertRejects(() => reactor.writable(output), BadResource);
    }
    await until(() => state.settled);
    assertEquals(
      codeOf(await assertRejects(() => waiting, BadResource)),
      "EBADF",
    );
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testBackends(
  "a wait rejects when its FileDescriptor is closed",
  async (bench) => {
    const [output, input] = FileDescriptor.pipe();
    const waiting = bench.reactor.readable(output);
    output.close();
    const error = await assertRejects(() => waiting, BadResource);
    assertEquals(codeOf(error), "EBADF");
    input.close();
  },
);

testBackends(
  "a FileDescriptor that is closed takes no other registration with it",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = FileDescriptor.pipe();
    const pipes = [bench.pipe(), bench.pipe()];
    const readers = pipes.map(([fd]) =>
      new Probe(fd, { onRead: () => void receive(fd) })
    );
    reactor.addReader(readers[0]!);
    const lost = new Probe(output.fileno());
    reactor.addReader(lost);
    reactor.addReader(readers[1]!);
    reactor.interleave();
    output.close();
    input.close();
    assertEquals(lost.reasons.length, 1);
    for (const [, fd] of pipes) send(fd, "word");
    await until(() => readers.every(({ reads }) => reads === 1));
  },
);

testBackends(
  "a wait rejects with ReactorNotRunning when the reactor stops",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const waiting = reactor.readable(output);
    reactor.stop();
    await assertRejects(() => waiting, ReactorNotRunning);
    await reactor.finished;
    await assertRejects(() => reactor.readable(output), ReactorNotRestartable);
  },
);

testBackends(
  "a wait is served while 'before shutdown' waits (contract 57)",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const [silent] = bench.pipe();
    const events: string[] = [];
    reactor.addSystemEventTrigger("before", "shutdown", async () => {
      send(input, "word");
      await reactor.readable(output);
      events.push("served");
    });
    reactor.addSystemEventTrigger("during", "shutdown", () => {
      events.push("during");
    });
    const waiting = reactor.readable(silent);
    reactor.stop();
    await assertRejects(() => waiting, ReactorNotRunning);
    await reactor.finished;
    assertEquals(events, ["served", "during"]);
  },
);

testBackends(
  "a wait that begins during the shutdown rejects with ReactorNotRunning",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const waits: Promise<unknown>[] = [];
    for (const phase of ["during", "after"] as const) {
      reactor.addSystemEventTrigger(phase, "shutdown", () => {
        const waiting = reactor.readable(output);
        waiting.catch(() => {});
        waits.push(waiting);
      });
    }
    reactor.callLater(0, () => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals(waits.length, 2);
    for (const wait of waits) {
      await assertRejects(() => wait, ReactorNotRunning);
    }
  },
);

testBackends(
  "a wait rejects with ReactorNotRunning when the reactor crashes, and the next start serves again",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const waiting = reactor.readable(output);
    reactor.crash();
    await assertRejects(() => waiting, ReactorNotRunning);
    const next = reactor.readable(output);
    send(input, "word");
    assert((await next).readable);
  },
);

testBackends(
  "a wait rejects with ReactorNotRunning when the reactor is closed, and later ones with BadResource",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const waiting = reactor.readable(output);
    const closing = reactor.close();
    await assertRejects(() => waiting, ReactorNotRunning);
    await closing;
    await assertRejects(() => reactor.readable(output), BadResource);
  },
);

/** A TCP connection. */
async function connect(
  bench: Bench,
): Promise<[client: number, server: number]> {
  const { fd: listener, port } = makeListener();
  bench.adopt(listener);
  const client = bench.adopt(startConnecting(port));
  await bench.reactor.readable(listener);
  return [client, bench.adopt(accept(listener))];
}

/** Closes a TCP connection with a reset. */
function reset(bench: Bench, fd: number): void {
  const SO_LINGER = onLinux ? 13 : 0x80;
  const atOnce = new Int32Array([1, 0]);
  libc().setsockopt(fd, POSIX.SOL_SOCKET, SO_LINGER, atOnce, 8);
  bench.closeFd(fd);
}
