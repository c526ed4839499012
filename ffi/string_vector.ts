/**
 * Vectors of C strings: arguments and environments.
 *
 * They are arrays of addresses. `Deno.UnsafePointer` would give and follow
 * those, but is taken away by a grant that is scoped to the C library, whose own
 * `memcpy` does as well, if its addresses are declared as numbers.
 *
 * @module
 */

import { libc, libcPath } from "./libc.ts";

const darwin = Deno.build.os === "darwin";

/** What follows an address that is a number. */
const SYMBOLS = {
  /** `void *memcpy(void *to, const void *from, size_t length)` */
  copyFrom: {
    name: "memcpy",
    parameters: ["buffer", "u64", "u32"],
    result: "void",
  },
  /** `size_t strlen(const char *string)` */
  strlen: { parameters: ["u64"], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Memory = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: { memory: Memory; environ: Deno.PointerObject } | undefined;

const decoder = new TextDecoder();

/**
 * Lays out a `char *const[]`: the addresses of the strings, a null, the strings
 * themselves, all in one piece of memory, so that whatever keeps the addresses
 * alive keeps the strings alive too.
 *
 * @param strings Strings with their NUL, or addresses of some that C keeps.
 * @returns The memory.
 */
export function stringVector(
  strings: readonly (Uint8Array | bigint)[],
): Uint8Array<ArrayBuffer> {
  const header = 8 * (strings.length + 1);
  let total = header;
  for (const string of strings) {
    if (typeof string !== "bigint") total += string.length;
  }
  const buffer = new ArrayBuffer(total);
  const memory = new Uint8Array(buffer);
  const addresses = new BigUint64Array(buffer, 0, strings.length);
  const base = libc().addressOf(memory, memory, 0);
  let offset = header;
  for (const [i, string] of strings.entries()) {
    if (typeof string === "bigint") {
      addresses[i] = string;
    } else {
      addresses[i] = base + BigInt(offset);
      memory.set(string, offset);
      offset += string.length;
    }
  }
  return memory;
}

/**
 * This process's environment as C holds it: the addresses of its strings, good
 * until something calls `setenv()`.
 */
export function ownEnvironment(): bigint[] {
  const { memory, environ } = library();
  const word = new BigUint64Array(1);
  libc().memcpy(word, environ, 8);
  const strings: bigint[] = [];
  // A process may have no vector at all (clearenv(3)).
  if (word[0] === 0n) return strings;
  for (let at = word[0]!;; at += 8n) {
    memory.copyFrom(word, at, 8);
    if (word[0] === 0n) return strings;
    strings.push(word[0]!);
  }
}

/** Reads a string that C keeps. */
export function stringAt(address: bigint): string {
  const { memory } = library();
  const bytes = new Uint8Array(memory.strlen(address));
  memory.copyFrom(bytes, address, bytes.length);
  return decoder.decode(bytes);
}

function library(): NonNullable<typeof opened> {
  if (opened !== undefined) return opened;
  const path = libcPath();
  const { symbols: memory } = Deno.dlopen(path, SYMBOLS);
  return opened = { memory, environ: environAddress(path) };
}

/**
 * The address of the variable `environ`, whose value changes with `setenv()`.
 */
function environAddress(path: string): Deno.PointerObject {
  if (darwin) {
    // Libraries on macOS do not see the variable itself (environ(7)).
    const { symbols } = Deno.dlopen(path, {
      /** `char ***_NSGetEnviron(void)` */
      _NSGetEnviron: { parameters: [], result: "pointer" },
    });
    return symbols._NSGetEnviron()!;
  }
  const { symbols } = Deno.dlopen(path, {
    /** `extern char **environ` */
    environ: { type: "pointer" },
  });
  return symbols.environ!;
}
