/**
 * As much of GTK 4 as two small programs and some tests need. Nothing here has
 * to do with waiting.
 *
 * @module
 */

import {
  openToolkit,
  type ToolkitLibrary,
} from "../../../ffi/toolkits/library.ts";
import { functionFor, guarded, text, textAt } from "./c.ts";

const GTK4: ToolkitLibrary = {
  name: "GTK 4",
  names: {
    linux: ["libgtk-4.so.1"],
    freebsd: ["libgtk-4.so.1"],
    darwin: [
      "libgtk-4.1.dylib",
      "/opt/homebrew/lib/libgtk-4.1.dylib",
      "/usr/local/lib/libgtk-4.1.dylib",
    ],
  },
  packages: { debian: "libgtk-4-1", fedora: "gtk4", homebrew: "gtk4" },
};

// Functions of GLib are found in the library as well, which depends on it.
const SYMBOLS = {
  /** `void gtk_disable_setlocale(void)` */
  gtk_disable_setlocale: { parameters: [], result: "void" },
  /** `gboolean gtk_init_check(void)` */
  gtk_init_check: { parameters: [], result: "i32" },
  /** `GMainLoop *g_main_loop_new(GMainContext *context, gboolean is_running)` */
  g_main_loop_new: { parameters: ["pointer", "i32"], result: "pointer" },
  /** `void g_main_loop_run(GMainLoop *loop)` */
  g_main_loop_run: { parameters: ["pointer"], result: "void" },
  /** `void g_main_loop_quit(GMainLoop *loop)` */
  g_main_loop_quit: { parameters: ["pointer"], result: "void" },
  /** `gulong g_signal_connect_data(gpointer instance, const gchar *signal, GCallback handler, gpointer data, GClosureNotify destroy, GConnectFlags flags)` */
  g_signal_connect_data: {
    parameters: ["pointer", "buffer", "function", "pointer", "pointer", "i32"],
    result: "u64",
  },
  /** `GtkWidget *gtk_window_new(void)` */
  gtk_window_new: { parameters: [], result: "pointer" },
  /** `void gtk_window_set_title(GtkWindow *window, const char *title)` */
  gtk_window_set_title: { parameters: ["pointer", "buffer"], result: "void" },
  /** `void gtk_window_set_default_size(GtkWindow *window, int width, int height)` */
  gtk_window_set_default_size: {
    parameters: ["pointer", "i32", "i32"],
    result: "void",
  },
  /** `void gtk_window_set_child(GtkWindow *window, GtkWidget *child)` */
  gtk_window_set_child: { parameters: ["pointer", "pointer"], result: "void" },
  /** `void gtk_window_present(GtkWindow *window)` */
  gtk_window_present: { parameters: ["pointer"], result: "void" },
  /** `void gtk_window_destroy(GtkWindow *window)` */
  gtk_window_destroy: { parameters: ["pointer"], result: "void" },
  /** `GtkWidget *gtk_box_new(GtkOrientation orientation, int spacing)` */
  gtk_box_new: { parameters: ["i32", "i32"], result: "pointer" },
  /** `void gtk_box_append(GtkBox *box, GtkWidget *child)` */
  gtk_box_append: { parameters: ["pointer", "pointer"], result: "void" },
  /** `void gtk_box_set_homogeneous(GtkBox *box, gboolean homogeneous)` */
  gtk_box_set_homogeneous: { parameters: ["pointer", "i32"], result: "void" },
  /** `void gtk_widget_set_hexpand(GtkWidget *widget, gboolean expand)` */
  gtk_widget_set_hexpand: { parameters: ["pointer", "i32"], result: "void" },
  /** `void gtk_widget_set_vexpand(GtkWidget *widget, gboolean expand)` */
  gtk_widget_set_vexpand: { parameters: ["pointer", "i32"], result: "void" },
  /** `void gtk_widget_set_margin_top(GtkWidget *widget, int margin)` */
  gtk_widget_set_margin_top: { parameters: ["pointer", "i32"], result: "void" },
  /** `void gtk_widget_set_margin_bottom(GtkWidget *widget, int margin)` */
  gtk_widget_set_margin_bottom: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `void gtk_widget_set_margin_start(GtkWidget *widget, int margin)` */
  gtk_widget_set_margin_start: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `void gtk_widget_set_margin_end(GtkWidget *widget, int margin)` */
  gtk_widget_set_margin_end: { parameters: ["pointer", "i32"], result: "void" },
  /** `void gtk_widget_set_sensitive(GtkWidget *widget, gboolean sensitive)` */
  gtk_widget_set_sensitive: { parameters: ["pointer", "i32"], result: "void" },
  /** `int gtk_widget_get_height(GtkWidget *widget)` */
  gtk_widget_get_height: { parameters: ["pointer"], result: "i32" },
  /** `void gtk_widget_add_css_class(GtkWidget *widget, const char *name)` */
  gtk_widget_add_css_class: {
    parameters: ["pointer", "buffer"],
    result: "void",
  },
  /** `void gtk_window_set_focus(GtkWindow *window, GtkWidget *focus)` */
  gtk_window_set_focus: { parameters: ["pointer", "pointer"], result: "void" },
  /** `gboolean gtk_widget_grab_focus(GtkWidget *widget)` */
  gtk_widget_grab_focus: { parameters: ["pointer"], result: "i32" },
  /** `GtkWidget *gtk_label_new(const char *text)` */
  gtk_label_new: { parameters: ["buffer"], result: "pointer" },
  /** `void gtk_label_set_text(GtkLabel *label, const char *text)` */
  gtk_label_set_text: { parameters: ["pointer", "buffer"], result: "void" },
  /** `GtkWidget *gtk_button_new_with_label(const char *label)` */
  gtk_button_new_with_label: { parameters: ["buffer"], result: "pointer" },
  /** `GtkWidget *gtk_entry_new(void)` */
  gtk_entry_new: { parameters: [], result: "pointer" },
  /** `const char *gtk_editable_get_text(GtkEditable *editable)` */
  gtk_editable_get_text: { parameters: ["pointer"], result: "pointer" },
  /** `void gtk_editable_set_text(GtkEditable *editable, const char *text)` */
  gtk_editable_set_text: { parameters: ["pointer", "buffer"], result: "void" },
  /** `GtkWidget *gtk_spinner_new(void)` */
  gtk_spinner_new: { parameters: [], result: "pointer" },
  /** `void gtk_spinner_set_spinning(GtkSpinner *spinner, gboolean spinning)` */
  gtk_spinner_set_spinning: { parameters: ["pointer", "i32"], result: "void" },
  /** `GtkWidget *gtk_scrolled_window_new(void)` */
  gtk_scrolled_window_new: { parameters: [], result: "pointer" },
  /** `void gtk_scrolled_window_set_child(GtkScrolledWindow *window, GtkWidget *child)` */
  gtk_scrolled_window_set_child: {
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `void gtk_scrolled_window_set_has_frame(GtkScrolledWindow *window, gboolean has_frame)` */
  gtk_scrolled_window_set_has_frame: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `GtkWidget *gtk_text_view_new(void)` */
  gtk_text_view_new: { parameters: [], result: "pointer" },
  /** `GtkTextBuffer *gtk_text_view_get_buffer(GtkTextView *view)` */
  gtk_text_view_get_buffer: { parameters: ["pointer"], result: "pointer" },
  /** `void gtk_text_view_set_editable(GtkTextView *view, gboolean editable)` */
  gtk_text_view_set_editable: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `void gtk_text_view_set_cursor_visible(GtkTextView *view, gboolean visible)` */
  gtk_text_view_set_cursor_visible: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `void gtk_text_view_set_monospace(GtkTextView *view, gboolean monospace)` */
  gtk_text_view_set_monospace: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `void gtk_text_view_set_left_margin(GtkTextView *view, int margin)` */
  gtk_text_view_set_left_margin: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `void gtk_text_view_set_top_margin(GtkTextView *view, int margin)` */
  gtk_text_view_set_top_margin: {
    parameters: ["pointer", "i32"],
    result: "void",
  },
  /** `void gtk_text_view_scroll_mark_onscreen(GtkTextView *view, GtkTextMark *mark)` */
  gtk_text_view_scroll_mark_onscreen: {
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `void gtk_text_buffer_set_text(GtkTextBuffer *buffer, const char *text, int length)` */
  gtk_text_buffer_set_text: {
    parameters: ["pointer", "buffer", "i32"],
    result: "void",
  },
  /** `void gtk_text_buffer_get_end_iter(GtkTextBuffer *buffer, GtkTextIter *iter)` */
  gtk_text_buffer_get_end_iter: {
    parameters: ["pointer", "buffer"],
    result: "void",
  },
  /** `void gtk_text_buffer_insert(GtkTextBuffer *buffer, GtkTextIter *iter, const char *text, int length)` */
  gtk_text_buffer_insert: {
    parameters: ["pointer", "buffer", "buffer", "i32"],
    result: "void",
  },
  /** `void gtk_text_buffer_place_cursor(GtkTextBuffer *buffer, const GtkTextIter *where)` */
  gtk_text_buffer_place_cursor: {
    parameters: ["pointer", "buffer"],
    result: "void",
  },
  /** `GtkTextMark *gtk_text_buffer_get_insert(GtkTextBuffer *buffer)` */
  gtk_text_buffer_get_insert: { parameters: ["pointer"], result: "pointer" },
} as const;

const GTK_ORIENTATION_HORIZONTAL = 0;
const GTK_ORIENTATION_VERTICAL = 1;

const SPACING = 8;

type Gtk = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Gtk | undefined;

const encoder = new TextEncoder();

/** A widget, or whatever else of GTK's. */
export type Widget = Deno.PointerObject;

/**
 * GTK's functions. The first call opens the library and takes up the display.
 *
 * @throws {Deno.errors.NotFound} When GTK is not installed.
 * @throws {Error} When there is no display.
 */
export function gtk4(): Gtk {
  if (opened !== undefined) return opened;
  const gtk = openToolkit(GTK4, SYMBOLS);
  // The locale is the whole process's, and so it is Deno's.
  gtk.gtk_disable_setlocale();
  if (gtk.gtk_init_check() === 0) {
    throw new Error("Cannot start GTK: there is no display");
  }
  return opened = gtk;
}

/** The loop that GTK programs block their thread in. */
export interface MainLoop {
  /** Blocks until {@linkcode quit} is called in there. */
  run(): void;
  /** Lets `run` return. */
  quit(): void;
}

/** Makes a main loop. */
export function newMainLoop(): MainLoop {
  const gtk = gtk4();
  const loop = gtk.g_main_loop_new(null, 0);
  return {
    run: () => gtk.g_main_loop_run(loop),
    quit: () => gtk.g_main_loop_quit(loop),
  };
}

/** Calls `f` for a signal that comes without further values, as "clicked". */
export function onSignal(object: Widget, signal: string, f: () => void): void {
  connect(
    object,
    signal,
    functionFor(
      { parameters: ["pointer", "pointer"], result: "void" },
      () => guarded(f),
    ),
  );
}

/** Calls `f` when somebody wants to close a window, which stays open. */
export function onClose(window: Widget, f: () => void): void {
  connect(
    window,
    "close-request",
    functionFor(
      { parameters: ["pointer", "pointer"], result: "i32" },
      () => {
        guarded(f);
        return 1; // GTK is not to destroy the window.
      },
    ),
  );
}

/** Makes a window with something in it, and shows it. */
export function showWindow(
  title: string,
  { width, height, child }: { width: number; height: number; child: Widget },
): Widget {
  const gtk = gtk4();
  const window = gtk.gtk_window_new()!;
  gtk.gtk_window_set_title(window, text(title));
  gtk.gtk_window_set_default_size(window, width, height);
  for (const edge of ["top", "bottom", "start", "end"] as const) {
    gtk[`gtk_widget_set_margin_${edge}`](child, SPACING);
  }
  gtk.gtk_window_set_child(window, child);
  gtk.gtk_window_present(window);
  return window;
}

/** Lets a window have another title. */
export function setTitle(window: Widget, title: string): void {
  gtk4().gtk_window_set_title(window, text(title));
}

/** Takes a window away for good. */
export function destroyWindow(window: Widget): void {
  gtk4().gtk_window_destroy(window);
}

/** Widgets one below the other. */
export function column(...children: Widget[]): Widget {
  return box(GTK_ORIENTATION_VERTICAL, children);
}

/** Widgets side by side. */
export function row(...children: Widget[]): Widget {
  return box(GTK_ORIENTATION_HORIZONTAL, children);
}

/** Widgets of the same width side by side. */
export function evenRow(...children: Widget[]): Widget {
  const widget = row(...children);
  gtk4().gtk_box_set_homogeneous(widget, 1);
  return widget;
}

/** Lets a widget take the width that the others in its row leave. */
export function wide(widget: Widget): Widget {
  gtk4().gtk_widget_set_hexpand(widget, 1);
  return widget;
}

/** Lets somebody use a widget, or not. */
export function setEnabled(widget: Widget, on: boolean): void {
  gtk4().gtk_widget_set_sensitive(widget, Number(on));
}

/** Gives a widget the keyboard. */
export function focus(widget: Widget): void {
  gtk4().gtk_widget_grab_focus(widget);
}

/** Takes the keyboard away from the widget in a window that has it. */
export function blur(window: Widget): void {
  gtk4().gtk_window_set_focus(window, null);
}

/** Makes a label. */
export function newLabel(words: string): Widget {
  return gtk4().gtk_label_new(text(words))!;
}

/** Makes a label in the size of a headline. */
export function newHeadline(words: string): Widget {
  const label = newLabel(words);
  gtk4().gtk_widget_add_css_class(label, text("title-1"));
  return label;
}

/** Lets a label say something else. */
export function setLabel(label: Widget, words: string): void {
  gtk4().gtk_label_set_text(label, text(words));
}

/** Makes a button. */
export function newButton(label: string, clicked: () => void): Widget {
  const button = gtk4().gtk_button_new_with_label(text(label))!;
  onSignal(button, "clicked", clicked);
  return button;
}

/** Makes a field for one line of text. */
export function newEntry(words: string, entered: () => void): Widget {
  const gtk = gtk4();
  const entry = gtk.gtk_entry_new()!;
  gtk.gtk_editable_set_text(entry, text(words));
  onSignal(entry, "activate", entered);
  return entry;
}

/** What stands in a field. */
export function entryText(entry: Widget): string {
  return textAt(gtk4().gtk_editable_get_text(entry));
}

/** Makes something that turns while one waits. */
export function newSpinner(): Widget {
  return gtk4().gtk_spinner_new()!;
}

/** Lets a spinner turn, or not. */
export function setSpinning(spinner: Widget, on: boolean): void {
  gtk4().gtk_spinner_set_spinning(spinner, Number(on));
}

/** A text to read, which can be scrolled. */
export class TextView {
  /** What to put into a window. */
  readonly widget: Widget;
  readonly #view: Widget;
  readonly #buffer: Widget;
  /** A place in the text: a GtkTextIter has less than that many bytes. */
  readonly #place = new Uint8Array(256);

  /** Makes an empty one. */
  constructor() {
    const gtk = gtk4();
    this.#view = gtk.gtk_text_view_new()!;
    this.#buffer = gtk.gtk_text_view_get_buffer(this.#view)!;
    gtk.gtk_text_view_set_editable(this.#view, 0);
    gtk.gtk_text_view_set_cursor_visible(this.#view, 0);
    gtk.gtk_text_view_set_monospace(this.#view, 1);
    gtk.gtk_text_view_set_left_margin(this.#view, SPACING);
    gtk.gtk_text_view_set_top_margin(this.#view, SPACING);
    this.widget = gtk.gtk_scrolled_window_new()!;
    gtk.gtk_scrolled_window_set_has_frame(this.widget, 1);
    gtk.gtk_scrolled_window_set_child(this.widget, this.#view);
    gtk.gtk_widget_set_vexpand(this.widget, 1);
  }

  /** Lets it show another text. */
  show(words: string): void {
    const bytes = plain(words);
    gtk4().gtk_text_buffer_set_text(this.#buffer, bytes, bytes.length);
  }

  /** Adds a line at the end, and scrolls there. */
  append(line: string): void {
    const gtk = gtk4();
    const bytes = plain(`${line}\n`);
    const buffer = this.#buffer;
    const end = this.#place;
    gtk.gtk_text_buffer_get_end_iter(buffer, end);
    gtk.gtk_text_buffer_insert(buffer, end, bytes, bytes.length);
    gtk.gtk_text_buffer_place_cursor(buffer, end);
    // What is not on the screen yet has no place to scroll to.
    if (gtk.gtk_widget_get_height(this.#view) === 0) return;
    const cursor = gtk.gtk_text_buffer_get_insert(buffer);
    gtk.gtk_text_view_scroll_mark_onscreen(this.#view, cursor);
  }
}

function box(orientation: number, children: Widget[]): Widget {
  const gtk = gtk4();
  const widget = gtk.gtk_box_new(orientation, SPACING)!;
  for (const child of children) gtk.gtk_box_append(widget, child);
  return widget;
}

function connect(
  object: Widget,
  signal: string,
  handler: Deno.PointerObject,
): void {
  const gtk = gtk4();
  gtk.g_signal_connect_data(object, text(signal), handler, null, null, 0);
}

/** For functions that take a length, and no text with a NUL in it all the same. */
function plain(words: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(words.replaceAll("\0", "\u{fffd}"));
}
