/**
 * Tcl's event loop, and with it Tk's, of version 8.6.
 *
 * | who has the main thread | use |
 * |---|---|
 * | Tcl, in `Tk_MainLoop()`, `Tcl_DoOneEvent()`, `vwait` | {@linkcode tkWaker} |
 * | Deno | {@linkcode tkLoop} |
 *
 * @example Tk in Deno's loop
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import { tkLoop } from "@interleave/reactor/loops/tk";
 *
 * async function withWindows(program: () => Promise<void>): Promise<void> {
 *   using _attachment = reactor.attach(tkLoop());
 *   await program(); // Its windows live beside fetch, timers and Deno.serve.
 * }
 * ```
 *
 * @module
 */

import { POLL } from "../../ffi/constants.ts";
import { libc } from "../../ffi/libc.ts";
import type { NativeArgument } from "../../ffi/native_call.ts";
import { tcl, writeAddress } from "../../ffi/toolkits/tk.ts";
import { FileDescriptor } from "../file_descriptor.ts";
import type { ForeignLoop, Prepared } from "../foreign_loop.ts";
import { monotonic } from "../monotonic.ts";
import type { NativeWaker } from "../native_waker.ts";

// Of tcl.h.
const TCL_READABLE = 1 << 1;
const TCL_WRITABLE = 1 << 2;
const TCL_EXCEPTION = 1 << 3;
const TCL_FILE_EVENTS = 1 << 3;
const TCL_QUEUE_TAIL = 0;
const TCL_SERVICE_NONE = 0;
const TCL_SERVICE_ALL = 1;

const ONE_BYTE = new Uint8Array(1);
const SINK = new Uint8Array(8);

/**
 * The waker for a thread that is inside Tcl's event loop.
 *
 * The worker writes to a pipe, and Tcl has a file handler for its other end. So
 * work items are file events of Tcl's like any other: they are served by
 * `Tk_MainLoop()`, and by a nested `vwait`, `tkwait`, `update` or dialog, and
 * they never begin in the middle of a script.
 *
 * @returns The waker.
 * @throws {Deno.errors.NotFound} When Tcl is not installed.
 *
 * @example Tk as the host
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { tkWaker } from "@interleave/reactor/loops/tk";
 *
 * function start(tk: { mainLoop(): void; destroy(): void }): Reactor {
 *   const reactor = new Reactor();
 *   reactor.interleave(tkWaker());
 *   reactor.addSystemEventTrigger("after", "shutdown", () => tk.destroy());
 *   setTimeout(() => tk.mainLoop(), 0);
 *   return reactor;
 * }
 * ```
 */
export function tkWaker(): NativeWaker {
  return new TkWaker();
}

/**
 * Tcl's event loop for {@linkcode Reactor.attach}: a notifier, which is what
 * Tcl has in order to live in somebody else's loop. There is one in a process,
 * so every call returns the same.
 *
 * Tcl takes it only before it starts. Call this before the first
 * `Tcl_FindExecutable()` or `Tcl_CreateInterp()`, and before {@linkcode
 * tkWaker} is used; it calls `Tcl_FindExecutable()` itself. From then on
 * `Tk_MainLoop()` is not needed, and events are handled while the loop is
 * attached. `update`, `vwait`, `tkwait` and dialogs work as ever: they block
 * the main thread, and with it Deno, until they return. Call them by {@linkcode
 * Reactor.modal} with a {@linkcode tkWaker} and the reactor's callbacks go on
 * meanwhile. Only what other threads of Tcl's send, and the threads themselves,
 * wait until such a call has returned.
 *
 * What plain Deno code changes, a label's text or an `after` for two, is seen
 * at once. Two things Tcl tells nobody of, and only then `kick` the attachment:
 * `event generate` with `-when tail`, and what is sent to the X server without
 * redrawing, such as `wm title`. In callbacks of Tcl's and of the reactor's
 * there is no need to.
 *
 * @returns The loop.
 * @throws {Error} When Tcl has been started already.
 * @throws {Deno.errors.NotFound} When Tcl is not installed.
 *
 * @example A dialog that does not stop the reactor
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { tkLoop, tkWaker } from "@interleave/reactor/loops/tk";
 *
 * function start(openWindow: (ask: () => string) => void, dialog: () => string) {
 *   const reactor = new Reactor();
 *   reactor.attach(tkLoop());
 *   const waker = tkWaker();
 *   openWindow(() => reactor.modal(waker, dialog));
 * }
 * ```
 */
export function tkLoop(): ForeignLoop {
  return notifier ??= new TkLoop();
}

let notifier: TkLoop | undefined;

/** A pipe: a byte in it is a wake-up. */
interface Bell {
  readonly output: FileDescriptor;
  readonly input: FileDescriptor;
}

// Tcl_AsyncMark() would be the ready-made function. But its handler may be run
// between any two commands of a script, whose result it has to save; and it
// wakes Tcl through the notifier, which TkLoop is, on the wrong thread. A pipe
// has neither fault, and takes no longer.
class TkWaker implements NativeWaker {
  readonly #bells: Bell[] = [];
  #released = 0;
  readonly post: Deno.PointerObject = writeAddress();
  readonly parameters: readonly Deno.NativeType[] = ["i32", "pointer", "usize"];
  readonly result = "isize";

  constructor() {
    // Harmless if it has been called before, and necessary if it has not.
    tcl().Tcl_FindExecutable(null);
  }

  arguments(work: Deno.PointerObject): NativeArgument[] {
    const [output, input] = FileDescriptor.pipe();
    this.#bells.push({ output, input });
    const run = new Deno.UnsafeFnPointer(
      work as Deno.PointerObject<typeof WORK>,
      WORK,
    );
    // Never closed: an event on its way may still call it.
    const { pointer } = new Deno.UnsafeCallback(FILE_PROC, (data) => {
      drain(output);
      run.call(data);
    });
    tcl().Tcl_CreateFileHandler(output.fileno(), TCL_READABLE, pointer, null);
    return [input.fileno(), Deno.UnsafePointer.of(ONE_BYTE), 1n];
  }

  release(): void {
    // A run may have begun before the worker of the one before it was gone: only
    // the last to leave knows that nobody writes any more.
    if (++this.#released < this.#bells.length) return;
    for (const { output, input } of this.#bells.splice(0)) {
      tcl().Tcl_DeleteFileHandler(output.fileno());
      output.close();
      input.close();
    }
    this.#released = 0;
  }
}

/** A file handler of Tcl's. */
interface Handler {
  /** What it wants to know, in Tcl's bits. */
  mask: number;
  /** What an event in Tcl's queue is about to tell it. */
  ready: number;
  call: (ready: number) => void;
}

/**
 * The notifier. Tcl says to it, at any time, which descriptors it watches and
 * when its next timer is due; so nothing has to be asked for.
 */
class TkLoop implements ForeignLoop {
  readonly #tcl = tcl();
  readonly #handlers = new Map<number, Handler>();
  /** When Tcl wants to be stepped for sure, in the time of `performance.now()`. */
  #due = Infinity;
  /** Tcl has asked for its notifier. */
  #started = false;
  /** One of the loop's functions is on the stack: it will see any change. */
  #stepping = false;
  /** Lent with the others: makes the reactor ask again. */
  readonly #bell: Bell;
  #rung = false;
  /** What was lent last, in its order. */
  #lent: { fd: number; events: number }[] = [];
  /** The address of the function that Tcl calls for an event in its queue. */
  readonly #event: bigint;

  constructor() {
    const [output, input] = FileDescriptor.pipe();
    this.#bell = { output, input };
    this.#event = address(
      new Deno.UnsafeCallback(
        EVENT_PROC,
        (event, flags) => this.#serve(event!, flags),
      ),
    );
    this.#tcl.Tcl_SetNotifier(new Uint8Array(this.#procedures().buffer));
    this.#tcl.Tcl_FindExecutable(null);
    if (!this.#started) {
      // Empty, it stands for Tcl's own.
      this.#tcl.Tcl_SetNotifier(new Uint8Array(8 * 8));
      output.close();
      input.close();
      throw new Error(
        "Cannot make a loop of Tk's: Tcl has been started already; call tkLoop() before Tcl_FindExecutable(), Tcl_CreateInterp() and tkWaker()",
      );
    }
    this.#tcl.Tcl_SetServiceMode(TCL_SERVICE_ALL);
  }

  prepare(): Prepared {
    if (this.#rung) {
      drain(this.#bell.output);
      this.#rung = false;
    }
    this.#lent = [{ fd: this.#bell.output.fileno(), events: POLL.IN }];
    // A nested loop of Tcl's waits for the rest itself. When it has ended the
    // reactor asks again.
    if (this.#isNested()) return { descriptors: this.#lent, timeout: -1 };
    const served = this.#step();
    this.#lent.push(...this.#wanted());
    // What was drawn is sent to the X server when Tcl is asked again only.
    const timeout = served ? 0 : this.#timeout();
    return { descriptors: this.#lent, timeout };
  }

  dispatch(revents: Int16Array): void {
    if (this.#isNested()) return;
    this.#lent.forEach(({ fd }, i) => this.#queue(fd, revents[i]!));
  }

  /** Serves what is in Tcl's queue, and its timers. Returns whether anything was. */
  #step(): boolean {
    this.#stepping = true;
    try {
      return this.#tcl.Tcl_ServiceAll() !== 0;
    } finally {
      this.#stepping = false;
    }
  }

  /** The `Tcl_NotifierProcs`: they are in use until the process ends. */
  #procedures(): BigUint64Array {
    return new BigUint64Array([
      new Deno.UnsafeCallback(TAKES_POINTER, (time) => {
        this.#due = monotonic() + milliseconds(time);
        this.#changed();
      }),
      new Deno.UnsafeCallback(WAIT_PROC, (time) => {
        this.#wait(milliseconds(time));
        return 0;
      }),
      new Deno.UnsafeCallback(CREATE_PROC, (fd, mask, proc, data) => {
        this.#watch(fd, mask, proc!, data);
      }),
      new Deno.UnsafeCallback(DELETE_PROC, (fd) => {
        this.#handlers.delete(fd);
        this.#changed();
      }),
      new Deno.UnsafeCallback(INIT_PROC, () => {
        this.#started = true;
        return null;
      }),
      // The end of Tcl, and with it of its files.
      new Deno.UnsafeCallback(TAKES_POINTER, () => {
        this.#handlers.clear();
        this.#due = Infinity;
      }),
      // Another thread has something for this one. Deno makes the call here,
      // as soon as its loop runs, and lets that thread wait for it.
      new Deno.UnsafeCallback(TAKES_POINTER, () => this.#changed()),
      new Deno.UnsafeCallback(MODE_PROC, () => {}),
    ].map(address));
  }

  #watch(
    fd: number,
    mask: number,
    proc: Deno.PointerObject,
    data: Deno.PointerValue,
  ): void {
    const f = new Deno.UnsafeFnPointer(
      proc as Deno.PointerObject<typeof FILE_PROC>,
      FILE_PROC,
    );
    const { ready = 0 } = this.#handlers.get(fd) ?? {};
    const call = (ready: number) => f.call(data, ready);
    this.#handlers.set(fd, { mask, ready, call });
    this.#changed();
  }

  /** Tcl has changed its mind. */
  #changed(): void {
    if (this.#stepping || this.#rung || this.#isNested()) return;
    this.#rung = true;
    this.#bell.input.write(ONE_BYTE);
  }

  /** Whether Tcl runs further down the stack, and not because of this loop. */
  #isNested(): boolean {
    return this.#tcl.Tcl_GetServiceMode() === TCL_SERVICE_NONE;
  }

  /** Waits on this thread: for a nested loop, which blocks it. */
  #wait(timeout: number): void {
    const descriptors = this.#wanted();
    const table = new Int32Array(
      descriptors.flatMap(({ fd, events }) => [fd, events]),
    );
    const ms = timeout === Infinity ? -1 : Math.ceil(timeout);
    libc().poll(table, descriptors.length, ms);
    descriptors.forEach(({ fd }, i) =>
      this.#queue(fd, table[2 * i + 1]! >> 16)
    );
  }

  #wanted(): { fd: number; events: number }[] {
    return [...this.#handlers]
      .map(([fd, { mask }]) => ({ fd, events: toPoll(mask) }))
      .filter(({ events }) => events !== 0);
  }

  #timeout(): number {
    if (this.#due === Infinity) return -1;
    return Math.max(0, this.#due - monotonic());
  }

  /** Tells Tcl's queue that a descriptor is ready. */
  #queue(fd: number, revents: number): void {
    const handler = this.#handlers.get(fd);
    const ready = toTcl(revents);
    if (handler === undefined || (ready & handler.mask) === 0) return;
    const queued = handler.ready !== 0;
    handler.ready |= ready;
    if (queued) return;
    // struct { Tcl_EventProc *proc; Tcl_Event *next; } and what the event is
    // about. Tcl frees it.
    const event = this.#tcl.Tcl_Alloc(3 * 8)!;
    new BigUint64Array(Deno.UnsafePointerView.getArrayBuffer(event, 3 * 8))
      .set([this.#event, 0n, BigInt(fd)]);
    this.#tcl.Tcl_QueueEvent(event, TCL_QUEUE_TAIL);
  }

  /** Serves an event in Tcl's queue. 0 leaves it there. */
  #serve(event: Deno.PointerObject, flags: number): number {
    if ((flags & TCL_FILE_EVENTS) === 0) return 0;
    const fd = new Deno.UnsafePointerView(event).getInt32(2 * 8);
    const handler = this.#handlers.get(fd);
    if (handler === undefined) return 1;
    const ready = handler.ready & handler.mask;
    handler.ready = 0;
    if (ready !== 0) handler.call(ready);
    return 1;
  }
}

const WORK = { parameters: ["pointer"], result: "void" } as const;

/** `void (Tcl_FileProc)(ClientData data, int mask)` */
const FILE_PROC = { parameters: ["pointer", "i32"], result: "void" } as const;

/** `int (Tcl_EventProc)(Tcl_Event *event, int flags)` */
const EVENT_PROC = { parameters: ["pointer", "i32"], result: "i32" } as const;

/** `void (Tcl_SetTimerProc)(const Tcl_Time *time)`, and those of a ClientData. */
const TAKES_POINTER = { parameters: ["pointer"], result: "void" } as const;

/** `int (Tcl_WaitForEventProc)(const Tcl_Time *time)` */
const WAIT_PROC = { parameters: ["pointer"], result: "i32" } as const;

/** `void (Tcl_CreateFileHandlerProc)(int fd, int mask, Tcl_FileProc *proc, ClientData data)` */
const CREATE_PROC = {
  parameters: ["i32", "i32", "function", "pointer"],
  result: "void",
} as const;

/** `void (Tcl_DeleteFileHandlerProc)(int fd)` */
const DELETE_PROC = { parameters: ["i32"], result: "void" } as const;

/** `ClientData (Tcl_InitNotifierProc)(void)` */
const INIT_PROC = { parameters: [], result: "pointer" } as const;

/** `void (Tcl_ServiceModeHookProc)(int mode)` */
const MODE_PROC = { parameters: ["i32"], result: "void" } as const;

/** Reads `Tcl_Time`: two longs, seconds and microseconds. NULL is never. */
function milliseconds(time: Deno.PointerValue): number {
  if (time === null) return Infinity;
  const view = new Deno.UnsafePointerView(time);
  return Number(view.getBigInt64(0)) * 1000 +
    Number(view.getBigInt64(8)) / 1000;
}

function toPoll(mask: number): number {
  return (mask & TCL_READABLE ? POLL.IN : 0) |
    (mask & TCL_WRITABLE ? POLL.OUT : 0) |
    (mask & TCL_EXCEPTION ? POLL.PRI : 0);
}

/** Tcl knows what select() can say: an end or an error is found by reading. */
function toTcl(revents: number): number {
  const broken = POLL.ERR | POLL.NVAL;
  return (revents & (POLL.IN | POLL.HUP | broken) ? TCL_READABLE : 0) |
    (revents & (POLL.OUT | broken) ? TCL_WRITABLE : 0) |
    (revents & POLL.PRI ? TCL_EXCEPTION : 0);
}

function address({ pointer }: { pointer: Deno.PointerObject }): bigint {
  return Deno.UnsafePointer.value(pointer);
}

/**
 * A bell rings once until it is heard. Whether it had rung is of no interest, nor
 * whether it still exists: an event may come late.
 */
function drain(output: FileDescriptor): void {
  libc().read(output.fileno(), SINK, SINK.length);
}
