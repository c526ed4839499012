/**
 * Looking at a reactor: what it does at present, as a table, and what it did
 * when, as a trace.
 *
 * | to | use |
 * |---|---|
 * | print what a reactor does | {@linkcode formatReport} with `reactor.inspect()` |
 * | have that printed on request, by a signal | {@linkcode inspectOnSignal} |
 * | see callbacks in time, in Perfetto, `chrome://tracing` or DevTools | {@linkcode ChromeTrace} |
 * | send them where OpenTelemetry's spans go | {@linkcode OpenTelemetryTrace} |
 * | do anything else with them | a {@linkcode TraceHook} of your own |
 *
 * A trace is an object that a reactor is given, at its beginning or while it
 * runs. Without one nothing is measured.
 *
 * @example A table, and a trace
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { ChromeTrace, formatReport } from "@interleave/reactor/trace";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const trace = new ChromeTrace();
 * const reactor = new Reactor({ label: "mine", trace });
 * reactor.callLater(5, function tick() {
 *   console.log(formatReport(reactor.inspect()));
 *   reactor.stop();
 * });
 * await reactor.run();
 *
 * const json = `${trace}`; // Or into a file: trace.writeTo(file.writable).
 * assertStringIncludes(json, "delayedCall tick");
 * ```
 *
 * @module
 */

export { ChromeTrace } from "./chrome_trace.ts";
export type { ChromeTraceOptions } from "./chrome_trace.ts";
export { formatReport } from "./format_report.ts";
export type { FormatReportOptions } from "./format_report.ts";
export { inspectOnSignal } from "./inspect_on_signal.ts";
export type {
  Inspectable,
  InspectOnSignalOptions,
} from "./inspect_on_signal.ts";
export { OpenTelemetryTrace } from "./opentelemetry_trace.ts";
export type {
  ContextApi,
  TraceSpan,
  TraceSpanOptions,
  TraceTracer,
} from "./opentelemetry_trace.ts";
export type { CallbackKind, TracedCallback, TraceHook } from "./tracing.ts";
