/**
 * The time by which the reactor measures its own waits, in milliseconds.
 *
 * Libraries with fake timers replace `performance.now` for the time of a test, by
 * one that stands still until it is moved. By such a clock no wait would end, and
 * no budget would ever be spent. So it is taken as it was when the module was
 * loaded.
 *
 * @module
 */

const { performance } = globalThis;
const { now } = performance;

/** Never goes back; only differences mean something. */
export function monotonic(): number {
  return now.call(performance);
}
