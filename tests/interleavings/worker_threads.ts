/**
 * `node:worker_threads`, as far as the hand-over needs it.
 *
 * @module
 */

import type { PollLoopData } from "../../ffi/poll_loop.ts";
import { simulation } from "./simulation.ts";
import { type Step, step, type Steps, Thread } from "./thread.ts";

type Listener = (value: unknown) => unknown;

/** One end of a channel. */
class Port {
  other: Port | undefined;
  readonly inbox: unknown[] = [];
  #listener: Listener | undefined;
  #open = true;

  *postMessage(message: unknown): Steps<void> {
    const { budget } = simulation();
    const what = `post ${describe(message)}`;
    const post: Step = {
      name: what,
      outcomes: () => [
        { what, run: () => this.#post(message) },
        ...(budget.doubles === 0 ? [] : [{
          what: `${what}, which comes twice`,
          optional: true,
          run: () => {
            budget.doubles--;
            this.#post(message);
            this.#post(message);
          },
        }]),
      ],
    };
    yield post;
  }

  on(_type: "message", listener: Listener): void {
    this.#listener = listener;
  }

  close(): void {
    this.#open = false;
  }

  ref(): void {}

  unref(): void {}

  $state(): unknown[] {
    return [this.inbox, this.#listener, this.#open, this.other];
  }

  #post(message: unknown): void {
    const { other } = this;
    if (!this.#open || !other!.#open) return;
    other!.inbox.push(message);
    other!.#announce();
  }

  /** The event loop gives the message to whoever listens, if it is still there. */
  #announce(): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    simulation().loop.post("message", () => {
      if (!this.#open || this.inbox.length === 0) return;
      return listener(this.inbox.shift());
    }, this);
  }
}

function describe(message: unknown): string {
  if (typeof message === "number") return `report ${message}`;
  return Object.keys(message as object).join(" and ");
}

/** A thread that runs the worker's program. */
export class SimulatedWorker {
  readonly thread: Thread;
  /** The main thread wants it gone, wherever it is. */
  doomed = false;
  readonly #listeners = new Map<string, Listener>();

  constructor(_url: unknown, options: { workerData: PollLoopData }) {
    const { workers, memory, program } = simulation();
    const { workerData } = options;
    memory.shared.push(workerData.control);
    this.thread = new Thread(
      workers.length === 0 ? "worker" : `worker ${workers.length + 1}`,
      this.#live(program.pollLoop(workerData, workerThreads)),
    );
    workers.push(this);
    this.thread.start();
  }

  on(type: string, listener: Listener): void {
    this.#listeners.set(type, listener);
  }

  ref(): void {}

  unref(): void {}

  terminate(): void {
    this.doomed = true;
  }

  /** Ends the thread from outside. */
  kill(): void {
    this.thread.kill();
    simulation().kernel.leave(this.thread.name);
    // What it holds is lost, which nobody can help.
    simulation().reactor.disown(this.thread.name);
    this.#exit(1);
  }

  *#live(program: Steps): Steps<void> {
    yield { ...step("start", () => {}), isSilent: true };
    try {
      yield* program;
      this.#exit(0);
    } catch (error) {
      this.#tell("error", error);
      this.#exit(1);
    }
  }

  #exit(code: number): void {
    this.#tell("exit", code);
  }

  #tell(type: string, value: unknown): void {
    simulation().loop.post(
      `"${type}" of ${this.thread.name}`,
      () => this.#listeners.get(type)?.(value),
      value,
    );
  }
}

/** Two ports. */
class Channel {
  readonly port1: Port = new Port();
  readonly port2: Port = new Port();

  constructor() {
    this.port1.other = this.port2;
    this.port2.other = this.port1;
  }
}

/** What the hand-over takes from the module. */
interface WorkerThreads {
  readonly MessageChannel: new () => Channel;
  readonly Worker: typeof SimulatedWorker;
  receiveMessageOnPort(port: Port): Steps;
}

/** The module. */
export const workerThreads: WorkerThreads = {
  MessageChannel: Channel,

  Worker: SimulatedWorker,

  *receiveMessageOnPort(port: Port): Steps {
    const look = step("look for a message", () => {
      if (port.inbox.length === 0) return undefined;
      return { message: port.inbox.shift() };
    });
    // Nobody else takes one away.
    return yield { ...look, isSilent: port.inbox.length > 0 };
  },
};
