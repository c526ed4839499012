/**
 * Readiness callbacks: a byte goes to and fro in each pair of sockets.
 *
 *     pairs.ts PAIRS IDLE WARM_UP_MS MEASURE_MS VARIANT
 *
 * IDLE descriptors more are watched, and have nothing to say.
 */

import { FileDescriptor } from "../../../mod.ts";
import { startVariant } from "./variant.ts";

const [pairs, idle, warmUp, measure] = Deno.args.map(Number) as [
  number,
  number,
  number,
  number,
];
const reactor = startVariant(Deno.args[4]);
const buffer = new Uint8Array(64);
const one = new Uint8Array(1);
let events = 0;

class Player {
  /** Nobody else closes it. */
  readonly owned = true;
  readonly #end: FileDescriptor;

  constructor(end: FileDescriptor) {
    this.#end = end;
  }

  fileno(): number {
    return this.#end.fileno();
  }

  doRead(): void {
    events++;
    this.#end.read(buffer);
    this.#end.write(one);
  }

  connectionLost(): void {}
}

for (let i = 0; i < idle; i += 2) {
  for (const end of FileDescriptor.socketpair()) {
    reactor.addReader(new Player(end));
  }
}
for (let i = 0; i < pairs; i++) {
  const [here, there] = FileDescriptor.socketpair();
  reactor.addReader(new Player(here));
  reactor.addReader(new Player(there));
  here.write(one);
}
setTimeout(() => {
  const before = events;
  const start = performance.now();
  setTimeout(() => {
    const rate = (events - before) / (performance.now() - start) * 1000;
    console.log(JSON.stringify({ rate }));
    Deno.exit();
  }, measure);
}, warmUp);
