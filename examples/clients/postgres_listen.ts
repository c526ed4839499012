/**
 * Talks through a channel of a PostgreSQL database: prints what anybody tells
 * the channel, and tells it what is typed.
 *
 *     deno run --allow-ffi examples/clients/postgres_listen.ts
 *
 * Which database, libpq finds out as `psql` does, from PGHOST, PGDATABASE and so
 * on, or from a connection string behind the command; the channel, which is
 * "news", can follow that. Start it in two windows, or tell the channel
 * something with `psql`:
 *
 *     psql -c "NOTIFY news, 'hello'"
 *
 * You will see what a thousand queries at once cost, and then a line for each
 * notification. Ctrl-D and Ctrl-C end it. It needs Debian's package libpq5.
 *
 * @module
 */

import { FileDescriptor } from "../../mod.ts";
import { duplicate } from "../../ffi/mod.ts";
import { lines } from "../stdin_lines.ts";
import { Postgres, PostgresError } from "./postgres.ts";

/** So long may connecting take, in milliseconds. */
const LIMIT = 10_000;

/** Sends a thousand queries before the first is answered. */
async function pipeline(db: Postgres): Promise<void> {
  const began = performance.now();
  const numbers = Array.from({ length: 1000 }, (_, i) => i);
  const results = await db.pipeline(
    numbers.map((n) => ({ sql: "SELECT $1::int8 AS n", parameters: [n] })),
  );
  const sum = results.reduce((sum, { rows }) => sum + Number(rows[0]!.n), 0);
  const took = (performance.now() - began).toFixed(1);
  console.log(`${results.length} queries, whose sum is ${sum}: ${took} ms`);
}

/** Sends what is typed. */
async function send(
  db: Postgres,
  channel: string,
  input: FileDescriptor,
): Promise<void> {
  for await (const line of lines(input.readable())) {
    try {
      await db.notify(channel, line);
    } catch (error) {
      // Too long a line, for one. What ends the connection ends the listening.
      if (!(error instanceof PostgresError) || !error.sqlstate) return;
      console.error(`${error.sqlstate}: ${error.message}`);
    }
  }
  db.close();
}

async function main([conninfo = "", channel = "news"]: string[]) {
  using db = await Postgres.connect(conninfo, {
    signal: AbortSignal.timeout(LIMIT),
  });
  Deno.addSignalListener("SIGINT", () => db.close());
  await pipeline(db);

  const notifications = await db.listen(channel);
  console.log(`Listening to "${channel}".`);
  // A duplicate: who adopts a descriptor closes it, and this one is Deno's.
  using input = FileDescriptor.adopt(duplicate(0), { blocking: true });
  // Closing the input, at the end, ends this as well.
  send(db, channel, input).catch(() => {});
  for await (const { payload, pid } of notifications) {
    console.log(`${pid}: ${payload}`);
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
