/**
 * Is woken by `kick.c`, through `./net`.
 *
 *     wake_net.ts WARM_UP_COUNT VARIANT
 */

import { listenTCP } from "../../../src/net/mod.ts";
import { Stamps } from "./stamps.ts";
import { startVariant } from "./variant.ts";

const stamps = new Stamps(Number(Deno.args[0]));
const reactor = startVariant(Deno.args[1]);
const port = listenTCP(0, {
  buildProtocol: () => ({
    dataReceived: (data) => stamps.take(data),
    connectionLost: () => stamps.print(),
  }),
}, { hostname: "127.0.0.1", reactor });
console.log((port.getHost() as Deno.NetAddr).port);
await reactor.finished;
