/**
 * D-Bus through libsystemd's sd-bus, with promises, and without blocking
 * anybody.
 *
 * A bus of sd-bus's lends its descriptor: `sd_bus_get_fd()`,
 * `sd_bus_get_events()` and `sd_bus_get_timeout()` say what to wait for, and
 * `sd_bus_process()` hands over what has come, message by message. It could call
 * functions of ours as well. Here it calls none, so nothing of a program's runs
 * inside C: replies, signals and calls are told apart on this side.
 *
 * ```ts
 * using bus = await DBus.session();
 * const [names] = await bus.call({
 *   destination: "org.freedesktop.DBus",
 *   path: "/org/freedesktop/DBus",
 *   interface: "org.freedesktop.DBus",
 *   member: "ListNames",
 *   returns: "as",
 * });
 * ```
 *
 * Signatures are types: `names` is a `string[]`. See `dbus_message.ts` for those,
 * and `dbus_object.ts` for what is exported. It needs
 * `libsystemd.so.0`, Debian's package libsystemd0, and no systemd.
 *
 * @module
 */

import { cString, POLL } from "../../ffi/mod.ts";
import {
  type DelayedCall,
  type Reactor,
  reactor as shared,
} from "../../mod.ts";
import {
  append,
  check,
  DBusError,
  ERROR,
  read,
  signatureOf,
  textAt,
  type Values,
} from "./dbus_message.ts";
import {
  ExportedObjects,
  type Interface,
  PROPERTIES,
  valuesOf,
} from "./dbus_object.ts";

export { DBusError, type Variant, variant } from "./dbus_message.ts";
export { type Interface, method, property } from "./dbus_object.ts";

const P = "pointer";

const SYMBOLS = {
  /** `int sd_bus_new(sd_bus **ret)` */
  sd_bus_new: { parameters: ["buffer"], result: "i32" },
  /** `int sd_bus_open_user(sd_bus **ret)` */
  sd_bus_open_user: { parameters: ["buffer"], result: "i32" },
  /** `int sd_bus_open_system(sd_bus **ret)` */
  sd_bus_open_system: { parameters: ["buffer"], result: "i32" },
  /** `int sd_bus_set_address(sd_bus *bus, const char *address)` */
  sd_bus_set_address: { parameters: [P, "buffer"], result: "i32" },
  /** `int sd_bus_set_bus_client(sd_bus *bus, int b)` */
  sd_bus_set_bus_client: { parameters: [P, "i32"], result: "i32" },
  /** `int sd_bus_start(sd_bus *bus)` */
  sd_bus_start: { parameters: [P], result: "i32" },
  /** `sd_bus *sd_bus_close_unref(sd_bus *bus)` */
  sd_bus_close_unref: { parameters: [P], result: P },
  /** `int sd_bus_is_ready(sd_bus *bus)` */
  sd_bus_is_ready: { parameters: [P], result: "i32" },
  /** `int sd_bus_get_unique_name(sd_bus *bus, const char **name)` */
  sd_bus_get_unique_name: { parameters: [P, "buffer"], result: "i32" },
  /** `int sd_bus_get_fd(sd_bus *bus)` */
  sd_bus_get_fd: { parameters: [P], result: "i32" },
  /** `int sd_bus_get_events(sd_bus *bus)` */
  sd_bus_get_events: { parameters: [P], result: "i32" },
  /** `int sd_bus_get_timeout(sd_bus *bus, uint64_t *microseconds)` */
  sd_bus_get_timeout: { parameters: [P, "buffer"], result: "i32" },
  /** `int sd_bus_process(sd_bus *bus, sd_bus_message **ret)` */
  sd_bus_process: { parameters: [P, "buffer"], result: "i32" },
  /** `int sd_bus_send(sd_bus *bus, sd_bus_message *m, uint64_t *cookie)` */
  sd_bus_send: { parameters: [P, P, "buffer"], result: "i32" },
  /** `int sd_bus_message_new_method_call(sd_bus *bus, sd_bus_message **m, const char *destination, const char *path, const char *interface, const char *member)` */
  sd_bus_message_new_method_call: {
    parameters: [P, "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  /** `int sd_bus_message_new_signal(sd_bus *bus, sd_bus_message **m, const char *path, const char *interface, const char *member)` */
  sd_bus_message_new_signal: {
    parameters: [P, "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  /** `int sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **m)` */
  sd_bus_message_new_method_return: {
    parameters: [P, "buffer"],
    result: "i32",
  },
  /**
   * `int sd_bus_reply_method_errorf(sd_bus_message *call, const char *name, const
   * char *format, ...)`; a pointer that is variadic travels like the others on
   * x86-64 and on Linux's arm64
   */
  sd_bus_reply_method_errorf: {
    parameters: [P, "buffer", "buffer", "buffer"],
    result: "i32",
  },
  /** `sd_bus_message *sd_bus_message_ref(sd_bus_message *m)` */
  sd_bus_message_ref: { parameters: [P], result: P },
  /** `sd_bus_message *sd_bus_message_unref(sd_bus_message *m)` */
  sd_bus_message_unref: { parameters: [P], result: P },
  /** `int sd_bus_message_get_type(sd_bus_message *m, uint8_t *type)` */
  sd_bus_message_get_type: { parameters: [P, "buffer"], result: "i32" },
  /** `int sd_bus_message_get_reply_cookie(sd_bus_message *m, uint64_t *cookie)` */
  sd_bus_message_get_reply_cookie: {
    parameters: [P, "buffer"],
    result: "i32",
  },
  /** `const sd_bus_error *sd_bus_message_get_error(sd_bus_message *m)` */
  sd_bus_message_get_error: { parameters: [P], result: P },
  /** `int sd_bus_message_rewind(sd_bus_message *m, int complete)` */
  sd_bus_message_rewind: { parameters: [P, "i32"], result: "i32" },
  /** `const char *sd_bus_message_get_path(sd_bus_message *m)` */
  sd_bus_message_get_path: { parameters: [P], result: P },
  /** `const char *sd_bus_message_get_interface(sd_bus_message *m)` */
  sd_bus_message_get_interface: { parameters: [P], result: P },
  /** `const char *sd_bus_message_get_member(sd_bus_message *m)` */
  sd_bus_message_get_member: { parameters: [P], result: P },
  /** `const char *sd_bus_message_get_sender(sd_bus_message *m)` */
  sd_bus_message_get_sender: { parameters: [P], result: P },
  /**
   * `int clock_gettime(clockid_t clock, struct timespec *time)`; of the C
   * library, on which libsystemd depends
   */
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

// Of sd-bus-protocol.h.
const METHOD_CALL = 1;
const METHOD_RETURN = 2;
const METHOD_ERROR = 3;
const SIGNAL = 4;

const CLOCK_MONOTONIC = 1;
const NEVER = 2n ** 64n - 1n;

/** So long a call may take, in milliseconds: as in other libraries. */
const PATIENCE = 25_000;

/** So many messages are taken before others have their turn. */
const PORTION = 100;

/** The bus itself, which is a service like others. */
const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** Of the bus's specification. */
const DO_NOT_QUEUE = 4;
const PRIMARY_OWNER = 1;
const ALREADY_OWNER = 4;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Library | undefined;

function library(): Library {
  return opened ??= Deno.dlopen("libsystemd.so.0", SYMBOLS).symbols;
}

/** A method of somebody's, and its types. */
export interface Method<In extends string, Out extends string> {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /**
   * The signature of its arguments.
   *
   * @default {""}
   */
  readonly takes?: In;
  /**
   * The signature of what it returns.
   *
   * @default {""}
   */
  readonly returns?: Out;
  /**
   * How long to wait for an answer, in milliseconds.
   *
   * @default {25_000}
   */
  readonly timeout?: number;
}

/** Which signals to receive. */
export interface SignalPattern<S extends string> {
  readonly interface: string;
  readonly member: string;
  /**
   * From which object.
   *
   * @default {any}
   */
  readonly path?: string;
  /**
   * The signature of what they carry. Those that carry something else are
   * passed over.
   */
  readonly carries: S;
}

/** A signal that has come. */
export interface Signal<S extends string> {
  /** The unique name of who has sent it. Anybody can send any signal. */
  readonly sender: string;
  readonly path: string;
  readonly values: Values<S>;
}

/** An interface that is exported, until it is disposed of. */
export interface Exported extends Disposable {
  /** Sends a signal of its. */
  emit(member: string, ...values: unknown[]): void;
  /** Tells that properties have changed, and what they are now. */
  changed(...names: string[]): void;
}

/** Options of {@linkcode DBus.connect}. */
export interface DBusOptions {
  /**
   * Who waits. It runs already.
   *
   * @default {the shared reactor}
   */
  reactor?: Reactor;
  /** Gives up connecting. */
  signal?: AbortSignal;
}

/** A call without an answer so far. */
interface Pending {
  readonly returns: string;
  readonly answer: PromiseWithResolvers<unknown[]>;
  readonly timer: DelayedCall;
}

/** Somebody who listens to signals. */
interface Listener {
  readonly pattern: SignalPattern<string>;
  readonly controller: ReadableStreamDefaultController<Signal<string>>;
}

/** A connection with a bus. */
export class DBus implements Disposable {
  readonly #library = library();
  readonly #reactor: Reactor;
  /** Null after the end. */
  #bus: Deno.PointerValue;
  #reason: Error | undefined;
  #timer: DelayedCall | undefined;
  #ready = Promise.withResolvers<void>();
  #uniqueName = "";
  /** By the number of the call. */
  readonly #pending = new Map<bigint, Pending>();
  readonly #listeners = new Set<Listener>();
  readonly #objects = new ExportedObjects();
  readonly #socket = {
    label: "dbus",
    fileno: () => this.#library.sd_bus_get_fd(this.#bus),
    doRead: () => this.#process(),
    doWrite: () => this.#process(),
    connectionLost: (reason: Error) => this.#end(reason),
  };

  private constructor(bus: Deno.PointerValue, options: DBusOptions) {
    this.#bus = bus;
    this.#reactor = options.reactor ?? shared;
    this.#ready.promise.catch(() => {}); // Nobody may have asked yet.
    this.#settle();
  }

  /** Connects with the user's bus, as DBUS_SESSION_BUS_ADDRESS has it. */
  static session(options?: DBusOptions): Promise<DBus> {
    return DBus.#open((out) => library().sd_bus_open_user(out), options);
  }

  /** Connects with the system's bus. */
  static system(options?: DBusOptions): Promise<DBus> {
    return DBus.#open((out) => library().sd_bus_open_system(out), options);
  }

  /** Connects with a bus by its address, such as `unix:path=/tmp/bus`. */
  static connect(address: string, options?: DBusOptions): Promise<DBus> {
    return DBus.#open((out) => {
      const { sd_bus_set_address, sd_bus_set_bus_client, sd_bus_start } =
        library();
      check(library().sd_bus_new(out));
      const bus = Deno.UnsafePointer.create(out[0]!);
      const text = cString(address, "connect with a bus", "address");
      const result = sd_bus_set_address(bus, text);
      if (result < 0) return result;
      sd_bus_set_bus_client(bus, 1);
      return sd_bus_start(bus);
    }, options);
  }

  static async #open(
    open: (out: BigUint64Array<ArrayBuffer>) => number,
    options: DBusOptions = {},
  ): Promise<DBus> {
    const { signal } = options;
    signal?.throwIfAborted();
    const out = new BigUint64Array(1);
    const result = open(out);
    const pointer = Deno.UnsafePointer.create(out[0]!);
    if (result < 0) library().sd_bus_close_unref(pointer);
    check(result, "Cannot connect with the bus");
    const bus = new DBus(pointer, options);
    const abort = () => bus.#end(signal!.reason);
    signal?.addEventListener("abort", abort);
    try {
      await bus.#ready.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    return bus;
  }

  /** What the bus calls this connection, such as `:1.42`. */
  get uniqueName(): string {
    return this.#uniqueName;
  }

  /**
   * Calls a method.
   *
   * @returns What it returns, always in an array. Rejects with a
   * {@linkcode DBusError}.
   */
  async call<const In extends string = "", const Out extends string = "">(
    method: Method<In, Out>,
    ...values: Values<In>
  ): Promise<Values<Out>> {
    const { takes = "", returns = "", timeout = PATIENCE } = method;
    const { destination, path, member } = method;
    const message = this.#newMessage((out) =>
      this.#library.sd_bus_message_new_method_call(
        this.#bus,
        out,
        text(destination),
        text(path),
        text(method.interface),
        text(member),
      )
    );
    const cookie = this.#send(message, takes, values, new BigUint64Array(1));
    const answer = Promise.withResolvers<unknown[]>();
    const timer = this.#reactor.callLater(timeout, () => {
      this.#pending.delete(cookie);
      answer.reject(
        new DBusError(`${ERROR}.NoReply`, `No reply within ${timeout} ms`),
      );
    });
    this.#pending.set(cookie, { returns, answer, timer });
    return await answer.promise as Values<Out>;
  }

  /**
   * Receives signals.
   *
   * @returns Those that are sent from now on, in order. Leaving a `for await`
   * ends it.
   */
  async signals<const S extends string>(
    pattern: SignalPattern<S>,
  ): Promise<ReadableStream<Signal<S>>> {
    const rule = ruleOf(pattern);
    let listener!: Listener;
    const stream = new ReadableStream<Signal<string>>({
      start: (controller) => void (listener = { pattern, controller }),
      cancel: async () => {
        this.#listeners.delete(listener);
        if (this.#bus === null) return;
        await this.call({ ...BUS, member: "RemoveMatch", takes: "s" }, rule);
      },
    });
    this.#listeners.add(listener);
    try {
      await this.call({ ...BUS, member: "AddMatch", takes: "s" }, rule);
    } catch (error) {
      this.#listeners.delete(listener);
      throw error;
    }
    return stream as unknown as ReadableStream<Signal<S>>;
  }

  /**
   * Takes a name by which others find this connection.
   *
   * @returns Rejects with a {@linkcode DBusError} if somebody else has it.
   */
  async requestName(name: string): Promise<void> {
    const [owner] = await this.call(
      { ...BUS, member: "RequestName", takes: "su", returns: "u" },
      name,
      DO_NOT_QUEUE,
    );
    if (owner === PRIMARY_OWNER || owner === ALREADY_OWNER) return;
    throw new DBusError(`${ERROR}.Failed`, `Somebody else is "${name}"`);
  }

  /**
   * Lets others call methods of an object, and look at its properties. They are
   * told what there is if they ask (`busctl introspect`).
   *
   * @throws {RangeError} When the object has that interface already.
   */
  export(path: string, name: string, contents: Interface): Exported {
    const remove = this.#objects.add(path, name, contents);
    return {
      emit: (member, ...values) => {
        const signature = contents.signals?.[member];
        if (signature === undefined) {
          throw new RangeError(`"${name}" has no signal "${member}"`);
        }
        this.#emit(path, name, member, signature, values);
      },
      changed: (...names) => {
        const now = valuesOf(contents, names);
        const values = [name, now, []];
        this.#emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", values);
      },
      [Symbol.dispose]: remove,
    };
  }

  /**
   * Ends the connection. Calls without an answer reject; those who listen are
   * done. Closing it twice does nothing.
   */
  close(): void {
    this.#end();
  }

  /** Ends it, as {@linkcode DBus.close} does. */
  [Symbol.dispose](): void {
    this.close();
  }

  #newMessage(
    make: (out: BigUint64Array<ArrayBuffer>) => number,
  ): Deno.PointerValue {
    if (this.#bus === null) throw this.#closed();
    const out = new BigUint64Array(1);
    check(make(out), "Cannot make a message");
    return Deno.UnsafePointer.create(out[0]!);
  }

  /**
   * Fills a message, sends it and lets go of it.
   *
   * @param cookie Where its number goes. Without one, no reply is asked for.
   */
  #send(
    message: Deno.PointerValue,
    signature: string,
    values: readonly unknown[],
    cookie: BigUint64Array<ArrayBuffer> | null = null,
  ): bigint {
    try {
      append(message, signature, values);
      if (this.#bus === null) throw this.#closed();
      const { sd_bus_send } = this.#library;
      check(sd_bus_send(this.#bus, message, cookie), "Cannot send a message");
    } finally {
      this.#library.sd_bus_message_unref(message);
    }
    this.#settle();
    if (this.#bus === null) throw this.#closed(); // It went just now.
    return cookie?.[0] ?? 0n;
  }

  #emit(
    path: string,
    name: string,
    member: string,
    signature: string,
    values: readonly unknown[],
  ): void {
    const message = this.#newMessage((out) =>
      this.#library.sd_bus_message_new_signal(
        this.#bus,
        out,
        text(path),
        text(name),
        text(member),
      )
    );
    this.#send(message, signature, values);
  }

  /** Lets sd-bus read and write, and takes what has come. */
  #process(): void {
    const { sd_bus_process, sd_bus_message_unref } = this.#library;
    for (let taken = 0; taken < PORTION && this.#bus !== null; taken++) {
      const out = new BigUint64Array(1);
      const result = sd_bus_process(this.#bus, out);
      if (result < 0) return this.#lose(result);
      if (result === 0) break;
      const message = Deno.UnsafePointer.create(out[0]!);
      if (message === null) continue; // It was busy with something else.
      try {
        this.#received(message);
      } finally {
        sd_bus_message_unref(message);
      }
    }
    this.#greet();
    this.#settle();
  }

  /** Asks sd-bus what to wait for, and until when. */
  #settle(): void {
    if (this.#bus === null) return;
    const events = this.#library.sd_bus_get_events(this.#bus);
    if (events < 0) return this.#lose(events);
    if (events & POLL.IN) this.#reactor.addReader(this.#socket);
    else this.#reactor.removeReader(this.#socket);
    if (events & POLL.OUT) this.#reactor.addWriter(this.#socket);
    else this.#reactor.removeWriter(this.#socket);

    const until = new BigUint64Array(1);
    this.#library.sd_bus_get_timeout(this.#bus, until);
    this.#timer?.[Symbol.dispose]();
    this.#timer = until[0] === NEVER
      ? undefined
      : this.#reactor.callLater(leftUntil(until[0]!), () => this.#process());
  }

  /** The bus has said hello. */
  #greet(): void {
    if (this.#uniqueName !== "" || this.#bus === null) return;
    const { sd_bus_is_ready, sd_bus_get_unique_name } = this.#library;
    if (sd_bus_is_ready(this.#bus) <= 0) return;
    const out = new BigUint64Array(1);
    check(sd_bus_get_unique_name(this.#bus, out));
    this.#uniqueName = textAt(Deno.UnsafePointer.create(out[0]!));
    this.#ready.resolve();
  }

  #received(message: Deno.PointerObject): void {
    const type = new Uint8Array(1);
    this.#library.sd_bus_message_get_type(message, type);
    switch (type[0]) {
      case METHOD_RETURN:
      case METHOD_ERROR:
        this.#replied(message, type[0] === METHOD_ERROR);
        break;
      case SIGNAL:
        this.#signalled(message);
        break;
      case METHOD_CALL:
        void this.#called(message);
    }
  }

  #replied(message: Deno.PointerObject, failed: boolean): void {
    const cookie = new BigUint64Array(1);
    this.#library.sd_bus_message_get_reply_cookie(message, cookie);
    const pending = this.#pending.get(cookie[0]!);
    if (pending === undefined) return; // It took too long.
    this.#pending.delete(cookie[0]!);
    const { returns, answer, timer } = pending;
    timer.cancel();
    const signature = signatureOf(message);
    if (failed) answer.reject(this.#errorIn(message));
    else if (signature !== returns) {
      answer.reject(
        new TypeError(`It should have returned "${returns}": "${signature}"`),
      );
    } else attempt(answer, () => read(message));
  }

  #errorIn(message: Deno.PointerObject): DBusError {
    // `sd_bus_error`: the name and the message.
    const error = this.#library.sd_bus_message_get_error(message)!;
    const view = new Deno.UnsafePointerView(error);
    return new DBusError(
      textAt(view.getPointer(0)),
      textAt(view.getPointer(8)),
    );
  }

  #signalled(message: Deno.PointerObject): void {
    const { path, name, member } = this.#header(message);
    const signature = signatureOf(message);
    for (const { pattern, controller } of this.#listeners) {
      if (
        pattern.interface !== name || pattern.member !== member ||
        pattern.carries !== signature ||
        pattern.path !== undefined && pattern.path !== path
      ) continue;
      const { sd_bus_message_get_sender, sd_bus_message_rewind } =
        this.#library;
      sd_bus_message_rewind(message, 1);
      const sender = textAt(sd_bus_message_get_sender(message));
      controller.enqueue({ sender, path, values: read(message) });
    }
  }

  #header(message: Deno.PointerObject) {
    const {
      sd_bus_message_get_path,
      sd_bus_message_get_interface,
      sd_bus_message_get_member,
    } = this.#library;
    return {
      path: textAt(sd_bus_message_get_path(message)),
      name: textAt(sd_bus_message_get_interface(message)),
      member: textAt(sd_bus_message_get_member(message)),
    };
  }

  /** Somebody calls a method here, which may take its time. */
  async #called(message: Deno.PointerObject): Promise<void> {
    const { sd_bus_message_ref, sd_bus_message_unref } = this.#library;
    const call = sd_bus_message_ref(message);
    try {
      const { returns, values } = await this.#run(call!);
      if (this.#bus === null) return;
      const reply = this.#newMessage((out) =>
        this.#library.sd_bus_message_new_method_return(call, out)
      );
      this.#send(reply, returns, values);
    } catch (error) {
      if (this.#bus !== null) this.#refuse(call, error);
    } finally {
      sd_bus_message_unref(call);
    }
  }

  #refuse(call: Deno.PointerValue, error: unknown): void {
    const words = error instanceof Error ? error.message : String(error);
    const { code } = error instanceof DBusError
      ? error
      : { code: `${ERROR}.Failed` };
    // A failure to send it is told by what is read next.
    this.#library.sd_bus_reply_method_errorf(
      call,
      text(code),
      text("%s"),
      text(words.replaceAll("\0", "")),
    );
    this.#settle();
  }

  async #run(
    call: Deno.PointerObject,
  ): Promise<{ returns: string; values: readonly unknown[] }> {
    const { path, name, member } = this.#header(call);
    const signature = signatureOf(call);
    const found = this.#objects.find(path, name, member);
    if (found.takes !== signature) {
      throw new DBusError(
        `${ERROR}.InvalidArgs`,
        `"${member}" takes "${found.takes}", not "${signature}"`,
      );
    }
    const values = await found.call(...read(call)) as readonly unknown[];
    return { returns: found.returns, values };
  }

  #lose(result: number): void {
    try {
      check(result, "The bus is gone");
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #closed(): DBusError {
    return new DBusError(`${ERROR}.Disconnected`, "The connection is closed", {
      cause: this.#reason,
    });
  }

  /** @param reason Why, if nobody has asked for it. */
  #end(reason?: Error): void {
    if (this.#bus === null) return;
    this.#reactor.removeReader(this.#socket);
    this.#reactor.removeWriter(this.#socket);
    this.#timer?.[Symbol.dispose]();
    this.#library.sd_bus_close_unref(this.#bus);
    this.#bus = null;
    this.#reason = reason;
    const error = reason ?? this.#closed();
    this.#ready.reject(error);
    for (const { answer, timer } of this.#pending.values()) {
      timer[Symbol.dispose]();
      answer.reject(error);
    }
    this.#pending.clear();
    for (const { controller } of this.#listeners) {
      if (reason === undefined) controller.close();
      else controller.error(reason);
    }
    this.#listeners.clear();
  }
}

/** The rule by which the bus passes signals on. */
function ruleOf(pattern: SignalPattern<string>): string {
  const { path, member } = pattern;
  const parts = { interface: pattern.interface, member, path };
  const words = Object.entries(parts).flatMap(([key, value]) => {
    if (value === undefined) return [];
    if (!value.includes("'")) return [`${key}='${value}'`];
    throw new TypeError(`A signal's ${key} has no "'" in it: "${value}"`);
  });
  return ["type='signal'", ...words].join(",");
}

/** Settles a promise with what `f` returns or throws. */
function attempt<T>(answer: PromiseWithResolvers<T>, f: () => T): void {
  try {
    answer.resolve(f());
  } catch (error) {
    answer.reject(error);
  }
}

/** Milliseconds until a time in microseconds on the monotonic clock. */
function leftUntil(microseconds: bigint): number {
  if (microseconds === 0n) return 0;
  const time = new BigInt64Array(2); // Seconds and nanoseconds.
  library().clock_gettime(CLOCK_MONOTONIC, time);
  const now = time[0]! * 1_000_000n + time[1]! / 1000n;
  return Math.max(0, Number(microseconds - now) / 1000);
}

function text(words: string): Uint8Array<ArrayBuffer> {
  return cString(words, "use D-Bus", "a name");
}
