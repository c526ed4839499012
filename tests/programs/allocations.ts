/**
 * What a callback allocates: many pairs of sockets play ping-pong, and the heap
 * is looked at before and after. No collection comes between, because the young
 * generation has room for everything.
 *
 *     deno run --allow-ffi --v8-flags=--expose-gc,--min-semi-space-size=64,--max-semi-space-size=64 allocations.ts BACKEND PAIRS EVENTS
 *
 * Prints the bytes a callback.
 */

import { FileDescriptor, Reactor } from "../../mod.ts";

const [backend, pairs, events] = Deno.args as [
  "epoll" | "poll",
  string,
  string,
];
const { gc } = globalThis as unknown as { gc(): void };
const reactor = new Reactor({ backend });
const buffer = new Uint8Array(64);
const one = new Uint8Array(1);
let left = 0;
let enough = () => {};

class Player {
  readonly owned = true;
  readonly #end: FileDescriptor;

  constructor(end: FileDescriptor) {
    this.#end = end;
  }

  fileno(): number {
    return this.#end.fileno();
  }

  doRead(): void {
    this.#end.read(buffer);
    this.#end.write(one);
    if (--left === 0) enough();
  }

  connectionLost(): void {}
}

function play(count: number): Promise<void> {
  left = count;
  return new Promise((resolve) => enough = resolve);
}

for (let i = 0; i < Number(pairs); i++) {
  const ends = FileDescriptor.socketpair();
  for (const end of ends) reactor.addReader(new Player(end));
  ends[0].write(one);
}
const ended = reactor.run();
await play(3 * Number(events)); // The engine compiles what it runs often.
gc();
const before = Deno.memoryUsage().heapUsed;
await play(Number(events));
const bytes = Deno.memoryUsage().heapUsed - before;
console.log(bytes / Number(events));
reactor.crash();
await ended;
