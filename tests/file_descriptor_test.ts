import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { cString } from "../ffi/arguments.ts";
import { POSIX } from "../ffi/constants.ts";
import {
  duplicate,
  isOpen,
  makePipe,
  setNonBlocking,
} from "../ffi/descriptor.ts";
import { check } from "../ffi/errno.ts";
import { libc } from "../ffi/libc.ts";
import { openPty } from "../ffi/pty.ts";
import { openPidfd, reap, spawnOnTerminal } from "../ffi/spawn.ts";
import { ConnectionLost, ReactorNotRunning } from "../src/errors.ts";
import { FileDescriptor, type StreamOptions } from "../src/file_descriptor.ts";
import { Reactor } from "../src/reactor.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
assertThrows(() => spawnOnTerminal("/nonexistent", "sh"));

/** Long enough for anything here; no test waits for it to pass. */
const PATIENCE = 20_000;

const onLinux = Deno.build.os === "linux";

const { BadResource, BrokenPipe, WouldBlock } = Deno.errors;

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Runs a test on each backend that this system has. */
function testStreams(
  name: string,
  fn: (reactor: Reactor) => Promise<void>,
  ignore = false,
): void {
  async function run(backend: "epoll" | "poll"): Promise<void> {
    await using reactor = new Reactor({ backend });
    await fn(reactor);
  }
  for (
    const backend of onLinux ? ["epoll", "poll"] as const : ["poll"] as const
  ) {
    Deno.test({
      name: `${name} [${backend}]`,
      ignore,
      fn() {
        return deadline(run(backend), PATIENCE);
      },
    });
  }
}

/** How many bytes can be read. */
function unread(descriptor: FileDescriptor): number {
  const count = new Int32Array(1);
  check(
    libc().ioctl(descriptor.fileno(), POSIX.FIONREAD, count),
    "Cannot count what is unread",
  );
  return count[0]!;
}

/**
 * Lets streams get as far as to wait for a descriptor, which takes them some
 * microtasks.
 */
async function untilWaiting(reactor: Reactor): Promise<void> {
  for (let i = 0; i < 100 && reactor.inspect().descriptors.length === 0; i++) {
    await null;
  }
  assertEquals(reactor.inspect().descriptors.length, 1);
}

/** Writes until there is no room. Returns how much there was. */
function fill(descriptor: FileDescriptor): number {
  const chunk = new Uint8Array(4096);
  let total = 0;
  for (;;) {
    try {
      total += descriptor.write(chunk);
    } catch (error) {
      assert(error instanceof WouldBlock, `${error}`);
      return total;
    }
  }
}

/** Bytes that tell one place from another, and what they sum up to. */
class Pattern {
  #state = 1;
  #sum = 0;
  length = 0;

  next(length: number): Uint8Array<ArrayBuffer> {
    const chunk = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      this.#state = (Math.imul(this.#state, 1103515245) + 12345) >>> 0;
      chunk[i] = this.#state >>> 24;
    }
    this.add(chunk);
    return chunk;
  }

  add(chunk: Uint8Array): void {
    for (const byte of chunk) {
      this.#sum = (Math.imul(this.#sum, 31) + byte) >>> 0;
    }
    this.length += chunk.length;
  }

  get digest(): string {
    return `${this.length}:${this.#sum}`;
  }
}

// Making them

Deno.test("FileDescriptor.pipe() makes two ends, the first to read from", () => {
  const [output, input] = FileDescriptor.pipe();
  assertEquals(input.write(bytes("hello")), 5);
  const buffer = new Uint8Array(10);
  assertEquals(output.read(buffer), 5);
  assertEquals(text(buffer.subarray(0, 5)), "hello");
  input.close();
  assertEquals(output.read(buffer), null);
  output.close();
});

Deno.test("FileDescriptor.socketpair() makes two ends for both directions", () => {
  const [here, there] = FileDescriptor.socketpair();
  const buffer = new Uint8Array(10);
  assertEquals(here.write(bytes("to")), 2);
  assertEquals(there.write(bytes("fro")), 3);
  assertEquals(here.read(buffer), 3);
  assertEquals(there.read(buffer), 2);
  here.close();
  assertEquals(there.read(buffer), null);
  there.close();
});

Deno.test("FileDescriptor.open() opens a file for reading when nothing else is said", () => {
  const path = Deno.makeTempFileSync();
  Deno.writeTextFileSync(path, "content");
  using file = FileDescriptor.open(path);
  const buffer = new Uint8Array(4);
  assertEquals(file.read(buffer), 4);
  assertEquals(text(buffer), "cont");
  assertEquals(file.read(buffer), 3);
  assertEquals(file.read(buffer), null);
  assertThrows(() => file.write(buffer), BadResource, "(EBADF)");
  Deno.removeSync(path);
});

Deno.test("FileDescriptor.open() creates, appends and writes over, as its options say", () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/file`;
  assertThrows(
    () => FileDescriptor.open(path, { write: true }),
    Deno.errors.NotFound,
    "(ENOENT)",
  );
  {
    using file = FileDescriptor.open(path, {
      write: true,
      create: true,
      mode: 0o600,
    });
    file.write(bytes("first"));
    assertThrows(() => file.read(new Uint8Array(1)), BadResource);
  }
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  {
    using file = FileDescriptor.open(path, { append: true });
    file.write(bytes(" second"));
  }
  {
    using file = FileDescriptor.open(path, { write: true });
    file.write(bytes("FI"));
  }
  {
    using file = FileDescriptor.open(path, { read: true, write: true });
    const buffer = new Uint8Array(20);
    assertEquals(text(buffer.subarray(0, file.read(buffer)!)), "FIrst second");
    file.write(bytes("!"));
  }
  assertEquals(Deno.readTextFileSync(path), "FIrst second!");
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("FileDescriptor.open() throws when an argument is bad", () => {
  function refused(
    Class: new () => Error,
    message: string,
    ...args: unknown[]
  ): void {
    assertThrows(
      () => (FileDescriptor.open as (...args: unknown[]) => unknown)(...args),
      Class,
      message,
    );
  }
  const path = "/dev/null";
  refused(TypeError, '"path" must be a string without NUL, received 5', 5);
  refused(TypeError, '"path"', "/dev/null\0");
  refused(TypeError, '"options" must be an object, received null', path, null);
  refused(TypeError, '"options" must be an object, received "r"', path, "r");
  refused(TypeError, '"options.read" must be a boolean, received 1', path, {
    read: 1,
  });
  refused(TypeError, '"options.write"', path, { write: "yes" });
  refused(TypeError, '"options.create"', path, { write: true, create: null });
  refused(TypeError, '"options.append"', path, { append: 0 });
  refused(TypeError, '"mode"', path, {
    write: true,
    create: true,
    mode: "600",
  });
  refused(RangeError, '"mode"', path, { write: true, create: true, mode: -1 });
  refused(RangeError, '"mode"', path, { write: true, create: true, mode: NaN });
  refused(TypeError, '"create" needs "write" or "append"', path, {
    create: true,
  });
  refused(TypeError, '"create" needs', path, { read: true, create: true });
  refused(TypeError, 'one of "read", "write" and "append"', path, {
    read: false,
  });
});

Deno.test("FileDescriptor.open() opens a directory, which cannot be read", () => {
  using directory = FileDescriptor.open("/");
  assertThrows(
    () => directory.read(new Uint8Array(10)),
    Deno.errors.IsADirectory,
    "(EISDIR)",
  );
});

Deno.test("FileDescriptor.open() does not wait for the other side of a FIFO", () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/fifo`;
  check(
    libc().mkfifo(cString(path, "make a FIFO", "path"), 0o600),
    "Cannot make a FIFO",
  );
  const error = assertThrows(
    () => FileDescriptor.open(path, { write: true }),
    Error,
    "(ENXIO)",
  );
  assertEquals((error as { code?: string }).code, "ENXIO");
  using output = FileDescriptor.open(path);
  const buffer = new Uint8Array(10);
  assertEquals(output.read(buffer), null);
  {
    using input = FileDescriptor.open(path, { write: true });
    assertThrows(() => output.read(buffer), WouldBlock);
    input.write(bytes("x"));
    assertEquals(output.read(buffer), 1);
  }
  assertEquals(output.read(buffer), null);
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("FileDescriptor.adopt() takes a descriptor over and makes it non-blocking", () => {
  const [output, input] = makePipe();
  setNonBlocking(output, false);
  const adopted = FileDescriptor.adopt(output);
  assertEquals(adopted.fileno(), output);
  assert((libc().fcntl(output, POSIX.F_GETFL, 0) & POSIX.O_NONBLOCK) !== 0);
  assertThrows(() => adopted.read(new Uint8Array(1)), WouldBlock);
  adopted.close();
  assert(!isOpen(output));
  libc().close(input);
});

Deno.test("FileDescriptor.adopt() leaves a descriptor blocking when asked to", () => {
  const [output, input] = makePipe();
  setNonBlocking(output, false);
  using adopted = FileDescriptor.adopt(output, { blocking: true });
  assertEquals(
    libc().fcntl(adopted.fileno(), POSIX.F_GETFL, 0) & POSIX.O_NONBLOCK,
    0,
  );
  libc().close(input);
});

Deno.test("FileDescriptor.adopt() throws when the number is not open", () => {
  const error = assertThrows(
    () => FileDescriptor.adopt(9999),
    BadResource,
    "Cannot adopt descriptor 9999",
  );
  assertEquals((error as { code?: string }).code, "EBADF");
});

Deno.test("FileDescriptor.adopt() throws when an argument is bad", () => {
  function refused(
    Class: new () => Error,
    message: string,
    ...args: unknown[]
  ): void {
    assertThrows(
      () => (FileDescriptor.adopt as (...args: unknown[]) => unknown)(...args),
      Class,
      message,
    );
  }
  refused(TypeError, '"fd" must be a number, received "x"', "x");
  refused(TypeError, '"fd" must be a number', undefined);
  // It has an owner.
  using owned = FileDescriptor.open("/dev/null");
  refused(
    TypeError,
    '"fd" must be a number, received object FileDescriptor',
    owned,
  );
  refused(RangeError, '"fd"', -1);
  refused(RangeError, '"fd"', NaN);
  refused(RangeError, '"fd"', 1.5);
  refused(RangeError, '"fd"', 2 ** 31);
  refused(TypeError, '"options"', 0, null);
  refused(TypeError, '"options.blocking" must be a boolean, received 1', 0, {
    blocking: 1,
  });
});

Deno.test("FileDescriptor is not inherited by child processes", async () => {
  async function descriptorsOfChild(): Promise<string> {
    const { stdout } = await new Deno.Command("ls", { args: ["/proc/self/fd"] })
      .output();
    return text(stdout);
  }
  const before = await descriptorsOfChild();
  const { master, path } = openPty();
  const ours = [
    ...FileDescriptor.pipe(),
    ...FileDescriptor.socketpair(),
    FileDescriptor.open("/dev/null"),
    FileDescriptor.adopt(master),
    FileDescriptor.open(path),
    FileDescriptor.adopt(duplicate(0), { blocking: true }),
  ];
  assertEquals(await descriptorsOfChild(), before);
  for (const descriptor of ours) descriptor.close();
});

// Reading and writing

Deno.test("FileDescriptor.read() throws when there is nothing to read now", () => {
  const [output, input] = FileDescriptor.pipe();
  const fd = output.fileno();
  const error = assertThrows(
    () => output.read(new Uint8Array(1)),
    WouldBlock,
    `Cannot read descriptor ${fd}`,
  );
  assertEquals((error as { code?: string }).code, "EAGAIN");
  output.close();
  input.close();
});

Deno.test("FileDescriptor.write() throws when there is no room now", () => {
  const [output, input] = FileDescriptor.pipe();
  assertGreater(fill(input), 0);
  assertThrows(
    () => input.write(new Uint8Array(1)),
    WouldBlock,
    `Cannot write descriptor ${input.fileno()}`,
  );
  output.close();
  input.close();
});

Deno.test("FileDescriptor.write() throws when nobody reads any more", () => {
  for (
    const [here, there] of [FileDescriptor.pipe(), FileDescriptor.socketpair()]
  ) {
    here.close();
    const error = assertThrows(() => there.write(bytes("x")), BrokenPipe);
    assertEquals((error as { code?: string }).code, "EPIPE");
    there.close();
  }
});

Deno.test("FileDescriptor.read() returns 0 when the buffer is empty, wherever the descriptor is", () => {
  const [output, input] = FileDescriptor.pipe();
  const empty = new Uint8Array(0);
  assertEquals(output.read(empty), 0);
  input.write(bytes("x"));
  assertEquals(output.read(empty), 0);
  input.close();
  assertEquals(output.read(empty), 0);
  assertEquals(output.read(new Uint8Array(1)), 1);
  assertEquals(output.read(empty), 0);
  output.close();
  assertThrows(() => output.read(empty), BadResource);
});

Deno.test("FileDescriptor.read() returns 0 when an empty datagram came", () => {
  const ends = new Int32Array(2);
  check(
    libc().socketpair(POSIX.AF_UNIX, POSIX.SOCK_DGRAM, 0, ends),
    "Cannot make a pair of sockets",
  );
  using here = FileDescriptor.adopt(ends[0]!);
  using there = FileDescriptor.adopt(ends[1]!);
  assertEquals(here.write(new Uint8Array(0)), 0);
  assertEquals(there.read(new Uint8Array(10)), 0);
  assertThrows(() => there.read(new Uint8Array(10)), WouldBlock);
});

Deno.test("FileDescriptor.read() and write() throw when the argument is not a Uint8Array", () => {
  const [output, input] = FileDescriptor.pipe();
  const wrong: unknown[] = [
    undefined,
    null,
    "text",
    5,
    [1],
    new ArrayBuffer(1),
    new Uint16Array(1),
    new DataView(new ArrayBuffer(1)),
  ];
  for (const value of wrong) {
    assertThrows(
      () => output.read(value as Uint8Array),
      TypeError,
      '"into" must be a Uint8Array',
    );
    assertThrows(
      () => input.write(value as Uint8Array),
      TypeError,
      '"from" must be a Uint8Array',
    );
  }
  output.close();
  input.close();
});

Deno.test("FileDescriptor.read() sees a pseudoterminal's end when the last slave is closed", () => {
  const { master, path } = openPty();
  using terminal = FileDescriptor.adopt(master);
  const buffer = new Uint8Array(10);
  assertThrows(() => terminal.read(buffer), WouldBlock);
  using slave = FileDescriptor.open(path, { read: true, write: true });
  slave.write(bytes("last"));
  slave.close();
  assertEquals(terminal.read(buffer), 4);
  assertEquals(terminal.read(buffer), null);
});

Deno.test("FileDescriptor.read() throws what the kernel says of a terminal whose master is closed", () => {
  const { master, path } = openPty();
  using slave = FileDescriptor.open(path, { write: true });
  libc().close(master);
  assertThrows(() => slave.write(bytes("x")), Error, "(EIO)");
});

// Closing

Deno.test("FileDescriptor.close() closes once, and the number is -1 from then on", () => {
  const [output, input] = FileDescriptor.pipe();
  const number = output.fileno();
  output.close();
  assertEquals(output.fileno(), -1);
  assert(!isOpen(number));
  using other = FileDescriptor.open("/dev/null");
  assertEquals(other.fileno(), number);
  output.close();
  assert(isOpen(number));
  input.close();
});

Deno.test("FileDescriptor throws BadResource, with the number it had, when it is used after close()", () => {
  const [output, input] = FileDescriptor.pipe();
  const numbers = [output.fileno(), input.fileno()];
  output.close();
  input.close();
  const error = assertThrows(
    () => output.read(new Uint8Array(1)),
    BadResource,
    `Cannot read descriptor ${numbers[0]}`,
  );
  assertEquals((error as { code?: string }).code, "EBADF");
  assertThrows(
    () => input.write(new Uint8Array(1)),
    BadResource,
    `Cannot write descriptor ${numbers[1]}`,
  );
  assertThrows(() => output.readable(), BadResource);
  assertThrows(() => input.writable(), BadResource);
});

Deno.test("FileDescriptor is closed at the end of a block that uses it", () => {
  let kept: FileDescriptor;
  {
    using file = FileDescriptor.open("/dev/null");
    kept = file;
    assert(isOpen(file.fileno()));
  }
  assertEquals(kept.fileno(), -1);
});

testStreams(
  "FileDescriptor.close() takes it out of the reactor first, and tells those who watch",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const reasons: Error[] = [];
    const reader = {
      fileno: () => output.fileno(),
      doRead: () => {},
      connectionLost: (reason: Error) => reasons.push(reason),
    };
    const waiting = reactor.readable(output);
    reactor.addReader(reader);
    output.close();
    await assertRejects(() => waiting, BadResource, "(EBADF)");
    assertEquals(reasons.length, 1);
    assert(reasons[0] instanceof ConnectionLost);
    assertEquals(reactor.getReaders(), []);
    // The other side sees it at once.
    assertThrows(() => input.write(bytes("x")), BrokenPipe);
    input.close();
  },
);

// Streams

testStreams(
  "FileDescriptor.readable() gives what comes, and ends with the file",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const reader = output.readable({ reactor }).getReader();
    input.write(bytes("one"));
    assertEquals(text((await reader.read()).value!), "one");
    const second = reader.read();
    input.write(bytes("two"));
    assertEquals(text((await second).value!), "two");
    const last = reader.read();
    input.close();
    assertEquals(await last, { done: true, value: undefined });
    await reader.closed;
    assertEquals(output.fileno(), -1);
  },
);

testStreams(
  "FileDescriptor.readable() reads only when it is asked to",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    input.write(new Uint8Array(1000));
    const reader = output.readable({ reactor }).getReader({ mode: "byob" });
    // Another pipe's way through the reactor: whatever the stream would do by
    // itself, it has done.
    const [otherOutput, otherInput] = FileDescriptor.pipe();
    otherInput.write(bytes("x"));
    await reactor.readable(otherOutput);
    assertEquals(unread(output), 1000);
    assertEquals((await reader.read(new Uint8Array(300))).value!.length, 300);
    assertEquals(unread(output), 700);
    await reader.cancel();
    for (const end of [input, otherOutput, otherInput]) end.close();
  },
);

testStreams(
  "FileDescriptor.readable() fills the buffer that a reader brings",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const reader = output.readable({ reactor }).getReader({ mode: "byob" });
    const pending = reader.read(new Uint8Array(new ArrayBuffer(10), 2, 4));
    input.write(bytes("abcdef"));
    const { value } = await pending;
    assertEquals(value!.byteOffset, 2);
    assertEquals(value!.buffer.byteLength, 10);
    assertEquals(text(value!), "abcd");
    const pair = await reader.read(new Uint16Array(1));
    assertEquals(text(new Uint8Array(pair.value!.buffer)), "ef");
    const last = reader.read(new Uint8Array(4));
    input.close();
    const { done, value: rest } = await last;
    assert(done);
    assertEquals(rest!.length, 0);
    assertEquals(output.fileno(), -1);
  },
);

testStreams(
  "FileDescriptor.readable() serves the next reader when one gives up waiting",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const stream = output.readable({ reactor });
    const first = stream.getReader({ mode: "byob" });
    const abandoned = first.read(new Uint8Array(2));
    first.releaseLock();
    await assertRejects(() => abandoned, TypeError);
    const second = stream.getReader();
    const pending = second.read();
    input.write(bytes("abc"));
    let received = text((await pending).value!);
    while (received.length < 3) received += text((await second.read()).value!);
    assertEquals(received, "abc");
    await second.cancel();
    input.close();
  },
);

testStreams(
  "FileDescriptor.readable() reads regular files and devices",
  async (reactor) => {
    const path = Deno.makeTempFileSync();
    const pattern = new Pattern();
    Deno.writeFileSync(path, pattern.next(300_000));
    const received = new Pattern();
    for await (
      const chunk of FileDescriptor.open(path).readable({ reactor })
    ) received.add(chunk);
    assertEquals(received.digest, pattern.digest);
    Deno.removeSync(path);
    assertEquals(
      await Array.fromAsync(
        FileDescriptor.open("/dev/null").readable({ reactor }),
      ),
      [],
    );
  },
);

testStreams(
  "FileDescriptor.readable() fails when it is a directory",
  async (reactor) => {
    const directory = FileDescriptor.open("/");
    const reader = directory.readable({ reactor }).getReader();
    await assertRejects(() => reader.read(), Deno.errors.IsADirectory);
    assertEquals(directory.fileno(), -1);
  },
);

testStreams(
  "FileDescriptor.readable() waits for the first writer of a FIFO",
  async (reactor) => {
    const directory = Deno.makeTempDirSync();
    const path = `${directory}/fifo`;
    check(
      libc().mkfifo(cString(path, "make a FIFO", "path"), 0o600),
      "Cannot make a FIFO",
    );
    const received = Array.fromAsync(
      FileDescriptor.open(path).readable({ reactor }),
      text,
    );
    const [otherOutput, otherInput] = FileDescriptor.pipe();
    otherInput.write(bytes("x"));
    await reactor.readable(otherOutput);
    const input = FileDescriptor.open(path, { write: true });
    input.write(bytes("through the FIFO"));
    input.close();
    assertEquals(await received, ["through the FIFO"]);
    for (const end of [otherOutput, otherInput]) end.close();
    Deno.removeSync(directory, { recursive: true });
  },
  !onLinux,
); // Only Linux's poll() is known to tell a FIFO that is not yet written from one that no longer is.

testStreams(
  "FileDescriptor.readable() skips empty datagrams",
  async (reactor) => {
    const ends = new Int32Array(2);
    check(
      libc().socketpair(POSIX.AF_UNIX, POSIX.SOCK_DGRAM, 0, ends),
      "Cannot make a pair of sockets",
    );
    using here = FileDescriptor.adopt(ends[0]!);
    const reader = FileDescriptor.adopt(ends[1]!).readable({ reactor })
      .getReader();
    here.write(new Uint8Array(0));
    here.write(bytes("full"));
    assertEquals(text((await reader.read()).value!), "full");
    await reader.cancel();
  },
);

testStreams(
  "FileDescriptor.readable() lets timers have their turn when it never has to wait",
  async (reactor) => {
    let fired = false;
    const timer = setTimeout(() => fired = true, 0);
    let chunks = 0;
    for await (
      const _ of FileDescriptor.open("/dev/zero").readable({ reactor })
    ) {
      if (fired || ++chunks === 10_000) break;
    }
    clearTimeout(timer);
    assert(fired);
  },
  !onLinux,
); // macOS's poll() does not support devices.

testStreams(
  "FileDescriptor.writable() lets timers have their turn when it never has to wait",
  async (reactor) => {
    let fired = false;
    const timer = setTimeout(() => fired = true, 0);
    const writer = FileDescriptor.open("/dev/null", { write: true }).writable({
      reactor,
    }).getWriter();
    const chunk = new Uint8Array(1024);
    for (let chunks = 0; !fired && chunks < 10_000; chunks++) {
      await writer.write(chunk);
    }
    clearTimeout(timer);
    assert(fired);
    await writer.close();
  },
  !onLinux,
); // macOS's poll() does not support devices.

testStreams(
  "FileDescriptor.writable() writes all of a chunk, however small the room",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const capacity = fill(input);
    const writer = input.writable({ reactor }).getWriter();
    await writer.write(new Uint8Array(0));
    const written = writer.write(bytes("after it all"));
    let length = 0;
    const buffer = new Uint8Array(capacity);
    length += output.read(buffer)!;
    await written;
    assertEquals(length, capacity);
    assertEquals(output.read(buffer), 12);
    await writer.close();
    assertEquals(input.fileno(), -1);
    assertEquals(output.read(buffer), null);
    output.close();
  },
);

testStreams(
  "FileDescriptor streams carry 10 MB both ways, and neither side runs ahead",
  async (reactor) => {
    const CHUNK = 40_000;
    const COUNT = 250;
    const [here, there] = FileDescriptor.socketpair();
    // What the kernel holds: whatever fits in until nothing does. One more
    // chunk is under way.
    const [probe, other] = FileDescriptor.socketpair();
    const capacity = fill(probe);
    probe.close();
    other.close();

    async function produce(
      descriptor: FileDescriptor,
      pattern: Pattern,
      received: Pattern,
    ): Promise<number> {
      const writer = descriptor.writable({ reactor }).getWriter();
      let ahead = 0;
      for (let i = 0; i < COUNT; i++) {
        await writer.ready;
        ahead = Math.max(ahead, pattern.length - received.length);
        writer.write(pattern.next(CHUNK));
      }
      await writer.close();
      return ahead;
    }
    async function consume(
      descriptor: FileDescriptor,
      received: Pattern,
    ): Promise<void> {
      for await (const chunk of descriptor.readable({ reactor })) {
        received.add(chunk);
      }
    }

    const sent = [new Pattern(), new Pattern()] as const;
    const received = [new Pattern(), new Pattern()] as const;
    const [ahead, aheadBack] = await Promise.all([
      produce(here, sent[0], received[0]),
      produce(there, sent[1], received[1]),
      consume(there, received[0]),
      consume(here, received[1]),
    ]);
    assertEquals(received[0].digest, sent[0].digest);
    assertEquals(received[1].digest, sent[1].digest);
    assertEquals(received[0].length, CHUNK * COUNT);
    // Between being read and being counted, one chunk of the reader's is in
    // nobody's account.
    const most = capacity + CHUNK + 65536;
    assertLessOrEqual(ahead, most);
    assertLessOrEqual(aheadBack, most);
    assertEquals([here.fileno(), there.fileno()], [-1, -1]);
  },
);

testStreams(
  "FileDescriptor.writable() takes nothing while there is no room",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const capacity = fill(input);
    const writer = input.writable({ reactor }).getWriter();
    await writer.ready;
    const written = writer.write(new Uint8Array(1));
    assertEquals(writer.desiredSize, 0);
    // Another pipe's way through the reactor: whatever the stream could do, it
    // has done.
    const [otherOutput, otherInput] = FileDescriptor.pipe();
    otherInput.write(bytes("x"));
    await reactor.readable(otherOutput);
    assertEquals(writer.desiredSize, 0);
    assertEquals(unread(output), capacity);
    output.read(new Uint8Array(capacity));
    await written;
    assertEquals(writer.desiredSize, 1);
    await writer.close();
    for (const end of [output, otherOutput, otherInput]) end.close();
  },
);

testStreams(
  "FileDescriptor.writable() takes nothing but Uint8Array",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const number = input.fileno();
    const writer = input.writable({ reactor }).getWriter();
    await assertRejects(
      () => writer.write("text" as unknown as Uint8Array),
      TypeError,
      `Cannot write to descriptor ${number}: "chunk" must be a Uint8Array, received "text"`,
    );
    assertEquals(input.fileno(), -1);
    assertEquals(output.read(new Uint8Array(1)), null);
    output.close();
  },
);

testStreams(
  "FileDescriptor.writable() fails when nobody reads any more, at once or while it waits",
  async (reactor) => {
    for (const full of [false, true]) {
      const [output, input] = FileDescriptor.pipe();
      if (full) fill(input);
      const writer = input.writable({ reactor }).getWriter();
      await writer.ready;
      let written;
      if (full) {
        written = writer.write(new Uint8Array(1));
        output.close();
      } else {
        output.close();
        written = writer.write(new Uint8Array(1));
      }
      await assertRejects(() => written, BrokenPipe, "(EPIPE)");
      assertEquals(input.fileno(), -1);
    }
  },
);

testStreams(
  "FileDescriptor.readable() lets go of the descriptor when it is cancelled while it waits",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const reader = output.readable({ reactor }).getReader();
    input.write(bytes("x"));
    await reader.read();
    const pending = reader.read();
    await untilWaiting(reactor);
    await reader.cancel(new Error("Enough"));
    assertEquals(await pending, { done: true, value: undefined });
    assertEquals(reactor.inspect().descriptors.length, 0);
    assertEquals(output.fileno(), -1);
    assertThrows(() => input.write(bytes("x")), BrokenPipe);
    input.close();
  },
);

testStreams(
  "FileDescriptor.writable() lets go of the descriptor when it is aborted while it waits",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const capacity = fill(input);
    const writer = input.writable({ reactor }).getWriter();
    await writer.ready;
    const reason = new Error("Enough");
    const pending = assertRejects(
      () => writer.write(bytes("never")),
      Error,
      "Enough",
    );
    await untilWaiting(reactor);
    await writer.abort(reason);
    await pending;
    assertEquals(reactor.inspect().descriptors.length, 0);
    assertEquals(input.fileno(), -1);
    assertEquals(output.read(new Uint8Array(capacity + 10)), capacity);
    assertEquals(output.read(new Uint8Array(1)), null);
    output.close();
  },
);

testStreams(
  "FileDescriptor.close() fails its streams with BadResource, whether they wait or not",
  async (reactor) => {
    for (const waiting of [true, false]) {
      const [here, there] = FileDescriptor.socketpair();
      fill(here);
      const reader = here.readable({ reactor }).getReader();
      const writer = here.writable({ reactor }).getWriter();
      await writer.ready;
      const failures = [
        assertRejects(() => reader.closed, BadResource, "(EBADF)"),
        assertRejects(() => writer.closed, BadResource, "(EBADF)"),
      ];
      if (waiting) {
        failures.push(assertRejects(() => reader.read(), BadResource));
        failures.push(
          assertRejects(() => writer.write(bytes("x")), BadResource),
        );
        await untilWaiting(reactor);
      }
      here.close();
      await Promise.all(failures);
      assertEquals(reactor.inspect().descriptors.length, 0);
      await assertRejects(() => reader.read(), BadResource);
      await assertRejects(() => writer.write(bytes("x")), BadResource);
      there.close();
    }
  },
);

testStreams(
  "FileDescriptor.readable() never reads from the file that got its number next",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const reader = output.readable({ reactor }).getReader();
    const number = output.fileno();
    const failure = assertRejects(() => reader.read(), BadResource);
    await untilWaiting(reactor);
    // Closes it, and makes its number another file's, in the very round that
    // answers the stream.
    const { promise, resolve } = Promise.withResolvers<
      [FileDescriptor, FileDescriptor]
    >();
    reactor.addReader({
      fileno: () => output.fileno(),
      doRead() {
        output.close();
        const next = FileDescriptor.pipe();
        next[1].write(bytes("not yours"));
        resolve(next);
      },
      connectionLost() {},
    });
    input.write(bytes("y"));
    const [nextOutput, nextInput] = await promise;
    assertEquals(nextOutput.fileno(), number);
    await failure;
    assertEquals(unread(nextOutput), 9);
    for (const end of [input, nextOutput, nextInput]) end.close();
  },
);

testStreams(
  "FileDescriptor streams fail with ReactorNotRunning when the reactor ends",
  async (reactor) => {
    const [output, input] = FileDescriptor.pipe();
    const reader = output.readable({ reactor }).getReader();
    const pending = assertRejects(() => reader.read(), ReactorNotRunning);
    await untilWaiting(reactor);
    await reactor.close();
    await pending;
    assertEquals(output.fileno(), -1);
    input.close();
  },
);

testStreams(
  "FileDescriptor closes itself when the last of its streams is over",
  async (reactor) => {
    const [here, there] = FileDescriptor.socketpair();
    const readable = here.readable({ reactor });
    const writable = here.writable({ reactor });
    await writable.close();
    assertGreater(here.fileno(), -1);
    // It is not written any more, which the other side sees although it is
    // still read.
    assertEquals(there.read(new Uint8Array(1)), null);
    there.write(bytes("still"));
    there.close();
    assertEquals(await Array.fromAsync(readable, text), ["still"]);
    assertEquals(here.fileno(), -1);
  },
);

testStreams(
  "FileDescriptor stays open when preventClose is true",
  async (reactor) => {
    const [here, there] = FileDescriptor.socketpair();
    await here.writable({ reactor, preventClose: true }).close();
    await here.readable({ reactor }).cancel();
    assertGreater(here.fileno(), -1);
    // Nor is it shut down.
    here.write(bytes("x"));
    assertEquals(there.read(new Uint8Array(10)), 1);
    const writer = here.writable({ reactor }).getWriter();
    await writer.write(bytes("again"));
    assertEquals(there.read(new Uint8Array(10)), 5);
    await writer.abort();
    assertGreater(here.fileno(), -1);
    here.close();
    there.close();
  },
);

Deno.test("FileDescriptor.readable() and writable() throw when the stream before is not over", () => {
  const [here, there] = FileDescriptor.socketpair();
  here.readable();
  here.writable();
  assertThrows(() => here.readable(), TypeError, "it has one that is not over");
  assertThrows(() => here.writable(), TypeError, "it has one that is not over");
  here.close();
  there.close();
});

Deno.test("FileDescriptor.readable() and writable() throw when an option is bad", () => {
  using file = FileDescriptor.open("/dev/null");
  for (const kind of ["readable", "writable"] as const) {
    const refused = (message: string, options: unknown) =>
      assertThrows(
        () => file[kind](options as StreamOptions),
        TypeError,
        message,
      );
    refused('"options" must be an object, received null', null);
    refused('"options" must be an object, received 5', 5);
    refused('"options.reactor" must be a Reactor, received null', {
      reactor: null,
    });
    refused('"options.reactor" must be a Reactor, received object Object', {
      reactor: {},
    });
    refused('"options.preventClose" must be a boolean, received 1', {
      preventClose: 1,
    });
  }
});

testStreams(
  "FileDescriptor streams of a blocking descriptor never block",
  async (reactor) => {
    const [output, input] = makePipe();
    setNonBlocking(output, false);
    setNonBlocking(input, false);
    const source = FileDescriptor.adopt(output, { blocking: true });
    const sink = FileDescriptor.adopt(input, { blocking: true });
    const reader = source.readable({ reactor }).getReader();
    const pending = reader.read();
    const writer = sink.writable({ reactor }).getWriter();
    const sent = new Pattern();
    // More than the pipe holds: a write as a whole would never come back.
    const written = writer.write(sent.next(200_000)).then(() => writer.close());
    const received = new Pattern();
    received.add((await pending).value!);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      received.add(value);
    }
    await written;
    assertEquals(received.digest, sent.digest);
  },
);

testStreams(
  "FileDescriptor streams carry a conversation with a shell in a pseudoterminal",
  async (reactor) => {
    const { master, path } = openPty();
    const terminal = FileDescriptor.adopt(master);
    const shell = spawnOnTerminal(path, "sh", {
      env: { PS1: "ready> ", PATH: "/usr/bin:/bin" },
    });
    using exit = FileDescriptor.adopt(openPidfd(shell));
    const exited = reactor.readable(exit);

    const reader = terminal.readable({ reactor }).pipeThrough(
      new TextDecoderStream(),
    ).getReader();
    const writer = terminal.writable({ reactor }).getWriter();
    let transcript = "";
    async function until(mark: string): Promise<void> {
      while (!transcript.includes(mark)) {
        const { done, value } = await reader.read();
        assert(
          !done,
          `The shell ended before it said "${mark}": ${transcript}`,
        );
        transcript += value;
      }
      transcript = transcript.slice(transcript.indexOf(mark) + mark.length);
    }
    await until("ready> ");
    await writer.write(bytes("echo $((6 * 7))\n"));
    await until("\n42\r\n");
    await until("ready> ");
    await writer.write(bytes("exit 3\n"));
    assert((await exited).readable);
    assertEquals(reap(shell), { code: 3, signal: null });

    // The terminal has no process any more: that is the end of the stream.
    while (!(await reader.read()).done);
    assertGreater(terminal.fileno(), -1);
    await writer.close();
    assertStrictEquals(terminal.fileno(), -1);
  },
  !onLinux,
); // Process descriptors are Linux's.
