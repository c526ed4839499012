/**
 * Load on reactors themselves: their beginnings and ends, their hosts, and the
 * loops beside them.
 *
 * @module
 */

import {
  FileDescriptor,
  Reactor,
  ReactorNotRunning,
  type ReadDescriptor,
} from "../../mod.ts";
import { POLL } from "../../ffi/constants.ts";
import { lookUp } from "../../src/net/resolver.ts";
import { BACKENDS } from "../descriptors.ts";
import { HOSTS } from "../hosts.ts";
import { expect, expectRejection, soon, type Stage } from "./stage.ts";

/** A reactor of one's own. What it reports fails the soak. */
function make(stage: Stage): Reactor {
  const reactor = new Reactor({
    backend: stage.random.pick(BACKENDS),
    latency: stage.random.pick(["normal", "low"]),
    onError: (error, where) => stage.report(error, where),
  });
  stage.dropped.add("reactor", reactor);
  return reactor;
}

/** A pair of sockets, and a reader that is called once for what is written. */
class Bell implements ReadDescriptor, Disposable {
  readonly #here: FileDescriptor;
  readonly #there: FileDescriptor;
  readonly #onRing: () => void;
  rings = 0;

  constructor(onRing: () => void) {
    [this.#here, this.#there] = FileDescriptor.socketpair();
    this.#onRing = onRing;
  }

  ring(): void {
    this.#there.write(new Uint8Array(1));
  }

  fileno(): number {
    return this.#here.fileno();
  }

  doRead(): void {
    this.#here.read(new Uint8Array(1));
    this.rings++;
    this.#onRing();
  }

  connectionLost(): void {}

  [Symbol.dispose](): void {
    this.#here.close();
    this.#there.close();
  }
}

/** Reactors begin and end, in some of many ways. */
export async function lives(stage: Stage): Promise<void> {
  for (const live of stage.random.shuffle(LIVES).slice(0, 3)) {
    const reactor = make(stage);
    using bell = new Bell(() => {});
    reactor.addReader(bell);
    reactor.callLater(100_000, () => {});
    await live(reactor, stage);
    await reactor.close();
    expect(stage, bell.rings === 0, "a bell that nobody has rung");
  }
}

const LIVES: readonly ((
  reactor: Reactor,
  stage: Stage,
) => Promise<void> | void)[] = [
  function withoutABeginning() {},
  function withoutAHost(reactor) {
    reactor.iterate();
  },
  async function untilStopped(reactor) {
    reactor.callLater(1, () => reactor.stop());
    await reactor.run();
  },
  function untilClosed(reactor) {
    reactor.interleave();
  },
  async function withAQuestionOpen(reactor) {
    reactor.interleave();
    lookUp(reactor, "localhost", () => {});
    await new Promise<void>((resolve) => reactor.callLater(2, resolve));
  },
  async function withAWaitOpen(reactor, stage) {
    const [here, there] = FileDescriptor.pipe();
    const { dropped } = stage;
    dropped.add("watch", reactor.watch(here, "readable"));
    const wait = expectRejection(
      stage,
      reactor.readable(here),
      (reason) => reason instanceof ReactorNotRunning,
      "a wait whose reactor was closed",
    );
    soon(stage, () => void reactor.close());
    await wait;
    here.close();
    there.close();
  },
];

/** A reactor crashes, keeps what it has, and is started again. */
export async function crashes(stage: Stage): Promise<void> {
  await using reactor = make(stage);
  using bell = new Bell(() => reactor.crash());
  reactor.addReader(bell);
  for (let i = 1; i <= 3; i++) {
    reactor.callLater(stage.random.below(3), () => bell.ring());
    await reactor.run({ signals: false });
    expect(stage, bell.rings === i, `${bell.rings} of ${i} rings`);
    stage.counters.delivered++;
  }
}

/** A reactor runs in one of the hosts that there are. */
export async function hosts(stage: Stage): Promise<void> {
  const { random, counters } = stage;
  const host = random.pick(HOSTS);
  await using reactor = make(stage);
  let calls = 0;
  using bell = new Bell(() => {
    if (bell.rings === 10) reactor.stop();
    else reactor.callLater(random.below(2), () => bell.ring());
  });
  reactor.addReader(bell);
  for (let i = 0; i < 100; i++) reactor.callFromThread(() => calls++);
  reactor.callLater(0, () => bell.ring());
  await host.run(reactor);
  counters.delivered += bell.rings;
  expect(stage, bell.rings === 10, `${bell.rings} of 10 rings in ${host.name}`);
  expect(stage, calls === 100, `${calls} of 100 calls in ${host.name}`);
}

/** A toolkit's loop blocks the main thread, and the reactor goes on inside. */
export async function dialogs(stage: Stage): Promise<void> {
  const { reactor, toolkit, random } = stage;
  const closed = Promise.withResolvers<void>();
  let rings = 0;
  const open = () => {
    using bell = new Bell(() => {
      if (++rings === 3) toolkit.quit();
      else bell.ring();
    });
    reactor.addReader(bell);
    reactor.callLater(1, () => bell.ring());
    reactor.modal(toolkit.waker, () => toolkit.run());
    reactor.removeReader(bell);
    closed.resolve();
  };
  if (random.below(2) === 0) open();
  else reactor.callLater(0, open);
  await closed.promise;
  toolkit.returned.length = 0;
  stage.counters.delivered += rings;
  expect(stage, rings === 3, `${rings} of 3 rings in a dialog`);
}

/** Loops lend their descriptors for a while. */
export async function guests(stage: Stage): Promise<void> {
  const { reactor, random } = stage;
  const [output, input] = FileDescriptor.pipe();
  const { promise, resolve } = Promise.withResolvers<void>();
  const descriptors = [{ fd: output.fileno(), events: POLL.IN }];
  let rings = 0;
  let ticks = 0;
  const guest = reactor.attach({
    prepare: () => ({ descriptors, timeout: random.pick([-1, 1]) }),
    dispatch(revents) {
      if ((revents[0]! & POLL.IN) === 0) return;
      output.read(new Uint8Array(1));
      if (++rings < 10) input.write(new Uint8Array(1));
      else if (ticks > 0) resolve();
      else input.write(new Uint8Array(1));
    },
  });
  const clock = reactor.attach({
    prepare: () => ({ descriptors: [], timeout: 1 }),
    dispatch: () => ticks++,
  });
  input.write(new Uint8Array(1));
  await promise;
  stage.counters.delivered += rings;
  expect(stage, rings >= 10, `${rings} rings of an attached loop`);
  guest.detach();
  clock.detach();
  output.close();
  input.close();
}
