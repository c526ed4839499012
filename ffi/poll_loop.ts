/**
 * The worker's whole program: wait until armed, `poll()`, report; again.
 *
 * {@linkcode pollLoop} is one closure-free function, because it reaches the
 * worker as its own source text, which is run there as a script. That needs no
 * permission besides `--allow-ffi`, be it from a checkout, from a registry,
 * offline or in a compiled program: a worker from a file would need permission
 * to read that file, one from a registry would not be in the module graph, and
 * of one from a `data:` URL Deno keeps that URL when it is gone.
 *
 * ## The hand-over
 *
 * **The worker polls only between two runs of the main side, and there is at
 * most one work item outstanding.** One word of shared memory, `STATE`, says
 * whose turn it is:
 *
 * ```text
 *     main thread                       STATE                    worker thread
 *     -----------                      --------                  -------------
 *     runs callbacks                   PARKED                    sleeps on STATE
 *     arm: table, timeout, then ---->  ARMED   ----------------> awake
 *     free                             POLLING <---------------- takes it (compare and exchange)
 *     free                               |                       poll(table, count, timeout)
 *     free                             REPORTED <--------------- compare and exchange, then the message
 *     runs the work item  <----------------------------------- message (SEQUENCE),
 *                                        |                       or a call of the toolkit's
 *     arm again ------------------->   ARMED
 * ```
 *
 * Who may change it: the main side sets ARMED, and only from PARKED or
 * REPORTED; by compare and exchange it takes an ARMED back to PARKED if the
 * worker has not taken it yet, and a REPORTED that it will not heed; it sets
 * ENDING from any state. The worker sets POLLING from ARMED and REPORTED from
 * POLLING, by compare and exchange, so an ENDING in between is never
 * overwritten; and it sets FAILED at the end of an unexpected error. A message
 * carries the SEQUENCE it was armed with: one that has been overtaken by a
 * withdrawal names an old number and is ignored.
 *
 * A host that blocks the main thread inside C gets no message: there the worker
 * calls the function by which the toolkit is asked to run something on its main
 * thread. Such a call names no number. The main side takes it for a hint, and
 * looks whether STATE is REPORTED. While the call is under way POSTING is 1:
 * whoever takes the toolkit down waits for that first.
 *
 * A loop that is attached may want to be held while it is polled, by the thread
 * that polls. The worker holds it as long as it is POLLING; the main side waits
 * until HOLDS says so when it arms, since a change that nobody holds the loop for
 * would not be seen.
 *
 * @module
 */

import type { PackedCall } from "./native_call.ts";

/** Whose turn it is. The values of the word `STATE`. */
export const STATE = {
  /** The worker sleeps; the main side runs, or nothing has begun. */
  PARKED: 0,
  /** The main side wants a wait. */
  ARMED: 1,
  /** The worker is inside `poll()`. */
  POLLING: 2,
  /** `poll()` has returned. */
  REPORTED: 3,
  /** The main side wants the worker to leave. */
  ENDING: 4,
  /** The worker is leaving because of an error, which it has sent. */
  FAILED: 5,
} as const;

/** Where things stand in the shared control words. */
export const WORD = {
  /** One of `STATE`. */
  STATE: 0,
  /** Number of entries of the table to poll. */
  COUNT: 1,
  /** The timeout for `poll()`, in milliseconds. */
  TIMEOUT: 2,
  /** The number of the present arming. */
  SEQUENCE: 3,
  /** How many pieces of mail have been sent to the worker. */
  MAIL: 4,
  /** How a report is made: one of `POST`. */
  POST: 5,
  /** 1 as soon as the worker is up. */
  UP: 6,
  /** 1 while the worker is in the toolkit's function. */
  POSTING: 7,
  /** 0 until it is known; then 1 if every loop is held, 2 if one is not. */
  HOLDS: 8,
  /** Where the main thread was seen asleep: a descriptor; 0 if it was not. */
  SLEEPS_IN: 9,
  /** The worker's number among the threads of the system; 0 if it is not known. */
  THREAD: 10,
  /** The number of control words. */
  LENGTH: 11,
} as const;

/** How a report is made. The values of the word `POST`. */
export const POST = {
  /** Not at all: the main side waits on STATE. */
  NONE: 0,
  /** As a message. */
  MESSAGE: 1,
  /** By a call of the toolkit's function. */
  NATIVE: 2,
} as const;

/** What the main side sends: a member that is missing stays as it was. */
export interface PollLoopMail {
  /** Its place among all mail, from 0: what comes twice counts once. */
  readonly number: number;
  /** A longer table to poll. */
  readonly table?: Int32Array;
  /** The toolkit's function. */
  readonly post?: PostCall;
  /** What to call around each wait. */
  readonly holds?: readonly PackedHold[];
  /** How to see where the main thread sleeps. */
  readonly sleepProbe?: SleepProbe;
}

/** How to see in which descriptor a thread sleeps, on Linux. */
export interface SleepProbe {
  /** The file that tells, as a C string. */
  readonly path: Uint8Array;
  /** The numbers of the system calls that sleep in their first argument. */
  readonly calls: readonly number[];
  /** After so many times it is left alone: the file tells it to nobody. */
  readonly most: number;
}

/** The call that makes a toolkit run the work item. */
export interface PostCall extends PackedCall {
  /**
   * What the function returns when it has taken the call. After anything else
   * it is called again, 10 ms later.
   */
  readonly accepted: number | undefined;
}

/** The calls around a wait for the descriptors of an attached loop. */
export interface PackedHold {
  /** Makes this thread the loop's owner. False or 0 says that it did not. */
  readonly acquire: PackedCall;
  /** Undoes that. */
  readonly release: PackedCall;
}

/** What the worker is given. */
export interface PollLoopData {
  /** The control words. */
  readonly control: Int32Array;
  /** The `struct pollfd` array to poll; a longer one arrives as a message. */
  readonly table: Int32Array;
  /** Where reports and failures go. */
  readonly port: {
    postMessage(message: number | PollLoopFailure): void;
  };
  /** What the C library was opened as on the main thread. */
  readonly library: string;
  /** After so many milliseconds a report that nobody has heeded is made again. */
  readonly again: number;
  /** The constants above: a closure-free function cannot see them. */
  readonly states: typeof STATE;
  /** The constants above. */
  readonly words: typeof WORD;
  /** The constants above. */
  readonly posts: typeof POST;
}

/** An error that ends the worker's program. */
export interface PollLoopFailure {
  /** What was thrown. */
  readonly error: unknown;
}

/** What the worker takes from `node:worker_threads`. */
export interface PollLoopThreads {
  /** Takes a message from the port, if there is one. */
  receiveMessageOnPort(
    port: PollLoopData["port"],
  ): { message: PollLoopMail } | undefined;
}

/**
 * Runs until the main side asks for the end. See the module's documentation.
 *
 * @param data What the main side shares.
 * @param threads The module `node:worker_threads`.
 */
export function pollLoop(data: PollLoopData, threads: PollLoopThreads): void {
  const { control, port, states, words, posts } = data;
  let post = (): unknown => undefined;
  const bind = (packed: PackedCall): () => unknown => {
    const { address, parameters, result, values, pointers } = packed;
    const f = new Deno.UnsafeFnPointer(
      Deno.UnsafePointer.create(address) as never,
      { parameters, result } as Deno.ForeignFunction,
    );
    const args = values.map((value, i) =>
      pointers[i] ? Deno.UnsafePointer.create(value as bigint) : value
    ) as never[];
    return () => f.call(...args);
  };
  const probeWith = ({ path, calls, most }: SleepProbe) => {
    const { open, read, close } = Deno.dlopen(data.library, {
      open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
      read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    }).symbols;
    const text = new Uint8Array(256);
    let left = most;
    return () => {
      if (control[words.SLEEPS_IN] !== 0 || left-- <= 0) return;
      const file = open(path as BufferSource, 0, 0);
      if (file < 0) return;
      const length = Math.max(0, read(file, text, text.length));
      close(file);
      const line = new TextDecoder().decode(text.subarray(0, length));
      const [, call, fd] = /^(\d+) (0x[0-9a-f]+) /.exec(line) ?? [];
      if (calls.includes(Number(call))) control[words.SLEEPS_IN] = Number(fd);
    };
  };
  const untilAccepted = (call: PostCall): () => unknown => {
    const once = bind(call);
    const { accepted } = call;
    if (accepted === undefined) return once;
    return () => {
      while (Number(once()) !== accepted) {
        // Unless the main side has come by itself, or taken it back.
        const state = Atomics.load(control, words.STATE);
        if (state !== states.REPORTED && state !== states.FAILED) return;
        Atomics.wait(control, words.STATE, state, 10);
      }
    };
  };
  const held: (() => unknown)[] = [];
  const release = () => {
    while (held.length > 0) held.pop()!();
  };
  try {
    const { poll } = Deno.dlopen(data.library, {
      poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
    }).symbols;
    let { table } = data;
    let holds: { acquire: () => unknown; release: () => unknown }[] = [];
    let probe = () => {};
    /** Makes the present report. */
    let say = () => {};
    let mail = 0;
    if (Deno.build.os === "linux") {
      const { gettid } = Deno.dlopen(data.library, {
        gettid: { parameters: [], result: "i32", optional: true },
      }).symbols;
      Atomics.store(control, words.THREAD, gettid?.() ?? 0);
    }
    Atomics.store(control, words.UP, 1);
    Atomics.notify(control, words.UP);
    for (;;) {
      const state = Atomics.load(control, words.STATE);
      if (state === states.ENDING) return;
      if (state !== states.ARMED) {
        // Returns at once if the word has changed since it was read.
        const isReported = state === states.REPORTED;
        const patience = isReported ? data.again : Infinity;
        const outcome = Atomics.wait(control, words.STATE, state, patience);
        // The main side is slow, or the report got lost.
        if (outcome === "timed-out") say();
        continue;
      }
      // First of all: nobody can take it back and arm another wait, with a longer
      // table or another function, while what came along is being looked at.
      if (
        Atomics.compareExchange(
          control,
          words.STATE,
          states.ARMED,
          states.POLLING,
        ) !== states.ARMED
      ) continue;
      while (mail < control[words.MAIL]!) {
        const { message } = threads.receiveMessageOnPort(port)!;
        if (message.number !== mail) continue;
        mail++;
        if (message.table) table = message.table;
        if (message.post) post = untilAccepted(message.post);
        if (message.sleepProbe) probe = probeWith(message.sleepProbe);
        if (message.holds) {
          holds = message.holds.map((hold) => ({
            acquire: bind(hold.acquire),
            release: bind(hold.release),
          }));
        }
      }
      if (holds.length > 0) {
        let result = 1;
        for (const hold of holds) {
          // Never a release after an acquire that was refused.
          if (hold.acquire()) held.push(hold.release);
          else result = 2;
        }
        Atomics.store(control, words.HOLDS, result);
        Atomics.notify(control, words.HOLDS);
      }
      const sequence = control[words.SEQUENCE]!;
      // Whatever it returns, interrupted included, the main side looks for
      // itself.
      poll(table, control[words.COUNT]!, control[words.TIMEOUT]!);
      release();
      // Most likely it sleeps now, since it has armed this wait.
      probe();
      // Both while it is POLLING still: the main side changes POST only when it
      // is not, and looks at POSTING afterwards.
      const how = Atomics.load(control, words.POST);
      if (how === posts.NATIVE) Atomics.store(control, words.POSTING, 1);
      Atomics.compareExchange(
        control,
        words.STATE,
        states.POLLING,
        states.REPORTED,
      );
      Atomics.notify(control, words.STATE);
      say = () => {
        if (how === posts.MESSAGE) port.postMessage(sequence);
        if (how !== posts.NATIVE) return;
        // Whoever takes the toolkit down takes the report back first, and looks
        // at POSTING then.
        Atomics.store(control, words.POSTING, 1);
        if (Atomics.load(control, words.STATE) === states.REPORTED) post();
        Atomics.store(control, words.POSTING, 0);
        Atomics.notify(control, words.POSTING);
      };
      say();
    }
  } catch (error) {
    // Before the state, as above: who has seen that looks at POSTING.
    const how = Atomics.load(control, words.POST);
    if (how === posts.NATIVE) Atomics.store(control, words.POSTING, 1);
    // The message first: whoever sees the state looks for it at once.
    port.postMessage({ error });
    Atomics.store(control, words.STATE, states.FAILED);
    Atomics.notify(control, words.STATE);
    Atomics.store(control, words.UP, 1);
    Atomics.notify(control, words.UP);
    Atomics.store(control, words.HOLDS, 1);
    Atomics.notify(control, words.HOLDS);
    release();
    // A main thread inside the toolkit's loop gets no message.
    if (how === posts.NATIVE) post();
    Atomics.store(control, words.POSTING, 0);
    Atomics.notify(control, words.POSTING);
  }
}
