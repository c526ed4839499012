// Ending on a signal, seen from outside.

import { assertEquals } from "@std/assert";
import { BACKENDS } from "./descriptors.ts";
import { type Outcome, Program } from "./program.ts";

/** What every program begins with. */
const PRELUDE = `
  const { FileDescriptor, Reactor } = interleave;
  const reactor = new Reactor({ backend: BACKEND });
  for (const phase of ["after", "during", "before"]) {
    reactor.addSystemEventTrigger(phase, "shutdown", () => console.log(phase));
  }
  const hang = () => {
    const { promise } = Promise.withResolvers();
    reactor.addSystemEventTrigger("before", "shutdown", () => promise);
  };
  const ready = () => console.log("ready");
  /** Lives on, until a signal ends it. */
  const live = () => setInterval(() => {}, 1000);
`;

const ORDERLY = ["ready", "before", "during", "after"];

/** A program, what it is sent and when, and how it must end. */
interface Case {
  body: string;
  /** Each is sent as soon as the program has printed the text. */
  signals: [after: string, signal: Deno.Signal][];
  stdout: string[];
  /**
   * What ends it.
   *
   * @default {null}, its own end with status 0
   */
  killed?: Deno.Signal;
}

const CASES: Record<string, Case> = {
  "run() ends in order on SIGINT (contract 20)": {
    body: `
      reactor.callWhenRunning(ready);
      await reactor.run();
      console.log(reactor.inspect().signal);
    `,
    signals: [["ready", "SIGINT"]],
    stdout: [...ORDERLY, "SIGINT"],
  },
  "run() ends in order on SIGTERM (contract 20)": {
    body: `
      reactor.callWhenRunning(ready);
      await reactor.run();
      console.log(reactor.inspect().signal);
    `,
    signals: [["ready", "SIGTERM"]],
    stdout: [...ORDERLY, "SIGTERM"],
  },
  "run() ends in order on a signal when it has taken the reactor over (contract 20)":
    {
      body: `
        const [output] = FileDescriptor.pipe();
        reactor.watch(output, "readable");
        const run = reactor.run();
        ready();
        await run;
      `,
      signals: [["ready", "SIGINT"]],
      stdout: ORDERLY,
    },
  "interleave() ends in order on a signal when it is asked to (contract 20)": {
    body: `
      reactor.interleave((work) => setTimeout(work), { signals: true });
      reactor.callLater(300_000, () => {});
      ready();
      await reactor.finished;
    `,
    signals: [["ready", "SIGTERM"]],
    stdout: ORDERLY,
  },
  "run() of two reactors ends on one signal (contract 20)": {
    body: `
      const another = new Reactor({ backend: BACKEND });
      const runs = [reactor.run(), another.run()];
      ready();
      await Promise.all(runs);
    `,
    signals: [["ready", "SIGINT"]],
    stdout: ORDERLY,
  },
  "run() leaves a second SIGINT its effect when the shutdown hangs": {
    body: `
      hang();
      const run = reactor.run();
      ready();
      await run;
    `,
    signals: [["ready", "SIGINT"], ["before", "SIGINT"]],
    stdout: ["ready", "before"],
    killed: "SIGINT",
  },
  "run() leaves a SIGTERM after a SIGINT its effect when the shutdown hangs": {
    body: `
      hang();
      const run = reactor.run();
      ready();
      await run;
    `,
    signals: [["ready", "SIGINT"], ["before", "SIGTERM"]],
    stdout: ["ready", "before"],
    killed: "SIGTERM",
  },
  "run() leaves signals alone when it has ended": {
    body: `
      reactor.callLater(1, () => reactor.stop());
      await reactor.run();
      live();
      ready();
    `,
    signals: [["ready", "SIGINT"]],
    stdout: ["before", "during", "after", "ready"],
    killed: "SIGINT",
  },
  "run() leaves signals alone when it has crashed": {
    body: `
      reactor.callLater(1, () => reactor.crash());
      await reactor.run();
      live();
      ready();
    `,
    signals: [["ready", "SIGTERM"]],
    stdout: ["ready"],
    killed: "SIGTERM",
  },
  "run() listens again after crash() and another start": {
    body: `
      reactor.callLater(1, () => reactor.crash());
      await reactor.run();
      reactor.callLater(1, ready);
      await reactor.run();
    `,
    signals: [["ready", "SIGTERM"]],
    stdout: ORDERLY,
  },
  "run() leaves signals alone when it is told to (contract 20, 179)": {
    body: `
      const run = reactor.run({ signals: false });
      ready();
      await run;
    `,
    signals: [["ready", "SIGINT"]],
    stdout: ["ready"],
    killed: "SIGINT",
  },
  "interleave() leaves signals alone by itself (contract 179)": {
    body: `
      reactor.interleave();
      reactor.callLater(300_000, () => {});
      ready();
    `,
    signals: [["ready", "SIGTERM"]],
    stdout: ["ready"],
    killed: "SIGTERM",
  },
  "readable() leaves signals alone when it starts the reactor (contract 179)": {
    body: `
      const [output] = FileDescriptor.pipe();
      reactor.readable(output);
      ready();
    `,
    signals: [["ready", "SIGINT"]],
    stdout: ["ready"],
    killed: "SIGINT",
  },
  "run() leaves a listener of the program's own as it is (contract 22)": {
    body: `
      let count = 0;
      Deno.addSignalListener("SIGINT", () => {
        console.log("mine", ++count);
        if (count === 2) Deno.exit();
      });
      reactor.callWhenRunning(ready);
      await reactor.run();
      console.log("ended");
      live();
    `,
    signals: [["ready", "SIGINT"], ["ended", "SIGINT"]],
    stdout: [
      "ready",
      "mine 1",
      "before",
      "during",
      "after",
      "ended",
      "mine 2",
    ],
  },
  "run() listens between 'before startup' and 'during startup' (contract 21)": {
    body: `
      const { addSignalListener } = Deno;
      Deno.addSignalListener = (signal, listener) => {
        console.log("listens to", signal);
        addSignalListener(signal, listener);
      };
      for (const phase of ["after", "during", "before"]) {
        reactor.addSystemEventTrigger(phase, "startup", () => {
          console.log(phase, "startup");
        });
      }
      reactor.callLater(1, () => reactor.crash());
      await reactor.run();
    `,
    signals: [],
    stdout: [
      "before startup",
      "listens to SIGINT",
      "listens to SIGTERM",
      "during startup",
      "after startup",
    ],
  },
  "run() ends in order on a signal that comes while a callback is busy (contract 20)":
    {
      body: `
        reactor.callLater(1, () => {
          ready();
          const end = Date.now() + 300;
          while (Date.now() < end);
          console.log("next statement");
        });
        await reactor.run();
      `,
      signals: [["ready", "SIGINT"]],
      stdout: ["ready", "next statement", "before", "during", "after"],
    },
};

async function play(
  backend: string,
  { body, signals }: Case,
): Promise<Outcome> {
  const source = (PRELUDE + body).replaceAll(
    "BACKEND",
    JSON.stringify(backend),
  );
  const program = new Program(source);
  for (const [text, signal] of signals) {
    await program.printed(text);
    program.kill(signal);
  }
  return await program.outcome();
}

for (const backend of BACKENDS) {
  for (const [name, one] of Object.entries(CASES)) {
    Deno.test(`${name} [${backend}]`, async () => {
      const { killed = null, stdout } = one;
      const outcome = await play(backend, one);
      assertEquals(outcome.stderr, "");
      assertEquals(outcome.stdout.trim().split("\n"), stdout);
      assertEquals(outcome.signal, killed);
      if (killed === null) assertEquals(outcome.code, 0);
    });
  }
}
