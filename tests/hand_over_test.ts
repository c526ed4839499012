// The main side of the worker, without a reactor.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertNotEquals,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { deadline } from "@std/async";
import { POLL } from "../ffi/constants.ts";
import { STATE, WORD } from "../ffi/poll_loop.ts";
import { HandOver } from "../src/hand_over.ts";
import { PATIENCE } from "./descriptors.ts";
import { Pipe } from "./pipe.ts";
import { runProgram } from "./program.ts";
import { withWorkers } from "./workers.ts";

/** A table for `poll()` that waits for something to read. */
function tableOf(...pipes: Pipe[]): Int32Array {
  const table = new Int32Array(new SharedArrayBuffer(8 * pipes.length));
  pipes.forEach((pipe, i) => {
    table[2 * i] = pipe.output.fileno();
    table[2 * i + 1] = POLL.IN;
  });
  return table;
}

/** Nothing that a worker could poll: its program throws. */
const NO_TABLE = {} as Int32Array;

/** A hand-over and what it said so far. */
class Bench implements AsyncDisposable {
  readonly pipe = new Pipe();
  readonly table: Int32Array;
  readonly handOver: HandOver;
  readonly reports: number[] = [];
  readonly failures: Error[] = [];
  #said = Promise.withResolvers<void>();

  constructor(table?: Int32Array) {
    this.table = table ?? tableOf(this.pipe);
    this.handOver = new HandOver(this.table, {
      reported: (sequence) => {
        this.reports.push(sequence);
        this.#say();
      },
      failed: (error) => {
        this.failures.push(error);
        this.#say();
      },
    });

    this.handOver.ref();
  }

  /** Makes the `poll()` return. */
  readonly wake = () => this.pipe.fill();

  arm(timeout = -1): void {
    this.handOver.arm(this.table, 1, timeout);
  }

  /** Waits until there is something new that holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await deadline(this.#said.promise, PATIENCE);
  }

  /** Waits until the present arming has been reported. */
  async reported(): Promise<void> {
    await this.until(() => this.reports.includes(this.handOver.sequence));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await deadline(this.handOver.end(this.wake), PATIENCE);
    this.pipe[Symbol.dispose]();
  }

  #say(): void {
    this.#said.resolve();
    this.#said = Promise.withResolvers<void>();
  }
}

/** Lets every message that was sent so far arrive. */
async function letMessagesArrive(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
  port1.close();
  port2.close();
  await new Promise((resolve) => setTimeout(resolve));
}

// Reports

Deno.test("HandOver reports when a descriptor is ready", async () => {
  await using bench = new Bench();
  for (let i = 1; i <= 5; i++) {
    bench.arm();
    await letMessagesArrive();
    assertEquals(bench.reports.length, i - 1);
    bench.wake();
    await bench.reported();
    assertEquals(bench.reports.length, i);
    bench.pipe.output.read(new Uint8Array(10));
  }
  assertEquals(bench.failures, []);
});

Deno.test("HandOver reports when the time is over", async () => {
  await using bench = new Bench();
  for (const timeout of [0, 1, 20]) {
    const start = performance.now();
    bench.arm(timeout);
    await bench.reported();
    assertGreaterOrEqual(performance.now() - start, timeout);
  }
});

Deno.test("HandOver asks nothing before it is armed", async () => {
  await using bench = new Bench();
  bench.wake();
  bench.handOver.waitUntilUp();
  await letMessagesArrive();
  assertEquals(bench.reports, []);
});

Deno.test("HandOver polls the table that it was armed with last", async () => {
  using another = new Pipe();
  await using bench = new Bench();
  const longer = tableOf(bench.pipe, another);
  const shorter = tableOf(another);
  another.fill();
  // A table that is taken back before the worker has looked at it must not come
  // to be used later.
  for (let i = 0; i < 20; i++) {
    bench.arm();
    bench.handOver.withdraw(bench.wake);
    bench.handOver.arm(longer, 2, -1);
    if (i % 2 === 0) {
      bench.handOver.withdraw(bench.wake);
      bench.handOver.arm(shorter, 1, -1);
    }
    await bench.reported();
    try {
      while (bench.pipe.output.read(new Uint8Array(100)) !== null);
    } catch (error) {
      assertInstanceOf(error, Deno.errors.WouldBlock);
    }
  }
  assertEquals(bench.failures, []);
});

// Blocking

Deno.test("HandOver.waitUntilUp() and waitForReport() block until there is what they wait for", async () => {
  await using bench = new Bench();
  bench.handOver.report = "none";
  bench.handOver.waitUntilUp();
  bench.arm(20);
  const start = performance.now();
  assert(bench.handOver.waitForReport(Infinity));
  assertGreaterOrEqual(performance.now() - start, 19);
  assert(bench.handOver.waitForReport(0)); // It stays reported.
  await letMessagesArrive();
  assertEquals(bench.reports, []); // Nothing was posted.
});

Deno.test("HandOver.waitForReport() returns after its time when there is no report", async () => {
  await using bench = new Bench();
  bench.arm();
  assertFalse(bench.handOver.waitForReport(0));
  const start = performance.now();
  assertFalse(bench.handOver.waitForReport(20));
  assertGreaterOrEqual(performance.now() - start, 20);
  bench.wake();
  assert(bench.handOver.waitForReport(PATIENCE));
});

// Withdrawals

Deno.test("HandOver.withdraw() lets no report of that wait count, whatever the worker is doing (contract 162)", async () => {
  await using bench = new Bench();
  const { handOver } = bench;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const withdrawn: number[] = [];
  handOver.waitUntilUp();
  // A little later each time: armed, not yet taken; taken; inside the call;
  // woken; reported; message sent.
  for (let i = 0; i < 60; i++) {
    bench.arm(i % 3 === 0 ? 0 : i % 3 === 1 ? 1 : -1);
    withdrawn.push(handOver.sequence);
    Atomics.wait(pause, 0, 0, i / 20);
    handOver.withdraw(bench.wake);
    assertNotEquals(handOver.sequence, withdrawn.at(-1));
  }
  await letMessagesArrive();
  assertFalse(bench.reports.includes(handOver.sequence));
  assertEquals(
    bench.reports.filter((sequence) => !withdrawn.includes(sequence)),
    [],
  );
  bench.arm(0);
  await bench.reported();
  assertEquals(bench.failures, []);
});

Deno.test("HandOver.withdraw() overtakes a message that is under way (contract 162)", async () => {
  await using bench = new Bench();
  const { handOver } = bench;
  bench.arm(0);
  const { sequence } = handOver;
  assert(handOver.waitForReport(PATIENCE));
  handOver.withdraw(bench.wake);
  await bench.until(() => bench.reports.length === 1);
  assertEquals(bench.reports, [sequence]);
  assertNotEquals(handOver.sequence, sequence);
});

Deno.test("HandOver.withdraw() gives up a worker that does not return from poll()", async () => {
  await using bench = new Bench();
  const { handOver } = bench;
  handOver.waitUntilUp();
  bench.arm();
  // A wake-up that wakes nobody. This blocks for as long as a worker may take.
  assertFalse(handOver.waitForReport(100));
  handOver.withdraw(() => {});
  assertEquals(bench.failures.length, 1);
  assertStringIncludes(
    bench.failures[0]!.message,
    "The worker did not return from poll() within",
  );
  bench.wake(); // So that its thread can end.
  await handOver.end(bench.wake);
  assertEquals(bench.failures.length, 1);
});

// The end

for (
  const [state, prepare] of [
    ["is not up", () => {}],
    ["is parked", (bench) => bench.handOver.waitUntilUp()],
    ["is armed", (bench) => bench.arm()],
    ["polls", (bench) => {
      bench.handOver.waitUntilUp();
      bench.arm();
      bench.handOver.waitForReport(100);
    }],
    ["has reported", (bench) => {
      bench.arm(0);
      bench.handOver.waitForReport(PATIENCE);
    }],
    ["waits on Deno's loop to be heard", async (bench) => {
      bench.arm(0);
      await bench.reported();
    }],
  ] as [string, (bench: Bench) => void | Promise<void>][]
) {
  Deno.test(`HandOver.end() ends a worker that ${state}, and nothing is heard of it (contract 172)`, async () => {
    await using bench = new Bench();
    await prepare(bench);
    const heard = bench.reports.length;
    const ended = bench.handOver.end(bench.wake);
    assertStrictEquals(bench.handOver.end(bench.wake), ended);
    await deadline(ended, PATIENCE);
    await letMessagesArrive();
    assertEquals(bench.reports.length, heard);
    assertEquals(bench.failures, []);
  });
}

// Failures

Deno.test("HandOver tells once of a worker whose program throws (contract 18)", async () => {
  await using bench = new Bench(NO_TABLE);
  bench.arm();
  await bench.until(() => bench.failures.length > 0);
  await deadline(bench.handOver.end(bench.wake), PATIENCE);
  await letMessagesArrive();
  assertEquals(bench.failures.length, 1);
  assertInstanceOf(bench.failures[0], TypeError);
  assertEquals(bench.reports, []);
});

Deno.test("HandOver.waitForReport() finds a failure while this thread is blocked", async () => {
  await using bench = new Bench(NO_TABLE);
  bench.handOver.report = "none";
  bench.handOver.waitUntilUp();
  bench.arm();
  assert(bench.handOver.waitForReport(PATIENCE));
  assertEquals(bench.failures.length, 1);
  assertInstanceOf(bench.failures[0], TypeError);
  await letMessagesArrive();
  assertEquals(bench.failures.length, 1);
});

Deno.test("HandOver tells once of a worker whose thread goes", () =>
  withWorkers(async (workers) => {
    await using bench = new Bench();
    bench.handOver.waitUntilUp();
    bench.arm();
    assertFalse(bench.handOver.waitForReport(100));
    await workers[0]!.terminate();
    await bench.until(() => bench.failures.length > 0);
    bench.wake(); // So that its thread can end.
    assertEquals(bench.failures.length, 1);
    assertStringIncludes(
      bench.failures[0]!.message,
      "The worker ended by itself",
    );
    bench.arm(0); // Nobody is there to hear it, and nobody minds.
    await letMessagesArrive();
    assertEquals(bench.reports, []);
  }));

Deno.test("HandOver.arm() leaves a worker alone that was lost, which would poll again", async () => {
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  using pipe = new Pipe();
  const table = tableOf(pipe);
  const lost = Promise.withResolvers<Error>();
  let control!: Int32Array;
  const handOver = new HandOver(table, {
    reported: () => {},
    failed: lost.resolve,
  }, {
    startWorker(data) {
      control = data.control;
      return new Worker("", { eval: true, env: {} }); // It ends by itself.
    },
  });
  handOver.ref();
  assertStringIncludes((await lost.promise).message, "ended by itself");
  handOver.arm(table, 1, -1);
  assertStrictEquals(control[WORD.STATE], STATE.ENDING);
  await handOver.end(() => {});
});

Deno.test("HandOver tells of a worker that cannot start, also while this thread is blocked", async () => {
  const module = new URL("../src/hand_over.ts", import.meta.url);
  const { code, stdout, stderr } = await runProgram(`
    import { HandOver } from "${module}";
    interleave.FileDescriptor.pipe(); // The C library is open, for this thread.
    Deno.permissions.revokeSync({ name: "ffi" });
    for (const blocked of [true, false]) {
      const { promise, resolve } = Promise.withResolvers();
      const table = new Int32Array(new SharedArrayBuffer(8));
      const handOver = new HandOver(table, {
        reported: () => console.log("reported"),
        failed(error) {
          console.log(blocked, error.message.includes("ffi"));
          resolve();
        },
      });
      handOver.report = "message";
      handOver.ref();
      if (blocked) handOver.waitUntilUp();
      else handOver.arm(table, 1, -1);
      await promise;
      await handOver.end(() => {});
    }
  `);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(stdout, "true true\nfalse true\n");
});

Deno.test("HandOver tells of a worker whose program cannot be run", async () => {
  const module = new URL("../src/hand_over.ts", import.meta.url);
  const { code, stdout } = await runProgram(`
    import { HandOver } from "${module}";
    const threads = process.getBuiltinModule("node:worker_threads");
    const { Worker } = threads;
    threads.Worker = class extends Worker {
      constructor(_, options) {
        super("throw new Error('broken')", options);
      }
    };
    const table = new Int32Array(new SharedArrayBuffer(8));
    const { promise, resolve } = Promise.withResolvers();
    const handOver = new HandOver(table, { reported() {}, failed: resolve });
    handOver.ref();
    console.log((await promise).message);
    await handOver.end(() => {});
  `);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "broken");
});
