/**
 * `examples/clients/gpio.ts`. What stands in for the kernel answers with bytes
 * that the C compiler made of `<linux/gpio.h>`, and events come through a pipe.
 * Where the kernel can simulate a chip, there are tests of that, too.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import {
  type GpioChip,
  type LineEvent,
  openGpioChip,
} from "../../examples/clients/gpio.ts";
import { libc } from "../../ffi/libc.ts";
import { closeDescriptor, isOpen, makePipe, writeFrom } from "../../ffi/mod.ts";
import { Reactor } from "../../mod.ts";
import { BACKENDS, onLinux, PATIENCE } from "../descriptors.ts";
import {
  assertInOrder,
  CTRL_C,
  run,
  startOnTerminal,
  startPiped,
  testOnLinux,
} from "../example_program.ts";
import { run as runPeer, testWithPeers } from "../net/peers/peer.ts";
import { askHeader, missingHeaders, StandIn } from "./kernel_headers.ts";

// What is opened in a test and stays open would be taken for a leak.
libc();

const facts = await askHeader(
  "linux/gpio.h",
  `
  number("chip info", GPIO_GET_CHIPINFO_IOCTL);
  number("line info", GPIO_V2_GET_LINEINFO_IOCTL);
  number("get line", GPIO_V2_GET_LINE_IOCTL);
  number("get values", GPIO_V2_LINE_GET_VALUES_IOCTL);
  number("set values", GPIO_V2_LINE_SET_VALUES_IOCTL);
  number("place of fd", offsetof(struct gpio_v2_line_request, fd));

  struct gpiochip_info chip = {
    .name = "gpiochip0", .label = "a stand-in", .lines = 28 };
  bytes("chip", chip);

  struct gpio_v2_line_info asked = { .offset = 17 };
  bytes("line, asked", asked);
  struct gpio_v2_line_info line = {
    .name = "GPIO17", .consumer = "led", .offset = 17,
    .flags = GPIO_V2_LINE_FLAG_USED | GPIO_V2_LINE_FLAG_OUTPUT
      | GPIO_V2_LINE_FLAG_ACTIVE_LOW };
  bytes("line", line);
  struct gpio_v2_line_info other = {
    .name = "a name of 31 bytes, and no more",
    .offset = 17, .flags = GPIO_V2_LINE_FLAG_INPUT };
  bytes("other line", other);

  struct gpio_v2_line_request input = {
    .offsets = { 17, 4 }, .consumer = "test", .num_lines = 2,
    .config = {
      .flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING
        | GPIO_V2_LINE_FLAG_EDGE_FALLING | GPIO_V2_LINE_FLAG_ACTIVE_LOW
        | GPIO_V2_LINE_FLAG_BIAS_PULL_UP,
      .num_attrs = 1,
      .attrs = {{
        .attr = { .id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE,
                  .debounce_period_us = 5500 },
        .mask = 3 }}}};
  bytes("input", input);
  struct gpio_v2_line_request rising = {
    .offsets = { 1 }, .consumer = "deno", .num_lines = 1,
    .config = { .flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING
      | GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN }};
  bytes("rising", rising);
  struct gpio_v2_line_request falling = {
    .offsets = { 1 }, .consumer = "deno", .num_lines = 1,
    .config = { .flags = GPIO_V2_LINE_FLAG_INPUT
      | GPIO_V2_LINE_FLAG_EDGE_FALLING | GPIO_V2_LINE_FLAG_BIAS_DISABLED }};
  bytes("falling", falling);
  struct gpio_v2_line_request output = {
    .offsets = { 5, 6, 7 }, .consumer = "a name that is longer than all ",
    .num_lines = 3,
    .config = {
      .flags = GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_OPEN_DRAIN,
      .num_attrs = 1,
      .attrs = {{
        .attr = { .id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES, .values = 5 },
        .mask = 7 }}}};
  bytes("output", output);
  struct gpio_v2_line_request source = {
    .offsets = { 5 }, .consumer = "deno", .num_lines = 1,
    .config = {
      .flags = GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_OPEN_SOURCE }};
  bytes("source", source);

  struct gpio_v2_line_values wanted = { .mask = 7 };
  bytes("values, asked", wanted);
  struct gpio_v2_line_values got = { .mask = 7, .bits = 6 };
  bytes("values", got);
  struct gpio_v2_line_values set = { .mask = 6, .bits = 4 };
  bytes("values, set", set);

  struct gpio_v2_line_event events[] = {
    { .timestamp_ns = 1234567890123456789, .offset = 17, .seqno = 1,
      .line_seqno = 1, .id = GPIO_V2_LINE_EVENT_RISING_EDGE },
    { .timestamp_ns = 1234567890123456790, .offset = 4, .seqno = 2,
      .line_seqno = 1, .id = GPIO_V2_LINE_EVENT_RISING_EDGE },
    { .timestamp_ns = 1234567890123456791, .offset = 17, .seqno = 3,
      .line_seqno = 2, .id = GPIO_V2_LINE_EVENT_FALLING_EDGE }};
  bytes("events", events);
  `,
);

/** The three of them. */
const EVENTS: LineEvent[] = [
  {
    offset: 17,
    edge: "rising",
    timestamp: 1234567890123456789n,
    sequence: 1,
    lineSequence: 1,
  },
  {
    offset: 4,
    edge: "rising",
    timestamp: 1234567890123456790n,
    sequence: 2,
    lineSequence: 1,
  },
  {
    offset: 17,
    edge: "falling",
    timestamp: 1234567890123456791n,
    sequence: 3,
    lineSequence: 2,
  },
];

const PROGRAM = "clients/gpio.ts";

/** Declares a test with a chip that the stand-in answers for. */
function testChip(
  name: string,
  fn: (chip: GpioChip, kernel: StandIn, reactor: Reactor) => Promise<void>,
): void {
  const title = `${name}, with a stand-in for the kernel`;
  testWithPeers(title, missingHeaders, async ({ reactor }) => {
    const kernel = new StandIn();
    kernel.answer(
      facts.number("chip info"),
      (bytes) => bytes.set(facts.bytes("chip")),
    );
    const { ioctl } = kernel;
    using chip = openGpioChip("/dev/null", { ioctl, reactor });
    await fn(chip, kernel, reactor);
  });
}

/** Has the stand-in give lines whose events come through a pipe. */
function giveLines(kernel: StandIn): number {
  const [fd, events] = makePipe();
  kernel.answer(
    facts.number("get line"),
    ({ buffer }) =>
      new DataView(buffer).setInt32(facts.number("place of fd"), fd, true),
  );
  return events;
}

testChip(
  "openGpioChip() tells what the chip is, and its lines are",
  // deno-lint-ignore require-await
  async (chip, kernel) => {
    const { bytes } = kernel.last!;
    assertEquals(bytes, new Uint8Array(facts.bytes("chip").length));
    assertEquals(chip.info, {
      name: "gpiochip0",
      label: "a stand-in",
      lines: 28,
    });
    const request = facts.number("line info");
    kernel.answer(request, (bytes) => bytes.set(facts.bytes("line")));
    assertEquals(chip.line(17), {
      offset: 17,
      name: "GPIO17",
      consumer: "led",
      used: true,
      direction: "output",
      activeLow: true,
    });
    assertEquals(kernel.last, { request, bytes: facts.bytes("line, asked") });
    kernel.answer(request, (bytes) => bytes.set(facts.bytes("other line")));
    assertEquals(chip.line(17), {
      offset: 17,
      name: "a name of 31 bytes, and no more",
      consumer: "",
      used: false,
      direction: "input",
      activeLow: false,
    });
  },
);

testChip(
  "GpioChip.request() asks for lines as <linux/gpio.h> has it",
  // deno-lint-ignore require-await
  async (chip, kernel) => {
    const request = facts.number("get line");
    for (
      const [name, offsets, options] of [
        ["input", [17, 4], {
          direction: "input",
          edge: "both",
          activeLow: true,
          bias: "pull-up",
          debounce: 5.5,
          consumer: "test",
        }],
        ["rising", [1], {
          direction: "input",
          edge: "rising",
          bias: "pull-down",
        }],
        ["falling", [1], {
          direction: "input",
          edge: "falling",
          bias: "disabled",
        }],
        ["output", [5, 6, 7], {
          direction: "output",
          drive: "open-drain",
          values: [1, 0, 1],
          consumer: "a name that is longer than all that fit",
        }],
        ["source", [5], { direction: "output", drive: "open-source" }],
      ] as const
    ) {
      const events = giveLines(kernel);
      using lines = chip.request(offsets, options);
      assertEquals(lines.offsets, [...offsets]);
      assertEquals(kernel.last, { request, bytes: facts.bytes(name) }, name);
      closeDescriptor(events);
    }
  },
);

testChip(
  "GpioLines gets and sets values by the numbers of lines",
  // deno-lint-ignore require-await
  async (chip, kernel) => {
    const events = giveLines(kernel);
    using lines = chip.request([5, 6, 7], { direction: "output" });
    let request = facts.number("get values");
    kernel.answer(request, (bytes) => bytes.set(facts.bytes("values")));
    assertEquals(lines.get(), [0, 1, 1]);
    assertEquals(kernel.last, { request, bytes: facts.bytes("values, asked") });
    request = facts.number("set values");
    kernel.answer(request);
    lines.set({ 7: 1, 6: 0 });
    assertEquals(kernel.last, { request, bytes: facts.bytes("values, set") });
    assertThrows(() => lines.set({ 4: 1 }), RangeError, "Line 4 was not taken");
    closeDescriptor(events);
  },
);

testChip(
  "GpioLines tells of edges, several to a read, and goes on after a loop that was left",
  async (chip, kernel) => {
    const events = giveLines(kernel);
    using lines = chip.request([17, 4], { direction: "input", edge: "both" });
    writeFrom(events, facts.bytes("events"));
    for await (const event of lines) {
      assertEquals(event, EVENTS[0]);
      break;
    }
    const seen: LineEvent[] = [];
    for await (const event of lines) {
      seen.push(event);
      if (seen.length === 2) writeFrom(events, facts.bytes("events"));
      if (seen.length === 5) break;
    }
    assertEquals(seen, [...EVENTS.slice(1), ...EVENTS]);
    closeDescriptor(events);
  },
);

testChip(
  "GpioLines ends its loops when it is closed, and gives the lines back",
  async (chip, kernel, reactor) => {
    const events = giveLines(kernel);
    const lines = chip.request([17, 4], { direction: "input", edge: "both" });
    const all = Array.fromAsync(lines);
    const before = reactor.inspect().descriptors.length;
    lines.close();
    lines.close();
    assertEquals(await all, []);
    assertEquals(await Array.fromAsync(lines), []);
    assertEquals(reactor.inspect().descriptors.length, before - 1);
    // Nobody can read any more.
    assertThrows(
      () => writeFrom(events, facts.bytes("events")),
      Deno.errors.BrokenPipe,
    );
    closeDescriptor(events);
  },
);

testChip(
  "GpioChip.request() refuses no lines, and more than there can be",
  // deno-lint-ignore require-await
  async (chip) => {
    for (const length of [0, 65]) {
      assertThrows(
        () => chip.request(Array(length).fill(0), { direction: "input" }),
        RangeError,
        `Cannot take ${length} lines at a time`,
      );
    }
  },
);

testOnLinux(
  "openGpioChip() says so when there is no chip, and leaves nothing open",
  // deno-lint-ignore require-await
  async () => {
    const [next, other] = makePipe();
    closeDescriptor(next);
    closeDescriptor(other);
    assertThrows(
      () => openGpioChip("/nonexistent/gpiochip0"),
      Deno.errors.NotFound,
    );
    assertThrows(
      () => openGpioChip("/dev/null"),
      Error,
      'Cannot ask for its lines at the GPIO chip "/dev/null": not a terminal or not a request for this device (ENOTTY)',
    );
    assertEquals(isOpen(next), false);
  },
);

// A simulated chip, where the kernel can make one (gpio-sim, its module must be
// loaded and configfs mounted)

const CONFIG = "/sys/kernel/config/gpio-sim";

const canMakeChips = onLinux &&
  (await runPeer("test", ["-w", CONFIG])).code === 0;
if (!canMakeChips) {
  console.log("Left out: real GPIO lines, which take root and gpio-sim");
}

/** A chip of 8 lines, of which one has a name. */
class SimulatedChip implements AsyncDisposable {
  readonly path: string;
  readonly #lines: string;

  private constructor(path: string, lines: string) {
    this.path = path;
    this.#lines = lines;
  }

  static async make(): Promise<SimulatedChip> {
    const made = await shell(`
      mkdir -p ${CONFIG}/reactor/bank/line3 && cd ${CONFIG}/reactor &&
      echo 8 > bank/num_lines && echo simulated > bank/label &&
      echo LAMP > bank/line3/name && echo 1 > live &&
      cat bank/chip_name dev_name`);
    const [name, device] = made.split("\n");
    return new SimulatedChip(
      `/dev/${name}`,
      `/sys/devices/platform/${device}/${name}/sim_gpio`,
    );
  }

  /** Pulls an input up or down. */
  async pull(line: number, to: "up" | "down"): Promise<void> {
    await shell(`echo pull-${to} > ${this.#lines}${line}/pull`);
  }

  /** The values of lines, as the simulator has them. */
  async values(...lines: number[]): Promise<string> {
    const files = lines.map((line) => `${this.#lines}${line}/value`);
    return (await shell(`cat ${files.join(" ")}`)).replaceAll("\n", "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await shell(`
      cd ${CONFIG} && echo 0 > reactor/live &&
      rmdir reactor/bank/line3 reactor/bank reactor`);
  }
}

async function shell(command: string): Promise<string> {
  const { code, text, stderr } = await runPeer("sh", ["-c", command]);
  assertEquals(code, 0, stderr);
  return text.trim();
}

/** Declares a test with a simulated chip, for each backend. */
function testSimulated(
  name: string,
  fn: (sim: SimulatedChip, chip: GpioChip) => Promise<void>,
): void {
  for (const backend of BACKENDS) {
    Deno.test({
      name: `${name}, on simulated lines [${backend}]`,
      ignore: !canMakeChips,
      async fn() {
        await using sim = await SimulatedChip.make();
        await using reactor = new Reactor({ backend });
        using chip = openGpioChip(sim.path, { reactor });
        await deadline(fn(sim, chip), PATIENCE);
      },
    });
  }
}

testSimulated(
  "GpioChip tells what it has, and who has it",
  // deno-lint-ignore require-await
  async (sim, chip) => {
    const name = sim.path.slice("/dev/".length);
    assertEquals(chip.info, { name, label: "simulated", lines: 8 });
    const line = {
      offset: 3,
      name: "LAMP",
      consumer: "",
      used: false,
      direction: "input",
      activeLow: false,
    } as const;
    assertEquals(chip.line(3), line);
    {
      const options = { direction: "output", activeLow: true } as const;
      using _lines = chip.request([3], { ...options, consumer: "test" });
      const changes = { ...options, consumer: "test", used: true };
      assertEquals(chip.line(3), { ...line, ...changes });
      assertThrows(
        () => chip.request([2, 3], { direction: "input" }),
        Deno.errors.Busy,
      );
    }
    assertEquals(chip.line(3).used, false);
    assertThrows(() => chip.line(8), Error, "EINVAL");
  },
);

testSimulated(
  "GpioLines tells of edges as they come",
  async (sim, chip) => {
    await sim.pull(5, "down");
    await sim.pull(3, "up");
    using lines = chip.request([5, 3], {
      direction: "input",
      edge: "both",
      debounce: 1,
    });
    using low = chip.request([6], {
      direction: "input",
      edge: "falling",
      activeLow: true,
      bias: "pull-down",
    });
    assertEquals(lines.get(), [0, 1]);
    assertEquals(low.get(), [1]);
    const events = lines[Symbol.asyncIterator]();
    let last = 0n;
    async function edge(offset: number, edge: string, lineSequence: number) {
      const { timestamp, sequence, ...event } = (await events.next()).value!;
      assertEquals(event, { offset, edge, lineSequence } as typeof event);
      assert(timestamp > last);
      last = timestamp;
      return sequence;
    }
    await sim.pull(5, "up");
    assertEquals(await edge(5, "rising", 1), 1);
    await sim.pull(3, "down");
    assertEquals(await edge(3, "falling", 1), 2);
    await sim.pull(5, "down");
    assertEquals(await edge(5, "falling", 2), 3);
    assertEquals(lines.get(), [0, 0]);
    await sim.pull(6, "up");
    for await (const event of low) {
      assertEquals(event.edge, "falling");
      break;
    }
    await events.return!(undefined);
  },
);

testSimulated("GpioLines sets outputs", async (sim, chip) => {
  using lines = chip.request([5, 6, 7], {
    direction: "output",
    values: [1, 0, 1],
  });
  assertEquals(await sim.values(5, 6, 7), "101");
  lines.set({ 6: 1, 7: 0 });
  assertEquals(await sim.values(5, 6, 7), "110");
  assertEquals(lines.get(), [1, 1, 0]);
  using low = chip.request([2], {
    direction: "output",
    activeLow: true,
    drive: "open-source",
    values: [0],
  });
  assertEquals(low.get(), [0]);
  assertEquals(await sim.values(2), "1");
});

Deno.test({
  name: "gpio.ts shows lines and their edges, and holds outputs, until Ctrl-C",
  ignore: !canMakeChips,
  async fn() {
    await using sim = await SimulatedChip.make();
    const list = await run(startPiped, PROGRAM, { args: [sim.path] });
    assertInOrder(list, [" (simulated), 8 lines\n", "3  input   LAMP  free\n"]);
    await sim.pull(3, "down");
    const edges = await run(startOnTerminal, PROGRAM, {
      args: [sim.path, "3"],
      async talk({ output, type }) {
        await output.until("Values now: 0. Ctrl-C ends it.");
        await sim.pull(3, "up");
        await output.until("line 3  rising");
        await sim.pull(3, "down");
        await output.until("line 3  falling");
        type(CTRL_C);
      },
    });
    assertInOrder(edges, ["line 3  rising\n", "line 3  falling\n"]);
    await run(startOnTerminal, PROGRAM, {
      args: [sim.path, "3=1", "4=0"],
      async talk({ output, type }) {
        await output.until("Values now: 1 0. Ctrl-C ends it.");
        assertEquals(await sim.values(3, 4), "10");
        type(CTRL_C);
      },
    });
  },
});

// The program

testOnLinux(
  "gpio.ts says so when there is no chip, and explains its arguments",
  async () => {
    await run(startPiped, PROGRAM, {
      args: ["/nonexistent/gpiochip0", "17"],
      status: 1,
      complaints:
        'Cannot open "/nonexistent/gpiochip0": no such file or directory (ENOENT)\n',
    });
    for (
      const args of [[], ["/dev/null", "x"], ["/dev/null", "17", "4=1"], [
        "/dev/null",
        "17=2",
      ]]
    ) {
      await run(startPiped, PROGRAM, {
        args,
        status: 2,
        complaints:
          "Usage: gpio.ts CHIP [LINE...] or gpio.ts CHIP LINE=VALUE...\n",
      });
    }
  },
);
