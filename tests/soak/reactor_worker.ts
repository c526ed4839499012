/**
 * The program of a web worker with a reactor of its own. It is told a backend and
 * a number; from then on it sends that number through a pair of sockets, again and
 * again, and tells what has come out. When it is told "end", it leaves nothing.
 *
 * @module
 */

import { FileDescriptor, Reactor } from "../../mod.ts";

/** What it is told. */
export type Order = { backend: "epoll" | "poll"; number: number } | "end";

/** What it tells: a number that has come out of its sockets, or its end. */
export type Answer = number | "ended";

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(answer: Answer): void;
};

let end = async () => {};

scope.onmessage = async ({ data }) => {
  if (data === "end") {
    await end();
    return scope.postMessage("ended");
  }
  const { backend, number } = data;
  const reactor = new Reactor({ backend });
  const [here, there] = FileDescriptor.socketpair();
  const send = () => there.write(new Uint8Array([number]));
  reactor.addReader({
    fileno: () => here.fileno(),
    doRead() {
      const buffer = new Uint8Array(2);
      const count = here.read(buffer);
      scope.postMessage(count === 1 ? buffer[0]! : -1);
      reactor.callLater(1, send);
    },
    connectionLost() {},
  });
  reactor.interleave();
  send();
  end = async () => {
    await reactor.close();
    here.close();
    there.close();
  };
};
