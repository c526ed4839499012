/**
 * Tests of clients: each on both backends, on a reactor that runs on Deno's loop.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { deadline } from "@std/async";
import { CallbackTooSlow, Reactor } from "../../mod.ts";
import { BACKENDS, PATIENCE } from "../descriptors.ts";
import { testToolkit } from "../loops/toolkit.ts";

/** What a test has. */
export interface Setting {
  readonly reactor: Reactor;
  /** What `onError` got. What the test has not taken out is a failure. */
  readonly errors: Error[];
}

/** Declares a test for each backend, ignored if packages are missing. */
export function testWithReactor(
  name: string,
  missing: readonly string[],
  fn: (setting: Setting) => Promise<void>,
): void {
  for (const backend of BACKENDS) {
    testToolkit(`${name} [${backend}]`, missing, async () => {
      const errors: Error[] = [];
      await using reactor = new Reactor({
        backend,
        onError(error) {
          // How long a library of others takes is no matter of these tests.
          if (error instanceof CallbackTooSlow) return;
          errors.push(error as Error);
        },
      });
      reactor.interleave();
      await deadline(fn({ reactor, errors }), PATIENCE);
      assertEquals(errors, []);
      // Whoever is done has left.
      assertEquals(reactor.inspect().descriptors, []);
      assertEquals(reactor.inspect().delayedCalls, []);
    });
  }
}
