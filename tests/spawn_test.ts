import {
  assert,
  assertEquals,
  assertFalse,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  closeDescriptor,
  isOpen,
  openFile,
  readInto,
  writeFrom,
} from "../ffi/descriptor.ts";
import { POLL, POSIX } from "../ffi/constants.ts";
import { libc } from "../ffi/libc.ts";
import { openPty } from "../ffi/pty.ts";
import {
  type ExitStatus,
  openPidfd,
  reap,
  spawnOnTerminal,
  type SpawnOptions,
} from "../ffi/spawn.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
assertThrows(() => spawnOnTerminal("/nonexistent", "sh"));

const SIGINT = 2;
const SIGKILL = 9;
const SIGPIPE = 13;

/** Long enough for anything here; no test waits for it to pass. */
const PATIENCE = 10_000;

function waitFor(fd: number): void {
  assertEquals(libc().poll(new Int32Array([fd, POLL.IN]), 1, PATIENCE), 1);
}

/** Everything up to the end, or up to `mark`. */
function readUntil(master: number, mark?: string): string {
  const buffer = new Uint8Array(4096);
  const decoder = new TextDecoder();
  let text = "";
  while (mark === undefined || !text.includes(mark)) {
    waitFor(master);
    let count;
    try {
      count = readInto(master, buffer);
    } catch (error) {
      // Linux: nobody has the terminal open any more.
      assertEquals((error as { code?: string }).code, "EIO");
      break;
    }
    if (count === 0) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text.replaceAll("\r\n", "\n");
}

function waitForExit(pid: number): ExitStatus {
  const fd = openPidfd(pid);
  waitFor(fd);
  closeDescriptor(fd);
  const status = reap(pid);
  assert(status !== undefined);
  return status;
}

/** Runs a command to its end. */
function run(
  command: string,
  options?: SpawnOptions,
): ExitStatus & { output: string } {
  const { master, path } = openPty();
  try {
    const pid = spawnOnTerminal(path, command, options);
    const output = readUntil(master);
    return { output, ...waitForExit(pid) };
  } finally {
    closeDescriptor(master);
  }
}

/**
 * Process descriptors are Linux's; what waits for an exit here has nothing else
 * to wait with.
 */
const ignore = Deno.build.os !== "linux";

Deno.test({
  name:
    "spawnOnTerminal() gives a command a terminal for its input, output and errors",
  ignore,
  fn() {
    const { master, path } = openPty();
    const pid = spawnOnTerminal(path, "sh", {
      args: ["-c", 'tty; read line; echo "got $line" >&2; exit 7'],
    });
    writeFrom(master, new TextEncoder().encode("a line\n"));
    const output = readUntil(master);
    assertStringIncludes(output, `${path}\n`);
    assertStringIncludes(output, "got a line\n");
    assertEquals(waitForExit(pid), { code: 7, signal: null });
    closeDescriptor(master);
  },
});

Deno.test({
  name: "spawnOnTerminal() makes the terminal the controlling one",
  ignore,
  fn() {
    const { master, path } = openPty();
    const pid = spawnOnTerminal(path, "sh", {
      args: ["-c", "echo ready > /dev/tty; exec sleep 100"],
    });
    assertEquals(readUntil(master, "ready\r\n"), "ready\n");
    writeFrom(master, new Uint8Array([3])); // Ctrl-C
    assertEquals(waitForExit(pid), { code: null, signal: SIGINT });
    closeDescriptor(master);
  },
});

Deno.test({
  name: "spawnOnTerminal() passes on no other descriptor (contract 248)",
  ignore,
  fn() {
    const ours = openPty();
    // One that is not even marked as closed on exec.
    const careless = libc().dup(ours.master);
    const { output } = run("ls", { args: ["-x", "/proc/self/fd"] });
    // The last is the one with which ls reads the directory.
    assertEquals(output.trim().split(/\s+/), ["0", "1", "2", "3"]);
    [ours.master, careless].forEach(closeDescriptor);
  },
});

Deno.test({
  name: "spawnOnTerminal() starts with no signal ignored",
  ignore,
  fn() {
    // Deno itself ignores this one.
    const { code, signal } = run("sh", {
      args: ["-c", "kill -PIPE $$; exit 0"],
    });
    assertEquals({ code, signal }, { code: null, signal: SIGPIPE });
  },
});

Deno.test({
  name:
    "spawnOnTerminal() passes this process's environment on when none is given (contract 249)",
  ignore,
  fn() {
    Deno.env.set("REACTOR_SPAWN_TEST", "a word");
    const { output } = run("sh", {
      args: ["-c", 'echo "$REACTOR_SPAWN_TEST"'],
    });
    Deno.env.delete("REACTOR_SPAWN_TEST");
    assertEquals(output, "a word\n");
  },
});

Deno.test({
  name:
    "spawnOnTerminal() gives exactly the environment that is given (contract 249)",
  ignore,
  fn() {
    const { output } = run("/usr/bin/env", { env: { WORD: "ä=b", EMPTY: "" } });
    assertEquals(output, "WORD=ä=b\nEMPTY=\n");
    assertEquals(run("/usr/bin/env", { env: {} }).output, "");
  },
});

Deno.test({
  name: "spawnOnTerminal() passes arguments on as they are",
  ignore,
  fn() {
    const args = ["", "a b", "$HOME", "ä", "*"];
    const { output } = run("sh", {
      args: ["-c", 'printf "<%s>" "$@"', "sh", ...args],
    });
    assertEquals(output, "<><a b><$HOME><ä><*>");
  },
});

Deno.test({
  name: "spawnOnTerminal() starts in the directory that is given",
  ignore,
  fn() {
    assertEquals(run("pwd", { cwd: "/usr" }).output, "/usr\n");
  },
});

Deno.test("spawnOnTerminal() throws the named error when something is missing", () => {
  const { master, path } = openPty();
  const NotFound = Deno.errors.NotFound;
  assertThrows(
    () => spawnOnTerminal(path, "no-such-command"),
    NotFound,
    `Cannot run "no-such-command" on "${path}"`,
  );
  assertThrows(
    () => spawnOnTerminal("/nonexistent", "sh"),
    NotFound,
    "(ENOENT)",
  );
  assertThrows(
    () => spawnOnTerminal(path, "sh", { cwd: "/nonexistent" }),
    NotFound,
    "(ENOENT)",
  );
  assertThrows(
    () => spawnOnTerminal(path, "/etc/passwd"),
    Deno.errors.PermissionDenied,
    "(EACCES)",
  );
  closeDescriptor(master);
});

Deno.test("spawnOnTerminal() throws when an argument is bad", () => {
  function refused(message: string, ...args: unknown[]): void {
    assertThrows(
      () => (spawnOnTerminal as (...args: unknown[]) => number)(...args),
      TypeError,
      message,
    );
  }
  refused(
    '"terminal" must be a string without NUL, received undefined',
    undefined,
    "sh",
  );
  refused('"command" must be a string without NUL, received 5', "/dev/tty", 5);
  refused('"command"', "/dev/tty", "s\0h");
  refused('"args" must be an array, received "-c"', "/dev/tty", "sh", {
    args: "-c",
  });
  refused('"args[1]"', "/dev/tty", "sh", { args: ["-c", 5] });
  refused('"env" must be an object', "/dev/tty", "sh", { env: "A=b" });
  refused('"env.A"', "/dev/tty", "sh", { env: { A: 5 } });
  refused('"env"', "/dev/tty", "sh", { env: { "A=B": "c" } });
  refused('"env"', "/dev/tty", "sh", { env: { "": "c" } });
  refused('"cwd"', "/dev/tty", "sh", { cwd: 5 });
});

Deno.test({
  name: "spawnOnTerminal() leaves no descriptor behind",
  ignore,
  fn() {
    const next = openFile("/dev/null", POSIX.O_RDONLY);
    closeDescriptor(next);
    run("sh", { args: ["-c", "exit"] });
    assertFalse(isOpen(next));
  },
});

Deno.test({
  name:
    "reap() tells the signal that ended a process, once, and nothing before its end",
  ignore,
  fn() {
    const { master, path } = openPty();
    const pid = spawnOnTerminal(path, "sleep", { args: ["100"] });
    assertEquals(reap(pid), undefined);
    libc().kill(pid, SIGKILL);
    assertEquals(waitForExit(pid), { code: null, signal: SIGKILL });
    assertThrows(() => reap(pid), Error, "(ECHILD)");
    closeDescriptor(master);
  },
});

Deno.test("reap() and openPidfd() throw when the pid is bad", () => {
  for (const f of [reap, openPidfd]) {
    assertThrows(() => f("1" as unknown as number), TypeError, '"pid"');
    // 0 and -1 would mean any child.
    assertThrows(() => f(0), RangeError, '"pid"');
    assertThrows(() => f(-1), RangeError, '"pid"');
    assertThrows(() => f(NaN), RangeError, '"pid"');
  }
});

Deno.test({
  name: "openPidfd() throws when there is no such process",
  ignore,
  fn() {
    assertThrows(() => openPidfd(2 ** 31 - 1), Error, "(ESRCH)");
  },
});
