/**
 * A server that does not open its sockets: whoever starts it has opened them, as
 * systemd does for services that are to run only while they are needed.
 *
 *     deno run --allow-ffi --allow-env=LISTEN_FDS,LISTEN_PID,LISTEN_FDNAMES examples/net/socket_activated.ts launch
 *
 * `launch` plays the part of systemd: it opens a port on 127.0.0.1 and prints
 * its number (a number behind it asks for that one), starts the server when the
 * first visitor knocks, and again when the next one does after the server has
 * left for want of visitors. Nobody is turned away meanwhile: they wait in the
 * kernel. Call with `curl telnet://127.0.0.1:PORT`, or `socat - TCP:127.0.0.1:PORT`.
 * Ctrl-C ends it. The real thing takes the program without `launch`:
 *
 *     systemd-socket-activate -l 7000 -l /tmp/visitors deno run [permissions] examples/net/socket_activated.ts
 *
 * @module
 */

import { type Fd, reactor, ReactorNotRunning } from "../../mod.ts";
import {
  activatedSockets,
  adoptStreamPort,
  listenTCP,
  type NetAddress,
  ProcessDone,
  type ProcessProtocol,
  type ProcessTransport,
  type Protocol,
  spawnProcess,
  type Transport,
} from "../../src/net/mod.ts";

/** After so many milliseconds without a visitor the server leaves. */
const IDLE = 1000;

/** Tells a visitor who serves it, and that is all. */
class Greeting implements Protocol {
  declare transport: Transport;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  connectionMade(): void {
    this.transport.write(this.#text);
    this.transport.loseConnection();
  }

  dataReceived(): void {}
}

/** Serves what it was given, until nobody comes any more. */
async function serve(): Promise<void> {
  const sockets = activatedSockets();
  if (sockets.length === 0) {
    console.error(
      "There are no sockets: start it by systemd-socket-activate, or with `launch`",
    );
    Deno.exitCode = 2;
    return;
  }
  const idle = reactor.callLater(IDLE, () => reactor.stop());
  let visitors = 0;
  function buildProtocol() {
    idle.reset(IDLE);
    return new Greeting(
      `You are visitor ${++visitors} of process ${Deno.pid}.\n`,
    );
  }
  for (const { fd, name } of sockets) {
    const port = adoptStreamPort(fd, { buildProtocol });
    console.log(`Process ${Deno.pid} serves "${name}" at`, port.getHost());
  }
  await reactor.run();
}

/** What the server is started with. */
const PERMISSIONS = [
  "--allow-ffi",
  "--allow-env=LISTEN_FDS,LISTEN_PID,LISTEN_FDNAMES",
];

/** A pid is known once there is a process: this one then becomes the server. */
const START = 'export LISTEN_PID=$$; exec "$@"';

/** A server that runs, started with a socket in the way of sd_listen_fds(3). */
class Server implements ProcessProtocol {
  declare transport: ProcessTransport;
  readonly #end = Promise.withResolvers<Error>();
  #running = true;

  constructor(socket: Fd) {
    const program = import.meta.filename!;
    const command = [Deno.execPath(), "run", ...PERMISSIONS, program];
    spawnProcess(this, "sh", {
      args: ["-c", START, "sh", ...command],
      env: { LISTEN_FDS: "1", LISTEN_FDNAMES: "visitors" },
      clearEnv: false,
      childFDs: { 0: 0, 1: 1, 2: 2, 3: socket },
      processGroup: 0, // Ctrl-C is for the launcher, which tells the server.
    });
  }

  /** How it has ended. */
  get ended(): Promise<Error> {
    return this.#end.promise;
  }

  stop(): Promise<Error> {
    if (this.#running) this.transport.signalProcess("TERM");
    return this.ended;
  }

  processEnded(reason: Error): void {
    this.#running = false;
    this.#end.resolve(reason);
  }
}

/** Opens a socket, and starts the server whenever somebody knocks. */
async function launch(number: number): Promise<void> {
  const port = listenTCP(number, { buildProtocol: () => null }, {
    hostname: "127.0.0.1",
  });
  // From here on the port is only held: who comes waits in the kernel.
  port.pauseProducing();

  let server: Server | undefined;
  let stopping = false;
  reactor.addSystemEventTrigger("before", "shutdown", () => {
    stopping = true;
    return server?.stop();
  });
  const run = reactor.run();
  console.log(`Listening on port ${(port.getHost() as NetAddress).port}.`);
  try {
    while (!stopping) {
      await reactor.readable(port);
      server = new Server(port);
      const reason = await server.ended;
      console.log(`The server has left: ${reason.message}`);
      if (reason instanceof ProcessDone || stopping) continue;
      // It would fail again, as long as its visitor waits.
      stopping = true;
      Deno.exitCode = 1;
      reactor.stop();
    }
  } catch (error) {
    // What a wait is told at Ctrl-C.
    if (!(error instanceof ReactorNotRunning)) throw error;
  }
  await run;
}

if (import.meta.main) {
  const [mode, port = "0"] = Deno.args;
  await (mode === "launch" ? launch(Number(port)) : serve());
}
