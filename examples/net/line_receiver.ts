/**
 * Protocols that consist of lines, as those of mail, chat and, at its beginning,
 * the web do: after Twisted's `LineReceiver`.
 *
 * A subclass gets one line at a time, however the bytes were cut on their way.
 * It can take some of what comes as it is, such as the body behind a header, by
 * changing to raw mode and back. And it can pause at any line: those behind it
 * wait, those that have come already included.
 *
 *     class Hotel extends LineReceiver {
 *       override connectionMade() {
 *         this.sendLine("Your name, please");
 *       }
 *       override lineReceived(line: Uint8Array) {
 *         this.sendLine(`Welcome, ${new TextDecoder().decode(line)}`);
 *         this.stopProducing();
 *       }
 *     }
 *     listenTCP(1234, { buildProtocol: () => new Hotel() });
 *
 * `http_response.ts` is a larger one.
 *
 * @module
 */

import type { Producer, Protocol, Transport } from "../../src/net/mod.ts";

/** Options of a {@linkcode LineReceiver}. */
export interface LineReceiverOptions {
  /**
   * What ends a line.
   *
   * @default {"\r\n"}
   */
  delimiter?: string;
  /**
   * How long a line may be, in bytes, without what ends it.
   *
   * @default {16_384}
   */
  maxLength?: number;
}

const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/**
 * See the module.
 *
 * What the functions of a subclass throw ends the connection, as it does for any
 * protocol.
 */
export abstract class LineReceiver implements Protocol, Producer {
  /** The connection. */
  declare transport: Transport;

  readonly #delimiter: Uint8Array<ArrayBuffer>;
  readonly #maxLength: number;
  /** What has come and nobody has got yet. */
  #buffer = NOTHING;
  /** Before this place of the buffer no delimiter begins. */
  #searched = 0;
  #raw = false;
  #paused = false;
  /** Somebody further up the stack gives out what there is. */
  #delivering = false;

  /**
   * Begins in line mode.
   *
   * @throws {RangeError} When the delimiter is empty, or the length is not an
   * integer of at least 0.
   */
  constructor(options: LineReceiverOptions = {}) {
    const { delimiter = "\r\n", maxLength = 16_384 } = options;
    if (delimiter === "") {
      throw new RangeError(
        'Cannot receive lines: "options.delimiter" must not be empty',
      );
    }
    if (!Number.isInteger(maxLength) || maxLength < 0) {
      throw new RangeError(
        `Cannot receive lines: "options.maxLength" must be an integer of at least 0, received ${maxLength}`,
      );
    }
    this.#delimiter = new TextEncoder().encode(delimiter);
    this.#maxLength = maxLength;
  }

  // For a subclass to fill in

  /** The connection is there. */
  connectionMade(): void {}

  /**
   * A line has come. If this ends the connection, the lines behind it are dropped.
   *
   * @param line The line, without what ended it. It is a part of a larger array,
   * so keep a copy rather than this.
   */
  abstract lineReceived(line: Uint8Array<ArrayBuffer>): void;

  /** Bytes have come in raw mode. */
  rawDataReceived(_data: Uint8Array<ArrayBuffer>): void {
    throw new Error(
      "Cannot receive raw data: the protocol has no rawDataReceived()",
    );
  }

  /**
   * A line is too long. It ends the connection unless it is overridden.
   *
   * @param _data All that is here: the line, or its beginning, and whatever is
   * behind it.
   */
  lineLengthExceeded(_data: Uint8Array<ArrayBuffer>): void {
    this.stopProducing();
  }

  /** The connection is gone. */
  connectionLost(_reason: Error): void {}

  // For a subclass to use

  /** Sends a line. */
  sendLine(line: Uint8Array | string): void {
    this.transport.writeSequence([line, this.#delimiter]);
  }

  /** From the next byte on there are no lines: see `rawDataReceived()`. */
  setRawMode(): void {
    this.#raw = true;
  }

  /**
   * There are lines again.
   *
   * @param extra What came raw and is no longer part of that. It is searched for
   * lines before anything that comes later.
   */
  setLineMode(extra: Uint8Array<ArrayBuffer> = NOTHING): void {
    this.#raw = false;
    this.#buffer = concat(extra, this.#buffer);
    this.#searched = 0;
    this.#deliver();
  }

  /** Gets no lines and no data until resumed, not even those that are here. */
  pauseProducing(): void {
    this.#paused = true;
    this.transport.pauseProducing();
  }

  /** Goes on, with what is here, and then with what comes. */
  resumeProducing(): void {
    this.#paused = false;
    this.#deliver();
    // One of the lines may have paused it again.
    if (!this.#paused) this.transport.resumeProducing();
  }

  /**
   * Ends the connection when everything that was written is sent. Nothing is
   * received any more.
   */
  stopProducing(): void {
    this.transport.loseConnection();
  }

  // What the transport calls

  /** Bytes have come. */
  dataReceived(data: Uint8Array<ArrayBuffer>): void {
    this.#buffer = concat(this.#buffer, data);
    this.#deliver();
  }

  /**
   * Gives out what there is, one piece after the other. What a piece leads to, a
   * change of mode, a pause or an end, counts for the next one already. At the
   * end there is nobody left who wants anything.
   */
  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      while (this.#buffer.length > 0 && !this.#paused) {
        if (this.transport.disconnecting) this.#take(this.#buffer.length);
        else if (this.#raw) {
          this.rawDataReceived(this.#take(this.#buffer.length));
        } else if (!this.#deliverLine()) return;
      }
    } finally {
      this.#delivering = false;
    }
  }

  /** Returns false when there is no whole line. */
  #deliverLine(): boolean {
    const { length } = this.#buffer;
    const delimiter = this.#delimiter;
    const end = indexOf(this.#buffer, delimiter, this.#searched);
    // All but the last byte of a delimiter may be at the end.
    const undecided = Math.max(0, length - delimiter.length + 1);
    if ((end < 0 ? undecided : end) > this.#maxLength) {
      this.lineLengthExceeded(this.#take(length));
      return true;
    }
    if (end < 0) {
      this.#searched = undecided;
      return false;
    }
    const line = this.#take(end + delimiter.length).subarray(0, end);
    this.lineReceived(line);
    return true;
  }

  #take(count: number): Uint8Array<ArrayBuffer> {
    const taken = this.#buffer.subarray(0, count);
    this.#buffer = this.#buffer.subarray(count);
    this.#searched = 0;
    return taken;
  }
}

function concat(
  a: Uint8Array<ArrayBuffer>,
  b: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Where `wanted` begins in `bytes`, from a place on; -1 if it does not. */
function indexOf(
  bytes: Uint8Array,
  wanted: Uint8Array,
  from: number,
): number {
  const isThere = (at: number) =>
    wanted.every((byte, i) => bytes[at + i] === byte);
  let at = bytes.indexOf(wanted[0]!, from);
  while (at >= 0 && !isThere(at)) at = bytes.indexOf(wanted[0]!, at + 1);
  return at;
}
