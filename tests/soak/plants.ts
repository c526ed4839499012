/**
 * Something of every kind that a soak looks for, planted at its end: what is not
 * noticed then would not have been noticed before.
 *
 * @module
 */

import { closeDescriptor, makePipe } from "../../ffi/descriptor.ts";
import type { Reactor } from "../../mod.ts";
import { onLinux } from "../descriptors.ts";
import { startThread, type Thread } from "../workers.ts";
import type { Dropped } from "./dropped.ts";
import type { Gauge } from "./gauge.ts";
import { canCountMalloc } from "./malloc.ts";
import type { Sample } from "./sample.ts";
import { BOUNDS } from "./verdict.ts";

/** How much of each is planted, at least. */
const PLANTED: Readonly<Record<keyof Sample, number>> = {
  memory: BOUNDS.memory,
  malloc: BOUNDS.malloc,
  heap: BOUNDS.heap,
  workers: 1,
  descriptors: 2,
  threads: 1,
  callbacks: 1,
  timers: 1,
  registrations: 1,
  objects: 1,
};

/** What is planted, and how it is taken away. */
class Plants {
  // As much again, since what was there before goes down by itself.
  readonly #memory = new Uint8Array(2 * PLANTED.memory).fill(1);
  readonly #heap = Array.from(
    { length: PLANTED.heap / 16 },
    (_, i) => ({ i }),
  );
  readonly #object = {};
  readonly #pipe = makePipe();
  readonly #callback = new Deno.UnsafeCallback(
    { parameters: [], result: "void" },
    () => {},
  );
  readonly #timer = setInterval(() => {}, 100_000);
  readonly #call: ReturnType<Reactor["callLater"]>;
  readonly #word = new Int32Array(new SharedArrayBuffer(4));
  readonly #thread: Thread;

  constructor(dropped: Dropped, reactor: Reactor) {
    dropped.add("planted", this.#object);
    this.#call = reactor.callLater(100_000, () => {});
    this.#thread = startThread((word) => {
      Atomics.wait(word, 0, 0);
    }, this.#word);
  }

  get up(): Promise<void> {
    return this.#thread.up;
  }

  async end(): Promise<void> {
    for (const fd of this.#pipe) closeDescriptor(fd);
    this.#callback.close();
    clearInterval(this.#timer);
    this.#call.cancel();
    Atomics.store(this.#word, 0, 1);
    Atomics.notify(this.#word, 0);
    await this.#thread.done;
  }
}

/** Plants all, and returns what was not noticed. */
export async function unnoticedPlants(
  gauge: Gauge,
  dropped: Dropped,
  reactor: Reactor,
): Promise<string[]> {
  const before = await gauge.sample();
  const plants = new Plants(dropped, reactor);
  await plants.up;
  const after = await gauge.sample();
  await plants.end();
  const keys = Object.keys(PLANTED) as (keyof Sample)[];
  return keys.filter((key) =>
    after[key] - before[key] < PLANTED[key] &&
    !(key === "threads" && !onLinux) &&
    !(key === "malloc" && !canCountMalloc)
  );
}
