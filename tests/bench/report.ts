/**
 * The report on the console.
 *
 * @module
 */

import { caseTable, type Table, verdictTable } from "./format.ts";
import type { Row } from "./row.ts";
import { measured, type Results } from "./run.ts";
import type { Verdict } from "./targets.ts";

/** Prints the tables of some rows. */
export function printRows(rows: readonly Row[], results: Results): void {
  for (const row of rows) {
    const cases = row.cases.filter((one) => measured(one, results).length > 0);
    if (cases.length === 0) continue;
    console.log(`\n${row.title}`);
    console.log(row.method);
    for (const one of cases) {
      console.log(`\n${one.key}: ${one.title}`);
      print(caseTable(row, one, results));
    }
  }
}

/** Prints what became of the targets. */
export function printVerdicts(verdicts: readonly Verdict[]): void {
  if (verdicts.length === 0) return;
  console.log("\nTargets");
  print(verdictTable(verdicts));
}

/** Numbers stand right under each other, words begin at the left. */
function print({ head, lines }: Table): void {
  const widths = head.map((title, column) =>
    Math.max(
      title.length,
      ...lines.map((line) => isRemark(line, column) ? 0 : line[column]!.length),
    )
  );
  for (const line of [head, ...lines]) {
    const cells = line.map((cell, column) =>
      column === 0 || isRemark(line, column)
        ? cell.padEnd(widths[column]!)
        : cell.padStart(widths[column]!)
    );
    console.log(`  ${cells.join("  ").trimEnd()}`);
  }
}

/** A text instead of numbers, which may run over the columns behind it. */
function isRemark(line: readonly string[], column: number): boolean {
  return column > 0 && line[column]!.startsWith("failed");
}
