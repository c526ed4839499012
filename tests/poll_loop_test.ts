// The worker's program, run on this thread: it ends when the main side, which
// here is the port that it posts to or another thread, says so.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { POLL } from "../ffi/constants.ts";
import { packCall, type PackedCall } from "../ffi/native_call.ts";
import { libcPath } from "../ffi/libc.ts";
import {
  pollLoop,
  type PollLoopData,
  type PollLoopFailure,
  type PollLoopMail,
  POST,
  STATE,
  WORD,
} from "../ffi/poll_loop.ts";
import { Pipe } from "./pipe.ts";
import { startThread, type Thread } from "./workers.ts";

/**
 * What the main side shares with the worker, and what the worker has posted.
 */
class Shared {
  readonly control = new Int32Array(new SharedArrayBuffer(4 * WORD.LENGTH));
  readonly messages: (number | PollLoopFailure)[] = [];
  readonly table = new Int32Array(new SharedArrayBuffer(8));
  /** What was sent to the worker. */
  readonly mail: PollLoopMail[] = [];
  library = libcPath();
  /** What happens at each message. */
  posted = () => this.set(STATE.ENDING);

  /** Begins as the main side does: armed, with nothing to wait for. */
  constructor() {
    this.set(STATE.ARMED);
    this.control[WORD.COUNT] = 1;
    this.control[WORD.SEQUENCE] = 7;
    this.control[WORD.POST] = 1;
    this.table[0] = -1; // poll() passes over it.
  }

  get state(): number {
    return Atomics.load(this.control, WORD.STATE);
  }

  set(state: number): void {
    Atomics.store(this.control, WORD.STATE, state);
    Atomics.notify(this.control, WORD.STATE);
  }

  send(mail: Omit<PollLoopMail, "number">): void {
    this.mail.push({ ...mail, number: this.control[WORD.MAIL]! });
    this.control[WORD.MAIL]!++;
  }

  /** Runs the program to its end. */
  run(data: Partial<PollLoopData> = {}): void {
    pollLoop({
      control: this.control,
      table: this.table,
      port: {
        postMessage: (message) => {
          this.messages.push(message);
          this.posted();
        },
      },
      library: this.library,
      states: STATE,
      posts: POST,
      words: WORD,
      again: 60_000,
      ...data,
    }, {
      receiveMessageOnPort: () => ({ message: this.mail.shift()! }),
    });
    assertEquals(this.control[WORD.UP], 1);
  }
}

/** A change of the word STATE, made when the first value is found there. */
type Change = [from: number, to: number];

/** Starts a thread that makes changes. */
function startChanges(control: Int32Array, changes: Change[]): Thread {
  return startThread(({ control, word, changes }) => {
    for (const [from, to] of changes) {
      for (;;) {
        const state = Atomics.load(control, word);
        if (state === from) break;
        // What changes without a word is found by looking again.
        Atomics.wait(control, word, state, 1);
      }
      Atomics.store(control, word, to);
      Atomics.notify(control, word);
    }
  }, { control, word: WORD.STATE, changes });
}

/** The library that the program opens stays open, as it does in the worker. */
function testProgram(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name, fn, sanitizeResources: false });
}

testProgram(
  "pollLoop() returns at once when the end has come before it",
  () => {
    const shared = new Shared();
    shared.set(STATE.ENDING);
    shared.run();
    assertEquals(shared.messages, []);
    assertEquals(shared.state, STATE.ENDING);
  },
);

testProgram(
  "pollLoop() waits as it is armed, and reports with the number of the arming",
  () => {
    const shared = new Shared();
    shared.control[WORD.TIMEOUT] = 10;
    const start = performance.now();
    const states: number[] = [];
    shared.posted = () => {
      states.push(shared.state);
      shared.set(STATE.ENDING);
    };
    shared.run();
    assert(performance.now() - start >= 9);
    assertEquals(states, [STATE.REPORTED]);
    assertEquals(shared.messages, [7]);
  },
);

testProgram(
  "pollLoop() returns from its wait when a descriptor is ready",
  () => {
    using pipe = new Pipe();
    pipe.fill();
    const shared = new Shared();
    shared.table.set([pipe.output.fileno(), POLL.IN]);
    shared.control[WORD.TIMEOUT] = -1;
    shared.run();
    assertEquals(shared.messages, [7]);
    assertEquals(shared.table[1]! >>> 16, POLL.IN);
  },
);

/** A probe of a file that says so, and how often it may look. */
async function probed(text: string, most: number) {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, text);
    const shared = new Shared();
    const path = new TextEncoder().encode(`${file}\0`);
    shared.send({ sleepProbe: { path, calls: [232, 281], most } });
    const seen: number[] = [];
    shared.posted = () => {
      seen.push(shared.control[WORD.SLEEPS_IN]!);
      // What it says from now on.
      Deno.writeTextFileSync(file, "281 0x9 0x7ffe 0x0\n");
      shared.set(seen.length === 3 ? STATE.ENDING : STATE.ARMED);
    };
    shared.run();
    return seen;
  } finally {
    await Deno.remove(file);
  }
}

testProgram(
  "pollLoop() sees in which descriptor the main thread sleeps, once",
  async () => {
    assertEquals(await probed("232 0x7 0x7ffe 0x400 0x0\n", 9), [7, 7, 7]);
  },
);

testProgram(
  "pollLoop() looks again when the main thread sleeps in something else",
  async () => {
    assertEquals(await probed("202 0x7 0x80 0x0\n", 9), [0, 9, 9]);
    assertEquals(await probed("running\n", 9), [0, 9, 9]);
  },
);

testProgram(
  "pollLoop() gives up looking where the main thread sleeps",
  async () => {
    assertEquals(await probed("running\n", 1), [0, 0, 0]);
    assertEquals(await probed("", 1), [0, 0, 0]);
  },
);

testProgram("pollLoop() goes on when it is armed again", () => {
  const shared = new Shared();
  shared.posted = () => {
    if (shared.messages.length === 3) return shared.set(STATE.ENDING);
    shared.control[WORD.SEQUENCE]!++;
    shared.set(STATE.ARMED);
  };
  shared.run();
  assertEquals(shared.messages, [7, 8, 9]);
});

testProgram(
  "pollLoop() takes every table that was sent, and polls the last",
  () => {
    using pipe = new Pipe();
    pipe.fill();
    const shared = new Shared();
    const last = new Int32Array(new SharedArrayBuffer(8));
    last.set([pipe.output.fileno(), POLL.IN]);
    shared.send({ table: new Int32Array(new SharedArrayBuffer(8)) });
    shared.send({ table: last });
    shared.control[WORD.TIMEOUT] = -1;
    shared.run();
    assertEquals(shared.mail, []);
    assertEquals(shared.messages, [7]);
  },
);

testProgram(
  "pollLoop() sleeps until it is armed, and posts nothing unless it is to",
  async () => {
    const shared = new Shared();
    shared.set(STATE.PARKED);
    shared.control[WORD.POST] = 0;
    const { up, done } = startChanges(shared.control, [
      [STATE.PARKED, STATE.ARMED],
      [STATE.REPORTED, STATE.ARMED],
      [STATE.REPORTED, STATE.ENDING],
    ]);
    await up;
    shared.run();
    await done;
    assertEquals(shared.messages, []);
  },
);

/** A C function of ours, as the worker calls it, and what it is to return. */
function callback(f: () => number) {
  const native = new Deno.UnsafeCallback(
    { parameters: ["pointer", "i32"], result: "i32" },
    f,
  );
  const call: PackedCall = packCall({
    function: native.pointer,
    parameters: ["pointer", "i32"],
    result: "i32",
    arguments: [null, 5],
  });
  return { call, [Symbol.dispose]: () => native.close() };
}

testProgram(
  "pollLoop() reports by the toolkit's function, and shows when it is inside",
  () => {
    const shared = new Shared();
    shared.control[WORD.POST] = POST.NATIVE;
    const seen: number[][] = [];
    using post = callback(() => {
      seen.push([shared.state, shared.control[WORD.POSTING]!]);
      shared.set(STATE.ENDING);
      return 0;
    });
    shared.send({ post: { ...post.call, accepted: undefined } });
    shared.run();
    assertEquals(seen, [[STATE.REPORTED, 1]]);
    assertEquals(shared.control[WORD.POSTING], 0);
    assertEquals(shared.messages, []);
  },
);

testProgram(
  "pollLoop() calls a function again that has not accepted, until it does",
  () => {
    const shared = new Shared();
    shared.control[WORD.POST] = POST.NATIVE;
    let calls = 0;
    using post = callback(() => {
      if (++calls < 3) return -1;
      shared.set(STATE.ENDING);
      return 1;
    });
    shared.send({ post: { ...post.call, accepted: 1 } });
    const start = performance.now();
    shared.run();
    assertEquals(calls, 3);
    assert(performance.now() - start >= 19);
  },
);

testProgram(
  "pollLoop() gives up a post that was refused when the main side comes by itself",
  () => {
    const shared = new Shared();
    shared.control[WORD.POST] = POST.NATIVE;
    let calls = 0;
    using post = callback(() => {
      calls++;
      shared.set(STATE.ENDING);
      return -1;
    });
    shared.send({ post: { ...post.call, accepted: 1 } });
    shared.run();
    assertEquals(calls, 1);
  },
);

testProgram(
  "pollLoop() tells a toolkit of its failure as well: no message would arrive",
  () => {
    const shared = new Shared();
    shared.control[WORD.POST] = POST.NATIVE;
    const states: number[] = [];
    using post = callback(() => {
      states.push(shared.state);
      return 0;
    });
    shared.send({ post: { ...post.call, accepted: undefined } });
    shared.posted = () => {};
    shared.run({ table: {} as Int32Array });
    assertEquals(shared.messages.length, 1);
    assertEquals(states, [STATE.FAILED]);
    assertEquals(shared.control[WORD.POSTING], 0);
  },
);

testProgram(
  "pollLoop() holds loops around the wait, but none that was refused",
  () => {
    const shared = new Shared();
    const seen: string[] = [];
    const note = (name: string, result: number) =>
      callback(() => {
        seen.push(`${name} ${shared.state}`);
        return result;
      });
    using acquire = note("acquire", 1);
    using release = note("release", 0);
    using refuse = note("refuse", 0);
    using never = note("never", 0);
    shared.send({
      holds: [
        { acquire: acquire.call, release: release.call },
        { acquire: refuse.call, release: never.call },
      ],
    });
    shared.run();
    assertEquals(seen, [
      `acquire ${STATE.POLLING}`,
      `refuse ${STATE.POLLING}`,
      `release ${STATE.POLLING}`,
    ]);
    assertEquals(shared.control[WORD.HOLDS], 2);
  },
);

testProgram(
  "pollLoop() lets go of a loop when the end comes meanwhile",
  () => {
    const shared = new Shared();
    const seen: string[] = [];
    using acquire = callback(() => {
      seen.push("acquire");
      shared.set(STATE.ENDING);
      return 1;
    });
    using release = callback(() => seen.push("release"));
    shared.send({ holds: [{ acquire: acquire.call, release: release.call }] });
    shared.run();
    assertEquals(seen, ["acquire", "release"]);
    assertEquals(shared.state, STATE.ENDING);
  },
);

testProgram(
  "pollLoop() does not overwrite an end that comes while it polls",
  async () => {
    const shared = new Shared();
    shared.control[WORD.TIMEOUT] = 500;
    shared.set(STATE.PARKED);
    const states: number[] = [];
    shared.posted = () => {
      states.push(shared.state);
      shared.set(STATE.ENDING); // It would not end, if it was not told by now.
    };
    const { up, done } = startChanges(shared.control, [
      [STATE.POLLING, STATE.ENDING],
    ]);
    await up;
    shared.set(STATE.ARMED);
    shared.run();
    await done;
    assertEquals(states, [STATE.ENDING]);
  },
);

testProgram(
  "pollLoop() posts the error when the library cannot be opened",
  () => {
    const shared = new Shared();
    shared.library = "/nonexistent/libc.so";
    const states: number[] = [];
    shared.posted = () => states.push(shared.state);
    shared.run();
    const [message, ...more] = shared.messages;
    assertInstanceOf((message as PollLoopFailure).error, Error);
    assertEquals(more, []);
    // Whoever sees the state can rely on the message.
    assertEquals(states, [STATE.ARMED]);
    assertEquals(shared.state, STATE.FAILED);
  },
);

testProgram("pollLoop() posts the error when the wait throws", () => {
  const shared = new Shared();
  shared.posted = () => {};
  shared.run({ table: {} as Int32Array });
  const [message, ...more] = shared.messages;
  assertInstanceOf((message as PollLoopFailure).error, TypeError);
  assertEquals(more, []);
  assertEquals(shared.state, STATE.FAILED);
});
