/**
 * PostgreSQL through libpq, against a server of the tests' own.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  type Diagnostic,
  libpqVersion,
  type Notification,
  Postgres,
  PostgresError,
  type PostgresOptions,
} from "../../examples/clients/postgres.ts";
import { libc } from "../../ffi/libc.ts";
import { ConnectionLost, Reactor } from "../../mod.ts";
import { macrotask, until, unusedPort } from "../descriptors.ts";
import {
  CTRL_C,
  CTRL_D,
  run,
  SIGINT,
  startOnTerminal,
  startPiped,
} from "../example_program.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { missingPackages, testToolkit } from "../loops/toolkit.ts";
import { pattern } from "../net/protocols.ts";
import { missingPostgres, PostgresServer } from "./postgres_server.ts";
import { testWithReactor } from "./with_reactor.ts";

const missing = [
  ...await missingPostgres(),
  ...await missingPackages({
    libraries: { "libpq.so.5": "libpq5" },
    windows: false,
  }),
];

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) libpqVersion();

/** One for all tests: to make it takes longer than they do. */
let server: PostgresServer;

Deno.test.beforeAll(async () => {
  if (missing.length === 0) server = await PostgresServer.start();
});

Deno.test.afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

function connect(
  reactor: Reactor,
  options: PostgresOptions = {},
): Promise<Postgres> {
  return Postgres.connect(server.conninfo, { reactor, ...options });
}

/** The first so many. */
async function take(
  stream: ReadableStream<Notification>,
  count: number,
): Promise<Notification[]> {
  const taken: Notification[] = [];
  for await (const notification of stream) {
    if (taken.push(notification) === count) break;
  }
  return taken;
}

/** The SQLSTATE of a failure. */
async function stateOf(query: Promise<unknown>): Promise<string | undefined> {
  return (await assertRejects(() => query, PostgresError)).sqlstate;
}

testWithReactor(
  "query() gives parameters and results as they are, whatever their type",
  missing,
  async ({ reactor }) => {
    using db = await connect(reactor);
    assertGreater(db.serverVersion, 90_000);
    const bytes = pattern(256);
    const { rows, count, command } = await db.query(
      `SELECT $1::text AS text, $2::int AS int, $3::int8 AS int8,
        $4::bool AS yes, NOT $4 AS no, $5::bytea AS bytes,
        $6::bytea AS "no bytes", $7::text AS nothing, $8::jsonb AS json,
        $9::float8 AS float, 'NaN'::float4 AS nan, $10::numeric AS numeric,
        '' AS empty, null::json AS "no json", 'null'::json AS "json null",
        1 AS __proto__`,
      [
        ...["grüß ☃ 'quoted' \\", -7, 2n ** 62n, true, bytes],
        ...[new Uint8Array(), null, '{"a": [1, null]}', 0.1, "1.10"],
      ],
    );
    assertEquals(rows, [Object.fromEntries(Object.entries({
      text: "grüß ☃ 'quoted' \\",
      int: -7,
      int8: 2n ** 62n,
      yes: true,
      no: false,
      bytes,
      "no bytes": new Uint8Array(),
      nothing: null,
      json: { a: [1, null] },
      float: 0.1,
      nan: NaN,
      numeric: "1.10",
      empty: "",
      "no json": null,
      "json null": null,
      ["__proto__"]: 1,
    }))]);
    assertEquals({ count, command }, { count: 1, command: "SELECT 1" });
    assertEquals(await db.query(""), { rows: [], count: 0, command: "" });
  },
);

testWithReactor(
  "queries that are sent at once are answered in order, and fail each for itself",
  missing,
  async ({ reactor }) => {
    using db = await connect(reactor);
    const queries = Array.from({ length: 1000 }, (_, i) => {
      return db.query("SELECT 1000 / $1::int AS n", [i % 10]);
    });
    const outcomes = await Promise.allSettled(queries);
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === "fulfilled") {
        assertEquals(outcome.value.rows, [{ n: Math.floor(1000 / (i % 10)) }]);
      } else {
        assertEquals(i % 10, 0);
        assertInstanceOf(outcome.reason, PostgresError);
        assertEquals(outcome.reason.sqlstate, "22012");
        assertEquals(outcome.reason.severity, "ERROR");
        assertEquals(outcome.reason.message, "division by zero");
      }
    }
    const failed = outcomes.filter(({ status }) => status === "rejected");
    assertEquals(failed.length, 100);
  },
);

testWithReactor(
  "pipeline() does all of it or nothing, and says which rule was broken",
  missing,
  async ({ reactor }) => {
    using db = await connect(reactor);
    const insert = (n: number) => ({
      sql: "INSERT INTO things VALUES ($1)",
      parameters: [n],
    });
    const [, first] = await db.pipeline([
      { sql: "CREATE TEMP TABLE things (n int CONSTRAINT one PRIMARY KEY)" },
      insert(1),
    ]);
    assertEquals(first!.command, "INSERT 0 1");
    const error = await assertRejects(
      () => db.pipeline([insert(2), insert(1), insert(3)]),
      PostgresError,
    );
    assertEquals(error.sqlstate, "23505");
    assertEquals(error.constraint, "one");
    assertEquals(error.table, "things");
    assertEquals(error.detail, "Key (n)=(1) already exists.");
    assertEquals((await db.query("SELECT n FROM things")).rows, [{ n: 1 }]);
    const results = await db.pipeline([insert(2), insert(3)]);
    assertEquals(results.map(({ count }) => count), [1, 1]);
    assertEquals((await db.query("DELETE FROM things")).count, 3);
    assertEquals(await db.pipeline([]), []);
  },
);

testWithReactor(
  "a parameter and a result of 8 MB go through while others wait their turn",
  missing,
  async ({ reactor }) => {
    using db = await connect(reactor);
    const bytes = pattern(8_000_000);
    const queries = Promise.all([
      db.query("SELECT $1::bytea AS bytes", [bytes]),
      db.query("SELECT 1 AS one"),
    ]);
    const writers = reactor.getWriters().map(({ label }) => label);
    const [{ rows: [row] }, next] = await queries;
    assertEquals(writers, ["postgres"]); // More than a socket takes at once.
    const back = row!.bytes as Uint8Array;
    assertEquals(back.length, bytes.length);
    assert(back.every((byte, i) => byte === bytes[i]));
    assertEquals(next.rows, [{ one: 1 }]);
    assertEquals(reactor.getWriters(), []);
  },
);

testWithReactor(
  "Deno's loop goes on while the server takes its time",
  missing,
  async ({ reactor }) => {
    using db = await connect(reactor);
    let turns = 0;
    let slept = false;
    const sleep = db.query("SELECT pg_sleep(0.2)").then(() => slept = true);
    while (!slept) {
      await macrotask();
      turns++;
    }
    await sleep;
    assertGreater(turns, 3);
  },
);

testWithReactor(
  "listen() hears what its channel is told, in order, until it is left",
  missing,
  async ({ reactor }) => {
    using teller = await connect(reactor);
    using db = await connect(reactor);
    const channel = 'Odd "name" ☃';
    const [stream, second, other] = await Promise.all([
      db.listen(channel),
      db.listen(channel),
      db.listen("other"),
    ]);
    const expected = Array.from({ length: 1000 }, (_, i) => `payload ${i} ☃`);
    await Promise.all(expected.map((text) => teller.notify(channel, text)));
    await teller.notify("other");
    const heard = await take(stream, 1000);
    assertEquals(heard.map(({ payload }) => payload), expected);
    const [{ pid } = { pid: 0 }] = (await teller.query<{ pid: number }>(
      "SELECT pg_backend_pid() AS pid",
    )).rows;
    assert(heard.every((one) => one.pid === pid && one.channel === channel));
    // The second one still listens.
    assertEquals((await take(second, 1000)).length, 1000);
    assertEquals(await take(other, 1), [{
      channel: "other",
      payload: "",
      pid,
    }]);
    const left = await db.query("SELECT * FROM pg_listening_channels()");
    assertEquals(left.rows, []);
  },
);

testWithReactor(
  "listen() rejects where the name is too long, or the server has been left",
  missing,
  async ({ reactor }) => {
    const db = await connect(reactor);
    await assertRejects(
      () => db.listen("é".repeat(32)),
      RangeError,
      "63 bytes",
    );
    await db.query("BEGIN");
    await assertRejects(() => db.query("SELECT nonsense"), PostgresError);
    assertEquals(await stateOf(db.listen("news")), "25P02");
    await db.query("ROLLBACK");
    const stream = await db.listen("news");
    db.close();
    assertEquals(await take(stream, 1), []);
    await assertRejects(() => db.listen("news"), PostgresError, "closed");
  },
);

testWithReactor(
  "a connection that the server ends fails everything with the server's words",
  missing,
  async ({ reactor }) => {
    using killer = await connect(reactor);
    using db = await connect(reactor);
    const [{ pid }] = (await db.query("SELECT pg_backend_pid() AS pid"))
      .rows as [{ pid: number }];
    const heard = take(await db.listen("news"), 1);
    const queries = [db.query("SELECT pg_sleep(1000)"), db.query("SELECT 1")];
    const reasons = Promise.allSettled([heard, ...queries]);
    await killer.query("SELECT pg_terminate_backend($1)", [pid]);
    for (const outcome of await reasons) {
      assertEquals(outcome.status, "rejected");
      const { reason } = outcome as PromiseRejectedResult;
      assertInstanceOf(reason, PostgresError);
    }
    assertEquals(await stateOf(queries[0]!), "57P01");
    const error = await assertRejects(
      () => db.query("SELECT 1"),
      PostgresError,
    );
    assertEquals(error.message, "The connection is closed");
    assertInstanceOf(error.cause, PostgresError);
    assertEquals(reactor.getReaders().length, 1);
  },
);

testWithReactor(
  "an idle connection that the server ends tells those who listen",
  missing,
  async ({ reactor }) => {
    using killer = await connect(reactor);
    using db = await connect(reactor);
    const [{ pid }] = (await db.query("SELECT pg_backend_pid() AS pid"))
      .rows as [{ pid: number }];
    const heard = take(await db.listen("news"), 1);
    const state = stateOf(heard);
    await killer.query("SELECT pg_terminate_backend($1)", [pid]);
    assertEquals(await state, "57P01");
  },
);

testWithReactor(
  "connect() tries the next address, and tells why there is none",
  missing,
  async ({ reactor }) => {
    // A folder without a socket, a port where nobody listens, the server.
    const hosts = `host=${server.path}/nowhere,127.0.0.1,${server.path}`;
    const ports = `port=5432,${unusedPort()},5432`;
    using db = await Postgres.connect(
      `${hosts} ${ports} user=tester dbname=postgres`,
      { reactor },
    );
    assertEquals((await db.query("SELECT 1 AS n")).rows, [{ n: 1 }]);

    const failure = async (conninfo: string) =>
      (await assertRejects(
        () => Postgres.connect(conninfo, { reactor }),
        PostgresError,
      )).message;
    assertStringIncludes(
      await failure(`${server.conninfo}/nowhere`),
      'database "postgres/nowhere" does not exist',
    );
    assertStringIncludes(
      await failure(`host=${server.path}/nowhere`),
      "No such file or directory",
    );
    assertStringIncludes(await failure("nonsense=1"), '"nonsense"');
    await assertRejects(() => Postgres.connect("a\0b", { reactor }), TypeError);
    assertEquals(reactor.getReaders().length, 1);
  },
);

testWithReactor(
  "connect() is given up when its signal aborts",
  missing,
  async ({ reactor }) => {
    // It takes the connection, and says nothing.
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const abort = new AbortController();
    const { port } = listener.addr;
    const rejected = assertRejects(() =>
      Postgres.connect(`hostaddr=127.0.0.1 port=${port} sslmode=disable`, {
        reactor,
        signal: abort.signal,
      })
    );
    using _silent = await listener.accept();
    const reason = new Error("enough");
    abort.abort(reason);
    assertStrictEquals(await rejected, reason);
    await assertRejects(
      () => connect(reactor, { signal: abort.signal }),
      Error,
      "enough",
    );
    listener.close();
  },
);

testWithReactor(
  "cancel() ends the query that runs, and no other",
  missing,
  async ({ reactor }) => {
    using db = await connect(reactor);
    using watcher = await connect(reactor);
    const outcomes = Promise.allSettled([
      stateOf(db.query("SELECT pg_sleep(1000)")),
      db.query("SELECT 1 AS n").then(({ rows }) => rows),
    ]);
    // To cancel what has not begun is in vain.
    let running = 0;
    while (running === 0) {
      running = (await watcher.query(
        "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000)' AND state = 'active'",
      )).rows.length;
    }
    await db.cancel();
    assertEquals(await outcomes, [
      { status: "fulfilled", value: "57014" },
      { status: "fulfilled", value: [{ n: 1 }] },
    ]);
  },
);

testWithReactor(
  "notices come to onNotice, and what that throws to the reactor",
  missing,
  async ({ reactor, errors }) => {
    const notices: Diagnostic[] = [];
    using db = await connect(reactor, {
      onNotice(notice) {
        notices.push(notice);
        throw new Error("not now");
      },
    });
    await db.query(
      "DO $$ BEGIN RAISE WARNING 'mind' USING hint = 'out'; END $$",
    );
    await until(() => notices.length > 0);
    assertEquals(notices, [{
      message: "mind",
      severity: "WARNING",
      sqlstate: "01000",
      hint: "out",
    }]);
    assertEquals(errors.splice(0).map(({ message }) => message), ["not now"]);
  },
);

testWithReactor(
  "COPY is refused, and costs the connection",
  missing,
  async ({ reactor }) => {
    for (const sql of ["COPY (SELECT 1) TO STDOUT", "COPY pg_am FROM STDIN"]) {
      using db = await connect(reactor);
      await assertRejects(() => db.query(sql), PostgresError, "COPY");
      await assertRejects(() => db.query("SELECT 1"), PostgresError, "closed");
    }
  },
);

testWithReactor(
  "query() refuses what it cannot send, and goes on",
  missing,
  async ({ reactor }) => {
    using db = await connect(reactor);
    await assertRejects(() => db.query("SELECT 1\0"), TypeError, "sql");
    await assertRejects(
      () => db.query("SELECT $1", [undefined as never]),
      TypeError,
      "parameters[0]",
    );
    await assertRejects(
      () => db.query("SELECT $1", Array(65_536).fill(1)),
      RangeError,
      "65535",
    );
    assertEquals(await stateOf(db.query("SELECT $1", [])), "08P01");
    assertEquals((await db.query("SELECT 1 AS n")).rows, [{ n: 1 }]);
  },
);

testToolkit(
  "a query rejects when the reactor ends, and so does the next",
  missing,
  async () => {
    const reactor = new Reactor();
    reactor.interleave();
    using db = await connect(reactor);
    const query = db.query("SELECT pg_sleep(1000)");
    const rejected = assertRejects(() => query, ConnectionLost);
    await reactor.close();
    await rejected;
    await assertRejects(() => db.query("SELECT 1"), PostgresError, "closed");
  },
);

testToolkit(
  "twenty connections leave no descriptor and no thread, however they end",
  missing,
  async () => {
    const before = await countAtRest();
    {
      await using reactor = new Reactor();
      reactor.interleave();
      for (let round = 0; round < 10; round++) {
        using db = await connect(reactor);
        using lost = await connect(reactor);
        const stream = await lost.listen("news");
        await db.query("SELECT pg_terminate_backend($1)", [
          (await lost.query("SELECT pg_backend_pid() AS pid")).rows[0]!
            .pid as number,
        ]);
        await assertRejects(() => take(stream, 1), PostgresError);
        await assertRejects(() => connectNowhere(reactor), PostgresError);
      }
      assertEquals(reactor.inspect().descriptors, []);
    }
    await assertNothingLeft(before);
  },
);

function connectNowhere(reactor: Reactor): Promise<Postgres> {
  return Postgres.connect(`${server.conninfo}/nowhere`, { reactor });
}

testToolkit(
  "postgres_listen.ts prints what its channel is told, on a terminal and in a pipe",
  missing,
  async () => {
    const env = server.environment;
    await run(startOnTerminal, "clients/postgres_listen.ts", {
      env,
      async talk({ output, type }) {
        await output.until("1000 queries, whose sum is 499500: ");
        await output.until('Listening to "news".');
        type("first\n");
        await output.find(/(\d+): first\r\n/);
        const other = await run(startPiped, "clients/postgres_listen.ts", {
          env,
          async talk({ output, type, endInput }) {
            await output.until('Listening to "news".\n');
            type("second\n");
            await output.find(/(\d+): second\n/);
            endInput();
          },
        });
        assertMatch(other, /^1000 queries.+\nListening.+\n\d+: second\n$/);
        await output.find(/(\d+): second\r\n/);
        type(CTRL_D);
      },
    });
  },
);

testToolkit(
  "postgres_listen.ts ends at Ctrl-C, and says so when a line is too long",
  missing,
  async () => {
    const env = server.environment;
    await run(startOnTerminal, "clients/postgres_listen.ts", {
      env,
      async talk({ output, type }) {
        await output.until('Listening to "news".');
        type(CTRL_C);
      },
    });
    await run(startPiped, "clients/postgres_listen.ts", {
      args: [server.conninfo, "other"],
      complaints: "22023: payload string too long\n",
      async talk({ output, type, pid }) {
        await output.until('Listening to "other".\n');
        type(`${"long".repeat(3000)}\nshort\n`);
        await output.find(/(\d+): short\n/);
        libc().kill(pid, SIGINT);
      },
    });
  },
);

testToolkit(
  "postgres_listen.ts says so when there is no server",
  missing,
  async () => {
    const env = { ...server.environment, PGHOST: `${server.path}/nowhere` };
    await run(startPiped, "clients/postgres_listen.ts", {
      env,
      status: 1,
      complaints:
        `connection to server on socket "${env.PGHOST}/.s.PGSQL.5432" failed: No such file or directory\n` +
        "\tIs the server running locally and accepting connections on that socket?\n",
    });
  },
);
