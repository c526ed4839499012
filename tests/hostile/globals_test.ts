// Programs that change what everybody uses: members on everybody's prototypes,
// globals that were replaced, as libraries with fake timers do it. Each runs in a
// process of its own, where the change comes before or after the reactor is
// loaded; the reactor works on.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { BACKENDS, PATIENCE } from "../descriptors.ts";

/**
 * Uses the reactor in every way for a while, and waits for nothing but the
 * reactor. It prints one line.
 */
const USE = `
  const errors = [];
  const reactor = new Reactor({
    backend: BACKEND,
    onError(error, where) {
      // A busy machine may make anything slow.
      if (error.name !== "CallbackTooSlow") errors.push([where, String(error)]);
    },
  });
  const bytes = new Uint8Array(1);
  const [output, input] = FileDescriptor.pipe();
  const [here, there] = FileDescriptor.socketpair();
  const [slow, end] = FileDescriptor.pipe();
  const counts = { reads: 0, writes: 0, calls: 0, queued: 0, answers: 0, steps: 0, lost: 0 };
  reactor.addReader({
    fileno: () => output.fileno(),
    doRead() {
      output.read(bytes);
      counts.reads++;
    },
    connectionLost: () => counts.lost++,
  });
  const writer = {
    fileno: () => there.fileno(),
    doWrite() {
      counts.writes++;
      reactor.removeWriter(writer);
    },
    connectionLost() {},
  };
  const running = reactor.run({ signals: false });
  reactor.attach({
    prepare: () => ({ descriptors: [], timeout: -1 }),
    dispatch: () => counts.steps++,
  });
  const watch = reactor.watch(slow, "readable");
  const queued = () => counts.queued++;
  for (let i = 0; i < 50; i++) {
    const waiting = reactor.readable(here);
    const next = watch.next();
    reactor.addWriter(writer);
    input.write(bytes);
    there.write(bytes);
    end.write(bytes);
    reactor.callFromThread(queued);
    const { promise, resolve } = Promise.withResolvers();
    reactor.callLater(i % 3, resolve);
    await promise;
    counts.calls++;
    await waiting;
    here.read(bytes);
    if (!(await next).done) counts.answers++;
    slow.read(bytes);
  }
  // Events that come while nobody waits for them.
  for (let i = 0; i < 2000; i++) {
    await new Promise((resolve) => reactor.callFromThread(resolve));
  }
  const stop = new AbortController();
  const waiting = reactor.readable(here, { signal: stop.signal });
  stop.abort(new Error("aborted"));
  await waiting.catch((error) => errors.push(["wait", error.message]));
  reactor.addSystemEventTrigger("before", "shutdown", async () => {
    await reactor.writable(there);
    counts.before = true;
  });
  reactor.stop();
  await running;
  await reactor.finished;
  for (const one of [output, input, here, there, slow, end]) one.close();
  console.log(JSON.stringify({ ...counts, errors }));
`;

/** What stands in that line. */
const USED = {
  reads: 50,
  writes: 50,
  calls: 50,
  queued: 50,
  answers: 50,
  steps: 0,
  lost: 1,
  before: true,
  errors: [["wait", "aborted"]],
};

const MODULE = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);

/** Runs a program that makes a change and uses the reactor. */
async function run(
  change: string,
  when: "before" | "after",
  backend: string,
  use = USE,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = `
    const BACKEND = "${backend}";
    ${when === "before" ? change : ""}
    const { FileDescriptor, Reactor } = await import(${MODULE});
    ${when === "after" ? change : ""}
    ${use}`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-ffi",
      `data:text/javascript,${encodeURIComponent(program)}`,
    ],
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Replaces a function by one that notes it was called, and passes the call on. */
function passedOn(object: string, name: string): string {
  return `{
    const original = ${object}.${name};
    ${object}.${name} = function (...args) { return original.apply(this, args); };
  }`;
}

const CHANGES: Record<string, string> = {
  "nothing changed": "",
  "members added to Object.prototype": `
      Object.prototype.extend = function () { throw new Error("extend"); };
      Object.prototype.polluted = { polluted: true };
      Object.prototype.isAdmin = true;`,
  "members added to the prototypes of arrays, functions, maps and promises": `
      for (const { prototype } of [Array, Function, Map, Set, Promise, Error, Int32Array]) {
        prototype.last = function () { throw new Error("last"); };
        prototype.polluted = true;
      }`,
  "Promise.prototype.then passed on": passedOn("Promise.prototype", "then"),
  "a Promise of somebody else's":
    "globalThis.Promise = class extends Promise {};",
  "Date replaced": `
      globalThis.Date = class extends Date {
        constructor() { super(0); }
        static now() { return 0; }
      };`,
  "queueMicrotask replaced by nothing": "globalThis.queueMicrotask = () => {};",
  "setInterval and requestAnimationFrame replaced by nothing":
    "globalThis.setInterval = globalThis.requestAnimationFrame = () => 1;",
  "timers passed on": [
    "setTimeout",
    "clearTimeout",
    "setImmediate",
    "clearImmediate",
  ]
    .map((name) => passedOn("globalThis", name)).join(""),
  "performance.now passed on": passedOn("performance", "now"),
  "performance.now a day ahead": `{
      const original = performance.now.bind(performance);
      performance.now = () => original() + 86_400_000;
    }`,
  "console.error removed": "delete console.error;",
};

/**
 * What libraries with fake timers do for the time of a test. What they have done
 * before the reactor is loaded is all that there is.
 */
const CHANGES_AFTERWARDS: Record<string, string> = {
  "performance.now that stands still": `{
      const now = performance.now();
      performance.now = () => now;
    }`,
  "performance.now that leaps": `{
      let now = 0;
      performance.now = () => now += 1000 * (Math.random() - 0.5);
    }`,
  "timers that never run": `
      globalThis.setTimeout = globalThis.setImmediate = () => ({ id: 1 });
      globalThis.clearTimeout = globalThis.clearImmediate = () => {};`,
};

for (
  const [name, change] of Object.entries({ ...CHANGES, ...CHANGES_AFTERWARDS })
) {
  for (const when of ["before", "after"] as const) {
    if (when === "before" && name in CHANGES_AFTERWARDS) continue;
    for (const backend of BACKENDS) {
      Deno.test(`Reactor works with ${name} ${when} it is loaded [${backend}]`, async () => {
        const { code, stdout, stderr } = await run(change, when, backend);
        assertEquals({ code, stderr }, { code: 0, stderr: "" });
        assertEquals(JSON.parse(stdout), USED);
      });
    }
  }
}

/** Members of Object.prototype that are options of the reactor's, and bad ones. */
const CLASHES: Record<string, [call: string, argument: string]> = {
  label: ["new Reactor()", "options.label"],
  backend: ["new Reactor()", "options.backend"],
  signal: ["await new Reactor().readable(0, {})", "options.signal"],
  persistent: ["await new Reactor().writable(0, {})", "options.persistent"],
  signals: ["await new Reactor().run({})", "options.signals"],
};

for (const [key, [call, argument]] of Object.entries(CLASHES)) {
  Deno.test(`a ${key} on Object.prototype that is no good is complained about by the name of ${argument}`, async () => {
    const { code, stdout, stderr } = await run(
      `Object.prototype.${key} = 1;`,
      "after",
      "poll",
      `try {
        ${call};
      } catch (error) {
        console.log(error.name, error.message);
      }`,
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertStringIncludes(stdout, "TypeError Cannot ");
    assertStringIncludes(stdout, `"${argument}" must be `);
    assertStringIncludes(stdout, "received 1");
  });
}
