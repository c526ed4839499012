/**
 * What is used of Qt 5 and Qt 6, with its C++ declarations.
 *
 * Qt has no C interface, so functions are named here as the C++ compilers of
 * Linux, FreeBSD and macOS name them for the linker, by the rules of the Itanium
 * C++ ABI. A member function takes the object as its first argument.
 *
 * @module
 */

import { GLIB } from "./glib.ts";
import { openToolkit, type ToolkitLibrary } from "./library.ts";

/** The versions of Qt that are known here. */
export type QtVersion = 5 | 6;

/** Where Qt's core is. */
export const QT: Readonly<Record<QtVersion, ToolkitLibrary>> = {
  5: {
    name: "Qt 5",
    names: {
      linux: ["libQt5Core.so.5"],
      freebsd: ["libQt5Core.so.5"],
      darwin: [
        "/opt/homebrew/opt/qt@5/lib/QtCore.framework/Versions/5/QtCore",
        "/usr/local/opt/qt@5/lib/QtCore.framework/Versions/5/QtCore",
      ],
    },
    packages: {
      debian: "libqt5core5a",
      fedora: "qt5-qtbase",
      homebrew: "qt@5",
    },
  },
  6: {
    name: "Qt 6",
    names: {
      linux: ["libQt6Core.so.6"],
      freebsd: ["libQt6Core.so.6"],
      darwin: [
        "/opt/homebrew/lib/QtCore.framework/Versions/A/QtCore",
        "/usr/local/lib/QtCore.framework/Versions/A/QtCore",
      ],
    },
    packages: { debian: "libqt6core6", fedora: "qt6-qtbase", homebrew: "qt" },
  },
};

/** Functions, and the addresses of functions and of variables. */
export const QT_SYMBOLS = {
  /** `static QCoreApplication *QCoreApplication::self`, what `instance()` returns. */
  applicationObject: { name: "_ZN16QCoreApplication4selfE", type: "pointer" },
  /**
   * `static bool QMetaObject::invokeMethodImpl(QObject *object, QtPrivate::QSlotObjectBase *slot, Qt::ConnectionType type, void *ret)`,
   * behind `QMetaObject::invokeMethod(object, functor, type)`. Qt 6.7 replaced
   * it by one with more parameters, and kept this one for programs that were
   * built before, unless Qt is built without such functions.
   */
  invokeMethodImpl: {
    name:
      "_ZN11QMetaObject16invokeMethodImplEP7QObjectPN9QtPrivate15QSlotObjectBaseEN2Qt14ConnectionTypeEPv",
    type: "pointer",
    optional: true,
  },
  /** `static QAbstractEventDispatcher *QAbstractEventDispatcher::instance(QThread *thread)` */
  eventDispatcher: {
    name: "_ZN24QAbstractEventDispatcher8instanceEP7QThread",
    parameters: ["pointer"],
    result: "pointer",
  },
  /** `static const QMetaObject QEventDispatcherGlib::staticMetaObject`, missing in a Qt without GLib. */
  glibEventDispatcher: {
    name: "_ZN20QEventDispatcherGlib16staticMetaObjectE",
    type: "pointer",
    optional: true,
  },
  /** `const QObject *QMetaObject::cast(const QObject *object) const`, null if it is not of that class. */
  cast: {
    name: "_ZNK11QMetaObject4castEPK7QObject",
    parameters: ["pointer", "pointer"],
    result: "pointer",
  },
} as const;

type QtSymbols = Deno.DynamicLibrary<typeof QT_SYMBOLS>["symbols"];

const opened = new Map<QtVersion, QtSymbols>();

function open(version: QtVersion): QtSymbols {
  const symbols = opened.get(version) ?? openToolkit(QT[version], QT_SYMBOLS);
  opened.set(version, symbols);
  return symbols;
}

/**
 * The object of the application, null before it is made.
 *
 * @throws {Deno.errors.NotFound} When this version of Qt is not installed.
 */
export function applicationObject(version: QtVersion): Deno.PointerValue {
  const variable = open(version).applicationObject as Deno.PointerObject;
  return new Deno.UnsafePointerView(variable).getPointer();
}

/** The address of `QMetaObject::invokeMethodImpl`, null if there is none. */
export function invokeMethodImpl(version: QtVersion): Deno.PointerValue {
  return open(version).invokeMethodImpl;
}

/** Whether Qt's events on this thread are those of a GLib context. */
export function isOnGlib(version: QtVersion): boolean {
  const { cast, eventDispatcher, glibEventDispatcher } = open(version);
  return glibEventDispatcher !== null &&
    cast(glibEventDispatcher, eventDispatcher(null)) !== null;
}

/**
 * Takes GLib's default context away from Qt, unless it is running it just now.
 *
 * Qt's event dispatcher makes its thread the owner of the context when it is
 * made, and for good. But whoever polls for a context has to be its owner: GLib
 * wakes it for what other threads add to the context, and only for that.
 */
export function disownContext(): void {
  context ??= openToolkit(GLIB, CONTEXT_SYMBOLS);
  const main = context.g_main_context_default();
  if (context.g_main_context_is_owner(main) && context.g_main_depth() === 0) {
    context.g_main_context_release(main);
  }
}

const CONTEXT_SYMBOLS = {
  /** `GMainContext *g_main_context_default(void)` */
  g_main_context_default: { parameters: [], result: "pointer" },
  /** `gboolean g_main_context_is_owner(GMainContext *context)` */
  g_main_context_is_owner: { parameters: ["pointer"], result: "i32" },
  /** `void g_main_context_release(GMainContext *context)` */
  g_main_context_release: { parameters: ["pointer"], result: "void" },
  /** `gint g_main_depth(void)`, 0 outside of callbacks */
  g_main_depth: { parameters: [], result: "i32" },
} as const;

let context:
  | Deno.DynamicLibrary<typeof CONTEXT_SYMBOLS>["symbols"]
  | undefined;

/** What `QSlotObjectBase` asks its function to do; the others are for Qt only. */
const CALL = 1;

/**
 * How many more calls a slot object is good for: each `invokeMethodImpl` takes
 * one of its references away.
 */
const MANY_REFERENCES = 0x3fffffff;

/** What Qt has pointers to. */
const kept: unknown[] = [];

/**
 * Makes a `QtPrivate::QSlotObjectBase`, Qt's form of a closure. It is kept for
 * ever: Qt may hold it in an event that is never handled.
 *
 * In Qt 5.15 and in all of Qt 6 this is
 *
 * ```cpp
 * QAtomicInt m_ref;
 * void (*m_impl)(int which, QSlotObjectBase *self, QObject *receiver, void **args, bool *ret);
 * ```
 *
 * @param f Gets `args`: from the second on, pointers to a signal's arguments.
 * Must not throw.
 */
export function slotObject(
  f: (args: Deno.PointerValue) => void,
): Deno.PointerObject {
  const references = new Int32Array(4);
  const impl = new Deno.UnsafeCallback(
    {
      parameters: ["i32", "pointer", "pointer", "pointer", "pointer"],
      result: "void",
    },
    (which, _self, _receiver, args) => {
      if (which !== CALL) return;
      // At 0 Qt would say "destroy" on the thread that posts, for which Deno
      // would stop that thread until its own loop runs again.
      references[0] = MANY_REFERENCES;
      f(args);
    },
  );
  references[0] = MANY_REFERENCES;
  new BigUint64Array(references.buffer)[1] = Deno.UnsafePointer.value(
    impl.pointer,
  );
  kept.push(references, impl);
  return Deno.UnsafePointer.of(references)!;
}

const slots = new Map<bigint, Deno.PointerObject>();

/** The slot object that calls a C function without parameters, one for each. */
export function slotObjectFor(work: Deno.PointerObject): Deno.PointerObject {
  const address = Deno.UnsafePointer.value(work);
  let slot = slots.get(address);
  if (slot === undefined) {
    const f = new Deno.UnsafeFnPointer(
      work as Deno.PointerObject<typeof WORK>,
      WORK,
    );
    slot = slotObject(() => f.call());
    slots.set(address, slot);
  }
  return slot;
}

const WORK = { parameters: [], result: "void" } as const;
