/**
 * Transports over the reactor: child processes, and the errors and addresses of
 * connections.
 *
 * They work in every host, also while Deno's own loop stands still inside a
 * toolkit's.
 *
 * @module
 */

export type { ReactorErrorOptions } from "../errors.ts";
export type { ChildOptions } from "../../ffi/spawn.ts";
export type { OpenPtyOptions } from "../../ffi/pty.ts";
export type { Address, NetAddress, UnixAddress } from "./address.ts";
export {
  CannotListenError,
  ConnectBindError,
  ConnectError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  FileDescriptorOverrun,
  InvalidAddressError,
  MessageLengthError,
  NameLookupError,
  NoRouteError,
  NotConnectingError,
  ProcessDone,
  ProcessExitedAlready,
  ProcessTerminated,
  ServiceNameUnknownError,
  UnsupportedAddressFamily,
  UserError,
} from "./errors.ts";
export type { ProcessEnd, ProcessTerminatedOptions } from "./errors.ts";
export { spawnProcess } from "./process.ts";
export type { SpawnProcessOptions } from "./process.ts";
export type {
  ProcessProtocol,
  ProcessTransport,
  SignalName,
} from "./process_protocol.ts";
