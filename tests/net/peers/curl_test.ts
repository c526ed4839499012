/**
 * `curl` against servers of ours: TCP, UNIX sockets and TLS.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertMatch,
  assertThrows,
} from "@std/assert";
import { libc } from "../../../ffi/libc.ts";
import { removeFile } from "../../../ffi/socket_files.ts";
import { spawn } from "../../../ffi/spawn.ts";
import type { Reactor } from "../../../mod.ts";
import type { NetAddress } from "../../../src/net/address.ts";
import { listen } from "../../../src/net/listen.ts";
import { spawnProcess } from "../../../src/net/process.ts";
import { listenTCP } from "../../../src/net/tcp.ts";
import { listenSSL } from "../../../src/net/tls.ts";
import type { TLSOptions } from "../../../src/net/tls_options.ts";
import { listenUNIX } from "../../../src/net/unix.ts";
import { NATIVE } from "../../hosts.ts";
import { Authority, Folder } from "../certificates.ts";
import { LOOPBACK, numberOf, pattern } from "../protocols.ts";
import { HttpServer, sum } from "./http_server.ts";
import { authority, identity, missingTLS } from "./identity.ts";
import { missingPrograms, run, testWithPeers } from "./peer.ts";

const missing = await missingPrograms({ curl: "curl" });
const missingForTLS = [...missing, ...missingTLS];
const missingForAbstract = Deno.build.os === "linux"
  ? missing
  : [...missing, "Linux, for abstract names"];

// What is opened in a test and stays open would be taken for a leak.
libc();
removeFile("/nonexistent/file");
assertThrows(() => spawn("/nonexistent", { env: null }));

const MIB_100 = 104_857_600;

/** Runs the command, with nobody's settings but these. */
function curl(...args: string[]) {
  return run("curl", ["-q", "-sS", "--noproxy", "*", ...args]);
}

/** Listens for connections by TCP. */
function serve(reactor: Reactor, hostname = LOOPBACK) {
  const server = new HttpServer();
  const port = listenTCP(0, server, { hostname, reactor });
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return { server, port, url: `http://${host}:${numberOf(port)}` };
}

/** Listens for connections with TLS. */
function serveTLS(reactor: Reactor, options: TLSOptions = {}) {
  const server = new HttpServer();
  const port = listenSSL(0, server, {
    hostname: LOOPBACK,
    reactor,
    tls: { ...identity, ...options },
  });
  return { server, url: `https://${LOOPBACK}:${numberOf(port)}` };
}

testWithPeers(
  "listenTCP() serves curl two URLs on one connection",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    const { code, text } = await curl(
      "-w",
      "%{http_code} %{http_version} %{num_connects}\n",
      `${url}/connection`,
      `${url}/connection`,
    );
    assertEquals(text, "1 1\n200 1.1 1\n1 2\n200 1.1 0\n");
    assertEquals(code, 0);
    const [end] = await server.ended(1);
    assertEquals(end!.name, "ConnectionDone");
  },
);

testWithPeers(
  "listenTCP() serves curl without keep-alive",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    for (const args of [["--http1.0"], ["-H", "Connection: close"]]) {
      const { code, stdout } = await curl(
        ...args,
        `${url}/bytes/1000000`,
        `${url}/bytes/1000000`,
      );
      assertEquals(code, 0);
      const body = pattern(1_000_000);
      assertEquals(sum(stdout), sum(new Uint8Array([...body, ...body])));
    }
    assertEquals(server.connections, 4);
    for (const { name } of await server.ended(4)) {
      assertEquals(name, "ConnectionDone");
    }
  },
);

testWithPeers(
  "listenTCP() takes 100 MB from curl, which asks first",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    await using folder = new Folder();
    const body = pattern(MIB_100);
    const file = await folder.write("body", body);
    const { code, text } = await curl(
      "--data-binary",
      `@${file}`,
      `${url}/sum`,
    );
    assertEquals(text, sum(body));
    assertEquals(code, 0);
    assert(server.asked);
  },
);

testWithPeers(
  "listenTCP() sends 100 MB to curl, as fast as curl takes it",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    await using folder = new Folder();
    const file = folder.file("body");
    const { code } = await curl("-o", file, `${url}/bytes/${MIB_100}`);
    assertEquals(code, 0);
    assertEquals(sum(await Deno.readFile(file)), sum(pattern(MIB_100)));
    assert(server.pauses > 0);
    // What is enough, and the portion that made it so.
    assertLessOrEqual(server.mostBuffered, 2 * 65_536);
  },
);

testWithPeers(
  "listenTCP() sends chunks to curl, asked for one by one",
  missing,
  async ({ reactor }) => {
    const { url } = serve(reactor);
    const { code, stdout } = await curl(`${url}/chunked/5000000`);
    assertEquals(code, 0);
    assertEquals(sum(stdout), sum(pattern(5_000_000)));
  },
);

testWithPeers(
  "listenTCP() serves 20 transfers of curl at once",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    await using folder = new Folder();
    const { code, stderr } = await curl(
      "--parallel",
      "--parallel-immediate",
      "--parallel-max",
      "20",
      "-o",
      folder.file("#1"),
      `${url}/bytes/[1000001-1000020]`,
    );
    assertEquals(code, 0, stderr);
    assertEquals(server.connections, 20);
    for (let length = 1_000_001; length <= 1_000_020; length++) {
      const body = await Deno.readFile(folder.file(`${length}`));
      assertEquals(sum(body), sum(pattern(length)));
    }
  },
);

testWithPeers(
  "listenTCP() serves curl a range",
  missing,
  async ({ reactor }) => {
    const { url } = serve(reactor);
    const { code, stdout } = await curl(
      "-r",
      "70000-139999",
      `${url}/bytes/200000`,
    );
    assertEquals(code, 0);
    assertEquals(stdout, pattern(200_000).slice(70_000, 140_000));
  },
);

testWithPeers(
  "a connection of which curl has had enough is done",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    const { code, stderr } = await curl("--max-time", "0.1", `${url}/silence`);
    assertEquals(code, 28, stderr); // CURLE_OPERATION_TIMEDOUT
    assertEquals((await server.ended(1))[0]!.name, "ConnectionDone");
  },
);

testWithPeers(
  "a connection is lost when curl goes in the middle of a body",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    await run("sh", [
      "-c",
      'curl -q -s --noproxy "*" "$1" | head -c 1000000 >/dev/null',
      "sh",
      `${url}/bytes/${MIB_100}`,
    ]);
    const [end] = await server.ended(1);
    assertEquals(end!.name, "ConnectionLost");
    assertEquals(server.stops, 1);
    // The others are served.
    assertEquals((await curl(`${url}/hello`)).text, "hello\n");
  },
);

testWithPeers(
  "loseConnection() and abortConnection() cut curl off, each in its way",
  missing,
  async ({ reactor }) => {
    const { server, url } = serve(reactor);
    const cut = await curl(`${url}/cut/2000000`);
    assertEquals(cut.code, 18, cut.stderr); // CURLE_PARTIAL_FILE
    assertEquals(sum(cut.stdout), sum(pattern(1_000_000)));
    const reset = await curl(`${url}/reset/2000000`);
    assertEquals(reset.code, 56, reset.stderr); // CURLE_RECV_ERROR
    assertEquals(
      (await server.ended(2)).map(({ name }) => name),
      ["ConnectionDone", "ConnectionAborted"],
    );
  },
);

testWithPeers(
  "listenTCP() serves curl by IPv6, and by both families at once",
  missing,
  async ({ reactor }) => {
    const { url } = serve(reactor, "::1");
    assertEquals((await curl(`${url}/hello`)).text, "hello\n");
    const both = serve(reactor, "::");
    for (const host of ["[::1]", LOOPBACK]) {
      const { text, stderr } = await curl(
        `http://${host}:${numberOf(both.port)}/hello`,
      );
      assertEquals(text, "hello\n", stderr);
    }
  },
);

testWithPeers("listenUNIX() serves curl", missing, async ({ reactor }) => {
  await using folder = new Folder();
  const server = new HttpServer();
  const path = folder.file("socket");
  await using _port = listenUNIX(path, server, { reactor });
  const body = pattern(10_000_000);
  const file = await folder.write("body", body);
  const { code, text } = await curl(
    "--unix-socket",
    path,
    "http://any/hello",
    "http://any/sum",
    "--data-binary",
    `@${file}`,
  );
  assertEquals(code, 0);
  assertEquals(text, `hello\n${sum(body)}`);
});

testWithPeers(
  "listenUNIX() serves curl by an abstract name",
  missingForAbstract,
  async ({ reactor }) => {
    const name = `curl ${crypto.randomUUID()}`;
    await using _port = listenUNIX(`\0${name}`, new HttpServer(), { reactor });
    const { code, stdout, stderr } = await curl(
      "--abstract-unix-socket",
      name,
      "http://any/bytes/3000000",
    );
    assertEquals(code, 0, stderr);
    assertEquals(sum(stdout), sum(pattern(3_000_000)));
  },
);

testWithPeers(
  "listen() serves curl from an iteration",
  missing,
  async ({ reactor }) => {
    const server = new HttpServer();
    const port = listen({ hostname: LOOPBACK, port: 0, reactor });
    const serving = (async () => {
      for await (const connection of port) {
        const protocol = server.buildProtocol();
        protocol.transport = connection;
        for await (const data of connection) protocol.dataReceived(data);
        connection.loseConnection();
        await connection.closed;
      }
    })();
    const url = `http://${LOOPBACK}:${(port.getHost() as NetAddress).port}`;
    await using folder = new Folder();
    const body = pattern(10_000_000);
    const file = await folder.write("body", body);
    const { code, text, stderr } = await curl(
      "--data-binary",
      `@${file}`,
      `${url}/sum`,
      `${url}/sum`,
    );
    assertEquals(code, 0, stderr);
    assertEquals(text, sum(body) + sum(body));
    const got = await curl(`${url}/bytes/10000000`);
    assertEquals(sum(got.stdout), sum(body));
    assertEquals(server.connections, 2);
    await port.stopListening();
    await serving;
  },
);

for (const version of ["1.2", "1.3"]) {
  testWithPeers(
    `listenSSL() serves curl by TLS ${version}, with ALPN`,
    missingForTLS,
    async ({ reactor }) => {
      const { server, url } = serveTLS(reactor, {
        alpnProtocols: ["http/1.1"],
      });
      await using folder = new Folder();
      const root = await folder.write("root.pem", authority.identity.cert);
      const body = pattern(10_000_000);
      const file = await folder.write("body", body);
      const tls = ["-v", "--cacert", root, "--tls-max", version];
      const posted = await curl(
        ...tls,
        "--data-binary",
        `@${file}`,
        `${url}/sum`,
        `${url}/sum`,
      );
      assertEquals(posted.code, 0, posted.stderr);
      assertEquals(posted.text, sum(body) + sum(body));
      assertEquals(server.connections, 1);
      assertMatch(posted.stderr, /ALPN: server accepted http\/1\.1/);
      assertMatch(posted.stderr, RegExp(`SSL connection using TLSv${version}`));
      const got = await curl(...tls, `${url}/bytes/${body.length}`);
      assertEquals(got.code, 0, got.stderr);
      assertEquals(sum(got.stdout), sum(body));
      for (const { name } of await server.ended(2)) {
        assertEquals(name, "ConnectionDone");
      }
    },
  );
}

testWithPeers(
  "listenSSL() goes on when curl refuses its certificate",
  missingForTLS,
  async ({ reactor }) => {
    const { server, url } = serveTLS(reactor);
    await using folder = new Folder();
    const other = await Authority.root("Another root");
    const args = [
      "--cacert",
      await folder.write("other.pem", other.identity.cert),
    ];
    const refused = await curl(...args, `${url}/hello`);
    assertEquals(refused.code, 60, refused.stderr); // CURLE_PEER_FAILED_VERIFICATION
    const [end] = await server.ended(1);
    assertEquals(end!.name, "TLSError");
    assertMatch(end!.message, /unknown ca/);
    const taken = await curl("--insecure", `${url}/hello`);
    assertEquals(taken.text, "hello\n");
  },
);

testWithPeers(
  "listenTCP() serves curl in a host that blocks, which spawnProcess() starts",
  missing,
  async ({ reactor }) => {
    const { url } = serve(reactor);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let reason: Error | undefined;
    spawnProcess(
      {
        childDataReceived: (_fd, data) => parts.push(data),
        processEnded(error) {
          reason = error;
          reactor.stop();
        },
      },
      "curl",
      {
        args: ["-q", "-sS", "--noproxy", "*", `${url}/bytes/10000000`],
        reactor,
      },
    );
    await NATIVE.run(reactor);
    assertEquals(reason?.name, "ProcessDone");
    const body = new Uint8Array(await new Blob(parts).arrayBuffer());
    assertEquals(sum(body), sum(pattern(10_000_000)));
  },
  { started: false },
);
