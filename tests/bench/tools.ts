/**
 * Finds the peers that this machine has, and makes those that have to be made.
 *
 * @module
 */

import {
  EPOLL,
  NODE,
  TRIO,
  TRIO_GUEST,
  TWISTED_EPOLL,
  TWISTED_THREADED,
} from "./contestants.ts";

/** Where the programs are. */
const PEERS = new URL("./peers/", import.meta.url).pathname;

/** The interpreters that may have a distribution's packages, or the user's. */
const PYTHONS = ["/usr/bin/python3", "python3"];

/** What each needs besides Deno. */
const NEEDS: Readonly<Record<string, Requirement>> = {
  [NODE]: "node",
  [EPOLL]: "cc",
  [TWISTED_EPOLL]: "twisted",
  [TWISTED_THREADED]: "twisted",
  [TRIO]: "trio",
  [TRIO_GUEST]: "trio",
};

/** What a machine may lack, and what to install then. */
const PACKAGES = {
  node: "nodejs",
  cc: "a C compiler",
  twisted: "python3-twisted",
  trio: "python3-trio",
} as const;

type Requirement = keyof typeof PACKAGES;

/** The programs of this machine. */
export class Tools implements Disposable {
  readonly #folder: string;
  readonly #pythons: Map<Requirement, string>;
  readonly #missing: Map<Requirement, string>;
  readonly #built: Map<string, string>;
  /** What was found, and which: "Node" to "v20.1.0". */
  readonly versions: ReadonlyMap<string, string>;

  private constructor(
    folder: string,
    pythons: Map<Requirement, string>,
    missing: Map<Requirement, string>,
    built: Map<string, string>,
    versions: Map<string, string>,
  ) {
    this.#folder = folder;
    this.#pythons = pythons;
    this.#missing = missing;
    this.#built = built;
    this.versions = versions;
  }

  /** Looks for all of them, and compiles what is written in C. */
  static async find(): Promise<Tools> {
    const versions = new Map<string, string>();
    const missing = new Map<Requirement, string>();
    const pythons = new Map<Requirement, string>();

    // Where there is no Node, Deno may answer in its place.
    const node = await ask("node", "--version");
    if (!node?.startsWith("v")) missing.set("node", PACKAGES.node);
    else versions.set("Node", node);

    for (const library of ["twisted", "trio"] as const) {
      const program =
        `import sys, ${library}; print(${library}.__version__, "on Python", sys.version.split()[0])`;
      for (const python of PYTHONS) {
        const version = await ask(python, "-c", program);
        if (version === undefined) continue;
        pythons.set(library, python);
        versions.set(library === "trio" ? "trio" : "Twisted", version);
        break;
      }
      if (!pythons.has(library)) missing.set(library, PACKAGES[library]);
    }

    const folder = await Deno.makeTempDir({ prefix: "interleave_bench_" });
    const built = new Map<string, string>();
    const compiler = await ask("cc", "--version");
    if (compiler === undefined) missing.set("cc", PACKAGES.cc);
    else {
      versions.set("C compiler", compiler);
      const failure = await build(folder, built);
      if (failure !== undefined) missing.set("cc", failure);
    }
    return new Tools(folder, pythons, missing, built, versions);
  }

  /** Why one of the peers cannot be measured here, if it cannot. */
  absence(who: string): string | undefined {
    const need = NEEDS[who];
    return need && this.#missing.get(need);
  }

  /** What a program of `peers/` is started with. */
  command(
    program: string,
    ...parameters: readonly (string | number)[]
  ): string[] {
    const words = parameters.map(String);
    if (program.endsWith(".c")) {
      const path = this.#built.get(program);
      if (path === undefined) throw new Error(`"${program}" was not built`);
      return [path, ...words];
    }
    const path = PEERS + program;
    if (program.endsWith(".py")) {
      const library = program.includes("trio") ? "trio" : "twisted";
      return [this.#pythons.get(library)!, path, ...words];
    }
    // A program that is measured need not ask for permissions one by one; they
    // are checked all the same.
    return [Deno.execPath(), "run", "--quiet", "--allow-all", path, ...words];
  }

  /** The same for a program of Node's. */
  node(program: string, ...parameters: readonly (string | number)[]): string[] {
    return ["node", PEERS + program, ...parameters.map(String)];
  }

  /**
   * The same for a program that is there in C and, for machines without a
   * compiler, in TypeScript.
   */
  helper(name: string, ...parameters: readonly (string | number)[]): string[] {
    const program = this.#built.has(`${name}.c`) ? `${name}.c` : `${name}.ts`;
    return this.command(program, ...parameters);
  }

  /** What the helpers are written in, for the report. */
  get helpers(): string {
    return this.#built.has("load.c")
      ? "in C"
      : `in TypeScript (missing: ${this.#missing.get("cc")})`;
  }

  /** A line for each peer that is missing. */
  absences(): string[] {
    return [...this.#missing].map(([need, reason]) => {
      const who = Object.keys(NEEDS).filter((name) => NEEDS[name] === need);
      return `missing: ${reason} (${who.join(", ")})`;
    });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

/** Compiles all there is in C; says what went wrong, if something did. */
async function build(
  folder: string,
  built: Map<string, string>,
): Promise<string | undefined> {
  for await (const { name } of Deno.readDir(PEERS)) {
    if (!name.endsWith(".c")) continue;
    const path = `${folder}/${name.slice(0, -2)}`;
    const { success, stderr } = await new Deno.Command("cc", {
      args: ["-O2", "-Wall", "-o", path, PEERS + name],
      stderr: "piped",
    }).output();
    if (!success) {
      const [line] = new TextDecoder().decode(stderr).split("\n");
      return `"${name}" does not compile: ${line}`;
    }
    built.set(name, path);
  }
  return undefined;
}

/** The first line that a command prints; undefined if it fails. */
async function ask(
  command: string,
  ...args: string[]
): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(command, {
      args,
      stderr: "null",
    }).output();
    if (!success) return undefined;
    return new TextDecoder().decode(stdout).split("\n")[0]!.trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
