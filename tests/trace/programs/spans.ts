/**
 * Callbacks as spans, by Deno's own exporter:
 *
 *     OTEL_DENO=true deno run --allow-ffi spans.ts
 */

import { context, trace } from "npm:@opentelemetry/api@^1.9.0";
import { FileDescriptor, Reactor } from "../../../mod.ts";
import { OpenTelemetryTrace } from "../../../src/trace/mod.ts";

const tracer = trace.getTracer("interleave");
const reactor = new Reactor({
  label: "mine",
  trace: new OpenTelemetryTrace(tracer, { context, trace }),
  onError() {},
});
const [ear, mouth] = FileDescriptor.pipe();
reactor.addReader({
  label: "ear",
  fileno: () => ear.fileno(),
  doRead() {
    ear.read(new Uint8Array(8));
    const end = performance.now() + 20;
    while (performance.now() < end);
    reactor.fireSystemEvent("tea");
  },
  connectionLost() {},
});
reactor.addSystemEventTrigger("during", "tea", function pour() {
  throw new RangeError("too hot");
});
mouth.write(new Uint8Array(1));
tracer.startActiveSpan("a frame", (span) => {
  reactor.iterate(0);
  span.end();
});
reactor.trace = undefined;
console.log(JSON.stringify({ fd: ear.fileno() }));
await reactor.close();
ear.close();
mouth.close();
