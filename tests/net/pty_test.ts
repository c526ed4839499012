/**
 * Pseudoterminals as transports, with programs at the other side.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor, openFile } from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import { spawnOnTerminal } from "../../ffi/spawn.ts";
import { makeRaw } from "../../ffi/terminal_mode.ts";
import {
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  FileDescriptor,
  Reactor,
} from "../../mod.ts";
import { spawnProcess } from "../../src/net/process.ts";
import { openPty, type PtyTransport } from "../../src/net/pty.ts";
import { until } from "../descriptors.ts";
import { ONE_OF_EACH_KIND, testInHosts, testOnBackends } from "../hosts.ts";
import { leaveOut } from "../left_out.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import {
  Checksum,
  Echo,
  HalfCloseRecorder,
  pattern,
  Recorder,
} from "./protocols.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
libc();
assertThrows(() => makeRaw(-1));
assertThrows(() => spawnOnTerminal("/nonexistent", "sh"));

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A program that opens a terminal: without waiting, reading and writing. */
function openTerminal(path: string): FileDescriptor {
  return FileDescriptor.open(path, { read: true, write: true });
}

testOnBackends(
  "openPty() keeps what is written before anybody has opened it, and does not end",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    const transport = openPty(protocol, { reactor });
    transport.write("early\n");
    await until(() => protocol.text.includes("early\r\n")); // Its echo.
    const slave = openTerminal(transport.path);
    await reactor.readable(slave);
    const buffer = new Uint8Array(100);
    assertEquals(
      decoder.decode(buffer.subarray(0, slave.read(buffer)!)),
      "early\n",
    );
    assertEquals(protocol.events, ["made", "early\r\n"]);
    slave.close();
    await protocol.lost.promise;
  },
);

testOnBackends(
  "openPty() ends in order when the last program has closed it, after all that it wrote",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    const transport = openPty(protocol, { reactor });
    const one = openTerminal(transport.path);
    const two = openTerminal(transport.path);
    one.write(encoder.encode("one\n"));
    one.close();
    await until(() => protocol.text === "one\r\n");
    transport.pauseProducing();
    two.write(encoder.encode("two\n"));
    two.close();
    transport.resumeProducing();
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertEquals(protocol.text, "one\r\ntwo\r\n");
    assertThrows(() => openTerminal(transport.path), Deno.errors.NotFound);
  },
);

testOnBackends(
  "openPty() tells readConnectionLost, and goes on for whoever opens it next (contracts 222, 226)",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new HalfCloseRecorder();
    const transport = openPty(protocol, { raw: true, reactor });
    openTerminal(transport.path).close();
    await until(() => protocol.events.includes("read lost"));
    transport.write("for the next");
    const slave = openTerminal(transport.path);
    await reactor.readable(slave);
    const buffer = new Uint8Array(100);
    assertEquals(
      decoder.decode(buffer.subarray(0, slave.read(buffer)!)),
      "for the next",
    );
    transport.loseWriteConnection();
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertEquals(protocol.events, [
      "made",
      "read lost",
      "write lost",
      "lost: ConnectionDone",
    ]);
    slave.close();
  },
);

testOnBackends(
  "openPty() is the same line to one program after the other when it is reopenable",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Echo();
    const transport = openPty(protocol, {
      raw: true,
      reopenable: true,
      reactor,
    });
    for (const text of ["first\n", "\x03\x04second\r"]) {
      const slave = openTerminal(transport.path);
      slave.write(encoder.encode(text));
      const buffer = new Uint8Array(100);
      let got = "";
      while (got.length < text.length) {
        await reactor.readable(slave);
        got += decoder.decode(buffer.subarray(0, slave.read(buffer)!));
      }
      assertEquals(got, text);
      slave.close();
    }
    transport.loseConnection();
    await until(() => !canOpen(transport.path));
  },
);

function canOpen(path: string): boolean {
  try {
    openTerminal(path).close();
    return true;
  } catch {
    return false;
  }
}

testOnBackends(
  "openPty() takes and gives 10 MB, no faster than the program (contract 214)",
  async ({ reactor }) => {
    reactor.interleave();
    let most = 0;
    const transport: PtyTransport = openPty({
      dataReceived(data) {
        transport.write(data);
        most = Math.max(most, transport.bufferedAmount);
      },
    }, { raw: true, reactor });
    // It is the producer of what it sends back.
    transport.registerProducer(transport as Required<PtyTransport>, true);
    const slave = openTerminal(transport.path);
    const data = pattern(10_000_000);
    const sent = new Checksum();
    sent.add(data);
    const writer = slave.writable({ reactor }).getWriter();
    const done = writer.write(data);
    const received = new Checksum();
    const reader = slave.readable({ reactor }).getReader();
    while (received.length < data.length) {
      received.add((await reader.read()).value!);
    }
    await done;
    assertEquals(`${received}`, `${sent}`);
    assert(most <= 2 * 65_536, `${most} bytes were unsent`);
    slave.close();
    await reader.closed.catch(() => {});
    await writer.closed.catch(() => {});
  },
);

testOnBackends(
  "write() waits for a program to read, and pauses the producer (contract 214)",
  async ({ reactor }) => {
    reactor.interleave();
    const transport = openPty(new Recorder(), { raw: true, reactor });
    const calls: string[] = [];
    transport.registerProducer({
      pauseProducing: () => calls.push("pause"),
      resumeProducing: () => calls.push("resume"),
      stopProducing: () => calls.push("stop"),
    }, true);
    transport.write(new Uint8Array(1_000_000));
    await until(() => transport.bufferedAmount < 1_000_000);
    assertEquals(calls, ["pause"]);
    const slave = openTerminal(transport.path);
    const buffer = new Uint8Array(65_536);
    for (let got = 0; got < 1_000_000;) {
      await reactor.readable(slave);
      got += slave.read(buffer)!;
    }
    await until(() => calls.length === 2);
    assertEquals(calls, ["pause", "resume"]);
    assertEquals(transport.bufferedAmount, 0);
    transport.abortConnection();
    await until(() => calls.length === 3);
    assertEquals(calls[2], "stop");
    slave.close();
  },
);

testOnBackends(
  "a program that goes while much is unsent and nothing is read costs no turns, and loses nothing of its own",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    const transport = openPty(protocol, { raw: true, reactor });
    transport.pauseProducing();
    const slave = openTerminal(transport.path);
    slave.write(encoder.encode("last words"));
    transport.write(new Uint8Array(10_000_000));
    await until(() => transport.bufferedAmount < 10_000_000);
    slave.close();
    await until(() => transport.bufferedAmount === 0);
    const { turns } = reactor.inspect().counters;
    await new Promise<void>((resolve) => reactor.callLater(50, resolve));
    assert(reactor.inspect().counters.turns - turns < 20);
    transport.resumeProducing();
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertEquals(protocol.text, "last words");
  },
);

testOnBackends(
  "loseConnection() hangs up on the program at once, whatever it has still to say (contracts 199, 201)",
  async ({ reactor }) => {
    reactor.interleave();
    for (const how of ["loseConnection", "abortConnection"] as const) {
      const protocol = new Recorder();
      const transport = openPty(protocol, { raw: true, reactor });
      const slave = openTerminal(transport.path);
      transport.pauseProducing();
      slave.write(encoder.encode("nobody hears this"));
      transport[how]();
      assertEquals(protocol.events, ["made"]);
      assertInstanceOf(
        await protocol.lost.promise,
        how === "loseConnection" ? ConnectionDone : ConnectionAborted,
      );
      assertEquals(protocol.events.length, 2);
      assertEquals(slave.read(new Uint8Array(10)), null);
      slave.close();
    }
  },
);

testOnBackends(
  "setWindowSize() sets the size that the terminal shows, and does nothing after the end",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    const transport = openPty(protocol, { columns: 100, rows: 30, reactor });
    const slave = openFile(transport.path, POSIX.O_RDWR);
    assertEquals(windowSize(slave), { columns: 100, rows: 30 });
    transport.setWindowSize(132, 43);
    assertEquals(windowSize(slave), { columns: 132, rows: 43 });
    assertThrows(() => transport.setWindowSize(-1, 1), RangeError, '"columns"');
    closeDescriptor(slave);
    await protocol.lost.promise;
    transport.setWindowSize(80, 24);
    transport.write("nothing");
  },
);

/** `ioctl`: ask for the size of a terminal's window. */
const TIOCGWINSZ = Deno.build.os === "darwin" ? 0x40087468 : 0x5413;

function windowSize(fd: number): { columns: number; rows: number } {
  const size = new Uint16Array(4);
  assertEquals(libc().ioctl(fd, TIOCGWINSZ, size), 0);
  return { columns: size[1]!, rows: size[0]! };
}

testOnBackends(
  "openPty() is a terminal to a program that opens its path",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    const transport = openPty(protocol, { columns: 90, rows: 20, reactor });
    const { promise: ended, resolve } = Promise.withResolvers<Error>();
    const script = 'exec <"$0" >"$0"; tty; stty size; read line; echo "$line!"';
    spawnProcess({ processEnded: resolve }, "sh", {
      args: ["-c", script, transport.path],
      clearEnv: false,
      reactor,
    });
    await until(() => protocol.text.includes("20 90\r\n"));
    transport.write("hello\r"); // As the Return key is.
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertInstanceOf(await ended, ConnectionDone);
    assertStringIncludes(protocol.text, `${transport.path}\r\n`);
    assert(protocol.text.endsWith("hello\r\nhello!\r\n"));
  },
);

testOnBackends(
  "openPty() is the terminal of a session, which hears of its keys and its size",
  async ({ reactor }) => {
    reactor.interleave();
    const protocol = new Recorder();
    const transport = openPty(protocol, { reactor });
    const pid = spawnOnTerminal(transport.path, "sh", {
      args: [
        "-c",
        'trap "echo size; stty size" WINCH; trap "echo key; exit" INT; echo ready; while :; do read line; done',
      ],
      env: Deno.env.toObject(),
    });
    await until(() => protocol.text.includes("ready\r\n"));
    transport.setWindowSize(70, 10);
    await until(() => protocol.text.includes("10 70\r\n"));
    transport.write("\x03");
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertStringIncludes(protocol.text, "key\r\n");
    await until(() => libc().waitpid(pid, new Int32Array(1), 1) === pid);
  },
);

const SOCAT = "socat passes bytes through a terminal as they are";

if (await hasSocat()) {
  testOnBackends(SOCAT, async ({ reactor }) => {
    reactor.interleave();
    const transport = openPty(new Echo(), { reopenable: true, reactor });
    const received = new Checksum();
    const { promise: ended, resolve } = Promise.withResolvers<Error>();
    const socat = spawnProcess(
      {
        childDataReceived(_fd, data) {
          received.add(data);
          if (received.length === 100_000) socat.closeStdin();
        },
        processEnded: resolve,
      },
      "socat",
      {
        args: ["-", `${transport.path},raw,echo=0`],
        childFDs: { 0: "w", 1: "r" },
        clearEnv: false,
        reactor,
      },
    );
    const data = pattern(100_000);
    const sent = new Checksum();
    sent.add(data);
    socat.write(data);
    assertInstanceOf(await ended, ConnectionDone);
    assertEquals(`${received}`, `${sent}`);
    transport.loseConnection();
  });
} else {
  leaveOut(SOCAT, "install socat");
}

async function hasSocat(): Promise<boolean> {
  const { success } = await new Deno.Command("sh", {
    args: ["-c", "command -v socat"],
    stdout: "null",
  }).output();
  return success;
}

testOnBackends(
  "openPty() has nothing of TCP or TLS, and no address",
  ({ reactor }) => {
    reactor.interleave();
    const transport = openPty(new Recorder(), { reactor });
    for (
      const call of [
        () => transport.setTcpNoDelay(true),
        () => transport.getTcpKeepAlive(),
        () => transport.startTLS(),
      ]
    ) {
      assertThrows(
        call,
        Deno.errors.NotSupported,
        "this connection is a pseudoterminal",
      );
    }
    assertEquals(transport.getPeer(), { transport: "unix", path: "" });
    assertEquals(transport.getHost(), { transport: "unix", path: "" });
    transport.loseConnection();
  },
);

Deno.test("openPty() throws when an argument is bad, and opens nothing", () => {
  const next = openFile("/dev/null", POSIX.O_RDONLY);
  closeDescriptor(next);
  const bad = (protocol: unknown, options: unknown) => () =>
    openPty(protocol as Recorder, options as Record<string, never>);
  const good = new Recorder();
  assertThrows(bad(undefined, {}), TypeError, '"protocol"');
  assertThrows(bad(good, 1), TypeError, '"options" must be an object');
  assertThrows(bad(good, { reactor: 1 }), TypeError, '"options.reactor"');
  assertThrows(bad(good, { raw: 1 }), TypeError, '"options.raw"');
  assertThrows(bad(good, { reopenable: null }), TypeError, '"options.reopen');
  assertThrows(bad(good, { columns: "80" }), TypeError, '"columns"');
  assertThrows(bad(good, { rows: 65_536 }), RangeError, '"rows"');
  assertFalse(libc().fcntl(next, POSIX.F_GETFD, 0) >= 0);
});

testInHosts(
  "openPty() works in every kind of host",
  async ({ reactor, run }) => {
    const protocol: Recorder = new Recorder({
      data: () => protocol.transport.loseConnection(),
      lost: () => reactor.stop(),
    });
    const transport = openPty(protocol, { raw: true, reactor });
    const slave = openTerminal(transport.path);
    slave.write(encoder.encode("hello"));
    await run();
    assertEquals(protocol.events, ["made", "hello", "lost: ConnectionDone"]);
    slave.close();
  },
  { hosts: ONE_OF_EACH_KIND },
);

Deno.test("openPty() is lost when its reactor stops, and leaves no descriptor open", async () => {
  const before = await countAtRest();
  for (const reopenable of [false, true]) {
    const reactor = new Reactor();
    reactor.interleave();
    const protocol = new Recorder();
    const transport = openPty(protocol, { reopenable, reactor });
    transport.pauseProducing();
    await reactor.close();
    assertInstanceOf(await protocol.lost.promise, ConnectionLost);
    assertThrows(() => openTerminal(transport.path));
  }
  await assertNothingLeft(before);
});
