/**
 * A pool of threads computes while a reactor goes on: primes are counted in
 * several threads, each of which tells how far it is.
 *
 *     deno run --allow-ffi --allow-read examples/threads/primes.ts
 *
 * You will see the clock of this thread tick while the others compute, their
 * progress in between, and the sum in the end.
 *
 * @module
 */

import { deferToThread, exportsOf, Reactor } from "../../mod.ts";

const RANGE = 1_000_000;
const PIECES = 4;

const reactor = new Reactor();
// The module is loaded in the threads, not here.
const work = exportsOf<typeof import("./count_primes.ts")>(
  new URL("./count_primes.ts", import.meta.url),
);

const began = performance.now();

function say(text: string): void {
  const ms = (performance.now() - began).toFixed(0);
  console.log(`${ms.padStart(6)} ms  ${text}`);
}

let ticks = 0;
function tick(): void {
  ticks++;
  reactor.callLater(10, tick);
}

async function count(piece: number): Promise<number> {
  const from = piece * RANGE / PIECES;
  const found = await deferToThread(
    reactor,
    {
      ...work("countPrimes"),
      // What the function can call here while it runs.
      offers: {
        progress: (percent: number) => say(`piece ${piece}: ${percent} %`),
      },
    },
    from,
    from + RANGE / PIECES,
  );
  say(`piece ${piece}: ${found} primes`);
  return found;
}

tick();
const pieces = Array.from({ length: PIECES }, (_, piece) => count(piece));
const found = await Promise.all(pieces);
const sum = found.reduce((a, b) => a + b);
say(`in all: ${sum} primes below ${RANGE}`);
say(`this thread was free all the time: ${ticks > 1 ? "it ticked" : "not so"}`);
await reactor.close();
