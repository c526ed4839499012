/**
 * The protocol of Redis, for both sides: values that say what they are and how
 * long.
 *
 * @module
 */

import type { Protocol, Transport } from "../../../src/net/protocol.ts";

/** A value: a text, a number, bytes, an error, none, or several. */
export type Value =
  | string
  | number
  | Uint8Array<ArrayBuffer>
  | RespError
  | null
  | Value[];

/** What the other side complains of. */
export class RespError extends Error {}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

const RETURN = 13;

/** What {@linkcode RespParser} understands. */
export interface RespParserOptions {
  /**
   * Whether commands may also be lines of words, as people type them.
   *
   * @default {false}
   */
  readonly lines?: boolean;
}

/** Makes values of what comes in pieces. */
export class RespParser {
  readonly #lines: boolean;
  #bytes = new Uint8Array();
  #start = 0;
  #end = 0;
  /** Up to here there must be something before it is worth another look. */
  #wanted = 0;

  constructor({ lines = false }: RespParserOptions = {}) {
    this.#lines = lines;
  }

  /** Takes a piece, and gives the values that are complete. */
  *push(data: Uint8Array<ArrayBuffer>): Generator<Value, void> {
    this.#append(data);
    while (this.#start < this.#end && this.#end >= this.#wanted) {
      const begin = this.#start;
      const value = this.#value();
      if (value === undefined) {
        this.#start = begin;
        return;
      }
      yield value;
    }
  }

  #append(data: Uint8Array<ArrayBuffer>): void {
    const rest = this.#end - this.#start;
    if (rest === 0) {
      this.#bytes = data;
      this.#start = this.#wanted = 0;
      this.#end = data.length;
      return;
    }
    if (this.#end + data.length > this.#bytes.length) {
      const bytes = new Uint8Array(2 * (rest + data.length));
      bytes.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = bytes;
      this.#wanted -= this.#start;
      this.#start = 0;
      this.#end = rest;
    }
    this.#bytes.set(data, this.#end);
    this.#end += data.length;
  }

  /** The next value; undefined if it is not complete. */
  #value(): Value | undefined {
    const line = this.#line();
    if (line === undefined) return undefined;
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return rest;
      case "-":
        return new RespError(rest);
      case ":":
        return Number(rest);
      case "$":
        return rest === "-1" ? null : this.#bulk(Number(rest));
      case "*":
        return rest === "-1" ? null : this.#array(Number(rest));
      default:
        if (this.#lines) return line.split(" ").map((w) => encoder.encode(w));
        throw new Error(`No value begins with "${line}"`);
    }
  }

  #line(): string | undefined {
    const end = this.#bytes.indexOf(RETURN, this.#start);
    if (end < 0 || end + 2 > this.#end) return undefined;
    const line = decoder.decode(this.#bytes.subarray(this.#start, end));
    this.#start = end + 2;
    return line;
  }

  #bulk(length: number): Uint8Array<ArrayBuffer> | undefined {
    const end = this.#start + length + 2;
    if (end > this.#end) {
      this.#wanted = end;
      return undefined;
    }
    const bytes = this.#bytes.slice(this.#start, end - 2);
    this.#start = end;
    return bytes;
  }

  #array(length: number): Value[] | undefined {
    const values: Value[] = [];
    while (values.length < length) {
      const value = this.#value();
      if (value === undefined) return undefined;
      values.push(value);
    }
    return values;
  }
}

/** A command as it goes over the wire. */
export function* encodeCommand(
  parts: readonly (string | Uint8Array)[],
): Generator<string | Uint8Array, void> {
  yield `*${parts.length}\r\n`;
  for (const part of parts) {
    const bytes = typeof part === "string" ? encoder.encode(part) : part;
    yield `$${bytes.length}\r\n`;
    yield bytes;
    yield "\r\n";
  }
}

/** The client's side: commands, and their answers in order. */
export class RespClient implements Protocol {
  transport!: Transport;
  readonly made: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly lost: PromiseWithResolvers<Error> = Promise.withResolvers();
  readonly #parser = new RespParser();
  readonly #waiting: PromiseWithResolvers<Value>[] = [];

  connectionMade(): void {
    this.made.resolve();
  }

  dataReceived(data: Uint8Array<ArrayBuffer>): void {
    for (const value of this.#parser.push(data)) this.valueReceived(value);
  }

  connectionLost(reason: Error): void {
    for (const { reject } of this.#waiting) reject(reason);
    this.lost.resolve(reason);
  }

  /** Sends a command. Resolves with the answer. */
  command(...parts: (string | Uint8Array)[]): Promise<Value> {
    this.transport.writeSequence(encodeCommand(parts));
    const waiting = Promise.withResolvers<Value>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** An answer has come. */
  valueReceived(value: Value): void {
    const { resolve, reject } = this.#waiting.shift()!;
    if (value instanceof RespError) reject(value);
    else resolve(value);
  }
}

/** What all connections of a server share. */
export interface RespShared {
  readonly store: Map<string, Uint8Array>;
  /** How often each command was given. */
  readonly commands: Map<string, number>;
}

/** The server's side, with as much as `redis-benchmark` asks for. */
export class RespServer implements Protocol {
  transport!: Transport;
  readonly #parser = new RespParser({ lines: true });
  readonly #shared: RespShared;

  constructor(shared: RespShared) {
    this.#shared = shared;
  }

  dataReceived(data: Uint8Array<ArrayBuffer>): void {
    for (const value of this.#parser.push(data)) {
      const [name, key, content] = value as Uint8Array[];
      this.#answer(
        decoder.decode(name).toUpperCase(),
        decoder.decode(key),
        content,
      );
    }
  }

  #answer(name: string, key: string, content?: Uint8Array): void {
    const { store, commands } = this.#shared;
    commands.set(name, (commands.get(name) ?? 0) + 1);
    switch (name) {
      case "PING":
        return this.transport.write("+PONG\r\n");
      case "SET":
        store.set(key, content!);
        return this.transport.write("+OK\r\n");
      case "GET": {
        const found = store.get(key);
        if (found === undefined) return this.transport.write("$-1\r\n");
        return this.#bulk(found);
      }
      case "ECHO":
        return this.#bulk(encoder.encode(key));
      default:
        return this.transport.write(`-ERR unknown command '${name}'\r\n`);
    }
  }

  #bulk(bytes: Uint8Array): void {
    this.transport.writeSequence([`$${bytes.length}\r\n`, bytes, "\r\n"]);
  }
}
