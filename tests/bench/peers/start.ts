/**
 * What it costs to begin.
 *
 *     start.ts nothing|import|net|reactor
 *
 * Prints one line and stays, so that its memory can be looked at.
 */

const figures: Record<string, number> = {};
const root = new URL("../../../", import.meta.url);
// A name that is made up while running: what Deno can read beforehand it loads
// before the clock starts.
const step = Deno.args[0];
if (step === "import" || step === "reactor") await load("mod.ts");
if (step === "net") await load("src/net/mod.ts");
if (step === "reactor") {
  const { FileDescriptor, Reactor }: typeof import("../../../mod.ts") =
    await import(new URL("mod.ts", root).href);
  const [reader, writer] = FileDescriptor.pipe();
  writer.write(new Uint8Array(1));
  const start = performance.now();
  const reactor = new Reactor();
  await reactor.readable(reader);
  figures.first = performance.now() - start;
  // Now the worker is up as well.
  await new Promise<void>((resolve) => reactor.callLater(300, resolve));
}
console.log(JSON.stringify(figures));
setInterval(() => {}, 1_000_000);

async function load(path: string): Promise<void> {
  const start = performance.now();
  await import(new URL(path, root).href);
  figures.import = performance.now() - start;
}
