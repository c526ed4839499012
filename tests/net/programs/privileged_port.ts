/**
 * Asks for a port that is root's, as somebody else. The arguments are a backend
 * and the port. It prints what the three ways of asking for it said, and that
 * another port goes on serving.
 *
 * @module
 */

import { libcPath } from "../../../ffi/libc.ts";
import { Reactor } from "../../../mod.ts";
import {
  type ConnectError,
  connectTCP,
  listenTCP,
  listenUDP,
  type NetAddress,
  type Transport,
} from "../../../src/net/mod.ts";

/** Who owns nothing, by custom. */
const NOBODY = 65_534;

const { symbols: { getuid, setuid } } = Deno.dlopen(libcPath(), {
  getuid: { parameters: [], result: "u32" },
  setuid: { parameters: ["u32"], result: "i32" },
});
if (getuid() === 0 && setuid(NOBODY) !== 0) throw new Error("setuid() failed");

const HOSTNAME = "127.0.0.1";
const [backend, text] = Deno.args;
const port = Number(text);
const reactor = new Reactor({ backend: backend as "epoll" | "poll" });
reactor.interleave();

const server = listenTCP(0, {
  buildProtocol() {
    let made: Transport;
    return {
      makeConnection: (transport) => made = transport,
      dataReceived: (data) => made.write(data),
    };
  },
}, { hostname: HOSTNAME, reactor });
const there = (server.getHost() as NetAddress).port;

function served(): Promise<void> {
  return new Promise((resolve, reject) =>
    connectTCP(HOSTNAME, there, {
      buildProtocol: () => ({
        makeConnection: (transport) => transport.write("x"),
        dataReceived: () => resolve(),
      }),
      clientConnectionFailed: (_, reason) => reject(reason),
    }, { reactor })
  );
}

function say(error: unknown): void {
  const { name, code } = error as ConnectError;
  console.log(`${name} ${code}`);
}

function failure(f: () => unknown): unknown {
  try {
    f();
  } catch (error) {
    return error;
  }
  return new Error("It did not fail");
}

await served();
const options = { hostname: HOSTNAME, reactor };
const nobody = { buildProtocol: () => null };
say(failure(() => listenTCP(port, nobody, options)));
say(failure(() => listenUDP(port, { datagramReceived() {} }, options)));
say(
  await new Promise((resolve) =>
    connectTCP(HOSTNAME, there, {
      ...nobody,
      clientConnectionFailed: (_, reason) => resolve(reason),
    }, { bindAddress: [HOSTNAME, port], reactor })
  ),
);
await served();
await reactor.close();
console.log("served");
