/**
 * A program without a single `await` that waits for a result all the same: it
 * blocks, and the reactor works on while it does.
 *
 *     deno run --allow-ffi examples/blocking_demo.ts
 *
 * You will see the reactor tick while a plain function call takes two seconds,
 * and Deno's own timer, which was due long before, fire only after it.
 *
 * @module
 */

import { BlockingQueue, Reactor } from "../mod.ts";

// The reactor puts its work into the queue, and runs only when the program
// takes it out again and calls it.
const queue = new BlockingQueue();
const reactor = new Reactor();
reactor.interleave(queue);

const began = performance.now();

function say(text: string): void {
  const seconds = (performance.now() - began) / 1000;
  console.log(`${seconds.toFixed(1)} s  ${text}`);
}

/** Pumps the queue until there is a result. */
function getResult<T>(start: (done: (result: T) => void) => void): T {
  const results: T[] = [];
  start((result) => results.push(result));
  while (results.length === 0) {
    const work = queue.get(); // Blocks this thread; no processor time is used.
    if (work === undefined) throw new Error("The reactor has ended");
    work();
  }
  return results[0]!;
}

function tick(): void {
  say("tick, from the reactor");
  reactor.callLater(500, tick);
}

reactor.callLater(500, tick);
setTimeout(() => say("Deno's own loop goes on"), 100);

say("asking for the answer");
const answer = getResult<number>((done) => {
  reactor.callLater(2000, done, 42);
});
say(`the answer is ${answer}`);

reactor.stop();
for (let work; (work = queue.get()) !== undefined;) work();
say("the reactor has stopped");
