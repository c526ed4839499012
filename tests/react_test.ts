// react(): a program with a beginning and an orderly end.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { deadline } from "@std/async";
import { libc } from "../ffi/libc.ts";
import { deferLater } from "../src/defer_later.ts";
import {
  ReactorAlreadyRunning,
  ReactorFailed,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "../src/errors.ts";
import { react } from "../src/react.ts";
import { makeReactor, type Reactor } from "../src/reactor.ts";
import { BACKENDS, PATIENCE } from "./descriptors.ts";
import { FaultyWorkers } from "./faults/faulty_worker.ts";
import { testOnBackends } from "./hosts.ts";
import { Pipe } from "./pipe.ts";
import { type Outcome, Program } from "./program.ts";

// The C library stays open from its first use on, which a test's sanitizer would
// take for a leak.
libc();

/** Longer than any test may take: nothing here waits for it. */
const NEVER = 2 * PATIENCE;

/** Writes down the phases of the end. */
function note(reactor: Reactor, order: string[]): void {
  for (const phase of ["before", "during", "after"] as const) {
    reactor.addSystemEventTrigger(phase, "shutdown", () => order.push(phase));
  }
}

/** Options of react() in a test: signals are tried in processes of their own. */
function quiet(reactor: Reactor) {
  return { reactor, signals: false };
}

/** Rejects when the signal is aborted, as most of what takes a signal does. */
function aborted(clock: Reactor, signal: AbortSignal): Promise<never> {
  return deferLater(NEVER, () => {
    throw new Error("Nobody has aborted this");
  }, { clock, signal });
}

testOnBackends(
  "react() calls main when the reactor runs, and has its result after the shutdown",
  async ({ reactor }) => {
    const order: string[] = [];
    note(reactor, order);
    reactor.addSystemEventTrigger("during", "startup", () => {
      order.push("startup");
    });
    const result = await react(async (given, signal) => {
      assertStrictEquals(given, reactor);
      assert(reactor.running);
      assertFalse(signal.aborted);
      order.push("main");
      await deferLater(1, () => order.push("later"), { clock: reactor });
      return 42;
    }, quiet(reactor));
    assertEquals(result, 42);
    assertEquals(order, [
      "startup",
      "main",
      "later",
      "before",
      "during",
      "after",
    ]);
    assertFalse(reactor.running);
  },
);

testOnBackends(
  "react() takes a main that returns a plain value, or something with a then()",
  async ({ reactor, backend, errors }) => {
    assertEquals(await react(() => "plain", quiet(reactor)), "plain");
    await using another = makeReactor({
      backend,
      onError: (error, where) => errors.push({ error, where }),
    }, {});
    const thenable: PromiseLike<number> = {
      then: (...args) => Promise.resolve(7).then(...args),
    };
    assertEquals(await react(() => thenable, quiet(another)), 7);
  },
);

for (
  const [how, main] of Object.entries({
    "throws at once": () => {
      throw new Error("Stumbled");
    },
    "rejects later": async (clock: Reactor) => {
      await deferLater(1, () => {}, { clock });
      throw new Error("Stumbled");
    },
  })
) {
  testOnBackends(
    `react() rejects, after the shutdown, if main ${how}`,
    async ({ reactor }) => {
      const order: string[] = [];
      note(reactor, order);
      await assertRejects(
        () => react(main, quiet(reactor)),
        Error,
        "Stumbled",
      );
      assertEquals(order, ["before", "during", "after"]);
    },
  );
}

testOnBackends(
  "react() aborts the signal when somebody stops the reactor, and the shutdown waits for main",
  async ({ reactor }) => {
    const order: string[] = [];
    note(reactor, order);
    using pipe = new Pipe();
    const result = await react(async (_, signal) => {
      reactor.callLater(1, () => reactor.stop());
      try {
        await aborted(reactor, signal);
      } finally {
        assertInstanceOf(signal.reason, ReactorNotRunning);
        order.push("aborted");
        // All of the reactor's works as before.
        await deferLater(1, () => pipe.fill(), { clock: reactor });
        await reactor.readable(pipe.output);
        order.push("cleaned up");
      }
    }, quiet(reactor));
    assertEquals(result, undefined);
    assertEquals(order, [
      "before",
      "aborted",
      "cleaned up",
      "during",
      "after",
    ]);
  },
);

testOnBackends(
  "react() has the result of a main that returns one although it was aborted",
  async ({ reactor }) => {
    const result = await react(async (_, signal) => {
      reactor.callLater(1, () => reactor.stop());
      await aborted(reactor, signal).catch(() => {});
      return "half of it";
    }, quiet(reactor));
    assertEquals(result, "half of it");
  },
);

testOnBackends(
  "react() rejects with what goes wrong after the abort",
  async ({ reactor }) => {
    const promise = react(async (_, signal) => {
      reactor.callLater(1, () => reactor.stop());
      await aborted(reactor, signal).catch(() => {});
      throw new Error("Could not save");
    }, quiet(reactor));
    await assertRejects(() => promise, Error, "Could not save");
  },
);

testOnBackends(
  "react() waits for a main that does not heed the abort",
  async ({ reactor }) => {
    const order: string[] = [];
    note(reactor, order);
    const { promise, resolve } = Promise.withResolvers<string>();
    reactor.callWhenRunning(() => reactor.stop());
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      reactor.callLater(5, resolve, "at last");
    });
    const result = await react(
      () => promise.finally(() => order.push("main")),
      quiet(reactor),
    );
    assertEquals(result, "at last");
    assertEquals(order, ["before", "main", "during", "after"]);
  },
);

testOnBackends(
  "react() lets main stop the reactor itself",
  async ({ reactor }) => {
    const result = await react(() => {
      reactor.stop();
      return "stopped";
    }, quiet(reactor));
    assertEquals(result, "stopped");
  },
);

testOnBackends(
  "react() rejects without calling main if the reactor runs already, and leaves it alone",
  async ({ reactor }) => {
    const run = reactor.run({ signals: false });
    let calls = 0;
    await assertRejects(
      () => react(() => calls++, quiet(reactor)),
      ReactorAlreadyRunning,
    );
    assert(reactor.running);
    reactor.stop();
    await run;
    await assertRejects(
      () => react(() => calls++, quiet(reactor)),
      ReactorNotRestartable,
    );
    await reactor.close();
    await assertRejects(
      () => react(() => calls++, quiet(reactor)),
      Deno.errors.BadResource,
    );
    assertEquals(calls, 0);
  },
);

testOnBackends(
  "react() takes over a reactor that has started itself",
  async ({ reactor }) => {
    using pipe = new Pipe();
    const wait = reactor.readable(pipe.output);
    assert(reactor.running);
    await react(async () => {
      pipe.fill();
      assert((await wait).readable);
    }, quiet(reactor));
    assertFalse(reactor.running);
  },
);

testOnBackends(
  "react() tells main of a crash, waits for it, and leaves nothing in the reactor",
  async ({ reactor }) => {
    const order: string[] = [];
    const result = await react(async (_, signal) => {
      reactor.callLater(1, () => reactor.crash());
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve());
      await promise;
      await Promise.resolve();
      order.push("told");
      return "saved";
    }, quiet(reactor));
    assertEquals(result, "saved");
    assertEquals(order, ["told"]);
    assertFalse(reactor.running);

    // A trigger that promises something would let others in before 'during'.
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      queueMicrotask(() => order.push("microtask"));
    });
    reactor.addSystemEventTrigger("during", "shutdown", () => {
      order.push("during");
    });
    reactor.callLater(1, () => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals(order, ["told", "during", "microtask"]);
  },
);

testOnBackends(
  "react() does not stop a reactor that main has crashed, so it can be started again",
  async ({ reactor }) => {
    const result = await react(() => {
      reactor.crash();
      return "crashed";
    }, quiet(reactor));
    assertEquals(result, "crashed");
    reactor.callLater(1, () => reactor.stop());
    await reactor.run({ signals: false });
  },
);

testOnBackends(
  "react() never calls main if the reactor crashes before it runs",
  async ({ reactor }) => {
    const { promise } = Promise.withResolvers<void>();
    reactor.addSystemEventTrigger("before", "startup", () => promise);
    reactor.callLater(1, () => reactor.crash());
    let calls = 0;
    assertEquals(await react(() => ++calls, quiet(reactor)), undefined);
    reactor.callLater(1, () => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals(calls, 0);
  },
);

testOnBackends(
  "react() never calls main if the reactor is stopped before it runs",
  async ({ reactor }) => {
    const { promise } = Promise.withResolvers<void>();
    reactor.addSystemEventTrigger("before", "startup", () => promise);
    reactor.callLater(1, () => reactor.stop());
    let calls = 0;
    assertEquals(await react(() => ++calls, quiet(reactor)), undefined);
    assertEquals(calls, 0);
  },
);

for (const backend of BACKENDS) {
  Deno.test(`react() rejects if the reactor fails, once main has been told [${backend}]`, async () => {
    const reports: Error[] = [];
    const onError = (error: unknown) => void reports.push(error as Error);
    const plan = { step: "start", way: "exit", times: 1000 } as const;
    const { handOver } = new FaultyWorkers(plan);
    await using reactor = makeReactor({ backend, onError }, { handOver });
    using pipe = new Pipe();
    const told: unknown[] = [];
    const promise = react(async (_, signal) => {
      signal.addEventListener("abort", () => told.push("aborted"));
      await reactor.readable(pipe.output).catch(({ name }) => told.push(name));
      return "not heard";
    }, quiet(reactor));
    await deadline(assertRejects(() => promise, ReactorFailed), PATIENCE);
    assertEquals(told, ["ReactorFailed", "aborted"]);
    assertInstanceOf(reports.at(-1), ReactorFailed);
  });
}

testOnBackends(
  "react() says which argument is wrong",
  async ({ reactor }) => {
    const wrong: [unknown, unknown, string][] = [
      [5, {}, '"main" must be a function'],
      [() => {}, null, '"options" must be an object'],
      [() => {}, { reactor: 5 }, '"options.reactor" must be a Reactor'],
      [() => {}, { reactor, signals: 1 }, '"options.signals" must be a bool'],
    ];
    for (const [main, options, message] of wrong) {
      await assertRejects(
        () => react(main as () => void, options as never),
        TypeError,
        message,
      );
    }
    assertFalse(reactor.running);
  },
);

// Seen from outside

/** What every program begins with. */
const PRELUDE = `
  const { deferLater, react, Reactor } = interleave;
  const reactor = new Reactor({ backend: BACKEND });
  const never = new Promise(() => {});
  for (const phase of ["before", "during", "after"]) {
    reactor.addSystemEventTrigger(phase, "shutdown", () => console.log(phase));
  }
`;

/** A program, when it gets signals, and how it must end. */
interface Case {
  body: string;
  signals?: [after: string, signal: Deno.Signal][];
  stdout: string[];
  /** @default {""} */
  stderr?: RegExp;
  /** @default {0} */
  code?: number;
}

const CASES: Record<string, Case> = {
  "cleans up at a signal, keeps the process alive until then, and ends with status 0":
    {
      body: `
        console.log(await react(async (clock, signal) => {
          console.log("ready");
          try {
            await new Promise((_, reject) => {
              signal.addEventListener("abort", () => reject(signal.reason));
            });
          } finally {
            await deferLater(1, () => console.log("cleaned up"), { clock });
          }
        }, { reactor }));
      `,
      signals: [["ready", "SIGTERM"]],
      stdout: ["ready", "before", "cleaned up", "during", "after", "undefined"],
    },
  "leaves a second signal its effect when main does not end": {
    body: `
      await react(() => {
        console.log("ready");
        return never;
      }, { reactor });
    `,
    signals: [["ready", "SIGINT"], ["before", "SIGINT"]],
    stdout: ["ready", "before"],
    code: 130,
  },
  "leaves signals alone when it is told to": {
    body: `
      await react(() => {
        console.log("ready");
        return never;
      }, { reactor, signals: false });
    `,
    signals: [["ready", "SIGINT"]],
    stdout: ["ready"],
    code: 130,
  },
  "runs the shared reactor if there is no other": {
    body: `
      console.log(await react((given) => given === interleave.reactor));
    `,
    stdout: ["true"],
  },
  "ends the process with status 1 by an error that nobody catches": {
    body: `
      await react(() => {
        throw new RangeError("Stumbled");
      }, { reactor });
    `,
    stdout: ["before", "during", "after"],
    stderr: /Uncaught.* RangeError: Stumbled/,
    code: 1,
  },
  "leaves the exit status to main": {
    body: `
      await react(() => {
        Deno.exitCode = 3;
      }, { reactor });
    `,
    stdout: ["before", "during", "after"],
    code: 3,
  },
};

for (const backend of BACKENDS) {
  for (const [name, { body, signals = [], ...end }] of Object.entries(CASES)) {
    Deno.test(`react() ${name} [${backend}]`, async () => {
      const prelude = PRELUDE.replace("BACKEND", `"${backend}"`);
      const program = new Program(prelude + body);
      for (const [text, signal] of signals) {
        await program.printed(`${text}\n`);
        program.kill(signal);
      }
      const outcome: Outcome = await program.outcome();
      assertEquals(outcome.stdout.trim().split("\n"), end.stdout);
      assertEquals(outcome.code, end.code ?? 0, outcome.stderr);
      const { stderr = /^$/ } = end;
      assert(stderr.test(outcome.stderr), outcome.stderr);
    });
  }
}
