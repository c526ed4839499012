/**
 * How many system calls things cost, counted by `strace`: a guard of the
 * reactor's speed that no busy machine can upset.
 *
 * Only what grows with the work is counted closely. How many turns the work
 * takes depends on the machine, and with them the calls of each turn.
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { Reactor } from "../src/reactor.ts";

libc(); // Opened once and for all: no test's leak.

const TIMES = 400;

const required = Deno.env.get("TOOLKITS") === "required";
const found = await isThere("strace");
if (required && !found) throw new Error("strace is required, and missing");

/** The calls of the main thread between the two marks of the program. */
async function callsOf(
  scenario: string,
  backend: string,
): Promise<Map<string, number>> {
  const log = await Deno.makeTempFile();
  try {
    const { code, stderr } = await new Deno.Command("strace", {
      args: [
        ...["-f", "-qq", "-o", log],
        "-e",
        "trace=close,write,sendto,sendmsg,recvfrom,recvmsg,epoll_ctl,epoll_wait,poll,fstat,newfstatat,fcntl",
        ...[Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-ffi"],
        new URL("programs/system_calls.ts", import.meta.url).pathname,
        ...[scenario, backend, String(TIMES)],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    return between(await Deno.readTextFile(log));
  } finally {
    await Deno.remove(log);
  }
}

function between(log: string): Map<string, number> {
  const lines = log.split("\n");
  const first = lines.findIndex((line) => line.includes("close(-1001"));
  const last = lines.findIndex((line) => line.includes("close(-1002"));
  assert(first >= 0 && last > first, "the marks are not there");
  const thread = lines[first]!.split(" ")[0]!;
  const fds = Array.from(
    log.matchAll(/close\(-2(\d{3})/g),
    ([, number]) => Number(number),
  );
  assertEquals(fds.length, 2);
  const calls = new Map<string, number>();
  for (const line of lines.slice(first + 1, last)) {
    if (!line.startsWith(`${thread} `)) continue;
    const kind = kindOf(line, fds);
    if (kind !== undefined) calls.set(kind, (calls.get(kind) ?? 0) + 1);
  }
  return calls;
}

/** What a line counts as: a look at the kernel, or a call for a descriptor. */
function kindOf(line: string, fds: readonly number[]): string | undefined {
  // A call that another thread's line interrupts is resumed on a later one.
  const [, name = "", args = ""] = /^\d+ +(\w+)\((.*)/.exec(line) ?? [];
  if (name === "epoll_wait" || name === "poll") {
    // Deno's own wait has a timeout.
    return /, 0(\)| <)/.test(args) ? "look" : undefined;
  }
  const words = args.split(/[,)]/);
  const fd = Number(name === "epoll_ctl" ? words[2] : words[0]);
  return fds.includes(fd) ? KINDS[name] ?? name : undefined;
}

/** Names that C libraries and kernels have for the same. */
const KINDS: Readonly<Record<string, string>> = {
  newfstatat: "fstat",
  recvfrom: "receive",
  recvmsg: "receive",
  sendto: "send",
  sendmsg: "send",
};

function testCalls(
  behaviour: string,
  scenario: string,
  check: (count: (name: string) => number, backend: string) => void,
): void {
  for (const backend of ["epoll", "poll"]) {
    Deno.test({
      name: found
        ? `${behaviour} [${backend}]`
        : `${behaviour} [${backend}] (install strace to run this)`,
      ignore: !found,
      fn: async () => {
        const calls = await callsOf(scenario, backend);
        check((name) => calls.get(name) ?? 0, backend);
      },
    });
  }
}

testCalls(
  "an event of an owned descriptor costs one look and what its reader does",
  "pingPong",
  (count) => {
    assertEquals(count("write"), TIMES - 1);
    assertEquals(count("epoll_ctl"), 0);
    assertEquals(count("fstat"), 0);
    // One look for each event, and two more at the end of a turn, of which
    // there are no more than events.
    assertLess(count("look"), 3 * TIMES + 10);
  },
);

testCalls(
  "an interest that is taken back in the same callback costs nothing",
  "undone",
  (count, backend) => {
    assertEquals(count("write"), TIMES - 1);
    assertEquals(count("epoll_ctl"), 0);
    // A table knows numbers only: each that is looked at anew is compared.
    if (backend === "epoll") assertEquals(count("fstat"), 0);
  },
);

testCalls(
  "a message through a connection costs one recv() and one send()",
  "echo",
  (count) => {
    assertEquals(count("receive"), TIMES);
    assertEquals(count("send"), TIMES);
    assertEquals(count("epoll_ctl"), 0);
    assertEquals(count("fcntl"), 0);
  },
);

for (const backend of ["epoll", "poll"] as const) {
  Deno.test(`what is asked for inside of a callback wakes nobody [${backend}]`, async () => {
    await using reactor = new Reactor({ backend });
    reactor.callLater(0, () => {
      const { wakes } = reactor.inspect().counters;
      for (let i = 0; i < TIMES; i++) {
        reactor.callFromThread(() => {});
        reactor.callLater(0, () => {});
      }
      assertEquals(reactor.inspect().counters.wakes, wakes);
      reactor.stop();
    });
    await reactor.run();
  });

  Deno.test(`what is asked for while the worker waits wakes it once [${backend}]`, async () => {
    await using reactor = new Reactor({ backend });
    // With a callback behind it the worker is up, and waits.
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.callLater(0, resolve);
    const ended = reactor.run();
    await promise;
    const { wakes } = reactor.inspect().counters;
    for (let i = 0; i < TIMES; i++) reactor.callFromThread(() => {});
    assertEquals(reactor.inspect().counters.wakes, wakes + 1);
    reactor.stop();
    await ended;
  });
}

async function isThere(command: string): Promise<boolean> {
  try {
    await new Deno.Command(command, { args: ["-V"], stdout: "null" }).output();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
