/**
 * The functions of libuv that are called, with their C declarations.
 *
 * @module
 */

import { openToolkit, type ToolkitLibrary } from "./library.ts";

/** Where libuv is. */
export const LIBUV: ToolkitLibrary = {
  name: "libuv",
  names: {
    linux: ["libuv.so.1"],
    freebsd: ["libuv.so.1"],
    darwin: [
      "libuv.1.dylib",
      "/opt/homebrew/lib/libuv.1.dylib",
      "/usr/local/lib/libuv.1.dylib",
    ],
  },
  packages: { debian: "libuv1", fedora: "libuv", homebrew: "libuv" },
  // Deno's program has some uv_ functions itself, for Node's native modules.
  // Without this libuv would call those in place of its own, and crash.
  ownSymbolsFirst: true,
};

/** What is called on the main thread. */
export const LIBUV_SYMBOLS = {
  /** `uv_loop_t *uv_default_loop(void)` */
  uv_default_loop: { parameters: [], result: "pointer" },
  /** `int uv_loop_alive(const uv_loop_t *loop)` */
  uv_loop_alive: { parameters: ["pointer"], result: "i32" },
  /** `void uv_update_time(uv_loop_t *loop)` */
  uv_update_time: { parameters: ["pointer"], result: "void" },
  /** `int uv_backend_fd(const uv_loop_t *loop)` */
  uv_backend_fd: { parameters: ["pointer"], result: "i32" },
  /** `int uv_backend_timeout(const uv_loop_t *loop)` */
  uv_backend_timeout: { parameters: ["pointer"], result: "i32" },
  /** `int uv_run(uv_loop_t *loop, uv_run_mode mode)` */
  uv_run: { parameters: ["pointer", "i32"], result: "i32" },
  /** `size_t uv_handle_size(uv_handle_type type)` */
  uv_handle_size: { parameters: ["i32"], result: "usize" },
  /** `int uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb callback)` */
  uv_async_init: {
    parameters: ["pointer", "buffer", "function"],
    result: "i32",
  },
  /** `void uv_close(uv_handle_t *handle, uv_close_cb callback)` */
  uv_close: { parameters: ["buffer", "function"], result: "void" },
  /** `const char *uv_strerror(int error)` */
  uv_strerror: { parameters: ["i32"], result: "pointer" },
} as const;

/** What is called from the worker: addresses. */
export const LIBUV_ADDRESSES = {
  /** `int uv_async_send(uv_async_t *async)` */
  uv_async_send: { type: "pointer" },
} as const;

type Libuv = Deno.DynamicLibrary<typeof LIBUV_SYMBOLS>["symbols"];
type LibuvAddresses = Deno.DynamicLibrary<typeof LIBUV_ADDRESSES>["symbols"];

let opened: Libuv | undefined;
let addresses: LibuvAddresses | undefined;

/** libuv's functions; the library is opened on the first call. */
export function libuv(): Libuv {
  return opened ??= openToolkit(LIBUV, LIBUV_SYMBOLS);
}

/** The addresses of libuv's functions. */
export function libuvAddresses(): LibuvAddresses {
  return addresses ??= openToolkit(LIBUV, LIBUV_ADDRESSES);
}
