// Readers and writers: sections 2D and 2E of the contract. What happens when a
// descriptor is closed behind the reactor's back, never_silent_test.ts has more
// of.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { runInNewContext } from "node:vm";
import { libc } from "../ffi/mod.ts";
import {
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  type ReadDescriptor,
  type WriteDescriptor,
} from "../mod.ts";
import {
  type Bench,
  CLOSED_FD,
  fill,
  HalfCloseProbe,
  macrotask,
  Probe,
  receive,
  send,
  testBackends,
  until,
} from "./descriptors.ts";

/** A turn is one round: drain, dispatch, and no second look. */
const ONE_ROUND = { reactor: { budget: { ms: 0 } } };

const { BadResource } = Deno.errors;

/** A registered reader of a pipe with one word in it. */
function readyReader(bench: Bench, handlers = {}): Probe {
  const [output, input] = bench.pipe();
  send(input, "word");
  const probe = new Probe(output, handlers);
  bench.reactor.addReader(probe);
  return probe;
}

/** A registered reader of a socket with one word in it, and no room to write. */
function readySocket(bench: Bench): Probe {
  const [here, there] = bench.socketpair();
  fill(here);
  send(there, "word");
  const probe = new Probe(here);
  bench.reactor.addReader(probe);
  return probe;
}

/** A socket with data to read and room to write, as reader and writer. */
function busySocket<P extends Probe>(
  bench: Bench,
  Class: new (fd: number) => P,
): P {
  const [here, there] = bench.socketpair();
  send(there, "word");
  const probe = new Class(here);
  bench.reactor.addReader(probe);
  bench.reactor.addWriter(probe);
  return probe;
}

function assertLost(reason: Error | undefined, code: string): void {
  assertInstanceOf(reason, Error);
  assertEquals((reason as Error & { code?: string }).code, code);
}

// 2D: who is called, and when

testBackends(
  "addReader() has doRead called when there is data (contract 100)",
  async (bench) => {
    const [output, input] = bench.pipe();
    const words: (string | null)[] = [];
    bench.reactor.addReader(
      new Probe(output, { onRead: () => void words.push(receive(output)) }),
    );
    bench.reactor.interleave();
    send(input, "one");
    await until(() => words.length === 1);
    send(input, "two");
    await until(() => words.length === 2);
    assertEquals(words, ["one", "two"]);
  },
);

testBackends(
  "addWriter() has doWrite called when there is room (contract 101)",
  async (bench) => {
    const [output, input] = bench.pipe();
    fill(input);
    const writer = new Probe(input, {
      onWrite: (probe) => bench.reactor.removeWriter(probe),
    });
    bench.reactor.addWriter(writer);
    bench.reactor.interleave();
    let fired = false;
    bench.reactor.callLater(5, () => fired = true);
    await until(() => fired);
    assertEquals(writer.writes, 0);
    while (receive(output) !== null);
    await until(() => writer.writes === 1);
  },
);

testBackends(
  "removeReader() and removeWriter() before the start leave nothing to call (contract 102)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    bench.reactor.removeReader(probe);
    bench.reactor.removeWriter(probe);
    bench.reactor.iterate();
    assertEquals([probe.reads, probe.writes], [0, 0]);
  },
);

testBackends(
  "addReader() and addWriter() of the same object twice count once (contract 103)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    bench.reactor.addReader(probe);
    bench.reactor.addWriter(probe);
    bench.reactor.iterate();
    assertEquals([probe.reads, probe.writes], [1, 1]);
    assertEquals(bench.reactor.getReaders(), [probe]);
    assertEquals(bench.reactor.getWriters(), [probe]);
    bench.reactor.removeReader(probe);
    bench.reactor.removeWriter(probe);
    bench.reactor.iterate();
    assertEquals([probe.reads, probe.writes], [1, 1]);
  },
  ONE_ROUND,
);

testBackends(
  "removeReader() and removeWriter() ignore what was never added (contract 104)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    const stranger = new Probe(probe.fd);
    bench.reactor.removeReader(stranger);
    bench.reactor.removeWriter(stranger);
    bench.reactor.removeReader(new Probe(-1));
    bench.reactor.iterate();
    assertEquals([probe.reads, probe.writes], [1, 1]);
  },
  ONE_ROUND,
);

testBackends(
  "getReaders() and getWriters() follow at once, in fresh arrays (contract 105)",
  (bench) => {
    const { reactor } = bench;
    const [here, there] = bench.socketpair();
    const reader = new Probe(here);
    const writer = new Probe(there);
    reactor.addReader(reader);
    reactor.addWriter(writer);
    assertEquals(reactor.getReaders(), [reader]);
    assertEquals(reactor.getWriters(), [writer]);
    assertNotStrictEquals(reactor.getReaders(), reactor.getReaders());
    reactor.getReaders().pop();
    reactor.getWriters().pop();
    assertEquals(reactor.getReaders().length, 1);
    assertEquals(reactor.getWriters().length, 1);
    reactor.removeReader(reader);
    reactor.removeWriter(writer);
    assertEquals(reactor.getReaders(), []);
    assertEquals(reactor.getWriters(), []);
  },
);

testBackends(
  "getReaders() does not show what the reactor has of its own (contract 106)",
  async (bench) => {
    const { reactor } = bench;
    reactor.interleave();
    let called = false;
    reactor.callFromThread(() => called = true);
    await until(() => called);
    assertEquals(reactor.getReaders(), []);
    assertEquals(reactor.getWriters(), []);
    assertEquals(reactor.inspect().descriptors, []);
  },
);

testBackends(
  "removeAll() removes and returns each object once, and nothing of the reactor's (contract 107)",
  async (bench) => {
    const { reactor } = bench;
    const both = busySocket(bench, Probe);
    const reader = readyReader(bench);
    reactor.removeReader(reader);
    const [, input] = bench.pipe();
    const writer = new Probe(input);
    reactor.addReader(reader);
    reactor.addWriter(writer);
    const removed = reactor.removeAll();
    assertEquals(removed.length, 3);
    assertEquals(new Set(removed), new Set([both, reader, writer]));
    assertEquals(reactor.getReaders(), []);
    assertEquals(reactor.getWriters(), []);
    assertEquals(reactor.removeAll(), []);
    // It still wakes up: its own descriptors are where they were.
    reactor.interleave();
    let called = false;
    reactor.callFromThread(() => called = true);
    await until(() => called);
    for (const probe of [both, reader, writer]) {
      assertEquals([probe.reads, probe.writes, probe.reasons], [0, 0, []]);
    }
  },
);

testBackends(
  "doRead is called again while data is left (contract 108)",
  async (bench) => {
    const [output, input] = bench.pipe();
    const byte = new Uint8Array(1);
    const reader = new Probe(output, {
      onRead: () => void libc().read(output, byte, 1),
    });
    bench.reactor.addReader(reader);
    bench.reactor.interleave();
    send(input, "four");
    await until(() => reader.reads === 4);
    assertEquals(receive(output), null);
  },
);

testBackends(
  "addReader() takes effect at once while the worker waits (contract 109)",
  async (bench) => {
    const { reactor } = bench;
    reactor.interleave();
    reactor.callLater(3_600_000, () => {});
    let up = false;
    reactor.callFromThread(() => up = true);
    await until(() => up); // Now it waits for an hour.
    const [output, input] = bench.pipe();
    send(input, "word");
    const reader = new Probe(output, { onRead: () => void receive(output) });
    reactor.addReader(reader);
    await until(() => reader.reads === 1);
    const writer = new Probe(input, {
      onWrite: (probe) => reactor.removeWriter(probe),
    });
    reactor.addWriter(writer);
    await until(() => writer.writes === 1);
  },
);

testBackends(
  "removeReader() of another ready reader keeps it from being called (contract 110)",
  (bench) => {
    const { reactor } = bench;
    const probes = [readyReader(bench), readyReader(bench), readyReader(bench)];
    for (const probe of probes) {
      probe.handlers.onRead = () => {
        for (const other of probes) {
          if (other !== probe) reactor.removeReader(other);
        }
      };
    }
    reactor.iterate();
    assertEquals(probes.map((probe) => probe.reads).sort(), [0, 0, 1]);
  },
  ONE_ROUND,
);

testBackends(
  "removeReader() and addReader() of the same object in doRead lose nothing (contract 111)",
  (bench) => {
    const { reactor } = bench;
    const probes = [readyReader(bench), readyReader(bench)];
    for (const probe of probes) {
      probe.handlers.onRead = () => {
        receive(probe.fd);
        for (const one of probes) {
          reactor.removeReader(one);
          reactor.addReader(one);
        }
      };
    }
    reactor.iterate();
    bench.pump(() => probes.every((probe) => probe.reads === 1));
    assertEquals(reactor.getReaders().length, 2);
  },
);

for (const keeper of ["nobody", "a writer"]) {
  testBackends(
    `addReader() in a dispatch gets no event from before, on a descriptor that ${keeper} has as well (contract 112)`,
    (bench) => {
      const { reactor } = bench;
      const probes = [readySocket(bench), readySocket(bench)];
      if (keeper === "a writer") {
        for (const { fd } of probes) reactor.addWriter(new Probe(fd));
      }
      const late: Probe[] = [];
      for (const probe of probes) {
        probe.handlers.onRead = () => {
          const other = probes.find((one) => one !== probe)!;
          receive(other.fd); // What was found there is gone.
          reactor.removeReader(other);
          late.push(new Probe(other.fd));
          reactor.addReader(late[0]!);
          reactor.removeReader(probe);
        };
      }
      reactor.iterate();
      assertEquals(late.length, 1);
      assertEquals(late[0]!.reads, 0);
      reactor.iterate();
      assertEquals(late[0]!.reads, 0);
    },
    ONE_ROUND,
  );
}

testBackends(
  "addWriter() in a dispatch gets no event from before, on the same descriptor (contract 112)",
  (bench) => {
    const { reactor } = bench;
    const probe = busySocket(bench, Probe);
    const late = new Probe(probe.fd);
    probe.handlers.onRead = () => {
      reactor.removeWriter(probe);
      reactor.addWriter(late);
    };
    reactor.iterate();
    assertEquals([probe.reads, probe.writes, late.writes], [1, 0, 0]);
    reactor.iterate();
    assertEquals(late.writes, 1);
  },
  ONE_ROUND,
);

testBackends(
  "doRead is called before doWrite when both are due (contract 113)",
  (bench) => {
    const log: string[] = [];
    const probe = busySocket(bench, Probe);
    probe.handlers = {
      onRead: () => void log.push("read"),
      onWrite: () => void log.push("write"),
    };
    bench.reactor.iterate();
    assertEquals(log, ["read", "write"]);
  },
  ONE_ROUND,
);

testBackends(
  "doWrite is not called after doRead has ended the descriptor (contract 114)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    probe.handlers.onRead = () => new ConnectionLost();
    bench.reactor.iterate();
    bench.reactor.iterate();
    assertEquals([probe.reads, probe.writes], [1, 0]);
  },
);

testBackends(
  "doWrite is not called after doRead has removed the writer (contract 114)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    probe.handlers.onRead = () => bench.reactor.removeWriter(probe);
    bench.reactor.iterate();
    bench.reactor.iterate();
    assertEquals([probe.reads > 0, probe.writes], [true, 0]);
  },
);

testBackends(
  "one dispatch serves all that is ready (contract 115)",
  (bench) => {
    const probes = Array.from({ length: 20 }, () => readyReader(bench));
    bench.reactor.iterate();
    assertEquals(new Set(probes.map((probe) => probe.reads)), new Set([1]));
  },
  ONE_ROUND,
);

// 2D: fileno()

testBackends(
  "fileno() is not called when the object is not registered (contract 116)",
  (bench) => {
    const { reactor } = bench;
    const reader = readyReader(bench);
    reactor.removeReader(reader);
    const { looks } = reader;
    reactor.removeReader(reader);
    reactor.iterate();
    reactor.getReaders();
    reactor.inspect();
    assertEquals(reader.looks, looks);
  },
);

testBackends(
  "fileno() of -1 at an event means that its owner loses it (contract 117)",
  (bench) => {
    const reader = readyReader(bench);
    const other = readyReader(bench);
    reader.fd = -1;
    bench.reactor.iterate();
    assertEquals(reader.reads, 0);
    assertLost(reader.reason, "EBADF");
    assertEquals(bench.reactor.getReaders(), [other]);
    assertGreater(other.reads, 0);
  },
);

testBackends(
  "fileno() of -1 means that reader and writer are lost together (contract 117)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    probe.fd = -1;
    bench.reactor.iterate();
    assertEquals([probe.reads, probe.writes], [0, 0]);
    assertLost(probe.reason, "EBADF");
    assertEquals(bench.reactor.removeAll(), []);
  },
);

testBackends(
  "fileno() that throws at an event means that its owner loses it with that error (contract 118)",
  (bench) => {
    const { reactor } = bench;
    const works: (() => void)[] = [];
    const reader = readyReader(bench);
    const other = readyReader(bench);
    const failure = new Error("no number");
    reader.fileno = () => {
      throw failure;
    };
    reactor.interleave((work) => works.push(work));
    return until(() => works.length === 1).then(() => {
      works[0]!(); // Nothing escapes to the host.
      assertEquals(reader.reads, 0);
      assertStrictEquals(reader.reason, failure);
      assertEquals(bench.takeErrors(), [failure]);
      assertGreater(other.reads, 0);
      assertEquals(reactor.getReaders(), [other]);
    });
  },
);

for (const value of [1.5, NaN, -2, "1", null, undefined]) {
  testBackends(
    `fileno() that returns ${
      Deno.inspect(value)
    } at an event means that its owner loses it (contract 118)`,
    (bench) => {
      const reader = readyReader(bench);
      reader.fileno = () => value as number;
      bench.reactor.iterate();
      assertEquals(reader.reads, 0);
      assertInstanceOf(reader.reason, TypeError);
      assertMatch(reader.reason!.message, /fileno\(\)/);
      assertEquals(bench.takeErrors(), [reader.reason]);
    },
  );
}

testBackends(
  "fileno() that returns another number at an event means that its owner loses it (contract 118)",
  (bench) => {
    const reader = readyReader(bench);
    const { fd } = reader;
    const [output] = bench.pipe();
    reader.fd = output;
    bench.reactor.iterate();
    assertEquals(reader.reads, 0);
    assertLost(reader.reason, "EBADF");
    // The old number is free for another reader.
    const next = new Probe(fd);
    bench.reactor.addReader(next);
    bench.reactor.iterate();
    assertGreater(next.reads, 0);
  },
);

testBackends(
  "addReader() of a reader that has another number now moves it there",
  (bench) => {
    const { reactor } = bench;
    const reader = readyReader(bench, {
      onRead: (probe: Probe) => void receive(probe.fd),
    });
    const [output, input] = bench.pipe();
    reader.fd = output;
    reactor.addReader(reader);
    reactor.iterate();
    assertEquals(reader.reads, 0);
    send(input, "word");
    reactor.iterate();
    assertEquals(reader.reads, 1);
    assertEquals(reactor.getReaders(), [reader]);
    assertEquals(reactor.inspect().descriptors.map(({ fd }) => fd), [output]);
  },
);

testBackends(
  "addReader() and addWriter() pass on what fileno() throws at the call",
  (bench) => {
    const failure = new Error("no number");
    const probe = new Probe(0);
    probe.fileno = () => {
      throw failure;
    };
    assertStrictEquals(
      assertThrows(() => bench.reactor.addReader(probe)),
      failure,
    );
    assertStrictEquals(
      assertThrows(() => bench.reactor.addWriter(probe)),
      failure,
    );
    assertEquals(bench.reactor.removeAll(), []);
  },
);

// 2D: numbers

testBackends(
  "a descriptor closed behind the reactor's back is lost once, and others go on (contract 119)",
  (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const probe = new Probe(output);
    reactor.addReader(probe);
    const other = readyReader(bench);
    let called = false;
    bench.closeFd(output);
    reactor.callLater(0, () => called = true);
    // An epoll set learns it from the next change of interest.
    assertLost(
      assertThrows(() => reactor.addWriter(new Probe(output)), BadResource),
      "EBADF",
    );
    bench.pump(() => called && probe.reasons.length > 0);
    reactor.iterate();
    assertLost(probe.reason, "EBADF");
    assertEquals(probe.reads, 0);
    assertGreater(other.reads, 0);
    assertEquals(reactor.getReaders(), [other]);
  },
);

testBackends(
  "doRead is not called for a number that is another file's now (contract 120)",
  (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    const probe = new Probe(output);
    reactor.addReader(probe);
    const [another, input] = bench.pipe();
    bench.reuse(output, another);
    send(input, "word");
    probe.fd = -1; // As an owner does that has closed it.
    reactor.iterate();
    reactor.removeReader(probe);
    const heir = new Probe(output);
    reactor.addReader(heir);
    bench.pump(() => heir.reads > 0);
    assertEquals(probe.reads, 0);
  },
);

testBackends(
  "bad descriptors are dropped one by one, and good ones stay (contract 121)",
  (bench) => {
    const { reactor } = bench;
    const good = [readyReader(bench), readyReader(bench)];
    const bad = [bench.pipe()[0], bench.pipe()[0]].map((fd) => new Probe(fd));
    for (const probe of bad) reactor.addReader(probe);
    for (const { fd } of bad) bench.closeFd(fd);
    for (const { fd } of bad) {
      assertThrows(() => reactor.addWriter(new Probe(fd)), BadResource);
    }
    bench.pump(() => bad.every(({ reasons }) => reasons.length === 1));
    assertEquals(reactor.getReaders(), good);
    for (const probe of good) assertGreater(probe.reads, 0);
  },
);

testBackends("addReader() takes numbers above 1023 (contract 122)", (bench) => {
  const [output, input] = bench.pipe();
  const high = bench.dup(output, 1024 + 512);
  assertGreater(high, 1023);
  const reader = new Probe(high, { onRead: () => void receive(high) });
  bench.reactor.addReader(reader);
  send(input, "word");
  bench.pump(() => reader.reads === 1);
  assertEquals(reader.reasons, []);
});

testBackends(
  "a regular file is always ready, without an error (contract 123)",
  (bench) => {
    const { reactor } = bench;
    const path = new TextEncoder().encode(
      new URL(import.meta.url).pathname + "\0",
    );
    const file = bench.adopt(libc().open(path, 0, 0));
    const probe = new Probe(file);
    reactor.addReader(probe);
    reactor.iterate();
    assertGreater(probe.reads, 0);
    reactor.addWriter(probe); // poll() says that, too; a write would say EBADF.
    reactor.iterate();
    assertGreater(probe.writes, 0);
    reactor.removeReader(probe);
    reactor.removeWriter(probe);
    const { reads } = probe;
    reactor.iterate();
    assertEquals(probe.reads, reads);
    assertEquals(probe.reasons, []);
  },
);

testBackends(
  "a number that is removed, closed and used again in one go has events for the new object only (contract 124)",
  (bench) => {
    const { reactor } = bench;
    const before = readyReader(bench);
    const { fd } = before;
    let after: Probe | undefined;
    let input = -1;
    before.handlers.onRead = () => {
      reactor.removeReader(before);
      const [another, end] = bench.pipe();
      bench.reuse(fd, another);
      input = end;
      after = new Probe(fd, { onRead: () => void receive(fd) });
      reactor.addReader(after);
    };
    reactor.iterate();
    reactor.iterate();
    assertEquals([before.reads, after!.reads], [1, 0]);
    send(input, "word");
    bench.pump(() => after!.reads === 1);
    assertEquals([before.reads, before.reasons.length], [1, 0]);
  },
);

testBackends(
  "a number used again while the worker waits has events for the new object only (contract 124)",
  async (bench) => {
    const { reactor } = bench;
    const [fd] = bench.pipe();
    const before = new Probe(fd);
    reactor.addReader(before);
    reactor.interleave();
    let up = false;
    reactor.callFromThread(() => up = true);
    await until(() => up);
    reactor.removeReader(before);
    const [another, input] = bench.pipe();
    bench.reuse(fd, another);
    const after = new Probe(fd, { onRead: () => void receive(fd) });
    reactor.addReader(after);
    send(input, "word");
    await until(() => after.reads === 1);
    assertEquals([before.reads, before.reasons.length], [0, 0]);
  },
);

testBackends(
  "a descriptor that hung up does not spin while nobody reads or writes (contract 126)",
  async (bench) => {
    const { reactor } = bench;
    const [here, there] = bench.socketpair();
    const probe = new Probe(here);
    reactor.addReader(probe);
    reactor.addWriter(probe);
    reactor.removeReader(probe);
    reactor.removeWriter(probe);
    bench.closeFd(there);
    reactor.interleave();
    const { turns } = reactor.inspect().counters;
    let over = false;
    reactor.callLater(30, () => over = true);
    await until(() => over);
    assertLess(reactor.inspect().counters.turns - turns, 10);
    assertEquals([probe.reads, probe.writes, probe.reasons], [0, 0, []]);
  },
);

testBackends(
  "addReader() and addWriter() of a second object throw, and the first is served (contract 127)",
  (bench) => {
    const { reactor } = bench;
    const probe = busySocket(bench, Probe);
    const second = new Probe(probe.fd);
    const error = assertThrows(
      () => reactor.addReader(second),
      RangeError,
      `descriptor ${probe.fd} already has another reader`,
    );
    assert(!error.message.endsWith("."));
    assertThrows(() => reactor.addWriter(second), RangeError, "another writer");
    reactor.iterate();
    assertEquals([probe.reads, probe.writes], [1, 1]);
    assertEquals([second.reads, second.writes, second.reasons], [0, 0, []]);
    assertEquals(reactor.getReaders(), [probe]);
    reactor.removeReader(probe);
    reactor.addReader(second); // The place is free.
    reactor.iterate();
    assertEquals([second.reads, probe.writes], [1, 2]);
  },
  ONE_ROUND,
);

testBackends(
  "a reader object and a writer object share a descriptor (contract 127)",
  (bench) => {
    const { reactor } = bench;
    const [here, there] = bench.socketpair();
    send(there, "word");
    const log: string[] = [];
    const reader: ReadDescriptor = {
      fileno: () => here,
      doRead: () => void log.push("read"),
      connectionLost: () => void log.push("reader lost"),
    };
    const writer: WriteDescriptor = {
      fileno: () => here,
      doWrite: () => void log.push("write"),
      connectionLost: () => void log.push("writer lost"),
    };
    reactor.addReader(reader);
    reactor.addWriter(writer);
    reactor.iterate();
    assertEquals(log, ["read", "write"]);
    // One of them ends: the other one has a descriptor of its own, as it were.
    reader.doRead = () => new ConnectionLost();
    reactor.iterate();
    assertEquals(log.slice(2), ["reader lost", "write"]);
    assertEquals(reactor.getWriters(), [writer]);
  },
  ONE_ROUND,
);

// 2E: how descriptors end

for (const value of [undefined, null, 0, "text", {}, true]) {
  testBackends(
    `doRead and doWrite go on after returning ${
      Deno.inspect(value)
    } (contract 128)`,
    (bench) => {
      const probe = busySocket(bench, HalfCloseProbe);
      probe.handlers = { onRead: () => value, onWrite: () => value };
      bench.reactor.iterate();
      bench.reactor.iterate();
      assertEquals([probe.reads, probe.writes], [2, 2]);
      assertEquals([probe.reasons, probe.readReasons], [[], []]);
    },
    ONE_ROUND,
  );
}

testBackends(
  "doRead and doWrite go on after returning a promise",
  async (bench) => {
    const probe = busySocket(bench, Probe);
    probe.handlers.onRead = () => Promise.resolve(new ConnectionLost());
    bench.reactor.iterate();
    await Promise.resolve();
    bench.reactor.iterate();
    assertEquals([probe.reads, probe.writes], [2, 2]);
    assertEquals(probe.reasons, []);
  },
  ONE_ROUND,
);

testBackends(
  "doRead and doWrite have a promise that rejects reported, and go on",
  async (bench) => {
    const probe = busySocket(bench, Probe);
    const failures = [new Error("read"), new Error("write")];
    probe.handlers = {
      onRead: () => Promise.reject(failures[0]),
      onWrite: () => Promise.reject(failures[1]),
    };
    bench.reactor.iterate();
    await macrotask();
    assertEquals(bench.takeErrors(), failures);
    assertEquals(bench.reactor.getReaders(), [probe]);
    assertEquals(bench.reactor.removeAll(), [probe]);
    assertEquals(probe.reasons, []);
  },
  ONE_ROUND,
);

testBackends(
  "ConnectionDone from doRead ends only reading when half-close is understood (contract 129)",
  (bench) => {
    const { reactor } = bench;
    const probe = busySocket(bench, HalfCloseProbe);
    const done = new ConnectionDone();
    probe.handlers.onRead = () => done;
    reactor.iterate();
    assertStrictEquals(probe.readReasons[0], done);
    assertEquals(probe.readReasons.length, 1);
    assertEquals(probe.reasons, []);
    assertEquals(reactor.getReaders(), []);
    assertEquals(reactor.getWriters(), [probe]);
    reactor.iterate();
    assertEquals([probe.reads, probe.writes], [1, 2]);
  },
  ONE_ROUND,
);

testBackends(
  "ConnectionDone from doRead ends the descriptor when half-close is not understood (contract 130)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    const done = new ConnectionDone();
    probe.handlers.onRead = () => done;
    bench.reactor.iterate();
    assertStrictEquals(probe.reason, done);
    assertEquals(bench.reactor.removeAll(), []);
  },
);

testBackends(
  "ConnectionDone from doWrite ends the descriptor, half-close understood or not (contract 130)",
  (bench) => {
    for (const Class of [Probe, HalfCloseProbe]) {
      const probe = busySocket(bench, Class);
      const done = new ConnectionDone();
      probe.handlers.onWrite = () => done;
      bench.reactor.iterate();
      assertStrictEquals(probe.reason, done);
      assertEquals(bench.reactor.removeAll(), []);
      if (probe instanceof HalfCloseProbe) assertEquals(probe.readReasons, []);
    }
  },
);

testBackends(
  "ConnectionLost ends the descriptor, half-close understood or not (contract 131)",
  (bench) => {
    for (const Class of [Probe, HalfCloseProbe]) {
      for (const handler of ["onRead", "onWrite"] as const) {
        const probe = busySocket(bench, Class);
        const lost = new ConnectionLost();
        probe.handlers[handler] = () => lost;
        bench.reactor.iterate();
        assertStrictEquals(probe.reason, lost);
        assertEquals(bench.reactor.removeAll(), []);
        if (probe instanceof HalfCloseProbe) {
          assertEquals(probe.readReasons, []);
        }
      }
    }
  },
);

testBackends(
  "any other Error ends the descriptor with that error (contract 132)",
  (bench) => {
    for (const error of [new TypeError("mine"), new ConnectionAborted()]) {
      for (const handler of ["onRead", "onWrite"] as const) {
        const probe = busySocket(bench, HalfCloseProbe);
        probe.handlers[handler] = () => error;
        bench.reactor.iterate();
        assertStrictEquals(probe.reason, error);
        assertEquals(probe.readReasons, []);
        assertEquals(bench.reactor.removeAll(), []);
      }
    }
  },
);

testBackends(
  "an Error of another realm ends the descriptor as well (contract 132)",
  (bench) => {
    const error = runInNewContext("new RangeError('foreign')");
    assertFalse(error instanceof Error);
    for (const handler of ["onRead", "onWrite"] as const) {
      const probe = busySocket(bench, Probe);
      probe.handlers[handler] = () => error;
      bench.reactor.iterate();
      assertEquals(bench.reactor.removeAll(), []);
      assertStrictEquals(probe.reason, error);
    }
  },
);

testBackends(
  "a throw is reported and ends the descriptor with that error (contract 133)",
  (bench) => {
    for (const handler of ["onRead", "onWrite"] as const) {
      const probe = busySocket(bench, Probe);
      const error = new Error("thrown");
      probe.handlers[handler] = () => {
        throw error;
      };
      bench.reactor.iterate();
      assertStrictEquals(probe.reason, error);
      assertEquals(bench.takeErrors(), [error]);
      assertEquals(bench.reactor.removeAll(), []);
    }
  },
);

testBackends(
  "a throw of ConnectionDone from doRead ends reading only, as returning it does (contract 133)",
  (bench) => {
    const probe = busySocket(bench, HalfCloseProbe);
    const done = new ConnectionDone();
    probe.handlers.onRead = () => {
      throw done;
    };
    bench.reactor.iterate();
    assertEquals(probe.readReasons, [done]);
    assertEquals(probe.reasons, []);
    assertEquals(bench.takeErrors(), [done]);
  },
);

testBackends(
  "the object is removed before it is told (contract 134)",
  (bench) => {
    const { reactor } = bench;
    const seen: unknown[] = [];
    const probe = busySocket(bench, HalfCloseProbe);
    probe.onReadLost = () => seen.push([...reactor.getReaders()]);
    probe.handlers = {
      onRead: () => new ConnectionDone(),
      onLost: () => seen.push([reactor.getReaders(), reactor.getWriters()]),
    };
    reactor.iterate();
    assertEquals(seen, [[]]);
    probe.handlers.onWrite = () => new ConnectionLost();
    reactor.iterate();
    assertEquals(seen, [[], [[], []]]);
  },
  ONE_ROUND,
);

testBackends(
  "connectionLost may register the object again (contract 134)",
  (bench) => {
    const { reactor } = bench;
    const probe = readyReader(bench);
    let first = true;
    probe.handlers = {
      onRead: () => {
        if (!first) return void receive(probe.fd);
        first = false;
        return new ConnectionLost();
      },
      onLost: () => reactor.addReader(probe),
    };
    bench.pump(() => probe.reads === 2);
    assertEquals(probe.reasons.length, 1);
    assertEquals(reactor.removeAll(), [probe]);
  },
);

testBackends(
  "connectionLost that throws is reported, and others go on (contract 135)",
  (bench) => {
    const { reactor } = bench;
    const failure = new Error("in connectionLost");
    const others = [readyReader(bench)];
    const probe = readyReader(bench, {
      onRead: () => new ConnectionLost(),
      onLost: () => {
        throw failure;
      },
    });
    others.push(readyReader(bench));
    reactor.iterate();
    assertEquals(bench.takeErrors(), [failure]);
    assertEquals(probe.reasons.length, 1);
    for (const other of others) assertEquals(other.reads, 1);
    reactor.iterate();
    assertEquals(probe.reads, 1);
  },
  ONE_ROUND,
);

testBackends(
  "connectionLost that returns a promise that rejects is reported (contract 135)",
  async (bench) => {
    const failure = new Error("in connectionLost");
    readyReader(bench, {
      onRead: () => new ConnectionLost(),
      onLost: () => Promise.reject(failure),
    });
    bench.reactor.iterate();
    await macrotask();
    assertEquals(bench.takeErrors(), [failure]);
  },
);

testBackends(
  "readConnectionLost that throws is reported, and ends the descriptor with that error (contract 135)",
  (bench) => {
    const failure = new Error("in readConnectionLost");
    const probe = busySocket(bench, HalfCloseProbe);
    probe.onReadLost = () => {
      throw failure;
    };
    probe.handlers.onRead = () => new ConnectionDone();
    bench.reactor.iterate();
    assertStrictEquals(probe.reason, failure);
    assertEquals(probe.readReasons.length, 1);
    assertEquals(bench.takeErrors(), [failure]);
    assertEquals(bench.reactor.removeAll(), []);
  },
);

testBackends(
  "readConnectionLost that returns a promise that rejects is reported (contract 135)",
  async (bench) => {
    const failure = new Error("in readConnectionLost");
    const probe = busySocket(bench, HalfCloseProbe);
    probe.onReadLost = () => Promise.reject(failure);
    probe.handlers.onRead = () => new ConnectionDone();
    bench.reactor.iterate();
    await macrotask();
    assertEquals(bench.takeErrors(), [failure]);
  },
);

testBackends(
  "connectionLost is called once when doRead and doWrite both end the descriptor (contract 136)",
  (bench) => {
    const probe = busySocket(bench, Probe);
    probe.handlers = {
      onRead: () => new ConnectionDone(),
      onWrite: () => new ConnectionLost(),
    };
    bench.reactor.iterate();
    assertInstanceOf(probe.reason, ConnectionDone);
  },
);

testBackends(
  "connectionLost is called once when a stop comes with it (contract 136)",
  async (bench) => {
    const { reactor } = bench;
    const probe = busySocket(bench, Probe);
    probe.handlers.onRead = () => {
      reactor.stop();
      return new ConnectionDone();
    };
    await reactor.run({ signals: false });
    assertInstanceOf(probe.reason, ConnectionDone);
  },
);

testBackends(
  "connectionLost is called once when a crash comes with it (contract 136)",
  (bench) => {
    const { reactor } = bench;
    const probe = busySocket(bench, Probe);
    probe.handlers.onRead = () => {
      reactor.crash();
      throw new Error("after the crash");
    };
    reactor.iterate();
    assertEquals(bench.takeErrors().length, 1);
    assertEquals([probe.reads, probe.writes], [1, 0]);
    assertEquals(probe.reason?.message, "after the crash");
  },
);

testBackends(
  "stop() ends every descriptor with ConnectionLost, each object once (contract 137)",
  async (bench) => {
    const { reactor } = bench;
    const [output, input] = bench.pipe();
    const [here] = bench.socketpair();
    const reader = new Probe(output);
    const writer = new Probe(input);
    const both = new HalfCloseProbe(here);
    reactor.addReader(reader);
    reactor.addWriter(writer);
    reactor.addReader(both);
    reactor.addWriter(both);
    reactor.callLater(0, () => reactor.stop());
    await reactor.run({ signals: false });
    for (const probe of [reader, writer, both]) {
      assertInstanceOf(probe.reason, ConnectionLost);
    }
    assertEquals(both.readReasons, []);
  },
);

testBackends(
  "stop() tells all descriptors although one connectionLost throws (contract 138)",
  async (bench) => {
    const { reactor } = bench;
    const failure = new Error("in connectionLost");
    const probes = [bench.pipe()[0], bench.pipe()[0], bench.pipe()[0]].map((
      fd,
    ) =>
      new Probe(fd, {
        onLost: () => {
          throw failure;
        },
      })
    );
    for (const probe of probes) reactor.addReader(probe);
    reactor.callLater(0, () => reactor.stop());
    await reactor.run({ signals: false });
    for (const probe of probes) assertInstanceOf(probe.reason, ConnectionLost);
    assertEquals(bench.takeErrors(), [failure, failure, failure]);
  },
);

testBackends(
  "stop() and close() get to their end although connectionLost registers the object again (contract 138)",
  async (bench) => {
    const { reactor } = bench;
    const again: Probe = new Probe(bench.pipe()[0], {
      onLost: () => reactor.addReader(again),
    });
    const other = new Probe(bench.pipe()[0]);
    reactor.addReader(again);
    reactor.addReader(other);
    reactor.callLater(0, () => reactor.stop());
    await reactor.run({ signals: false });
    assertEquals(other.reasons.length, 1);
    assertEquals(reactor.getReaders(), []);
    await reactor.close();
    bench.takeErrors(); // What was refused may have been reported.
  },
);

testBackends(
  "crash() tells no descriptor, and keeps them for the next start (contract 139)",
  async (bench) => {
    const { reactor } = bench;
    const probe = readyReader(bench);
    probe.handlers.onRead = () => reactor.crash();
    await reactor.run({ signals: false });
    assertEquals([probe.reads, probe.reasons], [1, []]);
    assertEquals(reactor.getReaders(), [probe]);
    await reactor.run({ signals: false });
    assertEquals([probe.reads, probe.reasons], [2, []]);
  },
);

testBackends(
  "a hang-up is something to read: what was sent before is not lost (contract 140)",
  (bench) => {
    const [output, input] = bench.pipe();
    const words: (string | null)[] = [];
    const byte = new Uint8Array(1);
    const reader = new Probe(output, {
      onRead() {
        const count = libc().read(output, byte, 1);
        if (count === 0) return new ConnectionDone();
        return void words.push(String.fromCharCode(byte[0]!));
      },
    });
    bench.reactor.addReader(reader);
    send(input, "rest");
    bench.closeFd(input);
    bench.pump(() => reader.reasons.length === 1);
    assertEquals(words.join(""), "rest");
    assertInstanceOf(reader.reason, ConnectionDone);
  },
);

testBackends(
  "a hang-up without data has doRead called, which finds the end (contract 140)",
  async (bench) => {
    const [output, input] = bench.pipe();
    const reader = new Probe(output, {
      onRead: () => receive(output) === "" ? new ConnectionDone() : undefined,
    });
    bench.reactor.addReader(reader);
    bench.reactor.interleave();
    bench.closeFd(input);
    await until(() => reader.reasons.length === 1);
    assertInstanceOf(reader.reason, ConnectionDone);
    assertEquals(reader.reads, 1);
  },
);

testBackends(
  "a hang-up while only writing has doWrite called, which gets EPIPE (contract 141)",
  (bench) => {
    for (const make of [() => bench.pipe(), () => bench.socketpair()]) {
      const [far, near] = make();
      fill(near);
      const writer = new Probe(near, {
        onWrite: () =>
          libc().write(near, new Uint8Array(1), 1) < 0
            ? new ConnectionLost("EPIPE")
            : undefined,
      });
      bench.reactor.addWriter(writer);
      bench.reactor.iterate();
      assertEquals(writer.writes, 0);
      bench.closeFd(far);
      bench.pump(() => writer.reasons.length === 1);
      assertEquals(writer.reason!.message, "EPIPE");
    }
  },
);

testBackends(
  "a number that is not open any more ends with an error, never with ConnectionDone (contract 142)",
  (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    const probe = new HalfCloseProbe(here);
    reactor.addReader(probe);
    reactor.addWriter(probe);
    bench.closeFd(here);
    // A change of interest tells an epoll set; poll() tells by itself.
    if (bench.backend === "epoll") reactor.removeWriter(probe);
    bench.pump(() => probe.reasons.length > 0);
    assertLost(probe.reason, "EBADF");
    assertInstanceOf(probe.reason, BadResource);
    assertEquals(probe.readReasons, []);
    assertEquals(reactor.removeAll(), []);
  },
);

// Bad arguments

testBackends(
  "addReader() and addWriter() refuse a number that is not open, and change nothing",
  (bench) => {
    const { reactor } = bench;
    const probe = new Probe(CLOSED_FD);
    for (
      const add of [
        () => reactor.addReader(probe),
        () => reactor.addWriter(probe),
      ]
    ) {
      const error = assertThrows(add, BadResource, `${CLOSED_FD}`);
      assertLost(error, "EBADF");
    }
    probe.fd = -1;
    assertThrows(() => reactor.addReader(probe), BadResource, "-1");
    for (const fd of [NaN, 1.5, 2 ** 31, -2]) {
      probe.fd = fd;
      assertThrows(() => reactor.addReader(probe), RangeError, `${fd}`);
    }
    assertEquals(reactor.removeAll(), []);
    assertEquals(probe.reasons, []);
  },
);

testBackends(
  "addReader() and addWriter() refuse an object that lacks a function",
  (bench) => {
    const { reactor } = bench;
    const [output] = bench.pipe();
    // deno-lint-ignore no-explicit-any
    const whole: any = {
      fileno: () => output,
      doRead() {},
      doWrite() {},
      connectionLost() {},
    };
    for (const key of ["fileno", "doRead", "connectionLost"]) {
      assertThrows(
        () => reactor.addReader({ ...whole, [key]: undefined }),
        TypeError,
        key,
      );
    }
    for (const key of ["fileno", "doWrite", "connectionLost"]) {
      assertThrows(
        () => reactor.addWriter({ ...whole, [key]: 1 }),
        TypeError,
        key,
      );
    }
    // deno-lint-ignore no-explicit-any
    for (const value of [undefined, null, 3, "reader"] as any[]) {
      assertThrows(() => reactor.addReader(value), TypeError, '"reader"');
      assertThrows(() => reactor.addWriter(value), TypeError, '"writer"');
    }
    assertEquals(reactor.removeAll(), []);
  },
);

testBackends(
  "addReader() of a number that its owner has lost takes it over, and tells the owner",
  (bench) => {
    const { reactor } = bench;
    const [here] = bench.socketpair();
    const owner = Object.assign(new Probe(here), { owned: true });
    reactor.addReader(owner);
    reactor.iterate();
    const [another, there] = bench.socketpair();
    libc().dup2(another, here); // Behind its back.
    const next = new Probe(here);
    reactor.addReader(next);
    libc().write(there, new Uint8Array(4), 4);
    reactor.iterate();
    assertEquals([owner.reads, owner.reasons.length], [0, 1]);
    assertEquals(next.reads, 1);
  },
  ONE_ROUND,
);
