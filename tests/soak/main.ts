/**
 * The soak: everything at once, for as long as is wanted, and nothing left of it.
 *
 *     deno task soak [--minutes N] [--seed S] [--only PART]
 *
 * It ends with one line that says whether it has passed, and with the status 0 or
 * 1. How that is judged stands in `verdict.ts`.
 *
 * @module
 */

import "./opened.ts"; // Before everything that opens something.
import { parseArgs } from "node:util";
import { SCENES } from "./load.ts";
import { MODEL, soak, type SoakOptions } from "./soak.ts";

const PARTS = [MODEL, ...Object.keys(SCENES), "tls"];

const USAGE = `deno task soak [OPTIONS]

  --minutes N  for so long (default: 5)
  --seed S     the choices of an earlier run, as far as time lets them
  --only PART  one part; may be repeated: ${PARTS.join(", ")}`;

/** Runs the soak; returns the status to exit with. */
async function main(): Promise<number> {
  const wish = parse(Deno.args);
  if (typeof wish === "string") {
    console.error(wish);
    return 2;
  }
  console.log(`soak: ${wish.minutes} min, seed ${wish.seed}`);
  const { passed, line } = await soak({ ...wish, log: console.log });
  console.log(line);
  return passed ? 0 : 1;
}

/** Reads the command line; a text says what is wrong with it. */
function parse(args: string[]): Omit<SoakOptions, "log"> | string {
  try {
    const { values } = parseArgs({
      args,
      options: {
        minutes: { type: "string", default: "5" },
        seed: { type: "string" },
        only: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return USAGE;
    const minutes = Number(values.minutes);
    if (!(minutes > 0 && minutes < Infinity)) {
      return `Cannot soak for "${values.minutes}" minutes: --minutes takes a number above 0`;
    }
    const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
    if (!Number.isSafeInteger(seed)) {
      return `Cannot take the seed "${values.seed}": --seed takes an integer`;
    }
    for (const part of values.only) {
      if (!PARTS.includes(part)) {
        return `There is no part "${part}"\n\n${USAGE}`;
      }
    }
    return { minutes, seed, only: values.only };
  } catch (error) {
    return `${(error as Error).message}\n\n${USAGE}`;
  }
}

const status = await main();
// After a failure something may keep it alive; without one, nothing must.
if (status !== 0) Deno.exit(status);
