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
  makePipe,
  openFile,
  readInto,
  WOULD_BLOCK,
  writeFrom,
} from "../ffi/descriptor.ts";
import { POLL, POSIX } from "../ffi/constants.ts";
import { libc, libcPath } from "../ffi/libc.ts";
import { openPty } from "../ffi/pty.ts";
import { openExit } from "../ffi/exit.ts";
import {
  type ChildOptions,
  type ExitStatus,
  openPidfd,
  reap,
  spawn,
  spawnOnTerminal,
  type SpawnOptions,
} from "../ffi/spawn.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
assertThrows(() => spawnOnTerminal("/nonexistent", "sh"));
assertThrows(() => spawn("no-such-command", { uid: 2 ** 32 - 2 }));

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

/** Runs a command with pipes to its end, and returns all that it wrote. */
function runPiped(
  command: string | URL,
  options: ChildOptions,
): ExitStatus & { output: Record<number, string> } {
  const { pid, pipes } = spawn(command, options);
  const output: Record<number, string> = {};
  for (const [childFD, { fd, direction }] of pipes) {
    if (direction === "r") output[childFD] = readUntil(fd);
    closeDescriptor(fd);
  }
  return { output, ...waitForExit(pid) };
}

/** Runs a shell script in this way. */
function runScript(script: string, options: ChildOptions = {}) {
  return runPiped("sh", {
    args: ["-c", script],
    clearEnv: false,
    ...options,
  });
}

Deno.test({
  name: "spawn() makes pipes for input, output and errors",
  ignore,
  fn() {
    const { pid, pipes, terminal } = spawn("sh", {
      args: ["-c", 'read line; echo "got $line"; echo bad >&2; exit 7'],
    });
    assertEquals(terminal, undefined);
    assertEquals(
      [...pipes].map(([fd, { direction }]) => [fd, direction]),
      [[0, "w"], [1, "r"], [2, "r"]],
    );
    writeFrom(pipes.get(0)!.fd, new TextEncoder().encode("a line\n"));
    assertEquals(readUntil(pipes.get(1)!.fd), "got a line\n");
    assertEquals(readUntil(pipes.get(2)!.fd), "bad\n");
    assertEquals(waitForExit(pid), { code: 7, signal: null });
    for (const { fd } of pipes.values()) closeDescriptor(fd);
  },
});

Deno.test({
  name: "spawn() gives the child blocking ends, and keeps non-blocking ones",
  ignore,
  fn() {
    const { pid, pipes } = spawn("sh", {
      args: ["-c", "grep flags /proc/$$/fdinfo/0; read line"],
      clearEnv: false,
    });
    const [input, output] = [pipes.get(0)!.fd, pipes.get(1)!.fd];
    // O_RDONLY and, as C programs have it on 64 bits, O_LARGEFILE at most.
    assertEquals(parseInt(readUntil(output, "\n").slice(6), 8) & 0o4000, 0);
    assertEquals(readInto(output, new Uint8Array(1)), WOULD_BLOCK);
    closeDescriptor(input);
    assertEquals(waitForExit(pid), { code: 1, signal: null });
    closeDescriptor(output);
    closeDescriptor(pipes.get(2)!.fd);
  },
});

Deno.test({
  name: "spawn() gives a child our descriptors under its own numbers",
  ignore,
  fn() {
    const [first, second] = [makePipe(), makePipe()];
    const { output, code } = runScript(
      "echo one >&3; echo two >&4; echo three",
      {
        childFDs: { 3: second[1], 4: first[1], 1: "r" },
      },
    );
    assertEquals({ output, code }, { output: { 1: "three\n" }, code: 0 });
    [first[1], second[1]].forEach(closeDescriptor);
    assertEquals(readUntil(first[0]), "two\n");
    assertEquals(readUntil(second[0]), "one\n");
    [first[0], second[0]].forEach(closeDescriptor);
  },
});

Deno.test({
  name: "spawn() exchanges descriptors with each other",
  ignore,
  fn() {
    const made = [makePipe(), makePipe(), makePipe()];
    const [x, y, z] = made.map(([, end]) => end) as [number, number, number];
    /** What each of these numbers is in a child. */
    function files(childFDs: Record<number, number>): string[] {
      return runPiped("readlink", {
        args: [0, 2, x, y, z].map((fd) => `/proc/self/fd/${fd}`),
        childFDs: { ...childFDs, 1: "r" },
      }).output[1]!.split("\n").slice(0, -1);
    }
    const ours = files({ 0: 0, 2: 2, [x]: x, [y]: y, [z]: z });
    assertEquals(new Set(ours.slice(2)).size, 3);
    const [input, errors, first, second, third] = ours;
    assertEquals(
      files({ 0: 2, 2: 0, [x]: y, [y]: z, [z]: x }),
      [errors, input, second, third, first],
    );
    made.flat().forEach(closeDescriptor);
  },
});

Deno.test({
  name:
    "spawn() passes on nothing but childFDs, not even 0 to 2 (contract 248)",
  ignore,
  fn() {
    const [output, input] = makePipe();
    const careless = libc().dup(output);
    const { output: all } = runPiped("ls", {
      args: ["-x", "/proc/self/fd"],
      childFDs: { 1: "r", 6: "r" },
    });
    // Where ls has no input, it reads the directory through that number.
    assertEquals(all[1]!.trim().split(/\s+/), ["0", "1", "6"]);
    [output, input, careless].forEach(closeDescriptor);
  },
});

Deno.test({
  name:
    "Deno's own descriptors are closed on exec, for C libraries that close nothing",
  ignore,
  fn() {
    const program = `
      const { symbols } = Deno.dlopen(Deno.args[0], {
        fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
      });
      const open = [], inherited = [];
      for (let fd = 0; fd < 1024; fd++) {
        const flags = symbols.fcntl(fd, 1, 0); // F_GETFD
        if (flags >= 0) open.push(fd);
        if (flags === 0) inherited.push(fd);
      }
      console.log(open.length > 3, inherited.join());
    `;
    // What we inherited ourselves it does not get.
    const { output } = runPiped(Deno.execPath(), {
      args: ["eval", program, libcPath()],
      clearEnv: false,
      env: { NO_COLOR: "1" },
    });
    assertEquals(output, { 1: "true 0,1,2\n", 2: "" });
  },
});

Deno.test({
  name: "spawn() starts with no signal ignored",
  ignore,
  fn() {
    const { code, signal } = runScript("kill -PIPE $$; exit 0");
    assertEquals({ code, signal }, { code: null, signal: SIGPIPE });
  },
});

Deno.test({
  name:
    "spawn() gives no environment, the given one, ours or both (contract 249)",
  ignore,
  fn() {
    const environment = (options: ChildOptions) =>
      runPiped("/usr/bin/env", options).output[1]!.split("\n").slice(0, -1);
    Deno.env.set("REACTOR_SPAWN_TEST", "ours");
    const ours = environment({ env: null });
    assert(ours.includes("REACTOR_SPAWN_TEST=ours"));
    assertEquals(environment({ clearEnv: false }), ours);
    assertEquals(environment({}), []);
    const env = { REACTOR_SPAWN_TEST: "ä=b", WORD: "" };
    const given = ["REACTOR_SPAWN_TEST=ä=b", "WORD="];
    assertEquals(environment({ env }), given);
    assertEquals(environment({ env, clearEnv: false }), [
      ...ours.filter((entry) => entry !== "REACTOR_SPAWN_TEST=ours"),
      ...given,
    ]);
    Deno.env.delete("REACTOR_SPAWN_TEST");
  },
});

Deno.test({
  name: "spawn() takes a path, a URL, or a name on the PATH, and a directory",
  ignore,
  fn() {
    const url = new URL("file:///bin/pwd");
    assertEquals(runPiped(url, { cwd: "/usr" }).output[1], "/usr\n");
    const usr = new URL("file:///usr/");
    assertEquals(runPiped("pwd", { cwd: usr }).output[1], "/usr\n");
    // Relative to where it starts, not to where we are.
    assertEquals(
      runPiped("./pwd", { cwd: "/usr/bin" }).output[1],
      "/usr/bin\n",
    );
  },
});

Deno.test({
  name:
    "spawn() makes a terminal, besides which other descriptors can be given",
  ignore,
  fn() {
    const { pid, pipes, terminal } = spawn("sh", {
      args: ["-c", "tty; stty size > /dev/tty; ps -o sid= -p $$ >&5"],
      clearEnv: false,
      pty: { columns: 90, rows: 20 },
      childFDs: { 5: "r" },
    });
    const text = readUntil(terminal!);
    assertStringIncludes(text, "/dev/");
    assertStringIncludes(text, "20 90\n");
    assertEquals(Number(readUntil(pipes.get(5)!.fd)), pid); // Leads a session.
    assertEquals(waitForExit(pid), { code: 0, signal: null });
    closeDescriptor(terminal!);
    closeDescriptor(pipes.get(5)!.fd);
  },
});

Deno.test({
  name: "spawn() puts a child in a process group",
  ignore,
  fn() {
    const leader = spawn("sleep", { args: ["1000"], processGroup: 0 });
    const member = spawn("sleep", {
      args: ["1000"],
      processGroup: leader.pid,
    });
    assertEquals(libc().kill(-leader.pid, SIGKILL), 0);
    for (const { pid, pipes } of [leader, member]) {
      assertEquals(waitForExit(pid), { code: null, signal: SIGKILL });
      for (const { fd } of pipes.values()) closeDescriptor(fd);
    }
  },
});

Deno.test({
  name: "spawn() runs a command as another user and group, if this is root",
  ignore,
  fn() {
    const id = (options: ChildOptions) =>
      runPiped("id", { env: null, ...options }).output[1]!
        .replaceAll(/\(.*?\)/g, "").trim();
    const own = id({});
    const [uid, gid] = own.match(/\d+/g)!.map(Number);
    assertEquals(id({ uid: uid!, gid: gid! }), own);
    if (uid !== 0) {
      assertThrows(
        () => spawn("id", { uid: 0 }),
        Deno.errors.PermissionDenied,
        'Cannot run "id" as somebody else: operation not permitted (EPERM)',
      );
      return;
    }
    assertEquals(id({ uid: 1234, gid: 1235 }), "uid=1234 gid=1235 groups=1235");
    assertEquals(id({ uid: 1234 }), "uid=1234 gid=0 groups=0");
    assertStringIncludes(id({ gid: 1235 }), "uid=0 gid=1235 groups=1235");
    assertThrows(
      () => spawn("no-such-command", { uid: 1234 }),
      Deno.errors.NotFound,
      "(ENOENT)",
    );
    assertThrows(
      () => spawn("/etc/passwd", { uid: 1234 }),
      Deno.errors.PermissionDenied,
      "(EACCES)",
    );
    // It is the same process, and its terminal is its own.
    const { pid, terminal } = spawn("sh", {
      args: ["-c", 'echo $$; echo mine > "$(tty)"'],
      env: null,
      uid: 1234,
      pty: true,
    });
    assertEquals(readUntil(terminal!), `${pid}\nmine\n`);
    waitForExit(pid);
    closeDescriptor(terminal!);
  },
});

Deno.test({
  name: "spawn() leaves nothing behind when it fails",
  ignore,
  fn() {
    const next = openFile("/dev/null", POSIX.O_RDONLY);
    closeDescriptor(next);
    assertThrows(() => spawn("no-such-command"), Deno.errors.NotFound);
    assertThrows(
      () => spawn("no-such-command", { pty: true, childFDs: { 3: "w" } }),
      Deno.errors.NotFound,
      'Cannot run "no-such-command": no such file or directory (ENOENT)',
    );
    assertThrows(
      () => spawn("/etc/passwd"),
      Deno.errors.PermissionDenied,
      "(EACCES)",
    );
    assertThrows(
      () => spawn("sh", { childFDs: { 1: "r", 7: next } }),
      Deno.errors.BadResource,
      `with descriptor ${next} in "childFDs[7]"`,
    );
    assertFalse(isOpen(next));
    assertThrows(() => reap(1), Error, "(ECHILD)");
  },
});

Deno.test("spawn() throws when an argument is bad", () => {
  function refused(
    Class: typeof TypeError | typeof RangeError,
    message: string,
    ...args: unknown[]
  ): void {
    assertThrows(
      () => (spawn as (...args: unknown[]) => unknown)(...args),
      Class,
      message,
    );
  }
  refused(TypeError, '"command" must be a string without NUL, received 5', 5);
  refused(TypeError, '"command" must be a file URL', new URL("http://a/b"));
  refused(TypeError, '"options" must be an object, received null', "sh", null);
  refused(TypeError, '"args" must be an array', "sh", { args: "-c" });
  refused(TypeError, '"cwd"', "sh", { cwd: 5 });
  refused(TypeError, '"env" must be an object', "sh", { env: "A=b" });
  refused(TypeError, '"clearEnv" must be a boolean', "sh", { clearEnv: 1 });
  refused(TypeError, '"clearEnv" must not be true', "sh", {
    env: null,
    clearEnv: true,
  });
  refused(TypeError, '"childFDs" must be an object', "sh", { childFDs: 1 });
  refused(TypeError, '"childFDs[0]" must be', "sh", { childFDs: { 0: "x" } });
  refused(RangeError, '"childFDs[0]" must be', "sh", { childFDs: { 0: -1 } });
  for (const key of ["-1", "x", "", "1.5"]) {
    refused(RangeError, "childFDs", "sh", { childFDs: { [key]: "r" } });
  }
  refused(TypeError, '"pty" must be a boolean or an object', "sh", { pty: 1 });
  refused(RangeError, '"columns"', "sh", { pty: { columns: -1 } });
  refused(TypeError, 'and "pty" exclude each other', "sh", {
    pty: true,
    childFDs: { 2: "r" },
  });
  refused(TypeError, '"processGroup" and "pty" exclude', "sh", {
    pty: true,
    processGroup: 0,
  });
  refused(RangeError, '"processGroup"', "sh", { processGroup: -1 });
  refused(RangeError, '"uid"', "sh", { uid: -1 });
  refused(TypeError, '"gid"', "sh", { gid: "root" });
});

Deno.test({
  name: "openExit() is readable once a child has ended, collected or not",
  ignore,
  fn() {
    const { pid, pipes } = spawn("cat");
    const exit = openExit(pid);
    const table = new Int32Array([exit, POLL.IN]);
    assertEquals(libc().poll(table, 1, 0), 0);
    for (const { fd } of pipes.values()) closeDescriptor(fd);
    waitFor(exit);
    const late = openExit(pid);
    waitFor(late);
    [exit, late].forEach(closeDescriptor);
    assertEquals(reap(pid), { code: 0, signal: null });
  },
});
