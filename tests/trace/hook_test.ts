/**
 * The hook of a reactor: what it is told of, how that is nested, and that nobody
 * else notices.
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { POLL } from "../../ffi/constants.ts";
import { libcPath } from "../../ffi/libc.ts";
import {
  ConnectionDone,
  FileDescriptor,
  Reactor,
  type TracedCallback,
  type TraceHook,
} from "../../mod.ts";
import {
  macrotask,
  makeSocketpair,
  PATIENCE,
  Probe,
  until,
} from "../descriptors.ts";
import { ONE_OF_EACH_KIND, testInHosts, testOnBackends } from "../hosts.ts";
import { Pipe } from "../pipe.ts";
import { ToolkitInC } from "../toolkit_in_c.ts";
import { Recorder } from "./recorder.ts";

const { abs } = Deno.dlopen(libcPath(), { abs: { type: "pointer" } })
  .symbols;

/** Lets the reactor make one turn in which `f` runs, and comes back. */
async function inTurn(reactor: Reactor, f: () => void): Promise<void> {
  await deadline(
    new Promise<void>((resolve) =>
      reactor.callFromThread(function inTurn() {
        reactor.callLater(0, resolve);
        f();
      })
    ),
    PATIENCE,
  );
}

// What it is told

testInHosts(
  "a hook is told of every callback, inside the turn that it ran in",
  async ({ reactor, run }) => {
    using pipe = new Pipe();
    const hook = new Recorder();
    reactor.trace = hook;
    const reader = Object.assign(
      pipe.reader(() =>
        reactor.callFromThread(function last() {
          reactor.stop();
        })
      ),
      { label: "ear" },
    );
    const writer = Object.assign(
      pipe.writer(() => {
        reactor.removeWriter(writer);
        pipe.fill();
      }),
      { label: "mouth" },
    );
    reactor.addReader(reader);
    reactor.callLater(1, function speak() {
      reactor.addWriter(writer);
    });
    reactor.addSystemEventTrigger("after", "shutdown", function bye() {});
    await run();
    hook.assertBalanced();
    assertEquals(hook.names(), [
      "delayedCall speak",
      "writer mouth",
      "reader ear",
      "callFromThread last",
      "connectionLost ear",
      'trigger after "shutdown" bye',
    ]);
    for (const { callback } of hook.roots) assertEquals(callback.kind, "turn");
    const fds = ["reader", "writer", "turn", "delayedCall"] as const;
    assertEquals(
      fds.map((kind) => hook.of(kind)[0]!.callback.fd),
      [pipe.output.fileno(), pipe.input.fileno(), undefined, undefined],
    );
  },
);

testOnBackends(
  "a hook is told of waits, watches and losses, with their labels",
  async ({ reactor, errors }) => {
    const hook = new Recorder();
    using pipe = new Pipe();
    using other = new Pipe();
    const done = new HalfClosed(other);
    reactor.addReader(done);
    const wait = reactor.readable(pipe.output, { label: "a wait" });
    const watch = reactor.watch(pipe.output, "readable", { label: "a watch" });
    const next = watch.next();
    reactor.trace = hook;
    pipe.fill();
    other.fill();
    await deadline(Promise.all([wait, next, done.lost]), PATIENCE);
    watch.close();
    reactor.trace = undefined;
    await macrotask();
    assertEquals(errors.splice(0).length, 1);
    hook.assertBalanced();
    assertEquals(hook.names().sort(), [
      "connectionLost half-closed",
      "readConnectionLost half-closed",
      "reader half-closed",
      "wait a wait",
      "watch a watch",
    ]);
    const fd = pipe.output.fileno();
    assertEquals(
      hook.of("readConnectionLost")[0]!.callback.error?.message,
      "and so it is all over",
    );
    assertEquals(hook.of("wait")[0]!.callback.fd, fd);
    assertEquals(hook.of("watch")[0]!.callback.fd, fd);
  },
);

/** Ends its reading half, and then all of it. */
class HalfClosed {
  readonly label = "half-closed";
  readonly #pipe: Pipe;
  readonly #lost = Promise.withResolvers<void>();
  readonly lost = this.#lost.promise;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  fileno(): number {
    return this.#pipe.output.fileno();
  }

  doRead(): unknown {
    return new ConnectionDone();
  }

  readConnectionLost(): void {
    throw new Error("and so it is all over");
  }

  connectionLost(): void {
    this.#lost.resolve();
  }
}

testOnBackends(
  "a hook is told of an attached loop's functions",
  async ({ reactor, errors }) => {
    const hook = new Recorder();
    using pipe = new Pipe();
    const { promise, resolve } = Promise.withResolvers<void>();
    const call = {
      function: abs!,
      parameters: ["i32"] as const,
      result: "i32" as const,
      arguments: [1], // Which it returns: the loop is held.
    };
    reactor.trace = hook;
    using _attachment = reactor.attach({
      prepare: () => ({
        descriptors: [{ fd: pipe.output.fileno(), events: POLL.IN }],
        timeout: -1,
      }),
      dispatch() {
        pipe.output.read(new Uint8Array(1));
        resolve();
        throw new RangeError("a step too far");
      },
      hold: { acquire: call, release: call },
      held() {},
    });
    reactor.callLater(1, () => pipe.fill());
    await deadline(promise, PATIENCE);
    await until(() => errors.length > 0);
    reactor.trace = undefined;
    await macrotask();
    hook.assertBalanced();
    const kinds = new Set(hook.names());
    for (const kind of ["prepare", "held", "step"]) {
      assert(kinds.has(kind), kind);
    }
    const [step] = hook.of("step");
    assertEquals(step!.callback.error?.message, "a step too far");
    assertEquals(step!.callback.parent?.kind, "turn");
    assertStrictEquals(errors[0]!.error, step!.callback.error);
    errors.length = 0;
  },
);

testOnBackends(
  "a hook is told how long a callback took, and what its reactor is called",
  async ({ backend }) => {
    const trace = new Recorder();
    await using reactor = new Reactor({ backend, trace, label: "mine" });
    assertStrictEquals(reactor.trace, trace);
    let took = NaN;
    const before = performance.now();
    reactor.callLater(1, () => {
      const began = performance.now();
      while (performance.now() < began + 5);
      took = performance.now() - began;
      reactor.stop();
    });
    await deadline(reactor.run({ signals: false }), PATIENCE);
    const [{ callback, ms }] = trace.of("delayedCall") as [
      ReturnType<Recorder["of"]>[0],
    ];
    assertGreaterOrEqual(ms!, took);
    assertGreaterOrEqual(performance.now() - before, ms!);
    assertGreaterOrEqual(callback.startTime, before);
    assertEquals(callback.label, undefined); // The function has no name.
    assertEquals(callback.reactor, "mine");
    assertEquals(callback.parent?.label, "mine");
  },
);

// Nesting

testInHosts(
  "what runs in a modal loop lies inside the callback that opened it",
  async ({ reactor, run }) => {
    using toolkit = new ToolkitInC();
    const hook = new Recorder();
    reactor.trace = hook;
    reactor.callLater(1, function open() {
      reactor.callLater(1, function inside() {
        toolkit.quit();
      });
      reactor.modal(toolkit.waker, () => toolkit.run());
      reactor.callFromThread(function afterwards() {
        reactor.stop();
      });
    });
    await run();
    hook.assertBalanced();
    const parents = (call?: TracedCallback): string[] =>
      call === undefined ? [] : [call.kind, ...parents(call.parent)];
    const named = (name: string) =>
      [...hook.all()].find(({ callback }) => callback.label === name)!.callback;
    assertEquals(parents(named("inside")), [
      ...["delayedCall", "turn"],
      ...["delayedCall", "turn"],
    ]);
    assertStrictEquals(named("inside").parent!.parent, named("open"));
    assertEquals(parents(named("afterwards")), ["callFromThread", "turn"]);
  },
  { hosts: ONE_OF_EACH_KIND },
);

testOnBackends(
  "triggers that a callback fires lie inside it",
  ({ reactor }) => {
    const hook = new Recorder();
    reactor.trace = hook;
    reactor.addSystemEventTrigger("during", "tea", function pour() {
      reactor.fireSystemEvent("milk");
    });
    reactor.addSystemEventTrigger("after", "milk", function stir() {});
    reactor.callLater(0, function serve() {
      reactor.fireSystemEvent("tea");
      reactor.callWhenRunning(function sip() {});
    });
    reactor.iterate();
    assertEquals(hook.tree(), [
      "turn",
      "  delayedCall serve",
      '    trigger during "tea" pour',
      '      trigger after "milk" stir',
      "    trigger sip",
    ]);
    hook.assertBalanced();
  },
);

testOnBackends(
  "a hook that two reactors share sees one inside the other",
  async ({ reactor, backend }) => {
    await using other = new Reactor({ backend, label: "other" });
    const seen: string[] = [];
    const hook: TraceHook = {
      start: ({ kind, reactor = "" }) => seen.push(`+${kind}${reactor}`),
      stop: ({ kind, reactor = "" }) => seen.push(`-${kind}${reactor}`),
    };
    reactor.trace = other.trace = hook;
    reactor.callLater(0, () => other.iterate());
    other.callLater(0, () => {});
    reactor.iterate();
    assertEquals(seen, [
      ...["+turn", "+delayedCall", "+turnother", "+delayedCallother"],
      ...["-delayedCallother", "-turnother", "-delayedCall", "-turn"],
    ]);
  },
);

// Ends

for (const end of ["stop", "crash", "close"] as const) {
  testInHosts(
    `a callback that calls ${end}() has its stop, and so has its turn`,
    async ({ reactor, run }) => {
      const hook = new Recorder();
      reactor.trace = hook;
      reactor.callLater(1, function last() {
        reactor[end]();
      });
      await run();
      hook.assertBalanced();
      assertEquals(hook.names(), ["delayedCall last"]);
    },
    { hosts: ONE_OF_EACH_KIND },
  );
}

testOnBackends(
  "a callback that crashes its reactor and starts it again is nested rightly",
  async ({ reactor }) => {
    const hook = new Recorder();
    reactor.trace = hook;
    reactor.callLater(1, function again() {
      reactor.crash();
      reactor.interleave();
      reactor.callLater(1, function last() {
        reactor.stop();
      });
    });
    await deadline(reactor.run({ signals: false }), PATIENCE);
    await deadline(reactor.finished, PATIENCE);
    hook.assertBalanced();
    assertEquals(
      hook.names(),
      ["delayedCall again", "delayedCall last"],
    );
    assertEquals(
      hook.of("delayedCall").map(({ callback }) => callback.parent?.kind),
      ["turn", "turn"],
    );
  },
);

testOnBackends(
  "what a callback throws is told at its stop, and reported as ever",
  async ({ reactor, errors }) => {
    const hook = new Recorder();
    const error = new RangeError("mine");
    const [fd, other] = makeSocketpair();
    using here = FileDescriptor.adopt(fd);
    using there = FileDescriptor.adopt(other);
    reactor.trace = hook;
    const probe = new Probe(here.fileno(), {
      onRead: () => {
        throw error;
      },
    });
    reactor.addReader(probe);
    there.write(new Uint8Array(1));
    const raise = () => {
      throw error;
    };
    reactor.callLater(0, raise);
    reactor.callFromThread(raise);
    reactor.addSystemEventTrigger("during", "tea", raise);
    reactor.callLater(0, () => {
      throw "no error";
    });
    reactor.callLater(0, () => Promise.reject(error));
    reactor.iterate();
    reactor.fireSystemEvent("tea");
    await until(() => errors.length === 6);
    hook.assertBalanced();
    const errorOf = (kind: TracedCallback["kind"]) =>
      hook.of(kind).map(({ callback }) => callback.error);
    assertEquals(errorOf("reader"), [error]);
    assertEquals(errorOf("callFromThread"), [error]);
    assertEquals(errorOf("trigger"), [error]);
    assertEquals(errorOf("connectionLost"), [undefined]);
    const [first, second, third] = errorOf("delayedCall");
    assertStrictEquals(first, error);
    assertEquals(second?.cause, "no error");
    assertStrictEquals(third, undefined); // That comes later.
    assertEquals(probe.reason, error);
    errors.length = 0;
  },
);

// Hooks that fail

for (const method of ["start", "stop"] as const) {
  testInHosts(
    `a hook whose ${method} throws is reported once and taken off, and no callback is lost`,
    async ({ reactor, run, errors }) => {
      let calls = 0;
      const fail = () => {
        calls++;
        throw new Error("a bad hook");
      };
      reactor.trace = { start() {}, stop() {}, [method]: fail };
      let ran = 0;
      for (let i = 0; i < 3; i++) {
        reactor.callLater(1, () => {
          if (++ran === 3) reactor.callFromThread(() => reactor.stop());
        });
      }
      await run();
      assertEquals({ ran, calls, hook: reactor.trace }, {
        ran: 3,
        calls: 1,
        hook: undefined,
      });
      assertEquals(
        errors.splice(0).map(({ error, where }) => [
          (error as Error).message,
          where,
        ]),
        [["a bad hook", "trace"]],
      );
    },
    { hosts: ONE_OF_EACH_KIND },
  );
}

testOnBackends(
  "a hook whose functions are async and reject is reported once and taken off",
  async ({ reactor, errors }) => {
    reactor.trace = {
      start: () => Promise.reject(new Error("a bad hook")),
      stop() {},
    };
    reactor.interleave();
    await inTurn(reactor, () => {});
    await until(() => errors.length > 0);
    await inTurn(reactor, () => {});
    assertStrictEquals(reactor.trace, undefined);
    assertEquals(errors.splice(0).length, 1);
  },
);

testOnBackends(
  "a hook that has failed is told again when it is put on again",
  ({ reactor, errors }) => {
    let isBroken = true;
    const seen: string[] = [];
    const hook: TraceHook = {
      start({ kind }) {
        if (isBroken) throw new Error("a bad hook");
        seen.push(kind);
      },
      stop() {},
    };
    reactor.trace = hook;
    reactor.iterate();
    assertEquals(errors.splice(0).length, 1);
    isBroken = false;
    reactor.trace = hook;
    reactor.iterate();
    assertEquals(seen, ["turn"]);
  },
);

// Putting it on and taking it off

testOnBackends(
  "a hook that is put on inside a callback is told of what begins from then on",
  ({ reactor }) => {
    const hook = new Recorder();
    reactor.callLater(0, function first() {
      reactor.trace = hook;
    });
    reactor.callLater(0, function second() {});
    reactor.iterate();
    reactor.iterate();
    hook.assertBalanced();
    assertEquals(hook.tree(), ["delayedCall second", "turn"]);
  },
);

testOnBackends(
  "a hook that is taken off inside a callback hears how that ends, and no more",
  ({ reactor }) => {
    const [first, second] = [new Recorder(), new Recorder()];
    reactor.trace = first;
    reactor.callLater(0, function change() {
      reactor.trace = undefined;
    });
    reactor.callLater(0, function unseen() {});
    reactor.iterate();
    first.assertBalanced();
    assertEquals(first.tree(), ["turn", "  delayedCall change"]);
    reactor.trace = first;
    reactor.callLater(0, function exchange() {
      reactor.trace = { start() {}, stop() {} };
    });
    reactor.iterate();
    first.assertBalanced();
    assertEquals(second.roots, []);
    assertEquals(first.tree().slice(2), ["turn", "  delayedCall exchange"]);
  },
);

testOnBackends(
  "without a hook nothing is asked for that a trace would show",
  async ({ reactor }) => {
    using pipe = new Pipe();
    let looks = 0;
    let hook: TraceHook | undefined = undefined;
    const reader = Object.defineProperty(pipe.reader(() => {}), "label", {
      get: () => looks++,
    });
    reactor.addReader(reader);
    for (let i = 0; i < 3; i++) {
      reactor.trace = hook;
      pipe.fill();
      reactor.iterate();
      hook = i === 0 ? new Recorder() : undefined;
    }
    assertEquals(looks, 1);
    await reactor.close(); // Which tells the reader that it is lost.
    assertEquals(looks, 1);
  },
);

Deno.test("Reactor.trace refuses what is no hook, and names it", () => {
  const reactor = new Reactor();
  for (
    const [value, message] of [
      [null, '"trace" must be an object, received null'],
      [7, '"trace" must be an object, received 7'],
      [{}, '"trace.start" must be a function, received undefined'],
      [{ start() {} }, '"trace.stop" must be a function, received undefined'],
    ] as const
  ) {
    assertThrows(
      () => reactor.trace = value as unknown as TraceHook,
      TypeError,
      `Cannot trace: ${message}`,
    );
    assertThrows(
      () => new Reactor({ trace: value as unknown as TraceHook }),
      TypeError,
      `Cannot make a reactor: ${message.replace('"trace', '"options.trace')}`,
    );
  }
  assertStrictEquals(reactor.trace, undefined);
});
