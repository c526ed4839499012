/**
 * Workers that die, hang, come late, or say too little or too much, at a step of
 * their program that a test names. The program is the real one, in a real thread:
 * what it calls is wrapped.
 *
 * @module
 */

import { pollLoop, type PollLoopMail } from "../../ffi/poll_loop.ts";
import {
  HandOver,
  type HandOverListener,
  type WorkerData,
} from "../../src/hand_over.ts";

type Worker = import("node:worker_threads").Worker;
type Threads = typeof import("node:worker_threads");

/** Where in a worker's program something goes wrong. */
export type Step =
  /** Before it is up. */
  | "start"
  /** It has mail. */
  | "mail"
  | "before poll"
  /** The call itself, which does not wait. */
  | "poll"
  | "after poll"
  /** It looks where the main thread sleeps: it opens the file, or reads it. */
  | "look"
  /** It sends its report. */
  | "report"
  | "after report"
  /** It calls the toolkit's function. */
  | "post"
  | "after post";

/** What happens there. */
export type Way =
  /** Its program throws. */
  | "throw"
  /** Its thread ends by itself. */
  | "exit"
  /** It goes on when the test is over. */
  | "hang"
  /** It goes on later. */
  | "late"
  /** It does not do it. At the start: no thread can be started. */
  | "drop"
  /** It does it twice. */
  | "double"
  /** The call returns -1. */
  | "fail";

/** What is to go wrong. */
export interface Plan {
  readonly step: Step;
  readonly way: Way;
  /** How often it goes well before. @default {0} */
  readonly skip?: number;
  /** How often it goes wrong then. @default {1} */
  readonly times?: number;
  /** How much later, in milliseconds. @default {50} */
  readonly ms?: number;
}

/** A plan, as all workers of a test share it. */
interface SharedPlan {
  readonly step: Step;
  readonly way: Way;
  readonly ms: number;
  /**
   * How often it goes well yet, how often wrong then, how often it did; and 1
   * when the test is over.
   */
  readonly words: Int32Array;
}

/** A thread starts, and the patience that there is with it. */
export interface FaultyWorkersOptions {
  /**
   * How long each worker may take, one after the other; those that are not named
   * have all the time in the world. In milliseconds.
   */
  readonly patience?: readonly number[];
}

/** The workers of one reactor. */
export class FaultyWorkers {
  /** Those that were started, the dead ones included. */
  readonly started: Worker[] = [];
  readonly #plan: SharedPlan;
  readonly #patience: readonly number[];

  constructor(plan: Plan, options: FaultyWorkersOptions = {}) {
    const { step, way, skip = 0, times = 1, ms = 50 } = plan;
    const words = new Int32Array(new SharedArrayBuffer(16));
    words.set([skip, times, 0, 0]);
    this.#plan = { step, way, ms, words };
    this.#patience = options.patience ?? [];
  }

  /** How often it has gone wrong. */
  get struck(): number {
    return Atomics.load(this.#plan.words, 2);
  }

  /** Lets those go on that hang: a thread that did not would be left. */
  release(): void {
    Atomics.store(this.#plan.words, 3, 1);
    Atomics.notify(this.#plan.words, 3);
  }

  /** Starts the next one: the seam of a reactor. */
  readonly handOver = (
    table: Int32Array,
    listener: HandOverListener,
  ): HandOver =>
    new HandOver(table, listener, {
      startWorker: (data) => this.#start(data),
      patience: this.#patience[this.started.length],
      again: 50,
    });

  #start(data: WorkerData): Worker {
    const { step, way, words } = this.#plan;
    if (step === "start" && way === "drop" && Atomics.sub(words, 1, 1) > 0) {
      throw new Error("No thread can be started");
    }
    const { Worker } = process.getBuiltinModule("node:worker_threads");
    const source = `{
      const threads = process.getBuiltinModule("node:worker_threads");
      const { plan, ...data } = threads.workerData;
      const faulty = (${disturb})(data, threads, plan);
      (${pollLoop})(faulty.data, faulty.threads);
    }`;
    const worker = new Worker(
      new URL(`data:text/javascript,${encodeURIComponent(source)}`),
      {
        workerData: { ...data, plan: this.#plan },
        transferList: [data.port],
        env: {},
      },
    );
    this.started.push(worker);
    return worker;
  }
}

/**
 * Wraps what the worker's program calls. A function without a closure, as the
 * program is.
 */
function disturb(data: WorkerData, threads: Threads, plan: SharedPlan) {
  const { step, way, ms, words } = plan;
  const [SKIP, LEFT, STRUCK, OVER] = [0, 1, 2, 3];
  /** Whether something goes wrong now. */
  const strikes = (here: Step) => {
    if (here !== step || Atomics.sub(words, SKIP, 1) > 0) return false;
    if (Atomics.sub(words, LEFT, 1) <= 0) return false;
    Atomics.add(words, STRUCK, 1);
    return true;
  };
  /** What has nothing to do with what is done here. */
  const suffer = () => {
    if (way === "throw") throw new TypeError("A fault");
    if (way === "exit") process.exit(3);
    if (way === "hang") Atomics.wait(words, OVER, 0);
    if (way === "late") Atomics.wait(words, OVER, 0, ms);
  };
  const reach = (here: Step) => {
    if (strikes(here)) suffer();
  };
  /** Does something once, or as the plan says. */
  const act = <T>(here: Step, f: () => T, otherwise: T): T => {
    if (!strikes(here)) return f();
    suffer();
    if (way === "drop" || way === "fail") return otherwise;
    if (way === "double") f();
    return f();
  };

  /** What it reads a file with, of which any call may go wrong. */
  const looking = (symbols: object) =>
    Object.fromEntries(
      Object.entries(symbols).map(([name, call]) => [
        name,
        (...args: unknown[]) =>
          name === "open" || name === "read"
            ? act("look", () => call(...args), -1)
            : call(...args),
      ]),
    );

  reach("start");
  const { dlopen, UnsafeFnPointer } = Deno;
  const deno = Deno as unknown as Record<string, unknown>;
  deno.dlopen = (path: string, symbols: Deno.ForeignLibraryInterface) => {
    const library = dlopen(path, symbols);
    const { poll } = library.symbols as {
      poll?: (...args: unknown[]) => number;
    };
    if (poll === undefined) return { symbols: looking(library.symbols) };
    return {
      symbols: {
        ...library.symbols,
        poll(...args: unknown[]) {
          reach("before poll");
          const result = act("poll", () => poll(...args), -1);
          reach("after poll");
          return result;
        },
      },
    };
  };
  deno.UnsafeFnPointer = class {
    readonly #real: Deno.UnsafeFnPointer<Deno.ForeignFunction>;

    constructor(
      pointer: Deno.PointerObject<Deno.ForeignFunction>,
      definition: Deno.ForeignFunction,
    ) {
      this.#real = new UnsafeFnPointer(pointer, definition);
    }

    call(...args: never[]) {
      // What toolkit_in_c.ts takes for "done", and for "not now".
      const otherwise = way === "drop" ? 1 : 0;
      const result = act<unknown>(
        "post",
        () => this.#real.call(...args),
        otherwise,
      );
      reach("after post");
      return result;
    }
  };
  /** Mail that comes once more. */
  let kept: { message: PollLoopMail } | undefined;
  return {
    data: {
      ...data,
      port: {
        postMessage(message: unknown) {
          const post = () => data.port.postMessage(message);
          if (typeof message !== "number") return post();
          act("report", post, undefined);
          reach("after report");
        },
      },
    },
    threads: {
      receiveMessageOnPort() {
        if (kept !== undefined) {
          const again = kept;
          kept = undefined;
          return again;
        }
        const receive = () => threads.receiveMessageOnPort(data.port);
        if (!strikes("mail")) return receive();
        suffer();
        // Late: it is not there yet when it is looked for.
        if (way === "fail") return undefined;
        const mail = receive();
        if (way === "double") kept = mail;
        return way === "drop" ? undefined : mail;
      },
    },
  };
}
