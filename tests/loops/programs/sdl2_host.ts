/**
 * SDL 2 in Deno's loop: each case is one function.
 *
 *     sdl2_host.ts <case>
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { closeDescriptor, makeEventfd } from "../../../ffi/mod.ts";
import { openToolkit } from "../../../ffi/toolkits/library.ts";
import { SDL2 } from "../../../ffi/toolkits/sdl2.ts";
import { sdl2Loop, sdl2Waker } from "../../../src/loops/sdl2.ts";
import {
  type Colour,
  drawRectangle,
  newEvent,
  openScreen,
  present,
  quitSdl2,
  readEvent,
  sdl2,
} from "../../../examples/loops/bindings/sdl2.ts";
import { aliveBeside, idle } from "./alive.ts";
import { say } from "./say.ts";

const SIZE = { width: 200, height: 100 };

const sdl = openToolkit(SDL2, {
  /** `void SDL_PumpEvents(void)` */
  SDL_PumpEvents: { parameters: [], result: "void" },
});

const errors: unknown[] = [];
const reactor = new Reactor({ onError: (error) => errors.push(error) });

function typeOf(event: Uint8Array<ArrayBuffer>): number {
  return new DataView(event.buffer).getUint32(0, true);
}

/** An event of a type that nobody else has. */
function userEvent(): { type: number; event: Uint8Array<ArrayBuffer> } {
  const type = sdl2Waker().eventType;
  const event = newEvent();
  new DataView(event.buffer).setUint32(0, type, true);
  return { type, event };
}

/**
 * A thread that pushes an event whenever it is told to.
 *
 * @returns Tells it; to end with, say `false`.
 */
function startPusher(event: Uint8Array<ArrayBuffer>): (on: boolean) => void {
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const word = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(
    new URL(`data:text/javascript,${encodeURIComponent(PUSHER)}`),
    { workerData: { event, word, library: SDL2.names.linux![0] }, env: {} },
  );
  worker.unref();
  return (on) => {
    Atomics.store(word, 0, on ? 1 : 2);
    Atomics.notify(word, 0);
  };
}

const PUSHER = `
const { workerData } = process.getBuiltinModule("node:worker_threads");
const { event, word, library } = workerData;
const { SDL_PushEvent } = Deno.dlopen(library, {
  SDL_PushEvent: { parameters: ["buffer"], result: "i32" },
}).symbols;
for (;;) {
  Atomics.wait(word, 0, 0);
  if (Atomics.exchange(word, 0, 0) === 2) break;
  SDL_PushEvent(event);
}
`;

/** For this thread, and for those that it starts from now on. */
function useOneProcessor(): void {
  const { sched_getaffinity, sched_setaffinity } = Deno.dlopen("libc.so.6", {
    sched_getaffinity: {
      parameters: ["i32", "usize", "buffer"],
      result: "i32",
    },
    sched_setaffinity: {
      parameters: ["i32", "usize", "buffer"],
      result: "i32",
    },
  }).symbols;
  const mask = new BigUint64Array(16);
  sched_getaffinity(0, BigInt(mask.byteLength), mask);
  const i = mask.findIndex((word) => word !== 0n);
  const lowest = mask[i]! & -mask[i]!;
  mask.fill(0n);
  mask[i] = lowest;
  sched_setaffinity(0, BigInt(mask.byteLength), mask);
}

/** Whoever's event has come is told to push the next, `rounds` times each. */
async function takePushes(
  options: { threads: number; rounds: number },
): Promise<void> {
  const screen = openScreen("Host", SIZE);
  const threads = Array.from({ length: options.threads }, () => {
    const { type, event } = userEvent();
    return { type, count: 0, push: startPusher(event) };
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  const loop = sdl2Loop(screen.window, (event) => {
    const thread = threads.find(({ type }) => type === typeOf(event));
    if (thread === undefined) return;
    thread.push(++thread.count < options.rounds);
    if (threads.every(({ count }) => count === options.rounds)) resolve();
  });
  reactor.attach(loop);
  const before = performance.now();
  for (const { push } of threads) push(true);
  await promise;
  say("each", (performance.now() - before) / options.rounds);
  say("errors", errors.map(String));
}

/** Ends everything, in an order that needs no care: SDL goes first. */
async function end(): Promise<void> {
  quitSdl2();
  await reactor.close();
  say("quit");
}

const CASES = {
  async window(): Promise<void> {
    const screen = openScreen("Host", SIZE);
    const paint = (top: Colour) => {
      drawRectangle(screen, { x: 0, y: 0, ...SIZE, top, bottom: [9, 9, 9] });
      present(screen);
    };
    paint([10, 120, 200]);
    const { promise, resolve } = Promise.withResolvers<void>();
    const loop = sdl2Loop(screen.window, (bytes) => {
      const event = readEvent(bytes);
      if (event.type === "quit") resolve();
      if (event.type !== "click") return;
      paint([200, 120, 10]);
      say("click", event);
      // The ones after it come all the same.
      throw new Error("on purpose");
    });
    const attachment = reactor.attach(loop);
    say("beside", await aliveBeside(reactor));
    say("idle", await idle(reactor));
    await promise;
    say("errors", errors.map(String));
    attachment.detach();
    loop[Symbol.dispose]();
    quitSdl2();
    await reactor.close();
    say("quit");
  },

  /** Two threads push at once. */
  async pushes(): Promise<void> {
    await takePushes({ threads: 2, rounds: 500 });
    say("idle", await idle(reactor));
    await end();
  },

  /**
   * One thread pushes, and all of them share a processor. SDL writes the
   * eventfd just before it queues the event; here whoever waits for that comes
   * first.
   */
  async pushesEarly(): Promise<void> {
    useOneProcessor();
    await takePushes({ threads: 1, rounds: 3000 });
    await end();
  },

  /** Events that are in SDL's queue, or in Xlib's, before the reactor waits. */
  async readAhead(): Promise<void> {
    const screen = openScreen("Host", SIZE);
    const { type, event } = userEvent();
    const { promise, resolve } = Promise.withResolvers<void>();
    let pushed = 0;
    const loop = sdl2Loop(screen.window, (bytes) => {
      if (typeOf(bytes) === type) pushed++;
      if (readEvent(bytes).type === "click") resolve();
    });
    using _attachment = reactor.attach(loop);
    say("ready");
    for (let i = 0; i < 10; i++) {
      await new Promise<void>((resolve) => {
        reactor.callLater(1, () => {
          sdl2().SDL_PushEvent(event);
          sdl.SDL_PumpEvents();
          resolve();
        });
      });
    }
    // By then no push is so recent that the loop looks again because of it.
    reactor.callLater(200, () => {
      const { success } = new Deno.Command("xdotool", {
        args: "mousemove 300 300 mousemove 512 384 click 1".split(" "),
      }).outputSync();
      say("clicked", success);
      present(screen); // Waits for the server, which makes Xlib read.
    });
    await promise;
    say("pushed", pushed);
    loop[Symbol.dispose]();
    quitSdl2();
    await reactor.close();
  },

  async interval(): Promise<void> {
    const screen = openScreen("Host", SIZE);
    const loop = sdl2Loop(screen.window, () => {}, { interval: 5 });
    using _attachment = reactor.attach(loop);
    const { turns } = reactor.inspect().counters;
    await new Promise((resolve) => setTimeout(resolve, 500));
    say("turns", reactor.inspect().counters.turns - turns);
    say("errors", errors.map(String));
    loop[Symbol.dispose]();
    quitSdl2();
    await reactor.close();
  },

  async disposed(): Promise<void> {
    const screen = openScreen("Host", SIZE);
    // Only what the loop is made of: the worker opens and closes a file now and
    // then, to see where this thread sleeps.
    const open = () => {
      let eventfds = 0;
      for (const { name } of Deno.readDirSync("/proc/self/fd")) {
        if (linkOf(name).includes("eventfd")) eventfds++;
      }
      return eventfds;
    };
    const { event } = userEvent();
    let seen = 0;
    await using reactor = new Reactor();
    reactor.attach({
      prepare: () => ({ descriptors: [], timeout: -1 }),
      dispatch() {},
    });
    // The worker is up, with all that it has, when this was called.
    await new Promise<void>((resolve) => reactor.callLater(0, resolve));
    const before = open();
    const loop = sdl2Loop(screen.window, () => seen++);
    say("opened", open() - before);
    reactor.attach(loop);
    loop[Symbol.dispose]();
    loop[Symbol.dispose]();
    say("left", open() - before);
    // Whoever gets the number must not get SDL's writes.
    const another = makeEventfd(0);
    sdl2().SDL_PushEvent(event);
    const { readable } = await Promise.race([
      reactor.readable(another),
      new Promise<{ readable: boolean }>((resolve) =>
        reactor.callLater(20, resolve, { readable: false })
      ),
    ]);
    say("written", readable);
    say("seen", seen);
    // SDL has gone when this one is disposed of.
    const late = sdl2Loop(screen.window, () => {});
    quitSdl2();
    late[Symbol.dispose]();
    await reactor.close();
    closeDescriptor(another);
  },

  wrong(): void {
    const memory = new Uint8Array(4096);
    openScreen("Host", SIZE);
    try {
      sdl2Loop(Deno.UnsafePointer.of(memory)!, () => {});
    } catch (error) {
      say("message", (error as Error).message);
    }
    quitSdl2();
  },
};

/** What a descriptor stands for; nothing if it was closed just now. */
function linkOf(fd: string): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

await CASES[Deno.args[0] as keyof typeof CASES]();
