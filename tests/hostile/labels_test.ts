// Names of any size and content: of reactors, waits, watches, readers, events and
// functions. Labels go into `inspect()` as they are and into no message; what is
// put into a message is cut to 40 characters.

import {
  assert,
  assertEquals,
  assertLess,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Reactor, type ReadDescriptor } from "../../mod.ts";
import { BACKENDS, until } from "../descriptors.ts";
import { Pipe } from "../pipe.ts";
import { testBesideOthers } from "./bystander.ts";

const SIZE = 10_000_000;

/** Long, unprintable or malformed; a terminal would obey some of them. */
const NAMES: Record<string, string> = {
  "10 MB of letters": "x".repeat(SIZE),
  "10 MB of control characters": "\x1b[2J\n\r\0\x07".repeat(SIZE / 8),
  "lone surrogates": "\ud800\udc00\ud800".repeat(1000) + "\udfff",
  "an emoji that is cut in two": "x".repeat(39) + "\u{1f600}".repeat(10),
  "nothing": "",
};

/** Longer than any message of the reactor's, whatever it is about. */
const LONG = 1000;

for (const [what, name] of Object.entries(NAMES)) {
  testBesideOthers(
    `a label of ${what} stands in inspect() as it is, and in no message`,
    async ({ reactor, bystander, errors, backend }) => {
      await using labelled = new Reactor({
        backend,
        label: name,
        onError: (error, where) => errors.push({ error, where }),
      });
      assertStrictEquals(labelled.inspect().label, name);
      using pipe = new Pipe();
      const reader: ReadDescriptor = pipe.reader(() => {
        throw new Error("in doRead");
      });
      reader.label = name;
      reactor.addReader(reader);
      const stop = new AbortController();
      const options = { label: name, signal: stop.signal };
      using watch = reactor.watch(pipe.output, "readable", options);
      const waiting = reactor.readable(pipe.output, options);
      const { watchers } = reactor.inspect().descriptors
        .find(({ fd }) => fd === pipe.output.fileno())!;
      assertEquals(
        watchers.map(({ kind, label }) => [kind, label === name]),
        [["reader", true], ["watch", true], ["wait", true]],
      );
      await bystander.served();
      labelled.callLater(0, () => {
        throw new Error("in a delayed call");
      });
      labelled.interleave();
      pipe.fill();
      await waiting;
      await until(() => errors.length === 2);
      for (const { error, where } of errors.splice(0)) {
        assertLess(where.length, LONG);
        assertLess((error as Error).message.length, LONG);
      }
      watch.close();
    },
  );

  testBesideOthers(
    `${what} as an event's name, as a function's and as an argument leave messages short and printable`,
    async ({ reactor, bystander, errors }) => {
      const messages: string[] = [];
      const refused = (call: () => unknown) =>
        messages.push((assertThrows(call) as Error).message);
      refused(() => reactor.callLater(name as never, () => {}));
      refused(() => reactor.addReader(name as never));
      refused(() => reactor.watch(name as never, "readable"));
      refused(() => reactor.watch(0, name as never));
      refused(() =>
        reactor.addSystemEventTrigger(name as never, "x", () => {})
      );
      refused(() => new Reactor({ backend: name as never }));
      const id = reactor.addSystemEventTrigger("during", name, () => {
        throw new Error("in a trigger");
      });
      messages.push(String(id));
      reactor.fireSystemEvent(name);
      refused(() => reactor.removeSystemEventTrigger(id));
      await bystander.served();
      assertEquals(errors.length, 1);
      messages.push(errors.splice(0)[0]!.where);
      for (const message of messages) {
        assertLess(message.length, LONG);
        assert(
          !/[\p{Cc}--[\x7f-\x9f]]/v.test(message),
          JSON.stringify(message),
        );
        assert(message.isWellFormed(), JSON.stringify(message));
      }
    },
  );
}

testBesideOthers(
  "a function with a name of 10 MB is named shortly in what is told of it",
  async ({ reactor, bystander, errors }) => {
    const f = () => {
      throw new Error("in it");
    };
    Object.defineProperty(f, "name", { value: "x".repeat(SIZE) });
    const call = reactor.callLater(300_000, f);
    assertLess(String(call).length, LONG);
    assertLess(reactor.inspect().delayedCalls[0]!.text.length, LONG);
    call.reset(0);
    reactor.addSystemEventTrigger("during", "tea", f);
    reactor.fireSystemEvent("tea");
    await until(() => errors.length === 2);
    await bystander.served();
    for (const { where } of errors.splice(0)) assertLess(where.length, LONG);
  },
);

for (const backend of BACKENDS) {
  Deno.test(`inspect() prints a thousand labels of 1 MB without copying them [${backend}]`, async () => {
    await using reactor = new Reactor({ backend });
    const label = "x".repeat(1_000_000);
    using pipe = new Pipe();
    const stop = new AbortController();
    const { signal } = stop;
    const waits = Array.from(
      { length: 1000 },
      () => reactor.readable(pipe.output, { label, signal }),
    );
    const { watchers } = reactor.inspect().descriptors[0]!;
    assertEquals(watchers.length, 1000);
    for (const watcher of watchers) assertStrictEquals(watcher.label, label);
    const settled = Promise.allSettled(waits);
    stop.abort();
    await settled;
  });
}
