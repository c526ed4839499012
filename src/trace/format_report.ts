/**
 * What a reactor does, as a table that people read.
 *
 * @module
 */

import { checkInteger } from "../../ffi/arguments.ts";
import { POLL } from "../../ffi/constants.ts";
import { complaint } from "../arguments.ts";
import type { DescriptorReport } from "../descriptors.ts";
import type { ReactorReport } from "../reactor.ts";
import { type Column, cutTo, formatTable, printable } from "./table.ts";

/**
 * Options of {@linkcode formatReport}.
 *
 * @example As wide as the terminal
 * ```ts
 * import { reactor } from "@interleave/reactor";
 * import { formatReport } from "@interleave/reactor/trace";
 * import { assert } from "@std/assert";
 *
 * const columns = Deno.stdout.isTerminal() ? Deno.consoleSize().columns : 60;
 * const table = formatReport(reactor.inspect(), { columns });
 * assert(table.split("\n").every((line) => line.length <= columns));
 * ```
 */
export interface FormatReportOptions {
  /**
   * How wide it may be, in columns of a terminal.
   *
   * @default {80}
   */
  columns?: number;
}

const HOSTS: Record<ReactorReport["host"], string> = {
  none: "not started",
  deno: "on Deno's own loop",
  iterate: "driven by iterate()",
  waker: "in a host that its waker reaches",
  queue: "in a program that takes from its queue",
  native: "in a toolkit that blocks the main thread",
};

/** What a wait of an attached loop asks for, in words. */
const EVENTS = [
  [POLL.IN, "readable"],
  [POLL.OUT, "writable"],
  [POLL.PRI, "priority"],
] as const;

/** So much of a reactor's label is shown, in columns. */
const LONGEST_NAME = 30;

/** Narrower than that nothing can be told. */
const LEAST_COLUMNS = 50;

/**
 * Renders what `reactor.inspect()` has said as a table: the descriptors, who
 * watches them, and whether that keeps the process alive; the delayed calls, the
 * nearest first; attached loops; threads; and the counters.
 *
 * Long labels are cut. What a terminal would obey is shown as an escape.
 *
 * @param report What `reactor.inspect()` returns.
 * @returns Lines, without a newline at the end.
 * @throws {TypeError} When an argument is of the wrong type.
 * @throws {RangeError} When `columns` is not an integer of at least 50.
 *
 * @example Usage
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { formatReport } from "@interleave/reactor/trace";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await using reactor = new Reactor({ label: "mine" });
 * reactor.callLater(60_000, function remind() {});
 * const table = formatReport(reactor.inspect());
 * assertStringIncludes(table, 'Reactor "mine": not started');
 * assertStringIncludes(table, "remind");
 * ```
 */
export function formatReport(
  report: ReactorReport,
  options: FormatReportOptions = {},
): string {
  const action = "format a report";
  if (typeof report !== "object" || report === null) {
    throw new TypeError(complaint(report, action, "report", "a report"));
  }
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { columns = 80 } = options;
  checkInteger(columns, action, "options.columns", LEAST_COLUMNS);
  return [
    head(report, columns),
    ...section("Descriptors", DESCRIPTORS, descriptors(report), columns),
    ...section("Delayed calls", CALLS, calls(report), columns),
    ...section("Attached loops", LOOPS, loops(report), columns),
    ...section("Threads", THREADS, threads(report), columns),
    ["Counters", ...formatTable(COUNTERS, counters(report, columns), columns)]
      .join("\n"),
  ].join("\n\n");
}

/** Who it is, where it runs, and what keeps the process alive. */
function head(report: ReactorReport, columns: number): string {
  const { label, host, running, backend, signal } = report;
  const state = [
    HOSTS[host],
    host !== "none" && !running ? "starting or stopping" : "",
    backend,
    signal === undefined ? "" : `stopped by ${signal}`,
  ].filter((text) => text !== "").join(", ");
  const name = label === undefined
    ? "Reactor"
    : `Reactor ${cutTo(quoted(label), LONGEST_NAME)}`;
  return [
    cutTo(`${name}: ${state}`, columns),
    cutTo(`Keeps the process alive: ${reasons(report)}`, columns),
  ].join("\n");
}

/** What keeps the process alive, in words. */
function reasons({ keepsAlive }: ReactorReport): string {
  const { run, descriptors, delayedCalls, attachments, threads } = keepsAlive;
  const all = [
    run ? "run()" : "",
    count(descriptors, "watcher"),
    count(delayedCalls, "delayed call"),
    count(attachments, "attached loop"),
    count(threads, "threaded call"),
  ].filter((text) => text !== "");
  return all.length === 0 ? "nothing of this reactor" : all.join(", ");
}

function count(number: number, what: string): string {
  return number === 0 ? "" : `${number} ${what}${number === 1 ? "" : "s"}`;
}

function section(
  title: string,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  if (rows.length === 0) return [];
  return [[title, ...formatTable(columns, rows, width)].join("\n")];
}

const DESCRIPTORS: readonly Column[] = [
  { header: "fd", right: true },
  { header: "waits for", flexible: true },
  { header: "watched by" },
  { header: "label", flexible: true },
  { header: "keeps alive" },
];

/** A line for each who watches: the number stands in the first. */
function descriptors({ descriptors, keepsAlive }: ReactorReport): string[][] {
  return descriptors.toSorted((a, b) => a.fd - b.fd).flatMap((descriptor) =>
    descriptor.watchers.map(({ kind, label, persistent }, i) => [
      i === 0 ? String(descriptor.fd) : "",
      i === 0 ? waitsFor(descriptor) : "",
      kind,
      label === undefined ? "" : quoted(label),
      yes(persistent && keepsAlive.descriptors > 0),
    ])
  );
}

function waitsFor({ interest, resting }: DescriptorReport): string {
  if (resting) return "nothing: resting";
  return interest.length === 0 ? "nothing" : interest.join(", ");
}

const THREADS: readonly Column[] = [
  { header: "in the pool", right: true },
  { header: "busy", right: true },
  { header: "queued calls", right: true },
  { header: "handles", right: true },
];

/** One line, if there is anything to tell. */
function threads({ threads }: ReactorReport): string[][] {
  const { size, busy, queued, handles } = threads;
  const numbers = [size, busy, queued, handles];
  return numbers.some((number) => number > 0) ? [numbers.map(String)] : [];
}

const CALLS: readonly Column[] = [
  { header: "due in", right: true },
  { header: "function", flexible: true },
  { header: "keeps alive" },
];

function calls({ delayedCalls, keepsAlive }: ReactorReport): string[][] {
  return delayedCalls.toSorted((a, b) => a.time - b.time).map((
    { left, name, persistent },
  ) => [
    left === undefined ? "?" : duration(left),
    name ?? "(without a name)",
    yes(persistent && keepsAlive.delayedCalls > 0),
  ]);
}

const LOOPS: readonly Column[] = [
  { header: "stepped in", right: true },
  { header: "waits for", flexible: true },
];

function loops({ attachments }: ReactorReport): string[][] {
  return attachments.map(({ timeout, descriptors }) => [
    timeout < 0 ? "" : duration(timeout),
    descriptors.map(({ fd, events }) => {
      const all = EVENTS.filter(([bit]) => (events & bit) !== 0);
      return [fd, ...all.map(([, word]) => word)].join(" ");
    }).join(", "),
  ]);
}

const COUNTERS: readonly Column[] = [
  { header: "", right: true },
  { header: "" },
  { header: "", right: true },
  { header: "" },
];

/** For two counters of ten digits side by side. */
const TWO_COUNTERS = 72;

function counters({ counters }: ReactorReport, columns: number): string[][] {
  const all = [
    [counters.turns, "turns"],
    [counters.rounds, "rounds"],
    [counters.events, "callbacks"],
    [counters.inlineHits, "rounds by looking again"],
    [counters.parks, "waits"],
    [counters.wakes, "waits cut short"],
    [counters.spins, "spinning descriptors"],
    [counters.slowRounds, "slow rounds"],
    [counters.overdue, "work items overdue"],
  ].map((pair) => pair.map(String));
  if (columns < TWO_COUNTERS) return all.map((pair) => [...pair, "", ""]);
  return all.flatMap((pair, i) =>
    i % 2 === 0 ? [[...pair, ...all[i + 1] ?? ["", ""]]] : []
  );
}

function yes(value: boolean): string {
  return value ? "yes" : "no";
}

function quoted(text: string): string {
  return `"${printable(text)}"`;
}

/** Milliseconds in the unit that fits. */
function duration(ms: number): string {
  const size = Math.abs(ms);
  if (size < 1000) return `${ms.toFixed(1)} ms`;
  if (size < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (size < 3_600_000) return `${(ms / 60_000).toFixed(1)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}
