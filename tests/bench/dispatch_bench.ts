/** One turn: a descriptor is ready, and its callback reads from it. */

import { FileDescriptor, Reactor } from "../../mod.ts";

const buffer = new Uint8Array(64);
const one = new Uint8Array(1);

for (const backend of ["epoll", "poll"] as const) {
  if (backend === "epoll" && Deno.build.os !== "linux") continue;
  const reactor = new Reactor({ backend });
  const [here, there] = FileDescriptor.socketpair();
  reactor.addReader({
    fileno: () => here.fileno(),
    doRead: () => void here.read(buffer),
    connectionLost() {},
  });

  Deno.bench(`write, iterate(0), read [${backend}]`, {
    group: "dispatch",
  }, () => {
    there.write(one);
    reactor.iterate(0);
  });

  Deno.bench(`iterate(0) with nothing ready [${backend}]`, {
    group: "a look",
  }, () => {
    reactor.iterate(0);
  });
}

const [near, far] = FileDescriptor.socketpair();

Deno.bench("write and read without a reactor", {
  group: "dispatch",
  baseline: true,
}, () => {
  far.write(one);
  near.read(buffer);
});
