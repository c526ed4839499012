/**
 * A reactor on parts that can fail, and those who are served beside.
 *
 * @module
 */

import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { deadline } from "@std/async";
import { EpollSet } from "../../ffi/epoll_set.ts";
import { PollSet } from "../../ffi/poll_set.ts";
import type { SystemError } from "../../ffi/errno.ts";
import { ReactorFailed } from "../../src/errors.ts";
import {
  makeReactor,
  type Reactor,
  type ReactorOptions,
} from "../../src/reactor.ts";
import { type Backend, BACKENDS, PATIENCE } from "../descriptors.ts";
import { Pipe } from "../pipe.ts";
import { untilStarted } from "../workers.ts";
import {
  assertServed,
  assertServedOrTold,
  assertTold,
  Bystanders,
  type Fates,
} from "./bystanders.ts";
import { FaultyLibc } from "./faulty_libc.ts";
import type { FaultyWorkers } from "./faulty_worker.ts";

/** A reactor that is not busy makes fewer turns in a moment, by far. */
export const CALM = 60;

/** What a test is given. Everything is closed at the end. */
export class FaultBench implements AsyncDisposable {
  readonly backend: Backend;
  readonly libc: FaultyLibc = new FaultyLibc();
  readonly reactor: Reactor;
  /** What was reported. A test takes out what it expects. */
  readonly errors: { error: unknown; where: string }[] = [];
  readonly #workers: FaultyWorkers | undefined;
  readonly #pipes: Pipe[] = [];
  /** What puts the C library back. */
  readonly #restore: Disposable | undefined;
  #others: Bystanders | undefined;

  constructor(
    backend: Backend,
    workers?: FaultyWorkers,
    options: TestFaultOptions = {},
  ) {
    if (options.everywhere) this.#restore = this.libc.everywhere();
    this.backend = backend;
    this.#workers = workers;
    const libc = this.libc.calls;
    this.reactor = makeReactor({
      ...options.reactor,
      backend,
      onError: (error, where) => {
        // How busy this machine is has nothing to do with faults.
        if ((error as Error).name === "CallbackTooSlow") return;
        this.errors.push({ error, where });
      },
    }, {
      set: () =>
        backend === "epoll" ? new EpollSet({ libc }) : new PollSet({ libc }),
      handOver: workers?.handOver,
    });
  }

  /** Those who are served beside. */
  get others(): Bystanders {
    return this.#others ??= new Bystanders(this.reactor);
  }

  /** Everybody is there and has been served; with workers, by the first one. */
  async start(): Promise<void> {
    this.reactor.interleave();
    assertServed(await this.round());
    if (this.#workers !== undefined) await untilStarted(this.#workers.started);
  }

  /** How the others come off, who must come off somehow. */
  round(): Promise<Fates> {
    return deadline(this.others.round(), PATIENCE);
  }

  /** A pipe of the test's own. */
  pipe(): Pipe {
    const pipe = new Pipe();
    this.#pipes.push(pipe);
    return pipe;
  }

  /** The names of the kernel's words in what was reported, which is taken out. */
  takeCodes(): (string | undefined)[] {
    return this.errors.splice(0).map(({ error }) => codeOf(error));
  }

  /** How many turns the reactor makes in a moment in which nothing happens. */
  async idleTurns(): Promise<number> {
    const before = this.reactor.inspect().counters.turns;
    await new Promise((resolve) => setTimeout(resolve, 30));
    return this.reactor.inspect().counters.turns - before;
  }

  /**
   * Rounds until the reactor cannot go on, which this errno leads to. Whoever
   * waits then is told so, and so is whoever comes later.
   */
  async assertFails(errno: string): Promise<void> {
    const end = await this.roundsToTheEnd();
    assertEquals(codeOf(end.cause), errno);
    const told = this.errors.splice(0);
    assertInstanceOf(told.pop()!.error, ReactorFailed);
    for (const { error } of told) assertEquals(codeOf(error), errno);
  }

  /** Rounds until the reactor cannot go on. Returns why not. */
  async roundsToTheEnd(): Promise<ReactorFailed> {
    while (this.reactor.inspect().host !== "none") {
      assertServedOrTold(await this.round());
    }
    assertTold(await this.round());
    return await assertRejects(() => this.reactor.finished, ReactorFailed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.libc.heal();
    this.#workers?.release();
    this.#others?.[Symbol.dispose]();
    for (const pipe of this.#pipes) pipe[Symbol.dispose]();
    await deadline(this.reactor.close(), PATIENCE);
    this.#restore?.[Symbol.dispose]();
  }
}

/** The kernel's word in an error. */
export function codeOf(error: unknown): string | undefined {
  return (error as Partial<SystemError> | undefined)?.code;
}

/** Options of {@linkcode testFault}. */
export interface TestFaultOptions {
  /** The backends that it is about. @default {all} */
  backends?: readonly Backend[];
  /** Makes the workers that go wrong. */
  workers?: () => FaultyWorkers;
  /** Options of the reactor. */
  reactor?: ReactorOptions;
  /** Whether all of the package makes its calls through the bench's. */
  everywhere?: boolean;
}

/**
 * Declares a test for each backend. It fails on what was reported and not taken
 * out, on descriptors that are left open or were somebody else's, and when
 * somebody is left waiting.
 */
export function testFault(
  name: string,
  fn: (bench: FaultBench, workers: FaultyWorkers) => Promise<void> | void,
  options: TestFaultOptions = {},
): void {
  for (const backend of options.backends ?? BACKENDS) {
    Deno.test({
      name: `${name} [${backend}]`,
      ignore: !BACKENDS.includes(backend),
      async fn() {
        const workers = options.workers?.();
        const bench = new FaultBench(backend, workers, options);
        try {
          await deadline((async () => await fn(bench, workers!))(), PATIENCE);
        } finally {
          await bench[Symbol.asyncDispose]();
        }
        assertEquals(bench.errors, []);
        assertEquals([...bench.libc.open], [], "still open");
        assertEquals(bench.libc.strangers, [], "closed, and not its own");
      },
    });
  }
}
