// Whether the tests would notice: each cure of mutations.ts is taken out of a
// copy of the package, and the test that is named there must fail then.

import { assert, assertEquals } from "@std/assert";
import { type Mutation, MUTATIONS } from "./mutations.ts";

const PACKAGE = new URL("../", import.meta.url);

/** What a copy of the package has to have. */
const PARTS = ["deno.json", "mod.ts", "src", "ffi", "tests"];

/** How many copies there are, each with one run at a time. */
const AT_ONCE = 2;

/** For one run, in milliseconds. */
const PATIENCE = 60_000;

/**
 * How long a test in a copy waits for what will not come. A test that passes
 * takes a fraction of that.
 */
const PATIENCE_OF_A_COPY = 4_000;

/** How a run of tests ended. */
interface Outcome {
  code: number;
  passed: string[];
  failed: string[];
  output: string;
}

/** A copy of the package, in a folder of its own. */
class Copy {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(folder: string): Promise<Copy> {
    for (const part of PARTS) {
      await copy(new URL(part, PACKAGE).pathname, `${folder}/${part}`);
    }
    return new Copy(folder);
  }

  /** Runs the tests of a file whose names match. */
  async test(file: string, filter: string): Promise<Outcome> {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "--no-check",
        "--no-prompt",
        "--reporter=tap",
        "--import-map=tests/offline/import_map.json",
        "--allow-ffi",
        "--allow-read",
        "--allow-write",
        "--allow-env",
        "--allow-net=127.0.0.1",
        "--allow-run",
        `--filter=${filter}`,
        `tests/${file}`,
      ],
      cwd: this.#folder,
      env: {
        NO_COLOR: "1",
        DENO_NO_UPDATE_CHECK: "1",
        PATIENCE: `${PATIENCE_OF_A_COPY}`,
      },
      signal: AbortSignal.timeout(PATIENCE),
    }).output();
    const output = new TextDecoder().decode(stdout) +
      new TextDecoder().decode(stderr);
    return {
      code,
      passed: names(output, /^ok \d+ - (.*)$/gm),
      failed: names(output, /^not ok \d+ - (.*)$/gm),
      output,
    };
  }

  /** The same with one mutation, which is undone afterwards. */
  async testMutated(mutation: Mutation): Promise<Outcome> {
    const sources: [path: string, text: string][] = [];
    try {
      for (const { file, search, replacement } of mutation.edits) {
        const path = `${this.#folder}/${file}`;
        const text = await Deno.readTextFile(path);
        const parts = text.split(search);
        assertEquals(parts.length, 2, `"${search}" must stand in ${file} once`);
        sources.push([path, text]);
        await Deno.writeTextFile(path, parts.join(replacement));
      }
      return await this.test(mutation.test, mutation.filter);
    } finally {
      for (const [path, text] of sources.reverse()) {
        await Deno.writeTextFile(path, text);
      }
    }
  }
}

function names(text: string, line: RegExp): string[] {
  return [...text.matchAll(line)].map((match) => match[1]!);
}

async function copy(from: string, to: string): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) {
    return await Deno.copyFile(from, to);
  }
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Matches exactly these texts, as a filter. */
function anyOf(texts: string[]): string {
  return `/${texts.map((text) => RegExp.escape(text)).join("|")}/`;
}

Deno.test("each cure has a test that fails without it", async (t) => {
  const folder = await Deno.makeTempDir();
  const sound: Record<string, Outcome> = {};
  const mutated = new Map<Mutation, Outcome | Error>();
  const jobs: ((copy: Copy) => Promise<void>)[] = [];
  for (
    const [file, mutations] of Object.entries(
      Object.groupBy(MUTATIONS, ({ test }) => test),
    )
  ) {
    const filter = anyOf(mutations!.map(({ filter }) => filter));
    jobs.push(async (copy) => {
      sound[file] = await copy.test(file, filter);
    });
  }
  for (const mutation of MUTATIONS) {
    jobs.push(async (copy) => {
      try {
        mutated.set(mutation, await copy.testMutated(mutation));
      } catch (error) {
        mutated.set(mutation, error as Error);
      }
    });
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, async (_, i) => {
      await Deno.mkdir(`${folder}/${i}`);
      const copy = await Copy.make(`${folder}/${i}`);
      for (let job; (job = jobs.shift()) !== undefined;) await job(copy);
    }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }

  for (const mutation of MUTATIONS) {
    const { contract, without, test, filter } = mutation;
    await t.step(`${without} (contract ${contract})`, () => {
      const { code, passed, failed, output } = sound[test]!;
      assertEquals({ code, failed }, { code: 0, failed: [] }, output);
      assert(
        passed.some((name) => name.includes(filter)),
        `No test of ${test} has "${filter}" in its name`,
      );
      const outcome = mutated.get(mutation)!;
      if (outcome instanceof Error) throw outcome;
      assert(
        outcome.code !== 0 &&
          outcome.failed.some((name) => name.includes(filter)),
        `Nobody noticed: ${outcome.output}`,
      );
    });
  }
});
