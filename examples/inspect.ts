/**
 * A program that can be asked what it does, while it does it.
 *
 *     deno run --allow-ffi examples/inspect.ts
 *
 * You will see a table of the program's descriptors, delayed calls and counters,
 * and the command that has it printed again, from another terminal. Ctrl-C ends
 * it.
 *
 * @module
 */

import { FileDescriptor, Reactor } from "../mod.ts";
import { POLL } from "../ffi/mod.ts";
import { formatReport, inspectOnSignal } from "../src/trace/mod.ts";

const reactor = new Reactor({ label: "the example" });

// Some things to look at: a reader that gets a byte now and then, ...
const [ear, mouth] = FileDescriptor.pipe();
reactor.addReader({
  label: "a byte every half second",
  fileno: () => ear.fileno(),
  doRead: () => void ear.read(new Uint8Array(1)),
  connectionLost() {},
});
reactor.callLater(500, function speak() {
  mouth.write(new Uint8Array(1));
  reactor.callLater(500, speak);
});

// ... a wait for an answer that does not come, with a limit, and a watch that
// nobody has to wait for, both on one socket, ...
const [here, there] = FileDescriptor.socketpair();
const signal = AbortSignal.timeout(3_600_000);
reactor.readable(here, { label: "an answer", signal }).catch(() => {});
const watch = reactor.watch(here, "priority", {
  label: "urgent data",
  persistent: false,
});
reactor.callLater(3_600_000, function giveUp() {});
reactor.callLater(90_000, function remind() {}).unref();

// ... and a loop that lends a descriptor.
const [lent, other] = FileDescriptor.pipe();
const descriptors = [{ fd: lent.fileno(), events: POLL.IN }];
reactor.attach({
  prepare: () => ({ descriptors, timeout: 250 }),
  dispatch() {},
});

// Either signal has the table printed. SIGUSR1 opens Deno's debugger as well.
const listening = (["SIGUSR1", "SIGUSR2"] as const).map((signal) =>
  inspectOnSignal(reactor, { signal, print: console.log })
);
reactor.callLater(1200, function show() {
  console.log(formatReport(reactor.inspect()));
  console.log(`\nOnce more? kill -USR2 ${Deno.pid}`);
});

await reactor.run(); // Until Ctrl-C.

for (const each of listening) each[Symbol.dispose]();
watch.close();
for (const end of [ear, mouth, here, there, lent, other]) end.close();
