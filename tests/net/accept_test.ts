/**
 * How a port takes connections: how many at a time, what it does when the kernel
 * refuses, and what becomes of those that still wait when it stops.
 *
 * @module
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { deadline } from "@std/async";
import { closeDescriptor } from "../../ffi/descriptor.ts";
import { ERRNO } from "../../ffi/errno.ts";
import { receive } from "../../ffi/socket.ts";
import type { Port, StreamPort } from "../../src/net/port.ts";
import { listenTCP } from "../../src/net/tcp.ts";
import {
  BACKENDS,
  onLinux,
  Probe,
  send,
  startConnecting,
  testBackends,
  until,
} from "../descriptors.ts";
import { testOnBackends } from "../hosts.ts";
import { Echo, LOOPBACK, numberOf, takeErrors } from "./protocols.ts";

const PATIENCE = 60_000;

testBackends(
  "a burst of connections is taken in batches, and others have their turn between (contract 186)",
  (bench) => {
    const { reactor } = bench;
    let built = 0;
    const port = listenTCP(0, {
      buildProtocol() {
        built++;
        return null;
      },
    }, { hostname: LOOPBACK, reactor });
    // There is always something to read for this one, once a dispatch.
    const [output, input] = bench.pipe();
    send(input, "x");
    let before = 0;
    let batches: number[] = [];
    const other = new Probe(output, {
      onRead() {
        if (built > before) batches.push(built - before);
        before = built;
      },
    });
    reactor.addReader(other);

    const burst = (count: number) => {
      const waiting = Array.from(
        { length: count },
        () => startConnecting(numberOf(port)),
      );
      const end = built + count;
      batches = [];
      bench.pump(() => before === end);
      for (const fd of waiting) closeDescriptor(fd);
      return batches;
    };
    // One hundred, and twenty more while there are more than expected.
    assertEquals(burst(300), [100, 120, 80]);
    assertEquals(burst(1), [1]);
    // As many as last time, at first.
    assertEquals(burst(30), [1, 21, 8]);
    assertEquals(burst(9), [8, 1]);
  },
);

for (const how of ["stopListening", "pauseProducing"] as const) {
  testOnBackends(
    `${how}() inside buildProtocol() ends the batch there`,
    async ({ reactor }) => {
      let built = 0;
      const port = listenTCP(0, {
        buildProtocol() {
          if (++built === 3) port[how]();
          return null;
        },
      }, { hostname: LOOPBACK, reactor });
      const waiting = Array.from(
        { length: 10 },
        () => startConnecting(numberOf(port)),
      );
      reactor.interleave();
      await until(() => built === 3);
      if (how === "stopListening") {
        // The kernel has turned away those that waited.
        for (const fd of waiting.slice(3)) {
          await until(() => isReset(fd));
        }
        const again = listenTCP(numberOf(port), { buildProtocol: () => null }, {
          hostname: LOOPBACK,
          reactor,
        });
        await again.stopListening();
      } else {
        port.resumeProducing();
        await until(() => built === 10);
      }
      for (const fd of waiting) closeDescriptor(fd);
    },
  );
}

testOnBackends(
  "stopListening() in the round in which connections have come takes none of them",
  async ({ reactor }) => {
    reactor.interleave();
    let built = 0;
    const open = (): Port =>
      listenTCP(0, {
        buildProtocol() {
          built++;
          // The other one has an event that is not served yet.
          for (const port of ports) void port.stopListening();
          return new Echo();
        },
      }, { hostname: LOOPBACK, reactor });
    const ports = [open(), open()];
    // From a callback, so that both events are found in the same dispatch.
    const waiting: number[] = [];
    reactor.callLater(0, () => {
      for (const port of ports) waiting.push(startConnecting(numberOf(port)));
    });
    await until(() => built === 1);
    const [served, other] = waiting as [number, number];
    await until(() => isReset(served) || isReset(other));
    // The kernel says so once, so this one would be another.
    assert(!isReset(served) && !isReset(other));
    assertEquals(built, 1);
    for (const fd of waiting) closeDescriptor(fd);
  },
);

testOnBackends(
  "a port whose descriptor is closed behind its back says so once, and ends",
  async ({ reactor, errors }) => {
    reactor.interleave();
    const calls: string[] = [];
    const factory = {
      buildProtocol: () => new Echo(),
      doStop: () => void calls.push("stop"),
    };
    const options = { hostname: LOOPBACK, reactor };
    const other = listenTCP(0, factory, options);
    const port = listenTCP(0, factory, options);
    closeDescriptor((port as StreamPort).fileno());
    // The next one gets the same number.
    const next = listenTCP(0, factory, options);
    await until(() => errors.length > 0);
    assertEquals(errors.length, 1);
    assertEquals((errors[0]!.error as { code?: string }).code, "EBADF");
    errors.length = 0;
    using conn = await Deno.connect({
      hostname: LOOPBACK,
      port: numberOf(next),
    });
    await conn.write(new Uint8Array(1));
    assertEquals(await conn.read(new Uint8Array(1)), 1);
    await port.stopListening();
    await other.stopListening();
    assertEquals(calls, []);
    await next.stopListening();
    assertEquals(calls, ["stop"]);
    takeErrors(errors);
  },
);

/** Whether the peer has cut a connection off. */
function isReset(fd: number): boolean {
  return receive(fd, new Uint8Array(1)) === -ERRNO.ECONNRESET!;
}

/** What the program says of an errno. */
interface Refusal {
  readonly name: string;
  /** How often each error was reported. */
  readonly errors: Record<string, number>;
  /** How many rounds the reactor made meanwhile. */
  readonly spent: number;
}

const REFUSALS = ["ENFILE", "ENOBUFS", "ENOMEM", "EPERM", "ECONNABORTED"];

for (const backend of BACKENDS) {
  Deno.test({
    name:
      `a port whose accept() is refused says so, waits, loses nobody and holds up nobody (contract 188) [${backend}]` +
      (onLinux ? "" : " (ignored: only Linux has filters of system calls)"),
    ignore: !onLinux,
    async fn() {
      const file = new URL("programs/accept_refused.ts", import.meta.url);
      const { stdout, stderr } = await deadline(
        new Deno.Command(Deno.execPath(), {
          // deno-fmt-ignore
          args: [
            "run", "--quiet", "--no-prompt", "--allow-ffi", file.pathname,
            backend, ...REFUSALS,
          ],
          env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
        }).output(),
        PATIENCE,
      );
      assertEquals(new TextDecoder().decode(stderr), "");
      const refusals: Refusal[] = new TextDecoder().decode(stdout).trim()
        .split("\n").map((line) => JSON.parse(line));
      assertEquals(refusals.map(({ name }) => name), REFUSALS);
      for (const { name, errors, spent } of refusals) {
        assertEquals(Object.keys(errors), [name]);
        // Those that may concern one connection alone are passed over, up to a
        // hundred in a row.
        const each = name === "ECONNABORTED" ? 101 : 1;
        assert(errors[name]! >= 2 * each);
        assertEquals(errors[name]! % each, 0);
        assertLess(spent, 100);
      }
    },
  });
}
