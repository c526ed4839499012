/**
 * Processes on both backends.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  closeDescriptor,
  makePipe,
  setNonBlocking,
} from "../../ffi/descriptor.ts";
import { openExit, reap } from "../../ffi/exit.ts";
import { libc } from "../../ffi/libc.ts";
import { POLL } from "../../ffi/constants.ts";
import { spawn } from "../../ffi/spawn.ts";
import { ConnectionLost, FileDescriptor, type Reactor } from "../../mod.ts";
import {
  ProcessDone,
  ProcessExitedAlready,
  ProcessTerminated,
} from "../../src/net/errors.ts";
import {
  spawnProcess,
  type SpawnProcessOptions,
} from "../../src/net/process.ts";
import type {
  ProcessProtocol,
  ProcessTransport,
  SignalName,
} from "../../src/net/process_protocol.ts";
import { PATIENCE, until } from "../descriptors.ts";
import { ONE_OF_EACH_KIND, testInHosts, testOnBackends } from "../hosts.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
assertThrows(() => spawn("/nonexistent", { env: null }));
assertThrows(() => spawn("no-such-command", { uid: 2 ** 32 - 2 }));

/** Writes down what happens to a process. */
class Recorder implements ProcessProtocol {
  declare transport: ProcessTransport;
  /** What happened, in order, without the data. */
  readonly events: string[] = [];
  /** What came, by the child's descriptor. */
  readonly data: Record<number, string> = {};
  readonly #ended = Promise.withResolvers<Error>();
  readonly #exited = Promise.withResolvers<Error>();
  readonly #awaited: { text: string; resolve: () => void }[] = [];
  readonly #decoder = new TextDecoder();

  /** How the process ended, once all is over. */
  get ended(): Promise<Error> {
    return this.#ended.promise;
  }

  /** How the process ended, once it has. */
  get exited(): Promise<Error> {
    return this.#exited.promise;
  }

  /** All that has come on its output. */
  get output(): string {
    return this.data[1] ?? "";
  }

  /** Waits until a text has come on its output. */
  has(text: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaited.push({ text, resolve });
    this.#look();
    return promise;
  }

  connectionMade(): void {
    this.events.push("made");
  }

  childDataReceived(fd: number, data: Uint8Array): void {
    this.data[fd] = (this.data[fd] ?? "") + this.#decoder.decode(data);
    this.#look();
  }

  childConnectionLost(fd: number): void {
    this.events.push(`lost ${fd}`);
  }

  processExited(reason: Error): void {
    this.events.push("exited");
    this.#exited.resolve(reason);
  }

  processEnded(reason: Error): void {
    this.events.push("ended");
    this.#ended.resolve(reason);
  }

  #look(): void {
    for (const { text, resolve } of this.#awaited) {
      if (this.output.includes(text)) resolve();
    }
  }
}

/** Starts a shell script whose life is written down. */
function script(
  text: string,
  options: SpawnProcessOptions,
  recorder: Recorder = new Recorder(),
): Recorder {
  spawnProcess(recorder, "sh", {
    args: ["-c", text],
    clearEnv: false,
    ...options,
  });
  return recorder;
}

/** Starts the reactor on Deno's loop. */
function begin(reactor: Reactor): void {
  reactor.interleave();
}

/** Waits for the end of a child without a reactor, and leaves it uncollected. */
function waitForZombie(pid: number): void {
  const fd = openExit(pid);
  assertEquals(libc().poll(new Int32Array([fd, POLL.IN]), 1, PATIENCE), 1);
  closeDescriptor(fd);
}

testOnBackends(
  "spawnProcess() runs a command with pipes for its input, output and errors",
  async ({ reactor }) => {
    begin(reactor);
    const child = script('read line; echo "got $line"; echo bad >&2; exit 3', {
      reactor,
    });
    assertEquals(child.events, ["made"]);
    child.transport.write("a lïne\n");
    const reason = await child.ended;
    assertEquals(child.data, { 1: "got a lïne\n", 2: "bad\n" });
    assertInstanceOf(reason, ProcessTerminated);
    assertEquals(reason.exitCode, 3);
  },
);

testOnBackends(
  "spawnProcess() calls processExited when the process is collected, and processEnded when its pipes are closed as well (contract 242)",
  async ({ reactor }) => {
    begin(reactor);
    // The process leaves another behind, which has its pipes.
    const child = script("cat <&3 & exit 0", {
      reactor,
      childFDs: { 1: "r", 3: "w" },
    });
    const reason = await child.exited;
    assertEquals(child.events, ["made", "exited"]);
    child.transport.writeToChild(3, "still here");
    await child.has("still here");
    assertEquals(child.events, ["made", "exited"]);

    child.transport.closeChildFD(3);
    assert(await child.ended === reason);
    assertEquals(child.events, ["made", "exited", "lost 3", "lost 1", "ended"]);
  },
);

testOnBackends(
  "spawnProcess() calls childConnectionLost once for each pipe (contract 243)",
  async ({ reactor }) => {
    begin(reactor);
    const child = script("exec 1>&- 3<&-; read line; exit 0", {
      reactor,
      childFDs: { 0: "w", 1: "r", 2: "r", 3: "w", 4: "r" },
    });
    const { transport } = child;
    transport.closeChildFD(4);
    transport.closeChildFD(4);
    transport.writeToChild(3, "for nobody");
    transport.closeStdin();
    transport.closeStdin();
    transport.writeToChild(0, "too late");
    assertEquals(child.events, ["made"]);
    await child.ended;
    transport.loseConnection();
    assertEquals(
      child.events.filter((event) => event.startsWith("lost")).sort(),
      [
        "lost 0",
        "lost 1",
        "lost 2",
        "lost 3",
        "lost 4",
      ],
    );
    assertEquals(child.events.at(-1), "ended");
  },
);

testOnBackends(
  "spawnProcess() tells that a process exited with 0, with another code, or by a signal (contract 244)",
  async ({ reactor }) => {
    begin(reactor);
    const [zero, seven, signal] = await Promise.all(
      ["exit 0", "exit 7", "kill -TERM $$"].map((text) =>
        script(text, { reactor }).ended
      ),
    );
    assertInstanceOf(zero, ProcessDone);
    assertInstanceOf(seven, ProcessTerminated);
    assertEquals([seven.exitCode, seven.signal, seven.status], [
      7,
      null,
      7 << 8,
    ]);
    assertInstanceOf(signal, ProcessTerminated);
    assertEquals([signal.exitCode, signal.signal], [null, "SIGTERM"]);
    assertEquals(signal.status & 0x7f, 15);
  },
);

testOnBackends(
  "spawnProcess() collects a process that ended before the reactor was started (contract 245)",
  async ({ reactor }) => {
    const child = script("echo early; exit 4", { reactor });
    const { pid } = child.transport;
    waitForZombie(pid);
    assertEquals(child.events, ["made"]);
    begin(reactor);
    const reason = await child.ended;
    assertInstanceOf(reason, ProcessTerminated);
    assertEquals(reason.exitCode, 4);
    assertEquals(child.output, "early\n");
    assertThrows(() => reap(pid), Error, "(ECHILD)");
  },
);

testOnBackends(
  "spawnProcess() notices an exit when nothing else happens (contract 246)",
  async ({ reactor }) => {
    begin(reactor);
    const [output, input] = FileDescriptor.pipe();
    setNonBlocking(output.fileno(), false);
    const child = script("read line <&3; exit 6", {
      reactor,
      childFDs: { 3: output },
    });
    assertEquals(reactor.inspect().delayedCalls, []);
    assertEquals(reactor.inspect().descriptors.length, 1);
    input.close();
    const reason = await child.ended;
    assertInstanceOf(reason, ProcessTerminated);
    assertEquals(child.events, ["made", "exited", "ended"]);
    output.close();
  },
);

testOnBackends(
  "spawnProcess() lets no system call be interrupted by an exit (contract 247)",
  async ({ reactor }) => {
    begin(reactor);
    for (let i = 0; i < 20; i++) {
      const [answer, answering] = makePipe();
      const [leave, leaving] = makePipe();
      const [left, staying] = makePipe();
      for (const fd of [leave, left]) setNonBlocking(fd, false);
      // The first ends when the second closes descriptor 3. The second sees that
      // by descriptor 4, and answers. All the while we are inside poll(), which
      // the kernel never resumes after a signal that has a handler (signal(7)).
      const first = script("read line; exit 0", {
        reactor,
        childFDs: { 0: leave, 4: staying },
      });
      const second = script("exec 3>&-; read line <&4; echo done", {
        reactor,
        childFDs: { 1: answering, 3: leaving, 4: left },
      });
      [answering, leave, leaving, left, staying].forEach(closeDescriptor);
      const table = new Int32Array([answer, POLL.IN]);
      assertEquals(libc().poll(table, 1, PATIENCE), 1);
      closeDescriptor(answer);
      await Promise.all([first.ended, second.ended]);
    }
  },
);

testOnBackends(
  "spawnProcess() passes on no descriptor but those in childFDs (contract 248)",
  async ({ reactor }) => {
    begin(reactor);
    const [output, input] = makePipe();
    // One that is not even marked as closed on exec.
    const careless = libc().dup(output);
    const child = new Recorder();
    spawnProcess(child, "ls", {
      args: ["/proc/self/fd"],
      childFDs: { 1: "r", 2: "r", 7: input },
      reactor,
    });
    await child.ended;
    // Where ls has no input, it reads the directory through that number.
    assertEquals(child.data, { 1: "0\n1\n2\n7\n" });
    [output, input, careless].forEach(closeDescriptor);
  },
);

testOnBackends(
  "spawnProcess() gives the environment that it is told (contract 249)",
  async ({ reactor }) => {
    begin(reactor);
    async function environment(
      options: SpawnProcessOptions,
    ): Promise<string[]> {
      const child = new Recorder();
      spawnProcess(child, "/usr/bin/env", { reactor, ...options });
      await child.ended;
      return child.output.split("\n").slice(0, -1).sort();
    }
    Deno.env.set("REACTOR_OURS", "a word");
    Deno.env.set("REACTOR_BOTH", "ours");
    try {
      const all = await environment({ env: null });
      assert(all.includes("REACTOR_OURS=a word"));
      assertEquals(await environment({ clearEnv: false }), all);
      // Omitted: nothing.
      assertEquals(await environment({}), []);
      assertEquals(await environment({ clearEnv: true }), []);
      // Given: exactly that.
      const env = { REACTOR_BOTH: "ä=b", EMPTY: "" };
      const exactly = ["EMPTY=", "REACTOR_BOTH=ä=b"];
      assertEquals(await environment({ env }), exactly);
      assertEquals(await environment({ env, clearEnv: true }), exactly);
      // As `Deno.Command` would.
      assertEquals(
        await environment({ env, clearEnv: false }),
        [
          ...all.filter((entry) => !entry.startsWith("REACTOR_BOTH=")),
          ...exactly,
        ]
          .sort(),
      );
    } finally {
      Deno.env.delete("REACTOR_OURS");
      Deno.env.delete("REACTOR_BOTH");
    }
  },
);

testOnBackends(
  "writeToChild() throws when there is no such pipe, and signalProcess() when the process has ended (contract 250)",
  async ({ reactor }) => {
    begin(reactor);
    const child = script("read line", {
      reactor,
      childFDs: { 0: "w", 1: "r", 5: 2 },
    });
    const { transport } = child;
    for (const fd of [1, 2, 5, -1, NaN, "0" as unknown as number]) {
      assertThrows(() => transport.writeToChild(fd, "x"), RangeError);
    }
    assertThrows(() => transport.closeChildFD(5), RangeError, "(0, 1)");
    assertThrows(
      () => transport.write(5 as unknown as string),
      TypeError,
      '"data" must be a Uint8Array or a string, received 5',
    );
    assertThrows(() => transport.signalProcess("" as SignalName), RangeError);
    assertThrows(
      () => transport.signalProcess(9 as unknown as SignalName),
      TypeError,
    );
    transport.signalProcess("SIGWINCH"); // Which is ignored by default.
    transport.signalProcess("KILL");
    const reason = await child.ended;
    assertInstanceOf(reason, ProcessTerminated);
    assertEquals(reason.signal, "SIGKILL");
    assertThrows(
      () => transport.signalProcess("TERM"),
      ProcessExitedAlready,
      `process ${transport.pid} has ended`,
    );
    transport.write("for nobody");
  },
);

testOnBackends(
  "spawnProcess() watches nothing any more when it calls processExited and processEnded (contract 251)",
  async ({ reactor }) => {
    begin(reactor);
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: unknown[] = [];
    const { pid } = spawnProcess(
      {
        processExited() {
          seen.push(reactor.getReaders().some((r) => r.label?.includes("end")));
          assertThrows(() => reap(pid), Error, "(ECHILD)");
        },
        processEnded() {
          seen.push(reactor.inspect().descriptors.length);
          resolve();
        },
      },
      "true",
      { reactor },
    );
    await promise;
    assertEquals(seen, [false, 0]);
  },
);

testOnBackends(
  "stopProducing() of a process closes its pipes",
  async ({ reactor }) => {
    begin(reactor);
    const child = script("cat; exit 3", { reactor });
    child.transport.stopProducing();
    const reason = await child.ended;
    assertInstanceOf(reason, ProcessTerminated);
    assertEquals(
      child.events.slice(1, 4).sort(),
      ["lost 0", "lost 1", "lost 2"],
    );
  },
);

testOnBackends(
  "spawnProcess() throws the kernel's word when a command cannot be run, and leaves nothing",
  async ({ reactor }) => {
    const before = await countAtRest();
    const protocol = new Recorder();
    function refused(
      command: string,
      options: SpawnProcessOptions,
      code: string,
    ) {
      const error = assertThrows(() =>
        spawnProcess(protocol, command, { reactor, ...options })
      );
      assertEquals((error as { code?: string }).code, code);
    }
    refused("no-such-command", {}, "ENOENT");
    refused("/nonexistent/command", {}, "ENOENT");
    refused("/etc/passwd", {}, "EACCES");
    refused("sh", { cwd: "/nonexistent" }, "ENOENT");
    refused("sh", { cwd: "/etc/passwd" }, "ENOTDIR");
    refused("sh", { childFDs: { 0: 2 ** 20 - 7 } }, "EBADF");
    refused("no-such-command", { pty: true }, "ENOENT");
    assertEquals(protocol.events, []);
    assertEquals(reactor.inspect().descriptors, []);
    await assertNothingLeft(before);
  },
);

testOnBackends(
  "spawnProcess() carries megabytes both ways",
  async ({ reactor }) => {
    begin(reactor);
    const data = new Uint8Array(4 * 2 ** 20);
    for (let i = 0; i < data.length; i += 65536) {
      crypto.getRandomValues(data.subarray(i, i + 65536));
    }
    const received = new Uint8Array(data.length);
    let length = 0;
    const { promise, resolve } = Promise.withResolvers<Error>();
    const transport = spawnProcess(
      {
        childDataReceived(_fd, part) {
          received.set(part, length);
          length += part.length;
        },
        processEnded: resolve,
      },
      "cat",
      { reactor },
    );
    for (let i = 0; i < data.length; i += 1000) {
      transport.write(data.subarray(i, i + 1000));
    }
    transport.closeStdin();
    assertEquals(transport.bufferedAmount, data.length);
    assertInstanceOf(await promise, ProcessDone);
    assertEquals(transport.bufferedAmount, 0);
    assertEquals(length, data.length);
    assert(received.every((byte, i) => byte === data[i]));
  },
);

testOnBackends(
  "spawnProcess() closes the input of a process that no longer reads it",
  async ({ reactor }) => {
    begin(reactor);
    const child = script("exec <&-; echo closed; read line <&3", {
      reactor,
      childFDs: { 0: "w", 1: "r", 3: "w" },
    });
    child.transport.write(new Uint8Array(2 ** 20));
    await child.has("closed");
    await until(() => child.events.includes("lost 0"));
    assertEquals(child.transport.bufferedAmount, 0);
    assertEquals(child.events, ["made", "lost 0"]);
    child.transport.closeChildFD(3);
    await child.ended;
  },
);

testOnBackends(
  "pauseProducing() holds what comes, and its end, until resumeProducing()",
  async ({ reactor }) => {
    begin(reactor);
    const child = new Recorder();
    child.connectionMade = () => child.transport.pauseProducing();
    script("echo held", { reactor }, child);
    await child.exited;
    // What it does not write to is watched all the same.
    await until(() => child.events.includes("lost 0"));
    assertEquals(child.events.toSorted(), ["exited", "lost 0"]);
    assertEquals(child.output, "");
    child.transport.resumeProducing();
    await child.ended;
    assertEquals(child.output, "held\n");
  },
);

testOnBackends(
  "spawnProcess() gives a process a terminal",
  async ({ reactor }) => {
    begin(reactor);
    const child = script(
      'tty; stty size; read line; stty size; read line; echo "[$line]"',
      {
        reactor,
        pty: { columns: 100, rows: 30 },
      },
    );
    const { transport } = child;
    await child.has("30 100");
    transport.setWindowSize(70, 20);
    transport.write("\n");
    await child.has("20 70");
    transport.closeStdin(); // Nothing to close by itself.
    transport.writeToChild(0, "typed\n");
    assertInstanceOf(await child.ended, ProcessDone);
    assertStringIncludes(child.output, "/dev/");
    assertStringIncludes(child.output, "[typed]\r\n");
    assertEquals(Object.keys(child.data), ["1"]);
    assertEquals(child.events.toSorted(), [
      "ended",
      "exited",
      "lost 1",
      "made",
    ]);
    assertEquals(child.events.at(-1), "ended");
  },
);

testOnBackends("loseConnection() hangs a terminal up", async ({ reactor }) => {
  begin(reactor);
  const child = script("echo ready > /dev/tty; exec sleep 1000", {
    reactor,
    pty: true,
  });
  await child.has("ready");
  child.transport.loseConnection();
  const reason = await child.ended;
  assertInstanceOf(reason, ProcessTerminated);
  assertEquals(reason.signal, "SIGHUP");
});

testOnBackends(
  "spawnProcess() tells a protocol that the reactor has ended before the process",
  async ({ reactor }) => {
    begin(reactor);
    const child = script("echo ready; exec sleep 1000", { reactor });
    await child.has("ready");
    reactor.stop();
    const reason = await child.ended;
    assertInstanceOf(reason, ConnectionLost);
    assert(!(reason instanceof ProcessTerminated));
    await reactor.finished;
    assertEquals(child.events.toSorted(), [
      "ended",
      "lost 0",
      "lost 1",
      "lost 2",
      "made",
    ]);
    // It can still be told to end, and is collected when another is started.
    const { transport } = child;
    transport.signalProcess("KILL");
    waitForZombie(transport.pid);
    assertThrows(
      () => spawnProcess(new Recorder(), "no-such-command"),
      Deno.errors.NotFound,
    );
    assertThrows(() => reap(transport.pid), Error, "(ECHILD)");
    assertThrows(() => transport.signalProcess("KILL"), ProcessExitedAlready);
  },
);

for (const pty of [false, true]) {
  testOnBackends(
    `a process ${
      pty ? "at a terminal " : ""
    }that is paused and whose input waits for a producer ends with its reactor`,
    async ({ reactor }) => {
      begin(reactor);
      const child = script("exec sleep 1000", { reactor, pty });
      const { transport } = child;
      transport.pauseProducing();
      const told: string[] = [];
      transport.registerProducer({
        resumeProducing() {},
        pauseProducing() {},
        stopProducing: () => void told.push("stop"),
      }, true);
      transport.loseConnection();
      reactor.stop();
      assertInstanceOf(await child.ended, ConnectionLost);
      assertEquals(told, ["stop"]);
      const lost = pty ? ["lost 1"] : ["lost 0", "lost 1", "lost 2"];
      assertEquals(child.events.toSorted(), ["ended", ...lost, "made"]);
      transport.signalProcess("KILL");
      waitForZombie(transport.pid);
      assertThrows(() => spawnProcess(new Recorder(), "no-such-command"));
    },
  );
}

testOnBackends(
  "spawnProcess() leaves nothing running when the reactor is closed",
  async ({ reactor }) => {
    await reactor.close();
    const before = await countAtRest();
    const child = new Recorder();
    assertThrows(
      () => spawnProcess(child, "sleep", { args: ["1000"], reactor }),
      Deno.errors.BadResource,
    );
    assertEquals(child.events, []);
    await assertNothingLeft(before);
    // Any child: there is but this one, and it has been killed.
    const status = new Int32Array(1);
    assert(libc().waitpid(-1, status, 0) > 0);
    assertEquals(status[0], 9);
  },
);

testOnBackends(
  "spawnProcess() reports what its protocol throws when the reactor ends",
  async ({ reactor, errors }) => {
    begin(reactor);
    function fail(event: string): never {
      throw new RangeError(event);
    }
    const { pid } = spawnProcess(
      {
        childConnectionLost: (fd) => fail(`lost ${fd}`),
        processEnded: () => fail("ended"),
      },
      "cat",
      { reactor, childFDs: { 0: "w", 1: "r" } },
    );
    reactor.stop();
    await reactor.finished;
    waitForZombie(pid);
    reap(pid);
    const thrown = errors.splice(0).map(({ error }) => error as Error);
    assertEquals(
      thrown.flatMap((error) =>
        error instanceof AggregateError ? error.errors : error
      ).map(({ message }) => message).toSorted(),
      ["ended", "lost 0", "lost 1"],
    );
  },
);

testOnBackends(
  "spawnProcess() reports what its protocol throws, and goes on",
  async ({ reactor, errors }) => {
    begin(reactor);
    const events: string[] = [];
    function fail(event: string): never {
      events.push(event);
      throw new RangeError(event);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    spawnProcess(
      {
        connectionMade: () => fail("made"),
        childDataReceived: () => fail("data"),
        childConnectionLost: (fd) => fail(`lost ${fd}`),
        processExited: () => fail("exited"),
        processEnded: async () => {
          resolve();
          await null;
          fail("ended");
        },
      },
      "sh",
      {
        args: ["-c", "read line; echo one; read line"],
        childFDs: { 0: "w", 1: "r" },
        clearEnv: false,
        reactor,
      } as SpawnProcessOptions,
    ).write("\n\n");
    await promise;
    await until(() => errors.length === 6);
    const messages = errors.splice(0).map(({ error }) =>
      (error as Error).message
    );
    assertEquals(messages.toSorted(), events.toSorted());
    assertEquals(messages.toSorted(), [
      "data",
      "ended",
      "exited",
      "lost 0",
      "lost 1",
      "made",
    ]);
  },
);

testOnBackends(
  "spawnProcess() tells when something else has collected the process",
  async ({ reactor }) => {
    const child = script("exit 5", { reactor });
    const { pid } = child.transport;
    waitForZombie(pid);
    assertEquals(reap(pid), { code: 5, signal: null });
    begin(reactor);
    const reason = await child.ended;
    assertInstanceOf(reason, ProcessTerminated);
    assertEquals([reason.exitCode, reason.signal], [null, null]);
    assertEquals((reason.cause as { code?: string }).code, "ECHILD");
  },
);

testOnBackends(
  "spawnProcess() and Deno.Command leave each other's children alone",
  async ({ reactor }) => {
    begin(reactor);
    const ours: Promise<Error>[] = [];
    const theirs: Promise<Deno.CommandOutput>[] = [];
    for (let i = 1; i <= 20; i++) {
      const args = ["-c", `exit ${i}`];
      theirs.push(new Deno.Command("sh", { args }).output());
      ours.push(script(args[1]!, { reactor }).ended);
    }
    const codes = Array.from({ length: 20 }, (_, i) => i + 1);
    assertEquals((await Promise.all(theirs)).map(({ code }) => code), codes);
    assertEquals(
      (await Promise.all(ours)).map((reason) =>
        (reason as ProcessTerminated).exitCode
      ),
      codes,
    );
  },
);

testInHosts("spawnProcess() works", async ({ reactor, run }) => {
  const child = new Recorder();
  child.processEnded = () => {
    child.events.push("ended");
    reactor.stop();
  };
  script("cat; exit 9", { reactor }, child);
  child.transport.write("across");
  child.transport.closeStdin();
  await run();
  assertEquals(child.output, "across");
  assertInstanceOf(await child.exited, ProcessTerminated);
  assertEquals(child.events.at(-1), "ended");
}, { hosts: ONE_OF_EACH_KIND });

testOnBackends(
  "spawnProcess() leaves no descriptor and no zombie behind",
  async ({ reactor }) => {
    const before = await countAtRest();
    begin(reactor);
    const rounds = 50;
    for (let i = 0; i < rounds; i++) {
      const pty = i % 2 === 0;
      const child = script("echo x", { reactor, pty });
      await child.ended;
      assertThrows(() => reap(child.transport.pid), Error, "(ECHILD)");
    }
    await reactor.close();
    await assertNothingLeft(before);
  },
);

Deno.test("spawnProcess() throws when an argument is bad", () => {
  function refused(message: string, ...args: unknown[]): void {
    assertThrows(
      () => (spawnProcess as (...args: unknown[]) => unknown)(...args),
      TypeError,
      message,
    );
  }
  refused('"protocol" must be an object, received undefined');
  refused('"options" must be an object, received null', {}, "sh", null);
  refused('"options.reactor" must be a Reactor', {}, "sh", { reactor: {} });
  refused('"childFDs[1]" must be', {}, "sh", { childFDs: { 1: null } });
  refused('"command" must be a string without NUL', {}, 5);
});

testOnBackends(
  "setWindowSize() throws when the process has no terminal",
  async ({ reactor }) => {
    begin(reactor);
    const child = script("exit 0", { reactor });
    assertThrows(
      () => child.transport.setWindowSize(80, 24),
      TypeError,
      '"pty"',
    );
    await child.ended;
  },
);
