/**
 * Room for one more thread.
 *
 * @module
 */

import { hasRoomFor } from "../../ffi/descriptor.ts";
import { ERRNO, systemError } from "../../ffi/errno.ts";

/** More descriptors than Deno needs for a worker, by far. */
const WORKER_DESCRIPTORS = 32;

/**
 * Requires descriptors for one more thread: with none left, Deno would end the
 * process.
 *
 * @param fd One that is open.
 * @throws {SystemError} When there are too few (EMFILE).
 */
export function requireRoomForWorker(fd: number): void {
  if (hasRoomFor(fd, WORKER_DESCRIPTORS)) return;
  throw systemError("Cannot start a thread", ERRNO.EMFILE!);
}
