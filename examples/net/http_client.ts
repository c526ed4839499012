/**
 * `get()`: what `fetch` does for a page, over the reactor's own connections. So
 * it also works while a toolkit's loop has the main thread and Deno's `fetch`
 * stands still, and it needs no permission but `--allow-ffi`.
 *
 * Each request has a connection of its own (`Connection: close`). There are no
 * cookies, no cache and no proxies.
 *
 * @module
 */

import { type Reactor, reactor as sharedReactor } from "../../mod.ts";
import {
  type ClientFactory,
  connectSSL,
  connectTCP,
} from "../../src/net/mod.ts";
import {
  StatusError,
  TimeLimitError,
  TooManyRedirectsError,
} from "./http_errors.ts";
import { malformed } from "./http_header.ts";
import { ResponseReceiver } from "./http_response.ts";

/** Options of {@linkcode get}. */
export interface GetOptions {
  /**
   * Certificates in PEM that are trusted in addition to the system's.
   *
   * @default {[]}
   */
  caCerts?: readonly string[];
  /**
   * Whether the server may compress the page. What is read is the page itself.
   *
   * @default {false}
   */
  gzip?: boolean;
  /**
   * Header fields to send, besides those that this module sees to itself:
   * "Connection", "Host", and whatever would promise a body.
   *
   * @default {{}}
   */
  headers?: HeadersInit;
  /**
   * How long the header of a response may be, in bytes.
   *
   * @default {65_536}
   */
  maxHeaderSize?: number;
  /**
   * The reactor that serves the connections. It has to run.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
  /**
   * How many redirects are followed.
   *
   * @default {5}
   */
  redirects?: number;
  /** Gives up when it is aborted, also in the middle of the body. */
  signal?: AbortSignal;
  /**
   * How long everything may take, in milliseconds: from the look-up of the name
   * to the last byte of the body.
   *
   * @default {60_000}
   */
  timeout?: number;
}

/** These say that the page is elsewhere. */
const REDIRECTS = [301, 302, 303, 307, 308];

/** What tells a server who is asking, and is no business of another one's. */
const SECRETS = ["authorization", "cookie"];

/** What is not the caller's to say. */
const RESERVED = ["connection", "content-length", "host", "transfer-encoding"];

/**
 * Gets a page.
 *
 * Certificates are checked against the system's. The request begins inside this
 * call.
 *
 * @param url Where from: an address that begins with `http:` or `https:`.
 * @param options How.
 * @returns The response, as soon as its header is there, whatever its status; its
 * `url` says where redirects have led. Rejects with an `HttpError` or, if there
 * was no connection, a `ConnectError` that says why; with the signal's reason;
 * with a TypeError when `url` is no such address. The same errors come out of the
 * body later on.
 */
export async function get(
  url: string | URL,
  options: GetOptions = {},
): Promise<Response> {
  const { reactor = sharedReactor, signal, timeout = 60_000 } = options;
  signal?.throwIfAborted();
  // Everything that ends it early goes through here. The reactor keeps the time,
  // since Deno's timers may stand still.
  const end = new AbortController();
  const timer = reactor.callLater(timeout, () => end.abort(tooLate()));
  const giveUp = () => end.abort(signal!.reason);
  signal?.addEventListener("abort", giveUp);

  function tooLate(): TimeLimitError {
    return new TimeLimitError(
      `Cannot get "${url}": it has taken longer than ${timeout} ms`,
    );
  }

  function release(): void {
    signal?.removeEventListener("abort", giveUp);
    if (timer.active()) timer.cancel();
  }

  try {
    const { response, ended } = await follow(parse(url), options, end.signal);
    void ended.then(release);
    return response;
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * Gets a page as text, which has to be UTF-8.
 *
 * @param url Where from.
 * @param options How.
 * @returns The text. Rejects as {@linkcode get} does, and with a `StatusError` if
 * the server says anything but success.
 */
export async function getText(
  url: string | URL,
  options?: GetOptions,
): Promise<string> {
  const response = await get(url, options);
  if (response.ok) return await response.text();
  await response.body?.cancel();
  const { status, statusText } = response;
  throw new StatusError(`${status} ${statusText}`.trim());
}

/** A response, and the end of its body. */
interface Answer {
  readonly response: Response;
  readonly ended: Promise<void>;
}

/** Asks one server after the other. */
async function follow(
  start: URL,
  options: GetOptions,
  signal: AbortSignal,
): Promise<Answer> {
  const { gzip = false, redirects = 5 } = options;
  const headers = new Headers(options.headers);
  for (const name of RESERVED) headers.delete(name);
  if (gzip) headers.set("accept-encoding", "gzip");
  let url = start;
  for (let left = redirects;; left--) {
    const receiver = send(url, { headers, options, signal });
    const response = await receiver.response;
    const location = REDIRECTS.includes(response.status)
      ? response.headers.get("location")
      : null;
    if (location === null) {
      const page = gzip ? gunzip(response) : response;
      Object.defineProperty(page, "url", { value: url.href });
      return { response: page, ended: receiver.ended };
    }
    await response.body?.cancel();
    if (left <= 0) {
      throw new TooManyRedirectsError(
        `Cannot get "${start}": there are more than ${redirects} redirects`,
      );
    }
    const next = parseLocation(location, url);
    if (next.origin !== url.origin) {
      for (const name of SECRETS) headers.delete(name);
    }
    url = next;
  }
}

/** What goes into a request, besides where it goes. */
interface Sending {
  readonly headers: Headers;
  readonly options: GetOptions;
  readonly signal: AbortSignal;
}

function send(
  url: URL,
  { headers, options, signal }: Sending,
): ResponseReceiver {
  const { caCerts, maxHeaderSize, reactor, timeout } = options;
  const receiver = new ResponseReceiver(encodeRequest(url, headers), {
    maxHeaderSize,
  });
  const factory: ClientFactory = {
    buildProtocol: () => receiver,
    clientConnectionFailed: (_connector, reason) => receiver.fail(reason),
  };
  const isEncrypted = url.protocol === "https:";
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1"); // IPv6
  const port = Number(url.port) || (isEncrypted ? 443 : 80);
  const connector = isEncrypted
    ? connectSSL(hostname, port, factory, {
      reactor,
      timeout,
      tls: { alpnProtocols: ["http/1.1"], caCerts },
    })
    : connectTCP(hostname, port, factory, { reactor, timeout });
  signal.addEventListener("abort", () => {
    receiver.fail(signal.reason);
    if (connector.state === "connecting") connector.stopConnecting();
  });
  return receiver;
}

function encodeRequest(url: URL, headers: Headers): Uint8Array {
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    "Connection: close",
  ];
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  // A value may have any byte from 128 on, each as a character of that number.
  return Uint8Array.from(
    `${lines.join("\r\n")}\r\n\r\n`,
    (character) => character.charCodeAt(0),
  );
}

/** The page itself, if it came compressed. */
function gunzip(response: Response): Response {
  const { body, status, statusText } = response;
  const coding = response.headers.get("content-encoding");
  if (body === null || coding?.toLowerCase() !== "gzip") return response;
  const headers = new Headers(response.headers);
  // They tell of what was sent, not of what is read.
  headers.delete("content-encoding");
  headers.delete("content-length");
  const page = body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(page, { status, statusText, headers });
}

function parse(url: string | URL, base?: URL): URL {
  const parsed = new URL(url, base);
  if (/^https?:$/.test(parsed.protocol)) return parsed;
  throw new TypeError(
    `Cannot get "${parsed}": its scheme must be "http" or "https"`,
  );
}

function parseLocation(location: string, base: URL): URL {
  try {
    return parse(location, base);
  } catch {
    throw malformed(`it leads to ${JSON.stringify(location)}`);
  }
}
