/**
 * What the figures were measured on, and with.
 *
 * @module
 */

/** A machine, with names for people. */
export type Machine = ReadonlyMap<string, string>;

/** Describes this machine as it is now. */
export function describeMachine(
  versions: ReadonlyMap<string, string>,
): Machine {
  const { os, arch } = Deno.build;
  return new Map([
    ["Date", new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC"],
    ["Processor", `${processor()}, ${navigator.hardwareConcurrency} cores`],
    ["System", `${os} ${Deno.osRelease()}, ${arch}`],
    ["Load before", Deno.loadavg().map((one) => one.toFixed(2)).join(" ")],
    ["Deno", `${Deno.version.deno} (V8 ${Deno.version.v8})`],
    ...versions,
    ["Package", packageVersion()],
  ]);
}

function processor(): string {
  const [command, ...args] = Deno.build.os === "darwin"
    ? ["sysctl", "-n", "machdep.cpu.brand_string"]
    : ["sed", "-n", "s/^model name[^:]*: //p", "/proc/cpuinfo"];
  return ask(command!, ...args)?.split("\n")[0] || "unknown";
}

function packageVersion(): string {
  const root = new URL("../../", import.meta.url).pathname;
  const { version } = JSON.parse(Deno.readTextFileSync(`${root}deno.json`));
  const commit = ask("git", "-C", root, "rev-parse", "--short", "HEAD");
  if (commit === undefined) return version;
  const changes = ask(
    "git",
    "-C",
    root,
    "status",
    "--porcelain",
    "mod.ts",
    "src",
    "ffi",
  );
  return `${version}, commit ${commit}${changes ? " with changes" : ""}`;
}

function ask(command: string, ...args: string[]): string | undefined {
  try {
    const { success, stdout } = new Deno.Command(command, {
      args,
      stderr: "null",
    }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
