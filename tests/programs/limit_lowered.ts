/**
 * Lowers the limit of descriptors below the number of those that are registered:
 * poll() refuses such a table (EINVAL). Everybody must be served all the same, or
 * be told; nothing may spin.
 *
 * @module
 */

import { libcPath } from "../../ffi/libc.ts";
import { FileDescriptor, Reactor } from "../../mod.ts";

const RLIMIT_NOFILE = Deno.build.os === "darwin" ? 8 : 7;

function ignore(): void {}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

const { symbols: { getrlimit, setrlimit } } = Deno.dlopen(libcPath(), {
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});

/** Sets the soft limit. */
function setLimit(limit: bigint): void {
  const limits = new BigUint64Array([limit, hard]);
  check(setrlimit(RLIMIT_NOFILE, limits) === 0, "setrlimit failed");
}

const before = new BigUint64Array(2);
check(getrlimit(RLIMIT_NOFILE, before) === 0, "getrlimit failed");
const [soft, hard] = before as unknown as [bigint, bigint];

// Deno panics if it starts to handle signals, as it does by itself after a
// while, when there is no descriptor left for that.
Deno.addSignalListener("SIGWINCH", ignore);
Deno.removeSignalListener("SIGWINCH", ignore);

const errors: unknown[] = [];
const reactor = new Reactor({
  backend: Deno.args[0] as "epoll" | "poll",
  onError: (error) => errors.push(error),
});
const pipes = Array.from({ length: 100 }, () => FileDescriptor.pipe());
const waits = pipes.map(([output]) => reactor.readable(output));
const outcomes = waits.map((wait) =>
  wait.then(() => "served", (error) => error instanceof Error ? "told" : error)
);

const first = pipes[0]![1];
first.write(new Uint8Array(1));
check(await outcomes[0] === "served", "It does not even begin");

setLimit(50n);
const { turns } = reactor.inspect().counters;
for (const [, input] of pipes.slice(1)) input.write(new Uint8Array(1));
const silence = setTimeout(() => {
  const spent = reactor.inspect().counters.turns - turns;
  setLimit(soft); // Deno may need a descriptor to end with.
  console.error(`Nobody heard of anything in ${spent} turns`);
  Deno.exit(1);
}, 5_000);
const all = new Set(await Promise.all(outcomes.slice(1)));
clearTimeout(silence);
setLimit(soft);
check(all.size === 1, `Some were ${[...all].join(", some ")}`);
check(all.has("served") || errors.length > 0, "onError was not called");
const spent = reactor.inspect().counters.turns - turns;
check(spent < 200, `It took ${spent} turns`);
await reactor.close();
for (const end of pipes.flat()) end.close();
console.log("as it should be");
