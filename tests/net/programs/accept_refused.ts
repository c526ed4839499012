/**
 * Ports whose `accept4()` the kernel refuses, each with another errno: a filter
 * of system calls, such as containers have, that looks at the descriptor. It
 * cannot be taken away again, which takes a process. Linux only.
 *
 * The first argument is a backend, the others are names of errnos. It prints what
 * became of each, and of a port beside them that is not refused.
 *
 * @module
 */

import { ERRNO } from "../../../ffi/errno.ts";
import { libcPath } from "../../../ffi/libc.ts";
import { deferLater, Reactor } from "../../../mod.ts";
import {
  adoptStreamPort,
  connectTCP,
  listenTCP,
  type NetAddress,
  type Port,
  type Transport,
} from "../../../src/net/mod.ts";
import type { StreamPort } from "../../../src/net/port.ts";

const [backend, ...names] = Deno.args;

/** From `<linux/prctl.h>`, `<linux/seccomp.h>` and `<linux/bpf_common.h>`. */
const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2n;
const SECCOMP_RET_ERRNO = 0x0005_0000;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
/** Loads a word of `struct seccomp_data`: its number, its first argument. */
const LOAD = 0x20;
const [NUMBER, ARGUMENT] = [0, 16];
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const ACCEPT4 = Deno.build.arch === "x86_64" ? 288 : 242;

let errors: Record<string, number> = {};
const reactor = new Reactor({
  backend: backend as "epoll" | "poll",
  onError(error) {
    const { code = String(error) } = error as { code?: string };
    errors[code] = (errors[code] ?? 0) + 1;
  },
});
reactor.interleave();

class Echo {
  declare transport: Transport;

  dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

const factory = { buildProtocol: () => new Echo() };

function open(): Port {
  return listenTCP(0, factory, { hostname: "127.0.0.1", reactor });
}

/** Resolves when a server has answered. */
function served(port: Port): Promise<void> {
  return new Promise((resolve, reject) =>
    connectTCP("127.0.0.1", (port.getHost() as NetAddress).port, {
      buildProtocol: () => ({
        makeConnection: (transport) => transport.write("x"),
        dataReceived: () => resolve(),
        connectionLost: reject,
      }),
      clientConnectionFailed: (_, reason) => reject(reason),
    }, { reactor })
  );
}

/** Has the kernel refuse. */
function refuse(errnos: Map<number, number>): void {
  const rows = [...errnos].flatMap(([fd, errno]) => [
    [JUMP_IF_EQUAL, 0, 1, fd],
    [RETURN, 0, 0, SECCOMP_RET_ERRNO | errno],
  ]);
  const filter = [
    [LOAD, 0, 0, NUMBER],
    [JUMP_IF_EQUAL, 0, rows.length + 1, ACCEPT4],
    [LOAD, 0, 0, ARGUMENT],
    ...rows,
    [RETURN, 0, 0, SECCOMP_RET_ALLOW],
  ] as [code: number, ifTrue: number, ifFalse: number, k: number][];
  // struct sock_filter: u16 code, u8 jt, u8 jf, u32 k.
  const program = new Uint8Array(filter.length * 8);
  const view = new DataView(program.buffer);
  filter.forEach(([code, ifTrue, ifFalse, k], i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, ifTrue);
    view.setUint8(i * 8 + 3, ifFalse);
    view.setUint32(i * 8 + 4, k, true);
  });
  // struct sock_fprog: u16 length, struct sock_filter *filter.
  const description = new BigUint64Array([
    BigInt(filter.length),
    BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(program))),
  ]);
  const { symbols: { setFlag, setFilter } } = Deno.dlopen(libcPath(), {
    setFlag: {
      name: "prctl",
      parameters: ["i32", "u64", "u64", "u64", "u64"],
      result: "i32",
    },
    setFilter: {
      name: "prctl",
      parameters: ["i32", "u64", "buffer", "u64", "u64"],
      result: "i32",
    },
  });
  if (
    setFlag(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0 ||
    setFilter(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, description, 0n, 0n) !== 0
  ) throw new Error("The kernel takes no filter");
}

const healthy = open();
const ports = names.map((name) => ({ name, port: open() }));
refuse(
  new Map(ports.map(({ name, port }) => [
    (port as StreamPort).fileno(),
    ERRNO[name]!,
  ])),
);
await served(healthy);

for (const { name, port } of ports) {
  const waiting = served(port);
  const { rounds } = reactor.inspect().counters;
  // It is told a second time when the port has rested and tried again.
  const times = () => errors[name] ?? 0;
  while (times() === 0) await deferLater(1, () => {}, { clock: reactor });
  const first = times();
  while (times() === first) await deferLater(20, () => {}, { clock: reactor });
  const spent = reactor.inspect().counters.rounds - rounds;
  await served(healthy);
  // Under another number the same socket is not refused: nobody was lost.
  const other = adoptStreamPort((port as StreamPort).fileno(), factory, {
    reactor,
  });
  await waiting;
  await other.stopListening();
  await port.stopListening();
  console.log(JSON.stringify({ name, errors, spent }));
  errors = {};
}
await reactor.close();
