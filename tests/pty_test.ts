import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { POSIX } from "../ffi/constants.ts";
import {
  closeDescriptor,
  isOpen,
  makePipe,
  openFile,
  readInto,
  WOULD_BLOCK,
  writeFrom,
} from "../ffi/descriptor.ts";
import { libc } from "../ffi/libc.ts";
import { isPtyMaster, openPty, setWindowSize } from "../ffi/pty.ts";

// The C library stays open after its first use, which the sanitizer would take
// for a leak of the test that comes first.
libc();

/** `ioctl`: ask for the size of a terminal's window. */
const TIOCGWINSZ = Deno.build.os === "darwin" ? 0x40087468 : 0x5413;

function windowSize(fd: number): { columns: number; rows: number } {
  const size = new Uint16Array(4);
  assertEquals(libc().ioctl(fd, TIOCGWINSZ, size), 0);
  return { columns: size[1]!, rows: size[0]! };
}

Deno.test("openPty() makes a terminal that its path opens", () => {
  const { master, path } = openPty();
  assertEquals(libc().fcntl(master, POSIX.F_GETFD, 0), POSIX.FD_CLOEXEC);
  const buffer = new Uint8Array(100);
  assertEquals(readInto(master, buffer), WOULD_BLOCK);

  const slave = openFile(path, POSIX.O_RDWR | POSIX.O_NONBLOCK);
  assertEquals(libc().isatty(slave), 1);
  writeFrom(slave, new TextEncoder().encode("hello"));
  assertEquals(
    new TextDecoder().decode(buffer.subarray(0, readInto(master, buffer))),
    "hello",
  );
  [slave, master].forEach(closeDescriptor);
});

Deno.test("openPty() sets the size of the window", () => {
  for (
    const [options, size] of [
      [undefined, { columns: 80, rows: 24 }],
      [{ columns: 132 }, { columns: 132, rows: 24 }],
      [{ columns: 1, rows: 65535 }, { columns: 1, rows: 65535 }],
    ] as const
  ) {
    const { master } = openPty(options);
    assertEquals(windowSize(master), size);
    closeDescriptor(master);
  }
});

Deno.test("openPty() opens nothing when a size is bad", () => {
  const next = openFile("/dev/null", POSIX.O_RDONLY);
  closeDescriptor(next);
  assertThrows(
    () => openPty({ columns: 65536 }),
    RangeError,
    '"columns" must be an integer from 0 to 65535',
  );
  assertThrows(() => openPty({ rows: -1 }), RangeError, '"rows"');
  assertThrows(() => openPty({ rows: 1.5 }), RangeError, '"rows"');
  assertThrows(
    () => openPty({ rows: "24" as unknown as number }),
    TypeError,
    '"rows"',
  );
  assertFalse(isOpen(next));
});

Deno.test("setWindowSize() changes the size for both sides", () => {
  const { master, path } = openPty();
  const slave = openFile(path, POSIX.O_RDWR);
  setWindowSize(master, 100, 30);
  assertEquals(windowSize(slave), { columns: 100, rows: 30 });
  setWindowSize(slave, 90, 20);
  assertEquals(windowSize(master), { columns: 90, rows: 20 });
  [slave, master].forEach(closeDescriptor);
});

Deno.test("setWindowSize() throws when there is no terminal", () => {
  const [output, input] = makePipe();
  assertThrows(() => setWindowSize(output, 80, 24), Error, "(ENOTTY)");
  [output, input].forEach(closeDescriptor);
  assertThrows(
    () => setWindowSize(output, 80, 24),
    Deno.errors.BadResource,
    "(EBADF)",
  );
  assertThrows(() => setWindowSize(NaN, 80, 24), RangeError, '"fd"');
  assertThrows(() => setWindowSize(0, 80, Infinity), RangeError, '"rows"');
});

Deno.test("isPtyMaster() tells a master from a terminal and from anything else", () => {
  const { master, path } = openPty();
  const slave = openFile(path, POSIX.O_RDWR);
  const [output, input] = makePipe();
  assert(isPtyMaster(master));
  assertFalse(isPtyMaster(slave));
  assertFalse(isPtyMaster(output));
  [master, slave, output, input].forEach(closeDescriptor);
  assertFalse(isPtyMaster(master));
});
