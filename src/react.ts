/**
 * A program with a beginning and an orderly end.
 *
 * @module
 */

import { checkFunction, complaint } from "./arguments.ts";
import { ReactorNotRunning } from "./errors.ts";
import { type Reactor, reactor as shared, type RunOptions } from "./reactor.ts";
import type { TriggerId } from "./system_events.ts";

/**
 * Options of {@linkcode react}: which reactor, and whether signals stop it.
 *
 * @example A reactor with options of its own, in a program that has signals
 * ```ts
 * import { react, type ReactOptions, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ReactOptions = {
 *   reactor: new Reactor({ label: "download" }),
 *   signals: false,
 * };
 * const main = (reactor: Reactor) => reactor.inspect().label;
 * assertEquals(await react(main, options), "download");
 * ```
 */
export interface ReactOptions extends RunOptions {
  /**
   * What to run. It must not be running yet, other than by itself.
   *
   * @default {reactor}
   */
  reactor?: Reactor;
  /**
   * Whether the first SIGINT or SIGTERM stops the reactor.
   *
   * @default {true}
   */
  signals?: boolean;
}

/**
 * Runs a reactor on Deno's own loop for as long as a function takes.
 *
 * ```text
 *     run() --> "startup" --> main(reactor, signal) --> settles --> "shutdown" --> result
 *                                   ^
 *     stop(), Ctrl-C ---------------+ aborts the signal
 * ```
 *
 * When somebody else stops the reactor, as a signal does, the shutdown waits
 * for `main`: everything of the reactor's works until `main` has cleaned up. So
 * pass the signal on to what `main` waits for. If it does not end, a second
 * SIGINT or SIGTERM ends the process. After `crash()`, and if the reactor fails,
 * `main` is told and waited for as well.
 *
 * The process is never ended, and its exit status is left alone. An error that
 * nobody catches makes it 1; for another one, `main` sets `Deno.exitCode`.
 *
 * @param main What to do, called once the reactor runs.
 * @param options Another reactor than the shared one, and whether signals stop
 * it.
 * @returns What `main` returns, after the last 'after' trigger of "shutdown":
 * the reactor has ended, and the shared one with it for good. `undefined` if
 * `main` goes along with a stop, by rejecting with the signal's reason, or was
 * never called because of one. Rejects with any other error of `main`'s, and
 * with `ReactorFailed` if the reactor fails. If it cannot run, `main`
 * is not called, and the error is that of {@linkcode Reactor.prototype.run Reactor.run}, or
 * `Deno.errors.BadResource` for a reactor that is closed.
 * @throws {TypeError} When `main` is not a function, or an option is of the
 * wrong type.
 *
 * @example A program that Ctrl-C ends in good order
 * ```ts
 * import { deferLater, react, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const events: string[] = [];
 * async function main(clock: Reactor, signal: AbortSignal) {
 *   clock.callLater(10, () => clock.stop()); // Or Ctrl-C.
 *   try {
 *     await deferLater(60_000, () => "too late", { clock, signal });
 *   } finally {
 *     events.push("cleaned up");
 *   }
 * }
 *
 * await react(main, { reactor: new Reactor() });
 * assertEquals(events, ["cleaned up"]);
 * ```
 *
 * @example A result
 * ```ts
 * import { FileDescriptor, react, Reactor } from "@interleave/reactor";
 * import { assert } from "@std/assert";
 *
 * const readiness = await react((reactor, signal) => {
 *   const [reader, writer] = FileDescriptor.pipe();
 *   writer.close();
 *   return reactor.readable(reader, { signal }).finally(() => reader.close());
 * }, { reactor: new Reactor() });
 * assert(readiness?.hangup);
 * ```
 */
export async function react<T>(
  main: (reactor: Reactor, signal: AbortSignal) => T | PromiseLike<T>,
  options: ReactOptions = {},
): Promise<T | undefined> {
  const { reactor, signals } = checkOptions(main, options);
  const controller = new AbortController();
  let result: Promise<T> | undefined;
  let ending: TriggerId | undefined;

  function begin(): void {
    ending = reactor.addSystemEventTrigger("before", "shutdown", end);
    result = Promise.try(main, reactor, controller.signal);
    const stop = () => stopIfRunning(reactor);
    result.then(stop, stop);
  }
  /** Tells `main` that it is to end, and waits for that. */
  async function end(): Promise<void> {
    controller.abort(new ReactorNotRunning("The reactor is stopping"));
    await result?.catch(() => {});
  }

  const beginning = reactor.running ? null : reactor.callWhenRunning(begin);
  try {
    const run = reactor.run({ signals });
    await Promise.race([run, undefined]); // Rejects now if it cannot run.
    if (beginning === null && reactor.running) begin(); // It started itself.
    await run;
  } finally {
    // What has not run would do so in the next run, after a crash.
    if (beginning !== null && result === undefined) {
      reactor.removeSystemEventTrigger(beginning);
    }
    if (ending !== undefined && !controller.signal.aborted) {
      reactor.removeSystemEventTrigger(ending);
    }
    await end();
  }
  try {
    return await result;
  } catch (error) {
    if (error === controller.signal.reason) return undefined;
    throw error;
  }
}

/** After a crash it does not run, and to stop it would be for good. */
function stopIfRunning(reactor: Reactor): void {
  if (!reactor.running) return;
  try {
    reactor.stop();
  } catch (error) {
    // Somebody has stopped it already.
    if (!(error instanceof ReactorNotRunning)) throw error;
  }
}

function checkOptions(main: unknown, options: ReactOptions) {
  const action = "react";
  checkFunction(main, action, "main");
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const { reactor = shared, signals } = options; // run() checks the latter.
  if (typeof reactor?.callWhenRunning !== "function") {
    throw new TypeError(
      complaint(reactor, action, "options.reactor", "a Reactor"),
    );
  }
  return { reactor, signals };
}
