/**
 * The functions of `<spawn.h>`, for those programs that start processes.
 *
 * @module
 */

import { systemError } from "./errno.ts";
import { libcPath } from "./libc.ts";

const darwin = Deno.build.os === "darwin";

/**
 * Types that differ from system to system (`posix_spawnattr_t`, `sigset_t`,
 * ...) are passed as memory of {@linkcode OBJECT_SIZE} bytes, which the C
 * library fills in itself.
 */
const SYMBOLS = {
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
   * `int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *actions,
   * int fd)`
   */
  posix_spawn_file_actions_addclose: {
    parameters: ["buffer", "i32"],
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
  /**
   * `int posix_spawnattr_setpgroup(posix_spawnattr_t *attributes, pid_t group)`
   */
  posix_spawnattr_setpgroup: { parameters: ["buffer", "i32"], result: "i32" },
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

/** `<spawn.h>`: join a process group. */
const POSIX_SPAWN_SETPGROUP = 0x02;
/** `<spawn.h>`: give the signals that are named back their default action. */
const POSIX_SPAWN_SETSIGDEF = 0x04;
/** `<spawn.h>`: block the signals that are named and no others. */
const POSIX_SPAWN_SETSIGMASK = 0x08;
/** `<spawn.h>`: begin a session. */
const POSIX_SPAWN_SETSID = darwin ? 0x0400 : 0x80;
/** `<spawn.h>`, macOS: close what no file action names. */
const POSIX_SPAWN_CLOEXEC_DEFAULT = darwin ? 0x4000 : 0;

type SpawnSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: SpawnSymbols | undefined;

/**
 * What a child does between its birth and its program, step by step. No signal
 * is ignored or blocked in it.
 */
export class Birth implements Disposable {
  /** Opened at the first start of a process, and never closed. */
  readonly #c: SpawnSymbols = opened ??=
    Deno.dlopen(libcPath(), SYMBOLS).symbols;
  readonly #actions = new Uint8Array(OBJECT_SIZE);
  readonly #attributes = new Uint8Array(OBJECT_SIZE);
  #flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
    POSIX_SPAWN_CLOEXEC_DEFAULT;

  /** Makes one that does nothing. */
  constructor() {
    done(this.#c.posix_spawn_file_actions_init(this.#actions));
    done(this.#c.posix_spawnattr_init(this.#attributes));
    // Deno ignores SIGPIPE, and what is ignored stays so across exec: without
    // this, `yes | head` would never end in the child.
    const signals = new Uint8Array(OBJECT_SIZE);
    this.#c.sigfillset(signals);
    done(this.#c.posix_spawnattr_setsigdefault(this.#attributes, signals));
    this.#c.sigemptyset(signals);
    done(this.#c.posix_spawnattr_setsigmask(this.#attributes, signals));
  }

  /** Becomes the leader of a session, which has no terminal at first. */
  beginSession(): void {
    this.#flags |= POSIX_SPAWN_SETSID;
  }

  /** Joins a process group; 0 founds one. */
  joinGroup(group: number): void {
    this.#flags |= POSIX_SPAWN_SETPGROUP;
    done(this.#c.posix_spawnattr_setpgroup(this.#attributes, group));
  }

  /**
   * Changes the directory.
   *
   * @throws {Deno.errors.NotSupported} When the C library is too old for it.
   */
  changeDirectory(path: string, bytes: Uint8Array<ArrayBuffer>): void {
    const chdir = this.#c.posix_spawn_file_actions_addchdir_np;
    if (chdir === null) {
      throw new Deno.errors.NotSupported(
        `Cannot start a process in "${path}": the C library is too old to change the directory`,
      );
    }
    done(chdir(this.#actions, bytes));
  }

  /** Opens a file as a descriptor. */
  open(fd: number, path: Uint8Array<ArrayBuffer>, flags: number): void {
    done(
      this.#c.posix_spawn_file_actions_addopen(
        this.#actions,
        fd,
        path,
        flags,
        0,
      ),
    );
  }

  /** Makes `to` the same file as `from`, to be kept. */
  duplicate(from: number, to: number): void {
    done(this.#c.posix_spawn_file_actions_adddup2(this.#actions, from, to));
  }

  /** Closes a descriptor. It need not be open, save on macOS. */
  close(fd: number): void {
    done(this.#c.posix_spawn_file_actions_addclose(this.#actions, fd));
  }

  /**
   * Closes all descriptors from `fd` on, where the C library can; macOS does so
   * by itself.
   */
  closeFrom(fd: number): void {
    const closeFrom = this.#c.posix_spawn_file_actions_addclosefrom_np;
    if (closeFrom !== null) done(closeFrom(this.#actions, fd));
  }

  /**
   * Starts a program.
   *
   * @param file Its name, looked up on this process's PATH if it has no slash.
   * @param args A `char *const[]`.
   * @param env A `char *const[]`.
   * @param action What fails if it fails.
   * @returns The child's pid.
   */
  run(
    file: Uint8Array<ArrayBuffer>,
    args: Uint8Array<ArrayBuffer>,
    env: Uint8Array<ArrayBuffer>,
    action: string,
  ): number {
    done(this.#c.posix_spawnattr_setflags(this.#attributes, this.#flags));
    const pid = new Int32Array(1);
    done(
      this.#c.posix_spawnp(
        pid,
        file,
        this.#actions,
        this.#attributes,
        args,
        env,
      ),
      action,
    );
    return pid[0]!;
  }

  /** Frees what the C library allocated. */
  [Symbol.dispose](): void {
    this.#c.posix_spawn_file_actions_destroy(this.#actions);
    this.#c.posix_spawnattr_destroy(this.#attributes);
  }
}

/** Every function of `<spawn.h>` returns what went wrong, or 0. */
function done(error: number, action: string = "Cannot start a process"): void {
  if (error !== 0) throw systemError(action, error);
}
