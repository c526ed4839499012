/**
 * The examples' web client: `get()` against Deno's server and against servers
 * that say what no server should, and the program that uses it.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  get,
  type GetOptions,
  getText,
} from "../../examples/net/http_client.ts";
import {
  HeaderTooLongError,
  HttpError,
  MalformedResponseError,
  StatusError,
  TimeLimitError,
  TooManyRedirectsError,
  TruncatedResponseError,
} from "../../examples/net/http_errors.ts";
import { ResponseReceiver } from "../../examples/net/http_response.ts";
import { POSIX } from "../../ffi/constants.ts";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { libc } from "../../ffi/libc.ts";
import { bindSocket, openSocket } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import { openssl as library } from "../../ffi/toolkits/openssl.ts";
import { ConnectionDone, type Reactor } from "../../mod.ts";
import {
  ConnectError,
  ConnectionRefusedError,
  listenSSL,
  NameLookupError,
  type Port,
  type Protocol,
  type TLSOptions,
  type Transport,
} from "../../src/net/mod.ts";
import { until, unusedPort } from "../descriptors.ts";
import { run, startPiped } from "../example_program.ts";
import { testOnBackends } from "../hosts.ts";
import { testToolkit } from "../loops/toolkit.ts";
import {
  Authority,
  Folder,
  type Identity,
  missingOpenssl,
} from "./certificates.ts";
import {
  Checksum,
  Client,
  LOOPBACK,
  numberOf,
  pattern,
  Recorder,
  Server,
} from "./protocols.ts";

// What is opened in a test and stays open would be taken for a leak.
libc();
const missing = await missingOpenssl();
let root: string;
let identity: Identity;
if (missing.length === 0) {
  library();
  const authority = await Authority.root("A root");
  root = authority.identity.cert;
  identity = await authority.issue({ names: `DNS:localhost,IP:${LOOPBACK}` });
}

const CRLF = "\r\n";

/** Declares a test on both backends, whose reactor runs on Deno's loop. */
function test(
  name: string,
  fn: (reactor: Reactor) => Promise<void>,
): void {
  testOnBackends(name, async ({ reactor }) => {
    reactor.interleave();
    await fn(reactor);
  });
}

/** What a {@linkcode Speaker} does when it has said everything. */
type Afterwards = "closes" | "waits" | "resets";

/** A server's protocol that answers every request with the same bytes. */
class Speaker implements Protocol {
  declare transport: Transport;
  /** What it was asked, as bytes of a character each. */
  request = "";
  readonly asked: PromiseWithResolvers<string> = Promise.withResolvers();
  readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly #answer: string;
  readonly #afterwards: Afterwards;

  constructor(answer: string, afterwards: Afterwards = "closes") {
    this.#answer = answer;
    this.#afterwards = afterwards;
  }

  dataReceived(data: Uint8Array): void {
    this.request += String.fromCharCode(...data);
    if (!this.request.endsWith(CRLF + CRLF)) return;
    this.asked.resolve(this.request);
    this.transport.write(bytes(this.#answer));
    if (this.#afterwards === "closes") this.transport.loseConnection();
  }

  /** Ends the connection in the middle of things. */
  reset(): void {
    this.transport.abortConnection();
  }

  connectionLost(reason: Error): void {
    this.lost.resolve(reason);
  }
}

/** A server of one connection after the other, each with its own protocol. */
class Speakers implements AsyncDisposable {
  readonly url: string;
  readonly #port: Port;

  constructor(reactor: Reactor, make: () => Protocol, hostname = LOOPBACK) {
    const server = new Server(reactor, make, { hostname });
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    this.#port = server.port;
    this.url = `http://${host}:${server.number}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#port.stopListening();
  }
}

/** Gets what a server says that says these bytes. */
async function hear(
  reactor: Reactor,
  answer: string,
  options: GetOptions & { afterwards?: Afterwards } = {},
): Promise<Response> {
  const { afterwards, ...rest } = options;
  await using server = new Speakers(
    reactor,
    () => new Speaker(answer, afterwards),
  );
  const response = await get(server.url, { reactor, ...rest });
  const { status, statusText, headers } = response;
  const body = response.body === null ? null : await response.bytes();
  return new Response(body, { status, statusText, headers });
}

/** The bytes of a text whose characters stand for one each. */
function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Deno's own server. */
class DenoServer implements AsyncDisposable {
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(
    handler: (request: Request) => Response | Promise<Response>,
    tls?: Identity,
  ) {
    const options = { hostname: LOOPBACK, port: 0, onListen() {}, ...tls };
    this.#server = Deno.serve(options, handler);
    const scheme = tls === undefined ? "http" : "https";
    this.url = `${scheme}://${LOOPBACK}:${this.#server.addr.port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Waits until nothing is left: no timer, and no connection but the ports. */
async function idle(reactor: Reactor, { ports = 0 } = {}): Promise<void> {
  await until(() =>
    reactor.getDelayedCalls().length === 0 &&
    reactor.getReaders().length === ports
  );
}

// Pages

test("get() gets what Deno.serve() serves", async (reactor) => {
  const page = "<p>Ein Käfer, 🐞</p>\n".repeat(1000);
  await using server = new DenoServer(({ url, headers }) => {
    const { pathname, search } = new URL(url);
    if (pathname === "/page") return new Response(page);
    if (pathname === "/empty") return new Response("");
    if (pathname === "/none") return new Response(null, { status: 204 });
    if (pathname === "/chunks") {
      return new Response(
        ReadableStream.from([page, "", page])
          .pipeThrough(new TextEncoderStream()),
      );
    }
    return Response.json({ search, x: headers.get("x") }, { status: 418 });
  });
  const text = (path: string) => getText(server.url + path, { reactor });
  assertEquals(await text("page"), page);
  assertEquals(await text("empty"), "");
  assertEquals(await text("chunks"), page + page);
  const none = await get(`${server.url}none`, { reactor });
  assertEquals([none.status, none.body], [204, null]);
  const teapot = await get(new URL(`${server.url}a%20b?c=d#e`), {
    reactor,
    headers: { x: "y" },
  });
  assertEquals(teapot.status, 418);
  assertEquals(teapot.statusText, "I'm a teapot");
  assertEquals(teapot.headers.get("content-type"), "application/json");
  assertEquals(await teapot.json(), { search: "?c=d", x: "y" });
  await assertRejects(() => text("teapot"), StatusError, "418 I'm a teapot");
  await idle(reactor);
});

test("get() gets 20 MB in chunks, to the last byte", async (reactor) => {
  const data = pattern(20_000_000);
  const expected = new Checksum();
  expected.add(data);
  await using server = new DenoServer(() =>
    new Response(new Blob([data]).stream())
  );
  const { body, headers } = await get(server.url, { reactor });
  assertEquals(headers.get("transfer-encoding"), "chunked");
  const sum = new Checksum();
  for await (const part of body!) sum.add(part);
  assertEquals(`${sum}`, `${expected}`);
  await idle(reactor);
});

test("get() asks for what it is told to, and for nothing else", async (reactor) => {
  const speaker = new Speaker(`HTTP/1.1 204 No Content${CRLF}${CRLF}`);
  await using server = new Speakers(reactor, () => speaker);
  const { host } = new URL(server.url);
  await get(`${server.url}a b/ü?q=1&r=é#part`, {
    reactor,
    headers: {
      Accept: "text/html",
      Connection: "keep-alive",
      "Content-Length": "5",
      Host: "elsewhere",
      "Transfer-Encoding": "chunked",
      "X-Latin": "é",
    },
  });
  assertEquals(speaker.request.split(CRLF), [
    "GET /a%20b/%C3%BC?q=1&r=%C3%A9 HTTP/1.1",
    `Host: ${host}`,
    "Connection: close",
    "accept: text/html",
    "x-latin: é",
    "",
    "",
  ]);
});

test("get() leaves with the server what nobody reads", async (reactor) => {
  class Slow extends ResponseReceiver {
    received = 0;
    readonly paused: PromiseWithResolvers<void> = Promise.withResolvers();

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      this.received += data.length;
      super.dataReceived(data);
    }

    override pauseProducing(): void {
      this.paused.resolve();
      super.pauseProducing();
    }
  }
  const data = pattern(20_000_000);
  const header =
    `HTTP/1.1 200 OK${CRLF}Content-Length: ${data.length}${CRLF}${CRLF}`;
  const server = new Server(reactor, () =>
    new Recorder({
      made: ({ transport }) => {
        transport.writeSequence([header, data]);
        transport.loseConnection();
      },
    }));
  const receiver = new Slow(bytes("GET / HTTP/1.1\r\n\r\n"));
  new Client(reactor, server.number, () => receiver);
  const response = await receiver.response;
  await receiver.paused.promise;
  assertLessOrEqual(receiver.received, 3 * 65_536);
  const sum = new Checksum();
  for await (const part of response.body!) sum.add(part);
  const expected = new Checksum();
  expected.add(data);
  assertEquals(`${sum}`, `${expected}`);
  await receiver.ended;
});

const hasIPv6 = canBind("::1");
if (!hasIPv6) console.log("get() by IPv6: not run, because there is no ::1");

for (const hostname of hasIPv6 ? ["localhost", "::1"] : ["localhost"]) {
  test(`get() finds ${hostname}`, async (reactor) => {
    const speaker = new Speaker(
      `HTTP/1.1 200 OK${CRLF}Content-Length: 4${CRLF}${CRLF}page`,
    );
    const isName = hostname === "localhost";
    await using server = new Speakers(
      reactor,
      () => speaker,
      isName ? LOOPBACK : hostname,
    );
    const url = isName ? server.url.replace(LOOPBACK, hostname) : server.url;
    assertEquals(await getText(url, { reactor }), "page");
    assertStringIncludes(speaker.request, `Host: ${new URL(url).host}${CRLF}`);
  });
}

/** Whether an address of IPv6 is there. */
function canBind(hostname: string): boolean {
  let fd = -1;
  try {
    fd = openSocket(POSIX.AF_INET6, POSIX.SOCK_STREAM);
    bindSocket(fd, SocketAddress.internet(hostname, 0));
    return true;
  } catch {
    return false;
  } finally {
    if (fd >= 0) closeDescriptor(fd);
  }
}

// What a response may look like

/** How a response is understood: its status, header and body. */
interface Understood {
  readonly status?: number;
  readonly statusText?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | null;
}

const UNDERSTOOD: Record<string, [answer: string, Understood]> = {
  "a body until the end": [
    "HTTP/1.1 200 OK\r\n\r\nto the\r\nend",
    { statusText: "OK", body: "to the\r\nend" },
  ],
  "version 1.0": [
    "HTTP/1.0 404 Not Found\r\nContent-Length: 3\r\n\r\nnone",
    { status: 404, statusText: "Not Found", body: "non" },
  ],
  "a status without words": [
    "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    { statusText: "", body: "" },
  ],
  "words that are no ASCII": [
    "HTTP/1.1 200 gr\xfc\xdf dich\r\nX: \xe0 la \xa0\r\n\r\n",
    { statusText: "gr\xfc\xdf dich", headers: { x: "\xe0 la \xa0" }, body: "" },
  ],
  "lines without a carriage return": [
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\none\n0\n\n",
    { body: "one" },
  ],
  "chunks with extensions, zeros, capitals and a trailer": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 1\r\n\r\n" +
    "00003 ;name=value\r\none\r\nB\r\n two\r\nthree\r\n000\r\nX: y\r\n\r\nmore",
    { body: "one two\r\nthree" },
  ],
  "interim responses before it": [
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: no\r\n\r\n" +
    "HTTP/1.1 200 OK\r\nY: yes\r\nContent-Length: 4\r\n\r\npage",
    { headers: { y: "yes" }, body: "page" },
  ],
  "fields that are repeated, empty, and folded": [
    "HTTP/1.1 200 OK\r\nA: 1\r\na:2\t\r\nB:\r\nC: x\r\n \ty\r\n z\r\n" +
    "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    { headers: { a: "1, 2", b: "", c: "x y z" }, body: "ok" },
  ],
  "a status that has no body": [
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
    { status: 304, body: null },
  ],
};

for (const [name, [answer, understood]] of Object.entries(UNDERSTOOD)) {
  test(`get() understands ${name}`, async (reactor) => {
    const { status, statusText, headers, body } = understood;
    const response = await hear(reactor, answer);
    assertEquals(response.status, status ?? 200);
    if (statusText !== undefined) assertEquals(response.statusText, statusText);
    for (const [field, value] of Object.entries(headers ?? {})) {
      assertEquals(response.headers.get(field), value, field);
    }
    assertStrictEquals(
      response.body === null ? null : await response.text(),
      body,
    );
    await idle(reactor);
  });
}

test("get() understands a response wherever it is cut", async (reactor) => {
  const [answer] = UNDERSTOOD[
    "chunks with extensions, zeros, capitals and a trailer"
  ]!;
  for (let size = 1; size < answer.length; size++) {
    const server = new Server(reactor, () => new Recorder());
    const receiver = new ResponseReceiver(bytes("GET / HTTP/1.1\r\n\r\n"));
    const made = Promise.withResolvers<void>();
    const client = new Client(reactor, server.number, () => {
      made.resolve();
      return receiver;
    });
    await made.promise;
    await server.port.stopListening();
    // As the transport would, were the network like this.
    for (let at = 0; at < answer.length; at += size) {
      receiver.dataReceived(bytes(answer.slice(at, at + size)));
    }
    const text = await (await receiver.response).text();
    assertEquals(text, "one two\r\nthree", `in pieces of ${size}`);
    assertInstanceOf(await client.lost.promise, ConnectionDone);
  }
});

// What a response must not look like

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

const MALFORMED: [answer: string, message: string][] = [
  ["HTTP/2 200 OK\r\n\r\n", 'no status of HTTP/1.1: "HTTP/2 200 OK"'],
  ["HTTP/1.1  200 OK\r\n\r\n", "no status of HTTP/1.1"],
  ["HTTP/1.1 20 OK\r\n\r\n", "no status of HTTP/1.1"],
  ["HTTP/1.1 600 OK\r\n\r\n", "no status of HTTP/1.1"],
  ["HTTP/1.1 200OK\r\n\r\n", "no status of HTTP/1.1"],
  ["HTTP/1.1 200 \x07\r\n\r\n", "no status of HTTP/1.1"],
  ["\r\n", 'no status of HTTP/1.1: ""'],
  ["220 mail.example ready\r\n", "no status of HTTP/1.1"],
  ["HTTP/1.1 101 Switching\r\n\r\n", "nobody asked for another protocol"],
  [`${OK}Name\r\n\r\n`, 'no field of a header: "Name"'],
  [`${OK}Name : value\r\n\r\n`, "no field of a header"],
  [`${OK}: value\r\n\r\n`, "no field of a header"],
  [`${OK}N\xe4me: value\r\n\r\n`, "no field of a header"],
  [`${OK} folded\r\n\r\n`, "the header begins with a space"],
  [`${OK}A: b\0c\r\n\r\n`, "a control character"],
  [`${OK}A: b\rc\r\n\r\n`, "a control character"],
  [`${OK}Content-Length: x\r\n\r\n`, 'no content length: "x"'],
  [`${OK}Content-Length: -1\r\n\r\n`, "no content length"],
  [`${OK}Content-Length: +1\r\n\r\n`, "no content length"],
  [`${OK}Content-Length: 0x1\r\n\r\n`, "no content length"],
  [`${OK}Content-Length:\r\n\r\n`, "no content length"],
  [`${OK}Content-Length: 1, 2\r\n\r\n`, 'no content length: "1, 2"'],
  [`${OK}Content-Length: 9007199254740993\r\n\r\n`, "nothing is as long"],
  [`${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`, "this transfer coding"],
  [`${OK}Transfer-Encoding:\r\n\r\n`, "this transfer coding"],
  [
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "this transfer coding",
  ],
];

test("get() fails when the header is malformed", async (reactor) => {
  for (const [answer, message] of MALFORMED) {
    // The server would wait for ever: the client has to see it by itself.
    const speaker = new Speaker(answer, "waits");
    await using server = new Speakers(reactor, () => speaker);
    await assertRejects(
      () => get(server.url, { reactor }),
      MalformedResponseError,
      message,
    );
    await speaker.lost.promise;
  }
  await idle(reactor);
});

const MALFORMED_BODIES: [body: string, message: string][] = [
  ["x\r\n", 'no size of a chunk: "x"'],
  ["\r\n", 'no size of a chunk: ""'],
  ["-1\r\n", "no size of a chunk"],
  ["0x3\r\none", "no size of a chunk"],
  ["3 3\r\none", "no size of a chunk"],
  [`${"f".repeat(20)}\r\n`, "nothing is as long"],
  ["3\r\nfour\r\n", "a chunk is longer than its size"],
  ["3\r\none\r\nbag\r\n", "no size of a chunk"],
];

test("get() fails when a chunk is malformed", async (reactor) => {
  for (const [body, message] of MALFORMED_BODIES) {
    const speaker = new Speaker(CHUNKED + body, "waits");
    await using server = new Speakers(reactor, () => speaker);
    const response = await get(server.url, { reactor });
    await assertRejects(
      () => response.text(),
      MalformedResponseError,
      message,
    );
    await speaker.lost.promise;
  }
  await idle(reactor);
});

test("get() fails when the header is too long", async (reactor) => {
  const long = "x".repeat(100_000);
  for (
    const [answer, message] of [
      [long, "the status line is longer than 65536 bytes"],
      [`HTTP/1.1 200 ${long}\r\n`, "the status line is longer"],
      [`${OK}A: ${long}`, "the header is longer"],
      [OK + "A: 0123456789\r\n".repeat(5000), "the header is longer"],
      ["HTTP/1.1 100 Continue\r\n\r\n".repeat(5000), "is longer than 65536"],
    ] as [string, string][]
  ) {
    const speaker = new Speaker(answer, "waits");
    await using server = new Speakers(reactor, () => speaker);
    await assertRejects(
      () => get(server.url, { reactor }),
      HeaderTooLongError,
      message,
    );
    await speaker.lost.promise;
  }
  for (
    const [rest, message] of [
      [`3;${long}`, "the size of a chunk is longer"],
      ["0\r\n" + "A: 0123456789\r\n".repeat(5000), "the trailer is longer"],
    ] as [string, string][]
  ) {
    await assertRejects(
      () => hear(reactor, CHUNKED + rest, { afterwards: "waits" }),
      HeaderTooLongError,
      message,
    );
  }
});

test("get() takes a header of exactly `maxHeaderSize` bytes", async (reactor) => {
  const header = `${OK}Content-Length: 0\r\n\r\n`;
  const maxHeaderSize = header.length;
  assertEquals((await hear(reactor, header, { maxHeaderSize })).status, 200);
  await assertRejects(
    () => hear(reactor, header, { maxHeaderSize: maxHeaderSize - 1 }),
    HeaderTooLongError,
    `longer than ${maxHeaderSize - 1} bytes`,
  );
});

const TRUNCATED: [answer: string, where: string][] = [
  ["", "the status line"],
  ["HTTP/1.1 20", "the status line"],
  [OK, "the header"],
  [`${OK}Content-Le`, "the header"],
  [`HTTP/1.1 100 Continue\r\n\r\n`, "the status line"],
  [`${OK}Content-Length: 5\r\n\r\n`, "the body"],
  [`${OK}Content-Length: 5\r\n\r\npage`, "the body"],
  [CHUNKED, "the size of a chunk"],
  [`${CHUNKED}5\r\npage`, "the body"],
  [`${CHUNKED}4\r\npage`, "the end of a chunk"],
  [`${CHUNKED}4\r\npage\r\n`, "the size of a chunk"],
  [`${CHUNKED}4\r\npage\r\n0\r\n`, "the trailer"],
];

test("get() fails when the connection ends before the response does", async (reactor) => {
  for (const [answer, where] of TRUNCATED) {
    const error = await assertRejects(
      () => hear(reactor, answer),
      TruncatedResponseError,
      `the connection ended before ${where} did`,
    );
    assertInstanceOf(error, HttpError);
    assertInstanceOf(error.cause, ConnectionDone);
  }
  await idle(reactor);
});

test("get() fails when the connection is reset, whatever the length", async (reactor) => {
  for (const header of ["Content-Length: 100\r\n", ""]) {
    const speaker = new Speaker(`${OK}${header}\r\npage`, "waits");
    await using server = new Speakers(reactor, () => speaker);
    const { body } = await get(server.url, { reactor });
    const reader = body!.getReader();
    assertEquals((await reader.read()).value, bytes("page"));
    speaker.reset();
    const error = await assertRejects(
      () => reader.read(),
      TruncatedResponseError,
      "before the body did",
    );
    assertEquals((error.cause as Error).name, "ConnectionLost");
  }
});

// Where to

test("get() fails as connections do, and refuses other addresses", async (reactor) => {
  const refused = `http://${LOOPBACK}:${unusedPort()}/`;
  await assertRejects(() => get(refused, { reactor }), ConnectionRefusedError);
  await assertRejects(
    () => get("http://name.invalid/", { reactor }),
    NameLookupError,
  );
  await assertRejects(() => get("here", { reactor }), TypeError, "here");
  await assertRejects(
    () => get("ftp://127.0.0.1/", { reactor }),
    TypeError,
    'Cannot get "ftp://127.0.0.1/": its scheme must be "http" or "https"',
  );
  await idle(reactor);
});

test("get() follows redirects, up to a number", async (reactor) => {
  await using server = new DenoServer(({ url }) => {
    const { pathname, origin } = new URL(url);
    const [, status, left] = pathname.split("/").map(Number);
    if (left === 0) return new Response(pathname);
    return new Response("elsewhere", {
      status,
      headers: {
        location: left! % 2 === 0
          ? `${origin}/${status}/${left! - 1}`
          : `../${status}/${left! - 1}#part`,
      },
    });
  });
  for (const status of [301, 302, 303, 307, 308]) {
    const response = await get(`${server.url}${status}/5`, { reactor });
    assertEquals(await response.text(), `/${status}/0`);
    assertEquals(response.url, `${server.url}${status}/0#part`);
  }
  await assertRejects(
    () => get(`${server.url}301/6`, { reactor }),
    TooManyRedirectsError,
    `Cannot get "${server.url}301/6": there are more than 5 redirects`,
  );
  await assertRejects(
    () => get(`${server.url}301/1`, { reactor, redirects: 0 }),
    TooManyRedirectsError,
  );
  await idle(reactor);
});

test("get() does not follow where it cannot", async (reactor) => {
  const redirect = (location: string) =>
    `HTTP/1.1 302 Found\r\n${location}Content-Length: 4\r\n\r\npage`;
  // Nobody says where to: that is all there is.
  const response = await hear(reactor, redirect(""));
  assertEquals([response.status, await response.text()], [302, "page"]);
  for (const location of ["http://[/", "ftp://127.0.0.1/", "data:,page"]) {
    await assertRejects(
      () => hear(reactor, redirect(`Location: ${location}\r\n`)),
      MalformedResponseError,
      `it leads to "${location}"`,
    );
  }
  await idle(reactor);
});

test("get() does not tell another server what was meant for the first", async (reactor) => {
  const asked: (string | null)[][] = [];
  const remember = ({ url, headers }: Request) => {
    const names = ["authorization", "cookie", "x"];
    asked.push([new URL(url).pathname, ...names.map((n) => headers.get(n))]);
  };
  await using other = new DenoServer((request) => {
    remember(request);
    return new Response("page");
  });
  await using server = new DenoServer((request) => {
    remember(request);
    const isFirst = new URL(request.url).pathname === "/";
    const location = isFirst ? "/second" : `${other.url}third`;
    return new Response(null, { status: 302, headers: { location } });
  });
  const headers = { authorization: "me", cookie: "a=b", x: "y" };
  const response = await get(server.url, { reactor, headers });
  assertEquals(await response.text(), "page");
  assertEquals(asked, [
    ["/", "me", "a=b", "y"],
    ["/second", "me", "a=b", "y"],
    ["/third", null, null, "y"],
  ]);
});

// Early ends

test("get() gives up when its time is over, before and inside the body", async (reactor) => {
  for (const answer of ["", OK]) {
    const speaker = new Speaker(answer, "waits");
    await using server = new Speakers(reactor, () => speaker);
    await assertRejects(
      () => get(server.url, { reactor, timeout: 20 }),
      TimeLimitError,
      `Cannot get "${server.url}": it has taken longer than 20 ms`,
    );
    await speaker.lost.promise;
  }
  let speaker!: Speaker;
  await using server = new Speakers(
    reactor,
    () => speaker = new Speaker(`${OK}\r\npage`, "waits"),
  );
  const response = await getInTime(server.url, reactor);
  await assertRejects(() => response.text(), TimeLimitError);
  await speaker.lost.promise;
  await idle(reactor, { ports: 1 });
});

/** Allows so much time that the header comes, however slow the machine is. */
async function getInTime(url: string, reactor: Reactor): Promise<Response> {
  for (let timeout = 50;; timeout *= 2) {
    try {
      return await get(url, { reactor, timeout });
    } catch (error) {
      assertInstanceOf(error, TimeLimitError);
    }
  }
}

test("get() stops when it is aborted, wherever it is", async (reactor) => {
  const reason = new Error("on purpose");
  const aborted = AbortSignal.abort(reason);
  const isReason = async (promise: Promise<unknown>) =>
    assertStrictEquals(await promise.catch((error) => error), reason);
  await isReason(get("http://name.invalid/", { reactor, signal: aborted }));

  // While it connects.
  const early = new AbortController();
  let speaker!: Speaker;
  await using server = new Speakers(
    reactor,
    () => speaker = new Speaker(`${OK}\r\npage`, "waits"),
  );
  const connecting = get(server.url, { reactor, signal: early.signal });
  early.abort(reason);
  await isReason(connecting);
  await idle(reactor, { ports: 1 });

  // While it waits for the header.
  const mute = new Speaker("", "waits");
  await using silence = new Speakers(reactor, () => mute);
  const waiting = new AbortController();
  const waits = get(silence.url, { reactor, signal: waiting.signal });
  await mute.asked.promise;
  waiting.abort(reason);
  await isReason(waits);
  await mute.lost.promise;

  // While it reads the body.
  const late = new AbortController();
  const { body } = await get(server.url, { reactor, signal: late.signal });
  const reader = body!.getReader();
  await reader.read();
  late.abort(reason);
  await isReason(reader.read());
  await speaker.lost.promise;
});

test("get() heeds no signal after the end", async (reactor) => {
  const controller = new AbortController();
  await using server = new DenoServer(() => new Response("page"));
  const { signal } = controller;
  const response = await get(server.url, { reactor, signal });
  assertEquals(await response.text(), "page");
  await idle(reactor);
  controller.abort();
  assertEquals(response.status, 200);
});

test("get() ends the connection when nobody wants the body any more", async (reactor) => {
  const speaker = new Speaker(`${OK}\r\npage`, "waits");
  await using server = new Speakers(reactor, () => speaker);
  const response = await get(server.url, { reactor });
  await response.body!.cancel();
  await speaker.lost.promise;
  await assertRejects(
    () => {
      const other = new Speaker("HTTP/1.1 500 Oh\r\n\r\n", "waits");
      const server = new Server(reactor, () => other);
      const url = `http://${LOOPBACK}:${server.number}/`;
      return getText(url, { reactor }).finally(async () => {
        await other.lost.promise;
        await server.port.stopListening();
      });
    },
    StatusError,
    "500 Oh",
  );
});

test("get() hears of the reactor's end", async (reactor) => {
  const speaker = new Speaker(`${OK}\r\npage`, "waits");
  const server = new Speakers(reactor, () => speaker);
  const response = await get(server.url, { reactor });
  const reader = response.body!.getReader();
  await reader.read();
  reactor.stop();
  await assertRejects(() => reader.read(), TruncatedResponseError);
});

// Compressed

test("get() has the page compressed, and reads it, if it is asked to", async (reactor) => {
  const page = "<p>Over and over again</p>\n".repeat(10_000);
  await using server = new DenoServer(async ({ headers }) => {
    if (!headers.get("accept-encoding")?.includes("gzip")) {
      return new Response(page);
    }
    const zipped = new Blob([page]).stream()
      .pipeThrough(new CompressionStream("gzip"));
    return new Response(await new Response(zipped).bytes(), {
      headers: { "content-encoding": "gzip" },
    });
  });
  assertEquals(await getText(server.url, { reactor }), page);
  const response = await get(server.url, { reactor, gzip: true });
  assertEquals(await response.text(), page);
  assertEquals(response.headers.get("content-encoding"), null);
  assertEquals(response.headers.get("content-length"), null);
  assertEquals(response.url, server.url);
  await idle(reactor);
});

test("get() fails when the compressed page is none, or ends too early", async (reactor) => {
  const header = `${OK}Content-Encoding: gzip\r\n`;
  const speaker = new Speaker(`${header}\r\nthis is no gzip`, "waits");
  await using server = new Speakers(reactor, () => speaker);
  await assertRejects(
    () => getText(server.url, { reactor, gzip: true }),
    TypeError,
  );
  await speaker.lost.promise;
  await assertRejects(
    () => hear(reactor, `${header}Content-Length: 9\r\n\r\n`, { gzip: true }),
    TruncatedResponseError,
  );
  // Whoever has not asked for it gets what was sent.
  const response = await hear(reactor, `${header}\r\nthis is no gzip`);
  assertEquals(await response.text(), "this is no gzip");
});

// TLS

/** Declares such a test that needs certificates. */
function testTLS(name: string, fn: (reactor: Reactor) => Promise<void>): void {
  if (missing.length === 0) test(name, fn);
  else testToolkit(name, missing, () => Promise.resolve());
}

/** Listens with TLS, for one connection. */
function listenTLS(
  reactor: Reactor,
  protocol: Protocol,
  tls: TLSOptions = identity,
): Port {
  return listenSSL(0, { buildProtocol: () => protocol }, {
    hostname: LOOPBACK,
    reactor,
    tls,
  });
}

testTLS("get() gets 20 MB by TLS, to the last byte", async (reactor) => {
  const data = pattern(20_000_000);
  const expected = new Checksum();
  expected.add(data);
  await using server = new DenoServer(() => new Response(data), identity);
  const { body } = await get(server.url, { reactor, caCerts: [root] });
  const sum = new Checksum();
  for await (const part of body!) sum.add(part);
  assertEquals(`${sum}`, `${expected}`);
  await idle(reactor);
});

testTLS(
  "get() follows from plain to TLS, and checks the certificate",
  async (reactor) => {
    await using secure = new DenoServer(() => new Response("secret"), identity);
    await using plain = new DenoServer(() => Response.redirect(secure.url));
    const options = { reactor, caCerts: [root] };
    const response = await get(plain.url, options);
    assertEquals(await response.text(), "secret");
    assertEquals(response.url, secure.url);
    // The system knows nothing of this authority.
    const error = await assertRejects(
      () => get(plain.url, { reactor }),
      ConnectError,
      "Cannot verify the certificate",
    );
    assertEquals((error.cause as Error).name, "TLSError");
  },
);

testTLS(
  "get() fails when the certificate is another host's",
  async (reactor) => {
    const authority = await Authority.root("Another root");
    const { cert } = authority.identity;
    const other = await authority.issue({ names: "DNS:other.example" });
    await using server = new DenoServer(() => new Response("secret"), other);
    for (const url of [server.url, server.url.replace(LOOPBACK, "localhost")]) {
      await assertRejects(
        () => get(url, { reactor, caCerts: [cert] }),
        ConnectError,
        "mismatch",
      );
    }
  },
);

testTLS(
  "get() takes no plain server for one with TLS, nor the reverse",
  async (reactor) => {
    await using plain = new DenoServer(() => new Response("page"));
    await assertRejects(
      () => get(plain.url.replace("http", "https"), { reactor }),
      ConnectError,
      "TLS",
    );
    const speaker = new Speaker(OK);
    const port = listenTLS(reactor, speaker);
    await assertRejects(
      () => get(`http://${LOOPBACK}:${numberOf(port)}/`, { reactor }),
      HttpError,
    );
    await port.stopListening();
  },
);

testTLS(
  "get() takes a body until the end by TLS only if it ends in order",
  async (reactor) => {
    for (const afterwards of ["closes", "resets"] as const) {
      const speaker = new Speaker(`${OK}\r\npage`, afterwards);
      const port = listenTLS(reactor, speaker);
      const url = `https://${LOOPBACK}:${numberOf(port)}/`;
      const { body } = await get(url, { reactor, caCerts: [root] });
      const reader = body!.getReader();
      assertEquals((await reader.read()).value, bytes("page"));
      if (afterwards === "closes") {
        assertEquals((await reader.read()).done, true);
      } else {
        speaker.reset();
        await assertRejects(() => reader.read(), TruncatedResponseError);
      }
      await speaker.lost.promise;
      await port.stopListening();
    }
  },
);

// The program

Deno.test("web_client.ts prints the page, and the header beside it", async () => {
  await using server = new DenoServer(({ url }) => {
    const { pathname } = new URL(url);
    const headers = { date: "now", location: "/page" };
    return pathname === "/page"
      ? new Response("Grüße\n".repeat(100_000), { headers: { date: "now" } })
      : new Response(null, { status: 301, headers });
  });
  const output = await run(startPiped, "net/web_client.ts", {
    args: [server.url],
    through: 'exec "$@" 2>&1',
  });
  const [header, page] = output.split("\n\n");
  assertMatch(header!, new RegExp(`^${server.url}page\n200 OK\n`));
  assertMatch(header!, /^content-type: text\/plain/m);
  assertStrictEquals(page, "Grüße\n".repeat(100_000));
});

Deno.test("web_client.ts says what went wrong", async () => {
  const port = unusedPort();
  for (
    const [args, complaint] of [
      [[], "Which page? Give its address behind the command."],
      [["page"], "Invalid URL: 'page'"],
      [
        [`http://${LOOPBACK}:${port}/`],
        `Cannot connect to ${LOOPBACK}:${port}: connection refused (ECONNREFUSED)`,
      ],
    ] as [string[], string][]
  ) {
    const output = await run(startPiped, "net/web_client.ts", {
      args,
      status: 1,
      complaints: `${complaint}\n`,
    });
    assertEquals(output, "");
  }
});

testToolkit(
  "web_client.ts trusts those whom the system trusts, and nobody else",
  missing,
  async () => {
    await using server = new DenoServer(() => new Response("page"), identity);
    await using folder = new Folder();
    const args = [server.url];
    const through = 'exec "$@" 2>&1';
    const trusting = await run(startPiped, "net/web_client.ts", {
      args,
      through,
      // Where OpenSSL looks for the certificates that the system trusts.
      env: { SSL_CERT_FILE: await folder.write("root.pem", root) },
    });
    assert(trusting.endsWith("\n\npage"), trusting);
    const wary = await run(startPiped, "net/web_client.ts", {
      args,
      through,
      status: 1,
    });
    assertStringIncludes(wary, "Cannot verify the certificate");
  },
);
