// The porting guide: what it counts, what it claims and what it shows.

import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertStringIncludes,
} from "@std/assert";
import { assertCleanEnd } from "./assertions.ts";
import { missingPackages, testToolkit, ToolkitProgram } from "./toolkit.ts";

const root = `${import.meta.dirname}/../..`;
const folder = `${root}/examples/loops`;
const guide = Deno.readTextFileSync(`${folder}/README.md`);

/** The cells of the rows of the table under a heading. */
function rowsUnder(heading: string): string[][] {
  const section = guide.split(/^## /m).find((part) => part.startsWith(heading));
  assert(section !== undefined, heading);
  return section.split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

const programs = rowsUnder("The programs here").map((cells) => {
  const [link, , , , guest, host] = cells as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return { name: /\[(.+)\]/.exec(link)![1]!, guest, host };
});

/** The lines from a comment to the next empty one; undefined without it. */
function linesUnder(source: string, comment: string): number | undefined {
  const lines = source.split("\n");
  const at = lines.findIndex((line) => line.trim() === comment);
  if (at < 0) return undefined;
  const end = lines.findIndex((line, i) => i > at && line.trim() === "");
  // A brace alone closes the function that the lines stand in.
  const text = lines.slice(at + 1, end).filter((line) =>
    !/^}( else.*)?$/.test(line)
  );
  return text.length;
}

Deno.test("The guide names every program in its folder", () => {
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.endsWith(".ts") && name !== "fetch_in_worker.ts");
  assertEquals(programs.map(({ name }) => name).sort(), files.sort());
});

for (const { name, guest, host } of programs) {
  Deno.test(`The guide counts the lines of ${name} that integrate`, () => {
    const source = Deno.readTextFileSync(`${folder}/${name}`);
    const counted = {
      guest: linesUnder(source, "// The integration:"),
      host: linesUnder(source, "// The integration, Deno as the host:"),
    };
    assertEquals(
      [guest, host],
      [counted.guest ?? "none", counted.host ?? "none"].map(String),
    );
    if (counted.guest !== undefined) assertLessOrEqual(counted.guest, 6);
  });
}

Deno.test("The guide proves its claims by tests that exist", () => {
  const tests = [root, `${root}/tests`, `${root}/tests/loops`].flatMap((path) =>
    [...Deno.readDirSync(path)]
      .filter(({ name }) => name.endsWith("_test.ts"))
      .map(({ name }) => Deno.readTextFileSync(`${path}/${name}`))
  ).join("\n");
  const rows = rowsUnder("What each shape can do");
  assertGreater(rows.length, 5);
  for (const cells of rows) {
    const proofs = [...cells.at(-1)!.matchAll(/`([^`]+)`/g)].map((m) => m[1]!);
    assertGreater(proofs.length, 0, cells[0]);
    for (const proof of proofs) {
      assertStringIncludes(tests, proof.replaceAll('"', '\\"'));
    }
  }
});

Deno.test("The guide's worked example is libevent.ts, in less than 40 lines", () => {
  const source = Deno.readTextFileSync(`${folder}/libevent.ts`);
  const code = source.slice(source.indexOf("import "));
  const lines = code.trim().split("\n").length;
  assertLessOrEqual(lines, 39);
  assertStringIncludes(guide, `libevent, whole, in ${lines} lines`);
  assertStringIncludes(
    guide,
    code.replace('"../../mod.ts"', '"@interleave/reactor"'),
  );
});

const missing = await missingPackages({
  windows: false,
  libraries: {
    "libevent_core-2.1.so.7": "libevent-core-2.1-7",
    "libevent_pthreads-2.1.so.7": "libevent-pthreads-2.1-7",
  },
});

testToolkit("examples/loops/libevent.ts ends by itself", missing, async () => {
  await using program = new ToolkitProgram({
    file: "examples/loops/libevent.ts",
    permissions: ["--allow-ffi"],
  });
  assertEquals(
    await assertCleanEnd(program),
    "inside event_base_loop()\nit has returned\n",
  );
});
