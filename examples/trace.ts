/**
 * What ran when, as a picture: a trace of a reactor's callbacks.
 *
 *     deno run --allow-ffi --allow-write examples/trace.ts
 *
 * You will find a file `trace.json` in the current folder: open it at
 * https://ui.perfetto.dev, in `chrome://tracing`, or in the Performance panel
 * of a browser's DevTools. It shows half a second of timers, of two sockets that
 * play ping-pong, and of a slow callback that everything else had to wait for.
 *
 * With `OTEL_DENO=true` in the environment the same callbacks become spans of
 * OpenTelemetry's instead, which Deno sends to `OTEL_EXPORTER_OTLP_ENDPOINT`.
 *
 * @module
 */

import { context, trace } from "npm:@opentelemetry/api@^1.9.0";
import { FileDescriptor, Reactor } from "../mod.ts";
import { ChromeTrace, OpenTelemetryTrace } from "../src/trace/mod.ts";

const reactor = new Reactor({ label: "the example" });

/** Deno gives OpenTelemetry's API a tracer that records if it is told to. */
const tracer = trace.getTracer("examples/trace.ts");
const probe = tracer.startSpan("the example begins");
const isRecording = probe.isRecording();
probe.end();

const chrome = new ChromeTrace({ processName: "examples/trace.ts" });
reactor.trace = isRecording
  ? new OpenTelemetryTrace(tracer, { context, trace })
  : chrome;

/** Something that takes its time. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** One of two who pass a byte to and fro. */
function player(label: string, end: FileDescriptor, pause: number) {
  return {
    label,
    fileno: () => end.fileno(),
    doRead() {
      end.read(new Uint8Array(1));
      work(0.5);
      reactor.callLater(pause, function play() {
        end.write(new Uint8Array(1));
      });
    },
    connectionLost: () => end.close(),
  };
}

const [left, right] = FileDescriptor.socketpair();
reactor.addReader(player("ping", left, 5));
reactor.addReader(player("pong", right, 7));
left.write(new Uint8Array(1));

reactor.callLater(20, function tick() {
  work(2);
  reactor.callFromThread(function afterTick() {
    work(1);
  });
  reactor.callLater(50, tick);
});
reactor.callLater(250, function slow() {
  work(60);
});
reactor.addSystemEventTrigger("before", "shutdown", function sayGoodbye() {
  work(3);
});
reactor.callLater(500, function end() {
  reactor.stop();
});
await reactor.run();

if (isRecording) {
  console.log("The spans are on their way.");
} else {
  const options = { write: true, create: true, truncate: true };
  const file = await Deno.open("trace.json", options);
  await chrome.writeTo(file.writable);
  console.log(`trace.json has ${chrome.size} callbacks.`);
}
