/**
 * Ending on a signal.
 *
 * @module
 */

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Calls `stop` at the first SIGINT or SIGTERM. From then on both have their
 * default effect again, so that a second one ends a program whose orderly end
 * hangs. Listeners of the program's own stay as they are.
 *
 * @param stop Gets the signal's name.
 * @returns Removes the listeners.
 */
export function onTermination(stop: (signal: Deno.Signal) => void): () => void {
  const listeners = SIGNALS.map((signal) => {
    const listener = () => {
      remove();
      stop(signal);
    };
    Deno.addSignalListener(signal, listener);
    return { signal, listener };
  });
  function remove() {
    for (const { signal, listener } of listeners.splice(0)) {
      Deno.removeSignalListener(signal, listener);
    }
  }
  return remove;
}
