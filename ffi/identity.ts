/**
 * Who a child runs as.
 *
 * Between a child's birth and its program, `posix_spawn` offers no way to change
 * that. Changing this thread's own identity for that time would be seen by
 * everybody: whoever the child is to run as could then send signals to this
 * process. So another program does it, `setpriv` of util-linux, and then becomes
 * the command, under the same pid.
 *
 * @module
 */

import { checkInteger } from "./arguments.ts";
import { check, ERRNO, systemError } from "./errno.ts";
import { libcPath } from "./libc.ts";
import { ownEnvironment, stringAt } from "./string_vector.ts";

const SYMBOLS = {
  /** `uid_t getuid(void)` */
  getuid: { parameters: [], result: "u32" },
  /** `gid_t getgid(void)` */
  getgid: { parameters: [], result: "u32" },
  /** `uid_t geteuid(void)` */
  geteuid: { parameters: [], result: "u32" },
  /** `int access(const char *path, int mode)` */
  access: { parameters: ["buffer", "i32"], result: "i32" },
  /** `int chown(const char *path, uid_t owner, gid_t group)` */
  chown: { parameters: ["buffer", "u32", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

/** `(uid_t) -1` stands for nobody, and in `chown` for no change. */
const NOBODY = 2 ** 32 - 1;

/** `access`: may it be run? */
const X_OK = 1;

/** What to look through when there is no PATH. */
const DEFAULT_PATH = "/bin:/usr/bin";

const encoder = new TextEncoder();

/** A user and a group; undefined for those of this process. */
export interface Identity {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

/**
 * The command that runs a command as somebody else.
 *
 * @returns What to run instead; undefined if nobody else is asked for.
 * @throws {TypeError} When a number is none.
 * @throws {RangeError} When one is not an integer from 0 to 4294967294.
 * @throws {Deno.errors.NotSupported} When this system has no `setpriv`.
 * @throws {Deno.errors.PermissionDenied} When this process is not root's, or
 * the command can be run by nobody.
 * @throws {Deno.errors.NotFound} When the command is not there.
 */
export function runAs(
  { uid, gid }: Identity,
  command: string,
): { file: string; args: string[] } | undefined {
  const action = `run "${command}" as somebody else`;
  for (const [name, id] of [["uid", uid], ["gid", gid]] as const) {
    if (id !== undefined) checkInteger(id, action, name, 0, NOBODY - 1);
  }
  if (uid === undefined && gid === undefined) return undefined;
  const { getuid, getgid, geteuid } = library();
  const otherUser = uid !== undefined && uid !== getuid();
  const otherGroup = gid !== undefined && gid !== getgid();
  if (!otherUser && !otherGroup) return undefined;
  if (Deno.build.os !== "linux") {
    throw new Deno.errors.NotSupported(
      `Cannot ${action}: only Linux has "setpriv", which does that; use "sudo"`,
    );
  }
  if (geteuid() !== 0) throw systemError(`Cannot ${action}`, ERRNO.EPERM!);
  const file = find("setpriv");
  if (file === undefined) {
    throw new Deno.errors.NotSupported(
      `Cannot ${action}: there is no "setpriv", a part of util-linux, on the PATH`,
    );
  }
  // It would look on the child's PATH, and tell what is missing when it is too
  // late for an error here.
  const found = find(command);
  if (found === undefined) throw systemError(`Cannot ${action}`, ERRNO.ENOENT!);
  if (found.startsWith("/")) {
    check(
      library().access(encoder.encode(found + "\0"), X_OK),
      `Cannot ${action}`,
    );
  }
  const args = [];
  if (otherUser) args.push(`--reuid=${uid}`);
  if (otherGroup) args.push(`--regid=${gid}`);
  // The other groups are those of this process's user.
  args.push(otherUser ? "--clear-groups" : "--keep-groups", "--", found);
  return { file, args };
}

/** Gives a terminal to a user, as `login` does. */
export function giveTerminal(path: string, uid: number): void {
  check(
    library().chown(encoder.encode(path + "\0"), uid, NOBODY),
    `Cannot give terminal "${path}" to user ${uid}`,
  );
}

/**
 * Finds a command on this process's PATH. A name with a slash is where it says,
 * which may be relative to another directory than this process's.
 */
function find(command: string): string | undefined {
  if (command.includes("/")) return command;
  const path = ownEnvironment().map(stringAt)
    .find((entry) => entry.startsWith("PATH="))?.slice(5) ?? DEFAULT_PATH;
  return path.split(":").map((directory) => `${directory || "."}/${command}`)
    .find((file) => library().access(encoder.encode(file + "\0"), X_OK) === 0);
}

function library(): NonNullable<typeof opened> {
  return opened ??= Deno.dlopen(libcPath(), SYMBOLS).symbols;
}
