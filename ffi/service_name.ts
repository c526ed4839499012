/**
 * Ports by the names of their services, as in /etc/services.
 *
 * @module
 */

import { libc } from "./libc.ts";

// struct servent: two pointers, then the port in network byte order
// (getservbyname(3)).
const PORT = 16;

const encoder = new TextEncoder();

/**
 * Looks up the port of a TCP service.
 *
 * @param name Such as "https".
 * @returns The port; undefined if the system knows no such service.
 */
export function servicePort(name: string): number | undefined {
  const { getservbyname, copyFrom } = libc();
  const entry = getservbyname(
    encoder.encode(`${name}\0`),
    encoder.encode("tcp\0"),
  );
  if (entry === 0n) return undefined;
  const port = new Uint8Array(2);
  copyFrom(port, BigInt(entry) + BigInt(PORT), 2);
  return new DataView(port.buffer).getUint16(0);
}
