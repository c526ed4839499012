/**
 * Sockets that a service manager has opened for this program.
 *
 * @module
 */

import { isOpen, setCloseOnExec } from "../../ffi/descriptor.ts";

/**
 * A socket that was handed to this program at its start.
 *
 * @example By its name
 * ```ts
 * import {
 *   type ActivatedSocket,
 *   adoptStreamPort,
 *   listen,
 *   type Port,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * // The port that the unit file has as `FileDescriptorName=`.
 * function portNamed(name: string, sockets: readonly ActivatedSocket[]): Port {
 *   const socket = sockets.find((socket) => socket.name === name);
 *   if (socket === undefined) throw new Error(`There is no socket "${name}"`);
 *   return adoptStreamPort(socket.fd, { buildProtocol: () => null });
 * }
 *
 * // For want of a service manager. A program would ask `activatedSockets()`.
 * await using given = listen({ hostname: "127.0.0.1", port: 0 });
 * const sockets = [{ fd: given.fileno(), name: "web" }];
 * await using port = portNamed("web", sockets);
 * assertEquals(port.getHost(), given.getHost());
 * ```
 */
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
 * @returns The sockets, in the order of the manager's configuration; none if
 * there is no manager, or the variables are meant for another process.
 * @throws {Deno.errors.NotCapable} When the program may not read them: it takes
 * `--allow-env=LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES`.
 *
 * @example With a service manager, and without
 * ```ts
 * import {
 *   activatedSockets,
 *   adoptStreamPort,
 *   listenTCP,
 * } from "@interleave/reactor/net";
 * import { assert } from "@std/assert";
 *
 * const factory = { buildProtocol: () => ({ dataReceived() {} }) };
 *
 * // Under systemd, run with --allow-env=LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES.
 * const env = { name: "env", variable: "LISTEN_PID" } as const;
 * const { state } = await Deno.permissions.query(env);
 * const sockets = state === "granted" ? activatedSockets() : [];
 * const ports = sockets.length > 0
 *   ? sockets.map(({ fd }) => adoptStreamPort(fd, factory))
 *   : [listenTCP(0, factory, { hostname: "127.0.0.1" })];
 *
 * assert(ports.length > 0);
 * for (const port of ports) await port.stopListening();
 * ```
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
