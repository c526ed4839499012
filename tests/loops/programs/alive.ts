/**
 * What has to go on beside a window, measured inside its program.
 *
 * @module
 */

import { FileDescriptor, type Reactor } from "../../../mod.ts";

/** What went on in a second. */
export interface Alive {
  /** How often a `setInterval` of 10 ms fired. */
  ticks: number;
  /** How many times `fetch` got an answer from `Deno.serve`, one at a time. */
  fetches: number;
  /** How many bytes came through a pipe, one at a time. */
  bytes: number;
}

/**
 * Host form: lets timers, `fetch`, `Deno.serve` and a pipe on the reactor run
 * for a second, all at once.
 */
export async function aliveBeside(reactor: Reactor): Promise<Alive> {
  const alive: Alive = { ticks: 0, fetches: 0, bytes: 0 };
  const interval = setInterval(() => alive.ticks++, 10);
  let on = true;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("here"),
  );
  const fetching = (async () => {
    while (on) {
      const response = await fetch(`http://127.0.0.1:${server.addr.port}`);
      if (await response.text() === "here") alive.fetches++;
    }
  })();
  const [output, input] = FileDescriptor.pipe();
  const one = new Uint8Array(1);
  const piping = (async () => {
    while (on) {
      input.write(one);
      await reactor.readable(output);
      alive.bytes += output.read(one)!;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  on = false;
  await Promise.all([fetching, piping]);
  clearInterval(interval);
  output.close();
  input.close();
  await server.shutdown();
  return alive;
}

/** What it costs when nothing happens. */
export interface Idle {
  /** The processor time of the whole process, in milliseconds a second. */
  cpu: number;
  /** How many turns the reactor made, in two seconds. */
  turns: number;
}

/**
 * Lets nothing happen for two seconds.
 *
 * @param wait Lets so many milliseconds pass, doing nothing.
 */
export async function idle(
  reactor: Reactor,
  wait: (ms: number) => Promise<void> = sleep,
): Promise<Idle> {
  await wait(500); // Whatever the window still has to draw.
  const { turns } = reactor.inspect().counters;
  const before = process.cpuUsage();
  await wait(2000);
  const { user, system } = process.cpuUsage(before);
  return {
    cpu: (user + system) / 1000 / 2,
    turns: reactor.inspect().counters.turns - turns,
  };
}

/** What the reactor did inside a loop that blocks the main thread. */
export interface Guest {
  /** How many bytes came through a pipe, one at a time. */
  bytes: number;
  /** The median time from a byte's way into the pipe to its reader, in ms. */
  median: number;
  /** How often a delayed call of 10 ms, made again by itself, ran meanwhile. */
  calls: number;
  /** Whether a promise was served inside the loop. */
  promise: boolean;
  /** What `onError` was told of a callback that threw on purpose. */
  thrown: string;
}

/**
 * Guest form: sends 100 bytes through a pipe, from a worker, and lets a callback
 * throw on the way. Everything is done by callbacks, since the loop that is
 * about to begin blocks Deno's.
 *
 * @param reactor Has to be made with `onError: (error) => guestErrors.push(error)`.
 * @param done Is called, inside the loop, when all has come.
 */
export function aliveInside(
  reactor: Reactor,
  done: (guest: Guest) => void,
): void {
  const [output, input] = FileDescriptor.pipe();
  const guest: Guest = {
    bytes: 0,
    median: 0,
    calls: 0,
    promise: false,
    thrown: "",
  };
  const latencies: number[] = [];
  const stamp = new Float64Array(new SharedArrayBuffer(8));
  const pinger = startPinger(input.fileno(), stamp);
  const tick = () => {
    guest.calls++;
    reactor.callLater(10, tick);
  };
  reactor.callLater(10, tick);
  reactor.callLater(15, () => {
    throw new Error("on purpose");
  });
  reactor.callLater(20, async () => {
    await Promise.resolve();
    guest.promise = true;
  });
  const byte = new Uint8Array(1);
  const reader = {
    fileno: () => output.fileno(),
    doRead() {
      latencies.push(performance.timeOrigin + performance.now() - stamp[0]!);
      guest.bytes += output.read(byte)!;
      if (guest.bytes < 100) return pinger.next();
      reactor.removeReader(reader);
      pinger.end();
      // The promise is served after this work item at the latest.
      reactor.callLater(30, () => {
        guest.median = latencies.sort((a, b) => a - b)[50]!;
        guest.thrown = guestErrors.map((error) => (error as Error).message)
          .join();
        output.close();
        input.close();
        done(guest);
      });
    },
    connectionLost() {},
  };
  reactor.addReader(reader);
  pinger.next();
}

/** Give this to the reactor's `onError`. */
export const guestErrors: unknown[] = [];

/** A thread that writes a byte 2 ms after it is asked to, and notes when. */
function startPinger(fd: number, stamp: Float64Array) {
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const word = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(
    new URL(`data:text/javascript,${encodeURIComponent(PINGER)}`),
    { workerData: { fd, stamp, word }, env: {} },
  );
  worker.unref();
  const set = (value: number) => {
    Atomics.store(word, 0, value);
    Atomics.notify(word, 0);
  };
  return { next: () => set(1), end: () => set(2) };
}

const PINGER = `
const { workerData } = process.getBuiltinModule("node:worker_threads");
const { fd, stamp, word } = workerData;
const { write } = Deno.dlopen(
  Deno.build.os === "darwin" ? "libSystem.dylib" : "libc.so.6",
  { write: { parameters: ["i32", "buffer", "usize"], result: "isize" } },
).symbols;
const nobody = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  Atomics.wait(word, 0, 0);
  if (Atomics.exchange(word, 0, 0) === 2) break;
  Atomics.wait(nobody, 0, 0, 2);
  stamp[0] = performance.timeOrigin + performance.now();
  write(fd, new Uint8Array(1), 1n);
}
`;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
