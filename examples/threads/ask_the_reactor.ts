/**
 * A Worker that calls back: it asks the main thread, waits for the answer, and
 * reports, while the main thread is blocked in a program without promises.
 *
 *     deno run --allow-ffi --allow-read examples/threads/ask_the_reactor.ts
 *
 * You will see the Worker's questions, each answered by the main thread, which
 * does nothing but wait for work.
 *
 * @module
 */

import { BlockingQueue, Reactor } from "../../mod.ts";

const reactor = new Reactor();
const queue = new BlockingQueue();

const prices: Record<string, number> = { apple: 3, cherry: 7 };

/** What the Worker can call, by these names, and nothing else. */
const desk = {
  priceOf(fruit: string): number {
    const price = prices[fruit];
    if (price === undefined) throw new RangeError(`There is no ${fruit}`);
    return price;
  },
  say: (text: string): void => console.log(`the Worker: ${text}`),
  done: (): void => reactor.stop(),
};

/** For the Worker's type checker. */
export type Desk = typeof desk;

const handle = reactor.handle(desk);
const worker = new Worker(import.meta.resolve("./customer.ts"), {
  type: "module",
});
worker.postMessage(handle, [handle.port]);

reactor.interleave(queue);
for (let item; (item = queue.get()) !== undefined;) item(); // Blocks.
console.log("the main thread: closed for today");
worker.terminate();
