/**
 * What TCP does at the limits of a process, which takes a process of its own:
 * no descriptors left, and garbage that is collected.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { BACKENDS } from "../descriptors.ts";
import { LOOPBACK } from "./protocols.ts";

const PATIENCE = 60_000;

const mod = new URL("../../mod.ts", import.meta.url).href;
const net = new URL("../../src/net/mod.ts", import.meta.url).href;

/** A program that serves its own source of commands. */
class Child {
  readonly #process: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;

  constructor(source: string, { flags = "", limit = 256 } = {}) {
    this.#process = new Deno.Command("sh", {
      args: [
        "-c",
        `ulimit -n ${limit}; exec "$0" run --quiet --no-prompt --allow-ffi ${flags} -`,
        Deno.execPath(),
      ],
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdin: "piped",
      stdout: "piped",
      signal: AbortSignal.timeout(PATIENCE),
    }).spawn();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    void this.#feed(source);
  }

  async #feed(source: string): Promise<void> {
    const writer = this.#process.stdin.getWriter();
    await writer.write(new TextEncoder().encode(source));
    await writer.close();
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const { value = "" } = await this.#output.read();
    return value.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#output.cancel();
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }
}

/** What the program below says. */
interface Report {
  errors: string[];
  rounds: number;
  port: number;
}

function hungryServer(backend: string): string {
  return `
    import { FileDescriptor, Reactor } from "${mod}";
    import { listenTCP } from "${net}";
    const errors = [];
    const taken = [];
    const reactor = new Reactor({
      backend: "${backend}",
      onError: (error) => errors.push(error.code ?? String(error)),
    });
    const factory = {
      buildProtocol: () => ({
        dataReceived(data) {
          const command = new TextDecoder().decode(data);
          let port;
          if (command === "take") {
            try {
              while (true) taken.push(FileDescriptor.open("/dev/null"));
            } catch {}
          } else if (command === "free") {
            for (const one of taken.splice(0)) one.close();
          } else if (command === "listen with the last") {
            taken.pop().close();
            const options = { hostname: "${LOOPBACK}", reactor };
            port = listenTCP(0, factory, options).getHost().port;
          }
          this.transport.write(JSON.stringify({
            errors: errors.splice(0),
            rounds: reactor.inspect().counters.rounds,
            port,
          }));
        },
      }),
    };
    reactor.interleave();
    const port = listenTCP(0, factory, { hostname: "${LOOPBACK}", reactor });
    console.log(port.getHost().port);
  `;
}

function hungryClient(backend: string): string {
  return `
    import { FileDescriptor, Reactor } from "${mod}";
    import {
      connectTCP, connectUNIX, listenTCP, listenUDP, listenUNIX,
    } from "${net}";
    // Deno panics if it starts to handle signals, as it does by itself after a
    // while, when there is no descriptor left for that.
    Deno.addSignalListener("SIGWINCH", console.log);
    Deno.removeSignalListener("SIGWINCH", console.log);

    const reactor = new Reactor({ backend: "${backend}" });
    const hostname = "${LOOPBACK}";
    const nobody = { buildProtocol: () => null };
    reactor.interleave();
    const port = listenTCP(0, {
      buildProtocol: () => ({
        dataReceived(data) { this.transport.write(data); },
      }),
    }, { hostname, reactor }).getHost().port;

    function served(transport) {
      return new Promise((resolve, reject) => {
        const protocol = {
          connectionMade() { this.transport.write("x"); },
          dataReceived() { resolve(this); },
          connectionLost: reject,
        };
        connectTCP(hostname, port, {
          buildProtocol: () => protocol,
          clientConnectionFailed: (_, reason) => reject(reason),
        }, { reactor });
      });
    }
    function servedAgain(protocol) {
      return new Promise((resolve) => {
        protocol.dataReceived = resolve;
        protocol.transport.write("x");
      });
    }

    const said = [];
    const say = ({ name, code }) => void said.push(name + " " + code);
    function fails(begin) {
      return new Promise((resolve) => begin({
        ...nobody,
        clientConnectionFailed: (_, reason) => resolve(reason),
      })).then(say);
    }
    function throws(begin) {
      try { begin(); } catch (error) { say(error); }
    }

    const bystander = await served();
    const taken = [];
    try {
      while (true) taken.push(FileDescriptor.open("/dev/null"));
    } catch {}
    await fails((to) => connectTCP(hostname, port, to, { reactor }));
    await fails((to) => connectTCP("localhost", port, to, { reactor }));
    await fails((to) => connectUNIX("/tmp/socket", to, { reactor }));
    throws(() => listenTCP(0, nobody, { hostname, reactor }));
    throws(() => listenUDP(0, { datagramReceived() {} }, { hostname, reactor }));
    throws(() => listenUNIX("/tmp/nowhere", nobody, { reactor }));
    await servedAgain(bystander);
    for (const one of taken) one.close();
    await served();
    await servedAgain(bystander);
    console.log(JSON.stringify(said));
    await reactor.close();
  `;
}

async function ask(conn: Deno.Conn, command: string): Promise<Report> {
  await conn.write(new TextEncoder().encode(command));
  const buffer = new Uint8Array(10_000);
  const count = await conn.read(buffer);
  return JSON.parse(new TextDecoder().decode(buffer.subarray(0, count!)));
}

/** Whether the other side has closed a connection, one way or the other. */
async function isTurnedAway(conn: Deno.Conn): Promise<boolean> {
  try {
    return await conn.read(new Uint8Array(1)) === null;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionReset;
  }
}

for (const backend of BACKENDS) {
  Deno.test(`a port turns clients away when there are no descriptors left, and does not spin (contract 187) [${backend}]`, async () => {
    await using child = new Child(hungryServer(backend));
    const port = Number(await child.line());
    const connect = () => Deno.connect({ hostname: LOOPBACK, port });
    using control = await connect();
    await ask(control, "take");
    for (let i = 0; i < 3; i++) {
      using conn = await connect();
      assert(await isTurnedAway(conn));
      assertEquals((await ask(control, "report")).errors, ["EMFILE"]);
    }
    const before = await ask(control, "report");
    for (let i = 0; i < 20; i++) await ask(control, "report");
    const after = await ask(control, "report");
    assertEquals(after.errors, []);
    // Each question takes a few rounds; one that spins makes hundreds meanwhile.
    assert(after.rounds - before.rounds <= 21 * 6);
    await ask(control, "free");
    using conn = await connect();
    assertEquals((await ask(conn, "report")).errors, []);
  });

  Deno.test(`a port without a descriptor in reserve waits until there is one (contract 188) [${backend}]`, async () => {
    await using child = new Child(hungryServer(backend));
    const port = Number(await child.line());
    using control = await Deno.connect({ hostname: LOOPBACK, port });
    await ask(control, "take");
    const { port: other } = await ask(control, "listen with the last");
    using conn = await Deno.connect({ hostname: LOOPBACK, port: other });
    await conn.write(new TextEncoder().encode("report"));
    let errors: string[] = [];
    while (errors.length === 0) ({ errors } = await ask(control, "report"));
    assertEquals(errors[0], "EMFILE");
    const before = await ask(control, "report");
    for (let i = 0; i < 20; i++) await ask(control, "report");
    const after = await ask(control, "report");
    assert(after.rounds - before.rounds <= 21 * 6);
    await ask(control, "free");
    const buffer = new Uint8Array(1000);
    assert(await conn.read(buffer) !== null);
  });

  Deno.test(`what needs a descriptor when there are none left says so, and others are served [${backend}]`, async () => {
    await using child = new Child(hungryClient(backend));
    assertEquals(JSON.parse(await child.line()), [
      "ConnectError EMFILE",
      "NameLookupError EMFILE",
      "ConnectError EMFILE",
      "CannotListenError EMFILE",
      "CannotListenError EMFILE",
      "CannotListenError EMFILE",
    ]);
  });

  Deno.test(`a transport refers to its protocol no more when it is lost (contract 208) [${backend}]`, async () => {
    await using child = new Child(
      `
      import { Reactor } from "${mod}";
      import { connectTCP, listenTCP } from "${net}";
      const reactor = new Reactor({ backend: "${backend}" });
      const refs = [];
      const kept = [];
      let lost = 0;
      const factory = {
        buildProtocol() {
          const protocol = {
            connectionMade() { kept.push(this.transport); this.transport.write("x"); },
            dataReceived() { this.transport.loseConnection(); },
            connectionLost() { if (++lost === 2) setTimeout(look, 20); },
          };
          refs.push(new WeakRef(protocol));
          return protocol;
        },
      };
      const options = { hostname: "${LOOPBACK}", reactor };
      reactor.interleave();
      const port = listenTCP(0, factory, options);
      kept.push(connectTCP("${LOOPBACK}", port.getHost().port, factory, { reactor }));
      function look() {
        gc();
        console.log(refs.map((ref) => ref.deref() === undefined).join(), kept.length);
      }
      `,
      { flags: "--v8-flags=--expose-gc" },
    );
    assertEquals(await child.line(), "true,true 3");
  });
}
