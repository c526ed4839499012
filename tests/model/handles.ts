/**
 * The descriptors of a program: real ones, each beside its end in the model.
 *
 * @module
 */

import { FileDescriptor } from "../../mod.ts";
import {
  duplicate,
  endWriting,
  libc,
  readInto,
  WOULD_BLOCK,
  writeFrom,
} from "../../ffi/mod.ts";
import { type Context, show } from "./context.ts";
import type { End } from "./kernel.ts";
import type { Registration } from "./registrations.ts";

/** More than fits into a pipe or a socket in one part. */
const LARGE = 65_536;
/** More than a page, and less than a pipe. */
const SOME = 5000;

/** Every byte tells its place, within a length that is no power of two. */
const PERIOD = 251;
const pattern = Uint8Array.from(
  { length: LARGE + PERIOD },
  (_, i) => i % PERIOD,
);
const buffer = new Uint8Array(LARGE);

/** A number, and its owner. */
export class Handle {
  readonly file: FileDescriptor;
  readonly number: number;
  readonly end: End;
  /** The number was closed behind the owner's back. */
  isBehind = false;
  readonly #handles: Handles;

  constructor(handles: Handles, file: FileDescriptor, end: End) {
    this.#handles = handles;
    this.file = file;
    this.number = file.fileno();
    this.end = end;
  }

  get isOpen(): boolean {
    return this.file.fileno() !== -1;
  }

  /**
   * Somebody is registered for the same file under the same number, and may or
   * may not have been told that it was closed meanwhile.
   */
  get isDoubtful(): boolean {
    return this.#handles.registrations.values().some(
      ({ isDoubtful, number }) => isDoubtful && number === this.number,
    );
  }

  /** Somebody is registered for the number. */
  get isWatched(): boolean {
    return this.#handles.registrations.values().some(
      ({ number }) => number === this.number,
    );
  }

  /** Whether half of the connection can be closed here. */
  get endsWriting(): boolean {
    const { direction, writingEnded, peer } = this.end;
    return direction === "both" && !writingEnded && peer.numbers > 0;
  }

  toString(): string {
    const { direction } = this.end;
    return direction === "both"
      ? `socket ${this.number}`
      : `pipe end ${this.number} (${direction})`;
  }
}

/** The descriptors of a program. */
export class Handles {
  /** Those that are open. */
  readonly open: Handle[] = [];
  /** Everybody who is registered, for whatever number. */
  readonly registrations: Set<Registration> = new Set();
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Opens a pair of sockets or a pipe. */
  make(kind: "socket" | "pipe"): Handle[] {
    const files = kind === "socket"
      ? FileDescriptor.socketpair()
      : FileDescriptor.pipe();
    const ends = this.#context.kernel.pair(kind);
    return files.map((file, i) => this.#adopt(file, ends[i]!));
  }

  /** Another number for the same file. */
  duplicate(handle: Handle): void {
    const file = FileDescriptor.adopt(duplicate(handle.number));
    this.#adopt(file, handle.end);
  }

  /** Closes a descriptor as its owner does. */
  close(handle: Handle): void {
    this.#drop(handle);
    handle.file.close();
    this.#context.kernel.close(handle.number);
  }

  /** Closes a number, and tells nobody. */
  closeBehind(handle: Handle): void {
    libc().close(handle.number);
    this.#lose(handle);
    this.#context.kernel.close(handle.number);
  }

  /** Gives a number to another file, and tells nobody. */
  reuseBehind(handle: Handle, other: Handle): void {
    libc().dup2(other.number, handle.number);
    this.#lose(handle);
    this.#adopt(FileDescriptor.adopt(handle.number), other.end);
  }

  /** `shutdown(SHUT_WR)` of a socket. */
  endWriting(handle: Handle): void {
    endWriting(handle.number);
    handle.end.writingEnded = true;
  }

  /** Somebody else asks for a number, which makes the reactor look at it. */
  ask(number: number): void {
    for (const registration of this.registrations) {
      if (registration.number === number && registration.stale) {
        registration.asked = true;
      }
    }
  }

  /** Sends bytes, some thousands for a size of 0. */
  send(handle: Handle, size: number): void {
    this.#send(handle.end, handle.number, size === 0 ? SOME : size);
  }

  /** Sends as many bytes as there is room for. */
  fill(handle: Handle): void {
    while (this.#send(handle.end, handle.number, LARGE));
  }

  /** Takes bytes, or all that there are. */
  take(handle: Handle, size: number): void {
    const { end } = handle;
    do this.#take(end, handle.number, size === 0 ? LARGE : size); while (
      size === 0 && end.inbox > 0
    );
  }

  /** @returns Whether there may be room for more. */
  #send(end: End, number: number, size: number): boolean {
    const at = end.sent % PERIOD;
    const bytes = pattern.subarray(at, at + size);
    const count = attempt(() => writeFrom(number, bytes));
    const isRefused = end.direction === "in" || end.writingEnded ||
      end.peer.numbers === 0;
    this.#context.require(
      isRefused ? count instanceof Error : typeof count === "number" &&
        (count !== WOULD_BLOCK || end.writable !== true),
      () => `a write to ${number}: ${show(count)}`,
    );
    if (typeof count !== "number") return false;
    if (count === WOULD_BLOCK) {
      end.fill();
      return false;
    }
    end.send(count);
    return true;
  }

  #take(end: End, number: number, size: number): void {
    const count = attempt(() => readInto(number, buffer.subarray(0, size)));
    const expected = Math.min(end.inbox, size);
    const isRight = expected > 0
      ? count === expected && buffer[0] === end.taken % PERIOD &&
        buffer[count - 1] === (end.taken + count - 1) % PERIOD
      : end.direction === "out"
      ? count instanceof Error
      : end.atEnd
      ? count === 0 || count instanceof Error
      : count === WOULD_BLOCK;
    this.#context.require(
      isRight,
      () => `a read of ${size} from ${number}: ${show(count)}, not ${expected}`,
    );
    if (expected > 0) end.take(expected);
  }

  #adopt(file: FileDescriptor, end: End): Handle {
    const handle = new Handle(this, file, end);
    this.#context.kernel.open(handle.number, end);
    this.open.push(handle);
    return handle;
  }

  #lose(handle: Handle): void {
    handle.isBehind = true;
    this.#drop(handle);
    for (const registration of this.registrations) {
      if (registration.number === handle.number) registration.closeBehind();
    }
  }

  #drop(handle: Handle): void {
    this.open.splice(this.open.indexOf(handle), 1);
  }
}

function attempt(f: () => number): number | Error {
  try {
    return f();
  } catch (error) {
    return error as Error;
  }
}
