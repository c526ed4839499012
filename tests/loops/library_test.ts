import { assertEquals, assertStringIncludes } from "@std/assert";
import { runProgram } from "../program.ts";
import { missingPackages, testToolkit } from "./toolkit.ts";

// Two libraries that come with glibc, need nothing else, and that Deno does
// not use.
const missing = await missingPackages({
  libraries: { "libanl.so.1": "libc6", "libBrokenLocale.so.1": "libc6" },
  windows: false,
});

/** Where glibc is: the ones that the package tries, too. */
const LIBC_PATHS = [
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

const library = JSON.stringify(
  import.meta.resolve("../../ffi/toolkits/library.ts"),
);
const libcModule = JSON.stringify(import.meta.resolve("../../ffi/libc.ts"));

/** What the programs have in common. */
const PRELUDE = `
  const { openToolkit } = await import(${library});
  const { libcPath } = await import(${libcModule});
  const RTLD_NOW = 2, RTLD_NOLOAD = 4;
  function toolkit(...names) {
    const packages = { debian: "libit1", fedora: "it", homebrew: "its" };
    return { name: "It", names: { linux: names, darwin: names }, packages };
  }
  function attempt(f) {
    try {
      return f();
    } catch (error) {
      console.log(error.constructor.name + ": " + error.message);
      if (error.cause) console.log("Cause: " + error.cause.message);
    }
  }
  /** Whether a library is in the process. */
  function isLoaded(name) {
    const { dlopen, dlclose } = Deno.dlopen(libcPath(), {
      dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
      dlclose: { parameters: ["pointer"], result: "i32" },
    }).symbols;
    const text = new TextEncoder().encode(name + "\\0");
    const handle = dlopen(text, RTLD_NOW | RTLD_NOLOAD);
    // It counts as one more who has it open.
    if (handle !== null) dlclose(handle);
    return handle !== null;
  }
`;

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Runs code in a program of its own, and returns what it prints. */
async function run(
  code: string,
  permissions: string[] = ["--allow-ffi"],
): Promise<string> {
  const { code: status, stdout, stderr } = await runProgram(PRELUDE + code, {
    permissions,
  });
  assertEquals({ status, stderr }, { status: 0, stderr: "" });
  return stdout;
}

Deno.test("openToolkit() names what it tried and all packages when the library is missing", async () => {
  const printed = await run(
    `attempt(() => openToolkit(toolkit("libit.so.2", "libit.so.1"), {}));`,
  );
  assertStringIncludes(
    printed,
    "NotFound: Cannot open It: tried libit.so.2, libit.so.1; the packages are Debian: libit1, Fedora: it, Homebrew: its\nCause: ",
  );
});

Deno.test("openToolkit() says so when there is no such library for the system", async () => {
  const printed = await run(
    `attempt(() => openToolkit({ ...toolkit("libit.so.1"), names: { plan9: ["it"] } }, {}));`,
  );
  assertEquals(
    printed,
    `NotSupported: Cannot open It: there is none for ${Deno.build.os}\n`,
  );
});

testToolkit(
  "openToolkit() names the function when the library that is there lacks it",
  missing,
  async () => {
    const printed = await run(`
    const symbols = { it_go: { parameters: [], result: "void" } };
    attempt(() => openToolkit(toolkit("libit.so.1", "libanl.so.1", "libit.so.2"), symbols));
  `);
    assertStringIncludes(
      printed,
      "NotSupported: Cannot open It: libanl.so.1 is there, but does not fit: ",
    );
    assertStringIncludes(printed, "undefined symbol: it_go");
  },
);

testToolkit(
  "openToolkit() takes the first library that is there and has the functions",
  missing,
  async () => {
    const printed = await run(`
    const symbols = { getaddrinfo: { type: "pointer" } };
    const { getaddrinfo } = openToolkit(toolkit("libit.so.1", "libanl.so.1"), symbols);
    console.log(Deno.UnsafePointer.value(getaddrinfo) !== 0n);
  `);
    assertEquals(printed, "true\n");
  },
);

Deno.test("openToolkit() leaves Deno's own error alone without --allow-ffi", async () => {
  const printed = await run(
    `attempt(() => openToolkit(toolkit("libit.so.1"), {}));`,
    ["--deny-ffi"],
  );
  assertStringIncludes(printed, "NotCapable: Requires ffi access to");
  assertStringIncludes(printed, '"--allow-ffi" flag');
});

testToolkit(
  "openToolkit() loads nothing that a scoped grant does not name",
  missing,
  async () => {
    const path = LIBC_PATHS.find(exists);
    const printed = await run(
      `attempt(() => openToolkit(toolkit("libanl.so.1"), {}));
       console.log(isLoaded("libanl.so.1"));`,
      [`--allow-ffi=${path}`],
    );
    assertEquals(
      printed,
      'NotCapable: Requires ffi access to "libanl.so.1", run again with the --allow-ffi flag\nfalse\n',
    );
  },
);

testToolkit(
  "openToolkit() keeps the library in the process when the worker that opened it has ended",
  missing,
  async () => {
    const printed = await run(
      `
    const { Worker } = process.getBuiltinModule("node:worker_threads");
    const PROGRAM = ${JSON.stringify(PRELUDE)} + \`
      openToolkit(toolkit("libanl.so.1"), {});
      Deno.dlopen("libBrokenLocale.so.1", {});
      console.log("opened", isLoaded("libanl.so.1"), isLoaded("libBrokenLocale.so.1"));
    \`;
    const url = "data:text/javascript," + encodeURIComponent(PROGRAM);
    const worker = new Worker(new URL(url));
    await new Promise((resolve) => worker.on("exit", resolve));
    // What Deno alone has opened, it closes. That may come after the event.
    while (isLoaded("libBrokenLocale.so.1")) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    console.log("other one gone", isLoaded("libanl.so.1"));
  `,
      ["--allow-ffi", "--allow-read"],
    );
    assertEquals(printed, "opened true true\nother one gone true\n");
  },
);
