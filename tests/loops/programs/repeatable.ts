/**
 * Work items that nobody asked for: a toolkit may serve one twice, or when all
 * is over.
 *
 * @module
 */

import type { NativeWaker } from "../../../mod.ts";

/** What a worker passes to a toolkit. */
type Arguments = ReturnType<NativeWaker["arguments"]>;

/** A toolkit's waker whose functions can be called by anybody. */
export interface RepeatableWaker extends NativeWaker {
  /** What the worker passes to the toolkit. */
  readonly passed: Arguments;
  /** Does what the worker does: by default, posts a work item. */
  callPost(args?: Arguments): void;
  /** Does what the toolkit does: serves a work item. Returns what that gets. */
  callWork(): unknown;
}

/** Makes a waker whose functions can be called by anybody once it is in use. */
export function repeatable(waker: NativeWaker): RepeatableWaker {
  const { post, parameters, result = "void", accepted, synchronous } = waker;
  const { callback = { parameters: ["pointer"], result: "void" } } = waker;
  const callPost = functionAt(post, { parameters, result });
  let callWork: ReturnType<typeof functionAt>;
  let passed: Arguments = [];
  return {
    post,
    parameters,
    result,
    accepted,
    synchronous,
    callback,
    arguments(work) {
      callWork = functionAt(work, callback);
      return passed = waker.arguments(work);
    },
    release: () => waker.release?.(),
    get passed() {
      return passed;
    },
    callPost: (args = passed) => void callPost(...args),
    callWork: () => callWork(...callback.parameters.map(() => null)),
  };
}

function functionAt(
  pointer: Deno.PointerObject,
  { parameters, result }: Deno.ForeignFunction,
): (...args: unknown[]) => unknown {
  const f = new Deno.UnsafeFnPointer(
    pointer as Deno.PointerObject<Deno.ForeignFunction>,
    { parameters, result } as Deno.ForeignFunction,
  );
  return (...args) => f.call(...args as never[]);
}
