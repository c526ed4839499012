/**
 * Is woken by `kick.c`, through Deno's own sockets.
 *
 *     wake_deno.ts WARM_UP_COUNT
 */

import { Stamps } from "./stamps.ts";

const stamps = new Stamps(Number(Deno.args[0]));
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log((listener.addr as Deno.NetAddr).port);
const connection = await listener.accept();
const buffer = new Uint8Array(65_536);
for (;;) {
  const count = await connection.read(buffer);
  if (count === null) break;
  stamps.take(buffer.subarray(0, count));
}
stamps.print();
