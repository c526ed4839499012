/**
 * The functions of GLib that are called, with their C declarations.
 *
 * @module
 */

import { openToolkit, type ToolkitLibrary } from "./library.ts";

/** Where GLib is. */
export const GLIB: ToolkitLibrary = {
  name: "GLib",
  names: {
    linux: ["libglib-2.0.so.0"],
    freebsd: ["libglib-2.0.so.0"],
    darwin: [
      "libglib-2.0.0.dylib",
      "/opt/homebrew/lib/libglib-2.0.0.dylib",
      "/usr/local/lib/libglib-2.0.0.dylib",
    ],
  },
  packages: { debian: "libglib2.0-0", fedora: "glib2", homebrew: "glib" },
};

/** What is called on the main thread. */
export const GLIB_SYMBOLS = {
  /** `GMainContext *g_main_context_default(void)` */
  g_main_context_default: { parameters: [], result: "pointer" },
  /** `gboolean g_main_context_acquire(GMainContext *context)` */
  g_main_context_acquire: { parameters: ["pointer"], result: "i32" },
  /** `void g_main_context_release(GMainContext *context)` */
  g_main_context_release: { parameters: ["pointer"], result: "void" },
  /** `gboolean g_main_context_prepare(GMainContext *context, gint *priority)` */
  g_main_context_prepare: { parameters: ["pointer", "buffer"], result: "i32" },
  /** `gint g_main_context_query(GMainContext *context, gint max_priority, gint *timeout, GPollFD *fds, gint n_fds)` */
  g_main_context_query: {
    parameters: ["pointer", "i32", "buffer", "buffer", "i32"],
    result: "i32",
  },
  /** `gboolean g_main_context_check(GMainContext *context, gint max_priority, GPollFD *fds, gint n_fds)` */
  g_main_context_check: {
    parameters: ["pointer", "i32", "buffer", "i32"],
    result: "i32",
  },
  /** `void g_main_context_dispatch(GMainContext *context)` */
  g_main_context_dispatch: { parameters: ["pointer"], result: "void" },
  /** `void g_main_context_wakeup(GMainContext *context)` */
  g_main_context_wakeup: { parameters: ["pointer"], result: "void" },
} as const;

/** What is called from the worker: addresses. */
export const GLIB_ADDRESSES = {
  /** `guint g_idle_add_full(gint priority, GSourceFunc function, gpointer data, GDestroyNotify notify)` */
  g_idle_add_full: { type: "pointer" },
  /** `gboolean g_main_context_acquire(GMainContext *context)` */
  g_main_context_acquire: { type: "pointer" },
  /** `void g_main_context_release(GMainContext *context)` */
  g_main_context_release: { type: "pointer" },
} as const;

/** GLib's functions. */
export type Glib = Deno.DynamicLibrary<typeof GLIB_SYMBOLS>["symbols"];
type GlibAddresses = Deno.DynamicLibrary<typeof GLIB_ADDRESSES>["symbols"];

let opened: Glib | undefined;
let addresses: GlibAddresses | undefined;

/** GLib's functions; the library is opened on the first call. */
export function glib(): Glib {
  return opened ??= openToolkit(GLIB, GLIB_SYMBOLS);
}

/** The addresses of GLib's functions. */
export function glibAddresses(): GlibAddresses {
  return addresses ??= openToolkit(GLIB, GLIB_ADDRESSES);
}
