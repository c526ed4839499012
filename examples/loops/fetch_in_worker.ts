/**
 * `fetch` for a program whose main thread belongs to a toolkit.
 *
 * While a toolkit's loop blocks the main thread, Deno's own loop stands still,
 * and its `fetch` with it. So a worker fetches, whose loop is free, and what it
 * has got comes back the way everything comes to a reactor: it posts the answer
 * to a message port, and then writes a byte into a pipe. The reactor sees the
 * byte, wherever it runs, and the answer is taken out of the port by hand,
 * which needs no loop.
 *
 * What else is Deno's, `Deno.serve` for one, can live in a worker the same way.
 * For a page alone there is a shorter way: `../net/http_client.ts` gets it by the
 * reactor's own connections, without a thread and without `--allow-net`.
 *
 * @module
 */

import { libcPath } from "../../ffi/libc.ts";
import {
  FileDescriptor,
  type Reactor,
  type ReadDescriptor,
} from "../../mod.ts";

/** What has become of a fetch. An answer such as "404 Not Found" is an error. */
export type FetchResult = { text: string } | { error: string };

/** What the worker is told: to fetch, or, without a URL, to give up. */
interface Order {
  id: number;
  url?: string;
}

/** What the worker says. */
interface Answer {
  id: number;
  result: FetchResult;
}

/** What the worker is given. */
interface Outfit {
  port: import("node:worker_threads").MessagePort;
  /** The end of the pipe to write to. */
  bell: number;
  /** The C library. */
  library: string;
}

/** Fetches texts, in a worker, for a reactor in any host. */
export class FetchWorker implements Disposable {
  /** Settles when it was disposed of and its thread is gone. */
  readonly ended: Promise<void>;

  readonly #reactor: Reactor;
  readonly #worker: import("node:worker_threads").Worker;
  readonly #port: import("node:worker_threads").MessagePort;
  readonly #bell: FileDescriptor;
  readonly #callbacks = new Map<number, (result: FetchResult) => void>();
  readonly #rings = new Uint8Array(64);
  readonly #reader: ReadDescriptor = {
    fileno: () => this.#bell.fileno(),
    doRead: () => this.#takeAnswers(),
    connectionLost: () => this[Symbol.dispose](),
  };
  #lastId = 0;
  #disposed = false;

  /**
   * Starts the worker.
   *
   * @param reactor Where the callbacks run. When it stops, this is disposed of.
   */
  constructor(reactor: Reactor) {
    const { MessageChannel, Worker } = process.getBuiltinModule(
      "node:worker_threads",
    );
    const [bell, rope] = FileDescriptor.pipe();
    const { port1, port2 } = new MessageChannel();
    const outfit: Outfit = {
      port: port2,
      bell: rope.fileno(),
      library: libcPath(),
    };
    // A function's own text needs no permission to read it from a file.
    const source = `(${fetchOnOrder})(
      process.getBuiltinModule("node:worker_threads").workerData,
    );`;
    this.#worker = new Worker(
      new URL(`data:text/javascript,${encodeURIComponent(source)}`),
      { workerData: outfit, transferList: [port2], env: {} },
    );
    // The reader below keeps the process alive, and a stopped reactor has none.
    this.#worker.unref();
    this.#worker.on("error", (error) => this.#failed(error as Error));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#worker.on("exit", () => {
      // Only now: another file may be given the number at once, and the worker
      // must not write into that.
      rope.close();
      resolve();
    });
    this.#port = port1;
    this.#bell = bell;
    this.#reactor = reactor;
    reactor.addReader(this.#reader);
  }

  /**
   * Fetches a page.
   *
   * @param url Where from.
   * @param callback Is called once, in a work item of the reactor.
   * @returns Gives the fetch up: the callback is not called any more.
   * @throws {Deno.errors.BadResource} When the worker has ended.
   */
  fetch(url: string, callback: (result: FetchResult) => void): () => void {
    if (this.#disposed) {
      throw new Deno.errors.BadResource("Cannot fetch: the worker has ended");
    }
    const id = ++this.#lastId;
    this.#callbacks.set(id, callback);
    this.#port.postMessage({ id, url } satisfies Order);
    return () => {
      if (!this.#callbacks.delete(id)) return;
      this.#port.postMessage({ id } satisfies Order);
    };
  }

  /** Ends the worker. Callbacks of fetches under way are not called. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#callbacks.clear();
    this.#reactor.removeReader(this.#reader);
    this.#bell.close();
    this.#port.close();
    this.#worker.ref();
    void this.#worker.terminate();
  }

  /** The worker has rung. */
  #takeAnswers(): void {
    this.#bell.read(this.#rings);
    const { receiveMessageOnPort } = process.getBuiltinModule(
      "node:worker_threads",
    );
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      const { id, result } = received.message as Answer;
      this.#answer(id, result);
    }
  }

  /** In a work item of its own: one callback that throws spoils no other. */
  #answer(id: number, result: FetchResult): void {
    this.#reactor.callFromThread(() => {
      const callback = this.#callbacks.get(id);
      this.#callbacks.delete(id);
      callback?.(result);
    });
  }

  #failed(error: Error): void {
    if (this.#disposed) return;
    const callbacks = [...this.#callbacks.values()];
    this[Symbol.dispose]();
    for (const callback of callbacks) {
      this.#reactor.callFromThread(callback, { error: error.message });
    }
  }
}

/** The worker's whole program. It is sent as text, so it uses nothing outside. */
function fetchOnOrder({ port, bell, library }: Outfit): void {
  const { write } = Deno.dlopen(library, {
    /** `ssize_t write(int fd, const void *buffer, size_t count)` */
    write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  }).symbols;
  const byte = new Uint8Array(1);
  const underWay = new Map<number, AbortController>();

  async function get(url: string, signal: AbortSignal): Promise<FetchResult> {
    try {
      // Not the text: it would be relative to this program, which is a data URL.
      const response = await fetch(new URL(url), { signal });
      if (response.ok) return { text: await response.text() };
      await response.body?.cancel();
      return { error: `${response.status} ${response.statusText}`.trim() };
    } catch (error) {
      const { message, cause } = error as Error;
      // "fetch failed" has its reason there.
      return { error: cause instanceof Error ? cause.message : message };
    }
  }

  port.on("message", async ({ id, url }: Order) => {
    if (url === undefined) return underWay.get(id)?.abort();
    const controller = new AbortController();
    underWay.set(id, controller);
    const result = await get(url, controller.signal);
    underWay.delete(id);
    if (controller.signal.aborted) return;
    port.postMessage({ id, result } satisfies Answer);
    // Into a full pipe nothing goes, and nothing has to: the bell rings already.
    write(bell, byte, 1n);
  });
}
