// What was found by being hostile, and is cured.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import {
  ConnectionDone,
  ConnectionLost,
  type ForeignLoop,
  Reactor,
  type ReadDescriptor,
} from "../../mod.ts";
import {
  BACKENDS,
  isOpen,
  macrotask,
  PATIENCE,
  Probe,
  until,
} from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { Pipe } from "../pipe.ts";
import { Bystander, testBesideOthers } from "./bystander.ts";
import { unreadableError } from "./values.ts";

const failure = new Error("a getter was run");

function fail(): never {
  throw failure;
}

// What cannot be printed

for (const backend of BACKENDS) {
  for (
    const [what, options] of [
      ["the default onError", {}],
      ["an onError that throws it again", {
        onError(error: unknown) {
          throw error;
        },
      }],
    ] as const
  ) {
    Deno.test(`an Error that can't be printed costs nobody else anything, with ${what} [${backend}]`, async () => {
      const printed: unknown[][] = [];
      const { error } = console;
      console.error = (...words) => {
        printed.push(words);
        for (const word of words) {
          Deno.inspect(word), String((word as Error)?.stack);
        }
      };
      try {
        await using reactor = new Reactor({ backend, ...options });
        using bystander = new Bystander(reactor);
        reactor.interleave();
        await bystander.served();
        const pipes = Array.from({ length: 5 }, () => new Pipe());
        const reasons: Error[] = [];
        for (const pipe of pipes) {
          pipe.fill();
          reactor.addReader(
            pipe.reader(() => {
              throw unreadableError("message", "stack", "name");
            }, (reason) => reasons.push(reason)),
          );
        }
        for (let i = 0; i < 5; i++) {
          reactor.callLater(0, () => {
            throw unreadableError("stack");
          });
          reactor.callLater(0, () => Promise.reject(unreadableError("stack")));
        }
        await until(() => reasons.length === 5);
        for (let i = 0; i < 5; i++) await bystander.served();
        assert(printed.length >= 15);
        for (const pipe of pipes) pipe[Symbol.dispose]();
      } finally {
        console.error = error;
      }
    });
  }
}

// ReadConnectionLost

for (const method of ["doRead", "doWrite"] as const) {
  testBesideOthers(
    `an object whose readConnectionLost can't be read is lost by what ${method} returns, once`,
    async ({ reactor, bystander, errors }) => {
      for (const reason of [new ConnectionDone(), new Error("the end")]) {
        using pipe = new Pipe();
        const reasons: Error[] = [];
        const object = {
          fileno: () =>
            (method === "doRead" ? pipe.output : pipe.input).fileno(),
          doRead: () => reason,
          doWrite: () => reason,
          connectionLost: (reason: Error) => reasons.push(reason),
          get readConnectionLost(): never {
            throw undefined;
          },
        } as never;
        pipe.fill();
        if (method === "doRead") reactor.addReader(object);
        else reactor.addWriter(object);
        await until(() => reasons.length > 0);
        await bystander.served();
        assertEquals(reasons.length, 1);
        errors.splice(0);
      }
    },
  );
}

// Owned

testBesideOthers(
  "addReader() and addWriter() pass on what the getter of owned throws, and change nothing",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const before = reactor.inspect().descriptors;
    const object = new Probe(pipe.input.fileno());
    Object.defineProperty(object, "owned", { get: fail });
    assertStrictEquals(assertThrows(() => reactor.addReader(object)), failure);
    assertStrictEquals(assertThrows(() => reactor.addWriter(object)), failure);
    assertEquals(reactor.inspect().descriptors, before);
    await bystander.served();
    assertEquals([object.reads, object.writes], [0, 0]);
  },
);

testOnBackends(
  "an object whose owned throws later on costs nobody else an answer, or the end",
  async ({ reactor }) => {
    using pipe = new Pipe();
    using other = new Pipe();
    const broken = new Probe(pipe.output.fileno());
    const another = new Probe(other.output.fileno());
    reactor.addReader(broken);
    reactor.addReader(another);
    const waiting = reactor.readable(pipe.output);
    Object.defineProperty(broken, "owned", { get: fail });
    broken.handlers.onRead = () => void pipe.output.read(new Uint8Array(1));
    pipe.fill();
    assert((await deadline(waiting, PATIENCE)).readable);
    reactor.stop();
    await reactor.finished;
    assertInstanceOf(broken.reason, ConnectionLost);
    assertInstanceOf(another.reason, ConnectionLost);
  },
);

// The reactor's own descriptors

testOnBackends(
  "a reactor's own descriptors can be named to it, and it goes on",
  async ({ reactor }) => {
    const numbers = Array.from({ length: 512 }, (_, fd) => fd);
    const before = new Set(numbers.filter(isOpen));
    reactor.iterate(); // Which makes it open what it needs.
    const own = numbers.filter((fd) => isOpen(fd) && !before.has(fd));
    assert(own.length > 0);
    using bystander = new Bystander(reactor);
    reactor.interleave();
    for (const fd of own) {
      const probe = new Probe(fd);
      for (const method of ["addReader", "addWriter"] as const) {
        try {
          reactor[method](probe);
        } catch (error) {
          assertInstanceOf(error, Error);
          assert("code" in error);
        }
      }
      await bystander.served();
      reactor.removeReader(probe);
      reactor.removeWriter(probe);
      for (let i = 0; i < 3; i++) await bystander.served();
    }
    const { turns } = reactor.inspect().counters;
    let over = false;
    reactor.callLater(30, () => over = true);
    await until(() => over);
    assertLess(reactor.inspect().counters.turns - turns, 20);
  },
);

// Signals with functions of their own

testBesideOthers(
  "an AbortSignal with functions of its own that throw ends its wait and its watch like any other",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const before = reactor.inspect().descriptors;
    const make = () => {
      const stop = new AbortController();
      for (const key of ["addEventListener", "removeEventListener"]) {
        Object.defineProperty(stop.signal, key, { value: fail });
      }
      return stop;
    };
    for (const answered of [true, false]) {
      const stop = make();
      const { signal } = stop;
      const waiting = reactor.readable(pipe.output, { signal });
      const watch = reactor.watch(pipe.output, "readable", { signal });
      const next = watch.next();
      await bystander.served();
      if (answered) {
        pipe.fill();
        assert((await deadline(waiting, PATIENCE)).readable);
        assert(!(await deadline(next, PATIENCE)).done);
        pipe.output.read(new Uint8Array(1));
        watch.close();
      } else {
        const settled = Promise.allSettled([waiting, next]);
        stop.abort(failure);
        for (const outcome of await deadline(settled, PATIENCE)) {
          assertStrictEquals(
            (outcome as PromiseRejectedResult).reason,
            failure,
          );
        }
      }
      assertEquals(reactor.inspect().descriptors, before);
    }
  },
);

// What prepare returns

for (
  const [what, prepare] of Object.entries<() => unknown>({
    "holes for descriptors": () => ({
      descriptors: new Array(1),
      timeout: -1,
    }),
    "descriptors that throw the second time": () => {
      let looks = 0;
      return {
        get descriptors() {
          if (looks++ > 0) throw failure;
          return [];
        },
        timeout: -1,
      };
    },
    "a number beyond an int": () => ({
      descriptors: [{ fd: 2 ** 32, events: 1 }],
      timeout: -1,
    }),
  })
) {
  testBesideOthers(
    `an attached loop whose prepare returns ${what} holds nobody up`,
    async ({ reactor, bystander, errors }) => {
      let steps = 0;
      const loop = { prepare, dispatch: () => steps++ };
      const attachment = reactor.attach(loop as ForeignLoop);
      for (let i = 0; i < 5; i++) await bystander.served();
      await macrotask();
      attachment.detach();
      errors.splice(0);
      assertEquals(steps, 0);
    },
  );
}

// The end inside fileno()

testOnBackends(
  "a fileno() that ends the reactor leaves nothing registered and nothing open",
  async ({ reactor }) => {
    using pipe = new Pipe();
    reactor.iterate();
    const numbers = Array.from({ length: 512 }, (_, fd) => fd);
    const before = numbers.filter(isOpen);
    for (const method of ["addReader", "addWriter"] as const) {
      const object = {
        fileno() {
          if (reactor.inspect().host !== "none") {
            reactor.stop();
            reactor.iterate();
          }
          return pipe.output.fileno();
        },
        doRead() {},
        doWrite() {},
        connectionLost() {},
      };
      assertThrows(() => reactor[method](object));
    }
    await reactor.finished;
    assertEquals(reactor.inspect().descriptors, []);
    const after = numbers.filter(isOpen).filter((fd) => !before.includes(fd));
    assertEquals(after, []);
  },
);

// Names in messages

Deno.test("messages are on one line, whatever functions and symbols are called", () => {
  const reactor = new Reactor();
  const bad = "\x1b[2J\n\r\u009b\u202e\u2028x";
  const f = () => {};
  Object.defineProperty(f, "name", { value: bad });
  class C {}
  Object.defineProperty(C, "name", { value: bad });
  for (const value of [f, Symbol(bad), new C(), bad]) {
    const { message } = assertThrows(() =>
      reactor.callLater(value as never, () => {})
    ) as Error;
    // Controls, and what separates lines or turns the direction of writing.
    assert(!/[\p{Cc}\u2028-\u202e]/u.test(message), JSON.stringify(message));
  }
});

// Labels that throw

testBesideOthers(
  "a label that can't be read, or is none, costs inspect() nothing but that label",
  async ({ reactor, bystander }) => {
    using pipe = new Pipe();
    const reader: ReadDescriptor = pipe.reader(() => {});
    Object.defineProperty(reader, "label", { get: fail });
    reactor.addReader(reader);
    const writer = pipe.writer(() => reactor.removeWriter(writer));
    writer.label = Symbol("no string") as never;
    reactor.addWriter(writer);
    const labels = reactor.inspect().descriptors
      .flatMap(({ watchers }) => watchers.map(({ label }) => label));
    assert(labels.every((label) => label === undefined));
    await bystander.served();
  },
);

// Stacks of somebody else's making

for (const prepare of [(_: Error, sites: unknown[]) => sites, fail]) {
  testOnBackends(
    `captureStacks bears with Error.prepareStackTrace (${prepare.name})`,
    async ({ backend }) => {
      const holder = Error as { prepareStackTrace?: unknown };
      await using reactor = new Reactor({ backend, captureStacks: true });
      using pipe = new Pipe();
      holder.prepareStackTrace = prepare;
      try {
        const reader = pipe.reader(() => {});
        reactor.addReader(reader);
        assertEquals(reactor.getReaders(), [reader]);
        const call = reactor.callLater(1, () => {});
        assertEquals(typeof String(call), "string");
        assertEquals(reactor.inspect().delayedCalls.length, 1);
        reactor.watch(pipe.output, "readable").close();
      } finally {
        delete holder.prepareStackTrace;
      }
    },
  );
}

// Minus zero

testBesideOthers(
  "minus zero is zero: for a descriptor, and for a time",
  async ({ reactor, bystander }) => {
    using watch = reactor.watch(-0, "writable");
    const [line] = reactor.inspect().descriptors.filter(({ fd }) => fd === 0);
    assert(Object.is(line!.fd, 0));
    watch.close();
    for (let i = 0; i < 5; i++) reactor.iterate(-0);
    let called = false;
    reactor.callLater(-0, () => called = true);
    await until(() => called);
    await bystander.served();
  },
);

// A backendFd that can't be had

Deno.test("a backendFd that the kernel refuses is refused again, and not a dead descriptor", async () => {
  const chain = [new Reactor({ backend: "epoll" })];
  let refused: Reactor | undefined;
  while (refused === undefined && chain.length < 20) {
    const inner = chain.at(-1)!;
    try {
      const outer = new Reactor({ backend: "epoll" });
      chain.push(outer);
      outer.addReader(new Probe(inner.backendFd!));
    } catch {
      refused = inner;
    }
  }
  assertThrows(() => refused!.backendFd, Error, "ELOOP");
  for (const one of chain) await one.close();
});

// Promises with a then of their own

testBesideOthers(
  "a promise with a then of its own is awaited as the promise that it is",
  async ({ reactor, bystander, errors }) => {
    const seen: string[] = [];
    for (const then of [fail, () => Promise.reject(failure), () => 1]) {
      for (const promise of [Promise.resolve(), Promise.reject(failure)]) {
        Object.defineProperty(promise, "then", { value: then });
        reactor.addSystemEventTrigger("before", "tea", () => promise);
        reactor.callLater(0, () => promise);
      }
      reactor.addSystemEventTrigger("after", "tea", () => seen.push("after"));
      reactor.fireSystemEvent("tea");
      await until(() => seen.length > 0 && errors.length === 2);
      await bystander.served();
      assertEquals(seen.splice(0), ["after"]);
      for (const { error } of errors.splice(0)) {
        assertStrictEquals(error, failure);
      }
    }
  },
);
