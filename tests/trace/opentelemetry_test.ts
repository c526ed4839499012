/**
 * `OpenTelemetryTrace`, with Deno's own exporter and a collector that says what
 * it got.
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { OpenTelemetryTrace } from "../../src/trace/mod.ts";

const PROGRAM = new URL("programs/spans.ts", import.meta.url);

/** Long enough for any program here; no test waits for it to pass. */
const PATIENCE = 60_000;

/** A span, as OTLP has it in JSON. */
interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes?: {
    key: string;
    value: Record<string, string | number>;
  }[];
  status?: { code?: number; message?: string };
}

/** Part of a request of OTLP. */
interface ExportTraceServiceRequest {
  resourceSpans: {
    scopeSpans: { scope: { name: string }; spans: Span[] }[];
  }[];
}

/** Runs the program, and returns what it printed and which spans came. */
async function collect(): Promise<{ output: string; spans: Span[] }> {
  const requests: ExportTraceServiceRequest[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const body = await request.json();
      if (new URL(request.url).pathname === "/v1/traces") requests.push(body);
      return Response.json({});
    },
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-ffi", PROGRAM.pathname],
    env: {
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      OTEL_DENO: "true",
      OTEL_DENO_CONSOLE: "ignore",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
    },
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  assertEquals(
    { code, stderr: decoder.decode(stderr) },
    { code: 0, stderr: "" },
  );
  const spans = requests
    .flatMap(({ resourceSpans }) => resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans)
    .filter(({ scope }) => scope.name === "interleave")
    .flatMap(({ spans }) => spans);
  return { output: decoder.decode(stdout), spans };
}

function attributesOf({ attributes = [] }: Span): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key.replace("interleave.", ""),
      value.stringValue ?? Number(value.intValue ?? value.doubleValue),
    ]),
  );
}

function nanoseconds(span: Span): [begin: bigint, end: bigint] {
  return [BigInt(span.startTimeUnixNano), BigInt(span.endTimeUnixNano)];
}

Deno.test("OpenTelemetryTrace makes spans that Deno exports: names, attributes, parents, times", async () => {
  const before = Date.now();
  const { output, spans } = await collect();
  const { fd } = JSON.parse(output);
  const tea = 'trigger during "tea" pour';
  const one = (name: string) => {
    const found = spans.filter((span) => span.name === name);
    assertEquals(found.length, 1, `${name} among ${JSON.stringify(spans)}`);
    return found[0]!;
  };
  const frame = one("a frame");
  const reader = one("reader ear");
  const trigger = one(tea);
  const turn = one("turn mine");

  // The turn lies in the span that was active, the others in what ran them.
  const parents = [turn, reader, trigger].map(({ parentSpanId }) =>
    parentSpanId
  );
  assertEquals(parents, [frame, turn, reader].map(({ spanId }) => spanId));
  assertEquals(spans.length, 4);
  for (const { traceId } of spans) assertEquals(traceId, frame.traceId);

  assertEquals(attributesOf(reader), {
    kind: "reader",
    fd,
    label: "ear",
    reactor: "mine",
  });
  assertEquals(attributesOf(trigger), {
    kind: "trigger",
    label: 'during "tea" pour',
    reactor: "mine",
  });
  assertEquals(trigger.status?.code, 2);
  assertEquals(trigger.status?.message, "RangeError: too hot");
  assert(reader.status?.code !== 2);

  const [begin, end] = nanoseconds(reader);
  assertGreaterOrEqual(Number(end - begin), 20e6);
  assertLessOrEqual(Number(end) / 1e6, Date.now() + 1000);
  assertGreaterOrEqual(Number(begin) / 1e6, before - 1000);
  for (const [outer, inner] of [[turn, reader], [reader, trigger]] as const) {
    assert(nanoseconds(outer)[0] <= nanoseconds(inner)[0]);
    assert(nanoseconds(inner)[1] <= nanoseconds(outer)[1]);
  }
});

Deno.test("OpenTelemetryTrace refuses what lacks a function, and names it", () => {
  const tracer = { startSpan: () => SPAN };
  const api = {
    trace: { setSpan: () => 0 },
    context: { active: () => 0 },
  };
  const SPAN = { setAttribute() {}, setStatus() {}, end() {} };
  assert(new OpenTelemetryTrace(tracer, api));
  for (
    const [bad, badApi, message] of [
      [null, api, '"tracer" must be an object, received null'],
      [{}, api, '"tracer.startSpan" must be a function'],
      [tracer, undefined, '"api" must be an object'],
      [tracer, {}, '"api.trace.setSpan" must be a function'],
      [tracer, { trace: api.trace }, '"api.context.active" must be a function'],
    ] as const
  ) {
    assertThrows(
      () => new OpenTelemetryTrace(bad as typeof tracer, badApi as typeof api),
      TypeError,
      `Cannot make spans: ${message}`,
    );
  }
});

Deno.test("OpenTelemetryTrace lets a stop be whose start it has not seen", () => {
  const trace = new OpenTelemetryTrace({
    startSpan: () => {
      throw new Error("never called");
    },
  }, { trace: { setSpan: () => 0 }, context: { active: () => 0 } });
  const unseen = {
    kind: "turn",
    fd: undefined,
    label: undefined,
    reactor: undefined,
    startTime: 0,
    parent: undefined,
    error: undefined,
  } as const;
  trace.stop(unseen, 1);
});
