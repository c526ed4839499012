/**
 * What `SECURITY.md` says, seen from outside: what Deno is asked for, and which
 * files, sockets and processes the kernel is.
 *
 * Deno writes down each permission that is checked, on every thread, in the file
 * that DENO_AUDIT_PERMISSIONS names. It checks a library's before it opens it, so
 * that this is also the list of libraries. What the C library opens by itself
 * Deno does not know: that is looked at with `strace`.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { lookUpNames } from "../ffi/name_lookup.ts";
import { pollLoop } from "../ffi/poll_loop.ts";
import { LockFile } from "../ffi/socket_files.ts";
import { openssl, SSL } from "../ffi/toolkits/openssl.ts";
import { Reactor } from "../mod.ts";
import { connectTCP, listen, listenTCP, listenUDP } from "../src/net/mod.ts";
import { lookUp } from "../src/net/resolver.ts";
import { TLSContext } from "../src/net/tls_context.ts";
import {
  BACKENDS,
  onLinux,
  Probe,
  receive,
  send,
  testBackends,
  until,
} from "./descriptors.ts";
import { testToolkit } from "./loops/toolkit.ts";
import { missingOpenssl, selfSigned } from "./net/certificates.ts";

// What is opened at the first use stays open, and the sanitizer would take it
// for a leak of the test that comes first.
libc();
openLockFiles();
const missing = await missingOpenssl();
if (missing.length === 0) openssl();

const ROOT = new URL("..", import.meta.url);

/** Long enough for any program here; no test waits for it to pass. */
const PATIENCE = 60_000;

const decoder = new TextDecoder();

/** The C library's absolute path, of those that the reactor tries. */
const LIBC = [
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
  "/usr/lib/libSystem.B.dylib",
].find(canOpen);

if (LIBC === undefined) {
  console.log("Left out: scoped grants (the C library is at no known path)");
}

const hasStrace = await isThere("strace");
if (!hasStrace) console.log("Left out: system calls (install strace)");

/** Where Deno keeps what it has made of modules. */
const MODULES = await modulesFolder();

/** Denies all that can be denied besides FFI. */
const NOTHING_ELSE = [
  ...["--deny-read", "--deny-write", "--deny-net", "--deny-env"],
  ...["--deny-run", "--deny-sys", "--deny-import"],
];

/** The narrowest grant that there is. */
const NARROWEST = [`--allow-ffi=${LIBC}`, ...NOTHING_ELSE];

/** How to run a program. */
interface RunOptions {
  /** The flags of its permissions. */
  readonly permissions: readonly string[];
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether to look at its system calls. */
  readonly trace?: boolean;
}

/** What was seen of a program. */
interface Seen {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The permissions that were checked, each once, as in "env PATH". */
  readonly asked: readonly string[];
  /** What it did between `begin()` and `end()`. */
  readonly calls: readonly Call[];
}

/** A system call, as `strace` writes it. */
interface Call {
  readonly name: string;
  readonly args: string;
}

/** What a program begins with. */
const PRELUDE = `
  import * as interleave from ${url("mod.ts")};
  import * as ffi from ${url("ffi/mod.ts")};
  import * as net from ${url("src/net/mod.ts")};
  const { FileDescriptor, Reactor } = interleave;
  function begin() { console.log("begin"); }
  function end() { console.log("end"); }
  function attempt(f) {
    try {
      return f();
    } catch (error) {
      console.log(error.name + ": " + error.message);
    }
  }
`;

/** The address of a file of the package, as a string of JavaScript. */
function url(path: string): string {
  return JSON.stringify(new URL(path, ROOT));
}

/**
 * Runs a program in a process of its own. Its argument is the path of an empty
 * folder.
 */
async function run(program: string, options: RunOptions): Promise<Seen> {
  const folder = await Deno.makeTempDir();
  const [audit, log] = [`${folder}/audit.jsonl`, `${folder}/strace.log`];
  const place = `${folder}/empty`;
  await Deno.mkdir(place);
  const command = [
    ...[Deno.execPath(), "run", "--quiet", "--no-prompt"],
    ...options.permissions,
    `data:text/javascript,${encodeURIComponent(program)}`,
    place,
  ];
  const tracer = [
    ...["strace", "-f", "-qq", "-s", "256", "-o", log],
    ...["-e", "trace=%file,socket,connect,bind,listen,write"],
  ];
  const [first, ...args] = options.trace ? [...tracer, ...command] : command;
  try {
    const { code, stdout, stderr } = await new Deno.Command(first!, {
      args,
      env: {
        NO_COLOR: "1",
        DENO_NO_UPDATE_CHECK: "1",
        DENO_AUDIT_PERMISSIONS: audit,
        ...options.env,
      },
      stdin: "null",
      signal: AbortSignal.timeout(PATIENCE),
    }).output();
    return {
      code,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
      asked: permissionsIn(await Deno.readTextFile(audit)),
      calls: options.trace ? callsIn(await Deno.readTextFile(log)) : [],
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function permissionsIn(audit: string): string[] {
  const asked = audit.split("\n").filter((line) => line !== "").map((line) => {
    const { permission, value } = JSON.parse(line);
    return `${permission} ${value ?? ""}`.trim();
  });
  return [...new Set(asked)];
}

function callsIn(log: string): Call[] {
  const calls = Array.from(
    log.matchAll(/^\d+ +(\w+)\((.*)$/gm),
    ([, name, args]) => ({ name: name!, args: args! }),
  );
  const at = (mark: string) =>
    calls.findIndex(({ name, args }) =>
      name === "write" && args.startsWith(`1, "${mark}\\n"`)
    );
  assert(at("begin") >= 0 && at("end") > at("begin"), "a mark is missing");
  return calls.slice(at("begin") + 1, at("end"));
}

/**
 * How many processors there are, and how memory is given out: Deno, V8 and the
 * C library's allocator ask at any time.
 */
const OF_THE_MACHINE =
  /^\/sys\/|^\/proc\/(sys|meminfo|stat|self\/(cgroup|mountinfo))\b/;

/** Calls that make connections, or let others do so. */
const NETWORK = ["socket", "connect", "bind", "listen"];

/** Calls in which a string is no path, or that of a program. */
const NOT_OF_FILES = ["write", "execve", ...NETWORK];

/**
 * The paths that calls name, each once, but for modules and what Deno has made
 * of them. Numbers in /proc are written as N.
 */
function pathsOf(calls: readonly Call[]): Set<string> {
  const paths = calls
    .filter(({ name }) => !NOT_OF_FILES.includes(name))
    .map(({ args }) => /"((?:[^"\\]|\\.)+)"/.exec(args)?.[1])
    .filter((path) => path !== undefined)
    .filter((path) => !path.startsWith(ROOT.pathname))
    .filter((path) => !path.startsWith(MODULES))
    .filter((path) => !OF_THE_MACHINE.test(path));
  return new Set(
    paths.map((path) =>
      path.startsWith("/proc/") ? path.replaceAll(/\d+/g, "N") : path
    ),
  );
}

/** The calls of these names. */
function only(calls: readonly Call[], ...names: string[]): Call[] {
  return calls.filter(({ name }) => names.includes(name));
}

function canOpen(library: string): boolean {
  try {
    Deno.dlopen(library, {}).close();
    return true;
  } catch {
    return false;
  }
}

async function modulesFolder(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).output();
  return JSON.parse(decoder.decode(stdout)).denoDir;
}

async function isThere(command: string): Promise<boolean> {
  try {
    await new Deno.Command(command, { args: ["-V"], stdout: "null" }).output();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function openLockFiles(): void {
  const folder = Deno.makeTempDirSync();
  LockFile.take(`${folder}/lock`)![Symbol.dispose]();
  Deno.removeSync(folder);
}

/** Defines a test of programs with a scoped grant. */
function testScoped(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: LIBC === undefined, fn });
}

/** Defines a test that looks at system calls. */
function testTraced(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasStrace || LIBC === undefined, fn });
}

// Importing

testTraced(
  "importing every entry point and making a reactor asks for nothing, opens nothing, connects nowhere and starts nothing",
  async () => {
    const { exports } = JSON.parse(
      await Deno.readTextFile(new URL("deno.json", ROOT)),
    );
    const imports = Object.values<string>(exports).map((path) =>
      `await import(${url(path)});`
    );
    const { code, stderr, asked, calls } = await run(
      `console.log("begin");
    ${imports.join("\n")}
    const { Reactor } = await import(${url("mod.ts")});
    new Reactor();
    console.log("end");`,
      { permissions: ["--deny-ffi", ...NOTHING_ELSE], trace: true },
    );
    assertEquals({ code, stderr, asked }, { code: 0, stderr: "", asked: [] });
    assertEquals([...pathsOf(calls)], []);
    assertEquals(only(calls, "execve", ...NETWORK), []);
  },
);

// The narrowest grant

/** Programs, which print "works". `options` are those of a reactor. */
const PROGRAMS = {
  "a wait on the worker": `
    import { untilStarted, withWorkers } from ${url("tests/workers.ts")};
    await withWorkers(async (workers) => {
      await using reactor = new Reactor(options);
      begin();
      reactor.interleave();
      const [reader, writer] = FileDescriptor.pipe();
      const ready = reactor.readable(reader);
      await untilStarted(workers);
      writer.write(new Uint8Array([1]));
      const { readable } = await ready;
      if (readable && workers.length === 1) console.log("works");
      end();
      reader.close();
      writer.close();
    });
  `,
  "TCP by a host name": `
    await using reactor = new Reactor(options);
    begin();
    await using port = net.listen({ hostname: "127.0.0.1", port: 0, reactor });
    await using client = await net.connect({
      hostname: "localhost",
      port: port.getHost().port,
      reactor,
    });
    client.write("works\\n");
    client.loseWriteConnection();
    for await (const connection of port) {
      await connection.readable.pipeTo(connection.writable);
      break;
    }
    console.log((await new Response(client.readable).text()).trim());
    end();
  `,
  "a UNIX socket with a lock": `
    await using reactor = new Reactor(options);
    const path = Deno.args[0] + "/socket";
    begin();
    await using port = net.listen({ path, mode: 0o600, wantPID: true, reactor });
    await using client = await net.connect({ path, reactor });
    for await (const connection of port) {
      connection.write("works\\n");
      connection.loseConnection();
      break;
    }
    console.log((await new Response(client.readable).text()).trim());
    end();
  `,
  "datagrams": `
    await using reactor = new Reactor(options);
    reactor.interleave();
    const { promise, resolve } = Promise.withResolvers();
    begin();
    const port = net.listenUDP(0, {
      datagramReceived: (data) => resolve(new TextDecoder().decode(data)),
    }, { hostname: "127.0.0.1", reactor });
    port.write("works", port.getHost());
    console.log(await promise);
    end();
    await port.stopListening();
  `,
  "a terminal": `
    await using reactor = new Reactor(options);
    reactor.interleave();
    const { promise, resolve } = Promise.withResolvers();
    begin();
    const terminal = net.openPty({
      dataReceived: (data) => resolve(new TextDecoder().decode(data)),
    }, { raw: true, reactor });
    using line = FileDescriptor.open(terminal.path, { write: true });
    line.write(new TextEncoder().encode("works"));
    console.log(await promise);
    end();
  `,
  "a child process": `
    await using reactor = new Reactor(options);
    reactor.interleave();
    const { promise, resolve } = Promise.withResolvers();
    let output = "";
    begin();
    net.spawnProcess({
      childDataReceived: (_fd, data) => output += new TextDecoder().decode(data),
      processEnded: () => resolve(),
    }, "echo", { args: ["works"], reactor });
    await promise;
    console.log(output.trim());
    end();
  `,
} as const;

type ProgramName = keyof typeof PROGRAMS;

const PROGRAM_NAMES = Object.keys(PROGRAMS) as ProgramName[];

/** Runs one of them with the narrowest grant. */
async function runNarrowly(
  name: ProgramName,
  reactor: { backend: string; latency?: string },
  options: Omit<RunOptions, "permissions"> = {},
): Promise<Seen> {
  const seen = await run(
    `${PRELUDE} const options = ${JSON.stringify(reactor)}; ${PROGRAMS[name]}`,
    { permissions: NARROWEST, ...options },
  );
  const { code, stdout, stderr } = seen;
  assertEquals(
    { code, stdout },
    { code: 0, stdout: "begin\nworks\nend\n" },
    stderr,
  );
  return seen;
}

for (const name of PROGRAM_NAMES) {
  for (const backend of BACKENDS) {
    testScoped(
      `${name} asks for the C library by its path, and for nothing else [${backend}]`,
      async () => {
        const { asked } = await runNarrowly(name, { backend });
        assertEquals(asked, [`ffi ${LIBC}`]);
      },
    );
  }
}

testScoped(
  "a scoped grant is no sandbox: the C library reads files, starts processes and passes the environment on",
  async () => {
    const { stdout } = await run(
      `${PRELUDE}
    const file = ${url("deno.json")}.slice("file://".length);
    attempt(() => Deno.readTextFileSync(file));
    attempt(() => new Deno.Command("echo").spawn());
    attempt(() => Deno.env.get("SECRET"));
    using opened = FileDescriptor.open(file);
    const bytes = new Uint8Array(100);
    opened.read(bytes.subarray(0, 1));
    console.log(new TextDecoder().decode(bytes.subarray(0, 1)));
    const { pid, pipes } = ffi.spawn("sh", {
      args: ["-c", 'echo "$SECRET"'],
      env: null,
      childFDs: { 1: "r" },
    });
    using output = FileDescriptor.adopt(pipes.get(1).fd);
    using exit = FileDescriptor.adopt(ffi.openExit(pid));
    await interleave.reactor.readable(exit);
    ffi.reap(pid);
    const length = output.read(bytes);
    console.log(new TextDecoder().decode(bytes.subarray(0, length)).trim());
    await interleave.reactor.close();`,
      { permissions: NARROWEST, env: { SECRET: "a secret" } },
    );
    const lines = stdout.trim().split("\n");
    assertEquals(lines.length, 5);
    for (const line of lines.slice(0, 3)) assertMatch(line, /^NotCapable: /);
    assertEquals(lines.slice(3), ["{", "a secret"]);
  },
);

/** What the first use says under a grant for this path. */
async function underGrantFor(path: string): Promise<string> {
  const { stdout } = await run(`${PRELUDE} attempt(() => ffi.libc());`, {
    permissions: [`--allow-ffi=${path}`, ...NOTHING_ELSE],
  });
  return stdout;
}

Deno.test("a grant for another path than the C library's says which flag is missing", async () => {
  const message = await underGrantFor("/nonexistent/libc.so.6");
  assertStringIncludes(message, "NotCapable: Requires ffi access to ");
  assertStringIncludes(message, 'the bare "--allow-ffi" flag permits it');
});

Deno.test({
  name: "a grant for the C library's name is one for a file that is not there",
  ignore: !onLinux,
  fn: async () =>
    assertStringIncludes(
      await underGrantFor("libc.so.6"),
      "NotFound: Cannot open the C library: tried libc.so.6",
    ),
});

// Other libraries

/** What opens a library, and the name that it asks for first. */
const LIBRARIES: Readonly<Record<string, string>> = {
  'net.connectSSL("127.0.0.1", 1, { buildProtocol: () => null })':
    "libssl.so.3",
  'net.listenSSL(0, { buildProtocol: () => null }, { tls: { cert: "", key: "" } })':
    "libssl.so.3",
  "glib.glibWaker()": "libglib-2.0.so.0",
  "glib.glibLoop()": "libglib-2.0.so.0",
  "qt.qtWaker({ version: 6 })": "libQt6Core.so.6",
  "qt.qtLoop({ version: 5 })": "libQt5Core.so.5",
  "sdl2.sdl2Waker()": "libSDL2-2.0.so.0",
  "tk.tkLoop()": "libtcl8.6.so.0",
  "cocoa.cocoaWaker()": "libobjc.so.4",
  "libuv.libuvLoop()": "libuv.so.1",
  "x11()": "libX11.so.6",
};

const TOOLKITS = [
  ...["cocoa", "glib", "libuv", "qt", "sdl2", "tk"].map((name) =>
    `import * as ${name} from ${url(`src/loops/${name}.ts`)};`
  ),
  // The loop wants a pointer first, of which a scoped grant has none.
  `import { x11 } from ${url("ffi/toolkits/x11.ts")};`,
].join("\n");

for (const [call, library] of Object.entries(LIBRARIES)) {
  Deno.test({
    name: `${call} asks for ${library}, and says so where it is not granted`,
    ignore: !onLinux || LIBC === undefined,
    async fn() {
      const { stdout, asked } = await run(
        `${PRELUDE} ${TOOLKITS} attempt(() => ${call});`,
        { permissions: NARROWEST },
      );
      assertEquals(
        stdout,
        `NotCapable: Requires ffi access to "${library}", run again with the --allow-ffi flag\n`,
      );
      assertEquals(asked, [`ffi ${LIBC}`, `ffi ${library}`]);
    },
  });
}

testScoped(
  "threadSafeWaker() says so where pointers are not granted",
  async () => {
    const { stdout } = await run(
      `${PRELUDE} attempt(() => interleave.threadSafeWaker());`,
      { permissions: NARROWEST },
    );
    assertEquals(
      stdout,
      "NotCapable: Requires ffi access, run again with the --allow-ffi flag\n",
    );
  },
);

// The environment

Deno.test("activatedSockets() asks for the variables of a service manager, and says so where they are not granted", async () => {
  const { stdout, asked } = await run(
    `${PRELUDE} attempt(() => net.activatedSockets());`,
    { permissions: ["--allow-ffi", ...NOTHING_ELSE] },
  );
  assertStringIncludes(
    stdout,
    'NotCapable: Requires env access to "LISTEN_PID"',
  );
  assertEquals(asked, ["env LISTEN_PID"]);
});

// System calls

/** What Deno itself looks at when it starts a worker. */
async function ofWorkers(): Promise<Set<string>> {
  const { calls } = await run(
    `import { Worker } from "node:worker_threads";
    console.log("begin");
    const worker = new Worker(new URL("data:text/javascript,"), { env: {} });
    await new Promise((resolve) => worker.on("exit", resolve));
    console.log("end");`,
    { permissions: NARROWEST, trace: true },
  );
  return pathsOf(calls);
}

/** The paths that a program names, but for those that are Deno's. */
async function pathsOfOurs(calls: readonly Call[]): Promise<string[]> {
  const paths = pathsOf(calls).difference(await ofWorkers());
  return [...paths].filter((path) => path !== LIBC);
}

/** What is looked at to see in which descriptor the main thread sleeps. */
const SLEEP = /^\/proc\/(thread-self|self\/fd\/N|N\/task\/N\/syscall)$/;

for (const latency of ["normal", "low"]) {
  testTraced(
    `a reactor opens no file, but looks where the main thread sleeps, no socket and no process [epoll, latency ${latency}]`,
    async () => {
      const { calls } = await runNarrowly("a wait on the worker", {
        backend: "epoll",
        latency,
      }, { trace: true });
      const paths = await pathsOfOurs(calls);
      assertEquals(paths.filter((path) => !SLEEP.test(path)), []);
      assert(paths.includes("/proc/thread-self"));
      assertEquals(only(calls, "execve", ...NETWORK), []);
    },
  );
}

testTraced(
  "a reactor opens no file, no socket and no process [poll]",
  async () => {
    const { calls } = await runNarrowly("a wait on the worker", {
      backend: "poll",
    }, { trace: true });
    assertEquals(await pathsOfOurs(calls), []);
    assertEquals(only(calls, "execve", ...NETWORK), []);
  },
);

/** What the C library asks about a host name that is this machine's. */
const RESOLVER_PLACES = [
  /^bind\(\d+, \{sa_family=AF_NETLINK/, // Which addresses this machine has.
  /^connect\(\d+, \{sa_family=AF_UNIX, sun_path="\/var\/run\/nscd\/socket"/,
];

/** And where. It looks whether "/" is another directory now, as after chroot. */
const RESOLVER_FILES =
  /^(\/|\/etc\/.*|\/var\/run\/nscd\/.*|.*\/libnss_\w+\.so.*)$/;

testTraced(
  "TCP by a host name binds and connects to addresses of this machine alone, and reads the resolver's files",
  async () => {
    const { calls } = await runNarrowly("TCP by a host name", {
      backend: "poll",
    }, { trace: true });
    const places = only(calls, "bind", "connect")
      .map(({ name, args }) => `${name}(${args}`)
      .filter((place) => !RESOLVER_PLACES.some((known) => known.test(place)));
    assert(places.length >= 2);
    for (const place of places) assertMatch(place, /"(127\.0\.0\.1|::1)"/);
    const paths = (await pathsOfOurs(calls))
      .filter((path) => path !== "/dev/null"); // The port's reserve.
    for (const path of paths) assertMatch(path, RESOLVER_FILES);
    assertEquals(only(calls, "execve"), []);
  },
);

testTraced("a child process is the one that was asked for", async () => {
  const { calls } = await runNarrowly("a child process", {
    backend: "epoll",
  }, { trace: true });
  const programs = only(calls, "execve").map(({ args }) =>
    /\/([^/"]+)", \["echo", "works"\]/.exec(args)?.[1]
  );
  assertEquals([...new Set(programs)], ["echo"]);
  assertEquals(only(calls, ...NETWORK), []);
});

/** Libraries, OpenSSL's configuration, and the system's certificates. */
const OPENSSL_FILES =
  /\/lib[^/]+\.so[^/]*$|\/ld\.so\.|\/openssl\.cnf$|\/certs\b/;

Deno.test({
  name:
    "TLS opens OpenSSL's libraries, its configuration and the system's certificates",
  ignore: !hasStrace || missing.length > 0,
  async fn() {
    const { stdout, asked, calls } = await run(
      `${PRELUDE}
      await using reactor = new Reactor({ backend: "poll" });
      begin();
      const connected = net.connect({
        hostname: "127.0.0.1",
        port: 1,
        tls: {},
        reactor,
      });
      await connected.catch((error) => console.log(error.name));
      end();`,
      { permissions: ["--allow-ffi", ...NOTHING_ELSE], trace: true },
    );
    assertEquals(stdout, "begin\nConnectionRefusedError\nend\n");
    assertEquals(asked, ["ffi libc.so.6", "ffi libssl.so.3"]);
    const paths = await pathsOfOurs(calls);
    for (const path of paths) assertMatch(path, OPENSSL_FILES);
    for (const library of ["libssl.so.3", "libcrypto.so.3"]) {
      assert(paths.some((path) => path.endsWith(`/${library}`)), library);
    }
    assertEquals(only(calls, "execve"), []);
  },
});

// The workers

type WorkerOptions = import("node:worker_threads").WorkerOptions;

Deno.test("the workers' programs are the text of two functions, whatever a program says, and get no environment", async () => {
  const programs = new Set<string>();
  const given: WorkerOptions[] = [];
  const threads = process.getBuiltinModule("node:worker_threads");
  const { Worker } = threads;
  threads.Worker = class extends Worker {
    constructor(program: string | URL, options: WorkerOptions) {
      super(program, options);
      programs.add(`${program}`);
      given.push(options);
    }
  };
  try {
    let count = 0;
    for (const backend of BACKENDS) {
      for (const name of ["plain", '"`}); throw 1; //']) {
        await using reactor = new Reactor({ backend, label: name });
        reactor.interleave();
        reactor.callLater(PATIENCE, () => {}); // Something to wait for.
        lookUp(reactor, name, () => {});
        count += 2;
        await until(() => given.length === count);
      }
    }
  } finally {
    threads.Worker = Worker;
  }
  for (const { eval: isProgram, env } of given) {
    assert(isProgram, "Neither the name of a file nor an address");
    assertEquals(env, {});
  }
  const texts = [...programs];
  assertEquals(texts.length, 2);
  for (const f of [pollLoop, lookUpNames]) {
    assert(texts.some((text) => text.includes(`${f}`)), f.name);
  }
});

// The sources

/** The code of the package, without comments, by path. */
async function readSources(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  async function read(path: string): Promise<void> {
    const source = new URL(path, ROOT);
    if (path.endsWith(".ts")) {
      const text = await Deno.readTextFile(source);
      files.set(path, text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, ""));
      return;
    }
    for await (const { name, isDirectory } of Deno.readDir(source)) {
      await read(`${path}${name}${isDirectory ? "/" : ""}`);
    }
  }
  for (const path of ["mod.ts", "src/", "ffi/"]) await read(path);
  return files;
}

const SOURCES = await readSources();

/** What a pattern's first group finds in the sources, each once, in order. */
function found(pattern: RegExp): string[] {
  const all = [...SOURCES.values()].flatMap((code) =>
    Array.from(code.matchAll(pattern), ([, word]) => word!)
  );
  return [...new Set(all)].sort();
}

Deno.test("the sources import nothing but each other and two modules of Deno's", () => {
  assert(SOURCES.size > 100);
  const elsewhere = found(/\bfrom\s+"([^"\n]+)"/g)
    .filter((specifier) => !/^\.{1,2}\//.test(specifier));
  assertEquals(elsewhere, []);
  // Types, and the modules whose functions the threads of a pool call.
  assertEquals(found(/\bimport\s*\(([^)]*)\)/g), [
    '"node:worker_threads"',
    "module",
  ]);
  assertEquals(found(/^import\s+"([^"]*)"/gm), []);
  assertEquals(found(/getBuiltinModule\(\s*([^)\s]*?),?\s*\)/g), [
    '"node:url"',
    '"node:worker_threads"',
  ]);
});

Deno.test("the sources call no functions of Deno's but those that SECURITY.md names", async () => {
  const functions = found(/\bDeno\.([a-z]\w*(?:\.\w+)?)/g)
    .filter((name) => !/^(build|errors|customInspect)\b/.test(name));
  assertEquals(functions, [
    "addSignalListener",
    "dlopen",
    "env.get",
    "permissions.querySync",
    "permissions.requestSync",
    "pid",
    "removeSignalListener",
    "unrefTimer",
  ]);
  const text = await Deno.readTextFile(new URL("SECURITY.md", ROOT));
  assertEquals(
    functions.filter((name) => !text.includes(`\`Deno.${name}`)),
    [],
  );
});

Deno.test("the sources read three variables of the environment, and make no code of text but the workers'", () => {
  assertEquals(found(/\bDeno\.env\.get\(([^)]*)\)/g), [
    '"LISTEN_FDNAMES"',
    '"LISTEN_FDS"',
    '"LISTEN_PID"',
  ]);
  assertEquals(found(/\b(eval|Function|fetch|WebSocket|Response)\(/g), []);
  const starting = [...SOURCES].filter(([, code]) => /new Worker\(/.test(code));
  assertEquals(starting.map(([path]) => path).sort(), [
    "src/hand_over.ts",
    "src/net/lookup_thread.ts",
    "src/threads/pool_thread.ts",
    "src/threads/ringer.ts",
  ]);
});

// What callers must take care of

Deno.test("what listens without a host name listens on all interfaces", async () => {
  await using reactor = new Reactor();
  const ports = [
    listen({ port: 0, reactor }),
    listenTCP(0, { buildProtocol: () => null }, { reactor }),
    listenUDP(0, { datagramReceived() {} }, { reactor }),
  ];
  for (const port of ports) {
    assertEquals((port.getHost() as Deno.NetAddr).hostname, "0.0.0.0");
    await port.stopListening();
  }
});

Deno.test("an attempt to connect has 30 s unless told otherwise", async () => {
  await using reactor = new Reactor({ clock: () => 0 });
  const connector = connectTCP("127.0.0.1", 1, {
    buildProtocol: () => null,
  }, { reactor });
  const times = reactor.getDelayedCalls().map((call) => call.getTime());
  assert(times.includes(30_000), `${times}`);
  connector.stopConnecting();
});

testBackends(
  "an event of a new file reaches the owner of an old one that has promised to be told of its end",
  (bench) => {
    const { reactor } = bench;
    const [old] = bench.socketpair();
    const owner = Object.assign(
      new Probe(old, { onRead: () => void receive(old) }),
      { owned: true },
    );
    reactor.addReader(owner);
    const [another, there] = bench.socketpair();
    bench.reuse(old, another);
    send(there, "not for the owner");
    reactor.iterate();
    assertEquals(owner.reads, 1);
  },
  { backends: ["poll"] },
);

testTraced(
  "a UNIX socket has its mode before it takes connections; one for datagrams has its path first",
  async () => {
    const { calls } = await run(
      `${PRELUDE}
    await using reactor = new Reactor();
    const path = Deno.args[0] + "/socket";
    const options = { mode: 0o600, reactor };
    begin();
    await net.listenUNIX(path, { buildProtocol: () => null }, options)
      .stopListening();
    await net.listenUNIXDatagram(path, { datagramReceived() {} }, options)
      .stopListening();
    end();`,
      { permissions: NARROWEST, trace: true },
    );
    const order = only(calls, "bind", "chmod", "fchmodat", "listen");
    assertEquals(
      order.map(({ name }) => name.replace("fchmodat", "chmod")),
      ["bind", "chmod", "listen", "bind", "chmod"],
    );
  },
);

testToolkit("TLS is 1.2 or later, on both sides", missing, async () => {
  const { SSL_CTX_ctrl } = openssl();
  using server = new TLSContext("server", await selfSigned({}));
  using client = new TLSContext("client", { hostname: "localhost" });
  for (const { pointer } of [server, client]) {
    // SSL_CTRL_GET_MIN_PROTO_VERSION (openssl/ssl.h).
    assertEquals(SSL_CTX_ctrl(pointer, 130, 0, null), SSL.TLS1_2_VERSION);
  }
});

Deno.test("a lock file that is a symbolic link is not followed", () => {
  const folder = Deno.makeTempDirSync();
  const [file, link] = [`${folder}/file`, `${folder}/socket.lock`];
  Deno.writeTextFileSync(file, "something precious");
  Deno.symlinkSync(file, link);
  assertThrows(() => LockFile.take(link), Error, "ELOOP");
  assertEquals(Deno.readTextFileSync(file), "something precious");
  Deno.removeSync(folder, { recursive: true });
});

// The document

Deno.test("SECURITY.md names every library that is opened on Linux", async () => {
  const text = await Deno.readTextFile(new URL("SECURITY.md", ROOT));
  const lists = found(/\blinux: \[([^\]]*)\]/g);
  const libraries = lists.flatMap((list) =>
    Array.from(list.matchAll(/"([^"]+)"/g), ([, name]) => name!)
  ).concat(found(/gnustep\("([^"]+)"/g), found(/Deno\.dlopen\("([^"]+)"/g));
  assert(libraries.length > 12);
  const absent = libraries.filter((library) => !text.includes(library));
  assertEquals(absent, []);
});

Deno.test("SECURITY.md cites tests that there are", async () => {
  const text = await Deno.readTextFile(new URL("SECURITY.md", ROOT));
  const cited = Array.from(
    text.matchAll(/^\| `(tests\/\S+_test\.ts)` +\| (.+?) +\|$/gm),
    ([, file, name]) => ({ file: file!, name: name! }),
  );
  assert(cited.length > 20, `only ${cited.length} are cited`);
  for (const { file, name } of cited) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    assertStringIncludes(source, name);
  }
});
