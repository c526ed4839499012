/**
 * libuv's loop.
 *
 * | who has the main thread | use |
 * |---|---|
 * | libuv, in `uv_run()` | {@linkcode libuvWaker} |
 * | Deno | {@linkcode libuvLoop} |
 *
 * Deno's own program has functions of libuv's names, for Node's native modules.
 * A libuv that is opened with plain `Deno.dlopen` on Linux calls those in place
 * of its own, and crashes. Both functions here open it so that it does not; call
 * one of them before you open libuv yourself.
 *
 * @example libuv in Deno's loop
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import { libuvLoop } from "@interleave/reactor/loops/libuv";
 *
 * async function withHandles(program: () => Promise<void>): Promise<void> {
 *   using _attachment = reactor.attach(libuvLoop());
 *   await program(); // Its handles live beside fetch, timers and Deno.serve.
 * }
 * ```
 *
 * @module
 */

import { libuv, libuvAddresses } from "../../ffi/toolkits/libuv.ts";
import { POLL } from "../../ffi/constants.ts";
import { complaint } from "../arguments.ts";
import type { ForeignLoop, Prepared } from "../foreign_loop.ts";
import { isAddress, type NativeWaker } from "../native_waker.ts";

// Of uv.h.
const UV_ASYNC = 1;
const UV_RUN_NOWAIT = 2;

/** A loop without anything to do: it is not stepped. */
const NOTHING: Prepared = { descriptors: [], timeout: -1 };

/** libuv may look at a handle until its loop has run once more, if it ever does. */
const handles: Uint8Array[] = [];

/**
 * The waker for a thread that is inside `uv_run()`.
 *
 * It is a handle of the loop like any other: `uv_run()` does not return because
 * nothing else is left, before `uv_stop()` is called or the reactor's run has
 * ended. The handle is closed then; libuv finishes that when the loop runs once
 * more.
 *
 * @param loop A `uv_loop_t *`. The default is `uv_default_loop()`.
 * @returns The waker.
 * @throws {TypeError} When `loop` is not a pointer.
 * @throws {Deno.errors.NotFound} When libuv is not installed.
 *
 * @example libuv as the host
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { libuvWaker } from "@interleave/reactor/loops/libuv";
 *
 * function start(uv: { run(): void; stop(): void }): Reactor {
 *   const reactor = new Reactor();
 *   reactor.interleave(libuvWaker());
 *   reactor.addSystemEventTrigger("after", "shutdown", () => uv.stop());
 *   setTimeout(() => uv.run(), 0);
 *   return reactor;
 * }
 * ```
 */
export function libuvWaker(loop?: Deno.PointerObject): NativeWaker {
  return new LibuvWaker(checkLoop(loop, "make a waker for libuv"));
}

/**
 * A loop of libuv's for {@linkcode Reactor.attach}.
 *
 * libuv tells nobody when plain Deno code starts a handle or stops one: `kick`
 * the attachment then. In callbacks of libuv's and of the reactor's there is no
 * need to. A loop without an active handle is left alone until the next kick.
 * And call `uv_update_time()` before `uv_timer_start()`: libuv counts from the
 * time that the loop knows, that of its last step.
 *
 * SIGHUP, SIGINT, SIGTERM and SIGUSR1 are for `Deno.addSignalListener`: Deno
 * takes them, soon after it has started, from whoever has them.
 *
 * @param loop A `uv_loop_t *`. The default is `uv_default_loop()`.
 * @returns The loop.
 * @throws {TypeError} When `loop` is not a pointer.
 * @throws {Deno.errors.NotFound} When libuv is not installed.
 *
 * @example Starting a timer of libuv's
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import { libuvLoop } from "@interleave/reactor/loops/libuv";
 *
 * function start(uv: { updateTime(): void; startTimer(ms: number): void }) {
 *   const attachment = reactor.attach(libuvLoop());
 *   setInterval(() => {
 *     uv.updateTime();
 *     uv.startTimer(100);
 *     attachment.kick();
 *   }, 1000);
 * }
 * ```
 */
export function libuvLoop(loop?: Deno.PointerObject): ForeignLoop {
  return new LibuvLoop(checkLoop(loop, "make a loop of libuv"));
}

class LibuvWaker implements NativeWaker {
  readonly #loop: Deno.PointerValue;
  readonly #handles: Uint8Array[] = [];
  #released = 0;
  readonly post: Deno.PointerObject = libuvAddresses().uv_async_send!;
  readonly parameters: readonly Deno.NativeType[] = ["pointer"];
  readonly result = "i32";

  constructor(loop: Deno.PointerValue) {
    this.#loop = loop;
  }

  arguments(work: Deno.PointerObject): Deno.PointerValue[] {
    const { uv_handle_size, uv_async_init, uv_strerror } = libuv();
    const handle = new Uint8Array(Number(uv_handle_size(UV_ASYNC)));
    const result = uv_async_init(this.#loop, handle, work);
    if (result < 0) {
      const reason = new Deno.UnsafePointerView(uv_strerror(result)!);
      throw new Error(
        `Cannot make a handle of libuv's: ${reason.getCString()}`,
      );
    }
    this.#handles.push(handle);
    handles.push(handle);
    return [Deno.UnsafePointer.of(handle)];
  }

  release(): void {
    // A run may have begun before the worker of the one before it was gone: only
    // the last to leave knows that nobody sends any more.
    if (++this.#released < this.#handles.length) return;
    for (const handle of this.#handles.splice(0)) {
      libuv().uv_close(handle, null);
    }
    this.#released = 0;
  }
}

class LibuvLoop implements ForeignLoop {
  readonly #libuv = libuv();
  readonly #loop: Deno.PointerValue;

  constructor(loop: Deno.PointerValue) {
    this.#loop = loop;
  }

  prepare(): Prepared {
    const { uv_loop_alive, uv_update_time, uv_backend_fd, uv_backend_timeout } =
      this.#libuv;
    const loop = this.#loop;
    // uv_run() would do nothing with such a loop, not even read what its
    // descriptor tells of, and its timeout is 0: it would be stepped for ever.
    if (uv_loop_alive(loop) === 0) return NOTHING;
    uv_update_time(loop);
    return {
      descriptors: [{ fd: uv_backend_fd(loop), events: POLL.IN }],
      timeout: uv_backend_timeout(loop),
    };
  }

  dispatch(): void {
    this.#libuv.uv_run(this.#loop, UV_RUN_NOWAIT);
  }
}

function checkLoop(value: unknown, action: string): Deno.PointerValue {
  if (value === undefined) return libuv().uv_default_loop();
  if (isAddress(value)) return value;
  throw new TypeError(complaint(value, action, "loop", "a pointer to a loop"));
}
