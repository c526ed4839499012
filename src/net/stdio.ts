/**
 * Standard input and output, as a transport.
 *
 * Nothing here touches the flags of what the program was given. A terminal that
 * is made non-blocking is so for the shell, too, and stays so if the program is
 * killed; and `console.log` here would lose what there is no room for. So where
 * possible it is opened once more. Else it is left blocking, and touched only when
 * the reactor has called it ready: read once, or written to so little at a time
 * that there is room.
 *
 * @module
 */

import { POSIX } from "../../ffi/constants.ts";
import {
  closeDescriptor,
  duplicate,
  endWriting,
  isFifo,
  openFile,
  writeFrom,
} from "../../ffi/descriptor.ts";
import { FileIdentities, type FileIdentity } from "../../ffi/file_identity.ts";
import { libc } from "../../ffi/libc.ts";
import { reopen } from "../../ffi/reopen.ts";
import { localAddress, peerAddress, resetOnClose } from "../../ffi/socket.ts";
import { complaint } from "../arguments.ts";
import type { WriteDescriptor } from "../descriptors.ts";
import { type Fd, numberOf } from "../fd.ts";
import { FileDescriptor } from "../file_descriptor.ts";
import { type Reactor, reactor as sharedReactor } from "../reactor.ts";
import { type Address, NAMELESS, toAddress } from "./address.ts";
import {
  countOrErrno,
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
 * Options of {@linkcode openStdio}.
 *
 * @example In place of what the program was given
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { openStdio } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [stdin, typed] = FileDescriptor.pipe();
 * const [printed, stdout] = FileDescriptor.pipe();
 * typed.write(new TextEncoder().encode("a line\n"));
 * typed.close();
 *
 * const lines: string[] = [];
 * openStdio({
 *   dataReceived: (data) => lines.push(new TextDecoder().decode(data)),
 *   connectionLost: () => reactor.stop(),
 * }, { stdin, stdout, reactor });
 * await reactor.run();
 * assertEquals(lines, ["a line\n"]);
 * for (const descriptor of [stdin, printed, stdout]) descriptor.close();
 * ```
 */
export interface OpenStdioOptions {
  /**
   * What is read.
   *
   * @default {0}
   */
  stdin?: Fd;
  /**
   * What is written to.
   *
   * @default {1}
   */
  stdout?: Fd;
  /**
   * The reactor that serves it.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
}

const ACTION = "open standard input and output";

/**
 * Makes a connection of standard input and output: terminals, pipes, files,
 * sockets, whatever they are.
 *
 * - The end of the input is the end of one half, as for any connection: the
 *   protocol gets `readConnectionLost` if it understands that, and
 *   `connectionLost(ConnectionDone)` if not.
 * - An output that nobody reads any more is noticed when something is written:
 *   `connectionLost(ConnectionLost)`, with `code` "EPIPE".
 * - `loseWriteConnection`, `loseConnection` and `abortConnection` end a pipe or a
 *   socket for the other side as well. The numbers are never closed, which would
 *   let some other file take them: they stand for /dev/null from then on, and
 *   what `console.log` writes goes there. Terminals and files stay as they are.
 *   So do all of them when the connection is lost in another way.
 * - Whether they are blocking stays as it is, which other processes would notice,
 *   and does not matter here. There are two exceptions: if another process reads
 *   from the same pipe or socket, a read can wait for what that one has taken; and
 *   a terminal that may not be opened once more, as after `su` and on macOS, can
 *   make a write wait while it is full.
 *
 * What is written may go past what `console.log` writes, which waits for nobody.
 *
 * `getHost` and `getPeer` give the addresses of the input if it is a socket, as
 * under inetd. Anything else has none, and shows that of a UNIX socket without a
 * name. The options of TCP and `startTLS` throw `Deno.errors.NotSupported`: for a
 * connection, better use {@linkcode adoptStream}.
 *
 * @param protocol What happens on it. It is connected when this returns.
 * @param options Other descriptors, which stay their owner's to close, and who
 * serves it.
 * @returns The transport, which is the protocol's, too.
 * @throws {TypeError} When an argument is not of the right type.
 * @throws {Deno.errors.BadResource} When one of the descriptors is not open.
 *
 * @example Answering what comes
 * ```ts
 * import { FileDescriptor } from "@interleave/reactor";
 * import { openStdio } from "@interleave/reactor/net";
 * import { assertEquals } from "@std/assert";
 *
 * // A program has 0 and 1 instead, which need not be named.
 * const [stdin, typed] = FileDescriptor.pipe();
 * const [printed, stdout] = FileDescriptor.pipe();
 *
 * const stdio = openStdio({
 *   dataReceived: (data) => stdio.write(data),
 *   readConnectionLost: () => stdio.loseWriteConnection(),
 * }, { stdin, stdout });
 *
 * typed.write(new TextEncoder().encode("hello"));
 * typed.close();
 * assertEquals(await new Response(printed.readable()).text(), "hello");
 * stdin.close();
 * stdout.close();
 * ```
 */
export function openStdio(
  protocol: Protocol | BufferedProtocol,
  options: OpenStdioOptions = {},
): Transport {
  checkProtocol(protocol, ACTION);
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, ACTION, "options", "an object"));
  }
  const { stdin = 0, stdout = 1, reactor = sharedReactor } = options;
  if (typeof reactor?.addReader !== "function") {
    throw new TypeError(
      complaint(reactor, ACTION, "options.reactor", "a Reactor"),
    );
  }
  const input = new Given(numberOf(stdin, ACTION, "options.stdin"));
  const output = new Given(numberOf(stdout, ACTION, "options.stdout"));
  const transport = new StdioTransport(input, output, reactor);
  transport.start(protocol);
  return transport;
}

/** A number that the program was given, and what it stands for. */
class Given {
  readonly #number: number;
  readonly #files = new FileIdentities();
  /** The file, if there is another side, which can see an end. */
  readonly #file: FileIdentity | number | undefined;
  /** Its addresses, if it is a socket. */
  readonly addresses: { host: Address; peer: Address } | undefined;

  constructor(number: number) {
    this.#number = number;
    this.addresses = addressesOf(number);
    if (this.addresses !== undefined || isFifo(number)) {
      this.#file = this.#files.identify(number);
    }
  }

  /**
   * Opens it for this transport alone, or makes a duplicate.
   *
   * @param access `O_RDONLY` or `O_WRONLY`.
   */
  open(access: number): { fd: number; blocking: boolean } {
    const again = reopen(this.#number, access);
    if (again !== undefined) return { fd: again, blocking: false };
    const fd = duplicate(this.#number);
    const flags = libc().fcntl(fd, POSIX.F_GETFL, 0);
    return { fd, blocking: (flags & POSIX.O_NONBLOCK) === 0 };
  }

  /** Takes it away from the other side, which sees the end. */
  replace(): void {
    const file = this.#file;
    if (typeof file !== "object") return;
    // Its owner may have given the number to something else meanwhile.
    if (!this.#files.matches(this.#number, file)) return;
    try {
      const nothing = openFile("/dev/null", POSIX.O_RDWR);
      libc().dup2(nothing, this.#number);
      closeDescriptor(nothing);
    } catch {
      // No descriptor is left: the end is seen when the program ends.
    }
  }
}

function addressesOf(
  fd: number,
): { host: Address; peer: Address } | undefined {
  try {
    return {
      host: toAddress(localAddress(fd), "stream"),
      peer: toAddress(peerAddress(fd), "stream"),
    };
  } catch {
    return undefined; // It is no socket, or none that is connected.
  }
}

function resetIfSocket(fd: number): void {
  try {
    resetOnClose(fd);
  } catch {
    // Nothing else has a way to tell the other side.
  }
}

/** A connection of two descriptors. */
class StdioTransport extends DescriptorTransport {
  readonly #stream: StdioStream;

  constructor(input: Given, output: Given, reactor: Reactor) {
    const socket = new StdioStream(input, output);
    const { host, peer } = input.addresses ??
      { host: NAMELESS, peer: NAMELESS };
    super({ reactor, socket, host, peer });
    this.#stream = socket;
    socket.writer = {
      owned: true,
      fileno: () => socket.output,
      doWrite: () => this.doWrite(),
      connectionLost: (reason) => this.connectionLost(reason),
    };
  }

  override doWrite(): unknown {
    this.#stream.writable = true;
    const result = super.doWrite();
    this.#stream.writable = false;
    return result;
  }

  override loseConnection(): void {
    this.#stream.givenUp = true;
    super.loseConnection();
  }

  override abortConnection(): void {
    this.#stream.givenUp = true;
    super.abortConnection();
  }
}

/**
 * `<limits.h>`: what a pipe that poll() calls writable takes without waiting. A
 * socket has no less room then.
 */
const PIPE_BUF = Deno.build.os === "darwin" ? 512 : 4096;

/** Two descriptors, one to read from and one to write to. */
class StdioStream extends DescriptorStream {
  override readonly name = "standard input and output";
  readonly #given: { input: Given; output: Given };
  readonly #output: FileDescriptor;
  /** A write can wait. */
  readonly #blocking: boolean;
  /** There is room: the reactor has said so. */
  writable = false;
  /** The program has ended it, for the other side as well. */
  givenUp = false;
  /** What waits for room. */
  writer: (WriteDescriptor & { owned: boolean }) | undefined;

  constructor(input: Given, output: Given) {
    super(input.open(POSIX.O_RDONLY).fd);
    this.#given = { input, output };
    try {
      const { fd, blocking } = output.open(POSIX.O_WRONLY);
      this.#output = FileDescriptor.adopt(fd, { blocking: true });
      this.#blocking = blocking;
    } catch (error) {
      this.descriptor.close();
      throw error;
    }
  }

  /** The descriptor to write to; -1 when it is closed. */
  get output(): number {
    return this.#output.fileno();
  }

  override send(from: Uint8Array): number {
    if (!this.#blocking) return countOrErrno(writeFrom, this.output, from);
    if (!this.writable) return LATER;
    this.writable = false;
    return countOrErrno(writeFrom, this.output, from.subarray(0, PIPE_BUF));
  }

  override endWriting(): void {
    endWriting(this.output); // Of a socket; anything else refuses.
    this.#output.close();
    this.#given.output.replace();
  }

  override close(reset: boolean): void {
    if (reset) resetIfSocket(this.output);
    else if (this.givenUp) endWriting(this.output);
    super.close(reset);
    this.#output.close();
    if (!this.givenUp) return;
    this.#given.input.replace();
    this.#given.output.replace();
  }
}
