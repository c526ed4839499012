/**
 * Listening to an AbortSignal, whatever its owner has put upon it.
 *
 * A signal may have functions of its own under the names of those of every
 * EventTarget, and they may throw, in the middle of a dispatch.
 *
 * @module
 */

const { addEventListener, removeEventListener } = EventTarget.prototype;

/** Calls `f` once when the signal is aborted. */
export function onAbort(signal: AbortSignal, f: () => void): void {
  addEventListener.call(signal, "abort", f, { once: true });
}

/** Calls it no more. */
export function offAbort(signal: AbortSignal, f: () => void): void {
  removeEventListener.call(signal, "abort", f);
}
