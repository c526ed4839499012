/**
 * System calls that fail, are short or late as a test says: those of a readiness
 * set, and those of all the package. What is not struck is the C library's own.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import type { EpollCalls } from "../../ffi/epoll_set.ts";
import { libc, libcPath, linux, substitute } from "../../ffi/libc.ts";
import type { PollCalls } from "../../ffi/poll_set.ts";
import { onLinux } from "../descriptors.ts";
import { numberOf } from "./errnos.ts";
import { Schedule, type Which } from "./schedule.ts";

/** All of them, for either set. */
export type Calls = EpollCalls & Required<PollCalls>;

/** The name of a call. */
export type CallName = keyof Calls | (typeof OTHERS)[number];

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
  // deno-lint-ignore no-explicit-any -- Numbers and memory, as the call has them.
  readonly when?: (...args: any[]) => boolean;
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

/** Those that nothing is given by its constructor. */
const OTHERS = [
  "accept",
  "accept4",
  "bind",
  "connect",
  "fstat",
  "getsockopt",
  "listen",
  "pipe2",
  "pollElsewhere",
  "ppoll",
  "readlink",
  "recv",
  "recvfrom",
  "recvmsg",
  "send",
  "sendmsg",
  "sendto",
  "socket",
  "socketpair",
  "syscall",
  "waitpid",
] as const;

/** Where a call has the length of what it moves. */
const LENGTHS: Readonly<Record<string, number>> = {
  epoll_wait: 2,
  read: 2,
  recv: 2,
  recvfrom: 2,
  send: 2,
  sendto: 2,
  write: 2,
};

/** In a `struct msghdr` and what follows it in `ffi/socket.ts`: the length. */
const MESSAGE_LENGTH = 72;

/** What they return is a descriptor of the caller's. */
const OPENING: readonly string[] = [
  "accept",
  "accept4",
  "epoll_create1",
  "eventfd",
  "socket",
  "timerfd_create",
];

/** `pidfd_open` in `syscall` (asm/unistd.h). */
export const PIDFD_OPEN = 434;

/** Whether what a call returns is a descriptor. */
function opens(name: string, [first, second]: unknown[]): boolean {
  return OPENING.includes(name) ||
    name === "syscall" && first === PIDFD_OPEN ||
    name === "fcntl" && second === POSIX.F_DUPFD_CLOEXEC;
}

/** What fills two numbers in, and which argument that is. */
const PAIRS: Readonly<Record<string, number>> = {
  pipe: 0,
  pipe2: 0,
  socketpair: 3,
};

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
    this.calls = this.#wrap(
      NAMES,
      (name, args) => this.#countedCall(name, args),
    );
  }

  /**
   * From now on all of the package calls it, until what is returned is disposed
   * of.
   *
   * @param names Which calls it makes through it. @default {all}
   */
  everywhere(...names: CallName[]): Disposable {
    const some = names.length > 0 ? names : [...NAMES, ...OTHERS];
    return substitute(
      this.#wrap(
        // Not every system has them all.
        some.filter((name) => name in this.#real),
        (name, args) =>
          this.#call(
            name,
            args,
            (result) => this.#record(name, args, result, { isShared: true }),
          ),
      ),
    );
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

  #wrap(
    names: readonly string[],
    call: (name: string, args: unknown[]) => number,
  ): Calls {
    return Object.fromEntries(
      names.map((name) => [name, (...args: unknown[]) => call(name, args)]),
    ) as never;
  }

  #countedCall(name: string, args: unknown[]): number {
    return this.#call(name, args, (result) => this.#record(name, args, result));
  }

  #call(
    name: string,
    args: unknown[],
    record: (result: number) => void = () => {},
  ): number {
    const effect = this.#effect(name, args);
    if (name === "pollElsewhere" && effect !== undefined) {
      return elsewhere(effect, () => this.#real[name]!(...args)) as never;
    }
    if (effect !== undefined && "errno" in effect) {
      if (effect.after) record(this.#real[name]!(...args));
      errno[0] = numberOf(effect.errno);
      return -1;
    }
    if (effect !== undefined && "late" in effect) pause(effect.late);
    const result = effect !== undefined && "short" in effect
      ? this.#shortened(name, args, effect.short)
      : this.#real[name]!(...args);
    record(result);
    return result;
  }

  /**
   * Keeps count of descriptors. Where all of the package calls, some are closed
   * that were opened before.
   */
  #record(
    name: string,
    args: unknown[],
    result: number,
    { isShared = false } = {},
  ): void {
    if (result < 0) return;
    if (opens(name, args)) this.open.add(result);
    const pair = PAIRS[name];
    if (pair !== undefined) {
      for (const fd of args[pair] as Int32Array) this.open.add(fd);
    }
    if (name !== "close") return;
    const fd = args[0] as number;
    if (!this.open.delete(fd) && !isShared) this.strangers.push(fd);
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
    const at = LENGTHS[name];
    if (at !== undefined) {
      return call(...args.with(at, Math.min(args[at] as number, most)));
    }
    if (name === "sendmsg" || name === "recvmsg") {
      const { buffer } = args[1] as Uint8Array;
      const [length] = new Uint32Array(buffer, MESSAGE_LENGTH, 1);
      new Uint32Array(buffer, MESSAGE_LENGTH, 1)[0] = Math.min(length!, most);
      return call(...args);
    }
    const result = call(...args);
    if (name.endsWith("poll") && result > most) {
      keepFirst(args[0] as Int32Array, args[1] as number, most);
    }
    return Math.min(result, most);
  }
}

/** A call that another thread makes. */
async function elsewhere(effect: Effect, call: () => unknown): Promise<number> {
  if ("errno" in effect) return -1;
  if ("late" in effect) {
    await new Promise<void>((resolve) => {
      // One that never comes sets no timer.
      if (effect.late < Infinity) setTimeout(resolve, effect.late);
    });
  }
  return await call() as number;
}

/** Has a table of `poll()` tell of the first ones that are ready only. */
function keepFirst(table: Int32Array, count: number, most: number): void {
  let found = 0;
  for (let i = 0; i < count; i++) {
    if (table[2 * i + 1]! >>> 16 === 0) continue;
    if (found++ >= most) table[2 * i + 1]! &= 0xffff;
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread. */
export function pause(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
