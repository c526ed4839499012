// What keeps a process alive, and what does not: one program for each.

import { assertEquals, assertLess } from "@std/assert";
import { BACKENDS } from "./descriptors.ts";
import { runProgram } from "./program.ts";

/**
 * A parked worker must not delay an exit. This many milliseconds are generous
 * for a process that has nothing to wait for.
 */
const AT_ONCE = 5_000;

/** What every program begins with. */
const PRELUDE = `
  const { BlockingQueue, FileDescriptor, Reactor } = interleave;
  const reactor = new Reactor({ backend: BACKEND });
  const [output, input] = FileDescriptor.pipe();
  const fill = () => {
    input.write(new Uint8Array(65536));
  };
  const ignore = () => {};
  const reader = {
    fileno: () => output.fileno(), doRead: ignore, connectionLost: ignore,
  };
  const writer = {
    fileno: () => input.fileno(), doWrite: ignore, connectionLost: ignore,
  };
  /** Runs when the process has lived on, and does not keep it alive itself. */
  const later = (f) => {
    Deno.unrefTimer(setTimeout(() => {
      console.log("still here");
      f();
    }, 200));
  };
  /** Fails when the process has lived on. */
  const never = () => {
    Deno.unrefTimer(setTimeout(() => {
      console.log("still here");
      Deno.exit(9);
    }, ${AT_ONCE}));
  };
`;

/** Programs that live on until they are let go, and then end by themselves. */
const HOLDS: Record<string, string> = {
  "a pending run()": `
    later(() => reactor.stop());
    await reactor.run();
  `,
  "a pending run() without signals": `
    later(() => reactor.crash());
    await reactor.run({ signals: false });
  `,
  "a run() that takes over": `
    reactor.watch(output, "readable").unref();
    later(() => reactor.stop());
    await reactor.run();
  `,
  "a run() at once after crash()": `
    const first = reactor.run();
    reactor.crash();
    const second = reactor.run();
    await first;
    later(() => reactor.stop());
    await second;
  `,
  "a reader": `
    reactor.interleave();
    reactor.addReader(reader);
    later(() => reactor.removeReader(reader));
  `,
  "a reader that was there before the start": `
    reactor.addReader(reader);
    reactor.interleave();
    later(() => reactor.removeAll());
  `,
  "a reader whose descriptor is closed": `
    reactor.interleave();
    reactor.addReader(reader);
    later(() => output.close());
  `,
  "a writer": `
    fill();
    reactor.interleave();
    reactor.addWriter(writer);
    later(() => reactor.removeWriter(writer));
  `,
  "a wait": `
    const wait = reactor.readable(output);
    later(fill);
    await wait;
  `,
  "a wait to write": `
    fill();
    const wait = reactor.writable(input);
    later(() => output.read(new Uint8Array(65536)));
    await wait;
  `,
  "a wait that is aborted": `
    const controller = new AbortController();
    reactor.readable(output, { signal: controller.signal }).catch(ignore);
    later(() => controller.abort());
  `,
  "a watch": `
    const watch = reactor.watch(output, "readable");
    later(() => watch.close());
  `,
  "a watch with a pending next()": `
    const watch = reactor.watch(output, "readable");
    later(() => watch.close());
    for await (const _ of watch);
  `,
  "a watch that is ref'd again": `
    const watch = reactor.watch(output, "readable", { persistent: false });
    watch.ref();
    later(() => watch.unref());
  `,
  "a delayed call": `
    reactor.interleave();
    const call = reactor.callLater(300_000, ignore);
    later(() => call.cancel());
  `,
  "a delayed call that runs": `
    reactor.interleave();
    reactor.callLater(200, () => console.log("still here"));
  `,
  "a delayed call that is ref'd again": `
    reactor.interleave();
    const call = reactor.callLater(300_000, ignore);
    call.unref();
    call.ref();
    later(() => call.unref());
  `,
  "a delayed call with a waker": `
    reactor.interleave((work) => queueMicrotask(work));
    reactor.callLater(200, () => console.log("still here"));
  `,
  "a stream that is read": `
    const reading = output.readable({ reactor }).getReader().read();
    later(fill);
    await reading;
  `,
  "a 'before shutdown' promise": `
    reactor.interleave();
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      const { promise, resolve } = Promise.withResolvers();
      later(resolve);
      return promise;
    });
    reactor.stop();
    await reactor.finished;
  `,
  "a reactor that is ref'd again": `
    reactor.unref();
    reactor.ref();
    later(() => reactor.stop());
    await reactor.run();
  `,
  "a reader of a reactor that is unref'd later": `
    reactor.interleave();
    reactor.addReader(reader);
    later(() => reactor.unref());
  `,
  "the shared reactor with a delayed call": `
    interleave.reactor.callLater(200, () => console.log("still here"));
  `,
  "the shared reactor with a wait": `
    const wait = interleave.reactor.readable(output);
    later(fill);
    await wait;
  `,
};

/** Programs that come to their end, and end. */
const LETS_GO: Record<string, string> = {
  "a reactor that was never started": `
    reactor.callLater(300_000, ignore);
    reactor.addReader(reader);
  `,
  "an idle reactor": `
    reactor.interleave();
  `,
  "an idle reactor with a waker": `
    reactor.interleave((work) => queueMicrotask(work));
  `,
  "an idle reactor with a queue": `
    reactor.interleave(new BlockingQueue());
  `,
  "a reactor that iterate() has started": `
    reactor.iterate(0);
    reactor.callLater(300_000, ignore);
    reactor.addReader(reader);
  `,
  "a parked worker that has had work": `
    reactor.interleave();
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => reactor.callLater(1, resolve));
    }
  `,
  "a callFromThread() that has run": `
    reactor.interleave();
    await new Promise((resolve) => reactor.callFromThread(resolve));
  `,
  "a callFromThread() that has run and thrown": `
    const reported = Promise.withResolvers();
    const another = new Reactor({
      backend: BACKEND,
      onError: reported.resolve,
    });
    another.interleave();
    another.callFromThread(() => {
      throw new Error("no");
    });
    await reported.promise;
  `,
  "an event that has waited for a promise": `
    reactor.interleave();
    reactor.addSystemEventTrigger("before", "tea", () => Promise.resolve());
    const { promise, resolve } = Promise.withResolvers();
    reactor.addSystemEventTrigger("after", "tea", resolve);
    reactor.fireSystemEvent("tea");
    await promise;
  `,
  "a run() that has ended": `
    reactor.callLater(1, () => reactor.stop());
    reactor.addReader(reader);
    await reactor.run();
  `,
  "a run() that has crashed": `
    reactor.callLater(1, () => reactor.crash());
    reactor.callLater(300_000, ignore);
    reactor.addReader(reader);
    await reactor.run();
  `,
  "a closed reactor": `
    reactor.interleave();
    reactor.callLater(300_000, ignore);
    reactor.addReader(reader);
    await reactor.close();
  `,
  // Long enough for the worker to be there, and to have seen where Deno sleeps.
  "an unref'd reactor that is busy all the time": `
    reactor.interleave();
    const again = () => reactor.callLater(0, again);
    again();
    await new Promise((resolve) => setTimeout(resolve, 500));
    reactor.unref();
  `,
  "an unref'd reactor with low latency that is busy": `
    const low = new Reactor({ backend: BACKEND, latency: "low" });
    low.interleave();
    const again = () => low.callLater(0.1, again);
    again();
    await new Promise((resolve) => setTimeout(resolve, 500));
    low.unref();
  `,
  "a wait that is not persistent": `
    reactor.readable(output, { persistent: false });
  `,
  "a wait that is over": `
    await reactor.writable(input);
  `,
  "a watch that is not persistent": `
    reactor.watch(output, "readable", { persistent: false }).next();
  `,
  "a watch that is unref'd": `
    const watch = reactor.watch(output, "readable");
    watch.next();
    watch.unref();
  `,
  "a watch that is closed": `
    reactor.watch(output, "readable").close();
  `,
  "a watch that has given an answer": `
    const watch = reactor.watch(output, "readable", { persistent: false });
    fill();
    await Promise.all([watch.next(), reactor.readable(output)]);
  `,
  "a delayed call that is unref'd": `
    reactor.interleave();
    reactor.callLater(300_000, ignore).unref();
  `,
  "a delayed call that was unref'd before the start": `
    reactor.callLater(300_000, ignore).unref();
    reactor.interleave();
  `,
  "a delayed call that is cancelled": `
    reactor.interleave();
    reactor.callLater(300_000, ignore).cancel();
  `,
  "an unref'd reactor with a pending run()": `
    reactor.unref();
    reactor.run();
  `,
  "a pending run() whose reactor is unref'd": `
    reactor.run();
    await new Promise((resolve) => reactor.callLater(1, resolve));
    reactor.unref();
  `,
  "an unref'd reactor with all there is": `
    reactor.interleave();
    reactor.addReader(reader);
    reactor.callLater(300_000, ignore);
    reactor.readable(output);
    reactor.watch(output, "readable");
    reactor.unref();
  `,
  "Deno.exit() with a parked worker": `
    reactor.addReader(reader);
    reactor.run();
    await new Promise((resolve) => reactor.callLater(1, resolve));
    queueMicrotask(() => Deno.exit(0));
  `,
  "the shared reactor when it is idle": `
    await new Promise((resolve) => interleave.reactor.callLater(1, resolve));
  `,
  "the shared reactor with an unref'd call": `
    interleave.reactor.callLater(300_000, ignore).unref();
  `,
  "ten reactors": `
    for (let i = 0; i < 10; i++) new Reactor({ backend: BACKEND }).interleave();
  `,
};

for (const backend of BACKENDS) {
  const prelude = PRELUDE.replaceAll("BACKEND", JSON.stringify(backend));
  const text = (body: string) =>
    prelude + body.replaceAll("BACKEND", JSON.stringify(backend));

  for (const [what, body] of Object.entries(HOLDS)) {
    Deno.test(`Reactor keeps the process alive for ${what}, and no longer (contract 180) [${backend}]`, async () => {
      const { code, stdout, stderr, duration } = await runProgram(text(body));
      assertEquals(
        { code, stdout, stderr },
        { code: 0, stdout: "still here\n", stderr: "" },
      );
      assertLess(duration, AT_ONCE);
    });
  }

  for (const [what, body] of Object.entries(LETS_GO)) {
    Deno.test(`Reactor lets the process end in spite of ${what} (contract 172, 180) [${backend}]`, async () => {
      const { code, stdout, stderr, duration } = await runProgram(
        `${text(body)}\nconsole.log("end of program");\nnever();`,
      );
      assertEquals(
        { code, stdout, stderr },
        { code: 0, stdout: "end of program\n", stderr: "" },
      );
      assertLess(duration, AT_ONCE);
    });
  }
}
