/**
 * The examples of threads, each in a process of its own, run by the command that
 * its header gives.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { commandOf, root, run, startPiped } from "../example_program.ts";

const names = ["primes.ts", "ask_the_reactor.ts"];

Deno.test("examples/threads/README.md repeats the commands of the examples", () => {
  const readme = Deno.readTextFileSync(`${root}/examples/threads/README.md`);
  for (const name of names) {
    const { line } = commandOf(`threads/${name}`);
    assertStringIncludes(readme, `| \`${line}\` `);
  }
  assertEquals(readme.match(/^\| \[/gm)?.length, names.length);
});

Deno.test("examples/threads/primes.ts counts in threads while this one is free", async () => {
  const output = await run(startPiped, "threads/primes.ts");
  for (let piece = 0; piece < 4; piece++) {
    const progress = output.indexOf(`piece ${piece}: 50 %`);
    const result = output.search(new RegExp(`piece ${piece}: \\d+ primes`));
    assertEquals(progress >= 0 && progress < result, true, output);
  }
  assertStringIncludes(output, "in all: 78498 primes below 1000000\n");
  assertMatch(output, /this thread was free all the time: it ticked\n$/);
});

Deno.test("examples/threads/ask_the_reactor.ts answers while the main thread is blocked", async () => {
  assertEquals(
    await run(startPiped, "threads/ask_the_reactor.ts"),
    [
      "the Worker: 1 apple costs 3",
      "the Worker: 1 cherry costs 7",
      "the Worker: RangeError: There is no durian",
      "the main thread: closed for today",
      "",
    ].join("\n"),
  );
});
