/**
 * Reads lines from standard input while a timer ticks: neither waits for the
 * other.
 *
 *     deno run --allow-ffi examples/stdin_lines.ts
 *
 * Type something: each line comes back with its number, while the seconds are
 * counted. Ctrl-D ends it. A pipe, a file or /dev/null will do as well:
 *
 *     (sleep 2; ls) | deno run --allow-ffi examples/stdin_lines.ts
 *
 * @module
 */

import { FileDescriptor, reactor } from "../mod.ts";
import { duplicate } from "../ffi/mod.ts";

/** Cuts a stream of bytes into lines. The last one need not be complete. */
export async function* lines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split(/\r?\n/);
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== "") yield rest;
}

async function main(): Promise<void> {
  // A duplicate, because whoever adopts a descriptor closes it, and this one
  // belongs to Deno. It stays blocking, because that flag belongs to the open
  // file: the shell that started this program has the same terminal open.
  const stdin = FileDescriptor.adopt(duplicate(0), { blocking: true });

  // Without a ref, a delayed call does not keep the program alive. Standard
  // input does, to its end.
  function tick(seconds: number): void {
    console.log(`   ... ${seconds} s`);
    reactor.callLater(1000, tick, seconds + 1).unref();
  }
  reactor.callLater(1000, tick, 1).unref();

  let count = 0;
  for await (const line of lines(stdin.readable())) {
    console.log(`${String(++count).padStart(4)}  ${line}`);
  }
  console.log(`End of input. Lines in all: ${count}.`);
}

if (import.meta.main) await main();
