import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

/** Runs a program with these flags and nothing else, and without a terminal to ask. */
async function run(
  flags: string[],
  program: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", ...flags, program],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

const WHOLE_INTERFACE = "tests/programs/whole_interface.ts";

Deno.test("--allow-ffi alone is enough for the whole public interface", async () => {
  const { code, stdout, stderr } = await run(["--allow-ffi"], WHOLE_INTERFACE);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, /^\d+ things worked\n$/);
});

Deno.test("--allow-ffi scoped to the absolute path of the C library is enough for the whole public interface", async (t) => {
  const paths = [
    `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/usr/lib/libSystem.B.dylib",
  ];
  const path = paths.find((path) => {
    try {
      Deno.dlopen(path, {}).close();
      return true;
    } catch {
      return false;
    }
  });
  await t.step({
    name: path === undefined
      ? "ignored: the C library is at none of the paths that the reactor tries"
      : `with ${path}`,
    ignore: path === undefined,
    async fn() {
      const { code, stdout, stderr } = await run(
        [`--allow-ffi=${path}`],
        WHOLE_INTERFACE,
      );
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertMatch(stdout, /^\d+ things worked\n$/);
    },
  });
});

Deno.test("without --allow-ffi the first use throws Deno's own error, which names the flag that helps", async () => {
  const { code, stderr } = await run(
    [],
    "data:text/javascript," + encodeURIComponent(`
      import { Reactor } from ${
      JSON.stringify(import.meta.resolve("../mod.ts"))
    };
      const reactor = new Reactor();
      reactor.callLater(0, () => {});
      try {
        reactor.interleave();
      } catch (error) {
        console.error(error instanceof Deno.errors.NotCapable, error.message);
      }
      await reactor.run();
    `),
  );
  assertEquals(code, 1);
  assertStringIncludes(stderr, "true Requires ffi access to");
  assertStringIncludes(stderr, 'the bare "--allow-ffi" flag permits it');
});

Deno.test("importing the package needs no permission and opens nothing", async () => {
  const { code, stdout, stderr } = await run(
    [],
    "data:text/javascript," + encodeURIComponent(`
      const { Reactor } = await import(${
      JSON.stringify(import.meta.resolve("../mod.ts"))
    });
      await import(${JSON.stringify(import.meta.resolve("../ffi/mod.ts"))});
      await import(${JSON.stringify(import.meta.resolve("../src/testing.ts"))});
      new Reactor();
      console.log("imported");
    `),
  );
  assertEquals({ code, stdout, stderr }, {
    code: 0,
    stdout: "imported\n",
    stderr: "",
  });
});
