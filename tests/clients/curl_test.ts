/**
 * Downloads through libcurl, from a server of Deno's.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  Curl,
  CurlError,
  curlVersion,
  fetchAll,
} from "../../examples/clients/curl.ts";
import { libc } from "../../ffi/libc.ts";
import { Reactor, ReactorNotRunning } from "../../mod.ts";
import { macrotask, until, unusedPort } from "../descriptors.ts";
import { run, SIGINT, startPiped } from "../example_program.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { missingPackages, testToolkit } from "../loops/toolkit.ts";
import { BlackHole } from "../net/black_hole.ts";
import { Folder, type Identity } from "../net/certificates.ts";
import { authority, identity, missingTLS } from "../net/peers/identity.ts";
import { pattern } from "../net/protocols.ts";
import { testWithReactor } from "./with_reactor.ts";

const missing = await missingPackages({
  libraries: { "libcurl.so.4": "libcurl4" },
  windows: false,
});

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) curlVersion();

const HOST = "127.0.0.1";

/** A server that a test has to itself. */
function serve(
  handler: (request: Request, port: number) => Response | Promise<Response>,
  tls?: Identity,
): { url: string; [Symbol.asyncDispose](): Promise<void> } {
  const end = new AbortController();
  const server = Deno.serve(
    { hostname: HOST, port: 0, onListen() {}, signal: end.signal, ...tls },
    (request, { remoteAddr }) =>
      handler(request, (remoteAddr as Deno.NetAddr).port),
  );
  return {
    url: `${tls ? "https" : "http"}://${HOST}:${server.addr.port}/`,
    async [Symbol.asyncDispose]() {
      end.abort();
      await server.finished;
    },
  };
}

/** What bytes say. */
function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** A server that answers nobody, and tells when somebody has asked. */
function serveSilence() {
  const asked = Promise.withResolvers<void>();
  const { promise: never } = Promise.withResolvers<Response>();
  const server = serve(() => {
    asked.resolve();
    return never;
  });
  return Object.assign(server, { asked: asked.promise });
}

testWithReactor(
  "fetchAll() has a hundred downloads under way at once, and keeps their order",
  missing,
  async ({ reactor }) => {
    const all = Promise.withResolvers<void>();
    const ports = new Set<number>();
    await using server = serve(async ({ url }, port) => {
      if (ports.add(port).size === 100) all.resolve();
      await all.promise; // One after the other would wait for ever.
      return new Response(new URL(url).pathname);
    });
    const urls = Array.from({ length: 100 }, (_, i) => `${server.url}${i}`);
    const pages = await fetchAll(urls, { reactor });
    assertEquals(
      pages.map(({ status, url, body }) => ({ status, url, path: text(body) })),
      urls.map((url, i) => ({ status: 200, url, path: `/${i}` })),
    );
  },
);

testWithReactor(
  "bodies of all sizes come byte for byte, whole and in chunks",
  missing,
  async ({ reactor }) => {
    const sizes = [0, 1, 1000, 65_536, 5_000_001];
    await using server = serve(({ url }) => {
      const { pathname, search } = new URL(url);
      const data = pattern(Number(pathname.slice(1)));
      return new Response(search === "" ? data : new Blob([data]).stream());
    });
    const urls = sizes.flatMap((
      size,
    ) => [`${server.url}${size}`, `${server.url}${size}?chunks`]);
    const pages = await fetchAll(urls, { reactor });
    for (const [i, { body }] of pages.entries()) {
      const data = pattern(sizes[Math.floor(i / 2)]!);
      assertEquals(body.length, data.length);
      assert(body.every((byte, at) => byte === data[at]));
    }
  },
);

testWithReactor(
  "download() sends headers, follows redirects and tells the last answer's headers",
  missing,
  async ({ reactor }) => {
    await using server = serve(({ url, headers }) => {
      const { pathname } = new URL(url);
      if (pathname === "/from") {
        return new Response("elsewhere", {
          status: 302,
          headers: { location: "/to", "x-first": "1" },
        });
      }
      return new Response(`${headers.get("x-asked")} ${pathname}`, {
        status: pathname === "/to" ? 203 : 404,
        headers: [["x-many", "one"], ["x-many", "two"]],
      });
    });
    using curl = new Curl({ reactor });
    const headers = { "X-Asked": "politely" };
    const page = await curl.download(`${server.url}from`, { headers });
    assertEquals(text(page.body), "politely /to");
    assertEquals(page.url, `${server.url}to`);
    assertEquals(page.status, 203);
    assertEquals(page.headers.get("x-first"), null);
    assertEquals(page.headers.get("x-many"), "one, two");

    const first = await curl.download(`${server.url}from`, { redirects: 0 });
    assertEquals([first.status, text(first.body)], [302, "elsewhere"]);
    const none = await curl.download(new URL("nowhere", server.url));
    assertEquals([none.status, text(none.body)], [404, "null /nowhere"]);
  },
);

testWithReactor(
  "a Curl uses its connections again, and opens no more than it may",
  missing,
  async ({ reactor }) => {
    const ports = new Set<number>();
    await using server = serve((_request, port) => {
      ports.add(port);
      return new Response("page");
    });
    using curl = new Curl({ reactor, connections: 3 });
    for (let round = 0; round < 2; round++) {
      const downloads = Array.from(
        { length: 30 },
        () => curl.download(server.url),
      );
      assertEquals((await Promise.all(downloads)).length, 30);
    }
    assertEquals(ports.size, 3);
  },
);

testWithReactor(
  "one that fails says why, and fetchAll() gives the others up",
  missing,
  async ({ reactor }) => {
    await using server = serveSilence();
    const refused = `http://${HOST}:${unusedPort()}/`;
    const error = await assertRejects(
      () => fetchAll([server.url, refused, server.url], { reactor }),
      CurlError,
      "Failed to connect",
    );
    assertEquals(error.code, 7);
    for (
      const [url, code] of [["nonsense://x/", 1], ["file:///etc/passwd", 1]]
        .concat([["http://[", 3]]) as [string, number][]
    ) {
      const { code: found } = await assertRejects(
        () => fetchAll([url], { reactor }),
        CurlError,
      );
      assertEquals(found, code, url);
    }
  },
);

testWithReactor(
  "download() ends when its time is over, its signal aborts, or it gets too long",
  missing,
  async ({ reactor }) => {
    await using silence = serveSilence();
    await using server = serve(() => new Response(pattern(100_000)));
    using curl = new Curl({ reactor });
    const { code } = await assertRejects(
      () => curl.download(silence.url, { timeout: 20 }),
      CurlError,
      "timed out",
    );
    assertEquals(code, 28);

    const abort = new AbortController();
    const { signal } = abort;
    const aborted = curl.download(silence.url, { signal });
    const reason = new Error("enough");
    await macrotask();
    abort.abort(reason);
    assertStrictEquals(await assertRejects(() => aborted), reason);
    const late = () => curl.download(server.url, { signal });
    assertStrictEquals(await assertRejects(late), reason);

    await assertRejects(
      () => curl.download(server.url, { limit: 99_999 }),
      RangeError,
      "99999 bytes",
    );
    const { body } = await curl.download(server.url, { limit: 100_000 });
    assertEquals(body.length, 100_000);
  },
);

testWithReactor(
  "download() trusts the certificates that it is given, and no others",
  [...missing, ...missingTLS],
  async ({ reactor }) => {
    await using folder = new Folder();
    const { cert } = authority.identity;
    const caFile = await folder.write("root.pem", cert);
    await using server = serve(({ url }) => new Response(url), identity);
    using curl = new Curl({ reactor });
    // A name, for which libcurl starts a thread.
    const url = server.url.replace(HOST, "localhost");
    const page = await curl.download(url, { caFile });
    assertEquals([page.status, text(page.body)], [200, url]);
    using another = new Curl({ reactor });
    const { code } = await assertRejects(
      () => another.download(server.url),
      CurlError,
      "certificate",
    );
    assertEquals(code, 60);
  },
);

testWithReactor(
  "a connection that is being made is waited for, and libcurl is told",
  missing,
  async ({ reactor }) => {
    using hole = new BlackHole();
    using curl = new Curl({ reactor });
    const abort = new AbortController();
    const rejected = assertRejects(
      () =>
        curl.download(`http://${HOST}:${hole.port}/`, {
          signal: abort.signal,
        }),
      DOMException,
    );
    await until(() => reactor.getWriters().length === 1);
    assertEquals(reactor.getWriters()[0]!.label, "curl");
    assertEquals(reactor.getReaders(), []);
    abort.abort();
    await rejected;
    assertEquals(reactor.getWriters(), []);
  },
);

testWithReactor(
  "close() gives up what is under way, also before it has begun",
  missing,
  async ({ reactor }) => {
    await using server = serveSilence();
    const curl = new Curl({ reactor });
    const downloads = [curl.download(server.url), curl.download(server.url)];
    await server.asked;
    downloads.push(curl.download(server.url));
    const outcomes = Promise.allSettled(downloads);
    curl.close();
    curl.close();
    for (const outcome of await outcomes) {
      assertEquals(
        (outcome as PromiseRejectedResult).reason.name,
        "AbortError",
      );
    }
    await assertRejects(() => curl.download(server.url), CurlError, "closed");
  },
);

for (const when of ["before it has begun", "while it waits"]) {
  testToolkit(
    `a download rejects when the reactor ends ${when}`,
    missing,
    async () => {
      await using server = serveSilence();
      const reactor = new Reactor();
      reactor.interleave();
      using curl = new Curl({ reactor });
      const rejected = assertRejects(
        () => curl.download(server.url),
        ReactorNotRunning,
      );
      if (when === "while it waits") await server.asked;
      await reactor.close();
      await rejected;
    },
  );
}

testToolkit(
  "three hundred downloads leave no descriptor and no thread, however they end",
  missing,
  async () => {
    const before = await countAtRest();
    {
      await using server = serve(() => new Response("page"));
      await using silence = serveSilence();
      await using reactor = new Reactor();
      reactor.interleave();
      for (let round = 0; round < 10; round++) {
        using curl = new Curl({ reactor });
        const downloads = Array.from(
          { length: 20 },
          () => curl.download(server.url),
        );
        const refused = `http://${HOST}:${unusedPort()}/`;
        const failure = assertRejects(() => curl.download(refused), CurlError);
        await Promise.all([...downloads, failure]);
        const silent = Array.from(
          { length: 9 },
          () => assertRejects(() => curl.download(silence.url), DOMException),
        );
        await silence.asked;
        curl.close();
        await Promise.all(silent);
      }
      assertEquals(reactor.inspect().descriptors, []);
    }
    await assertNothingLeft(before);
  },
);

testToolkit(
  "curl_parallel.ts downloads a hundred pages while a timer goes on",
  missing,
  async () => {
    const output = await run(startPiped, "clients/curl_parallel.ts");
    assertMatch(output, /^libcurl\/\S+/);
    assertMatch(output, /\nPages: 100, bytes: 890000, ms: \d+\n/);
    const ticks = /has fired: (\d+)\n$/.exec(output);
    assertGreater(Number(ticks?.[1]), 0, output);
  },
);

testToolkit(
  "curl_parallel.ts downloads what it is told to, and says what went wrong",
  missing,
  async () => {
    await using server = serve(({ url }) => new Response(url));
    const args = [`${server.url}one`, `${server.url}two`];
    const output = await run(startPiped, "clients/curl_parallel.ts", { args });
    for (const url of args) assertStringIncludes(output, `\n200 ${url}\n`);
    assertStringIncludes(output, `Pages: 2, bytes: ${args.join("").length}, `);

    const port = unusedPort();
    await run(startPiped, "clients/curl_parallel.ts", {
      args: [server.url, "gopher://x/"],
      status: 1,
      complaints: 'Protocol "gopher" not supported or disabled in libcurl\n',
    });
    const refused = run(startPiped, "clients/curl_parallel.ts", {
      args: [`http://${HOST}:${port}/`],
      status: 1,
    });
    await assertRejects(() => refused, Error, "Failed to connect");
  },
);

testToolkit(
  "curl_parallel.ts gives everything up at Ctrl-C",
  missing,
  async () => {
    await using server = serveSilence();
    await run(startPiped, "clients/curl_parallel.ts", {
      args: [server.url],
      status: 1,
      complaints: "Given up\n",
      async talk({ pid }) {
        await server.asked;
        libc().kill(pid, SIGINT);
      },
    });
  },
);
