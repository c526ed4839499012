/**
 * `examples/clients/socketcan.ts`. A pair of UNIX sockets stands in for a bus,
 * and the frames on it are compared with bytes that the C compiler made of
 * `<linux/can.h>`. Where the kernel can make a bus, there are tests of that, too.
 *
 * @module
 */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import {
  type CanFrame,
  CanSocket,
  decodeFrame,
  encodeAddress,
  encodeFilter,
  encodeFrame,
  formatFrame,
  openCan,
  parseFrame,
} from "../../examples/clients/socketcan.ts";
import { libc } from "../../ffi/libc.ts";
import { check, isOpen, LINUX_ONLY, makePipe, POSIX } from "../../ffi/mod.ts";
import { FileDescriptor, Reactor } from "../../mod.ts";
import { macrotask, onLinux, PATIENCE } from "../descriptors.ts";
import {
  assertInOrder,
  CTRL_C,
  run,
  startOnTerminal,
  startPiped,
  testOnLinux,
} from "../example_program.ts";
import { testToolkit } from "../loops/toolkit.ts";
import { run as runPeer, testWithPeers } from "../net/peers/peer.ts";
import { askHeader, missingHeaders } from "./kernel_headers.ts";

// What is opened in a test and stays open would be taken for a leak.
libc();

const facts = await askHeader(
  "linux/can.h",
  `
  struct sockaddr_can address = { .can_family = AF_CAN, .can_ifindex = 7 };
  bytes("address", address);
  struct can_filter filters[] = {
    { .can_id = 0x123, .can_mask = CAN_SFF_MASK | CAN_EFF_FLAG },
    { .can_id = 0x1234567 | CAN_EFF_FLAG, .can_mask = 0xff | CAN_EFF_FLAG }};
  bytes("filters", filters);

  struct can_frame standard = {
    .can_id = 0x123, .len = 4, .data = { 0xde, 0xad, 0xbe, 0xef }};
  bytes("standard", standard);
  struct can_frame extended = {
    .can_id = 0x12345678 | CAN_EFF_FLAG, .len = 8,
    .data = { 1, 2, 3, 4, 5, 6, 7, 8 }};
  bytes("extended", extended);
  struct can_frame low = { .can_id = 5 | CAN_EFF_FLAG, .len = 0 };
  bytes("low", low);
  struct can_frame remote = { .can_id = 0x7ff | CAN_RTR_FLAG, .len = 3 };
  bytes("remote", remote);
  struct can_frame error = {
    .can_id = 0x1ffffff | CAN_ERR_FLAG, .len = 8, .data = { [2] = 4 }};
  bytes("error", error);
  struct canfd_frame fd = { .can_id = 0x123, .len = 12,
    .flags = CANFD_BRS, .data = { 0xff, [11] = 0xee }};
  bytes("fd", fd);
  struct canfd_frame slow = { .can_id = 0x123, .len = 64,
    .data = { [63] = 0xee }};
  bytes("slow", slow);
  `,
);

const plain = {
  extended: false,
  remote: false,
  error: false,
  fd: false,
  bitRateSwitch: false,
};

function data(length: number, values: Record<number, number>) {
  return Object.assign(new Uint8Array(length), values);
}

/** The same frames, and how can-utils write them. */
const FRAMES: Record<string, [CanFrame, string]> = {
  standard: [
    {
      ...plain,
      id: 0x123,
      data: Uint8Array.of(0xde, 0xad, 0xbe, 0xef),
    },
    "123#DEADBEEF",
  ],
  extended: [
    {
      ...plain,
      id: 0x12345678,
      extended: true,
      data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    },
    "12345678#0102030405060708",
  ],
  low: [
    { ...plain, id: 5, extended: true, data: new Uint8Array() },
    "00000005#",
  ],
  remote: [
    { ...plain, id: 0x7ff, remote: true, data: new Uint8Array(3) },
    "7FF#R3",
  ],
  fd: [
    {
      ...plain,
      id: 0x123,
      fd: true,
      bitRateSwitch: true,
      data: data(12, { 0: 0xff, 11: 0xee }),
    },
    "123##1FF00000000000000000000EE",
  ],
  slow: [
    { ...plain, id: 0x123, fd: true, data: data(64, { 63: 0xee }) },
    `123##0${"00".repeat(63)}EE`,
  ],
};

const ERROR: CanFrame = {
  ...plain,
  id: 0x1ffffff,
  error: true,
  data: data(8, { 2: 4 }),
};

const PROGRAM = "clients/socketcan.ts";
const VCAN = ["type", "vcan"];

/** Two sockets that carry frames whole, as those of a bus do. */
function makeBus(): [FileDescriptor, FileDescriptor] {
  const { SOCK_CLOEXEC, SOCK_NONBLOCK } = LINUX_ONLY;
  const type = POSIX.SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const ends = new Int32Array(2);
  check(libc().socketpair(POSIX.AF_UNIX, type, 0, ends), "Cannot make a bus");
  return [FileDescriptor.adopt(ends[0]!), FileDescriptor.adopt(ends[1]!)];
}

/** Declares a test with two ends of what stands in for a bus. */
function testBus(
  name: string,
  fn: (
    here: CanSocket,
    there: FileDescriptor,
    reactor: Reactor,
  ) => Promise<void>,
): void {
  const title = `${name}, on UNIX sockets in place of a bus`;
  testWithPeers(title, missingHeaders, async ({ reactor }) => {
    const [here, there] = makeBus();
    using _there = there;
    using bus = new CanSocket(here, reactor);
    await fn(bus, there, reactor);
  });
}

testToolkit(
  "encodeFrame() and decodeFrame() have frames as <linux/can.h> has them",
  missingHeaders,
  // deno-lint-ignore require-await
  async () => {
    for (const [name, [frame]] of Object.entries(FRAMES)) {
      assertEquals(encodeFrame(frame), facts.bytes(name), name);
      assertEquals(decodeFrame(facts.bytes(name)), frame, name);
    }
    assertEquals(decodeFrame(facts.bytes("error")), ERROR);
    assertEquals(encodeFrame(ERROR).length, 16);
    const { id, data } = FRAMES.standard![0];
    assertEquals(encodeFrame({ id, data }), facts.bytes("standard"));
    const [{ id: long, data: eight }] = FRAMES.extended!;
    assertEquals(
      encodeFrame({ id: long, data: eight }),
      facts.bytes("extended"),
    );
  },
);

testToolkit(
  "encodeAddress() and encodeFilter() have them as <linux/can.h> has them",
  missingHeaders,
  // deno-lint-ignore require-await
  async () => {
    assertEquals(encodeAddress(7), facts.bytes("address"));
    const filters = [
      ...encodeFilter({ id: 0x123, mask: 0x7ff }),
      ...encodeFilter({ id: 0x1234567, mask: 0xff, extended: true }),
    ];
    assertEquals(
      new Uint8Array(new Uint32Array(filters).buffer),
      facts.bytes("filters"),
    );
  },
);

Deno.test("parseFrame() and formatFrame() have frames as can-utils write them", () => {
  for (const [name, [frame, text]] of Object.entries(FRAMES)) {
    assertEquals(formatFrame(frame), text, name);
    assertEquals(parseFrame(text), frame, name);
    assertEquals(parseFrame(text.toLowerCase().replace("r", "R")), frame, name);
  }
  assertEquals(parseFrame("7FF#R").data.length, 0);
  for (const text of ["", "123", "12#", "123#1", "123#R99", "123##", "1234#"]) {
    assertThrows(() => parseFrame(text), SyntaxError, `"${text}" is no CAN`);
  }
});

Deno.test("encodeFrame() refuses what is no frame", () => {
  const none = new Uint8Array();
  for (
    const frame of [
      { id: -1, data: none },
      { id: 0x20000000, data: none },
      { id: 0x800, extended: false, data: none },
      { id: 1.5, data: none },
      { id: 1, data: new Uint8Array(9) },
      { id: 1, fd: true, data: new Uint8Array(9) },
      { id: 1, fd: true, data: new Uint8Array(65) },
    ]
  ) assertThrows(() => encodeFrame(frame), RangeError, "There is no CAN frame");
});

testBus("CanSocket receives frames, as they come", async (bus, there) => {
  const names = Object.keys(FRAMES);
  for (const name of names) there.write(facts.bytes(name));
  const seen: CanFrame[] = [];
  for await (const frame of bus) {
    seen.push(frame);
    if (seen.length === 2) break;
  }
  for await (const frame of bus) {
    seen.push(frame);
    if (seen.length === names.length) there.write(facts.bytes("error"));
    if (seen.length === names.length + 1) break;
  }
  assertEquals(seen, [...names.map((name) => FRAMES[name]![0]), ERROR]);
});

testBus(
  "CanSocket sends frames in their order, and waits for room",
  async (bus, there, reactor) => {
    // More than a socket holds: net.unix.max_dgram_qlen.
    const ids = Array.from({ length: 2000 }, (_, id) => id);
    const last = ids.pop()!;
    const send = (id: number) =>
      bus.send({ id, extended: true, data: Uint8Array.of(id & 0xff) });
    const received: number[] = [];
    const buffer = new Uint8Array(100);
    function receive(): void {
      assertEquals(there.read(buffer), 16);
      received.push(decodeFrame(buffer.slice(0, 16)).id);
    }
    const sent = ids.map(send);
    await macrotask();
    // Room for one, and somebody who comes late.
    receive();
    sent.push(send(last));
    ids.push(last);
    for await (const _ of reactor.watch(there, "readable")) {
      receive();
      if (received.length === ids.length) break;
    }
    await Promise.all(sent);
    assertEquals(received, ids);
  },
);

testBus(
  "CanSocket goes on after a frame that could not be sent",
  async (bus, there) => {
    await assertRejects(
      async () => await bus.send({ id: -1, data: new Uint8Array() }),
      RangeError,
    );
    await bus.send(FRAMES.standard![0]);
    const buffer = new Uint8Array(100);
    assertEquals(there.read(buffer), 16);
    there.close();
    const [frame] = FRAMES.standard!;
    await assertRejects(() => bus.send(frame), Error, "ECONNREFUSED");
    // What is told once is told to the one that it is about.
    await assertRejects(() => bus.send(frame), Error, "ENOTCONN");
  },
);

testBus(
  "CanSocket ends its loops when it is closed",
  async (bus, _there, reactor) => {
    const all = Array.fromAsync(bus);
    const before = reactor.inspect().descriptors.length;
    bus.close();
    bus.close();
    assertEquals(await all, []);
    assertEquals(await Array.fromAsync(bus), []);
    assertEquals(reactor.inspect().descriptors.length, before - 1);
    await assertRejects(
      () => bus.send(FRAMES.standard![0]),
      Deno.errors.BadResource,
    );
  },
);

testOnLinux(
  "openCan() says so when there is no interface, and leaves nothing open",
  // deno-lint-ignore require-await
  async () => {
    const [first, second] = makePipe();
    libc().close(first);
    libc().close(second);
    // Whether the kernel knows nothing of CAN, or nothing of this interface.
    assertThrows(
      () => openCan("can-none"),
      Error,
      'Cannot open the CAN interface "can-none": ',
    );
    assertEquals(isOpen(first), false);
  },
);

// A virtual bus, where the kernel can make one

const BUS = "vcan-reactor";

const canMakeBuses = onLinux && (await ip("link", "add", "dev", BUS, ...VCAN));
if (canMakeBuses) await ip("link", "del", "dev", BUS);
else console.log("Left out: a real CAN bus, which takes root and vcan");

/** Runs the command. Returns whether it went well. */
async function ip(...args: string[]): Promise<boolean> {
  return (await runPeer("ip", args)).code === 0;
}

/** Declares a test with a bus. */
function testVirtualBus(name: string, fn: (reactor: Reactor) => Promise<void>) {
  Deno.test({
    name,
    ignore: !canMakeBuses,
    async fn() {
      await ip("link", "add", "dev", BUS, ...VCAN);
      await ip("link", "set", BUS, "up");
      try {
        await using reactor = new Reactor();
        await deadline(fn(reactor), PATIENCE);
      } finally {
        await ip("link", "del", "dev", BUS);
      }
    },
  });
}

/** The next few frames. */
async function take(bus: CanSocket, count: number): Promise<CanFrame[]> {
  const frames: CanFrame[] = [];
  for await (const frame of bus) {
    if (frames.push(frame) === count) break;
  }
  return frames;
}

testVirtualBus(
  "openCan() sends and receives all kinds of frames on a virtual bus",
  async (reactor) => {
    using here = openCan(BUS, { fd: true, reactor });
    using there = openCan(BUS, { fd: true, reactor });
    using old = openCan(BUS, { reactor });
    using any = openCan("any", { reactor, fd: true });
    const frames = Object.values(FRAMES).map(([frame]) => frame);
    const seen = [there, any].map((bus) => take(bus, frames.length));
    for (const frame of frames) await here.send(frame);
    for (const received of seen) assertEquals(await received, frames);
    // It is told of no frames of CAN FD, which it did not ask for.
    const plain = frames.filter(({ fd }) => !fd);
    assertEquals(await take(old, plain.length), plain);
    // And nobody of their own.
    await there.send(frames[0]!);
    assertEquals(await take(here, 1), [frames[0]]);
  },
);

testVirtualBus(
  "openCan() has the kernel filter frames, and give back its own",
  async (reactor) => {
    using here = openCan(BUS, { reactor, receiveOwn: true });
    using there = openCan(BUS, {
      reactor,
      filters: [
        { id: 0x120, mask: 0x7f0 },
        { id: 0x5, mask: 0xff, extended: true },
      ],
    });
    const data = new Uint8Array();
    const passed = [
      { id: 0x12f, extended: false },
      { id: 0x1234505, extended: true },
      { id: 0x120, extended: false },
    ];
    const stopped = [
      { id: 0x12f, extended: true },
      { id: 0x5, extended: false },
      { id: 0x220, extended: false },
    ];
    for (let i = 0; i < 3; i++) {
      await here.send({ ...stopped[i]!, data });
      await here.send({ ...passed[i]!, data });
    }
    const ids = (frames: CanFrame[]) =>
      frames.map(({ id, extended }) => ({ id, extended }));
    assertEquals(ids(await take(there, 3)), passed);
    assertEquals((await take(here, 6)).length, 6);
  },
);

testVirtualBus(
  "CanSocket says so when the interface goes down",
  async (reactor) => {
    using bus = openCan(BUS, { reactor });
    const reading = assertRejects(() => take(bus, 1), Error, "ENETDOWN");
    await ip("link", "set", BUS, "down");
    await reading;
    await assertRejects(
      () => bus.send(FRAMES.standard![0]),
      Error,
      "ENETDOWN",
    );
  },
);

testVirtualBus(
  "socketcan.ts shows the frames that another socketcan.ts sends",
  async () => {
    const texts = Object.values(FRAMES).map(([, text]) => text);
    const output = await run(startOnTerminal, PROGRAM, {
      args: [BUS],
      async talk({ output, type }) {
        await output.until("Ctrl-C ends it.");
        await run(startPiped, PROGRAM, { args: [BUS, ...texts] });
        await output.until(texts.at(-1)!);
        type(CTRL_C);
      },
    });
    assertInOrder(output, texts.map((text) => `${text}\n`));
  },
);

// The program

testOnLinux(
  "socketcan.ts says so when there is no interface, and explains its arguments",
  async () => {
    const { message } = assertThrows(() => openCan("can-none"), Error);
    for (const args of [["can-none"], ["can-none", "123#00"]]) {
      await run(startPiped, PROGRAM, {
        args,
        status: 1,
        complaints: `${message}\n`,
      });
    }
    await run(startPiped, PROGRAM, {
      args: ["can-none", "nonsense"],
      status: 1,
      complaints: '"nonsense" is no CAN frame\n',
    });
    await run(startPiped, PROGRAM, {
      args: [],
      status: 2,
      complaints: "Usage: socketcan.ts INTERFACE [FRAME...]\n",
    });
  },
);
