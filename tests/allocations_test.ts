/**
 * That the way from the kernel to a callback allocates nothing for each: a guard
 * of the reactor's speed that no busy machine can upset.
 *
 * What a turn allocates, a message of the worker's for one, is shared out among
 * the callbacks of its turn, of which there are hundreds.
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { BACKENDS } from "./descriptors.ts";

/** The least that an object takes: its map and one field, or a number. */
const SMALLEST_OBJECT = 16;

const PAIRS = 400;
const EVENTS = 100_000;

for (const backend of BACKENDS) {
  Deno.test(`a readiness callback allocates nothing [${backend}]`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--no-prompt", "--allow-ffi"],
        "--v8-flags=--expose-gc,--min-semi-space-size=64,--max-semi-space-size=64",
        new URL("programs/allocations.ts", import.meta.url).pathname,
        ...[backend, `${PAIRS}`, `${EVENTS}`],
      ],
    }).output();
    const decoder = new TextDecoder();
    assertEquals(code, 0, decoder.decode(stderr));
    const bytes = Number(decoder.decode(stdout));
    assert(bytes > 0, `the heap was collected meanwhile: ${bytes}`);
    assertLess(bytes, SMALLEST_OBJECT);
  });
}
