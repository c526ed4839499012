/**
 * Watches a directory with inotify, which is how the Linux kernel tells what
 * happens in one.
 *
 *     deno run --allow-ffi examples/watch_directory.ts .
 *
 * You will see a line for each thing that is made, written, renamed or removed
 * in there; try `touch`, `mv` and `rm` in another terminal. Ctrl-C ends it, and
 * so does the time if you put `--for SECONDS` behind the directory.
 *
 * @module
 */

import { FileDescriptor, reactor } from "../mod.ts";
import { check, linux, LINUX_ONLY } from "../ffi/mod.ts";

/** What to ask for, and what to call it. See inotify(7). */
const EVENTS: readonly (readonly [flag: number, what: string])[] = [
  [LINUX_ONLY.IN_CREATE, "created"],
  [LINUX_ONLY.IN_MODIFY, "modified"],
  [LINUX_ONLY.IN_CLOSE_WRITE, "written"],
  [LINUX_ONLY.IN_MOVED_FROM, "moved from"],
  [LINUX_ONLY.IN_MOVED_TO, "moved to"],
  [LINUX_ONLY.IN_DELETE, "deleted"],
  [LINUX_ONLY.IN_DELETE_SELF, "gone"],
];

/** Something that happened in a directory. */
export interface Change {
  /** What it was, in a word or two. */
  what: string;
  /** To what; a directory has a slash, and the watched one no name. */
  name: string;
}

/** Opens a descriptor from which one reads what happens in a directory. */
export function openInotify(directory: string): FileDescriptor {
  const flags = LINUX_ONLY.NONBLOCK | LINUX_ONLY.CLOEXEC;
  const inotify = FileDescriptor.adopt(
    check(linux().inotify_init1(flags), "Cannot make an inotify descriptor"),
  );
  const path = new TextEncoder().encode(`${directory}\0`);
  const mask = EVENTS.reduce((mask, [flag]) => mask | flag, 0);
  check(
    linux().inotify_add_watch(inotify.fileno(), path, mask),
    `Cannot watch "${directory}"`,
  );
  return inotify;
}

/** Reads it, until the directory is gone or the signal aborts. */
export async function* changes(
  inotify: FileDescriptor,
  signal: AbortSignal,
): AsyncGenerator<Change> {
  using watch = reactor.watch(inotify, "readable");
  signal.addEventListener("abort", () => watch.close());
  if (signal.aborted) return;
  const buffer = new Uint8Array(64 * 1024);
  for await (const _ of watch) {
    const length = inotify.read(buffer)!; // Never null: it has no end.
    for (const change of decode(buffer.subarray(0, length))) {
      yield change;
      if (change.what === "gone") return;
    }
  }
}

/**
 * Takes apart what one read gave: any number of events, each a header of four
 * numbers (watch, mask, cookie, length) and a name, filled up with zeros.
 */
function* decode(bytes: Uint8Array): Generator<Change> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length;) {
    const mask = view.getUint32(at + 4, true);
    const begin = at + 16;
    at = begin + view.getUint32(at + 12, true);
    const name = new TextDecoder().decode(bytes.subarray(begin, at))
      .replace(/\0+$/, "") + (mask & LINUX_ONLY.IN_ISDIR ? "/" : "");

    // The kernel keeps so many events for those who are slow, and no more.
    if (mask & LINUX_ONLY.IN_Q_OVERFLOW) yield { what: "events lost", name };
    for (const [flag, what] of EVENTS) {
      if (mask & flag) yield { what, name };
    }
  }
}

async function main([directory, option, seconds]: string[]): Promise<void> {
  const limited = option === "--for" && Number(seconds) >= 0;
  if (directory === undefined || (option !== undefined && !limited)) {
    console.error("Usage: watch_directory.ts DIRECTORY [--for SECONDS]");
    Deno.exit(2);
  }
  const end = new AbortController();
  Deno.addSignalListener("SIGINT", () => end.abort());
  using _timer = limited
    ? reactor.callLater(Number(seconds) * 1000, () => end.abort())
    : undefined;

  using inotify = openInotify(directory);
  console.log(`Watching "${directory}".${limited ? "" : " Ctrl-C ends it."}`);
  let count = 0;
  for await (const { what, name } of changes(inotify, end.signal)) {
    const time = new Date().toTimeString().slice(0, 8);
    console.log(`${time}  ${what.padEnd(11)}  ${name}`);
    count++;
  }
  console.log(`The end. Changes in all: ${count}.`);
}

if (import.meta.main) await main(Deno.args);
