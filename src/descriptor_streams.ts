/**
 * Web streams over a descriptor.
 *
 * Both follow one pattern: try; when the kernel says "would block", wait until
 * the reactor says "ready"; try again. So nothing is read that nobody asked
 * for, and nothing is taken that has no room: that is all there is to
 * back-pressure.
 *
 * @module
 */

import { complaint } from "./arguments.ts";

/** What a stream needs of its descriptor. */
export interface StreamSource {
  /** The number. */
  readonly fd: number;
  /**
   * Calls wait in the kernel, so that only a ready descriptor may be touched.
   */
  readonly blocking: boolean;
  /**
   * Before anyone has begun to write, a read would find the end of the file.
   */
  readonly awaitsWriter: boolean;
  /**
   * Reads what is there: the number of bytes, -1 if there are none now, null at
   * the end of the file.
   */
  read(into: Uint8Array): number | null;
  /**
   * Writes what there is room for: the number of bytes, -1 if there is no room
   * now.
   */
  write(from: Uint8Array): number;
  /** Waits until another try is worth it. */
  wait(options: { signal: AbortSignal; label: string }): Promise<unknown>;
  /**
   * The stream is over: it ended, it was given up, or it failed. Not called
   * after {@linkcode Taken.fail}.
   */
  over(): void;
}

/** A stream, and the descriptor's hold on it. */
export interface Taken<Stream> {
  /** The stream. */
  readonly stream: Stream;
  /** Errors the stream at once, because its descriptor goes away under it. */
  fail(reason: Error): void;
}

/**
 * How many bytes a reader without a buffer of its own gets at a time, at most.
 */
const CHUNK = 64 * 1024;

/**
 * How often in a row a stream touches a descriptor that never makes it wait.
 * Streams go on in microtasks, so a file, or somebody at the other end who is
 * just as fast, would otherwise keep everything else from having its turn.
 */
const TRIES = 16;

/**
 * `<limits.h>`: what a pipe that poll() calls writable takes without blocking.
 */
const PIPE_BUF = Deno.build.os === "darwin" ? 512 : 4096;

/**
 * Where readers without a buffer are read for, one after the other, so that a
 * stream that waits holds no memory.
 */
let shared: Uint8Array<ArrayBuffer> | undefined;

/** Makes a stream of what can be read. */
export function readableFrom(
  source: StreamSource,
): Taken<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const tries = new Tries(
    source,
    `Readable stream of descriptor ${source.fd}`,
    !source.awaitsWriter,
  );
  let controller!: ReadableByteStreamController;
  const stream = new ReadableStream({
    type: "bytes",
    start(given) {
      controller = given;
    },
    pull() {
      return tries.until(() => readChunk(source, controller));
    },
    cancel(reason) {
      tries.stop(reason);
      source.over();
    },
  }, { highWaterMark: 0 });
  return {
    stream,
    fail(reason) {
      tries.stop(reason);
      controller.error(reason);
    },
  };
}

/**
 * Serves one request of the reader. Returns false if there is nothing to serve
 * it with yet.
 */
function readChunk(
  source: StreamSource,
  controller: ReadableByteStreamController,
): boolean {
  // Looked up at each try, because one reader may have given way to another
  // during the wait.
  const request = controller.byobRequest;
  const into = request === null
    ? shared ??= new Uint8Array(CHUNK)
    : request.view as Uint8Array;
  const count = source.read(into);
  if (count === null) {
    controller.close();
    request?.respond(0);
    source.over();
    return true;
  }
  // Nothing there, or an empty datagram, which a stream of bytes has no way to
  // show.
  if (count <= 0) return false;
  if (request === null) controller.enqueue(shared!.slice(0, count));
  else request.respond(count);
  return true;
}

/** Makes a stream whose chunks are written. */
export function writableTo(
  source: StreamSource,
): Taken<WritableStream<Uint8Array>> {
  const tries = new Tries(
    source,
    `Writable stream of descriptor ${source.fd}`,
    true,
  );
  let controller!: WritableStreamDefaultController;
  const stream = new WritableStream<Uint8Array>({
    start(given) {
      controller = given;
      // abort() of the sink is called only after a write under way has settled,
      // which it may never do by itself.
      given.signal.addEventListener(
        "abort",
        () => tries.stop(given.signal.reason),
      );
    },
    write(chunk) {
      if (!(chunk instanceof Uint8Array)) {
        throw tries.failed(
          new TypeError(
            complaint(
              chunk,
              `write to descriptor ${source.fd}`,
              "chunk",
              "a Uint8Array",
            ),
          ),
        );
      }
      return writeChunk(source, tries, chunk);
    },
    close() {
      source.over();
    },
    abort(reason) {
      tries.stop(reason);
      source.over();
    },
  });
  return {
    stream,
    fail(reason) {
      tries.stop(reason);
      controller.error(reason);
    },
  };
}

async function writeChunk(
  source: StreamSource,
  tries: Tries,
  chunk: Uint8Array,
): Promise<void> {
  let rest = chunk;
  if (rest.length === 0) return;
  await tries.until(() => {
    const count = source.write(
      source.blocking ? rest.subarray(0, PIPE_BUF) : rest,
    );
    if (count > 0) rest = rest.subarray(count);
    return rest.length === 0;
  });
}

/** The pattern: try, wait, try again. */
class Tries {
  readonly #source: StreamSource;
  readonly #label: string;
  readonly #stopped = new AbortController();
  /** How many tries are left before the next wait. */
  #left: number;

  constructor(source: StreamSource, label: string, atOnce: boolean) {
    this.#source = source;
    this.#label = label;
    this.#left = source.blocking || !atOnce ? 0 : TRIES;
  }

  /** Tries until it works. What goes wrong ends the stream. */
  async until(attempt: () => boolean): Promise<void> {
    try {
      if (this.#left === 0) await this.#wait();
      while (!attempt()) await this.#wait();
      this.#left--;
    } catch (error) {
      throw this.failed(error);
    }
  }

  /** Ends the wait under way, and that is the end of it. */
  stop(reason: unknown): void {
    this.#stopped.abort(reason);
  }

  /** Notes an error, for the caller to throw. */
  failed(error: unknown): unknown {
    // What comes of being stopped is not the stream's own failure.
    if (!this.#stopped.signal.aborted) this.#source.over();
    return error;
  }

  async #wait(): Promise<void> {
    const { signal } = this.#stopped;
    await this.#source.wait({ signal, label: this.#label });
    // Readiness and the stop may come in the same turn. The number may be
    // another file's by now.
    signal.throwIfAborted();
    this.#left = this.#source.blocking ? 1 : TRIES;
  }
}
