// Other threads in every host, those included that block the main thread for
// good. No test here waits for a promise while the reactor runs.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { takeWorkCallback } from "../../ffi/work_callback.ts";
import { glibWaker } from "../../src/loops/glib.ts";
import { exportsOf } from "../../src/threads/mod.ts";
import { PATIENCE } from "../descriptors.ts";
import { type Host, HOSTS, testInHosts } from "../hosts.ts";
import { missingPackages } from "../loops/toolkit.ts";
import { leaveOut } from "../left_out.ts";
import { TestWorker } from "./worker.ts";

const work = exportsOf<typeof import("./work.ts")>(
  import.meta.resolve("./work.ts"),
);

const missing = await missingPackages({
  libraries: { "libglib-2.0.so.0": "libglib2.0-0" },
  windows: false,
});

/** GLib's loop, which blocks the main thread until the reactor has ended. */
async function glibHost(): Promise<Host> {
  const { glib, mainLoop, sourceFunction } = await import(
    "../loops/programs/glib_functions.ts"
  );
  const quit = () => glib.g_main_loop_quit(mainLoop);
  const tooLate = sourceFunction(() => {
    quit();
    return true; // It stays until it is removed, which must find it.
  });
  // It stays open from its first use on, which the sanitizer would take for a
  // leak of the test that comes first.
  takeWorkCallback(glibWaker().callback!, () => {}).giveBack();
  return {
    name: "GLib",
    blocks: true,
    async run(reactor) {
      const guard = glib.g_timeout_add(PATIENCE, tooLate, null);
      reactor.addSystemEventTrigger("after", "shutdown", quit);
      reactor.interleave(glibWaker());
      glib.g_main_loop_run(mainLoop);
      glib.g_source_remove(guard);
      await reactor.finished;
    },
  };
}

if (missing.length > 0) {
  leaveOut("threads in GLib's loop", `it takes ${missing.join(", ")}`);
}
const hosts = missing.length > 0 ? HOSTS : [...HOSTS, await glibHost()];

testInHosts(
  "a Worker's calls run in order, and it gets their results and their errors (contract 144, 146, 151, 154)",
  async ({ reactor, run }) => {
    const seen: unknown[] = [];
    using handle = reactor.handle({
      note: (value: unknown) => seen.push(value),
      add: (a: number, b: number) => a + b,
      fail() {
        throw new RangeError("on purpose");
      },
      stop: () => reactor.stop(),
    });
    reactor.callLater(300_000, () => {}); // It sleeps for long.
    using _worker = TestWorker.start(handle, (reactor) => {
      for (let i = 0; i < 3; i++) reactor.callFromThread("note", i);
      const sum = reactor.blockingCallFromThread("add", 1, 2);
      reactor.callFromThread("note", { sum });
      try {
        reactor.blockingCallFromThread("fail");
      } catch (error) {
        reactor.callFromThread("note", `${error}`);
      }
      reactor.callFromThread("stop");
    }, null);
    await run();
    assertEquals(seen, [0, 1, 2, { sum: 3 }, "RangeError: on purpose"]);
  },
  { hosts },
);

testInHosts(
  "threads of the pool run calls, call back, and are replaced when they die (contract 152, 155)",
  async ({ reactor, run, errors }) => {
    const seen: unknown[] = [];
    reactor.suggestThreadPoolSize(1);
    const offers = {
      note: (value: unknown) => seen.push(value),
      ask(question: string) {
        seen.push(question);
        return "";
      },
    };
    const last = {
      note() {},
      ask(question: string) {
        seen.push(question, reactor.inspect().threads.size);
        reactor.stop();
        return "";
      },
    };
    reactor.callInThread({ ...work("noteAndAsk"), offers }, 2, "first");
    reactor.callInThread(work("throwLater"), "left behind");
    reactor.callInThread(work("exit"));
    reactor.callInThread(work("fail"), "on purpose");
    reactor.callInThread({ ...work("noteAndAsk"), offers: last }, 0, "last");
    await run();
    assertEquals(seen, [0, 1, "first", "last", 1]);
    assertEquals(
      errors.splice(0).map(({ error, where }) => `${where}: ${error}`),
      [
        "callInThread: Error: left behind",
        "callInThread: Error: The thread ended by itself, with code 7",
        "callInThread: RangeError: on purpose",
      ],
    );
  },
  { hosts },
);

testInHosts(
  "a Worker that waits when the reactor ends is told so (contract 154)",
  async ({ reactor, run }) => {
    using handle = reactor.handle({
      never() {
        reactor.stop();
        return new Promise(() => {});
      },
    });
    using worker = TestWorker.start(handle, (reactor, _data, say) => {
      try {
        reactor.blockingCallFromThread("never");
      } catch (error) {
        say({ error });
      }
    }, null);
    await run();
    const error = await worker.next().catch((error) => error);
    assertInstanceOf(error, Error);
    assert(error.message.endsWith("the reactor has ended"), error.message);
  },
  { hosts },
);
