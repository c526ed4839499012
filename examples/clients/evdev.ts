/**
 * Keyboards, mice, joysticks, buttons and lids as the kernel has them:
 * `/dev/input/event*` (`<linux/input.h>`), below every terminal and desktop.
 *
 *     deno run --allow-ffi examples/clients/evdev.ts /dev/input/event0
 *
 * You will see what the device is, and a line for each event. Ctrl-C ends it.
 * `--grab` behind the device keeps its events from everybody else: do not do
 * that with your only keyboard. The group `input` may read these devices.
 *
 * It is a module, too, for other programs. Linux on x86-64 and arm64. Its tests
 * compare the bytes that it exchanges with the kernel with `<linux/input.h>`,
 * and run on devices that the kernel makes, by uinput, where it can. On a device
 * that one can touch it is not proven.
 *
 * @module
 */

import {
  FileDescriptor,
  type Reactor,
  reactor as sharedReactor,
} from "../../mod.ts";
import { check, libc } from "../../ffi/mod.ts";
import { EventRecords } from "./event_records.ts";

/** What every event has. */
interface Stamped {
  /** When it came, in milliseconds, as `Date.now()` has them. */
  readonly time: number;
}

/** A key, or a button. */
export interface KeyEvent extends Stamped {
  readonly type: "key";
  /** Its number, as in `<linux/input-event-codes.h>`. */
  readonly code: number;
  /** Its name there, such as "KEY_A", or "" if it is not a common one. */
  readonly name: string;
  readonly action: "press" | "release" | "repeat";
}

/** A movement by so much, or to a place. */
export interface MotionEvent extends Stamped {
  readonly type: "relative" | "absolute";
  /** The axis. */
  readonly code: number;
  /** Its name, such as "REL_X", or "" if it is not a common one. */
  readonly name: string;
  readonly value: number;
}

/** What came since the last of these came at one time, and belongs together. */
export interface ReportEvent extends Stamped {
  readonly type: "report";
}

/**
 * The kernel has dropped events, because nobody read them. What is held down is
 * not known any more, and what comes up to the next report is not whole.
 */
export interface DroppedEvent extends Stamped {
  readonly type: "dropped";
}

/** Anything else: a switch, a light, a scan code. */
export interface OtherEvent extends Stamped {
  readonly type: "other";
  /** The number of its type, `EV_...`. */
  readonly kind: number;
  readonly code: number;
  readonly value: number;
}

/** What an input device says. */
export type InputEvent =
  | KeyEvent
  | MotionEvent
  | ReportEvent
  | DroppedEvent
  | OtherEvent;

/** Which device it is. */
export interface DeviceInfo {
  /** Its name, such as "AT Translated Set 2 keyboard". */
  readonly name: string;
  /** How it is connected: 3 is USB, 5 Bluetooth, 0x11 a PC's own port. */
  readonly bus: number;
  readonly vendor: number;
  readonly product: number;
  readonly version: number;
}

/** `ioctl(2)`, or what stands in for it in a test. */
export type Ioctl = (
  fd: number,
  request: number,
  argument: Uint8Array<ArrayBuffer> | null,
) => number;

/** How {@linkcode openInputDevice} opens a device. */
export interface InputDeviceOptions {
  /** Whether nobody else gets its events. @default {false} */
  readonly grab?: boolean;
  /** Who waits. The default is the shared `reactor`. */
  readonly reactor?: Reactor;
  /** The default is the kernel's. */
  readonly ioctl?: Ioctl;
}

/** `EV_...`, the types of events. */
export const EVENT_TYPE = {
  SYN: 0x00,
  KEY: 0x01,
  REL: 0x02,
  ABS: 0x03,
  MSC: 0x04,
  SW: 0x05,
  LED: 0x11,
  SND: 0x12,
  REP: 0x14,
} as const;
const SYN_REPORT = 0;
const SYN_DROPPED = 3;

// Requests have their lengths in them: <asm-generic/ioctl.h>.
const EVIOCGID = 0x80084502;
const EVIOCGRAB = 0x40044590;
const evioc = (number: number, length: number) =>
  (0x80004500 | length << 16 | number) >>> 0;
const EVIOCGNAME = (length: number) => evioc(0x06, length);
const EVIOCGBIT = (type: number, length: number) => evioc(0x20 + type, length);

/** Longer names are cut. */
const NAME_LENGTH = 256;
/** A bit for each code: `KEY_MAX`, the highest there is, is 0x2ff. */
const BITS_LENGTH = 0x300 / 8;

/** `struct input_event`: seconds, microseconds, type, code, value. */
const EVENT = { length: 24, microseconds: 8, type: 16, code: 18, value: 20 };

/** What the keys from 1 on are called, up to where there is a gap. */
const KEYS =
  "ESC 1 2 3 4 5 6 7 8 9 0 MINUS EQUAL BACKSPACE TAB Q W E R T Y U I O P LEFTBRACE RIGHTBRACE ENTER LEFTCTRL A S D F G H J K L SEMICOLON APOSTROPHE GRAVE LEFTSHIFT BACKSLASH Z X C V B N M COMMA DOT SLASH RIGHTSHIFT KPASTERISK LEFTALT SPACE CAPSLOCK F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NUMLOCK SCROLLLOCK KP7 KP8 KP9 KPMINUS KP4 KP5 KP6 KPPLUS KP1 KP2 KP3 KP0 KPDOT";
/** And from 96 on. */
const MORE_KEYS =
  "KPENTER RIGHTCTRL KPSLASH SYSRQ RIGHTALT LINEFEED HOME UP PAGEUP LEFT RIGHT END DOWN PAGEDOWN INSERT DELETE MACRO MUTE VOLUMEDOWN VOLUMEUP POWER";
/** And those of a mouse, from 0x110 on. */
const BUTTONS = "LEFT RIGHT MIDDLE SIDE EXTRA FORWARD BACK TASK";
const RELATIVE = "X Y Z RX RY RZ HWHEEL DIAL WHEEL";
const ABSOLUTE = "X Y Z RX RY RZ THROTTLE RUDDER WHEEL GAS BRAKE";

function named(prefix: string, from: number, names: string) {
  return names.split(" ").map((name, i) =>
    [from + i, `${prefix}_${name}`] as const
  );
}

const KEY_NAMES: ReadonlyMap<number, string> = new Map([
  ...named("KEY", 1, KEYS),
  ...named("KEY", 87, "F11 F12"),
  ...named("KEY", 96, MORE_KEYS),
  ...named("KEY", 125, "LEFTMETA RIGHTMETA COMPOSE"),
  ...named("BTN", 0x110, BUTTONS),
]);
const AXIS_NAMES = {
  relative: new Map(named("REL", 0, RELATIVE)),
  absolute: new Map(named("ABS", 0, ABSOLUTE)),
} as const;

/**
 * Opens a device.
 *
 * @param path Where it is, such as `/dev/input/event0`.
 * @throws {Deno.errors.NotFound} When there is none.
 * @throws {Deno.errors.PermissionDenied} When the user may not read it.
 * @throws {Deno.errors.Busy} When somebody else has grabbed what is to be
 * grabbed.
 * @throws {Error} When it is something else (`code: "ENOTTY"`).
 */
export function openInputDevice(
  path: string,
  options: InputDeviceOptions = {},
): InputDevice {
  const { grab = false, reactor = sharedReactor, ioctl = libc().ioctl } =
    options;
  const fd = FileDescriptor.open(path);
  try {
    const device = new InputDevice(fd, path, reactor, ioctl);
    if (grab) device.grab();
    return device;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** A device that is open. */
export class InputDevice implements Disposable, AsyncIterable<InputEvent> {
  /** Which it is. */
  readonly info: DeviceInfo;
  readonly #fd: FileDescriptor;
  readonly #path: string;
  readonly #ioctl: Ioctl;
  readonly #events: EventRecords<InputEvent>;

  /** {@linkcode openInputDevice} makes them. */
  constructor(
    fd: FileDescriptor,
    path: string,
    reactor: Reactor,
    ioctl: Ioctl,
  ) {
    this.#fd = fd;
    this.#path = path;
    this.#ioctl = ioctl;
    const { length } = EVENT;
    this.#events = new EventRecords({
      fd,
      length,
      decode: decodeEvents,
      reactor,
    });
    const name = new Uint8Array(NAME_LENGTH);
    this.#ask(EVIOCGNAME(NAME_LENGTH), name, "ask for the name of");
    const id = new Uint16Array(4);
    this.#ask(EVIOCGID, new Uint8Array(id.buffer), "ask for the numbers of");
    const [bus, vendor, product, version] = id as unknown as number[];
    this.info = {
      name: new TextDecoder().decode(name).replace(/\0.*/s, ""),
      bus: bus!,
      vendor: vendor!,
      product: product!,
      version: version!,
    };
  }

  /** The types of events that it may have, as in {@linkcode EVENT_TYPE}. */
  get types(): number[] {
    return this.codes(0);
  }

  /** The codes that it may have with a type: its keys, its axes. */
  codes(type: number): number[] {
    const bits = new Uint8Array(BITS_LENGTH);
    this.#ask(EVIOCGBIT(type, BITS_LENGTH), bits, "ask for the abilities of");
    return Array.from({ length: BITS_LENGTH * 8 }, (_, code) => code)
      .filter((code) => (bits[code >> 3]! >> (code & 7) & 1) === 1);
  }

  /**
   * Keeps its events from everybody else, until it is closed or told otherwise.
   */
  grab(on: boolean = true): void {
    // Whether the pointer is null is all that counts.
    this.#ask(
      EVIOCGRAB,
      on ? new Uint8Array(4) : null,
      on ? "grab" : "let go of",
    );
  }

  /**
   * The events, until it is closed. When the device goes away that is an error
   * with `code: "ENODEV"`. To leave the loop closes nothing.
   */
  [Symbol.asyncIterator](): AsyncGenerator<InputEvent, void> {
    return this.#events[Symbol.asyncIterator]();
  }

  /** Closes it, and ends the loops over its events. */
  close(): void {
    this.#events[Symbol.dispose]();
    this.#fd.close();
  }

  /** The same as {@linkcode InputDevice.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #ask(
    request: number,
    bytes: Uint8Array<ArrayBuffer> | null,
    what: string,
  ): void {
    check(
      this.#ioctl(this.#fd.fileno(), request, bytes),
      `Cannot ${what} the input device "${this.#path}"`,
    );
  }
}

/** One read gives any number of events, and never a part of one. */
function* decodeEvents(bytes: Uint8Array<ArrayBuffer>): Generator<InputEvent> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += EVENT.length) {
    const seconds = Number(view.getBigInt64(at, true));
    const microseconds = Number(
      view.getBigInt64(at + EVENT.microseconds, true),
    );
    yield decodeEvent(
      seconds * 1000 + microseconds / 1000,
      view.getUint16(at + EVENT.type, true),
      view.getUint16(at + EVENT.code, true),
      view.getInt32(at + EVENT.value, true),
    );
  }
}

function decodeEvent(
  time: number,
  kind: number,
  code: number,
  value: number,
): InputEvent {
  const { SYN, KEY, REL, ABS } = EVENT_TYPE;
  if (kind === SYN && code === SYN_REPORT) return { time, type: "report" };
  if (kind === SYN && code === SYN_DROPPED) return { time, type: "dropped" };
  if (kind === KEY) {
    const name = KEY_NAMES.get(code) ?? "";
    const action = value === 0 ? "release" : value === 1 ? "press" : "repeat";
    return { time, type: "key", code, name, action };
  }
  if (kind === REL || kind === ABS) {
    const type = kind === REL ? "relative" : "absolute";
    const name = AXIS_NAMES[type].get(code) ?? "";
    return { time, type, code, name, value };
  }
  return { time, type: "other", kind, code, value };
}

/** An event as a line; none for the ends of reports. */
function describe(event: InputEvent): string | undefined {
  switch (event.type) {
    case "report":
      return;
    case "dropped":
      return "some were dropped";
    case "key":
      return `${event.name || `key ${event.code}`} ${event.action}`;
    case "relative":
    case "absolute":
      return `${event.name || `${event.type} ${event.code}`} ${event.value}`;
    case "other":
      return `type ${event.kind}, code ${event.code}: ${event.value}`;
  }
}

async function main([path, option, ...more]: string[]): Promise<number> {
  const grab = option === "--grab";
  if (
    path === undefined || (option !== undefined && !grab) || more.length > 0
  ) {
    console.error("Usage: evdev.ts DEVICE [--grab]");
    return 2;
  }
  try {
    using device = openInputDevice(path, { grab });
    Deno.addSignalListener("SIGINT", () => device.close());
    const keys = device.codes(EVENT_TYPE.KEY).length;
    console.log(`"${device.info.name}", ${keys} keys. Ctrl-C ends it.`);
    for await (const event of device) {
      const line = describe(event);
      if (line === undefined) continue;
      console.log(
        `${new Date(event.time).toISOString().slice(11, 23)}  ${line}`,
      );
    }
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
