/** The queue of what is written: one piece at a time, and many small ones. */

import { SendQueue } from "../../src/net/send_queue.ts";

const piece = new Uint8Array(64);
const queue = new SendQueue();

Deno.bench("one piece in, one out", { group: "send queue" }, () => {
  queue.push(piece);
  queue.shift(queue.head().length);
});

Deno.bench("1000 pieces in, sent together", { group: "send queue" }, () => {
  for (let i = 0; i < 1000; i++) queue.push(piece);
  while (queue.length > 0) queue.shift(queue.head().length);
});
