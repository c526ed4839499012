/**
 * The system calls of a readiness set, which fail, are short or late as a test
 * says. What is not struck is the C library's own.
 *
 * @module
 */

import type { EpollCalls } from "../../ffi/epoll_set.ts";
import { FileIdentities, type FileIdentity } from "../../ffi/file_identity.ts";
import { libc, libcPath, linux } from "../../ffi/libc.ts";
import type { PollCalls } from "../../ffi/poll_set.ts";
import { onLinux } from "../descriptors.ts";
import { numberOf } from "./errnos.ts";
import { Schedule, type Which } from "./schedule.ts";

/** All of them, for either set. */
export type Calls = EpollCalls & Required<PollCalls>;

/** The name of a call, or of what tells files apart. */
export type CallName = keyof Calls | "fstat";

/** What a call does that is struck. */
export type Effect =
  /** It fails; `after` it has done what it was to do. */
  | { readonly errno: string; readonly after?: boolean }
  /** It tells of so much less: events, descriptors or bytes. */
  | { readonly short: number }
  /** It begins so much later, in milliseconds. */
  | { readonly late: number };

/** What goes wrong. */
export interface Fault {
  readonly call: CallName;
  readonly effect: Effect;
  /** @default {"always"} */
  readonly which?: Which;
  /** Only with such arguments. */
  readonly when?: (...args: number[]) => boolean;
}

/** A fault that is on. */
export interface Strike extends Disposable {
  /** How many calls it has struck. */
  readonly struck: number;
}

type Call = (...args: unknown[]) => number;

const NAMES: readonly (keyof Calls)[] = [
  "close",
  "fcntl",
  "pipe",
  "poll",
  "read",
  "write",
  "dup3",
  "epoll_create1",
  "epoll_ctl",
  "epoll_wait",
  "eventfd",
  "timerfd_create",
  "timerfd_settime",
];

/** What they return is a descriptor of the caller's. */
const OPENING: readonly string[] = [
  "epoll_create1",
  "eventfd",
  "timerfd_create",
];

const errnoFunction = onLinux ? "__errno_location" : "__error";
const { location } = Deno.dlopen(libcPath(), {
  location: { name: errnoFunction, parameters: [], result: "pointer" },
}).symbols;
/** errno of this thread. */
const errno = new Int32Array(
  Deno.UnsafePointerView.getArrayBuffer(location()!, 4),
);

/** See the module's documentation. */
export class FaultyLibc {
  /** What a set is given. */
  readonly calls: Calls;
  /** What a set is given to tell files apart. */
  readonly identities: FileIdentities;
  /** The descriptors that were opened through it and not closed. */
  readonly open: Set<number> = new Set();
  /** The numbers that were closed through it without having been opened. */
  readonly strangers: number[] = [];
  readonly #real: Record<string, Call>;
  readonly #faults: { fault: Fault; schedule: Schedule }[] = [];

  constructor() {
    this.#real = {
      ...(onLinux ? linux() : {}),
      ...libc(),
    } as unknown as Record<string, Call>;
    const calls: Record<string, Call> = {};
    for (const name of NAMES) {
      calls[name] = (...args) => this.#call(name, args);
    }
    this.calls = calls as unknown as Calls;
    this.identities = new FaultyIdentities((fd) => {
      const effect = this.#effect("fstat", [fd]);
      return effect && "errno" in effect ? numberOf(effect.errno) : 0;
    });
  }

  /** From now on it goes wrong, until what is returned is disposed of. */
  strike(fault: Fault): Strike {
    const schedule = new Schedule(fault.which ?? "always");
    const entry = { fault, schedule };
    this.#faults.push(entry);
    return {
      get struck() {
        return schedule.struck;
      },
      [Symbol.dispose]: () => {
        const at = this.#faults.indexOf(entry);
        if (at >= 0) this.#faults.splice(at, 1);
      },
    };
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    this.#faults.length = 0;
  }

  #call(name: string, args: unknown[]): number {
    const effect = this.#effect(name, args);
    if (effect !== undefined && "errno" in effect) {
      if (effect.after) this.#record(name, args, this.#real[name]!(...args));
      errno[0] = numberOf(effect.errno);
      return -1;
    }
    if (effect !== undefined && "late" in effect) pause(effect.late);
    const result = effect !== undefined && "short" in effect
      ? this.#shortened(name, args, effect.short)
      : this.#real[name]!(...args);
    this.#record(name, args, result);
    return result;
  }

  /** Keeps count of descriptors. */
  #record(name: string, args: unknown[], result: number): void {
    if (result < 0) return;
    if (OPENING.includes(name)) this.open.add(result);
    if (name === "pipe") {
      for (const fd of args[0] as Int32Array) this.open.add(fd);
    }
    if (name !== "close") return;
    const fd = args[0] as number;
    if (!this.open.delete(fd)) this.strangers.push(fd);
  }

  #effect(name: string, args: unknown[]): Effect | undefined {
    for (const { fault, schedule } of this.#faults) {
      if (fault.call !== name) continue;
      if (fault.when && !fault.when(...args as number[])) continue;
      if (schedule.strikes()) return fault.effect;
    }
    return undefined;
  }

  #shortened(name: string, args: unknown[], most: number): number {
    const call = this.#real[name]!;
    if (name === "epoll_wait") {
      const [set, events, length, timeout] = args;
      return call(set, events, Math.min(length as number, most), timeout);
    }
    const result = call(...args);
    if (name === "poll" && result > most) {
      keepFirst(args[0] as Int32Array, args[1] as number, most);
    }
    return Math.min(result, most);
  }
}

/** Has a table of `poll()` tell of the first ones that are ready only. */
function keepFirst(table: Int32Array, count: number, most: number): void {
  let found = 0;
  for (let i = 0; i < count; i++) {
    if (table[2 * i + 1]! >>> 16 === 0) continue;
    if (found++ >= most) table[2 * i + 1]! &= 0xffff;
  }
}

/** Files that cannot be looked at, now and then. */
class FaultyIdentities extends FileIdentities {
  readonly #fstat: (fd: number) => number;

  /** @param fstat Returns the errno that it is to fail with, or 0. */
  constructor(fstat: (fd: number) => number) {
    super();
    this.#fstat = fstat;
  }

  override identify(fd: number): FileIdentity | number {
    return this.#fstat(fd) || super.identify(fd);
  }

  override matches(fd: number, identity: FileIdentity): boolean {
    return this.#fstat(fd) === 0 && super.matches(fd, identity);
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread. */
export function pause(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
