/**
 * The benchmark: everybody side by side, in one run.
 *
 *     deno task bench [--quick] [--rounds N] [--only KEY] [--write]
 *
 * It has all permissions, because it compiles programs and runs them, and reads
 * what the system knows about them. A reactor needs `--allow-ffi` only.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { describeMachine } from "./machine.ts";
import { writeReport } from "./markdown.ts";
import { killAll } from "./processes.ts";
import { printRows, printVerdicts } from "./report.ts";
import type { Row } from "./row.ts";
import { run } from "./run.ts";
import { allRows } from "./rows/all.ts";
import { isTargeted, judge } from "./targets.ts";
import { Tools } from "./tools.ts";

const USAGE = `deno task bench [OPTIONS]

  --quick      two short rounds of what the targets ask for; takes a minute
  --rounds N   so many rounds (default: 5, with --quick 2)
  --only KEY   one row ("tcp") or case ("tcp/64/100"); may be repeated
  --write      write BENCHMARKS.md and its plots`;

/** What was asked for. */
interface Wish {
  readonly quick: boolean;
  readonly write: boolean;
  readonly rounds: number;
  readonly only: readonly string[];
}

/** Runs the benchmark; returns the status to exit with. */
async function main(): Promise<number> {
  const wish = parse(Deno.args);
  if (typeof wish === "string") {
    console.error(wish);
    return 2;
  }
  const begun = performance.now();
  using tools = await Tools.find();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      killAll();
      tools[Symbol.dispose]();
      Deno.exit(signal === "SIGINT" ? 130 : 143);
    });
  }
  const rows = choose(allRows({ quick: wish.quick, tools }), wish.only);
  if (rows.length === 0) {
    console.error(`There is no row "${wish.only.join('", "')}"`);
    return 2;
  }
  const machine = describeMachine(tools.versions);
  for (const [name, value] of machine) console.log(`${name}: ${value}`);
  for (const absence of tools.absences()) console.log(absence);

  const results = await run(rows, {
    rounds: wish.rounds,
    wanted: (key, who) => !wish.quick || isTargeted(key, who),
    progress,
  });
  progress("");
  const verdicts = judge(
    results,
    (key, who) => absence(rows, key, who),
    (key) => rows.some((row) => row.cases.some((one) => one.key === key)),
  );
  console.log(
    `\nMedians of ${wish.rounds} round${
      wish.rounds > 1 ? "s" : ""
    }; a ratio is that of the first line to this one, round by round, with the lowest and the highest in parentheses`,
  );
  printRows(rows, results);
  printVerdicts(verdicts);
  const minutes = (performance.now() - begun) / 60_000;
  console.log(`\n${minutes.toFixed(1)} minutes`);
  if (wish.write) {
    const root = new URL("../../", import.meta.url).pathname;
    await writeReport(root, {
      machine,
      command: `deno task bench ${Deno.args.join(" ")}`,
      rounds: wish.rounds,
      minutes,
      rows,
      results,
      verdicts,
      absences: tools.absences(),
    });
    console.log("BENCHMARKS.md is written");
  }
  return 0;
}

/** Reads the command line; a text says what is wrong with it. */
function parse(args: string[]): Wish | string {
  try {
    const { values } = parseArgs({
      args,
      options: {
        quick: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        rounds: { type: "string" },
        only: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return USAGE;
    const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
    if (!Number.isInteger(rounds) || rounds < 1) {
      return `Cannot run "${values.rounds}" rounds: --rounds takes a whole number from 1`;
    }
    if (values.write && values.only.length > 0) {
      return "Cannot write a report of some rows only: leave out --only or --write";
    }
    return { ...values, rounds };
  } catch (error) {
    return `${(error as Error).message}\n\n${USAGE}`;
  }
}

/** The rows and cases that were named; all of them if none was. */
function choose(rows: Row[], only: readonly string[]): Row[] {
  if (only.length === 0) return rows;
  return rows
    .map((row) => ({
      ...row,
      cases: row.cases.filter(({ key }) =>
        only.some((name) => key === name || key.startsWith(`${name}/`))
      ),
    }))
    .filter((row) => row.cases.length > 0);
}

/** Why somebody cannot take part in a case. */
function absence(
  rows: readonly Row[],
  key: string,
  who: string,
): string | undefined {
  return rows.flatMap((row) => row.cases).find((one) => one.key === key)
    ?.contestants.find((contestant) => contestant.who === who)?.absent;
}

/** One line that is written over; nothing where nobody watches. */
function progress(text: string): void {
  if (!Deno.stderr.isTerminal()) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

try {
  Deno.exitCode = await main();
} finally {
  killAll();
}
