/**
 * What is to be reached.
 *
 * @module
 */

import {
  DENO,
  EPOLL,
  OURS,
  OURS_BUFFERED,
  OURS_LOW_LATENCY,
  OURS_NATIVE_WAKER,
  TWISTED_THREADED,
} from "./contestants.ts";
import { ratios, summarize, type Summary } from "./statistics.ts";
import type { Results } from "./run.ts";

/** One figure, or one ratio, with its bound. */
export interface Target {
  /** What it is. */
  readonly what: string;
  /** The case. */
  readonly key: string;
  /** What is measured. */
  readonly metric: string;
  /** Whose figure it is. */
  readonly who: string;
  /** What it is divided by, if it is a ratio: another's figure, another case's, or both. */
  readonly over?: { readonly key?: string; readonly who?: string };
  /** The least that is enough. */
  readonly atLeast?: number;
  /** The most that is allowed. */
  readonly atMost?: number;
  /** What would be better still. */
  readonly stretch?: number;
  /** The unit of a figure that is no ratio. */
  readonly unit?: string;
  /** Where the time goes, as a profile showed; told when it is missed. */
  readonly profile?: string;
  /** The sentence that the README has of it, with "{}" in the figure's place. */
  readonly telling?: string;
}

/** Profiles that explain more than one row. */
const PROFILES = {
  echo:
    "`perf record` has seven eighths of the server's time in the kernel, nearly all of it in TCP; the rest is the way through FFI, twice a message, and the callbacks",
  wake:
    "`perf sched timehist` has it in the threads' running, not in their being woken. After 10 ms of sleep the processor's caches belong to others, and two threads' worth of the engine's code is fetched anew: the worker's, which returns from poll() and sends its message, and the main thread's, which receives it and runs the work item",
} as const;

// One line each: these are a table.
// deno-fmt-ignore
const TARGETS: readonly Target[] = [
  { what: "TCP echo 64 B, 100 connections: rate / Deno native", key: "tcp/64/100", metric: "rate", who: OURS_BUFFERED, over: { who: DENO }, atLeast: 1.3, stretch: 1.5, profile: PROFILES.echo },
  { what: "TCP echo 64 B, 10 connections: rate / Deno native", key: "tcp/64/10", metric: "rate", who: OURS_BUFFERED, over: { who: DENO }, atLeast: 1.2, profile: PROFILES.echo },
  { what: "TCP echo 64 B, 1 connection: rate / Deno native", key: "tcp/64/1", metric: "rate", who: OURS_BUFFERED, over: { who: DENO }, atLeast: 1, telling: "An echo of 64 bytes over one TCP connection, received into a buffer of the program's own, makes **{}** times the rate of Deno's own sockets." },
  { what: "TCP echo 64 B, 1000 connections: server CPU per message / Deno native", key: "tcp/64/1000", metric: "cpu", who: OURS_BUFFERED, over: { who: DENO }, atMost: 0.8, profile: PROFILES.echo },
  { what: "TCP echo 64 B, 1000 connections: p99 / Deno native", key: "tcp/64/1000", metric: "p99", who: OURS_BUFFERED, over: { who: DENO }, atMost: 0.33, profile: "Whether the connections that Deno serves least are among the 99 of 100 changes from run to run; the column \"longest wait\" is about them" },
  { what: "TCP echo 64 B, 100 connections: server CPU per message / C epoll", key: "tcp/64/100", metric: "cpu", who: OURS_BUFFERED, over: { who: EPOLL }, atMost: 1.15, stretch: 1.1, profile: PROFILES.echo },
  { what: "Readiness callbacks, 1 pair: rate / Deno native", key: "pairs/1", metric: "rate", who: OURS, over: { who: DENO }, atLeast: 1.7, profile: "`perf record` has three quarters of the time in the kernel, in read(), write() and epoll_wait(). With one event a round nothing is shared: each pays for a look at the kernel and one at the clock" },
  { what: "Readiness callbacks, 1 pair: rate / Twisted threadedselect", key: "pairs/1", metric: "rate", who: OURS, over: { who: TWISTED_THREADED }, atLeast: 20 },
  { what: "Readiness callbacks, 100 pairs: rate / C epoll", key: "pairs/100", metric: "rate", who: OURS, over: { who: EPOLL }, atLeast: 0.8, stretch: 0.95, profile: "`perf record` has seven eighths of the time in the kernel, in read(), write() and epoll_wait(), as in C; the rest is the way through FFI, twice a callback, and the callback itself. Nothing is allocated for it (`tests/allocations_test.ts`)" },
  { what: "Most idle descriptors: event rate / the same with 10 idle", key: "idle/most", metric: "rate", who: OURS, over: { key: "idle/10" }, atLeast: 0.9, telling: "With as many idle descriptors as the machine allows, a busy one has **{}** times the rate that it has beside 10." },
  { what: "Wake-up of an idle reactor, p50: / Twisted threadedselect", key: "wake/idle", metric: "p50", who: OURS, over: { who: TWISTED_THREADED }, atMost: 1.1, stretch: 0.9, profile: PROFILES.wake },
  { what: "Wake-up of an idle reactor, threadSafeWaker, p50: / Twisted threadedselect", key: "wake/idle", metric: "p50", who: OURS_NATIVE_WAKER, over: { who: TWISTED_THREADED }, atMost: 0.8, profile: PROFILES.wake },
  { what: "Wake-up of a recently active reactor, low latency, p50: / Deno native", key: "wake/active", metric: "p50", who: OURS_LOW_LATENCY, over: { who: DENO }, atMost: 1, stretch: 0.8, profile: "`strace` has four system calls a message, in this order: ppoll(), epoll_wait(), recvfrom() and epoll_wait() again; the first two are on the message's way, where Deno has one, and so is the end of ppoll()'s timer. Which processor the sender is put on decides more: Deno's own figure has two levels, half as high again as the other" },
  { what: "callLater() of 1 ms, lateness p50: / setTimeout()", key: "timers", metric: "p50", who: OURS, over: { who: DENO }, atMost: 0.1, telling: "`callLater(1)` is late by **{}** of what `setTimeout(1)` is (medians)." },
  { what: "callLater() + cancel(): / setTimeout() + clearTimeout()", key: "timers", metric: "cancel", who: OURS, over: { who: DENO }, atMost: 0.15 },
  { what: "fetch() in the same process under full reactor load, p50", key: "fairness", metric: "fetch50", who: "full load, default budget", atMost: 1, unit: "ms" },
  { what: "The event rate meanwhile: / the rate with nobody else and no budget", key: "fairness", metric: "rate", who: "full load, default budget", over: { who: "full load, no budget, alone" }, atLeast: 0.65 },
  { what: "setInterval(10) lateness p99 under full reactor load", key: "fairness", metric: "interval99", who: "full load, default budget", atMost: 2, unit: "ms" },
  { what: "CPU in 5 idle seconds", key: "rest", metric: "cpu", who: OURS, atMost: 5, unit: "ms" },
  { what: "Start to first event", key: "start", metric: "first", who: "a reactor", atMost: 5, stretch: 2, unit: "ms" },
  { what: "Cost of importing the module", key: "start", metric: "import", who: "the import", atMost: 10, stretch: 5, unit: "ms", profile: "Some forty modules are found, read and compiled, a fifth of a millisecond each; nothing in them runs but definitions" },
];

/** How a target was met, or not. */
export interface Verdict {
  /** What it is about. */
  readonly target: Target;
  /** The word: "met", "missed", "failed: ...", "missing: ..." or "not measured". */
  readonly word: string;
  /** What was measured, if it was. */
  readonly summary?: Summary;
}

/** Compares all targets of some rows with what was measured. */
export function judge(
  results: Results,
  absence: (key: string, who: string) => string | undefined,
  concerns: (key: string) => boolean,
): Verdict[] {
  return TARGETS.filter((target) => concerns(target.key))
    .map((target) => judgeOne(target, results, absence));
}

/** Whether some target needs a contestant in a case. */
export function isTargeted(key: string, who: string): boolean {
  return TARGETS.some((target) =>
    (target.key === key && target.who === who) ||
    (target.over !== undefined &&
      (target.over.key ?? target.key) === key &&
      (target.over.who ?? target.who) === who)
  );
}

function judgeOne(
  target: Target,
  results: Results,
  absence: (key: string, who: string) => string | undefined,
): Verdict {
  const { key, who, metric, over } = target;
  const cells = [{ key, who }];
  if (over !== undefined) cells.push({ key, who, ...over });
  const all: number[][] = [];
  for (const cell of cells) {
    const series = results.series(cell.key, cell.who, metric);
    if (series !== undefined) all.push(series);
    else return { target, word: whyNot(cell.key, cell.who) };
  }
  const [mine, theirs] = all as [number[], number[]?];
  const summary = summarize(theirs === undefined ? mine : ratios(mine, theirs));
  const met = summary.median >= (target.atLeast ?? -Infinity) &&
    summary.median <= (target.atMost ?? Infinity);
  return { target, word: met ? "met" : "missed", summary };

  function whyNot(key: string, who: string): string {
    const failure = results.failure(key, who);
    if (failure !== undefined) return `${failure} (${who})`;
    const absent = absence(key, who);
    return absent === undefined ? "not measured" : `missing: ${absent}`;
  }
}
