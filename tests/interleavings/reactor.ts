/**
 * What stands around a turn loop: the reactor, which gives it turns to run, and
 * the program, which calls the reactor whenever it can.
 *
 * It also watches what a turn must not find: {@linkcode Violation}s.
 *
 * @module
 */

import { POLL } from "../../ffi/constants.ts";
import { STATE, WORD } from "../../ffi/poll_loop.ts";
import { type SimulatedPromise, whole } from "./event_loop.ts";
import { HeldLoop } from "./held_loop.ts";
import { FD } from "./kernel.ts";
import type { InSteps, SetInSteps } from "./program.ts";
import { simulation } from "./simulation.ts";
import {
  inside,
  isSteps,
  type Outcome,
  type Step,
  type Steps,
  Violation,
} from "./thread.ts";
import { ADDRESS, Toolkit, type ToolkitOptions } from "./toolkit.ts";

/** Where work items run. */
export type HostName = "Deno's loop" | "a waker" | "a queue" | "a toolkit";

/** Something that the program may do. */
export type Action =
  | "call soon"
  | "call later"
  | "add a reader"
  | "remove a reader"
  | "reconsider"
  | "iterate"
  | "iterate for a while"
  | "attach a loop"
  | "modal"
  | "get for a while"
  | "stop"
  | "crash";

/** What a run is about. */
export interface ReactorOptions {
  readonly backend: "epoll" | "poll";
  readonly host: HostName;
  readonly actions: readonly Action[];
  readonly toolkit?: Partial<ToolkitOptions>;
}

/** Milliseconds until the one delayed call, where that is not yet due. */
const DELAY = 5;

/** See the module's documentation. */
export class Reactor {
  readonly toolkit: Toolkit;
  readonly #options: ReactorOptions;
  readonly #attachments = new HeldLoop();
  readonly #registered = new Map<number, number>();
  #set!: SetInSteps;
  #loop!: InSteps;
  #queue: InSteps | undefined;
  /** What the waker was given, and did not run yet. */
  #given: (() => unknown)[] = [];
  #end: SimulatedPromise | undefined;
  #isOver = false;

  constructor(options: ReactorOptions) {
    this.#options = options;
    this.toolkit = new Toolkit({
      synchronous: false,
      refuses: false,
      ...options.toolkit,
    });
  }

  /** The descriptors that are watched. */
  get descriptors(): number[] {
    return this.#isOver ? [] : [...this.#registered.keys()];
  }

  /** The main thread's program. */
  *run(): Steps<never> {
    yield* this.#start();
    const idle: Step = {
      name: "idle",
      rests: true,
      outcomes: () => {
        const { loop } = simulation();
        const outcomes = loop.outcomes();
        if (loop.microtasks.length > 0) return outcomes;
        return [...outcomes, ...this.#host(), ...this.#actions("idle")];
      },
    };
    for (;;) {
      simulation().now = 0;
      counters.events = 0;
      yield* whole(((yield idle) as () => unknown)());
    }
  }

  /** Calls a C function. */
  native(address: bigint): Steps {
    switch (address) {
      case ADDRESS.POST:
        return this.toolkit.post();
      case ADDRESS.ACQUIRE:
        return this.#attachments.acquire();
      default:
        return this.#attachments.release();
    }
  }

  /** A thread was ended from outside. */
  disown(thread: string): void {
    const loop = this.#attachments;
    if (loop.owner === thread) loop.owner = undefined;
  }

  /** What is left undone, now that nothing more will happen by itself. */
  findNeglect(): string | undefined {
    const { calls, kernel, threads, main, workers } = simulation();
    const stuck = threads.find(({ pending }) => pending!.rests !== true);
    if (stuck !== undefined) {
      return `${stuck.name} is blocked for ever: ${stuck.pending!.name}`;
    }
    if (this.#isOver) {
      if (workers.some(({ thread }) => !thread.isOver)) {
        return "The run is over, and the worker's program is not";
      }
      if (!this.#end?.settled) return "The end never settles";
      const { owner } = this.#attachments;
      return owner && `${owner} has ended, and holds a loop for ever`;
    }
    if (calls.stop) return "The end never comes";
    if (calls.soon) return "A call that was to come soon never comes";
    if (calls.timer === "due") return "A delayed call never comes";
    if (this.#registered.keys().some((fd) => kernel.readable.has(fd))) {
      return "An event is never told of";
    }
    if (kernel.polling.length === 0) return "Nobody waits for events";
    return main.isOver ? "The main thread has ended" : undefined;
  }

  $state(): unknown[] {
    return [
      this.toolkit,
      this.#attachments,
      this.#registered,
      this.#set,
      this.#loop,
      this.#queue,
      this.#given,
      this.#end,
      this.#isOver,
    ];
  }

  *#start(): Steps<void> {
    const { program } = simulation();
    const { backend, host } = this.#options;
    this.#set = backend === "epoll"
      ? new program.EpollSet()
      : new program.PollSet();
    yield* this.#register(FD.FIRST);
    const budget = { ms: Infinity, events: Infinity };
    this.#loop = new program.TurnLoop(
      this.#rounds(),
      this.#set,
      this.#attachments,
      { budget },
      counters,
    );
    this.toolkit.up();
    if (host === "a queue") this.#queue = new program.BlockingQueue();
    yield* this.#call(
      "enter",
      {
        "Deno's loop": "deno",
        "a waker": (work: () => unknown) => this.#take(work),
        "a queue": this.#queue,
        "a toolkit": WAKER,
      }[host],
    );
    yield* this.#call("park");
  }

  /** What a turn loop asks of a reactor. */
  #rounds(): Record<string, unknown> {
    const { calls } = simulation();
    return {
      begin: () => this.#begin(),
      end: () => {},
      round: (ready: number) => this.#round(ready),
      timeout: () =>
        calls.soon || calls.stop || calls.timer === "due"
          ? 0
          : calls.timer === "set"
          ? DELAY
          : -1,
      deadline: () => calls.timer === "none" ? Infinity : DELAY,
      expects: () => true,
      report: (error: unknown, where: string) => this.#report(error, where),
      failed: () => this.#crash(),
      slow: () => {},
      overdue: () => {},
    };
  }

  /** A turn begins: nobody else may be polling, nor about to. */
  #begin(): void {
    this.#given = [];
    const { kernel, memory, budget, options } = simulation();
    // Who loses patience gives up a worker that may still be about.
    if (budget.patience < options.patience) return;
    const state = memory.shared.at(-1)?.[WORD.STATE];
    if (state === STATE.ARMED || state === STATE.POLLING) {
      throw new Violation("A turn runs, and the worker may poll");
    }
    if (kernel.polling.length > 0) {
      throw new Violation("A turn runs, and the worker polls");
    }
  }

  *#round(ready: number): Steps<number> {
    const { calls, kernel } = simulation();
    const { results, stride, offset } = this.#set;
    let ran = 0;
    for (let i = 0; i < ready; i++) {
      const fd = results[i * stride + offset]!;
      const serial = results[i * stride + offset + 1]!;
      if (this.#registered.get(fd) !== serial) continue;
      kernel.readable.delete(fd);
      ran++;
    }
    results.fill(0);
    if (calls.soon) ran++;
    calls.soon = false;
    if (calls.timer === "due") {
      ran++;
      calls.timer = "none";
    }
    if (calls.stop) {
      ran++;
      yield* this.#shutDown();
    }
    if (ran > 0) yield* inside(this.#callback(), "a callback", () => [ran]);
    return ran;
  }

  /** A callback of the program's. */
  *#callback(): Steps<void> {
    const actions = this.#actions("callback");
    if (actions.length === 0) return;
    const callback: Step = {
      name: "a callback",
      outcomes: () => [
        { what: "a callback does nothing", run: () => () => undefined },
        ...actions,
      ],
    };
    yield* whole(((yield callback) as () => unknown)());
  }

  #report(error: unknown, where: string): void {
    const { budget, options } = simulation();
    const injected = options.faults - budget.faults + options.patience -
      budget.patience;
    if (where === "worker" && injected > 0) return;
    throw new Violation(`Reported by ${where}`, { cause: error });
  }

  /** What the host does by itself, in Deno's loop. */
  #host(): Outcome[] {
    if (this.#isOver) return this.toolkit.outcomes();
    switch (this.#options.host) {
      case "a waker":
        return this.#given.slice(0, 1).map((work) => ({
          what: "the host runs the work item",
          run: () => {
            this.#given = this.#given.slice(1);
            return work;
          },
        }));
      case "a queue":
        return [{ what: "queue.get()", run: () => () => this.#get() }];
      case "a toolkit":
        return [{
          what: "enter the toolkit's loop",
          run: () => () => this.#runToolkit(),
        }];
      default:
        return this.toolkit.outcomes();
    }
  }

  #take(work: () => unknown): void {
    this.#given.push(work);
    if (this.#given.length > 1) {
      throw new Violation("Two work items are outstanding");
    }
  }

  *#get(ms?: number): Steps<void> {
    const { main } = simulation();
    const work = yield* whole(this.#queue!["get"]!(ms));
    if (work === undefined && ms === undefined && !this.#isOver) {
      throw new Violation(`${main.name}: queue.get() ends before the reactor`);
    }
    if (work !== undefined) yield* whole((work as () => unknown)());
  }

  /** The toolkit's loop, which blocks the main thread. */
  *#runToolkit(): Steps<void> {
    const { toolkit } = this;
    const isHost = this.#options.host === "a toolkit";
    toolkit.isRunning = true;
    for (let quits = false; !quits;) {
      const quit: Outcome = {
        what: "quit the toolkit's loop",
        optional: !this.#isOver,
        run: () => () => {
          quits = true;
        },
      };
      const wait: Step = {
        name: "in the toolkit's loop",
        rests: true,
        outcomes: () => [
          ...toolkit.outcomes(),
          ...this.#actions("toolkit"),
          // A toolkit that is the host is left when there is no reactor.
          ...(isHost && !this.#isOver ? [] : [quit]),
        ],
      };
      yield* whole(((yield wait) as () => unknown)());
    }
    toolkit.isRunning = false;
  }

  // What the program does

  #actions(where: "idle" | "toolkit" | "callback"): Outcome[] {
    const { budget } = simulation();
    if (this.#isOver || budget.actions === 0) return [];
    return this.#options.actions
      .filter((action) => this.#isPossible(action, where))
      .map((action) => ({
        what: action,
        optional: true,
        run: () => {
          budget.actions--;
          return () => this.#act(action);
        },
      }));
  }

  #isPossible(action: Action, where: string): boolean {
    const { calls } = simulation();
    switch (action) {
      case "call soon":
        return !calls.soon;
      case "call later":
        return calls.timer === "none";
      case "add a reader":
        return this.#registered.size === 1;
      case "remove a reader":
        return this.#registered.size > 0;
      case "attach a loop":
        return this.#attachments.size === 0;
      case "modal":
        return !this.toolkit.isRunning;
      case "get for a while":
        return this.#queue !== undefined && where === "idle";
      case "stop":
        return !calls.stop;
      case "crash":
        return true;
      default:
        return where !== "callback";
    }
  }

  #act(action: Action): Steps<unknown> {
    return inside(this.#stepsOf(action), action);
  }

  #stepsOf(action: Action): Steps<unknown> {
    const { calls } = simulation();
    switch (action) {
      case "call soon":
        calls.soon = true;
        return this.#call("wake");
      case "call later":
        calls.timer = "set";
        return this.#call("timerSooner");
      case "add a reader":
        return this.#addReader();
      case "remove a reader":
        return this.#removeReader();
      case "reconsider":
        return this.#call("reconsider");
      case "iterate":
        return this.#call("iterate", 0);
      case "iterate for a while":
        return this.#call("iterate", DELAY);
      case "attach a loop":
        this.#attachments.attach();
        return this.#call("wake");
      case "modal":
        return this.#runModal();
      case "get for a while":
        return this.#get(DELAY);
      case "stop":
        calls.stop = true;
        return this.#call("wake");
      case "crash":
        return this.#crash();
    }
  }

  *#addReader(): Steps<void> {
    const [fd] = this.#registered.keys();
    yield* this.#register(fd! + 1);
    yield* this.#call("interestChanged");
  }

  *#removeReader(): Steps<void> {
    const [fd, serial] = [...this.#registered].at(-1)!;
    const { kernel } = simulation();
    this.#registered.delete(fd);
    yield* whole(this.#set.remove(fd, serial));
    yield* this.#call("interestChanged");
    yield* this.#call("letGo");
    kernel.readable.delete(fd); // It is closed.
    const isHeld = kernel.polling.some(({ entries }) =>
      entries.some((word, i) => i % 2 === 0 && word === fd)
    );
    if (isHeld) throw new Violation("The worker polls a closed descriptor");
  }

  *#register(fd: number): Steps<void> {
    const serial = fd + 100;
    this.#registered.set(fd, serial);
    yield* whole(this.#set.add(fd, serial, POLL.IN));
  }

  *#runModal(): Steps<void> {
    this.toolkit.up();
    yield* this.#call("modal", WAKER, () => this.#runToolkit());
    if (this.#options.host !== "a toolkit") this.toolkit.takeDown();
  }

  /** The end in order, in a round: 'during shutdown' the toolkit is taken down. */
  *#shutDown(): Steps<void> {
    simulation().calls.stop = false;
    yield* this.#call("settle");
    this.toolkit.takeDown();
    yield* this.#crash();
  }

  *#crash(): Steps<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    yield* this.#call("settle");
    this.#end = (yield* this.#call("end")) as SimulatedPromise;
    this.toolkit.takeDown();
  }

  *#call(method: string, ...args: unknown[]): Steps {
    const result = this.#loop[method]!(...args);
    return isSteps(result) ? yield* inside(result, method) : result;
  }
}

/** A native waker: all that matters of it is that it is always the same. */
const WAKER = { post: "the toolkit's function" };

/** How much has been done is of no interest when the turn is over. */
const counters = new Proxy({ events: 0 }, {
  get: (target, name) => name === "events" ? target.events : 0,
  set: (target, name, value) => {
    if (name === "events") target.events = value;
    return true;
  },
});
