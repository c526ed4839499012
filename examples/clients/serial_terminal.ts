/**
 * A terminal at a serial port, as `cu`, `picocom` and `screen` have it.
 *
 *     deno run --allow-ffi examples/clients/serial_terminal.ts /dev/ttyUSB0 115200
 *
 * What you type goes to the port, and what comes from there is shown, as it is.
 * Ctrl-] ends it; Ctrl-C is for the other side. The frame and the flow control
 * can be put behind the speed: `9600 7E1`, `9600 8N1 hardware`, or `software`.
 * Where standard input is no terminal, its end is the end. Without a device at
 * hand, `socat -d -d pty,raw,echo=0 pty,raw,echo=0` has two ports, of which you
 * can give one to this program here and one in another window.
 *
 * @module
 */

import { FileDescriptor, reactor, ReactorNotRunning } from "../../mod.ts";
import { duplicate } from "../../ffi/mod.ts";
import {
  type LineSettings,
  openSerialPort,
  type SerialPort,
} from "./serial_port.ts";

const CTRL_CLOSING_BRACKET = 0x1d;

const PARITIES = { N: "none", E: "even", O: "odd" } as const;

const USAGE = "Usage: serial_terminal.ts PORT SPEED [FRAME [FLOW]]\n" +
  "  FRAME is 8N1 (the default), 7E1 and so on; FLOW none, hardware or software";

/** What the command line says, or nothing if it does not make sense. */
function parse(args: string[]): [path: string, LineSettings] | undefined {
  const [path, speed, frame = "8N1", flow = "none", ...more] = args;
  const parts = /^([5-8])([NEO])([12])$/.exec(frame);
  if (path === undefined || !/^[1-9]\d{0,7}$/.test(speed ?? "")) return;
  if (parts === null || more.length > 0) return;
  if (!["none", "hardware", "software"].includes(flow)) return;
  return [path, {
    baudRate: Number(speed),
    dataBits: Number(parts[1]) as LineSettings["dataBits"],
    parity: PARITIES[parts[2] as keyof typeof PARITIES],
    stopBits: Number(parts[3]) as LineSettings["stopBits"],
    flowControl: flow as LineSettings["flowControl"],
  }];
}

/** Moves bytes both ways until one of them ends. Returns whether we ended it. */
async function talk(port: SerialPort): Promise<boolean> {
  const attended = Deno.stdin.isTerminal();
  // It stays blocking: whoever else has this terminal open shares that flag.
  const keys = FileDescriptor.adopt(duplicate(0), { blocking: true });
  // Raw: no key is echoed, edited or turned into a signal on this side.
  if (attended) Deno.stdin.setRaw(true);
  console.error(`Connected to "${port.path}". Ctrl-] ends it.`);
  try {
    const shown = show(port).then(() => false);
    const typed = (attended ? passOnKeys : passOnInput)(keys, port)
      .then(() => true);
    // The slower one fails when all is closed, and nobody is interested.
    shown.catch(() => {});
    typed.catch(() => {});
    return await Promise.race([shown, typed]);
  } finally {
    if (attended) Deno.stdin.setRaw(false);
    keys.close();
  }
}

async function show(port: SerialPort): Promise<void> {
  const screen = Deno.stdout.writable;
  const options = { preventClose: true, preventAbort: true };
  await port.readable.pipeTo(screen, options);
}

/** Sends what is typed, up to the key that ends it. */
async function passOnKeys(
  keys: FileDescriptor,
  port: SerialPort,
): Promise<void> {
  const writer = port.writable.getWriter();
  for await (const bytes of keys.readable()) {
    const end = bytes.indexOf(CTRL_CLOSING_BRACKET);
    await writer.write(end < 0 ? bytes : bytes.subarray(0, end));
    if (end >= 0) return;
  }
}

/** Sends all of the input, and waits until it is sent. */
async function passOnInput(
  input: FileDescriptor,
  port: SerialPort,
): Promise<void> {
  await input.readable().pipeTo(port.writable);
  await port.drain();
}

/** Returns the exit status. */
async function main(args: string[]): Promise<number> {
  const parsed = parse(args);
  if (parsed === undefined) {
    console.error(USAGE);
    return 2;
  }
  const [path, settings] = parsed;
  // So that a signal gives port and terminal back, too.
  const run = reactor.run();
  try {
    using port = openSerialPort(path, settings);
    if (await talk(port)) return 0;
    console.error("The port has hung up");
    return 1;
  } catch (error) {
    if (error instanceof ReactorNotRunning) return 0; // A signal.
    console.error((error as Error).message);
    return 1;
  } finally {
    await reactor.close();
    await run;
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
