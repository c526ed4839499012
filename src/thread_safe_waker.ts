/**
 * Deno's own loop as a native host.
 *
 * @module
 */

import type { NativeWaker } from "./native_waker.ts";

/**
 * A native waker for Deno's own loop: the worker calls a thread-safe callback,
 * which Deno runs on the main thread.
 *
 * It takes a little less time than the message that the reactor uses without a
 * waker, and everything of Deno's goes on as with that. What it costs is
 * fairness: the work item comes before Deno's timers, however many there are
 * of it.
 *
 * @returns The waker, for one reactor at a time. Disposing of it frees the
 * callback, at once or when the reactor that uses it has ended.
 *
 * @example Usage
 * ```ts
 * import { deferLater, Reactor, threadSafeWaker } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * using waker = threadSafeWaker();
 * await using reactor = new Reactor();
 * reactor.interleave(waker);
 * const host = () => reactor.inspect().host;
 * assertEquals(await deferLater(5, host, { clock: reactor }), "native");
 * ```
 */
export function threadSafeWaker(): NativeWaker & Disposable {
  let work: (() => void) | undefined;
  let disposed = false;
  const callback = new Deno.UnsafeCallback(
    { parameters: [], result: "void" },
    () => work?.(),
  );
  const close = () => {
    if (disposed && work === undefined) callback.close();
  };
  return {
    post: callback.pointer,
    parameters: [],
    synchronous: true,
    callback: { parameters: [], result: "void" },
    arguments(pointer) {
      const f = new Deno.UnsafeFnPointer(
        pointer as Deno.PointerObject<{ parameters: []; result: "void" }>,
        { parameters: [], result: "void" },
      );
      work = () => f.call();
      return [];
    },
    release() {
      work = undefined;
      close();
    },
    [Symbol.dispose]() {
      if (disposed) return;
      disposed = true;
      close();
    },
  };
}
