/**
 * `examples/clients/evdev.ts`. What stands in for the kernel answers with bytes
 * that the C compiler made of `<linux/input.h>`, and events come through a pipe.
 * Where the kernel can make an input device, there is a test of that, too.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import {
  EVENT_TYPE,
  type InputDevice,
  type InputEvent,
  openInputDevice,
} from "../../examples/clients/evdev.ts";
import { libc } from "../../ffi/libc.ts";
import { isOpen } from "../../ffi/mod.ts";
import { FileDescriptor, Reactor } from "../../mod.ts";
import { BACKENDS, onLinux, PATIENCE } from "../descriptors.ts";
import {
  assertInOrder,
  CTRL_C,
  run,
  startOnTerminal,
  startPiped,
  testOnLinux,
} from "../example_program.ts";
import { Folder } from "../net/certificates.ts";
import { type Peer, run as runPeer, testWithPeers } from "../net/peers/peer.ts";
import {
  askHeader,
  missingHeaders,
  StandIn,
  startC,
} from "./kernel_headers.ts";

// What is opened in a test and stays open would be taken for a leak.
libc();

/** A mouse with a wheel moves, "a" is held down, and some are lost. */
const facts = await askHeader(
  "linux/input.h",
  `
  number("name", EVIOCGNAME(256));
  number("id", EVIOCGID);
  number("grab", EVIOCGRAB);
  number("types", EVIOCGBIT(0, (KEY_MAX + 1) / 8));
  number("keys", EVIOCGBIT(EV_KEY, (KEY_MAX + 1) / 8));

  struct input_id id = {
    .bustype = BUS_USB, .vendor = 0x046d, .product = 0xc077, .version = 0x111 };
  bytes("id bytes", id);
  unsigned char bits[(KEY_MAX + 1) / 8] = { 0 };
  int keys[] = { KEY_ESC, KEY_A, BTN_LEFT, KEY_MAX };
  for (int i = 0; i < 4; i++) bits[keys[i] / 8] |= 1 << keys[i] % 8;
  bytes("key bits", bits);
  unsigned char types[(KEY_MAX + 1) / 8] = { 1 << EV_SYN | 1 << EV_KEY,
    0, 1 << (EV_LED - 16) };
  bytes("type bits", types);

  #define AT(milliseconds) .time = { \\
    1700000000 + (milliseconds) / 1000, (milliseconds) % 1000 * 1000 + 500 }
  struct input_event events[] = {
    { AT(0), .type = EV_MSC, .code = MSC_SCAN, .value = 0x70004 },
    { AT(0), .type = EV_KEY, .code = KEY_A, .value = 1 },
    { AT(0), .type = EV_SYN, .code = SYN_REPORT },
    { AT(250), .type = EV_KEY, .code = KEY_A, .value = 2 },
    { AT(250), .type = EV_SYN, .code = SYN_REPORT, .value = 1 },
    { AT(1001), .type = EV_KEY, .code = KEY_A, .value = 0 },
    { AT(1001), .type = EV_KEY, .code = BTN_LEFT, .value = 1 },
    { AT(1001), .type = EV_KEY, .code = KEY_MAX, .value = 1 },
    { AT(1001), .type = EV_REL, .code = REL_X, .value = -3 },
    { AT(1001), .type = EV_REL, .code = REL_WHEEL, .value = 1 },
    { AT(1001), .type = EV_ABS, .code = ABS_Y, .value = 65535 },
    { AT(1001), .type = EV_ABS, .code = ABS_MT_SLOT, .value = 2 },
    { AT(1001), .type = EV_SYN, .code = SYN_DROPPED },
    { AT(1001), .type = EV_SW, .code = SW_LID, .value = 1 }};
  bytes("events", events);
  `,
);

const TIME = 1_700_000_000_000.5;

/** The same events. */
const EVENTS: InputEvent[] = [
  { time: TIME, type: "other", kind: 4, code: 4, value: 0x70004 },
  { time: TIME, type: "key", code: 30, name: "KEY_A", action: "press" },
  { time: TIME, type: "report" },
  { time: TIME + 250, type: "key", code: 30, name: "KEY_A", action: "repeat" },
  { time: TIME + 250, type: "report" },
  ...([
    { type: "key", code: 30, name: "KEY_A", action: "release" },
    { type: "key", code: 0x110, name: "BTN_LEFT", action: "press" },
    { type: "key", code: 0x2ff, name: "", action: "press" },
    { type: "relative", code: 0, name: "REL_X", value: -3 },
    { type: "relative", code: 8, name: "REL_WHEEL", value: 1 },
    { type: "absolute", code: 1, name: "ABS_Y", value: 65535 },
    { type: "absolute", code: 0x2f, name: "", value: 2 },
    { type: "dropped" },
    { type: "other", kind: 5, code: 0, value: 1 },
  ] as const).map((event) => ({ time: TIME + 1001, ...event })),
];

const PROGRAM = "clients/evdev.ts";

/** Declares a test with a device that the stand-in answers for. */
function testDevice(
  name: string,
  fn: (bench: {
    device: InputDevice;
    kernel: StandIn;
    /** Where its events are to be put. */
    events: FileDescriptor;
    reactor: Reactor;
  }) => Promise<void>,
): void {
  const title = `${name}, with a stand-in for the kernel`;
  testWithPeers(title, missingHeaders, async ({ reactor }) => {
    const kernel = new StandIn();
    kernel.answer(
      facts.number("name"),
      (bytes) => new TextEncoder().encodeInto("Stand-in Mouse\0old", bytes),
    );
    kernel.answer(
      facts.number("id"),
      (bytes) => bytes.set(facts.bytes("id bytes")),
    );
    // A FIFO has a path, which a pipe has not.
    await using folder = new Folder();
    const path = folder.file("event0");
    libc().mkfifo(new TextEncoder().encode(`${path}\0`), 0o600);
    const { ioctl } = kernel;
    using device = openInputDevice(path, { ioctl, reactor });
    using events = FileDescriptor.open(path, { write: true });
    await fn({ device, kernel, events, reactor });
  });
}

testDevice(
  "openInputDevice() tells which device it is, and what it can do",
  // deno-lint-ignore require-await
  async ({ device, kernel }) => {
    assertEquals(device.info, {
      name: "Stand-in Mouse",
      bus: 3,
      vendor: 0x046d,
      product: 0xc077,
      version: 0x111,
    });
    kernel.answer(
      facts.number("types"),
      (bytes) => bytes.set(facts.bytes("type bits")),
    );
    assertEquals(device.types, [
      EVENT_TYPE.SYN,
      EVENT_TYPE.KEY,
      EVENT_TYPE.LED,
    ]);
    kernel.answer(
      facts.number("keys"),
      (bytes) => bytes.set(facts.bytes("key bits")),
    );
    assertEquals(device.codes(EVENT_TYPE.KEY), [1, 30, 0x110, 0x2ff]);
  },
);

testDevice(
  "InputDevice has the events as objects, several to a read, and goes on after a loop that was left",
  async ({ device, events }) => {
    events.write(facts.bytes("events"));
    for await (const event of device) {
      assertEquals(event, EVENTS[0]);
      break;
    }
    const seen: InputEvent[] = [];
    for await (const event of device) {
      seen.push(event);
      // More than are read at a time.
      if (seen.length === EVENTS.length - 1) {
        for (let i = 0; i < 10; i++) events.write(facts.bytes("events"));
      }
      if (seen.length === 11 * EVENTS.length - 1) break;
    }
    const all = Array.from({ length: 11 }, () => EVENTS).flat();
    assertEquals(seen, all.slice(1));
  },
);

testDevice(
  "InputDevice ends its loops when it is closed",
  async ({ device, events, reactor }) => {
    const all = Array.fromAsync(device);
    const before = reactor.inspect().descriptors.length;
    device.close();
    device.close();
    assertEquals(await all, []);
    assertEquals(await Array.fromAsync(device), []);
    assertEquals(reactor.inspect().descriptors.length, before - 1);
    assertThrows(
      () => events.write(facts.bytes("events")),
      Deno.errors.BrokenPipe,
    );
  },
);

testDevice(
  "InputDevice.grab() gives the kernel a pointer, and none to let go",
  // deno-lint-ignore require-await
  async ({ device, kernel }) => {
    const request = facts.number("grab");
    kernel.answer(request);
    device.grab();
    assertEquals(kernel.last?.request, request);
    assert(kernel.last?.bytes !== null);
    device.grab(false);
    assertEquals(kernel.last, { request, bytes: null });
  },
);

testOnLinux(
  "openInputDevice() says so when there is no device, and leaves nothing open",
  // deno-lint-ignore require-await
  async () => {
    const none = FileDescriptor.open("/dev/null");
    const next = none.fileno();
    none.close();
    assertThrows(
      () => openInputDevice("/nonexistent/event0"),
      Deno.errors.NotFound,
    );
    assertThrows(
      () => openInputDevice("/dev/null"),
      Error,
      'Cannot ask for the name of the input device "/dev/null": not a terminal or not a request for this device (ENOTTY)',
    );
    assertEquals(isOpen(next), false);
  },
);

// A real device, where the kernel can make one

const canMakeDevices = onLinux &&
  (await runPeer("test", ["-w", "/dev/uinput"])).code === 0;
if (!canMakeDevices) {
  console.log("Left out: a real input device, which takes /dev/uinput");
}

/**
 * Makes a mouse with one key, and tells where it is. Each byte of its input has
 * the key pressed and released; the end of its input takes the mouse away.
 */
function startMouse(): Peer {
  return startC(
    ["linux/uinput.h", "fcntl.h", "unistd.h", "dirent.h", "string.h"],
    `
    int fd = open("/dev/uinput", O_WRONLY);
    ioctl(fd, UI_SET_EVBIT, EV_KEY);
    ioctl(fd, UI_SET_KEYBIT, KEY_A);
    ioctl(fd, UI_SET_EVBIT, EV_REL);
    ioctl(fd, UI_SET_RELBIT, REL_X);
    struct uinput_setup setup = { .name = "A made mouse", .id = {
      .bustype = BUS_USB, .vendor = 1, .product = 2, .version = 3 }};
    ioctl(fd, UI_DEV_SETUP, &setup);
    if (ioctl(fd, UI_DEV_CREATE) < 0) return 1;
    char path[300] = "/sys/devices/virtual/input/";
    ioctl(fd, UI_GET_SYSNAME(100), path + strlen(path));
    DIR *folder = opendir(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
      if (strncmp(entry->d_name, "event", 5) == 0)
        printf("/dev/input/%s\\n", entry->d_name);
    fflush(stdout);
    for (char byte; read(0, &byte, 1) == 1;)
      for (int value = 1; value >= 0; value--) {
        struct input_event events[] = {
          { .type = EV_KEY, .code = KEY_A, .value = value },
          { .type = EV_REL, .code = REL_X, .value = value ? 5 : -5 },
          { .type = EV_SYN, .code = SYN_REPORT }};
        if (write(fd, events, sizeof events) < 0) return 1;
      }
    return 0;
    `,
  );
}

for (const backend of BACKENDS) {
  Deno.test({
    name:
      `openInputDevice() has a real device's names, events, grabs and end [${backend}]`,
    ignore: !canMakeDevices || missingHeaders.length > 0,
    async fn() {
      await using reactor = new Reactor({ backend });
      await using mouse = startMouse();
      const [, path] = await mouse.stdout.printed(/(\S+)\n/);
      using device = openInputDevice(path!, { reactor, grab: true });
      assertEquals(device.info, {
        name: "A made mouse",
        bus: 3,
        vendor: 1,
        product: 2,
        version: 3,
      });
      assertEquals(device.types, [
        EVENT_TYPE.SYN,
        EVENT_TYPE.KEY,
        EVENT_TYPE.REL,
      ]);
      assertEquals(device.codes(EVENT_TYPE.KEY), [30]);
      assertThrows(
        () => openInputDevice(path!, { reactor, grab: true }),
        Deno.errors.Busy,
      );
      using other = openInputDevice(path!, { reactor });

      const began = Date.now();
      await mouse.write("a");
      const seen = await deadline(take(device, 6), PATIENCE);
      for (const { time } of seen) {
        assert(time >= began - 1 && time <= Date.now() + 1, `${time}`);
      }
      assertEquals(seen.map(({ time: _, ...event }) => event), [
        { type: "key", code: 30, name: "KEY_A", action: "press" },
        { type: "relative", code: 0, name: "REL_X", value: 5 },
        { type: "report" },
        { type: "key", code: 30, name: "KEY_A", action: "release" },
        { type: "relative", code: 0, name: "REL_X", value: -5 },
        { type: "report" },
      ]);
      device.grab(false);
      await mouse.write("a");
      // The first that the other one has is the second of all.
      assertEquals(
        await deadline(take(other, 6), PATIENCE),
        await deadline(take(device, 6), PATIENCE),
      );

      const rest = assertRejects(() => take(device, 1), Error, "ENODEV");
      await mouse.closeInput();
      await deadline(rest, PATIENCE);
    },
  });
}

/** The next few events. */
async function take(device: InputDevice, count: number): Promise<InputEvent[]> {
  const events: InputEvent[] = [];
  for await (const event of device) {
    if (events.push(event) === count) break;
  }
  return events;
}

Deno.test({
  name: "evdev.ts tells of a real device's events, until Ctrl-C",
  ignore: !canMakeDevices || missingHeaders.length > 0,
  async fn() {
    await using mouse = startMouse();
    const [, path] = await mouse.stdout.printed(/(\S+)\n/);
    const output = await run(startOnTerminal, PROGRAM, {
      args: [path!],
      async talk({ output, type }) {
        await output.until("Ctrl-C ends it.");
        await mouse.write("a");
        await output.until("REL_X -5");
        type(CTRL_C);
      },
    });
    assertInOrder(output, [
      '"A made mouse", 1 keys.',
      "  KEY_A press\n",
      "  REL_X 5\n",
      "  KEY_A release\n",
      "  REL_X -5\n",
    ]);
  },
});

// The program

testOnLinux(
  "evdev.ts says so when there is no device, and explains its arguments",
  async () => {
    await run(startPiped, PROGRAM, {
      args: ["/nonexistent/event0", "--grab"],
      status: 1,
      complaints:
        'Cannot open "/nonexistent/event0": no such file or directory (ENOENT)\n',
    });
    for (const args of [[], ["/dev/null", "x"], ["/dev/null", "--grab", "x"]]) {
      await run(startPiped, PROGRAM, {
        args,
        status: 2,
        complaints: "Usage: evdev.ts DEVICE [--grab]\n",
      });
    }
  },
);
