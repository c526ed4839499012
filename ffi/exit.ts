/**
 * The ends of child processes.
 *
 * Nothing here asks for any child but its own: `waitpid()` is given one pid, so
 * it takes nothing away from `Deno.Command`, and no handler for SIGCHLD is
 * needed. A process that has ended keeps its pid until it is collected.
 *
 * @module
 */

import { checkInteger } from "./arguments.ts";
import { closeDescriptor, makePipe, setCloseOnExec } from "./descriptor.ts";
import { check, ERRNO, systemError } from "./errno.ts";
import { errno, libc, libcPath, linux } from "./libc.ts";

/** `<sys/wait.h>`: do not wait. */
const WNOHANG = 1;

/**
 * Linux gave this call one number on all architectures; glibc wraps it since
 * 2.36 only.
 */
const SYS_PIDFD_OPEN = 434;

/**
 * How a process ended: of its own accord or by a signal.
 *
 * @example A child that a signal ends
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import {
 *   type ExitStatus,
 *   libc,
 *   openExit,
 *   reap,
 *   spawn,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const SIGKILL = 9;
 *
 * function inWords({ code, signal }: ExitStatus): string {
 *   return signal === null ? `exit code ${code}` : `signal ${signal}`;
 * }
 *
 * const { pid } = spawn("sleep", { args: ["1000"], childFDs: {} });
 * libc().kill(pid, SIGKILL);
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(inWords(reap(pid)!), "signal 9");
 * ```
 */
export interface ExitStatus {
  /** The exit code, or null after a signal. */
  code: number | null;
  /** The number of the signal, or null after an exit. */
  signal: number | null;
}

/**
 * Collects a child that has ended, without waiting for one that has not.
 *
 * @param pid The child's pid.
 * @returns How it ended, once; undefined while it runs.
 * @throws {TypeError} When `pid` is not a number.
 * @throws {RangeError} When `pid` is not an integer from 1 to 2147483647.
 * @throws {SystemError} When `pid` is no child of this process, or was
 * collected before (ECHILD).
 *
 * @example Usage
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { closeDescriptor, openExit, reap, spawn } from "@interleave/reactor/ffi";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const { pid, pipes } = spawn("sh", {
 *   args: ["-c", "read -r line; exit 3"],
 *   childFDs: { 0: "w" },
 * });
 * assertEquals(reap(pid), undefined); // It waits for its input.
 *
 * closeDescriptor(pipes.get(0)!.fd);
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(reap(pid), { code: 3, signal: null });
 * assertThrows(() => reap(pid), Error, "ECHILD"); // Only once.
 * ```
 */
export function reap(pid: number): ExitStatus | undefined {
  const status = collect(pid);
  return status === undefined ? undefined : decodeStatus(status);
}

/** The same as {@linkcode reap}, with what `waitpid` says as it is. */
export function collect(pid: number): number | undefined {
  checkInteger(pid, "collect a process", "pid", 1);
  const status = new Int32Array(1);
  const { waitpid } = libc();
  // That somebody else has collected it rests on errno, which has to say so twice.
  for (let before = 0;;) {
    const collected = waitpid(pid, status, WNOHANG);
    if (collected >= 0) return collected === 0 ? undefined : status[0]!;
    const error = errno();
    if (error === before && error !== ERRNO.EINTR) {
      throw systemError(`Cannot collect process ${pid}`, error);
    }
    before = error;
  }
}

/**
 * Tells what is in a status. The layout is that of the macros in
 * `<sys/wait.h>`: the signal in the low 7 bits, the code in the second byte.
 */
export function decodeStatus(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0
    ? { code: status >> 8 & 0xff, signal: null }
    : { code: null, signal };
}

/**
 * Opens a process as a descriptor (Linux 5.3): it is readable from the moment
 * the process has ended.
 *
 * @param pid The process; one that has ended counts until it is collected.
 * @returns The descriptor, closed on exec.
 * @throws {TypeError} When `pid` is not a number.
 * @throws {RangeError} When `pid` is not an integer from 1 to 2147483647.
 * @throws {Deno.errors.NotSupported} When the system is not Linux, or is too
 * old.
 * @throws {SystemError} When there is no such process (ESRCH).
 *
 * @example Usage
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { openPidfd, reap, spawn } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const { pid } = spawn("true", { childFDs: {} });
 *   using end = FileDescriptor.adopt(openPidfd(pid));
 *   await reactor.readable(end);
 *   assertEquals(reap(pid), { code: 0, signal: null });
 * }
 * ```
 */
export function openPidfd(pid: number): number {
  checkInteger(pid, "open a process", "pid", 1);
  return check(
    linux().syscall(SYS_PIDFD_OPEN, pid, 0),
    `Cannot open process ${pid}`,
  );
}

/** What macOS has to wait for the end of a process. */
const KQUEUE_SYMBOLS = {
  /** `int kqueue(void)` */
  kqueue: { parameters: [], result: "i32" },
  /**
   * `int kevent(int queue, const struct kevent *changes, int changesLength,
   * struct kevent *events, int eventsLength, const struct timespec *timeout)`
   */
  kevent: {
    parameters: ["i32", "buffer", "i32", "buffer", "i32", "buffer"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** `<sys/event.h>`: the filter for processes. */
const EVFILT_PROC = -5;
/** `<sys/event.h>`: add it. */
const EV_ADD = 0x01;
/** `<sys/event.h>`: of a process, its end. */
const NOTE_EXIT = 0x80000000;

let kqueueLibrary:
  | Deno.DynamicLibrary<typeof KQUEUE_SYMBOLS>["symbols"]
  | undefined;

/**
 * Opens the end of a child of ours as a descriptor: it is readable from the
 * moment the child has ended. There is nothing in it that could be read.
 *
 * On Linux it is a process descriptor. On macOS it is a kqueue that asks for
 * nothing but that end; this part follows the manual and has not been run.
 *
 * @param pid The child; one that has ended counts until it is collected.
 * @returns The descriptor, closed on exec.
 * @throws {TypeError} When `pid` is not a number.
 * @throws {RangeError} When `pid` is not an integer from 1 to 2147483647.
 * @throws {Deno.errors.NotSupported} When Linux is older than 5.3.
 *
 * @example Waiting for a child
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { openExit, reap, spawn } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const { pid } = spawn("true", { childFDs: {} });
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(reap(pid), { code: 0, signal: null });
 * ```
 */
export function openExit(pid: number): number {
  if (Deno.build.os !== "darwin") return openPidfd(pid);
  const action = `Cannot wait for process ${pid}`;
  const { kqueue, kevent } = kqueueLibrary ??=
    Deno.dlopen(libcPath(), KQUEUE_SYMBOLS).symbols;
  const queue = check(kqueue(), action);
  try {
    setCloseOnExec(queue, true);
    // struct kevent: ident, filter, flags, fflags, data, udata.
    const change = new DataView(new ArrayBuffer(32));
    change.setBigUint64(0, BigInt(pid), true);
    change.setInt16(8, EVFILT_PROC, true);
    change.setUint16(10, EV_ADD, true);
    change.setUint32(12, NOTE_EXIT, true);
    if (kevent(queue, change, 1, null, 0, null) >= 0) return queue;
    const error = errno();
    if (error !== ERRNO.ESRCH) throw systemError(action, error);
  } catch (error) {
    closeDescriptor(queue);
    throw error;
  }
  // It has ended: no longer a process to kevent(), but still one to waitpid().
  // The end of a pipe is as readable as it can be.
  closeDescriptor(queue);
  const [output, input] = makePipe();
  closeDescriptor(input);
  return output;
}
