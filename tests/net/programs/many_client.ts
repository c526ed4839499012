/**
 * Very many connections to one echo server. The arguments are a backend, the
 * server's port and a number.
 *
 * It opens them all, and says so. After a line on its standard input it sends a
 * message over each of them, and waits for all the answers, again and again,
 * while a few others take all that the server can give. It says how that went,
 * and what its memory was before and is afterwards.
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { connectTCP, type Transport } from "../../../src/net/mod.ts";
import { lines, residentMemory, say } from "./many.ts";

/** So many are on their way at a time. */
const UNDER_WAY = 256;
/** How often all of them are served. */
const ROUNDS = 3;
/** So many never stop talking. */
const GREEDY = 3;

const [backend, port, number] = Deno.args;
const reactor = new Reactor({ backend: backend as "epoll" | "poll" });
reactor.interleave(); // Before there are many descriptors.

const decoder = new TextDecoder();

/** Sends a message and waits for its echo. */
class Caller {
  declare transport: Transport;
  #echo = "";
  #expected = "";
  #echoed: () => void = () => {};

  call(message: string, echoed: () => void): void {
    this.#echo = "";
    this.#expected = message;
    this.#echoed = echoed;
    this.transport.write(message);
  }

  dataReceived(data: Uint8Array): void {
    this.#echo += decoder.decode(data);
    if (this.#echo.length < this.#expected.length) return;
    if (this.#echo !== this.#expected) throw new Error(`It said ${this.#echo}`);
    this.#echoed();
  }

  connectionLost(reason: Error): void {
    fail(reason);
  }
}

/** Talks without end. */
class Greedy {
  declare transport: Transport;
  received = 0;
  readonly #portion = new Uint8Array(65_536);

  connectionMade(): void {
    this.transport.write(this.#portion);
  }

  dataReceived(data: Uint8Array): void {
    this.received += data.length;
    this.transport.write(data);
  }
}

let over = false;

function fail(reason: Error): void {
  if (over) return;
  console.error(reason);
  Deno.exit(1);
}

/** Opens so many connections. */
function open<T extends Caller | Greedy>(
  count: number,
  make: () => T,
): Promise<T[]> {
  return new Promise((resolve) => {
    const protocols: T[] = [];
    let begun = 0;
    const begin = () => {
      begun++;
      connectTCP("127.0.0.1", Number(port), {
        buildProtocol() {
          const protocol = make();
          protocols.push(protocol);
          reactor.callFromThread(() => {
            if (begun < count) begin();
            else if (protocols.length === count) resolve(protocols);
          });
          return protocol;
        },
        clientConnectionFailed: (_, reason) => fail(reason),
      }, { reactor });
    };
    while (begun < Math.min(count, UNDER_WAY)) begin();
  });
}

/** Has each of them served once. Returns the longest wait, in milliseconds. */
function serveAll(callers: Caller[], round: number): Promise<number> {
  return new Promise((resolve) => {
    const start = performance.now();
    let served = 0;
    callers.forEach((caller, i) =>
      caller.call(`round ${round}, number ${i}`, () => {
        if (++served === callers.length) resolve(performance.now() - start);
      })
    );
  });
}

const before = residentMemory();
const start = performance.now();
const callers = await open(Number(number), () => new Caller());
say({ connected: callers.length, time: performance.now() - start });

for await (const _ of lines()) {
  const greedy = await open(GREEDY, () => new Greedy());
  const waits: number[] = [];
  for (let i = 0; i < ROUNDS; i++) waits.push(await serveAll(callers, i));
  const portions = greedy.map(({ received }) => Math.floor(received / 65_536));
  for (const { transport } of greedy) transport.abortConnection();
  // Once more, in peace; what is idle then has been used.
  await serveAll(callers, ROUNDS);
  say({ waits, portions, before, memory: residentMemory() });
}
over = true;
reactor.stop();
await reactor.finished;
