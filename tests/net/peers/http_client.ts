/**
 * As much of HTTP/1.1 as servers that others wrote need from a client of ours.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Connection } from "../../../src/net/connection.ts";

/** The head of an answer. Its body is to be read before the next. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
}

const decoder = new TextDecoder();

/** The client's end of a connection. */
export class HttpClient {
  readonly connection: Connection;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  /** What has come and is not read yet. */
  #rest: Uint8Array<ArrayBuffer> = new Uint8Array();
  #answer: Answer | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    this.#reader = connection.readable.getReader();
  }

  /** Asks for something. */
  ask(path: string, fields: Readonly<Record<string, string>> = {}): void {
    const lines = Object.entries({ Host: "localhost", ...fields })
      .map(([name, value]) => `${name}: ${value}\r\n`);
    this.connection.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  }

  /** Asks, and reads the head of the answer. */
  async get(
    path: string,
    fields?: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    this.ask(path, fields);
    return await this.answer();
  }

  /** Reads the head of the next answer. */
  async answer(): Promise<Answer> {
    const [, status] = (await this.#line()).split(" ");
    const headers = new Headers();
    for (let line; (line = await this.#line()) !== "";) {
      const colon = line.indexOf(":");
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return this.#answer = { status: Number(status), headers };
  }

  /** Reads the body of the answer, part by part, as it is asked for. */
  async *body(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    const { headers } = this.#answer!;
    const length = headers.get("content-length");
    if (length !== null) return yield* this.#take(Number(length));
    if (headers.get("transfer-encoding") !== "chunked") {
      throw new Error("The answer does not say where it ends");
    }
    for (let size; (size = parseInt(await this.#line(), 16)) > 0;) {
      yield* this.#take(size);
      await this.#line();
    }
    await this.#line();
  }

  /** Reads the whole body. */
  async text(): Promise<string> {
    return await new Response(ReadableStream.from(this.body())).text();
  }

  /** Reads the whole body. Returns its length and checksum. */
  async sum(
    parts: AsyncIterable<Uint8Array> = this.body(),
  ): Promise<string> {
    const hash = createHash("sha256");
    let length = 0;
    for await (const part of parts) {
      hash.update(part);
      length += part.length;
    }
    return `${length} ${hash.digest("hex")}`;
  }

  /** What comes next, as it comes; undefined at the end of the connection. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const rest = this.#rest;
    this.#rest = new Uint8Array();
    return rest.length > 0 ? rest : (await this.#reader.read()).value;
  }

  async *#take(length: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    while (length > 0) {
      const data = await this.#must();
      this.#rest = data.subarray(length);
      length -= data.length - this.#rest.length;
      yield data.subarray(0, data.length - this.#rest.length);
    }
  }

  async #line(): Promise<string> {
    let line = "";
    for (;;) {
      const data = await this.#must();
      const end = data.indexOf(10);
      line += decoder.decode(data.subarray(0, end < 0 ? data.length : end + 1));
      if (end < 0) continue;
      this.#rest = data.subarray(end + 1);
      return line.trimEnd();
    }
  }

  async #must(): Promise<Uint8Array<ArrayBuffer>> {
    const data = await this.next();
    if (data === undefined) throw new Error("The connection ended too early");
    return data;
  }
}
