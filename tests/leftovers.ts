/**
 * What is left behind: descriptors and threads, which Deno's sanitizers do not
 * see, and processes.
 *
 * @module
 */

import { assertEquals, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async";
import { isOpen } from "../ffi/descriptor.ts";
import { Reactor } from "../src/reactor.ts";
import { BACKENDS, onLinux, PATIENCE } from "./descriptors.ts";
import { ownThreads } from "./own_threads.ts";

/**
 * Numbers are looked at up to here; each is the lowest that was free when it
 * was opened.
 */
const HIGHEST = 4096;

if (!onLinux) {
  console.log("Left out: counting threads, which takes Linux's /proc");
}

/** How many descriptors and threads this process has. */
export interface Count {
  descriptors: number;
  threads: number;
}

/** Counts them. */
export function count(): Count {
  let descriptors = 0;
  for (let fd = 0; fd < HIGHEST; fd++) {
    if (isOpen(fd)) descriptors++;
  }
  return { descriptors, threads: countThreads() };
}

/** Counts threads; 0 where that can't be done. */
export function countThreads(): number {
  return onLinux ? ownThreads().length : 0;
}

/**
 * A thread goes up to 200 ms after the last that is heard of it, and with it
 * the descriptors of its own. This is longer, in milliseconds.
 */
const CALM = 500;

let atRest: Count | undefined;

/**
 * What there is when nothing is under way, but all is open that stays open
 * after the first use.
 */
export async function countAtRest(): Promise<Count> {
  if (atRest !== undefined) return atRest;
  // Of each kind: one that has a worker from the beginning, and one that has not.
  for (const backend of BACKENDS) {
    await using reactor = new Reactor({ backend });
    reactor.callLater(0, () => reactor.stop());
    await reactor.run();
  }
  // Of the last worker that was a module, as web workers are, Deno keeps two
  // descriptors.
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const module = new Worker(new URL("data:text/javascript,"), { env: {} });
  await new Promise((resolve) => module.on("online", resolve));
  await module.terminate();
  let least = count();
  for (let calm = 0; calm < CALM; calm += 10) {
    await delay(10);
    const now = count();
    if (
      now.descriptors === least.descriptors && now.threads === least.threads
    ) continue;
    least = now;
    calm = 0;
  }
  return atRest = least;
}

/** Requires that all is gone, now or soon. */
export async function assertNothingLeft(before: Count): Promise<void> {
  const end = performance.now() + PATIENCE;
  let after = count();
  while (
    performance.now() < end &&
    (after.descriptors > before.descriptors || after.threads > before.threads)
  ) {
    await delay(10);
    after = count();
  }
  console.log(
    `descriptors: ${before.descriptors} -> ${after.descriptors}, threads: ${before.threads} -> ${after.threads}`,
  );
  assertEquals(after.descriptors, before.descriptors);
  assertLessOrEqual(after.threads, before.threads);
}

/** The children of a process of ours. Linux only. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await shell(`cat /proc/${pid}/task/*/children`);
  return text.trim().split(/\s+/).filter((word) => word !== "").map(Number);
}

/** Whether a process is gone, or a name that its parent has not taken away. */
export async function hasProcessEnded(pid: number): Promise<boolean> {
  const text = await shell(`cat /proc/${pid}/stat 2>/dev/null || true`);
  return text === "" || text.slice(text.lastIndexOf(")") + 2).startsWith("Z");
}

/**
 * The processes that have a text in their environment, and their names. Linux
 * only.
 */
export async function processesWith(
  text: string,
): Promise<Map<number, string>> {
  const lines = await shell(
    `cd /proc; for f in $(grep -ls -e '${text}' [0-9]*/environ); do
      echo "\${f%/*} $(cat "\${f%/*}/comm" 2>/dev/null)"
    done`,
  );
  return new Map(
    lines.split("\n").filter((line) => / ./.test(line)).map((line) => {
      const [pid, ...name] = line.split(" ");
      return [Number(pid), name.join(" ")];
    }),
  );
}

/** The shell may read what Deno guards. */
async function shell(command: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", command],
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
