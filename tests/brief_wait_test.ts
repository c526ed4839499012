// When waiting in place is worth it, and when it is left alone.

import { assertEquals, assertFalse, assertGreaterOrEqual } from "@std/assert";
import type { ReadinessSet } from "../ffi/readiness_set.ts";
import { BriefWait } from "../src/brief_wait.ts";

/** A set in which something is found by the looks that are told, from 1. */
function waitOver(...finds: number[]) {
  let looks = 0;
  const set = { drain: () => finds.includes(++looks) ? 1 : 0 };
  return {
    wait: new BriefWait(set as unknown as ReadinessSet),
    looks: () => looks,
  };
}

const ignore = navigator.hardwareConcurrency === 1; // It never waits there.
if (ignore) console.log("Left out: waiting in place takes two processors");

Deno.test("BriefWait looks until there is something", { ignore }, () => {
  const { wait, looks } = waitOver(3);
  assertEquals(wait.drain(), 1);
  assertEquals(looks(), 3);
});

Deno.test("BriefWait gives up after a moment", { ignore }, () => {
  const { wait, looks } = waitOver();
  const begun = performance.now();
  assertEquals(wait.drain(), 0);
  assertGreaterOrEqual(performance.now() - begun, 0.05);
  assertGreaterOrEqual(looks(), 1);
});

Deno.test("BriefWait is not worth it when something is due before its end", {
  ignore,
}, () => {
  const { wait } = waitOver();
  const worth = [-1, Infinity, 1, 0.05, 0.01, 0].map((ms) =>
    wait.isWorthIt(ms)
  );
  assertEquals(worth, [true, true, true, false, false, false]);
});

Deno.test("BriefWait is left alone after four times in vain, for 64 times", {
  ignore,
}, () => {
  const { wait } = waitOver();
  for (let again = 0; again < 2; again++) {
    for (let i = 0; i < 4; i++) {
      assertEquals(wait.isWorthIt(-1), true);
      wait.drain();
    }
    for (let i = 0; i < 64; i++) assertFalse(wait.isWorthIt(-1));
  }
});

Deno.test("BriefWait goes on while every fourth time is not in vain", {
  ignore,
}, () => {
  let time = 0;
  const set = { drain: () => time % 4 === 0 ? 1 : 0 };
  const wait = new BriefWait(set as unknown as ReadinessSet);
  for (time = 1; time <= 100; time++) {
    assertEquals(wait.isWorthIt(-1), true);
    wait.drain();
  }
});
