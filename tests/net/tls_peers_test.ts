// An engine against TLS that others wrote: Deno's own (rustls), and the
// `openssl` command. The sockets are Deno's, and the test moves the bytes.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { deadline } from "@std/async";
import { createHash } from "node:crypto";
import { ConnectionLost } from "../../mod.ts";
import { libc } from "../../ffi/libc.ts";
import { openssl as library } from "../../ffi/toolkits/openssl.ts";
import { alpnCallback } from "../../src/net/alpn.ts";
import { TLSError } from "../../src/net/tls_error.ts";
import type { TLSOptions } from "../../src/net/tls_options.ts";
import { PATIENCE } from "../descriptors.ts";
import { testToolkit } from "../loops/toolkit.ts";
import {
  Authority,
  Folder,
  type Identity,
  missingOpenssl,
  OpensslPeer,
} from "./certificates.ts";
import { Wire } from "./tls_wire.ts";

const missing = await missingOpenssl();

/** Declares a test, ignored if OpenSSL is missing. */
function test(name: string, fn: () => Promise<void>): void {
  testToolkit(name, missing, () => deadline(fn(), PATIENCE));
}

let authority: Authority;
let root: string;
let identity: Identity;
let other: Identity;

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) {
  library();
  alpnCallback();
  authority = await Authority.root("A root");
  root = authority.identity.cert;
  identity = await authority.issue({ names: "DNS:localhost,IP:127.0.0.1" });
  other = await authority.issue({ names: "DNS:other.example" });
}

const hostname = "127.0.0.1";
const decoder = new TextDecoder();

/** Connects to a port of this machine. */
function connectWire(port: number, options: TLSOptions = {}): Promise<Wire> {
  return Wire.connect(port, { hostname, caCerts: [root], ...options });
}

/** Takes one connection. */
function acceptWire(
  listener: Deno.Listener,
  options: TLSOptions = {},
): Promise<Wire> {
  return Wire.accept(listener, { ...identity, ...options });
}

/** Blocks of bytes of which no two are the same, and the checksum of all. */
function* blocks(total: number, hash: ReturnType<typeof createHash>) {
  const block = new Uint8Array(100_000);
  crypto.getRandomValues(block.subarray(0, 50_000));
  for (let number = 0; number < total / block.length; number++) {
    new DataView(block.buffer).setUint32(0, number);
    hash.update(block);
    yield block;
  }
}

function listen(): Deno.TcpListener {
  return Deno.listen({ hostname, port: 0 });
}

/** Writes all of it to one of Deno's connections. */
async function writeAll(socket: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) {
    sent += await socket.write(data.subarray(sent));
  }
}

/** Starts an `openssl s_server`, which takes one connection. */
async function startServer(
  folder: Folder,
  ...args: string[]
): Promise<{ peer: OpensslPeer; port: number }> {
  // deno-fmt-ignore
  const peer = new OpensslPeer(
    folder.path, "s_server", "-accept", "127.0.0.1:0", "-naccept", "1",
    "-cert", await folder.write("cert.pem", identity.cert),
    "-key", await folder.write("key.pem", identity.key),
    ...args,
  );
  const [, port] = await peer.printed(/ACCEPT .*:(\d+)\n/);
  return { peer, port: Number(port) };
}

/** Starts an `openssl s_client`. */
function startClient(
  listener: Deno.TcpListener,
  ...args: string[]
): OpensslPeer {
  // deno-fmt-ignore
  return new OpensslPeer(
    ".", "s_client", "-connect", `127.0.0.1:${listener.addr.port}`,
    "-servername", "localhost",
    ...args,
  );
}

test("TLSEngine as a client moves data both ways with Deno.listenTls()", async () => {
  using listener = Deno.listenTls({
    hostname,
    port: 0,
    ...identity,
    alpnProtocols: ["h2", "http/1.1"],
  });
  const up = createHash("sha256");
  const down = createHash("sha256");
  const total = 10_000_000;
  async function serve(): Promise<[string | null, string]> {
    using socket = await listener.accept();
    const { alpnProtocol } = await socket.handshake();
    const received = createHash("sha256");
    const buffer = new Uint8Array(65536);
    for (let sum = 0; sum < total;) {
      const count = await socket.read(buffer);
      assert(count);
      received.update(buffer.subarray(0, count));
      sum += count;
    }
    for (const block of blocks(total, down)) await writeAll(socket, block);
    await socket.closeWrite();
    assertEquals(await socket.read(buffer), null);
    return [alpnProtocol, received.digest("hex")];
  }
  const serving = serve();
  using wire = await connectWire(listener.addr.port, {
    alpnProtocols: ["http/1.1", "spdy/1"],
  });
  await wire.begin();
  assertEquals(wire.engine.alpnProtocol, "http/1.1");
  for (const block of blocks(total, up)) await wire.write(block);
  assertEquals(await wire.readChecksum(), down.digest("hex"));
  await wire.close();
  assertEquals(await serving, ["http/1.1", up.digest("hex")]);
});

test("TLSEngine as a server moves data both ways with Deno.connectTls()", async () => {
  using listener = listen();
  const up = createHash("sha256");
  const down = createHash("sha256");
  const total = 10_000_000;
  async function connect(): Promise<[string | null, string]> {
    using socket = await Deno.connectTls({
      hostname,
      port: listener.addr.port,
      caCerts: [root],
      alpnProtocols: ["h2", "http/1.1"],
    });
    const { alpnProtocol } = await socket.handshake();
    for (const block of blocks(total, up)) await writeAll(socket, block);
    await socket.closeWrite();
    const received = createHash("sha256");
    for await (const data of socket.readable.values({ preventCancel: true })) {
      received.update(data);
    }
    return [alpnProtocol, received.digest("hex")];
  }
  const connecting = connect();
  using wire = await acceptWire(listener, { alpnProtocols: ["h3", "h2"] });
  await wire.begin();
  assertEquals(wire.engine.alpnProtocol, "h2");
  assertEquals(await wire.readChecksum(), up.digest("hex"));
  // The other side has closed its direction only.
  for (const block of blocks(total, down)) await wire.write(block);
  await wire.close();
  assertEquals(await connecting, ["h2", down.digest("hex")]);
});

test("TLSEngine as a client does not trust Deno.listenTls() with a certificate of nobody's", async () => {
  using listener = Deno.listenTls({ hostname, port: 0, ...identity });
  async function serve(): Promise<void> {
    using socket = await listener.accept();
    await assertRejects(() => socket.handshake(), Error, "UnknownCA");
  }
  const serving = serve();
  using wire = await connectWire(listener.addr.port, { caCerts: [] });
  await assertRejects(
    () => wire.begin(),
    TLSError,
    'Cannot verify the certificate of "127.0.0.1": unable to get local issuer certificate',
  );
  await serving;
});

test("TLSEngine as a server hears that Deno.connectTls() does not trust it", async () => {
  using listener = listen();
  const connecting = assertRejects(async () => {
    using socket = await Deno.connectTls({
      hostname,
      port: listener.addr.port,
    });
    await socket.handshake();
  });
  using wire = await acceptWire(listener);
  await assertRejects(() => wire.begin(), TLSError, "alert unknown ca");
  await connecting;
});

test("TLSEngine as a client asks openssl s_server for a name", async () => {
  await using folder = new Folder();
  // deno-fmt-ignore
  const { peer, port } = await startServer(
    folder,
    "-servername", "other.example",
    "-cert2", await folder.write("cert2.pem", other.cert),
    "-key2", await folder.write("key2.pem", other.key),
  );
  await using _ended = peer;
  // Only a server that is asked for it shows the certificate of that name.
  using wire = await connectWire(port, {
    hostname: "other.example",
  });
  await wire.begin();
  await wire.write("hello\n");
  await peer.printed(/hello\n/);
  await peer.type("welcome\n");
  assertEquals(await wire.readLine(), "welcome\n");
});

test("TLSEngine.read() throws when openssl s_server goes without a word", async () => {
  await using folder = new Folder();
  const { peer, port } = await startServer(folder);
  await using _ended = peer;
  using wire = await connectWire(port);
  await wire.begin();
  await peer.type("half of it\n");
  assertEquals(await wire.readLine(), "half of it\n");
  // It takes a line with this letter for the wish to end at once.
  await peer.type("Q\n");
  await assertRejects(
    () => wire.read(),
    ConnectionLost,
    "The connection was lost: the peer closed it without saying so in TLS",
  );
});

test("TLSEngine as a client asks for no name when it has an address", async () => {
  await using folder = new Folder();
  // deno-fmt-ignore
  const { peer, port } = await startServer(
    folder,
    "-servername", hostname,
    "-cert2", await folder.write("cert2.pem", other.cert),
    "-key2", await folder.write("key2.pem", other.key),
  );
  await using _ended = peer;
  // A server that is asked for the address would show the other certificate.
  using wire = await connectWire(port);
  await wire.begin();
  assertEquals(wire.engine.version, "TLSv1.3");
});

test("TLSEngine as a client shows its certificate when openssl s_server asks for it", async () => {
  await using folder = new Folder();
  const mine = await authority.issue({ subject: "A client" });
  // deno-fmt-ignore
  const args = [
    "-Verify", "1", "-verify_return_error",
    "-CAfile", await folder.write("root.pem", root),
  ];
  {
    const { peer, port } = await startServer(folder, ...args);
    await using _ended = peer;
    using wire = await connectWire(port, mine);
    await wire.begin();
    await wire.write("it is me\n");
    await peer.printed(/subject=CN ?= ?A client/);
    await peer.printed(/it is me\n/);
  }
  const { peer, port } = await startServer(folder, ...args);
  await using _ended = peer;
  using wire = await connectWire(port);
  await wire.begin();
  // With TLS 1.3 a client hears of it only after the handshake.
  await assertRejects(
    () => wire.read(),
    TLSError,
    "alert certificate required",
  );
});

test("TLSEngine as a client reads a large file from openssl s_server", async () => {
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    await using folder = new Folder();
    const content = new Uint8Array(20_000_000);
    const hash = createHash("sha256");
    let at = 0;
    for (const block of blocks(content.length, hash)) {
      content.set(block, at);
      at += block.length;
    }
    await folder.write("large", content);
    // deno-fmt-ignore
    const { peer, port } = await startServer(
      folder, "-HTTP", "-alpn", "http/1.0,h2",
      version === "TLSv1.2" ? "-tls1_2" : "-tls1_3",
    );
    await using _ended = peer;
    using wire = await connectWire(port, {
      alpnProtocols: ["h2", "http/1.0"],
    });
    await wire.begin();
    assertEquals(wire.engine.version, version);
    assertEquals(wire.engine.alpnProtocol, "http/1.0");
    await wire.write("GET /large HTTP/1.0\r\n\r\n");
    assertEquals(await wire.readChecksum(), hash.digest("hex"));
  }
});

test("TLSEngine as a server answers openssl s_client with each version", async () => {
  await using folder = new Folder();
  const file = await folder.write("root.pem", root);
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    using listener = listen();
    // deno-fmt-ignore
    await using peer = startClient(
      listener, version === "TLSv1.2" ? "-tls1_2" : "-tls1_3", "-CAfile", file,
      "-verify_hostname", "localhost", "-verify_return_error",
      "-alpn", "http/1.1,h2",
    );
    await peer.type("a question\n");
    using wire = await acceptWire(listener, { alpnProtocols: ["h2"] });
    await wire.begin();
    assertEquals(await wire.readLine(), "a question\n");
    await wire.write("an answer\n");
    await wire.close();
    assertEquals(await wire.read(), null);
    await peer.printed(RegExp(`New, ${version}`));
    await peer.printed(/ALPN protocol: h2/);
    await peer.printed(/Verify return code: 0 \(ok\)/);
    await peer.printed(/an answer\n/);
  }
});

test("TLSEngine as a server refuses TLS 1.1", async () => {
  using listener = listen();
  // The client itself would not do it with its usual settings.
  await using peer = startClient(
    listener,
    "-tls1_1",
    "-cipher",
    "DEFAULT@SECLEVEL=0",
  );
  using wire = await acceptWire(listener);
  await assertRejects(() => wire.begin(), TLSError, "unsupported protocol");
  await peer.printed(/alert protocol version/);
});

test("TLSEngine as a server does not begin again when openssl s_client asks for it", async () => {
  using listener = listen();
  await using peer = startClient(listener, "-tls1_2");
  using wire = await acceptWire(listener);
  await wire.begin();
  // The client does not put up with that.
  const refused = assertRejects(() => wire.read(), TLSError);
  await peer.type("R\n");
  await peer.printed(/RENEGOTIATING\n/);
  await peer.printed(/no renegotiation/);
  await refused;
});

test("TLSEngine as a server takes new keys when openssl s_client asks for it", async () => {
  using listener = listen();
  await using peer = startClient(listener, "-tls1_3");
  using wire = await acceptWire(listener);
  await wire.begin();
  const reading = wire.readLine();
  // It takes a line with this letter for the wish that both have new keys.
  await peer.type("K\n");
  await peer.printed(/KEYUPDATE\n/);
  await peer.type("with new keys\n");
  assertEquals(await reading, "with new keys\n");
  await wire.write("here as well\n");
  await peer.printed(/here as well\n/);
});

test("TLSContext trusts the certificates that the system names", async () => {
  await using folder = new Folder();
  using listener = Deno.listenTls({ hostname, port: 0, ...identity });
  async function serve(): Promise<void> {
    using socket = await listener.accept();
    await socket.handshake();
    // The program goes without a word.
    await assertRejects(() => socket.read(new Uint8Array(1)));
  }
  const serving = serve();
  const { port } = listener.addr;
  const [context, engine] = ["context", "engine"].map((name) =>
    JSON.stringify(import.meta.resolve(`../../src/net/tls_${name}.ts`))
  );
  const program = `
    import { TLSContext } from ${context};
    import { TLSEngine } from ${engine};
    const engine = new TLSEngine(new TLSContext("client", { hostname: "${hostname}" }));
    const socket = await Deno.connect({ hostname: "${hostname}", port: ${port} });
    const bytes = new Uint8Array(65536);
    for (;;) {
      for (let count; (count = engine.transmit(bytes)) > 0;) {
        await socket.write(bytes.subarray(0, count));
      }
      if (engine.handshakeDone) break;
      engine.receive(bytes.subarray(0, await socket.read(bytes)));
    }
    console.log("trusted");`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-ffi",
      `--allow-net=${hostname}`,
      `data:text/javascript,${encodeURIComponent(program)}`,
    ],
    env: { SSL_CERT_FILE: await folder.write("root.pem", root) },
  }).output();
  assertEquals(decoder.decode(stderr), "");
  assertEquals(decoder.decode(stdout), "trusted\n");
  await serving;
});
