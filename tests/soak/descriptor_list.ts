/**
 * Says which descriptors there are, for whoever has found too many.
 *
 * @module
 */

import { onLinux } from "../descriptors.ts";

/** One line for each, such as "7 pipe:[1234]"; none where that can't be told. */
export function listDescriptors(): string[] {
  if (!onLinux) return [];
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) =>
    `${name} ${readLink(`/proc/self/fd/${name}`)}`
  );
}

function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "closed"; // The one that the directory was read with.
  }
}
