// Every method of the reactor, called from inside every kind of callback. Each
// call does what it says or throws an error with a name of its own; nobody is
// called twice, nothing that was asked for is lost, and the reactor comes to an
// orderly end. The methods are taken from the class, so that a new one is tried
// as well. What single combinations do stands in lifecycle_test.ts,
// reactor_suite_test.ts, system_events_test.ts and never_silent_test.ts.

import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLessOrEqual,
} from "@std/assert";
import { deadline } from "@std/async";
import { takeWorkCallback } from "../../ffi/work_callback.ts";
import {
  ConnectionDone,
  ConnectionLost,
  Reactor,
  ReactorError,
  threadSafeWaker,
} from "../../mod.ts";
import { makeReactor } from "../../src/reactor.ts";
import {
  type Backend,
  BACKENDS,
  macrotask,
  PATIENCE,
  until,
} from "../descriptors.ts";
import { hasEnded } from "../hosts.ts";
import { Pipe } from "../pipe.ts";
import { isRemark } from "./bystander.ts";
import { pooledHandOver } from "./thread_pool.ts";

/** Everything public of a reactor but its constructor: methods and getters. */
const MEMBERS: readonly PropertyKey[] = Reflect.ownKeys(Reactor.prototype)
  .filter((key) => key !== "constructor");

/** What a combination is about: a reactor, its bystander, the call and its outcome. */
class Case implements Disposable {
  readonly reactor: Reactor;
  readonly member: PropertyKey;
  /** What `onError` got. */
  readonly errors: unknown[] = [];
  /** How often the callback under test was called. */
  entered = 0;
  /** What the call threw, or what its promise rejected with. */
  readonly thrown: unknown[] = [];
  /** How often the functions that were given to it ran. */
  ran = 0;
  /** Called whenever the clock is looked at, or an error is told. */
  onClock = () => {};
  onError = () => {};

  readonly #read = new Pipe();
  readonly #awaited = new Pipe();
  readonly #spare = new Pipe();
  readonly pipe = new Pipe();
  readonly #disposables: Disposable[] = [];
  /** The bystander's. */
  asked = false;
  reads = 0;
  calls = 0;
  queued = 0;
  readonly reasons: Error[] = [];
  wait: "pending" | "answered" | "rejected" = "pending";

  constructor(member: PropertyKey, backend: Backend) {
    this.member = member;
    this.reactor = makeReactor({
      backend,
      clock: () => {
        this.onClock();
        return performance.now();
      },
      onError: (error) => {
        if (isRemark(error)) return;
        this.errors.push(error);
        this.onError();
      },
    }, { handOver: pooledHandOver });
  }

  /** Somebody else wants something, unless the reactor takes nothing any more. */
  addBystander(): void {
    const { reactor } = this;
    if (this.asked || hasEnded(reactor)) return;
    this.asked = true;
    reactor.addReader(
      this.#read.reader(
        () => void this.reads++,
        (reason) => this.reasons.push(reason),
      ),
    );
    reactor.callLater(0, () => this.calls++);
    reactor.readable(this.#awaited.output).then(
      () => this.wait = "answered",
      () => this.wait = "rejected",
    );
  }

  /** The callback under test: it makes the call, the first time. */
  readonly enter = (): void => {
    if (this.entered++ > 0) return;
    try {
      const result = this.#make();
      if (result instanceof Promise) {
        result.catch((error) => this.thrown.push(error));
      }
    } catch (error) {
      this.thrown.push(error);
    }
    // From here on there is something for the bystander.
    this.#read.fill();
    this.#awaited.fill();
  };

  #make(): unknown {
    const { reactor, member } = this;
    const value = Reflect.get(reactor, member) as unknown;
    if (typeof value !== "function") return value;
    return Reflect.apply(value, reactor, this.#argumentsOf(member));
  }

  /** A method that is not named here is called without arguments. */
  #argumentsOf(member: PropertyKey): unknown[] {
    const count = () => this.ran++;
    const object = {
      fileno: () => this.#spare.output.fileno(),
      doRead: count,
      doWrite: count,
      connectionLost: () => {},
    };
    const fd = this.#spare.output;
    switch (member) {
      case "run":
        return [{ signals: false }];
      case "callLater":
        return [0, count];
      case "callFromThread":
      case "callWhenRunning":
        return [count];
      case "addSystemEventTrigger":
        return ["after", "tea", count];
      case "removeSystemEventTrigger":
        return [
          this.reactor.addSystemEventTrigger("after", "tea", count),
        ];
      case "fireSystemEvent":
        return ["tea"];
      case "addReader":
      case "removeReader":
      case "addWriter":
      case "removeWriter":
        return [object];
      case "readable":
      case "writable":
        return [fd];
      case "watch":
        return [fd, "readable"];
      case "attach":
        return [{
          prepare: () => ({ descriptors: [], timeout: -1 }),
          dispatch: count,
        }];
      case "modal": {
        const waker = threadSafeWaker();
        this.#disposables.push(waker);
        return [waker, count];
      }
      default:
        return [];
    }
  }

  /** What it has come to. */
  toString(): string {
    const { entered, ran, reads, calls, queued, wait } = this;
    return [
      JSON.stringify({ entered, ran, reads, calls, queued, wait }),
      `told: ${this.reasons}`,
      `thrown: ${this.thrown}`,
      `reported: ${this.errors}`,
    ].join(", ");
  }

  [Symbol.dispose](): void {
    for (const one of this.#disposables) one[Symbol.dispose]();
    for (const pipe of [this.#read, this.#awaited, this.#spare, this.pipe]) {
      pipe[Symbol.dispose]();
    }
  }
}

/** A place to call from. */
interface Origin {
  /** Sees to it that `enter` is called from there, once the reactor runs. */
  prepare(test: Case): void;
  /** How to start it. The default is Deno's own loop. */
  start?(test: Case): void;
  /** How often it may be called: by itself, whatever the call does. */
  readonly often?: boolean;
}

function startOnDeno({ reactor }: Case): void {
  if (reactor.inspect().host === "none") reactor.interleave();
}

/** A waker that runs work items a macrotask later. */
function later(work: () => void): void {
  setTimeout(work, 0);
}

const ORIGINS: Record<string, Origin> = {
  doRead: {
    prepare(test) {
      test.pipe.fill();
      test.reactor.addReader(test.pipe.reader(test.enter));
    },
  },
  doWrite: {
    prepare(test) {
      const writer = test.pipe.writer(() => {
        test.reactor.removeWriter(writer);
        test.enter();
      });
      test.reactor.addWriter(writer);
    },
  },
  fileno: {
    prepare(test) {
      let registered = false;
      const { output } = test.pipe;
      test.pipe.fill();
      test.reactor.addReader({
        fileno() {
          if (registered) test.enter();
          registered = true;
          return output.fileno();
        },
        doRead: () => void output.read(new Uint8Array(1)),
        connectionLost: () => {},
      });
    },
    often: true,
  },
  connectionLost: {
    prepare(test) {
      test.pipe.fill();
      test.reactor.addReader(
        test.pipe.reader(() => new ConnectionLost(), test.enter),
      );
    },
  },
  readConnectionLost: {
    prepare(test) {
      test.pipe.fill();
      test.reactor.addReader({
        ...test.pipe.reader(() => new ConnectionDone()),
        readConnectionLost: test.enter,
      });
    },
  },
  "a delayed call": {
    prepare: (test) => void test.reactor.callLater(0, test.enter),
  },
  callFromThread: {
    prepare: (test) => test.reactor.callFromThread(test.enter),
  },
  callWhenRunning: {
    prepare: (test) => void test.reactor.callWhenRunning(test.enter),
  },
  "callWhenRunning, inside a callback": {
    prepare({ reactor, enter }) {
      reactor.callLater(0, () => void reactor.callWhenRunning(enter));
    },
  },
  "a trigger of an event of its own": {
    prepare({ reactor, enter }) {
      reactor.addSystemEventTrigger("during", "coffee", enter);
      reactor.callLater(0, () => reactor.fireSystemEvent("coffee"));
    },
  },
  "what follows a wait": {
    prepare({ reactor, enter, pipe }) {
      pipe.fill();
      reactor.readable(pipe.output).then(enter, () => {});
    },
  },
  "what follows a watch's answer": {
    prepare({ reactor, enter, pipe }) {
      pipe.fill();
      reactor.watch(pipe.output, "readable").next().then(enter, () => {});
    },
  },
  "an abort's listener": {
    prepare({ reactor, enter, pipe }) {
      const stop = new AbortController();
      reactor.readable(pipe.output, { signal: stop.signal }).catch(() => {});
      stop.signal.addEventListener("abort", enter);
      reactor.callLater(0, () => stop.abort());
    },
  },
  onError: {
    prepare(test) {
      test.onError = test.enter;
      test.reactor.callLater(0, () => {
        throw new Error("for onError");
      });
    },
    often: true,
  },
  clock: {
    prepare({ reactor }) {
      reactor.callLater(5, () => {});
    },
    start(test) {
      startOnDeno(test);
      test.onClock = test.enter;
    },
    often: true,
  },
  waker: {
    prepare() {},
    start(test) {
      test.reactor.interleave((work) => {
        later(work);
        test.enter();
      });
    },
    often: true,
  },
  "a host that holds a work item back": {
    prepare() {},
    start(test) {
      test.reactor.interleave((work) =>
        later(() => {
          test.enter();
          work();
        })
      );
    },
    often: true,
  },
  "a host that has just run a work item": {
    prepare() {},
    start(test) {
      test.reactor.interleave((work) =>
        later(() => {
          work();
          test.enter();
        })
      );
    },
    often: true,
  },
  "prepare of an attached loop": {
    prepare({ reactor, enter }) {
      reactor.attach({
        prepare() {
          enter();
          return { descriptors: [], timeout: 5 };
        },
        dispatch() {},
      });
    },
    often: true,
  },
  "dispatch of an attached loop": {
    prepare({ reactor, enter }) {
      reactor.attach({
        prepare: () => ({ descriptors: [], timeout: 1 }),
        dispatch: enter,
      });
    },
    often: true,
  },
  "release of a waker": {
    prepare() {},
    start(test) {
      const waker = threadSafeWaker();
      test.reactor.interleave({
        ...waker,
        release() {
          waker.release!();
          waker[Symbol.dispose]();
          test.enter();
        },
      });
      test.reactor.callLater(0, () => test.reactor.stop());
    },
  },
};

for (const phase of ["before", "during", "after"] as const) {
  ORIGINS[`a trigger '${phase} startup'`] = {
    prepare({ reactor, enter }) {
      reactor.addSystemEventTrigger(phase, "startup", enter);
    },
  };
  ORIGINS[`a trigger '${phase} shutdown'`] = {
    prepare({ reactor, enter }) {
      reactor.addSystemEventTrigger(phase, "shutdown", enter);
      reactor.callLater(0, () => reactor.stop());
    },
  };
}

/** How many at once: much of the time each waits for its thread. */
const AT_ONCE = 6;

// The C functions behind work items are kept for the next reactor, and the
// sanitizer would take them for leaks of the test that comes first.
Array.from(
  { length: 2 * AT_ONCE },
  () => takeWorkCallback({ parameters: [], result: "void" }, () => {}),
).forEach((callback) => callback.giveBack());

for (const [name, origin] of Object.entries(ORIGINS)) {
  for (const backend of BACKENDS) {
    Deno.test(`every method can be called from ${name} [${backend}]`, async () => {
      assertGreater(MEMBERS.length, 25);
      const failures: unknown[] = [];
      for (let at = 0; at < MEMBERS.length; at += AT_ONCE) {
        const members = MEMBERS.slice(at, at + AT_ONCE);
        failures.push(
          ...await Promise.all(
            members.map((member) => attempt(origin, member, backend)),
          ),
        );
      }
      assertEquals(failures.filter((failure) => failure !== undefined), []);
    });
  }
}

/** Tries one combination, and says what went wrong. */
async function attempt(
  origin: Origin,
  member: PropertyKey,
  backend: Backend,
): Promise<string | undefined> {
  using test = new Case(member, backend);
  try {
    await deadline(callFrom(origin, test), PATIENCE);
    return undefined;
  } catch (error) {
    return `${String(member)}: ${error} ${test}`;
  } finally {
    await deadline(test.reactor.close(), PATIENCE);
  }
}

async function callFrom(origin: Origin, test: Case): Promise<void> {
  const { reactor, member } = test;
  origin.prepare(test);
  // In the same round as the callback under test, if that is queued as well.
  reactor.callFromThread(() => test.queued++);
  (origin.start ?? startOnDeno)(test);
  // A trigger of "startup" may have ended it.
  if (hasEnded(reactor)) await restart(test);
  test.addBystander();

  await until(() => test.entered > 0);
  if (member === "removeAll") await macrotask();
  if (hasEnded(reactor)) await restart(test);
  if (origin.often !== true) assertEquals(test.entered, 1);
  test.addBystander();
  checkErrors(test);

  if (test.asked) {
    // A crash tells nobody (contract 139); the end of everything does.
    if (hasEnded(reactor)) await deadline(reactor.close(), PATIENCE);
    await until(() => isSettled(test));
    if (reactor.running && !ENDING.has(member)) {
      assertEquals([test.reads, test.calls, test.wait], [1, 1, "answered"]);
      if (LATER.has(member)) await until(() => test.ran > 0);
    }
    if (reactor.running) {
      await until(() => test.queued > 0);
    }
    // A while later: nobody was called twice.
    for (let i = 0; i < 3; i++) await macrotask();
    assertLessOrEqual(test.reads, 1);
    assertLessOrEqual(test.reasons.length, 1);
    assertLessOrEqual(test.calls, 1);
    assertLessOrEqual(test.queued, 1);
    if (LATER.has(member)) assertLessOrEqual(test.ran, 1);
  }
  await checkEnd(test);
  checkErrors(test);
}

/** What ends the run, or takes the bystander away. */
const ENDING = new Set<PropertyKey>([
  "stop",
  "crash",
  "close",
  Symbol.asyncDispose,
  "removeAll",
]);

/** What promises one call. */
const LATER = new Set<PropertyKey>(["callLater", "callFromThread"]);

/** A reactor that has crashed goes on with what it has. */
async function restart({ reactor, member }: Case): Promise<void> {
  await deadline(reactor.finished, PATIENCE);
  if (member === "crash" && hasEnded(reactor)) {
    try {
      reactor.interleave();
    } catch (error) {
      assertInstanceOf(error, ReactorError); // It was stopping anyway.
    }
  }
}

/** The bystander has what it asked for, or has been told that it will not. */
function isSettled(test: Case): boolean {
  const { reactor, member, wait } = test;
  if (wait === "pending") return false;
  if (test.calls === 0 && !hasEnded(reactor)) return false;
  // removeAll() tells nobody (contract 107).
  return test.reads + test.reasons.length > 0 || member === "removeAll";
}

/** Whatever was thrown has a name and says what could not be done. */
function checkErrors({ thrown, errors }: Case): void {
  for (const error of thrown) {
    assertInstanceOf(error, Error);
    const named = error instanceof ReactorError ||
      error instanceof Deno.errors.BadResource ||
      error.message.includes('" must be ');
    assert(named && error.message !== "", `${error.stack}`);
  }
  for (const error of errors) {
    assertEquals((error as Error).message, "for onError");
  }
}

/** It ends, and is no more. */
async function checkEnd({ reactor }: Case): Promise<void> {
  await deadline(reactor.close(), PATIENCE);
  await deadline(reactor.finished, PATIENCE);
  assertEquals(reactor.inspect().host, "none");
  assertEquals(reactor.inspect().descriptors, []);
  assertEquals(reactor.running, false);
}
