/**
 * Measures what a process has when nothing is under way.
 *
 * @module
 */

import { delay } from "@std/async";
import { onLinux } from "../descriptors.ts";
import { count } from "../leftovers.ts";
import type { Dropped } from "./dropped.ts";
import { collectGarbage } from "./garbage.ts";
import { countMalloc, trimMalloc } from "./malloc.ts";
import { countOpened } from "./opened.ts";
import { COUNTED, type Sample } from "./sample.ts";

/** Long enough for everything that ends by itself. */
const PATIENCE = 5000;

/** The threads of Deno's pool, which come with work and go 10 s after it. */
const POOL = "tokio-runtime-w";

/** How long nothing may have changed to count as being at rest. */
const CALM = 500;

/** Measures this process. */
export class Gauge {
  readonly #dropped: Dropped;
  readonly #countRegistrations: () => number;

  constructor(dropped: Dropped, countRegistrations: () => number) {
    this.#dropped = dropped;
    this.#countRegistrations = countRegistrations;
  }

  /**
   * What there is when nothing is under way.
   *
   * @param floor What there should be. Without it, it waits until nothing
   * changes any more.
   */
  async atRest(floor?: Sample): Promise<Sample> {
    const end = performance.now() + PATIENCE;
    let sample = await this.sample();
    let since = performance.now();
    while (
      performance.now() < end &&
      (floor === undefined
        ? performance.now() - since < CALM
        : COUNTED.some((key) => sample[key] > floor[key]))
    ) {
      await delay(20);
      const now = await this.sample();
      if (COUNTED.some((key) => now[key] !== sample[key])) {
        since = performance.now();
      }
      sample = now;
    }
    return sample;
  }

  /** What there is now, without what is garbage. */
  async sample(): Promise<Sample> {
    await collectGarbage();
    trimMalloc();
    const { heapUsed, heapTotal } = Deno.memoryUsage();
    return {
      memory: countAnonymousMemory() - heapTotal,
      malloc: countMalloc(),
      heap: heapUsed,
      ...count(),
      threads: countThreads(),
      ...countOpened(),
      registrations: this.#countRegistrations(),
      objects: this.#dropped.size,
    };
  }
}

/**
 * Physical memory that is no file's: Deno reads its own program and its caches
 * page by page.
 */
function countAnonymousMemory(): number {
  if (!onLinux) return Deno.memoryUsage().rss;
  const status = Deno.readTextFileSync("/proc/self/status"); // proc(5)
  return Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)![1]) * 1024;
}

/** How many threads there are beside Deno's pool; 0 where that can't be told. */
function countThreads(): number {
  if (!onLinux) return 0;
  let threads = 0;
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    if (nameOfThread(name) !== POOL) threads++;
  }
  return threads;
}

function nameOfThread(id: string): string {
  try {
    return Deno.readTextFileSync(`/proc/self/task/${id}/comm`).trim();
  } catch {
    return POOL; // It is gone, whatever it was.
  }
}
