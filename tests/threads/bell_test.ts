// The bell between threads, step by step: no call is left lying, and no byte is
// written to a number that was closed.
//
// The thread's side is the text of openBell(), which gets Atomics and Deno of the
// test's own here. Each of their calls is a point at which the other thread may
// do something, and all of these are tried.

import { assert, assertEquals, assertFalse } from "@std/assert";
import { type BellData, CLOSED, LINE, openBell } from "../../ffi/bell.ts";
import {
  closeDescriptor,
  duplicate,
  isOpen,
  makePipe,
  readInto,
} from "../../ffi/descriptor.ts";
import { libcPath } from "../../ffi/libc.ts";
import { Doorbell } from "../../src/threads/doorbell.ts";
import type { MainLine } from "../../src/threads/main_line.ts";
import { runProgram } from "../program.ts";
import { until } from "../descriptors.ts";
import { TestWorker } from "./worker.ts";
import { Reactor } from "../../src/reactor.ts";

// It stays open, which the sanitizer would take for a leak.
libcPath();

/** A bell without a kernel: bytes are counted. */
class Bench {
  readonly words = new Int32Array(new SharedArrayBuffer(4 * LINE.LENGTH));
  /** What the thread has said, and nobody has heard. */
  sent = 0;
  /** What the reactor has heard. */
  heard = 0;
  /** Bytes in the pipe. */
  bytes = 0;
  isPipeOpen = true;
  /** How many bytes were written to a pipe that was closed. */
  astray = 0;
  /** Called before each step of the thread, with its number. */
  step: (number: number) => void = () => {};
  #steps = 0;

  /** Says something, and rings. */
  readonly call: () => void;

  constructor() {
    const stepping = (target: object) =>
      new Proxy(target, {
        get: (target, key) => (...args: unknown[]) => {
          this.step(this.#steps++);
          return Reflect.get(target, key)(...args);
        },
      });
    const write = () => {
      this.step(this.#steps++);
      if (this.isPipeOpen) this.bytes++;
      else this.astray++;
    };
    const deno = { dlopen: () => ({ symbols: { write } }) };
    const open: typeof openBell = new Function(
      "Atomics",
      "Deno",
      `return ${openBell}`,
    )(stepping(Atomics), deno);
    const ring = open({ words: this.words, pipe: 3, library: "", at: LINE });
    this.call = () => {
      this.sent++;
      ring();
    };
  }

  /** How many steps there have been. */
  get steps(): number {
    return this.#steps;
  }

  /** What Doorbell.ready() does: the pipe first, then who has rung. */
  readonly look = [
    () => {
      this.bytes = 0;
    },
    () => {
      if (Atomics.exchange(this.words, LINE.RUNG, 0) === 0) return;
      this.heard = this.sent;
    },
  ];

  /** What Doorbell.close() does: the line, then the pipe if nobody is inside. */
  readonly close = [
    () => {
      Atomics.store(this.words, LINE.CLOSED, CLOSED.REACTOR_ENDED);
    },
    () => {
      this.closePipe();
    },
  ];

  closePipe(): void {
    if (Atomics.load(this.words, LINE.INSIDE) === 0) this.isPipeOpen = false;
  }
}

/** Every way in which `others` come between so many steps, in their order. */
function* interleavings(
  steps: number,
  others: number,
): Generator<readonly number[]> {
  if (others === 0) return yield [];
  for (const places of interleavings(steps, others - 1)) {
    for (let place = places.at(-1) ?? 0; place <= steps; place++) {
      yield [...places, place];
    }
  }
}

/** Runs two calls, with these functions of the other thread in between. */
function run(functions: (bench: Bench) => (() => void)[]): number {
  const dry = new Bench();
  dry.call();
  dry.call();
  const { steps } = dry;
  let count = 0;
  const others = functions(dry).length;
  for (const places of interleavings(steps, others)) {
    const bench = new Bench();
    const todo = functions(bench).map((f, i) => ({ f, place: places[i]! }));
    bench.step = (number) => {
      while (todo.length > 0 && todo[0]!.place <= number) todo.shift()!.f();
    };
    bench.call();
    bench.call();
    for (const { f } of todo) f();
    bench.closePipe();
    check(bench, `${places}`);
    count++;
  }
  return count;
}

function check(bench: Bench, places: string): void {
  assertEquals(bench.astray, 0, `a byte went astray: ${places}`);
  if (Atomics.load(bench.words, LINE.CLOSED) !== CLOSED.NO) {
    assertFalse(bench.isPipeOpen, `the pipe stays open: ${places}`);
  } else if (bench.heard < bench.sent) {
    assert(bench.bytes > 0, `a call is left lying: ${places}`);
  }
}

Deno.test("no call is left lying, whenever the reactor looks (contract 148)", () => {
  // Without the end of the pipe that the check of the other test makes.
  const count = run((bench) => {
    bench.closePipe = () => {};
    return [...bench.look, ...bench.look];
  });
  assert(count > 100, `${count}`);
});

Deno.test("no byte is written to a pipe that was closed, and it is closed, whenever the reactor ends", () => {
  const count = run((bench) => [...bench.look, ...bench.close]);
  assert(count > 100, `${count}`);
});

Deno.test("a thread that rings writes no byte if somebody has and nobody has looked (contract 148)", () => {
  const bench = new Bench();
  for (let i = 0; i < 1000; i++) bench.call();
  assertEquals(bench.bytes, 1);
  for (const f of bench.look) f();
  assertEquals(bench.heard, 1000);
  bench.call();
  assertEquals(bench.bytes, 1);
});

/** A doorbell that no reactor listens to. */
function makeDoorbell() {
  let output = -1;
  const doorbell = new Doorbell({
    observe: (fd) => output = fd,
    unobserve() {},
    defer: (f) => f(),
    report() {},
  });
  doorbell.listen();
  const messages: unknown[] = [];
  const line = doorbell.add((message) => messages.push(message));
  const bell = doorbell.bellOf(line);
  return { doorbell, line, bell, messages, output };
}

/** What a thread does with its bell and its port. */
function say(line: MainLine, bell: BellData, message: unknown): void {
  line.theirPort.postMessage(new Set([message]));
  openBell(bell)();
}

Deno.test({
  name: "Doorbell hears what is said on each of its lines, in order",
  // openBell() opens the C library once more, as threads do.
  sanitizeResources: false,
  fn() {
    const { doorbell, line, bell, messages } = makeDoorbell();
    const others: unknown[] = [];
    const other = doorbell.add((message) => others.push(message));
    say(line, bell, 1);
    say(line, bell, 2);
    doorbell.ready();
    assertEquals(messages, [1, 2]);
    assertEquals(others, []);
    for (let i = 0; i < 2500; i++) say(other, doorbell.bellOf(other), i);
    doorbell.ready();
    assertEquals(others, Array.from({ length: 2500 }, (_, i) => i));
    doorbell.close();
    assertFalse(isOpen(bell.pipe));
  },
});

Deno.test("Doorbell.close() closes its pipe at once when nobody is writing", () => {
  const { doorbell, line, bell } = makeDoorbell();
  assert(isOpen(bell.pipe));
  doorbell.close();
  assertFalse(isOpen(bell.pipe));
  assertEquals(line.words[LINE.CLOSED], CLOSED.REACTOR_ENDED);
});

Deno.test("Doorbell.close() leaves its pipe open while a thread may be writing", async () => {
  const { doorbell, line, bell } = makeDoorbell();
  line.words[LINE.INSIDE] = 1;
  doorbell.close();
  assert(isOpen(bell.pipe));
  Atomics.store(line.words, LINE.INSIDE, 0);
  Atomics.notify(line.words, LINE.INSIDE);
  await until(() => !isOpen(bell.pipe));
});

Deno.test("Doorbell.close() remembers a line that was closed while its thread was writing", async () => {
  const { doorbell, line, bell } = makeDoorbell();
  line.words[LINE.INSIDE] = 1;
  doorbell.remove(line, CLOSED.LINE_CLOSED);
  doorbell.close();
  assert(isOpen(bell.pipe));
  Atomics.store(line.words, LINE.INSIDE, 0);
  Atomics.notify(line.words, LINE.INSIDE);
  await until(() => !isOpen(bell.pipe));
});

/** Calls `before` and `after` around the calls of one of Atomics' functions. */
function withAtomics(
  name: "exchange" | "compareExchange",
  around: { before?: () => void; after?: () => void },
  f: () => void,
): void {
  const original = Atomics[name];
  const { before, after } = around;
  Object.defineProperty(Atomics, name, {
    configurable: true,
    writable: true,
    value(...args: Parameters<typeof original>) {
      before?.();
      const result = Reflect.apply(original, Atomics, args);
      after?.();
      return result;
    },
  });
  try {
    f();
  } finally {
    Object.defineProperty(Atomics, name, {
      configurable: true,
      writable: true,
      value: original,
    });
  }
}

for (
  const [when, isOther, place] of [
    ["just before its line is looked at", false, "before"],
    ["just after its line was looked at", false, "after"],
    ["when another line is looked at", true, "before"],
  ] as const
) {
  Deno.test({
    name: `Doorbell.ready() leaves no call lying that comes ${when}`,
    // openBell() opens the C library once more, as threads do.
    sanitizeResources: false,
    fn() {
      const { doorbell, line, bell, messages, output } = makeDoorbell();
      const other = doorbell.add(() => {});
      const ring = openBell(bell);
      line.theirPort.postMessage(new Set([1]));
      ring();
      let looks = 0;
      const another = () => {
        // The one for each line; what this does itself is none.
        if (looks++ !== (isOther ? 1 : 0)) return;
        line.theirPort.postMessage(new Set([2]));
        ring();
      };
      withAtomics("exchange", { [place]: another }, () => doorbell.ready());
      const isHeard = messages.length === 2;
      const isRung = readInto(output, new Uint8Array(1)) === 1;
      assert(isHeard || isRung);
      doorbell.remove(other, CLOSED.LINE_CLOSED);
      doorbell.close();
    },
  });
}

Deno.test("Doorbell.close() sees a thread that has begun to write just before", async () => {
  const { doorbell, line, bell } = makeDoorbell();
  const begin = () => Atomics.store(line.words, LINE.INSIDE, 1);
  withAtomics("compareExchange", { before: begin }, () => doorbell.close());
  assert(isOpen(bell.pipe));
  Atomics.store(line.words, LINE.INSIDE, 0);
  Atomics.notify(line.words, LINE.INSIDE);
  await until(() => !isOpen(bell.pipe));
});

Deno.test("a thread that was terminated in the middle of a ring costs a pipe, and holds nobody up", async () => {
  const { code, stdout, stderr } = await runProgram(`
    import { LINE } from "${import.meta.resolve("../../ffi/bell.ts")}";
    import { isOpen } from "${import.meta.resolve("../../ffi/mod.ts")}";
    const reactor = new interleave.Reactor();
    const handle = reactor.handle({});
    handle.line.words[LINE.INSIDE] = 1; // And nobody will ever reset it.
    await reactor.close();
    console.log(isOpen(handle.line.pipe));
  `);
  assertEquals({ code, stdout, stderr }, {
    code: 0,
    stdout: "true\n",
    stderr: "",
  });
});

Deno.test("a Worker that is terminated while it rings, again and again, writes nothing into files that are opened afterwards", async () => {
  for (let i = 0; i < 10; i++) {
    const reactor = new Reactor();
    let calls = 0;
    const handle = reactor.handle({ note: () => calls++ });
    reactor.interleave();
    using worker = TestWorker.start(handle, (reactor, _data, say) => {
      try {
        for (;;) reactor.callFromThread("note");
      } catch (error) {
        say(`${error}`);
      }
    }, null);
    await until(() => {
      worker.check();
      return calls > 10 * i;
    });
    const closed = reactor.close();
    if (i % 2 === 0) worker.worker.terminate();
    await closed;
    // Whatever numbers were given back are somebody else's now.
    const [output, input] = makePipe();
    const copies = Array.from({ length: 16 }, () => duplicate(input));
    if (i % 2 === 1) {
      assertEquals(
        await worker.next(),
        "ReactorNotRunning: Cannot call from thread: the reactor has ended",
      );
    }
    assertEquals(readInto(output, new Uint8Array(1)), -1); // Nothing there.
    for (const fd of [output, input, ...copies]) closeDescriptor(fd);
  }
});
