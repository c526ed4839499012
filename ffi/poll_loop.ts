/**
 * The worker's whole program: wait until armed, `poll()`, report; again.
 *
 * {@linkcode pollLoop} is one closure-free function, because it reaches the
 * worker as its own source text in a `data:` URL. That is the only form that
 * needs no permission besides `--allow-ffi`, be it from a checkout, from a
 * registry, offline or in a compiled program: a worker from a file would need
 * permission to read that file, and one from a registry would not be in the
 * module graph.
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
 *     runs the work item  <----------------------------------- message (SEQUENCE)
 *     arm again ------------------->   ARMED
 * ```
 *
 * Who may change it: the main side sets ARMED, and only from PARKED or
 * REPORTED; it takes an ARMED back to PARKED (compare and exchange) if the
 * worker has not taken it yet; it sets ENDING from any state. The worker sets
 * POLLING from ARMED and REPORTED from POLLING, by compare and exchange, so an
 * ENDING in between is never overwritten; and it sets FAILED at the end of an
 * unexpected error. A message carries the SEQUENCE it was armed with: one that
 * has been overtaken by a withdrawal names an old number and is ignored.
 *
 * @module
 */

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
  /** How many tables have been sent after the first one. */
  TABLES: 4,
  /**
   * 1 if a report is to be posted as a message; 0 if the main side waits on
   * STATE instead.
   */
  POST: 5,
  /** 1 as soon as the worker is up. */
  UP: 6,
  /** The number of control words. */
  LENGTH: 8,
} as const;

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
  /** The constants above: a closure-free function cannot see them. */
  readonly states: typeof STATE;
  /** The constants above. */
  readonly words: typeof WORD;
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
  ): { message: { table: Int32Array } } | undefined;
}

/**
 * Runs until the main side asks for the end. See the module's documentation.
 *
 * @param data What the main side shares.
 * @param threads The module `node:worker_threads`.
 */
export function pollLoop(data: PollLoopData, threads: PollLoopThreads): void {
  const { control, port, states, words } = data;
  try {
    const { poll } = Deno.dlopen(data.library, {
      poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
    }).symbols;
    let { table } = data;
    let tables = 0;
    Atomics.store(control, words.UP, 1);
    Atomics.notify(control, words.UP);
    for (;;) {
      const state = Atomics.load(control, words.STATE);
      if (state === states.ENDING) return;
      if (
        state !== states.ARMED ||
        Atomics.compareExchange(control, words.STATE, state, states.POLLING) !==
          state
      ) {
        // Returns at once if the word has changed since it was read.
        Atomics.wait(control, words.STATE, state);
        continue;
      }
      for (; tables < control[words.TABLES]!; tables++) {
        table = threads.receiveMessageOnPort(port)!.message.table;
      }
      const sequence = control[words.SEQUENCE]!;
      // Whatever it returns, interrupted included, the main side looks for
      // itself.
      poll(table, control[words.COUNT]!, control[words.TIMEOUT]!);
      Atomics.compareExchange(
        control,
        words.STATE,
        states.POLLING,
        states.REPORTED,
      );
      Atomics.notify(control, words.STATE);
      if (Atomics.load(control, words.POST) === 1) port.postMessage(sequence);
    }
  } catch (error) {
    // The message first: whoever sees the state looks for it at once.
    port.postMessage({ error });
    Atomics.store(control, words.STATE, states.FAILED);
    Atomics.notify(control, words.STATE);
    Atomics.store(control, words.UP, 1);
    Atomics.notify(control, words.UP);
  }
}
