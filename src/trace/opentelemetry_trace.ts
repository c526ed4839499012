/**
 * Traces as OpenTelemetry's spans. Nothing of OpenTelemetry is loaded here: who
 * wants spans has its API, and gives the parts of it that are needed.
 *
 * @module
 */

import { checkFunction, complaint } from "../arguments.ts";
import type { TracedCallback, TraceHook } from "./tracing.ts";
import { errorInWords, shortened, titleOf } from "./words.ts";

/** `SpanStatusCode.ERROR`. */
const ERROR = 2;

/**
 * What is needed of a `Span`.
 *
 * @example A tracer that prints
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import {
 *   type ContextApi,
 *   OpenTelemetryTrace,
 *   type TraceSpan,
 *   type TraceSpanOptions,
 *   type TraceTracer,
 * } from "@interleave/reactor/trace";
 * import { assertEquals } from "@std/assert";
 *
 * const ended: string[] = [];
 * class Span implements TraceSpan {
 *   constructor(readonly name: string, readonly options?: TraceSpanOptions) {}
 *   setAttribute() {}
 *   setStatus() {}
 *   end() {
 *     ended.push(this.name);
 *   }
 * }
 * const tracer: TraceTracer<Span, Span | undefined> = {
 *   startSpan: (name, options) => new Span(name, options),
 * };
 * const api: ContextApi<Span, Span | undefined> = {
 *   trace: { setSpan: (_context, span) => span },
 *   context: { active: () => undefined },
 * };
 *
 * await using reactor = new Reactor();
 * reactor.trace = new OpenTelemetryTrace(tracer, api);
 * reactor.callLater(1, function tick() {
 *   reactor.stop();
 * });
 * await reactor.run();
 * assertEquals(ended, ["delayedCall tick", "turn"]);
 * ```
 */
export interface TraceSpan {
  /** Adds to what is known of it. */
  setAttribute(key: string, value: string | number): unknown;
  /** Says how it went. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** Ends it, at a time in milliseconds since 1970. */
  end(endTime?: number): void;
}

/**
 * What is needed of `SpanOptions`.
 *
 * @example A span that began a while ago
 * ```ts
 * import type { TraceSpanOptions } from "@interleave/reactor/trace";
 * import { assertLess } from "@std/assert";
 *
 * const options: TraceSpanOptions = { startTime: Date.now() - 5 };
 * assertLess(options.startTime!, Date.now());
 * ```
 */
export interface TraceSpanOptions {
  /** Milliseconds since 1970. */
  startTime?: number;
}

/**
 * What is needed of a `Tracer`.
 *
 * @example One that counts
 * ```ts
 * import {
 *   OpenTelemetryTrace,
 *   type TraceSpan,
 *   type TraceTracer,
 * } from "@interleave/reactor/trace";
 * import { Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * let spans = 0;
 * const span: TraceSpan = { setAttribute() {}, setStatus() {}, end() {} };
 * const tracer: TraceTracer<TraceSpan, null> = {
 *   startSpan: () => (spans++, span),
 * };
 *
 * await using reactor = new Reactor();
 * reactor.trace = new OpenTelemetryTrace(tracer, {
 *   trace: { setSpan: () => null },
 *   context: { active: () => null },
 * });
 * reactor.callLater(1, () => reactor.stop());
 * await reactor.run();
 * assertEquals(spans, 2); // The delayed call, and the turn it ran in.
 * ```
 */
export interface TraceTracer<Span extends TraceSpan, Context> {
  /** Begins a span, inside the one that `context` has. */
  startSpan(name: string, options?: TraceSpanOptions, context?: Context): Span;
}

/**
 * What is needed of OpenTelemetry's API, which is a part of the module.
 *
 * @example Contexts that are no more than their span
 * ```ts
 * import type { ContextApi, TraceSpan } from "@interleave/reactor/trace";
 * import { assertEquals } from "@std/assert";
 *
 * const api: ContextApi<TraceSpan, TraceSpan | undefined> = {
 *   trace: { setSpan: (_context, span) => span },
 *   context: { active: () => undefined },
 * };
 * const span: TraceSpan = { setAttribute() {}, setStatus() {}, end() {} };
 * assertEquals(api.trace.setSpan(api.context.active(), span), span);
 * ```
 */
export interface ContextApi<Span extends TraceSpan, Context> {
  /** `trace` of `@opentelemetry/api`. */
  readonly trace: {
    /** A context in which `span` is the present one. */
    setSpan(context: Context, span: Span): Context;
  };
  /** `context` of `@opentelemetry/api`. */
  readonly context: {
    /** The present one. */
    active(): Context;
  };
}

/**
 * Makes a span of every callback. Deno exports them when it is run with
 * `OTEL_DENO=true`; so does any other tracer of `@opentelemetry/api`.
 *
 * A span is named for the callback's kind and its label, lies inside that of
 * the callback around it, and has the attributes `interleave.kind`,
 * `interleave.fd`, `interleave.label` and `interleave.reactor`. Where the
 * callback threw, its status is an error, with the error's message. What a
 * callback begins and does not wait for, a `fetch` for one, is not inside its
 * span.
 *
 * @example With Deno's own exporter: `OTEL_DENO=true deno run ...`
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import {
 *   type ContextApi,
 *   OpenTelemetryTrace,
 *   type TraceSpan,
 *   type TraceTracer,
 * } from "@interleave/reactor/trace";
 *
 * // import { context, trace } from "npm:@opentelemetry/api@1";
 * // traceCallbacks(trace.getTracer("my program"), { context, trace });
 * function traceCallbacks<Span extends TraceSpan, Context>(
 *   tracer: TraceTracer<Span, Context>,
 *   api: ContextApi<Span, Context>,
 * ) {
 *   reactor.trace = new OpenTelemetryTrace(tracer, api);
 * }
 * ```
 */
export class OpenTelemetryTrace<Span extends TraceSpan, Context>
  implements TraceHook {
  readonly #tracer: TraceTracer<Span, Context>;
  readonly #api: ContextApi<Span, Context>;
  readonly #spans = new WeakMap<TracedCallback, Span>();
  /** When `performance.now()` was 0, in milliseconds since 1970. */
  readonly #origin = performance.timeOrigin;

  /**
   * Makes a trace that begins its spans with a tracer.
   *
   * @param tracer `trace.getTracer(...)`.
   * @param api `{ context, trace }`, both of `@opentelemetry/api`.
   * @throws {TypeError} When one of them is something else.
   */
  constructor(
    tracer: TraceTracer<Span, Context>,
    api: ContextApi<Span, Context>,
  ) {
    const action = "make spans";
    if (typeof tracer !== "object" || tracer === null) {
      throw new TypeError(complaint(tracer, action, "tracer", "an object"));
    }
    checkFunction(tracer.startSpan, action, "tracer.startSpan");
    if (typeof api !== "object" || api === null) {
      throw new TypeError(complaint(api, action, "api", "an object"));
    }
    checkFunction(api.trace?.setSpan, action, "api.trace.setSpan");
    checkFunction(api.context?.active, action, "api.context.active");
    this.#tracer = tracer;
    this.#api = api;
  }

  /** See {@linkcode TraceHook.start}. */
  start(callback: TracedCallback): void {
    const { kind, fd, label, reactor, startTime, parent } = callback;
    const around = parent && this.#spans.get(parent);
    const { trace, context } = this.#api;
    const present = context.active();
    const span = this.#tracer.startSpan(
      titleOf(callback),
      { startTime: this.#origin + startTime },
      around === undefined ? present : trace.setSpan(present, around),
    );
    this.#spans.set(callback, span);
    span.setAttribute("interleave.kind", kind);
    if (fd !== undefined) span.setAttribute("interleave.fd", fd);
    if (label !== undefined) {
      span.setAttribute("interleave.label", shortened(label));
    }
    if (reactor !== undefined) {
      span.setAttribute("interleave.reactor", shortened(reactor));
    }
  }

  /** See {@linkcode TraceHook.stop}. */
  stop(callback: TracedCallback, durationMs: number): void {
    const span = this.#spans.get(callback);
    if (span === undefined) return; // It was begun by a hook before this one.
    const { error, startTime } = callback;
    if (error !== undefined) {
      span.setStatus({ code: ERROR, message: errorInWords(error) });
    }
    span.end(this.#origin + startTime + durationMs);
  }
}
