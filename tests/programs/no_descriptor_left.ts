/**
 * Uses up all descriptors, and then asks a reactor for some. Everything
 * must say EMFILE, and work when there are descriptors again.
 *
 * Deno itself must not need one meanwhile: it panics then.
 *
 * @module
 */

import { libcPath } from "../../ffi/libc.ts";
import { errno, libc, POSIX } from "../../ffi/mod.ts";
import { FileDescriptor, Reactor } from "../../mod.ts";

const RLIMIT_NOFILE = Deno.build.os === "darwin" ? 8 : 7;
const LIMIT = 256;

const backend = Deno.args[0] as "epoll" | "poll";

function ignore(): void {}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

function failsWithEmfile(what: string, f: () => unknown): void {
  try {
    f();
  } catch (error) {
    return check(codeOf(error) === "EMFILE", `${what} said ${error}`);
  }
  throw new Error(`${what} did not fail`);
}

async function rejectsWithEmfile(
  what: string,
  promise: Promise<unknown>,
): Promise<void> {
  const error = await promise.then(() => "nothing", (error) => error);
  check(codeOf(error) === "EMFILE", `${what} said ${error}`);
}

const { dup, close } = libc();
const { symbols: { setrlimit } } = Deno.dlopen(libcPath(), {
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});
// Deno panics if it starts to handle signals, as it does by itself after a
// while, when there is no descriptor left for that.
Deno.addSignalListener("SIGWINCH", ignore);
Deno.removeSignalListener("SIGWINCH", ignore);

const limits = new BigUint64Array([BigInt(LIMIT), BigInt(LIMIT)]);
check(setrlimit(RLIMIT_NOFILE, limits) === 0, "setrlimit failed");

const [output, input] = FileDescriptor.pipe();
let expectsLoss = false;
const probe = {
  reads: 0,
  fileno: () => output.fileno(),
  doRead() {
    this.reads++;
    output.read(new Uint8Array(10));
  },
  connectionLost(reason: Error): void {
    if (expectsLoss) return;
    throw reason;
  },
};
const errors: unknown[] = [];
const reactor = new Reactor({
  backend,
  onError: (error) => errors.push(error),
});

/** Duplicates standard input until there is no number left. */
function takeAll(): number[] {
  const taken: number[] = [];
  for (let fd = dup(0); fd >= 0; fd = dup(0)) taken.push(fd);
  check(errno() === 24, "There are too many descriptors"); // EMFILE
  return taken;
}

let taken = takeAll();
failsWithEmfile("addReader()", () => reactor.addReader(probe));
failsWithEmfile("iterate()", () => reactor.iterate());
failsWithEmfile("interleave()", () => reactor.interleave());
failsWithEmfile("watch()", () => reactor.watch(output, "readable"));
await rejectsWithEmfile("run()", reactor.run({ signals: false }));
await rejectsWithEmfile("readable()", reactor.readable(output));
check(!reactor.running, "The reactor runs");
if (backend === "epoll") {
  // One or two are not enough, and are given back.
  for (const enough of [1, 2]) {
    for (let i = 0; i < enough; i++) close(taken.pop()!);
    failsWithEmfile("addReader()", () => reactor.addReader(probe));
    const again = takeAll();
    check(again.length === enough, `${enough - again.length} were kept`);
    taken.push(...again);
  }
}
for (const fd of taken) close(fd);

reactor.addReader(probe);
taken = takeAll();
input.write(new Uint8Array(1));
reactor.iterate();
check(probe.reads === 1, "The reader was not served without descriptors");
if (backend === "epoll") {
  // An orphan asks for a new set. It may say that there is no descriptor for one.
  for (const fd of taken.splice(0, 3)) close(fd);
  const [silent, loud] = FileDescriptor.pipe();
  const fd = libc().fcntl(silent.fileno(), POSIX.F_DUPFD_CLOEXEC, 3);
  const orphan = {
    fileno: () => fd,
    doRead: () => check(false, "The orphan was called"),
    connectionLost: () => check(false, "The orphan was told"),
  };
  reactor.addReader(orphan);
  close(fd);
  reactor.removeReader(orphan);
  taken.push(...takeAll());
  loud.write(new Uint8Array(1));
  for (let reads = 2; reads < 5; reads++) {
    input.write(new Uint8Array(1));
    reactor.iterate();
    check(probe.reads === reads, "The orphan kept the reader from its events");
  }
  for (const error of errors.splice(0)) {
    check(codeOf(error) === "EMFILE", `The orphan caused ${error}`);
  }
  close(taken.pop()!);
  reactor.iterate();
  reactor.iterate();
  check(errors.length === 0, `It still says ${errors[0]}`);
  silent.close();
  loud.close();
}
for (const fd of taken) close(fd);

const { reads } = probe;
input.write(new Uint8Array(1));
reactor.callLater(5, () => reactor.stop());
expectsLoss = true;
await reactor.run({ signals: false });
check(errors.length === 0, `It said ${errors[0]}`);
check(probe.reads === reads + 1, "The reader was not served");
console.log("as it should be");
output.close();
input.close();
