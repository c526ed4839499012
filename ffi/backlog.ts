/**
 * What waits in the kernel at a descriptor: to be read, or to leave.
 *
 * Looked at before and after a callback, it shows whether the callback has done
 * anything with its descriptor. In doubt it has: of datagrams and of connections
 * that wait to be accepted the kernel tells no amount.
 *
 * @module
 */

import { POLL, POSIX } from "./constants.ts";
import { libc } from "./libc.ts";
import { isEpollSet } from "./open_file.ts";
import { SOCKET_OPTIONS, type SocketOption } from "./socket_constants.ts";

/** What a callback does with its descriptor. */
export type Side = "read" | "write";

/** The kernel does not say. */
export const UNKNOWN: -1 = -1;

/** `getsockopt`, on Linux: what TCP knows of a connection (tcp(7)). */
const TCP_INFO: SocketOption | undefined = Deno.build.os === "linux"
  ? [6, 11]
  : undefined;

/**
 * `tcpi_last_data_sent` in `struct tcp_info` (linux/tcp.h): how many
 * milliseconds ago data was sent, as a word of 32 bits.
 */
const LAST_DATA_SENT = 44 / 4;

/** A connection that has sent within so many milliseconds is being used. */
const LATELY = 50;

const amount = new Int32Array(1);
const option = new Int32Array(64);
const length = new Uint32Array(1);
const table = new Int32Array(2);

/** How many bytes wait, to be read or to leave; or {@linkcode UNKNOWN}. */
export function backlogOf(fd: number, side: Side): number {
  if (side === "read") return ask(fd, POSIX.FIONREAD);
  const leaving = ask(fd, POSIX.TIOCOUTQ);
  // A pipe counts what is in it, at both of its ends (fs/pipe.c).
  return leaving === UNKNOWN ? ask(fd, POSIX.FIONREAD) : leaving;
}

/**
 * Whether a callback has read from its descriptor, or written to it: "no" if it
 * is ready as before although there is nothing to be had from it, "perhaps not"
 * if as much waits as before. It may have been refilled in the meantime, by the
 * callback itself.
 */
export type Use = "yes" | "perhaps not" | "no";

/**
 * What has become of a descriptor in a callback, as far as the kernel tells.
 *
 * @param before What {@linkcode backlogOf} said before.
 */
export function useOf(fd: number, side: Side, before: number): Use {
  const found = stateOf(fd, side === "read" ? POLL.IN : POLL.OUT);
  if (found === 0) return "yes";
  return side === "read" ? readingOf(fd, before) : writingOf(fd, before, found);
}

function readingOf(fd: number, before: number): Use {
  // What a set has to say is its members' affair.
  if (before === UNKNOWN && isEpollSet(fd)) return "yes";
  if (!hasAmount(fd)) return "yes";
  const after = backlogOf(fd, "read");
  // Ready, and nothing there: the end, or an error.
  if (before === 0 && after === 0) return "no";
  return after < before ? "yes" : "perhaps not";
}

function writingOf(fd: number, before: number, found: number): Use {
  if ((found & (POLL.HUP | POLL.ERR)) !== 0) return "no";
  // What is sent to this machine is gone at once.
  if (TCP_INFO !== undefined && readOption(fd, TCP_INFO)) {
    return option[LAST_DATA_SENT]! > LATELY ? "no" : "yes";
  }
  const isSame = before !== UNKNOWN && backlogOf(fd, "write") === before;
  return isSame ? "perhaps not" : "yes";
}

/** Whether reading makes FIONREAD smaller, if there is one. */
function hasAmount(fd: number): boolean {
  const { SO_TYPE, SO_ACCEPTCONN } = SOCKET_OPTIONS;
  if (!readOption(fd, SO_TYPE)) return true; // No socket.
  return option[0] === POSIX.SOCK_STREAM &&
    !(readOption(fd, SO_ACCEPTCONN) && option[0] !== 0);
}

function stateOf(fd: number, events: number): number {
  table[0] = fd;
  table[1] = events;
  return libc().poll(table, 1, 0) > 0 ? table[1]! >>> 16 : 0;
}

function ask(fd: number, request: number): number {
  return libc().ioctl(fd, request, amount) === 0 ? amount[0]! : UNKNOWN;
}

function readOption(fd: number, [level, name]: SocketOption): boolean {
  length[0] = option.byteLength;
  return libc().getsockopt(fd, level, name, option, length) === 0;
}
