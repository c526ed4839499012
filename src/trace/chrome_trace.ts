/**
 * Traces as a file that people open: Chrome's JSON trace format, which
 * `chrome://tracing`, Perfetto and the Performance panel of DevTools show.
 *
 * A callback is one complete event ("ph": "X"), so that each stands for itself:
 * what was dropped leaves no half behind. Times are microseconds. They are
 * rounded to nanoseconds before the duration is taken, beginning and end alike:
 * viewers want what is nested to end no later than what is around it, to the
 * last digit.
 *
 * @module
 */

import { checkInteger } from "../../ffi/arguments.ts";
import { checkString, complaint } from "../arguments.ts";
import { monotonic } from "../monotonic.ts";
import type { CallbackKind, TracedCallback, TraceHook } from "./tracing.ts";
import { errorInWords, shortened, titleOf } from "./words.ts";

/**
 * Options of {@linkcode ChromeTrace}.
 *
 * @example The last thousand callbacks of a server
 * ```ts
 * import { reactor } from "@interleave/reactor";
 * import { ChromeTrace } from "@interleave/reactor/trace";
 * import { assertEquals } from "@std/assert";
 *
 * const trace = new ChromeTrace({ limit: 1000, processName: "my server" });
 * reactor.trace = trace;
 * await new Promise<void>((resolve) => reactor.callLater(1, resolve));
 * reactor.trace = undefined;
 *
 * const { traceEvents } = JSON.parse(`${trace}`);
 * const names = traceEvents.map(({ args }: { args?: { name?: string } }) =>
 *   args?.name
 * );
 * assertEquals(names.includes("my server"), true);
 * ```
 */
export interface ChromeTraceOptions {
  /**
   * How many callbacks are kept, the newest. Each takes some 200 bytes.
   *
   * @default {100_000}
   */
  limit?: number;
  /**
   * What the process is called in the file.
   *
   * @default {"Deno"}
   */
  processName?: string;
  /**
   * What the thread is called in the file.
   *
   * @default {"main thread"}
   */
  threadName?: string;
}

/** A callback that is over, or still runs. */
interface Slice {
  readonly title: string;
  readonly kind: CallbackKind;
  /** Nanoseconds, as `performance.now()` counts. */
  readonly begin: number;
  readonly end: number;
  readonly args: Record<string, unknown>;
}

/** The thread that callbacks run on: there is one. */
const TID = 1;

/** How many characters are written at a time. */
const PIECE = 65_536;

/**
 * Collects callbacks, and writes them in Chrome's JSON trace format.
 *
 * Its memory is bounded: of more than `limit` callbacks the newest are kept. How
 * many were dropped is said in the file, by a mark at its beginning and among
 * its metadata. Several reactors of one thread can share a trace.
 *
 * The text has the labels and the names of functions of the program, and what
 * was thrown.
 *
 * @example Into a file
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { ChromeTrace } from "@interleave/reactor/trace";
 * import { assertEquals } from "@std/assert";
 *
 * const trace = new ChromeTrace();
 * await using reactor = new Reactor({ trace });
 * reactor.callLater(1, function tick() {
 *   reactor.stop();
 * });
 * await reactor.run();
 *
 * // const file = await Deno.create("trace.json");
 * // await trace.writeTo(file.writable);
 * const { traceEvents } = JSON.parse(`${trace}`);
 * const events = traceEvents.filter(({ ph }: { ph: string }) => ph === "X");
 * assertEquals(events.length, 2);
 * assertEquals(events[1].name, "delayedCall tick");
 * ```
 */
export class ChromeTrace implements TraceHook {
  readonly #limit: number;
  readonly #processName: string;
  readonly #threadName: string;
  /** A ring, once it is full. */
  #slices: Slice[] = [];
  #next = 0;
  #dropped = 0;
  readonly #open = new Set<TracedCallback>();

  /**
   * Makes an empty trace.
   *
   * @throws {TypeError} When an option is of the wrong type.
   * @throws {RangeError} When `limit` is not an integer of at least 1.
   */
  constructor(options: ChromeTraceOptions = {}) {
    const action = "make a trace";
    if (typeof options !== "object" || options === null) {
      throw new TypeError(complaint(options, action, "options", "an object"));
    }
    const {
      limit = 100_000,
      processName = "Deno",
      threadName = "main thread",
    } = options;
    this.#limit = checkInteger(limit, action, "options.limit", 1);
    checkString(processName, action, "options.processName");
    checkString(threadName, action, "options.threadName");
    this.#processName = processName;
    this.#threadName = threadName;
  }

  /** How many callbacks are kept. */
  get size(): number {
    return this.#slices.length;
  }

  /** How many were dropped since the beginning, or the last `clear()`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** See {@linkcode TraceHook.start}. */
  start(callback: TracedCallback): void {
    this.#open.add(callback);
  }

  /** See {@linkcode TraceHook.stop}. */
  stop(callback: TracedCallback, durationMs: number): void {
    this.#open.delete(callback);
    const slice = sliceOf(callback, callback.startTime + durationMs);
    if (this.#slices.length < this.#limit) {
      this.#slices.push(slice);
      return;
    }
    this.#slices[this.#next] = slice;
    this.#next = (this.#next + 1) % this.#limit;
    this.#dropped++;
  }

  /** Forgets everything but what runs at present. */
  clear(): void {
    this.#slices = [];
    this.#next = this.#dropped = 0;
  }

  /**
   * The whole file as text. A callback that still runs is shown up to now, and
   * marked as unfinished.
   */
  toString(): string {
    return [...this.#pieces()].join("");
  }

  /**
   * Writes the file, as it is when this is called, and closes the stream.
   *
   * @param writable Where to, such as `(await Deno.create(path)).writable`.
   * @returns Settles when all is written; rejects with what the stream says.
   *
   * @example Usage
   * ```ts
   * import { ChromeTrace } from "@interleave/reactor/trace";
   * import { assertEquals } from "@std/assert";
   *
   * const { readable, writable } = new TransformStream();
   * const text = new Response(readable).text();
   * const trace = new ChromeTrace();
   * await trace.writeTo(writable);
   * assertEquals(await text, `${trace}`);
   * ```
   */
  async writeTo(
    writable: WritableStream<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    await ReadableStream.from(this.#pieces())
      .pipeThrough(new TextEncoderStream())
      .pipeTo(writable);
  }

  /** The file in pieces of a size that is worth a write. */
  #pieces(): Iterable<string> {
    const events = this.#events();
    const { timeOrigin } = performance;
    const rest = {
      displayTimeUnit: "ms",
      otherData: {
        dropped: this.#dropped,
        timeOrigin: new Date(timeOrigin).toISOString(),
      },
    };
    return inPieces(function* () {
      yield '{"traceEvents":[\n';
      let separator = "";
      for (const event of events) {
        yield separator + JSON.stringify(event);
        separator = ",\n";
      }
      yield `\n],${JSON.stringify(rest).slice(1)}\n`;
    }());
  }

  /** The events in order, made one by one. */
  #events(): Iterable<unknown> {
    const now = monotonic();
    const slices = [
      ...this.#slices.slice(this.#next),
      ...this.#slices.slice(0, this.#next),
      // The innermost has to be in front, as if they ended now.
      ...[...this.#open].reverse().map((callback) =>
        sliceOf(callback, now, true)
      ),
    ];
    // What is around others has ended after them.
    slices.reverse().sort((a, b) => a.begin - b.begin || b.end - a.end);
    const pid = Deno.pid;
    const names = {
      process_name: this.#processName,
      thread_name: this.#threadName,
    };
    const dropped = this.#dropped;
    return function* () {
      for (const [name, text] of Object.entries(names)) {
        yield { name, ph: "M", pid, tid: TID, ts: 0, args: { name: text } };
      }
      if (dropped > 0) {
        yield {
          name: `${dropped} callbacks before this were dropped`,
          ...{ cat: "trace", ph: "i", s: "g", pid, tid: TID },
          ts: inMicroseconds(slices[0]!.begin),
        };
      }
      for (const { title, kind, begin, end, args } of slices) {
        yield {
          name: title,
          cat: kind,
          ph: "X",
          pid,
          tid: TID,
          ts: inMicroseconds(begin),
          dur: inMicroseconds(end - begin),
          args,
        };
      }
    }();
  }
}

function sliceOf(
  callback: TracedCallback,
  endTime: number,
  unfinished?: true,
): Slice {
  const { kind, fd, label, reactor, startTime, error } = callback;
  return {
    title: titleOf(callback),
    kind,
    begin: inNanoseconds(startTime),
    end: inNanoseconds(endTime),
    // JSON leaves out what is undefined.
    args: {
      fd,
      label: label && shortened(label),
      reactor: reactor && shortened(reactor),
      error: error && errorInWords(error),
      unfinished,
    },
  };
}

function inNanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}

function inMicroseconds(ns: number): number {
  return ns / 1000;
}

function* inPieces(texts: Iterable<string>): Generator<string> {
  let piece = "";
  for (const text of texts) {
    piece += text;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = "";
  }
  yield piece;
}
