/**
 * A soak: the model and the load in turn, window after window, with a
 * measurement after each.
 *
 * @module
 */

import type { Reactor } from "../../mod.ts";
import { countAtRest } from "../leftovers.ts";
import { bytesPerWorker } from "./control.ts";
import { addCounters, noCounters } from "./counters.ts";
import { listDescriptors } from "./descriptor_list.ts";
import { Gauge } from "./gauge.ts";
import { allScenes, Load, LostError } from "./load.ts";
import { canCountMalloc } from "./malloc.ts";
import { soakModel } from "./model.ts";
import { unnoticedPlants } from "./plants.ts";
import type { Sample } from "./sample.ts";
import { makeCertificates } from "./transports.ts";
import { judge, type Verdict } from "./verdict.ts";

/** How many windows there are, and how many of them only warm up. */
const WINDOWS = 15;
const WARM_UP = 3;

/** The model's part of a window, if there is a load as well. */
const MODEL_SHARE = 0.3;

/**
 * For so many minutes there is one step of the control: the more workers there
 * are, the more exactly it has to be known what one costs. And so many steps are
 * enough.
 */
const MINUTES_OF_A_STEP = 0.1;
const MOST_STEPS = 100;

/** So many errors are printed. The others are counted. */
const PRINTED_ERRORS = 20;

/** What a reactor says of hosts and callbacks that block, as many here do. */
const REMARKS = ["CallbackTooSlow", "WorkItemOverdue"];

/** The name of the part that is no scene of the load. */
export const MODEL = "model";

/** What is wanted. */
export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** The parts; all if there are none. */
  readonly only: readonly string[];
  /** Prints a line. */
  readonly log: (line: string) => void;
}

/** Runs a soak. */
export async function soak(options: SoakOptions): Promise<Verdict> {
  const { seed, only, log } = options;
  const begun = performance.now();
  let errors = 0;
  const report = (error: unknown, where: string) => {
    if (REMARKS.includes((error as Error)?.name)) return;
    if (errors++ < PRINTED_ERRORS) log(`${where}: ${describe(error)}`);
  };
  const scenes = await chooseScenes(only, log);
  const withModel = only.length === 0 || only.includes(MODEL);
  await countAtRest();
  const load = new Load(scenes, seed, report);
  const gauge = new Gauge(
    load.dropped,
    () => countRegistrations(load.reactors),
  );
  // Everything once, since Deno keeps some of what it opens at the first use.
  await load.start();
  if (!load.isEmpty) await load.play(0, true);
  await load.close();
  if (!canCountMalloc) {
    log("Left out: what malloc() gives out, which takes glibc");
  }
  const before = await gauge.atRest();
  await load.start();

  const modelled = noCounters();
  const samples: Sample[] = [];
  let first = new Set<string>();
  let after: Sample | undefined;
  let unnoticed: string[] = [];
  let kept = 0;
  const ms = options.minutes * 60_000 / WINDOWS;
  const modelMs = !withModel ? 0 : load.isEmpty ? ms : ms * MODEL_SHARE;
  try {
    for (let window = 1; window <= WINDOWS; window++) {
      if (withModel) {
        addCounters(
          modelled,
          await soakModel({ ms: modelMs, seed: seed + window * 1e6, log }),
        );
      }
      if (!load.isEmpty) await load.play(ms - modelMs, false);
      const steps = load.counters.steps + modelled.steps;
      const title = `window ${window} of ${WINDOWS}: ${steps} steps`;
      if (window <= WARM_UP) {
        log(`${title}; warm-up`);
        continue;
      }
      await load.stir();
      const sample = await gauge.atRest(samples[0]);
      samples.push(sample);
      log(`${title}; ${describeSample(sample)}`);
      const listed = listDescriptors();
      if (sample.descriptors > samples[0]!.descriptors) {
        log(`not there at first: ${listed.filter((one) => !first.has(one))}`);
      } else if (samples.length === 1) first = new Set(listed);
    }
    if (load.dropped.size > 0) log(`still held: ${load.dropped}`);
    unnoticed = await unnoticedPlants(gauge, load.dropped, load.reactors[0]!);
    await load.close();
    after = await gauge.atRest(before);
    // At the end, when what grows at first has grown.
    const steps = Math.ceil(options.minutes / MINUTES_OF_A_STEP);
    kept = await bytesPerWorker(Math.min(steps, MOST_STEPS));
  } catch (error) {
    if (!(error instanceof LostError)) throw error;
    log(error.message);
  }

  const counters = noCounters();
  addCounters(counters, modelled);
  addCounters(counters, load.counters);
  log([...load.played].map(([name, count]) => `${name} ${count}`).join(", "));
  return judge({
    minutes: (performance.now() - begun) / 60_000,
    counters,
    errors,
    samples,
    before,
    after,
    kept,
    unplayed: [
      ...Object.keys(scenes).filter((name) => !load.played.has(name)),
      ...withModel && modelled.steps === 0 ? [MODEL] : [],
    ],
    unnoticed,
  });
}

/** The scenes that were asked for. */
async function chooseScenes(
  only: readonly string[],
  log: (line: string) => void,
): Promise<ReturnType<typeof allScenes>> {
  const wanted = (name: string) => only.length === 0 || only.includes(name);
  const certificates = wanted("tls") ? await makeCertificates() : undefined;
  const isMissing = Array.isArray(certificates);
  if (isMissing) log(`Left out: tls, install ${certificates.join(", ")}`);
  return Object.fromEntries(
    Object.entries(allScenes(isMissing ? undefined : certificates))
      .filter(([name]) => wanted(name)),
  );
}

function countRegistrations(reactors: readonly Reactor[]): number {
  let sum = 0;
  for (const reactor of reactors) {
    const { descriptors, delayedCalls, attachments } = reactor.inspect();
    sum += descriptors.length + delayedCalls.length + attachments.length;
  }
  return sum;
}

function describeSample(sample: Sample): string {
  return Object.entries(sample).map(([key, value]) => `${key} ${value}`)
    .join(", ");
}

function describe(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : `${error}`;
}
