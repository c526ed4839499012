/**
 * The examples in the project's documents: found by a Markdown parser, checked,
 * and run as a reader would run what they have pasted.
 *
 * A reader has a folder, the package in its `deno.json`, and in the folder what
 * the document has told them to put there. So each document has a folder here,
 * with
 *
 * - its TypeScript fences. One whose first line is a file name, as in
 *   `// reminder.ts`, is that file, and the others may import it; the others
 *   are `fence_N.ts`, where N is the line. All begin at the line at which they
 *   stand in the document, so errors name that line.
 * - the modules of `examples/` that its fences import and to which it links, with
 *   what these import from beside them, and with the package's name instead of
 *   the paths that lead to it from `examples/`.
 *
 * @module
 */

import { lexer, type Token, type Tokens, walkTokens } from "npm:marked@^18";

/** Long enough for any example; no test waits for it to pass. */
const PATIENCE = 60_000;

/** The project's folder. */
export const root: string = Deno.realPathSync(`${import.meta.dirname}/..`);

/** Nobody is there to answer, and what is printed is compared. */
const QUIETLY = ["--quiet", "--no-prompt"];
const ENVIRONMENT = { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };

/** What a module imports from beside it. */
const LOCAL_IMPORT = / from "\.\/(.+\.ts)"/g;

/** The package's entry points: the names that its users import, by their files. */
const entryPoints: ReadonlyMap<string, string> = readEntryPoints();

function readEntryPoints(): Map<string, string> {
  const text = Deno.readTextFileSync(`${root}/deno.json`);
  const { name, exports } = JSON.parse(text);
  return new Map(
    Object.entries(exports as Record<string, string>).map(([entry, path]) => [
      new URL(path, `file://${root}/`).href,
      name + entry.slice(1),
    ]),
  );
}

/** A piece of code in a document. */
export interface Fence {
  /** The document's path from the project's folder. */
  readonly document: string;
  /** The line of its first backticks. */
  readonly line: number;
  /** The heading above it. */
  readonly heading: string;
  /** The first word behind the backticks; empty if there is none. */
  readonly language: string;
  /** The words behind that one. */
  readonly attributes: readonly string[];
  /** What stands in it. */
  readonly text: string;
}

/** How a program ended. */
export interface Outcome {
  /** Its exit status; 128 and the signal's number if a signal ended it. */
  readonly code: number;
  /** What it printed. */
  readonly stdout: string;
  /** What it complained of. */
  readonly stderr: string;
}

/** How to run a program. */
export interface Place {
  readonly command: string;
  readonly args: string[];
  readonly cwd: string;
  readonly env: Record<string, string>;
}

/** How {@linkcode Documents.place} has a fence run. */
export interface RunOptions {
  /**
   * The flags of its permissions.
   *
   * @default {["--allow-ffi"]}
   */
  readonly permissions?: readonly string[];
  /** What comes after the program. */
  readonly args?: readonly string[];
  /** More for its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * The Markdown documents of a folder, and of those below it.
 *
 * @param folder Its path from the project's folder.
 */
export function documentsIn(folder: string): string[] {
  return [...Deno.readDirSync(`${root}/${folder}`)].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return documentsIn(path);
    return path.endsWith(".md") ? [path] : [];
  }).sort();
}

/** The tokens of a document, as the parser has them. */
export function parse(document: string): Token[] {
  return lexer(Deno.readTextFileSync(`${root}/${document}`));
}

/** The fences of a document, in order. */
export function fencesIn(document: string): Fence[] {
  const source = Deno.readTextFileSync(`${root}/${document}`);
  const fences: Fence[] = [];
  let heading = "";
  let at = 0;
  walkTokens(lexer(source), (token) => {
    if (token.type === "heading") heading = token.text;
    if (token.type !== "code") return;
    const { lang = "", text, codeBlockStyle } = token as Tokens.Code;
    if (codeBlockStyle === "indented") return;
    at = source.indexOf(`\`\`\`${lang}\n`, at);
    const line = source.slice(0, at).split("\n").length;
    at = source.indexOf("```", at + 3) + 3; // Behind the closing backticks.
    const [language = "", ...attributes] = lang.split(" ");
    fences.push({ document, line, heading, language, attributes, text });
  });
  return fences;
}

/** The addresses of a document's links. */
export function linksIn(document: string): string[] {
  const links: string[] = [];
  walkTokens(parse(document), (token) => {
    if (token.type === "link") links.push(token.href);
  });
  return links;
}

/** Where a fence stands, for the name of its test. */
export function placeOf({ document, line, heading }: Fence): string {
  return `${document}:${line} "${heading}"`;
}

/** Folders with the examples of documents in them, as a reader has them. */
export class Documents implements Disposable {
  readonly #folder = Deno.realPathSync(Deno.makeTempDirSync());
  /** The fences' files, in it. */
  readonly #files: string[] = [];

  /** @param documents Their paths from the project's folder. */
  constructor(...documents: string[]) {
    const imports = {
      ...Object.fromEntries(
        [...entryPoints].map(([path, entry]) => [entry, path]),
      ),
      // Where these tests have them from: JSR, or the stand-ins.
      "@std/assert": import.meta.resolve("@std/assert"),
      "@std/async": import.meta.resolve("@std/async"),
    };
    const config = { imports, lock: false };
    Deno.writeTextFileSync(`${this.#folder}/deno.json`, JSON.stringify(config));
    for (const document of documents) this.#write(document);
  }

  /**
   * Checks the types of all fences at once.
   *
   * @returns What the compiler complains of; nothing if it is content.
   */
  async complaints(): Promise<string> {
    const { code, stderr } = await run({
      command: Deno.execPath(),
      args: ["check", "--quiet", ...this.#files],
      cwd: this.#folder,
      env: ENVIRONMENT,
    });
    return code === 0 ? "" : stderr.replaceAll(`file://${this.#folder}/`, "");
  }

  /**
   * How to run a fence in an empty folder. One with tests in it is run by `deno
   * test`, since that is how its reader runs it.
   */
  place(fence: Fence, options: RunOptions = {}): Place {
    const { permissions = ["--allow-ffi"], args = [], env } = options;
    const command = /^Deno\.test\(/m.test(fence.text) ? "test" : "run";
    const file = `${this.#folder}/${pathOf(fence)}`;
    return {
      command: Deno.execPath(),
      args: [command, ...QUIETLY, "--no-check", ...permissions, file, ...args],
      cwd: Deno.makeTempDirSync({ dir: this.#folder }),
      env: { ...ENVIRONMENT, ...env },
    };
  }

  /** Runs a fence to its end. */
  run(fence: Fence, options?: RunOptions): Promise<Outcome> {
    return run(this.place(fence, options));
  }

  /** Removes the folders. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }

  #write(document: string): void {
    const links = linksIn(document);
    for (const fence of fencesIn(document)) {
      if (fence.language !== "ts") continue;
      const path = pathOf(fence);
      this.#put(path, "\n".repeat(fence.line) + fence.text);
      this.#files.push(path);
      for (const [, name] of fence.text.matchAll(LOCAL_IMPORT)) {
        const link = links.find((link) => link.endsWith(`/${name}`));
        if (link === undefined) continue; // Another fence, or the compiler complains.
        this.#copy(
          new URL(link, `file://${root}/${document}`),
          document,
          name!,
        );
      }
    }
  }

  /** Copies a module of the examples, and those beside it that it imports. */
  #copy(from: URL, folder: string, name: string): void {
    const text = Deno.readTextFileSync(from)
      .replaceAll(/"(\.{2}\/.+\.ts)"/g, (specifier, path) => {
        const entry = entryPoints.get(new URL(path, from).href);
        return entry === undefined ? specifier : `"${entry}"`;
      });
    this.#put(`${folder}/${name}`, text);
    for (const [, beside] of text.matchAll(LOCAL_IMPORT)) {
      this.#copy(new URL(beside!, from), folder, beside!);
    }
  }

  #put(path: string, text: string): void {
    const file = `${this.#folder}/${path}`;
    Deno.mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(file, text);
  }
}

/** Where a fence is, in the folder of folders. */
function pathOf({ document, line, text }: Fence): string {
  const name = /^\/\/ (\w+\.ts)\n/.exec(text)?.[1] ?? `fence_${line}.ts`;
  return `${document}/${name}`;
}

async function run({ command, ...options }: Place): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    ...options,
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}
