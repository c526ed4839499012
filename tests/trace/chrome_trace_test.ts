/**
 * `ChromeTrace`: files that follow the rules of Chrome's JSON trace format.
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import type { TracedCallback } from "../../mod.ts";
import { ChromeTrace } from "../../src/trace/mod.ts";
import { PATIENCE } from "../descriptors.ts";
import { testInHosts } from "../hosts.ts";
import { Pipe } from "../pipe.ts";

/** An event of the format. */
interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  ts: number;
  cat?: string;
  dur?: number;
  s?: string;
  args?: Record<string, unknown>;
}

/** A file of the format. */
interface TraceFile {
  traceEvents: TraceEvent[];
  displayTimeUnit: string;
  otherData: Record<string, unknown>;
}

/**
 * Parses a file, and fails when it breaks a rule of the format: what an event
 * must have, in which order times are, and that slices of a thread are nested,
 * as the pairs of "B" and "E" that they stand for have to be.
 */
function parse(trace: ChromeTrace): TraceFile {
  const file: TraceFile = JSON.parse(`${trace}`);
  assert(["ms", "ns"].includes(file.displayTimeUnit));
  let latest = 0;
  /** Ends of the slices that are open, the innermost last; nanoseconds. */
  const open: number[] = [];
  for (const event of file.traceEvents) {
    assertEquals(typeof event.name, "string");
    assertEquals([event.pid, event.tid], [Deno.pid, 1]);
    assertGreaterOrEqual(event.ts, latest);
    latest = event.ts;
    if (event.ph !== "X") continue;
    assertGreaterOrEqual(event.dur!, 0);
    const begin = Math.round(event.ts * 1000);
    const end = begin + Math.round(event.dur! * 1000);
    while (open.length > 0 && open.at(-1)! <= begin) open.pop(); // "E"
    if (open.length > 0) assertLessOrEqual(end, open.at(-1)!);
    open.push(end); // "B"
  }
  return file;
}

function slices(trace: ChromeTrace): TraceEvent[] {
  return parse(trace).traceEvents.filter(({ ph }) => ph === "X");
}

function callback(part: Partial<TracedCallback> = {}): TracedCallback {
  return {
    kind: "delayedCall",
    fd: undefined,
    label: undefined,
    reactor: undefined,
    startTime: 1,
    parent: undefined,
    error: undefined,
    ...part,
  };
}

/** Puts in a callback that took so long. */
function put(trace: ChromeTrace, label: string, startTime = 1, ms = 1): void {
  const one = callback({ label, startTime });
  trace.start(one);
  trace.stop(one, ms);
}

testInHosts(
  "ChromeTrace has each callback as a slice, inside that of its turn",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    const trace = new ChromeTrace({ processName: "a test" });
    reactor.trace = trace;
    const reader = pipe.reader(() => reactor.stop());
    reactor.addReader(Object.assign(reader, { label: "ear" }));
    const began = performance.now();
    reactor.callLater(1, function speak() {
      const end = performance.now() + 2;
      while (performance.now() < end);
      pipe.fill();
    });
    await run();
    reactor.trace = undefined;
    const file = parse(trace);
    assertEquals(
      file.traceEvents.filter(({ ph }) => ph === "M")
        .map(({ name, args }) => [name, args]),
      [
        ["process_name", { name: "a test" }],
        ["thread_name", { name: "main thread" }],
      ],
    );
    assertEquals(file.otherData.dropped, 0);
    const all = slices(trace);
    assertEquals(all.length, trace.size);
    const [speak] = all.filter(({ name }) => name === "delayedCall speak");
    assertGreaterOrEqual(speak!.ts, (began + 1) * 1000 - 1);
    assertGreaterOrEqual(speak!.dur!, 2000);
    assertLess(speak!.dur!, (performance.now() - began) * 1000);
    const [ear] = all.filter(({ cat }) => cat === "reader");
    assertEquals([ear!.name, ear!.args], ["reader ear", {
      fd: pipe.output.fileno(),
      label: "ear",
    }]);
    for (const { ts, dur, cat } of all.filter(({ cat }) => cat !== "turn")) {
      assert(
        all.some((turn) =>
          turn.cat === "turn" && turn.ts <= ts &&
          ts + dur! <= turn.ts + turn.dur! + 1e-3
        ),
        cat,
      );
    }
  },
);

Deno.test("ChromeTrace nests slices to the last digit, whatever the times are", () => {
  const trace = new ChromeTrace();
  let now = 123456.7;
  const tick = () => now += [0, 1e-7, 1e-4, 1 / 3, 0.1 + 0.2][round++ % 5]!;
  let round = 0;
  const run = (depth: number) => {
    const one = callback({ startTime: now, label: `${depth}` });
    trace.start(one);
    tick();
    for (let i = 0; i < depth; i++) run(depth - 1);
    tick();
    trace.stop(one, now - one.startTime);
  };
  run(5);
  const all = slices(trace);
  assertEquals(all.length, 326); // 1 + 5 * (1 + 4 * (1 + 3 * (1 + 2 * 2)))
  assertEquals(all[0]!.name, "delayedCall 5");
});

Deno.test("ChromeTrace puts what is around others in front of them, at equal times", () => {
  const trace = new ChromeTrace();
  const outer = callback({ label: "outer" });
  const inner = callback({ label: "inner", parent: outer });
  for (const one of [outer, inner]) trace.start(one);
  for (const one of [inner, outer]) trace.stop(one, 0);
  assertEquals(slices(trace).map(({ args }) => args!.label), [
    "outer",
    "inner",
  ]);
});

Deno.test("ChromeTrace keeps the newest callbacks, and says how many it dropped", () => {
  const trace = new ChromeTrace({ limit: 3 });
  for (let i = 0; i < 10; i++) put(trace, `call ${i}`, 10 + i);
  assertEquals([trace.size, trace.dropped], [3, 7]);
  const { traceEvents, otherData } = parse(trace);
  assertEquals(otherData.dropped, 7);
  assertEquals(
    traceEvents.filter(({ ph }) => ph !== "M").map(({ ph, name, s, ts }) => [
      ph,
      name,
      s,
      ts,
    ]),
    [
      ["i", "7 callbacks before this were dropped", "g", 17_000],
      ["X", "delayedCall call 7", undefined, 17_000],
      ["X", "delayedCall call 8", undefined, 18_000],
      ["X", "delayedCall call 9", undefined, 19_000],
    ],
  );
  trace.clear();
  assertEquals([trace.size, trace.dropped], [0, 0]);
  put(trace, "afresh");
  assertEquals(slices(trace).length, 1);
});

Deno.test("ChromeTrace shows what still runs, up to now, as unfinished", () => {
  const trace = new ChromeTrace();
  const outer = callback({ kind: "turn", startTime: performance.now() });
  const inner = callback({ startTime: performance.now(), parent: outer });
  for (const one of [outer, inner]) trace.start(one);
  const all = slices(trace);
  assertEquals(all.map(({ cat }) => cat), ["turn", "delayedCall"]);
  assertEquals(all.map(({ args }) => args!.unfinished), [true, true]);
  trace.stop(inner, 1);
  trace.stop(outer, PATIENCE);
  assertEquals(slices(trace).map(({ args }) => args!.unfinished), [
    undefined,
    undefined,
  ]);
});

Deno.test("ChromeTrace says what was thrown, also where that is hostile", () => {
  const trace = new ChromeTrace();
  const hostile = Object.defineProperty(new Error(), "message", {
    get() {
      throw new Error("not even that");
    },
  });
  for (const error of [new RangeError("too far"), hostile]) {
    const one = callback({ error });
    trace.start(one);
    trace.stop(one, 0);
  }
  assertEquals(slices(trace).map(({ args }) => args!.error).sort(), [
    "RangeError: too far",
    "an error that says nothing",
  ]);
});

Deno.test("ChromeTrace cuts labels of megabytes, and takes any character", () => {
  const trace = new ChromeTrace();
  put(trace, "x".repeat(5_000_000));
  put(trace, '"\n\0\ud800\u2028</script>\\');
  assertLess(`${trace}`.length, 3000);
  assertStringIncludes(
    slices(trace).map(({ args }) => args!.label).join(),
    '"\n\0\ud800\u2028</script>\\',
  );
});

Deno.test("ChromeTrace.writeTo() writes the same in pieces, and closes the stream", async () => {
  const trace = new ChromeTrace();
  for (let i = 0; i < 2000; i++) put(trace, `call ${i}`, i);
  const pieces: Uint8Array[] = [];
  let isClosed = false;
  const written = trace.writeTo(
    new WritableStream({
      write: (piece) => void pieces.push(piece),
      close: () => void (isClosed = true),
    }),
  );
  const text = `${trace}`;
  put(trace, "too late");
  await deadline(written, PATIENCE);
  assert(isClosed);
  assertGreater(pieces.length, 1);
  assertEquals(await new Blob(pieces as BlobPart[]).text(), text);
});

Deno.test("ChromeTrace.writeTo() rejects with what the stream says", async () => {
  const writable = new WritableStream({
    write() {
      throw new Error("the disk is full");
    },
  });
  await assertRejects(
    () => new ChromeTrace().writeTo(writable),
    Error,
    "the disk is full",
  );
});

Deno.test("ChromeTrace refuses bad options, and names them", () => {
  for (
    const [options, Class, message] of [
      [null, TypeError, '"options" must be an object, received null'],
      [{ limit: "1" }, TypeError, '"options.limit" must be an integer'],
      [{ limit: 0 }, RangeError, '"options.limit" must be an integer'],
      [{ limit: 1.5 }, RangeError, '"options.limit" must be an integer'],
      [{ processName: 7 }, TypeError, '"options.processName" must be a string'],
      [{ threadName: 7 }, TypeError, '"options.threadName" must be a string'],
    ] as const
  ) {
    assertThrows(
      () => new ChromeTrace(options as unknown as { limit: number }),
      Class,
      `Cannot make a trace: ${message}`,
    );
  }
});
