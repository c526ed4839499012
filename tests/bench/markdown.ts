/**
 * Writes BENCHMARKS.md and its plots.
 *
 * @module
 */

import { caseTable, type Table, verdictTable } from "./format.ts";
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
  // All has to stand as the gate wants it.
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", path, `${root}/${FOLDER}`],
  }).output();
  if (!success) throw new Error(`Cannot format "${path}"`);
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
