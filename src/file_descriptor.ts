/**
 * A descriptor with an owner.
 *
 * @module
 */

import { POSIX } from "../ffi/constants.ts";
import {
  closeDescriptor,
  endWriting,
  isDatagramSocket,
  isFifo,
  isOpen,
  makePipe,
  makeSocketpair,
  openFile,
  readInto,
  setNonBlocking,
  WOULD_BLOCK,
  writeFrom,
} from "../ffi/descriptor.ts";
import { ERRNO, systemError } from "../ffi/errno.ts";
import { isPtyMaster } from "../ffi/pty.ts";
import { checkBoolean, checkFd, complaint } from "./arguments.ts";
import {
  readableFrom,
  type StreamSource,
  type Taken,
  writableTo,
} from "./descriptor_streams.ts";
import { leaveReactors } from "./descriptors.ts";
import { type Reactor, reactor as sharedReactor } from "./reactor.ts";

/**
 * How {@linkcode FileDescriptor.open} opens a file.
 *
 * @example A serial line, both ways
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { openPty } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * // A terminal stands for the line, and its other end for the modem.
 * const { master, path } = openPty();
 * using modem = FileDescriptor.adopt(master);
 * using line = FileDescriptor.open(path, { read: true, write: true });
 *
 * line.write(new TextEncoder().encode("AT"));
 * await reactor.readable(modem);
 * assertEquals(modem.read(new Uint8Array(10)), 2);
 * ```
 */
export interface OpenOptions {
  /**
   * Whether to read from it.
   *
   * @default {true}, unless `write` or `append` is set
   */
  read?: boolean;
  /**
   * Whether to write to it. What is there stays there, and is written over from
   * its beginning.
   *
   * @default {false}
   */
  write?: boolean;
  /**
   * Whether to make the file if it is missing. Needs `write` or `append`.
   *
   * @default {false}
   */
  create?: boolean;
  /**
   * Whether to write to it, always at its end.
   *
   * @default {false}
   */
  append?: boolean;
  /**
   * The permissions of a file that is made, less the umask of the process.
   *
   * @default {0o666}
   */
  mode?: number;
}

/**
 * How {@linkcode FileDescriptor.adopt} takes a descriptor.
 *
 * @example The terminal that a shell goes on using
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import { duplicate, libc, POSIX } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const before = libc().fcntl(0, POSIX.F_GETFL, 0);
 * {
 *   // The number is a copy; the open file behind it is the shell's, too.
 *   using input = FileDescriptor.adopt(duplicate(0), { blocking: true });
 *   console.log(`Standard input is descriptor ${input.fileno()} as well`);
 * }
 * assertEquals(libc().fcntl(0, POSIX.F_GETFL, 0), before);
 * ```
 */
export interface AdoptOptions {
  /**
   * Whether to leave it blocking. The flag belongs to the open file, not to the
   * number: to make the terminal that other processes share non-blocking would
   * surprise them. `read` and `write` then wait inside the kernel, and
   * everything with them; the streams go on touching the descriptor only when
   * it is ready.
   *
   * @default {false}
   */
  blocking?: boolean;
}

/**
 * How {@linkcode FileDescriptor.prototype.readable FileDescriptor.readable} and
 * {@linkcode FileDescriptor.prototype.writable FileDescriptor.writable} make a stream.
 *
 * @example Several files into one pipe
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = FileDescriptor.pipe();
 * for (const part of ["one, ", "two"]) {
 *   const file = new Blob([part]).stream();
 *   await file.pipeTo(input.writable({ preventClose: true }));
 * }
 * input.close();
 * assertEquals(await new Response(output.readable()).text(), "one, two");
 * ```
 */
export interface StreamOptions {
  /**
   * Who waits.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
  /**
   * Whether the descriptor stays open after its streams. Once asked for, that
   * holds for all of them.
   *
   * @default {false}
   */
  preventClose?: boolean;
}

/** The kinds of stream that a descriptor can have, one of each. */
type Kind = "readable" | "writable";

/**
 * A descriptor with an owner: something that is read, written and, at last,
 * closed.
 *
 * It is non-blocking unless asked otherwise, and child processes do not inherit
 * those that are made here. It can be given to a reactor as it is, wherever one
 * takes a descriptor.
 *
 * @example Talking to oneself
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const [output, input] = FileDescriptor.pipe();
 * const writer = input.writable().getWriter();
 * await writer.write(new TextEncoder().encode("hello"));
 * await writer.close();
 *
 * assertEquals(await new Response(output.readable()).text(), "hello");
 * assertEquals(output.fileno(), -1); // closed, because its stream has ended
 * ```
 */
export class FileDescriptor implements Disposable {
  /** -1 once it is closed. */
  #fd: number;
  /** What it was, for messages. */
  readonly #number: number;
  readonly #blocking: boolean;
  #awaitsWriter = false;
  #keepOpen = false;
  readonly #streams = new Map<Kind, Taken<unknown>>();

  private constructor(fd: number, blocking: boolean = false) {
    this.#fd = this.#number = fd;
    this.#blocking = blocking;
  }

  /**
   * Opens a file, a device or a FIFO.
   *
   * The C library does that, so Deno's permissions for files do not apply.
   * Opening never waits: a FIFO is opened for reading although nobody writes to
   * it yet, and can be opened for writing only when somebody reads (ENXIO). A
   * directory can be opened, but not read.
   *
   * @param path Where it is.
   * @param options What to open it for. The default is to read it.
   * @returns The descriptor.
   * @throws {TypeError} When an argument is not of the right type, `path` has a
   * NUL in it, or the options contradict each other.
   * @throws {RangeError} When `mode` is not an integer from 0 to 0o7777.
   * @throws {Deno.errors.NotFound} When there is no such file.
   * @throws {Deno.errors.PermissionDenied} When the user may not open it so.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * using none = FileDescriptor.open("/dev/null");
   * assertEquals(none.read(new Uint8Array(10)), null);
   * ```
   */
  static open(path: string, options: OpenOptions = {}): FileDescriptor {
    const { flags, mode } = parseOpenOptions(options);
    const opened = new FileDescriptor(openFile(path, flags, mode));
    // A read would find the end of the file where there is not even a beginning
    // (fifo(7)); poll() knows better.
    opened.#awaitsWriter = (flags & ACCESS_MODE) === POSIX.O_RDONLY &&
      isFifo(opened.#fd);
    return opened;
  }

  /**
   * Makes a pipe.
   *
   * @returns The end to read from and the end to write to.
   * @throws {Error} When there are too many descriptors (EMFILE, ENFILE).
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const [output, input] = FileDescriptor.pipe();
   * input.write(new Uint8Array([1, 2, 3]));
   * assertEquals(output.read(new Uint8Array(10)), 3);
   * input.close();
   * output.close();
   * ```
   */
  static pipe(): [read: FileDescriptor, write: FileDescriptor] {
    const [read, write] = makePipe();
    return [new FileDescriptor(read), new FileDescriptor(write)];
  }

  /**
   * Makes a pair of connected sockets, each of which can be read and written.
   *
   * @returns The two ends.
   * @throws {Error} When there are too many descriptors (EMFILE, ENFILE).
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const [here, there] = FileDescriptor.socketpair();
   * here.write(new Uint8Array([1, 2, 3]));
   * assertEquals(there.read(new Uint8Array(10)), 3);
   * here.close();
   * there.close();
   * ```
   */
  static socketpair(): [FileDescriptor, FileDescriptor] {
    const [here, there] = makeSocketpair();
    return [new FileDescriptor(here), new FileDescriptor(there)];
  }

  /**
   * Takes a descriptor over that something else has made. From now on only this
   * closes it.
   *
   * @param fd The descriptor.
   * @param options Whether to leave it blocking.
   * @returns Its owner.
   * @throws {TypeError} When an argument is not of the right type.
   * @throws {RangeError} When `fd` is not an integer from 0 to 2147483647.
   * @throws {Deno.errors.BadResource} When `fd` is not open.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { makeEventfd } from "@interleave/reactor/ffi";
   * import { assertEquals } from "@std/assert";
   *
   * if (Deno.build.os === "linux") {
   *   using event = FileDescriptor.adopt(makeEventfd(1));
   *   assertEquals(event.read(new Uint8Array(8)), 8);
   * }
   * ```
   */
  static adopt(fd: number, options: AdoptOptions = {}): FileDescriptor {
    const action = "adopt a descriptor";
    if (typeof fd !== "number") {
      throw new TypeError(complaint(fd, action, "fd", "a number"));
    }
    checkFd(fd, action, "fd");
    checkOptions(options, action);
    const blocking = flag(options, "blocking", action) ?? false;
    if (!isOpen(fd)) {
      throw systemError(`Cannot adopt descriptor ${fd}`, ERRNO.EBADF!);
    }
    if (!blocking) setNonBlocking(fd, true);
    return new FileDescriptor(fd, blocking);
  }

  /**
   * The number.
   *
   * @returns The number of the descriptor, or -1 once it is closed.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assert, assertEquals } from "@std/assert";
   *
   * const none = FileDescriptor.open("/dev/null");
   * assert(none.fileno() >= 0);
   * none.close();
   * assertEquals(none.fileno(), -1);
   * ```
   */
  fileno(): number {
    return this.#fd;
  }

  /**
   * Reads what is there.
   *
   * A pseudoterminal's master is at its end when no process has the terminal
   * open any more. A FIFO is at its end for as long as nobody has it open for
   * writing.
   *
   * @param into Where to put the bytes, 2^31 - 1 of them at most.
   * @returns How many there were, or null at the end of the file. 0 means that
   * `into` is empty, or that a datagram was.
   * @throws {Deno.errors.WouldBlock} When there is nothing now.
   * @throws {Deno.errors.BadResource} When the descriptor is closed, or was not
   * opened for reading.
   * @throws {Deno.errors.IsADirectory} When it is one.
   * @throws {TypeError} When `into` is not a Uint8Array.
   *
   * @example Reading when there is something to read
   * ```ts
   * import { FileDescriptor, reactor } from "@interleave/reactor";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * const [output, input] = FileDescriptor.pipe();
   * const buffer = new Uint8Array(10);
   * assertThrows(() => output.read(buffer), Deno.errors.WouldBlock);
   *
   * input.write(new Uint8Array([1, 2, 3]));
   * await reactor.readable(output);
   * assertEquals(output.read(buffer), 3);
   *
   * input.close();
   * assertEquals(output.read(buffer), null);
   * output.close();
   * ```
   */
  read(into: Uint8Array): number | null {
    if (!(into instanceof Uint8Array)) {
      throw new TypeError(
        complaint(
          into,
          `read descriptor ${this.#number}`,
          "into",
          "a Uint8Array",
        ),
      );
    }
    const count = this.#read(into);
    if (count === WOULD_BLOCK) throw this.#error("read", ERRNO.EAGAIN!);
    return count;
  }

  /**
   * Writes what there is room for.
   *
   * @param from The bytes.
   * @returns How many of them were written, from the beginning.
   * @throws {Deno.errors.WouldBlock} When there is no room now.
   * @throws {Deno.errors.BrokenPipe} When nobody reads at the other end any
   * more.
   * @throws {Deno.errors.BadResource} When the descriptor is closed, or was not
   * opened for writing.
   * @throws {TypeError} When `from` is not a Uint8Array.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * const [output, input] = FileDescriptor.pipe();
   * assertEquals(input.write(new Uint8Array(10)), 10);
   * output.close();
   * assertThrows(() => input.write(new Uint8Array(10)), Deno.errors.BrokenPipe);
   * input.close();
   * ```
   */
  write(from: Uint8Array): number {
    if (!(from instanceof Uint8Array)) {
      throw new TypeError(
        complaint(
          from,
          `write descriptor ${this.#number}`,
          "from",
          "a Uint8Array",
        ),
      );
    }
    const count = this.#write(from);
    if (count === WOULD_BLOCK) throw this.#error("write", ERRNO.EAGAIN!);
    return count;
  }

  /**
   * A stream of what can be read. It reads only when it is asked to, and it
   * takes the reader's own buffer if there is one (`getReader({ mode: "byob"
   * })`).
   *
   * The descriptor closes itself when all streams taken from it are over:
   * ended, closed, cancelled, aborted or failed. A stream that waits keeps the
   * process alive.
   *
   * @param options Who waits, and whether the descriptor stays open.
   * @returns The stream. There is one at a time.
   * @throws {TypeError} When an argument is not of the right type, or the
   * stream before is not over.
   * @throws {Deno.errors.BadResource} When the descriptor is closed.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const [output, input] = FileDescriptor.pipe();
   * input.write(new TextEncoder().encode("one\ntwo\n"));
   * input.close();
   *
   * const text = output.readable().pipeThrough(new TextDecoderStream());
   * assertEquals(await Array.fromAsync(text), ["one\ntwo\n"]);
   * ```
   */
  readable(
    options: StreamOptions = {},
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#take("readable", options, readableFrom);
  }

  /**
   * A stream whose chunks are written, each as a whole before the next is asked
   * for. It takes nothing but Uint8Array.
   *
   * The descriptor closes itself when all streams taken from it are over:
   * ended, closed, cancelled, aborted or failed. Of a socket that is still
   * being read, the writing half is shut down, so that the other side sees the
   * end. A stream that waits keeps the process alive.
   *
   * @param options Who waits, and whether the descriptor stays open.
   * @returns The stream. There is one at a time.
   * @throws {TypeError} When an argument is not of the right type, or the
   * stream before is not over.
   * @throws {Deno.errors.BadResource} When the descriptor is closed.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * const [output, input] = FileDescriptor.pipe();
   * await new Blob(["hello"]).stream().pipeTo(input.writable());
   *
   * assertEquals(input.fileno(), -1); // closed, because its stream was
   * assertEquals(output.read(new Uint8Array(10)), 5);
   * output.close();
   * ```
   */
  writable(options: StreamOptions = {}): WritableStream<Uint8Array> {
    return this.#take("writable", options, writableTo);
  }

  /**
   * Closes the descriptor; the other side sees it at once. Does nothing if it
   * is closed.
   *
   * Its streams fail with `Deno.errors.BadResource`, and it leaves every
   * reactor: waits reject with the same, readers and writers get
   * `connectionLost(ConnectionLost)`.
   *
   * @throws {Error} When the kernel reports that something written before was
   * lost (EIO, ENOSPC). It is closed even so.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertThrows } from "@std/assert";
   *
   * const [output, input] = FileDescriptor.pipe();
   * output.close();
   * output.close();
   * assertThrows(() => output.read(new Uint8Array(10)), Deno.errors.BadResource);
   * input.close();
   * ```
   */
  close(): void {
    const fd = this.#fd;
    if (fd === -1) return;
    this.#fd = -1;
    const streams = [...this.#streams];
    this.#streams.clear();
    for (const [kind, taken] of streams) {
      taken.fail(this.#error(VERBS[kind], ERRNO.EBADF!));
    }
    try {
      leaveReactors(fd);
    } finally {
      closeDescriptor(fd);
    }
  }

  /**
   * The same as {@linkcode FileDescriptor.prototype.close FileDescriptor.close},
   * for `using`.
   *
   * @example Usage
   * ```ts
   * import { FileDescriptor } from "@interleave/reactor";
   * import { assertEquals } from "@std/assert";
   *
   * let kept: FileDescriptor;
   * {
   *   using none = FileDescriptor.open("/dev/null");
   *   kept = none;
   * }
   * assertEquals(kept.fileno(), -1);
   * ```
   */
  [Symbol.dispose](): void {
    this.close();
  }

  #read(into: Uint8Array): number | null {
    if (this.#fd === -1) throw this.#error("read", ERRNO.EBADF!);
    if (into.length === 0) return 0;
    let count;
    try {
      count = readInto(this.#fd, into);
    } catch (error) {
      // Linux says so when the last process has closed the terminal
      // (drivers/tty/n_tty.c, TTY_OTHER_CLOSED).
      if (
        (error as { code?: string }).code === "EIO" && isPtyMaster(this.#fd)
      ) return null;
      throw error;
    }
    return count === 0 && !isDatagramSocket(this.#fd) ? null : count;
  }

  #write(from: Uint8Array): number {
    if (this.#fd === -1) throw this.#error("write", ERRNO.EBADF!);
    return writeFrom(this.#fd, from);
  }

  #take<Stream>(
    kind: Kind,
    options: StreamOptions,
    make: (source: StreamSource) => Taken<Stream>,
  ): Stream {
    const action = `take a ${kind} stream from descriptor ${this.#number}`;
    checkOptions(options, action);
    const { reactor = sharedReactor } = options;
    if (typeof reactor?.[kind] !== "function") {
      throw new TypeError(
        complaint(reactor, action, "options.reactor", "a Reactor"),
      );
    }
    const preventClose = flag(options, "preventClose", action);
    if (this.#fd === -1) throw systemError(`Cannot ${action}`, ERRNO.EBADF!);
    if (this.#streams.has(kind)) {
      throw new TypeError(`Cannot ${action}: it has one that is not over`);
    }
    const taken = make({
      fd: this.#fd,
      blocking: this.#blocking,
      awaitsWriter: this.#awaitsWriter,
      read: (into) => this.#read(into),
      write: (from) => this.#write(from),
      wait: (options) => reactor[kind](this.#fd, options),
      over: () => this.#streamOver(kind),
    });
    this.#streams.set(kind, taken);
    this.#keepOpen ||= preventClose ?? false;
    return taken.stream;
  }

  #streamOver(kind: Kind): void {
    this.#streams.delete(kind);
    if (this.#keepOpen || this.#fd === -1) return;
    if (this.#streams.size === 0) this.close();
    else if (kind === "writable") endWriting(this.#fd);
  }

  #error(verb: "read" | "write", errno: number): Error {
    return systemError(`Cannot ${verb} descriptor ${this.#number}`, errno);
  }
}

/** What each kind of stream does. */
const VERBS = { readable: "read", writable: "write" } as const;

/** `<fcntl.h>`: the bits of the flags that tell reading from writing. */
const ACCESS_MODE = 3;

function parseOpenOptions(
  options: OpenOptions,
): { flags: number; mode: number | undefined } {
  const action = "open a file";
  checkOptions(options, action);
  const append = flag(options, "append", action) ?? false;
  const write = (flag(options, "write", action) ?? false) || append;
  const read = flag(options, "read", action) ?? !write;
  const create = flag(options, "create", action) ?? false;
  if (!read && !write) {
    throw new TypeError(
      `Cannot ${action}: one of "read", "write" and "append" must be true`,
    );
  }
  if (create && !write) {
    throw new TypeError(
      `Cannot ${action}: "create" needs "write" or "append" to be true`,
    );
  }
  let flags = POSIX.O_NONBLOCK;
  flags |= !write ? POSIX.O_RDONLY : read ? POSIX.O_RDWR : POSIX.O_WRONLY;
  if (append) flags |= POSIX.O_APPEND;
  if (create) flags |= POSIX.O_CREAT;
  return { flags, mode: options.mode };
}

function checkOptions(
  options: unknown,
  action: string,
): asserts options is object {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
}

function flag<Name extends string>(
  options: { readonly [name in Name]?: boolean },
  name: Name,
  action: string,
): boolean | undefined {
  const value: unknown = options[name];
  if (value !== undefined) checkBoolean(value, action, `options.${name}`);
  return value;
}
