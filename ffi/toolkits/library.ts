/**
 * Opens a toolkit's library, and never closes it.
 *
 * A toolkit leaves threads, exit handlers and callbacks behind; closing its
 * library takes the code away from under them, and the process ends with a
 * segmentation fault. Deno itself closes what it opened when a worker or a test
 * file ends. So the library is opened once more, through the C library, with
 * the flag that keeps it in the process for good.
 *
 * Where a toolkit is differs from system to system, so a program needs the bare
 * `--allow-ffi`: a scoped grant holds for absolute paths only.
 *
 * @module
 */

import { cString } from "../arguments.ts";
import { libcPath } from "../libc.ts";

/** A library of a toolkit, and where to get it. */
export interface ToolkitLibrary {
  /** The toolkit's name, for messages. */
  readonly name: string;
  /** The names to try, in this order, by system. */
  readonly names: Readonly<Partial<Record<string, readonly string[]>>>;
  /** The packages that bring it. */
  readonly packages: {
    /** For Debian and what is made of it. */
    readonly debian: string;
    /** For Fedora. */
    readonly fedora: string;
    /** For Homebrew; undefined where macOS has it. */
    readonly homebrew?: string;
  };
  /**
   * Whether the library must prefer its own symbols to those of the same names
   * that the Deno program has. Has an effect with glibc only.
   *
   * @default {false}
   */
  readonly ownSymbolsFirst?: boolean;
}

// dlfcn.h. musl has no DEEPBIND and ignores the bit.
const RTLD_NOW = 2;
const RTLD_NODELETE = Deno.build.os === "darwin" ? 0x80 : 0x1000;
const RTLD_DEEPBIND = Deno.build.os === "linux" ? 8 : 0;

const DLOPEN = {
  /** `void *dlopen(const char *name, int flags)` */
  dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
} as const;

/**
 * Opens a library.
 *
 * @param library Which.
 * @param symbols Its functions; `{ type: "pointer" }` gives an address.
 * @throws {Deno.errors.NotFound} When it is not installed: the message names
 * the packages.
 * @throws {Deno.errors.NotSupported} When there is none for this system, or the
 * one that is installed lacks a function.
 * @throws {Deno.errors.NotCapable} When the program runs without `--allow-ffi`.
 */
export function openToolkit<const S extends Deno.ForeignLibraryInterface>(
  library: ToolkitLibrary,
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  const names = library.names[Deno.build.os] ?? [];
  if (names.length === 0) {
    throw new Deno.errors.NotSupported(
      `Cannot open ${library.name}: there is none for ${Deno.build.os}`,
    );
  }
  const dlopen = findDlopen();
  const flags = RTLD_NOW | RTLD_NODELETE |
    (library.ownSymbolsFirst ? RTLD_DEEPBIND : 0);
  let missing: unknown;
  let unfit: { name: string; cause: unknown } | undefined;
  for (const name of names) {
    // The C library would open it without asking anybody.
    const { state } = Deno.permissions.requestSync({ name: "ffi", path: name });
    // The first to open it decides whose symbols it takes. Where it can't be
    // opened, Deno says why.
    if (state === "granted") {
      dlopen(cString(name, "open a library", "name"), flags);
    }
    try {
      return Deno.dlopen(name, symbols).symbols;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw cause;
      if (isMissing(cause)) missing ??= cause;
      else unfit ??= { name, cause };
    }
  }
  throw unfit === undefined
    ? notFound(library, names, missing)
    : new Deno.errors.NotSupported(
      `Cannot open ${library.name}: ${unfit.name} is there, but does not fit: ${
        (unfit.cause as Error).message
      }`,
      { cause: unfit.cause },
    );
}

/** The C library's function, which until glibc 2.34 was in one of its own. */
function findDlopen() {
  const { dlopen } = Deno.dlopen(libcPath(), {
    dlopen: { ...DLOPEN.dlopen, optional: true },
  }).symbols;
  return dlopen ?? Deno.dlopen("libdl.so.2", DLOPEN).symbols.dlopen;
}

/** Whether that is what glibc, musl or macOS says of a file that is not there. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && /cannot open shared object|no such file/i
    .test(error.message);
}

function notFound(
  { name, packages }: ToolkitLibrary,
  names: readonly string[],
  cause: unknown,
): Error {
  const { debian, fedora, homebrew } = packages;
  const sources = [`Debian: ${debian}`, `Fedora: ${fedora}`];
  if (homebrew !== undefined) sources.push(`Homebrew: ${homebrew}`);
  return new Deno.errors.NotFound(
    `Cannot open ${name}: tried ${names.join(", ")}; the packages are ${
      sources.join(", ")
    }`,
    { cause },
  );
}
