/**
 * The mixed load: many scenes at once, in random order, on reactors that live as
 * long as the soak does.
 *
 * @module
 */

import { delay } from "@std/async";
import { Reactor } from "../../mod.ts";
import { BACKENDS } from "../descriptors.ts";
import { ToolkitInC } from "../toolkit_in_c.ts";
import { calls, intervals, timers } from "./calls.ts";
import { type Counters, noCounters } from "./counters.ts";
import { Dropped } from "./dropped.ts";
import { countOpened } from "./opened.ts";
import { Random } from "./random.ts";
import { crashes, dialogs, guests, hosts, lives } from "./reactors.ts";
import type { Scene, Stage } from "./stage.ts";
import {
  attempts,
  type Certificates,
  names,
  processes,
  tcp,
  terminals,
  tls,
  unix,
} from "./transports.ts";
import { aborts, readers, sockets, streams, watches } from "./waiting.ts";

/** All scenes that need nothing but the C library, by name. */
export const SCENES: Readonly<Record<string, Scene>> = {
  sockets,
  readers,
  timers,
  intervals,
  calls,
  aborts,
  watches,
  streams,
  tcp,
  unix,
  attempts,
  terminals,
  processes,
  names,
  lives,
  crashes,
  hosts,
  dialogs,
  guests,
};

/** The scenes, with that of TLS if there is what it takes. */
export function allScenes(
  certificates: Certificates | undefined,
): Record<string, Scene> {
  return certificates === undefined
    ? SCENES
    : { ...SCENES, tls: tls(certificates) };
}

/** How many scenes play at a time. */
const LANES = 5;

/** Longer than any scene takes; what is not there by then is lost. */
const PATIENCE = 60_000;

/** Something did not come. What is left of its scene can't be known. */
export class LostError extends Error {
  override name = "LostError";
}

/** One scene on one reactor. */
interface Card {
  readonly name: string;
  readonly scene: Scene;
  readonly stage: Stage;
}

/** The load, from its beginning to its end. */
export class Load {
  readonly counters: Counters = noCounters();
  readonly dropped: Dropped = new Dropped();
  /** How often each scene was played. */
  readonly played: Map<string, number> = new Map();
  readonly #stages: Stage[] = [];
  readonly #scenes: Readonly<Record<string, Scene>>;
  readonly #random: Random;
  readonly #playing = new Set<string>();
  #deck: Card[] = [];

  readonly #report: Stage["report"];

  /**
   * Makes it.
   *
   * @param scenes What to play.
   * @param seed Decides what is played when.
   * @param report Takes errors that nobody expects.
   */
  constructor(
    scenes: Readonly<Record<string, Scene>>,
    seed: number,
    report: Stage["report"],
  ) {
    this.#scenes = scenes;
    this.#random = new Random(seed);
    this.#report = report;
  }

  /** Whether there is nothing to play. */
  get isEmpty(): boolean {
    return Object.keys(this.#scenes).length === 0;
  }

  /** The reactors that live all the time, one of each kind. */
  get reactors(): Reactor[] {
    return this.#stages.map(({ reactor }) => reactor);
  }

  /** Starts its reactors, and waits until they have workers. */
  async start(): Promise<void> {
    const { signal } = new AbortController();
    const { workers } = countOpened();
    for (const backend of BACKENDS) {
      const reactor = new Reactor({ backend, onError: this.#report });
      reactor.interleave();
      this.#stages.push({
        reactor,
        toolkit: new ToolkitInC(),
        signal,
        random: this.#random,
        counters: this.counters,
        dropped: this.dropped,
        report: this.#report,
      });
    }
    // With something to wait for, and in a quiet moment.
    const calls = this.reactors.map((reactor) =>
      reactor.callLater(PATIENCE, () => {})
    );
    const end = performance.now() + PATIENCE;
    while (
      countOpened().workers < workers + calls.length && performance.now() < end
    ) await delay(1);
    for (const call of calls) call.cancel();
  }

  /** Ends its reactors. */
  async close(): Promise<void> {
    for (const { reactor, toolkit } of this.#stages.splice(0)) {
      await reactor.close();
      toolkit[Symbol.dispose]();
    }
  }

  /**
   * Plays for so many milliseconds.
   *
   * @param all Whether to go on until every scene was played on every reactor.
   */
  async play(ms: number, all: boolean): Promise<void> {
    const end = performance.now() + ms;
    let left = all ? this.#shuffle() : 0;
    const lane = async () => {
      while (left > 0 || performance.now() < end) {
        const card = this.#draw();
        if (card === undefined) {
          await delay(1);
          continue;
        }
        left--;
        await this.#play(card);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  /**
   * Lets each reactor do something trivial, since it remembers what it did last.
   */
  async stir(): Promise<void> {
    for (const reactor of this.reactors) {
      await new Promise<void>((resolve) => reactor.callLater(0, resolve));
      await new Promise<void>((resolve) => reactor.callFromThread(resolve));
    }
  }

  /** The next scene, unless all that are left are being played. */
  #draw(): Card | undefined {
    if (this.#deck.length === 0) this.#shuffle();
    // Two of a kind would meet in one toolkit.
    const i = this.#deck.findIndex(({ name }) => !this.#playing.has(name));
    return i === -1 ? undefined : this.#deck.splice(i, 1)[0];
  }

  #shuffle(): number {
    const cards = Object.entries(this.#scenes).flatMap(([name, scene]) =>
      this.#stages.map((stage) => ({ name, scene, stage }))
    );
    this.#deck = this.#random.shuffle(cards);
    return cards.length;
  }

  async #play({ name, scene, stage }: Card): Promise<void> {
    this.#playing.add(name);
    // Not `deadline()`: each of its timers would stay until its time is over.
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.counters.lost++;
      reject(new LostError(`${name} waits still after ${PATIENCE} ms`));
    }, PATIENCE);
    try {
      await Promise.race([scene(stage), late]);
    } catch (error) {
      if (error instanceof LostError) throw error;
      stage.report(error, name);
    } finally {
      clearTimeout(timer);
      this.#playing.delete(name);
      this.played.set(name, (this.played.get(name) ?? 0) + 1);
    }
  }
}
