/**
 * `inspect()` as a table, and what it has to say for that.
 */

import {
  assert,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { POLL } from "../../ffi/constants.ts";
import { Reactor, type ReactorReport } from "../../mod.ts";
import { formatReport } from "../../src/trace/mod.ts";
import { widthOf } from "../../src/trace/table.ts";
import { Probe, testBackends, until } from "../descriptors.ts";
import { Pipe } from "../pipe.ts";

const NO_COUNTERS = new Reactor().inspect().counters;

/** A report with everything in it. */
const REPORT: ReactorReport = {
  label: "mine",
  backend: "epoll",
  running: true,
  host: "deno",
  keepsAlive: {
    run: true,
    descriptors: 3,
    delayedCalls: 1,
    attachments: 1,
    threads: 0,
  },
  descriptors: [
    {
      fd: 12,
      interest: ["readable"],
      watchers: [
        watcher("reader", "a reader with a label that is rather long"),
      ],
      resting: true,
    },
    {
      fd: 7,
      interest: ["readable", "writable"],
      watchers: [
        watcher("writer", undefined),
        watcher("wait", "日本語"),
        { ...watcher("watch", "\x1b[31mred\n"), persistent: false },
      ],
      resting: false,
    },
  ],
  attachments: [
    { descriptors: [{ fd: 3, events: POLL.IN | POLL.OUT }], timeout: -1 },
    { descriptors: [], timeout: 5 },
  ],
  delayedCalls: [
    call(3_600_000, "hourly"),
    call(-2.5, undefined),
    { ...call(61_000, "tick"), persistent: false },
    { ...call(62_000, "stopped"), left: undefined },
  ],
  threads: { size: 4, busy: 2, queued: 0, handles: 1 },
  signal: undefined,
  counters: { ...NO_COUNTERS, turns: 1234, rounds: 56789, events: 7 },
};

function watcher(
  kind: "reader" | "writer" | "wait" | "watch",
  label: string | undefined,
) {
  return { kind, label, stack: undefined, persistent: true };
}

function call(left: number, name: string | undefined) {
  return { time: 1000 + left, text: "", name, left, persistent: true };
}

Deno.test("formatReport() aligns everything that inspect() tells", () => {
  assertEquals(
    formatReport(REPORT),
    `\
Reactor "mine": on Deno's own loop, epoll
Keeps the process alive: run(), 3 watchers, 1 delayed call, 1 attached loop

Descriptors
  fd  waits for           watched by  label                          keeps alive
   7  readable, writable  writer                                     yes
                          wait        "日本語"                       yes
                          watch       "\\u{1b}[31mred\\u{a}"           no
  12  nothing: resting    reader      "a reader with a label that …  yes

Delayed calls
   due in  function          keeps alive
  -2.5 ms  (without a name)  yes
  1.0 min  tick              no
        ?  stopped           yes
    1.0 h  hourly            yes

Attached loops
  stepped in  waits for
              3 readable writable
      5.0 ms

Threads
  in the pool  busy  queued calls  handles
            4     2             0        1

Counters
  1234  turns                 56789  rounds
     7  callbacks                 0  rounds by looking again
     0  waits                     0  waits cut short
     0  spinning descriptors      0  slow rounds
     0  work items overdue`,
  );
});

Deno.test("formatReport() says in words where a reactor runs, and that nothing keeps the process alive", () => {
  const none = {
    run: false,
    descriptors: 0,
    delayedCalls: 0,
    attachments: 0,
    threads: 0,
  };
  const idle = { ...REPORT, keepsAlive: none };
  assertStringIncludes(
    formatReport(idle),
    "Keeps the process alive: nothing of this reactor\n",
  );
  assertStringIncludes(
    formatReport({ ...REPORT, keepsAlive: { ...none, threads: 2 } }),
    "Keeps the process alive: 2 threaded calls\n",
  );
  // unref() of the reactor counts for everybody.
  assert(!formatReport(idle).includes(" yes"));
  for (
    const [part, head] of [
      [{ label: undefined }, "Reactor: on Deno's own loop, epoll"],
      [{ host: "none", running: false }, 'Reactor "mine": not started, epoll'],
      [{ host: "native" }, "in a toolkit that blocks the main thread, epoll"],
      [{ running: false }, "on Deno's own loop, starting or stopping, epoll"],
      [{ signal: "SIGINT" }, "epoll, stopped by SIGINT"],
    ] as const
  ) assertStringIncludes(formatReport({ ...REPORT, ...part }), `${head}\n`);
});

Deno.test("formatReport() leaves out what there is none of", () => {
  const table = formatReport(new Reactor().inspect());
  assertEquals(table.match(/^\w.*$/gm)?.map((line) => line.split(":")[0]), [
    "Reactor",
    "Keeps the process alive",
    "Counters",
  ]);
});

for (const columns of [50, 60, 80, 200]) {
  Deno.test(`formatReport() is no wider than ${columns} columns, whatever the labels are`, () => {
    const labels = [
      ...["x".repeat(1_000_000), "日".repeat(100), "👩‍👩‍👧".repeat(50)],
      ...[
        "e\u0301".repeat(100),
        "\ud800".repeat(99),
        "\u202e\x1b[2J".repeat(9),
      ],
    ];
    const report: ReactorReport = {
      ...REPORT,
      label: labels[0],
      descriptors: labels.map((label, i) => ({
        fd: 10 ** i,
        interest: ["readable", "writable", "priority"],
        watchers: [watcher("reader", label), watcher("wait", label)],
        resting: false,
      })),
      delayedCalls: labels.map((label) => call(1, label)),
      attachments: [{
        descriptors: labels.map((_, fd) => ({ fd, events: POLL.IN })),
        timeout: 1e6,
      }],
      counters: { ...NO_COUNTERS, turns: 1e9, rounds: 1e9 },
    };
    const lines = formatReport(report, { columns }).split("\n");
    for (const line of lines) {
      assertLessOrEqual(widthOf(line), columns, line);
      assert(!/[\p{Cc}\p{Cs}\u202e]/u.test(line), line);
      assertEquals(line, line.trimEnd());
    }
  });
}

Deno.test("formatReport() refuses what is no report or no width", () => {
  for (
    const [report, options, Class, message] of [
      [undefined, {}, TypeError, '"report" must be a report'],
      [REPORT, null, TypeError, '"options" must be an object'],
      [REPORT, { columns: "80" }, TypeError, '"options.columns" must be an'],
      [REPORT, { columns: 49 }, RangeError, '"options.columns" must be an'],
    ] as const
  ) {
    assertThrows(
      () => formatReport(report!, options as { columns: number }),
      Class,
      `Cannot format a report: ${message}`,
    );
  }
});

// What inspect() has for it

testBackends(
  "inspect() tells which watchers and calls keep the process alive, and the time left",
  (bench) => {
    const { reactor } = bench;
    const [fd] = bench.pipe();
    reactor.addReader(new Probe(fd));
    const end = new AbortController();
    const options = { signal: end.signal };
    const waits = [
      reactor.readable(fd, options),
      reactor.readable(fd, { ...options, persistent: false }),
    ];
    for (const wait of waits) wait.catch(() => {});
    reactor.callLater(60_000, function first() {});
    reactor.callLater(-0, function second() {}).unref();
    const { descriptors, delayedCalls } = reactor.inspect();
    assertEquals(
      descriptors[0]!.watchers.map(({ kind, persistent }) => [
        kind,
        persistent,
      ]),
      [["reader", true], ["wait", true], ["wait", false]],
    );
    assertEquals(descriptors[0]!.resting, false);
    const [first, second] = delayedCalls.toSorted((a, b) => b.time - a.time);
    assertEquals([first!.name, first!.persistent], ["first", true]);
    assertEquals([second!.name, second!.persistent], ["second", false]);
    assertLessOrEqual(first!.left!, 60_000);
    assertLess(30_000, first!.left!);
    assertLessOrEqual(second!.left!, 0);
    end.abort();
    reactor.removeAll();
  },
);

Deno.test("inspect() tells no time left by a clock that fails", () => {
  let isBroken = false;
  const clock = () => isBroken ? NaN : 5;
  const reactor = new Reactor({ clock });
  reactor.callLater(3, () => {});
  isBroken = true;
  const { delayedCalls } = reactor.inspect();
  assertEquals([delayedCalls[0]!.time, delayedCalls[0]!.left], [8, undefined]);
  assertStringIncludes(formatReport(reactor.inspect()), "  ?  ");
});

testBackends(
  "inspect() tells which descriptors rest",
  async (bench) => {
    const { reactor } = bench;
    using pipe = new Pipe();
    pipe.input.close(); // It is at its end, and its reader stays.
    reactor.addReader(new Probe(pipe.output.fileno()));
    reactor.interleave();
    await until(() => reactor.inspect().descriptors[0]!.resting);
    assertStringIncludes(formatReport(reactor.inspect()), "nothing: resting");
    assertEquals(bench.takeErrors().length, 1);
    reactor.removeAll();
  },
);
