/**
 * What the kernel's headers say, as the C compiler has it: the numbers of
 * requests, and structures as bytes. What stands in for a device in a test gets
 * its bytes from here, and not from the module that is tested.
 *
 * @module
 */

import { assert } from "@std/assert";
import { onLinux } from "../descriptors.ts";
import { missingPrograms, Peer } from "../net/peers/peer.ts";

/** What is missing for it. */
export const missingHeaders: readonly string[] = onLinux
  ? await missingPrograms({ cc: "gcc and libc6-dev" })
  : ["Linux"];

/** What a program has printed. */
export interface Facts {
  number(name: string): number;
  bytes(name: string): Uint8Array<ArrayBuffer>;
}

/** What a program can say: `number(name, value)` and `bytes(name, structure)`. */
const PRELUDE = `
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#define number(name, value) printf("%s %llu\\n", name, (unsigned long long)(value))
#define bytes(name, structure) print(name, &(structure), sizeof (structure))
static inline void print(const char *name, const void *at, size_t length) {
  printf("%s ", name);
  for (size_t i = 0; i < length; i++)
    printf("%02x", ((const unsigned char *)at)[i]);
  printf("\\n");
}
`;

/**
 * Makes a program of its argument, and becomes that, so that whoever ends the
 * one has ended the other. The file goes before it runs.
 */
const COMPILE_AND_RUN = `
  folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT &&
  printf '%s' "$1" | cc -Wall -Werror -x c -o "$folder/program" - &&
  exec 3< "$folder/program" && rm -r "$folder" && exec /proc/self/fd/3`;

/** Starts a program in C: headers, and the statements of `main`. */
export function startC(headers: readonly string[], body: string): Peer {
  const lines = headers.map((header) => `#include <${header}>\n`);
  const source = `${lines.join("")}${PRELUDE}int main(void) { ${body} }`;
  return new Peer("sh", ["-c", COMPILE_AND_RUN, "sh", source]);
}

/**
 * Asks the compiler. Where it is missing, nothing is known, and nothing must be
 * asked: the tests that would are ignored.
 *
 * @param header Such as `linux/gpio.h`.
 * @param body Statements of C.
 */
export async function askHeader(header: string, body: string): Promise<Facts> {
  const facts = new Map<string, string>();
  if (missingHeaders.length === 0) {
    await using program = startC([header], `${body} return 0;`);
    const { code, stdout, stderr } = await program.end();
    assert(code === 0, stderr);
    const text = new TextDecoder().decode(stdout).trim();
    for (const line of text.split("\n")) {
      const at = line.lastIndexOf(" ");
      facts.set(line.slice(0, at), line.slice(at + 1));
    }
  }
  function get(name: string): string {
    const fact = facts.get(name);
    assert(fact !== undefined, `The program does not tell of ${name}`);
    return fact;
  }
  return {
    number: (name) => Number(get(name)),
    bytes: (name) => Uint8Array.fromHex(get(name)),
  };
}

/** A call that a {@linkcode StandIn} got. */
export interface Request {
  readonly request: number;
  /** What it was called with, before it was answered; null for no argument. */
  readonly bytes: Uint8Array | null;
}

/**
 * Stands in for `ioctl(2)`. It answers each request in the way it was told, and
 * takes no other.
 */
export class StandIn {
  readonly requests: Request[] = [];
  readonly #answers = new Map<
    number,
    (bytes: Uint8Array<ArrayBuffer>) => void
  >();

  /** What to put into the argument of a request. The default is nothing. */
  answer(
    request: number,
    fill: (bytes: Uint8Array<ArrayBuffer>) => void = () => {},
  ): void {
    this.#answers.set(request, fill);
  }

  readonly ioctl = (
    _fd: number,
    request: number,
    bytes: Uint8Array<ArrayBuffer> | null,
  ): number => {
    const fill = this.#answers.get(request);
    assert(fill !== undefined, `Nobody knows of request ${request}`);
    this.requests.push({ request, bytes: bytes?.slice() ?? null });
    if (bytes !== null) fill(bytes);
    return 0;
  };

  /** The last call. */
  get last(): Request | undefined {
    return this.requests.at(-1);
  }
}
