import { assertEquals } from "@std/assert";

/** Runs code in a program that takes itself for one on another system. */
async function runOn(os: string, code: string): Promise<string> {
  const mod = JSON.stringify(import.meta.resolve("../mod.ts"));
  const ffi = JSON.stringify(import.meta.resolve("../ffi/mod.ts"));
  const program = `
    Object.defineProperty(Deno, "build", { value: { ...Deno.build, os: "${os}" } });
    const { FileDescriptor, Reactor } = await import(${mod});
    const { libc, linux } = await import(${ffi});
    function attempt(f) {
      try {
        f();
      } catch (error) {
        console.log(error.name + ": " + error.message);
      }
    }
    ${code}`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-ffi",
      `data:text/javascript,${encodeURIComponent(program)}`,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stderr) + decoder.decode(stdout);
}

const SENTENCE =
  "NotSupported: Cannot wait for file descriptors on windows: poll() is called through the C library of Linux or macOS\n";

Deno.test("on Windows the first use throws NotSupported with a sentence, and making a reactor does not", async () => {
  const output = await runOn(
    "windows",
    `const reactor = new Reactor();
    reactor.callLater(0, () => {});
    attempt(() => reactor.interleave());
    attempt(() => reactor.iterate());
    attempt(() => FileDescriptor.pipe());
    attempt(() => libc());
    await reactor.readable(0).catch((error) => attempt(() => { throw error; }));`,
  );
  assertEquals(output, SENTENCE.repeat(5));
});

Deno.test("where there is no epoll the backend is poll, and asking for the other throws NotSupported", async () => {
  const output = await runOn(
    "freebsd",
    `console.log(new Reactor().inspect().backend);
    attempt(() => new Reactor({ backend: "epoll" }).interleave());`,
  );
  assertEquals(
    output,
    "poll\n" + SENTENCE.replace("windows", "freebsd"),
  );
});
