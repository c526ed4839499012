/**
 * Waits for file descriptors off the main thread, inside anybody's event loop.
 *
 * Deno can't wait for a descriptor that it did not open. This module can: a
 * worker blocks in `poll()`, called through FFI, and what became ready runs on
 * the main thread, as a promise, an async iterable, a stream or a callback,
 * beside everything else that Deno's loop does.
 *
 * ```ts
 * import { FileDescriptor, reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * const [reader, writer] = FileDescriptor.pipe();
 * reactor.callLater(10, () => {
 *   writer.write(new TextEncoder().encode("hello"));
 *   writer.close();
 * });
 *
 * let text = "";
 * for await (const bytes of reader.readable()) {
 *   text += new TextDecoder().decode(bytes);
 * }
 * assertEquals(text, "hello");
 * ```
 *
 * | to | use |
 * |---|---|
 * | wait once, or again and again | {@linkcode Reactor.prototype.readable Reactor.readable}, {@linkcode Reactor.prototype.writable Reactor.writable}, {@linkcode Reactor.prototype.watch Reactor.watch} |
 * | own a descriptor, with streams | {@linkcode FileDescriptor} |
 * | write callbacks, as for Twisted | {@linkcode Reactor.prototype.addReader Reactor.addReader}, {@linkcode Reactor.prototype.addWriter Reactor.addWriter} |
 * | call later, on the reactor's clock | {@linkcode Reactor.prototype.callLater Reactor.callLater} |
 * | run in Deno's loop until told to stop | {@linkcode Reactor.prototype.run Reactor.run} |
 * | run for as long as a function takes | {@linkcode react} |
 * | run in another loop | {@linkcode Reactor.prototype.interleave Reactor.interleave} with a {@linkcode Waker}, a {@linkcode NativeWaker} or a {@linkcode BlockingQueue}; {@linkcode Reactor.prototype.iterate Reactor.iterate} |
 * | run another loop beside Deno's | {@linkcode Reactor.prototype.attach Reactor.attach} with a {@linkcode ForeignLoop} |
 * | open a dialog that blocks | {@linkcode Reactor.prototype.modal Reactor.modal} |
 * | have another thread compute | {@linkcode deferToThread}, {@linkcode Reactor.prototype.callInThread Reactor.callInThread} |
 * | be called by other threads | {@linkcode Reactor.prototype.handle Reactor.handle}, with {@link [threads] ./threads} in the Worker |
 * | see what is going on | {@linkcode Reactor.prototype.inspect Reactor.inspect}, {@linkcode Reactor.prototype.trace Reactor.trace} |
 *
 * Other entry points have the rest:
 *
 * | entry point | has |
 * |---|---|
 * | {@link [net] ./net} | connections, servers, datagrams, TLS, terminals and child processes |
 * | {@link [loops/glib] ./loops/glib}, {@link [loops/qt] qt}, {@link [loops/sdl2] sdl2}, {@link [loops/tk] tk}, {@link [loops/cocoa] cocoa}, {@link [loops/x11] x11}, {@link [loops/libuv] libuv} | the loops of toolkits, as host or as guest |
 * | {@link [threads] ./threads} | what a Worker needs to call a reactor |
 * | {@link [trace] ./trace} | what a reactor does, as a table, a trace or spans |
 * | {@link [testing] ./testing} | a clock that moves only when a test moves it |
 * | {@link [ffi] ./ffi} | the C library, for descriptors of your own |
 *
 * It needs `--allow-ffi` and no other permission, runs on Linux and macOS, and
 * opens nothing before its first use. Times are milliseconds. A descriptor is a
 * number, or anything with a `fileno()`.
 *
 * @module
 */

export { BlockingQueue } from "./src/blocking_queue.ts";
export type {
  DelayedCall,
  DelayedCallReport,
  ReactorTime,
} from "./src/delayed_calls.ts";
export { deferLater } from "./src/defer_later.ts";
export type { DeferLaterOptions } from "./src/defer_later.ts";
export type {
  DescriptorReport,
  ReadDescriptor,
  WatcherReport,
  WriteDescriptor,
} from "./src/descriptors.ts";
export type {
  Attachment,
  AttachmentReport,
  ForeignLoop,
  Prepared,
} from "./src/foreign_loop.ts";
export {
  AlreadyCalled,
  AlreadyCancelled,
  CallbackTooSlow,
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  DescriptorSpinning,
  ReactorAlreadyRunning,
  ReactorError,
  ReactorFailed,
  ReactorNotRestartable,
  ReactorNotRunning,
  WorkItemOverdue,
} from "./src/errors.ts";
export type { ReactorErrorOptions } from "./src/errors.ts";
export type { Fd } from "./src/fd.ts";
export { FileDescriptor } from "./src/file_descriptor.ts";
export type {
  AdoptOptions,
  OpenOptions,
  StreamOptions,
} from "./src/file_descriptor.ts";
export { LoopingCall } from "./src/looping_call.ts";
export type { LoopingCallOptions } from "./src/looping_call.ts";
export { react } from "./src/react.ts";
export type { ReactOptions } from "./src/react.ts";
export { Reactor, reactor } from "./src/reactor.ts";
export type {
  ReactorOptions,
  ReactorReport,
  RunOptions,
} from "./src/reactor.ts";
export type { Interest, Readiness } from "./src/readiness.ts";
export type { Phase, TriggerId } from "./src/system_events.ts";
export type {
  CallbackKind,
  TracedCallback,
  TraceHook,
} from "./src/trace/tracing.ts";
export type { Counters } from "./src/turn.ts";
export type { WaitOptions } from "./src/wait.ts";
export { deferToThread } from "./src/threads/defer_to_thread.ts";
export { exportsOf } from "./src/threads/functions.ts";
export type {
  AnyFunction,
  FunctionNames,
  ThreadFunction,
} from "./src/threads/functions.ts";
export type { HandleOptions, ReactorHandle } from "./src/threads/handle.ts";
export { isInIOThread } from "./src/threads/io_thread.ts";
export type { ThreadsReport } from "./src/threads/threads.ts";
export { transfer } from "./src/threads/transfer.ts";
export type { Transferables } from "./src/threads/transfer.ts";
export { threadSafeWaker } from "./src/thread_safe_waker.ts";
export type { Waker } from "./src/wakers.ts";
export type { Watch } from "./src/watch.ts";
export type { NativeWaker } from "./src/native_waker.ts";
export type { NativeArgument, NativeCall } from "./ffi/native_call.ts";
export type { LentDescriptor } from "./ffi/lent_descriptors.ts";
export type { WorkSignature } from "./ffi/work_callback.ts";
