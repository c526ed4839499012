/** What a change of interest costs. */

import { FileDescriptor, Reactor, type WriteDescriptor } from "../../mod.ts";

for (const backend of ["epoll", "poll"] as const) {
  if (backend === "epoll" && Deno.build.os !== "linux") continue;
  const reactor = new Reactor({ backend });
  const [here] = FileDescriptor.socketpair();
  const reader = {
    fileno: () => here.fileno(),
    doRead() {},
    connectionLost() {},
  };
  const writer: WriteDescriptor = {
    fileno: () => here.fileno(),
    doWrite: () => reactor.removeWriter(writer),
    connectionLost() {},
  };
  reactor.addReader(reader);

  Deno.bench(`add and remove a writer at once [${backend}]`, {
    group: "interest",
  }, () => {
    reactor.addWriter(writer);
    reactor.removeWriter(writer);
  });

  Deno.bench(`add a writer, serve it once [${backend}]`, {
    group: "interest",
  }, () => {
    reactor.addWriter(writer);
    reactor.iterate(0);
  });
}
