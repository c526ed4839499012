/**
 * Serves this package as JSR would, from a folder: `JSR_URL` set to its address
 * makes `jsr:@interleave/reactor` mean the files of this checkout, and
 * `jsr:@std/assert` its stand-in.
 *
 * @module
 */

const CHECKOUT = new URL("../", import.meta.url);

/** What a registry has to know of a package. */
export interface Package {
  /** Its name, with its scope. */
  name: string;
  /** The only version that there is of it. */
  version: string;
  /** Its entry points. */
  exports: Record<string, string>;
  /** The files and folders that are published. */
  publish: { include: string[] };
}

/**
 * What a registry tells about one file of a package. Deno 2.9 compares neither
 * with the file when the registry is a folder.
 */
interface ManifestEntry {
  size: number;
  checksum: string;
}

/** What the examples of the documentation import besides this package. */
const ASSERT: Package = {
  name: "@std/assert",
  version: "1.0.0",
  exports: { ".": "./assert.ts" },
  publish: { include: ["assert.ts", "equal.ts"] },
};

/** What deno.json says of this package. */
export async function readPackage(): Promise<Package> {
  return JSON.parse(await Deno.readTextFile(new URL("deno.json", CHECKOUT)));
}

/**
 * Lays out a registry in an empty folder, with exactly the files that would be
 * published. Returns the value for `JSR_URL`.
 */
export async function layOutRegistry(folder: string): Promise<string> {
  await layOut(folder, await readPackage(), CHECKOUT);
  await layOut(folder, ASSERT, new URL("tests/offline/", CHECKOUT));
  return `file://${folder}/`;
}

async function layOut(
  folder: string,
  { name, version, exports, publish }: Package,
  source: URL,
): Promise<void> {
  const home = `${folder}/${name}`;
  const manifest: Record<string, ManifestEntry> = {};
  for await (const path of publishedFiles(publish.include, source)) {
    const bytes = await Deno.readFile(new URL(path, source));
    const target = `${home}/${version}/${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), {
      recursive: true,
    });
    await Deno.writeFile(target, bytes);
    manifest[`/${path}`] = {
      size: bytes.length,
      checksum: `sha256-${await sha256(bytes)}`,
    };
  }
  const [scope, shortName] = name.slice(1).split("/");
  await writeJson(`${home}/meta.json`, {
    scope,
    name: shortName,
    latest: version,
    versions: { [version]: {} },
  });
  await writeJson(`${home}/${version}_meta.json`, { exports, manifest });
}

/** The files that are listed, and those in the folders that are. */
export async function* publishedFiles(
  paths: readonly string[],
  source: URL = CHECKOUT,
): AsyncGenerator<string> {
  for (const path of paths) {
    const { isDirectory } = await Deno.stat(new URL(path, source));
    if (!isDirectory) {
      yield path;
      continue;
    }
    const entries = await Array.fromAsync(Deno.readDir(new URL(path, source)));
    yield* publishedFiles(
      entries.map((entry) => `${path}/${entry.name}`),
      source,
    );
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(value));
}
