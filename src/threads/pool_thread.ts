/**
 * A thread of a pool: its program, and the reactor's side of it.
 *
 * {@linkcode serveCalls} is the program. It is closure-free, because it reaches
 * the thread as its own source text, together with the
 * functions that it needs; `ffi/poll_loop.ts` says why. It loads the modules
 * whose functions it is to call, and nothing of this package: that a program
 * which is compiled, or comes from a registry, has the user's module for it is
 * enough.
 *
 * @module
 */

import { openBell } from "../../ffi/bell.ts";
import { LINE_OF_THREAD, TRANSFERS } from "./this_thread.ts";
import { type LineData, openLine, type Wrapped } from "./line.ts";
import { type PackedError, packError } from "./packed_error.ts";

type Worker = import("node:worker_threads").Worker;

/** What a thread is to do. */
export interface JobMessage {
  /** Comes back with the outcome. */
  readonly job: number;
  /** The URL of a module. */
  readonly module: string;
  /** The name of one of its exports. */
  readonly name: string;
  /** What to call it with. */
  readonly args: readonly unknown[];
}

/** What came of a job. */
export interface OutcomeMessage {
  /** That of the job. */
  readonly outcome: number;
  /** What it returned. */
  readonly value?: unknown;
  /** What it threw. */
  readonly error?: PackedError;
}

/** The thread runs, and takes calls. */
export interface UpMessage {
  readonly up: true;
}

/** The thread is of no use any more. */
export interface DeathMessage {
  /** Why. */
  readonly died: PackedError;
}

/** What the program is made of, besides its own text. */
interface Parts {
  readonly openBell: typeof openBell;
  readonly openLine: typeof openLine;
  readonly packError: typeof packError;
  /** Where to leave the line for the functions that are called. */
  readonly lineKey: string;
  /** Where those have left what they want to hand over. */
  readonly transfersKey: string;
}

/** What it takes from `node:worker_threads`. */
interface Threads {
  readonly workerData: LineData;
  readonly parentPort: {
    on(
      event: "message",
      listener: (message: Wrapped<JobMessage>) => void,
    ): unknown;
  };
  receiveMessageOnPort(port: unknown): { message: never } | undefined;
}

/** Serves one call after another, until the thread is ended. */
export function serveCalls(threads: Threads, parts: Parts): void {
  const { workerData: data, parentPort } = threads;
  const { openBell, openLine, packError } = parts;
  const line = openLine(data, openBell(data), threads.receiveMessageOnPort);
  const globals = globalThis as unknown as Record<symbol, unknown>;
  globals[Symbol.for(parts.lineKey)] = line;
  const transfersOf = (value: unknown): Transferable[] => {
    const marks = globals[Symbol.for(parts.transfersKey)] as
      | WeakMap<object, Transferable[]>
      | undefined;
    return marks?.get(value as object) ?? [];
  };
  const die = (error: unknown) => line.say({ died: packError(error) }, []);
  // Nobody waits for these: they end the thread, as they would end a program.
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    die(event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    die(event.reason);
  });
  // A reactor whose host blocks has no other way to hear of it.
  process.on("exit", (code) => {
    die(new Error(`The thread ended by itself, with code ${code}`));
  });
  const run = async ({ job, module, name, args }: JobMessage) => {
    try {
      const namespace = await import(module);
      const f = Object.hasOwn(namespace, name) ? namespace[name] : undefined;
      if (typeof f !== "function") {
        throw new TypeError(
          `Cannot call "${name}": ${module} exports no such function`,
        );
      }
      const value = await f(...args);
      line.say({ outcome: job, value }, transfersOf(value));
    } catch (error) {
      line.say({ outcome: job, error: packError(error) }, []);
    }
  };
  parentPort.on("message", ([job]) => void run(job!));
  line.say({ up: true }, []);
}

/** Starts a thread that runs {@linkcode serveCalls}. */
export function startPoolThread(data: LineData): Worker {
  const { SHARE_ENV, Worker } = process.getBuiltinModule(
    "node:worker_threads",
  );
  const source = `{
    const threads = process.getBuiltinModule("node:worker_threads");
    (${serveCalls})(threads, {
      openBell: ${openBell},
      openLine: ${openLine},
      packError: ${packError},
      lineKey: ${JSON.stringify(LINE_OF_THREAD)},
      transfersKey: ${JSON.stringify(TRANSFERS)},
    });
  }`;
  const worker = new Worker(source, {
    eval: true, // As in `hand_over.ts`: of a module Deno would keep the text.
    workerData: data,
    transferList: [data.port as never],
    // Of the environment the user's functions see what their permissions let
    // them see. A copy would be made at once, for which Deno asks whoever sits
    // at the terminal.
    env: SHARE_ENV as never,
  });
  worker.unref();
  return worker;
}
