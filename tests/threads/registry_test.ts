// A pool of threads and its callers when the package comes from a registry, where
// no thread finds a file of it.

import { assert, assertEquals } from "@std/assert";
import { layOutRegistry } from "../registry.ts";

const WORK = `
import { reactorOfThread } from "jsr:@interleave/reactor/threads";

export function add(a: number, b: number): number {
  reactorOfThread().callFromThread("note", "adding");
  return a + b;
}
`;

const MAIN = `
import { deferToThread, exportsOf, reactor } from "jsr:@interleave/reactor";

const work = exportsOf<typeof import("./work.ts")>(
  new URL("./work.ts", import.meta.url),
);
const offers = { note: console.log };
console.log(await deferToThread(reactor, { ...work("add"), offers }, 1, 2));
`;

Deno.test("deferToThread() and reactorOfThread() work when they come from a registry", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    const cwd = `${folder}/project`;
    await Deno.mkdir(cwd);
    await Deno.writeTextFile(`${cwd}/work.ts`, WORK);
    await Deno.writeTextFile(`${cwd}/main.ts`, MAIN);
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      {
        args: [
          "run",
          "--no-prompt",
          "--allow-ffi",
          "--allow-read", // Here the registry is a folder, too.
          "main.ts",
        ],
        cwd,
        env: {
          JSR_URL: await layOutRegistry(`${folder}/registry`),
          DENO_DIR: `${folder}/deno_dir`,
          DENO_NO_UPDATE_CHECK: "1",
          NO_COLOR: "1",
        },
        signal: AbortSignal.timeout(120_000),
      },
    ).output();
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(new TextDecoder().decode(stdout), "adding\n3\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
