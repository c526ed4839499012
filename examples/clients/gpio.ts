/**
 * GPIO lines through the kernel's character device, version 2 of its interface
 * (`<linux/gpio.h>`, Linux 5.10): what the lines of a chip are, their values,
 * and their edges with the time at which they came.
 *
 *     deno run --allow-ffi examples/clients/gpio.ts /dev/gpiochip0
 *
 * You will see the lines of the chip. With numbers of lines behind it, you will
 * see their edges, and with `17=1` line 17 is an output, at 1 for as long as the
 * program runs. Ctrl-C ends it.
 *
 * It is a module, too, for other programs. Linux on x86-64 and arm64. Its tests
 * compare the bytes that it exchanges with the kernel with `<linux/gpio.h>`, and
 * run on the lines of the kernel's simulator, gpio-sim, where there is one. On a
 * line with a wire it is not proven.
 *
 * @module
 */

import {
  FileDescriptor,
  type Reactor,
  reactor as sharedReactor,
} from "../../mod.ts";
import { check, cString, libc } from "../../ffi/mod.ts";
import { EventRecords } from "./event_records.ts";

/** What a chip is. */
export interface ChipInfo {
  /** The kernel's name, such as "gpiochip0". */
  readonly name: string;
  /** What it is, such as "pinctrl-bcm2835". May be empty. */
  readonly label: string;
  /** How many lines it has. */
  readonly lines: number;
}

/** What a line is, and how it is set up. */
export interface LineInfo {
  /** Its number on the chip. */
  readonly offset: number;
  /** Its name, such as "GPIO17". May be empty. */
  readonly name: string;
  /** Who has it. May be empty although somebody has. */
  readonly consumer: string;
  /** Whether somebody has it. */
  readonly used: boolean;
  readonly direction: "input" | "output";
  /** Whether 1 is the lower voltage. */
  readonly activeLow: boolean;
}

/** How {@linkcode GpioChip.request} sets lines up; all of them alike. */
export interface LineOptions {
  readonly direction: "input" | "output";
  /** Which edges of inputs are told of. The default is none. */
  readonly edge?: "rising" | "falling" | "both";
  /** Whether 1 is the lower voltage. @default {false} */
  readonly activeLow?: boolean;
  /** A resistor. The default is what is there. */
  readonly bias?: "pull-up" | "pull-down" | "disabled";
  /** How outputs drive. The default is both ways. */
  readonly drive?: "open-drain" | "open-source";
  /** What outputs begin with, in the order of their numbers. @default {0} */
  readonly values?: readonly (0 | 1)[];
  /** For so long an input must be quiet to count, in milliseconds. */
  readonly debounce?: number;
  /** A name for {@linkcode LineInfo.consumer}. @default {"deno"} */
  readonly consumer?: string;
}

/** A line went up or down. */
export interface LineEvent {
  /** Which line. */
  readonly offset: number;
  readonly edge: "rising" | "falling";
  /** When, in nanoseconds of the monotonic clock. */
  readonly timestamp: bigint;
  /** Its number among all events of these lines. A gap is what was lost. */
  readonly sequence: number;
  /** Its number among those of its line. */
  readonly lineSequence: number;
}

/** `ioctl(2)`, or what stands in for it in a test. */
export type Ioctl = (
  fd: number,
  request: number,
  argument: Uint8Array<ArrayBuffer>,
) => number;

/** How {@linkcode openGpioChip} opens a chip. */
export interface ChipOptions {
  /** Who waits. The default is the shared `reactor`. */
  readonly reactor?: Reactor;
  /** The default is the kernel's. */
  readonly ioctl?: Ioctl;
}

// <linux/gpio.h>
const GPIO_GET_CHIPINFO_IOCTL = 0x8044b401;
const GPIO_V2_GET_LINEINFO_IOCTL = 0xc100b405;
const GPIO_V2_GET_LINE_IOCTL = 0xc250b407;
const GPIO_V2_LINE_GET_VALUES_IOCTL = 0xc010b40e;
const GPIO_V2_LINE_SET_VALUES_IOCTL = 0xc010b40f;
const NAME_LENGTH = 32;
const LINES_MAX = 64;

/** `enum gpio_v2_line_flag`: the numbers of the bits. */
const FLAG = {
  USED: 0n,
  ACTIVE_LOW: 1n,
  INPUT: 2n,
  OUTPUT: 3n,
  EDGE_RISING: 4n,
  EDGE_FALLING: 5n,
  OPEN_DRAIN: 6n,
  OPEN_SOURCE: 7n,
  BIAS_PULL_UP: 8n,
  BIAS_PULL_DOWN: 9n,
  BIAS_DISABLED: 10n,
} as const;
const ATTRIBUTE_OUTPUT_VALUES = 2;
const ATTRIBUTE_DEBOUNCE = 3;
const RISING_EDGE = 1;

/** `struct gpiochip_info` */
const CHIP_INFO = { length: 68, label: 32, lines: 64 };

/** `struct gpio_v2_line_info` */
const LINE_INFO = { length: 256, consumer: 32, offset: 64, flags: 72 };

/** `struct gpio_v2_line_request`, with its `struct gpio_v2_line_config` */
const REQUEST = {
  length: 592,
  consumer: 256,
  flags: 288,
  attributeCount: 296,
  attributes: 320,
  lineCount: 560,
  fd: 588,
};

/** `struct gpio_v2_line_config_attribute` */
const ATTRIBUTE = { length: 24, value: 8, mask: 16 };

/** `struct gpio_v2_line_values` */
const VALUES = { length: 16, mask: 8 };

/** `struct gpio_v2_line_event` */
const EVENT = { length: 48, id: 8, offset: 12, sequence: 16, lineSequence: 20 };

/**
 * Opens a chip.
 *
 * @param path Where it is, such as `/dev/gpiochip0`.
 * @throws {Deno.errors.NotFound} When there is none.
 * @throws {Error} When it is something else (`code: "ENOTTY"`).
 */
export function openGpioChip(
  path: string,
  options: ChipOptions = {},
): GpioChip {
  const { reactor = sharedReactor, ioctl = libc().ioctl } = options;
  const fd = FileDescriptor.open(path);
  try {
    return new GpioChip(fd, path, reactor, ioctl);
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** A chip that is open. To close it leaves the lines that it gave alone. */
export class GpioChip implements Disposable {
  /** What it is. */
  readonly info: ChipInfo;
  readonly #fd: FileDescriptor;
  readonly #path: string;
  readonly #reactor: Reactor;
  readonly #ioctl: Ioctl;

  /** {@linkcode openGpioChip} makes them. */
  constructor(
    fd: FileDescriptor,
    path: string,
    reactor: Reactor,
    ioctl: Ioctl,
  ) {
    this.#fd = fd;
    this.#path = path;
    this.#reactor = reactor;
    this.#ioctl = ioctl;
    const info = new Uint8Array(CHIP_INFO.length);
    this.#ask(GPIO_GET_CHIPINFO_IOCTL, info, "ask for its lines");
    this.info = {
      name: textAt(info, 0),
      label: textAt(info, CHIP_INFO.label),
      lines: viewOf(info).getUint32(CHIP_INFO.lines, true),
    };
  }

  /** What a line is, whoever has it. */
  line(offset: number): LineInfo {
    const info = new Uint8Array(LINE_INFO.length);
    viewOf(info).setUint32(LINE_INFO.offset, offset, true);
    this.#ask(GPIO_V2_GET_LINEINFO_IOCTL, info, `ask for line ${offset}`);
    const flags = viewOf(info).getBigUint64(LINE_INFO.flags, true);
    const has = (bit: bigint) => (flags >> bit & 1n) === 1n;
    return {
      offset,
      name: textAt(info, 0),
      consumer: textAt(info, LINE_INFO.consumer),
      used: has(FLAG.USED),
      direction: has(FLAG.OUTPUT) ? "output" : "input",
      activeLow: has(FLAG.ACTIVE_LOW),
    };
  }

  /**
   * Takes lines, for as long as the result is open.
   *
   * @param offsets Their numbers on the chip, 64 at most.
   * @throws {Deno.errors.Busy} When somebody has one of them.
   */
  request(offsets: readonly number[], options: LineOptions): GpioLines {
    const request = encodeRequest(offsets, options);
    this.#ask(
      GPIO_V2_GET_LINE_IOCTL,
      request,
      `take lines ${offsets.join(", ")}`,
    );
    const fd = viewOf(request).getInt32(REQUEST.fd, true);
    return new GpioLines(
      FileDescriptor.adopt(fd),
      offsets,
      this.#reactor,
      this.#ioctl,
    );
  }

  /** Closes it. */
  close(): void {
    this.#fd.close();
  }

  /** The same as {@linkcode GpioChip.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #ask(request: number, bytes: Uint8Array<ArrayBuffer>, what: string): void {
    check(
      this.#ioctl(this.#fd.fileno(), request, bytes),
      `Cannot ${what} at the GPIO chip "${this.#path}"`,
    );
  }
}

/** Lines that were taken. They are given back when this is closed. */
export class GpioLines implements Disposable, AsyncIterable<LineEvent> {
  /** Their numbers on the chip. */
  readonly offsets: readonly number[];
  readonly #fd: FileDescriptor;
  readonly #ioctl: Ioctl;
  readonly #events: EventRecords<LineEvent>;

  /** {@linkcode GpioChip.request} makes them. */
  constructor(
    fd: FileDescriptor,
    offsets: readonly number[],
    reactor: Reactor,
    ioctl: Ioctl,
  ) {
    this.offsets = [...offsets];
    this.#fd = fd;
    this.#ioctl = ioctl;
    const { length } = EVENT;
    this.#events = new EventRecords({
      fd,
      length,
      decode: decodeEvents,
      reactor,
    });
  }

  /** The values of all of them, in the order of their numbers. */
  get(): (0 | 1)[] {
    const values = new Uint8Array(VALUES.length);
    viewOf(values).setBigUint64(VALUES.mask, allOf(this.offsets), true);
    this.#ask(GPIO_V2_LINE_GET_VALUES_IOCTL, values, "read");
    const bits = viewOf(values).getBigUint64(0, true);
    return this.offsets.map((_, i) => (bits >> BigInt(i) & 1n) === 1n ? 1 : 0);
  }

  /** Sets outputs, all at once: values by the numbers of their lines. */
  set(values: Readonly<Record<number, 0 | 1>>): void {
    let bits = 0n;
    let mask = 0n;
    for (const [offset, value] of Object.entries(values)) {
      const index = this.offsets.indexOf(Number(offset));
      if (index < 0) throw new RangeError(`Line ${offset} was not taken`);
      mask |= 1n << BigInt(index);
      bits |= BigInt(value) << BigInt(index);
    }
    const bytes = new Uint8Array(VALUES.length);
    viewOf(bytes).setBigUint64(0, bits, true);
    viewOf(bytes).setBigUint64(VALUES.mask, mask, true);
    this.#ask(GPIO_V2_LINE_SET_VALUES_IOCTL, bytes, "set");
  }

  /** The edges, until it is closed. To leave the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncGenerator<LineEvent, void> {
    return this.#events[Symbol.asyncIterator]();
  }

  /** Gives the lines back, and ends the loops over their events. */
  close(): void {
    this.#events[Symbol.dispose]();
    this.#fd.close();
  }

  /** The same as {@linkcode GpioLines.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #ask(request: number, bytes: Uint8Array<ArrayBuffer>, what: string): void {
    check(
      this.#ioctl(this.#fd.fileno(), request, bytes),
      `Cannot ${what} lines ${this.offsets.join(", ")}`,
    );
  }
}

function encodeRequest(
  offsets: readonly number[],
  options: LineOptions,
): Uint8Array<ArrayBuffer> {
  if (offsets.length < 1 || offsets.length > LINES_MAX) {
    throw new RangeError(`Cannot take ${offsets.length} lines at a time`);
  }
  const { consumer = "deno" } = options;
  const bytes = new Uint8Array(REQUEST.length);
  const view = viewOf(bytes);
  offsets.forEach((offset, i) => view.setUint32(4 * i, offset, true));
  const name = cString(consumer, "take lines", "options.consumer");
  bytes.set(name.subarray(0, NAME_LENGTH - 1), REQUEST.consumer);
  view.setBigUint64(REQUEST.flags, flagsFor(options), true);
  view.setUint32(REQUEST.lineCount, offsets.length, true);

  const attributes = attributesFor(options);
  view.setUint32(REQUEST.attributeCount, attributes.length, true);
  attributes.forEach(([id, value], i) => {
    const at = REQUEST.attributes + ATTRIBUTE.length * i;
    view.setUint32(at, id, true);
    // The shorter one is in the lower half, where little-endian has it.
    view.setBigUint64(at + ATTRIBUTE.value, value, true);
    view.setBigUint64(at + ATTRIBUTE.mask, allOf(offsets), true);
  });
  return bytes;
}

function flagsFor(options: LineOptions): bigint {
  const { direction, edge, activeLow, bias, drive } = options;
  const bits = [
    direction === "input" ? FLAG.INPUT : FLAG.OUTPUT,
    edge === "rising" || edge === "both" ? FLAG.EDGE_RISING : undefined,
    edge === "falling" || edge === "both" ? FLAG.EDGE_FALLING : undefined,
    activeLow ? FLAG.ACTIVE_LOW : undefined,
    bias === "pull-up" ? FLAG.BIAS_PULL_UP : undefined,
    bias === "pull-down" ? FLAG.BIAS_PULL_DOWN : undefined,
    bias === "disabled" ? FLAG.BIAS_DISABLED : undefined,
    drive === "open-drain" ? FLAG.OPEN_DRAIN : undefined,
    drive === "open-source" ? FLAG.OPEN_SOURCE : undefined,
  ];
  return bits.reduce<bigint>(
    (flags, bit) => bit === undefined ? flags : flags | 1n << bit,
    0n,
  );
}

function attributesFor(
  { direction, values, debounce }: LineOptions,
): [id: number, value: bigint][] {
  const attributes: [number, bigint][] = [];
  if (direction === "output" && values !== undefined) {
    const bits = values.reduce<bigint>(
      (bits, value, i) => bits | BigInt(value) << BigInt(i),
      0n,
    );
    attributes.push([ATTRIBUTE_OUTPUT_VALUES, bits]);
  }
  if (debounce !== undefined) {
    attributes.push([ATTRIBUTE_DEBOUNCE, BigInt(Math.round(debounce * 1000))]);
  }
  return attributes;
}

/** One read gives any number of events, and never a part of one. */
function* decodeEvents(bytes: Uint8Array<ArrayBuffer>): Generator<LineEvent> {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; at += EVENT.length) {
    yield {
      offset: view.getUint32(at + EVENT.offset, true),
      edge: view.getUint32(at + EVENT.id, true) === RISING_EDGE
        ? "rising"
        : "falling",
      timestamp: view.getBigUint64(at, true),
      sequence: view.getUint32(at + EVENT.sequence, true),
      lineSequence: view.getUint32(at + EVENT.lineSequence, true),
    };
  }
}

/** A bit for each line, by its place among those that were taken. */
function allOf(offsets: readonly number[]): bigint {
  return (1n << BigInt(offsets.length)) - 1n;
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A name: up to 31 bytes and a NUL. */
function textAt(bytes: Uint8Array, at: number): string {
  const name = bytes.subarray(at, at + NAME_LENGTH);
  const end = name.indexOf(0);
  return new TextDecoder().decode(end < 0 ? name : name.subarray(0, end));
}

function list(chip: GpioChip): void {
  const { name, label, lines } = chip.info;
  console.log(`${name} (${label}), ${lines} lines`);
  for (let offset = 0; offset < lines; offset++) {
    const { name, consumer, used, direction } = chip.line(offset);
    const user = used ? `used by ${consumer || "somebody"}` : "free";
    console.log(
      `${String(offset).padStart(4)}  ${direction.padEnd(6)}  ${name}  ${user}`,
    );
  }
}

/** Tells of edges, or holds outputs, until Ctrl-C. */
async function hold(chip: GpioChip, words: string[]): Promise<void> {
  const offsets = words.map((word) => parseInt(word));
  const values = words.map((word) => Number(word.split("=")[1]) as 0 | 1);
  const output = words[0]!.includes("=");
  using lines = chip.request(
    offsets,
    output
      ? { direction: "output", values }
      : { direction: "input", edge: "both" },
  );
  Deno.addSignalListener("SIGINT", () => lines.close());
  console.log(`Values now: ${lines.get().join(" ")}. Ctrl-C ends it.`);
  for await (const { timestamp, offset, edge } of lines) {
    const seconds = (Number(timestamp / 1000n) / 1e6).toFixed(6);
    console.log(`${seconds}  line ${offset}  ${edge}`);
  }
}

async function main([path, ...words]: string[]): Promise<number> {
  const inputs = words.every((word) => /^\d+$/.test(word));
  const outputs = words.every((word) => /^\d+=[01]$/.test(word));
  if (path === undefined || !(inputs || outputs)) {
    console.error(
      "Usage: gpio.ts CHIP [LINE...] or gpio.ts CHIP LINE=VALUE...",
    );
    return 2;
  }
  try {
    using chip = openGpioChip(path);
    await (words.length === 0 ? list(chip) : hold(chip, words));
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
