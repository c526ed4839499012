/**
 * As much of libuv as a small program and some tests need: the default loop, and
 * three kinds of handles. Nothing here has to do with waiting.
 *
 * @module
 */

import { cString } from "../../../ffi/mod.ts";
import { openToolkit } from "../../../ffi/toolkits/library.ts";
import { LIBUV } from "../../../ffi/toolkits/libuv.ts";
import { functionFor, guarded, keep, textAt } from "./c.ts";

const SYMBOLS = {
  /** `uv_loop_t *uv_default_loop(void)` */
  uv_default_loop: { parameters: [], result: "pointer" },
  /** `int uv_run(uv_loop_t *loop, uv_run_mode mode)` */
  uv_run: { parameters: ["pointer", "i32"], result: "i32" },
  /** `void uv_stop(uv_loop_t *loop)` */
  uv_stop: { parameters: ["pointer"], result: "void" },
  /** `const char *uv_strerror(int error)` */
  uv_strerror: { parameters: ["i32"], result: "pointer" },
  /** `void uv_update_time(uv_loop_t *loop)` */
  uv_update_time: { parameters: ["pointer"], result: "void" },
  /** `size_t uv_handle_size(uv_handle_type type)` */
  uv_handle_size: { parameters: ["i32"], result: "usize" },
  /** `void uv_close(uv_handle_t *handle, uv_close_cb callback)` */
  uv_close: { parameters: ["buffer", "function"], result: "void" },
  /** `int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)` */
  uv_timer_init: { parameters: ["pointer", "buffer"], result: "i32" },
  /** `int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout, uint64_t repeat)` */
  uv_timer_start: {
    parameters: ["buffer", "function", "u64", "u64"],
    result: "i32",
  },
  /** `int uv_signal_init(uv_loop_t *loop, uv_signal_t *signal)` */
  uv_signal_init: { parameters: ["pointer", "buffer"], result: "i32" },
  /** `int uv_signal_start(uv_signal_t *signal, uv_signal_cb callback, int number)` */
  uv_signal_start: {
    parameters: ["buffer", "function", "i32"],
    result: "i32",
  },
  /** `int uv_fs_event_init(uv_loop_t *loop, uv_fs_event_t *watch)` */
  uv_fs_event_init: { parameters: ["pointer", "buffer"], result: "i32" },
  /** `int uv_fs_event_start(uv_fs_event_t *watch, uv_fs_event_cb callback, const char *path, unsigned int flags)` */
  uv_fs_event_start: {
    parameters: ["buffer", "function", "buffer", "u32"],
    result: "i32",
  },
} as const;

/** `void (uv_timer_cb)(uv_timer_t *timer)` */
const TIMER = { parameters: ["pointer"], result: "void" } as const;

/** `void (uv_signal_cb)(uv_signal_t *signal, int number)` */
const SIGNAL = { parameters: ["pointer", "i32"], result: "void" } as const;

/** `void (uv_fs_event_cb)(uv_fs_event_t *watch, const char *name, int events, int status)` */
const FS_EVENT = {
  parameters: ["pointer", "pointer", "i32", "i32"],
  result: "void",
} as const;

// Of uv.h.
const UV_FS_EVENT = 3;
const UV_TIMER = 13;
const UV_SIGNAL = 16;
const UV_RUN_DEFAULT = 0;

const SIGINT = 2;

type Libuv = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Libuv | undefined;

/** A handle of libuv's that is in use. */
export interface Handle {
  /** Takes it out of use. */
  close(): void;
}

/** Runs libuv's default loop: blocks until it is stopped, or has nothing left. */
export function run(): void {
  libuv().uv_run(loop(), UV_RUN_DEFAULT);
}

/** Lets {@linkcode run} return. */
export function stop(): void {
  libuv().uv_stop(loop());
}

/** Calls `f` every `ms` milliseconds. */
export function startTimer(ms: number, f: () => void): Handle {
  const uv = libuv();
  const timer = newHandle(UV_TIMER, uv.uv_timer_init);
  const callback = functionFor(TIMER, () => guarded(f));
  // A timer counts from the time that its loop knows, that of its last step.
  uv.uv_update_time(loop());
  const interval = BigInt(ms);
  check(uv.uv_timer_start(timer, callback, interval, interval));
  return { close: () => uv.uv_close(timer, null) };
}

/** Calls `f` when somebody presses Ctrl-C. */
export function onInterrupt(f: () => void): Handle {
  const uv = libuv();
  const signal = newHandle(UV_SIGNAL, uv.uv_signal_init);
  const callback = functionFor(SIGNAL, () => guarded(f));
  check(uv.uv_signal_start(signal, callback, SIGINT));
  return { close: () => uv.uv_close(signal, null) };
}

/** Calls `f` with the name of whatever changes in a folder. */
export function watchFolder(path: string, f: (name: string) => void): Handle {
  const uv = libuv();
  const watch = newHandle(UV_FS_EVENT, uv.uv_fs_event_init);
  const callback = functionFor(FS_EVENT, (_watch, name) => {
    guarded(() => f(textAt(name)));
  });
  const folder = cString(path, "watch a folder", "path");
  check(uv.uv_fs_event_start(watch, callback, folder, 0));
  return { close: () => uv.uv_close(watch, null) };
}

function libuv(): Libuv {
  return opened ??= openToolkit(LIBUV, SYMBOLS);
}

function loop(): Deno.PointerValue {
  return libuv().uv_default_loop();
}

function newHandle(
  type: number,
  init: (loop: Deno.PointerValue, handle: BufferSource) => number,
): Uint8Array<ArrayBuffer> {
  const handle = new Uint8Array(Number(libuv().uv_handle_size(type)));
  keep(handle);
  check(init(loop(), handle));
  return handle;
}

function check(result: number): void {
  if (result >= 0) return;
  throw new Error(textAt(libuv().uv_strerror(result)));
}
