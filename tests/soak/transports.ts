/**
 * Load on transports: connections of every kind, terminals, processes, look-ups
 * of names.
 *
 * @module
 */

import { ConnectionAborted, FileDescriptor } from "../../mod.ts";
import {
  connect,
  ConnectError,
  type Connection,
  type ConnectOptions,
  type ConnectPathOptions,
  listen,
  type Listener,
  NameLookupError,
  openPty,
  ProcessDone,
  ProcessTerminated,
  spawnProcess,
  type SpawnProcessOptions,
} from "../../src/net/mod.ts";
import { lookUp, type NameLookupResult } from "../../src/net/resolver.ts";
import {
  Authority,
  type Identity,
  missingOpenssl,
} from "../net/certificates.ts";
import { onLinux } from "../descriptors.ts";
import {
  expect,
  expectBytes,
  expectRejection,
  receiveAll,
  type Scene,
  soon,
  type Stage,
  together,
} from "./stage.ts";

const LOOPBACK = "127.0.0.1";

type Place = ConnectOptions | ConnectPathOptions;

/** Connections by TCP, to an address or a name. */
export async function tcp(stage: Stage): Promise<void> {
  const { reactor, random } = stage;
  const listener = listen({ hostname: LOOPBACK, port: 0, reactor });
  const { port } = listener.getHost();
  await echo(stage, listener, () => ({
    hostname: random.pick([LOOPBACK, "localhost"]),
    port,
    reactor,
  }));
}

/** Connections through UNIX sockets. */
export async function unix(stage: Stage): Promise<void> {
  const { reactor } = stage;
  const path = unusedPath(stage);
  const listener = listen({ path, reactor });
  await echo(stage, listener, () => ({ path, reactor }));
}

/** Who signs, and what servers show. */
export interface Certificates {
  readonly root: string;
  readonly identity: Identity;
}

/** Makes certificates, or tells which packages are missing for that. */
export async function makeCertificates(): Promise<Certificates | string[]> {
  const missing = await missingOpenssl();
  if (missing.length > 0) return missing;
  const authority = await Authority.root("A soak");
  const identity = await authority.issue({
    names: `DNS:localhost,IP:${LOOPBACK}`,
  });
  return { root: authority.identity.cert, identity };
}

/** Connections with TLS. */
export function tls({ root, identity }: Certificates): Scene {
  return async (stage) => {
    const { reactor } = stage;
    const listener = listen({
      hostname: LOOPBACK,
      port: 0,
      reactor,
      tls: { ...identity, alpnProtocols: ["soak"] },
    });
    const { port } = listener.getHost();
    await echo(stage, listener, () => ({
      hostname: LOOPBACK,
      port,
      reactor,
      tls: { caCerts: [root], alpnProtocols: ["soak"] },
    }));
  };
}

/** Attempts to connect that are given up, or have nobody to go to. */
export async function attempts(stage: Stage): Promise<void> {
  const { reactor, dropped } = stage;
  const listener = listen({ hostname: LOOPBACK, port: 0, reactor });
  const served = serve(stage, listener);
  await together(5, async () => {
    const controller = new AbortController();
    dropped.add("signal", controller.signal);
    const { signal } = controller;
    const attempt = connect({ ...listener.getHost(), reactor, signal });
    soon(stage, () => controller.abort("given up"));
    const connection = await attempt.catch((reason) => {
      expect(stage, reason === "given up", `an attempt ended with ${reason}`);
    });
    connection?.abortConnection();
    await connection?.closed.catch(() => {});
  });
  await expectRejection(
    stage,
    connect({ path: unusedPath(stage), reactor, signal: stage.signal }),
    (reason) => reason instanceof ConnectError,
    "an attempt to reach nobody",
  );
  await listener.stopListening();
  await served;
}

/** Lets several clients talk with a server that sends everything back. */
async function echo(
  stage: Stage,
  listener: Listener,
  place: () => Place,
): Promise<void> {
  const served = serve(stage, listener);
  await together(3, async () => {
    const connection = await connect(place());
    stage.dropped.add("connection", connection);
    const sent = stage.random.bytes(1 + stage.random.below(100_000));
    await stage.random.pick(CONVERSATIONS)(stage, connection, sent);
  });
  await listener.stopListening();
  await served;
}

/** Serves until the port stops listening and its connections are over. */
async function serve(stage: Stage, listener: Listener): Promise<void> {
  const ends: Promise<unknown>[] = [];
  for await (const connection of listener) {
    stage.dropped.add("connection", connection);
    // Those of clients that abort end with an error.
    ends.push(
      connection.readable.pipeTo(connection.writable).catch(() => {}),
      connection.closed.catch(() => {}),
    );
  }
  await Promise.all(ends);
}

const CONVERSATIONS: readonly ((
  stage: Stage,
  connection: Connection,
  sent: Uint8Array<ArrayBuffer>,
) => Promise<void>)[] = [
  async function byHalves(stage, connection, sent) {
    connection.write(sent);
    connection.loseWriteConnection();
    const { readable } = connection;
    const received = new Uint8Array(await new Response(readable).arrayBuffer());
    await connection.closed;
    expectBytes(stage, received, sent, "a connection");
  },
  async function byStreams(stage, connection, sent) {
    const { readable, writable } = connection;
    const writing = new Blob([sent]).stream().pipeTo(writable);
    const received = new Uint8Array(await new Response(readable).arrayBuffer());
    await writing;
    await connection.closed;
    expectBytes(stage, received, sent, "the streams of a connection");
  },
  async function asDenoConn(stage, connection, sent) {
    using conn = connection.toDenoConn();
    const some = sent.subarray(0, 1000);
    await conn.write(some);
    const received = new Uint8Array(some.length);
    for (let filled = 0; filled < received.length;) {
      filled += await conn.read(received.subarray(filled)) ?? NaN;
    }
    expectBytes(stage, received, some, "a Deno.Conn");
  },
  async function inPart(stage, connection, sent) {
    connection.write(sent);
    for await (const data of connection) {
      expectBytes(stage, data, sent.subarray(0, data.length), "a connection");
      break;
    }
    await connection[Symbol.asyncDispose]();
  },
  async function aborted(stage, connection, sent) {
    connection.write(sent);
    soon(stage, () => connection.abortConnection());
    await expectRejection(
      stage,
      connection.closed,
      (reason) => reason instanceof ConnectionAborted,
      "a connection that was aborted",
    );
  },
];

let paths = 0;

/** Where no socket is. */
function unusedPath({ random }: Stage): string {
  const name = `soak ${Deno.pid} ${++paths}`;
  return onLinux && random.below(2) === 0 ? `\0${name}` : `/tmp/${name}`;
}

/** Terminals, which their other end leaves, or which leave it. */
export async function terminals(stage: Stage): Promise<void> {
  const { reactor, random, dropped } = stage;
  await together(2, async () => {
    const lost = Promise.withResolvers<Error>();
    const device = openPty({
      dataReceived: (data) => device.write(data),
      connectionLost: lost.resolve,
    }, { raw: true, reactor });
    dropped.add("terminal", device);
    const line = FileDescriptor.open(device.path, { read: true, write: true });
    for (let i = 0; i < 5; i++) {
      const sent = random.bytes(1 + random.below(1000));
      const received = new Uint8Array(sent.length);
      const coming = receiveAll(stage, line, received);
      line.write(sent);
      await coming;
      expectBytes(stage, received, sent, "a terminal");
    }
    if (random.below(2) === 0) device.loseConnection();
    else line.close();
    const reason = await lost.promise;
    expect(
      stage,
      reason.name === "ConnectionDone",
      `a terminal ended with ${reason}`,
    );
    line.close();
  });
}

/** Processes that end by themselves, or are ended. */
export async function processes(stage: Stage): Promise<void> {
  await stage.random.pick([cat, exit, kill, shellOnTerminal])(stage);
}

/** What a process has written, once it has ended. */
interface ProcessOutcome {
  readonly output: Uint8Array;
  readonly reason: Error;
}

async function run(
  stage: Stage,
  [command, ...args]: readonly [string, ...string[]],
  input: Uint8Array | string | undefined,
  options: SpawnProcessOptions = {},
): Promise<ProcessOutcome> {
  const { reactor, dropped } = stage;
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const ended = Promise.withResolvers<Error>();
  const child = spawnProcess(
    {
      childDataReceived: (fd, data) => fd === 1 && parts.push(data),
      processEnded: ended.resolve,
    },
    command,
    { args, reactor, ...options },
  );
  dropped.add("process", child);
  if (input === undefined) child.signalProcess("KILL");
  else {
    child.write(input);
    child.closeStdin();
  }
  const reason = await ended.promise;
  const output = new Uint8Array(await new Blob(parts).arrayBuffer());
  return { output, reason };
}

async function cat(stage: Stage): Promise<void> {
  const sent = stage.random.bytes(stage.random.below(200_000));
  const { output, reason } = await run(stage, ["cat"], sent);
  expectBytes(stage, output, sent, "cat");
  expect(stage, reason instanceof ProcessDone, `cat ended with ${reason}`);
}

async function exit(stage: Stage): Promise<void> {
  const code = 1 + stage.random.below(100);
  const { reason } = await run(stage, ["sh", "-c", `exit ${code}`], "");
  expect(
    stage,
    reason instanceof ProcessTerminated && reason.exitCode === code,
    `exit ${code} ended with ${reason}`,
  );
}

async function kill(stage: Stage): Promise<void> {
  const { reason } = await run(stage, ["sleep", "100"], undefined);
  expect(
    stage,
    reason instanceof ProcessTerminated && reason.signal === "SIGKILL",
    `a process that was killed ended with ${reason}`,
  );
}

async function shellOnTerminal(stage: Stage): Promise<void> {
  const script = 'read line; test -t 0 && echo "got $line"';
  const { output } = await run(stage, ["sh", "-c", script], "this\n", {
    pty: true,
  });
  const text = new TextDecoder().decode(output);
  expect(stage, text.includes("got this"), `a shell said ${text}`);
}

/** Names that there are, that there are not, and that nobody waits for. */
export async function names(stage: Stage): Promise<void> {
  const { reactor } = stage;
  const ask = (hostname: string) =>
    new Promise<NameLookupResult>((resolve) =>
      lookUp(reactor, hostname, resolve)
    );
  await together(5, async () => {
    const { addresses } = await ask("localhost");
    expect(stage, addresses !== undefined, "the address of localhost");
    // With an empty label, so that nobody needs to be asked.
    const { error } = await ask("no..name");
    expect(stage, error instanceof NameLookupError, `a name gave ${error}`);
    const forget = lookUp(reactor, "localhost", () => {
      expect(stage, false, "the answer to a question that was taken back");
    });
    forget();
  });
}
