/**
 * The package as a stranger gets it: from a registry, in an empty project, with
 * nothing cached. And what JSR looks at when it scores a package.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { leaveOut } from "./left_out.ts";
import {
  layOutRegistry,
  type Package,
  publishedFiles,
  readPackage,
} from "./registry.ts";

const CHECKOUT = new URL("../", import.meta.url);

const README = await Deno.readTextFile(new URL("README.md", CHECKOUT));

/** The TypeScript fences of the README, as they stand there. */
const FENCES = [...README.matchAll(/^```ts.*\n([^]*?)^```$/gm)]
  .map((match) => match[1]!);

/** Runs deno in a folder and returns what it printed. */
async function runDeno(
  args: string[],
  options: { cwd: string | URL; env?: Record<string, string> },
): Promise<{ stdout: string; stderr: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: options.cwd,
    env: { DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", ...options.env },
    stdin: "null",
    signal: AbortSignal.timeout(120_000),
  }).output();
  const decoder = new TextDecoder();
  const output = {
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
  assert(success, `deno ${args.join(" ")}: ${output.stderr}`);
  return output;
}

/** An empty folder far from any deno.json, and a registry that has the package. */
class Project implements AsyncDisposable {
  readonly #folder: string;
  readonly #cwd: string;
  readonly #env: Record<string, string>;

  private constructor(folder: string, registry: string) {
    this.#folder = folder;
    this.#cwd = `${folder}/project`;
    this.#env = { JSR_URL: registry, DENO_DIR: `${folder}/deno_dir` };
  }

  static async make(): Promise<Project> {
    const folder = await Deno.realPath(await Deno.makeTempDir());
    const registry = await layOutRegistry(`${folder}/registry`);
    await Deno.mkdir(`${folder}/project`);
    return new Project(folder, registry);
  }

  async write(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.#cwd}/${name}`, text);
  }

  async read(name: string): Promise<string> {
    return await Deno.readTextFile(`${this.#cwd}/${name}`);
  }

  /** Returns what it printed. */
  async deno(...args: string[]): Promise<string> {
    const options = { cwd: this.#cwd, env: this.#env };
    return (await runDeno(args, options)).stdout;
  }

  /** Checks the types of a program, and runs it. Returns what it printed. */
  async run(file: string, permissions: readonly string[]): Promise<string> {
    return await this.deno(
      "run",
      "--check",
      "--no-prompt",
      ...permissions,
      file,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** The names by which a program imports the entry points. */
function specifiers({ name, exports }: Package): string[] {
  return Object.keys(exports).map((path) => name + path.slice(1));
}

// The delayed call and the wait both need the worker, which therefore has to
// come up from a module that is in no checkout.
Deno.test("jsr:@interleave/reactor waits for a pipe, without any deno.json", async () => {
  await using project = await Project.make();
  await project.write(
    "main.ts",
    `
import { FileDescriptor, reactor } from "jsr:@interleave/reactor";

const [reader, writer] = FileDescriptor.pipe();
reactor.callLater(10, () => writer.write(new Uint8Array([42])));
const { readable } = await reactor.readable(reader);
const into = new Uint8Array(8);
const count = reader.read(into);
console.log(JSON.stringify({ readable, count, byte: into[0] }));
reader.close();
writer.close();
`,
  );
  const output = await project.run("main.ts", ["--allow-ffi"]);
  assertEquals(JSON.parse(output), { readable: true, count: 1, byte: 42 });
});

const FIRST_EXAMPLE =
  "the README's first example runs as it stands where deno add has put the package";
if (Deno.build.os === "linux") {
  Deno.test(FIRST_EXAMPLE, async () => {
    const { name, version } = await readPackage();
    const install = `deno add jsr:${name}`;
    assertStringIncludes(README, install);
    await using project = await Project.make();
    await project.deno(...install.split(" ").slice(1));
    assertEquals(
      JSON.parse(await project.read("deno.json")).imports,
      { [name]: `jsr:${name}@^${version}` },
    );

    await project.write("main.ts", FENCES[0]!);
    assertNotEquals(await project.run("main.ts", ["--allow-ffi"]), "");
  });
} else {
  leaveOut(FIRST_EXAMPLE, "what it waits for is Linux's");
}

Deno.test("the README's TypeScript has the types of the package that is published", async () => {
  assertEquals(FENCES.length, README.match(/^```ts/gm)?.length);
  await using project = await Project.make();
  await project.deno("add", "jsr:@interleave/reactor", "jsr:@std/assert");
  const files = FENCES.map((_, index) => `example_${index}.ts`);
  for (const [index, file] of files.entries()) {
    await project.write(file, FENCES[index]!);
  }
  await project.deno("check", ...files);
});

Deno.test("every entry point can be imported from a registry, without a permission", async () => {
  const paths = specifiers(await readPackage());
  await using project = await Project.make();
  await project.deno("add", "jsr:@interleave/reactor");
  await project.write(
    "main.ts",
    paths.map((path, index) => `import * as e${index} from "${path}";\n`)
      .join("") +
      `const all = [${paths.map((_, index) => `e${index}`)}];
console.log(JSON.stringify(all.map((one) => Object.keys(one).length)));
`,
  );
  const output = await project.run("main.ts", []);
  const counts: number[] = JSON.parse(output);
  assertEquals(counts.length, paths.length);
  for (const [index, count] of counts.entries()) {
    assertGreater(count, 0, `${paths[index]} exports nothing`);
  }
});

Deno.test("the registry of these tests has the files that deno would publish", async () => {
  const { publish } = await readPackage();
  const { stderr } = await runDeno([
    "publish",
    "--dry-run",
    "--allow-dirty",
    // The gate looks at these; here they would only take time.
    "--no-check",
    "--allow-slow-types",
  ], { cwd: CHECKOUT });
  const published = [...stderr.matchAll(/^ +(file:.+) \(.+\)$/gm)]
    .map((match) => match[1]!.slice(CHECKOUT.href.length));
  const served = await Array.fromAsync(publishedFiles(publish.include));
  assertEquals(served.toSorted(), published.toSorted());
});

/** What this reads of `deno doc --json`. */
interface Documentation {
  nodes: Record<string, { module_doc?: { doc?: string } }>;
}

Deno.test("what JSR scores is there: a README with examples, and a text for each entry point", async () => {
  const { exports } = await readPackage();
  assertMatch(README, /^```ts/m);
  const { stdout } = await runDeno(
    ["doc", "--json", ...Object.values(exports)],
    { cwd: CHECKOUT },
  );
  const { nodes }: Documentation = JSON.parse(stdout);
  const silent = Object.values(exports)
    .map((path) => new URL(path, CHECKOUT).href)
    .filter((module) => (nodes[module]?.module_doc?.doc ?? "") === "");
  assertEquals(silent, []);
});
