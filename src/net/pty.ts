/**
 * Pseudoterminals, as transports.
 *
 * @module
 */

import { POLL, POSIX } from "../../ffi/constants.ts";
import { closeDescriptor, openFile } from "../../ffi/descriptor.ts";
import { ERRNO } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import {
  openPty as openMaster,
  type OpenPtyOptions,
  type Pty,
  setWindowSize,
} from "../../ffi/pty.ts";
import { makeRaw } from "../../ffi/terminal_mode.ts";
import { checkBoolean, complaint } from "../arguments.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import { NAMELESS } from "./address.ts";
import {
  DescriptorStream,
  DescriptorTransport,
  LATER,
} from "./descriptor_stream.ts";
import {
  type BufferedProtocol,
  checkProtocol,
  type Protocol,
  type Transport,
} from "./protocol.ts";

/**
 * Options of {@linkcode openPty}.
 *
 * @example A wide terminal for people
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import { openPty } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * let echo = "";
 * const { promise, resolve } = Promise.withResolvers<void>();
 * const terminal = openPty({
 *   dataReceived(data) {
 *     echo += new TextDecoder().decode(data);
 *     if (echo.endsWith("\n")) resolve();
 *   },
 * }, { columns: 132, rows: 43, reopenable: true });
 *
 * terminal.write("ls\r"); // As if it was typed: it is echoed, and makes a line.
 * await promise;
 * assertEquals(echo, "ls\r\n");
 *
 * const program = FileDescriptor.open(terminal.path);
 * for await (const line of program.readable()) {
 *   assertEquals(new TextDecoder().decode(line), "ls\n");
 *   break;
 * }
 * terminal.loseConnection();
 * ```
 */
export interface PtyOptions extends OpenPtyOptions {
  /**
   * Whether bytes pass as they are, both ways, as on a serial line. If not, it is
   * a terminal for people: it echoes what it gets, gives it on in lines, and
   * makes signals of some keys, until the program there asks for something else.
   *
   * @default {false}
   */
  raw?: boolean;
  /**
   * Whether programs may come and go, as on a serial line: it goes on when none
   * has the terminal open any more, and nothing tells.
   *
   * @default {false}
   */
  reopenable?: boolean;
  /**
   * The reactor that serves it.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

/**
 * The master of a pseudoterminal, as a protocol sees it.
 *
 * @example A window that changes its size
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import {
 *   openPty,
 *   type PtyTransport,
 *   spawnProcess,
 * } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const window: PtyTransport = openPty({ dataReceived() {} }, {
 *   reopenable: true,
 * });
 * window.setWindowSize(132, 43);
 *
 * const terminal = FileDescriptor.open(window.path);
 * const { promise, resolve } = Promise.withResolvers<string>();
 * spawnProcess(
 *   {
 *     childDataReceived: (_fd, data) => resolve(new TextDecoder().decode(data)),
 *   },
 *   "stty",
 *   { args: ["size"], childFDs: { 0: terminal, 1: "r" } },
 * );
 * assertEquals(await promise, "43 132\n");
 * terminal.close();
 * window.loseConnection();
 * ```
 */
export interface PtyTransport extends Transport {
  /** Where a program opens the terminal, such as "/dev/pts/3". */
  readonly path: string;
  /**
   * Sets the size of the terminal's window. The programs in it are told by
   * SIGWINCH. After the end it does nothing.
   *
   * @param columns The width in characters.
   * @param rows The height in characters.
   * @throws {TypeError} When an argument is not a number.
   * @throws {RangeError} When a size is not an integer from 0 to 65535.
   */
  setWindowSize(columns: number, rows: number): void;
}

/**
 * Makes a pseudoterminal, which other programs open by its path. To start a
 * program in one, there is {@linkcode spawnProcess} with `pty`.
 *
 * - Before anybody has opened it, what is written waits there for the first who
 *   does. It takes no more than the terminal has room for, some kilobytes; then
 *   `bufferedAmount` grows, and producers are paused.
 * - When the last program has closed it, what it wrote is still received. Then
 *   the connection is lost with `ConnectionDone`, unless it is `reopenable`.
 *   Nothing else ends it from that side: Ctrl-D is an end to the program only.
 * - A terminal has no halves. `loseWriteConnection` ends what this side writes,
 *   of which the other learns nothing; `readConnectionLost` tells that all have
 *   closed it.
 * - When this side closes it, the programs are hung up on (SIGHUP), and what they
 *   have not read by then is lost, although it was sent.
 *
 * It has no address: `getHost` and `getPeer` give that of a UNIX socket without a
 * name. The options of TCP and `startTLS` throw `Deno.errors.NotSupported`.
 *
 * @param protocol What happens on it. It is connected when this returns.
 * @param options What kind of a terminal it is, and who serves it.
 * @returns The transport, which is the protocol's, too.
 * @throws {TypeError} When an argument is not of the right type.
 * @throws {RangeError} When a size is not an integer from 0 to 65535.
 * @throws {Error} When the system has no more pseudoterminals.
 *
 * @example A serial line, and a program at its other end
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import { openPty } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * const device = openPty({
 *   dataReceived: () => device.write("OK\r\n"),
 * }, { raw: true });
 *
 * const line = FileDescriptor.open(device.path, { read: true, write: true });
 * line.write(new TextEncoder().encode("AT\r"));
 * for await (const answer of line.readable()) {
 *   assertEquals(new TextDecoder().decode(answer), "OK\r\n");
 *   break;
 * }
 * device.loseConnection();
 * ```
 */
export function openPty(
  protocol: Protocol | BufferedProtocol,
  options: PtyOptions = {},
): PtyTransport {
  const action = "open a pseudoterminal";
  checkProtocol(protocol, action);
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { reactor = sharedReactor, raw = false, reopenable = false } = options;
  if (typeof reactor?.addReader !== "function") {
    throw new TypeError(
      complaint(reactor, action, "options.reactor", "a Reactor"),
    );
  }
  for (const [name, value] of Object.entries({ raw, reopenable })) {
    checkBoolean(value, action, `options.${name}`);
  }
  const pty = openMaster(options);
  const transport = new MasterTransport(pty, reactor);
  try {
    if (raw) makeRaw(pty.master);
    if (reopenable) transport.holdOpen();
  } catch (error) {
    closeDescriptor(pty.master);
    throw error;
  }
  transport.start(protocol);
  return transport;
}

/** See {@linkcode PtyTransport}. */
class MasterTransport extends DescriptorTransport implements PtyTransport {
  readonly path: string;
  readonly #stream: MasterStream;

  constructor({ master, path }: Pty, reactor: Reactor) {
    const socket = new MasterStream(master);
    super({ reactor, socket, host: NAMELESS, peer: NAMELESS });
    this.#stream = socket;
    this.path = path;
  }

  /** Keeps the terminal open from this side, so that it never hangs up. */
  holdOpen(): void {
    this.#stream.slave = openFile(this.path, POSIX.O_RDWR);
  }

  setWindowSize(columns: number, rows: number): void {
    const { fd } = this.#stream;
    if (fd !== -1) setWindowSize(fd, columns, rows);
  }
}

/** The master of a pseudoterminal. */
class MasterStream extends DescriptorStream {
  override readonly name = "a pseudoterminal";
  /** The terminal itself, if it is held open. */
  slave = -1;

  override receive(into: Uint8Array): number {
    const count = super.receive(into);
    // Linux says so when all that was written is read, and the last program has
    // closed the terminal (drivers/tty/n_tty.c, TTY_OTHER_CLOSED).
    return count === -ERRNO.EIO! ? 0 : count;
  }

  override send(from: Uint8Array): number {
    const count = super.send(from);
    // It is full, and nobody has it open: nobody will ever make room, and yet
    // each wait for room would be over at once (poll(2), POLLHUP). So it is as if
    // the last program had got the rest before it went.
    return count === LATER && hasHungUp(this.fd) ? from.length : count;
  }

  override endWriting(): void {}

  override close(reset: boolean): void {
    super.close(reset);
    if (this.slave === -1) return;
    closeDescriptor(this.slave);
    this.slave = -1;
  }
}

function hasHungUp(fd: number): boolean {
  const table = new Int32Array([fd, 0]);
  return libc().poll(table, 1, 0) === 1 && (table[1]! >> 16 & POLL.HUP) !== 0;
}
