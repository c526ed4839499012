/**
 * What the programs with GLib call of it, besides its loop.
 *
 * @module
 */

import { GLIB } from "../../../ffi/toolkits/glib.ts";
import { openToolkit } from "../../../ffi/toolkits/library.ts";

const SYMBOLS = {
  /** `GMainLoop *g_main_loop_new(GMainContext *context, gboolean is_running)` */
  g_main_loop_new: { parameters: ["pointer", "i32"], result: "pointer" },
  /** `void g_main_loop_run(GMainLoop *loop)` */
  g_main_loop_run: { parameters: ["pointer"], result: "void" },
  /** `void g_main_loop_quit(GMainLoop *loop)` */
  g_main_loop_quit: { parameters: ["pointer"], result: "void" },
  /** `guint g_idle_add(GSourceFunc function, gpointer data)` */
  g_idle_add: { parameters: ["function", "pointer"], result: "u32" },
  /** `guint g_timeout_add(guint interval, GSourceFunc function, gpointer data)` */
  g_timeout_add: { parameters: ["u32", "function", "pointer"], result: "u32" },
  /** `guint g_unix_fd_add(gint fd, GIOCondition condition, GUnixFDSourceFunc function, gpointer user_data)` */
  g_unix_fd_add: {
    parameters: ["i32", "i32", "function", "pointer"],
    result: "u32",
  },
  /** `gboolean g_source_remove(guint tag)` */
  g_source_remove: { parameters: ["u32"], result: "i32" },
} as const;

/** GLib's functions. */
export const glib: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] = openToolkit(
  GLIB,
  SYMBOLS,
);

/** A GMainLoop. */
export const mainLoop: Deno.PointerValue = glib.g_main_loop_new(null, 0);

/** GLib may call them for as long as the process lives. */
const held: unknown[] = [];

/**
 * A GSourceFunc.
 *
 * @param f Returns whether the source is to be served again.
 */
export function sourceFunction(f: () => boolean): Deno.PointerObject {
  const callback = new Deno.UnsafeCallback(
    { parameters: ["pointer"], result: "i32" },
    () => Number(f()),
  );
  held.push(callback);
  return callback.pointer;
}

/**
 * A GUnixFDSourceFunc.
 *
 * @param f Returns whether the source is to be served again.
 */
export function descriptorFunction(f: () => boolean): Deno.PointerObject {
  const callback = new Deno.UnsafeCallback(
    { parameters: ["i32", "i32", "pointer"], result: "i32" },
    () => Number(f()),
  );
  held.push(callback);
  return callback.pointer;
}
