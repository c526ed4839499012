// A short soak, and how it is judged. `deno task soak` runs a long one.

import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { medianSlope } from "./soak/control.ts";
import { noCounters } from "./soak/counters.ts";
import { COUNTED, type Sample } from "./soak/sample.ts";
import { BOUNDS, type Findings, judge } from "./soak/verdict.ts";

/** Far longer than it takes; no test waits for it to pass. */
const PATIENCE = 120_000;

const MB = 2 ** 20;

/** Runs the soak in a process of its own, since it replaces parts of Deno. */
async function runSoak(...args: string[]): Promise<{
  code: number;
  output: string[];
  errors: string;
}> {
  const standIns = new URL("./offline/import_map.json", import.meta.url);
  const isOffline = import.meta.resolve("@std/assert").startsWith("file:");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-all",
      ...isOffline ? [`--import-map=${standIns.pathname}`] : [],
      new URL("./soak/main.ts", import.meta.url).pathname,
      ...args,
    ],
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const [output, errors] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes).trimEnd()
  ) as [string, string];
  return { code, output: output.split("\n"), errors };
}

Deno.test("a short soak of everything loses nothing, and leaves nothing behind", async () => {
  const { code, output, errors } = await runSoak("--minutes", "0.05");
  console.log(output.join("\n"));
  assertEquals(errors, "");
  assertMatch(output[0]!, /^soak: 0.05 min, seed \d+$/);
  assertMatch(
    output.at(-1)!,
    /^soak: passed after \d+\.\d min: [1-9]\d* steps, 0 lost, 0 misdelivered, /,
  );
  assertEquals(code, 0);
});

Deno.test("a soak says what it can do when it is asked for something else", async () => {
  for (
    const [args, message] of [
      [["--only", "nothing"], 'There is no part "nothing"'],
      [["--minutes", "0"], "--minutes takes a number above 0"],
      [["--seed", "x"], "--seed takes an integer"],
      [["--bogus"], "--only PART"],
    ] as const
  ) {
    const { code, errors } = await runSoak(...args);
    assertEquals(code, 2);
    assertStringIncludes(errors, message);
  }
});

/** What is measured of a process that leaves nothing behind. */
const CLEAN: Sample = {
  memory: 100 * MB,
  malloc: 20 * MB,
  heap: 10 * MB,
  workers: 50,
  descriptors: 30,
  threads: 8,
  callbacks: 5,
  timers: 0,
  registrations: 0,
  objects: 0,
};

/** Findings that are in order. */
function findings(changes: Partial<Findings> = {}): Findings {
  return {
    minutes: 5,
    counters: { ...noCounters(), steps: 1000, delivered: 500, spurious: 2 },
    errors: 0,
    samples: new Array(12).fill(CLEAN),
    before: CLEAN,
    after: CLEAN,
    kept: 1024,
    unplayed: [],
    unnoticed: [],
    ...changes,
  };
}

/** Twelve measurements, of which one thing differs. */
function samples(
  key: keyof Sample,
  value: (window: number) => number,
): Sample[] {
  return Array.from(
    { length: 12 },
    (_, window) => ({ ...CLEAN, [key]: CLEAN[key] + value(window) }),
  );
}

Deno.test("judge() passes what is flat, and says so in one line", () => {
  assertEquals(judge(findings()), {
    passed: true,
    line: "soak: passed after 5.0 min: 1000 steps, 0 lost, 0 misdelivered, " +
      "0.4 % spurious; memory +0.00 MB, malloc +0.00 MB (Deno keeps up to " +
      "1.00 KB of a worker, here +0.00 MB of 0), heap +0.00 MB, " +
      "descriptors +0, threads +0, callbacks +0, timers +0, registrations +0, objects +0",
  });
});

for (const key of COUNTED) {
  Deno.test(`judge() fails when there is one more at the end: ${key}`, () => {
    const { passed, line } = judge(
      findings({ samples: samples(key, (window) => window < 6 ? 0 : 1) }),
    );
    assertFalse(passed);
    assertStringIncludes(line, `failed (${key})`);
    assertStringIncludes(line, `${key} +1`);
  });
}

for (const key of ["memory", "malloc", "heap"] as const) {
  Deno.test(`judge() fails when there is more and more, window by window: ${key}`, () => {
    const leak = BOUNDS[key] / 6;
    assertFalse(
      judge(findings({ samples: samples(key, (window) => window * leak) }))
        .passed,
    );
  });

  Deno.test(`judge() passes a measurement that is off, wherever it is: ${key}`, () => {
    for (let off = 0; off < 12; off++) {
      for (const by of [-0.9 * CLEAN[key], 100 * MB]) {
        const noisy = samples(key, (window) => window === off ? by : 0);
        const { passed, line } = judge(findings({ samples: noisy }));
        assert(passed, line);
      }
    }
  });
}

/** What a leak of so many bytes with each of 100 workers a window looks like. */
function leaking(bytes: number): Sample[] {
  return Array.from({ length: 12 }, (_, window) => ({
    ...CLEAN,
    malloc: CLEAN.malloc + 100 * window * bytes,
    workers: CLEAN.workers + 100 * window,
  }));
}

Deno.test("judge() passes what Deno keeps of workers, and fails when their reactors leave more", () => {
  const kept = 4096;
  const clean = judge(findings({ samples: leaking(kept), kept }));
  assert(clean.passed, clean.line);
  assertStringIncludes(
    clean.line,
    "malloc +3.13 MB (Deno keeps up to 4.00 KB of a worker, here +3.13 MB of 800)",
  );
  const { passed, line } = judge(
    findings({ samples: leaking(2 * kept), kept }),
  );
  assertFalse(passed);
  assertStringIncludes(line, "failed (malloc)");
});

Deno.test("medianSlope() is the slope of a line, with an odd point as well", () => {
  assertEquals(medianSlope([1, 3, 5, 7, 9]), 2);
  assertEquals(medianSlope([1, 3, 100, 7, 9]), 2);
  assertEquals(medianSlope([5, 4, 3]), -1);
});

Deno.test("judge() fails when the last reactor leaves something", () => {
  const after = { ...CLEAN, descriptors: CLEAN.descriptors + 2 };
  const { passed, line } = judge(findings({ after }));
  assertFalse(passed);
  assertStringIncludes(line, "descriptors +2");
});

Deno.test("judge() fails when something went wrong, or nothing was done", () => {
  const counters = findings().counters;
  for (
    const [changes, reason] of [
      [{ counters: noCounters() }, "nothing was done"],
      [{ counters: { ...counters, lost: 1 } }, "lost"],
      [{ counters: { ...counters, misdelivered: 1 } }, "misdelivered"],
      [{ errors: 2 }, "2 errors"],
      [{ unplayed: ["tcp"] }, "not played: tcp"],
      [{ unnoticed: ["threads"] }, "not noticed when planted: threads"],
      [{ samples: [CLEAN] }, "too few measurements"],
    ] as const
  ) {
    const { passed, line } = judge(findings(changes));
    assertFalse(passed);
    assertStringIncludes(line, `soak: failed (${reason}) after`);
  }
});
