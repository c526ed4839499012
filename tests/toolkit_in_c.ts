/**
 * The smallest toolkit there is: a loop that sleeps in `poll()` on a pipe, and a
 * thread-safe function, `write()` of the C library, that wakes it. What it then
 * calls is the C function that it was given.
 *
 * It needs no library and no display, so what is the reactor's in a native host
 * can be tested everywhere. The real toolkits have their tests in `loops/`.
 *
 * @module
 */

import { POLL } from "../ffi/constants.ts";
import { libc, libcPath } from "../ffi/libc.ts";
import { takeWorkCallback } from "../ffi/work_callback.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";
import type { NativeWaker } from "../src/native_waker.ts";

/** How it calls back: with a pointer, and it wants a number. */
const CALLBACK = {
  parameters: ["pointer"],
  result: "i32",
  returns: 7,
} as const;

const { write } = Deno.dlopen(libcPath(), { write: { type: "pointer" } })
  .symbols;

// They stay for good, and the sanitizer would take them for leaks of the tests
// that come first.
// As many as are in use at once.
[
  ...[CALLBACK, CALLBACK, CALLBACK],
  { parameters: [], result: "void" } as const,
  { parameters: ["pointer"], result: "void" } as const,
].map((signature) => takeWorkCallback(signature, () => {}))
  .forEach((callback) => callback.giveBack());

/** A toolkit; its loop is {@linkcode ToolkitInC.run}. */
export class ToolkitInC implements Disposable {
  /** What the loop's callbacks returned. */
  readonly returned: number[] = [];
  /** How often the reactor asked for the post's arguments. */
  asked = 0;
  /** How often it released the waker. */
  released = 0;
  /** Where the post writes to, and what from. */
  readonly #output: FileDescriptor;
  readonly #input: FileDescriptor;
  readonly #byte = new Uint8Array(1);
  #work:
    | Deno.UnsafeFnPointer<{ parameters: ["pointer"]; result: "i32" }>
    | undefined;
  #quit = false;

  /** Makes it. */
  constructor() {
    [this.#output, this.#input] = FileDescriptor.pipe();
  }

  /** How a reactor reaches it. */
  readonly waker: NativeWaker = {
    post: write!,
    parameters: ["i32", "pointer", "usize"],
    result: "isize",
    accepted: 1,
    callback: CALLBACK,
    arguments: (work) => {
      this.asked++;
      this.#work = new Deno.UnsafeFnPointer(
        work as Deno.PointerObject<{ parameters: ["pointer"]; result: "i32" }>,
        { parameters: ["pointer"], result: "i32" },
      );
      return [this.#input.fileno(), Deno.UnsafePointer.of(this.#byte), 1];
    },
    release: () => {
      this.released++;
    },
  };

  /** Calls the work item, as the loop does: on this thread, through C. */
  callWork(): void {
    this.returned.push(this.#work!.call(null));
  }

  /** How many posts have not been handled. */
  get pending(): number {
    const table = new Int32Array([this.#output.fileno(), POLL.IN]);
    if (libc().poll(table, 1, 0) === 0) return 0;
    // FIONREAD, asm-generic/ioctls.h and macOS's sys/filio.h.
    const count = new Int32Array(1);
    libc().ioctl(
      this.#output.fileno(),
      Deno.build.os === "darwin" ? 0x4004667f : 0x541b,
      count,
    );
    return count[0]!;
  }

  /**
   * The loop: blocks this thread until {@linkcode quit}.
   *
   * @param handle What it does with each post. @default {callWork}
   */
  run(handle: () => void = () => this.callWork()): void {
    const table = new Int32Array([this.#output.fileno(), POLL.IN]);
    while (!this.#quit) {
      table[1] = POLL.IN;
      libc().poll(table, 1, -1);
      this.#output.read(this.#byte);
      handle();
    }
    this.#quit = false;
  }

  /** Ends the loop after the present callback, or the next one at once. */
  quit(): void {
    this.#quit = true;
  }

  /** Closes its pipe. The reactor must have ended. */
  [Symbol.dispose](): void {
    this.#output.close();
    this.#input.close();
  }
}
