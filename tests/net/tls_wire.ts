/**
 * An engine with a socket of Deno's: a peer that does in TLS what no program
 * would, such as going without a word.
 *
 * @module
 */

import { assert } from "@std/assert";
import { createHash } from "node:crypto";
import { TLSContext } from "../../src/net/tls_context.ts";
import { TLSEngine } from "../../src/net/tls_engine.ts";
import type { TLSOptions } from "../../src/net/tls_options.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** See the module. Its methods are called one after the other. */
export class Wire implements Disposable {
  readonly engine: TLSEngine;
  readonly socket: Deno.Conn;
  readonly #ciphertext = new Uint8Array(65536);
  readonly #plaintext = new Uint8Array(16384);
  #closed = false;

  constructor(socket: Deno.Conn, context: TLSContext) {
    this.socket = socket;
    this.engine = new TLSEngine(context);
  }

  /** Connects to a port of this machine. */
  static async connect(port: number, options: TLSOptions): Promise<Wire> {
    const hostname = "127.0.0.1";
    using context = new TLSContext("client", { hostname, ...options });
    return new Wire(await Deno.connect({ hostname, port }), context);
  }

  /** Takes one connection. */
  static async accept(
    listener: Deno.Listener,
    options: TLSOptions,
  ): Promise<Wire> {
    using context = new TLSContext("server", options);
    return new Wire(await listener.accept(), context);
  }

  /**
   * Shakes hands.
   *
   * @param words What to say in one piece with the last that has to be said for
   * that.
   */
  async begin(words?: string): Promise<void> {
    await this.#flush();
    while (!this.engine.handshakeDone) await this.#receive(words !== undefined);
    if (words !== undefined) await this.write(words);
  }

  /** What comes next, null at the end. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const count = this.engine.read(this.#plaintext);
      // Reading may have made something to say, such as the answer to new keys.
      await this.#flush();
      if (count === null) return null;
      if (count > 0) return this.#plaintext.slice(0, count);
      await this.#receive();
    }
  }

  /** The checksum of all that comes until the end. */
  async readChecksum(): Promise<string> {
    const hash = createHash("sha256");
    for (;;) {
      const data = await this.read();
      if (data === null) return hash.digest("hex");
      hash.update(data);
    }
  }

  /** All that comes up to the end of a line. */
  async readLine(): Promise<string> {
    let text = "";
    while (!text.endsWith("\n")) {
      const data = await this.read();
      assert(data, "The connection ended within a line");
      text += decoder.decode(data);
    }
    return text;
  }

  /** Sends all of it. */
  async write(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let written = 0; written < bytes.length;) {
      written += this.engine.write(bytes.subarray(written));
      await this.#flush();
    }
  }

  /** Says that nothing more will be sent. */
  async close(): Promise<void> {
    this.engine.close();
    await this.#flush();
  }

  /** Goes, without a word. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.engine[Symbol.dispose]();
    this.socket.close();
  }

  /** Takes what comes, and answers, unless the last answer is to wait for more. */
  async #receive(lastWaits = false): Promise<void> {
    const count = await this.socket.read(this.#ciphertext);
    try {
      if (count === null) this.engine.receiveEnd();
      else this.engine.receive(this.#ciphertext.subarray(0, count));
    } finally {
      const isLast = this.engine.handshakeDone;
      if (!(lastWaits && isLast)) await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    const bytes = new Uint8Array(65536);
    for (;;) {
      const count = this.engine.transmit(bytes);
      if (count === 0) return;
      for (let sent = 0; sent < count;) {
        sent += await this.socket.write(bytes.subarray(sent, count));
      }
    }
  }
}
