/**
 * Writes BENCHMARKS.md, its plots, and what the README has of them.
 *
 * @module
 */

import { caseTable, number, type Table, verdictTable } from "./format.ts";
import type { Machine } from "./machine.ts";
import { type Picture, plotAll } from "./plots.ts";
import type { Row } from "./row.ts";
import { measured, type Results } from "./run.ts";
import type { Verdict } from "./targets.ts";

/** All that the report tells. */
export interface Report {
  /** What was measured on. */
  readonly machine: Machine;
  /** The command that was run. */
  readonly command: string;
  /** How many rounds there were. */
  readonly rounds: number;
  /** How long it took, in minutes. */
  readonly minutes: number;
  /** The rows. */
  readonly rows: readonly Row[];
  /** What was measured. */
  readonly results: Results;
  /** What became of the targets. */
  readonly verdicts: readonly Verdict[];
  /** A line for each peer that is missing. */
  readonly absences: readonly string[];
}

/** Where the pictures go, beside the report. */
const FOLDER = "benchmarks";

/** Writes the report into a folder. */
export async function writeReport(root: string, report: Report): Promise<void> {
  const pictures = plotAll(report.rows, report.results);
  await Deno.mkdir(`${root}/${FOLDER}`, { recursive: true });
  for (const { file, svg } of pictures) {
    await Deno.writeTextFile(`${root}/${FOLDER}/${file}`, svg);
  }
  const path = `${root}/BENCHMARKS.md`;
  await Deno.writeTextFile(path, toMarkdown(report, pictures));
  const readme = `${root}/README.md`;
  const text = withHighlights(await Deno.readTextFile(readme), report.verdicts);
  await Deno.writeTextFile(readme, text);
  // All has to stand as the gate wants it.
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", path, readme, `${root}/${FOLDER}`],
  }).output();
  if (!success) throw new Error(`Cannot format "${path}"`);
}

/** Between these two lines of the README stands what it has of the report. */
const MARKS = ["<!-- benchmarks -->\n", "<!-- /benchmarks -->"] as const;

/** Puts the most telling figures into the README. */
export function withHighlights(
  readme: string,
  verdicts: readonly Verdict[],
): string {
  const [begin, end] = MARKS.map((mark) => readme.indexOf(mark)) as [
    number,
    number,
  ];
  if (begin < 0 || end < begin) {
    throw new Error("The README has no place for benchmarks");
  }
  const lines = verdicts.flatMap(({ target, summary }) =>
    target.telling === undefined || summary === undefined
      ? []
      : [`- ${target.telling.replace("{}", number(summary.median))}\n`]
  );
  return `${readme.slice(0, begin)}${MARKS[0]}\n${lines.join("")}\n${
    readme.slice(end)
  }`;
}

/** The report as text. */
export function toMarkdown(
  report: Report,
  pictures: readonly Picture[],
): string {
  const { machine, command, rounds, minutes, rows, results, verdicts } = report;
  return [
    "# Benchmarks",
    `\`${command}\` has written this page and all figures in it, in one run that took ${
      Math.ceil(minutes)
    } min.`,
    `A number is the median of ${rounds} round${
      rounds > 1 ? "s" : ""
    }; each round has everybody in turn, and no round was left out or repeated. A ratio is that of the first line to this one, made round by round; in parentheses are the lowest and the highest. Absolute numbers move from minute to minute on most machines, so only ratios tell anything, and a ratio of rates between 0.87 and 1.15 is noise. Everything that is measured has a process of its own.`,
    table({ head: ["", ""], lines: [...machine].map((line) => [...line]) }),
    ...report.absences.map((absence) => `- ${absence}`),
    "## Targets",
    table(verdictTable(verdicts)),
    ...explain(verdicts),
    ...pictures.map(({ file, title }) => `![${title}](${FOLDER}/${file})`),
    ...rows.flatMap((row) => {
      const cases = row.cases.filter((one) =>
        measured(one, results).length > 0
      );
      if (cases.length === 0) return [];
      return [
        `## ${row.title}`,
        row.method,
        ...cases.flatMap((one) => [
          `### ${row.title}: ${one.title}`,
          table(caseTable(row, one, results)),
        ]),
      ];
    }),
  ].join("\n\n") + "\n";
}

/** Where the time goes in the rows that were missed. */
function explain(verdicts: readonly Verdict[]): string[] {
  const missed = verdicts.filter(({ word, target }) =>
    word === "missed" && target.profile !== undefined
  );
  if (missed.length === 0) return [];
  const profiles = Map.groupBy(missed, ({ target }) => target.profile!);
  return [
    "Where the time goes in those that were missed:",
    [...profiles].map(([profile, verdicts]) =>
      `- ${
        verdicts.map(({ target }) => `"${target.what}"`).join("; ")
      }: ${profile}.`
    ).join("\n"),
  ];
}

function table({ head, lines }: Table): string {
  return [
    row(head),
    row(head.map((_, column) => column === 0 ? "---" : "---:")),
    ...lines.map(row),
  ].join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${
    cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;"))
      .join(" | ")
  } |`;
}
