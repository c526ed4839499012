/**
 * The numbers of signals.
 *
 * @module
 */

/** What Linux (on x86-64 and arm64) and macOS number alike. */
const SHARED = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
};

const LINUX = {
  ...SHARED,
  SIGBUS: 7,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGURG: 23,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

const DARWIN = {
  ...SHARED,
  SIGEMT: 7,
  SIGBUS: 10,
  SIGSYS: 12,
  SIGURG: 16,
  SIGSTOP: 17,
  SIGTSTP: 18,
  SIGCONT: 19,
  SIGCHLD: 20,
  SIGIO: 23,
  SIGINFO: 29,
  SIGUSR1: 30,
  SIGUSR2: 31,
};

const NUMBERS: Readonly<Record<string, number>> = Deno.build.os === "darwin"
  ? DARWIN
  : LINUX;

const names = new Map(
  Object.entries(NUMBERS).map(([name, number]) => [number, name]),
);

/** The number of a signal such as "SIGTERM"; undefined if there is none. */
export function signalNumber(name: string): number | undefined {
  return Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
}

/**
 * The name of a signal on this system; "SIG" and the number if it has none, as
 * real-time signals have not.
 */
export function signalName(number: number): string {
  return names.get(number) ?? `SIG${number}`;
}
