/**
 * Load on descriptors: waits, readers and writers, watches, streams.
 *
 * @module
 */

import {
  ConnectionDone,
  FileDescriptor,
  type ReadDescriptor,
  type WriteDescriptor,
} from "../../mod.ts";
import {
  expect,
  expectBytes,
  expectRejection,
  receive,
  soon,
  type Stage,
  together,
} from "./stage.ts";

/** Whoever waits for its socket gets what was sent to it. */
export async function sockets(stage: Stage): Promise<void> {
  await together(16, async () => {
    const [here, there] = FileDescriptor.socketpair();
    const buffer = new Uint8Array(64);
    for (let i = 0; i < 10; i++) {
      const sent = stage.random.bytes(1 + stage.random.below(buffer.length));
      const coming = receive(stage, here, buffer);
      soon(stage, () => there.write(sent));
      const count = await coming ?? 0;
      expectBytes(stage, buffer.subarray(0, count), sent, "a pair of sockets");
    }
    here.close();
    there.close();
  });
}

/** A stream of bytes goes through a writer and a reader. */
export async function readers(stage: Stage): Promise<void> {
  await together(4, async () => {
    const { reactor, random } = stage;
    const [here, there] = FileDescriptor.socketpair();
    const sent = random.bytes(100_000 + random.below(200_000));
    const received = new Uint8Array(sent.length + 1);
    let written = 0;
    let read = 0;
    const ended = Promise.withResolvers<Error>();
    const writer: WriteDescriptor = {
      fileno: () => there.fileno(),
      doWrite() {
        written += there.write(sent.subarray(written, written + 20_000));
        if (written < sent.length) return;
        reactor.removeWriter(writer);
        there.close();
      },
      connectionLost: ended.resolve,
    };
    const reader: ReadDescriptor = {
      fileno: () => here.fileno(),
      doRead() {
        const count = here.read(received.subarray(read));
        if (count === null) return new ConnectionDone();
        read += count;
        return void stage.counters.delivered++;
      },
      connectionLost: ended.resolve,
    };
    reactor.addReader(reader);
    reactor.addWriter(writer);
    expect(
      stage,
      await ended.promise instanceof ConnectionDone,
      "the end of a reader",
    );
    expectBytes(stage, received.subarray(0, read), sent, "a reader");
    here.close();
  });
}

/** Waits are given up, each with the reason of its own signal. */
export async function aborts(stage: Stage): Promise<void> {
  const { reactor, random, signal, dropped } = stage;
  const [here, there] = FileDescriptor.socketpair();
  const controllers = Array.from({ length: 200 }, () => new AbortController());
  const waits = controllers.map((controller, i) => {
    dropped.add("signal", controller.signal);
    return expectRejection(
      stage,
      reactor.readable(here, { signal: controller.signal }),
      (reason) => reason === i,
      `wait number ${i}`,
    );
  });
  random.shuffle([...controllers.keys()]).forEach((i) =>
    soon(stage, () => controllers[i]!.abort(i))
  );
  // And these leave a signal behind that is never aborted.
  for (let i = 0; i < 20; i++) {
    const { writable } = await reactor.writable(there, { signal });
    expect(stage, writable, "a wait with a signal");
  }
  await Promise.all(waits);
  here.close();
  there.close();
}

/** Watches are left in every state that a watch can be in, mostly unclosed. */
export async function watches(stage: Stage): Promise<void> {
  await together(40, async () => {
    const { reactor, random, dropped } = stage;
    const [here, there] = FileDescriptor.socketpair();
    const controller = new AbortController();
    const watch = reactor.watch(here, random.pick(["readable", "priority"]), {
      signal: random.pick([controller.signal, stage.signal, undefined]),
      persistent: random.pick([true, false]),
    });
    dropped.add("watch", watch);
    await random.pick(WAYS_TO_LEAVE_A_WATCH)(stage, watch, here, there);
    controller.abort();
    here.close();
    there.close();
  });
}

type Watch = ReturnType<Stage["reactor"]["watch"]>;

const WAYS_TO_LEAVE_A_WATCH: readonly ((
  stage: Stage,
  watch: Watch,
  here: FileDescriptor,
  there: FileDescriptor,
) => Promise<void>)[] = [
  async function unasked() {},
  async function asking(stage, watch, here) {
    const next = watch.next();
    soon(stage, () => here.close());
    await expectRejection(
      stage,
      next,
      (reason) => reason instanceof Deno.errors.BadResource,
      "a watch whose descriptor was closed",
    );
  },
  async function latched(stage, _watch, _here, there) {
    there.write(new Uint8Array(1));
    await new Promise<void>((resolve) => stage.reactor.callLater(2, resolve));
  },
  async function inALoop(stage, watch, here, there) {
    // Priority data there is none, so these do without.
    const own = stage.reactor.watch(here, "readable", { persistent: false });
    watch.close();
    let left = 3;
    soon(stage, () => there.write(new Uint8Array(3)));
    for await (const { readable } of own) {
      expect(stage, readable, "a watch for reading");
      stage.counters.delivered++;
      here.read(new Uint8Array(1));
      if (--left === 0) break;
    }
  },
  async function closed(stage, watch) {
    const next = watch.next();
    soon(stage, () => watch.close());
    expect(stage, (await next).done === true, "a watch that was closed");
  },
];

/** Web streams that end, are cancelled, aborted, and closed from under them. */
export async function streams(stage: Stage): Promise<void> {
  await together(8, async () => {
    const { reactor, random, dropped } = stage;
    const [here, there] = FileDescriptor.socketpair();
    const readable = here.readable({ reactor });
    const writable = there.writable({ reactor });
    dropped.add("stream", readable);
    dropped.add("stream", writable);
    await random.pick(ENDS_OF_STREAMS)(stage, readable, writable, here);
    expect(stage, here.fileno() === -1, "a stream that closes its descriptor");
    there.close();
  });
}

const ENDS_OF_STREAMS: readonly ((
  stage: Stage,
  readable: ReadableStream<Uint8Array<ArrayBuffer>>,
  writable: WritableStream<Uint8Array>,
  here: FileDescriptor,
) => Promise<void>)[] = [
  async function atTheEnd(stage, readable, writable) {
    const sent = stage.random.bytes(stage.random.below(300_000));
    const writing = new Blob([sent]).stream().pipeTo(writable);
    const received = new Uint8Array(await new Response(readable).arrayBuffer());
    await writing;
    expectBytes(stage, received, sent, "web streams");
  },
  async function cancelled(stage, readable, writable) {
    const writer = writable.getWriter();
    const sent = stage.random.bytes(10);
    await writer.write(sent);
    const reader = readable.getReader();
    const { value } = await reader.read();
    expectBytes(stage, value!, sent, "a stream to be cancelled");
    const nothing = reader.read();
    soon(stage, () => void reader.cancel());
    expect(stage, (await nothing).done, "a read that was cancelled");
    await writer.abort();
  },
  async function aborted(stage, readable, writable) {
    const writer = writable.getWriter();
    // More than a socket takes, so that it waits.
    const writing = writer.write(new Uint8Array(1_000_000));
    const reason = new Error("given up");
    soon(stage, () => void writer.abort(reason));
    await expectRejection(
      stage,
      writing,
      (error) => error === reason,
      "a write that was aborted",
    );
    await readable.cancel();
  },
  async function byob(stage, readable, writable) {
    const sent = stage.random.bytes(1000);
    const writer = writable.getWriter();
    const writing = writer.write(sent).then(() => writer.close());
    const reader = readable.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(1000), { min: 1000 });
    expectBytes(stage, value!, sent, "a reader's own buffer");
    await writing;
    await reader.cancel();
  },
  async function closedFromUnderThem(stage, readable, writable, here) {
    const reading = readable.getReader().read();
    soon(stage, () => here.close());
    await expectRejection(
      stage,
      reading,
      (reason) => reason instanceof Deno.errors.BadResource,
      "a stream whose descriptor was closed",
    );
    await writable.abort();
  },
];
