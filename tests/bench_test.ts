import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { toMarkdown, withHighlights } from "./bench/markdown.ts";
import { plot } from "./bench/plot.ts";
import type { Row } from "./bench/row.ts";
import { measured, Results, run } from "./bench/run.ts";
import { median, quantile, ratios, summarize } from "./bench/statistics.ts";
import { judge } from "./bench/targets.ts";

Deno.test("median() is in the middle, or between the two in the middle", () => {
  assertEquals(median([3]), 3);
  assertEquals(median([9, 1, 4]), 4);
  assertEquals(median([9, 1, 4, 2]), 3);
  assertThrows(() => median([]), RangeError, '"values" must not be empty');
});

Deno.test("quantile() is the smallest value that so many do not exceed", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals(quantile(hundred, 0.5), 50);
  assertEquals(quantile(hundred, 0.99), 99);
  assertEquals(quantile(hundred, 1), 100);
  assertEquals(quantile(hundred, 0), 1);
  assertEquals(quantile([7], 0.99), 7);
  assertThrows(() => quantile([], 0.5), RangeError);
});

Deno.test("ratios() divides round by round", () => {
  assertEquals(ratios([2, 6, 5], [1, 2, 10]), [2, 3, 0.5]);
  assertThrows(() => ratios([1], [1, 2]), RangeError, "1 rounds and 2");
});

Deno.test("summarize() tells the median and the extremes", () => {
  assertEquals(summarize([5, 1, 3]), { median: 3, low: 1, high: 5, count: 3 });
});

Deno.test("run() has everybody once in each round, and keeps what failed", async () => {
  const order: string[] = [];
  const rows = [row("timers", {
    interleave: () => {
      order.push("interleave");
      return { cancel: 100, p50: 60 };
    },
    "Deno native": () => {
      order.push("Deno native");
      if (order.length > 2) throw new Error("It died");
      return { cancel: 1000, p50: 1100 };
    },
  })];
  const results = await run(rows, {
    rounds: 2,
    wanted: () => true,
    progress() {},
  });
  assertEquals(order, [
    "interleave",
    "Deno native",
    "interleave",
    "Deno native",
  ]);
  assertEquals(results.series("timers", "interleave", "cancel"), [100, 100]);
  assertEquals(results.series("timers", "Deno native", "cancel"), undefined);
  assertEquals(
    results.failure("timers", "Deno native"),
    "failed (1 of 2 rounds): It died",
  );
  assertEquals(measured(rows[0]!.cases[0]!, results).length, 2);
  for (const { word } of judge(results, nothing, isTimers)) {
    assertEquals(word, "failed (1 of 2 rounds): It died (Deno native)");
  }
});

Deno.test("run() leaves out who is absent, and judge() says why", async () => {
  const [one] = [row("timers", { interleave: () => ({ cancel: 1, p50: 1 }) })];
  const results = await run([one], {
    rounds: 1,
    wanted: () => true,
    progress() {},
  });
  const verdicts = judge(results, () => "python3-twisted", isTimers);
  assert(verdicts.length > 0);
  for (const { word } of verdicts) {
    assertEquals(word, "missing: python3-twisted");
  }
});

Deno.test("judge() compares the median of the ratios with the target", () => {
  const results = new Results();
  for (const [mine, theirs] of [[10, 100], [20, 100], [90, 100]]) {
    results.add("timers", "interleave", { cancel: mine!, p50: 1 });
    results.add("timers", "Deno native", { cancel: theirs!, p50: 1000 });
  }
  const words = new Map(
    judge(results, nothing, isTimers).map(({ target, word, summary }) => [
      target.metric,
      [word, summary?.median],
    ]),
  );
  assertEquals(words.get("cancel"), ["missed", 0.2]);
  assertEquals(words.get("p50"), ["met", 0.001]);
});

Deno.test("toMarkdown() has the machine, the missing, the verdicts and the rows", async () => {
  const rows = [row("timers", { interleave: () => ({ cancel: 123, p50: 1 }) })];
  const results = await run(rows, {
    rounds: 1,
    wanted: () => true,
    progress() {},
  });
  const text = toMarkdown({
    machine: new Map([["Date", "today"]]),
    command: "deno task bench",
    rounds: 1,
    minutes: 1,
    rows,
    results,
    verdicts: judge(results, nothing, isTimers),
    absences: ["missing: python3-trio (trio)"],
  }, [{ file: "a.svg", title: "A plot", svg: "" }]);
  assertStringIncludes(text, "| Date | today |");
  assertStringIncludes(text, "missing: python3-trio (trio)");
  assertStringIncludes(text, "| interleave | 123 |");
  assertStringIncludes(text, "| &lt;= 0.15 |  | not measured |");
  assertStringIncludes(text, "![A plot](benchmarks/a.svg)");
});

Deno.test("toMarkdown() says where the time goes in what was missed, once for each profile", () => {
  const target = { key: "k", metric: "m", who: "we", atMost: 1 };
  const summary = summarize([2]);
  const text = toMarkdown({
    machine: new Map(),
    command: "deno task bench",
    rounds: 1,
    minutes: 1,
    rows: [],
    results: new Results(),
    verdicts: [
      { target: { ...target, what: "A", profile: "here" }, word: "missed" },
      { target: { ...target, what: "B", profile: "here" }, word: "missed" },
      { target: { ...target, what: "C", profile: "there" }, word: "met" },
      { target: { ...target, what: "D" }, word: "missed", summary },
    ],
    absences: [],
  }, []);
  assertStringIncludes(text, '- "A"; "B": here.');
  assert(!text.includes("there"));
});

Deno.test("withHighlights() puts the telling figures between the marks, and nothing else anywhere", () => {
  const target = { key: "k", metric: "m", who: "we", what: "A" };
  const telling = "It is **{}** times as much.";
  const verdicts = [
    {
      target: { ...target, telling },
      word: "met",
      summary: summarize([1, 2.5, 3]),
    },
    { target: { ...target, telling }, word: "not measured" },
    { target, word: "met", summary: summarize([7]) },
  ];
  const marks = ["<!-- benchmarks -->\n", "<!-- /benchmarks -->"];
  assertEquals(
    withHighlights(`before ${marks[0]}old\n${marks[1]} after`, verdicts),
    `before ${marks[0]}\n- It is **2.50** times as much.\n\n${marks[1]} after`,
  );
  assertThrows(() => withHighlights("no place", verdicts), Error, "no place");
});

Deno.test("plot() draws each line with its name, and a bar from low to high", () => {
  const svg = plot([
    { name: "a < b", points: [{ x: 1, median: 10, low: 5, high: 20 }] },
    {
      name: "c",
      points: [
        { x: 1, median: 10, low: 10, high: 10 },
        { x: 10, median: 100, low: 100, high: 100 },
      ],
    },
  ], { title: "T", xTitle: "x", yTitle: "y" });
  assertStringIncludes(svg, ">a &lt; b</text>");
  assertStringIncludes(svg, ">c</text>");
  assertEquals(svg.match(/<circle/g)?.length, 3);
  assert(!svg.includes("NaN"));
});

Deno.test("main.ts prints a row with its verdicts", async () => {
  const { success, stdout, stderr } = await bench(
    ...["--quick", "--only", "timers", "--rounds", "2"],
  );
  assert(success, stderr);
  assertStringIncludes(stdout, "Processor: ");
  assertStringIncludes(stdout, "timers: callLater() and setTimeout()");
  for (const who of ["interleave", "Deno native"]) {
    assert(new RegExp(`^ +${who} +[0-9.]+k? `, "m").test(stdout), stdout);
  }
  const verdicts = stdout.match(/^ +callLater\(\).* (met|missed)$/gm);
  assertEquals(verdicts?.length, 2, stdout);
});

Deno.test("main.ts refuses what it does not know", async () => {
  for (
    const [args, complaint] of [
      [["--only", "nothing"], 'There is no row "nothing"'],
      [["--rounds", "0"], 'Cannot run "0" rounds'],
      [["--slow"], "--slow"],
      [["--write", "--only", "tcp"], "Cannot write a report of some rows only"],
    ] as const
  ) {
    const { success, stderr } = await bench(...args);
    assert(!success);
    assertStringIncludes(stderr, complaint);
  }
});

async function bench(
  ...args: string[]
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const main = new URL("./bench/main.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-all", main, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return {
    success,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** A row with one case of the same name. */
function row(
  key: string,
  contestants: Record<string, () => Record<string, number>>,
): Row {
  return {
    key,
    title: key,
    method: "by hand",
    metrics: [{ name: "cancel", title: "cancel", unit: "ns" }],
    cases: [{
      key,
      title: key,
      contestants: Object.entries(contestants).map(([who, measure]) => ({
        who,
        // deno-lint-ignore require-await
        measure: async () => measure(),
      })),
    }],
  };
}

function isTimers(key: string): boolean {
  return key === "timers";
}

function nothing(): undefined {}
