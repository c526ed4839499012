/**
 * The receiving of one HTTP/1.1 response: a header of lines, and a body whose
 * length the header tells in one of three ways.
 *
 * What comes out is the web's own `Response`. Nothing is received that nobody
 * reads, beyond what the stream of its body keeps ready, so a slow reader slows
 * the server down.
 *
 * @module
 */

import { ConnectionDone } from "../../mod.ts";
import { HeaderTooLongError, TruncatedResponseError } from "./http_errors.ts";
import {
  bodyLength,
  decodeLine,
  malformed,
  parseChunkSize,
  parseFields,
  parseStatusLine,
  type StatusLine,
  WITHOUT_BODY,
} from "./http_header.ts";
import { LineReceiver } from "./line_receiver.ts";

/** About so many bytes of a body wait for their reader. */
const ENOUGH = 65_536;

/** Options of a {@linkcode ResponseReceiver}. */
export interface ResponseReceiverOptions {
  /**
   * How long the header may be, in bytes, together with those of interim
   * responses and with what stands behind the last chunk.
   *
   * @default {65_536}
   */
  maxHeaderSize?: number;
}

/** What the next line is, or what the connection ended within. */
type Part =
  | "the status line"
  | "the header"
  | "the size of a chunk"
  | "the body"
  | "the end of a chunk"
  | "the trailer";

/** The protocol of a connection with one request and its response. */
export class ResponseReceiver extends LineReceiver {
  /** The response, as soon as its header is there. Rejects if that never comes. */
  readonly response: Promise<Response>;
  /** Resolves when the response is over, one way or the other. */
  readonly ended: Promise<void>;

  readonly #request: Uint8Array;
  readonly #maxHeaderSize: number;
  readonly #response = Promise.withResolvers<Response>();
  readonly #ended = Promise.withResolvers<void>();
  #connected = false;
  #over = false;
  #part: Part = "the status line";
  #headerSize = 0;
  #status!: StatusLine;
  #fields: string[] = [];
  #body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  #chunked = false;
  /** How much of the body, or of its chunk, is still to come. */
  #left = 0;

  /**
   * Makes the protocol.
   *
   * @param request What it sends to the server.
   */
  constructor(request: Uint8Array, options: ResponseReceiverOptions = {}) {
    const { maxHeaderSize = 65_536 } = options;
    // Some servers leave out the carriage return, which is allowed to them.
    super({ delimiter: "\n", maxLength: maxHeaderSize });
    this.#request = request;
    this.#maxHeaderSize = maxHeaderSize;
    this.response = this.#response.promise;
    this.ended = this.#ended.promise;
  }

  /**
   * Gives up: whoever waits for the response, or reads its body, gets this. After
   * the end it does nothing.
   */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#response.reject(error);
    this.#body?.error(error);
    this.#abort();
  }

  // What comes from the connection

  override connectionMade(): void {
    this.#connected = true;
    this.transport.write(this.#request);
  }

  override lineReceived(bytes: Uint8Array<ArrayBuffer>): void {
    try {
      this.#readLine(decodeLine(bytes), bytes.length + 1);
    } catch (error) {
      this.fail(error);
    }
  }

  override lineLengthExceeded(): void {
    this.fail(this.#tooLong());
  }

  override rawDataReceived(data: Uint8Array<ArrayBuffer>): void {
    const body = this.#body!;
    const wanted = data.subarray(0, this.#left);
    this.#left -= wanted.length;
    body.enqueue(wanted);
    if (this.#left > 0) {
      if (body.desiredSize! <= 0) this.pauseProducing();
      return;
    }
    if (!this.#chunked) return this.#finish();
    this.#part = "the end of a chunk";
    this.setLineMode(data.subarray(wanted.length));
  }

  override connectionLost(reason: Error): void {
    if (this.#over) return;
    if (this.#left === Infinity && reason instanceof ConnectionDone) {
      return this.#finish();
    }
    this.fail(
      new TruncatedResponseError(
        `Cannot read the response: the connection ended before ${this.#part} did`,
        { cause: reason },
      ),
    );
  }

  // One line after the other

  #readLine(line: string, size: number): void {
    switch (this.#part) {
      case "the size of a chunk":
        return this.#readChunkSize(line);
      case "the end of a chunk":
        if (line !== "") throw malformed("a chunk is longer than its size");
        this.#part = "the size of a chunk";
        return;
    }
    this.#headerSize += size;
    if (this.#headerSize > this.#maxHeaderSize) throw this.#tooLong();
    switch (this.#part) {
      case "the status line":
        this.#status = parseStatusLine(line);
        this.#part = "the header";
        return;
      case "the header":
        if (line === "") this.#readHeader();
        else this.#fields.push(line);
        return;
      case "the trailer":
        if (line === "") this.#finish();
    }
  }

  #readHeader(): void {
    const headers = parseFields(this.#fields.splice(0));
    const { status, statusText } = this.#status;
    if (status === 101) throw malformed("nobody asked for another protocol");
    if (status < 200) {
      this.#part = "the status line"; // Of the response that this one announces.
      return;
    }
    const length = bodyLength(this.#status, headers);
    const stream = WITHOUT_BODY.includes(status) ? null : this.#makeBody();
    this.#response.resolve(
      new Response(stream, { status, statusText, headers }),
    );
    this.#chunked = length === "in chunks";
    if (length === "in chunks") this.#part = "the size of a chunk";
    else this.#receiveBody(length === "until the end" ? Infinity : length);
  }

  #readChunkSize(line: string): void {
    const size = parseChunkSize(line);
    if (size === 0) this.#part = "the trailer";
    else this.#receiveBody(size);
  }

  #receiveBody(length: number): void {
    if (length === 0) return this.#finish();
    this.#part = "the body";
    this.#left = length;
    this.setRawMode();
  }

  #makeBody(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      start: (controller) => void (this.#body = controller),
      pull: () => this.resumeProducing(),
      cancel: () => this.#abort(),
    }, { highWaterMark: ENOUGH, size: (data) => data!.length });
  }

  #tooLong(): HeaderTooLongError {
    return new HeaderTooLongError(
      `Cannot read the response: ${this.#part} is longer than ${this.#maxHeaderSize} bytes`,
    );
  }

  // The end

  #finish(): void {
    this.#over = true;
    this.#body?.close();
    this.stopProducing();
    this.#ended.resolve();
  }

  /** The server need not go on. */
  #abort(): void {
    this.#over = true;
    if (this.#connected) {
      this.transport.abortConnection();
      this.stopProducing();
    }
    this.#ended.resolve();
  }
}
