/**
 * A web client that brings its own network: pages come over the reactor's
 * connections, in plain or by TLS.
 *
 *     deno run --allow-ffi examples/net/web_client.ts https://example.com/
 *
 * You will see the header of the response, and then the page. Put `> page.html`
 * behind the command, and only the page goes there. Redirects are followed, the
 * certificate is checked against the system's, and what cannot be is an error
 * that says why, with exit status 1. Deno's own network is not used, as you can
 * tell by the permissions.
 *
 * @module
 */

import { reactor } from "../../mod.ts";
import { get } from "./http_client.ts";

async function show(url: string): Promise<void> {
  const { status, statusText, headers, body, url: from } = await get(url, {
    gzip: true,
  });
  console.error(`${from}\n${status} ${statusText}`);
  for (const [name, value] of headers) console.error(`${name}: ${value}`);
  console.error();
  await body?.pipeTo(Deno.stdout.writable, { preventClose: true });
}

const [url] = Deno.args;
if (url === undefined) {
  console.error("Which page? Give its address behind the command.");
  Deno.exit(1);
}
reactor.interleave();
try {
  await show(url);
} catch (error) {
  console.error((error as Error).message);
  Deno.exitCode = 1;
}
