/**
 * A serial port: its speed and frame, its bytes in both directions as web
 * streams, and the signals beside them. A module for other programs, of which
 * `serial_terminal.ts` is one. Names are those of the Web Serial API where it
 * has one.
 *
 * Linux on x86-64 and arm64. Bytes, settings, exclusive use and hang-ups are
 * proven on pseudoterminals, which have neither wires nor a clock: how a driver
 * goes about parity, breaks, the signals of a modem, flow control and
 * {@linkcode SerialPort.drain} is between it and the kernel, and not proven
 * here.
 *
 * @module
 */

import {
  deferLater,
  FileDescriptor,
  type Reactor,
  reactor as sharedReactor,
} from "../../mod.ts";
import { check, ERRNO, libc, POSIX, systemError } from "../../ffi/mod.ts";

/** How bytes travel on the line. */
export interface LineSettings {
  /** Bits in a second; any number that the driver can do. */
  readonly baudRate: number;
  readonly dataBits: 5 | 6 | 7 | 8;
  readonly stopBits: 1 | 2;
  readonly parity: "none" | "even" | "odd";
  /**
   * Who may say "wait": nobody; the wires RTS and CTS; or the bytes XOFF and
   * XON, 0x13 and 0x11, which are then no data any more.
   */
  readonly flowControl: "none" | "hardware" | "software";
}

/** How {@linkcode openSerialPort} opens a port. */
export interface SerialPortOptions extends Partial<LineSettings> {
  readonly baudRate: number;
  /**
   * Whether the port is refused to whoever comes next, and refused to us if
   * somebody has it in that way.
   *
   * @default {true}
   */
  readonly exclusive?: boolean;
  /** Who waits. The default is the shared `reactor`. */
  readonly reactor?: Reactor;
}

/** What the other side of the line says beside the data. */
export interface InputSignals {
  readonly dataCarrierDetect: boolean;
  readonly clearToSend: boolean;
  readonly ringIndicator: boolean;
  readonly dataSetReady: boolean;
}

/** What this side says. What is left out stays as it is. */
export interface OutputSignals {
  readonly dataTerminalReady?: boolean;
  readonly requestToSend?: boolean;
  /** Holds the line at 0, which no byte does for as long. */
  readonly break?: boolean;
}

/** Of the C library, because `ioctl` there takes no plain number. */
const SYMBOLS = {
  /** `int tcdrain(int fd)`; it waits, and so has a thread of its own */
  tcdrain: { parameters: ["i32"], result: "i32", nonblocking: true },
  /** `int tcflush(int fd, int queue)` */
  tcflush: { parameters: ["i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** glibc's name, and musl's. */
const LIBRARIES = ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`];

// <asm-generic/ioctls.h>
const TIOCEXCL = 0x540c;
const TIOCNXCL = 0x540d;
const TIOCMGET = 0x5415;
const TIOCMBIS = 0x5416;
const TIOCMBIC = 0x5417;
const TIOCSBRK = 0x5427;
const TIOCCBRK = 0x5428;
const TCGETS2 = 0x802c542a;
const TCSETS2 = 0x402c542b;
const TIOCGEXCL = 0x80045440;

// <asm-generic/termios.h>
const TIOCM_DTR = 0x002;
const TIOCM_RTS = 0x004;
const TIOCM_CTS = 0x020;
const TIOCM_CAR = 0x040;
const TIOCM_RNG = 0x080;
const TIOCM_DSR = 0x100;

// <asm-generic/termbits.h>, where struct termios2 is: four words of flags, the
// line discipline, 19 characters, two speeds.
const TERMIOS2_LENGTH = 44;
const IFLAG = 0;
const OFLAG = 4;
const CFLAG = 8;
const LFLAG = 12;
const CC = 17;
const ISPEED = 36;
const OSPEED = 40;
const VTIME = 5;
const VMIN = 6;
const IXON = 0x400;
const IXOFF = 0x1000;
const CBAUD = 0x100f;
const CIBAUD = 0x100f0000;
const BOTHER = 0x1000;
const CSIZE = 0x30;
const CSTOPB = 0x40;
const CREAD = 0x80;
const PARENB = 0x100;
const PARODD = 0x200;
const CLOCAL = 0x800;
const CRTSCTS = 0x80000000;
const TCOFLUSH = 1;

/**
 * The speeds that have a code, which is their place in the row. Those from
 * 57600 up have codes from 0x1001 up. Any other speed is given as a number;
 * these could be as well, but then `stty` and the like could not tell them.
 */
// deno-fmt-ignore
const SLOW = [
  0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200,
  38400,
];
// deno-fmt-ignore
const FAST = [
  57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000,
  1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
];

/** The kernel takes speeds for the same that are as close (drivers/tty/tty_baudrate.c). */
const TOLERANCE = 0.02;

/** What a port has if nothing else is asked for. */
const DEFAULTS = {
  dataBits: 8,
  stopBits: 1,
  parity: "none",
  flowControl: "none",
} as const;

/** So long a break is, in milliseconds, as it is for tcsendbreak(3). */
const BREAK = 250;

let library: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

/**
 * Opens a port, and makes it a mere wire: nothing is echoed, edited, converted
 * or turned into a signal.
 *
 * @param path Where it is, such as `/dev/ttyUSB0`.
 * @throws {Deno.errors.NotFound} When there is no such port.
 * @throws {Deno.errors.PermissionDenied} When the user may not have it; often
 * the group `dialout` may.
 * @throws {Deno.errors.Busy} When somebody has it for themselves.
 * @throws {RangeError} When the driver does not do what is asked for.
 * @throws {Error} When it is no terminal (`code: "ENOTTY"`).
 */
export function openSerialPort(
  path: string,
  options: SerialPortOptions,
): SerialPort {
  const { exclusive = true, reactor = sharedReactor, ...line } = options;
  const settings = { ...DEFAULTS, ...line };
  if (!(Number.isInteger(settings.baudRate) && settings.baudRate > 0)) {
    throw new RangeError(`A speed of ${settings.baudRate} is none`);
  }
  library ??= openLibrary();
  // Does not wait for a carrier: it is opened non-blocking.
  const fd = FileDescriptor.open(path, { read: true, write: true });
  try {
    const before = getTermios(fd, `Cannot open "${path}" as a serial port`);
    if (exclusive) claim(fd, path);
    try {
      applySettings(fd, path, before, settings);
      return new SerialPort(fd, path, before, exclusive, reactor);
    } catch (error) {
      giveBack(fd, before, exclusive);
      throw error;
    }
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * A port that is open. `close()` ends it at once, and so does `using`; with
 * `await using` what was written is sent first.
 */
export class SerialPort
  implements Disposable, AsyncDisposable, AsyncIterable<Uint8Array> {
  /** Where it is. */
  readonly path: string;
  /**
   * What comes, read when it is asked for. It ends when the port hangs up, as
   * when its plug is pulled.
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** What is to be sent. To close it closes nothing else. */
  readonly writable: WritableStream<Uint8Array>;
  readonly #fd: FileDescriptor;
  readonly #before: Uint8Array<ArrayBuffer>;
  readonly #exclusive: boolean;
  readonly #reactor: Reactor;

  /** {@linkcode openSerialPort} makes them. */
  constructor(
    fd: FileDescriptor,
    path: string,
    before: Uint8Array<ArrayBuffer>,
    exclusive: boolean,
    reactor: Reactor,
  ) {
    this.path = path;
    this.#fd = fd;
    this.#before = before;
    this.#exclusive = exclusive;
    this.#reactor = reactor;
    // It is closed when its settings have been given back, and not before.
    this.readable = fd.readable({ reactor, preventClose: true });
    this.writable = fd.writable({ reactor, preventClose: true });
  }

  /** How bytes travel on the line, as the driver has it. */
  get settings(): LineSettings {
    return settingsIn(getTermios(this.#fd, this.#cannot("ask for settings")));
  }

  /** What the other side says beside the data. */
  getSignals(): InputSignals {
    const bits = new Int32Array(1);
    this.#ioctl(TIOCMGET, bits, "ask for signals");
    const has = (bit: number) => (bits[0]! & bit) !== 0;
    return {
      dataCarrierDetect: has(TIOCM_CAR),
      clearToSend: has(TIOCM_CTS),
      ringIndicator: has(TIOCM_RNG),
      dataSetReady: has(TIOCM_DSR),
    };
  }

  /** Sets what this side says. */
  setSignals(signals: OutputSignals): void {
    const { dataTerminalReady: dtr, requestToSend: rts } = signals;
    for (const [bit, on] of [[TIOCM_DTR, dtr], [TIOCM_RTS, rts]] as const) {
      if (on === undefined) continue;
      const request = on ? TIOCMBIS : TIOCMBIC;
      this.#ioctl(request, new Int32Array([bit]), "set signals");
    }
    if (signals.break === undefined) return;
    this.#ioctl(signals.break ? TIOCSBRK : TIOCCBRK, null, "send a break");
  }

  /** Sends a break, which many receivers take for "attention". */
  async sendBreak(milliseconds: number = BREAK): Promise<void> {
    this.setSignals({ break: true });
    await deferLater(milliseconds, () => this.setSignals({ break: false }), {
      clock: this.#reactor,
    });
  }

  /** Resolves when all that the kernel has taken is sent. */
  async drain(): Promise<void> {
    const unsent = new Int32Array(1);
    do {
      // The errno of the other thread can't be had. If it was a signal that
      // interrupted it, there is no harm in asking again; else this will tell.
      this.#ioctl(POSIX.TIOCOUTQ, unsent, "drain");
    } while (await library!.tcdrain(this.#fd.fileno()) < 0);
  }

  /** What comes, piece by piece. To leave the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array<ArrayBuffer>> {
    return this.readable.values({ preventCancel: true })
      [Symbol.asyncIterator]();
  }

  /**
   * What comes, as lines of UTF-8. The last one need not be complete. Who
   * leaves the loop leaves what had come and made no line.
   */
  async *lines(): AsyncGenerator<string> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const bytes of this) {
      rest += decoder.decode(bytes, { stream: true });
      const parts = rest.split(/\r?\n/);
      rest = parts.pop()!;
      yield* parts;
    }
    rest += decoder.decode();
    if (rest !== "") yield rest;
  }

  /**
   * Gives the port back with the settings that it had. What has not been sent
   * is dropped, and its streams fail. Does nothing if it is closed.
   */
  close(): void {
    if (this.#fd.fileno() < 0) return;
    giveBack(this.#fd, this.#before, this.#exclusive);
    this.#fd.close();
  }

  /** The same as {@linkcode SerialPort.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Sends what was written, and closes, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#fd.fileno() >= 0) await this.drain();
    } catch (error) {
      // The port hung up: there is nobody left to send it to.
      if ((error as { code?: string }).code !== "EIO") throw error;
    } finally {
      this.close();
    }
  }

  #ioctl(request: number, argument: Int32Array | null, what: string): void {
    const fd = this.#fd.fileno();
    check(
      libc().ioctl(fd, request, argument as Int32Array<ArrayBuffer> | null),
      this.#cannot(what),
    );
  }

  #cannot(what: string): string {
    return `Cannot ${what} at the serial port "${this.path}"`;
  }
}

function openLibrary(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  let failure: unknown;
  for (const path of LIBRARIES) {
    try {
      return Deno.dlopen(path, SYMBOLS).symbols;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      failure = error;
    }
  }
  throw failure;
}

/**
 * Has the kernel refuse others. It lets the superuser in all the same
 * (ioctl_tty(2), TIOCEXCL), who therefore asks before.
 */
function claim(fd: FileDescriptor, path: string): void {
  const action = `Cannot have the serial port "${path}" alone`;
  const taken = new Int32Array(1);
  check(libc().ioctl(fd.fileno(), TIOCGEXCL, taken), action);
  if (taken[0] !== 0) throw systemError(action, ERRNO.EBUSY!);
  check(libc().ioctl(fd.fileno(), TIOCEXCL, null), action);
}

/** What {@linkcode claim} and {@linkcode applySettings} did is undone. */
function giveBack(
  fd: FileDescriptor,
  before: Uint8Array<ArrayBuffer>,
  exclusive: boolean,
): void {
  // For what is unsent, close(2) would wait for up to half a minute, and this
  // thread with it (closing_wait, drivers/tty/tty_port.c).
  library!.tcflush(fd.fileno(), TCOFLUSH);
  // These fail when the port has hung up. Nothing is left to be given back.
  libc().ioctl(fd.fileno(), TCSETS2, before);
  if (exclusive) libc().ioctl(fd.fileno(), TIOCNXCL, null);
}

function getTermios(
  fd: FileDescriptor,
  action: string,
): Uint8Array<ArrayBuffer> {
  const termios = new Uint8Array(TERMIOS2_LENGTH);
  check(libc().ioctl(fd.fileno(), TCGETS2, termios), action);
  return termios;
}

/**
 * Sets the settings, and looks whether they are. tcsetattr(3): what the driver
 * can't do is no error.
 */
function applySettings(
  fd: FileDescriptor,
  path: string,
  before: Uint8Array<ArrayBuffer>,
  settings: LineSettings,
): void {
  const action = `Cannot set up the serial port "${path}"`;
  const wanted = termiosFor(settings, before);
  check(libc().ioctl(fd.fileno(), TCSETS2, wanted), action);
  const got = settingsIn(getTermios(fd, action));
  const { baudRate } = settings;
  const off = Math.abs(got.baudRate - baudRate);
  if (off > baudRate * TOLERANCE) throw refused(action, settings, "baudRate");
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    if (got[name] !== settings[name]) throw refused(action, settings, name);
  }
}

function refused(
  action: string,
  settings: LineSettings,
  name: keyof LineSettings,
): RangeError {
  const value = JSON.stringify(settings[name]);
  return new RangeError(`${action}: it does not do a ${name} of ${value}`);
}

/** The settings as the kernel wants them; `before` has what stays. */
function termiosFor(
  settings: LineSettings,
  before: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const { baudRate, dataBits, stopBits, parity, flowControl } = settings;
  const termios = before.slice();
  const view = new DataView(termios.buffer);
  // Raw, as cfmakeraw(3) has it, and with none of what that leaves on.
  view.setUint32(IFLAG, flowControl === "software" ? IXON | IXOFF : 0, true);
  view.setUint32(OFLAG, 0, true);
  view.setUint32(LFLAG, 0, true);
  // With 0, nothing to read would look like the end.
  termios[CC + VMIN] = 1;
  termios[CC + VTIME] = 0;

  // No carrier is waited for, and none is missed when it goes.
  let control = view.getUint32(CFLAG, true) | CREAD | CLOCAL;
  control &= ~(CBAUD | CIBAUD | CSIZE | CSTOPB | PARENB | PARODD | CRTSCTS);
  control |= speedCode(baudRate) | ((dataBits - 5) << 4 & CSIZE);
  if (stopBits === 2) control |= CSTOPB;
  if (parity !== "none") control |= PARENB;
  if (parity === "odd") control |= PARODD;
  if (flowControl === "hardware") control |= CRTSCTS;
  view.setUint32(CFLAG, control, true);
  view.setUint32(ISPEED, baudRate, true);
  view.setUint32(OSPEED, baudRate, true);
  return termios;
}

function speedCode(baudRate: number): number {
  const slow = SLOW.indexOf(baudRate);
  if (slow >= 0) return slow;
  const fast = FAST.indexOf(baudRate);
  return fast >= 0 ? BOTHER + 1 + fast : BOTHER;
}

function settingsIn(termios: Uint8Array<ArrayBuffer>): LineSettings {
  const view = new DataView(termios.buffer);
  const input = view.getUint32(IFLAG, true);
  const control = view.getUint32(CFLAG, true);
  return {
    baudRate: view.getUint32(OSPEED, true),
    dataBits: 5 + ((control & CSIZE) >> 4) as LineSettings["dataBits"],
    stopBits: control & CSTOPB ? 2 : 1,
    parity: !(control & PARENB) ? "none" : control & PARODD ? "odd" : "even",
    flowControl: control & CRTSCTS
      ? "hardware"
      : input & IXON
      ? "software"
      : "none",
  };
}
