/**
 * What everything else in a process suffers from a reactor that always has
 * something to do.
 *
 *     fairness.ts none|default|BUDGET_MS alone|accompanied WARM_UP_MS MEASURE_MS
 *
 * The load is ten pairs of sockets with a byte going to and fro in each. It
 * begins and ends inside its own callbacks: without a budget nothing else gets
 * a turn until it has ended.
 */

import { FileDescriptor, Reactor, type ReactorOptions } from "../../../mod.ts";
import { quantile } from "../statistics.ts";

const PAIRS = 10;
/** Time between two fetches: they are to look at the load, not to be one. */
const PAUSE = 5;
const INTERVAL = 10;

const [load, company] = Deno.args as [string, string];
const [warmUp, measure] = Deno.args.slice(2).map(Number) as [number, number];
const budget = Number(load);
const options: ReactorOptions = Number.isNaN(budget)
  ? {}
  : { budget: { ms: budget } };
const reactor = new Reactor(options);
const buffer = new Uint8Array(64);
const one = new Uint8Array(1);
let events = 0;
let over = false;
let eventsBefore = 0;
let rate = 0;
let begin = Infinity;
const ended = Promise.withResolvers<void>();

class Player {
  readonly #end: FileDescriptor;

  constructor(end: FileDescriptor) {
    this.#end = end;
  }

  fileno(): number {
    return this.#end.fileno();
  }

  doRead(): void {
    this.#end.read(buffer);
    if ((++events & 127) === 0) lookAtClock();
    if (!over) this.#end.write(one);
  }

  connectionLost(): void {}
}

function lookAtClock(): void {
  const now = performance.now();
  if (eventsBefore === 0 && now >= begin) {
    eventsBefore = events;
    begin = now; // The end moves with it.
  }
  if (over || now < begin + measure) return;
  over = true;
  rate = (events - eventsBefore) / (now - begin) * 1000;
  ended.resolve();
}

const server = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: () => {} },
  () => new Response("hello"),
);
const address = `http://127.0.0.1:${server.addr.port}/`;
for (let i = 0; i < 50; i++) await (await fetch(address)).text(); // Warms up.

reactor.interleave();
begin = performance.now() + warmUp;
if (load === "none") {
  setTimeout(() => (over = true, ended.resolve()), warmUp + measure);
} else {
  for (let i = 0; i < PAIRS; i++) {
    const [here, there] = FileDescriptor.socketpair();
    reactor.addReader(new Player(here));
    reactor.addReader(new Player(there));
    here.write(one);
  }
}

const fetches: number[] = [];
const lateness: number[] = [];
if (company === "accompanied") {
  await new Promise((resolve) => setTimeout(resolve, warmUp));
  let before = performance.now();
  setInterval(() => {
    const now = performance.now();
    if (!over) lateness.push(Math.max(now - before - INTERVAL, 0));
    before = now;
  }, INTERVAL);
  while (!over) {
    const start = performance.now();
    await (await fetch(address)).text();
    fetches.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
await ended.promise;
console.log(JSON.stringify({
  ...(load !== "none" && { rate }),
  ...(company === "accompanied" && {
    fetch50: quantile(fetches, 0.5),
    fetch99: quantile(fetches, 0.99),
    interval50: quantile(lateness, 0.5),
    interval99: quantile(lateness, 0.99),
  }),
}));
Deno.exit();
