/**
 * Addresses of sockets: as the kernel has them, and as text.
 *
 * `struct sockaddr_in`, `sockaddr_in6` and `sockaddr_un` begin alike on each
 * system: Linux has the family in the first two bytes, macOS a length in the
 * first and the family in the second. What follows is the same on both, but for
 * the room for a path.
 *
 * @module
 */

import { checkInteger, complaint, cString, show } from "./arguments.ts";
import { POSIX } from "./constants.ts";
import { ERRNO, systemError } from "./errno.ts";
import { libc } from "./libc.ts";
import { SOCKET } from "./socket_constants.ts";

/** `sizeof(struct sockaddr_storage)`: room for an address of any family. */
const STORAGE = 128;

/** `sizeof(struct sockaddr_in)`. */
const IPV4_LENGTH = 16;
/** `sizeof(struct sockaddr_in6)`. */
const IPV6_LENGTH = 28;

/** Where they begin, in bytes. */
const PORT = 2;
const IPV4 = 4;
const IPV6 = 8;
const SCOPE = 24;
const PATH = 2;

/** `<net/if.h>`: room for the name of an interface, its NUL included. */
const IF_NAMESIZE = 16;

/** The largest number of a port. */
const MAX_PORT = 65535;

const hasLengthByte = Deno.build.os === "darwin";
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * An address of a socket, in memory that the kernel reads and fills in. One can
 * serve for any number of calls.
 */
export class SocketAddress {
  /** The memory: a `struct sockaddr_storage`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many of the bytes count: a `socklen_t`. */
  readonly length: Uint32Array<ArrayBuffer>;

  readonly #view: DataView;

  /** Makes an empty one, for the kernel to fill in. */
  constructor() {
    this.bytes = new Uint8Array(STORAGE);
    this.length = new Uint32Array(1);
    this.#view = new DataView(this.bytes.buffer);
  }

  /**
   * The address of a port.
   *
   * @param hostname An IPv4 or IPv6 address, the latter perhaps with a scope:
   * "fe80::1%eth0" or "fe80::1%2".
   * @param port The port; 0 lets the kernel choose one.
   * @throws {TypeError} When `hostname` is no address, or `port` no number.
   * @throws {RangeError} When `port` is not an integer from 0 to 65535.
   * @throws {SystemError} When there is no such interface (ENODEV).
   */
  static internet(hostname: string, port: number): SocketAddress {
    checkInteger(port, "make a socket address", "port", 0, MAX_PORT);
    const address = new SocketAddress();
    const ipv4 = parseIpv4(hostname);
    if (ipv4 !== undefined) {
      address.#begin(POSIX.AF_INET, IPV4_LENGTH);
      address.bytes.set(ipv4, IPV4);
    } else {
      const ipv6 = parseIpv6(hostname);
      if (ipv6 === undefined) {
        throw new TypeError(
          complaint(
            hostname,
            "make a socket address",
            "hostname",
            "an IPv4 or IPv6 address",
          ),
        );
      }
      address.#begin(POSIX.AF_INET6, IPV6_LENGTH);
      address.bytes.set(ipv6.bytes, IPV6);
      address.#view.setUint32(SCOPE, interfaceIndex(ipv6.scope), littleEndian);
    }
    address.#view.setUint16(PORT, port);
    return address;
  }

  /**
   * The address of a UNIX socket.
   *
   * @param path Where it is in the file system. On Linux, one that begins with
   * a NUL is an abstract name, which is in no file system.
   * @throws {TypeError} When `path` is not a string, is empty, or has a NUL in
   * it elsewhere than at the beginning.
   * @throws {RangeError} When `path` is too long: 107 bytes of UTF-8 on Linux,
   * 103 on macOS, the NUL of an abstract name not counted.
   * @throws {Deno.errors.NotSupported} When it is an abstract name and the
   * system is not Linux.
   */
  static unix(path: string): SocketAddress {
    if (typeof path !== "string" || path === "" || path.includes("\0", 1)) {
      throw new TypeError(
        complaint(
          path,
          "make a socket address",
          "path",
          "a string with at least one character and no NUL after the first",
        ),
      );
    }
    const abstract = path[0] === "\0";
    if (abstract && Deno.build.os !== "linux") {
      throw new Deno.errors.NotSupported(
        `Cannot make a socket address: only Linux has abstract names, received ${
          show(path)
        }`,
      );
    }
    const name = encoder.encode(abstract ? path : path + "\0");
    if (name.length > SOCKET.UNIX_PATH_LENGTH) {
      throw new RangeError(
        complaint(
          path,
          "make a socket address",
          "path",
          `at most ${SOCKET.UNIX_PATH_LENGTH - 1} bytes long`,
        ),
      );
    }
    const address = new SocketAddress();
    address.#begin(POSIX.AF_UNIX, PATH + name.length);
    address.bytes.set(name, PATH);
    return address;
  }

  /**
   * An address that something else has laid out.
   *
   * @param bytes A `struct sockaddr`.
   * @throws {RangeError} When `bytes` is longer than any address.
   */
  static from(bytes: Uint8Array): SocketAddress {
    checkInteger(
      bytes.length,
      "make a socket address",
      "bytes.length",
      0,
      STORAGE,
    );
    const address = new SocketAddress();
    address.bytes.set(bytes);
    address.length[0] = bytes.length;
    return address;
  }

  /** Makes room for the longest address, before the kernel fills one in. */
  clear(): void {
    // What the kernel says of a peer without a name is a length of 0 and
    // nothing else: no family may be left from the time before.
    this.#view.setUint16(0, 0);
    this.length[0] = STORAGE;
  }

  /** One of `POSIX.AF_INET`, `AF_INET6`, `AF_UNIX`; 0 if it is empty. */
  get family(): number {
    return hasLengthByte
      ? this.bytes[1]!
      : this.#view.getUint16(0, littleEndian);
  }

  /**
   * The address as text, IPv6 in the form of RFC 5952 and with the name of its
   * scope if it has one. Empty if it is none of the internet.
   */
  get hostname(): string {
    const { bytes } = this;
    switch (this.family) {
      case POSIX.AF_INET:
        return formatIpv4(bytes, IPV4);
      case POSIX.AF_INET6: {
        const scope = this.#view.getUint32(SCOPE, littleEndian);
        const text = formatIpv6(this.#view, IPV6);
        return scope === 0 ? text : `${text}%${interfaceName(scope)}`;
      }
      default:
        return "";
    }
  }

  /** The port; 0 if it is none of the internet. */
  get port(): number {
    const { family } = this;
    return family === POSIX.AF_INET || family === POSIX.AF_INET6
      ? this.#view.getUint16(PORT)
      : 0;
  }

  /**
   * The path of a UNIX socket: with a NUL at the beginning if it is an abstract
   * name, empty if the socket has no name or is no UNIX socket.
   */
  get path(): string {
    const length = this.length[0]!;
    if (this.family !== POSIX.AF_UNIX || length <= PATH) return "";
    const name = this.bytes.subarray(PATH, length);
    // In an abstract name NUL is like any other byte; a path ends at the first,
    // or has none if it fills all the room (unix(7)).
    const end = name[0] === 0 && Deno.build.os === "linux"
      ? -1
      : name.indexOf(0);
    return decoder.decode(end < 0 ? name : name.subarray(0, end));
  }

  /** Returns the address as messages show it. */
  toString(): string {
    switch (this.family) {
      case POSIX.AF_INET:
        return `${this.hostname}:${this.port}`;
      case POSIX.AF_INET6:
        return `[${this.hostname}]:${this.port}`;
      default:
        return show(this.path);
    }
  }

  #begin(family: number, length: number): void {
    if (hasLengthByte) {
      this.bytes[0] = length;
      this.bytes[1] = family;
    } else {
      this.#view.setUint16(0, family, littleEndian);
    }
    this.length[0] = length;
  }
}

/**
 * Asks whether a host name is an address as it is, so that nobody needs to be
 * asked for one.
 *
 * @param hostname The host name.
 * @returns Whether it is an IPv4 address of four decimal numbers, or an IPv6
 * address without brackets, with a scope or without.
 */
export function isLiteral(hostname: string): boolean {
  return parseIpv4(hostname) !== undefined || parseIpv6(hostname) !== undefined;
}

/** Four decimal numbers without leading zeros, which some take for octal. */
const DOTTED =
  /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

function parseIpv4(text: string): number[] | undefined {
  const numbers = DOTTED.exec(text)?.slice(1).map(Number);
  return numbers?.every((number) => number <= 255) ? numbers : undefined;
}

/** An IPv6 address; the scope is empty if there is none. */
interface Ipv6 {
  readonly bytes: Uint8Array;
  readonly scope: string;
}

function parseIpv6(text: string): Ipv6 | undefined {
  const [, address, scope = ""] = /^([^%]*)(?:%([^%]+))?$/.exec(text) ?? [];
  if (address === undefined) return undefined;
  const halves = address.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = parseGroups(halves[1] ?? "", true);
  if (head === undefined || tail === undefined) return undefined;
  const left = 8 - head.length - tail.length;
  // "::" stands for one group at least.
  if (halves.length === 1 ? left !== 0 : left < 1) return undefined;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [i, group] of head.entries()) view.setUint16(2 * i, group);
  for (const [i, group] of tail.entries()) {
    view.setUint16(2 * (head.length + left + i), group);
  }
  return { bytes, scope };
}

/**
 * Groups of 16 bits. At the very end of an address, two of them may be written
 * like an IPv4 address.
 */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const words = text.split(":");
  for (const [i, word] of words.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(word)) {
      groups.push(parseInt(word, 16));
      continue;
    }
    const ipv4 = atEnd && i === words.length - 1 ? parseIpv4(word) : undefined;
    if (ipv4 === undefined) return undefined;
    groups.push(ipv4[0]! << 8 | ipv4[1]!, ipv4[2]! << 8 | ipv4[3]!);
  }
  return groups;
}

function formatIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/**
 * RFC 5952: lower case, no leading zeros, "::" for the first of the longest runs
 * of at least two zeros, and IPv4 addresses in IPv6 (::ffff:0:0/96) with dots.
 */
function formatIpv6(view: DataView, at: number): string {
  const groups = Array.from(
    { length: 8 },
    (_, i) => view.getUint16(at + 2 * i),
  );
  if (
    groups[5] === 0xffff && groups.every((group, i) => i > 4 || group === 0)
  ) {
    const bytes = new Uint8Array(view.buffer);
    return `::ffff:${formatIpv4(bytes, at + 12)}`;
  }
  let start = 0;
  let length = 1;
  let run = 0;
  for (const [i, group] of groups.entries()) {
    run = group === 0 ? run + 1 : 0;
    if (run > length) {
      length = run;
      start = i - run + 1;
    }
  }
  const words = groups.map((group) => group.toString(16));
  if (length === 1) return words.join(":");
  const head = words.slice(0, start).join(":");
  return `${head}::${words.slice(start + length).join(":")}`;
}

/**
 * The number of a network interface.
 *
 * @param name Its name, or its number as text; empty for none.
 * @returns Its number; 0 for none.
 * @throws {TypeError} When `name` has a NUL in it.
 * @throws {SystemError} When there is no such interface (ENODEV).
 */
export function interfaceIndex(name: string): number {
  if (name === "") return 0;
  const index = libc().if_nametoindex(
    cString(name, "find a network interface", "name"),
  );
  if (index !== 0) return index;
  const number = /^\d{1,10}$/.test(name) ? Number(name) : 0;
  if (number > 0 && number < 2 ** 32) return number;
  throw systemError(
    `Cannot find the network interface ${show(name)}`,
    ERRNO.ENODEV!,
  );
}

/** The name of a network interface; its number as text if it is gone. */
function interfaceName(index: number): string {
  const name = new Uint8Array(IF_NAMESIZE);
  if (libc().if_indextoname(index, name) === 0n) return String(index);
  return decoder.decode(name.subarray(0, name.indexOf(0)));
}
