/**
 * A table on request.
 *
 * @module
 */

import { checkFunction, checkString, complaint } from "../arguments.ts";
import { print as printToConsole } from "../print.ts";
import type { ReactorReport } from "../reactor.ts";
import { formatReport } from "./format_report.ts";

/**
 * A reactor, or what else can be inspected.
 *
 * @example Two reactors, told apart by their labels
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { formatReport, type Inspectable } from "@interleave/reactor/trace";
 * import { assertStringIncludes } from "@std/assert";
 *
 * function show(...all: Inspectable[]): string {
 *   return all.map((one) => formatReport(one.inspect())).join("\n\n");
 * }
 *
 * const tables = show(new Reactor({ label: "web" }), new Reactor({ label: "bus" }));
 * assertStringIncludes(tables, "web");
 * assertStringIncludes(tables, "bus");
 * ```
 */
export interface Inspectable {
  /** What it does at present. */
  inspect(): ReactorReport;
}

/**
 * Options of {@linkcode inspectOnSignal}.
 *
 * @example Into a log, by another signal
 * ```ts
 * import { reactor } from "@interleave/reactor";
 * import { libc } from "@interleave/reactor/ffi";
 * import { inspectOnSignal } from "@interleave/reactor/trace";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<string>();
 * const options = { signal: "SIGWINCH", print: resolve } as const;
 * using _listening = inspectOnSignal(reactor, options);
 * using _work = reactor.callLater(60_000, () => {}); // Listening keeps nothing alive.
 *
 * const SIGWINCH = 28;
 * libc().kill(Deno.pid, SIGWINCH); // kill -WINCH, from a shell.
 * assertStringIncludes(await promise, "Delayed calls");
 * ```
 */
export interface InspectOnSignalOptions {
  /**
   * Which signal. SIGUSR1 works as well, but Deno heeds it, too (from 2.9.2
   * on): whoever sends it also opens Deno's debugger, on a port of this machine
   * that every local user can reach.
   *
   * @default {"SIGUSR2"}
   */
  signal?: Deno.Signal;
  /**
   * Takes the table.
   *
   * @default {console.error}
   */
  print?: (table: string) => void;
}

/**
 * Prints what a reactor does whenever the process gets a signal: `kill -USR2
 * PID`. Until then it costs nothing, and it keeps nothing alive.
 *
 * Deno hands signals to its own loop. So while something blocks the main
 * thread, a toolkit that the reactor is interleaved with or a dialog of
 * `modal()`, the table is not printed, though the reactor's callbacks run; it
 * is when Deno's loop goes on. There, call `formatReport(reactor.inspect())`
 * from a callback. Beside an attached loop, signals come as usual.
 *
 * @param reactor What to inspect.
 * @returns Stops listening when it is disposed of.
 * @throws {TypeError} When an argument is of the wrong type, or there is no
 * such signal.
 *
 * @example Usage
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import { inspectOnSignal } from "@interleave/reactor/trace";
 *
 * using _listening = inspectOnSignal(reactor);
 * console.log(`kill -USR2 ${Deno.pid} shows what the reactor does`);
 * ```
 */
export function inspectOnSignal(
  reactor: Inspectable,
  options: InspectOnSignalOptions = {},
): Disposable {
  const action = "inspect on a signal";
  if (typeof reactor !== "object" || reactor === null) {
    throw new TypeError(complaint(reactor, action, "reactor", "a reactor"));
  }
  checkFunction(reactor.inspect, action, "reactor.inspect");
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { signal = "SIGUSR2", print = printToConsole } = options;
  checkString(signal, action, "options.signal");
  checkFunction(print, action, "options.print");
  const listener = () => void print(formatReport(reactor.inspect()));
  Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      Deno.removeSignalListener(signal, listener);
    },
  };
}
