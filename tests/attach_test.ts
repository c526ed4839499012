// Loops that lend their descriptors. Those here are a few lines each; those of
// real toolkits have their tests in loops/.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLessOrEqual,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline, delay } from "@std/async";
import { POLL } from "../ffi/constants.ts";
import { libcPath } from "../ffi/libc.ts";
import { ReactorNotRestartable } from "../src/errors.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import type { ForeignLoop, Prepared } from "../src/foreign_loop.ts";
import { PATIENCE } from "./descriptors.ts";
import { testInHosts, testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";
import { withWorkers } from "./workers.ts";

const { write, isatty } = Deno.dlopen(libcPath(), {
  write: { type: "pointer" },
  isatty: { type: "pointer" },
}).symbols;

/** A loop that does what a test says. */
class Loop implements ForeignLoop {
  /** What it waits for. */
  wants: Prepared;
  prepared = 0;
  /** What it was given, step by step. */
  readonly steps: number[][] = [];
  readonly hold?: ForeignLoop["hold"];

  constructor(
    wants: Prepared,
    private readonly onStep: (step: number) => void = () => {},
    hold: ForeignLoop["hold"] = undefined,
  ) {
    this.wants = wants;
    this.hold = hold;
  }

  prepare(): Prepared {
    this.prepared++;
    return this.wants;
  }

  dispatch(revents: Int16Array): void {
    this.steps.push([...revents]);
    this.onStep(this.steps.length);
  }
}

/** Waits for something to read, or for the end of a time. */
function reading(...pipes: Pipe[]): Prepared {
  return {
    descriptors: pipes.map((pipe) => ({
      fd: pipe.output.fileno(),
      events: POLL.IN,
    })),
    timeout: -1,
  };
}

function ofTime(timeout: number): Prepared {
  return { descriptors: [], timeout };
}

// Stepping

testInHosts(
  "attach() steps a loop when one of its descriptors is ready, and says which",
  async ({ reactor, run }) => {
    using first = new Pipe();
    using second = new Pipe();
    const loop: Loop = new Loop(reading(first, second), (step) => {
      if (step === 1) {
        second.output.read(new Uint8Array(1));
        first.fill();
      } else {
        first.output.read(new Uint8Array(1));
        reactor.stop();
      }
    });
    reactor.addSystemEventTrigger("after", "startup", () => {
      reactor.attach(loop);
      reactor.callLater(5, () => second.fill());
    });
    await run();
    assertEquals(loop.steps, [[0, POLL.IN], [POLL.IN, 0]]);
  },
);

testInHosts(
  "attach() steps a loop when its time is over, and not before",
  async ({ reactor, run }) => {
    let start = NaN;
    const times: number[] = [];
    const loop: Loop = new Loop(ofTime(10), (step) => {
      times.push(performance.now() - start);
      start = performance.now();
      if (step === 3) reactor.stop();
    });
    reactor.addSystemEventTrigger("after", "startup", () => {
      start = performance.now();
      reactor.attach(loop);
    });
    await run();
    assertEquals(loop.steps, [[], [], []]);
    // The first time begins when the loop is asked.
    for (const time of times) assertGreaterOrEqual(time, 9.9);
  },
);

testInHosts(
  "attach() asks a loop again after callbacks of the reactor's, before it waits",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    const loop: Loop = new Loop(reading(), () => {
      pipe.output.read(new Uint8Array(1));
      reactor.stop();
    });
    reactor.addSystemEventTrigger("after", "startup", () => {
      reactor.attach(loop);
    });
    // No descriptor tells of this change, and nobody kicks.
    reactor.callLater(5, () => loop.wants = reading(pipe));
    reactor.callLater(10, () => pipe.fill());
    await run();
    assertEquals(loop.steps, [[POLL.IN]]);
  },
);

testOnBackends(
  "attach() starts the reactor, on Deno's loop, with one worker for any number",
  async ({ reactor }) => {
    await withWorkers(async (workers) => {
      const pipes = Array.from({ length: 20 }, () => new Pipe());
      const loops: Loop[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      let steps = 0;
      for (const pipe of pipes) {
        loops.push(
          new Loop(reading(pipe), () => {
            pipe.output.read(new Uint8Array(1));
            if (++steps === 2 * pipes.length) resolve();
          }),
        );
        reactor.attach(loops.at(-1)!);
      }
      assertEquals(reactor.inspect().host, "deno");
      for (const pipe of pipes) pipe.fill(2);
      await deadline(promise, PATIENCE);
      for (const loop of loops) {
        assertEquals(loop.steps, [[POLL.IN], [POLL.IN]]);
      }
      assertEquals(workers.length, 1);
      for (const pipe of pipes) pipe[Symbol.dispose]();
    });
  },
);

testOnBackends(
  "attach() notices that a number has become another file between two steps",
  async ({ reactor }) => {
    let output = FileDescriptor.pipe();
    const number = output[0].fileno();
    const { promise, resolve } = Promise.withResolvers<void>();
    const loop: Loop = new Loop(
      { descriptors: [{ fd: number, events: POLL.IN }], timeout: -1 },
      (step) => {
        for (const end of output) end.close();
        if (step === 5) {
          loop.wants = reading();
          return resolve();
        }
        // The lowest numbers are given out first.
        output = FileDescriptor.pipe();
        assert(output.some((end) => end.fileno() === number));
        setTimeout(() => output[1].write(new Uint8Array(1)), 1);
      },
    );
    using _attachment = reactor.attach(loop);
    output[1].write(new Uint8Array(1));
    await deadline(promise, PATIENCE);
    assertEquals(loop.steps.length, 5);
  },
);

testOnBackends(
  "attach() lets a loop that is always ready starve neither Deno nor the reactor",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const loop = new Loop(ofTime(0));
    using _attachment = reactor.attach(loop);
    let ticks = 0;
    const interval = setInterval(() => ticks++, 5);
    let calls = 0;
    const again = () => {
      calls++;
      reactor.callLater(5, again);
    };
    again();
    for (let i = 0; i < 50; i++) {
      setTimeout(() => pipe.fill());
      await deadline(reactor.readable(pipe.output), PATIENCE);
      pipe.output.read(new Uint8Array(1));
    }
    await delay(200);
    clearInterval(interval);
    assertGreaterOrEqual(ticks, 10);
    assertGreaterOrEqual(calls, 10);
    assertGreaterOrEqual(loop.steps.length, 100);
  },
);

testOnBackends("attach() lets an idle loop idle", async ({ reactor }) => {
  using pipe = new Pipe();
  const loop = new Loop(reading(pipe));
  using attachment = reactor.attach(loop);
  attachment.kick();
  await delay(20); // Whatever the start has to do.
  const { turns } = reactor.inspect().counters;
  const { prepared } = loop;
  await delay(200);
  assertEquals(reactor.inspect().counters.turns, turns);
  assertEquals([loop.prepared, loop.steps.length], [prepared, 0]);
});

// Attachment

testOnBackends(
  "Attachment.kick() has the loop asked again, though nothing happened",
  async ({ reactor }) => {
    using pipe = new Pipe();
    pipe.fill();
    const { promise, resolve } = Promise.withResolvers<void>();
    const loop: Loop = new Loop(reading(), () => {
      pipe.output.read(new Uint8Array(1));
      loop.wants = reading();
      resolve();
    });
    using attachment = reactor.attach(loop);
    await delay(10);
    loop.wants = reading(pipe); // Nobody can see that.
    attachment.kick();
    await deadline(promise, PATIENCE);
    assertEquals(loop.steps, [[POLL.IN]]);
  },
);

testOnBackends(
  "Attachment.detach() lets go of the descriptors at once, and may be called twice",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const loop = new Loop(reading(pipe));
    const attachment = reactor.attach(loop);
    await delay(10);
    attachment.detach();
    attachment.detach();
    attachment.kick();
    attachment.ref();
    const { prepared } = loop;
    pipe.fill();
    await delay(20);
    assertEquals([loop.prepared, loop.steps.length], [prepared, 0]);
    assertEquals(reactor.inspect().attachments, []);
    // Nobody polls it any more: the other end sees at once that it is closed.
    pipe.output.close();
    assertThrows(() => pipe.fill(), Error, "EPIPE");
  },
);

testInHosts(
  "Attachment.detach() inside the loop's own step, or another's, takes effect at once",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    pipe.fill();
    const seen: string[] = [];
    reactor.addSystemEventTrigger("after", "startup", () => {
      const attachments = ["first", "second"].map((name) =>
        reactor.attach(
          new Loop(reading(pipe), () => {
            seen.push(name);
            for (const attachment of attachments) attachment.detach();
            reactor.callLater(10, () => reactor.stop());
          }),
        )
      );
    });
    await run();
    assertEquals(seen, ["first"]);
  },
);

testInHosts(
  "attach() inside a loop's step works, and so does stop()",
  async ({ reactor, run }) => {
    const seen: string[] = [];
    reactor.addSystemEventTrigger("after", "startup", () => {
      reactor.attach(
        new Loop(ofTime(1), (step) => {
          if (step > 1) return;
          seen.push("first");
          reactor.attach(
            new Loop(ofTime(1), () => {
              seen.push("second");
              reactor.stop();
            }),
          );
        }),
      );
    });
    await run();
    assertEquals(seen.slice(0, 2), ["first", "second"]);
  },
);

testOnBackends(
  "Attachment keeps its loop in inspect()",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const { descriptors } = reading(pipe);
    using _attachment = reactor.attach(
      new Loop({ descriptors, timeout: 60_000 }),
    );
    using second = reactor.attach(new Loop(ofTime(-1)));
    second.unref();
    await delay(10);
    const { attachments, keepsAlive } = reactor.inspect();
    assertEquals(attachments[0]!.descriptors, descriptors);
    assertLessOrEqual(attachments[0]!.timeout, 60_000);
    assertGreaterOrEqual(attachments[0]!.timeout, 30_000);
    assertEquals(attachments[1], { descriptors: [], timeout: -1 });
    assertEquals(keepsAlive.attachments, 1);
    assertLessOrEqual(reactor.nextTimeout(), 60_000);
  },
);

for (
  const [what, statement, lasts] of [
    ["by itself", "", true],
    ["not after unref()", "attachment.unref();", false],
    ["again after ref()", "attachment.unref(); attachment.ref();", true],
    ["not after detach()", "attachment.detach();", false],
    ["not after reactor.unref()", "reactor.unref();", false],
  ] as const
) {
  Deno.test(`Attachment keeps the process alive ${what}`, async () => {
    const { code, stdout } = await runProgram(`
const reactor = new interleave.Reactor();
let steps = 0;
const attachment = reactor.attach({
  prepare: () => ({ descriptors: [], timeout: 50 }),
  dispatch() {
    console.log("step");
    attachment.detach();
  },
});
${statement}
console.log("end of the module");
`);
    assertEquals([code, stdout], [
      0,
      `end of the module\n${lasts ? "step\n" : ""}`,
    ]);
  });
}

testOnBackends(
  "stop(), crash() and close() let go of attached loops, or keep them for the next run",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const loop: Loop = new Loop(reading(pipe), () => {
      pipe.output.read(new Uint8Array(1));
      reactor.callLater(0, () => reactor.stop());
    });
    reactor.attach(loop);
    await delay(5);
    reactor.crash();
    assertEquals(reactor.inspect().attachments.length, 1);
    pipe.fill();
    await delay(5);
    assertEquals(loop.steps, []);
    await deadline(reactor.run(), PATIENCE);
    assertEquals(loop.steps, [[POLL.IN]]);
    assertEquals(reactor.inspect().attachments, []);
    assertThrows(() => reactor.attach(loop), ReactorNotRestartable);
    await reactor.close();
    assertThrows(() => reactor.attach(loop), Deno.errors.BadResource);
  },
);

testOnBackends(
  "iterate() steps attached loops, and blocks until there is something for them",
  ({ reactor }) => {
    using pipe = new Pipe();
    let start = NaN;
    const loop: Loop = new Loop(ofTime(20), (step) => {
      if (step === 1) loop.wants = reading(pipe);
      else pipe.output.read(new Uint8Array(1));
    });
    reactor.iterate();
    // Puts it on Deno's loop, which stands still here.
    using _attachment = reactor.attach(loop);
    start = performance.now();
    while (loop.steps.length === 0) reactor.iterate(-1);
    assertGreaterOrEqual(performance.now() - start, 19.9);
    pipe.fill();
    while (loop.steps.length === 1) reactor.iterate(-1);
    assertEquals(loop.steps, [[], [POLL.IN]]);
  },
);

// What loops throw

testOnBackends(
  "attach() reports what dispatch() throws, and the loop goes on",
  async ({ reactor, errors }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const loop: Loop = new Loop(ofTime(1), (step) => {
      if (step === 3) resolve();
      else throw new Error(`step ${step}`);
    });
    using _attachment = reactor.attach(loop);
    await deadline(promise, PATIENCE);
    assertEquals(
      errors.splice(0).map(({ error, where }) => [
        (error as Error).message,
        where,
      ]),
      [
        ["step 1", "dispatch of an attached loop"],
        ["step 2", "dispatch of an attached loop"],
      ],
    );
  },
);

testOnBackends(
  "attach() asks again after prepare() has thrown",
  async ({ reactor, errors }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    using _attachment = reactor.attach({
      prepare() {
        if (++asked === 1) throw new Error("not now");
        return ofTime(1);
      },
      dispatch: () => asked > 1 && resolve(),
    });
    await deadline(promise, PATIENCE);
    assertEquals(
      errors.splice(0).map(({ error }) => (error as Error).message),
      [
        "not now",
      ],
    );
  },
);

for (
  const [what, wants, message] of [
    ["throws", null, "always"],
    ["returns nothing", undefined, '"descriptors" must be an array'],
    ["names no timeout", { descriptors: [] }, '"timeout" must be a number'],
    [
      "names a descriptor that is none",
      { descriptors: [{ fd: "5", events: 1 }], timeout: -1 },
      '"descriptors[0].fd" must be an integer from -2147483647 to 2147483647, received "5"',
    ],
    [
      "names no events",
      { descriptors: [{ fd: 5 }], timeout: -1 },
      '"descriptors[0].events" must be an integer',
    ],
  ] as const
) {
  testOnBackends(
    `attach() gives up a loop whose prepare() always ${what}, and nothing else`,
    async ({ reactor, errors }) => {
      using pipe = new Pipe();
      reactor.attach({
        prepare() {
          if (wants === null) throw new Error("always");
          return wants as unknown as Prepared;
        },
        dispatch() {},
      });
      while (reactor.inspect().attachments.length > 0) {
        // The rest is served meanwhile.
        pipe.fill();
        await deadline(reactor.readable(pipe.output), PATIENCE);
        pipe.output.read(new Uint8Array(1));
        await delay(1);
      }
      const reported = errors.splice(0).map(({ error }) => error as Error);
      assertEquals(reported.length, 4);
      for (const error of reported.slice(0, 3)) {
        assertStringIncludes(error.message, message);
      }
      assertStringIncludes(reported[3]!.message, "was detached");
      assertInstanceOf(reported[3]!.cause, Error);
    },
  );
}

// Holding

/** Calls that leave a trace: a byte in a pipe. */
class Trace implements Disposable {
  readonly #pipe = new Pipe();
  readonly #marks = new Uint8Array([65, 82]);
  readonly hold: NonNullable<ForeignLoop["hold"]>;

  constructor() {
    const [acquire, release] = [0, 1].map((i) => ({
      function: write!,
      parameters: ["i32", "pointer", "usize"],
      result: "isize",
      arguments: [
        this.#pipe.input.fileno(),
        Deno.UnsafePointer.of(this.#marks.subarray(i)),
        1,
      ],
    } as const));
    this.hold = { acquire: acquire!, release: release! };
  }

  /** A for each acquire and R for each release so far. */
  read(): string {
    try {
      const into = new Uint8Array(1000);
      const length = this.#pipe.output.read(into)!;
      return new TextDecoder().decode(into.subarray(0, length));
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) return "";
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#pipe[Symbol.dispose]();
  }
}

testOnBackends(
  "ForeignLoop.hold is taken before the wait begins and given back when it ends",
  async ({ reactor }) => {
    using trace = new Trace();
    using pipe = new Pipe();
    const { promise, resolve } = Promise.withResolvers<void>();
    let atStep = "";
    const loop = new Loop(reading(pipe), () => {
      atStep = trace.read();
      pipe.output.read(new Uint8Array(1));
      resolve();
    }, trace.hold);
    using attachment = reactor.attach(loop);
    // When the call returns that lets the worker wait, it holds the loop.
    await deadline(new Promise<void>((f) => reactor.callLater(1, f)), PATIENCE);
    const before = trace.read();
    assert(/^(AR)*A$/.test(before), before);
    pipe.fill();
    await deadline(promise, PATIENCE);
    assertEquals(atStep, "R");
    await deadline(new Promise<void>((f) => reactor.callLater(1, f)), PATIENCE);
    attachment.detach();
    // Detached: the worker has let go.
    const after = trace.read();
    assert(/^(AR)*$/.test(after), after);
    await deadline(new Promise<void>((f) => reactor.callLater(1, f)), PATIENCE);
    assertEquals(trace.read(), "");
  },
);

testOnBackends(
  "ForeignLoop.held() is called whenever the loop is held, and may wake the wait",
  async ({ reactor, errors }) => {
    using trace = new Trace();
    using pipe = new Pipe();
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    const loop: ForeignLoop = new Loop(reading(pipe), () => {
      pipe.output.read(new Uint8Array(1));
      resolve();
    }, trace.hold);
    using attachment = reactor.attach(
      Object.assign(loop, {
        held() {
          seen.push(trace.read());
          if (seen.length === 2) throw new Error("held, and threw");
          pipe.fill(); // What came while nobody held it.
        },
      }),
    );
    await deadline(promise, PATIENCE);
    attachment.detach();
    for (const text of seen) assert(/^(RA|A)$/.test(text), text);
    for (const { error, where } of errors.splice(0)) {
      assertEquals([(error as Error).message, where], [
        "held, and threw",
        "held of an attached loop",
      ]);
    }
  },
);

testOnBackends(
  "ForeignLoop.hold that is refused is not given back, and said once",
  async ({ reactor, errors }) => {
    using trace = new Trace();
    const { promise, resolve } = Promise.withResolvers<void>();
    const refuse = {
      function: isatty!,
      parameters: ["i32"],
      result: "i32",
      arguments: [-1],
    } as const;
    using _attachment = reactor.attach(
      new Loop(ofTime(1), (step) => {
        if (step === 3) resolve();
      }, { acquire: refuse, release: trace.hold.release }),
    );
    await deadline(promise, PATIENCE);
    assertEquals(trace.read(), "");
    const reported = errors.splice(0).map(({ error }) => error as Error);
    assertEquals(reported.length, 1);
    assertStringIncludes(reported[0]!.message, "belongs to another thread");
  },
);

testOnBackends("iterate() holds attached loops itself", ({ reactor }) => {
  using trace = new Trace();
  reactor.iterate();
  const loop = new Loop(ofTime(5), () => {}, trace.hold);
  reactor.attach(loop);
  while (loop.steps.length === 0) reactor.iterate(-1);
  const text = trace.read();
  assert(/^(AR)+A?$/.test(text), text);
});

// Bad loops

for (
  const [what, loop, message] of [
    ["null", null, '"loop" must be an object, received null'],
    ["a function", () => {}, '"loop" must be an object, received function'],
    ["no prepare", { dispatch() {} }, '"loop.prepare" must be a function'],
    [
      "no dispatch",
      { prepare: () => ofTime(0) },
      '"loop.dispatch" must be a function',
    ],
    [
      "a held that is no function",
      { prepare: () => ofTime(0), dispatch() {}, held: 5 },
      '"loop.held" must be a function, received 5',
    ],
    [
      "a hold that is none",
      { prepare: () => ofTime(0), dispatch() {}, hold: 5 },
      '"loop.hold" must be an object, received 5',
    ],
    [
      "half a hold",
      { prepare: () => ofTime(0), dispatch() {}, hold: { acquire: {} } },
      '"loop.hold.acquire.function" must be a pointer to a function',
    ],
    [
      "a hold with too few arguments",
      {
        prepare: () => ofTime(0),
        dispatch() {},
        hold: {
          acquire: { function: write, parameters: ["i32"], arguments: [] },
        },
      },
      '"loop.hold.acquire.arguments" must be an array of 1, received 0',
    ],
  ] as const
) {
  testOnBackends(`attach() refuses ${what}`, ({ reactor }) => {
    const error = assertThrows(
      () => reactor.attach(loop as unknown as ForeignLoop),
      TypeError,
    );
    assertStringIncludes(error.message, `Cannot attach a loop: ${message}`);
    assertFalse(reactor.running);
  });
}
