/** What `kick.c` does, for machines without a C compiler. */

import { microseconds } from "./clock.ts";

const [port, count, interval] = Deno.args.map(Number) as [
  number,
  number,
  number,
];
const connection = await Deno.connect({ hostname: "127.0.0.1", port });
connection.setNoDelay(true);
const word = new Int32Array(new SharedArrayBuffer(4));
const message = new Uint8Array(8);
const view = new DataView(message.buffer);
for (let i = 0; i < count; i++) {
  Atomics.wait(word, 0, 0, interval * (0.75 + Math.random() / 2) / 1000);
  view.setFloat64(0, microseconds(), true);
  await connection.write(message);
}
connection.close();
console.log(JSON.stringify({ sent: count }));
