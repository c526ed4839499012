// The reactor beside a model of it: programs at random, in which nothing that the
// model demands may be lost, and nothing come that it forbids. tests/soak/ runs
// the same for as long as one likes.

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { BACKENDS } from "./descriptors.ts";
import { Checker, MODEL_HOSTS } from "./model/check.ts";

const SEED = Number(Deno.env.get("MODEL_SEED") ?? Date.now() % 2 ** 31);
const PATH = Deno.env.get("MODEL_PATH");

/** So many programs at a time, with a seed of their own. */
const PROGRAMS = 60;

/** How long each test goes on with more of them, in milliseconds. */
const LONG_ENOUGH = 1300;

/** One in so many callbacks may find nothing to do. */
const SPURIOUS = 20;

console.log(`Seed: ${SEED}; reproduce with MODEL_SEED=${SEED}`);

for (const backend of BACKENDS) {
  for (const host of MODEL_HOSTS) {
    Deno.test(
      `the reactor does what the model demands, and nothing that it forbids [${backend}, ${host.name}]`,
      async () => {
        await using checker = new Checker(host, backend);
        const total = { steps: 0, delivered: 0, spurious: 0 };
        const end = performance.now() + LONG_ENOUGH;
        let seed = SEED;
        do {
          const { counters, failure } = await checker.check({
            seed: seed++,
            path: PATH,
            programs: PROGRAMS,
          });
          assert(failure === undefined, failure);
          assertEquals(
            { lost: counters.lost, misdelivered: counters.misdelivered },
            { lost: 0, misdelivered: 0 },
          );
          total.steps += counters.steps;
          total.delivered += counters.delivered;
          total.spurious += counters.spurious;
        } while (performance.now() < end && PATH === undefined);
        console.log(Object.entries(total).map(([k, v]) => `${k} ${v}`).join());
        assertLessOrEqual(total.spurious * SPURIOUS, total.delivered);
      },
    );
  }
}
