/**
 * Sockets that a service manager has opened for this program.
 *
 * @module
 */

import { isOpen, setCloseOnExec } from "../../ffi/descriptor.ts";

/** A socket that was handed to this program at its start. */
export interface ActivatedSocket {
  /** The descriptor, for `adoptStreamPort` and its like. */
  readonly fd: number;
  /** The name that the service manager has for it; empty if it has none. */
  readonly name: string;
}

/** Where handed-over descriptors begin (sd_listen_fds(3)). */
const FIRST = 3;

/**
 * The sockets that a service manager such as systemd has opened for this
 * program, as it tells in `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`. They
 * are closed on exec from now on, so that no child inherits them.
 *
 * Reads these three variables, and needs the permission for that.
 *
 * @returns The sockets, in the order of the manager's configuration; none if
 * there is no manager, or the variables are meant for another process.
 */
export function activatedSockets(): ActivatedSocket[] {
  if (Deno.env.get("LISTEN_PID") !== `${Deno.pid}`) return [];
  const count = Number(Deno.env.get("LISTEN_FDS"));
  if (!Number.isInteger(count) || count < 0) return [];
  const names = Deno.env.get("LISTEN_FDNAMES")?.split(":") ?? [];
  const sockets: ActivatedSocket[] = [];
  for (let i = 0; i < count; i++) {
    const fd = FIRST + i;
    if (!isOpen(fd)) break;
    setCloseOnExec(fd, true);
    sockets.push({ fd, name: names[i] ?? "" });
  }
  return sockets;
}
