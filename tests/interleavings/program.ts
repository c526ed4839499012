/**
 * The package's own program, in steps: the worker's, the main side's, the turn
 * loop's, and the readiness sets'. Their text is what Deno runs; only what they
 * call outside is simulated.
 *
 * @module
 */

import { LINUX_ONLY, POLL, POSIX } from "../../ffi/constants.ts";
import { EpollSet } from "../../ffi/epoll_set.ts";
import {
  pollLoop,
  type PollLoopData,
  POST,
  STATE,
  WORD,
} from "../../ffi/poll_loop.ts";
import { PollSet } from "../../ffi/poll_set.ts";
import { wakeUp } from "../../ffi/wake_up.ts";
import {
  INTERNAL,
  LONGEST_WAIT,
  sooner,
  wholeMilliseconds,
} from "../../ffi/readiness_set.ts";
import { BlockingQueue } from "../../src/blocking_queue.ts";
import { ReactorAlreadyRunning } from "../../src/errors.ts";
import { HandOver } from "../../src/hand_over.ts";
import {
  callGuarded,
  isThenable,
  reportRejection,
} from "../../src/thenable.ts";
import { TurnLoop } from "../../src/turn.ts";
import { awaiting, SimulatedPromise, spawn } from "./event_loop.ts";
import { fault, FD, pollInWorker, simulatedLibc } from "./kernel.ts";
import { element, setElement, SimulatedAtomics } from "./memory.ts";
import { simulation } from "./simulation.ts";
import { closure } from "./snapshot.ts";
import {
  AnySteps,
  atOnce,
  inside,
  isSteps,
  step,
  type Steps,
} from "./thread.ts";
import { toSteps } from "./transform.ts";
import { workerThreads } from "./worker_threads.ts";

/** What is taken from the package, under the names that it has there. */
const PARTS: readonly { readonly name: string }[] = [
  pollLoop,
  HandOver,
  TurnLoop,
  PollSet,
  EpollSet,
  BlockingQueue,
  callGuarded,
  isThenable,
  reportRejection,
  wakeUp,
];

/** A change of a part's text. */
export interface Edit {
  /** Which part. */
  readonly part: string;
  /** What stands there, once. */
  readonly search: string;
  /** What is to stand there instead. */
  readonly replacement: string;
}

/** The methods of a class in steps: each may return steps instead of a value. */
export type InSteps = Record<string, (...args: unknown[]) => unknown>;

/** A readiness set in steps. */
export interface SetInSteps {
  readonly results: Int32Array;
  readonly stride: number;
  readonly offset: number;
  readonly table: Int32Array;
  readonly count: unknown;
  add(fd: number, serial: number, mask: number): unknown;
  remove(fd: number, serial: number): unknown;
}

/** The parts in steps. */
export interface Program {
  readonly pollLoop: (...args: unknown[]) => Steps;
  readonly TurnLoop: new (...args: unknown[]) => InSteps;
  readonly PollSet: new () => SetInSteps;
  readonly EpollSet: new () => SetInSteps;
  readonly BlockingQueue: new () => InSteps;
}

/** Loads the program, or one that is damaged. */
export async function loadProgram(
  edits: readonly Edit[] = [],
): Promise<Program> {
  const text = PARTS
    .map((part) =>
      edits.filter((edit) => edit.part === part.name)
        // As lines without indentation, which makes it easy to say what stands
        // there.
        .reduce(apply, `${part}`.replace(/^ +/gm, ""))
    )
    .join("\n");
  const source = `export default ({ ${Object.keys(SURROUNDINGS)} }) => {
    ${toSteps(text)}
    return { ${PARTS.map(({ name }) => name)} };
  };`;
  const { default: make } = await import(
    `data:text/javascript,${encodeURIComponent(source)}`
  );
  return make(SURROUNDINGS);
}

function apply(text: string, { part, search, replacement }: Edit): string {
  const [before, after, ...more] = text.split(search);
  if (after === undefined || more.length > 0) {
    throw new Error(`Not once in ${part}: ${search}`);
  }
  return before + replacement + after;
}

/** Calls `array.map(f)`, where `f` may give way. */
function* map(
  array: readonly unknown[],
  f: (value: unknown, index: number) => unknown,
): Steps<unknown[]> {
  const results: unknown[] = [];
  for (const [i, value] of array.entries()) {
    const result = f(value, i);
    results.push(isSteps(result) ? yield* result : result);
  }
  return results;
}

/** Takes members of an object, of which some are accessors in steps. */
function* members(
  object: Record<string, unknown>,
  names: string[],
): Steps<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const name of names) {
    const value = object[name];
    result[name] = isSteps(value) ? yield* value : value;
  }
  return result;
}

const simulatedDeno = {
  build: { os: "simulated" },

  *dlopen(): Steps {
    const open = step("open the C library", () => ({
      symbols: { poll: pollInWorker },
    }));
    return yield {
      ...open,
      outcomes: () => [...open.outcomes(), ...fault("dlopen() throws")],
    };
  },

  UnsafePointer: { create: (address: bigint) => address },

  UnsafeFnPointer: class {
    readonly #address: bigint;

    constructor(address: bigint) {
      this.#address = address;
    }

    call(): unknown {
      return simulation().reactor.native(this.#address);
    }

    $state(): unknown[] {
      return [this.#address];
    }
  },

  unrefTimer: () => {},
};

/** What the parts find around them: every free variable of their text. */
const SURROUNDINGS: Record<string, unknown> = {
  // What the transformation calls.
  $Steps: AnySteps,
  $atOnce: atOnce,
  $await: awaiting,
  $closure: closure,
  $element: element,
  $inside: inside,
  $map: map,
  $members: members,
  $setElement: setElement,
  $spawn: spawn,

  // Deno, and JavaScript.
  Atomics: SimulatedAtomics,
  Deno: simulatedDeno,
  Promise: SimulatedPromise,
  SharedArrayBuffer: ArrayBuffer,
  URL: class {},
  addEventListener: () => {},
  encodeURIComponent: () => "",
  monotonic: () => simulation().now,
  performance: { now: () => simulation().now },
  process: { getBuiltinModule: () => workerThreads },
  removeEventListener: () => {},
  setImmediate: (f: () => unknown) => simulation().loop.post("immediate", f, f),

  // The package's constants.
  INTERNAL,
  LINUX_ONLY,
  LONGEST_WAIT,
  LOOK: 1000,
  MOST_FAILURES: 3,
  NO_HOLDS: [],
  OFFSET: 1,
  PAUSE: 20,
  POLL,
  POSIX,
  POST,
  STATE,
  STRIDE: 3,
  WORD,
  ...LINUX_ONLY,
  BATCH: 4,
  ERRNO: {},
  errno: () => 0,
  interrupted: () => 0,
  ONE: undefined,
  READY_FOR: POLL.IN | POLL.OUT,
  /** A second descriptor makes a table grow. */
  ROOM: 2,

  // Its functions, and those that have no part in the hand-over.
  BriefWait: class {
    isWorthIt = () => false;
  },
  FileIdentities: class {
    identify = () => ({});
    matches = () => true;
    forget = () => {};
  },
  Overdue: class {
    expect = () => {};
    end = () => {};
  },
  ReactorAlreadyRunning,
  check: (value: unknown) => value,
  checkDelay: () => {},
  checkFunction: () => {},
  doubled: (array: Int32Array) => {
    const result = new Int32Array(2 * array.length);
    result.set(array);
    return result;
  },
  isNative: (host: unknown) => typeof host === "object" && !isQueue(host),
  isQueue,
  isThreadGone: () => false,
  libc: () => simulatedLibc,
  libcPath: () => "",
  linux: () => simulatedLibc,
  makeWake: () => [FD.WAKE, FD.WAKE],
  pause: () => undefined,
  runMicrotasks: () => simulation().loop.runMicrotasks(),
  sleepProbe: () => undefined,
  sooner,
  startPollLoop: (workerData: PollLoopData) =>
    new workerThreads.Worker(undefined, { workerData }),
  usePost: (_waker: unknown, _action: string, work: () => unknown) =>
    simulation().reactor.toolkit.use(work),
  wholeMilliseconds,
};

function isQueue(host: unknown): boolean {
  return host instanceof simulation().program.BlockingQueue;
}
