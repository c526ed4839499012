/**
 * The examples of transports, each in a process of its own, run by the command
 * that its header gives, with the permissions named there and no others, and
 * talked to over real sockets and terminals.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { POSIX } from "../../ffi/constants.ts";
import { libc } from "../../ffi/libc.ts";
import { beginConnect, openSocket } from "../../ffi/socket.ts";
import { SocketAddress } from "../../ffi/socket_address.ts";
import { FileDescriptor, Reactor } from "../../mod.ts";
import {
  assertGivenBack,
  assertInOrder,
  commandOf,
  CTRL_C,
  CTRL_D,
  root,
  run,
  type Running,
  SIGINT,
  SIGKILL,
  SIGTERM,
  startOnTerminal,
  startPiped,
  testOnLinux,
  Transcript,
  tryShell,
} from "../example_program.ts";
import { pattern } from "./protocols.ts";

/** What has no command at its top is a module, for the others to import. */
const names = [...Deno.readDirSync(`${root}/examples/net`)]
  .map(({ name }) => name)
  .filter((name) =>
    name.endsWith(".ts") &&
    Deno.readTextFileSync(`${root}/examples/net/${name}`)
      .includes("\n *     deno run ")
  );

const LOOPBACK = "127.0.0.1";

/** A line that tells of a port. */
const PORT = /port (\d+)\.\r?\n/;

const encoder = new TextEncoder();

/** The other end of a connection with an example, for talking in lines. */
class Peer implements AsyncDisposable {
  readonly said: Transcript;
  readonly #output: WritableStreamDefaultWriter<Uint8Array>;
  readonly #close: () => void | Promise<void>;

  constructor(
    { readable, writable }: ReadableWritablePair<
      Uint8Array<ArrayBuffer>,
      Uint8Array
    >,
    close: () => void | Promise<void>,
  ) {
    this.said = new Transcript(readable);
    this.#output = writable.getWriter();
    this.#close = close;
  }

  /** A connection of Deno's own. */
  static of(conn: Deno.TcpConn): Peer {
    return new Peer(conn, () => {
      try {
        conn.close();
      } catch {
        // Its stream has ended, and closed it.
      }
    });
  }

  static async tcp(port: number): Promise<Peer> {
    return Peer.of(await Deno.connect({ hostname: LOOPBACK, port }));
  }

  /** Deno's own would need a permission for each path. */
  static unix(path: string): Peer {
    const socket = FileDescriptor.adopt(
      openSocket(POSIX.AF_UNIX, POSIX.SOCK_STREAM),
    );
    const errno = beginConnect(socket.fileno(), SocketAddress.unix(path));
    assertEquals(errno, 0);
    const reactor = new Reactor();
    const readable = socket.readable({ reactor });
    const writable = socket.writable({ reactor });
    return new Peer({ readable, writable }, () => {
      socket.close();
      return reactor.close();
    });
  }

  async say(text: string): Promise<void> {
    await this.#output.write(encoder.encode(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

function interrupt({ pid }: Running): void {
  libc().kill(pid, SIGINT);
}

async function portOf({ output }: Running): Promise<number> {
  return Number(await output.find(PORT));
}

Deno.test("examples/net name the permissions that they need, and README.md repeats their commands", () => {
  const readme = Deno.readTextFileSync(`${root}/examples/net/README.md`);
  for (const name of names) {
    const { line, flags } = commandOf(`net/${name}`);
    assertStringIncludes(readme, `\n| [${name}](${name}) `);
    assertStringIncludes(readme, `| \`${line}\` `);
    for (const flag of flags) {
      assertMatch(flag, /^--allow-(ffi|env=LISTEN_[A-Z_,]+)$/);
    }
  }
  assertEquals(readme.match(/^\| \[/gm)?.length, names.length);
});

Deno.test("echo_server.ts sends back what several clients send, to the last byte", async () => {
  const output = await run(startPiped, "net/echo_server.ts", {
    async talk(server) {
      const port = await portOf(server);
      const data = pattern(3_000_001);
      await Promise.all([1, 2, 3].map(async () => {
        const conn = await Deno.connect({ hostname: LOOPBACK, port });
        const echoed = new Response(conn.readable).bytes();
        await new Blob([data]).stream().pipeTo(conn.writable, {
          preventClose: true,
        });
        await conn.closeWrite();
        assert((await echoed).every((byte, i) => byte === data[i]));
        assertEquals((await echoed).length, data.length);
      }));
      // One that is there when the server ends.
      await using peer = await Peer.tcp(port);
      await peer.say("still there\n");
      await peer.said.until("still there\n");
      interrupt(server);
      assertEquals(await peer.said.whole(), "still there\n");
    },
  });
  assertMatch(output, /^Listening on 127\.0\.0\.1, port \d+\.\n$/);
});

Deno.test("echo_server.ts takes an address", async () => {
  const output = await run(startPiped, "net/echo_server.ts", {
    args: ["0", "0.0.0.0"],
    async talk(server) {
      await portOf(server);
      interrupt(server);
    },
  });
  assertMatch(output, /^Listening on 0\.0\.0\.0, port \d+\.\n$/);
});

Deno.test("echo_client.ts prints what it was given, with a server of its own", async () => {
  const file = `${root}/LICENSE`;
  const output = await run(startPiped, "net/echo_client.ts", {
    through: `exec "$@" < '${file}'`,
  });
  assertEquals(output, Deno.readTextFileSync(file));
});

Deno.test("echo_client.ts talks to another server", async () => {
  await run(startPiped, "net/echo_server.ts", {
    async talk(server) {
      const port = await portOf(server);
      await run(startPiped, "net/echo_client.ts", {
        args: [`${port}`, LOOPBACK],
        async talk({ output, type, endInput }) {
          type("one\n");
          await output.until("one\n");
          type("two\n");
          await output.until("two\n");
          endInput();
        },
      });
      interrupt(server);
    },
  });
});

Deno.test("echo_client.ts says so when the server goes away, and when there is none", async () => {
  const listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const args = [`${listener.addr.port}`];
  await run(startPiped, "net/echo_client.ts", {
    args,
    status: 1,
    complaints: "The server has hung up\n",
    async talk({ output, type }) {
      await using peer = Peer.of(await listener.accept());
      type("one\n");
      await peer.said.until("one\n");
      await peer.say("two\n");
      await output.until("two\n");
    },
  });
  listener.close();
  await run(startPiped, "net/echo_client.ts", {
    args,
    status: 1,
    complaints: `Cannot connect to 127.0.0.1:${
      args[0]
    }: connection refused (ECONNREFUSED)\n`,
  });
});

Deno.test("chat.ts lets guests talk with each other, and says good night", async () => {
  const output = await run(startPiped, "net/chat.ts", {
    async talk(server, folder) {
      await server.output.until("Listening");
      const path = `${folder}/chat.sock`;
      assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
      {
        await using early = Peer.unix(path);
        await early.say("Eve\n/quit\n");
        await early.said.whole();
      }
      await using ann = Peer.unix(path);
      await ann.said.until("What is your name?\n");
      await ann.say("Ann\n");
      await ann.said.until("* Ann is here.\n");
      await using bob = Peer.unix(path);
      await bob.say(" Ann \r\n");
      await bob.said.until("Another name, please:\n");
      await bob.say("Bob\r\nHel\x1b[2Jlo\n");
      await bob.said.until("* Bob is here.\n<Bob> Hel[2Jlo\n");
      await ann.said.until("* Bob is here.\n<Bob> Hel[2Jlo\n");
      await ann.say("/who\n/qu");
      await ann.said.until("* Here: Ann, Bob\n");
      await ann.say("it\nnobody hears this\n");
      await ann.said.until("* Good bye!\n");
      await ann.said.whole();
      await bob.said.until("* Ann has left.\n");
      await using shy = Peer.unix(path);
      await shy.said.until("What is your name?\n");
      interrupt(server);
      await bob.said.until("* The room is closed. Good night!\n");
      assert(!(await bob.said.whole()).includes("nobody hears this"));
      await shy.said.whole();
    },
  });
  assertEquals(output, 'Listening at "chat.sock".\n');
});

testOnLinux("chat.ts is a guest on a terminal, and in a pipe", async () => {
  await run(startPiped, "net/chat.ts", {
    args: ["serve", "room"],
    async talk(server, folder) {
      await server.output.until('Listening at "room".\n');
      const args = ["join", `${folder}/room`];
      await run(startPiped, "net/chat.ts", {
        args,
        async talk(ann) {
          await ann.output.until("What is your name?\n");
          ann.type("Ann\n");
          await ann.output.until("* Ann is here.\n");
          await run(startOnTerminal, "net/chat.ts", {
            args,
            async talk({ output, type }) {
              await output.until("What is your name?");
              type("Bob\n");
              await output.until("* Bob is here.");
              type("Good evening\n");
              await output.until("<Bob> Good evening");
              type(CTRL_D);
            },
          });
          await ann.output.until("<Bob> Good evening\n* Bob has left.\n");
          interrupt(server);
          await ann.output.until("* The room is closed. Good night!\n");
        },
      });
    },
  });
});

testOnLinux("chat.ts ends at Ctrl-C, as a server and as a guest", async () => {
  await run(startOnTerminal, "net/chat.ts", {
    async talk(server, folder) {
      await server.output.until("Listening");
      await run(startOnTerminal, "net/chat.ts", {
        args: ["join", `${folder}/chat.sock`],
        async talk({ output, type }) {
          await output.until("What is your name?");
          type(CTRL_C);
        },
      });
      server.type(CTRL_C);
    },
  });
});

Deno.test("chat.ts says so when there is no room, and explains its arguments", async () => {
  await run(startPiped, "net/chat.ts", {
    args: ["join", "nowhere"],
    status: 1,
    complaints:
      'Cannot connect to "nowhere": no such file or directory (ENOENT)\n',
  });
  await run(startPiped, "net/chat.ts", {
    args: [],
    status: 2,
    complaints: "Usage: chat.ts serve|join [PATH]\n",
  });
});

/** Starts a server of shells, and finds out how to join it. */
async function withShellServer(
  talk: (
    server: Running,
    join: { args: string[]; token: string },
  ) => Promise<void>,
): Promise<string> {
  return await run(startPiped, "net/remote_shell.ts", {
    env: { PS1: "ready> " },
    orphans: true, // The shell is told to hang up, and not waited for.
    async talk(server) {
      const port = await portOf(server);
      const token = await server.output.find(/one client: (\S+)\n/);
      await talk(server, { args: ["join", `${port}`], token });
    },
  });
}

testOnLinux(
  "remote_shell.ts passes keys, the window's size and the exit status on",
  async () => {
    await withShellServer(async (_server, { args, token }) => {
      const output = await run(startOnTerminal, "net/remote_shell.ts", {
        args,
        through: '"$@"; echo "status $?"; stty -a',
        async talk(shell) {
          const { output, type } = shell;
          await output.until("Token: ");
          type(`${token}\n`);
          await tryShell(shell);
          type("seq 1 20000; exit 3\n");
        },
      });
      const numbers = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`);
      assert(output.includes(`exit 3\n${numbers.join("")}status 3\n`));
      assertGivenBack(output);
    });
  },
);

testOnLinux(
  "remote_shell.ts serves nobody without the token, and one client with it",
  async () => {
    const output = await withShellServer(async (server, { args, token }) => {
      const port = Number(args[1]);
      // A command without a token, and a good guess behind a bad one.
      await using rude = await Peer.tcp(port);
      await rude.say(
        `\x02\0\0\0\x09touch me\n\0\0\0\0\x05guess\0\0\0\0\x24${token}`,
      );
      assertEquals(await rude.said.whole(), "");
      await server.output.until("turned away.\n");
      await run(startOnTerminal, "net/remote_shell.ts", {
        args,
        status: 255,
        async talk({ output, type }) {
          await output.until("Token: ");
          type(`${token.replace(/^./, "x")}\n`);
          await output.until("The server has hung up");
        },
      });
      await server.output.until("turned away.\n");
      await run(startOnTerminal, "net/remote_shell.ts", {
        args,
        async talk({ output, type }) {
          await output.until("Token: ");
          type(`${token}\n`);
          await output.until("ready> ");
          // While somebody has the shell, nobody listens.
          await assertRejects(
            () => Deno.connect({ hostname: LOOPBACK, port }),
            Deno.errors.ConnectionRefused,
          );
          type("exit\n");
        },
      });
    });
    assertEquals(output.match(/turned away/g)?.length, 2);
  },
);

testOnLinux(
  "remote_shell.ts ends at a signal on either side, and the client gives the terminal back",
  async () => {
    for (const side of ["server", "client"]) {
      await withShellServer(async (server, { args, token }) => {
        const output = await run(startOnTerminal, "net/remote_shell.ts", {
          args,
          through:
            `sh -c 'echo "pid $$."; exec "$@"' sh "$@"; echo "status $?"; stty -a`,
          async talk({ output, type }) {
            const pid = Number(await output.find(/pid (\d+)\./));
            await output.until("Token: ");
            type(`${token}\n`);
            await output.until("ready> ");
            if (side === "server") interrupt(server);
            else libc().kill(pid, SIGTERM);
          },
        });
        assertInOrder(output, ["status 255\n"]);
        assertGivenBack(output);
      });
    }
  },
);

testOnLinux(
  "remote_shell.ts takes a Ctrl-C instead of a token",
  async () => {
    await run(startOnTerminal, "net/remote_shell.ts", {
      args: ["join", "1"],
      status: 255,
      async talk({ output, type }) {
        await output.until("Token: ");
        type(CTRL_C);
      },
    });
  },
);

testOnLinux(
  "remote_shell.ts does not wait for what the shell leaves behind",
  async () => {
    await withShellServer(async (_server, { args, token }) => {
      const output = await run(startOnTerminal, "net/remote_shell.ts", {
        args,
        status: 4,
        async talk({ output, type }) {
          await output.until("Token: ");
          type(`${token}\n`);
          await output.until("ready> ");
          type("trap '' HUP; sleep 600 & echo job $!.; exit 4\n");
          await output.until("job $!");
        },
      });
      libc().kill(Number(/job (\d+)\./.exec(output)![1]), SIGKILL);
    });
  },
);

Deno.test("remote_shell.ts refuses addresses that others can reach, and explains its arguments", async () => {
  for (const mode of ["serve", "join"]) {
    for (const address of ["0.0.0.0", "::", "192.0.2.1", "127.example"]) {
      await run(startPiped, "net/remote_shell.ts", {
        args: [mode, "1", address],
        status: 2,
        complaints:
          `Refused: what is sent is not encrypted, and "${address}" is not an address of the loopback\n`,
      });
    }
  }
  await run(startPiped, "net/remote_shell.ts", {
    args: [],
    status: 2,
    complaints: "Usage: remote_shell.ts serve|join [PORT [ADDRESS]]\n",
  });
  await run(startPiped, "net/remote_shell.ts", {
    args: ["join", "1"],
    status: 255,
    complaints: "Standard input must be a terminal\n",
  });
});

/** What a visitor is told: the number of the visitor, and the process. */
async function visit(port: number): Promise<[visitor: string, pid: string]> {
  await using peer = await Peer.tcp(port);
  const told = /^You are visitor (\d+) of process (\d+)\.\n$/
    .exec(await peer.said.whole())!;
  return [told[1]!, told[2]!];
}

testOnLinux(
  "socket_activated.ts is started when it is needed, and only then",
  async () => {
    const output = await run(startPiped, "net/socket_activated.ts", {
      async talk(launcher) {
        const port = await portOf(launcher);
        const [first, pid] = await visit(port);
        assertEquals(first, "1");
        await launcher.output.until("The server has left: ");
        const visits = await Promise.all([visit(port), visit(port)]);
        assertEquals(visits.map(([visitor]) => visitor).sort(), ["1", "2"]);
        assertEquals(visits[0][1], visits[1][1]);
        assertNotEquals(visits[0][1], pid);
        interrupt(launcher); // And the server, which runs or is about to leave.
      },
    });
    assertEquals(output.match(/serves "visitors" at/g)?.length, 2);
  },
);

testOnLinux(
  "socket_activated.ts is not started again when it has failed",
  async () => {
    const output = await run(startPiped, "net/socket_activated.ts", {
      status: 1,
      async talk(launcher) {
        const [, pid] = await visit(await portOf(launcher));
        libc().kill(Number(pid), SIGKILL);
      },
    });
    assertInOrder(output, ["has left: The process was ended by SIGKILL\n"]);
  },
);

Deno.test("socket_activated.ts says so when nobody gave it a socket", async () => {
  await run(startPiped, "net/socket_activated.ts", {
    args: [],
    status: 2,
    complaints:
      "There are no sockets: start it by systemd-socket-activate, or with `launch`\n",
  });
});

testWithSystemd(
  "socket_activated.ts serves what systemd opened, of both kinds",
  async () => {
    const port = freePort();
    const output = await run(startPiped, "net/socket_activated.ts", {
      args: [],
      through:
        `exec systemd-socket-activate -l ${port} -l "$PWD/visitors" --fdname=tcp:unix "$@" 2>&1`,
      async talk({ output }, folder) {
        await output.until(`Listening on ${folder}/visitors`);
        assertEquals((await visit(port))[0], "1");
        const path = `${folder}/visitors`;
        await using peer = Peer.unix(path);
        await peer.said.until("You are visitor 2 of process ");
        // The socket is not the server's to remove.
        Deno.removeSync(path);
      },
    });
    assertInOrder(output, [' serves "tcp" at', ' serves "unix" at']);
  },
);

/** Tests with the program that systemd has for this. */
function testWithSystemd(name: string, fn: () => Promise<void>): void {
  const ignore = !new Deno.Command("sh", {
    args: ["-c", "command -v systemd-socket-activate"],
    stdout: "null",
  }).outputSync().success;
  if (ignore) console.log(`${name}: not run, because it needs systemd`);
  Deno.test({ name, ignore, fn });
}

/** A port that was free a moment ago. */
function freePort(): number {
  using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  return listener.addr.port;
}
