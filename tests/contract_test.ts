/**
 * That the list of behaviours in `README.md` and the tests agree: a number that
 * a test cites is explained there, and the table of deliberate faults is whole.
 */

import { assert, assertEquals } from "@std/assert";
import { MUTATIONS } from "./mutations.ts";

const readme = await Deno.readTextFile(new URL("README.md", import.meta.url));

/** All test files, these folders and those in them. */
async function* testFiles(folder: URL): AsyncGenerator<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const url = new URL(isDirectory ? `${name}/` : name, folder);
    if (isDirectory) yield* testFiles(url);
    else if (name.endsWith("_test.ts")) yield url;
  }
}

Deno.test("every behaviour that a test cites is explained in the README", async () => {
  const explained = new Set(
    Array.from(readme.matchAll(/^(\d+)\. /gm), ([, number]) => Number(number)),
  );
  const cited = new Set<number>();
  for await (const file of testFiles(new URL("./", import.meta.url))) {
    const text = await Deno.readTextFile(file);
    for (const [, list] of text.matchAll(/\(contract ([\d, ]+)\)/g)) {
      for (const number of list!.split(",")) cited.add(Number(number));
    }
  }
  assert(cited.size > 150, `only ${cited.size} are cited`);
  assertEquals([...cited].filter((number) => !explained.has(number)), []);
});

Deno.test("the README lists every deliberate fault", () => {
  const rows = readme.split("\n").map((line) =>
    line.split("|").map((cell) => cell.trim())
  );
  for (const { contract, without, test } of MUTATIONS) {
    const row = ["", `${contract}`, without, `\`${test}\``, ""];
    assert(
      rows.some((cells) => cells.join("|") === row.join("|")),
      `The README has no row "${without}" (contract ${contract}, ${test})`,
    );
  }
});
