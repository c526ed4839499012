import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor, openFile } from "../../ffi/descriptor.ts";
import { check } from "../../ffi/errno.ts";
import { libc, libcPath } from "../../ffi/libc.ts";
import { BlockingQueue } from "../../src/blocking_queue.ts";
import { ConnectionLost, ReactorNotRunning } from "../../src/errors.ts";
import { NameLookupError } from "../../src/net/errors.ts";
import { lookUp, type NameLookupResult } from "../../src/net/resolver.ts";
import { Reactor } from "../../src/reactor.ts";
import { macrotask, PATIENCE, testBackends, until } from "../descriptors.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { untilStarted, withWorkers } from "../workers.ts";

// The C library stays open after its first use, which the sanitizer would take
// for a leak of the test that comes first.
libc();

/** A name with an empty label, of which nobody needs to be asked. */
const NO_NAME = "no..name";

/** Looks a name up, and waits for the answer. */
function answer(reactor: Reactor, hostname: string): Promise<NameLookupResult> {
  return new Promise((resolve) => lookUp(reactor, hostname, resolve));
}

/** The error of a look-up that must fail. */
async function failureOf(
  reactor: Reactor,
  hostname: string,
): Promise<NameLookupError> {
  const { error } = await answer(reactor, hostname);
  assertInstanceOf(error, NameLookupError);
  return error;
}

function assertLoopback(result: NameLookupResult): void {
  const { addresses } = result;
  assert(addresses !== undefined && addresses.length > 0);
  for (const address of addresses) {
    assertMatch(address, /^(127\.\d+\.\d+\.\d+|::1)$/);
  }
  assertEquals(new Set(addresses).size, addresses.length);
}

function ignore(): void {}

testBackends(
  "lookUp() answers with the address itself, later and without a thread of its own, when it is one",
  ({ reactor }) =>
    withWorkers(async (workers) => {
      reactor.interleave();
      reactor.callLater(PATIENCE, ignore); // Something to wait for.
      await untilStarted(workers);
      for (
        const address of ["127.0.0.1", "::1", "2001:DB8::1", "fe80::1%nowhere"]
      ) {
        let inside = true;
        const result = new Promise<NameLookupResult>((resolve) =>
          lookUp(reactor, address, (result) => {
            assertFalse(inside);
            resolve(result);
          })
        );
        inside = false;
        assertEquals(await result, { addresses: [address] });
      }
      assertEquals(workers.length, 1); // The reactor's.
    }),
);

testBackends(
  "lookUp() finds this machine when the name is localhost or below it",
  async ({ reactor }) => {
    reactor.interleave();
    const names = ["localhost", "LocalHost", "localhost.", "www.localhost"];
    for (
      const result of await Promise.all(
        names.map((name) => answer(reactor, name)),
      )
    ) {
      assertLoopback(result);
    }
  },
);

testBackends(
  "lookUp() takes the old forms of IPv4 addresses",
  async ({ reactor }) => {
    reactor.interleave();
    assertEquals(await answer(reactor, "127.1"), { addresses: ["127.0.0.1"] });
  },
);

testBackends(
  "lookUp() gives a NameLookupError when there is no such name",
  async ({ reactor }) => {
    reactor.interleave();
    // Somebody, or nobody, is asked for this one (RFC 6761).
    const error = await failureOf(reactor, "nothing.invalid");
    assertMatch(
      error.message,
      /^Cannot look up "nothing\.invalid": .+ \(EAI_[A-Z]+\)$/,
    );
    assertMatch(error.code!, /^EAI_(NONAME|NODATA|AGAIN|FAIL)$/);
    assertEquals(error.errno, undefined);
  },
);

testBackends(
  "lookUp() gives a NameLookupError when it can't be a name",
  async ({ reactor }) => {
    reactor.interleave();
    const names = [
      NO_NAME,
      " ",
      "[::1]",
      "x".repeat(100_000),
      "\u{d800}",
      "ä..ö",
    ];
    for (const name of names) {
      const error = await failureOf(reactor, name);
      assertStringIncludes(error.message, "Cannot look up ");
      assertMatch(error.code!, /^EAI_/);
    }
  },
);

testBackends(
  "lookUp() asks for the ASCII form of a name when it has other characters",
  async ({ reactor }) => {
    reactor.interleave();
    // Fullwidth letters are the same name (UTS 46).
    assertLoopback(await answer(reactor, "ｌｏｃａｌｈｏｓｔ"));
  },
);

testBackends(
  "lookUp() answers all when many ask at once",
  async ({ reactor }) => {
    reactor.interleave();
    const many = Array.from({ length: 200 }, (_, i) => i);
    const results = await Promise.all(
      many.map((i) => answer(reactor, i % 2 === 0 ? "localhost" : NO_NAME)),
    );
    for (const [i, result] of results.entries()) {
      if (i % 2 === 0) assertLoopback(result);
      else assertEquals(result.error?.code, "EAI_NONAME");
    }
  },
);

testBackends(
  "lookUp() calls the others when one throws, and reports what it threw",
  async (bench) => {
    const { reactor } = bench;
    reactor.interleave();
    const thrown = [new Error("One"), new Error("Two")];
    // Each look-up has a thread of its own: any of them may be the last.
    const called = ["localhost", "127.0.0.1"].map((name, i) =>
      new Promise<void>((resolve) =>
        lookUp(reactor, name, () => {
          resolve();
          throw thrown[i];
        })
      )
    );
    assertLoopback(await answer(reactor, "localhost"));
    await Promise.all(called);
    assertLoopback(await answer(reactor, "localhost"));
    assertEquals(new Set(bench.takeErrors()), new Set(thrown));
  },
);

testBackends(
  "lookUp() calls nobody when it is cancelled, at whatever time",
  async ({ reactor }) => {
    reactor.interleave();
    const called: string[] = [];
    const forget = (hostname: string) =>
      lookUp(reactor, hostname, () => called.push(hostname));
    // Before the question is put.
    forget("localhost")();
    forget("127.0.0.1")();
    // When the worker has it.
    const asked = forget("localhost");
    reactor.callLater(0, asked);
    // When it is answered.
    const cancel = forget("localhost");
    await answer(reactor, "localhost");
    cancel();
    cancel();
    await answer(reactor, "localhost");
    assertEquals(called, ["localhost"]);
    assertEquals(reactor.getReaders(), []);
  },
);

testBackends(
  "lookUp() works while Deno's own loop stands still",
  ({ reactor, backend }) => {
    const queue = new BlockingQueue();
    const blocked = new Reactor({ backend });
    blocked.interleave(queue);
    const results: NameLookupResult[] = [];
    for (const name of ["localhost", NO_NAME, "::1"]) {
      lookUp(blocked, name, (result) => results.push(result));
    }
    const end = performance.now() + PATIENCE;
    while (results.length < 3) {
      assertLess(performance.now(), end);
      queue.get(PATIENCE)?.();
    }
    assertEquals(results[0], { addresses: ["::1"] });
    lookUp(reactor, "localhost", (result) => results.push(result));
    while (results.length < 4) {
      assertLess(performance.now(), end);
      reactor.iterate(10);
    }
    assertLoopback(results[3]!);
    return blocked.close();
  },
);

testBackends(
  "lookUp() begins when the reactor does",
  ({ reactor }) =>
    withWorkers(async (workers) => {
      const result = answer(reactor, "localhost");
      await macrotask();
      assertEquals(workers.length, 0);
      reactor.interleave();
      assertLoopback(await result);
    }),
);

testBackends(
  "lookUp() asks again when the reactor has crashed and begins anew",
  async ({ reactor }) => {
    reactor.interleave();
    const before = answer(reactor, "localhost");
    // So that it is in the worker's hands.
    await new Promise<void>((resolve) => void reactor.callLater(0, resolve));
    reactor.crash();
    const between = answer(reactor, NO_NAME);
    await reactor.finished;
    reactor.interleave();
    assertLoopback(await before);
    assertEquals((await between).error?.code, "EAI_NONAME");
    // And when it begins at once.
    const last = answer(reactor, "localhost");
    await new Promise<void>((resolve) => void reactor.callLater(0, resolve));
    reactor.crash();
    reactor.interleave();
    assertLoopback(await last);
  },
);

testBackends(
  "lookUp() gives an error to all who wait when the reactor stops",
  async (bench) => {
    const { reactor } = bench;
    reactor.interleave();
    await answer(reactor, "localhost");
    const thrown = [new Error("One"), new Error("Two")];
    const errors: (Error | undefined)[] = [];
    reactor.addSystemEventTrigger("before", "shutdown", () => {
      for (const name of ["localhost", "127.0.0.1"]) {
        lookUp(reactor, name, ({ error }) => errors.push(error));
      }
      for (const error of thrown) {
        lookUp(reactor, "localhost", () => {
          throw error;
        });
      }
    });
    reactor.stop();
    await reactor.finished;
    assertEquals(errors.length, 2);
    for (const error of errors) {
      assertInstanceOf(error, NameLookupError);
      assertStringIncludes(error.message, ": The reactor has stopped");
      assertInstanceOf(error.cause, ConnectionLost);
    }
    const [report] = bench.takeErrors();
    assertInstanceOf(report, AggregateError);
    assertEquals(report.errors, thrown);
    assertThrows(
      () => lookUp(reactor, "localhost", ignore),
      ReactorNotRunning,
      'Cannot look up "localhost": the reactor has stopped',
    );
  },
);

testBackends(
  "lookUp() throws BadResource when the reactor is closed",
  async ({ reactor }) => {
    await reactor.close();
    for (const name of ["localhost", "::1"]) {
      assertThrows(
        () => lookUp(reactor, name, ignore),
        Deno.errors.BadResource,
      );
    }
  },
);

testBackends(
  "lookUp() throws TypeError when an argument is of no use",
  ({ reactor }) => {
    for (const name of ["", "a\0b", undefined, 127, null]) {
      assertThrows(
        () => lookUp(reactor, name as string, ignore),
        TypeError,
        '"hostname" must be a string with at least one character and no NUL',
      );
    }
    assertThrows(
      () => lookUp(reactor, "localhost", 5 as unknown as typeof ignore),
      TypeError,
      '"done" must be a function, received 5',
    );
  },
);

Deno.test("lookUp() leaves no descriptor and no thread behind when the reactors have ended, however they did", async () => {
  const before = await countAtRest();
  for (let i = 0; i < 3; i++) {
    await using one = new Reactor();
    await using other = new Reactor({ backend: "poll" });
    one.interleave();
    other.interleave();
    await Promise.all([answer(one, "localhost"), answer(other, NO_NAME)]);
    // Idle, with a question under way, and crashed with one under way.
    lookUp(other, "localhost", ignore);
    const crashed = new Reactor();
    crashed.interleave();
    lookUp(crashed, "localhost", ignore);
    await new Promise<void>((resolve) => void crashed.callLater(0, resolve));
    crashed.crash();
    await crashed.close();
    // A reactor that never ran has no worker for names either.
    const unused = new Reactor();
    lookUp(unused, "localhost", ignore);
    await unused.close();
  }
  await assertNothingLeft(before);
});

/**
 * A name that the C library hangs on for as long as the test likes: glibc looks
 * for names without a dot in the file that HOSTALIASES names, here a FIFO, which
 * it can't open before somebody opens it for writing (fifo(7)).
 */
class HangingName implements Disposable {
  readonly name = "hanging";
  readonly #directory = Deno.makeTempDirSync();
  readonly path = `${this.#directory}/fifo`;
  #writingEnd = -1;

  constructor() {
    const path = new TextEncoder().encode(`${this.path}\0`);
    check(libc().mkfifo(path, 0o600), "Cannot make a FIFO");
    Deno.env.set("HOSTALIASES", this.path);
  }

  /** Waits until a thread hangs; from then on it waits for something to read. */
  async hangs(): Promise<void> {
    await until(() => {
      try {
        const flags = POSIX.O_WRONLY | POSIX.O_NONBLOCK;
        this.#writingEnd = openFile(this.path, flags);
        return true;
      } catch {
        return false; // Nobody wants to read yet (ENXIO).
      }
    });
  }

  [Symbol.dispose](): void {
    Deno.env.delete("HOSTALIASES");
    if (this.#writingEnd >= 0) closeDescriptor(this.#writingEnd);
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

const onGlibc = libcPath().endsWith("libc.so.6");
if (!onGlibc) {
  console.log("Left out: names that hang, for which these tests need glibc");
}

Deno.test({
  name:
    "lookUp() answers others when a name hangs, and a stop does not wait for it",
  ignore: !onGlibc,
  async fn() {
    const before = await countAtRest();
    {
      using hanging = new HangingName();
      await using reactor = new Reactor();
      reactor.interleave();
      const late: NameLookupResult[] = [];
      lookUp(reactor, hanging.name, (result) => late.push(result));
      await hanging.hangs();
      for (let i = 0; i < 3; i++) {
        assertLoopback(await answer(reactor, "localhost"));
      }
      assertEquals(late, []);
      await reactor.close();
      assertInstanceOf(late[0]?.error?.cause, ConnectionLost);
    }
    await assertNothingLeft(before);
  },
});

Deno.test({
  name:
    "lookUp() gives an error when its thread dies, and works again with another",
  ignore: !onGlibc,
  async fn() {
    const before = await countAtRest();
    await withWorkers(async (workers) => {
      using hanging = new HangingName();
      await using reactor = new Reactor();
      reactor.interleave();
      reactor.callLater(PATIENCE, ignore); // Something to wait for.
      await untilStarted(workers);
      const lost = failureOf(reactor, hanging.name);
      await hanging.hangs();
      assertEquals(workers.length, 2);
      await workers[1]!.terminate();
      assertStringIncludes(
        (await lost).message,
        `Cannot look up "${hanging.name}": The worker ended by itself`,
      );
      assertLoopback(await answer(reactor, "localhost"));
      assertEquals(workers.length, 3);
    });
    await assertNothingLeft(before);
  },
});

/**
 * Runs a program to its end. It has `lookUp` and a running `reactor`, and the
 * functions for descriptors as `ffi`.
 */
async function run(
  permission: string,
  body: string,
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const source = `
    import { lookUp } from "${
    import.meta.resolve("../../src/net/resolver.ts")
  }";
    import * as ffi from "${import.meta.resolve("../../ffi/mod.ts")}";
    import { Reactor } from "${import.meta.resolve("../../mod.ts")}";
    const reactor = new Reactor();
    reactor.interleave();
    ${body}`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      permission,
      `data:text/javascript,${encodeURIComponent(source)}`,
    ],
    env: { NO_COLOR: "1", ...env },
    signal: AbortSignal.timeout(3 * PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

const LOOK_UP = `lookUp(reactor, "localhost", ({ addresses }) => {
  console.log(addresses.length > 0);
});`;

Deno.test("lookUp() keeps the process alive until it has answered, and no longer", async () => {
  assertEquals(await run("--allow-ffi", LOOK_UP), {
    code: 0,
    stdout: "true\n",
    stderr: "",
  });
});

Deno.test({
  name: "lookUp() lets the process end when nobody waits for a name that hangs",
  ignore: !onGlibc,
  async fn() {
    using hanging = new HangingName();
    const outcome = await run(
      "--allow-ffi",
      `const cancel = lookUp(reactor, "${hanging.name}", () => console.log("never"));
      const interval = setInterval(() => {
        try {
          ffi.openFile("${hanging.path}", ffi.POSIX.O_WRONLY | ffi.POSIX.O_NONBLOCK);
        } catch {
          return; // It does not hang yet.
        }
        clearInterval(interval);
        console.log("hangs");
        cancel();
      }, 1);`,
    );
    assertEquals(outcome, { code: 0, stdout: "hangs\n", stderr: "" });
  },
});

Deno.test("lookUp() needs no more than --allow-ffi scoped to the C library", async (t) => {
  const path = [
    `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/usr/lib/libSystem.B.dylib",
  ].find((path) => {
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
      assertEquals(await run(`--allow-ffi=${path}`, LOOK_UP), {
        code: 0,
        stdout: "true\n",
        stderr: "",
      });
    },
  });
});

Deno.test("lookUp() gives an error when there is no descriptor left for a worker, and works again when there is", async () => {
  const outcome = await run(
    "--allow-ffi",
    `// The reactor's own worker first: it would not come up either.
    await new Promise((resolve) => reactor.callLater(0, resolve));
    const taken = [];
    try {
      for (;;) taken.push(ffi.duplicate(0));
    } catch {
      // Now there are none.
    }
    // Enough for a pipe, too few for a worker.
    for (const free of [0, 4]) {
      for (let i = 0; i < free; i++) ffi.closeDescriptor(taken.pop());
      const { error } = await new Promise((resolve) =>
        lookUp(reactor, "localhost", resolve)
      );
      console.log(error.name, error.code);
    }
    for (const fd of taken) ffi.closeDescriptor(fd);
    ${LOOK_UP}`,
  );
  assertEquals(outcome, {
    code: 0,
    stdout: "NameLookupError EMFILE\nNameLookupError EMFILE\ntrue\n",
    stderr: "",
  });
});

testBackends(
  "lookUp() fails when the reactor cannot wait for the answers, and works when it can again",
  async ({ reactor }) => {
    reactor.interleave();
    const first = answer(reactor, NO_NAME);
    const find = () =>
      reactor.getReaders().find(({ label }) =>
        label === "look-up of host names"
      );
    await until(() => find() !== undefined);
    const fd = find()!.fileno();
    await first;
    // Somebody else reads what the answers come through.
    const other = { fileno: () => fd, doRead: ignore, connectionLost: ignore };
    reactor.addReader(other);
    for (let i = 0; i < 2; i++) {
      const error = await failureOf(reactor, "localhost");
      assertStringIncludes(error.message, "already has another reader");
    }
    reactor.removeReader(other);
    assertLoopback(await answer(reactor, "localhost"));
  },
);
