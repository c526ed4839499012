/**
 * Descriptors as arguments.
 *
 * @module
 */

import { ERRNO, type SystemError, systemError } from "../ffi/errno.ts";
import { checkFd, complaint } from "./arguments.ts";

/**
 * A descriptor, or something that has one.
 *
 * @example An owner, an object and a number
 * ```ts
 * import { type Fd, FileDescriptor, Reactor } from "@interleave/reactor";
 * import { assert } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [output, input] = FileDescriptor.pipe();
 * input.write(new Uint8Array(1));
 *
 * const number = output.fileno(); // As a C library may give it.
 * const sources: Fd[] = [output, { fileno: () => number }, number];
 * for (const source of sources) {
 *   const { readable } = await reactor.readable(source);
 *   assert(readable);
 * }
 * output.close();
 * input.close();
 * ```
 */
export type Fd = number | {
  /** Its descriptor; -1 once it is closed. */
  fileno(): number;
};

/**
 * The number of a descriptor.
 *
 * @throws {TypeError} When it is neither a number nor has a `fileno` function.
 * @throws {RangeError} When it is no number that a descriptor can have.
 * @throws {Deno.errors.BadResource} When `fileno()` returns -1.
 */
export function numberOf(fd: Fd, action: string, name: string): number {
  if (typeof fd === "object" && typeof fd?.fileno === "function") {
    const number = fd.fileno();
    if (number === -1) {
      throw notOpen(`Cannot ${action}: "${name}.fileno()" is -1`);
    }
    return checkFd(number, action, `${name}.fileno()`);
  }
  return checkFd(fd, action, name);
}

/** The number of a registered object; -1 if it is no descriptor any more. */
export function currentNumber(object: { fileno(): number }): number {
  const number = object.fileno();
  if (Number.isInteger(number) && number >= -1) return number;
  throw new TypeError(
    complaint(number, "watch a descriptor", "fileno()", "a descriptor"),
  );
}

/**
 * What the owner of a number gets that is not open, or not the same file any
 * more.
 */
export function notOpen(action: string): SystemError {
  return systemError(action, ERRNO.EBADF!);
}
