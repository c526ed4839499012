/**
 * As much of Tcl and Tk as a small program and some tests need. Nothing here
 * has to do with waiting.
 *
 * @module
 */

import {
  openToolkit,
  type ToolkitLibrary,
} from "../../../ffi/toolkits/library.ts";
import { TCL } from "../../../ffi/toolkits/tk.ts";
import { functionFor, text, textAt } from "./c.ts";

const TK: ToolkitLibrary = {
  name: "Tk 8.6",
  names: {
    linux: ["libtk8.6.so.0", "libtk8.6.so"],
    freebsd: ["libtk86.so"],
    darwin: [
      "libtk8.6.dylib",
      "/opt/homebrew/opt/tcl-tk@8/lib/libtk8.6.dylib",
      "/usr/local/opt/tcl-tk@8/lib/libtk8.6.dylib",
    ],
  },
  packages: { debian: "libtk8.6", fedora: "tk8", homebrew: "tcl-tk@8" },
};

const TCL_SYMBOLS = {
  /** `void Tcl_FindExecutable(const char *argv0)` */
  Tcl_FindExecutable: { parameters: ["buffer"], result: "void" },
  /** `Tcl_Interp *Tcl_CreateInterp(void)` */
  Tcl_CreateInterp: { parameters: [], result: "pointer" },
  /** `int Tcl_Init(Tcl_Interp *interp)` */
  Tcl_Init: { parameters: ["pointer"], result: "i32" },
  /** `int Tcl_Eval(Tcl_Interp *interp, const char *script)` */
  Tcl_Eval: { parameters: ["pointer", "buffer"], result: "i32" },
  /** `const char *Tcl_GetStringResult(Tcl_Interp *interp)` */
  Tcl_GetStringResult: { parameters: ["pointer"], result: "pointer" },
  /** `void Tcl_SetObjResult(Tcl_Interp *interp, Tcl_Obj *result)` */
  Tcl_SetObjResult: { parameters: ["pointer", "pointer"], result: "void" },
  /** `Tcl_Obj *Tcl_NewStringObj(const char *bytes, int length)` */
  Tcl_NewStringObj: { parameters: ["buffer", "i32"], result: "pointer" },
  /** `const char *Tcl_SetVar(Tcl_Interp *interp, const char *name, const char *value, int flags)` */
  Tcl_SetVar: {
    parameters: ["pointer", "buffer", "buffer", "i32"],
    result: "pointer",
  },
  /** `const char *Tcl_GetVar(Tcl_Interp *interp, const char *name, int flags)` */
  Tcl_GetVar: { parameters: ["pointer", "buffer", "i32"], result: "pointer" },
  /** `Tcl_Command Tcl_CreateCommand(Tcl_Interp *interp, const char *name, Tcl_CmdProc *proc, ClientData data, Tcl_CmdDeleteProc *deleted)` */
  Tcl_CreateCommand: {
    parameters: ["pointer", "buffer", "function", "pointer", "pointer"],
    result: "pointer",
  },
} as const;

const TK_SYMBOLS = {
  /** `int Tk_Init(Tcl_Interp *interp)` */
  Tk_Init: { parameters: ["pointer"], result: "i32" },
  /** `int Tk_GetNumMainWindows(void)` */
  Tk_GetNumMainWindows: { parameters: [], result: "i32" },
  /** `void Tk_MainLoop(void)` */
  Tk_MainLoop: { parameters: [], result: "void" },
} as const;

/** `int (Tcl_CmdProc)(ClientData data, Tcl_Interp *interp, int argc, const char *argv[])` */
const COMMAND = {
  parameters: ["pointer", "pointer", "i32", "pointer"],
  result: "i32",
} as const;

const TCL_OK = 0;
const TCL_ERROR = 1;
const TCL_GLOBAL_ONLY = 1;

/** An interpreter with a main window, whose name is ".". */
export class Tk {
  readonly #tcl = openToolkit(TCL, TCL_SYMBOLS);
  readonly #tk = openToolkit(TK, TK_SYMBOLS);
  readonly #interp: Deno.PointerValue;

  /**
   * Starts Tcl, and takes up the display.
   *
   * @throws {Deno.errors.NotFound} When Tk is not installed.
   * @throws {Error} When there is no display.
   */
  constructor() {
    const tcl = this.#tcl;
    tcl.Tcl_FindExecutable(null);
    this.#interp = tcl.Tcl_CreateInterp();
    this.#check(tcl.Tcl_Init(this.#interp));
    this.#check(this.#tk.Tk_Init(this.#interp));
  }

  /**
   * Runs a script.
   *
   * @returns Its result.
   * @throws {Error} With what Tcl says, when it fails.
   */
  evaluate(script: string): string {
    this.#check(this.#tcl.Tcl_Eval(this.#interp, text(script)));
    return this.#result();
  }

  /** Reads a global variable; "" if there is none. */
  get(name: string): string {
    const value = this.#tcl.Tcl_GetVar(
      this.#interp,
      text(name),
      TCL_GLOBAL_ONLY,
    );
    return textAt(value);
  }

  /** Sets a global variable. A widget that has it as its text shows it. */
  set(name: string, value: string): void {
    this.#tcl.Tcl_SetVar(
      this.#interp,
      text(name),
      text(value),
      TCL_GLOBAL_ONLY,
    );
  }

  /** Makes a command of Tcl's from a function. */
  command(name: string, f: () => void): void {
    // What is thrown becomes an error of Tcl's: nothing may escape from here.
    const procedure = functionFor(COMMAND, (_data, interp) => {
      try {
        f();
        return TCL_OK;
      } catch (error) {
        const message = text(String(error).replaceAll("\0", ""));
        this.#tcl.Tcl_SetObjResult(
          interp,
          this.#tcl.Tcl_NewStringObj(message, -1),
        );
        return TCL_ERROR;
      }
    });
    this.#tcl.Tcl_CreateCommand(
      this.#interp,
      text(name),
      procedure,
      null,
      null,
    );
  }

  /** Handles events, and blocks until the main window is gone. */
  mainLoop(): void {
    this.#tk.Tk_MainLoop();
  }

  /** Takes the main window away, if it is still there. */
  destroy(): void {
    if (this.#tk.Tk_GetNumMainWindows() > 0) this.evaluate("destroy .");
  }

  #check(code: number): void {
    if (code !== TCL_OK) throw new Error(this.#result());
  }

  #result(): string {
    return textAt(this.#tcl.Tcl_GetStringResult(this.#interp));
  }
}
