// Everything in the public interface of the package, once. Run with nothing but
// --allow-ffi by tests/permissions_test.ts.

import {
  BlockingQueue,
  type DelayedCall,
  FileDescriptor,
  Reactor,
  reactor as shared,
  ReactorNotRestartable,
} from "../../mod.ts";
import { Clock } from "../../src/testing.ts";

const done: string[] = [];

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`Not as expected: ${what}`);
  done.push(what);
}

// Lifecycle, events, time, threads.
const reactor = new Reactor({
  budget: { ms: 1, events: 1000 },
  clock: () => performance.now(),
  onError: (error, where) => {
    throw new Error(`${where} threw`, { cause: error });
  },
  label: "everything",
  captureStacks: true,
});
const order: string[] = [];
reactor.callWhenRunning(() => order.push("running"));
const never = reactor.addSystemEventTrigger("during", "shutdown", () => {
  order.push("removed");
});
reactor.removeSystemEventTrigger(never);
reactor.addSystemEventTrigger("during", "tea", () => order.push("tea"));
reactor.fireSystemEvent("tea");
reactor.addSystemEventTrigger("after", "shutdown", () => order.push("after"));
reactor.callFromThread(() => order.push("thread"));
const call: DelayedCall = reactor.callLater(1, () => reactor.stop());
call.delay(1);
call.reset(1);
call.unref();
call.ref();
expect(call.active() && call.getTime() >= reactor.now(), "a delayed call");
expect(reactor.getDelayedCalls().length === 1, "the list of delayed calls");
reactor.callLater(60_000, () => {}).cancel();
await reactor.run();
await reactor.finished;
expect(order.join() === "tea,running,thread,after", "events in order");

// Descriptors.
for (const backend of ["epoll", "poll"] as const) {
  if (backend === "epoll" && Deno.build.os !== "linux") continue;
  await using reactor = new Reactor({ backend });
  const [reader, writer] = FileDescriptor.pipe();
  await reactor.writable(writer, { label: "w", persistent: true });
  writer.write(new Uint8Array([1]));
  const readiness = await reactor.readable(reader, {
    signal: AbortSignal.timeout(10_000),
  });
  expect(readiness.readable, `${backend}: readable`);
  using watch = reactor.watch(reader, ["readable", "priority"]);
  watch.unref();
  watch.ref();
  for await (const { readable } of watch) {
    expect(readable, `${backend}: watch`);
    break;
  }
  const [here, there] = FileDescriptor.socketpair();
  const socket = {
    fileno: () => here.fileno(),
    doRead() {
      here.read(new Uint8Array(1));
      reactor.removeReader(socket);
    },
    doWrite() {
      reactor.removeWriter(socket);
      there.write(new Uint8Array([1]));
    },
    connectionLost() {},
  };
  reactor.addReader(socket);
  reactor.addWriter(socket);
  expect(
    reactor.getReaders().length + reactor.getWriters().length === 2,
    `${backend}: readers and writers`,
  );
  while (reactor.getReaders().length > 0) reactor.iterate(100);
  reactor.addWriter(socket);
  expect(reactor.removeAll().length === 1, `${backend}: removeAll`);
  expect(reactor.nextTimeout() >= -1, `${backend}: nextTimeout`);
  expect(
    (reactor.backendFd === undefined) === (backend === "poll"),
    `${backend}: backendFd`,
  );
  expect(reactor.inspect().backend === backend, `${backend}: inspect`);
  for (const fd of [reader, writer, here, there]) fd.close();
}

// Streams.
{
  const [reader, writer] = FileDescriptor.pipe();
  const copy = new Response("streamed").body!.pipeTo(writer.writable());
  const text = await new Response(reader.readable()).text();
  await copy;
  expect(text === "streamed", "streams");
  using nothing = FileDescriptor.open("/dev/null", { write: true });
  expect(nothing.write(new Uint8Array(3)) === 3, "open");
}

// Hosts.
{
  const reactor = new Reactor();
  reactor.interleave((work) => queueMicrotask(work), { signals: false });
  reactor.crash();
  const queue = new BlockingQueue();
  reactor.interleave(queue);
  reactor.callLater(1, () => reactor.stop());
  for (let work; (work = queue.get()) !== undefined;) work();
  expect(!reactor.running, "a blocking host");
  await reactor.close();
  try {
    reactor.interleave();
  } catch (error) {
    expect(error instanceof ReactorNotRestartable, "the end");
  }
}

// The virtual clock, and the shared reactor.
const clock = new Clock();
let rang = false;
clock.callLater(1000, () => rang = true);
clock.advance(1000);
expect(rang, "a virtual clock");
await new Promise<void>((resolve) => shared.callLater(1, resolve));
shared.ref();
shared.unref();
await shared.close();

console.log(`${done.length} things worked`);
