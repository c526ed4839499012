/**
 * As much of HTTP/1.1 as clients that others wrote need from a server of ours.
 *
 * | request | answer |
 * |---|---|
 * | `GET /hello` | a line |
 * | `GET /connection` | the number of the connection, and of the request on it |
 * | `GET /bytes/N` | N bytes of `pattern()`, or that part of them which is asked for |
 * | `GET /chunked/N` | the same in chunks |
 * | `GET /cut/N` | half of them, and the end |
 * | `GET /reset/N` | half of them, and a reset |
 * | `GET /silence` | none |
 * | `POST /sum` | the length of what came, and its SHA-256 |
 *
 * @module
 */

import { createHash } from "node:crypto";
import type {
  Producer,
  Protocol,
  ServerFactory,
  Transport,
} from "../../../src/net/protocol.ts";
import { pattern } from "../protocols.ts";

/** One character a byte, so that places in the text are places in the data. */
const decoder = new TextDecoder("latin1");

/** So much is written at once. */
const PORTION = 65_536;

/** A checksum, with the length. */
export function sum(data: Uint8Array): string {
  return `${data.length} ${createHash("sha256").update(data).digest("hex")}`;
}

/** Serves connections, and remembers how they went. */
export class HttpServer implements ServerFactory {
  /** How many connections there were. */
  connections = 0;
  /** The first lines of the requests. */
  readonly requests: string[] = [];
  /** Whether a client has asked if its body is wanted. */
  asked = false;
  /** The most that waited to be sent. */
  mostBuffered = 0;
  /** How often a producer was paused. */
  pauses = 0;
  /** How often a producer was told that nobody wants any more. */
  stops = 0;
  /** How connections ended. */
  readonly ends: Error[] = [];
  #news = Promise.withResolvers<void>();

  buildProtocol(): HttpProtocol {
    this.connections++;
    return new HttpProtocol(this);
  }

  /** Waits until so many connections have ended, and returns why. */
  async ended(count: number): Promise<Error[]> {
    while (this.ends.length < count) await this.#news.promise;
    return this.ends;
  }

  /** A connection has ended. */
  lost(reason: Error): void {
    this.ends.push(reason);
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

/** A request whose head has come. */
interface Request {
  readonly method: string;
  readonly path: string;
  readonly version: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** One connection. */
export class HttpProtocol implements Protocol {
  transport!: Transport;
  readonly #server: HttpServer;
  readonly #number: number;
  #count = 0;
  /** What has come of the next head. */
  #head = "";
  #request: Request | undefined;
  /** How much of its body is to come. */
  #missing = 0;
  #received = 0;
  #hash: ReturnType<typeof createHash> | undefined;
  #answering = false;
  /** What came while the last request was being answered. */
  readonly #early: Uint8Array[] = [];

  constructor(server: HttpServer) {
    this.#server = server;
    this.#number = server.connections;
  }

  dataReceived(data: Uint8Array): void {
    if (this.#answering) {
      this.#early.push(data);
      this.transport.pauseProducing();
    } else if (this.#request === undefined) this.#headReceived(data);
    else this.#bodyReceived(data);
  }

  connectionLost(reason: Error): void {
    this.#server.lost(reason);
  }

  #headReceived(data: Uint8Array): void {
    const before = this.#head.length;
    this.#head += decoder.decode(data);
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return;
    const [line = "", ...fields] = this.#head.slice(0, end).split("\r\n");
    this.#head = "";
    const [method = "", path = "", version = ""] = line.split(" ");
    const headers = new Map(fields.map((field) => {
      const colon = field.indexOf(":");
      return [
        field.slice(0, colon).toLowerCase(),
        field.slice(colon + 1).trim(),
      ];
    }));
    this.#count++;
    this.#request = { method, path, version, headers };
    this.#server.requests.push(line);
    this.#received = 0;
    this.#missing = Number(headers.get("content-length") ?? 0);
    this.#hash = path === "/sum" ? createHash("sha256") : undefined;
    if (headers.get("expect") === "100-continue") {
      this.#server.asked = true;
      this.transport.write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    this.#bodyReceived(data.subarray(end + 4 - before));
  }

  #bodyReceived(data: Uint8Array): void {
    const part = data.subarray(0, this.#missing);
    if (part.length > 0) this.#hash?.update(part);
    this.#received += part.length;
    this.#missing -= part.length;
    if (this.#missing > 0) return;
    this.#answering = true;
    this.#answer(this.#request!);
    if (part.length < data.length) {
      this.dataReceived(data.subarray(part.length));
    }
  }

  #answer(request: Request): void {
    const { path } = request;
    const length = Number(path.slice(path.lastIndexOf("/") + 1));
    if (path === "/hello") this.#answerShort("hello\n");
    else if (path === "/connection") {
      this.#answerShort(`${this.#number} ${this.#count}\n`);
    } else if (path === "/sum") {
      this.#answerShort(`${this.#received} ${this.#hash!.digest("hex")}`);
    } else if (path.startsWith("/bytes/")) this.#answerBytes(request, length);
    else if (path.startsWith("/chunked/")) this.#answerInChunks(length);
    else if (path.startsWith("/cut/") || path.startsWith("/reset/")) {
      this.#writeHead("200 OK", `Content-Length: ${length}`);
      this.transport.write(pattern(length / 2));
      if (path.startsWith("/cut/")) this.transport.loseConnection();
      else this.transport.abortConnection();
    } else if (path !== "/silence") this.#answerShort("", "404 Not Found");
  }

  #answerShort(body: string, status = "200 OK"): void {
    this.#writeHead(status, `Content-Length: ${body.length}`);
    this.transport.write(body);
    this.#answered();
  }

  #answerBytes({ headers }: Request, length: number): void {
    let body = pattern(length);
    let status = "200 OK";
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "");
    if (range !== null) {
      status = "206 Partial Content";
      body = body.subarray(Number(range[1]), Number(range[2]) + 1);
    }
    this.#writeHead(status, `Content-Length: ${body.length}`);
    let at = 0;
    // Writes by itself until it is told that this is too much.
    let paused = false;
    const producer: Producer = {
      pauseProducing: () => {
        this.#server.pauses++;
        paused = true;
      },
      resumeProducing: () => {
        paused = false;
        while (!paused && at < body.length) {
          this.transport.write(body.subarray(at, at += PORTION));
          this.#look();
        }
        if (at < body.length) return;
        this.transport.unregisterProducer();
        this.#answered();
      },
      stopProducing: () => void this.#server.stops++,
    };
    this.transport.registerProducer(producer, true);
    producer.resumeProducing();
  }

  #answerInChunks(length: number): void {
    const body = pattern(length);
    this.#writeHead("200 OK", "Transfer-Encoding: chunked");
    let at = 0;
    // Is asked for each portion.
    this.transport.registerProducer({
      resumeProducing: () => {
        const part = body.subarray(at, at += PORTION);
        this.transport.writeSequence([
          `${part.length.toString(16)}\r\n`,
          part,
          "\r\n",
        ]);
        this.#look();
        if (part.length > 0) return;
        this.transport.unregisterProducer();
        this.#answered();
      },
      stopProducing: () => void this.#server.stops++,
    }, false);
  }

  #writeHead(status: string, field: string): void {
    const end = this.#isLast() ? "\r\nConnection: close" : "";
    this.transport.write(`HTTP/1.1 ${status}\r\n${field}${end}\r\n\r\n`);
  }

  #isLast(): boolean {
    const { version, headers } = this.#request!;
    return version === "HTTP/1.0" || headers.get("connection") === "close";
  }

  /** An answer is written. Goes on with what came meanwhile. */
  #answered(): void {
    if (this.#isLast()) return this.transport.loseConnection();
    this.#answering = false;
    this.#request = undefined;
    for (const data of this.#early.splice(0)) this.dataReceived(data);
    if (!this.#answering) this.transport.resumeProducing();
  }

  #look(): void {
    const server = this.#server;
    server.mostBuffered = Math.max(
      server.mostBuffered,
      this.transport.bufferedAmount,
    );
  }
}
