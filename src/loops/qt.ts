/**
 * Qt 5 and Qt 6.
 *
 * | who has the main thread | use |
 * |---|---|
 * | Qt, in `QApplication::exec()` or a dialog's | {@linkcode qtWaker} |
 * | Deno | {@linkcode qtLoop}, where Qt's events are GLib's, as on Linux distributions |
 *
 * Both want an application object, and neither must outlive it. The waker has
 * been tried on Linux with Qt 5.15 and Qt 6.4.
 *
 * @example Qt in Deno's loop
 * ```ts no-assert
 * import { reactor } from "@interleave/reactor";
 * import { qtLoop } from "@interleave/reactor/loops/qt";
 *
 * // To be called when there is a QApplication.
 * async function withWindows(program: () => Promise<void>): Promise<void> {
 *   using _attachment = reactor.attach(qtLoop());
 *   await program(); // Its windows live beside fetch, timers and Deno.serve.
 * }
 * ```
 *
 * @module
 */

import {
  applicationObject,
  disownContext,
  invokeMethodImpl,
  isOnGlib,
  type QtVersion,
  slotObjectFor,
} from "../../ffi/toolkits/qt.ts";
import { complaint } from "../arguments.ts";
import type { ForeignLoop } from "../foreign_loop.ts";
import type { NativeWaker } from "../native_waker.ts";
import { glibLoop } from "./glib.ts";

/**
 * Options of {@linkcode qtWaker} and {@linkcode qtLoop}.
 *
 * @example A program that has made its QApplication with Qt 5
 * ```ts no-assert
 * import { type Attachment, reactor } from "@interleave/reactor";
 * import { qtLoop } from "@interleave/reactor/loops/qt";
 *
 * function attach(): Attachment {
 *   return reactor.attach(qtLoop({ version: 5 })); // Qt 6 is not even opened.
 * }
 * ```
 */
export interface QtOptions {
  /**
   * The Qt that the program uses.
   *
   * @default {undefined} The one that has an application object. Both are
   * opened to find that out if Qt 6 has none.
   */
  version?: 5 | 6;
}

/** `Qt::QueuedConnection`: to be called by the event loop. */
const QUEUED_CONNECTION = 2;

/**
 * The waker for a thread that is inside an event loop of Qt's: the worker calls
 * `QMetaObject::invokeMethod()` on the application object.
 *
 * @param options Which Qt.
 * @returns The waker.
 * @throws {TypeError} When the version is not a number.
 * @throws {RangeError} When there is no such version.
 * @throws {Deno.errors.NotFound} When Qt is not installed.
 * @throws {Deno.errors.NotSupported} When Qt lacks the function. `glibWaker()`
 * then serves where Qt's events are GLib's.
 * @throws {Error} When there is no application object yet.
 *
 * @example Qt's loop as the host
 * ```ts no-assert
 * import { Reactor } from "@interleave/reactor";
 * import { qtWaker } from "@interleave/reactor/loops/qt";
 *
 * function start(qt: { exec(): void; exit(): void }): Reactor {
 *   const reactor = new Reactor();
 *   reactor.interleave(qtWaker());
 *   reactor.addSystemEventTrigger("after", "shutdown", () => qt.exit());
 *   setTimeout(() => qt.exec(), 0);
 *   return reactor;
 * }
 * ```
 */
export function qtWaker(options: QtOptions = {}): NativeWaker {
  const action = "make a waker for Qt";
  const version = findVersion(options, action);
  const post = invokeMethodImpl(version);
  if (post === null) {
    throw new Deno.errors.NotSupported(
      `Cannot ${action}: Qt ${version} lacks "QMetaObject::invokeMethodImpl" in the form that is known here, use "glibWaker" instead`,
    );
  }
  return {
    post,
    parameters: ["pointer", "pointer", "i32", "pointer"],
    result: "bool",
    arguments: (work) => [
      requireApplication(version, action),
      slotObjectFor(work),
      QUEUED_CONNECTION,
      null,
    ],
    callback: { parameters: [], result: "void" },
  };
}

/**
 * Qt's event loop for {@linkcode Reactor.attach}: GLib's default context, to
 * which Qt adds its events where it was built with GLib.
 *
 * What a window shows can be changed from anywhere. But a timer of Qt's that
 * plain Deno code starts, a `QTimer` or an animation in the callback of a fetch
 * for one, is not seen before Qt's next event: `kick()` the attachment after it.
 *
 * Qt loses the ownership of the context by this, since the worker needs it. The
 * application object then has to stay until the process ends.
 *
 * @param options Which Qt.
 * @returns The loop.
 * @throws {TypeError} When the version is not a number.
 * @throws {RangeError} When there is no such version.
 * @throws {Deno.errors.NotFound} When Qt, or GLib, is not installed.
 * @throws {Deno.errors.NotSupported} When Qt's events are not GLib's: it was
 * built without, or the environment has `QT_NO_GLIB`.
 * @throws {Error} When there is no application object yet.
 *
 * @example Usage
 * ```ts no-assert
 * import { type Attachment, reactor } from "@interleave/reactor";
 * import { qtLoop } from "@interleave/reactor/loops/qt";
 *
 * function open(window: { show(): void }): Attachment {
 *   window.show();
 *   return reactor.attach(qtLoop());
 * }
 * ```
 */
export function qtLoop(options: QtOptions = {}): ForeignLoop {
  const action = "make a loop of Qt";
  const version = findVersion(options, action);
  if (!isOnGlib(version)) {
    throw new Deno.errors.NotSupported(
      `Cannot ${action}: the events of Qt ${version} are not those of GLib, which takes a Qt that was built with GLib and an environment without "QT_NO_GLIB"`,
    );
  }
  disownContext();
  return glibLoop();
}

/** The version that has an application object. */
function findVersion({ version }: QtOptions, action: string): QtVersion {
  if (version !== undefined) {
    if (version !== 5 && version !== 6) {
      const Class = typeof version === "number" ? RangeError : TypeError;
      throw new Class(
        complaint(version, action, "options.version", "5 or 6"),
      );
    }
    requireApplication(version, action);
    return version;
  }
  const missing: unknown[] = [];
  for (const candidate of [6, 5] as const) {
    try {
      if (applicationObject(candidate) !== null) return candidate;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      missing.push(error);
    }
  }
  if (missing.length === 2) throw missing[0];
  throw noApplication(action);
}

function requireApplication(
  version: QtVersion,
  action: string,
): Deno.PointerObject {
  const application = applicationObject(version);
  if (application === null) throw noApplication(action);
  return application;
}

function noApplication(action: string): Error {
  return new Error(
    `Cannot ${action}: there is no application object yet, make a QCoreApplication or a QApplication first`,
  );
}
