/**
 * Deno's loop has the main thread, and GLib's is attached. The argument says
 * what is tried.
 *
 * @module
 */

import { FileDescriptor, type ForeignLoop, Reactor } from "../../../mod.ts";
import { POLL } from "../../../ffi/mod.ts";
import { glibLoop } from "../../../src/loops/glib.ts";
import { startThread, withWorkers } from "../../workers.ts";
import { aliveBeside, idle } from "./alive.ts";
import { descriptorFunction, glib, sourceFunction } from "./glib_functions.ts";
import { say } from "./say.ts";

/** Long enough for anything that comes at all. */
const PATIENCE = 5000;

const errors: string[] = [];
const reactor = new Reactor({
  onError: (error) => errors.push((error as Error).message),
});

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether it settles in time. */
async function comes(promise: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout>;
  const never = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, PATIENCE, false);
  });
  const came = await Promise.race([promise.then(() => true), never]);
  clearTimeout(timer!);
  return came;
}

/** Sources that are added by plain Deno code, at any moment. */
async function seen() {
  using _attachment = reactor.attach(glibLoop());
  let served: () => void;
  const serve = sourceFunction(() => {
    served();
    return false;
  });
  const latencies: number[] = [];
  for (let i = 0; i < 100; i++) {
    await sleep(i % 4);
    const { promise, resolve } = Promise.withResolvers<void>();
    served = resolve;
    const added = performance.now();
    glib.g_idle_add(serve, null);
    if (!await comes(promise)) break;
    latencies.push(performance.now() - added);
  }
  const count = latencies.length;
  return { count, median: latencies.sort((a, b) => a - b)[count >> 1] };
}

/**
 * Sources that a thread adds, each of them 0 to 150 us after the one before was
 * served: while the main thread steps GLib, while it gives the context away,
 * and when it has.
 */
async function seenFromThread() {
  using _attachment = reactor.attach(glibLoop());
  // What is left to be served, and what was not served in time.
  const counts = new Int32Array(new SharedArrayBuffer(8));
  const rounds = counts[0] = 2000;
  await startThread(({ counts, patience }) => {
    const glib = Deno.dlopen("libglib-2.0.so.0", {
      g_idle_add: { parameters: ["pointer", "pointer"], result: "u32" },
      // gboolean g_atomic_int_dec_and_test(gint *atomic), which is not true
      // before it comes to 0, and so is a source that serves once.
      g_atomic_int_dec_and_test: { type: "pointer" },
    }).symbols;
    const left = Deno.UnsafePointer.of(counts);
    for (let before = counts[0]!; before > 1; before--) {
      const next = performance.now() + (before % 150) / 1000;
      while (performance.now() < next);
      glib.g_idle_add(glib.g_atomic_int_dec_and_test, left);
      for (const added = performance.now(); counts[0] === before;) {
        if (performance.now() - added > patience) {
          counts[1] = before;
          return;
        }
      }
    }
  }, { counts, patience: PATIENCE }).done;
  return { rounds, left: counts[0], missed: counts[1] };
}

/** How late timers are, in milliseconds. */
async function timers() {
  using _attachment = reactor.attach(glibLoop());
  return await Promise.all([0, 20, 50, 100, 200].map((interval) => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const due = performance.now() + interval;
    const serve = sourceFunction(() => {
      resolve(performance.now() - due);
      return false;
    });
    glib.g_timeout_add(interval, serve, null);
    return promise;
  }));
}

/** Bytes that GLib waits for. */
async function descriptor() {
  using _attachment = reactor.attach(glibLoop());
  const [output, input] = FileDescriptor.pipe();
  const byte = new Uint8Array(1);
  const values: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const serve = descriptorFunction(() => {
    output.read(byte);
    values.push(byte[0]!);
    if (values.length < 50) return true;
    resolve();
    return false;
  });
  glib.g_unix_fd_add(output.fileno(), POLL.IN, serve, null);
  for (let i = 0; i < 50; i++) {
    input.write(new Uint8Array([i]));
    await sleep(1);
  }
  await comes(promise);
  output.close();
  input.close();
  return values;
}

/** What goes on beside a source that is always ready. */
async function busy() {
  using _attachment = reactor.attach(glibLoop());
  let rounds = 0;
  const id = glib.g_idle_add(sourceFunction(() => ++rounds > 0), null);
  const alive = await aliveBeside(reactor);
  glib.g_source_remove(id);
  return { ...alive, rounds };
}

/** A callback throws, and a later one does not. */
async function throws() {
  using _attachment = reactor.attach(glibLoop());
  const thrower = sourceFunction(() => {
    throw new Error("on purpose");
  });
  glib.g_idle_add(thrower, null);
  await sleep(50);
  const { promise, resolve } = Promise.withResolvers<void>();
  const serve = sourceFunction(() => {
    resolve();
    return false;
  });
  glib.g_idle_add(serve, null);
  return { goesOn: await comes(promise), errors };
}

/** A timer of GLib's while the loop is attached, while not, and again. */
async function detached() {
  let ticks = 0;
  glib.g_timeout_add(5, sourceFunction(() => ++ticks > 0), null);
  const counts: number[] = [];
  for (const attached of [true, false, true]) {
    const attachment = attached ? reactor.attach(glibLoop()) : undefined;
    const before = ticks;
    await sleep(200);
    counts.push(ticks - before);
    attachment?.detach();
  }
  return counts;
}

/** Two loops, and how many workers it takes to wait for both. */
async function two() {
  let workers = 0;
  let ticks = 0;
  let bytes = 0;
  await withWorkers(async (started) => {
    const [output, input] = FileDescriptor.pipe();
    const byte = new Uint8Array(1);
    const descriptors = [{ fd: output.fileno(), events: POLL.IN }];
    const other: ForeignLoop = {
      prepare: () => ({ descriptors, timeout: -1 }),
      dispatch: (revents) => {
        if (revents[0]! & POLL.IN) bytes += output.read(byte)!;
      },
    };
    using _glib = reactor.attach(glibLoop());
    using _other = reactor.attach(other);
    const tick = sourceFunction(() => ++ticks < 20);
    glib.g_timeout_add(5, tick, null);
    for (let i = 0; i < 20; i++) {
      input.write(byte);
      await sleep(10);
    }
    workers = started.length;
    output.close();
    input.close();
  });
  return { workers, ticks, bytes };
}

/** Nothing happens. */
async function quiet() {
  using _attachment = reactor.attach(glibLoop());
  return await idle(reactor);
}

/** Another thread has the default context, and keeps it. */
async function owned() {
  await startThread(() => {
    const glib = Deno.dlopen("libglib-2.0.so.0", {
      g_main_context_default: { parameters: [], result: "pointer" },
      g_main_context_acquire: { parameters: ["pointer"], result: "i32" },
    }).symbols;
    glib.g_main_context_acquire(glib.g_main_context_default());
  }, undefined).done;
  using _attachment = reactor.attach(glibLoop());
  while (reactor.inspect().attachments.length > 0) await sleep(10);
  return errors;
}

const trials: Record<string, () => Promise<unknown>> = {
  seen,
  seenFromThread,
  timers,
  descriptor,
  busy,
  throws,
  detached,
  two,
  quiet,
  owned,
};
say("result", await trials[Deno.args[0]!]!());
