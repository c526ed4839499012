/**
 * The functions of Tcl that are called, with their C declarations. Tk waits
 * through Tcl and has nothing of its own for it.
 *
 * @module
 */

import { libcPath } from "../libc.ts";
import { openToolkit, type ToolkitLibrary } from "./library.ts";

/** Where Tcl is. Of 8.6: Tcl 9.1 takes no other notifier than its own. */
export const TCL: ToolkitLibrary = {
  name: "Tcl 8.6",
  names: {
    linux: ["libtcl8.6.so.0", "libtcl8.6.so"],
    freebsd: ["libtcl86.so"],
    darwin: [
      "libtcl8.6.dylib",
      "/opt/homebrew/opt/tcl-tk@8/lib/libtcl8.6.dylib",
      "/usr/local/opt/tcl-tk@8/lib/libtcl8.6.dylib",
    ],
  },
  packages: { debian: "libtcl8.6", fedora: "tcl8", homebrew: "tcl-tk@8" },
};

/** What is called on the main thread. */
export const TCL_SYMBOLS = {
  /** `void Tcl_FindExecutable(const char *argv0)` */
  Tcl_FindExecutable: { parameters: ["buffer"], result: "void" },
  /** `void Tcl_SetNotifier(Tcl_NotifierProcs *procs)` */
  Tcl_SetNotifier: { parameters: ["buffer"], result: "void" },
  /** `int Tcl_SetServiceMode(int mode)` */
  Tcl_SetServiceMode: { parameters: ["i32"], result: "i32" },
  /** `int Tcl_GetServiceMode(void)` */
  Tcl_GetServiceMode: { parameters: [], result: "i32" },
  /** `int Tcl_ServiceAll(void)` */
  Tcl_ServiceAll: { parameters: [], result: "i32" },
  /** `char *Tcl_Alloc(unsigned int size)` */
  Tcl_Alloc: { parameters: ["u32"], result: "pointer" },
  /** `void Tcl_QueueEvent(Tcl_Event *event, Tcl_QueuePosition position)` */
  Tcl_QueueEvent: { parameters: ["pointer", "i32"], result: "void" },
  /** `void Tcl_CreateFileHandler(int fd, int mask, Tcl_FileProc *proc, ClientData data)` */
  Tcl_CreateFileHandler: {
    parameters: ["i32", "i32", "function", "pointer"],
    result: "void",
  },
  /** `void Tcl_DeleteFileHandler(int fd)` */
  Tcl_DeleteFileHandler: { parameters: ["i32"], result: "void" },
} as const;

type Tcl = Deno.DynamicLibrary<typeof TCL_SYMBOLS>["symbols"];

let opened: Tcl | undefined;
let write: Deno.PointerObject | undefined;

/** Tcl's functions; the library is opened on the first call. */
export function tcl(): Tcl {
  return opened ??= openToolkit(TCL, TCL_SYMBOLS);
}

/** The address of `ssize_t write(int fd, const void *from, size_t count)`. */
export function writeAddress(): Deno.PointerObject {
  return write ??= Deno.dlopen(libcPath(), { write: { type: "pointer" } })
    .symbols.write!;
}
