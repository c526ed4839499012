/**
 * `nginx` as the server of our connections, and between them and a server of
 * ours.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { createHash } from "node:crypto";
import { libc } from "../../../ffi/libc.ts";
import { removeFile } from "../../../ffi/socket_files.ts";
import { ConnectionLost, type Reactor } from "../../../mod.ts";
import { connect } from "../../../src/net/connect.ts";
import { ConnectError } from "../../../src/net/errors.ts";
import { connectTCP } from "../../../src/net/tcp.ts";
import { TLSError } from "../../../src/net/tls_error.ts";
import type { TLSOptions } from "../../../src/net/tls_options.ts";
import { listenUNIX } from "../../../src/net/unix.ts";
import { until, unusedPort } from "../../descriptors.ts";
import { Authority, Folder } from "../certificates.ts";
import { LOOPBACK, pattern, Recorder } from "../protocols.ts";
import { HttpClient } from "./http_client.ts";
import { HttpServer, sum } from "./http_server.ts";
import { authority, identity, missingTLS } from "./identity.ts";
import { missingPrograms, Peer, testWithPeers } from "./peer.ts";

const missing = await missingPrograms({ nginx: "nginx-light" });
const missingForTLS = [...missing, ...missingTLS];

// What is opened in a test and stays open would be taken for a leak.
libc();
removeFile("/nonexistent/file");

const MIB_100 = 104_857_600;

/** Several times as much as the kernel takes when nobody reads. */
const MIB_40 = 41_943_040;

/** An nginx in one process, with files of its own. */
class Nginx implements AsyncDisposable {
  readonly folder: Folder;
  readonly port: number;
  readonly peer: Peer;

  private constructor(folder: Folder, port: number) {
    this.folder = folder;
    this.port = port;
    this.peer = new Peer("nginx", ["-p", folder.path, "-c", "nginx.conf"]);
  }

  /**
   * Starts it, and waits until it serves.
   *
   * @param server What more its server has.
   * @param ssl Whether it speaks TLS.
   */
  static async start(server = "", ssl = false): Promise<Nginx> {
    const folder = new Folder();
    const port = unusedPort();
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${name};`).join(" ");
    if (ssl) {
      await folder.write("cert.pem", identity.cert);
      await folder.write("key.pem", identity.key);
      await folder.write("root.pem", authority.identity.cert);
      server += "ssl_certificate cert.pem; ssl_certificate_key key.pem;";
    }
    await folder.write("index.html", "It works\n");
    await folder.write(
      "nginx.conf",
      `daemon off;
      master_process off;
      pid nginx.pid;
      error_log stderr notice;
      events {}
      http {
        ${temporary}
        access_log off;
        server {
          listen ${LOOPBACK}:${port} ${ssl ? "ssl" : ""};
          root ${folder.path};
          add_header X-Request "$connection_requests";
          ${server}
        }
      }`,
    );
    const nginx = new Nginx(folder, port);
    // It listens before it looks for something to do with that.
    await nginx.peer.stderr.printed(/ using the "\w+" event method/);
    return nginx;
  }

  /** Connects to it. */
  async connect(reactor: Reactor, tls?: TLSOptions): Promise<HttpClient> {
    const { port } = this;
    return new HttpClient(
      await connect({ hostname: LOOPBACK, port, reactor, tls }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}

testWithPeers(
  "connect() asks nginx for one thing after the other on one connection, which nginx then ends",
  missing,
  async ({ reactor }) => {
    await using nginx = await Nginx.start("keepalive_requests 5;");
    const client = await nginx.connect(reactor);
    for (let i = 1; i <= 4; i++) {
      const { status, headers } = await client.get(i === 2 ? "/none" : "/");
      assertEquals(status, i === 2 ? 404 : 200);
      const text = await client.text();
      if (i !== 2) {
        assertEquals(headers.get("x-request"), `${i}`);
        assertEquals(text, "It works\n");
      }
    }
    const { headers } = await client.get("/");
    assertEquals(headers.get("connection"), "close");
    assertEquals(await client.text(), "It works\n");
    assertEquals(await client.next(), undefined);
    client.connection.loseConnection();
    await client.connection.closed;
  },
);

testWithPeers(
  "connect() gets the answers of nginx to 200 questions at once, in order",
  missing,
  async ({ reactor }) => {
    await using nginx = await Nginx.start();
    for (let i = 0; i < 200; i++) {
      await nginx.folder.write(`${i}`, pattern(i * 100));
    }
    const client = await nginx.connect(reactor);
    for (let i = 0; i < 200; i++) client.ask(`/${i}`);
    for (let i = 0; i < 200; i++) {
      const { status } = await client.answer();
      assertEquals(status, 200);
      assertEquals(await client.sum(), sum(pattern(i * 100)));
    }
    client.connection.loseConnection();
    await client.connection.closed;
  },
);

testWithPeers(
  "connect() gets 100 MB from nginx",
  missing,
  async ({ reactor }) => {
    await using nginx = await Nginx.start();
    const body = pattern(MIB_100);
    await nginx.folder.write("body", body);
    const client = await nginx.connect(reactor);
    await client.get("/body");
    assertEquals(await client.sum(), sum(body));
    // And the connection is good for more.
    await client.get("/");
    assertEquals(await client.text(), "It works\n");
    client.connection.loseConnection();
    await client.connection.closed;
  },
);

testWithPeers(
  "connect() gets chunks from nginx, which DecompressionStream unpacks",
  missing,
  async ({ reactor }) => {
    await using nginx = await Nginx.start(
      "gzip on; gzip_types *; gzip_comp_level 1;",
    );
    const text = new TextEncoder().encode(
      Array.from({ length: 300_000 }, (_, i) => `line ${i}\n`).join(""),
    );
    await nginx.folder.write("text", text);
    const client = await nginx.connect(reactor);
    for (let i = 0; i < 2; i++) {
      const { headers } = await client.get("/text", {
        "Accept-Encoding": "gzip",
      });
      assertEquals(headers.get("content-encoding"), "gzip");
      assertEquals(headers.get("transfer-encoding"), "chunked");
      assertEquals(
        await client.sum(
          ReadableStream.from(client.body())
            .pipeThrough(new DecompressionStream("gzip")),
        ),
        sum(text),
      );
    }
    client.connection.loseConnection();
    await client.connection.closed;
  },
);

testWithPeers(
  "pauseProducing() holds nginx back in the middle of a body, and nobody else",
  missing,
  async ({ reactor }) => {
    await using nginx = await Nginx.start(
      "location = /status { stub_status; }",
    );
    const body = pattern(MIB_40);
    await nginx.folder.write("body", body);
    const hash = createHash("sha256");
    const paused = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    let head = "";
    let received = 0;
    const recorder = new Recorder({
      made: ({ transport }) => transport.write("GET /body HTTP/1.0\r\n\r\n"),
      data({ transport }, data) {
        if (!head.includes("\r\n\r\n")) {
          head += new TextDecoder("latin1").decode(data);
          data = data.subarray(
            data.length - (head.length - head.indexOf("\r\n\r\n") - 4),
          );
        }
        hash.update(data);
        const before = received;
        received += data.length;
        const tenth = body.length / 10;
        if (before < tenth && received >= tenth) {
          transport.pauseProducing();
          paused.resolve();
        }
      },
      lost: () => ended.resolve(),
    });
    connectTCP(LOOPBACK, nginx.port, { buildProtocol: () => recorder }, {
      reactor,
    });
    await paused.promise;
    const before = received;
    // While somebody else gets as much, this one gets nothing.
    const client = await nginx.connect(reactor);
    await client.get("/body");
    assertEquals(await client.sum(), sum(body));
    assertEquals(received, before);
    await client.get("/status");
    // This question, and the body that is under way.
    assertMatch(await client.text(), /Writing: 2 /);
    client.connection.loseConnection();
    recorder.transport.resumeProducing();
    await ended.promise;
    assertMatch(head, /^HTTP\/1\.1 200 OK\r\n/);
    assertEquals(`${received} ${hash.digest("hex")}`, sum(body));
  },
);

testWithPeers(
  "a Connection that is read slowly takes no more of nginx's than there is room for, and ends when nginx is killed",
  missing,
  async ({ reactor }) => {
    await using nginx = await Nginx.start();
    const body = pattern(MIB_40);
    await nginx.folder.write("body", body);
    const client = await nginx.connect(reactor);
    await client.get("/body");
    const parts = client.body();
    let received = 0;
    while (received < body.length / 10) {
      const { value } = await parts.next();
      assert(value);
      assertEquals(
        sum(value),
        sum(body.subarray(received, received + value.length)),
      );
      received += value.length;
    }
    // Time enough for the rest to come, if anybody took it.
    const other = await nginx.connect(reactor);
    await other.get("/body");
    assertEquals(await other.sum(), sum(body));
    nginx.peer.kill("SIGKILL");
    await nginx.peer.end();
    await assertRejects(
      async () => {
        for await (const part of parts) received += part.length;
      },
      Error,
      "The connection ended too early",
    );
    // The kernel's buffers of both sides and the stream's.
    assertLess(received, body.length / 2);
    client.connection.loseConnection();
    // It was in order, as far as TCP can tell.
    await client.connection.closed;
    other.connection.loseConnection();
    await other.connection.closed;
  },
);

testWithPeers(
  "a Connection is lost when nginx is killed and has not read everything",
  missing,
  async ({ reactor }) => {
    await using nginx = await Nginx.start();
    await nginx.folder.write("body", pattern(MIB_40));
    const client = await nginx.connect(reactor);
    await client.get("/body");
    // It does not look at this while it sends a body.
    client.ask("/body");
    await until(() => client.connection.bufferedAmount === 0); // It is sent.
    const parts = client.body();
    await parts.next();
    nginx.peer.kill("SIGKILL");
    await nginx.peer.end();
    const lost = assertRejects(() => client.connection.closed, ConnectionLost);
    const error = await assertRejects(async () => {
      for await (const _ of parts);
    }, ConnectionLost);
    assertEquals(error.code, "ECONNRESET");
    await lost;
  },
);

testWithPeers(
  "nginx stands between a client of ours and a server of ours",
  missing,
  async ({ reactor }) => {
    await using folder = new Folder();
    const path = folder.file("socket");
    const server = new HttpServer();
    await using _port = listenUNIX(path, server, { reactor });
    await using nginx = await Nginx.start(
      `location / {
      proxy_pass http://unix:${path};
      proxy_http_version 1.1;
      client_max_body_size 0;
      proxy_set_header Connection "";
    }`,
    );
    const client = await nginx.connect(reactor);
    await client.get("/chunked/20000000");
    assertEquals(await client.sum(), sum(pattern(20_000_000)));
    const body = pattern(10_000_000);
    client.connection.write(
      `POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    client.connection.write(body);
    await client.answer();
    assertEquals(await client.text(), sum(body));
    assertEquals(server.requests, [
      "GET /chunked/20000000 HTTP/1.1",
      "POST /sum HTTP/1.1",
    ]);
    client.connection.loseConnection();
    await client.connection.closed;
  },
);

// TLS

for (const version of ["TLSv1.2", "TLSv1.3"]) {
  testWithPeers(
    `connect() gets 40 MB from nginx by ${version}, with ALPN and SNI`,
    missingForTLS,
    async ({ reactor }) => {
      await using nginx = await Nginx.start(
        `ssl_protocols ${version};
      add_header X-TLS "$ssl_protocol $ssl_alpn_protocol $ssl_server_name";`,
        true,
      );
      const body = pattern(MIB_40);
      await nginx.folder.write("body", body);
      const client = await nginx.connect(reactor, {
        caCerts: [authority.identity.cert],
        hostname: "localhost",
        alpnProtocols: ["http/1.1"],
      });
      const { headers } = await client.get("/body");
      assertEquals(headers.get("x-tls"), `${version} http/1.1 localhost`);
      assertEquals(await client.sum(), sum(body));
      await client.get("/");
      assertEquals(await client.text(), "It works\n");
      client.connection.loseConnection();
      await client.connection.closed;
    },
  );
}

testWithPeers(
  "connect() refuses nginx with the wrong certificate",
  missingForTLS,
  async ({ reactor }) => {
    await using nginx = await Nginx.start("", true);
    const root = authority.identity.cert;
    for (
      const [tls, words] of [
        [{ caCerts: [root], hostname: "wrong.example" }, "hostname mismatch"],
        [{}, "Cannot verify the certificate"],
      ] as const
    ) {
      const error = await assertRejects(
        () => nginx.connect(reactor, tls),
        ConnectError,
      );
      assertInstanceOf(error.cause, TLSError);
      assertStringIncludes(error.message, words);
    }
    const client = await nginx.connect(reactor, { caCerts: [root] });
    await client.get("/");
    assertEquals(await client.text(), "It works\n");
    client.connection.loseConnection();
    await client.connection.closed;
  },
);

testWithPeers(
  "connect() shows nginx its certificate, which nginx may refuse",
  missingForTLS,
  async ({ reactor }) => {
    await using nginx = await Nginx.start(
      `ssl_verify_client on; ssl_client_certificate root.pem;
    add_header X-Client "$ssl_client_s_dn";`,
      true,
    );
    const caCerts = [authority.identity.cert];
    const good = await authority.issue({ subject: "A client" });
    const stranger = await Authority.root("A stranger");
    const bad = await stranger.issue({ subject: "A client" });
    const client = await nginx.connect(reactor, { caCerts, ...good });
    const { status, headers } = await client.get("/");
    assertEquals([status, headers.get("x-client")], [200, "CN=A client"]);
    assertEquals(await client.text(), "It works\n");
    client.connection.loseConnection();
    await client.connection.closed;
    for (
      const [identity, words] of [
        [bad, "The SSL certificate error"],
        [{}, "No required SSL certificate was sent"],
      ] as const
    ) {
      const client = await nginx.connect(reactor, { caCerts, ...identity });
      const { status } = await client.get("/");
      assertEquals(status, 400);
      assertStringIncludes(await client.text(), words);
      // nginx says so within HTTP, and goes.
      assertEquals(await client.next(), undefined);
      client.connection.loseConnection();
      await client.connection.closed;
    }
  },
);

testWithPeers(
  "connect() with TLS loses the connection when nginx is killed in the middle of a body",
  missingForTLS,
  async ({ reactor }) => {
    await using nginx = await Nginx.start("", true);
    await nginx.folder.write("body", pattern(MIB_40));
    const client = await nginx.connect(reactor, {
      caCerts: [authority.identity.cert],
    });
    await client.get("/body");
    const parts = client.body();
    await parts.next();
    nginx.peer.kill("SIGKILL");
    await nginx.peer.end();
    // Nobody has said that this is the end: it may be somebody in between.
    const lost = assertRejects(() => client.connection.closed, ConnectionLost);
    await assertRejects(async () => {
      for await (const _ of parts);
    }, ConnectionLost);
    await lost;
  },
);
