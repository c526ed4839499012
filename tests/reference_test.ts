/**
 * That the reference, as `deno doc --html` renders it, is complete and can be
 * browsed: a page for each entry point and each symbol, and links between them
 * that lead somewhere.
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = Deno.realPathSync(`${import.meta.dirname}/..`);

/** The entry points, by the names that `deno doc` has for their folders. */
const entryPoints = new Map(
  Object.entries<string>(
    JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`)).exports,
  ).map(([entry, path]) => [entry.slice(2), `${ROOT}/${path.slice(2)}`]),
);

/** A module's documentation, as far as this test reads it. */
interface ModuleDoc {
  symbols: { name: string }[];
}

/** Runs `deno doc` over all entry points, and returns what it prints. */
async function document(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--quiet", ...args, ...entryPoints.values()],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(60_000),
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** All texts in a module's documentation. */
function* textsIn(doc: unknown): Generator<string> {
  if (typeof doc === "string") yield doc;
  else if (typeof doc === "object" && doc !== null) {
    for (const value of Object.values(doc)) yield* textsIn(value);
  }
}

/** What the texts link to. */
function* targetsIn(doc: unknown): Generator<string> {
  const link = /\{@link(?:code|plain)?\s+([^}|\s]+)/g;
  for (const text of textsIn(doc)) {
    for (const [, target] of text.matchAll(link)) yield target!;
  }
}

/**
 * The page that a link leads to, if there is to be one. A symbol that another
 * entry point exports has none; it is shown as code.
 */
function pageOf(
  target: string,
  entry: string,
  { symbols }: ModuleDoc,
): string | undefined {
  if (target.startsWith("https:")) return undefined;
  const module = /^\[(\S+)\](?:\.(\S+))?$/.exec(target);
  if (module !== null) {
    const [, name, symbol] = module;
    return `${name}/${symbol === undefined ? "index" : `~/${symbol}`}.html`;
  }
  const own = symbols.some(({ name }) => name === target.split(".")[0]);
  return own ? `${entry}/~/${target}.html` : undefined;
}

Deno.test("the reference has a page for everything, and its links lead there", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    await document("--html", `--output=${folder}`);
    const { nodes } = JSON.parse(await document("--json"));
    const wanted = new Set<string>();
    for (const [entry, path] of entryPoints) {
      const doc: ModuleDoc = nodes[`file://${path}`];
      wanted.add(`${entry}/index.html`);
      for (const { name } of doc.symbols) wanted.add(`${entry}/~/${name}.html`);
      // A method is Reactor.prototype.run there, and Reactor.run beside its name:
      // {@linkcode Reactor.prototype.run Reactor.run}.
      for (const target of targetsIn(doc)) {
        const page = pageOf(target, entry, doc);
        if (page !== undefined) wanted.add(page);
      }
    }
    assert(wanted.size > 200, `Only ${wanted.size} pages are wanted`);
    const missing = [...wanted].filter((page) => {
      try {
        Deno.statSync(`${folder}/${page}`);
        return false;
      } catch {
        return true;
      }
    });
    assertEquals(missing, []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("the reference shows no tag as it was written", async () => {
  const { nodes } = JSON.parse(await document("--json"));
  // A tag begins its line; elsewhere it is text, and shown with its braces.
  const shown = [...textsIn(nodes)].flatMap((text) =>
    text.match(/.*@(default|throws|returns|see)\b.*/g) ?? []
  );
  assertEquals(shown, []);
});

Deno.test("the first page of the reference leads to every entry point", async () => {
  const { nodes } = JSON.parse(await document("--json"));
  const main: ModuleDoc = nodes[`file://${ROOT}/mod.ts`];
  const targets = new Set(targetsIn(main));
  const others = [...entryPoints.keys()].filter((entry) => entry !== "");
  assertEquals(others.filter((entry) => !targets.has(`[${entry}]`)), []);
});
