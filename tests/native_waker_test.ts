// Hosts that block the main thread inside C. Real toolkits have their tests in
// loops/; this is what is the same with all of them.

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline, delay } from "@std/async";
import { libcPath } from "../ffi/libc.ts";
import type { NativeWaker } from "../src/native_waker.ts";
import { Reactor } from "../src/reactor.ts";
import { threadSafeWaker } from "../src/thread_safe_waker.ts";
import { PATIENCE } from "./descriptors.ts";
import { testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";
import { ToolkitInC } from "./toolkit_in_c.ts";
import { withWorkers } from "./workers.ts";

const { write } = Deno.dlopen(libcPath(), { write: { type: "pointer" } })
  .symbols;

/** A waker that is right but for what a test puts into it. */
function waker(part: Partial<Record<keyof NativeWaker, unknown>>): NativeWaker {
  return {
    post: write!,
    parameters: ["i32", "pointer", "usize"],
    arguments: () => [0, null, 0],
    ...part,
  } as NativeWaker;
}

// The work item

testOnBackends(
  "interleave() with a NativeWaker runs callbacks inside the loop that blocks (contract 159, 161, 171)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    let inside = false;
    const seen: string[] = [];
    const note = (what: string) => seen.push(`${what}, inside: ${inside}`);
    reactor.addReader(pipe.reader(() => {
      note("doRead");
      reactor.stop();
    }));
    reactor.callLater(1, () => {
      note("callLater");
      pipe.fill();
    });
    reactor.addSystemEventTrigger("after", "shutdown", () => {
      note("after shutdown");
      toolkit.quit();
    });
    reactor.interleave(toolkit.waker);
    assertEquals(reactor.inspect().host, "native");
    inside = true;
    toolkit.run();
    inside = false;
    await deadline(reactor.finished, PATIENCE);
    assertEquals(seen, [
      "callLater, inside: true",
      "doRead, inside: true",
      "after shutdown, inside: true",
    ]);
    // The value that the waker defines, whatever happened.
    assert(toolkit.returned.every((value) => value === 7));
    assertEquals([toolkit.asked, toolkit.released], [1, 1]);
  },
);

testOnBackends(
  "work() runs the work item for a host that only gets an event",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    let calls = 0;
    reactor.callLater(1, () => calls++);
    reactor.callLater(2, () => reactor.stop());
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    reactor.interleave(toolkit.waker);
    toolkit.run(() => reactor.work());
    await deadline(reactor.finished, PATIENCE);
    assertEquals([calls, toolkit.returned.length], [1, 0]);
  },
);

testOnBackends(
  "work() does nothing when nothing is outstanding, twice, late or too early (contract 166, 167)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    reactor.work(); // Not started.
    reactor.interleave(toolkit.waker);
    toolkit.callWork(); // Nothing has happened.
    assertEquals(reactor.inspect().counters.turns, 0);
    let calls = 0;
    reactor.callLater(5, () => {
      calls++;
      const { turns } = reactor.inspect().counters;
      toolkit.callWork(); // From inside a work item.
      reactor.work();
      assertEquals(reactor.inspect().counters.turns, turns);
      reactor.stop();
    });
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    toolkit.run(() => {
      toolkit.callWork();
      const { turns } = reactor.inspect().counters;
      toolkit.callWork();
      assertEquals(reactor.inspect().counters.turns, turns);
    });
    await deadline(reactor.finished, PATIENCE);
    toolkit.callWork(); // It has ended.
    reactor.work();
    assertEquals(calls, 1);
  },
);

testOnBackends(
  "interleave() with a NativeWaker lets no exception into the loop, and reports it (contract 168)",
  async ({ reactor, errors }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    const fail = (message: string) => () => {
      throw new Error(message);
    };
    reactor.callLater(1, fail("timer"));
    reactor.addReader(pipe.reader(fail("reader")));
    reactor.callFromThread(fail("queue"));
    pipe.fill();
    reactor.callLater(10, () => reactor.stop());
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    reactor.interleave(toolkit.waker);
    toolkit.run();
    await deadline(reactor.finished, PATIENCE);
    assertEquals(
      errors.splice(0).map(({ error }) => (error as Error).message).sort(),
      ["queue", "reader", "timer"],
    );
    assert(toolkit.returned.every((value) => value === 7));
  },
);

// A promise that is served while nobody but the work item can do it. The loop is
// started from a timer: V8 serves none if it is itself reached from one.
testOnBackends(
  "interleave() with a NativeWaker serves promises inside the loop",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.interleave(toolkit.waker);
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    reactor.callLater(1, () => pipe.fill());
    const waiting = (async () => {
      await reactor.readable(pipe.output);
      seen.push("readable");
      await Promise.resolve();
      reactor.stop();
    })();
    await new Promise<void>((resolve) =>
      setTimeout(() => {
        toolkit.run();
        seen.push("the loop returned");
        resolve();
      })
    );
    await Promise.all([waiting, deadline(reactor.finished, PATIENCE)]);
    assertEquals(seen, ["readable", "the loop returned"]);
  },
);

testOnBackends(
  "interleave() with a NativeWaker serves no promise inside a loop that was reached from one",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    const seen: string[] = [];
    reactor.callLater(1, async () => {
      await Promise.resolve();
      seen.push("the promise");
    });
    reactor.callLater(10, () => reactor.stop());
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    reactor.interleave(toolkit.waker);
    await Promise.resolve(); // From here on this is a promise's continuation.
    toolkit.run();
    seen.push("the loop returned");
    await deadline(reactor.finished, PATIENCE);
    assertEquals(seen, ["the loop returned", "the promise"]);
  },
);

testOnBackends(
  "interleave() with a NativeWaker keeps Deno's own timers and fetches waiting until the loop returns",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    const seen: string[] = [];
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response("here"),
    );
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    await new Promise<void>((resolve) =>
      setTimeout(() => {
        const timing = new Promise<void>((resolve) =>
          setTimeout(() => {
            seen.push("Deno's timer");
            resolve();
          }, 1)
        );
        const fetching = fetch(`http://127.0.0.1:${server.addr.port}`)
          .then((response) => response.text())
          .then((text) => seen.push(`fetch: ${text}`));
        reactor.callLater(50, () => {
          seen.push("the reactor's timer");
          reactor.stop();
        });
        reactor.interleave(toolkit.waker);
        toolkit.run();
        Promise.all([timing, fetching]).then(() => resolve());
      })
    );
    await deadline(reactor.finished, PATIENCE);
    await server.shutdown();
    assertEquals(seen[0], "the reactor's timer");
    assertEquals(seen.slice(1).sort(), ["Deno's timer", "fetch: here"]);
  },
);

// Posts

testOnBackends(
  "interleave() with a NativeWaker fires startup before it returns, and posts nothing while idle (contract 159, 163)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    let started = false;
    reactor.callWhenRunning(() => started = true);
    reactor.interleave(toolkit.waker);
    assert(started);
    await delay(50);
    assertEquals(toolkit.pending, 0);
    await deadline(reactor.close(), PATIENCE);
  },
);

testOnBackends(
  "interleave() with a NativeWaker posts once until the work item has run, which then does all (contract 162, 164, 165, 175)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.callLater(5, () => seen.push("timer of before"));
    reactor.interleave(toolkit.waker);
    for (let i = 0; i < 1000; i++) reactor.callLater(1, () => {});
    reactor.callFromThread(() => seen.push("callFromThread"));
    reactor.addReader(pipe.reader(() => seen.push("doRead")));
    pipe.fill();
    await delay(50); // The toolkit is busy meanwhile.
    assertEquals(toolkit.pending, 1);
    toolkit.callWork();
    assertEquals(seen.sort(), ["callFromThread", "doRead", "timer of before"]);
    await delay(20);
    assertEquals(toolkit.pending, 1); // The handled one: nothing came after it.
    await deadline(reactor.close(), PATIENCE);
  },
);

testOnBackends(
  "interleave() with a NativeWaker is woken at once by what foreign code asks for (contract 170)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    const seen: string[] = [];
    reactor.interleave(toolkit.waker);
    reactor.callLater(60_000, () => {});
    // Foreign code: a handler of the toolkit's own, between work items.
    let handled = 0;
    reactor.callFromThread(() => {});
    toolkit.run(() => {
      toolkit.callWork();
      if (++handled === 1) {
        reactor.callLater(1, () => seen.push("callLater"));
        reactor.addReader(pipe.reader(() => {
          seen.push("doRead");
          toolkit.quit();
        }));
        reactor.callLater(5, () => pipe.fill());
      }
    });
    assertEquals(seen, ["callLater", "doRead"]);
    await deadline(reactor.close(), PATIENCE);
  },
);

testOnBackends(
  "interleave() with a NativeWaker does not re-enter a callback that runs the loop nested (contract 173)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    let depth = 0;
    let deepest = 0;
    const seen: string[] = [];
    reactor.callLater(1, () => {
      deepest = Math.max(deepest, ++depth);
      reactor.callLater(0, () => seen.push("after the nested loop"));
      // A nested loop that handles whatever is there, as a dialog would.
      for (let i = 0; i < 10; i++) {
        toolkit.callWork();
        reactor.work();
      }
      seen.push("nested loop");
      depth--;
      reactor.callLater(5, () => reactor.stop());
    });
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    reactor.interleave(toolkit.waker);
    toolkit.run();
    await deadline(reactor.finished, PATIENCE);
    assertEquals([deepest, seen], [1, [
      "nested loop",
      "after the nested loop",
    ]]);
  },
);

// The end

testOnBackends(
  "close() ends a reactor whose toolkit's loop has ended before it (contract 178)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    const seen: string[] = [];
    reactor.callLater(1, () => toolkit.quit());
    for (const phase of ["before", "during", "after"] as const) {
      reactor.addSystemEventTrigger(phase, "shutdown", () => seen.push(phase));
    }
    reactor.interleave(toolkit.waker);
    toolkit.run();
    await deadline(reactor.close(), PATIENCE);
    assertEquals(seen, ["before", "during", "after"]);
    assertEquals(toolkit.released, 1);
  },
);

testOnBackends(
  "close() waits until no post is under way: the toolkit may be gone afterwards (contract 172)",
  async ({ reactor }) => {
    for (let i = 0; i < 50; i++) {
      const toolkit = new ToolkitInC();
      const other = new Reactor({ backend: reactor.inspect().backend });
      other.interleave(toolkit.waker);
      other.callLater(i % 5, () => {});
      await deadline(other.close(), PATIENCE);
      toolkit[Symbol.dispose](); // A post into a closed pipe would be refused.
    }
  },
);

testOnBackends(
  "close() does not wait for a toolkit that refuses the worker's post for ever",
  async ({ reactor }) => {
    const toolkit = new ToolkitInC();
    reactor.interleave(toolkit.waker);
    toolkit[Symbol.dispose](); // Whatever is posted from here on is refused.
    reactor.callLater(1, () => {});
    await delay(20);
    // Far less than the time after which a worker counts as dead.
    await deadline(reactor.close(), 5000);
  },
);

testOnBackends(
  "crash() in a NativeWaker's loop lets the reactor start again, in another host (contract 174)",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    let calls = 0;
    reactor.callLater(1, () => {
      calls++;
      reactor.crash();
      toolkit.quit();
    });
    reactor.interleave(toolkit.waker);
    toolkit.run();
    toolkit.callWork();
    reactor.callLater(1, () => {
      calls++;
      reactor.stop();
    });
    await deadline(reactor.run(), PATIENCE);
    assertEquals(calls, 2);
  },
);

testOnBackends(
  "iterate() works beside a NativeWaker's loop, and the post that it overtakes does no harm",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    let calls = 0;
    reactor.interleave(toolkit.waker);
    reactor.callLater(1, () => calls++);
    while (calls === 0) reactor.iterate(-1);
    reactor.callLater(1, () => {
      calls++;
      reactor.stop();
    });
    reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
    toolkit.run();
    await deadline(reactor.finished, PATIENCE);
    assertEquals(calls, 2);
  },
);

// Never silent

Deno.test("NativeWaker.accepted makes the worker post again what was refused", async () => {
  const outcome = await runProgram(
    // A pipe that is full refuses a byte, and takes it when there is room.
    `
const { FileDescriptor, Reactor } = interleave;
const { write } = Deno.dlopen(Deno.build.os === "darwin" ? "libSystem.dylib" : "libc.so.6", {
  write: { type: "pointer" },
}).symbols;
const [output, input] = FileDescriptor.pipe();
const full = new Uint8Array(4096);
let filled = 0;
try { for (;;) filled += input.write(full); } catch (error) {
  if (!(error instanceof Deno.errors.WouldBlock)) throw error;
}
const byte = new Uint8Array([1]);
const reactor = new Reactor();
let work;
reactor.interleave({
  post: write,
  parameters: ["i32", "pointer", "usize"],
  result: "isize",
  accepted: 1,
  arguments: (pointer) => {
    work = new Deno.UnsafeFnPointer(pointer, { parameters: ["pointer"], result: "void" });
    return [input.fileno(), Deno.UnsafePointer.of(byte), 1];
  },
});
reactor.callLater(1, () => {
  console.log("served");
  reactor.stop();
});
// The toolkit is busy until the post has been refused at least once.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
const into = new Uint8Array(65536);
while (!into.includes(1)) { try { output.read(into); } catch { /* Empty by now. */ } }
work.call(null);
await reactor.finished;
`,
  );
  assertEquals([outcome.code, outcome.stdout, outcome.stderr], [
    0,
    "served\n",
    "",
  ]);
});

testOnBackends(
  "interleave() with a NativeWaker goes on with another worker when one dies",
  async ({ reactor, errors }) => {
    using toolkit = new ToolkitInC();
    await withWorkers(async (workers) => {
      reactor.interleave(toolkit.waker);
      workers[0]!.emit("error", new Error("shot"));
      reactor.callLater(1, () => reactor.stop());
      reactor.addSystemEventTrigger("after", "shutdown", () => toolkit.quit());
      toolkit.run();
      await deadline(reactor.finished, PATIENCE);
      assertEquals(workers.length, 2);
    });
    assertEquals(
      errors.splice(0).map(({ error, where }) => [
        (error as Error).message,
        where,
      ]),
      [["shot", "worker"]],
    );
  },
);

// Bad wakers

for (
  const [what, part, message] of [
    ["no post", { post: undefined }, '"waker.post"'],
    ["a null post", { post: null }, '"waker.post"'],
    ["a post that is no pointer", { post: {} }, '"waker.post"'],
    ["no parameters", { parameters: undefined }, '"waker.parameters"'],
    ["a buffer parameter", { parameters: ["buffer"] }, '"waker.parameters[0]"'],
    ["a void parameter", { parameters: ["void"] }, '"waker.parameters[0]"'],
    ["an odd result", { result: "int" }, '"waker.result"'],
    ["no arguments function", { arguments: [0] }, '"waker.arguments"'],
    ["too few arguments", { arguments: () => [0] }, '"waker.arguments()"'],
    ["no array of arguments", { arguments: () => 5 }, '"waker.arguments()"'],
    ["an argument of a wrong type", {
      arguments: () => [0, 5, 0],
    }, '"waker.arguments()[1]"'],
    ["a string for a number", {
      arguments: () => ["0", null, 0],
    }, '"waker.arguments()[0]"'],
    ["a callback that is no object", { callback: 5 }, '"waker.callback"'],
    ["a callback without parameters", {
      callback: {},
    }, '"waker.callback.parameters"'],
    ["accepted of a wrong type", { accepted: "1" }, '"waker.accepted"'],
  ] as const
) {
  testOnBackends(
    `interleave() refuses a NativeWaker with ${what}`,
    ({ reactor }) => {
      const error = assertThrows(
        () => reactor.interleave(waker(part)),
        TypeError,
      );
      assertStringIncludes(
        error.message,
        `Cannot interleave: ${message} must be`,
      );
      // It can still be started.
      assertEquals(reactor.inspect().host, "none");
      reactor.interleave();
      assert(reactor.running);
    },
  );
}

testOnBackends(
  "interleave() lets through what a waker's arguments() throws",
  ({ reactor }) => {
    assertThrows(
      () =>
        reactor.interleave(waker({
          arguments() {
            throw new RangeError("no application yet");
          },
        })),
      RangeError,
      "no application yet",
    );
    assertEquals(reactor.inspect().host, "none");
  },
);

// threadSafeWaker()

testOnBackends(
  "threadSafeWaker() leaves Deno's own timers, promises and fetches alone",
  async ({ reactor }) => {
    using waker = threadSafeWaker();
    using pipe = new Pipe();
    reactor.interleave(waker);
    let ticks = 0;
    const interval = setInterval(() => ticks++, 1);
    for (let i = 0; i < 100; i++) {
      setTimeout(() => pipe.fill());
      await deadline(reactor.readable(pipe.output), PATIENCE);
      pipe.output.read(new Uint8Array(1));
    }
    clearInterval(interval);
    assertGreaterOrEqual(ticks, 10);
  },
);

testOnBackends(
  "threadSafeWaker() can be disposed of before the reactor ends, or twice",
  async ({ reactor }) => {
    const waker = threadSafeWaker();
    reactor.interleave(waker);
    waker[Symbol.dispose]();
    waker[Symbol.dispose]();
    await deadline(
      new Promise<void>((resolve) => reactor.callLater(1, resolve)),
      PATIENCE,
    );
    await deadline(reactor.close(), PATIENCE);
  },
);

testOnBackends(
  "threadSafeWaker() lets a reader end the reactor, as often as one likes",
  async ({ reactor }) => {
    for (let i = 0; i < 20; i++) {
      using waker = threadSafeWaker();
      await using other = new Reactor({ backend: reactor.inspect().backend });
      other.interleave(waker);
      other.callLater(i % 3, () => other.stop());
      await deadline(other.finished, PATIENCE);
    }
  },
);

for (const how of ["ends by itself", "calls Deno.exit()"]) {
  Deno.test(`threadSafeWaker() does not hold up a program that ${how}`, async () => {
    for (let i = 0; i < 5; i++) {
      const outcome = await runProgram(`
const reactor = new interleave.Reactor();
reactor.interleave(interleave.threadSafeWaker());
const again = () => reactor.callLater(0, again).unref();
again();
await new Promise((resolve) => setTimeout(resolve, ${i}));
console.log("end");
${how === "calls Deno.exit()" ? "Deno.exit(0);" : ""}`);
      assertEquals([outcome.code, outcome.stdout], [0, "end\n"]);
    }
  });
}
