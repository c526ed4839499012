/**
 * Cocoa: on macOS Apple's, elsewhere GNUstep.
 *
 * | who has the main thread | use |
 * |---|---|
 * | Cocoa, in `[NSApp run]`, a modal panel or a run loop | {@linkcode cocoaWaker} |
 * | Deno | nothing: a run loop tells nobody which descriptors it waits for |
 *
 * So a window takes the main thread, and while it has it, Deno's own loop stands
 * still: its timers, `fetch`, `Deno.serve`. Connections are served all the same
 * by `@interleave/reactor/net`. What only Deno has can live in a worker, whose
 * loop is free, and talk to the reactor through a pipe;
 * `examples/loops/fetch_in_worker.ts` does that for `fetch`.
 *
 * Tests run all of it with GNUstep on Linux. On macOS the messages are the same,
 * and so is this module; no test has run there yet.
 *
 * Mind that GNUstep answers SIGINT and SIGTERM by terminating the application
 * inside the signal's handler. A delegate that is a JavaScript function must not
 * be called there: give these signals their old meaning back once there is an
 * application.
 *
 * @example An application
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { cocoaWaker } from "@interleave/reactor/loops/cocoa";
 *
 * function start(app: { run(): void; replyToTerminate(): void }): Reactor {
 *   const reactor = new Reactor();
 *   reactor.interleave(cocoaWaker());
 *   reactor.addSystemEventTrigger("after", "shutdown", () => {
 *     app.replyToTerminate(); // [NSApp replyToApplicationShouldTerminate: YES]
 *   });
 *   setTimeout(() => app.run(), 0); // [NSApp run]
 *   return reactor;
 * }
 * ```
 *
 * @module
 */

import {
  addMethod,
  autoreleasing,
  classNamed,
  type Id,
  implementation,
  makeClass,
  RUN_LOOP_MODES,
  type Selector,
  selector,
  send,
} from "../../ffi/toolkits/objc.ts";
import type { NativeWaker } from "../native_waker.ts";

/** Any thread may send this, to any object. */
const PERFORM = "performSelectorOnMainThread:withObject:waitUntilDone:modes:";

/**
 * The waker for a main thread that is inside a run loop of Cocoa's.
 *
 * Work items run in the loop's default mode, and also while a modal panel is up
 * or a mouse button is held down on a control. Call it on the main thread.
 *
 * @returns The waker.
 * @throws {Deno.errors.NotFound} When GNUstep is not installed.
 *
 * @example Usage
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { cocoaWaker } from "@interleave/reactor/loops/cocoa";
 *
 * function start(): Reactor {
 *   const reactor = new Reactor();
 *   reactor.interleave(cocoaWaker()); // And then [NSApp run].
 *   return reactor;
 * }
 * ```
 */
export function cocoaWaker(): NativeWaker {
  const { receiver, modes } = outfit ??= autoreleasing(makeOutfit);
  const perform = selector(PERFORM);
  return {
    post: implementation(receiver, perform),
    parameters: ["pointer", "pointer", "pointer", "pointer", "u8", "pointer"],
    arguments: (work) => [receiver, perform, method(work), null, 0, modes],
    callback: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
  };
}

const RECEIVER = "InterleaveReceiver";

/** What the messages name, held for ever: one may always be under way. */
let outfit: { receiver: Id; modes: Id } | undefined;

function makeOutfit(): { receiver: Id; modes: Id } {
  const modes = send(send(classNamed("NSMutableArray"), "alloc"), "init");
  for (const mode of RUN_LOOP_MODES) send(modes, "addObject:", mode);
  return { receiver: send(send(makeClass(RECEIVER), "alloc"), "init"), modes };
}

/**
 * The method by which the receiver calls `work`. It is named for the function's
 * address: a function that is lent a second time has its method already.
 */
function method(work: Deno.PointerObject): Selector {
  const name = selector(`work${Deno.UnsafePointer.value(work)}:`);
  // void, self, the selector, an object.
  addMethod(classNamed(RECEIVER), name, work, "v@:@");
  return name;
}
