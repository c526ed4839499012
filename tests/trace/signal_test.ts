/**
 * A table on request, by a signal that this process sends to itself.
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { signalNumber } from "../../ffi/signal_numbers.ts";
import { Reactor, type ReactorReport } from "../../mod.ts";
import { inspectOnSignal } from "../../src/trace/mod.ts";
import { macrotask, testBackends, until } from "../descriptors.ts";
import { runProgram } from "../program.ts";

function send(signal: Deno.Signal): void {
  libc().kill(Deno.pid, signalNumber(signal)!);
}

testBackends(
  "inspectOnSignal() prints the table at each SIGUSR2, until it is disposed of",
  async ({ reactor }) => {
    const tables: string[] = [];
    const print = (table: string) => void tables.push(table);
    reactor.interleave();
    reactor.callLater(60_000, function remind() {});
    // Otherwise the signal ends the process when nobody listens any more.
    using _other = inspectOnSignal(reactor, { print() {} });
    {
      using _listening = inspectOnSignal(reactor, { print });
      for (const count of [1, 2]) {
        send("SIGUSR2");
        await until(() => tables.length === count);
      }
    }
    for (const table of tables) assertStringIncludes(table, "remind");
    let seen = 0;
    using _last = inspectOnSignal(reactor, { print: () => seen++ });
    send("SIGUSR2");
    await until(() => seen > 0);
    assertEquals(tables.length, 2);
  },
);

testBackends(
  "inspectOnSignal() prints nothing while this thread is blocked, and then what is true then",
  async ({ reactor }) => {
    const tables: string[] = [];
    const print = (table: string) => void tables.push(table);
    using _listening = inspectOnSignal(reactor, { print });
    let ran = 0;
    reactor.callLater(5, () => ran++);
    send("SIGUSR2");
    while (ran === 0) reactor.iterate(-1); // Deno's own loop stands still.
    assertEquals(tables, []);
    reactor.callLater(60_000, function made() {});
    await until(() => tables.length > 0);
    assertStringIncludes(tables[0]!, "made");
  },
);

Deno.test("inspectOnSignal() listens for another signal, and inspects anything that can be inspected", async () => {
  const tables: string[] = [];
  const report: ReactorReport = {
    ...new Reactor().inspect(),
    label: "another",
  };
  {
    using _listening = inspectOnSignal({ inspect: () => report }, {
      signal: "SIGWINCH",
      print: (table) => void tables.push(table),
    });
    send("SIGWINCH");
    await until(() => tables.length > 0);
  }
  send("SIGWINCH"); // Which nobody heeds unless told to.
  await macrotask();
  assertEquals(tables.length, 1);
  assertStringIncludes(tables[0]!, 'Reactor "another"');
});

for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
  Deno.test(`inspectOnSignal() keeps no process alive, and prints to standard error [${signal}]`, async () => {
    const { code, stdout, stderr } = await runProgram(`
    import { inspectOnSignal } from "${new URL(
      "../../src/trace/mod.ts",
      import.meta.url,
    )}";
    import { libc } from "${new URL("../../ffi/libc.ts", import.meta.url)}";
    const reactor = new interleave.Reactor({ label: "mine" });
    inspectOnSignal(reactor, { signal: "${signal}" });
    libc().kill(Deno.pid, ${signalNumber(signal)});
    const { error } = console;
    await new Promise((resolve) => console.error = (...args) => {
      error(...args);
      resolve();
    });
    console.log("the end");
  `);
    assertEquals({ code, stdout }, { code: 0, stdout: "the end\n" }, stderr);
    // Deno may have a word to say about SIGUSR1 as well.
    assertStringIncludes(stderr, 'Reactor "mine": not started');
  });
}

Deno.test("inspectOnSignal() refuses bad arguments, and names them", () => {
  const reactor = new Reactor();
  for (
    const [first, options, message] of [
      [undefined, {}, '"reactor" must be a reactor, received undefined'],
      [{}, {}, '"reactor.inspect" must be a function, received undefined'],
      [reactor, null, '"options" must be an object, received null'],
      [reactor, { signal: 12 }, '"options.signal" must be a string'],
      [reactor, { print: "" }, '"options.print" must be a function'],
    ] as const
  ) {
    assertThrows(
      () =>
        inspectOnSignal(
          first as Reactor,
          options as unknown as { print(): void },
        ),
      TypeError,
      `Cannot inspect on a signal: ${message}`,
    );
  }
  assertThrows(
    () => inspectOnSignal(reactor, { signal: "SIGNONE" as Deno.Signal }),
    TypeError,
  );
});
