/**
 * Takes the time stamps that `kick.c` sends: how long each was on its way.
 *
 * @module
 */

import { quantile } from "../statistics.ts";
import { microseconds } from "./clock.ts";

/** Collects stamps, of which the first ones are only for warming up. */
export class Stamps {
  readonly #warmUp: number;
  readonly #late: number[] = [];
  #rest = new Uint8Array(0);

  /** Leaves out the first so many. */
  constructor(warmUp: number) {
    this.#warmUp = warmUp;
  }

  /** Takes what has come, now. */
  take(data: Uint8Array): void {
    const now = microseconds();
    let bytes = data;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + data.length);
      bytes.set(this.#rest);
      bytes.set(data, this.#rest.length);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    for (; at + 8 <= bytes.length; at += 8) {
      this.#late.push(now - view.getFloat64(at, true));
    }
    this.#rest = bytes.slice(at);
  }

  /** Prints what was found. */
  print(): void {
    const late = this.#late.slice(this.#warmUp);
    console.log(JSON.stringify({
      count: late.length,
      p50: quantile(late, 0.5),
      p99: quantile(late, 0.99),
    }));
  }
}
