/**
 * Child processes, started by `posix_spawn`.
 *
 * A program with threads cannot `fork()` and go on in its own language: the
 * child has one thread, and every lock that another held stays locked.
 * `posix_spawn` does what is to be done between the two in C.
 *
 * @module
 */

import { checkInteger, complaint, cString, show } from "./arguments.ts";
import { planDescriptors } from "./child_descriptors.ts";
import { POSIX } from "./constants.ts";
import {
  discardDescriptor,
  isOpen,
  makePipe,
  setNonBlocking,
} from "./descriptor.ts";
import { ERRNO, systemError } from "./errno.ts";
import { giveTerminal, runAs } from "./identity.ts";
import { openPty, type OpenPtyOptions } from "./pty.ts";
import { Birth } from "./spawn_library.ts";
import { ownEnvironment, stringAt, stringVector } from "./string_vector.ts";

export { openPidfd, reap } from "./exit.ts";
export type { ExitStatus } from "./exit.ts";

const ACTION = "start a process";

const darwin = Deno.build.os === "darwin";

/**
 * What {@linkcode spawnOnTerminal} may be told.
 *
 * @example A shell in a directory, with an environment
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import {
 *   openExit,
 *   openPty,
 *   reap,
 *   spawnOnTerminal,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const { master, path } = openPty();
 * using terminal = FileDescriptor.adopt(master);
 * const pid = spawnOnTerminal(path, "sh", {
 *   args: ["-c", 'echo "$GREETING from $(pwd)"'],
 *   env: { GREETING: "hello", PATH: "/usr/bin:/bin" },
 *   cwd: "/",
 * });
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(reap(pid), { code: 0, signal: null });
 *
 * const buffer = new Uint8Array(100);
 * const length = terminal.read(buffer)!;
 * assertEquals(
 *   new TextDecoder().decode(buffer.subarray(0, length)),
 *   "hello from /\r\n",
 * );
 * ```
 */
export interface SpawnOptions {
  /**
   * The arguments, without the command's own name.
   *
   * @default {[]}
   */
  args?: readonly string[];
  /**
   * The child's whole environment. The default is this process's, which is
   * passed on without being read, so it takes no permission.
   */
  env?: Readonly<Record<string, string>>;
  /** The directory that the child starts in. The default is this process's. */
  cwd?: string;
}

/**
 * What {@linkcode spawn} may be told.
 *
 * @example What a command prints, in a language and a place of its own
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { openExit, reap, spawn } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const { pid, pipes } = spawn("sh", {
 *   args: ["-c", 'echo "$LANG $(pwd)"'],
 *   env: { LANG: "C" },
 *   clearEnv: false, // The rest of the environment is this process's.
 *   cwd: "/",
 *   childFDs: { 1: "r" },
 * });
 * using output = FileDescriptor.adopt(pipes.get(1)!.fd);
 * assertEquals(await new Response(output.readable()).text(), "C /\n");
 *
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(reap(pid), { code: 0, signal: null });
 * ```
 */
export interface ChildOptions {
  /**
   * The arguments, without the command's own name.
   *
   * @default {[]}
   */
  args?: readonly string[];
  /**
   * The directory that the child starts in. The default is this process's.
   */
  cwd?: string | URL;
  /**
   * The child's environment: exactly these variables, or with
   * `clearEnv: false` this process's and these. null stands for this process's.
   *
   * @default {{}}
   */
  env?: Readonly<Record<string, string>> | null;
  /**
   * Whether the child gets nothing of this process's environment. Unlike
   * `Deno.Command`, nothing is passed on unless it is asked for.
   *
   * @default {true}, unless `env` is null
   */
  clearEnv?: boolean;
  /**
   * The user to run as, without this process's further groups. The default is
   * this process's. Another needs Linux, root and `setpriv`, which becomes the
   * command. So a command that this user may not run is no error here: `setpriv`
   * says so on the child's error output, and ends with code 126 or 127. Nor is
   * one that is missing, if its path is relative to `cwd`.
   */
  uid?: number;
  /** The group to run as. The default is this process's. See `uid`. */
  gid?: number;
  /**
   * What the child has open, by its own numbers: a descriptor of ours; "r" for
   * a pipe that we read from and the child writes to; "w" for one that we write
   * to and the child reads from. It has nothing else open.
   *
   * @default {{ 0: "w", 1: "r", 2: "r" }}, and with a terminal {{}}
   */
  childFDs?: Readonly<Record<number, number | "r" | "w">>;
  /**
   * Whether the child begins a session on a terminal of its own, which is its
   * input, output and errors; or the size of that terminal's window.
   *
   * @default {false}
   */
  pty?: boolean | OpenPtyOptions;
  /**
   * The process group that the child joins; 0 for a new one, whose number is
   * the child's pid. The default is this process's, and with a terminal a new
   * one.
   */
  processGroup?: number;
}

/**
 * Our end of a pipe to or from a child.
 *
 * @example An owner for each pipe
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import {
 *   type ChildPipe,
 *   openExit,
 *   reap,
 *   spawn,
 * } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const { pid, pipes } = spawn("tr", {
 *   args: ["a-z", "A-Z"],
 *   childFDs: { 0: "w", 1: "r" },
 * });
 * const own = ({ fd }: ChildPipe) => FileDescriptor.adopt(fd);
 * assertEquals(pipes.get(0)!.direction, "w");
 * const input = own(pipes.get(0)!);
 * const output = own(pipes.get(1)!);
 *
 * await new Blob(["loud"]).stream().pipeTo(input.writable());
 * assertEquals(await new Response(output.readable()).text(), "LOUD");
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(reap(pid), { code: 0, signal: null });
 * ```
 */
export interface ChildPipe {
  /** Its descriptor: non-blocking, closed on exec, the caller's to close. */
  readonly fd: number;
  /** Whether we read from it ("r") or write to it ("w"). */
  readonly direction: "r" | "w";
}

/**
 * A child that has been started.
 *
 * @example A child on a terminal, with a pipe besides
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { type Child, openExit, reap, spawn } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const child: Child = spawn("sh", {
 *   args: ["-c", "tty >&3"],
 *   pty: { columns: 100, rows: 30 },
 *   childFDs: { 3: "r" },
 * });
 * using _terminal = FileDescriptor.adopt(child.terminal!);
 * using report = FileDescriptor.adopt(child.pipes.get(3)!.fd);
 * const path = await new Response(report.readable()).text();
 * assertEquals(path.startsWith("/dev/"), true);
 *
 * using end = FileDescriptor.adopt(openExit(child.pid));
 * await reactor.readable(end);
 * assertEquals(reap(child.pid), { code: 0, signal: null });
 * ```
 */
export interface Child {
  /** Its pid. {@linkcode reap} must collect it. */
  readonly pid: number;
  /** Our ends of its pipes, by the child's numbers. */
  readonly pipes: ReadonlyMap<number, ChildPipe>;
  /**
   * The master of its terminal, if it has one: non-blocking, closed on exec,
   * the caller's to close.
   */
  readonly terminal: number | undefined;
}

/**
 * Starts a command.
 *
 * No signal is ignored or blocked in the child, and it inherits no descriptor
 * that it is not given. (Where the C library cannot see to that, as musl and
 * glibc before 2.34, it inherits those that are not closed on exec.) Its ends of
 * pipes are blocking, as programs expect them.
 *
 * Linux makes a terminal the child's controlling terminal, so Ctrl-C and
 * `/dev/tty` work. macOS is reported not to; see {@linkcode spawnOnTerminal}.
 *
 * @param command The program; without a slash it is looked up on this process's
 * PATH, with one it is relative to `cwd`.
 * @param options What the child has and where it runs.
 * @returns The child.
 * @throws {TypeError} When an argument is not of the right type, a string has a
 * NUL in it, or options contradict each other.
 * @throws {RangeError} When a number is out of range.
 * @throws {Deno.errors.NotFound} When the command or the directory does not
 * exist.
 * @throws {Deno.errors.PermissionDenied} When the command may not be run, or
 * not as another user or group.
 * @throws {Deno.errors.BadResource} When a descriptor in `childFDs` is not
 * open.
 * @throws {Deno.errors.NotSupported} When nothing here can change the user or
 * the group, or a directory is given and the C library is too old for one.
 *
 * @example What a command says, and how it ends
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { openExit, reap, spawn } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const { pid, pipes } = spawn("sh", {
 *   args: ["-c", "echo hello; exit 3"],
 *   childFDs: { 1: "r" },
 * });
 * using output = FileDescriptor.adopt(pipes.get(1)!.fd);
 * let text = "";
 * for await (const bytes of output.readable()) {
 *   text += new TextDecoder().decode(bytes);
 * }
 * assertEquals(text, "hello\n");
 *
 * using end = FileDescriptor.adopt(openExit(pid));
 * await reactor.readable(end);
 * assertEquals(reap(pid), { code: 3, signal: null });
 * ```
 */
export function spawn(
  command: string | URL,
  options: ChildOptions = {},
): Child {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, ACTION, "options", "an object"));
  }
  const { args = [], cwd, pty = false, processGroup } = options;
  const file = pathString(command, "command");
  const others = runAs(options, file);
  const program: Program = {
    file: cString(others?.file ?? file, ACTION, "command"),
    args: [
      ...argumentStrings(others?.args ?? []),
      ...argumentStrings(args),
    ],
    env: environment(options),
    cwd: cwd === undefined ? undefined : pathString(cwd, "cwd"),
  };
  if (typeof pty !== "boolean" && (typeof pty !== "object" || pty === null)) {
    throw new TypeError(
      complaint(pty, ACTION, "pty", "a boolean or an object"),
    );
  }
  if (processGroup !== undefined) {
    checkInteger(processGroup, ACTION, "processGroup");
    if (pty !== false) {
      throw new TypeError(
        `Cannot ${ACTION}: "processGroup" and "pty" exclude each other, because a session has a group of its own`,
      );
    }
  }
  const wanted = wantedDescriptors(options.childFDs, pty !== false);

  const pipes = new Map<number, ChildPipe>();
  const theirs: number[] = [];
  const sources = new Map<number, number>();
  let terminal: number | undefined;
  try {
    for (const [fd, how] of wanted) {
      if (typeof how === "number") {
        sources.set(fd, how);
        continue;
      }
      const [output, input] = makePipe();
      const [our, their] = how === "r" ? [output, input] : [input, output];
      pipes.set(fd, { fd: our, direction: how });
      theirs.push(their);
      sources.set(fd, their);
      setNonBlocking(their, false);
    }
    let slave: string | undefined;
    if (pty !== false) {
      ({ master: terminal, path: slave } = openPty(pty === true ? {} : pty));
      if (others !== undefined && options.uid !== undefined) {
        giveTerminal(slave, options.uid);
      }
    }
    const pid = start(program, sources, {
      slave,
      processGroup,
      action: `Cannot run "${file}"`,
    });
    return { pid, pipes, terminal };
  } catch (error) {
    for (const pipe of pipes.values()) discardDescriptor(pipe.fd);
    if (terminal !== undefined) discardDescriptor(terminal);
    throw error;
  } finally {
    theirs.forEach(discardDescriptor);
  }
}

/**
 * Starts a command as the leader of a session on a terminal, which becomes its
 * standard input, output and error. No signal is ignored or blocked in it, and
 * it inherits no other descriptor. (Where the C library cannot see to that, as
 * musl and glibc before 2.34, it inherits those that are not closed on exec.)
 *
 * Linux makes the terminal the session's controlling terminal, so Ctrl-C and
 * `/dev/tty` work. macOS is reported not to do so for a terminal that
 * `posix_spawn` opens. There, a shell can open it once more and then become the
 * command: `spawnOnTerminal(path, "sh", { args: ["-c", ': <>"$0"; exec "$@"',
 * path, command] })`.
 *
 * @param terminal The path of the terminal, as {@linkcode openPty} gives it.
 * @param command The program; without a slash it is looked up on this process's
 * PATH.
 * @param options The arguments, the environment, the directory.
 * @returns The child's pid. {@linkcode reap} must collect it.
 * @throws {TypeError} When an argument is not of the right type or a string has
 * a NUL in it.
 * @throws {Deno.errors.NotFound} When the command, the terminal or the
 * directory does not exist.
 * @throws {Deno.errors.PermissionDenied} When the command may not be run.
 * @throws {Deno.errors.NotSupported} When a directory is given and the C
 * library is too old for one.
 *
 * @example Usage
 * ```ts
 * import { reactor } from "@interleave/reactor";
 * import { closeDescriptor, openPidfd, openPty, readInto, reap, spawnOnTerminal } from "@interleave/reactor/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * if (Deno.build.os === "linux") {
 *   const { master, path } = openPty();
 *   const pid = spawnOnTerminal(path, "tty");
 *   const exit = openPidfd(pid);
 *   await reactor.readable(exit);
 *   assertEquals(reap(pid), { code: 0, signal: null });
 *
 *   const buffer = new Uint8Array(100);
 *   const length = readInto(master, buffer);
 *   assertEquals(new TextDecoder().decode(buffer.subarray(0, length)), `${path}\r\n`);
 *   closeDescriptor(exit);
 *   closeDescriptor(master);
 * }
 * ```
 */
export function spawnOnTerminal(
  terminal: string,
  command: string,
  options: SpawnOptions = {},
): number {
  const { args = [], env, cwd } = options;
  cString(terminal, ACTION, "terminal");
  const program: Program = {
    file: cString(command, ACTION, "command"),
    args: argumentStrings(args),
    env: env === undefined ? ownEnvironment() : environmentStrings(env),
    cwd,
  };
  return start(program, new Map(), {
    slave: terminal,
    action: `Cannot run "${command}" on "${terminal}"`,
  });
}

/** What a child runs. */
interface Program {
  /** A C string. */
  readonly file: Uint8Array<ArrayBuffer>;
  readonly args: readonly Uint8Array[];
  readonly env: readonly (Uint8Array | bigint)[];
  readonly cwd: string | undefined;
}

/** What {@linkcode start} is told besides. */
interface StartOptions {
  /** The terminal that the child's session begins on. */
  readonly slave: string | undefined;
  readonly processGroup?: number | undefined;
  /** What fails if it fails. */
  readonly action: string;
}

/** The numbers of a child that a terminal takes. */
const TERMINAL_FDS = [0, 1, 2];

/** Starts a child with our descriptors under its own numbers. */
function start(
  program: Program,
  sources: ReadonlyMap<number, number>,
  options: StartOptions,
): number {
  const { file, cwd } = program;
  const { slave, processGroup, action } = options;
  const args = stringVector([file, ...program.args]);
  const env = stringVector(program.env);
  using birth = new Birth();
  if (cwd !== undefined) {
    birth.changeDirectory(cwd, cString(cwd, ACTION, "cwd"));
  }
  const plan = planDescriptors(
    sources,
    slave === undefined ? [] : TERMINAL_FDS,
  );
  for (const { from, to } of plan.aside) birth.duplicate(from, to);
  if (slave !== undefined) {
    birth.beginSession();
    // Without O_NOCTTY: the leader of a new session, which has no terminal yet,
    // gets the one that it opens (open(2)).
    birth.open(0, cString(slave, ACTION, "terminal"), POSIX.O_RDWR);
    birth.duplicate(0, 1);
    birth.duplicate(0, 2);
  }
  for (const { from, to } of plan.place) birth.duplicate(from, to);
  // macOS closes the gaps by itself, and refuses to close what is not open.
  const closed = new Set(darwin ? plan.spares : [...plan.spares, ...plan.gaps]);
  for (const fd of closed) birth.close(fd);
  birth.closeFrom(plan.rest);
  if (processGroup !== undefined) birth.joinGroup(processGroup);
  return birth.run(file, args, env, action);
}

/** A path, or a URL of one, as `Deno.Command` takes both. */
function pathString(value: unknown, name: string): string {
  if (!(value instanceof URL)) {
    cString(value, ACTION, name);
    return value as string;
  }
  if (value.protocol !== "file:") {
    throw new TypeError(complaint(value.href, ACTION, name, "a file URL"));
  }
  const path = decodeURIComponent(value.pathname);
  cString(path, ACTION, name);
  return path;
}

function argumentStrings(args: readonly string[]): Uint8Array[] {
  if (!Array.isArray(args)) {
    throw new TypeError(
      complaint(args, ACTION, "args", "an array"),
    );
  }
  return args.map((value, i) => cString(value, ACTION, `args[${i}]`));
}

/** The environment that options ask for. */
function environment(
  options: ChildOptions,
): (Uint8Array | bigint)[] {
  const { env, clearEnv = env !== null } = options;
  if (typeof clearEnv !== "boolean") {
    throw new TypeError(complaint(clearEnv, ACTION, "clearEnv", "a boolean"));
  }
  if (env === null && clearEnv) {
    throw new TypeError(
      `Cannot ${ACTION}: "clearEnv" must not be true when "env" is null, which stands for the environment of this process`,
    );
  }
  const strings = environmentStrings(env ?? {});
  if (clearEnv) return strings;
  const names = new Set(Object.keys(env ?? {}));
  const inherited = ownEnvironment();
  if (names.size === 0) return inherited;
  return [
    ...inherited.filter((address) =>
      !names.has(stringAt(address).split("=", 1)[0]!)
    ),
    ...strings,
  ];
}

function environmentStrings(
  env: Readonly<Record<string, string>>,
): Uint8Array[] {
  if (env === null || typeof env !== "object") {
    throw new TypeError(
      complaint(env, ACTION, "env", "an object"),
    );
  }
  return Object.entries(env).map(([name, value]) => {
    if (name === "" || name.includes("=")) {
      throw new TypeError(
        `Cannot ${ACTION}: a name in "env" must be neither empty nor contain "=", received ${
          show(name)
        }`,
      );
    }
    cString(value, ACTION, `env.${name}`);
    return cString(`${name}=${value}`, ACTION, "env");
  });
}

const PIPES = { 0: "w", 1: "r", 2: "r" } as const;

/** What the child is to have open besides a terminal, checked. */
function wantedDescriptors(
  childFDs: ChildOptions["childFDs"],
  onTerminal: boolean,
): Map<number, number | "r" | "w"> {
  const given = childFDs ?? (onTerminal ? {} : PIPES);
  if (typeof given !== "object" || given === null) {
    throw new TypeError(complaint(childFDs, ACTION, "childFDs", "an object"));
  }
  const wanted = new Map<number, number | "r" | "w">();
  for (const [key, how] of Object.entries(given)) {
    const name = `childFDs[${key}]`;
    const fd = checkInteger(
      key.trim() === "" ? NaN : Number(key),
      ACTION,
      "a name in childFDs",
    );
    if (onTerminal && TERMINAL_FDS.includes(fd)) {
      throw new TypeError(
        `Cannot ${ACTION}: "${name}" and "pty" exclude each other, because a terminal takes the numbers 0 to 2`,
      );
    }
    if (how !== "r" && how !== "w") {
      if (typeof how !== "number") {
        throw new TypeError(
          complaint(how, ACTION, name, 'a descriptor, "r" or "w"'),
        );
      }
      checkInteger(how, ACTION, name);
      if (!isOpen(how)) {
        throw systemError(
          `Cannot ${ACTION} with descriptor ${how} in "${name}"`,
          ERRNO.EBADF!,
        );
      }
    }
    wanted.set(fd, how);
  }
  return wanted;
}
