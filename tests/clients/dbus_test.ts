/**
 * D-Bus through sd-bus, with a `dbus-daemon` of the tests' own, and `dbus-send`
 * at the other end.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  DBus,
  DBusError,
  type Interface,
  method,
  property,
  type Signal,
  type Variant,
  variant,
} from "../../examples/clients/dbus.ts";
import { signatureOf } from "../../examples/clients/dbus_message.ts";
import { libc } from "../../ffi/libc.ts";
import { ConnectionLost, Reactor } from "../../mod.ts";
import { macrotask } from "../descriptors.ts";
import {
  assertInOrder,
  CTRL_C,
  run,
  startOnTerminal,
  startPiped,
} from "../example_program.ts";
import { assertNothingLeft, countAtRest } from "../leftovers.ts";
import { missingPackages, testToolkit } from "../loops/toolkit.ts";
import { missingPrograms, run as runPeer } from "../net/peers/peer.ts";
import { pattern } from "../net/protocols.ts";
import { SessionBus } from "./session_bus.ts";
import { testWithReactor } from "./with_reactor.ts";

const missing = [
  ...await missingPrograms({
    "dbus-daemon": "dbus-daemon",
    "dbus-send": "dbus-bin",
  }),
  ...await missingPackages({
    libraries: { "libsystemd.so.0": "libsystemd0" },
    windows: false,
  }),
];

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) {
  await assertRejects(() => DBus.connect("unix:path=/nonexistent"));
  assertEquals(signatureOf(null), "");
}

const NAME = "org.interleave.Test";
const PATH = "/org/interleave/Test";
const TARGET = { destination: NAME, path: PATH, interface: NAME } as const;
const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;
const ERROR = "org.freedesktop.DBus.Error";

/** A bus, somebody with an object on it, and somebody else. */
async function withObject(
  reactor: Reactor,
  contents: Interface,
  fn: (setting: {
    bus: SessionBus;
    server: DBus;
    client: DBus;
    object: ReturnType<DBus["export"]>;
  }) => Promise<void>,
): Promise<void> {
  await using bus = await SessionBus.start();
  using server = await DBus.connect(bus.address, { reactor });
  using client = await DBus.connect(bus.address, { reactor });
  using object = server.export(PATH, NAME, contents);
  await server.requestName(NAME);
  await fn({ bus, server, client, object });
}

/** The D-Bus name of a failure. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => call, DBusError)).code;
}

/** The first so many. */
async function take<S extends string>(
  stream: ReadableStream<Signal<S>>,
  count: number,
): Promise<Signal<S>[]> {
  const taken: Signal<S>[] = [];
  for await (const signal of stream) if (taken.push(signal) === count) break;
  return taken;
}

/** Runs `dbus-send`, which is somebody else's client. */
async function dbusSend(bus: SessionBus, ...args: string[]) {
  return await runPeer("dbus-send", [
    ...[`--bus=${bus.address}`, "--print-reply", `--dest=${NAME}`, PATH],
    ...args,
  ]);
}

testWithReactor(
  "call() calls methods of the bus, with arguments and results of their types",
  missing,
  async ({ reactor }) => {
    await using bus = await SessionBus.start();
    using first = await DBus.connect(bus.address, { reactor });
    using second = await DBus.connect(bus.address, { reactor });
    assertMatch(first.uniqueName, /^:1\.\d+$/);
    assertNotEquals(first.uniqueName, second.uniqueName);
    const [names] = await first.call({
      ...BUS,
      member: "ListNames",
      returns: "as",
    });
    assert(names.includes(first.uniqueName));
    assert(names.includes(second.uniqueName));
    const has = {
      ...BUS,
      member: "NameHasOwner",
      takes: "s",
      returns: "b",
    } as const;
    const answers: [boolean][] = await Promise.all([
      first.call(has, second.uniqueName),
      first.call(has, "org.interleave.Nobody"),
    ]);
    assertEquals(answers, [[true], [false]]);
    const owner = {
      ...BUS,
      member: "GetNameOwner",
      takes: "s",
      returns: "s",
    } as const;
    assertEquals(
      await codeOf(first.call(owner, "org.x.Y")),
      `${ERROR}.NameHasNoOwner`,
    );
    assertEquals(
      await codeOf(first.call({ ...TARGET, member: "Nothing" })),
      `${ERROR}.ServiceUnknown`,
    );
    await assertRejects(
      () => first.call({ ...BUS, member: "ListNames", returns: "s" }),
      TypeError,
      'returned "s": "as"',
    );
  },
);

const EVERYTHING = "ybnqiuxtdsogay(si)a{sv}a(ys)aaias";

testWithReactor(
  "values of every type come back as they were",
  missing,
  async ({ reactor }) => {
    const echo = {
      methods: { Echo: method(EVERYTHING, EVERYTHING, (...all) => all) },
    };
    await withObject(reactor, echo, async ({ client }) => {
      const target = {
        ...TARGET,
        member: "Echo",
        takes: EVERYTHING,
        returns: EVERYTHING,
      } as const;
      const values: Parameters<typeof client.call<typeof EVERYTHING>> extends
        [unknown, ...infer V] ? V : never = [
          ...[255, true, -32_768, 65_535] as [number, boolean, number, number],
          ...[-(2 ** 31), 2 ** 32 - 1] as [number, number],
          ...[-(2n ** 63n), 2n ** 64n - 1n, 0.1] as [bigint, bigint, number],
          ...["grüß ☃", "/a/b", "a{sv}"] as [string, string, string],
          pattern(5),
          ["tuple", -1],
          new Map<string, Variant>([
            ["one", variant("i", 1)],
            ["deep", variant("a{sv}", new Map([["x", variant("as", ["y"])]]))],
          ]),
          [[1, "a"], [2, "b"]],
          [[], [1], [2, 3]],
          [],
        ];
      assertEquals(await client.call(target, ...values), values);
    });
  },
);

testWithReactor(
  "what does not fit its type is refused before anything is sent",
  missing,
  async ({ reactor }) => {
    const nothing = { methods: { Take: method("y", "", () => []) } };
    await withObject(reactor, nothing, async ({ client }) => {
      const send = (takes: string, ...values: unknown[]) =>
        client.call({ ...TARGET, member: "Take", takes }, ...values);
      for (const [type, value] of [["y", 256], ["n", -32_769], ["u", -1]]) {
        await assertRejects(() => send(type as string, value), RangeError);
      }
      for (
        const [type, value] of [
          ...[["i", "1"], ["x", 1], ["b", 1], ["s", 1], ["s", "a\0b"]],
          ...[["as", "text"], ["ay", [1]], ["a{ss}", {}], ["(i)", 1]],
          ...[["h", 1], ["(i", [1]], ["", 1]],
        ]
      ) await assertRejects(() => send(type as string, value), TypeError);
      await assertRejects(() => send("o", "no path"), Error, "EINVAL");
      await send("y", 255);
    });
  },
);

testWithReactor(
  "signals() hears those of its pattern, in order, until it is left",
  missing,
  async ({ reactor }) => {
    const contents = { signals: { Ticked: "us", Other: "u" } };
    await withObject(reactor, contents, async ({ server, client, object }) => {
      const pattern = { interface: NAME, member: "Ticked" };
      const stream = await client.signals({ ...pattern, carries: "us" });
      const narrow = await client.signals({
        ...pattern,
        path: PATH,
        carries: "us",
      });
      const elsewhere = await client.signals({
        ...pattern,
        path: "/",
        carries: "us",
      });
      for (let i = 0; i < 1000; i++) {
        object.emit("Other", i);
        object.emit("Ticked", i, `tick ${i}`);
      }
      const expected = Array.from({ length: 1000 }, (_, i) => ({
        sender: server.uniqueName,
        path: PATH,
        values: [i, `tick ${i}`] as [number, string],
      }));
      assertEquals(await take(stream, 1000), expected);
      assertEquals(await take(narrow, 1000), expected);
      client.close();
      assertEquals(await take(elsewhere, 1), []);
      assertThrows(() => object.emit("Nothing"), RangeError, "no signal");
      assertThrows(() => object.emit("Ticked", 1), TypeError, "2 values");
    });
  },
);

testWithReactor(
  "signals() takes its rule back, and refuses one that is none",
  missing,
  async ({ reactor }) => {
    const contents = { signals: { Ticked: "u" } };
    await withObject(reactor, contents, async ({ client, object }) => {
      // The bus complains if a rule that it does not know is taken back.
      const rule = `type='signal',interface='${NAME}',member='Ticked'`;
      const remove = { ...BUS, member: "RemoveMatch", takes: "s" } as const;
      const pattern = {
        interface: NAME,
        member: "Ticked",
        carries: "u",
      } as const;
      const stream = await client.signals(pattern);
      object.emit("Ticked", 1);
      await take(stream, 1);
      assertEquals(
        await codeOf(client.call(remove, rule)),
        `${ERROR}.MatchRuleNotFound`,
      );
      await assertRejects(
        () => client.signals({ ...pattern, member: "a'b" }),
        TypeError,
      );
      assertEquals(
        await codeOf(client.signals({ ...pattern, interface: "none" })),
        `${ERROR}.MatchRuleInvalid`,
      );
    });
  },
);

/** An object with one of everything. */
function makeThing(): Interface {
  let size = 1;
  return {
    methods: {
      Add: method("ii", "i", (a, b) => [a + b]),
      Later: method("s", "s", async (text) => {
        await macrotask();
        return [text];
      }),
      Fail: method("", "", () => {
        throw new Error("100 % wrong");
      }),
      FailSo: method("", "", () => {
        throw new DBusError(`${NAME}.Error`, "so");
      }),
      Lie: method("", "s", () => [1 as unknown as string]),
    },
    properties: {
      Size: property("u", () => size, (value) => size = value),
      Fixed: property("as", () => ["a", "b"]),
    },
    signals: { Grown: "u" },
  };
}

testWithReactor(
  "dbus-send calls methods, reads and sets properties, and is told of errors",
  missing,
  async ({ reactor }) => {
    await withObject(reactor, makeThing(), async ({ bus }) => {
      const send = async (...args: string[]) => {
        const { code, text, stderr } = await dbusSend(bus, ...args);
        return code === 0 ? text.slice(text.indexOf("\n") + 1).trim() : stderr;
      };
      const properties = "org.freedesktop.DBus.Properties";
      assertEquals(
        await send(`${NAME}.Add`, "int32:40", "int32:2"),
        "int32 42",
      );
      assertEquals(await send(`${NAME}.Later`, "string:soon"), 'string "soon"');
      assertStringIncludes(
        await send(`${NAME}.Fail`),
        `${ERROR}.Failed: 100 % wrong`,
      );
      assertStringIncludes(await send(`${NAME}.FailSo`), `${NAME}.Error: so`);
      assertStringIncludes(await send(`${NAME}.Lie`), `${ERROR}.Failed`);
      assertStringIncludes(
        await send(`${NAME}.Add`, "int32:1"),
        `${ERROR}.InvalidArgs`,
      );
      assertStringIncludes(
        await send(`${NAME}.None`),
        `${ERROR}.UnknownMethod`,
      );

      const size = [`string:${NAME}`, "string:Size"];
      assertMatch(
        await send(`${properties}.Get`, ...size),
        /^variant +uint32 1$/,
      );
      assertEquals(
        await send(`${properties}.Set`, ...size, "variant:uint32:7"),
        "",
      );
      assertMatch(
        await send(`${properties}.Get`, ...size),
        /^variant +uint32 7$/,
      );
      assertStringIncludes(
        await send(`${properties}.Set`, ...size, "variant:string:big"),
        `${ERROR}.InvalidArgs`,
      );
      assertStringIncludes(
        await send(
          `${properties}.Set`,
          ...[`string:${NAME}`, "string:Fixed", "variant:uint32:7"],
        ),
        `${ERROR}.PropertyReadOnly`,
      );
      assertInOrder(await send(`${properties}.GetAll`, `string:${NAME}`), [
        ...['string "Size"', "uint32 7", 'string "Fixed"', '"a"', '"b"'],
      ]);
      assertInOrder(
        await send("org.freedesktop.DBus.Introspectable.Introspect"),
        [
          `<interface name="${NAME}">`,
          '<method name="Add"><arg type="i" direction="in"/><arg type="i" direction="in"/><arg type="i" direction="out"/></method>',
          '<signal name="Grown"><arg type="u"/></signal>',
          '<property name="Size" type="u" access="readwrite"/>',
          '<property name="Fixed" type="as" access="read"/>',
          '<interface name="org.freedesktop.DBus.Properties">',
        ],
      );
      assertEquals(await send("org.freedesktop.DBus.Peer.Ping"), "");
    });
  },
);

testWithReactor(
  "others are told of a property that changes, and of an object that is gone",
  missing,
  async ({ reactor }) => {
    await withObject(
      reactor,
      makeThing(),
      async ({ server, client, object }) => {
        const stream = await client.signals({
          interface: "org.freedesktop.DBus.Properties",
          member: "PropertiesChanged",
          carries: "sa{sv}as",
        });
        object.changed("Size");
        const [signal] = await take(stream, 1);
        const changed = new Map([["Size", { signature: "u", value: 1 }]]);
        assertEquals(signal!.values, [NAME, changed as never, []]);
        assertThrows(() => object.changed("Nothing"), DBusError, "No property");

        assertThrows(
          () => server.export(PATH, NAME, {}),
          RangeError,
          "already",
        );
        const ping = {
          ...TARGET,
          member: "Later",
          takes: "s",
          returns: "s",
        } as const;
        assertEquals(await client.call(ping, "there"), ["there"]);
        const introspect = {
          ...TARGET,
          path: "/org",
          interface: "org.freedesktop.DBus.Introspectable",
          member: "Introspect",
          returns: "s",
        } as const;
        const [above] = await client.call(introspect);
        assertEquals(above, '<node>\n<node name="interleave"/>\n</node>');
        object[Symbol.dispose]();
        assertEquals(
          await codeOf(client.call(ping, "")),
          `${ERROR}.UnknownObject`,
        );
        using _again = server.export(PATH, NAME, makeThing());
        object[Symbol.dispose]();
        assertEquals(await client.call(ping, "again"), ["again"]);
      },
    );
  },
);

testWithReactor(
  "a name belongs to one connection",
  missing,
  async ({ reactor }) => {
    await withObject(reactor, {}, async ({ server, client }) => {
      await server.requestName(NAME);
      assertEquals(await codeOf(client.requestName(NAME)), `${ERROR}.Failed`);
    });
  },
);

testWithReactor(
  "a message of 20 MB goes through while others wait their turn",
  missing,
  async ({ reactor }) => {
    const contents = {
      methods: { Echo: method("ay", "ay", (bytes) => [bytes]) },
    };
    await withObject(reactor, contents, async ({ bus, client }) => {
      const bytes = pattern(20_000_000);
      const echo = {
        ...TARGET,
        member: "Echo",
        takes: "ay",
        returns: "ay",
      } as const;
      // A bus that takes it as fast as it comes would leave nothing to wait for.
      const pause = bus.pause();
      const calls = Promise.all([
        client.call(echo, bytes),
        client.call(echo, pattern(3)),
      ]);
      const writers = reactor.getWriters().map(({ label }) => label);
      pause[Symbol.dispose]();
      const [[back], small] = await calls;
      assertEquals(writers, ["dbus"]); // More than a socket takes at once.
      assertEquals(back.length, bytes.length);
      assert(back.every((byte, i) => byte === bytes[i]));
      assertEquals(small, [pattern(3)]);
      assertEquals(reactor.getWriters(), []);
    });
  },
);

testWithReactor(
  "a thousand calls at once are answered each with its own",
  missing,
  async ({ reactor }) => {
    await withObject(reactor, makeThing(), async ({ client }) => {
      const add = {
        ...TARGET,
        member: "Add",
        takes: "ii",
        returns: "i",
      } as const;
      const sums = await Promise.all(
        Array.from({ length: 1000 }, (_, i) => client.call(add, i, i)),
      );
      assertEquals(sums, Array.from({ length: 1000 }, (_, i) => [2 * i]));
    });
  },
);

testWithReactor(
  "a call ends when its time is over, and the late answer hurts nobody",
  missing,
  async ({ reactor }) => {
    const answer = Promise.withResolvers<[string]>();
    const contents = {
      methods: { Wait: method("", "s", () => answer.promise) },
    };
    await withObject(reactor, contents, async ({ client }) => {
      const wait = { ...TARGET, member: "Wait", returns: "s" } as const;
      assertEquals(
        await codeOf(client.call({ ...wait, timeout: 20 })),
        `${ERROR}.NoReply`,
      );
      answer.resolve(["late"]);
      assertEquals(await client.call(wait), ["late"]);
    });
  },
);

testWithReactor(
  "close() in the middle of a call rejects it, at both ends",
  missing,
  async ({ reactor }) => {
    const answer = Promise.withResolvers<[]>();
    let closing: DBus | undefined;
    const contents = {
      methods: {
        Wait: method("", "", () => answer.promise),
        Close: method("", "", () => {
          closing?.close();
          return [];
        }),
      },
    };
    await withObject(reactor, contents, async ({ server, client }) => {
      const call = (member: string) => client.call({ ...TARGET, member });
      closing = server;
      const waiting = codeOf(call("Wait"));
      assertEquals(await codeOf(call("Close")), `${ERROR}.NoReply`);
      assertEquals(await waiting, `${ERROR}.NoReply`);
      answer.resolve([]); // Nobody is there to send it.
      await macrotask();
      await assertRejects(() => server.requestName(NAME), DBusError, "closed");
      const last = codeOf(call("Wait"));
      client.close();
      assertEquals(await last, `${ERROR}.Disconnected`);
      client.close();
    });
  },
);

testWithReactor(
  "everybody is told when the bus goes away",
  missing,
  async ({ reactor }) => {
    const { promise: never } = Promise.withResolvers<[]>();
    const contents = { methods: { Wait: method("", "", () => never) } };
    await withObject(reactor, contents, async ({ bus, client }) => {
      const stream = await client.signals({
        interface: NAME,
        member: "Ticked",
        carries: "u",
      });
      const outcomes = Promise.allSettled([
        take(stream, 1),
        client.call({ ...TARGET, member: "Wait" }),
      ]);
      await bus.kill();
      for (const outcome of await outcomes) {
        const { reason } = outcome as PromiseRejectedResult;
        assertInstanceOf(reason, Deno.errors.ConnectionReset);
      }
      const error = await assertRejects(
        () => client.call({ ...TARGET, member: "Wait" }),
        DBusError,
        "closed",
      );
      assertInstanceOf(error.cause, Deno.errors.ConnectionReset);
    });
  },
);

testWithReactor(
  "connect() says why there is no bus, and is given up when its signal aborts",
  missing,
  async ({ reactor }) => {
    await assertRejects(
      () => DBus.connect("unix:path=/nonexistent/bus", { reactor }),
      Deno.errors.NotFound,
      "Cannot connect with the bus",
    );
    await assertRejects(
      () => DBus.connect("nonsense", { reactor }),
      Error,
      "Cannot connect with the bus",
    );
    // It takes the connection, and says nothing.
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const abort = new AbortController();
    const { signal } = abort;
    const address = `tcp:host=127.0.0.1,port=${listener.addr.port}`;
    const rejected = assertRejects(
      () => DBus.connect(address, { reactor, signal }),
    );
    using silent = await listener.accept();
    await silent.read(new Uint8Array(1)); // Who it is.
    // sd-bus wants to be called when its own patience is over.
    const deadlines = reactor.getDelayedCalls().map((call) => call.getTime());
    assertEquals(deadlines.length, 1);
    assertGreater(deadlines[0]! - reactor.now(), 1000);
    assertLess(deadlines[0]! - reactor.now(), 100_000);
    const reason = new Error("enough");
    abort.abort(reason);
    assertStrictEquals(await rejected, reason);
    await assertRejects(
      () => DBus.connect(address, { reactor, signal }),
      Error,
      "enough",
    );
    listener.close();
  },
);

testToolkit("a call rejects when the reactor ends", missing, async () => {
  await using bus = await SessionBus.start();
  const reactor = new Reactor();
  reactor.interleave();
  const { promise: never } = Promise.withResolvers<[]>();
  using dbus = await DBus.connect(bus.address, { reactor });
  dbus.export(PATH, NAME, { methods: { Wait: method("", "", () => never) } });
  const rejected = assertRejects(
    () =>
      dbus.call({ ...TARGET, destination: dbus.uniqueName, member: "Wait" }),
    ConnectionLost,
  );
  await reactor.close();
  await rejected;
});

testToolkit(
  "forty connections leave no descriptor and no thread, however they end",
  missing,
  async () => {
    const before = await countAtRest();
    {
      await using bus = await SessionBus.start();
      await using reactor = new Reactor();
      reactor.interleave();
      const nowhere = { reactor, signal: AbortSignal.abort(new Error("no")) };
      for (let round = 0; round < 20; round++) {
        using server = await DBus.connect(bus.address, { reactor });
        using client = await DBus.connect(bus.address, { reactor });
        server.export(PATH, NAME, makeThing());
        const add = {
          ...TARGET,
          destination: server.uniqueName,
          member: "Add",
          takes: "ii",
          returns: "i",
        } as const;
        assertEquals(await client.call(add, round, 1), [round + 1]);
        const last = codeOf(client.call(add, 1, 1));
        client.close();
        assertEquals(await last, `${ERROR}.Disconnected`);
        await assertRejects(() => DBus.connect(bus.address, nowhere));
        await assertRejects(() => DBus.connect("unix:path=/nonexistent"));
      }
      assertEquals(reactor.inspect().descriptors, []);
    }
    await assertNothingLeft(before);
  },
);

testToolkit(
  "dbus_call.ts shows methods, signals, a property and an error",
  missing,
  async () => {
    await using bus = await SessionBus.start();
    const env = bus.environment;
    const output = await run(startPiped, "clients/dbus_call.ts", { env });
    assertMatch(output, /^On the bus: .*org\.interleave\.Greeter.*\n/);
    assertEquals(output.split("\n").slice(1), [
      ...["Ann", "Bob", "Cleo"].map((name) => `Method: Hello, ${name}!`),
      "Signal: Ann is number 1",
      "Signal: Bob is number 2",
      "Signal: Cleo is number 3",
      "Property: Count is 3",
      "Error: org.interleave.Greeter.Nobody: Greet whom?",
      "",
    ]);
  },
);

testToolkit(
  "dbus_call.ts serves others until Ctrl-C, and not twice on a bus",
  missing,
  async () => {
    await using bus = await SessionBus.start();
    const env = bus.environment;
    const args = ["serve"];
    await run(startOnTerminal, "clients/dbus_call.ts", {
      args,
      env,
      async talk({ output, type }) {
        await output.until('Serving "org.interleave.Greeter".');
        const { code, text } = await runPeer("dbus-send", [
          ...[`--bus=${bus.address}`, "--print-reply"],
          ...["--dest=org.interleave.Greeter", "/org/interleave/Greeter"],
          ...["org.interleave.Greeter.Greet", "string:Dora"],
        ]);
        assertEquals(code, 0);
        assertStringIncludes(text, 'string "Hello, Dora!"');
        await run(startPiped, "clients/dbus_call.ts", {
          args,
          env,
          status: 1,
          complaints: 'Somebody else is "org.interleave.Greeter"\n',
        });
        type(CTRL_C);
      },
    });
  },
);

testToolkit("dbus_call.ts says so when there is no bus", missing, async () => {
  await run(startPiped, "clients/dbus_call.ts", {
    env: { DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent/bus" },
    status: 1,
    complaints:
      "Cannot connect with the bus: no such file or directory (ENOENT)\n",
  });
});
