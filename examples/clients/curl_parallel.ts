/**
 * Downloads a hundred pages at once through libcurl, from a server of Deno's
 * that runs on the same thread.
 *
 *     deno run --allow-ffi --allow-net=127.0.0.1 examples/clients/curl_parallel.ts
 *
 * The server keeps every page back until all hundred have been asked for, and a
 * moment longer; one after the other they would never come. You will see how
 * many bytes came and how long it took, while a timer of Deno's goes on. Put
 * addresses behind the command, and those are downloaded instead. Ctrl-C gives
 * everything up. It needs Debian's package libcurl4.
 *
 * @module
 */

import { curlVersion, type Download, fetchAll } from "./curl.ts";

const PAGES = 100;

/** So long the server takes its time, in milliseconds. */
const MOMENT = 250;

/** A server that answers when it has been asked for all pages. */
function serve(): Deno.HttpServer<Deno.NetAddr> {
  const complete = Promise.withResolvers<void>();
  let asked = 0;
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async ({ url }) => {
      if (++asked === PAGES) setTimeout(complete.resolve, MOMENT);
      await complete.promise;
      return new Response(`${new URL(url).pathname}\n`.repeat(1000));
    },
  );
}

async function download(urls: readonly string[]): Promise<Download[]> {
  const interrupt = new AbortController();
  Deno.addSignalListener("SIGINT", () => {
    interrupt.abort(new Error("Given up"));
  });
  return await fetchAll(urls, { signal: interrupt.signal });
}

async function show(urls: readonly string[]): Promise<void> {
  const began = performance.now();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  try {
    const pages = await download(urls);
    const took = (performance.now() - began).toFixed(0);
    const bytes = pages.reduce((sum, { body }) => sum + body.length, 0);
    if (pages.length < 10) {
      for (const { status, url } of pages) console.log(status, url);
    }
    console.log(`Pages: ${pages.length}, bytes: ${bytes}, ms: ${took}`);
    console.log(`Meanwhile a timer of 10 ms has fired: ${ticks}`);
  } finally {
    clearInterval(timer);
  }
}

async function main(urls: string[]): Promise<void> {
  console.log(curlVersion());
  if (urls.length > 0) return await show(urls);
  await using server = serve();
  const { port } = server.addr;
  const pages = Array.from({ length: PAGES }, (_, i) => `page/${i}`);
  await show(pages.map((page) => `http://127.0.0.1:${port}/${page}`));
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error((error as Error).message);
    Deno.exitCode = 1;
  }
}
