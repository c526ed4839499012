// A nested loop that blocks the main thread, and a reactor that goes on inside.
// Real dialogs have their tests in loops/.

import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline, delay } from "@std/async";
import { POLL } from "../ffi/constants.ts";
import { libcPath } from "../ffi/libc.ts";
import { ReactorNotRunning } from "../src/errors.ts";
import type { NativeWaker } from "../src/native_waker.ts";
import { PATIENCE } from "./descriptors.ts";
import { testInHosts, testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { ToolkitInC } from "./toolkit_in_c.ts";

const { getpid } = Deno.dlopen(libcPath(), { getpid: { type: "pointer" } })
  .symbols;

/** Where a nested loop is begun. */
const PLACES = ["a delayed call", "doRead", "callFromThread"] as const;

for (const place of PLACES) {
  testInHosts(
    `modal() lets callbacks run inside the nested loop when called from ${place}`,
    async ({ reactor, run }) => {
      using toolkit = new ToolkitInC();
      using pipe = new Pipe();
      using other = new Pipe();
      const seen: string[] = [];
      const open = () => {
        reactor.callLater(5, () => {
          seen.push("timer inside");
          other.fill();
        });
        const result = reactor.modal(toolkit.waker, () => {
          seen.push("opened");
          toolkit.run();
          return "closed";
        });
        seen.push(result);
        reactor.callLater(1, () => {
          seen.push("timer afterwards");
          reactor.stop();
        });
      };
      reactor.addReader(other.reader(() => {
        seen.push("reader inside");
        toolkit.quit();
      }));
      if (place === "doRead") {
        const reader = pipe.reader(open);
        reactor.addReader(reader);
        pipe.fill();
      } else if (place === "callFromThread") reactor.callFromThread(open);
      else reactor.callLater(1, open);
      await run();
      assertEquals(seen, [
        "opened",
        "timer inside",
        "reader inside",
        "closed",
        "timer afterwards",
      ]);
    },
  );
}

testInHosts(
  "modal() from a delayed call: one that is made inside, outside of callbacks, is not late",
  async ({ reactor, run }) => {
    using toolkit = new ToolkitInC();
    let took = NaN;
    reactor.callLater(1, () => {
      // Would wake the worker in the end.
      const late = reactor.callLater(PATIENCE / 2, () => toolkit.quit());
      reactor.modal(toolkit.waker, () => {
        const made = performance.now();
        reactor.callLater(5, () => {
          took = performance.now() - made;
          toolkit.quit();
        });
        toolkit.run();
      });
      late[Symbol.dispose]();
      reactor.stop();
    });
    await run();
    assertLess(took, PATIENCE / 4);
  },
);

testInHosts(
  "modal() inside modal() returns to the outer loop, and then to the host",
  async ({ reactor, run }) => {
    using outer = new ToolkitInC();
    using inner = new ToolkitInC();
    const seen: string[] = [];
    reactor.callLater(1, () => {
      reactor.callLater(1, () => {
        reactor.callLater(1, () => {
          seen.push("inside both");
          inner.quit();
        });
        reactor.modal(inner.waker, () => inner.run());
        seen.push("inner closed");
        reactor.callLater(1, () => {
          seen.push("inside the outer");
          outer.quit();
        });
      });
      reactor.modal(outer.waker, () => outer.run());
      seen.push("outer closed");
      reactor.callLater(1, () => reactor.stop());
    });
    await run();
    assertEquals(seen, [
      "inside both",
      "inner closed",
      "inside the outer",
      "outer closed",
    ]);
  },
);

testOnBackends(
  "modal() works from plain code, on a host that is free",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    reactor.interleave();
    for (let i = 0; i < 10; i++) {
      reactor.callLater(i % 3, () => toolkit.quit());
      reactor.modal(toolkit.waker, () => toolkit.run());
      // And Deno's loop has the reactor back.
      setTimeout(() => pipe.fill(), 1);
      await deadline(reactor.readable(pipe.output), PATIENCE);
      pipe.output.read(new Uint8Array(1));
    }
    assertEquals(toolkit.asked, 1);
    assertEquals(reactor.inspect().host, "deno");
  },
);

testOnBackends(
  "modal() serves a work item that was outstanding when it began",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    const due: (() => void)[] = [];
    const came = Promise.withResolvers<void>();
    reactor.interleave((work) => {
      due.push(work);
      came.resolve();
    });
    let calls = 0;
    reactor.callLater(1, () => {
      calls++;
      toolkit.quit();
    });
    await deadline(came.promise, PATIENCE);
    reactor.modal(toolkit.waker, () => toolkit.run());
    assertEquals(calls, 1);
    for (const work of due) work(); // Too late: that is done.
    assertEquals(calls, 1);
  },
);

testInHosts(
  "modal() keeps the order of callFromThread(), whatever is left of the round",
  async ({ reactor, run }) => {
    using toolkit = new ToolkitInC();
    const seen: string[] = [];
    const call = (name: string) =>
      reactor.callFromThread(() => seen.push(name));
    reactor.callWhenRunning(() => {
      call("1");
      reactor.callFromThread(() => {
        seen.push("2 opens");
        call("5");
        reactor.callFromThread(() => toolkit.quit());
        reactor.modal(toolkit.waker, () => toolkit.run());
        seen.push("2 closed");
        reactor.callFromThread(() => {
          seen.push("6");
          reactor.stop();
        });
      });
      call("3");
      call("4");
    });
    await run();
    assertEquals(seen, ["1", "2 opens", "3", "4", "5", "2 closed", "6"]);
  },
);

testInHosts(
  "modal() loses no descriptor that was ready in the same round",
  async ({ reactor, run }) => {
    using toolkit = new ToolkitInC();
    const pipes = Array.from({ length: 10 }, () => new Pipe());
    const counts = pipes.map(() => 0);
    pipes.forEach((pipe, i) => {
      reactor.addReader(pipe.reader(() => {
        counts[i]!++;
        if (counts.every((count) => count > 0)) toolkit.quit();
        if (counts.reduce((a, b) => a + b) === 1) {
          reactor.modal(toolkit.waker, () => toolkit.run());
          reactor.callLater(1, () => reactor.stop());
        }
      }));
      pipe.fill();
    });
    await run();
    assertEquals(counts, pipes.map(() => 1));
    for (const pipe of pipes) pipe[Symbol.dispose]();
  },
);

testOnBackends(
  "modal() lets what run() throws through, and the reactor goes on",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    reactor.interleave();
    assertThrows(
      () =>
        reactor.modal(toolkit.waker, () => {
          throw new RangeError("no dialog");
        }),
      RangeError,
      "no dialog",
    );
    await deadline(
      new Promise<void>((resolve) => reactor.callLater(1, resolve)),
      PATIENCE,
    );
  },
);

testOnBackends(
  "modal() on a reactor that was not started, or has ended, just runs",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    assertEquals(reactor.modal(toolkit.waker, () => 5), 5);
    await reactor.close();
    assertEquals(reactor.modal(toolkit.waker, () => 6), 6);
    assertEquals(toolkit.asked, 0);
  },
);

testInHosts(
  "stop() inside modal() shuts down in there, and a trigger ends the nested loop",
  async ({ reactor, run }) => {
    using toolkit = new ToolkitInC();
    const returned = Promise.withResolvers<void>();
    const seen: string[] = [];
    reactor.callLater(1, () => {
      reactor.callLater(1, () => reactor.stop());
      reactor.addSystemEventTrigger("after", "shutdown", () => {
        seen.push("after shutdown");
        toolkit.quit();
      });
      reactor.modal(toolkit.waker, () => toolkit.run());
      seen.push("closed");
      assertThrows(() => reactor.stop(), ReactorNotRunning);
      // Inside the nested loop the run may have ended, promises and all.
      returned.resolve();
    });
    await Promise.all([run(), returned.promise]);
    assertEquals(seen, ["after shutdown", "closed"]);
  },
);

testInHosts(
  "crash() inside modal() ends the run, and nothing of it runs afterwards",
  async ({ reactor, run }) => {
    using toolkit = new ToolkitInC();
    const returned = Promise.withResolvers<void>();
    const seen: string[] = [];
    reactor.callLater(1, () => {
      reactor.callLater(1, () => {
        reactor.crash();
        toolkit.quit();
      });
      reactor.callFromThread(() => seen.push("inside"));
      reactor.modal(toolkit.waker, () => toolkit.run());
      seen.push("closed");
      reactor.callFromThread(() => seen.push("too late"));
      // Inside the nested loop the run may have ended, promises and all.
      returned.resolve();
    });
    await Promise.all([run(), returned.promise]);
    assertEquals(seen, ["inside", "closed"]);
  },
);

testOnBackends(
  "close() inside modal() shuts down in there, whatever the host",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    reactor.interleave(() => {}); // A host that never runs anything.
    let closed: Promise<void> | undefined;
    const seen: string[] = [];
    reactor.addSystemEventTrigger("after", "shutdown", () => {
      seen.push("after shutdown");
      toolkit.quit();
    });
    reactor.callLater(1, () => closed = reactor.close());
    reactor.modal(toolkit.waker, () => toolkit.run());
    assertEquals(seen, ["after shutdown"]);
    await deadline(closed!, PATIENCE);
  },
);

testOnBackends(
  "modal() beside attached loops: one that is held or being stepped stands still, others go on",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    const steps = { plain: 0, held: 0, stepping: 0 };
    const call = {
      function: getpid!,
      parameters: [],
      result: "i32",
      arguments: [],
    } as const;
    const every = (ms: number) => ({ descriptors: [], timeout: ms });
    reactor.attach({
      prepare: () => every(1),
      dispatch() {
        steps.plain++;
      },
    });
    reactor.attach({
      prepare: () => every(1),
      dispatch() {
        steps.held++;
      },
      hold: { acquire: call, release: call },
    });
    const { promise, resolve } = Promise.withResolvers<typeof steps>();
    reactor.attach({
      prepare: () => ({
        descriptors: [{ fd: pipe.output.fileno(), events: POLL.IN }],
        timeout: -1,
      }),
      dispatch() {
        if (steps.stepping++ > 0) return;
        const before = { ...steps };
        reactor.callLater(50, () => toolkit.quit());
        reactor.modal(toolkit.waker, () => toolkit.run());
        resolve({
          plain: steps.plain - before.plain,
          held: steps.held - before.held,
          stepping: steps.stepping - before.stepping,
        });
        pipe.output.read(new Uint8Array(1));
      },
    });
    await delay(20);
    pipe.fill();
    const inside = await deadline(promise, PATIENCE);
    assertGreaterOrEqual(inside.plain, 3);
    assertEquals([inside.held, inside.stepping], [0, 0]);
    // Afterwards all go on.
    const { held } = steps;
    pipe.fill();
    while (steps.held < held + 3 || steps.stepping < 2) await delay(1);
  },
);

testOnBackends(
  "modal() has attached loops asked again when it returns",
  async ({ reactor }) => {
    using toolkit = new ToolkitInC();
    using pipe = new Pipe();
    const { promise, resolve } = Promise.withResolvers<void>();
    let nested = false;
    const lent = [{ fd: pipe.output.fileno(), events: POLL.IN }];
    // One that leaves its descriptors to the nested call.
    using _attachment = reactor.attach({
      prepare: () => ({ descriptors: nested ? [] : lent, timeout: -1 }),
      dispatch() {
        pipe.output.read(new Uint8Array(1));
        resolve();
      },
    });
    await delay(5);
    reactor.callLater(10, () => toolkit.quit());
    nested = true;
    reactor.modal(toolkit.waker, () => toolkit.run());
    nested = false;
    pipe.fill();
    await deadline(promise, PATIENCE);
  },
);

testOnBackends("modal() refuses what it can't use", ({ reactor }) => {
  using toolkit = new ToolkitInC();
  reactor.interleave();
  for (
    const [waker, run, message] of [
      [() => {}, () => {}, '"waker" must be a NativeWaker, received function'],
      [
        undefined,
        () => {},
        '"waker" must be a NativeWaker, received undefined',
      ],
      [{ post: 5 }, () => {}, '"waker.post" must be a pointer to a function'],
      [toolkit.waker, undefined, '"run" must be a function'],
    ] as const
  ) {
    const error = assertThrows(
      () =>
        reactor.modal(
          waker as unknown as NativeWaker,
          run as unknown as () => void,
        ),
      TypeError,
    );
    assertStringIncludes(error.message, `Cannot run a modal loop: ${message}`);
  }
});
