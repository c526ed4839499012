// The porting table: that every name it gives for one of Twisted's is there.

import { assert, assertEquals, assertGreater } from "@std/assert";
import { type Token, type Tokens, walkTokens } from "npm:marked@^18";
import { ERRNO } from "../ffi/errno.ts";
import { parse, root } from "./fences.ts";

const GUIDE = "examples/guides/from_twisted.md";

/** A row of the guide's tables: what stands in backticks, by columns. */
interface Row {
  readonly twisted: string[];
  readonly here: string[];
  readonly differs: string[];
}

/** What `deno doc --json` tells of a symbol, as far as it matters here. */
interface Declaration {
  readonly def: {
    readonly extends?: string | readonly { repr: string }[];
    readonly methods?: readonly { name: string }[];
    readonly properties?: readonly { name: string }[];
  };
}

/** What the words stand for that name no type. */
const INSTANCES: Readonly<Record<string, string>> = {
  reactor: "Reactor",
  connection: "Connection",
};

/** Of the language itself. */
const KEYWORDS = /^(async|await|await using|for await|using|instanceof|try)$/;

const { exports } = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`));

/** The entry point that these come from is not there everywhere yet. */
const THREADS = /^(connectReactor|deferToThread|isInIOThread)$/;
const THREADS_OF_REACTOR = /^(handle|callInThread|suggestThreadPoolSize)$/;
const hasThreads = "./threads" in exports;

function codeIn(cell: Tokens.TableCell): string[] {
  const code: string[] = [];
  walkTokens(cell.tokens, (token: Token) => {
    // The parser leaves this to whoever writes HTML.
    if (token.type === "codespan") code.push(token.text);
  });
  return code;
}

const rows: Row[] = parse(GUIDE)
  .filter((token): token is Tokens.Table => token.type === "table")
  .flatMap((table) => table.rows)
  .map(([twisted, here, differs]) => ({
    twisted: codeIn(twisted!),
    here: codeIn(here!),
    differs: codeIn(differs!),
  }));

/** The members of each exported symbol; of functions and types there are none. */
const symbols = await readSymbols();
const members = new Set([...symbols.values()].flatMap((own) => [...own]));

async function readSymbols(): Promise<Map<string, Set<string>>> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--quiet", "--json", ...Object.values<string>(exports)],
    cwd: root,
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as {
    nodes: Record<
      string,
      { symbols: { name: string; declarations: Declaration[] }[] }
    >;
  };
  const all = Object.values(nodes).flatMap(({ symbols }) => symbols);
  const declarations = new Map<string, Declaration[]>();
  for (const { name, declarations: more } of all) {
    // Some are exported by several entry points, and described by one.
    declarations.set(name, [...declarations.get(name) ?? [], ...more]);
  }
  function membersOf(name: string): string[] {
    return (declarations.get(name) ?? []).flatMap(({ def = {} }) => [
      ...(def.methods ?? []).map(({ name }) => name),
      ...(def.properties ?? []).map(({ name }) => name),
      ...[def.extends ?? []].flat().flatMap((base) =>
        membersOf(typeof base === "string" ? base : base.repr)
      ),
    ]);
  }
  return new Map(
    [...declarations.keys()].map((name) => [name, new Set(membersOf(name))]),
  );
}

/** Whether the last of these names is a member of the one before, and so on. */
function isGlobal(path: readonly string[]): boolean {
  let value: unknown = globalThis;
  for (const [i, name] of path.entries()) {
    if (value === null || value === undefined) return false;
    const object = Object(value);
    if (name in object) value = object[name];
    // `Uint8Array.at()` is short for what every one of them has.
    else if (i > 0 && name in (object.prototype ?? {})) return true;
    else return false;
  }
  return true;
}

/** What is wrong with a piece of code in the table; nothing if it is right. */
function complaint(code: string): string | undefined {
  if (KEYWORDS.test(code) || /^["\d]/.test(code)) return;
  if (code.startsWith("./")) {
    return code in exports || code === "./threads"
      ? undefined
      : `no entry point ${code}`;
  }
  if (code.startsWith("@std/")) return;
  if (code in ERRNO) return;
  if (code.startsWith("{")) {
    const names = code.match(/\w+(?=[,:} ])/g) ?? [];
    const options = names.filter((name, i) =>
      i === 0 || !/^(true|false|new|P)$/.test(name)
    );
    return options.filter((name) => !members.has(name))
      .map((name) => `no option ${name}`)[0];
  }
  const path = /^(?:await |new |using )?([\w.]+)/.exec(code)?.[1]?.split(".");
  if (path === undefined) return `what is ${code}?`;
  const [first, member] = path as [string, string?];
  const owner = INSTANCES[first] ?? first;
  if (symbols.has(owner)) {
    if (member === undefined || symbols.get(owner)!.has(member)) return;
    if (!hasThreads && THREADS_OF_REACTOR.test(member)) return;
    return `${owner} has no ${member}`;
  }
  if (!hasThreads && THREADS.test(first)) return;
  const named = first[0]!.toUpperCase() + first.slice(1);
  if (isGlobal(path) || (path.length > 1 && isGlobal([named, member!]))) return;
  return `no ${path.join(".")}`;
}

Deno.test("the porting table gives names that exist", () => {
  assertGreater(rows.length, 100);
  const wrong = rows.flatMap(({ here, differs }) =>
    // There, a word in small letters is an argument's, or somebody else's.
    [
      ...here,
      ...differs.filter((code) => !/^\w+$/.test(code) || /^[A-Z]/.test(code)),
    ]
      .map(complaint).filter((text) => text !== undefined)
  );
  assertEquals(wrong, []);
});

Deno.test("the porting table would not give names that do not exist", () => {
  for (
    const code of [
      "reactor.callSooner(ms)",
      "callLater()",
      "LoopingCall.pause()",
      "Promise.race2()",
      "promise.when()",
      "{ hostname, backlogg }",
      "./nets",
      "Deno.fork()",
      "connection.nothing",
    ]
  ) assert(complaint(code) !== undefined, code);
});

Deno.test("the porting table has a row for each of a Twisted name", () => {
  const twice = rows.flatMap(({ twisted }) => twisted)
    .filter((name, i, all) => all.indexOf(name) !== i);
  assertEquals(twice, []);
});
