/**
 * `examples/clients/serial_port.ts` and `serial_terminal.ts`, on pairs of
 * pseudoterminals that `socat` connects.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  openSerialPort,
  type SerialPortOptions,
} from "../../examples/clients/serial_port.ts";
import { libc } from "../../ffi/libc.ts";
import { FileDescriptor, Reactor } from "../../mod.ts";
import { onLinux } from "../descriptors.ts";
import {
  assertGivenBack,
  commandOf,
  CTRL_C,
  run as runExample,
  SIGTERM,
  startOnTerminal,
  startPiped,
  testOnLinux,
} from "../example_program.ts";
import { testToolkit } from "../loops/toolkit.ts";
import { Folder } from "../net/certificates.ts";
import { sum } from "../net/peers/http_server.ts";
import { run, testWithPeers } from "../net/peers/peer.ts";
import { pattern } from "../net/protocols.ts";
import { missingSocat, PtyPair, stty } from "./pty_pair.ts";

const missing = missingSocat;

// What is opened in a test and stays open would be taken for a leak.
libc();
if (onLinux) {
  assertThrows(
    () => openSerialPort("/nonexistent", { baudRate: 9600 }),
    Deno.errors.NotFound,
  );
}

const MIB = 2 ** 20;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const root = Deno.build.os === "linux" &&
  decoder.decode(
      new Deno.Command("sh", { args: ["-c", "id -u"] }).outputSync().stdout,
    ).trim() === "0";

/** Declares a test with two ports and a wire, for each backend. */
function testPorts(
  name: string,
  fn: (
    ports: PtyPair,
    open: (
      path: string,
      options?: Partial<SerialPortOptions>,
    ) => ReturnType<typeof openSerialPort>,
    reactor: Reactor,
  ) => Promise<void>,
): void {
  testWithPeers(name, missing, async ({ reactor }) => {
    await using ports = await PtyPair.start();
    const open = (path: string, options: Partial<SerialPortOptions> = {}) =>
      openSerialPort(path, { baudRate: 115200, reactor, ...options });
    await fn(ports, open, reactor);
  });
}

/** Reads so many bytes. */
async function take(
  port: AsyncIterable<Uint8Array>,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let count = 0;
  for await (const part of port) {
    bytes.set(part, count);
    count += part.length;
    if (count === length) break;
  }
  return bytes.subarray(0, count);
}

testPorts(
  "openSerialPort() passes all 256 values of a byte as they are, both ways",
  async (ports, open) => {
    using here = open(ports.here);
    using there = open(ports.there);
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const [from, to] of [[here, there], [there, here]] as const) {
      const writer = from.writable.getWriter();
      await writer.write(all);
      assertEquals(await take(to, all.length), all);
    }
  },
);

testPorts(
  "openSerialPort() moves a megabyte each way at once, with programs at the other port",
  async (ports, open) => {
    using port = open(ports.here);
    await using folder = new Folder();
    const up = pattern(MIB);
    const down = up.toReversed();
    const file = await folder.write("down", down);
    const command = `cat "$1" > "$2" & head -c ${MIB} "$2" | sha256sum; wait`;
    const peer = run("sh", ["-c", command, "sh", file, ports.there]);
    const writer = port.writable.getWriter();
    const [received] = await Promise.all([
      take(port, down.length),
      writer.write(up),
    ]);
    assertEquals(sum(received), sum(down));
    const { text } = await peer;
    assertEquals(`${MIB} ${text.slice(0, 64)}`, sum(up));
  },
);

testPorts(
  "openSerialPort() makes settings that stty reads back",
  async (ports, open) => {
    await stty(ports.here, "sane", "ixoff", "istrip", "inlcr", "igncr");
    const exclusive = false; // Or else stty would be kept out.
    using port = open(ports.here, {
      exclusive,
      baudRate: 57600,
      stopBits: 2,
      flowControl: "hardware",
    });
    const settings = await stty(ports.here, "-a");
    for (
      const word of [
        ...["speed 57600 baud", "min = 1;", "time = 0;"],
        ...["cs8", "cstopb", "-parenb", "crtscts", "clocal", "cread"],
        ...["-ixon", "-ixoff", "-icrnl", "-inlcr", "-igncr", "-istrip"],
        ...["-opost", "-icanon", "-echo", "-isig", "-iexten"],
      ]
    ) assertMatch(settings, new RegExp(`(^|[ ;\n])${word}(?![a-z])`), word);
    assertEquals(port.settings, {
      baudRate: 57600,
      dataBits: 8,
      stopBits: 2,
      parity: "none",
      flowControl: "hardware",
    });
    port.close();
    using software = open(ports.here, {
      exclusive,
      baudRate: 300,
      flowControl: "software",
    });
    assertMatch(
      await stty(ports.here, "-a"),
      /speed 300 baud[^]* -cstopb [^]* -crtscts[^]* ixon ixoff/,
    );
    assertEquals(software.settings.flowControl, "software");
  },
);

testPorts(
  "openSerialPort() has the kernel take speeds that have no code",
  // deno-lint-ignore require-await
  async (ports, open) => {
    for (const baudRate of [1, 31_250, 250_000, 12_000_000]) {
      using port = open(ports.here, { baudRate });
      assertEquals(port.settings.baudRate, baudRate);
    }
  },
);

testPorts(
  "openSerialPort() refuses what the driver does not do, and leaves the settings alone",
  async (ports, open) => {
    const before = await stty(ports.here, "-g");
    // A pseudoterminal has 8 bits and no parity (drivers/tty/pty.c,
    // pty_set_termios).
    for (
      const [options, words] of [
        [{ parity: "even" }, 'a parity of "even"'],
        [{ dataBits: 7 }, "a dataBits of 7"],
        [{ dataBits: 9 }, "a dataBits of 9"],
        [{ flowControl: "smoke" }, 'a flowControl of "smoke"'],
      ] as const
    ) {
      assertThrows(
        () => open(ports.here, options as Partial<SerialPortOptions>),
        RangeError,
        `Cannot set up the serial port "${ports.here}": it does not do ${words}`,
      );
    }
    assertEquals(await stty(ports.here, "-g"), before);
    open(ports.here).close(); // And nobody has it.
  },
);

testPorts(
  "SerialPort gives its settings back when it is closed, in whichever way",
  async (ports, open) => {
    await stty(ports.here, "sane", "9600");
    const before = await stty(ports.here, "-g");
    const port = open(ports.here, { exclusive: false });
    assert(await stty(ports.here, "-g") !== before);
    port.close();
    port.close();
    assertEquals(await stty(ports.here, "-g"), before);
    {
      using _port = open(ports.here);
    }
    assertEquals(await stty(ports.here, "-g"), before);
    {
      await using _port = open(ports.here);
    }
    assertEquals(await stty(ports.here, "-g"), before);
  },
);

testPorts(
  "SerialPort ends when the other side hangs up, and closes in peace",
  async (ports, open, reactor) => {
    const before = reactor.inspect().descriptors.length;
    {
      await using port = open(ports.here);
      using there = open(ports.there);
      const writer = there.writable.getWriter();
      await writer.write(encoder.encode("the last words"));
      assertEquals(decoder.decode(await take(port, 14)), "the last words");
      const rest = Array.fromAsync(port);
      ports.hangUp();
      assertEquals(await rest, []);
      await assertRejects(
        () => port.writable.getWriter().write(encoder.encode("too late")),
        Error,
        "EIO",
      );
      await assertRejects(() => port.drain(), Error, "EIO");
      assertThrows(() => port.settings, Error, "EIO");
    }
    assertEquals(reactor.inspect().descriptors.length, before);
  },
);

testPorts(
  "openSerialPort() has a port alone: a second one is busy, until the first is closed",
  // deno-lint-ignore require-await
  async (ports, open) => {
    {
      using _first = open(ports.here);
      const error = assertThrows(() => open(ports.here), Deno.errors.Busy);
      // The superuser is let in, and asks; anybody else is not.
      assertStringIncludes(error.message, root ? "alone" : "Cannot open");
    }
    {
      using _first = open(ports.here, { exclusive: false });
      using _second = open(ports.here, { exclusive: false });
      // The kernel does not say who has it, or whether anybody has.
      using _third = open(ports.here);
    }
    open(ports.here).close();
  },
);

if (!root) {
  console.log("Left out: a port as another user sees it, which takes root");
}

Deno.test({
  name:
    "openSerialPort() has the kernel refuse the port to other users, but not to root",
  ignore: missing.length > 0 || !root,
  async fn() {
    await using ports = await PtyPair.start();
    const look = async (user: number) => {
      const args = [`--reuid=${user}`, "--clear-groups", "stty", "-F"];
      const { code, stderr } = await run("setpriv", [...args, ports.here]);
      return code === 0 ? "seen" : stderr;
    };
    await run("chmod", ["666", ports.here]);
    const NOBODY = 65534;
    assertEquals(await look(NOBODY), "seen");
    {
      using _port = openSerialPort(ports.here, { baudRate: 9600 });
      assertStringIncludes(await look(NOBODY), "Device or resource busy");
      assertEquals(await look(0), "seen");
    }
    assertEquals(await look(NOBODY), "seen");
  },
});

testPorts(
  "SerialPort cuts what comes into lines, whatever the pieces",
  async (ports, open) => {
    using here = open(ports.here);
    using there = open(ports.there);
    const writer = there.writable.getWriter();
    const lines = here.lines();
    const next = async () => (await lines.next()).value;
    await writer.write(encoder.encode("one\r\ntwo\nthr"));
    assertEquals(await next(), "one");
    assertEquals(await next(), "two");
    const three = next();
    for (const byte of encoder.encode("ée\r\n")) {
      await writer.write(Uint8Array.of(byte));
    }
    assertEquals(await three, "thrée");
    const four = next();
    await writer.write(encoder.encode("four\nincomplete"));
    assertEquals(await four, "four");
    ports.hangUp();
    assertEquals(await next(), "incomplete");
    assertEquals((await lines.next()).done, true);
  },
);

testPorts(
  "SerialPort goes on after a loop that was left",
  async (ports, open) => {
    using here = open(ports.here);
    using there = open(ports.there);
    const writer = there.writable.getWriter();
    for (const word of ["one", "two"]) {
      await writer.write(encoder.encode(word));
      assertEquals(decoder.decode(await take(here, 3)), word);
    }
  },
);

testPorts(
  "SerialPort closes while it is read and written, and its streams say so",
  async (ports, open) => {
    using here = open(ports.here);
    const reading = Array.fromAsync(here);
    // More than the terminals and socat hold: nobody reads at the other port.
    const writing = here.writable.getWriter().write(new Uint8Array(MIB));
    here.close();
    await assertRejects(() => reading, Deno.errors.BadResource);
    await assertRejects(() => writing, Deno.errors.BadResource);
    await assertRejects(() => here.drain(), Deno.errors.BadResource);
  },
);

testPorts(
  "SerialPort says that a pseudoterminal has no signals",
  // deno-lint-ignore require-await
  async (ports, open) => {
    using port = open(ports.here);
    assertThrows(() => port.getSignals(), Error, "ENOTTY");
    assertThrows(
      () => port.setSignals({ dataTerminalReady: true }),
      Error,
      "ENOTTY",
    );
  },
);

testOnLinux(
  "openSerialPort() says so when there is no port, or no speed",
  // deno-lint-ignore require-await
  async () => {
    assertThrows(
      () => openSerialPort("/dev/null", { baudRate: 9600 }),
      Error,
      'Cannot open "/dev/null" as a serial port: not a terminal',
    );
    for (const baudRate of [0, -1, 9600.5, NaN]) {
      assertThrows(
        () => openSerialPort("/dev/null", { baudRate }),
        RangeError,
        `A speed of ${baudRate} is none`,
      );
    }
  },
);

// The program

const PROGRAM = "clients/serial_terminal.ts";

/** What it says when it begins. */
function connected(path: string): string {
  return `Connected to "${path}". Ctrl-] ends it.`;
}

/** Waits until the port at the other end has said something. */
async function said(
  { port, reactor }: Other,
  text: string,
): Promise<void> {
  let all = "";
  const stream = port.readable({ reactor, preventClose: true });
  for await (const bytes of stream) {
    all += decoder.decode(bytes);
    if (all === text) return;
    assert(text.startsWith(all), `${JSON.stringify(all)} was said`);
  }
}

/** The port at the other end, and who waits for it. */
interface Other {
  readonly port: FileDescriptor;
  readonly reactor: Reactor;
}

/** Declares a test with a program at one of two ports. */
function testTerminal(
  name: string,
  fn: (ports: PtyPair, there: Other) => Promise<void>,
): void {
  testToolkit(name, missing, async () => {
    await using ports = await PtyPair.start();
    const options = { read: true, write: true };
    using port = FileDescriptor.open(ports.there, options);
    await using reactor = new Reactor();
    await fn(ports, { port, reactor });
  });
}

testTerminal(
  "serial_terminal.ts passes keys on, Ctrl-C too, and ends at Ctrl-]",
  async (ports, there) => {
    const output = await runExample(startOnTerminal, PROGRAM, {
      args: [ports.here, "9600", "8N2", "hardware"],
      through: '"$@"; echo "status $?"; stty -a',
      async talk({ output, type }) {
        await output.until(connected(ports.here));
        if (root) { // Anybody else is kept out.
          assertMatch(
            await stty(ports.here, "-a"),
            /speed 9600 baud[^]* cstopb [^]* crtscts/,
          );
        }
        type("AT\r");
        await said(there, "AT\r");
        there.port.write(encoder.encode("OK\r\n"));
        await output.until("OK");
        type(CTRL_C);
        await said(there, CTRL_C);
        type("bye\x1dnot this");
        await said(there, "bye");
        await output.until("status 0");
      },
    });
    assertGivenBack(output);
  },
);

testTerminal(
  "serial_terminal.ts sends its input in a pipe, and ends behind it",
  async (ports, there) => {
    const output = await runExample(startPiped, PROGRAM, {
      args: [ports.here, "115200"],
      complaints: `${connected(ports.here)}\n`,
      async talk({ output, type, endInput }) {
        type("one\x1d");
        await said(there, "one\x1d");
        there.port.write(encoder.encode("two"));
        await output.until("two");
        type("three");
        endInput();
        await said(there, "three");
      },
    });
    assertEquals(output, "two");
  },
);

testTerminal(
  "serial_terminal.ts says so when the port hangs up, and gives the terminal back",
  async (ports) => {
    const output = await runExample(startOnTerminal, PROGRAM, {
      args: [ports.here, "115200"],
      through: '"$@"; echo "status $?"; stty -a',
      async talk({ output }) {
        await output.until(connected(ports.here));
        ports.hangUp();
      },
    });
    assertStringIncludes(output, "The port has hung up\nstatus 1\n");
    assertGivenBack(output);
  },
);

testTerminal(
  "serial_terminal.ts gives port and terminal back at a signal",
  async (ports) => {
    const before = await stty(ports.here, "-g");
    const output = await runExample(startOnTerminal, PROGRAM, {
      args: [ports.here, "115200"],
      through:
        `sh -c 'echo "pid $$."; exec "$@"' sh "$@"; echo "status $?"; stty -a`,
      async talk({ output }) {
        const pid = Number(await output.find(/pid (\d+)\./));
        await output.until(connected(ports.here));
        libc().kill(pid, SIGTERM);
      },
    });
    assertStringIncludes(output, "status 0\n");
    assertGivenBack(output);
    assertEquals(await stty(ports.here, "-g"), before);
  },
);

testOnLinux(
  "serial_terminal.ts says so when there is no port, and explains its arguments",
  async () => {
    const [, ...speed] = commandOf(PROGRAM).args;
    await runExample(startPiped, PROGRAM, {
      args: ["/nonexistent/tty", ...speed],
      status: 1,
      complaints:
        'Cannot open "/nonexistent/tty": no such file or directory (ENOENT)\n',
    });
    for (
      const args of [
        [],
        ["/dev/null"],
        ["/dev/null", "fast"],
        ["/dev/null", "9600", "9N1"],
        ["/dev/null", "9600", "8N1", "smoke"],
      ]
    ) {
      await runExample(startPiped, PROGRAM, {
        args,
        status: 2,
        complaints:
          "Usage: serial_terminal.ts PORT SPEED [FRAME [FLOW]]\n  FRAME is 8N1 (the default), 7E1 and so on; FLOW none, hardware or software\n",
      });
    }
  },
);
