/**
 * A C library that brings no loop and no thread, but asks its program for one:
 * it is given a table of functions by which it says what to watch, and when to
 * be called. libpulse has such a table in its `pa_mainloop_api`, Avahi in its
 * `AvahiPoll`, libdbus in its watches and timeouts. This is how the reactor
 * fills it in, for PulseAudio.
 *
 *     deno run --allow-ffi examples/clients/watch_api.ts
 *
 * You will see which sound server runs, its outputs, and a line for each change
 * of one, such as another volume. Ctrl-C ends it, and so does the time if you
 * put `--for SECONDS` behind it; the address of another server, as for `pactl
 * -s`, comes before that. It needs Debian's package libpulse0.
 *
 * The recipe:
 *
 * - "Watch this descriptor" is `addReader` and `addWriter`, which say again and
 *   again that it is ready, as `poll()` does: that is what such libraries count
 *   on. "Watch it no more" is `removeReader` and `removeWriter`, at once.
 * - "Call me at that time" is `callLater`.
 * - "Call me soon" is `callLater(0)`, never a call inside the one that asks.
 * - The library wants a pointer for each; it never looks behind it. A number
 *   that counts up will do.
 * - The functions are called from inside the library. An error must not get out
 *   of them.
 *
 * @module
 */

import { type DelayedCall, Reactor } from "../../mod.ts";
import { cString, libc } from "../../ffi/mod.ts";

const P = "pointer";
/** One of our numbers, in the place of a pointer. */
const ID = "usize";

/** `<pulse/context.h>` and what belongs to it. */
const pulse = Deno.dlopen("libpulse.so.0", {
  pa_context_new: { parameters: [P, "buffer"], result: P },
  pa_context_unref: { parameters: [P], result: "void" },
  pa_context_connect: { parameters: [P, "buffer", "i32", P], result: "i32" },
  pa_context_disconnect: { parameters: [P], result: "void" },
  pa_context_errno: { parameters: [P], result: "i32" },
  pa_context_get_state: { parameters: [P], result: "i32" },
  pa_context_set_state_callback: { parameters: [P, P, P], result: "void" },
  pa_context_get_server: { parameters: [P], result: P },
  pa_context_get_sink_info_list: { parameters: [P, P, P], result: P },
  pa_context_subscribe: { parameters: [P, "i32", P, P], result: P },
  pa_context_set_subscribe_callback: { parameters: [P, P, P], result: "void" },
  pa_context_rttime_new: { parameters: [P, "u64", P, P], result: ID },
  pa_rtclock_now: { parameters: [], result: "u64" },
  pa_operation_unref: { parameters: [P], result: "void" },
  pa_strerror: { parameters: ["i32"], result: P },
}).symbols;

/**
 * The members of `struct pa_mainloop_api` (`<pulse/mainloop-api.h>`), behind a
 * pointer that is the program's own.
 */
const TABLE = {
  io_new: { parameters: [P, "i32", "i32", P, P], result: ID },
  io_enable: { parameters: [ID, "i32"], result: "void" },
  io_free: { parameters: [ID], result: "void" },
  io_set_destroy: { parameters: [ID, P], result: "void" },
  time_new: { parameters: [P, P, P, P], result: ID },
  time_restart: { parameters: [ID, P], result: "void" },
  time_free: { parameters: [ID], result: "void" },
  time_set_destroy: { parameters: [ID, P], result: "void" },
  defer_new: { parameters: [P, P, P], result: ID },
  defer_enable: { parameters: [ID, "i32"], result: "void" },
  defer_free: { parameters: [ID], result: "void" },
  defer_set_destroy: { parameters: [ID, P], result: "void" },
  quit: { parameters: [P, "i32"], result: "void" },
} as const satisfies Record<string, Deno.UnsafeCallbackDefinition>;

/** What the library wants to have called. */
const IO_CALLBACK = {
  parameters: [P, ID, "i32", "i32", P],
  result: "void",
} as const;
const TIME_CALLBACK = { parameters: [P, ID, P, P], result: "void" } as const;
const DEFER_CALLBACK = { parameters: [P, ID, P], result: "void" } as const;
const DESTROY_CALLBACK = { parameters: [P, ID, P], result: "void" } as const;

// pa_io_event_flags_t
const INPUT = 1;
const OUTPUT = 2;
const HANGUP = 4;
const ERROR = 8;

// pa_context_state_t
const READY = 4;
const FAILED = 5;

const NOAUTOSPAWN = 1;
const SUBSCRIBE_TO_SINKS = 1;

/** `pa_subscription_event_type_t`, of which these bits say what happened. */
const WHAT_HAPPENED = 0x30;
const HAPPENED = new Map([
  [0x00, "is new"],
  [0x10, "has changed"],
  [0x20, "is gone"],
]);

/** Where `struct pa_sink_info` has what is shown here: the first two members. */
const SINK = { name: 0, index: 8 };

/** What the library has pointers to, for as long as the process lives. */
const kept: unknown[] = [];

/** A function of the library's, and what it is to be called with. */
class Callback {
  readonly #function: Deno.UnsafeFnPointer<Deno.ForeignFunction>;

  constructor(pointer: Deno.PointerValue, definition: object) {
    this.#function = new Deno.UnsafeFnPointer(
      pointer as Deno.PointerObject<Deno.ForeignFunction>,
      definition as Deno.ForeignFunction,
    );
  }

  call(...values: (Deno.PointerValue | number | bigint)[]): void {
    this.#function.call(...values as never[]);
  }
}

/** What the library has asked for: a descriptor, a time, or "soon". */
abstract class Source {
  readonly id: bigint;
  readonly userdata: Deno.PointerValue;
  /** The library's function for when it is gone. */
  destroy: Deno.PointerValue = null;
  protected readonly loop: MainLoop;
  protected readonly callback: Callback;

  constructor(
    loop: MainLoop,
    pointer: Deno.PointerValue,
    definition: object,
    userdata: Deno.PointerValue,
  ) {
    this.loop = loop;
    this.id = loop.add(this);
    this.callback = new Callback(pointer, definition);
    this.userdata = userdata;
  }

  /** Nothing more is called. */
  abstract stop(): void;
}

/** A descriptor to watch. It is the library's, who stops before it closes. */
class IoSource extends Source {
  readonly owned = true;
  readonly #fd: number;

  constructor(
    loop: MainLoop,
    fd: number,
    pointer: Deno.PointerValue,
    userdata: Deno.PointerValue,
  ) {
    super(loop, pointer, IO_CALLBACK, userdata);
    this.#fd = fd;
  }

  enable(events: number): void {
    const { reactor } = this.loop;
    if (events & INPUT) reactor.addReader(this);
    else reactor.removeReader(this);
    if (events & OUTPUT) reactor.addWriter(this);
    else reactor.removeWriter(this);
  }

  fileno(): number {
    return this.#fd;
  }

  doRead(): void {
    this.#tell(INPUT);
  }

  doWrite(): void {
    this.#tell(OUTPUT);
  }

  connectionLost(): void {
    this.#tell(HANGUP | ERROR);
  }

  stop(): void {
    this.enable(0);
  }

  #tell(events: number): void {
    const { pointer } = this.loop;
    this.callback.call(pointer, this.id, this.#fd, events, this.userdata);
  }
}

/** A time to call at. */
class TimeSource extends Source {
  #call: DelayedCall | undefined;

  constructor(
    loop: MainLoop,
    pointer: Deno.PointerValue,
    userdata: Deno.PointerValue,
  ) {
    super(loop, pointer, TIME_CALLBACK, userdata);
  }

  /** `time` is a `struct timeval` of the wall clock; null is never. */
  restart(time: Deno.PointerValue): void {
    this.stop();
    if (time === null) return;
    const timeval = new BigInt64Array(2);
    libc().memcpy(timeval, time, timeval.byteLength);
    const at = Number(timeval[0]) * 1000 + Number(timeval[1]) / 1000;
    const delay = Math.max(0, at - Date.now());
    this.#call = this.loop.reactor.callLater(delay, () => {
      const pointer = Deno.UnsafePointer.of(timeval);
      this.callback.call(this.loop.pointer, this.id, pointer, this.userdata);
    });
  }

  stop(): void {
    this.#call?.[Symbol.dispose]();
  }
}

/** Something to call in each turn, until told otherwise. */
class DeferSource extends Source {
  #call: DelayedCall | undefined;

  constructor(
    loop: MainLoop,
    pointer: Deno.PointerValue,
    userdata: Deno.PointerValue,
  ) {
    super(loop, pointer, DEFER_CALLBACK, userdata);
  }

  enable(on: boolean): void {
    this.stop();
    if (!on) return;
    this.#call = this.loop.reactor.callLater(0, () => {
      // First: the library may disable it in its callback.
      this.enable(true);
      this.callback.call(this.loop.pointer, this.id, this.userdata);
    });
  }

  stop(): void {
    this.#call?.[Symbol.dispose]();
  }
}

/** The table that the library is given. It lasts as long as the process. */
class MainLoop {
  readonly reactor: Reactor;
  /** `pa_mainloop_api *` */
  readonly pointer: Deno.PointerValue;
  readonly #sources = new Map<bigint, Source>();
  #last = 0n;

  constructor(reactor: Reactor) {
    this.reactor = reactor;
    const names = Object.keys(TABLE) as (keyof typeof TABLE)[];
    const functions = this.#functions();
    const table = new BigUint64Array(1 + names.length);
    names.forEach((name, i) => {
      const definition = TABLE[name] as Deno.UnsafeCallbackDefinition;
      const pointer = functionFor(definition, functions[name] as never);
      table[1 + i] = Deno.UnsafePointer.value(pointer);
    });
    kept.push(table);
    this.pointer = Deno.UnsafePointer.of(table);
  }

  /** Takes a source in, and gives it a number. */
  add(source: Source): bigint {
    this.#sources.set(++this.#last, source);
    return this.#last;
  }

  #get<S extends Source>(id: bigint): S {
    return this.#sources.get(id) as S;
  }

  #free(id: bigint): void {
    const source = this.#get(id);
    source.stop();
    this.#sources.delete(id);
    const { destroy, userdata } = source;
    if (destroy === null) return;
    // Who frees it may be in the midst of using it.
    const callback = new Callback(destroy, DESTROY_CALLBACK);
    this.reactor.callLater(0, () => callback.call(this.pointer, id, userdata));
  }

  #functions(): Record<keyof typeof TABLE, (...args: never[]) => unknown> {
    type Pointer = Deno.PointerValue;
    const free = (id: bigint) => this.#free(id);
    const setDestroy = (id: bigint, callback: Pointer) => {
      this.#get(id).destroy = callback;
    };
    return {
      io_new: (
        _api: Pointer,
        fd: number,
        events: number,
        callback: Pointer,
        userdata: Pointer,
      ) => {
        const source = new IoSource(this, fd, callback, userdata);
        source.enable(events);
        return source.id;
      },
      io_enable: (id: bigint, events: number) =>
        this.#get<IoSource>(id).enable(events),
      io_free: free,
      io_set_destroy: setDestroy,
      time_new: (
        _api: Pointer,
        time: Pointer,
        callback: Pointer,
        userdata: Pointer,
      ) => {
        const source = new TimeSource(this, callback, userdata);
        source.restart(time);
        return source.id;
      },
      time_restart: (id: bigint, time: Pointer) =>
        this.#get<TimeSource>(id).restart(time),
      time_free: free,
      time_set_destroy: setDestroy,
      defer_new: (_api: Pointer, callback: Pointer, userdata: Pointer) => {
        const source = new DeferSource(this, callback, userdata);
        source.enable(true);
        return source.id;
      },
      defer_enable: (id: bigint, on: number) =>
        this.#get<DeferSource>(id).enable(on !== 0),
      defer_free: free,
      defer_set_destroy: setDestroy,
      quit: () => this.reactor.stop(),
    };
  }
}

/**
 * Makes a C function of `f`, for as long as the process lives. What `f` throws
 * is printed: C has no use for it, and gets a 0.
 */
function functionFor<const T extends Deno.UnsafeCallbackDefinition>(
  definition: T,
  f: Deno.UnsafeCallbackFunction<T["parameters"], T["result"]>,
): Deno.PointerValue {
  const callback = new Deno.UnsafeCallback<Deno.UnsafeCallbackDefinition>(
    definition,
    ((...args: never[]) => {
      try {
        return (f as (...args: never[]) => unknown)(...args);
      } catch (error) {
        console.error(error);
        return definition.result === "void" ? undefined : 0n;
      }
    }) as never,
  );
  kept.push(callback);
  return callback.pointer;
}

function textAt(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** A connection to the sound server, which prints what it hears of. */
class Listener {
  readonly #reactor: Reactor;
  readonly #context: Deno.PointerValue;

  constructor(
    reactor: Reactor,
    server: string | undefined,
    seconds: number | undefined,
  ) {
    this.#reactor = reactor;
    const loop = new MainLoop(reactor);
    const name = cString("deno", "connect", "name");
    this.#context = pulse.pa_context_new(loop.pointer, name);
    const state = functionFor(
      { parameters: [P, P], result: "void" },
      () => this.#stateChanged(),
    );
    pulse.pa_context_set_state_callback(this.#context, state, null);
    const address = server === undefined
      ? null
      : cString(server, "connect", "server");
    // If it fails, the state says so as well.
    pulse.pa_context_connect(this.#context, address, NOAUTOSPAWN, null);
    if (seconds !== undefined) this.#stopAfter(seconds);
  }

  /** Says good-bye, and gives back what the library has watched. */
  close(): void {
    pulse.pa_context_disconnect(this.#context);
    pulse.pa_context_unref(this.#context);
  }

  /** By a timer of the library's, as it has them for itself. */
  #stopAfter(seconds: number): void {
    const stop = functionFor(TIME_CALLBACK, () => this.#reactor.stop());
    const at = pulse.pa_rtclock_now() + BigInt(Math.round(seconds * 1e6));
    pulse.pa_context_rttime_new(this.#context, at, stop, null);
  }

  #stateChanged(): void {
    const state = pulse.pa_context_get_state(this.#context);
    if (state === READY) this.#begin();
    if (state !== FAILED) return;
    console.error(this.#why());
    Deno.exitCode = 1;
    this.#reactor.callLater(0, () => this.#reactor.stop());
  }

  #begin(): void {
    const server = pulse.pa_context_get_server(this.#context);
    console.log(`Connected to ${textAt(server)}. Ctrl-C ends it.`);
    const sink = functionFor(
      { parameters: [P, P, "i32", P], result: "void" },
      (_context, info, end) => {
        if (info === null || end !== 0) return;
        const view = new Deno.UnsafePointerView(info);
        const name = textAt(view.getPointer(SINK.name));
        console.log(`output ${view.getUint32(SINK.index)}: ${name}`);
      },
    );
    const change = functionFor(
      { parameters: [P, "i32", "u32", P], result: "void" },
      (_context, type, index) =>
        console.log(`output ${index} ${HAPPENED.get(type & WHAT_HAPPENED)}`),
    );
    const context = this.#context;
    pulse.pa_context_set_subscribe_callback(context, change, null);
    for (
      const operation of [
        pulse.pa_context_subscribe(context, SUBSCRIBE_TO_SINKS, null, null),
        pulse.pa_context_get_sink_info_list(context, sink, null),
      ]
    ) pulse.pa_operation_unref(operation);
  }

  #why(): string {
    const reason = pulse.pa_context_errno(this.#context);
    return `The sound server: ${textAt(pulse.pa_strerror(reason))}`;
  }
}

async function main(args: string[]): Promise<void> {
  const [server] = args[0] === "--for" ? [] : args.splice(0, 1);
  const [option, seconds] = args;
  const limited = option === "--for" && Number(seconds) >= 0;
  if (args.length > 2 || (option !== undefined && !limited)) {
    console.error("Usage: watch_api.ts [SERVER] [--for SECONDS]");
    Deno.exitCode = 2;
    return;
  }
  const reactor = new Reactor();
  const run = reactor.run();
  const time = limited ? Number(seconds) : undefined;
  const listener = new Listener(reactor, server, time);
  reactor.addSystemEventTrigger("before", "shutdown", () => listener.close());
  await run;
}

if (import.meta.main) await main(Deno.args);
