/**
 * Standard input and output as a connection: with descriptors of every kind in
 * this process, and in programs of their own.
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
import { deadline } from "@std/async";
import { POSIX } from "../../ffi/constants.ts";
import {
  closeDescriptor,
  makePipe,
  makeSocketpair,
  openFile,
  readInto,
  setNonBlocking,
  WOULD_BLOCK,
  writeFrom,
} from "../../ffi/descriptor.ts";
import type { SystemError } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { makeRaw } from "../../ffi/terminal_mode.ts";
import { openPty as openMaster } from "../../ffi/pty.ts";
import { spawn } from "../../ffi/spawn.ts";
import {
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  FileDescriptor,
  Reactor,
} from "../../mod.ts";
import { adoptStream } from "../../src/net/adopt.ts";
import { spawnProcess } from "../../src/net/process.ts";
import type { Transport } from "../../src/net/protocol.ts";
import { openPty } from "../../src/net/pty.ts";
import { openStdio } from "../../src/net/stdio.ts";
import { connectTCP, listenTCP } from "../../src/net/tcp.ts";
import { CLOSED_FD, onLinux, PATIENCE, until } from "../descriptors.ts";
import { ONE_OF_EACH_KIND, testInHosts, testOnBackends } from "../hosts.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import {
  Checksum,
  HalfCloseRecorder,
  numberOf,
  pattern,
  Recorder,
} from "./protocols.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
libc();
assertThrows(() => makeRaw(-1));
assertThrows(() => spawn("/nonexistent", { env: null }));

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Two descriptors that were given to a program, and what is at their other ends. */
interface Given extends Disposable {
  readonly stdin: number;
  readonly stdout: number;
  /** Where a test writes what the program reads. */
  readonly typed: FileDescriptor;
  /** Where a test reads what the program writes. */
  readonly printed: FileDescriptor;
}

/** Pipes or sockets, blocking, as programs are given them. */
function given(make: () => [number, number] = makePipe): Given {
  const [stdin, typed] = make();
  const [printed, stdout] = make();
  const files = [typed, printed].map((fd) => FileDescriptor.adopt(fd));
  for (const fd of [stdin, stdout]) setNonBlocking(fd, false);
  return {
    stdin,
    stdout,
    typed: files[0]!,
    printed: files[1]!,
    [Symbol.dispose]() {
      for (const file of files) file.close();
      for (const fd of [stdin, stdout]) closeDescriptor(fd);
    },
  };
}

/** Two pairs of sockets, which cannot be opened once more. */
function givenSockets(): Given {
  return given(makeSocketpair);
}

const KINDS = [["pipes", given], ["sockets", givenSockets]] as const;

function isBlocking(fd: number): boolean {
  return (libc().fcntl(fd, POSIX.F_GETFL, 0) & POSIX.O_NONBLOCK) === 0;
}

/** Writes a text, which there must be room for. */
function type(file: FileDescriptor, text: string): void {
  const bytes = encoder.encode(text);
  assertEquals(file.write(bytes), bytes.length);
}

/** What can be read now: null at the end. */
function read(file: FileDescriptor): string | null {
  const buffer = new Uint8Array(65_536);
  const count = file.read(buffer);
  return count === null ? null : decoder.decode(buffer.subarray(0, count));
}

for (const [kind, give] of KINDS) {
  testOnBackends(
    `openStdio() closes ${kind} one half at a time, and keeps their numbers (contracts 221, 222, 226)`,
    async ({ reactor }) => {
      reactor.interleave();
      using ends = give();
      const protocol = new HalfCloseRecorder();
      const transport = openStdio(protocol, { ...ends, reactor });
      type(ends.typed, "hello");
      await until(() => protocol.events.includes("hello"));
      ends.typed.close();
      await until(() => protocol.events.includes("read lost"));

      transport.write("good");
      transport.write("bye");
      transport.loseWriteConnection();
      transport.write("dropped");
      assertInstanceOf(await protocol.lost.promise, ConnectionDone);
      assertEquals(protocol.events, [
        "made",
        "hello",
        "read lost",
        "write lost",
        "lost: ConnectionDone",
      ]);
      assertEquals(read(ends.printed), "goodbye");
      assertEquals(read(ends.printed), null);
      // The number is /dev/null now, and as blocking as it was.
      assertEquals(writeFrom(ends.stdout, new Uint8Array(3)), 3);
      assertEquals(readInto(ends.stdout, new Uint8Array(3)), 0);
      assert(isBlocking(ends.stdin) && isBlocking(ends.stdout));
    },
  );

  testOnBackends(
    `openStdio() goes on reading ${kind} after it has closed its own half (contract 221)`,
    async ({ reactor }) => {
      reactor.interleave();
      using ends = give();
      const protocol = new HalfCloseRecorder();
      const transport = openStdio(protocol, { ...ends, reactor });
      transport.loseWriteConnection();
      await until(() => protocol.events.includes("write lost"));
      assertEquals(read(ends.printed), null);
      type(ends.typed, "still here");
      await until(() => protocol.events.includes("still here"));
      ends.typed.close();
      assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    },
  );

  testOnBackends(
    `openStdio() ends with the input from ${kind} for a protocol without halves, and leaves the output alone (contract 223)`,
    async ({ reactor }) => {
      reactor.interleave();
      using ends = give();
      const protocol = new Recorder();
      openStdio(protocol, { ...ends, reactor });
      type(ends.typed, "last words");
      ends.typed.close();
      assertInstanceOf(await protocol.lost.promise, ConnectionDone);
      assertEquals(protocol.text, "last words");
      // As console.log would.
      writeFrom(ends.stdout, encoder.encode("end"));
      assertEquals(read(ends.printed), "end");
    },
  );

  testOnBackends(
    `loseConnection() sends everything into ${kind}, then ends both for the other side (contract 199)`,
    async ({ reactor }) => {
      reactor.interleave();
      using ends = give();
      const data = pattern(1_000_000);
      const protocol = new HalfCloseRecorder();
      const transport = openStdio(protocol, { ...ends, reactor });
      type(ends.typed, "unwanted");
      transport.write(data);
      transport.loseConnection();
      const got = new Uint8Array(
        await new Response(ends.printed.readable({ reactor })).arrayBuffer(),
      );
      assertEquals(got.length, data.length);
      assert(got.every((byte, i) => byte === data[i]));
      assertInstanceOf(await protocol.lost.promise, ConnectionDone);
      assertEquals(protocol.events, ["made", "lost: ConnectionDone"]);
      assertThrows(() => type(ends.typed, "x"), Deno.errors.BrokenPipe);
    },
  );

  testOnBackends(
    `abortConnection() throws away what ${kind} have no room for, and ends both (contract 201)`,
    async ({ reactor }) => {
      reactor.interleave();
      using ends = give();
      const protocol = new Recorder();
      const transport = openStdio(protocol, { ...ends, reactor });
      transport.write(new Uint8Array(10_000_000));
      await until(() => transport.bufferedAmount < 10_000_000);
      transport.abortConnection();
      transport.abortConnection();
      assertEquals(protocol.events, ["made"]);
      assertInstanceOf(await protocol.lost.promise, ConnectionAborted);
      assertThrows(() => type(ends.typed, "x"), Deno.errors.BrokenPipe);
      const rest = await new Response(ends.printed.readable({ reactor }))
        .arrayBuffer();
      assert(rest.byteLength > 0 && rest.byteLength < 10_000_000);
    },
  );

  testOnBackends(
    `openStdio() takes and gives 10 MB through ${kind} while a producer is paused and resumed (contract 214)`,
    async ({ reactor }) => {
      reactor.interleave();
      using ends = give();
      let pauses = 0;
      const transport: Transport = openStdio({
        dataReceived: (data) => transport.write(data),
        readConnectionLost() {
          transport.unregisterProducer();
          transport.loseWriteConnection();
        },
      }, { ...ends, reactor });
      transport.registerProducer({
        pauseProducing() {
          pauses++;
          transport.pauseProducing();
        },
        resumeProducing: () => transport.resumeProducing(),
        stopProducing: () => {},
      }, true);
      const data = pattern(10_000_000);
      const sent = new Checksum();
      sent.add(data);
      const writer = ends.typed.writable({ reactor }).getWriter();
      const done = writer.write(data).then(() => writer.close());
      await until(() => pauses > 0);
      const received = new Checksum();
      let most = 0;
      for await (const chunk of ends.printed.readable({ reactor })) {
        received.add(chunk);
        most = Math.max(most, transport.bufferedAmount);
      }
      await done;
      assertEquals(`${received}`, `${sent}`);
      // What a protocol has unsent, and what came in the meantime.
      assert(most <= 2 * 65_536, `${most} bytes were unsent`);
      assert(isBlocking(ends.stdin) && isBlocking(ends.stdout));
    },
  );

  testOnBackends(
    `openStdio() is lost when nobody reads its ${kind} any more, also in the middle of a write`,
    async ({ reactor }) => {
      reactor.interleave();
      for (const length of [1, 10_000_000]) {
        using ends = give();
        const protocol = new HalfCloseRecorder();
        const transport = openStdio(protocol, { ...ends, reactor });
        if (length === 1) ends.printed.close();
        transport.write(new Uint8Array(length));
        await until(() => transport.bufferedAmount < length);
        ends.printed.close();
        const reason = await protocol.lost.promise;
        assertInstanceOf(reason, ConnectionLost);
        assertEquals((reason as SystemError).code, "EPIPE");
        assertEquals(protocol.events, ["made", "lost: ConnectionLost"]);
      }
    },
  );
}

testOnBackends(
  "pauseProducing() leaves the input where it is, and nothing is lost of it (contract 206)",
  async ({ reactor }) => {
    reactor.interleave();
    using ends = given();
    const protocol = new Recorder();
    const transport = openStdio(protocol, { ...ends, reactor });
    transport.pauseProducing();
    type(ends.typed, "later");
    ends.typed.close();
    transport.write("now");
    await until(() => transport.bufferedAmount === 0);
    assertEquals(protocol.events, ["made"]);
    transport.resumeProducing();
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    assertEquals(protocol.events, ["made", "later", "lost: ConnectionDone"]);
  },
);

testOnBackends(
  "loseConnection() leaves to others what it has not read",
  async ({ reactor }) => {
    reactor.interleave();
    const path = Deno.makeTempFileSync();
    Deno.writeFileSync(path, pattern(200_000));
    const stdin = openFile(path, POSIX.O_RDONLY);
    const stdout = openFile("/dev/null", POSIX.O_WRONLY);
    const protocol: Recorder = new Recorder({
      data: () => protocol.transport.loseConnection(),
    });
    openStdio(protocol, { stdin, stdout, reactor });
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    let rest = 0;
    const buffer = new Uint8Array(65_536);
    for (let count; (count = readInto(stdin, buffer)) > 0;) rest += count;
    assertEquals(protocol.received + rest, 200_000);
    assert(rest > 0);
    [stdin, stdout].forEach(closeDescriptor);
    Deno.removeSync(path);
  },
);

testOnBackends(
  "openStdio() reads a file to its end and appends to another, in order",
  async ({ reactor }) => {
    reactor.interleave();
    const from = Deno.makeTempFileSync();
    const to = Deno.makeTempFileSync();
    const data = pattern(1_000_000);
    Deno.writeFileSync(from, data);
    Deno.writeTextFileSync(to, "first");
    const stdin = openFile(from, POSIX.O_RDONLY);
    const stdout = openFile(to, POSIX.O_WRONLY | POSIX.O_APPEND);
    const protocol: HalfCloseRecorder = new HalfCloseRecorder({
      data: (_, data) => protocol.transport.write(data),
    });
    protocol.onReadLost = () => protocol.transport.loseWriteConnection();
    openStdio(protocol, { stdin, stdout, reactor });
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    writeFrom(stdout, encoder.encode("last"));
    [stdin, stdout].forEach(closeDescriptor);
    const got = Deno.readFileSync(to);
    assertEquals(decoder.decode(got.subarray(0, 5)), "first");
    assertEquals(decoder.decode(got.subarray(-4)), "last");
    assert(got.subarray(5, -4).every((byte, i) => byte === data[i]));
    assertEquals(got.length, data.length + 9);
    [from, to].forEach((path) => Deno.removeSync(path));
  },
);

testOnBackends(
  "openStdio() takes /dev/null for both, whose end comes at once",
  async ({ reactor }) => {
    reactor.interleave();
    const nothing = openFile("/dev/null", POSIX.O_RDWR);
    const protocol: HalfCloseRecorder = new HalfCloseRecorder();
    protocol.onReadLost = () => {
      protocol.transport.write(new Uint8Array(100_000));
      protocol.transport.loseWriteConnection();
    };
    openStdio(protocol, { stdin: nothing, stdout: nothing, reactor });
    assertInstanceOf(await protocol.lost.promise, ConnectionDone);
    closeDescriptor(nothing);
  },
);

testOnBackends(
  "openStdio() works on one socket for both, as under inetd",
  async ({ reactor }) => {
    reactor.interleave();
    const client = new HalfCloseRecorder();
    const server = new HalfCloseRecorder();
    const [here, there] = makeSocketpair();
    setNonBlocking(here, false);
    const transport = openStdio(server, { stdin: here, stdout: here, reactor });
    adoptStream(there, client, { reactor });
    closeDescriptor(there);
    server.onReadLost = () => {
      transport.write("bye");
      transport.loseWriteConnection();
    };
    client.transport.write("hello");
    client.transport.loseWriteConnection();
    await Promise.all([client.lost.promise, server.lost.promise]);
    assertEquals(client.events, [
      "made",
      "write lost",
      "bye",
      "read lost",
      "lost: ConnectionDone",
    ]);
    closeDescriptor(here);
  },
);

testOnBackends(
  "getPeer() and getHost() show the addresses of a socket, and of anything else none",
  async ({ reactor }) => {
    reactor.interleave();
    const accepted = Promise.withResolvers<Recorder>();
    const port = listenTCP(0, {
      buildProtocol: () =>
        new Recorder({ made: (recorder) => accepted.resolve(recorder) }),
    }, { hostname: "127.0.0.1", reactor });
    const client = new Recorder();
    connectTCP("127.0.0.1", numberOf(port), { buildProtocol: () => client }, {
      reactor,
    });
    const server = await accepted.promise;
    await client.made.promise;
    await port.stopListening();
    const socket = client.transport as Transport & { fileno(): number };
    client.transport.pauseProducing();
    const stdio = openStdio(new Recorder(), {
      stdin: socket,
      stdout: socket,
      reactor,
    });
    assertEquals(stdio.getPeer(), server.transport.getHost());
    assertEquals(stdio.getHost(), server.transport.getPeer());

    using ends = given();
    const piped = openStdio(new Recorder(), { ...ends, reactor });
    const nameless = { transport: "unix", path: "" } as const;
    assertEquals(piped.getPeer(), nameless);
    assertEquals(piped.getHost(), nameless);
  },
);

testOnBackends(
  "openStdio() has nothing of TCP or TLS, and says so",
  ({ reactor }) => {
    reactor.interleave();
    using ends = given();
    const transport = openStdio(new Recorder(), { ...ends, reactor });
    for (
      const call of [
        () => transport.setTcpNoDelay(true),
        () => transport.getTcpNoDelay(),
        () => transport.setTcpKeepAlive(true),
        () => transport.getTcpKeepAlive(),
        () => transport.startTLS(),
      ]
    ) {
      assertThrows(
        call,
        Deno.errors.NotSupported,
        "this connection is standard input and output",
      );
    }
    transport.abortConnection();
  },
);

Deno.test("openStdio() throws when an argument is bad, and opens nothing", () => {
  const next = openFile("/dev/null", POSIX.O_RDONLY);
  closeDescriptor(next);
  const bad = (protocol: unknown, options: unknown) => () =>
    openStdio(protocol as Recorder, options as Record<string, never>);
  const good = new Recorder();
  assertThrows(bad({}, {}), TypeError, '"protocol" must be an object with');
  assertThrows(bad(null, {}), TypeError, '"protocol"');
  assertThrows(bad(good, null), TypeError, '"options" must be an object');
  assertThrows(bad(good, { stdin: "0" }), TypeError, '"options.stdin"');
  assertThrows(bad(good, { stdout: -1 }), RangeError, '"options.stdout"');
  assertThrows(bad(good, { reactor: {} }), TypeError, '"options.reactor"');
  for (const name of ["stdin", "stdout"]) {
    assertThrows(
      bad(good, { [name]: CLOSED_FD }),
      Deno.errors.BadResource,
      `${CLOSED_FD}`,
    );
  }
  assertFalse(libc().fcntl(next, POSIX.F_GETFD, 0) >= 0);
});

testOnBackends(
  "openStdio() replaces no file that was given the number of its output meanwhile",
  async ({ reactor }) => {
    reactor.interleave();
    using ends = given();
    const protocol = new Recorder();
    const transport = openStdio(protocol, { ...ends, reactor });
    const [other, mine] = makePipe();
    libc().dup2(mine, ends.stdout);
    transport.loseConnection();
    await protocol.lost.promise;
    writeFrom(ends.stdout, encoder.encode("safe"));
    const buffer = new Uint8Array(10);
    assertEquals(readInto(other, buffer), 4);
    [other, mine].forEach(closeDescriptor);
  },
);

testOnBackends(
  "a handler that throws ends the connection with that, and the numbers stay (contract 203)",
  async ({ reactor, errors }) => {
    reactor.interleave();
    using ends = given();
    const protocol = new Recorder({
      data() {
        throw new Error("data");
      },
    });
    openStdio(protocol, { ...ends, reactor });
    type(ends.typed, "x");
    assertEquals((await protocol.lost.promise).message, "data");
    assertEquals(
      errors.splice(0).map(({ error }) => (error as Error).message),
      ["data"],
    );
    writeFrom(ends.stdout, encoder.encode("console"));
    assertEquals(read(ends.printed), "console");
  },
);

testInHosts(
  "openStdio() works in every kind of host",
  async ({ reactor, run }) => {
    using ends = givenSockets();
    const protocol: Recorder = new Recorder({
      data(_, data) {
        protocol.transport.write(data);
        protocol.transport.loseConnection();
      },
      lost: () => reactor.stop(),
    });
    openStdio(protocol, { ...ends, reactor });
    type(ends.typed, "hello");
    await run();
    assertEquals(read(ends.printed), "hello");
    assertEquals(protocol.events, ["made", "hello", "lost: ConnectionDone"]);
  },
  { hosts: ONE_OF_EACH_KIND },
);

Deno.test("openStdio() is lost when its reactor stops, and leaves no descriptor open", async () => {
  const before = await countAtRest();
  for (const give of [given, givenSockets]) {
    using ends = give();
    const reactor = new Reactor();
    reactor.interleave();
    const protocol = new Recorder();
    openStdio(protocol, { ...ends, reactor }).pauseProducing();
    await reactor.close();
    assertInstanceOf(await protocol.lost.promise, ConnectionLost);
    assertEquals(writeFrom(ends.stdout, encoder.encode("end")), 3);
    assertEquals(read(ends.printed), "end");
  }
  await assertNothingLeft(before);
});

// Programs of their own

const PROGRAM = new URL("../programs/echo_stdio.ts", import.meta.url).pathname;

function echoArgs(...args: string[]): string[] {
  return ["run", "--quiet", "--no-prompt", "--allow-ffi", PROGRAM, ...args];
}

const ENV = { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };

/** Runs a command line of the shell, in which `"$@"` is the program. */
async function shell(
  line: string,
  ...args: string[]
): Promise<{ stdout: string; stderr: string; code: number }> {
  const { stdout, stderr, code } = await new Deno.Command("sh", {
    args: ["-c", line, "sh", Deno.execPath(), ...echoArgs(...args)],
    env: ENV,
    stdin: "null",
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  return {
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
    code,
  };
}

Deno.test("openStdio() sends 10 MB through a program between pipes, which then ends", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: echoArgs(),
    env: ENV,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(PATIENCE),
  }).spawn();
  const data = pattern(10_000_000);
  const sent = new Checksum();
  sent.add(data);
  const writer = child.stdin.getWriter();
  const done = writer.write(data).then(() => writer.close());
  const received = new Checksum();
  for await (const chunk of child.stdout) received.add(chunk);
  await done;
  assertEquals(`${received}`, `${sent}`);
  assertEquals(await new Response(child.stderr).text(), "ConnectionDone\n");
  assert((await child.status).success);
});

Deno.test("openStdio() sends a file through a program into another file", async () => {
  const folder = Deno.makeTempDirSync();
  const data = pattern(3_000_000);
  Deno.writeFileSync(`${folder}/in`, data);
  const { stderr, code } = await shell(
    `cd '${folder}'; echo first > out; "$@" < in >> out; echo last >> out`,
  );
  assertEquals({ stderr, code }, { stderr: "ConnectionDone\n", code: 0 });
  const got = Deno.readFileSync(`${folder}/out`);
  assertEquals(got.length, data.length + 11);
  assert(got.subarray(6, -5).every((byte, i) => byte === data[i]));
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("openStdio() leaves the rest of a shared input to the next program", async () => {
  // A pipe holds what the first has not read.
  const { stdout, stderr } = await shell(
    `{ head -c 65536 /dev/zero; echo rest; } | { "$@" | wc -c; cat; }`,
    "once",
  );
  assertEquals(stderr, "ConnectionDone\n");
  assertStringIncludes(stdout, "rest\n");
});

Deno.test("openStdio() in a pipeline is lost with EPIPE when the next program goes", async () => {
  const { stdout, stderr } = await shell(`yes | "$@" | head -n 1`);
  assertEquals(stdout, "y\n");
  assertEquals(stderr, "ConnectionLost: EPIPE\n");
});

/** A program on a terminal, whose other side is ours. */
interface OnTerminal {
  /** The terminal: the very open file that the program has. */
  readonly slave: number;
  /** What came out of it. */
  output: string;
  /** Types on it. */
  type(text: string): void;
  /** Waits until something has come out of it. */
  shows(text: string): Promise<void>;
  /** Ends it. */
  kill(): void;
  readonly ended: Promise<Error>;
}

/** Runs the program on a terminal, of which the test keeps the open file. */
async function onTerminal(
  mode: string,
  fn: (program: OnTerminal) => Promise<void>,
): Promise<void> {
  await using reactor = new Reactor();
  reactor.interleave();
  const { promise: ended, resolve } = Promise.withResolvers<Error>();
  const terminal = openPty({
    dataReceived(data) {
      program.output += decoder.decode(data);
    },
  }, { reactor });
  const slave = openFile(terminal.path, POSIX.O_RDWR);
  setNonBlocking(slave, false);
  const process = spawnProcess({ processEnded: resolve }, Deno.execPath(), {
    args: echoArgs(mode),
    clearEnv: false,
    env: ENV,
    childFDs: { 0: slave, 1: slave, 2: slave },
    reactor,
  });
  const program: OnTerminal = {
    slave,
    output: "",
    type: (text) => terminal.write(text),
    shows: (text) => until(() => program.output.includes(text)),
    kill: () => process.signalProcess("SIGKILL"),
    ended,
  };
  try {
    await fn(program);
    await deadline(ended, PATIENCE);
  } finally {
    terminal.loseConnection();
    closeDescriptor(slave);
  }
}

Deno.test("openStdio() talks on a terminal, and leaves it blocking all the time", async () => {
  await onTerminal("ping", async ({ slave, type, shows, ended }) => {
    await shows("ready\r\n");
    assert(isBlocking(slave));
    type("hello\n");
    await shows("hello\r\nhello\r\n"); // The terminal's echo, and the program's.
    assert(isBlocking(slave));
    type("\x04");
    await shows("ConnectionDone\r\n");
    assertInstanceOf(await ended, ConnectionDone);
    assert(isBlocking(slave));
  });
});

Deno.test("openStdio() leaves a terminal blocking when its program is killed", async () => {
  await onTerminal("ping", async ({ slave, shows, kill, ended }) => {
    await shows("ready\r\n");
    kill();
    await ended;
    assert(isBlocking(slave));
  });
});

testOnBackends(
  "openStdio() writes to a terminal that is not read, and waits without standing still",
  async ({ reactor }) => {
    reactor.interleave();
    const { master, path } = openMaster();
    const slave = openFile(path, POSIX.O_RDWR);
    makeRaw(slave);
    setNonBlocking(slave, false);
    const protocol = new Recorder();
    const transport = openStdio(protocol, {
      stdin: slave,
      stdout: slave,
      reactor,
    });
    const data = pattern(1_000_000);
    transport.write(data);
    await until(() => transport.bufferedAmount < data.length);
    await new Promise<void>((resolve) => reactor.callLater(1, resolve));
    assert(transport.bufferedAmount > 0);

    const sum = new Checksum();
    const file = FileDescriptor.adopt(master);
    const reader = file.readable({ reactor }).getReader();
    while (sum.length < data.length) sum.add((await reader.read()).value!);
    const expected = new Checksum();
    expected.add(data);
    assertEquals(`${sum}`, `${expected}`);
    transport.loseConnection();
    await protocol.lost.promise;
    // A terminal stays what it was: there is no other side to tell.
    assert(libc().isatty(slave) === 1 && isBlocking(slave));
    closeDescriptor(slave);
    assert((await reader.read()).done);
  },
);

if (!onLinux) {
  console.log(
    "Not proved here: a terminal that is opened once more, as Linux can",
  );
}

Deno.test("openStdio() takes turns with another reader of the same terminal", {
  ignore: !onLinux,
}, async () => {
  await using reactor = new Reactor();
  reactor.interleave();
  const { master, path } = openMaster();
  const slave = openFile(path, POSIX.O_RDWR);
  setNonBlocking(slave, false);
  const protocol = new Recorder();
  openStdio(protocol, { stdin: slave, stdout: slave, reactor });
  // It is called readable, and by then there is nothing any more.
  const other = openFile(path, POSIX.O_RDONLY | POSIX.O_NONBLOCK);
  writeFrom(master, encoder.encode("gone\n"));
  const buffer = new Uint8Array(100);
  await until(() => readInto(other, buffer) !== WOULD_BLOCK);
  writeFrom(master, encoder.encode("mine\n"));
  await until(() => protocol.events.length > 1);
  assert(["gone\n", "mine\n"].some((text) => protocol.events[1] === text));
  [other, slave, master].forEach(closeDescriptor);
});
