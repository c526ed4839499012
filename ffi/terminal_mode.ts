/**
 * The mode of terminals.
 *
 * @module
 */

import { check } from "./errno.ts";
import { libcPath } from "./libc.ts";

/** `<termios.h>` */
const SYMBOLS = {
  /** `int tcgetattr(int fd, struct termios *attributes)` */
  tcgetattr: { parameters: ["i32", "buffer"], result: "i32" },
  /** `int tcsetattr(int fd, int when, const struct termios *attributes)` */
  tcsetattr: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  /** `void cfmakeraw(struct termios *attributes)` */
  cfmakeraw: { parameters: ["buffer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `tcsetattr`: at once. */
const TCSANOW = 0;

/** A struct termios fits: it has 60 bytes on Linux, 72 on macOS. */
const TERMIOS_LENGTH = 128;

let library: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

/**
 * Has a terminal pass on bytes as they are: no lines, no echo, no signals
 * (`cfmakeraw`, termios(3)).
 *
 * @param fd The terminal, or its master.
 * @throws {SystemError} When it is no terminal.
 */
export function makeRaw(fd: number): void {
  const { tcgetattr, tcsetattr, cfmakeraw } = library ??=
    Deno.dlopen(libcPath(), SYMBOLS).symbols;
  const attributes = new Uint8Array(TERMIOS_LENGTH);
  const action = `Cannot make the terminal of descriptor ${fd} raw`;
  check(tcgetattr(fd, attributes), action);
  cfmakeraw(attributes);
  check(tcsetattr(fd, TCSANOW, attributes), action);
}
