/**
 * What the threads of `primes.ts` compute.
 *
 * @module
 */

import { reactorOfThread } from "../../src/threads/mod.ts";

/** What the caller offers. */
interface Offers {
  progress(percent: number): void;
}

/** How many primes there are from `from` up to `to`, `to` not included. */
export function countPrimes(from: number, to: number): number {
  const reactor = reactorOfThread<Offers>();
  const half = Math.floor((from + to) / 2);
  let found = 0;
  for (let n = from; n < to; n++) {
    if (isPrime(n)) found++;
    if (n === half) reactor.callFromThread("progress", 50);
  }
  return found;
}

function isPrime(n: number): boolean {
  for (let i = 2; i * i <= n; i++) {
    if (n % i === 0) return false;
  }
  return n > 1;
}
