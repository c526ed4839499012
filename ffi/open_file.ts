/**
 * What Linux calls the open file behind a descriptor (proc(5)).
 *
 * @module
 */

import { libc } from "./libc.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Where a symbolic link leads; empty if there is none. At most 64 bytes. */
export function linkOf(path: string): string {
  const link = new Uint8Array(64);
  const name = encoder.encode(`${path}\0`);
  const length = libc().readlink(name, link, link.length);
  return decoder.decode(link.subarray(0, Math.max(length, 0)));
}

/** Whether a descriptor is an epoll set, as far as /proc tells. */
export function isEpollSet(fd: number): boolean {
  return linkOf(`/proc/self/fd/${fd}`) === "anon_inode:[eventpoll]";
}
