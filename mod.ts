/**
 * Waits for file descriptors off the main thread, inside anybody's event loop.
 *
 * @module
 */

export { BlockingQueue } from "./src/blocking_queue.ts";
export type { DelayedCall, ReactorTime } from "./src/delayed_calls.ts";
export type {
  DescriptorReport,
  ReadDescriptor,
  WatcherReport,
  WriteDescriptor,
} from "./src/descriptors.ts";
export {
  AlreadyCalled,
  AlreadyCancelled,
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  ReactorAlreadyRunning,
  ReactorError,
  ReactorFailed,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "./src/errors.ts";
export type { ReactorErrorOptions } from "./src/errors.ts";
export type { Fd } from "./src/fd.ts";
export { FileDescriptor } from "./src/file_descriptor.ts";
export { Reactor, reactor } from "./src/reactor.ts";
export type {
  ReactorOptions,
  ReactorReport,
  RunOptions,
} from "./src/reactor.ts";
export type { Interest, Readiness } from "./src/readiness.ts";
export type { Phase, TriggerId } from "./src/system_events.ts";
export type { Counters } from "./src/turn.ts";
export type { WaitOptions } from "./src/wait.ts";
export type { Waker } from "./src/wakers.ts";
export type { Watch } from "./src/watch.ts";
