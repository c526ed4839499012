/**
 * The C library, for people with descriptors of their own: what they make here,
 * a reactor can wait for.
 *
 * | to | use |
 * |---|---|
 * | make, read, write and close a descriptor | {@linkcode openFile}, {@linkcode makePipe}, {@linkcode makeSocketpair}, {@linkcode makeEventfd}, {@linkcode readInto}, {@linkcode writeFrom}, {@linkcode closeDescriptor} |
 * | make a terminal | {@linkcode openPty}, {@linkcode setWindowSize} |
 * | start a process and learn its end | {@linkcode spawn}, {@linkcode spawnOnTerminal}, {@linkcode openExit}, {@linkcode reap} |
 * | call any other function that is declared | {@linkcode libc}, {@linkcode linux}, with {@linkcode POSIX}, {@linkcode POLL} and {@linkcode LINUX_ONLY} |
 * | turn -1 into an error | {@linkcode check}, {@linkcode errno}, {@linkcode systemError} |
 *
 * What is made here is closed on exec, and is yours to close; or give it an owner,
 * by `FileDescriptor.adopt`.
 *
 * ```ts
 * import { check, libc, linux, LINUX_ONLY } from "@interleave/reactor/ffi";
 * import { reactor } from "@interleave/reactor";
 * import { assert } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const event = check(linux().eventfd(1, LINUX_ONLY.CLOEXEC), "Cannot make an eventfd");
 *   const { readable } = await reactor.readable(event);
 *   assert(readable);
 *   libc().close(event);
 * }
 * ```
 *
 * @module
 */

export { cString } from "./arguments.ts";
export { LINUX_ONLY, POLL, POSIX } from "./constants.ts";
export type { PosixConstants } from "./constants.ts";
export {
  closeDescriptor,
  duplicate,
  endWriting,
  isDatagramSocket,
  isFifo,
  isOpen,
  makeEventfd,
  makePipe,
  makeSocketpair,
  openFile,
  readInto,
  setCloseOnExec,
  setNonBlocking,
  WOULD_BLOCK,
  writeFrom,
} from "./descriptor.ts";
export { check, ERRNO, errnoName, systemError } from "./errno.ts";
export type { SystemError } from "./errno.ts";
export { errno, libc, linux } from "./libc.ts";
export type { Libc, LinuxLibc } from "./libc.ts";
export { isPtyMaster, openPty, setWindowSize } from "./pty.ts";
export type { OpenPtyOptions, Pty } from "./pty.ts";
export { openExit } from "./exit.ts";
export { openPidfd, reap, spawn, spawnOnTerminal } from "./spawn.ts";
export type {
  Child,
  ChildOptions,
  ChildPipe,
  ExitStatus,
  SpawnOptions,
} from "./spawn.ts";
export {
  LINUX_SYMBOLS,
  POSIX_SYMBOLS,
  VARIADIC_IN_REGISTERS,
} from "./symbols.ts";
