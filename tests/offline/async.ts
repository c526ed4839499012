/**
 * Stands in for `@std/async` where JSR cannot be reached: the functions that
 * the tests use, with the same names, parameters and results.
 *
 * @module
 */

/** Options for {@linkcode delay}. */
export interface DelayOptions {
  /** Ends the delay early: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Keeps the process alive meanwhile.
   *
   * @default {true}
   */
  persistent?: boolean;
}

/** Options for {@linkcode deadline}. */
export interface DeadlineOptions {
  /** Gives up early: the deadline rejects with the signal's reason. */
  signal?: AbortSignal;
}

// setTimeout() takes anything longer for 1 ms. It is 24 days.
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Resolves after `ms` milliseconds. */
export function delay(ms: number, options: DelayOptions = {}): Promise<void> {
  const { signal, persistent = true } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, Math.min(ms, LONGEST_TIMEOUT));
    function abort(): void {
      clearTimeout(timer);
      reject(signal?.reason);
    }
    signal?.addEventListener("abort", abort, { once: true });
    if (!persistent) Deno.unrefTimer(timer);
  });
}

/**
 * Settles as `p` does, or rejects with a `DOMException` named "TimeoutError"
 * after `ms` milliseconds.
 */
export async function deadline<T>(
  p: Promise<T>,
  ms: number,
  options: DeadlineOptions = {},
): Promise<T> {
  const signals = [AbortSignal.timeout(ms)];
  if (options.signal) signals.push(options.signal);
  const signal = AbortSignal.any(signals);
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  function abort(): void {
    reject(signal.reason);
  }
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([p, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
