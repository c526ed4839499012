/**
 * The clocks that all processes share.
 *
 * @module
 */

const onDarwin = Deno.build.os === "darwin";

const { symbols } = Deno.dlopen(
  onDarwin ? "libSystem.dylib" : "libc.so.6",
  {
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
    clock_getcpuclockid: {
      parameters: ["i32", "buffer"],
      result: "i32",
      optional: true, // Darwin has none.
    },
  },
);

const CLOCK_MONOTONIC = onDarwin ? 6 : 1;

const time = new BigInt64Array(2);
const id = new Int32Array(1);

/** Microseconds on the system's monotonic clock, the same in all processes. */
export function microseconds(): number {
  return read(CLOCK_MONOTONIC);
}

/** The processor time of a process, all of its threads together. */
export function cpuMicroseconds(pid: number): number {
  const error = symbols.clock_getcpuclockid?.(pid, id) ?? -1;
  if (error !== 0) {
    throw new Error(
      `Cannot read the processor time of process ${pid}: ${error}`,
    );
  }
  return read(id[0]!);
}

function read(clock: number): number {
  if (symbols.clock_gettime(clock, time) !== 0) {
    throw new Error(`Cannot read clock ${clock}`);
  }
  return Number(time[0]) * 1e6 + Number(time[1]) / 1000;
}
