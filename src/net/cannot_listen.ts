/**
 * The error of what can't listen.
 *
 * @module
 */

import type { SystemError } from "../../ffi/errno.ts";
import { CannotListenError } from "./errors.ts";

/**
 * Wraps what the kernel said.
 *
 * @param where Where it was to listen, as text.
 * @param error What was thrown.
 */
export function cannotListen(where: string, error: unknown): CannotListenError {
  const { message, code, errno } = error as SystemError;
  return new CannotListenError(
    `Cannot listen on ${where}: ${message}`,
    { cause: error, code, errno },
  );
}
