/**
 * `wrk` and `redis-benchmark` against servers of ours: no error under load,
 * others are served meanwhile, and nothing is left afterwards.
 *
 * @module
 */

import {
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import v8 from "node:v8";
import vm from "node:vm";
import { libc } from "../../../ffi/libc.ts";
import type { Reactor } from "../../../mod.ts";
import { connect } from "../../../src/net/connect.ts";
import { connectTCP, listenTCP } from "../../../src/net/tcp.ts";
import { until } from "../../descriptors.ts";
import { assertNothingLeft, count } from "../../leftovers.ts";
import { LOOPBACK, numberOf } from "../protocols.ts";
import { HttpClient } from "./http_client.ts";
import { HttpServer } from "./http_server.ts";
import { missingPrograms, run, testWithPeers } from "./peer.ts";
import { RespClient, RespServer, type RespShared } from "./resp.ts";

const missingForHttp = await missingPrograms({ wrk: "wrk" });
const missingForRedis = await missingPrograms({
  "redis-benchmark": "redis-tools",
});

// What is opened in a test and stays open would be taken for a leak.
libc();

v8.setFlagsFromString("--expose-gc");
/** What differs from one look at the memory to the next, in bytes. */
const NOISE = 500_000;

const gc: () => void = vm.runInNewContext("gc");

/** What is in use, in bytes, when what is not is gone. */
function memory(): number {
  gc();
  // What array buffers had is given back in another thread after a collection;
  // the next collection waits for that.
  gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/**
 * Applies a load twice. What is made once is there after the first time; the
 * second must leave nothing.
 *
 * @param load Returns how many requests there were.
 */
async function assertNothingStays(
  reactor: Reactor,
  load: () => Promise<number>,
): Promise<void> {
  // Some connections may wait for the peer's last word.
  const isIdle = () => reactor.inspect().descriptors.length === 0;
  await load();
  await until(isIdle);
  const things = count();
  const before = memory();
  const requests = await load();
  await until(isIdle);
  const grown = memory() - before;
  console.log(`${requests} requests left ${grown} bytes`);
  assertLess(grown, NOISE + requests);
  await assertNothingLeft(things);
}

/**
 * Asks questions, one after the other, until something else is over.
 *
 * @returns How many were answered before.
 */
async function askDuring(
  load: Promise<unknown>,
  question: () => Promise<void>,
): Promise<number> {
  let over = false;
  const end = () => void (over = true);
  load.then(end, end);
  let answered = -1; // The last answer may have come afterwards.
  while (!over) {
    await question();
    answered++;
  }
  return answered;
}

/** Runs the command. Returns how many requests were answered. */
async function wrk(...args: string[]): Promise<number> {
  const { code, text, stderr } = await run("wrk", [
    ...["-t", "1", "-c", "100"],
    ...args,
  ]);
  assertEquals(code, 0, stderr);
  assertFalse(/Socket errors|Non-2xx/.test(text), text);
  const [, requests] = /(\d+) requests in/.exec(text)!;
  return Number(requests);
}

testWithPeers(
  "listenTCP() serves wrk on 100 connections, and somebody else meanwhile, and nothing stays",
  missingForHttp,
  async ({ reactor }) => {
    let seconds = 0;
    await assertNothingStays(reactor, async () => {
      seconds++;
      const server = new HttpServer();
      await using listener = listenTCP(0, server, {
        hostname: LOOPBACK,
        reactor,
      });
      const port = numberOf(listener);
      const url = `http://${LOOPBACK}:${port}/hello`;
      const client = new HttpClient(
        await connect({ hostname: LOOPBACK, port, reactor }),
      );
      const load = wrk("-d", `${seconds}s`, url);
      const answered = await askDuring(load, async () => {
        await client.get("/hello");
        assertEquals(await client.text(), "hello\n");
      });
      assertGreater(answered, 10);
      const kept = await load;
      // And each on a connection of its own.
      const closed = await wrk("-d", "1s", "-H", "Connection: close", url);
      client.connection.loseConnection();
      await client.connection.closed;
      await server.ended(server.connections);
      console.log(
        `wrk: ${kept}, each on its own connection: ${closed}; somebody else: ${answered}`,
      );
      return kept + closed;
    });
  },
);

testWithPeers(
  "listenTCP() serves redis-benchmark on 50 connections, and somebody else meanwhile, and nothing stays",
  missingForRedis,
  async ({ reactor }) => {
    await assertNothingStays(reactor, async () => {
      const shared: RespShared = { store: new Map(), commands: new Map() };
      await using listener = listenTCP(0, {
        buildProtocol: () => new RespServer(shared),
      }, { hostname: LOOPBACK, reactor });
      const port = numberOf(listener);
      const client = new RespClient();
      connectTCP(LOOPBACK, port, { buildProtocol: () => client }, { reactor });
      await client.made.promise;
      // deno-fmt-ignore
      const load = run("redis-benchmark", [
      "-h", LOOPBACK, "-p", `${port}`, "-t", "ping,set,get", "-c", "50",
      "-n", "20000", "-P", "16", "--csv",
    ]);
      const answered = await askDuring(load, async () => {
        assertEquals(
          await client.command("ECHO", "hello"),
          new TextEncoder().encode("hello"),
        );
      });
      assertGreater(answered, 10);
      const { code, text, stderr } = await load;
      assertEquals(code, 0, stderr);
      assertFalse(/error/i.test(text + stderr), text + stderr);
      for (const name of ["PING_INLINE", "PING_MBULK", "SET", "GET"]) {
        assertStringIncludes(text, `"${name}",`);
      }
      const { commands, store } = shared;
      assertGreaterOrEqual(commands.get("PING")!, 40_000);
      assertGreaterOrEqual(commands.get("SET")!, 20_000);
      assertGreaterOrEqual(commands.get("GET")!, 20_000);
      assertEquals([...store.keys()], ["key:__rand_int__"]);
      client.transport.loseConnection();
      await client.lost.promise;
      console.log(`redis-benchmark: ${text}somebody else: ${answered}`);
      return 80_000;
    });
  },
);
