/**
 * Runs programs at random, and makes what fails as short as it can.
 *
 * @module
 */

import fc from "npm:fast-check@^4";
import { deadline } from "@std/async";
import { type Backend, PATIENCE } from "../descriptors.ts";
import { type Counters, noCounts, Violation } from "./context.ts";
import type { Driver } from "./driver.ts";
import { type Engine, immediate, Iterated, Running } from "./engines.ts";
import { type Program, programs, show } from "./programs.ts";

/** A place for the reactor to run in. */
export interface ModelHost {
  /** For the names of tests. */
  readonly name: string;
  /** Whether there are waits and watches: they start a worker. */
  readonly promises: boolean;
  /** Makes a reactor there. */
  readonly make: (backend: Backend) => Engine;
}

/** All of them. */
export const MODEL_HOSTS: readonly ModelHost[] = [
  {
    name: "iterate(0)",
    promises: false,
    make: (backend) => new Iterated(backend, false),
  },
  {
    name: "iterate(0), with promises",
    promises: true,
    make: (backend) => new Iterated(backend, true),
  },
  {
    name: "run()",
    promises: true,
    make: (backend) =>
      new Running(backend, (reactor) => {
        void reactor.run({ signals: false });
      }),
  },
  {
    name: "interleave(queueMicrotask)",
    promises: true,
    make: (backend) =>
      new Running(backend, (reactor) => reactor.interleave(queueMicrotask)),
  },
];

/** Commands in a program, at most. */
const LENGTH = 50;

/**
 * While a failure is made shorter, what does not come is waited for so long only,
 * in milliseconds. That may spoil a shorter form of it, and nothing else.
 */
const HASTE = 500;

/** For making a failure shorter, in milliseconds. */
const SHRINKING = 10_000;

/** How a reactor in a host fared. */
export interface Outcome {
  readonly counters: Counters;
  /** What went wrong, and how to see it again. */
  readonly failure: string | undefined;
}

/** What is checked. */
export interface CheckOptions {
  readonly seed: number;
  /** Where in the seed's programs a failure was found before. */
  readonly path?: string | undefined;
  /** How many programs. */
  readonly programs: number;
}

/** One host on one backend: its reactor is used until it has to be replaced. */
export class Checker implements AsyncDisposable {
  readonly #host: ModelHost;
  readonly #backend: Backend;
  #engine: Engine | undefined;
  /** What has failed, and is being made shorter. */
  #fault: string | undefined;
  #shrinksUntil = Infinity;

  constructor(host: ModelHost, backend: Backend) {
    this.#host = host;
    this.#backend = backend;
  }

  /** Checks so many programs. */
  async check(
    { seed, path, programs: numRuns }: CheckOptions,
  ): Promise<Outcome> {
    const counters = noCounts();
    this.#fault = undefined;
    this.#shrinksUntil = Infinity;
    const { promises } = this.#host;
    const details = await fc.check(
      fc.asyncProperty(
        programs({ promises, length: LENGTH }),
        async (program) => {
          // What is run to make a failure shorter is no part of the result.
          await this.#run(
            program,
            this.#fault === undefined ? counters : noCounts(),
          );
        },
      ),
      {
        seed,
        numRuns,
        ...(path === undefined ? {} : { path }),
      },
    );
    if (!details.failed) return { counters, failure: undefined };
    const { counterexample, numShrinks, counterexamplePath } = details;
    const [program] = counterexample!;
    const error = details.errorInstance;
    return {
      counters,
      failure: `${
        error instanceof Violation ? error.message : Deno.inspect(error)
      }\nin this program of ${program.commands.length} commands, found after ${numShrinks} shorter ones:\n${
        show(program)
      }\nReproduce with MODEL_SEED=${seed} MODEL_PATH=${counterexamplePath} and a filter for the test.`,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine?.close();
    this.#engine = undefined;
  }

  async #run(program: Program, counters: Counters): Promise<void> {
    // To have no fault ends the search for a shorter form.
    if (performance.now() > this.#shrinksUntil) return;
    const engine = this.#engine ??= await this.#start();
    const driver = engine.begin(counters);
    try {
      const patience = this.#fault === undefined
        ? PATIENCE
        : Math.min(HASTE, PATIENCE);
      await inTime(run(program, engine, driver), patience, driver);
    } catch (error) {
      await this.#discard(driver);
      const { isLost, fault } = faultOf(error);
      if (isLost) counters.lost++;
      // What was only too slow for the haste is no shorter form of another fault.
      if (isLost && this.#fault !== undefined && this.#fault !== fault) return;
      if (this.#fault === undefined) {
        this.#fault = fault;
        this.#shrinksUntil = performance.now() + SHRINKING;
      }
      throw error;
    }
    if (program.closes) this.#engine = undefined;
    await immediate(); // What the worker has said meanwhile is taken away.
  }

  async #start(): Promise<Engine> {
    const engine = this.#host.make(this.#backend);
    await engine.start();
    return engine;
  }

  /** Gives up a reactor that has failed, however broken it is. */
  async #discard(driver: Driver): Promise<void> {
    const engine = this.#engine!;
    this.#engine = undefined;
    driver.context.over = true;
    await engine.close().catch(() => {});
    driver.closeAll();
  }
}

/** What went wrong, whatever it went wrong with. */
function faultOf(error: unknown): { isLost: boolean; fault: string } {
  const isLost = error instanceof Violation && error.fault === "lost";
  return { isLost, fault: isLost ? error.message.split(" of ")[0]! : "" };
}

/** Runs a program, and leaves nothing behind. */
async function run(
  { commands, closes }: Program,
  engine: Engine,
  driver: Driver,
): Promise<void> {
  for (const { step, then } of commands) {
    driver.perform(step);
    driver.context.check();
    if (then === "settle") await engine.settle(driver);
    else if (then === "breathe") await engine.breathe(driver);
  }
  await engine.settle(driver);
  driver.compare();
  if (closes) {
    driver.expectEnd();
    await engine.close();
    driver.closeAll();
  } else {
    driver.clear();
    await engine.settle(driver);
  }
  driver.assertEmpty();
  driver.context.check();
}

/** Without a word from the reactor, what is owed is lost. */
async function inTime(
  done: Promise<void>,
  patience: number,
  driver: Driver,
): Promise<void> {
  let isLate = true;
  try {
    await deadline(done.finally(() => isLate = false), patience);
  } catch (error) {
    if (!isLate) throw error;
    throw new Violation("lost", driver.owed(Infinity, true) ?? "a round trip");
  }
}
