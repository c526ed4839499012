/**
 * Does one thing many times, for `system_calls_test.ts` to count the system
 * calls. What is to be counted stands between two closings of numbers that no
 * descriptor has.
 *
 *     deno run --allow-ffi tests/programs/system_calls.ts SCENARIO BACKEND TIMES
 */

import { FileDescriptor, Reactor } from "../../mod.ts";
import { libc } from "../../ffi/mod.ts";
import { adoptStream, type Transport } from "../../src/net/mod.ts";

const [scenario, backend, times] = Deno.args;
const reactor = new Reactor({ backend: backend as "epoll" | "poll" });
const [near, far] = FileDescriptor.socketpair();
const message = new Uint8Array(64);
const buffer = new Uint8Array(64);
let left = Number(times);

const scenarios: Record<string, () => void> = {
  /** Two owned readers that throw a message to and fro. */
  pingPong() {
    reactor.addReader(new Player(near));
    reactor.addReader(new Player(far));
    far.write(message);
  },

  /** The same, and each stops reading and begins again in the same callback. */
  undone() {
    reactor.addReader(new Waverer(near));
    reactor.addReader(new Waverer(far));
    far.write(message);
  },

  /** Two connections of `./net` that throw a message to and fro. */
  echo() {
    const protocol = () => ({
      transport: undefined as unknown as Transport,
      dataReceived(data: Uint8Array) {
        if (--left <= 0) return finish();
        this.transport.write(data);
      },
    });
    adoptStream(near, protocol(), { reactor });
    adoptStream(far, protocol(), { reactor }).write(message);
  },
};

class Player {
  readonly owned = true;

  constructor(readonly descriptor: FileDescriptor) {}

  fileno(): number {
    return this.descriptor.fileno();
  }

  doRead(): void {
    this.descriptor.read(buffer);
    if (--left <= 0) finish();
    else this.descriptor.write(message);
  }

  connectionLost(): void {}
}

class Waverer extends Player {
  override doRead(): void {
    reactor.removeReader(this);
    super.doRead();
    reactor.addReader(this);
  }
}

function mark(number: number): void {
  libc().close(-1000 - number);
}

function finish(): void {
  mark(2);
  reactor.stop();
}

reactor.interleave((work) => work());
scenarios[scenario!]!();
// Which descriptors it is about.
for (const reader of reactor.getReaders()) mark(1000 + reader.fileno());
mark(1);
await reactor.finished;
