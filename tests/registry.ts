/**
 * Serves this package as JSR would, from a folder: `JSR_URL` set to its address
 * makes `jsr:@interleave/reactor` mean the files of this checkout.
 *
 * @module
 */

const PACKAGE = new URL("../", import.meta.url);

/** What this module reads of deno.json. */
interface PackageConfig {
  name: string;
  version: string;
  exports: Record<string, string>;
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

/**
 * Lays out a registry in an empty folder, with this package as its only one, and
 * exactly the files that would be published. Returns the value for `JSR_URL`.
 */
export async function layOutRegistry(folder: string): Promise<string> {
  const config: PackageConfig = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", PACKAGE)),
  );
  const [scope, name] = config.name.slice(1).split("/");
  const home = `${folder}/${config.name}`;
  const manifest: Record<string, ManifestEntry> = {};
  for await (const path of publishedFiles(config.publish.include)) {
    const bytes = await Deno.readFile(new URL(path, PACKAGE));
    const target = `${home}/${config.version}/${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), {
      recursive: true,
    });
    await Deno.writeFile(target, bytes);
    manifest[`/${path}`] = {
      size: bytes.length,
      checksum: `sha256-${await sha256(bytes)}`,
    };
  }
  await writeJson(`${home}/meta.json`, {
    scope,
    name,
    latest: config.version,
    versions: { [config.version]: {} },
  });
  await writeJson(`${home}/${config.version}_meta.json`, {
    exports: config.exports,
    manifest,
  });
  return `file://${folder}/`;
}

/** The files that are listed, and those in the folders that are. */
async function* publishedFiles(paths: string[]): AsyncGenerator<string> {
  for (const path of paths) {
    const { isDirectory } = await Deno.stat(new URL(path, PACKAGE));
    if (!isDirectory) {
      yield path;
      continue;
    }
    const entries = await Array.fromAsync(Deno.readDir(new URL(path, PACKAGE)));
    yield* publishedFiles(entries.map((entry) => `${path}/${entry.name}`));
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(value));
}
