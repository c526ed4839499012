// Delayed calls beyond reason: a million of them, one that calls itself for ever,
// deadlines that no clock reaches. The heap by itself is proven in
// delayed_calls_test.ts, clocks that fail in never_silent_test.ts, and what is
// said to times that are no numbers in bad_input_test.ts.

import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertThrows,
} from "@std/assert";
import { BACKENDS, PATIENCE, until } from "../descriptors.ts";
import { Pipe } from "../pipe.ts";
import { runProgram } from "../program.ts";
import { testBesideOthers } from "./bystander.ts";

/**
 * A million delayed calls, of which one in ten is cancelled, beside a reader. It
 * prints what became of them, and the memory of before, meanwhile and afterwards,
 * in megabytes.
 */
const MILLION = `
  const { FileDescriptor, Reactor } = interleave;
  const COUNT = 1_000_000;
  const megabytes = () => {
    gc();
    return Math.round(Deno.memoryUsage().heapUsed / 1e6);
  };
  const reactor = new Reactor({
    backend: BACKEND,
    onError(error) {
      // All that is due runs in one round (contract 67), however long that takes.
      if (error.name === "CallbackTooSlow") return;
      // The reader below puts back what it takes, which after some thousand
      // rounds looks like one that takes nothing.
      if (error.name !== "DescriptorSpinning") throw error;
    },
  });
  const [output, input] = FileDescriptor.pipe();
  const bytes = new Uint8Array(1);
  let reads = 0;
  reactor.addReader({
    fileno: () => output.fileno(),
    doRead() {
      output.read(bytes);
      reads++;
      input.write(bytes); // There is always something to read.
    },
    connectionLost() {},
  });
  let ran = 0;
  let late = 0;
  let last = -1;
  const called = (deadline) => {
    ran++;
    if (deadline < last) late++;
    last = deadline;
  };
  const before = megabytes();
  // In no order, and many at a time.
  const random = ((seed) => () => seed = seed * 48271 % 0x7fffffff)(1);
  const calls = [];
  for (let i = 0; i < COUNT; i++) {
    const ms = random() % 500;
    const call = reactor.callLater(ms, () => called(call.getTime()));
    calls.push(call);
  }
  const meanwhile = megabytes();
  for (let i = 0; i < COUNT; i += 10) calls[i].cancel();
  const active = reactor.getDelayedCalls().length;
  calls.length = 0;
  input.write(bytes);
  const check = () => {
    if (ran < active) reactor.callLater(20, check);
    else reactor.stop();
  };
  reactor.callLater(20, check);
  const took = performance.now();
  await reactor.run({ signals: false });
  const after = megabytes();
  output.close();
  input.close();
  console.log(JSON.stringify({
    active, ran, late, reads, before, meanwhile, after,
    took: Math.round(performance.now() - took),
  }));
`;

for (const backend of BACKENDS) {
  Deno.test(`a million delayed calls run in order beside a reader, and their memory comes back [${backend}]`, async () => {
    const { code, stdout, stderr } = await runProgram(
      `const BACKEND = "${backend}";${MILLION}`,
      { permissions: ["--allow-ffi", "--v8-flags=--expose-gc"] },
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    console.log(stdout.trim());
    const told = JSON.parse(stdout);
    assertEquals(
      { active: told.active, ran: told.ran, late: told.late },
      { active: 900_000, ran: 900_000, late: 0 },
    );
    // It has its turn in each round, of which there may be two only.
    assertGreater(told.reads, 0);
    const taken = told.meanwhile - told.before;
    assertGreater(taken, 50);
    assertLess(told.after - told.before, taken / 5);
  });
}

for (const count of [1, 100]) {
  testBesideOthers(
    `${count} delayed calls of 0 ms that make themselves anew starve neither I/O nor Deno`,
    async ({ reactor, bystander }) => {
      let going = true;
      let calls = 0;
      const again = () => {
        calls++;
        if (going) reactor.callLater(0, again);
      };
      for (let i = 0; i < count; i++) reactor.callLater(0, again);
      using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = server.addr;
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      const before = calls;
      for (let i = 0; i < 5; i++) {
        await bystander.served();
        const accepting = server.accept();
        using client = await Deno.connect({ hostname: "127.0.0.1", port });
        using peer = await accepting;
        await client.write(new Uint8Array(10));
        assertEquals(await peer.read(new Uint8Array(10)), 10);
        assertEquals(
          (await Deno.readFile(import.meta.filename!)).length > 0,
          true,
        );
      }
      await until(() => ticks >= 5);
      clearInterval(timer);
      assertGreater(calls - before, 50);
      going = false;
      await until(() => reactor.getDelayedCalls().length === 0);
    },
  );
}

testBesideOthers(
  "a call that is moved to now from inside every call runs once, and the others too",
  async ({ reactor, bystander }) => {
    const seen: number[] = [];
    const moved = reactor.callLater(300_000, () => seen.push(-1));
    for (let i = 0; i < 100; i++) {
      reactor.callLater(0, () => {
        seen.push(i);
        if (moved.active()) moved.reset(0);
      });
    }
    await until(() => seen.length === 101);
    await bystander.served();
    assertEquals(seen, [...Array(100).keys(), -1]);
  },
);

testBesideOthers(
  "deadlines that no clock reaches stand behind all others, and can be brought near or cancelled",
  async ({ reactor, bystander }) => {
    const seen: string[] = [];
    const far = [1e308, Number.MAX_VALUE, 2 ** 53, 2 ** 64].map((ms) =>
      reactor.callLater(ms, () => seen.push(`${ms}`))
    );
    // The sum is beyond the numbers.
    far[1]!.delay(Number.MAX_VALUE);
    assertEquals(far[1]!.getTime(), Infinity);
    for (const call of far) {
      assert(call.active());
      assert(String(call).length < 200);
    }
    assertEquals(reactor.nextTimeout() > 0, true);
    await bystander.served();
    assertEquals(seen, []);
    far[0]!.delay(-1e308);
    far[1]!.reset(0);
    far[2]!.delay(-(2 ** 54)); // Long overdue.
    await until(() => seen.length === 3);
    far[3]!.cancel();
    await bystander.served();
    assertEquals(
      seen.toSorted(),
      ["1.7976931348623157e+308", "1e+308", `${2 ** 53}`].toSorted(),
    );
    for (const bad of [NaN, Infinity, -Infinity, -1]) {
      assertThrows(() => reactor.callLater(bad, () => {}), RangeError);
    }
    assertEquals(reactor.getDelayedCalls(), []);
  },
);

testBesideOthers(
  "a thousand calls that each cancel the next one leave every other one to run",
  async ({ reactor, bystander }) => {
    const seen: number[] = [];
    const calls = Array.from(
      { length: 1000 },
      (_, i) =>
        reactor.callLater(1, () => {
          seen.push(i);
          calls[i + 1]?.cancel();
        }),
    );
    await until(() => reactor.getDelayedCalls().length === 0);
    await bystander.served();
    assertEquals(seen, Array.from({ length: 500 }, (_, i) => 2 * i));
  },
);

testBesideOthers(
  "a delayed call that takes a while makes nobody lose anything",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    let reads = 0;
    const reader = pipe.reader(() => reads++);
    reactor.addReader(reader);
    let called = false;
    reactor.callLater(1, () => {
      pipe.fill(3);
      for (const end = performance.now() + 50; performance.now() < end;);
      called = true;
    });
    await until(() => called && reads === 3);
    await bystander.served();
    assertEquals(reads, 3);
    assertLess(reads, PATIENCE);
  },
);
