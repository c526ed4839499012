/**
 * Deno's own timers, as they were when the module was loaded: one that a library
 * with fake timers has put in their place runs only when that is told to.
 *
 * @module
 */

/** See the module's documentation. */
export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout;
/** See the module's documentation. */
export const clearTimeout: typeof globalThis.clearTimeout =
  globalThis.clearTimeout;
/** See the module's documentation. */
export const setImmediate: typeof globalThis.setImmediate =
  globalThis.setImmediate;
