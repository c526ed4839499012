/**
 * `latency: "low"`: what it changes, and what it must not. The suite of
 * `reactor_suite_test.ts` runs with it as well.
 */

import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import { libc, libcPath } from "../ffi/libc.ts";
import { Reactor } from "../src/reactor.ts";
import { PATIENCE } from "./descriptors.ts";
import { testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { startThread } from "./workers.ts";

libc(); // Opened once and for all: no test's leak.

const EVENTS = 400;

const onLinux = Deno.build.os === "linux";

/**
 * Has a thread fill a pipe, one byte after the other, and counts how often the
 * worker was armed until all of them had come.
 */
async function parksOf(reactor: Reactor): Promise<number> {
  using pipe = new Pipe();
  let left = EVENTS;
  const reader = pipe.reader(() => {
    if (--left === 0) reactor.stop();
  });
  reactor.addReader(reader);
  const thread = startThread(
    ({ library, fd, times }) => {
      const { write } = Deno.dlopen(library, {
        write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
      }).symbols;
      const clock = new Int32Array(new SharedArrayBuffer(4));
      for (let i = 0; i < times; i++) {
        write(fd, new Uint8Array(1), 1);
        Atomics.wait(clock, 0, 0, 0.5);
      }
    },
    { library: libcPath(), fd: pipe.input.fileno(), times: EVENTS },
  );
  await deadline(reactor.run(), PATIENCE);
  await thread.done;
  return reactor.inspect().counters.parks;
}

Deno.test({
  name: 'latency "low" spares the worker while events come close together',
  ignore: !onLinux,
  fn: async () => {
    await using low = new Reactor({ latency: "low" });
    await using normal = new Reactor({ latency: "normal" });
    const parks = await parksOf(low);
    assertLess(parks, await parksOf(normal) / 2);
  },
});

testOnBackends(
  'latency "low" parks when nothing has happened for a while',
  async ({ backend }) => {
    await using reactor = new Reactor({ backend, latency: "low" });
    using pipe = new Pipe();
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.addReader(pipe.reader(resolve));
    pipe.fill();
    const ended = reactor.run();
    await promise;
    const { turns, parks } = reactor.inspect().counters;
    // A timer of Deno's that is due much later than anything is expected.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const later = reactor.inspect().counters;
    assert(later.parks >= parks && later.parks > 0);
    assertLess(later.turns - turns, 10);
    reactor.stop();
    await ended;
  },
);

testOnBackends(
  'latency "low" leaves Deno its timers, promises and sockets',
  async ({ backend }) => {
    await using reactor = new Reactor({ backend, latency: "low" });
    using pipe = new Pipe();
    // There is always a next event, a moment later.
    const reader = pipe.reader(() => {
      reactor.callLater(0.5, () => pipe.fill());
    });
    reactor.addReader(reader);
    pipe.fill();
    const ended = reactor.run();
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => new Response("hello"),
    );
    for (let i = 0; i < 10; i++) {
      const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
      assertEquals(await response.text(), "hello");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    reactor.stop();
    await ended;
  },
);

Deno.test("latency is refused when it is neither of the two", () => {
  assertThrows(
    () => new Reactor({ latency: "none" as "low" }),
    RangeError,
    'Cannot make a reactor: "options.latency" must be "normal" or "low", received "none"',
  );
  assertThrows(
    () => new Reactor({ latency: 1 as unknown as "low" }),
    TypeError,
    'Cannot make a reactor: "options.latency" must be "normal" or "low", received 1',
  );
});
