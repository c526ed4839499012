/**
 * Those who are served beside whatever goes wrong: one of each kind that waits
 * for a reactor. In every round each of them has something coming, and in the end
 * it has got that, or an error that says why not. Whoever has neither is left
 * waiting, which is what no fault may lead to.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { ReactorError } from "../../src/errors.ts";
import type { Reactor } from "../../src/reactor.ts";
import type { Watch } from "../../src/watch.ts";
import { Probe, receive, send } from "../descriptors.ts";
import { Pipe } from "../pipe.ts";

/** How one of them came off: `undefined` if it was served. */
export type Fate = Error | undefined;

/** How each came off, by name. */
export type Fates = Record<string, Fate>;

/** How many readers there are. */
const READERS = 3;

/** How long the delayed call takes, in milliseconds. */
const SOON = 3;

/** A reader that stays registered over all rounds. */
class Reader {
  readonly #pipe: Pipe;
  readonly probe: Probe;
  #came = Promise.withResolvers<Fate>();

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
    this.probe = new Probe(pipe.output.fileno(), {
      onRead: () => {
        // What nobody has sent is nothing: not ready at all, then.
        if (receive(pipe.output.fileno())) this.#came.resolve(undefined);
      },
      onLost: (reason) => this.#came.resolve(reason),
    });
  }

  /** Sends it something. */
  async turn(): Promise<Fate> {
    if (this.probe.reasons.length > 0) return this.probe.reasons[0];
    this.#came = Promise.withResolvers();
    send(this.#pipe.input.fileno(), "x");
    return await this.#came.promise;
  }
}

/** See the module's documentation. */
export class Bystanders implements Disposable {
  readonly #reactor: Reactor;
  readonly #pipes: Pipe[] = [];
  readonly #readers: Reader[] = [];
  readonly #watched: Pipe = this.#pipe();
  #watch: Watch | undefined;
  #answers: AsyncIterator<unknown> | undefined;
  /** What the watch was told, which it is told once. */
  #watchLost: Fate;

  /** Registers those that stay. */
  constructor(reactor: Reactor) {
    this.#reactor = reactor;
    for (let i = 0; i < READERS; i++) {
      const reader = new Reader(this.#pipe());
      reactor.addReader(reader.probe);
      this.#readers.push(reader);
    }
    const watch = reactor.watch(this.#watched.output.fileno(), "readable");
    this.#watch = watch;
    this.#answers = watch[Symbol.asyncIterator]();
  }

  /**
   * Has something come for everybody.
   *
   * @returns Settles when everybody has it, or an error. Never, otherwise.
   */
  async round(): Promise<Fates> {
    const reactor = this.#reactor;
    // What can be told nothing by itself learns of the end from this.
    const ended = reactor.finished.then(() => undefined, (error) => error);
    const asked: Record<string, Promise<Fate>> = {
      watch: this.#watchTurn(),
      wait: this.#waitTurn(),
      writer: this.#writerTurn(),
      delayed: until(ended, (done) => reactor.callLater(SOON, done)),
      queued: until(ended, (done) => reactor.callFromThread(done)),
    };
    this.#readers.forEach((reader, i) => {
      asked[`reader ${i}`] = reader.turn();
    });
    const fates: Fates = {};
    for (const [name, fate] of Object.entries(asked)) fates[name] = await fate;
    return fates;
  }

  /** Closes what they wait for. */
  [Symbol.dispose](): void {
    this.#watch?.close();
    for (const pipe of this.#pipes) pipe[Symbol.dispose]();
  }

  #pipe(): Pipe {
    const pipe = new Pipe();
    this.#pipes.push(pipe);
    return pipe;
  }

  async #watchTurn(): Promise<Fate> {
    const { output, input } = this.#watched;
    if (this.#watchLost !== undefined) return this.#watchLost;
    try {
      send(input.fileno(), "x");
      const { done } = await this.#answers!.next();
      receive(output.fileno());
      return done ? new Error("A watch ended without a word") : undefined;
    } catch (error) {
      return this.#watchLost = error as Error;
    }
  }

  async #waitTurn(): Promise<Fate> {
    const pipe = new Pipe();
    try {
      const answer = this.#reactor.readable(pipe.output.fileno());
      send(pipe.input.fileno(), "x");
      await answer;
      return undefined;
    } catch (error) {
      return error as Error;
    } finally {
      pipe[Symbol.dispose]();
    }
  }

  async #writerTurn(): Promise<Fate> {
    const reactor = this.#reactor;
    using pipe = new Pipe();
    const came = Promise.withResolvers<Fate>();
    const probe = new Probe(pipe.input.fileno(), {
      onWrite: () => {
        reactor.removeWriter(probe);
        came.resolve(undefined);
      },
      onLost: (reason) => came.resolve(reason),
    });
    try {
      reactor.addWriter(probe);
    } catch (error) {
      return error as Error;
    }
    return await came.promise;
  }
}

/** What a call comes to that is told nothing by itself. */
async function until(
  ended: Promise<Fate>,
  begin: (done: () => void) => void,
): Promise<Fate> {
  const called = Promise.withResolvers<Fate>();
  try {
    begin(() => called.resolve(undefined));
  } catch (error) {
    return error as Error;
  }
  return await Promise.race([called.promise, ended]);
}

/** Everybody was served. */
export function assertServed(fates: Fates): void {
  assertEquals(
    Object.entries(fates).filter(([, fate]) => fate !== undefined),
    [],
  );
}

/**
 * Each was served, or has an error that has a name: one of the reactor's, or
 * the kernel's.
 */
export function assertServedOrTold(fates: Fates): void {
  for (const [name, fate] of Object.entries(fates)) {
    if (fate !== undefined) assertNamed(fate, name);
  }
}

/** Nobody was served: each has an error that has a name. */
export function assertTold(fates: Fates): void {
  for (const [who, fate] of Object.entries(fates)) assertNamed(fate, who);
}

/** An error that somebody can tell from others. */
export function assertNamed(error: unknown, who = ""): void {
  assert(
    error instanceof ReactorError ||
      typeof (error as { code?: unknown })?.code === "string",
    `${who} was told nothing that has a name: ${error}`,
  );
}
