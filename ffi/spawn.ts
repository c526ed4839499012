/**
 * Child processes, started by `posix_spawn` and collected by their pid.
 *
 * The vectors of strings that C wants here are arrays of addresses, and asking
 * for an address (`Deno.UnsafePointer.of`) takes the unscoped `--allow-ffi`. So
 * does everything in this file that starts a process.
 *
 * @module
 */

import { checkInteger, complaint, cString, show } from "./arguments.ts";
import { POSIX } from "./constants.ts";
import { check, systemError } from "./errno.ts";
import { libc, libcPath, linux } from "./libc.ts";

const ACTION = "start a process";

const darwin = Deno.build.os === "darwin";

/**
 * Functions that only a program that starts processes needs. Types that differ
 * from system to system (`posix_spawnattr_t`, `sigset_t`, ...) are passed as
 * memory of {@linkcode OBJECT_SIZE} bytes, which the C library fills in itself.
 */
const SPAWN_SYMBOLS = {
  /**
   * `int posix_spawnp(pid_t *pid, const char *file, const
   * posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
   * char *const argv[], char *const envp[])`; returns an errno, as all of these
   * do
   */
  posix_spawnp: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  /**
   * `int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)`
   */
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  /**
   * `int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)`
   */
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  /**
   * `int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions,
   * int fd, const char *path, int flags, mode_t mode)`
   */
  posix_spawn_file_actions_addopen: {
    parameters: ["buffer", "i32", "buffer", "i32", "u32"],
    result: "i32",
  },
  /**
   * `int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions,
   * int old, int new)`
   */
  posix_spawn_file_actions_adddup2: {
    parameters: ["buffer", "i32", "i32"],
    result: "i32",
  },
  /**
   * `int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t
   * *actions, const char *path)`; glibc 2.29, musl 1.1.24, macOS 10.15
   */
  posix_spawn_file_actions_addchdir_np: {
    parameters: ["buffer", "buffer"],
    result: "i32",
    optional: true,
  },
  /**
   * `int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t
   * *actions, int from)`; glibc 2.34
   */
  posix_spawn_file_actions_addclosefrom_np: {
    parameters: ["buffer", "i32"],
    result: "i32",
    optional: true,
  },
  /** `int posix_spawnattr_init(posix_spawnattr_t *attributes)` */
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  /** `int posix_spawnattr_destroy(posix_spawnattr_t *attributes)` */
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  /**
   * `int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags)`
   */
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  /**
   * `int posix_spawnattr_setsigdefault(posix_spawnattr_t *attributes, const
   * sigset_t *signals)`
   */
  posix_spawnattr_setsigdefault: {
    parameters: ["buffer", "buffer"],
    result: "i32",
  },
  /**
   * `int posix_spawnattr_setsigmask(posix_spawnattr_t *attributes, const
   * sigset_t *signals)`
   */
  posix_spawnattr_setsigmask: {
    parameters: ["buffer", "buffer"],
    result: "i32",
  },
  /** `int sigemptyset(sigset_t *signals)` */
  sigemptyset: { parameters: ["buffer"], result: "i32" },
  /** `int sigfillset(sigset_t *signals)` */
  sigfillset: { parameters: ["buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Room for any of the types above: the largest is glibc's `posix_spawnattr_t`,
 * 336 bytes.
 */
const OBJECT_SIZE = 512;

/** `<spawn.h>`: give the signals that are named back their default action. */
const POSIX_SPAWN_SETSIGDEF = 0x04;
/** `<spawn.h>`: block the signals that are named and no others. */
const POSIX_SPAWN_SETSIGMASK = 0x08;
/** `<spawn.h>`: begin a session. */
const POSIX_SPAWN_SETSID = darwin ? 0x0400 : 0x80;
/** `<spawn.h>`, macOS: close what no file action names. */
const POSIX_SPAWN_CLOEXEC_DEFAULT = darwin ? 0x4000 : 0;

/** `<sys/wait.h>`: do not wait. */
const WNOHANG = 1;

/**
 * Linux gave this call one number on all architectures; glibc wraps it since
 * 2.36 only.
 */
const SYS_PIDFD_OPEN = 434;

/** What {@linkcode spawnOnTerminal} may be told. */
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

/** How a process ended: of its own accord or by a signal. */
export interface ExitStatus {
  /** The exit code, or null after a signal. */
  code: number | null;
  /** The number of the signal, or null after an exit. */
  signal: number | null;
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
 * This needs `--allow-ffi` without a path.
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
  const slave = cString(terminal, ACTION, "terminal");
  const file = cString(command, ACTION, "command");
  const argv = cStrings([file, ...argumentStrings(args)]);
  const library = spawnLibrary();
  const envp = env === undefined
    ? inheritedEnvironment(library.environ)
    : cStrings(environmentStrings(env));
  const directory = cwd === undefined ? undefined : cString(cwd, ACTION, "cwd");

  const { symbols: c } = library;
  const actions = new Uint8Array(OBJECT_SIZE);
  const attributes = new Uint8Array(OBJECT_SIZE);
  const pid = new Int32Array(1);
  try {
    done(c.posix_spawn_file_actions_init(actions));
    done(c.posix_spawnattr_init(attributes));
    if (directory !== undefined) {
      const chdir = c.posix_spawn_file_actions_addchdir_np;
      if (chdir === null) {
        throw new Deno.errors.NotSupported(
          `Cannot ${ACTION} in "${cwd}": the C library is too old to change the directory`,
        );
      }
      done(chdir(actions, directory));
    }
    // Without O_NOCTTY: the leader of a new session, which has no terminal yet,
    // gets the one that it opens (open(2)).
    done(
      c.posix_spawn_file_actions_addopen(actions, 0, slave, POSIX.O_RDWR, 0),
    );
    done(c.posix_spawn_file_actions_adddup2(actions, 0, 1));
    done(c.posix_spawn_file_actions_adddup2(actions, 0, 2));
    const closeFrom = c.posix_spawn_file_actions_addclosefrom_np;
    if (closeFrom !== null) done(closeFrom(actions, 3));

    // Deno ignores SIGPIPE, and what is ignored stays so across exec: without
    // this, `yes | head` would never end in the child.
    const signals = new Uint8Array(OBJECT_SIZE);
    c.sigfillset(signals);
    done(c.posix_spawnattr_setsigdefault(attributes, signals));
    c.sigemptyset(signals);
    done(c.posix_spawnattr_setsigmask(attributes, signals));
    done(c.posix_spawnattr_setflags(
      attributes,
      POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID |
        POSIX_SPAWN_CLOEXEC_DEFAULT,
    ));
    done(
      c.posix_spawnp(pid, file, actions, attributes, argv, envp),
      `Cannot run "${command}" on "${terminal}"`,
    );
    return pid[0]!;
  } finally {
    // Zeroes, if it came to that before they were initialised: nothing to free.
    c.posix_spawn_file_actions_destroy(actions);
    c.posix_spawnattr_destroy(attributes);
  }
}

/** Every function of `<spawn.h>` returns what went wrong, or 0. */
function done(error: number, action: string = `Cannot ${ACTION}`): void {
  if (error !== 0) throw systemError(action, error);
}

function argumentStrings(args: readonly string[]): Uint8Array[] {
  if (!Array.isArray(args)) {
    throw new TypeError(
      complaint(args, ACTION, "args", "an array"),
    );
  }
  return args.map((value, i) => cString(value, ACTION, `args[${i}]`));
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

/**
 * Lays out a `char *const[]`: the addresses of the strings, a null, the strings
 * themselves, all in one piece of memory, so that whatever keeps the addresses
 * alive keeps the strings alive too.
 */
function cStrings(strings: readonly Uint8Array[]): Uint8Array {
  const header = 8 * (strings.length + 1);
  const total = strings.reduce((sum, { length }) => sum + length, header);
  const memory = new Uint8Array(total);
  const addresses = new BigUint64Array(memory.buffer, 0, strings.length);
  const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
  let offset = header;
  for (const [i, string] of strings.entries()) {
    addresses[i] = base + BigInt(offset);
    memory.set(string, offset);
    offset += string.length;
  }
  return memory;
}

type SpawnSymbols = Deno.DynamicLibrary<typeof SPAWN_SYMBOLS>["symbols"];

let opened: { symbols: SpawnSymbols; environ: Deno.PointerObject } | undefined;

/** Opened at the first start of a process, and never closed. */
function spawnLibrary(): NonNullable<typeof opened> {
  if (opened !== undefined) return opened;
  const path = libcPath();
  const { symbols } = Deno.dlopen(path, SPAWN_SYMBOLS);
  return opened = { symbols, environ: environAddress(path) };
}

/**
 * The address of the variable `environ`, whose value changes with `setenv()`.
 */
function environAddress(path: string): Deno.PointerObject {
  if (darwin) {
    // Libraries on macOS do not see the variable itself (environ(7)).
    const { symbols } = Deno.dlopen(path, {
      /** `char ***_NSGetEnviron(void)` */
      _NSGetEnviron: { parameters: [], result: "pointer" },
    });
    return symbols._NSGetEnviron()!;
  }
  const { symbols } = Deno.dlopen(path, {
    /** `extern char **environ` */
    environ: { type: "pointer" },
  });
  return symbols.environ!;
}

/** This process's environment as C holds it, uncopied and unread. */
function inheritedEnvironment(environ: Deno.PointerObject): Uint8Array {
  const vector = new Deno.UnsafePointerView(environ).getPointer()!;
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(vector, 8));
}

/**
 * Collects a child that has ended, without waiting for one that has not.
 *
 * @param pid The child's pid, from {@linkcode spawnOnTerminal}.
 * @returns How it ended, once; undefined while it runs.
 * @throws {TypeError} When `pid` is not a number.
 * @throws {RangeError} When `pid` is not an integer from 1 to 2147483647.
 * @throws {SystemError} When `pid` is no child of this process, or was
 * collected before (ECHILD).
 *
 * @example Usage
 * ```ts
 * import { reap } from "@interleave/reactor/ffi";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => reap(2147483647), Error, "ECHILD");
 * ```
 */
export function reap(pid: number): ExitStatus | undefined {
  checkInteger(pid, "collect a process", "pid", 1);
  const status = new Int32Array(1);
  const collected = check(
    libc().waitpid(pid, status, WNOHANG),
    `Cannot collect process ${pid}`,
  );
  if (collected === 0) return undefined;
  // The layout is that of the macros in <sys/wait.h>: the signal in the low 7
  // bits, the code in the second byte.
  const signal = status[0]! & 0x7f;
  return signal === 0
    ? { code: status[0]! >> 8 & 0xff, signal: null }
    : { code: null, signal };
}

/**
 * Opens a process as a descriptor (Linux 5.3): it is readable from the moment
 * the process has ended.
 *
 * @param pid The process; one that has ended counts until it is collected.
 * @returns The descriptor, closed on exec.
 * @throws {TypeError} When `pid` is not a number.
 * @throws {RangeError} When `pid` is not an integer from 1 to 2147483647.
 * @throws {Deno.errors.NotSupported} When the system is not Linux, or is too
 * old.
 * @throws {SystemError} When there is no such process (ESRCH).
 *
 * @example Usage
 * ```ts
 * import { closeDescriptor, openPidfd } from "@interleave/reactor/ffi";
 *
 * if (Deno.build.os === "linux") {
 *   const fd = openPidfd(Deno.pid);
 *   closeDescriptor(fd);
 * }
 * ```
 */
export function openPidfd(pid: number): number {
  checkInteger(pid, "open a process", "pid", 1);
  return check(
    linux().syscall(SYS_PIDFD_OPEN, pid, 0),
    `Cannot open process ${pid}`,
  );
}
