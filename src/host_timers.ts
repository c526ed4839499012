/**
 * Deno's own timers, as they were when the module was loaded: one that a library
 * with fake timers has put in their place runs only when that is told to.
 *
 * They are properties with getters, which load what is behind them at the first
 * look, for 7 ms. So it is the getters that are kept.
 *
 * @module
 */

/** Finds a function of the global object at its first call, wherever it was. */
function kept<F extends (...args: never[]) => unknown>(name: string): F {
  const { get, value } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  let found: F | undefined;
  return ((...args) => {
    found ??= (get === undefined ? value : get.call(globalThis)) as F;
    return found(...args);
  }) as F;
}

/** See the module's documentation. */
export const setTimeout: typeof globalThis.setTimeout = kept("setTimeout");
/** See the module's documentation. */
export const clearTimeout: typeof globalThis.clearTimeout = kept(
  "clearTimeout",
);
/** See the module's documentation. */
export const setImmediate: typeof globalThis.setImmediate = kept(
  "setImmediate",
);
