/**
 * Promises during a blocking call.
 *
 * @module
 */

/** The part of Deno's insides that can do it. It is no public interface. */
interface Insides {
  core?: { runNextTicks?: () => void };
}

/**
 * Runs what promises and `process.nextTick` have queued, as far as that is
 * possible: while a foreign loop blocks Deno's, nobody else does. V8 refuses,
 * silently, if the blocking call was reached from a promise itself, and a Deno
 * without these insides leaves everything until the call returns.
 */
export function runMicrotasks(): void {
  const { internal } = Deno as unknown as { internal: keyof typeof Deno };
  const insides = Deno[internal] as unknown as Insides | undefined;
  insides?.core?.runNextTicks?.();
}
