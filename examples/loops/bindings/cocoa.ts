/**
 * As much of Cocoa as the examples need: messages, objects of our own, and
 * functions for the views that take many messages to make.
 *
 * @module
 */

import {
  addMethod,
  classNamed,
  type Id,
  makeClass,
  type MessageArgument,
  selector,
  send,
  sharedApplication,
} from "../../../ffi/toolkits/objc.ts";

export { type Id, selector, send };

/** A method of an object of ours: its argument is the message's. */
export type Method = (argument: Id) => number | void;

/** Where a view is in another, from the lower left corner, in points. */
export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** What a delegate can answer to `applicationShouldTerminate:`. */
export const TERMINATE_LATER = 2;

/** How a view changes with the view around it: bits of NSAutoresizingMask. */
export const STRETCH = {
  LEFT: 1n,
  WIDTH: 2n,
  BELOW: 8n,
  HEIGHT: 16n,
} as const;

const onMac = Deno.build.os === "darwin";

const TITLED_CLOSABLE_RESIZABLE = 1n | 2n | 8n;
const BUFFERED = 2n;
const BEZEL_BORDER = 2n;
const ROUNDED_BEZEL = 1n;
const SPINNING = 1n;
const APPLICATION_DEFINED = 15n;
const REGULAR_APPLICATION = 0n;

/** `[NSApplication sharedApplication]`, ready to have windows. */
export function application(name: string): Id {
  const app = sharedApplication(name);
  // A program without a bundle is one without windows to macOS.
  if (onMac) send(app, "setActivationPolicy:", REGULAR_APPLICATION);
  return app;
}

/** An object of class `name` with the given methods, named as in a message. */
export function object(name: string, methods: Record<string, Method>): Id {
  const made = makeClass(name);
  for (const [message, method] of Object.entries(methods)) {
    // Never closed: Cocoa may send the message at any time.
    const { pointer } = new Deno.UnsafeCallback(
      { parameters: ["pointer", "pointer", "pointer"], result: "isize" },
      (_self, _selector, argument) => answer(message, method, argument),
    );
    // An NSInteger, self, the selector, an object. Who expects nothing, or only
    // a BOOL, looks at nothing, or at the lowest byte.
    addMethod(made, selector(message), pointer, "q@:@");
  }
  return make(name, "init");
}

/** Nothing that is thrown may get into Cocoa. */
function answer(message: string, method: Method, argument: Id): bigint {
  try {
    return BigInt(method(argument) ?? 0);
  } catch (error) {
    console.error(`${message}:`, error);
    return 0n;
  }
}

/** A window in the middle of the screen, to be shown by `show`. */
export function window(
  title: string,
  size: { width: number; height: number },
): Id {
  const made = make(
    "NSWindow",
    "initWithContentRect:styleMask:backing:defer:",
    rectangle({ x: 0, y: 0, ...size }),
    TITLED_CLOSABLE_RESIZABLE,
    BUFFERED,
    false,
  );
  send(made, "setTitle:", title);
  const { width, height } = size;
  send(made, "setMinSize:", new Float64Array([width / 2, height / 2]));
  send(made, "setReleasedWhenClosed:", false);
  send(made, "center");
  return made;
}

/** Shows a window, and brings it to the front. */
export function show(app: Id, window: Id): void {
  send(app, "activateIgnoringOtherApps:", true);
  send(window, "makeKeyAndOrderFront:", null);
}

/** A field to type a line into. */
export function textField(frame: Frame, text: string): Id {
  const field = view("NSTextField", frame);
  send(field, "setStringValue:", text);
  return field;
}

/** A button to push. */
export function button(frame: Frame, title: string): Id {
  const made = view("NSButton", frame);
  send(made, "setTitle:", title);
  send(made, "setBezelStyle:", ROUNDED_BEZEL);
  return made;
}

/** What goes round while something is going on, and is not seen otherwise. */
export function spinner(frame: Frame): Id {
  const made = view("NSProgressIndicator", frame);
  send(made, "setStyle:", SPINNING);
  send(made, "setIndeterminate:", true);
  send(made, "setDisplayedWhenStopped:", false);
  return made;
}

/** A text to read, of any length, and the view that scrolls it. */
export function scrolledText(frame: Frame): { scroll: Id; text: Id } {
  const scroll = view("NSScrollView", frame);
  send(scroll, "setBorderType:", BEZEL_BORDER);
  send(scroll, "setHasVerticalScroller:", true);
  const { width, height } = frame;
  const text = view("NSTextView", { x: 0, y: 0, width: width - 24, height });
  const font = classNamed("NSFont");
  send(text, "setFont:", send(font, "userFixedPitchFontOfSize:", 12));
  send(text, "setEditable:", false);
  send(text, "setHorizontallyResizable:", false);
  send(text, "setVerticallyResizable:", true);
  send(text, "setMinSize:", new Float64Array([0, height]));
  send(text, "setMaxSize:", new Float64Array([1e7, 1e7]));
  send(text, "setAutoresizingMask:", STRETCH.WIDTH);
  send(scroll, "setDocumentView:", text);
  return { scroll, text };
}

/** Puts views into a window, each with what of it stretches. */
export function fill(window: Id, views: readonly [Id, bigint][]): void {
  const content = send(window, "contentView");
  for (const [view, stretch] of views) {
    send(view, "setAutoresizingMask:", stretch);
    send(content, "addSubview:", view);
  }
}

/** Gives an application a menu in which one can quit it. */
export function quitMenu(app: Id, name: string): void {
  const terminate = selector("terminate:");
  const title = `Quit ${name}`;
  const menu = make("NSMenu", "initWithTitle:", name);
  if (!onMac) {
    send(menu, "addItemWithTitle:action:keyEquivalent:", title, terminate, "q");
    send(app, "setMainMenu:", menu);
    return;
  }
  // There the items of the menu bar are menus, the first of them the program's.
  const bar = make("NSMenu", "initWithTitle:", "");
  const item = send(
    bar,
    "addItemWithTitle:action:keyEquivalent:",
    name,
    null,
    "",
  );
  send(menu, "addItemWithTitle:action:keyEquivalent:", title, terminate, "q");
  send(item, "setSubmenu:", menu);
  send(app, "setMainMenu:", bar);
}

/** Lets `[NSApp run]` return, or the modal loop in it. */
export function stop(app: Id): void {
  send(app, "stop:", null);
  // It looks whether to go on after an event, and there may be none for long.
  const event = send(
    classNamed("NSEvent"),
    "otherEventWithType:location:modifierFlags:timestamp:windowNumber:context:subtype:data1:data2:",
    APPLICATION_DEFINED,
    new Float64Array([0, 0]),
    0n,
    0,
    0n,
    null,
    0n,
    0n,
    0n,
  );
  send(app, "postEvent:atStart:", event, true);
}

/** What a text field, or another control, says. */
export function stringValue(control: Id): string {
  return stringOf(send(control, "stringValue"));
}

/** The text of an NSString; of nil, nothing. */
export function stringOf(string: Id): string {
  const bytes = string && send(string, "UTF8String");
  return bytes === null ? "" : Deno.UnsafePointerView.getCString(bytes);
}

function view(name: string, frame: Frame): Id {
  return make(name, "initWithFrame:", rectangle(frame));
}

function make(name: string, message: string, ...args: MessageArgument[]): Id {
  return send(send(classNamed(name), "alloc"), message, ...args);
}

function rectangle({ x, y, width, height }: Frame): Float64Array<ArrayBuffer> {
  return new Float64Array([x, y, width, height]);
}
