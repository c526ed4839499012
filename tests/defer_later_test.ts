// deferLater(), in virtual time and on a reactor.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { deferLater } from "../src/defer_later.ts";
import { Reactor, reactor as sharedReactor } from "../src/reactor.ts";
import { Clock } from "../src/testing.ts";

// The C library stays open from its first use on, which a test's sanitizer would
// take for a leak.
libc();

Deno.test("deferLater() calls later, and promises the result (contract 99)", async () => {
  const clock = new Clock();
  const times: number[] = [];
  const promise = deferLater(10, () => {
    times.push(clock.now());
    return "result";
  }, { clock });
  clock.advance(9);
  assertEquals(times, []);
  clock.pump([1, 10]);
  assertEquals(times, [10]);
  assertEquals(await promise, "result");
});

Deno.test("deferLater() waits for what the function promises (contract 99)", async () => {
  const clock = new Clock();
  const promise = deferLater(0, () => Promise.resolve(5), { clock });
  clock.advance(0);
  const number: number = await promise;
  assertEquals(number, 5);
});

Deno.test("deferLater() rejects with what the function throws or its promise rejects with (contract 99)", async () => {
  const clock = new Clock();
  const error = new Error("Stumbled");
  const throws = deferLater(1, () => {
    throw error;
  }, { clock });
  const rejects = deferLater(1, () => Promise.reject(error), { clock });
  clock.advance(1); // It would throw what a call lets out.
  assertStrictEquals(await assertRejects(() => throws), error);
  assertStrictEquals(await assertRejects(() => rejects), error);
});

Deno.test("deferLater() cancels the call when it is aborted (contract 99)", async () => {
  const clock = new Clock();
  const controller = new AbortController();
  let calls = 0;
  const promise = deferLater(10, () => calls++, {
    clock,
    signal: controller.signal,
  });
  assertEquals(clock.getDelayedCalls().length, 1);
  const reason = new Error("No need");
  controller.abort(reason);
  assertEquals(clock.getDelayedCalls(), []);
  clock.advance(10);
  assertStrictEquals(await assertRejects(() => promise), reason);
  assertEquals(calls, 0);
});

Deno.test("deferLater() does not call when an earlier call of that moment aborts it (contract 99)", async () => {
  const clock = new Clock();
  const controller = new AbortController();
  clock.callLater(10, () => controller.abort());
  let calls = 0;
  const promise = deferLater(10, () => calls++, {
    clock,
    signal: controller.signal,
  });
  clock.advance(10);
  await assertRejects(() => promise, DOMException);
  assertEquals(calls, 0);
});

Deno.test("deferLater() makes no call when it is aborted already (contract 99)", async () => {
  const clock = new Clock();
  const signal = AbortSignal.abort("no need");
  const promise = deferLater(10, () => {}, { clock, signal });
  assertEquals(clock.getDelayedCalls(), []);
  assertEquals(await promise.catch((reason) => reason), "no need");
});

Deno.test("deferLater() heeds no abort once the function has been called (contract 99)", async () => {
  const clock = new Clock();
  const controller = new AbortController();
  const { promise: answer, resolve } = Promise.withResolvers<string>();
  const promise = deferLater(10, () => answer, {
    clock,
    signal: controller.signal,
  });
  clock.advance(10);
  controller.abort();
  resolve("result");
  assertEquals(await promise, "result");
});

Deno.test("deferLater() rejects when an argument is bad, and calls nothing", async () => {
  const clock = new Clock();
  const f = () => {};
  for (const ms of [-1, NaN, Infinity]) {
    await assertRejects(() => deferLater(ms, f, { clock }), RangeError, '"ms"');
  }
  // deno-lint-ignore no-explicit-any
  for (const bad of [null, "1", {}] as any[]) {
    await assertRejects(() => deferLater(bad, f, { clock }), TypeError, '"ms"');
    await assertRejects(() => deferLater(1, bad, { clock }), TypeError, '"f"');
    await assertRejects(
      () => deferLater(1, f, { clock: bad }),
      TypeError,
      '"options.clock"',
    );
    await assertRejects(
      () => deferLater(1, f, { clock, signal: bad }),
      TypeError,
      '"options.signal"',
    );
  }
  // deno-lint-ignore no-explicit-any
  for (const options of [null, "1", 5] as any[]) {
    await assertRejects(
      () => deferLater(1, f, options),
      TypeError,
      '"options"',
    );
  }
  assertEquals(clock.getDelayedCalls(), []);
});

Deno.test("deferLater() calls on a reactor, and can be aborted there (contract 99)", async () => {
  await using reactor = new Reactor();
  reactor.interleave();
  const controller = new AbortController();
  const never = deferLater(60_000, () => "too late", {
    clock: reactor,
    signal: controller.signal,
  });
  const asked = reactor.now();
  const called = await deferLater(5, () => reactor.now(), { clock: reactor });
  assertGreaterOrEqual(called, asked + 5);
  controller.abort();
  await assertRejects(() => never, DOMException);
  assertEquals(reactor.getDelayedCalls(), []);
});

Deno.test("deferLater() uses the shared reactor unless told otherwise", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const promise = deferLater(60_000, () => {}, { signal });
  assertEquals(sharedReactor.getDelayedCalls().length, 1);
  controller.abort();
  assertEquals(sharedReactor.getDelayedCalls(), []);
  await assertRejects(() => promise, DOMException);
  await sharedReactor.close(); // It started itself.
});
