import { assert, assertEquals } from "@std/assert";
import { layOutRegistry } from "./registry.ts";

// The delayed call and the wait both need the worker, which therefore has to
// come up from a module that is in no checkout.
const PROGRAM = `
import { FileDescriptor, reactor } from "jsr:@interleave/reactor";
import * as ffi from "jsr:@interleave/reactor/ffi";

const [reader, writer] = FileDescriptor.pipe();
reactor.callLater(10, () => writer.write(new Uint8Array([42])));
const { readable } = await reactor.readable(reader);
const into = new Uint8Array(8);
const count = reader.read(into);
console.log(
  JSON.stringify({ readable, count, byte: into[0], ffi: typeof ffi }),
);
reader.close();
writer.close();
`;

/** Runs deno in a folder and returns what it printed. */
async function runDeno(
  args: string[],
  options: { cwd: string; env: Record<string, string> },
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    ...options,
    args,
    stdin: "null",
    signal: AbortSignal.timeout(120_000),
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("jsr:@interleave/reactor waits for a pipe when it comes from a registry", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    // Far from any deno.json and with nothing cached: as a stranger starts.
    const cwd = `${folder}/project`;
    const env = {
      JSR_URL: await layOutRegistry(`${folder}/registry`),
      DENO_DIR: `${folder}/deno_dir`,
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    };
    await Deno.mkdir(cwd);
    await Deno.writeTextFile(`${cwd}/main.ts`, PROGRAM);

    await runDeno(["check", "main.ts"], { cwd, env });
    const output = await runDeno(
      ["run", "--no-prompt", "--allow-ffi", "main.ts"],
      { cwd, env },
    );

    assertEquals(JSON.parse(output), {
      readable: true,
      count: 1,
      byte: 42,
      ffi: "object",
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
