/**
 * Objective-C: sending messages, and making classes whose methods are ours.
 *
 * Everything in which Apple's Cocoa and GNUstep differ stands in this file: the
 * names of the libraries, the way to a method's function, the names of the run
 * loop's modes, and what an application must be told at its beginning.
 *
 * @module
 */

import { cString } from "../arguments.ts";
import { libcPath } from "../libc.ts";
import { openToolkit, type ToolkitLibrary } from "./library.ts";

const APPLE = Deno.build.os === "darwin";

/** The language's runtime. */
const OBJECTIVE_C: ToolkitLibrary = {
  name: "the Objective-C runtime",
  names: {
    linux: ["libobjc.so.4"],
    freebsd: ["libobjc.so.4"],
    darwin: ["/usr/lib/libobjc.A.dylib"],
  },
  packages: { debian: "libobjc4", fedora: "libobjc" },
};

/** Objects, strings, threads and run loops. */
const FOUNDATION: ToolkitLibrary = {
  name: "Foundation",
  names: {
    ...gnustep("libgnustep-base.so.1", [28, 29, 30, 31, 32]),
    darwin: ["/System/Library/Frameworks/Foundation.framework/Foundation"],
  },
  packages: { debian: "libgnustep-base1.28", fedora: "gnustep-base" },
};

/** Windows. */
const APP_KIT: ToolkitLibrary = {
  name: "AppKit",
  names: {
    ...gnustep("libgnustep-gui.so.0", [29, 30, 31, 32, 33]),
    darwin: ["/System/Library/Frameworks/AppKit.framework/AppKit"],
  },
  packages: { debian: "gnustep-gui-runtime", fedora: "gnustep-gui" },
};

/**
 * The modes in which a run loop serves the main thread: as a rule, while a modal
 * panel is up, and while a mouse button is held down on a control. The first is
 * what the constant NSDefaultRunLoopMode says, the others are named as they are.
 */
export const RUN_LOOP_MODES: readonly string[] = [
  APPLE ? "kCFRunLoopDefaultMode" : "NSDefaultRunLoopMode",
  "NSModalPanelRunLoopMode",
  "NSEventTrackingRunLoopMode",
];

/** What both runtimes have. */
const SYMBOLS = {
  /** `Class objc_getClass(const char *name)` */
  objc_getClass: { parameters: ["buffer"], result: "pointer" },
  /** `SEL sel_registerName(const char *name)` */
  sel_registerName: { parameters: ["buffer"], result: "pointer" },
  /** `Class objc_allocateClassPair(Class superclass, const char *name, size_t extraBytes)` */
  objc_allocateClassPair: {
    parameters: ["pointer", "buffer", "usize"],
    result: "pointer",
  },
  /** `void objc_registerClassPair(Class cls)` */
  objc_registerClassPair: { parameters: ["pointer"], result: "void" },
  /** `BOOL class_addMethod(Class cls, SEL name, IMP function, const char *types)` */
  class_addMethod: {
    parameters: ["pointer", "pointer", "function", "buffer"],
    result: "u8",
  },
} as const;

/** What only GNU's has. */
const GNU_SYMBOLS = {
  /** `IMP objc_msg_lookup(id receiver, SEL op)` */
  objc_msg_lookup: { parameters: ["pointer", "pointer"], result: "pointer" },
} as const;

/** What only Apple's has. */
const APPLE_ADDRESSES = {
  /** `id objc_msgSend(id self, SEL op, ...)` */
  objc_msgSend: { type: "pointer" },
} as const;

/** An object, a class included; null is `nil`. */
export type Id = Deno.PointerValue;

/** The name of a message, as the runtime knows it. */
export type Selector = Deno.PointerValue;

/** What can be passed in a message. */
export type MessageArgument =
  /** An object, a class, a selector or nil. */
  | Id
  /** A BOOL. */
  | boolean
  /** An NSInteger or NSUInteger. */
  | bigint
  /** A CGFloat or a double. */
  | number
  /** A string, as an autoreleased NSString. */
  | string
  /** A `char *`. */
  | Uint8Array<ArrayBuffer>
  /** A structure of CGFloats: an NSRect, NSSize or NSPoint. */
  | Float64Array<ArrayBuffer>;

interface Runtime {
  readonly symbols: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
  readonly lookUp: (receiver: Id, selector: Selector) => Deno.PointerObject;
}

let opened: Runtime | undefined;

/** Both libraries; they are opened on the first call. */
function runtime(): Runtime {
  if (opened !== undefined) return opened;
  const symbols = openToolkit(OBJECTIVE_C, SYMBOLS);
  openToolkit(FOUNDATION, {});
  opened = { symbols, lookUp: APPLE ? lookUpApple() : lookUpGnu() };
  // GNUstep takes the main thread for the main thread once it has seen it.
  send(classNamed("NSThread"), "currentThread");
  return opened;
}

/** Apple's way: one function for every message. */
function lookUpApple(): Runtime["lookUp"] {
  const { objc_msgSend } = openToolkit(OBJECTIVE_C, APPLE_ADDRESSES);
  return () => objc_msgSend!;
}

/** GNU's: the function of the receiver's method. */
function lookUpGnu(): Runtime["lookUp"] {
  const { objc_msg_lookup } = openToolkit(OBJECTIVE_C, GNU_SYMBOLS);
  return (receiver, selector) => objc_msg_lookup(receiver, selector)!;
}

/**
 * `[NSApplication sharedApplication]`, with an autorelease pool for what is sent
 * before it runs. To be called before anything else of Foundation's is used.
 *
 * @param name What GNUstep calls the program; to macOS it is Deno.
 * @throws {Deno.errors.NotFound} When AppKit is not installed.
 */
export function sharedApplication(name: string): Id {
  openToolkit(APP_KIT, {});
  if (!APPLE) beginProcess(name);
  send(send(classNamed("NSAutoreleasePool"), "alloc"), "init");
  const app = send(classNamed("NSApplication"), "sharedApplication");
  if (!APPLE) resetSignals();
  return app;
}

/**
 * Tells GNUstep of a command line that has nothing but a name. It would take
 * that of `deno` for the application's own, and want to open what could be a
 * file in it, or report that it can't.
 */
function beginProcess(name: string): void {
  const { environ } = Deno.dlopen(libcPath(), {
    /** `extern char **environ` */
    environ: { type: "pointer" },
  }).symbols;
  const path = cString(name, "start an application", "name");
  const first = Deno.UnsafePointer.value(Deno.UnsafePointer.of(path));
  const argv = BigUint64Array.of(first, 0n);
  send(
    classNamed("NSProcessInfo"),
    "initializeWithArguments:count:environment:",
    new Uint8Array(argv.buffer),
    1n,
    new Deno.UnsafePointerView(environ!).getPointer(),
  );
}

const SIGINT = 2;
const SIGTERM = 15;

/**
 * Gives these signals back the meaning that they had. GNUstep terminates the
 * application inside their handler, and so calls its delegate there: JavaScript
 * would run in the middle of whatever the main thread was doing, and that may
 * be the allocation of memory.
 */
function resetSignals(): void {
  const { signal } = Deno.dlopen(libcPath(), {
    /** `sighandler_t signal(int signum, sighandler_t handler)`; NULL is SIG_DFL */
    signal: { parameters: ["i32", "pointer"], result: "pointer" },
  }).symbols;
  for (const number of [SIGINT, SIGTERM]) signal(number, null);
}

/**
 * A class.
 *
 * @throws {TypeError} When there is none of that name.
 */
export function classNamed(name: string): Id {
  const found = runtime().symbols.objc_getClass(
    cString(name, "find a class", "name"),
  );
  if (found !== null) return found;
  throw new TypeError(`Cannot find a class: there is no "${name}"`);
}

/** The selector of a message. */
export function selector(name: string): Selector {
  return runtime().symbols.sel_registerName(
    cString(name, "make a selector", "name"),
  );
}

/**
 * The function to call, with the receiver and the selector before the other
 * arguments, to send a message. Any thread may call it.
 */
export function implementation(
  receiver: Id,
  selector: Selector,
): Deno.PointerObject {
  return runtime().lookUp(receiver, selector);
}

/**
 * Sends a message: `send(view, "setTag:", 1n)` is `[view setTag: 1]`.
 *
 * @returns The object that it returns; whatever else it may return is to be
 * ignored.
 */
export function send(
  receiver: Id,
  message: string,
  ...args: MessageArgument[]
): Id {
  const name = selector(message);
  const signature = {
    parameters: ["pointer", "pointer", ...args.map(typeOf)],
    result: "pointer",
  } as const;
  const function_ = new Deno.UnsafeFnPointer(
    implementation(receiver, name) as Deno.PointerObject<typeof signature>,
    signature,
  );
  return function_.call(receiver, name, ...args.map(valueOf) as never[]);
}

/**
 * Makes an empty class, which inherits from NSObject. For a name that was given
 * before, it is the class from then.
 */
export function makeClass(name: string): Id {
  const { symbols } = runtime();
  const parent = classNamed("NSObject");
  const text = cString(name, "make a class", "name");
  const made = symbols.objc_allocateClassPair(parent, text, 0n);
  if (made === null) return classNamed(name);
  symbols.objc_registerClassPair(made);
  return made;
}

/**
 * Adds a method to a class, unless it has one of that name.
 *
 * @param of The class.
 * @param selector The method's name.
 * @param method What is called, for ever: with the object, the selector and the
 * message's arguments.
 * @param types The encoding of its result and of all its arguments.
 */
export function addMethod(
  of: Id,
  selector: Selector,
  method: Deno.PointerObject,
  types: string,
): void {
  runtime().symbols.class_addMethod(
    of,
    selector,
    method,
    cString(types, "add a method", "types"),
  );
}

/** Lets go of what the messages sent by `f` have left to autorelease. */
export function autoreleasing<T>(f: () => T): T {
  const pool = send(send(classNamed("NSAutoreleasePool"), "alloc"), "init");
  try {
    return f();
  } finally {
    send(pool, "drain");
  }
}

function typeOf(value: MessageArgument): Deno.NativeType {
  switch (typeof value) {
    case "boolean":
      return "u8"; // A signed char in C, or a bool: one byte either way.
    case "bigint":
      return "i64";
    case "number":
      return "f64";
  }
  if (value instanceof Uint8Array) return "buffer";
  if (value instanceof Float64Array) {
    return { struct: [...value].map(() => "f64" as const) };
  }
  return "pointer";
}

function valueOf(value: MessageArgument): unknown {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "string") return nsString(value);
  if (value instanceof Float64Array) return new Uint8Array(value.buffer);
  return value;
}

const NS_UTF8_STRING_ENCODING = 4n;

/** Not from a C string, which could have no NUL in it. */
function nsString(text: string): Id {
  const bytes = new TextEncoder().encode(text);
  const string = send(
    send(classNamed("NSString"), "alloc"),
    "initWithBytes:length:encoding:",
    bytes,
    BigInt(bytes.length),
    NS_UTF8_STRING_ENCODING,
  );
  return send(string, "autorelease");
}

function gnustep(name: string, minors: readonly number[]) {
  const names = minors.map((minor) => `${name}.${minor}`);
  return { linux: names, freebsd: names };
}
