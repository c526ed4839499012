/**
 * The README, tried by a reader who believes it: every fence and every command
 * in it is run, in an empty folder and with the permissions that are named
 * there, or proven in another way that is printed.
 */

import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { walkTokens } from "npm:marked@^18";
import { type Fence, fencesIn, parse, placeOf } from "./fences.ts";
import { layOutRegistry } from "./registry.ts";

const README = "README.md";
const ROOT = Deno.realPathSync(`${import.meta.dirname}/..`);

/** Long enough for any command here; no test waits for it to pass. */
const PATIENCE = 60_000;

const fences = fencesIn(README);
const [first] = fences;
assert(first !== undefined);

/**
 * What a project's deno.json has after `deno add`, with a stand-in for what the
 * package's registry here does not have.
 */
const PROJECT = {
  imports: {
    "@interleave/reactor": "jsr:@interleave/reactor",
    "@std/assert": import.meta.resolve("./offline/assert.ts"),
  },
};

/** Where the C library is on the machine that the README's narrowest grant is for. */
const DEBIAN_LIBC = "/lib/x86_64-linux-gnu/libc.so.6";

/** The README's commands, and how each is proven. */
const COMMANDS: Record<string, (t: Deno.TestContext) => Promise<void>> = {
  async "deno run --allow-ffi main.ts"() {
    await using reader = await Reader.arrive();
    reader.paste(first);
    assertIsAsShown(await reader.types("deno run --allow-ffi main.ts"));
  },
  async [`deno run --allow-ffi=${DEBIAN_LIBC} main.ts`](t) {
    const here = await exists(DEBIAN_LIBC);
    await where(t, here, `there is no ${DEBIAN_LIBC} here`, async () => {
      await using reader = await Reader.arrive();
      reader.paste(first);
      assertIsAsShown(
        await reader.types(`deno run --allow-ffi=${DEBIAN_LIBC} main.ts`),
      );
    });
  },
  async "deno add jsr:@interleave/reactor"() {
    await using reader = await Reader.arrive();
    await reader.types("deno add jsr:@interleave/reactor");
    const program = fences.find(({ text }) =>
      /from "@interleave/.test(text) && !text.includes("@std/")
    );
    assert(program !== undefined, "No fence needs the package alone");
    reader.paste(program);
    await reader.types("deno run --allow-ffi main.ts");
  },
  async "deno task tour"(t) {
    const linux = Deno.build.os === "linux";
    await where(t, linux, "it needs Linux", async () => {
      const output = await shell("deno task tour", ROOT);
      assertMatch(output, /left +0 descriptors, 0 delayed calls\n$/);
    });
  },
  async "deno task docs"() {
    const folder = Deno.makeTempDirSync();
    try {
      const { exports, publish } = configuration();
      await shell(`cp -r ${publish.include.join(" ")} '${folder}'`, ROOT);
      const { success, stderr } = await inShell("deno task docs", folder);
      assert(success && !/warning|error/i.test(stderr), stderr);
      for (const entry of Object.keys(exports)) {
        const page = `${folder}/reference/${entry}/index.html`;
        assert(await exists(page), `The reference has no page for "${entry}"`);
      }
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
  async "npx -y deno task tour"() {
    say("not run with npx, which downloads Deno; .ci/run begins so");
    assertStringIncludes(await gate(), "\nnpx -y deno task test\n");
    assert("tour" in configuration().tasks);
  },
  async "deno task test"() {
    say("not run inside itself; .ci/run runs it");
    assertStringIncludes(await gate(), "\nnpx -y deno task test\n");
    assertMatch(configuration().tasks.test!.command, /^deno test /);
  },
  async "deno task bench"() {
    say("takes half an hour; asked for a row that is not there");
    await asksForRow("deno task bench");
  },
  async "deno task bench --quick"() {
    say("takes a minute; asked for a row that is not there");
    await asksForRow("deno task bench --quick");
  },
};

Deno.test("the README begins with an example of less than 15 lines that needs no project", () => {
  assertEquals(first.language, "ts");
  assertLess(first.text.split("\n").length, 15);
  for (const [, specifier] of first.text.matchAll(/ from "(.+)"/g)) {
    assertMatch(specifier!, /^jsr:@interleave\/reactor/);
  }
});

Deno.test("the README has fences of these languages only", () => {
  const known = fences.filter(({ language }) =>
    ["ts", "sh", "text"].includes(language)
  );
  assertEquals(fences.map(placeOf), known.map(placeOf));
  // What is shown of an output belongs to the example that is run for it.
  const shown = fences.filter(({ language }) => language === "text");
  assertEquals(shown, [fences[2]]);
});

// GitHub shows a relative picture from the repository, and so does JSR if one is
// linked; if none is, JSR takes it from the package (`get_url_rewriter` in
// api/src/docs.rs of jsr-io/jsr).
Deno.test("the README's pictures are beside it, and published", () => {
  const { include } = configuration().publish;
  const pictures: string[] = [];
  walkTokens(parse(README), (token) => {
    if (token.type === "image") pictures.push(token.href);
  });
  assertEquals(pictures, ["docs/how_it_works.svg"]);
  for (const picture of pictures) {
    assert(include.some((path) => picture.startsWith(`${path}/`)), picture);
  }
});

Deno.test("the fences in TypeScript agree with the package's types", async () => {
  await using reader = await Reader.arrive(PROJECT);
  const files = fences.filter(({ language }) => language === "ts")
    .map((fence) => reader.paste(fence, `line_${fence.line}.ts`));
  await reader.types(`deno check ${files.join(" ")}`);
});

for (const fence of fences) {
  if (fence.language !== "ts") continue;
  Deno.test(`${placeOf(fence)} runs with --allow-ffi alone`, async () => {
    await using reader = await Reader.arrive(PROJECT);
    reader.paste(fence);
    await reader.types("deno run --allow-ffi main.ts");
  });
}

Deno.test("the README's commands are those that are tried here", () => {
  assertEquals([...new Set(commands())].sort(), Object.keys(COMMANDS).sort());
});

for (const [command, prove] of Object.entries(COMMANDS)) {
  Deno.test(`\`${command}\` does what the README says`, prove);
}

/** Runs a proof where it can be run, and says elsewhere why it is not. */
async function where(
  t: Deno.TestContext,
  possible: boolean,
  reason: string,
  fn: () => Promise<void>,
): Promise<void> {
  const name = possible ? "run" : `ignored: ${reason}`;
  await t.step({ name, ignore: !possible, fn });
}

/** All commands: the lines for a shell, and what the text has of them. */
function commands(): string[] {
  const lines = fences.filter(({ language }) => language === "sh")
    .flatMap(({ text }) => text.replaceAll("\\\n", "").split("\n"))
    .map((line) => line.replace(/ +# .*/, "").replaceAll(/ +/g, " "));
  walkTokens(parse(README), (token) => {
    if (token.type !== "codespan") return;
    if (/^(deno|npx) /.test(token.text)) lines.push(token.text);
  });
  return lines;
}

/** Asserts that the first example prints what is shown below it. */
function assertIsAsShown(output: string): void {
  const shown = fences[2]!.text.split("\n");
  const lines = output.trimEnd().split("\n");
  const terminal = /^\/dev\/(pts\/\d+|ttys\d+)$/;
  assertMatch(shown[0]!, terminal);
  assertMatch(lines[0]!, terminal);
  assertEquals(lines.at(-1), shown.at(-1));
  // How often a timer fires meanwhile is not the same everywhere.
  assertEquals(new Set(lines.slice(1, -1)), new Set(shown.slice(1, -1)));
}

/**
 * Somebody in a folder that is empty but for what they paste there, with nothing
 * cached and the package in a registry.
 */
class Reader implements AsyncDisposable {
  readonly #folder: string;
  readonly #registry: string;

  private constructor(folder: string, registry: string) {
    this.#folder = folder;
    this.#registry = registry;
  }

  /** @param project Their deno.json. The default is none. */
  static async arrive(project?: unknown): Promise<Reader> {
    const folder = await Deno.realPath(await Deno.makeTempDir());
    await Deno.mkdir(`${folder}/project`);
    if (project !== undefined) {
      const config = JSON.stringify(project);
      await Deno.writeTextFile(`${folder}/project/deno.json`, config);
    }
    return new Reader(folder, await layOutRegistry(`${folder}/registry`));
  }

  /** Puts a fence into a file, and returns the file's name. */
  paste({ text }: Fence, file = "main.ts"): string {
    Deno.writeTextFileSync(`${this.#folder}/project/${file}`, text);
    return file;
  }

  /** Types a command that must not complain, and returns what it prints. */
  async types(line: string): Promise<string> {
    const { success, stdout, stderr } = await inShell(
      line,
      `${this.#folder}/project`,
      { JSR_URL: this.#registry, DENO_DIR: `${this.#folder}/deno_dir` },
    );
    // What Deno says of its own work.
    const progress = /^(Add|Check|Created|Download|Initialize)\b.*\n|^\n/gm;
    const complaints = stderr.replaceAll(progress, "");
    assert(success && complaints === "", `${line}\n${stdout}${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Runs a line in a shell, with this Deno as `deno`; it must succeed. */
async function shell(
  line: string,
  cwd: string,
): Promise<string> {
  const { success, stdout, stderr } = await inShell(line, cwd);
  assert(success, `${line}\n${stdout}${stderr}`);
  return stdout;
}

async function inShell(
  line: string,
  cwd: string,
  env: Record<string, string> = {},
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const { success, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `deno() { "$DENO" "$@"; }\n${line}`],
    cwd,
    env: {
      DENO: Deno.execPath(),
      DENO_NO_PROMPT: "1",
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
      ...env,
    },
    stdin: "null",
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  return {
    success,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Asserts that a command takes its arguments to the benchmark. */
async function asksForRow(command: string): Promise<void> {
  const { success, stderr } = await inShell(`${command} --only nothing`, ROOT);
  assert(!success);
  assertStringIncludes(stderr, 'There is no row "nothing"');
}

/** What this module reads of deno.json. */
interface Configuration {
  exports: Record<string, string>;
  publish: { include: string[] };
  tasks: Record<string, { command: string }>;
}

function configuration(): Configuration {
  return JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
}

/** The script that a clean machine runs. */
function gate(): Promise<string> {
  return Deno.readTextFile(`${ROOT}/.ci/run`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

function say(reason: string): void {
  console.log(`Proven in another way: ${reason}`);
}
