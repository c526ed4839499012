/**
 * A chat room behind a UNIX socket, for the programs of one user.
 *
 *     deno run --allow-ffi examples/net/chat.ts serve
 *
 * It makes the socket `chat.sock` in the current directory, or where the path
 * behind `serve` says, and removes it at Ctrl-C. Join from other windows, with
 * this program or another that sends lines:
 *
 *     deno run --allow-ffi examples/net/chat.ts join
 *     socat READLINE UNIX-CONNECT:chat.sock
 *
 * The first line is your name. `/who` lists who is there, `/quit` or Ctrl-D
 * leaves, and anything else is for all.
 *
 * @module
 */

import {
  deferLater,
  FileDescriptor,
  reactor,
  ReactorNotRunning,
} from "../../mod.ts";
import { duplicate } from "../../ffi/mod.ts";
import { connectUNIX, listenUNIX } from "../../src/net/mod.ts";
import { lines } from "../stdin_lines.ts";
import { LineReceiver } from "./line_receiver.ts";

/** So long the room waits at its end for guests that do not listen, in ms. */
const FAREWELL = 1000;

/** So many bytes may wait for a guest. */
const MOST = 2 ** 20;

const decoder = new TextDecoder();

/** Lines of text, without what could play tricks with a terminal. */
abstract class TextLines extends LineReceiver {
  constructor() {
    super({ delimiter: "\n", maxLength: 1000 });
  }

  override lineReceived(line: Uint8Array): void {
    this.textReceived(decoder.decode(line).replace(/\p{Cc}/gu, ""));
  }

  abstract textReceived(text: string): void;
}

/** Those who are there, by their names. */
class Room {
  readonly guests: Map<string, Guest> = new Map();
  readonly #connections = new Set<Guest>();
  /** Called when the last connection is gone. */
  #emptied: (() => void) | undefined;

  /** Tells everybody, but those who have long ceased to listen. */
  say(text: string): void {
    for (const guest of this.guests.values()) {
      if (guest.transport.bufferedAmount < MOST) guest.sendLine(text);
      else guest.transport.abortConnection();
    }
  }

  opened(guest: Guest): void {
    this.#connections.add(guest);
  }

  closed(guest: Guest): void {
    this.#connections.delete(guest);
    if (this.#connections.size === 0) this.#emptied?.();
  }

  /** Sends everybody home, and gives them time to hear of it. */
  async close(): Promise<void> {
    if (this.#connections.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#emptied = resolve;
    this.say("* The room is closed. Good night!");
    for (const guest of this.#connections) guest.stopProducing();
    await Promise.race([promise, deferLater(FAREWELL, () => {})]);
  }
}

/** The room's end of a connection. */
class Guest extends TextLines {
  readonly #room: Room;
  #name: string | undefined;

  constructor(room: Room) {
    super();
    this.#room = room;
  }

  override connectionMade(): void {
    this.#room.opened(this);
    this.sendLine("* Welcome! What is your name?");
  }

  override textReceived(text: string): void {
    if (this.#name === undefined) this.#enter(text.trim());
    else if (text === "/who") this.#who();
    else if (text === "/quit") this.#leave();
    else if (text !== "") this.#room.say(`<${this.#name}> ${text}`);
  }

  override connectionLost(): void {
    this.#room.closed(this);
    if (this.#name === undefined) return;
    this.#room.guests.delete(this.#name);
    this.#room.say(`* ${this.#name} has left.`);
  }

  #enter(name: string): void {
    const { guests } = this.#room;
    if (name === "" || guests.has(name)) {
      this.sendLine("* That will not do. Another name, please:");
      return;
    }
    guests.set(this.#name = name, this);
    this.#room.say(`* ${name} is here.`);
  }

  #leave(): void {
    this.sendLine("* Good bye!");
    this.stopProducing();
  }

  #who(): void {
    this.sendLine(`* Here: ${[...this.#room.guests.keys()].join(", ")}`);
  }
}

async function serve(path: string): Promise<void> {
  const room = new Room();
  // For this user only; and what a killed server has left is no obstacle.
  const options = { mode: 0o600, wantPID: true };
  const factory = { buildProtocol: () => new Guest(room) };
  const port = listenUNIX(path, factory, options);
  reactor.addSystemEventTrigger("before", "shutdown", async () => {
    await port.stopListening();
    await room.close();
  });
  const run = reactor.run();
  console.log(`Listening at "${path}".`);
  await run;
}

/** A guest's end of the connection: prints what is said, and sends what is typed. */
class Visit extends TextLines {
  override connectionMade(): void {
    void this.#sendInput();
  }

  override textReceived(text: string): void {
    console.log(text);
  }

  override connectionLost(): void {
    void reactor.close();
  }

  async #sendInput(): Promise<void> {
    // A duplicate, because the stream closes what it has read to its end.
    const input = FileDescriptor.adopt(duplicate(0), { blocking: true });
    try {
      for await (const line of lines(input.readable())) this.sendLine(line);
      this.stopProducing();
    } catch (error) {
      // What a wait is told when the connection has ended before the input.
      if (!(error instanceof ReactorNotRunning)) throw error;
    }
  }
}

async function join(path: string): Promise<void> {
  connectUNIX(path, {
    buildProtocol: () => new Visit(),
    clientConnectionFailed(_connector, reason) {
      console.error(reason.message);
      Deno.exitCode = 1;
      void reactor.close();
    },
  });
  await reactor.run();
}

if (import.meta.main) {
  const [mode, path = "chat.sock"] = Deno.args;
  if (mode === "serve") await serve(path);
  else if (mode === "join") await join(path);
  else {
    console.error("Usage: chat.ts serve|join [PATH]");
    Deno.exitCode = 2;
  }
}
