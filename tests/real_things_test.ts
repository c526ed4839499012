// One of each kind of thing that has a descriptor, as it really is: the kernel on
// one side, the reactor on the other.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
} from "@std/assert";
import { libcPath } from "../ffi/libc.ts";
import { check, libc, linux, LINUX_ONLY, POSIX } from "../ffi/mod.ts";
import { ConnectionDone, Reactor } from "../mod.ts";
import {
  accept,
  BACKENDS,
  type Bench,
  makeListener,
  makeTimerfd,
  onLinux,
  PATIENCE,
  Probe,
  receive,
  send,
  setTimerfd,
  startConnecting,
  testBackends,
  until,
} from "./descriptors.ts";

const LINUX_ONLY_TEST = { linuxOnly: true };

const { symbols: { getrlimit, setrlimit } } = Deno.dlopen(libcPath(), {
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});

/** Opens a file; the C library's `open` needs no permission. */
function open(bench: Bench, path: string, flags = POSIX.O_RDONLY): number {
  const all = flags | POSIX.O_CLOEXEC | POSIX.O_NONBLOCK;
  return bench.adopt(
    check(libc().open(cString(path), all, 0o600), `Cannot open ${path}`),
  );
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text + "\0");
}

/** A reader that collects what comes, up to the end. */
class Collector {
  text = "";
  ended = false;
  readonly probe: Probe;

  constructor(fd: number) {
    this.probe = new Probe(fd, {
      onRead: () => {
        const text = receive(fd);
        if (text === "") return new ConnectionDone();
        return void (this.text += text ?? "");
      },
      onLost: () => this.ended = true,
    });
  }
}

/** A writer that sends a text, however much room there is at a time. */
class Sender {
  readonly probe: Probe;
  #rest: Uint8Array<ArrayBuffer>;

  constructor(bench: Bench, fd: number, text: string) {
    this.#rest = new TextEncoder().encode(text);
    this.probe = new Probe(fd, {
      onWrite: () => {
        const count = libc().write(fd, this.#rest, this.#rest.length);
        if (count > 0) this.#rest = this.#rest.slice(count);
        if (this.#rest.length > 0) return;
        bench.reactor.removeWriter(this.probe);
        bench.closeFd(fd);
      },
    });
  }
}

/** More than a pipe or a socket holds at a time. */
const LONG_TEXT = Array.from({ length: 50_000 }, (_, i) => `${i}\n`).join("");

testBackends("a pipe carries more than it holds at a time", async (bench) => {
  const { reactor } = bench;
  const [output, input] = bench.pipe();
  const collector = new Collector(output);
  reactor.addReader(collector.probe);
  reactor.addWriter(new Sender(bench, input, LONG_TEXT).probe);
  reactor.interleave();
  await until(() => collector.ended);
  assertEquals(collector.text, LONG_TEXT);
});

testBackends(
  "a pair of sockets carries both directions at once",
  async (bench) => {
    const { reactor } = bench;
    const [here, there] = bench.socketpair();
    const collectors = [new Collector(here), new Collector(there)];
    for (const [i, { probe }] of collectors.entries()) {
      reactor.addReader(probe);
      const to = [here, there][i]!;
      reactor.addWriter(
        new Sender(bench, bench.dup(to), LONG_TEXT + i).probe,
      );
    }
    reactor.interleave();
    await until(() =>
      collectors.every(({ text }) => text.length > LONG_TEXT.length)
    );
    assertEquals(collectors[0]!.text, LONG_TEXT + 1);
    assertEquals(collectors[1]!.text, LONG_TEXT + 0);
  },
);

testBackends("a TCP server and a client of our own talk", async (bench) => {
  const { reactor } = bench;
  const { fd: listener, port } = makeListener();
  bench.adopt(listener);
  reactor.addReader(
    new Probe(listener, {
      onRead: () => {
        const server = bench.adopt(accept(listener));
        const echo = new Probe(server, {
          onRead: () => {
            const text = receive(server);
            if (text === "") return new ConnectionDone();
            return void send(server, text ?? "");
          },
          onLost: () => bench.closeFd(server),
        });
        reactor.addReader(echo);
      },
    }),
  );
  const clients = Array.from(
    { length: 10 },
    () => bench.adopt(startConnecting(port)),
  );
  const collectors = clients.map((fd) => new Collector(fd));
  for (const [i, client] of clients.entries()) {
    const { error } = await reactor.writable(client);
    assertEquals(error, undefined);
    reactor.addReader(collectors[i]!.probe);
    send(client, `hello from ${i}`);
    libc().shutdown(client, 1);
  }
  await until(() => collectors.every(({ ended }) => ended));
  assertEquals(
    collectors.map(({ text }) => text),
    clients.map((_, i) => `hello from ${i}`),
  );
});

testBackends(
  "a TCP server of our own talks to Deno's client",
  async (bench) => {
    const { reactor } = bench;
    const { fd: listener, port } = makeListener();
    bench.adopt(listener);
    const connecting = Deno.connect({ hostname: "127.0.0.1", port });
    await reactor.readable(listener);
    const server = bench.adopt(accept(listener));
    using client = await connecting;
    await client.write(new TextEncoder().encode("question"));
    await reactor.readable(server);
    assertEquals(receive(server), "question");
    send(server, "answer");
    const buffer = new Uint8Array(100);
    const count = await client.read(buffer);
    assertEquals(new TextDecoder().decode(buffer.slice(0, count!)), "answer");
    await client.closeWrite();
    const { readable } = await reactor.readable(server);
    assert(readable);
    assertEquals(receive(server), "");
  },
);

testBackends("a UDP socket is ready a datagram at a time", async (bench) => {
  const { reactor } = bench;
  const [here, there] = datagramPair(bench);
  using watch = reactor.watch(here, "readable");
  send(there, "one");
  send(there, "two");
  for (const text of ["one", "two"]) {
    assertFalse((await watch.next()).done);
    assertEquals(receive(here), text);
  }
});

testBackends("inotify tells what happens in a directory", async (bench) => {
  const { reactor } = bench;
  const directory = await Deno.makeTempDir();
  const { inotify_init1, inotify_add_watch } = linux();
  const { IN_CREATE, IN_CLOSE_WRITE, IN_DELETE } = LINUX_ONLY;
  const fd = bench.adopt(
    check(
      inotify_init1(LINUX_ONLY.NONBLOCK | LINUX_ONLY.CLOEXEC),
      "Cannot watch directories",
    ),
  );
  check(
    inotify_add_watch(
      fd,
      cString(directory),
      IN_CREATE | IN_CLOSE_WRITE | IN_DELETE,
    ),
    "Cannot watch the directory",
  );
  const events: string[] = [];
  reactor.addReader(
    new Probe(fd, { onRead: () => void events.push(...inotifyEvents(fd)) }),
  );
  reactor.interleave();
  const names = new Map<number, string>([
    [IN_CREATE, "create"],
    [IN_CLOSE_WRITE, "write"],
    [IN_DELETE, "delete"],
  ]);
  await Deno.writeTextFile(`${directory}/file`, "text");
  await until(() => events.length === 2);
  await Deno.remove(`${directory}/file`);
  await until(() => events.length === 3);
  assertEquals(
    events.map((event) => {
      const [mask, name] = event.split(" ");
      return `${names.get(Number(mask))} ${name}`;
    }),
    ["create file", "write file", "delete file"],
  );
  await Deno.remove(directory);
}, LINUX_ONLY_TEST);

testBackends(
  "an eventfd is readable while its counter is not 0",
  async (bench) => {
    const { reactor } = bench;
    const fd = bench.eventfd();
    const counter = new BigUint64Array(1);
    const sums: bigint[] = [];
    reactor.addReader(
      new Probe(fd, {
        onRead: () => {
          assertEquals(libc().read(fd, counter, 8), 8);
          sums.push(counter[0]!);
        },
      }),
    );
    reactor.interleave();
    for (const value of [1n, 41n]) {
      libc().write(fd, new BigUint64Array([value]), 8);
      await until(() => sums.includes(value));
    }
    assertEquals(sums, [1n, 41n]);
    const { writable } = await reactor.writable(fd);
    assert(writable);
  },
  LINUX_ONLY_TEST,
);

testBackends("a timerfd is readable when its time has come", async (bench) => {
  const fd = bench.adopt(makeTimerfd());
  using watch = bench.reactor.watch(fd, "readable");
  for (const ms of [5, 20, 1]) {
    const start = performance.now();
    setTimerfd(fd, ms);
    assertFalse((await watch.next()).done);
    assertGreaterOrEqual(performance.now() - start, ms);
    const expirations = new BigUint64Array(1);
    assertEquals(libc().read(fd, expirations, 8), 8);
    assertEquals(expirations[0], 1n);
  }
}, LINUX_ONLY_TEST);

testBackends(
  "a pidfd is readable when the process has ended",
  async (bench) => {
    const child = new Deno.Command("sh", {
      args: ["-c", "read line; exit 3"],
      stdin: "piped",
    }).spawn();
    const SYS_PIDFD_OPEN = 434; // On every architecture.
    const fd = bench.adopt(
      check(linux().syscall(SYS_PIDFD_OPEN, child.pid, 0), "Cannot open it"),
    );
    let ended = false;
    const waiting = bench.reactor.readable(fd).then((readiness) => {
      ended = true;
      return readiness;
    });
    await until(() => bench.reactor.inspect().counters.parks > 0);
    assertFalse(ended);
    await child.stdin.close();
    assert((await waiting).readable);
    assertEquals((await child.status).code, 3);
  },
  LINUX_ONLY_TEST,
);

testBackends(
  "a regular file is always ready, and read to its end (contract 123)",
  async (bench) => {
    const { reactor } = bench;
    const path = await Deno.makeTempFile();
    await Deno.writeTextFile(path, LONG_TEXT);
    const collector = new Collector(open(bench, path));
    reactor.addReader(collector.probe);
    // Another descriptor gets its turn meanwhile.
    const [output, input] = bench.pipe();
    const other = new Collector(output);
    reactor.addReader(other.probe);
    send(input, "word");
    reactor.interleave();
    await until(() => collector.ended);
    assertEquals(collector.text, LONG_TEXT);
    assertEquals(other.text, "word");
    await Deno.remove(path);
  },
);

testBackends(
  "a regular file is written like anything else (contract 123)",
  async (bench) => {
    const { reactor } = bench;
    const path = await Deno.makeTempFile();
    const fd = open(bench, path, POSIX.O_WRONLY);
    const sender = new Sender(bench, fd, LONG_TEXT);
    reactor.addWriter(sender.probe);
    reactor.interleave();
    await until(() => reactor.getWriters().length === 0);
    assertEquals(await Deno.readTextFile(path), LONG_TEXT);
    await Deno.remove(path);
  },
);

testBackends(
  "waits and watches for a regular file are answered at once (contract 123)",
  async (bench) => {
    const { reactor } = bench;
    const fd = open(bench, new URL(import.meta.url).pathname);
    assert((await reactor.readable(fd)).readable);
    assert((await reactor.writable(fd)).writable);
    using watch = reactor.watch(fd, ["readable", "writable"]);
    for (let i = 0; i < 3; i++) {
      const { value } = await watch.next();
      assert(value!.readable && value!.writable);
    }
  },
);

testBackends("a directory is always ready (contract 123)", async (bench) => {
  const fd = open(bench, "/");
  assert((await bench.reactor.readable(fd)).readable);
});

testBackends(
  "/dev/null is always ready, and at its end (contract 123)",
  async (bench) => {
    const { reactor } = bench;
    const fd = open(bench, "/dev/null", POSIX.O_RDWR);
    assert((await reactor.readable(fd)).readable);
    assert((await reactor.writable(fd)).writable);
    const collector = new Collector(fd);
    reactor.addReader(collector.probe);
    await until(() => collector.ended);
    assertEquals(collector.text, "");
  },
);

testBackends(
  "a FIFO is ready when somebody writes, and hangs up when nobody does any more",
  async (bench) => {
    const { reactor } = bench;
    const directory = await Deno.makeTempDir();
    const path = `${directory}/fifo`;
    check(libc().mkfifo(cString(path), 0o600), "Cannot make a FIFO");
    const output = open(bench, path);
    using watch = reactor.watch(output, "readable");
    for (const text of ["one", "two"]) {
      const input = open(bench, path, POSIX.O_WRONLY);
      send(input, text);
      assert((await watch.next()).value!.readable);
      assertEquals(receive(output), text);
      bench.closeFd(input);
      const { value } = await watch.next();
      assert(value!.readable && value!.hangup);
      assertEquals(receive(output), "");
    }
    await Deno.remove(directory, { recursive: true });
  },
  LINUX_ONLY_TEST,
);

testBackends(
  "another reactor's backendFd is a descriptor like any other",
  async (bench) => {
    await using inner = new Reactor({ backend: "epoll" });
    const [output, input] = bench.pipe();
    const probe = new Probe(output, { onRead: () => void receive(output) });
    inner.addReader(probe);
    let called = false;
    inner.callLater(10, () => called = true);
    inner.iterate();
    const host = new Probe(inner.backendFd!, {
      onRead: () => void inner.iterate(),
    });
    bench.reactor.addReader(host);
    bench.reactor.interleave();
    send(input, "word");
    await until(() => probe.reads === 1);
    await until(() => called);
    bench.reactor.removeReader(host);
  },
  LINUX_ONLY_TEST,
);

// Standard input

/** Reads standard input to its end, and prints what it got. */
const ECHO = `
  import { Reactor } from ${
  JSON.stringify(new URL("../mod.ts", import.meta.url).href)
};
  import { libc } from ${
  JSON.stringify(new URL("../ffi/mod.ts", import.meta.url).href)
};
  const reactor = new Reactor({ backend: Deno.args[0] });
  const buffer = new Uint8Array(1000);
  let text = "";
  for await (const { readable } of reactor.watch(0, "readable")) {
    if (!readable) throw new Error("It is not readable");
    const count = libc().read(0, buffer, buffer.length);
    if (count <= 0) break;
    text += new TextDecoder().decode(buffer.subarray(0, count));
    console.log("now " + text.length);
  }
  await reactor.close();
  console.log("got " + text);
`;

function echo(backend: string, input: string): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", `"$0" "$@" ${input}`, Deno.execPath(), "eval", ECHO, backend],
    stdin: input === "" ? "piped" : "null",
    stdout: "piped",
    stderr: "inherit",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(PATIENCE),
  }).spawn();
}

for (const backend of BACKENDS) {
  Deno.test(`standard input is read from a pipe as it comes [${backend}]`, async () => {
    const child = echo(backend, "");
    const writer = child.stdin.getWriter();
    const lines = child.stdout
      .pipeThrough(new TextDecoderStream())
      .getReader();
    let output = "";
    for (const [part, sum] of [["one ", 4], ["two ", 8], ["three", 13]]) {
      await writer.write(new TextEncoder().encode(part as string));
      // Nothing more is written before this much has been read.
      while (!output.includes(`now ${sum}\n`)) {
        const { value, done } = await lines.read();
        assertFalse(done, output);
        output += value;
      }
    }
    await writer.close();
    for (;;) {
      const { value, done } = await lines.read();
      if (done) break;
      output += value;
    }
    assertEquals((await child.status).code, 0);
    assert(output.endsWith("got one two three\n"), output);
  });

  Deno.test(`standard input is at its end when it is /dev/null [${backend}]`, async () => {
    const { code, stdout } = await echo(backend, "< /dev/null").output();
    assertEquals(code, 0);
    assertEquals(new TextDecoder().decode(stdout), "got \n");
  });

  Deno.test(`standard input is read from a file [${backend}]`, async () => {
    const path = await Deno.makeTempFile();
    const text = "line\n".repeat(1000);
    await Deno.writeTextFile(path, text);
    const { code, stdout } = await echo(backend, `< '${path}'`).output();
    assertEquals(code, 0);
    assert(new TextDecoder().decode(stdout).endsWith(`got ${text}\n`));
    await Deno.remove(path);
  });
}

// Many at once

/** As many as are asked for, numbers above 1023 among them (contract 122). */
const MANY = 1500;

/** Sockets, each with its other end, which is another of them. */
function manySockets(bench: Bench): Map<number, number> {
  raiseLimit(2 * MANY);
  const peers = new Map<number, number>();
  while (peers.size < MANY) {
    const [here, there] = bench.socketpair();
    peers.set(here, there).set(there, here);
  }
  assertGreater(Math.max(...peers.keys()), 1023);
  return peers;
}

testBackends(
  "1500 readers at once are all served (contract 122)",
  async (bench) => {
    const { reactor } = bench;
    const peers = manySockets(bench);
    const collectors = [...peers.keys()].map((fd) => new Collector(fd));
    for (const { probe } of collectors) reactor.addReader(probe);
    reactor.interleave();
    for (let round = 1; round <= 3; round++) {
      for (const [fd, peer] of peers) send(peer, `${fd},`);
      await until(() =>
        collectors.every(({ text, probe: { fd } }) =>
          text === `${fd},`.repeat(round)
        )
      );
    }
    // Half of them leave; the others are served on.
    const [leaving, staying] = [[], []] as [Collector[], Collector[]];
    for (const [i, collector] of collectors.entries()) {
      (i % 2 === 0 ? leaving : staying).push(collector);
    }
    for (const { probe } of leaving) reactor.removeReader(probe);
    const before = leaving.map(({ text }) => text);
    for (const [, peer] of peers) send(peer, "end");
    await until(() => staying.every(({ text }) => text.endsWith("end")));
    assertEquals(leaving.map(({ text }) => text), before);
  },
);

testBackends(
  "1500 waits and watches at once are all answered (contract 122)",
  async (bench) => {
    const { reactor } = bench;
    const peers = manySockets(bench);
    const waits = [...peers.keys()].map((fd) => reactor.readable(fd));
    const watches = [...peers.keys()].map((fd) =>
      reactor.watch(fd, "readable")
    );
    const nexts = watches.map((watch) => watch.next());
    for (const [, peer] of peers) send(peer, "word");
    const answered = await Promise.all(waits);
    assertEquals(answered.map(({ fd }) => fd), [...peers.keys()]);
    for (const { value } of await Promise.all(nexts)) assert(value!.readable);
    for (const watch of watches) watch.close();
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testBackends(
  "one busy descriptor among 1500 is served while the others are silent (contract 122)",
  async (bench) => {
    const { reactor } = bench;
    const peers = manySockets(bench);
    const probes = [...peers.keys()].map((fd) =>
      new Probe(fd, { onRead: () => void receive(fd) })
    );
    for (const probe of probes) reactor.addReader(probe);
    reactor.interleave();
    const busy = probes.at(-1)!;
    assertGreater(busy.fd, 1023);
    for (let i = 1; i <= 100; i++) {
      send(peers.get(busy.fd)!, "word");
      await until(() => busy.reads === i);
    }
    assertEquals(probes.filter(({ reads }) => reads > 0), [busy]);
  },
);

/** Two UDP sockets of 127.0.0.1 that are connected to each other. */
function datagramPair(bench: Bench): [number, number] {
  const sockets: [fd: number, address: Uint8Array<ArrayBuffer>][] = [];
  for (let i = 0; i < 2; i++) {
    const fd = bench.adopt(
      check(
        libc().socket(POSIX.AF_INET, POSIX.SOCK_DGRAM, 0),
        "Cannot make a socket",
      ),
    );
    libc().fcntl(fd, POSIX.F_SETFL, POSIX.O_NONBLOCK);
    const address = new Uint8Array(16);
    const family = onLinux ? [POSIX.AF_INET, 0] : [16, POSIX.AF_INET];
    address.set([...family, 0, 0, 127, 0, 0, 1]);
    check(libc().bind(fd, address, 16), "Cannot bind");
    check(
      libc().getsockname(fd, address, new Uint32Array([16])),
      "Cannot ask for the port",
    );
    sockets.push([fd, address]);
  }
  const [[here, mine], [there, yours]] = sockets as [
    typeof sockets[0],
    typeof sockets[0],
  ];
  check(libc().connect(here, yours, 16), "Cannot connect");
  check(libc().connect(there, mine, 16), "Cannot connect");
  return [here, there];
}

/** Mask and name of each inotify event that can be read: inotify(7). */
function inotifyEvents(fd: number): string[] {
  const buffer = new Uint8Array(4096);
  const length = libc().read(fd, buffer, buffer.length);
  const view = new DataView(buffer.buffer);
  const events: string[] = [];
  for (let at = 0; at < length; at += 16 + view.getUint32(at + 12, true)) {
    const end = at + 16 + view.getUint32(at + 12, true);
    const name = new TextDecoder().decode(buffer.subarray(at + 16, end));
    events.push(`${view.getUint32(at + 4, true)} ${name.replace(/\0+$/, "")}`);
  }
  return events;
}

/** Makes room for descriptors, if the system allows no more than it must. */
function raiseLimit(count: number): void {
  const RLIMIT_NOFILE = onLinux ? 7 : 8;
  const limits = new BigUint64Array(2);
  assertEquals(getrlimit(RLIMIT_NOFILE, limits), 0);
  if (limits[0]! >= count) return;
  limits[0] = BigInt(count);
  assertEquals(setrlimit(RLIMIT_NOFILE, limits), 0);
}
