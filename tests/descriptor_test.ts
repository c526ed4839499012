import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertThrows,
} from "@std/assert";
import {
  closeDescriptor,
  duplicate,
  endWriting,
  isDatagramSocket,
  isFifo,
  isOpen,
  makeEventfd,
  makePipe,
  makeSocketpair,
  openFile,
  readInto,
  setCloseOnExec,
  setNonBlocking,
  WOULD_BLOCK,
  writeFrom,
} from "../ffi/descriptor.ts";
import { LINUX_ONLY, POSIX } from "../ffi/constants.ts";
import { check } from "../ffi/errno.ts";
import { libc } from "../ffi/libc.ts";

// The C library stays open after its first use, which the sanitizer would take
// for a leak of the test that comes first.
libc();

const onLinux = Deno.build.os === "linux";

function isNonBlocking(fd: number): boolean {
  return (libc().fcntl(fd, POSIX.F_GETFL, 0) & POSIX.O_NONBLOCK) !== 0;
}

function isCloseOnExec(fd: number): boolean {
  return (libc().fcntl(fd, POSIX.F_GETFD, 0) & POSIX.FD_CLOEXEC) !== 0;
}

Deno.test("openFile() opens what is there, closed on exec", () => {
  const fd = openFile("/dev/null", POSIX.O_RDONLY);
  assert(isCloseOnExec(fd));
  assertEquals(readInto(fd, new Uint8Array(10)), 0);
  closeDescriptor(fd);
});

Deno.test("openFile() creates a file with the mode that is given", () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/ä ö`;
  const fd = openFile(path, POSIX.O_WRONLY | POSIX.O_CREAT, 0o400);
  closeDescriptor(fd);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o400);
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("openFile() throws the named error when the kernel refuses", () => {
  assertThrows(
    () => openFile("/nonexistent", POSIX.O_RDONLY),
    Deno.errors.NotFound,
    'Cannot open "/nonexistent"',
  );
  assertThrows(
    () => openFile("/dev/null/x", POSIX.O_RDONLY),
    Deno.errors.NotADirectory,
  );
  assertThrows(() => openFile("/", POSIX.O_WRONLY), Deno.errors.IsADirectory);
});

Deno.test("openFile() throws when an argument is bad", () => {
  assertThrows(
    () => openFile(5 as unknown as string, 0),
    TypeError,
    '"path" must be a string without NUL, received 5',
  );
  assertThrows(() => openFile("/dev/null\0x", 0), TypeError, '"path"');
  assertThrows(() => openFile("/dev/null", NaN), RangeError, '"flags"');
  assertThrows(
    () => openFile("/dev/null", "r" as unknown as number),
    TypeError,
    '"flags"',
  );
  assertThrows(() => openFile("/dev/null", 0, 0o10000), RangeError, '"mode"');
});

Deno.test("makePipe() makes two ends that neither block nor are inherited", () => {
  const ends = makePipe();
  assertEquals(ends.map(isNonBlocking), [true, true]);
  assertEquals(ends.map(isCloseOnExec), [true, true]);
  const buffer = new Uint8Array(8);
  assertEquals(readInto(ends[0], buffer), WOULD_BLOCK);
  assertEquals(writeFrom(ends[1], new Uint8Array([1, 2, 3])), 3);
  assertEquals(readInto(ends[0], buffer), 3);
  assertEquals([...buffer], [1, 2, 3, 0, 0, 0, 0, 0]);
  ends.forEach(closeDescriptor);
});

Deno.test("makeSocketpair() makes two ends that neither block nor are inherited", () => {
  const ends = makeSocketpair();
  assertEquals(ends.map(isNonBlocking), [true, true]);
  assertEquals(ends.map(isCloseOnExec), [true, true]);
  for (const [from, to] of [ends, [ends[1], ends[0]]] as const) {
    assertEquals(readInto(to, new Uint8Array(8)), WOULD_BLOCK);
    assertEquals(writeFrom(from, new Uint8Array(5)), 5);
    assertEquals(readInto(to, new Uint8Array(8)), 5);
  }
  ends.forEach(closeDescriptor);
});

Deno.test("endWriting() lets the other side of a socket see the end, and leaves a pipe alone", () => {
  const [here, there] = makeSocketpair();
  endWriting(here);
  assertEquals(readInto(there, new Uint8Array(8)), 0);
  assertEquals(writeFrom(there, new Uint8Array(2)), 2);
  assertEquals(readInto(here, new Uint8Array(8)), 2);
  const [output, input] = makePipe();
  endWriting(input);
  assertEquals(writeFrom(input, new Uint8Array(1)), 1);
  [here, there, output, input].forEach(closeDescriptor);
});

Deno.test({
  name: "makeEventfd() makes a counter",
  ignore: !onLinux, // eventfd is Linux's.
  fn() {
    const fd = makeEventfd(2 ** 32 - 1);
    assert(isNonBlocking(fd) && isCloseOnExec(fd));
    const counter = new BigUint64Array(1);
    assertEquals(readInto(fd, new Uint8Array(counter.buffer)), 8);
    assertEquals(counter[0], 4294967295n);
    assertEquals(readInto(fd, new Uint8Array(8)), WOULD_BLOCK);
    // Too short a buffer is refused whether there is something to read or not.
    assertThrows(() => readInto(fd, new Uint8Array(7)), Error, "(EINVAL)");
    closeDescriptor(fd);
    assertThrows(() => makeEventfd(-1), RangeError, '"value"');
  },
});

Deno.test("readInto() and writeFrom() throw when the descriptor does not allow it", () => {
  const [output, input] = makePipe();
  const buffer = new Uint8Array(8);
  assertThrows(
    () => readInto(input, buffer),
    Deno.errors.BadResource,
    `Cannot read descriptor ${input}`,
  );
  assertThrows(
    () => writeFrom(output, buffer),
    Deno.errors.BadResource,
    `Cannot write descriptor ${output}`,
  );
  closeDescriptor(output);
  assertThrows(
    () => writeFrom(input, buffer),
    Deno.errors.BrokenPipe,
    "(EPIPE)",
  );
  closeDescriptor(input);
  assertThrows(
    () => readInto(output, buffer),
    Deno.errors.BadResource,
    "(EBADF)",
  );
});

Deno.test("readInto() tells an error that the kernel reports only once", () => {
  // A stream socket that is closed with unread data resets the other side.
  const [here, there] = makeSocketpair();
  writeFrom(there, new Uint8Array(1));
  closeDescriptor(here);
  if (onLinux) {
    assertThrows(
      () => readInto(there, new Uint8Array(8)),
      Deno.errors.ConnectionReset,
      "(ECONNRESET)",
    );
  }
  assertEquals(readInto(there, new Uint8Array(8)), 0);
  closeDescriptor(there);
});

Deno.test("readInto() and writeFrom() take views of shared memory and parts of buffers", () => {
  const [output, input] = makePipe();
  const memory = new SharedArrayBuffer(8);
  new Uint8Array(memory).set([1, 2, 3, 4, 5, 6, 7, 8]);
  assertEquals(writeFrom(input, new Uint8Array(memory, 2, 3)), 3);
  const into = new Uint8Array(8);
  assertEquals(readInto(output, into.subarray(1, 7)), 3);
  assertEquals([...into], [0, 3, 4, 5, 0, 0, 0, 0]);
  [output, input].forEach(closeDescriptor);
});

Deno.test("setNonBlocking() and setCloseOnExec() change what they say", () => {
  const [output, input] = makePipe();
  setNonBlocking(output, false);
  assertFalse(isNonBlocking(output));
  setNonBlocking(output, true);
  assert(isNonBlocking(output));
  setCloseOnExec(output, false);
  assertFalse(isCloseOnExec(output));
  setCloseOnExec(output, true);
  assert(isCloseOnExec(output));
  [output, input].forEach(closeDescriptor);
  assertThrows(() => setNonBlocking(output, true), Deno.errors.BadResource);
  assertThrows(() => setCloseOnExec(output, true), Deno.errors.BadResource);
});

Deno.test("duplicate() makes another number for the same file, never one of 0 to 2", () => {
  const [output, input] = makePipe();
  const copy = duplicate(input);
  assertGreater(copy, 2);
  assert(isCloseOnExec(copy));
  closeDescriptor(input);
  assertEquals(writeFrom(copy, new Uint8Array(4)), 4);
  assertEquals(readInto(output, new Uint8Array(8)), 4);
  [output, copy].forEach(closeDescriptor);
  assertThrows(
    () => duplicate(copy),
    Deno.errors.BadResource,
    `Cannot duplicate descriptor ${copy}`,
  );
});

Deno.test("closeDescriptor() throws when the number is not open", () => {
  const [output, input] = makePipe();
  assert(isOpen(output));
  [output, input].forEach(closeDescriptor);
  assertFalse(isOpen(output));
  assertThrows(
    () => closeDescriptor(output),
    Deno.errors.BadResource,
    "(EBADF)",
  );
  assertThrows(() => closeDescriptor(-1), Deno.errors.BadResource);
});

Deno.test("isDatagramSocket() and isFifo() tell kinds of descriptors", () => {
  const { AF_INET, SOCK_DGRAM, SOCK_STREAM } = POSIX;
  const flags = onLinux ? LINUX_ONLY.SOCK_CLOEXEC : 0;
  const datagram = check(
    libc().socket(AF_INET, SOCK_DGRAM | flags, 0),
    "Cannot make a socket",
  );
  const stream = check(
    libc().socket(AF_INET, SOCK_STREAM | flags, 0),
    "Cannot make a socket",
  );
  const [output, input] = makePipe();
  const file = openFile("/dev/null", POSIX.O_RDONLY);
  const all = [datagram, stream, output, input, file];
  assertEquals(all.map(isDatagramSocket), [true, false, false, false, false]);
  assertEquals(all.map(isFifo), [false, false, true, true, false]);
  all.forEach(closeDescriptor);
  assertFalse(isDatagramSocket(datagram));
  assertFalse(isFifo(output));
});
