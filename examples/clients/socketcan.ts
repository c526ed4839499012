/**
 * The frames of a CAN bus, through the kernel's raw sockets (`<linux/can.h>`).
 *
 *     deno run --allow-ffi examples/clients/socketcan.ts can0
 *
 * You will see each frame on the bus, as `candump` writes them: `123#DEADBEEF`,
 * with eight digits before the `#` for an extended identifier, `123#R4` for a
 * remote frame of length 4, and `123##1` and the data for CAN FD. Ctrl-C ends
 * it. Frames that are put behind the interface in that form are sent instead.
 * Where there is no bus, root can make one: `ip link add dev vcan0 type vcan`
 * and `ip link set vcan0 up`.
 *
 * It is a module, too, for other programs. Its tests compare the bytes that it
 * exchanges with the kernel with `<linux/can.h>`, and run on a virtual bus, vcan,
 * where the kernel has that. On a bus with wires it is not proven, nor are the
 * errors that only a controller can tell of, nor `ENOBUFS`.
 *
 * @module
 */

import {
  FileDescriptor,
  type Reactor,
  reactor as sharedReactor,
  type Watch,
} from "../../mod.ts";
import {
  check,
  cString,
  libc,
  LINUX_ONLY,
  readInto,
  WOULD_BLOCK,
  writeFrom,
} from "../../ffi/mod.ts";

/** What travels on the bus. */
export interface CanFrame {
  /** The identifier: 11 bits, or 29 of an extended one. */
  readonly id: number;
  /**
   * Whether the identifier is an extended one.
   *
   * @default {whether it needs more than 11 bits}
   */
  readonly extended?: boolean;
  /** Up to 8 bytes; up to 64 with CAN FD. Of a remote frame, only how many. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Whether it asks for such a frame. @default {false} */
  readonly remote?: boolean;
  /**
   * Whether it comes from the controller, and tells of an error
   * (`<linux/can/error.h>`). @default {false}
   */
  readonly error?: boolean;
  /** Whether it is one of CAN FD. @default {false} */
  readonly fd?: boolean;
  /** Whether the data is sent faster than the rest; CAN FD. @default {false} */
  readonly bitRateSwitch?: boolean;
}

/** Frames whose identifiers are the same in the bits of the mask. */
export interface CanFilter {
  readonly id: number;
  readonly mask: number;
  /** Whether it is for extended identifiers. @default {false} */
  readonly extended?: boolean;
}

/** How {@linkcode openCan} opens a bus. */
export interface CanOptions {
  /** Which frames to receive: those that one of these lets through. */
  readonly filters?: readonly CanFilter[];
  /** Whether frames of CAN FD can be sent and received. @default {false} */
  readonly fd?: boolean;
  /** Whether to receive what this socket sends. @default {false} */
  readonly receiveOwn?: boolean;
  /** Which errors to be told of, as bits. @default {0} */
  readonly errors?: number;
  /** Who waits. The default is the shared `reactor`. */
  readonly reactor?: Reactor;
}

// <sys/socket.h>, <linux/can.h>, <linux/can/raw.h>
const AF_CAN = 29;
const SOCK_RAW = 3;
const CAN_RAW = 1;
const SOL_CAN_RAW = 101;
const CAN_RAW_FILTER = 1;
const CAN_RAW_ERR_FILTER = 2;
const CAN_RAW_RECV_OWN_MSGS = 4;
const CAN_RAW_FD_FRAMES = 5;
const CAN_EFF_FLAG = 0x80000000;
const CAN_RTR_FLAG = 0x40000000;
const CAN_ERR_FLAG = 0x20000000;
const CAN_SFF_MASK = 0x7ff;
const CAN_EFF_MASK = 0x1fffffff;
const CANFD_BRS = 0x01;

/** `struct sockaddr_can`: the family, and the interface's number behind it. */
const ADDRESS = { length: 24, interface: 4 };

/** `struct can_frame` and `struct canfd_frame`, whose beginnings are alike. */
const FRAME = { length: 4, flags: 5, data: 8 };
const CAN_MTU = 16;
const CANFD_MTU = 72;

/** What fits into a frame of CAN FD. */
const FD_LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64];

/**
 * Opens a bus.
 *
 * @param name The interface, such as "can0", or "any".
 * @throws {Error} When there is no such interface (`code: "ENODEV"`), or the
 * kernel knows nothing of CAN (`code: "EAFNOSUPPORT"`).
 */
export function openCan(name: string, options: CanOptions = {}): CanSocket {
  const { SOCK_CLOEXEC, SOCK_NONBLOCK } = LINUX_ONLY;
  const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const action = `Cannot open the CAN interface "${name}"`;
  const fd = FileDescriptor.adopt(
    check(libc().socket(AF_CAN, type, CAN_RAW), action),
  );
  try {
    setOptions(fd, options, action);
    const address = encodeAddress(interfaceNumber(name, action));
    check(libc().bind(fd.fileno(), address, address.length), action);
    return new CanSocket(fd, options.reactor);
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** A bus that is open. */
export class CanSocket implements Disposable, AsyncIterable<CanFrame> {
  readonly #fd: FileDescriptor;
  readonly #reactor: Reactor;
  readonly #watches = new Set<Watch>();
  /** What was sent before, settled or not. */
  #before: Promise<unknown> = Promise.resolve();

  /**
   * {@linkcode openCan} makes them. So can who has such a socket from somewhere
   * else; from now on only this closes it.
   */
  constructor(fd: FileDescriptor, reactor: Reactor = sharedReactor) {
    this.#fd = fd;
    this.#reactor = reactor;
  }

  /**
   * Sends a frame, after those that were given before it.
   *
   * @throws {RangeError} When there is no such frame.
   * @throws {Error} When the interface is down (`code: "ENETDOWN"`), or the
   * queue before it is full (`code: "ENOBUFS"`): the kernel does not say when
   * it will have room.
   */
  send(frame: CanFrame): Promise<void> {
    const bytes = encodeFrame(frame);
    const sent = this.#before.then(() => this.#write(bytes));
    this.#before = sent.catch(() => {});
    return sent;
  }

  /**
   * What comes, until it is closed. When the interface goes down that is an
   * error with `code: "ENETDOWN"`; when it is up again, another loop goes on. To
   * leave the loop closes nothing.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<CanFrame, void> {
    if (this.#fd.fileno() < 0) return;
    using watch = this.#reactor.watch(this.#fd, "readable");
    this.#watches.add(watch);
    try {
      const buffer = new Uint8Array(CANFD_MTU);
      for (;;) {
        const { value, done } = await watch.next();
        if (done) return;
        // One frame at a time, so that none is lost on who leaves the loop.
        const length = readInto(this.#fd.fileno(), buffer);
        if (length === 0) return; // A bus has no end; what stands in for it has.
        if (length !== WOULD_BLOCK) yield decodeFrame(buffer.slice(0, length));
        // The kernel tells it once, and has told it to the watch.
        if (value.error !== undefined) throw value.error;
      }
    } finally {
      this.#watches.delete(watch);
    }
  }

  /** Closes it, and ends the loops over its frames. */
  close(): void {
    for (const watch of this.#watches) watch.close();
    this.#fd.close();
  }

  /** The same as {@linkcode CanSocket.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    while (writeFrom(this.#fd.fileno(), bytes) === WOULD_BLOCK) {
      await this.#reactor.writable(this.#fd);
    }
  }
}

function setOptions(
  fd: FileDescriptor,
  options: CanOptions,
  action: string,
): void {
  const set = (option: number, words: number[]) => {
    const value = new Uint32Array(words);
    const { byteLength } = value;
    check(
      libc().setsockopt(fd.fileno(), SOL_CAN_RAW, option, value, byteLength),
      action,
    );
  };
  const { filters, fd: fdFrames, receiveOwn, errors } = options;
  if (filters !== undefined) set(CAN_RAW_FILTER, filters.flatMap(encodeFilter));
  if (fdFrames) set(CAN_RAW_FD_FRAMES, [1]);
  if (receiveOwn) set(CAN_RAW_RECV_OWN_MSGS, [1]);
  if (errors !== undefined) set(CAN_RAW_ERR_FILTER, [errors]);
}

/**
 * `struct can_filter`. Whether the identifier is an extended one is compared as
 * well.
 */
export function encodeFilter(
  { id, mask, extended = false }: CanFilter,
): [id: number, mask: number] {
  const flag = extended ? CAN_EFF_FLAG : 0;
  return [(id | flag) >>> 0, (mask | CAN_EFF_FLAG) >>> 0];
}

function interfaceNumber(name: string, action: string): number {
  if (name === "any") return 0;
  const number = libc().if_nametoindex(cString(name, "open a bus", "name"));
  return number > 0 ? number : check(-1, action);
}

/** `struct sockaddr_can`. */
export function encodeAddress(number: number): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(ADDRESS.length);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_CAN, true);
  view.setInt32(ADDRESS.interface, number, true);
  return address;
}

/**
 * `struct can_frame`, or `struct canfd_frame`.
 *
 * @throws {RangeError} When there is no such frame.
 */
export function encodeFrame(frame: CanFrame): Uint8Array<ArrayBuffer> {
  const { id, data, fd = false, extended = id > CAN_SFF_MASK } = frame;
  if (
    !Number.isInteger(id) || id < 0 || id > largest(extended || frame.error)
  ) {
    throw new RangeError(`There is no CAN frame with the identifier ${id}`);
  }
  if (fd ? !FD_LENGTHS.includes(data.length) : data.length > 8) {
    throw new RangeError(`There is no CAN frame with ${data.length} bytes`);
  }
  const bytes = new Uint8Array(fd ? CANFD_MTU : CAN_MTU);
  let word = id;
  if (extended) word |= CAN_EFF_FLAG;
  if (frame.remote) word |= CAN_RTR_FLAG;
  if (frame.error) word |= CAN_ERR_FLAG;
  new DataView(bytes.buffer).setUint32(0, word, true);
  bytes[FRAME.length] = data.length;
  if (frame.bitRateSwitch) bytes[FRAME.flags] = CANFD_BRS;
  if (!frame.remote) bytes.set(data, FRAME.data);
  return bytes;
}

function largest(extended: boolean | undefined): number {
  return extended ? CAN_EFF_MASK : CAN_SFF_MASK;
}

/** What {@linkcode encodeFrame} made, or the kernel. */
export function decodeFrame(bytes: Uint8Array<ArrayBuffer>): CanFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = view.getUint32(0, true);
  const error = (word & CAN_ERR_FLAG) !== 0;
  const extended = (word & CAN_EFF_FLAG) !== 0;
  const fd = bytes.length === CANFD_MTU;
  return {
    // What an error is about is in the bits of a long identifier.
    id: word & largest(extended || error),
    extended,
    data: bytes.slice(FRAME.data, FRAME.data + bytes[FRAME.length]!),
    remote: (word & CAN_RTR_FLAG) !== 0,
    error,
    fd,
    bitRateSwitch: fd && (bytes[FRAME.flags]! & CANFD_BRS) !== 0,
  };
}

const TEXT =
  /^([0-9a-f]{3}|[0-9a-f]{8})#(?:(R)(\d?)|(?:#([0-9a-f]))?((?:[0-9a-f]{2})*))$/i;

/**
 * A frame in the form of `cansend`.
 *
 * @throws {SyntaxError} When it is none.
 */
export function parseFrame(text: string): CanFrame {
  const parts = TEXT.exec(text);
  if (parts === null) throw new SyntaxError(`"${text}" is no CAN frame`);
  const [, id = "", remote, length, flags, digits = ""] = parts;
  return {
    id: parseInt(id, 16),
    extended: id.length === 8,
    remote: remote !== undefined,
    error: false,
    data: remote !== undefined
      ? new Uint8Array(Number(length))
      : Uint8Array.fromHex(digits),
    fd: flags !== undefined,
    bitRateSwitch: flags !== undefined &&
      (parseInt(flags, 16) & CANFD_BRS) !== 0,
  };
}

/** The same, the other way round. */
export function formatFrame(frame: CanFrame): string {
  const { id, data, extended = id > CAN_SFF_MASK } = frame;
  const long = extended || frame.error;
  const digits = id.toString(16).toUpperCase().padStart(long ? 8 : 3, "0");
  if (frame.remote) return `${digits}#R${data.length || ""}`;
  const flags = frame.fd ? `#${frame.bitRateSwitch ? CANFD_BRS : 0}` : "";
  return `${digits}#${flags}${data.toHex().toUpperCase()}`;
}

async function main([name, ...texts]: string[]): Promise<number> {
  if (name === undefined) {
    console.error("Usage: socketcan.ts INTERFACE [FRAME...]");
    return 2;
  }
  try {
    const frames = texts.map(parseFrame);
    using bus = openCan(name, { fd: true });
    for (const frame of frames) await bus.send(frame);
    if (frames.length > 0) return 0;
    Deno.addSignalListener("SIGINT", () => bus.close());
    console.log(`Listening on "${name}". Ctrl-C ends it.`);
    for await (const frame of bus) {
      console.log(`${frame.error ? "error " : ""}${formatFrame(frame)}`);
    }
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
