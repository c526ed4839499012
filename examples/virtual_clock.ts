/**
 * Code that waits, tested without waiting: an hour goes by in a millisecond.
 *
 *     deno run examples/virtual_clock.ts
 *
 * You will see what a session says to its user in the course of an hour, with
 * the virtual time in front. It needs no permission, because virtual time needs
 * no kernel.
 *
 * @module
 */

import type { DelayedCall, ReactorTime } from "../mod.ts";
import { Clock } from "../src/testing.ts";

const MINUTE = 60_000;

/**
 * The code to be tested: a session that ends after 15 idle minutes. It takes
 * its time from what it is given, a reactor in a program and a clock in a test,
 * and sees no difference.
 */
class Session {
  readonly #time: ReactorTime;
  readonly #say: (text: string) => void;
  #next: DelayedCall;

  constructor(time: ReactorTime, say: (text: string) => void) {
    this.#time = time;
    this.#say = say;
    this.#next = time.callLater(10 * MINUTE, () => this.#warn());
    say("Welcome!");
  }

  /** The user has done something. */
  touch(): void {
    if (!this.#next.active()) return this.#say("Please log in again.");
    this.#next.cancel();
    this.#next = this.#time.callLater(10 * MINUTE, () => this.#warn());
    this.#say("Go on, please.");
  }

  #warn(): void {
    this.#next = this.#time.callLater(5 * MINUTE, this.#say, "Logged out.");
    this.#say("Are you still there?");
  }
}

const clock = new Clock();

function say(text: string): void {
  const minutes = String(clock.now() / MINUTE).padStart(2, "0");
  console.log(`00:${minutes}  ${text}`);
}

const began = performance.now();
const session = new Session(clock, say);
for (const minute of [7, 18, 50]) {
  clock.callLater(minute * MINUTE, () => session.touch());
}
clock.pump(Array(60).fill(MINUTE)); // An hour, minute by minute.
const took = performance.now() - began;

console.log(`An hour has gone by, in ${took.toFixed(1)} ms.`);
