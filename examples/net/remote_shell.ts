/**
 * A shell on a terminal at the other end of a connection, as `ssh` has it, but
 * not encrypted: so it serves this machine only.
 *
 *     deno run --allow-ffi examples/net/remote_shell.ts serve
 *
 * It prints where it listens, and a token. In another window, with that port and,
 * when it is asked for, the token:
 *
 *     deno run --allow-ffi examples/net/remote_shell.ts join PORT
 *
 * You get a shell in which everything works, Ctrl-C, editors and changes of the
 * window's size included. The token is good for one time: the server serves that
 * client, and ends with it. Its port and its address (127.0.0.1 or ::1) can be
 * given behind `serve` and `join`.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import { type DelayedCall, FileDescriptor, reactor } from "../../mod.ts";
import { duplicate } from "../../ffi/mod.ts";
import {
  connect,
  type Connection,
  listenTCP,
  type NetAddress,
  type Port,
  ProcessTerminated,
  type ProcessTransport,
  type Protocol,
  spawnProcess,
  type Transport,
} from "../../src/net/mod.ts";

/** The addresses of this machine that no other can reach. */
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1)$/;

/** So long a client may take to send its token, in milliseconds. */
const HURRY = 10_000;

/**
 * So long the last output of a shell is waited for when a job that it left
 * behind keeps its terminal open, in milliseconds.
 */
const FAREWELL = 200;

/** What `ssh` ends with, too, when it has no other status to tell. */
const FAILED = 255;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// What travels: a number for what it is, the length of the rest, the rest.

const TOKEN = 0;
/** The window's columns and rows, as text. */
const SIZE = 1;
const DATA = 2;
/** The exit status, as text. The last of all. */
const STATUS = 3;

interface Frame {
  readonly kind: number;
  readonly content: Uint8Array<ArrayBuffer>;
}

const HEADER = 1 + 4;
/** Longer ones are not believed. */
const MOST = 2 ** 20;

function encode(kind: number, content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  const frame = new Uint8Array(HEADER + bytes.length);
  frame[0] = kind;
  new DataView(frame.buffer).setUint32(1, bytes.length);
  frame.set(bytes, HEADER);
  return frame;
}

/** Cuts what comes into frames again. */
class Decoder {
  #rest = new Uint8Array();

  /** Takes some bytes, and gives the frames that are complete with them. */
  *add(bytes: Uint8Array): Generator<Frame> {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    this.#rest = all;
    while (this.#rest.length >= HEADER) {
      const length = new DataView(this.#rest.buffer, this.#rest.byteOffset)
        .getUint32(1);
      if (length > MOST) {
        throw new RangeError(`A frame of ${length} bytes is too long`);
      }
      const end = HEADER + length;
      if (this.#rest.length < end) break;
      const [kind] = this.#rest;
      const content = this.#rest.subarray(HEADER, end);
      this.#rest = this.#rest.subarray(end);
      yield { kind: kind!, content };
    }
  }
}

/** Serves one client that has the token, and refuses all others. */
class ShellServer {
  /** What the client must send, once. */
  readonly token: string = crypto.randomUUID();
  readonly #port: Port;
  #used = false;

  constructor(hostname: string, port: number) {
    const factory = { buildProtocol: () => new Session(this) };
    this.#port = listenTCP(port, factory, { hostname });
  }

  /** Where it listens. */
  get address(): NetAddress {
    return this.#port.getHost() as NetAddress;
  }

  /** Whether a client may have the shell. After a yes, nobody else may. */
  admit(token: Uint8Array): boolean {
    const wanted = encoder.encode(this.token);
    if (this.#used || token.length !== wanted.length) return false;
    // As slow for a good beginning as for a bad one.
    if (!timingSafeEqual(token, wanted)) return false;
    this.#used = true;
    void this.#port.stopListening();
    return true;
  }
}

/** The server's end of a connection. */
class Session implements Protocol {
  declare transport: Transport;
  readonly #server: ShellServer;
  readonly #frames = new Decoder();
  #size = { columns: 80, rows: 24 };
  #shell: ProcessTransport | undefined;
  /** What happens if nothing else does. */
  #deadline: DelayedCall | undefined;

  constructor(server: ShellServer) {
    this.#server = server;
  }

  connectionMade(): void {
    this.#deadline = reactor.callLater(
      HURRY,
      () => this.transport.abortConnection(),
    );
  }

  dataReceived(data: Uint8Array): void {
    for (const { kind, content } of this.#frames.add(data)) {
      if (kind === SIZE) this.#resize(content);
      else if (kind === DATA) this.#shell?.write(content);
      else if (kind === TOKEN && !this.#begin(content)) return;
    }
  }

  connectionLost(): void {
    this.#cancelDeadline();
    this.#shell?.unregisterProducer();
    if (this.#shell !== undefined) void reactor.close();
  }

  #resize(content: Uint8Array): void {
    const [columns = 0, rows = 0] = decoder.decode(content).split(" ", 2)
      .map(Number);
    this.#size = { columns, rows };
    this.#shell?.setWindowSize(columns, rows);
  }

  /** Starts the shell. Returns false for who may not have it. */
  #begin(token: Uint8Array): boolean {
    this.#cancelDeadline();
    if (!this.#server.admit(token)) {
      console.log("A client with a wrong token was turned away.");
      this.transport.loseConnection();
      return false;
    }
    const shell = this.#shell = spawnProcess(
      {
        childDataReceived: (_fd, data) =>
          this.transport.write(encode(DATA, data)),
        processExited: () => this.#hangUpSoon(),
        processEnded: (reason) => this.#end(reason),
      },
      "sh",
      { env: null, pty: this.#size },
    );
    // While one is slow, nothing is read from the other. When the client is gone,
    // the terminal hangs up.
    this.transport.registerProducer(shell, true);
    shell.registerProducer(this.transport, true);
    return true;
  }

  /** The shell has ended. A job that it left behind is not waited for. */
  #hangUpSoon(): void {
    if (!reactor.running) return;
    this.#deadline = reactor.callLater(FAREWELL, () => {
      if (this.transport.bufferedAmount > 0) return this.#hangUpSoon();
      this.#shell!.unregisterProducer();
      this.#shell!.loseConnection();
    });
  }

  /** The shell has ended, and there is no more to come from its terminal. */
  #end(reason: Error): void {
    this.#cancelDeadline();
    const status = reason instanceof ProcessTerminated
      ? reason.exitCode ?? FAILED
      : 0;
    this.transport.write(encode(STATUS, `${status}`));
    this.transport.unregisterProducer();
    this.transport.loseConnection();
  }

  #cancelDeadline(): void {
    if (this.#deadline?.active()) this.#deadline.cancel();
  }
}

async function serve(hostname: string, port: number): Promise<void> {
  const server = new ShellServer(hostname, port);
  const { address, token } = server;
  const run = reactor.run(); // Until its client is gone, or Ctrl-C.
  console.log(`Listening on ${address.hostname}, port ${address.port}.`);
  console.log(`The token, for one client: ${token}`);
  await run;
}

/** Shows a remote shell in this terminal, and returns its exit status. */
async function join(hostname: string, port: number): Promise<number> {
  if (!Deno.stdin.isTerminal()) {
    console.error("Standard input must be a terminal");
    return FAILED;
  }
  const token = prompt("Token:");
  if (token === null) return FAILED; // Ctrl-C.
  await using connection = await connect({ hostname, port });
  sendSize(connection);
  connection.write(encode(TOKEN, token.trim()));
  using _keys = passOnKeys(connection);
  const screen = Deno.stdout.writable.getWriter();
  const frames = new Decoder();
  for await (const bytes of connection) {
    for (const { kind, content } of frames.add(bytes)) {
      if (kind === DATA) await screen.write(content);
      else if (kind === STATUS) return Number(decoder.decode(content));
    }
  }
  console.error("The server has hung up");
  return FAILED;
}

function sendSize(connection: Connection): void {
  const { columns, rows } = Deno.consoleSize();
  connection.write(encode(SIZE, `${columns} ${rows}`));
}

/** Makes our own terminal a mere wire to the other, until it is disposed of. */
function passOnKeys(connection: Connection): Disposable {
  // It stays blocking: whoever else has this terminal open shares that flag.
  const keys = FileDescriptor.adopt(duplicate(0), { blocking: true });
  const resize = () => sendSize(connection);
  // Raw: no key is echoed, edited or turned into a signal on this side.
  Deno.stdin.setRaw(true);
  Deno.addSignalListener("SIGWINCH", resize);
  const sink = new WritableStream<Uint8Array>({
    write: (data) => connection.write(encode(DATA, data)),
  });
  // Closing the keys is how it ends, and no failure.
  keys.readable().pipeTo(sink).catch(() => {});
  return {
    [Symbol.dispose]() {
      keys.close();
      Deno.removeSignalListener("SIGWINCH", resize);
      Deno.stdin.setRaw(false);
    },
  };
}

async function main(args: string[]): Promise<number> {
  const [mode, number = "0", hostname = "127.0.0.1"] = args;
  if (mode !== "serve" && mode !== "join") {
    console.error("Usage: remote_shell.ts serve|join [PORT [ADDRESS]]");
    return 2;
  }
  if (!LOOPBACK.test(hostname)) {
    console.error(
      `Refused: what is sent is not encrypted, and "${hostname}" is not an address of the loopback`,
    );
    return 2;
  }
  if (mode === "serve") {
    await serve(hostname, Number(number));
    return 0;
  }
  // So that a SIGTERM gives the terminal back, too.
  const run = reactor.run();
  try {
    return await join(hostname, Number(number));
  } catch (error) {
    console.error((error as Error).message);
    return FAILED;
  } finally {
    await reactor.close();
    await run;
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
