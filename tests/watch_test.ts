// watch(): what it answers, what it leaves out, and every way in which it ends.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { libc } from "../ffi/mod.ts";
import {
  FileDescriptor,
  type Interest,
  ReactorNotRestartable,
  ReactorNotRunning,
  type Readiness,
  type Watch,
} from "../mod.ts";
import {
  accept,
  type Bench,
  CLOSED_FD,
  empty,
  fill,
  macrotask,
  makeListener,
  Probe,
  receive,
  send,
  startConnecting,
  testBackends,
  until,
  unusedPort,
} from "./descriptors.ts";

const { BadResource, BrokenPipe, ConnectionRefused } = Deno.errors;

/** `send`, `recv`: out-of-band data. */
const MSG_OOB = 1;

/** The flags of an answer that are set. */
function words(readiness: Readiness | undefined): string[] {
  assert(readiness !== undefined);
  const { fd: _, error: __, ...flags } = readiness;
  return Object.entries(flags).filter(([, on]) => on).map(([word]) => word);
}

/** The next answer of a watch that is not at its end. */
async function answer(watch: Watch): Promise<Readiness> {
  const { value, done } = await watch.next();
  assertEquals(done, false);
  return value!;
}

/** Follows a promise without waiting for it. */
function follow(promise: Promise<unknown>): { settled: boolean } {
  const state = { settled: false };
  const settle = () => state.settled = true;
  promise.then(settle, settle);
  return state;
}

/** Lets the reactor look at everything that is ready, several times over. */
async function rounds(bench: Bench): Promise<void> {
  for (let i = 0; i < 5; i++) {
    let called = false;
    bench.reactor.callLater(1, () => called = true);
    await until(() => called);
    await macrotask();
  }
}

/** How many turns it takes to do nothing for 30 ms. */
async function idleTurns(bench: Bench): Promise<number> {
  const { turns } = bench.reactor.inspect().counters;
  let over = false;
  bench.reactor.callLater(30, () => over = true);
  await until(() => over);
  return bench.reactor.inspect().counters.turns - turns;
}

// What it answers

testBackends(
  "watch() answers whenever the descriptor is ready",
  async (bench) => {
    const [output, input] = bench.pipe();
    using watch = bench.reactor.watch(output, "readable");
    for (const text of ["one", "two", "three"]) {
      const next = watch.next();
      const state = follow(next);
      await macrotask();
      assertFalse(state.settled);
      send(input, text);
      assertEquals(await next, {
        value: {
          fd: output,
          readable: true,
          writable: false,
          priority: false,
          hangup: false,
        },
        done: false,
      });
      assertEquals(receive(output), text);
    }
  },
);

testBackends(
  "watch() in a loop that reads everything each time is never answered in vain",
  async (bench) => {
    const [output, input] = bench.pipe();
    const texts: (string | null)[] = [];
    for (let i = 0; i < 50; i++) {
      const pause = i % 5 === 0 ? 1 : 0;
      bench.reactor.callLater(i + pause, () => send(input, `${i},`));
    }
    bench.reactor.callLater(60, () => bench.closeFd(input));
    for await (const { readable } of bench.reactor.watch(output, "readable")) {
      assert(readable);
      const text = receive(output);
      if (text === "") break;
      texts.push(text);
    }
    assertFalse(texts.includes(null));
    assertEquals(
      texts.join(""),
      Array.from({ length: 50 }, (_, i) => `${i},`).join(""),
    );
  },
);

testBackends(
  "watch() in a loop that reads part of it is answered until all is read",
  async (bench) => {
    const [output, input] = bench.pipe();
    send(input, "abcdef");
    bench.closeFd(input);
    const byte = new Uint8Array(1);
    let text = "";
    for await (const _ of bench.reactor.watch(output, "readable")) {
      if (libc().read(output, byte, 1) === 0) break;
      text += String.fromCharCode(byte[0]!);
    }
    assertEquals(text, "abcdef");
  },
);

testBackends(
  "watch() for room is answered when there is some",
  async (bench) => {
    const [output, input] = bench.pipe();
    fill(input);
    using watch = bench.reactor.watch(input, "writable");
    const next = answer(watch);
    const state = follow(next);
    await rounds(bench);
    assertFalse(state.settled);
    empty(output);
    assertEquals(words(await next), ["writable"]);
  },
);

testBackends(
  "watch() takes several interests, and answers them together",
  async (bench) => {
    const [here, there] = bench.socketpair();
    using watch = bench.reactor.watch(here, ["readable", "writable"]);
    assertEquals(words(await answer(watch)), ["writable"]);
    send(there, "word");
    assertEquals(words(await answer(watch)), ["readable", "writable"]);
  },
);

testBackends(
  "watch() answers a hang-up, which is readable as well",
  async (bench) => {
    const [output, input] = bench.pipe();
    using watch = bench.reactor.watch(output, "readable");
    const next = answer(watch);
    bench.closeFd(input);
    assertEquals(words(await next), ["readable", "hangup"]);
  },
);

testBackends(
  "watch() has SO_ERROR as error of a connection that was refused",
  async (bench) => {
    const client = bench.adopt(startConnecting(unusedPort()));
    using watch = bench.reactor.watch(client, ["writable", "readable"]);
    const readiness = await answer(watch);
    assertInstanceOf(readiness.error, ConnectionRefused);
    assert(readiness.hangup && readiness.readable);
  },
);

testBackends(
  "watch() has EPIPE as error on a pipe that nobody reads any more",
  async (bench) => {
    const [output, input] = bench.pipe();
    fill(input);
    using watch = bench.reactor.watch(input, "writable");
    const next = answer(watch);
    bench.closeFd(output);
    assertInstanceOf((await next).error, BrokenPipe);
  },
  { linuxOnly: true },
);

testBackends(
  "watch() tells out-of-band data of a TCP connection as priority",
  async (bench) => {
    const { fd: listener, port } = makeListener();
    bench.adopt(listener);
    const client = bench.adopt(startConnecting(port));
    await bench.reactor.readable(listener);
    const server = bench.adopt(accept(listener));
    using urgent = bench.reactor.watch(server, "priority");
    using all = bench.reactor.watch(server, ["priority", "readable"]);
    const next = answer(urgent);
    const state = follow(next);
    send(client, "ordinary");
    assertEquals(words(await answer(all)), ["readable"]);
    assertFalse(state.settled);
    assertEquals(libc().send(client, new Uint8Array([33]), 1, MSG_OOB), 1);
    assertEquals(words(await next), ["priority"]);
    assert((await answer(all)).priority);
    const byte = new Uint8Array(1);
    assertEquals(libc().recv(server, byte, 1, MSG_OOB), 1);
    assertEquals(byte[0], 33);
  },
  { linuxOnly: true },
);

// Between the answers

testBackends(
  "next() answers at once what was ready since the last answer, although it is not any more",
  async (bench) => {
    const [output, input] = bench.pipe();
    using watch = bench.reactor.watch(output, "readable");
    send(input, "word");
    await rounds(bench);
    receive(output);
    assertEquals(words(await answer(watch)), ["readable"]);
    // That was it.
    const state = follow(watch.next());
    await rounds(bench);
    assertFalse(state.settled);
  },
);

testBackends(
  "next() answers at once what was ready between two answers",
  async (bench) => {
    const [output, input] = bench.pipe();
    using watch = bench.reactor.watch(output, "readable");
    send(input, "one");
    await answer(watch);
    receive(output);
    await rounds(bench);
    send(input, "two");
    await rounds(bench);
    receive(output);
    assertEquals(words(await answer(watch)), ["readable"]);
  },
);

testBackends(
  "next() merges what was found since the last answer",
  async (bench) => {
    const [here, there] = bench.socketpair();
    fill(here);
    using watch = bench.reactor.watch(here, ["readable", "writable"]);
    send(there, "word");
    await rounds(bench);
    receive(here);
    empty(there);
    const answers = [await answer(watch)];
    if (!answers[0]!.writable) answers.push(await answer(watch));
    const all = new Set(answers.flatMap(words));
    assertEquals(all, new Set(["readable", "writable"]));
  },
);

testBackends(
  "next() called several times at once is answered as often",
  async (bench) => {
    const [output, input] = bench.pipe();
    using watch = bench.reactor.watch(output, "readable");
    const nexts = [answer(watch), answer(watch), answer(watch)];
    send(input, "word");
    for (const { readable } of await Promise.all(nexts)) assert(readable);
  },
);

testBackends(
  "next() is not answered with what was found before it was called in a dispatch (contract 112)",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    let watch: Watch | undefined;
    let state: { settled: boolean } | undefined;
    const reader = new Probe(output, {
      onRead: () => {
        receive(output);
        // In this order the descriptor stays registered throughout.
        watch = reactor.watch(output, "readable");
        state = follow(watch.next());
        reactor.removeReader(reader);
      },
    });
    reactor.addReader(reader);
    reactor.interleave();
    send(input, "word");
    await until(() => watch !== undefined);
    await rounds(bench);
    assertFalse(state!.settled);
    watch!.close();
  },
);

for (const budget of [undefined, { ms: 0 }, { events: 1 }]) {
  const name = budget === undefined
    ? ""
    : ` with a budget of ${Deno.inspect(budget)}`;
  const options = { reactor: budget === undefined ? {} : { budget } };

  testBackends(
    `watch() with a slow consumer does not spin${name}`,
    async (bench) => {
      const [output, input] = bench.pipe();
      using watch = bench.reactor.watch(output, "readable");
      send(input, "word");
      await answer(watch);
      await rounds(bench);
      assertLess(await idleTurns(bench), 10);
      assertEquals(words(await answer(watch)), ["readable"]);
    },
    options,
  );

  testBackends(
    `watch() with a slow consumer does not spin on a hang-up${name} (contract 126)`,
    async (bench) => {
      const [output, input] = bench.pipe();
      using watch = bench.reactor.watch(output, "readable");
      bench.closeFd(input);
      await answer(watch);
      await rounds(bench);
      assertLess(await idleTurns(bench), 10);
      assertEquals(words(await answer(watch)), ["readable", "hangup"]);
    },
    options,
  );
}

testBackends(
  "watch() for priority does not spin on a regular file",
  async (bench) => {
    const path = new TextEncoder().encode(
      new URL(import.meta.url).pathname + "\0",
    );
    const file = bench.adopt(libc().open(path, 0, 0));
    using watch = bench.reactor.watch(file, "priority");
    const state = follow(watch.next());
    await rounds(bench);
    assertLess(await idleTurns(bench), 10);
    assertFalse(state.settled);
  },
);

// Who else is there

testBackends(
  "several watches, a wait and a reader share a descriptor",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    using first = reactor.watch(output, "readable", { label: "first" });
    using second = reactor.watch(output, "readable", { label: "second" });
    const reader = new Probe(output, { onRead: () => void receive(output) });
    reactor.addReader(reader);
    const waiting = reactor.readable(output, { label: "wait" });
    assertEquals(
      reactor.inspect().descriptors.flatMap(({ watchers }) =>
        watchers.map(({ kind, label }) => `${kind} ${label}`)
      ),
      ["reader undefined", "watch first", "watch second", "wait wait"],
    );
    send(input, "word");
    assert((await waiting).readable);
    assert((await answer(first)).readable);
    assert((await answer(second)).readable);
    assertEquals(reader.reads, 1);
  },
);

testBackends("watch() that is closed leaves others alone", async (bench) => {
  const { reactor } = bench;
  const [output, input] = bench.pipe();
  const first = reactor.watch(output, "readable");
  using second = reactor.watch(output, "readable");
  first.close();
  send(input, "word");
  assert((await answer(second)).readable);
});

testBackends(
  "watch() starts the reactor on Deno's loop, and the first answer may be long ready",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    send(input, "word");
    using watch = reactor.watch({ fileno: () => output }, "readable");
    assert(reactor.running);
    assertEquals((await answer(watch)).fd, output);
  },
);

// How it ends

testBackends(
  "close() ends a pending next() with done, and all later ones",
  async (bench) => {
    const [output] = bench.pipe();
    const watch = bench.reactor.watch(output, "readable");
    const nexts = [watch.next(), watch.next()];
    watch.close();
    watch.close();
    for (const next of [...nexts, watch.next(), watch.next()]) {
      assertEquals(await next, { value: undefined, done: true });
    }
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);

testBackends("close() forgets what was ready", async (bench) => {
  const [output, input] = bench.pipe();
  const watch = bench.reactor.watch(output, "readable");
  send(input, "word");
  await rounds(bench);
  watch.close();
  assertEquals(await watch.next(), { value: undefined, done: true });
});

testBackends(
  "watch() ends with return(), with using, and with the end of a loop",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    send(input, "word");
    const watch = reactor.watch(output, "readable");
    assertEquals(await watch.return(), { value: undefined, done: true });
    {
      using watch = reactor.watch(output, "readable");
      assertStrictEquals(watch[Symbol.asyncIterator](), watch);
    }
    for await (const _ of reactor.watch(output, "readable")) break;
    const failure = new Error("in the body");
    await assertRejects(async () => {
      for await (const _ of reactor.watch(output, "readable")) throw failure;
    }, "in the body");
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testBackends("close() from elsewhere ends a loop", async (bench) => {
  const [output, input] = bench.pipe();
  const watch = bench.reactor.watch(output, "readable");
  bench.reactor.callLater(3, () => send(input, "word"));
  let answers = 0;
  for await (const _ of watch) {
    answers++;
    receive(output);
    bench.reactor.callLater(3, () => watch.close());
  }
  assertEquals(answers, 1);
});

testBackends(
  "an abort rejects a pending next() with the reason, and ends the watch",
  async (bench) => {
    const [output] = bench.pipe();
    for (const reason of [new Error("enough"), "enough", undefined]) {
      const controller = new AbortController();
      const { signal } = controller;
      const watch = bench.reactor.watch(output, "readable", { signal });
      const next = watch.next();
      controller.abort(reason);
      const seen = await next.then(() => "answered", (error) => [error]);
      assertEquals(seen, [signal.reason]);
      assertEquals(await watch.next(), { value: undefined, done: true });
    }
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);

testBackends(
  "an abort while nobody asks rejects the next next(), once",
  async (bench) => {
    const [output, input] = bench.pipe();
    const controller = new AbortController();
    const { signal } = controller;
    const watch = bench.reactor.watch(output, "readable", { signal });
    send(input, "word");
    await rounds(bench); // It is ready, and that is remembered.
    controller.abort();
    assertStrictEquals(await assertRejects(() => watch.next()), signal.reason);
    assertEquals(await watch.next(), { value: undefined, done: true });
  },
);

testBackends(
  "watch() with a signal that was aborted before rejects the first next()",
  async (bench) => {
    const [output, input] = bench.pipe();
    send(input, "word");
    const signal = AbortSignal.abort(new Error("enough"));
    const watch = bench.reactor.watch(output, "readable", { signal });
    assertStrictEquals(await assertRejects(() => watch.next()), signal.reason);
    assertEquals(await watch.next(), { value: undefined, done: true });
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);

testBackends(
  "an abort in the dispatch that would have answered rejects",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const controller = new AbortController();
    const { signal } = controller;
    reactor.addReader(
      new Probe(output, {
        onRead: () => {
          receive(output);
          controller.abort();
        },
      }),
    );
    const watch = reactor.watch(output, "readable", { signal });
    const next = watch.next();
    send(input, "word");
    await assertRejects(() => next, DOMException);
  },
);

testBackends("an abort after close() changes nothing", async (bench) => {
  const [output] = bench.pipe();
  const controller = new AbortController();
  const { signal } = controller;
  const watch = bench.reactor.watch(output, "readable", { signal });
  watch.close();
  controller.abort();
  assertEquals(await watch.next(), { value: undefined, done: true });
});

testBackends("an abort ends a loop with its reason", async (bench) => {
  const [output] = bench.pipe();
  const controller = new AbortController();
  const { signal } = controller;
  bench.reactor.callLater(3, () => controller.abort(new Error("enough")));
  await assertRejects(async () => {
    for await (const _ of bench.reactor.watch(output, "readable", { signal }));
  }, "enough");
});

testBackends(
  "watch() throws at the call when the number is not open",
  (bench) => {
    const error = assertThrows(
      () => bench.reactor.watch(CLOSED_FD, "readable"),
      BadResource,
      `${CLOSED_FD}`,
    );
    assertEquals((error as Error & { code?: string }).code, "EBADF");
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);

testBackends(
  "watch() throws at the call when an argument is wrong",
  (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    // deno-lint-ignore no-explicit-any
    const wrong: any[] = [undefined, null, "3", {}, true];
    for (const fd of wrong) {
      assertThrows(() => reactor.watch(fd, "readable"), TypeError, '"fd"');
    }
    for (const fd of [NaN, -1, 1.5, Infinity, 2 ** 31]) {
      assertThrows(() => reactor.watch(fd, "readable"), RangeError, `${fd}`);
    }
    // deno-lint-ignore no-explicit-any
    const noInterest: any[] = [undefined, null, 1, {}, [1]];
    for (const interest of noInterest) {
      assertThrows(
        () => reactor.watch(output, interest),
        TypeError,
        '"interest"',
      );
    }
    for (const interest of ["read", "", "toString", ["readable", "x"], []]) {
      assertThrows(
        () => reactor.watch(output, interest as Interest),
        RangeError,
        '"interest"',
      );
    }
    // deno-lint-ignore no-explicit-any
    const options: any[] = [null, 3, { signal: {} }, { label: 3 }, {
      persistent: 1,
    }];
    for (const option of options) {
      assertThrows(
        () => reactor.watch(output, "readable", option),
        TypeError,
        "options",
      );
    }
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testBackends(
  "next() rejects once when the descriptor is closed behind the reactor's back (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const watch = reactor.watch(output, "readable");
    send(input, "word");
    await answer(watch);
    await rounds(bench);
    bench.closeFd(output);
    if (bench.backend === "poll") await rounds(bench);
    // What was ready is answered; then it asks the kernel, which says no.
    const reasons: unknown[] = [];
    for (;;) {
      try {
        if ((await watch.next()).done) break;
      } catch (error) {
        reasons.push(error);
      }
    }
    assertEquals(reasons.length, 1);
    assertInstanceOf(reasons[0], BadResource);
    assertEquals((reasons[0] as Error & { code?: string }).code, "EBADF");
  },
);

testBackends(
  "a pending next() rejects when the descriptor is closed behind the reactor's back (contract 119)",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const watch = reactor.watch(output, "readable");
    const next = watch.next();
    const state = follow(next);
    bench.closeFd(output);
    if (bench.backend === "poll") {
      reactor.callFromThread(() => {}); // The next wake-up tells.
    } else {
      assertThrows(() => reactor.watch(output, "writable"), BadResource);
    }
    await until(() => state.settled);
    await assertRejects(() => next, BadResource);
    assertEquals(await watch.next(), { value: undefined, done: true });
  },
);

testBackends(
  "a pending next() rejects when the FileDescriptor is closed",
  async (bench) => {
    const [output, input] = FileDescriptor.pipe();
    const watch = bench.reactor.watch(output, "readable");
    const next = watch.next();
    output.close();
    const error = await assertRejects(() => next, BadResource);
    assertEquals((error as Error & { code?: string }).code, "EBADF");
    assertEquals(await watch.next(), { value: undefined, done: true });
    input.close();
  },
);

testBackends(
  "watches end with ReactorNotRunning when the reactor stops",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const asked = reactor.watch(output, "readable");
    const unasked = reactor.watch(output, "readable");
    const closed = reactor.watch(output, "readable");
    closed.close();
    const next = asked.next();
    reactor.stop();
    await assertRejects(() => next, ReactorNotRunning);
    await assertRejects(() => unasked.next(), ReactorNotRunning);
    for (const watch of [asked, unasked, closed]) {
      assertEquals(await watch.next(), { value: undefined, done: true });
    }
    await reactor.finished;
    assertThrows(
      () => reactor.watch(output, "readable"),
      ReactorNotRestartable,
    );
  },
);

testBackends(
  "watches end with ReactorNotRunning when the reactor crashes",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const asked = reactor.watch(output, "readable");
    const unasked = reactor.watch(output, "readable");
    const next = asked.next();
    reactor.crash();
    await assertRejects(() => next, ReactorNotRunning);
    await assertRejects(() => unasked.next(), ReactorNotRunning);
    using again = reactor.watch(output, "readable");
    send(input, "word");
    assert((await answer(again)).readable);
  },
);

testBackends(
  "watches end with ReactorNotRunning when the reactor is closed",
  async (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const watch = reactor.watch(output, "readable");
    const next = watch.next();
    const closing = reactor.close();
    await assertRejects(() => next, ReactorNotRunning);
    await closing;
    assertThrows(() => reactor.watch(output, "readable"), BadResource);
  },
);

// The rest

testBackends(
  "watch() keeps the process alive unless it is not persistent, ref'd anew or unref'd",
  (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    function refs(): number {
      return reactor.inspect().keepsAlive.descriptors;
    }
    const strong = reactor.watch(output, "readable");
    const weak = reactor.watch(output, "readable", { persistent: false });
    assertEquals(refs(), 1);
    weak.ref();
    weak.ref();
    assertEquals(refs(), 2);
    strong.unref();
    strong.unref();
    assertEquals(refs(), 1);
    strong.close();
    assertEquals(refs(), 1);
    weak.close();
    assertEquals(refs(), 0);
    weak.ref();
    strong.unref();
    assertEquals(refs(), 0);
  },
);

testBackends(
  "inspect() shows who watches, with a label and a stack",
  (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    using _ = reactor.watch(here, ["readable", "priority"], { label: "mine" });
    const [report] = reactor.inspect().descriptors;
    assertEquals(report!.fd, here);
    assertEquals(report!.interest, ["readable", "priority"]);
    const [watcher] = report!.watchers;
    assertEquals([watcher!.kind, watcher!.label], ["watch", "mine"]);
    assertStringIncludes(watcher!.stack!, "watch_test.ts");
  },
  { reactor: { captureStacks: true } },
);

Deno.test("watch() that is unref'd lets the process end", async () => {
  const module = JSON.stringify(new URL("../mod.ts", import.meta.url).href);
  const program = `
    import { FileDescriptor, reactor } from ${module};
    const [output] = FileDescriptor.pipe();
    const watch = reactor.watch(output, "readable");
    watch.next();
    watch.unref();
    console.log("end");
  `;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    signal: AbortSignal.timeout(20_000),
  }).output();
  assertEquals(code, 0);
  assertEquals(new TextDecoder().decode(stdout), "end\n");
});

testBackends(
  "a thousand watches of one descriptor are all answered",
  async (bench) => {
    const [output, input] = bench.pipe();
    const watches = Array.from(
      { length: 1000 },
      () => bench.reactor.watch(output, "readable"),
    );
    const nexts = watches.map(answer);
    send(input, "word");
    for (const { readable } of await Promise.all(nexts)) assert(readable);
    for (const watch of watches) watch.close();
    assertEquals(bench.reactor.inspect().descriptors, []);
  },
);
