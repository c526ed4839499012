/**
 * The hosts' side of a work item.
 *
 * @module
 */

/**
 * Takes a work item to wherever the host runs things: calls `work` soon, once,
 * on the main thread.
 *
 * It is called when the worker has reported, from Deno's loop, and never inside
 * a call of the reactor's. `work` never throws; a second or late call of it
 * does nothing. Until it has run the reactor waits: a host that is busy holds
 * it back.
 *
 * @example A frame loop as the host
 * ```ts
 * import { Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const due: (() => void)[] = [];
 * await using reactor = new Reactor();
 * reactor.interleave((work) => due.push(work));
 *
 * let greeting = "";
 * reactor.callLater(5, () => greeting = "hello");
 * while (greeting === "") { // One frame a time.
 *   for (const work of due.splice(0)) work();
 *   await new Promise((resolve) => setTimeout(resolve, 1));
 * }
 * assertEquals(greeting, "hello");
 * ```
 */
export type Waker = (work: () => void) => void;
