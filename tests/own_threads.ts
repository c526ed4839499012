/**
 * The threads of this process, as the system sees them. Linux only.
 *
 * @module
 */

import { cString } from "../ffi/arguments.ts";
import { libc, libcPath } from "../ffi/libc.ts";
import { receive, until } from "./descriptors.ts";

// System calls by number: <asm/unistd_64.h>, <asm-generic/unistd.h>.
const X86 = Deno.build.arch === "x86_64";
/** poll, or ppoll, which arm64 has in its place. */
const SYS_POLL = X86 ? 7 : 73;
const SYS_GETDENTS64 = X86 ? 217 : 61;

const { symbols: { syscall } } = Deno.dlopen(libcPath(), {
  syscall: { parameters: ["i32", "i32", "buffer", "i32"], result: "i32" },
});

/** The numbers of all threads. */
export function ownThreads(): number[] {
  // Deno lets nobody look there who may not do everything; the C library does.
  const fd = open("/proc/self/task");
  const buffer = new Uint8Array(65536);
  const length = syscall(SYS_GETDENTS64, fd, buffer, buffer.length);
  libc().close(fd);
  const view = new DataView(buffer.buffer);
  const names: string[] = [];
  // struct linux_dirent64 (getdents64(2)): its length at byte 16, its name from
  // byte 19 to a NUL.
  for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
    const end = buffer.indexOf(0, at + 19);
    names.push(new TextDecoder().decode(buffer.subarray(at + 19, end)));
  }
  return names.filter((name) => !name.startsWith(".")).map(Number);
}

/** The threads that sleep in `poll()`. */
export function pollingThreads(): number[] {
  return ownThreads().filter((id) => systemCallOf(id) === SYS_POLL);
}

/** The only thread that sleeps in `poll()`: the reactor's worker. */
export async function pollingThread(): Promise<number> {
  await until(() => pollingThreads().length === 1);
  return pollingThreads()[0]!;
}

/** The number of the system call that a thread is in; proc_pid_syscall(5). */
function systemCallOf(id: number): number | undefined {
  const fd = open(`/proc/self/task/${id}/syscall`);
  if (fd < 0) return undefined; // It is gone.
  const text = receive(fd);
  libc().close(fd);
  return text === null ? undefined : parseInt(text); // NaN for "running".
}

function open(path: string): number {
  return libc().open(cString(path, "look at the threads", "path"), 0, 0);
}
