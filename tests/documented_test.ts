/**
 * That the documentation shows every public symbol in use. What the examples do
 * is not looked at here: `deno task test:docs` runs them.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const root = new URL("../", import.meta.url);

const { name: packageName, exports } = JSON.parse(
  await Deno.readTextFile(new URL("deno.json", root)),
) as { name: string; exports: Record<string, string> };

/** What `deno doc --json` says of a declaration, as far as it matters here. */
interface Declaration {
  readonly location: unknown;
  readonly jsDoc?: { readonly tags?: readonly Tag[] };
  /** With a target if it stands for a declaration in another place. */
  readonly def?: { readonly target?: unknown };
}

interface Tag {
  readonly kind: string;
  readonly doc?: string;
}

/** What it says of an entry point. */
interface EntryPoint {
  readonly module_doc?: unknown;
  readonly symbols: readonly {
    readonly name: string;
    readonly declarations: readonly Declaration[];
  }[];
}

/** Long enough for any machine; no test waits for it to pass. */
const PATIENCE = 120_000;

/** Runs deno in the package's folder, and returns what it printed. */
async function runDeno(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  return decoder.decode(stdout);
}

/** What the names mean that examples import from. */
const imports = Object.fromEntries([
  ["@std/assert", import.meta.resolve("@std/assert")],
  ...Object.entries(exports).map(([name, path]) => [
    packageName + name.slice(".".length),
    new URL(path, root).href,
  ]),
]);

const { nodes } = JSON.parse(
  await runDeno("doc", "--json", ...Object.values(exports)),
) as { nodes: Record<string, EntryPoint> };

/** The entry points, by the names under which they are exported. */
const all = Object.entries(exports).map(([name, path]) =>
  [name, nodes[new URL(path, root).href]!] as const
);

const declarations = new Map(
  all.flatMap(([, { symbols }]) => symbols)
    .flatMap(({ declarations }) => declarations)
    .map((declaration) => [JSON.stringify(declaration.location), declaration]),
);

/** A piece of code that is run. "no-assert" is for those that only show. */
const FENCE = /^```ts(?<label> no-assert)?\n(?<code>[^]*?)^```$/gm;

/** Whether a declaration, or the one that it stands for, is shown in use. */
function isShown({ jsDoc, def }: Declaration): boolean {
  const target = declarations.get(JSON.stringify(def?.target));
  if (target !== undefined) return isShown(target);
  return jsDoc?.tags?.some(({ kind, doc = "" }) =>
    kind === "example" && piecesOf(doc).length > 0
  ) ?? false;
}

/** All pieces of code in the documentation of something, members included. */
function piecesOf(node: unknown): RegExpExecArray[] {
  if (typeof node === "string") return [...node.matchAll(FENCE)];
  if (typeof node !== "object" || node === null) return [];
  return Object.values(node).flatMap(piecesOf);
}

/** The pieces of the complete entry points, each once. */
const pieces = [
  ...new Map(piecesOf(all).map((piece) => [piece[0], piece])).values(),
];

Deno.test("every public symbol has an example", () => {
  const missing = all.flatMap(([name, { symbols }]) =>
    symbols
      .filter(({ declarations }) => !declarations.some(isShown))
      .map((symbol) => `${name}: ${symbol.name}`)
  );
  assertEquals(missing, []);
});

Deno.test("every entry point begins with an example", () => {
  const missing = all
    .filter(([, { module_doc }]) => piecesOf(module_doc).length === 0)
    .map(([name]) => name);
  assertEquals(missing, []);
});

Deno.test("every example asserts something, or says that it does not", () => {
  const wrong = pieces
    .map(({ groups }) => groups!)
    .filter(({ label, code }) =>
      code!.includes(`from "@std/assert"`) === (label !== undefined)
    )
    .map(({ code }) => code);
  assertEquals(wrong, []);
});

// Deno imports what a module exports into the examples in that module, and so
// does not miss the import, as whoever copies the example does. In a file of
// Markdown there is no such help.
Deno.test("every example imports what it uses", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [map, text] = [`${folder}/import_map.json`, `${folder}/examples.md`];
    await Deno.writeTextFile(map, JSON.stringify({ imports }));
    await Deno.writeTextFile(text, pieces.map(([piece]) => piece).join("\n\n"));
    await runDeno("check", "--doc-only", `--import-map=${map}`, text);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
