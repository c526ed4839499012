/**
 * Starting a reactor for those who think in promises.
 *
 * @module
 */

import type { Reactor } from "../reactor.ts";

/**
 * Starts a reactor on Deno's loop if nothing has started it, as a wait does: a
 * later `run` or `interleave` takes it over.
 *
 * There is no descriptor to wait for yet. A loop that has nothing to wait for
 * starts it just as well.
 *
 * @throws {ReactorNotRestartable} When the reactor has been stopped.
 * @throws {Deno.errors.BadResource} When it is closed.
 */
export function startForPromises(reactor: Reactor): void {
  reactor.attach({
    prepare: () => ({ descriptors: [], timeout: -1 }),
    dispatch() {},
  }).detach();
}
