/**
 * What the C library has given out and not got back, to the byte. Of all the
 * memory of a process this is the part in which a leak of native code shows
 * first: it neither waits for a page to fill up nor keeps anything in store.
 *
 * @module
 */

import { libcPath } from "../../ffi/libc.ts";

/** Where two of the `size_t` of `struct mallinfo2` stand (malloc.h). */
const HBLKHD = 4;
const UORDBLKS = 7;

// glibc has it since 2.33; musl and macOS have nothing like it.
const { mallinfo2, malloc_trim } = Deno.dlopen(libcPath(), {
  mallinfo2: {
    parameters: [],
    result: { struct: new Array<"usize">(10).fill("usize") },
    optional: true,
  },
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },
}).symbols;

/** Whether it can be told. */
export const canCountMalloc: boolean = mallinfo2 !== null;

/** Gives back to the system what is kept in store. */
export function trimMalloc(): void {
  malloc_trim?.(0n);
}

/** How many bytes are in use, in all arenas and outside; 0 if none can tell. */
export function countMalloc(): number {
  if (mallinfo2 === null) return 0;
  const { buffer, byteOffset } = mallinfo2();
  const info = new BigUint64Array(buffer, byteOffset, 10);
  return Number(info[HBLKHD]! + info[UORDBLKS]!);
}
