/**
 * An interactive shell behind a pseudoterminal of our own, as terminal
 * emulators, `script` and `ssh` make them.
 *
 *     deno run --allow-ffi examples/shell_in_a_pty.ts
 *
 * In a terminal you get a shell in which everything works, Ctrl-C, editors and
 * changes of the window's size included, because it has a terminal, too. `exit`
 * or Ctrl-D ends it, and its exit status is passed on. Where standard input is
 * no terminal, you will see a few commands being typed into it. For another
 * program than `sh`, put that and its arguments at the end.
 *
 * @module
 */

import { FileDescriptor, reactor } from "../mod.ts";
import {
  duplicate,
  openPidfd,
  openPty,
  reap,
  setWindowSize,
  spawnOnTerminal,
} from "../ffi/mod.ts";

const PROMPT = "demo$ ";
const COMMANDS = ["tty", "stty size", "echo $((6 * 7))", "exit"];
const ENVIRONMENT = { PS1: PROMPT, PATH: "/usr/local/bin:/usr/bin:/bin" };

/** Runs a program behind a new pty, and returns its exit status. */
async function runBehindPty(command: string, args: string[]): Promise<number> {
  const attended = Deno.stdin.isTerminal();
  const { master, path } = openPty(attended ? Deno.consoleSize() : {});
  using pty = FileDescriptor.adopt(master);
  const env = attended ? undefined : ENVIRONMENT; // Or else our own.
  const pid = spawnOnTerminal(path, command, { args, env });
  // A process as a descriptor: it can be read once the process has ended.
  using process = FileDescriptor.adopt(openPidfd(pid));

  using _keys = attended ? passOnKeys(pty) : undefined;
  const type = attended ? undefined : typist(pty);
  const screen = Deno.stdout.writable.getWriter();
  for await (const bytes of output(pty, reactor.readable(process))) {
    await screen.write(bytes);
    type?.(bytes);
  }
  const { code, signal } = reap(pid)!;
  return code ?? 128 + signal!;
}

/**
 * What a program prints, up to its end. The end of its terminal may come much
 * later: a job that it leaves behind has that open as well.
 */
async function* output(
  pty: FileDescriptor,
  ended: Promise<unknown>,
): AsyncGenerator<Uint8Array> {
  using watch = reactor.watch(pty, "readable");
  ended.then(() => watch.close());
  for await (const { hangup } of watch) {
    yield* readNow(pty);
    if (hangup) break;
  }
  await ended;
  yield* readNow(pty);
}

/** All that can be read without waiting. */
function* readNow(pty: FileDescriptor): Generator<Uint8Array> {
  const buffer = new Uint8Array(4096);
  try {
    for (let length; (length = pty.read(buffer)) !== null;) {
      yield buffer.slice(0, length);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.WouldBlock)) throw error;
  }
}

/** Makes our own terminal a mere wire to the pty, until it is disposed of. */
function passOnKeys(pty: FileDescriptor): Disposable {
  // It stays blocking: whoever else has this terminal open shares that flag.
  const keys = FileDescriptor.adopt(duplicate(0), { blocking: true });
  const resize = () => {
    const { columns, rows } = Deno.consoleSize();
    setWindowSize(pty.fileno(), columns, rows);
  };
  // Raw: no key is echoed, edited or turned into a signal on this side.
  Deno.stdin.setRaw(true);
  Deno.addSignalListener("SIGWINCH", resize);
  // Closing the keys is how it ends, and no failure.
  keys.readable().pipeTo(pty.writable()).catch(() => {});
  return {
    [Symbol.dispose]() {
      keys.close();
      Deno.removeSignalListener("SIGWINCH", resize);
      Deno.stdin.setRaw(false);
    },
  };
}

/** Types the next command whenever it has seen a prompt. */
function typist(pty: FileDescriptor): (output: Uint8Array) => void {
  const commands = [...COMMANDS];
  let seen = "";
  return (output) => {
    seen = (seen + new TextDecoder().decode(output)).slice(-PROMPT.length);
    if (seen !== PROMPT || commands.length === 0) return;
    pty.write(new TextEncoder().encode(`${commands.shift()}\n`));
  };
}

if (import.meta.main) {
  const [command = "sh", ...args] = Deno.args;
  Deno.exitCode = await runBehindPty(command, args);
}
